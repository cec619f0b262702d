"""Whether the four shipped bundles and their settings are right, against nginx's test of a configuration with a Lua handler."""
import os
import resource
import subprocess
import time

from measure import Row, median, ratio, rounds
from servers import ENGINE, HERE, NGINX_ENV, free_port, nginx_command, work_directory

ROUNDS = 15


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ran(command, env=None):
    """Wall and CPU time in ms."""
    wall, before = time.monotonic(), cpu()
    subprocess.run(command, check=True, capture_output=True, timeout=30, cwd=HERE.parents[1], env={**os.environ, **(env or {})})
    return (time.monotonic() - wall) * 1000, (cpu() - before) * 1000


def run():
    with work_directory() as work:
        nginx = [*nginx_command(work, free_port()), "-t"]
        runs = rounds(ROUNDS, here=lambda: ran([ENGINE, "check"]), nginx=lambda: ran(nginx, NGINX_ENV))
    (wall, cpu_here), (nginx_wall, nginx_cpu) = zip(*runs["here"]), zip(*runs["nginx"])
    return [
        Row("check of the four bundles", f"{median(wall):.0f} ms", f"nginx -t {median(nginx_wall):.0f} ms", ratio(wall, nginx_wall),
            "<= 50 ms", median(wall) <= 50),
        Row("  its CPU", f"{median(cpu_here):.0f} ms", f"nginx -t {median(nginx_cpu):.0f} ms", ratio(cpu_here, nginx_cpu)),
    ]
