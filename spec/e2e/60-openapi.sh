# What openapi.json says of gateway and auth is what they do: every path and every status, driven and compared.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
# phase NAME: its checks are its own lines. The Python that Debian's python3-jsonschema is for.
phase() {
    env GATEWAY="$gateway" AUTH="$auth" SEEN="$work/seen" CLIP="$BUILD/media/clip-7s.mp4" TIDEMILL="$BUILD/tidemill" \
        /usr/bin/python3 spec/e2e/openapi.py "$1" || ((failures += 1))
}
need "the engine starts" engine_start "$work/usual" TIDEMILL_GATEWAY_MAX_UPLOAD=1MiB
phase usual
need "it stops" engine_stop
need "an engine whose auth is nowhere starts" engine_spawn "$work/alone" TIDEMILL_GATEWAY_AUTH_URL=http://127.0.0.1:9
phase without-auth
need "it stops" engine_stop
# Files of over 4 MiB fail as on a full disk; the signal that comes with it is ignored, as it is there.
trap '' XFSZ
ulimit -S -f 4096
need "an engine without space starts" engine_spawn "$work/full"
ulimit -S -f unlimited
trap - XFSZ
phase full-disk
phase throttled
need "it stops" engine_stop
phase complete
