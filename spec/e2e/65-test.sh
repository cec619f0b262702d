# tidemill test: what fails is told as a failure, whatever way it fails; a new bundle's spec passes.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")
mkdir "$work/specs"
cd "$work" || exit 1

# spec TEXT [OPTION...]: runs it; $status and $work/body are the run's.
spec() {
    cat >specs/a_spec.lua
    "$tidemill" test "$@" specs/a_spec.lua >"$work/body" 2>&1
    status=$?
}
says() { grep -qE "$1" "$work/body"; }

"$tidemill" new shop >"$work/body" 2>&1 && "$tidemill" test shop >"$work/body" 2>&1
status=$?
check "the spec of a new bundle passes" is 0
check "all of it" says '^# 3 passed, 0 failed$'

spec <<<'it("adds", function() assert.equal(2, 1 + 1) end)'
check "a good spec is good" is 0
check "and told in TAP" says '^ok 1 - adds$'

spec <<<'it("adds", function() assert.equal(3, 1 + 1) end) it("goes on", function() end)'
check "a wrong one fails the run" is 1
check "with its name" says '^not ok 1 - adds$'
check "and its line" says '^# specs/a_spec.lua:1: Expected objects to be equal'
check "the next test runs" says '^ok 2 - goes on$'

spec <<<'describe("x", function() error("no backend") end)'
check "an error outside of a test fails the run" is 1
check "and is told" says 'a_spec.lua:1: no backend'

spec <<<'describe("x", function('
check "a file that is no Lua fails the run" is 1

spec <<<'it("reads", function() tide.spec.bundle("bad", { source = "tide.rote()" }) end)'
check "a bundle that can't be loaded fails its test" is 1
check "with the bundle's report" says "tide has no 'rote' \(did you mean 'route'\?\)"

spec <<<'local app = tide.spec.bundle("slow", { source = "tide.route(\"GET /\", function() tide.sleep \"1h\" end)" })
it("waits", function() app:request { path = "/", timeout = "50ms" } end)
it("has it closed", function() app:close() end)'
check "what a bundle has in flight ends with it" is 0

spec --timeout 1s <<<'local app = tide.spec.bundle("loop", { source = "tide.route(\"GET /\", function() while true do end end)" })
it("comes back", function() app:get "/" end)'
check "a test that never ends, ends the run" is 1
check "by its name" says '^not ok - comes back$'

spec <<<'pending("later")'
check "a run without a test that ran is not good" is 1
"$tidemill" test nothing >"$work/body" 2>&1
status=$?
check "what is no spec is wrong usage" is 2
