"""The steps: each does one thing to the system, mostly while it is used, and raises Failed unless it went as it should."""
import base64
import json
import pathlib
import re
import secrets
import subprocess
import time

from cluster import Failed, is_ready, load, wait_for
from drill import HOST, NAME, PASSWORD

OVERLAY = pathlib.Path(__file__).parent / "overlay"
OVERLAYS = pathlib.Path(__file__).resolve().parents[1] / "overlays"
ENGINES = ("auth", "gateway", "converter", "notification")
ROUTE = '\ntide.route("GET /drill", function() return respond.text(200, "drill") end)\n'
BROKEN = '\ntide.rote("GET /drill", print)\n'


def need(condition, text):
    if not condition:
        raise Failed(text)


# ---- the system comes ----

def load_images(drill):
    for archive in sorted(drill.images.glob("*.tar")):
        load(archive)


def apply_strictly(cluster, *words, text=None):
    said = cluster.run("apply", "--server-side", "--validate=strict", *words, text=text, seconds=120)[1]
    need("warning" not in said.lower(), f"the API server warns: {said.strip()}")


def apply(drill):
    apply_strictly(drill.cluster, "--kustomize", OVERLAY)


def check_overlays(drill):
    """The API server would take every overlay; what is of kinds that others define (KEDA, Prometheus) it can't know."""
    cluster = drill.cluster
    known = set(cluster.kubectl("api-versions").split())
    for overlay in sorted(path.parent for path in OVERLAYS.rglob("kustomization.yaml") if path.parent.name != "system"):
        documents = cluster.kubectl("kustomize", overlay).split("\n---\n")
        versions = [re.search(r"^apiVersion: (\S+)", document, re.M)[1] for document in documents]
        mine = [document for document, version in zip(documents, versions) if version in known]
        apply_strictly(cluster, "--dry-run=server", "--filename=-", text="\n---\n".join(mine))
        unknown = sorted({version for version in versions if version not in known})
        drill.say(f"  {overlay.relative_to(OVERLAYS)}: {len(mine)} objects" + (f"; not {', '.join(unknown)}" if unknown else ""))


def become_ready(drill):
    workloads = [f"statefulset/{found['metadata']['name']}" for found in drill.cluster.items("statefulsets")]
    workloads += [f"deployment/{found['metadata']['name']}" for found in drill.cluster.items("deployments")]
    for name in ENGINES:
        need(f"deployment/{name}" in workloads, f"there is no deployment {name}")
    drill.cluster.wait_ready(*workloads, seconds=600)


def curl(drill, *words):
    """A line as a user types it: the host's port 80 is the proxy's."""
    done = subprocess.run(["curl", "-fsS", "--max-time", "120", "--connect-to", f"::127.0.0.1:{drill.proxy.port}", *map(str, words)],
                          capture_output=True, timeout=130)
    need(done.returncode == 0, f"curl {words[-1]}: {done.stderr.decode().strip()}")
    return done.stdout


def add_user(drill):
    drill.cluster.kubectl("exec", "--stdin", "deployment/auth", "--", "/usr/bin/tidemill", "user", "add", NAME, "--admin",
                          "--password-stdin", text=PASSWORD + "\n")


def walk(drill):
    """What the README tells a user to type, against the host of the Ingress."""
    drill.open_door()
    token = curl(drill, "-X", "POST", f"http://{HOST}/login", "-u", f"{NAME}:{PASSWORD}").decode()
    bearer = ["-H", f"Authorization: Bearer {token}"]
    answer = json.loads(curl(drill, "-X", "POST", "-F", f"file=@{drill.directory / 'video.mp4'}", *bearer, f"http://{HOST}/upload"))
    drill.settle([answer["job"]])
    fid = drill.completed.get(answer["job"])
    need(fid, f"the job did not end: {answer}")
    mp3 = drill.directory / "output.mp3"
    curl(drill, "-X", "GET", *bearer, f"http://{HOST}/download?fid={fid}", "-o", mp3)
    probe = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=format_name", "-of", "csv=p=0", mp3],
                           capture_output=True, text=True, timeout=30)
    need(probe.stdout.strip() == "mp3", f"this is no MP3: {probe.stdout} {probe.stderr}")
    need(b"RabbitMQ" in curl(drill, "http://rabbitmq-manager.com/"), "rabbitmq-manager.com is not RabbitMQ's page")


# ---- scripts that change ----

class Script:
    """The gateway's init.lua in its ConfigMap, as it was and as a step makes it."""

    def __init__(self, cluster):
        self.cluster, self.name = cluster, cluster.scripts("gateway")
        self.text = cluster.get("configmap", self.name)["data"]["init.lua"]

    def write(self, addition=""):
        self.cluster.patch("configmap", self.name, {"data": {"init.lua": self.text + addition}})


def metric(cluster, pod):
    found = re.search(r'^tidemill_config_last_reload_successful\{bundle="gateway"\} (\d)$', cluster.admin(pod, "/metrics"), re.M)
    return found and int(found[1])


def wait_for_generation(cluster, before):
    """Every worker of every replica runs the same, and not what it ran before."""
    def runs():
        now = cluster.generations("gateway")
        return len(now) == 1 and now != before and now
    return wait_for("every replica runs the new script", 180, runs)


def edit(drill):
    cluster, script = drill.cluster, Script(drill.cluster)
    before = cluster.generations("gateway")
    with drill.load():
        began = time.monotonic()
        script.write(ROUTE)
        wait_for_generation(cluster, before)
        seconds = time.monotonic() - began
    need(curl(drill, f"http://{HOST}/drill") == b"drill", "the new route does not answer")
    need_no_failure(drill)
    edited = cluster.generations("gateway")
    script.write()
    need(wait_for_generation(cluster, edited) == before, "the old script does not give the old generation")
    return seconds


def need_no_failure(drill):
    need(drill.rows[-1].failed == 0, f"{drill.rows[-1].failed} requests failed")


def broken(drill):
    """A script that can't be loaded: what ran runs on and is ready, and the metric of the alert says so."""
    cluster, script = drill.cluster, Script(drill.cluster)
    before, pods = cluster.generations("gateway"), cluster.pods("gateway")
    try:
        with drill.load():
            began = time.monotonic()
            script.write(BROKEN)
            wait_for("every replica refuses it", 180,
                     lambda: all(cluster.bundle(pod)["reload"]["outcome"] == "refused" and metric(cluster, pod) == 0 for pod in pods))
            seconds = time.monotonic() - began
            need(cluster.generations("gateway") == before, "a replica runs something else")
            need(all("init.lua:" in cluster.bundle(pod)["reload"]["report"] for pod in pods), "the report has no file and line")
            new_pod_fails(cluster)
    finally:
        script.write()
    wait_for("the mended script is taken", 180, lambda: all(metric(cluster, pod) == 1 for pod in pods))
    need(cluster.generations("gateway") == before, "the old script does not give the old generation")
    need_no_failure(drill)
    return seconds


def new_pod_fails(cluster):
    """One more replica can't start; its termination message says why, and the others serve on."""
    old = {pod["metadata"]["name"] for pod in cluster.pods("gateway")}
    cluster.kubectl("scale", "deployment/gateway", f"--replicas={len(old) + 1}")
    try:
        message = wait_for("a new pod ends with the error in its termination message", 120, lambda: termination_message(cluster, old))
        need(re.search(r"init\.lua:\d+: ", message), f"its termination message has no file and line: {message}")
        ready = {pod["metadata"]["name"] for pod in cluster.pods("gateway") if is_ready(pod)}
        need(ready == old, f"ready are {sorted(ready)}, not {sorted(old)}")
    finally:
        cluster.kubectl("scale", "deployment/gateway", f"--replicas={len(old)}")
    wait_for("the pod is gone", 60, lambda: len(cluster.pods("gateway")) == len(old))


def termination_message(cluster, old):
    for pod in cluster.pods("gateway"):
        for container in pod["status"].get("containerStatuses", []) if pod["metadata"]["name"] not in old else []:
            for state in (container.get("state", {}), container.get("lastState", {})):
                if "terminated" in state:
                    return state["terminated"].get("message")
    return None


# ---- pods that go ----

def kill(component):
    def step(drill):
        """Without its grace: what it has in hand may be cut off, and nothing that was acknowledged."""
        cluster = drill.cluster
        with drill.load():
            began = time.monotonic()
            victim = cluster.pods(component)[0]["metadata"]["name"]
            cluster.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
            cluster.wait_settled(component, without={victim})
            seconds = time.monotonic() - began
        return seconds
    return step


def roll_gateway(drill):
    with drill.load():
        seconds = restart(drill.cluster, "gateway")
    need_no_failure(drill)
    return seconds


def roll_converter(drill):
    """In the middle of a conversion that takes longer than a pod waits for it: the pod hands it back, another one does it."""
    log = drill.directory / "converter-rolled.log"
    with drill.load():
        job = start_long_job(drill)
        with drill.cluster.following("converter", log):
            seconds = restart(drill.cluster, "converter")
    drill.settle([job])
    need_no_failure(drill)
    need("grace time is over: what is in flight is handed back" in log.read_text(), f"no pod handed the long job back: {log}")
    return seconds


def restart(cluster, *components):
    """Seconds until all new pods are ready; returns when the old ones are gone."""
    began = time.monotonic()
    for component in components:
        cluster.kubectl("rollout", "restart", f"deployment/{component}")
    cluster.wait_ready(*(f"deployment/{component}" for component in components))
    seconds = time.monotonic() - began
    for component in components:
        cluster.wait_settled(component)
    return seconds


def start_long_job(drill):
    """One that is being converted for longer than a pod waits for it."""
    user, long = drill.user(), drill.directory / "long.mp4"
    if not long.exists():
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-stream_loop", "8", "-i", drill.directory / "20-minutes.mp4",
                        "-c", "copy", long], check=True, timeout=120)
    status, body = user.upload("long.mp4", long.read_bytes())
    need(status == 202, f"POST /upload of the long clip: {status} {body[:200]}")
    job = json.loads(body)["job"]
    wait_for("the long job is being converted", 120, lambda: user.job(job)["state"] == "PROGRESSING", pause=0.2)
    return job


def delete_broker(drill):
    cluster = drill.cluster
    with drill.load():
        began = time.monotonic()
        cluster.kubectl("delete", "pod", "rabbitmq-0", seconds=120)
        cluster.wait_ready("statefulset/rabbitmq")
        seconds = time.monotonic() - began
    need_no_failure(drill)
    return seconds


# ---- secrets that change ----

def secret_of(cluster, component, variable):
    """Name and key of the Secret whose file a variable of the component names."""
    spec = cluster.get("deployment", component)["spec"]["template"]["spec"]
    container = spec["containers"][0]
    path = next((found["value"] for found in container.get("env", []) if found["name"] == variable), None)
    need(path, f"deployment {component} sets no {variable}")
    mount = next((found for found in container["volumeMounts"] if path.startswith(found["mountPath"].rstrip("/") + "/")), None)
    need(mount, f"deployment {component}: nothing is mounted where {variable} points: {path}")
    volume = next(found for found in spec["volumes"] if found["name"] == mount["name"])
    key = path.rpartition("/")[2]
    for name in [source["secret"]["name"] for source in volume["projected"]["sources"]]:
        if key in cluster.get("secret", name)["data"]:
            return name, key
    raise Failed(f"deployment {component}: no Secret has the file {path}")


def read_secret(cluster, name, key):
    return base64.b64decode(cluster.get("secret", name)["data"][key]).decode()


def write_secret(cluster, name, values):
    cluster.patch("secret", name, {"stringData": values})


def rotate_jwt(drill):
    """The two secrets of the tokens change places under load; then the old one is thrown away, and its tokens with it."""
    cluster = drill.cluster
    signs = secret_of(cluster, "auth", "TIDEMILL_AUTH_JWT_SECRET_FILE")
    accepted = secret_of(cluster, "auth", "TIDEMILL_AUTH_JWT_ACCEPTED_SECRET_FILE")
    old, new = read_secret(cluster, *signs), read_secret(cluster, *accepted)
    before = drill.user()
    with drill.load():
        write_secret(cluster, signs[0], {signs[1]: new})
        write_secret(cluster, accepted[0], {accepted[1]: old})
        seconds = restart(cluster, "auth")
    need(before.signed("GET", "/jobs")[0] == 200, "a token of before is refused")
    write_secret(cluster, accepted[0], {accepted[1]: secrets.token_hex(32)})
    restart(cluster, "auth")
    need(before.signed("GET", "/jobs")[0] == 401, "a token of the secret that was thrown away is accepted")
    need(drill.user().signed("GET", "/jobs")[0] == 200, "a new token is refused")
    need_no_failure(drill)
    return seconds


def replace_user(definitions, old, new, password):
    """RabbitMQ takes its users from these at each of its starts."""
    changed = json.loads(definitions)
    changed["users"] = [user for user in changed["users"] if user["name"] != old] + [{"name": new, "password": password, "tags": ""}]
    for permission in changed["permissions"]:
        permission["user"] = new if permission["user"] == old else permission["user"]
    return json.dumps(changed)


def rotate_broker_user(drill):
    """Another user of RabbitMQ takes the first one's place; then that one is deleted."""
    cluster = drill.cluster
    places = {secret_of(cluster, component, "TIDEMILL_QUEUE_FILE") for component in ENGINES[1:]}
    url = read_secret(cluster, *next(iter(places)))
    old = re.match(r"amqps?://([^:]+):", url)[1]
    password = secrets.token_hex(16)

    def control(*words):
        return cluster.kubectl("exec", "rabbitmq-0", "--", "rabbitmqctl", "--quiet", *words, seconds=120)
    with drill.load():
        began = time.monotonic()
        control("add_user", "drill", password)
        control("set_permissions", "-p", "/", "drill", ".*", ".*", ".*")
        for name, key in places:
            write_secret(cluster, name, {key: re.sub(r"://[^@]+@", f"://drill:{password}@", url)})
        restart(cluster, *ENGINES[1:])
        wait_for("the first user has no connection", 60, lambda: old not in control("list_connections", "user").split())
        control("delete_user", old)
        definitions = read_secret(cluster, "rabbitmq", "definitions.json")
        write_secret(cluster, "rabbitmq", {"definitions.json": replace_user(definitions, old, "drill", password)})
        seconds = time.monotonic() - began
    need_no_failure(drill)
    return seconds


# ---- what came of it all ----

MAILS = """
import email, email.policy, json, pathlib, re
found = {}
for path in pathlib.Path("/tmp/mail/maildir/new").iterdir():
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    fid = re.search(r"\\b[0-9a-f]{24}\\b", mail.get_body(("plain",)).get_content())[0]
    found[fid] = found.get(fid, 0) + 1
print(json.dumps(found))
"""


def mails(drill):
    """One e-mail for each job; a second one only where a pod was killed between sending and noting it."""
    def found():
        return json.loads(drill.cluster.kubectl("exec", "deployment/mailpit", "--", "python3", "-c", MAILS))
    wanted = set(drill.completed.values())
    try:
        wait_for("the e-mails", 180, lambda: wanted <= found().keys())
    finally:
        row, sent = drill.rows[-1], found()
        row.jobs, row.lost = len(wanted), len(wanted - sent.keys())
        twice = sum(sent[fid] - 1 for fid in wanted & sent.keys())
        if twice:
            drill.say(f"  {twice} e-mails came twice")
