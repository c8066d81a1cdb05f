/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - counters and histograms in one table, a copy a core, summed when read
 *
 * A histogram has four buckets to each power of two, exact below 8: its index is found with one
 * count of leading zeros, and a percentile is at most a quarter too high.
 */
#include "ringpost/metrics.h"

enum { STEPS = 4, STEP_BITS = 2 };

static uint32_t bucket_of(uint64_t value)
{
    if (value < STEPS) return (uint32_t)value;
    const uint32_t exponent = 63 - (uint32_t)__builtin_clzll(value);
    const uint32_t step = (uint32_t)(value >> (exponent - STEP_BITS)) & (STEPS - 1);
    return MIN((exponent - 1) * STEPS + step, METRICS_BUCKETS - 1u);
}

/* The largest value that bucket_of() puts there. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < STEPS) return bucket;
    const uint32_t exponent = bucket / STEPS + 1;
    return ((uint64_t)(STEPS + bucket % STEPS + 1) << (exponent - STEP_BITS)) - 1;
}

static void add(uint64_t *cell, uint64_t n)
{
    __atomic_store_n(cell, *cell + n, __ATOMIC_RELAXED);
}

void metrics_observe(struct metrics *metrics, enum metrics_histogram id, uint64_t value_us)
{
    add(&metrics->buckets[id][bucket_of(value_us)], 1);
    add(&metrics->sums[id], value_us);
}

void metrics_collect(struct metrics *sum, const struct metrics *from)
{
    for (size_t i = 0; i < METRICS_COUNTER_COUNT; i++) {
        sum->counters[i] += __atomic_load_n(&from->counters[i], __ATOMIC_RELAXED);
    }
    for (size_t i = 0; i < METRICS_GAUGE_COUNT; i++) {
        sum->gauges[i] += __atomic_load_n(&from->gauges[i], __ATOMIC_RELAXED);
    }
    for (size_t i = 0; i < METRICS_HISTOGRAM_COUNT; i++) {
        sum->sums[i] += __atomic_load_n(&from->sums[i], __ATOMIC_RELAXED);
        for (size_t k = 0; k < METRICS_BUCKETS; k++) {
            sum->buckets[i][k] += __atomic_load_n(&from->buckets[i][k], __ATOMIC_RELAXED);
        }
    }
}

uint64_t metrics_count(const struct metrics *sum, enum metrics_histogram id)
{
    uint64_t count = 0;
    for (size_t k = 0; k < METRICS_BUCKETS; k++) {
        count += sum->buckets[id][k];
    }
    return count;
}

uint64_t metrics_percentile(const struct metrics *sum, enum metrics_histogram id, double share)
{
    ASSERT(share >= 0.0 && share <= 1.0);
    const uint64_t count = metrics_count(sum, id);
    const double wanted = share * (double)count;
    uint64_t seen = 0;
    for (uint32_t k = 0; k < METRICS_BUCKETS; k++) {
        seen += sum->buckets[id][k];
        if (seen > 0 && (double)seen >= wanted) return bucket_end(k);
    }
    return 0; /* nothing was observed */
}

#define NAME(id, name, help) name,

const char *metrics_counter_name(enum metrics_counter id)
{
    static const char *const names[] = {METRICS_COUNTERS(NAME)};
    ASSERT(id < METRICS_COUNTER_COUNT);
    return names[id];
}

const char *metrics_gauge_name(enum metrics_gauge id)
{
    static const char *const names[] = {METRICS_GAUGES(NAME)};
    ASSERT(id < METRICS_GAUGE_COUNT);
    return names[id];
}

const char *metrics_histogram_name(enum metrics_histogram id)
{
    static const char *const names[] = {METRICS_HISTOGRAMS(NAME)};
    ASSERT(id < METRICS_HISTOGRAM_COUNT);
    return names[id];
}
