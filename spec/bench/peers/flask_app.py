"""The services of the benchmarks as one writes them with Flask."""
import os

import flask
import jwt

app = flask.Flask(__name__)
SECRET = os.environ.get("BENCH_JWT_SECRET", "")
STORE = os.environ.get("BENCH_STORE", "")


@app.get("/hello/<name>")
def hello(name):
    return flask.jsonify(hello=name, items=[1, 2, 3], ok=True)


@app.post("/validate")
def validate():
    kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
    if kind != "Bearer":
        return flask.jsonify(error="a token is missing"), 401
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="tidemill", issuer="tidemill")
    except jwt.InvalidTokenError as error:
        return flask.jsonify(error=str(error)), 401
    return flask.jsonify(claims)


@app.post("/files")
def store():
    flask.request.files["file"].save(os.path.join(STORE, "stored"))
    return flask.jsonify(id="stored"), 201


@app.get("/files/<name>")
def fetch(name):
    return flask.send_from_directory(STORE, name)
