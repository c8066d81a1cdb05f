/* SPDX-License-Identifier: Apache-2.0
 *
 * stats - the counters of all workers as one JSON object
 */
#include "serve.h"
#include <jansson.h>

static uint64_t observations(const struct metrics *sum, enum metrics_histogram id)
{
    uint64_t count = 0;
    for (unsigned bucket = 0; bucket < METRICS_BUCKETS; bucket++)
        count += sum->buckets[id][bucket];
    return count;
}

json_t *stats_object(const struct metrics *sum)
{
    json_t *object = json_object();
    for (unsigned id = 0; id < METRICS_COUNTER_COUNT; id++) {
        json_object_set_new(object, metrics_counter_name((enum metrics_counter)id),
                            json_integer((json_int_t)sum->counters[id]));
    }
    for (unsigned id = 0; id < METRICS_GAUGE_COUNT; id++) {
        json_object_set_new(object, metrics_gauge_name((enum metrics_gauge)id),
                            json_integer((json_int_t)sum->gauges[id]));
    }
    for (unsigned i = 0; i < METRICS_HISTOGRAM_COUNT; i++) {
        const enum metrics_histogram id = (enum metrics_histogram)i;
        json_t *histogram = json_object();
        json_object_set_new(histogram, "count", json_integer((json_int_t)observations(sum, id)));
        json_object_set_new(histogram, "sum", json_integer((json_int_t)sum->sums[id]));
        json_object_set_new(histogram, "p50",
                            json_integer((json_int_t)metrics_percentile(sum, id, 0.5)));
        json_object_set_new(histogram, "p90",
                            json_integer((json_int_t)metrics_percentile(sum, id, 0.9)));
        json_object_set_new(histogram, "p99",
                            json_integer((json_int_t)metrics_percentile(sum, id, 0.99)));
        json_object_set_new(object, metrics_histogram_name(id), histogram);
    }
    return object;
}
