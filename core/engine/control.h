/*
 * The line between the supervisor and one worker: a stream socketpair with short text lines. Loop thread.
 *   worker -> supervisor   "bundle NAME GENERATION", "upstream NAME" (another bundle calls it), "ready";
 *                          "| line of a report", "failed"; "draining", "idle" (nothing is in flight);
 *                          "missing BACKEND WHY", "answers BACKEND"; "alive", every
 *                          TIDE_CONTROL_BEAT_MS: its loop turns
 *   supervisor -> worker   "drain", "finish" (nothing is in flight anywhere)
 * Its end tells each side that the other one is gone.
 */
#ifndef TIDE_ENGINE_CONTROL_H
#define TIDE_ENGINE_CONTROL_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

#define TIDE_CONTROL_BEAT_MS 1000

struct tide_control {
    uv_pipe_t pipe;
    struct tide_buf input;
    char chunk[4096];
    void (*on_line)(void *arg, const char *line); /* without its newline */
    void (*on_end)(void *arg);                    /* once; the control is closed then */
    void *arg;
    bool open;
};

/* Takes over fd. */
TIDE_WARN_UNUSED bool tide_control_init(struct tide_control *control, uv_loop_t *loop, int fd,
                                        void (*on_line)(void *arg, const char *line),
                                        void (*on_end)(void *arg), void *arg, struct tide_err *err);
/* Blocks shortly at most; a peer that is gone is told by on_end. */
void tide_control_send(struct tide_control *control, const char *line);
void tide_control_close(
    struct tide_control *control); /* on_end is not called; `control` lives until the loop closed it */

#endif
