#include "base/fault.h"

#ifdef TIDE_FAULTS

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void tide_fault(const char *point, const char *subject)
{
    const char *directory = getenv("TIDE_FAULTS");
    char path[PATH_MAX];

    if (!directory)
        return;
    snprintf(path, sizeof path, "%s/%s%s%s", directory, point, subject ? "." : "", subject ? subject : "");
    if (unlink(path) == 0)
        kill(getpid(), SIGKILL);
}

#else

void tide_fault(const char *point, const char *subject)
{
    (void)point;
    (void)subject;
}

#endif
