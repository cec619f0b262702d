# What another client stores in GridFS is served, and what is stored here it reads: byte for byte, on the server of MONGODB_URL.
source "$(dirname "$0")/lib.bash"
if [[ -z ${MONGODB_URL:-} ]]; then
    echo "# skipped: MONGODB_URL names no server"
    exit 0
fi
scratch=tidemill_e2e_$$_$RANDOM
backends=(TIDEMILL_BLOB="$(MONGODB_URL=$MONGODB_URL python3 -B spec/servers scratch "$scratch" | sed -n 's/^TIDEMILL_BLOB=//p')")
database=${backends[0]#*=}
mongo() { python3 -B spec/e2e/mongo.py "$database" "$@"; }

mapfile -t ports < <(free_ports 2)
files=http://127.0.0.1:${ports[0]}/files
admin=http://127.0.0.1:${ports[1]}
echo 'return {}' >"$work/tidemill.lua"
env TIDEMILL_DATA="$work/data" TIDEMILL_LISTEN_FILES="127.0.0.1:${ports[0]}" TIDEMILL_LISTEN_ADMIN="${admin#http://}" \
    TIDEMILL_BUNDLES=files "${backends[@]}" "$BUILD/tidemill" run --config "$work/tidemill.lua" \
    --scripts spec/bench/scripts </dev/null >>"$work/engine.log" 2>&1 &
engine_pid=$!
need "the engine starts" until_true 30 curl -fs -o /dev/null "$admin/readyz"

same() { cmp -s "$1" "$work/body"; }
get() { request "$@"; }
store() { request -F "file=@$1" "$files" && id=$(field .id); }
for size in 0 1 1000 261119 261120 261121 3000000; do
    head -c "$size" /dev/urandom >"$work/file"
    need "$size bytes are stored" store "$work/file"
    mongo get "$id" >"$work/body" 2>"$work/error"
    check "pymongo reads them" same "$work/file"
    for chunk in 261120 1000000; do
        id=$(mongo put "$work/file" "$chunk")
        get "$files/$id"
        check "$size bytes that pymongo stored in chunks of $chunk are served" same "$work/file"
    done
done

id=$(mongo put "$work/file" 1000)
get "$files/$id"
check "3000 chunks of 1000 bytes are served" same "$work/file"
get -r 1234567-2345678 "$files/$id"
check "a range is 206" is 206
check "it has its bytes" cmp -s "$work/body" <(tail -c +1234568 "$work/file" | head -c 1111112)
mongo delete "$id"
get "$files/$id"
check "what pymongo deleted is 404" is 404
check "no chunks are left over" test "$(mongo orphans files)" = 0
check "the engine stops on SIGTERM" engine_stop
