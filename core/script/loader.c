/* Reads a bundle's files for the trusted module "loader", which compiles and runs them. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <luajit.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/internal.h"

#define MAX_SCRIPT (1024 * 1024) /* bytes */

static int read_disk(lua_State *L, const char *path)
{
    struct tide_buf buf;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        lua_pushnil(L);
        lua_pushstring(L, fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0)
            close(fd);
        return 2;
    }
    tide_buf_init(&buf, MAX_SCRIPT);
    if (tide_buf_read(&buf, fd, MAX_SCRIPT)) {
        lua_pushlstring(L, buf.data ? buf.data : "", buf.len);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        lua_pushstring(L, buf.overflow ? "larger than 1 MiB" : strerror(errno));
    }
    tide_buf_release(&buf);
    close(fd);
    return 2;
}

static int read_content(lua_State *L, const struct tide_content *content, const char *path)
{
    size_t len;
    const char *data = tide_content_file(content, path, &len);

    if (data)
        lua_pushlstring(L, data, len);
    else
        lua_pushnil(L);
    lua_pushstring(L, data ? NULL : strerror(ENOENT));
    return 2;
}

/* read_file(path): content, or nil and why. */
static int read_file(lua_State *L)
{
    const struct tide_content *content = tide_state_of(L)->config.content;
    const char *path = luaL_checkstring(L, 1);

    return content ? read_content(L, content, path) : read_disk(L, path);
}

/* cover(path, line): the line has code */
static int cover(lua_State *L)
{
    tide_coverage_add(tide_state_of(L)->config.coverage, luaL_checkstring(L, 1),
                      (int)luaL_checkinteger(L, 2));
    return 0;
}

void tide_script_setup_loader(struct tide_state *state)
{
    lua_State *L = state->L;

    tide_state_native(state, L);
    lua_pushcfunction(L, read_file);
    lua_setfield(L, -2, "read_file");
    if (state->config.coverage) {
        lua_pushcfunction(L, cover);
        lua_setfield(L, -2, "cover");
    }
    lua_pushstring(L, state->config.bundle);
    lua_setfield(L, -2, "bundle");
    lua_pushstring(L, state->config.directory);
    lua_setfield(L, -2, "directory");
    lua_pushstring(L, state->config.library);
    lua_setfield(L, -2, "library");
    lua_pushstring(L, state->config.plugins);
    lua_setfield(L, -2, "plugins");
    lua_pushboolean(L, state->config.sandbox);
    lua_setfield(L, -2, "sandboxed");
    lua_pop(L, 1);
}

/* ---- what is wrong ---- */

static const char *text_at(lua_State *L, const char *name)
{
    const char *text;

    lua_getfield(L, -1, name);
    text = lua_tostring(L, -1);
    lua_pop(L, 1); /* the table holds it */
    return text;
}

static int number_at(lua_State *L, const char *name)
{
    int number;

    lua_getfield(L, -1, name);
    number = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return number;
}

static const char *code_of(const char *text)
{
    static const char *const codes[] = {"syntax", "undefined", "call"};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(text, codes[i]) == 0)
            return codes[i];
    return "load";
}

/* The list on top of the stack. */
static void take_findings(lua_State *L, struct tide_findings *findings)
{
    for (size_t i = 1; i <= lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, (int)i);
        tide_findings_add(findings, &(struct tide_finding){.code = code_of(text_at(L, "code")),
                                                           .file = text_at(L, "file"),
                                                           .line = number_at(L, "line"),
                                                           .column = number_at(L, "column"),
                                                           .width = number_at(L, "width"),
                                                           .source = text_at(L, "source"),
                                                           .message = text_at(L, "message"),
                                                           .more = text_at(L, "more")});
        lua_pop(L, 1);
    }
}

bool tide_state_load(struct tide_state *state, struct tide_findings *findings)
{
    lua_State *L = state->L;
    struct tide_err err;
    size_t before = findings->errors;

    if (!tide_state_require_trusted(state, "loader", &err)) {
        tide_findings_add_text(findings, "load", err.message);
        return false;
    }
    lua_getfield(L, -1, "load_bundle");
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* what runs once isn't worth compiling */
    if (tide_script_pcall(state, 0, 1, state->config.load_ms) == 0)
        take_findings(L, findings);
    else
        tide_findings_add_text(findings, "load",
                               lua_tostring(L, -1) ? lua_tostring(L, -1) : "the bundle could not be loaded");
    if (!state->config.coverage)
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    lua_pop(L, 2);
    return findings->errors == before;
}
