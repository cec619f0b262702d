/*
 * What every driver of core/queue has to do: for the embedded one, and for a server's when AMQP_URL names it.
 */
#include "queue/fixture.h"

#include "queue/driver.h"

/* ---- publish ---- */

static void delivers_what_was_published(void **state)
{
    static const char payload[] = "a\0b\xff";
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    int64_t before = tide_clock_now_ms();
    size_t len;

    assert_string_equal(publish_bytes(f, payload, sizeof payload - 1, 0), "ok");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_memory_equal(tide_delivery_payload(delivery, &len), payload, sizeof payload); /* NUL behind it */
    assert_int_equal(len, sizeof payload - 1);
    assert_string_equal(tide_delivery_queue(delivery), f->queue);
    assert_int_equal(tide_delivery_attempt(delivery), 1);
    assert_false(tide_delivery_is_last(delivery));
    assert_false(tide_delivery_is_expired(delivery));
    assert_string_equal(tide_delivery_last_code(delivery), "");
    assert_string_equal(tide_delivery_last_reason(delivery), "");
    assert_in_range(tide_delivery_published_ms(delivery), before, tide_clock_now_ms());
    tide_delivery_ack(delivery);
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
}

static void delivers_an_empty_message(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    size_t len = 1;

    assert_string_equal(publish_bytes(f, NULL, 0, 0), "ok");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_string_equal(tide_delivery_payload(delivery, &len), "");
    assert_int_equal(len, 0);
    tide_delivery_ack(delivery);
}

static void refuses_what_is_too_large(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    char *payload = calloc(1, TIDE_QUEUE_MAX_PAYLOAD + 1);
    size_t len;

    assert_string_equal(publish_bytes(f, payload, TIDE_QUEUE_MAX_PAYLOAD + 1, 0), "too_large");
    assert_string_equal(publish_bytes(f, payload, TIDE_QUEUE_MAX_PAYLOAD, 0), "ok");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    tide_delivery_payload(delivery, &len);
    assert_int_equal(len, TIDE_QUEUE_MAX_PAYLOAD);
    tide_delivery_ack(delivery);
    free(payload);
}

static void refuses_bad_names_and_numbers(void **state)
{
    static const char *const names[] = {"", "Video", "a b", "a/b",
                                        "0123456789012345678901234567890123456789012345678901234567890123x"};
    struct fixture *f = *state;
    struct tide_queue_message message = {.payload = "", .delay_ms = -1};
    struct tide_queue_consume good = consume_defaults(f), bad;
    struct inbox inbox = {0};
    struct tide_err err;

#define REFUSED(field, value)                                                                                \
    bad = good, bad.field = value, err.code = "",                                                            \
    assert_null(tide_queue_consume(f->broker, &bad, on_delivery, &inbox, &err)),                             \
    assert_string_equal(err.code, "invalid")
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        message.queue = names[i];
        assert_null(tide_queue_publish(f->broker, &message, on_confirm, &inbox, &err));
        assert_string_equal(err.code, "invalid");
        REFUSED(queue, names[i]);
    }
    message.queue = f->queue;
    assert_null(tide_queue_publish(f->broker, &message, on_confirm, &inbox, &err));
    assert_string_equal(err.code, "invalid");
    REFUSED(prefetch, 0);
    REFUSED(prefetch, 1001);
    REFUSED(attempts, 0);
    REFUSED(attempts, 101);
    REFUSED(lease_ms, 99);
    REFUSED(backoff_ms, -1);
    REFUSED(backoff_max_ms, 0);
#undef REFUSED
    assert_non_null(strstr(err.message, "backoff"));
}

static void refuses_delays_that_never_end(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(publish_bytes(f, "", 0, INT64_MAX), "invalid");
}

static void cancel_keeps_the_callback_quiet(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_message message = {.queue = f->queue, .payload = "x", .len = 1};
    struct confirm confirm = {0};
    struct tide_err err;

    for (int i = 0; i < 20; i++)
        tide_queue_call_cancel(tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err));
    tide_queue_call_cancel(NULL);
    flush(f);
    assert_int_equal(confirm.called, 0);
}

static void delays_a_message(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {.act = act_ack};
    int64_t before;

    assert_string_equal(publish_bytes(f, "tomorrow", 8, 24 * 3600 * 1000), "ok");
    publish(f, "now");
    expect_stat(f, 1, 1, 0, 0);
    consume(f, &inbox);
    await_total(f, &inbox, 1);
    before = tide_clock_now_ms();
    assert_string_equal(publish_bytes(f, "later", 5, 300), "ok");
    await_total(f, &inbox, 2);
    assert_true(tide_clock_now_ms() - before >= 300);
    assert_string_equal(inbox.texts[0], "now");
    assert_string_equal(inbox.texts[1], "later");
}

/* ---- the time of day ---- */

#define HOUR_MS (INT64_C(3600) * 1000)

static void a_wall_clock_that_jumps_ends_no_lease(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0}, waiting = {0};
    struct tide_queue_consume how = consume_defaults(f);

    publish(f, "x");
    how.lease_ms = 1000;
    consume_with(f, &inbox, &how);
    wait_until(f, has_held, &inbox);
    consume_with(f, &waiting, &how);
    tide_clock_advance_ms(HOUR_MS);
    run_for(f, 1500);
    tide_clock_advance_ms(-2 * HOUR_MS);
    run_for(f, 1500);
    assert_int_equal(waiting.total, 0);
    tide_delivery_ack(inbox.held[0]);
    flush(f);
    tide_clock_advance_ms(HOUR_MS);
    expect_stat(f, 0, 0, 0, 0);
}

static void a_wall_clock_set_back_delays_nothing_for_long(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {.act = act_ack};

    consume(f, &inbox);
    assert_string_equal(publish_bytes(f, "later", 5, 2000), "ok");
    tide_clock_advance_ms(-HOUR_MS);
    publish(f, "now");
    await_total(f, &inbox, 2);
    tide_clock_advance_ms(HOUR_MS);
    assert_string_equal(inbox.texts[0], "now");
}

/* ---- consume ---- */

static void keeps_the_order(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {.act = act_ack};
    struct tide_queue_consume how = consume_defaults(f);
    char text[8];

    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish(f, text);
    }
    how.prefetch = 1;
    consume_with(f, &inbox, &how);
    await_total(f, &inbox, 50);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_string_equal(inbox.texts[i], text);
    }
}

static void gives_no_more_than_prefetch(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_consume how = consume_defaults(f);

    for (int i = 0; i < 10; i++)
        publish(f, "x");
    how.prefetch = 3;
    consume_with(f, &inbox, &how);
    await_total(f, &inbox, 3);
    run_for(f, 100);
    assert_int_equal(inbox.total, 3);
    expect_stat(f, 7, 0, 3, 0);
    tide_delivery_ack(inbox.held[0]);
    await_total(f, &inbox, 4);
    run_for(f, 100);
    assert_int_equal(inbox.total, 4);
}

static void shares_a_queue_between_consumers(void **state)
{
    struct fixture *f = *state;
    struct inbox inboxes[3] = {0};
    struct tide_queue_consume how = consume_defaults(f);

    how.prefetch = 2;
    for (int i = 0; i < 3; i++)
        consume_with(f, &inboxes[i], &how);
    for (int i = 0; i < 6; i++)
        publish(f, "x");
    for (int i = 0; i < 3; i++)
        await_total(f, &inboxes[i], 2);
}

static void keeps_queues_apart(void **state)
{
    struct fixture *f = *state;
    struct inbox here = {.act = act_ack}, there = {.act = act_ack};

    publish(f, "here");
    consume(f, &here);
    name_queue(f);
    consume(f, &there);
    publish(f, "there");
    await_total(f, &here, 1);
    await_total(f, &there, 1);
    assert_string_equal(here.texts[0], "here");
    assert_string_equal(there.texts[0], "there");
}

/* An acknowledgement makes room while the other consumers' messages of the same moment are still to be given.
 */
static void acks_inside_the_delivery_leave_the_others_theirs(void **state)
{
    struct fixture *f = *state;
    struct inbox inboxes[3] = {{.act = act_ack}, {0}, {0}};
    struct tide_queue_consume how = consume_defaults(f);

    how.prefetch = 4;
    for (int i = 0; i < 40; i++)
        publish(f, "x");
    for (int i = 0; i < 3; i++)
        consume_with(f, &inboxes[i], &how);
    await_total(f, &inboxes[0], 32);
    await_total(f, &inboxes[1], 4);
    await_total(f, &inboxes[2], 4);
    flush(f);
    expect_stat(f, 0, 0, 8, 0);
}

static bool holds_ten(const void *arg)
{
    return ((const struct inbox *)arg)->count == 10;
}

static int ack_some_and_tell(struct fixture *f, int out)
{
    static const int acked[] = {9, 1, 0, 5, 3};
    struct inbox inbox = {0};
    struct tide_queue_consume how = consume_defaults(f);

    how.lease_ms = 300;
    consume_with(f, &inbox, &how);
    wait_until(f, holds_ten, &inbox);
    for (int i = 0; i < 3; i++)
        tide_delivery_ack(inbox.held[acked[i]]);
    flush(f);
    for (int i = 3; i < 5; i++)
        tide_delivery_ack(inbox.held[acked[i]]);
    flush(f);
    run_for(f, 200);
    if (write(out, "!", 1) != 1)
        return 1;
    run_for(f, PATIENCE_MS);
    return 0;
}

/* A driver may tell the broker in one word that several are done: no other one is among them. */
static void acks_in_any_order_leave_what_is_held(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {.act = act_ack};
    char text[2] = "0", got[6] = "";

    for (; *text <= '9'; (*text)++)
        publish(f, text);
    holder_dies_after(f, ack_some_and_tell);
    consume(f, &inbox);
    await_total(f, &inbox, 5);
    for (int i = 0; i < 5; i++)
        strcat(got, inbox.texts[i]);
    for (const char *at = "24678"; *at; at++)
        assert_non_null(strchr(got, *at));
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
}

static void act_stop_and_ack(struct inbox *inbox, struct tide_delivery *delivery)
{
    tide_queue_consumer_stop(inbox->consumer);
    tide_delivery_ack(delivery);
}

static void a_consumer_may_stop_itself_inside_a_delivery(void **state)
{
    struct fixture *f = *state;
    struct inbox stopping = {.act = act_stop_and_ack}, other = {.act = act_ack};
    struct tide_queue_consume how = consume_defaults(f);

    for (int i = 0; i < 5; i++)
        publish(f, "x");
    how.prefetch = 1;
    consume_with(f, &stopping, &how);
    await_total(f, &stopping, 1);
    consume(f, &other);
    await_total(f, &other, 4);
    assert_int_equal(stopping.total, 1);
}

static void stop_leaves_what_is_held(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;

    publish(f, "held");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    tide_queue_consumer_stop(inbox.consumer);
    tide_queue_consumer_stop(NULL);
    publish(f, "not for it");
    run_for(f, 100);
    assert_int_equal(inbox.total, 1);
    assert_string_equal(tide_delivery_payload(delivery, NULL), "held");
    tide_delivery_ack(delivery);
    flush(f);
    expect_stat(f, 1, 0, 0, 0);
}

static void close_hands_back_what_is_held(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;

    publish(f, "a");
    publish(f, "b");
    consume(f, &inbox);
    await_total(f, &inbox, 2);
    close_broker(f);
    open_broker(f);
    inbox = (struct inbox){0};
    consume(f, &inbox);
    await_total(f, &inbox, 2);
    delivery = inbox.held[0];
    assert_string_equal(tide_delivery_payload(delivery, NULL), "a");
    assert_int_equal(tide_delivery_attempt(delivery), 1); /* not the consumer's fault */
    assert_string_equal(tide_delivery_last_code(delivery), "");
}

static void close_stores_what_was_begun(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_message message = {.queue = f->queue, .payload = "x", .len = 1};
    struct confirm confirm = {0};
    struct inbox inbox = {0};
    struct tide_err err;

    publish(f, "first");
    consume(f, &inbox);
    tide_delivery_ack(take_one(f, &inbox));
    for (int i = 0; i < 10; i++)
        assert_non_null(tide_queue_publish(f->broker, &message, on_confirm, &confirm, &err));
    close_broker(f);
    assert_int_equal(confirm.called, 10);
    assert_null(confirm.err.code);
    open_broker(f);
    expect_stat(f, 10, 0, 0, 0);
}

struct again {
    struct fixture *f;
    int called, refused;
};

static void publish_again(void *arg, const struct tide_err *err)
{
    struct again *again = arg;
    struct tide_queue_message message = {.queue = again->f->queue, .payload = "x", .len = 1};

    again->called++;
    if (err || !tide_queue_publish(again->f->broker, &message, publish_again, again, NULL))
        again->refused++;
}

/* A script's loop that publishes whenever it was confirmed must not hold up the end, nor be forgotten. */
static void close_refuses_what_its_answers_publish(void **state)
{
    struct fixture *f = *state;
    struct again again = {f, 0, 0};

    publish_again(&again, NULL);
    close_broker(f);
    assert_int_equal(again.refused, 1);
    open_broker(f);
    assert_int_equal(stat_of(f).ready, again.called - 1); /* the first call was by hand */
}

/* ---- endings ---- */

static void release_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;

    publish(f, "x");
    consume(f, &inbox);
    for (int i = 0; i < 5; i++) {
        delivery = take_one(f, &inbox);
        assert_int_equal(tide_delivery_attempt(delivery), 1);
        tide_delivery_release(delivery);
    }
    tide_delivery_ack(take_one(f, &inbox));
}

static void retry_counts_and_tells_why(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    int64_t before;

    publish(f, "x");
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    before = tide_clock_now_ms();
    tide_delivery_retry(delivery, 200, "unavailable", "the server is away");
    delivery = take_one(f, &inbox);
    assert_true(tide_clock_now_ms() - before >= 200);
    assert_int_equal(tide_delivery_attempt(delivery), 2);
    assert_string_equal(tide_delivery_last_code(delivery), "unavailable");
    assert_string_equal(tide_delivery_last_reason(delivery), "the server is away");
    assert_false(tide_delivery_is_last(delivery));
    tide_delivery_retry(delivery, 0, NULL, NULL);
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), 3);
    assert_true(tide_delivery_is_last(delivery));
    assert_string_equal(tide_delivery_last_code(delivery), "");
    tide_delivery_ack(delivery);
}

static void a_last_retry_is_a_dead_letter(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;

    publish(f, "x");
    consume(f, &inbox);
    for (int i = 0; i < 3; i++)
        tide_delivery_retry(take_one(f, &inbox), 0, "flaky", "again and again");
    flush(f);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_int_equal(list[0].attempts, 3);
    assert_string_equal(list[0].code, "flaky");
    assert_string_equal(list[0].reason, "again and again");
    tide_queue_dead_free(list, 1);
}

/* 100, 200, 400, 400, each 20 % more or less; how late a message comes is nobody's promise. */
static void backoff_doubles_to_its_maximum(void **state)
{
    static const int64_t least[] = {80, 160, 320, 320};
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_consume how = consume_defaults(f);

    publish(f, "x");
    how.attempts = 5;
    how.backoff_ms = 100;
    how.backoff_max_ms = 400;
    consume_with(f, &inbox, &how);
    for (int i = 0; i < 4; i++) {
        struct tide_delivery *delivery = take_one(f, &inbox);
        int64_t before = tide_clock_now_ms();

        tide_delivery_retry(delivery, -1, "c", "r");
        wait_until(f, has_held, &inbox);
        assert_true(tide_clock_now_ms() - before >= least[i]);
    }
    tide_delivery_ack(take_one(f, &inbox));
}

/* ---- dead letters ---- */

static void reject_makes_a_dead_letter(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;
    int64_t before = tide_clock_now_ms();

    publish(f, "broken");
    consume(f, &inbox);
    tide_delivery_reject(take_one(f, &inbox), "corrupt", "no video in it", "stack traceback:");
    flush(f);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_true(list[0].id > 0);
    assert_int_equal(list[0].len, 6);
    assert_memory_equal(list[0].payload, "broken", 7);
    assert_int_equal(list[0].attempts, 1);
    assert_string_equal(list[0].code, "corrupt");
    assert_string_equal(list[0].reason, "no video in it");
    assert_string_equal(list[0].detail, "stack traceback:");
    assert_in_range(list[0].published_ms, before, list[0].died_ms);
    assert_in_range(list[0].died_ms, before, tide_clock_now_ms());
    tide_queue_dead_free(list, 1);
    run_for(f, 50);
    assert_int_equal(inbox.total, 1);
}

static void cuts_long_reasons(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;
    char *text = malloc(100001);

    memset(text, 'x', 100000);
    text[100000] = '\0';
    publish(f, "x");
    consume(f, &inbox);
    tide_delivery_reject(take_one(f, &inbox), text, text, text);
    flush(f);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_int_equal(strlen(list[0].code), 64);
    assert_int_equal(strlen(list[0].reason), 1024);
    assert_int_equal(strlen(list[0].detail), 8192);
    tide_queue_dead_free(list, 1);
    free(text);
}

static void make_dead(struct fixture *f, int count)
{
    struct inbox inbox = {0};
    char text[8];

    consume(f, &inbox);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish(f, text);
        tide_delivery_reject(take_one(f, &inbox), "c", text, NULL);
    }
    tide_queue_consumer_stop(inbox.consumer);
    expect_stat(f, 0, 0, 0, count);
}

static void lists_oldest_first_and_no_more_than_asked(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_dead *list;
    struct tide_err err;

    make_dead(f, 5);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 3, &list, &err), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(list[i].payload[0], '0' + i);
    assert_null(list[0].detail);
    tide_queue_dead_free(list, 3);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "ready", 3, &list, &err), 0);
    tide_queue_dead_free(list, 0);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "lost", 3, &list, &err), -1);
    assert_string_equal(err.code, "invalid");
}

/* RabbitMQ 4 gives a message up that came back 20 times, unless its queue says otherwise. */
static void looks_take_nothing_away(void **state)
{
    struct fixture *f = *state;
    struct tide_queue_dead *list;
    struct tide_err err;

    make_dead(f, 1);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 3, &list, &err), 1);
        tide_queue_dead_free(list, 1);
    }
}

static void retries_dead_letters_one_or_all(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_delivery *delivery;
    struct tide_err err;
    int64_t id;

    make_dead(f, 4);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 4);
    id = list[2].id;
    tide_queue_dead_free(list, 4);
    assert_int_equal(tide_queue_dead_retry(f->broker, f->queue, id, &err), 1);
    assert_int_equal(tide_queue_dead_retry(f->broker, f->queue, id, &err), 0); /* it isn't dead any more */
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_string_equal(tide_delivery_payload(delivery, NULL), "2");
    assert_int_equal(tide_delivery_attempt(delivery), 1);
    assert_string_equal(tide_delivery_last_code(delivery), "");
    tide_delivery_ack(delivery);
    inbox.act = act_ack;
    assert_int_equal(tide_queue_dead_retry(f->broker, f->queue, 0, &err), 3);
    await_total(f, &inbox, 4);
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
}

static void purges_one_state_only(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_err err;

    make_dead(f, 2);
    publish(f, "leased");
    consume(f, &inbox);
    wait_until(f, has_held, &inbox);
    tide_queue_consumer_stop(inbox.consumer);
    publish(f, "ready");
    assert_string_equal(publish_bytes(f, "delayed", 7, 60000), "ok");
    expect_stat(f, 1, 1, 1, 2);
    assert_int_equal(tide_queue_purge(f->broker, f->queue, "leased", &err), -1);
    assert_string_equal(err.code, "invalid");
    assert_int_equal(tide_queue_purge(f->broker, f->queue, "dead", &err), 2);
    expect_stat(f, 1, 1, 1, 0);
    assert_int_equal(tide_queue_purge(f->broker, f->queue, "delayed", &err), 1);
    assert_int_equal(tide_queue_purge(f->broker, f->queue, "ready", &err), 1);
    expect_stat(f, 0, 0, 1, 0);
}

/* ---- processes ---- */

static void a_holder_that_dies_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;

    publish(f, "x");
    holder_dies(f);
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), 2);
    assert_string_equal(tide_delivery_last_code(delivery), "lease_expired");
    tide_delivery_ack(delivery);
    flush(f);
    expect_stat(f, 0, 0, 0, 0);
}

/* A healthy message loses some when processes are killed; one that kills them must end. */
static void ten_holders_that_die_use_up_the_attempts(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;

    publish(f, "x");
    for (int i = 0; i < TIDE_QUEUE_MAX_LOST - 1; i++)
        holder_dies(f);
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_int_equal(tide_delivery_attempt(delivery), TIDE_QUEUE_MAX_LOST);
    assert_false(tide_delivery_is_last(delivery)); /* of three */
    tide_queue_consumer_stop(inbox.consumer);
    tide_delivery_release(delivery);
    flush(f);
    holder_dies(f);
    inbox = (struct inbox){0};
    consume(f, &inbox);
    delivery = take_one(f, &inbox);
    assert_true(tide_delivery_is_expired(delivery));
    assert_true(tide_delivery_is_last(delivery));
    tide_delivery_retry(delivery, 0, "crashed", "its holder died"); /* is a reject */
    flush(f);
    expect_stat(f, 0, 0, 0, 1);
}

static bool holds_four(const void *arg)
{
    return ((const struct inbox *)arg)->count >= 4;
}

/* The first three are told of, the fourth was only held beside them. */
static int hold_four_and_tell(struct fixture *f, int out)
{
    struct inbox inbox = {0};
    struct tide_queue_consume how = consume_defaults(f);

    how.lease_ms = 300;
    consume_with(f, &inbox, &how);
    wait_until(f, holds_four, &inbox);
    tide_queue_broker_dies(f->broker);
    tide_delivery_retry(inbox.held[0], 0, "looped", "it loops");
    tide_delivery_reject(inbox.held[1], "looped", "it loops", NULL);
    tide_delivery_postpone(inbox.held[2], "looped", "it loops");
    if (write(out, "!", 1) != 1)
        return 1;
    pause();
    return 0;
}

static struct tide_delivery *held_with(struct inbox *inbox, const char *payload)
{
    for (size_t i = 0; i < inbox->count; i++)
        if (strcmp(tide_delivery_payload(inbox->held[i], NULL), payload) == 0)
            return inbox->held[i];
    fail_msg("'%s' has not come", payload);
    return NULL;
}

static void a_holder_that_dies_may_say_of_which(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_queue_dead *list;
    struct tide_err err;

    publish(f, "retry");
    publish(f, "reject");
    publish(f, "postpone");
    publish(f, "innocent");
    holder_dies_after(f, hold_four_and_tell);
    consume(f, &inbox);
    await_total(f, &inbox, 3);
    assert_int_equal(tide_delivery_attempt(held_with(&inbox, "retry")), 2);
    assert_string_equal(tide_delivery_last_code(held_with(&inbox, "retry")), "looped");
    assert_string_equal(tide_delivery_last_reason(held_with(&inbox, "retry")), "it loops");
    assert_true(tide_delivery_is_expired(held_with(&inbox, "postpone")));
    assert_string_equal(tide_delivery_last_reason(held_with(&inbox, "postpone")), "it loops");
    assert_string_equal(tide_delivery_last_code(held_with(&inbox, "innocent")), "lease_expired");
    for (size_t i = 0; i < inbox.count; i++)
        tide_delivery_ack(inbox.held[i]);
    flush(f);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_string_equal(list[0].payload, "reject");
    assert_string_equal(list[0].reason, "it loops");
    tide_queue_dead_free(list, 1);
}

/* Its work is not tried again, whatever attempts were left; it comes three times to be rejected. */
static void postpone_comes_expired_three_times(void **state)
{
    struct fixture *f = *state;
    struct inbox inbox = {0};
    struct tide_delivery *delivery;
    struct tide_queue_dead *list;
    struct tide_err err;

    publish(f, "x");
    consume(f, &inbox);
    tide_delivery_postpone(take_one(f, &inbox), "broken", "the first reason");
    for (int i = 0; i < 3; i++) {
        delivery = take_one(f, &inbox);
        assert_true(tide_delivery_is_expired(delivery));
        assert_string_equal(tide_delivery_last_code(delivery), "broken");
        assert_string_equal(tide_delivery_last_reason(delivery), "the first reason");
        flush(f);
        expect_stat(f, 0, 0, 1, 0);
        tide_delivery_postpone(delivery, "broken", "the first reason");
    }
    flush(f);
    expect_stat(f, 0, 0, 0, 1);
    assert_int_equal(tide_queue_list(f->broker, f->queue, "dead", 10, &list, &err), 1);
    assert_int_equal(list[0].attempts, 3); /* of the consumer */
    assert_string_equal(list[0].code, "broken");
    tide_queue_dead_free(list, 1);
}

#define SHARED 200

static void act_ack_and_tell(struct inbox *inbox, struct tide_delivery *delivery)
{
    int number = atoi(tide_delivery_payload(delivery, NULL));

    if (write(*(int *)inbox->arg, &number, sizeof number) != sizeof number)
        _exit(3);
    tide_delivery_ack(delivery);
}

static int take_all(struct fixture *f, int out)
{
    struct inbox inbox = {.act = act_ack_and_tell, .arg = &out};
    struct tide_queue_consume how = consume_defaults(f);

    how.prefetch = 5;
    consume_with(f, &inbox, &how);
    run_for(f, PATIENCE_MS);
    return 0;
}

static void processes_share_a_queue_without_doubles(void **state)
{
    struct fixture *f = *state;
    bool seen[SHARED] = {false};
    pid_t children[3];
    int pipes[2], number;
    char text[8];

    assert_int_equal(pipe(pipes), 0);
    publish(f, "0"); /* the queue is there: four that declare it at once can take RabbitMQ many seconds */
    for (int i = 0; i < 3; i++)
        children[i] = in_child(f, take_all, pipes[1]);
    close(pipes[1]);
    for (int i = 1; i < SHARED; i++) {
        snprintf(text, sizeof text, "%d", i);
        publish(f, text);
    }
    for (int i = 0; i < SHARED; i++) {
        assert_int_equal(read(pipes[0], &number, sizeof number), sizeof number);
        assert_in_range(number, 0, SHARED - 1);
        assert_false(seen[number]);
        seen[number] = true;
    }
    for (int i = 0; i < 3; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    assert_int_equal(read(pipes[0], &number, sizeof number), 0); /* nothing twice */
    close(pipes[0]);
}

int main(void)
{
#define T(name)                                                                                              \
    {                                                                                                        \
#name, name, NULL, tear_down, NULL                                                                   \
    }
    struct CMUnitTest tests[] = {
        T(delivers_what_was_published),
        T(delivers_an_empty_message),
        T(refuses_what_is_too_large),
        T(refuses_bad_names_and_numbers),
        T(refuses_delays_that_never_end),
        T(cancel_keeps_the_callback_quiet),
        T(delays_a_message),
        T(a_wall_clock_that_jumps_ends_no_lease),
        T(a_wall_clock_set_back_delays_nothing_for_long),
        T(keeps_the_order),
        T(gives_no_more_than_prefetch),
        T(shares_a_queue_between_consumers),
        T(keeps_queues_apart),
        T(acks_inside_the_delivery_leave_the_others_theirs),
        T(acks_in_any_order_leave_what_is_held),
        T(a_consumer_may_stop_itself_inside_a_delivery),
        T(stop_leaves_what_is_held),
        T(close_hands_back_what_is_held),
        T(close_stores_what_was_begun),
        T(close_refuses_what_its_answers_publish),
        T(release_does_not_count),
        T(retry_counts_and_tells_why),
        T(a_last_retry_is_a_dead_letter),
        T(backoff_doubles_to_its_maximum),
        T(reject_makes_a_dead_letter),
        T(cuts_long_reasons),
        T(lists_oldest_first_and_no_more_than_asked),
        T(looks_take_nothing_away),
        T(retries_dead_letters_one_or_all),
        T(purges_one_state_only),
        T(a_holder_that_dies_is_told_of),
        T(ten_holders_that_die_use_up_the_attempts),
        T(a_holder_that_dies_may_say_of_which),
        T(postpone_comes_expired_three_times),
        T(processes_share_a_queue_without_doubles),
    };
    size_t count = sizeof tests / sizeof *tests;
    int failed;

    for (size_t i = 0; i < count; i++)
        tests[i].setup_func = set_up;
    failed = cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
    if (!getenv("AMQP_URL")) {
        print_message("skipped: the contract over AMQP, AMQP_URL names no server\n");
        return failed;
    }
    for (size_t i = 0; i < count; i++)
        tests[i].setup_func = set_up_amqp;
    return failed + cmocka_run_group_tests_name("AMQP", tests, NULL, NULL);
}
