#include "base/id.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"

#define ID_BYTES (TIDE_ID_LEN / 2)

static void put_seconds(unsigned char bytes[4])
{
    uint32_t seconds = (uint32_t)(tide_clock_now_ms() / 1000);

    bytes[0] = (unsigned char)(seconds >> 24);
    bytes[1] = (unsigned char)(seconds >> 16);
    bytes[2] = (unsigned char)(seconds >> 8);
    bytes[3] = (unsigned char)seconds;
}

struct tide_id tide_id_new(void)
{
    unsigned char bytes[ID_BYTES];
    struct tide_id id;

    put_seconds(bytes);
    randombytes_buf(bytes + 4, ID_BYTES - 4);
    sodium_bin2hex(id.hex, sizeof id.hex, bytes, sizeof bytes);
    return id;
}

void tide_id_series_init(struct tide_id_series *series)
{
    randombytes_buf(series, sizeof *series);
}

struct tide_id tide_id_next(struct tide_id_series *series)
{
    unsigned char bytes[ID_BYTES];
    uint32_t count = series->count++;
    struct tide_id id;

    put_seconds(bytes);
    memcpy(bytes + 4, series->random, sizeof series->random);
    bytes[9] = (unsigned char)(count >> 16);
    bytes[10] = (unsigned char)(count >> 8);
    bytes[11] = (unsigned char)count;
    sodium_bin2hex(id.hex, sizeof id.hex, bytes, sizeof bytes);
    return id;
}

struct tide_id tide_id_derive(const struct tide_id *base, const char *purpose)
{
    unsigned char hash[crypto_generichash_BYTES_MIN];
    crypto_generichash_state state;
    struct tide_id id;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)base->hex, TIDE_ID_LEN);
    crypto_generichash_update(&state, (const unsigned char *)purpose, strlen(purpose));
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(id.hex, sizeof id.hex, hash, ID_BYTES);
    return id;
}

bool tide_id_parse(const char *text, struct tide_id *id)
{
    int i;

    for (i = 0; i < TIDE_ID_LEN; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return false;
        id->hex[i] = (char)tolower((unsigned char)text[i]);
    }
    id->hex[TIDE_ID_LEN] = '\0';
    return text[TIDE_ID_LEN] == '\0';
}
