"""The objects of a rendered overlay, and what is asked of them by several checks."""
import base64
import dataclasses

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


@dataclasses.dataclass
class Pod:
    """A pod as a workload describes it."""
    workload: dict
    labels: dict
    spec: dict

    def containers(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]

    def ports(self):
        """Name and number of what its containers listen on."""
        return {(port.get("name"), port["containerPort"]) for container in self.containers() for port in container.get("ports", [])}


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def matches(selector, labels):
    """A selector of labels, in either of its two forms; {} takes all."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for expression in selector.get("matchExpressions", []):
        value, values = labels.get(expression["key"]), expression.get("values", [])
        good = {"In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None}
        if not good[expression["operator"]]:
            return False
    return True


def has_port(ports, wanted):
    return any(wanted in port for port in ports)


class System:
    """objects: as rendered. given: what is not part of the overlay but has to be in the cluster, such as Secrets."""

    def __init__(self, name, objects, given=()):
        self.name = name
        self.objects = objects
        self.given = list(given)

    def of(self, *kinds):
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def find(self, kind, name):
        for thing in self.objects + self.given:
            if thing["kind"] == kind and thing["metadata"]["name"] == name:
                return thing
        return None

    def pods(self):
        for workload in self.of(*WORKLOADS):
            template = workload["spec"]["template"]
            yield Pod(workload, template["metadata"].get("labels", {}), template["spec"])

    def selected(self, selector):
        return [pod for pod in self.pods() if matches(selector, pod.labels)]

    def engines(self):
        """The pods that run a bundle, and its name."""
        for pod in self.pods():
            bundle = pod.workload["metadata"].get("annotations", {}).get("tidemill/bundle")
            if bundle:
                yield pod, bundle


def contents(thing):
    """Key and bytes of a ConfigMap or Secret."""
    result = {key: text.encode() for key, text in {**(thing.get("stringData") or {})}.items()}
    for key, text in (thing.get("data") or {}).items():
        result[key] = base64.b64decode(text) if thing["kind"] == "Secret" else text.encode()
    for key, text in (thing.get("binaryData") or {}).items():
        result[key] = base64.b64decode(text)
    return result
