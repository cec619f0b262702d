# Logging in and validating, through the gateway and at auth itself.
source "$(dirname "$0")/lib.bash"
need "the engine starts" engine_start "$work"

check "the right password logs in" login "$user" "$password"
check "the token has three parts" grep -qE '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' "$work/body"
good=$token

request -X POST "$auth/login" -u "$user:$password"
check "auth itself logs in too" is 200

request -X POST "$gateway/login" -u "$user:wrong"
check "a wrong password is 401" is 401
check "it says how to authenticate" has_header WWW-Authenticate
cp "$work/body" "$work/wrong"
request -X POST "$gateway/login" -u "nobody@email.com:wrong"
check "an unknown user is answered like a wrong password" cmp -s "$work/body" "$work/wrong"
request -X POST "$gateway/login"
check "no credentials are 401" is 401
check "it says so in WWW-Authenticate" has_header WWW-Authenticate

request -X POST -H "Authorization: Bearer $good" "$auth/validate"
check "the token validates" is 200
check "its claims name the user" test "$(field .username)" = "$user"
check "its claims say admin" test "$(field .admin)" = true
check "it expires after it was issued" test "$(field ".exp > .iat")" = true

request -X POST -H "Authorization: Bearer ${good%?????}AAAAA" "$auth/validate"
check "a token with another signature is refused" is 401
check "it says so in WWW-Authenticate" has_header WWW-Authenticate
request -X POST "$auth/validate"
check "no token is 401" is 401

check "the engine stops on SIGTERM" engine_stop
