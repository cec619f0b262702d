/* The layout of a slab of metrics in shared memory, between metrics.c (writes) and metrics_render.c (reads).
 */
#ifndef TIDE_BASE_METRICS_SLAB_H
#define TIDE_BASE_METRICS_SLAB_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/metrics.h"

#define TIDE_METRICS_MAX 4096
#define TIDE_METRICS_BOUNDS 16 /* finite bounds of a histogram; one more bucket takes what is above */
#define TIDE_METRICS_NAME 64
#define TIDE_METRICS_LABELS 256
#define TIDE_METRICS_HELP 128
#define TIDE_METRICS_MAGIC UINT64_C(0x31736c6974656d74)

extern const double tide_metrics_bounds[TIDE_METRICS_BOUNDS];

/* The texts and the type are written before the slab's count passes the entry, and never change after. */
struct tide_metric {
    uint32_t hash;
    uint32_t type;
    char name[TIDE_METRICS_NAME];
    char labels[TIDE_METRICS_LABELS];
    char help[TIDE_METRICS_HELP];
    _Atomic uint64_t value;                            /* the bits of a double; a histogram's sum */
    _Atomic uint64_t buckets[TIDE_METRICS_BOUNDS + 1]; /* not cumulative */
};

struct tide_metrics_slab {
    uint64_t magic;
    uint64_t size;
    _Atomic uint32_t count;
    _Atomic uint64_t dropped;
    struct tide_metric discard;
    struct tide_metric entries[TIDE_METRICS_MAX];
};

struct tide_metrics {
    struct tide_metrics_slab *slab;
    uint32_t indexed;                     /* entries that the index knows */
    uint16_t index[2 * TIDE_METRICS_MAX]; /* open addressing; 0 free, else number of the entry + 1 */
};

#endif
