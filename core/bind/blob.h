/* Open files and files being written, as other bindings (media) see them. */
#ifndef TIDE_BIND_BLOB_H
#define TIDE_BIND_BLOB_H

#include "bind/native.h"
#include "blob/blob.h"

/* The open file or the file being written in the userdata at `index`; raises when it is another thing, closed
 * or in use. */
struct tide_blob_reader *tide_bind_check_reader(lua_State *L, int index);
struct tide_blob_writer *tide_bind_check_writer(lua_State *L, int index);

/* An op works with the file in the userdata: nobody else may, and what would close it waits for the end. */
void tide_bind_file_begin(void *userdata);
void tide_bind_file_end(void *userdata);
void tide_bind_file_close(void *userdata); /* the op is canceled or has spoilt it: closes at once */

#endif
