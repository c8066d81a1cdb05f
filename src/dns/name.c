/* SPDX-License-Identifier: Apache-2.0
 *
 * name - spelling of domain names and address literals; addresses that are refused
 */
#include "private.h"

enum { LABEL_MAX = 63 };

/* Longer than a name in text can be, in octets of UTF-8: refused before any conversion. */
enum { UTF8_NAME_MAX = 1020 };

bool dns_name_fold(struct bytes name, struct text *out)
{
    char folded[DNS_NAME_MAX + 1];
    size_t label_len = 0;
    if (name.len > 0 && name.data[name.len - 1] == '.') name.len -= 1;
    if (name.len == 0 || name.len > DNS_NAME_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        folded[i] = ascii_lower(name.data[i]);
        if (folded[i] == '.') {
            if (label_len == 0) return false;
            label_len = 0;
        } else {
            if (!dns_is_name_char(folded[i]) || ++label_len > LABEL_MAX) return false;
        }
    }
    if (label_len == 0 || dns_name_is_number((struct bytes){folded, name.len})) return false;
    text_put(out, (struct bytes){folded, name.len});
    return !out->cut;
}

bool dns_literal_parse(struct bytes literal, struct address *address)
{
    if (literal.len < 2 || literal.data[0] != '[' || literal.data[literal.len - 1] != ']') {
        return false;
    }
    const struct bytes inner = {literal.data + 1, literal.len - 2};
    const bool v6 = bytes_starts_with_nocase(inner, BYTES("IPv6:")); /* RFC 5321 section 4.1.3 */
    if (!address_parse_ip(bytes_skip(inner, v6 ? 5 : 0), address)) return false;
    return (address->family == 6) == v6;
}

void dns_literal_print(const struct address *address, struct text *out)
{
    char ip[ADDRESS_TEXT_MAX];
    text_printf(out, address->family == 6 ? "[IPv6:%s]" : "[%s]", address_print_ip(address, ip));
}

static bool has_utf8(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.data[i] > 127) return true;
    }
    return false;
}

bool dns_name_normalise(struct bytes name, struct text *out)
{
    struct address address;
    if (dns_literal_parse(name, &address)) {
        dns_literal_print(&address, out);
        return !out->cut;
    }
    if (!has_utf8(name)) return dns_name_fold(name, out);

    char ascii[DNS_NAME_MAX + 2];
    struct text converted;
    text_init(&converted, ascii, sizeof(ascii));
    if (name.len > UTF8_NAME_MAX || !dns_idn_to_ascii(name, &converted)) return false;
    return dns_name_fold(text_bytes(&converted), out);
}

struct network {
    uint8_t family, prefix;
    uint8_t ip[2]; /* the rest is 0 */
};

static bool in_any(const struct address *address, const struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct address network = {.family = networks[i].family, .prefix = networks[i].prefix};
        memcpy(network.ip, networks[i].ip, sizeof(networks[i].ip));
        if (address_in_network(address, &network)) return true;
    }
    return false;
}

/* An MX is anybody's to write: without this, mail for their domain would make us connect to our
 * own services (RFC 6890 lists what these blocks are). */
bool dns_address_is_refused(const struct address *address, const struct dns_options *options)
{
    static const struct network never[] = {
        {4, 16, {169, 254}},                   /* link-local */
        {4, 4, {224}},         {4, 4, {240}},  /* multicast; reserved and broadcast */
        {6, 10, {0xfe, 0x80}}, {6, 8, {0xff}}, /* link-local; multicast */
    };
    static const struct network private_use[] = {
        {4, 8, {10}},       {4, 12, {172, 16}}, {4, 16, {192, 168}}, /* RFC 1918 */
        {4, 10, {100, 64}},                                          /* RFC 6598 */
        {6, 7, {0xfc}},                                              /* RFC 4193 */
    };
    if (address_is_loopback(address) || address_is_unspecified(address)) {
        return !options->allow_loopback;
    }
    if (options->refuse_private && in_any(address, private_use, ARRAY_COUNT(private_use))) {
        return true;
    }
    return in_any(address, never, ARRAY_COUNT(never));
}
