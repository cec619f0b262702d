"""gateway in Python."""
import json
import os
import sys

import bson
import flask
import requests

import backends

server = flask.Flask(__name__)
AUTH = os.environ["AUTH_URL"]
videos, mp3s = backends.bucket("videos"), backends.bucket("mp3s")
backends.channel(backends.connect()).connection.close()  # makes the queues


def access():
    """The claims, or None with the answer."""
    if "Authorization" not in flask.request.headers:
        return None, ("missing credentials", 401)
    answer = requests.post(f"{AUTH}/validate", headers={"Authorization": flask.request.headers["Authorization"]}, timeout=20)
    return (json.loads(answer.text), None) if answer.status_code == 200 else (None, (answer.text, answer.status_code))


@server.post("/login")
def login():
    given = flask.request.authorization
    if not given:
        return "missing credentials", 401
    answer = requests.post(f"{AUTH}/login", auth=(given.username, given.password), timeout=20)
    return answer.text, answer.status_code


@server.post("/upload")
def upload():
    claims, problem = access()
    if problem:
        return problem
    if not claims["admin"]:
        return "not authorized", 401
    if len(flask.request.files) != 1:
        return "exactly 1 file required", 400
    for _, file in flask.request.files.items():
        fid = videos.put(file)
        message = {"video_fid": str(fid), "mp3_fid": None, "username": claims["username"]}
        connection = backends.connect()  # one for each upload: a channel can't be shared between threads
        try:
            backends.publish(connection.channel(), "video", json.dumps(message))
        except Exception:
            videos.delete(fid)
            return "internal server error", 500
        finally:
            connection.close()
    return "success!", 200


@server.get("/download")
def download():
    claims, problem = access()
    if problem:
        return problem
    if not claims["admin"]:
        return "not authorized", 401
    fid = flask.request.args.get("fid")
    if not fid:
        return "fid is required", 400
    try:
        return flask.send_file(mp3s.get(bson.ObjectId(fid)), download_name=f"{fid}.mp3", mimetype="audio/mpeg")
    except Exception:
        return "internal server error", 500


server.run(host="127.0.0.1", port=int(sys.argv[1]))
