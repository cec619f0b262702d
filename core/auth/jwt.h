/* Signed tokens (JWT, RFC 7519). Any thread; nothing blocks, but that libjwt is loaded when it is first
 * needed. */
#ifndef TIDE_AUTH_JWT_H
#define TIDE_AUTH_JWT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct tide_jwt_key;

#define TIDE_JWT_MAX_TOKEN 4096 /* bytes; longer tokens are refused before they are decoded */
#define TIDE_JWT_MIN_SECRET 32  /* bytes, for HS256 */

/* alg: "HS256" (material: the secret's bytes) or "ES256" (material: a PEM key, private to sign, public to
 * verify). */
struct tide_jwt_key *tide_jwt_key_new(const char *alg, const char *material, size_t len,
                                      struct tide_err *err);
void tide_jwt_key_free(struct tide_jwt_key *key);
/* Tokens that this material of the same alg has signed are verified as well: while one secret takes another's
 * place. Once for a key. */
TIDE_WARN_UNUSED bool tide_jwt_key_accept(struct tide_jwt_key *key, const char *material, size_t len,
                                          struct tide_err *err);

/* Signs the JSON object `claims` as it is: iat, exp, ... are the caller's. */
TIDE_WARN_UNUSED bool tide_jwt_sign(const struct tide_jwt_key *key, const char *claims_json,
                                    struct tide_buf *token, struct tide_err *err);

struct tide_jwt_expect {
    int64_t now_s;        /* wall clock, seconds */
    int64_t leeway_s;     /* for exp and nbf */
    const char *issuer;   /* iss must equal it, unless NULL */
    const char *audience; /* aud must equal or contain it, unless NULL */
};
/* Verifies the signature (the key's or that of the one it accepts), the key's own alg (never `none`), exp
 * (which must be there), nbf when it is there, and iss and aud as expected; appends the claims as a JSON
 * object. TIDE_ERR_INVALID: not a token at all; TIDE_ERR_DENIED: signature or claims refused (the message
 * says which). */
TIDE_WARN_UNUSED bool tide_jwt_verify(const struct tide_jwt_key *key, const char *token, size_t len,
                                      const struct tide_jwt_expect *expect, struct tide_buf *claims_json,
                                      struct tide_err *err);

#endif
