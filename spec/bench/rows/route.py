"""GET of a Lua route that answers JSON: one worker on one CPU, the load on the other."""
from measure import Row, median, ratio, rounds, wrk
from servers import HERE, engine, gunicorn, nginx, work_directory

ROUNDS, SECONDS = 7, 4


def run():
    with work_directory() as work, nginx(work, cpu=0) as peer, gunicorn(work, cpu=0) as python, \
            engine(work, workers=1, cpu=0, scripts=HERE / "scripts") as here:
        def load(server):
            return lambda: wrk(server + "/hello/world", seconds=SECONDS, cpu=1)

        runs = rounds(ROUNDS, here=load(here.urls["hello"]), nginx=load(peer.url))
        runs |= rounds(2, flask=load(python.url))
    return list(rows(runs))


def rows(runs):
    rate = {name: [one.rate for one in loads] for name, loads in runs.items()}
    p99 = {name: [one.p99_ms for one in loads] for name, loads in runs.items()}
    middle = {name: median(values) for name, values in rate.items()}
    more = ratio(rate["here"], rate["nginx"])
    later = ratio(p99["here"], p99["nginx"])
    yield Row("GET of a Lua route, requests/s", f"{middle['here']:.0f}", f"nginx+Lua {middle['nginx']:.0f}", more, ">= 1.0",
              more >= 1)
    yield Row("  its p99", f"{median(p99['here']):.2f} ms", f"nginx+Lua {median(p99['nginx']):.2f} ms", later, "<= 1.0",
              later <= 1)
    yield Row("  against Flask, requests/s", f"{middle['here']:.0f}", f"gunicorn+Flask {middle['flask']:.0f}",
              middle["here"] / middle["flask"])
