/* What belongs to a bundle's content, what its generation depends on, and that it is the same elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/content.h"

struct place {
    char root[64], bundle[96], library[96];
};

static void put(const struct place *place, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", place->root, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_directory(const struct place *place, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", place->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int open_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    strcpy(place->root, "/tmp/content-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->bundle, sizeof place->bundle, "%s/shop", place->root);
    snprintf(place->library, sizeof place->library, "%s/lib", place->root);
    make_directory(place, "shop");
    make_directory(place, "lib");
    put(place, "shop/init.lua", "local jobs = require 'jobs'\n");
    put(place, "lib/jobs.lua", "return require(\"inner.one\")");
    make_directory(place, "lib/inner");
    put(place, "lib/inner/one.lua", "return 1");
    put(place, "lib/unused.lua", "return 2");
    *state = place;
    return 0;
}

static int close_place(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", ((struct place *)*state)->root);
    free(*state);
    return system(command);
}

static struct tide_content *read_place(const struct place *place)
{
    struct tide_err err;
    struct tide_content *content = tide_content_read(place->bundle, place->library, &err);

    if (!content)
        fail_msg("%s", err.message);
    return content;
}

static bool has(const struct tide_content *content, const struct place *place, const char *name,
                const char *text)
{
    char path[256];
    size_t len;
    const char *data;

    snprintf(path, sizeof path, "%s/%s", place->root, name);
    data = tide_content_file(content, path, &len);
    return data && strlen(text) == len && strcmp(data, text) == 0;
}

static void holds_the_bundle_and_what_it_requires(void **state)
{
    struct place *place = *state;
    struct tide_content *content;

    make_directory(place, "shop/spec");
    put(place, "shop/spec/a_spec.lua", "");
    put(place, "shop/.init.lua.swp", "");
    put(place, "shop/page.html", "<p>");
    put(place, "shop/empty.txt", "");
    content = read_place(place);
    assert_true(has(content, place, "shop/init.lua", "local jobs = require 'jobs'\n"));
    assert_true(has(content, place, "shop/page.html", "<p>"));
    assert_true(has(content, place, "shop/empty.txt", ""));
    assert_true(has(content, place, "lib/jobs.lua", "return require(\"inner.one\")"));
    assert_true(has(content, place, "lib/inner/one.lua", "return 1"));
    assert_false(has(content, place, "lib/unused.lua", "return 2"));
    assert_false(has(content, place, "shop/spec/a_spec.lua", ""));
    assert_false(has(content, place, "shop/.init.lua.swp", ""));
    tide_content_free(content);
}

/* True when the generation changes when the file does. */
static bool depends_on(const struct place *place, const char *name)
{
    struct tide_content *before = read_place(place), *after;
    static int change;
    char text[32];
    bool differs;

    snprintf(text, sizeof text, "-- change %d", ++change);
    put(place, name, text);
    after = read_place(place);
    differs = strcmp(tide_content_generation(before), tide_content_generation(after)) != 0;
    tide_content_free(before);
    tide_content_free(after);
    return differs;
}

static void is_named_by_what_belongs_to_it(void **state)
{
    struct place *place = *state;
    struct tide_content *content = read_place(place);

    assert_int_equal(strspn(tide_content_generation(content), "0123456789abcdef"), TIDE_GENERATION_LEN - 1);
    tide_content_free(content);
    assert_false(depends_on(place, "lib/unused.lua"));
    assert_true(depends_on(place, "lib/inner/one.lua"));
    assert_true(depends_on(place, "shop/new.lua"));
    put(place, "shop/init.lua", "local f = require\nf 'unused'\n");
    assert_true(depends_on(place, "lib/unused.lua")); /* any module may be meant */
}

static void is_the_same_for_another_process(void **state)
{
    struct place *place = *state;
    struct tide_err err;
    struct tide_content *content = read_place(place), *other;

    other = tide_content_map(dup(tide_content_fd(content)), &err);
    assert_non_null(other);
    put(place, "shop/init.lua", "-- later");
    assert_string_equal(tide_content_generation(other), tide_content_generation(content));
    tide_content_rest(other);
    assert_true(has(other, place, "shop/init.lua", "local jobs = require 'jobs'\n"));
    assert_int_equal(write(tide_content_fd(other), "x", 1), -1); /* sealed */
    tide_content_free(content);
    tide_content_free(other);
}

static void tells_what_cannot_be_read(void **state)
{
    struct place *place = *state;
    struct tide_err err;
    char *large = malloc(TIDE_CONTENT_FILE_MAX + 2);

    memset(large, 'x', TIDE_CONTENT_FILE_MAX + 1);
    large[TIDE_CONTENT_FILE_MAX + 1] = '\0';
    put(place, "shop/large.bin", large);
    assert_null(tide_content_read(place->bundle, place->library, &err));
    assert_non_null(strstr(err.message, "shop/large.bin: larger than 1 MiB"));
    assert_null(tide_content_read("/tmp/there-is-none", NULL, &err));
    assert_non_null(strstr(err.message, "/tmp/there-is-none"));
    free(large);
}

static void leaves_a_link_to_nowhere_out(void **state)
{
    struct place *place = *state;
    struct tide_content *content;
    char path[256];

    snprintf(path, sizeof path, "%s/shop/lock", place->root);
    assert_int_equal(symlink("nowhere", path), 0);
    content = read_place(place);
    assert_true(has(content, place, "shop/init.lua", "local jobs = require 'jobs'\n"));
    tide_content_free(content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holds_the_bundle_and_what_it_requires, open_place, close_place),
        cmocka_unit_test_setup_teardown(is_named_by_what_belongs_to_it, open_place, close_place),
        cmocka_unit_test_setup_teardown(is_the_same_for_another_process, open_place, close_place),
        cmocka_unit_test_setup_teardown(tells_what_cannot_be_read, open_place, close_place),
        cmocka_unit_test_setup_teardown(leaves_a_link_to_nowhere_out, open_place, close_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
