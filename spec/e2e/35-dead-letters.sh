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
check "there is no dead letter left" test "$(queue list --json | jq '[.[].dead] | add // 0')" = 0
check "the engine stops on SIGTERM" engine_stop
