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
file good/init.lua <<<'tide.every("1h", function() end)'
checks
check "an error fails the check" is 1
check "with the line and a caret, tabs and all" says "scripts/shop/init.lua:3:53: error: undefined global 'shopname'
      3 | 	return { price = prices.of(req.parms.item), shop = shopname }
          	                                                   ^~~~~~~~"
check "and in the same run what is wrong with a module" says "scripts/shop/prices.lua:3:19: error: tide.sql has no 'qeury' (did you mean 'query'?)"
check "and with another bundle" says "scripts/broken/init.lua:1:9: error: unexpected symbol near '='"
check "while others are good" grep -q '^good  *ok ' "$work/table"
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
check "warnings alone are good" is 0
check "a queue that nobody consumes is one" says "scripts/lonely/init.lua:1:28: warning: no bundle here consumes the queue 'orders'"
check "routes without an address, too" says "warning: the bundle 'lonely' has routes but no address: run needs listen = { lonely ="
checks --json
check "and are told to editors" quietly jq -e 'map(.severity) | unique == ["warning"]' "$work/table"

printf 'return {\n  listne = {},\n  worker = 2,\n}\n' >tidemill.lua
checks
check "wrong settings fail the check" is 1
check "each with its line" says "tidemill.lua:2: error: "
checks --json
check "for editors, too" quietly jq -e 'map([.file, .line, .code]) == [["tidemill.lua", 2, "setting"], ["tidemill.lua", 3, "setting"]]' "$work/table"
