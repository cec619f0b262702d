#include "http/multipart.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/disposition.h"

#define MAX_BOUNDARY 70

enum state { PREAMBLE, AFTER_BOUNDARY, HEAD, CONTENT };

struct tide_multipart {
    enum state state;
    char delimiter[4 + MAX_BOUNDARY + 1]; /* CR LF -- boundary */
    size_t delimiter_len;
    /* Bytes of the delimiter seen at the end of the input so far. CR is only its first byte, so when it goes
     * on otherwise those bytes are content and the search starts anew behind them. */
    size_t matched;
    size_t borrowed; /* of those, the ones that are no content: the line end of a head, or before the body's
                        start */
    size_t owed, owed_end; /* delimiter[owed..owed_end) is content still to be put out */
    char tail[3];          /* what follows a boundary: CR LF or -- */
    size_t tail_len;
    unsigned parts;
    char head[TIDE_MULTIPART_MAX_HEAD + 1];
    size_t head_len;
    struct tide_part_head part;
    const char *fault;
};

struct input {
    const char *data;
    size_t len;
};

struct output {
    char *to; /* NULL: skipped */
    size_t cap, len;
};

/* ---- the boundary ---- */

static bool is_boundary(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e)
            return false;
    return len > 0 && len <= MAX_BOUNDARY && text[len - 1] != ' ';
}

/* Takes the boundary out of the Content-Type in `text`, which is overwritten. */
static char *find_boundary(char *text)
{
    static const char type[] = "multipart/form-data";
    char *at = text + sizeof type - 1, *name, *value, *boundary = NULL;

    if (strncasecmp(text, type, sizeof type - 1) != 0)
        return NULL;
    while (tide_parameter_next(&at, &name, &value) > 0)
        if (strcasecmp(name, "boundary") == 0 && !boundary)
            boundary = value;
    return boundary;
}

struct tide_multipart *tide_multipart_new(const char *content_type, struct tide_err *err)
{
    char *copy = strdup(content_type ? content_type : "");
    char *boundary = copy ? find_boundary(copy) : NULL;
    struct tide_multipart *multipart = NULL;

    if (!boundary || !is_boundary(boundary, strlen(boundary))) {
        tide_err_set(err, TIDE_ERR_INVALID, false, "the body is not multipart/form-data with a boundary");
    } else if (!(multipart = calloc(1, sizeof *multipart))) {
        tide_err_set(err, TIDE_ERR_UNAVAILABLE, true, "multipart: out of memory");
    } else {
        multipart->delimiter_len = 4 + strlen(boundary);
        memcpy(multipart->delimiter, "\r\n--", 4);
        memcpy(multipart->delimiter + 4, boundary, strlen(boundary));
        multipart->matched = multipart->borrowed = 2; /* the first boundary may stand at the very start */
    }
    free(copy);
    return multipart;
}

void tide_multipart_free(struct tide_multipart *multipart)
{
    free(multipart);
}

/* ---- content ---- */

static size_t room(const struct output *out, size_t len)
{
    return !out->to || out->cap - out->len > len ? len : out->cap - out->len;
}

static void put(struct output *out, const char *data, size_t len)
{
    if (out->to && len > 0) {
        memcpy(out->to + out->len, data, len);
        out->len += len;
    }
}

static void skip(struct input *in, size_t len)
{
    in->data += len;
    in->len -= len;
}

/* How many bytes are content for sure: up to the delimiter, or to what may be its beginning at the end. */
static size_t plain_bytes(const struct tide_multipart *multipart, const struct input *in)
{
    const char *found = memmem(in->data, in->len, multipart->delimiter, multipart->delimiter_len);
    size_t window = in->len < multipart->delimiter_len - 1 ? in->len : multipart->delimiter_len - 1;
    const char *tail = in->data + in->len - window;

    if (found)
        return (size_t)(found - in->data);
    while ((found = memchr(tail, '\r', window))) {
        window -= (size_t)(found - tail);
        if (memcmp(found, multipart->delimiter, window) == 0)
            return (size_t)(found - in->data);
        tail = found + 1;
        window--;
    }
    return in->len;
}

/* Goes on with a delimiter begun. True: it is complete. */
static bool match(struct tide_multipart *multipart, struct input *in)
{
    while (in->len > 0 && multipart->matched < multipart->delimiter_len &&
           *in->data == multipart->delimiter[multipart->matched]) {
        multipart->matched++;
        skip(in, 1);
    }
    if (multipart->matched == multipart->delimiter_len)
        return true;
    if (in->len > 0) {
        multipart->owed = multipart->borrowed;
        multipart->owed_end = multipart->matched;
        multipart->matched = multipart->borrowed = 0;
    }
    return false;
}

static bool put_owed(struct tide_multipart *multipart, struct output *out)
{
    size_t n = room(out, multipart->owed_end - multipart->owed);

    put(out, multipart->delimiter + multipart->owed, n);
    multipart->owed += n;
    return multipart->owed == multipart->owed_end;
}

static enum tide_multipart_event parse_content(struct tide_multipart *multipart, struct input *in,
                                               struct output *out)
{
    size_t plain, n;

    for (;;) {
        if (!put_owed(multipart, out))
            return TIDE_MULTIPART_FULL;
        if (multipart->matched > 0 && match(multipart, in)) {
            multipart->matched = multipart->borrowed = 0;
            multipart->tail_len = 0;
            return TIDE_MULTIPART_PART_END;
        }
        if (multipart->owed < multipart->owed_end)
            continue;
        if (in->len == 0)
            return TIDE_MULTIPART_MORE;
        plain = plain_bytes(multipart, in);
        n = room(out, plain);
        put(out, in->data, n);
        skip(in, n);
        if (n < plain)
            return TIDE_MULTIPART_FULL;
        if (in->len == 0)
            return TIDE_MULTIPART_MORE;
        multipart->matched = 1;
        skip(in, 1);
    }
}

/* ---- between ---- */

static enum tide_multipart_event bad(struct tide_multipart *multipart, const char *fault)
{
    multipart->fault = fault;
    return TIDE_MULTIPART_BAD;
}

static enum tide_multipart_event parse_tail(struct tide_multipart *multipart, struct input *in)
{
    for (; in->len > 0; skip(in, 1)) {
        if (multipart->tail_len == 0 && (*in->data == ' ' || *in->data == '\t'))
            continue; /* padding */
        multipart->tail[multipart->tail_len++] = *in->data;
        if (multipart->tail_len < 2)
            continue;
        skip(in, 1);
        if (memcmp(multipart->tail, "--", 2) == 0)
            return TIDE_MULTIPART_END;
        if (memcmp(multipart->tail, "\r\n", 2) != 0)
            return bad(multipart, "a boundary is not followed by a line end");
        if (multipart->parts++ == TIDE_MULTIPART_MAX_PARTS)
            return bad(multipart, "the body has more than 100 parts");
        multipart->state = HEAD;
        multipart->head_len = 0;
        return TIDE_MULTIPART_MORE;
    }
    return TIDE_MULTIPART_MORE;
}

static enum tide_multipart_event parse_head(struct tide_multipart *multipart, struct input *in)
{
    char *head = multipart->head;
    size_t len;

    while (in->len > 0) {
        if (multipart->head_len == TIDE_MULTIPART_MAX_HEAD)
            return bad(multipart, "a part's headers are over 8 KiB");
        head[multipart->head_len++] = *in->data;
        skip(in, 1);
        len = multipart->head_len;
        if (len < 2 || memcmp(head + len - 2, "\r\n", 2) != 0 ||
            (len > 2 && (len < 4 || memcmp(head + len - 4, "\r\n", 2) != 0)))
            continue;
        head[len - 2] = '\0';
        if (strlen(head) != len - 2)
            return bad(multipart, "a part's header has a control character");
        multipart->fault = tide_part_head_parse(head, &multipart->part);
        multipart->state = CONTENT;
        multipart->matched = multipart->borrowed = 2; /* the boundary may follow at once */
        return multipart->fault ? TIDE_MULTIPART_BAD : TIDE_MULTIPART_PART;
    }
    return TIDE_MULTIPART_MORE;
}

enum tide_multipart_event tide_multipart_parse(struct tide_multipart *multipart, const char **data,
                                               size_t *len, char *out, size_t cap, size_t *out_len)
{
    struct input in = {*data, *len};
    struct output nowhere = {0}, content = {out, cap, out_len ? *out_len : 0};
    enum tide_multipart_event event = TIDE_MULTIPART_MORE;
    bool content_ended;

    do {
        content_ended = false;
        if (multipart->state == PREAMBLE || multipart->state == CONTENT) {
            event = parse_content(multipart, &in, multipart->state == CONTENT ? &content : &nowhere);
            content_ended = event == TIDE_MULTIPART_PART_END && multipart->state == PREAMBLE;
            if (event == TIDE_MULTIPART_PART_END)
                multipart->state = AFTER_BOUNDARY;
        } else if (multipart->state == AFTER_BOUNDARY) {
            event = parse_tail(multipart, &in);
        } else {
            event = parse_head(multipart, &in);
        }
    } while (content_ended || (event == TIDE_MULTIPART_MORE && in.len > 0));
    *data = in.data;
    *len = in.len;
    if (out_len)
        *out_len = content.len;
    return content_ended ? TIDE_MULTIPART_MORE : event;
}

const char *tide_multipart_name(const struct tide_multipart *multipart)
{
    return multipart->part.name;
}

const char *tide_multipart_filename(const struct tide_multipart *multipart)
{
    return multipart->part.filename;
}

const char *tide_multipart_content_type(const struct tide_multipart *multipart)
{
    return multipart->part.content_type;
}

const char *tide_multipart_fault(const struct tide_multipart *multipart)
{
    return multipart->fault;
}
