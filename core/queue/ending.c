#include <sodium.h>

#include "queue/driver.h"

unsigned tide_queue_used_up(unsigned failed, unsigned lost, unsigned attempts)
{
    if (lost < TIDE_QUEUE_MAX_LOST)
        return failed;
    return (failed < attempts ? attempts : failed) + lost - TIDE_QUEUE_MAX_LOST;
}

static unsigned used_up(const struct tide_delivery *delivery)
{
    return tide_queue_used_up(delivery->failed, delivery->lost, delivery->attempts);
}

unsigned tide_queue_failed_after(const struct tide_delivery *delivery, const struct tide_queue_ending *ending)
{
    unsigned failed = used_up(delivery) + 1, attempts = delivery->attempts;

    if (ending->how == TIDE_QUEUE_RETRY)
        return ending->expired && failed < attempts ? attempts : failed;
    return failed < attempts ? failed : attempts;
}

int64_t tide_queue_backoff(const struct tide_queue_consume *how, unsigned failed)
{
    int64_t ms = how->backoff_ms;

    for (; failed > 0 && ms < how->backoff_max_ms; failed--)
        ms *= 2;
    if (ms > how->backoff_max_ms)
        ms = how->backoff_max_ms;
    return ms * (8 + (int64_t)randombytes_uniform(5)) / 10;
}

int64_t tide_queue_delay_after(const struct tide_delivery *delivery, const struct tide_queue_ending *ending,
                               const struct tide_queue_consume *how)
{
    unsigned attempts = delivery->attempts, failed = used_up(delivery);

    if (ending->how != TIDE_QUEUE_RETRY || ending->delay_ms >= 0)
        return ending->delay_ms;
    if (ending->expired)
        failed = failed >= attempts ? failed - attempts + 1 : 0;
    return tide_queue_backoff(how, failed);
}
