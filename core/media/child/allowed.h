/* Which containers and codecs are taken: what people upload, and nothing that reaches other files or hosts.
 */
#ifndef TIDE_MEDIA_CHILD_ALLOWED_H
#define TIDE_MEDIA_CHILD_ALLOWED_H

/* libavformat's demuxers. Not among them: hls, concat, sdp, image sequences, playlists. */
#define ALLOWED_FORMATS "mov,matroska,avi,mp3,wav,w64,ogg,flac,aac,mpegts,mpeg,flv,asf,amr,aiff,ac3,caf,au"

/* libavcodec's decoders; all of them decode sound. */
#define ALLOWED_DECODERS                                                                                     \
    "aac,aac_latm,mp1float,mp2float,mp3float,mp1,mp2,mp3,ac3,eac3,dca,truehd,mlp,opus,libopus,vorbis,flac,"  \
    "alac,wavpack,speex,libspeex,wmav1,wmav2,wmapro,wmalossless,amrnb,amrwb,nellymoser,gsm,gsm_ms,"          \
    "adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,"    \
    "pcm_u16le,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,"  \
    "pcm_dvd"

#endif
