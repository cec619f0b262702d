/*
 * The line between the supervisor and one worker: a stream socketpair with short text lines, of which one may
 * carry a descriptor. Loop thread.
 *   worker -> supervisor   "bundle NAME GENERATION", "upstream NAME" (another bundle calls it), "ready";
 *                          "| line of a report", "failed"; "draining", "idle" (nothing is in flight);
 *                          "missing BACKEND WHY", "answers BACKEND"; "alive", every
 *                          TIDE_CONTROL_BEAT_MS: its loop turns
 *                          "agrees NAME GENERATION"; "| line of a report", "refuses NAME GENERATION";
 *                          "bundle NAME GENERATION" again when that runs;
 *                          "retired NAME COUNT": generations before it that are still busy
 *   supervisor -> worker   "leave" (soon it drains), "drain", "finish" (nothing is in flight anywhere);
 *                          "prepare NAME GENERATION" with its content (script/content.h),
 *                          "swap NAME GENERATION", "forget NAME"
 * Its end tells each side that the other one is gone.
 */
#ifndef TIDE_ENGINE_CONTROL_H
#define TIDE_ENGINE_CONTROL_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

#define TIDE_CONTROL_BEAT_MS 1000

/* The descriptors a worker is started with; from SOCKETS on one a listener, then one a bundle. */
enum { TIDE_WORKER_CONTROL = 3, TIDE_WORKER_SETTINGS, TIDE_WORKER_METRICS, TIDE_WORKER_SOCKETS };

struct tide_control {
    uv_poll_t poll;
    int fd, passed; /* passed: a descriptor that came and was not taken yet; -1: none */
    struct tide_buf input;
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
/* The same, with a descriptor: the peer gets a duplicate. */
void tide_control_pass(struct tide_control *control, const char *line, int fd);
/* In on_line: the descriptor that came with the line, the caller's now; -1: none did. */
int tide_control_take(struct tide_control *control);
void tide_control_close(
    struct tide_control *control); /* on_end is not called; `control` lives until the loop closed it */

#endif
