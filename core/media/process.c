#include "media/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/protocol.h"

static void ended(uv_poll_t *poll, int status, int events)
{
    struct tide_media_process *process = (struct tide_media_process *)poll;
    int how = 0;

    (void)status;
    (void)events;
    if (waitpid(process->pid, &how, WNOHANG) == 0)
        return;
    uv_poll_stop(poll);
    close(process->pidfd);
    process->exited(process, WIFEXITED(how) ? WEXITSTATUS(how) : 0, WIFSIGNALED(how) ? WTERMSIG(how) : 0);
}

static int watch(uv_loop_t *loop, struct tide_media_process *process)
{
    int rc;

    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0)
        return -errno;
    rc = uv_poll_init(loop, &process->end, process->pidfd);
    if (rc != 0)
        close(process->pidfd);
    return rc ? rc : uv_poll_start(&process->end, UV_READABLE, ended);
}

/* Ctrl-C in a terminal is the engine's to handle, hence the session; what the engine ignores or blocks is
 * not. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int rc;

    sigfillset(&all);
    sigemptyset(&none);
    rc = posix_spawnattr_setflags(attributes,
                                  POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    return rc ? rc : posix_spawnattr_setsigmask(attributes, &none);
}

static int set_descriptors(posix_spawn_file_actions_t *actions, int channel, int complaints)
{
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, complaints, STDERR_FILENO);
    return rc ? rc : posix_spawn_file_actions_adddup2(actions, channel, TIDE_MEDIA_CHANNEL_FD);
}

static int spawn(struct tide_media_process *process, const char *path, char *const environment[], int channel,
                 int complaints)
{
    char *const arguments[] = {(char *)(uintptr_t)path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    rc = set_descriptors(&actions, channel, complaints);
    if (rc == 0)
        rc = set_attributes(&attributes);
    if (rc == 0)
        rc = posix_spawn(&process->pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

int tide_media_process_start(uv_loop_t *loop, struct tide_media_process *process, const char *path,
                             char *const environment[], int channel, int complaints,
                             tide_media_exit_cb *exited)
{
    int rc = spawn(process, path, environment, channel, complaints);

    if (rc != 0) {
        process->pid = 0;
        return rc;
    }
    process->exited = exited;
    rc = watch(loop, process);
    if (rc != 0) {
        kill(process->pid, SIGKILL);
        waitpid(process->pid, NULL, 0);
        process->pid = 0;
    }
    return rc;
}

void tide_media_process_kill(struct tide_media_process *process)
{
    kill(process->pid, SIGKILL);
}
