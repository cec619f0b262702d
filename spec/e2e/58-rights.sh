# A user of the broker who may read and write, but not configure: what somebody has made is used, what is missing is named. On the
# broker of AMQP_URL, where RABBITMQ_MANAGEMENT_URL makes the user.
source "$(dirname "$0")/lib.bash"
if [[ -z ${AMQP_URL:-} || -z ${RABBITMQ_MANAGEMENT_URL:-} ]]; then
    echo "# skipped: AMQP_URL and RABBITMQ_MANAGEMENT_URL name no server"
    exit 0
fi
scratch=tidemill_e2e_$$_$RANDOM
parameters="?prefix=$scratch.&expires=10m"
manage() { curl -fsS -o /dev/null -H 'Content-Type: application/json' -X "$1" "$RABBITMQ_MANAGEMENT_URL/api/$2" "${@:3}"; }
trap 'manage DELETE "users/$scratch"; finish' EXIT
make_reader() {
    manage PUT "users/$scratch" -d '{"password": "secret", "tags": ""}' &&
        manage PUT "permissions/%2F/$scratch" -d '{"configure": "", "write": ".*", "read": ".*"}'
}
need "a user is made" make_reader

mkdir -p "$work/scripts/shop"
echo 'return {}' >"$work/tidemill.lua"
cat >"$work/scripts/shop/init.lua" <<'LUA'
local orders = tide.queue("orders", { number = "integer" })
tide.route("POST /orders/{number}", function(req)
  assert(orders:publish { number = tonumber(req.params.number) })
  return tide.respond.json(202, {})
end)
orders:consume({}, function(order, delivery)
  if order.number == 2 then
    return tide.reject "sold out"
  elseif order.number == 3 and delivery.attempt == 1 then
    return tide.retry { after = "2300ms" }
  end
  tide.log.info("ordered", { number = order.number })
end)
LUA
mapfile -t ports < <(free_ports 2)
shop=http://127.0.0.1:${ports[0]} admin=http://127.0.0.1:${ports[1]}
start() { # URL
    backends=(TIDEMILL_QUEUE="$1$parameters")
    env TIDEMILL_DATA="$work/data" TIDEMILL_LISTEN_SHOP="${shop#http://}" TIDEMILL_LISTEN_ADMIN="${admin#http://}" "${backends[@]}" \
        "$BUILD/tidemill" run --workers 1 --config "$work/tidemill.lua" --scripts "$work/scripts" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 30 curl -fs -o /dev/null "$admin/readyz"
}
order() { request -X POST "$shop/orders/$1" && is 202; }
ordered() { grep -F '"ordered"' "$work/engine.log" | jq .fields.number | sort | tr '\n' ' '; }
says() { grep -F "$1" "$work/engine.log" | grep -qF "orders.dead is not there: make it, or give the user the right to configure it"; }
dead() { tidemill queue list --json --config "$work/tidemill.lua" --scripts "$work/scripts" | jq '.[0].dead'; }
reader=amqp://$scratch:secret@${AMQP_URL##*@}

need "the engine starts where no queue is, as that user" start "$reader"
check "the log says what is missing, and what to do" until_true 20 says "queue: can't consume"
order 1
check "a publish is 503" is 503
check "and tells the same" says "handler failed"
need "the engine stops" engine_stop
need "it starts as a user who may make queues" start "$AMQP_URL"
check "an order is taken" order 1
check "and done" until_true 20 eval '[[ $(ordered) == "1 " ]]'
need "the engine stops" engine_stop
need "it starts as the other one again" start "$reader"
for number in 1 2 3; do check "order $number is taken" order $number; done
check "one is done, and one after its delay" until_true 30 eval '[[ $(ordered) == "1 1 3 " ]]'
check "one is a dead letter" until_true 20 eval '[[ $(dead) == 1 ]]'
check "the engine stops on SIGTERM" engine_stop
