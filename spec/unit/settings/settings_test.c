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

#include "base/suggest.h"
#include "settings/document.h"
#include "settings/settings.h"

/* An installation of its own: <dir>/scripts with three bundles, <dir>/tidemill.lua; the current directory
 * meanwhile. */
struct place {
    char dir[64];
    char before[512];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    static const char *const bundles[] = {"auth", "gateway", "bulk-mail"};
    char path[128];

    strcpy(place->dir, "/tmp/tide-settings-XXXXXX");
    assert_non_null(getcwd(place->before, sizeof place->before));
    assert_non_null(mkdtemp(place->dir));
    assert_int_equal(chdir(place->dir), 0);
    mkdir("scripts", 0700);
    mkdir("scripts/lib", 0700);
    mkdir("scripts/notes", 0700); /* no init.lua: not a bundle */
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "scripts/%s", bundles[i]);
        mkdir(path, 0700);
        strcat(path, "/init.lua");
        write_file(path, "");
    }
    *state = place;
    return 0;
}

static int leave(void **state)
{
    struct place *place = *state;
    char command[128];

    assert_int_equal(chdir(place->before), 0);
    snprintf(command, sizeof command, "rm -rf %s", place->dir);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void accept(struct tide_settings *settings, const struct tide_settings_input *input)
{
    struct tide_buf report;

    tide_buf_init(&report, 65536);
    if (!tide_settings_load(settings, input, &report))
        fail_msg("refused: %s", report.data);
    assert_int_equal(report.len, 0);
    tide_buf_release(&report);
}

static void refuse(const struct tide_settings_input *input, const char *const *expected)
{
    struct tide_settings settings;
    struct tide_buf report;

    tide_buf_init(&report, 65536);
    assert_false(tide_settings_load(&settings, input, &report));
    assert_null(settings.sql);
    for (; *expected; expected++)
        if (!strstr(report.data, *expected))
            fail_msg("'%s' is not in the report:\n%s", *expected, report.data);
    tide_buf_release(&report);
}

static void has_defaults(void **state)
{
    struct tide_settings settings;

    (void)state;
    accept(&settings, &(struct tide_settings_input){0});
    assert_null(settings.path);
    assert_string_equal(settings.scripts, "scripts");
    assert_string_equal(settings.library, "scripts/lib");
    assert_string_equal(settings.data, "data");
    assert_string_equal(settings.sql, "sqlite:data/auth.db");
    assert_string_equal(settings.queue, "sqlite:data/queue.db");
    assert_string_equal(settings.blob, "file:data/blobs");
    assert_string_equal(settings.mail, "maildir:data/mail");
    assert_string_equal(settings.admin, "127.0.0.1:9090");
    assert_null(settings.media_helper);
    assert_true(settings.workers >= 1);
    assert_int_equal(settings.drain_delay_ms, 0);
    assert_int_equal(settings.grace_ms, 30000);
    assert_int_equal(settings.log_format, TIDE_LOG_AUTO);
    assert_int_equal(settings.log_level, TIDE_LOG_INFO);
    assert_int_equal(settings.head_bytes, 16384);
    assert_int_equal(settings.script_memory, 256 << 20);
    assert_int_equal(settings.script_cpu_ms, 1000);
    assert_int_equal(settings.bundle_count, 3);
    assert_string_equal(settings.bundles[0].name, "auth");
    assert_string_equal(settings.bundles[0].directory, "scripts/auth");
    assert_string_equal(settings.bundles[0].listen, "127.0.0.1:5000");
    assert_string_equal(settings.bundles[0].settings_json, "{}");
    assert_null(tide_settings_bundle(&settings, "bulk-mail")->listen);
    assert_string_equal(tide_settings_bundle(&settings, "gateway")->listen, "127.0.0.1:8080");
    assert_null(tide_settings_bundle(&settings, "notes"));
    tide_settings_release(&settings);
}

static void knows_the_queues_of_others(void **state)
{
    const struct tide_settings_input file = {.path = "tidemill.lua"};
    const char *const wrong[] = {"tidemill.lua:1: external_queues: expected a list of names", NULL};
    struct tide_settings settings;

    (void)state;
    write_file("tidemill.lua", "return { external_queues = { \"billing\", \"mail\" } }\n");
    accept(&settings, &file);
    assert_true(tide_settings_queue_is_external(&settings, "billing"));
    assert_true(tide_settings_queue_is_external(&settings, "mail"));
    assert_false(tide_settings_queue_is_external(&settings, "bill"));
    assert_false(tide_settings_queue_is_external(&settings, "ail"));
    tide_settings_release(&settings);
    write_file("tidemill.lua", "return { external_queues = { \"billing\", 2 } }\n");
    refuse(&file, wrong);
    write_file("tidemill.lua", "return { external_queues = { \"billing,mail\" } }\n");
    refuse(&file, wrong);
}

static const char everything[] =
    "-- listen = { gateway = \"commented out\" }\n"
    "local host = \"0.0.0.0\"\n"
    "return {\n"
    "  listen = { gateway = host .. \":8081\", auth = \"off\", admin = false, [\"bulk-mail\"] = \"[::1]:9\" "
    "},\n"
    "  data = \"/srv/d\", sql = \"sqlite:x.db\", workers = 3, grace = \"1m30s\",\n"
    "  log = { format = \"json\", level = \"warn\" },\n"
    "  limits = { head = \"8KiB\", body = \"2MiB\", connections = 10, min_rate = \"0\" },\n"
    "  bundles = { auth = {}, gateway = { max_upload = \"5GiB\", n = 2, on = false, list = { \"a\", 1 },\n"
    "              nested = { deep = \"x\\\"y\" } }, [\"bulk-mail\"] = false },\n"
    "}\n";

static void reads_a_file(void **state)
{
    struct tide_settings settings;

    (void)state;
    write_file("tidemill.lua", everything);
    accept(&settings, &(struct tide_settings_input){0});
    assert_string_equal(settings.path, "tidemill.lua");
    assert_null(settings.admin);
    assert_string_equal(settings.data, "/srv/d");
    assert_string_equal(settings.sql, "sqlite:x.db");
    assert_string_equal(settings.queue, "sqlite:/srv/d/queue.db");
    assert_int_equal(settings.workers, 3);
    assert_int_equal(settings.grace_ms, 90000);
    assert_int_equal(settings.log_format, TIDE_LOG_JSON);
    assert_int_equal(settings.log_level, TIDE_LOG_WARN);
    assert_int_equal(settings.head_bytes, 8192);
    assert_int_equal(settings.body_bytes, 2 << 20);
    assert_int_equal(settings.connections, 10);
    assert_int_equal(settings.connections_per_address, 1024);
    assert_int_equal(settings.min_rate, 0);
    assert_int_equal(settings.bundle_count, 2); /* bulk-mail is off */
    assert_string_equal(settings.bundles[0].listen, "off");
    assert_null(tide_settings_address(&settings.bundles[0]));
    assert_string_equal(tide_settings_address(&settings.bundles[1]), "0.0.0.0:8081");
    assert_string_equal(
        settings.bundles[1].settings_json,
        "{\"list\":[\"a\",1],\"max_upload\":\"5GiB\",\"n\":2,\"nested\":{\"deep\":\"x\\\"y\"},\"on\":false}");
    tide_settings_release(&settings);
}

static void finds_scripts_beside_the_file(void **state)
{
    struct tide_settings settings;
    struct tide_settings_input input = {.path = "scripts/here.lua"};

    (void)state;
    write_file("scripts/tidemill.lua", "return { workers = 7 }");
    accept(&settings, &(struct tide_settings_input){0});
    assert_string_equal(settings.path, "scripts/tidemill.lua");
    assert_string_equal(settings.scripts, "scripts");
    assert_int_equal(settings.workers, 7);
    tide_settings_release(&settings);

    mkdir("elsewhere", 0700);
    mkdir("elsewhere/one", 0700);
    write_file("elsewhere/one/init.lua", "");
    write_file("elsewhere/my.lua", "return {}");
    input.path = "elsewhere/my.lua";
    accept(&settings, &input);
    assert_string_equal(settings.scripts, "elsewhere");
    assert_null(settings.library);
    assert_int_equal(settings.bundle_count, 1);
    tide_settings_release(&settings);
}

static void environment_wins_over_the_file(void **state)
{
    char *environment[] = {
        "PATH=/bin", "TIDEMILL_WORKERS=5", "TIDEMILL_SQL_FILE=secret", "TIDEMILL_LIMITS_HEAD=4KiB",
        "TIDEMILL_LISTEN_GATEWAY=10.0.0.1:80", "TIDEMILL_LISTEN_ADMIN=127.0.0.1:1",
        "TIDEMILL_LISTEN_BULK_MAIL=10.0.0.1:81", "TIDEMILL_GATEWAY_MAX_UPLOAD=1GiB", "TIDEMILL_GATEWAY_N=41",
        "TIDEMILL_GATEWAY_ON=true", "TIDEMILL_BUNDLES_GATEWAY_TOKEN_FILE=secret", "TIDEMILL_BULK_MAIL_KEY=5",
        "TIDEMILL_BUNDLES=gateway, bulk-mail",
        /* Kubernetes' service links */
        "TIDEMILL_SERVICE_HOST=10.0.0.9", "TIDEMILL_SERVICE_PORT_HTTP=80", "TIDEMILL_PORT=tcp://10.0.0.9:80",
        "TIDEMILL_GATEWAY_PORT_8080_TCP_ADDR=10.0.0.9", NULL};
    struct tide_settings_input input = {.environment = environment};
    struct tide_settings settings;

    (void)state;
    write_file("tidemill.lua", everything);
    write_file("secret", "mysql://u:p w@db/auth\n");
    accept(&settings, &input);
    assert_int_equal(settings.workers, 5);
    assert_string_equal(settings.sql, "mysql://u:p w@db/auth");
    assert_int_equal(settings.head_bytes, 4096);
    assert_int_equal(settings.body_bytes, 2 << 20);
    assert_string_equal(settings.admin, "127.0.0.1:1");
    assert_int_equal(settings.bundle_count, 2);
    assert_string_equal(settings.bundles[0].listen, "10.0.0.1:80");
    assert_string_equal(
        settings.bundles[0].settings_json,
        "{\"list\":[\"a\",1],\"max_upload\":\"1GiB\",\"n\":41,\"nested\":{\"deep\":\"x\\\"y\"},\"on\":true,"
        "\"token\":\"mysql://u:p w@db/auth\"}");
    assert_string_equal(settings.bundles[1].listen, "10.0.0.1:81");
    assert_string_equal(settings.bundles[1].settings_json, "{\"key\":\"5\"}");
    tide_settings_release(&settings);
}

static void options_win_over_the_environment(void **state)
{
    char *environment[] = {"TIDEMILL_WORKERS=5",          "TIDEMILL_LISTEN_GATEWAY=10.0.0.1:80",
                           "TIDEMILL_SETTINGS=other.lua", "TIDEMILL_BUNDLES=auth",
                           "TIDEMILL_MODULES=/nowhere",   NULL};
    struct tide_settings_override overrides[] = {{"workers", "6", "--workers"},
                                                 {"listen.gateway", "127.0.0.1:0", "--listen"}};
    const char *bundles[] = {"gateway"};
    struct tide_settings_input input = {.environment = environment,
                                        .overrides = overrides,
                                        .override_count = 2,
                                        .bundles = bundles,
                                        .bundle_count = 1};
    struct tide_settings settings;

    (void)state;
    write_file("other.lua", "return { listen = { gateway = '1.2.3.4:5' }, workers = 4, grace = '5s' }");
    accept(&settings, &input);
    assert_int_equal(settings.workers, 6);
    assert_int_equal(settings.grace_ms, 5000);
    assert_int_equal(settings.bundle_count, 1);
    assert_string_equal(settings.bundles[0].listen, "127.0.0.1:0");
    tide_settings_release(&settings);
}

static void names_what_is_wrong_in_the_file(void **state)
{
    static const struct {
        const char *source;
        const char *expected[6];
    } cases[] = {
        {"return {\n\n  listn = { gateway = '1.2.3.4:5' } }",
         {"tidemill.lua:3: unknown setting 'listn.gateway' (did you mean 'listen'?)",
          "known settings: listen, data, sql"}},
        {"return { limits = {\n hed = '1KiB' } }",
         {"tidemill.lua:2: unknown setting 'limits.hed' (did you mean 'limits.head'?)",
          "known in limits: head, body"}},
        {"return { watch = 'off' }", {"unknown setting 'watch' (did you mean reload = { watch = ... }?)"}},
        {"return { xyzzy = 1 }", {"tidemill.lua:1: unknown setting 'xyzzy'\n"}},
        {"return {\n workers = '4' }",
         {"tidemill.lua:2: workers: expected a whole number, as in workers = 4; this is a string"}},
        {"return { workers = 2.5 }", {"workers: expected a whole number"}},
        {"return { workers = 0 }", {"tidemill.lua:1: workers: allowed is 1 to 256, as in workers = 4"}},
        {"return { grace = 30 }",
         {"tidemill.lua:1: grace: expected a duration in words, as in grace = \"30s\"; this is a number"}},
        {"return { grace = '30 parsecs' }", {"grace: '30 parsecs' is not a duration"}},
        {"return { limits = { head = '10B' } }", {"limits.head: allowed is 1024 to 1048576 bytes"}},
        {"return { log = { level = 'loud' } }",
         {"log.level: 'loud' is not one of its words", "allowed: debug, info"}},
        {"return { log = 'json' }",
         {"tidemill.lua:1: log: expected a table, as in log = { ... }; this is a string"}},
        {"return { sql = {} }", {"sql: expected a string"}},
        {"return { sql = '' }", {"sql: it is empty"}},
        {"return { listen = { admin = '9090' } }", {"'9090' is not an address, as in listen = { admin = "}},
        {"return { listen = { gateway = 8080 } }", {"listen.gateway: expected an address"}},
        {"return { listen = { gateway = 'host' } }", {"listen.gateway: 'host' is not an address"}},
        {"return { listen = {\n  gatway = '127.0.0.1:1' } }",
         {"tidemill.lua:2: listen.gatway: no bundle 'gatway' (did you mean 'gateway'?)",
          "auth, bulk-mail, gateway"}},
        {"return { listen = { gateway = '1.1.1.1:5', auth = '1.1.1.1:5' } }",
         {"listen: auth and gateway are both at 1.1.1.1:5"}},
        {"return { bundles = { 'auth' } }", {"bundles: expected a table, as in bundles = { auth = {}"}},
        {"return { bundles = { auth = true } }",
         {"bundles.auth: expected the bundle's settings, as in auth = {}, or false"}},
        {"return {\nbundles = {\n\n auht = {} } }",
         {"tidemill.lua:4: bundles.auht: no bundle 'auht' (did you mean 'auth'?)"}},
        {"return { scripts = 'nowhere' }", {"no bundle in nowhere"}},
        {"return { workers = 0, grace = 1, nix = 2 }",
         {"workers: allowed", "grace: expected", "unknown setting 'nix'"}},
        {"return {\n  workers = = 2 }", {"tidemill.lua:2: unexpected symbol near '='"}},
        {"local x = nil + 1", {"tidemill.lua:1: attempt to perform arithmetic on a nil value"}},
        {"return 5", {"tidemill.lua: the file has to return a table of settings"}},
        {"", {"the file has to return a table of settings"}},
        {"return { sql = function() end }", {"tidemill.lua: sql: a setting can't be a function"}},
        {"return { workers = 1, 'x' }", {"a table with both names and numbers as keys"}},
        {"return { os.getenv('HOME') }", {"attempt to index global 'os'"}},
        {"while true do end", {".lua:1: the settings file does not come to an end"}},
        {"return { sql = string.rep('x', 1e9) }", {"not enough memory"}},
        {"return { sql = ('a'):rep(10) .. '\\0' }", {"sql: a string with a NUL byte"}},
        {"local t = {} t.t = t return { bundles = t }", {"tables nested too deeply"}},
        {"\033LJ\2", {"attempt to load chunk with wrong mode"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("tidemill.lua", cases[i].source);
        refuse(&(struct tide_settings_input){0}, cases[i].expected);
    }
}

static void names_what_is_wrong_in_the_environment(void **state)
{
    static const struct {
        char *environment[3];
        const char *expected[4];
    } cases[] = {
        {{"TIDEMILL_WORKER=1"},
         {"TIDEMILL_WORKER: unknown setting in the environment (did you mean TIDEMILL_WORKERS?)"}},
        {{"TIDEMILL_LISTEN_NOWHERE=1.1.1.1:1"},
         {"TIDEMILL_LISTEN_NOWHERE: unknown", "auth, bulk-mail, gateway"}},
        {{"TIDEMILL_AUTH=1"}, {"TIDEMILL_AUTH: unknown setting"}},
        {{"TIDEMILL_AUTH_=1"}, {"TIDEMILL_AUTH_: unknown setting"}},
        {{"TIDEMILL_LISTEN_AUTH_X=1"}, {"TIDEMILL_LISTEN_AUTH_X: unknown setting"}},
        {{"TIDEMILL_PORT=8080"}, {"TIDEMILL_PORT: unknown setting"}},
        {{"TIDEMILL_WORKERS=many"}, {"TIDEMILL_WORKERS: 'many' is not a whole number"}},
        {{"TIDEMILL_SQL=a", "TIDEMILL_SQL_FILE=b"}, {"TIDEMILL_SQL: given together with TIDEMILL_SQL_FILE"}},
        {{"TIDEMILL_AUTH_KEY=a", "TIDEMILL_AUTH_KEY_FILE=b"}, {"TIDEMILL_AUTH_KEY: given together with"}},
        {{"TIDEMILL_SQL_FILE=/nonexistent/secret"}, {"TIDEMILL_SQL_FILE: /nonexistent/secret: No such file"}},
        {{"TIDEMILL_SQL_FILE=/dev/null"}, {"TIDEMILL_SQL_FILE: /dev/null: the file is empty"}},
        {{"TIDEMILL_AUTH_KEY_FILE=/dev/null"}, {"TIDEMILL_AUTH_KEY_FILE: /dev/null: the file is empty"}},
        {{"TIDEMILL_BUNDLES=auth,getway"},
         {"TIDEMILL_BUNDLES: no bundle 'getway' (did you mean 'gateway'?)"}},
        {{"TIDEMILL_LISTEN_AUTH=5000"}, {"TIDEMILL_LISTEN_AUTH: '5000' is not an address"}},
        {{"TIDEMILL_SETTINGS=nowhere.lua"}, {"nowhere.lua: No such file"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&(struct tide_settings_input){.environment = cases[i].environment}, cases[i].expected);
}

static void never_tells_a_secret(void **state)
{
    char *environment[] = {"TIDEMILL_SQL=mysql://u:hunter2\n@db/auth", NULL};
    struct tide_settings_input input = {.environment = environment};
    struct tide_settings settings;
    struct tide_buf report;

    (void)state;
    tide_buf_init(&report, 65536);
    assert_false(tide_settings_load(&settings, &input, &report));
    assert_non_null(strstr(report.data, "TIDEMILL_SQL: it has control characters"));
    assert_null(strstr(report.data, "hunter2"));
    tide_buf_release(&report);
}

static void finds_the_listed_plugins(void **state)
{
    static const char *const missing[] = {"tidemill.lua:1: plugins: no plugin 'hook'",
                                          "plugins/hook/plugin.lua", NULL};
    static const char *const misnamed[] = {"'../x' can't be a plugin's name", NULL};
    static const char *const misused[] = {"expected a list of names, as in plugins = { \"webhook\" }", NULL};
    char *environment[] = {"TIDEMILL_PLUGINS=hook,meter", "TIDEMILL_PLUGIN_PATH=elsewhere", NULL};
    struct tide_settings settings;

    (void)state;
    write_file("tidemill.lua", "return { plugins = { 'hook' } }");
    refuse(&(struct tide_settings_input){0}, missing);
    mkdir("plugins", 0700);
    mkdir("plugins/hook", 0700);
    write_file("plugins/hook/plugin.lua", "");
    accept(&settings, &(struct tide_settings_input){0});
    assert_string_equal(settings.plugins, "plugins/hook");
    tide_settings_release(&settings);

    mkdir("elsewhere", 0700);
    mkdir("elsewhere/hook", 0700);
    mkdir("elsewhere/meter", 0700);
    write_file("elsewhere/hook/plugin.lua", "");
    write_file("elsewhere/meter/plugin.lua", "");
    accept(&settings, &(struct tide_settings_input){.environment = environment});
    assert_string_equal(settings.plugins, "elsewhere/hook:elsewhere/meter");
    tide_settings_release(&settings);

    write_file("tidemill.lua", "return { plugins = { '../x' } }");
    refuse(&(struct tide_settings_input){0}, misnamed);
    write_file("tidemill.lua", "return { plugins = { 1 } }");
    refuse(&(struct tide_settings_input){0}, misused);
    write_file("tidemill.lua", "return { plugins = {} }");
    accept(&settings, &(struct tide_settings_input){0});
    assert_null(settings.plugins);
    tide_settings_release(&settings);
}

static void survives_the_way_to_a_worker(void **state)
{
    struct tide_settings settings, copy;
    struct tide_buf first, second;
    struct tide_err err;

    (void)state;
    write_file("tidemill.lua", everything);
    accept(&settings, &(struct tide_settings_input){0});
    tide_buf_init(&first, 1 << 20);
    tide_buf_init(&second, 1 << 20);
    assert_true(tide_settings_export(&settings, &first));
    assert_true(tide_settings_import(&copy, first.data, first.len, &err));
    assert_true(tide_settings_export(&copy, &second));
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_string_equal(copy.bundles[1].settings_json, settings.bundles[1].settings_json);
    assert_int_equal(copy.grace_ms, 90000);
    assert_null(copy.admin);
    assert_string_equal(tide_settings_origin(&copy, "sql"), "tidemill.lua:5: sql");
    assert_string_equal(tide_settings_origin(&copy, "queue"), "queue");
    tide_settings_release(&copy);
    assert_false(tide_settings_import(&copy, first.data, first.len - 1, &err));
    assert_null(copy.sql);
    assert_false(tide_settings_import(&copy, "bogus\0x", 8, &err));
    tide_settings_release(&settings);
    tide_buf_release(&first);
    tide_buf_release(&second);
}

static void documents_every_setting(void **state)
{
    struct tide_buf out;

    (void)state;
    tide_buf_init(&out, 1 << 20);
    tide_settings_help(&out);
    assert_non_null(strstr(out.data, "limits.head_timeout"));
    assert_non_null(strstr(out.data, "TIDEMILL_LIMITS_HEAD_TIMEOUT"));
    assert_non_null(strstr(out.data, "one of auto, json, human"));
    tide_buf_release(&out);
}

static void finds_lines(void **state)
{
    static const char source[] = "-- gateway = 1\n"
                                 "--[[ sql =\n ]] local s = 'sql = 2'\n"
                                 "return { listen = { gateway = 1 },\n"
                                 "  [\"sql\"] = 1, mysql = 2, x = y == sql,\n"
                                 "  bundles = {\n gateway = {} } }";

    (void)state;
    assert_int_equal(tide_document_line(source, sizeof source - 1, "listen.gateway"), 4);
    assert_int_equal(tide_document_line(source, sizeof source - 1, "bundles.gateway"), 7);
    assert_int_equal(tide_document_line(source, sizeof source - 1, "sql"), 5);
    assert_int_equal(tide_document_line(source, sizeof source - 1, "mysql"), 5);
    assert_int_equal(tide_document_line(source, sizeof source - 1, "absent"), 0);
    assert_int_equal(tide_document_line(source, sizeof source - 1, "listen.absent"), 0);
}

static void suggests_near_words(void **state)
{
    static const char *const words[] = {"run", "check", "routes", "queue", "user"};

    (void)state;
    assert_string_equal(tide_suggest("rotues", words, 5), "routes");
    assert_string_equal(tide_suggest("chek", words, 5), "check");
    assert_string_equal(tide_suggest("usr", words, 5), "user");
    assert_null(tide_suggest("transmogrify", words, 5));
    assert_null(tide_suggest("", words, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_defaults, enter, leave),
        cmocka_unit_test_setup_teardown(reads_a_file, enter, leave),
        cmocka_unit_test_setup_teardown(knows_the_queues_of_others, enter, leave),
        cmocka_unit_test_setup_teardown(finds_scripts_beside_the_file, enter, leave),
        cmocka_unit_test_setup_teardown(environment_wins_over_the_file, enter, leave),
        cmocka_unit_test_setup_teardown(options_win_over_the_environment, enter, leave),
        cmocka_unit_test_setup_teardown(names_what_is_wrong_in_the_file, enter, leave),
        cmocka_unit_test_setup_teardown(names_what_is_wrong_in_the_environment, enter, leave),
        cmocka_unit_test_setup_teardown(never_tells_a_secret, enter, leave),
        cmocka_unit_test_setup_teardown(finds_the_listed_plugins, enter, leave),
        cmocka_unit_test_setup_teardown(survives_the_way_to_a_worker, enter, leave),
        cmocka_unit_test(documents_every_setting),
        cmocka_unit_test(finds_lines),
        cmocka_unit_test(suggests_near_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
