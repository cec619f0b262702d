/*
 * Structured log: one line an event, JSON or (on a terminal) human-readable. Any thread: an event is built
 * on the stack and written with one write(2), unless it is gathered. Callers never pass a password, token or
 * secret.
 */
#ifndef TIDE_BASE_LOG_H
#define TIDE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tide_log_level { TIDE_LOG_DEBUG, TIDE_LOG_INFO, TIDE_LOG_WARN, TIDE_LOG_ERROR };

enum tide_log_format { TIDE_LOG_AUTO, TIDE_LOG_JSON, TIDE_LOG_HUMAN };

struct tide_log {
    int fd;
    enum tide_log_level level; /* events below are dropped */
    bool json;
    bool color;
    char process[24];             /* "supervisor", "worker-0", ... */
    struct tide_log_batch *batch; /* NULL: nothing is gathered */
};

/* TIDE_LOG_AUTO: human-readable with colour when fd is a terminal, JSON otherwise. */
void tide_log_init(struct tide_log *log, int fd, enum tide_log_format format, enum tide_log_level level,
                   const char *process);

struct tide_log_field {
    const char *name;
    enum {
        TIDE_LOG_STRING,
        TIDE_LOG_INT,
        TIDE_LOG_SECONDS,
        TIDE_LOG_NUMBER,
        TIDE_LOG_BOOL,
        TIDE_LOG_RAW_JSON
    } type;
    union {
        const char *string; /* NULL: the field is left out; for RAW_JSON the text is trusted JSON */
        int64_t integer;    /* of SECONDS: nanoseconds, 0 or more */
        double number;
        bool boolean;
    } as;
};

struct tide_log_field tide_log_str(const char *name, const char *value);
struct tide_log_field tide_log_int(const char *name, int64_t value);
struct tide_log_field tide_log_seconds(const char *name, uint64_t ns); /* with six decimals */
struct tide_log_field tide_log_num(const char *name, double value);
struct tide_log_field tide_log_bool(const char *name, bool value);
struct tide_log_field tide_log_json(const char *name, const char *json);

#define TIDE_LOG_EVENT_MAX (64 * 1024) /* bytes of a line */
/* Writes one event. `event` is a short sentence for people ("worker started"); facts go into fields.
 * Of an event over the limit what is long is told by its size. log may be NULL (nothing is written). */
void tide_log_write(const struct tide_log *log, enum tide_log_level level, const char *event,
                    const struct tide_log_field *fields, size_t count);

/* As tide_log_write, for what is told of every request: the line may wait for the next flush, other event or
 * full batch, which goes out in one write(2). A process that is killed before takes it along. */
void tide_log_gather(const struct tide_log *log, enum tide_log_level level, const char *event,
                     const struct tide_log_field *fields, size_t count);
/* Makes `log` and its copies gather. False: no memory. */
bool tide_log_batch_new(struct tide_log *log);
/* Writes what was gathered. Its owner calls it before it waits for anything. */
void tide_log_flush(const struct tide_log *log);
void tide_log_batch_free(struct tide_log *log); /* flushes */

/* tide_log_event(log, TIDE_LOG_INFO, "worker started", tide_log_int("pid", pid), ...): at least one field. */
#define tide_log_event(log, level, event, ...)                                                               \
    tide_log_write(log, level, event, (const struct tide_log_field[]){__VA_ARGS__},                          \
                   sizeof((const struct tide_log_field[]){__VA_ARGS__}) / sizeof(struct tide_log_field))

#endif
