#!/usr/bin/env bash
# Somebody deletes the queue, with its dead letters' queue, under publishers and consumers: both are made again, and all goes
# on. What was in the queue is gone, by the will of who deleted it; what is published afterwards is not.
#   spec/drills/queue-deleted.sh     with a RabbitMQ of its own
source "$(dirname "$0")/broker.bash"

lost_later() { comm -23 <(accepted | awk -v first="$1" '$1 > first' | sort -u) <(ended | sort -u); }
nothing_is_lost_later() { [[ -z $(lost_later "$1") ]]; }

start_drill 50ms
start_publishing
for queue in jobs jobs.dead; do
    sleep 3
    accepted_before=$(accepted | wc -l) ended_before=$(ended | wc -l)
    need "the queue $queue is deleted" rabbitmqctl delete_queue "$queue"
    start=$(now)
    check "messages are accepted" until_true 30 has_accepted_more_than "$accepted_before"
    echo "# recovery: publishing $(since "$start") s after the deletion"
    check "and worked on" until_true 30 has_ended_more_than "$ended_before"
    echo "# recovery: consuming $(since "$start") s after the deletion"
done
sleep 2
last=$(tail -n 1 "$work/published" | cut -d ' ' -f 1)
sleep 3
stop_publishing
check "every publish was answered in time" answers_in_time
check "nothing that was accepted since is lost" until_true 30 nothing_is_lost_later "$last"
summary
check "the engine stops on SIGTERM" engine_stop
