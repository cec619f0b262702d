"""A local nginx in the place of an ingress controller: the rules are those of the Ingress objects in the cluster."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from cluster import Failed, wait_for

PREFIX = "nginx.ingress.kubernetes.io/"
# An annotation, and the directive that ingress-nginx makes of it; a number is one of seconds.
DIRECTIVES = {"proxy-body-size": "client_max_body_size", "proxy-read-timeout": "proxy_read_timeout",
              "proxy-send-timeout": "proxy_send_timeout", "proxy-connect-timeout": "proxy_connect_timeout",
              "proxy-request-buffering": "proxy_request_buffering", "proxy-buffering": "proxy_buffering",
              "proxy-max-temp-file-size": "proxy_max_temp_file_size"}
# As ingress-nginx has them: connections to the pods are kept; what may be asked twice is asked again.
CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log {work}/access.log;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_next_upstream error timeout;
    server {{
        listen 127.0.0.1:{port} default_server;
        return 404;
    }}
{servers}}}
"""
UPSTREAM = """\
    upstream {service}-{port} {{
        server {address};
        keepalive 32;
    }}
"""
SERVER = """\
    server {{
        listen 127.0.0.1:{port};
        server_name {host};
        {directives}
{locations}    }}
"""
LOCATION = """\
        location {path} {{
            proxy_pass http://{service}-{service_port};
        }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(host, port):
    try:
        socket.create_connection((host, int(port)), 2).close()
        return True
    except OSError as error:
        raise Failed(str(error)) from None


def port_number(cluster, backend):
    port = backend["port"]
    if "number" in port:
        return port["number"]
    service = cluster.get("service", backend["name"])
    return next(found["port"] for found in service["spec"]["ports"] if found["name"] == port["name"])


def node_address(cluster):
    addresses = {address["type"]: address["address"] for address in cluster.items("nodes")[0]["status"]["addresses"]}
    return addresses["InternalIP"]


def node_port(cluster, name, port):
    """The port of the nodes by which the Service is reached from here: a Service of our own makes one."""
    spec = cluster.get("service", name)["spec"]
    target = next(found for found in spec["ports"] if found["port"] == port)
    own = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"drill-{name}-{port}"},
           "spec": {"type": "NodePort", "selector": spec["selector"],
                    "ports": [{"port": port, "targetPort": target["targetPort"], "protocol": "TCP"}]}}
    return cluster.apply(own)["spec"]["ports"][0]["nodePort"]


def directives_of(ingress):
    lines = []
    for name, value in ingress["metadata"].get("annotations", {}).items():
        directive = DIRECTIVES.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
        if directive:
            lines.append(f"{directive} {value}{'s' if directive.endswith('timeout') else ''};")
        elif name.startswith(PREFIX):
            raise Failed(f"ingress {ingress['metadata']['name']}: k8s/drill/proxy.py doesn't know the annotation {name}")
    return lines


class Proxy:
    def __init__(self, directory, nginx):
        self.directory, self.nginx, self.port, self.process = pathlib.Path(directory), nginx, free_port(), None

    def configure(self, cluster):
        """Returns the hosts."""
        upstreams, servers = {}, {}
        address = node_address(cluster)
        for ingress in cluster.items("ingress"):
            for rule in ingress["spec"]["rules"]:
                locations = ""
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]
                    number = port_number(cluster, service)
                    if (service["name"], number) not in upstreams:
                        upstreams[service["name"], number] = f"{address}:{node_port(cluster, service['name'], number)}"
                    locations += LOCATION.format(path=path["path"], service=service["name"], service_port=number)
                servers[rule["host"]] = SERVER.format(port=self.port, host=rule["host"], locations=locations,
                                                      directives="\n        ".join(directives_of(ingress)))
        for to in upstreams.values():
            wait_for(f"{to}, a Service's port of the node", 60, lambda: answers(*to.split(":")))
        text = "".join(UPSTREAM.format(service=name, port=port, address=to) for (name, port), to in upstreams.items())
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "nginx.conf").write_text(
            CONFIGURATION.format(work=self.directory, port=self.port, servers=text + "".join(servers.values())))
        return list(servers)

    def start(self):
        log = open(self.directory / "error.log", "ab")
        self.process = subprocess.Popen([self.nginx, "-e", str(self.directory / "error.log"), "-p", str(self.directory),
                                         "-c", str(self.directory / "nginx.conf")], stdout=log, stderr=log)
        wait_for(f"nginx ({self.directory / 'error.log'})", 10, lambda: answers("127.0.0.1", self.port), pause=0.05)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)


def find_nginx(build):
    """Of the PATH, or unpacked by k8s/drill/install."""
    found = shutil.which("nginx", path=f"{build}/drill/nginx/usr/sbin:{os.environ['PATH']}:/usr/sbin")
    if not found:
        raise Failed("there is no nginx (k8s/drill/install brings one)")
    return found
