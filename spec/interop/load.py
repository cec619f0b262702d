"""Clips through upload, conversion and e-mail, by the engine and by the Python programs in turn, on the same servers: prints, as
JSON, how long each took, its CPU and its memory, without the servers'.

    build/interop/venv/bin/python -B spec/interop/load.py CLIP COUNT ROUNDS     on the servers of the environment (spec/servers run)
"""
import dataclasses
import json
import os
import pathlib
import sys
import threading
import time

import walk
from services import SERVICES, system, work_directory
from state import fresh

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from measure import cpu_seconds, tree_pss_mib  # noqa: E402

# As many converters as cores, as the engine has workers.
COPIES = {"converter": os.cpu_count()}


@dataclasses.dataclass
class Result:
    seconds: float  # from the first upload to the last e-mail
    cpu: float  # seconds
    peak_mib: float  # of all processes together


class Peak:
    """The most memory that processes and those below them held at one time."""

    def __init__(self, processes):
        self.processes, self.mib, self.over = processes, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.2):
            self.mib = max(self.mib, sum(tree_pss_mib(process.pid) for process in self.processes))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def carry(ours, clip, count, name):
    with work_directory() as directory, system(ours, fresh(name), directory, copies=COPIES) as here:
        mailbox = walk.Mailbox(os.environ["SMTP_MAILDIR"])
        token = walk.login(here.gateway)
        before = sum(cpu_seconds(process.pid) for process in here.processes)
        started = time.monotonic()
        with Peak(here.processes) as peak:
            for _ in range(count):
                walk.upload(here.gateway, token, clip)
            mailbox.wait_for(count, timeout=600)
        seconds = time.monotonic() - started
        return Result(seconds, sum(cpu_seconds(process.pid) for process in here.processes) - before, peak.mib)


def main(clip, count, rounds):
    results = {"here": [], "python": []}
    for number in range(int(rounds)):
        for name, ours in (("here", set(SERVICES)), ("python", set())):
            results[name].append(dataclasses.asdict(carry(ours, clip, int(count), f"load_{name}_{number}")))
    json.dump(results, sys.stdout)


main(*sys.argv[1:])
