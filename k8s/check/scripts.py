"""The bundles: how they get from scripts/ into the pods, and whether they fit."""
from rules import rule
from system import contents, name_of

LIMIT = 1 << 20  # bytes of a ConfigMap, by the API server
MOUNT = "/etc/tidemill/scripts"


def scripts_of(pod):
    """(ConfigMap's name, its volume, its mount) of each bundle that is mounted."""
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for container in pod.containers():
        for mount in container.get("volumeMounts", []):
            if mount["mountPath"].startswith(MOUNT) and "configMap" in volumes.get(mount["name"], {}):
                yield volumes[mount["name"]]["configMap"]["name"], volumes[mount["name"]], mount


@rule
def bundle_mounted(system):
    """the bundle that a pod runs is mounted there"""
    for pod, bundle in system.engines():
        if f"{MOUNT}/{bundle}" not in [mount["mountPath"] for _, _, mount in scripts_of(pod)]:
            yield name_of(pod.workload), f"nothing is mounted at {MOUNT}/{bundle}"


@rule
def no_sub_path(system):
    """scripts are mounted as directories: what is mounted with subPath never changes"""
    for pod, _ in system.engines():
        for container in pod.containers():
            for mount in container.get("volumeMounts", []):
                if mount["mountPath"].startswith(MOUNT) and ("subPath" in mount or "subPathExpr" in mount):
                    yield name_of(pod.workload), f"{mount['mountPath']} has a subPath"


@rule
def all_keys(system):
    """where a bundle's keys get their paths one by one, each one does"""
    for pod, _ in system.engines():
        for name, volume, _ in scripts_of(pod):
            items = volume["configMap"].get("items")
            there = system.find("ConfigMap", name)
            missing = set(contents(there)) - {item["key"] for item in items} if items and there else set()
            if missing:
                yield name_of(pod.workload), f"the keys {', '.join(sorted(missing))} of {name} reach no file"


@rule
def fits(system):
    """a ConfigMap or Secret fits into what the API server keeps of one"""
    for thing in system.of("ConfigMap", "Secret"):
        size = sum(len(key) + len(value) for key, value in contents(thing).items())
        if size > LIMIT:
            yield name_of(thing), f"has {size} bytes; {LIMIT} is the most"


@rule
def way_of_change(system):
    """rollout gives the bundles' ConfigMaps names with a hash, everything else names that stay"""
    for pod, bundle in system.engines():
        for name, _, _ in scripts_of(pod):
            stays = name == f"{bundle}-scripts" or name == "lib-scripts"
            if stays == system.name.endswith("/rollout"):
                yield name_of(pod.workload), f"mounts {name}, whose name {'stays' if stays else 'changes with its content'}"
