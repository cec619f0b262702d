/*
 * Who a request's client is, where proxies stand in front that say so (X-Forwarded-For). Pure functions, any
 * thread.
 */
#ifndef TIDE_HTTP_PROXIES_H
#define TIDE_HTTP_PROXIES_H

#include <netinet/in.h>

#include "base/err.h"

struct tide_http_proxies;

/* "10.0.0.0/8, ::1 192.0.2.7": addresses and networks with blanks or commas between. NULL when there is none
 * in it, or with err: TIDE_ERR_INVALID names what is neither. */
struct tide_http_proxies *tide_http_proxies_new(const char *list, struct tide_err *err);
void tide_http_proxies_free(struct tide_http_proxies *proxies); /* or NULL */

/* Of the peer and those in `forwarded` (all headers' values in order, commas between), which each proxy puts
 * behind those before it, the last one that is no proxy; when all are, the first. What stands there and is no
 * address is not believed, nor what is before it. */
void tide_http_client_of(const struct tide_http_proxies *proxies, const char *peer, const char *forwarded,
                         char client[INET6_ADDRSTRLEN]);

#endif
