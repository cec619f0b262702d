/* What the kernel knows of a TCP connection's progress, for the server's deadlines. Any thread. */
#ifndef TIDE_HTTP_PROGRESS_H
#define TIDE_HTTP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct tide_http_progress {
    uint64_t received; /* bytes from the peer */
    uint64_t acked;    /* bytes that the peer has acknowledged */
    bool over;         /* the peer sends no more, and all it sent has been read */
};

/* False when it tells nothing. */
bool tide_http_progress_get(int fd, struct tide_http_progress *progress);

#endif
