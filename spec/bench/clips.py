"""The clips that are measured with: made once, kept in build/bench."""
import subprocess

from servers import PEERS

SOUND = ("aevalsrc=exprs='0.3*sin(2*PI*(220+20*sin(2*PI*t/3))*t)+0.2*sin(2*PI*554*t)*lt(mod(t,1),0.6)"
         "+0.1*(2*random(0)-1)*lt(mod(t,0.5),0.05)|0.3*sin(2*PI*330*t)*(0.5+0.5*sin(t))"
         "+0.1*(2*random(1)-1)*lt(mod(t,0.5),0.05)':s=44100")


def clip(seconds):
    """An mp4 with H.264 pictures and AAC sound."""
    path = PEERS / f"clip-{seconds}s.mp4"
    part = PEERS / f"part-{seconds}s.mp4"
    if not path.exists():
        subprocess.run(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi",
             "-i", SOUND, "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
             "-b:a", "128k", str(part)], check=True, timeout=300)
        part.rename(path)
    return path
