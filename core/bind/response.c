/* What scripts answer. */
#include <string.h>

#include "bind/blob.h"
#include "bind/exchange.h"
#include "bind/request.h"
#include "http/framing.h"
#include "http/range.h"

/* A number becomes a string that only the stack holds: it is kept there, at `keep`. */
static void add_value(lua_State *L, struct tide_http_header *headers, size_t *count, const char *name,
                      int keep)
{
    if (*count == TIDE_BIND_MAX_HEADERS)
        luaL_error(L, "there may be at most %d headers", TIDE_BIND_MAX_HEADERS);
    if (!lua_isstring(L, -1))
        luaL_error(L, "the header '%s' must be a string, not a %s", name, luaL_typename(L, -1));
    if (lua_type(L, -1) == LUA_TNUMBER) {
        lua_tostring(L, -1);
        lua_pushvalue(L, -1);
        lua_insert(L, keep);
    }
    headers[(*count)++] = (struct tide_http_header){name, lua_tostring(L, -1)};
}

size_t tide_bind_check_headers(lua_State *L, int index,
                               struct tide_http_header headers[TIDE_BIND_MAX_HEADERS])
{
    int keep = lua_gettop(L) + 1;
    size_t count = 0, i;
    const char *name;

    if (lua_isnoneornil(L, index))
        return 0;
    if (!lua_istable(L, index))
        luaL_error(L, "the headers must be a table, not a %s", luaL_typename(L, index));
    luaL_checkstack(L, TIDE_BIND_MAX_HEADERS + 4, "too many headers");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "the names of headers must be strings");
        name = lua_tostring(L, -2);
        if (!lua_istable(L, -1)) {
            add_value(L, headers, &count, name, keep);
            continue;
        }
        for (i = 1; i <= lua_objlen(L, -1); i++) {
            lua_rawgeti(L, -1, (int)i);
            add_value(L, headers, &count, name, keep);
            lua_pop(L, 1);
        }
    }
    return count;
}

static bool is_fit(const struct tide_http_header *header)
{
    size_t len = strlen(header->value);

    if (!tide_framing_name_ok(header->name, strlen(header->name)))
        return false;
    return len == 0 || (tide_framing_value_ok(header->value, len) && header->value[0] != ' ' &&
                        header->value[len - 1] != ' ');
}

size_t tide_bind_check_answer(lua_State *L, int status, int index,
                              struct tide_http_header headers[TIDE_BIND_MAX_HEADERS])
{
    size_t count, bytes = 0, i;

    if (status < 200 || status > 599)
        luaL_error(L, "an answer has a status between 200 and 599, not %d", status);
    count = tide_bind_check_headers(L, index, headers);
    for (i = 0; i < count; i++) {
        if (!is_fit(&headers[i]))
            luaL_error(L, "the header '%s' of the answer has a name or a value that HTTP does not allow",
                       headers[i].name);
        bytes += strlen(headers[i].name) + strlen(headers[i].value) + strlen(": \r\n");
    }
    if (bytes > TIDE_HTTP_MAX_ANSWER_HEAD)
        luaL_error(L, "the headers of an answer take at most %d bytes, not %d", TIDE_HTTP_MAX_ANSWER_HEAD,
                   (int)bytes);
    return count;
}

void tide_bind_respond(lua_State *L, int index, const struct tide_http_response *response)
{
    struct exchange *exchange = tide_exchange_check(L, index);

    exchange->status = response->status;
    tide_http_respond(exchange->http, response);
}

/* respond(handle, status, headers|nil, body|nil) */
static int respond(lua_State *L)
{
    struct tide_http_header headers[TIDE_BIND_MAX_HEADERS];
    struct tide_http_response response = {.status = (int)luaL_checkinteger(L, 2), .headers = headers};

    tide_bind_check_request(L, 1);
    response.body = luaL_optlstring(L, 4, "", &response.body_len);
    response.header_count = tide_bind_check_answer(L, response.status, 3, headers);
    tide_bind_respond(L, 1, &response);
    return 0;
}

/* range(handle, etag, file): status (200, 206, 304, 416), first byte, bytes to send, bytes of the file */
static int range(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    const char *etag = luaL_checkstring(L, 2);
    int64_t length = tide_blob_reader_info(tide_bind_check_reader(L, 3))->length;
    struct tide_range wanted = {0, length - 1};
    int status = 200;

    if (tide_etag_listed(tide_http_request_header(http, "If-None-Match"), etag)) {
        status = 304;
    } else if (tide_etag_if_range(tide_http_request_header(http, "If-Range"), etag)) {
        switch (tide_range_parse(tide_http_request_header(http, "Range"), length, &wanted)) {
        case TIDE_RANGE_ONE:
            status = 206;
            break;
        case TIDE_RANGE_UNSATISFIABLE:
            status = 416;
            break;
        default:
            wanted = (struct tide_range){0, length - 1};
        }
    }
    lua_pushinteger(L, status);
    lua_pushnumber(L, (lua_Number)wanted.first);
    lua_pushnumber(L, (lua_Number)(wanted.last - wanted.first + 1));
    lua_pushnumber(L, (lua_Number)length);
    return 4;
}

static int status_title(lua_State *L)
{
    lua_pushstring(L, tide_http_status_title((int)luaL_checkinteger(L, 1)));
    return 1;
}

void tide_bind_response(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"respond", respond},
        {"range", range},
        {"status_title", status_title},
        {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
