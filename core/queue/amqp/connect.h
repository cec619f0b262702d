/*
 * A connection to the broker, and what its answers mean in our words. Blocks, each call for TIDE_AMQP_WAIT_S
 * at most (a name server may take longer). One thread at a time.
 */
#ifndef TIDE_QUEUE_AMQP_CONNECT_H
#define TIDE_QUEUE_AMQP_CONNECT_H

#include <amqp.h>

#include "queue/amqp/url.h"

#define TIDE_AMQP_WAIT_S 5

/* Logged in, without a channel. `role` is shown in the management UI. NULL with err, which names the URL. */
amqp_connection_state_t tide_amqp_connect(const struct tide_amqp_url *url, const char *role,
                                          struct tide_err *err);
/* Says good-bye first: what was written before is done. */
void tide_amqp_disconnect(amqp_connection_state_t conn);

/* REFUSED: the channel was closed by the broker, the connection is good. BROKEN: it is of no use any more. */
enum tide_amqp_outcome { TIDE_AMQP_DONE, TIDE_AMQP_REFUSED, TIDE_AMQP_BROKEN };

/* What became of the call just made; err unless DONE. After REFUSED the channel is open again. */
enum tide_amqp_outcome tide_amqp_outcome(amqp_connection_state_t conn, amqp_channel_t channel,
                                         const char *what, struct tide_err *err);
/* The code with which the broker refused (404, 406, ...) is given to *code when it isn't NULL. */
enum tide_amqp_outcome tide_amqp_outcome_code(amqp_connection_state_t conn, amqp_channel_t channel,
                                              const char *what, int *code, struct tide_err *err);
/* The error for a status of librabbitmq's (negative). False. */
bool tide_amqp_status(int status, const char *what, struct tide_err *err);
/* The error for a Connection.Close or Channel.Close that came by itself. False. */
bool tide_amqp_closed(const amqp_method_t *method, struct tide_err *err);
bool tide_amqp_open_channel(amqp_connection_state_t conn, amqp_channel_t channel, struct tide_err *err);

#endif
