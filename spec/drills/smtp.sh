#!/usr/bin/env bash
# The mail server answers 4xx for a while, then 5xx: the first e-mail comes late, the second is a dead letter at once with the
# server's words, and comes when it is sent again.
#   spec/drills/smtp.sh     with an SMTP server of its own
if [[ -z ${SMTP_BEHAVIOUR:-} ]]; then
    exec env -u SMTP_URL python3 -B "$(dirname "$0")/../servers" run bash "$0"
fi
source "$(dirname "$0")/../e2e/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
clip=$BUILD/media/clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_MAIL="$SMTP_URL?tls=required&cacert=$SERVERS_CA" \
    TIDEMILL_MAIL_FROM=mill@example.com
need "log in" login "$user" "$password"

behave() { rm -f "$SMTP_BEHAVIOUR"; if (($# > 0)); then echo "$*" >"$SMTP_BEHAVIOUR"; fi; }
arrived() { [[ $(grep -lF "$1" "$SMTP_MAILDIR"/new/* 2>/dev/null | wc -l) == 1 ]]; }
seen() { grep -F '"queue":"mp3"' "$work/engine.log" | grep -F "\"outcome\":\"$1\"" | grep -qF "$2"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
convert() {
    upload "$clip" && until_true 60 has_ended "$job" && mp3=$(field .mp3_fid)
}

behave RCPT 451 4.3.0 come back later
check "a job is done while the server answers 451" convert
check "its e-mail is tried again" until_true 60 seen retry "451 4.3.0 come back later"
check "and did not go out" test -z "$(grep -lF "$mp3" "$SMTP_MAILDIR"/new/* 2>/dev/null)"
behave
start=$(now)
check "it arrives once the server takes it" until_true 120 arrived "$mp3"
echo "# 4xx: the e-mail arrived $(since "$start") s after the server was well again"

behave RCPT 550 5.1.1 no such mailbox
start=$(now)
check "a job is done while the server answers 550" convert
check "its message is a dead letter after one attempt" until_true 60 seen reject "550 5.1.1 no such mailbox"
echo "# 5xx: a dead letter $(since "$start") s after the upload"
letter() { tidemill queue show mp3 --json | jq -r '.[0] | "\(.attempts) \(.reason)"'; }
check "with the server's words: $(letter)" grep -qF "550 5.1.1 no such mailbox" <<<"$(letter)"
check "the job is COMPLETE all the same" test "$(state "$job")" = COMPLETE
behave
check "sent again" tidemill queue retry mp3 --all
check "it arrives" until_true 60 arrived "$mp3"
check "the engine stops on SIGTERM" engine_stop
