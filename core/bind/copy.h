/* Sources and sinks as scripts hold them: userdata that tide.copy moves bytes between. */
#ifndef TIDE_BIND_COPY_H
#define TIDE_BIND_COPY_H

#include "bind/native.h"
#include "stream/stream.h"

/* Pushes a userdata that owns the source: closed by the end of its task, by __gc, or when a response takes
 * it. */
void tide_bind_push_source(lua_State *L, struct tide_source *source);

/*
 * A binding's userdata may act as a source or sink (a blob reader, a blob writer): its metatable has a light
 * userdata with one of these in the field "__tide_stream".
 */
struct tide_bind_stream {
    /* A fresh source over the whole of it, to be closed by the taker; NULL with err. */
    struct tide_source *(*open_source)(void *userdata, struct tide_err *err);
    bool from_client; /* what is invalid in its bytes is the client's fault */
    struct tide_sink *(*sink)(void *userdata, struct tide_err *err); /* borrowed */
    void (*sink_closed)(void *userdata); /* a canceled copy has closed the sink: forget it */
    void (*begin)(void *userdata);       /* a copy begins to use it; NULL: it needs not know */
    void (*end)(void *userdata);         /* the copy is over */
    void (*spoil)(void *userdata);       /* of a sink: the copy failed, what it has is no whole */
};
void tide_bind_set_stream(lua_State *L, const struct tide_bind_stream *stream); /* of the userdata on top */

void tide_bind_stream_functions(lua_State *L); /* native.copy(source, sink, limit) */

#endif
