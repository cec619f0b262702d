"""Shows that each service can be a Python program (spec/interop/python) without the others noticing, and prints a table.

    build/interop/venv/bin/python -B spec/interop [RUN...]     on the servers of the environment (spec/servers run); a run is a
                                                                line of the table by its number; all without
"""
import os
import subprocess
import sys
import time

import walk
from services import BUILD, ROOT, SERVICES, Failed, system, work_directory
from state import fresh

RUNS = [("Python auth", {"gateway", "converter", "notification"}),
        ("Python gateway", {"auth", "converter", "notification"}),
        ("Python converter", {"auth", "gateway", "notification"}),
        ("Python notification", {"auth", "gateway", "converter"}),
        ("our auth alone", {"auth"}),
        ("our gateway alone", {"gateway"})]
CLIP = "clip-7s.mp4"
STEPS = ("login", "upload", "e-mail", "download")


def make_clip():
    subprocess.run([ROOT / "spec/media/generate", BUILD / "media", CLIP], check=True, timeout=120, cwd=ROOT)
    return BUILD / "media" / CLIP


def carry(gateway, clip, directory, ours, done):
    """Appends to `done` what was reached."""
    mailbox = walk.Mailbox(os.environ["SMTP_MAILDIR"])
    token = walk.login(gateway)
    done.append("login")
    answer = walk.upload(gateway, token, clip)
    done.append("upload")
    fid = walk.file_id(mailbox.wait_for(1)[0])
    if "gateway" in ours and ours & {"converter", "notification"}:
        job = walk.wait_for_job(gateway, token, answer)
        if job["mp3_fid"] != fid:
            raise Failed(f"the e-mail names {fid}, the job {job}")
    done.append("e-mail")
    walk.download(gateway, token, fid, directory / "mp3")
    if not 6.8 < (seconds := walk.seconds_of(directory / "mp3")) < 7.2:
        raise Failed(f"the MP3 is {seconds} s long, the video 7 s")
    if (count := len(mailbox.mails())) != 1:
        raise Failed(f"{count} e-mails for one job")
    done.append("download")


def run(number, ours, clip):
    """The steps that were reached, and what was wrong."""
    done = []
    with work_directory() as directory:
        try:
            with system(ours, fresh(f"interop_{number}"), directory) as here:
                carry(here.gateway, clip, directory, ours, done)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            logs = [f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(directory.glob("*.log"))]
            return done, "\n".join([str(error), *logs])
    return done, None


def main(words):
    chosen = [int(word) - 1 for word in words] or range(len(RUNS))
    clip = make_clip()
    failed = 0
    print(f"{'run':<20} {' '.join(f'{name:<12}' for name in SERVICES)} {' '.join(f'{step:<8}' for step in STEPS)} seconds")
    for number in chosen:
        name, ours = RUNS[number]
        started = time.monotonic()
        done, problem = run(number + 1, ours, clip)
        who = " ".join(f"{'tidemill' if service in ours else 'Python':<12}" for service in SERVICES)
        steps = " ".join(f"{'yes' if step in done else '-':<8}" for step in STEPS)
        print(f"{name:<20} {who} {steps} {time.monotonic() - started:.1f}", flush=True)
        print(f"{'not ok' if problem else 'ok'} - {name}")
        if problem:
            failed += 1
            print("\n".join("# " + line for line in problem.splitlines()))
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
