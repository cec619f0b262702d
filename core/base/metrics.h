/*
 * Counters, gauges and histograms in a slab of shared memory: one slab a process, written by that process
 * alone without locks, read by the supervisor, which sums the slabs of all workers when it is scraped.
 * Registration: the owner's loop thread. Updates: any of its threads. A writer that dies at any point, or
 * scribbles over its slab, costs at most its own figures: readers copy an entry and check it before they use
 * it. Names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/).
 */
#ifndef TIDE_BASE_METRICS_H
#define TIDE_BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct tide_metrics; /* a slab */
struct tide_metric;  /* one series in it; lives as long as the slab */

enum tide_metric_type { TIDE_METRIC_COUNTER, TIDE_METRIC_GAUGE, TIDE_METRIC_HISTOGRAM };

/* A slab in MAP_SHARED|MAP_ANONYMOUS memory or, with fd >= 0, in that memfd (sized by the call), which a
 * worker process maps too. Slabs survive the death of their writer, so counters never go back. */
struct tide_metrics *tide_metrics_map(int fd, struct tide_err *err);
void tide_metrics_unmap(struct tide_metrics *metrics);

/* A new writer takes over the slab of a dead one: sets its gauges to 0, as what they measured is gone. */
void tide_metrics_take_over(struct tide_metrics *metrics);

/* Finds or adds a series. `labels` is the text between the braces, `route="GET /x",status="200"`, with
 * values escaped by tide_metrics_label, or NULL. When the slab is full (4096 series), a text too long (name
 * 63, labels 255, help 127 bytes; help is cut), the name not valid or known with another type, the call is
 * counted in tidemill_metrics_dropped_total and a shared discard slot is returned: never NULL. Keep the
 * pointer in hot paths. */
struct tide_metric *tide_metrics_get(struct tide_metrics *metrics, enum tide_metric_type type,
                                     const char *name, const char *labels, const char *help);

/* [a-zA-Z_:][a-zA-Z0-9_:]*, at most 63 bytes. */
bool tide_metrics_valid_name(const char *name);

/* Appends name="value" to buf, escaped (a comma before it when buf is not empty). */
void tide_metrics_label(struct tide_buf *buf, const char *name, const char *value);

void tide_metric_add(struct tide_metric *metric, double delta); /* counter (delta >= 0), gauge */
void tide_metric_set(struct tide_metric *metric, double value); /* gauge */

/* Histogram. Durations are in seconds; fixed buckets 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5
 * 10 30 60 300. */
void tide_metric_observe(struct tide_metric *metric, double value);

double tide_metric_value(const struct tide_metric *metric); /* counter, gauge: value; histogram: count */

/* Sums `count` slabs series by series and appends Prometheus' text format 0.0.4. Any process. */
void tide_metrics_render(struct tide_metrics *const *slabs, size_t count, struct tide_buf *out);

#endif
