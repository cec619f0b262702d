/* What scripts ask of a request's head. */
#include "bind/request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "bind/exchange.h"
#include "http/url.h"

#define MAX_QUERY_PAIRS 256

/* request_field(handle, name): string */
static int request_field(lua_State *L)
{
    struct tide_http_request *http = tide_exchange_check(L, 1)->http;
    static const char *const names[] = {"method", "path", "target", "raw_query", "address", "id", NULL};

    switch (luaL_checkoption(L, 2, NULL, names)) {
    case 0:
        lua_pushstring(L, tide_http_request_method(http));
        break;
    case 1:
        lua_pushstring(L, tide_http_request_path(http));
        break;
    case 2:
        lua_pushstring(L, tide_http_request_target(http));
        break;
    case 3:
        lua_pushstring(L, tide_http_request_query(http));
        break;
    case 4:
        lua_pushstring(L, tide_http_request_address(http));
        break;
    default:
        lua_pushstring(L, tide_http_request_id(http));
    }
    return 1;
}

/* request_header(handle, name): string or nil */
static int request_header(lua_State *L)
{
    lua_pushstring(L, tide_http_request_header(tide_exchange_check(L, 1)->http, luaL_checkstring(L, 2)));
    return 1;
}

/* What follows the scheme when it is one word of base64 or the like (token68: RFC 9110, 11.2); else NULL. */
static const char *credentials_of(const char *header, const char *scheme)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    size_t len = strlen(scheme);
    const char *word = header + len;

    if (strncasecmp(header, scheme, len) != 0 || *word != ' ')
        return NULL;
    word += strspn(word, " ");
    len = strspn(word, letters);
    if (len > 0)
        len += strspn(word + len, "=");
    return len > 0 && word[len] == '\0' ? word : NULL;
}

/* request_credentials(handle, scheme): string or nil, is there an Authorization header */
static int request_credentials(lua_State *L)
{
    const char *header = tide_http_request_header(tide_exchange_check(L, 1)->http, "Authorization");

    lua_pushstring(L, header ? credentials_of(header, luaL_checkstring(L, 2)) : NULL);
    lua_pushboolean(L, header != NULL);
    return 2;
}

static void add_header(void *arg, const char *name, const char *value)
{
    lua_State *L = arg;
    char lower[256];
    size_t i;

    for (i = 0; name[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[i] = '\0';
    lua_getfield(L, -1, lower);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushstring(L, value);
    } else {
        lua_pushfstring(L, ", %s", value);
        lua_concat(L, 2);
    }
    lua_setfield(L, -2, lower);
}

/* request_headers(handle): {name = value}, names in lower case, repeated ones joined with ", " */
static int request_headers(lua_State *L)
{
    struct tide_http_request *http = tide_exchange_check(L, 1)->http;

    lua_newtable(L);
    tide_http_request_headers(http, add_header, L);
    return 1;
}

/* request_query(handle): {name = first value}, or nil and the failure */
static int request_query(lua_State *L)
{
    const char *text = tide_http_request_query(tide_exchange_check(L, 1)->http);
    struct tide_query query;
    struct tide_err err;
    size_t i;

    if (!tide_query_parse(&query, text, strlen(text), MAX_QUERY_PAIRS, &err)) {
        err.code = "bad_request";
        return tide_push_failure(L, &err);
    }
    lua_newtable(L);
    for (i = query.count; i-- > 0;) {
        lua_pushstring(L, query.pairs[i].value);
        lua_setfield(L, -2, query.pairs[i].name);
    }
    tide_query_release(&query);
    return 1;
}

void tide_bind_request(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request_field", request_field},
        {"request_header", request_header},
        {"request_credentials", request_credentials},
        {"request_headers", request_headers},
        {"request_query", request_query},
        {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
