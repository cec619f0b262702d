"""Messages through a Lua route's handler and a Lua consumer, one worker, 50 at a time, against librabbitmq in C with the same
window, and against pika. 50 handlers run side by side, each publishes PER_REQUEST messages, one after the other was confirmed.
The same durable quorum queues on the same RabbitMQ, which shares the CPUs with all of them."""
import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request

from measure import Row, median, ratio, rounds, wrk
from servers import HERE, PYTHON, Failed, engine, work_directory

ROUNDS, SECONDS, MESSAGES, WINDOW, PER_REQUEST = 5, 4, 30000, 50, 25
SERVERS = [sys.executable, "-B", HERE.parent / "servers"]


@contextlib.contextmanager
def rabbitmq(work):
    """The URL of AMQP_URL, or of one started here."""
    if "AMQP_URL" in os.environ:
        yield os.environ["AMQP_URL"]
        return
    directory = work / "servers"
    directory.mkdir()
    subprocess.run([*SERVERS, "start", directory, "rabbitmq"], check=True, timeout=180)
    try:
        line = re.search(r"^export AMQP_URL=(.*)$", (directory / "env").read_text(), re.MULTILINE)
        yield shlex.split(line[1])[0]
    finally:
        subprocess.run([*SERVERS, "stop", directory], check=False, timeout=60)


def output_of(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr[-500:]}")
    return float(done.stdout)


def publish_rate(here, post):
    load = wrk(f"{here.url}/publish/{PER_REQUEST}", "-s", str(post), seconds=SECONDS, connections=WINDOW)
    return load.rate * PER_REQUEST


def consumed(here):
    with urllib.request.urlopen(here.urls["admin"] + "/metrics", timeout=10) as answer:
        found = re.search(rb'^tidemill_messages_total\{.*queue="bench-in".*\} (\d+)', answer.read(), re.MULTILINE)
    return int(found[1]) if found else 0


def consume_rate(here):
    """From the first look that sees some of them done to the last one."""
    deadline = time.monotonic() + 120
    while not (first := consumed(here)):
        time.sleep(0.01)
    start = time.monotonic()
    while (last := consumed(here)) < MESSAGES:
        if time.monotonic() > deadline:
            raise Failed(f"{last} of {MESSAGES} messages were consumed")
        time.sleep(0.01)
    return (last - first) / (time.monotonic() - start)


def run():
    with work_directory() as work, rabbitmq(work) as url:
        # Names of this run alone: what it leaves on a server of one's own goes by itself.
        options = f"{'&' if '?' in url else '?'}prefix={work.name}.&expires=10m"
        out, incoming = f"{work.name}.bench-out", f"{work.name}.bench-in"
        raw, post = work / "amqp_peer", work / "post.lua"
        subprocess.run(["cc", "-O2", "-o", raw, HERE / "peers/amqp_peer.c", "-lrabbitmq"], check=True, timeout=60)
        post.write_text('wrk.method = "POST"\n')
        pika = [PYTHON, HERE / "peers/pika_peer.py"]

        def here(ready="/readyz"):
            return engine(work, "--log-level", "warn", workers=1, scripts=HERE / "scripts-amqp", env={"TIDEMILL_QUEUE": url + options},
                          ready=ready)

        with here() as server:
            urllib.request.urlopen(server.url + "/publish/1", data=b"", timeout=20).read()  # the queues are there
            publish = rounds(ROUNDS, here=lambda: publish_rate(server, post),
                             c=lambda: output_of(raw, "publish", url, out, MESSAGES, WINDOW),
                             pika=lambda: output_of(*pika, "publish", url, out, MESSAGES // 15, WINDOW))

        def consume_here():
            output_of(raw, "publish", url, incoming, MESSAGES, WINDOW)
            with here("/healthz") as server: # before it is connected, and begins
                return consume_rate(server)

        consume = rounds(ROUNDS, here=consume_here, c=lambda: output_of(raw, "consume", url, out, MESSAGES, WINDOW),
                         pika=lambda: output_of(*pika, "consume", url, out, MESSAGES // 3, WINDOW))
    back = {peer: [1 / (1 / a + 1 / b) for a, b in zip(publish[peer], consume[peer])] for peer in publish}
    return [row(work, runs, peer, reach if runs is back else None)
            for work, runs in (("a message there and back", back), ("its publish with confirm", publish), ("its consume and ack", consume))
            for peer, reach in (("c", 0.9), ("pika", 5))]


def row(work, runs, peer, reach):
    """Only the whole way has something to reach; the parts tell where it is lost."""
    times = ratio(runs["here"], runs[peer])
    name = {"c": "librabbitmq in C", "pika": "pika"}[peer]
    return Row(f"{work}, messages/s", f"{median(runs['here']):.0f}", f"{name} {median(runs[peer]):.0f}", times,
               f">= {reach}" if reach else "", times >= reach if reach else None)
