"""The system on a cluster, used while everything happens to it that happens to a system on a cluster; prints a table.

    python3 -B k8s/drill BUILD

The cluster is the one that KUBECONFIG names (KUBECTL: the program); K8S_LOAD is the command that hands it an image archive, as
"minikube image load" or "kind load image-archive": all of BUILD/image/*.tar. Namespace `tidemill` must not be there yet; it is
deleted in the end, unless DRILL_KEEP=1. Exit code 1 when a step failed, a job was lost, or a request failed that must not.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import steps
from cluster import KUBECTL, Failed
from drill import Drill
from proxy import find_nginx

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMESPACE = "tidemill"

# Without these nothing behind them makes sense.
FIRST = [
    ("the images are loaded", steps.load_images),
    ("every overlay is valid and brings no warning", steps.check_overlays),
    ("the system is applied", steps.apply),
    ("all pods are ready", steps.become_ready),
    ("a user is added", steps.add_user),
    ("a user's walk: log in, upload, download", steps.walk),
]
THEN = [
    ("a script is edited: all gateways run it", steps.edit),
    ("a broken script: all gateways refuse it; a new pod fails and says why", steps.broken),
    *((f"a pod of {component} is killed", steps.kill(component)) for component in steps.ENGINES),
    ("the gateway is rolled", steps.roll_gateway),
    ("the converter is rolled in mid-conversion", steps.roll_converter),
    ("the secret of the tokens is changed", steps.rotate_jwt),
    ("RabbitMQ's user is changed", steps.rotate_broker_user),
    ("RabbitMQ's pod is deleted", steps.delete_broker),
    ("an e-mail for every job", steps.mails),
]


def take_namespace(cluster):
    if cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found"):
        raise Failed(f"the cluster has a namespace {NAMESPACE}: the drill would delete it in the end")
    cluster.kubectl("apply", "--server-side", "--filename", ROOT / "k8s/base/namespace.yaml")


def run(drill):
    for name, step in FIRST:
        if not drill.run(name, step):
            return
    for name, step in THEN:
        drill.run(name, step)


def drop_namespace(cluster):
    """The pods first: Kubernetes would look for the namespace's end again only after half of their longest grace."""
    cluster.kubectl("delete", "deployments,statefulsets,jobs", "--all", "--wait=false")
    cluster.kubectl("delete", "pods", "--all", "--grace-period=1", seconds=120)
    cluster.kubectl("delete", "namespace", NAMESPACE, seconds=300)


def keep_logs(drill):
    """Of each container of each pod, also of the run before it."""
    for pod in drill.cluster.items("pods"):
        name = pod["metadata"]["name"]
        for words in ([], ["--previous"]):
            try:
                text = drill.cluster.kubectl("logs", name, "--all-containers", *words)
            except Failed:
                continue
            (drill.directory / f"{name}{'.previous' if words else ''}.log").write_text(text)


def main(build):
    directory = build / "drill/last"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    media = build / "media"
    for name, source in (("video.mp4", "clip-7s.mp4"), ("20-minutes.mp4", "long.mp4")):
        subprocess.run([ROOT / "spec/media/generate", media, source], check=True, timeout=300)
        shutil.copy(media / source, directory / name)
    drill = Drill(directory, build / "image", NAMESPACE, find_nginx(build))
    take_namespace(drill.cluster)
    drill.say(f"{KUBECTL}: {drill.cluster.kubectl('version').splitlines()[-1]}; logs in {directory}")
    try:
        run(drill)
    finally:
        drill.proxy.stop()
        keep_logs(drill)
        if os.environ.get("DRILL_KEEP") != "1":
            drop_namespace(drill.cluster)
    print(drill.table())
    return 1 if any(row.problem for row in drill.rows) else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
    except Failed as error:
        sys.exit(f"drill: {error}")
