# Wrong calls of the API are told with script, line, what is wrong and what would be right. Every line is a bundle of its own.
source "$(dirname "$0")/lib.bash"
tidemill=$(realpath "$BUILD/tidemill")

wrong_calls() {
    cat <<'CALLS'
tide.queu("a", {}) => tide has no 'queu' (did you mean 'queue'?)
tide.respond.jsn(200, {}) => tide.respond has no 'jsn' (did you mean 'json'?)
tide.bucket("a").crate() => a tide.Bucket has no 'crate' (did you mean 'create'?)
tide.bucket("a").create() => tide.Bucket:create: its object is missing
tide.bucket("a").create({}) => tide.Bucket:create: its object must be a tide.Bucket (is it called with a colon, object:create?), not a table
tide.route("GET /") => tide.route: 'handler' is missing
tide.route("GET", function() end) => tide.route: 'GET':
tide.route("GET /", { limit = { bdy = "8KiB" } }, function() end) => tide.route: limit: unknown option 'bdy' (did you mean 'body'?)
tide.route("GET /", { limit = { body = "8 apples" } }, function() end) => tide.route: limit: 'body' must be a size such as "512B", "8KiB", "2MiB" or "5GiB" or a whole number, not "8 apples"
tide.route("GET /", { limit = { rate = 5 } }, function() end) => 'rate' must be a rate such as "10/s", "100/m" or "5000/h", not 5
tide.route("GET /", { timeot = "5s" }, function() end) => tide.route: unknown option 'timeot' (did you mean 'timeout'?)
tide.route("GET /", { query = { a = { "integer", mn = 3 } } }, function() end) => unknown option 'mn' (did you mean 'min'?)
tide.route("GET /", { query = { a = "strin" } }, function() end) => 'a' has no type 'strin'
tide.route("GET /{id}", { params = { idd = "id" } }, function() end) => tide.route: 'GET /{id}': the path has no parameter 'idd' (did you mean 'id'?)
tide.route("GET /", { query = { n = { "integer", default = "x" } } }, function() end) => tide.route: 'GET /': query: 'n': 'default' must be a whole number, not "x"
tide.route("GET /", { query = { n = { "integer", max = 9, default = 10 } } }, function() end) => query: 'n': 'default' must be at most 9, not 10
tide.route("GET /", { query = { n = { "string", min = 3 } } }, function() end) => query: 'n': 'min' is for integer and number, not for string: take it out
tide.route("GET /", { query = { n = { "id?", max = 3, default = "x" } } }, function() end) => query: 'n': 'max' is for integer and number, not for id
tide.route("GET /", { query = { n = { "integer", min = 3, max = 2 } } }, function() end) => query: 'n': 'min' is over 'max'
tide.queue("foo", { a = { "integer", default = "x" } }) => tide.queue: 'foo': 'a': 'default' must be a whole number, not "x"
tide.respond.json({ a = 1 }) => tide.respond.json: 'status' must be a whole number, not a table
tide.respond.json(99, {}) => tide.respond.json: 'status' must be between 200 and 599, not 99
tide.respond.json(200, { a = tide.now }) => tide.respond.json: this can't be written as JSON
tide.respond.json(200, 1, { ["X-A"] = true }) => tide.respond.json: 'headers' must be a table of headers, { name = string or list of strings }, not one with X-A = true
tide.respond.text(200, {}) => tide.respond.text: 'text' must be a string, not a table
tide.respond.problem(404) => tide.respond.problem: 'detail' is missing
tide.respond.blob(tide.bucket "a") => tide.respond.blob: 'file' must be an open file, bucket:open(id), not a tide.Bucket
tide.respond.file "none.json" => tide.respond.file: 'none.json': No such file
tide.queue("Foo", {}) => tide.queue: 'name' must be a name of a-z, 0-9
tide.queue("foo", { a = "strin" }) => tide.queue: 'foo': 'a' has no type 'strin'
tide.queue("foo", { name = "string" }):publish { nam = "x" } => unknown field 'nam' (did you mean 'name'?)
tide.queue("foo", { a = "id" }):publish { a = "x" } => the field 'a' must be an id (24 hex digits)
tide.queue("foo", {}):publish({}, { dely = "5s" }) => tide.Queue:publish: unknown option 'dely' (did you mean 'delay'?)
tide.queue("foo", {}):consume({ concurency = 3 }, function() end) => tide.Queue:consume: unknown option 'concurency' (did you mean 'concurrency'?)
tide.queue("foo", {}):consume({ concurrency = 3000 }, function() end) => tide.Queue:consume: 'concurrency' must be between 1 and 1000, not 3000
tide.queue("foo", {}):consume({ attempts = 1.5 }, function() end) => tide.Queue:consume: 'attempts' must be a whole number, not 1.5
tide.retry { aftr = "5s" } => tide.retry: unknown option 'aftr' (did you mean 'after'?)
tide.reject() => tide.reject: 'reason' is missing
tide.every("0s", function() end) => tide.every: 'interval' must be a duration of at least "1ms", not "0s"
tide.every("1s") => tide.every: 'handler' is missing
tide.bucket "a b" => tide.bucket: 'name' must be a name of letters, digits, '_' and '-'
tide.bucket("a"):create { nam = "x" } => tide.Bucket:create: unknown option 'nam' (did you mean 'name'?)
tide.bucket("a"):open("x", { ownr = "x" }) => tide.Bucket:open: unknown option 'ownr' (did you mean 'owner'?)
tide.bucket("a"):find { limit = 5000 } => tide.Bucket:find: 'limit' must be between 1 and 1000, not 5000
tide.bucket("a"):find { where = { state = 1 } } => tide.Bucket:find: 'where' must be a table of conditions, { key = string or tide.json.null }, not one with state = 1
tide.bucket("a"):annotate(tide.id.new(), { f = tide.now }) => tide.Bucket:annotate: this can't be written as JSON
tide.bucket("a"):remove("x") => tide.Bucket:remove: 'id' must be an id (24 hex digits), not "x"
tide.copy(tide.bucket "a") => tide.copy: 'source' must be a part, a body or an open file, not a tide.Bucket
tide.media.transcode(1, 2, {}) => tide.media.transcode: 'file' must be an open file, bucket:open(id), not 1
tide.media.probe() => tide.media.probe: 'file' is missing
tide.sql.query(5) => tide.sql.query: 'statement' must be a string, not 5
tide.sql.exec("SELECT ?", {}) => tide.sql.exec: a parameter must be a string or a number or a boolean or tide.json.null, not a table
tide.sql.transaction() => tide.sql.transaction: 'f' is missing
tide.http.get("http://x", { tmeout = "3s" }) => tide.http.get: unknown option 'tmeout' (did you mean 'timeout'?)
tide.http.request { metod = "GET", url = "http://x" } => tide.http.request: unknown option 'metod' (did you mean 'method'?)
tide.upstream "ftp://x" => tide.upstream: 'url' must be a URL such as "http://127.0.0.1:5000", not "ftp://x"
tide.upstream("http://x"):post() => tide.Upstream:post: 'path' is missing
tide.jwt { secret = "short" } => tide.jwt: HS256 needs a secret of at least 32 bytes
tide.jwt { secret = ("x"):rep(32), alg = "none" } => tide.jwt: 'alg' must be one of "HS256", "ES256", not "none"
tide.jwt({ secret = ("x"):rep(32) }):sign "me" => tide.Jwt:sign: 'claims' must be a table, not "me"
tide.password.hash(5) => tide.password.hash: 'password' must be a string, not 5
tide.mail.send { to = "a@b.c", subject = "x" } => tide.mail.send: 'text' is missing
tide.template "none.txt" => tide.template: 'none.txt': No such file
tide.config { quality = { "string", defalt = "V2" } } => tide.config: quality: unknown option 'defalt' (did you mean 'default'?)
tide.config { quality = { "quality", default = "V11" } } => tide.config: quality: 'default' must be a quality: "V0" (best) to "V9"
tide.config { quality = { "strin" } } => tide.config: quality: the type must be one of "string", "integer"
tide.config { most = { "integer", default = "3" } } => tide.config: most: 'default' must be a whole number, not "3"
tide.config { age = { "duration", default = 5 } } => tide.config: age: 'default' must be a duration such as "250ms", "30s", "25m" or "2h", not 5
tide.log.info(5) => tide.log.info: 'event' must be a string, not 5
tide.metrics.counter("A b", "x") => tide.metrics.counter: 'name' must be a name of a-z, 0-9 and '_'
tide.metrics.counter("a", "x"):add(-1) => tide.Counter:add: 'value' must be at least 0, not -1
tide.metrics.gauge("a", "x"):set(1, { a = true }) => tide.Gauge:set: 'labels' must be a table of labels, { name = string }, not one with a = true
tide.json.decode(5) => tide.json.decode: 'text' must be a string, not 5
tide.id.derive("x", "y") => tide.id.derive: 'id' must be an id (24 hex digits), not "x"
tide.sleep(5) => tide.sleep: 'duration' must be a duration such as "250ms", "30s", "25m" or "2h", not 5
tide.sleep "5s" => tide.sleep waits, which is not possible while a bundle loads
tide.sql.query "SELECT 1" => tide.sql waits, which is not possible while a bundle loads: call it in a handler
tide.queue("q", {}):publish {} => tide.Queue:publish waits, which is not possible while a bundle loads
tide.failure { code = "x" } => tide.failure: 'message' is missing
CALLS
}

# What is written out in a handler is told before it runs. Their bundles have the templates below.
wrong_handlers() {
    cat <<'CALLS'
tide.http.get(job.url, { tmeout = "3s", headers = { a = job.x } }) => tide.http.get: unknown option 'tmeout' (did you mean 'timeout'?)
tide.http.get(job.url or "x", { timeout = "3 apples" }) => tide.http.get: 'timeout' must be a duration
tide.respond.problem(404) => tide.respond.problem: 'detail' is missing
tide.respond.json(99, { a = job }) => tide.respond.json: 'status' must be between 200 and 599, not 99
for i = 1, 3 do tide.log.info(5, { i = i }) end => tide.log.info: 'event' must be a string, not 5
return tide.retry { aftr = "5s" } => tide.retry: unknown option 'aftr' (did you mean 'after'?)
return job and tide.respond.jsn(200, {}) => tide.respond has no 'jsn' (did you mean 'json'?)
return tide.respond.file "none.json" => tide.respond.file: 'none.json': No such file
tide.template "none.txt" => tide.template: 'none.txt': No such file
tide.template("good.txt", { nam = job.name }) => tide.template: 'good.txt' uses 'name', which is not given
local lost = require "jbs" => require: no module 'jbs'; looked at
respond.jsn(200, job) => tide.respond has no 'jsn' (did you mean 'json'?)
json(99, job) => tide.respond.json: 'status' must be between 200 and 599, not 99
videos:crate() => a tide.Bucket has no 'crate' (did you mean 'create'?)
videos:create { nam = "x", owner = job.user } => tide.Bucket:create: unknown option 'nam' (did you mean 'name'?)
videos:find { limit = 5000, where = job.where } => tide.Bucket:find: 'limit' must be between 1 and 1000, not 5000
tell(job, shop:get("/x", { tmeout = "1s" })) => tide.Upstream:get: unknown option 'tmeout' (did you mean 'timeout'?)
CALLS
}

# Nothing is told of what a branch or a function makes.
right_handler() {
    cat <<'LUA'
local function of(x) return { name = x } end
local videos, respond, data = tide.bucket "videos", tide.respond, {}
local last = data
for _ = 1, 100000 do last.next = {} last = last.next end
local function handler(job, key)
  videos:create { name = job.name, owner = job.owner or "x", metadata = job.plain and {} or { a = job.a } }
  videos:find { where = job.where, limit = job.limit or 5000 }
  respond.json(job.a and 9 or 200, data);
  tide.log.info(job.name .. " " .. key);
  tide.http.get(job.url, { timeout = job.slow and "30s" or "3s", headers = job.plain and {} or { a = "b" } })
  tide.template("good.txt", of(job))
  tide.template("good.txt", { [key] = job.name })
  tide.template("good.txt", { other = job.a and job.b or nil, name = job.c or 1 })
  tide.template(job.a and "none.txt" or "good.txt", { name = 1 })
  tide.respond.json(job.a and 9 or 200, job, { ["X-A"] = "b" })
  tide.respond.problem(404, of "x", { a = 1 });
  (job.a and tide.log.info or key)(5)
end
tide.every("1h", function() handler {} end)
LUA
}

mkdir "$work/scripts"
number=2000
while read -r line; do
    bundle=h$((number += 1))
    mkdir "$work/scripts/$bundle"
    echo 'Hello {{ name }}' >"$work/scripts/$bundle/good.txt"
    printf 'local respond, json, videos, shop, tell = tide.respond, tide.respond.json, tide.bucket "a", tide.upstream "http://a", tide.log.info; local function handler(job)\n%s\nend tide.every("1h", function() handler(tell, json, respond, videos, shop) end)\n' "${line% => *}" >"$work/scripts/$bundle/init.lua"
done < <(wrong_handlers)
mkdir "$work/scripts/right"
echo 'Hello {{ name }}' >"$work/scripts/right/good.txt"
right_handler >"$work/scripts/right/init.lua"
mkdir "$work/scripts/wrong"
printf 'Hello {{ name }}\n {{ user.name }}\n' >"$work/scripts/wrong/bad.txt"
echo 'return function() return tide.template "bad.txt" end' >"$work/scripts/wrong/init.lua"
number=1000
while read -r line; do
    bundle=b$((number += 1))
    mkdir "$work/scripts/$bundle"
    printf '\n%s\n' "${line% => *}" >"$work/scripts/$bundle/init.lua"
done < <(wrong_calls)
(cd "$work" && "$tidemill" check) >"$work/reports" 2>&1

mkdir -p "$work/named/scripts/shop/schema"
touch "$work/named/scripts/shop/init.lua" "$work/named/scripts/shop/schema/1_order.sql"
(cd "$work/named" && "$tidemill" check) >"$work/schema" 2>&1
check "a schema file that would be passed over for its name" grep -qF "schema/1_order.sql: error: a schema file is named NNN_name.sql" "$work/schema"

# The bundle that consumes may be the one that failed.
mkdir "$work/scripts/publishes"
echo 'tide.queue("lonely", {})' >"$work/scripts/publishes/init.lua"
(cd "$work" && "$tidemill" check) >"$work/together" 2>&1
rm -r "$work/scripts"/{b1*,h2*,wrong}
(cd "$work" && "$tidemill" check) >"$work/alone" 2>&1
check "a queue that nobody consumes is told" grep -qF "no bundle here consumes the queue 'lonely'" "$work/alone"
check "but not beside a bundle that failed" test "$(grep -c lonely "$work/together")" = 0

number=1000
while read -r line; do
    bundle=b$((number += 1))
    check "${line% => *}" grep -qF "${line##* => }" <(grep -F "scripts/$bundle/init.lua:2:" "$work/reports")
done < <(wrong_calls)

number=2000
while read -r line; do
    bundle=h$((number += 1))
    check "in a handler: ${line% => *}" grep -qF "${line##* => }" <(grep -F "scripts/$bundle/init.lua:2:" "$work/reports")
done < <(wrong_handlers)
check "nothing is told of what is good, or not known" grep -q '^right  *ok' "$work/reports"
check "a template that is wrong is told in its own place" grep -qF "scripts/wrong/bad.txt:2:2: error: '{{ user.name }}' is no variable" "$work/reports"
