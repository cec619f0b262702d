/* Time, ids, logs, metrics, generated secrets: what needs no service. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/utf8.h"
#include "bind/bundle_internal.h"
#include "loop/timer.h"

#define LOG_LINE 256          /* bytes of a line beside the script's own */
#define LOG_MAX (1024 * 1024) /* bytes that a script logs without a wait */

/* ---- time ---- */

struct sleep_op {
    struct tide_op op;
    struct tide_timer *timer;
};

static int sleep_push(lua_State *L, struct tide_op *op)
{
    (void)op;
    lua_pushboolean(L, 1);
    return 1;
}

static bool sleep_cancel(struct tide_op *op)
{
    (void)op;
    return true;
}

static void sleep_release(struct tide_op *op)
{
    tide_timer_free(((struct sleep_op *)op)->timer);
}

static const struct tide_op_type sleep_type = {.name = "tide.sleep",
                                               .size = sizeof(struct sleep_op),
                                               .push = sleep_push,
                                               .cancel = sleep_cancel,
                                               .release = sleep_release};

static void on_wake(void *arg)
{
    tide_op_finish(arg);
}

/* sleep(ms): true */
static int core_sleep(lua_State *L)
{
    lua_Number ms = luaL_checknumber(L, 1);
    const struct tide_services *services = tide_bind_services(L);
    struct sleep_op *self = tide_op_new(L, &sleep_type);

    self->timer = tide_timer_new(services->loop, services->timers, on_wake, self);
    if (!self->timer)
        abort();
    tide_timer_start(self->timer, (int64_t)ms);
    return tide_op_wait(L, &self->op);
}

/* now_ms(): wall clock */
static int now_ms(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)tide_clock_now_ms());
    return 1;
}

/* ---- ids and bytes ---- */

static int id_new(lua_State *L)
{
    lua_pushstring(L, tide_id_new().hex);
    return 1;
}

/* id_derive(id, purpose): id */
static int id_derive(lua_State *L)
{
    struct tide_id base;

    if (!tide_id_parse(luaL_checkstring(L, 1), &base))
        return luaL_argerror(L, 1, "an id (24 hex digits) expected");
    lua_pushstring(L, tide_id_derive(&base, luaL_checkstring(L, 2)).hex);
    return 1;
}

/* base64_decode(text): bytes or nil */
static int base64_decode(lua_State *L)
{
    size_t len, out_len;
    const char *text = luaL_checklstring(L, 1, &len);
    unsigned char *out = malloc(len + 1);
    bool good = out && sodium_base642bin(out, len + 1, text, len, NULL, &out_len, NULL,
                                         sodium_base64_VARIANT_ORIGINAL) == 0;

    if (good)
        lua_pushlstring(L, (char *)out, out_len);
    else
        lua_pushnil(L);
    free(out);
    return 1;
}

/* is_utf8(bytes) */
static int is_utf8(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);

    lua_pushboolean(L, tide_utf8_valid(bytes, len));
    return 1;
}

/* base64_encode(bytes): text */
static int base64_encode(lua_State *L)
{
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);

    if (!text)
        return luaL_error(L, "not enough memory");
    sodium_bin2base64(text, size, (const unsigned char *)bytes, len, sodium_base64_VARIANT_ORIGINAL);
    lua_pushlstring(L, text, size - 1);
    free(text);
    return 1;
}

/* ---- logs ---- */

static void log_of_script(lua_State *L, enum tide_log_level level, const char *event, const char *at,
                          const char *fields)
{
    struct tide_bundle *bundle = tide_bind_bundle(L);
    struct tide_task *task = tide_task_running(L);

    tide_log_event(bundle->config.services->log, level, event, tide_log_str("bundle", bundle->config.name),
                   tide_log_str("generation", bundle->generation),
                   tide_log_str("handler", task ? tide_task_label(task) : NULL), tide_log_str("at", at),
                   tide_log_json("fields", fields));
}

/* log(level 0..3, event, fields_json|nil). A loop would fill a disk in the CPU time that it has. */
static int core_log(lua_State *L)
{
    enum tide_log_level level = (enum tide_log_level)luaL_checkinteger(L, 1);
    const char *event = luaL_checkstring(L, 2), *fields = luaL_optstring(L, 3, NULL);
    size_t bytes = LOG_LINE + strlen(event) + (fields ? strlen(fields) : 0); /* longer ones are shortened */
    struct tide_bundle *bundle = tide_bind_bundle(L);
    const struct tide_log *log = bundle->config.services->log;
    char at[160] = "";
    size_t before;

    if (!log || level < log->level)
        return 0;
    bytes = bytes < TIDE_LOG_EVENT_MAX ? bytes : LOG_LINE;
    before = tide_state_logged(bundle->state, bytes);
    if (before + bytes <= LOG_MAX) {
        log_of_script(L, level, event, NULL, fields);
    } else if (before <= LOG_MAX) {
        tide_state_place(L, at, sizeof at);
        log_of_script(L, TIDE_LOG_WARN, "a script logs too much: the rest until it waits is left out",
                      *at ? at : NULL, NULL);
    }
    return 0;
}

/* ---- metrics ---- */

/* Appends {name, value, name, value, ...} at `index` */
static void put_labels(lua_State *L, int index, struct tide_buf *labels)
{
    for (size_t i = 1, count = lua_objlen(L, index); i < count; i += 2) {
        lua_rawgeti(L, index, (int)i);
        lua_rawgeti(L, index, (int)i + 1);
        tide_metrics_label(labels, lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 2);
    }
}

/* metric(type, name, labels {name, value, name, value, ...}|nil, help, value): adds, sets or observes by type
 */
static int core_metric(lua_State *L)
{
    static const char *const types[] = {"counter", "gauge", "histogram", NULL};
    struct tide_metrics *metrics = tide_bind_services(L)->metrics;
    enum tide_metric_type type = (enum tide_metric_type)luaL_checkoption(L, 1, NULL, types);
    const char *name = luaL_checkstring(L, 2), *help = luaL_checkstring(L, 4);
    lua_Number value = luaL_checknumber(L, 5);
    struct tide_metric *metric;
    struct tide_buf labels;

    if (!metrics)
        return 0;
    tide_buf_init(&labels, 1024);
    if (lua_istable(L, 3))
        put_labels(L, 3, &labels);
    metric = tide_metrics_get(metrics, type, name, labels.data, help);
    tide_buf_release(&labels);
    if (type == TIDE_METRIC_COUNTER)
        tide_metric_add(metric, value);
    else if (type == TIDE_METRIC_GAUGE)
        tide_metric_set(metric, value);
    else
        tide_metric_observe(metric, value);
    return 0;
}

/* ---- generated secrets ---- */

#define SECRET_LEN 96 /* characters */

static void make_secret(char text[SECRET_LEN + 1])
{
    unsigned char bytes[SECRET_LEN / 2];

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(text, SECRET_LEN + 1, bytes, sizeof bytes);
}

static bool write_secret(const char *path)
{
    char text[SECRET_LEN + 1], temporary[512];
    bool good;
    int fd;

    make_secret(text);
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    good = write(fd, text, SECRET_LEN) == SECRET_LEN && fsync(fd) == 0;
    close(fd);
    /* link, not rename: of several workers that start together one wins, and all read what it wrote */
    good = good && (link(temporary, path) == 0 || errno == EEXIST);
    unlink(temporary);
    return good;
}

/* Reads DIRECTORY/secrets/BUNDLE.NAME, made when it is missing. */
static bool kept_secret(const char *directory, const char *bundle, const char *name,
                        char text[SECRET_LEN + 1])
{
    char path[400];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof path, "%s/secrets", directory);
    mkdir(directory, 0700);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/secrets/%s.%s", directory, bundle, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && write_secret(path))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, SECRET_LEN);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* secret(name): a random text, made once and kept with the engine's data */
static int core_secret(lua_State *L)
{
    const struct tide_bundle_config *config = &tide_bind_bundle(L)->config;
    const char *name = luaL_checkstring(L, 1);
    char text[SECRET_LEN + 1];

    if (!config->data_dir)
        make_secret(text);
    else if (!kept_secret(config->data_dir, config->name, name, text))
        return luaL_error(L, "%s/secrets/%s.%s: %s", config->data_dir, config->name, name, strerror(errno));
    lua_pushstring(L, text);
    return 1;
}

void tide_bind_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", core_sleep},
        {"now_ms", now_ms},
        {"id_new", id_new},
        {"id_derive", id_derive},
        {"base64_decode", base64_decode},
        {"base64_encode", base64_encode},
        {"is_utf8", is_utf8},
        {"log", core_log},
        {"metric", core_metric},
        {"secret", core_secret},
        {NULL, NULL},
    };

    tide_bind_register(L, functions);
}
