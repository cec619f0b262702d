#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define MAX_EVENT (64 * 1024)
#define USUAL_EVENT 511 /* bytes: most need no more */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colors[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};

void tide_log_init(struct tide_log *log, int fd, enum tide_log_format format, enum tide_log_level level,
                   const char *process)
{
    bool terminal = isatty(fd) == 1;

    log->fd = fd;
    log->level = level;
    log->json = format == TIDE_LOG_JSON || (format == TIDE_LOG_AUTO && !terminal);
    log->color = !log->json && terminal;
    snprintf(log->process, sizeof log->process, "%s", process);
}

struct tide_log_field tide_log_str(const char *name, const char *value)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_STRING, .as.string = value};
}

struct tide_log_field tide_log_int(const char *name, int64_t value)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_INT, .as.integer = value};
}

struct tide_log_field tide_log_seconds(const char *name, uint64_t ns)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_SECONDS, .as.integer = (int64_t)ns};
}

struct tide_log_field tide_log_num(const char *name, double value)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_NUMBER, .as.number = value};
}

struct tide_log_field tide_log_bool(const char *name, bool value)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_BOOL, .as.boolean = value};
}

struct tide_log_field tide_log_json(const char *name, const char *json)
{
    return (struct tide_log_field){.name = name, .type = TIDE_LOG_RAW_JSON, .as.string = json};
}

static bool is_left_out(const struct tide_log_field *field)
{
    return (field->type == TIDE_LOG_STRING || field->type == TIDE_LOG_RAW_JSON) && !field->as.string;
}

static void put_seconds(struct tide_buf *buf, int64_t us)
{
    int64_t digit;

    tide_buf_int(buf, us / 1000000);
    tide_buf_putc(buf, '.');
    for (digit = 100000; digit > 0; digit /= 10)
        tide_buf_putc(buf, (char)('0' + us / digit % 10));
}

static void put_value(struct tide_buf *buf, const struct tide_log_field *field, bool json)
{
    switch (field->type) {
    case TIDE_LOG_STRING:
        if (json || strpbrk(field->as.string, " \"\n\r\t=\033"))
            tide_buf_json(buf, field->as.string, strlen(field->as.string));
        else
            tide_buf_puts(buf, field->as.string);
        break;
    case TIDE_LOG_INT:
        tide_buf_int(buf, field->as.integer);
        break;
    case TIDE_LOG_SECONDS:
        put_seconds(buf, field->as.integer / 1000);
        break;
    case TIDE_LOG_NUMBER:
        tide_buf_printf(buf, "%.6g", field->as.number);
        break;
    case TIDE_LOG_BOOL:
        tide_buf_puts(buf, field->as.boolean ? "true" : "false");
        break;
    case TIDE_LOG_RAW_JSON:
        tide_buf_puts(buf, field->as.string);
        break;
    }
}

/* A line for every request: printf would take more time than all else that is done for one. */
static void put_all(struct tide_buf *buf, const char *text, ...)
{
    va_list args;

    va_start(args, text);
    for (; text; text = va_arg(args, const char *))
        tide_buf_puts(buf, text);
    va_end(args);
}

static void format_json(const struct tide_log *log, struct tide_buf *buf, const char *level,
                        const char *event, const struct tide_log_field *fields, size_t count)
{
    char time[25];
    size_t i;

    tide_clock_format(tide_clock_now_ms(), time);
    put_all(buf, "{\"time\":\"", time, "\",\"level\":\"", level, "\",\"process\":\"", log->process,
            "\",\"event\":", (char *)NULL);
    tide_buf_json(buf, event, strlen(event));
    for (i = 0; i < count; i++) {
        if (is_left_out(&fields[i]))
            continue;
        put_all(buf, ",\"", fields[i].name, "\":", (char *)NULL);
        put_value(buf, &fields[i], true);
    }
    tide_buf_puts(buf, "}\n");
}

static void format_human(const struct tide_log *log, struct tide_buf *buf, enum tide_log_level level,
                         const char *event, const struct tide_log_field *fields, size_t count)
{
    char time[25];
    size_t i;

    tide_clock_format(tide_clock_now_ms(), time);
    tide_buf_printf(buf, "%.12s %s%-5s%s %s", time + 11, log->color ? level_colors[level] : "",
                    level_names[level], log->color ? "\033[0m" : "", event);
    for (i = 0; i < count; i++) {
        if (is_left_out(&fields[i]))
            continue;
        tide_buf_printf(buf, "  %s%s=%s", log->color ? "\033[2m" : "", fields[i].name,
                        log->color ? "\033[0m" : "");
        put_value(buf, &fields[i], false);
    }
    tide_buf_putc(buf, '\n');
}

void tide_log_write(const struct tide_log *log, enum tide_log_level level, const char *event,
                    const struct tide_log_field *fields, size_t count)
{
    struct tide_buf buf;
    ssize_t n;

    if (!log || level < log->level)
        return;
    tide_buf_init(&buf, MAX_EVENT);
    tide_buf_reserve(&buf, USUAL_EVENT);
    if (log->json)
        format_json(log, &buf, level_names[level], event, fields, count);
    else
        format_human(log, &buf, level, event, fields, count);
    if (buf.overflow) {
        tide_buf_reset(&buf);
        format_json(log, &buf, level_names[level], "log event over 64 KiB dropped", NULL, 0);
    }
    n = write(log->fd, buf.data, buf.len);
    (void)n; /* a log that cannot be written has nobody to tell */
    tide_buf_release(&buf);
}
