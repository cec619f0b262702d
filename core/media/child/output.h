/* Where encoded bytes go: counts them, keeps them within the limit, hands them to the channel. */
#ifndef TIDE_MEDIA_CHILD_OUTPUT_H
#define TIDE_MEDIA_CHILD_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "media/child/channel.h"

struct output {
    struct channel *channel;
    int64_t max;    /* bytes */
    int64_t length; /* bytes so far */
    bool can_patch; /* its first bytes can be written again at the end */
};

static inline bool output_write(struct output *output, const void *data, size_t len, struct tide_err *err)
{
    if ((int64_t)len > output->max - output->length)
        return tide_err_set(err, TIDE_ERR_LIMIT, false, "the output is larger than %lld bytes",
                            (long long)output->max);
    output->length += (int64_t)len;
    channel_write(output->channel, data, len);
    return true;
}

#endif
