"""Uploads small clips at a steady pace, however long one of them takes, and remembers what became of each."""
import base64
import http.client
import itertools
import json
import threading
import time

USER, PASSWORD = "georgio@email.com", "Admin123"
BOUNDARY = "tidemill-chaos-1b0f6c"


class Upload:
    """One attempt. answer: 202 with its job; another status; None when none came (it may have been taken all the same)."""

    def __init__(self, name):
        self.name, self.began = name, time.monotonic()
        self.answer = self.job = self.ended = None


class Client:
    def __init__(self, port, clip, pace):
        self.port, self.clip, self.pace = port, clip, pace
        self.uploads, self.lock, self.token = [], threading.Lock(), None
        self.numbers, self.stopping = itertools.count(), threading.Event()

    def ask(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def log_in(self):
        name = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        status, body = self.ask("POST", "/login", headers={"Authorization": f"Basic {name}"})
        if status == 200:
            self.token = body.decode()
        return status == 200

    def signed(self, method, path, body=None, headers=None):
        if not self.token:
            self.log_in()
        return self.ask(method, path, body, {"Authorization": f"Bearer {self.token}", **(headers or {})})

    def upload(self, name):
        with self.lock:
            attempt = Upload(name)
            self.uploads.append(attempt)
        head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                "Content-Type: video/mp4\r\n\r\n").encode()
        body = head + self.clip + f"\r\n--{BOUNDARY}--\r\n".encode()
        try:
            status, text = self.signed("POST", "/upload", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
            attempt.ended = time.monotonic()
            if status == 202:
                attempt.job = json.loads(text)["job"]
            attempt.answer = status
        except (OSError, http.client.HTTPException):
            attempt.ended = time.monotonic()

    def run(self):
        while not self.stopping.is_set():
            with self.lock:
                number = next(self.numbers)
            if not self.stopping.wait(max(self.began + number * self.pace - time.monotonic(), 0)):
                self.upload(f"clip-{number:05}.mp4")

    def start(self, threads):
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def wait(self, wanted, seconds):
        """Until so many uploads were acknowledged and so much time has passed."""
        while len(self.acknowledged()) < wanted or time.monotonic() < self.began + seconds:
            time.sleep(0.2)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)

    def acknowledged(self):
        with self.lock:
            return [upload for upload in self.uploads if upload.answer == 202]

    def jobs(self):
        """All jobs that the gateway shows, by their ids."""
        found, path = {}, "/jobs?limit=100"
        while path:
            status, body = self.signed("GET", path)
            if status != 200:
                raise OSError(f"GET {path}: {status} {body[:200]}")
            page = json.loads(body)
            found |= {job["job"]: job for job in page["jobs"]}
            path = page.get("next")
        return found
