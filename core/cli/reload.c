/* tidemill reload: has a running engine read its bundles again. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/admin.h"
#include "cli/command.h"
#include "http/url.h"
#include "script/content.h"

#define MAX_PATH 400
#define POLL_US 100000
#define RECENT_S 60
#define SLACK_MS 60000 /* what is told to end when drain_timeout is over has so long for it */

static void show_change(const json_t *one)
{
    const char *change, *file;

    if (json_unpack((json_t *)one, "{s:s,s:s}", "change", &change, "file", &file) == 0)
        printf("  %s %s\n", change, file);
}

/* The watcher may have been faster than the command. */
static void show_unchanged(const char *name, const char *generation, double since)
{
    double seconds = (double)tide_clock_now_ms() / 1000 - since;

    if (seconds < RECENT_S)
        printf("%s: %s unchanged, running for %.1f s\n", name, generation, seconds);
    else
        printf("%s: %s unchanged\n", name, generation);
}

static void show(const json_t *bundle)
{
    const char *name = "", *generation = "", *outcome = "", *before = "", *report = "";
    const json_t *changes = NULL;
    double since = 0;

    json_unpack((json_t *)bundle, "{s:s,s:s,s:F,s:{s:s,s?:s,s?:s,s?:o}}", "name", &name, "generation",
                &generation, "since", &since, "reload", "outcome", &outcome, "before", &before, "report",
                &report, "changes", &changes);
    if (strcmp(outcome, "reloaded") == 0)
        printf("%s: %s -> %s\n", name, before, generation);
    else if (strcmp(outcome, "refused") == 0)
        printf("%s: refused, %s still runs\n%s%s", name, generation, report,
               *report && report[strlen(report) - 1] != '\n' ? "\n" : "");
    else
        show_unchanged(name, generation, since);
    for (size_t i = 0; i < json_array_size(changes); i++)
        show_change(json_array_get(changes, i));
}

/* ---- --wait ---- */

static bool is_drained(const json_t *bundles, const char *name)
{
    for (size_t i = 0; i < json_array_size(bundles); i++) {
        const json_t *bundle = json_array_get(bundles, i);

        if (name && strcmp(json_string_value(json_object_get(bundle, "name")), name) != 0)
            continue;
        if (tide_admin_retired(bundle) > 0)
            return false;
    }
    return true;
}

static int wait_drained(const struct tide_settings *settings, const char *name)
{
    int64_t end = tide_clock_monotonic_ms() + settings->drain_timeout_ms + SLACK_MS;
    int status;

    for (;;) {
        json_t *bundles = tide_admin_ask(settings, "GET", "/-/bundles", &status);
        bool drained = bundles && is_drained(bundles, name);

        json_decref(bundles);
        if (!bundles)
            return TIDE_EXIT_FAILED;
        if (drained)
            return TIDE_EXIT_GOOD;
        if (tide_clock_monotonic_ms() > end)
            return tide_cli_fail("generations before are still busy");
        usleep(POLL_US);
    }
}

/* ---- the command ---- */

/* False: it is longer than the buffer may be. */
static bool put_path(struct tide_buf *path, const char *name, const char *to)
{
    return tide_buf_puts(path, "/-/reload") &&
           (!name || (tide_buf_puts(path, "?bundle=") && tide_url_encode(path, name, strlen(name)))) &&
           (!to || tide_buf_printf(path, "%sto=%s", name ? "&" : "?", to));
}

static int reload(const struct tide_cli *cli, const struct tide_settings *settings)
{
    const char *name = cli->argc > 0 ? cli->argv[0] : NULL, *to = tide_cli_value(cli, "to");
    struct tide_buf path;
    json_t *answer = NULL;
    int status;

    if (to && (strlen(to) != TIDE_GENERATION_LEN - 1 || strspn(to, "0123456789abcdef") != strlen(to)))
        return tide_cli_usage(cli, "--to %s: a generation has 12 digits, 0 to 9 and a to f", to);
    tide_buf_init(&path, MAX_PATH);
    if (put_path(&path, name, to))
        answer = tide_admin_ask(settings, "POST", path.data, &status);
    else
        tide_cli_fail("the bundle's name is too long");
    tide_buf_release(&path);
    if (!answer)
        return TIDE_EXIT_FAILED;
    for (size_t i = 0; i < json_array_size(answer); i++)
        show(json_array_get(answer, i));
    json_decref(answer);
    if (status != 200)
        return TIDE_EXIT_FAILED;
    return tide_cli_value(cli, "wait") ? wait_drained(settings, name) : TIDE_EXIT_GOOD;
}

int tide_cli_reload(struct tide_cli *cli)
{
    struct tide_settings settings;
    int code;

    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    code = reload(cli, &settings);
    tide_settings_release(&settings);
    return code;
}
