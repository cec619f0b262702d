/* tidemill status: what a running engine runs, as its admin listener tells it. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/admin.h"
#include "cli/command.h"

/* The two largest units: "3d 4h", "5m 7s". */
static const char *in_words(double seconds, char text[32])
{
    long long s = seconds < 0 ? 0 : (long long)seconds;

    if (s >= 86400)
        snprintf(text, 32, "%lldd %lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(text, 32, "%lldh %lldm", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(text, 32, "%lldm %llds", s / 60, s % 60);
    else
        snprintf(text, 32, "%llds", s);
    return text;
}

static void show_engine(const json_t *status)
{
    const char *version = "";
    const json_t *missing = NULL;
    double uptime = 0;
    char words[32];
    int pid = 0, ready = 0;

    json_unpack((json_t *)status, "{s:s,s:i,s:F,s:b,s:o}", "version", &version, "pid", &pid, "uptime",
                &uptime, "ready", &ready, "missing", &missing);
    printf("tidemill %s, pid %d, up %s: %s\n", version, pid, in_words(uptime, words),
           ready ? "ready" : "not ready");
    for (size_t i = 0; i < json_array_size(missing); i++)
        printf("  missing: %s\n", json_string_value(json_array_get(missing, i)));
}

static void show_worker(const json_t *one)
{
    const char *state = "";
    int worker = 0, pid = 0, restarts = 0;
    double age = 0;
    char words[32];

    json_unpack((json_t *)one, "{s:i,s:i,s:s,s:F,s:i}", "worker", &worker, "pid", &pid, "state", &state,
                "age", &age, "restarts", &restarts);
    printf("%-7d %8d  %-9s %9s  %d\n", worker, pid, state, in_words(age, words), restarts);
}

static void show_report(const char *report)
{
    while (*report) {
        size_t len = strcspn(report, "\n");

        printf("    %.*s\n", (int)len, report);
        report += len + (report[len] == '\n');
    }
}

static void show_bundle(const json_t *bundle)
{
    const char *name = "", *listen = "-", *generation = "", *outcome = "", *before = "", *report = "",
               *disk = "";
    unsigned retired = tide_admin_retired(bundle);
    double at = 0;
    char words[32];

    json_unpack((json_t *)bundle, "{s:s,s?:s,s:s,s:{s:s,s?:s,s?:F,s?:s,s?:s}}", "name", &name, "listen",
                &listen, "generation", &generation, "reload", "outcome", &outcome, "disk", &disk, "at", &at,
                "before", &before, "report", &report);
    printf("%-16s %-21s %-12s", name, listen, generation);
    if (at > 0)
        printf("  %s %s ago", outcome, in_words((double)tide_clock_now_ms() / 1000 - at, words));
    if (strcmp(outcome, "reloaded") == 0)
        printf(", before %s", before);
    if (retired > 0)
        printf("; generations before are still busy: %u", retired);
    putchar('\n');
    if (*disk)
        printf("    on the disk is %s: it does not run\n", disk);
    show_report(report);
}

static void show(const json_t *status)
{
    const json_t *workers = json_object_get(status, "workers"), *bundles = json_object_get(status, "bundles");

    show_engine(status);
    printf("\n%-7s %8s  %-9s %9s  %s\n", "WORKER", "PID", "STATE", "AGE", "RESTARTS");
    for (size_t i = 0; i < json_array_size(workers); i++)
        show_worker(json_array_get(workers, i));
    printf("\n%-16s %-21s %-12s  %s\n", "BUNDLE", "LISTENS ON", "GENERATION", "LAST RELOAD");
    for (size_t i = 0; i < json_array_size(bundles); i++)
        show_bundle(json_array_get(bundles, i));
}

int tide_cli_status(struct tide_cli *cli)
{
    struct tide_settings settings;
    json_t *status;
    int http, code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    status = tide_admin_ask(&settings, "GET", "/-/status", &http);
    tide_settings_release(&settings);
    if (!status)
        return TIDE_EXIT_FAILED;
    if (tide_cli_value(cli, "json")) {
        json_dumpf(status, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else {
        show(status);
    }
    code = json_is_true(json_object_get(status, "ready")) ? TIDE_EXIT_GOOD : TIDE_EXIT_FAILED;
    json_decref(status);
    return code;
}
