/* Tokens (auth/jwt.h) and passwords (auth/password.h). */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"
#include "auth/password.h"
#include "base/clock.h"
#include "bind/native.h"

/* ---- tokens ---- */

#define MAX_CLAIMS (16 * 1024) /* bytes of JSON */

struct keyring {
    struct tide_jwt_key *key;
};

static const char keyring_type[] = "tide.jwt";

static int keyring_gc(lua_State *L)
{
    struct keyring *keyring = lua_touserdata(L, 1);

    tide_jwt_key_free(keyring->key);
    keyring->key = NULL;
    return 0;
}

/* jwt_key(alg, material, accepted|nil): userdata; raises when one can't be used */
static int jwt_key(lua_State *L)
{
    const char *alg = luaL_checkstring(L, 1);
    size_t len;
    const char *material = luaL_checklstring(L, 2, &len);
    size_t accepted_len;
    const char *accepted = luaL_optlstring(L, 3, NULL, &accepted_len);
    struct keyring *keyring = tide_bind_new(L, sizeof *keyring, keyring_type, keyring_gc);
    struct tide_err err;

    keyring->key = tide_jwt_key_new(alg, material, len, &err);
    if (!keyring->key || (accepted && !tide_jwt_key_accept(keyring->key, accepted, accepted_len, &err)))
        return luaL_error(L, "tide.jwt: %s", err.message);
    return 1;
}

static int push_buf(lua_State *L, struct tide_buf *buf, bool good, const struct tide_err *err)
{
    if (good)
        lua_pushlstring(L, buf->data ? buf->data : "", buf->len);
    tide_buf_release(buf);
    return good ? 1 : tide_push_failure(L, err);
}

/* jwt_sign(key, claims_json): token, or nil and the failure */
static int jwt_sign(lua_State *L)
{
    struct keyring *keyring = luaL_checkudata(L, 1, keyring_type);
    const char *claims = luaL_checkstring(L, 2);
    struct tide_buf token;
    struct tide_err err;

    tide_buf_init(&token, TIDE_JWT_MAX_TOKEN);
    return push_buf(L, &token, tide_jwt_sign(keyring->key, claims, &token, &err), &err);
}

/* jwt_verify(key, token, issuer|nil, audience|nil): claims_json, or nil and the failure */
static int jwt_verify(lua_State *L)
{
    struct keyring *keyring = luaL_checkudata(L, 1, keyring_type);
    size_t len;
    const char *token = luaL_checklstring(L, 2, &len);
    struct tide_jwt_expect expect = {.now_s = tide_clock_now_ms() / 1000,
                                     .leeway_s = 5,
                                     .issuer = luaL_optstring(L, 3, NULL),
                                     .audience = luaL_optstring(L, 4, NULL)};
    struct tide_buf claims;
    struct tide_err err;

    tide_buf_init(&claims, MAX_CLAIMS);
    return push_buf(L, &claims, tide_jwt_verify(keyring->key, token, len, &expect, &claims, &err), &err);
}

/* ---- passwords: 20 ms and 19 MiB each, so on a pool ---- */

struct password_op {
    struct tide_op op;
    struct tide_job job;
    bool is_hash;
    char *password, *stored;
    size_t len;
    char hash[TIDE_PASSWORD_HASH_MAX];
    enum tide_password_match match;
    bool failed;
    struct tide_err err;
};

static void work(struct tide_job *job)
{
    struct password_op *self = (struct password_op *)((char *)job - offsetof(struct password_op, job));

    if (self->is_hash)
        self->failed = !tide_password_hash(self->password, self->len, self->hash, &self->err);
    else
        self->match = tide_password_verify(self->stored, self->password, self->len);
}

static void done(struct tide_job *job)
{
    struct password_op *self = (struct password_op *)((char *)job - offsetof(struct password_op, job));

    tide_op_finish(&self->op);
}

static int password_push(lua_State *L, struct tide_op *op)
{
    static const char *const words[] = {"wrong", "right", "rehash"};
    struct password_op *self = (struct password_op *)op;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_pushstring(L, self->is_hash ? self->hash : words[self->match]);
    return 1;
}

static bool password_cancel(struct tide_op *op)
{
    (void)op;
    return false; /* the job goes on and its result is dropped */
}

static void wipe(char *text, size_t len)
{
    if (text)
        sodium_memzero(text, len);
    free(text);
}

static void password_release(struct tide_op *op)
{
    struct password_op *self = (struct password_op *)op;

    wipe(self->password, self->len);
    wipe(self->stored, self->stored ? strlen(self->stored) : 0);
}

static const struct tide_op_type password_type = {.name = "tide.password",
                                                  .size = sizeof(struct password_op),
                                                  .push = password_push,
                                                  .cancel = password_cancel,
                                                  .release = password_release};

static int start(lua_State *L, bool is_hash, const char *stored, const char *password, size_t len)
{
    struct tide_pool *pool = tide_bind_services(L)->crypto;
    struct password_op *self;
    struct tide_err err;

    tide_bind_need(L, pool, "crypto", "tide.password");
    self = tide_op_new(L, &password_type);
    self->is_hash = is_hash;
    self->stored = stored ? strdup(stored) : NULL;
    self->password = malloc(len + 1);
    if (!self->password)
        abort();
    memcpy(self->password, password, len + 1);
    self->len = len;
    self->job = (struct tide_job){.work = work, .done = done};
    if (tide_pool_submit(pool, &self->job, &err))
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, &err);
}

/* password_hash(password): hash, or nil and the failure */
static int password_hash(lua_State *L)
{
    size_t len;
    const char *password = luaL_checklstring(L, 1, &len);

    return start(L, true, NULL, password, len);
}

/* password_verify(stored|nil, password): "right", "wrong" or "rehash"; or nil and the failure */
static int password_verify(lua_State *L)
{
    size_t len;
    const char *password = luaL_checklstring(L, 2, &len);

    return start(L, false, luaL_optstring(L, 1, NULL), password, len);
}

void tide_bind_auth(lua_State *L)
{
    static const luaL_Reg functions[] = {{"jwt_key", jwt_key},
                                         {"jwt_sign", jwt_sign},
                                         {"jwt_verify", jwt_verify},
                                         {"password_hash", password_hash},
                                         {"password_verify", password_verify},
                                         {NULL, NULL}};

    tide_bind_register(L, functions);
}
