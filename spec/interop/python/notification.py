"""notification in Python."""
import email.message
import json
import os
import smtplib
import ssl

import backends


def notify(channel, body):
    message = json.loads(body)
    mail = email.message.EmailMessage()
    mail.set_content(f"mp3 file_id: {message['mp3_fid']} is now ready!")
    mail["Subject"] = "MP3 Download"
    mail["From"] = "tidemill@localhost.localdomain"
    mail["To"] = message["username"]
    host, port, user, password = backends.split(os.environ["SMTP_URL"])
    with smtplib.SMTP(host, port, timeout=60) as session:
        session.starttls(context=ssl.create_default_context(cafile=os.environ["SERVERS_CA"]))
        session.login(user, password)
        session.send_message(mail)


backends.consume("mp3", notify)
