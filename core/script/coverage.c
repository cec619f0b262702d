#include "script/coverage.h"

#include <stdlib.h>
#include <string.h>

struct tide_coverage {
    struct tide_coverage_file *list;
    size_t count;
    size_t last; /* the file of the line before, most likely that of the next */
};

struct tide_coverage *tide_coverage_new(void)
{
    struct tide_coverage *coverage = calloc(1, sizeof *coverage);

    if (!coverage)
        abort(); /* 24 bytes: nothing sensible can be done without them */
    return coverage;
}

void tide_coverage_free(struct tide_coverage *coverage)
{
    for (size_t i = 0; coverage && i < coverage->count; i++) {
        free(coverage->list[i].path);
        free(coverage->list[i].hits);
        free(coverage->list[i].code);
    }
    if (coverage)
        free(coverage->list);
    free(coverage);
}

/* ---- a file ---- */

static struct tide_coverage_file *find(struct tide_coverage *coverage, const char *path)
{
    if (coverage->last < coverage->count && strcmp(coverage->list[coverage->last].path, path) == 0)
        return &coverage->list[coverage->last];
    for (coverage->last = 0; coverage->last < coverage->count; coverage->last++)
        if (strcmp(coverage->list[coverage->last].path, path) == 0)
            return &coverage->list[coverage->last];
    return NULL;
}

static struct tide_coverage_file *find_or_add(struct tide_coverage *coverage, const char *path)
{
    struct tide_coverage_file *file = find(coverage, path), *grown;
    char *copy;

    if (file)
        return file;
    grown = realloc(coverage->list, (coverage->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    coverage->list = grown;
    copy = strdup(path);
    if (!copy)
        return NULL;
    grown[coverage->count] = (struct tide_coverage_file){.path = copy};
    return &grown[coverage->count++];
}

static bool reach(struct tide_coverage_file *file, int line)
{
    unsigned *hits;
    bool *code;

    if (line <= file->lines)
        return true;
    hits = realloc(file->hits, (size_t)line * sizeof *hits);
    if (hits)
        file->hits = hits;
    code = realloc(file->code, (size_t)line * sizeof *code);
    if (code)
        file->code = code;
    if (!hits || !code)
        return false;
    memset(hits + file->lines, 0, (size_t)(line - file->lines) * sizeof *hits);
    memset(code + file->lines, 0, (size_t)(line - file->lines) * sizeof *code);
    file->lines = line;
    return true;
}

void tide_coverage_add(struct tide_coverage *coverage, const char *path, int line)
{
    struct tide_coverage_file *file = find_or_add(coverage, path);

    if (file && line > 0 && reach(file, line))
        file->code[line - 1] = true;
}

void tide_coverage_hit(struct tide_coverage *coverage, const char *path, int line)
{
    struct tide_coverage_file *file = find(coverage, path);

    if (file && line > 0 && line <= file->lines && file->code[line - 1])
        file->hits[line - 1]++;
}

/* ---- the result ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct tide_coverage_file *)a)->path, ((const struct tide_coverage_file *)b)->path);
}

size_t tide_coverage_files(struct tide_coverage *coverage, const struct tide_coverage_file **list)
{
    if (coverage->count)
        qsort(coverage->list, coverage->count, sizeof *coverage->list, by_path);
    *list = coverage->list;
    return coverage->count;
}
