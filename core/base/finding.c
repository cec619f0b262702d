#include "base/finding.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void tide_findings_init(struct tide_findings *findings)
{
    *findings = (struct tide_findings){0};
}

static void release(struct tide_finding *finding)
{
    free((char *)finding->file);
    free((char *)finding->source);
    free((char *)finding->message);
    free((char *)finding->more);
}

void tide_findings_release(struct tide_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        release(&findings->list[i]);
    free(findings->list);
    *findings = (struct tide_findings){0};
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_there(const struct tide_findings *findings, const struct tide_finding *finding)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].line == finding->line && same_text(findings->list[i].file, finding->file) &&
            same_text(findings->list[i].message, finding->message))
            return true;
    return false;
}

void tide_findings_add(struct tide_findings *findings, const struct tide_finding *finding)
{
    struct tide_finding *grown;

    if (is_there(findings, finding))
        return;
    if (finding->warning)
        findings->warnings++;
    else
        findings->errors++;
    if (findings->count == TIDE_FINDINGS_MAX)
        return;
    grown = realloc(findings->list, (findings->count + 1) * sizeof *grown);
    if (!grown)
        return;
    findings->list = grown;
    grown += findings->count++;
    *grown = *finding;
    grown->file = copy(finding->file);
    grown->source = copy(finding->source);
    grown->message = copy(finding->message);
    grown->more = copy(finding->more);
}

/* ---- from words ---- */

/* Where "file:12: " or "file: " ends; 0: the line begins with neither. A file's name has a '.' or '/'. */
static size_t place_of(const char *line, size_t len, size_t *file_len, int *number)
{
    const char *colon = memchr(line, ':', len), *end = line + len;
    char *after;

    *file_len = 0;
    *number = 0;
    if (!colon || !(memchr(line, '.', (size_t)(colon - line)) || memchr(line, '/', (size_t)(colon - line))) ||
        memchr(line, ' ', (size_t)(colon - line)))
        return 0;
    *file_len = (size_t)(colon - line);
    if (isdigit((unsigned char)colon[1])) {
        *number = (int)strtol(colon + 1, &after, 10);
        colon = after;
    }
    if (end - colon < 2 || colon[0] != ':' || colon[1] != ' ')
        return *file_len = 0;
    return (size_t)(colon + 2 - line);
}

/* The first line of `text` and the indented ones behind it; their length. */
static size_t paragraph(const char *text)
{
    size_t len = strcspn(text, "\n");

    while (text[len] == '\n' && text[len + 1] == ' ')
        len += 1 + strcspn(text + len + 1, "\n");
    return len;
}

void tide_findings_add_text(struct tide_findings *findings, const char *code, const char *text)
{
    while (*text) {
        size_t len = paragraph(text), first = strcspn(text, "\n"), file_len;
        struct tide_finding finding = {.code = code};
        size_t place = place_of(text, first, &file_len, &finding.line);
        char *file = strndup(text, file_len), *message = strndup(text + place, first - place);
        char *more = len > first ? strndup(text + first + 1, len - first - 1) : NULL;

        finding.file = file_len ? file : NULL;
        finding.message = message;
        finding.more = more;
        if (len > 0)
            tide_findings_add(findings, &finding);
        free(file);
        free(message);
        free(more);
        text += len + (text[len] == '\n');
    }
}

/* ---- to words ---- */

static void put_place(const struct tide_finding *finding, int style, struct tide_buf *out)
{
    if (!finding->file)
        return;
    tide_buf_puts(out, finding->file);
    if (finding->line)
        tide_buf_printf(out, ":%d", finding->line);
    if (finding->column && (style & TIDE_FINDINGS_COLUMNS))
        tide_buf_printf(out, ":%d", finding->column);
    tide_buf_puts(out, ": ");
}

/* Tabs stay what they are, so that the caret stands below its word. */
static void put_caret(const struct tide_finding *finding, struct tide_buf *out)
{
    for (const char *c = finding->source; c < finding->source + finding->column - 1; c++)
        tide_buf_putc(out, *c == '\t' ? '\t' : ' ');
    tide_buf_putc(out, '^');
    for (int i = 1; i < finding->width; i++)
        tide_buf_putc(out, '~');
}

static void put_source(const struct tide_finding *finding, const char *mark, const char *end,
                       struct tide_buf *out)
{
    tide_buf_printf(out, "\n%7d | %s", finding->line, finding->source);
    if (finding->width == 0)
        return;
    tide_buf_printf(out, "\n          %s", mark);
    put_caret(finding, out);
    tide_buf_puts(out, end);
}

static void put_text(const struct tide_finding *finding, int style, struct tide_buf *out)
{
    bool colour = style & TIDE_FINDINGS_COLOUR;
    const char *mark = !colour ? "" : finding->warning ? "\033[1;35m" : "\033[1;31m";
    const char *bold = colour ? "\033[1m" : "", *end = colour ? "\033[0m" : "";

    tide_buf_puts(out, bold);
    put_place(finding, style, out);
    tide_buf_puts(out, end);
    if (style & TIDE_FINDINGS_COLUMNS)
        tide_buf_printf(out, "%s%s:%s ", mark, finding->warning ? "warning" : "error", end);
    tide_buf_printf(out, "%s%s%s", bold, finding->message ? finding->message : "out of memory", end);
    if (finding->source)
        put_source(finding, mark, end, out);
    if (finding->more)
        tide_buf_printf(out, "\n%s", finding->more);
}

void tide_findings_text(const struct tide_findings *findings, int style, struct tide_buf *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (i > 0)
            tide_buf_putc(out, '\n');
        put_text(&findings->list[i], style, out);
    }
}

void tide_findings_report(struct tide_findings *findings, struct tide_buf *report)
{
    tide_findings_text(findings, TIDE_FINDINGS_PLAIN, report);
    tide_findings_release(findings);
}

static void put_string(struct tide_buf *out, const char *name, const char *text)
{
    tide_buf_printf(out, "\"%s\":", name);
    if (text)
        tide_buf_json(out, text, strlen(text));
    else
        tide_buf_puts(out, "null");
}

void tide_findings_json(const struct tide_findings *findings, struct tide_buf *out)
{
    tide_buf_putc(out, '[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct tide_finding *finding = &findings->list[i];

        tide_buf_puts(out, i ? ",\n {" : "{");
        put_string(out, "file", finding->file);
        tide_buf_printf(out, ",\"line\":%d,\"column\":%d,\"severity\":\"%s\",\"code\":\"%s\",", finding->line,
                        finding->column, finding->warning ? "warning" : "error", finding->code);
        put_string(out, "message", finding->message);
        tide_buf_putc(out, ',');
        put_string(out, "more", finding->more);
        tide_buf_putc(out, '}');
    }
    tide_buf_puts(out, "]\n");
}
