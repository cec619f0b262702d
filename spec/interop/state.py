"""Backends of one run alone, on the servers of the environment: a database of its own each in MySQL and MongoDB, no queues."""
import os
import pathlib
import urllib.parse

import pika
import pymysql

from services import Backends, ROOT

AUTH_SQL = ROOT / "spec/servers/auth.sql"  # the README's


def with_path(url, path):
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(path=f"/{path}"))


def statements():
    """What makes the table and its user."""
    text = pathlib.Path(AUTH_SQL).read_text()
    return [line for line in text.partition("USE auth;")[2].split(";") if line.strip()]


def make_database(url, name):
    parts = urllib.parse.urlsplit(url)
    with pymysql.connect(host=parts.hostname, port=parts.port, user=parts.username, password=parts.password,
                         autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"USE {name}")
        for statement in statements():
            cursor.execute(statement)


def remove_queues(url):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    for queue in ("video", "mp3"):
        connection.channel().queue_delete(queue)
    connection.close()


def fresh(name):
    """The backends of a run with this name, without anything in them but the user."""
    make_database(os.environ["MYSQL_URL"], name)
    remove_queues(os.environ["AMQP_URL"])
    return Backends(amqp=os.environ["AMQP_URL"], mongodb=with_path(os.environ["MONGODB_URL"], name),
                    mysql=with_path(os.environ["MYSQL_URL"], name), smtp=os.environ["SMTP_URL"])
