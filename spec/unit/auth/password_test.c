#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/password.h"

static enum tide_password_match verify(const char *stored, const char *password)
{
    return tide_password_verify(stored, password, strlen(password));
}

static void hashes_with_our_parameters(void **state)
{
    char one[TIDE_PASSWORD_HASH_MAX], two[TIDE_PASSWORD_HASH_MAX];
    struct tide_err err;

    (void)state;
    assert_true(tide_password_hash("Admin123", 8, one, &err));
    assert_true(tide_password_hash("Admin123", 8, two, &err));
    assert_memory_equal(one, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_string_not_equal(one, two);
    assert_int_equal(verify(one, "Admin123"), TIDE_PASSWORD_RIGHT);
    assert_int_equal(verify(two, "Admin123"), TIDE_PASSWORD_RIGHT);
    assert_int_equal(verify(one, "admin123"), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify(one, "Admin123 "), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify(one, ""), TIDE_PASSWORD_WRONG);
}

static void bytes_behind_a_nul_count(void **state)
{
    char hash[TIDE_PASSWORD_HASH_MAX];
    struct tide_err err;

    (void)state;
    assert_true(tide_password_hash("a\0b", 3, hash, &err));
    assert_int_equal(tide_password_verify(hash, "a\0b", 3), TIDE_PASSWORD_RIGHT);
    assert_int_equal(tide_password_verify(hash, "a\0c", 3), TIDE_PASSWORD_WRONG);
    assert_int_equal(tide_password_verify("a", "a\0c", 3), TIDE_PASSWORD_WRONG);
}

static void refuses_lengths(void **state)
{
    char hash[TIDE_PASSWORD_HASH_MAX], longest[TIDE_PASSWORD_MAX + 1];
    struct tide_err err;

    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_false(tide_password_hash("", 0, hash, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_false(tide_password_hash(longest, sizeof longest, hash, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_true(tide_password_hash(longest, TIDE_PASSWORD_MAX, hash, &err));
    assert_int_equal(tide_password_verify(hash, longest, TIDE_PASSWORD_MAX), TIDE_PASSWORD_RIGHT);
    assert_int_equal(tide_password_verify(hash, longest, TIDE_PASSWORD_MAX + 1), TIDE_PASSWORD_WRONG);
}

static void upgrades_plain_text(void **state)
{
    (void)state;
    assert_int_equal(verify("Admin123", "Admin123"), TIDE_PASSWORD_RIGHT_REHASH);
    assert_int_equal(verify("$1 bill", "$1 bill"), TIDE_PASSWORD_RIGHT_REHASH);
    assert_int_equal(verify("Admin123", "Admin124"), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify("Admin123", "Admin12"), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify("Admin123", ""), TIDE_PASSWORD_WRONG);
}

static void nothing_stored_lets_nobody_in(void **state)
{
    (void)state;
    assert_int_equal(verify("", ""), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify("", "x"), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify(NULL, ""), TIDE_PASSWORD_WRONG);
    assert_int_equal(verify(NULL, "Admin123"), TIDE_PASSWORD_WRONG);
}

static void broken_hashes_are_wrong(void **state)
{
    static const char *const cases[] = {
        "$argon2",
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$",
        "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA",
        "$argon2id$v=19$m=999999999,t=2,p=1$c29kaXVtIGNobG9yaWRlIQ$U3/"
        "0rMrW4LQZk4oBrMO7yUqSx6l8kKk0bGf3ZfxMOyQ",
        "$argon2id$v=19$m=19456,t=999999999,p=1$c29kaXVtIGNobG9yaWRlIQ$U3/"
        "0rMrW4LQZk4oBrMO7yUqSx6l8kKk0bGf3ZfxMOyQ",
    };
    char longer[300];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(verify(cases[i], cases[i]), TIDE_PASSWORD_WRONG);
    snprintf(longer, sizeof longer, "$argon2id$v=19$m=19456,t=2,p=1$%0200d", 0);
    assert_int_equal(verify(longer, longer), TIDE_PASSWORD_WRONG);
}

static void weaker_hashes_ask_for_a_new_one(void **state)
{
    char hash[crypto_pwhash_STRBYTES];

    (void)state;
    assert_int_equal(crypto_pwhash_str_alg(hash, "pw", 2, 1, 19456 * 1024, crypto_pwhash_ALG_ARGON2ID13), 0);
    assert_int_equal(verify(hash, "pw"), TIDE_PASSWORD_RIGHT_REHASH);
    assert_int_equal(verify(hash, "no"), TIDE_PASSWORD_WRONG);
    assert_int_equal(crypto_pwhash_str_alg(hash, "pw", 2, 2, 8192 * 1024, crypto_pwhash_ALG_ARGON2ID13), 0);
    assert_int_equal(verify(hash, "pw"), TIDE_PASSWORD_RIGHT_REHASH);
    assert_int_equal(crypto_pwhash_str_alg(hash, "pw", 2, 3, 19456 * 1024, crypto_pwhash_ALG_ARGON2I13), 0);
    assert_int_equal(verify(hash, "pw"), TIDE_PASSWORD_RIGHT_REHASH);
    assert_int_equal(crypto_pwhash_str_alg(hash, "pw", 2, 3, 32768 * 1024, crypto_pwhash_ALG_ARGON2ID13), 0);
    assert_int_equal(verify(hash, "pw"), TIDE_PASSWORD_RIGHT);
}

static double cpu_of(const char *stored, const char *password)
{
    struct timespec a, b;
    int i;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (i = 0; i < 4; i++)
        verify(stored, password);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9) / 4;
}

/* Whether the user exists must not show in the time an answer takes. */
static void costs_the_same_for_everybody(void **state)
{
    char hash[TIDE_PASSWORD_HASH_MAX];
    struct tide_err err;
    double known;
    const char *others[] = {NULL, "", "plain", "$argon2id$rubbish"};
    size_t i;

    (void)state;
    assert_true(tide_password_hash("Admin123", 8, hash, &err));
    known = cpu_of(hash, "wrong");
    print_message("verify: %.1f ms CPU\n", known * 1e3);
    for (i = 0; i < sizeof others / sizeof *others; i++) {
        double other = cpu_of(others[i], "wrong");

        if (other < known * 0.5 || other > known * 2)
            fail_msg("%s: %.2f ms instead of %.2f", others[i] ? others[i] : "unknown user", other * 1e3,
                     known * 1e3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_with_our_parameters),
        cmocka_unit_test(bytes_behind_a_nul_count),
        cmocka_unit_test(refuses_lengths),
        cmocka_unit_test(upgrades_plain_text),
        cmocka_unit_test(nothing_stored_lets_nobody_in),
        cmocka_unit_test(broken_hashes_are_wrong),
        cmocka_unit_test(weaker_hashes_ask_for_a_new_one),
        cmocka_unit_test(costs_the_same_for_everybody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
