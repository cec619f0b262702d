#!/usr/bin/env bash
# MongoDB gets SIGKILL in mid-upload: the upload fails in bounded time, nothing of it is visible, what was acknowledged before is
# there after the restart, and the engine goes on by itself. Then it stands still: for 5 s, which an upload survives; for longer,
# when whoever waits for it is told in bounded time.
#   spec/drills/mongodb.sh     with a MongoDB server of its own
source "$(dirname "$0")/../e2e/lib.bash"
source spec/servers/servers.bash
unset MONGODB_URL
trap 'code=$?; servers stop mongodb; (exit $code); finish' EXIT
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
clip=$BUILD/media/clip-7s.mp4
need "MongoDB starts" servers_start "$work/servers" mongodb
need "the engine starts" engine_start "$work" TIDEMILL_BLOB="$MONGODB_URL"
need "log in" login "$user" "$password"

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
is_ready() { curl -fs -o /dev/null --max-time 10 "$admin/readyz"; }
is_unready() { ! is_ready; }
jobs_listed() { signed "$gateway/jobs" && field '.jobs | length'; }
orphans() { python3 -B spec/e2e/mongo.py "$MONGODB_URL" orphans videos; }
head -c 30000000 /dev/urandom >"$work/large.mp4"
# slowly FILE: uploads it at 3 MB/s in the background
slowly() {
    curl -sS --max-time 120 --limit-rate 3M -o "$work/answer" -D "$work/answer-head" -w '%{http_code}' \
        -H "Authorization: Bearer $token" -F "file=@$1" "$gateway/upload" >"$work/answer-status" 2>/dev/null &
    uploading=$!
}

need "an upload before" upload "$clip"
check "its job ends" until_true 60 has_ended "$job"
before=$job
check "as COMPLETE" test "$(state "$before")" = COMPLETE

slowly "$work/large.mp4"
sleep 4
servers kill mongodb
start=$(now)
wait "$uploading"
echo "# the upload was answered $(cat "$work/answer-status"), $(since "$start") s after the kill"
check "the upload fails as unavailable" test "$(cat "$work/answer-status")" = 503
check "with Retry-After" grep -qi '^Retry-After:' "$work/answer-head"
check "/readyz turns 503" until_true 30 is_unready
check "and names the blob store" grep -q blob <(curl -s --max-time 10 "$admin/readyz")
start=$(now)
signed -X POST -F "file=@$clip" "$gateway/upload"
echo "# an upload without the server is answered $status after $(since "$start") s"
check "it is 503, too" is 503

servers restart mongodb
start=$(now)
check "/readyz is 200 again by itself" until_true 60 is_ready
echo "# recovered $(since "$start") s after the server was there again"
check "the job of before is COMPLETE" test "$(state "$before")" = COMPLETE
mp3=$(field .mp3_fid)
signed "$gateway/download?fid=$mp3"
check "its MP3 is there" is 200
check "nothing of the failed uploads is visible" test "$(jobs_listed)" = 1
check "an upload is 202" upload "$clip"
check "its job ends" until_true 60 has_ended "$job"
check "as COMPLETE" test "$(state "$job")" = COMPLETE
echo "# ids whose chunks wait for the sweep: $(orphans)"

# within SECONDS BOUND
within() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'; }

slowly "$work/large.mp4"
sleep 3
servers freeze mongodb
sleep 5
servers thaw mongodb
wait "$uploading"
check "an upload survives a server that stood still for 5 s: $(cat "$work/answer-status")" \
    test "$(cat "$work/answer-status")" = 202

before=$(signed "$gateway/jobs" && field '.jobs | length')
slowly "$work/large.mp4"
sleep 3
servers freeze mongodb
start=$(now)
signed "$gateway/jobs"
took=$(since "$start")
echo "# a question to a server that stands still is answered $status after $took s"
check "it is 503" is 503
check "in about 10 s" within "$took" 13
wait "$uploading"
took=$(since "$start")
echo "# the upload is answered $(cat "$work/answer-status"), $took s after the server stood still"
check "the upload fails as unavailable" test "$(cat "$work/answer-status")" = 503
check "with Retry-After" grep -qi '^Retry-After:' "$work/answer-head"
check "in about 10 s, and what was on its way to it" within "$took" 16
start=$(now)
signed -X POST -F "file=@$clip" "$gateway/upload"
took=$(since "$start")
echo "# the next upload is answered $status after $took s"
check "it is 503, too" is 503
check "sooner" within "$took" 11
servers thaw mongodb
start=$(now)
check "/readyz is 200 again by itself" until_true 60 is_ready
echo "# recovered $(since "$start") s after the server went on"
check "nothing of the failed uploads is visible" test "$(jobs_listed)" = "$before"
check "an upload is 202" upload "$clip"
check "its job ends" until_true 60 has_ended "$job"
check "as COMPLETE" test "$(state "$job")" = COMPLETE
check "the engine stops on SIGTERM" engine_stop
