#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/driver.h"
#include "base/fault.h"
#include "base/id.h"
#include "loop/pool.h"
#include "mail/driver.h"
#include "mail/mime.h"

#define MAX_QUEUED 256
#define MAX_MESSAGE (1024 * 1024)

struct tide_mailer {
    const struct tide_mail_driver *driver;
    struct tide_mail_backend *backend;
    struct tide_pool *pool;
    char *from;         /* used when a message has none */
    const char *domain; /* of `address`, for Message-IDs */
    struct tide_mail_address address;
};

struct tide_mail_call {
    struct tide_job job;
    struct tide_mailer *mailer;
    struct tide_buf data;
    struct tide_mail_envelope envelope;
    tide_mail_cb *cb;
    void *arg;
    atomic_bool canceled;
    bool telling, failed;
    struct tide_err err;
};

static const struct tide_driver_choice drivers[] = {
    {"maildir", "maildir:DIR", &tide_mail_maildir_driver, NULL},
    {"smtp", "smtp://USER:PASSWORD@HOST", NULL, "mail-smtp"},
    {"smtps", "smtps://USER:PASSWORD@HOST", NULL, "mail-smtp"},
};

static bool set_sender(struct tide_mailer *mailer, const char *from, struct tide_err *err)
{
    if (!tide_mail_address_parse(from, &mailer->address, err))
        return tide_err_prefix(err, "default sender");
    mailer->domain = strrchr(mailer->address.spec, '@') + 1;
    if (!tide_mail_domain_valid(mailer->domain))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "mail: the default sender's host is too long");
    mailer->from = strdup(from);
    return mailer->from || tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mail: out of memory");
}

static const struct tide_mail_driver *find_driver(const char *url, struct tide_err *err)
{
    return tide_driver_find("mail", drivers, sizeof drivers / sizeof *drivers, url, err);
}

bool tide_mailer_check(const char *url, struct tide_err *err)
{
    const struct tide_mail_driver *driver = find_driver(url, err);

    return driver && driver->check(url, err);
}

struct tide_mailer *tide_mailer_open(uv_loop_t *loop, const struct tide_log *log, const char *url,
                                     const char *default_from, struct tide_err *err)
{
    const struct tide_mail_driver *driver = find_driver(url, err);
    struct tide_mailer *mailer;

    if (!driver)
        return NULL;
    mailer = calloc(1, sizeof *mailer);
    if (!mailer) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mail: out of memory");
        return NULL;
    }
    mailer->driver = driver;
    if (set_sender(mailer, default_from, err))
        mailer->backend = driver->open(url, log, err);
    if (mailer->backend)
        mailer->pool = tide_pool_new(loop, "mail", driver->threads, MAX_QUEUED, err);
    if (mailer->pool)
        return mailer;
    tide_mailer_close(mailer);
    return NULL;
}

void tide_mailer_close(struct tide_mailer *mailer)
{
    if (!mailer)
        return;
    tide_pool_free(mailer->pool);
    if (mailer->backend)
        mailer->driver->close(mailer->backend);
    free(mailer->from);
    free(mailer);
}

bool tide_mailer_ready(struct tide_mailer *mailer, struct tide_err *err)
{
    return mailer->driver->ready(mailer->backend, err);
}

static void work(struct tide_job *job)
{
    struct tide_mail_call *call = (struct tide_mail_call *)job;
    struct tide_mailer *mailer = call->mailer;

    call->failed = tide_mail_given_up(&call->envelope, &call->err) ||
                   !mailer->driver->deliver(mailer->backend, &call->envelope, &call->err);
    if (!call->failed)
        tide_fault("mail.sent", NULL);
}

static void free_call(struct tide_mail_call *call)
{
    tide_buf_release(&call->data);
    free(call);
}

static void done(struct tide_job *job)
{
    struct tide_mail_call *call = (struct tide_mail_call *)job;

    call->telling = true;
    if (!call->canceled)
        call->cb(call->arg, call->failed ? &call->err : NULL);
    free_call(call);
}

static bool fill_call(struct tide_mail_call *call, struct tide_mail_message message, struct tide_err *err)
{
    struct tide_mail_address from, to;
    struct tide_id random = tide_id_new();

    if (!message.from)
        message.from = call->mailer->from;
    if (!message.id)
        message.id = random.hex;
    if (!tide_mail_build(&message, call->mailer->domain, &call->data, err))
        return false;
    if (!tide_mail_address_parse(message.from, &from, err) || !tide_mail_address_parse(message.to, &to, err))
        return false;
    memcpy(call->envelope.from, from.spec, sizeof from.spec);
    memcpy(call->envelope.to, to.spec, sizeof to.spec);
    tide_mail_message_id(message.id, call->mailer->domain, call->envelope.message_id);
    call->envelope.data = call->data.data;
    call->envelope.len = call->data.len;
    call->envelope.before_ms = message.before_ms;
    call->envelope.canceled = &call->canceled;
    return true;
}

struct tide_mail_call *tide_mail_send(struct tide_mailer *mailer, const struct tide_mail_message *message,
                                      tide_mail_cb *cb, void *arg, struct tide_err *err)
{
    struct tide_mail_call *call = calloc(1, sizeof *call);

    if (!call) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "mail: out of memory");
        return NULL;
    }
    call->job = (struct tide_job){.work = work, .done = done};
    call->mailer = mailer;
    call->cb = cb;
    call->arg = arg;
    tide_buf_init(&call->data, MAX_MESSAGE);
    if (fill_call(call, *message, err) && tide_pool_submit(mailer->pool, &call->job, err))
        return call;
    free_call(call);
    return NULL;
}

void tide_mail_call_cancel(struct tide_mail_call *call)
{
    assert(!call->canceled || call->telling);
    call->canceled = true;
}
