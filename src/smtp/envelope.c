/* SPDX-License-Identifier: Apache-2.0
 *
 * envelope - the stored form of an envelope
 *
 *   head       version u8 | body u8 | ret u8 | protocol u8 | flags u8 | recipient count u32
 *              | reverse-path | envid | client | session id
 *   recipient  notify u8 | address | orcpt
 *
 * little-endian; each string is a length u16 and its octets. A text of the client can therefore
 * never be read as another field (CVE-2020-8794). Reading trusts no length: the record may be torn.
 */
#include "ringpost/smtp.h"

enum { VERSION = 1, COUNT_OFFSET = 5, FLAG_SMTPUTF8 = 1, NOTIFY_ALL = 15 };

struct writer {
    char *out;
    size_t len, cap;
    bool full;
};

static void write_octets(struct writer *writer, const void *data, size_t len)
{
    if (writer->full || writer->cap - writer->len < len) {
        writer->full = true;
        return;
    }
    if (len > 0) memcpy(writer->out + writer->len, data, len);
    writer->len += len;
}

static void write_u8(struct writer *writer, uint8_t value)
{
    write_octets(writer, &value, 1);
}

static void write_string(struct writer *writer, struct bytes string)
{
    ASSERT(string.len <= UINT16_MAX);
    const uint8_t len[2] = {(uint8_t)string.len, (uint8_t)(string.len >> 8)};
    write_octets(writer, len, sizeof(len));
    write_octets(writer, string.data, string.len);
}

size_t smtp_envelope_store_head(const struct smtp_envelope *envelope, char *out, size_t cap)
{
    struct writer writer = {.out = out, .cap = cap};
    const uint32_t count = envelope->recipient_count;
    const uint8_t count_octets[4] = {(uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16),
                                     (uint8_t)(count >> 24)};
    write_u8(&writer, VERSION);
    write_u8(&writer, envelope->body);
    write_u8(&writer, envelope->ret);
    write_u8(&writer, envelope->protocol);
    write_u8(&writer, envelope->smtputf8 ? FLAG_SMTPUTF8 : 0);
    write_octets(&writer, count_octets, sizeof(count_octets));
    write_string(&writer, envelope->reverse_path);
    write_string(&writer, envelope->envid);
    write_string(&writer, envelope->client);
    write_string(&writer, envelope->session_id);
    return writer.full ? 0 : writer.len;
}

size_t smtp_envelope_store_recipient(const struct smtp_recipient *recipient, char *out, size_t cap)
{
    struct writer writer = {.out = out, .cap = cap};
    write_u8(&writer, recipient->notify);
    write_string(&writer, recipient->address);
    write_string(&writer, recipient->orcpt);
    return writer.full ? 0 : writer.len;
}

void smtp_envelope_patch_count(char *stored, uint32_t recipient_count)
{
    for (unsigned i = 0; i < 4; i++)
        stored[COUNT_OFFSET + i] = (char)(uint8_t)(recipient_count >> (8 * i));
}

static bool read_u8(struct bytes *cursor, uint8_t max, uint8_t *value)
{
    if (cursor->len < 1) return false;
    *value = (uint8_t)cursor->data[0];
    *cursor = bytes_skip(*cursor, 1);
    return *value <= max;
}

static bool read_string(struct bytes *cursor, struct bytes *string)
{
    if (cursor->len < 2) return false;
    const size_t len = (size_t)(uint8_t)cursor->data[0] | (size_t)(uint8_t)cursor->data[1] << 8;
    *cursor = bytes_skip(*cursor, 2);
    if (cursor->len < len) return false;
    *string = (struct bytes){cursor->data, len};
    *cursor = bytes_skip(*cursor, len);
    return true;
}

static bool read_u32(struct bytes *cursor, uint32_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t octet;
        if (!read_u8(cursor, UINT8_MAX, &octet)) return false;
        *value |= (uint32_t)octet << (8 * i);
    }
    return true;
}

bool smtp_recipient_next(struct bytes *cursor, struct smtp_recipient *recipient)
{
    struct bytes rest = *cursor;
    *recipient = (struct smtp_recipient){0};
    if (!read_u8(&rest, NOTIFY_ALL, &recipient->notify)) return false;
    if (!read_string(&rest, &recipient->address)) return false;
    if (!read_string(&rest, &recipient->orcpt)) return false;
    *cursor = rest;
    return true;
}

bool smtp_envelope_load(struct bytes stored, struct smtp_envelope *envelope)
{
    struct bytes cursor = stored;
    uint8_t version, flags;
    *envelope = (struct smtp_envelope){0};
    if (!read_u8(&cursor, VERSION, &version) || version != VERSION) return false;
    if (!read_u8(&cursor, SMTP_BODY_BINARYMIME, &envelope->body)) return false;
    if (!read_u8(&cursor, SMTP_RET_HDRS, &envelope->ret)) return false;
    if (!read_u8(&cursor, SMTP_PROTOCOL_COUNT - 1, &envelope->protocol)) return false;
    if (!read_u8(&cursor, FLAG_SMTPUTF8, &flags)) return false;
    if (!read_u32(&cursor, &envelope->recipient_count)) return false;
    if (!read_string(&cursor, &envelope->reverse_path)) return false;
    if (!read_string(&cursor, &envelope->envid)) return false;
    if (!read_string(&cursor, &envelope->client)) return false;
    if (!read_string(&cursor, &envelope->session_id)) return false;
    envelope->smtputf8 = flags & FLAG_SMTPUTF8;
    envelope->recipients = cursor;

    /* The walk is bounded by the input, whatever count says: each recipient takes octets. */
    uint32_t count = 0;
    struct smtp_recipient recipient;
    while (smtp_recipient_next(&cursor, &recipient))
        count += 1;
    return cursor.len == 0 && count == envelope->recipient_count;
}
