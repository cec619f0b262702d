"""Reloads: from a changed file to the first answer, under load, and what a thousand of them leave in memory."""
import http.client
import json
import os
import re
import signal
import threading
import time

from measure import Row, median, ratio, rounds, tree_pss_mib, wrk
from servers import HERE, Failed, engine, nginx, work_directory

EVENTS = 20
STORM, PAUSE, BROKEN = 100, 0.15, 10  # reloads, seconds from one to the next, each so many is wrong
ROUNDS, SECONDS = 3, 8
DELAY_MS = 5  # of a connection of the load between an answer and the next request
FEW, MANY = 10, 1000


def replace(path, text):
    """As an editor does."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    os.replace(new, path)


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Here:
    """The bundle hello, whose answers have a version."""

    def __init__(self, server, script):
        self.server, self.script, self.text = server, script, script.read_text()
        self.url, self.port = server.urls["hello"], server.port
        self.admin = int(server.urls["admin"].rpartition(":")[2])

    def write(self, version):
        replace(self.script, self.text.replace("ok = true", f"version = {version}"))

    def write_wrong(self):
        replace(self.script, "return {")

    def reload(self):
        ask(self.admin, "/-/reload", "POST")

    def event(self, version):
        self.write(version)

    def outcomes(self):
        found = re.findall(r'^tidemill_reloads_total\{.*outcome="(\w+)".*\} (\d+)', ask(self.admin, "/metrics")[1], re.MULTILINE)
        return {outcome: int(count) for outcome, count in found}


class Nginx:
    """The same answer, whose version is in its configuration."""

    def __init__(self, server, work):
        self.server, self.conf, self.text = server, work / "nginx.conf", (work / "nginx.conf").read_text()
        self.url, self.port = server.url, server.port

    def write(self, version):
        replace(self.conf, self.text.replace("ok = true", f"version = {version}"))

    def write_wrong(self):
        replace(self.conf, "wrong {")

    def reload(self):
        os.kill(self.server.pid, signal.SIGHUP)

    def event(self, version):
        self.write(version)
        self.reload()


def first_answer_ms(target, version):
    before = time.monotonic()
    target.event(version)
    while json.loads(ask(target.port, "/hello/world")[1]).get("version") != version:
        if time.monotonic() > before + 20:
            raise Failed("a new version was never answered")
    return (time.monotonic() - before) * 1000


def events(here, peer):
    counter = iter(range(1, 1000000))
    return rounds(EVENTS, here=lambda: first_answer_ms(here, next(counter)), nginx=lambda: first_answer_ms(peer, next(counter)))


# ---- under load ----

def storm(target):
    for i in range(STORM):
        before = time.monotonic()
        if i % BROKEN == BROKEN - 1:
            target.write_wrong()
        else:
            target.write(1000 + i)
        target.reload()
        time.sleep(max(0, PAUSE - (time.monotonic() - before)))
    target.write(0)
    target.reload()


def half_load(target, script):
    """Of what it can do at most: options of wrk."""
    most = wrk(target.url + "/hello/world", seconds=3, cpu=1)
    connections = max(8, round(most.rate / 2 * (DELAY_MS + 1) / 1000))
    return lambda seconds: wrk(target.url + "/hello/world", "-s", script, seconds=seconds, connections=connections, cpu=1,
                               tolerant=True)


def under_storm(target, load):
    thread = threading.Thread(target=storm, args=(target,))
    thread.start()
    result = load(round(STORM * PAUSE))
    thread.join()
    return result


def storms(here, peer, work):
    script = work / "delay.lua"
    script.write_text(f"function delay() return {DELAY_MS} end\n")
    loads = {"here": half_load(here, script), "nginx": half_load(peer, script)}
    return rounds(ROUNDS,
                  here_quiet=lambda: loads["here"](SECONDS), here=lambda: under_storm(here, loads["here"]),
                  nginx_quiet=lambda: loads["nginx"](SECONDS), nginx=lambda: under_storm(peer, loads["nginx"]))


# ---- memory ----

def memory(here):
    sizes = []
    for i in range(MANY):
        here.write(100000 + i)
        here.reload()
        if i + 1 in (FEW, MANY):
            time.sleep(1)
            sizes.append(tree_pss_mib(here.server.pid))
    return sizes


# ---- all ----

def start(work, watch):
    scripts = work / "scripts"
    (scripts / "hello").mkdir(parents=True, exist_ok=True)
    (scripts / "hello/init.lua").write_text((HERE / "scripts/hello/init.lua").read_text())
    return engine(work, workers=1, cpu=0, scripts=scripts, env={"TIDEMILL_RELOAD_WATCH": watch})


def run():
    with work_directory() as work, nginx(work, cpu=0) as server:
        peer, script = Nginx(server, work), work / "scripts/hello/init.lua"
        with start(work, "on") as own:
            times = events(Here(own, script), peer)
        with start(work, "off") as own:
            here = Here(own, script)
            loads = storms(here, peer, work)
            counts = here.outcomes()
        with start(work, "off") as own:
            few, many = memory(Here(own, script))
    if counts.get("refused") != ROUNDS * STORM // BROKEN:
        raise Failed(f"the storm's reloads ended as {counts}")
    return list(rows(times, loads, few, many))


def rows(times, loads, few, many):
    ms = median(times["here"])
    yield Row("file event to first new answer", f"{ms:.1f} ms", f"nginx -s reload {median(times['nginx']):.1f} ms",
              ratio(times["here"], times["nginx"]), "<= 100 ms", ms <= 100)
    failed = {name: sum(one.failed for one in runs) for name, runs in loads.items()}
    yield Row(f"{STORM} reloads under load, failed", f"{failed['here']}", f"nginx -s reload {failed['nginx']}", None, "0",
              failed["here"] == 0)
    p99 = {name: [one.p99_ms for one in runs] for name, runs in loads.items()}
    later = ratio(p99["here"], p99["here_quiet"])
    yield Row("  p99 in them, of the quiet p99", f"{later:.2f} ({median(p99['here']):.2f} ms)",
              f"nginx -s reload {ratio(p99['nginx'], p99['nginx_quiet']):.2f} ({median(p99['nginx']):.2f} ms)", None, "<= 2",
              later <= 2)
    yield Row(f"memory after {MANY} reloads", f"{many - few:+.1f} MiB", f"after {FEW}: {few:.1f} MiB", None, "<= +2 MiB",
              many - few <= 2)
