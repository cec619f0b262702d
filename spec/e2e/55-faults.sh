# A worker is killed exactly where one step of a job has happened and the next one has not (core/base/fault.h): each job that was
# taken is done, once, and of others nothing is left.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
clip=$BUILD/media/clip-7s.mp4 faults=$work/faults
mkdir "$faults"
binary=$BUILD/armed/tidemill
need "the engine starts" engine_start "$work" TIDE_FAULTS="$faults"
need "log in" login "$user" "$password"

arm() { touch "${@/#/$faults/}"; }
fired() { [[ ! -e $faults/$1 ]]; }
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

# ---- converter and notification: whichever job comes by ----

points=(media.transcoded blob.written.mp3s blob.committed.mp3s queue.published.mp3 queue.handled.video mail.sent queue.handled.mp3)
if [[ ${PROFILE:-embedded} == cluster ]]; then points+=(gridfs.chunks.mp3s.files); fi
all_complete() { signed "$gateway/jobs" && is 200 && [[ $(field '[.jobs[] | select(.state != "COMPLETE")] | length') == 0 ]]; }
idle() { [[ $(queued ready delayed leased dead) == 0 ]]; }
settled() { all_complete && idle; }
for point in "${points[@]}"; do
    arm "$point"
    check "an upload is taken" until_true 30 upload "$clip"
    check "one dies at $point" until_true 60 fired "$point"
    # A broker delivers again at once, and a second death would make another one's e-mail go twice; a lease takes 30 s.
    if [[ ${PROFILE:-embedded} == cluster ]]; then check "its jobs are done" until_true 240 settled; fi # its claim on an e-mail lasts 150 s
done
check "all jobs are COMPLETE, the queues empty" until_true 240 settled
signed "$gateway/jobs"
total=$(field '.jobs | length')
# An upload whose answer was lost with a worker is a job, too.
check "these are the two from before, and one for each point at least" test "$total" -ge $((2 + ${#points[@]}))
check "each has an MP3 of its own" test "$(field '[.jobs[].mp3_fid] | unique | length')" = "$total"
mailed() { [[ $(mails | xargs grep -hi '^Message-ID:' | sort -u | wc -l) == "$total" ]]; }
check "there is an e-mail for each job" until_true 240 mailed
# By SMTP a death between the server's 250 and the note costs a second one with the same Message-ID: nothing can prevent that. Here
# it is at mail.sent, and may be at any point, as the worker that dies there may be sending another one's.
if [[ ${PROFILE:-embedded} == cluster ]]; then
    twice() { local count=$(($(mails | wc -l) - total)) && ((count >= 1 && count <= ${#points[@]})); }
    check "some went twice, for each death one at most" until_true 240 twice
else
    check "there is one e-mail a job" mail_count "$total"
fi
check "the engine stops on SIGTERM" engine_stop
