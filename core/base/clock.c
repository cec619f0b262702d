#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
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

void tide_clock_format(int64_t wall_ms, char out[25])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[48];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
    memcpy(out, text, 24);
    out[24] = '\0';
}
