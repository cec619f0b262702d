/* Serves a bundle's listener: finds the route, runs its handler as a task, answers, and counts and logs how
 * it went. */
#include <string.h>

#include "bind/exchange.h"

static void answer_problem(struct exchange *exchange, int status, const char *detail, const char *name,
                           const char *value)
{
    struct tide_http_header header = {name, value};

    exchange->status = status;
    tide_http_respond_problem(exchange->http, status, detail, &header, name ? 1 : 0);
}

/* Both its task and its response must be over. */
static void maybe_free(struct exchange *exchange)
{
    if (!exchange->http && exchange->task_over)
        tide_exchange_free(exchange);
}

/* ---- failures ---- */

static const struct {
    const char *code;
    int status;
    const char *detail; /* in place of a primitive's message, which may tell of a backend; NULL: none */
} statuses[] = {
    {"bad_request", 400, NULL},
    {TIDE_ERR_TOO_LARGE, 413, NULL},
    {TIDE_ERR_NOT_FOUND, 404, NULL},
    {TIDE_ERR_DENIED, 403, NULL},
    {TIDE_ERR_EXISTS, 409, "This is there already."},
    {TIDE_ERR_CONFLICT, 409, "The state of things does not allow this now."},
    {TIDE_ERR_FULL, 507, NULL},
    {"too_many", 429, NULL},
    {TIDE_ERR_INTERNAL, 500, NULL}, /* also a script's bug, whatever a queue would do about it */
};

/* detail: what a client may read of a failure whose message it gets. */
static int status_of(const struct failure *failure, const char **detail)
{
    size_t i;

    *detail = failure->message;
    for (i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (strcmp(statuses[i].code, failure->code) != 0)
            continue;
        if (failure->primitive && statuses[i].detail)
            *detail = statuses[i].detail;
        return statuses[i].status;
    }
    return failure->retryable ? 503 : 500;
}

static void answer_failure(struct exchange *exchange, const struct failure *failure)
{
    const char *detail;
    int status = status_of(failure, &detail);

    if (status == 503)
        answer_problem(exchange, status, "The service can't do this now; try again.", "Retry-After", "5");
    else if (status == 500)
        answer_problem(exchange, status, "The service failed; the log says why.", NULL, NULL);
    else if (status == 507)
        answer_problem(exchange, status, "There is no space left to store this.", NULL, NULL);
    else
        answer_problem(exchange, status, detail, NULL, NULL);
}

static void on_task_end(void *arg, struct tide_task *task, enum tide_task_end end, lua_State *L, int nresults,
                        const struct tide_err *err)
{
    struct exchange *exchange = arg;
    struct failure failure = {.code = TIDE_ERR_INTERNAL};

    (void)nresults;
    exchange->task = NULL;
    exchange->task_over = true;
    if (end == TIDE_TASK_RAISED)
        tide_bundle_failure(exchange->bundle, task, L, &failure);
    if (exchange->http && !exchange->status) {
        if (end == TIDE_TASK_ENDED && strcmp(err->code, TIDE_ERR_TIMEOUT) == 0)
            answer_problem(exchange, 504, "The handler did not answer in time.", NULL, NULL);
        else if (end == TIDE_TASK_ENDED)
            answer_problem(exchange, 503, "The service can't do this now; try again.", "Retry-After", "5");
        else
            answer_failure(exchange, &failure);
    }
    maybe_free(exchange);
}

/* ---- from the head to the handler ---- */

static void start_task(struct exchange *exchange, const struct tide_route_match *match)
{
    struct tide_bundle *bundle = exchange->bundle;
    lua_State *L = tide_state_main(bundle->state);
    struct tide_task *task;
    size_t i;

    lua_rawgeti(L, LUA_REGISTRYINDEX, bundle->entry_request);
    lua_pushinteger(L, match->value);
    lua_pushnumber(L, tide_exchange_handle(exchange));
    for (i = 0; i < match->params; i++) {
        lua_pushstring(L, match->param[i].name);
        lua_pushlstring(L, match->param[i].start, match->param[i].len);
    }
    task = tide_task_start(bundle->state, 2 + (int)match->params * 2, exchange->route->spec,
                           exchange->route->limits, on_task_end, exchange);
    if (task)
        exchange->task = task;
}

static void answer_options(struct exchange *exchange, const char *allow)
{
    struct tide_http_header header = {"Allow", allow};

    exchange->status = 204;
    tide_http_respond(exchange->http,
                      &(struct tide_http_response){.status = 204, .headers = &header, .header_count = 1});
}

/* No handler runs: there is none, or the body is too large for it. */
static void answer_without_task(struct exchange *exchange, enum tide_route_found found, const char *allow)
{
    bool options = strcmp(tide_http_request_method(exchange->http), "OPTIONS") == 0;

    exchange->task_over = true;
    if (found == TIDE_ROUTE_PATH)
        answer_problem(exchange, 404, "There is nothing at this path.", NULL, NULL);
    else if (found == TIDE_ROUTE_METHOD && options)
        answer_options(exchange, allow);
    else if (found == TIDE_ROUTE_METHOD)
        answer_problem(exchange, 405, "This path knows other methods; see Allow.", "Allow", allow);
    else
        answer_problem(exchange, 413, "The body is larger than this route takes.", NULL, NULL);
}

static void on_request(void *arg, struct tide_http_request *http)
{
    struct tide_bundle *bundle = arg;
    struct tide_route_match match;
    struct exchange *exchange = tide_exchange_new(bundle, http);
    enum tide_route_found found;

    if (!exchange) {
        tide_http_respond_problem(http, 503, "Too many requests are in flight.", NULL, 0);
        return;
    }
    found = tide_router_find(bundle->router, tide_http_request_method(http), tide_http_request_path(http),
                             &match);
    if (found == TIDE_ROUTE_FOUND) {
        exchange->route = bundle->routes[match.value];
        if (exchange->route->body_limit < 0 || tide_http_request_limit(http, exchange->route->body_limit)) {
            start_task(exchange, &match);
            return;
        }
    }
    answer_without_task(exchange, found, match.allow);
}

static void on_gone(void *arg, struct tide_http_request *http)
{
    struct exchange *exchange = tide_http_request_user(http);
    struct tide_err err;

    (void)arg;
    if (!exchange || !exchange->task)
        return;
    tide_err_set(&err, TIDE_ERR_CANCELED, false, "the client went away");
    exchange->status = 499; /* nobody is there to answer */
    tide_task_cancel(exchange->task, &err);
}

/* ---- the end ---- */

static struct tide_metric *count_of(struct exchange *exchange)
{
    struct tide_bundle *bundle = exchange->bundle;
    struct route *route = exchange->route;
    struct tide_buf labels;
    char status[8];
    size_t i;

    for (i = 0; i < 8; i++) {
        if (route->requests[i].status == exchange->status)
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
    snprintf(status, sizeof status, "%d", exchange->status);
    tide_metrics_label(&labels, "status", status);
    route->requests[i].status = exchange->status;
    route->requests[i].count =
        tide_metrics_get(bundle->config.services->metrics, TIDE_METRIC_COUNTER,
                         "tidemill_http_requests_total", labels.data, "Requests by status.");
    tide_buf_release(&labels);
    return route->requests[i].count;
}

static void report(struct exchange *exchange, struct tide_http_request *http)
{
    struct tide_bundle *bundle = exchange->bundle;
    uint64_t ns = uv_hrtime() - tide_http_request_start_ns(http);

    if (bundle->config.services->metrics && exchange->route) {
        tide_metric_add(count_of(exchange), 1);
        tide_metric_observe(exchange->route->duration, (double)ns / 1e9);
    }
    const struct tide_log_field fields[] = {
        tide_log_str("bundle", bundle->config.name),
        tide_log_str("generation", bundle->generation),
        tide_log_str("route", exchange->route ? exchange->route->spec : NULL),
        tide_log_str("method", tide_http_request_method(http)),
        tide_log_str("path", exchange->route ? NULL : tide_http_request_path(http)),
        tide_log_int("status", exchange->status),
        tide_log_seconds("seconds", ns),
        tide_log_int("bytes_in", tide_http_request_bytes_in(http)),
        tide_log_int("bytes_out", tide_http_request_bytes_out(http)),
        tide_log_str("address", tide_http_request_address(http)),
        tide_log_str("request_id", tide_http_request_id(http))};

    tide_log_gather(bundle->config.services->log, TIDE_LOG_INFO, "request", fields,
                    sizeof fields / sizeof *fields);
}

static void on_end(void *arg, struct tide_http_request *http)
{
    struct exchange *exchange = tide_http_request_user(http);

    (void)arg;
    if (!exchange)
        return;
    report(exchange, http);
    exchange->http = NULL;
    maybe_free(exchange);
}

void tide_bundle_http_handler(struct tide_bundle *bundle, struct tide_http_handler *handler)
{
    *handler = (struct tide_http_handler){.on_request = on_request,
                                          .on_gone = on_gone,
                                          .on_end = on_end,
                                          .arg = bundle,
                                          .proxies = bundle->proxies};
    if (bundle->config.debug_headers)
        handler->header = (struct tide_http_header){"X-Tidemill-Generation", bundle->generation};
}
