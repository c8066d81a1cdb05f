/* SPDX-License-Identifier: Apache-2.0
 *
 * dns - from a domain to the hosts that take its mail (RFC 5321 section 5, RFC 7505)
 *
 * Job     MX order, address fallback, null MX, loops to ourselves, the site's name; a cache by TTL
 *         with negative answers; one query for each name however many ask. One resolver a worker,
 *         no locks.
 * Drive   dns_route_get() answers from the cache at once, or calls back later from ring_turn() or
 *         ring_timers_run(), never from inside itself.
 * Owner   routes belong to this module and are never changed once they are out; users pin them.
 *         All pins are given back on the same core.
 * Errors  what DNS says is a status of the route (data). Names and addresses in a route are clean:
 *         letters, digits, '-', '_' and '.', lower case; they may go into logs.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/smtp.h"

struct dns;
struct event_sink;
struct metrics;
struct ring;

enum {
    DNS_NAME_MAX = 253,     /* octets of a domain in text, no final dot (RFC 1035 section 3.1) */
    DNS_SITE_MAX = 255,     /* octets of a site's name */
    DNS_SERVERS_MAX = 16,   /* name servers */
    DNS_MX_MAX = 20,        /* hosts kept of one domain: the most preferred ones */
    DNS_ADDRESSES_MAX = 20, /* addresses kept of one host */
    DNS_CNAME_MAX = 10,     /* aliases followed from one name */
    DNS_TARGETS_MAX = 64,   /* addresses tried for one domain */
};

/* ---- options --------------------------------------------------------------------------------- */

struct dns_options {
    const struct address *servers; /* with port; none = those of /etc/resolv.conf */
    size_t server_count;
    duration timeout;          /* of the first try; doubled for the next ones */
    uint32_t tries;            /* of each server */
    uint32_t queries_max;      /* in flight; the rest waits in order */
    uint32_t cache_entries;    /* domains kept; and as many hosts */
    duration ttl_max;          /* of what exists; at least 1 s is kept */
    duration negative_ttl;     /* at most, of what does not exist */
    duration failure_ttl;      /* how long a temporary failure is remembered */
    const struct bytes *names; /* our own host names: an MX of that name is ourselves */
    size_t name_count;
    const struct address *addresses; /* our own addresses, likewise */
    size_t address_count;
    bool allow_loopback; /* let MX and literals lead to 127/8, ::1, 0/8, :: (tests) */
    bool refuse_private; /* refuse RFC 1918, RFC 6598 and RFC 4193 addresses too */
    bool ignore_ipv6;    /* no AAAA queries, IPv6 addresses are not used */
    bool ipv4_first;     /* of a host with both; default: IPv6 first */
};
extern const struct dns_options dns_options_default;

/* ---- routes ---------------------------------------------------------------------------------- */

enum dns_status {
    DNS_OK = 0,
    DNS_TEMPFAIL,   /* 4.4.3: no answer now, try again later */
    DNS_NXDOMAIN,   /* 5.1.2: no such domain */
    DNS_BAD_NAME,   /* 5.1.2: not a domain name or address literal at all */
    DNS_NULL_MX,    /* 5.1.10: accepts no mail (RFC 7505) */
    DNS_NO_ADDRESS, /* 5.4.4: neither MX nor address, or no MX host has an address */
    DNS_REFUSED,    /* 5.4.4: all its addresses are such as we do not connect to */
    DNS_LOOP,       /* 5.4.6: we are its best mail host ourselves */
    DNS_STATUS_COUNT,
};
/* What a status means for the message; code is what we put into the DSN. */
struct dns_verdict {
    uint16_t code; /* 451, 550, 556; 0 for DNS_OK */
    struct smtp_enhanced enhanced;
    bool permanent;
    const char *phrase; /* "the domain does not exist" */
};
const struct dns_verdict *dns_verdict(enum dns_status status);

enum dns_kind {
    DNS_BY_MX = 0, /* a recipient's domain or address literal */
    DNS_BY_HOST,   /* a next hop named by the operator: addresses only, no MX, no "[]" needed,
                      nothing refused (a smarthost may be on 127.0.0.1), no loop rule, and no
                      permanent failure (a slip in the configuration must not bounce mail) */
};

/* One mail host. Read only. */
struct dns_host {
    struct list used; /* private from here ... */
    uint64_t hash;
    instant expires;
    uint32_t refs;
    bool cached;
    uint8_t error;         /* ... to here */
    uint8_t address_count; /* all of them */
    uint8_t refused_count; /* the last ones: not connected to when found by MX */
    uint8_t name_len;
    struct address addresses[]; /* port 0; then the name */
};
struct bytes dns_host_name(const struct dns_host *host);

/* A domain's mail hosts, by preference. Read only. */
struct dns_route {
    struct list used; /* private from here ... */
    uint64_t hash;
    instant mx_expires;
    uint32_t refs;
    bool cached;    /* ... to here */
    uint8_t kind;   /* enum dns_kind */
    uint8_t status; /* enum dns_status */
    uint8_t error;  /* enum dns_error: why, of DNS_TEMPFAIL and friends */
    instant expires;
    uint8_t host_count; /* by preference, also those without an address: dns_route_targets() */
    uint8_t domain_len;
    uint8_t site_start, site_len;
    struct dns_mx {
        struct dns_host *host;
        uint16_t preference;
    } hosts[]; /* then the texts */
};
/* As looked up: lower case, A-labels, no final dot; "[192.0.2.1]" for a literal. */
struct bytes dns_route_domain(const struct dns_route *route);
/* The set of mail hosts in one word, the same for every domain with these hosts:
 *   mx.example.com                  one MX host, or a domain without MX
 *   (alt1|alt2|aspmx).l.google.com  several, sorted, the common end written once
 *   ~example.com                    a set too long to name: this domain stands alone
 *   [192.0.2.1], [IPv6:2001:db8::1] a literal
 * Two sets never share a name: mail of one site may use any connection of that site. */
struct bytes dns_route_site(const struct dns_route *route);
/* For log and DSN: "example.com: the domain does not exist"; with the cause where there is one. */
void dns_route_explain(const struct dns_route *route, struct text *out);

/* Where to connect, in the order of trial: by preference; random among equals; the two families of
 * a host in turn. Different at each call. Only of a route that is DNS_OK: at least 1. */
struct dns_target {
    uint8_t host;    /* in route->hosts[] */
    uint8_t address; /* in ->host->addresses[] */
};
size_t dns_route_targets(const struct dns_route *route, struct random *random, bool ipv4_first,
                         struct dns_target targets[DNS_TARGETS_MAX]);
static inline struct address dns_target_address(const struct dns_route *route,
                                                struct dns_target target, uint16_t port)
{
    struct address address = route->hosts[target.host].host->addresses[target.address];
    address.port = port;
    return address;
}

void dns_route_pin(struct dns_route *route);
/* Gives a pin back and nulls the pointer; NULL inside is fine. */
void dns_route_put(struct dns_route **route);

/* ---- the service ----------------------------------------------------------------------------- */

/* options and what it points to stay until dns_configure() or dns_destroy(). NULL: why says the
 * reason. The seed is for the hash tables. */
struct dns *dns_create(struct ring *ring, const struct dns_options *options,
                       struct metrics *metrics, struct event_sink *events, uint64_t seed, char *why,
                       size_t why_size);
/* No callback comes any more; requests that waited are forgotten; routes still pinned live until
 * they are put back (dns_route_put() then needs no dns). The ring has to turn on until
 * ring_in_flight() is 0. Not from inside a callback. */
void dns_destroy(struct dns **dns);
/* New options: the cache is emptied, lookups under way go on with the new servers. false: why says
 * the reason, the old servers are asked on; all else is new, so the old options may go in any case.
 * On the ring's thread, not from inside a callback. */
MUST_USE bool dns_configure(struct dns *dns, const struct dns_options *options, char *why,
                            size_t why_size);

/* Embedded in its user; zeroed before its first use. */
struct dns_request {
    struct list link;
    /* route is pinned for you: dns_route_put() it. Never NULL. */
    void (*on_route)(struct dns_request *request, struct dns_route *route);
};
/* The route, pinned for you, when it is known; else NULL, and request->on_route comes later. Any
 * octets are allowed as a domain (U-labels of SMTPUTF8 are looked up as A-labels). */
MUST_USE struct dns_route *dns_route_get(struct dns *dns, enum dns_kind kind, struct bytes domain,
                                         struct dns_request *request);
void dns_request_cancel(struct dns_request *request); /* no-op when it is not waiting */

/* Lower case, A-labels, no final dot, into out[DNS_NAME_MAX + 3]: two spellings of one domain
 * become equal. Literals come out in one form too. false: neither. */
MUST_USE bool dns_name_normalise(struct bytes name, struct text *out);

struct dns_stats {
    uint32_t routes, hosts;     /* in the cache */
    uint64_t bytes;             /* memory of these, without the allocator's rounding */
    uint32_t lookups;           /* domains being looked up */
    uint32_t queries_in_flight; /* at the resolver */
    uint32_t queries_waiting;   /* for their turn */
    uint64_t evicted;           /* entries dropped to stay within cache_entries */
};
void dns_stats(const struct dns *dns, struct dns_stats *stats);
void dns_flush(struct dns *dns); /* forgets the cache */

/* ---- the seam: who asks the servers ----------------------------------------------------------
 *
 * src/dns/cares.c in the product; tests and the simulator link another. It sends questions and
 * hands back the octets of the answer; all reading of answers is done behind it, by one parser. */

enum dns_error {
    DNS_ERROR_NONE = 0, /* an answer of whatever content; also NXDOMAIN and "no such data" */
    DNS_ERROR_TIMEOUT,
    DNS_ERROR_SERVFAIL,
    DNS_ERROR_REFUSED,     /* by the server */
    DNS_ERROR_UNREACHABLE, /* no server could be reached; of several, also: all failed */
    DNS_ERROR_BAD_ANSWER,  /* not an answer to the question, or damaged */
    DNS_ERROR_BAD_NAME,    /* cannot be asked for; an MX that no host can have */
    DNS_ERROR_CNAME_LOOP,  /* more than DNS_CNAME_MAX aliases */
    DNS_ERROR_NO_HOST,     /* a next hop of the operator's that is not in DNS */
    DNS_ERROR_COUNT,
};
const char *dns_error_phrase(enum dns_error error);

enum dns_type { /* RFC 1035 section 3.2.2, RFC 3596 */
                DNS_TYPE_A = 1,
                DNS_TYPE_CNAME = 5,
                DNS_TYPE_SOA = 6,
                DNS_TYPE_MX = 15,
                DNS_TYPE_TXT = 16,
                DNS_TYPE_AAAA = 28,
};

struct dns_backend;
struct dns_backend_query { /* embedded by the asker; stays until on_answer */
    /* answer: a whole DNS message as received, until the callback returns; empty on an error. */
    void (*on_answer)(struct dns_backend_query *query, enum dns_error error, struct bytes answer);
    struct dns_backend *backend; /* the backend's own, from here */
    struct list link;
    void *context;
    uint8_t error;
};
struct dns_backend_options {
    const struct address *servers;
    size_t server_count;
    duration timeout;
    uint32_t tries;
};
struct dns_backend *dns_backend_create(struct ring *ring, const struct dns_backend_options *options,
                                       char *why, size_t why_size);
/* name: letters, digits, '-', '_', '.'; NUL-terminated; used during the call only. on_answer comes
 * exactly once, later, never from inside this call. */
void dns_backend_ask(struct dns_backend *backend, struct dns_backend_query *query, const char *name,
                     enum dns_type type);
/* Queries in flight are forgotten without a callback. Not from inside one. */
void dns_backend_destroy(struct dns_backend **backend);

/* Reads an answer to a question for TXT; name: as asked for, lower case. text: the strings of the
 * first record, put together (RFC 1035 section 3.3.14), any octets; *count: how many records. */
MUST_USE enum dns_error dns_txt_read(struct bytes message, struct bytes name, struct text *text,
                                     uint32_t *count);
