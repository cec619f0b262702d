"""RabbitMQ, MariaDB, a MongoDB server and an SMTP server for tests and the demo, on free ports of 127.0.0.1.

    python3 -B spec/servers start DIR [NAME...]     all without a name; DIR/env has AMQP_URL and the others
    python3 -B spec/servers stop DIR [NAME...]      also: kill (-9), freeze (SIGSTOP), thaw, restart (same ports, same data)
    python3 -B spec/servers run COMMAND...          with fresh ones, which are gone afterwards
    python3 -B spec/servers rabbitmqctl DIR WORD...
    python3 -B spec/servers scratch NAME            the engine's settings for a part of the servers that only NAME uses
    python3 -B spec/servers files NAME BUCKET       its files, and chunks without a file
    python3 -B spec/servers drop NAME

The names are rabbitmq, mariadb, mongodb, smtp. A server whose URL (AMQP_URL, MYSQL_URL, MONGODB_URL, SMTP_URL) is in the
environment is used instead of one started here.
"""
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import scratch
from certificates import Certificates
from mariadb import MariaDB
from mongodb import MongoDB
from rabbitmq import RabbitMQ
from server import Failed
from smtp import SMTP

KINDS = {"rabbitmq": (RabbitMQ, "AMQP_URL"), "mariadb": (MariaDB, "MYSQL_URL"), "mongodb": (MongoDB, "MONGODB_URL"),
         "smtp": (SMTP, "SMTP_URL")}
ACTIONS = ("stop", "kill", "freeze", "thaw", "restart")


def say(text):
    print(f"servers: {text}", file=sys.stderr, flush=True)


def without_password(url):
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def servers_of(directory, names):
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise Failed(f"there is no {', '.join(unknown)} (there are {', '.join(KINDS)})")
    certificates = Certificates(directory)
    return [KINDS[name][0](directory, certificates) for name in names or KINDS]


def start(directory, names):
    """Starts what the environment doesn't name already; all start side by side. Returns the variables of all."""
    directory = pathlib.Path(directory).resolve()
    servers = []
    for server in servers_of(directory, names):
        own = os.environ.get(KINDS[server.name][1])
        if own:
            say(f"{server.name}: {without_password(own)}, from the environment")
        else:
            servers.append(server)
    variables = {}
    for server in servers:
        server.start()
    for server in servers:
        ready(server)
        variables.update(server.url())
        say(f"{server.name}: {server.version()}, 127.0.0.1:{server.port}")
    if servers:
        variables.update(servers[0].certificates.url())
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        env = directory / "env"
        env.touch(mode=0o600)
        env.write_text("".join(lines))
    return variables


def ready(server):
    try:
        server.wait_ready()
    except Failed:
        say(f"the end of {server.log}:\n{server.log_end()}")
        raise


def act(action, directory, names):
    for server in servers_of(directory, names):
        if not server.state:
            continue
        if action == "restart":
            server.stop()
            server.start()
            ready(server)
        else:
            getattr(server, action)()


def run(command):
    """Runs a command with fresh servers; their directory stays when it fails."""
    directory = tempfile.mkdtemp(prefix="tidemill-servers-")
    status = 1
    try:
        status = subprocess.run(command, env={**os.environ, **start(directory, [])}).returncode
    finally:
        act("stop", directory, [])
        if status == 0:
            shutil.rmtree(directory)
        else:
            say(f"the logs are in {directory}")
    return status


def main(words):
    command, arguments = (words[0], words[1:]) if words else ("", [])
    if command == "run" and arguments:
        return run(arguments)
    if command == "start" and arguments:
        try:
            start(arguments[0], arguments[1:])
        except BaseException:
            act("stop", arguments[0], arguments[1:])
            raise
        return 0
    if command in ACTIONS and arguments:
        return act(command, arguments[0], arguments[1:])
    if command == "rabbitmqctl" and len(arguments) > 1:
        return servers_of(arguments[0], ["rabbitmq"])[0].control(*arguments[1:])
    if command == "scratch" and len(arguments) == 1:
        return print("\n".join(f"{name}={value}" for name, value in scratch.settings(arguments[0]).items()))
    if command == "files" and len(arguments) == 2:
        return print(*scratch.files(*arguments))
    if command == "drop" and len(arguments) == 1:
        return scratch.drop(arguments[0])
    print(__doc__, file=sys.stderr)
    return 2


def on_signal(number, frame):
    sys.exit(f"servers: ended by {signal.Signals(number).name}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGHUP, on_signal)
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as error:
        sys.exit(f"servers: {error}")
