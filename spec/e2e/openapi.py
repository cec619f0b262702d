"""Drives every path and status that the bundles' openapi.json name, over real HTTP, and checks the answers against them.

openapi.py PHASE, with GATEWAY and AUTH (URLs) in the environment; SEEN is a file that the phases share:
  usual         all that an engine answers that has what it needs; CLIP is a video that it takes
  without-auth  the gateway's auth is nowhere
  full-disk     nothing large can be stored
  throttled     too many logins fail; the last phase of an engine
  complete      was everything seen? And are the routes of TIDEMILL the paths of the files?
Lines "ok - name" and "not ok - name"; fails when there is one of the latter.
"""
import base64
import collections
import functools
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse

from jsonschema import Draft202012Validator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
Answer = collections.namedtuple("Answer", "status headers body")
failures = 0


def check(name, problems):
    """One line of output; problems: a list, or a bool."""
    global failures
    good = problems is True or problems == []
    failures += not good
    print(f"ok - {name}" if good else f"not ok - {name}: {problems}", flush=True)


def without_refs(node, root):
    """The node with every local $ref replaced by what it names."""
    if isinstance(node, list):
        return [without_refs(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return without_refs(target, root)
    return {key: without_refs(value, root) for key, value in node.items()}


def schema_problems(schema, value):
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in Draft202012Validator(schema).iter_errors(value)]


class Service:
    """A bundle behind its URL, and its description."""

    def __init__(self, name, url, seen):
        self.name, self.url, self.seen = name, urllib.parse.urlsplit(url), seen
        with open(f"scripts/{name}/openapi.json", encoding="utf-8") as file:
            document = json.load(file)
        self.document, self.described = document, without_refs(document, document)

    def operations(self):
        for path, item in self.described["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method.upper(), path, item[method]

    def send(self, method, target, headers, body):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def call(self, operation, status, body=None, query=None, headers=None, **params):
        """Sends it; checks that the answer has this status and is as described; gives the answer."""
        method, path = operation.split(" ")
        target = re.sub(r"{(\w+)}", lambda m: urllib.parse.quote(params[m[1]]), path)
        if query:
            target += "?" + urllib.parse.urlencode(query)
        answer = self.send(method, target, headers or {}, body)
        described = self.described["paths"][path][method.lower()]["responses"]
        problems = [] if answer.status == status else [f"{answer.status}: {answer.body[:200]}"]
        if str(answer.status) in described:
            problems += answer_problems(described[str(answer.status)], answer)
        else:
            problems.append("this status is not described")
        check(f"{self.name}: {operation} {status}{' ' + query_words(query) if query else ''}", problems)
        with open(self.seen, "a", encoding="utf-8") as seen:
            print(self.name, operation, answer.status, file=seen)
        return answer


def query_words(query):
    return ",".join(f"{key}={value}" for key, value in query.items())


def answer_problems(described, answer):
    return list(header_problems(described.get("headers", {}), answer.headers)) + body_problems(described.get("content"), answer)


def header_problems(described, headers):
    for name, header in described.items():
        value = headers.get(name)
        if value is None:
            if header.get("required"):
                yield f"no {name}"
            continue
        schema = header["schema"]
        if schema.get("type") == "integer" and re.fullmatch("-?[0-9]+", value):
            value = int(value)
        yield from (f"{name}: {problem}" for problem in schema_problems(schema, value))
    if "X-Request-Id" not in headers:
        yield "no X-Request-Id"


def body_problems(content, answer):
    if content is None:
        return [f"a body that is not described: {answer.body[:80]}"] if answer.body else []
    media_type = (answer.headers.get("Content-Type") or "").split(";")[0]
    if media_type not in content:
        return [f"Content-Type {media_type} is not described"]
    schema = content[media_type].get("schema")
    if schema is None:
        return []
    value = json.loads(answer.body) if media_type.endswith("json") else answer.body.decode()
    return schema_problems(schema, value)


# ---- what the descriptions are ----

def check_description(service):
    served = service.send("GET", "/openapi.json", {}, None)
    check(f"{service.name} serves the file beside the bundle", json.loads(served.body) == service.document)
    problems = [] if service.document["openapi"].startswith("3.1.") else ["not OpenAPI 3.1"]
    names = [operation["operationId"] for _, _, operation in service.operations()]
    problems += [f"operationId {name} twice" for name, count in collections.Counter(names).items() if count > 1]
    for method, path, operation in service.operations():
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        if declared != set(re.findall(r"{(\w+)}", path)):
            problems.append(f"{method} {path}: its parameters are {declared}")
        if not operation.get("summary"):
            problems.append(f"{method} {path}: no summary")
    for schema in find_schemas(service.described):
        Draft202012Validator.check_schema(schema)
    check(f"the description of {service.name} is well-formed", problems)


def find_schemas(node):
    if isinstance(node, list):
        for item in node:
            yield from find_schemas(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "schema":
                yield value
            else:
                yield from find_schemas(value)


# ---- requests ----

USER, PASSWORD = "georgio@email.com", "Admin123"
UNKNOWN = "0123456789abcdef01234567"
LARGE = b"x" * 9000


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def form(content, field="file"):
    """Headers and body of a form with one file."""
    body = (f'--B\r\nContent-Disposition: form-data; name="{field}"; filename="clip.mp4"\r\n\r\n').encode() + content + b"\r\n--B--\r\n"
    return {"Content-Type": "multipart/form-data; boundary=B"}, body


def login(service):
    service.call("POST /login", 200, headers=basic(USER, PASSWORD) | {"Accept": "application/json"})
    token = service.call("POST /login", 200, headers=basic(USER, PASSWORD)).body.decode()
    service.call("POST /login", 400, headers={"Authorization": "Basic ***"})
    service.call("POST /login", 401, headers=basic(USER, "wrong"))
    service.call("POST /login", 401)
    service.call("POST /login", 413, headers=basic(USER, PASSWORD), body=LARGE)
    return token


def too_many_logins(service):
    user = f"too-many-at-{service.name}@email.com"
    service.call("POST /login", 200, headers=basic(USER, PASSWORD))  # the count of this address begins anew
    for _ in range(5):
        service.call("POST /login", 401, headers=basic(user, "wrong"))
    service.call("POST /login", 429, headers=basic(user, "wrong"))


def use_auth(auth):
    admin = bearer(login(auth))
    auth.call("POST /validate", 200, headers=admin)
    auth.call("POST /validate", 400, headers=bearer("no.token"))
    auth.call("POST /validate", 401)
    auth.call("POST /validate", 413, headers=admin, body=LARGE)
    new = {"email": "ann@email.com", "password": "Ann-12345"}
    add = functools.partial(auth.call, "POST /users")
    check("the new user is as described", schema_problems(
        auth.described["paths"]["/users"]["post"]["requestBody"]["content"]["application/json"]["schema"], new))
    add(201, headers=admin, body=json.dumps(new))
    add(409, headers=admin, body=json.dumps(new))
    add(400, headers=admin, body="{")
    add(401, body=json.dumps(new))
    add(413, headers=admin, body=LARGE)
    ann = bearer(auth.call("POST /login", 200, headers=basic(new["email"], new["password"])).body.decode())
    add(403, headers=ann, body=json.dumps(new))
    auth.call("GET /openapi.json", 200)


def job_that_ends(gateway, user, content):
    headers, body = form(content)
    answer = gateway.call("POST /upload", 202, headers=user | headers, body=body)
    job = json.loads(answer.body)["job"]
    gateway.call("GET /jobs/{id}", 200, headers=user, id=job)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = json.loads(gateway.send("GET", f"/jobs/{job}", user, None).body)
        if state["state"] in ("COMPLETE", "ERROR"):
            break
        time.sleep(0.05)
    gateway.call("GET /jobs/{id}", 200, headers=user, id=job)
    return state


def use_gateway(gateway, clip):
    user = bearer(login(gateway))
    upload = functools.partial(gateway.call, "POST /upload")
    headers, body = form(b"x", "other")
    upload(400, headers=user | headers, body=body)
    upload(401, headers=headers, body=body)
    upload(413, headers=user | headers, body=b"x" * (2 << 20))
    gateway.call("GET /jobs", 200, headers=user)
    mp3 = job_that_ends(gateway, user, clip).get("mp3_fid")
    check("what is no video ends in ERROR", job_that_ends(gateway, user, b"no video")["state"] == "ERROR")
    use_jobs(gateway, user)
    use_download(gateway, user, mp3)
    gateway.call("GET /openapi.json", 200)


def use_jobs(gateway, user):
    page = gateway.call("GET /jobs", 200, headers=user, query={"limit": 1})
    last = json.loads(page.body)["jobs"][0]["job"]
    gateway.call("GET /jobs", 200, headers=user, query={"limit": 1, "before": last})
    gateway.call("GET /jobs", 400, headers=user, query={"limit": 0})
    gateway.call("GET /jobs", 401)
    gateway.call("GET /jobs/{id}", 400, headers=user, id="x")
    gateway.call("GET /jobs/{id}", 401, id=UNKNOWN)
    gateway.call("GET /jobs/{id}", 404, headers=user, id=UNKNOWN)


def use_download(gateway, user, mp3):
    download = functools.partial(gateway.call, "GET /download")
    etag = download(200, headers=user, query={"fid": mp3}).headers["ETag"]
    download(206, headers=user | {"Range": "bytes=0-9"}, query={"fid": mp3})
    download(206, headers=user | {"Range": "bytes=0-9", "If-Range": etag}, query={"fid": mp3})
    download(304, headers=user | {"If-None-Match": etag}, query={"fid": mp3})
    download(416, headers=user | {"Range": "bytes=999999999-"}, query={"fid": mp3})
    download(400, headers=user)
    download(401, query={"fid": mp3})
    download(404, headers=user, query={"fid": UNKNOWN})


# ---- phases ----

def usual(gateway, auth):
    for service in (auth, gateway):
        check_description(service)
    with open(os.environ["CLIP"], "rb") as file:
        clip = file.read()
    use_auth(auth)
    use_gateway(gateway, clip)
    too_many_logins(auth)  # last: they are counted for this address too


def throttled(gateway, _auth):
    too_many_logins(gateway)


def without_auth(gateway, _auth):
    user = bearer("a.b.c")
    headers, body = form(b"x")
    gateway.call("POST /login", 503, headers=basic(USER, PASSWORD))
    gateway.call("POST /upload", 503, headers=user | headers, body=body)
    gateway.call("GET /jobs", 503, headers=user)
    gateway.call("GET /jobs/{id}", 503, headers=user, id=UNKNOWN)
    gateway.call("GET /download", 503, headers=user, query={"fid": UNKNOWN})


def full_disk(gateway, auth):
    user = bearer(auth.call("POST /login", 200, headers=basic(USER, PASSWORD)).body.decode())
    headers, body = form(b"x" * (8 << 20))
    gateway.call("POST /upload", 507, headers=user | headers, body=body)
    check("nothing half-stored is a job", json.loads(gateway.call("GET /jobs", 200, headers=user).body)["jobs"] == [])


def complete(gateway, auth):
    with open(gateway.seen, encoding="utf-8") as file:
        seen = set(file.read().splitlines())
    for service in (auth, gateway):
        described = {f"{service.name} {method} {path} {status}"
                     for method, path, operation in service.operations() for status in operation["responses"]}
        check(f"every path and status of {service.name} was answered", sorted(described - seen))
    routes = json.loads(subprocess.run([os.environ["TIDEMILL"], "routes", "--json"], check=True, capture_output=True).stdout)
    declared = {f"{route['bundle']} {route['name']}" for route in routes if route["kind"] == "route"}
    described = {f"{service.name} {method} {path}" for service in (auth, gateway) for method, path, _ in service.operations()}
    check("every route is described", sorted(declared - described))
    check("everything described is a route", sorted(described - declared))


def main():
    phase = {"usual": usual, "throttled": throttled, "without-auth": without_auth, "full-disk": full_disk,
             "complete": complete}[sys.argv[1]]
    phase(*(Service(name, os.environ[name.upper()], os.environ["SEEN"]) for name in ("gateway", "auth")))
    sys.exit(failures > 0)


main()
