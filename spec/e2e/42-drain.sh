# SIGTERM under way: what was let in is finished, through every bundle that it needs, and nothing new is let in.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_GRACE=60s
need "log in" login "$user" "$password"

# Slow uploads: their first step is a call to auth, their last one a message to the queue.
for i in 1 2 3 4; do
    curl -sS --max-time $((60 * SLOWNESS)) --limit-rate $((150 / SLOWNESS))k -o "$work/slow.$i" -w '%{http_code}' -H "Authorization: Bearer $token" \
        -F "file=@$BUILD/media/clip-7s.mp4" "$gateway/upload" >"$work/status.$i" &
    slow[i]=$!
done
under_way() { (($(find "$work"/status.* -empty | wc -l) == 4)) && (($(uploads) == 4)); }
uploads() { # that have reached the handler
    local pid
    if [[ $PROFILE == cluster ]]; then
        curl -sS "$admin/metrics" | awk '/^tidemill_http_connections\{.*"gateway"/ { n += $2 } END { print n + 0 }'
        return
    fi
    for pid in $(cat "/proc/$engine_pid/task/$engine_pid/children"); do readlink "/proc/$pid/fd/"* 2>/dev/null; done |
        grep -c '/blobs/\.tmp/'
}
need "four uploads are under way" until_true 10 under_way
kill -TERM "$engine_pid"
is_stopping() { request "$admin/readyz" && is 503 && [[ $(field '.missing[0]') == "engine: stopping" ]]; }
check "/readyz is 503" until_true 5 is_stopping
check "answers say Connection: close" test "$(header Connection)" = close
is_refused() { ! curl -s -o /dev/null --max-time $((5 * SLOWNESS)) "$gateway/jobs"; }
check "the door is closed" until_true 5 is_refused
request -X POST "$auth/validate" -H "Authorization: Bearer $token"
check "what the door needs still answers" is 200
for i in 1 2 3 4; do
    wait "${slow[i]}"
    check "upload $i is 202" test "$(cat "$work/status.$i")" = 202
done
engine_ended() { wait "$engine_pid"; }
check "the engine ends well" engine_ended
engine_pid=

need "the engine starts again" engine_spawn "$work"
for i in 1 2 3 4; do
    job=$(jq -r .job "$work/slow.$i")
    check "job $i ends" until_true 60 has_ended "$job"
    check "it is COMPLETE" test "$(state "$job")" = COMPLETE
done
check "there are four e-mails" until_true 30 mail_count 4
check "nothing was tried twice" test -z "$(grep '"event":"message"' "$work/engine.log" | grep -v '"attempt":1,')"
check "the engine stops on SIGTERM" engine_stop

# ---- behind a balancer, which needs a while until it sends nobody here any more ----

need "the engine starts with a delay" engine_spawn "$work" TIDEMILL_DRAIN_DELAY=$((3 * SLOWNESS))s TIDEMILL_GRACE=60s
began=$EPOCHREALTIME
kill -TERM "$engine_pid"
check "/readyz is 503 at once" until_true 2 is_stopping
signed "$gateway/jobs"
check "who comes now is served" is 200
check "and told to come back elsewhere" test "$(header Connection)" = close
check "then the door is closed" until_true 10 is_refused
check "not before the delay" awk "BEGIN { exit !($EPOCHREALTIME - $began >= 3 * $SLOWNESS) }"
check "the engine ends well" engine_ended
engine_pid=
