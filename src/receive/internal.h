/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of receive share
 */
#pragma once
#include "ringpost/dkim/desk.h"
#include "ringpost/dns.h"
#include "ringpost/receive.h"
#include "ringpost/stream.h"

/* A listener's options with everything they point to, copied; sessions hold them, so that a reload
 * never pulls them away. One core. */
struct listener_terms {
    uint32_t refs;
    struct receive_listener_options options;
    char *hostname, *banner;
    struct address *relay_from; /* and a share of options.tls */
};
struct listener_terms *listener_terms_new(const struct receive_listener_options *options);
void listener_terms_unref(struct listener_terms *terms);

struct receive_listener {
    struct ring_listener ring;
    struct receive *receive;
    struct list link;
    struct listener_terms *terms;
};

enum { SENDER_FINE_COUNT = 256 };

struct sign_desk {                /* where a worker's messages are hashed: see sign.c */
    struct dkim_signers *signers; /* for messages that begin now; NULL: nothing is signed */
    struct list fresh;            /* messages with content that was not looked at */
    struct list whole;            /* ... that are hashed, up to their end */
    struct dkim_header header;    /* of the message that is looked at */
    char *header_room;            /* its octets, if they lie in several pieces */
    size_t header_room_size;
    struct pool messages;
};
void sign_desk_init(struct sign_desk *desk, struct worker *worker);
void sign_desk_set(struct sign_desk *desk, struct dkim_signers *signers);
void sign_desk_deinit(struct sign_desk *desk, struct worker *worker);

struct receive {
    struct worker *worker;
    struct spool *spool;
    struct receive_limits *limits;
    struct auth *auth;
    struct dkim_desk *desk;
    struct receive_callbacks callbacks;
    void *context;
    struct stream_group streams;
    struct list listeners, sessions;
    struct pool session_pool;
    struct sender_fine { /* domains that were no null MX lately, by hash: no look-up a message */
        uint64_t hash;
        instant until;
    } sender_fine[SENDER_FINE_COUNT];
    uint64_t sender_seed;
    instant sender_pause; /* until then DNS is not asked about senders: it was late */
    struct sign_desk sign;
    bool started, shutting_down;
    instant next_complaint; /* about accept */
};

struct session {
    struct stream stream;
    struct list link;
    struct receive *receive;
    struct listener_terms *terms;
    struct smtp_server smtp;
    struct address client;
    uint32_t client_slot; /* of the limits */
    uint32_t progress;    /* smtp.progress when the deadline was set */
    char *envelope;       /* stored form; NULL between transactions of large ones */
    uint32_t envelope_len, envelope_cap, recipients;
    struct spool_draft draft;
    struct sign_message *signing; /* NULL: the message is not signed */
    bool drafting;                /* draft holds content */
    bool committing;              /* on_committed is still to come; so it is while it is signed */
    bool asking_auth;             /* about a password; ->dialog will call back */
    bool asking_dns;              /* about the sender */
    bool closed;                  /* the stream is gone; freed when nothing is committing */
    bool idle;      /* it was between transactions when the server began to shut down */
    bool aborted;   /* the time to finish was over */
    bool thanked;   /* the last reply was 221 */
    bool for_known; /* first_recipient is valid */
    bool refused;   /* something, and the log has it */
    uint16_t first_recipient_len;
    char first_recipient[SMTP_PATH_MAX + 2];
    char id_text[20]; /* session id */
    char client_text[ADDRESS_TEXT_MAX];
    instant end_of_data, ask_until;
    struct dns_request sender_request;
    struct auth_dialog *dialog; /* while AUTH runs */
    char *user;                 /* who the client proved to be; NULL = nobody */
};
void session_start(struct receive *receive, struct listener_terms *terms, int fd,
                   const struct address *client, uint32_t client_slot);
void session_shut_down(struct session *session);
void session_abort(struct session *session); /* last word and end, whatever it is doing */
void session_go_on(struct session *session); /* from outside its callbacks: an answer was given */
/* The deadline from now on, whatever the machine says. */
void session_part_by(struct session *session, duration within);
/* The answer to SENDER_ASKING. */
void session_sender_known(struct session *session, bool null_mx);

enum sender_verdict { SENDER_FINE = 0, SENDER_NULL_MX, SENDER_ASKING };
enum sender_verdict sender_check(struct session *session, struct bytes domain);
void sender_cancel(struct session *session);  /* no-op when nothing is asked */
void sender_is_late(struct session *session); /* the wait for SENDER_ASKING is over */

/* The content is whole and its cuts are made: to the disk with it, under what is put on top. */
void session_commit(struct session *session, struct bytes prefix, wall_ms now);
void session_commit_plain(struct session *session);                      /* under the trace alone */
void session_refuse_content(struct session *session, const char *reply); /* it is forgotten */

void sign_begin(struct session *session);   /* a draft has begun */
void sign_content(struct session *session); /* it has grown */
/* It is whole. True: session_commit(), session_commit_plain() or session_refuse_content() will be
 * called, never from inside. */
bool sign_end(struct session *session);
void sign_drop(struct session *session); /* the draft is no more; no-op if it is not signed */

/* ---- TLS (tls.c) ---- */
void session_start_tls(struct session *session);
void session_handshake_failed(struct session *session, const char *why); /* log and count it */
void session_on_secure(struct stream *stream, const char *error); /* of struct stream_events */

/* ---- AUTH (auth.c) ---- */
void session_auth(struct session *session, struct smtp_server_out *out);
void session_auth_over(struct session *session); /* no-op when no exchange runs */
void session_auth_late(struct session *session); /* no more waiting for its outcome: 454 */
void session_forget_user(struct session *session);
/* Why the client may not send from there: a reply to MAIL; NULL: it may, as far as AUTH goes. */
const char *session_sender_fault(const struct session *session, struct bytes reverse_path);

/* The trace and what else is put on top of the content (RFC 5321 section 4.4). */
enum { TRACE_MAX = 2048 };
void trace_write(const struct session *session, uint64_t id, wall_ms now, struct text *out);

enum limit_verdict { LIMIT_OK = 0, LIMIT_TOTAL, LIMIT_CLIENT, LIMIT_FILES };
enum limit_verdict limits_enter(struct receive_limits *limits, const struct address *listener,
                                const struct address *client, int descriptor,
                                const struct receive_listener_options *options, uint32_t *slot);
void limits_leave(struct receive_limits *limits, uint32_t slot);
