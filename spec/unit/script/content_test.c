/* What belongs to a bundle's content, what its generation depends on, and that it is the same elsewhere. */
#include <sys/stat.h>

#include "script/content.h"
#include "script/fixture.h"

static const char *path_of(const struct world *world, const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    return path;
}

static void make_directory(const struct world *world, const char *name)
{
    assert_int_equal(mkdir(path_of(world, name), 0700), 0);
}

static int open_place(void **state)
{
    struct world *world;

    set_up(state);
    world = *state;
    make_directory(world, "shop");
    make_directory(world, "lib");
    make_directory(world, "lib/inner");
    make_directory(world, "plugins");
    make_directory(world, "plugins/hook");
    make_directory(world, "plugins/other");
    write_file(world, "shop/init.lua", "local jobs = require 'jobs'\n");
    write_file(world, "lib/jobs.lua", "return require(\"inner.one\")");
    write_file(world, "lib/inner/one.lua", "return 1");
    write_file(world, "lib/unused.lua", "return 2");
    return 0;
}

static struct tide_content *read_content(const struct world *world, struct tide_err *err)
{
    char bundle[128], plugins[256];

    snprintf(plugins, sizeof plugins, "%s/plugins/hook:%s/plugins/other", world->directory, world->directory);

    snprintf(bundle, sizeof bundle, "%s", path_of(world, "shop"));
    return tide_content_read(bundle, path_of(world, "lib"), plugins, err);
}

static struct tide_content *read_place(struct world *world)
{
    struct tide_err err;
    struct tide_content *content = read_content(world, &err);

    if (!content)
        fail_msg("%s", err.message);
    return content;
}

static bool has(const struct tide_content *content, struct world *world, const char *name, const char *text)
{
    size_t len;
    const char *data = tide_content_file(content, path_of(world, name), &len);

    return data && strlen(text) == len && strcmp(data, text) == 0;
}

static void holds_the_lua_files_of_the_plugins_that_it_requires(void **state)
{
    struct world *world = *state;
    struct tide_content *before, *after;

    make_directory(world, "plugins/hook/spec");
    write_file(world, "plugins/hook/init.lua", "return 1");
    write_file(world, "plugins/hook/plugin.lua", "return {}");
    write_file(world, "plugins/hook/spec/a_spec.lua", "");
    write_file(world, "plugins/hook/hook.so", "");
    write_file(world, "plugins/other/init.lua", "return 2");
    before = read_place(world);
    assert_false(has(before, world, "plugins/hook/init.lua", "return 1"));
    write_file(world, "lib/jobs.lua", "return require 'hook.inner'");
    after = read_place(world);
    assert_true(has(after, world, "plugins/hook/init.lua", "return 1"));
    assert_true(has(after, world, "plugins/hook/plugin.lua", "return {}"));
    assert_false(has(after, world, "plugins/hook/spec/a_spec.lua", ""));
    assert_false(has(after, world, "plugins/hook/hook.so", ""));
    assert_false(has(after, world, "plugins/other/init.lua", "return 2"));
    assert_string_not_equal(tide_content_generation(before), tide_content_generation(after));
    tide_content_free(before);
    write_file(world, "plugins/hook/init.lua", "return 3");
    before = read_place(world);
    assert_string_not_equal(tide_content_generation(before), tide_content_generation(after));
    tide_content_free(before);
    tide_content_free(after);
}

static void holds_the_bundle_and_what_it_requires(void **state)
{
    struct world *world = *state;
    struct tide_content *content;

    make_directory(world, "shop/spec");
    write_file(world, "shop/spec/a_spec.lua", "");
    write_file(world, "shop/.init.lua.swp", "");
    write_file(world, "shop/page.html", "<p>");
    write_file(world, "shop/empty.txt", "");
    content = read_place(world);
    assert_true(has(content, world, "shop/init.lua", "local jobs = require 'jobs'\n"));
    assert_true(has(content, world, "shop/page.html", "<p>"));
    assert_true(has(content, world, "shop/empty.txt", ""));
    assert_true(has(content, world, "lib/jobs.lua", "return require(\"inner.one\")"));
    assert_true(has(content, world, "lib/inner/one.lua", "return 1"));
    assert_false(has(content, world, "lib/unused.lua", "return 2"));
    assert_false(has(content, world, "shop/spec/a_spec.lua", ""));
    assert_false(has(content, world, "shop/.init.lua.swp", ""));
    tide_content_free(content);
}

/* True when the generation changes when the file does. */
static bool depends_on(struct world *world, const char *name)
{
    struct tide_content *before = read_place(world), *after;
    static int change;
    char text[32];
    bool differs;

    snprintf(text, sizeof text, "-- change %d", ++change);
    write_file(world, name, text);
    after = read_place(world);
    differs = strcmp(tide_content_generation(before), tide_content_generation(after)) != 0;
    tide_content_free(before);
    tide_content_free(after);
    return differs;
}

static void is_named_by_what_belongs_to_it(void **state)
{
    struct world *world = *state;
    struct tide_content *content = read_place(world);

    assert_int_equal(strspn(tide_content_generation(content), "0123456789abcdef"), TIDE_GENERATION_LEN - 1);
    tide_content_free(content);
    assert_false(depends_on(world, "lib/unused.lua"));
    assert_true(depends_on(world, "lib/inner/one.lua"));
    assert_true(depends_on(world, "shop/new.lua"));
    write_file(world, "shop/init.lua", "local f = require\nf 'unused'\n");
    assert_true(depends_on(world, "lib/unused.lua")); /* any module may be meant */
}

static void is_the_same_for_another_process(void **state)
{
    struct world *world = *state;
    struct tide_err err;
    struct tide_content *content = read_place(world), *other;

    other = tide_content_map(dup(tide_content_fd(content)), &err);
    assert_non_null(other);
    write_file(world, "shop/init.lua", "-- later");
    assert_string_equal(tide_content_generation(other), tide_content_generation(content));
    tide_content_rest(other);
    assert_true(has(other, world, "shop/init.lua", "local jobs = require 'jobs'\n"));
    assert_int_equal(write(tide_content_fd(other), "x", 1), -1); /* sealed */
    tide_content_free(content);
    tide_content_free(other);
}

static void tells_what_cannot_be_read(void **state)
{
    struct world *world = *state;
    struct tide_err err;
    char *large = malloc(TIDE_CONTENT_FILE_MAX + 2);

    memset(large, 'x', TIDE_CONTENT_FILE_MAX + 1);
    large[TIDE_CONTENT_FILE_MAX + 1] = '\0';
    write_file(world, "shop/large.bin", large);
    assert_null(read_content(world, &err));
    assert_non_null(strstr(err.message, "shop/large.bin: larger than 1 MiB"));
    assert_null(tide_content_read("/tmp/there-is-none", NULL, NULL, &err));
    assert_non_null(strstr(err.message, "/tmp/there-is-none"));
    free(large);
}

/* It would be waited for until somebody writes into it. */
static void tells_of_a_module_that_is_no_file(void **state)
{
    struct world *world = *state;
    struct tide_err err;

    assert_int_equal(unlink(path_of(world, "lib/jobs.lua")), 0);
    assert_int_equal(mkfifo(path_of(world, "lib/jobs.lua"), 0600), 0);
    assert_null(read_content(world, &err));
    assert_non_null(strstr(err.message, "lib/jobs.lua: not a regular file"));
}

static void tells_what_its_scripts_use(void **state)
{
    static const struct {
        const char *text, *part;
        bool uses;
    } cases[] = {
        {"local sql = tide.sql\n", "sql", true},
        {"local sql = tide.sql\n", "mail", false},
        {"tide\n  . sql.query(x)", "sql", true},
        {"tide.sqlite()", "sql", false},
        {"local t = tide\nt.sql.query(x)", "sql", true},
        {"local f = tide[part]", "sql", true},
        {"return tide", "sql", true},
        {"tidemill.sql(); the_tide.sql()", "sql", false},
        {"require 'jobs'", "queue", true}, /* of the library */
        {"require 'jobs'", "mail", false},
        {"", "mail", false},
    };
    struct world *world = *state;

    write_file(world, "lib/jobs.lua", "return tide.queue 'jobs'");
    write_file(world, "shop/page.html", "tide.mail");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_content *content;

        write_file(world, "shop/init.lua", cases[i].text);
        content = read_place(world);
        if (tide_content_uses(content, cases[i].part) != cases[i].uses)
            fail_msg("'%s' and %s", cases[i].text, cases[i].part);
        tide_content_free(content);
    }
}

static void leaves_a_link_to_nowhere_out(void **state)
{
    struct world *world = *state;
    struct tide_content *content;

    assert_int_equal(symlink("nowhere", path_of(world, "shop/lock")), 0);
    content = read_place(world);
    assert_true(has(content, world, "shop/init.lua", "local jobs = require 'jobs'\n"));
    tide_content_free(content);
}

static void put_change(void *arg, enum tide_content_change change, const char *path)
{
    tide_buf_printf(arg, "%d %s\n", change, strrchr(path, '/') + 1);
}

static void tells_which_files_differ(void **state)
{
    struct world *world = *state;
    struct tide_content *before, *after;
    struct tide_buf changes;

    write_file(world, "shop/gone.lua", "return 1");
    before = read_place(world);
    assert_int_equal(unlink(path_of(world, "shop/gone.lua")), 0);
    write_file(world, "shop/new.lua", "return 1");
    write_file(world, "lib/inner/one.lua", "return 3");
    after = read_place(world);
    tide_buf_init(&changes, 1024);
    tide_content_compare(before, after, put_change, &changes);
    assert_string_equal(changes.data, "0 new.lua\n1 one.lua\n2 gone.lua\n");
    tide_buf_reset(&changes);
    tide_content_compare(after, after, put_change, &changes);
    assert_int_equal(changes.len, 0);
    tide_buf_release(&changes);
    tide_content_free(before);
    tide_content_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holds_the_bundle_and_what_it_requires, open_place, tear_down),
        cmocka_unit_test_setup_teardown(holds_the_lua_files_of_the_plugins_that_it_requires, open_place,
                                        tear_down),
        cmocka_unit_test_setup_teardown(is_named_by_what_belongs_to_it, open_place, tear_down),
        cmocka_unit_test_setup_teardown(is_the_same_for_another_process, open_place, tear_down),
        cmocka_unit_test_setup_teardown(tells_what_cannot_be_read, open_place, tear_down),
        cmocka_unit_test_setup_teardown(tells_of_a_module_that_is_no_file, open_place, tear_down),
        cmocka_unit_test_setup_teardown(tells_what_its_scripts_use, open_place, tear_down),
        cmocka_unit_test_setup_teardown(leaves_a_link_to_nowhere_out, open_place, tear_down),
        cmocka_unit_test_setup_teardown(tells_which_files_differ, open_place, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
