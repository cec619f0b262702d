#include "base/clock.h"
#include "mail/driver.h"

bool tide_mail_given_up(const struct tide_mail_envelope *envelope, struct tide_err *err)
{
    if (atomic_load(envelope->canceled))
        return !err || !tide_err_set(err, TIDE_ERR_CANCELED, true, "mail: given up");
    if (envelope->before_ms && tide_clock_now_ms() > envelope->before_ms)
        return !err || !tide_err_set(err, TIDE_ERR_TIMEOUT, true, "mail: not begun in time, and given up");
    return false;
}
