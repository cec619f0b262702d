# Messages whose handlers can't be stopped: each costs its worker, that is an attempt of its own and of no other message's, and it ends in the dead letters.
source "$(dirname "$0")/lib.bash"
mapfile -t ports < <(free_ports 2)
wild=http://127.0.0.1:${ports[0]} admin=http://127.0.0.1:${ports[1]}
mkdir -p "$work/scripts/wild"
settings=(--config "$work/tidemill.lua" --scripts "$work/scripts")
export TIDEMILL_LISTEN_WILD=${wild#http://} TIDEMILL_LISTEN_ADMIN=${admin#http://}
echo 'return { limits = { script_cpu = "300ms" } }' >"$work/tidemill.lua"
cat >"$work/scripts/wild/init.lua" <<'LUA'
local queues = {}
for _, name in ipairs { "twice", "once", "words", "calm" } do
  queues[name] = tide.queue(name, { number = "integer" })
end
tide.route("POST /{queue}", function(request) -- with a delay: the answer is out when the handler begins
  assert(queues[request.params.queue]:publish({ number = 1 }, { delay = "500ms" }))
  return tide.respond.text(202, "")
end)
local function hang()
  return (("a"):rep(100000):find(("a*"):rep(20) .. "b")) -- hang
end
queues.twice:consume({ attempts = 2, backoff = "1s", lease = "2s" }, hang)
queues.once:consume({
  attempts = 1,
  lease = "2s",
  on_dead = function(_, failure) tide.log.info("told", { reason = failure.message }) end,
}, hang)
queues.words:consume({ attempts = 1, backoff = "100ms", lease = "2s", on_dead = hang }, function() error "no good" end)
queues.calm:consume({ lease = "2s", timeout = "2h" }, function(_, delivery)
  tide.log.info("calm", { attempt = delivery.attempt })
  if delivery.attempt == 1 then tide.sleep "1h" end
end)
LUA

start() { # one worker: all of it is held by the one that dies
    env TIDEMILL_DATA="$work/data" "${backends[@]}" "$binary" run "${settings[@]}" --workers 1 </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 60 is_ready
}
is_ready() { request "$admin/readyz" && is 200; }
publish() { request -X POST "$wild/$1" && is 202; }
queue() { tidemill queue "$@" "${settings[@]}"; }
logged() { jq -es "any(.[]; $1)" "$work/engine.log" >/dev/null; }
# dead QUEUE: attempts, code and reason of its one dead letter
dead() { queue show "$1" --json | jq -r 'if length == 1 then .[0] | "\(.attempts) \(.code) \(.reason)" else length end'; }
is_dead() { [[ $(dead "$1") =~ $2 ]]; }
deaths() { grep -c '"worker exited".*"status":70' "$work/engine.log"; }
line=$(grep -n -- '-- hang$' "$work/scripts/wild/init.lua" | cut -d : -f 1)
hung="init.lua:$line: the handler used 0.3 s of CPU time without a wait and could not be stopped: its process ended$"

need "the backends are there" engine_backends
need "the engine starts" start
need "a message is being handled" publish calm
need "its handler waits" until_true 20 logged '.event == "calm"'
need "a message comes beside it whose handler never ends" publish twice
check "after its two attempts it is a dead letter that tells why" until_true 60 is_dead twice "^2 internal .*/$hung"
check "each has cost a worker" test "$(deaths)" = 2
check "the log tells the first" logged '.event == "message" and .queue == "twice" and .outcome == "retry" and .attempt == 1'
check "and the last" logged '.event == "message" and .queue == "twice" and .outcome == "reject" and .attempt == 2'
check "the other one goes on with another worker" until_true 60 logged '.event == "message" and .queue == "calm" and .outcome == "ack"'
need "the worker is replaced" until_true 60 is_ready

need "a message comes that has one attempt, and on_dead" publish once
check "another worker runs on_dead, with the reason" until_true 60 logged ".event == \"told\" and (.fields.reason | test(\"$hung\"))"
check "it is a dead letter" until_true 20 is_dead once "^1 internal .*/$hung"
check "of one worker" test "$(deaths)" = 3

need "a message comes whose on_dead never ends" publish words
check "after four of its tries it is a dead letter with the first reason" until_true 90 is_dead words "^1 internal .*no good$"
check "each has cost a worker" test "$(deaths)" = 7
check "nothing is left" until_true 20 test "$(queue list --json | jq '[.[] | .ready + .delayed + (.leased // 0)] | add // 0')" = 0
check "the engine stops on SIGTERM" eval 'until_true 60 is_ready && engine_stop'
