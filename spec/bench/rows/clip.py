"""A 20 s clip through the whole system: the CPU of the engine and all its children against the ffmpeg program alone."""
import json
import subprocess
import time

from clips import clip
from measure import Row, cpu_seconds, median, ratio, rounds
from rows.convert import ffmpeg
from rows.validate import login
from servers import Failed, engine, work_directory

ROUNDS, CLIPS = 5, 4
TIMEOUT = 60  # seconds, for one clip


def curl(*arguments):
    done = subprocess.run(["curl", "-fsS", "--max-time", str(TIMEOUT), *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        raise Failed(f"curl {arguments[-1]}: {done.stderr.decode().strip()}")
    return done.stdout


def wait_for(what, look):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f"no {what} within {TIMEOUT} s")


class Client:
    def __init__(self, here, video, mp3):
        self.here, self.video, self.mp3 = here, video, mp3
        self.signed = ["-H", f"Authorization: Bearer {login(here.url)}"]

    def done(self, job):
        answer = json.loads(curl(*self.signed, f"{self.here.url}/jobs/{job}"))
        if answer["state"] == "ERROR":
            raise Failed(f"the job ended: {answer}")
        return answer["state"] == "COMPLETE" and answer

    def mails(self):
        return len(list(self.here.data.glob("mail/new/*")))

    def carry(self):
        """Upload, queue, convert, e-mail, download."""
        before = self.mails()
        job = json.loads(curl(*self.signed, "-F", f"file=@{self.video}", self.here.url + "/upload"))["job"]
        answer = wait_for("MP3", lambda: self.done(job))
        wait_for("e-mail", lambda: self.mails() > before)
        curl(*self.signed, "-o", self.mp3, f"{self.here.url}/download?fid={answer['mp3_fid']}")


def run():
    video = clip(20)
    with work_directory() as work, engine(work, "--dev") as here:
        client = Client(here, video, work / "here.mp3")

        def through_http():
            before = cpu_seconds(here.pid)
            for _ in range(CLIPS):
                client.carry()
            return (cpu_seconds(here.pid) - before) / CLIPS

        def alone():
            return sum(ffmpeg(video, work / "ffmpeg.mp3").cpu for _ in range(CLIPS)) / CLIPS

        runs = rounds(ROUNDS, here=through_http, ffmpeg=alone)
    more = ratio(runs["here"], runs["ffmpeg"])
    return [Row("20 s clip end to end, CPU", f"{median(runs['here']) * 1000:.0f} ms",
                f"ffmpeg alone {median(runs['ffmpeg']) * 1000:.0f} ms", more, "<= 1.3", more <= 1.3)]
