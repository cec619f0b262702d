#include "sql/mysql/text.h"

#include <string.h>
#include <strings.h>

/* Behind a comment at `text`; `text` itself when there is none. What is in a comment that MySQL runs, as
 * in "/" "*! ...", is text. */
static const char *skip_comment(const char *text)
{
    if (text[0] == '#' || (text[0] == '-' && text[1] == '-' && (!text[2] || strchr(" \t\r\n\f\v", text[2]))))
        return text + strcspn(text, "\n");
    if (text[0] == '/' && text[1] == '*' && text[2] != '!' && !(text[2] == 'M' && text[3] == '!')) {
        const char *end = strstr(text + 2, "*/");

        return end ? end + 2 : text + strlen(text);
    }
    return text;
}

static const char *skip_blank(const char *text, const char *blanks)
{
    for (;;) {
        const char *next = skip_comment(text + strspn(text, blanks));

        if (next == text)
            return text;
        text = next;
    }
}

/* Behind the quoted text that begins here; a doubled quote is just two of them. */
static const char *skip_quoted(const char *text)
{
    const char *end = strchr(text + 1, *text);

    return end ? end + 1 : text + strlen(text);
}

bool tide_mysql_next_statement(const char **at, const char **begin, size_t *len)
{
    const char *text = skip_blank(*at, " \t\r\n\f\v;"), *end = text;

    *begin = text;
    while (*text && *text != ';') {
        const char *next = skip_comment(text);

        if (next == text) {
            next = strchr("'\"`", *text) ? skip_quoted(text) : text + 1;
            if (!strchr(" \t\r\n\f\v", *text))
                end = next;
        }
        text = next;
    }
    *len = (size_t)(end - *begin);
    *at = text;
    return end > *begin;
}

static bool is_one_of(const char *word, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == len && strncasecmp(word, *words, len) == 0)
            return true;
    return false;
}

enum tide_mysql_kind tide_mysql_kind_of(const char *text)
{
    static const char *const reads[] = {"select", "values", "show", "describe", "desc", "explain", NULL};
    static const char *const writes[] = {"insert", "update", "delete", "replace", "with", "do", NULL};
    static const char *const denied[] = {
        "begin",  "start",   "commit",  "rollback", "savepoint",  "release", "set",  "use",  "lock",
        "unlock", "handler", "prepare", "execute",  "deallocate", "xa",      "call", "load", NULL};
    size_t len;

    text = skip_blank(text, " \t\r\n\f\v(");
    len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (is_one_of(text, len, reads))
        return TIDE_MYSQL_READS;
    if (is_one_of(text, len, writes))
        return TIDE_MYSQL_WRITES;
    return (len == 0 && *text) || is_one_of(text, len, denied) ? TIDE_MYSQL_DENIED : TIDE_MYSQL_OTHER;
}
