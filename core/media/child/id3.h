/* The ID3v2.3 tag in front of an MP3. */
#ifndef TIDE_MEDIA_CHILD_ID3_H
#define TIDE_MEDIA_CHILD_ID3_H

#include <stddef.h>
#include <stdint.h>

#include "media/protocol.h"

#define ID3_MAX (32 + 2 * TIDE_MEDIA_TITLE_MAX)

/* Writes a tag with the title (UTF-8; what is not becomes U+FFFD). Returns its length, 0 for an empty title.
 */
size_t id3_title(const char *title, uint8_t tag[ID3_MAX]);

#endif
