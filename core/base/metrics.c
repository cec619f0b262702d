#include "base/metrics.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/metrics_slab.h"

#define INDEX_MASK (2 * TIDE_METRICS_MAX - 1)

const double tide_metrics_bounds[TIDE_METRICS_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                         0.5,   1,      2.5,   5,    10,    30,   60,  300};

/* Gives an empty memfd its size, once and for ever, so that no mapping of it can fault later. */
static bool prepare_fd(int fd, struct tide_err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return tide_err_errno(err, errno, "metrics: fstat");
    if (st.st_size == 0 && ftruncate(fd, sizeof(struct tide_metrics_slab)) != 0)
        return tide_err_errno(err, errno, "metrics: ftruncate");
    if (st.st_size != 0 && st.st_size != (off_t)sizeof(struct tide_metrics_slab))
        return tide_err_set(err, TIDE_ERR_INVALID, false, "metrics: the file is no slab of this version");
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK); /* refused when the memfd does not allow seals: as good */
    return true;
}

static bool map_slab(struct tide_metrics *metrics, int fd, struct tide_err *err)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
    struct tide_metrics_slab *slab;

    if (fd >= 0 && !prepare_fd(fd, err))
        return false;
    slab = mmap(NULL, sizeof *slab, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
    if (slab == MAP_FAILED)
        return tide_err_errno(err, errno, "metrics: mmap");
    if (slab->magic == 0) {
        slab->size = sizeof *slab;
        slab->magic = TIDE_METRICS_MAGIC;
    }
    if (slab->magic != TIDE_METRICS_MAGIC || slab->size != sizeof *slab) {
        munmap(slab, sizeof *slab);
        return tide_err_set(err, TIDE_ERR_INVALID, false, "metrics: the file is no slab of this version");
    }
    metrics->slab = slab;
    return true;
}

struct tide_metrics *tide_metrics_map(int fd, struct tide_err *err)
{
    /* Pages of the index that are never touched cost nothing: the supervisor only reads. */
    struct tide_metrics *metrics =
        mmap(NULL, sizeof *metrics, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (metrics == MAP_FAILED) {
        tide_err_errno(err, errno, "metrics: mmap");
        return NULL;
    }
    if (map_slab(metrics, fd, err))
        return metrics;
    munmap(metrics, sizeof *metrics);
    return NULL;
}

void tide_metrics_unmap(struct tide_metrics *metrics)
{
    if (!metrics)
        return;
    munmap(metrics->slab, sizeof *metrics->slab);
    munmap(metrics, sizeof *metrics);
}

static uint32_t entry_count(const struct tide_metrics_slab *slab)
{
    uint32_t count = atomic_load_explicit(&slab->count, memory_order_acquire);

    return count < TIDE_METRICS_MAX ? count : TIDE_METRICS_MAX;
}

void tide_metrics_take_over(struct tide_metrics *metrics)
{
    uint32_t i, count = entry_count(metrics->slab);

    for (i = 0; i < count; i++)
        if (metrics->slab->entries[i].type == TIDE_METRIC_GAUGE)
            tide_metric_set(&metrics->slab->entries[i], 0);
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static uint32_t hash_series(const char *name, const char *labels)
{
    uint32_t hash = hash_text((hash_text(2166136261u, name) ^ '{') * 16777619u, labels);

    return hash ^ hash >> 15;
}

/* Where the series is in the index, or the free place where it belongs. */
static uint16_t *find_place(struct tide_metrics *metrics, uint32_t hash, const char *name, const char *labels)
{
    uint32_t i;

    for (i = hash & INDEX_MASK; metrics->index[i]; i = (i + 1) & INDEX_MASK) {
        const struct tide_metric *entry = &metrics->slab->entries[metrics->index[i] - 1];

        if (entry->hash == hash && strcmp(entry->name, name) == 0 && strcmp(entry->labels, labels) == 0)
            break;
    }
    return &metrics->index[i];
}

/* Entries may have come from an earlier writer of this slab, also after this mapping was made (and forked).
 */
static void index_entries(struct tide_metrics *metrics)
{
    uint32_t count = entry_count(metrics->slab);

    for (; metrics->indexed < count; metrics->indexed++) {
        struct tide_metric *entry = &metrics->slab->entries[metrics->indexed];

        /* An earlier writer may have ended by writing where it should not. */
        entry->name[TIDE_METRICS_NAME - 1] = entry->labels[TIDE_METRICS_LABELS - 1] = '\0';
        *find_place(metrics, entry->hash, entry->name, entry->labels) = (uint16_t)(metrics->indexed + 1);
    }
}

bool tide_metrics_valid_name(const char *name)
{
    size_t i;

    for (i = 0; name[i]; i++) {
        char c = name[i];
        bool digit = c >= '0' && c <= '9';

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && c != ':' && !(digit && i > 0))
            return false;
    }
    return i > 0 && i < TIDE_METRICS_NAME;
}

static bool type_conflicts(const struct tide_metrics_slab *slab, const char *name, enum tide_metric_type type)
{
    uint32_t i, count = entry_count(slab);

    for (i = 0; i < count; i++)
        if (strcmp(slab->entries[i].name, name) == 0)
            return slab->entries[i].type != type;
    return false;
}

static struct tide_metric *discard(struct tide_metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->slab->dropped, 1, memory_order_relaxed);
    return &metrics->slab->discard;
}

static struct tide_metric *add_entry(struct tide_metrics *metrics, enum tide_metric_type type,
                                     const char *name, const char *labels, const char *help)
{
    struct tide_metrics_slab *slab = metrics->slab;
    uint32_t count = entry_count(slab);
    struct tide_metric *entry = &slab->entries[count];

    if (count == TIDE_METRICS_MAX || !tide_metrics_valid_name(name) ||
        strlen(labels) >= TIDE_METRICS_LABELS || type_conflicts(slab, name, type))
        return NULL;
    memset(entry, 0, sizeof *entry); /* a writer may have died in the middle of the lines below */
    entry->hash = hash_series(name, labels);
    entry->type = type;
    strcpy(entry->name, name);
    strcpy(entry->labels, labels);
    strncpy(entry->help, help ? help : "", TIDE_METRICS_HELP - 1);
    atomic_store_explicit(&slab->count, count + 1, memory_order_release);
    return entry;
}

struct tide_metric *tide_metrics_get(struct tide_metrics *metrics, enum tide_metric_type type,
                                     const char *name, const char *labels, const char *help)
{
    uint32_t hash = hash_series(name, labels ? labels : "");
    struct tide_metric *entry;
    uint16_t *place;

    labels = labels ? labels : "";
    index_entries(metrics);
    place = find_place(metrics, hash, name, labels);
    if (*place) {
        entry = &metrics->slab->entries[*place - 1];
        return entry->type == type ? entry : discard(metrics);
    }
    entry = add_entry(metrics, type, name, labels, help);
    if (!entry)
        return discard(metrics);
    *place = (uint16_t)++metrics->indexed;
    return entry;
}

void tide_metrics_label(struct tide_buf *buf, const char *name, const char *value)
{
    if (buf->len)
        tide_buf_putc(buf, ',');
    tide_buf_puts(buf, name);
    tide_buf_puts(buf, "=\"");
    for (; *value; value++) {
        if (*value == '\n')
            tide_buf_puts(buf, "\\n");
        else if ((unsigned char)*value < 0x20 || *value == 0x7F)
            tide_buf_putc(buf, '?');
        else if (*value == '"' || *value == '\\')
            tide_buf_append(buf, (const char[]){'\\', *value}, 2);
        else
            tide_buf_putc(buf, *value);
    }
    tide_buf_putc(buf, '"');
}

static double from_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void add_to(_Atomic uint64_t *bits, double delta)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(bits, &old, to_bits(from_bits(old) + delta),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void tide_metric_add(struct tide_metric *metric, double delta)
{
    assert(metric->type != TIDE_METRIC_COUNTER || !(delta < 0) || metric->name[0] == '\0');
    add_to(&metric->value, delta);
}

void tide_metric_set(struct tide_metric *metric, double value)
{
    atomic_store_explicit(&metric->value, to_bits(value), memory_order_relaxed);
}

void tide_metric_observe(struct tide_metric *metric, double value)
{
    unsigned i = 0;

    if (value != value)
        return; /* not a number is in no bucket, and would spoil the sum for ever */
    while (i < TIDE_METRICS_BOUNDS && value > tide_metrics_bounds[i])
        i++;
    add_to(&metric->value, value);
    atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
}

double tide_metric_value(const struct tide_metric *metric)
{
    uint64_t count = 0;
    unsigned i;

    if (metric->type != TIDE_METRIC_HISTOGRAM)
        return from_bits(atomic_load_explicit(&metric->value, memory_order_relaxed));
    for (i = 0; i <= TIDE_METRICS_BOUNDS; i++)
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    return (double)count;
}
