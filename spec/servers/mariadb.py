"""MariaDB as the MySQL server: schema auth as auth.sql makes it, and a user that may create databases for tests.
$MARIADB_OPTIONS are given to the server as well."""
import os
import pathlib
import shlex
import shutil
import subprocess

from server import Failed, Server

AUTH_SQL = pathlib.Path(__file__).with_name("auth.sql")


def program(*names):
    for name in names:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if path:
            return path
    raise Failed(f"MariaDB is not installed (Debian: mariadb-server-core): no {names[0]}; MYSQL_URL names one that runs elsewhere")


class MariaDB(Server):
    name = "mariadb"

    def prepare(self):
        done = subprocess.run([program("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={self.data()}",
                               "--auth-root-authentication-method=normal", "--skip-test-db", *self.as_user()],
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Failed(f"mariadb-install-db: {done.stdout}{done.stderr}")
        self.first_sql().write_text(f"""\
SET PASSWORD FOR 'root'@'localhost' = PASSWORD('{self.password}');
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
CREATE USER 'tidemill'@'localhost' IDENTIFIED BY '{self.password}';
GRANT ALL PRIVILEGES ON *.* TO 'tidemill'@'localhost';
CREATE DATABASE tidemill;
FLUSH PRIVILEGES;
{AUTH_SQL.read_text()}""")

    def data(self):
        return self.directory / "data"

    def first_sql(self):
        return self.directory / "first.sql"

    def as_user(self):
        return ["--user=root"] if os.geteuid() == 0 else []

    def command(self):
        ca, certificate, key = self.certificates.files()
        first = [f"--init-file={self.first_sql()}"] if self.first_sql().exists() else []
        # The socket is in the data directory: a path of its own could be longer than a socket's name may be.
        return [program("mariadbd", "mysqld"), "--no-defaults", f"--datadir={self.data()}", f"--port={self.port}",
                "--bind-address=127.0.0.1", "--socket=socket", "--pid-file=pid", *self.as_user(), f"--ssl-ca={ca}",
                f"--ssl-cert={certificate}", f"--ssl-key={key}", *first, *shlex.split(os.environ.get("MARIADB_OPTIONS", ""))], {}

    def probe(self):
        with self.connect() as connection:
            if len(connection.recv(5)) < 5:
                raise Failed("no greeting")
        self.first_sql().unlink(missing_ok=True)

    def url(self):
        server = f"127.0.0.1:{self.port}"
        return {"MYSQL_URL": f"mysql://tidemill:{self.password}@{server}/tidemill",
                "MYSQL_AUTH_URL": f"mysql://auth_user:Auth123@{server}/auth"}

    def version(self):
        done = subprocess.run([program("mariadbd", "mysqld"), "--version"], capture_output=True, text=True, timeout=20)
        return "MariaDB " + done.stdout.partition("Ver ")[2].split("-")[0].split(" ")[0]
