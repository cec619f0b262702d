"""RabbitMQ with its management page, and the epmd that its Erlang needs."""
import os
import pathlib
import re
import signal
import subprocess

from server import BUILD, Failed, Server, signal_process, wait_for_end

UNPACKED = BUILD / "root"


def root():
    """Where the package is: installed, or unpacked by spec/servers/install."""
    for place in (pathlib.Path("/"), UNPACKED):
        if (place / "usr/lib/rabbitmq/bin/rabbitmq-server").exists():
            return place
    raise Failed("there is no RabbitMQ (make servers brings one); AMQP_URL names one that runs elsewhere")


def program(name):
    return root() / "usr/lib/rabbitmq/bin" / name


class RabbitMQ(Server):
    name = "rabbitmq"
    ports = ("port", "tls_port", "management_port", "distribution_port", "epmd_port")
    patience = 120

    def prepare(self):
        ca, certificate, key = self.certificates.files()
        (self.directory / "rabbitmq.conf").write_text(f"""\
listeners.tcp.1 = 127.0.0.1:{self.port}
listeners.ssl.1 = 127.0.0.1:{self.tls_port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
management.tcp.ip = 127.0.0.1
management.tcp.port = {self.management_port}
default_user = tidemill
default_pass = {self.password}
log.console = true
log.console.level = info
log.file = false
""")
        (self.directory / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def environment(self):
        erlang = root() / "usr/lib/erlang/bin"
        return {"HOME": str(self.directory), "PATH": f"{erlang}:{os.environ['PATH']}",
                "RABBITMQ_NODENAME": f"tidemill{self.port}@localhost",
                "RABBITMQ_MNESIA_BASE": str(self.directory / "data"), "RABBITMQ_LOG_BASE": str(self.directory),
                "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
                "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_ADVANCED_CONFIG_FILE": "/dev/null/none",
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
                "RABBITMQ_DIST_PORT": str(self.distribution_port), "ERL_EPMD_PORT": str(self.epmd_port),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                # Without these its schedulers spin for a while before they sleep.
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                    "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"}

    def command(self):
        # This word makes its script become the server instead of staying in front of it, so that the pid is the server's.
        return [program("rabbitmq-server")], {**self.environment(), "RUNNING_UNDER_SYSTEMD": "true"}

    def start(self):
        """Erlang would start an epmd that outlives it; ours is there first, and stop() knows its pid."""
        if not self.state:
            self.create()
        self.spawn_epmd()
        super().start()

    def spawn_epmd(self):
        try:
            self.connect(self.epmd_port).close()
        except OSError:
            self.spawn("epmd", (["epmd", "-port", self.epmd_port, "-address", "127.0.0.1"], self.environment()))

    def stop(self):
        super().stop()
        signal_process(self.state.get("epmd"), signal.SIGTERM)
        wait_for_end(self.state.get("epmd"), 5)

    def probe(self):
        with self.connect() as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            if connection.recv(1) != b"\x01":
                raise Failed("no answer in AMQP")

    def control(self, *words):
        """rabbitmqctl on this server."""
        return subprocess.run([program("rabbitmqctl"), *words], env={**os.environ, **self.environment()}).returncode

    def url(self):
        user = f"tidemill:{self.password}@127.0.0.1"
        return {"AMQP_URL": f"amqp://{user}:{self.port}", "AMQPS_URL": f"amqps://{user}:{self.tls_port}",
                "RABBITMQ_MANAGEMENT_URL": f"http://{user}:{self.management_port}"}

    def version(self):
        found = re.search(r"Starting RabbitMQ (\S+) on Erlang (\S+)", self.log.read_text(errors="replace"))
        return f"RabbitMQ {found[1]}, Erlang {found[2]}" if found else "RabbitMQ"
