"""What counters, deadlines and CPU budgets cost a request: the same engine with and without them, one worker on one CPU."""
from measure import Row, median, ratio, rounds, wrk
from servers import HERE, UNGUARDED, engine, work_directory

ROUNDS, SECONDS = 9, 3


def run():
    with work_directory() as work, work_directory() as other, \
            engine(work, workers=1, cpu=0, scripts=HERE / "scripts") as here, \
            engine(other, workers=1, cpu=0, scripts=HERE / "scripts", binary=UNGUARDED) as bare:
        def load(server):
            return lambda: wrk(server.urls["hello"] + "/hello/world", seconds=SECONDS, cpu=1).rate

        runs = rounds(ROUNDS, here=load(here), bare=load(bare))
    kept = ratio(runs["here"], runs["bare"])
    return [Row("counters, deadlines, CPU budgets: requests/s", f"{median(runs['here']):.0f}", f"without {median(runs['bare']):.0f}",
                kept, ">= 0.97", kept >= 0.97)]
