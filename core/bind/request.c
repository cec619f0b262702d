/*
 * Requests: finds the route, runs its handler as a task, answers. A script holds a request by a number (slot
 * and sequence), so a handle kept past its request's end is an error and never a dangling pointer.
 */
#include "bind/request.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bundle_internal.h"
#include "bind/stream.h"
#include "http/range.h"
#include "http/url.h"

#define SLOTS 65536
#define MAX_QUERY_PAIRS 256

/* One request in the hands of a bundle. It ends when both its task and its response are over. */
struct call {
    struct tide_bundle *bundle;
    struct tide_http_request *http; /* NULL once the response is over */
    struct tide_task *task;         /* NULL while it runs inside start, and once it is over */
    struct route *route;            /* NULL: none was found */
    size_t slot;
    uint64_t sequence;
    int status;
    bool task_over;
};

/* ---- handles ---- */

static bool find_slot(struct tide_bundle *bundle, struct call *call)
{
    struct call **fresh;
    size_t i, size = bundle->call_slots;

    for (i = 0; i < size; i++) {
        if (bundle->calls[i])
            continue;
        bundle->calls[i] = call;
        call->slot = i;
        return true;
    }
    if (size == SLOTS)
        return false;
    fresh = realloc(bundle->calls, (size ? size * 2 : 64) * sizeof *fresh);
    if (!fresh)
        return false;
    memset(fresh + size, 0, ((size ? size * 2 : 64) - size) * sizeof *fresh);
    bundle->calls = fresh;
    bundle->call_slots = size ? size * 2 : 64;
    fresh[size] = call;
    call->slot = size;
    return true;
}

static double handle_of(const struct call *call)
{
    return (double)(call->sequence * SLOTS + call->slot);
}

static struct call *check_call(lua_State *L, int index)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    uint64_t handle = (uint64_t)luaL_checknumber(L, index);
    size_t slot = handle % SLOTS;
    struct call *call = slot < bundle->call_slots ? bundle->calls[slot] : NULL;

    if (!call || call->sequence != handle / SLOTS || !call->http)
        luaL_error(L, "this request is over");
    return call;
}

struct tide_http_request *tide_bind_check_request(lua_State *L, int index)
{
    struct call *call = check_call(L, index);

    if (call->status)
        luaL_error(L, "this request is answered already");
    return call->http;
}

/* ---- life ---- */

static struct call *call_new(struct tide_bundle *bundle, struct tide_http_request *http)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call || !find_slot(bundle, call)) {
        free(call);
        return NULL;
    }
    call->bundle = bundle;
    call->http = http;
    call->sequence = ++bundle->call_sequence & 0xffffffff;
    bundle->requests++;
    tide_http_request_set_user(http, call);
    return call;
}

static void call_maybe_free(struct call *call)
{
    struct tide_bundle *bundle = call->bundle;

    if (call->http || !call->task_over)
        return;
    bundle->calls[call->slot] = NULL;
    free(call);
    bundle->requests--;
    tide_bundle_check_idle(bundle);
}

static void answer(struct call *call, const struct tide_http_response *response)
{
    call->status = response->status;
    tide_http_respond(call->http, response);
}

static void answer_problem(struct call *call, int status, const char *detail, const char *name,
                           const char *value)
{
    struct tide_http_header header = {name, value};

    call->status = status;
    tide_http_respond_problem(call->http, status, detail, &header, name ? 1 : 0);
}

/* ---- failures ---- */

static const struct {
    const char *code;
    int status;
} statuses[] = {
    {"bad_request", 400},   {TIDE_ERR_TOO_LARGE, 413}, {TIDE_ERR_NOT_FOUND, 404}, {TIDE_ERR_DENIED, 403},
    {TIDE_ERR_EXISTS, 409}, {TIDE_ERR_CONFLICT, 409},  {TIDE_ERR_FULL, 507},      {"too_many", 429},
};

static int status_of(const struct failure *failure)
{
    size_t i;

    for (i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp(statuses[i].code, failure->code) == 0)
            return statuses[i].status;
    return failure->retryable ? 503 : 500;
}

static void answer_failure(struct call *call, const struct failure *failure)
{
    int status = status_of(failure);

    if (status == 503)
        answer_problem(call, status, "The service can't do this now; try again.", "Retry-After", "5");
    else if (status == 500)
        answer_problem(call, status, "The service failed; the log says why.", NULL, NULL);
    else if (status == 507)
        answer_problem(call, status, "There is no space left to store this.", NULL, NULL);
    else
        answer_problem(call, status, failure->message, NULL, NULL);
}

static void on_task_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                        const struct tide_err *err)
{
    struct call *call = arg;
    struct failure failure = {.code = TIDE_ERR_INTERNAL};

    (void)nresults;
    call->task = NULL;
    call->task_over = true;
    if (end == TIDE_TASK_RAISED)
        tide_bundle_failure(call->bundle, task, L, &failure);
    if (call->http && !call->status) {
        if (end == TIDE_TASK_ENDED && strcmp(err->code, TIDE_ERR_TIMEOUT) == 0)
            answer_problem(call, 504, "The handler did not answer in time.", NULL, NULL);
        else
            answer_failure(call, &failure);
    }
    call_maybe_free(call);
}

/* ---- the listener's handler ---- */

static void start_task(struct call *call, const struct tide_route_match *match)
{
    struct tide_bundle *bundle = call->bundle;
    lua_State *L = tide_state_main(bundle->state);
    struct tide_task *task;
    size_t i;

    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_request);
    lua_pushinteger(L, match->value);
    lua_pushnumber(L, handle_of(call));
    for (i = 0; i < match->params; i++) {
        lua_pushstring(L, match->param[i].name);
        lua_pushlstring(L, match->param[i].start, match->param[i].len);
    }
    task = tide_task_start(bundle->state, 2 + (int)match->params * 2, call->route->spec,
                           call->route->timeout_ms, on_task_end, call);
    if (task)
        call->task = task;
}

static void on_request(void *arg, struct tide_http_request *http)
{
    struct tide_bundle *bundle = arg;
    struct tide_route_match match;
    struct call *call = call_new(bundle, http);
    enum tide_route_found found;

    if (!call) {
        tide_http_respond_problem(http, 503, "Too many requests are in flight.", NULL, 0);
        return;
    }
    found = tide_router_find(bundle->router, tide_http_request_method(http), tide_http_request_path(http),
                             &match);
    if (found == TIDE_ROUTE_FOUND) {
        call->route = &bundle->routes[match.value];
        if (call->route->body_limit < 0 || tide_http_request_limit(http, call->route->body_limit)) {
            start_task(call, &match);
            return;
        }
    }
    call->task_over = true;
    if (found == TIDE_ROUTE_PATH)
        answer_problem(call, 404, "There is nothing at this path.", NULL, NULL);
    else if (found == TIDE_ROUTE_METHOD)
        answer_problem(call, 405, "This path knows other methods; see Allow.", "Allow", match.allow);
    else
        answer_problem(call, 413, "The body is larger than this route takes.", NULL, NULL);
}

static void on_gone(void *arg, struct tide_http_request *http)
{
    struct call *call = tide_http_request_user(http);
    struct tide_err err;

    (void)arg;
    if (!call || !call->task)
        return;
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the client went away");
    call->status = 499; /* nobody is there to answer */
    tide_task_cancel(call->task, &err);
}

static struct tide_metric *count_of(struct call *call)
{
    struct tide_bundle *bundle = call->bundle;
    struct route *route = call->route;
    struct tide_buf labels;
    char status[8];
    size_t i;

    for (i = 0; i < 8; i++) {
        if (route->requests[i].status == call->status)
            return route->requests[i].count;
        if (!route->requests[i].status || i == 7)
            break;
    }
    tide_buf_init(&labels, 1024);
    tide_metrics_label(&labels, "bundle", bundle->config.name);
    tide_metrics_label(&labels, "route", route->spec);
    if (!route->duration)
        route->duration = tide_metrics_get(bundle->config.services->metrics, TIDE_METRIC_HISTOGRAM,
                                           "tidemill_http_request_duration_seconds", labels.data,
                                           "Time from a request's head to the end of its response.");
    snprintf(status, sizeof status, "%d", call->status);
    tide_metrics_label(&labels, "status", status);
    route->requests[i].status = call->status;
    route->requests[i].count =
        tide_metrics_get(bundle->config.services->metrics, TIDE_METRIC_COUNTER,
                         "tidemill_http_requests_total", labels.data, "Requests by status.");
    tide_buf_release(&labels);
    return route->requests[i].count;
}

static void report(struct call *call, struct tide_http_request *http)
{
    struct tide_bundle *bundle = call->bundle;
    double seconds = (double)(uv_hrtime() - tide_http_request_start_ns(http)) / 1e9;

    if (bundle->config.services->metrics && call->route) {
        tide_metric_add(count_of(call), 1);
        tide_metric_observe(call->route->duration, seconds);
    }
    tide_log_event(bundle->config.services->log, TIDE_LOG_INFO, "request",
                   tide_log_str("bundle", bundle->config.name),
                   tide_log_str("generation", bundle->generation),
                   tide_log_str("route", call->route ? call->route->spec : NULL),
                   tide_log_str("method", tide_http_request_method(http)),
                   tide_log_str("path", call->route ? NULL : tide_http_request_path(http)),
                   tide_log_int("status", call->status), tide_log_num("seconds", seconds),
                   tide_log_int("bytes_in", tide_http_request_bytes_in(http)),
                   tide_log_int("bytes_out", tide_http_request_bytes_out(http)),
                   tide_log_str("address", tide_http_request_address(http)),
                   tide_log_str("request_id", tide_http_request_id(http)));
}

static void on_end(void *arg, struct tide_http_request *http)
{
    struct call *call = tide_http_request_user(http);

    (void)arg;
    if (!call)
        return;
    report(call, http);
    call->http = NULL;
    call_maybe_free(call);
}

void tide_bundle_http_handler(struct tide_bundle *bundle, struct tide_http_handler *handler)
{
    *handler = (struct tide_http_handler){on_request, on_gone, on_end, bundle};
}

/* ---- what scripts ask of a request ---- */

/* request_field(handle, name): string */
static int request_field(lua_State *L)
{
    struct tide_http_request *http = check_call(L, 1)->http;
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
    lua_pushstring(L, tide_http_request_header(check_call(L, 1)->http, luaL_checkstring(L, 2)));
    return 1;
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
    struct tide_http_request *http = check_call(L, 1)->http;

    lua_newtable(L);
    tide_http_request_headers(http, add_header, L);
    return 1;
}

/* request_query(handle): {name = first value}, or nil and the failure */
static int request_query(lua_State *L)
{
    const char *text = tide_http_request_query(check_call(L, 1)->http);
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

/* ---- the body ---- */

struct body_op {
    struct tide_op op;
    struct tide_http_request *http;
    char *data;
    size_t len;
    struct tide_http_part part; /* its strings are copies */
    bool failed;
    struct tide_err err;
};

/* What is wrong with a body is the client's fault, as far as the script is concerned. */
static void take_body_error(struct body_op *body, const struct tide_err *err)
{
    body->failed = err != NULL;
    if (!err)
        return;
    body->err = *err;
    if (strcmp(err->code, TIDE_ERR_INVALID) == 0)
        body->err.code = "bad_request";
}

static bool body_cancel(struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    tide_http_body_cancel(body->http);
    return true;
}

static void body_release(struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->part.source) /* came when nobody waited any more */
        tide_source_close(body->part.source);
    free(body->data);
    free((char *)body->part.name);
    free((char *)body->part.filename);
    free((char *)body->part.content_type);
}

static int collect_push(lua_State *L, struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->failed)
        return tide_push_failure(L, &body->err);
    lua_pushlstring(L, body->data ? body->data : "", body->len);
    return 1;
}

static const struct tide_op_type collect_type = {.name = "req:text",
                                                 .size = sizeof(struct body_op),
                                                 .push = collect_push,
                                                 .cancel = body_cancel,
                                                 .release = body_release};

static void on_collected(void *arg, const char *data, size_t len, const struct tide_err *err)
{
    struct body_op *body = arg;

    take_body_error(body, err);
    if (!err && len) {
        body->data = malloc(len);
        if (body->data)
            memcpy(body->data, data, len);
        else
            body->failed = !tide_err_set(&body->err, TIDE_ERR_UNAVAILABLE, true, "not enough memory");
        body->len = len;
    }
    tide_op_finish(&body->op);
}

/* request_collect(handle, max): string, or nil and the failure */
static int request_collect(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    size_t max = (size_t)luaL_checknumber(L, 2);
    struct body_op *body;

    if (tide_http_request_content_length(http) == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    body = tide_op_new(L, &collect_type);
    body->http = http;
    tide_http_body_collect(http, max, on_collected, body);
    return tide_op_wait(L, &body->op);
}

/* request_source(handle): the raw body */
static int request_source(lua_State *L)
{
    tide_bind_push_source(L, tide_http_body_source(tide_bind_check_request(L, 1)));
    return 1;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static int part_push(lua_State *L, struct tide_op *op)
{
    struct body_op *body = (struct body_op *)op;

    if (body->failed)
        return tide_push_failure(L, &body->err);
    if (!body->part.source)
        return 0;
    lua_createtable(L, 0, 4);
    set_string(L, "name", body->part.name);
    set_string(L, "filename", body->part.filename);
    set_string(L, "content_type", body->part.content_type);
    tide_bind_push_source(L, body->part.source);
    body->part.source = NULL;
    lua_setfield(L, -2, "source");
    return 1;
}

static const struct tide_op_type part_type = {.name = "req:parts",
                                              .size = sizeof(struct body_op),
                                              .push = part_push,
                                              .cancel = body_cancel,
                                              .release = body_release};

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void on_part(void *arg, const struct tide_http_part *part, const struct tide_err *err)
{
    struct body_op *body = arg;

    take_body_error(body, err);
    if (part) {
        body->part.name = copy_or_null(part->name);
        body->part.filename = copy_or_null(part->filename);
        body->part.content_type = copy_or_null(part->content_type);
        body->part.source = part->source;
    }
    tide_op_finish(&body->op);
}

/* request_part(handle): {name, filename, content_type, source}; nothing after the last; or nil and the
 * failure */
static int request_part(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    struct body_op *body = tide_op_new(L, &part_type);

    body->http = http;
    tide_http_multipart_next(http, on_part, body);
    return tide_op_wait(L, &body->op);
}

/* ---- the response ---- */

static void add_value(lua_State *L, struct tide_http_header *headers, size_t *count, const char *name)
{
    if (*count == TIDE_BIND_MAX_HEADERS)
        luaL_error(L, "a response has at most %d headers", TIDE_BIND_MAX_HEADERS);
    if (!lua_isstring(L, -1))
        luaL_error(L, "the header '%s' must be a string, not a %s", name, luaL_typename(L, -1));
    headers[(*count)++] = (struct tide_http_header){name, lua_tostring(L, -1)};
}

size_t tide_bind_check_headers(lua_State *L, int index,
                               struct tide_http_header headers[TIDE_BIND_MAX_HEADERS])
{
    size_t count = 0, i;
    const char *name;

    if (lua_isnoneornil(L, index))
        return 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "the names of headers must be strings");
        name = lua_tostring(L, -2);
        if (!lua_istable(L, -1)) {
            add_value(L, headers, &count, name);
            continue;
        }
        for (i = 1; i <= lua_objlen(L, -1); i++) {
            lua_rawgeti(L, -1, (int)i);
            add_value(L, headers, &count, name);
            lua_pop(L, 1);
        }
    }
    return count;
}

void tide_bind_respond(lua_State *L, int index, const struct tide_http_response *response)
{
    answer(check_call(L, index), response);
}

/* respond(handle, status, headers|nil, body|nil) */
static int respond(lua_State *L)
{
    struct tide_http_header headers[TIDE_BIND_MAX_HEADERS];
    struct tide_http_response response = {.status = (int)luaL_checkinteger(L, 2), .headers = headers};

    tide_bind_check_request(L, 1);
    response.body = luaL_optlstring(L, 4, "", &response.body_len);
    response.header_count = tide_bind_check_headers(L, 3, headers);
    tide_bind_respond(L, 1, &response);
    return 0;
}

/* range(handle, etag, length): status (200, 206, 304, 416), first byte, bytes to send */
static int range(lua_State *L)
{
    struct tide_http_request *http = tide_bind_check_request(L, 1);
    const char *etag = luaL_checkstring(L, 2);
    int64_t length = (int64_t)luaL_checknumber(L, 3);
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
    return 3;
}

static int status_title(lua_State *L)
{
    lua_pushstring(L, tide_http_status_title((int)luaL_checkinteger(L, 1)));
    return 1;
}

void tide_bind_request(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request_field", request_field},
        {"request_header", request_header},
        {"request_headers", request_headers},
        {"request_query", request_query},
        {"request_collect", request_collect},
        {"request_source", request_source},
        {"request_part", request_part},
        {"respond", respond},
        {"range", range},
        {"status_title", status_title},
        {NULL, NULL},
    };

    tide_bind_register(L, functions);
    tide_bind_stream_functions(L);
}
