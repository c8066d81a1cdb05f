/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp_server - the injection session from the server's side (RFC 5321, 2920, 3030, 1870, 3461,
 *               3207, 4954)
 *
 * Job     octets of the client in; replies and events of the transaction out. It checks syntax,
 *         order and limits, and guards the framing of content. It stores nothing: the driver
 *         (receive) keeps envelope and content, and says yes or no where that takes a store.
 * Drive   smtp_server_next() until it says NEED_INPUT, WAIT or CLOSE; see enum smtp_server_step.
 *         Any split of the same octets gives the same replies and events. No clock, I/O or
 *         allocation: sim and the fuzzer run this very code.
 * Owner   the driver embeds the struct. It holds no pointer into the input across calls; what
 *         out points to lives until the next call of smtp_server_next(), or until the input goes.
 * Errors  whatever the client does is data and gets a reply; misuse by the driver is an ASSERT.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/scan.h"
#include "ringpost/smtp.h"

enum {
    SMTP_SERVER_LINE_MAX = 2048,    /* most that options may allow for a command, with CRLF */
    SMTP_SERVER_REPLY_MAX = 1024,   /* the longest reply (EHLO, HELP), with CRLFs */
    SMTP_SERVER_HOSTNAME_MAX = 255, /* of options->hostname */
    SMTP_SERVER_BANNER_MAX = 200,   /* of options->banner */
    SMTP_SERVER_CUTS_MAX = 8,       /* Return-Path fields in one header; more is refused */
    /* Content counts as progress by steps of so many octets: with the deadline of a block (180 s)
     * that is a least rate of 182 octets a second, so that a drip does not live for ever. */
    SMTP_SERVER_PROGRESS_OCTETS = 32 * 1024,
    SMTP_SERVER_CHALLENGE_MAX = 700, /* octets of a challenge, before base64 */
    SMTP_SERVER_RESPONSE_MAX = SMTP_AUTH_LINE_MAX / 4 * 3,
    SMTP_SERVER_AUTH_ROUNDS_MAX = 10, /* challenges in one exchange */
};

struct smtp_server_options {
    struct bytes hostname;      /* in greeting and EHLO */
    struct bytes banner;        /* greeting, behind the hostname: "ESMTP Ringpost" */
    uint64_t max_message_size;  /* octets of content; 0 = no limit: 552 5.3.4 */
    uint32_t max_recipients;    /* of a message; then 452 4.5.3 */
    uint32_t max_command_line;  /* with CRLF; 512..SMTP_SERVER_LINE_MAX: 500 5.5.2 */
    uint32_t max_text_line;     /* without CRLF; 0 = no limit: 550 5.6.0 */
    uint32_t max_bad_commands;  /* since the last accepted message; one more gets 421 4.7.0 */
    uint32_t max_received;      /* Received fields allowed; more is a loop: 554 5.4.6 */
    uint32_t command_timeout_s; /* RFC 5321 section 4.5.3.2.7 */
    uint32_t content_timeout_s; /* for SMTP_SERVER_PROGRESS_OCTETS of content */
    uint32_t tls_timeout_s;     /* for the handshake */
    uint32_t max_auth_failures; /* in one session; the last of them is followed by 421 4.7.0 */
    /* Offered: bits of enum smtp_extension from the default's set, and SMTP_EXT_STARTTLS where TLS
     * can be had: it is listed until TLS is there. */
    uint32_t extensions;
    uint32_t
        auth; /* bits of enum smtp_mechanism; 0: AUTH is not known, strangers get 550 at RCPT */
    bool auth_clear;  /* who may relay by its network may AUTH without TLS too */
    bool require_tls; /* 530 5.7.0 to all but NOOP, EHLO, STARTTLS and QUIT before TLS */
};
/* The defaults of the manual; hostname is "localhost". */
struct smtp_server_options smtp_server_options_default(void);

/* What the header section of the content holds; final once ->ended, at the latest in
 * SMTP_SERVER_END. */
struct smtp_server_cut {
    uint64_t offset, len; /* of a whole field in the stored content, with folded lines and CRLF */
};
struct smtp_server_header {
    uint64_t len; /* header section without the empty line; all of the content if that is missing */
    /* The content begins with neither a field nor the empty line, so all of it is body (len 0): put
     * an empty line behind what you prepend. */
    bool no_header;
    bool ended; /* the section: what comes now is body */
    uint32_t received;
    uint32_t cut_count; /* may be over SMTP_SERVER_CUTS_MAX only while the message is refused */
    struct smtp_server_cut cuts[SMTP_SERVER_CUTS_MAX]; /* Return-Path fields, in order */
    bool has_date, has_message_id, has_from;
    bool has_8bit;
    bool odd; /* a CR or LF by itself, or a NUL: only looked for when ->strict */
};

/* The observer behind it: give it the content as stored, in order, in any pieces. */
struct smtp_server_watch {
    struct smtp_server_header header;
    uint64_t offset;      /* of the next octet */
    uint64_t field_start; /* of the field being read */
    uint8_t state;        /* private */
    bool in_cut;          /* the field being read is a Return-Path */
    bool strict;          /* set by the driver: the content is binary, its header must be lines */
    char last;            /* of the header: the octet before */
    uint8_t name_len;
    char name[12]; /* of the field being read, in lower case, as far as it may matter */
};
void smtp_server_watch_init(struct smtp_server_watch *watch);
void smtp_server_watch_feed(struct smtp_server_watch *watch, const char *data, size_t len);
void smtp_server_watch_finish(struct smtp_server_watch *watch); /* no more content comes */

enum smtp_server_state {
    SMTP_SERVER_GREETING = 0,  /* the greeting is not given out yet */
    SMTP_SERVER_CONNECTED,     /* no EHLO or HELO yet */
    SMTP_SERVER_READY,         /* no transaction */
    SMTP_SERVER_ASKING_MAIL,   /* the driver owes an answer to MAIL */
    SMTP_SERVER_SENDER,        /* a sender, no recipient yet */
    SMTP_SERVER_ASKING_RCPT,   /* ... to RCPT */
    SMTP_SERVER_RECIPIENTS,    /* at least one recipient */
    SMTP_SERVER_ASKING_DATA,   /* ... to BEGIN, for DATA */
    SMTP_SERVER_DATA,          /* content up to the final dot */
    SMTP_SERVER_DATA_REFUSED,  /* the same, thrown away */
    SMTP_SERVER_ASKING_CHUNK,  /* ... to BEGIN, for the first BDAT */
    SMTP_SERVER_CHUNK,         /* the octets of a chunk */
    SMTP_SERVER_CHUNK_REFUSED, /* the same, thrown away */
    SMTP_SERVER_CHUNKS,        /* between chunks */
    SMTP_SERVER_CHUNKS_FAILED, /* a chunk failed: only a new transaction helps (RFC 3030) */
    SMTP_SERVER_COMPLETE,      /* the content is whole; END is not given out yet */
    SMTP_SERVER_ASKING_END,    /* ... to END: the commit runs */
    SMTP_SERVER_TLS_DUE,       /* 220 is out; STARTTLS is not given out yet */
    SMTP_SERVER_HANDSHAKE,     /* until the driver says smtp_server_secured() */
    SMTP_SERVER_ASKING_AUTH,   /* ... to AUTH */
    SMTP_SERVER_AUTH_RESPONSE, /* 334 is out, the next line is no command */
    SMTP_SERVER_CLOSING,       /* the last reply is out */
    SMTP_SERVER_STATE_COUNT,
};

/* Reset as a whole, never in part (a VRFY once reset half of one elsewhere, and crashed). */
struct smtp_server_transaction {
    struct scan_reader reader;
    struct smtp_server_watch watch;
    uint64_t declared_size; /* SIZE= of MAIL; 0 = none */
    uint64_t chunk_left;    /* octets of the present BDAT chunk still to come */
    uint64_t chunk_size;
    uint32_t recipients; /* accepted */
    uint32_t refused;    /* recipients refused */
    uint8_t body;        /* enum smtp_body */
    bool smtputf8;
    bool chunk_last;
    bool mail_refused; /* what follows out of order is the rest of a pipelined group */
    bool held;         /* by the driver, which must be told ABORT when it comes to nothing */
};

struct smtp_server {
    const struct smtp_server_options *options;
    enum smtp_server_state state;
    enum smtp_server_state state_after; /* behind the chunk of CHUNK_REFUSED */
    bool relay_allowed;                 /* by the network */
    bool authenticated;                 /* may relay, too */
    bool secured;                       /* TLS */
    bool extended;                      /* EHLO, not HELO */
    bool abort_due;                     /* next gives out ABORT, then the reply */
    bool auth_over;                     /* likewise AUTH_OVER */
    const char *last_word; /* the 421 that ends the session as soon as no answer is owed */
    uint32_t bad_commands;
    uint16_t auth_failures;
    uint8_t auth_rounds;    /* challenges of the present exchange */
    uint8_t auth_mechanism; /* of the present exchange */
    uint32_t messages;      /* accepted in this session */
    uint32_t progress;      /* counts commands and steps of content: see smtp_server_deadline_s() */
    uint32_t line_len; /* octets of the unfinished command line; those over the buffer are lost */
    char line_last;    /* the last of them */
    uint8_t helo_len;
    uint16_t reply_len;
    struct smtp_server_transaction transaction;
    char helo[SMTP_DOMAIN_MAX];
    char line[SMTP_SERVER_LINE_MAX];
    char reply[SMTP_SERVER_REPLY_MAX];
};

/* What the driver is to do. The four questions (MAIL, RCPT, BEGIN, END) are each answered by one
 * call of smtp_server_accept() or smtp_server_refuse(), at once or later; AUTH by
 * smtp_server_challenge(), smtp_server_authenticated() or smtp_server_refuse(). */
enum smtp_server_step {
    /* All input is used: arm the deadline. Only an unfinished line of AUTH is left where it is, as
     * it may be longer than any other: show it again with what follows it. */
    SMTP_SERVER_NEED_INPUT = 0,
    SMTP_SERVER_WAIT,      /* an answer is owed; input is left alone meanwhile */
    SMTP_SERVER_REPLY,     /* out->reply, with CRLF, goes to the send buffer */
    SMTP_SERVER_MAIL,      /* question: out->path, out->mail begin a transaction */
    SMTP_SERVER_RCPT,      /* question: one more recipient, out->path, out->rcpt */
    SMTP_SERVER_BEGIN,     /* question: content is about to come; envelope is complete */
    SMTP_SERVER_CONTENT,   /* call smtp_server_content() */
    SMTP_SERVER_END,       /* question: content is whole and good: commit, then answer */
    SMTP_SERVER_STARTTLS,  /* begin TLS behind what is queued; then smtp_server_secured() */
    SMTP_SERVER_AUTH,      /* question: an exchange begins, or goes on with out->auth.response */
    SMTP_SERVER_AUTH_OVER, /* the client gave up its exchange: forget what you have of it */
    SMTP_SERVER_ABORT,     /* throw envelope and content of the transaction away */
    SMTP_SERVER_CLOSE,     /* flush, then close; next says nothing else from now on */
};
struct smtp_server_out { /* only what the step names is set */
    struct bytes reply;
    struct smtp_path path;
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    struct { /* of AUTH */
        enum smtp_mechanism mechanism;
        bool first; /* a new exchange */
        /* What the client says, in ->memory: secrets, to be wiped (see smtp_server_wipe()). With
         * ->first it may be missing; an empty one is none that is missing. */
        bool has_response;
        struct bytes response;
        char memory[SMTP_SERVER_RESPONSE_MAX];
    } auth;
};
/* After the answer to AUTH, or when the response was kept elsewhere. */
void smtp_server_wipe(struct smtp_server_out *out);

/* options are borrowed for the life of the session. relay_allowed: decided from the client's
 * network; without it each RCPT gets 550 5.7.1. */
void smtp_server_init(struct smtp_server *session, const struct smtp_server_options *options,
                      bool relay_allowed);
/* TLS from the first octet on: the driver begins the handshake itself. The greeting comes after
 * smtp_server_secured(). Before the first smtp_server_next(). */
void smtp_server_init_secured(struct smtp_server *session);
/* Advances input past what it used. */
MUST_USE enum smtp_server_step smtp_server_next(struct smtp_server *session, struct bytes *input,
                                                struct smtp_server_out *out);
/* Only after the step CONTENT: moves content from the input into dst (cap > 0) in one pass and
 * returns the octets written. It may stop before the input or dst is used up: ask next again. */
MUST_USE size_t smtp_server_content(struct smtp_server *session, struct bytes *input, char *dst,
                                    size_t cap);

/* The driver's answers. id: only to END, for "250 2.0.0 Ok: queued as ID"; otherwise empty. */
void smtp_server_accept(struct smtp_server *session, struct bytes id);
/* reply: "452 4.3.1 Insufficient system storage", 4yz or 5yz with enhanced code, no CRLF. 421 ends
 * the session. A refused MAIL or END ends the transaction without a further ABORT. Refused BEGIN
 * too for DATA; for BDAT the chunk is swallowed first. */
void smtp_server_refuse(struct smtp_server *session, const char *reply);
/* AUTH: 334 with these octets, which may be none. */
void smtp_server_challenge(struct smtp_server *session, struct bytes octets);
void smtp_server_authenticated(struct smtp_server *session); /* 235; the client may relay */
/* The handshake is done: the session is as after the greeting (RFC 3207 section 4.2), and what the
 * client said before in clear is forgotten, its authentication too. Ask next. A handshake that
 * fails ends the connection; nothing is to be said. */
void smtp_server_secured(struct smtp_server *session);

/* At SMTP_SERVER_END: facts about the content. */
static inline const struct smtp_server_header *smtp_server_header(const struct smtp_server *session)
{
    return &session->transaction.watch.header;
}
static inline uint64_t smtp_server_content_size(const struct smtp_server *session)
{
    return session->transaction.reader.octets;
}
uint8_t smtp_server_content_flags(const struct smtp_server *session); /* SMTP_CONTENT_* */
uint8_t smtp_server_protocol(const struct smtp_server *session);      /* enum smtp_protocol */
static inline bool smtp_server_in_handshake(const struct smtp_server *session)
{
    return session->state == SMTP_SERVER_HANDSHAKE;
}
static inline struct bytes smtp_server_helo(const struct smtp_server *session)
{
    return (struct bytes){session->helo, session->helo_len};
}

/* ---- the end of a session that the client does not end ----------------------------------------
 *
 * Deadline: seconds from when ->progress last changed; 0 = none (an answer is owed). Octets that
 * do not complete a command do not change it, so a drip of octets gains no time. */
uint32_t smtp_server_deadline_s(const struct smtp_server *session);
const char *smtp_server_doing(const struct smtp_server *session); /* "waiting for a command" */
bool smtp_server_in_transaction(const struct smtp_server *session);
/* Next gives out ABORT if need be, "421 4.4.2 ...", then CLOSE. */
void smtp_server_timed_out(struct smtp_server *session);
/* The same with "421 4.3.2 ...": shutting down. If the driver owes an answer, after that answer. */
void smtp_server_shut_down(struct smtp_server *session);
