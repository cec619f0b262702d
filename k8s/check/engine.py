"""What the engine itself says: its settings, its bundles as they are in the pods, the paths of its admin listener."""
import contextlib
import functools
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from restricted import PROBES
from rules import rule
from system import contents, name_of

TIDEMILL = pathlib.Path(os.environ.get("BUILD", "build")).resolve() / "tidemill"
DOCKERFILE = pathlib.Path(__file__).resolve().parents[1] / "Dockerfile"
PATIENCE = 60  # seconds, for whatever is started here


def files_of(system, source):
    """Path and bytes of what a ConfigMap or Secret becomes in a volume."""
    kind = "ConfigMap" if "configMap" in source else "Secret"
    given = source.get("configMap") or source["secret"]
    data = contents(system.find(kind, given.get("name") or given["secretName"]) or {"kind": kind})
    paths = {item["key"]: item["path"] for item in given["items"]} if "items" in given else {key: key for key in data}
    return {path: data[key] for key, path in paths.items() if key in data}


def lay_out(directory, files):
    """As the kubelet does: files in a hidden directory, ..data leads to it, a link for each name of the first level leads through that."""
    real = directory / "..2026_01_01"
    for path, data in files.items():
        (real / path).parent.mkdir(parents=True, exist_ok=True)
        (real / path).write_bytes(data)
    real.mkdir(parents=True, exist_ok=True)
    (directory / "..data").symlink_to(real.name)
    for name in {path.split("/")[0] for path in files}:
        (directory / name).symlink_to(f"..data/{name}")


def lay_out_volumes(system, pod, root):
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for mount in pod.spec["containers"][0].get("volumeMounts", []):
        volume = volumes.get(mount["name"], {})
        sources = [volume, *volume.get("projected", {}).get("sources", [])]
        files = {}
        for source in sources:
            if "configMap" in source or "secret" in source:
                files.update(files_of(system, source))
        directory = root / mount["mountPath"].lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        if files:
            lay_out(directory, files)


@functools.cache
def of_image():
    """The environment that the image itself has."""
    stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    return dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)", stage, re.M) for pair in line.split())


def variables(system, container):
    """Its environment, as far as it is written out."""
    result = dict(of_image())
    for source in container.get("envFrom", []):
        name = source.get("configMapRef", {}).get("name")
        result.update((system.find("ConfigMap", name) or {}).get("data", {}))
    result.update({each["name"]: each["value"] for each in container.get("env", []) if "value" in each})
    return result


def check(system, pod, bundle):
    """What `tidemill check` says of the pod's bundle, with the pod's files and environment. None: all is well."""
    container = pod.spec["containers"][0]
    with tempfile.TemporaryDirectory() as root:
        lay_out_volumes(system, pod, pathlib.Path(root))
        environment = {key: f"{root}{value}" if value.startswith("/") else value for key, value in variables(system, container).items()}
        done = subprocess.run([TIDEMILL, "check", "--bundle", bundle], cwd=root, capture_output=True, text=True, timeout=PATIENCE,
                              env={**environment, "TIDEMILL_EXTERNAL_QUEUES": "video,mp3"})
    said = done.stderr.replace(root, "").strip()
    return said or (f"tidemill check ends with {done.returncode}" if done.returncode else None)


@functools.cache
def options():
    """Of `tidemill run`."""
    text = subprocess.run([TIDEMILL, "run", "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    return set(re.findall(r"--[a-z-]+", text))


@rule
def settings(system):
    """the engine knows each variable and takes its value, finds the files that they name, and loads the bundle from its ConfigMap"""
    for pod, bundle in system.engines():
        said = check(system, pod, bundle)
        if said:
            yield name_of(pod.workload), said


@functools.cache
def version():
    return subprocess.run([TIDEMILL, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout.split()[-1]


@rule
def image_version(system):
    """the engine's image is of the version that these manifests are for"""
    for pod, _ in system.engines():
        for container in pod.containers():
            if not container["image"].endswith(f":{version()}"):
                yield name_of(pod.workload), f"runs {container['image']}; this is {version()}"


@rule
def arguments(system):
    """a container's arguments are those of a command of the engine, for the bundle that is mounted"""
    for pod, bundle in system.engines():
        given = pod.spec["containers"][0].get("args", [])
        wanted = ["migrate"] if pod.workload["kind"] == "Job" else ["run", "--bundle", bundle]
        if given != wanted or not {word for word in given if word.startswith("-")} <= options():
            yield name_of(pod.workload), f"runs tidemill {' '.join(given)} instead of {' '.join(wanted)}"


@rule
def listeners(system):
    """the engine listens at the ports that its container has"""
    for pod, bundle in system.engines():
        container = pod.spec["containers"][0]
        given = variables(system, container)
        for name, port in [(port["name"], port["containerPort"]) for port in container.get("ports", [])]:
            variable = {"admin": "TIDEMILL_LISTEN_ADMIN", "http": f"TIDEMILL_LISTEN_{bundle.upper()}"}.get(name)
            if given.get(variable) != f"0.0.0.0:{port}":
                yield name_of(pod.workload), f"the port {name} is {port}, but {variable} is {given.get(variable)}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as why:
        return why.code
    except OSError:
        return None


@contextlib.contextmanager
def running():
    """The address of the admin listener of an engine that runs meanwhile."""
    with tempfile.TemporaryDirectory() as data, open(os.path.join(data, "log"), "w+") as log:
        admin = f"127.0.0.1:{free_port()}"
        engine = subprocess.Popen([TIDEMILL, "run", "--data", data, "--workers", "1", "--listen", f"admin={admin}", "--listen",
                                   "gateway=127.0.0.1:0", "--listen", "auth=127.0.0.1:0"], stderr=log)
        try:
            until = time.monotonic() + PATIENCE
            while status_of(f"http://{admin}/readyz") != 200:
                if engine.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise RuntimeError(f"the engine doesn't start: {log.read()[-500:]}")
                time.sleep(0.05)
            yield admin
        finally:
            engine.kill()
            engine.wait()


@functools.cache
def is_served(path):
    with running() as admin:
        return status_of(f"http://{admin}{path}") == 200


@rule
def probe_paths(system):
    """a probe asks the admin listener for what the engine serves there"""
    for pod, _ in system.engines():
        for container in pod.containers():
            for kind in PROBES:
                asked = container.get(kind, {}).get("httpGet")
                if asked and (asked["port"] != "admin" or not is_served(asked["path"])):
                    yield name_of(pod.workload), f"its {kind} asks for {asked['path']} at {asked['port']}, which the engine doesn't serve"


@rule
def probes(system):
    """a pod that serves has all three probes, and its liveness asks no backend"""
    for pod, _ in system.engines():
        container = pod.spec["containers"][0]
        if pod.workload["kind"] == "Job":
            continue
        for kind in PROBES:
            if kind not in container:
                yield name_of(pod.workload), f"has no {kind}"
        if container.get("livenessProbe", {}).get("httpGet", {}).get("path") != "/healthz":
            yield name_of(pod.workload), "is restarted for what a restart doesn't mend: the livenessProbe is not /healthz"
