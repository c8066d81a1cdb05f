/* SPDX-License-Identifier: Apache-2.0
 *
 * test_policy - pauses, rates and the count of connections; which settings apply
 */
#include "fixture.h"

static struct queue_site_options options;
static struct random rnd;

static int setup(void **state)
{
    (void)state;
    queue_site_options_default(&options);
    random_init(&rnd, 1);
    return 0;
}

static void retry_is_never_early_and_last_pause_stays(void **state)
{
    (void)state;
    for (uint32_t attempts = 1; attempts < 100; attempts++) {
        const uint32_t expected = options.retry_s[MIN(attempts, options.retry_count) - 1];
        for (int i = 0; i < 100; i++) {
            const duration pause = queue_retry_pause(&options, attempts, &rnd);
            assert_true(pause >= DURATION_S(expected));
            assert_true(pause <= DURATION_S(expected) * 11 / 10);
        }
    }
}

static void host_pause_doubles_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(queue_host_pause(&options, 1), DURATION_S(60));
    assert_int_equal(queue_host_pause(&options, 2), DURATION_S(120));
    assert_int_equal(queue_host_pause(&options, 50), DURATION_S(3600));
    /* Never longer than messages wait: a short schedule means short pauses. */
    options.retry_s[0] = 2;
    options.retry_s[1] = 5;
    options.retry_count = 2;
    assert_int_equal(queue_host_pause(&options, 1), DURATION_S(2));
    assert_int_equal(queue_host_pause(&options, 2), DURATION_S(4));
    assert_int_equal(queue_host_pause(&options, 3), DURATION_S(5));
    assert_int_equal(queue_host_pause(&options, 4000000000u), DURATION_S(5));
}

/* Over any span: at most T / interval + burst. Checked for every pair of sends. */
static void rate_is_exact(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < 40; run++) {
        static instant sent[2000];
        struct queue_rate rate = {0};
        instant now = DURATION_S(5);
        options.message_interval = 1 + random_below(&rnd, DURATION_MS(50));
        options.message_burst = 1 + (uint32_t)random_below(&rnd, 5);
        uint32_t count = 0;
        const instant begin = now;
        while (count < ARRAY_COUNT(sent)) {
            const instant at = queue_rate_at(&rate, &options, now);
            assert_true(at >= now);
            if (at > now) {
                /* Told when to come: then it is allowed, and not a moment before. */
                assert_true(queue_rate_at(&rate, &options, at - 1) > at - 1);
                assert_int_equal(queue_rate_at(&rate, &options, at), at);
                now = random_below(&rnd, 4) ? at : at + random_below(&rnd, DURATION_MS(200));
                continue;
            }
            queue_rate_take(&rate, &options, now);
            sent[count++] = now;
        }
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t end = MIN(i + 64, count);
            for (uint32_t k = i; k < end; k++) {
                const uint64_t most =
                    (sent[k] - sent[i]) / options.message_interval + options.message_burst;
                assert_true(k - i + 1 <= most);
            }
        }
        (void)begin;
    }
    /* A steady sender reaches the rate to the message. */
    struct queue_rate rate = {0};
    options.message_interval = DURATION_S(1) / 3;
    options.message_burst = 1;
    uint32_t count = 0;
    for (instant now = 0; now < DURATION_S(100); now = queue_rate_at(&rate, &options, now)) {
        queue_rate_take(&rate, &options, now);
        count += 1;
    }
    assert_in_range(count, 300, 301);
}

static void connections_follow_the_backlog(void **state)
{
    (void)state;
    struct queue_load load = {.waiting = 1, .connections_max = 20};
    assert_int_equal(queue_connections_wanted(&load), 1); /* the first */
    load.opening = 1;
    load.waiting = 1000;
    assert_int_equal(queue_connections_wanted(&load), 0); /* wait what it says */
    load.opening = 0;
    load.open = 1;
    load.in_flight = 2;
    load.transaction_us = 200; /* 1000 * 200 / 2 = 100 ms of backlog */
    assert_int_equal(queue_connections_wanted(&load), 1);
    load.open = 8;
    load.in_flight = 8;
    load.transaction_us = 100000;
    assert_int_equal(queue_connections_wanted(&load), 8); /* doubles */
    load.open = 16;
    assert_int_equal(queue_connections_wanted(&load), 4); /* up to the limit */
    load.open = 2;
    load.in_flight = 2;
    load.transaction_us = 200;
    load.waiting = 20; /* 2 ms: not worth it */
    assert_int_equal(queue_connections_wanted(&load), 0);
    for (int i = 0; i < 10000; i++) {
        const struct queue_load any = {
            .waiting = (uint32_t)random_below(&rnd, 5000),
            .open = (uint32_t)random_below(&rnd, 30),
            .opening = (uint32_t)random_below(&rnd, 5),
            .in_flight = (uint32_t)random_below(&rnd, 200),
            .transaction_us = (uint32_t)random_below(&rnd, UINT32_MAX),
            .connections_max = 1 + (uint32_t)random_below(&rnd, 30),
        };
        const uint32_t wanted = queue_connections_wanted(&any);
        if (wanted == 0) continue;
        assert_true(any.waiting > 0);
        assert_true(any.open + any.opening + wanted <= any.connections_max);
    }
}

static void settings_by_domain_site_host(void **state)
{
    (void)state;
    struct queue_site sites[3] = {
        {.name = "google.com"}, {.name = "mx.example.org"}, {.name = "shop.example"}};
    struct queue_route routes[2] = {{.domain = "*", .hop_count = 1},
                                    {.domain = "local.example", .hop_count = 1}};
    struct queue_options all;
    queue_options_default(&all);
    all.sites = sites;
    all.site_count = 3;
    struct bytes profile;
    assert_ptr_equal(&sites[0].options,
                     queue_options_site(&all, BYTES("a.example"), BYTES("(a|b).l.google.com"),
                                        BYTES("aspmx.l.google.com"), &profile));
    assert_string_equal(profile.data, "google.com");
    assert_ptr_equal(&all.defaults, queue_options_site(&all, BYTES("a.example"), BYTES("x"),
                                                       BYTES("notgoogle.com"), &profile));
    assert_int_equal(profile.len, 0);
    assert_ptr_equal(&sites[2].options,
                     queue_options_site(&all, BYTES("Shop.Example"), BYTES("mx.example.org"),
                                        BYTES("mx.example.org"), &profile));
    assert_ptr_equal(&sites[1].options,
                     queue_options_site(&all, BYTES("b.example"), BYTES("mx.example.org"),
                                        BYTES("aspmx.l.google.com"), &profile));
    assert_null(queue_options_route(&all, BYTES("a.example")));
    all.routes = routes;
    all.route_count = 2;
    assert_ptr_equal(&routes[0], queue_options_route(&all, BYTES("a.example")));
    assert_ptr_equal(&routes[1], queue_options_route(&all, BYTES("local.example")));
    assert_string_equal(queue_options_source(&all, 7)->name, "default");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(retry_is_never_early_and_last_pause_stays, setup),
        cmocka_unit_test_setup(host_pause_doubles_within_bounds, setup),
        cmocka_unit_test_setup(rate_is_exact, setup),
        cmocka_unit_test_setup(connections_follow_the_backlog, setup),
        cmocka_unit_test_setup(settings_by_domain_site_host, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
