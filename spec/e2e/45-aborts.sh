# Clients that go away, are slow or too many, and workers that are killed under them: nothing is left of what was not finished.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_LIMITS_HEAD_TIMEOUT=2s TIDEMILL_LIMITS_CONNECTIONS_PER_ADDRESS=40
need "log in" login "$user" "$password"

workers() { cat "/proc/$engine_pid/task/$engine_pid/children"; }
# Files below a bucket that a worker has open: uploads and downloads in flight.
open_files() {
    local pid
    for pid in $(workers); do readlink "/proc/$pid/fd/"* 2>/dev/null; done | grep -c "/blobs/\(videos\|mp3s\|\.tmp/\|#\)"
}
none_open() { (($(open_files) == 0)); }
stored() { find "$work/data/blobs" -type f ! -name 'index.db*' ! -name .sweep | wc -l; }
descriptors() {
    local pid
    for pid in $(workers); do ls "/proc/$pid/fd"; done | wc -l
}

# clients WHAT COUNT: spec/e2e/clients.py against the gateway, with the token
clients() { python3 spec/e2e/clients.py "${gateway#http://}" "$token" "$@"; }

need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
need "its job ends" until_true 60 has_ended "$job"
mp3=$(field .mp3_fid)
before=$(stored)

for how in close reset half chunked; do
    check "uploads that end by $how in the middle" clients upload "$how" 10
    check "are let go" until_true 10 none_open
    check "and leave no file" test "$(stored)" = "$before"
done
check "downloads whose clients go away" clients download "$mp3" 10
check "are let go" until_true 10 none_open
signed "$gateway/jobs"
check "there is one job" test "$(field '.jobs | length')" = 1

check "a head that drips is 408" clients drip-head
check "the connections of an address are limited, further ones closed" clients crowd 40 "$(workers | wc -w)"
check "then there is room again" until_true 10 upload "$BUILD/media/clip-7s.mp4"
check "its job ends" until_true 60 has_ended "$job"

sleep 1
first=$(descriptors)
check "a hundred more aborts" clients upload close 100
check "are let go" until_true 10 none_open
few_more() { (($(descriptors) <= first + 8)); }
check "no descriptor is lost" until_true 70 few_more

check "a flood of requests is answered, and /healthz meanwhile" clients flood 20000 "${admin#http://}"

# A worker dies under its clients: another takes its place, the uploads are gone, the engine goes on.
visible() { find "$work/data/blobs/videos" "$work/data/blobs/mp3s" -type f | wc -l; }
before=$(visible)
clients upload hold 6 &
holder=$!
six_open() { (($(open_files) == 6)); }
check "six uploads are under way" until_true 10 six_open
for pid in $(workers); do kill -KILL "$pid"; done
wait "$holder"
is_ready() { request "$admin/readyz" && is 200; }
check "killed workers are replaced" until_true 10 is_ready
check "nothing of their uploads is left" test "$(visible)" = "$before"
need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
check "its job ends" until_true 60 has_ended "$job"
check "the engine stops on SIGTERM" engine_stop
