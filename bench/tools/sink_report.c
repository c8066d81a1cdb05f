/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_report - what ringpost-sink received: counters, the record of messages, the JSON summary
 */
#include "sink.h"

#include <errno.h>
#include <string.h>

void sink_report_open(struct sink *sink)
{
    if (sink->options.record == NULL) return;
    sink->record = fopen(sink->options.record, "we");
    if (sink->record == NULL) tool_die("%s: %s", sink->options.record, strerror(errno));
}

void sink_report_message(struct sink *sink, struct sink_session *session)
{
    struct sink_stats *stats = &sink->stats;
    stats->messages += 1;
    stats->recipients += session->recipients;
    stats->bytes += session->content_size;
    if (stats->first_ns == 0) stats->first_ns = sink->now_ns;
    stats->last_ns = sink->now_ns;

    struct sink_bench_fields fields;
    sink_content_fields(session, &fields);
    stats->dkim_signed += fields.is_signed;
    if (fields.time_ns != 0 || sink->record != NULL) sink->wall_ns = tool_wall_ns();
    if (fields.time_ns != 0) {
        /* two machines' clocks may disagree: a message from the future counts as 0 */
        const uint64_t took = sink->wall_ns > fields.time_ns ? sink->wall_ns - fields.time_ns : 0;
        tool_histogram_add(&stats->latency, took / 1000);
    }
    if (sink->record != NULL) {
        fprintf(sink->record, "%s\t%llu\t%llu\t%s\t%.*s\n", fields.id[0] != 0 ? fields.id : "-",
                (unsigned long long)sink->wall_ns, (unsigned long long)session->content_size,
                session->sender, (int)session->envelope_used, session->envelope);
    }
}

void sink_report_summary(struct sink *sink)
{
    const struct sink_stats *stats = &sink->stats;
    const double seconds = (double)(stats->last_ns - stats->first_ns) / (double)TOOL_NS_PER_S;
    printf("{\"messages\": %llu, \"recipients\": %llu, \"bytes\": %llu, \"dkim_signed\": %llu, "
           "\"transactions\": %llu, ",
           (unsigned long long)stats->messages, (unsigned long long)stats->recipients,
           (unsigned long long)stats->bytes, (unsigned long long)stats->dkim_signed,
           (unsigned long long)stats->transactions);
    printf("\"connections\": %llu, \"connections_peak\": %llu, \"refused\": {",
           (unsigned long long)stats->connections, (unsigned long long)stats->connections_peak);
    for (unsigned i = 0; i < SINK_STAGE_COUNT; i++) {
        printf("%s\"%s\": %llu", i == 0 ? "" : ", ", sink_stage_name((enum sink_stage)i),
               (unsigned long long)stats->refused[i]);
    }
    printf("}, \"dropped\": %llu, \"syntax_errors\": %llu, \"timeouts\": %llu, ",
           (unsigned long long)stats->dropped, (unsigned long long)stats->syntax_errors,
           (unsigned long long)stats->timeouts);
    printf("\"seconds\": %.6f, \"rate\": %.1f, \"first_ns\": %llu, \"last_ns\": %llu, ", seconds,
           seconds > 0 ? (double)stats->messages / seconds : 0.0,
           (unsigned long long)stats->first_ns, (unsigned long long)stats->last_ns);
    if (sink->tls != NULL) {
        tool_tls_json(stdout, sink->tls);
        printf(", ");
    }
    tool_histogram_json(stdout, "latency_ms", &stats->latency);
    printf(", ");
    tool_cpu_json(stdout);
    printf("}\n");
    fflush(stdout);
    if (sink->record != NULL && fflush(sink->record) != 0) {
        tool_die("%s: %s", sink->options.record, strerror(errno));
    }
}
