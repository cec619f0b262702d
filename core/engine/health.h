/*
 * Does each backend of this process answer? Asked every few seconds on a thread of its own, so that what
 * hangs stops nobody; told when an answer changes. For a worker, which passes it on to the supervisor's
 * /readyz. Loop thread.
 */
#ifndef TIDE_ENGINE_HEALTH_H
#define TIDE_ENGINE_HEALTH_H

#include "bind/services.h"

/* In the order of the checks. */
enum { TIDE_BACKEND_SQL, TIDE_BACKEND_QUEUE, TIDE_BACKEND_BLOB, TIDE_BACKEND_MAIL, TIDE_BACKENDS };
extern const char *const tide_backend_names[TIDE_BACKENDS]; /* "sql", ... */

#define TIDE_HEALTH_PROBLEM_LEN 320 /* as an error's message */

#define TIDE_HEALTH_UNASKED "it was not asked yet"

/* problem "": it answers. `before`: the problem until now. Both are texts of the backend's or UNASKED. */
typedef void tide_health_cb(void *arg, int backend, const char *problem, const char *before);

struct tide_health;

/* services outlive it; a backend that is NULL is not asked, one that is opened later is from then on. Inside
 * the call it is told that the others were not asked yet. */
struct tide_health *tide_health_start(const struct tide_services *services, tide_health_cb *changed,
                                      void *arg, struct tide_err *err);
/* Waits for the check that runs. The loop must run once more to close its handles. NULL is ignored. */
void tide_health_stop(struct tide_health *health);

#endif
