# What the public door refuses, and how.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
need "the engine starts" engine_start "$work" TIDEMILL_GATEWAY_MAX_UPLOAD=1MiB
need "log in" login "$user" "$password"

request "$gateway/nothing/here"
check "an unknown path is 404, a problem" is_problem 404
request -X DELETE "$gateway/login"
check "a wrong method is 405, a problem" is_problem 405
check "it says which are allowed" test "$(header Allow)" = "POST, OPTIONS"

for call in "-X POST $gateway/upload" "$gateway/jobs" "$gateway/download?fid=0123456789abcdef01234567"; do
    # shellcheck disable=SC2086
    request $call
    check "no token at ${call##*"$gateway"} is 401" is 401
    check "with WWW-Authenticate" has_header WWW-Authenticate
done
request -H "Authorization: Bearer not.a.token" "$gateway/jobs"
check "a malformed token is refused" test "$status" = 400 -o "$status" = 401

signed -X POST -F "other=@$BUILD/media/clip-7s.mp4" "$gateway/upload"
check "no field 'file' is 400, a problem" is_problem 400
signed -X POST -F "file=@$BUILD/media/clip-7s.mp4" -F "file=@$BUILD/media/clip-7s.mp4" "$gateway/upload"
check "two files are 400, a problem" is_problem 400
signed -X POST -H "Content-Type: text/plain" -d hello "$gateway/upload"
check "what is no multipart is refused" test "$status" = 400 -o "$status" = 415
head -c 2M /dev/zero >"$work/large.mp4"
signed -X POST -F "file=@$work/large.mp4" "$gateway/upload"
check "too large is 413, a problem" is_problem 413
signed -X POST -H "Transfer-Encoding: chunked" -F "file=@$work/large.mp4" "$gateway/upload"
check "too large without a length is 413 too" is 413
check "nothing of these is stored" test -z "$(find "$work/data/blobs" -type f -size +64k 2>/dev/null | grep -v 'index\|\.db')"

# The same bytes for what is not there and for what is another's.
need "a video of the first user" upload "$BUILD/media/clip-7s.mp4"
need "is converted" until_true 60 has_ended "$job"
mine=$job mp3=$(field .mp3_fid)
sqlite3 "$work/data/auth.db" "PRAGMA busy_timeout = 5000; INSERT INTO user (email, password) VALUES ('ann@email.com', 'Legacy1')" >/dev/null
need "a second user, whose row is of the old kind, logs in" login ann@email.com Legacy1
check "her password is hashed now" test "$(sqlite3 "$work/data/auth.db" \
    "SELECT substr(password, 1, 10) FROM user WHERE email = 'ann@email.com'")" = "\$argon2id\$"
check "and still right" login ann@email.com Legacy1

# answer PATH: status, headers that could tell, body
answer() {
    signed "$gateway$1"
    echo "$status"
    grep -iE '^(Content-Type|Content-Length|ETag|Cache-Control):' "$work/head" | sort
    cat "$work/body"
}
unknown=0123456789abcdef01234567
answer "/jobs/$unknown" >"$work/unknown"
answer "/jobs/$mine" >"$work/others"
check "an unknown job is 404" is_problem 404
check "another's job gets the same bytes" cmp -s "$work/unknown" "$work/others"
answer "/download?fid=$unknown" >"$work/unknown"
answer "/download?fid=$mp3" >"$work/others"
check "an unknown file is 404" is_problem 404
check "another's file gets the same bytes" cmp -s "$work/unknown" "$work/others"
signed "$gateway/jobs"
check "another's job is not in the list" test -z "$(grep "$mine" "$work/body")"
signed "$gateway/jobs/nonsense"
check "a malformed id is refused" test "$status" = 400 -o "$status" = 404

check "the engine stops on SIGTERM" engine_stop
