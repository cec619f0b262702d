"""1 GiB in a form and back: throughput, memory and what is written to the disk, against Flask that stores to a file."""
import json
import os
import subprocess
import time

from measure import MIB, Row, median, ratio, rounds, status_kib, tree, written_mib
from servers import HERE, Failed, engine, gunicorn, work_directory

UPLOADS, DOWNLOADS, SIZE = 4, 9, 1024 * MIB


def make_file(path, size=SIZE):
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(block)


def timed(*arguments, size=SIZE):
    """What curl gets, and how many MiB/s."""
    os.sync()  # what the run before has left to be written is not this one's
    started = time.monotonic()
    done = subprocess.run(["curl", "-fsS", "--max-time", "120", *map(str, arguments)], capture_output=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise Failed(f"curl {arguments[-1]}: {done.stderr.decode().strip()}")
    return done.stdout, size / MIB / seconds


class Store:
    """A server that takes a file at POST /files and gives it back at /files/ID."""

    def __init__(self, url, file):
        self.url, self.file, self.id = url, file, None

    def upload(self):
        answer, rate = timed("-F", f"file=@{self.file}", self.url + "/files")
        self.id = json.loads(answer)["id"]
        return rate

    def download(self):
        return timed("-o", "/dev/null", f"{self.url}/files/{self.id}")[1]


def memory_mib(pid, key):
    return sum(status_kib(one, key) for one in tree(pid)) / 1024


def run():
    with work_directory() as work, gunicorn(work, "--timeout", "120") as flask, \
            engine(work, workers=1, scripts=HERE / "scripts") as server:
        file = work / "1GiB"
        make_file(file)
        here, peer = Store(server.urls["files"], file), Store(flask.url, file)
        idle, on_disk = memory_mib(server.pid, "VmRSS"), written_mib(server.pid)
        runs = rounds(UPLOADS, up=here.upload, flask_up=peer.upload)
        runs |= rounds(DOWNLOADS, down=here.download, flask_down=peer.download)
        grown = memory_mib(server.pid, "VmHWM") - idle
        written = (written_mib(server.pid) - on_disk) / UPLOADS
    return list(rows(runs, grown, written))


def rows(runs, grown, written):
    for name, way in (("up", "upload"), ("down", "download")):
        times = ratio(runs[name], runs["flask_" + name])
        yield Row(f"{way} of 1 GiB", f"{median(runs[name]):.0f} MiB/s", f"Flask {median(runs['flask_' + name]):.0f} MiB/s", times,
                  ">= 1.0", times >= 1)
    yield Row("  memory grows by", f"{grown:.1f} MiB", "", None, "<= 32 MiB", grown <= 32)
    yield Row("  written for one upload", f"{written:.0f} MiB", "", None, "one copy", written < SIZE / MIB * 1.1)
