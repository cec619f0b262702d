#include "cli/coverage.h"

#include <errno.h>
#include <stdio.h>

struct sum {
    int code, hit; /* lines */
};

static struct sum sum_of(const struct tide_coverage_file *file)
{
    struct sum sum = {0};

    for (int i = 0; i < file->lines; i++) {
        sum.code += file->code[i];
        sum.hit += file->hits[i] > 0;
    }
    return sum;
}

static void print_row(const char *name, const struct sum *sum)
{
    printf("# %-44s %5d %5d %6.1f%%", name, sum->code, sum->hit,
           sum->code ? 100.0 * sum->hit / sum->code : 100);
}

/* The lines with code that did not run, as "12, 40-44": lines without code don't part a range. */
static void print_missed(const struct tide_coverage_file *file)
{
    const char *separator = "  ";

    for (int i = 0, first, last; i < file->lines; i++) {
        if (!file->code[i] || file->hits[i])
            continue;
        for (first = last = i; i < file->lines && !file->hits[i]; i++)
            if (file->code[i])
                last = i;
        printf(first == last ? "%s%d" : "%s%d-%d", separator, first + 1, last + 1);
        separator = ", ";
    }
}

void tide_coverage_print(struct tide_coverage *coverage)
{
    const struct tide_coverage_file *list;
    size_t count = tide_coverage_files(coverage, &list);
    struct sum total = {0};

    printf("# %-44s %5s %5s %7s  %s\n", "coverage", "lines", "hit", "percent", "not run");
    for (size_t i = 0; i < count; i++) {
        struct sum sum = sum_of(&list[i]);

        print_row(list[i].path, &sum);
        print_missed(&list[i]);
        putchar('\n');
        total.code += sum.code;
        total.hit += sum.hit;
    }
    print_row("all", &total);
    putchar('\n');
}

static void write_file(FILE *out, const struct tide_coverage_file *file)
{
    struct sum sum = sum_of(file);

    fprintf(out, "TN:\nSF:%s\n", file->path);
    for (int i = 0; i < file->lines; i++)
        if (file->code[i])
            fprintf(out, "DA:%d,%u\n", i + 1, file->hits[i]);
    fprintf(out, "LF:%d\nLH:%d\nend_of_record\n", sum.code, sum.hit);
}

bool tide_coverage_write(struct tide_coverage *coverage, const char *path, struct tide_err *err)
{
    const struct tide_coverage_file *list;
    size_t count = tide_coverage_files(coverage, &list);
    FILE *out = fopen(path, "we");

    if (!out)
        return tide_err_errno(err, errno, path);
    for (size_t i = 0; i < count; i++)
        write_file(out, &list[i]);
    return fclose(out) == 0 || tide_err_errno(err, errno, path);
}
