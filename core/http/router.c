#include "http/router.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tree of segments. Every node has its exact children sorted by name, at most one child for a parameter,
 * and per method the value of the route that ends here. */

enum { METHOD_COUNT = 7, NO_VALUE = -1 };
static const char *const methods[METHOD_COUNT] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
enum { GET, HEAD, OPTIONS = METHOD_COUNT - 1 };

struct endpoint {
    bool set;
    int value;
    size_t params;
    const char *param[TIDE_ROUTE_MAX_PARAMS]; /* point into memory */
    char *memory;
};

struct node {
    char *segment; /* NULL: root or a parameter's node */
    size_t len;
    struct node **children; /* exact */
    size_t count;
    struct node *param; /* "{name}" */
    struct node *rest;  /* "{name*}" */
    struct endpoint end[METHOD_COUNT];
};

struct tide_router {
    struct node root;
};

struct tide_router *tide_router_new(void)
{
    return calloc(1, sizeof(struct tide_router));
}

static void node_release(struct node *node);

static void node_free(struct node *node)
{
    if (!node)
        return;
    node_release(node);
    free(node);
}

static void node_release(struct node *node)
{
    size_t i;

    for (i = 0; i < node->count; i++)
        node_free(node->children[i]);
    node_free(node->param);
    node_free(node->rest);
    for (i = 0; i < METHOD_COUNT; i++)
        free(node->end[i].memory);
    free(node->children);
    free(node->segment);
}

void tide_router_free(struct tide_router *router)
{
    if (!router)
        return;
    node_release(&router->root);
    free(router);
}

static int method_index(const char *method, size_t len)
{
    int i;

    for (i = 0; i < METHOD_COUNT; i++)
        if (strlen(methods[i]) == len && memcmp(methods[i], method, len) == 0)
            return i;
    return -1;
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* The index of that child, or where it belongs. */
static size_t child_index(const struct node *node, const char *segment, size_t len, bool *found)
{
    size_t low = 0, high = node->count;

    *found = false;
    while (low < high && !*found) {
        size_t middle = (low + high) / 2;
        const struct node *child = node->children[middle];
        int order = compare(segment, len, child->segment, child->len);

        *found = order == 0;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
        if (*found)
            return middle;
    }
    return low;
}

static struct node *exact_child(struct node *node, const char *segment, size_t len)
{
    struct node **grown, *child;
    bool found;
    size_t at = child_index(node, segment, len, &found);

    if (found)
        return node->children[at];
    grown = realloc(node->children, (node->count + 1) * sizeof(struct node *));
    if (!grown)
        return NULL;
    node->children = grown;
    child = calloc(1, sizeof *child);
    if (!child || !(child->segment = strndup(segment, len))) {
        free(child);
        return NULL;
    }
    child->len = len;
    memmove(grown + at + 1, grown + at, (node->count - at) * sizeof(struct node *));
    grown[at] = child;
    node->count++;
    return child;
}

static struct node *special_child(struct node **slot)
{
    if (!*slot)
        *slot = calloc(1, sizeof **slot);
    return *slot;
}

static bool is_name(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') || text[i] == '_' ||
              (i > 0 && text[i] >= '0' && text[i] <= '9')))
            return false;
    return len > 0;
}

static bool same_name(const struct endpoint *end, const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < end->params; i++)
        if (strlen(end->param[i]) == len && memcmp(end->param[i], name, len) == 0)
            return true;
    return false;
}

/* Takes "{name}" or "{name*}" at segment: its name goes into end, behind *memory. */
static struct node *add_param(struct node *node, struct endpoint *end, char **memory, const char *segment,
                              size_t len, struct tide_err *err)
{
    const char *name = segment + 1;
    size_t name_len = len - 2;
    bool rest = name_len > 0 && name[name_len - 1] == '*';

    name_len -= rest;
    if (segment[len - 1] != '}' || !is_name(name, name_len)) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "\"%.*s\" is not {name} or {name*}", (int)len, segment);
        return NULL;
    }
    if (rest && segment[len] != '\0') {
        tide_err_set(err, TIDE_ERR_INVALID, false, "{%.*s*} must be the last segment", (int)name_len, name);
        return NULL;
    }
    if (end->params == TIDE_ROUTE_MAX_PARAMS || same_name(end, name, name_len)) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     end->params == TIDE_ROUTE_MAX_PARAMS ? "more than %d parameters"
                                                          : "a parameter's name is used twice",
                     TIDE_ROUTE_MAX_PARAMS);
        return NULL;
    }
    end->param[end->params++] = memcpy(*memory, name, name_len);
    *memory += name_len + 1;
    node = special_child(rest ? &node->rest : &node->param);
    if (!node)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    return node;
}

/* ":name" and "<name>", which other routers read as a parameter; NULL for anything else. */
static const char *foreign_param(const char *segment, size_t len, size_t *name_len)
{
    bool angled = len > 2 && segment[0] == '<' && segment[len - 1] == '>';

    if (!angled && segment[0] != ':')
        return NULL;
    *name_len = len - 1 - angled;
    return is_name(segment + 1, *name_len) ? segment + 1 : NULL;
}

static struct node *add_segment(struct node *node, struct endpoint *end, char **memory, const char *segment,
                                size_t len, struct tide_err *err)
{
    struct node *child;
    size_t name_len;
    const char *name = foreign_param(segment, len, &name_len);

    if (len > 1 && segment[0] == '{')
        return add_param(node, end, memory, segment, len, err);
    if (name) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "\"%.*s\" is no parameter: it is written {%.*s}", (int)len,
                     segment, (int)name_len, name);
        return NULL;
    }
    if (segment[0] == '.' && (len == 1 || (len == 2 && segment[1] == '.'))) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "a request with a \"%.*s\" in its path is refused: nothing ever reaches this", (int)len,
                     segment);
        return NULL;
    }
    if (memchr(segment, '{', len) || memchr(segment, '}', len) || memchr(segment, '*', len)) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "\"%.*s\" must be plain or exactly {name}", (int)len,
                     segment);
        return NULL;
    }
    child = exact_child(node, segment, len);
    if (!child)
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    return child;
}

/* When it is taken, end->value becomes that of the route that is there. */
static bool set_endpoint(struct node *node, int method, struct endpoint *end, struct tide_err *err)
{
    if (node->end[method].set) {
        end->value = node->end[method].value;
        return tide_err_set(err, TIDE_ERR_EXISTS, false, "this route is there already");
    }
    node->end[method] = *end;
    return true;
}

/* "METHOD /path" is well-formed up to its segments: the method's index, else -1. */
static int parse_method(const char *spec, const char **path, struct tide_err *err)
{
    size_t len = strcspn(spec, " ");
    int method = method_index(spec, len);

    if (method < 0) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "a route must begin with GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
        return -1;
    }
    *path = spec + len + (spec[len] == ' ');
    if ((*path)[0] != '/' || strpbrk(*path, " ?#%\\") || strstr(*path, "//")) {
        tide_err_set(err, TIDE_ERR_INVALID, false,
                     "a path begins with \"/\" and has no space, \"//\", \"?\", \"#\", \"%%\" or \"\\\"");
        return -1;
    }
    return method;
}

bool tide_router_add(struct tide_router *router, const char *spec, int value, int *there,
                     struct tide_err *err)
{
    struct endpoint end = {.set = true, .value = value};
    struct node *node = &router->root;
    const char *path, *segment;
    char *memory;
    int method = parse_method(spec, &path, err);

    if (method < 0)
        return false;
    end.memory = memory = calloc(1, strlen(path) + 1);
    if (!memory)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
    for (segment = path; node && *segment == '/';) {
        size_t len = strcspn(++segment, "/");

        node = add_segment(node, &end, &memory, segment, len, err);
        segment += len;
    }
    if (node && set_endpoint(node, method, &end, err))
        return true;
    *there = end.value;
    free(end.memory);
    return false;
}

/* ---- finding ---- */

struct search {
    int method;
    struct tide_route_match *match;
    const struct endpoint *end;
    bool allowed[METHOD_COUNT];
    bool path_known;
};

static bool take(struct search *search, const struct node *node)
{
    const struct endpoint *end = NULL;
    int i;

    if (search->method >= 0 && node->end[search->method].set)
        end = &node->end[search->method];
    else if (search->method == HEAD && node->end[GET].set)
        end = &node->end[GET];
    for (i = 0; !end && i < METHOD_COUNT; i++) {
        if (!node->end[i].set)
            continue;
        search->path_known = search->allowed[i] = true;
        if (i == GET)
            search->allowed[HEAD] = true;
    }
    search->end = end;
    return end != NULL;
}

static void keep_param(struct search *search, size_t depth, const char *start, size_t len)
{
    search->match->param[depth].start = start;
    search->match->param[depth].len = len;
}

/* `path` stands on the '/' before the segment to match, or on the end. */
static bool search_node(struct search *search, const struct node *node, const char *path, size_t depth)
{
    const char *segment = path + 1;
    size_t len, at;
    bool found;

    if (*path == '\0')
        return take(search, node);
    len = strcspn(segment, "/");
    at = child_index(node, segment, len, &found);
    if (found && search_node(search, node->children[at], segment + len, depth))
        return true;
    if (node->param && len > 0) {
        keep_param(search, depth, segment, len);
        if (search_node(search, node->param, segment + len, depth + 1))
            return true;
    }
    if (!node->rest || *segment == '\0')
        return false;
    keep_param(search, depth, segment, strlen(segment));
    return take(search, node->rest);
}

static void list_allowed(struct search *search)
{
    size_t used = 0;
    int i;

    search->match->allow[0] = '\0';
    search->allowed[OPTIONS] = true; /* answered without a route */
    for (i = 0; i < METHOD_COUNT; i++)
        if (search->allowed[i])
            used += (size_t)snprintf(search->match->allow + used, sizeof search->match->allow - used, "%s%s",
                                     used ? ", " : "", methods[i]);
}

enum tide_route_found tide_router_find(const struct tide_router *router, const char *method, const char *path,
                                       struct tide_route_match *match)
{
    struct search search = {.method = method_index(method, strlen(method)), .match = match};
    size_t i;

    if (search_node(&search, &router->root, path, 0)) {
        match->value = search.end->value;
        match->params = search.end->params;
        for (i = 0; i < match->params; i++)
            match->param[i].name = search.end->param[i];
        return TIDE_ROUTE_FOUND;
    }
    if (!search.path_known)
        return TIDE_ROUTE_PATH;
    list_allowed(&search);
    return TIDE_ROUTE_METHOD;
}
