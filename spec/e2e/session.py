"""A terminal session as a document shows it: "console" fences of commands behind "$ " (and "> " where one goes on) and what they print."""
import os
import re
import signal
import subprocess

END = "--- end of output ---"


class Shell:
    """One bash for all commands, in the current directory. addresses: {HOST:PORT of the document: HOST:PORT in its place}."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)
        self.run('curl() { command curl -sS "$@"; }')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """With what it left in the background."""
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.communicate()

    def run(self, command):
        """What it prints, with the addresses of the document."""
        for told, real in self.addresses.items():
            command = command.replace(told, real)
        self.process.stdin.write(f"{command}\nprintf '\\n{END}\\n'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == f"{END}\n":
                break
            lines.append(line)
        printed = "".join(lines).removesuffix("\n")
        for told, real in self.addresses.items():
            printed = printed.replace(real, told)
        return printed


def commands(text):
    """(command, what it is said to print) of a fence."""
    for command, printed in re.findall(r"^\$ (.*\n(?:>(?: .*)?\n)*)((?:(?!\$ ).*\n)*)", text, re.M):
        yield re.sub(r"\n> ?", "\n", command.rstrip("\n")), printed


def shown(command):
    """The command as a document shows it."""
    return "$ " + re.sub(r"\n> \n", "\n>\n", command.replace("\n", "\n> ")) + "\n"
