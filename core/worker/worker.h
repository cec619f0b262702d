/*
 * A worker process: `tidemill worker INDEX`, started by the supervisor alone, with its descriptors
 * (engine/control.h). One loop, one state a bundle, one HTTP server a listener. It says when it is
 * ready, drains when it is told to, and hands back what it could not finish within the grace time. It dies
 * with its supervisor: what was in flight is delivered again.
 */
#ifndef TIDE_WORKER_WORKER_H
#define TIDE_WORKER_WORKER_H

/* Returns the process's exit code. */
int tide_worker_main(unsigned index);

#endif
