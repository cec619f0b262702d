# The description of the API: docs/lua-api.md is of today, what scripts reach is what it describes, editors and `help` get it.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")

check "docs/lua-api.md is what make docs writes" diff -u docs/lua-api.md <("$tidemill" types --reference)

# What a bundle finds by walking tide and the classes of objects that can be made at load, a name a line.
mkdir -p "$work/scripts/walk" "$work/scripts/types"
cat >"$work/scripts/walk/init.lua" <<'LUA'
local found = {}
local function walk(prefix, home)
  for key, value in pairs(home) do
    if key:sub(1, 2) ~= "__" then
      found[#found + 1] = prefix .. key
      if prefix == "tide." and type(value) == "table" then walk("tide." .. key .. ".", value) end
    end
  end
end
for name in ("TOP"):gmatch "%S+" do local _ = tide[name] end -- a part of tide is there once it was used
walk("tide.", tide)
local objects = { tide.queue("a", {}), tide.bucket "a", tide.upstream "http://a", tide.jwt { secret = ("a"):rep(32) },
  tide.metrics.counter("a", "a"), tide.metrics.gauge("a", "a"), tide.metrics.histogram("a", "a") }
for _, object in ipairs(objects) do walk(getmetatable(object).__name .. ":", getmetatable(object)) end
error("\n" .. table.concat(found, "\n"), 0)
LUA
"$tidemill" help tide | sed -nE 's/^- `(tide[A-Za-z_.:]*).*/\1/p' |
    grep -v '^tide.spec\.' | sort -u >"$work/described" # specs get tide.spec from their runner
top=$(sed -nE 's/^tide\.([a-z_]+).*/\1/p' "$work/described" | sort -u | tr '\n' ' ')
sed -i "s/TOP/$top/" "$work/scripts/walk/init.lua"
(cd "$work" && "$tidemill" check --bundle walk) 2>&1 | grep -E '^tide\.' | sort -u >"$work/found"
classes='Queue|Bucket|Upstream|Jwt|Counter|Gauge|Histogram'
check "the walk finds functions" test "$(wc -l <"$work/found")" -gt 50
check "what scripts reach is described, and what is described is there" diff \
    <(grep -E "^tide\.[a-z_.]+$|^tide\.($classes):" "$work/described" | grep -vE "^tide\.(respond|media|sql|http|password|crypto|mail|log|metrics|json|id)$") \
    <(grep -vE "^tide\.(respond|media|sql|http|password|crypto|mail|log|metrics|json|id)$" "$work/found")

check "help of one name" grep -q '^tide.Queue:publish(message, options?)' <("$tidemill" help tide.queue)
check "help of a part" grep -q '^tide.sql.exec(statement, ...)' <("$tidemill" help tide.sql)
"$tidemill" help tide.quue >"$work/out" 2>&1
check "help of a wrong name is wrong usage" test $? = 2
check "and tells what was meant" grep -qF "did you mean 'tide.queue'?" "$work/out"

"$tidemill" types >"$work/tide.lua"
printf 'assert(load([==[%s]==], "types"))\n' "$(cat "$work/tide.lua")" >"$work/scripts/types/init.lua"
check "the annotations are Lua" grep -q '^types  *ok' <(cd "$work" && "$tidemill" check --bundle types)
check "with every function" diff <(grep -E '\(' <("$tidemill" help tide) | sed -nE 's/^- `([^`(]*)\(.*/\1/p' | sort) \
    <(sed -nE 's/^function ([A-Za-z_.:]*)\(.*/\1/p' "$work/tide.lua" | sed -E 's/^([A-Z])/tide.\1/' | sort)

(cd "$work" && "$tidemill" new shop) >/dev/null
check "new gives an editor what it needs" test "$(jq -r '."workspace.library"[0]' "$work/scripts/.luarc.json")" = .types
check "and the annotations" cmp "$work/tide.lua" "$work/scripts/.types/tide.lua"
check "those for specs, too" grep -q '^function luassert.same(' "$work/scripts/.types/busted.lua"
check "the new bundle is good" grep -q '^shop  *ok' <(cd "$work" && "$tidemill" check --bundle shop 2>&1)
