#include "queue/amqp/link.h"

#include <amqp_framing.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST_PAUSE_MS 100 /* before connecting again; doubles */
#define LONGEST_PAUSE_MS 3000
#define HANG_MS 5000 /* a call of librabbitmq's must not take longer */
#define FRAMES 512   /* read in a row before commands are looked at */

/* ---- what the loop sees ---- */

static void set_state(struct tide_amqp_link *link, bool up, const struct tide_err *err)
{
    pthread_mutex_lock(&link->lock);
    if (up != link->up || link->blocked)
        link->since_ms = tide_clock_monotonic_ms();
    link->up = up;
    link->blocked = false;
    link->fd = up ? amqp_get_sockfd(link->conn) : -1;
    link->busy_since = 0;
    if (err)
        link->err = *err;
    pthread_mutex_unlock(&link->lock);
}

static void set_busy(struct tide_amqp_link *link, bool busy)
{
    pthread_mutex_lock(&link->lock);
    link->busy_since = busy ? tide_clock_monotonic_ms() : 0;
    pthread_mutex_unlock(&link->lock);
}

void tide_amqp_link_watch(struct tide_amqp_link *link)
{
    pthread_mutex_lock(&link->lock);
    if (link->fd >= 0 && link->busy_since && tide_clock_monotonic_ms() - link->busy_since > HANG_MS)
        shutdown(link->fd, SHUT_RDWR);
    pthread_mutex_unlock(&link->lock);
}

bool tide_amqp_link_ready(struct tide_amqp_link *link, int64_t ms, struct tide_err *err)
{
    bool ready;

    pthread_mutex_lock(&link->lock);
    ready = (link->up && !link->blocked) || tide_clock_monotonic_ms() - link->since_ms < ms;
    if (!ready)
        *err = link->err;
    pthread_mutex_unlock(&link->lock);
    return ready;
}

void tide_amqp_link_wake(struct tide_amqp_link *link)
{
    uint64_t one = 1;
    ssize_t written = write(link->wake_fd, &one, sizeof one);

    (void)written; /* full: it is awake */
}

static bool is_stopping(struct tide_amqp_link *link)
{
    bool stopping;

    pthread_mutex_lock(&link->lock);
    stopping = link->stopping;
    pthread_mutex_unlock(&link->lock);
    return stopping;
}

/* ---- waiting ---- */

/* Until the socket (-1: none) or a command is there, or for `ms`. */
static void wait_for(struct tide_amqp_link *link, int fd, int64_t ms)
{
    struct pollfd fds[] = {{.fd = link->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    uint64_t count;

    if (poll(fds, 2, ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms) > 0 && (fds[0].revents & POLLIN)) {
        ssize_t got = read(link->wake_fd, &count, sizeof count);

        (void)got;
    }
}

/* Commands may wake it: the pause is kept all the same, but for the end. */
static void pause_for(struct tide_amqp_link *link, int64_t ms)
{
    int64_t until = tide_clock_monotonic_ms() + ms, left;

    while (!is_stopping(link) && (left = until - tide_clock_monotonic_ms()) > 0)
        wait_for(link, -1, left);
}

void tide_amqp_link_gather(struct tide_amqp_link *link, bool gather)
{
    int on = gather;

    if (link->gathering == gather)
        return;
    link->gathering = gather;
    setsockopt(amqp_get_sockfd(link->conn), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

/* ---- frames ---- */

static void set_blocked(struct tide_amqp_link *link, bool blocked, amqp_bytes_t reason)
{
    pthread_mutex_lock(&link->lock);
    link->blocked = blocked;
    link->since_ms = tide_clock_monotonic_ms();
    if (blocked)
        tide_err_set(&link->err, TIDE_ERR_UNAVAILABLE, true, "queue: %s: the broker takes no messages: %.*s",
                     link->url->shown, (int)reason.len, (const char *)reason.bytes);
    pthread_mutex_unlock(&link->lock);
    tide_log_event(link->log, blocked ? TIDE_LOG_WARN : TIDE_LOG_INFO,
                   blocked ? "queue: the broker takes no messages" : "queue: the broker takes messages again",
                   tide_log_str("broker", link->url->shown));
}

/* Channel 0. */
static bool connection_frame(struct tide_amqp_link *link, const amqp_frame_t *frame, struct tide_err *err)
{
    const amqp_method_t *method = &frame->payload.method;

    if (frame->frame_type != AMQP_FRAME_METHOD)
        return true;
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD)
        set_blocked(link, true, ((amqp_connection_blocked_t *)method->decoded)->reason);
    else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD)
        set_blocked(link, false, amqp_empty_bytes);
    else
        return tide_amqp_closed(method, err);
    return true;
}

/* Reads what is there, and sends heartbeats when it is time. */
static bool read_frames(struct tide_amqp_link *link, bool *more, struct tide_err *err)
{
    struct timeval now = {0};
    amqp_frame_t frame;

    for (int i = 0; i < FRAMES; i++) {
        int status = amqp_simple_wait_frame_noblock(link->conn, &frame, &now);

        if (status == AMQP_STATUS_TIMEOUT) {
            *more = false;
            return true;
        }
        if (status != AMQP_STATUS_OK)
            return tide_amqp_status(status, "the connection is lost", err);
        if (!(frame.channel == 0 ? connection_frame(link, &frame, err)
                                 : link->type->frame(link, &frame, err)))
            return false;
        amqp_maybe_release_buffers_on_channel(link->conn, frame.channel);
    }
    *more = true;
    return true;
}

/* ---- the thread ---- */

static int64_t until_work(struct tide_amqp_link *link)
{
    int64_t heartbeat = link->url->heartbeat_s * INT64_C(1000) / 4;
    int64_t next = link->type->next_ms(link) - tide_clock_monotonic_ms();

    return next < heartbeat ? next : heartbeat;
}

static bool keep(struct tide_amqp_link *link, struct tide_err *err)
{
    bool more = false;

    for (;;) {
        set_busy(link, true);
        if (!link->type->work(link, err) || !read_frames(link, &more, err))
            return false;
        if (is_stopping(link) && link->type->is_idle(link))
            return true;
        set_busy(link, false);
        if (!more)
            wait_for(link, amqp_get_sockfd(link->conn), until_work(link));
    }
}

static bool connect_and_start(struct tide_amqp_link *link, struct tide_err *err)
{
    link->conn = tide_amqp_connect(link->url, link->type->role, err);
    if (!link->conn)
        return false;
    set_state(link, true, NULL);
    set_busy(link, true);
    link->gathering = false;
    tide_amqp_known_forget(link->known);
    return tide_amqp_open_channel(link->conn, TIDE_AMQP_TOPOLOGY, err) && link->type->start(link, err);
}

static void drop_connection(struct tide_amqp_link *link, const struct tide_err *err)
{
    bool was_up = link->conn != NULL;

    set_state(link, false, err);
    if (!was_up)
        return;
    amqp_destroy_connection(link->conn);
    link->conn = NULL;
    link->type->lost(link);
}

/* One connection's life. False with err when it did not end because we stop. */
static bool live(struct tide_amqp_link *link, struct tide_err *err)
{
    if (!connect_and_start(link, err))
        return false;
    tide_log_event(link->log, TIDE_LOG_INFO, "queue: connected", tide_log_str("broker", link->url->shown),
                   tide_log_str("role", link->type->role));
    if (!keep(link, err))
        return false;
    amqp_connection_close(link->conn, AMQP_REPLY_SUCCESS); /* what was written before is done */
    return true;
}

static void report(const struct tide_amqp_link *link, const struct tide_err *err, bool again)
{
    tide_log_event(link->log, again ? TIDE_LOG_DEBUG : TIDE_LOG_WARN, "queue: not connected",
                   tide_log_str("broker", link->url->shown), tide_log_str("role", link->type->role),
                   tide_log_str("message", err->message));
}

static void *run(void *arg)
{
    struct tide_amqp_link *link = arg;
    int64_t pause = FIRST_PAUSE_MS;
    struct tide_err err, before = {0};

    while (!is_stopping(link)) {
        int64_t start = tide_clock_monotonic_ms();

        if (live(link, &err)) {
            drop_connection(link, NULL);
            break;
        }
        if (link->conn)
            tide_err_prefix(&err, "queue: %s", link->url->shown);
        drop_connection(link, &err);
        if (tide_clock_monotonic_ms() - start > 2 * LONGEST_PAUSE_MS)
            pause = FIRST_PAUSE_MS; /* it was good for a while */
        report(link, &err, strcmp(err.message, before.message) == 0);
        before = err;
        pause_for(link, pause / 2 + randombytes_uniform((uint32_t)pause / 2 + 1));
        pause = pause * 2 < LONGEST_PAUSE_MS ? pause * 2 : LONGEST_PAUSE_MS;
    }
    return NULL;
}

/* ---- open and close ---- */

void tide_amqp_link_release(struct tide_amqp_link *link)
{
    if (link->wake_fd >= 0)
        close(link->wake_fd);
    pthread_mutex_destroy(&link->lock);
}

bool tide_amqp_link_open(struct tide_amqp_link *link, const struct tide_amqp_link_type *type,
                         const struct tide_amqp_url *url, struct tide_amqp_known *known,
                         const struct tide_log *log, struct tide_err *err)
{
    int failed = 0;

    link->type = type;
    link->url = url;
    link->log = log;
    link->fd = -1;
    link->since_ms = tide_clock_monotonic_ms();
    tide_err_set(&link->err, TIDE_ERR_UNAVAILABLE, true, "queue: %s: not connected yet", url->shown);
    pthread_mutex_init(&link->lock, NULL);
    link->known = known;
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->wake_fd < 0)
        failed = errno;
    else
        failed = pthread_create(&link->thread, NULL, run, link);
    if (failed == 0)
        return true;
    tide_amqp_link_release(link);
    return tide_err_errno(err, failed, "queue");
}

/* Looks again and again: pthread_timedjoin_np goes by the wall clock, which may be set back meanwhile. */
static bool join_within(struct tide_amqp_link *link, int64_t ms)
{
    const struct timespec nap = {.tv_nsec = 2000000};
    int64_t end = tide_clock_monotonic_ms() + ms;

    while (pthread_tryjoin_np(link->thread, NULL) != 0) {
        if (tide_clock_monotonic_ms() >= end)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static void cut_off(struct tide_amqp_link *link)
{
    pthread_mutex_lock(&link->lock);
    if (link->fd >= 0)
        shutdown(link->fd, SHUT_RDWR);
    pthread_mutex_unlock(&link->lock);
}

void tide_amqp_link_stop(struct tide_amqp_link *link, int64_t ms)
{
    pthread_mutex_lock(&link->lock);
    link->stopping = true;
    pthread_mutex_unlock(&link->lock);
    tide_amqp_link_wake(link);
    if (!join_within(link, ms)) {
        cut_off(link);
        pthread_join(link->thread, NULL);
    }
}
