#include "http/disposition.h"

#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "http/framing.h"
#include "http/url.h"

#define MAX_FILENAME 255 /* bytes, as of file systems */

static char *skip_space(char *text)
{
    return text + strspn(text, " \t");
}

/* RFC 9110 lets a backslash quote any byte, browsers quote nothing by it and send "C:\a.mp4": so only \" and
 * \\. */
static char *unquote(char *text, char **end)
{
    char *to = ++text, *start = to;

    while (*text && *text != '"') {
        if (*text == '\\' && (text[1] == '"' || text[1] == '\\'))
            text++;
        *to++ = *text++;
    }
    if (*text != '"')
        return NULL;
    *end = text + 1;
    *to = '\0';
    return start;
}

/* Behind a value only spaces may stand before the next ';' or the end. */
static bool ends_well(const char *text)
{
    text += strspn(text, " \t");
    return *text == ';' || *text == '\0';
}

int tide_parameter_next(char **text, char **name, char **value)
{
    char *at = *text + strspn(*text, " \t;"), *end = NULL;
    size_t len = strcspn(at, "= \t;\"");

    if (*at == '\0')
        return 0;
    if (len == 0 || at[len] != '=')
        return -1;
    *name = at;
    at += len;
    *at++ = '\0';
    if (*at == '"') {
        *value = unquote(at, &end);
        *text = end;
        return *value && ends_well(end) ? 1 : -1;
    }
    *value = at;
    end = at + strcspn(at, "; \t");
    *text = *end ? end + 1 : end;
    if (end == at || !ends_well(end))
        return -1;
    *end = '\0';
    return 1;
}

/* WHATWG's form encoding: a quote in a name is sent as %22, line ends as %0D and %0A; nothing else is
 * escaped. */
static void unescape_form(char *text)
{
    char *to = text;

    while (*text) {
        if (strncmp(text, "%22", 3) == 0) {
            *to++ = '"';
            text += 3;
        } else if (strncasecmp(text, "%0d", 3) == 0 || strncasecmp(text, "%0a", 3) == 0) {
            text += 3;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

/* RFC 8187: UTF-8'language'percent-encoded. NULL when it is something else. */
static char *extended(char *value)
{
    char *text;

    if (strncasecmp(value, "UTF-8'", 6) != 0 || !(text = strchr(value + 6, '\'')))
        return NULL;
    text++;
    return tide_url_decode(text, strlen(text), TIDE_URL_PATH, text, NULL) ? text : NULL;
}

static char *base_name(char *filename)
{
    char *at, *to;

    for (at = filename; *at; at++)
        if (*at == '/' || *at == '\\')
            filename = at + 1;
    for (at = to = filename; *at; at++)
        if ((unsigned char)*at >= 0x20 && *at != 0x7f)
            *to++ = *at;
    *to = '\0';
    if (strcmp(filename, ".") == 0 || strcmp(filename, "..") == 0)
        *filename = '\0';
    return filename;
}

static const char *check_names(const struct tide_part_head *head)
{
    if (!tide_utf8_valid(head->name, strlen(head->name)))
        return "a part's name is not UTF-8";
    if (!head->filename)
        return NULL;
    if (!tide_utf8_valid(head->filename, strlen(head->filename)))
        return "a part's file name is not UTF-8";
    return strlen(head->filename) > MAX_FILENAME ? "a part's file name is over 255 bytes" : NULL;
}

static const char *parse_disposition(char *value, struct tide_part_head *head)
{
    char *text = value + strcspn(value, "; \t"), *name, *found, *plain = NULL, *better = NULL;
    int more;

    if (text - value != 9 || strncasecmp(value, "form-data", 9) != 0)
        return "a part's Content-Disposition is not form-data";
    while ((more = tide_parameter_next(&text, &name, &found)) > 0) {
        if (strcasecmp(name, "name") == 0 && !head->name)
            head->name = found;
        else if (strcasecmp(name, "filename") == 0 && !plain)
            plain = found;
        else if (strcasecmp(name, "filename*") == 0 && !better)
            better = extended(found);
        else if (strcasecmp(name, "name") == 0 || strcasecmp(name, "filename") == 0)
            return "a part's Content-Disposition has a parameter twice";
    }
    if (more < 0)
        return "a part's Content-Disposition is malformed";
    if (!head->name)
        return "a part has no name";
    unescape_form((char *)(size_t)head->name);
    if (plain)
        unescape_form(plain);
    if (plain || better)
        head->filename = base_name(better ? better : plain);
    return check_names(head);
}

static const char *parse_line(char *line, struct tide_part_head *head, bool *disposition)
{
    char *colon = strchr(line, ':'), *value, *end;

    if (!colon || !tide_framing_name_ok(line, (size_t)(colon - line)))
        return "a part's header is malformed";
    value = skip_space(colon + 1);
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = '\0';
    if (!tide_framing_value_ok(value, strlen(value)))
        return "a part's header has a control character";
    *colon = '\0';
    if (strcasecmp(line, "Content-Type") == 0) {
        head->content_type = value;
    } else if (strcasecmp(line, "Content-Transfer-Encoding") == 0) {
        if (strcasecmp(value, "binary") != 0 && strcasecmp(value, "8bit") != 0 &&
            strcasecmp(value, "7bit") != 0)
            return "a part's Content-Transfer-Encoding is not supported";
    } else if (strcasecmp(line, "Content-Disposition") == 0) {
        if (*disposition)
            return "a part has two Content-Disposition headers";
        *disposition = true;
        return parse_disposition(value, head);
    }
    return NULL;
}

const char *tide_part_head_parse(char *text, struct tide_part_head *head)
{
    const char *fault = NULL;
    bool disposition = false;
    char *end;

    memset(head, 0, sizeof *head);
    while (!fault && *text && (end = strstr(text, "\r\n"))) {
        *end = '\0';
        fault = parse_line(text, head, &disposition);
        text = end + 2;
    }
    return !fault && !disposition ? "a part has no Content-Disposition" : fault;
}
