"""Servers under load: each on a free port of loopback, in a session of its own, ended by pid."""
import contextlib
import http.client
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
PEERS = BUILD / "bench"
ENGINE = BUILD / "tidemill"
UNGUARDED = BUILD / "unguarded/tidemill"  # core/base/guards.h
PYTHON = PEERS / "venv/bin/python"
SECRET = "a secret of the benchmarks alone, 32 bytes or more"
USER, PASSWORD = "georgio@email.com", "Admin123"  # what `tidemill run --dev` makes
START_TIMEOUT = 30  # seconds


class Failed(Exception):
    """A measurement that can't be made; the message says why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def work_directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=PEERS))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def pinned(command, cpu):
    """The command on one CPU alone; unchanged for None or where there is only one."""
    if cpu is None or os.cpu_count() == 1:
        return command
    return ["taskset", "-c", str(cpu), *command]


def answers(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def wait_ready(process, port, path, log, pause=0.01):
    deadline = time.monotonic() + START_TIMEOUT
    while not answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-2000:]
            raise Failed(f"{process.args[-1]} did not become ready; the end of its log:\n{end}")
        time.sleep(pause)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running(command, env, log):
    """The process of a server, ended whatever happens. What the caller's own installation sets is kept out."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")}
    with open(log, "ab") as out:
        process = subprocess.Popen([str(word) for word in command], env={**clean, **env}, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        stop(process)


class Server:
    def __init__(self, process, port):
        self.process, self.port = process, port
        self.pid = process.pid
        self.url = f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def engine(work, *options, workers=None, cpu=None, scripts=None, pause=0.01, env=None, ready="/readyz", binary=ENGINE):
    """tidemill run. `url` is the gateway's; with `scripts` it runs these bundles instead, each in `urls`."""
    own = env or {}
    bundles = [path.name for path in sorted(scripts.iterdir())] if scripts else ["gateway", "auth"]
    ports = {name: free_port() for name in [*bundles, "admin"]}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    env = {f"TIDEMILL_LISTEN_{name.upper()}": f"127.0.0.1:{port}" for name, port in ports.items()}
    env["TIDEMILL_DATA"] = str(work / "data")
    env.update(own)
    if scripts:
        (work / "tidemill.lua").write_text("return {}\n")
        options = (*options, "--config", work / "tidemill.lua", "--scripts", scripts)
    else:
        env["TIDEMILL_AUTH_JWT_SECRET"] = SECRET
        env["TIDEMILL_GATEWAY_AUTH_URL"] = urls["auth"]
    if workers:
        options = (*options, "--workers", workers)
    log = work / "engine.log"
    with running(pinned([binary, "run", *options], cpu), env, log) as process:
        wait_ready(process, ports["admin"], ready, log, pause)
        server = Server(process, ports[bundles[0]])
        server.urls, server.log, server.data = urls, log, work / "data"
        yield server


@contextlib.contextmanager
def gunicorn(work, *options, workers=1, cpu=None, pause=0.01):
    port = free_port()
    log = work / "gunicorn.log"
    env = {"BENCH_JWT_SECRET": SECRET, "BENCH_STORE": str(work)}
    command = [PYTHON, "-m", "gunicorn", "--workers", workers, "--bind", f"127.0.0.1:{port}", "--chdir", HERE / "peers",
               *options, "flask_app:app"]
    with running(pinned(command, cpu), env, log) as process:
        wait_ready(process, port, "/hello/ready", log, pause)
        yield Server(process, port)


@contextlib.contextmanager
def mariadb(work, cpu=None):
    """The URL of the database that spec/servers/auth.sql makes. Its pool of threads takes a third less of its CPU, which would
    else be what is measured."""
    servers, directory = [sys.executable, "-B", HERE.parent / "servers"], work / "mariadb"
    env = {k: v for k, v in os.environ.items() if k != "MYSQL_URL"} | {"MARIADB_OPTIONS": "--thread-handling=pool-of-threads"}
    subprocess.run(pinned([*map(str, servers), "start", str(directory), "mariadb"], cpu), check=True, env=env, timeout=60)
    try:
        yield re.search(r"^export MYSQL_AUTH_URL=(\S+)$", (directory / "env").read_text(), re.MULTILINE)[1].strip("'")
    finally:
        subprocess.run([*servers, "stop", directory], check=True, env=env, timeout=60)


NGINX_ROOT = PEERS / "nginx"
NGINX_ENV = {"LD_LIBRARY_PATH": str(NGINX_ROOT / f"usr/lib/{platform.machine()}-linux-gnu")}


def nginx_command(work, port):
    """nginx with the configuration of the benchmarks, which is written into `work`."""
    text = (HERE / "peers/nginx.conf").read_text()
    for name, value in {"root": NGINX_ROOT, "work": work, "port": port, "arch": platform.machine() + "-linux-gnu"}.items():
        text = text.replace(f"@{name}@", str(value))
    (work / "nginx.conf").write_text(text)
    return [NGINX_ROOT / "usr/sbin/nginx", "-e", work / "error.log", "-p", work, "-c", work / "nginx.conf"]


@contextlib.contextmanager
def nginx(work, cpu=None):
    port = free_port()
    with running(pinned(nginx_command(work, port), cpu), NGINX_ENV, work / "error.log") as process:
        wait_ready(process, port, "/hello/ready", work / "error.log")
        yield Server(process, port)
