#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/jwt.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000100
#define CLAIMS "{\"username\":\"georgio@email.com\",\"iat\":1700000000,\"exp\":1700086400,\"admin\":true}"

/* Keys for these tests alone; they protect nothing. */
#define EC_PRIVATE                                                                                           \
    "-----BEGIN PRIVATE KEY-----\n"                                                                          \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrSKx2rhB2vu2+pil\n"                                     \
    "ZDVijI5Po+WlEsGU4+vmeFk32uWhRANCAATtTRAlNK4k0shfbSPprZy9TE8BB0E1\n"                                     \
    "fQtzVdxq7qYvJcfsjhFkypZSvR1LskaVrefwCd7AvG/1RMUPynSfeQrR\n"                                             \
    "-----END PRIVATE KEY-----\n"
#define EC_PUBLIC                                                                                            \
    "-----BEGIN PUBLIC KEY-----\n"                                                                           \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7U0QJTSuJNLIX20j6a2cvUxPAQdB\n"                                     \
    "NX0Lc1Xcau6mLyXH7I4RZMqWUr0dS7JGla3n8AnewLxv9UTFD8p0n3kK0Q==\n"                                         \
    "-----END PUBLIC KEY-----\n"
#define EC_OTHER                                                                                             \
    "-----BEGIN PUBLIC KEY-----\n"                                                                           \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExXvQnXmpOOGmC9AoaRjPlohUdLyK\n"                                     \
    "zujj5WynAPW3qGkCq9LaDCqqTl0ds8/X7MCUp0wKCYoFgX4xqs+cUjr37Q==\n"                                         \
    "-----END PUBLIC KEY-----\n"
#define EC_P384                                                                                              \
    "-----BEGIN PRIVATE KEY-----\n"                                                                          \
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDC0nYexnDfkcu/j+W4G\n"                                     \
    "FqynlUTJ/XGPNRhbZY0XFEsESzIvjmUMV6KmEC6y2lDpb7ChZANiAAQY/o/5eSCu\n"                                     \
    "0nIp22M4YgJWOn9qMi1ixoWEdZd0GpxhhGrrCFOPdxG02FpWj2kBFdO5iljtWX18\n"                                     \
    "TBgPxXEpNPjCqqdy0q8K0Gp2wN2FmYS+L6OoTjzGxy8bzHJ+K1M04qE=\n"                                             \
    "-----END PRIVATE KEY-----\n"

static struct tide_jwt_key *key_of(const char *alg, const char *material)
{
    struct tide_err err = {0};
    struct tide_jwt_key *key = tide_jwt_key_new(alg, material, strlen(material), &err);

    if (!key)
        fail_msg("%s", err.message);
    return key;
}

static void base64url(struct tide_buf *out, const void *data, size_t len)
{
    char text[8192];

    sodium_bin2base64(text, sizeof text, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    tide_buf_puts(out, text);
}

/* A token made by hand, without the library under test, signed by HS256 with `secret`. */
static void craft(struct tide_buf *token, const char *header, const char *claims, const char *secret)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;

    tide_buf_reset(token);
    base64url(token, header, strlen(header));
    tide_buf_putc(token, '.');
    base64url(token, claims, strlen(claims));
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)token->data, token->len);
    crypto_auth_hmacsha256_final(&state, mac);
    tide_buf_putc(token, '.');
    base64url(token, mac, sizeof mac);
}

/* Verifies at NOW and returns the error's code, or NULL. */
static const char *verdict(const struct tide_jwt_key *key, const char *token, size_t len,
                           const struct tide_jwt_expect *expect, struct tide_buf *claims)
{
    struct tide_jwt_expect plain = {.now_s = NOW};
    struct tide_err err = {0};

    tide_buf_reset(claims);
    if (tide_jwt_verify(key, token, len, expect ? expect : &plain, claims, &err))
        return NULL;
    assert_int_equal(claims->len, 0);
    assert_true(err.message[0] != '\0');
    return err.code;
}

struct bench {
    struct tide_jwt_key *key;
    struct tide_buf token, claims;
};

static int set_up(void **state)
{
    static struct bench bench;

    if (sodium_init() < 0)
        return -1;
    bench.key = key_of("HS256", SECRET);
    tide_buf_init(&bench.token, 1 << 20);
    tide_buf_init(&bench.claims, 65536);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;

    tide_jwt_key_free(b->key);
    tide_buf_release(&b->token);
    tide_buf_release(&b->claims);
    return 0;
}

static void signs_and_verifies(void **state)
{
    struct bench *b = *state;
    struct tide_err err;

    tide_buf_reset(&b->token);
    assert_true(tide_jwt_sign(b->key, CLAIMS, &b->token, &err));
    assert_null(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims));
    assert_non_null(strstr(b->claims.data, "\"username\":\"georgio@email.com\""));
    assert_non_null(strstr(b->claims.data, "\"admin\":true"));
    assert_non_null(strstr(b->claims.data, "\"exp\":1700086400"));
}

/* What PyJWT 2 writes for the same secret. */
static void verifies_pyjwt(void **state)
{
    static const char token[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                                "eyJ1c2VybmFtZSI6Imdlb3JnaW9AZW1haWwuY29tIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQw"
                                "MDAwMDAwMDAsImFkbWluIjp0cnVlLCJyYX"
                                "RpbyI6MC41LCJhdWQiOlsiZ2F0ZXdheSIsImJcIngiXSwiaXNzIjoiYXV0aCJ9."
                                "GNPopCWRvr0hXRLyr-LQ3V2cfdpg5X6YdjdNDPV_iZk";
    struct tide_jwt_expect expect = {.now_s = NOW, .issuer = "auth", .audience = "gateway"};
    struct bench *b = *state;

    assert_null(verdict(b->key, token, strlen(token), &expect, &b->claims));
    assert_non_null(strstr(b->claims.data, "\"exp\":4000000000"));
    assert_non_null(strstr(b->claims.data, "\"ratio\":0.5"));
    expect.audience = "b\"x";
    assert_null(verdict(b->key, token, strlen(token), &expect, &b->claims));
}

/* The signature of our token, recomputed by hand, must be the same. */
static void signature_is_hmac_of_the_text(void **state)
{
    struct bench *b = *state;
    struct tide_err err;
    struct tide_buf want;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    const char *dot;

    tide_buf_init(&want, 4096);
    tide_buf_reset(&b->token);
    assert_true(tide_jwt_sign(b->key, CLAIMS, &b->token, &err));
    dot = strrchr(b->token.data, '.');
    crypto_auth_hmacsha256(mac, (const unsigned char *)b->token.data, (size_t)(dot - b->token.data),
                           (const unsigned char *)SECRET);
    base64url(&want, mac, sizeof mac);
    assert_string_equal(dot + 1, want.data);
    tide_buf_release(&want);
}

#define ANY "any" /* refused, and libjwt's versions differ in the reason */
#define HS "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static void judges_claims(void **state)
{
    static const struct {
        const char *header, *claims, *code;
    } cases[] = {
        {HS, CLAIMS, NULL},
        {"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", CLAIMS, NULL},
        {"{\"alg\":\"HS256\"}", "{\"exp\":1700000101}", NULL},
        {HS, "{\"exp\":1700000100.5}", NULL},
        {HS, "{\"exp\":1700000100}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":1}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":-1}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":0}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":null}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":true}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":\"1700086400\"}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":[1700086400]}", TIDE_ERR_DENIED},
        {HS, "{\"iat\":1700000000}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":1700086400,\"iat\":1700003600}", NULL},
        {HS, "{\"exp\":1700086400,\"iat\":\"x\"}", NULL},
        {HS, "{\"exp\":1700086400,\"nbf\":1700000101}", TIDE_ERR_DENIED},
        {HS, "{\"exp\":1700086400,\"nbf\":1700000100}", NULL},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", CLAIMS, TIDE_ERR_DENIED},
        {"{\"alg\":\"HS384\"}", CLAIMS, TIDE_ERR_DENIED},
        {"{\"alg\":\"none\"}", CLAIMS, ANY},
        {"{}", CLAIMS, TIDE_ERR_INVALID},
        {"[]", CLAIMS, TIDE_ERR_INVALID},
        {HS, "[]", ANY},
        {HS, "{\"exp\":1700086400", TIDE_ERR_INVALID},
        {HS, "{\"exp\":99999999999999999999999999}", TIDE_ERR_INVALID},
        {HS, "{\"exp\":1700086400,\"exp\":1700086401}", TIDE_ERR_INVALID},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS, TIDE_ERR_INVALID},
    };
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *code;

        craft(&b->token, cases[i].header, cases[i].claims, SECRET);
        code = verdict(b->key, b->token.data, b->token.len, NULL, &b->claims);
        if (cases[i].code && strcmp(cases[i].code, ANY) == 0)
            assert_non_null(code);
        else if ((code == NULL) != (cases[i].code == NULL) || (code && strcmp(code, cases[i].code) != 0))
            fail_msg("%s %s: %s", cases[i].header, cases[i].claims, code ? code : "accepted");
    }
}

static void leeway_stretches_both_times(void **state)
{
    struct tide_jwt_expect expect = {.now_s = NOW, .leeway_s = 10};
    struct bench *b = *state;

    craft(&b->token, HS, "{\"exp\":1700000091,\"nbf\":1700000110}", SECRET);
    assert_null(verdict(b->key, b->token.data, b->token.len, &expect, &b->claims));
    craft(&b->token, HS, "{\"exp\":1700000090}", SECRET);
    assert_non_null(verdict(b->key, b->token.data, b->token.len, &expect, &b->claims));
}

static void requires_issuer_and_audience(void **state)
{
    static const struct {
        const char *claims;
        bool ok;
    } cases[] = {
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":\"gateway\"}", true},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[\"x\",\"gateway\"]}", true},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[\"a\\\\\\\"\",\"gateway\"]}", true},
        {"{\"exp\":1700086400,\"iss\":\"auth\"}", false},
        {"{\"exp\":1700086400,\"aud\":\"gateway\"}", false},
        {"{\"exp\":1700086400,\"iss\":\"Auth\",\"aud\":\"gateway\"}", false},
        {"{\"exp\":1700086400,\"iss\":[\"auth\"],\"aud\":\"gateway\"}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[]}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[[\"gateway\"]]}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":{\"gateway\":\"gateway\"}}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[{\"gateway\":1}]}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":[\"x\\\",\\\"gateway\"]}", false},
        {"{\"exp\":1700086400,\"iss\":\"auth\",\"aud\":\"gateway2\"}", false},
    };
    struct tide_jwt_expect expect = {.now_s = NOW, .issuer = "auth", .audience = "gateway"};
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        craft(&b->token, HS, cases[i].claims, SECRET);
        if ((verdict(b->key, b->token.data, b->token.len, &expect, &b->claims) == NULL) != cases[i].ok)
            fail_msg("%s", cases[i].claims);
    }
}

static void refuses_forgeries(void **state)
{
    struct bench *b = *state;
    size_t len;

    craft(&b->token, HS, CLAIMS, "another secret of thirty-two byte");
    assert_string_equal(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_DENIED);
    craft(&b->token, HS, CLAIMS, SECRET);
    b->token.data[b->token.len - 5] ^= 1;
    assert_non_null(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims));
    /* No cut of a good token is good. */
    craft(&b->token, HS, CLAIMS, SECRET);
    for (len = 0; len < b->token.len; len++)
        if (!verdict(b->key, b->token.data, len, NULL, &b->claims))
            fail_msg("accepted after %zu bytes", len);
}

static void accepts_a_second_secret(void **state)
{
    static const char other[] = "another secret of thirty-two byte";
    struct tide_jwt_key *key = key_of("HS256", SECRET);
    struct bench *b = *state;
    struct tide_err err;

    assert_false(tide_jwt_key_accept(key, "short", 5, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_true(tide_jwt_key_accept(key, other, strlen(other), &err));
    craft(&b->token, HS, CLAIMS, SECRET);
    assert_null(verdict(key, b->token.data, b->token.len, NULL, &b->claims));
    craft(&b->token, HS, CLAIMS, other);
    assert_null(verdict(key, b->token.data, b->token.len, NULL, &b->claims));
    craft(&b->token, HS, "{\"exp\":1}", other);
    assert_string_equal(verdict(key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_DENIED);
    craft(&b->token, HS, CLAIMS, "a third secret of thirty-two bytes");
    assert_string_equal(verdict(key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_DENIED);
    /* It signs nothing. */
    tide_buf_reset(&b->token);
    assert_true(tide_jwt_sign(key, CLAIMS, &b->token, &err));
    assert_null(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims));
    tide_jwt_key_free(key);
}

static void refuses_what_is_no_token(void **state)
{
    static const char *const cases[] = {"",
                                        ".",
                                        "..",
                                        "...",
                                        "a",
                                        "a.b",
                                        "a.b.",
                                        ".b.c",
                                        "a..c",
                                        "a.b.c",
                                        "a.b.c.d",
                                        "a b.c.d",
                                        "a.b.c\n",
                                        "YQ==.YQ==.YQ==",
                                        "Bearer a.b.c",
                                        "e30.e30.e30",
                                        "\xC3\xA9.b.c"};
    struct bench *b = *state;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(verdict(b->key, cases[i], strlen(cases[i]), NULL, &b->claims), TIDE_ERR_INVALID);
    craft(&b->token, HS, CLAIMS, SECRET);
    b->token.data[3] = '\0';
    assert_string_equal(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_INVALID);
}

static void bounds_the_length(void **state)
{
    struct bench *b = *state;
    struct tide_err err;
    char claims[TIDE_JWT_MAX_TOKEN + 64];

    tide_buf_reset(&b->token);
    while (b->token.len < 500000)
        tide_buf_puts(&b->token, "aaaaaaaaaaaaaaaa");
    tide_buf_puts(&b->token, ".a.a");
    assert_string_equal(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_INVALID);

    tide_buf_reset(&b->token);
    snprintf(claims, sizeof claims, "{\"x\":\"%04000d\"}", 1);
    assert_false(tide_jwt_sign(b->key, claims, &b->token, &err));
    assert_string_equal(err.code, TIDE_ERR_TOO_LARGE);
    snprintf(claims, sizeof claims, "{\"x\":\"%04096d\"}", 1);
    assert_false(tide_jwt_sign(b->key, claims, &b->token, &err));
    assert_string_equal(err.code, TIDE_ERR_TOO_LARGE);
    assert_int_equal(b->token.len, 0);
}

static void signs_only_objects(void **state)
{
    static const char *const cases[] = {"", "[]", "1", "null", "{", "{}x", "{\"a\":\"\xFF\"}"};
    struct bench *b = *state;
    struct tide_err err;
    size_t i;

    tide_buf_reset(&b->token);
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(tide_jwt_sign(b->key, cases[i], &b->token, &err));
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_int_equal(b->token.len, 0);
    }
}

static void es256_both_ways(void **state)
{
    static const char pyjwt[] =
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6ImFAYi5jIiwiZXhwIjo0MDAwMDAwMDAwfQ."
        "K3vtu3fOEgiBuUliNiFNNSxQCVefVBkyozzZdR08lRmfaZem_JNG27G9zcddaSvxQYIuyp36H3fUCEGp9Hd42Q";
    struct tide_jwt_key *private_key = key_of("ES256", EC_PRIVATE), *public_key = key_of("ES256", EC_PUBLIC);
    struct bench *b = *state;
    struct tide_err err;

    assert_null(verdict(public_key, pyjwt, strlen(pyjwt), NULL, &b->claims));
    tide_buf_reset(&b->token);
    assert_true(tide_jwt_sign(private_key, CLAIMS, &b->token, &err));
    assert_null(verdict(public_key, b->token.data, b->token.len, NULL, &b->claims));
    /* The public key is public: used as an HMAC secret it must not open the door. */
    craft(&b->token, HS, CLAIMS, EC_PUBLIC);
    assert_string_equal(verdict(public_key, b->token.data, b->token.len, NULL, &b->claims), TIDE_ERR_DENIED);
    tide_buf_reset(&b->token);
    assert_false(tide_jwt_sign(public_key, CLAIMS, &b->token, &err));
    assert_false(tide_jwt_key_accept(public_key, EC_PRIVATE, strlen(EC_PRIVATE), &err));
    assert_true(tide_jwt_key_accept(public_key, EC_OTHER, strlen(EC_OTHER), &err));
    assert_null(verdict(public_key, pyjwt, strlen(pyjwt), NULL, &b->claims));
    tide_jwt_key_free(private_key);
    tide_jwt_key_free(public_key);
}

static void refuses_weak_keys(void **state)
{
    static const char *const cases[][2] = {
        {"HS256", ""},
        {"HS256", "short"},
        {"HS256", "0123456789abcdef0123456789abcde"},
        {"none", SECRET},
        {"RS256", SECRET},
        {"hs256", SECRET},
        {"ES256", SECRET},
        {"ES256", ""},
        {"ES256", EC_P384},
        {"ES256", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
    };
    struct tide_err err;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (tide_jwt_key_new(cases[i][0], cases[i][1], strlen(cases[i][1]), &err))
            fail_msg("accepted %s %s", cases[i][0], cases[i][1]);
        assert_string_equal(err.code, TIDE_ERR_INVALID);
        assert_null(strstr(err.message, SECRET));
    }
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* /validate does this for every request; the bound is loose, for busy machines and sanitizers. */
static void verifies_fast(void **state)
{
    struct bench *b = *state;
    double start;
    int i;

    craft(&b->token, HS, CLAIMS, SECRET);
    start = seconds();
    for (i = 0; i < 2000; i++)
        assert_null(verdict(b->key, b->token.data, b->token.len, NULL, &b->claims));
    start = (seconds() - start) / 2000;
    print_message("HS256 verify: %.1f us CPU\n", start * 1e6);
    assert_true(start < 500e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_and_verifies),
        cmocka_unit_test(verifies_pyjwt),
        cmocka_unit_test(signature_is_hmac_of_the_text),
        cmocka_unit_test(judges_claims),
        cmocka_unit_test(leeway_stretches_both_times),
        cmocka_unit_test(requires_issuer_and_audience),
        cmocka_unit_test(refuses_forgeries),
        cmocka_unit_test(accepts_a_second_secret),
        cmocka_unit_test(refuses_what_is_no_token),
        cmocka_unit_test(bounds_the_length),
        cmocka_unit_test(signs_only_objects),
        cmocka_unit_test(es256_both_ways),
        cmocka_unit_test(refuses_weak_keys),
        cmocka_unit_test(verifies_fast),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
