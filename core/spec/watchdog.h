/*
 * Ends the process when a test does not end: it may wait for ever, or loop without coming back to the event
 * loop. A thread of its own looks at the clock; everything here is called by the thread that runs the specs.
 */
#ifndef TIDE_SPEC_WATCHDOG_H
#define TIDE_SPEC_WATCHDOG_H

#include <stdint.h>

#include "base/err.h"

struct tide_watchdog;

/* `log`: named to the reader when it bites; copied. NULL with err when there is no thread to be had. */
struct tide_watchdog *tide_watchdog_start(int64_t timeout_ms, const char *log, struct tide_err *err);
/* From now on `name` has the whole time; `place` (FILE or FILE:LINE) is told beside it. Both are copied, and
 * cut at 255 bytes. */
void tide_watchdog_watch(struct tide_watchdog *watchdog, const char *name, const char *place);
void tide_watchdog_stop(struct tide_watchdog *watchdog); /* NULL allowed */

#endif
