# SIGKILL of everything in mid-job: after the restart the job completes, once.
source "$(dirname "$0")/lib.bash"
long=$BUILD/media/long.mp4
need "the clip is there" spec/media/generate "$BUILD/media" long.mp4
need "the engine starts" engine_start "$work"
need "log in" login "$user" "$password"
need "an upload is 202" upload "$long"
is_at() { [[ $(state "$job") == "$1" ]]; }
need "the job is under way" until_true 30 is_at PROGRESSING
engine_kill
need "the engine starts again after SIGKILL" engine_spawn "$work"
check "the token is still good" test -n "$(state "$job")"
check "the job ends" until_true 150 has_ended "$job"
check "it is COMPLETE" is_at COMPLETE
mp3=$(field .mp3_fid)
check "one e-mail comes" until_true 30 mail_count 1
signed "$gateway/download?fid=$mp3"
check "the MP3 is whole" awk -v d="$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$work/body")" \
    'BEGIN { exit !(d > 1199.5 && d < 1200.5) }'
# Done and told once: a second restart finds nothing to do.
engine_kill
need "the engine starts a third time" engine_spawn "$work"
sleep 3
check "still COMPLETE" is_at COMPLETE
check "still one e-mail" mail_count 1
check "the engine stops on SIGTERM" engine_stop
