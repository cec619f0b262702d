"""Clients that misbehave: clients.py HOST:PORT TOKEN WHAT ARGUMENTS...; exit code 0 when the server did what it should."""
import http.client
import socket
import struct
import sys
import threading
import time

host, port = sys.argv[1].rsplit(":", 1)
token, what, arguments = sys.argv[2], sys.argv[3], sys.argv[4:]
PART = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'


def dial():
    return socket.create_connection((host, int(port)), 10)


def send_head(sock, line, *headers):
    lines = [line + " HTTP/1.1", "Host: test", "Authorization: Bearer " + token, *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())


def read_all(sock):
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def begin_upload(how):
    sock = dial()
    length = "Transfer-Encoding: chunked" if how == "chunked" else "Content-Length: 50000000"
    send_head(sock, "POST /upload", "Content-Type: multipart/form-data; boundary=B", length)
    body = PART + b"x" * 1000000
    if how == "chunked":
        body = b"%x\r\n%s\r\n%x\r\nmore of this chunk" % (len(body), body, 5000)
    sock.sendall(body)
    return sock


def leave(sock, how):
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half":
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)
    sock.close()


def upload(how, count):
    socks = []
    for i in range(int(count)):
        sock = begin_upload(how)
        if how == "hold":
            socks.append(sock)
        else:
            if i % 2:
                time.sleep(0.05)
            leave(sock, how)
    for sock in socks:  # until the server is killed
        try:
            read_all(sock)
        except ConnectionError:
            pass
    return True


def download(fid, count):
    for _ in range(int(count)):
        sock = dial()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send_head(sock, "GET /download?fid=" + fid)
        if not sock.recv(1000).startswith(b"HTTP/1.1 200 "):
            return False
        leave(sock, "reset")
    return True


def drip_head():
    sock = dial()
    try:
        for byte in b"GET /jobs HTTP/1.1\r\nX: " + b"y" * 1000:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)
    except ConnectionError:
        pass
    try:
        return read_all(sock).startswith(b"HTTP/1.1 408 ")
    except ConnectionResetError:  # its bytes crossed with the answer
        return True


def crowd(limit, workers):
    """The limit is a worker's: one more than all of them take."""
    socks = [dial() for _ in range(int(limit) * int(workers) + 1)]
    time.sleep(0.5)
    closed = 0
    for sock in socks:
        sock.setblocking(False)
        try:
            closed += sock.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionResetError:
            closed += 1
        sock.close()
    return 1 <= closed < len(socks)


def flood(count, admin):
    def work(failures):
        client = http.client.HTTPConnection(host, int(port), timeout=20)
        for _ in range(int(count) // 8):
            client.request("GET", "/nothing")
            answer = client.getresponse()
            answer.read()
            if answer.status != 404:
                failures.append(answer.status)

    failures = []
    threads = [threading.Thread(target=work, args=(failures,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    asked = 0
    while any(thread.is_alive() for thread in threads):
        probe = http.client.HTTPConnection(admin, timeout=5)
        probe.request("GET", "/healthz")
        if probe.getresponse().status != 200:
            failures.append("healthz")
        probe.close()
        asked += 1
        time.sleep(0.02)
    return not failures and asked > 0


known = {"upload": upload, "download": download, "drip-head": drip_head, "crowd": crowd, "flood": flood}
sys.exit(0 if known[what](*arguments) else 1)
