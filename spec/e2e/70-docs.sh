# The documents are true: the lines of docs/http-api.md run, and docs/operations.md has every setting and every metric.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work"

# ---- docs/http-api.md: its lines, one after the other, as a reader would type them ----

mkdir "$work/reader"
cp "$BUILD/media/clip-7s.mp4" "$work/reader/video.mp4"
{
    echo "curl() { command curl --fail-with-body --max-time 60 \"\$@\"; }"
    sed -n '/^```bash$/,/^```$/{/^```/d;p}' docs/http-api.md |
        sed "s|http://127.0.0.1:8080|$gateway|g; s|http://127.0.0.1:5000|$auth|g"
} >"$work/lines.sh"
check "docs/http-api.md has lines to run" test "$(grep -c curl "$work/lines.sh")" -gt 10
# The one line that is to fail shows a problem: it may.
sed -i 's|^\(curl .*/jobs/nonsense\)$|\1 \|\| true|' "$work/lines.sh"
(cd "$work/reader" && timeout $((120 * SLOWNESS)) bash -euo pipefail "$work/lines.sh") >"$work/body" 2>"$work/reader.err"
status=$?
check "they succeed: $(tr '\n' ' ' <"$work/reader.err" | head -c 300)" is 0
check "the MP3 is there, also under its own name" cmp -s "$work/reader/output.mp3" "$work/reader/video.mp3"
check "and the start of it" test "$(stat -c %s "$work/reader/start.mp3")" = 1024
check "the problem is the one that the page shows" grep -qF -- "$(sed -n 's/^# \({"type".*"detail".*}\)$/\1/p' docs/http-api.md)" "$work/body"

# ---- docs/operations.md: its tables, and what the engine says of itself ----

kill -KILL "$(process_tree "$engine_pid" | sed -n 2p)" # a worker, so that a restart is counted
restarted() { curl -fsS "$admin/metrics" | grep -q '^tidemill_worker_restarts_total'; }
check "a worker's restart is counted" until_true 20 restarted
request -X POST "$admin/-/reload"
check "a reload is counted" is 200
python3 spec/e2e/docs.py "$BUILD/tidemill" "$admin/metrics" || ((failures += 1))
check "the engine stops on SIGTERM" engine_stop
