/* Prometheus' text format 0.0.4, summed over slabs that other processes are writing to, or died writing to.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "base/metrics_slab.h"

/* A copy of an entry that nobody can change any more. */
struct series {
    const struct tide_metric *source; /* its texts were checked; still read through the copies below */
    uint32_t type;
    char name[TIDE_METRICS_NAME];
    char labels[TIDE_METRICS_LABELS];
    double value;
    uint64_t buckets[TIDE_METRICS_BOUNDS + 1];
};

static double load_double(const _Atomic uint64_t *bits)
{
    uint64_t raw = atomic_load_explicit(bits, memory_order_relaxed);
    double value;

    memcpy(&value, &raw, sizeof value);
    return value;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20)
            return false;
    return true;
}

/* False when what is there cannot be printed. */
static bool copy_entry(struct series *to, const struct tide_metric *from)
{
    unsigned i;

    to->source = from;
    to->type = from->type;
    memcpy(to->name, from->name, sizeof to->name);
    memcpy(to->labels, from->labels, sizeof to->labels);
    to->name[sizeof to->name - 1] = to->labels[sizeof to->labels - 1] = '\0';
    to->value = load_double(&from->value);
    for (i = 0; i <= TIDE_METRICS_BOUNDS; i++)
        to->buckets[i] = atomic_load_explicit(&from->buckets[i], memory_order_relaxed);
    return to->type <= TIDE_METRIC_HISTOGRAM && tide_metrics_valid_name(to->name) && is_one_line(to->labels);
}

static uint32_t slab_count(const struct tide_metrics *metrics)
{
    uint32_t count = atomic_load_explicit(&metrics->slab->count, memory_order_acquire);

    return count < TIDE_METRICS_MAX ? count : TIDE_METRICS_MAX;
}

/* All series of all slabs, in one array for free(). NULL when memory is out. */
static struct series *collect(struct tide_metrics *const *slabs, size_t count, size_t *found)
{
    size_t i, room = 1;
    uint32_t *counts = calloc(count + 1, sizeof *counts), k;
    struct series *all = NULL;

    *found = 0;
    if (!counts)
        return NULL;
    for (i = 0; i < count; i++)
        room += counts[i] = slab_count(slabs[i]);
    all = malloc(room * sizeof *all);
    for (i = 0; all && i < count; i++)
        for (k = 0; k < counts[i]; k++)
            if (copy_entry(&all[*found], &slabs[i]->slab->entries[k]))
                ++*found;
    free(counts);
    return all;
}

static int by_name_and_labels(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order == 0)
        order = x->type < y->type ? -1 : x->type > y->type;
    return order ? order : strcmp(x->labels, y->labels);
}

static void merge(struct series *into, const struct series *other)
{
    unsigned i;

    into->value += other->value;
    for (i = 0; i <= TIDE_METRICS_BOUNDS; i++)
        into->buckets[i] += other->buckets[i];
}

static void print_number(struct tide_buf *out, double value)
{
    if (isnan(value))
        tide_buf_puts(out, "NaN");
    else if (isinf(value))
        tide_buf_puts(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == floor(value) && fabs(value) < 9e15)
        tide_buf_printf(out, "%.0f", value);
    else
        tide_buf_printf(out, "%.17g", value);
}

/* HELP and TYPE; the help text comes straight from shared memory, so it is read byte by byte within its
 * bounds. */
static void print_head(struct tide_buf *out, const char *name, uint32_t type, const char *help,
                       size_t help_max)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    size_t i;

    tide_buf_printf(out, "# HELP %s ", name);
    for (i = 0; i < help_max && help[i]; i++) {
        if (help[i] == '\\')
            tide_buf_puts(out, "\\\\");
        else
            tide_buf_putc(out, (unsigned char)help[i] < 0x20 ? ' ' : help[i]);
    }
    tide_buf_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void print_line(struct tide_buf *out, const struct series *series, const char *suffix, const char *le,
                       double value)
{
    const char *labels = series->labels;

    tide_buf_printf(out, "%s%s", series->name, suffix);
    if (*labels || le)
        tide_buf_printf(out, "{%s%s%s%s%s}", labels, *labels && le ? "," : "", le ? "le=\"" : "",
                        le ? le : "", le ? "\"" : "");
    tide_buf_putc(out, ' ');
    print_number(out, value);
    tide_buf_putc(out, '\n');
}

static void print_histogram(struct tide_buf *out, const struct series *series)
{
    static const char *const bounds[] = {"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
                                         "0.1",   "0.25",   "0.5",   "1",    "2.5",   "5",
                                         "10",    "30",     "60",    "300",  "+Inf"};
    uint64_t total = 0;
    unsigned i;

    for (i = 0; i <= TIDE_METRICS_BOUNDS; i++) {
        total += series->buckets[i];
        print_line(out, series, "_bucket", bounds[i], (double)total);
    }
    print_line(out, series, "_sum", NULL, series->value);
    print_line(out, series, "_count", NULL, (double)total);
}

static void print_all(struct tide_buf *out, struct series *all, size_t count)
{
    const struct series *head = NULL;
    size_t i, next;

    for (i = 0; i < count; i = next) {
        for (next = i + 1; next < count && by_name_and_labels(&all[i], &all[next]) == 0; next++)
            merge(&all[i], &all[next]);
        if (!head || strcmp(head->name, all[i].name) != 0) {
            head = &all[i];
            print_head(out, head->name, head->type, head->source->help, TIDE_METRICS_HELP);
        }
        if (all[i].type != head->type)
            continue; /* two processes disagree about the type: one name has one type */
        if (all[i].type == TIDE_METRIC_HISTOGRAM)
            print_histogram(out, &all[i]);
        else
            print_line(out, &all[i], "", NULL, all[i].value);
    }
}

void tide_metrics_render(struct tide_metrics *const *slabs, size_t count, struct tide_buf *out)
{
    static const char help[] =
        "Uses of a series that found no place in the slab or whose name or type is wrong.";
    struct series *all;
    uint64_t dropped = 0;
    size_t found, i;

    all = collect(slabs, count, &found);
    if (!all) {
        out->overflow = true;
        return;
    }
    qsort(all, found, sizeof *all, by_name_and_labels);
    print_all(out, all, found);
    free(all);
    for (i = 0; i < count; i++)
        dropped += atomic_load_explicit(&slabs[i]->slab->dropped, memory_order_relaxed);
    print_head(out, "tidemill_metrics_dropped_total", TIDE_METRIC_COUNTER, help, sizeof help);
    tide_buf_printf(out, "tidemill_metrics_dropped_total %" PRIu64 "\n", dropped);
}
