/* SPDX-License-Identifier: Apache-2.0
 *
 * route - from a domain to hosts: the operator's routes, else DNS
 *
 * A lookup keeps pins on what DNS said, not on the options: when these change on the way, it begins
 * anew.
 */
#include "internal.h"

enum { STATIC_FRESH_S = 3600 };

static void lookup_free(struct deliver_lookup *lookup)
{
    for (uint32_t i = 0; i < QUEUE_HOPS_MAX; i++)
        dns_route_put(&lookup->routes[i]);
    lookup->deliver->lookups -= 1;
    base_free(lookup);
}

/* The lookup is over, with or without a route. */
static void lookup_end(struct deliver_lookup *lookup, const struct queue_plan_input *input,
                       const struct queue_error_view *why)
{
    struct deliver *deliver = lookup->deliver;
    struct queue_domain *domain = lookup->domain;
    const instant now = deliver_now(deliver);
    const uint64_t ms = (now - lookup->started) / DURATION_MS(1);
    LIST_FOR_EACH(node, &domain->waiting)
    {
        struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, wait_link);
        entry->dns_ms = (uint16_t)MIN(MAX(ms, 1u), (uint64_t)UINT16_MAX);
    }
    domain->lookup = NULL;
    if (input != NULL)
        queue_domain_routed(&deliver->queue, domain, input, now);
    else
        queue_domain_unrouted(&deliver->queue, domain, why);
    queue_domain_look(&deliver->queue, domain);
    lookup_free(lookup);
    home_arm(deliver);
    deliver_look_drained(deliver);
}

static void lookup_fail(struct deliver_lookup *lookup, const struct dns_route *route)
{
    const struct dns_verdict *verdict = dns_verdict((enum dns_status)route->status);
    char space[QUEUE_ERROR_TEXT_MAX + 1];
    struct text words;
    text_init(&words, space, sizeof(space));
    dns_route_explain(route, &words);
    const struct queue_error_view why = {
        .code = verdict->code,
        .enhanced = verdict->enhanced,
        .permanent = verdict->permanent,
        .text = text_bytes(&words),
    };
    lookup_end(lookup, NULL, &why);
}

/* ---- the plan -----------------------------------------------------------------------------------
 */

static void add_target(struct queue_plan_input *input, struct address address, struct bytes name,
                       uint16_t preference, uint8_t host)
{
    if (input->target_count == ARRAY_COUNT(input->targets)) return;
    const size_t at = input->target_count++;
    input->targets[at].address = address;
    input->targets[at].name = name;
    input->targets[at].preference = preference;
    input->targets[at].host = host;
}

static void add_route(struct deliver *deliver, struct queue_plan_input *input,
                      const struct dns_route *route, uint16_t port, uint16_t preference)
{
    struct dns_target targets[DNS_TARGETS_MAX];
    const size_t count = dns_route_targets(route, &deliver->worker->random,
                                           deliver->queue.options->ipv4_first, targets);
    for (size_t i = 0; i < count; i++) {
        const struct dns_mx *mx = &route->hosts[targets[i].host];
        const uint16_t order = route->kind == DNS_BY_MX ? mx->preference : preference;
        const uint8_t host = route->kind == DNS_BY_MX ? targets[i].host : (uint8_t)preference;
        add_target(input, dns_target_address(route, targets[i], port), dns_host_name(mx->host),
                   order, host);
    }
    input->fresh_until = MIN(input->fresh_until, route->expires);
}

static void choose_settings(struct deliver *deliver, struct queue_plan_input *input,
                            struct bytes domain, struct bytes host)
{
    const struct queue_options *options = deliver->queue.options;
    input->options = queue_options_site(options, domain, input->site, host, &input->profile);
    input->source = queue_options_source(options, input->options->source);
}

static void finish_mx(struct deliver_lookup *lookup)
{
    struct deliver *deliver = lookup->deliver;
    const struct dns_route *route = lookup->routes[0];
    struct queue_plan_input input = {
        .site = dns_route_site(route),
        .fresh_until = INSTANT_FOREVER,
    };
    const struct bytes first =
        route->host_count > 0 ? dns_host_name(route->hosts[0].host) : BYTES("");
    choose_settings(deliver, &input, dns_route_domain(route), first);
    add_route(deliver, &input, route, input.options->port, 0);
    lookup_end(lookup, &input, NULL);
}

/* A site of static hops is named by them: "[127.0.0.1]:2525", "relay.example:25|backup.example".
 * Mail that goes under another user's name, or by TLS from the first octet, does not share their
 * connections: "smtps:ann@relay.example:465". */
static void print_site(const struct queue_route *route, struct text *out)
{
    if (route->tls_implicit) text_put(out, BYTES("smtps:"));
    if (route->user.len > 0) text_printf(out, "%.*s@", BYTES_FMT(route->user));
    for (uint32_t i = 0; i < route->hop_count; i++) {
        const struct queue_hop *hop = &route->hops[i];
        const bool literal = strchr(hop->host, ':') != NULL;
        text_printf(out, literal ? "%s[%s]" : "%s%s", i > 0 ? "|" : "", hop->host);
        if (hop->port != 0) text_printf(out, ":%u", hop->port);
    }
    if (!out->cut) return;
    const struct bytes hops = {(const char *)route->hops, sizeof(route->hops)};
    const uint64_t hash = hash_bytes(hash_bytes(route->tls_implicit, route->user), hops);
    out->len = out->cap - 1 - 17; /* the beginning is for people, the hash tells them apart */
    out->cut = false;
    text_printf(out, "~%016llx", (unsigned long long)hash);
}

static void finish_static(struct deliver_lookup *lookup, const struct queue_route *route,
                          struct bytes domain)
{
    struct deliver *deliver = lookup->deliver;
    char space[QUEUE_NAME_MAX + 1];
    struct text site;
    text_init(&site, space, sizeof(space));
    print_site(route, &site);
    struct queue_plan_input input = {
        .site = text_bytes(&site),
        .fresh_until = deliver_now(deliver) + DURATION_S(STATIC_FRESH_S),
        .tls_implicit = route->tls_implicit,
        .auth_clear = route->auth_clear,
        .user = route->user,
        .password = route->password,
    };
    choose_settings(deliver, &input, domain, bytes_of(route->hops[0].host));
    const struct dns_route *failed = NULL;
    for (uint32_t i = 0; i < route->hop_count; i++) {
        const struct queue_hop *hop = &route->hops[i];
        const uint16_t port = hop->port != 0 ? hop->port : input.options->port;
        const struct dns_route *found = lookup->routes[i];
        struct address address;
        if (found != NULL && found->status == DNS_OK) {
            add_route(deliver, &input, found, port, (uint16_t)i);
        } else if (found != NULL) {
            failed = found;
        } else if (address_parse_ip(bytes_of(hop->host), &address)) {
            address.port = port;
            add_target(&input, address, bytes_of(hop->host), (uint16_t)i, (uint8_t)i);
        }
    }
    if (input.target_count == 0 && failed != NULL) {
        /* A next hop's name is the operator's business, and he may still mend it: never for good.
         */
        char words_space[QUEUE_ERROR_TEXT_MAX + 1];
        struct text words;
        text_init(&words, words_space, sizeof(words_space));
        text_put(&words, BYTES("next hop: "));
        dns_route_explain(failed, &words);
        const struct queue_error_view why = {
            .code = 451,
            .enhanced = {4, 4, 3},
            .text = text_bytes(&words),
        };
        lookup_end(lookup, NULL, &why);
        return;
    }
    lookup_end(lookup, &input, NULL);
}

/* ---- looking up ---------------------------------------------------------------------------------
 */

static void on_route(struct dns_request *request, struct dns_route *route);

static bool ask(struct deliver_lookup *lookup, enum dns_kind kind, struct bytes name, uint32_t slot)
{
    lookup->request.on_route = on_route;
    lookup->hop = slot;
    lookup->routes[slot] = dns_route_get(lookup->deliver->dns, kind, name, &lookup->request);
    return lookup->routes[slot] != NULL;
}

/* Asks for the names of the hops one after the other; most routes have one, or addresses. */
static void go_static(struct deliver_lookup *lookup, const struct queue_route *route,
                      struct bytes domain, uint32_t from)
{
    struct address address;
    for (uint32_t i = from; i < route->hop_count; i++) {
        const struct bytes host = bytes_of(route->hops[i].host);
        if (address_parse_ip(host, &address)) continue;
        if (!ask(lookup, DNS_BY_HOST, host, i)) return;
    }
    finish_static(lookup, route, domain);
}

static void got_mx(struct deliver_lookup *lookup)
{
    if (lookup->routes[0]->status == DNS_OK)
        finish_mx(lookup);
    else
        lookup_fail(lookup, lookup->routes[0]);
}

static struct bytes normalise(struct bytes domain, char *space, size_t size)
{
    struct text text;
    text_init(&text, space, size);
    return dns_name_normalise(domain, &text) ? text_bytes(&text) : domain;
}

bool deliver_is_routed(const struct deliver *deliver, struct bytes domain)
{
    char space[DNS_NAME_MAX + 3];
    domain = normalise(domain, space, sizeof(space));
    return queue_options_route(deliver->queue.options, domain) != NULL;
}

static void go(struct deliver_lookup *lookup, uint32_t from)
{
    struct deliver *deliver = lookup->deliver;
    char space[DNS_NAME_MAX + 3];
    const struct bytes given = queue_domain_name(lookup->domain);
    const struct bytes domain = normalise(given, space, sizeof(space));
    const struct queue_route *route = queue_options_route(deliver->queue.options, domain);
    lookup->generation = deliver->queue.generation;
    lookup->is_static = route != NULL;
    if (route != NULL)
        go_static(lookup, route, domain, from);
    else if (ask(lookup, DNS_BY_MX, given, 0))
        got_mx(lookup);
}

static void on_route(struct dns_request *request, struct dns_route *route)
{
    struct deliver_lookup *lookup = CONTAINER_OF(request, struct deliver_lookup, request);
    lookup->routes[lookup->hop] = route;
    if (lookup->generation != lookup->deliver->queue.generation) {
        for (uint32_t i = 0; i < QUEUE_HOPS_MAX; i++)
            dns_route_put(&lookup->routes[i]);
        go(lookup, 0);
    } else if (lookup->is_static) {
        go(lookup, lookup->hop + 1);
    } else {
        got_mx(lookup);
    }
}

void route_look_up(struct deliver *deliver, struct queue_domain *domain)
{
    ASSERT(domain->lookup == NULL);
    struct deliver_lookup *lookup = base_alloc(sizeof(*lookup));
    lookup->deliver = deliver;
    lookup->domain = domain;
    lookup->started = deliver_now(deliver);
    domain->lookup = lookup;
    deliver->lookups += 1;
    go(lookup, 0);
}

/* At the end of the process: what waited for it is due for the next one. */
void route_cancel(struct deliver *deliver, struct queue_domain *domain)
{
    struct deliver_lookup *lookup = domain->lookup;
    if (lookup == NULL) return;
    dns_request_cancel(&lookup->request);
    domain->lookup = NULL;
    lookup_free(lookup);
    while (!list_is_empty(&domain->waiting)) {
        struct queue_entry *entry =
            CONTAINER_OF(domain->waiting.next, struct queue_entry, wait_link);
        ASSERT(queue_entry_interrupt(&deliver->queue, entry)); /* ROUTING */
        queue_entry_wait(&deliver->queue, entry, deliver_now(deliver));
    }
    queue_domain_look(&deliver->queue, domain);
}
