/* Publishing (queue/queue.h). Consumers are declared: declare.c, consumer.c. */
#include <stdio.h>

#include "base/fault.h"
#include "bind/native.h"

struct publish_op {
    struct tide_op op;
    struct tide_queue_call *call;
    char queue[65];
    bool failed;
    struct tide_err err;
};

static int publish_push(lua_State *L, struct tide_op *op)
{
    struct publish_op *self = (struct publish_op *)op;

    return tide_bind_push_outcome(L, !self->failed, &self->err);
}

static bool publish_cancel(struct tide_op *op)
{
    tide_queue_call_cancel(((struct publish_op *)op)->call);
    return true;
}

static const struct tide_op_type publish_type = {.name = "queue:publish",
                                                 .size = sizeof(struct publish_op),
                                                 .push = publish_push,
                                                 .cancel = publish_cancel};

static void on_published(void *arg, const struct tide_err *err)
{
    struct publish_op *self = arg;

    self->failed = err != NULL;
    if (err)
        self->err = *err;
    else
        tide_fault("queue.published", self->queue);
    tide_op_finish(&self->op);
}

/* queue_publish(queue, payload, delay_ms): true, or nil and the failure */
static int queue_publish(lua_State *L)
{
    struct tide_queue_broker *broker = tide_bind_services(L)->queue;
    struct tide_queue_message message = {.queue = luaL_checkstring(L, 1)};
    struct publish_op *self;
    struct tide_err err;

    message.payload = luaL_checklstring(L, 2, &message.len);
    message.delay_ms = (int64_t)luaL_optnumber(L, 3, 0);
    tide_bind_need(L, broker, "queue", "tide.Queue:publish");
    self = tide_op_new(L, &publish_type);
    snprintf(self->queue, sizeof self->queue, "%s", message.queue);
    self->call = tide_queue_publish(broker, &message, on_published, self, &err);
    if (self->call)
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, &err);
}

void tide_bind_queue(lua_State *L)
{
    static const luaL_Reg functions[] = {{"queue_publish", queue_publish}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
