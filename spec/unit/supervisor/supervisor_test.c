/*
 * A whole engine: this executable is its own supervisor (in a child process) and, started again with the word
 * "worker", its workers. The bundle is written for the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "settings/settings.h"
#include "supervisor/supervisor.h"
#include "worker/worker.h"

static const char script[] = "tide.route('GET /here', function() return { here = true } end)\n"
                             "tide.route('GET /slow/{ms}', function(req)\n"
                             "  tide.sleep(req.params.ms .. 'ms')\n"
                             "  return { slept = req.params.ms }\n"
                             "end)\n";

static const char uses_all[] =
    "local sql, mail = tide.sql, tide.mail\n"
    "local files, jobs = tide.bucket('files'), tide.queue('jobs', { n = 'integer' })\n"
    "tide.route('GET /here', function() return { here = true } end)\n";

struct engine {
    char dir[64];
    char log[96];
    const char *data;
    rlim_t descriptors; /* soft limit, 0: as it is */
    const char *inner;  /* address of the bundle "inner", or NULL: there is none */
    pid_t pid;
    int web, admin; /* ports */
    int ready[2];   /* a pipe: the ports, once it is ready */
    char answer[65536];
};

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[160];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    struct engine *engine = calloc(1, sizeof *engine);
    char path[160];

    strcpy(engine->dir, "/tmp/tide-engine-XXXXXX");
    engine->data = "data";
    assert_non_null(mkdtemp(engine->dir));
    snprintf(engine->log, sizeof engine->log, "%s/log", engine->dir);
    snprintf(path, sizeof path, "%s/scripts", engine->dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/scripts/web", engine->dir);
    mkdir(path, 0700);
    write_file(path, "init.lua", script);
    *state = engine;
    return 0;
}

static int tear_down(void **state)
{
    struct engine *engine = *state;
    char command[128];

    if (engine->pid > 0) { /* a test failed */
        kill(engine->pid, SIGKILL);
        waitpid(engine->pid, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", engine->dir);
    assert_int_equal(system(command), 0);
    free(engine);
    return 0;
}

/* ---- the engine's process ---- */

static void tell_ports(void *arg, const struct tide_supervisor_listener *listeners, size_t count)
{
    struct engine *engine = arg;
    int ports[2] = {0, 0};

    for (size_t i = 0; i < count; i++)
        ports[strcmp(listeners[i].bundle, "admin") == 0] = listeners[i].port;
    if (write(engine->ready[1], ports, sizeof ports) != sizeof ports)
        abort();
}

static int run_engine(struct engine *engine, const char *const *settings)
{
    struct tide_supervisor_options options = {.ready = tell_ports, .arg = engine};
    struct tide_settings_override overrides[10];
    struct tide_settings_input input = {.overrides = overrides};
    struct tide_settings loaded;
    struct tide_buf report;

    for (; *settings; settings += 2)
        overrides[input.override_count++] =
            (struct tide_settings_override){settings[0], settings[1], settings[0]};
    if (engine->inner)
        overrides[input.override_count++] =
            (struct tide_settings_override){"listen.inner", engine->inner, "listen.inner"};
    tide_buf_init(&report, 65536);
    if (!tide_settings_load(&loaded, &input, &report)) {
        fprintf(stderr, "%s", report.data);
        return 99;
    }
    int code = tide_supervisor_run(&loaded, &options);
    tide_settings_release(&loaded);
    return code;
}

static void lower_descriptors(const struct engine *engine)
{
    struct rlimit limit;

    if (engine->descriptors == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = engine->descriptors;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        _exit(97);
}

static void spawn(struct engine *engine, const char *workers, const char *grace, const char *listen)
{
    const char *settings[] = {"workers", workers,        "grace",       grace,  "listen.web",
                              listen,    "listen.admin", "127.0.0.1:0", "data", engine->data,
                              "scripts", "scripts",      "log.format",  "json", NULL};
    int log;

    if (!listen) {
        settings[4] = "log.level";
        settings[5] = "debug";
    }
    assert_int_equal(pipe2(engine->ready, O_CLOEXEC), 0);
    fflush(NULL);
    engine->pid = fork();
    if (engine->pid == 0) {
        log = open(engine->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(log, STDERR_FILENO);
        if (chdir(engine->dir) != 0)
            _exit(98);
        lower_descriptors(engine);
        exit(run_engine(engine, settings));
    }
    close(engine->ready[1]);
}

static void wait_ready(struct engine *engine, int status);

/* Returns when every backend has answered. */
static void start(struct engine *engine, const char *workers, const char *grace)
{
    int ports[2];

    spawn(engine, workers, grace, "127.0.0.1:0");
    if (read(engine->ready[0], ports, sizeof ports) != sizeof ports)
        fail_msg("the engine did not become ready");
    close(engine->ready[0]);
    engine->web = ports[0];
    engine->admin = ports[1];
    wait_ready(engine, 200);
}

/* Waits for the engine's end; its exit code. */
static int wait_end(struct engine *engine)
{
    int64_t until = tide_clock_monotonic_ms() + 20000;
    int status;

    while (waitpid(engine->pid, &status, WNOHANG) == 0) {
        if (tide_clock_monotonic_ms() > until)
            fail_msg("the engine does not end");
        usleep(5000);
    }
    engine->pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int stop(struct engine *engine)
{
    kill(engine->pid, SIGTERM);
    return wait_end(engine);
}

static size_t count_in_log(const struct engine *engine, const char *text)
{
    static char log[1 << 20];
    int fd = open(engine->log, O_RDONLY);
    ssize_t n = read(fd, log, sizeof log - 1);
    size_t count = 0;

    close(fd);
    log[n > 0 ? n : 0] = '\0';
    for (const char *at = log; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* ---- its clients ---- */

/* A connection; -1 when nobody listens. */
static int reach(int port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 40};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static int ask(int port, const char *path)
{
    char request[256];
    int fd = reach(port);

    if (fd < 0)
        return -1;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

/* The whole answer; its status, 0 when the connection was cut before, -1 when nobody listens. */
static int hear(struct engine *engine, int fd)
{
    size_t len = 0;
    ssize_t n;

    if (fd < 0)
        return -1;
    while ((n = recv(fd, engine->answer + len, sizeof engine->answer - 1 - len, 0)) > 0)
        len += (size_t)n;
    close(fd);
    engine->answer[len] = '\0';
    return len > 12 ? atoi(engine->answer + 9) : 0;
}

static int get(struct engine *engine, int port, const char *path)
{
    return hear(engine, ask(port, path));
}

/* The pid of a worker, as /-/bundles tells it. */
static pid_t pid_of(struct engine *engine, int worker)
{
    char pattern[48];

    assert_int_equal(get(engine, engine->admin, "/-/bundles"), 200);
    snprintf(pattern, sizeof pattern, "{\"worker\":%d,\"pid\":", worker);
    const char *at = strstr(engine->answer, pattern);
    assert_non_null(at);
    return atoi(at + strlen(pattern));
}

static void wait_ready(struct engine *engine, int status)
{
    int64_t until = tide_clock_monotonic_ms() + 10000;

    while (get(engine, engine->admin, "/readyz") != status) {
        if (tide_clock_monotonic_ms() > until)
            fail_msg("/readyz does not become %d", status);
        usleep(2000);
    }
}

static void wait_log(const struct engine *engine, const char *text)
{
    int64_t until = tide_clock_monotonic_ms() + 10000;

    while (count_in_log(engine, text) == 0) {
        if (tide_clock_monotonic_ms() > until)
            fail_msg("the log does not say '%s'", text);
        usleep(2000);
    }
}

/* ---- the tests ---- */

static void serves_and_stops(void **state)
{
    struct engine *engine = *state;

    start(engine, "2", "5s");
    assert_int_equal(get(engine, engine->web, "/here"), 200);
    assert_non_null(strstr(engine->answer, "{\"here\":true}"));
    assert_int_equal(get(engine, engine->web, "/nowhere"), 404);
    assert_int_equal(get(engine, engine->admin, "/healthz"), 200);
    assert_int_equal(get(engine, engine->admin, "/readyz"), 200);
    assert_non_null(
        strstr(engine->answer, "\"ready\":true,\"missing\":[],\"workers\":2,\"ready_workers\":2"));
    assert_int_equal(get(engine, engine->admin, "/metrics"), 200);
    assert_non_null(strstr(engine->answer, "tidemill_workers{state=\"ready\"} 2"));
    assert_non_null(strstr(engine->answer, "process_resident_memory_bytes{process=\"worker-1\"}"));
    assert_int_equal(get(engine, engine->admin, "/other"), 404);
    assert_int_equal(stop(engine), 0);
    assert_int_equal(count_in_log(engine, "handles left open"), 0);
    assert_int_equal(count_in_log(engine, "worker exited"), 0); /* it is logged with another status than 0 */
    assert_int_equal(count_in_log(engine, "ERROR"), 0);         /* of a sanitizer */
    assert_int_equal(get(engine, engine->web, "/here"), -1);
}

/* Requests in flight point into the lists of what is declared. */
static void a_handler_declares_nothing(void **state)
{
    struct engine *engine = *state;

    write_file(engine->dir, "scripts/web/init.lua",
               "tide.route('GET /declare', function() tide.route('GET /late', function() end) end)\n");
    start(engine, "1", "5s");
    assert_int_equal(get(engine, engine->web, "/declare"), 500);
    assert_int_equal(get(engine, engine->web, "/late"), 404);
    assert_int_equal(count_in_log(engine, "declares, so it stands at the top of a file"), 1);
    assert_int_equal(stop(engine), 0);
}

static void replaces_a_killed_worker(void **state)
{
    struct engine *engine = *state;

    start(engine, "1", "5s");
    pid_t before = pid_of(engine, 0);
    kill(before, SIGKILL);
    wait_ready(engine, 503);
    assert_non_null(strstr(engine->answer, "worker 0: "));
    /* Nobody serves now: the connection waits in the supervisor's socket for the next worker. */
    assert_int_equal(get(engine, engine->web, "/here"), 200);
    wait_ready(engine, 200);
    assert_int_not_equal(pid_of(engine, 0), before);
    assert_int_equal(get(engine, engine->admin, "/metrics"), 200);
    assert_non_null(strstr(engine->answer, "tidemill_worker_restarts_total{worker=\"0\"} 1"));
    assert_int_equal(stop(engine), 0);
}

/* /readyz says 503 and names it. */
static void wait_missing(struct engine *engine, const char *name)
{
    int64_t until = tide_clock_monotonic_ms() + 10000;

    while (get(engine, engine->admin, "/readyz") != 503 || !strstr(engine->answer, name)) {
        if (tide_clock_monotonic_ms() > until)
            fail_msg("/readyz does not name %s: %s", name, engine->answer);
        usleep(2000);
    }
    assert_int_equal(get(engine, engine->admin, "/healthz"), 200);
}

static void tells_which_database_is_missing(void **state)
{
    static const char *const names[][2] = {{"auth.db", "[\"sql: "}, {"queue.db", "[\"queue: "}};
    struct engine *engine = *state;
    char path[160], away[176];

    write_file(engine->dir, "scripts/web/init.lua", uses_all);
    start(engine, "2", "5s");
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/data/%s", engine->dir, names[i][0]);
        snprintf(away, sizeof away, "%s.away", path);
        assert_int_equal(rename(path, away), 0);
        wait_missing(engine, names[i][1]);
        assert_int_equal(get(engine, engine->admin, i ? "/readyz?exclude=queue" : "/readyz?exclude=sql"),
                         200);
        assert_int_equal(get(engine, engine->admin, i ? "/readyz?exclude=sql" : "/readyz?exclude=queue"),
                         503);
        assert_int_equal(rename(away, path), 0);
        wait_ready(engine, 200);
    }
    assert_int_equal(get(engine, engine->admin, "/readyz?exclude=queue&exclude=mail"), 200);
    assert_int_equal(get(engine, engine->admin, "/readyz?exclude=que"), 400);
    assert_non_null(strstr(engine->answer, "exclude=sql, queue, blob or mail"));
    assert_int_equal(get(engine, engine->admin, "/readyz?only=queue"), 400);
    assert_true(count_in_log(engine, "backend answers again") >= 2);
    assert_int_equal(stop(engine), 0);
}

static void tells_which_directory_is_missing(void **state)
{
    struct engine *engine = *state;
    char command[160];

    write_file(engine->dir, "scripts/web/init.lua", uses_all);
    start(engine, "2", "5s");
    snprintf(command, sizeof command, "rm -r %s/data/mail/new", engine->dir);
    assert_int_equal(system(command), 0);
    wait_missing(engine, "[\"mail: ");
    snprintf(command, sizeof command, "rm -r %s/data/blobs/.tmp", engine->dir);
    assert_int_equal(system(command), 0);
    wait_missing(engine, "[\"blob: ");
    assert_int_equal(stop(engine), 0);
}

/* Nor are others opened, until a reload brings a script that uses them. */
static void asks_what_its_bundles_use_alone(void **state)
{
    static const char *const backends[] = {"auth.db", "queue.db", "blobs", "mail"};
    struct engine *engine = *state;
    char path[160];

    start(engine, "1", "5s");
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        snprintf(path, sizeof path, "%s/data/%s", engine->dir, backends[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
    write_file(engine->dir, "scripts/web/init.lua", uses_all);
    wait_log(engine, "\"reloaded\"");
    wait_ready(engine, 200);
    snprintf(path, sizeof path, "%s/data/queue.db", engine->dir);
    assert_int_equal(unlink(path), 0);
    wait_missing(engine, "[\"queue: ");
    assert_int_equal(stop(engine), 0);
}

/* A script that may compute for an hour stops its worker's loop: /readyz tells, then it is replaced. */
static void replaces_a_worker_that_does_not_answer(void **state)
{
    struct engine *engine = *state;

    write_file(engine->dir, "scripts/web/init.lua",
               "tide.route('GET /here', function() return { here = true } end)\n"
               "tide.route('GET /for-ever', { cpu = '1h' }, function() while true do end end)\n");
    start(engine, "1", "5s");
    pid_t before = pid_of(engine, 0);
    int stuck = ask(engine->web, "/for-ever");
    wait_missing(engine, "[\"worker 0: it does not answer\"");
    assert_int_equal(hear(engine, stuck), 0); /* killed */
    wait_ready(engine, 200);
    assert_int_not_equal(pid_of(engine, 0), before);
    assert_int_equal(get(engine, engine->web, "/here"), 200);
    assert_int_equal(count_in_log(engine, "worker does not answer: killed"), 1);
    assert_int_equal(stop(engine), 0);
}

/* What limits.connections allows is served, whatever a shell's soft limit is. */
static void raises_the_limit_of_descriptors(void **state)
{
    enum { CLIENTS = 200 };
    struct engine *engine = *state;
    int clients[CLIENTS];

    engine->descriptors = 100;
    start(engine, "1", "5s");
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask(engine->web, "/slow/300");
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(hear(engine, clients[i]), 200);
    assert_int_equal(count_in_log(engine, "accepting connections paused"), 0);
    assert_int_equal(stop(engine), 0);
}

/* Its worker is tried again and again, until what it needs is mended. */
static void tells_why_a_worker_can_not_be_replaced(void **state)
{
    struct engine *engine = *state;

    char path[160], away[176];

    write_file(engine->dir, "scripts/web/init.lua", uses_all);
    start(engine, "1", "5s");
    snprintf(path, sizeof path, "%s/data/queue.db", engine->dir);
    snprintf(away, sizeof away, "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    kill(pid_of(engine, 0), SIGKILL);
    wait_missing(engine, "[\"worker 0: dead: queue (");
    wait_log(engine, "worker can't start");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(away, path), 0);
    wait_ready(engine, 200);
    assert_int_equal(get(engine, engine->web, "/here"), 200);
    assert_int_equal(stop(engine), 0);
}

static void replaces_a_worker_by_what_the_others_run(void **state)
{
    struct engine *engine = *state;

    start(engine, "1", "5s");
    write_file(engine->dir, "scripts/web/init.lua", "tide.route('nonsense')\n");
    wait_log(engine, "reload refused");
    kill(pid_of(engine, 0), SIGKILL);
    wait_ready(engine, 503);
    wait_ready(engine, 200);
    assert_int_equal(get(engine, engine->web, "/here"), 200);
    assert_int_equal(stop(engine), 0);
}

static void finishes_what_is_in_flight(void **state)
{
    struct engine *engine = *state;

    start(engine, "1", "10s");
    int64_t before = tide_clock_monotonic_ms();
    int slow = ask(engine->web, "/slow/500");
    usleep(100000);
    assert_int_equal(stop(engine), 0);
    assert_true(tide_clock_monotonic_ms() - before >= 500);
    assert_int_equal(hear(engine, slow), 200);
    assert_non_null(strstr(engine->answer, "{\"slept\":\"500\"}"));
}

static void cuts_off_after_the_grace(void **state)
{
    struct engine *engine = *state;

    start(engine, "1", "200ms");
    int slow = ask(engine->web, "/slow/15000");
    usleep(100000);
    int64_t before = tide_clock_monotonic_ms();
    assert_int_equal(stop(engine), 0);
    assert_true(tide_clock_monotonic_ms() - before < 2000); /* by the worker itself, not killed */
    assert_int_not_equal(hear(engine, slow), 200);
    assert_int_equal(count_in_log(engine, "grace time is over"), 1);
    assert_int_equal(count_in_log(engine, "handles left open"), 0);
}

static void stops_at_once_when_told_twice(void **state)
{
    struct engine *engine = *state;

    start(engine, "1", "30s");
    int slow = ask(engine->web, "/slow/15000");
    usleep(100000);
    int64_t before = tide_clock_monotonic_ms();
    kill(engine->pid, SIGINT);
    usleep(100000);
    kill(engine->pid, SIGINT);
    assert_int_equal(wait_end(engine), 0);
    assert_true(tide_clock_monotonic_ms() - before < 3000);
    assert_int_not_equal(hear(engine, slow), 200);
}

static int free_port(void)
{
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof bound;

    assert_int_equal(bind(fd, (struct sockaddr *)&bound, sizeof bound), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
    close(fd);
    return ntohs(bound.sin_port);
}

/* The bundle "web" sleeps and then calls the bundle "inner". */
static void write_callers(struct engine *engine)
{
    static char address[32];
    char path[160], text[512];

    snprintf(address, sizeof address, "127.0.0.1:%d", free_port());
    engine->inner = address;
    snprintf(path, sizeof path, "%s/scripts/inner", engine->dir);
    mkdir(path, 0700);
    write_file(path, "init.lua", "tide.route('GET /answer', function() return { inner = true } end)\n");
    snprintf(text, sizeof text,
             "local inner = tide.upstream 'http://%s'\n"
             "tide.route('GET /relay/{ms}', function(req)\n"
             "  tide.sleep(req.params.ms .. 'ms')\n"
             "  return inner:get('/answer')\n"
             "end)\n",
             address);
    write_file(engine->dir, "scripts/web/init.lua", text);
}

/* SIGTERM closes the doors, not what the requests in flight behind them still call, in whatever worker. */
static void serves_upstreams_until_nothing_is_in_flight(void **state)
{
    enum { REQUESTS = 16 };
    struct engine *engine = *state;
    int slow[REQUESTS];

    write_callers(engine);
    start(engine, "2", "10s");
    for (int i = 0; i < REQUESTS; i++)
        slow[i] = ask(engine->web, "/relay/700");
    usleep(200000);
    kill(engine->pid, SIGTERM);
    wait_ready(engine, 503);
    assert_non_null(strstr(engine->answer, "engine: stopping"));
    assert_non_null(strstr(engine->answer, "Connection: close"));
    while (get(engine, engine->web, "/relay/1") != -1) /* its workers are about to close it */
        usleep(1000);
    for (int i = 0; i < REQUESTS; i++) {
        assert_int_equal(hear(engine, slow[i]), 200);
        assert_non_null(strstr(engine->answer, "{\"inner\":true}"));
    }
    assert_int_equal(wait_end(engine), 0);
    assert_int_equal(count_in_log(engine, "grace time is over"), 0);
}

/* A client that has connected may send its first request a moment later; one that is silent is not waited
 * for. */
static void answers_who_has_just_connected(void **state)
{
    static const char request[] = "GET /here HTTP/1.1\r\nHost: test\r\n\r\n";
    struct engine *engine = *state;

    start(engine, "1", "10s");
    int late = reach(engine->web), silent = reach(engine->web);
    kill(engine->pid, SIGTERM);
    wait_ready(engine, 503);
    assert_int_equal(send(late, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    assert_int_equal(hear(engine, late), 200);
    assert_non_null(strstr(engine->answer, "Connection: close"));
    assert_int_equal(hear(engine, silent), 0);
    assert_int_equal(wait_end(engine), 0);
    assert_int_equal(count_in_log(engine, "grace time is over"), 0);
}

/* A worker that is told to end by somebody else does so in the same way, and is replaced. */
static void a_worker_drains_alone(void **state)
{
    struct engine *engine = *state;

    write_callers(engine);
    start(engine, "1", "10s");
    int slow = ask(engine->web, "/relay/300");
    usleep(100000);
    pid_t before = pid_of(engine, 0);
    kill(before, SIGTERM);
    assert_int_equal(hear(engine, slow), 200);
    wait_ready(engine, 503);
    wait_ready(engine, 200);
    assert_int_not_equal(pid_of(engine, 0), before);
    assert_int_equal(get(engine, engine->web, "/relay/1"), 200);
    assert_int_equal(stop(engine), 0);
}

/* What a consumer has not finished within the grace is the next engine's, and costs it no attempt. */
static void hands_messages_back_after_the_grace(void **state)
{
    static const char consumer[] = "local q = tide.queue('work', { n = 'integer' })\n"
                                   "tide.route('GET /put', function()\n"
                                   "  assert(q:publish { n = 1 })\n"
                                   "  return { put = true }\n"
                                   "end)\n"
                                   "q:consume(function(job, about)\n"
                                   "  tide.log.info('got it', { attempt = about.attempt })\n"
                                   "  %s\n"
                                   "end)\n";
    struct engine *engine = *state;
    char text[1024];

    snprintf(text, sizeof text, consumer, "tide.sleep '15s'");
    write_file(engine->dir, "scripts/web/init.lua", text);
    start(engine, "1", "200ms");
    assert_int_equal(get(engine, engine->web, "/put"), 200);
    wait_log(engine, "got it");
    assert_int_equal(stop(engine), 0);
    snprintf(text, sizeof text, consumer, "");
    write_file(engine->dir, "scripts/web/init.lua", text);
    start(engine, "1", "5s");
    wait_log(engine, "\"outcome\":\"ack\"");
    assert_int_equal(count_in_log(engine, "\"attempt\":1"), 2); /* said by the script and by the engine */
    assert_int_equal(stop(engine), 0);
}

/* A message is no dead letter before its on_dead has ended well, or has failed for good. */
static void on_dead_is_tried_again(void **state)
{
    struct engine *engine = *state;

    write_file(engine->dir, "scripts/web/init.lua",
               "local q, times = tide.queue('work', { n = 'integer' }), 0\n"
               "tide.route('GET /put', function() return assert(q:publish { n = 1 }) and {} end)\n"
               "local function on_dead(job, why)\n"
               "  times = times + 1\n"
               "  if times == 1 then error 'not now' end\n"
               "  if times == 2 then return nil, tide.failure { code = 'busy', message = '-', retryable = "
               "true } end\n"
               "  tide.log.info('buried', { n = job.n, code = why.code })\n"
               "end\n"
               "q:consume({ attempts = 3, backoff = '10ms', on_dead = on_dead }, function()\n"
               "  tide.log.info 'tried'\n"
               "  return tide.reject 'never'\n"
               "end)\n");
    start(engine, "1", "5s");
    assert_int_equal(get(engine, engine->web, "/put"), 200);
    wait_log(engine, "\"outcome\":\"reject\"");
    assert_int_equal(count_in_log(engine, "\"outcome\":\"postpone\""), 2);
    assert_int_equal(count_in_log(engine, "\"on_dead failed\""), 2);
    assert_int_equal(count_in_log(engine, "\"tried\""), 1);
    assert_int_equal(count_in_log(engine, "\"buried\""), 1);
    assert_int_equal(count_in_log(engine, "\"code\":\"rejected\""),
                     4); /* thrice by the engine, once by on_dead */
    assert_int_equal(stop(engine), 0);
}

static void workers_die_with_their_supervisor(void **state)
{
    struct engine *engine = *state;
    char listen[32];

    start(engine, "2", "5s");
    int port = engine->web, slow = ask(port, "/slow/400");
    usleep(100000);
    kill(engine->pid, SIGKILL);
    waitpid(engine->pid, NULL, 0);
    assert_int_not_equal(hear(engine, slow), 200);
    /* The port is free, at once or in a moment: another engine may have it. */
    int ports[2];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    spawn(engine, "1", "5s", listen);
    assert_int_equal(read(engine->ready[0], ports, sizeof ports), sizeof ports);
    close(engine->ready[0]);
    assert_int_equal(ports[0], port);
    assert_int_equal(get(engine, port, "/here"), 200);
    assert_int_equal(stop(engine), 0);
}

static void refuses_a_second_engine(void **state)
{
    struct engine *engine = *state, second;
    char holder[64];

    start(engine, "1", "5s");
    second = *engine;
    snprintf(second.log, sizeof second.log, "%s/second.log", engine->dir);
    spawn(&second, "1", "5s", "127.0.0.1:0");
    assert_int_equal(wait_end(&second), 1);
    close(second.ready[0]);
    snprintf(holder, sizeof holder, "the engine with pid %d works in the data directory 'data'",
             (int)engine->pid);
    assert_int_equal(count_in_log(&second, holder), 1);
    assert_int_equal(get(engine, engine->web, "/here"), 200); /* the first does not mind */
    assert_int_equal(stop(engine), 0);
}

static void tells_who_holds_its_port(void **state)
{
    struct engine *engine = *state, second;
    char listen[32], holder[32];

    start(engine, "1", "5s");
    second = *engine;
    snprintf(second.log, sizeof second.log, "%s/second.log", engine->dir);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", engine->web);
    second.data = "other";
    spawn(&second, "1", "5s", listen);
    assert_int_equal(wait_end(&second), 1);
    close(second.ready[0]);
    snprintf(holder, sizeof holder, "pid %d)", (int)engine->pid);
    assert_int_equal(count_in_log(&second, holder), 1);
    assert_int_equal(count_in_log(&second, "listen.web: 127.0.0.1:"), 1);
    assert_int_equal(count_in_log(&second, "TIDEMILL_LISTEN_WEB"), 1);
    assert_int_equal(stop(engine), 0);
}

static void tells_once_why_it_cannot_start(void **state)
{
    struct engine *engine = *state;

    write_file(engine->dir, "scripts/web/init.lua", "local x = 1\nx.y.z = 2\n");
    spawn(engine, "3", "5s", "127.0.0.1:0");
    assert_int_equal(wait_end(engine), 1);
    close(engine->ready[0]);
    assert_int_equal(count_in_log(engine, "init.lua:2: "), 1);
}

static void wants_an_address_for_routes(void **state)
{
    struct engine *engine = *state;

    spawn(engine, "2", "5s", NULL);
    assert_int_equal(wait_end(engine), 1);
    close(engine->ready[0]);
    assert_int_equal(count_in_log(engine, "the bundle 'web' has routes but no address"), 1);
    assert_int_equal(count_in_log(engine, "TIDEMILL_LISTEN_WEB"), 1);
}

static void applies_the_schema_first(void **state)
{
    struct engine *engine = *state;
    char path[160];

    snprintf(path, sizeof path, "%s/scripts/web/schema", engine->dir);
    mkdir(path, 0700);
    write_file(path, "001_broken.sql", "CREATE TABLE oops (");
    spawn(engine, "1", "5s", "127.0.0.1:0");
    assert_int_equal(wait_end(engine), 1);
    close(engine->ready[0]);
    assert_int_equal(count_in_log(engine, "001_broken.sql"), 1);
    write_file(path, "001_broken.sql", "CREATE TABLE fine (id INTEGER PRIMARY KEY);");
    start(engine, "1", "5s");
    assert_int_equal(stop(engine), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_and_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handler_declares_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_a_killed_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_which_database_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_which_directory_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_what_its_bundles_use_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_why_a_worker_can_not_be_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_a_worker_by_what_the_others_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_a_worker_that_does_not_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(raises_the_limit_of_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finishes_what_is_in_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cuts_off_after_the_grace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_once_when_told_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(serves_upstreams_until_nothing_is_in_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_who_has_just_connected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_drains_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hands_messages_back_after_the_grace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(on_dead_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_die_with_their_supervisor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_second_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_who_holds_its_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_once_why_it_cannot_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wants_an_address_for_routes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(applies_the_schema_first, set_up, tear_down),
    };

    if (argc == 3 && strcmp(argv[1], "worker") == 0)
        return tide_worker_main((unsigned)atoi(argv[2]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
