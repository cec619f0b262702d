/* Other processes are noticed by inotify on the write-ahead log, delayed messages and ended leases by a
 * timer, and whatever both may miss by a poll once a second. The timer also renews the leases held. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "queue/sqlite_broker.h"

#define POLL_MS 1000

static void look_everywhere(struct broker *broker)
{
    struct consumer *consumer;

    for (consumer = broker->consumers; consumer; consumer = consumer->next)
        consumer->look = true;
    tide_turn_start(broker);
}

static void renew(struct broker *broker, struct consumer *consumer, int64_t now)
{
    struct delivery *delivery;

    for (delivery = consumer->held; delivery; delivery = delivery->next) {
        struct request *request;

        if (delivery->lease_end_ms - now > consumer->how.lease_ms * 2 / 3)
            continue;
        request = calloc(1, sizeof *request);
        if (!request)
            return;
        delivery->lease_end_ms = now + consumer->how.lease_ms;
        request->what = RENEW;
        request->lease = delivery->lease;
        request->lease_end_ms = delivery->lease_end_ms;
        tide_turn_enqueue(broker, request);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct broker *broker = timer->data;
    struct consumer *consumer;
    int64_t now = tide_clock_monotonic_ms(), next = POLL_MS;

    for (consumer = broker->consumers; consumer; consumer = consumer->next) {
        renew(broker, consumer, now);
        if (consumer->held && consumer->how.lease_ms / 3 < next)
            next = consumer->how.lease_ms / 3;
    }
    tide_wake_after(broker, next);
    look_everywhere(broker);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status;
    look_everywhere(watch->data);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void start_watch(struct broker *broker)
{
    char wal[4096];

    broker->watch = calloc(1, sizeof *broker->watch);
    if (!broker->watch)
        return;
    snprintf(wal, sizeof wal, "%s-wal", broker->path);
    uv_fs_event_init(broker->loop, broker->watch);
    broker->watch->data = broker;
    if (uv_fs_event_start(broker->watch, on_change, wal, 0) != 0)
        tide_log_event(broker->base.log, TIDE_LOG_WARN,
                       "queue: no watch, other processes are noticed once a second",
                       tide_log_str("file", wal));
    uv_unref((uv_handle_t *)broker->watch);
}

bool tide_wake_open(struct broker *broker)
{
    broker->timer = calloc(1, sizeof *broker->timer);
    if (!broker->timer)
        return false;
    uv_timer_init(broker->loop, broker->timer);
    broker->timer->data = broker;
    uv_unref((uv_handle_t *)broker->timer);
    start_watch(broker);
    return true;
}

void tide_wake_close(struct broker *broker)
{
    if (broker->timer)
        uv_close((uv_handle_t *)broker->timer, free_handle);
    if (broker->watch)
        uv_close((uv_handle_t *)broker->watch, free_handle);
}

void tide_wake_after(struct broker *broker, int64_t ms)
{
    if (!broker->closing)
        uv_timer_start(broker->timer, on_timer, (uint64_t)(ms < 1 ? 1 : ms), 0);
}
