#include "engine/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/history.h"
#include "engine/supervisor_internal.h"

#define MAX_REPORT 65536
#define MAX_CHANGES 16384

struct reloaded {
    struct tide_reload_bundle told;           /* its texts are filled in when it is asked for */
    struct tide_content *current, *candidate; /* candidate: the workers are asked about it; NULL: none */
    bool swapping;                  /* all agreed: the candidate is the current one, and is waited for */
    bool wanted;                    /* read it again when this one is over */
    bool back;                      /* the candidate is one of the history */
    char seen[TIDE_GENERATION_LEN]; /* on the disk, when it was read last */
    struct tide_history history;
    struct tide_buf report, changes;
};

struct tide_reload {
    struct tide_supervisor *supervisor;
    struct reloaded *bundles;
    size_t count;
};

static const struct tide_settings_bundle *settings_of(const struct tide_reload *reload, size_t index)
{
    return &reload->supervisor->settings->bundles[index];
}

static struct tide_content *read_bundle(const struct tide_reload *reload, size_t index, struct tide_err *err)
{
    return tide_content_read(settings_of(reload, index)->directory, reload->supervisor->settings->library,
                             err);
}

static void see(struct reloaded *bundle, const struct tide_content *found)
{
    memcpy(bundle->seen, tide_content_generation(found), sizeof bundle->seen);
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

        tide_buf_init(&bundle->report, MAX_REPORT);
        tide_buf_init(&bundle->changes, MAX_CHANGES);
        tide_history_init(&bundle->history, (size_t)supervisor->settings->keep);
        bundle->current = read_bundle(reload, reload->count, err);
        if (!bundle->current) {
            tide_reload_free(reload);
            return NULL;
        }
        see(bundle, bundle->current);
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
    bundle->told.report = bundle->report.data ? bundle->report.data : "";
    bundle->told.changes = bundle->changes.data ? bundle->changes.data : "";
    return &bundle->told;
}

static bool is(const struct tide_content *content, const char *generation)
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

    snprintf(label, sizeof label, "bundle=\"%s\",outcome=\"%s\"", settings_of(reload, index)->name,
             tide_reload_outcome_name(told->outcome));
    tide_metric_add(tide_metrics_get(metrics, TIDE_METRIC_COUNTER, "tidemill_reloads_total", label,
                                     "Reloads by how they ended."),
                    1);
    snprintf(label, sizeof label, "bundle=\"%s\"", settings_of(reload, index)->name);
    tide_metric_set(tide_metrics_get(metrics, TIDE_METRIC_GAUGE, "tidemill_last_reload_successful", label,
                                     "0: the last reload was refused, the generation before it still runs."),
                    told->outcome != TIDE_RELOAD_REFUSED);
    tide_metric_set(tide_metrics_get(metrics, TIDE_METRIC_GAUGE, "tidemill_last_reload_timestamp_seconds",
                                     label, "When the last reload ended."),
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
                   tide_log_str("bundle", settings_of(reload, index)->name),
                   tide_log_str("before", bundle->told.before),
                   tide_log_str("generation", tide_content_generation(bundle->current)),
                   tide_log_str("report", refused && bundle->report.data ? bundle->report.data : NULL));
}

static void settle(struct tide_reload *reload, size_t index, enum tide_reload_outcome outcome)
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

static void refuse(struct tide_reload *reload, size_t index)
{
    struct reloaded *bundle = &reload->bundles[index];
    char line[128];

    snprintf(line, sizeof line, "forget %s", settings_of(reload, index)->name);
    for (unsigned i = 0; i < reload->supervisor->child_count; i++)
        if (reload->supervisor->children[i].attached)
            tide_control_send(&reload->supervisor->children[i].control, line);
    if (bundle->back)
        tide_history_put(&bundle->history, bundle->candidate);
    else
        tide_content_free(bundle->candidate);
    bundle->candidate = NULL;
    settle(reload, index, TIDE_RELOAD_REFUSED);
}

/* ---- asking and swapping ---- */

static void tell_prepare(const struct tide_reload *reload, struct tide_child *child, size_t index,
                         const struct tide_content *content)
{
    char line[128];

    snprintf(line, sizeof line, "prepare %s %s", settings_of(reload, index)->name,
             tide_content_generation(content));
    tide_control_pass(&child->control, line, tide_content_fd(content));
}

static void tell_swap(const struct tide_reload *reload, struct tide_child *child, size_t index)
{
    char line[128];

    snprintf(line, sizeof line, "swap %s %s", settings_of(reload, index)->name,
             tide_content_generation(reload->bundles[index].current));
    tide_control_send(&child->control, line);
}

static void see_swapped(struct tide_reload *reload, size_t index)
{
    const struct tide_supervisor *supervisor = reload->supervisor;
    const struct reloaded *bundle = &reload->bundles[index];

    if (!bundle->swapping)
        return;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state == TIDE_WORKER_READY &&
            !is(bundle->current, supervisor->children[i].generations[index]))
            return;
    settle(reload, index, TIDE_RELOAD_DONE);
}

static void note_change(void *arg, enum tide_content_change change, const char *path)
{
    static const char *const words[] = {"added", "changed", "removed"};

    tide_buf_printf(arg, "%s %s\n", words[change], path);
}

static void swap(struct tide_reload *reload, size_t index)
{
    struct tide_supervisor *supervisor = reload->supervisor;
    struct reloaded *bundle = &reload->bundles[index];

    tide_content_compare(bundle->current, bundle->candidate, note_change, &bundle->changes);
    tide_content_free(tide_history_take(&bundle->history, tide_content_generation(bundle->candidate)));
    tide_history_put(&bundle->history, bundle->current);
    bundle->current = bundle->candidate;
    bundle->candidate = NULL;
    bundle->swapping = true;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state == TIDE_WORKER_READY)
            tell_swap(reload, &supervisor->children[i], index);
    see_swapped(reload, index);
}

/* Workers that are not there now will start with what is current then. */
static void see_agreed(struct tide_reload *reload, size_t index)
{
    const struct tide_supervisor *supervisor = reload->supervisor;

    if (!reload->bundles[index].candidate)
        return;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state == TIDE_WORKER_READY && supervisor->children[i].asked[index])
            return;
    swap(reload, index);
}

static void ask(struct tide_reload *reload, size_t index, struct tide_content *candidate, bool back)
{
    struct tide_supervisor *supervisor = reload->supervisor;

    reload->bundles[index].candidate = candidate;
    reload->bundles[index].back = back;
    tide_buf_reset(&reload->bundles[index].report);
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        struct tide_child *child = &supervisor->children[i];

        child->asked[index] = child->state == TIDE_WORKER_READY;
        if (child->asked[index])
            tell_prepare(reload, child, index, candidate);
    }
    see_agreed(reload, index);
}

static void fail_to_read(struct tide_reload *reload, size_t index, const struct tide_err *err)
{
    struct reloaded *bundle = &reload->bundles[index];

    tide_buf_reset(&bundle->report);
    tide_buf_puts(&bundle->report, err->message);
    settle(reload, index, TIDE_RELOAD_REFUSED);
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
        return is(found, bundle->seen);
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
    if (is(bundle->current, bundle->seen)) {
        tide_content_free(found);
        settle(reload, index, TIDE_RELOAD_UNCHANGED);
    } else {
        ask(reload, index, found, false);
    }
}

const char *tide_reload_kept(const struct tide_reload *reload, size_t index, size_t place)
{
    const struct tide_history *history = &reload->bundles[index].history;

    return place < history->count ? tide_content_generation(history->kept[place]) : NULL;
}

bool tide_reload_back(struct tide_reload *reload, size_t index, const char *generation, struct tide_err *err)
{
    struct reloaded *bundle = &reload->bundles[index];
    const char *name = settings_of(reload, index)->name;
    struct tide_content *content;

    if (!is_settled(bundle))
        return tide_err_set(err, TIDE_ERR_CONFLICT, true, "%s: another reload is not over yet", name);
    if (is(bundle->current, generation)) {
        begin(bundle);
        settle(reload, index, TIDE_RELOAD_UNCHANGED);
        return true;
    }
    content = tide_history_take(&bundle->history, generation);
    if (!content)
        return tide_err_set(err, TIDE_ERR_NOT_FOUND, false, "%s: the generation %s is not kept", name,
                            generation);
    begin(bundle);
    ask(reload, index, content, true);
    return true;
}

/* ---- the workers' words ---- */

static void on_agreement(struct tide_reload *reload, struct tide_child *child, size_t index,
                         const char *generation)
{
    struct reloaded *bundle = &reload->bundles[index];

    if (is(bundle->current, generation)) {
        tell_swap(reload, child, index); /* it was started before the others swapped */
    } else if (bundle->candidate && is(bundle->candidate, generation)) {
        child->asked[index] = false;
        see_agreed(reload, index);
    }
}

static void on_refusal(struct tide_reload *reload, struct tide_child *child, size_t index,
                       const char *generation)
{
    struct reloaded *bundle = &reload->bundles[index];

    if (is(bundle->current, generation)) {
        tide_child_kill(child); /* the others run it: a fresh worker may, too */
    } else if (bundle->candidate && is(bundle->candidate, generation)) {
        tide_buf_reset(&bundle->report);
        tide_buf_puts(&bundle->report, child->report.data ? child->report.data : "");
        refuse(reload, index);
    }
    tide_buf_reset(&child->report); /* the lines of the next one come next */
}

bool tide_reload_hear(struct tide_reload *reload, struct tide_child *child, const char *line)
{
    char word[16], name[64], generation[TIDE_GENERATION_LEN];
    const struct tide_settings_bundle *bundle;
    size_t index;

    if (sscanf(line, "%15s %63s %12s", word, name, generation) != 3)
        return false;
    bundle = tide_settings_bundle(reload->supervisor->settings, name);
    if (!bundle)
        return false;
    index = (size_t)(bundle - reload->supervisor->settings->bundles);
    if (strcmp(word, "bundle") == 0) {
        memcpy(child->generations[index], generation, sizeof generation);
        see_swapped(reload, index);
    } else if (strcmp(word, "agrees") == 0) {
        on_agreement(reload, child, index, generation);
    } else if (strcmp(word, "refuses") == 0) {
        on_refusal(reload, child, index, generation);
    } else if (strcmp(word, "retired") == 0) {
        child->retired[index] = (unsigned)strtoul(generation, NULL, 10);
    } else {
        return false;
    }
    return true;
}

void tide_reload_child_ready(struct tide_reload *reload, struct tide_child *child)
{
    for (size_t i = 0; i < reload->count; i++) {
        child->asked[i] = false;
        if (!is(reload->bundles[i].current, child->generations[i]))
            tell_prepare(reload, child, i, reload->bundles[i].current);
    }
}

void tide_reload_child_gone(struct tide_reload *reload, struct tide_child *child)
{
    for (size_t i = 0; i < reload->count; i++) {
        bool asked = child->asked[i] && reload->bundles[i].candidate;

        child->asked[i] = false;
        if (asked) {
            tide_buf_printf(&reload->bundles[i].report, "worker %u died while it loaded this\n",
                            child->index);
            refuse(reload, i);
        }
        see_swapped(reload, i);
    }
}
