#!/usr/bin/env bash
# The broker is restarted, then killed with -9, while messages are published and worked on: every publish is answered in time,
# nothing accepted is lost, and all goes on by itself.
#   spec/drills/broker-restart.sh     with a RabbitMQ of its own
source "$(dirname "$0")/broker.bash"

recover() { # HOW COMMAND...: publishes go on during it
    local how=$1 start up accepted_before ended_before
    shift
    start=$(now)
    need "the broker is $how" "$@"
    up=$(now)
    accepted_before=$(accepted | wc -l) ended_before=$(ended | wc -l)
    check "messages are accepted again" until_true 60 has_accepted_more_than "$accepted_before"
    echo "# recovery: publishing $(since "$up") s after the broker was ready ($(since "$start") s after it was $how)"
    check "and worked on again" until_true 60 has_ended_more_than "$ended_before"
    echo "# recovery: consuming $(since "$up") s after the broker was ready"
    check "the engine is ready" until_true 30 is_ready
}
kill_and_restart() { servers kill rabbitmq && servers restart rabbitmq; }

start_drill 50ms
start_publishing
sleep 3
recover restarted servers restart rabbitmq
sleep 3
recover "killed and started" kill_and_restart
sleep 3
stop_publishing
check "every publish was answered in time" answers_in_time
check "nothing that was accepted is lost" until_true 60 nothing_is_lost
summary
check "the engine stops on SIGTERM" engine_stop
