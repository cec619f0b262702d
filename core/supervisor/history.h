/*
 * The generations that a bundle had before its current one, the latest first: so that there is a way back
 * when what is on the disk is gone or wrong. Loop thread of the supervisor.
 */
#ifndef TIDE_SUPERVISOR_HISTORY_H
#define TIDE_SUPERVISOR_HISTORY_H

#include "script/content.h"
#include "settings/settings.h"

struct tide_history {
    struct tide_content *kept[TIDE_SETTINGS_KEEP_MAX];
    size_t count, most;
};

void tide_history_init(struct tide_history *history, size_t most); /* 0 to TIDE_SETTINGS_KEEP_MAX */
void tide_history_release(struct tide_history *history);
/* Takes `content` over. What is over `most` is let go. */
void tide_history_put(struct tide_history *history, struct tide_content *content);
/* The caller's; NULL: there is none. */
struct tide_content *tide_history_take(struct tide_history *history, const char *generation);

#endif
