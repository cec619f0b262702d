/* One job: the container's sound through decoder, conversion and encoder to the output. */
#ifndef TIDE_MEDIA_CHILD_TRANSCODE_H
#define TIDE_MEDIA_CHILD_TRANSCODE_H

#include "media/child/channel.h"

/* Fills the result's sound and container, not its CPU and memory. */
TIDE_WARN_UNUSED bool transcode(struct channel *channel, const struct tide_frame_start *start,
                                const char *title, struct tide_frame_result *result, struct tide_err *err);

#endif
