"""The specs of the four bundles, and what the engine adds to a spec file: one with a single empty test, here and by busted alone."""
import subprocess
import time

from measure import Row, median, rounds
from servers import ENGINE, HERE, Failed, work_directory

ROUNDS = 15
BUNDLES = ["auth", "converter", "gateway", "notification"]
ROOT = HERE.parent.parent


def seconds(*command):
    before = time.monotonic()
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return time.monotonic() - before


def run():
    with work_directory() as work:
        spec = work / "empty_spec.lua"
        spec.write_text('it("is empty", function() end)\n')
        all_specs = seconds(ENGINE, "test", *BUNDLES)
        runs = rounds(ROUNDS, here=lambda: seconds(ENGINE, "test", spec), busted=lambda: seconds("busted", spec))
    here, busted = median(runs["here"]) * 1000, median(runs["busted"]) * 1000
    added = median([(a - b) * 1000 for a, b in zip(runs["here"], runs["busted"])])
    return [
        Row("specs of the four bundles", f"{all_specs:.1f} s", ""),
        Row("  one empty test", f"{here:.0f} ms", f"busted {busted:.0f} ms", here / busted),
        Row("  the engine's start and end in it", f"{added:.0f} ms", "", reach="<= 100 ms", met=added <= 100),
    ]
