/* Sending e-mail (mail/mail.h). */
#include "bind/native.h"

struct mail_op {
    struct tide_op op;
    struct tide_mail_call *call;
    bool failed;
    struct tide_err err;
};

static int mail_push(lua_State *L, struct tide_op *op)
{
    struct mail_op *self = (struct mail_op *)op;

    return tide_bind_push_outcome(L, !self->failed, &self->err);
}

static bool mail_cancel(struct tide_op *op)
{
    tide_mail_call_cancel(((struct mail_op *)op)->call);
    return true;
}

static const struct tide_op_type mail_type = {
    .name = "tide.mail.send", .size = sizeof(struct mail_op), .push = mail_push, .cancel = mail_cancel};

static void on_sent(void *arg, const struct tide_err *err)
{
    struct mail_op *self = arg;

    self->failed = err != NULL;
    if (err)
        self->err = *err;
    tide_op_finish(&self->op);
}

/* mail_send(from|nil, to, subject, text, html|nil, id|nil, before|nil): true, or nil and the failure */
static int mail_send(lua_State *L)
{
    struct tide_mailer *mailer = tide_bind_services(L)->mail;
    struct tide_mail_message message = {.from = luaL_optstring(L, 1, NULL),
                                        .to = luaL_checkstring(L, 2),
                                        .subject = luaL_checkstring(L, 3),
                                        .text = luaL_checkstring(L, 4),
                                        .html = luaL_optstring(L, 5, NULL),
                                        .id = luaL_optstring(L, 6, NULL),
                                        .before_ms = (int64_t)(luaL_optnumber(L, 7, 0) * 1000)};
    struct mail_op *self;
    struct tide_err err;

    tide_bind_need(L, mailer, "mail", "tide.mail.send");
    if (!tide_bind_no_zero(L, 1, 6, &err))
        return tide_push_failure(L, &err);
    self = tide_op_new(L, &mail_type);
    self->call = tide_mail_send(mailer, &message, on_sent, self, &err);
    if (self->call)
        return tide_op_wait(L, &self->op);
    tide_op_drop(&self->op);
    return tide_push_failure(L, &err);
}

void tide_bind_mail(lua_State *L)
{
    static const luaL_Reg functions[] = {{"mail_send", mail_send}, {NULL, NULL}};

    tide_bind_register(L, functions);
}
