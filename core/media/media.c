#include "media/media.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/job.h"

#define HELPER "tidemill-media"
#define EXIT_GRACE_MS 5000 /* between the child's last word and its end */

/* ---- the end of a job ---- */

static void handle_closed(uv_handle_t *handle)
{
    struct tide_media_job *job = handle->data;

    if (--job->open_handles > 0)
        return;
    free(job->in);
    free(job->data);
    free(job);
}

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, handle_closed);
}

static void kill_child(struct tide_media_job *job)
{
    if (!job->process.pid || job->exited || job->killed)
        return;
    job->killed = true;
    tide_media_process_kill(&job->process);
}

/* The process' own handle stays until the process was reaped. */
static void close_all(struct tide_media_job *job)
{
    job->ended = true;
    close_handle(&job->channel);
    close_handle(&job->complaints);
    close_handle(&job->timer);
    if (job->exited)
        close_handle(&job->process.end);
}

void tide_media_job_fail(struct tide_media_job *job, const struct tide_err *err)
{
    if (!job->err.code)
        job->err = *err;
    kill_child(job);
}

static void judge_signal(struct tide_media_job *job, struct tide_err *err)
{
    switch (job->exit_signal) {
    case SIGXCPU:
        tide_err_set(err, TIDE_ERR_LIMIT, false, "more CPU time than %lld ms",
                     (long long)job->start.start.max_cpu_ms);
        break;
    case SIGSYS:
        tide_err_set(err, TIDE_MEDIA_CRASHED, true,
                     "the media helper was ended for a sandbox violation (SIGSYS)");
        break;
    case SIGKILL:
        tide_err_set(err, TIDE_MEDIA_CRASHED, true,
                     "the media helper was killed (SIGKILL), perhaps for want of memory");
        break;
    default:
        tide_err_set(err, TIDE_MEDIA_CRASHED, true, "the media helper died of signal %d (SIG%s)",
                     job->exit_signal, sigabbrev_np(job->exit_signal) ? sigabbrev_np(job->exit_signal) : "?");
    }
}

/* Fills job->err unless the job succeeded. A child that we killed is judged by why we did. */
static void judge(struct tide_media_job *job)
{
    if (job->killed && (job->err.code || job->has_result))
        return;
    if (job->exit_signal != 0)
        judge_signal(job, &job->err);
    else if (job->exit_status != 0 || (!job->err.code && !job->has_result))
        tide_err_set(&job->err, TIDE_MEDIA_CRASHED, true,
                     "the media helper ended with status %d and no result", job->exit_status);
}

static void log_failure(struct tide_media_job *job)
{
    bool crashed = strcmp(job->err.code, TIDE_MEDIA_CRASHED) == 0;

    tide_log_event(job->log, crashed ? TIDE_LOG_WARN : TIDE_LOG_INFO, "media job failed",
                   tide_log_str("code", job->err.code), tide_log_str("reason", job->err.message),
                   tide_log_int("pid", job->process.pid),
                   tide_log_str("helper_output", job->complaint_len ? job->complaint : NULL));
}

static void finish(struct tide_media_job *job)
{
    tide_media_done_cb *done = job->request.done;
    const struct tide_err *err;

    judge(job);
    err = job->err.code ? &job->err : NULL;
    if (err)
        log_failure(job);
    close_all(job);
    done(job->request.arg, err ? NULL : &job->result, err);
}

static void alloc_in(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void channel_readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void tide_media_job_check(struct tide_media_job *job)
{
    bool decided = job->err.code || job->has_result;

    if (job->ended || job->in_frames)
        return;
    if (job->exited && !job->input_busy && !job->output_busy && (decided || job->channel_ended))
        finish(job);
    else if (!decided && !job->output_busy && !job->channel_ended)
        uv_read_start((uv_stream_t *)&job->channel, alloc_in, channel_readable);
    else
        uv_read_stop((uv_stream_t *)&job->channel);
}

/* ---- the child's streams, its exit, the clock ---- */

/* Only called while the sink holds no bytes of the buffer, so they may be moved. There is always room, as no
 * frame is longer than the buffer and complete ones were taken off. */
static void alloc_in(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tide_media_job *job = handle->data;

    (void)suggested;
    if (job->in_begin > 0)
        memmove(job->in, job->in + job->in_begin, job->in_end - job->in_begin);
    job->in_end -= job->in_begin;
    job->in_begin = 0;
    *buf = uv_buf_init(job->in + job->in_end, (unsigned)(TIDE_MEDIA_IN_MAX - job->in_end));
}

static void channel_readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tide_media_job *job = stream->data;

    (void)buf;
    if (n < 0)
        job->channel_ended = true;
    else
        job->in_end += (size_t)n;
    tide_media_job_frames(job);
    tide_media_job_check(job);
}

static void alloc_complaint(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tide_media_job *job = handle->data;

    (void)suggested;
    if (job->complaint_len == TIDE_MEDIA_COMPLAINT_MAX) {
        /* The child must not hang on a full pipe: the rest goes over the last bytes. */
        job->complaint_len -= 256;
    }
    *buf = uv_buf_init(job->complaint + job->complaint_len,
                       (unsigned)(TIDE_MEDIA_COMPLAINT_MAX - job->complaint_len));
}

static void complaint_readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tide_media_job *job = stream->data;

    (void)buf;
    if (n < 0)
        uv_read_stop(stream);
    else
        job->complaint_len += (size_t)n;
    job->complaint[job->complaint_len] = '\0';
}

static void child_exited(struct tide_media_process *process, int status, int signal_number)
{
    struct tide_media_job *job = process->end.data;

    job->exited = true;
    job->exit_status = status;
    job->exit_signal = signal_number;
    if (job->ended)
        close_handle(&job->process.end);
    else
        tide_media_job_check(job);
}

static void time_over(uv_timer_t *timer)
{
    struct tide_media_job *job = timer->data;
    struct tide_err err;

    if (job->has_result || job->err.code) {
        kill_child(job);
        return;
    }
    tide_err_set(&err, TIDE_ERR_TIMEOUT, true, "not done after %lld ms", (long long)job->timeout_ms);
    tide_media_job_fail(job, &err);
    tide_media_job_check(job);
}

void tide_media_job_decided(struct tide_media_job *job)
{
    uv_timer_start(&job->timer, time_over, EXIT_GRACE_MS, 0);
}

/* ---- start ---- */

static bool find_helper(const char *given, char *path, size_t size, struct tide_err *err)
{
    const char *from_env = getenv("TIDEMILL_MEDIA_HELPER");
    size_t len = size;
    char *slash;

    if (given || from_env) {
        snprintf(path, size, "%s", given ? given : from_env);
    } else {
        if (uv_exepath(path, &len) != 0 || !(slash = strrchr(path, '/')) ||
            (size_t)(slash - path) + sizeof "/" HELPER > size)
            return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the way to " HELPER " cannot be found");
        memcpy(slash, "/" HELPER, sizeof "/" HELPER);
    }
    if (access(path, X_OK) != 0)
        return tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the media helper %.200s cannot be started: %s",
                            path, strerror(errno));
    return true;
}

/* The child gets none of our environment, where secrets are, but what its loader and sanitizers need. */
static void make_environment(char *environment[8], char *space, size_t size)
{
    static const char *const names[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS"};
    static char locale[] = "LC_ALL=C";
    size_t used = 0, count = 0;

    environment[count++] = locale;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        size_t need = value ? strlen(names[i]) + strlen(value) + 2 : 0;

        if (need == 0 || need > size - used)
            continue;
        environment[count++] = space + used;
        used += (size_t)snprintf(space + used, size - used, "%s=%s", names[i], value) + 1;
    }
    environment[count] = NULL;
}

static void init_handles(struct tide_media_job *job, uv_loop_t *loop)
{
    uv_pipe_init(loop, &job->channel, 0);
    uv_pipe_init(loop, &job->complaints, 0);
    uv_timer_init(loop, &job->timer);
    job->channel.data = job->complaints.data = job->timer.data = job;
    job->open_handles = 3;
}

/* A stream to the child. `*theirs` is above the descriptors that a child has, so that none of them lies in
 * its way even when this process was started without some of its first three. */
static int make_stream(uv_pipe_t *ours, int *theirs)
{
    int ends[2], rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    *theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, TIDE_MEDIA_CHANNEL_FD + 1);
    rc = *theirs < 0 ? -errno : uv_pipe_open(ours, ends[0]);
    close(ends[1]);
    if (rc != 0)
        close(ends[0]);
    return rc;
}

static int spawn(struct tide_media_job *job, uv_loop_t *loop, const char *path)
{
    char *environment[8], space[4096];
    int channel = -1, complaints = -1, rc;

    make_environment(environment, space, sizeof space);
    rc = make_stream(&job->channel, &channel);
    if (rc == 0)
        rc = make_stream(&job->complaints, &complaints);
    if (rc == 0)
        rc = tide_media_process_start(loop, &job->process, path, environment, channel, complaints,
                                      child_exited);
    if (channel >= 0)
        close(channel);
    if (complaints >= 0)
        close(complaints);
    if (rc != 0)
        return rc;
    job->process.end.data = job;
    job->open_handles++;
    uv_read_start((uv_stream_t *)&job->complaints, alloc_complaint, complaint_readable);
    uv_read_start((uv_stream_t *)&job->channel, alloc_in, channel_readable);
    uv_timer_start(&job->timer, time_over, (uint64_t)job->timeout_ms, 0);
    return 0;
}

static void start_written(uv_write_t *write, int status)
{
    /* A child that could not be written to is noticed by its exit. */
    (void)write;
    (void)status;
}

static bool launch(struct tide_media_job *job, uv_loop_t *loop, struct tide_err *err)
{
    uv_buf_t message =
        uv_buf_init((char *)&job->start, (unsigned)(sizeof job->start.frame + job->start.frame.length));
    char path[1024];
    int rc;

    if (!find_helper(job->request.helper, path, sizeof path, err)) {
        free(job->in);
        free(job);
        return false;
    }
    init_handles(job, loop);
    rc = spawn(job, loop, path);
    if (rc == 0)
        rc = uv_write(&job->start_write, (uv_stream_t *)&job->channel, &message, 1, start_written);
    if (rc == 0)
        return true;
    tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "the media helper %.200s cannot be started: %s", path,
                 uv_strerror(rc));
    kill_child(job);
    close_all(job);
    return false;
}

struct tide_media_job *tide_media_start(uv_loop_t *loop, const struct tide_log *log,
                                        const struct tide_media_request *request, struct tide_err *err)
{
    struct tide_media_job *job = calloc(1, sizeof *job);

    if (job)
        job->in = malloc(TIDE_MEDIA_IN_MAX);
    if (!job || !job->in) {
        free(job);
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    job->log = log;
    job->request = *request;
    if (!tide_media_job_options(job, err)) {
        free(job->in);
        free(job);
        return NULL;
    }
    /* What the options point to is the caller's, and not looked at again. */
    memset(&job->request.options, 0, sizeof job->request.options);
    return launch(job, loop, err) ? job : NULL;
}

void tide_media_cancel(struct tide_media_job *job)
{
    kill_child(job);
    close_all(job);
}
