/*
 * A message as it is at the broker. The body is the payload and nothing else; what we know about it stands in
 * properties and headers, all of which a peer may leave out:
 *
 *   message_id          24 hex digits, kept over retries
 *   tidemill-published  ms since 1970
 *   tidemill-attempts   that failed so far, or before it died
 *   tidemill-lost       holders that died with it, but for those that the broker has counted since
 *   tidemill-code, tidemill-reason      why the last one failed, or why it is dead
 *   tidemill-due        ms since 1970: not before (delays that take several rounds)
 *   tidemill-died, tidemill-detail      of a dead letter
 *
 * Plain values, owned by whoever holds them; no thread.
 */
#ifndef TIDE_QUEUE_AMQP_MESSAGE_H
#define TIDE_QUEUE_AMQP_MESSAGE_H

#include <amqp.h>
#include <amqp_framing.h>

#include "base/id.h"
#include "queue/amqp/topology.h"
#include "queue/driver.h"

struct tide_amqp_message {
    char id[64];   /* message_id; "" when a peer gave none or a longer one */
    char *payload; /* NUL-terminated behind len */
    size_t len;
    int64_t published_ms, died_ms, due_ms; /* 0: not known */
    unsigned attempts, lost;
    char *code, *reason, *detail; /* NULL: none */
};

void tide_amqp_message_release(struct tide_amqp_message *message);

/* Zeroed. Aborts without memory: it is a few bytes, and a message's fate must not be guessed. */
void *tide_amqp_allocate(size_t size);
/* A copy of `text` of at most `max` bytes, for the fields above; NULL for NULL. Aborts without memory. */
char *tide_amqp_copy(const char *text, size_t max);

/* Publishes it, persistent and mandatory, to the queue of that name at the broker. A status of librabbitmq.
 */
int tide_amqp_message_publish(amqp_connection_state_t conn, amqp_channel_t channel, const char *name,
                              const struct tide_amqp_message *message);

/* Reads all but the payload. *returned: how often a holder lost it since it was published. False when the
 * broker doesn't count that (classic queues), but says at most that there was one. */
bool tide_amqp_message_read(struct tide_amqp_message *message, const amqp_basic_properties_t *properties,
                            bool redelivered, unsigned *returned);
/* Of a dead letter: when and why the broker gave it up, unless we did. */
void tide_amqp_message_read_death(struct tide_amqp_message *message,
                                  const amqp_basic_properties_t *properties);

/* A number by which a dead letter is named: 1..2^48, the same at every look. */
int64_t tide_amqp_message_number(const struct tide_amqp_message *message);

#endif
