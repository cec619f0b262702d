# One video all the way: upload, convert, e-mail, download; and one that can't be converted.
source "$(dirname "$0")/lib.bash"
need "the clips are there" spec/media/generate "$BUILD/media" clip-7s.mp4 silent.mp4
need "the engine starts" engine_start "$work"
need "log in" login "$user" "$password"

need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
check "it names the job, the video and where to look" test "$(field '.video_fid + .status_url')" = "$job/jobs/$job"
check "Location is the job" test "$(header Location)" = "/jobs/$job"
check "the job ends" until_true 60 has_ended "$job"
check "it is COMPLETE" test "$(state "$job")" = COMPLETE
mp3=$(field .mp3_fid)
signed "$gateway/jobs"
check "the job is in the list" grep -q "$job" "$work/body"

check "one e-mail comes" until_true 30 mail_count 1
mail=$(mails | head -n 1)
check "it is to the user" grep -qi "^To:.*$user" "$mail"
check "its subject is MP3 Download" grep -q "^Subject: MP3 Download" "$mail"
check "it names the file" grep -q "$mp3" "$mail"

signed "$gateway/download?fid=$mp3"
check "the download is 200" is 200
check "it has the length that it says" test "$(header Content-Length)" = "$(stat -c %s "$work/body")"
check "it is an attachment with the video's name" grep -qi '^Content-Disposition: attachment.*clip-7s\.mp3' "$work/head"
check "it is MP3" test "$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$work/body")" = mp3
check "it is 7 s long" awk -v d="$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$work/body")" \
    'BEGIN { exit !(d > 6.8 && d < 7.2) }'
cp "$work/body" "$work/whole"
etag=$(header ETag)
signed -r 100-199 "$gateway/download?fid=$mp3"
check "a range is 206" is 206
check "a range has its bytes" cmp -s "$work/body" <(tail -c +101 "$work/whole" | head -c 100)
signed -H "If-None-Match: $etag" "$gateway/download?fid=$mp3"
check "what is known already is 304" is 304
signed -I "$gateway/download?fid=$mp3"
check "HEAD tells the same length" test "$(header Content-Length)" = "$(stat -c %s "$work/whole")"

check "a video without sound is taken" upload "$BUILD/media/silent.mp4"
check "its job ends" until_true 30 has_ended "$job"
check "in ERROR" test "$(state "$job")" = ERROR
check "with the code no_audio" test "$(field .code)" = no_audio
printf 'no video at all\n' >"$work/note.txt"
check "a text file is taken" upload "$work/note.txt"
check "its job ends too" until_true 30 has_ended "$job"
check "in ERROR as well" test "$(state "$job")" = ERROR
check "there is no e-mail for failures" mail_count 1

check "the engine stops on SIGTERM" engine_stop
