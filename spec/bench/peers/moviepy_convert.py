"""moviepy_convert.py IN OUT: the sound of a video as MP3, as one writes it with MoviePy."""
import sys

from moviepy import VideoFileClip

with VideoFileClip(sys.argv[1]) as video:
    video.audio.write_audiofile(sys.argv[2], ffmpeg_params=["-q:a", "2"], logger=None)
