/* SPDX-License-Identifier: Apache-2.0
 *
 * answer - reading DNS messages
 *
 *     +--------+----------+---------+-----------+------------+
 *     | header | question | answer  | authority | additional |
 *     +--------+----------+---------+-----------+------------+
 *       12       1          aliases,  SOA when     not read
 *                           records   no data
 *
 * Aliases may stand in any order, so the answer section is walked once for each until none is left
 * to follow (twice as a rule), then once more for the records of the last name. No record is
 * shorter than 11 octets, so a message of 64 KiB bounds them: all are looked at, since the most
 * preferred of thousands of MX may be the last one.
 */
#include "answer.h"

enum {
    HEADER_LEN = 12,
    RECORD_FIXED_LEN = 10, /* type, class, TTL, RDLENGTH */
    CLASS_IN = 1,
    LABEL_MAX = 63,
    ALIASES_MAX = 64, /* in one answer, whoever's: each walk looks at them all */
    FLAG_RESPONSE = 0x8000,
    FLAG_OPCODE = 0x7800,
    FLAG_TRUNCATED = 0x0200,
    RCODE_OK = 0,
    RCODE_NXDOMAIN = 3,
    RCODE_REFUSED = 5,
};

static uint8_t octet(struct bytes message, size_t at)
{
    return (uint8_t)message.data[at];
}

static uint16_t u16(struct bytes message, size_t at)
{
    return (uint16_t)(octet(message, at) << 8 | octet(message, at + 1));
}

static uint32_t u32(struct bytes message, size_t at)
{
    return (uint32_t)u16(message, at) << 16 | u16(message, at + 2);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* One label behind a dot; false: it has octets that no host name has. */
static bool put_label(struct text *text, struct bytes label)
{
    char lower[LABEL_MAX];
    bool clean = true;
    for (size_t i = 0; i < label.len; i++) {
        lower[i] = ascii_lower(label.data[i]);
        clean &= dns_is_name_char(lower[i]);
    }
    if (text->len > 0) text_put(text, BYTES("."));
    text_put(text, (struct bytes){lower, label.len});
    return clean;
}

/* Ends: `limit` falls at each pointer, and at falls behind no limit without a pointer. */
enum answer_name dns_answer_name(struct bytes message, size_t *offset, struct text *text)
{
    size_t at = *offset, limit = *offset, wire_len = 0;
    bool clean = true, jumped = false;
    while (at < message.len) {
        const uint8_t len = octet(message, at);
        if (len == 0) {
            if (!jumped) *offset = at + 1;
            return clean ? ANSWER_NAME_OK : ANSWER_NAME_ODD;
        }
        if ((len & 0xc0) == 0xc0) { /* RFC 1035 section 4.1.4: "a prior occurrence" */
            if (at + 1 >= message.len) return ANSWER_NAME_BAD;
            const size_t target = u16(message, at) & 0x3fffu;
            if (target >= limit) return ANSWER_NAME_BAD;
            if (!jumped) *offset = at + 2;
            jumped = true;
            at = limit = target;
            continue;
        }
        wire_len += len + 1u;
        if (len > LABEL_MAX || at + 1 + len > message.len) return ANSWER_NAME_BAD;
        if (wire_len > DNS_NAME_MAX + 1) return ANSWER_NAME_BAD;
        clean &= put_label(text, (struct bytes){message.data + at + 1, len});
        at += len + 1u;
    }
    return ANSWER_NAME_BAD;
}

/* As above, into a buffer of DNS_NAME_MAX + 1 octets. */
static enum answer_name read_name(struct bytes message, size_t *offset, char *out, size_t *len)
{
    struct text text;
    text_init(&text, out, DNS_NAME_MAX + 1);
    const enum answer_name result = dns_answer_name(message, offset, &text);
    if (result == ANSWER_NAME_OK && text.cut) return ANSWER_NAME_BAD;
    *len = text.len;
    return result;
}

/* ---- records --------------------------------------------------------------------------------- */

struct record {
    char owner[DNS_NAME_MAX + 1]; /* read only of records of the type that is looked for */
    size_t owner_len;             /* 0 also for an odd name: such a record is never ours */
    uint16_t type, class;
    uint32_t ttl;
    size_t data, end; /* RDATA in the message */
};

/* Moves *at behind a name without following its pointer: that costs more than all the rest. */
static bool skip_name(struct bytes message, size_t *at)
{
    while (*at < message.len) {
        const uint8_t len = octet(message, *at);
        *at += (len & 0xc0) == 0xc0 ? 2u : len + 1u;
        if (len == 0 || len > LABEL_MAX) return *at <= message.len;
    }
    return false;
}

/* false: the message is damaged here; nothing behind can be found. */
static bool next_record(struct bytes message, size_t *at, uint16_t wanted, struct record *record)
{
    size_t owner_at = *at;
    record->owner_len = 0;
    if (!skip_name(message, at) || message.len - *at < RECORD_FIXED_LEN) return false;
    record->type = u16(message, *at);
    if (record->type == wanted) {
        const enum answer_name owner =
            read_name(message, &owner_at, record->owner, &record->owner_len);
        if (owner == ANSWER_NAME_BAD) return false;
        if (owner == ANSWER_NAME_ODD) record->owner_len = 0;
    }
    record->class = u16(message, *at + 2);
    record->ttl = u32(message, *at + 4);
    if (record->ttl > INT32_MAX) record->ttl = 0; /* RFC 2181 section 8 */
    record->data = *at + RECORD_FIXED_LEN;
    record->end = record->data + u16(message, *at + 8);
    if (record->end > message.len) return false;
    *at = record->end;
    return true;
}

static bool is_of(const struct record *record, const struct dns_answer *answer, enum dns_type type)
{
    return record->type == type && record->class == CLASS_IN &&
           bytes_equal((struct bytes){record->owner, record->owner_len}, bytes_of(answer->name));
}

/* A name that fills the record from `at` to its end. */
static enum answer_name read_target(struct bytes message, const struct record *record, size_t at,
                                    char *out, size_t *len)
{
    if (at >= record->end) return ANSWER_NAME_BAD;
    const enum answer_name result = read_name(message, &at, out, len);
    return at == record->end ? result : ANSWER_NAME_BAD;
}

/* Most preferred first, each host once with its best preference; the least preferred falls off. */
static void add_mx(struct dns_answer *answer, uint16_t preference, struct bytes name)
{
    uint8_t at = 0;
    while (at < answer->mx_count && answer->mx[at].preference <= preference) {
        const struct answer_mx *mx = &answer->mx[at++];
        if (bytes_equal((struct bytes){mx->name, mx->name_len}, name)) return;
    }
    uint8_t gap = at; /* closes where the host stood with a worse preference, or at the end */
    while (gap < answer->mx_count) {
        const struct answer_mx *mx = &answer->mx[gap];
        if (bytes_equal((struct bytes){mx->name, mx->name_len}, name)) break;
        gap++;
    }
    if (at == DNS_MX_MAX) return;
    if (gap == answer->mx_count && answer->mx_count < DNS_MX_MAX) answer->mx_count += 1;
    if (gap == DNS_MX_MAX) gap -= 1;
    memmove(&answer->mx[at + 1], &answer->mx[at], (size_t)(gap - at) * sizeof(answer->mx[0]));
    struct answer_mx *mx = &answer->mx[at];
    *mx = (struct answer_mx){.preference = preference, .name_len = (uint8_t)name.len};
    memcpy(mx->name, name.data, name.len);
}

static void read_mx(struct bytes message, const struct record *record, struct dns_answer *answer)
{
    char name[DNS_NAME_MAX + 1];
    size_t len;
    if (record->end - record->data < 3) return;
    const uint16_t preference = u16(message, record->data);
    if (read_target(message, record, record->data + 2, name, &len) != ANSWER_NAME_OK) return;
    if (len == 0) {
        answer->null_mx |= preference == 0;
        return;
    }
    const struct bytes host = {name, len};
    if (!dns_name_is_number(host)) add_mx(answer, preference, host);
}

static void read_address(struct bytes message, const struct record *record,
                         struct dns_answer *answer)
{
    const bool v4 = record->type == DNS_TYPE_A;
    struct address address = {.family = v4 ? 4 : 6, .prefix = v4 ? 32 : 128};
    const size_t len = v4 ? 4 : 16;
    if (record->end - record->data != len) return;
    memcpy(address.ip, message.data + record->data, len);
    for (uint8_t i = 0; i < answer->address_count; i++) {
        if (address_same_ip(&answer->addresses[i], &address)) return;
    }
    if (answer->address_count == DNS_ADDRESSES_MAX) return;
    answer->addresses[answer->address_count++] = address;
}

/* ---- sections -------------------------------------------------------------------------------- */

/* Follows aliases from answer->name as far as the section goes. */
static enum dns_error follow_aliases(struct bytes message, size_t start, uint16_t count,
                                     struct dns_answer *answer)
{
    for (bool moved = true; moved;) {
        size_t at = start, aliases = 0;
        moved = false;
        for (uint16_t i = 0; i < count; i++) {
            struct record record;
            char target[DNS_NAME_MAX + 1];
            size_t len;
            if (!next_record(message, &at, DNS_TYPE_CNAME, &record)) return DNS_ERROR_BAD_ANSWER;
            aliases += record.type == DNS_TYPE_CNAME;
            if (aliases > ALIASES_MAX) return DNS_ERROR_CNAME_LOOP;
            if (!is_of(&record, answer, DNS_TYPE_CNAME)) continue;
            const enum answer_name result =
                read_target(message, &record, record.data, target, &len);
            if (result == ANSWER_NAME_BAD) continue;
            if (result == ANSWER_NAME_ODD || len == 0) return DNS_ERROR_BAD_NAME;
            if (answer->alias_count == DNS_CNAME_MAX) return DNS_ERROR_CNAME_LOOP;
            memcpy(answer->name, target, len + 1);
            answer->ttl = MIN(answer->ttl, record.ttl);
            answer->alias_count += 1;
            moved = true;
        }
    }
    return DNS_ERROR_NONE;
}

/* *at ends behind the records looked at. */
static bool read_records(struct bytes message, size_t *at, uint16_t count, enum dns_type type,
                         struct dns_answer *answer)
{
    for (uint16_t i = 0; i < count; i++) {
        struct record record;
        if (!next_record(message, at, (uint16_t)type, &record)) return false;
        if (!is_of(&record, answer, type)) continue;
        answer->seen += 1;
        answer->ttl = MIN(answer->ttl, record.ttl);
        if (type == DNS_TYPE_MX) {
            read_mx(message, &record, answer);
        } else {
            read_address(message, &record, answer);
        }
    }
    return true;
}

/* RFC 2308 section 5: the smaller of the SOA's own TTL and its MINIMUM field. */
static void read_negative_ttl(struct bytes message, size_t at, uint16_t count,
                              struct dns_answer *answer)
{
    for (uint16_t i = 0; i < count; i++) {
        struct record record;
        char name[DNS_NAME_MAX + 1];
        size_t len;
        if (!next_record(message, &at, DNS_TYPE_SOA, &record)) return;
        if (record.type != DNS_TYPE_SOA || record.class != CLASS_IN) continue;
        size_t field = record.data; /* MNAME, RNAME, five numbers of which MINIMUM is the last */
        if (read_name(message, &field, name, &len) == ANSWER_NAME_BAD) continue;
        if (field >= record.end) continue;
        if (read_name(message, &field, name, &len) == ANSWER_NAME_BAD) continue;
        if (field > record.end || record.end - field != 20) continue;
        answer->has_soa = true;
        answer->ttl = MIN(answer->ttl, MIN(record.ttl, u32(message, field + 16)));
        return;
    }
}

static enum dns_error check_header(struct bytes message)
{
    if (message.len < HEADER_LEN) return DNS_ERROR_BAD_ANSWER;
    const uint16_t flags = u16(message, 2);
    if (!(flags & FLAG_RESPONSE) || flags & FLAG_OPCODE) return DNS_ERROR_BAD_ANSWER;
    if ((flags & 0xf) == RCODE_REFUSED) return DNS_ERROR_REFUSED;
    if ((flags & 0xf) != RCODE_OK && (flags & 0xf) != RCODE_NXDOMAIN) return DNS_ERROR_SERVFAIL;
    /* TCP was tried by the backend: a part of the list of hosts must not pass for the whole. */
    if (flags & FLAG_TRUNCATED) return DNS_ERROR_BAD_ANSWER;
    return DNS_ERROR_NONE;
}

/* Up to the answer section: *at is its beginning, answer->name the last one of the aliases. */
static enum dns_error begin(struct bytes message, struct bytes name, enum dns_type type,
                            struct dns_answer *answer, size_t *at)
{
    size_t len;
    ASSERT(name.len <= DNS_NAME_MAX);
    *answer = (struct dns_answer){.ttl = INT32_MAX};
    const enum dns_error error = check_header(message);
    if (error != DNS_ERROR_NONE) return error;
    *at = HEADER_LEN;
    if (u16(message, 4) != 1) return DNS_ERROR_BAD_ANSWER;
    if (read_name(message, at, answer->name, &len) != ANSWER_NAME_OK) return DNS_ERROR_BAD_ANSWER;
    if (!bytes_equal((struct bytes){answer->name, len}, name)) return DNS_ERROR_BAD_ANSWER;
    if (message.len - *at < 4) return DNS_ERROR_BAD_ANSWER;
    if (u16(message, *at) != type || u16(message, *at + 2) != CLASS_IN) return DNS_ERROR_BAD_ANSWER;
    *at += 4;
    answer->exists = (u16(message, 2) & 0xf) == RCODE_OK;
    return follow_aliases(message, *at, u16(message, 6), answer);
}

enum dns_error dns_answer_parse(struct bytes message, struct bytes name, enum dns_type type,
                                struct dns_answer *answer)
{
    size_t at;
    const enum dns_error error = begin(message, name, type, answer, &at);
    if (error != DNS_ERROR_NONE) return error;
    if (!read_records(message, &at, u16(message, 6), type, answer)) return DNS_ERROR_BAD_ANSWER;
    if (!answer->exists) answer->seen = answer->mx_count = answer->address_count = 0;
    answer->null_mx &= answer->seen == 1;
    if (answer->seen == 0) read_negative_ttl(message, at, u16(message, 8), answer);
    return DNS_ERROR_NONE;
}

/* Strings of up to 255 octets, each behind its length; one that runs out of the record ends it. */
static void read_strings(struct bytes message, const struct record *record, struct text *text)
{
    for (size_t at = record->data; at < record->end;) {
        const size_t len = octet(message, at);
        if (len > record->end - at - 1) return;
        text_put(text, (struct bytes){message.data + at + 1, len});
        at += 1 + len;
    }
}

enum dns_error dns_txt_read(struct bytes message, struct bytes name, struct text *text,
                            uint32_t *count)
{
    struct dns_answer answer;
    struct record record;
    size_t at;
    *count = 0;
    const enum dns_error error = begin(message, name, DNS_TYPE_TXT, &answer, &at);
    if (error != DNS_ERROR_NONE || !answer.exists) return error;
    for (uint16_t i = 0; i < u16(message, 6); i++) {
        if (!next_record(message, &at, DNS_TYPE_TXT, &record)) return DNS_ERROR_BAD_ANSWER;
        if (!is_of(&record, &answer, DNS_TYPE_TXT)) continue;
        if (*count == 0) read_strings(message, &record, text);
        *count += 1;
    }
    return DNS_ERROR_NONE;
}
