#include "bind/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "bind/request.h"

#define SLOTS 65536

/* ---- handles ---- */

static bool find_slot(struct tide_bundle *bundle, struct exchange *exchange)
{
    struct exchange **fresh;
    size_t i, size = bundle->exchange_slots;

    for (i = 0; i < size; i++) {
        if (bundle->exchanges[i])
            continue;
        bundle->exchanges[i] = exchange;
        exchange->slot = i;
        return true;
    }
    if (size == SLOTS)
        return false;
    fresh = realloc(bundle->exchanges, (size ? size * 2 : 64) * sizeof *fresh);
    if (!fresh)
        return false;
    memset(fresh + size, 0, ((size ? size * 2 : 64) - size) * sizeof *fresh);
    bundle->exchanges = fresh;
    bundle->exchange_slots = size ? size * 2 : 64;
    fresh[size] = exchange;
    exchange->slot = size;
    return true;
}

double tide_exchange_handle(const struct exchange *exchange)
{
    return (double)(exchange->sequence * SLOTS + exchange->slot);
}

struct exchange *tide_exchange_check(lua_State *L, int index)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    uint64_t handle = (uint64_t)luaL_checknumber(L, index);
    size_t slot = handle % SLOTS;
    struct exchange *exchange = slot < bundle->exchange_slots ? bundle->exchanges[slot] : NULL;

    if (!exchange || exchange->sequence != handle / SLOTS || !exchange->http)
        luaL_error(L, "this request is over");
    return exchange;
}

struct tide_http_request *tide_bind_check_request(lua_State *L, int index)
{
    struct exchange *exchange = tide_exchange_check(L, index);

    if (exchange->status)
        luaL_error(L, "this request is answered already");
    return exchange->http;
}

/* ---- life ---- */

struct exchange *tide_exchange_new(struct tide_bundle *bundle, struct tide_http_request *http)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange || !find_slot(bundle, exchange)) {
        free(exchange);
        return NULL;
    }
    exchange->bundle = bundle;
    exchange->http = http;
    exchange->sequence = ++bundle->exchange_sequence & 0xffffffff;
    bundle->requests++;
    tide_http_request_set_user(http, exchange);
    return exchange;
}

void tide_exchange_free(struct exchange *exchange)
{
    struct tide_bundle *bundle = exchange->bundle;

    bundle->exchanges[exchange->slot] = NULL;
    free(exchange);
    bundle->requests--;
}
