"""Uploads all the time while the parts of the cluster are killed and frozen, then counts what is left.

    python3 -B spec/chaos DIRECTORY       CHAOS_MINUTES=2, CHAOS_SEED=a number to strike in the same order again

Two engines, auth with gateway and converter with notification, on a RabbitMQ, MariaDB, MongoDB and SMTP server of their own.
Fails when an acknowledged upload was lost, when something is visible that was refused, or when something is left over.
"""
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "spec/servers"))

import scratch
from certificates import Certificates
from client import Client
from engine import Engine
from faults import Faults
from mariadb import MariaDB
from mongodb import MongoDB
from rabbitmq import RabbitMQ
from server import Failed
from smtp import SMTP
from verdict import Verdict

NAME = "tidemill_chaos"
WANTED = 100  # acknowledged uploads a minute
UPLOADERS, PACE = 16, 0.5  # seconds from one upload to the next: some are refused

began = time.monotonic()


def say(text):
    print(f"chaos: {time.monotonic() - began:6.1f} s  {text}", flush=True)


def start_servers(directory):
    certificates = Certificates(directory)
    servers = [kind(directory, certificates) for kind in (RabbitMQ, MariaDB, MongoDB, SMTP)]
    variables = {}
    for server in servers:
        server.start()
    for server in servers:
        server.wait_ready()
        variables |= server.url()
        say(f"{server.name}: {server.version()}, 127.0.0.1:{server.port}")
    os.environ |= variables
    return servers


def start_engines(directory, settings):
    engines = [Engine(directory, "front", ["auth", "gateway"], settings),
               Engine(directory, "back", ["converter", "notification"], settings)]
    for engine in engines:
        engine.start()
        engine.wait_ready()
    return engines


def make_clip(directory):
    path = directory / "clip.mp4"
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-t", "2", "-i", "testsrc2=size=64x48:rate=5", "-f",
                    "lavfi", "-t", "2", "-i", "sine=440", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "48k",
                    str(path)], check=True, timeout=60)
    return path.read_bytes()


def sweep(directory, settings, verdict):
    """A writer that was killed leaves chunks, which are removed after a day: an engine for which that has passed. How many there were."""
    left = verdict.orphans()
    if left:
        library = next(pathlib.Path("/usr/lib").rglob("libfaketime.so.1"), None)
        if not library:
            raise Failed("libfaketime is missing: apt-get install faketime")
        tomorrow = {"LD_PRELOAD": str(library), "FAKETIME": "+25h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        engine = Engine(directory, "tomorrow", ["converter"], settings | tomorrow)
        try:
            engine.start()
            verdict.wait_for_sweep()
        finally:
            engine.stop()
    return left


def report(counts, left, faults, client):
    hits = collections.Counter((fault.part, fault.frozen) for fault in faults.done)
    recoveries = faults.recoveries(client.uploads)
    print(f"chaos: {len(client.uploads)} uploads: acknowledged {counts['acknowledged']}, lost {counts['lost']}, doubled {counts['doubled']}; "
          f"refused {counts['refused']}, of which {counts['unknown']} were taken; without an answer {counts['unanswered']}, of which {counts['taken']} were taken")
    print(f"chaos: {left} chunks were left by writers that died, and are gone after the daily sweep")
    for reason, number in counts["reasons"].items():
        print(f"chaos: {number} e-mail{'s' if number > 1 else ''} came twice: {reason}")
    print("chaos: killed " + ", ".join(f"{part} {hits[part, False]}" for part in faults.parts()) +
          "; frozen for 10 s " + ", ".join(f"{part} {hits[part, True]}" for part in faults.parts()))
    if recoveries:
        seconds, fault = max(recoveries, key=lambda found: found[0])
        print(f"chaos: longest recovery, until an upload was acknowledged again: {seconds:.1f} s ({fault})")


def strike(directory, minutes):
    servers, engines, client = [], [], None
    try:
        servers = start_servers(directory)
        settings = scratch.settings(NAME)
        engines = start_engines(directory, settings)
        client = Client(engines[0].gateway_port, make_clip(directory), PACE)
        faults = Faults(servers, engines, say)
        client.start(UPLOADERS)
        faults.start()
        client.wait(WANTED * minutes, 60 * minutes)
        faults.stop()
        client.stop()
        say("no more faults; what is under way may end")
        faults.revive()
        verdict = Verdict(client, faults, NAME)
        verdict.settle(say)
        left = sweep(directory, settings, verdict)
        report(verdict.check(), left, faults, client)
        return verdict.problems
    finally:
        for server in engines + servers:
            server.stop()


def main(directory):
    minutes = float(os.environ.get("CHAOS_MINUTES", "2"))
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    say(f"{minutes:g} minutes, CHAOS_SEED={seed}, logs in {directory}")
    for name in [name for name in os.environ if name.startswith("TIDEMILL_")]:
        del os.environ[name]
    problems = strike(directory, minutes)
    for problem in problems:
        print(f"chaos: FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
    except Failed as error:
        sys.exit(f"chaos: {error}")
