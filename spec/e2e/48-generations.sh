# What is told of generations, and what is done with them: status, what changed, waiting for the one before.
source "$(dirname "$0")/lib.bash"
mapfile -t ports < <(free_ports 2)
hello=http://127.0.0.1:${ports[0]} admin=http://127.0.0.1:${ports[1]}
scripts=$work/scripts
mkdir -p "$scripts/hello"
settings=(--config "$work/tidemill.lua" --scripts "$scripts")
export TIDEMILL_DATA=$work/data TIDEMILL_LISTEN_HELLO=${hello#http://} TIDEMILL_LISTEN_ADMIN=${admin#http://} TIDEMILL_RELOAD_WATCH=off
echo 'return {}' >"$work/tidemill.lua"
cat >"$scripts/hello/init.lua" <<'LUA'
local words = require "words"
tide.route("GET /", function() return tide.respond.text(200, words.greeting) end)
tide.route("GET /slow", function()
  tide.log.info "slow began"
  tide.sleep "4s"
  return tide.respond.text(200, words.greeting)
end)
LUA
word() { echo "return { greeting = \"$1\" }" >"$scripts/hello/words.lua"; }
word one

start() {
    "$binary" run "${settings[@]}" --workers 2 "$@" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 30 curl -fs -o /dev/null "$admin/readyz"
}
says_word() { request "$hello/" && is 200 && [[ $(body) == "$1" ]]; }
command() { "$binary" "$1" "${settings[@]}" "${@:2}" >"$work/body" 2>&1; }
told() { grep -qE "$1" "$work/body"; }
generation() { curl -s "$admin/-/bundles" | jq -r '.[0].generation'; }

check "without an engine status says so" eval '! command status && told "listen.admin is where the running engine is asked"'
need "the engine starts" start

# ---- status ----

check "status tells the engine" eval 'command status && told "^tidemill .*, pid $engine_pid, up .*: ready$"'
check "its workers" eval 'told "^0 +[0-9]+ +ready +[0-9]+s +0$" && told "^1 +[0-9]+ +ready +[0-9]+s +0$"'
check "its bundles" told "^hello +${hello#http://} +$(generation) *$"
command status --json
check "as JSON, too" test "$(field '[.ready, (.workers | length), .bundles[0].name, .pid] | map(tostring) | join(" ")')" = "true 2 hello $engine_pid"
kill -KILL "$(field '.workers[1].pid')"
is_restarted() { command status && told '^1 +[0-9]+ +ready +[0-9]+s +1$'; }
check "a worker that was replaced is counted" until_true 20 is_restarted

# ---- what changed ----

before=$(generation)
word two
echo 'return 1' >"$scripts/hello/more.lua"
check "reload tells both generations" eval 'command reload hello && told "^hello: $before -> $(generation)$"'
check "and the files that differ" eval 'told "^  changed .*/hello/words.lua$" && told "^  added .*/hello/more.lua$" && (($(wc -l <"$work/body") == 3))'
rm "$scripts/hello/more.lua"
check "one that is gone, too" eval 'command reload && told "^  removed .*/hello/more.lua$"'
check "status tells the last reload" eval 'command status && told "reloaded [0-9]+s ago, before [0-9a-f]{12}$"'
check "where nothing has changed no file is told" eval 'command reload && told "unchanged(, running for [0-9.]+ s)?$" && ! told "words.lua"'
echo 'return {' >"$scripts/hello/words.lua"
check "status tells what was refused, and why" eval '! command reload && command status && told "refused [0-9]+s ago$" && told "words.lua:2:"'

# ---- which generation ----

request "$hello/"
check "an answer doesn't tell it" eval '! has_header X-Tidemill-Generation'
check "the log does" grep -q "\"event\":\"request\".*\"generation\":\"$(generation)\"" "$work/engine.log"
request "$admin/metrics"
check "the metrics do" grep -qx "tidemill_bundle_info{bundle=\"hello\",generation=\"$(generation)\"} 1" "$work/body"

# ---- waiting ----

word three
curl -sS "$hello/slow" >"$work/slow" &
slow=$!
has_begun() { grep -q "\"event\":\"$1 began\"" "$work/engine.log"; }
need "a request is in flight" until_true 10 has_begun slow
check "reload returns while the generation before is busy" eval 'command reload && kill -0 $slow'
check "which status tells" eval 'command status && told "generations before are still busy: 1$"'
check "--wait waits for it" eval 'command reload --wait && ! command status | grep -q busy && [[ $(cat "$work/slow") == two ]]'
check "what runs is the new one" says_word three

# ---- back ----

three=$(generation)
word four
command reload
four=$(generation)
check "reload --to runs a generation of before" eval 'command reload --to "$three" hello && told "^hello: $four -> $three$" && told "^  changed .*words.lua$"'
check "whatever is on the disk" says_word three
check "status tells what is on the disk instead" eval 'command status && told "^    on the disk is $four: it does not run$"'
check "the bundle is found by it" eval 'command reload --to "$four" && says_word four && command reload --to "$three" && says_word three'
kill -KILL "$(curl -s "$admin/-/status" | jq '.workers[0].pid')"
is_settled() { curl -s "$admin/-/bundles" | jq -e --arg g "$three" '[.[0].workers[] | select(.state == "ready" and .generation == $g)] | length == 2' >/dev/null; }
check "a worker that starts later runs it, too" until_true 20 is_settled
check "what is not kept is told" eval '! command reload --to 0123456789ab && told "no bundle keeps the generation 0123456789ab"'
cp -r "$scripts/hello" "$scripts/late"
check "a bundle that is newer than the engine, too" eval '! TIDEMILL_LISTEN_LATE=off command reload late && told "the engine was started without a bundle .late.: .*restart"'
rm -r "$scripts/late"
check "what is no generation, too" eval '! command reload --to four && told "12 digits"'
for i in 1 2 3 4 5 6; do word "more $i" && command reload; done
check "five are kept" test "$(curl -s "$admin/-/bundles" | jq '.[0].kept | length')" = 5
check "and no more" eval '! command reload --to "$three" hello && told "hello: the generation $three is not kept; kept are:( [0-9a-f]{12}){5}$"'
check "the engine ends well" engine_stop
export TIDEMILL_RELOAD_WATCH=on TIDEMILL_RELOAD_POLL=100ms
need "the engine starts with a watch" start
latest=$(generation)
word seven
check "it runs what changes" until_true 10 says_word seven
check "back" eval 'command reload --to "$latest" && says_word "more 6"'
sleep 1 # ten looks
check "what was left is not read again before it changes" says_word "more 6"
word eight
check "then it is" until_true 10 says_word eight
check "the engine ends well" engine_stop

# ---- no worker is there ----

export TIDEMILL_RELOAD_WATCH=off
need "the engine starts with one worker" start --workers 1
kill_worker() { # and return before another is started in its place
    kill -KILL "$(curl -s "$admin/-/status" | jq '.workers[0].pid')"
    sleep 0.05
}
before=$(generation)
echo 'error "wrong"' >"$scripts/hello/words.lua"
kill_worker
check "what is wrong is refused all the same" eval '! command reload && told "^hello: refused, $before still runs$"'
check "what was good answers" until_true 20 says_word eight
kill_worker
command reload &
reloading=$!
worker=
until [[ -n $worker ]]; do read -r worker _ <"/proc/$engine_pid/task/$engine_pid/children"; done
kill -KILL "$worker"
wait "$reloading"
check "so it is when the next worker is killed as it starts" told "^hello: refused, $before still runs$"
check "and what was good answers again" until_true 20 says_word eight
word nine
kill_worker
check "what is good is run" until_true 20 command reload
check "and answers" until_true 20 says_word nine
check "the engine ends well" engine_stop

# ---- specs as a gate ----

unset TIDEMILL_RELOAD_POLL
export TIDEMILL_RELOAD_WATCH=off TIDEMILL_RELOAD_GATE=specs
mkdir -p "$scripts/hello/spec"
cat >"$scripts/hello/spec/hello_spec.lua" <<'LUA'
describe("hello", function()
  local app = tide.spec.bundle "hello"
  it("answers in small letters", function() assert.equal("good", (app:get("/").body:match "^good")) end)
end)
LUA
word "good one"
need "the engine starts with a gate" start
word "good two"
check "what passes its specs is run" eval 'command reload && told "^hello: .* -> " && says_word "good two"'
word BAD
check "what fails them is not" eval '! command reload && told "^hello: refused, $(generation) still runs$" && told "not ok .*answers in small letters"'
check "with the line of the spec" told "hello_spec.lua:3"
check "what was good still answers" says_word "good two"
echo 'return {' >"$scripts/hello/words.lua"
check "what can't be loaded is told without them" eval '! command reload && told "words.lua:2:" && ! told "not ok"'
rm -r "$scripts/hello/spec"
word BAD
check "a bundle without specs has none to fail" eval 'command reload && says_word BAD'
check "the engine ends well" engine_stop

export TIDEMILL_RELOAD_GATE_TIMEOUT=1s
mkdir -p "$scripts/hello/spec"
cat >"$scripts/hello/spec/hello_spec.lua" <<'LUA'
describe("hello", function()
  it("waits", function() tide.sleep "1h" end)
end)
LUA
need "the engine starts with a shorter gate" start
word late
check "specs that take too long are ended" eval '! command reload && told "reload.gate_timeout" && says_word BAD'
unset TIDEMILL_RELOAD_GATE_TIMEOUT
check "the engine ends well" engine_stop
need "the engine starts again" start
word later
command reload &
reloading=$!
has_specs() { # their process in $specs
    for specs in $(<"/proc/$engine_pid/task/$engine_pid/children"); do
        if [[ $(<"/proc/$specs/comm") == tidemill-specs ]]; then return; fi
    done
    return 1
}
check "specs run" until_true 10 has_specs
check "their end is not waited for when the engine stops" engine_stop
check "who waits is told so" eval '! wait $reloading && told "the engine stops"'
check "and they are gone" test ! -e "/proc/$specs"
unset TIDEMILL_RELOAD_GATE

# ---- the end of an old generation ----

rm -r "$scripts/hello/spec"
export TIDEMILL_RELOAD_DRAIN_TIMEOUT=3s TIDEMILL_DEBUG_HEADERS=on
cat >>"$scripts/hello/init.lua" <<'LUA'
tide.route("GET /hour", { timeout = "2h" }, function()
  tide.log.info "hour began"
  tide.sleep "1h"
  return tide.respond.text(200, "late")
end)
LUA
need "the engine starts with headers for debugging" start
old=$(generation)
tells_generation() { request "$hello/$1" && [[ $(header X-Tidemill-Generation) == "$2" ]]; }
check "an answer tells its generation" tells_generation "" "$old"
check "one of an error, too" tells_generation nothing "$old"
curl -sS -D "$work/hour.head" -o /dev/null "$hello/hour" &
hour=$!
need "a request is in flight" until_true 10 has_begun hour
word newest
check "reload doesn't wait for what is in flight" eval 'command reload && tells_generation "" "$(generation)" && kill -0 $hour'
wait "$hour"
check "after drain_timeout it is answered 503" grep -q "^HTTP/1.1 503" "$work/hour.head"
check "by its own generation" grep -qi "^X-Tidemill-Generation: $old" "$work/hour.head"
check "the log tells what was ended" grep -q "an old generation is still busy.*\"generation\":\"$old\".*\"in_flight\":1" "$work/engine.log"
check "none is left" eval 'command reload --wait && command status && ! told busy'
check "the engine ends well" engine_stop

# ---- schema files ----

unset TIDEMILL_RELOAD_DRAIN_TIMEOUT TIDEMILL_DEBUG_HEADERS
mkdir "$scripts/hello/schema"
echo "CREATE TABLE word (text TEXT NOT NULL); INSERT INTO word (text) VALUES ('kept');" >"$scripts/hello/schema/001_word.sql"
answer_with() { # SQL, which gives `text`
    echo "tide.route(\"GET /\", function() return tide.respond.text(200, tide.sql.query(\"$1\")[1].text) end)" >"$scripts/hello/init.lua"
}
answer_with "SELECT text FROM word"
need "the engine starts with a schema file" start
check "its table is there" says_word kept
echo "ALTER TABLE word ADD COLUMN more TEXT DEFAULT 'added';" >"$scripts/hello/schema/002_more.sql"
answer_with "SELECT more AS text FROM word"
check "one that comes with a reload is applied before" eval 'command reload && told "added .*/002_more.sql$" && says_word added'
before=$(generation)
echo "ALTER TABLE absent ADD COLUMN more TEXT;" >"$scripts/hello/schema/003_wrong.sql"
check "one that fails is refused" eval '! command reload && told "003_wrong.sql:1: .*no such table: absent" && says_word added'
check "and its generation" test "$(generation)" = "$before"
rm "$scripts/hello/schema/003_wrong.sql"
check "the engine ends well" engine_stop
export TIDEMILL_MIGRATE=off
need "the engine starts without migrations" start
echo "ALTER TABLE word ADD COLUMN third TEXT DEFAULT 'third';" >"$scripts/hello/schema/003_third.sql"
answer_with "SELECT third AS text FROM word"
check "then a reload asks for tidemill migrate" eval '! command reload && told "003_third.sql: run tidemill migrate" && says_word added'
check "after it the generation is run" eval 'command migrate && command reload && says_word third'
echo "-- a word" >>"$scripts/hello/schema/001_word.sql"
check "migrate --check tells a file that was changed after it was applied" eval '! command migrate --check && told "001_word.sql was changed after it was applied: put it back"'
check "so does the log of a reload" eval 'command reload && grep -q "schema file changed after it was applied.*001_word.sql" "$work/engine.log"'
check "and of a migration" eval 'command migrate && told "schema file changed after it was applied"'
sed -i '$ d' "$scripts/hello/schema/001_word.sql"
check "until it is put back" eval 'command migrate --check && ! told changed'
sqlite3 "$work/data/auth.db" "ALTER TABLE tide_schema DROP COLUMN hash"
check "a table without hashes is good" eval 'command migrate --check && told "nothing is pending"'
echo "CREATE TABLE fourth (text TEXT);" >"$scripts/hello/schema/004_fourth.sql"
check "the next migration gives it some" eval 'command migrate && told "004_fourth.sql applied" && echo "-- a word" >>"$scripts/hello/schema/004_fourth.sql" && ! command migrate --check && told "004_fourth.sql was changed"'
sed -i '$ d' "$scripts/hello/schema/004_fourth.sql"
check "and knows no others" eval 'echo "-- a word" >>"$scripts/hello/schema/001_word.sql" && command migrate --check'
sed -i '$ d' "$scripts/hello/schema/001_word.sql"
check "going back needs none" eval 'command reload --to "$before" && says_word added'
check "the engine ends well" engine_stop
unset TIDEMILL_MIGRATE
