#include "queue/amqp/mailbox.h"

#include <stdlib.h>
#include <time.h>

static void on_async(uv_async_t *async)
{
    tide_amqp_mailbox_take(async->data);
}

bool tide_amqp_mailbox_open(struct tide_amqp_mailbox *box, uv_loop_t *loop)
{
    pthread_condattr_t attributes;

    box->async = malloc(sizeof *box->async);
    if (!box->async || uv_async_init(loop, box->async, on_async) != 0) {
        free(box->async);
        return false;
    }
    box->async->data = box;
    box->end = &box->first;
    pthread_mutex_init(&box->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&box->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void tide_amqp_mailbox_close(struct tide_amqp_mailbox *box)
{
    tide_amqp_mailbox_take(box);
    uv_close((uv_handle_t *)box->async, on_closed);
    pthread_cond_destroy(&box->filled);
    pthread_mutex_destroy(&box->lock);
}

void tide_amqp_mailbox_post(struct tide_amqp_mailbox *box, struct tide_amqp_mail *mail)
{
    bool was_empty;

    mail->next = NULL;
    pthread_mutex_lock(&box->lock);
    was_empty = !box->first;
    *box->end = mail;
    box->end = &mail->next;
    pthread_cond_signal(&box->filled);
    pthread_mutex_unlock(&box->lock);
    if (was_empty)
        uv_async_send(box->async);
}

static int64_t count(const struct tide_amqp_mail *list,
                     bool (*is_so)(const struct tide_amqp_mail *mail, const void *arg), const void *arg)
{
    int64_t number = 0;

    for (; list; list = list->next)
        number += is_so(list, arg);
    return number;
}

int64_t tide_amqp_mailbox_count(struct tide_amqp_mailbox *box,
                                bool (*is_so)(const struct tide_amqp_mail *mail, const void *arg),
                                const void *arg)
{
    int64_t number = count(box->taking, is_so, arg);

    pthread_mutex_lock(&box->lock);
    number += count(box->first, is_so, arg);
    pthread_mutex_unlock(&box->lock);
    return number;
}

static void take_all(struct tide_amqp_mailbox *box)
{
    struct tide_amqp_mail *mail;

    while ((mail = box->taking)) {
        box->taking = mail->next;
        mail->take(mail);
    }
}

/* What is taken may look into the mailbox, or take from it. */
void tide_amqp_mailbox_take(struct tide_amqp_mailbox *box)
{
    take_all(box);
    pthread_mutex_lock(&box->lock);
    box->taking = box->first;
    box->first = NULL;
    box->end = &box->first;
    pthread_mutex_unlock(&box->lock);
    take_all(box);
}

void tide_amqp_mailbox_wait(struct tide_amqp_mailbox *box, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&box->lock);
    while (!box->first && pthread_cond_timedwait(&box->filled, &box->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&box->lock);
}
