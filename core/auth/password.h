/* Passwords as Argon2id (RFC 9106; OWASP's m=19 MiB, t=2, p=1) with libsodium. Both calls cost 10 to 20 ms
 * and 19 MiB: run them on a pool. Any thread. */
#ifndef TIDE_AUTH_PASSWORD_H
#define TIDE_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define TIDE_PASSWORD_MAX 1024 /* bytes */
#define TIDE_PASSWORD_HASH_MAX 128

/* "$argon2id$v=19$m=19456,t=2,p=1$...": fits into VARCHAR(255). */
TIDE_WARN_UNUSED bool tide_password_hash(const char *password, size_t len, char out[TIDE_PASSWORD_HASH_MAX],
                                         struct tide_err *err);

enum tide_password_match {
    TIDE_PASSWORD_WRONG,
    TIDE_PASSWORD_RIGHT,
    TIDE_PASSWORD_RIGHT_REHASH /* right, but stored as plain text or with weaker parameters: store a new hash
                                */
};
/* `stored`: a hash, a legacy plain text (compared in constant time), or NULL for an unknown user: the same
 * work is done and the answer is WRONG. What begins with "$argon2" is a hash, an empty text is nobody's
 * password, and without 19 MiB of memory the answer is WRONG too. */
enum tide_password_match tide_password_verify(const char *stored, const char *password, size_t len);

#endif
