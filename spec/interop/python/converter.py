"""converter in Python."""
import json
import os
import tempfile

import bson
import moviepy

import backends

videos, mp3s = backends.bucket("videos"), backends.bucket("mp3s")


def convert(channel, body):
    message = json.loads(body)
    with tempfile.NamedTemporaryFile() as file:
        file.write(videos.get(bson.ObjectId(message["video_fid"])).read())
        file.flush()
        path = f"{tempfile.gettempdir()}/{message['video_fid']}.mp3"
        with moviepy.VideoFileClip(file.name) as clip:
            clip.audio.write_audiofile(path, logger=None)
    with open(path, "rb") as file:
        fid = mp3s.put(file.read())
    os.remove(path)
    message["mp3_fid"] = str(fid)
    try:
        backends.publish(channel, "mp3", json.dumps(message))
    except Exception:
        mp3s.delete(fid)
        return "failed to publish message"


backends.consume("video", convert)
