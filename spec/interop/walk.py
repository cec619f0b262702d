"""One user's walk through the system, by HTTP and e-mail alone: log in, upload, wait for the e-mail, download what it names."""
import email
import email.policy
import json
import pathlib
import re
import subprocess
import time

from services import Failed, PASSWORD, USER

MAIL_TIMEOUT = 90  # seconds, for one
JOB_TIMEOUT = 10  # seconds, once the e-mail is there


def curl(*arguments):
    done = subprocess.run(["curl", "-fsS", "--max-time", "60", *map(str, arguments)], capture_output=True)
    if done.returncode:
        raise Failed(f"curl {arguments[-1]}: {done.stderr.decode().strip()}")
    return done.stdout


def login(gateway):
    token = curl("-X", "POST", "-u", f"{USER}:{PASSWORD}", f"{gateway}/login").decode()
    if token.count(".") != 2:
        raise Failed(f"this is no token: {token[:100]}")
    return token


def upload(gateway, token, video):
    return curl("-X", "POST", "-H", f"Authorization: Bearer {token}", "-F", f"file=@{video}", f"{gateway}/upload")


def wait_for_job(gateway, token, answer):
    """Of an upload that our gateway answered: until the job is COMPLETE."""
    url = gateway + json.loads(answer)["status_url"]
    end = time.monotonic() + JOB_TIMEOUT
    while (job := json.loads(curl("-H", f"Authorization: Bearer {token}", url)))["state"] != "COMPLETE":
        if time.monotonic() > end:
            raise Failed(f"not COMPLETE within {JOB_TIMEOUT} s: {job}")
        time.sleep(0.1)
    return job


class Mailbox:
    """The e-mails that the SMTP server has taken since this was made."""

    def __init__(self, maildir):
        self.path = pathlib.Path(maildir, "new")
        self.before = set(self.names())

    def names(self):
        return [path.name for path in self.path.glob("*")] if self.path.exists() else []

    def mails(self):
        return [email.message_from_bytes((self.path / name).read_bytes(), policy=email.policy.default)
                for name in self.names() if name not in self.before]

    def wait_for(self, count, timeout=MAIL_TIMEOUT):
        end = time.monotonic() + timeout
        while len(self.names()) - len(self.before) < count:
            if time.monotonic() > end:
                raise Failed(f"{len(self.mails())} of {count} e-mails within {timeout} s")
            time.sleep(0.1)
        return self.mails()


def file_id(mail):
    found = re.search(r"\b[0-9a-f]{24}\b", mail.get_body(("plain",)).get_content())
    if mail["To"] != USER or mail["Subject"] != "MP3 Download" or not found:
        raise Failed(f"an odd e-mail: {mail}")
    return found[0]


def download(gateway, token, fid, path):
    curl("-H", f"Authorization: Bearer {token}", "-o", path, f"{gateway}/download?fid={fid}")


def seconds_of(path):
    """Of an MP3."""
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=format_name,duration", "-of", "json", str(path)],
                          capture_output=True, text=True, timeout=30)
    found = json.loads(done.stdout or "{}").get("format", {})
    if found.get("format_name") != "mp3":
        raise Failed(f"this is no MP3: {done.stderr[:200]}")
    return float(found["duration"])
