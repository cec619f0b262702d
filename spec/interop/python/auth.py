"""auth in Python: passwords in plain text, everyone is an admin."""
import datetime
import os
import sys

import flask
import jwt
import pymysql

from backends import split

server = flask.Flask(__name__)
SECRET = os.environ["JWT_SECRET"]


def query(*arguments):
    host, port, user, password = split(os.environ["MYSQL_URL"])
    database = os.environ["MYSQL_URL"].rpartition("/")[2]
    with pymysql.connect(host=host, port=port, user=user, password=password, database=database) as connection:
        with connection.cursor() as cursor:
            cursor.execute(*arguments)
            return cursor.fetchone()


@server.post("/login")
def login():
    given = flask.request.authorization
    if not given:
        return "missing credentials", 401
    row = query("SELECT email, password FROM user WHERE email = %s", (given.username,))
    if not row or row != (given.username, given.password):
        return "invalid credentials", 401
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    claims = {"username": given.username, "exp": now + datetime.timedelta(days=1), "iat": now, "admin": True}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@server.post("/validate")
def validate():
    token = flask.request.headers.get("Authorization")
    if not token:
        return "missing credentials", 401
    try:
        return jwt.decode(token.split(" ")[1], SECRET, algorithms=["HS256"]), 200
    except jwt.InvalidTokenError:
        return "not authorized", 403


server.run(host="127.0.0.1", port=int(sys.argv[1]))
