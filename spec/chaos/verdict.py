"""What must be true when the dust has settled: each acknowledged upload is one MP3 and at least one e-mail, and nothing else is left."""
import base64
import collections
import email
import email.policy
import http.client
import json
import os
import pathlib
import re
import time
import urllib.parse
import urllib.request

import scratch

# Why an e-mail comes twice without anybody's fault: the note that it is out can't be made at the moment when the server takes it. The part that
# was killed then, and within how many seconds.
UNAVOIDABLE = [("smtp", 2, "the SMTP server was killed after it had taken it and before it had said so"),
               ("worker", 31, "its sender was killed after the SMTP server had taken it"),
               ("supervisor", 31, "its sender was killed after the SMTP server had taken it")]
SETTLE = 600  # seconds without any change until what is under way counts as stuck: retries wait for up to some minutes


class Verdict:
    def __init__(self, client, faults, name):
        self.client, self.faults, self.name, self.problems = client, faults, name, []
        self.jobs, self.mails, self.queues, self.left = {}, {}, {}, None

    def look(self):
        self.jobs = self.client.jobs()
        self.mails = collections.defaultdict(list)
        for path in pathlib.Path(os.environ["SMTP_MAILDIR"]).glob("new/*"):
            self.mails[self.subject_of(path)].append(path.stat().st_mtime)
        self.queues = self.queue_list()

    @staticmethod
    def subject_of(path):
        """The file that an e-mail is about."""
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        found = re.search(r"\b[0-9a-f]{24}\b", message.get_body(("plain",)).get_content())
        return found and found[0]

    def queue_list(self):
        """Messages by queue, as the broker tells them: those at consumers, too."""
        url = urllib.parse.urlsplit(os.environ["RABBITMQ_MANAGEMENT_URL"])
        login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        request = urllib.request.Request(f"http://{url.hostname}:{url.port}/api/queues", headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found = json.load(answer)
        # A queue.delays lists which queues for delays there are; it holds no job.
        return {queue["name"]: queue.get("messages", 0) for queue in found if not queue["name"].endswith(".delays")}

    def waiting(self):
        """Why it isn't over yet; None when it is."""
        try:
            self.look()
        except (OSError, http.client.HTTPException, ValueError) as error:
            return str(error)
        open_jobs = [job["job"] for job in self.jobs.values() if job["state"] not in ("COMPLETE", "ERROR", "CANCELED")]
        unmailed = [job["job"] for job in self.jobs.values() if job["state"] == "COMPLETE" and job["mp3_fid"] not in self.mails]
        messages = sum(count for name, count in self.queues.items() if not name.endswith(".dead"))
        self.left = (len(open_jobs), len(unmailed), messages)
        if any(self.left):
            return f"{len(open_jobs)} jobs open, {len(unmailed)} without e-mail, {messages} messages"
        return None

    def settle(self, say):
        before, changed = None, time.monotonic()
        while (why := self.waiting()) and time.monotonic() < changed + SETTLE:
            if self.left != before:
                say(f"waiting: {why}")
                before, changed = self.left, time.monotonic()
            time.sleep(5)  # a look at all jobs is work for a store, too

    def check(self):
        """Counts; fills self.problems."""
        self.look()
        acknowledged = self.client.acknowledged()
        lost = [u for u in acknowledged if self.jobs.get(u.job, {}).get("state") != "COMPLETE"
                or self.jobs[u.job]["mp3_fid"] not in self.mails]
        doubled = [mp3 for mp3, times in self.mails.items() if len(times) > 1]
        noted = self.noted()
        reasons = collections.Counter(None if noted[mp3] > 1 else self.why_twice(min(self.mails[mp3])) for mp3 in doubled)
        by_name = {job["name"]: job for job in self.jobs.values()}
        answered = [u for u in self.client.uploads if u.answer not in (202, None)]
        there = [u for u in answered if u.name in by_name]
        unknown = [u for u in there if u.answer == 503]  # the store died before it had answered to the commit
        refused_but_there = [u for u in there if u.answer != 503]
        unanswered = [u for u in self.client.uploads if u.answer is None]
        taken = [u for u in unanswered if u.name in by_name]
        self.demand(not lost, f"{len(lost)} acknowledged uploads are lost: {[(u.job, self.jobs.get(u.job)) for u in lost[:5]]}")
        self.demand(not refused_but_there, f"{len(refused_but_there)} uploads are there that were refused: "
                    f"{[(u.name, u.answer) for u in refused_but_there[:5]]}")
        self.demand(len(by_name) == len(self.jobs), f"{len(self.jobs) - len(by_name)} uploads became two jobs")
        self.demand(None not in reasons, f"{reasons[None]} e-mails came twice though no one was killed who had to do with them")
        strange = set(self.mails) - {job["mp3_fid"] for job in self.jobs.values() if job["state"] == "COMPLETE"}
        self.demand(not strange, f"{len(strange)} e-mails are about no job that is done")
        self.check_files()
        self.check_queues()
        return {"acknowledged": len(acknowledged), "lost": len(lost), "doubled": len(doubled), "reasons": reasons,
                "refused": len(answered), "unknown": len(unknown), "unanswered": len(unanswered), "taken": len(taken)}

    def noted(self):
        """How often a worker lived to note that an e-mail was out."""
        found = collections.Counter()
        for engine in self.faults.engines:
            for line in engine.log.read_text(errors="replace").splitlines():
                if '"e-mail sent"' in line:
                    found[json.loads(line)["fields"]["mp3"]] += 1
        return found

    def why_twice(self, first):
        """An e-mail that the server took at this time; None: for no good reason."""
        for part, seconds, reason in UNAVOIDABLE:
            for fault in self.faults.done:
                sends = not fault.engine or "notification" in fault.engine.bundles
                if fault.part == part and not fault.frozen and sends and -1 < fault.time - first < seconds:
                    return reason
        return None

    def orphans(self):
        return sum(scratch.files(self.name, bucket)[1] for bucket in ("videos", "mp3s"))

    def wait_for_sweep(self):
        end = time.monotonic() + SETTLE
        while self.orphans() and time.monotonic() < end:
            time.sleep(1)

    def check_files(self):
        complete = {job["mp3_fid"] for job in self.jobs.values() if job["state"] == "COMPLETE"}
        mp3s, videos = (scratch.files(self.name, bucket)[0] for bucket in ("mp3s", "videos"))
        self.demand(mp3s == len(complete), f"{mp3s} MP3s for {len(complete)} jobs")
        self.demand(videos == len(self.jobs), f"{videos} videos for {len(self.jobs)} jobs")
        self.demand(self.orphans() == 0, f"{self.orphans()} chunks belong to no file")

    def check_queues(self):
        for name, count in self.queues.items():
            self.demand(count == 0, f"the queue {name} has {count} messages")

    def demand(self, good, problem):
        if not good:
            self.problems.append(problem)
