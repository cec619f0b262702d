/*
 * Runs specs: `tidemill test`. Each file runs by busted in an unconfined Lua state of its own, as one task,
 * so that whatever waits just works in `it`. Beside it, in the same process and on the same loop, run the
 * bundles that the file asks for (tide.spec.bundle), each in its sandbox behind a listener on loopback, on
 * fresh backends: files in a temporary directory, or what is its own on the servers given. Nothing is faked:
 * requests are HTTP, messages go through the queue, files are files. Owns the loop while it runs. Used by the
 * command line.
 */
#ifndef TIDE_SPEC_SPEC_H
#define TIDE_SPEC_SPEC_H

#include "script/content.h"
#include "settings/settings.h"

/* URLs of servers; NULL: embedded. Each file gets a database of its own on `sql` and `blob`, a prefix for its
 * queues on `queue`. */
struct tide_spec_backends {
    const char *sql, *queue, *blob, *mail;
};

struct tide_spec_config {
    const struct tide_settings
        *settings; /* which bundles there are; the backends are replaced by fresh ones */
    struct tide_spec_backends backends;
    const char *options_json; /* for lua/runner.lua: {filter, tags, exclude_tags, color, maildir} */
    int64_t timeout_ms;       /* for one test; over it the process ends with status 1 */
    const char *bundle;       /* this one of the settings is loaded from `content`; NULL: all from the disk */
    const struct tide_content *content;
    struct tide_coverage *coverage; /* gets the lines of the bundles that run; NULL: not wanted */
    struct tide_buf *junit; /* gets an element <testsuite> of JUnit's XML for each file; NULL: not wanted */
    /* Told each file before it runs, and each bundle of the settings that it opens; NULL: nobody asks. */
    void (*on_file)(void *arg, const char *path);
    void (*on_use)(void *arg, const struct tide_settings_bundle *bundle);
    void *arg;
    bool keep; /* leaves the temporary directory and names it */
};

struct tide_spec_counts {
    unsigned passed, failed, skipped;
};

/* Runs one file, or of that the test at a line (0: all); adds to `counts` (which also number the lines of
 * output) and prints a line a test (TAP). What is left open or waits at the end is a failure. False: it could
 * not be run at all. */
TIDE_WARN_UNUSED bool tide_spec_run(const struct tide_spec_config *config, const char *file, int line,
                                    struct tide_spec_counts *counts, struct tide_err *err);

#endif
