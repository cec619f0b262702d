/* Quantities written in words, as settings and scripts give them. */
#ifndef TIDE_BASE_UNIT_H
#define TIDE_BASE_UNIT_H

#include <stdint.h>

#include "base/err.h"

/* "250ms", "30s", "25m", "2h", "7d", or a sum as "1h30m". Milliseconds, 0 to 10 years. No bare numbers. */
TIDE_WARN_UNUSED bool tide_unit_duration(const char *text, int64_t *ms, struct tide_err *err);

/* "512B", "8KiB", "2MiB", "5GiB", "1TiB", and decimal "8KB", "5MB", "2GB". Bytes. No bare numbers but "0". */
TIDE_WARN_UNUSED bool tide_unit_size(const char *text, int64_t *bytes, struct tide_err *err);

/* "10/s", "100/m", "5000/h": events per second. */
TIDE_WARN_UNUSED bool tide_unit_rate(const char *text, double *per_second, struct tide_err *err);

#endif
