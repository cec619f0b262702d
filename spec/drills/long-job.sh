#!/usr/bin/env bash
# A job takes much longer than the broker's heartbeat: the connection stays, and no
# message is delivered again.
#   spec/drills/long-job.sh [SECONDS]     300 by default, at a heartbeat of 10 s, with a RabbitMQ of its own
source "$(dirname "$0")/broker.bash"
seconds=${1:-300}

connections() { rabbitmqctl list_connections pid | sort; }
is_empty() { [[ $(rabbitmqctl list_queues name messages | awk '$1 == "jobs" { print $2 }') == 0 ]]; }
is_done() { [[ $(ended | sort | tr '\n' ' ') == "1 2 3 " ]]; }

start_drill "${seconds}s"
for number in 1 2 3; do check "message $number is published" test "$(publish $number | cut -d ' ' -f 2)" = 202; done
check "all three are being worked on" until_true 10 test "$(begun | wc -l)" = 3
start=$(now)
before=$(connections)
check "after $seconds s all three are done" until_true $((seconds + 30)) is_done
echo "# done $(since "$start") s after they began"
check "0 redeliveries" test "$(begun | wc -l)$(redelivered)" = 3
check "the connections are those of the beginning" test "$(connections)" = "$before"
check "the queue is empty" until_true 20 is_empty # the broker counts every few seconds
check "the engine stops on SIGTERM" engine_stop
