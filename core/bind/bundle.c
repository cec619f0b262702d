#include "bind/bundle.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bundle_internal.h"
#include "bind/copy.h"

static void *copy_string(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* ---- load ---- */

int luaopen_cjson_safe(lua_State *L); /* lua-cjson's header names luaopen_cjson alone */

static int open_cjson(lua_State *L)
{
    luaopen_cjson_safe(L);
    return 1;
}

static void register_native(struct tide_bundle *bundle)
{
    lua_State *L = tide_state_main(bundle->state);

    tide_state_native(bundle->state, L);
    lua_pushcfunction(L, open_cjson);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, "cjson");
    lua_pushstring(L, bundle->config.settings_json ? bundle->config.settings_json : "{}");
    lua_setfield(L, -2, "settings_json");
    lua_pushstring(L, bundle->config.settings_path);
    lua_setfield(L, -2, "settings_path");
    lua_pushstring(L, bundle->config.data_dir);
    lua_setfield(L, -2, "data_dir");
    tide_bind_core(L);
    tide_bind_declare(L);
    tide_bind_request(L);
    tide_bind_request_body(L);
    tide_bind_response(L);
    tide_bind_stream_functions(L);
    tide_bind_blob(L);
    tide_bind_queue(L);
    tide_bind_sql(L);
    tide_bind_auth(L);
    tide_bind_crypto(L);
    tide_bind_plugin(L);
    tide_bind_mail(L);
    tide_bind_media(L);
    tide_bind_http(L);
    lua_pop(L, 1);
}

static int take_entry(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    assert(lua_isfunction(L, -1));
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool set_up_api(struct tide_bundle *bundle, struct tide_err *err)
{
    lua_State *L = tide_state_main(bundle->state);

    register_native(bundle);
    tide_state_add_trusted(bundle->state, core_bind_lua);
    if (!tide_state_require_trusted(bundle->state, "tide", err))
        return false;
    lua_setglobal(L, "tide");
    if (!tide_state_require_trusted(bundle->state, "entry", err))
        return false;
    bundle->entry_request = take_entry(L, "request");
    bundle->entry_failure = take_entry(L, "failure");
    bundle->entry_message = take_entry(L, "message");
    bundle->entry_dead = take_entry(L, "dead");
    bundle->entry_timer = take_entry(L, "timer");
    bundle->entry_call = take_entry(L, "call");
    lua_pop(L, 1);
    return true;
}

static bool open_content(struct tide_bundle *bundle, struct tide_err *err)
{
    struct tide_bundle_config *config = &bundle->config;

    if (config->unconfined)
        return true;
    if (!config->content)
        config->content = tide_content_read(config->directory, config->library, config->plugins, err);
    if (config->content)
        memcpy(bundle->generation, tide_content_generation(config->content), sizeof bundle->generation);
    return config->content != NULL;
}

static bool open_state(struct tide_bundle *bundle, struct tide_err *err)
{
    struct tide_state_config config = {.loop = bundle->config.services->loop,
                                       .timers = bundle->config.services->timers,
                                       .coverage = bundle->config.services->coverage,
                                       .log = bundle->config.services->log,
                                       .bundle = bundle->config.name,
                                       .directory = bundle->config.directory,
                                       .library = bundle->config.library,
                                       .plugins = bundle->config.plugins,
                                       .content = bundle->config.content,
                                       .memory_max = bundle->config.memory_max,
                                       .budget =
                                           bundle->config.unconfined ? NULL : bundle->config.services->budget,
                                       .host = bundle,
                                       .sandbox = !bundle->config.unconfined};

    bundle->state = tide_state_new(&config, err);
    return bundle->state && set_up_api(bundle, err);
}

static void copy_config(struct tide_bundle *bundle, const struct tide_bundle_config *config)
{
    bundle->config = *config;
    bundle->config.name = copy_string(config->name);
    bundle->config.directory = copy_string(config->directory);
    bundle->config.library = copy_string(config->library);
    bundle->config.plugins = copy_string(config->plugins);
    bundle->config.settings_json = copy_string(config->settings_json);
    bundle->config.settings_path = copy_string(config->settings_path);
    bundle->config.data_dir = copy_string(config->data_dir);
}

struct tide_bundle *tide_bundle_load(const struct tide_bundle_config *config, struct tide_findings *findings)
{
    struct tide_bundle *bundle = calloc(1, sizeof *bundle);
    struct tide_err err;

    if (!bundle) {
        tide_content_free(config->content);
        return NULL;
    }
    copy_config(bundle, config);
    bundle->router = tide_router_new();
    if (!open_content(bundle, &err) || !open_state(bundle, &err)) {
        tide_findings_add(findings, &(struct tide_finding){
                                        .code = "load", .file = config->directory, .message = err.message});
        tide_bundle_free(bundle);
        return NULL;
    }
    if (!config->unconfined && !tide_state_load(bundle->state, findings)) {
        tide_bundle_free(bundle);
        return NULL;
    }
    if (bundle->config.content)
        tide_content_rest(bundle->config.content);
    return bundle;
}

/* ---- life ---- */

bool tide_bundle_start(struct tide_bundle *bundle, bool first, struct tide_err *err)
{
    bundle->started = true;
    if (!tide_bundle_start_consumers(bundle, err))
        return false;
    if (first)
        tide_bundle_start_timers(bundle);
    return true;
}

void tide_bundle_drain(struct tide_bundle *bundle)
{
    tide_bundle_stop_consumers(bundle);
    tide_bundle_stop_timers(bundle);
}

void tide_bundle_end(struct tide_bundle *bundle)
{
    tide_state_end_tasks(bundle->state);
}

size_t tide_bundle_in_flight(const struct tide_bundle *bundle)
{
    return bundle->requests + bundle->messages + bundle->ticks;
}

size_t tide_bundle_asked(const struct tide_bundle *bundle)
{
    size_t tasks = tide_state_tasks(bundle->state), own = bundle->messages + bundle->ticks;

    return tasks > own ? tasks - own : 0; /* a message may outlive its task */
}

static void free_declarations(struct tide_bundle *bundle)
{
    size_t i;

    for (i = 0; i < bundle->route_count; i++) {
        free(bundle->routes[i]->spec);
        free(bundle->routes[i]);
    }
    for (i = 0; i < bundle->consumer_count; i++) {
        free(bundle->consumers[i]->queue);
        free(bundle->consumers[i]->label);
        free(bundle->consumers[i]);
    }
    for (i = 0; i < bundle->timer_count; i++) {
        free(bundle->timers[i]->label);
        free(bundle->timers[i]);
    }
    for (i = 0; i < bundle->declaration_count; i++) {
        free((char *)bundle->declarations[i].name);
        free((char *)bundle->declarations[i].file);
    }
    free(bundle->routes);
    free(bundle->consumers);
    free(bundle->timers);
    free(bundle->declarations);
}

static void free_config(struct tide_bundle_config *config)
{
    free((char *)config->name);
    free((char *)config->directory);
    free((char *)config->library);
    free((char *)config->plugins);
    free((char *)config->settings_json);
    free((char *)config->settings_path);
    free((char *)config->data_dir);
    tide_content_free(config->content);
}

void tide_bundle_free(struct tide_bundle *bundle)
{
    if (!bundle)
        return;
    tide_bundle_drain(bundle);
    if (bundle->state)
        tide_state_free(bundle->state);
    tide_router_free(bundle->router);
    tide_http_proxies_free(bundle->proxies);
    free(bundle->exchanges);
    free_declarations(bundle);
    free_config(&bundle->config);
    free(bundle);
}

/* ---- look ---- */

bool tide_bundle_has_routes(const struct tide_bundle *bundle)
{
    return bundle->route_count > 0;
}

size_t tide_bundle_declarations(const struct tide_bundle *bundle, const struct tide_declaration **list)
{
    *list = bundle->declarations;
    return bundle->declaration_count;
}

const char *tide_bundle_name(const struct tide_bundle *bundle)
{
    return bundle->config.name;
}

const char *tide_bundle_generation(const struct tide_bundle *bundle)
{
    return bundle->generation;
}

struct tide_state *tide_bundle_state(const struct tide_bundle *bundle)
{
    return bundle->state;
}
