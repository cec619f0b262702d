"""The SQL query of a login on MariaDB: through Lua in one worker against mysqlclient in a Python process, each on one CPU, and
the server on the other. The load keeps eight handlers busy; a Python process does one thing at a time."""
import subprocess

from measure import Row, cpu_seconds, median, ratio, rounds, wrk
from servers import HERE, PYTHON, engine, mariadb, pinned, work_directory

ROUNDS, SECONDS, EACH = 5, 4, 100


def python(url):
    command = pinned([PYTHON, HERE / "peers/query.py", url, SECONDS], 0)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=True)
    return float(done.stdout)


def run():
    with work_directory() as work, mariadb(work, cpu=1) as url, \
            engine(work, workers=1, cpu=0, scripts=HERE / "scripts", env={"TIDEMILL_SQL": url}) as here:
        spent = []

        def load():
            before = cpu_seconds(here.pid)
            rate = EACH * wrk(f"{here.urls['query']}/query/{EACH}", seconds=SECONDS, connections=8, cpu=1).rate
            spent.append((cpu_seconds(here.pid) - before) / (rate * SECONDS) * 1e6)
            return rate

        runs = rounds(ROUNDS, here=load, python=lambda: python(url))
    times = ratio(runs["here"], runs["python"])
    return [Row("login's SQL query in Lua, queries/s", f"{median(runs['here']):.0f} ({median(spent):.0f} us CPU)",
                f"mysqlclient {median(runs['python']):.0f}", times, ">= 5", times >= 5)]
