# Twenty uploads while workers and the whole engine are killed: each one that was acknowledged becomes one MP3 and one e-mail.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work"
need "log in" login "$user" "$password"

# SIGKILL for one process below the supervisor, a worker or a transcoder.
kill_one() {
    local below
    mapfile -t below < <(process_tree "$engine_pid" | tail -n +2)
    if ((${#below[@]} > 0)); then kill -KILL "${below[RANDOM % ${#below[@]}]}" 2>/dev/null; fi
}

jobs=()
for ((tries = 1; ${#jobs[@]} < 20 && tries <= 60; tries++)); do
    if upload "$BUILD/media/clip-7s.mp4"; then jobs+=("$job"); else sleep 0.2; fi
    # Four blows in all, so that no message runs out of attempts.
    case $tries in
    4 | 11) kill_one ;;
    8 | 16)
        engine_kill
        need "the engine starts again after SIGKILL" engine_spawn "$work"
        ;;
    esac
done
check "twenty uploads are acknowledged" test "${#jobs[@]}" = 20

# A whole list, an outbox, leases that have to run out: it takes its time.
each() { # COMMAND: is it true of every job?
    local job
    for job in "${jobs[@]}"; do "$1" "$job" || return 1; done
}
complete() { [[ $(state "$1") == COMPLETE ]]; }
check "all of them end" until_true 200 each has_ended
check "all of them are COMPLETE" each complete

# An upload that was cut off before its answer may have been stored all the same: it counts as a job then.
all_complete() { signed "$gateway/jobs" && test "$(field '[.jobs[] | select(.state != "COMPLETE")] | length')" = 0; }
check "no job is left behind" until_true 60 all_complete
total=$(field '.jobs | length')
check "there is one e-mail a job" until_true 240 mail_count "$total" # a claim on one lasts 150 s, and may be a dead worker's
check "each is about another file" test "$(mails | xargs grep -ohE 'fid=[0-9a-f]{24}|id: [0-9a-f]{24}' | grep -oE '[0-9a-f]{24}' | sort -u | wc -l)" = "$total"
files=$(field '[.jobs[].mp3_fid] | unique | length')
check "there is one MP3 a job" test "$files" = "$total"
check "the engine stops on SIGTERM" engine_stop
