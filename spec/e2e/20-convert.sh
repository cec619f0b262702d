# One video all the way: upload, convert, e-mail, download; and what can't be converted.
source "$(dirname "$0")/lib.bash"
need "the clips are there" spec/media/generate "$BUILD/media" clip-7s.mp4 silent.mp4
need "the engine starts" engine_start "$work"
need "log in" login "$user" "$password"
clip=$BUILD/media/clip-7s.mp4

# ---- the job ----

signed "$gateway/jobs"
check "there is no job at first: an empty list" test "$(cat "$work/body")" = '{"jobs":[]}'
need "an upload is 202" upload "$clip"
check "it names the job, the video and where to look" test "$(field '.video_fid + .status_url')" = "$job/jobs/$job"
check "the job is the video's id, 24 hex digits" grep -qE '^[0-9a-f]{24}$' <<<"$job"
check "Location is the job" test "$(header Location)" = "/jobs/$job"
states=
ended() {
    local now
    now=$(state "$job")
    if [[ $states != *" $now" ]]; then states+=" $now"; fi
    if [[ $now == PROGRESSING ]]; then percents+=" $(field .percent)"; fi
    [[ $now =~ ^(COMPLETE|ERROR)$ ]]
}
percents=
check "the job ends" until_true 60 ended
check "its states come in order: $states" grep -qE '^( SUBMITTED)?( QUEUED)?( PROGRESSING)? COMPLETE$' <<<"$states"
check "a percent is a whole number:$percents" test -z "$(tr ' ' '\n' <<<"$percents" | grep -vE '^([0-9]{1,2}|100)?$')"
check "the finished job tells all about itself" test "$(jq -c '[.job, .video_fid, .name, .length, .username, .percent]' "$work/body")" = \
    "[\"$job\",\"$job\",\"clip-7s.mp4\",$(stat -c %s "$clip"),\"$user\",100]"
mp3=$(field .mp3_fid)
check "and of its MP3, 24 hex digits" grep -qE '^[0-9a-f]{24}$' <<<"$mp3"
signed "$gateway/jobs"
check "the job is in the list" test "$(field '.jobs[0].job')" = "$job"

check "one e-mail comes" until_true 30 mail_count 1
mail=$(mails | head -n 1)
check "it is to the user" grep -qi "^To:.*$user" "$mail"
check "its subject is MP3 Download" grep -q "^Subject: MP3 Download" "$mail"
check "it names the file" grep -q "$mp3" "$mail"
check "it tells how to fetch it" grep -q "$gateway/download?fid=" <(python3 -c '
import email, email.policy, sys
message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
print(message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content())' "$mail")

# ---- the download ----

download() { signed "$@" "$gateway/download?fid=$mp3"; }
download
check "the download is 200" is 200
check "it has the length that it says" test "$(header Content-Length)" = "$(stat -c %s "$work/body")"
check "its type is audio/mpeg" test "$(header Content-Type)" = audio/mpeg
check "it takes ranges" test "$(header Accept-Ranges)" = bytes
check "it is an attachment with the video's name" test "$(header Content-Disposition)" = \
    "attachment; filename=\"clip-7s.mp3\"; filename*=UTF-8''clip-7s.mp3"
check "it is MP3" test "$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$work/body")" = mp3
check "it is 7 s long" awk -v d="$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$work/body")" \
    'BEGIN { exit !(d > 6.8 && d < 7.2) }'
cp "$work/body" "$work/whole"
etag=$(header ETag) size=$(stat -c %s "$work/whole")
check "the ETag is a strong one" grep -qE '^"[^"]+"$' <<<"$etag"

# part FROM LENGTH: the answer is 206 with these bytes
part() {
    is 206 && [[ $(header Content-Range) == "bytes $1-$(($1 + $2 - 1))/$size" && $(header Content-Length) == "$2" ]] &&
        cmp -s "$work/body" <(tail -c +$(($1 + 1)) "$work/whole" | head -c "$2")
}
whole() { is 200 && cmp -s "$work/body" "$work/whole"; }
download -r 100-199
check "a range is 206 with its bytes" part 100 100
download -r 0-0
check "a range of one byte" part 0 1
download -r "$((size - 10))-"
check "a range to the end" part $((size - 10)) 10
download -r -7
check "a range from the end" part $((size - 7)) 7
download -r "10-$((size * 2))"
check "a range that goes too far ends at the end" part 10 $((size - 10))
download -r "$size-"
check "a range behind the end is 416, a problem" is_problem 416
check "it tells the length" test "$(header Content-Range)" = "bytes */$size"
for odd in bytes=2-1 bytes=a-b lines=1-2 bytes=0-1,4-5; do
    download -H "Range: $odd"
    check "Range: $odd is answered with the whole" whole
done
download -r 5-9 -H "If-Range: $etag"
check "If-Range with the same ETag gives the range" part 5 5
download -r 5-9 -H 'If-Range: "another"'
check "If-Range with another gives the whole" whole
for known in "$etag" "W/$etag" "\"x\", $etag" "*"; do
    download -H "If-None-Match: $known"
    check "If-None-Match: $known is 304 without a body" test "$status $(stat -c %s "$work/body") $(header ETag)" = "304 0 $etag"
done
download -H 'If-None-Match: "x"'
check "another If-None-Match gives the whole" whole
signed -I "$gateway/download?fid=$mp3"
check "HEAD tells the same length" test "$status $(header Content-Length)" = "200 $size"
signed -I "$gateway/jobs/$job"
check "HEAD of a job is 200" is 200

# ---- names: what a client may send, and what it gets back ----

attachment() { printf "attachment; filename=\"%s\"; filename*=UTF-8''%s" "$1" "$2"; }
while IFS='|' read -r what sent plain encoded; do
    printf -- "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"$sent\"\r\n\r\n" >"$work/form"
    cat "$clip" >>"$work/form"
    printf -- "\r\n--B--\r\n" >>"$work/form"
    signed -X POST -H "Content-Type: multipart/form-data; boundary=B" --data-binary "@$work/form" "$gateway/upload"
    job=$(field .job)
    until_true 60 has_ended "$job"
    signed -I "$gateway/download?fid=$(field .mp3_fid)"
    check "the name of a file $what" test "$(header Content-Disposition)" = "$(attachment "$plain" "$encoded")"
    check "it adds no header" test "$status $(grep -ci '^x-evil' "$work/head")" = "200 0"
done <<'EOF'
with quotes|a\\"b.mp4|a_b.mp3|a%22b.mp3
with quotes as browsers send them|a%%22b.mp4|a_b.mp3|a%22b.mp3
with line ends as browsers send them|a%%0D%%0AX-Evil: 1.mp4|aX-Evil: 1.mp3|aX-Evil%3A%201.mp3
in UTF-8|na\xc3\xafve \xe2\x98\x83.mp4|na_ve _.mp3|na%C3%AFve%20%E2%98%83.mp3
with a path|../../etc/x.mp4|x.mp3|x.mp3
with a path of Windows|C:\\\\dir\\\\y.mp4|y.mp3|y.mp3
with a semicolon|a;b=c.mp4|a;b=c.mp3|a%3Bb%3Dc.mp3
that hides|.mp4|.mp3|.mp3
without an extension|video|video.mp3|video.mp3
EOF

# ---- the list, page by page ----

signed "$gateway/jobs?limit=4"
check "a page has as many jobs as asked for" test "$(field '.jobs | length')" = 4
next=$(field .next)
all=$(jq -r '.jobs[].job' "$work/body")
while [[ -n ${next:-} && $next != null ]]; do
    signed "$gateway$next"
    all+=$'\n'$(jq -r '.jobs[].job' "$work/body")
    next=$(jq -r .next "$work/body")
done
signed "$gateway/jobs"
check "the pages are the list" test "$all" = "$(jq -r '.jobs[].job' "$work/body")"
check "ten jobs, each once" test "$(sort -u <<<"$all" | wc -l)" = 10
check "newest first" test "$(head -n 1 <<<"$all")" = "$job"

# ---- what can't be converted ----

until_true 30 mail_count 10
check "a video without sound is taken" upload "$BUILD/media/silent.mp4"
check "its job ends" until_true 30 has_ended "$job"
check "in ERROR with the code no_audio and the reason" test "$(field '.state + " " + .code + " " + (.reason | length > 5 | tostring)')" = \
    "ERROR no_audio true"
printf 'no video at all\n' >"$work/note.txt"
check "a text file is taken" upload "$work/note.txt"
check "its job ends too" until_true 30 has_ended "$job"
check "in ERROR as unsupported" test "$(field '.state + " " + .code')" = "ERROR unsupported"
head -c $(($(stat -c %s "$clip") / 2)) "$clip" >"$work/cut.mp4"
check "a truncated video is taken" upload "$work/cut.mp4"
check "its job ends as well" until_true 30 has_ended "$job"
check "in ERROR as corrupt" test "$(field '.state + " " + .code')" = "ERROR corrupt"
check "each is one dead letter" test "$(queued ready delayed leased dead)" = 3
check "the next one is converted" upload "$clip"
check "its job ends at once" until_true 30 has_ended "$job"
check "it is COMPLETE" test "$(field .state)" = COMPLETE
check "there is no e-mail for failures" until_true 30 mail_count 11

check "the engine stops on SIGTERM" engine_stop
