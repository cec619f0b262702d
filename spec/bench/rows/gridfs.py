"""256 MiB into GridFS and out of it, against pymongo's gridfs on the same server. Here each goes through HTTP as well."""
import contextlib
import json
import os
import subprocess
import sys

from measure import MIB, Row, cpu_seconds, median, ratio, rounds
from rows.transfer import make_file, memory_mib, timed
from servers import HERE, PYTHON, Failed, engine, work_directory

ROUNDS, SIZE = 3, 256 * MIB
SERVERS = HERE.parent / "servers"


@contextlib.contextmanager
def mongodb(work):
    """The URL of a MongoDB server: MONGODB_URL, or one that is started here."""
    def servers(word):
        subprocess.run([sys.executable, "-B", SERVERS, word, work / "servers", "mongodb"], check=True, timeout=60)

    if url := os.environ.get("MONGODB_URL"):
        yield url
        return
    servers("start")
    try:
        text = (work / "servers/env").read_text()
        yield next(line for line in text.splitlines() if "MONGODB_URL=" in line).partition("=")[2].strip("'")
    finally:
        servers("stop")


class Engine:
    def __init__(self, server, file):
        self.server, self.file = server, file
        self.url = server.urls["files"] + "/files"
        self.id = None

    def write(self):
        answer, rate = timed("-F", f"file=@{self.file}", self.url, size=SIZE)
        self.id = json.loads(answer)["id"]
        return rate

    def read(self):
        return timed("-o", "/dev/null", f"{self.url}/{self.id}", size=SIZE)[1]

    def copy(self):
        """CPU ms for each MiB."""
        before = cpu_seconds(self.server.pid)
        timed("-X", "POST", f"{self.url}/{self.id}/copy", size=SIZE)
        return (cpu_seconds(self.server.pid) - before) * 1000 / (SIZE / MIB)


class Pymongo:
    def __init__(self, url, file):
        self.file, self.id = file, None
        self.process = subprocess.Popen([PYTHON, HERE / "peers/gridfs_copy.py", url], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def ask(self, command, argument):
        os.sync()
        print(command, argument, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed(f"gridfs_copy.py {command}: see its error above")
        return json.loads(answer)

    def write(self):
        answer = self.ask("write", self.file)
        self.id = answer["id"]
        return SIZE / MIB / answer["seconds"]

    def read(self):
        return SIZE / MIB / self.ask("read", self.id)["seconds"]

    def copy(self):
        return self.ask("copy", self.id)["cpu"] * 1000 / (SIZE / MIB)


def run():
    with work_directory() as work, mongodb(work) as url, engine(work, workers=1, scripts=HERE / "scripts", env={"TIDEMILL_BLOB": url}) as server, \
            Pymongo(url, work / "256MiB") as peer:
        make_file(work / "256MiB", SIZE)
        here = Engine(server, work / "256MiB")
        idle = memory_mib(server.pid, "VmRSS")
        runs = rounds(ROUNDS, write=here.write, peer_write=peer.write, read=here.read, peer_read=peer.read, copy=here.copy,
                      peer_copy=peer.copy)
        grown = memory_mib(server.pid, "VmHWM") - idle
    return list(rows(runs, grown))


def rows(runs, grown):
    for way in ("write", "read"):
        times = ratio(runs[way], runs["peer_" + way])
        yield Row(f"GridFS {way} of 256 MiB", f"{median(runs[way]):.0f} MiB/s", f"pymongo {median(runs['peer_' + way]):.0f} MiB/s",
                  times, ">= 1.0", times >= 1)
    times = ratio(runs["copy"], runs["peer_copy"])
    yield Row("  CPU of reading and writing", f"{median(runs['copy']):.2f} ms/MiB", f"pymongo {median(runs['peer_copy']):.2f} ms/MiB",
              times, "<= 0.33", times <= 1 / 3)
    yield Row("  memory grows by", f"{grown:.1f} MiB", "", None, "<= 32 MiB", grown <= 32)
