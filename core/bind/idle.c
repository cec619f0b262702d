/* When a bundle that drains has nothing left to do. */
#include <stdlib.h>

#include "bind/bundle_internal.h"

size_t tide_bundle_in_flight(const struct tide_bundle *bundle)
{
    return bundle->requests + bundle->messages + bundle->ticks;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void tell_idle(uv_timer_t *timer)
{
    struct tide_bundle *bundle = timer->data;
    void (*idle)(void *arg) = bundle->idle;

    uv_close((uv_handle_t *)timer, free_handle);
    bundle->telling_idle = NULL;
    bundle->idle = NULL;
    idle(bundle->idle_arg);
}

/* The last task is still ending when this is called, so `idle`, which may free the bundle, runs from the
 * loop. */
void tide_bundle_check_idle(struct tide_bundle *bundle)
{
    if (!bundle->draining || !bundle->idle || bundle->telling_idle || tide_bundle_in_flight(bundle))
        return;
    bundle->telling_idle = calloc(1, sizeof *bundle->telling_idle);
    if (!bundle->telling_idle)
        abort();
    uv_timer_init(bundle->config.services->loop, bundle->telling_idle);
    bundle->telling_idle->data = bundle;
    uv_timer_start(bundle->telling_idle, tell_idle, 0, 0);
}

void tide_bundle_stop_telling(struct tide_bundle *bundle)
{
    if (bundle->telling_idle)
        uv_close((uv_handle_t *)bundle->telling_idle, free_handle);
    bundle->telling_idle = NULL;
}
