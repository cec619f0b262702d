"""An engine of some bundles, as one more server: a supervisor with its workers, on the servers of the run."""
import json
import os
import pathlib
import signal
import time
import urllib.request

from server import Failed, Server, started_at, wait_for_end

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / os.environ.get("BUILD", "build") / "tidemill"


class Engine(Server):
    ports = ("gateway_port", "auth_port", "admin_port")
    patience = 120

    def __init__(self, directory, name, bundles, settings):
        self.name, self.bundles, self.settings = name, bundles, settings
        super().__init__(directory, None)

    def command(self):
        environment = {"TIDEMILL_SCRIPTS": str(ROOT / "scripts"), "TIDEMILL_DATA": str(self.directory / "data"), "TIDEMILL_WORKERS": "2",
                       "TIDEMILL_LISTEN_ADMIN": f"127.0.0.1:{self.admin_port}",
                       "TIDEMILL_GRACE": "10s", **self.settings}
        words = [BINARY, "run"]
        for bundle in self.bundles:
            words += ["--bundle", bundle]
        if "gateway" in self.bundles:
            environment |= {"TIDEMILL_LISTEN_GATEWAY": f"127.0.0.1:{self.gateway_port}",
                            "TIDEMILL_LISTEN_AUTH": f"127.0.0.1:{self.auth_port}",
                            "TIDEMILL_GATEWAY_AUTH_URL": f"http://127.0.0.1:{self.auth_port}"}
            if not (self.directory / "data").exists():
                words.append("--dev")  # makes the user, once
        return words, environment

    def probe(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2):
                pass
        except urllib.error.HTTPError as error:
            raise Failed(f"readyz: {error.read().decode(errors='replace')[:200]}") from error

    def workers(self):
        """Their pids, of the running supervisor."""
        children = []
        for task in pathlib.Path(f"/proc/{self.state['process'][0]}/task").glob("*/children"):
            children += task.read_text().split()
        return [int(pid) for pid in children if started_at(int(pid))]

    def kill(self):
        """The supervisor alone: its workers have to end by themselves."""
        if self.is_running():
            os.kill(self.state["process"][0], signal.SIGKILL)
        wait_for_end(self.state.get("process"), 5)

    def freeze(self):
        os.kill(self.state["process"][0], signal.SIGSTOP)

    def thaw(self):
        if self.is_running():
            os.kill(self.state["process"][0], signal.SIGCONT)
