#include <string.h>

#include "blob/store.h"

size_t tide_blob_block_length(const struct tide_blob_block *block)
{
    size_t len = 0;

    for (size_t i = 0; i < block->count; i++)
        len += block->piece[i].len;
    return len;
}

void tide_blob_block_cut(struct tide_blob_block *block, size_t len)
{
    size_t left = len, count = 0;

    for (; count < block->count && left > 0; count++) {
        struct tide_blob_piece *piece = &block->piece[count];

        if (piece->len > left)
            piece->len = left;
        left -= piece->len;
    }
    block->count = count;
}

size_t tide_blob_block_copy(const struct tide_blob_block *block, size_t at, void *buf, size_t len)
{
    size_t got = 0;

    for (size_t i = 0; i < block->count && got < len; i++) {
        const struct tide_blob_piece *piece = &block->piece[i];

        if (at < piece->len) {
            size_t n = piece->len - at < len - got ? piece->len - at : len - got;

            memcpy((char *)buf + got, piece->data + at, n);
            got += n;
            at = 0;
        } else {
            at -= piece->len;
        }
    }
    return got;
}
