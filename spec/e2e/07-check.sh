# tidemill check: all that is wrong in one run, for people and for editors; the exit code.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")
cd "$work" || exit 1

# checks [OPTION...]: $status; $work/body is what it says, $work/table the table of bundles, or the JSON.
checks() {
    "$tidemill" check "$@" >"$work/table" 2>"$work/body"
    status=$?
}
quietly() { "$@" >/dev/null; }
says() { grep -qF -- "$1" "$work/body"; }
# file TEXT...: of standard input
file() { mkdir -p "$(dirname "scripts/$1")" && cat >"scripts/$1"; }

file shop/init.lua <<'LUA'
local prices = require "prices"
tide.route("GET /price/{item}", function(req)
	return { price = prices.of(req.parms.item), shop = shopname }
end)
LUA
file shop/prices.lua <<'LUA'
local prices = {}
function prices.of(item)
  return tide.sql.qeury("SELECT price FROM item WHERE name = ?", item)
end
return prices
LUA
file broken/init.lua <<<'local a = = 1'
file own/init.lua <<'LUA'
local own = setmetatable({}, { __name = "tide.own", __index = function() error {} end })
tide.every("1h", function() return own.word end)
LUA
file good/init.lua <<<'tide.every("1h", function() end)'
checks
check "an error fails the check" is 1
check "with the line and a caret, tabs and all" says "scripts/shop/init.lua:3:53: error: undefined global 'shopname'
      3 | 	return { price = prices.of(req.parms.item), shop = shopname }
          	                                                   ^~~~~~~~"
check "and in the same run what is wrong with a module" says "scripts/shop/prices.lua:3:19: error: tide.sql has no 'qeury' (did you mean 'query'?)"
check "and with another bundle" says "scripts/broken/init.lua:1:9: error: unexpected symbol near '='"
check "while others are good" grep -q '^good  *ok ' "$work/table"
check "whatever their own metatables raise" grep -q '^own  *ok ' "$work/table"
check "no colour in a file" test "$(grep -c $'\033' "$work/body")" = 0
script -qec "env -u NO_COLOR '$tidemill' check" /dev/null >"$work/body" </dev/null
check "colour on a terminal" says $'\033[1;31merror:\033[0m'

checks --json
check "--json fails, too" is 1
check "an editor gets them all" quietly jq -e '
    map([.file, .line, .column, .severity, .code]) == [
        ["scripts/broken/init.lua", 1, 9, "error", "syntax"],
        ["scripts/shop/init.lua", 3, 53, "error", "undefined"],
        ["scripts/shop/prices.lua", 3, 19, "error", "undefined"]]' "$work/table"
check "and nothing else is said" test ! -s "$work/body"

rm -r scripts/shop scripts/broken
file lonely/init.lua <<'LUA'
local orders = tide.queue("orders", { item = "string" })
tide.route("GET /", function() return orders.name end)
LUA
checks
check "routes without an address fail the check, as they stop the engine" is 1
check "with what to set" says "error: the bundle 'lonely' has routes but no address: set listen = { lonely = \"127.0.0.1:8081\" } in the settings file or TIDEMILL_LISTEN_LONELY"
export TIDEMILL_LISTEN_LONELY=off
checks
check "warnings alone are good" is 0
check "a queue that nobody consumes is one" says "scripts/lonely/init.lua:1:28: warning: no bundle here consumes the queue 'orders'"
check "with the setting that names queues of others" says 'external_queues = { "orders" }'
TIDEMILL_EXTERNAL_QUEUES=invoices,orders checks
check "which is heeded" test "$(grep -c orders "$work/body")" = 0
TIDEMILL_EXTERNAL_QUEUES=order,orders2 checks
check "for whole names" says "no bundle here consumes the queue 'orders'"
checks --json
check "and are told to editors" quietly jq -e 'map(.severity) | unique == ["warning"]' "$work/table"
unset TIDEMILL_LISTEN_LONELY

file twice/init.lua <<'LUA'
tide.route("GET /a/{x}", function() return "x" end)
tide.route("GET /a/{y}", function() return "y" end)
tide.route("GET /b/../c", function() return "c" end)
tide.every("0s", function() end)
tide.queue("orders", {}):consume({ attempts = 0 }, function() end)
LUA
checks
check "a route that another shadows is told, with the other one" says "scripts/twice/init.lua:2:13: error: tide.route: 'GET /a/{y}': this route is there already"
check "by its place" says "it is declared at scripts/twice/init.lua:1"
check "and one that nothing reaches" says "scripts/twice/init.lua:3:13: error: tide.route: 'GET /b/../c': a request with a \"..\" in its path is refused"
check "a wrong timer is told beside a wrong route" says "scripts/twice/init.lua:4:1: error: tide.every: 'interval' must be"
check "and a wrong consumer, too" says "scripts/twice/init.lua:5:36: error: tide.Queue:consume: 'attempts' must be between 1 and 100, not 0"
rm -r scripts/twice

printf 'return {\n  listne = {},\n  worker = 2,\n}\n' >tidemill.lua
checks
check "wrong settings fail the check" is 1
check "each with its line" says "tidemill.lua:2: error: "
checks --json
check "for editors, too" quietly jq -e 'map([.file, .line, .code]) == [["tidemill.lua", 2, "setting"], ["tidemill.lua", 3, "setting"]]' "$work/table"

# ---- a bundle that is not where another calls it ----

rm -r scripts/* tidemill.lua
file auth/init.lua <<<'tide.route("GET /", function() return "auth" end)'
file caller/init.lua <<<'local auth = tide.upstream "http://127.0.0.1:5000"
tide.every("1h", function() auth:get "/" end)'
checks
check "the usual address is right" test "$status" = 0 -a ! -s "$work/body"
TIDEMILL_LISTEN_AUTH=0.0.0.0:5000 checks
check "on all addresses, too" test "$status" = 0 -a ! -s "$work/body"
TIDEMILL_LISTEN_AUTH=127.0.0.1:5999 checks
check "another one is warned of" says "scripts/caller/init.lua:1:1: warning: the bundle 'caller' calls http://127.0.0.1:5000, but 'auth' listens on 127.0.0.1:5999 here"
check "alone" is 0

# ---- routes --graph ----

rm -r scripts/*
file front/init.lua <<'LUA'
local photos = tide.bucket "photos"
local incoming = tide.queue("incoming", { id = "id" })
local store, bank = tide.upstream "http://127.0.0.1:5999", tide.upstream "https://bank.example/?a=\"b\""
tide.route("POST /photos/{id}", function() return { photos, incoming, store, bank } end)
LUA
file shrink/init.lua <<'LUA'
tide.queue("incoming", { id = "id" }):consume(function() return tide.bucket("photos").name end)
tide.every("1h", function() end)
LUA
file store/init.lua <<<'-- somebody else serves it'
printf 'return { listen = { front = "127.0.0.1:5998", store = "127.0.0.1:5999" } }\n' >tidemill.lua
"$tidemill" routes --graph >"$work/body"
check "the graph has bundles, routes, queues, buckets, timers and calls" diff "$work/body" - <<'MERMAID'
flowchart LR
  subgraph b0["front"]
    b0_4["POST /photos/{id}"]
  end
  subgraph b1["shrink"]
    b1_0("consumes incoming")
    b1_1{{"every 1h"}}
  end
  b2["store"]
  s0[("photos")]
  b0 --- s0
  s1[["queue incoming"]]
  b0 --> s1
  b0 -.-> b2
  s2(["https://bank.example/?a=#34;b#34;"])
  b0 -.-> s2
  s1 --> b1_0
MERMAID
