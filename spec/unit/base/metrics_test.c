#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/metrics_slab.h"

static struct tide_metrics *map(int fd)
{
    struct tide_err err = {0};
    struct tide_metrics *metrics = tide_metrics_map(fd, &err);

    if (!metrics)
        fail_msg("%s", err.message);
    return metrics;
}

/* The rendered text, until the next call. */
static const char *render(struct tide_metrics *const *slabs, size_t count)
{
    static char text[1 << 16];
    struct tide_buf buf;

    tide_buf_init(&buf, sizeof text - 1);
    tide_metrics_render(slabs, count, &buf);
    assert_false(buf.overflow);
    memcpy(text, buf.data, buf.len + 1);
    tide_buf_release(&buf);
    return text;
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;

    while ((text = strstr(text, what))) {
        text++;
        n++;
    }
    return n;
}

static void finds_what_it_added(void **state)
{
    struct tide_metrics *m = map(-1);
    struct tide_metric *a = tide_metrics_get(m, TIDE_METRIC_COUNTER, "a_total", NULL, "help");
    struct tide_metric *b = tide_metrics_get(m, TIDE_METRIC_COUNTER, "a_total", "x=\"1\"", "help");

    (void)state;
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a, tide_metrics_get(m, TIDE_METRIC_COUNTER, "a_total", "", "other help"));
    assert_ptr_equal(b, tide_metrics_get(m, TIDE_METRIC_COUNTER, "a_total", "x=\"1\"", NULL));
    tide_metric_add(a, 2);
    tide_metric_add(a, 0.5);
    assert_true(tide_metric_value(a) == 2.5);
    assert_true(tide_metric_value(b) == 0);
    tide_metrics_unmap(m);
}

static void renders_the_text_format(void **state)
{
    struct tide_metrics *m = map(-1);
    struct tide_buf labels;

    (void)state;
    tide_buf_init(&labels, 256);
    tide_metrics_label(&labels, "route", "GET \"/x\\\n\x01");
    tide_metrics_label(&labels, "status", "200");
    tide_metric_add(tide_metrics_get(m, TIDE_METRIC_COUNTER, "b_total", labels.data, "Requests\\\nserved."),
                    3);
    tide_metric_add(tide_metrics_get(m, TIDE_METRIC_COUNTER, "b_total", "route=\"A\"", "Requests\\\nserved."),
                    1e15);
    tide_metric_set(tide_metrics_get(m, TIDE_METRIC_GAUGE, "a_gauge", NULL, "A gauge."), -1.5);
    tide_metric_set(tide_metrics_get(m, TIDE_METRIC_GAUGE, "z_inf", NULL, NULL), INFINITY);
    assert_string_equal(
        render(&m, 1),
        "# HELP a_gauge A gauge.\n# TYPE a_gauge gauge\na_gauge -1.5\n"
        "# HELP b_total Requests\\\\ served.\n# TYPE b_total counter\n"
        "b_total{route=\"A\"} 1000000000000000\n"
        "b_total{route=\"GET \\\"/x\\\\\\n?\",status=\"200\"} 3\n"
        "# HELP z_inf \n# TYPE z_inf gauge\nz_inf +Inf\n"
        "# HELP tidemill_metrics_dropped_total Uses of a series that found no place in the slab or whose "
        "name or "
        "type is wrong.\n# TYPE tidemill_metrics_dropped_total counter\ntidemill_metrics_dropped_total 0\n");
    tide_buf_release(&labels);
    tide_metrics_unmap(m);
}

static void renders_histograms(void **state)
{
    struct tide_metrics *m = map(-1);
    struct tide_metric *h = tide_metrics_get(m, TIDE_METRIC_HISTOGRAM, "d_seconds", "q=\"v\"", "Time.");
    const char *text;

    (void)state;
    tide_metric_observe(h, 0.001);
    tide_metric_observe(h, 0.25);
    tide_metric_observe(h, 0.3);
    tide_metric_observe(h, 1000);
    tide_metric_observe(h, NAN);
    assert_true(tide_metric_value(h) == 4);
    text = render(&m, 1);
    assert_non_null(strstr(text, "# TYPE d_seconds histogram\nd_seconds_bucket{q=\"v\",le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{q=\"v\",le=\"0.1\"} 1\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{q=\"v\",le=\"0.25\"} 2\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{q=\"v\",le=\"0.5\"} 3\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{q=\"v\",le=\"300\"} 3\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{q=\"v\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "d_seconds_count{q=\"v\"} 4\n"));
    assert_non_null(strstr(text, "d_seconds_sum{q=\"v\"} 1000.55"));
    tide_metrics_unmap(m);
}

static void sums_slabs(void **state)
{
    struct tide_metrics *m[3] = {map(-1), map(-1), map(-1)};
    const char *text;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tide_metric_add(tide_metrics_get(m[i], TIDE_METRIC_COUNTER, "n_total", NULL, "N."), i + 1);
        tide_metric_observe(tide_metrics_get(m[i], TIDE_METRIC_HISTOGRAM, "d_seconds", NULL, "D."), 0.002);
    }
    tide_metric_add(tide_metrics_get(m[2], TIDE_METRIC_COUNTER, "only_total", NULL, "O."), 1);
    /* One process thinks otherwise about the type of n_total. */
    tide_metric_set(tide_metrics_get(m[0], TIDE_METRIC_GAUGE, "t", NULL, "T."), 7);
    tide_metric_add(tide_metrics_get(m[1], TIDE_METRIC_COUNTER, "t", NULL, "T."), 5);
    text = render(m, 3);
    assert_non_null(strstr(text, "\nn_total 6\n"));
    assert_non_null(strstr(text, "d_seconds_bucket{le=\"0.0025\"} 3\n"));
    assert_non_null(strstr(text, "\nonly_total 1\n"));
    assert_int_equal(occurrences(text, "# TYPE n_total "), 1);
    assert_int_equal(occurrences(text, "# TYPE t "), 1);
    assert_int_equal(occurrences(text, "\nt "), 1);
    for (i = 0; i < 3; i++)
        tide_metrics_unmap(m[i]);
}

static void drops_what_does_not_fit(void **state)
{
    struct tide_metrics *m = map(-1);
    char name[TIDE_METRICS_LABELS + 16];
    struct tide_metric *discard, *first;
    int i;

    (void)state;
    discard = tide_metrics_get(m, TIDE_METRIC_COUNTER, "bad name", NULL, NULL);
    assert_non_null(discard);
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "", NULL, NULL));
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "1a", NULL, NULL));
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, name, NULL, NULL));
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "ok", name, NULL));
    assert_ptr_not_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "ok", NULL, name));
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_GAUGE, "ok", NULL, NULL));
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_GAUGE, "ok", "a=\"b\"", NULL));
    tide_metric_add(discard, -1);
    tide_metric_observe(discard, 1);
    first = tide_metrics_get(m, TIDE_METRIC_COUNTER, "ok", NULL, NULL);
    for (i = 1; i < TIDE_METRICS_MAX; i++) {
        snprintf(name, sizeof name, "i=\"%d\"", i);
        assert_ptr_not_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "ok", name, NULL));
    }
    assert_ptr_equal(discard, tide_metrics_get(m, TIDE_METRIC_COUNTER, "one_more", NULL, NULL));
    assert_ptr_equal(first, tide_metrics_get(m, TIDE_METRIC_COUNTER, "ok", NULL, NULL));
    assert_int_equal(m->slab->dropped, 8);
    tide_metrics_unmap(m);
}

static void a_memfd_is_shared_and_survives_its_writer(void **state)
{
    int fd = memfd_create("metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING), status;
    struct tide_metrics *reader = map(fd), *writer;
    const char *text;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        writer = tide_metrics_map(fd, NULL);
        tide_metric_add(tide_metrics_get(writer, TIDE_METRIC_COUNTER, "n_total", NULL, "N."), 2);
        tide_metric_set(tide_metrics_get(writer, TIDE_METRIC_GAUGE, "open", NULL, "O."), 9);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(render(&reader, 1), "\nn_total 2\n"));
    writer = map(fd); /* the next worker goes on where the last one ended */
    tide_metrics_take_over(writer);
    tide_metric_add(tide_metrics_get(writer, TIDE_METRIC_COUNTER, "n_total", NULL, "N."), 1);
    text = render(&reader, 1);
    assert_non_null(strstr(text, "\nn_total 3\n"));
    assert_non_null(strstr(text, "\nopen 0\n"));
    assert_int_equal(occurrences(text, "\nn_total "), 1);
    assert_int_equal(ftruncate(fd, 0), -1);
    tide_metrics_unmap(writer);
    tide_metrics_unmap(reader);
    close(fd);
}

/* The supervisor forks a new worker from a mapping whose index never saw the dead worker's entries. */
static void a_forked_mapping_learns_of_entries(void **state)
{
    struct tide_metrics *m = map(-1);
    int i, status;

    (void)state;
    for (i = 0; i < 2; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            tide_metric_add(tide_metrics_get(m, TIDE_METRIC_COUNTER, "n_total", NULL, "N."), 1);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_non_null(strstr(render(&m, 1), "\nn_total 2\n"));
    assert_int_equal(m->slab->count, 1);
    tide_metrics_unmap(m);
}

static void refuses_another_file(void **state)
{
    int fd = memfd_create("other", MFD_CLOEXEC);
    struct tide_err err = {0};

    (void)state;
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_null(tide_metrics_map(fd, &err));
    assert_string_equal(err.code, TIDE_ERR_INVALID);
    assert_int_equal(ftruncate(fd, sizeof(struct tide_metrics_slab)), 0);
    assert_int_equal(pwrite(fd, "garbage!", 8, 0), 8);
    assert_null(tide_metrics_map(fd, &err));
    close(fd);
    assert_null(tide_metrics_map(fd, &err));
}

/* Whatever a dying writer left behind, a reader prints only lines that are well-formed. */
static void readers_survive_garbage(void **state)
{
    struct tide_metrics *m = map(-1);
    unsigned char *bytes = (unsigned char *)m->slab->entries;
    struct tide_buf buf;
    char *line, *save = NULL;
    size_t i;

    (void)state;
    tide_metric_add(tide_metrics_get(m, TIDE_METRIC_COUNTER, "good_total", NULL, "N."), 2);
    srand(1);
    for (i = sizeof(struct tide_metric); i < sizeof m->slab->entries; i++)
        bytes[i] = (unsigned char)rand();
    m->slab->count = UINT32_MAX;
    tide_buf_init(&buf, 64 << 20);
    tide_metrics_render(&m, 1, &buf);
    assert_false(buf.overflow);
    assert_non_null(strstr(buf.data, "good_total 2\n"));
    for (line = strtok_r(buf.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        assert_non_null(strchr(line, ' '));
    tide_buf_release(&buf);
    assert_non_null(tide_metrics_get(m, TIDE_METRIC_COUNTER, "good_total", NULL, "N."));
    assert_non_null(tide_metrics_get(m, TIDE_METRIC_COUNTER, "new_total", NULL, "N."));
    tide_metrics_unmap(m);
}

struct shared {
    struct tide_metric *counter, *histogram;
    struct tide_metrics *metrics;
    _Atomic int stop;
};

static void *update(void *arg)
{
    struct shared *shared = arg;
    int i;

    for (i = 0; i < 20000; i++) {
        tide_metric_add(shared->counter, 1);
        tide_metric_observe(shared->histogram, 0.01);
    }
    return NULL;
}

static void *scrape(void *arg)
{
    struct shared *shared = arg;
    struct tide_buf buf;

    tide_buf_init(&buf, 8 << 20);
    while (!shared->stop) {
        tide_buf_reset(&buf);
        tide_metrics_render(&shared->metrics, 1, &buf);
    }
    tide_buf_release(&buf);
    return NULL;
}

static void threads_lose_no_update(void **state)
{
    struct shared shared = {.metrics = map(-1)};
    pthread_t threads[3], reader;
    char labels[32];
    int i;

    (void)state;
    shared.counter = tide_metrics_get(shared.metrics, TIDE_METRIC_COUNTER, "n_total", NULL, "N.");
    shared.histogram = tide_metrics_get(shared.metrics, TIDE_METRIC_HISTOGRAM, "h_seconds", NULL, "H.");
    pthread_create(&reader, NULL, scrape, &shared);
    for (i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, update, &shared);
    for (i = 0; i < 300; i++) { /* series are added while they are read */
        snprintf(labels, sizeof labels, "i=\"%d\"", i);
        tide_metric_set(tide_metrics_get(shared.metrics, TIDE_METRIC_GAUGE, "g", labels, "G."), i);
    }
    for (i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    shared.stop = 1;
    pthread_join(reader, NULL);
    assert_true(tide_metric_value(shared.counter) == 60000);
    assert_true(tide_metric_value(shared.histogram) == 60000);
    tide_metrics_unmap(shared.metrics);
}

/* Kilobytes of our memory that are really there. */
static long resident(void)
{
    long size, pages;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &pages), 2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void an_idle_slab_costs_little_memory(void **state)
{
    long before = resident();
    struct tide_metrics *m = map(-1);
    char labels[32];
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        snprintf(labels, sizeof labels, "i=\"%d\"", i);
        tide_metrics_get(m, TIDE_METRIC_COUNTER, "n_total", labels, "N.");
    }
    assert_in_range(resident() - before, 0, 1024);
    assert_true(sizeof(struct tide_metrics_slab) > 1 << 20);
    tide_metrics_unmap(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_slab_costs_little_memory),
        cmocka_unit_test(finds_what_it_added),
        cmocka_unit_test(renders_the_text_format),
        cmocka_unit_test(renders_histograms),
        cmocka_unit_test(sums_slabs),
        cmocka_unit_test(drops_what_does_not_fit),
        cmocka_unit_test(a_memfd_is_shared_and_survives_its_writer),
        cmocka_unit_test(a_forked_mapping_learns_of_entries),
        cmocka_unit_test(refuses_another_file),
        cmocka_unit_test(readers_survive_garbage),
        cmocka_unit_test(threads_lose_no_update),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
