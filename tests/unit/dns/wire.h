/* SPDX-License-Identifier: Apache-2.0
 *
 * wire - writes DNS messages for tests
 */
#pragma once
#include "ringpost/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct wire {
    size_t len;
    uint8_t data[70000];
};

static inline void wire_u8(struct wire *wire, unsigned value)
{
    assert_true(wire->len < sizeof(wire->data));
    wire->data[wire->len++] = (uint8_t)value;
}

static inline void wire_u16(struct wire *wire, unsigned value)
{
    wire_u8(wire, value >> 8);
    wire_u8(wire, value & 0xff);
}

static inline void wire_u32(struct wire *wire, uint32_t value)
{
    wire_u16(wire, value >> 16);
    wire_u16(wire, value & 0xffff);
}

/* "mx.example.com"; "" or "." is the root. */
static inline void wire_name(struct wire *wire, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        const size_t len = strcspn(name, ".");
        wire_u8(wire, (unsigned)len);
        for (size_t i = 0; i < len; i++)
            wire_u8(wire, (uint8_t)name[i]);
        name += len + (name[len] == '.');
    }
    wire_u8(wire, 0);
}

enum wire_section { WIRE_ANSWER = 6, WIRE_AUTHORITY = 8, WIRE_ADDITIONAL = 10 };

static inline void wire_begin(struct wire *wire, const char *name, unsigned type, unsigned rcode)
{
    wire->len = 0;
    wire_u16(wire, 0x1234);
    wire_u16(wire, 0x8180 | rcode);
    wire_u16(wire, 1);
    wire_u16(wire, 0);
    wire_u16(wire, 0);
    wire_u16(wire, 0);
    wire_name(wire, name);
    wire_u16(wire, type);
    wire_u16(wire, 1);
}

/* Opens a record; wire_end() of the returned place closes it. */
static inline size_t wire_record(struct wire *wire, enum wire_section section, const char *owner,
                                 unsigned type, uint32_t ttl)
{
    const unsigned count = (unsigned)(wire->data[section] << 8 | wire->data[section + 1]) + 1;
    wire->data[section] = (uint8_t)(count >> 8);
    wire->data[section + 1] = (uint8_t)count;
    wire_name(wire, owner);
    wire_u16(wire, type);
    wire_u16(wire, 1);
    wire_u32(wire, ttl);
    wire_u16(wire, 0);
    return wire->len;
}

static inline void wire_end(struct wire *wire, size_t start)
{
    wire->data[start - 2] = (uint8_t)((wire->len - start) >> 8);
    wire->data[start - 1] = (uint8_t)(wire->len - start);
}

static inline void wire_mx(struct wire *wire, const char *owner, uint32_t ttl, unsigned preference,
                           const char *host)
{
    const size_t start = wire_record(wire, WIRE_ANSWER, owner, DNS_TYPE_MX, ttl);
    wire_u16(wire, preference);
    wire_name(wire, host);
    wire_end(wire, start);
}

static inline void wire_cname(struct wire *wire, const char *owner, uint32_t ttl,
                              const char *target)
{
    const size_t start = wire_record(wire, WIRE_ANSWER, owner, DNS_TYPE_CNAME, ttl);
    wire_name(wire, target);
    wire_end(wire, start);
}

/* A or AAAA, by the look of the address. */
static inline void wire_address(struct wire *wire, const char *owner, uint32_t ttl,
                                const char *text)
{
    struct address address;
    assert_true(address_parse_ip(bytes_of(text), &address));
    const bool v4 = address.family == 4;
    const size_t start =
        wire_record(wire, WIRE_ANSWER, owner, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl);
    for (size_t i = 0; i < (v4 ? 4u : 16u); i++)
        wire_u8(wire, address.ip[i]);
    wire_end(wire, start);
}

static inline void wire_soa(struct wire *wire, const char *owner, uint32_t ttl, uint32_t minimum)
{
    const size_t start = wire_record(wire, WIRE_AUTHORITY, owner, DNS_TYPE_SOA, ttl);
    wire_name(wire, "ns.example");
    wire_name(wire, "hostmaster.example");
    for (int i = 0; i < 4; i++)
        wire_u32(wire, 3600);
    wire_u32(wire, minimum);
    wire_end(wire, start);
}

static inline struct bytes wire_bytes(const struct wire *wire)
{
    return (struct bytes){(const char *)wire->data, wire->len};
}
