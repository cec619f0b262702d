"""What is measured, and how: rounds of alternating runs, CPU and memory of a process and all below it."""
import ctypes
import dataclasses
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

from servers import Failed, pinned

TICK = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclasses.dataclass
class Row:
    """One line of the table. `met` is None where there is nothing to reach: the peer is there to compare."""
    work: str
    here: str
    peer: str
    ratio: float = None
    reach: str = ""
    met: bool = None


def rounds(count, **runs):
    """Runs all in turn, `count` times, so that what disturbs the machine disturbs all: {name: [results]}."""
    results = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            results[name].append(run())
    return results


def median(values):
    return statistics.median(values)


def ratio(here, peer):
    """Of what ran side by side: the median of the rounds' ratios."""
    return median([a / b for a, b in zip(here, peer)])


# ---- processes ----

def children(pid):
    pids = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += map(int, task.read_text().split())
        except OSError:
            pass
    return pids


def tree(pid):
    """The process and all below it that are alive."""
    return [pid] + [below for child in children(pid) for below in tree(child)]


def cpu_seconds(pid):
    """Of the tree, with what its dead children took."""
    total = 0
    for one in tree(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / TICK


def status_kib(pid, key, file="status"):
    """A line such as "VmHWM:  123 kB" of the process; 0 when it is gone."""
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def rss_mib(pid):
    return status_kib(pid, "VmRSS") / 1024


def pss_mib(pid):
    return status_kib(pid, "Pss", "smaps_rollup") / 1024


SYS_KCMP, KCMP_VM = 312 if platform.machine() == "x86_64" else 272, 1


def shares_memory(pid, other):
    """As a process does with its parent from vfork to exec."""
    return ctypes.CDLL(None).syscall(SYS_KCMP, pid, other, KCMP_VM, 0, 0) == 0


def tree_pss_mib(pid):
    """Of the process and all below it at one time."""
    total = pss_mib(pid)
    for child in children(pid):
        total += 0 if shares_memory(pid, child) else tree_pss_mib(child)
    return total


def written_mib(pid):
    """What the tree has sent towards disks, temporary files included."""
    total = 0
    for one in tree(pid):
        total += int(re.search(r"^write_bytes: (\d+)", pathlib.Path(f"/proc/{one}/io").read_text(), re.MULTILINE)[1])
    return total / MIB


@dataclasses.dataclass
class Run:
    """A program from start to end: CPU seconds with its children's, and the sum of all their peaks."""
    cpu: float
    peak_mib: float
    seconds: float


def program(*command, cpu=None, cwd=None):
    peaks = {}
    before = os.times()
    started = time.monotonic()
    process = subprocess.Popen(pinned([str(word) for word in command], cpu), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd, start_new_session=True)
    try:
        while process.poll() is None:
            for pid in tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), status_kib(pid, "VmHWM"))
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    after = os.times()
    if process.returncode != 0:
        raise Failed(f"{' '.join(process.args)}: status {process.returncode}\n{process.stderr.read().decode()[-1000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(used, sum(peaks.values()) / 1024, time.monotonic() - started)


# ---- load ----

@dataclasses.dataclass
class Load:
    rate: float  # requests a second
    p99_ms: float
    failed: int = 0  # requests without an answer of 2xx or 3xx


UNITS = {"us": 1e-3, "ms": 1, "s": 1e3}


def wrk(url, *options, seconds, connections=64, cpu=None, tolerant=False):
    """tolerant: failures are counted; else there must be none."""
    command = pinned(["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", *map(str, options), url], cpu)
    out = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", out)))
    if not rate or not p99 or (failed and not tolerant):
        raise Failed(f"{' '.join(command)}:\n{out}")
    return Load(float(rate[1]), float(p99[1]) * UNITS[p99[2]], failed)
