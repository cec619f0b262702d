/*
 * One request in the hands of a bundle, from its head to the end of its response. For serve.c, which makes
 * and answers them, and for what scripts ask and say about them: request.c, request_body.c, response.c. A
 * script holds a request by a number (slot and sequence), so a handle kept past its request's end is an error
 * and never a dangling pointer.
 */
#ifndef TIDE_BIND_EXCHANGE_H
#define TIDE_BIND_EXCHANGE_H

#include "bind/bundle_internal.h"

/* It ends when both its task and its response are over. */
struct exchange {
    struct tide_bundle *bundle;
    struct tide_http_request *http; /* NULL once the response is over */
    struct tide_task *task;         /* NULL while it runs inside start, and once it is over */
    struct route *route;            /* NULL: none was found */
    size_t slot;
    uint64_t sequence;
    int status; /* 0: not answered yet */
    bool task_over;
};

/* NULL: too many are in flight, or memory is out. */
struct exchange *tide_exchange_new(struct tide_bundle *bundle, struct tide_http_request *http);
void tide_exchange_free(struct exchange *exchange);

double tide_exchange_handle(const struct exchange *exchange);
/* Behind the handle at `index`; raises when its response is over. */
struct exchange *tide_exchange_check(lua_State *L, int index);

#endif
