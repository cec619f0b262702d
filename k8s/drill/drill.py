"""What the steps share: the cluster, its users, and a row of the table for each step."""
import contextlib
import dataclasses
import time

from cluster import Cluster, Failed, wait_for
from proxy import Proxy
from traffic import Traffic, User

HOST = "mp3converter.com"
NAME, PASSWORD = "georgio@email.com", "Admin123"
LOAD = 20  # seconds for which the system is used at least, in a step
JOB_TIMEOUT = 300  # seconds for all jobs of a step to end


@dataclasses.dataclass
class Row:
    step: str
    seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    jobs: int = 0
    lost: int = 0
    problem: str = ""


class Drill:
    def __init__(self, directory, images, namespace, nginx):
        self.directory, self.images = directory, images
        self.cluster = Cluster(namespace)
        self.proxy = Proxy(directory / "nginx", nginx)
        self.rows, self.completed, self.began = [], {}, time.monotonic()

    def say(self, text):
        print(f"drill: {time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # ---- users ----

    def open_door(self):
        self.say(f"  {', '.join(self.proxy.configure(self.cluster))}: nginx on 127.0.0.1:{self.proxy.port}")
        self.proxy.start()

    def user(self):
        user = User(self.proxy.port, HOST, NAME, PASSWORD)
        status, body = user.log_in()
        if status != 200:
            raise Failed(f"POST /login: {status} {body[:200]}")
        return user

    @contextlib.contextmanager
    def load(self):
        """Users at work meanwhile; what failed of theirs goes into the step's row, and none of their jobs may be lost."""
        traffic, began = Traffic(self.user, (self.directory / "video.mp4").read_bytes()), time.monotonic()
        try:
            with traffic:
                yield
                time.sleep(max(began + LOAD - time.monotonic(), 0))
        finally:
            self.count(traffic)
        self.settle(traffic.jobs)

    def count(self, traffic):
        row = self.rows[-1]
        row.requests += traffic.requests
        row.failed += len(traffic.failures)
        for failure in traffic.failures[:20]:
            self.say(f"  failed: {failure.request} at {failure.at - self.began:.1f} s, after {failure.seconds:.1f} s: {failure.answer}")

    def settle(self, jobs):
        """Waits for the jobs, and counts those that don't end well as lost."""
        row, user, open_jobs = self.rows[-1], self.user(), set(jobs)
        row.jobs += len(open_jobs)

        def all_ended():
            for job in list(open_jobs):
                told = user.job(job)
                if told["state"] == "COMPLETE":
                    self.completed[job] = told["mp3_fid"]
                if told["state"] in ("COMPLETE", "ERROR", "CANCELED"):
                    open_jobs.discard(job)
            return not open_jobs
        with contextlib.suppress(Failed):
            wait_for("the jobs", JOB_TIMEOUT, all_ended)
        for job in jobs:
            status, body = user.signed("GET", f"/download?fid={self.completed[job]}") if job in self.completed else (None, b"")
            if status != 200 or len(body) < 1000:
                row.lost += 1
                self.say(f"  lost: {job}: {user.job(job)}")

    # ---- steps ----

    def run(self, name, step):
        """False when it failed."""
        self.say(name)
        row, began = Row(name), time.monotonic()
        self.rows.append(row)
        try:
            row.seconds = step(self) or time.monotonic() - began
            if row.lost:
                row.problem = f"{row.lost} jobs are lost"
        except Failed as error:
            row.seconds, row.problem = time.monotonic() - began, str(error)
        if row.problem:
            self.say(f"FAILED: {row.problem}")
        return not row.problem

    def table(self):
        lines = ["| step | seconds | requests | failed | jobs | lost |", "|---|---:|---:|---:|---:|---:|"]
        for row in self.rows:
            mark = " (FAILED)" if row.problem else ""
            lines.append(f"| {row.step}{mark} | {row.seconds:.1f} | {row.requests or '-'} | {row.failed if row.requests else '-'} "
                         f"| {row.jobs or '-'} | {row.lost if row.jobs else '-'} |")
        return "\n".join(lines)
