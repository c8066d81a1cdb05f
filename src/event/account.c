/* SPDX-License-Identifier: Apache-2.0
 *
 * account - one JSON object a line for each reception and each attempt (RFC 8259)
 *
 * Written straight into the buffer, since there is one for every reception and every delivery.
 * Whatever senders and receivers put into addresses and replies, a line is valid JSON, valid UTF-8
 * and at most EVENT_LINE_MAX long: every string has its share of the line.
 */
#include "event_private.h"
#include <assert.h>

/* Most octets of a string in the line, escapes included. What SMTP allows fits unescaped: paths of
 * 256, domains of 255 (RFC 5321 section 4.5.3.1); a reply's text is cut at some lines. */
enum {
    PATH_MAX_OUT = 1024,
    NAME_MAX_OUT = 512,
    CONTENT_MAX_OUT = 2048,
    WORD_MAX_OUT = 64,
    PEER_MAX_OUT = 256,   /* a name that a certificate or a login has */
    FIXED_MAX_OUT = 1024, /* names, punctuation, numbers, the peer's address */
};
static_assert(2 * PATH_MAX_OUT + 4 * NAME_MAX_OUT + CONTENT_MAX_OUT + 5 * WORD_MAX_OUT +
                      2 * PEER_MAX_OUT + FIXED_MAX_OUT <=
                  EVENT_LINE_MAX,
              "the longest record is one line");

/* Octets that stand for themselves in a JSON string: printable ASCII without " and \. */
static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Always six octets. */
static char *put_unicode(char *out, uint16_t value)
{
    static const char hex[] = "0123456789abcdef";
    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *out++ = hex[value >> shift & 15];
    return out;
}

/* One octet that is not plain, or one UTF-8 sequence; returns how much of text was used. room is
 * at least 6. */
static size_t put_escaped(char **out, struct bytes text)
{
    const unsigned char c = (unsigned char)text.data[0];
    char *to = *out;
    if (c >= 0x80 || c == 0) {
        const size_t len = c == 0 ? 0 : utf8_char_len(text.data, text.len);
        const uint16_t control = event_utf8_control(text.data, len);
        if (control != 0) {
            *out = put_unicode(to, control);
            return len;
        }
        if (len > 0) {
            memcpy(to, text.data, len);
            *out = to + len;
            return len;
        }
        memcpy(to, "\xef\xbf\xbd", 3); /* U+FFFD: not UTF-8, or NUL, which readers choke on */
        *out = to + 3;
        return 1;
    }
    if (c == '"' || c == '\\') {
        *to++ = '\\';
        *to++ = (char)c;
    } else {
        to = put_unicode(to, c);
    }
    *out = to;
    return 1;
}

/* is_plain() of eight octets at once: the high bit of each lane is set where something is wrong
 * with its octet (or, by a borrow, with one before it: the careful way sorts that out). */
static inline bool are_plain(uint64_t octets)
{
    const uint64_t ones = UINT64_MAX / 255;
    const uint64_t quotes = octets ^ (ones * '"'), slashes = octets ^ (ones * '\\');
    const uint64_t odd =
        octets | (octets - ones * 0x20) | (octets + ones) | (quotes - ones) | (slashes - ones);
    return (odd & (ones * 0x80)) == 0;
}

/* The inside of a string; at most max octets come out, whole characters only. */
static char *put_string(char *out, struct bytes text, size_t max)
{
    const char *const last = out + max - 6; /* room for the longest escape */
    size_t i = 0;
    while (i < text.len && out <= last) {
        uint64_t eight;
        if (text.len - i >= sizeof(eight) && last - out >= (ptrdiff_t)sizeof(eight)) {
            memcpy(&eight, text.data + i, sizeof(eight));
            if (LIKELY(are_plain(eight))) {
                memcpy(out, &eight, sizeof(eight));
                out += sizeof(eight);
                i += sizeof(eight);
                continue;
            }
        }
        const char c = text.data[i];
        if (LIKELY(is_plain((unsigned char)c))) {
            *out++ = c;
            i += 1;
        } else {
            i += put_escaped(&out, bytes_skip(text, i));
        }
    }
    return out;
}

static inline char *put(char *out, struct bytes literal)
{
    memcpy(out, literal.data, literal.len);
    return out + literal.len;
}

/* name is literally `,"name":"`. */
static char *put_field(char *out, struct bytes name, struct bytes value, size_t max)
{
    if (value.len == 0) return out;
    out = put(out, name);
    out = put_string(out, value, max);
    *out++ = '"';
    return out;
}

/* name is literally `,"name":`. */
static char *put_number(char *out, struct bytes name, uint64_t value)
{
    return event_put_decimal(put(out, name), value);
}

static char *put_seconds(char *out, struct bytes name, wall_ms when)
{
    return put_number(out, name, when > 0 ? (uint64_t)when / 1000 : 0);
}

static char *put_response(char *out, const struct event_record *record)
{
    if (record->code == 0 && record->content.len == 0) return out;
    out = put_number(out, BYTES(",\"response\":{\"code\":"), record->code);
    if (record->enhanced_class != 0) {
        out = put_number(out, BYTES(",\"enhanced_code\":{\"class\":"), record->enhanced_class);
        out = put_number(out, BYTES(",\"subject\":"), record->enhanced_subject);
        out = put_number(out, BYTES(",\"detail\":"), record->enhanced_detail);
        *out++ = '}';
    }
    out = put(out, BYTES(",\"content\":\""));
    out = put_string(out, record->content, CONTENT_MAX_OUT);
    return put(out, BYTES("\"}"));
}

static char *put_peer(char *out, const struct event_record *record)
{
    char address[ADDRESS_TEXT_MAX];
    if (record->peer == NULL && record->peer_name.len == 0) return out;
    out = put(out, BYTES(",\"peer_address\":{\"name\":\""));
    out = put_string(out, record->peer_name, NAME_MAX_OUT);
    *out++ = '"';
    if (record->peer != NULL) {
        out = put(out, BYTES(",\"addr\":\""));
        out = put(out, bytes_of(address_print_ip(record->peer, address)));
        *out++ = '"';
    }
    *out++ = '}';
    return out;
}

/* KumoMTA has a list of the parts of the subject's name there. */
static char *put_tls(char *out, const struct event_record *record)
{
    if (record->tls_version.len == 0) return out;
    out = put_field(out, BYTES(",\"tls_protocol_version\":\""), record->tls_version, WORD_MAX_OUT);
    out = put_field(out, BYTES(",\"tls_cipher\":\""), record->tls_cipher, WORD_MAX_OUT);
    if (record->tls_peer_name.len > 0) {
        out = put(out, BYTES(",\"tls_peer_subject_name\":[\""));
        out = put_string(out, record->tls_peer_name, PEER_MAX_OUT);
        out = put(out, BYTES("\"]"));
    }
    return put(out, record->tls_verified ? BYTES(",\"tls_verified\":true")
                                         : BYTES(",\"tls_verified\":false"));
}

static char *put_timings(char *out, const struct event_record *record)
{
    const struct {
        struct bytes name;
        int64_t ms;
    } timings[] = {
        {BYTES(",\"queued\":"), record->queued_ms},
        {BYTES(",\"dns\":"), record->dns_ms},
        {BYTES(",\"connect\":"), record->connect_ms},
        {BYTES(",\"transaction\":"), record->transaction_ms},
    };
    bool first = true;
    for (size_t i = 0; i < ARRAY_COUNT(timings); i++) {
        if (timings[i].ms < 0) continue;
        if (first) out = put(out, BYTES(",\"timings_ms\":{"));
        out = put_number(out, bytes_skip(timings[i].name, first), (uint64_t)timings[i].ms);
        first = false;
    }
    if (!first) *out++ = '}';
    return out;
}

static struct bytes type_name(uint8_t type)
{
    static const struct bytes names[] = {
        [EVENT_RECEPTION] = {"Reception", 9},
        [EVENT_DELIVERY] = {"Delivery", 8},
        [EVENT_TRANSIENT_FAILURE] = {"TransientFailure", 16},
        [EVENT_BOUNCE] = {"Bounce", 6},
        [EVENT_EXPIRATION] = {"Expiration", 10},
        [EVENT_ADMIN_BOUNCE] = {"AdminBounce", 11},
    };
    static_assert(ARRAY_COUNT(names) == EVENT_TYPE_COUNT, "a name for each type");
    ASSERT(type < EVENT_TYPE_COUNT);
    return names[type];
}

void event_account(struct event_sink *sink, const struct event_record *record)
{
    char id[EVENT_ID_TEXT_MAX];
    if (!sink->options.account) return;
    char *out = event_line_begin(sink, EVENT_ACCOUNT);
    if (out == NULL) return;

    out = put(out, BYTES("{\"type\":\""));
    out = put(out, type_name(record->type));
    out = put(out, BYTES("\",\"id\":\""));
    out = put(out, bytes_of(event_id_print(record->id, id)));
    out = put(out, BYTES("\",\"sender\":\""));
    out = put_string(out, record->sender, PATH_MAX_OUT);
    *out++ = '"';
    out = put_field(out, BYTES(",\"recipient\":\""), record->recipient, PATH_MAX_OUT);
    out = put_field(out, BYTES(",\"queue\":\""), record->queue, NAME_MAX_OUT);
    out = put_field(out, BYTES(",\"site\":\""), record->site, NAME_MAX_OUT);
    out = put_number(out, BYTES(",\"size\":"), record->size);
    out = put_response(out, record);
    out = put_peer(out, record);
    out = put_seconds(out, BYTES(",\"timestamp\":"), sink->now);
    out = put_seconds(out, BYTES(",\"created\":"), record->created);
    out = put_number(out, BYTES(",\"num_attempts\":"), record->num_attempts);
    out = put_field(out, BYTES(",\"egress_source\":\""), record->egress_source, NAME_MAX_OUT);
    out = put_field(out, BYTES(",\"reception_protocol\":\""), record->reception_protocol,
                    WORD_MAX_OUT);
    out =
        put_field(out, BYTES(",\"delivery_protocol\":\""), record->delivery_protocol, WORD_MAX_OUT);
    out = put_field(out, BYTES(",\"session_id\":\""), record->session_id, WORD_MAX_OUT);
    out = put_field(out, BYTES(",\"authn_id\":\""), record->authn_id, PEER_MAX_OUT);
    out = put_tls(out, record);
    out = put_timings(out, record);
    out = put(out, BYTES("}\n"));
    event_line_end(sink, EVENT_ACCOUNT, out);
}
