#include "loop.h"

#include "stream/stream.h"

#define BIG (5 * TIDE_STREAM_CHUNK + 777)
#define LENT 50000 /* bytes at a time */

/* One end of a stream that answers at once or a turn of the loop later. */
struct end {
    struct tide_source source;
    struct tide_sink sink;
    uv_timer_t timer;
    bool later, closed, in_flight;
    int fail_at; /* this call fails, counted from 1; 0: none */
    int calls;
    char *buf; /* the sink's bytes, or what the source lends */
    size_t cap, len;
    tide_read_cb *read_cb;
    tide_lend_cb *lend_cb;
    tide_write_cb *write_cb;
    void *arg, *into;
    size_t into_cap;
    const char *from;
};

struct outcome {
    int called;
    int64_t bytes;
    const char *code;
    bool inside;
};

static uv_loop_t loop;
static int files_before;
static const struct tide_err broken = {.code = TIDE_ERR_INTERNAL, .message = "broken"};

static int setup(void **state)
{
    (void)state;
    files_before = loop_open(&loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_close(&loop, files_before);
    return 0;
}

static char byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void tell_read(struct end *end, ssize_t n, const struct tide_err *err)
{
    if (end->lend_cb)
        end->lend_cb(end->arg, end->into, n, err);
    else
        end->read_cb(end->arg, n, err);
}

static void answer_read(struct end *end)
{
    size_t n = end->cap - end->len;

    end->in_flight = false;
    if (end->fail_at == end->calls) {
        tell_read(end, -1, &broken);
        return;
    }
    n = n > end->into_cap ? end->into_cap : n;
    for (size_t i = 0; i < n; i++)
        ((char *)end->into)[i] = byte_at(end->len + i);
    end->len += n;
    tell_read(end, (ssize_t)n, NULL);
}

static void answer_write(struct end *end)
{
    end->in_flight = false;
    if (end->fail_at == end->calls) {
        end->write_cb(end->arg, &broken);
        return;
    }
    assert_true(end->len + end->into_cap <= end->cap);
    memcpy(end->buf + end->len, end->from, end->into_cap);
    end->len += end->into_cap;
    end->write_cb(end->arg, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct end *end = timer->data;

    if (end->from)
        answer_write(end);
    else
        answer_read(end);
}

static void begin_read(struct end *end, void *buf, size_t cap, void *arg)
{
    assert_false(end->in_flight || end->closed);
    end->calls++;
    end->in_flight = true;
    end->into = buf;
    end->into_cap = cap;
    end->arg = arg;
    if (end->later)
        uv_timer_start(&end->timer, on_timer, 1, 0);
    else
        answer_read(end);
}

static void end_read(struct tide_source *source, void *buf, size_t cap, tide_read_cb *cb, void *arg)
{
    struct end *end = (struct end *)source;

    end->read_cb = cb;
    begin_read(end, buf, cap, arg);
}

/* Always out of the same memory: what was lent before is gone. */
static void end_lend(struct tide_source *source, tide_lend_cb *cb, void *arg)
{
    struct end *end = (struct end *)source;

    if (!end->buf)
        end->buf = malloc(LENT);
    end->lend_cb = cb;
    begin_read(end, end->buf, LENT, arg);
}

static struct end *sink_end(struct tide_sink *sink)
{
    return (struct end *)((char *)sink - offsetof(struct end, sink));
}

static void end_write(struct tide_sink *sink, const void *data, size_t len, tide_write_cb *cb, void *arg)
{
    struct end *end = sink_end(sink);

    assert_false(end->in_flight || end->closed);
    assert_true(len > 0);
    end->calls++;
    end->in_flight = true;
    end->from = data;
    end->into_cap = len;
    end->write_cb = cb;
    end->arg = arg;
    if (end->later)
        uv_timer_start(&end->timer, on_timer, 2, 0);
    else
        answer_write(end);
}

static void end_close(struct end *end)
{
    assert_false(end->closed);
    end->closed = true;
    uv_close((uv_handle_t *)&end->timer, NULL);
}

static void end_source_close(struct tide_source *source)
{
    end_close((struct end *)source);
}

static void end_sink_close(struct tide_sink *sink)
{
    end_close(sink_end(sink));
}

static const struct tide_source_ops source_ops = {.read = end_read, .close = end_source_close};
static const struct tide_source_ops lending_ops = {end_read, end_source_close, end_lend};
static const struct tide_sink_ops sink_ops = {end_write, end_sink_close};

static struct end *end_new(bool later, size_t cap, bool is_sink)
{
    struct end *end = calloc(1, sizeof *end);

    end->source = (struct tide_source){&source_ops, -1};
    end->sink.ops = &sink_ops;
    end->later = later;
    end->cap = cap;
    end->buf = is_sink ? malloc(cap + 1) : NULL;
    uv_timer_init(&loop, &end->timer);
    end->timer.data = end;
    return end;
}

static void end_free(struct end *end)
{
    if (!end->closed)
        end_close(end);
    uv_run(&loop, UV_RUN_DEFAULT);
    free(end->buf);
    free(end);
}

static void on_pumped(void *arg, int64_t bytes, const struct tide_err *err)
{
    struct outcome *outcome = arg;

    outcome->called++;
    outcome->bytes = bytes;
    outcome->code = err ? err->code : NULL;
}

static struct outcome pump(struct tide_source *source, struct tide_sink *sink, int64_t limit)
{
    struct outcome outcome = {0};

    assert_non_null(tide_pump_start(&loop, source, sink, limit, on_pumped, &outcome, NULL));
    assert_int_equal(outcome.called, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.called, 1);
    return outcome;
}

static void moves_all_bytes_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct end *from = end_new(i & 1, BIG, false), *to = end_new(i & 2, BIG, true);
        struct outcome outcome;

        if (i & 4)
            from->source.ops = &lending_ops;
        outcome = pump(&from->source, &to->sink, BIG);
        assert_null(outcome.code);
        assert_int_equal(outcome.bytes, BIG);
        assert_int_equal(to->len, BIG);
        for (size_t k = 0; k < BIG; k++)
            if (to->buf[k] != byte_at(k))
                fail_msg("byte %zu differs", k);
        assert_false(from->closed || to->closed);
        end_free(from);
        end_free(to);
    }
}

static void moves_nothing(void **state)
{
    struct end *to = end_new(false, 0, true);
    struct tide_source *empty = tide_source_from_bytes(NULL, 0);
    struct outcome outcome = pump(empty, &to->sink, 0);

    (void)state;
    assert_null(outcome.code);
    assert_int_equal(outcome.bytes, 0);
    assert_int_equal(to->calls, 0);
    tide_source_close(empty);
    end_free(to);
}

static void stops_at_the_limit(void **state)
{
    struct end *from = end_new(true, BIG, false), *to = end_new(true, BIG, true);
    struct outcome outcome = pump(&from->source, &to->sink, BIG - 1);

    (void)state;
    assert_string_equal(outcome.code, TIDE_ERR_TOO_LARGE);
    assert_true(outcome.bytes < BIG);
    end_free(from);
    end_free(to);
}

static void refuses_a_known_length_over_the_limit_before_reading(void **state)
{
    struct end *from = end_new(false, BIG, false), *to = end_new(false, BIG, true);

    (void)state;
    from->source.length = BIG;
    assert_string_equal(pump(&from->source, &to->sink, 10).code, TIDE_ERR_TOO_LARGE);
    assert_int_equal(from->calls, 0);
    end_free(from);
    end_free(to);
}

static void tells_a_failed_read_and_a_failed_write(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        struct end *from = end_new(i & 1, BIG, false), *to = end_new(i & 2, BIG, true);
        struct end *bad = i & 4 ? from : to;

        if (i & 8)
            from->source.ops = &lending_ops;
        bad->fail_at = 3;
        assert_string_equal(pump(&from->source, &to->sink, -1).code, TIDE_ERR_INTERNAL);
        assert_int_equal(bad->calls, 3);
        assert_false(from->in_flight || to->in_flight);
        end_free(from);
        end_free(to);
    }
}

static void cancel_closes_both_ends_and_stays_silent(void **state)
{
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        struct end *from = end_new(true, 4 * BIG, false), *to = end_new(true, 4 * BIG, true);
        struct outcome outcome = {0};
        struct tide_pump *p = tide_pump_start(&loop, &from->source, &to->sink, -1, on_pumped, &outcome, NULL);

        for (int i = 0; i < turns; i++)
            uv_run(&loop, UV_RUN_ONCE);
        tide_pump_cancel(p);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(outcome.called, 0);
        assert_true(from->closed && to->closed);
        end_free(from);
        end_free(to);
    }
}

static void cancel_before_the_end_is_told(void **state)
{
    struct end *from = end_new(false, 10, false), *to = end_new(false, 10, true);
    struct outcome outcome = {0};
    struct tide_pump *p = tide_pump_start(&loop, &from->source, &to->sink, -1, on_pumped, &outcome, NULL);

    (void)state;
    assert_int_equal(to->len, 10);
    tide_pump_cancel(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome.called, 0);
    end_free(from);
    end_free(to);
}

static void on_bytes(void *arg, ssize_t n, const struct tide_err *err)
{
    assert_null(err);
    *(ssize_t *)arg = n;
}

static void bytes_are_copied_and_end(void **state)
{
    char text[] = "hello tide", buf[16] = "";
    struct tide_source *source = tide_source_from_bytes(text, 10);
    ssize_t n = -1;

    (void)state;
    assert_int_equal(source->length, 10);
    memset(text, 'x', sizeof text);
    tide_source_read(source, buf, 6, on_bytes, &n);
    assert_int_equal(n, 6);
    assert_memory_equal(buf, "hello ", 6);
    assert_int_equal(source->length, 4);
    tide_source_read(source, buf, sizeof buf, on_bytes, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(buf, "tide", 4);
    tide_source_read(source, buf, sizeof buf, on_bytes, &n);
    assert_int_equal(n, 0);
    tide_source_close(source);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(moves_all_bytes_in_order),
        TEST(moves_nothing),
        TEST(stops_at_the_limit),
        TEST(refuses_a_known_length_over_the_limit_before_reading),
        TEST(tells_a_failed_read_and_a_failed_write),
        TEST(cancel_closes_both_ends_and_stays_silent),
        TEST(cancel_before_the_end_is_told),
        TEST(bytes_are_copied_and_end),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
