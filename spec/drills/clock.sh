#!/usr/bin/env bash
# The wall clock is set back by an hour, then forward by two, each in the middle of a job: nothing is delivered again or held up, one
# e-mail comes for each job, and tokens are good as long as their exp says.
#   spec/drills/clock.sh     on the embedded backends; PROFILE=cluster on the servers of spec/servers; needs the package faketime
source "$(dirname "$0")/../e2e/lib.bash"
library=$(find /usr/lib /usr/local/lib -name libfaketime.so.1 -print -quit 2>/dev/null)
need "libfaketime is here (apt-get install faketime)" test -n "$library"

set_clock() { # OFFSET: as of libfaketime
    echo "$1" >"$work/clock.new"
    mv "$work/clock.new" "$work/clock"
}
year_of_engine() { curl -sI --max-time 5 "$admin/healthz" | sed -nE 's/^Date: (.*)\r$/\1/p'; }
clock_is() { # SECONDS that it differs by
    local apart=$(($(date -d "$(year_of_engine)" +%s) - $(date +%s) - $1))
    ((apart > -10 && apart < 10))
}
at_work() { pgrep -P "$(pgrep -P "$engine_pid" | paste -sd,)" -x tidemill-media >/dev/null; }
is_complete() { [[ $(state "$job") == COMPLETE ]]; }
job_under() { # OFFSET SECONDS NAME: a job in whose middle the clock is set
    local start
    need "an upload is 202" upload "$BUILD/media/long.mp4"
    need "a converter is at work" until_true 30 at_work
    set_clock "$1"
    start=$SECONDS
    check "the clock is $3" until_true 20 clock_is "$2"
    check "the token is good" signed "$gateway/jobs"
    check "which is answered 200" is 200
    check "the job is COMPLETE" until_true 120 is_complete
    mails_wanted=$((mails_wanted + 1))
    check "its e-mail comes" until_true 30 mail_count "$mails_wanted"
    echo "# $3: the e-mail was there after $((SECONDS - start)) s"
}
again() { grep -F '"event":"message"' "$work/engine.log" | jq -r 'select(.attempt > 1 or .outcome != "ack") | .queue'; }

mails_wanted=0
set_clock +0
need "the clip is there" spec/media/generate "$BUILD/media" long.mp4
need "the engine starts" engine_start "$work" LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$work/clock" FAKETIME_NO_CACHE=1 \
    FAKETIME_DONT_FAKE_MONOTONIC=1
need "log in" login "$user" "$password"
job_under -1h -3600 "set back by an hour"
job_under +1h 3600 "set forward by two"
check "no message came again" test -z "$(again)"
set_clock +25h
signed "$gateway/jobs"
check "a day later the token has expired" is 401
check "the engine stops on SIGTERM" engine_stop
