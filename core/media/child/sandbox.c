#include "media/child/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The sanitizers reserve terabytes of address space, read /proc and start helpers of their own, so an
 * instrumented build runs without the memory limit and the system call filter. Such a build is for tests
 * only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

static const int allowed_calls[] = {
    SCMP_SYS(read),         SCMP_SYS(readv),          SCMP_SYS(write),
    SCMP_SYS(writev),       SCMP_SYS(close),          SCMP_SYS(lseek),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),         SCMP_SYS(madvise),
    SCMP_SYS(brk),          SCMP_SYS(futex),          SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday),   SCMP_SYS(time),
    SCMP_SYS(getrusage),    SCMP_SYS(getrandom),      SCMP_SYS(getpid),
    SCMP_SYS(gettid),       SCMP_SYS(sched_yield),    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

/* Libraries look for files where they can do without (iconv for the name of a television programme): these
 * fail as if the file were closed to us. All else that isn't allowed ends the process. */
static const int refused_calls[] = {
    SCMP_SYS(open),  SCMP_SYS(openat), SCMP_SYS(stat),      SCMP_SYS(lstat),      SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
};

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (calls[i] >= 0) /* negative: this machine has no such call */
            rc = seccomp_rule_add(filter, action, calls[i], 0);
    return rc;
}

/* Calls that signal the process itself (abort) are told apart from those that signal others by the pid. */
static int allow_abort(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));

    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)SIGABRT));
    return rc;
}

/* Memory that is both writable and executable, or becomes executable, is how an exploit goes on. */
static int allow_memory_without_exec(scmp_filter_ctx filter)
{
    int rc =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                         SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));

    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc;
}

static bool load_filter(struct tide_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? 0 : -ENOMEM;

    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ALLOW, allowed_calls, sizeof allowed_calls / sizeof *allowed_calls);
    if (rc == 0)
        rc = add_calls(filter, SCMP_ACT_ERRNO(EACCES), refused_calls,
                       sizeof refused_calls / sizeof *refused_calls);
    if (rc == 0)
        rc = allow_memory_without_exec(filter);
    if (rc == 0)
        rc = allow_abort(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "sandbox: system call filter: %s", strerror(-rc));
    return true;
}

static bool limit(int what, rlim_t soft, rlim_t hard, const char *name, struct tide_err *err)
{
    struct rlimit old, wanted = {soft, hard};

    /* A lower limit set from outside stays. */
    if (getrlimit(what, &old) == 0 && old.rlim_max != RLIM_INFINITY && old.rlim_max < hard) {
        wanted.rlim_max = old.rlim_max;
        if (wanted.rlim_cur > wanted.rlim_max)
            wanted.rlim_cur = wanted.rlim_max;
    }
    if (setrlimit(what, &wanted) != 0)
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "sandbox: limit %s: %s", name, strerror(errno));
    return true;
}

static bool set_limits(const struct sandbox_limits *limits, int last_fd, struct tide_err *err)
{
    rlim_t seconds = (rlim_t)((limits->cpu_ms + 999) / 1000);
    rlim_t files = (rlim_t)last_fd + 1;

    if (!INSTRUMENTED && !limit(RLIMIT_AS, (rlim_t)limits->memory, (rlim_t)limits->memory, "AS", err))
        return false;
    return limit(RLIMIT_CPU, seconds, seconds + 1, "CPU", err) && limit(RLIMIT_FSIZE, 0, 0, "FSIZE", err) &&
           limit(RLIMIT_CORE, 0, 0, "CORE", err) && limit(RLIMIT_NPROC, 0, 0, "NPROC", err) &&
           (INSTRUMENTED || limit(RLIMIT_NOFILE, files, files, "NOFILE", err));
}

void sandbox_early(int last_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range((unsigned)last_fd + 1, ~0U, 0);
}

bool sandbox_enter(const struct sandbox_limits *limits, int last_fd, struct tide_err *err)
{
    /* Time zone and locale are read now: later no file can be opened. */
    tzset();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (!INSTRUMENTED && prctl(PR_SET_DUMPABLE, 0) != 0))
        return tide_err_set(err, TIDE_ERR_INTERNAL, false, "sandbox: prctl: %s", strerror(errno));
    if (!set_limits(limits, last_fd, err))
        return false;
    return INSTRUMENTED || load_filter(err);
}
