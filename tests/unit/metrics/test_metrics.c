/* SPDX-License-Identifier: Apache-2.0
 *
 * test_metrics - sums over cores, buckets and percentiles
 */
#include "ringpost/metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static struct metrics one, two, sum;

static int clear(void **state)
{
    (void)state;
    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    memset(&sum, 0, sizeof(sum));
    return 0;
}

static void copies_are_summed(void **state)
{
    (void)state;
    metrics_add(&one, METRICS_DELIVERED, 3);
    metrics_add(&one, METRICS_DELIVERED, 1);
    metrics_add(&two, METRICS_DELIVERED, 5);
    metrics_gauge(&one, METRICS_SESSIONS_IN, 4);
    metrics_gauge(&two, METRICS_SESSIONS_IN, -6); /* ended on another core than it began */
    metrics_observe(&one, METRICS_COMMIT_US, 7);
    metrics_observe(&two, METRICS_COMMIT_US, 100);
    metrics_collect(&sum, &one);
    metrics_collect(&sum, &two);
    assert_int_equal(sum.counters[METRICS_DELIVERED], 9);
    assert_int_equal(sum.counters[METRICS_BOUNCED], 0);
    assert_int_equal(sum.gauges[METRICS_SESSIONS_IN], -2);
    assert_int_equal(sum.sums[METRICS_COMMIT_US], 107);
    assert_int_equal(metrics_count(&sum, METRICS_COMMIT_US), 2);
    assert_int_equal(metrics_count(&sum, METRICS_DNS_US), 0);
}

static uint64_t seen_as(uint64_t value)
{
    clear(NULL);
    metrics_observe(&one, METRICS_COMMIT_US, value);
    return metrics_percentile(&one, METRICS_COMMIT_US, 0.5);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 8; value++)
        assert_int_equal(seen_as(value), value);
}

static void a_bucket_ends_at_most_a_quarter_above(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 3);
    for (int i = 0; i < 20000; i++) {
        const uint64_t value = random_u64(&random) >> (31 + random_below(&random, 33));
        const uint64_t seen = seen_as(value);
        assert_true(seen >= value);
        assert_true(seen - value <= value / 4);
    }
}

static void buckets_never_go_backwards(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (uint64_t value = 0; value < 100000; value++) {
        const uint64_t seen = seen_as(value);
        assert_true(seen >= last);
        last = seen;
    }
}

static void the_largest_values_share_the_last_bucket(void **state)
{
    (void)state;
    assert_true(seen_as(UINT64_MAX) == (1ull << 33) - 1);
    assert_true(seen_as(1ull << 40) == (1ull << 33) - 1);
}

static void percentiles_split_the_observations(void **state)
{
    (void)state;
    assert_int_equal(metrics_percentile(&one, METRICS_DNS_US, 0.99), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        metrics_observe(&one, METRICS_DNS_US, i);
    assert_in_range(metrics_percentile(&one, METRICS_DNS_US, 0.5), 500, 640);
    assert_in_range(metrics_percentile(&one, METRICS_DNS_US, 0.99), 990, 1279);
    assert_int_equal(metrics_percentile(&one, METRICS_DNS_US, 0), 1);
    assert_in_range(metrics_percentile(&one, METRICS_DNS_US, 1), 1000, 1279);
}

static void names_are_there_and_differ(void **state)
{
    const char *names[METRICS_COUNTER_COUNT + METRICS_GAUGE_COUNT + METRICS_HISTOGRAM_COUNT];
    size_t count = 0;
    (void)state;
    for (int i = 0; i < METRICS_COUNTER_COUNT; i++)
        names[count++] = metrics_counter_name((enum metrics_counter)i);
    for (int i = 0; i < METRICS_GAUGE_COUNT; i++)
        names[count++] = metrics_gauge_name((enum metrics_gauge)i);
    for (int i = 0; i < METRICS_HISTOGRAM_COUNT; i++)
        names[count++] = metrics_histogram_name((enum metrics_histogram)i);
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(names[i]) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
    }
    assert_string_equal(metrics_counter_name(METRICS_DELIVERED), "delivered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(copies_are_summed, clear),
        cmocka_unit_test_setup(small_values_are_exact, clear),
        cmocka_unit_test_setup(a_bucket_ends_at_most_a_quarter_above, clear),
        cmocka_unit_test_setup(buckets_never_go_backwards, clear),
        cmocka_unit_test_setup(the_largest_values_share_the_last_bucket, clear),
        cmocka_unit_test_setup(percentiles_split_the_observations, clear),
        cmocka_unit_test(names_are_there_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
