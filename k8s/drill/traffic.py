"""Users of the system, by way of the proxy: they log in, look at their jobs and upload, at a steady pace, and count what fails."""
import base64
import dataclasses
import http.client
import json
import threading
import time

from cluster import Failed

BOUNDARY = "tidemill-drill-5c8f20"
TIMEOUT = 60  # seconds for an answer


@dataclasses.dataclass
class Failure:
    request: str
    at: float  # monotonic
    seconds: float
    answer: str


class User:
    """One who talks to the host of the Ingress, over one connection as browsers keep it."""

    def __init__(self, port, host, name, password):
        self.port, self.host, self.name, self.password = port, host, name, password
        self.connection, self.token = None, None

    def ask(self, method, path, body=None, **headers):
        """Status and body. A connection that the proxy has closed in the meantime is no failure of anybody."""
        reused = self.connection is not None
        if not reused:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            self.connection.request(method, path, body, {"Host": self.host, **headers})
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self.close()
            return answer.status, text
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if reused:
                return self.ask(method, path, body, **headers)
            raise
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def log_in(self):
        basic = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        status, body = self.ask("POST", "/login", Authorization=f"Basic {basic}")
        if status == 200:
            self.token = body.decode()
        return status, body

    def signed(self, method, path, body=None, **headers):
        return self.ask(method, path, body, Authorization=f"Bearer {self.token}", **headers)

    def upload(self, name, clip):
        head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                "Content-Type: video/mp4\r\n\r\n").encode()
        body = head + clip + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.signed("POST", "/upload", body, **{"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})

    def job(self, job):
        status, body = self.signed("GET", f"/jobs/{job}")
        if status != 200:
            raise Failed(f"GET /jobs/{job}: {status} {body[:200]}")
        return json.loads(body)


class Traffic:
    """Under way from `with` on; its users stop at the end of it. `new_user` gives one who has logged in."""
    PACES = {"look": 0.25, "log_in": 3.0, "upload": 4.0}  # seconds from one to the next

    def __init__(self, new_user, clip):
        self.clip = clip
        self.lock, self.over = threading.Lock(), threading.Event()
        self.requests, self.failures, self.jobs = 0, [], []
        self.threads = [threading.Thread(target=self.run, args=(word, new_user(), pace), daemon=True)
                        for word, pace in self.PACES.items()]

    def log_in(self, user):
        return user.log_in(), 200

    def look(self, user):
        return user.signed("GET", "/jobs?limit=5"), 200

    def upload(self, user):
        answer = user.upload("drill.mp4", self.clip)
        if answer[0] == 202:
            with self.lock:
                self.jobs.append(json.loads(answer[1])["job"])
        return answer, 202

    def once(self, word, user):
        began, answer = time.monotonic(), ""
        try:
            (status, body), wanted = getattr(self, word)(user)
            if status != wanted:
                answer = f"{status} {body[:200].decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as error:
            answer = f"{type(error).__name__}: {error}"
        with self.lock:
            self.requests += 1
            if answer:
                self.failures.append(Failure(word, began, time.monotonic() - began, answer))

    def run(self, word, user, pace):
        due = time.monotonic()
        while not self.over.wait(max(due - time.monotonic(), 0)):
            self.once(word, user)
            due = max(due + pace, time.monotonic())
        user.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1)
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join(TIMEOUT + 10)
