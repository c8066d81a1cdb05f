/* SPDX-License-Identifier: Apache-2.0
 *
 * answer - reading DNS messages (RFC 1035 section 4); private to dns
 *
 * A message is data of a stranger: whatever its octets, reading it takes bounded time and memory
 * and touches nothing outside it. What is malformed as a whole is an error; a single record that is
 * too short or odd is skipped.
 */
#pragma once
#include "ringpost/dns.h"

struct answer_mx {
    uint16_t preference;
    uint8_t name_len;
    char name[DNS_NAME_MAX + 1];
};
struct dns_answer {
    bool exists;         /* false: NXDOMAIN */
    bool has_soa;        /* "no such data" is proven, not merely absent */
    bool null_mx;        /* the sole MX is "0 ." (RFC 7505) */
    uint8_t alias_count; /* CNAMEs followed */
    uint32_t ttl;        /* s; smallest of what was used; for no data: RFC 2308 section 5 */
    uint32_t seen;       /* records of the type asked for, also those skipped */
    uint8_t mx_count, address_count;
    char name[DNS_NAME_MAX + 1];     /* behind the aliases */
    struct answer_mx mx[DNS_MX_MAX]; /* the most preferred, in order of preference */
    struct address addresses[DNS_ADDRESSES_MAX];
};
/* name: as asked for, lower case. type: A, AAAA or MX. */
MUST_USE enum dns_error dns_answer_parse(struct bytes message, struct bytes name,
                                         enum dns_type type, struct dns_answer *answer);

/* What a host name is made of, in lower case; '_' too, since real ones have it. */
static inline bool dns_is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* The last label is a number: an address that somebody took for a name. No top-level domain is one
 * (RFC 1123 section 2.1), so such a name is never asked for. */
static inline bool dns_name_is_number(struct bytes name)
{
    while (name.len > 0 && name.data[name.len - 1] >= '0' && name.data[name.len - 1] <= '9')
        name.len -= 1;
    return name.len == 0 || name.data[name.len - 1] == '.';
}

enum answer_name {
    ANSWER_NAME_OK = 0,
    ANSWER_NAME_ODD, /* well-formed, but with octets that no host name has: not printed */
    ANSWER_NAME_BAD, /* runs out of the message, too long, or points forward */
};
/* Reads the name at *offset into text (lower case, no final dot; empty for the root) and moves
 * *offset behind it. */
enum answer_name dns_answer_name(struct bytes message, size_t *offset, struct text *text);
