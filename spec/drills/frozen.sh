#!/usr/bin/env bash
# Two converters on one broker, as two pods are. One is frozen in the middle of a job for longer than the broker waits for it: the
# other one does the job. When the first goes on, it finds the job done, and changes nothing.
#   spec/drills/frozen.sh     with servers of its own
if [[ -z ${SMTP_MAILDIR:-} ]]; then
    exec python3 -B "$(dirname "$0")/../servers" run bash "$0"
fi
export PROFILE=cluster
source "$(dirname "$0")/../e2e/lib.bash"
FREEZE=60 # seconds: with the heartbeat of 10 s the broker gives a connection up after 20 to 30
pids=() frozen=()
trap 'kill -CONT "${frozen[@]}" 2>/dev/null; kill "${pids[@]}" 2>/dev/null; wait "${pids[@]}" 2>/dev/null; finish' EXIT

converter() { # PORT: an engine of its own
    env TIDEMILL_DATA="$work/converter-$1" TIDEMILL_BUNDLES=converter TIDEMILL_WORKERS=1 TIDEMILL_LISTEN_ADMIN="127.0.0.1:$1" \
        "${backends[@]}" "$BUILD/tidemill" run </dev/null >>"$work/converter-$1.log" 2>&1 &
    pids+=($!)
    until_true 20 curl -fs -o /dev/null "127.0.0.1:$1/readyz"
}
converting() { # the processes of the converter that is at work, in $frozen
    local pid
    for pid in "${pids[@]}"; do
        mapfile -t frozen < <(process_tree "$pid")
        if ((${#frozen[@]} > 2)); then return 0; fi
    done
    return 1
}
idle_converters() { ! converting; }
is_complete() { [[ $(state "$job") == COMPLETE ]]; }
idle() { [[ $(queued ready delayed leased dead) == 0 ]]; }
job_unchanged() { signed "$gateway/jobs/$job" && test "$(jq -S . "$work/body")" = "$before"; }

need "the clip is there" spec/media/generate "$BUILD/media" long.mp4
need "the engine starts, without a converter" engine_start "$work" TIDEMILL_BUNDLES=auth,gateway,notification
for port in $(free_ports 2); do need "a converter starts" converter "$port"; done
need "log in" login "$user" "$password"
need "an upload is 202" upload "$BUILD/media/long.mp4"
need "a converter is at work" until_true 30 converting
victims=("${frozen[@]}")
kill -STOP "${victims[@]}"
start=$(date +%s.%N)
check "frozen, its job is COMPLETE by the other one" until_true 120 is_complete
awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "# recovery: %.1f s after the freeze\n", b - a }'
before=$(jq -S . "$work/body") mp3=$(field .mp3_fid)
check "one e-mail comes" until_true 60 mail_count 1
sleep $((FREEZE - ($(date +%s) - ${start%.*}) > 0 ? FREEZE - ($(date +%s) - ${start%.*}) : 0))
kill -CONT "${victims[@]}"
check "the frozen one ends its work, too" until_true 120 idle_converters
check "the queues are empty" until_true 60 idle
check "the job is as it was" job_unchanged
check "there is one e-mail" mail_count 1
signed "$gateway/download?fid=$mp3"
check "the MP3 is whole" awk -v d="$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$work/body")" \
    'BEGIN { exit !(d > 1199.5 && d < 1200.5) }'
check "the engine stops on SIGTERM" engine_stop
