#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

static atomic_int_least64_t ahead_ms; /* 0 but in specs */

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t tide_clock_now_ms(void)
{
    return read_ms(CLOCK_REALTIME) + atomic_load_explicit(&ahead_ms, memory_order_relaxed);
}

void tide_clock_advance_ms(int64_t ms)
{
    atomic_fetch_add(&ahead_ms, ms);
}

int64_t tide_clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

/* Writes `count` digits that end before `end`. */
static void put_digits(char *end, int value, int count)
{
    for (; count > 0; count--, value /= 10)
        *--end = (char)('0' + value % 10);
}

void tide_clock_format(int64_t wall_ms, char out[25])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    memcpy(out, "YYYY-MM-DDThh:mm:ss.nnnZ", 25);
    put_digits(out + 4, tm.tm_year + 1900, 4);
    put_digits(out + 7, tm.tm_mon + 1, 2);
    put_digits(out + 10, tm.tm_mday, 2);
    put_digits(out + 13, tm.tm_hour, 2);
    put_digits(out + 16, tm.tm_min, 2);
    put_digits(out + 19, tm.tm_sec, 2);
    tide_clock_format_ms(wall_ms, out);
}

void tide_clock_format_ms(int64_t wall_ms, char text[25])
{
    put_digits(text + 23, (int)(wall_ms % 1000), 3);
}
