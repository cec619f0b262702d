# What the public door refuses, and how: each line of it a clear error, and nothing is stored.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_GATEWAY_MAX_UPLOAD=1MiB
need "log in" login "$user" "$password"
clip=$BUILD/media/clip-7s.mp4
unknown=0123456789abcdef01234567

# ---- paths and methods ----

request "$gateway/nothing/here"
check "an unknown path is 404, a problem" is_problem 404
for call in "DELETE /login|POST, OPTIONS" "GET /upload|POST, OPTIONS" "POST /jobs|GET, HEAD, OPTIONS" \
    "PUT /jobs/$unknown|GET, HEAD, OPTIONS" "POST /download|GET, HEAD, OPTIONS" "BREW /jobs|GET, HEAD, OPTIONS"; do
    path=${call#* }
    request -X "${call%% *}" "$gateway${path%|*}"
    check "${call%|*} is 405, a problem" is_problem 405
    check "it says which are allowed" test "$(header Allow)" = "${call#*|}"
done
request -X OPTIONS "$gateway/jobs"
check "OPTIONS is answered" test "$status $(header Allow)" = "204 GET, HEAD, OPTIONS"
request -I "$gateway/nothing"
check "HEAD of an unknown path is 404" is 404

# ---- who is not signed in ----

for call in "-X POST $gateway/upload" "$gateway/jobs" "$gateway/jobs/$unknown" "$gateway/download?fid=$unknown"; do
    # shellcheck disable=SC2086
    request $call
    check "no token at ${call##*"$gateway"} is 401" is_problem 401
    check "with WWW-Authenticate" test "$(header WWW-Authenticate)" = 'Bearer realm="tidemill"'
done
request -H "Authorization: Bearer not.a.token" "$gateway/jobs"
check "a malformed token is 400 with the reason" says 400 "not a JSON Web Token"
request -H "Authorization: Bearer ${token%????}AAAA" "$gateway/jobs"
check "a token with another signature is 401" says 401 "signature"
check "with WWW-Authenticate" test "$(header WWW-Authenticate)" = 'Bearer realm="tidemill", error="invalid_token"'
request -u "$user:$password" "$gateway/jobs"
check "another kind of credentials is 400 with the reason" says 400 "holds no Bearer token"
request -X POST -H "Authorization: Basic ***" "$gateway/login"
check "malformed credentials are 400 with the reason" says 400 "holds no Basic credentials"
request -X POST -u "$user:$password" --data-binary "@$clip" "$gateway/login"
check "a login with a body that large is 413" is_problem 413

# ---- ids and pages ----

for id in nonsense "${unknown}0" "${unknown%?}" "${unknown%?}g" %41; do
    signed "$gateway/jobs/$id"
    check "the job $id is 400 with the reason" says 400 "'id' must be an id (24 hex digits)"
    signed "$gateway/download?fid=$id"
    check "the file $id too" says 400 "'fid' must be an id (24 hex digits)"
done
signed "$gateway/download"
check "a download of nothing is 400 with the reason" says 400 "'fid' is missing"
signed "$gateway/download?fid=%zz"
check "a malformed query is 400" is_problem 400
for limit in 0 101 -1 1.5 1e1 many; do
    signed "$gateway/jobs?limit=$limit"
    check "a page of $limit jobs is 400 with the reason" says 400 "'limit' must be"
done
signed "$gateway/jobs?before=$unknown"
check "a page behind an unknown job is 400" says 400 "'before' names no job"
signed "$gateway/jobs?before=first"
check "or behind what is no id" says 400 "'before' must be an id"

# ---- forms ----

# form CONTENT-TYPE BYTES: as printf makes them
form() {
    # shellcheck disable=SC2059
    printf -- "$2" >"$work/form"
    signed -X POST -H "Content-Type: $1" --data-binary "@$work/form" "$gateway/upload"
}
multipart="multipart/form-data; boundary=B"
file='--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
signed -X POST -F "other=@$clip" "$gateway/upload"
check "no field 'file' is 400 with the reason" says 400 "it must have 'file' alone"
signed -X POST -F "file=@$clip" -F "file=@$clip" "$gateway/upload"
check "two files are 400 with the reason" says 400 "more than the field 'file'"
signed -X POST -F "file=@$clip" -F "title=x" "$gateway/upload"
check "another field behind it is too" says 400 "more than the field 'file'"
signed -X POST -F "file=text" "$gateway/upload"
check "a field that is no file is too" says 400 "holds no file"
signed -X POST -H "Content-Type: text/plain" -d hello "$gateway/upload"
check "what is no multipart is 400 with the reason" says 400 "not multipart/form-data"
signed -X POST "$gateway/upload"
check "no body at all is 400" says 400 "not multipart/form-data"
form multipart/form-data "x"
check "a form without a boundary is 400" says 400 "boundary"
form "$multipart" "garbage"
check "a form without parts is 400" says 400 "closing boundary"
form "$multipart" "--B--\r\n"
check "an empty form is 400" says 400 "no field 'file'"
form "$multipart" "${file}half a file"
check "a form that is cut off is 400" says 400 "closing boundary"
form "$multipart" "${file}a file\r\n--Bx\r\n"
check "a form that goes on wrongly is 400" is_problem 400
form "$multipart" "--B\r\nContent-Disposition: form-data; name=\"file\r\n\r\nx\r\n--B--\r\n"
check "a part's malformed header is 400" says 400 "malformed"
form "$multipart" "${file/a.mp4/\\xe9.mp4}x\r\n--B--\r\n"
check "a file name that is not UTF-8 is 400" says 400 "not UTF-8"
form "$multipart" "${file/a.mp4/$(printf 'x%.0s' {1..252}).mp4}x\r\n--B--\r\n"
check "a file name of over 255 bytes is 400" says 400 "255 bytes"
form "$multipart" "${file/a.mp4/..}x\r\n--B--\r\n"
check "a file name that is none is 400" says 400 "holds no file"

# ---- too large ----

head -c 2M /dev/zero >"$work/large.mp4"
signed -X POST -F "file=@$work/large.mp4" "$gateway/upload"
check "too large is 413, a problem" is_problem 413
signed -X POST -H "Transfer-Encoding: chunked" -F "file=@$work/large.mp4" "$gateway/upload"
check "too large without a length is 413 too" is_problem 413
head="POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nContent-Type: $multipart\r\nContent-Length: 2000000\r\n"
raw "$gateway" "$head\r\n"
check "the length alone gets 413, before any of the body" is_problem 413
raw "$gateway" "${head}Expect: 100-continue\r\n\r\n"
check "with Expect: 100-continue as well" is_problem 413
check "and nobody is told to go on" test -z "$(grep 'HTTP/1.1 100' "$work/raw")"
# Sent only when it may be: a client that does not wait is not told.
printf -- '--B' >"$work/form"
signed -X POST -H "Content-Type: $multipart" -H "Expect: 100-continue" --expect100-timeout 20 \
    --data-binary "@$work/form" "$gateway/upload"
check "what is not too large is told to go on" grep -q '^HTTP/1.1 100 Continue' "$work/head"
check "and answered for what it sends then" says 400 "closing boundary"
raw "$gateway" "GET / HTTP/1.1\r\nHost: x\r\nX: $(printf 'x%.0s' {1..20000})\r\n\r\n"
check "a head that is too large is 431, a problem" is_problem 431
raw "$gateway" "GET / HTTP/1.1\r\n\r\n"
# libmicrohttpd 1.0 misses Host before the engine is asked, and answers with a page of its own (docs/http-api.md).
without_host() { says 400 "Host is missing" || { is 400 && grep -q "Host:" "$work/body"; }; }
check "a request without Host is 400" without_host
check "and ends the connection" test "$(header Connection)" = close

# ---- who goes away ----

exec 3<>"/dev/tcp/127.0.0.1/${gateway##*:}"
# shellcheck disable=SC2059
printf "${head/2000000/900000}\r\n$file" >&3
head -c 400000 /dev/zero >&3
# Files of blobs that are there, with a name or without one while they are written.
files() {
    find "$work/data/blobs" -type f -not -name 'index.db*' -not -name .sweep
    for pid in $(process_tree "$engine_pid"); do readlink "/proc/$pid/fd/"*; done | grep "^$work/data/blobs/.*(deleted)"
}
some() { test -n "$(files)"; }
none() { test -z "$(files)"; }
check "an upload under way has a file" until_true 10 some
exec 3>&-
check "it has none when its client goes away" until_true 10 none
signed "$gateway/jobs"
check "nothing of all these became a job" test "$(cat "$work/body")" = '{"jobs":[]}'

check "what clients do wrong is no warning in the log" test -z "$(grep '"level":"warn".*bad_request' "$work/engine.log")"

# ---- the same bytes for what is not there and for what is another's ----

need "a video of the first user" upload "$clip"
need "is converted" until_true 60 has_ended "$job"
mine=$job mp3=$(field .mp3_fid) admin_token=$token
request -X POST -H "Authorization: Bearer $token" "$auth/users" -d '{"email":"ann@email.com","password":"Ann-12345"}'
need "a second user logs in" login ann@email.com Ann-12345

# answer CURL-ARGUMENTS...: the status and all that is the same from one request to the next
answer() {
    signed "$@"
    echo "$status"
    grep -vihE '^(Date|X-Request-Id):' "$work/head" "$work/body"
}
# same NAME URL-OF-UNKNOWN URL-OF-ANOTHER'S [CURL-ARGUMENTS...]
same() {
    local name=$1 nobodys=$2 anothers=$3
    shift 3
    answer "$@" "$gateway$nobodys" >"$work/unknown"
    answer "$@" "$gateway$anothers" >"$work/others"
    check "$name gets the same bytes" cmp -s "$work/unknown" "$work/others"
}
same "another's job" "/jobs/$unknown" "/jobs/$mine"
check "it is 404" is_problem 404
same "another's file" "/download?fid=$unknown" "/download?fid=$mp3"
check "it is 404 too" is_problem 404
same "a range of another's file" "/download?fid=$unknown" "/download?fid=$mp3" -r 0-9
same "another's file that is known already" "/download?fid=$unknown" "/download?fid=$mp3" -H "If-None-Match: *"
same "the head of another's file" "/download?fid=$unknown" "/download?fid=$mp3" -I
same "a page behind another's job" "/jobs?before=$unknown" "/jobs?before=$mine"
signed "$gateway/jobs"
check "another's job is not in the list" test "$(cat "$work/body")" = '{"jobs":[]}'
need "a video of the second user" upload "$clip"
hers=$job
token=$admin_token
signed "$gateway/jobs/$hers"
check "an admin sees every job" test "$status $(field .username)" = "200 ann@email.com"
signed "$gateway/jobs"
check "an admin's list has them all" test "$(jq -c '[.jobs[].job]' "$work/body")" = "[\"$hers\",\"$mine\"]"

# ---- when the files can't be read ----

hide() { mv "$1" "$1.hidden" && ln -s "${1##*/}" "$1"; } # a link to itself, which nobody can open
need "the video is hidden" hide "$(ls "$work"/data/blobs/videos/*/"$hers".*)"
signed "$gateway/jobs/$hers"
check "a job is not called missing then" is_problem 500
signed "$gateway/jobs?before=$hers"
check "nor is the page behind it a wrong query" is_problem 500
need "the MP3 is hidden" hide "$(ls "$work"/data/blobs/mp3s/*/"$mp3".*)"
signed "$gateway/download?fid=$mp3"
check "nor is a file" is_problem 500

# ---- when auth is down ----

need "an engine whose auth is nowhere" engine_stop
need "starts" engine_spawn "$work" TIDEMILL_GATEWAY_AUTH_URL=http://127.0.0.1:9
signed "$gateway/jobs"
check "without auth it is 503, a problem" is_problem 503
check "with Retry-After" grep -qE '^[0-9]+$' <<<"$(header Retry-After)"

check "the engine stops on SIGTERM" engine_stop
