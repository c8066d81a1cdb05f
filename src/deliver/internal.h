/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - the objects that the files of deliver share
 *
 *     HOME    attempt ── job ─┐                      ┌─ ready ── connection ── stream, smtp_client
 *               └──────── job ┼── inbox (or call) ──▶┤
 *             lookup, report  └◀──── results ────────┘  OWNER
 *
 * An attempt is one release of an entry: it pins the content, makes the jobs, and stays until all
 * of them are back and what came of them is recorded.
 */
#pragma once
#include "ringpost/deliver.h"
#include "ringpost/dsn.h"
#include "ringpost/mime/convert.h"
#include "ringpost/scan.h"
#include "ringpost/stream.h"
#include "ringpost/tls.h"

enum {
    JOBS_PER_SLAB = 64,
    ATTEMPTS_PER_SLAB = 128,
    CONNECTIONS_PER_SLAB = 16,
    DUE_BUDGET = 256,     /* entries started a turn */
    FAILING_BUDGET = 256, /* entries failed a turn */
    RELEASE_BUDGET = 1024,
    DECIDE_ROUNDS = 3,
    REPORT_BUDGET = 128, /* DSNs written a turn */
    SIGNING_MAX = 32,  /* ... that wait for their signature: mail that comes in waits behind them */
    TELLING_MAX = 512, /* attempts that wait for their DSN, before more are begun */
    LOADS_MAX = 256,   /* contents being read back, before more failures are looked at */
    IDLE_READIES_MAX = 1024,
    HOSTS_MAX = 65536,
    CLEAR_MAX = 16384,   /* hosts whose TLS does not work */
    SESSIONS_MAX = 4096, /* of TLS, to be resumed; some 3 KB each */
    BUNDLES_MAX = 16,
    UNSENT_MAX = 256 * 1024, /* octets queued on a connection while content is being made */
    CONVERTED_STEP = 16 * 1024,
};

struct deliver;

/* ---- what travels ------------------------------------------------------------------------------
 */

struct deliver_conversion { /* owner: while the job is at a receiver that needs it */
    struct mime_conversion plan;
    struct mime_edit *edits;
    char *text;
    struct mime_converter converter;
    struct scan_stuffer stuffer;
    bool stuffed;
    uint64_t size; /* what the transaction said before */
    uint8_t content_flags, body;
};
struct deliver_tls { /* of a connection, for the account; fixed once TLS stands */
    bool verified;
    uint8_t version_len, cipher_len, peer_len; /* version 0: in clear */
    char text[192];                            /* version, cipher, peer */
};
struct deliver_job {
    struct inbox_node node;
    struct queue_job queue; /* the owner's */
    struct list link;       /* home: of the attempt; owner: held by a connection */
    struct deliver_attempt *attempt;
    struct deliver *owner;
    uint32_t home;                 /* worker */
    const struct queue_plan *plan; /* pinned by the attempt */
    const struct bytes *pieces;    /* the content, pinned by the attempt */
    uint32_t piece_count;
    uint32_t *indexes;   /* of its recipients, in the entry */
    struct list members; /* jobs whose recipients travel in this one; empty: only its own */
    struct smtp_transaction transaction;
    struct deliver_conversion *conversion; /* NULL: the content goes as it is */

    /* Results, besides those in the transaction. */
    bool overdue;            /* its time was over before its turn came: recipients are untried */
    bool blocked;            /* no host answers: recipients have no verdict, see ->why */
    bool retried;            /* owner: it was cut short on a connection that had worked before */
    const char *protocol;    /* "ESMTPS"; NULL: no transaction */
    uint32_t recipients_max; /* learned; 0 = nothing */
    duration blocked_for;
    struct address peer; /* family 0: none */
    uint8_t peer_name_len;
    int32_t connect_ms, transaction_ms; /* -1 = does not apply */
    char peer_name[QUEUE_NAME_MAX];
    struct deliver_tls tls;
    struct smtp_transaction_recipient first; /* the only one of most jobs; else behind the job */
};
static inline struct bytes job_peer_name(const struct deliver_job *job)
{
    return (struct bytes){job->peer_name, job->peer_name_len};
}
static inline struct bytes tls_text_version(const struct deliver_tls *tls)
{
    return (struct bytes){tls->text, tls->version_len};
}
static inline struct bytes tls_text_cipher(const struct deliver_tls *tls)
{
    return (struct bytes){tls->text + tls->version_len, tls->cipher_len};
}
static inline struct bytes tls_text_peer(const struct deliver_tls *tls)
{
    return (struct bytes){tls->text + tls->version_len + tls->cipher_len, tls->peer_len};
}
/* No more than there is: it is done for every transaction. */
static inline void job_set_tls(struct deliver_job *job, const struct deliver_tls *tls)
{
    memcpy(&job->tls, tls,
           offsetof(struct deliver_tls, text) + tls->version_len + tls->cipher_len + tls->peer_len);
}
static inline struct smtp_transaction_recipient *job_recipient(struct deliver_job *job, uint32_t i)
{
    return &job->transaction.recipients[i];
}

/* ---- home --------------------------------------------------------------------------------------
 */

enum attempt_kind {
    ATTEMPT_JOBS = 0, /* hand it to the owner */
    ATTEMPT_FAILURE,  /* entry->error is the outcome: no route, no host answers */
    ATTEMPT_EXPIRY,   /* it waited too long for a route or its turn */
    ATTEMPT_DELETE,   /* the operator's wish */
};
/* One recipient that a DSN is about. */
struct deliver_finding {
    uint32_t index; /* in the entry */
    uint8_t action; /* enum dsn_action */
};
/* What the sender is to be told about an attempt; nothing is allocated when that is nothing. */
struct deliver_findings {
    struct deliver_finding *items;
    struct dsn_recipient *recipients; /* in the same order */
    uint32_t count;
    bool wait; /* the entry's fate depends on the DSN being durable */
};
struct deliver_attempt {
    struct spool_load load;
    struct deliver *deliver;
    struct queue_entry *entry;
    struct queue_gate *gate; /* JOBS: to be told when it is over */
    struct queue_plan *plan; /* JOBS */
    struct list jobs;        /* back, with recipients whose fate is not recorded yet */
    struct deliver_findings findings;
    struct list tell_link; /* over, its DSN is written at the end of the turn */
    struct smtp_envelope envelope;
    struct spool_view view;
    uint32_t jobs_out;
    uint8_t kind;  /* enum attempt_kind */
    bool pinned;   /* content is there */
    bool tried;    /* counts as an attempt */
    bool changed;  /* the state on disk is not the present one */
    bool deferred; /* somebody said "later"; else what is left may go at once */
    instant started;
};

struct deliver_lookup { /* of one domain's route */
    struct dns_request request;
    struct deliver *deliver;
    struct queue_domain *domain;
    instant started;
    uint32_t generation; /* of the options the route was found by */
    uint32_t hop;        /* static route: being looked up */
    bool is_static;
    struct dns_route *routes[QUEUE_HOPS_MAX]; /* pinned; MX: the first one */
};

/* A DSN on its way to its signature and to the disk: of one attempt, or of several of one message.
 */
struct deliver_report_part {
    struct queue_entry *entry; /* NULL: nothing waits for it */
    struct deliver_finding *findings;
    uint32_t count;
    bool again; /* what is left of the entry was not tried: at once */
};
struct deliver_report {
    struct spool_draft draft;
    struct deliver *deliver;
    struct queue_message *message;
    struct dkim_signers *signers; /* whose keys are in use; NULL: none */
    uint32_t signature_count;
    char *envelope; /* stored form */
    uint32_t envelope_len;
    uint8_t content_flags;
    wall_ms now;
    uint32_t part_count;
    struct deliver_report_part parts[];
};

/* Jobs of one message for one ready queue, from entries of several domains: one transaction. They
 * are collected while entries are being released. */
struct deliver_bundle {
    const struct queue_message *message; /* NULL: free */
    const struct queue_gate *gate;
    struct list jobs;
    uint32_t recipients;
};

/* ---- owner -------------------------------------------------------------------------------------
 */

struct deliver_sessions { /* sessions of TLS that can be resumed; the one not used longest goes */
    struct table table;
    struct list list; /* longest unused first */
};

struct deliver_ready {
    struct queue_ready queue;
    struct deliver *deliver;
    struct ring_timer timer;
};
struct deliver_connection {
    struct stream stream;
    struct queue_connection queue;
    struct smtp_client client;
    struct deliver_ready *ready;
    struct list link; /* all of the worker */
    struct list held; /* jobs that are settled while their content is still being sent */
    instant began, connected;
    uint64_t sent_seen, acked_seen;
    uint32_t progress_seen;
    uint32_t useful; /* transactions that a receiver decided about */
    bool owed_seen;
    bool backlog;            /* much was sent that had not arrived when the deadline was set */
    bool told;               /* that it ends: queue knows */
    bool speaking;           /* TCP stands, client is in use */
    bool first_job;          /* connect time was told with a job */
    bool suspect;            /* ended at once, by a job that had ended a good one before */
    bool resuming;           /* with a session of an earlier connection */
    uint8_t tls_policy;      /* enum smtp_tls_policy: what was asked for */
    uint32_t tls_generation; /* of the options it was asked for by */
    char *login;             /* user and password, while they may be needed */
    uint32_t login_len;
    struct deliver_tls tls;
    struct deliver_job *sending; /* its content is being queued piece by piece */
    uint32_t piece;              /* next one of it */
    size_t piece_at;
    bool line_start;
    char ehlo[QUEUE_NAME_MAX + 1];
    char name[QUEUE_NAME_MAX + 1]; /* of the host */
    uint8_t name_len;
};

struct deliver {
    struct worker *worker;
    struct ring *ring;
    struct spool *spool;
    struct dns *dns;
    struct deliver **all; /* by worker */
    uint32_t count;
    struct dkim_desk *desk;
    struct dkim_signers *signers; /* of our own messages; NULL: none */
    bool running;                 /* between start and drain */

    /* home */
    struct queue queue;
    struct ring_timer due_timer;
    struct pool attempts, jobs;
    struct deliver_bundle bundles[BUNDLES_MAX];
    uint32_t bundle_next; /* the oldest, modulo BUNDLES_MAX; 0: none is open */
    struct list telling;  /* attempts */
    uint32_t telling_count;
    uint32_t attempts_out, loads, lookups, signing;

    /* owner */
    struct queue_hosts hosts;
    struct queue_clear clear;
    struct deliver_sessions sessions;
    struct table readies;
    struct list readies_idle, dirty, connections;
    uint32_t readies_idle_count, connection_count;
    struct pool connection_pool;
    struct stream_group streams;

    /* shutting down */
    bool draining;
    struct ring_timer drain_timer;
    void (*on_drained)(struct deliver *deliver, void *context);
    void *drained_context;
};
static inline instant deliver_now(const struct deliver *deliver)
{
    return ring_now(deliver->ring);
}
static inline void deliver_count(struct deliver *deliver, enum metrics_counter counter, uint64_t n)
{
    metrics_add(&deliver->worker->metrics, counter, n);
}

/* home.c */
void home_start(struct deliver *deliver, struct queue_entry *entry);
void home_release(struct deliver *deliver);
bool home_decide(struct deliver *deliver); /* true: there is more to do at once */
void home_on_due(struct ring_timer *timer);
void home_arm(struct deliver *deliver);
void home_attempt(struct deliver *deliver, struct queue_entry *entry, struct queue_gate *gate,
                  enum attempt_kind kind);
void home_message_done(struct deliver *deliver, struct queue_message *message);
void home_gauges(struct deliver *deliver);

/* job.c */
struct deliver_job *job_make(struct deliver_attempt *attempt, uint32_t *from, uint32_t most);
void job_free(struct deliver_job *job);
void job_send(struct deliver_job *job); /* to its owner, with job_flush() at the latest */
void job_flush(struct deliver *deliver);
void job_return(struct deliver_job *job); /* to its home */

/* outcome.c */
void outcome_job(struct deliver_job *job); /* a job is back */
void outcome_end(struct deliver_attempt *attempt);
void outcome_unreadable(struct deliver_attempt *attempt);
void outcome_tell(struct deliver *deliver); /* at the end of a turn's decisions */

/* report.c: one DSN for attempts (tell_link) of one message that have findings */
void report_send(struct deliver *deliver, const struct list *attempts);
static inline bool report_is_waited_for(const struct deliver_attempt *attempt)
{
    return attempt->findings.wait && attempt->entry->left > 0;
}

/* account.c */
struct outcome_words { /* what was said, and by whom */
    uint16_t code;
    struct smtp_enhanced enhanced;
    struct bytes text, peer_name;
    bool local;
};
struct outcome_words words_of_verdict(const struct deliver_job *job,
                                      const struct smtp_verdict *verdict);
struct outcome_words words_of_error(const struct queue_error *error);
void account_recipient(struct deliver_attempt *attempt, enum event_type type,
                       const struct smtp_recipient *recipient, const struct outcome_words *words,
                       const struct deliver_job *job);
wall_ms account_created(const struct deliver *deliver, const struct queue_message *message);

/* route.c */
void route_look_up(struct deliver *deliver, struct queue_domain *domain);
void route_cancel(struct deliver *deliver,
                  struct queue_domain *domain); /* no-op without a lookup */

/* owner.c */
void owner_take(struct deliver *deliver, struct deliver_job *job);
bool owner_decide(struct deliver *deliver); /* true: there is more to do at once */
void owner_dirty(struct deliver_ready *ready);
void owner_drain(struct deliver *deliver);
void owner_free_readies(struct deliver *deliver);

/* connection.c */
void connection_open(struct deliver_ready *ready, const struct queue_target *target);
void connection_give(struct deliver_connection *connection, struct deliver_job *job);
void connection_quit(struct deliver_connection *connection);
void connection_abort(struct deliver_connection *connection);
void connection_log(const struct deliver_connection *connection, struct bytes words);
static inline struct deliver_connection *connection_of(struct queue_connection *queue)
{
    return CONTAINER_OF(queue, struct deliver_connection, queue);
}

/* secure.c: TLS and AUTH of a connection */
void secure_options(struct deliver_connection *connection, struct smtp_client_options *options);
void secure_start(struct deliver_connection *connection);
void secure_done(struct deliver_connection *connection, const char *error);
/* The connection ended by its TLS; true: another one is to be tried at once. */
bool secure_goes_on(struct deliver_connection *connection);
void secure_proved(struct deliver_connection *connection); /* it takes transactions */
void secure_end(struct deliver_connection *connection);    /* its memory is about to go */

/* sessions.c: key: whatever makes a session fit */
void sessions_init(struct deliver_sessions *sessions);
void sessions_drop(struct deliver_sessions *sessions); /* all of them */
void sessions_deinit(struct deliver_sessions *sessions);
/* NULL: none. Valid until the next call of one of these. */
const struct tls_session *sessions_find(struct deliver_sessions *sessions, struct bytes key);
void sessions_keep(struct deliver_sessions *sessions, struct bytes key,
                   struct tls_session *session); /* takes it over */
void sessions_forget(struct deliver_sessions *sessions, struct bytes key);

/* content.c: false: not all of it is queued yet */
bool content_begin(struct deliver_connection *connection, struct deliver_job *job, bool stuffed);
bool content_continue(struct deliver_connection *connection);

/* convert.c */
void convert_begin(struct deliver_connection *connection, struct deliver_job *job); /* if needed */
void convert_send_begin(struct deliver_job *job, bool stuffed);
bool convert_send(struct deliver_job *job, struct stream *stream); /* false: not all yet */
void convert_end(struct deliver_job *job);

/* operator.c: a monotonic time as wall time; 0 stays 0 */
wall_ms operator_wall(const struct deliver *deliver, instant at);

/* deliver.c */
void deliver_look_drained(struct deliver *deliver);
