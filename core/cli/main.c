#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/options.h"
#include "settings/table.h"
#include "worker/worker.h"

static const struct tide_option run_options[] = {
    {"dev", 0, NULL,
     "while all listeners are on loopback: make the user georgio@email.com, show how to use it"},
    {0}};

static const struct tide_option check_options[] = {
    {"json", 0, NULL, "for editors: an array of { file, line, column, severity, code, message, more }"}, {0}};

static const struct tide_option routes_options[] = {
    {"json", 0, NULL, "as JSON"},
    {"graph", 0, NULL, "as a flowchart for Mermaid, with the queues and buckets between the bundles"},
    {0}};

static const struct tide_option reload_options[] = {
    {"to", 0, "GENERATION", "back to one that ran before, whatever is on the disk"},
    {"wait", 0, NULL, "until requests and messages on generations before have ended, too"},
    {0}};

static const struct tide_option status_options[] = {{"json", 0, NULL, "as JSON"}, {0}};

static const struct tide_option migrate_options[] = {
    {"check", 0, NULL,
     "only tell which are pending, and which were changed after they were applied; 1 when any is"},
    {0}};

static const struct tide_option test_options[] = {
    {"filter", 'f', "PATTERN", "only tests whose full name matches the Lua pattern (may be repeated)"},
    {"tag", 't', "TAG", "only tests with #TAG in their names (may be repeated)"},
    {"exclude-tag", 0, "TAG", "no tests with #TAG in their names (may be repeated)"},
    {"timeout", 0, "DURATION", "for one test; the run ends when it is over (2m)"},
    {"junit", 0, "FILE", "write the results as JUnit's XML, too"},
    {"watch", 0, NULL, "stay, and run again the specs that an edit touches, of themselves or of a bundle"},
    {"coverage", 0, NULL, "tell which lines of the bundles did not run (slower)"},
    {"lcov", 0, "FILE", "write the coverage in LCOV's format, too"},
    {"sql", 0, "URL", "a database server: each file gets a database of its own there"},
    {"queue", 0, "URL", "a broker: the queues of each file have a prefix of their own"},
    {"blob", 0, "URL", "a MongoDB server: each file gets a database of its own there"},
    {"mail", 0, "URL", "an SMTP server, which puts its mail into the directory of --maildir"},
    {"maildir", 0, "DIR", "where the mail of --mail arrives"},
    {"keep", 0, NULL, "leave the backends, the log and the bundles of each file, and say where"},
    {0}};

static const struct tide_option convert_options[] = {
    {"quality", 'q', "V0..V9|64k..320k", "variable or constant bit rate (V2)"},
    {"title", 't', "TEXT", "title in the MP3"},
    {"json", 0, NULL, "print the result as JSON, no progress"},
    {"force", 'f', NULL, "replace OUT when it is there already"},
    {"timeout", 0, "DURATION", "give up after it (25m)"},
    {0}};

static const struct tide_option user_options[] = {
    {"admin", 0, NULL, "add: as an admin"},
    {"password-stdin", 0, NULL, "add, passwd: the password is the first line of the standard input"},
    {"password-file", 0, "FILE", "add, passwd: the password is the first line of FILE"},
    {"json", 0, NULL, "list: as JSON"},
    {0}};

static const struct tide_option queue_options[] = {
    {"state", 's', "dead|ready|delayed|leased", "show, purge: which messages (dead)"},
    {"limit", 'n', "N", "show: at most so many (100)"},
    {"all", 'a', NULL, "retry: all dead letters of the queue"},
    {"json", 0, NULL, "list, show: as JSON"},
    {0}};

static const struct tide_option new_options[] = {
    {"dir", 'd', "DIR", "directory of the bundles, or of the plugins (scripts, plugins)"},
    {"plugin", 0, NULL, "a plugin in C, with its CMakeLists.txt"},
    {"lua", 0, NULL, "with --plugin: in Lua"},
    {0}};

static const struct tide_option types_options[] = {
    {"reference", 0, NULL, "the reference of the API as Markdown, on the standard output"}, {0}};

static const struct tide_command commands[] = {
    {"run", "", 0, 0, "serve in the foreground until SIGTERM or Ctrl-C (a second one stops at once)", NULL,
     run_options, tide_settings_options, tide_cli_run},
    {"check", "", 0, 0, "load every bundle without serving and tell what is wrong",
     "Exits with 1 when there is an error; warnings alone are good.\n", check_options, tide_settings_options,
     tide_cli_check},
    {"routes", "", 0, 0, "list routes, queues, timers and buckets with their places", NULL, routes_options,
     tide_settings_options, tide_cli_routes},
    {"reload", "[BUNDLE]", 0, 1, "have a running engine read its bundles again",
     "Returns when all workers run the new generation, and prints it beside the old one with the files that\n"
     "differ. When one worker can't load it all keep the old one: prints why, and exits with 1.\n",
     reload_options, tide_remote_options, tide_cli_reload},
    {"status", "", 0, 0, "show a running engine's workers, and its bundles with their generations",
     "Exits with 0 when the engine is ready, else with 1.\n", status_options, tide_remote_options,
     tide_cli_status},
    {"migrate", "", 0, 0, "apply the bundles' schema files that the database has not had yet", NULL,
     migrate_options, tide_settings_options, tide_cli_migrate},
    {"test", "[FILE[:LINE]|DIRECTORY|BUNDLE|PLUGIN]...", 0, 1000,
     "run specs (busted) inside the engine, on fresh backends",
     "Without a word: all files *_spec.lua in spec/ and in the directory spec of each bundle and listed "
     "plugin.\n"
     "Prints TAP.\n"
     "FILE:LINE is the test around that line, or all of the `describe` that begins there.\n"
     "In a spec, tide.spec.bundle \"NAME\" runs a bundle; what waits just works in `it`.\n"
     "The backends are the embedded ones, whatever the settings say; the options name servers instead.\n",
     test_options, tide_settings_options, tide_cli_test},
    {"convert", "IN OUT", 2, 2, "convert one video or sound file to MP3", NULL, convert_options, NULL,
     tide_cli_convert},
    {"user", "add|list|passwd|role|remove [EMAIL] [on|off]", 1, 4, "users of the bundle auth",
     "  tidemill user add EMAIL [--admin]\n"
     "  tidemill user list\n"
     "  tidemill user passwd EMAIL\n"
     "  tidemill user role EMAIL admin on|off\n"
     "  tidemill user remove EMAIL\n"
     "Passwords are asked for on the terminal unless an option says where they are.\n",
     user_options, tide_stores_options, tide_cli_user},
    {"queue", "list|show|retry|purge [QUEUE] [ID]", 1, 3,
     "look into queues and mend them, dead letters included",
     "  tidemill queue list                  how many messages are where\n"
     "  tidemill queue show QUEUE            dead letters with their reasons\n"
     "  tidemill queue retry QUEUE ID|--all  dead letters back to their queue\n"
     "  tidemill queue purge QUEUE           delete dead letters\n",
     queue_options, tide_stores_options, tide_cli_queue},
    {"new", "NAME", 1, 1, "make a bundle with a route, a consumer and a spec, or a plugin", NULL, new_options,
     NULL, tide_cli_new},
    {"types", "[DIR]", 0, 1, "write the Lua API as annotations for editors (LuaLS)",
     "  tidemill types           on the standard output\n"
     "  tidemill types scripts   scripts/.types and, when there is none, scripts/.luarc.json\n",
     types_options, NULL, tide_cli_types},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static const struct tide_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_word(const char *name)
{
    const char *names[COMMANDS + TIDE_SETTINGS + 2];
    const char *nearest;
    size_t count = 0;

    for (size_t i = 0; i < COMMANDS; i++)
        names[count++] = commands[i].name;
    for (size_t i = 0; i < tide_settings_count; i++)
        names[count++] = tide_settings_table[i].name;
    names[count++] = "settings";
    names[count++] = "tide";
    nearest = tide_suggest(name, names, count);
    fprintf(stderr, "tidemill: no help for '%s'", name);
    if (nearest)
        fprintf(stderr, " (did you mean '%s'?)", nearest);
    fputs("\nthere is help for commands (tidemill help), settings (tidemill help settings) and names of the "
          "Lua API "
          "(tidemill help tide)\n",
          stderr);
    return TIDE_EXIT_USAGE;
}

static int unknown_command(const char *name)
{
    const char *names[COMMANDS + 1];
    const char *nearest;

    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    names[COMMANDS] = "help";
    nearest = tide_suggest(name, names, COMMANDS + 1);
    fprintf(stderr, "tidemill: unknown command '%s'", name);
    if (nearest)
        fprintf(stderr, " (did you mean '%s'?)", nearest);
    fputs("\nknown are", stderr);
    for (size_t i = 0; i <= COMMANDS; i++)
        fprintf(stderr, "%s %s", i ? "," : "", names[i]);
    fputs("; tidemill --help tells more\n", stderr);
    return TIDE_EXIT_USAGE;
}

/* A name of the API, or of a plugin that the settings list. */
static int help_api(const char *name)
{
    struct tide_err err;

    if (tide_help_api(name, &err))
        return TIDE_EXIT_GOOD;
    if (strncmp(name, "tide.", 5) != 0)
        return unknown_word(name);
    tide_cli_fail("%s", err.message);
    return TIDE_EXIT_USAGE;
}

/* "settings", or a setting or a table of them. */
static bool help_settings(const char *name)
{
    struct tide_buf text;
    bool found = true;

    tide_buf_init(&text, 1 << 20);
    if (strcmp(name, "settings") == 0)
        tide_settings_help(&text);
    else
        found = tide_settings_help_of(name, &text);
    if (found)
        fputs(text.data, stdout);
    tide_buf_release(&text);
    return found;
}

static int help(int argc, char **argv)
{
    const struct tide_command *command;

    if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        tide_help_all(stdout, commands, COMMANDS);
        return TIDE_EXIT_GOOD;
    }
    command = find_command(argv[0]);
    if (command) {
        tide_help_command(stdout, command);
        return TIDE_EXIT_GOOD;
    }
    return help_settings(argv[0]) ? TIDE_EXIT_GOOD : help_api(argv[0]);
}

static int run_command(const struct tide_command *command, const char *program, int argc, char **argv)
{
    struct tide_cli cli = {.command = command, .program = program};

    switch (tide_options_parse(&cli, argc, argv)) {
    case TIDE_OPTIONS_HELP:
        tide_help_command(stdout, command);
        return TIDE_EXIT_GOOD;
    case TIDE_OPTIONS_WRONG:
        return TIDE_EXIT_USAGE;
    case TIDE_OPTIONS_GOOD:
        break;
    }
    if (cli.argc < command->least)
        return tide_cli_missing(&cli, "", command->operands, cli.argc);
    if (cli.argc > command->most)
        return tide_cli_usage(&cli, "too many words");
    return command->run(&cli);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    const struct tide_command *command;

    if (argc == 3 && strcmp(name, "worker") == 0) /* worker/worker.h: not for people */
        return tide_worker_main((unsigned)strtoul(argv[2], NULL, 10));
    if (argc == 3 && strcmp(name, "gate") == 0)
        return tide_cli_gate(argv[2]);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        int code = help(argc > 2 ? argc - 2 : 0, argv + 2);
        return argc > 1 ? code : TIDE_EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("tidemill " TIDE_VERSION);
        return TIDE_EXIT_GOOD;
    }
    command = find_command(name);
    return command ? run_command(command, argv[0], argc - 1, argv + 1) : unknown_command(name);
}
