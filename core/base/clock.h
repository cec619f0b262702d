/* Time, in milliseconds. Any thread. */
#ifndef TIDE_BASE_CLOCK_H
#define TIDE_BASE_CLOCK_H

#include <stdint.h>

int64_t tide_clock_now_ms(void);       /* wall clock, since 1970-01-01 UTC; may jump */
int64_t tide_clock_monotonic_ms(void); /* never goes back; shared by the processes of one machine */

/* Moves the wall clock of this process on (or back): only for specs, which can't wait a day. */
void tide_clock_advance_ms(int64_t ms);

/* Writes RFC 3339 UTC with milliseconds, "2026-11-23T23:57:58.123Z", into out. */
void tide_clock_format(int64_t wall_ms, char out[25]);
/* Makes `text`, which holds a time of the same second, into that of wall_ms. */
void tide_clock_format_ms(int64_t wall_ms, char text[25]);

#endif
