# A job that failed is a dead letter; once its cause is mended the command line sends it again.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts, for short videos alone" engine_start "$work" TIDEMILL_CONVERTER_MAX_DURATION=2s
need "log in" login "$user" "$password"
queue() { tidemill queue "$@"; }
need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
check "its job ends" until_true 60 has_ended "$job"
check "in ERROR with the code too_long" test "$(field '.state + " " + .code')" = "ERROR too_long"
check "without a percent" test "$(jq 'has("percent")' "$work/body")" = false
check "the queue has one dead letter" test "$(queue list --json | jq -c '.[] | select(.queue == "video") | [.ready, .delayed, .dead]')" = "[0,0,1]"
check "it tells the message and why" test "$(queue show video --json | jq -c '.[0] | [.code, (.payload | fromjson? // .).video_fid]')" = "[\"too_long\",\"$job\"]"
need "the engine stops" engine_stop
need "it starts again, for longer ones" engine_spawn "$work"
check "the dead letter is sent again" queue retry video --all
check "the job ends anew" until_true 60 eval '[[ $(state "$job") == COMPLETE ]]'
check "it has its failure behind it" test "$(jq -c '[has("code"), has("reason"), .percent]' "$work/body")" = "[false,false,100]"
check "one e-mail comes" until_true 30 mail_count 1

# "a", ESC [31m, a byte that is no UTF-8, CSI as one character, "é": what a terminal must not get as it is
foreign='a\x1b[31m\xff\xc2\x9b\xc3\xa9'
publish_foreign() { # as another program would
    if [[ $PROFILE == cluster ]]; then
        curl -fsS -o /dev/null "$RABBITMQ_MANAGEMENT_URL/api/exchanges/%2F/amq.default/publish" -d "{\"properties\": {}, \"routing_key\":
            \"$scratch.video\", \"payload\": \"$(printf "$foreign" | base64)\", \"payload_encoding\": \"base64\"}"
    else
        sqlite3 -cmd ".timeout 5000" "$work/data/queue.db" "INSERT INTO message (queue, state, due, published, payload)
            VALUES ('video', 0, 0, 0, x'$(printf "$foreign" | od -An -v -tx1 | tr -d ' ')')"
    fi
}
dead_is() { [[ $(queue list --json | jq '[.[].dead] | add // 0') == "$1" ]]; }
need "a message comes that is neither JSON nor UTF-8" publish_foreign
check "it is a dead letter at once" until_true 20 dead_is 1
check "show prints it without controls, and a sign for what is no text" grep -qF 'a [31m� é' <(queue show video)
check "as JSON, too" test "$(queue show video --json | jq -r '.[0] | .code + " " + .payload')" = $'bad_message a\x1b[31m�\u009bé'
check "purge takes it away" queue purge video
check "there is no dead letter left" test "$(queue list --json | jq '[.[].dead] | add // 0')" = 0
check "the engine stops on SIGTERM" engine_stop
