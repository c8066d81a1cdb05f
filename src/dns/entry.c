/* SPDX-License-Identifier: Apache-2.0
 *
 * entry - hosts and routes: what the cache keeps and users pin
 *
 * Each is one allocation. A host is shared by all routes that lead to it:
 *
 *     route ┬─ hosts[0] ──▶ host: addresses, name        100,000 domains at one provider cost
 *           ├─ hosts[1] ──▶ host                         100,000 routes but one set of hosts
 *           └─ "domain" NUL "site" NUL
 *
 * Nothing changes in them after they are out, so whoever pins one reads it without care.
 */
#include "private.h"

/* ---- hosts ----------------------------------------------------------------------------------- */

static void take(struct dns_host *host, const struct address *addresses, size_t count, bool refused,
                 uint8_t family, const struct dns_options *options)
{
    for (size_t i = 0; i < count; i++) {
        if (addresses[i].family != family) continue;
        if (dns_address_is_refused(&addresses[i], options) != refused) continue;
        host->addresses[host->address_count++] = addresses[i];
        host->refused_count += refused;
    }
}

struct dns_host *dns_host_create(struct bytes name, uint64_t hash, const struct address *addresses,
                                 size_t count, const struct dns_options *options)
{
    ASSERT(name.len <= DNS_NAME_MAX && count <= UINT8_MAX);
    struct dns_host *host =
        base_alloc(sizeof(*host) + count * sizeof(host->addresses[0]) + name.len + 1);
    list_init(&host->used);
    host->hash = hash;
    host->refs = 1;
    host->name_len = (uint8_t)name.len;
    for (int refused = 0; refused <= 1; refused++) {
        take(host, addresses, count, refused, 6, options);
        take(host, addresses, count, refused, 4, options);
    }
    ASSERT(host->address_count == count);
    memcpy(&host->addresses[count], name.data, name.len);
    return host;
}

struct bytes dns_host_name(const struct dns_host *host)
{
    return (struct bytes){(const char *)&host->addresses[host->address_count], host->name_len};
}

size_t dns_host_size(const struct dns_host *host)
{
    return sizeof(*host) + host->address_count * sizeof(host->addresses[0]) + host->name_len + 1u;
}

void dns_host_put(struct dns_host **host)
{
    struct dns_host *mine = *host;
    *host = NULL;
    if (mine == NULL) return;
    ASSERT(mine->refs > 0);
    if (--mine->refs == 0) base_free(mine);
}

/* ---- routes ---------------------------------------------------------------------------------- */

struct dns_route *dns_route_create(enum dns_kind kind, struct bytes domain, struct bytes site,
                                   uint64_t hash, size_t host_count)
{
    ASSERT(domain.len <= DNS_NAME_MAX && site.len <= DNS_SITE_MAX && host_count <= DNS_MX_MAX);
    const bool same = bytes_equal(domain, site);
    const size_t texts = domain.len + 1 + (same ? 0 : site.len + 1);
    struct dns_route *route =
        base_alloc(sizeof(*route) + host_count * sizeof(route->hosts[0]) + texts);
    list_init(&route->used);
    route->hash = hash;
    route->refs = 1;
    route->kind = (uint8_t)kind;
    route->host_count = (uint8_t)host_count;
    route->domain_len = (uint8_t)domain.len;
    route->site_start = same ? 0 : (uint8_t)(domain.len + 1);
    route->site_len = (uint8_t)site.len;
    char *text = (char *)&route->hosts[host_count];
    memcpy(text, domain.data, domain.len);
    if (!same) memcpy(text + route->site_start, site.data, site.len);
    return route;
}

static const char *texts_of(const struct dns_route *route)
{
    return (const char *)&route->hosts[route->host_count];
}

struct bytes dns_route_domain(const struct dns_route *route)
{
    return (struct bytes){texts_of(route), route->domain_len};
}

struct bytes dns_route_site(const struct dns_route *route)
{
    return (struct bytes){texts_of(route) + route->site_start, route->site_len};
}

size_t dns_route_size(const struct dns_route *route)
{
    const size_t texts =
        route->domain_len + 1u + (route->site_start > 0 ? route->site_len + 1u : 0);
    return sizeof(*route) + route->host_count * sizeof(route->hosts[0]) + texts;
}

void dns_route_pin(struct dns_route *route)
{
    ASSERT(route->refs > 0);
    route->refs += 1;
}

void dns_route_put(struct dns_route **route)
{
    struct dns_route *mine = *route;
    *route = NULL;
    if (mine == NULL) return;
    ASSERT(mine->refs > 0);
    if (--mine->refs > 0) return;
    ASSERT(!mine->cached); /* the cache has a reference of its own */
    for (uint8_t i = 0; i < mine->host_count; i++)
        dns_host_put(&mine->hosts[i].host);
    base_free(mine);
}

/* ---- words ----------------------------------------------------------------------------------- */

const struct dns_verdict *dns_verdict(enum dns_status status)
{
    static const struct dns_verdict verdicts[] = {
        [DNS_OK] = {0, {0}, false, "found"},
        [DNS_TEMPFAIL] = {451, {4, 4, 3}, false, "the mail hosts are not known for now"},
        [DNS_NXDOMAIN] = {550, {5, 1, 2}, true, "the domain does not exist"},
        [DNS_BAD_NAME] = {550, {5, 1, 2}, true, "not a domain name"},
        [DNS_NULL_MX] = {556, {5, 1, 10}, true, "the domain accepts no mail (null MX)"},
        [DNS_NO_ADDRESS] = {550, {5, 4, 4}, true, "no mail host of the domain has an address"},
        [DNS_REFUSED] = {550,
                         {5, 4, 4},
                         true,
                         "the domain's mail hosts have only addresses that "
                         "are not reachable from outside"},
        [DNS_LOOP] = {550, {5, 4, 6}, true, "this host is the domain's best mail host: mail loop"},
    };
    static_assert(ARRAY_COUNT(verdicts) == DNS_STATUS_COUNT, "one row for each status");
    ASSERT(status < DNS_STATUS_COUNT);
    return &verdicts[status];
}

const char *dns_error_phrase(enum dns_error error)
{
    static const char *const phrases[] = {
        [DNS_ERROR_NONE] = "no error",
        [DNS_ERROR_TIMEOUT] = "the name servers did not answer in time",
        [DNS_ERROR_SERVFAIL] = "name server failure",
        [DNS_ERROR_REFUSED] = "the name server refused to answer",
        [DNS_ERROR_UNREACHABLE] = "no name server could be reached or gave an answer",
        [DNS_ERROR_BAD_ANSWER] = "damaged answer from the name server",
        [DNS_ERROR_BAD_NAME] = "a record points to something that is not a host name",
        [DNS_ERROR_CNAME_LOOP] = "too many aliases, or aliases in a circle",
        [DNS_ERROR_NO_HOST] = "the next hop has no address",
    };
    static_assert(ARRAY_COUNT(phrases) == DNS_ERROR_COUNT, "one phrase for each error");
    ASSERT(error < DNS_ERROR_COUNT);
    return phrases[error];
}

void dns_route_explain(const struct dns_route *route, struct text *out)
{
    text_put(out, dns_route_domain(route));
    text_printf(out, ": %s", dns_verdict(route->status)->phrase);
    if (route->error != DNS_ERROR_NONE) text_printf(out, " (%s)", dns_error_phrase(route->error));
}

/* ---- where to connect ------------------------------------------------------------------------ */

/* The families in turn, each from a random place on. Returns how many were written. */
static size_t host_targets(const struct dns_route *route, uint8_t index, size_t limit,
                           struct random *random, bool ipv4_first, struct dns_target *targets)
{
    const struct dns_host *host = route->hosts[index].host;
    const uint8_t usable = dns_host_usable(host, route->kind);
    uint8_t places[2][UINT8_MAX]; /* [0] = IPv6, [1] = IPv4 */
    uint8_t counts[2] = {0}, starts[2] = {0}, given[2] = {0};
    for (uint8_t i = 0; i < usable; i++) {
        const bool v4 = host->addresses[i].family == 4;
        places[v4][counts[v4]++] = i;
    }
    for (int family = 0; family < 2; family++) {
        if (counts[family] > 1) starts[family] = (uint8_t)random_below(random, counts[family]);
    }
    size_t count = 0;
    for (bool v4 = ipv4_first; count < MIN(limit, usable); v4 = !v4) {
        if (given[v4] == counts[v4]) continue;
        const uint8_t place = (uint8_t)((starts[v4] + given[v4]++) % counts[v4]);
        targets[count++] = (struct dns_target){index, places[v4][place]};
    }
    return count;
}

static void shuffle(uint8_t *items, size_t count, struct random *random)
{
    for (size_t i = count; i > 1; i--) {
        const size_t j = random_below(random, i);
        const uint8_t item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}

size_t dns_route_targets(const struct dns_route *route, struct random *random, bool ipv4_first,
                         struct dns_target targets[DNS_TARGETS_MAX])
{
    uint8_t order[DNS_MX_MAX];
    size_t usable = 0, count = 0;
    for (uint8_t i = 0; i < route->host_count; i++) {
        if (dns_host_usable(route->hosts[i].host, route->kind) > 0) order[usable++] = i;
    }
    for (size_t start = 0, end; start < usable; start = end) { /* hosts are in order already */
        const uint16_t preference = route->hosts[order[start]].preference;
        for (end = start + 1; end < usable; end++) {
            if (route->hosts[order[end]].preference != preference) break;
        }
        shuffle(order + start, end - start, random);
    }
    /* Many hosts: fewer addresses of each, so that the last host gets its turn too. */
    const size_t limit = usable > 0 ? DNS_TARGETS_MAX / usable : 0;
    for (size_t i = 0; i < usable; i++)
        count += host_targets(route, order[i], limit, random, ipv4_first, targets + count);
    return count;
}
