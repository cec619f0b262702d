#include "settings/document.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define MAX_INSTRUCTIONS 10000000
#define MAX_MEMORY (16 << 20)
#define MAX_DEPTH 8
#define MAX_CHILDREN 1000

struct reader {
    size_t memory;
    const char *path;
    struct tide_buf *report;
};

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct reader *reader = ud;

    if (nsize == 0) {
        reader->memory -= ptr ? osize : 0;
        free(ptr);
        return NULL;
    }
    if (nsize > osize && reader->memory - (ptr ? osize : 0) + nsize > MAX_MEMORY)
        return NULL;
    void *fresh = realloc(ptr, nsize);
    if (fresh)
        reader->memory += nsize - (ptr ? osize : 0);
    return fresh;
}

static void on_count(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "Sl", ar);
    lua_pushfstring(L, "%s:%d: the settings file does not come to an end", ar->short_src, ar->currentline);
    lua_error(L);
}

static int open_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_TABLIBNAME, luaopen_table},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_MATHLIBNAME, luaopen_math},
                                         {0, 0}};

    for (const luaL_Reg *library = libraries; library->name; library++) {
        lua_pushcfunction(L, library->func);
        lua_pushstring(L, library->name);
        lua_call(L, 1, 0);
    }
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    return 0;
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct tide_node *)a)->key, ((const struct tide_node *)b)->key);
}

static bool copy_value(struct reader *reader, lua_State *L, const char *where, int depth,
                       struct tide_node *node);

static bool refuse(struct reader *reader, const char *where, const char *key, const char *what)
{
    tide_buf_printf(reader->report, "%s: %s%s%s: %s\n", reader->path, where, *where && *key ? "." : "", key,
                    what);
    return false;
}

static bool copy_string(struct reader *reader, lua_State *L, const char *where, struct tide_node *node)
{
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);

    if (memchr(text, '\0', len))
        return refuse(reader, where, "", "a string with a NUL byte");
    node->string = strdup(text);
    return node->string || refuse(reader, where, "", "out of memory");
}

/* Copies the pair on top of the stack (key, value) as the next child; leaves the stack as it was. */
static bool copy_child(struct reader *reader, lua_State *L, const char *where, int depth,
                       struct tide_node *node)
{
    struct tide_node *child, *grown;
    char path[256];
    const char *key = "";

    if (!node->list) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return refuse(reader, where, "", "a table with both names and numbers as keys");
        key = lua_tostring(L, -2);
    }
    if (node->count == MAX_CHILDREN)
        return refuse(reader, where, "", "more than 1000 entries");
    grown = realloc(node->children, (node->count + 1) * sizeof *grown);
    if (!grown)
        return refuse(reader, where, "", "out of memory");
    node->children = grown;
    child = &grown[node->count];
    memset(child, 0, sizeof *child);
    child->key = strdup(key);
    if (!child->key)
        return refuse(reader, where, "", "out of memory");
    node->count++;
    snprintf(path, sizeof path, "%s%s%s", where, *where && *key ? "." : "", key);
    return copy_value(reader, L, path, depth + 1, child);
}

static bool copy_table(struct reader *reader, lua_State *L, const char *where, int depth,
                       struct tide_node *node)
{
    size_t items = lua_objlen(L, -1);

    if (depth == MAX_DEPTH)
        return refuse(reader, where, "", "tables nested too deeply");
    node->list = items > 0;
    if (node->list) {
        for (size_t i = 1; i <= items; i++) {
            lua_rawgeti(L, -1, (int)i);
            bool ok = copy_child(reader, L, where, depth, node);
            lua_pop(L, 1);
            if (!ok)
                return false;
        }
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (node->list && lua_type(L, -2) != LUA_TNUMBER)
            return refuse(reader, where, "", "a table with both names and numbers as keys");
        if (!node->list && !copy_child(reader, L, where, depth, node))
            return false;
        lua_pop(L, 1);
    }
    if (!node->list && node->count)
        qsort(node->children, node->count, sizeof *node->children, compare_nodes);
    return true;
}

static bool copy_value(struct reader *reader, lua_State *L, const char *where, int depth,
                       struct tide_node *node)
{
    char what[64];

    if (!lua_checkstack(L, 8))
        return refuse(reader, where, "", "out of memory");
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        node->type = TIDE_NODE_BOOL;
        node->boolean = lua_toboolean(L, -1);
        return true;
    case LUA_TNUMBER:
        node->type = TIDE_NODE_NUMBER;
        node->number = lua_tonumber(L, -1);
        return isfinite(node->number) || refuse(reader, where, "", "not a finite number");
    case LUA_TSTRING:
        node->type = TIDE_NODE_STRING;
        return copy_string(reader, L, where, node);
    case LUA_TTABLE:
        node->type = TIDE_NODE_TABLE;
        return copy_table(reader, L, where, depth, node);
    default:
        snprintf(what, sizeof what, "a setting can't be a %s", luaL_typename(L, -1));
        return refuse(reader, where, "", what);
    }
}

static bool run(struct reader *reader, lua_State *L, const char *source, size_t len, struct tide_node *root)
{
    char name[300];

    snprintf(name, sizeof name, "@%s", reader->path);
    if (lua_cpcall(L, open_libraries, NULL) || luaL_loadbufferx(L, source, len, name, "t")) {
        tide_buf_printf(reader->report, "%s\n", lua_tostring(L, -1));
        return false;
    }
    lua_sethook(L, on_count, LUA_MASKCOUNT, MAX_INSTRUCTIONS);
    if (lua_pcall(L, 0, 1, 0)) {
        const char *message = lua_tostring(L, -1);
        tide_buf_printf(reader->report, "%s\n", message ? message : "the settings file raised an error");
        return false;
    }
    if (!lua_istable(L, -1)) {
        tide_buf_printf(reader->report,
                        "%s: the file has to return a table of settings: return { workers = 2 }\n",
                        reader->path);
        return false;
    }
    return copy_value(reader, L, "", 0, root);
}

bool tide_document_parse(const char *source, size_t len, const char *path, struct tide_node *root,
                         struct tide_buf *report)
{
    struct reader reader = {.path = path, .report = report};
    lua_State *L;
    bool ok;

    memset(root, 0, sizeof *root);
    if (!(root->key = strdup("")) || !(L = lua_newstate(allocate, &reader))) {
        tide_buf_printf(report, "%s: out of memory\n", path);
        tide_node_release(root);
        return false;
    }
    ok = run(&reader, L, source, len, root);
    lua_close(L);
    if (!ok)
        tide_node_release(root);
    return ok;
}

void tide_node_release(struct tide_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        tide_node_release(&node->children[i]);
    free(node->children);
    free(node->key);
    free(node->string);
    memset(node, 0, sizeof *node);
}

const struct tide_node *tide_node_child(const struct tide_node *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->children[i].key, key) == 0)
            return &table->children[i];
    return NULL;
}

const char *tide_node_type_name(const struct tide_node *node)
{
    switch (node->type) {
    case TIDE_NODE_BOOL:
        return "a boolean";
    case TIDE_NODE_NUMBER:
        return "a number";
    case TIDE_NODE_STRING:
        return "a string";
    case TIDE_NODE_TABLE:
        return node->list ? "a list" : "a table";
    }
    assert(!"no such type");
    return "";
}

void tide_node_json(const struct tide_node *node, struct tide_buf *out)
{
    switch (node->type) {
    case TIDE_NODE_BOOL:
        tide_buf_puts(out, node->boolean ? "true" : "false");
        break;
    case TIDE_NODE_NUMBER:
        tide_buf_printf(out, "%.17g", node->number);
        break;
    case TIDE_NODE_STRING:
        tide_buf_json(out, node->string, strlen(node->string));
        break;
    case TIDE_NODE_TABLE:
        tide_buf_putc(out, node->list ? '[' : '{');
        for (size_t i = 0; i < node->count; i++) {
            if (i)
                tide_buf_putc(out, ',');
            if (!node->list) {
                tide_buf_json(out, node->children[i].key, strlen(node->children[i].key));
                tide_buf_putc(out, ':');
            }
            tide_node_json(&node->children[i], out);
        }
        tide_buf_putc(out, node->list ? ']' : '}');
        break;
    }
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Behind the comment or string that starts at s, or s itself when none does. Long brackets of level 0 only.
 */
static const char *skip_quiet(const char *s, const char *end)
{
    if (end - s >= 4 && memcmp(s, "--[[", 4) == 0) {
        const char *close = memmem(s, (size_t)(end - s), "]]", 2);
        return close ? close + 2 : end;
    }
    if (end - s >= 2 && memcmp(s, "--", 2) == 0) {
        const char *close = memchr(s, '\n', (size_t)(end - s));
        return close ? close : end;
    }
    if (*s != '"' && *s != '\'')
        return s;
    for (const char *p = s + 1; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == *s || *p == '\n')
            return p + 1;
    }
    return end;
}

/* Whether what stands behind the word makes it a key: `key =` or `["key"] =`. quote: NUL or the word's quote.
 */
static bool is_key(const char *s, char quote, const char *end)
{
    if (quote && (s == end || *s++ != quote))
        return false;
    while (s < end && (*s == ' ' || *s == '\t' || (quote && *s == ']')))
        s++;
    return s < end && *s == '=' && (s + 1 == end || s[1] != '=');
}

static const char *find_key(const char *s, const char *end, const char *key, size_t len)
{
    const char *start = s;

    while (s < end) {
        bool quoted = *s == '"' || *s == '\'';
        const char *word = quoted ? s + 1 : s;
        bool starts = quoted || s == start || !is_word(s[-1]);
        if (starts && (size_t)(end - word) > len && memcmp(word, key, len) == 0 && !is_word(word[len]) &&
            is_key(word + len, quoted ? *s : '\0', end))
            return word;
        const char *next = skip_quiet(s, end);
        s = next == s ? s + 1 : next;
    }
    return NULL;
}

int tide_document_line(const char *source, size_t len, const char *path)
{
    const char *end = source + len, *at = source, *segment = path;
    int line = 1;

    for (;;) {
        size_t n = strcspn(segment, ".");
        at = find_key(at, end, segment, n);
        if (!at)
            return 0;
        if (!segment[n])
            break;
        segment += n + 1;
        at += n;
    }
    for (const char *s = source; s < at; s++)
        line += *s == '\n';
    return line;
}
