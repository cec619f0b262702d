# An engine of one's own on free ports of 127.0.0.1: sourced by .ci/demo and spec/e2e.
# engine_start sets $gateway, $auth, $admin (URLs) and $engine_pid; the caller stops it, best by a trap on EXIT.
# PROFILE=cluster uses the servers whose URLs are in the environment (spec/servers), else the backends are embedded.
: "${BUILD:=build}"
binary=$BUILD/tidemill
: "${PROFILE:=embedded}"
: "${SLOWNESS:=1}" # limits of time are this many times longer: .ci/sanitize sets it
engine_pid=
backends=() # NAME=VALUE

# COUNT free ports, a line each.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PY
}

# engine_ports: chooses the addresses; a restart keeps them.
engine_ports() {
    local ports
    mapfile -t ports < <(free_ports 3)
    gateway=http://127.0.0.1:${ports[0]}
    auth=http://127.0.0.1:${ports[1]}
    admin=http://127.0.0.1:${ports[2]}
}

# A part of the servers for this engine alone; a restart keeps it. engine_release takes it away.
engine_backends() {
    scratch=tidemill_e2e_$$_$RANDOM
    backends=()
    if [[ $PROFILE != cluster ]]; then return 0; fi
    mapfile -t backends < <(python3 -B spec/servers scratch "$scratch")
    if ((${#backends[@]} == 0)); then
        echo "PROFILE=cluster needs AMQP_URL, MYSQL_URL, MONGODB_URL and SMTP_URL: see spec/servers" >&2
        return 1
    fi
}

engine_release() {
    if ((${#backends[@]} > 0)); then python3 -B spec/servers drop "$scratch"; fi
    backends=()
}

# engine_spawn DIRECTORY [NAME=VALUE...]: the data is in DIRECTORY/data, the log in DIRECTORY/engine.log.
# Returns when the engine is ready.
engine_spawn() {
    local directory=$1 tries
    shift
    mkdir -p "$directory"
    # Settings of the caller's own installation stay out of it, and so do bundles that were put beside the four.
    env $(compgen -e | sed -n 's/^TIDEMILL_/-u &/p') TIDEMILL_DATA="$directory/data" \
        TIDEMILL_BUNDLES=auth,gateway,converter,notification \
        TIDEMILL_LISTEN_GATEWAY="${gateway#http://}" TIDEMILL_LISTEN_AUTH="${auth#http://}" \
        TIDEMILL_LISTEN_ADMIN="${admin#http://}" TIDEMILL_GATEWAY_AUTH_URL="$auth" \
        TIDEMILL_NOTIFICATION_DOWNLOAD_URL="$gateway/download" "${backends[@]}" "$@" \
        "$binary" run --dev </dev/null >>"$directory/engine.log" 2>&1 &
    engine_pid=$!
    for ((tries = 0; tries < 600 * SLOWNESS; tries++)); do
        if curl -fs -o /dev/null --max-time 2 "$admin/readyz"; then return 0; fi
        if ! kill -0 "$engine_pid" 2>/dev/null; then break; fi
        sleep 0.05
    done
    echo "the engine did not become ready; the end of $directory/engine.log:" >&2
    tail -n 20 "$directory/engine.log" >&2
    return 1
}

engine_start() {
    engine_ports
    engine_backends || return
    engine_spawn "$@"
}

# Ends it with SIGTERM, after 20 s (times SLOWNESS) with SIGKILL; fails when it had to.
engine_stop() {
    local tries pid=$engine_pid
    engine_pid=
    if [[ -z $pid ]]; then return 0; fi
    kill -TERM "$pid" 2>/dev/null || { wait "$pid" 2>/dev/null || true; return 0; }
    for ((tries = 0; tries < 200 * SLOWNESS; tries++)); do
        if ! kill -0 "$pid" 2>/dev/null; then
            wait "$pid"
            return
        fi
        sleep 0.1
    done
    echo "the engine did not stop within $((20 * SLOWNESS)) s" >&2
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
    return 1
}

# The process and all below it.
process_tree() {
    local child
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do process_tree "$child"; done
}

# The machine's plug is pulled: the supervisor, its workers and their transcoders get SIGKILL.
engine_kill() {
    local pids
    mapfile -t pids < <(process_tree "$engine_pid")
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    engine_pid=
}
