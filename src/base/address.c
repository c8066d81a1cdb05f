/* SPDX-License-Identifier: Apache-2.0
 *
 * address - IPv4 and IPv6 addresses, ports and networks: parse, compare, print
 */
#include "ringpost/base.h"
#include <arpa/inet.h>
#include <stdio.h>

bool address_parse_ip(struct bytes text, struct address *address)
{
    char copy[ADDRESS_TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, 0, text.len)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    struct address parsed = {0};
    if (inet_pton(AF_INET, copy, parsed.ip) == 1) {
        parsed.family = 4;
        parsed.prefix = 32;
    } else if (inet_pton(AF_INET6, copy, parsed.ip) == 1) {
        parsed.family = 6;
        parsed.prefix = 128;
    } else {
        return false;
    }
    *address = parsed;
    return true;
}

bool address_parse(struct bytes text, uint16_t default_port, struct address *address)
{
    struct bytes ip = text, port = {0};
    if (text.len > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);
        if (end == NULL) return false;
        ip = (struct bytes){text.data + 1, (size_t)(end - text.data - 1)};
        port = bytes_skip(text, ip.len + 2);
        if (port.len > 0 && port.data[0] != ':') return false;
        if (port.len == 1) return false;
        port = bytes_skip(port, 1);
    } else if (address_parse_ip(text, address)) {
        address->port = default_port; /* also a bare IPv6 address, full of colons */
        return default_port != 0;
    } else {
        const char *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
        if (colon == NULL) return false;
        ip.len = (size_t)(colon - text.data);
        port = bytes_skip(text, ip.len + 1);
        if (port.len == 0) return false;
    }
    uint64_t number = default_port;
    if (!address_parse_ip(ip, address)) return false;
    if (port.len > 0 && !bytes_to_u64(port, UINT16_MAX, &number)) return false;
    address->port = (uint16_t)number;
    return port.len > 0 || default_port != 0;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0) return false;
    const unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

bool address_parse_network(struct bytes text, struct address *network)
{
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    if (slash == NULL) return address_parse_ip(text, network);
    const struct bytes ip = {text.data, (size_t)(slash - text.data)};
    uint64_t prefix;
    if (!address_parse_ip(ip, network)) return false;
    if (!bytes_to_u64(bytes_skip(text, ip.len + 1), network->prefix, &prefix)) return false;
    network->prefix = (uint8_t)prefix;
    for (unsigned bit = network->prefix; bit < (network->family == 4 ? 32u : 128u); bit++) {
        if (network->ip[bit / 8] & (0x80u >> bit % 8)) return false;
    }
    return true;
}

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static struct address unmap(const struct address *address)
{
    struct address plain = *address;
    if (address->family == 6 && memcmp(address->ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        memset(plain.ip, 0, sizeof(plain.ip));
        memcpy(plain.ip, address->ip + 12, 4);
        plain.family = 4;
        plain.prefix = 32;
    }
    return plain;
}

bool address_same_ip(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return address_same_ip(a, b) && a->port == b->port;
}

bool address_in_network(const struct address *address, const struct address *network)
{
    const struct address plain = unmap(address);
    const struct address *tested = network->family == 4 ? &plain : address;
    return tested->family == network->family &&
           same_prefix(tested->ip, network->ip, network->prefix);
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    const struct address plain = unmap(address);
    if (plain.family == 4) return plain.ip[0] == 127;
    return plain.family == 6 && memcmp(plain.ip, loopback6, sizeof(loopback6)) == 0;
}

bool address_is_unspecified(const struct address *address)
{
    static const uint8_t zero[16];
    const struct address plain = unmap(address);
    if (plain.family == 4) return plain.ip[0] == 0; /* all of 0.0.0.0/8 means "this host" */
    return memcmp(plain.ip, zero, sizeof(zero)) == 0;
}

uint64_t address_hash_ip(const struct address *address)
{
    return hash_bytes(address->family, (struct bytes){(const char *)address->ip, 16});
}

/* The C library does it by sprintf(); every record of an attempt has an address in it. */
static void print_ip4(const uint8_t *ip, char *out)
{
    for (int i = 0; i < 4; i++) {
        const uint8_t octet = ip[i];
        if (octet >= 100) *out++ = (char)('0' + octet / 100);
        if (octet >= 10) *out++ = (char)('0' + octet / 10 % 10);
        *out++ = (char)('0' + octet % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

const char *address_print_ip(const struct address *address, char *out)
{
    if (address->family == 4) {
        print_ip4(address->ip, out);
    } else if (address->family == 6) {
        inet_ntop(AF_INET6, address->ip, out, ADDRESS_TEXT_MAX);
    } else {
        memcpy(out, "none", sizeof("none"));
    }
    return out;
}

const char *address_print(const struct address *address, char *out)
{
    char ip[ADDRESS_TEXT_MAX];
    address_print_ip(address, ip);
    snprintf(out, ADDRESS_TEXT_MAX, address->family == 6 ? "[%s]:%u" : "%s:%u", ip,
             (unsigned)address->port);
    return out;
}
