#include "engine/watch.h"

#include <fts.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS 20

struct place {
    uv_fs_event_t event;
    struct tree *tree;
    struct place *next;
};

/* What was added: its events belong to the directories that were below it at the last look. */
struct tree {
    struct tide_watch *watch;
    size_t index;
    char *directory;
    struct place *places;
    bool changed;
    struct tree *next;
};

struct tide_watch {
    uv_loop_t *loop;
    uv_timer_t settle, poll;
    bool events;
    void (*changed)(void *arg, size_t index);
    void *arg;
    struct tree *trees;
    int handles; /* open timers: the watch lives until both are closed */
};

/* ---- directories ---- */

static void free_place(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_places(struct tree *tree)
{
    struct place *place;

    while ((place = tree->places)) {
        tree->places = place->next;
        uv_close((uv_handle_t *)&place->event, free_place);
    }
}

static void on_settle(uv_timer_t *timer);

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct tree *tree = ((struct place *)event->data)->tree;
    struct tide_watch *watch = tree->watch;

    (void)name;
    (void)events;
    (void)status;
    tree->changed = true;
    if (!uv_is_active((uv_handle_t *)&watch->settle))
        uv_timer_start(&watch->settle, on_settle, SETTLE_MS, 0);
}

static void add_place(struct tree *tree, const char *directory)
{
    struct place *place = calloc(1, sizeof *place);

    if (!place)
        return;
    place->tree = tree;
    uv_fs_event_init(tree->watch->loop, &place->event);
    place->event.data = place;
    place->next = tree->places;
    tree->places = place;
    uv_fs_event_start(&place->event, on_event, directory, 0); /* a failure leaves it to the poll */
    uv_unref((uv_handle_t *)&place->event);
}

static void add_places(struct tree *tree)
{
    char *paths[] = {tree->directory, NULL};
    FTS *walk = tree->watch->events ? fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL) : NULL;
    FTSENT *entry;

    while (walk && (entry = fts_read(walk))) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.')
            fts_set(walk, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_D)
            add_place(tree, entry->fts_path);
    }
    if (walk)
        fts_close(walk);
}

/* A directory may have come, gone, or been replaced. */
static void look_again(struct tree *tree)
{
    tree->changed = false;
    drop_places(tree);
    add_places(tree);
}

/* ---- when ---- */

static void on_settle(uv_timer_t *timer)
{
    struct tide_watch *watch = timer->data;

    for (struct tree *tree = watch->trees; tree; tree = tree->next) {
        if (!tree->changed)
            continue;
        look_again(tree);
        watch->changed(watch->arg, tree->index);
    }
}

static void on_poll(uv_timer_t *timer)
{
    struct tide_watch *watch = timer->data;

    for (struct tree *tree = watch->trees; tree; tree = tree->next)
        watch->changed(watch->arg, tree->index);
}

/* ---- life ---- */

struct tide_watch *tide_watch_new(uv_loop_t *loop, bool events, int64_t poll_ms,
                                  void (*changed)(void *arg, size_t index), void *arg)
{
    struct tide_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL;
    *watch =
        (struct tide_watch){.loop = loop, .events = events, .changed = changed, .arg = arg, .handles = 2};
    uv_timer_init(loop, &watch->settle);
    uv_timer_init(loop, &watch->poll);
    watch->settle.data = watch->poll.data = watch;
    if (poll_ms > 0)
        uv_timer_start(&watch->poll, on_poll, (uint64_t)poll_ms, (uint64_t)poll_ms);
    return watch;
}

bool tide_watch_add(struct tide_watch *watch, size_t index, const char *directory)
{
    struct tree *tree = calloc(1, sizeof *tree);

    if (!tree || !(tree->directory = strdup(directory))) {
        free(tree);
        return false;
    }
    tree->watch = watch;
    tree->index = index;
    tree->next = watch->trees;
    watch->trees = tree;
    add_places(tree);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct tide_watch *watch = handle->data;

    if (--watch->handles == 0)
        free(watch);
}

void tide_watch_free(struct tide_watch *watch)
{
    struct tree *tree;

    if (!watch)
        return;
    while ((tree = watch->trees)) {
        watch->trees = tree->next;
        drop_places(tree);
        free(tree->directory);
        free(tree);
    }
    uv_close((uv_handle_t *)&watch->settle, on_closed);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
