"""The cluster that KUBECONFIG names, by kubectl; the engine's pods in it, by their admin port."""
import contextlib
import json
import os
import shlex
import subprocess
import time

KUBECTL = os.environ.get("KUBECTL", "kubectl")
SCRIPTS = "/etc/tidemill/scripts/"  # where a pod has its bundle


class Failed(Exception):
    """A step that did not end as it should; the text says why."""


def wait_for(what, seconds, condition, pause=0.5):
    """Until condition() is true, which it returns; it may raise Failed to tell what is missing."""
    end = time.monotonic() + seconds
    while True:
        try:
            last = condition()
            if last:
                return last
        except Failed as error:
            last = error
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s" + (f": {last}" if last else ""))
        time.sleep(pause)


def load(archive):
    """Hands an image archive to the cluster by the command K8S_LOAD; without it the cluster has the images or gets them itself."""
    command = os.environ.get("K8S_LOAD")
    if not command:
        return
    done = subprocess.run([*shlex.split(command), str(archive)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Failed(f"{command} {archive}: {done.stderr.strip()[-500:]}")


def is_ready(pod):
    return any(found["type"] == "Ready" and found["status"] == "True" for found in pod["status"].get("conditions", []))


class Cluster:
    def __init__(self, namespace):
        self.namespace = namespace

    def run(self, *words, text=None, seconds=60):
        """kubectl's standard output, and what it said beside it."""
        command = [KUBECTL, "--namespace", self.namespace, *map(str, words)]
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"kubectl {words[0]} {words[1]}: no answer within {seconds} s") from None
        if done.returncode:
            raise Failed(f"kubectl {' '.join(map(str, words[:4]))}: {done.stderr.strip()[-1000:]}")
        return done.stdout, done.stderr

    def kubectl(self, *words, **options):
        return self.run(*words, **options)[0]

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "--output=json"))

    def items(self, *words):
        return self.get(*words)["items"]

    def patch(self, kind, name, change):
        self.kubectl("patch", kind, name, "--type=merge", "--patch", json.dumps(change))

    def apply(self, manifest):
        return json.loads(self.kubectl("apply", "--filename=-", "--output=json", text=json.dumps(manifest)))

    # ---- pods ----

    def pods(self, component):
        """Those that are to stay."""
        found = self.items("pods", "--selector", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, *workloads, seconds=300):
        for workload in workloads:
            self.kubectl("rollout", "status", workload, f"--timeout={seconds}s", seconds=seconds + 10)

    def wait_settled(self, component, without=(), seconds=180):
        """Until all its pods are ready, those that end are gone, and so is who is not to be there any more."""
        wanted = self.get("deployment", component)["spec"]["replicas"]

        def is_settled():
            found = self.items("pods", "--selector", f"app.kubernetes.io/component={component}")
            names = {pod["metadata"]["name"] for pod in found}
            return len(found) == wanted and names.isdisjoint(without) and all(is_ready(pod) for pod in found)
        wait_for(f"all pods of {component} are ready", seconds, is_settled, pause=1)

    @contextlib.contextmanager
    def following(self, component, file):
        """Meanwhile what its pods log goes to the file, also what those log that end."""
        command = [KUBECTL, "--namespace", self.namespace, "logs", "--follow", "--since=1s", "--max-log-requests=20", "--selector",
                   f"app.kubernetes.io/component={component}"]
        with open(file, "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield
            finally:
                process.terminate()

    # ---- the engine in them ----

    def admin(self, pod, path):
        """What the pod's admin port answers, by way of the API server: it need not be reached from here."""
        name = pod["metadata"]["name"]
        return self.kubectl("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{name}:9090/proxy{path}")

    def bundle(self, pod):
        """The one bundle that a pod runs, as /-/bundles tells."""
        bundles = json.loads(self.admin(pod, "/-/bundles"))
        return (bundles["bundles"] if isinstance(bundles, dict) else bundles)[0]

    def generations(self, component):
        """What each worker of each pod runs; a set of one when all is settled."""
        found = set()
        for pod in self.pods(component):
            bundle = self.bundle(pod)
            found |= {bundle["generation"]} | {worker["generation"] for worker in bundle["workers"]}
        return found

    def scripts(self, component):
        """The ConfigMap that is mounted as the component's bundle."""
        pod = self.get("deployment", component)["spec"]["template"]["spec"]
        mounts = [mount for container in pod["containers"] for mount in container.get("volumeMounts", [])]
        mount = next((mount for mount in mounts if mount["mountPath"].rstrip("/") == SCRIPTS + component), None)
        volume = next((volume for volume in pod["volumes"] if mount and volume["name"] == mount["name"]), None)
        if not volume or "configMap" not in volume:
            raise Failed(f"deployment {component}: no ConfigMap is mounted at {SCRIPTS}{component}")
        return volume["configMap"]["name"]
