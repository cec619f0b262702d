/* The bundles with their routes, timers and consumers, the queues and buckets between them, and what they
 * call, as a flowchart for Mermaid (mermaid.js.org). */
#ifndef TIDE_CLI_GRAPH_H
#define TIDE_CLI_GRAPH_H

#include "base/buf.h"
#include "cli/bundles.h"

void tide_cli_graph(const struct tide_cli_bundles *loaded, struct tide_buf *out);

#endif
