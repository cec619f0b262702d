/* For the files of this folder alone. */
#ifndef TIDE_SUPERVISOR_INTERNAL_H
#define TIDE_SUPERVISOR_INTERNAL_H

#include <uv.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/control.h"
#include "engine/health.h"
#include "http/server.h"
#include "supervisor/migration.h"
#include "supervisor/reload.h"
#include "supervisor/supervisor.h"

enum tide_worker_state {
    TIDE_WORKER_STARTING,
    TIDE_WORKER_READY,
    TIDE_WORKER_DRAINING,
    TIDE_WORKER_DEAD /* waits for its replacement */
};

struct tide_supervisor;

struct tide_child {
    struct tide_supervisor *supervisor;
    unsigned index;
    enum tide_worker_state state;
    uv_process_t process;
    struct tide_control control;
    uv_timer_t respawn;
    bool running;    /* the process is not reaped yet */
    bool attached;   /* the control socket is not at its end yet */
    bool failed;     /* it told why it can't start */
    bool idle;       /* it drains and has nothing in flight */
    bool lost;       /* it was killed since it did not answer */
    bool broken;     /* the process before, or this one, died before it was ready, and nobody killed it */
    unsigned missed; /* beats since it was last heard */
    int pid;
    int status, signal; /* that its process ended with */
    int slab_fd;
    struct tide_metrics *slab;
    int64_t started_ms, backoff_ms, restarts;
    struct tide_buf report;
    char (*generations)[TIDE_GENERATION_LEN]; /* of settings->bundles, as told */
    bool *asked;  /* of settings->bundles: it loads a generation and has not said whether it can run it */
    bool *agreed; /* of settings->bundles: it can run the candidate */
    unsigned *retired; /* of settings->bundles: generations before that are still busy, as told */
    char problems[TIDE_BACKENDS][TIDE_HEALTH_PROBLEM_LEN]; /* as told; "": it answers */
};

struct tide_listener {
    const char *bundle;
    char host[256];
    int port;
    int *fds;      /* one a worker; -1: closed */
    bool upstream; /* a bundle calls it, as the workers told: closed last */
};

enum tide_supervisor_state { TIDE_SUPERVISOR_STARTING, TIDE_SUPERVISOR_RUNNING, TIDE_SUPERVISOR_STOPPING };

struct tide_supervisor {
    const struct tide_settings *settings;
    const struct tide_supervisor_options *options;
    struct tide_log log;
    uv_loop_t loop;
    enum tide_supervisor_state state;
    int exit_code;
    bool finishing;
    int64_t started_ms;
    int lock_fd, settings_fd, admin_fd, admin_port;
    struct tide_listener *listeners;
    size_t listener_count;
    struct tide_child *children;
    unsigned child_count;
    struct tide_metrics *metrics; /* the supervisor's own */
    struct tide_http_server *admin;
    uv_signal_t signals[4];
    uv_timer_t grace, beat;
    struct tide_migration *migration; /* NULL: the tables are up to date */
    struct tide_reload *reload;
    struct tide_watch *watch;                  /* NULL: off */
    struct tide_reload_waiter *reload_waiters; /* requests to the admin listener */
};

/* child.c */
bool tide_child_init(struct tide_supervisor *supervisor, struct tide_child *child, unsigned index,
                     struct tide_err *err);
void tide_child_release(struct tide_child *child);
bool tide_child_spawn(struct tide_child *child, struct tide_err *err);
void tide_child_leave(struct tide_child *child);
void tide_child_drain(struct tide_child *child);
void tide_child_finish(struct tide_child *child);
/* Called once a beat: counts those that are missed, and kills a worker whose loop has stopped turning. */
void tide_child_beat(struct tide_child *child);
bool tide_child_is_silent(const struct tide_child *child);
void tide_child_kill(struct tide_child *child);

/* supervisor.c, called by the children */
void tide_supervisor_child_ready(struct tide_supervisor *supervisor);
void tide_supervisor_child_idle(struct tide_supervisor *supervisor);
void tide_supervisor_child_gone(struct tide_supervisor *supervisor, struct tide_child *child);
void tide_supervisor_stop(struct tide_supervisor *supervisor, int exit_code);

/* reload_request.c: a reload as it is asked for: by signal, request, or a changed file. */
bool tide_supervisor_watch(struct tide_supervisor *supervisor, struct tide_err *err);
void tide_supervisor_reload_all(struct tide_supervisor *supervisor);
/* POST /-/reload: answered when the workers have swapped or refused. */
void tide_supervisor_reload_request(struct tide_supervisor *supervisor, struct tide_http_request *request);
/* The client is gone, or was answered. */
void tide_supervisor_reload_dismiss(struct tide_supervisor *supervisor,
                                    const struct tide_http_request *request);
/* A bundle's reload is over: answers those who wait, when nothing else goes on. */
void tide_supervisor_reload_over(struct tide_supervisor *supervisor);
/* A bundle's generation and last reload as members of a JSON object. */
void tide_supervisor_reload_put(const struct tide_supervisor *supervisor, size_t index,
                                struct tide_buf *body);

/* status.c: what is told of the engine, as JSON. */
unsigned tide_status_ready_workers(const struct tide_supervisor *supervisor);
/* For /readyz; whether it is ready. excluded: bits 1 << TIDE_BACKEND_* of those that may be missing. */
bool tide_status_put_readiness(const struct tide_supervisor *supervisor, unsigned excluded,
                               struct tide_buf *body);
/* For /-/bundles and /-/status. */
void tide_status_put_bundles(const struct tide_supervisor *supervisor, struct tide_buf *body);
void tide_status_put(const struct tide_supervisor *supervisor, struct tide_buf *body);

/* admin.c */
#define TIDE_ADMIN_BODY (16 << 20) /* bytes of an answer, at most */
bool tide_admin_start(struct tide_supervisor *supervisor, struct tide_err *err);
void tide_admin_respond(struct tide_http_request *request, int status, const char *type,
                        const struct tide_buf *body);

#endif
