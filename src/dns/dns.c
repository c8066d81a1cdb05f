/* SPDX-License-Identifier: Apache-2.0
 *
 * dns - the service: options, requests, figures
 */
#include "private.h"
#include <stdio.h>

const struct dns_options dns_options_default = {
    .timeout = DURATION_S(2),
    .tries = 3,
    .queries_max = 256,
    .cache_entries = 100000,
    .ttl_max = DURATION_S(86400),
    .negative_ttl = DURATION_S(900),
    .failure_ttl = DURATION_S(5),
};

static struct dns_backend *open_backend(struct ring *ring, const struct dns_options *options,
                                        char *why, size_t why_size)
{
    const struct dns_backend_options backend_options = {
        .servers = options->servers,
        .server_count = options->server_count,
        .timeout = options->timeout,
        .tries = options->tries,
    };
    return dns_backend_create(ring, &backend_options, why, why_size);
}

static void take_options(struct dns *dns, const struct dns_options *options)
{
    dns->options = *options;
    dns->options.queries_max = MAX(options->queries_max, 1u);
    dns->options.ttl_max = MIN(MAX(options->ttl_max, DURATION_S(1)), DURATION_S(86400));
    dns->cache.entries_max = MAX(options->cache_entries, 1u);
}

struct dns *dns_create(struct ring *ring, const struct dns_options *options,
                       struct metrics *metrics, struct event_sink *events, uint64_t seed, char *why,
                       size_t why_size)
{
    struct dns_backend *backend = open_backend(ring, options, why, why_size);
    if (backend == NULL) return NULL;
    struct dns *dns = base_alloc(sizeof(*dns));
    dns->ring = ring;
    dns->metrics = metrics;
    dns->events = events;
    dns->seed = seed;
    dns->backend = backend;
    list_init(&dns->waiting);
    list_init(&dns->asked);
    table_init(&dns->lookups);
    table_init(&dns->host_lookups);
    dns_cache_init(&dns->cache, options->cache_entries);
    take_options(dns, options);
    return dns;
}

void dns_destroy(struct dns **dns)
{
    struct dns *mine = *dns;
    *dns = NULL;
    if (mine == NULL) return;
    dns_backend_destroy(&mine->backend);
    dns_lookups_forget(mine);
    dns_host_lookups_forget(mine);
    dns_cache_deinit(&mine->cache);
    base_free(mine);
}

bool dns_configure(struct dns *dns, const struct dns_options *options, char *why, size_t why_size)
{
    struct dns_backend *backend = open_backend(dns->ring, options, why, why_size);
    take_options(dns, options);
    dns_cache_flush(&dns->cache);
    if (backend != NULL) {
        dns_backend_destroy(&dns->backend);
        dns->backend = backend;
        dns_query_requeue(dns);
    }
    dns_query_pump(dns);
    return backend != NULL;
}

struct dns_route *dns_route_get(struct dns *dns, enum dns_kind kind, struct bytes domain,
                                struct dns_request *request)
{
    char data[DNS_NAME_MAX + 3];
    struct text name;
    struct address address;
    if (dns_literal_parse(domain, &address) ||
        (kind == DNS_BY_HOST && address_parse_ip(domain, &address))) {
        return dns_lookup_literal(dns, kind, &address);
    }
    text_init(&name, data, sizeof(data));
    if (!dns_name_normalise(domain, &name)) return dns_lookup_bad_name(dns, kind, domain);
    if (kind == DNS_BY_HOST && bytes_equal(text_bytes(&name), BYTES("localhost"))) {
        return dns_lookup_localhost(dns);
    }
    return dns_lookup(dns, kind, text_bytes(&name), request);
}

void dns_request_cancel(struct dns_request *request)
{
    if (request->link.next != NULL) list_remove(&request->link);
}

void dns_stats(const struct dns *dns, struct dns_stats *stats)
{
    const size_t slots = (size_t)dns->cache.routes.cap + dns->cache.hosts.cap;
    *stats = (struct dns_stats){
        .routes = dns->cache.routes.count,
        .hosts = dns->cache.hosts.count,
        .bytes = dns->cache.bytes + slots * sizeof(struct table_slot),
        .lookups = dns->lookups.count,
        .queries_in_flight = dns->asked_count,
        .queries_waiting = dns->waiting_count,
        .evicted = dns->cache.evicted,
    };
}

void dns_flush(struct dns *dns)
{
    dns_cache_flush(&dns->cache);
}
