/*
 * The URL of an AMQP broker:
 *
 *   amqp[s]://USER:PASSWORD@HOST[:PORT]/VHOST[?NAME=VALUE&...]
 *
 *   heartbeat=10       seconds, 1..300
 *   prefix=TEXT        before the name of every queue, at most 64 bytes
 *   queue_type=quorum  or classic: for queues that are not there yet
 *   expires=1h         queues that nobody uses for so long are deleted (for tests that share a broker)
 *   name=TEXT          how the connections are called in the management UI
 *   cacert, cert, key  files (amqps): the authorities to trust, this client's certificate and its key
 *   verify=on          or off (amqps)
 *
 * Any part may be percent-encoded. Read once; used by all threads.
 */
#ifndef TIDE_QUEUE_AMQP_URL_H
#define TIDE_QUEUE_AMQP_URL_H

#include <stdint.h>

#include "base/url.h"

#define TIDE_AMQP_PREFIX_LEN 64

struct tide_amqp_url {
    struct tide_url parts; /* the others point into it */
    const char *shown;     /* for messages: the URL without password and parameters */
    const char *user, *password, *host, *vhost, *name, *prefix;
    const char *cacert, *cert, *key; /* NULL: none given */
    int port;
    unsigned heartbeat_s;
    int64_t expires_ms; /* 0: never */
    bool tls, verify, classic;
};

/* Unknown parameters and values out of range are refused by name; no message holds the password. */
TIDE_WARN_UNUSED bool tide_amqp_url_parse(struct tide_amqp_url *url, const char *text, struct tide_err *err);
void tide_amqp_url_release(struct tide_amqp_url *url);

#endif
