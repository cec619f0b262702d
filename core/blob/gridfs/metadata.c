#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "blob/gridfs/gridfs.h"

#define MAX_DEPTH 90 /* a server takes 100 levels a document */

static bool append_value(bson_t *doc, const char *key, int key_len, const json_t *value, int depth);

static bool append_object(bson_t *doc, const json_t *object, int depth)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key,
                        value) if (!append_value(doc, key, -1, value, depth)) return false;
    return true;
}

static bool append_array(bson_t *doc, const json_t *array, int depth)
{
    char number[16];
    const char *key;

    for (size_t i = 0; i < json_array_size(array); i++) {
        size_t len = bson_uint32_to_string((uint32_t)i, &key, number, sizeof number);

        if (!append_value(doc, key, (int)len, json_array_get(array, i), depth))
            return false;
    }
    return true;
}

static bool append_container(bson_t *doc, const char *key, int key_len, const json_t *value, int depth)
{
    bson_t child;
    bool ok;

    if (depth == 0)
        return false;
    if (json_is_object(value)) {
        bson_append_document_begin(doc, key, key_len, &child);
        ok = append_object(&child, value, depth - 1);
        return bson_append_document_end(doc, &child) && ok;
    }
    bson_append_array_begin(doc, key, key_len, &child);
    ok = append_array(&child, value, depth - 1);
    return bson_append_array_end(doc, &child) && ok;
}

static bool append_integer(bson_t *doc, const char *key, int key_len, int64_t value)
{
    if (value >= INT32_MIN && value <= INT32_MAX)
        return bson_append_int32(doc, key, key_len, (int32_t)value);
    return bson_append_int64(doc, key, key_len, value);
}

static bool append_value(bson_t *doc, const char *key, int key_len, const json_t *value, int depth)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return bson_append_utf8(doc, key, key_len, json_string_value(value), (int)json_string_length(value));
    case JSON_INTEGER:
        return append_integer(doc, key, key_len, json_integer_value(value));
    case JSON_REAL:
        return bson_append_double(doc, key, key_len, json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return bson_append_bool(doc, key, key_len, json_is_true(value));
    case JSON_NULL:
        return bson_append_null(doc, key, key_len);
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return append_container(doc, key, key_len, value, depth);
}

static json_t *load_object(const char *json, struct tide_err *err)
{
    json_error_t error;
    json_t *object = json_loads(json, JSON_ALLOW_NUL, &error);

    if (json_is_object(object))
        return object;
    if (object)
        tide_err_set(err, TIDE_ERR_INVALID, false, "blob: metadata must be a JSON object");
    else
        tide_err_set(err, TIDE_ERR_INVALID, false, "blob: metadata is not JSON: %s", error.text);
    json_decref(object);
    return NULL;
}

static bson_t *checked(bson_t *doc, bool ok, struct tide_err *err)
{
    if (ok)
        return doc;
    bson_destroy(doc);
    tide_err_set(err, TIDE_ERR_INVALID, false, "blob: metadata of over %d levels", MAX_DEPTH);
    return NULL;
}

bson_t *tide_gridfs_metadata_parse(const char *json, struct tide_err *err)
{
    json_t *object = load_object(json, err);
    bson_t *doc;
    bool ok;

    if (!object)
        return NULL;
    doc = bson_new();
    ok = append_object(doc, object, MAX_DEPTH);
    json_decref(object);
    return checked(doc, ok, err);
}

/* ---- RFC 7396 ---- */

static bool merge_object(bson_t *out, const bson_t *old, const json_t *patch, int depth);

/* What `patch` makes of one element; iter NULL: there was none. */
static bool merge_element(bson_t *out, const char *key, const bson_iter_t *iter, const json_t *patch,
                          int depth)
{
    bson_t old = BSON_INITIALIZER, child;
    const uint8_t *data;
    uint32_t len;
    bool ok;

    if (json_is_null(patch))
        return true;
    if (!json_is_object(patch))
        return append_value(out, key, -1, patch, depth);
    if (depth == 0)
        return false;
    if (iter && BSON_ITER_HOLDS_DOCUMENT(iter)) {
        bson_iter_document(iter, &len, &data);
        if (!bson_init_static(&old, data, len))
            return false;
    }
    bson_append_document_begin(out, key, -1, &child);
    ok = merge_object(&child, &old, patch, depth - 1);
    return bson_append_document_end(out, &child) && ok;
}

static bool merge_object(bson_t *out, const bson_t *old, const json_t *patch, int depth)
{
    const char *key;
    json_t *value;
    bson_iter_t iter;

    if (!bson_iter_init(&iter, old))
        return false;
    while (bson_iter_next(&iter)) {
        value = json_object_get(patch, bson_iter_key(&iter));
        if (value ? !merge_element(out, bson_iter_key(&iter), &iter, value, depth)
                  : !bson_append_iter(out, NULL, -1, &iter))
            return false;
    }
    json_object_foreach((json_t *)patch, key,
                        value) if (!bson_has_field(old, key) &&
                                   !merge_element(out, key, NULL, value, depth)) return false;
    return true;
}

bson_t *tide_gridfs_metadata_merge(const bson_t *old, const char *patch, struct tide_err *err)
{
    json_t *object = load_object(patch, err);
    bson_t *doc;
    bool ok;

    if (!object)
        return NULL;
    doc = bson_new();
    ok = merge_object(doc, old, object, MAX_DEPTH);
    json_decref(object);
    return checked(doc, ok, err);
}

/* ---- JSON ---- */

static bool print_members(bson_iter_t *iter, bool keys, struct tide_buf *out, int depth);

static bool print_double(double value, struct tide_buf *out)
{
    char text[40];

    if (!isfinite(value))
        return tide_buf_puts(out, "null");
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    return tide_buf_puts(out, text) && (strpbrk(text, ".e") || tide_buf_puts(out, ".0"));
}

static bool print_container(const bson_iter_t *iter, struct tide_buf *out, int depth)
{
    bool object = BSON_ITER_HOLDS_DOCUMENT(iter);
    bson_iter_t child;

    return depth > 0 && bson_iter_recurse(iter, &child) && tide_buf_putc(out, object ? '{' : '[') &&
           print_members(&child, object, out, depth - 1) && tide_buf_putc(out, object ? '}' : ']');
}

static bool print_text(const bson_iter_t *iter, struct tide_buf *out)
{
    uint32_t len;
    const char *text = bson_iter_utf8(iter, &len);

    return tide_buf_json(out, text, len);
}

static bool print_id(const bson_iter_t *iter, struct tide_buf *out)
{
    struct tide_id id = tide_gridfs_id(bson_iter_oid(iter));

    return tide_buf_json(out, id.hex, TIDE_ID_LEN);
}

static bool print_value(const bson_iter_t *iter, struct tide_buf *out, int depth)
{
    switch (bson_iter_type(iter)) {
    case BSON_TYPE_UTF8:
        return print_text(iter, out);
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        return tide_buf_int(out, bson_iter_as_int64(iter));
    case BSON_TYPE_DOUBLE:
        return print_double(bson_iter_double(iter), out);
    case BSON_TYPE_BOOL:
        return tide_buf_puts(out, bson_iter_bool(iter) ? "true" : "false");
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        return print_container(iter, out, depth);
    case BSON_TYPE_OID:
        return print_id(iter, out);
    case BSON_TYPE_DATE_TIME:
        return tide_buf_int(out, bson_iter_date_time(iter));
    default:
        return tide_buf_puts(out, "null");
    }
}

static bool print_members(bson_iter_t *iter, bool keys, struct tide_buf *out, int depth)
{
    bool first = true;

    while (bson_iter_next(iter)) {
        if (!first && !tide_buf_putc(out, ','))
            return false;
        first = false;
        if (keys &&
            (!tide_buf_json(out, bson_iter_key(iter), bson_iter_key_len(iter)) || !tide_buf_putc(out, ':')))
            return false;
        if (!print_value(iter, out, depth))
            return false;
    }
    return true;
}

bool tide_gridfs_metadata_print(const bson_t *doc, struct tide_buf *out)
{
    bson_iter_t iter;

    return bson_iter_init(&iter, doc) && tide_buf_putc(out, '{') &&
           print_members(&iter, true, out, MAX_DEPTH + 10) && tide_buf_putc(out, '}');
}
