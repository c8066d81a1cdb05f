/* SPDX-License-Identifier: Apache-2.0
 *
 * domain - domain names and address literals (RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531)
 *
 * More tolerant than the grammar in one point: "_" may stand in a label. DNS has such names and
 * mail flows to them. Labels with octets over 127 are taken as they are: mapping them to A-labels
 * is the resolver's business.
 */
#include "ringpost/smtp.h"

enum { LABEL_MAX = 63 };

static bool is_label_octet(char c)
{
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_label(struct bytes label, bool utf8_allowed)
{
    bool utf8 = false;
    if (label.len == 0) return false;
    if (label.data[0] == '-' || label.data[label.len - 1] == '-') return false;
    for (size_t i = 0; i < label.len; i++) {
        if ((unsigned char)label.data[i] > 127) {
            utf8 = true;
        } else if (!is_label_octet(label.data[i])) {
            return false;
        }
    }
    /* The limit of 63 is one of the A-label, whose length UTF-8 does not tell. */
    return utf8 ? utf8_allowed : label.len <= LABEL_MAX;
}

bool smtp_address_literal_is_valid(struct bytes literal)
{
    /* "[" "]" and what stands between them; the only registered tag is IPv6. */
    const struct bytes tag = BYTES("IPv6:");
    struct address address;
    if (literal.len < 2 || literal.data[0] != '[' || literal.data[literal.len - 1] != ']') {
        return false;
    }
    const struct bytes inner = {literal.data + 1, literal.len - 2};
    if (bytes_starts_with_nocase(inner, tag)) {
        return address_parse_ip(bytes_skip(inner, tag.len), &address) && address.family == 6;
    }
    return address_parse_ip(inner, &address) && address.family == 4;
}

bool smtp_domain_is_valid(struct bytes domain, bool utf8_allowed)
{
    if (domain.len == 0 || domain.len > SMTP_DOMAIN_MAX) return false;
    if (domain.data[0] == '[') return smtp_address_literal_is_valid(domain);

    struct bytes rest = domain;
    for (;;) {
        const char *dot = memchr(rest.data, '.', rest.len);
        const struct bytes label = {rest.data, dot ? (size_t)(dot - rest.data) : rest.len};
        if (!is_label(label, utf8_allowed)) return false;
        if (dot == NULL) return true;
        rest = bytes_skip(rest, label.len + 1);
        if (rest.len == 0) return false; /* ends in a dot */
    }
}

struct bytes smtp_domain_of(struct bytes address)
{
    const char *at = address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    if (at == NULL) return (struct bytes){"", 0};
    return bytes_skip(address, (size_t)(at - address.data) + 1);
}
