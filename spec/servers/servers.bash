# Servers for a test written in bash: sourced, like .ci/engine.bash. The variables are those of spec/servers/__main__.py.

servers_directory=

# servers_start DIRECTORY [NAME...]: all without a name. Exports AMQP_URL, MYSQL_URL, MONGODB_URL, SMTP_URL, SMTP_MAILDIR.
servers_start() {
    python3 -B spec/servers start "$@" || return 1
    servers_directory=$1
    if [[ -f $servers_directory/env ]]; then source "$servers_directory/env"; fi
}

# servers WORD [NAME...]: stop, kill, freeze, thaw or restart those that servers_start started.
servers() {
    python3 -B spec/servers "$1" "$servers_directory" "${@:2}"
}
