# Bundles that change while the engine runs: what is good is run by all workers, what is not by none, and no request fails.
source "$(dirname "$0")/lib.bash"
mapfile -t ports < <(free_ports 3)
hello=http://127.0.0.1:${ports[0]} other=http://127.0.0.1:${ports[1]} admin=http://127.0.0.1:${ports[2]}
scripts=$work/scripts
mkdir -p "$scripts"/{hello,other,lib}
settings=(--config "$work/tidemill.lua" --scripts "$scripts")
export TIDEMILL_DATA=$work/data TIDEMILL_LISTEN_HELLO=${hello#http://} TIDEMILL_LISTEN_OTHER=${other#http://} \
    TIDEMILL_LISTEN_ADMIN=${admin#http://}
echo 'return {}' >"$work/tidemill.lua"
cat >"$scripts/hello/init.lua" <<'LUA'
local words = require "words"
local shared = require "shared"
tide.route("GET /", function() return tide.respond.text(200, words.greeting .. " " .. shared) end)
tide.route("GET /slow", function()
  tide.sleep "3s"
  return tide.respond.text(200, words.greeting)
end)
LUA
cat >"$scripts/other/init.lua" <<'LUA'
tide.route("GET /", function() return tide.respond.text(200, "other") end)
LUA
word() { echo "return { greeting = \"$1\" }" >"$scripts/hello/words.lua"; }
word one
echo 'return "shared"' >"$scripts/lib/shared.lua"

start() {
    "$binary" run "${settings[@]}" --workers 2 "$@" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 30 curl -fs -o /dev/null "$admin/readyz"
}
says_word() { request "$hello/" && is 200 && [[ $(body) == "$1" ]]; }
bundle() { request "$admin/-/bundles" && field ".[] | select(.name == \"$1\") | $2"; }
reload() { "$binary" reload "${settings[@]}" "$@" >"$work/body" 2>&1; }
is_measured() { request "$admin/metrics" && grep -q "^tidemill_config_last_reload_successful{bundle=\"$1\"} $2\$" "$work/body"; }
told() { grep -qE "$1" "$work/body"; }

# ---- files ----

need "the engine starts" start
check "it answers" says_word "one shared"
check "a metric says that all is well" is_measured hello 1
before=$(bundle other .generation)
curl -sS "$hello/slow" >"$work/slow" &
slow=$!
sleep 0.5
word two
check "a file that is written is run" until_true 10 says_word "two shared"
wait "$slow"
check "a request in flight ends where it began" test "$(cat "$work/slow")" = one
word three && mv "$scripts/hello/words.lua" "$work/words.lua" && word two && mv "$work/words.lua" "$scripts/hello/words.lua"
check "a file that is renamed over another is run" until_true 10 says_word "three shared"
echo 'return "lib"' >"$scripts/lib/shared.lua"
check "a module of the library is run by the bundle that requires it" until_true 10 says_word "three lib"
check "and by no other" test "$(bundle other .generation)" = "$before"
mkdir "$scripts/hello/more"
echo 'return "more"' >"$scripts/hello/more/word.lua"
sed -i 's/^local shared.*/local shared = require "more.word"/' "$scripts/hello/init.lua"
check "a new directory is watched" until_true 10 says_word "three more"
echo 'return "again"' >"$scripts/hello/more/word.lua"
check "and its files are" until_true 10 says_word "three again"

good=$(bundle hello .generation)
echo 'return {' >"$scripts/hello/words.lua"
is_refused() { [[ $(bundle hello .reload.outcome) == refused ]]; }
check "what is wrong is refused" until_true 10 is_refused
is_located() { [[ $(bundle hello .reload.report) == */words.lua:2:* ]]; }
check "with its file and line" is_located
check "what was good still answers" says_word "three again"
check "and its generation is told" test "$(bundle hello .generation)" = "$good"
is_ready() { request "$admin/readyz" && is 200; }
check "the engine is ready" is_ready
check "a metric says so" is_measured hello 0
check "and of the other bundle that all is well" is_measured other 1

# ---- a worker that starts later ----

read -r worker _ <"/proc/$engine_pid/task/$engine_pid/children"
kill -KILL "$worker"
is_replaced() { [[ $(bundle hello '[.workers[] | select(.state == "ready") | .generation] | join(" ")') == "$good $good" ]] && is_ready; }
check "a fresh worker runs what the others run" until_true 20 is_replaced
check "it answers" says_word "three again"

# ---- commands ----

check "reload tells what is wrong" eval '! reload hello && told "^hello: refused, $good still runs" && told "words.lua:2:"'
word four
check "reload tells both generations" eval 'reload && told "^hello: $good -> [0-9a-f]{12}$" || told "^hello: .* unchanged"'
check "and they are run" says_word "four again"
check "reload tells that nothing has changed" eval 'reload other && told "^other: [0-9a-f]{12} unchanged"'
check "an unknown bundle is told" eval '! reload nobody && told "without a bundle .nobody."'
check "whatever its name" eval '! reload "&to=x" && told "without a bundle .&to=x."'
mv "$scripts/other" "$work/other"
check "what is gone is told by the engine" eval '! reload other && told "^other: refused, [0-9a-f]{12} still runs$"'
check "which tells its state" "$binary" status "${settings[@]}"
mv "$work/other" "$scripts/other"
echo 'tide.rote()' >"$scripts/other/init.lua"
echo 'return {' >"$scripts/hello/words.lua"
both_refused() { request -X POST "$admin/-/reload" && is 422 && [[ $(field '[.[].reload.outcome] | join(" ")') == "refused refused" ]]; }
check "two bundles that are wrong are refused" both_refused
check "each for its own reason" test "$(field '[.[].reload.report | contains("words.lua"), contains("rote")] | join(" ")')" = "true false false true"
echo 'tide.route("GET /", function() return tide.respond.text(200, "other") end)' >"$scripts/other/init.lua"
word four
check "both are mended" until_true 10 eval 'request -X POST "$admin/-/reload" && is 200'
request "$admin/-/reload"
check "only POST reloads" is_problem 405
request -X POST "$admin/-/reload?bundle=nobody"
check "the admin listener knows no other bundle" is_problem 404

check "the engine stops" engine_stop
export TIDEMILL_RELOAD_WATCH=off
need "the engine starts again" start
word five
sleep 1
check "nothing is watched" says_word "four again"
kill -HUP "$engine_pid"
check "SIGHUP reloads" until_true 10 says_word "five again"
odd=$'odd\nname \xff.txt'
echo odd >"$scripts/hello/$odd"
check "a file's name may hold anything" eval 'reload hello && told "added .*/odd$"'
rm "$scripts/hello/$odd"
check "and be removed" eval 'reload hello && told "removed .*/odd$"'
check "the engine stops" engine_stop
export TIDEMILL_RELOAD_SIGNAL=off TIDEMILL_RELOAD_ADMIN=off
need "the engine starts with every trigger off" start
word six
kill -HUP "$engine_pid"
sleep 1
check "SIGHUP does nothing" says_word "five again"
check "tidemill reload is refused" eval '! reload && told "reload.admin is off"'
check "the engine stops" engine_stop
unset TIDEMILL_RELOAD_SIGNAL TIDEMILL_RELOAD_ADMIN
export TIDEMILL_RELOAD_WATCH=poll TIDEMILL_RELOAD_POLL=200ms
need "the engine starts with a poll" start
word seven
check "what changed is found" until_true 10 says_word "seven again"
check "the engine stops" engine_stop
unset TIDEMILL_RELOAD_WATCH TIDEMILL_RELOAD_POLL

# ---- a worker that is killed when it has agreed and not swapped ----

faults=$work/faults
mkdir "$faults"
export TIDE_FAULTS=$faults
plain=$binary
binary=$BUILD/armed/tidemill
need "the engine with faults starts" start
binary=$plain
before=$(bundle hello .generation)
touch "$faults/reload.agreed.hello"
word killed
is_killed() { [[ ! -e $faults/reload.agreed.hello ]]; }
check "a worker dies there" until_true 10 is_killed
are_equal() { # all workers are there and run the same, which /-/bundles says is current
    [[ $(bundle hello '[.generation, (.workers[] | select(.state == "ready") | .generation)] | [length, (unique | length)] | join(" ")') == "3 1" ]] && is_ready
}
check "in the end all run the same" until_true 20 are_equal
check "no file change is lost over it" until_true 10 eval 'reload; says_word "killed again" && are_equal'
check "it is the new one" test "$(bundle hello .generation)" != "$before"
check "the engine stops" engine_stop
unset TIDE_FAULTS

# ---- a load without an end ----

need "the engine starts" start
before=$(bundle hello .generation)
echo 'while true do end' >"$scripts/hello/words.lua"
is_told() { [[ $(bundle hello .reload.report) =~ $1 ]]; }
# On a machine that gives the worker no 2 s of CPU time in 20 s, the supervisor is first.
lost='was killed since it did not answer'
check "a file that loops for ever is refused" until_true 60 is_told "words.lua:1: the file did not end within 2 s of CPU time|^worker 0 $lost"
need "all workers are there" until_true 60 is_ready
echo 'return { greeting = ("a"):rep(60):find(("a*"):rep(40) .. "b") }' >"$scripts/hello/words.lua"
check "what can't be stopped costs a worker, which is told" until_true 60 is_told "^worker 0 (exited with status 70|$lost) while it loaded this, [0-9.]+ s after it began"
check "one alone" test "$(curl -s "$admin/-/status" | jq '.workers[1].restarts')" = 0
check "what ran still runs" eval 'until_true 20 is_ready && [[ $(bundle hello .generation) == "$before" ]] && says_word "killed again"'
word killed
check "the engine stops" engine_stop

# ---- a mounted ConfigMap: links through ..data, which is renamed over; keys with a path are in folders ----

# publish TEXT [FOLDER]: a version of the directory, as the kubelet makes it (pkg/volume/util/atomic_writer.go): a new
# folder, the link ..data renamed over, then the links for what is new at the top, then what is left of the old version away.
publish() {
    local version old name shared='"mount"' mount=$scripts/hello
    version=$mount/..$(date +%s%N)
    mkdir -p "$version/text"
    echo "return { greeting = \"$1\" }" >"$version/text/words.lua"
    if (($# > 1)); then
        mkdir "$version/$2"
        echo 'return "folder"' >"$version/$2/word.lua"
        shared="require \"$2.word\""
    fi
    sed "s/require \"words\"/require \"text.words\"/; s/require \"more.word\"/$shared/" "$work/init.lua" >"$version/init.lua"
    ln -s "$(basename "$version")" "$mount/..data_tmp"
    old=$(readlink -f "$mount/..data")
    mv -T "$mount/..data_tmp" "$mount/..data"
    if (($# > 1)); then sleep 0.3; fi # for so long the new folder has no link
    for name in init.lua text ${2:-}; do
        if [[ ! -L $mount/$name ]]; then ln -s "..data/$name" "$mount/$name"; fi
    done
    find -L "$mount" -maxdepth 1 -type l -delete
    if [[ -n $old && $old != "$mount/..data" ]]; then rm -rf "$old"; fi
}
mv "$scripts/hello/init.lua" "$work/init.lua"
rm -rf "$scripts/hello"
mkdir "$scripts/hello"
publish v0
need "the engine starts on a mount" start
check "it answers" says_word "v0 mount"
touch "$work/loading"
(
    while [[ -e $work/loading ]]; do
        curl -s --max-time 10 -o /dev/null -w '%{http_code}\n' "$hello/?n=[1-20]"
    done >"$work/codes"
) &
load=$!
swaps=0
for ((i = 1; i <= 50; i++)); do
    publish "v$i"
    if until_true 10 says_word "v$i mount"; then ((swaps += 1)); fi
done
rm "$work/loading"
wait "$load"
check "each of 50 swaps is run" test "$swaps" = 50
check "no request failed under them" test "$(sort -u "$work/codes")" = 200
publish v51 more
check "a folder that comes with a later version is run" until_true 10 says_word "v51 folder"
publish v52
check "and so is the version without it" until_true 10 says_word "v52 mount"
check "the engine ends well" engine_stop
