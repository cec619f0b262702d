#include "media/child/id3.h"

#include <libavutil/common.h>
#include <string.h>

/* Appends the title in UTF-16, the encoding of version 2.3 that every player reads. */
static uint8_t *put_utf16(uint8_t *to, const char *title)
{
    const uint8_t *from = (const uint8_t *)title, *end = from + strlen(title);

    while (from < end) {
        uint32_t code;
        uint16_t unit;
        const uint8_t *start = from;

        GET_UTF8(code, from < end ? *from++ : 0, goto invalid;)
        if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            goto invalid;
        goto put;
    invalid:
        from = start + 1;
        code = 0xFFFD;
    put:
        PUT_UTF16(code, unit, *to++ = (uint8_t)unit; *to++ = (uint8_t)(unit >> 8);)
    }
    return to;
}

static void put_be32(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

size_t id3_title(const char *title, uint8_t tag[ID3_MAX])
{
    static const uint8_t head[] = {'I', 'D', '3', 3, 0, 0};
    uint8_t *text = tag + 20, *end;
    size_t size;

    if (!*title)
        return 0;
    *text = 1; /* UTF-16 with a byte order mark */
    text[1] = 0xFF;
    text[2] = 0xFE;
    end = put_utf16(text + 3, title);
    memcpy(tag, head, sizeof head);
    size = (size_t)(end - tag) - 10; /* in seven bits a byte */
    tag[6] = 0;
    tag[7] = (uint8_t)(size >> 14 & 0x7F);
    tag[8] = (uint8_t)(size >> 7 & 0x7F);
    tag[9] = (uint8_t)(size & 0x7F);
    memcpy(tag + 10, "TIT2", 4);
    put_be32(tag + 14, (size_t)(end - text));
    tag[18] = tag[19] = 0;
    return (size_t)(end - tag);
}
