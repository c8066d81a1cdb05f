/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cache - what is kept how long, and questions in flight
 */
#include "fake.h"

/* ---- the cache ---------------------------------------------------------------------------------
 */

static void one_query_however_many_ask(void **state)
{
    (void)state;
    enum { ASKERS = 50 };
    struct dns_request requests[ASKERS] = {0};
    open_dns(usual_zone);
    arrivals = 0;
    for (int i = 0; i < ASKERS; i++) {
        requests[i].on_route = on_route;
        assert_null(
            dns_route_get(dns, DNS_BY_MX, i % 2 ? BYTES("d.x") : BYTES("E.x"), &requests[i]));
    }
    dns_request_cancel(&requests[3]);
    dns_request_cancel(&requests[3]);
    answer_all();
    dns_request_cancel(&requests[5]);
    assert_int_equal(arrivals, ASKERS - 1);
    assert_int_equal(questions, 2 + 4); /* the hosts are the same */
    dns_route_put(&arrived);
    close_dns();
}

static void answers_hold_as_long_as_they_say(void **state)
{
    (void)state;
    static const struct record ttls[] = {
        {"d.x", DNS_TYPE_MX, "10 a.x", 1000, 0},
        {"a.x", DNS_TYPE_A, "192.0.2.1", 100, 0},
        {"zero.x", DNS_TYPE_A, "192.0.2.1", 0, 0},
        {"long.x", DNS_TYPE_A, "192.0.2.1", 0x7fffffff, 0},
        {"long.x", DNS_TYPE_MX, "10 long.x", 0x7fffffff, 0},
        {"no.x", DNS_TYPE_MX, "!", 0, 0},
        {"fail.x", DNS_TYPE_MX, NULL, 0, DNS_ERROR_TIMEOUT},
        {NULL, 0, NULL, 0, 0},
    };
    open_dns(ttls);
    struct dns_route *route = resolve("d.x");
    assert_int_equal(route->expires, now + DURATION_S(100));
    dns_route_put(&route);
    const uint32_t asked = questions;
    now += DURATION_S(99);
    assert_status("d.x", DNS_OK);
    assert_int_equal(questions, asked);
    now += DURATION_S(1);
    assert_status("d.x", DNS_OK); /* the address anew, the MX still holds */
    assert_int_equal(questions, asked + 2);
    now += DURATION_S(900);
    assert_status("d.x", DNS_OK);
    assert_int_equal(questions, asked + 5);

    route = resolve("zero.x");
    assert_int_equal(route->expires, now + DURATION_S(1));
    dns_route_put(&route);
    route = resolve("long.x");
    assert_int_equal(route->expires, now + DURATION_S(86400));
    dns_route_put(&route);
    route = resolve("no.x");
    assert_int_equal(route->expires, now + DURATION_S(60));
    dns_route_put(&route);
    route = resolve("fail.x");
    assert_int_equal(route->expires, now + dns_options_default.failure_ttl);
    dns_route_put(&route);
    close_dns();
}

/* The best host cannot be resolved: the others serve, but not longer than a minute. */
static void partial_failures_are_tried_again(void **state)
{
    (void)state;
    open_dns(usual_zone);
    struct dns_route *route = resolve("late2.x");
    assert_int_equal(route->status, DNS_OK);
    assert_int_equal(route->expires, now + DURATION_S(60));
    dns_route_put(&route);
    close_dns();
}

static void the_cache_is_bounded(void **state)
{
    (void)state;
    enum { LIMIT = 50, DOMAINS = 400 };
    struct dns_options small = options();
    struct dns_stats stats;
    struct dns_route *pinned[DOMAINS];
    char name[32];
    small.cache_entries = LIMIT;
    open_with(small, usual_zone);
    for (int i = 0; i < DOMAINS; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        pinned[i] = resolve(name);
        assert_true(pinned[i]->status == DNS_NO_ADDRESS);
        dns_stats(dns, &stats);
        assert_true(stats.routes <= LIMIT && stats.hosts <= LIMIT);
    }
    assert_true(stats.evicted >= DOMAINS - LIMIT);
    for (int i = 0; i < DOMAINS; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        assert_bytes(dns_route_domain(pinned[i]), name);
    }
    for (int i = 0; i < DOMAINS; i += 2) /* the rest after the service is gone */
        dns_route_put(&pinned[i]);
    dns_flush(dns);
    dns_stats(dns, &stats);
    assert_int_equal(stats.routes + stats.hosts, 0);
    close_dns();
    for (int i = 1; i < DOMAINS; i += 2)
        dns_route_put(&pinned[i]);
}

static void what_is_used_stays(void **state)
{
    (void)state;
    struct dns_options small = options();
    char name[32];
    small.cache_entries = 10;
    open_with(small, usual_zone);
    assert_status("d.x", DNS_OK);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        assert_status(name, DNS_NO_ADDRESS);
        const uint32_t asked = questions;
        assert_status("d.x", DNS_OK);
        assert_int_equal(questions, asked);
    }
    close_dns();
}

static void a_route_is_small(void **state)
{
    (void)state;
    enum { DOMAINS = 1000 };
    static struct record dead[2 * DOMAINS + 1];
    static char texts[DOMAINS][2][40];
    struct dns_stats stats;
    for (int i = 0; i < DOMAINS; i++) {
        snprintf(texts[i][0], 40, "domain-%d.example", i);
        snprintf(texts[i][1], 40, "10 mx.domain-%d.example", i);
        dead[2 * i] = (struct record){texts[i][0], DNS_TYPE_MX, texts[i][1], 300, 0};
        dead[2 * i + 1] = (struct record){texts[i][1] + 3, DNS_TYPE_A, "192.0.2.1", 300, 0};
    }
    dead[2 * DOMAINS] = (struct record){0};
    open_dns(dead);
    for (int i = 0; i < DOMAINS; i++)
        assert_status(texts[i][0], DNS_OK);
    dns_stats(dns, &stats);
    assert_int_equal(stats.routes, DOMAINS);
    assert_int_equal(stats.hosts, DOMAINS);
    assert_true(stats.bytes / DOMAINS <= 400);
    close_dns();
}

/* ---- queries in flight -------------------------------------------------------------------------
 */

static void queries_in_flight_are_bounded(void **state)
{
    (void)state;
    enum { LIMIT = 8, DOMAINS = 100 };
    struct dns_options few = options();
    struct dns_request requests[DOMAINS] = {0};
    struct dns_stats stats;
    char name[32];
    few.queries_max = LIMIT;
    open_with(few, usual_zone);
    arrivals = 0;
    for (int i = 0; i < DOMAINS; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        requests[i].on_route = on_route;
        assert_null(dns_route_get(dns, DNS_BY_MX, bytes_of(name), &requests[i]));
    }
    do {
        dns_stats(dns, &stats);
        assert_true(stats.queries_in_flight <= LIMIT);
        assert_int_equal(stats.queries_in_flight, dns->backend->count);
    } while (answer_one());
    assert_int_equal(stats.lookups + stats.queries_waiting, 0);
    assert_int_equal(arrivals, DOMAINS);
    dns_route_put(&arrived);
    close_dns();
}

static void destroyed_with_queries_in_flight(void **state)
{
    (void)state;
    struct dns_options few = options();
    struct dns_request requests[20] = {0};
    char name[32];
    few.queries_max = 4;
    open_with(few, usual_zone);
    arrivals = 0;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        requests[i].on_route = on_route;
        assert_null(dns_route_get(dns, DNS_BY_MX, bytes_of(name), &requests[i]));
    }
    answer_one();
    answer_one();
    close_dns();
    assert_int_equal(arrivals, 0);
    for (int i = 0; i < 20; i++)
        dns_request_cancel(&requests[i]);
}

static void new_options_while_queries_are_in_flight(void **state)
{
    (void)state;
    char why[100];
    struct dns_options few = options(), other = options();
    struct dns_request requests[20] = {0};
    char name[32];
    static const struct bytes new_names[1];
    few.queries_max = 4;
    other.queries_max = 6;
    other.names = new_names;
    other.name_count = 0;
    open_with(few, usual_zone);
    arrivals = 0;
    assert_status("lone.x", DNS_OK);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "d%d.x", i);
        requests[i].on_route = on_route;
        assert_null(dns_route_get(dns, DNS_BY_MX, bytes_of(name), &requests[i]));
    }
    answer_one();
    refuse_backend = true;
    assert_false(dns_configure(dns, &other, why, sizeof(why)));
    assert_string_equal(why, "no backend today");
    assert_ptr_equal(dns->options.names, new_names); /* the old ones may be gone by now */
    refuse_backend = false;
    assert_true(dns_configure(dns, &other, why, sizeof(why)));
    assert_int_equal(dns->backend->count, 6);
    answer_all();
    assert_int_equal(arrivals, 21);
    const uint32_t asked = questions;
    assert_status("lone.x", DNS_OK);
    assert_true(questions > asked);
    dns_route_put(&arrived);
    close_dns();
}

/* A callback may ask again, also for what is just being told. */
static struct dns_request again;

static void on_route_ask_again(struct dns_request *request, struct dns_route *route)
{
    (void)request;
    arrivals += 1;
    struct dns_route *same = dns_route_get(dns, DNS_BY_MX, dns_route_domain(route), &again);
    assert_ptr_equal(same, route);
    dns_route_put(&same);
    dns_route_put(&route);
    again.on_route = on_route;
    assert_null(dns_route_get(dns, DNS_BY_MX, BYTES("lone.x"), &again));
}

static void callbacks_may_ask(void **state)
{
    (void)state;
    struct dns_request first = {.on_route = on_route_ask_again};
    open_dns(usual_zone);
    arrivals = 0;
    assert_null(dns_route_get(dns, DNS_BY_MX, BYTES("no.x"), &first));
    answer_all();
    assert_int_equal(arrivals, 2);
    assert_bytes(dns_route_domain(arrived), "lone.x");
    dns_route_put(&arrived);
    close_dns();
}

static void a_silent_resolver_is_told_once(void **state)
{
    (void)state;
    static struct record silent[101];
    static char names[100][16];
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], 16, "s%d.x", i);
        silent[i] = (struct record){names[i], DNS_TYPE_MX, NULL, 0, DNS_ERROR_TIMEOUT};
    }
    open_dns(silent);
    for (int i = 0; i < 100; i++)
        assert_status(names[i], DNS_TEMPFAIL);
    assert_status("other.x", DNS_NO_ADDRESS);
    assert_int_equal(metrics.counters[METRICS_DNS_FAILURES], 100);
    struct event_buffer *buffer = event_take(&events, EVENT_LOG, true);
    assert_non_null(buffer);
    unsigned warnings = 0;
    for (const char *at = buffer->data; (at = strstr(at, " warning dns: no answer")) != NULL; at++)
        warnings += 1;
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(buffer->data, " info dns: the name servers answer again"));
    event_return(&events, buffer);
    close_dns();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_query_however_many_ask),
        cmocka_unit_test(answers_hold_as_long_as_they_say),
        cmocka_unit_test(partial_failures_are_tried_again),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(what_is_used_stays),
        cmocka_unit_test(a_route_is_small),
        cmocka_unit_test(queries_in_flight_are_bounded),
        cmocka_unit_test(destroyed_with_queries_in_flight),
        cmocka_unit_test(new_options_while_queries_are_in_flight),
        cmocka_unit_test(callbacks_may_ask),
        cmocka_unit_test(a_silent_resolver_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
