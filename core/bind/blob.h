/* Open files and files being written, as other bindings (media) see them. */
#ifndef TIDE_BIND_BLOB_H
#define TIDE_BIND_BLOB_H

#include "bind/native.h"
#include "blob/blob.h"

/* The open file or the file being written in the userdata at `index`; raises when it is another thing or
 * closed. */
struct tide_blob_reader *tide_bind_check_reader(lua_State *L, int index);
struct tide_blob_writer *tide_bind_check_writer(lua_State *L, int index);

/* The writer behind the userdata was closed by somebody else: forget it. */
void tide_bind_writer_closed(void *userdata);

#endif
