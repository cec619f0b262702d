#include "cli/admin.h"

#include <stdio.h>

#include "cli/command.h"
#include "engine/services.h"
#include "http/client.h"

#define LONGEST_MS 600000 /* a load may take 10 s of CPU in each worker */
#define MAX_ANSWER (16 << 20)

struct call {
    int status; /* 0: none came */
    struct tide_buf body;
    struct tide_err err;
};

static void on_done(void *arg, const struct tide_fetch_response *response, const struct tide_err *err)
{
    struct call *call = arg;

    if (!response) {
        call->err = *err;
        return;
    }
    call->status = response->status;
    tide_buf_append(&call->body, response->body, response->body_len);
}

static void fetch(uv_loop_t *loop, const char *method, const char *url, struct call *call)
{
    struct tide_fetch_request request = {
        .method = method, .url = url, .timeout_ms = LONGEST_MS, .on_done = on_done, .arg = call};
    struct tide_http_client *client = tide_http_client_new(loop, NULL, &call->err);

    if (!client)
        return;
    if (tide_fetch_start(client, &request, &call->err))
        while (tide_http_client_pending(client) > 0)
            uv_run(loop, UV_RUN_ONCE);
    tide_http_client_free(client);
}

/* The answer as it came; NULL: told. */
static json_t *read_answer(const struct call *call, const char *address)
{
    const char *detail = NULL;
    json_error_t wrong;
    json_t *answer;

    if (call->status == 0) {
        tide_cli_fail("%s; listen.admin is where the running engine is asked", call->err.message);
        return NULL;
    }
    answer = json_loadb(call->body.data ? call->body.data : "", call->body.len, 0, &wrong);
    if (answer && json_unpack(answer, "{s:s}", "detail", &detail) != 0)
        return answer;
    tide_cli_fail("%s: %s", address, detail ? detail : "this is no tidemill's admin listener");
    json_decref(answer);
    return NULL;
}

json_t *tide_admin_ask(const struct tide_settings *settings, const char *method, const char *path,
                       int *status)
{
    struct call call = {0};
    struct tide_log log;
    uv_loop_t loop;
    char url[512];
    json_t *answer;

    if (!settings->admin) {
        tide_cli_fail("listen.admin is off: a running engine can't be asked (SIGHUP reloads its bundles)");
        return NULL;
    }
    tide_cli_log(&log);
    uv_loop_init(&loop);
    tide_buf_init(&call.body, MAX_ANSWER);
    tide_err_set(&call.err, TIDE_ERR_UNAVAILABLE, true, "%s: no answer", settings->admin);
    snprintf(url, sizeof url, "http://%s%s", settings->admin, path);
    fetch(&loop, method, url, &call);
    tide_services_close_loop(&loop, &log);
    *status = call.status;
    answer = read_answer(&call, settings->admin);
    tide_buf_release(&call.body);
    return answer;
}

unsigned tide_admin_retired(const json_t *bundle)
{
    const json_t *workers = json_object_get(bundle, "workers");
    json_int_t count = 0;

    for (size_t i = 0; i < json_array_size(workers); i++)
        count += json_integer_value(json_object_get(json_array_get(workers, i), "retired"));
    return (unsigned)count;
}
