#!/usr/bin/env bash
# The broker is out of memory for a while: it takes no messages. Publishes fail in time with 503, /readyz says why, and
# acknowledgements go on, so that the backlog is worked on.
#   spec/drills/broker-alarm.sh [SECONDS]     60 by default, with a RabbitMQ of its own
source "$(dirname "$0")/broker.bash"
seconds=${1:-60}

backlog() { for number in $(seq 400); do publish "$number"; done >>"$work/published"; }
says_why() { not_ready_reason | grep -q "the broker takes no messages"; }

start_drill 500ms
need "a backlog of 400 messages is published" backlog
rabbitmqctl set_vm_memory_high_watermark absolute 1MB
start_publishing
check "/readyz says why" until_true 15 says_why
ended_before=$(ended | wc -l)
sleep "$seconds"
worked=$(($(ended | wc -l) - ended_before))
check "$worked messages of the backlog were worked on during the alarm" test "$worked" -gt 20
check "none was delivered again" test -z "$(redelivered)"
accepted_before=$(accepted | wc -l)
start=$(now)
rabbitmqctl set_vm_memory_high_watermark 0.4
check "messages are accepted again" until_true 60 has_accepted_more_than "$accepted_before"
echo "# recovery: publishing $(since "$start") s after the alarm"
check "the engine is ready" until_true 30 is_ready
stop_publishing
check "every publish was answered in time" answers_in_time
check "nothing that was accepted is lost" until_true 300 nothing_is_lost
summary
check "the engine stops on SIGTERM" engine_stop
