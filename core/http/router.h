/*
 * Finds the route of a request: exact segments before parameters, so "/jobs/stats" wins over "/jobs/{id}".
 * Built at load, read only after. Any thread.
 */
#ifndef TIDE_HTTP_ROUTER_H
#define TIDE_HTTP_ROUTER_H

#include <stddef.h>

#include "base/err.h"

#define TIDE_ROUTE_MAX_PARAMS 8

struct tide_router;

struct tide_router *tide_router_new(void);
void tide_router_free(struct tide_router *router);

/* `spec` is "GET /jobs/{id}"; methods GET HEAD POST PUT PATCH DELETE OPTIONS; the last segment may be
 * "{rest*}". GET answers HEAD too. TIDE_ERR_INVALID names what is wrong, TIDE_ERR_EXISTS: the same route is
 * there (also under another parameter name); *there is then the value that it was added with. */
TIDE_WARN_UNUSED bool tide_router_add(struct tide_router *router, const char *spec, int value, int *there,
                                      struct tide_err *err);

struct tide_route_match {
    int value; /* as added */
    size_t params;
    struct {
        const char *name;  /* the router's */
        const char *start; /* into the path given */
        size_t len;
    } param[TIDE_ROUTE_MAX_PARAMS];
    char allow[80]; /* after TIDE_ROUTE_METHOD: "GET, HEAD, POST, OPTIONS" */
};

enum tide_route_found { TIDE_ROUTE_FOUND, TIDE_ROUTE_PATH, TIDE_ROUTE_METHOD /* path known, method not */ };

/* TIDE_ROUTE_PATH: no such path (404). TIDE_ROUTE_METHOD: 405 with match->allow. path is decoded and starts
 * with "/". */
enum tide_route_found tide_router_find(const struct tide_router *router, const char *method, const char *path,
                                       struct tide_route_match *match);

#endif
