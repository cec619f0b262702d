"""What the system is known by: names, ports, numbers of replicas, hosts."""
import json
import re
import urllib.parse

from references import backends
from rules import rule
from system import contents, name_of

REPLICAS = {"auth": 2, "gateway": 2, "converter": 4, "notification": 4}
PORTS = {"auth": {5000}, "gateway": {8080}, "rabbitmq": {5672, 15672}}
HOSTS = {"mp3converter.com": ("gateway", 8080), "rabbitmq-manager.com": ("rabbitmq", 15672)}
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def bytes_of(text):
    number, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(number) * UNITS[unit]


def least(system, deployment):
    """How many replicas it has, at least."""
    for scaler in system.of("HorizontalPodAutoscaler", "ScaledObject"):
        if scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return scaler["spec"].get("minReplicas", scaler["spec"].get("minReplicaCount"))
    return deployment["spec"].get("replicas", 1)


@rule
def replicas(system):
    """auth and gateway are two, converter and notification four, each one bundle of the engine"""
    for name, count in REPLICAS.items():
        deployment = system.find("Deployment", name)
        if not deployment:
            yield name, "there is no such Deployment"
        elif least(system, deployment) != count:
            yield name_of(deployment), f"has {least(system, deployment)} replicas instead of {count}"


@rule
def broker(system):
    """RabbitMQ is a StatefulSet of one, with a volume of its own"""
    thing = system.find("StatefulSet", "rabbitmq")
    if not thing or thing["spec"].get("replicas", 1) != 1 or not thing["spec"].get("volumeClaimTemplates"):
        yield "StatefulSet/rabbitmq", "is not one broker with a volume"


@rule
def services(system):
    """auth is at 5000, gateway at 8080, RabbitMQ at 5672 and 15672"""
    for name, ports in PORTS.items():
        service = system.find("Service", name)
        there = {port["port"] for port in service["spec"]["ports"]} if service else set()
        if not ports <= there:
            yield f"Service/{name}", f"has {sorted(there)} instead of {sorted(ports)}"


@rule
def hosts(system):
    """mp3converter.com leads to the gateway, rabbitmq-manager.com to RabbitMQ's page"""
    leads = {}
    for ingress in system.of("Ingress"):
        for entry, backend in zip(ingress["spec"]["rules"], backends(ingress)):
            service = system.find("Service", backend["name"])
            for port in service["spec"]["ports"] if service else []:
                if backend["port"] in ({"name": port.get("name")}, {"number": port["port"]}):
                    leads[entry.get("host")] = (backend["name"], port["port"])
    for host, wanted in HOSTS.items():
        if leads.get(host) != wanted:
            yield "Ingress", f"{host} leads to {leads.get(host)} instead of {wanted}"


@rule
def upload_size(system):
    """the Ingress lets the largest upload pass, and doesn't keep it"""
    gateway = system.find("Deployment", "gateway")
    variables = {each["name"]: each.get("value") for each in gateway["spec"]["template"]["spec"]["containers"][0]["env"]}
    for ingress in system.of("Ingress"):
        if not any(backend["name"] == "gateway" for backend in backends(ingress)):
            continue
        annotations = {key.rpartition("/")[2]: value for key, value in ingress["metadata"].get("annotations", {}).items()}
        if bytes_of(annotations.get("proxy-body-size", "1m")) <= bytes_of(variables["TIDEMILL_GATEWAY_MAX_UPLOAD"]):
            yield name_of(ingress), "proxy-body-size is less than the gateway takes (TIDEMILL_GATEWAY_MAX_UPLOAD) with the form around it"
        if annotations.get("proxy-request-buffering") != "off":
            yield name_of(ingress), "keeps a copy of each upload: proxy-request-buffering is not off"


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


@rule
def drain(system):
    """a pod is given the time that its engine takes to drain, and serves on until nobody is led to it any more"""
    for pod, _ in system.engines():
        container = pod.spec["containers"][0]
        given = {each["name"]: each.get("value") for each in container["env"]}
        if pod.workload["kind"] == "Job":
            continue
        if "TIDEMILL_GRACE" not in given:
            yield name_of(pod.workload), "says no TIDEMILL_GRACE"
            continue
        delay = seconds(given.get("TIDEMILL_DRAIN_DELAY", "0s"))
        if pod.spec.get("terminationGracePeriodSeconds", 30) < delay + seconds(given["TIDEMILL_GRACE"]) + 5:
            yield name_of(pod.workload), "terminationGracePeriodSeconds is less than TIDEMILL_DRAIN_DELAY, TIDEMILL_GRACE and 5 s together"
        if any(port["name"] == "http" for port in container["ports"]) and delay < 5:
            yield name_of(pod.workload), "has a Service, but no TIDEMILL_DRAIN_DELAY until that has forgotten it"


@rule
def rolling_update(system):
    """a rolling update starts the new pod before it ends an old one"""
    for pod, _ in system.engines():
        if pod.workload["kind"] == "Deployment":
            strategy = pod.workload["spec"].get("strategy", {}).get("rollingUpdate", {})
            if strategy.get("maxUnavailable") != 0 or not strategy.get("maxSurge"):
                yield name_of(pod.workload), "a rolling update takes a pod away before its successor is ready"


@rule
def definitions(system):
    """the user of the Secret broker is one of those that RabbitMQ imports, with the same password"""
    url = urllib.parse.urlsplit(contents(system.find("Secret", "broker"))["QUEUE"].decode())
    users = json.loads(contents(system.find("Secret", "rabbitmq"))["definitions.json"])["users"]
    if not any((user["name"], user["password"]) == (url.username, url.password) for user in users):
        yield "Secret/rabbitmq", f"definitions.json has no user {url.username} with the password of the Secret broker"
