/*
 * The AMQP driver alone: what is wrong with a URL, a broker that is away, what peers send, connections and
 * queues that are lost. A relay in front of the broker can be cut. Most need AMQP_URL.
 */
#include "queue/fixture.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/id.h"
#include "queue/driver.h"

/* ---- the broker as a peer sees it ---- */

struct peer {
    amqp_connection_state_t conn;
    char name[TIDE_QUEUE_NAME_LEN + 64]; /* the fixture's queue at the broker */
};

static void named_at_the_broker(const struct fixture *f, const char *suffix, char *name, size_t size)
{
    snprintf(name, size, "unit-%d.%s%s", (int)getpid(), f->queue, suffix);
}

/* info points into `url`. */
static struct amqp_connection_info read_url(char url[600])
{
    struct amqp_connection_info info;

    snprintf(url, 600, "%s", getenv("AMQP_URL"));
    assert_int_equal(amqp_parse_url(url, &info), AMQP_STATUS_OK);
    if (!*info.vhost)
        info.vhost = (char *)"/";
    return info;
}

static void peer_open(struct fixture *f, struct peer *peer)
{
    char url[600];
    struct amqp_connection_info info = read_url(url);

    peer->conn = amqp_new_connection();
    assert_int_equal(amqp_socket_open(amqp_tcp_socket_new(peer->conn), info.host, info.port), AMQP_STATUS_OK);
    assert_int_equal(
        amqp_login(peer->conn, info.vhost, 0, 131072, 60, AMQP_SASL_METHOD_PLAIN, info.user, info.password)
            .reply_type,
        AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(peer->conn, 1));
    named_at_the_broker(f, "", peer->name, sizeof peer->name);
}

static void peer_close(struct peer *peer)
{
    amqp_connection_close(peer->conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(peer->conn);
}

/* As pika's queue_declare(queue=...) does it. */
static void peer_declares_classic(struct peer *peer, const char *name)
{
    assert_non_null(
        amqp_queue_declare(peer->conn, 1, amqp_cstring_bytes(name), 0, 0, 0, 0, amqp_empty_table));
}

static void peer_publishes(struct peer *peer, const char *text, const amqp_basic_properties_t *properties)
{
    assert_int_equal(amqp_basic_publish(peer->conn, 1, amqp_empty_bytes, amqp_cstring_bytes(peer->name), 0, 0,
                                        properties, amqp_cstring_bytes(text)),
                     AMQP_STATUS_OK);
}

static void peer_deletes(struct fixture *f, const char *suffix)
{
    struct peer peer;
    char name[128];

    peer_open(f, &peer);
    named_at_the_broker(f, suffix, name, sizeof name);
    assert_non_null(amqp_queue_delete(peer.conn, 1, amqp_cstring_bytes(name), 0, 0));
    peer_close(&peer);
}

/* ---- a relay ---- */

struct relay {
    int listener, port, broker_port;
    pid_t pid;
};

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void relay_bytes(int from, int to)
{
    char bytes[65536];
    ssize_t len = read(from, bytes, sizeof bytes);

    if (len <= 0) {
        close(from);
        close(to);
        _exit(0);
    }
    for (ssize_t done = 0, part; done < len; done += part)
        if ((part = write(to, bytes + done, (size_t)(len - done))) <= 0)
            _exit(0);
}

static void relay_one(int client, int broker_port)
{
    struct sockaddr_in address = loopback(broker_port);
    int broker = socket(AF_INET, SOCK_STREAM, 0);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (connect(broker, (struct sockaddr *)&address, sizeof address) != 0)
        _exit(0);
    for (;;) {
        struct pollfd fds[] = {{client, POLLIN, 0}, {broker, POLLIN, 0}};

        poll(fds, 2, -1);
        if (fds[0].revents)
            relay_bytes(client, broker);
        if (fds[1].revents)
            relay_bytes(broker, client);
    }
}

/* A process a connection, all in one group. */
static void relay_start(struct relay *relay)
{
    relay->pid = fork();
    if (relay->pid != 0)
        return;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(relay->listener, NULL, NULL);

        if (client >= 0 && fork() == 0)
            relay_one(client, relay->broker_port);
        close(client);
    }
}

/* All its connections end at once; new ones wait until it is started again. */
static void relay_cut(struct relay *relay)
{
    setpgid(relay->pid, relay->pid);
    kill(-relay->pid, SIGKILL);
    waitpid(relay->pid, NULL, 0);
}

static void relay_open(struct relay *relay, int broker_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;

    relay->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(relay->listener, 16), 0);
    getsockname(relay->listener, (struct sockaddr *)&address, &len);
    relay->port = ntohs(address.sin_port);
    relay->broker_port = broker_port;
    relay_start(relay);
}

static void relay_close(struct relay *relay)
{
    relay_cut(relay);
    close(relay->listener);
}

/* The fixture's broker behind a relay. */
static void go_through(struct fixture *f, struct relay *relay)
{
    char url[600];
    struct amqp_connection_info info = read_url(url);

    close_broker(f);
    relay_open(relay, info.port);
    snprintf(f->url, sizeof f->url, "amqp://%s:%s@127.0.0.1:%d/%s?prefix=unit-%d.&expires=1m&heartbeat=1",
             info.user, info.password, relay->port, strcmp(info.vhost, "/") == 0 ? "" : info.vhost,
             (int)getpid());
    open_broker(f);
}

static void leave(struct fixture *f, struct relay *relay)
{
    close_broker(f);
    relay_close(relay);
    amqp_url(f->url, sizeof f->url);
    open_broker(f);
}

/* ---- URLs ---- */

static struct tide_err refusal(struct fixture *f, const char *url)
{
    struct tide_err err = {0};

    assert_null(tide_queue_broker_open(&f->loop, NULL, url, &err));
    assert_null(strstr(err.message, "secret"));
    return err;
}

static void refuses_urls_by_what_is_wrong(void **state)
{
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"amqp:host", "no ://"},
        {"amqp://user:secret@/", "HOST"},
        {"amqp://user:secret@host:0/", "port"},
        {"amqp://user:secret@host:70000/", "port"},
        {"amqp://user:secret@[::1/", "HOST"},
        {"amqp://secret@host/", "USER:PASSWORD"},
        {"amqp://user:secret%@host/", "%25"},
        {"amqp://user:secret@host/%zz", "%25"},
        {"amqp://user:secret@host/?heartbeat", "NAME=VALUE"},
        {"amqp://user:secret@host/?heartbeat=0", "'heartbeat' is not 1 to 300 seconds"},
        {"amqp://user:secret@host/?heartbeat=10s", "'heartbeat'"},
        {"amqp://user:secret@host/?hartbeat=10", "no parameter 'hartbeat'"},
        {"amqp://user:secret@host/?queue_type=stream", "'queue_type' is not quorum or classic"},
        {"amqp://user:secret@host/?expires=5", "'expires'"},
        {"amqp://user:secret@host/?name=", "'name'"},
        {"amqp://user:secret@host/?verify=off", "'verify' is not on or off, with amqps://"},
        {"amqps://user:secret@host/?verify=no", "'verify'"},
        {"amqps://user:secret@host/?cert=/tmp/x.pem", "both are needed"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_err err = refusal(f, cases[i].url);

        assert_string_equal(err.code, "invalid");
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s: %s", cases[i].url, err.message);
    }
}

/* ---- a broker that is away ---- */

struct readiness {
    struct fixture *f;
    const char *says;
};

static bool is_not_ready_because(const void *arg)
{
    const struct readiness *readiness = arg;
    struct tide_err err = {0};

    return !tide_queue_broker_ready(readiness->f->broker, &err) && strstr(err.message, readiness->says) &&
           !strstr(err.message, "secret");
}

static bool is_ready(const void *arg)
{
    struct tide_err err;

    return tide_queue_broker_ready(((const struct fixture *)arg)->broker, &err);
}

static void await_reason(struct fixture *f, const char *url, const char *says)
{
    struct readiness readiness = {f, says};

    close_broker(f);
    snprintf(f->url, sizeof f->url, "%s", url);
    open_broker(f);
    wait_until(f, is_not_ready_because, &readiness);
}

static void starts_without_its_broker(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};

    await_reason(f, "amqp://user:secret@127.0.0.1:1/prod", "amqp://user:***@127.0.0.1:1/prod: can't connect");
    consume(f, &inbox);
    assert_string_equal(publish_bytes(f, "x", 1, 0), "unavailable"); /* after its time, or at once */
    assert_string_equal(publish_bytes(f, "x", 1, 0), "unavailable");
}

static void names_a_wrong_password_or_vhost(void **state)
{
    struct fixture *f = *state;
    char text[600], url[700];
    struct amqp_connection_info info = read_url(text);

    snprintf(url, sizeof url, "amqp://%s:secret@%s:%d/", info.user, info.host, info.port);
    await_reason(f, url, ": the broker says 403 ACCESS_REFUSED");
    snprintf(url, sizeof url, "amqp://%s:%s@%s:%d/nowhere", info.user, info.password, info.host, info.port);
    await_reason(f, url, "vhost nowhere not found");
}

/* Rights may be given back: whoever published tries again, and no job fails for it. */
static void a_refusal_by_the_broker_can_be_mended(void **state)
{
    struct fixture *f = *state;
    struct amqp_connection_info info;
    char url[600];

    close_broker(f);
    info = read_url(url);
    snprintf(f->url, sizeof f->url, "amqp://%s:%s@%s:%d/%s?prefix=amq.", info.user, info.password, info.host,
             info.port,
             strcmp(info.vhost, "/") == 0 ? "" : info.vhost); /* names that the broker keeps to itself */
    open_broker(f);
    assert_string_equal(publish_bytes(f, "x", 1, 0), "unavailable");
    close_broker(f);
    amqp_url(f->url, sizeof f->url);
    open_broker(f);
}

/* ---- peers ---- */

static void takes_what_a_peer_sends_to_its_own_queue(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct tide_queue_dead *list;
    struct tide_err err;
    struct peer peer;

    peer_open(f, &peer);
    peer_declares_classic(&peer, peer.name);
    peer_publishes(&peer, "{\"video_fid\":\"x\"}", NULL);
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_string_equal(tide_delivery_payload(delivery, NULL), "{\"video_fid\":\"x\"}");
    assert_int_equal(tide_delivery_attempt(delivery), 1);
    assert_in_range(tide_delivery_published_ms(delivery), tide_clock_now_ms() - 60000, tide_clock_now_ms());
    tide_delivery_retry(delivery, 0, "busy", "not yet");
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), 2);
    assert_string_equal(tide_delivery_last_code(delivery), "busy");
    tide_delivery_reject(delivery, "corrupt", "no video", NULL);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_int_equal(list[0].attempts, 2);
    tide_queue_dead_free(list, 1);
    publish(f, "ours goes there too");
    tide_delivery_ack(take_one(f, &inbox));
    peer_close(&peer);
}

/* A classic queue doesn't count: whoever gets a message again writes it down. */
static void holders_that_die_are_counted_on_a_classic_queue_too(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct peer peer;

    peer_open(f, &peer);
    assert_non_null(
        amqp_queue_declare(peer.conn, 1, amqp_cstring_bytes(peer.name), 0, 1, 0, 0, amqp_empty_table));
    peer_close(&peer);
    publish(f, "x");
    for (int i = 0; i < 3; i++)
        holder_dies(f);
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), 4);
    assert_string_equal(tide_delivery_last_code(delivery), "lease_expired");
    tide_delivery_ack(delivery);
}

static void a_peer_reads_the_payload_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    amqp_envelope_t envelope;
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct peer peer;

    publish(f, "{\"a\":1}");
    peer_open(f, &peer);
    amqp_basic_consume(peer.conn, 1, amqp_cstring_bytes(peer.name), amqp_empty_bytes, 0, 1, 0,
                       amqp_empty_table);
    assert_int_equal(amqp_consume_message(peer.conn, &envelope, &patience, 0).reply_type,
                     AMQP_RESPONSE_NORMAL);
    assert_int_equal(envelope.message.body.len, 7);
    assert_memory_equal(envelope.message.body.bytes, "{\"a\":1}", 7);
    assert_int_equal(envelope.message.properties.delivery_mode, 2);
    assert_int_equal(envelope.message.properties.message_id.len, TIDE_ID_LEN);
    amqp_destroy_envelope(&envelope);
    peer_close(&peer);
}

static amqp_table_entry_t header(const char *name, int64_t value)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name), {AMQP_FIELD_KIND_I64, {.i64 = value}}};
}

/* A delay that the broker can't keep in one go carries when it is due. */
static void what_comes_too_early_goes_back(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    int64_t due = tide_clock_now_ms() + 2500;
    amqp_table_entry_t headers[] = {header("tidemill-due", due)};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {1, headers}};
    struct peer peer;

    consume(f, &inbox);
    publish(f, "now");
    tide_delivery_ack(take_one(f, &inbox));
    peer_open(f, &peer);
    peer_publishes(&peer, "later", &properties);
    tide_delivery_ack(take_one(f, &inbox));
    assert_true(tide_clock_now_ms() >= due);
    assert_string_equal(inbox.texts[1], "later");
    peer_close(&peer);
}

/* Nothing is added to or multiplied with what a peer calls a time, and nothing waits for it. */
static void times_that_no_clock_shows_are_none(void **state)
{
    static const int64_t numbers[] = {INT64_MAX, INT64_MIN, -1, INT64_MAX / 1000};
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct peer peer;

    consume(f, &inbox);
    publish(f, "now");
    tide_delivery_ack(take_one(f, &inbox));
    peer_open(f, &peer);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        amqp_table_entry_t headers[] = {header("tidemill-due", numbers[i]),
                                        header("tidemill-published", numbers[i]),
                                        header("tidemill-died", numbers[i])};
        amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_TIMESTAMP_FLAG,
                                              .timestamp = (uint64_t)numbers[i],
                                              .headers = {3, headers}};

        peer_publishes(&peer, "odd", &properties);
        delivery = take_one(f, &inbox);
        assert_in_range(tide_delivery_published_ms(delivery), tide_clock_now_ms() - 60000,
                        tide_clock_now_ms());
        tide_delivery_ack(delivery);
    }
    peer_close(&peer);
}

static void lists_what_the_broker_gave_up(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_dead *list;
    struct tide_err err;
    struct peer peer;
    int64_t id;

    publish(f, "unloved");
    peer_open(f, &peer);
    assert_int_equal(amqp_basic_get(peer.conn, 1, amqp_cstring_bytes(peer.name), 0).reply.id,
                     AMQP_BASIC_GET_OK_METHOD);
    amqp_basic_reject(peer.conn, 1, 1, 0);
    peer_close(&peer);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_string_equal(list[0].payload, "unloved");
    assert_string_equal(list[0].code, "rejected");
    assert_in_range(list[0].died_ms, tide_clock_now_ms() - 60000, tide_clock_now_ms());
    id = list[0].id;
    tide_queue_dead_free(list, 1);
    assert_int_equal(tide_queue_dead_retry(f->broker, f->queue, id, &err), 1);
    expect_stat(f, 1, 0, 0, 0);
}

/* Who looks at what waits takes no attempt from it, and keeps the order. */
static void a_look_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;

    publish(f, "a");
    publish(f, "b");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tide_queue_list(f->broker, f->queue, "ready", 10, &list, &err), 2);
        assert_string_equal(list[0].payload, "a");
        tide_queue_dead_free(list, 2);
    }
    consume(f, &inbox);
    await_total(f, &inbox, 2);
    assert_string_equal(inbox.texts[0], "a");
    assert_int_equal(tide_delivery_attempt(inbox.held[0]), 1);
}

/* ---- queues that are deleted ---- */

static void publishes_to_a_queue_that_was_deleted(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};

    publish(f, "lost with it");
    peer_deletes(f, "");
    publish(f, "kept");
    consume(f, &inbox);
    assert_string_equal(tide_delivery_payload(take_one(f, &inbox), NULL), "kept");
}

static void consumes_from_a_queue_that_was_deleted(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {.act = act_ack};

    consume(f, &inbox);
    publish(f, "before");
    await_total(f, &inbox, 1);
    for (int i = 2; i < 5; i++) {
        peer_deletes(f, "");
        publish(f, "after");
        await_total(f, &inbox, (size_t)i);
    }
}

/* Its retry and its dead letter find no queue; both are made again. */
static void ends_deliveries_into_queues_that_were_deleted(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};

    publish(f, "x");
    consume(f, &inbox);
    tide_delivery_retry(take_one(f, &inbox), 100, "c", "r");
    wait_until(f, has_held, &inbox);
    peer_deletes(f, ".delay.100");
    tide_delivery_retry(take_one(f, &inbox), 100, "c", "r");
    wait_until(f, has_held, &inbox);
    peer_deletes(f, ".dead");
    tide_delivery_reject(take_one(f, &inbox), "c", "r", NULL);
    expect_stat(f, 0, 0, 0, 1);
}

/* ---- connections that are lost ---- */

static void sends_again_what_was_not_confirmed(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_message message = {.queue = f->queue, .payload = "x", .len = 1};
    struct confirm confirm = {0};
    struct relay relay;
    struct tide_err err;

    go_through(f, &relay);
    publish(f, "first");
    relay_cut(&relay);
    for (int i = 0; i < 20; i++)
        assert_non_null(tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err));
    run_for(f, 300);
    assert_int_equal(confirm.called, 0);
    relay_start(&relay);
    while (confirm.called < 20)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_null(confirm.err.code);
    assert_in_range(stat_of(f).ready, 21, 41);
    leave(f, &relay);
}

static void a_publish_fails_in_time_while_the_broker_is_away(void **state)
{
    struct fixture *f = *state;
    struct relay relay;

    go_through(f, &relay);
    publish(f, "first");
    relay_cut(&relay);
    assert_string_equal(publish_bytes(f, "x", 1, 0), "unavailable");
    relay_start(&relay);
    wait_until(f, is_ready, f);
    publish(f, "again");
    leave(f, &relay);
}

static void a_broker_that_stands_still_is_left(void **state)
{
    struct fixture *f = *state;
    struct readiness readiness = {f, "amqp://"};
    struct relay relay;

    go_through(f, &relay);
    publish(f, "first");
    setpgid(relay.pid, relay.pid);
    kill(-relay.pid, SIGSTOP);
    wait_until(f, is_not_ready_because, &readiness); /* by its heartbeats */
    relay_cut(&relay);
    relay_start(&relay);
    wait_until(f, is_ready, f);
    publish(f, "again");
    leave(f, &relay);
}

/* What a handler works on is not worked on twice when only the connection was lost. */
static void a_delivery_outlives_its_connection(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct relay relay;

    go_through(f, &relay);
    publish(f, "x");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    relay_cut(&relay);
    relay_start(&relay);
    wait_until(f, is_ready, f);
    publish(f, "y");
    assert_string_equal(tide_delivery_payload(take_one(f, &inbox), NULL), "y"); /* so x has come before */
    assert_int_equal(inbox.total, 2);
    tide_delivery_ack(delivery);
    tide_queue_consumer_stop(inbox.consumer);
    leave(f, &relay);
    expect_stat(f, 1, 0, 0, 0);
}

static void an_ending_of_a_lost_delivery_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct relay relay;

    go_through(f, &relay);
    publish(f, "x");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    relay_cut(&relay);
    while (is_ready(f))
        run_for(f, 10);
    tide_delivery_ack(delivery); /* nobody is there to hear it */
    relay_start(&relay);
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), 2);
    assert_string_equal(tide_delivery_last_code(delivery), "lease_expired");
    tide_delivery_ack(delivery);
    leave(f, &relay);
    expect_stat(f, 0, 0, 0, 0);
}

static void restores_many_consumers(void **state)
{
    struct fixture *f = *state;
    struct inbox inboxes[5] = {0};
    char queues[5][sizeof f->queue];
    struct relay relay;

    go_through(f, &relay);
    for (int i = 0; i < 5; i++) {
        name_queue(f);
        strcpy(queues[i], f->queue);
        inboxes[i].act = act_ack;
        consume(f, &inboxes[i]);
    }
    for (size_t round = 1; round <= 3; round++) {
        relay_cut(&relay);
        relay_start(&relay);
        for (int i = 0; i < 5; i++) {
            strcpy(f->queue, queues[i]);
            publish(f, "x"); /* may be there twice */
        }
        for (int i = 0; i < 5; i++)
            wait_until(f, has_total, &(struct wanted){&inboxes[i], round});
    }
    leave(f, &relay);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SERVER(name) cmocka_unit_test_setup_teardown(name, set_up_amqp, tear_down)
    const struct CMUnitTest alone[] = {T(refuses_urls_by_what_is_wrong), T(starts_without_its_broker)};
    const struct CMUnitTest with_server[] = {
        SERVER(names_a_wrong_password_or_vhost),
        SERVER(a_refusal_by_the_broker_can_be_mended),
        SERVER(takes_what_a_peer_sends_to_its_own_queue),
        SERVER(holders_that_die_are_counted_on_a_classic_queue_too),
        SERVER(a_peer_reads_the_payload_and_nothing_else),
        SERVER(what_comes_too_early_goes_back),
        SERVER(times_that_no_clock_shows_are_none),
        SERVER(lists_what_the_broker_gave_up),
        SERVER(a_look_changes_nothing),
        SERVER(publishes_to_a_queue_that_was_deleted),
        SERVER(consumes_from_a_queue_that_was_deleted),
        SERVER(ends_deliveries_into_queues_that_were_deleted),
        SERVER(sends_again_what_was_not_confirmed),
        SERVER(a_publish_fails_in_time_while_the_broker_is_away),
        SERVER(a_broker_that_stands_still_is_left),
        SERVER(a_delivery_outlives_its_connection),
        SERVER(an_ending_of_a_lost_delivery_is_ignored),
        SERVER(restores_many_consumers),
    };
    int failed = cmocka_run_group_tests_name("AMQP without a server", alone, NULL, NULL);

    if (getenv("AMQP_URL"))
        return failed + cmocka_run_group_tests_name("AMQP", with_server, NULL, NULL);
    print_message("skipped: the rest, AMQP_URL names no server\n");
    return failed;
}
