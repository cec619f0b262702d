/*
 * What libjwt does for auth/jwt.c. It brings libcrypto along, 1.4 MiB of a worker that checks HS256 alone,
 * and is a module therefore (base/driver.h). Any thread.
 */
#ifndef TIDE_AUTH_SIGNER_H
#define TIDE_AUTH_SIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct tide_jwt_signer {
    /* Appends the token of at most `limit` bytes. alg: "HS256" or "ES256"; `key`: its `len` bytes. */
    bool (*sign)(const char *alg, const unsigned char *key, size_t len, const char *claims_json, size_t limit,
                 struct tide_buf *token, struct tide_err *err);
    /* Whether the public key made the token's signature goes to *right; false with err when that can't be
     * told. */
    bool (*verify)(const char *token, const unsigned char *key, size_t len, bool *right,
                   struct tide_err *err);
};

#endif
