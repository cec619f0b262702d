/* What a bundle declares while it loads: routes, consumers, publishers, timers, upstreams, buckets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bundle_internal.h"

static void *grow(lua_State *L, void *array, size_t count, size_t size)
{
    void *fresh = realloc(array, (count + 1) * size);

    if (!fresh)
        luaL_error(L, "not enough memory");
    memset((char *)fresh + count * size, 0, size);
    return fresh;
}

static void note(lua_State *L, struct tide_bundle *bundle, int type, const char *name, int file, int line)
{
    struct tide_declaration *declaration;

    bundle->declarations =
        grow(L, bundle->declarations, bundle->declaration_count, sizeof *bundle->declarations);
    declaration = &bundle->declarations[bundle->declaration_count++];
    declaration->type = type;
    declaration->name = strdup(name);
    declaration->file = strdup(luaL_optstring(L, file, "?"));
    declaration->line = (int)luaL_optinteger(L, line, 0);
}

/* The place of a route that is there, by its index. */
static void push_place(lua_State *L, const struct tide_bundle *bundle, int index)
{
    const struct tide_declaration *declaration = bundle->declarations;

    while (declaration->type != TIDE_DECLARED_ROUTE || index-- > 0)
        declaration++;
    lua_pushfstring(L, "%s:%d", declaration->file, declaration->line);
}

/* The numbers at `index` and behind it: timeout_ms, cpu_ms|nil */
static struct tide_task_limits check_limits(lua_State *L, int index)
{
    return (struct tide_task_limits){.timeout_ms = (int64_t)luaL_checknumber(L, index),
                                     .cpu_ms = (int64_t)luaL_optnumber(L, index + 1, 0)};
}

/* declare_route(spec, body_limit|-1, timeout_ms, cpu_ms|nil, file, line): index; or nil, why and, when it is
 * taken, the place of the one that is there */
static int declare_route(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const char *spec = luaL_checkstring(L, 1);
    struct route *route;
    struct tide_err err;
    int there;

    if (!tide_router_add(bundle->router, spec, (int)bundle->route_count, &there, &err)) {
        lua_pushnil(L);
        lua_pushstring(L, err.message);
        if (strcmp(err.code, TIDE_ERR_EXISTS) != 0)
            return 2;
        push_place(L, bundle, there);
        return 3;
    }
    bundle->routes = grow(L, bundle->routes, bundle->route_count, sizeof *bundle->routes);
    route = calloc(1, sizeof *route);
    if (!route)
        return luaL_error(L, "not enough memory");
    bundle->routes[bundle->route_count] = route;
    route->spec = strdup(spec);
    route->body_limit = (int64_t)luaL_checknumber(L, 2);
    route->limits = check_limits(L, 3);
    note(L, bundle, TIDE_DECLARED_ROUTE, spec, 5, 6);
    lua_pushinteger(L, (lua_Integer)bundle->route_count++);
    return 1;
}

static struct tide_declaration *find(struct tide_bundle *bundle, int type, const char *name)
{
    for (size_t i = 0; i < bundle->declaration_count; i++)
        if ((int)bundle->declarations[i].type == type && strcmp(bundle->declarations[i].name, name) == 0)
            return &bundle->declarations[i];
    return NULL;
}

/* declare_publisher(queue, file, line): a queue that a bundle names, until it turns out that it consumes it
 */
static int declare_publisher(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const char *queue = luaL_checkstring(L, 1);

    if (!find(bundle, TIDE_DECLARED_PUBLISHER, queue) && !find(bundle, TIDE_DECLARED_CONSUMER, queue))
        note(L, bundle, TIDE_DECLARED_PUBLISHER, queue, 2, 3);
    return 0;
}

static void forget_publisher(struct tide_bundle *bundle, const char *queue)
{
    struct tide_declaration *found = find(bundle, TIDE_DECLARED_PUBLISHER, queue);
    struct tide_declaration *end = bundle->declarations + bundle->declaration_count;

    if (!found)
        return;
    free((char *)found->name);
    free((char *)found->file);
    memmove(found, found + 1, (size_t)(end - found - 1) * sizeof *found);
    bundle->declaration_count--;
}

/* declare_consumer(queue, concurrency, attempts, lease_ms, backoff_ms, backoff_max_ms, timeout_ms,
 * cpu_ms|nil, has_on_dead, file, line): index */
static int declare_consumer(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const char *queue = luaL_checkstring(L, 1);
    struct consumer *consumer;
    char label[96];

    bundle->consumers = grow(L, bundle->consumers, bundle->consumer_count, sizeof *bundle->consumers);
    consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        return luaL_error(L, "not enough memory");
    bundle->consumers[bundle->consumer_count] = consumer;
    consumer->bundle = bundle;
    consumer->index = (int)bundle->consumer_count++;
    consumer->queue = strdup(queue);
    consumer->how.queue = consumer->queue;
    consumer->how.prefetch = (unsigned)luaL_checkinteger(L, 2);
    consumer->how.attempts = (unsigned)luaL_checkinteger(L, 3);
    consumer->how.lease_ms = (int64_t)luaL_checknumber(L, 4);
    consumer->how.backoff_ms = (int64_t)luaL_checknumber(L, 5);
    consumer->how.backoff_max_ms = (int64_t)luaL_checknumber(L, 6);
    consumer->limits = check_limits(L, 7);
    consumer->has_on_dead = lua_toboolean(L, 9);
    snprintf(label, sizeof label, "consume %s", queue);
    consumer->label = strdup(label);
    forget_publisher(bundle, queue);
    note(L, bundle, TIDE_DECLARED_CONSUMER, queue, 10, 11);
    lua_pushinteger(L, consumer->index);
    return 1;
}

/* declare_proxies(list): nothing, or why it can't be */
static int declare_proxies(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    struct tide_err err;

    tide_http_proxies_free(bundle->proxies);
    bundle->proxies = tide_http_proxies_new(luaL_checkstring(L, 1), &err);
    if (bundle->proxies)
        return 0;
    lua_pushstring(L, err.message);
    return 1;
}

/* declare_upstream(url, file, line): also by a handler, and then not noted */
static int declare_upstream(lua_State *L)
{
    if (!tide_task_running(L))
        note(L, tide_bind_bundle(L), TIDE_DECLARED_UPSTREAM, luaL_checkstring(L, 1), 2, 3);
    return 0;
}

/* declare_bucket(name, file, line): also by a handler, and then not noted */
static int declare_bucket(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const char *name = luaL_checkstring(L, 1);

    if (!tide_task_running(L) && !find(bundle, TIDE_DECLARED_BUCKET, name))
        note(L, bundle, TIDE_DECLARED_BUCKET, name, 2, 3);
    return 0;
}

/* declare_timer(words, interval_ms, timeout_ms, cpu_ms|nil, file, line): index */
static int declare_timer(lua_State *L)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const char *words = luaL_checkstring(L, 1);
    struct timer *timer;
    char label[96];

    bundle->timers = grow(L, bundle->timers, bundle->timer_count, sizeof *bundle->timers);
    timer = calloc(1, sizeof *timer);
    if (!timer)
        return luaL_error(L, "not enough memory");
    bundle->timers[bundle->timer_count] = timer;
    timer->bundle = bundle;
    timer->index = (int)bundle->timer_count++;
    timer->interval_ms = (int64_t)luaL_checknumber(L, 2);
    timer->limits = check_limits(L, 3);
    snprintf(label, sizeof label, "every %s", words);
    timer->label = strdup(label);
    note(L, bundle, TIDE_DECLARED_TIMER, words, 5, 6);
    lua_pushinteger(L, timer->index);
    return 1;
}

void tide_bind_declare(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"declare_route", declare_route},         {"declare_consumer", declare_consumer},
        {"declare_publisher", declare_publisher}, {"declare_upstream", declare_upstream},
        {"declare_proxies", declare_proxies},     {"declare_timer", declare_timer},
        {"declare_bucket", declare_bucket},       {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
