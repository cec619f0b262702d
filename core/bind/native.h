/*
 * What the bindings share: the bundle behind a lua_State, the registration of C functions, and small
 * conversions. A binding is <feature>.c (C functions in the table `native`), lua/<feature>.lua (what scripts
 * see) and lua/api/<feature>.lua (its description). C functions trust the types that the Lua face has
 * checked, but still use luaL_check*.
 */
#ifndef TIDE_BIND_NATIVE_H
#define TIDE_BIND_NATIVE_H

#include <lauxlib.h>
#include <lua.h>

#include "bind/services.h"
#include "script/op.h"
#include "script/state.h"
#include "script/task.h"

struct tide_bundle;

struct tide_bundle *tide_bind_bundle(lua_State *L);
const struct tide_services *tide_bind_services(lua_State *L);

/* Each puts its functions into the table on top of the stack. */
void tide_bind_core(lua_State *L);         /* core.c: time, ids, logs, metrics, config, templates */
void tide_bind_declare(lua_State *L);      /* declare.c: routes, consumers, timers */
void tide_bind_request(lua_State *L);      /* request.c: a request's head */
void tide_bind_request_body(lua_State *L); /* request_body.c */
void tide_bind_response(lua_State *L);     /* response.c */
void tide_bind_blob(lua_State *L);         /* blob.c */
void tide_bind_queue(lua_State *L);        /* queue.c: publish; consumers are declared */
void tide_bind_sql(lua_State *L);          /* sql.c */
void tide_bind_auth(lua_State *L);         /* auth.c: tokens and passwords */
void tide_bind_crypto(lua_State *L);       /* crypto.c: authentication codes */
void tide_bind_plugin(lua_State *L);       /* plugin.c: plugins in C */
void tide_bind_mail(lua_State *L);         /* mail.c */
void tide_bind_media(lua_State *L);        /* media.c */
void tide_bind_http(lua_State *L);         /* http.c: the HTTP client */

/* Adds a NULL-ended list to the table on top. */
void tide_bind_register(lua_State *L, const luaL_Reg *functions);

/* A userdata handle of a binding: its metatable is made once a state, with __gc. */
void *tide_bind_new(lua_State *L, size_t size, const char *type, lua_CFunction gc);

/* Pushes true, or nil and the failure. For `push` of ops without a result. */
int tide_bind_push_outcome(lua_State *L, bool good, const struct tide_err *err);

/* False: one of the arguments first..last is a string with a byte of 0, where C would cut it off. */
TIDE_WARN_UNUSED bool tide_bind_no_zero(lua_State *L, int first, int last, struct tide_err *err);

/* For `name`, which waits: raises while the bundle loads, also where no service is open (`tidemill check`);
 * then "the setting 'sql' is needed" unless service is there. */
void tide_bind_need(lua_State *L, const void *service, const char *setting, const char *name);

#endif
