#!/usr/bin/env bash
# RabbitMQ is killed with SIGKILL just after messages were put back with delays that it had no queues for: a queue that it
# made in its last second is empty afterwards, whatever it had confirmed.
#   spec/drills/broker-killed-delay.sh     with a RabbitMQ of its own
source "$(dirname "$0")/broker.bash"

has_begun() { (($(begun | sort -u | wc -l) >= $1)); }
has_ended() { (($(ended | sort -u | wc -l) >= $1)); }

start_drill 10ms
for round in 1 2 3; do
    need "the engine is ready" until_true 30 is_ready
    for delay in 3 4 5; do
        number=$((9000 + 3 * round + delay))
        check "message $number is accepted" test "$(publish "$number" | cut -d ' ' -f 2)" = 202
    done
    need "they fail" until_true 20 has_begun $((3 * round))
    sleep 0.7
    need "the broker is killed" servers kill rabbitmq
    start=$(now)
    need "and started again" servers restart rabbitmq
    check "every message comes again" until_true 45 has_ended $((3 * round))
    echo "# recovery: $(since "$start") s after the kill"
done
check "the engine stops on SIGTERM" engine_stop
