#include "supervisor/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/reload_internal.h"

#define MAX_REPORT 65536
#define MAX_CHANGES 16384

const struct tide_settings_bundle *tide_reload_settings(const struct tide_reload *reload, size_t index)
{
    return &reload->supervisor->settings->bundles[index];
}

static struct tide_content *read_bundle(const struct tide_reload *reload, size_t index, struct tide_err *err)
{
    const struct tide_settings *settings = reload->supervisor->settings;

    return tide_content_read(settings->bundles[index].directory, settings->library, settings->plugins, err);
}

static void see(struct reloaded *bundle, const struct tide_content *found)
{
    memcpy(bundle->seen, tide_content_generation(found), sizeof bundle->seen);
}

static void measure_success(const struct tide_reload *reload, size_t index, bool successful)
{
    char label[160];

    snprintf(label, sizeof label, "bundle=\"%s\"", tide_reload_settings(reload, index)->name);
    tide_metric_set(tide_metrics_get(reload->supervisor->metrics, TIDE_METRIC_GAUGE,
                                     "tidemill_config_last_reload_successful", label,
                                     "0: the last reload was refused, the generation before it still runs."),
                    successful);
}

struct tide_reload *tide_reload_new(struct tide_supervisor *supervisor, struct tide_err *err)
{
    struct tide_reload *reload = calloc(1, sizeof *reload);

    if (reload)
        reload->bundles = calloc(supervisor->settings->bundle_count + 1, sizeof *reload->bundles);
    if (!reload || !reload->bundles) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        free(reload);
        return NULL;
    }
    reload->supervisor = supervisor;
    for (; reload->count < supervisor->settings->bundle_count; reload->count++) {
        struct reloaded *bundle = &reload->bundles[reload->count];

        bundle->reload = reload;
        tide_buf_init(&bundle->report, MAX_REPORT);
        tide_buf_init(&bundle->changes, MAX_CHANGES);
        tide_history_init(&bundle->history, (size_t)supervisor->settings->keep);
        bundle->current = read_bundle(reload, reload->count, err);
        if (!bundle->current) {
            tide_reload_free(reload);
            return NULL;
        }
        bundle->told.since_ms = tide_clock_now_ms();
        see(bundle, bundle->current);
        measure_success(reload, reload->count, true);
    }
    return reload;
}

void tide_reload_free(struct tide_reload *reload)
{
    if (!reload)
        return;
    for (size_t i = 0; i < reload->count; i++) {
        tide_content_free(reload->bundles[i].current);
        tide_content_free(reload->bundles[i].candidate);
        tide_history_release(&reload->bundles[i].history);
        tide_buf_release(&reload->bundles[i].report);
        tide_buf_release(&reload->bundles[i].changes);
    }
    free(reload->bundles);
    free(reload);
}

const struct tide_reload_bundle *tide_reload_bundle(const struct tide_reload *reload, size_t index)
{
    struct reloaded *bundle = &reload->bundles[index];

    bundle->told.current = bundle->current;
    bundle->told.disk = bundle->seen;
    bundle->told.report = bundle->report.data ? bundle->report.data : "";
    bundle->told.changes = bundle->changes.data ? bundle->changes.data : "";
    return &bundle->told;
}

bool tide_reload_is(const struct tide_content *content, const char *generation)
{
    return strcmp(tide_content_generation(content), generation) == 0;
}

static bool is_settled(const struct reloaded *bundle)
{
    return !bundle->candidate && !bundle->swapping;
}

bool tide_reload_is_settled(const struct tide_reload *reload)
{
    for (size_t i = 0; i < reload->count; i++)
        if (!is_settled(&reload->bundles[i]))
            return false;
    return true;
}

/* ---- the end of one ---- */

const char *tide_reload_outcome_name(enum tide_reload_outcome outcome)
{
    static const char *const names[] = {"none", "unchanged", "reloaded", "refused"};

    return names[outcome];
}

static void count_outcome(const struct tide_reload *reload, size_t index)
{
    struct tide_metrics *metrics = reload->supervisor->metrics;
    const struct tide_reload_bundle *told = &reload->bundles[index].told;
    char label[160];

    snprintf(label, sizeof label, "bundle=\"%s\",outcome=\"%s\"", tide_reload_settings(reload, index)->name,
             tide_reload_outcome_name(told->outcome));
    tide_metric_add(tide_metrics_get(metrics, TIDE_METRIC_COUNTER, "tidemill_reloads_total", label,
                                     "Reloads by how they ended."),
                    1);
    measure_success(reload, index, told->outcome != TIDE_RELOAD_REFUSED);
    snprintf(label, sizeof label, "bundle=\"%s\"", tide_reload_settings(reload, index)->name);
    tide_metric_set(tide_metrics_get(metrics, TIDE_METRIC_GAUGE,
                                     "tidemill_config_last_reload_timestamp_seconds", label,
                                     "When the last reload ended; not there before the first."),
                    (double)told->at_ms / 1000);
}

static void log_outcome(const struct tide_reload *reload, size_t index)
{
    const struct reloaded *bundle = &reload->bundles[index];
    bool refused = bundle->told.outcome == TIDE_RELOAD_REFUSED;

    if (bundle->told.outcome == TIDE_RELOAD_UNCHANGED)
        return;
    tide_log_event(&reload->supervisor->log, refused ? TIDE_LOG_ERROR : TIDE_LOG_INFO,
                   refused ? "reload refused: the generation before it still runs" : "reloaded",
                   tide_log_str("bundle", tide_reload_settings(reload, index)->name),
                   tide_log_str("before", bundle->told.before),
                   tide_log_str("generation", tide_content_generation(bundle->current)),
                   tide_log_str("report", refused && bundle->report.data ? bundle->report.data : NULL));
}

void tide_reload_settle(struct tide_reload *reload, size_t index, enum tide_reload_outcome outcome)
{
    struct reloaded *bundle = &reload->bundles[index];

    bundle->swapping = false;
    bundle->told.outcome = outcome;
    bundle->told.at_ms = tide_clock_now_ms();
    if (outcome != TIDE_RELOAD_REFUSED)
        tide_buf_reset(&bundle->report);
    count_outcome(reload, index);
    log_outcome(reload, index);
    if (bundle->wanted)
        tide_reload_start(reload, index, false);
    tide_supervisor_reload_over(reload->supervisor);
}

/* ---- the start of one ---- */

static void fail_to_read(struct tide_reload *reload, size_t index, const struct tide_err *err)
{
    struct reloaded *bundle = &reload->bundles[index];

    tide_buf_reset(&bundle->report);
    tide_buf_puts(&bundle->report, err->message);
    tide_reload_settle(reload, index, TIDE_RELOAD_REFUSED);
}

static void begin(struct reloaded *bundle)
{
    memcpy(bundle->told.before, tide_content_generation(bundle->current), sizeof bundle->told.before);
    tide_buf_reset(&bundle->changes);
}

/* Told already: it is looked at again and again. */
static bool is_known(const struct reloaded *bundle, const struct tide_content *found,
                     const struct tide_err *err)
{
    if (found)
        return tide_reload_is(found, bundle->seen);
    return bundle->told.outcome == TIDE_RELOAD_REFUSED && bundle->report.data &&
           strcmp(bundle->report.data, err->message) == 0;
}

void tide_reload_start(struct tide_reload *reload, size_t index, bool again)
{
    struct reloaded *bundle = &reload->bundles[index];
    struct tide_content *found;
    struct tide_err err;

    bundle->wanted = !is_settled(bundle);
    if (bundle->wanted || reload->supervisor->state != TIDE_SUPERVISOR_RUNNING)
        return;
    found = read_bundle(reload, index, &err);
    if (!again && is_known(bundle, found, &err)) {
        tide_content_free(found);
        return;
    }
    begin(bundle);
    if (!found) {
        fail_to_read(reload, index, &err);
        return;
    }
    see(bundle, found);
    if (tide_reload_is(bundle->current, bundle->seen)) {
        tide_content_free(found);
        tide_reload_settle(reload, index, TIDE_RELOAD_UNCHANGED);
    } else {
        tide_reload_ask(reload, index, found, false);
    }
}

const char *tide_reload_kept(const struct tide_reload *reload, size_t index, size_t place)
{
    const struct tide_history *history = &reload->bundles[index].history;

    return place < history->count ? tide_content_generation(history->kept[place]) : NULL;
}

static bool fail_to_go_back(const struct tide_reload *reload, size_t index, const char *generation,
                            struct tide_err *err)
{
    char list[TIDE_SETTINGS_KEEP_MAX * (TIDE_GENERATION_LEN + 1) + 8] = "";
    const char *kept;
    size_t len = 0;

    for (size_t i = 0; (kept = tide_reload_kept(reload, index, i)); i++)
        len += (size_t)snprintf(list + len, sizeof list - len, " %s", kept);
    return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "%s: the generation %s is not kept; kept are:%s",
                        tide_reload_settings(reload, index)->name, generation, len ? list : " none");
}

bool tide_reload_back(struct tide_reload *reload, size_t index, const char *generation, struct tide_err *err)
{
    struct reloaded *bundle = &reload->bundles[index];
    const char *name = tide_reload_settings(reload, index)->name;
    struct tide_content *content;

    if (!is_settled(bundle))
        return tide_err_set(err, TIDE_ERR_CONFLICT, true, "%s: another reload is not over yet", name);
    if (tide_reload_is(bundle->current, generation)) {
        begin(bundle);
        tide_reload_settle(reload, index, TIDE_RELOAD_UNCHANGED);
        return true;
    }
    content = tide_history_take(&bundle->history, generation);
    if (!content)
        return fail_to_go_back(reload, index, generation, err);
    begin(bundle);
    tide_reload_ask(reload, index, content, true);
    return true;
}
