"""The Pod Security Standard "restricted", field by field (https://kubernetes.io/docs/concepts/security/pod-security-standards/, 1.34), and what
these manifests promise beyond it. A rule here is a control there, of the profile baseline first."""
from rules import rule
from system import name_of

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
           "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
           "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def contexts(pod):
    """Each securityContext with where it is, the pod's first."""
    yield "the pod", pod.spec.get("securityContext", {})
    for container in pod.containers():
        yield f"the container {container['name']}", container.get("securityContext", {})


def each_container(system):
    for pod in system.pods():
        for container in pod.containers():
            yield pod, container, container.get("securityContext", {})


def each_context(system):
    for pod in system.pods():
        for where, context in contexts(pod):
            yield pod, where, context


def handlers(container):
    """What the kubelet calls: probes and hooks."""
    hooks = container.get("lifecycle", {})
    return [container[probe] for probe in PROBES if probe in container] + list(hooks.values())


@rule
def host_process(system):
    """no container is a HostProcess of Windows"""
    for pod, where, context in each_context(system):
        if context.get("windowsOptions", {}).get("hostProcess"):
            yield name_of(pod.workload), f"{where} is a HostProcess"


@rule
def host_namespaces(system):
    """no pod shares its node's network, processes or IPC"""
    for pod in system.pods():
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(field):
                yield name_of(pod.workload), f"{field} is true"


@rule
def privileged(system):
    """no container is privileged"""
    for pod, container, context in each_container(system):
        if context.get("privileged"):
            yield name_of(pod.workload), f"{container['name']} is privileged"


@rule
def capabilities(system):
    """each container drops ALL capabilities, and adds none but NET_BIND_SERVICE"""
    for pod, container, context in each_container(system):
        given = context.get("capabilities", {})
        if "ALL" not in given.get("drop", []):
            yield name_of(pod.workload), f"{container['name']} doesn't drop ALL capabilities"
        if set(given.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield name_of(pod.workload), f"{container['name']} adds {', '.join(given['add'])}"


@rule
def volume_types(system):
    """volumes are of the types that need nothing of the node (no hostPath)"""
    for pod in system.pods():
        for volume in pod.spec.get("volumes", []):
            for kind in set(volume) - {"name"} - VOLUMES:
                yield name_of(pod.workload), f"the volume {volume['name']} is a {kind}"


@rule
def host_ports(system):
    """no container takes a port of its node"""
    for pod, container, _ in each_container(system):
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield name_of(pod.workload), f"{container['name']} takes the node's port {port['hostPort']}"


@rule
def probe_hosts(system):
    """no probe or hook asks another host"""
    for pod, container, _ in each_container(system):
        for handler in handlers(container):
            for kind in ("httpGet", "tcpSocket"):
                if handler.get(kind, {}).get("host"):
                    yield name_of(pod.workload), f"{container['name']}: a probe or hook asks {handler[kind]['host']}"


@rule
def app_armor(system):
    """no AppArmor profile is switched off"""
    for pod, where, context in each_context(system):
        if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
            yield name_of(pod.workload), f"{where} is without AppArmor"
    for pod in system.pods():
        annotations = pod.workload["spec"]["template"]["metadata"].get("annotations", {})
        for key, value in annotations.items():
            if key.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
                    value == "runtime/default" or value.startswith("localhost/")):
                yield name_of(pod.workload), f"{key} is {value}"


@rule
def se_linux(system):
    """SELinux's user and role are left alone, its type is a container's"""
    for pod, where, context in each_context(system):
        options = context.get("seLinuxOptions", {})
        if options.get("type") not in SELINUX or options.get("user") or options.get("role"):
            yield name_of(pod.workload), f"{where} sets {options}"


@rule
def proc_mount(system):
    """/proc is masked"""
    for pod, container, context in each_container(system):
        if context.get("procMount", "Default") != "Default":
            yield name_of(pod.workload), f"{container['name']} has procMount {context['procMount']}"


@rule
def seccomp(system):
    """seccomp is on, of the pod or of each container, and nowhere off"""
    for pod in system.pods():
        of_pod = pod.spec.get("securityContext", {}).get("seccompProfile", {}).get("type")
        for where, context in contexts(pod):
            kind = context.get("seccompProfile", {}).get("type", of_pod)
            if where != "the pod" and kind not in ("RuntimeDefault", "Localhost"):
                yield name_of(pod.workload), f"{where} has the seccomp profile {kind}"


@rule
def sysctls(system):
    """sysctls are the safe ones"""
    for pod in system.pods():
        for sysctl in pod.spec.get("securityContext", {}).get("sysctls", []):
            if sysctl["name"] not in SYSCTLS:
                yield name_of(pod.workload), f"sets {sysctl['name']}"


@rule
def privilege_escalation(system):
    """no container may gain privileges"""
    for pod, container, context in each_container(system):
        if context.get("allowPrivilegeEscalation") is not False:
            yield name_of(pod.workload), f"{container['name']}: allowPrivilegeEscalation is not false"


@rule
def run_as_non_root(system):
    """each container runs as somebody else than root, and says so"""
    for pod in system.pods():
        of_pod = pod.spec.get("securityContext", {}).get("runAsNonRoot")
        for container in pod.containers():
            if container.get("securityContext", {}).get("runAsNonRoot", of_pod) is not True:
                yield name_of(pod.workload), f"{container['name']}: runAsNonRoot is not true"


@rule
def run_as_user(system):
    """by a number that is not 0"""
    for pod in system.pods():
        users = [context.get("runAsUser") for _, context in contexts(pod)]
        if 0 in users or not any(users):
            yield name_of(pod.workload), "runAsUser is 0 or nowhere given"


# ---- beyond the standard ----

@rule
def enforced(system):
    """the namespace enforces it"""
    for namespace in system.of("Namespace"):
        if namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield name_of(namespace), "doesn't enforce restricted"


@rule
def read_only_root(system):
    """the root file system is read-only"""
    for pod, container, context in each_container(system):
        if context.get("readOnlyRootFilesystem") is not True:
            yield name_of(pod.workload), f"{container['name']} may write to its root"


@rule
def no_token(system):
    """no pod has a token of the API server"""
    for pod in system.pods():
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield name_of(pod.workload), "automountServiceAccountToken is not false"


@rule
def secrets_in_files(system):
    """a Secret is a file, never a variable"""
    for pod, container, _ in each_container(system):
        from_secret = [each["name"] for each in container.get("env", []) if "secretKeyRef" in each.get("valueFrom", {})]
        from_secret += [each["secretRef"]["name"] for each in container.get("envFrom", []) if "secretRef" in each]
        for name in from_secret:
            yield name_of(pod.workload), f"{container['name']} has a Secret in its environment: {name}"


@rule
def resources(system):
    """each container asks for CPU and memory, and its memory is limited; what it writes outside of volumes that last, too"""
    for pod, container, _ in each_container(system):
        given = container.get("resources", {})
        for kind, what in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if what not in given.get(kind, {}):
                yield name_of(pod.workload), f"{container['name']} has no {kind}.{what}"
    for pod in system.pods():
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield name_of(pod.workload), f"the emptyDir {volume['name']} has no sizeLimit"


@rule
def images(system):
    """each image has a version, and all that run bundles have the same"""
    engines = sorted({container["image"] for pod, _ in system.engines() for container in pod.containers()})
    if len(engines) != 1:
        yield "images", f"the engine is of several: {', '.join(engines)}"
    for pod, container, _ in each_container(system):
        tag = container["image"].rpartition("/")[2].partition("@")[0].partition(":")[2]
        if "@sha256:" not in container["image"] and tag in ("", "latest"):
            yield name_of(pod.workload), f"{container['image']} has no version"
