# A disk that is full: 507, nothing half-stored, and all goes on once there is space. For real: small file systems of its own,
# in a mount namespace (a user namespace without root).
if [[ -z ${TIDE_NAMESPACE:-} ]]; then
    for unshare in "unshare -m" "unshare -rm"; do
        if $unshare mount -t tmpfs -o size=1m tmpfs /mnt 2>/dev/null; then
            TIDE_NAMESPACE=1 exec $unshare bash "$0"
        fi
    done
    echo "# skipped: this machine lets nobody mount a file system, not even in a namespace of its own"
    exit 0
fi
source "$(dirname "$0")/lib.bash"
data=$work/data queue=$work/queue
mkdir "$data" "$queue"
trap 'umount -l "$data" "$queue"; finish' EXIT
need "a small disk for the data" mount -t tmpfs -o size=24m,mode=0700 tmpfs "$data"
need "and one for the queue" mount -t tmpfs -o size=4m,mode=0700 tmpfs "$queue"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_QUEUE="sqlite:$queue/queue.db"
need "log in" login "$user" "$password"

clip=$BUILD/media/clip-7s.mp4
fill() { dd if=/dev/zero of="$1/filler" bs=4k status=none 2>/dev/null; [[ -s $1/filler ]]; }
used() { df --output=used -k "$data" | tail -n 1; }
no_files() { [[ -z $(find "$data/blobs/videos" "$data/blobs/.tmp" -type f ! -name .sweep 2>/dev/null) ]]; }
no_jobs() { signed "$gateway/jobs" && is 200 && [[ $(field '.jobs | length') == 0 ]]; }
is_ready() { request "$admin/readyz" && is 200; }
# The space of a file that is gone comes back when its writer is closed.
is_empty_again() { (($(used) < before + 1024)); }

before=$(used)
head -c 40M /dev/zero >"$work/large.mp4"
signed -X POST -F "file=@$work/large.mp4" "$gateway/upload"
check "an upload that is larger than the disk is 507, a problem" is_problem 507
check "it leaves no file" no_files
check "and no job" no_jobs
check "its space is free again" until_true 10 is_empty_again
signed -X POST -H "Transfer-Encoding: chunked" -F "file=@$work/large.mp4" "$gateway/upload"
check "without a length it is 507 too" is_problem 507
check "and leaves nothing" no_files
check "the engine is ready" is_ready

need "the disk is filled to the last byte" fill "$data"
signed -X POST -F "file=@$clip" "$gateway/upload"
check "a small upload is 507" is_problem 507
check "it leaves no file" no_files
check "and no job" no_jobs
check "one can still log in" login "$user" "$password"
signed "$gateway/download?fid=0123456789abcdef01234567"
check "and look for files" is_problem 404
check "the engine is healthy" test "$(curl -s -o /dev/null -w '%{http_code}' "$admin/healthz")" = 200
rm "$data/filler"
need "with space again, an upload is 202" upload "$clip"
check "its job ends" until_true 60 has_ended "$job"
check "it is COMPLETE" test "$(state "$job")" = COMPLETE
check "its e-mail came" until_true 30 mail_count 1
done_before=$job

need "the queue's disk is filled" fill "$queue"
before=$(find "$data/blobs/videos" -type f | wc -l)
signed -X POST -F "file=@$clip" "$gateway/upload"
check "an upload whose message can't be stored is 507" is_problem 507
check "its video is gone" test "$(find "$data/blobs/videos" -type f | wc -l)" = "$before"
signed "$gateway/jobs"
check "and its job" test "$(field '.jobs | length')" = 1
rm "$queue/filler"
need "with space again, an upload is 202" upload "$clip"
check "its job ends" until_true 60 has_ended "$job"
check "it is COMPLETE" test "$(state "$job")" = COMPLETE
check "the earlier one still is" test "$(state "$done_before")" = COMPLETE
check "there are two e-mails" until_true 30 mail_count 2

# No space for the MP3, but for the video: the job waits for space, and is done then.
need "a job for later" test -n "$token"
free=$(df --output=avail -k "$data" | tail -n 1)
dd if=/dev/zero of="$data/filler" bs=1k count=$((free - $(stat -c %s "$clip") / 1024 - 100)) status=none
if upload "$clip"; then
    sleep 2
    check "a job without space for its MP3 is not lost" test "$(state "$job")" != COMPLETE
    rm "$data/filler"
    check "with space again it ends" until_true 60 has_ended "$job"
    check "it is COMPLETE" test "$(state "$job")" = COMPLETE
fi
check "nothing is left of what failed" test -z "$(find "$data/blobs/.tmp" -type f ! -name .sweep)"
check "the engine stops on SIGTERM" engine_stop
