/*
 * Takes away everything that a process which parses untrusted bytes does not need, for good. After it the
 * process can compute, allocate memory up to its limit, and read and write the descriptors that it has.
 */
#ifndef TIDE_MEDIA_CHILD_SANDBOX_H
#define TIDE_MEDIA_CHILD_SANDBOX_H

#include <stdint.h>

#include "base/err.h"

struct sandbox_limits {
    int64_t memory; /* bytes of address space */
    int64_t cpu_ms;
};

/* The first thing in main: dies with its parent, closes inherited descriptors above `last_fd`. */
void sandbox_early(int last_fd);

/* Before the first untrusted byte. Opening a file then fails with EACCES; any other forbidden system call
 * ends the process with SIGSYS. */
TIDE_WARN_UNUSED bool sandbox_enter(const struct sandbox_limits *limits, int last_fd, struct tide_err *err);

#endif
