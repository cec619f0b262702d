#include "base/unit.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {0, 0},
};

static const struct unit sizes[] = {
    {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30},    {"TiB", 1LL << 40}, {"KB", 1000},
    {"MB", 1000000},    {"GB", 1000000000}, {"TB", 1000000000000}, {"B", 1},           {0, 0},
};

#define MAX_DURATION_MS (10LL * 366 * 86400000)
#define MAX_SIZE (1LL << 50)

/* Plain decimals only: strtod takes hexadecimal, exponents, "inf" and signs as well. */
static bool read_number(const char *text, char **end, double *number)
{
    size_t len = strspn(text, "0123456789.");

    errno = 0;
    *number = strtod(text, end);
    return isdigit((unsigned char)*text) && *end == text + len && errno == 0;
}

/* Reads one number with its unit and moves *text behind it. */
static bool read_one(const char **text, const struct unit *units, int64_t max, int64_t *value)
{
    const char *s = *text;
    char *end;
    size_t len;
    double number;

    if (!read_number(s, &end, &number))
        return false;
    for (len = 0; isalpha((unsigned char)end[len]);)
        len++;
    for (; units->name; units++)
        if (strlen(units->name) == len && memcmp(units->name, end, len) == 0)
            break;
    if (!units->name || number * (double)units->factor > (double)max)
        return false;
    *value = (int64_t)(number * (double)units->factor);
    *text = end + len;
    return true;
}

bool tide_unit_duration(const char *text, int64_t *ms, struct tide_err *err)
{
    const char *s = text;
    int64_t total = 0, part = 0;

    do {
        if (!read_one(&s, durations, MAX_DURATION_MS - total, &part))
            return tide_err_set(
                err, TIDE_ERR_INVALID, false,
                "'%.40s' is not a duration: write it as \"250ms\", \"30s\", \"25m\", \"2h\" or \"7d\"", text);
        total += part;
    } while (*s);
    *ms = total;
    return true;
}

bool tide_unit_size(const char *text, int64_t *bytes, struct tide_err *err)
{
    const char *s = text;

    if (strcmp(text, "0") == 0) {
        *bytes = 0;
        return true;
    }
    if (!read_one(&s, sizes, MAX_SIZE, bytes) || *s)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "'%.40s' is not a size: write it as \"512B\", \"8KiB\", \"2MiB\" or \"5GiB\"",
                            text);
    return true;
}

bool tide_unit_rate(const char *text, double *per_second, struct tide_err *err)
{
    char *end;
    double number;
    bool ok = read_number(text, &end, &number);
    double seconds = strcmp(end, "/s") == 0   ? 1
                     : strcmp(end, "/m") == 0 ? 60
                     : strcmp(end, "/h") == 0 ? 3600
                                              : 0;

    if (!ok || seconds == 0 || number <= 0 || number > 1e9)
        return tide_err_set(err, TIDE_ERR_INVALID, false,
                            "'%.40s' is not a rate: write it as \"10/s\", \"100/m\" or \"5000/h\"", text);
    *per_second = number / seconds;
    return true;
}
