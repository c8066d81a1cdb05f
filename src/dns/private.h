/* SPDX-License-Identifier: Apache-2.0
 *
 * private - what the files of dns share; nobody else includes it
 *
 *   names    name.c    spelling of names and literals; which addresses are refused
 *   site     site.c    the site's name of a set of hosts
 *   entries  entry.c   hosts and routes: made once, pinned, freed
 *   cache    cache.c   entries by name, least recently used ones leave first
 *   query    query.c   one question with its aliases; the bound on questions in flight
 *   host     host.c    A and AAAA of one host name, shared by all who wait for it
 *   lookup   lookup.c  MX, then hosts, then the route
 *   service  dns.c     what dns.h promises
 */
#pragma once
#include "answer.h"
#include "ringpost/dns.h"
#include "ringpost/event.h"
#include "ringpost/metrics.h"
#include "ringpost/ring.h"

/* ---- names ----------------------------------------------------------------------------------- */

/* Lower case, no final dot, only what a host name has. false: not a domain name in ASCII. */
MUST_USE bool dns_name_fold(struct bytes name, struct text *out);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
MUST_USE bool dns_literal_parse(struct bytes literal, struct address *address);
void dns_literal_print(const struct address *address, struct text *out);
/* Is it an address that no mail of strangers' making may lead us to? */
bool dns_address_is_refused(const struct address *address, const struct dns_options *options);
/* U-labels to A-labels (RFC 5891); false: not possible. */
MUST_USE bool dns_idn_to_ascii(struct bytes name, struct text *out);

/* ---- site ------------------------------------------------------------------------------------ */

/* names: lower case; put in order here. out has DNS_SITE_MAX + 1 octets. */
void dns_site_name(struct bytes *names, size_t count, struct bytes domain, struct text *out);

/* ---- entries --------------------------------------------------------------------------------- */

/* With one reference. The addresses are put in order: refused ones last, IPv6 before IPv4. */
struct dns_host *dns_host_create(struct bytes name, uint64_t hash, const struct address *addresses,
                                 size_t count, const struct dns_options *options);
void dns_host_put(struct dns_host **host);
size_t dns_host_size(const struct dns_host *host);
static inline uint8_t dns_host_usable(const struct dns_host *host, enum dns_kind kind)
{
    return kind == DNS_BY_HOST ? host->address_count
                               : (uint8_t)(host->address_count - host->refused_count);
}
/* With one reference, without hosts: room for host_count of them, which the caller fills in. */
struct dns_route *dns_route_create(enum dns_kind kind, struct bytes domain, struct bytes site,
                                   uint64_t hash, size_t host_count);
size_t dns_route_size(const struct dns_route *route);

/* ---- cache ----------------------------------------------------------------------------------- */

struct dns_cache {
    struct table routes, hosts;
    struct list routes_used, hosts_used; /* least recently used first */
    uint32_t entries_max;                /* of each */
    uint64_t bytes, evicted;
};
void dns_cache_init(struct dns_cache *cache, uint32_t entries_max);
void dns_cache_flush(struct dns_cache *cache);
void dns_cache_deinit(struct dns_cache *cache);
/* Also expired ones; not pinned for the caller. Finding counts as use. */
struct dns_route *dns_cache_route(struct dns_cache *cache, uint64_t hash, enum dns_kind kind,
                                  struct bytes domain);
struct dns_host *dns_cache_host(struct dns_cache *cache, uint64_t hash, struct bytes name);
/* The cache takes a reference of its own; one of the same name leaves. */
void dns_cache_add_route(struct dns_cache *cache, struct dns_route *route);
void dns_cache_add_host(struct dns_cache *cache, struct dns_host *host);

/* ---- the service ----------------------------------------------------------------------------- */

struct dns {
    struct ring *ring;
    struct dns_options options;
    struct metrics *metrics;
    struct event_sink *events;
    uint64_t seed;
    struct dns_backend *backend;
    struct dns_cache cache;
    struct table lookups, host_lookups; /* under way, by name */
    struct list waiting, asked;         /* struct query */
    uint32_t asked_count, waiting_count;
    uint32_t silent; /* queries in a row that no server answered */
};

/* ---- queries --------------------------------------------------------------------------------- */

/* One name and type, aliases followed. Embedded; on_done gives it back. */
struct query {
    struct dns_backend_query backend;
    struct list link;
    struct dns *dns;
    void (*on_done)(struct query *query, enum dns_error error, const struct dns_answer *answer);
    const char *name; /* the asker's, until on_done */
    char *alias;      /* what is asked for now, when it is not name */
    uint8_t type;     /* enum dns_type */
    uint8_t alias_count;
    uint32_t ttl;
    enum query_state { QUERY_IDLE = 0, QUERY_WAITING, QUERY_ASKED } state;
};
void dns_query_start(struct dns *dns, struct query *query, const char *name, enum dns_type type);
/* Sends what waits, as many as may be in flight. */
void dns_query_pump(struct dns *dns);
/* The backend is gone: what it had waits again, first in line. */
void dns_query_requeue(struct dns *dns);
void dns_query_forget(struct query *query);
/* How long an answer holds. */
duration dns_ttl(const struct dns_options *options, const struct dns_answer *answer);

/* ---- hosts ----------------------------------------------------------------------------------- */

struct host_waiter {
    struct list link;
    /* host is pinned for you */
    void (*on_host)(struct host_waiter *waiter, struct dns_host *host);
};
/* The host, pinned, when it is known; else NULL, and waiter->on_host comes later. */
MUST_USE struct dns_host *dns_host_get(struct dns *dns, struct bytes name,
                                       struct host_waiter *waiter);
void dns_host_lookups_forget(struct dns *dns);

/* ---- lookups --------------------------------------------------------------------------------- */

/* The route, pinned, when it is known at once; else NULL and the request waits. domain: folded. */
MUST_USE struct dns_route *dns_lookup(struct dns *dns, enum dns_kind kind, struct bytes domain,
                                      struct dns_request *request);
void dns_lookups_forget(struct dns *dns);
/* Of a literal, or of a name that is none. Not cached. */
struct dns_route *dns_lookup_literal(struct dns *dns, enum dns_kind kind,
                                     const struct address *address);
/* A next hop of that name is this machine, whatever the name servers know (RFC 6761 section 6.3).
 */
struct dns_route *dns_lookup_localhost(struct dns *dns);
struct dns_route *dns_lookup_bad_name(struct dns *dns, enum dns_kind kind, struct bytes name);
