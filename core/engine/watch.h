/*
 * Tells when something below a directory has changed: files that are written in place or renamed over, and
 * the renamed `..data` link of a mounted ConfigMap. What comes within 20 ms is told once. As some file
 * systems tell nothing, every directory can also be told to have changed at an interval. Loop thread.
 */
#ifndef TIDE_ENGINE_WATCH_H
#define TIDE_ENGINE_WATCH_H

#include <uv.h>

#include "base/err.h"

struct tide_watch;

/* `changed` is called with the index that the directory was added with: perhaps nothing of interest changed.
 * events: those of the file system are heard; poll_ms: the interval, 0: none. */
struct tide_watch *tide_watch_new(uv_loop_t *loop, bool events, int64_t poll_ms,
                                  void (*changed)(void *arg, size_t index), void *arg);
/* The directory and those below it, dot directories left out. One that is not there is only looked at. */
TIDE_WARN_UNUSED bool tide_watch_add(struct tide_watch *watch, size_t index, const char *directory);
/* The loop must run once more. */
void tide_watch_free(struct tide_watch *watch);

#endif
