/* `tidemill-media --check-sandbox`: does on this machine, in a sandbox, what a taken-over process would do,
 * and tells whether the kernel stops it. For operators (containers and kernels differ) and the tests. */
#include "media/child/sandbox_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/child/sandbox.h"

#define WORKED 42 /* exit statuses of an attempt */
#define REFUSED 43

static int try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_connect(void)
{
    struct sockaddr address = {.sa_family = AF_UNIX};

    return connect(STDERR_FILENO, &address, sizeof address);
}

static int try_fork(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int try_exec(void)
{
    char name[] = "/bin/true", *args[] = {name, NULL};

    return execv(name, args);
}

static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static int try_create(void)
{
    return open("/tmp/tidemill-sandbox-check", O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static int try_unlink(void)
{
    return unlink("/tmp/tidemill-sandbox-check-none");
}

static int try_kill(void)
{
    return kill(getppid(), 0);
}

static int try_ptrace(void)
{
    return (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static int try_raise_limit(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int try_executable_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? -1 : 0;
}

static int try_memory_made_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static int try_ordinary_work(void)
{
    void *memory = malloc(3 << 20);

    if (!memory)
        return -1;
    memset(memory, 1, 3 << 20);
    free(memory);
    return write(STDERR_FILENO, "", 0) == 0 ? 0 : -1;
}

static const struct attempt {
    const char *name;
    int (*run)(void);
    int signal, status; /* how the process must end */
} attempts[] = {
    {"ordinary work", try_ordinary_work, 0, WORKED},
    {"open a file", try_open, 0, REFUSED},
    {"create a file", try_create, 0, REFUSED},
    {"make a socket", try_socket, SIGSYS, 0},
    {"connect", try_connect, SIGSYS, 0},
    {"start a process", try_fork, SIGSYS, 0},
    {"run a program", try_exec, SIGSYS, 0},
    {"delete a file", try_unlink, SIGSYS, 0},
    {"signal another process", try_kill, SIGSYS, 0},
    {"trace another process", try_ptrace, SIGSYS, 0},
    {"raise a limit", try_raise_limit, SIGSYS, 0},
    {"map executable memory", try_executable_memory, SIGSYS, 0},
    {"make memory executable", try_memory_made_executable, SIGSYS, 0},
};

static _Noreturn void run_attempt(const struct attempt *attempt)
{
    struct sandbox_limits limits = {INT64_C(1) << 30, 10000};
    struct tide_err err;

    sandbox_early(STDERR_FILENO);
    if (!sandbox_enter(&limits, STDERR_FILENO, &err)) {
        fprintf(stderr, "%s\n", err.message);
        _exit(1);
    }
    _exit(attempt->run() >= 0 ? WORKED : REFUSED);
}

static bool check(const struct attempt *attempt)
{
    pid_t pid;
    int status = 0;
    bool good;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        run_attempt(attempt);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    good = attempt->signal ? WIFSIGNALED(status) && WTERMSIG(status) == attempt->signal
                           : WIFEXITED(status) && WEXITSTATUS(status) == attempt->status;
    printf("%-24s %s%s\n", attempt->name, good ? "ok" : "FAILED",
           !good                        ? ""
           : attempt->signal            ? " (ends the process)"
           : attempt->status == REFUSED ? " (refused)"
                                        : "");
    return good;
}

int sandbox_check(void)
{
    bool good = true;

    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        good = check(&attempts[i]) && good;
    return good ? 0 : 1;
}
