/* The table behind settings/settings.h; for the files of this folder alone. */
#ifndef TIDE_SETTINGS_TABLE_H
#define TIDE_SETTINGS_TABLE_H

#include "settings/document.h"
#include "settings/settings.h"

enum tide_setting_type {
    TIDE_SETTING_TEXT,
    TIDE_SETTING_ADDRESS, /* "host:port" or "off" */
    TIDE_SETTING_NAMES,   /* a list, kept as "a,b" */
    TIDE_SETTING_COUNT,
    TIDE_SETTING_DURATION,
    TIDE_SETTING_SIZE,
    TIDE_SETTING_CHOICE
};

struct tide_setting {
    const char *name; /* "limits.head" */
    enum tide_setting_type type;
    size_t offset; /* in struct tide_settings: char * for TEXT, ADDRESS and NAMES, int64_t for the others */
    const char *fallback; /* {data}: the value of `data`; NULL: none, or found out at the start */
    const char *example;
    const char *doc;
    int64_t min, max;           /* of COUNT, DURATION (ms), SIZE (bytes) */
    const char *const *choices; /* of CHOICE, ended by NULL; the value is the index */
};

#define TIDE_SETTINGS 40 /* at most */
extern const struct tide_setting tide_settings_table[];
extern const size_t tide_settings_count;

/* NULL: no such setting. */
const struct tide_setting *tide_setting_find(const char *name);
/* Whether "limits", "log", ... is the name of a table of settings. */
bool tide_setting_is_group(const char *name);
/* The word nearest to an unknown name, with the list of what is known at that level: "(did you mean 'x'?)\n
 * known: ...". */
void tide_setting_unknown(const char *name, struct tide_buf *report);

/* The setting's value as text from a node of the file, appended to out. False: report has the rest of a line
 * "expected ...". */
bool tide_setting_text(const struct tide_setting *setting, const struct tide_node *node, struct tide_buf *out,
                       struct tide_buf *report);
/* Parses text into the settings. False: report has the rest of a line. */
bool tide_setting_apply(const struct tide_setting *setting, const char *text, struct tide_settings *settings,
                        struct tide_buf *report);
/* The parsed value as text and back, for the export: numbers in ms and bytes, "" for none. */
void tide_setting_print(const struct tide_setting *setting, const struct tide_settings *settings,
                        struct tide_buf *out);
bool tide_setting_restore(const struct tide_setting *setting, const char *text,
                          struct tide_settings *settings);
/* Whether its field is a text. */
bool tide_setting_is_text(const struct tide_setting *setting);
/* "TIDEMILL_LIMITS_HEAD" */
void tide_setting_variable(const char *name, char *out, size_t size);
/* A bundle's name as the key of a table in the settings file: shop, ["my-shop"]. Cut off at size. */
void tide_setting_key(const char *bundle, char *out, size_t size);
/* Checks "host:port", "[v6]:port". */
bool tide_setting_is_address(const char *text);

#endif
