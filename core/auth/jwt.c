/*
 * HS256 is checked here, with libsodium's HMAC and a secret that is taken in once; what else there is to sign
 * or to check is libjwt's, and all that it leaves out is done here: the algorithm is the key's and no other,
 * exp, crit.
 */
#include "auth/jwt.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "auth/signer.h"
#include "base/driver.h"

struct tide_jwt_key {
    const char *alg;                      /* "HS256" or "ES256" */
    const struct tide_jwt_signer *signer; /* ES256's; HS256 looks for it when it signs */
    crypto_auth_hmacsha256_state hmac;    /* HS256: the secret, taken in */
    struct tide_jwt_key *accepted;        /* or NULL */
    size_t len;
    unsigned char material[]; /* NUL behind it: PEM readers want text */
};

#define MAX_MATERIAL 8192
#define HS256_SIGNATURE 43 /* base64url characters of 32 bytes */
#define ES256_SIGNATURE 86 /* of 64 bytes: what a P-256 key and no other makes */

/* {"alg":"HS256","typ":"JWT"}, as libjwt and most others write it: no need to parse it for every request. */
static const char usual_header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
static const char wrong_signature[] = "the signature is wrong";

static bool out_of_memory(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "token: out of memory");
}

static const struct tide_jwt_signer *find_signer(struct tide_err *err)
{
    return tide_driver_load("token", "auth-libjwt", err);
}

static bool is_hs256(const struct tide_jwt_key *key)
{
    return strcmp(key->alg, "HS256") == 0;
}

static bool is_private(const char *material)
{
    return strstr(material, "PRIVATE KEY-----") != NULL;
}

static bool can_verify(const struct tide_jwt_key *key, struct tide_err *err)
{
    if (is_hs256(key) || !is_private((const char *)key->material))
        return true;
    return tide_err_set(err, TIDE_ERR_INTERNAL, false,
                        "token: an ES256 private key only signs; verify with its public key");
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

    if (is_hs256(key)) {
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
    key->alg = hs256 ? "HS256" : "ES256";
    key->len = len;
    memcpy(key->material, material, len);
    crypto_auth_hmacsha256_init(&key->hmac, key->material, len);
    key->signer = hs256 ? NULL : find_signer(err);
    if ((hs256 || key->signer) && check_material(key, err))
        return key;
    tide_jwt_key_free(key);
    return NULL;
}

void tide_jwt_key_free(struct tide_jwt_key *key)
{
    if (!key)
        return;
    tide_jwt_key_free(key->accepted);
    explicit_bzero(key, sizeof *key + key->len);
    free(key);
}

bool tide_jwt_key_accept(struct tide_jwt_key *key, const char *material, size_t len, struct tide_err *err)
{
    key->accepted = tide_jwt_key_new(key->alg, material, len, err);
    if (!key->accepted || can_verify(key->accepted, err))
        return key->accepted != NULL;
    tide_jwt_key_free(key->accepted);
    key->accepted = NULL;
    return false;
}

bool tide_jwt_sign(const struct tide_jwt_key *key, const char *claims_json, struct tide_buf *token,
                   struct tide_err *err)
{
    const struct tide_jwt_signer *signer = key->signer ? key->signer : find_signer(err);

    if (!signer)
        return false;
    if (strlen(claims_json) > TIDE_JWT_MAX_TOKEN)
        return tide_err_set(err, TIDE_ERR_TOO_LARGE, false, "token: claims longer than %d bytes",
                            TIDE_JWT_MAX_TOKEN);
    return signer->sign(key->alg, key->material, key->len, claims_json, TIDE_JWT_MAX_TOKEN, token, err);
}

/* ---- verifying ---- */

enum { HEADER, CLAIMS, SIGNATURE, PARTS };

struct part {
    const char *text; /* in the token */
    size_t len;
};

static bool no_token(struct tide_err *err)
{
    return tide_err_set(err, TIDE_ERR_INVALID, false, "token: not a JSON Web Token");
}

static bool denied(struct tide_err *err, const char *why)
{
    return tide_err_set(err, TIDE_ERR_DENIED, false, "token: %s", why);
}

/* Three non-empty parts of base64url. Anything else never reaches a decoder. */
static bool split(const char *token, size_t len, struct part parts[PARTS])
{
    static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t at = 0;
    int i;

    for (i = 0; i < PARTS; i++) {
        parts[i] = (struct part){token + at, strspn(token + at, base64url)};
        at += parts[i].len + 1;
        if (parts[i].len == 0 || (i < SIGNATURE && token[at - 1] != '.'))
            return false;
    }
    return at - 1 == len;
}

/* The JSON object that a part is, as text of *len bytes and parsed. NULL with err. */
static json_t *decode(const struct part *part, char text[TIDE_JWT_MAX_TOKEN], size_t *len,
                      struct tide_err *err)
{
    json_error_t error;
    json_t *value;

    if (sodium_base642bin((unsigned char *)text, TIDE_JWT_MAX_TOKEN, part->text, part->len, NULL, len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        no_token(err);
        return NULL;
    }
    value = json_loadb(text, *len, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(value))
        return value;
    if (!value && json_error_code(&error) == json_error_out_of_memory)
        out_of_memory(err);
    else
        no_token(err);
    json_decref(value);
    return NULL;
}

static bool is_text(const json_t *value, const char *want)
{
    const char *text = json_string_value(value); /* NULL for what is no string */

    return text && strcmp(text, want) == 0;
}

static bool check_header(const struct tide_jwt_key *key, const struct part *part, struct tide_err *err)
{
    char text[TIDE_JWT_MAX_TOKEN];
    size_t len;
    json_t *header;
    bool ok = false;

    if (is_hs256(key) && part->len == strlen(usual_header) &&
        memcmp(part->text, usual_header, part->len) == 0)
        return true;
    header = decode(part, text, &len, err);
    if (!header)
        return false;
    if (!json_is_string(json_object_get(header, "alg")))
        no_token(err);
    else if (!is_text(json_object_get(header, "alg"), key->alg))
        denied(err, "signed with another algorithm");
    else if (json_object_get(header, "crit"))
        denied(err, "it demands extensions (crit)");
    else
        ok = true;
    json_decref(header);
    return ok;
}

static bool is_hmac(const struct tide_jwt_key *key, const struct part parts[PARTS])
{
    crypto_auth_hmacsha256_state hmac = key->hmac;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char text[HS256_SIGNATURE + 1];

    crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)parts[HEADER].text,
                                  parts[HEADER].len + 1 + parts[CLAIMS].len);
    crypto_auth_hmacsha256_final(&hmac, mac);
    sodium_bin2base64(text, sizeof text, mac, sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return parts[SIGNATURE].len == HS256_SIGNATURE &&
           sodium_memcmp(parts[SIGNATURE].text, text, HS256_SIGNATURE) == 0;
}

static bool check_signature(const struct tide_jwt_key *key, const char *token, const struct part parts[PARTS],
                            struct tide_err *err)
{
    bool right;

    if (is_hs256(key))
        right = is_hmac(key, parts);
    else if (!key->signer->verify(token, key->material, key->len, &right, err))
        return false;
    if (!right && key->accepted)
        return check_signature(key->accepted, token, parts, err);
    return right || denied(err, wrong_signature);
}

/* A claim that is a number goes to *value. False when it is absent; NaN when it is something else. */
static bool number_claim(const json_t *claims, const char *name, double *value)
{
    const json_t *claim = json_object_get(claims, name);

    *value = json_is_number(claim) ? json_number_value(claim) : NAN;
    return claim != NULL;
}

/* iat says when, not until when: a clock that was set back leaves a token as good as its exp says. */
static bool check_times(const json_t *claims, const struct tide_jwt_expect *expect, struct tide_err *err)
{
    double now = (double)expect->now_s, leeway = (double)expect->leeway_s, exp, from;

    if (!number_claim(claims, "exp", &exp))
        return denied(err, "it has no exp");
    if (!(now < exp + leeway)) /* also for NaN */
        return denied(err, "expired");
    if (number_claim(claims, "nbf", &from) && !(from <= now + leeway))
        return denied(err, "not valid yet (nbf)");
    return true;
}

static bool is_for(const json_t *aud, const char *audience)
{
    size_t i;

    for (i = 0; i < json_array_size(aud); i++) /* 0 for what is no array */
        if (is_text(json_array_get(aud, i), audience))
            return true;
    return is_text(aud, audience);
}

static bool check_parties(const json_t *claims, const struct tide_jwt_expect *expect, struct tide_err *err)
{
    if (expect->issuer && !is_text(json_object_get(claims, "iss"), expect->issuer))
        return denied(err, "from another issuer (iss)");
    if (expect->audience && !is_for(json_object_get(claims, "aud"), expect->audience))
        return denied(err, "for another audience (aud)");
    return true;
}

static bool check_claims(const struct part *part, const struct tide_jwt_expect *expect,
                         struct tide_buf *claims_json, struct tide_err *err)
{
    char text[TIDE_JWT_MAX_TOKEN];
    size_t len;
    json_t *claims = decode(part, text, &len, err);
    bool ok = claims && check_times(claims, expect, err) && check_parties(claims, expect, err);

    json_decref(claims);
    return ok && (tide_buf_append(claims_json, text, len) || out_of_memory(err));
}

bool tide_jwt_verify(const struct tide_jwt_key *key, const char *token, size_t len,
                     const struct tide_jwt_expect *expect, struct tide_buf *claims_json, struct tide_err *err)
{
    char text[TIDE_JWT_MAX_TOKEN + 1];
    struct part parts[PARTS];

    if (len > TIDE_JWT_MAX_TOKEN)
        return tide_err_set(err, TIDE_ERR_INVALID, false, "token: longer than %d bytes", TIDE_JWT_MAX_TOKEN);
    if (!can_verify(key, err))
        return false;
    memcpy(text, token, len);
    text[len] = '\0';
    if (!split(text, len, parts))
        return no_token(err);
    return check_header(key, &parts[HEADER], err) && check_signature(key, text, parts, err) &&
           check_claims(&parts[CLAIMS], expect, claims_json, err);
}
