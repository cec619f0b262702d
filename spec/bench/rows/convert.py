"""10 minutes of AAC in an mp4 to MP3 V2: `tidemill convert` against ffmpeg and MoviePy."""
from clips import clip
from measure import Row, median, program, ratio, rounds
from servers import ENGINE, HERE, PYTHON, work_directory

ROUNDS = 5


def ffmpeg(video, mp3, cpu=None):
    """The ffmpeg program alone: what a conversion costs at least."""
    return program("ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-i", video, "-vn", "-c:a", "libmp3lame", "-q:a", "2", mp3,
                   cpu=cpu)


def run():
    video = clip(600)
    with work_directory() as work:
        runs = rounds(ROUNDS, here=lambda: program(ENGINE, "convert", video, work / "here.mp3", "--json", "--force"),
                      ffmpeg=lambda: ffmpeg(video, work / "ffmpeg.mp3"))
        runs |= rounds(1, moviepy=lambda: program(PYTHON, HERE / "peers/moviepy_convert.py", video, work / "moviepy.mp3"))
    return list(rows(runs))


def rows(runs):
    cpu = {name: [one.cpu for one in results] for name, results in runs.items()}
    peak = {name: [one.peak_mib for one in results] for name, results in runs.items()}
    more, larger = ratio(cpu["here"], cpu["ffmpeg"]), ratio(peak["here"], peak["ffmpeg"])
    here_cpu, here_peak = median(cpu["here"]), median(peak["here"])
    yield Row("10 min mp4 to MP3 V2, CPU", f"{here_cpu:.2f} s", f"ffmpeg {median(cpu['ffmpeg']):.2f} s", more, "<= 1.08",
              more <= 1.08)
    yield Row("  peak of parent and child", f"{here_peak:.1f} MiB", f"ffmpeg {median(peak['ffmpeg']):.1f} MiB", larger, "<= 1.0",
              larger <= 1)
    yield Row("  against MoviePy, CPU", f"{here_cpu:.2f} s", f"MoviePy {cpu['moviepy'][0]:.2f} s", here_cpu / cpu["moviepy"][0])
    yield Row("  against MoviePy, peak", f"{here_peak:.1f} MiB", f"MoviePy {peak['moviepy'][0]:.1f} MiB",
              here_peak / peak["moviepy"][0])
