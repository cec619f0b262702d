#include "cli/help.h"

#include "bind/reference.h"

void tide_help_all(FILE *out, const struct tide_command *commands, size_t count)
{
    fputs("tidemill " TIDE_VERSION ": runs bundles of Lua scripts as HTTP services and queue consumers\n\n"
          "usage: tidemill COMMAND [options]\n\n",
          out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("  help       COMMAND, settings, or a name of the Lua API: tide, tide.queue\n\n"
          "tidemill COMMAND --help tells its options. Exit codes: 0 good, 1 failed, 2 wrong usage.\n",
          out);
}

static void print_options(FILE *out, const struct tide_option *options)
{
    char left[80];

    for (; options && options->name; options++) {
        char letter[8] = "    ";
        if (options->letter)
            snprintf(letter, sizeof letter, "-%c, ", options->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, options->name, options->argument ? " " : "",
                 options->argument ? options->argument : "");
        fprintf(out, "  %-34s %s\n", left, options->help);
    }
}

void tide_help_command(FILE *out, const struct tide_command *command)
{
    fprintf(out, "usage: tidemill %s%s%s%s\n%s\n", command->name, *command->operands ? " " : "",
            command->operands, command->options || command->settings ? " [options]" : "", command->summary);
    if (command->text)
        fprintf(out, "\n%s", command->text);
    if (command->options) {
        fputs("\noptions:\n", out);
        print_options(out, command->options);
    }
    if (command->settings) {
        fputs("\nsettings (tidemill help settings lists all):\n", out);
        print_options(out, tide_settings_options);
    }
}

int tide_help_api(const char *name)
{
    struct tide_buf text;
    struct tide_err err;
    bool good;

    tide_buf_init(&text, 1 << 20);
    good = tide_reference_help(name, &text, &err);
    if (good)
        fputs(text.data, stdout);
    tide_buf_release(&text);
    if (good)
        return TIDE_EXIT_GOOD;
    tide_cli_fail("%s", err.message);
    return TIDE_EXIT_USAGE;
}
