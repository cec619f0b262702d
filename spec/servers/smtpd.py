"""An SMTP server for tests: STARTTLS, implicit TLS on a second port, AUTH, mail into a maildir.

    smtpd.py PORT TLS_PORT PASSWORD CERTIFICATE KEY DIRECTORY [HOST...]

DIRECTORY/behaviour, read at every command, makes it misbehave; a line each, no file: all is well.
    MAIL 451 4.3.0 later      this answer to a command (MAIL, RCPT or DATA) instead of its own
    DELAY 3                   seconds before each answer to MAIL
    CLOSE DATA                the connection ends in the middle of a message
    STARTTLS off              it is not offered; with an answer instead of "off": it is refused so
Without a HOST it listens on 127.0.0.1, and on 127.0.0.2, which is not in its certificate.
"""
import asyncio
import mailbox
import pathlib
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

LIMIT = 32 << 20


class Handler:
    def __init__(self, directory):
        self.maildir = mailbox.Maildir(directory / "maildir")
        self.behaviour = directory / "behaviour"

    def rules(self):
        try:
            lines = self.behaviour.read_text().splitlines()
        except FileNotFoundError:
            return {}
        return {words[0]: words[1] for words in (line.split(None, 1) for line in lines) if len(words) == 2}

    async def handle_MAIL(self, server, session, envelope, address, options):
        rules = self.rules()
        await asyncio.sleep(float(rules.get("DELAY", 0)))
        if "MAIL" not in rules:
            envelope.mail_from = address
        return rules.get("MAIL", "250 2.1.0 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):
        rules = self.rules()
        if "RCPT" not in rules:
            envelope.rcpt_tos.append(address)
        return rules.get("RCPT", "250 2.1.5 OK")

    async def handle_DATA(self, server, session, envelope):
        rules = self.rules()
        if "DATA" in rules:
            return rules["DATA"]
        trace = f"Return-Path: <{envelope.mail_from}>\r\nX-Client-Port: {session.peer[1]}\r\n"
        trace += "".join(f"Delivered-To: {to}\r\n" for to in envelope.rcpt_tos)
        # On disk before the answer: what was answered 250 is not lost when this process is killed.
        self.maildir.add(trace.encode() + envelope.original_content)
        return "250 2.0.0 OK"


class Server(SMTP):
    async def smtp_EHLO(self, hostname):
        if self.event_handler.rules().get("STARTTLS") == "off":
            self.tls_context = None
        await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg):
        if answer := self.event_handler.rules().get("STARTTLS"):
            await self.push(answer)
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_DATA(self, arg):
        if "CLOSE" in self.event_handler.rules():
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            self.transport.abort()
        else:
            await super().smtp_DATA(arg)


async def serve(port, tls_port, password, certificate, key, directory, *hosts):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    handler = Handler(pathlib.Path(directory))

    def authenticate(server, session, envelope, mechanism, data):
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"tidemill", password.encode())
        return AuthResult(success=known, handled=known)

    def session(tls):
        return lambda: Server(handler, hostname="localhost", data_size_limit=LIMIT, enable_SMTPUTF8=True, tls_context=tls,
                            authenticator=authenticate, auth_require_tls=False)

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    hosts = hosts or ["127.0.0.1", "127.0.0.2"]
    await loop.create_server(session(context), hosts, int(port))
    await loop.create_server(session(None), hosts, int(tls_port), ssl=context)
    await ended.wait()


asyncio.run(serve(*sys.argv[1:]))
