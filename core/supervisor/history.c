#include "supervisor/history.h"

#include <assert.h>
#include <string.h>

void tide_history_init(struct tide_history *history, size_t most)
{
    assert(most <= TIDE_SETTINGS_KEEP_MAX);
    *history = (struct tide_history){.most = most};
}

void tide_history_release(struct tide_history *history)
{
    for (size_t i = 0; i < history->count; i++)
        tide_content_free(history->kept[i]);
    history->count = 0;
}

void tide_history_put(struct tide_history *history, struct tide_content *content)
{
    if (history->most == 0) {
        tide_content_free(content);
        return;
    }
    if (history->count == history->most)
        tide_content_free(history->kept[--history->count]);
    memmove(history->kept + 1, history->kept, history->count * sizeof *history->kept);
    history->kept[0] = content;
    history->count++;
    tide_content_rest(content);
}

struct tide_content *tide_history_take(struct tide_history *history, const char *generation)
{
    for (size_t i = 0; i < history->count; i++) {
        struct tide_content *content = history->kept[i];

        if (strcmp(tide_content_generation(content), generation) != 0)
            continue;
        history->count--;
        memmove(history->kept + i, history->kept + i + 1, (history->count - i) * sizeof *history->kept);
        return content;
    }
    return NULL;
}
