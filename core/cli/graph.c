#include "cli/graph.h"

#include <stdlib.h>
#include <string.h>

#include "http/url.h"

/* What isn't a bundle's own: a node each, by kind and name. */
struct shared {
    int type;
    const char *name;
};

struct graph {
    const struct tide_cli_bundles *loaded;
    struct tide_buf *out;
    struct shared shared[256]; /* more are left out */
    size_t shared_count;
};

static size_t declarations(const struct graph *graph, size_t bundle, const struct tide_declaration **list)
{
    const struct tide_bundle *loaded = graph->loaded->bundles[bundle];

    return loaded ? tide_bundle_declarations(loaded, list) : 0;
}

/* Mermaid's own quotes. */
static void put_label(struct graph *graph, const char *prefix, const char *name)
{
    tide_buf_printf(graph->out, "\"%s", prefix);
    for (; *name; name++) {
        if (strchr("\"#<>&;", *name))
            tide_buf_printf(graph->out, "#%d;", *name);
        else
            tide_buf_putc(graph->out, *name);
    }
    tide_buf_putc(graph->out, '"');
}

/* ---- the bundles ---- */

static void put_part(struct graph *graph, size_t bundle, size_t number,
                     const struct tide_declaration *declaration)
{
    tide_buf_printf(graph->out, "    b%zu_%zu", bundle, number);
    switch (declaration->type) {
    case TIDE_DECLARED_ROUTE:
        tide_buf_putc(graph->out, '[');
        put_label(graph, "", declaration->name);
        tide_buf_puts(graph->out, "]\n");
        break;
    case TIDE_DECLARED_CONSUMER:
        tide_buf_putc(graph->out, '(');
        put_label(graph, "consumes ", declaration->name);
        tide_buf_puts(graph->out, ")\n");
        break;
    default:
        tide_buf_puts(graph->out, "{{");
        put_label(graph, "every ", declaration->name);
        tide_buf_puts(graph->out, "}}\n");
    }
}

static bool is_part(const struct tide_declaration *declaration)
{
    return declaration->type == TIDE_DECLARED_ROUTE || declaration->type == TIDE_DECLARED_CONSUMER ||
           declaration->type == TIDE_DECLARED_TIMER;
}

static void put_bundle(struct graph *graph, size_t bundle)
{
    const struct tide_declaration *list;
    size_t count = declarations(graph, bundle, &list), parts = 0;

    for (size_t i = 0; i < count; i++)
        parts += is_part(&list[i]);
    tide_buf_printf(graph->out, parts ? "  subgraph b%zu[\"%s\"]\n" : "  b%zu[\"%s\"]\n", bundle,
                    graph->loaded->settings.bundles[bundle].name);
    for (size_t i = 0; i < count; i++)
        if (is_part(&list[i]))
            put_part(graph, bundle, i, &list[i]);
    if (parts)
        tide_buf_puts(graph->out, "  end\n");
}

/* ---- what is between them ---- */

/* The bundle that listens where the URL points; the count of bundles when none does. */
static size_t bundle_at(const struct graph *graph, const char *url)
{
    const struct tide_settings *settings = &graph->loaded->settings;
    size_t i = 0;

    for (; i < settings->bundle_count; i++) {
        const char *address = tide_settings_address(&settings->bundles[i]);
        const char *port = address ? strrchr(address, ':') : NULL;

        if (port && tide_url_port(url) == atoi(port + 1))
            break;
    }
    return i;
}

/* Its number; the node is written when it is new. */
static size_t shared_node(struct graph *graph, int type, const char *name)
{
    static const char *const shapes[][2] = {[TIDE_DECLARED_CONSUMER] = {"[[", "]]"},
                                            [TIDE_DECLARED_UPSTREAM] = {"([", "])"},
                                            [TIDE_DECLARED_BUCKET] = {"[(", ")]"}};
    size_t i = 0;

    while (i < graph->shared_count &&
           (graph->shared[i].type != type || strcmp(graph->shared[i].name, name) != 0))
        i++;
    if (i < graph->shared_count || i == sizeof graph->shared / sizeof *graph->shared)
        return i;
    graph->shared[graph->shared_count++] = (struct shared){type, name};
    tide_buf_printf(graph->out, "  s%zu%s", i, shapes[type][0]);
    put_label(graph, type == TIDE_DECLARED_CONSUMER ? "queue " : "", name);
    tide_buf_printf(graph->out, "%s\n", shapes[type][1]);
    return i;
}

static void put_call(struct graph *graph, size_t bundle, const char *url)
{
    size_t to = bundle_at(graph, url);

    if (to < graph->loaded->settings.bundle_count)
        tide_buf_printf(graph->out, "  b%zu -.-> b%zu\n", bundle, to);
    else
        tide_buf_printf(graph->out, "  b%zu -.-> s%zu\n", bundle,
                        shared_node(graph, TIDE_DECLARED_UPSTREAM, url));
}

static void put_edge(struct graph *graph, size_t bundle, size_t number,
                     const struct tide_declaration *declaration)
{
    size_t node;

    switch (declaration->type) {
    case TIDE_DECLARED_PUBLISHER:
        node = shared_node(graph, TIDE_DECLARED_CONSUMER, declaration->name);
        tide_buf_printf(graph->out, "  b%zu --> s%zu\n", bundle, node);
        break;
    case TIDE_DECLARED_CONSUMER:
        node = shared_node(graph, TIDE_DECLARED_CONSUMER, declaration->name);
        tide_buf_printf(graph->out, "  s%zu --> b%zu_%zu\n", node, bundle, number);
        break;
    case TIDE_DECLARED_BUCKET:
        node = shared_node(graph, TIDE_DECLARED_BUCKET, declaration->name);
        tide_buf_printf(graph->out, "  b%zu --- s%zu\n", bundle, node);
        break;
    case TIDE_DECLARED_UPSTREAM:
        put_call(graph, bundle, declaration->name);
        break;
    default:
        break;
    }
}

void tide_cli_graph(const struct tide_cli_bundles *loaded, struct tide_buf *out)
{
    struct graph graph = {.loaded = loaded, .out = out};
    const struct tide_declaration *list;

    tide_buf_puts(out, "flowchart LR\n");
    for (size_t i = 0; i < loaded->settings.bundle_count; i++)
        if (loaded->bundles[i])
            put_bundle(&graph, i);
    for (size_t i = 0; i < loaded->settings.bundle_count; i++)
        for (size_t k = 0, count = declarations(&graph, i, &list); k < count; k++)
            put_edge(&graph, i, k, &list[k]);
}
