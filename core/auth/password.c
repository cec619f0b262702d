#include "auth/password.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TIME_COST 2
#define MEMORY_KIB 19456 /* 19 MiB */
/* What a stored hash may demand of us at most: a poisoned row must not stop the service. */
#define MAX_TIME_COST 16
#define MAX_MEMORY_KIB (256 * 1024)

/* A hash with our parameters that nobody's password is checked against for real. */
static const char dummy_hash[crypto_pwhash_STRBYTES] =
    "$argon2id$v=19$m=19456,t=2,p=1$c29kaXVtIGNobG9yaWRlIQ$U3/0rMrW4LQZk4oBrMO7yUqSx6l8kKk0bGf3ZfxMOyQ";

bool tide_password_hash(const char *password, size_t len, char out[TIDE_PASSWORD_HASH_MAX],
                        struct tide_err *err)
{
    _Static_assert(TIDE_PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "a hash must fit");

    if (len == 0)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "the password is empty");
    if (len > TIDE_PASSWORD_MAX)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "the password is longer than %d bytes",
                            TIDE_PASSWORD_MAX);
    if (sodium_init() < 0)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, false, "no source of random numbers");
    if (crypto_pwhash_str_alg(out, password, len, TIME_COST, (size_t)MEMORY_KIB * 1024,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "no memory to hash a password (19 MiB)");
    return true;
}

static void work_for_nothing(const char *password, size_t len)
{
    if (crypto_pwhash_str_verify(dummy_hash, password, len) == 0)
        return; /* the result is of no interest, but must be looked at */
}

static enum tide_password_match verify_plain(const char *stored, const char *password, size_t len)
{
    unsigned char want[crypto_generichash_BYTES], got[crypto_generichash_BYTES];
    bool same;

    crypto_generichash(want, sizeof want, (const unsigned char *)stored, strlen(stored), NULL, 0);
    crypto_generichash(got, sizeof got, (const unsigned char *)password, len, NULL, 0);
    same = sodium_memcmp(want, got, sizeof want) == 0 && stored[0] != '\0';
    work_for_nothing(password, len);
    return same ? TIDE_PASSWORD_RIGHT_REHASH : TIDE_PASSWORD_WRONG;
}

/* False when it is no hash we would compute; *weak when its parameters are below ours. */
static bool read_parameters(const char *stored, bool *weak)
{
    unsigned memory, passes;
    int end = 0;

    if (sscanf(stored, "$argon2id$v=19$m=%9u,t=%9u,%n", &memory, &passes, &end) != 2 || end == 0) {
        *weak = true;
        if (sscanf(stored, "$argon2i$v=19$m=%9u,t=%9u,%n", &memory, &passes, &end) != 2 || end == 0)
            return false;
    } else {
        *weak = memory < MEMORY_KIB || passes < TIME_COST;
    }
    return memory <= MAX_MEMORY_KIB && passes <= MAX_TIME_COST;
}

static enum tide_password_match verify_hash(const char *stored, const char *password, size_t len)
{
    char hash[crypto_pwhash_STRBYTES] = {0};
    size_t hash_len = strlen(stored);
    bool weak;

    if (hash_len >= sizeof hash || !read_parameters(stored, &weak)) {
        work_for_nothing(password, len);
        return TIDE_PASSWORD_WRONG;
    }
    memcpy(hash, stored, hash_len);
    if (crypto_pwhash_str_verify(hash, password, len) != 0)
        return TIDE_PASSWORD_WRONG;
    return weak ? TIDE_PASSWORD_RIGHT_REHASH : TIDE_PASSWORD_RIGHT;
}

enum tide_password_match tide_password_verify(const char *stored, const char *password, size_t len)
{
    if (len > TIDE_PASSWORD_MAX || sodium_init() < 0)
        return TIDE_PASSWORD_WRONG;
    if (!stored) {
        work_for_nothing(password, len);
        return TIDE_PASSWORD_WRONG;
    }
    if (strncmp(stored, "$argon2", 7) == 0)
        return verify_hash(stored, password, len);
    return verify_plain(stored, password, len);
}
