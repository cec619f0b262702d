/* tidemill queue: beside a running engine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "cli/bundles.h"
#include "cli/command.h"

#define MAX_QUEUES 1000
#define MAX_SHOWN 100

static int fail(const struct tide_err *err)
{
    return tide_cli_fail("%s", err->message);
}

/* Of C0, or of C1, whose first byte is 0xC2. */
static bool is_control(const char *text, size_t len)
{
    unsigned char c = (unsigned char)text[len - 1];

    return len == 1 ? c < 0x20 || c == 0x7f : len == 2 && (unsigned char)*text == 0xC2 && c < 0xA0;
}

/* A terminal is not told what a message says. Bytes that are no UTF-8 are shown as U+FFFD. */
static void print_text(const char *text, size_t len)
{
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = tide_utf8_len(text + i, len - i);
        if (n == 0)
            fputs("\xEF\xBF\xBD", stdout);
        else if (is_control(text + i, n))
            putchar(' ');
        else
            fwrite(text + i, 1, n, stdout);
    }
}

static void print_json_text(const char *text, size_t len)
{
    struct tide_buf json;

    tide_buf_init(&json, 8 << 20);
    tide_buf_json(&json, text, len);
    fputs(json.data, stdout);
    tide_buf_release(&json);
}

/* ---- the queues there are: those with messages, and those that bundles declare ---- */

struct queues {
    struct tide_queue_stat stats[MAX_QUEUES];
    size_t count;
};

static bool has(const struct queues *queues, const char *name)
{
    for (size_t i = 0; i < queues->count; i++)
        if (strcmp(queues->stats[i].queue, name) == 0)
            return true;
    return false;
}

static void add_declared(struct queues *queues, const struct tide_bundle *bundle)
{
    const struct tide_declaration *list;
    size_t count = tide_bundle_declarations(bundle, &list);

    for (size_t i = 0; i < count && queues->count < MAX_QUEUES; i++) {
        bool queue = list[i].type == TIDE_DECLARED_CONSUMER || list[i].type == TIDE_DECLARED_PUBLISHER;
        if (queue && !has(queues, list[i].name))
            snprintf(queues->stats[queues->count++].queue, sizeof queues->stats[0].queue, "%s", list[i].name);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tide_queue_stat *)a)->queue, ((const struct tide_queue_stat *)b)->queue);
}

/* Bundles that can't be loaded are left out: their messages may be what one is here for. */
static void add_all_declared(struct queues *queues, const struct tide_settings *settings)
{
    struct tide_cli_bundles all;
    struct tide_findings findings;
    bool good;

    tide_findings_init(&findings);
    good = tide_cli_bundles_load(&all, settings, &findings);
    tide_findings_release(&findings);
    if (!good)
        return;
    for (size_t i = 0; i < settings->bundle_count; i++)
        if (all.bundles[i])
            add_declared(queues, all.bundles[i]);
    tide_cli_bundles_release(&all);
}

/* NULL with err. */
static struct queues *find_queues(struct tide_queue_broker *broker, const struct tide_settings *settings,
                                  struct tide_err *err)
{
    struct queues *queues = calloc(1, sizeof *queues);
    int count;

    if (!queues) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    add_all_declared(queues, settings);
    count = tide_queue_stats(broker, queues->stats, (int)queues->count, MAX_QUEUES, err);
    if (count < 0) {
        free(queues);
        return NULL;
    }
    queues->count = (size_t)count;
    qsort(queues->stats, queues->count, sizeof queues->stats[0], by_name);
    return queues;
}

static int unknown_queue(const struct queues *queues, const char *name)
{
    const char *names[MAX_QUEUES], *nearest;

    for (size_t i = 0; i < queues->count; i++)
        names[i] = queues->stats[i].queue;
    nearest = tide_suggest(name, names, queues->count);
    return tide_cli_fail("there is no queue '%s': no bundle declares it and it has no messages%s%s%s", name,
                         nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

/* ---- verbs ---- */

static int list_json(const struct queues *queues)
{
    putchar('[');
    for (size_t i = 0; i < queues->count; i++) {
        const struct tide_queue_stat *stat = &queues->stats[i];
        printf("%s{\"queue\":\"%s\",\"ready\":%" PRId64 ",\"delayed\":%" PRId64 ",\"leased\":", i ? "," : "",
               stat->queue, stat->ready, stat->delayed);
        if (stat->leased < 0)
            fputs("null", stdout);
        else
            printf("%" PRId64, stat->leased);
        printf(",\"dead\":%" PRId64 "}", stat->dead);
    }
    puts("]");
    return TIDE_EXIT_GOOD;
}

static int list(const struct tide_cli *cli, const struct queues *queues)
{
    if (tide_cli_value(cli, "json"))
        return list_json(queues);
    printf("%-24s %8s %8s %8s %8s\n", "queue", "ready", "delayed", "leased", "dead");
    for (size_t i = 0; i < queues->count; i++) {
        const struct tide_queue_stat *stat = &queues->stats[i];
        char leased[24] = "-";

        if (stat->leased >= 0)
            snprintf(leased, sizeof leased, "%" PRId64, stat->leased);
        printf("%-24s %8" PRId64 " %8" PRId64 " %8s %8" PRId64 "\n", stat->queue, stat->ready, stat->delayed,
               leased, stat->dead);
    }
    return TIDE_EXIT_GOOD;
}

static void show_json(const struct tide_queue_dead *message, bool first)
{
    printf("%s{\"id\":%" PRId64 ",\"attempts\":%u,\"published_ms\":%" PRId64 ",\"died_ms\":%" PRId64
           ",\"code\":",
           first ? "" : ",\n ", message->id, message->attempts, message->published_ms, message->died_ms);
    print_json_text(message->code ? message->code : "", message->code ? strlen(message->code) : 0);
    fputs(",\"reason\":", stdout);
    print_json_text(message->reason ? message->reason : "", message->reason ? strlen(message->reason) : 0);
    fputs(",\"payload\":", stdout);
    print_json_text(message->payload, message->len);
    putchar('}');
}

static void show_text(const struct tide_queue_dead *message)
{
    char published[25];

    tide_clock_format(message->published_ms, published);
    printf("%" PRId64 "  published %s, %u attempt%s", message->id, published, message->attempts,
           message->attempts == 1 ? "" : "s");
    if (message->code && *message->code) {
        printf("\n    %s: ", message->code);
        print_text(message->reason ? message->reason : "", message->reason ? strlen(message->reason) : 0);
    }
    fputs("\n    ", stdout);
    print_text(message->payload, message->len);
    putchar('\n');
}

static const char *state_of(const struct tide_cli *cli)
{
    const char *state = tide_cli_value(cli, "state");

    return state ? state : "dead";
}

static int show(const struct tide_cli *cli, struct tide_queue_broker *broker)
{
    const char *limit = tide_cli_value(cli, "limit");
    bool json = tide_cli_value(cli, "json") != NULL;
    struct tide_queue_dead *messages = NULL;
    struct tide_err err;
    int max = limit ? atoi(limit) : MAX_SHOWN, count;

    if (max < 1 || max > 100000)
        return tide_cli_usage(cli, "--limit is a number from 1 to 100000");
    count = tide_queue_list(broker, cli->argv[1], state_of(cli), max, &messages, &err);
    if (count < 0)
        return fail(&err);
    if (json)
        putchar('[');
    for (int i = 0; i < count; i++) {
        if (json)
            show_json(&messages[i], i == 0);
        else
            show_text(&messages[i]);
    }
    if (json)
        puts("]");
    else if (count == 0)
        printf("no %s message in the queue '%s'\n", state_of(cli), cli->argv[1]);
    tide_queue_dead_free(messages, count);
    return TIDE_EXIT_GOOD;
}

static int retry(const struct tide_cli *cli, struct tide_queue_broker *broker)
{
    bool all = tide_cli_value(cli, "all") != NULL;
    struct tide_err err;
    int64_t id = 0, count;
    char *end = NULL;

    if (all == (cli->argc == 3))
        return tide_cli_usage(cli, "retry: which one? Give an id, or --all");
    if (!all) {
        id = strtoll(cli->argv[2], &end, 10);
        if (*end || id <= 0)
            return tide_cli_usage(cli, "'%s' is not the id of a message", cli->argv[2]);
    }
    count = tide_queue_dead_retry(broker, cli->argv[1], id, &err);
    if (count < 0)
        return fail(&err);
    if (count == 0 && !all)
        return tide_cli_fail("no dead letter %" PRId64 " in the queue '%s'", id, cli->argv[1]);
    printf("%" PRId64 " back in the queue '%s'\n", count, cli->argv[1]);
    return TIDE_EXIT_GOOD;
}

static int purge(const struct tide_cli *cli, struct tide_queue_broker *broker)
{
    struct tide_err err;
    int64_t count = tide_queue_purge(broker, cli->argv[1], state_of(cli), &err);

    if (count < 0)
        return fail(&err);
    printf("%" PRId64 " %s deleted from the queue '%s'\n", count, state_of(cli), cli->argv[1]);
    return TIDE_EXIT_GOOD;
}

static const struct {
    const char *name;
    int least, most;
    int (*run)(const struct tide_cli *cli, struct tide_queue_broker *broker); /* NULL: list */
} verbs[] = {{"list", 1, 1, NULL}, {"show", 2, 2, show}, {"retry", 2, 3, retry}, {"purge", 2, 2, purge}};

static int run_verb(const struct tide_cli *cli, const struct tide_settings *settings,
                    struct tide_queue_broker *broker, size_t verb)
{
    struct tide_err err;
    struct queues *queues = find_queues(broker, settings, &err);
    int code;

    if (!queues)
        return fail(&err);
    if (!verbs[verb].run)
        code = list(cli, queues);
    else if (!has(queues, cli->argv[1]))
        code = unknown_queue(queues, cli->argv[1]);
    else
        code = verbs[verb].run(cli, broker);
    free(queues);
    return code;
}

static int with_broker(const struct tide_cli *cli, const struct tide_settings *settings, size_t verb)
{
    struct tide_services services;
    struct tide_err err;
    struct tide_log log;
    uv_loop_t loop;
    int code;

    tide_cli_log(&log);
    uv_loop_init(&loop);
    if (tide_services_open(&services, settings, TIDE_WITH_QUEUE, &loop, &log, NULL, &err)) {
        code = run_verb(cli, settings, services.queue, verb);
        tide_services_close(&services);
    } else {
        code = fail(&err);
    }
    tide_services_close_loop(&loop, &log);
    return code;
}

int tide_cli_queue(struct tide_cli *cli)
{
    struct tide_settings settings;
    size_t verb;
    int code;

    for (verb = 0; verb < 4 && strcmp(verbs[verb].name, cli->argv[0]) != 0; verb++)
        ;
    if (verb == 4)
        return tide_cli_usage(cli, "'%s' is none of list, show, retry, purge", cli->argv[0]);
    if (cli->argc < verbs[verb].least)
        return tide_cli_usage(cli, "%s: QUEUE is missing", cli->argv[0]);
    if (cli->argc > verbs[verb].most)
        return tide_cli_usage(cli, "%s: too many words", cli->argv[0]);
    if (!tide_cli_settings(cli, &settings))
        return TIDE_EXIT_FAILED;
    code =
        tide_cli_has_data(&settings, settings.queue) ? with_broker(cli, &settings, verb) : TIDE_EXIT_FAILED;
    tide_settings_release(&settings);
    return code;
}
