/* Ids in the form of MongoDB's ObjectId: 12 bytes, written as 24 lower-case hex digits. Any thread. */
#ifndef TIDE_BASE_ID_H
#define TIDE_BASE_ID_H

#include <stdbool.h>

#define TIDE_ID_LEN 24

struct tide_id {
    char hex[TIDE_ID_LEN + 1]; /* NUL-terminated */
};

/* A new id: 4 bytes of seconds (big endian), 8 random bytes. */
struct tide_id tide_id_new(void);

/* The id that always follows from `base` and `purpose` ("mp3"): a keyless hash of both, so that a
 * repeated job writes to the same place. */
struct tide_id tide_id_derive(const struct tide_id *base, const char *purpose);

/* False when text is not 24 hex digits; upper case is accepted and becomes lower case. */
bool tide_id_parse(const char *text, struct tide_id *id);

#endif
