/* Authentication codes of messages, compared in constant time. */
#include <sodium.h>

#include "bind/native.h"

/* hmac_sha256(key, bytes): 32 bytes */
static int hmac_sha256(lua_State *L)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len), *bytes = luaL_checklstring(L, 2, &len);

    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, key_len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)bytes, len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof state);
    lua_pushlstring(L, (const char *)mac, sizeof mac);
    return 1;
}

/* constant_time_equal(a, b): how long it takes tells the lengths at most */
static int constant_time_equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, 1, &a_len), *b = luaL_checklstring(L, 2, &b_len);

    lua_pushboolean(L, a_len == b_len && sodium_memcmp(a, b, a_len) == 0);
    return 1;
}

void tide_bind_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hmac_sha256", hmac_sha256}, {"constant_time_equal", constant_time_equal}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
