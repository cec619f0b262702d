#include "queue/amqp/acks.h"

#include <stdlib.h>
#include <string.h>

void tide_amqp_acks_release(struct tide_amqp_acks *acks)
{
    free(acks->held.at);
    free(acks->over.at);
    *acks = (struct tide_amqp_acks){0};
}

/* The first that is not below `tag`. Almost all are at one of the ends. */
static size_t place_of(const struct tide_amqp_tags *tags, uint64_t tag)
{
    size_t low = 0, high = tags->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tags->at[middle] < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct tide_amqp_tags *tags, uint64_t tag)
{
    size_t at = place_of(tags, tag);

    if (tags->count == tags->cap) {
        size_t cap = tags->cap ? tags->cap * 2 : 64;
        uint64_t *more = realloc(tags->at, cap * sizeof *more);

        if (!more)
            abort();
        tags->at = more;
        tags->cap = cap;
    }
    memmove(tags->at + at + 1, tags->at + at, (tags->count - at) * sizeof *tags->at);
    tags->at[at] = tag;
    tags->count++;
}

/* The `count` from `at` on. */
static void cut(struct tide_amqp_tags *tags, size_t at, size_t count)
{
    memmove(tags->at + at, tags->at + at + count, (tags->count - at - count) * sizeof *tags->at);
    tags->count -= count;
}

static bool take(struct tide_amqp_tags *tags, uint64_t tag)
{
    size_t at = place_of(tags, tag);

    if (at == tags->count || tags->at[at] != tag)
        return false;
    cut(tags, at, 1);
    return true;
}

void tide_amqp_acks_hold(struct tide_amqp_acks *acks, uint64_t tag)
{
    insert(&acks->held, tag);
}

void tide_amqp_acks_end(struct tide_amqp_acks *acks, uint64_t tag)
{
    if (take(&acks->held, tag))
        insert(&acks->over, tag);
}

void tide_amqp_acks_forget(struct tide_amqp_acks *acks, uint64_t tag)
{
    take(&acks->held, tag);
}

bool tide_amqp_acks_next(struct tide_amqp_acks *acks, uint64_t *tag, bool *multiple)
{
    struct tide_amqp_tags *over = &acks->over;
    size_t together = acks->held.count ? place_of(over, acks->held.at[0]) : over->count;

    if (over->count == 0)
        return false;
    if (together == 0)
        together = 1; /* behind one that is held: alone */
    *tag = over->at[together - 1];
    *multiple = together > 1;
    cut(over, 0, together);
    return true;
}
