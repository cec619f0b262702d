# The command line: what can't be done is refused in words, and help is of the command alone.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")
cd "$work" || exit 1

# run ARGUMENTS...: $status and $work/body are the run's.
run() {
    "$tidemill" "$@" >"$work/body" 2>&1
    status=$?
}
says() { grep -qE -- "$1" "$work/body"; }

# ---- convert ----

echo "no video" >in.mkv
run convert in.mkv -
check "convert to the standard output is wrong usage" is 2
check "it says so" says "'-' can't be the output: .*standard output"
check "and makes no file" test ! -e ./-
run convert in.mkv out.wav
check "convert to another format is wrong usage" is 2
check "it says what is right" says "'out.wav' can't be the output: .* ends in .mp3"
run convert in.mkv none/out.mp3
check "an output that can't be written fails" is 1
check "it is named, the input isn't" says "^tidemill: output: not_found: none/out.mp3: No such file"
run convert in.mkv out.MP3
check "a failed conversion names the input" says "^tidemill: in.mkv: unsupported: "
check "and leaves nothing" test "$(ls)" = "$(printf 'began\nbody\nin.mkv')"
run convert in.mkv out.mp3 --timeout 1
check "a wrong timeout is wrong usage" is 2
check "it is told with the option" says "^tidemill convert: --timeout: '1' is not a duration"
run convert in.mkv
check "an operand that is missing is named" says "^tidemill convert: OUT is missing"
echo mine >out.mp3
run convert in.mkv out.mp3
check "an output that is there is not replaced" says "out.mp3: there already; --force replaces it"
run convert in.mkv out.mp3 --force
check "unless it is asked for" says "^tidemill: in.mkv: unsupported: "
check "and a conversion that fails leaves it" test "$(cat out.mp3)" = mine

# ---- help ----

for command in run user queue; do
    run "$command" --help
    check "$command --help keeps its columns apart" test -z "$(grep -E '^ +(-[a-z], )?--' body | grep -vE -- '--[a-z-]+( [^ ]+)?  +[^ ]')"
done
run queue --help
check "queue --help lists what matters" says "--data DIR"
check "and nothing else" eval '! says "--(workers|listen|grace|log|bundle)"'
run user list --workers 3
check "the rest is refused" is 2
run new admin
check "a reserved name is refused as such" says "'admin' can't be a bundle's name: it is reserved for the admin listener"
run help settings
check "help settings shows examples as they are written" says 'as in reload = \{ watch = "off" \}, or TIDEMILL_RELOAD_WATCH'
run new shop
check "new names the executable as it was called" says "^  $tidemill check --bundle shop$"
run new my-shop --dir "$work/elsewhere"
check "new writes an address that Lua takes" says '^  listen = \{ \["my-shop"\] = "127.0.0.1:8081" \}$'

run help --help
check "help --help is help" is 0
run help reload.gate
check "a setting has help" says "TIDEMILL_RELOAD_GATE; default off"
check "of itself alone" eval '! says "reload.keep"'
run help reload.gat
check "help of no setting is wrong usage" is 2
check "it says which was meant" says "no help for 'reload.gat' .did you mean 'reload.gate'"
run help consume
check "a method has help by its last word" says "^tide.Queue:consume"
run help tide.spec.clock
check "an object's help has its methods" says "^tide.Clock:advance"
run status --help
check "status --help has no settings of an engine" eval '! says "--(workers|grace|log)"'
run routes --json --graph
check "two forms of routes are wrong usage" is 2
run types some/where
check "types makes its directory" test -f some/where/.types/tide.lua
run test shpo
check "test says which bundle was meant" says "'shpo' is no file, .*did you mean 'shop'"
run test shop -f %
check "test says which pattern is wrong" says "--filter %: this is no Lua pattern: malformed pattern"
check "without a traceback" eval '! says traceback'

# ---- a directory that is not there ----

for command in "user list" "queue list" "queue show shop.orders"; do
    # shellcheck disable=SC2086
    run $command --data nowhere
    check "$command refuses it" says "^tidemill: there is no directory 'nowhere'"
    check "and makes none" test ! -e nowhere
done
run user add
check "user add without an address names what is missing" says "^tidemill user: add: EMAIL is missing"
run user add ann@example.com --password-file nowhere
check "a password that can't be read is told with why" says "--password-file nowhere: No such file"

# ---- check: the backends' URLs ----

cat >urls.lua <<'LUA'
return {
  sql = "mysql://anna:hush@db/auth?sslmode=required",
  queue = "amqp://anna:hush@mq:99999/",
  blob = "mongodb://anna:hu/sh@mongo/files",
}
LUA
echo "smtp://anna:hush@mx?tls=maybe" >mail.url
TIDEMILL_MAIL_FILE=mail.url run check -c urls.lua
check "check fails for wrong URLs of backends" is 1
check "an unknown parameter is told with its line and those there are" \
    says "^urls.lua:2: error: sql .*no parameter 'sslmode'; there are ssl_ca, ssl_mode, socket, connections"
check "a wrong port is told" says "^urls.lua:3: error: queue .*port is not a number from 1 to 65535"
check "a password that is not encoded is told" says "^urls.lua:4: error: blob .*/ is %2F"
check "a wrong word is told with the variable" says "^error: TIDEMILL_MAIL_FILE .*'tls' is not required, opportunistic or off"
check "and no password" eval '! grep -q hush body && ! grep -q hu/sh body'
TIDEMILL_SQL=postgres://anna:hush@db/auth TIDEMILL_QUEUE=sqlite: run check
check "a scheme without a driver is told" says "^error: TIDEMILL_SQL .*there are sqlite:FILE, mysql://USER:PASSWORD@HOST/DATABASE"
check "a URL without a file is told" says "^error: TIDEMILL_QUEUE .*names nothing after 'sqlite:'"
TIDEMILL_LISTEN_SHOP=off TIDEMILL_SQL=mysql://anna:hush@127.0.0.1:1/auth run check
check "a right URL is not connected to" is 0

# ---- queue ----

cat >scripts/shop/init.lua <<'LUA'
tide.queue("shop.orders", {}):consume(function() end)
LUA
mkdir -p data
run queue list --json
check "queue list has the declared queues" test "$(jq -c . body)" = '[{"queue":"shop.orders","ready":0,"delayed":0,"leased":0,"dead":0}]'
run queue show shop.orders
check "one without messages can be shown" is 0
for verb in show "retry --all" purge; do
    # shellcheck disable=SC2086
    run queue $verb shop.oders
    check "queue $verb of one that is not there fails" is 1
    check "it says which was meant" says "there is no queue 'shop.oders': .*did you mean 'shop.orders'"
done

# ---- an installation ----

mkdir -p prefix/bin prefix/share/tidemill/scripts/door empty
cp "$tidemill" prefix/bin/
cp "$tidemill-media" prefix/bin/
echo 'tide.route("GET /", function() end)' >prefix/share/tidemill/scripts/door/init.lua
echo 'return { listen = { door = "127.0.0.1:8081" }, bundles = { door = {} } }' >prefix/share/tidemill/scripts/tidemill.lua
tidemill=$work/prefix/bin/tidemill
scripts=$work/scripts
cd empty || exit 1
run check
check "the installed bundles run with the installed settings" is 0
check "they are those" says "^door +ok"
TIDEMILL_SCRIPTS=$scripts run check
check "other bundles run without the installed settings, which name bundles that aren't there" is 0
check "they are the others" says "^shop +ok"
run check --scripts "$scripts"
check "so they do with the option" is 0
