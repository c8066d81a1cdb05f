/* SPDX-License-Identifier: Apache-2.0
 *
 * cache - routes and hosts by name, bounded in number
 *
 * Entries leave when a new one needs their place, least recently used first; those that somebody
 * pins are passed over a few times, since dropping them frees nothing. Expired ones stay until
 * then: an expired route still says which MX it had, and that may hold longer than its addresses.
 */
#include "private.h"

enum { PINNED_PASSED_OVER_MAX = 8 };

void dns_cache_init(struct dns_cache *cache, uint32_t entries_max)
{
    *cache = (struct dns_cache){.entries_max = MAX(entries_max, 1u)};
    table_init(&cache->routes);
    table_init(&cache->hosts);
    list_init(&cache->routes_used);
    list_init(&cache->hosts_used);
}

static void drop_route(struct dns_cache *cache, struct dns_route *route)
{
    table_remove(&cache->routes, route->hash, route);
    list_remove(&route->used);
    cache->bytes -= dns_route_size(route);
    route->cached = false;
    dns_route_put(&route);
}

static void drop_host(struct dns_cache *cache, struct dns_host *host)
{
    table_remove(&cache->hosts, host->hash, host);
    list_remove(&host->used);
    cache->bytes -= dns_host_size(host);
    host->cached = false;
    dns_host_put(&host);
}

void dns_cache_flush(struct dns_cache *cache)
{
    LIST_FOR_EACH_SAFE(node, &cache->routes_used)
    {
        drop_route(cache, CONTAINER_OF(node, struct dns_route, used));
    }
    LIST_FOR_EACH_SAFE(node, &cache->hosts_used)
    {
        drop_host(cache, CONTAINER_OF(node, struct dns_host, used));
    }
    ASSERT(cache->bytes == 0);
}

void dns_cache_deinit(struct dns_cache *cache)
{
    dns_cache_flush(cache);
    table_deinit(&cache->routes);
    table_deinit(&cache->hosts);
}

/* ---- finding --------------------------------------------------------------------------------- */

struct route_key {
    struct bytes domain;
    enum dns_kind kind;
};

static bool is_route(const void *item, const void *key)
{
    const struct dns_route *route = item;
    const struct route_key *wanted = key;
    return route->kind == wanted->kind && bytes_equal(dns_route_domain(route), wanted->domain);
}

static bool is_host(const void *item, const void *key)
{
    const struct bytes *name = key;
    return bytes_equal(dns_host_name(item), *name);
}

static void mark_used(struct list *used, struct list *node)
{
    list_remove(node);
    list_push_back(used, node);
}

struct dns_route *dns_cache_route(struct dns_cache *cache, uint64_t hash, enum dns_kind kind,
                                  struct bytes domain)
{
    const struct route_key key = {domain, kind};
    struct dns_route *route = table_find(&cache->routes, hash, is_route, &key);
    if (route != NULL) mark_used(&cache->routes_used, &route->used);
    return route;
}

struct dns_host *dns_cache_host(struct dns_cache *cache, uint64_t hash, struct bytes name)
{
    struct dns_host *host = table_find(&cache->hosts, hash, is_host, &name);
    if (host != NULL) mark_used(&cache->hosts_used, &host->used);
    return host;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void make_room_for_route(struct dns_cache *cache)
{
    if (cache->routes.count < cache->entries_max) return;
    for (int i = 0; i < PINNED_PASSED_OVER_MAX; i++) {
        struct dns_route *oldest = CONTAINER_OF(cache->routes_used.next, struct dns_route, used);
        if (oldest->refs == 1) break;
        mark_used(&cache->routes_used, &oldest->used);
    }
    drop_route(cache, CONTAINER_OF(cache->routes_used.next, struct dns_route, used));
    cache->evicted += 1;
}

static void make_room_for_host(struct dns_cache *cache)
{
    if (cache->hosts.count < cache->entries_max) return;
    for (int i = 0; i < PINNED_PASSED_OVER_MAX; i++) {
        struct dns_host *oldest = CONTAINER_OF(cache->hosts_used.next, struct dns_host, used);
        if (oldest->refs == 1) break;
        mark_used(&cache->hosts_used, &oldest->used);
    }
    drop_host(cache, CONTAINER_OF(cache->hosts_used.next, struct dns_host, used));
    cache->evicted += 1;
}

void dns_cache_add_route(struct dns_cache *cache, struct dns_route *route)
{
    ASSERT(!route->cached);
    struct dns_route *old =
        dns_cache_route(cache, route->hash, route->kind, dns_route_domain(route));
    if (old != NULL) drop_route(cache, old);
    make_room_for_route(cache);
    table_add(&cache->routes, route->hash, route);
    list_push_back(&cache->routes_used, &route->used);
    cache->bytes += dns_route_size(route);
    route->cached = true;
    route->refs += 1;
}

void dns_cache_add_host(struct dns_cache *cache, struct dns_host *host)
{
    ASSERT(!host->cached);
    struct dns_host *old = dns_cache_host(cache, host->hash, dns_host_name(host));
    if (old != NULL) drop_host(cache, old);
    make_room_for_host(cache);
    table_add(&cache->hosts, host->hash, host);
    list_push_back(&cache->hosts_used, &host->used);
    cache->bytes += dns_host_size(host);
    host->cached = true;
    host->refs += 1;
}
