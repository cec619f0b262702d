"""Does what docs/guide.md says: writes its files, checks the bundle after each, runs its commands and compares what they print.

guide.py GUIDE: in an empty directory, with tidemill on the PATH. Fences are files when their first line names a Lua file ("..., added" goes to
its end) or the line before them names another ("`scripts/a/b.sql`:"); "console" fences are commands behind "$ " and their output, in which "..." stands for anything. Commands share one shell. The
engine runs while commands with curl do; $PODCAST and $ADMIN (HOST:PORT) are used for the guide's addresses.
Lines "ok - name" and "not ok - name".
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

from session import Shell, commands

failures = 0
ADDRESSES = {"127.0.0.1:8081": os.environ["PODCAST"], "127.0.0.1:9091": os.environ["ADMIN"]}
FILE = re.compile(r"^-- ((?:scripts/|tidemill\.lua)\S*?)(, added)?$")
FENCE = re.compile(r"^(?:`(\S+)`:\n\n)?```(\w+)\n(.*?)^```$", re.M | re.S)


def tell(good, name, why=""):
    global failures
    failures += not good
    print(f"ok - {name}" if good else f"not ok - {name}: {why}", flush=True)


def addressed(text):
    for told, real in ADDRESSES.items():
        text = text.replace(told, real)
    return text


def write(path, added, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = f"-- {path}\n" if path.suffix == ".lua" and not added else ""
    with path.open("a" if added else "w", encoding="utf-8") as file:
        file.write(("\n" if added else comment) + addressed(text))


class Engine:
    def __enter__(self):
        self.log = open("engine.log", "ab")
        self.process = subprocess.Popen(["tidemill", "run"], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{os.environ['ADMIN']}/readyz", timeout=2)
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("not ok - the engine starts: " + pathlib.Path("engine.log").read_text()[-2000:])

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def fits(expected, actual):
    pattern = "\n".join(".*".join(map(re.escape, line.split("..."))) for line in squeezed(expected))
    return re.fullmatch(pattern, "\n".join(squeezed(actual))) is not None


def console(shell, text):
    for command, expected in commands(text):
        actual = shell.run(command)
        tell(fits(expected, actual), command, f"it prints {actual[:600]!r}")


def main():
    guide = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    fences = FENCE.findall(guide)
    with Shell(ADDRESSES) as shell:
        for i, (path, kind, text) in enumerate(fences):
            first, _, rest = text.partition("\n")
            named = FILE.match(first)
            if path:
                write(path, None, text)
            elif named:
                write(named[1], named[2], rest)
                following = fences[i + 1][2] if i + 1 < len(fences) else ""
                if kind == "lua" and "FAILED" not in following and pathlib.Path("tidemill.lua").exists():
                    checked = subprocess.run(["tidemill", "check"], capture_output=True, text=True)
                    tell(checked.returncode == 0, f"check after {named[1]}", checked.stdout + checked.stderr)
            elif kind == "console" and "curl" in text:
                with Engine():
                    console(shell, text)
            elif kind == "console":
                console(shell, text)
            else:
                tell(False, f"a {kind} fence is a file or commands", first)


main()
sys.exit(failures > 0)
