/*
 * The command line: each command is one file and one entry of the table in main.c, which names its operands
 * and options, so that parsing, errors and --help come from one place. Exit codes: 0 good, 1 failed, 2 wrong
 * usage.
 */
#ifndef TIDE_CLI_COMMAND_H
#define TIDE_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/log.h"
#include "settings/settings.h"

enum { TIDE_EXIT_GOOD = 0, TIDE_EXIT_FAILED = 1, TIDE_EXIT_USAGE = 2 };

struct tide_option {
    const char *name;     /* "quality"; NULL ends a table */
    char letter;          /* 'q', or NUL */
    const char *argument; /* "V2|192k"; NULL: a flag */
    const char *help;
};

struct tide_cli;

struct tide_command {
    const char *name;
    const char *operands;               /* "IN OUT", for the usage line */
    int least, most;                    /* operands */
    const char *summary;                /* one line */
    const char *text;                   /* what --help says beside; NULL: nothing */
    const struct tide_option *options;  /* NULL: none of its own */
    const struct tide_option *settings; /* those of the settings that it takes too; NULL: none */
    int (*run)(struct tide_cli *cli);
};

#define TIDE_CLI_VALUES 32
#define TIDE_CLI_REPORT (1 << 20) /* bytes, of what is wrong with the settings */

/* One call of one command. */
struct tide_cli {
    const struct tide_command *command;
    const char *program; /* as it was called */
    int argc;            /* operands */
    char **argv;
    struct {
        const char *name, *value;
    } values[TIDE_CLI_VALUES]; /* options as given */
    size_t value_count;
};

/* The option's value ("" for a flag), the last one given; NULL: not given. */
const char *tide_cli_value(const struct tide_cli *cli, const char *option);

/* "tidemill: ..." on stderr, and the code to return. */
int tide_cli_fail(const char *fmt, ...) TIDE_PRINTF(1, 2);
/* The same with a hint at --help. */
int tide_cli_usage(const struct tide_cli *cli, const char *fmt, ...) TIDE_PRINTF(2, 3);
/* The same for an operand that isn't there: the word of `operands` at the index. `verb`: "show: ", or "". */
int tide_cli_missing(const struct tide_cli *cli, const char *verb, const char *operands, int index);
/* Whether the directory `data` is there, or `url` has nothing in it, for commands that only look. False: told
 * on stderr. */
bool tide_cli_has_data(const struct tide_settings *settings, const char *url);

/* Loads the settings with the options given. False: told on stderr. */
bool tide_cli_settings(const struct tide_cli *cli, struct tide_settings *settings);
/* The same, and what is wrong with the settings goes to `report`; wrong usage to stderr. */
bool tide_cli_read_settings(const struct tide_cli *cli, struct tide_settings *settings,
                            struct tide_buf *report);
/* The directories of the plugins that the settings list, for what works without settings: NULL also when
 * those can't be loaded. The caller frees it. */
char *tide_cli_plugins(void);
/* A log for commands in the foreground: warnings and errors, on stderr. */
void tide_cli_log(struct tide_log *log);

extern const struct tide_option tide_settings_options[]; /* all */
extern const struct tide_option tide_remote_options[];   /* of commands that ask a running engine */
extern const struct tide_option tide_stores_options[];   /* of commands that only look into the backends */

int tide_cli_run(struct tide_cli *cli);
int tide_cli_check(struct tide_cli *cli);
int tide_cli_routes(struct tide_cli *cli);
int tide_cli_reload(struct tide_cli *cli);
int tide_cli_status(struct tide_cli *cli);
int tide_cli_migrate(struct tide_cli *cli);
int tide_cli_convert(struct tide_cli *cli);
int tide_cli_user(struct tide_cli *cli);
int tide_cli_queue(struct tide_cli *cli);
int tide_cli_test(struct tide_cli *cli);
/* `tidemill gate BUNDLE` (supervisor/gate.h): not for people. */
int tide_cli_gate(const char *name);
int tide_cli_new(struct tide_cli *cli);
int tide_cli_types(struct tide_cli *cli);

/* A file of core/cli/lua, as "new.init". NULL: told on stderr. */
const char *tide_cli_template(const char *name);
/* Writes DIR/.types/tide.lua and busted.lua and, unless there is one, DIR/.luarc.json. False: told on stderr.
 */
bool tide_cli_write_types(const char *dir);

#endif
