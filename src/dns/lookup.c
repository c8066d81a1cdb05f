/* SPDX-License-Identifier: Apache-2.0
 *
 * lookup - from a domain to its route (RFC 5321 section 5.1)
 *
 *     MX query ─┬─ hosts ──────────▶ those that are not ourselves, nor worse than we are ─▶ hosts
 *               ├─ none ───────────▶ the domain itself is the host, preference 0
 *               ├─ null MX ────────▶ DNS_NULL_MX
 *               ├─ NXDOMAIN ───────▶ DNS_NXDOMAIN
 *               └─ no answer ──────▶ DNS_TEMPFAIL
 *
 * An expired route whose MX records still hold starts at the second step with these.
 */
#include "private.h"

/* A route some of whose hosts could not be resolved is used as it is, but not for long. */
#define PARTLY_KNOWN_TTL DURATION_S(60)

struct mx {
    struct host_waiter waiter;
    struct lookup *lookup;
    struct dns_host *host; /* NULL until known */
    uint16_t preference;
};
struct lookup {
    struct dns *dns;
    uint64_t hash;
    struct list requests; /* struct dns_request */
    struct query query;
    struct mx *mxs; /* in order of preference */
    instant started, mx_expires;
    bool asked; /* the resolver, for anything */
    uint8_t mx_count;
    uint8_t pending; /* hosts */
    uint8_t kind;    /* enum dns_kind */
    uint8_t status;  /* enum dns_status, when known before the hosts are */
    uint8_t error;   /* enum dns_error */
    uint8_t domain_len;
    char domain[];
};
struct lookup_key {
    struct bytes domain;
    enum dns_kind kind;
};

static struct bytes domain_of(const struct lookup *lookup)
{
    return (struct bytes){lookup->domain, lookup->domain_len};
}

static bool is_lookup(const void *item, const void *key)
{
    const struct lookup *lookup = item;
    const struct lookup_key *wanted = key;
    return lookup->kind == wanted->kind && bytes_equal(domain_of(lookup), wanted->domain);
}

static void release(struct lookup *lookup)
{
    for (uint8_t i = 0; i < lookup->mx_count; i++)
        dns_host_put(&lookup->mxs[i].host);
    base_free(lookup->mxs);
    base_free(lookup);
}

/* ---- ourselves ------------------------------------------------------------------------------- */

static bool is_our_name(const struct dns_options *options, struct bytes name)
{
    for (size_t i = 0; i < options->name_count; i++) {
        struct bytes ours = options->names[i];
        if (ours.len > 0 && ours.data[ours.len - 1] == '.') ours.len -= 1;
        if (bytes_equal_nocase(ours, name)) return true;
    }
    return false;
}

static bool has_our_address(const struct dns_options *options, const struct dns_host *host)
{
    for (uint8_t i = 0; i < host->address_count; i++) {
        for (size_t j = 0; j < options->address_count; j++) {
            if (address_same_ip(&host->addresses[i], &options->addresses[j])) return true;
        }
    }
    return false;
}

/* RFC 5321 section 5.1: "all records at that preference level and higher-numbered ones MUST be
 * discarded". By name before the addresses are known, which saves their lookup, and by address
 * afterwards. */
static void drop_ourselves(struct lookup *lookup)
{
    const struct dns_options *options = &lookup->dns->options;
    uint8_t keep = 0;
    for (; keep < lookup->mx_count; keep++) {
        const struct dns_host *host = lookup->mxs[keep].host;
        if (host != NULL && is_our_name(options, dns_host_name(host))) break;
        if (host != NULL && has_our_address(options, host)) break;
    }
    if (keep == lookup->mx_count) return;
    const uint16_t preference = lookup->mxs[keep].preference;
    while (keep > 0 && lookup->mxs[keep - 1].preference == preference)
        keep -= 1;
    for (uint8_t i = keep; i < lookup->mx_count; i++)
        dns_host_put(&lookup->mxs[i].host);
    lookup->mx_count = keep;
    if (keep == 0) lookup->status = DNS_LOOP;
}

/* ---- the result ------------------------------------------------------------------------------ */

/* What the hosts' addresses make of the domain. */
static void judge(struct lookup *lookup)
{
    bool usable = false, refused = false;
    uint8_t error = DNS_ERROR_NONE;
    for (uint8_t i = 0; i < lookup->mx_count; i++) {
        const struct dns_host *host = lookup->mxs[i].host;
        usable |= dns_host_usable(host, lookup->kind) > 0;
        refused |= host->refused_count > 0;
        if (host->error != DNS_ERROR_NONE) error = host->error;
    }
    if (usable) return;
    lookup->status = refused ? DNS_REFUSED : DNS_NO_ADDRESS;
    if (error != DNS_ERROR_NONE) {
        lookup->status = DNS_TEMPFAIL;
        lookup->error = error;
    }
}

/* The operator's own next hop: nothing said about it may bounce mail. */
static void soften(struct lookup *lookup)
{
    if (lookup->kind != DNS_BY_HOST || lookup->status == DNS_OK) return;
    if (lookup->error == DNS_ERROR_NONE) lookup->error = DNS_ERROR_NO_HOST;
    lookup->status = DNS_TEMPFAIL;
}

static instant expiry(const struct lookup *lookup)
{
    const instant now = ring_now(lookup->dns->ring);
    instant at = lookup->mx_expires;
    for (uint8_t i = 0; i < lookup->mx_count; i++) {
        const struct dns_host *host = lookup->mxs[i].host;
        const bool failed = host->error != DNS_ERROR_NONE;
        const bool passed_over = failed && lookup->status == DNS_OK;
        at = MIN(at, passed_over ? now + PARTLY_KNOWN_TTL : host->expires);
    }
    return MAX(at, now + DURATION_S(1));
}

/* With one reference; the hosts' go over to it. */
static struct dns_route *build(struct lookup *lookup)
{
    struct bytes names[DNS_MX_MAX], domain = domain_of(lookup);
    char site_text[DNS_SITE_MAX + 1];
    struct text site;
    text_init(&site, site_text, sizeof(site_text));
    for (uint8_t i = 0; i < lookup->mx_count; i++)
        names[i] = dns_host_name(lookup->mxs[i].host);
    if (lookup->mx_count > 0) {
        dns_site_name(names, lookup->mx_count, domain, &site);
    } else {
        text_put(&site, domain);
    }
    struct dns_route *route =
        dns_route_create(lookup->kind, domain, text_bytes(&site), lookup->hash, lookup->mx_count);
    route->status = lookup->status;
    route->error = lookup->error;
    route->expires = expiry(lookup);
    route->mx_expires = lookup->mx_expires;
    for (uint8_t i = 0; i < lookup->mx_count; i++) {
        route->hosts[i] = (struct dns_mx){lookup->mxs[i].host, lookup->mxs[i].preference};
        lookup->mxs[i].host = NULL;
    }
    return route;
}

static void log_result(const struct lookup *lookup, const struct dns_route *route)
{
    char data[2 * DNS_NAME_MAX];
    struct text words;
    if (route->status == DNS_OK) return;
    text_init(&words, data, sizeof(data));
    dns_route_explain(route, &words);
    const enum event_level level = route->status == DNS_LOOP ? EVENT_WARNING : EVENT_DEBUG;
    event_log(lookup->dns->events, level, "dns", "%s", words.data);
}

/* All is known: the route, in the cache and with one reference of the caller's. */
static struct dns_route *complete(struct lookup *lookup)
{
    struct dns *dns = lookup->dns;
    if (lookup->status == DNS_OK && lookup->kind == DNS_BY_MX) drop_ourselves(lookup);
    if (lookup->status == DNS_OK) judge(lookup);
    soften(lookup);
    struct dns_route *route = build(lookup);
    if (lookup->asked) {
        const duration took = ring_now(dns->ring) - lookup->started;
        metrics_observe(dns->metrics, METRICS_DNS_US, took / DURATION_US(1));
    }
    if (route->status == DNS_TEMPFAIL) metrics_add(dns->metrics, METRICS_DNS_FAILURES, 1);
    log_result(lookup, route);
    dns_cache_add_route(&dns->cache, route);
    return route;
}

/* Completes a lookup that others wait for. */
static void finish(struct lookup *lookup)
{
    struct dns_route *route = complete(lookup);
    struct list requests;
    list_init(&requests);
    list_append_all(&requests, &lookup->requests);
    table_remove(&lookup->dns->lookups, lookup->hash, lookup);
    release(lookup);
    for (struct list *node; (node = list_pop_front(&requests)) != NULL;) {
        struct dns_request *request = CONTAINER_OF(node, struct dns_request, link);
        dns_route_pin(route);
        request->on_route(request, route);
    }
    dns_route_put(&route);
}

/* ---- the steps ------------------------------------------------------------------------------- */

static void on_host(struct host_waiter *waiter, struct dns_host *host)
{
    struct mx *mx = CONTAINER_OF(waiter, struct mx, waiter);
    struct lookup *lookup = mx->lookup;
    mx->host = host;
    if (--lookup->pending == 0) finish(lookup);
}

/* false: all hosts are known already. */
static bool ask_hosts(struct lookup *lookup, const struct bytes *names, const uint16_t *preferences,
                      size_t count)
{
    lookup->mxs = base_alloc(count * sizeof(*lookup->mxs));
    lookup->mx_count = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        struct mx *mx = &lookup->mxs[i];
        mx->lookup = lookup;
        mx->preference = preferences[i];
        mx->waiter.on_host = on_host;
        mx->host = dns_host_get(lookup->dns, names[i], &mx->waiter);
        lookup->pending += mx->host == NULL;
    }
    lookup->asked |= lookup->pending > 0;
    return lookup->pending > 0;
}

/* The hosts of an answer without those that ourselves rule out, by name. */
static size_t hosts_before_us(struct lookup *lookup, const struct dns_answer *answer)
{
    size_t count = 0;
    while (count < answer->mx_count) {
        const struct answer_mx *mx = &answer->mx[count];
        if (is_our_name(&lookup->dns->options, (struct bytes){mx->name, mx->name_len})) break;
        count += 1;
    }
    if (count == answer->mx_count) return count;
    while (count > 0 && answer->mx[count - 1].preference == answer->mx[count].preference)
        count -= 1;
    if (count == 0) lookup->status = DNS_LOOP;
    return count;
}

static bool use_mx(struct lookup *lookup, const struct dns_answer *answer)
{
    struct bytes names[DNS_MX_MAX];
    uint16_t preferences[DNS_MX_MAX];
    const size_t count = hosts_before_us(lookup, answer);
    for (size_t i = 0; i < count; i++) {
        names[i] = (struct bytes){answer->mx[i].name, answer->mx[i].name_len};
        preferences[i] = answer->mx[i].preference;
    }
    return count > 0 && ask_hosts(lookup, names, preferences, count);
}

/* RFC 5321 section 5.1: "the address RR is treated as if it was associated with an implicit MX RR,
 * with a preference of 0, pointing to that host". */
static bool use_domain_itself(struct lookup *lookup)
{
    const struct bytes domain = domain_of(lookup);
    const uint16_t preference = 0;
    if (lookup->kind == DNS_BY_MX && is_our_name(&lookup->dns->options, domain)) {
        lookup->status = DNS_LOOP;
        return false;
    }
    return ask_hosts(lookup, &domain, &preference, 1);
}

/* false: nothing is left to wait for. */
static bool use_answer(struct lookup *lookup, enum dns_error error, const struct dns_answer *answer)
{
    const struct dns_options *options = &lookup->dns->options;
    const duration ttl = error == DNS_ERROR_NONE ? dns_ttl(options, answer) : options->failure_ttl;
    lookup->mx_expires = ring_now(lookup->dns->ring) + ttl;
    if (error != DNS_ERROR_NONE) {
        lookup->status = DNS_TEMPFAIL;
        lookup->error = (uint8_t)error;
    } else if (!answer->exists) {
        lookup->status = DNS_NXDOMAIN;
    } else if (answer->null_mx) {
        lookup->status = DNS_NULL_MX;
    } else if (answer->mx_count > 0) {
        return use_mx(lookup, answer);
    } else if (answer->seen > 0) { /* MX are there, but no host can have such a name */
        lookup->status = DNS_NO_ADDRESS;
        lookup->error = DNS_ERROR_BAD_NAME;
    } else {
        return use_domain_itself(lookup);
    }
    return false;
}

static void on_mx(struct query *query, enum dns_error error, const struct dns_answer *answer)
{
    struct lookup *lookup = CONTAINER_OF(query, struct lookup, query);
    if (!use_answer(lookup, error, answer)) finish(lookup);
}

/* The MX records of an expired route still hold: only its hosts are asked for. */
static bool use_old_mx(struct lookup *lookup, const struct dns_route *old)
{
    struct bytes names[DNS_MX_MAX];
    uint16_t preferences[DNS_MX_MAX];
    for (uint8_t i = 0; i < old->host_count; i++) {
        names[i] = dns_host_name(old->hosts[i].host);
        preferences[i] = old->hosts[i].preference;
    }
    lookup->mx_expires = old->mx_expires;
    return ask_hosts(lookup, names, preferences, old->host_count);
}

/* false: the lookup needs nobody's answer. */
static bool start(struct lookup *lookup, struct dns_route *old)
{
    struct dns *dns = lookup->dns;
    lookup->started = ring_now(dns->ring);
    if (lookup->kind == DNS_BY_HOST) {
        lookup->mx_expires = lookup->started + dns->options.ttl_max;
        return use_domain_itself(lookup);
    }
    if (old != NULL && old->host_count > 0 && lookup->started < old->mx_expires) {
        return use_old_mx(lookup, old);
    }
    lookup->asked = true;
    lookup->query.on_done = on_mx;
    dns_query_start(dns, &lookup->query, lookup->domain, DNS_TYPE_MX);
    return true;
}

struct dns_route *dns_lookup(struct dns *dns, enum dns_kind kind, struct bytes domain,
                             struct dns_request *request)
{
    const uint64_t hash = hash_bytes(dns->seed + 1 + kind, domain);
    struct dns_route *route = dns_cache_route(&dns->cache, hash, kind, domain);
    if (route != NULL && ring_now(dns->ring) < route->expires) {
        metrics_add(dns->metrics, METRICS_DNS_CACHE_HITS, 1);
        dns_route_pin(route);
        return route;
    }
    const struct lookup_key key = {domain, kind};
    struct lookup *lookup = table_find(&dns->lookups, hash, is_lookup, &key);
    if (lookup == NULL) {
        lookup = base_alloc(sizeof(*lookup) + domain.len + 1);
        lookup->dns = dns;
        lookup->hash = hash;
        lookup->kind = (uint8_t)kind;
        lookup->domain_len = (uint8_t)domain.len;
        memcpy(lookup->domain, domain.data, domain.len);
        list_init(&lookup->requests);
        if (!start(lookup, route)) {
            route = complete(lookup);
            release(lookup);
            return route;
        }
        table_add(&dns->lookups, hash, lookup);
    }
    list_push_back(&lookup->requests, &request->link);
    dns_query_pump(dns);
    return NULL;
}

void dns_lookups_forget(struct dns *dns)
{
    uint32_t cursor = 0;
    for (struct lookup *lookup; (lookup = table_next(&dns->lookups, &cursor)) != NULL;) {
        while (list_pop_front(&lookup->requests) != NULL) {
        }
        dns_query_forget(&lookup->query);
        release(lookup);
    }
    table_deinit(&dns->lookups);
}

/* ---- without DNS ----------------------------------------------------------------------------- */

static struct dns_route *known_route(struct dns *dns, enum dns_kind kind, struct bytes name,
                                     const struct address *addresses, size_t count)
{
    struct dns_host *host = dns_host_create(name, 0, addresses, count, &dns->options);
    struct dns_route *route = dns_route_create(kind, name, name, 0, 1);
    host->expires = route->mx_expires = route->expires = ring_now(dns->ring) + dns->options.ttl_max;
    route->hosts[0] = (struct dns_mx){host, 0};
    return route;
}

struct dns_route *dns_lookup_literal(struct dns *dns, enum dns_kind kind,
                                     const struct address *address)
{
    char data[DNS_NAME_MAX + 1];
    struct text name;
    text_init(&name, data, sizeof(data));
    dns_literal_print(address, &name);
    struct dns_route *route = known_route(dns, kind, text_bytes(&name), address, 1);
    const struct dns_host *host = route->hosts[0].host;
    if (dns_host_usable(host, kind) == 0) route->status = DNS_REFUSED;
    if (kind == DNS_BY_MX && has_our_address(&dns->options, host)) route->status = DNS_LOOP;
    return route;
}

struct dns_route *dns_lookup_localhost(struct dns *dns)
{
    static const struct address loopback[] = {
        {.family = 4, .prefix = 32, .ip = {127, 0, 0, 1}},
        {.family = 6, .prefix = 128, .ip = {[15] = 1}},
    };
    const size_t count = dns->options.ignore_ipv6 ? 1 : ARRAY_COUNT(loopback);
    return known_route(dns, DNS_BY_HOST, BYTES("localhost"), loopback, count);
}

struct dns_route *dns_lookup_bad_name(struct dns *dns, enum dns_kind kind, struct bytes name)
{
    char clean[DNS_NAME_MAX];
    name.len = MIN(name.len, sizeof(clean));
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        clean[i] = c > ' ' && c < 127 ? ascii_lower(c) : '?';
    }
    name.data = clean;
    struct dns_route *route = dns_route_create(kind, name, name, 0, 0);
    route->mx_expires = route->expires = ring_now(dns->ring) + dns->options.ttl_max;
    route->status = kind == DNS_BY_HOST ? DNS_TEMPFAIL : DNS_BAD_NAME;
    if (kind == DNS_BY_HOST) route->error = DNS_ERROR_BAD_NAME;
    return route;
}
