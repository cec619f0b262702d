"""40 clips of 20 s through upload, conversion and e-mail on RabbitMQ, MongoDB, MySQL and SMTP: the engine against the same system
in Python (spec/interop/python)."""
import json
import os
import subprocess

from clips import clip
from measure import Row, median, ratio
from servers import BUILD, HERE, Failed

CLIPS, ROUNDS = 40, 2
SPEC = HERE.parent
TIMEOUT = 15 * 60  # seconds


def measured():
    command = ["python3", "-B", SPEC / "servers", "run", BUILD / "interop/venv/bin/python", "-B", SPEC / "interop/load.py", clip(20),
               CLIPS, ROUNDS]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT,
                          env={**os.environ, "BUILD": str(BUILD)})
    if done.returncode:
        raise Failed(f"spec/interop/load.py: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def run():
    results = measured()

    def column(name, key):
        return [one[key] for one in results[name]]

    def compare(key):
        return ratio(column("here", key), column("python", key))

    rate = {name: [60 * CLIPS / seconds for seconds in column(name, "seconds")] for name in results}
    faster, cpu, memory = ratio(rate["here"], rate["python"]), compare("cpu"), compare("peak_mib")

    def both(key, unit, digits):
        here, python = median(column("here", key)), median(column("python", key))
        return f"{here:.{digits}f} {unit}", f"Python {python:.{digits}f} {unit}"

    return [Row(f"{CLIPS} clips of 20 s, upload to e-mail", f"{median(rate['here']):.0f} /min", f"Python {median(rate['python']):.0f} /min",
                faster, ">= 2", faster >= 2),
            Row("  CPU without the servers'", *both("cpu", "s", 1), cpu, "<= 0.33", cpu <= 1 / 3),
            Row("  memory, all processes", *both("peak_mib", "MiB", 0), memory, "<= 0.25", memory <= 1 / 4)]
