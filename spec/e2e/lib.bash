# What the end-to-end scripts share: an engine of their own, one line a check, plain curl.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
source .ci/engine.bash
user=georgio@email.com password=Admin123
work=$(mktemp -d)
failures=0
status=
trap 'finish' EXIT

finish() {
    local code=$?
    if [[ -n $engine_pid ]]; then engine_kill; fi
    if ((failures + code > 0)) && [[ -s $work/engine.log ]]; then
        echo "# the end of the engine's log:"
        tail -n 15 "$work/engine.log" | sed 's/^/#   /'
    fi
    engine_release
    rm -rf "$work"
    if ((failures > 0)); then exit 1; fi
}

# check NAME COMMAND...: "ok - NAME" when the command succeeds.
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name (status ${status:-none}, body: $(head -c 300 "$work/body" 2>/dev/null | tr -d '\0' | tr '\n' ' '))"
        ((failures += 1))
    fi
}

# What nothing after it makes sense without.
need() {
    local before=$failures
    check "$@"
    if ((failures > before)); then exit 1; fi
}

# request CURL-ARGUMENTS...: $status, $work/body and $work/head are the answer's.
request() {
    : >"$work/body"
    : >"$work/head"
    status=$(curl -sS --max-time $((60 * SLOWNESS)) -o "$work/body" -D "$work/head" -w '%{http_code}' "$@" 2>"$work/curl.err")
}

signed() { request -H "Authorization: Bearer $token" "$@"; }
is() { [[ $status == "$1" ]]; }
body() { tr -d '\0' <"$work/body"; }
field() { jq -er "$1" "$work/body"; }
# has_header NAME: in any case; header NAME: its value
has_header() { grep -qi "^$1:" "$work/head"; }
header() { sed -nE "s/^$1: *(.*[^\r])\r?$/\1/Ip" "$work/head" | tail -n 1; }
is_problem() { is "$1" && [[ $(header Content-Type) == application/problem+json* ]] && [[ $(field .status) == "$1" ]]; }

# says STATUS TEXT: a problem with this status whose detail has the text
says() { is_problem "$1" && [[ $(field .detail) == *"$2"* ]]; }

# raw URL BYTES: what printf makes of BYTES, as they are; $status, $work/body and $work/head are the first answer's.
raw() {
    local authority=${1#http://}
    exec 3<>"/dev/tcp/${authority%:*}/${authority#*:}"
    # shellcheck disable=SC2059
    printf "$2" >&3
    timeout $((5 * SLOWNESS)) cat <&3 >"$work/raw"
    exec 3>&-
    sed '/^\r$/q' "$work/raw" >"$work/head"
    sed '1,/^\r$/d' "$work/raw" >"$work/body"
    status=$(sed -nE '1s/^HTTP\/1\.1 ([0-9]{3}) .*/\1/p' "$work/head")
}

# login USER PASSWORD: the token in $token
login() {
    request -X POST "$gateway/login" -u "$1:$2"
    token=$(body)
    is 200
}

# upload FILE: the job in $job
upload() {
    job=
    signed -X POST -F "file=@$1" "$gateway/upload"
    is 202 && job=$(field .job)
}

state() { signed "$gateway/jobs/$1" && is 200 && field .state; }

# until_true SECONDS COMMAND...: of a plain build
until_true() {
    local end=$((SECONDS + $1 * SLOWNESS))
    shift
    until "$@"; do
        if ((SECONDS >= end)); then return 1; fi
        sleep 0.1
    done
}

has_ended() { [[ $(state "$1") =~ ^(COMPLETE|ERROR|CANCELED)$ ]]; }
maildir=${SMTP_MAILDIR:-}
if [[ $PROFILE != cluster ]]; then maildir=$work/data/mail; fi
touch "$work/began" # an SMTP server has mail of others, too
mails() { find "$maildir/new" -type f -newer "$work/began" 2>/dev/null; }
mail_count() { (($(mails | wc -l) == $1)); }

# The command line on the engine's backends.
tidemill() { env TIDEMILL_DATA="$work/data" "${backends[@]}" "$binary" "$@"; }
# queued STATE...: messages in these states, in all queues
queued() { tidemill queue list --json | jq "[.[] | $(printf '.%s + ' "$@") 0] | add // 0"; }
# How many files a bucket has.
files_in() {
    if [[ $PROFILE == cluster ]]; then
        python3 -B spec/servers files "$scratch" "$1" | cut -d ' ' -f 1
    else
        find "$work/data/blobs/$1" -type f 2>/dev/null | wc -l
    fi
}
