"""The four services, each as a Python program of spec/interop/python or as a bundle of the engine, on servers that run."""
import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
PYTHON = BUILD / "interop/venv/bin/python"
PROGRAMS = pathlib.Path(__file__).with_name("python")
SERVICES = ("auth", "gateway", "converter", "notification")
USER, PASSWORD = "georgio@email.com", "Admin123"  # of the README's SQL script
START_TIMEOUT = 60  # seconds


class Failed(Exception):
    """What didn't come as it should; the text says why."""


@dataclasses.dataclass
class Backends:
    """URLs of the servers."""
    amqp: str
    mongodb: str
    mysql: str
    smtp: str


@dataclasses.dataclass
class System:
    gateway: str  # URL
    processes: list  # Popen, of the Python programs and the engine
    log: pathlib.Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code != 503
    except OSError:
        return False
    return True


def wait_until(true, process, log):
    end = time.monotonic() + START_TIMEOUT
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"{' '.join(process.args[:4])}: not ready; the end of {log}:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(command, environment, log):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    with open(log, "ab") as out:
        process = subprocess.Popen([str(word) for word in command], env={**clean, **environment}, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, cwd=ROOT, start_new_session=True)
    try:
        yield process
    finally:
        end(process)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def program(name, ports, backends, directory):
    """A service in Python."""
    environment = {"AMQP_URL": backends.amqp, "MONGODB_URL": backends.mongodb, "MYSQL_URL": backends.mysql,
                   "SMTP_URL": backends.smtp, "AUTH_URL": f"http://127.0.0.1:{ports['auth']}",
                   "JWT_SECRET": "of the Python auth alone, 32 bytes or more", "TMPDIR": str(directory)}
    log = directory / f"{name}.log"
    with running([PYTHON, "-B", PROGRAMS / f"{name}.py", ports.get(name, "")], environment, log) as process:
        if name in ports:
            wait_until(lambda: answers(f"http://127.0.0.1:{ports[name]}/"), process, log)
        else:
            wait_until(lambda: "ready\n" in log.read_text(), process, log)
        yield process


def engine_settings(bundles, ports, backends, directory):
    settings = {"DATA": directory / "data", "BUNDLES": ",".join(bundles), "LISTEN_ADMIN": f"127.0.0.1:{ports['admin']}"}
    if "auth" in bundles:
        settings["SQL"] = backends.mysql
    if bundles - {"auth"}:
        settings |= {"QUEUE": backends.amqp, "BLOB": backends.mongodb}
    for name in bundles:
        if name in ports:
            settings[f"LISTEN_{name.upper()}"] = f"127.0.0.1:{ports[name]}"
    if "gateway" in bundles:
        settings["GATEWAY_AUTH_URL"] = f"http://127.0.0.1:{ports['auth']}"
    if "notification" in bundles:
        settings |= {"MAIL": f"{backends.smtp}?tls=required&cacert={os.environ['SERVERS_CA']}",
                     "MAIL_FROM": "tidemill@localhost.localdomain",
                     "NOTIFICATION_DOWNLOAD_URL": f"http://127.0.0.1:{ports['gateway']}/download"}
    return {f"TIDEMILL_{name}": str(value) for name, value in settings.items()}


@contextlib.contextmanager
def engine(bundles, ports, backends, directory):
    log = directory / "engine.log"
    environment = engine_settings(bundles, ports, backends, directory)
    with running([BUILD / "tidemill", "run"], environment, log) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{ports['admin']}/readyz"), process, log)
        if "auth" in bundles and "gateway" not in bundles:
            make_admin(environment)
        yield process


def make_admin(environment):
    """The Python gateway lets only admins in."""
    done = subprocess.run([BUILD / "tidemill", "user", "role", USER, "admin", "on"], env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(f"tidemill user role: {done.stderr}")


@contextlib.contextmanager
def system(ours, backends, directory, copies=None):
    """All four; `ours` are the engine's, the others Python programs, one process each or as many as `copies` says."""
    ports = {name: free_port() for name in ("auth", "gateway", "admin")}
    directory = pathlib.Path(directory)
    with contextlib.ExitStack() as stack:
        processes = []
        # The engine first: it declares its queues as it wants them, and the programs take queues as they are.
        if ours:
            processes.append(stack.enter_context(engine(ours, ports, backends, directory)))
        for name in SERVICES:
            for _ in range(0 if name in ours else (copies or {}).get(name, 1)):
                processes.append(stack.enter_context(program(name, ports, backends, directory)))
        yield System(f"http://127.0.0.1:{ports['gateway']}", processes, directory)


@contextlib.contextmanager
def work_directory():
    with tempfile.TemporaryDirectory(prefix="tidemill-interop-") as path:
        yield pathlib.Path(path)
