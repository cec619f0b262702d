"""A server of one's own for tests: its program on free ports of 127.0.0.1, its data and log in one directory.

What is needed to find it again (ports, passwords, process) is in the directory's state.json, so any process can stop,
kill, freeze or restart it, on the same ports with the same data.
"""
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(__file__).resolve().parents[2] / os.environ.get("BUILD", "build") / "servers"  # spec/servers/install


class Failed(Exception):
    """A server that could not be started or reached; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started_at(pid):
    """When a process started, in ticks since boot; None when there is none. A pid alone may be another's by now."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def signal_process(process, number):
    """Sends a signal to a process (pid, start) and its group, where it is still that process."""
    if process and started_at(process[0]) == process[1]:
        os.killpg(process[0], number)


def wait_for_end(process, seconds):
    end = time.monotonic() + seconds
    while process and started_at(process[0]) == process[1]:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Server:
    name = ""  # also its directory's
    ports = ("port",)
    patience = 60  # seconds until it must be ready

    def __init__(self, directory, certificates):
        self.directory = pathlib.Path(directory, self.name)
        self.certificates = certificates
        self.state_file = self.directory / "state.json"
        self.log = self.directory / "log"
        self.state = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}

    def __getattr__(self, name):
        try:
            return self.__dict__["state"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name}") from None

    def save(self):
        draft = self.state_file.with_suffix(".new")
        draft.write_text(json.dumps(self.state))
        draft.replace(self.state_file)

    def create(self):
        """Chooses ports and password, and makes the data directory."""
        self.directory.mkdir(parents=True)
        self.directory.chmod(0o700)
        self.state = {port: free_port() for port in self.ports}
        self.state["password"] = secrets.token_hex(8)
        self.save()
        self.prepare()

    def prepare(self):
        """What is done once, before the first start."""

    def command(self):
        """The program and its arguments, with the environment's additions."""
        raise NotImplementedError

    def probe(self):
        """Raises OSError or Failed while it isn't ready."""
        raise NotImplementedError

    def url(self):
        """The variables by which tests find it."""
        raise NotImplementedError

    def version(self):
        """Which program stands behind it, in a few words."""
        raise NotImplementedError

    def spawn(self, key="process", command=None):
        """Starts it in a session of its own, so that a signal to its group reaches all of it and no one else."""
        words, environment = command or self.command()
        with open(self.log, "ab") as log:
            child = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, cwd=self.directory, env={**os.environ, **environment})
        self.state[key] = [child.pid, started_at(child.pid)]
        self.save()

    def start(self):
        if not self.state:
            self.create()
        if not self.is_running():
            self.spawn()

    def is_running(self):
        process = self.state.get("process")
        return bool(process) and started_at(process[0]) == process[1]

    def wait_ready(self):
        end = time.monotonic() + self.patience
        while True:
            try:
                return self.probe()
            except (OSError, Failed) as error:
                if not self.is_running():
                    raise Failed(f"{self.name} ended before it was ready") from error
                if time.monotonic() > end:
                    raise Failed(f"{self.name} was not ready within {self.patience} s: {error}") from error
            time.sleep(0.05)

    def stop(self):
        """Ends it as its manual says, after 20 s without mercy."""
        self.thaw()
        self.signal(signal.SIGTERM)
        if not wait_for_end(self.state.get("process"), 20):
            self.kill()

    def kill(self):
        self.signal(signal.SIGKILL)
        wait_for_end(self.state.get("process"), 5)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        signal_process(self.state.get("process"), number)

    def connect(self, port=None, seconds=2):
        return socket.create_connection(("127.0.0.1", port or self.port), seconds)

    def log_end(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
