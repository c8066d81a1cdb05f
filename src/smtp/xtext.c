/* SPDX-License-Identifier: Apache-2.0
 *
 * xtext - the encoding of ENVID and ORCPT (RFC 3461 section 4)
 *
 * Section 4 wants printable US-ASCII behind the encoding, and this is insisted on: the decoded text
 * goes into the fields of a report, where "+0D+0A" would begin a field of the client's choosing.
 */
#include "ringpost/smtp.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10; /* upper case only */
    return -1;
}

/* The octet at the front, decoded, and how many octets it took; 0 if it is not xtext. */
static size_t decode_octet(struct bytes xtext, char *octet)
{
    size_t len = 1;
    int value = (unsigned char)xtext.data[0];
    if (value == '=' || value == ' ') return 0; /* an encoded space is fine */
    if (value == '+') {
        if (xtext.len < 3) return 0;
        const int high = hex_value(xtext.data[1]), low = hex_value(xtext.data[2]);
        if (high < 0 || low < 0) return 0;
        value = high * 16 + low;
        len = 3;
    }
    if (value < 32 || value > 126) return 0;
    *octet = (char)value;
    return len;
}

bool smtp_xtext_is_valid(struct bytes xtext)
{
    char octet;
    while (xtext.len > 0) {
        const size_t len = decode_octet(xtext, &octet);
        if (len == 0) return false;
        xtext = bytes_skip(xtext, len);
    }
    return true;
}

bool smtp_xtext_decode(struct bytes xtext, struct text *out)
{
    char octet;
    while (xtext.len > 0) {
        const size_t len = decode_octet(xtext, &octet);
        if (len == 0) return false;
        text_put(out, (struct bytes){&octet, 1});
        xtext = bytes_skip(xtext, len);
    }
    return true;
}

void smtp_xtext_encode(struct bytes plain, struct text *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < plain.len; i++) {
        const unsigned char c = (unsigned char)plain.data[i];
        const char encoded[3] = {'+', digits[c >> 4], digits[c & 15]};
        const bool as_is = c > 32 && c < 127 && c != '+' && c != '=';
        const struct bytes piece =
            as_is ? (struct bytes){plain.data + i, 1} : (struct bytes){encoded, 3};
        if (out->cap - 1 - out->len < piece.len) { /* never half an encoded octet */
            out->cut = true;
            return;
        }
        text_put(out, piece);
    }
}
