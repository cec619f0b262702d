"""A part of the servers for one test alone: a database on MYSQL_URL and on MONGODB_URL, a prefix on AMQP_URL."""
import os
import subprocess
import sys
import urllib.parse

from server import BUILD


def with_path(url, name):
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(path="/" + name))


def mysql(statement):
    url = urllib.parse.urlsplit(os.environ["MYSQL_URL"])
    subprocess.run(["mariadb", "--no-defaults", "--protocol=tcp", f"--host={url.hostname}", f"--port={url.port or 3306}",
                    f"--user={urllib.parse.unquote(url.username or '')}", "--execute", statement],
                   check=True, timeout=60, env={**os.environ, "MYSQL_PWD": urllib.parse.unquote(url.password or "")})


def mongo():
    sys.path += map(str, BUILD.glob("venv/lib/*/site-packages"))
    import pymongo
    return pymongo.MongoClient(os.environ["MONGODB_URL"], serverSelectionTimeoutMS=20000)


def settings(name):
    """The engine's settings, as NAME=VALUE, for those servers whose URLs are in the environment."""
    found = {}
    if "MYSQL_URL" in os.environ:
        mysql(f"CREATE DATABASE {name}")
        found["TIDEMILL_SQL"] = with_path(os.environ["MYSQL_URL"], name)
    if "AMQP_URL" in os.environ:
        url = os.environ["AMQP_URL"]
        found["TIDEMILL_QUEUE"] = f"{url}{'&' if '?' in url else '?'}prefix={name}.&expires=10m"
    if "MONGODB_URL" in os.environ:
        found["TIDEMILL_BLOB"] = with_path(os.environ["MONGODB_URL"], name)
    if "SMTP_URL" in os.environ:
        found["TIDEMILL_MAIL"] = os.environ["SMTP_URL"]
    return found


def drop(name):
    """Takes it away again; the queues go by themselves when nobody has used them for ten minutes."""
    if "MYSQL_URL" in os.environ:
        mysql(f"DROP DATABASE IF EXISTS {name}")
    if "MONGODB_URL" in os.environ:
        mongo().drop_database(name)


def files(name, bucket):
    """How many files a bucket has, and how many chunks that belong to none."""
    database = mongo()[name]
    ids = database[bucket + ".files"].distinct("_id")
    return len(ids), database[bucket + ".chunks"].count_documents({"files_id": {"$nin": ids}})
