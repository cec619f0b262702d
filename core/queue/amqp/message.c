#include "queue/amqp/message.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LAST_MS INT64_C(253402300799999) /* of the year 9999 */

void *tide_amqp_allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

static char *copy_bytes(const void *bytes, size_t len)
{
    char *copy = tide_amqp_allocate(len + 1);

    if (len)
        memcpy(copy, bytes, len);
    return copy;
}

char *tide_amqp_copy(const char *text, size_t max)
{
    return text ? copy_bytes(text, strnlen(text, max)) : NULL;
}

void tide_amqp_message_release(struct tide_amqp_message *message)
{
    free(message->payload);
    free(message->code);
    free(message->reason);
    free(message->detail);
    *message = (struct tide_amqp_message){0};
}

/* ---- writing ---- */

struct headers {
    amqp_table_entry_t entries[8];
    int count;
};

static void put_number(struct headers *headers, const char *name, int64_t value)
{
    if (value)
        headers->entries[headers->count++] =
            (amqp_table_entry_t){amqp_cstring_bytes(name), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static void put_text(struct headers *headers, const char *name, const char *value)
{
    if (value)
        headers->entries[headers->count++] =
            (amqp_table_entry_t){amqp_cstring_bytes(name),
                                 {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static struct headers headers_of(const struct tide_amqp_message *message)
{
    struct headers headers = {.count = 0};

    put_number(&headers, "tidemill-published", message->published_ms);
    put_number(&headers, "tidemill-attempts", message->attempts);
    put_number(&headers, "tidemill-lost", message->lost);
    put_number(&headers, "tidemill-due", message->due_ms);
    put_number(&headers, "tidemill-died", message->died_ms);
    put_text(&headers, "tidemill-code", message->code);
    put_text(&headers, "tidemill-reason", message->reason);
    put_text(&headers, "tidemill-detail", message->detail);
    return headers;
}

int tide_amqp_message_publish(amqp_connection_state_t conn, amqp_channel_t channel, const char *name,
                              const struct tide_amqp_message *message)
{
    struct headers headers = headers_of(message);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(message->id),
        .timestamp = (uint64_t)(message->published_ms / 1000),
        .app_id = amqp_cstring_bytes("tidemill"),
        .headers = {headers.count, headers.entries}};

    return amqp_basic_publish(conn, channel, amqp_empty_bytes, amqp_cstring_bytes(name), 1, 0, &properties,
                              (amqp_bytes_t){message->len, message->payload});
}

/* ---- reading ---- */

static bool is_called(amqp_bytes_t name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.bytes, text, name.len) == 0;
}

static const amqp_field_value_t *find(const amqp_table_t *table, const char *name)
{
    for (int i = 0; i < table->num_entries; i++)
        if (is_called(table->entries[i].key, name))
            return &table->entries[i].value;
    return NULL;
}

/* Peers write whole numbers in any width; 0 when there is none. */
static int64_t number_of(const amqp_table_t *table, const char *name)
{
    const amqp_field_value_t *value = find(table, name);

    switch (value ? value->kind : AMQP_FIELD_KIND_VOID) {
    case AMQP_FIELD_KIND_I8:
        return value->value.i8;
    case AMQP_FIELD_KIND_U8:
        return value->value.u8;
    case AMQP_FIELD_KIND_I16:
        return value->value.i16;
    case AMQP_FIELD_KIND_U16:
        return value->value.u16;
    case AMQP_FIELD_KIND_I32:
        return value->value.i32;
    case AMQP_FIELD_KIND_U32:
        return value->value.u32;
    case AMQP_FIELD_KIND_I64:
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        return value->value.i64;
    default:
        return 0;
    }
}

static char *text_of(const amqp_table_t *table, const char *name, size_t max)
{
    const amqp_field_value_t *value = find(table, name);

    if (!value || (value->kind != AMQP_FIELD_KIND_UTF8 && value->kind != AMQP_FIELD_KIND_BYTES))
        return NULL;
    return copy_bytes(value->value.bytes.bytes, value->value.bytes.len < max ? value->value.bytes.len : max);
}

static unsigned count_of(int64_t number)
{
    return number < 0 ? 0 : number > 1000000 ? 1000000 : (unsigned)number;
}

/* Peers may write anything: what is no time of this age is none, and nobody's sums overflow. */
static int64_t time_of(int64_t number, int64_t unit_ms)
{
    return number < 0 || number > LAST_MS / unit_ms ? 0 : number * unit_ms;
}

static void read_headers(struct tide_amqp_message *message, const amqp_table_t *headers)
{
    message->published_ms = time_of(number_of(headers, "tidemill-published"), 1);
    message->attempts = count_of(number_of(headers, "tidemill-attempts"));
    message->lost = count_of(number_of(headers, "tidemill-lost"));
    message->due_ms = time_of(number_of(headers, "tidemill-due"), 1);
    message->died_ms = time_of(number_of(headers, "tidemill-died"), 1);
    message->code = text_of(headers, "tidemill-code", TIDE_QUEUE_CODE_LEN);
    message->reason = text_of(headers, "tidemill-reason", TIDE_QUEUE_REASON_LEN);
    message->detail = text_of(headers, "tidemill-detail", TIDE_QUEUE_DETAIL_LEN);
}

/* x-death: what the broker did, the last first. */
static const amqp_table_t *last_death(const amqp_table_t *headers)
{
    const amqp_field_value_t *deaths = find(headers, "x-death");

    if (!deaths || deaths->kind != AMQP_FIELD_KIND_ARRAY || deaths->value.array.num_entries < 1 ||
        deaths->value.array.entries[0].kind != AMQP_FIELD_KIND_TABLE)
        return NULL;
    return &deaths->value.array.entries[0].value.table;
}

bool tide_amqp_message_read(struct tide_amqp_message *message, const amqp_basic_properties_t *properties,
                            bool redelivered, unsigned *returned)
{
    amqp_table_t none = {0, NULL};
    const amqp_table_t *headers = properties->_flags & AMQP_BASIC_HEADERS_FLAG ? &properties->headers : &none;
    amqp_bytes_t id = properties->message_id;
    bool counted = find(headers, "x-delivery-count") != NULL;

    read_headers(message, headers);
    *returned = counted ? count_of(number_of(headers, "x-delivery-count")) : redelivered;
    if ((properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) && id.len < sizeof message->id)
        snprintf(message->id, sizeof message->id, "%.*s", (int)id.len, (const char *)id.bytes);
    if (!message->published_ms && (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG))
        message->published_ms = time_of((int64_t)properties->timestamp, 1000);
    return counted;
}

void tide_amqp_message_read_death(struct tide_amqp_message *message,
                                  const amqp_basic_properties_t *properties)
{
    bool has_headers = (properties->_flags & AMQP_BASIC_HEADERS_FLAG) != 0;
    const amqp_table_t *death = has_headers ? last_death(&properties->headers) : NULL;

    if (message->died_ms || !death)
        return;
    free(message->code);
    free(message->reason);
    message->code = text_of(death, "reason", TIDE_QUEUE_CODE_LEN);
    message->reason = tide_amqp_copy("given up by the broker", TIDE_QUEUE_REASON_LEN);
    message->died_ms = time_of(number_of(death, "time"), 1000);
}

int64_t tide_amqp_message_number(const struct tide_amqp_message *message)
{
    crypto_generichash_state state;
    unsigned char hash[crypto_generichash_BYTES_MIN];
    int64_t number = 0;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)message->id, strlen(message->id));
    crypto_generichash_update(&state, (const unsigned char *)&message->died_ms, sizeof message->died_ms);
    if (!*message->id)
        crypto_generichash_update(&state, (const unsigned char *)message->payload, message->len);
    crypto_generichash_final(&state, hash, sizeof hash);
    for (int i = 0; i < 6; i++)
        number = number * 256 + hash[i];
    return number + 1;
}
