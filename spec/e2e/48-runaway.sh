# Scripts that compute, grow, nest or tell without end: each is ended within 5 s, with its request or its worker, and the log tells its line.
source "$(dirname "$0")/lib.bash"
mapfile -t ports < <(free_ports 2)
wild=http://127.0.0.1:${ports[0]} admin=http://127.0.0.1:${ports[1]}
mkdir -p "$work/scripts/wild"
settings=(--config "$work/tidemill.lua" --scripts "$work/scripts")
export TIDEMILL_DATA=$work/data TIDEMILL_LISTEN_WILD=${wild#http://} TIDEMILL_LISTEN_ADMIN=${admin#http://}
echo 'return { limits = { script_cpu = "300ms", script_memory = "32MiB" } }' >"$work/tidemill.lua"
cat >"$work/scripts/wild/init.lua" <<'LUA'
local me = tide.id.new()
local jobs = tide.queue("jobs", { text = "string" })
tide.route("GET /worker", function() return me end)
tide.route("GET /loop", function()
  while true do end -- loop
end)
tide.route("GET /pcall", function()
  local function spin() while true do end end -- pcall
  while true do pcall(spin) end
end)
tide.route("GET /coroutines", function()
  while true do coroutine.wrap(function() while true do end end)() end -- coroutines
end)
tide.route("GET /many", function()
  local all = {}
  while true do all[#all + 1] = coroutine.create(function() end) end -- many
end)
tide.route("GET /rep", function()
  local text = ("x"):rep(1e5):rep(1e5) -- rep
  return text
end)
tide.route("GET /table", function()
  local all = {}
  while true do all[#all + 1] = { #all } end -- table
end)
tide.route("GET /sort", function()
  table.sort({ 1, 2, 3 }, function() while true do end end) -- sort
end)
tide.route("GET /gsub", function()
  return (("x"):gsub("x", function() while true do end end)) -- gsub
end)
tide.route("GET /recursion", function()
  local function deeper(n) return 1 + deeper(n + 1) end -- recursion
  return deeper(1)
end)
tide.route("GET /metamethods", function()
  local t = setmetatable({}, { __index = function(self, key) return self[key .. "x"] end }) -- metamethods
  return t.x
end)
tide.route("GET /nested", function()
  local function nest(depth) return depth == 0 and {} or { nest(depth - 1) } end
  assert(tide.json.encode(nest(1e4))) -- nested
  return "nested"
end)
tide.route("GET /message", function()
  assert(jobs:publish { text = ("x"):rep(2 ^ 20) }) -- message
  return "published"
end)
tide.route("GET /line", function()
  tide.log.info("a long line", { text = ("x"):rep(2 ^ 20) })
  return "logged"
end)
tide.route("GET /lines", function()
  while true do tide.log.info("a line", { text = ("x"):rep(60000) }) end -- lines
end)
tide.route("GET /words", function()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end)
tide.route("GET /more", { cpu = "10s" }, function()
  local from = os.clock()
  while os.clock() < from + 1.5 do end
  return "done"
end)
tide.route("GET /pattern", function()
  local found = ("a"):rep(100000):find(("a*"):rep(20) .. "b") -- pattern
  return tostring(found)
end)
tide.route("GET /tail", function() -- tail
  return ("a"):rep(100000):find(("a*"):rep(20) .. "b")
end)
LUA

start() {
    "$binary" run "${settings[@]}" --workers 2 "$@" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 30 curl -fs -o /dev/null "$admin/readyz"
}
# is_ready: two workers are
is_ready() { request "$admin/-/bundles" && [[ $(field '[.[0].workers[] | select(.state == "ready")] | length') == 2 ]]; }
line() { grep -n -- "-- $1\$" "$work/scripts/wild/init.lua" | cut -d : -f 1; }
# logged EVENT NAME: the event tells where
logged() {
    jq -es --arg event "$1" --arg route "GET /$2" --arg place "init.lua:$(line "$2")" 'any(.[]; .event == $event and .bundle == "wild"
        and .handler == $route and (.generation | length) == 12 and ((.at // .message) | contains($place)))' "$work/engine.log" >"$work/body"
}
# ends NAME STATUS: how the request ends within 5 s, while another worker serves
ends() {
    local seconds
    read -r status seconds < <(timeout $((60 * SLOWNESS)) python3 -B spec/e2e/neighbours.py "$wild" "/$1" 2>"$work/body")
    is "$2" && ((seconds < 5 * SLOWNESS))
}

need "the engine starts" start
need "with two workers" until_true 30 is_ready
for name in loop pcall coroutines many rep table sort gsub recursion metamethods nested lines; do
    check "$name: 500, and its neighbours don't notice" ends "$name" 500
    check "$name: the log has its line" logged "handler failed" "$name"
done
check "a loop that logs fills no disk" test "$(stat -c %s "$work/engine.log")" -lt 2000000
check "and is told with its line" logged "a script logs too much: the rest until it waits is left out" lines
check "a message over 1 MiB: 413" ends message 413
check "message: the log has its line" logged "handler failed" message
check "a line over 64 KiB is no failure" ends line 200
shortened() { jq -es 'any(.[]; .event == "a long line" and .handler == "GET /line" and .fields == "1048587 bytes, left out")' "$work/engine.log" >"$work/body"; }
check "and told without what is long" shortened
check "an error whose words never end is one" ends words 500
check "a route may be given more" ends more 200
check "no worker has died" test "$(grep -c '"worker exited"' "$work/engine.log")" = 0
for name in pattern tail; do
    check "$name: the worker ends, and its neighbours don't notice" ends "$name" gone
    check "$name: the log has its line" until_true 5 logged "a script can't be stopped: its process ends" "$name"
    need "$name: the worker is replaced" until_true 30 is_ready
done
check "the engine stops on SIGTERM" engine_stop
