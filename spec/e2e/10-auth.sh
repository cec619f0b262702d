# Logging in, validating and adding users, through the gateway and at auth itself.
source "$(dirname "$0")/lib.bash"
need "the engine starts" engine_start "$work"
db() { sqlite3 -cmd ".timeout 5000" "$work/data/auth.db" "$1"; }

# ---- a token for a password ----

check "the right password logs in" login "$user" "$password"
check "the token is plain text" test "$(header Content-Type)" = "text/plain; charset=utf-8"
check "it has three parts and nothing else" grep -qE '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' "$work/body"
check "no cache keeps it" test "$(header Cache-Control)" = no-store
good=$token
request -X POST "$auth/login" -u "$user:$password"
check "auth itself logs in too" is 200
request -X POST "$gateway/login" -u "$user:$password" -H "Accept: application/json"
check "Accept: application/json gets JSON" test "$(header Content-Type) $(field '.token | length > 100')" = "application/json true"
request -X POST "$auth/login" -u "$user:$password" -H "Accept: application/json;q=0.4, text/*;q=0.9"
check "what Accept prefers decides" test "$(header Content-Type)" = "text/plain; charset=utf-8"

request -X POST "$gateway/login" -u "$user:wrong"
check "a wrong password is 401, a problem" says 401 "wrong e-mail or password"
check "it says how to authenticate" test "$(header WWW-Authenticate)" = 'Basic realm="tidemill", charset="UTF-8"'
cp "$work/body" "$work/wrong"
request -X POST "$gateway/login" -u "nobody@email.com:wrong"
check "an unknown user is answered like a wrong password" cmp -s "$work/body" "$work/wrong"
request -X POST "$gateway/login"
check "no credentials are 401" says 401 "missing"
check "it says so in WWW-Authenticate" test "$(header WWW-Authenticate)" = 'Basic realm="tidemill", charset="UTF-8"'
for bad in "Basic ***" "Basic bm9jb2xvbg==" "Bearer $good" Basic nonsense; do
    request -X POST "$auth/login" -H "Authorization: $bad"
    check "the header '${bad:0:18}' is 400 with the reason" says 400 "holds no Basic credentials"
done
request -X POST "$auth/login" -u $'\xff\xfe:\xff'
check "bytes that are no text are 400 with the reason" says 400 "not UTF-8"
login "$user" "$password"

request -X POST "$auth/login" -u "ghost@email.com:wrong" -H "X-Forwarded-For: 192.0.2.1" -H "X-Forwarded-For: 192.0.2.2, 192.0.2.3"
check "a failed login is counted for the address that the last proxy saw" test \
    "$(db "SELECT group_concat(subject) FROM login_failure WHERE subject LIKE 'address:192%'")" = address:192.0.2.3

# ---- the claims of a token ----

validate() { request -X POST -H "Authorization: $1" "$auth/validate"; }
validate "Bearer $good"
check "the token validates" is 200
check "its claims name the user" test "$(field '.username + " " + .sub')" = "$user $user"
check "its claims say admin" test "$(field .admin)" = true
check "it expires after it was issued" test "$(field ".exp > .iat")" = true
check "they say who issued it for whom" test "$(field '.iss + " " + .aud')" = "tidemill tidemill"
request -X POST "$auth/validate"
check "no token is 401" says 401 "missing"
check "with WWW-Authenticate and no error (RFC 6750)" test "$(header WWW-Authenticate)" = 'Bearer realm="tidemill"'
for bad in "Bearer abc" "Bearer a.b.c" "Bearer $(printf 'x%.0s' {1..5000}).b.c"; do
    validate "$bad"
    check "the token '${bad:7:12}' is 400 with the reason" says 400 "token: "
done
for bad in "Basic abc" Bearer "Bearer a b"; do
    validate "$bad"
    check "the header '$bad' is 400 with the reason" says 400 "holds no Bearer token"
done

# sign HEADER CLAIMS SECRET
sign() {
    python3 - "$@" <<'PY'
import base64, hashlib, hmac, sys
part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
text = part(sys.argv[1].encode()) + b"." + part(sys.argv[2].encode())
print((text + b"." + part(hmac.new(sys.argv[3].encode(), text, hashlib.sha256).digest())).decode())
PY
}
hs256='{"alg":"HS256","typ":"JWT"}' now=$(date +%s)
secret=$(cat "$work/data/secrets/auth.jwt_secret")
claims() { jq -nc --argjson now "$now" '{sub:"a@b.c",username:"a@b.c",admin:true,iss:"tidemill",aud:"tidemill",iat:$now,exp:($now+60)}'" + $1"; }
validate "Bearer $(sign "$hs256" "$(claims '{}')" "$secret")"
check "a token of the same secret validates" is 200
while IFS='|' read -r what why token; do
    validate "Bearer $token"
    check "a token $what is refused" says 401 "$why"
    check "it says invalid_token" test "$(header WWW-Authenticate)" = 'Bearer realm="tidemill", error="invalid_token"'
done <<EOF
of another secret|the signature is wrong|$(sign "$hs256" "$(claims '{}')" "$(printf 'x%.0s' {1..96})")
that has expired|expired|$(sign "$hs256" "$(claims '{exp:($now-60)}')" "$secret")
without an end|no exp|$(sign "$hs256" "$(claims '{}' | jq -c 'del(.exp)')" "$secret")
of another issuer|another issuer|$(sign "$hs256" "$(claims '{iss:"other"}')" "$secret")
for another audience|another audience|$(sign "$hs256" "$(claims '{aud:"other"}')" "$secret")
that names nobody|names nobody|$(sign "$hs256" "$(claims '{}' | jq -c 'del(.username)')" "$secret")
EOF
validate "Bearer $(sign '{"alg":"none"}' "$(claims '{}')" "$secret")"
check "a token without a signature's algorithm is refused" test "$status" = 401 -o "$status" = 400

# ---- users ----

# add BODY: as an admin
add() { request -X POST -H "Authorization: Bearer $good" "$auth/users" -d "$1"; }
add '{"email":"ann@email.com","password":"Ann-12345"}'
check "an admin adds a user" is 201
check "the answer tells the user, not the password" test "$(jq -cS . "$work/body")" = '{"admin":false,"email":"ann@email.com"}'
add '{"email":"ann@email.com","password":"Ann-12345"}'
check "the same user again is 409" says 409 "exists"
check "the new user logs in" login ann@email.com Ann-12345
validate "Bearer $token"
check "and is no admin" test "$(jq .admin "$work/body")" = false
request -X POST -H "Authorization: Bearer $token" "$auth/users" -d '{"email":"bob@email.com","password":"Bob-12345"}'
check "who is no admin adds nobody" is_problem 403
request -X POST "$auth/users" -d '{"email":"bob@email.com","password":"Bob-12345"}'
check "nor does who is not signed in" is_problem 401
while IFS='|' read -r body why; do
    add "$body"
    check "the user $body is 400 with the reason" says 400 "$why"
done <<'EOF'
{"email":|the body is no JSON
|the body is no JSON
5|must be a JSON object
null|must be a JSON object
[]|email must be
{"email":"bob","password":"Bob-12345"}|email must be
{"email":7,"password":"Bob-12345"}|email must be
{"email":"bob@email.com","password":"short"}|8 to 1024 bytes
{"email":"bob@email.com"}|8 to 1024 bytes
{"email":"bob@email.com","password":"Bob-12345","admin":"yes"}|admin must be
EOF

db "INSERT INTO user (email, password) VALUES ('old@email.com', 'Legacy1')"
check "a user of the old kind, in plain text, logs in" login old@email.com Legacy1
check "and is hashed with Argon2id by it" test "$(db "SELECT substr(password, 1, 10) FROM user WHERE email = 'old@email.com'")" = "\$argon2id\$"
check "with the same password" login old@email.com Legacy1
check "the table user has the columns that it always had" test \
    "$(db "SELECT group_concat(name) FROM pragma_table_info('user')")" = id,email,password

# ---- too many failures: auth believes its neighbour, as it believes the gateway, about the client's address ----

# try ADDRESS USER PASSWORD
try() { request -X POST "$auth/login" -u "$2:$3" -H "X-Forwarded-For: $1"; }
told=
for i in 1 2 3 4 5; do
    try "192.0.2.$i" ann@email.com wrong
    told+=" $status"
done
check "five failures of an account are told" test "$told" = " 401 401 401 401 401"
try 192.0.2.6 ann@email.com Ann-12345
check "the sixth try is 429, also with the right password" is_problem 429
check "Retry-After says when" grep -qE '^[0-9]+$' <<<"$(header Retry-After)"
try 192.0.2.6 ANN@email.com Ann-12345
check "in any case of letters" is 429
try 192.0.2.6 old@email.com Legacy1
check "another account is not touched" is 200
for i in 1 2 3 4 5; do try 192.0.2.100 "nobody$i@email.com" wrong; done
try 192.0.2.100 old@email.com Legacy1
check "after five failures of an address every account is 429 there" is_problem 429
check "with Retry-After" has_header Retry-After
try 192.0.2.101 old@email.com Legacy1
check "and not from elsewhere" is 200
for i in 1 2 3 4; do try 192.0.2.200 old@email.com wrong; done
try 192.0.2.200 old@email.com Legacy1
check "four failures are not too many" is 200
for i in 1 2 3 4 5; do try 192.0.2.200 old@email.com wrong; done
check "a success begins the count anew" is 401
for ((i = 1; i <= 40; i++)); do
    curl -s -o /dev/null -w '%{http_code}\n' --max-time 60 -X POST "$auth/login" -u many@email.com:wrong -H "X-Forwarded-For: 198.51.100.$i" &
    guesses+=("$!")
done >"$work/guesses"
wait "${guesses[@]}"
check "of forty guesses at once only the first ones are told" test "$(grep -c 401 "$work/guesses")" -lt 15
check "the others are 429" test "$(grep -cE '401|429' "$work/guesses")" = 40

check "no token and no password is in the log" test -z "$(grep -F -e "$good" -e Ann-12345 -e Legacy1 -e "$secret" "$work/engine.log")"
check "the engine stops on SIGTERM" engine_stop
