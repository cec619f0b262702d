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
port=$(sed -E 's|.*:([0-9]+)/.*|\1|' <<<"$MYSQL_AUTH_URL")
sql() { mariadb --no-defaults --default-character-set=utf8mb4 -h 127.0.0.1 -P "$port" -u auth_user -pAuth123 auth -N -e "$1"; }
row() { sql "SELECT password FROM user WHERE email = '$user'"; }
fails_with() { ! "${@:2}" >"$work/body" 2>&1 && grep -qE -- "$1" "$work/body"; }
# A user who only reads. The one for tests may not GRANT.
make_reader() {
    mariadb --no-defaults -h 127.0.0.1 -P "$port" -u tidemill -p"$(sed -E 's|.*:([^:@]+)@.*|\1|' <<<"$MYSQL_URL")" -e "
        CREATE USER reader@localhost IDENTIFIED BY 'Reader123';
        INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('localhost', 'auth', 'reader', 'Y'); FLUSH PRIVILEGES"
}
check "a user for reading is made" make_reader
reader=mysql://reader:Reader123@127.0.0.1:$port/auth

# ---- migrate ----

pending() { ! "$BUILD/tidemill" migrate --check >"$work/body" && grep -qx 'scripts/auth/schema/001_user.mysql.sql is pending' "$work/body"; }
check "migrate --check tells what is pending, with 1" pending
refused() { ! TIDEMILL_MIGRATE=off timeout 60 "$BUILD/tidemill" run >"$work/body" 2>&1 && grep -q "run tidemill migrate" "$work/body"; }
check "with migrate = off, run says what to do" refused
check "user list says what to do" fails_with "the database lacks scripts/auth/schema/001_user.mysql.sql: run tidemill migrate" \
    "$BUILD/tidemill" user list
check "and changes nothing" test -z "$(sql "SHOW TABLES LIKE 'tide_schema'")"
check "a user who may not CREATE is told so, whole" fails_with "CREATE command denied to user 'reader'@'localhost' .*tide_schema. \(1142\)$" \
    env TIDEMILL_SQL="$reader" "$BUILD/tidemill" migrate
together() {
    local one two
    "$BUILD/tidemill" migrate >"$work/one" & one=$!
    "$BUILD/tidemill" migrate >"$work/two" & two=$!
    wait $one && wait $two
}
check "two migrate at once" together
check "nothing is pending any more" eval '"$BUILD/tidemill" migrate --check >/dev/null'
check "where nothing is pending, reading is enough" env TIDEMILL_SQL="$reader" "$BUILD/tidemill" migrate
check "user list lists" eval '"$BUILD/tidemill" user list | grep -qx "$user"'
warnings() { TIDEMILL_SQL=mysql://auth_user:Auth123@0.0.0.0:$1/auth "$BUILD/tidemill" migrate 2>&1 | grep -c "is not encrypted"; }
check "what is not encrypted is told once" eval '[[ $(warnings "$port") == 1 ]]'
check "and not of a server that is away" eval '[[ $(warnings 1) == 0 ]]'
check "the password is still the script's" test "$(row)" = "$password"

# ---- log in ----

need "the engine starts" engine_start "$work" TIDEMILL_SQL="$MYSQL_AUTH_URL" TIDEMILL_MIGRATE=off
check "a wrong password is 401" eval '! login "$user" wrong && is 401'
check "the script's user logs in" login "$user" "$password"
check "the row is Argon2id" grep -q '^\$argon2id\$' <<<"$(row)"
check "and logs in again" login "$user" "$password"
check "a token is validated" eval 'request -X POST -H "Authorization: Bearer $token" "$auth/validate" && is 200'

# ---- a table of latin1 ----

sql "ALTER TABLE user CONVERT TO CHARACTER SET latin1; INSERT INTO user (email, password) VALUES ('müller@email.com', 'Müller123')"
check "the letters that it has log in" login müller@email.com Müller123
check "those that it can't have are nobody's" eval '! login żółw@email.com Müller123 && is 401'

# ---- the server goes away ----

servers kill mariadb
check "readiness says that the database is missing" until_true 20 eval 'request "$admin/readyz"; is 503 && grep -q sql "$work/body"'
request -X POST "$gateway/login" -u "$user:$password"
check "a login is 503, to be tried again" eval 'is_problem 503 && has_header Retry-After'
check "no password is in the log" eval '! grep -q Auth123 "$work/engine.log"'
engine_stop
start_alone() { # OPTIONS OF run
    env -u TIDEMILL_SQL TIDEMILL_SQL="$MYSQL_AUTH_URL" TIDEMILL_LISTEN_GATEWAY="${gateway#http://}" TIDEMILL_LISTEN_AUTH="${auth#http://}" \
        TIDEMILL_LISTEN_ADMIN="${admin#http://}" TIDEMILL_GATEWAY_AUTH_URL="$auth" "$BUILD/tidemill" run "$@" </dev/null >>"$work/engine.log" 2>&1 &
    engine_pid=$!
    until_true 20 eval 'request "$admin/healthz"; is 200'
}
check "the engine starts without its database" start_alone --dev
servers restart mariadb
check "and is ready once it is there" until_true 30 eval 'request "$admin/readyz"; is 200'
check "log in as if nothing had been" login "$user" "$password"
check "what --dev makes is made as soon as there is a database" until_true 20 grep -q "everybody on this machine can log in" "$work/engine.log"
check "the engine stops on SIGTERM" engine_stop
