/* Ids in the form of MongoDB's ObjectId: 12 bytes, written as 24 lower-case hex digits. Any thread. */
#ifndef TIDE_BASE_ID_H
#define TIDE_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#define TIDE_ID_LEN 24

struct tide_id {
    char hex[TIDE_ID_LEN + 1]; /* NUL-terminated */
};

/* A new id: 4 bytes of seconds (big endian), 8 random bytes. */
struct tide_id tide_id_new(void);

/* Ids that only have to differ, without asking the system for each: the seconds, 5 bytes that were random
 * once, 3 that count, as MongoDB's drivers make them. They can be guessed. One thread at a time. */
struct tide_id_series {
    unsigned char random[5];
    uint32_t count;
};

void tide_id_series_init(struct tide_id_series *series);
struct tide_id tide_id_next(struct tide_id_series *series);

/* The id that always follows from `base` and `purpose` ("mp3"): a keyless hash of both, so that a
 * repeated job writes to the same place. */
struct tide_id tide_id_derive(const struct tide_id *base, const char *purpose);

/* False when text is not 24 hex digits; upper case is accepted and becomes lower case. */
bool tide_id_parse(const char *text, struct tide_id *id);

#endif
