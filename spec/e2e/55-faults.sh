# A worker is killed exactly where one step of a job has happened and the next one has not (core/base/fault.h): each job that was
# taken is done, once, and of others nothing is left.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
clip=$BUILD/media/clip-7s.mp4 faults=$work/faults
mkdir "$faults"
BUILD=$BUILD/armed
need "the engine starts" engine_start "$work" TIDE_FAULTS="$faults"
need "log in" login "$user" "$password"

arm() { touch "${@/#/$faults/}"; }
fired() { [[ ! -e $faults/$1 ]]; }
all_fired() { [[ -z $(ls "$faults") ]]; }
job_count() { signed "$gateway/jobs" && is 200 && [[ $(field '.jobs | length') == "$1" ]]; }
dies() { # the worker, in an upload, at this point
    arm "$1"
    signed -X POST -F "file=@$clip" "$gateway/upload"
    fired "$1" && [[ $status == 000 ]]
}

# ---- the gateway: the client gets no answer ----

check "a worker dies between a video's bytes and its visibility" dies blob.written.videos
check "nothing of it is seen" job_count 0
if [[ ${PROFILE:-embedded} == cluster ]]; then
    check "one dies between a video's last chunk and its document" dies gridfs.chunks.videos.files
    check "nothing of it is seen, either" job_count 0
fi
check "one dies between the video and its message" dies blob.committed.videos
check "the job is kept" job_count 1
check "one dies between the message and the note that it is out" dies queue.published.video
check "that job is kept, too" job_count 2

# ---- converter and notification: a point each, whichever job comes by ----

points=(media.transcoded blob.written.mp3s blob.committed.mp3s queue.published.mp3 queue.handled.video mail.sent queue.handled.mp3)
if [[ ${PROFILE:-embedded} == cluster ]]; then points+=(gridfs.chunks.mp3s.files); fi
arm "${points[@]}"
for ((tries = 0, taken = 0; taken < 6 && tries < 60; tries++)); do
    if upload "$clip"; then ((taken += 1)); else sleep 0.2; fi
done
check "six uploads are taken meanwhile" test "$taken" = 6
check "a worker died at each of ${points[*]}" until_true 200 all_fired
# An upload whose answer was lost with a worker is a job all the same.
all_complete() { signed "$gateway/jobs" && is 200 && [[ $(field '[.jobs[] | select(.state != "COMPLETE")] | length') == 0 ]]; }
check "all jobs are COMPLETE" until_true 200 all_complete
total=$(field '.jobs | length')
check "these are the six, the two from before, and at most those that died with a worker" test "$total" -ge 8
check "each has an MP3 of its own" test "$(field '[.jobs[].mp3_fid] | unique | length')" = "$total"
idle() { [[ $(queued ready delayed leased dead) == 0 ]]; }
check "the queues are empty" until_true 60 idle
mailed() { [[ $(mails | xargs grep -hi '^Message-ID:' | sort -u | wc -l) == "$total" ]]; }
check "there is an e-mail for each job" mailed
# By SMTP, the death between the server's 250 and the note costs a second one with the same Message-ID: nothing can prevent that.
twice=0
if [[ ${PROFILE:-embedded} == cluster ]]; then twice=1; fi
check "there is one e-mail a job, and $twice more" mail_count $((total + twice))
check "the engine stops on SIGTERM" engine_stop
