/* Answers from other bindings (a blob as a response). */
#ifndef TIDE_BIND_REQUEST_H
#define TIDE_BIND_REQUEST_H

#include "bind/native.h"
#include "http/server.h"

/* The request behind the handle (a number) at `index`; raises when it is over or answered already. */
struct tide_http_request *tide_bind_check_request(lua_State *L, int index);

#define TIDE_BIND_MAX_HEADERS 32

/* Reads the table {name = value | {values}} at `index` (or nil) into `headers`; the strings are the table's
 * or left on the stack. Raises when there are too many or a value is no string or number. */
size_t tide_bind_check_headers(lua_State *L, int index,
                               struct tide_http_header headers[TIDE_BIND_MAX_HEADERS]);

/* The same for an answer: raises also when HTTP does not allow the status, a name or a value. */
size_t tide_bind_check_answer(lua_State *L, int status, int index,
                              struct tide_http_header headers[TIDE_BIND_MAX_HEADERS]);

/* Answers the request whose handle is at `index`; takes over response->source or fd. */
void tide_bind_respond(lua_State *L, int index, const struct tide_http_response *response);

#endif
