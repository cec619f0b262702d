#!/usr/bin/env bash
# Somebody deletes the queue with an upload's message in it: nobody has it then. The job gives no sign of life, and the gateway sends
# it again.
#   spec/drills/message-lost.sh     with servers of its own
if [[ -z ${SMTP_MAILDIR:-} ]]; then
    exec python3 -B "$(dirname "$0")/../servers" run bash "$0"
fi
export PROFILE=cluster
source "$(dirname "$0")/../e2e/lib.bash"
converter_pid=
trap 'kill $converter_pid 2>/dev/null; wait; finish' EXIT

start_converter() { # PORT
    env TIDEMILL_DATA="$work/converter" TIDEMILL_BUNDLES=converter TIDEMILL_WORKERS=1 TIDEMILL_LISTEN_ADMIN="127.0.0.1:$1" \
        "${backends[@]}" "$BUILD/tidemill" run </dev/null >>"$work/engine.log" 2>&1 &
    converter_pid=$!
    until_true 20 curl -fs -o /dev/null "127.0.0.1:$1/readyz"
}
delete_queue() { # of the prefix that the engines have; the management API can do that
    local name
    name=$(curl -fsS "$RABBITMQ_MANAGEMENT_URL/api/queues/%2F" | jq -r '.[].name' | grep -E '(^|\.)video$')
    curl -fsS -X DELETE "$RABBITMQ_MANAGEMENT_URL/api/queues/%2F/$name"
}
is_complete() { [[ $(state "$job") == COMPLETE ]]; }

need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts, without a converter" engine_start "$work" TIDEMILL_BUNDLES=auth,gateway,notification \
    TIDEMILL_GATEWAY_RESEND_AFTER=5
need "log in" login "$user" "$password"
need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
need "its message is in the queue" until_true 10 test "$(queued ready)" = 1
need "the queue is deleted" delete_queue
start=$(date +%s.%N)
need "a converter starts" start_converter "$(free_ports 1)"
check "the job is COMPLETE" until_true 120 is_complete
awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "# recovery: %.1f s after the deletion\n", b - a }'
check "it was sent again" grep -qF '"job sent again, as it gave no sign of life"' "$work/engine.log"
check "one e-mail comes" until_true 60 mail_count 1
check "the engine stops on SIGTERM" engine_stop
