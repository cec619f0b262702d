#include "script/budget.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "script/internal.h"

#define TICK_MS 50 /* of CPU time */
#define GRACE_MS 500

#ifndef sigev_notify_thread_id /* missing in older headers */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The handler of the signal interrupts the thread that writes the first two. */
struct tide_budget {
    struct tide_state *volatile running; /* whose script runs; NULL: none does */
    volatile uint64_t turn;
    int64_t cpu_ms;
    timer_t timer;
    /* the handler's own: */
    uint64_t seen;
    int64_t since_ms; /* when it first saw that turn */
};

static int64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void look(struct tide_budget *budget)
{
    struct tide_state *state = budget->running;
    int64_t now_ms = cpu_ms();

    if (!state || !state->turn.cpu_ms)
        return;
    if (budget->seen != budget->turn) {
        budget->seen = budget->turn;
        budget->since_ms = now_ms;
        return;
    }
    if (now_ms - budget->since_ms >= state->turn.cpu_ms + GRACE_MS)
        tide_script_give_up(state);
    if (now_ms - budget->since_ms >= state->turn.cpu_ms)
        tide_script_stop(state);
}

static void on_tick(int number, siginfo_t *info, void *context)
{
    int before = errno;

    (void)number;
    (void)context;
    if (info->si_code == SI_TIMER)
        look(info->si_value.sival_ptr);
    errno = before;
}

static bool start_timer(struct tide_budget *budget, struct tide_err *err)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM, .sigev_value.sival_ptr = budget};
    struct itimerspec every = {.it_interval.tv_nsec = TICK_MS * 1000000,
                               .it_value.tv_nsec = TICK_MS * 1000000};

    event.sigev_notify_thread_id = gettid();
    if (sigaction(SIGVTALRM, &action, NULL) != 0 ||
        timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &budget->timer) != 0)
        return tide_err_errno(err, errno, "timer_create");
    timer_settime(budget->timer, 0, &every, NULL);
    return true;
}

struct tide_budget *tide_budget_new(int64_t cpu_ms, struct tide_err *err)
{
    struct tide_budget *budget = calloc(1, sizeof *budget);

    if (!budget) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "out of memory");
        return NULL;
    }
    budget->cpu_ms = cpu_ms;
    if (start_timer(budget, err))
        return budget;
    free(budget);
    return NULL;
}

void tide_budget_free(struct tide_budget *budget)
{
    if (!budget)
        return;
    timer_delete(budget->timer);
    free(budget);
}

/* ---- turns ---- */

static void set_running(struct tide_budget *budget, struct tide_state *state)
{
    budget->running = NULL; /* the new turn is not late as the one before was */
    budget->turn++;
    budget->running = state;
}

void tide_script_begin_turn(struct tide_state *state, struct tide_task *task, int64_t cpu_ms,
                            struct tide_turn *before)
{
    struct tide_budget *budget = state->config.budget;

    *before = state->turn;
    if (!before->limited)
        state->stack = __builtin_frame_address(0);
    state->turn = (struct tide_turn){.task = task, .limited = true, .cpu_ms = cpu_ms};
    if (!budget)
        return;
    if (!cpu_ms)
        state->turn.cpu_ms = budget->cpu_ms;
    state->turn.outside = budget->running;
    set_running(budget, state);
}

void tide_script_end_turn(struct tide_state *state, const struct tide_turn *before)
{
    struct tide_state *outside = state->turn.outside;

    state->turn = *before;
    if (state->config.budget)
        set_running(state->config.budget, outside);
    if (state->late)
        tide_script_calm(state);
}
