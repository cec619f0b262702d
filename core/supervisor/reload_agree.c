/* What the workers say of a new generation, and what becomes of it then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/reload_internal.h"

/* ---- refusing ---- */

static void refuse(struct tide_reload *reload, size_t index, const char *report)
{
    struct reloaded *bundle = &reload->bundles[index];
    char line[128];

    snprintf(line, sizeof line, "forget %s", tide_reload_settings(reload, index)->name);
    for (unsigned i = 0; i < reload->supervisor->child_count; i++)
        if (reload->supervisor->children[i].attached)
            tide_control_send(&reload->supervisor->children[i].control, line);
    tide_gate_stop(bundle->gate);
    tide_bundle_migration_drop(bundle->migration);
    bundle->gate = NULL;
    bundle->migration = NULL;
    if (bundle->back)
        tide_history_put(&bundle->history, bundle->candidate);
    else
        tide_content_free(bundle->candidate);
    bundle->candidate = NULL;
    tide_buf_reset(&bundle->report);
    tide_buf_puts(&bundle->report, report);
    tide_reload_settle(reload, index, TIDE_RELOAD_REFUSED);
}

/* ---- swapping ---- */

static void tell_prepare(const struct tide_reload *reload, struct tide_child *child, size_t index,
                         const struct tide_content *content)
{
    char line[128];

    snprintf(line, sizeof line, "prepare %s %s", tide_reload_settings(reload, index)->name,
             tide_content_generation(content));
    tide_control_pass(&child->control, line, tide_content_fd(content));
}

static void tell_swap(const struct tide_reload *reload, struct tide_child *child, size_t index)
{
    char line[128];

    snprintf(line, sizeof line, "swap %s %s", tide_reload_settings(reload, index)->name,
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
            !tide_reload_is(bundle->current, supervisor->children[i].generations[index]))
            return;
    tide_reload_settle(reload, index, TIDE_RELOAD_DONE);
}

static void note_change(void *arg, enum tide_content_change change, const char *path)
{
    static const char *const words[] = {"added", "changed", "removed"};

    tide_buf_printf(arg, "%s %s%c", words[change], path, '\0');
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
    bundle->told.since_ms = tide_clock_now_ms();
    bundle->swapping = true;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state == TIDE_WORKER_READY)
            tell_swap(reload, &supervisor->children[i], index);
    see_swapped(reload, index);
}

/* ---- agreeing ---- */

static void see_agreed(struct tide_reload *reload, size_t index);

static void on_specs(void *arg, bool passed, const char *report)
{
    struct reloaded *bundle = arg;
    struct tide_reload *reload = bundle->reload;
    size_t index = (size_t)(bundle - reload->bundles);

    bundle->gate = NULL;
    bundle->passed = passed;
    if (passed)
        see_agreed(reload, index);
    else
        refuse(reload, index, report);
}

static void open_gate(struct tide_reload *reload, size_t index)
{
    struct tide_supervisor *supervisor = reload->supervisor;
    struct reloaded *bundle = &reload->bundles[index];
    struct tide_gate_config config = {.loop = &supervisor->loop,
                                      .settings = supervisor->settings,
                                      .settings_fd = supervisor->settings_fd,
                                      .bundle = tide_reload_settings(reload, index)->name,
                                      .content = bundle->candidate,
                                      .done = on_specs,
                                      .arg = bundle};
    struct tide_err err;

    bundle->gate = tide_gate_start(&config, &err);
    if (bundle->gate)
        bundle->gate_pid = tide_gate_pid(bundle->gate);
    else
        refuse(reload, index, err.message);
}

static void on_migrated(void *arg, const struct tide_err *err)
{
    struct reloaded *bundle = arg;
    struct tide_reload *reload = bundle->reload;
    size_t index = (size_t)(bundle - reload->bundles);

    bundle->migration = NULL;
    bundle->migrated = !err;
    if (err)
        refuse(reload, index, err->message);
    else
        see_agreed(reload, index);
}

static void migrate(struct tide_reload *reload, size_t index)
{
    struct tide_supervisor *supervisor = reload->supervisor;
    struct reloaded *bundle = &reload->bundles[index];
    struct tide_err err;

    bundle->migration = tide_bundle_migration_start(&supervisor->loop, supervisor->settings, index,
                                                    &supervisor->log, on_migrated, bundle, &err);
    if (!bundle->migration)
        refuse(reload, index, err.message);
}

/* One worker after the other loads it: a load that takes long holds up one alone. Workers that are not there
 * now will start with what is current then. When none is ready the first that becomes so is waited for; not
 * one that can't even start with what is current, which the candidate may mend. False: all agree. */
static bool ask_next(struct tide_reload *reload, size_t index)
{
    struct tide_supervisor *supervisor = reload->supervisor;
    struct reloaded *bundle = &reload->bundles[index];
    struct tide_child *next = NULL;
    bool ready = false, coming = false;

    for (unsigned i = 0; i < supervisor->child_count; i++) {
        struct tide_child *child = &supervisor->children[i];

        coming = coming || !child->broken;
        if (child->state != TIDE_WORKER_READY)
            continue;
        if (child->asked[index])
            return true;
        ready = true;
        if (!next && !child->agreed[index])
            next = child;
    }
    if (!next)
        return !ready && coming;
    next->asked[index] = true;
    bundle->asked_ms = tide_clock_monotonic_ms();
    tell_prepare(reload, next, index, bundle->candidate);
    return true;
}

static void see_agreed(struct tide_reload *reload, size_t index)
{
    const struct reloaded *bundle = &reload->bundles[index];

    if (!bundle->candidate || bundle->gate || bundle->migration || ask_next(reload, index))
        return;
    if (!bundle->passed)
        open_gate(reload, index);
    else if (!bundle->migrated)
        migrate(reload, index);
    else
        swap(reload, index);
}

static void note_schema(void *arg, enum tide_content_change change, const char *path)
{
    struct reloaded *bundle = arg;
    const char *directory =
        tide_reload_settings(bundle->reload, (size_t)(bundle - bundle->reload->bundles))->directory;
    size_t len = strlen(directory);

    if (change != TIDE_CONTENT_REMOVED && strncmp(path, directory, len) == 0 &&
        strncmp(path + len, "/schema/", 8) == 0)
        bundle->migrated = false;
}

void tide_reload_ask(struct tide_reload *reload, size_t index, struct tide_content *candidate, bool back)
{
    struct tide_supervisor *supervisor = reload->supervisor;
    struct reloaded *bundle = &reload->bundles[index];

    bundle->candidate = candidate;
    bundle->back = back;
    bundle->passed = back || supervisor->settings->gate == TIDE_SETTINGS_GATE_OFF;
    bundle->migrated = true;
    tide_content_compare(bundle->current, candidate, note_schema, bundle);
    tide_buf_reset(&bundle->report);
    for (unsigned i = 0; i < supervisor->child_count; i++)
        supervisor->children[i].asked[index] = supervisor->children[i].agreed[index] = false;
    see_agreed(reload, index);
}

void tide_reload_stop(struct tide_reload *reload)
{
    for (size_t i = 0; reload && i < reload->count; i++)
        if (reload->bundles[i].gate || reload->bundles[i].migration)
            refuse(reload, i, "the engine stops\n");
}

bool tide_reload_owns(const struct tide_reload *reload, int pid)
{
    for (size_t i = 0; reload && i < reload->count; i++)
        if (reload->bundles[i].gate_pid == pid)
            return true;
    return false;
}

/* ---- the workers' words ---- */

static void on_agreement(struct tide_reload *reload, struct tide_child *child, size_t index,
                         const char *generation)
{
    struct reloaded *bundle = &reload->bundles[index];

    if (tide_reload_is(bundle->current, generation)) {
        tell_swap(reload, child, index); /* it was started before the others swapped */
    } else if (bundle->candidate && tide_reload_is(bundle->candidate, generation)) {
        child->asked[index] = false;
        child->agreed[index] = true;
        see_agreed(reload, index);
    }
}

static void on_refusal(struct tide_reload *reload, struct tide_child *child, size_t index,
                       const char *generation)
{
    struct reloaded *bundle = &reload->bundles[index];

    if (tide_reload_is(bundle->current, generation)) {
        tide_child_kill(child); /* the others run it: a fresh worker may, too */
    } else if (bundle->candidate && tide_reload_is(bundle->candidate, generation)) {
        refuse(reload, index, child->report.data ? child->report.data : "");
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

/* It has been started with what was current then. */
void tide_reload_child_ready(struct tide_reload *reload, struct tide_child *child)
{
    for (size_t i = 0; i < reload->count; i++) {
        const struct reloaded *bundle = &reload->bundles[i];

        child->asked[i] = child->agreed[i] = false;
        if (bundle->candidate)
            see_agreed(reload, i);
        else if (!tide_reload_is(bundle->current, child->generations[i]))
            tell_prepare(reload, child, i, bundle->current);
    }
}

static void describe_end(const struct tide_child *child, int64_t asked_ms, char *text, size_t size)
{
    char how[96];

    if (child->lost)
        snprintf(how, sizeof how, "was killed since it did not answer");
    else if (child->signal)
        snprintf(how, sizeof how, "was killed (%s)", strsignal(child->signal));
    else
        snprintf(how, sizeof how, "exited with status %d", child->status);
    snprintf(text, size, "worker %u %s while it loaded this, %.1f s after it began\n", child->index, how,
             (double)(tide_clock_monotonic_ms() - asked_ms) / 1000);
}

void tide_reload_child_gone(struct tide_reload *reload, struct tide_child *child)
{
    char report[160];

    for (size_t i = 0; i < reload->count; i++) {
        bool asked = child->asked[i] && reload->bundles[i].candidate;

        child->asked[i] = false;
        if (asked) {
            describe_end(child, reload->bundles[i].asked_ms, report, sizeof report);
            refuse(reload, i, report);
        }
        see_agreed(reload, i);
        see_swapped(reload, i);
    }
}
