/*
 * A process that is started without a copy of this one: uv_spawn forks, and for a worker with its 40 MiB that
 * is more work than the whole start of tidemill-media. Its end comes by a pidfd. Used by media.c alone; loop
 * thread only. Failures are errors of libuv, below 0.
 */
#ifndef TIDE_MEDIA_PROCESS_H
#define TIDE_MEDIA_PROCESS_H

#include <sys/types.h>
#include <uv.h>

struct tide_media_process;
typedef void tide_media_exit_cb(struct tide_media_process *process, int status, int signal_number);

struct tide_media_process {
    uv_poll_t end; /* the owner's to close after the exit; `data` is his */
    int pidfd;
    pid_t pid; /* 0: not started */
    tide_media_exit_cb *exited;
};

/* Starts `path` in a session of its own: its standard error is `complaints`, TIDE_MEDIA_CHANNEL_FD is
 * `channel`, and there is no other descriptor but /dev/null. The descriptors given are the caller's, and
 * above TIDE_MEDIA_CHANNEL_FD. `exited` is called once, with the exit status or the signal that ended it. */
int tide_media_process_start(uv_loop_t *loop, struct tide_media_process *process, const char *path,
                             char *const environment[], int channel, int complaints,
                             tide_media_exit_cb *exited);

/* SIGKILL; not after `exited`. */
void tide_media_process_kill(struct tide_media_process *process);

#endif
