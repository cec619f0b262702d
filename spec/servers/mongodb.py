"""A server of MongoDB's protocol: mongod where there is one on the PATH, else SecantusDB from PyPI."""
import re
import shutil
import struct
import subprocess

from server import BUILD, Failed, Server

SUBSTITUTE = BUILD / "venv" / "bin" / "secantusd-py"
HELLO = b"\x10hello\0\x01\0\0\0" + b"\x02$db\0\x06\0\0\0admin\0"


class MongoDB(Server):
    name = "mongodb"

    def prepare(self):
        (self.directory / "data").mkdir()

    def command(self):
        data = self.directory / "data"
        mongod = shutil.which("mongod")
        if mongod:
            return [mongod, "--dbpath", data, "--port", self.port, "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"], {}
        if not SUBSTITUTE.exists():
            raise Failed("there is no mongod on the PATH and no substitute (make servers brings one); "
                         "MONGODB_URL names one that runs elsewhere")
        return [SUBSTITUTE, "--port", self.port, "--storage-path", data, "--sync-on-commit", "--cache-size", "256M",
                "--oplog-max-entries", "1000"], {}

    def probe(self):
        """One hello in OP_MSG: the port alone may be open before the storage is."""
        document = struct.pack("<i", len(HELLO) + 5) + HELLO + b"\0"
        body = struct.pack("<ib", 0, 0) + document
        with self.connect() as connection:
            connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
            if len(connection.recv(16)) < 16:
                raise Failed("no answer to hello")

    def url(self):
        return {"MONGODB_URL": f"mongodb://127.0.0.1:{self.port}/tidemill?directConnection=true"}

    def version(self):
        if shutil.which("mongod"):
            done = subprocess.run(["mongod", "--version"], capture_output=True, text=True, timeout=20)
            return "mongod " + done.stdout.partition("v")[2].split()[0]
        found = [re.sub(r".*?-(.*)\.dist-info", r"\1", path.name) for path in SUBSTITUTE.parents[1].glob("lib/*/site-packages/*ecantus*.dist-info")]
        return "SecantusDB " + "".join(found)
