/*
 * What is wrong with the files of an installation, as their author is told it: where, what, and what would be
 * right. Loads and `tidemill check` make findings; reports for people and editors are written from them. The
 * texts are owned by the findings. One thread at a time.
 */
#ifndef TIDE_BASE_FINDING_H
#define TIDE_BASE_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define TIDE_FINDINGS_MAX 1000 /* further ones are only counted */

struct tide_finding {
    bool warning;        /* it runs all the same */
    const char *code;    /* which kind: "syntax", "undefined", "call" */
    const char *file;    /* NULL: none has it, as a variable of the environment */
    int line, column;    /* from 1; 0: not known. Columns are bytes */
    int width;           /* bytes at the column that are meant */
    const char *source;  /* the line's text, or NULL */
    const char *message; /* one line */
    const char *more;    /* further lines, or NULL */
};

struct tide_findings {
    struct tide_finding *list;
    size_t count, errors, warnings;
};

void tide_findings_init(struct tide_findings *findings);
void tide_findings_release(struct tide_findings *findings);

/* Copies the texts. What is there already (two bundles may have found it) is left out; what there is no
 * memory for is counted alone. */
void tide_findings_add(struct tide_findings *findings, const struct tide_finding *finding);
/* Takes reports in words: lines "file:line: message", "file: message" or "message", each with indented lines
 * behind it. */
void tide_findings_add_text(struct tide_findings *findings, const char *code, const char *text);

enum tide_findings_style {
    TIDE_FINDINGS_PLAIN = 0,
    TIDE_FINDINGS_COLUMNS = 1, /* "file:line:column: error: message" rather than "file:line: message" */
    TIDE_FINDINGS_COLOUR = 2   /* escape sequences of terminals */
};

/* Appends all, each with its source line and a caret below what is meant; no end of line behind the last.
 * `style`: the above together. */
void tide_findings_text(const struct tide_findings *findings, int style, struct tide_buf *out);
/* Appends all in plain style and releases them. */
void tide_findings_report(struct tide_findings *findings, struct tide_buf *report);
/* Appends a JSON array of { file, line, column, severity, code, message, more }. */
void tide_findings_json(const struct tide_findings *findings, struct tide_buf *out);

#endif
