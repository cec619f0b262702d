/*
 * A loop, a broker and what it delivered: for the tests of core/queue. The broker is the embedded one in a
 * directory of the test's own, or that of AMQP_URL (set_up_amqp), where each process of tests has names of
 * its own.
 */
#ifndef SPEC_QUEUE_FIXTURE_H
#define SPEC_QUEUE_FIXTURE_H

#include "loop.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "queue/queue.h"

#define PATIENCE_MS 60000 /* after which something will not come any more */

struct fixture {
    uv_loop_t loop;
    int files;
    struct tide_queue_broker *broker;
    char dir[64], path[96], url[800], queue[40];
};

/* What a consumer was given and what it does with it at once: NULL keeps it. */
struct inbox {
    struct tide_queue_consumer *consumer;
    void (*act)(struct inbox *inbox, struct tide_delivery *delivery);
    struct tide_delivery *held[256];
    size_t count; /* held now */
    size_t total; /* deliveries ever */
    char texts[256][32];
    void *arg;
};

static inline void open_broker(struct fixture *f)
{
    struct tide_err err = {0};

    f->broker = tide_queue_broker_open(&f->loop, NULL, f->url, &err);
    if (!f->broker)
        fail_msg("%s: %s", err.code, err.message);
}

static inline void close_broker(struct fixture *f)
{
    tide_queue_broker_close(f->broker);
    f->broker = NULL;
}

/* A queue that no other test has, also on a server that is shared. */
static inline void name_queue(struct fixture *f)
{
    static unsigned number;

    snprintf(f->queue, sizeof f->queue, "spec-%d-%u", (int)getpid(), ++number);
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/tide-queue-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/queue.db", f->dir);
    snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
    name_queue(f);
    f->files = loop_open(&f->loop);
    open_broker(f);
    *state = f;
    return 0;
}

/* What a test leaves at the broker is deleted by it after some minutes. */
static inline void amqp_url(char *url, size_t size)
{
    const char *given = getenv("AMQP_URL");

    snprintf(url, size, "%s%cprefix=unit-%d.&expires=1m", given, strchr(given, '?') ? '&' : '?',
             (int)getpid());
}

static inline int set_up_amqp(void **state)
{
    struct fixture *f;

    set_up(state);
    f = *state;
    close_broker(f);
    amqp_url(f->url, sizeof f->url);
    open_broker(f);
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    close_broker(f);
    loop_close(&f->loop, f->files);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* ---- time ---- */

static inline void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing came within %d s", PATIENCE_MS / 1000);
}

static inline void wait_until(struct fixture *f, bool (*is_so)(const void *arg), const void *arg)
{
    uv_timer_t patience;

    uv_timer_init(&f->loop, &patience);
    uv_update_time(&f->loop);
    uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);
    while (!is_so(arg))
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&patience, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static inline void stop_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Lets the loop run for that long: what must not come had time to. */
static inline void run_for(struct fixture *f, uint64_t ms)
{
    uv_timer_t timer;

    uv_timer_init(&f->loop, &timer);
    uv_update_time(&f->loop);
    uv_timer_start(&timer, stop_loop, ms, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* ---- publish ---- */

struct confirm {
    int called;
    struct tide_err err; /* code NULL: confirmed */
};

static inline void on_confirm(void *arg, const struct tide_err *err)
{
    struct confirm *confirm = arg;

    confirm->called++;
    if (err)
        confirm->err = *err;
}

static inline bool is_called(const void *arg)
{
    return ((const struct confirm *)arg)->called > 0;
}

/* The code of the error, "ok" when it was confirmed. */
static inline const char *publish_bytes(struct fixture *f, const void *payload, size_t len, int64_t delay_ms)
{
    struct tide_queue_message message = {
        .queue = f->queue, .payload = payload, .len = len, .delay_ms = delay_ms};
    struct confirm confirm = {0};
    struct tide_err err = {0};

    if (!tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err))
        return err.code;
    assert_int_equal(confirm.called, 0); /* never inside the call */
    wait_until(f, is_called, &confirm);
    assert_int_equal(confirm.called, 1);
    return confirm.err.code ? confirm.err.code : "ok";
}

static inline void publish(struct fixture *f, const char *text)
{
    assert_string_equal(publish_bytes(f, text, strlen(text), 0), "ok");
}

/* ---- consume ---- */

static inline struct tide_queue_consume consume_defaults(const struct fixture *f)
{
    return (struct tide_queue_consume){.queue = f->queue,
                                       .prefetch = 100,
                                       .lease_ms = 30000,
                                       .attempts = 3,
                                       .backoff_ms = 1,
                                       .backoff_max_ms = 1};
}

static inline void on_delivery(void *arg, struct tide_delivery *delivery)
{
    struct inbox *inbox = arg;

    if (inbox->total < 256)
        snprintf(inbox->texts[inbox->total], sizeof inbox->texts[0], "%s",
                 tide_delivery_payload(delivery, NULL));
    inbox->total++;
    if (inbox->act) {
        inbox->act(inbox, delivery);
        return;
    }
    assert_true(inbox->count < 256);
    inbox->held[inbox->count++] = delivery;
}

static inline void consume_with(struct fixture *f, struct inbox *inbox, const struct tide_queue_consume *how)
{
    struct tide_err err = {0};

    inbox->consumer = tide_queue_consume(f->broker, how, on_delivery, inbox, &err);
    if (!inbox->consumer)
        fail_msg("%s: %s", err.code, err.message);
}

static inline void consume(struct fixture *f, struct inbox *inbox)
{
    struct tide_queue_consume how = consume_defaults(f);

    consume_with(f, inbox, &how);
}

static inline void act_ack(struct inbox *inbox, struct tide_delivery *delivery)
{
    (void)inbox;
    tide_delivery_ack(delivery);
}

struct wanted {
    const struct inbox *inbox;
    size_t total;
};

static inline bool has_total(const void *arg)
{
    const struct wanted *wanted = arg;

    return wanted->inbox->total >= wanted->total;
}

/* Until so many deliveries came, counted from the consumer's start; not one more. */
static inline void await_total(struct fixture *f, const struct inbox *inbox, size_t total)
{
    struct wanted wanted = {inbox, total};

    wait_until(f, has_total, &wanted);
    assert_int_equal(inbox->total, total);
}

static inline bool has_held(const void *arg)
{
    return ((const struct inbox *)arg)->count > 0;
}

/* The only delivery held; from now on the test's to end. */
static inline struct tide_delivery *take_one(struct fixture *f, struct inbox *inbox)
{
    wait_until(f, has_held, inbox);
    assert_int_equal(inbox->count, 1);
    inbox->count = 0;
    return inbox->held[0];
}

/* ---- processes ---- */

/* Runs `body` in a process with a broker of its own, and ends with its result. No consumer may be there: the
 * broker is closed for the fork, which SQLite's locks don't survive. */
static inline pid_t in_child(struct fixture *f, int (*body)(struct fixture *f, int out), int out)
{
    struct fixture own;
    pid_t pid;

    close_broker(f);
    pid = fork();
    if (pid != 0) {
        open_broker(f);
        return pid;
    }
    alarm(PATIENCE_MS / 1000);
    own = *f;
    if (uv_loop_init(&own.loop) != 0)
        _exit(2);
    open_broker(&own);
    _exit(body(&own, out));
}

static inline int hold_and_tell(struct fixture *f, int out)
{
    struct inbox inbox = {0};
    struct tide_queue_consume how = consume_defaults(f);

    how.lease_ms = 300;
    consume_with(f, &inbox, &how);
    wait_until(f, has_held, &inbox);
    run_for(f, 300); /* if it is a copy, what it was made of is acknowledged by now */
    if (write(out, "!", 1) != 1)
        return 1;
    run_for(f, PATIENCE_MS);
    return 0;
}

/* A process that gets SIGKILL once it has told. */
static inline void holder_dies_after(struct fixture *f, int (*hold)(struct fixture *f, int out))
{
    int pipes[2], status;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = in_child(f, hold, pipes[1]);
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* A process that takes a message and gets SIGKILL. */
static inline void holder_dies(struct fixture *f)
{
    holder_dies_after(f, hold_and_tell);
}

/* ---- look ---- */

/* Of the fixture's queue; zeros when there is nothing in it. */
static inline struct tide_queue_stat stat_of(struct fixture *f)
{
    struct tide_queue_stat stat = {0};
    struct tide_err err = {0};

    snprintf(stat.queue, sizeof stat.queue, "%s", f->queue);
    if (tide_queue_stats(f->broker, &stat, 1, 1, &err) < 0)
        fail_msg("%s: %s", err.code, err.message);
    return stat;
}

/* What waits to be written is written when a publish behind it is confirmed: it goes to a queue of its own.
 */
static inline void flush(struct fixture *f)
{
    char queue[40];

    strcpy(queue, f->queue);
    strcpy(f->queue, "spec-flush");
    publish(f, "");
    strcpy(f->queue, queue);
}

static inline bool is_stat(const struct tide_queue_stat *stat, int ready, int delayed, int leased, int dead)
{
    return stat->ready == ready && stat->delayed == delayed && stat->dead == dead &&
           (stat->leased == leased || stat->leased == -1);
}

/* A server may take its time until it counts what it has confirmed. */
static inline void expect_stat(struct fixture *f, int ready, int delayed, int leased, int dead)
{
    struct tide_queue_stat stat = stat_of(f);
    int64_t end = tide_clock_monotonic_ms() + PATIENCE_MS / 4;

    while (!is_stat(&stat, ready, delayed, leased, dead)) {
        if (tide_clock_monotonic_ms() > end)
            fail_msg("ready %d, delayed %d, leased %d, dead %d; expected %d, %d, %d, %d", (int)stat.ready,
                     (int)stat.delayed, (int)stat.leased, (int)stat.dead, ready, delayed, leased, dead);
        run_for(f, 20);
        stat = stat_of(f);
    }
}

#endif
