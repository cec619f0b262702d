#include "cli/help.h"

#include <stdlib.h>

#include "bind/reference.h"

void tide_help_all(FILE *out, const struct tide_command *commands, size_t count)
{
    fputs("tidemill " TIDE_VERSION ": runs bundles of Lua scripts as HTTP services and queue consumers\n\n"
          "usage: tidemill COMMAND [options]\n\n",
          out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("  help       COMMAND, settings, a setting, or a name of the Lua API: tide, tide.queue\n\n"
          "tidemill COMMAND --help tells its options. Exit codes: 0 good, 1 failed, 2 wrong usage.\n",
          out);
}

/* "-q, --quality V0..V9|64k..320k" */
static int write_option(char *text, size_t size, const struct tide_option *option)
{
    char letter[8] = "    ";

    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    return snprintf(text, size, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
                    option->argument ? option->argument : "");
}

static int widest(const struct tide_option *options, int width)
{
    char left[80];

    for (; options && options->name; options++) {
        int this = write_option(left, sizeof left, options);
        width = this > width ? this : width;
    }
    return width;
}

static void print_options(FILE *out, const struct tide_option *options, int width)
{
    char left[80];

    for (; options->name; options++) {
        write_option(left, sizeof left, options);
        fprintf(out, "  %-*s  %s\n", width, left, options->help);
    }
}

void tide_help_command(FILE *out, const struct tide_command *command)
{
    int width = widest(command->options, widest(command->settings, 0));

    fprintf(out, "usage: tidemill %s%s%s%s\n%s\n", command->name, *command->operands ? " " : "",
            command->operands, command->options || command->settings ? " [options]" : "", command->summary);
    if (command->text)
        fprintf(out, "\n%s", command->text);
    if (command->options) {
        fputs("\noptions:\n", out);
        print_options(out, command->options, width);
    }
    if (command->settings) {
        fputs("\nsettings (tidemill help settings lists all):\n", out);
        print_options(out, command->settings, width);
    }
}

bool tide_help_api(const char *name, struct tide_err *err)
{
    char *plugins = tide_cli_plugins();
    struct tide_buf text;
    bool good;

    tide_buf_init(&text, 1 << 20);
    good = tide_reference_help(name, plugins, &text, err);
    if (good)
        fputs(text.data, stdout);
    tide_buf_release(&text);
    free(plugins);
    return good;
}
