"""Measures tidemill against its peers and prints one table.

    python3 spec/bench [ROW...]     the rows are the files in spec/bench/rows; all without
"""
import datetime
import importlib
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import traceback

from measure import Row
from servers import ENGINE, Failed, NGINX_ENV, NGINX_ROOT, PYTHON

ROWS = ["route", "guards", "validate", "convert", "clip", "transfer", "query", "gridfs", "start", "reload", "check", "specs", "broker", "system"]
LIMIT = 12 * 60  # seconds, for all rows together


def output_of(*command, env=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **(env or {})})
    return (done.stdout + done.stderr).strip()


def versions():
    packages = dict(re.findall(r"^(\S+)\s+(\S+)$", output_of(PYTHON, "-m", "pip", "list"), re.MULTILINE))
    python = [f"{name} {packages[name]}" for name in ("gunicorn", "Flask", "PyJWT", "moviepy", "mysqlclient", "pymongo")]
    return [f"tidemill {output_of('git', 'describe', '--always', '--dirty')}",
            output_of(NGINX_ROOT / "usr/sbin/nginx", "-v", env=NGINX_ENV).rpartition(" ")[2],
            " ".join(output_of("ffmpeg", "-version").split()[:3]), output_of(PYTHON, "--version"), *python]


def machine():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} x {model[1] if model else platform.machine()}, {memory:.0f} GiB, {system}, Linux {platform.release()}"


def verdict(row):
    return {None: "", True: "yes", False: "NO"}[row.met]


def cells(row):
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 9.95 else f"{row.ratio:.1f}"
    return [row.work, row.here, row.peer, ratio, row.reach, verdict(row)]


def print_table(rows):
    lines = [["work", "here", "peer", "ratio", "reach", "met?"], *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


def measured(name):
    print(f"bench: {name} ...", file=sys.stderr, flush=True)
    try:
        return importlib.import_module(f"rows.{name}").run()
    except (Failed, OSError, subprocess.SubprocessError) as error:
        traceback.print_exc()
        return [Row(name, "failed", str(error).partition("\n")[0][:60], met=False)]


def on_signal(number, frame):
    if number == signal.SIGALRM:
        sys.exit(f"bench: not done within {LIMIT} s")
    sys.exit(f"bench: ended by {signal.Signals(number).name}")


def main(names):
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"bench: no such row: {', '.join(unknown)} (there are {', '.join(ROWS)})")
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)  # raises SystemExit, which ends every server on its way out
    signal.alarm(LIMIT)
    load = os.getloadavg()[0]
    rows = [row for name in names or ROWS for row in measured(name)]
    print(f"{datetime.date.today()}: {machine()}; load before {load:.1f}, after {os.getloadavg()[0]:.1f}\n{', '.join(versions())}\n")
    print_table(rows)
    sys.exit(any(row.here == "failed" for row in rows))


main(sys.argv[1:])
