/* tidemill reload: asks a running engine by its admin listener. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "engine/services.h"
#include "http/client.h"

#define LONGEST_MS 600000 /* a load may take 10 s of CPU in each worker */

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

static void post(uv_loop_t *loop, const char *url, struct call *call)
{
    struct tide_fetch_request request = {
        .method = "POST", .url = url, .timeout_ms = LONGEST_MS, .on_done = on_done, .arg = call};
    struct tide_http_client *client = tide_http_client_new(loop, NULL, &call->err);

    if (!client)
        return;
    if (tide_fetch_start(client, &request, &call->err))
        while (tide_http_client_pending(client) > 0)
            uv_run(loop, UV_RUN_ONCE);
    tide_http_client_free(client);
}

static void show(const json_t *bundle)
{
    const char *name = "", *generation = "", *outcome = "", *before = "", *report = "";

    json_unpack((json_t *)bundle, "{s:s,s:s,s:{s:s,s?:s,s?:s}}", "name", &name, "generation", &generation,
                "reload", "outcome", &outcome, "before", &before, "report", &report);
    if (strcmp(outcome, "reloaded") == 0)
        printf("%s: %s -> %s\n", name, before, generation);
    else if (strcmp(outcome, "refused") == 0)
        printf("%s: refused, %s still runs\n%s%s", name, generation, report,
               *report && report[strlen(report) - 1] != '\n' ? "\n" : "");
    else
        printf("%s: %s unchanged\n", name, generation);
}

static int tell(const struct call *call, const char *address)
{
    json_error_t wrong;
    json_t *answer;

    if (call->status == 0)
        return tide_cli_fail("%s; listen.admin is where the running engine is asked", call->err.message);
    answer = json_loadb(call->body.data ? call->body.data : "", call->body.len, 0, &wrong);
    if (call->status != 200 && call->status != 422) {
        int code = tide_cli_fail("%s: %s", address,
                                 answer && json_is_string(json_object_get(answer, "detail"))
                                     ? json_string_value(json_object_get(answer, "detail"))
                                     : "this is no tidemill's admin listener");
        json_decref(answer);
        return code;
    }
    for (size_t i = 0; i < json_array_size(answer); i++)
        show(json_array_get(answer, i));
    json_decref(answer);
    return call->status == 200 ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
}

static int reload(const char *address, const char *bundle)
{
    struct call call = {0};
    struct tide_log log;
    uv_loop_t loop;
    char url[512];
    int code;

    tide_cli_log(&log);
    uv_loop_init(&loop);
    tide_buf_init(&call.body, 1 << 20);
    tide_err_set(&call.err, TIDE_ERR_UNAVAILABLE, true, "%s: no answer", address);
    snprintf(url, sizeof url, "http://%s/-/reload%s%s", address, bundle ? "?bundle=" : "",
             bundle ? bundle : "");
    post(&loop, url, &call);
    tide_services_close_loop(&loop, &log);
    code = tell(&call, address);
    tide_buf_release(&call.body);
    return code;
}

int tide_cli_reload(struct tide_cli *cli)
{
    struct tide_settings settings;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    if (cli->argc > 0 && !tide_settings_bundle(&settings, cli->argv[0]))
        code = tide_cli_fail("there is no bundle '%s' in the settings", cli->argv[0]);
    else if (!settings.admin)
        code = tide_cli_fail("listen.admin is off: send SIGHUP to the engine instead");
    else
        code = reload(settings.admin, cli->argc > 0 ? cli->argv[0] : NULL);
    tide_settings_release(&settings);
    return code;
}
