/*
 * What publishing and consuming cost without an engine: librabbitmq alone, on one connection.
 *   amqp_peer publish URL QUEUE COUNT WINDOW    persistent messages with confirms, WINDOW under way at a time
 *   amqp_peer consume URL QUEUE COUNT PREFETCH  each is acknowledged
 * Prints messages a second.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static const char payload[] = "{\"number\":1234567,\"text\":\"a message as the bundles send them, of a hundred bytes\"}";

static amqp_connection_state_t connect_to(const char *text)
{
    amqp_connection_state_t conn = amqp_new_connection();
    struct amqp_connection_info info;
    char *url = strdup(text);

    if (amqp_parse_url(url, &info) != AMQP_STATUS_OK ||
        amqp_socket_open(amqp_tcp_socket_new(conn), info.host, info.port) != AMQP_STATUS_OK ||
        amqp_login(conn, *info.vhost ? info.vhost : "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user,
                   info.password)
                .reply_type != AMQP_RESPONSE_NORMAL ||
        !amqp_channel_open(conn, 1)) {
        fprintf(stderr, "amqp_peer: can't connect\n");
        exit(1);
    }
    free(url);
    return conn;
}

static void publish(amqp_connection_state_t conn, const char *queue, long count, long window)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    long sent = 0, confirmed = 0;

    amqp_confirm_select(conn, 1);
    while (confirmed < count) {
        amqp_frame_t frame;

        for (; sent < count && sent - confirmed < window; sent++)
            amqp_basic_publish(conn, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties,
                               amqp_cstring_bytes(payload));
        if (amqp_simple_wait_frame(conn, &frame) != AMQP_STATUS_OK)
            exit(1);
        if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            amqp_basic_ack_t *ack = frame.payload.method.decoded;

            confirmed = ack->multiple ? (long)ack->delivery_tag : confirmed + 1;
        }
        amqp_maybe_release_buffers(conn);
    }
}

static void consume(amqp_connection_state_t conn, const char *queue, long count, long prefetch)
{
    amqp_basic_qos(conn, 1, 0, (uint16_t)prefetch, 0);
    amqp_basic_consume(conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    for (long i = 0; i < count; i++) {
        amqp_envelope_t envelope;

        amqp_maybe_release_buffers(conn);
        if (amqp_consume_message(conn, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL)
            exit(1);
        amqp_basic_ack(conn, 1, envelope.delivery_tag, 0);
        amqp_destroy_envelope(&envelope);
    }
}

int main(int argc, char **argv)
{
    struct timeval start, end;
    amqp_connection_state_t conn;
    long count;

    if (argc != 6)
        return 2;
    conn = connect_to(argv[2]);
    count = atol(argv[4]);
    gettimeofday(&start, NULL);
    if (strcmp(argv[1], "publish") == 0)
        publish(conn, argv[3], count, atol(argv[5]));
    else
        consume(conn, argv[3], count, atol(argv[5]));
    gettimeofday(&end, NULL);
    printf("%.0f\n", (double)count / ((double)(end.tv_sec - start.tv_sec) + (double)(end.tv_usec - start.tv_usec) / 1e6));
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    return 0;
}
