/* SPDX-License-Identifier: Apache-2.0
 *
 * sink - the parts of ringpost-sink and what they share
 *
 *   sink.c          options, main
 *   sink_engine.c   sockets and time: bytes in, replies out when they are due
 *   sink_session.c  the commands of one connection
 *   sink_content.c  the content of one message: its end, its bench header fields
 *   sink_rules.c    refusals and the announced extensions
 *   sink_report.c   counters, record, summary
 *   sink_tls.c      TLS of a session
 *
 * One thread, one ring. A session belongs to the engine; session and content code is pure: bytes
 * and the time in, replies (text and the time it is due) out.
 */
#pragma once

#include "tool.h"
#include "tool_tls.h"

#define SINK_LINE_MAX   4096 /* longest command, far above RFC 5321's 512 for long parameters */
#define SINK_HEAD_MAX   4096 /* how much of a message's header is searched for the bench fields */
#define SINK_ID_MAX     64
#define SINK_RULES_MAX  32
#define SINK_OUT_LIMIT  (256u * 1024) /* unsent replies at which a session is read no further */
#define SINK_RECV_SIZE  (64u * 1024)
#define SINK_RECV_COUNT 64u
#define SINK_NEVER      UINT64_MAX

enum sink_extension {
    SINK_PIPELINING = 1u << 0,
    SINK_CHUNKING = 1u << 1,
    SINK_8BITMIME = 1u << 2,
    SINK_SMTPUTF8 = 1u << 3,
    SINK_SIZE = 1u << 4,
    SINK_DSN = 1u << 5,
    SINK_ENHANCED = 1u << 6,
};

enum sink_tls { SINK_TLS_NONE = 0, SINK_TLS_STARTTLS, SINK_TLS_ON_CONNECT };

enum sink_stage { SINK_CONNECT = 0, SINK_MAIL, SINK_RCPT, SINK_DATA, SINK_DOT, SINK_STAGE_COUNT };

struct sink_rule {
    enum sink_stage stage;
    unsigned code; /* 0: drop the connection without a word */
    unsigned percent;
    const char *pattern; /* fnmatch on the stage's subject; NULL: all */
};

struct sink_options {
    struct tool_address listen;
    const char *hostname;
    unsigned extensions;
    struct sink_rule rules[SINK_RULES_MAX];
    unsigned rule_count;
    uint64_t seed;
    uint64_t reply_delay_ns;
    uint64_t dot_delay_ns;
    uint64_t interval_ns; /* between two messages, over all connections; 0: unthrottled */
    uint64_t rcpt_limit;  /* a transaction; 0: none */
    uint64_t connection_limit;
    uint64_t close_after;
    uint64_t size_limit;
    uint64_t count;
    uint64_t linger_ns;
    uint64_t idle_ns;
    uint64_t run_ns;
    const char *record;
    enum sink_tls tls;
    const char *tls_certificate;
    const char *tls_key;
    int tls_version;
    bool tls_no_reuse;
};

struct sink_stats {
    uint64_t messages;
    uint64_t recipients;
    uint64_t bytes;
    uint64_t dkim_signed;
    uint64_t transactions;
    uint64_t connections;
    uint64_t connections_open;
    uint64_t connections_peak;
    uint64_t refused[SINK_STAGE_COUNT];
    uint64_t dropped;
    uint64_t syntax_errors;
    uint64_t timeouts;
    uint64_t first_ns;
    uint64_t last_ns;
    struct tool_histogram latency;
};

enum sink_state {
    SINK_COMMAND = 0,
    SINK_CONTENT_DATA, /* until CRLF.CRLF */
    SINK_CONTENT_BDAT, /* until content_left is 0 */
    SINK_STARTTLS,     /* until the handshake is done */
    SINK_CLOSING,      /* replies still leave, what comes in is dropped */
    SINK_DROPPED,      /* nothing leaves any more */
};

struct sink_due {
    uint64_t at_ns;
    size_t end; /* offset in out up to which bytes may leave at at_ns */
};

struct sink_session {
    struct tool_link link; /* engine's list by last activity; first, so that a link is a session */
    int fd;
    enum sink_state state;
    uint64_t active_ns;

    /* the transaction */
    bool greeted;
    bool has_sender;
    bool chunked;   /* a BDAT came: DATA is no longer legal */
    bool chunk_bad; /* a BDAT failed: RFC 3030 section 2 lets only RSET mend that */
    bool chunk_last;
    bool chunk_swallow;
    bool ended;          /* the client sends no more */
    unsigned chunk_code; /* the answer to a chunk that was swallowed */
    uint32_t recipients;
    uint32_t connection_messages;
    uint64_t content_left;
    uint64_t content_size;
    uint32_t match; /* octets of CRLF.CRLF seen */
    size_t head_used;
    bool head_done;

    /* replies: gathered in out, leaving from sending */
    char *out;
    size_t out_used;
    size_t out_size;
    char *sending;
    size_t sending_used;
    size_t sending_done;
    size_t sending_size;
    struct sink_due *due; /* only with delays: in order of time and offset */
    size_t due_used;
    size_t due_size;
    uint64_t ready_ns; /* the last queued reply leaves then, later ones after it */
    size_t heap_index; /* 1-based place among the sessions that wait for a due time; 0: none */

    /* operations in the ring: the session is freed at zero */
    unsigned in_flight;
    bool recv_armed;
    bool send_armed;
    bool is_shut;

    struct tool_tls *tls; /* NULL: in clear */
    size_t out_clear;     /* octets of out that leave in clear even so */
    bool tls_notified;    /* our close_notify has been written */

    char *envelope; /* with --record: recipients, comma separated */
    size_t envelope_used;
    size_t envelope_size;
    size_t line_used;
    char sender[512];
    char line[SINK_LINE_MAX];
    char head[SINK_HEAD_MAX];
};

struct sink {
    struct sink_options options;
    struct sink_stats stats;
    uint64_t now_ns;  /* of this turn */
    uint64_t wall_ns; /* of this turn, read when a message needs it */
    uint64_t throttle_ns;
    uint64_t random;
    FILE *record;
    struct tool_tls_context *tls; /* NULL: not offered */
};

/* sink_session.c */
void sink_session_start(struct sink *sink, struct sink_session *session);
void sink_session_input(struct sink *sink, struct sink_session *session, const char *data,
                        size_t length);
/* A reply that leaves after the configured delays; code is the class of the enhanced one too. */
void sink_reply(struct sink *sink, struct sink_session *session, unsigned code,
                const char *enhanced, const char *text);
void sink_session_drop(struct sink_session *session);
/* The last octet of a message is in: count it and answer. */
void sink_message_end(struct sink *sink, struct sink_session *session);
void sink_transaction_reset(struct sink_session *session);

/* sink_content.c: both return how many octets of data belonged to the content */
void sink_content_start(struct sink_session *session);
size_t sink_content_data(struct sink *sink, struct sink_session *session, const char *data,
                         size_t length);
size_t sink_content_bdat(struct sink_session *session, const char *data, size_t length);
struct sink_bench_fields {
    char id[SINK_ID_MAX];
    uint64_t time_ns; /* 0: the message has none */
    bool is_signed;   /* a DKIM-Signature stands above these */
};
void sink_content_fields(const struct sink_session *session, struct sink_bench_fields *fields);

/* sink_rules.c */
void sink_rule_parse(struct sink_options *options, const char *text);
/* The rule that refuses subject at this stage, or NULL; percentages draw from sink's generator. */
const struct sink_rule *sink_rule_find(struct sink *sink, enum sink_stage stage,
                                       const char *subject);
const char *sink_stage_name(enum sink_stage stage);

/* sink_tls.c */
void sink_tls_open(struct sink *sink);
/* From here on the session reads and writes ciphertext; replies in out are not meant by that. */
void sink_tls_start(struct sink *sink, struct sink_session *session);
bool sink_tls_may_send(const struct sink_session *session); /* false: a handshake runs */
void sink_tls_input(struct sink *sink, struct sink_session *session, const char *data,
                    size_t length);
/* Encrypts that many octets of out; true: there is something in sending now. */
bool sink_tls_output(struct sink_session *session, size_t octets);

/* sink_report.c */
void sink_report_open(struct sink *sink);
void sink_report_message(struct sink *sink, struct sink_session *session);
void sink_report_summary(struct sink *sink);

/* sink_engine.c */
void sink_engine_run(struct sink *sink);
