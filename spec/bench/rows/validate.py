"""POST /validate of a token: two workers against gunicorn -w2, on all CPUs, which the load shares."""
import base64
import urllib.request

from measure import Row, median, ratio, rounds, wrk
from servers import PASSWORD, USER, engine, gunicorn, work_directory

ROUNDS, SECONDS = 5, 4


def login(url):
    request = urllib.request.Request(url + "/login", method="POST")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def run():
    with work_directory() as work, gunicorn(work, workers=2) as peer, engine(work, "--dev", workers=2) as here:
        post = work / "post.lua"
        post.write_text(f'wrk.method = "POST"\nwrk.headers["Authorization"] = "Bearer {login(here.url)}"\n')

        def load(server):
            return lambda: wrk(server + "/validate", "-s", str(post), seconds=SECONDS).rate

        runs = rounds(ROUNDS, here=load(here.urls["auth"]), flask=load(peer.url))
    times = ratio(runs["here"], runs["flask"])
    return [Row("POST /validate, requests/s", f"{median(runs['here']):.0f}",
                f"gunicorn -w2 + Flask + PyJWT {median(runs['flask']):.0f}", times, ">= 10", times >= 10)]
