/* SPDX-License-Identifier: Apache-2.0
 *
 * queue - decisions only: which recipient is due, where it goes, over how many connections, how
 *         fast, and when it is tried again
 *
 * Job     two halves that never share memory. HOME keeps the index of what this worker accepted:
 *         messages, split into entries (one a recipient domain), domains, gates, the schedule. The
 *         OWNER half keeps a ready queue for each (site, profile, source) that this worker owns:
 *         connections, windows, rates, hosts that do not answer.
 * Drive   deliver carries out what is decided here and tells what came of it. `now` is always an
 *         argument, randomness too: no I/O, no clock. The simulator runs this very code.
 * Owner   everything belongs to one core. What crosses (struct queue_plan) is never changed once
 *         it is out, and home keeps it alive as long as a job refers to it.
 * Bounds  a waiting message of one recipient costs 192 octets here (spool's 80 included), its place
 *         in the schedule, and its share of a domain; never its text. Content is loaded only for
 *         what a gate has let through.
 *
 *      message ─┬─ entry ── domain ── gate ──(job)──▶ ready queue ─┬─ connection
 *               └─ entry ── domain ──┘   credit        rate, FIFO   └─ connection
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/dns.h"
#include "ringpost/smtp.h"
#include "ringpost/smtp_client.h"
#include "ringpost/spool.h"
#include "ringpost/tls.h"

/* ---- options ------------------------------------------------------------------------------------
 */

enum {
    QUEUE_RETRY_MAX = 32,
    QUEUE_HOPS_MAX = 16,
    QUEUE_NAME_MAX = 255, /* octets of a host, domain or site */
    QUEUE_LABEL_MAX = 63, /* octets of a source's name */
    QUEUE_CONNECTIONS_MAX = 1000,
    QUEUE_RECIPIENTS_MAX = 1000, /* of one transaction */
};

struct queue_site_options {
    uint32_t connections_max;            /* of the site and source, over all workers; default 20 */
    uint32_t messages_per_connection;    /* 0 = no limit; default 1000 */
    uint32_t recipients_per_transaction; /* default 100 */
    duration message_interval;           /* 1 s / (messages a second); 0 = no limit. Exact */
    uint32_t message_burst;              /* sent at once after a pause; default 1 */
    duration connect_timeout;            /* TCP; default 30 s */
    duration idle_timeout;               /* a connection without work; default 5 s */
    struct smtp_client_timeouts timeouts;
    uint32_t
        retry_s[QUEUE_RETRY_MAX]; /* pause after the 1st, 2nd ... failure; the last one stays */
    uint32_t retry_count;         /* > 0 */
    uint32_t expiry_s;            /* age at which a recipient is given up; default 5 days */
    uint32_t delay_notice_s;      /* age of the DSN for NOTIFY=DELAY; 0 = never; default 4 h */
    uint32_t host_pause_s;     /* a host that failed is left alone that long; doubles; default 60 */
    uint32_t host_pause_max_s; /* default 3600. Both never above the first and last retry_s */
    uint16_t port;             /* default 25 */
    uint16_t source;           /* index in queue_options.sources */
    uint8_t window_max;        /* messages in flight with CHUNKING; 0 = the client's own maximum */
    bool pipelining, chunking; /* used when offered; default true */
    uint8_t eight_bit;         /* enum smtp_eight_bit: to a receiver without 8BITMIME */
};
void queue_site_options_default(struct queue_site_options *options);

/* TLS with the receivers of a site. Apart from the options above, which travel in plans by value
 * and may be older than the snapshot: this is looked up when a connection is opened. */
struct queue_tls {
    uint8_t policy;         /* enum smtp_tls_policy; default may */
    uint32_t fail_memory_s; /* may: a host whose handshake failed is spoken to in clear for so long;
                               > 0; default 3600 */
    const char *const *names; /* one of them must be the certificate's; none: the host's own name */
    uint32_t name_count;
    struct tls_client *client; /* the snapshot's; shared by sites alike. NULL: TLS cannot be had */
};
void queue_tls_default(struct queue_tls *tls);

struct queue_source {
    char name[QUEUE_LABEL_MAX + 1];
    char ehlo[QUEUE_NAME_MAX + 1];     /* empty = queue_options.hostname */
    struct address address4, address6; /* bind to; family 0 = any. When only one family is given,
                                          targets of the other one are not used */
};
struct queue_hop {
    char host[QUEUE_NAME_MAX + 1]; /* a name (addresses are looked up, no MX) or an IP address */
    uint16_t port;                 /* 0 = the site's */
};
/* Mail for a domain goes to the hops, in order of trial, whatever MX says. */
struct queue_route {
    char domain[QUEUE_NAME_MAX + 1]; /* lower case, A-labels; "*" = every domain without its own */
    struct queue_hop hops[QUEUE_HOPS_MAX];
    uint32_t hop_count;    /* > 0 */
    bool tls_implicit;     /* TLS from the first octet on (RFC 8314), never in clear */
    bool auth_clear;       /* the password may go without TLS */
    struct bytes user;     /* AUTH (RFC 4954); empty: none */
    struct bytes password; /* each up to SMTP_CLIENT_LOGIN_MAX octets */
};
/* Settings of a site. The first match counts, looked for in this order: the recipient's domain, the
 * site's name, the most preferred mail host or a parent domain of it. */
struct queue_site {
    char name[QUEUE_NAME_MAX + 1]; /* lower case, no dot at the ends */
    struct queue_site_options options;
    struct queue_tls tls;
};
/* One immutable snapshot. Whoever made it keeps it until queue_set_options() was called with the
 * next one on every worker: pointers into it are never kept beyond a turn. */
struct queue_options {
    char hostname[QUEUE_NAME_MAX + 1]; /* ours: Reporting-MTA, EHLO where a source names none, and
                                          the domain of a bare <Postmaster> */
    struct queue_site_options defaults;
    struct queue_tls default_tls;
    const struct queue_site *sites;
    size_t site_count;
    const struct queue_route *routes;
    size_t route_count;
    const struct queue_source *sources; /* none = one named "default" without addresses */
    size_t source_count;
    bool ipv4_first;          /* as for dns */
    uint32_t jobs_max;        /* handed out by one worker at a time; default 20,000 */
    uint32_t gate_jobs_max;   /* of these for one ready queue; default 1,000 */
    uint32_t connections_max; /* of one worker, to all receivers; default 4,000 */
    uint64_t job_bytes_max;   /* content and bookkeeping of these; default 256 MiB */
    uint64_t error_bytes_max; /* texts of last errors kept by one worker; default 32 MiB */
};
void queue_options_default(struct queue_options *options);
/* NULL if there is none. domain: normalised. */
const struct queue_route *queue_options_route(const struct queue_options *options,
                                              struct bytes domain);
/* The settings that apply; *profile is the name of the block, empty for the default. host: the most
 * preferred mail host, may be empty. */
const struct queue_site_options *queue_options_site(const struct queue_options *options,
                                                    struct bytes domain, struct bytes site,
                                                    struct bytes host, struct bytes *profile);
/* Of the block of that name; of the default when there is none (any more). */
const struct queue_tls *queue_options_tls(const struct queue_options *options,
                                          struct bytes profile);
const struct queue_source *queue_options_source(const struct queue_options *options,
                                                uint16_t index);

/* ---- pure decisions -----------------------------------------------------------------------------
 */

/* Pause after the given count of failures (> 0), with up to a tenth of jitter, never shorter than
 * configured. */
duration queue_retry_pause(const struct queue_site_options *options, uint32_t attempts,
                           struct random *random);
/* How long a host that failed for the given count of times in a row (> 0) is left alone. */
duration queue_host_pause(const struct queue_site_options *options, uint32_t failures);

/* A rate without drift and without floating point (the virtual schedule of GCRA): over any span T
 * at most T / interval + burst messages. */
struct queue_rate {
    instant next; /* when the bucket would be full again, less the burst */
};
/* When the next message may go: now, or later. */
instant queue_rate_at(const struct queue_rate *rate, const struct queue_site_options *options,
                      instant now);
void queue_rate_take(struct queue_rate *rate, const struct queue_site_options *options,
                     instant now);

/* How many connections the backlog is worth. One more is opened only when those that stand would
 * need longer than QUEUE_BACKLOG_US for what waits: a fast receiver gets few connections with full
 * windows, a slow one as many as it may have. */
enum { QUEUE_BACKLOG_US = 5000 };
struct queue_load {
    uint32_t waiting;        /* jobs not yet given to a connection */
    uint32_t open, opening;  /* connections */
    uint32_t in_flight;      /* jobs given to connections */
    uint32_t transaction_us; /* smoothed time from giving a job to its result; 0 = not known */
    uint32_t connections_max;
};
/* Connections to open now, 0 or more. */
uint32_t queue_connections_wanted(const struct queue_load *load);

/* ---- last errors --------------------------------------------------------------------------------
 *
 * Equal ones are kept once. Over error_bytes_max only the code is kept. */

enum { QUEUE_ERROR_TEXT_MAX = 300, QUEUE_PEER_MAX = 100 };
struct queue_error {
    uint64_t hash;
    uint32_t refs;
    uint16_t code; /* 0 = no reply: our own words */
    struct smtp_enhanced enhanced;
    uint16_t text_len;
    uint8_t peer_len; /* the host that said so, if any */
    bool reply;       /* the words of a receiver, not ours */
    bool permanent;
    char text[]; /* text, then peer */
};
static inline struct bytes queue_error_text(const struct queue_error *error)
{
    return (struct bytes){error->text, error->text_len};
}
static inline struct bytes queue_error_peer(const struct queue_error *error)
{
    return (struct bytes){error->text + error->text_len, error->peer_len};
}
struct queue_error_view { /* to make one from */
    uint16_t code;
    struct smtp_enhanced enhanced;
    bool reply, permanent;
    struct bytes text, peer;
};

/* ---- home: messages and entries -----------------------------------------------------------------
 */

struct queue_domain;
struct queue_gate;

enum queue_entry_state {
    QUEUE_ENTRY_NEW = 0,   /* not started yet */
    QUEUE_ENTRY_WAITING,   /* for its due time */
    QUEUE_ENTRY_ROUTING,   /* for DNS */
    QUEUE_ENTRY_GATED,     /* for its gate's credit */
    QUEUE_ENTRY_FAILING,   /* ->error is the outcome of this attempt; to be recorded */
    QUEUE_ENTRY_ACTIVE,    /* content is loaded or being loaded, jobs are out */
    QUEUE_ENTRY_REPORTING, /* a DSN about it is being made durable */
    QUEUE_ENTRY_DONE,      /* no recipient left */
    QUEUE_ENTRY_STATE_COUNT,
};
const char *queue_entry_state_name(uint8_t state); /* "waiting", for people */

/* Of one recipient: an octet. */
enum queue_status {
    QUEUE_PENDING = 0,
    QUEUE_DELIVERED,
    QUEUE_FAILED,  /* refused or expired, and the sender was told if he is to be */
    QUEUE_DELETED, /* by the operator */
    QUEUE_STATUS_MASK = 7,
    QUEUE_DELAY_TOLD = 8, /* the DSN "delayed" was sent */
};

/* Recipients of one message in one domain; tried together. */
struct queue_entry {
    struct list domain_link; /* with all others of the domain */
    struct list wait_link;   /* ROUTING: domain; GATED: gate; FAILING: queue */
    struct queue_message *message;
    struct queue_domain *domain;
    struct queue_error *error; /* the last one, or NULL */
    struct heap_node timer;    /* WAITING: due; ROUTING, GATED: expiry */
    uint32_t first, count;     /* recipients, in the message's order by domain */
    uint32_t left;             /* of these pending */
    uint16_t attempts;
    uint16_t dns_ms; /* spent on the lookup for this attempt; 0 = none */
    uint8_t state;   /* enum queue_entry_state */
    uint8_t status;  /* enum queue_status, when the message has one recipient */
    bool deleted;    /* by the operator while ACTIVE: undelivered recipients go when it is back */
};
struct queue_split { /* only of messages with several recipients; one piece of memory */
    struct queue_entry *entries;
    uint32_t entry_count, recipient_count;
    uint32_t *offsets; /* of each recipient, in envelope.recipients, by domain */
    uint8_t *statuses; /* enum queue_status, in the same order */
};
struct queue_message {
    struct spool_message spool; /* first */
    struct queue_entry entry;   /* the first one; all others are in split */
    struct queue_split *split;  /* NULL: one recipient */
    uint32_t entries_left;
    int32_t born_s;       /* seconds since queue->epoch; negative: accepted by an earlier process */
    uint32_t accepted_us; /* instant in microseconds, its low half; 0 = before this process */
    bool admitted;
    bool fresh;  /* accepted by this process and not tried yet */
    bool failed; /* its content is damaged or unreadable */
};
static inline uint32_t queue_message_entries(const struct queue_message *message)
{
    return message->split == NULL ? 1 : message->split->entry_count;
}
static inline uint32_t queue_message_recipients(const struct queue_message *message)
{
    return message->split == NULL ? 1 : message->split->recipient_count;
}
static inline struct queue_entry *queue_message_entry(struct queue_message *message, uint32_t index)
{
    return message->split == NULL ? &message->entry : &message->split->entries[index];
}
static inline uint8_t *queue_status_of(struct queue_entry *entry, uint32_t index)
{
    struct queue_split *split = entry->message->split;
    return split == NULL ? &entry->status : &split->statuses[entry->first + index];
}
static inline struct queue_message *queue_message_of(const struct spool_message *spool)
{
    return CONTAINER_OF(spool, struct queue_message, spool);
}

/* ---- home: domains, plans, gates ----------------------------------------------------------------
 */

struct queue_site_name { /* interned: which site a domain belonged to when last routed */
    uint64_t hash;
    uint32_t refs;
    uint32_t domains, entries, active; /* for one summary */
    instant next_due;
    const struct queue_error *error;
    uint16_t len;
    char name[];
};
struct queue_domain { /* lives while it has entries, and a while longer */
    struct list entries, waiting, gate_link, idle_link;
    struct queue_gate *gate; /* NULL: route not known */
    struct queue_site_name *site;
    struct queue_error *error; /* the newest of its entries */
    void *lookup;              /* the driver's, while the route is being looked up */
    uint64_t hash;
    instant route_until;
    instant next_due; /* of WAITING entries; 0 = not known, see queue_domain_next_due() */
    uint32_t entry_count, active; /* active: not WAITING */
    uint32_t generation;          /* of the options the gate was chosen by */
    uint32_t mark;                /* used while a message is split; else 0 */
    uint16_t name_len;
    char name[]; /* lower case */
};
static inline struct bytes queue_domain_name(const struct queue_domain *domain)
{
    return (struct bytes){domain->name, domain->name_len};
}

/* Where and how mail of one ready queue goes. Never changed once made; home counts the references,
 * the owner only reads while it has a job that refers to it. */
struct queue_target {
    struct address address; /* with port */
    uint16_t preference;
    uint8_t host; /* targets of one host have the same number */
    uint8_t name_len;
    uint32_t name_start;
};
struct queue_plan {
    uint32_t refs;       /* of whoever allocated it */
    uint32_t size;       /* octets of this piece of memory; it holds no pointers */
    uint32_t version;    /* grows; of its home */
    uint32_t generation; /* of the options it was made by */
    uint64_t hash;       /* of the key */
    instant fresh_until; /* the answer of DNS may be used until then */
    struct queue_site_options options;
    struct queue_source source;
    bool tls_implicit, auth_clear;
    uint16_t user_len, password_len;
    uint32_t user_start; /* then the password */
    uint16_t site_len, profile_len, key_len;
    uint16_t target_count;
    struct queue_target targets[]; /* in order of trial; then the texts: key, names of hosts, login.
                                      key: site, NUL, profile, NUL, name of the source */
};
static inline const char *queue_plan_text(const struct queue_plan *plan)
{
    return (const char *)&plan->targets[plan->target_count];
}
static inline struct bytes queue_plan_key(const struct queue_plan *plan)
{
    return (struct bytes){queue_plan_text(plan), plan->key_len};
}
static inline struct bytes queue_plan_site(const struct queue_plan *plan)
{
    return (struct bytes){queue_plan_text(plan), plan->site_len};
}
static inline struct bytes queue_plan_profile(const struct queue_plan *plan)
{
    return (struct bytes){queue_plan_text(plan) + plan->site_len + 1, plan->profile_len};
}
static inline struct bytes queue_plan_user(const struct queue_plan *plan)
{
    return (struct bytes){queue_plan_text(plan) + plan->user_start, plan->user_len};
}
static inline struct bytes queue_plan_password(const struct queue_plan *plan)
{
    return (struct bytes){queue_plan_text(plan) + plan->user_start + plan->user_len,
                          plan->password_len};
}
static inline struct bytes queue_plan_source(const struct queue_plan *plan)
{
    return bytes_of(plan->source.name);
}
static inline struct bytes queue_target_name(const struct queue_plan *plan,
                                             const struct queue_target *target)
{
    return (struct bytes){queue_plan_text(plan) + target->name_start, target->name_len};
}
/* A reference less; the last one frees it. Nulls the pointer. */
void queue_plan_put(struct queue_plan **plan);
struct queue_plan_input { /* host names and addresses in order of trial */
    struct bytes site, profile;
    const struct queue_site_options *options;
    const struct queue_source *source;
    bool tls_implicit, auth_clear;
    struct bytes user, password; /* who logs in there is part of the site's name */
    struct {
        struct address address;
        uint16_t preference;
        uint8_t host;
        struct bytes name;
    } targets[DNS_TARGETS_MAX];
    size_t target_count;
    instant fresh_until;
};

struct queue_gate {
    struct list link;    /* in gates_ready or gates_idle, else alone */
    struct list domains; /* that go through here */
    struct list waiting; /* entries, first come first served */
    struct queue_plan *plan;
    struct queue_error *blocked_error;
    instant blocked_until; /* no host answers: nothing is let through, entries fail at once */
    uint32_t out;          /* entries let through and not back */
    uint32_t waiting_count;
    uint32_t credit;         /* most entries out */
    uint32_t recipients_max; /* learned: "too many recipients" above these; 0 = unknown */
    uint32_t owner;          /* worker */
    uint8_t place;           /* which list link is in: enum queue_gate_place */
};
enum queue_gate_place { QUEUE_GATE_ALONE = 0, QUEUE_GATE_READY, QUEUE_GATE_IDLE };

/* ---- home: the index ----------------------------------------------------------------------------
 */

struct queue {
    const struct queue_options *options;
    uint32_t generation; /* of options */
    uint32_t worker, workers;
    uint64_t seed;
    uint64_t key_seed; /* the same in all workers: it decides who owns a ready queue */
    int64_t epoch_s;   /* instant of creation, in seconds */
    uint32_t plan_version;
    struct random random;
    struct heap schedule;
    struct pool messages;
    struct table domains, gates, errors, site_names;
    struct list domains_idle, gates_ready, gates_idle;
    struct list failing; /* entries */
    uint32_t domains_idle_count, gates_idle_count;
    uint32_t out; /* entries let through, of all gates */
    uint64_t out_bytes;
    uint64_t error_bytes, domain_bytes, site_bytes, split_bytes;
    uint64_t message_count, recipient_count; /* still queued */
};
void queue_init(struct queue *queue, const struct queue_options *options, uint32_t worker,
                uint32_t workers, instant now, uint64_t seed);
void queue_deinit(struct queue *queue); /* all messages were freed */
/* The new snapshot; the old one is not looked at any more once this returns. */
void queue_set_options(struct queue *queue, const struct queue_options *options);
uint64_t queue_index_bytes(const struct queue *queue);

struct queue_message *queue_message_new(struct queue *queue);
/* One that was never admitted, or is done. */
void queue_message_free(struct queue *queue, struct queue_message *message);
/* Splits it into entries, state NEW. false: the envelope has no recipients (damaged).
 * age: since it was accepted. */
MUST_USE bool queue_message_admit(struct queue *queue, struct queue_message *message,
                                  const struct smtp_envelope *envelope, instant now, duration age);
/* Takes all its entries out, whatever their state (no job may be out). For shutdown and damage. */
void queue_message_forget(struct queue *queue, struct queue_message *message);
/* How old it is; immune to jumps of the wall clock. */
duration queue_message_age(const struct queue *queue, const struct queue_message *message,
                           instant now);
/* The state that survives a restart (spool's describe and recovered). */
void queue_message_describe(const struct queue *queue, const struct queue_message *message,
                            instant now, wall_ms wall, struct text *out);
/* After admit; empty or damaged state: as if never tried. Entries come out WAITING or DONE. */
void queue_message_restore(struct queue *queue, struct queue_message *message, struct bytes state,
                           instant now, wall_ms wall);

/* Its recipient by number (0 .. count - 1 of the entry). */
bool queue_entry_recipient(const struct queue_entry *entry, const struct smtp_envelope *envelope,
                           uint32_t index, struct smtp_recipient *recipient);
static inline bool queue_is_pending(uint8_t status)
{
    return (status & QUEUE_STATUS_MASK) == QUEUE_PENDING;
}

/* ---- home: the life of an entry -----------------------------------------------------------------
 *
 *     NEW, WAITING ──start──▶ ROUTING ──routed──▶ GATED ──release──▶ ACTIVE ──▶ WAITING | DONE
 *                               └──▶ FAILING ◀─────┘                  └▶ REPORTING ─┘
 */

/* The first entry whose time has come, NULL when none; its state is NEW then. *stuck: it was
 * ROUTING or GATED for too long, and is to be expired; else start it. */
struct queue_entry *queue_due(struct queue *queue, instant now, bool *stuck);
static inline instant queue_next_due(const struct queue *queue) /* INSTANT_FOREVER if none */
{
    return heap_first_key(&queue->schedule);
}

enum queue_start {
    QUEUE_START_LOOKUP = 0, /* the domain's route is to be looked up; the entry waits there */
    QUEUE_START_ROUTING,    /* it is being looked up already: domain->lookup is set */
    QUEUE_START_GATED,
    QUEUE_START_FAILING, /* no host of its site answers */
};
enum queue_start queue_start(struct queue *queue, struct queue_entry *entry, instant now);
/* The domain's route is known: its gate is found or made, and gets the entries that waited. */
struct queue_gate *queue_domain_routed(struct queue *queue, struct queue_domain *domain,
                                       const struct queue_plan_input *input, instant now);
/* The driver has ended its lookup (domain->lookup is NULL again). */
void queue_domain_look(struct queue *queue, struct queue_domain *domain);
/* There is no route: the entries that waited for it are FAILING. */
void queue_domain_unrouted(struct queue *queue, struct queue_domain *domain,
                           const struct queue_error_view *why);
/* The next FAILING entry: ACTIVE, with its outcome in ->error. NULL: none. */
struct queue_entry *queue_failing(struct queue *queue);

/* The next entry that may have its content loaded and jobs made: ACTIVE. NULL: none now. Each one
 * comes back through queue_back() once, before its state changes. */
struct queue_entry *queue_release(struct queue *queue, struct queue_gate **gate);
void queue_back(struct queue *queue, struct queue_gate *gate, const struct queue_entry *entry);
/* Recipients of one transaction there. */
uint32_t queue_gate_recipients(const struct queue_gate *gate);
/* The owner says that no host of it answers until then: what waits is FAILING. */
void queue_gate_block(struct queue *queue, struct queue_gate *gate, instant until,
                      const struct queue_error_view *why);
void queue_gates_unblock(struct queue *queue);

void queue_entry_wait(struct queue *queue, struct queue_entry *entry, instant due); /* WAITING */
void queue_entry_report(struct queue_entry *entry);                                 /* REPORTING */
void queue_entry_activate(
    struct queue_entry *entry);                    /* NEW to ACTIVE: to be settled without jobs */
void queue_entry_renew(struct queue_entry *entry); /* ACTIVE, REPORTING to NEW: to be started */
/* One recipient got a final status; true when the entry has none left: DONE, out of its domain. */
bool queue_recipient_settled(struct queue *queue, struct queue_entry *entry, uint32_t index,
                             enum queue_status status);
void queue_entry_set_error(struct queue *queue, struct queue_entry *entry,
                           const struct queue_error_view *view);
/* When the entry is given up, as an instant; 0 = before this machine's clock began. */
instant queue_entry_expiry(const struct queue *queue, const struct queue_entry *entry);
/* When one that waits for others (DNS, its turn) from now on is given up: that, or in a minute. */
instant queue_entry_patience(const struct queue *queue, const struct queue_entry *entry,
                             instant now);
/* The settings for an entry: of its gate, or by its domain alone. */
const struct queue_site_options *queue_entry_options(const struct queue *queue,
                                                     const struct queue_entry *entry);

/* ---- home: for the operator ---------------------------------------------------------------------
 */

struct queue_domain *queue_domain_find(const struct queue *queue, struct bytes name);
instant queue_domain_next_due(const struct queue *queue,
                              struct queue_domain *domain);                          /* 0 = none */
instant queue_entry_due(const struct queue *queue, const struct queue_entry *entry); /* 0 = none */
/* Out of what it waits in: NEW, to be started or settled. ACTIVE, REPORTING: false, not now. */
MUST_USE bool queue_entry_interrupt(struct queue *queue, struct queue_entry *entry);
struct queue_message *queue_find(const struct queue *queue, uint64_t id); /* walks the index */
static inline struct bytes queue_site_text(const struct queue_site_name *site)
{
    return (struct bytes){site->name, site->len};
}

/* ---- owner: hosts that do not answer ------------------------------------------------------------
 */

struct queue_host {
    struct list link;    /* oldest first */
    struct list waiters; /* ready queues that wait for what comes of ->opening */
    uint64_t hash;
    struct address address;
    uint64_t settings; /* whose experience it is: see queue_hosts_find() */
    uint32_t failures; /* in a row; 0 = it is only here because connections are being opened */
    uint32_t opening;  /* connections */
    instant until;     /* not to be tried before */
    uint16_t code;
    struct smtp_enhanced enhanced;
    bool reply;
    uint16_t text_len;
    char text[QUEUE_ERROR_TEXT_MAX];
};
struct queue_hosts { /* one a worker */
    struct table table;
    struct list list;
    struct list woken;   /* ready queues to be decided on again */
    struct list waiters; /* ready queues that wait for any connection to close */
    struct pool pool;
    uint32_t host_count_max;
    uint32_t connections, connections_max;
};
enum { QUEUE_HOST_OPENING_MAX = 8 }; /* connections to a host of which nothing is known yet */
void queue_hosts_init(struct queue_hosts *hosts, uint32_t host_count_max, uint32_t connections_max);
void queue_hosts_deinit(struct queue_hosts *hosts); /* no connection is left */
/* Plans whose settings come from a site block of their own, or that log in, have their own
 * experience with a host: where TLS is a must it may fail every time, and serve all others well. */
struct queue_host *queue_hosts_find(const struct queue_hosts *hosts, const struct queue_plan *plan,
                                    const struct address *address);
void queue_hosts_forget(struct queue_hosts *hosts); /* the operator says: try again now */
uint32_t queue_hosts_paused(const struct queue_hosts *hosts, instant now);
/* The next ready queue to be decided on again; NULL: none. */
struct queue_ready *queue_hosts_woken(struct queue_hosts *hosts);

/* ---- owner: hosts whose TLS does not work
 * --------------------------------------------------------
 *
 * Where the policy is may, they are spoken to in clear for a while. */

struct queue_clear { /* one a worker */
    struct table table;
    struct list list; /* oldest first */
    struct pool pool;
    uint32_t count_max;
};
void queue_clear_init(struct queue_clear *clear, uint32_t count_max);
void queue_clear_deinit(struct queue_clear *clear);
/* Over count_max the oldest one is forgotten. */
void queue_clear_add(struct queue_clear *clear, const struct address *address, instant until);
bool queue_clear_has(const struct queue_clear *clear, const struct address *address, instant now);
void queue_clear_forget(struct queue_clear *clear); /* all of them */

/* ---- owner: the ready queue ---------------------------------------------------------------------
 */

struct queue_job { /* embedded in the driver's job */
    struct list link;
    instant given;    /* to a connection */
    instant expires;  /* not to be given later; 0 = whenever */
    uint8_t put_back; /* times that count: bounded */
};
enum queue_connection_state {
    QUEUE_CONNECTION_CLOSED = 0,
    QUEUE_CONNECTION_OPENING, /* TCP, greeting, EHLO */
    QUEUE_CONNECTION_OPEN,    /* takes jobs */
    QUEUE_CONNECTION_CLOSING, /* takes no more; still counts against the limit */
    QUEUE_CONNECTION_STATE_COUNT,
};
struct queue_connection { /* embedded in the driver's connection */
    struct list link;     /* in one of the lists of its ready queue */
    struct address peer;
    uint8_t state;      /* enum queue_connection_state */
    bool room;          /* its window takes one more */
    uint32_t in_flight; /* jobs */
    uint32_t given;     /* jobs, ever */
    instant idle_since; /* in_flight became 0 */
};
struct queue_ready {
    struct list dirty_link; /* the driver's: to be decided on in this turn */
    struct list wake_link;  /* in a list of hosts */
    struct list idle_link;  /* the driver's: neither jobs nor connections */
    uint64_t hash;
    struct queue_plan *plan;   /* own copy of what a home sent last */
    uint32_t plan_version[64]; /* seen, by home */
    struct list jobs;          /* waiting, first come first served */
    struct list idle;          /* connections: without jobs, newest first */
    struct list busy;          /* with jobs and room for more, longest use ago first */
    struct list full;          /* all others */
    uint32_t waiting, in_flight;
    uint32_t open, opening, closing; /* connections */
    uint32_t transaction_us;         /* smoothed */
    instant last_result;             /* or when the first job was given after a pause */
    uint32_t refused_at; /* the receiver refused more connections than these, until then */
    instant refused_until;
    struct queue_rate rate;
    bool draining;           /* gives no jobs, opens nothing */
    instant lock_step_until; /* learned: confused by pipelining, or it may be */
    uint8_t window;          /* learned: a good start for the next connection; 0 = unknown */
    uint32_t window_octets;  /* likewise */
};
void queue_ready_init(struct queue_ready *ready);
void queue_ready_deinit(struct queue_ready *ready); /* no job, no connection */
/* A job refers to a plan that may be news: takes a copy if so. */
void queue_ready_plan(struct queue_ready *ready, const struct queue_plan *plan, uint32_t home);
void queue_ready_add(struct queue_ready *ready, struct queue_job *job);
/* Back to the front. counts: nothing was gained meanwhile, so that it must not happen without end.
 * false: it was put back too often, the caller settles it. */
MUST_USE bool queue_ready_put_back(struct queue_ready *ready, struct queue_job *job, bool counts);
struct queue_job *queue_ready_take(struct queue_ready *ready); /* a waiting one, NULL: none */
static inline bool queue_ready_is_idle(const struct queue_ready *ready)
{
    return ready->waiting == 0 && ready->open + ready->opening + ready->closing == 0;
}

enum queue_step {
    QUEUE_STEP_WAIT = 0, /* nothing to do before ->at (INSTANT_FOREVER: until something happens) */
    QUEUE_STEP_OPEN,     /* open a connection to ->target, and say so: queue_connection_opening() */
    QUEUE_STEP_GIVE,     /* give ->job to ->connection, then queue_connection_room() */
    QUEUE_STEP_CLOSE,    /* end ->connection politely; it is CLOSING already */
    QUEUE_STEP_FAIL,     /* no host answers until ->at: settle ->job with the error of ->host */
    QUEUE_STEP_EXPIRE,   /* ->job has waited for its turn until its time was over */
};
struct queue_decision {
    enum queue_step step;
    const struct queue_target *target;
    struct queue_job *job;
    struct queue_connection *connection;
    const struct queue_host *host; /* FAIL; NULL: none of the targets can be used from here */
    instant at;
};
/* Call until WAIT. */
struct queue_decision queue_ready_decide(struct queue_ready *ready, struct queue_hosts *hosts,
                                         struct random *random, instant now);

void queue_connection_opening(struct queue_ready *ready, struct queue_hosts *hosts,
                              struct queue_connection *connection, const struct address *peer);
/* It speaks SMTP with us: the host is well. */
void queue_connection_opened(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection, bool room, instant now);
/* Its window has changed. */
void queue_connection_room(struct queue_ready *ready, struct queue_connection *connection,
                           bool room);
/* One of its jobs has its result. */
void queue_connection_settled(struct queue_ready *ready, struct queue_connection *connection,
                              const struct queue_job *job, instant now);
/* Takes no more jobs. */
void queue_connection_closing(struct queue_ready *ready, struct queue_connection *connection);
/* It could not be opened, was refused at its greeting, or died before it was of any use: the host
 * is left alone for a while - or, when other connections to it work, no more than these are opened
 * for a while. The connection is CLOSING then. */
void queue_connection_failed(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection,
                             const struct queue_error_view *why, instant now);
/* It is gone; its jobs were settled before. */
void queue_connection_closed(struct queue_ready *ready, struct queue_hosts *hosts,
                             struct queue_connection *connection);
