/* SPDX-License-Identifier: Apache-2.0
 *
 * event - what happened: the log for people, the account for programs
 *
 * Job     turns events into lines in buffers. Whoever owns files takes full buffers away and
 *         brings empty ones back; a sink without room drops lines and counts them: losing the
 *         log's disk never stops mail.
 * Owner   one sink a worker; no call blocks, none allocates beyond the sink's limit.
 * Format  log: "2026-01-31T12:00:00.123Z info deliver: text\n", control characters replaced.
 *         account: one JSON object a line (names as in KumoMTA's log records where one exists),
 *         always valid JSON and valid UTF-8 whatever the peers sent; times are seconds since 1970.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/inbox.h"

enum event_level { EVENT_ERROR = 0, EVENT_WARNING, EVENT_INFO, EVENT_DEBUG };
enum event_stream { EVENT_LOG = 0, EVENT_ACCOUNT, EVENT_STREAM_COUNT };
enum { EVENT_BUFFER_SIZE = 64 * 1024, EVENT_LINE_MAX = 8 * 1024 };

struct event_buffer {
    struct inbox_node node; /* travels to the writer and back */
    struct event_sink *sink;
    uint8_t stream; /* enum event_stream */
    uint16_t lines;
    uint32_t len;
    char data[EVENT_BUFFER_SIZE];
};
struct event_options {
    uint8_t level;        /* enum event_level: what the log keeps */
    bool account;         /* off: no account records */
    uint32_t buffers_max; /* for each stream; default 64 (4 MiB) */
};
struct event_sink {
    struct event_options options;
    wall_ms now; /* set once a turn: event_set_time() */
    struct event_stream_state {
        struct event_buffer *filling; /* may be NULL */
        struct inbox_node *full_newest, *full_oldest, *spare;
        uint32_t buffers;   /* in existence */
        uint64_t lost;      /* lines */
        uint64_t lost_told; /* of these, how many the log has mentioned */
    } streams[EVENT_STREAM_COUNT];
};
void event_sink_init(struct event_sink *sink, const struct event_options *options);
/* All buffers that were taken are back, or were freed by who took them (ASSERT). */
void event_sink_deinit(struct event_sink *sink);
void event_set_options(struct event_sink *sink, const struct event_options *options); /* reload */
static inline void event_set_time(struct event_sink *sink, wall_ms now)
{
    sink->now = now;
}

/* module: "deliver", "spool", ... Anything from outside goes in as %.*s and is cleaned. */
void event_log(struct event_sink *sink, enum event_level level, const char *module,
               const char *format, ...) PRINTF_LIKE(4, 5);

enum event_type {
    EVENT_RECEPTION = 0,
    EVENT_DELIVERY,
    EVENT_TRANSIENT_FAILURE,
    EVENT_BOUNCE,
    EVENT_EXPIRATION,
    EVENT_ADMIN_BOUNCE, /* deleted by the operator */
    EVENT_TYPE_COUNT,
};
/* One record. What is empty or zero and says nothing is left out; the sender never is (empty: the
 * null reverse-path). Overlong strings are cut so that every line fits EVENT_LINE_MAX. */
struct event_record {
    uint8_t type; /* enum event_type */
    uint64_t id;
    struct bytes sender, recipient;
    struct bytes queue; /* domain of the recipient (the scheduled queue) */
    struct bytes site;
    struct bytes egress_source;
    struct bytes peer_name;     /* MX host */
    const struct address *peer; /* NULL when there was none */
    struct bytes reception_protocol, delivery_protocol;
    struct bytes session_id;
    struct bytes authn_id; /* who the injector proved to be (RFC 4954) */
    /* Of the connection, when it was encrypted: "TLSv1.3", the cipher's name, and the peer's name
     * as its certificate has it, which tls_verified says whether to believe. */
    struct bytes tls_version, tls_cipher, tls_peer_name;
    bool tls_verified;
    uint64_t size;
    uint16_t code; /* of the response; 0 = no response */
    uint8_t enhanced_class;
    uint16_t enhanced_subject, enhanced_detail;
    struct bytes content; /* text of the response, or our own words */
    wall_ms created;
    uint16_t num_attempts;
    /* Milliseconds, -1 = left out. */
    int64_t queued_ms, dns_ms, connect_ms, transaction_ms;
};
void event_account(struct event_sink *sink, const struct event_record *record);

/* Chains of full buffers (oldest first, linked by node.next), NULL if none. With partly = true
 * the one being filled comes too (a flush by time). They come back with event_return(). */
struct event_buffer *event_take(struct event_sink *sink, enum event_stream stream, bool partly);
void event_return(struct event_sink *sink, struct event_buffer *buffer);

/* Lines lost since the start (enum event_stream), for the metrics. */
static inline uint64_t event_lost(const struct event_sink *sink, enum event_stream stream)
{
    return sink->streams[stream].lost;
}

/* "2026-01-31T12:00:00.123Z" (RFC 3339), years 1970 to 9999; out has EVENT_TIME_TEXT_MAX octets. */
enum { EVENT_TIME_TEXT_MAX = 32 };
const char *event_time_print(wall_ms when, char *out);

/* Queue ids are printed the same everywhere: 13 characters of base32 (RFC 4648 "hex", lower case),
 * most significant first, so that their order as text is their order as numbers.
 */
enum { EVENT_ID_TEXT_MAX = 16 };
const char *event_id_print(uint64_t id, char *out);
MUST_USE bool event_id_parse(struct bytes text, uint64_t *id);
