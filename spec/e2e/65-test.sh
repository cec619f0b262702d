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

spec --timeout 3s <<<'local app = tide.spec.bundle("loop", { source = "tide.route(\"GET /\", { cpu = \"1h\" }, function() while true do end end)" })
it("comes back", function() app:get "/" end)'
check "a test that never ends, ends the run" is 1
check "by its name" says '^not ok - comes back$'
check "and its line" says '^# specs/a_spec.lua:2: did not end within 3 s'

spec <<<'local files = tide.bucket "files"
it("leaves a file", function()
  files:create { name = "a" }
end)
it("closes it", function()
  local file = files:create { name = "a" }
  finally(function() file:drop() end)
end)
it("fails anyway", function() files:create { name = "b" } error "first" end)'
check "a handle that a test leaves open fails it" says '^not ok 1 - leaves a file$'
check "with the line that opened it" says '^# specs/a_spec.lua:3: what bucket:create gave is still open$'
check "one that it closes doesn't" says '^ok 2 - closes it$'
check "nor is it told of a test that failed" is 1
if grep -q 'a_spec.lua:9: what' "$work/body"; then status=told; fi
check "which has told why" is 1

spec <<<'local file
setup(function() file = tide.bucket("files"):create { name = "a" } end)
it("adds", function() end)'
check "one that setup leaves open fails the file" says '^not ok 2 - specs/a_spec.lua: what is left open$'
check "with its line" says '^# specs/a_spec.lua:2: what bucket:create gave is still open$'

spec <<<'local app = tide.spec.bundle("slow", { source = [[
tide.queue("slow", { n = "integer" }):consume(function()
  tide.log.info "begun"
  tide.sleep "4m"
end)]] })
it("waits", function()
  assert(tide.queue("slow", { n = "integer" }):publish { n = 1 })
  tide.spec.eventually(function() return #tide.spec.logged "begun" == 1 end)
end)
it("advances", function()
  tide.spec.clock:advance "4m"
  tide.spec.eventually(function() return app:queue("slow").leased == 0 end)
end)'
check "work that goes on when a test is over fails it" says '^not ok 1 - waits$'
check "with the line at which it waits" says "slow/init.lua:3: 'consume slow' is still under way, and waits for tide.sleep$"
check "and the next test can wait for it" says '^ok 2 - advances$'

spec <<<'it("asks", function()
  local url = tide.spec.upstream { ["GET /"] = function(req) assert.equal("/x", req.path) return "" end }
  assert(tide.http.get(url .. "/"))
end)'
check "an assertion in an upstream fails the test" says '^# in an upstream of the spec: specs/a_spec.lua:2: Expected objects to be equal'

spec --junit results.xml <<<'describe("a < b", function()
  it("passes", function() end)
  it("fails & tells", function() error "why \1" end)
  pending("later")
end)'
check "results are also written as JUnit's XML" python3 - <<'EOF'
import xml.etree.ElementTree as tree
(suite,) = tree.parse("results.xml").getroot()
cases = {case.get("name"): [child.tag for child in case] for case in suite}
assert cases == {"a < b passes": [], "a < b fails & tells": ["failure"], "a < b later": ["skipped"]}, cases
assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("specs/a_spec.lua", "3", "1", "1")
assert "a_spec.lua:3: why ?" in suite[1][0].text
EOF
spec --junit results.xml <<<'describe("x", function('
check "so are files that can't be run" grep -q '<failure' results.xml
spec --junit missing/results.xml <<<'it("adds", function() end)'
check "a file that can't be written is told" says '^tidemill: --junit: missing/results.xml: No such file'

mkdir -p scripts/covered/spec
cat >scripts/covered/init.lua <<'EOF'
local function classify(n)
  if n > 10 then
    return "many"
  elseif n == 0 then
    local words = { "not",
      "one" }
    return table.concat(words, " ")
  else
    return "some"
  end
end

tide.route("GET /{n}", function(req)
  return classify(tonumber(req.params.n))
end)
EOF
cat >scripts/covered/spec/covered_spec.lua <<'EOF'
it("tells", function()
  local app = tide.spec.bundle "covered"
  for i = 1, 3 do
    assert.equal("some", app:get("/" .. i).body)
  end
end)
EOF
"$tidemill" test --coverage --lcov lcov.info covered >"$work/body" 2>&1
status=$?
check "coverage tells which lines did not run" says '^# scripts/covered/init.lua +8 +5 +62.5%  3, 5-7$'
check "of all files" says '^# all +8 +5 +62.5%$'
check "and how often the others did" grep -qx 'DA:9,3' lcov.info
check "in a form that other tools read" grep -qx 'SF:scripts/covered/init.lua' lcov.info

# The run that stays: what it prints, until it has the text.
"$tidemill" test --watch covered specs/a_spec.lua >watched 2>&1 &
watch_pid=$!
waits_for() { # TEXT TIMES
    local i
    for ((i = 0; i < 200 * SLOWNESS; i++)); do
        if (($(grep -c "$1" watched) >= $2)); then return 0; fi
        sleep 0.1
    done
    cp watched "$work/body"
    return 1
}
check "--watch runs the specs and stays" waits_for '^# waits for an edit' 1
sed -i 's/"some"/"a few"/' scripts/covered/init.lua
check "an edit of a bundle runs the specs that use it again" waits_for "^# Expected objects\|covered_spec.lua:4: Expected" 1
check "and comes to its end" waits_for '^# waits for an edit' 2
check "but no others" test "$(grep -c '^# specs/a_spec.lua$' watched)" = 1
echo 'it("is new", function() end)' >specs/a_spec.lua
check "an edit of a spec runs that one" waits_for '^ok 1 - is new$' 1
check "alone" test "$(grep -c '^# scripts/covered/spec/covered_spec.lua$' watched)" = 2
kill "$watch_pid"
wait "$watch_pid"
status=$?
check "a signal ends it" is 143

cat >specs/b_spec.lua <<'EOF'
describe("first", function()
  it("one", function()
  end)
  it("two", function() end)
end)
it("three", function() end)
EOF
lines() { "$tidemill" test "specs/b_spec.lua:$1" 2>&1 | sed -nE 's/^ok [0-9]+ - //p' | tr '\n' ,; }
check "FILE:LINE runs the test around the line" test "$(lines 3)" = "first one,"
check "or all of the describe that begins there" test "$(lines 1)" = "first one,first two,"
"$tidemill" test specs/b_spec.lua:5 >"$work/body" 2>&1
status=$?
check "where no test is, none is run" is 1

spec <<<'pending("later")'
check "a run without a test that ran is not good" is 1
"$tidemill" test nothing >"$work/body" 2>&1
status=$?
check "what is no spec is wrong usage" is 2
