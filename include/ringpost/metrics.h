/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - counters and histograms in one table, a copy a core, summed when read
 *
 * A worker adds to its own copy without any atomic read-modify-write; readers on other cores see
 * whole 64-bit values, a moment old. The table below is the only list: names in `ringpost stats`,
 * the help texts and the storage come from it.
 */
#pragma once
#include "ringpost/base.h"

/* id, name, help */
#define METRICS_COUNTERS(X)                                                                        \
    X(CONNECTIONS_IN, "connections_in", "injection connections accepted")                          \
    X(CONNECTIONS_IN_REFUSED, "connections_in_refused", "refused at a connection limit")           \
    X(AUTH_ACCEPTED, "auth_accepted", "clients that have proved who they are (AUTH)")              \
    X(AUTH_CACHED, "auth_cached", "of these, by a password that was right lately")                 \
    X(AUTH_HASHED, "auth_hashed", "passwords hashed by the background threads")                    \
    X(AUTH_FAILED, "auth_failed", "AUTH with wrong credentials")                                   \
    X(AUTH_LIMITED, "auth_limited", "AUTH not looked at: after too many failures, or too busy")    \
    X(MESSAGES_RECEIVED, "messages_received", "messages answered 250")                             \
    X(RECIPIENTS_RECEIVED, "recipients_received", "recipients of messages answered 250")           \
    X(BYTES_RECEIVED, "bytes_received", "content octets of messages answered 250")                 \
    X(MESSAGES_REFUSED, "messages_refused", "messages answered 4xx or 5xx after their data")       \
    X(DKIM_SIGNATURES, "dkim_signatures", "DKIM signatures on messages received")                  \
    X(DKIM_UNSIGNED, "dkim_unsigned", "messages that could not be signed")                         \
    X(DKIM_LENT, "dkim_lent", "messages whose signatures another worker made")                     \
    X(TLS_IN, "tls_in", "TLS handshakes with injectors")                                           \
    X(TLS_IN_RESUMED, "tls_in_resumed", "of these, with a session of an earlier connection")       \
    X(TLS_IN_FAILED, "tls_in_failed", "TLS handshakes with injectors that failed")                 \
    X(CONNECTIONS_OUT, "connections_out", "delivery connections opened")                           \
    X(CONNECTIONS_OUT_FAILED, "connections_out_failed", "delivery connections that failed")        \
    X(TLS_OUT, "tls_out", "TLS handshakes with receivers that went well")                          \
    X(TLS_OUT_RESUMED, "tls_out_resumed", "of these, by a session of an earlier connection")       \
    X(TLS_OUT_FAILED, "tls_out_failed", "TLS handshakes with receivers that failed")               \
    X(TLS_OUT_CLEAR, "tls_out_clear", "receivers spoken to in clear since their TLS failed")       \
    X(TRANSACTIONS_OUT, "transactions_out", "mail transactions begun with receivers")              \
    X(CONVERTED, "converted", "transactions whose content was converted to 8-bit or 7-bit lines")  \
    X(DELIVERED, "delivered", "recipients accepted by a receiver")                                 \
    X(TRANSIENT_FAILURES, "transient_failures", "attempts of a recipient put off")                 \
    X(BOUNCED, "bounced", "recipients refused for good")                                           \
    X(EXPIRED, "expired", "recipients given up after their expiry")                                \
    X(DSN_SENT, "dsn_sent", "delivery status notifications queued")                                \
    X(POSSIBLY_DOUBLED, "possibly_doubled", "repeated after a connection lost behind the dot")     \
    X(DNS_QUERIES, "dns_queries", "queries sent to the resolver")                                  \
    X(DNS_CACHE_HITS, "dns_cache_hits", "answers from the cache")                                  \
    X(DNS_FAILURES, "dns_failures", "lookups that failed for now")                                 \
    X(SPOOL_COMMITS, "spool_commits", "durable writes of the log (each one is a sync)")            \
    X(SPOOL_BYTES, "spool_bytes", "octets written to the log")                                     \
    X(SPOOL_COMPACTED, "spool_compacted", "messages moved by compaction")                          \
    X(SPOOL_READ_BACK, "spool_read_back", "messages read back from disk")                          \
    X(SPOOL_ERRORS, "spool_errors", "failed writes or reads of the log")                           \
    X(INBOX_MESSAGES, "inbox_messages", "messages between cores")                                  \
    X(WAKES, "wakes", "sleeping workers woken by another")                                         \
    X(TURNS, "turns", "turns of the workers' loops")                                               \
    X(LOG_LINES_LOST, "log_lines_lost", "log lines dropped because the file could not keep up")    \
    X(ACCOUNT_LINES_LOST, "account_lines_lost", "account records dropped for the same reason")

/* May go up and down; the sum over the cores is the value. */
#define METRICS_GAUGES(X)                                                                          \
    X(SESSIONS_IN, "sessions_in", "injection sessions open")                                       \
    X(SESSIONS_OUT, "sessions_out", "delivery connections open")                                   \
    X(QUEUE_MESSAGES, "queue_messages", "messages with recipients still queued")                   \
    X(QUEUE_RECIPIENTS, "queue_recipients", "recipients still queued")                             \
    X(QUEUE_INDEX_BYTES, "queue_index_bytes", "memory of the queue's index")                       \
    X(MESSAGE_BYTES, "message_bytes", "memory of message content")                                 \
    X(SPOOL_SEGMENTS, "spool_segments", "segments of the log, free ones included")                 \
    X(SPOOL_LIVE_BYTES, "spool_live_bytes", "octets of the log that are still needed")

/* Microseconds, in powers of two with 4 steps each; the last bucket (2.4 hours) takes the rest. */
#define METRICS_HISTOGRAMS(X)                                                                      \
    X(COMMIT_US, "commit_us", "durable write of the log")                                          \
    X(ACCEPT_US, "accept_us", "end of data to 250")                                                \
    X(DELIVERY_US, "delivery_us", "accepted to delivered, first attempt")                          \
    X(DNS_US, "dns_us", "lookups that asked the resolver")                                         \
    X(CONNECT_US, "connect_us", "delivery connections: TCP connect")

#define METRICS_ENUM(id, name, help) METRICS_##id,
enum metrics_counter { METRICS_COUNTERS(METRICS_ENUM) METRICS_COUNTER_COUNT };
enum metrics_gauge { METRICS_GAUGES(METRICS_ENUM) METRICS_GAUGE_COUNT };
enum metrics_histogram { METRICS_HISTOGRAMS(METRICS_ENUM) METRICS_HISTOGRAM_COUNT };
#undef METRICS_ENUM

enum { METRICS_BUCKETS = 128 };
struct metrics { /* one core's copy */
    _Alignas(64) uint64_t counters[METRICS_COUNTER_COUNT];
    int64_t gauges[METRICS_GAUGE_COUNT];
    uint64_t buckets[METRICS_HISTOGRAM_COUNT][METRICS_BUCKETS];
    uint64_t sums[METRICS_HISTOGRAM_COUNT];
};
static inline void metrics_add(struct metrics *metrics, enum metrics_counter id, uint64_t n)
{
    __atomic_store_n(&metrics->counters[id], metrics->counters[id] + n, __ATOMIC_RELAXED);
}
static inline void metrics_gauge(struct metrics *metrics, enum metrics_gauge id, int64_t change)
{
    __atomic_store_n(&metrics->gauges[id], metrics->gauges[id] + change, __ATOMIC_RELAXED);
}
void metrics_observe(struct metrics *metrics, enum metrics_histogram id, uint64_t value_us);
/* Adds from (another core's copy, live) to sum. */
void metrics_collect(struct metrics *sum, const struct metrics *from);
uint64_t metrics_count(const struct metrics *sum, enum metrics_histogram id); /* observations */
/* Upper bound in microseconds of the bucket where the given share (0..1) of observations lies;
 * 0 when there are none. */
uint64_t metrics_percentile(const struct metrics *sum, enum metrics_histogram id, double share);
const char *metrics_counter_name(enum metrics_counter id);
const char *metrics_gauge_name(enum metrics_gauge id);
const char *metrics_histogram_name(enum metrics_histogram id);
