/* SPDX-License-Identifier: Apache-2.0
 *
 * source - the parts of ringpost-source and what they share
 *
 *   source.c          options, main, summary
 *   source_engine.c   sockets and time: connects, sends, receives, paces
 *   source_session.c  one connection's SMTP: which reply belongs to what, what leaves next
 *   source_message.c  the text of messages, commands and addresses
 *   source_tls.c      TLS of a session
 *
 * One thread, one ring. A session's output is gathered into text and references to the one shared
 * body, so that no body is ever copied, and leaves in one sendmsg.
 */
#pragma once

#include "tool.h"
#include "tool_tls.h"

#include <sys/uio.h>

#define SOURCE_ADDRESS_MAX 320
#define SOURCE_IN_SIZE     8192 /* many replies of one pipelined batch; a line must fit */
#define SOURCE_LINE        78u  /* octets of a body line with its CRLF */
#define SOURCE_CODES       600

enum source_mode { SOURCE_LOCKSTEP = 0, SOURCE_PIPELINING, SOURCE_CHUNKING, SOURCE_CONNECT };

enum source_tls { SOURCE_TLS_NONE = 0, SOURCE_TLS_STARTTLS, SOURCE_TLS_ON_CONNECT };

struct source_options {
    struct tool_address target;
    enum source_mode mode;
    unsigned connections;
    uint64_t messages;
    size_t size;
    unsigned recipients;
    uint64_t domains;
    bool mixed; /* each recipient of a message in a domain of its own */
    const char *domain_pattern;
    const char *from;
    const char *to;
    const char *ehlo;
    const char *run;
    double rate;
    unsigned window;
    uint64_t per_connection;
    uint64_t timeout_ns;
    uint64_t run_ns;
    enum source_tls tls;
    const char *tls_name; /* SNI; NULL: none */
    int tls_version;
    bool tls_no_reuse;
    const char *auth; /* the whole AUTH PLAIN command; NULL: none */
};

struct source_stats {
    uint64_t sent; /* content has left */
    uint64_t accepted;
    uint64_t refused;
    uint64_t unanswered; /* the connection broke before the final reply */
    uint64_t recipients_accepted;
    uint64_t recipients_refused;
    uint64_t bytes;
    uint64_t connections;
    uint64_t connect_failed;
    uint64_t codes[SOURCE_CODES]; /* refusals by reply code, one a message */
    uint64_t first_ns;
    uint64_t last_ns;
    struct tool_histogram latency;
};

enum source_state {
    SOURCE_CONNECTING = 0,
    SOURCE_GREETING,
    SOURCE_HELLO,
    SOURCE_STARTTLS,
    SOURCE_HANDSHAKE,
    SOURCE_AUTH,
    SOURCE_READY,
    SOURCE_QUITTING,
    SOURCE_BROKEN, /* waits until nothing of it is in the ring, then connects again or ends */
    SOURCE_BACKOFF,
    SOURCE_ENDED,
};

enum source_expect_kind {
    SOURCE_EXPECT_GREETING = 0,
    SOURCE_EXPECT_HELLO,
    SOURCE_EXPECT_STARTTLS,
    SOURCE_EXPECT_AUTH,
    SOURCE_EXPECT_RSET,
    SOURCE_EXPECT_MAIL,
    SOURCE_EXPECT_RCPT,
    SOURCE_EXPECT_DATA,
    SOURCE_EXPECT_END, /* of a message: the final dot, or BDAT LAST */
    SOURCE_EXPECT_QUIT,
};

struct source_expect {
    enum source_expect_kind kind;
    unsigned count; /* this many replies of the kind follow each other */
};

/* A message between its MAIL and its last reply. */
struct source_flight {
    uint64_t number;
    uint64_t end_ns; /* its last octet was handed to the kernel */
    unsigned rcpt_accepted;
    unsigned code; /* the first refusal; 0: none yet */
};

enum source_next {
    SOURCE_NEXT_WAIT = 0, /* a reply decides */
    SOURCE_NEXT_MESSAGE,
    SOURCE_NEXT_RCPT,
    SOURCE_NEXT_DATA,
    SOURCE_NEXT_CONTENT,
};

struct source_session {
    struct tool_link link; /* by last activity, or by end of back-off; first: a link is a session */
    struct tool_link wait; /* for the next message that the rate allows */
    int fd;
    enum source_state state;
    enum source_next next;
    uint64_t active_ns;
    uint64_t connected_ns;
    unsigned failures; /* connections without an accepted greeting, in a row */
    uint64_t connection_messages;
    bool pipelining;
    bool chunking;
    bool starttls;
    bool careful;    /* something was refused: RSET before each MAIL from here on */
    bool must_close; /* the server said 421 */

    struct source_expect *expects; /* queue in a circle */
    unsigned expect_head;
    unsigned expect_count;
    struct source_flight *flights; /* queue in a circle; replies belong to its head */
    unsigned flight_head;
    unsigned flight_count;
    unsigned rcpt_next; /* lock step: the next recipient to name */

    /* output: gathered while nothing is being sent */
    char *text;
    size_t text_used;
    size_t text_closed; /* text before this is in iov already */
    struct iovec *iov;
    unsigned iov_used;
    unsigned iov_done;
    struct msghdr header;

    unsigned in_flight; /* operations in the ring */
    bool recv_armed;
    bool send_armed;

    struct tool_tls *tls; /* NULL: in clear */
    char *sealed_in;
    char *sealed_out;
    size_t sealed_out_size;

    size_t in_used;
    char in[SOURCE_IN_SIZE];
};

struct source {
    struct source_options options;
    struct source_stats stats;
    uint64_t now_ns;
    uint64_t start_ns;
    uint64_t claimed;
    struct tool_link waiting; /* sessions that could send if the rate allowed */
    unsigned flight_size;
    unsigned expect_size;
    size_t text_size;
    unsigned iov_size;
    size_t address_prefix; /* of the domain pattern: octets before its %u */
    const char *domain_suffix;
    char to_local[128];
    char to_domain[256];
    char *body; /* lines of SOURCE_LINE octets, enough for the largest message */
    uint64_t date_s;
    char date[48];
    struct tool_tls_context *tls; /* NULL: none is wanted */
};

/* source_message.c */
void source_message_init(struct source *source);
/* Each writes at out and returns the octets written. */
size_t source_write_mail(const struct source *source, char *out);
size_t source_write_rcpt(const struct source *source, char *out, uint64_t number, unsigned index);
/* The header, the empty line and a line that makes up the size; *body: octets of body to follow. */
size_t source_write_head(struct source *source, char *out, uint64_t number, size_t *body);
size_t source_write_number(char *out, uint64_t value);

/* source_session.c */
void source_session_init(struct source *source, struct source_session *session);
void source_session_connected(struct source *source, struct source_session *session);
/* The handshake is done. */
void source_session_secured(struct source *source, struct source_session *session);
/* Reads the replies in session->in. */
void source_session_replies(struct source *source, struct source_session *session);
/* Fills iov with what may leave now; nothing may be in the ring's hands. */
void source_session_gather(struct source *source, struct source_session *session);
/* The connection is gone: accounts for what it left unanswered. */
void source_session_lost(struct source *source, struct source_session *session);
/* All messages are claimed, and this session has nothing under way. */
bool source_session_is_spent(const struct source *source, const struct source_session *session);

/* source_tls.c */
void source_tls_open(struct source *source);
void source_tls_start(struct source *source, struct source_session *session);
void source_tls_end(struct source_session *session);
char *source_tls_room(struct source_session *session, size_t *size); /* to receive into */
void source_tls_input(struct source *source, struct source_session *session, size_t octets);
void source_tls_output(struct source_session *session); /* what iov names, encrypted: in iov */

/* source_engine.c */
void source_engine_run(struct source *source);
uint64_t source_due_ns(const struct source *source, uint64_t number);
