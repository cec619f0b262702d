"""From the command to ready, and what an idle worker of the four shipped bundles holds, against gunicorn with Flask."""
import time

from measure import Row, median, pss_mib, ratio, rounds, rss_mib, tree
from servers import engine, gunicorn, work_directory

ROUNDS, IDLE = 7, 1.0  # seconds
PAUSE = 0.001  # between two looks whether it is ready


def started(start, work):
    before = time.monotonic()
    with start(work, pause=PAUSE):
        return (time.monotonic() - before) * 1000


def workers(server):
    """The children of the supervisor, or of gunicorn's arbiter."""
    return tree(server.pid)[1:]


def memory(start, work):
    """RSS and PSS of one idle worker of a server with two."""
    with start(work, workers=2) as server:
        time.sleep(IDLE)
        pids = workers(server)
        return median(map(rss_mib, pids)), median(map(pss_mib, pids))


def run():
    with work_directory() as work:
        first = started(engine, work)
        runs = rounds(ROUNDS, here=lambda: started(engine, work), flask=lambda: started(gunicorn, work))
        here, flask = memory(engine, work), memory(gunicorn, work)
    ms = median(runs["here"])
    return [
        Row("start to ready", f"{ms:.0f} ms", f"gunicorn+Flask {median(runs['flask']):.0f} ms", ratio(runs["here"], runs["flask"]),
            "<= 50 ms", ms <= 50),
        Row("  the first, with empty data", f"{first:.0f} ms", ""),
        Row("idle worker, RSS", f"{here[0]:.1f} MiB", f"gunicorn+Flask {flask[0]:.1f} MiB", here[0] / flask[0], "<= 12 MiB",
            here[0] <= 12),
        Row("  its PSS", f"{here[1]:.1f} MiB", f"gunicorn+Flask {flask[1]:.1f} MiB", here[1] / flask[1]),
    ]
