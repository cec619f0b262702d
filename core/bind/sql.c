/* Statements and transactions (sql/sql.h). */
#include <stdlib.h>
#include <string.h>

#include "bind/native.h"

/* ---- a transaction that a script holds ---- */

struct held_tx {
    struct tide_resource resource;
    struct tide_sql_tx *tx; /* NULL: ended */
};

static const char tx_type[] = "tide.transaction";

static void close_tx(struct tide_resource *resource)
{
    struct held_tx *held = (struct held_tx *)resource;

    if (held->tx)
        tide_sql_end(held->tx, false, NULL, NULL, NULL);
    held->tx = NULL;
}

static int tx_gc(lua_State *L)
{
    struct held_tx *held = lua_touserdata(L, 1);

    tide_resource_disown(&held->resource);
    if (held->resource.close)
        close_tx(&held->resource);
    return 0;
}

static struct held_tx *opt_tx(lua_State *L, int index)
{
    struct held_tx *held;

    if (lua_isnoneornil(L, index))
        return NULL;
    held = luaL_checkudata(L, index, tx_type);
    if (!held->tx)
        luaL_error(L, "this transaction has ended");
    return held;
}

/* ---- the op ---- */

struct sql_op {
    struct tide_op op;
    struct tide_sql_call *call;
    struct tide_sql_result result; /* taken from the callback */
    struct tide_sql_tx *tx;        /* begun */
    bool failed;
    struct tide_err err;
};

static bool sql_cancel(struct tide_op *op)
{
    tide_sql_call_cancel(((struct sql_op *)op)->call);
    return true;
}

static void sql_release(struct tide_op *op)
{
    struct sql_op *self = (struct sql_op *)op;

    tide_sql_result_release(&self->result);
    if (self->tx)
        tide_sql_end(self->tx, false, NULL, NULL, NULL);
}

static void push_value(lua_State *L, const struct tide_sql_value *value)
{
    switch (value->type) {
    case TIDE_SQL_INT:
        lua_pushnumber(L, (lua_Number)value->integer);
        break;
    case TIDE_SQL_NUMBER:
        lua_pushnumber(L, value->number);
        break;
    case TIDE_SQL_TEXT:
        lua_pushlstring(L, value->text, value->len);
        break;
    default:
        lua_pushnil(L);
    }
}

static int rows_push(lua_State *L, struct tide_op *op)
{
    struct sql_op *self = (struct sql_op *)op;
    const struct tide_sql_result *result = &self->result;
    size_t row, column;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    lua_createtable(L, (int)result->rows, 2);
    for (row = 0; row < result->rows; row++) {
        lua_createtable(L, 0, (int)result->columns);
        for (column = 0; column < result->columns; column++) {
            push_value(L, &result->values[row * result->columns + column]);
            lua_setfield(L, -2, result->names[column]);
        }
        lua_rawseti(L, -2, (int)row + 1);
    }
    lua_pushnumber(L, (lua_Number)result->affected);
    lua_pushnumber(L, (lua_Number)result->last_id);
    return 3;
}

static const struct tide_op_type run_type = {.name = "tide.sql",
                                             .size = sizeof(struct sql_op),
                                             .push = rows_push,
                                             .cancel = sql_cancel,
                                             .release = sql_release};

static void on_result(void *arg, struct tide_sql_result *result, const struct tide_err *err)
{
    struct sql_op *self = arg;

    self->failed = err != NULL;
    if (err) {
        self->err = *err;
    } else if (result) {
        self->result = *result;
        memset(result, 0, sizeof *result);
    }
    tide_op_finish(&self->op);
}

static struct tide_sql_value check_param(lua_State *L, int index)
{
    struct tide_sql_value value = {.type = TIDE_SQL_NULL};
    lua_Number number;

    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA: /* tide.json.null: the description lets no other one through */
        break;
    case LUA_TBOOLEAN:
        value.type = TIDE_SQL_INT;
        value.integer = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        number = lua_tonumber(L, index);
        value.type = TIDE_SQL_NUMBER;
        value.number = number;
        if (number >= -9223372036854775808.0 && number < 9223372036854775808.0 &&
            number == (lua_Number)(int64_t)number) {
            value.type = TIDE_SQL_INT;
            value.integer = (int64_t)number;
        }
        break;
    case LUA_TSTRING:
        value.type = TIDE_SQL_TEXT;
        value.text = (char *)lua_tolstring(L, index, &value.len);
        break;
    default:
        luaL_error(L, "a parameter of a statement must be nil, a boolean, a number or a string, not a %s",
                   luaL_typename(L, index));
    }
    return value;
}

static struct tide_sql_db *db_of(lua_State *L)
{
    struct tide_sql_db *db = tide_bind_services(L)->sql;

    tide_bind_need(L, db, "sql", "tide.sql");
    return db;
}

static int finish_start(lua_State *L, struct sql_op *self, const struct tide_err *err)
{
    if (self->call)
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, err);
}

#define MAX_PARAMS 64

/* sql_run(tx|nil, statement, ...): rows, affected, last id; or nil and the failure */
static int sql_run(lua_State *L)
{
    struct tide_sql_db *db = db_of(L);
    struct held_tx *held = opt_tx(L, 1);
    const char *statement = luaL_checkstring(L, 2);
    struct tide_sql_value params[MAX_PARAMS];
    int count = lua_gettop(L) - 2, i;
    struct sql_op *self;
    struct tide_err err;

    if (count > MAX_PARAMS)
        return luaL_error(L, "a statement has at most %d parameters", MAX_PARAMS);
    for (i = 0; i < count; i++)
        params[i] = check_param(L, i + 3);
    if (!tide_bind_no_zero(L, 2, 2, &err))
        return tide_push_failure(L, &err);
    self = tide_op_new(L, &run_type);
    self->call =
        tide_sql_run(db, held ? held->tx : NULL, statement, params, (size_t)count, 0, on_result, self, &err);
    return finish_start(L, self, &err);
}

/* ---- begin and end ---- */

static int begin_push(lua_State *L, struct tide_op *op)
{
    struct sql_op *self = (struct sql_op *)op;
    struct held_tx *held;

    if (self->failed)
        return tide_push_failure(L, &self->err);
    held = tide_bind_new(L, sizeof *held, tx_type, tx_gc);
    held->resource.close = close_tx;
    held->resource.name = "tide.sql.transaction";
    held->tx = self->tx;
    self->tx = NULL;
    tide_resource_own_by(op->task, &held->resource);
    return 1;
}

static const struct tide_op_type begin_type = {.name = "tide.sql.transaction",
                                               .size = sizeof(struct sql_op),
                                               .push = begin_push,
                                               .cancel = sql_cancel,
                                               .release = sql_release};

static void on_begun(void *arg, struct tide_sql_tx *tx, const struct tide_err *err)
{
    struct sql_op *self = arg;

    self->failed = err != NULL;
    if (err)
        self->err = *err;
    self->tx = tx;
    tide_op_finish(&self->op);
}

/* sql_begin(): transaction, or nil and the failure */
static int sql_begin(lua_State *L)
{
    struct tide_sql_db *db = db_of(L);
    struct sql_op *self = tide_op_new(L, &begin_type);
    struct tide_err err;

    self->call = tide_sql_begin(db, on_begun, self, &err);
    return finish_start(L, self, &err);
}

static int end_push(lua_State *L, struct tide_op *op)
{
    struct sql_op *self = (struct sql_op *)op;

    return tide_bind_push_outcome(L, !self->failed, &self->err);
}

static const struct tide_op_type end_type = {.name = "tide.sql.transaction",
                                             .size = sizeof(struct sql_op),
                                             .push = end_push,
                                             .cancel = sql_cancel,
                                             .release = sql_release};

/* sql_end(tx, commit): true, or nil and the failure. The transaction is over either way. */
static int sql_end(lua_State *L)
{
    struct held_tx *held = opt_tx(L, 1);
    bool commit = lua_toboolean(L, 2);
    struct sql_op *self;
    struct tide_sql_tx *tx;
    struct tide_err err;

    luaL_argcheck(L, held, 1, "a transaction expected");
    self = tide_op_new(L, &end_type);
    tx = held->tx;
    tide_resource_disown(&held->resource);
    held->tx = NULL;
    self->call = tide_sql_end(tx, commit, on_result, self, &err);
    return finish_start(L, self, &err);
}

void tide_bind_sql(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sql_run", sql_run}, {"sql_begin", sql_begin}, {"sql_end", sql_end}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
