# The database that the SQL script of the system this one replaces makes: its user logs in, and has a hash afterwards. The server
# goes away and comes back.
source "$(dirname "$0")/lib.bash"
source spec/servers/servers.bash
if [[ -z $(PATH=$PATH:/usr/sbin command -v mariadbd) ]]; then
    echo "# skipped: MariaDB is not installed (.ci/setup servers)"
    exit 0
fi
unset MYSQL_URL MYSQL_AUTH_URL
trap 'servers stop >/dev/null 2>&1; finish' EXIT
need "MariaDB starts, and runs the script" servers_start "$work/servers" mariadb
export TIDEMILL_SQL=$MYSQL_AUTH_URL TIDEMILL_DATA=$work/data
row() { mariadb --no-defaults -h 127.0.0.1 -P "$(sed -E 's|.*:([0-9]+)/.*|\1|' <<<"$TIDEMILL_SQL")" -u auth_user -pAuth123 auth -N \
    -e "SELECT password FROM user WHERE email = '$user'"; }

# ---- migrate ----

pending() { ! "$BUILD/tidemill" migrate --check >"$work/body" && grep -qx 'scripts/auth/schema/001_user.mysql.sql is pending' "$work/body"; }
check "migrate --check tells what is pending, with 1" pending
refused() { ! TIDEMILL_MIGRATE=off timeout 60 "$BUILD/tidemill" run >"$work/body" 2>&1 && grep -q "run tidemill migrate" "$work/body"; }
check "with migrate = off, run says what to do" refused
together() {
    local one two
    "$BUILD/tidemill" migrate >"$work/one" & one=$!
    "$BUILD/tidemill" migrate >"$work/two" & two=$!
    wait $one && wait $two
}
check "two migrate at once" together
check "nothing is pending any more" eval '"$BUILD/tidemill" migrate --check >/dev/null'
check "the password is still the script's" test "$(row)" = "$password"

# ---- log in ----

need "the engine starts" engine_start "$work" TIDEMILL_SQL="$MYSQL_AUTH_URL" TIDEMILL_MIGRATE=off
check "a wrong password is 401" eval '! login "$user" wrong && is 401'
check "the script's user logs in" login "$user" "$password"
check "the row is Argon2id" grep -q '^\$argon2id\$' <<<"$(row)"
check "and logs in again" login "$user" "$password"
check "a token is validated" eval 'request -X POST -H "Authorization: Bearer $token" "$auth/validate" && is 200'

# ---- the server goes away ----

servers kill mariadb
check "readiness says that the database is missing" until_true 20 eval 'request "$admin/readyz"; is 503 && grep -q sql "$work/body"'
request -X POST "$gateway/login" -u "$user:$password"
check "a login is 503, to be tried again" eval 'is_problem 503 && has_header Retry-After'
check "no password is in the log" eval '! grep -q Auth123 "$work/engine.log"'
engine_stop
start_alone() {
    env -u TIDEMILL_SQL TIDEMILL_SQL="$MYSQL_AUTH_URL" TIDEMILL_LISTEN_GATEWAY="${gateway#http://}" TIDEMILL_LISTEN_AUTH="${auth#http://}" \
        TIDEMILL_LISTEN_ADMIN="${admin#http://}" TIDEMILL_GATEWAY_AUTH_URL="$auth" "$BUILD/tidemill" run </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 20 eval 'request "$admin/healthz"; is 200'
}
check "the engine starts without its database" start_alone
servers restart mariadb
check "and is ready once it is there" until_true 30 eval 'request "$admin/readyz"; is 200'
check "log in as if nothing had been" login "$user" "$password"
check "the engine stops on SIGTERM" engine_stop
