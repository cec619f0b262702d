/*
 * The queues at the broker. For a queue Q (its name with the URL's prefix):
 *
 *   Q                 durable, quorum; what it gives up goes to the exchange dead-letters with the key Q
 *   Q.dead            the dead letters: rejected by us, or given up by the broker (delivery limit, expiry)
 *   Q.delay.N         for N milliseconds; its messages go back to Q when they expire. One for each delay,
 *                     so that a long one doesn't hold up a short one. Deleted when it is not used any more
 *   Q.delays          which Q.delay.N there are: AMQP can't tell
 *
 * A queue that exists with other arguments (a peer's classic one) is taken as it is. Delays are rounded up to
 * two digits, so that there are not too many. Used by whoever has a connection; channel TIDE_AMQP_TOPOLOGY.
 */
#ifndef TIDE_QUEUE_AMQP_TOPOLOGY_H
#define TIDE_QUEUE_AMQP_TOPOLOGY_H

#include "queue/amqp/connect.h"

#define TIDE_AMQP_TOPOLOGY 1 /* opened by whoever connects */
#define TIDE_AMQP_NAME 192   /* bytes for a name at the broker */

enum tide_amqp_place { TIDE_AMQP_QUEUE, TIDE_AMQP_DEAD, TIDE_AMQP_DELAY, TIDE_AMQP_DELAYS };

/* Longer delays take several rounds: the broker's clock has 32 bits. */
#define TIDE_AMQP_MAX_ROUND_MS (INT64_C(40) * 24 * 3600 * 1000)
int64_t tide_amqp_round_delay(int64_t ms);

/* `queue` without the prefix. delay_ms: of TIDE_AMQP_DELAY, rounded. */
void tide_amqp_name(const struct tide_amqp_url *url, const char *queue, enum tide_amqp_place place,
                    int64_t delay_ms, char out[TIDE_AMQP_NAME]);

/* What was declared is remembered, delays for some minutes. Any thread; one at a time declares: a quorum
 * queue that two declare at once can take RabbitMQ 3.10 many seconds. */
struct tide_amqp_known;
struct tide_amqp_known *tide_amqp_known_new(void);
void tide_amqp_known_free(struct tide_amqp_known *known);
void tide_amqp_known_forget(struct tide_amqp_known *known); /* all: something was missing */

/* Whether tide_amqp_ensure has nothing to ask. */
bool tide_amqp_is_known(const struct tide_amqp_url *url, struct tide_amqp_known *known, const char *queue,
                        enum tide_amqp_place place, int64_t delay_ms);
/* How long to wait, in ms, before the first message goes into a delay's queue that was just made; 0: no
 * longer. RabbitMQ writes down which file a quorum queue's log is in up to a second after the queue was made:
 * killed before that it loses the log, with messages that it has confirmed. */
int64_t tide_amqp_fresh_ms(const struct tide_amqp_url *url, struct tide_amqp_known *known, const char *queue,
                           enum tide_amqp_place place, int64_t delay_ms);
/* Makes sure that there is such a queue. */
enum tide_amqp_outcome tide_amqp_ensure(amqp_connection_state_t conn, const struct tide_amqp_url *url,
                                        struct tide_amqp_known *known, const char *queue,
                                        enum tide_amqp_place place, int64_t delay_ms, struct tide_err *err);

#endif
