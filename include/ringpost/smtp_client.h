/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp_client - the delivery session from the sender's side, and its pipelining window
 *               (RFC 5321, 2920, 3030, 1870, 6152, 6531, 3461, 9422, 3207, 4954)
 *
 * Job     one connection to a receiver: greeting, EHLO, STARTTLS, AUTH, any number of
 *         transactions, QUIT. It says
 *         what to send, reads the replies, and settles the fate of each recipient of each
 *         transaction exactly once. Retrying is queue's job.
 * Drive   after the connection stands, and after every change, do in this order:
 *
 *             smtp_client_input(c, &octets)               whenever octets came
 *             while ((t = smtp_client_take_done(c)))      report t's recipients; t is yours again
 *             while (smtp_client_wants(c)) smtp_client_offer(c, t)
 *             while ((a = smtp_client_next(c, &text, &t)) != SMTP_CLIENT_WAIT)
 *                                                         queue text or content; CLOSE: close;
 *                                                         START_TLS: see there
 *             flush once (it all leaves in one segment if it fits), and set the deadline
 *
 *         No clock, I/O or allocation: the simulator and the fuzzer run this very code.
 * Owner   the driver embeds the struct. A transaction, with all that it points to, stays where it
 *         is from offer until take_done returns it; its content besides until it has been sent,
 *         since a receiver may answer before it has read everything.
 * Errors  whatever the receiver does is data: verdicts, enum smtp_client_end. Misuse by the driver
 *         is an ASSERT.
 *
 * One round trip a message with PIPELINING, a window of whole messages with CHUNKING:
 *
 *     PIPELINING   MAIL RCPT DATA │ content . MAIL RCPT DATA │ content . MAIL RCPT DATA │ ...
 *     and CHUNKING MAIL RCPT BDAT LAST content, MAIL RCPT BDAT LAST content, ...  up to the window
 *     neither      each command waits for its reply; content goes by BDAT with CHUNKING alone
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/smtp.h"

enum {
    SMTP_CLIENT_WINDOW_MAX = 32,    /* transactions in flight on one connection */
    SMTP_CLIENT_COMMAND_MAX = 1280, /* the longest command with CRLF: RCPT with ORCPT */
    SMTP_CLIENT_TEXT_MAX = 512,     /* octets kept of a reply's text */
    SMTP_CLIENT_DOMAINS_MAX = 16,   /* of RCPTDOMAINMAX; a higher limit counts as this */
};

/* ---- verdicts -------------------------------------------------------------------------------- */

enum smtp_outcome {
    SMTP_OUTCOME_NONE = 0,           /* not settled yet */
    SMTP_OUTCOME_DELIVERED,          /* accepted, and the content got its own final 2yz */
    SMTP_OUTCOME_REFUSED,            /* permanent: bounce */
    SMTP_OUTCOME_DEFERRED,           /* temporary, counts as an attempt: retry by the schedule */
    SMTP_OUTCOME_NOT_TRIED,          /* nobody decided about it: put back as if never offered */
    SMTP_OUTCOME_POSSIBLY_DELIVERED, /* all was sent, no answer came: counts as an attempt */
};

/* What the peer owes a reply to; at the same time the command that decided a verdict. */
enum smtp_stage {
    SMTP_STAGE_GREETING = 0,
    SMTP_STAGE_EHLO,
    SMTP_STAGE_HELO,
    SMTP_STAGE_STARTTLS,
    SMTP_STAGE_HANDSHAKE, /* of TLS */
    SMTP_STAGE_AUTH,
    SMTP_STAGE_MAIL,
    SMTP_STAGE_RCPT,
    SMTP_STAGE_DATA,
    SMTP_STAGE_CONTENT, /* the final dot, or BDAT LAST */
    SMTP_STAGE_RSET,
    SMTP_STAGE_QUIT,
    SMTP_STAGE_IDLE, /* nothing is owed */
    SMTP_STAGE_COUNT,
};
const char *smtp_stage_name(enum smtp_stage stage);  /* "MAIL FROM", "end of content" */
const char *smtp_stage_doing(enum smtp_stage stage); /* "waiting for the reply to MAIL FROM" */

struct smtp_verdict {
    uint8_t outcome;               /* enum smtp_outcome */
    uint8_t stage;                 /* enum smtp_stage */
    bool local;                    /* code and text are our own, the receiver did not say so */
    uint16_t code;                 /* never 0 when settled, but for NOT_TRIED */
    struct smtp_enhanced enhanced; /* class 0 = the receiver gave none */
    uint16_t text_len;
    char text[SMTP_CLIENT_TEXT_MAX]; /* no control characters */
};
static inline struct bytes smtp_verdict_text(const struct smtp_verdict *verdict)
{
    return (struct bytes){verdict->text, verdict->text_len};
}

/* ---- a transaction --------------------------------------------------------------------------- */

struct smtp_transaction_recipient {
    struct smtp_recipient to;
    struct smtp_verdict verdict; /* valid once taken */
    bool sent, accepted;         /* private */
};
struct smtp_transaction {
    /* Set by the driver before offer; all else zero. */
    struct bytes reverse_path; /* empty = null */
    struct bytes envid;        /* xtext, or empty */
    uint64_t size;             /* exact octets of the content as stored */
    uint8_t content_flags;     /* bits of enum smtp_content_flag */
    uint8_t body;              /* enum smtp_body, as injected */
    uint8_t ret;               /* enum smtp_ret */
    bool smtputf8;
    uint32_t recipient_count; /* > 0 */
    struct smtp_transaction_recipient *recipients;
    bool unconvertible; /* smtp_client_form() wants another form, and that cannot be had: 5.6.1 */
    void *user;

    /* Set by the driver when it queues the content: the count of octets queued on the connection
     * up to and with it. Says at a loss whether the receiver can have had it all. */
    uint64_t content_end;

    /* Results, with the verdicts of the recipients. */
    bool next_hop_dsn; /* DSN parameters were passed on: the next hop reports success (RFC 3461) */
    bool many;         /* "too many recipients": some were put back for that */

    /* Private. */
    struct list link;
    struct smtp_verdict verdict; /* for all recipients that have none of their own */
    uint64_t number;             /* counts those begun on this connection; 0 = not begun */
    uint32_t next_rcpt;          /* to send */
    uint32_t answered_rcpt;      /* to be answered */
    uint32_t accepted;           /* recipients */
    uint8_t phase;               /* enum smtp_client_phase */
    bool utf8;                   /* needs SMTPUTF8 */
};

/* ---- the session ----------------------------------------------------------------------------- */

struct smtp_client_timeouts { /* seconds; 0 = the default, RFC 5321 section 4.5.3.2 */
    uint32_t greeting;        /* 300 */
    uint32_t ehlo;            /* 300; STARTTLS and AUTH too */
    uint32_t tls;             /* 30: the handshake */
    uint32_t mail;            /* 300; RSET too */
    uint32_t rcpt;            /* 300 */
    uint32_t data;            /* 120 */
    uint32_t block;           /* 180: progress while sending content */
    uint32_t content;         /* 600: from final dot to reply */
    uint32_t quit;            /* 10: nobody loses anything */
};
/* What becomes of a message with octets over 127 where 8BITMIME is not offered (RFC 6152 section
 * 3), and of a binary one where BINARYMIME is not (RFC 3030 section 3). */
enum smtp_eight_bit {
    SMTP_EIGHT_BIT_CONVERT = 0, /* the driver converts it: see smtp_client_form() */
    SMTP_EIGHT_BIT_SEND,        /* as it is; a binary one is converted all the same */
    SMTP_EIGHT_BIT_BOUNCE,      /* 554 5.6.3; a binary one too */
};
enum smtp_tls_policy {
    SMTP_TLS_NONE = 0, /* in clear */
    SMTP_TLS_MAY,      /* when offered */
    SMTP_TLS_ENCRYPT,  /* or not at all */
    SMTP_TLS_VERIFY,   /* the same here: it is the driver's handshake that fails */
};
struct smtp_client_options {
    struct bytes ehlo_name;       /* valid domain or literal; outlives the session */
    bool pipelining;              /* may be used if offered. false = lock step, no BDAT either */
    bool chunking;                /* may be used if offered; the window needs pipelining too */
    uint8_t eight_bit;            /* enum smtp_eight_bit: to a receiver without 8BITMIME */
    uint8_t window_start;         /* messages; 0 = 1. What the last connection reached fits well */
    uint8_t window_max;           /* messages in flight with CHUNKING; 0 = SMTP_CLIENT_WINDOW_MAX */
    uint32_t window_octets_start; /* unanswered content octets; 0 = 64 KiB */
    uint32_t window_octets_max;   /* 0 = 4 MiB. One message is always allowed */
    struct smtp_client_timeouts timeouts;
    uint8_t tls;       /* enum smtp_tls_policy */
    bool tls_implicit; /* from the first octet on, no STARTTLS (RFC 8314); whatever ->tls says */
    /* To prove who we are (RFC 4954): PLAIN, else LOGIN; only over TLS unless auth_clear. Both
     * outlive the session; empty user: no AUTH. No NUL in them. */
    struct bytes user, password;
    bool auth_clear;
};
enum { SMTP_CLIENT_LOGIN_MAX = 255 }; /* octets of user, and of password */

enum smtp_client_state {
    SMTP_CLIENT_GREETING = 0, /* the greeting is awaited */
    SMTP_CLIENT_EHLO,
    SMTP_CLIENT_HELO, /* EHLO was not understood */
    SMTP_CLIENT_STARTTLS,
    SMTP_CLIENT_HANDSHAKE, /* of TLS: the driver's, with START_TLS; EHLO follows */
    SMTP_CLIENT_AUTH,
    SMTP_CLIENT_OPEN,    /* takes transactions */
    SMTP_CLIENT_CLOSING, /* finishes what it has, takes no more */
    SMTP_CLIENT_QUIT,
    SMTP_CLIENT_ENDED, /* next says CLOSE */
    SMTP_CLIENT_STATE_COUNT,
};

/* Why the connection is, or is about to be, of no more use. Known before it closes. */
enum smtp_client_end {
    SMTP_CLIENT_END_NONE = 0,
    SMTP_CLIENT_END_QUIT,     /* we wanted so, or the announced MAILMAX is reached */
    SMTP_CLIENT_END_TEMP,     /* greeting or EHLO 4yz, TLS or AUTH that is needed cannot be had:
                               * try the next host, later this one */
    SMTP_CLIENT_END_TLS,      /* STARTTLS was begun, and no reply has come through TLS: a connection
                               * in clear might work */
    SMTP_CLIENT_END_REFUSED,  /* greeting or HELO 5yz: try the next host */
    SMTP_CLIENT_END_CLOSED,   /* 421 later on, or a refusal in the middle of the content */
    SMTP_CLIENT_END_BROKEN,   /* not SMTP, or replies out of place: see ->misbehaved */
    SMTP_CLIENT_END_LOST,     /* the driver said so */
    SMTP_CLIENT_END_TIMEOUT,  /* the driver said so */
    SMTP_CLIENT_END_SHUTDOWN, /* the driver stops: nothing is the receiver's fault */
};

struct smtp_client_limits { /* of EHLO; 0 = none announced */
    uint64_t size;          /* octets */
    uint32_t mail_max;
    uint32_t rcpt_max; /* also lowered to what "452 too many recipients" taught */
    uint32_t rcpt_domain_max;
};

struct smtp_client_expected { /* replies owed to us: a run of equal ones */
    struct smtp_transaction *transaction;
    uint32_t count;
    uint8_t stage;
};
/* Of one transaction at most RSET, MAIL, RCPT, DATA, CONTENT; and a QUIT. */
enum { SMTP_CLIENT_EXPECTED_MAX = 5 * (SMTP_CLIENT_WINDOW_MAX + 1) + 2 };

struct smtp_client {
    /* For the driver to read. */
    enum smtp_client_state state;
    enum smtp_client_end end;
    struct smtp_verdict end_verdict; /* the reply, or our words, that belong to ->end */
    uint32_t extensions;             /* bits of enum smtp_extension; 0 after HELO. Of the last EHLO:
                                      * those before TLS are forgotten (RFC 3207 section 4.2) */
    struct smtp_client_limits limits;
    bool secured;       /* TLS stands */
    bool authenticated; /* AUTH went well */
    bool misbehaved;    /* remember the host and next time set pipelining and chunking to false */
    uint32_t progress;  /* whole replies so far: restart the deadline only when it has changed */
    uint32_t window;    /* messages; a good window_start for the next connection */
    uint32_t window_octets;
    uint32_t delivered; /* transactions with a final 2yz */

    /* Private. */
    struct smtp_client_options options;
    struct list transactions; /* offered and not settled, oldest first */
    struct list done;
    struct smtp_transaction *current; /* the first that is not wholly sent */
    uint32_t transaction_count;       /* in ->transactions */
    uint32_t in_flight;               /* of these, begun */
    uint64_t begun, offered;          /* transactions, ever */
    uint64_t octets;                  /* of content, sent and not answered */
    uint16_t ehlo_lines;
    uint8_t mechanisms;    /* offered: bits of enum smtp_mechanism */
    uint8_t auth_step;     /* enum client_auth_step */
    bool tls_given_out;    /* START_TLS was said */
    bool starttls_refused; /* though it was offered */
    bool dirty; /* the peer may hold an unfinished transaction: RSET before the next MAIL */
    uint16_t expected_first, expected_count;
    struct smtp_client_expected expected[SMTP_CLIENT_EXPECTED_MAX];
    struct smtp_reply_parser parser;
};

/* The connection stands, nothing was read yet. */
void smtp_client_init(struct smtp_client *client, const struct smtp_client_options *options);
/* Defaults: both true, send as is, RFC timeouts, in clear. */
struct smtp_client_options smtp_client_options_default(struct bytes ehlo_name);

/* Takes all octets; those behind the end of the session are ignored. What comes in clear behind the
 * reply to STARTTLS ends it: somebody wants his words to be taken for the receiver's. */
void smtp_client_input(struct smtp_client *client, struct bytes *input);
/* Behind START_TLS: the handshake is done, input comes through TLS from here on. */
void smtp_client_secured(struct smtp_client *client);
/* Or it failed; the session has ended. */
void smtp_client_insecure(struct smtp_client *client, const char *why);
/* The connection ended or the driver gives it up: end is LOST, TIMEOUT or SHUTDOWN. sent = octets
 * that have left, comparable to ->content_end (UINT64_MAX: unknown). All transactions are done. */
void smtp_client_lost(struct smtp_client *client, enum smtp_client_end end, uint64_t sent);
/* Every recipient of it has a verdict. NULL: none for now. */
struct smtp_transaction *smtp_client_take_done(struct smtp_client *client);

/* Room in the window? true only in OPEN. With plain PIPELINING one is asked for in advance, to
 * leave together with the content of the one before. */
bool smtp_client_wants(const struct smtp_client *client);
/* The form in which this receiver takes the content; known while the session is OPEN. When it is
 * not AS_IS, the driver converts the content before it offers the transaction, and sets ->size,
 * ->content_flags and ->body of what it has made, or ->unconvertible. */
enum smtp_form {
    SMTP_FORM_AS_IS = 0,
    SMTP_FORM_8BIT, /* lines of up to 998 octets, which may be over 127 */
    SMTP_FORM_7BIT, /* the same, none over 127 */
};
enum smtp_form smtp_client_form(const struct smtp_client *client,
                                const struct smtp_transaction *transaction);
/* May settle it at once: too large (552 5.3.4), 5.6.1, 5.6.3, 5.6.7, 5.1.3. It is then done. */
void smtp_client_offer(struct smtp_client *client, struct smtp_transaction *transaction);
/* No more offers; QUIT after the last reply. Before OPEN too. Idempotent. */
void smtp_client_quit(struct smtp_client *client);

enum smtp_client_action {
    SMTP_CLIENT_WAIT = 0,
    SMTP_CLIENT_SEND_TEXT, /* commands were appended to *out: send them */
    SMTP_CLIENT_SEND_DATA, /* send the content of *transaction, each leading dot of a line doubled;
                            * what ends it comes as text with the next call */
    SMTP_CLIENT_SEND_BDAT, /* send the content of *transaction, exactly ->size octets as they are */
    SMTP_CLIENT_START_TLS, /* begin the handshake behind all that was queued, and tell how it ended;
                            * before that no input */
    SMTP_CLIENT_CLOSE,
};
/* out must have room for SMTP_CLIENT_COMMAND_MAX + 1 octets more. Call until WAIT or CLOSE. */
MUST_USE enum smtp_client_action smtp_client_next(struct smtp_client *client, struct text *out,
                                                  struct smtp_transaction **transaction);

/* ---- deadline -----------------------------------------------------------------------------------
 *
 * sending: the driver still has unsent octets. Restart it when ->progress changed, when octets were
 * sent, and when something was queued while nothing was owed; not for octets that complete no
 * reply. */
struct smtp_client_deadline {
    uint32_t seconds;  /* 0 = none: idle, keeping the connection is the driver's business */
    const char *doing; /* ends "timed out while ...", "lost connection while ..." */
};
struct smtp_client_deadline smtp_client_deadline(const struct smtp_client *client, bool sending);
/* What the peer owes first, for logs and verdicts. */
enum smtp_stage smtp_client_stage(const struct smtp_client *client);
const char *smtp_client_phrase(const struct smtp_client *client); /* its state, for people */
