# An engine that can't start ends with 1, and why is the last that it says: a container's termination message is made of that.
source "$(dirname "$0")/lib.bash"
engine_ports

# run [NAME=VALUE...]: $status and $work/body, of which Kubernetes would keep so much (FallbackToLogsOnError).
run() {
    env TIDEMILL_DATA="$work/data" TIDEMILL_LISTEN_GATEWAY="${gateway#http://}" TIDEMILL_LISTEN_AUTH="${auth#http://}" \
        TIDEMILL_LISTEN_ADMIN="${admin#http://}" "$@" \
        timeout $((30 * SLOWNESS)) "$binary" run --workers 2 </dev/null >"$work/engine.log" 2>&1
    status=$?
    tail -n 80 "$work/engine.log" | tail -c 2048 >"$work/body"
}
says() { grep -qF -- "$1" "$work/body"; }

secret=$work/secrets/jwt
run TIDEMILL_AUTH_JWT_SECRET_FILE="$secret"
check "a secret that isn't there stops the start" is 1
check "it is named with its variable" says "TIDEMILL_AUTH_JWT_SECRET_FILE: $secret: No such file or directory"
run TIDEMILL_SQL_FILE="$secret"
check "so does one of the engine's own settings" eval 'is 1 && says "TIDEMILL_SQL_FILE: $secret: No such file or directory"'
mkdir -p "$secret"
run TIDEMILL_AUTH_JWT_SECRET_FILE="$secret"
check "one that can't be read is named" eval 'is 1 && says "TIDEMILL_AUTH_JWT_SECRET_FILE: $secret: Is a directory"'
rmdir "$secret"
echo short >"$secret"
run TIDEMILL_AUTH_JWT_SECRET_FILE="$secret"
check "one that is too short is told without its text" eval 'is 1 && says "TIDEMILL_AUTH_JWT_SECRET" && says "at least 32 bytes" && ! says short,'

cp -r scripts "$work/scripts"
echo 'tide.rote("GET /", print)' >>"$work/scripts/gateway/init.lua"
line=$(wc -l <"$work/scripts/gateway/init.lua")
run TIDEMILL_SCRIPTS="$work/scripts"
check "a broken script stops the start" is 1
check "it is told with its file and line" says "gateway/init.lua:$line: "
run TIDEMILL_QUEUE="amqp://127.0.0.1/?heartbet=1"
check "a wrong URL stops the start" eval 'is 1 && says heartbet'
run TIDEMILL_DATA=/proc/tidemill
check "a data directory that can't be written stops the start" eval 'is 1 && says /proc/tidemill'
