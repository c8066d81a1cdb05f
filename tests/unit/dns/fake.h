/* SPDX-License-Identifier: Apache-2.0
 *
 * fake - a name server and a clock of the test's own behind the seam
 *
 * Included by one file of each test program: it defines what the product links from cares.c and
 * ring.
 */
#pragma once
#include "private.h"
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- the clock, and a backend that answers from a zone when told to ---------------------------
 */

static instant now;

instant ring_now(const struct ring *ring)
{
    (void)ring;
    return now;
}

struct record {
    const char *name;
    enum dns_type type;
    const char *data; /* "10 mx.x", "192.0.2.1", "alias.x"; "!" = NXDOMAIN */
    uint32_t ttl;
    enum dns_error error; /* instead of an answer */
};
enum { ASKED_MAX = 5000 };
struct dns_backend {
    uint32_t count;
    struct {
        struct dns_backend_query *query;
        char name[DNS_NAME_MAX + 1];
        enum dns_type type;
    } asked[ASKED_MAX];
};
static const struct record *zone;
static bool refuse_backend;
static uint32_t backends, questions;
static struct wire wire;

struct dns_backend *dns_backend_create(struct ring *ring, const struct dns_backend_options *options,
                                       char *why, size_t why_size)
{
    (void)ring;
    assert_true(options->tries > 0);
    if (refuse_backend) {
        snprintf(why, why_size, "no backend today");
        return NULL;
    }
    backends += 1;
    return base_alloc(sizeof(struct dns_backend));
}

void dns_backend_destroy(struct dns_backend **backend)
{
    base_free(*backend);
    *backend = NULL;
    backends -= 1;
}

void dns_backend_ask(struct dns_backend *backend, struct dns_backend_query *query, const char *name,
                     enum dns_type type)
{
    assert_true(backend->count < ASKED_MAX);
    snprintf(backend->asked[backend->count].name, DNS_NAME_MAX + 1, "%s", name);
    backend->asked[backend->count].query = query;
    backend->asked[backend->count++].type = type;
    questions += 1;
}

static void write_record(const struct record *record)
{
    switch (record->type) {
    case DNS_TYPE_MX:
        wire_mx(&wire, record->name, record->ttl, (unsigned)atoi(record->data),
                strchr(record->data, ' ') + 1);
        break;
    case DNS_TYPE_CNAME:
        wire_cname(&wire, record->name, record->ttl, record->data);
        break;
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        wire_address(&wire, record->name, record->ttl, record->data);
        break;
    case DNS_TYPE_SOA:
    case DNS_TYPE_TXT: /* nothing here asks for it */
        break;
    }
}

/* As an authoritative server would: aliases only, or the records, or a SOA. */
static enum dns_error answer_from_zone(const char *name, enum dns_type type)
{
    bool found = false, exists = true;
    wire_begin(&wire, name, type, 0);
    for (const struct record *record = zone; record->name != NULL; record++) {
        if (strcmp(record->name, name) != 0) continue;
        if (record->type != type && record->type != DNS_TYPE_CNAME) continue;
        if (record->error != DNS_ERROR_NONE) return record->error;
        if (strcmp(record->data, "!") == 0) {
            exists = false;
            continue;
        }
        write_record(record);
        found = true;
    }
    if (!exists) wire.data[3] |= 3;
    if (!found) wire_soa(&wire, "x", 60, 60);
    return DNS_ERROR_NONE;
}

static struct dns *dns;

/* Answers one question, the oldest. false: none was asked. */
static bool answer_one(void)
{
    struct dns_backend *backend = dns->backend;
    if (backend->count == 0) return false;
    struct dns_backend_query *query = backend->asked[0].query;
    const enum dns_error error = answer_from_zone(backend->asked[0].name, backend->asked[0].type);
    memmove(backend->asked, backend->asked + 1, --backend->count * sizeof(backend->asked[0]));
    query->on_answer(query, error, error == DNS_ERROR_NONE ? wire_bytes(&wire) : BYTES(""));
    return true;
}

static void answer_all(void)
{
    while (answer_one()) {
    }
}

/* ---- helpers --------------------------------------------------------------------------------- */

static struct metrics metrics;
static struct event_sink events;
static const struct bytes our_names[] = {{"relay.us", 8}, {"Mail.US.", 8}};
static struct address our_addresses[1];

static struct dns_options options(void)
{
    struct dns_options chosen = dns_options_default;
    chosen.names = our_names;
    chosen.name_count = ARRAY_COUNT(our_names);
    assert_true(address_parse_ip(BYTES("203.0.113.9"), &our_addresses[0]));
    chosen.addresses = our_addresses;
    chosen.address_count = 1;
    return chosen;
}

static void open_with(struct dns_options chosen, const struct record *records)
{
    char why[100];
    static struct dns_options kept;
    kept = chosen;
    zone = records;
    now = DURATION_S(1000);
    questions = 0;
    memset(&metrics, 0, sizeof(metrics));
    event_sink_init(&events, &(struct event_options){.level = EVENT_DEBUG, .buffers_max = 4});
    dns = dns_create(NULL, &kept, &metrics, &events, 1, why, sizeof(why));
    assert_non_null(dns);
}

static void open_dns(const struct record *records)
{
    open_with(options(), records);
}

static void close_dns(void)
{
    dns_destroy(&dns);
    assert_null(dns);
    assert_int_equal(backends, 0);
    event_sink_deinit(&events);
}

static struct dns_route *arrived;
static uint32_t arrivals;

static void on_route(struct dns_request *request, struct dns_route *route)
{
    (void)request;
    dns_route_put(&arrived);
    arrived = route;
    arrivals += 1;
}

static struct dns_route *resolve_kind(enum dns_kind kind, const char *domain)
{
    struct dns_request request = {.on_route = on_route};
    struct dns_route *route = dns_route_get(dns, kind, bytes_of(domain), &request);
    if (route != NULL) return route;
    answer_all();
    assert_non_null(arrived);
    route = arrived;
    arrived = NULL;
    return route;
}

static struct dns_route *resolve(const char *domain)
{
    return resolve_kind(DNS_BY_MX, domain);
}

static void assert_bytes(struct bytes bytes, const char *expected)
{
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

static void assert_status(const char *domain, enum dns_status status)
{
    struct dns_route *route = resolve(domain);
    assert_int_equal(route->status, status);
    dns_route_put(&route);
}

static const struct record usual_zone[] = {
    {"d.x", DNS_TYPE_MX, "20 b.mx.x", 300, 0},
    {"d.x", DNS_TYPE_MX, "10 a.mx.x", 300, 0},
    {"e.x", DNS_TYPE_MX, "10 B.mx.x", 300, 0},
    {"e.x", DNS_TYPE_MX, "10 A.MX.x", 300, 0},
    {"a.mx.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
    {"a.mx.x", DNS_TYPE_AAAA, "2001:db8::1", 300, 0},
    {"b.mx.x", DNS_TYPE_A, "192.0.2.2", 300, 0},
    {"lone.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
    {"six.x", DNS_TYPE_AAAA, "2001:db8::3", 300, 0},
    {"null.x", DNS_TYPE_MX, "0 .", 300, 0},
    {"null.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
    {"dot.x", DNS_TYPE_MX, "10 .", 300, 0},
    {"dot.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
    {"no.x", DNS_TYPE_MX, "!", 0, 0},
    {"fail.x", DNS_TYPE_MX, NULL, 0, DNS_ERROR_SERVFAIL},
    {"fail.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
    {"deadmx.x", DNS_TYPE_MX, "10 gone.mx.x", 300, 0}, /* MX without address: never the A */
    {"deadmx.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
    {"half.x", DNS_TYPE_MX, "10 gone.mx.x", 300, 0},
    {"half.x", DNS_TYPE_MX, "20 a.mx.x", 300, 0},
    {"late.x", DNS_TYPE_MX, "10 late.mx.x", 300, 0},
    {"late2.x", DNS_TYPE_MX, "10 late.mx.x", 300, 0},
    {"late2.x", DNS_TYPE_MX, "20 b.mx.x", 300, 0},
    {"late.mx.x", DNS_TYPE_A, NULL, 0, DNS_ERROR_TIMEOUT},
    {"gone.mx.x", DNS_TYPE_A, "!", 0, 0},
    {"gone.mx.x", DNS_TYPE_AAAA, "!", 0, 0},
    {"alias.x", DNS_TYPE_CNAME, "alias2.x", 300, 0},
    {"alias2.x", DNS_TYPE_CNAME, "d.x", 300, 0},
    {"loop.x", DNS_TYPE_CNAME, "loop2.x", 300, 0},
    {"loop2.x", DNS_TYPE_CNAME, "loop.x", 300, 0},
    {"aliasmx.x", DNS_TYPE_MX, "10 www.x", 300, 0},
    {"www.x", DNS_TYPE_CNAME, "a.mx.x", 300, 0},
    {NULL, 0, NULL, 0, 0},
};
