# docs/guide.md is true: its files load, its commands print what it says.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
mkdir "$work/guide"
cp "$BUILD/media/clip-7s.mp4" "$work/guide/recording.mp4"
mapfile -t ports < <(free_ports 2)
guide=$PWD/docs/guide.md program=$PWD/spec/e2e/guide.py
export PATH="$(realpath "$BUILD"):$PATH" PODCAST="127.0.0.1:${ports[0]}" ADMIN="127.0.0.1:${ports[1]}"
(cd "$work/guide" && timeout $((300 * SLOWNESS)) python3 "$program" "$guide") || ((failures += 1))
