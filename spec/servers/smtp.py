"""The SMTP server of smtpd.py: what it takes is in a maildir; a file tells it to refuse or to wait."""
import importlib.metadata
import pathlib

from server import Failed, Server

PROGRAM = pathlib.Path(__file__).with_name("smtpd.py")


class SMTP(Server):
    name = "smtp"
    ports = ("port", "tls_port")

    def command(self):
        _, certificate, key = self.certificates.files()
        return ["/usr/bin/python3", "-B", PROGRAM, self.port, self.tls_port, self.password, certificate, key, self.directory], {}

    def probe(self):
        with self.connect() as connection:
            if connection.recv(3) != b"220":
                raise Failed("no greeting")

    def url(self):
        user = f"tidemill:{self.password}@127.0.0.1"
        return {"SMTP_URL": f"smtp://{user}:{self.port}", "SMTPS_URL": f"smtps://{user}:{self.tls_port}",
                "SMTP_MAILDIR": str(self.directory / "maildir"), "SMTP_BEHAVIOUR": str(self.directory / "behaviour")}

    def version(self):
        try:
            return "aiosmtpd " + importlib.metadata.version("aiosmtpd")
        except importlib.metadata.PackageNotFoundError:
            return "aiosmtpd"
