#include "cli/users.h"

#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "engine/services.h"

static bool call(const struct tide_services *services, const struct tide_settings *settings,
                 const char *function, const char *args_json, struct tide_buf *result_json,
                 struct tide_err *err)
{
    const struct tide_settings_bundle *auth = tide_settings_bundle(settings, "auth");
    struct tide_bundle *bundle;
    struct tide_findings findings;
    struct tide_buf report;
    bool ok;

    tide_buf_init(&report, 1 << 16);
    tide_findings_init(&findings);
    bundle = tide_services_load(services, settings, auth, NULL, &findings);
    tide_findings_report(&findings, &report);
    if (bundle) {
        ok = tide_bundle_call(bundle, "users", function, args_json, result_json, err);
        tide_bundle_free(bundle);
    } else {
        ok = tide_err_set(err, TIDE_ERR_INVALID, false, "the bundle auth can't be loaded:\n%s",
                          report.data ? report.data : "");
    }
    tide_buf_release(&report);
    return ok;
}

/* A look changes nothing. */
static bool bring_up_to_date(const struct tide_settings *settings, const struct tide_log *log,
                             const char *function, struct tide_err *err)
{
    if (settings->migrate == TIDE_SETTINGS_ON && strcmp(function, "list") != 0)
        return tide_services_migrate(settings, log, err);
    return tide_services_migrated(settings, log, err);
}

bool tide_users_call(const struct tide_settings *settings, const char *function, const char *args_json,
                     struct tide_buf *result_json, struct tide_err *err)
{
    struct tide_services services;
    struct tide_log log;
    uv_loop_t loop;
    bool ok;

    if (!tide_settings_bundle(settings, "auth"))
        return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "the bundle auth is not among the bundles in %s",
                            settings->scripts);
    tide_cli_log(&log);
    if (!bring_up_to_date(settings, &log, function, err))
        return false;
    uv_loop_init(&loop);
    ok = tide_services_open(&services, settings, TIDE_WITH_SQL | TIDE_WITH_HTTP | TIDE_WITH_CRYPTO, &loop,
                            &log, NULL, err);
    if (ok) {
        ok = call(&services, settings, function, args_json, result_json, err);
        tide_services_close(&services);
    }
    return tide_services_close_loop(&loop, &log) && ok;
}
