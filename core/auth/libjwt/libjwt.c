/*
 * libjwt 1.x: 1.10 in Debian 12, 1.17 in Debian 13. It takes the token's word for the algorithm, ignores exp
 * and crit, keeps the decoded token on the stack, and makes its contexts anew for every HMAC: auth/jwt.c does
 * all of that.
 */
#include <errno.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

#include "auth/signer.h"
#include "base/driver.h"

static bool out_of_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "token: out of memory");
}

static bool append_token(jwt_t *jwt, size_t limit, struct tide_buf *token, struct tide_err *err)
{
    char *text = jwt_encode_str(jwt);
    bool ok;

    if (!text)
        return errno == ENOMEM ? out_of_memory(err)
                               : tide_err_set(err, TIDE_ERR_INVALID, false, "token: this key cannot sign");
    if (strlen(text) > limit)
        ok = tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "token: longer than %zu bytes", limit);
    else
        ok = tide_buf_puts(token, text) || out_of_memory(err);
    free(text);
    return ok;
}

static bool sign(const char *alg, const unsigned char *key, size_t len, const char *claims_json, size_t limit,
                 struct tide_buf *token, struct tide_err *err)
{
    jwt_t *jwt;
    bool ok = false;

    if (jwt_new(&jwt) != 0)
        return out_of_memory(err);
    if (jwt_add_grants_json(jwt, claims_json) != 0)
        tide_err_set(err, TIDE_ERR_INVALID, false, "token: the claims are not a JSON object");
    else if (jwt_set_alg(jwt, jwt_str_alg(alg), key, (int)len) != 0)
        out_of_memory(err);
    else
        ok = append_token(jwt, limit, token, err);
    jwt_free(jwt);
    return ok;
}

static bool verify(const char *token, const unsigned char *key, size_t len, bool *right, struct tide_err *err)
{
    jwt_t *jwt = NULL;
    int why = jwt_decode(&jwt, token, key, (int)len);

    *right = why == 0 && jwt;
    jwt_free(jwt);
    return why != ENOMEM || out_of_memory(err);
}

TIDE_MODULE_EXPORT const struct tide_jwt_signer TIDE_MODULE_DRIVER = {.sign = sign, .verify = verify};
