# Plugins: what `tidemill new --plugin` makes builds and passes its spec; what can't be loaded is told with its cause.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")
header=$PWD/core/bind
mkdir -p "$work/scripts/user"
cd "$work" || exit 1
unset TIDEMILL_MODULES

new() { # NAME [--lua]: makes it, and says what next
    "$tidemill" new --plugin "$@" >"$work/made"
}

build() { # NAME
    cmake -S "plugins/$1" -B "plugins/$1/build" -DCMAKE_C_FLAGS=-Werror >"$work/build.log" 2>&1 &&
        cmake --build "plugins/$1/build" >>"$work/build.log" 2>&1
}

passes() { # NAME
    TIDEMILL_PLUGINS=$1 "$tidemill" test "$1" >"$work/out" 2>&1
}

uses() { # the bundle requires these, and nothing else
    for name; do echo "local _ = require \"$name\""; done >scripts/user/init.lua
}

fails() { # MESSAGE: the check of the bundle, with the plugins PLUGINS
    ! TIDEMILL_PLUGINS=$plugins "$tidemill" check --bundle user >"$work/out" 2>&1 && grep -qF -- "$1" "$work/out"
}

uses
check "a plugin in Lua is made" new inlua --lua
check "it passes its spec" passes inlua
check "a plugin in C is made" new inc
plugins=inc
uses inc
check "before it is built, the place is told" fails "the plugin 'inc' is not built: there is neither plugins/inc/inc.so nor "
check "it builds without a warning" build inc
check "it passes its spec" passes inc
check "check takes the bundle that requires it" grep -q "^user  *ok" <(TIDEMILL_PLUGINS=inc "$tidemill" check --bundle user)
check "help knows it" grep -q '^inc.words(text)' <(TIDEMILL_PLUGINS=inc "$tidemill" help inc)
check "the annotations know it" grep -q '^function inc.words(text) end' <(TIDEMILL_PLUGINS=inc "$tidemill" types)
"$tidemill" new --plugin in-c >"$work/out" 2>&1
check "a name that Lua can't have is wrong usage" test $? = 2
check "one that is there is left alone" eval '! new inc 2>/dev/null'

# ---- in an engine ----
mapfile -t ports < <(free_ports 2)
hello=http://127.0.0.1:${ports[0]} admin=http://127.0.0.1:${ports[1]}
mkdir -p engine/scripts/hello
cat >engine/scripts/hello/init.lua <<'LUA'
local plugin = require "inc"
tide.route("GET /{text}", function(req) return tide.respond.text(200, tostring(plugin.words(req.params.text))) end)
LUA
echo 'return { plugins = { "inc", "crash" }, plugin_path = "plugins" }' >engine/tidemill.lua
mkdir plugins/crash
echo 'return { title = "crash", native = true, { name = "crash.now", doc = "x" } }' >plugins/crash/plugin.lua
echo 'local _, native = ... return { now = function() return native.now() end }' >plugins/crash/init.lua
cc -shared -fPIC -x c - -o plugins/crash/crash.so <<'C'
#include <stdlib.h>
__attribute__((constructor)) static void crash(void) { abort(); }
C
start() {
    TIDEMILL_DATA=$work/data TIDEMILL_LISTEN_HELLO=${hello#http://} TIDEMILL_LISTEN_ADMIN=${admin#http://} "$tidemill" run \
        --config engine/tidemill.lua --scripts engine/scripts --workers 2 </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 30 curl -fs -o /dev/null "$admin/readyz"
}
answers() { request "$hello/one%20two" && is 200 && [[ $(body) == "$1" ]]; }
need "an engine with a plugin in C starts" start
check "its bundle calls the plugin" answers 2
sed -i 's/return native.words(text)/return native.words(text) * 10/' plugins/inc/init.lua
check "a change of the plugin's Lua is live in the bundle that requires it" until_true 20 answers 20
echo 'return nothing' >plugins/inc/init.lua
check "a wrong one is told, and the engine keeps the one before" eval 'until_true 20 grep -q "undefined global .nothing" "$work/engine.log" && answers 20'
"$tidemill" new --plugin --dir fresh inc >/dev/null && cp fresh/inc/init.lua plugins/inc/init.lua
check "mended, it is live" until_true 20 answers 2
sed -i '1i local _ = require "crash"' engine/scripts/hello/init.lua
check "one that crashes as it is loaded costs a worker, which is told" until_true 30 grep -q "was killed (Aborted) while it loaded this" "$work/engine.log"
check "and the engine keeps the one before" until_true 20 answers 2
kill "$engine_pid"
wait "$engine_pid"

plugins=
check "a plugin that is not listed is not there" fails "the plugin 'inc' is not listed in the settings"
plugins=nowhere
check "a listed one that is nowhere stops the start" fails "no plugin 'nowhere': plugins/nowhere/plugin.lua is missing"

# ---- what can't be loaded ----
plugins=inc
compile() { # the C text on the standard input to plugins/inc/inc.so
    rm -f plugins/inc/inc.so
    cc -shared -fPIC -I"$header" -x c - -o plugins/inc/inc.so
}
compile <<<'int nothing;'
check "an object that exports no plugin" fails "inc.so exports no \`tidemill_plugin\`"
compile <<'C'
#include "tidemill_plugin.h"
static const struct tidemill_function functions[] = {{0}};
TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI + 1, "inc", "1", functions};
C
check "another version of the interface" fails "inc.so was built for version 2 of tidemill_plugin.h, and this tidemill has version 1"
compile <<'C'
#include "tidemill_plugin.h"
static const struct tidemill_function functions[] = {{0}};
TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI, "other", "1", functions};
C
check "another plugin" fails "inc.so is the plugin 'other', not 'inc'"
rm plugins/inc/inc.so
echo "no object" >plugins/inc/inc.so
check "no object at all" fails "the plugin can't be loaded: plugins/inc/inc.so: "
compile <<'C'
extern int there_is_none(void);
int call(void) { return there_is_none(); }
C
check "an object that lacks a symbol" fails "undefined symbol: there_is_none"
echo 'return { title = "x", { name = "wrong.name", doc = "x" } }' >plugins/inc/plugin.lua
check "a manifest that describes another's functions" fails "the entry 'wrong.name' needs \`name\`, that begins with \"inc.\""
echo 'return {' >plugins/inc/plugin.lua
check "a manifest that is no Lua" fails "plugins/inc/plugin.lua:"

# ---- a plugin that takes its time ----
mkdir -p plugins/slow spec
cat >plugins/slow/plugin.lua <<'LUA'
return { title = "slow", native = true, { name = "slow.napper", doc = "x" }, { name = "slow.nap", doc = "x",
  params = { { name = "napper", type = "userdata" }, { name = "ms", type = "number" } } } }
LUA
cat >plugins/slow/init.lua <<'LUA'
local _, native = ...
return { napper = function() return native.napper() end, nap = function(napper, ms) return native.nap(napper, ms) end }
LUA
cc -shared -fPIC -I"$header" -x c - -o plugins/slow/slow.so <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "tidemill_plugin.h"
static void wake(void *object) { free(object); fputs("freed\n", stderr); }
static const struct tidemill_handle_type type = {"napper", wake, 0};
static void napper(const struct tidemill_host *host, struct tidemill_call *call)
{
    host->return_object(call, calloc(1, 1), &type);
}
static void nap(const struct tidemill_host *host, struct tidemill_call *call)
{
    char *object = host->object(call, 1, &type);
    if (!object || host->is_nil(call, 2) || host->object(call, 2, &type) || host->text(call, 2, 0)) {
        host->fail(call, "invalid", "no napper", true);
        return;
    }
    usleep((useconds_t)(host->number(call, 2) * 1000));
    host->return_number(call, ++*object); /* it is still there */
}
static const struct tidemill_function functions[] = {{"napper", napper, false}, {"nap", nap, true}, {0}};
TIDEMILL_PLUGIN = {TIDEMILL_PLUGIN_ABI, "slow", "1", functions};
C
cat >spec/slow_spec.lua <<'LUA'
describe("a plugin's call that waits", function()
  local app = tide.spec.bundle("user", { source = [[
    local slow = require "slow"
    local kept = slow.napper()
    tide.route("GET /nap/{ms}", { params = { ms = "integer" }, timeout = "300ms" }, function(req)
      return { naps = assert(slow.nap(slow.napper(), req.params.ms)) }
    end)
    tide.route("GET /kept", function() return { naps = assert(slow.nap(kept, 1000)) } end)
    tide.route("GET /other", function() return { naps = assert(slow.nap(tide.queue, 1)) } end)
  ]] })
  it("leaves the loop to others, and gives its result", function()
    assert.same({ naps = 1 }, app:get("/nap/1"):json())
  end)
  it("goes on without the handler whose time is over, and holds its object", function()
    assert.equal(504, app:get("/nap/1500").status)
    assert.same({ naps = 1 }, app:get("/nap/1"):json())
  end)
  it("is the only one that has its object", function()
    local one, two = tide.spec.together(function() return app:get("/kept").status end, function() return app:get("/kept").status end)
    assert.same({ 200, 500 }, one < two and { one, two } or { two, one })
    assert.is_truthy(tide.spec.logged("handler failed")[1].message:find("this napper is in use by another call that waits", 1, true))
  end)
  it("takes no other thing", function()
    assert.equal(500, app:get("/other").status)
  end)
end)
LUA
env TIDEMILL_PLUGINS=slow "$tidemill" test spec >"$work/out" 2>&1
check "the specs of a slow plugin" grep -q '^# 4 passed, 0 failed' "$work/out"
check "all its objects are freed" test "$(grep -c '^freed' "$work/out")" = 4
