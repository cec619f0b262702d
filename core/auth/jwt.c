/*
 * libjwt 1.x (1.10 in Debian 12, 1.17 in Debian 13) checks the signature and little else: it takes the
 * token's word for the algorithm, ignores exp and crit, and keeps the decoded token on the stack. All of that
 * is done here.
 */
#include "auth/jwt.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

struct tide_jwt_key {
    jwt_alg_t alg;
    size_t len;
    unsigned char material[]; /* NUL behind it: PEM readers want text */
};

#define MAX_MATERIAL 8192
#define ES256_SIGNATURE 86 /* base64url characters of 64 bytes: what a P-256 key and no other makes */

static bool out_of_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "token: out of memory");
}

static bool is_private(const char *material)
{
    return strstr(material, "PRIVATE KEY-----") != NULL;
}

/* A private key proves by signing that it is one for ES256. */
static bool check_private_key(const struct tide_jwt_key *key, struct tide_err *err)
{
    struct tide_buf token;
    struct tide_err why;
    const char *dot;
    bool ok;

    tide_buf_init(&token, TIDE_JWT_MAX_TOKEN);
    ok = tide_jwt_sign(key, "{}", &token, &why);
    dot = ok ? strrchr(token.data, '.') : NULL;
    ok = dot && strlen(dot + 1) == ES256_SIGNATURE;
    tide_buf_release(&token);
    return ok ? true
              : tide_err_set(err, TIDE_ERR_INVALID, false, "ES256 needs a PEM private key on curve P-256");
}

static bool check_material(const struct tide_jwt_key *key, struct tide_err *err)
{
    const char *text = (const char *)key->material;

    if (key->alg == JWT_ALG_HS256) {
        if (key->len < TIDE_JWT_MIN_SECRET)
            return tide_err_set(err, TIDE_ERR_INVALID, false, "HS256 needs a secret of at least %d bytes",
                                TIDE_JWT_MIN_SECRET);
        return true;
    }
    if (strlen(text) == key->len && strstr(text, "-----BEGIN PUBLIC KEY-----"))
        return true;
    if (strlen(text) == key->len && is_private(text))
        return check_private_key(key, err);
    return tide_err_set(err, TIDE_ERR_INVALID, false,
                        "ES256 needs a PEM key: BEGIN PUBLIC KEY or BEGIN PRIVATE KEY");
}

struct tide_jwt_key *tide_jwt_key_new(const char *alg, const char *material, size_t len, struct tide_err *err)
{
    struct tide_jwt_key *key;
    bool hs256 = strcmp(alg, "HS256") == 0;

    if (!hs256 && strcmp(alg, "ES256") != 0) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "unknown token algorithm '%.32s': HS256 or ES256", alg);
        return NULL;
    }
    if (len > MAX_MATERIAL) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "a token key of more than %d bytes", MAX_MATERIAL);
        return NULL;
    }
    key = calloc(1, sizeof *key + len + 1);
    if (!key) {
        out_of_memory(err);
        return NULL;
    }
    key->alg = hs256 ? JWT_ALG_HS256 : JWT_ALG_ES256;
    key->len = len;
    memcpy(key->material, material, len);
    if (check_material(key, err))
        return key;
    tide_jwt_key_free(key);
    return NULL;
}

void tide_jwt_key_free(struct tide_jwt_key *key)
{
    if (!key)
        return;
    explicit_bzero(key->material, key->len);
    free(key);
}

static bool append_token(jwt_t *jwt, struct tide_buf *token, struct tide_err *err)
{
    char *text = jwt_encode_str(jwt);
    bool ok;

    if (!text)
        return errno == ENOMEM ? out_of_memory(err)
                               : tide_err_set(err, TIDE_ERR_INVALID, false, "token: this key cannot sign");
    if (strlen(text) > TIDE_JWT_MAX_TOKEN)
        ok = tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "token: longer than %d bytes", TIDE_JWT_MAX_TOKEN);
    else
        ok = tide_buf_puts(token, text) || out_of_memory(err);
    free(text);
    return ok;
}

bool tide_jwt_sign(const struct tide_jwt_key *key, const char *claims_json, struct tide_buf *token,
                   struct tide_err *err)
{
    jwt_t *jwt;
    bool ok = false;

    if (strlen(claims_json) > TIDE_JWT_MAX_TOKEN)
        return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "token: claims longer than %d bytes",
                            TIDE_JWT_MAX_TOKEN);
    if (jwt_new(&jwt) != 0)
        return out_of_memory(err);
    if (jwt_add_grants_json(jwt, claims_json) != 0)
        tide_err_set(err, TIDE_ERR_INVALID, false, "token: the claims are not a JSON object");
    else if (jwt_set_alg(jwt, key->alg, key->material, (int)key->len) != 0)
        out_of_memory(err);
    else
        ok = append_token(jwt, token, err);
    jwt_free(jwt);
    return ok;
}

/* Three non-empty parts of base64url. Anything else never reaches the decoder. */
static bool has_shape(const char *token, size_t len)
{
    size_t i, dots = 0, part = 0;

    for (i = 0; i < len; i++) {
        char c = token[i];

        if (c == '.') {
            if (part == 0 || ++dots > 2)
                return false;
            part = 0;
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '_') {
            part++;
        } else {
            return false;
        }
    }
    return dots == 2 && part > 0;
}

/* Why did the decoder refuse? Decoding again without a key tells broken text from a broken signature. */
static bool refused(const char *token, int why, struct tide_err *err)
{
    jwt_t *jwt = NULL;
    bool parses;

    if (why == ENOMEM)
        return out_of_memory(err);
    parses = jwt_decode(&jwt, token, NULL, 0) == 0;
    jwt_free(jwt);
    if (parses)
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: the signature is wrong");
    return tide_err_set(err, TIDE_ERR_INVALID, false, "token: not a JSON Web Token");
}

/* A claim that is a number goes to *value. False when it is absent; NaN when it is something else. */
static bool number_claim(jwt_t *jwt, const char *name, double *value)
{
    long integer = jwt_get_grant_int(jwt, name); /* 0 for what is no integer, too */
    char *text, *end;

    if (integer > 0) {
        *value = (double)integer;
        return true;
    }
    text = jwt_get_grants_json(jwt, name);
    if (!text)
        return false;
    *value = strtod(text, &end);
    if (end == text || *end != '\0')
        *value = 0.0 / 0.0;
    free(text);
    return true;
}

/* iat says when, not until when: a clock that was set back leaves a token as good as its exp says. */
static bool check_times(jwt_t *jwt, const struct tide_jwt_expect *expect, struct tide_err *err)
{
    double now = (double)expect->now_s, leeway = (double)expect->leeway_s, exp, from;

    if (!number_claim(jwt, "exp", &exp))
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: it has no exp");
    if (!(now < exp + leeway)) /* also for NaN */
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: expired");
    if (number_claim(jwt, "nbf", &from) && !(from <= now + leeway))
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: not valid yet (nbf)");
    return true;
}

/* Is the JSON string `item` (with its quotes) one of the strings in the array `json`? The decoder wrote both
 * in one canonical form, so bytes can be compared. */
static bool json_has_string(const char *json, const char *item)
{
    size_t item_len = strlen(item);
    const char *p = json, *start;
    int depth = 0;

    for (; *p; p++) {
        if (*p == '[' || *p == '{') {
            depth++;
        } else if (*p == ']' || *p == '}') {
            depth--;
        } else if (*p == '"') {
            start = p++;
            while (*p != '"' && *p != '\0')
                p += *p == '\\' ? 2 : 1;
            if (*p == '\0')
                return false;
            if (*json == '[' && depth == 1 && (size_t)(p + 1 - start) == item_len &&
                memcmp(start, item, item_len) == 0)
                return true;
        }
    }
    return false;
}

static bool string_claim_is(jwt_t *jwt, const char *name, const char *want)
{
    const char *text = jwt_get_grant(jwt, name); /* NULL for what is no string */

    return text && strcmp(text, want) == 0;
}

static bool list_claim_has(jwt_t *jwt, const char *name, const char *want)
{
    char *json = jwt_get_grants_json(jwt, name);
    struct tide_buf item;
    bool ok = false;

    tide_buf_init(&item, TIDE_JWT_MAX_TOKEN);
    if (json && tide_buf_json(&item, want, strlen(want)))
        ok = json_has_string(json, item.data);
    tide_buf_release(&item);
    free(json);
    return ok;
}

static bool check_parties(jwt_t *jwt, const struct tide_jwt_expect *expect, struct tide_err *err)
{
    if (expect->issuer && !string_claim_is(jwt, "iss", expect->issuer))
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: from another issuer (iss)");
    if (expect->audience && !string_claim_is(jwt, "aud", expect->audience) &&
        !list_claim_has(jwt, "aud", expect->audience))
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: for another audience (aud)");
    return true;
}

static bool check_header(jwt_t *jwt, const struct tide_jwt_key *key, struct tide_err *err)
{
    char *critical;
    bool demands;

    if (jwt_get_alg(jwt) != key->alg)
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: signed with another algorithm");
    critical = jwt_get_headers_json(jwt, "crit");
    demands = critical != NULL;
    free(critical);
    if (demands)
        return tide_err_set(err, TIDE_ERR_DENIED, false, "token: it demands extensions (crit)");
    return true;
}

static bool append_claims(jwt_t *jwt, struct tide_buf *claims_json, struct tide_err *err)
{
    char *json = jwt_get_grants_json(jwt, NULL);
    bool ok = json && tide_buf_puts(claims_json, json);

    free(json);
    return ok || out_of_memory(err);
}

bool tide_jwt_verify(const struct tide_jwt_key *key, const char *token, size_t len,
                     const struct tide_jwt_expect *expect, struct tide_buf *claims_json, struct tide_err *err)
{
    char text[TIDE_JWT_MAX_TOKEN + 1];
    jwt_t *jwt = NULL;
    bool ok;
    int why;

    if (len > TIDE_JWT_MAX_TOKEN)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "token: longer than %d bytes", TIDE_JWT_MAX_TOKEN);
    if (key->alg == JWT_ALG_ES256 && is_private((const char *)key->material))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false,
                            "token: an ES256 private key only signs; verify with its public key");
    if (!has_shape(token, len))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "token: not a JSON Web Token");
    memcpy(text, token, len);
    text[len] = '\0';
    why = jwt_decode(&jwt, text, key->material, (int)key->len);
    if (why != 0 || !jwt)
        return refused(text, why, err);
    ok = check_header(jwt, key, err) && check_times(jwt, expect, err) && check_parties(jwt, expect, err) &&
         append_claims(jwt, claims_json, err);
    jwt_free(jwt);
    return ok;
}
