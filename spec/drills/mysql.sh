#!/usr/bin/env bash
# MySQL is restarted, and killed, while people log in all the time: logins wait or are 503, never anything else, and go on by
# themselves. Then all its connections are taken by somebody else.
#   spec/drills/mysql.sh     with a MariaDB of its own
source "$(dirname "$0")/../e2e/lib.bash"
source spec/servers/servers.bash
unset MYSQL_URL MYSQL_AUTH_URL
end_load() { if [[ -n $load ]]; then kill $(process_tree "$load") 2>/dev/null; fi; load=; }
trap 'end_load; servers stop >/dev/null 2>&1; finish' EXIT
load=
need "MariaDB starts" servers_start "$work/servers" mariadb
need "the engine starts" engine_start "$work" TIDEMILL_SQL="$MYSQL_AUTH_URL"
need "log in" login "$user" "$password"

# A login every 0.1 s, four side by side: "seconds status" a line.
log_in_all_the_time() {
    local lane
    for lane in 1 2 3 4; do
        while true; do
            echo "$(date +%s.%N) $(curl -s -o /dev/null --max-time 30 -w '%{http_code}' -X POST "$gateway/login" -u "$user:$password")"
            sleep 0.1
        done >"$work/logins.$lane" &
    done
    wait
}
log_in_all_the_time & load=$!
now() { date +%s.%N; }
# after TIME: the logins that began since; first_good TIME: seconds from then to the first that succeeded
after() { cat "$work"/logins.* | awk -v t="$1" '$1 > t'; }
first_good() { after "$1" | sort -n | awk -v t="$1" '$2 == 200 { printf "%.1f", $1 - t; exit }'; }
only() { ! cat "$work"/logins.* | grep -vE " ($1)$"; }
good_again() { [[ $(after "$1" | grep -c " 200$") -ge 20 ]]; }

sleep 3
check "logins succeed" only 200
start=$(now)
servers restart mariadb
back=$(now)
check "after a restart they succeed again" until_true 30 good_again "$back"
echo "# restart: $(after "$start" | grep -c ' 503$') logins were 503; the first good one began $(first_good "$back") s after the server was back"
check "none was anything but 200 or 503" only "200|503"
start=$(now)
servers kill mariadb
sleep 3
servers restart mariadb
back=$(now)
check "after kill -9 and 3 s without it they succeed again" until_true 30 good_again "$back"
echo "# kill -9: $(after "$start" | grep -c ' 503$') logins were 503; the first good one began $(first_good "$back") s after the server was back"
check "none was anything but 200 or 503" only "200|503"

# ---- max_connections ----

as_tidemill() {
    local rest=${MYSQL_URL#*://}
    mariadb --no-defaults -h 127.0.0.1 -P "$(sed -E 's|.*:([0-9]+)/.*|\1|' <<<"$MYSQL_URL")" -u tidemill -p"$(sed -E 's|^[^:]*:(.*)@.*|\1|' <<<"$rest")" "$@"
}
as_tidemill -e "SET GLOBAL max_connections = 10"
for ((i = 0; i < 12; i++)); do as_tidemill -e "SELECT SLEEP(8)" >/dev/null 2>&1 & done
start=$(now)
sleep 5
check "with all connections taken, logins are answered all the same" test "$(after "$start" | grep -cE ' (200|503)$')" -ge 4
echo "# max_connections: $(after "$start" | grep -c ' 200$') logins were 200, $(after "$start" | grep -c ' 503$') were 503 meanwhile"
sleep 5
back=$(now)
check "and succeed once there are some" until_true 30 good_again "$back"
check "none was anything but 200 or 503" only "200|503"
end_load
check "the engine stops on SIGTERM" engine_stop
