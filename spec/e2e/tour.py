"""Records docs/tour.md: runs the commands of its "console" fences, one after the other, and writes what they print behind them.

tour.py [--check] DOCUMENT: in a new directory, with tidemill on the PATH. What was printed is kept where nothing else has changed
than what differs each time (MASKS). --check: changes nothing, prints lines "ok - name" and "not ok - name" instead.
"""
import difflib
import os
import pathlib
import random
import re
import signal
import socket
import sys
import tempfile

from session import Shell, commands, shown

FENCE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
DURATION = r"\b\d+(\.\d+)?(ms|s|m|h)\b( \d+s)?"
MASKS = [(r"\bpid \d+", "pid N"), (rf"^(\d) +\d+ +ready +{DURATION}", r"\1 N ready T"), (rf"\bup {DURATION}", "up T"),
         (rf"{DURATION} ago", "T ago"), (r"\btable: 0x[0-9a-f]+", "table: X"), (r'"(time|request_id)":"[^"]*"', r'"\1":X'),
         (r'"seconds":[\d.]+', '"seconds":T')]


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_addresses(told):
    """{address in the document: one that is free}, as wide as those."""
    free = filter(is_free, random.sample(range(2000, 8000), 100))
    return {address: f"127.0.0.1:{port}" for address, port in zip(sorted(told), free)}


def compared(text):
    """The lines without what differs each time."""
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text, flags=re.M)
    return text.splitlines()


def record(text, tell):
    """The document with what its commands print; tell(command, told, printed) after each."""
    with Shell(free_addresses(set(re.findall(r"127\.0\.0\.1:\d{4}\b", text)))) as shell:
        def fence(match):
            recorded = []
            for command, told in commands(match[1]):
                printed = shell.run(command)
                if printed and not printed.endswith("\n"):
                    printed += "\n"
                tell(command, told, printed)
                recorded.append(shown(command) + (told if compared(told) == compared(printed) else printed))
            return "```console\n" + "".join(recorded) + "```"

        return FENCE.sub(fence, text)


def main():
    check = sys.argv[1] == "--check"
    document = pathlib.Path(sys.argv[-1]).resolve()
    failures = []

    def compare(command, told, printed):
        good = compared(told) == compared(printed)
        print(f"{'ok' if good else 'not ok'} - {command.splitlines()[0]}", flush=True)
        if not good:
            failures.append(command)
            print("\n".join("# " + line for line in difflib.unified_diff(compared(told), compared(printed), lineterm="")))

    for name in [name for name in os.environ if name.startswith("TIDEMILL_")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        recorded = record(document.read_text(encoding="utf-8"), compare if check else lambda *_: None)
        os.chdir("/")
    if not check:
        document.write_text(recorded, encoding="utf-8")
    return bool(failures)


sys.exit(main())
