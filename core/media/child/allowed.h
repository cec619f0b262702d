/*
 * Which containers and codecs are taken: what people upload, and nothing that reaches other files or hosts.
 * Used by container.c and transcode.c as FFmpeg's allow-lists; by linked.c, which sees to it that nothing
 * else of FFmpeg is there; and by k8s/image/ffmpeg, which builds nothing else.
 */
#ifndef TIDE_MEDIA_CHILD_ALLOWED_H
#define TIDE_MEDIA_CHILD_ALLOWED_H

/* libavformat's demuxers: X(the symbol's, the format's name). Not among them: hls, concat, sdp, image
 * sequences, playlists. */
#define EACH_FORMAT(X)                                                                                       \
    X(mov, "mov")                                                                                            \
    X(matroska, "matroska")                                                                                  \
    X(avi, "avi")                                                                                            \
    X(mp3, "mp3")                                                                                            \
    X(wav, "wav")                                                                                            \
    X(w64, "w64")                                                                                            \
    X(ogg, "ogg")                                                                                            \
    X(flac, "flac")                                                                                          \
    X(aac, "aac")                                                                                            \
    X(mpegts, "mpegts")                                                                                      \
    X(mpegps, "mpeg")                                                                                        \
    X(flv, "flv")                                                                                            \
    X(asf, "asf")                                                                                            \
    X(amr, "amr")                                                                                            \
    X(aiff, "aiff")                                                                                          \
    X(ac3, "ac3")                                                                                            \
    X(caf, "caf")                                                                                            \
    X(au, "au")

/* libavcodec's decoders; all of them decode sound. */
#define EACH_DECODER(X)                                                                                      \
    X(aac)                                                                                                   \
    X(aac_latm)                                                                                              \
    X(mp3float)                                                                                              \
    X(mp1)                                                                                                   \
    X(mp2)                                                                                                   \
    X(ac3)                                                                                                   \
    X(eac3)                                                                                                  \
    X(dca)                                                                                                   \
    X(truehd)                                                                                                \
    X(mlp)                                                                                                   \
    X(opus)                                                                                                  \
    X(vorbis)                                                                                                \
    X(flac)                                                                                                  \
    X(alac)                                                                                                  \
    X(wavpack)                                                                                               \
    X(speex)                                                                                                 \
    X(wmav1)                                                                                                 \
    X(wmav2)                                                                                                 \
    X(wmapro)                                                                                                \
    X(wmalossless)                                                                                           \
    X(amrnb)                                                                                                 \
    X(amrwb)                                                                                                 \
    X(nellymoser)                                                                                            \
    X(gsm)                                                                                                   \
    X(gsm_ms)                                                                                                \
    X(adpcm_ms)                                                                                              \
    X(adpcm_ima_wav)                                                                                         \
    X(adpcm_ima_qt)                                                                                          \
    X(adpcm_swf)                                                                                             \
    X(pcm_alaw)                                                                                              \
    X(pcm_mulaw)                                                                                             \
    X(pcm_u8)                                                                                                \
    X(pcm_s8)                                                                                                \
    X(pcm_s16le)                                                                                             \
    X(pcm_s16be)                                                                                             \
    X(pcm_u16le)                                                                                             \
    X(pcm_s24le)                                                                                             \
    X(pcm_s24be)                                                                                             \
    X(pcm_s32le)                                                                                             \
    X(pcm_s32be)                                                                                             \
    X(pcm_f32le)                                                                                             \
    X(pcm_f32be)                                                                                             \
    X(pcm_f64le)                                                                                             \
    X(pcm_f64be)                                                                                             \
    X(pcm_bluray)                                                                                            \
    X(pcm_dvd)

/* Not taken, but known: the pictures in an MPEG file are looked at until something knows them. */
#define KNOWN_FORMAT(X) X(mpegvideo, "mpegvideo")

/* Parsers cut the packets of streams without a container of their own. */
#define EACH_PARSER(X)                                                                                       \
    X(aac)                                                                                                   \
    X(aac_latm)                                                                                              \
    X(ac3)                                                                                                   \
    X(amr)                                                                                                   \
    X(dca)                                                                                                   \
    X(flac)                                                                                                  \
    X(gsm)                                                                                                   \
    X(mlp)                                                                                                   \
    X(mpegaudio)                                                                                             \
    X(opus)                                                                                                  \
    X(vorbis)

/* The names with a comma behind each, as FFmpeg takes lists. */
#define ALLOWED_NAME(name) #name ","
#define ALLOWED_FORMAT_NAME(symbol, name) name ","
#define ALLOWED_DECODERS EACH_DECODER(ALLOWED_NAME)
#define ALLOWED_FORMATS EACH_FORMAT(ALLOWED_FORMAT_NAME)

#endif
