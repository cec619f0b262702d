"""What is done to the parts: SIGKILL or 10 s of SIGSTOP for a random one every 2 to 5 s. What was killed is started again at
once, as a service manager would."""
import os
import random
import signal
import threading
import time

FROZEN = 10  # seconds


class Fault:
    def __init__(self, part, frozen):
        self.part, self.frozen, self.engine, self.at, self.over = part, frozen, None, time.monotonic(), None
        self.time = time.time()  # as of files

    def __str__(self):
        return f"{self.part} {'frozen' if self.frozen else 'killed'}"


class Faults:
    def __init__(self, servers, engines, say):
        self.servers, self.engines, self.say = {server.name: server for server in servers}, engines, say
        self.done, self.busy, self.stopping = [], set(), threading.Event()
        self.threads = []

    def parts(self):
        return ["worker", "supervisor", *self.servers]

    def run(self):
        while not self.stopping.wait(random.uniform(2, 5)):
            free = [part for part in self.parts() if part not in self.busy]
            if free:
                self.strike(random.choice(free))

    def strike(self, part):
        fault = Fault(part, frozen=random.random() < 0.4)
        self.say(str(fault))
        self.done.append(fault)
        self.busy.add(part)
        thread = threading.Thread(target=self.work, args=(fault,))
        thread.start()
        self.threads.append(thread)

    def work(self, fault):
        try:
            if fault.part == "worker":
                self.hit_worker(fault)
            elif fault.part == "supervisor":
                fault.engine = random.choice(self.engines)
                self.hit(fault.engine, fault)
            else:
                self.hit(self.servers[fault.part], fault)
        finally:
            fault.over = time.monotonic()
            self.busy.discard(fault.part)

    def hit(self, server, fault):
        if fault.frozen:
            server.freeze()
            time.sleep(FROZEN)
            server.thaw()
        else:
            server.kill()
            server.start()
            server.wait_ready() if server not in self.engines else None

    def hit_worker(self, fault):
        workers = [(pid, engine) for engine in self.engines for pid in engine.workers()]
        if not workers:
            return
        pid, fault.engine = random.choice(workers)
        self.signal(pid, signal.SIGSTOP if fault.frozen else signal.SIGKILL)
        if fault.frozen:
            time.sleep(FROZEN)
            self.signal(pid, signal.SIGCONT)

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # replaced meanwhile

    def keep(self):
        """A supervisor that ended by itself, as when its database was away at its start, is started again."""
        while not self.stopping.wait(1):
            self.revive()

    def revive(self):
        for engine in self.engines:
            if not engine.is_running() and "supervisor" not in self.busy:
                engine.start()

    def start(self):
        for target in (self.run, self.keep):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)

    def recoveries(self, uploads):
        """For each fault, how long it took until an upload that began after it was acknowledged; (seconds, fault)."""
        good = sorted((upload.began, upload.ended) for upload in uploads if upload.answer == 202)
        found = []
        for fault in self.done:
            after = [ended for began, ended in good if began >= fault.at]
            if after:
                found.append((min(after) - fault.at, fault))
        return found
