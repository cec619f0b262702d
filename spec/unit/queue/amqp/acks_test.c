/* Acknowledgements in few words: one with `multiple` must never end a delivery that is still held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue/amqp/acks.h"

static void hold(struct tide_amqp_acks *acks, uint64_t first, uint64_t last)
{
    for (uint64_t tag = first; tag <= last; tag++)
        tide_amqp_acks_hold(acks, tag);
}

static void expect(struct tide_amqp_acks *acks, uint64_t tag, bool multiple)
{
    uint64_t next = 0;
    bool is_multiple = false;

    assert_true(tide_amqp_acks_next(acks, &next, &is_multiple));
    assert_int_equal(next, tag);
    assert_int_equal(is_multiple, multiple);
}

static void expect_no_more(struct tide_amqp_acks *acks)
{
    uint64_t tag;
    bool multiple;

    assert_false(tide_amqp_acks_next(acks, &tag, &multiple));
}

static void all_in_one_word(void **state)
{
    struct tide_amqp_acks acks = {0};

    (void)state;
    hold(&acks, 1, 200);
    for (uint64_t tag = 200; tag > 0; tag--)
        tide_amqp_acks_end(&acks, tag);
    expect(&acks, 200, true);
    expect_no_more(&acks);
    tide_amqp_acks_release(&acks);
}

static void one_is_not_multiple(void **state)
{
    struct tide_amqp_acks acks = {0};

    (void)state;
    hold(&acks, 1, 3);
    tide_amqp_acks_end(&acks, 1);
    expect(&acks, 1, false);
    expect_no_more(&acks);
    tide_amqp_acks_release(&acks);
}

static void behind_one_that_is_held_each_alone(void **state)
{
    struct tide_amqp_acks acks = {0};

    (void)state;
    hold(&acks, 1, 6);
    tide_amqp_acks_end(&acks, 6);
    tide_amqp_acks_end(&acks, 2);
    tide_amqp_acks_end(&acks, 1);
    tide_amqp_acks_end(&acks, 4);
    expect(&acks, 2, true); /* 3 is held */
    expect(&acks, 4, false);
    expect(&acks, 6, false);
    expect_no_more(&acks);
    tide_amqp_acks_end(&acks, 5);
    tide_amqp_acks_end(&acks, 3);
    expect(&acks, 5, true);
    expect_no_more(&acks);
    tide_amqp_acks_release(&acks);
}

static void what_was_refused_is_not_acknowledged(void **state)
{
    struct tide_amqp_acks acks = {0};

    (void)state;
    hold(&acks, 1, 2);
    tide_amqp_acks_forget(&acks, 1);
    tide_amqp_acks_end(&acks, 1);
    expect_no_more(&acks);
    tide_amqp_acks_end(&acks, 2);
    expect(&acks, 2, false);
    tide_amqp_acks_release(&acks);
}

static void nothing_twice_and_nothing_unknown(void **state)
{
    struct tide_amqp_acks acks = {0};

    (void)state;
    hold(&acks, 1, 1);
    tide_amqp_acks_end(&acks, 1);
    tide_amqp_acks_end(&acks, 1);
    tide_amqp_acks_end(&acks, 7);
    expect(&acks, 1, false);
    expect_no_more(&acks);
    hold(&acks, 2, 2);
    tide_amqp_acks_end(&acks, 2);
    tide_amqp_acks_release(&acks); /* the channel is gone */
    expect_no_more(&acks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_in_one_word),
        cmocka_unit_test(one_is_not_multiple),
        cmocka_unit_test(behind_one_that_is_held_each_alone),
        cmocka_unit_test(what_was_refused_is_not_acknowledged),
        cmocka_unit_test(nothing_twice_and_nothing_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
