# What the drills of the broker share: a RabbitMQ of their own, and an engine with one bundle that publishes by HTTP what it
# is told and works on it. Sourced, like spec/e2e/lib.bash, which it brings.
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.bash"
source spec/servers/servers.bash
trap 'end_drill' EXIT
publisher=

end_drill() {
    local code=$?
    if [[ -n $publisher ]]; then kill "$publisher" 2>/dev/null; fi
    (exit "$code")
    servers stop 2>/dev/null
    if ((code > 0)); then failures=$((failures + 1)); fi
    finish
}

# start_drill SECONDS [PARAMETERS]: each message takes that long to work on, four at a time; PARAMETERS of AMQP_URL. A message
# 9000 + N fails at first, and comes again after N s.
start_drill() {
    unset AMQP_URL
    need "RabbitMQ starts" servers_start "$work/servers" rabbitmq
    mkdir -p "$work/scripts/drill"
    echo 'return {}' >"$work/tidemill.lua"
    cat >"$work/scripts/drill/init.lua" <<LUA
local jobs = tide.queue("jobs", { number = "integer" })
tide.route("POST /jobs/{number}", function(req)
  local ok, err = jobs:publish { number = tonumber(req.params.number) }
  if not ok then return nil, err end
  return tide.respond.json(202, {})
end)
jobs:consume({ concurrency = 4, timeout = "30m" }, function(job, delivery)
  tide.log.info("work begins", { number = job.number, attempt = delivery.attempt })
  if job.number > 9000 and delivery.attempt == 1 then return tide.retry { after = (job.number - 9000) .. "s" } end
  tide.sleep "$1"
  tide.log.info("work ends", { number = job.number })
end)
LUA
    mapfile -t ports < <(free_ports 2)
    drill=http://127.0.0.1:${ports[0]}
    admin=http://127.0.0.1:${ports[1]}
    env TIDEMILL_DATA="$work/data" TIDEMILL_LISTEN_DRILL="${drill#http://}" TIDEMILL_LISTEN_ADMIN="${admin#http://}" \
        TIDEMILL_QUEUE="$AMQP_URL?heartbeat=10${2:-}" "$BUILD/tidemill" run --workers 1 --config "$work/tidemill.lua" \
        --scripts "$work/scripts" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    need "the engine starts" until_true 30 is_ready
}

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
is_ready() { curl -fs -o /dev/null --max-time 2 "$admin/readyz"; }
is_not_ready() { ! is_ready; }
not_ready_reason() { curl -s --max-time 2 "$admin/readyz"; }
rabbitmqctl() { python3 -B spec/servers rabbitmqctl "$work/servers" -q "$@"; }

# publish NUMBER: prints "NUMBER STATUS SECONDS"
publish() {
    curl -s -o /dev/null --max-time 30 -X POST -w "$1 %{http_code} %{time_total}\n" "$drill/jobs/$1"
}

# Publishes ten a second until stop_publishing; $work/published has a line each.
start_publishing() {
    (
        number=1000
        while true; do
            ((number += 1))
            publish "$number" >>"$work/published" &
            sleep 0.1
        done
    ) &
    publisher=$!
}
stop_publishing() {
    kill "$publisher"
    wait "$publisher" 2>/dev/null
    publisher=
    sleep 7 # a publish fails after 5 s at the latest
}

accepted() { awk '$2 == 202 { print $1 }' "$work/published" | sort; }
# begun, ended: a number for each time
begun() { grep -F '"work begins"' "$work/engine.log" | jq -r .fields.number; }
ended() { grep -F '"work ends"' "$work/engine.log" | jq -r .fields.number; }
redelivered() { grep -F '"work begins"' "$work/engine.log" | jq -r 'select(.fields.attempt > 1) | .fields.number'; }
has_accepted_more_than() { (($(accepted | wc -l) > $1)); }
has_ended_more_than() { (($(ended | wc -l) > $1)); }
lost() { comm -23 <(accepted | sort -u) <(ended | sort -u); }
nothing_is_lost() { [[ -z $(lost) ]]; }
slowest_answer() { awk '{ if ($3 > max) max = $3 } END { printf "%.1f", max }' "$work/published"; }
answers_in_time() { awk '$3 > 6.5 || $2 == "000" { bad++ } END { exit bad > 0 }' "$work/published"; }
summary() {
    echo "# accepted $(accepted | wc -l), refused $(awk '$2 != 202' "$work/published" | wc -l), lost $(lost | wc -l)," \
        "worked on twice $(ended | sort | uniq -d | wc -l), slowest answer $(slowest_answer) s"
}
