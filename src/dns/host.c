/* SPDX-License-Identifier: Apache-2.0
 *
 * host - the addresses of one host name
 *
 * A and AAAA are asked together, once, however many domains wait for the host. One family is
 * enough: when the other fails, the host is used with what there is, for a minute.
 */
#include "private.h"

#define PARTLY_KNOWN_TTL DURATION_S(60)

struct host_lookup {
    struct dns *dns;
    uint64_t hash;
    struct query a, aaaa;
    struct list waiters;
    struct address *found;
    duration ttl;          /* of what was found */
    duration negative_ttl; /* of what was not: counts only when nothing was found */
    uint8_t found_count;
    uint8_t pending; /* queries */
    uint8_t error;   /* enum dns_error, of one of them */
    uint8_t name_len;
    char name[];
};

static struct bytes name_of(const struct host_lookup *lookup)
{
    return (struct bytes){lookup->name, lookup->name_len};
}

static bool is_lookup(const void *item, const void *key)
{
    const struct bytes *name = key;
    return bytes_equal(name_of(item), *name);
}

static void destroy(struct host_lookup *lookup)
{
    table_remove(&lookup->dns->host_lookups, lookup->hash, lookup);
    base_free(lookup->found);
    base_free(lookup);
}

/* At most DNS_ADDRESSES_MAX are kept; a family is cut to no less than half of that. */
static size_t keep_fair_share(struct host_lookup *lookup)
{
    const size_t half = DNS_ADDRESSES_MAX / 2;
    size_t counts[2] = {0}, kept = 0;
    for (uint8_t i = 0; i < lookup->found_count; i++)
        counts[lookup->found[i].family == 4] += 1;
    size_t rooms[2];
    for (int v4 = 0; v4 < 2; v4++) {
        const size_t other = MIN(counts[!v4], half);
        rooms[v4] = MIN(counts[v4], DNS_ADDRESSES_MAX - other);
    }
    if (rooms[0] + rooms[1] > DNS_ADDRESSES_MAX) rooms[0] = rooms[1] = half;
    for (uint8_t i = 0; i < lookup->found_count; i++) {
        size_t *room = &rooms[lookup->found[i].family == 4];
        if (*room == 0) continue;
        *room -= 1;
        lookup->found[kept++] = lookup->found[i];
    }
    return kept;
}

static void finish(struct host_lookup *lookup)
{
    struct dns *dns = lookup->dns;
    const bool failed = lookup->error != DNS_ERROR_NONE;
    const size_t count = keep_fair_share(lookup);
    struct dns_host *host =
        dns_host_create(name_of(lookup), lookup->hash, lookup->found, count, &dns->options);
    duration ttl = count > 0 ? lookup->ttl : lookup->negative_ttl;
    if (failed) ttl = MIN(ttl, count > 0 ? PARTLY_KNOWN_TTL : dns->options.failure_ttl);
    host->error = lookup->error;
    host->expires = ring_now(dns->ring) + ttl;
    dns_cache_add_host(&dns->cache, host);

    struct list waiters;
    list_init(&waiters);
    list_append_all(&waiters, &lookup->waiters);
    destroy(lookup);
    for (struct list *node; (node = list_pop_front(&waiters)) != NULL;) {
        struct host_waiter *waiter = CONTAINER_OF(node, struct host_waiter, link);
        host->refs += 1;
        waiter->on_host(waiter, host);
    }
    dns_host_put(&host);
}

static void on_addresses(struct host_lookup *lookup, enum dns_error error,
                         const struct dns_answer *answer)
{
    if (error != DNS_ERROR_NONE) {
        lookup->error = (uint8_t)error;
    } else {
        duration *ttl = answer->address_count > 0 ? &lookup->ttl : &lookup->negative_ttl;
        *ttl = MIN(*ttl, dns_ttl(&lookup->dns->options, answer));
        const size_t size = sizeof(answer->addresses[0]);
        const size_t total = (size_t)lookup->found_count + answer->address_count;
        if (total > lookup->found_count) {
            lookup->found = base_realloc(lookup->found, total * size);
            memcpy(lookup->found + lookup->found_count, answer->addresses,
                   answer->address_count * size);
            lookup->found_count = (uint8_t)total;
        }
    }
    if (--lookup->pending == 0) finish(lookup);
}

static void on_a(struct query *query, enum dns_error error, const struct dns_answer *answer)
{
    on_addresses(CONTAINER_OF(query, struct host_lookup, a), error, answer);
}

static void on_aaaa(struct query *query, enum dns_error error, const struct dns_answer *answer)
{
    on_addresses(CONTAINER_OF(query, struct host_lookup, aaaa), error, answer);
}

static struct host_lookup *start(struct dns *dns, struct bytes name, uint64_t hash)
{
    struct host_lookup *lookup = base_alloc(sizeof(*lookup) + name.len + 1);
    lookup->dns = dns;
    lookup->hash = hash;
    lookup->ttl = lookup->negative_ttl = dns->options.ttl_max;
    lookup->name_len = (uint8_t)name.len;
    memcpy(lookup->name, name.data, name.len);
    list_init(&lookup->waiters);
    table_add(&dns->host_lookups, hash, lookup);
    lookup->a.on_done = on_a;
    lookup->aaaa.on_done = on_aaaa;
    if (!dns->options.ignore_ipv6) {
        lookup->pending += 1;
        dns_query_start(dns, &lookup->aaaa, lookup->name, DNS_TYPE_AAAA);
    }
    lookup->pending += 1;
    dns_query_start(dns, &lookup->a, lookup->name, DNS_TYPE_A);
    return lookup;
}

struct dns_host *dns_host_get(struct dns *dns, struct bytes name, struct host_waiter *waiter)
{
    const uint64_t hash = hash_bytes(dns->seed, name);
    struct dns_host *host = dns_cache_host(&dns->cache, hash, name);
    if (host != NULL && ring_now(dns->ring) < host->expires) {
        host->refs += 1;
        return host;
    }
    struct host_lookup *lookup = table_find(&dns->host_lookups, hash, is_lookup, &name);
    if (lookup == NULL) lookup = start(dns, name, hash);
    list_push_back(&lookup->waiters, &waiter->link);
    return NULL;
}

void dns_host_lookups_forget(struct dns *dns)
{
    uint32_t cursor = 0;
    for (struct host_lookup *lookup; (lookup = table_next(&dns->host_lookups, &cursor)) != NULL;) {
        dns_query_forget(&lookup->a);
        dns_query_forget(&lookup->aaaa);
        base_free(lookup->found);
        base_free(lookup);
    }
    table_deinit(&dns->host_lookups);
}
