"""A certificate authority and one certificate for localhost and 127.0.0.1, made with openssl for the servers of one run."""
import pathlib
import subprocess


class Certificates:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory, "tls")

    def files(self):
        """The authority's certificate, the server's certificate and its key."""
        if not self.directory.exists():
            self.create()
        return tuple(self.directory / name for name in ("ca.pem", "server.pem", "server.key"))

    def create(self):
        self.directory.mkdir(parents=True, mode=0o700)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "30"]
        self.openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tidemill's tests",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.openssl("req", "-x509", *key, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost",
                     "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                     "-addext", "basicConstraints=critical,CA:FALSE")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.directory, check=True, capture_output=True, timeout=30)

    def url(self):
        return {"SERVERS_CA": str(self.files()[0])}
