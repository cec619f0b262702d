#include "base/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define FILE_BATCH (32 * 1024)
#define USUAL_EVENT 511 /* bytes: most need no more */
/* An event over the limit keeps so many fields, and of them and of its words so many bytes. */
#define MAX_FIELDS 32
#define SHORT 256

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colors[] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};

struct tide_log_batch {
    pthread_mutex_t lock;
    size_t limit; /* bytes of a write */
    struct tide_buf lines;
    int64_t second; /* that `time` is in */
    char time[25];
};

void tide_log_init(struct tide_log *log, int fd, enum tide_log_format format, enum tide_log_level level,
                   const char *process)
{
    bool terminal = isatty(fd) == 1;

    log->fd = fd;
    log->level = level;
    log->json = format == TIDE_LOG_JSON || (format == TIDE_LOG_AUTO && !terminal);
    log->color = !log->json && terminal;
    log->batch = NULL;
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

static void format_json(const struct tide_log *log, struct tide_buf *buf, const char *time, const char *level,
                        const char *event, const struct tide_log_field *fields, size_t count)
{
    size_t i;

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

static void format_human(const struct tide_log *log, struct tide_buf *buf, const char *time,
                         enum tide_log_level level, const char *event, const struct tide_log_field *fields,
                         size_t count)
{
    size_t i;

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

static void put_line(const struct tide_log *log, struct tide_buf *buf, const char *time,
                     enum tide_log_level level, const char *event, const struct tide_log_field *fields,
                     size_t count)
{
    if (log->json)
        format_json(log, buf, time, level_names[level], event, fields, count);
    else
        format_human(log, buf, time, level, event, fields, count);
}

/* An event over TIDE_LOG_EVENT_MAX: what is long of it is told by its size. */
static void put_shortened(const struct tide_log *log, struct tide_buf *buf, const char *time,
                          enum tide_log_level level, const char *event, const struct tide_log_field *fields,
                          size_t count)
{
    struct tide_log_field kept[MAX_FIELDS];
    char words[SHORT + 1], sizes[MAX_FIELDS][48];

    snprintf(words, sizeof words, "%s", event);
    count = count < MAX_FIELDS ? count : MAX_FIELDS;
    for (size_t i = 0; i < count; i++) {
        bool text = fields[i].type == TIDE_LOG_STRING || fields[i].type == TIDE_LOG_RAW_JSON;
        size_t len = text && fields[i].as.string ? strlen(fields[i].as.string) : 0;

        snprintf(sizes[i], sizeof sizes[i], "%zu bytes, left out", len);
        kept[i] = len > SHORT ? tide_log_str(fields[i].name, sizes[i]) : fields[i];
    }
    put_line(log, buf, time, level, words, kept, count);
}

/* Appends one line. */
static void put_event(const struct tide_log *log, struct tide_buf *buf, const char *time,
                      enum tide_log_level level, const char *event, const struct tide_log_field *fields,
                      size_t count)
{
    size_t before = buf->len;

    tide_buf_reserve(buf, USUAL_EVENT);
    put_line(log, buf, time, level, event, fields, count);
    if (buf->overflow) {
        buf->overflow = false;
        buf->len = before;
        put_shortened(log, buf, time, level, event, fields, count);
    }
}

static void put_out(const struct tide_log *log, const char *data, size_t len)
{
    ssize_t n = write(log->fd, data, len);

    (void)n; /* a log that cannot be written has nobody to tell */
}

void tide_log_write(const struct tide_log *log, enum tide_log_level level, const char *event,
                    const struct tide_log_field *fields, size_t count)
{
    struct tide_buf buf;
    char time[25];

    if (!log || level < log->level)
        return;
    tide_buf_init(&buf, TIDE_LOG_EVENT_MAX);
    tide_clock_format(tide_clock_now_ms(), time);
    put_event(log, &buf, time, level, event, fields, count);
    tide_log_flush(log);
    put_out(log, buf.data, buf.len);
    tide_buf_release(&buf);
}

/* ---- gathered lines ---- */

/* What is longer than PIPE_BUF may mix in a pipe with what other processes write; in a file it does not. */
static size_t write_limit(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? FILE_BATCH : PIPE_BUF;
}

bool tide_log_batch_new(struct tide_log *log)
{
    log->batch = calloc(1, sizeof *log->batch);
    if (!log->batch)
        return false;
    pthread_mutex_init(&log->batch->lock, NULL);
    log->batch->limit = write_limit(log->fd);
    tide_buf_init(&log->batch->lines, log->batch->limit + TIDE_LOG_EVENT_MAX);
    return true;
}

/* Writes the first bytes. */
static void flush(const struct tide_log *log, size_t len)
{
    struct tide_buf *lines = &log->batch->lines;

    if (len == 0)
        return;
    put_out(log, lines->data, len);
    memmove(lines->data, lines->data + len, lines->len - len);
    lines->len -= len;
}

void tide_log_flush(const struct tide_log *log)
{
    if (!log->batch)
        return;
    pthread_mutex_lock(&log->batch->lock);
    flush(log, log->batch->lines.len);
    pthread_mutex_unlock(&log->batch->lock);
}

void tide_log_batch_free(struct tide_log *log)
{
    if (!log->batch)
        return;
    tide_log_flush(log);
    tide_buf_release(&log->batch->lines);
    pthread_mutex_destroy(&log->batch->lock);
    free(log->batch);
    log->batch = NULL;
}

static const char *batch_time(struct tide_log_batch *batch)
{
    int64_t now = tide_clock_now_ms();

    if (now / 1000 == batch->second)
        tide_clock_format_ms(now, batch->time);
    else
        tide_clock_format(now, batch->time);
    batch->second = now / 1000;
    return batch->time;
}

void tide_log_gather(const struct tide_log *log, enum tide_log_level level, const char *event,
                     const struct tide_log_field *fields, size_t count)
{
    struct tide_buf *lines;
    size_t before;

    if (!log || !log->batch) {
        tide_log_write(log, level, event, fields, count);
        return;
    }
    if (level < log->level)
        return;
    lines = &log->batch->lines;
    pthread_mutex_lock(&log->batch->lock);
    before = lines->len;
    put_event(log, lines, batch_time(log->batch), level, event, fields, count);
    if (lines->len > log->batch->limit)
        flush(log, before);
    if (lines->len > log->batch->limit)
        flush(log, lines->len);
    pthread_mutex_unlock(&log->batch->lock);
}
