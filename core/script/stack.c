/*
 * LuaJIT bounds the Lua stack of each coroutine, not the C stack: a function that calls itself through
 * string.gsub or table.sort needs up to 20 MiB of it, one that nests coroutines any amount, and the process
 * would end with a segmentation fault. So the main thread may use more, and coroutines are nested only while
 * enough is left.
 */
#include <lauxlib.h>
#include <sys/resource.h>

#include "script/internal.h"

#define WANTED ((rlim_t)64 << 20)
#define ONE_COROUTINE ((rlim_t)24 << 20) /* what recursion inside one may take */
#define NESTED ((rlim_t)1 << 20)         /* thousands of coroutines: more would take long to be ended */

/* Bytes below the frame that started to run a script in which a coroutine may still be resumed. */
static size_t reserve_stack(void)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_STACK, &limit) != 0)
        return 0;
    if (limit.rlim_cur < WANTED) { /* holds at once for the main thread, which grows on demand */
        limit.rlim_cur = limit.rlim_max < WANTED ? limit.rlim_max : WANTED;
        setrlimit(RLIMIT_STACK, &limit);
    }
    if (limit.rlim_cur >= ONE_COROUTINE + NESTED)
        return NESTED;
    return limit.rlim_cur / 2 < NESTED ? limit.rlim_cur / 2 : NESTED;
}

/* Before a coroutine is resumed. */
static int check_stack(lua_State *L)
{
    const struct tide_state *state = tide_state_of(L);
    const char *here = __builtin_frame_address(0);

    if (state->stack && (size_t)(state->stack - here) > state->stack_max)
        return luaL_error(L, "stack overflow (coroutines in coroutines)");
    return 0;
}

void tide_script_setup_stack(struct tide_state *state)
{
    lua_State *L = state->L;

    state->stack_max = reserve_stack();
    tide_state_native(state, L);
    lua_pushcfunction(L, check_stack);
    lua_setfield(L, -2, "check_stack");
    lua_pop(L, 1);
}
