"""What is named is there: pods, ports, volumes, ConfigMaps, Secrets and their keys, and so on."""
from rules import rule
from system import contents, has_port, matches, name_of


@rule
def unique(system):
    """no object is there twice"""
    seen = set()
    for thing in system.objects:
        key = (thing["apiVersion"].split("/")[0], name_of(thing))
        if key in seen:
            yield name_of(thing), "is there twice"
        seen.add(key)


@rule
def namespace(system):
    """all is in one namespace, which is there"""
    for thing in system.objects:
        where = thing["metadata"].get("namespace")
        if thing["kind"] != "Namespace" and not system.find("Namespace", where):
            yield name_of(thing), f"is in the namespace {where}, which is not there"


@rule
def own_selector(system):
    """a workload's selector takes its own pods, and no other's"""
    for thing in system.of("Deployment", "StatefulSet"):
        taken = [name_of(pod.workload) for pod in system.selected(thing["spec"]["selector"])]
        if taken != [name_of(thing)]:
            yield name_of(thing), f"its selector takes the pods of {', '.join(taken) or 'nothing'}"


@rule
def service_selector(system):
    """a Service's selector takes pods"""
    for service in system.of("Service"):
        if not system.selected({"matchLabels": service["spec"]["selector"]}):
            yield name_of(service), f"its selector takes no pod: {service['spec']['selector']}"


@rule
def service_ports(system):
    """a Service's ports are ports of the containers behind it"""
    for service in system.of("Service"):
        for pod in system.selected({"matchLabels": service["spec"]["selector"]}):
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if not has_port(pod.ports(), target):
                    yield name_of(service), f"{name_of(pod.workload)} has no port {target}"


def backends(ingress):
    for entry in ingress["spec"].get("rules", []):
        for path in entry["http"]["paths"]:
            yield path["backend"]["service"]


@rule
def ingress_backends(system):
    """an Ingress leads to Services that are there, at ports that they have"""
    for ingress in system.of("Ingress"):
        for backend in backends(ingress):
            service = system.find("Service", backend["name"])
            port = backend["port"].get("name", backend["port"].get("number"))
            if not service:
                yield name_of(ingress), f"there is no Service {backend['name']}"
            elif not any(port in (each.get("name"), each["port"]) for each in service["spec"]["ports"]):
                yield name_of(ingress), f"Service/{backend['name']} has no port {port}"


@rule
def ingress_tls(system):
    """a host with a certificate has a rule"""
    for ingress in system.of("Ingress"):
        hosts = [entry.get("host") for entry in ingress["spec"].get("rules", [])]
        for host in [host for tls in ingress["spec"].get("tls", []) for host in tls["hosts"]]:
            if host not in hosts:
                yield name_of(ingress), f"the certificate is for {host}, which has no rule"


@rule
def volume_mounts(system):
    """each mount has a volume, each volume a mount, and no two mounts are at one place"""
    for pod in system.pods():
        claims = [claim["metadata"]["name"] for claim in pod.workload["spec"].get("volumeClaimTemplates", [])]
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | set(claims)
        mounted = set()
        for container in pod.containers():
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            mounted |= {mount["name"] for mount in container.get("volumeMounts", [])}
            for path in sorted({path for path in paths if paths.count(path) > 1}):
                yield name_of(pod.workload), f"two volumes are mounted at {path}"
        for name in sorted(mounted - volumes):
            yield name_of(pod.workload), f"mounts the volume {name}, which is not there"
        for name in sorted(volumes - mounted):
            yield name_of(pod.workload), f"has the volume {name}, which nothing mounts"


def sources(pod):
    """(kind, name, keys or None for all, optional) of each ConfigMap and Secret that the pod names."""
    for volume in pod.spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
                if field in source:
                    given = source[field]
                    keys = [item["key"] for item in given["items"]] if "items" in given else None
                    yield kind, given.get("name") or given.get("secretName"), keys, given.get("optional", False)
    for container in pod.containers():
        for source in container.get("envFrom", []):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if field in source:
                    yield kind, source[field]["name"], None, source[field].get("optional", False)
        for variable in container.get("env", []):
            for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                given = variable.get("valueFrom", {}).get(field)
                if given:
                    yield kind, given["name"], [given["key"]], given.get("optional", False)


@rule
def config_and_secrets(system):
    """each ConfigMap and Secret that a pod names is there"""
    for pod in system.pods():
        for kind, name, _, _ in sources(pod):
            if not system.find(kind, name):
                yield name_of(pod.workload), f"there is no {kind} {name}"


@rule
def config_and_secret_keys(system):
    """so is each key that is named"""
    for pod in system.pods():
        for kind, name, keys, _ in sources(pod):
            there = system.find(kind, name)
            for key in keys or []:
                if there and key not in contents(there):
                    yield name_of(pod.workload), f"{kind}/{name} has no key {key}"


@rule
def in_use(system):
    """each Secret and ConfigMap is used by a pod"""
    used = {(kind, name) for pod in system.pods() for kind, name, _, _ in sources(pod)}
    for thing in system.of("Secret", "ConfigMap") + system.given:
        labels = thing["metadata"].get("labels", {})
        if (thing["kind"], thing["metadata"]["name"]) not in used and "grafana_dashboard" not in labels:
            yield name_of(thing), "is used by no pod"


@rule
def service_accounts(system):
    """each ServiceAccount that a pod names is there"""
    for pod in system.pods():
        account = pod.spec.get("serviceAccountName", "default")
        if not system.find("ServiceAccount", account):
            yield name_of(pod.workload), f"there is no ServiceAccount {account} (the default one is everybody's)"


@rule
def governing_service(system):
    """a StatefulSet's Service is there"""
    for thing in system.of("StatefulSet"):
        if not system.find("Service", thing["spec"]["serviceName"]):
            yield name_of(thing), f"there is no Service {thing['spec']['serviceName']}"


@rule
def scale_targets(system):
    """what is scaled is there, and has no number of replicas of its own, which each apply would put back"""
    for scaler in system.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        thing = system.find(target.get("kind", "Deployment"), target["name"])
        if not thing:
            yield name_of(scaler), f"there is no {target.get('kind', 'Deployment')} {target['name']}"
        elif "replicas" in thing["spec"]:
            yield name_of(scaler), f"{name_of(thing)} has replicas of its own"


@rule
def trigger_authentications(system):
    """a trigger's authentication is there, and so is the Secret that it reads"""
    for scaled in system.of("ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            name = trigger.get("authenticationRef", {}).get("name")
            if name and not system.find("TriggerAuthentication", name):
                yield name_of(scaled), f"there is no TriggerAuthentication {name}"
    for authentication in system.of("TriggerAuthentication"):
        for reference in authentication["spec"].get("secretTargetRef", []):
            secret = system.find("Secret", reference["name"])
            if not secret or reference["key"] not in contents(secret):
                yield name_of(authentication), f"there is no key {reference['key']} in a Secret {reference['name']}"


@rule
def budgets(system):
    """a PodDisruptionBudget is of pods that are there, and lets at least one of them go"""
    for budget in system.of("PodDisruptionBudget"):
        pods = system.selected(budget["spec"]["selector"])
        if not pods:
            yield name_of(budget), "its selector takes no pod"
        for pod in pods:
            if budget["spec"].get("maxUnavailable") in (0, "0%") or budget["spec"].get("minAvailable") in (
                    "100%", pod.workload["spec"].get("replicas", 1)):
                yield name_of(budget), f"no pod of {name_of(pod.workload)} may ever be evicted"


@rule
def every_budget(system):
    """each Deployment that serves has one"""
    for pod, _ in system.engines():
        if pod.workload["kind"] == "Deployment" and not any(
                matches(budget["spec"]["selector"], pod.labels) for budget in system.of("PodDisruptionBudget")):
            yield name_of(pod.workload), "no PodDisruptionBudget is of its pods"


def peers(policy):
    """(pod selector, ports) of each end of the traffic that a policy allows inside of its namespace."""
    for entry in policy["spec"].get("ingress", []):
        yield policy["spec"]["podSelector"], entry.get("ports", [])
        for peer in entry.get("from", []):
            yield peer.get("podSelector", {}), []
    for entry in policy["spec"].get("egress", []):
        for peer in entry.get("to", []):
            if "podSelector" in peer:
                yield peer["podSelector"], entry.get("ports", [])


@rule
def network_policies(system):
    """a NetworkPolicy is of pods that are there, and so are the pods that it names and their ports"""
    for policy in system.of("NetworkPolicy"):
        for selector, ports in [(policy["spec"]["podSelector"], []), *peers(policy)]:
            pods = system.selected(selector)
            if not pods:
                yield name_of(policy), f"the selector {selector} takes no pod"
            for port in ports:
                if "port" in port and not any(has_port(pod.ports(), port["port"]) for pod in pods):
                    yield name_of(policy), f"no pod of {selector} has a port {port['port']}"


@rule
def network_policy_of_each_service(system):
    """where traffic is refused by default, each Service's pods are let in to"""
    policies = system.of("NetworkPolicy")
    if not any(policy["spec"]["podSelector"] == {} for policy in policies):
        return
    for service in system.of("Service"):
        for pod in system.selected({"matchLabels": service["spec"]["selector"]}):
            for port in service["spec"]["ports"]:
                if not any(matches(policy["spec"]["podSelector"], pod.labels) and any(
                        has_port(pod.ports(), allowed.get("port")) and port.get("targetPort", port["port"]) == allowed.get("port")
                        for entry in policy["spec"].get("ingress", []) for allowed in entry.get("ports", [])) for policy in policies):
                    yield name_of(service), f"no NetworkPolicy lets anybody in to the port {port['name']} of {name_of(pod.workload)}"


@rule
def monitors(system):
    """a ServiceMonitor takes a Service, at ports that it has"""
    for monitor in system.of("ServiceMonitor"):
        services = [each for each in system.of("Service") if matches(monitor["spec"]["selector"], each["metadata"].get("labels", {}))]
        if not services:
            yield name_of(monitor), "its selector takes no Service"
        for service in services:
            for endpoint in monitor["spec"]["endpoints"]:
                if not any(port.get("name") == endpoint["port"] for port in service["spec"]["ports"]):
                    yield name_of(monitor), f"{name_of(service)} has no port {endpoint['port']}"


@rule
def probe_ports(system):
    """a probe asks a port that its container has"""
    for pod in system.pods():
        for container in pod.containers():
            ports = {(port.get("name"), port["containerPort"]) for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                asked = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                if asked is not None and not has_port(ports, asked):
                    yield name_of(pod.workload), f"its {kind} asks the port {asked}, which {container['name']} doesn't have"
