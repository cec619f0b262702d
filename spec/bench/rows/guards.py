"""What counters, deadlines and CPU budgets cost a request: the same engine with and without them, one worker on one CPU. In
requests for each second of its CPU time, which is requests/s of a worker that has its CPU for itself."""
from measure import Row, cpu_seconds, median, ratio, rounds, wrk
from servers import HERE, UNGUARDED, engine, work_directory

ROUNDS, SECONDS = 45, 1


def load(server):
    before = cpu_seconds(server.pid)
    rate = wrk(server.urls["hello"] + "/hello/world", seconds=SECONDS, cpu=1).rate
    return rate * SECONDS / (cpu_seconds(server.pid) - before)


def run():
    with work_directory() as work, work_directory() as other, \
            engine(work, workers=1, cpu=0, scripts=HERE / "scripts") as here, \
            engine(other, workers=1, cpu=0, scripts=HERE / "scripts", binary=UNGUARDED) as bare:
        runs = rounds(ROUNDS, here=lambda: load(here), bare=lambda: load(bare))
    kept = ratio(runs["here"], runs["bare"])
    return [Row("requests a CPU second, guarded", f"{median(runs['here']):.0f}", f"without guards {median(runs['bare']):.0f}", kept,
                ">= 0.97", kept >= 0.97)]
