# A message that is delivered twice makes one MP3 and one e-mail. A fifth bundle sends it again.
source "$(dirname "$0")/lib.bash"
need "the clip is there" spec/media/generate "$BUILD/media" clip-7s.mp4
cp -r scripts "$work/scripts"
mkdir "$work/scripts/again"
cat >"$work/scripts/again/init.lua" <<'LUA'
local shape = { video_fid = "id", mp3_fid = "id?", username = "string" }
local queues = { video = tide.queue("video", shape), mp3 = tide.queue("mp3", shape) }

tide.route("POST /again/{queue}", function(req)
  assert(queues[req.params.queue]:publish(assert(req:json())))
  return tide.respond.empty(204)
end)
LUA
again=http://127.0.0.1:$(free_ports 1)
need "the engine starts" engine_start "$work" TIDEMILL_SCRIPTS="$work/scripts" \
    TIDEMILL_BUNDLES=auth,gateway,converter,notification,again TIDEMILL_LISTEN_AGAIN="${again#http://}"
need "log in" login "$user" "$password"
need "an upload is 202" upload "$BUILD/media/clip-7s.mp4"
need "its job ends" until_true 60 has_ended "$job"
need "one e-mail comes" until_true 30 mail_count 1
mp3=$(field .mp3_fid)
signed -I "$gateway/download?fid=$mp3"
etag=$(header ETag) length=$(header Content-Length)

# The messages are those of the contract: what the gateway and the converter sent.
for ((i = 0; i < 5; i++)); do
    request -X POST "$again/again/video" -d "{\"video_fid\":\"$job\",\"mp3_fid\":null,\"username\":\"$user\"}"
    request -X POST "$again/again/mp3" -d "{\"video_fid\":\"$job\",\"mp3_fid\":\"$mp3\",\"username\":\"$user\"}"
done
check "the messages are sent again" is 204
quiet() { (($(queued ready delayed leased dead) == 0)); }
check "all of them are consumed, none is a dead letter" until_true 60 quiet
check "the job is as it was" test "$(state "$job") $(field .mp3_fid)" = "COMPLETE $mp3"
check "there is one MP3" test "$(files_in mp3s)" = 1
signed -I "$gateway/download?fid=$mp3"
check "it is the first one" test "$(header ETag) $(header Content-Length)" = "$etag $length"
check "there is one e-mail" mail_count 1
check "the engine stops on SIGTERM" engine_stop
