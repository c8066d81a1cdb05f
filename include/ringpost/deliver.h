/* SPDX-License-Identifier: Apache-2.0
 *
 * deliver - carries out the decisions of queue, and records what came of them
 *
 * Job     one a worker, with two halves (DESIGN section 2). HOME takes over what receive has made
 *         durable, asks DNS, hands jobs to the owners of the ready queues, writes outcomes to the
 *         spool and the account, sends DSNs. The OWNER half opens connections to receivers and
 *         drives smtp_client on them.
 * Drive   by hooks of the worker, callbacks of ring, dns and spool, and messages between cores.
 * Owner   messages belong to deliver from deliver_accept() on, or from the spool's recovery.
 * Order   workers_create, deliver_create (each), deliver_link, spool_create (each) with
 *         deliver_spool_callbacks(), dns_create (each), deliver_start (each, before its worker
 *         runs or on its core), ..., deliver_drain, deliver_destroy, spool_destroy, dns_destroy.
 * Safety  a failed recipient is marked done only when its DSN is durable: a crash in between sends
 *         the DSN twice at worst, and never loses it.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/dns.h"
#include "ringpost/event.h"
#include "ringpost/queue.h"
#include "ringpost/spool.h"
#include "ringpost/worker.h"

struct deliver;
struct dkim_desk;
struct dkim_signers;

/* ---- start and stop -----------------------------------------------------------------------------
 */

/* desk: of the same worker. options: a snapshot that stays until deliver_set_options() with the
 * next one has returned. Adds its hooks to the worker. */
struct deliver *deliver_create(struct worker *worker, struct dkim_desk *desk,
                               const struct queue_options *options);
/* Makes the delivers of all workers known to each other, in the order of the workers. */
void deliver_link(struct deliver **delivers, uint32_t count);
/* For spool_create() of the same worker; their context is the deliver. */
const struct spool_callbacks *deliver_spool_callbacks(void);
/* From now on mail goes out. */
void deliver_start(struct deliver *deliver, struct spool *spool, struct dns *dns);
/* Mail for the domain goes by a route of the operator's, not by MX. */
bool deliver_is_routed(const struct deliver *deliver, struct bytes domain);
/* On its own core, with the next snapshot; what waits is routed anew when it is next due. */
void deliver_set_options(struct deliver *deliver, const struct queue_options *options);
/* Who signs our own messages (DSNs) with DKIM: before the start, or on its own core. NULL: nobody.
 * Counted: deliver holds on to it by itself. */
void deliver_set_signers(struct deliver *deliver, struct dkim_signers *signers);

/* Nothing new is begun; transactions in flight are finished, connections closed. on_drained comes
 * once, on this core, at the latest at the instant: what is in flight then is cut off (and is tried
 * again by the next process). Call it on all workers; also those that own nothing. DSNs that are
 * being written may still be: the spool is to be run until spool_is_idle(). */
void deliver_drain(struct deliver *deliver, instant until,
                   void (*on_drained)(struct deliver *deliver, void *context), void *context);
/* Drained, on all workers. Lets go of all messages; the spool keeps them. Nulls the pointer. */
void deliver_destroy(struct deliver **deliver);

/* ---- accepting ----------------------------------------------------------------------------------
 */

/* The handle that receive gives to spool_draft_commit() as &message->spool. */
struct queue_message *deliver_message_new(struct deliver *deliver);
/* The draft was aborted or failed: the handle was never used. */
void deliver_message_free(struct deliver *deliver, struct queue_message *message);
/* From the draft's on_committed(SPOOL_OK): the message is loaded and pinned once; both the message
 * and that pin are deliver's now. */
void deliver_accept(struct deliver *deliver, struct queue_message *message);

/* ---- for the operator: each on the worker's own core, about the messages of that worker
 * ----------
 */

struct deliver_totals {
    uint64_t messages, recipients; /* queued */
    uint64_t active;               /* entries being worked on, or due */
    uint64_t index_bytes;
    uint32_t connections, ready_queues; /* owned by this worker */
    uint32_t hosts_paused;
};
void deliver_totals(struct deliver *deliver, struct deliver_totals *totals);

/* A line of the summary: a domain, or a site (all domains last seen there). */
struct deliver_group {
    struct bytes name, site;  /* site: empty when not known */
    uint32_t entries, active; /* an entry: the recipients of one message in one domain */
    wall_ms next_due;         /* 0 = none waits */
    struct bytes error, peer; /* the newest */
    uint16_t code;            /* 0 = none */
    struct smtp_enhanced enhanced;
    uint32_t connections; /* site only: of ready queues that this worker owns */
};
/* The groups with the most entries first, `max` at the most; returns how many there are in all. */
uint32_t deliver_summary(struct deliver *deliver, bool by_site, uint32_t max,
                         void (*each)(void *context, const struct deliver_group *group),
                         void *context);

struct deliver_item {
    uint64_t id;
    struct bytes domain;
    uint32_t recipients_left;
    uint64_t size;
    wall_ms created, due; /* due 0: being worked on */
    uint16_t attempts;
    const char *state; /* "waiting", ... */
    struct bytes error, peer;
    uint16_t code;
    struct smtp_enhanced enhanced;
};
/* Entries of one domain (empty: of all), at most max; returns how many were told. */
uint32_t deliver_list(struct deliver *deliver, struct bytes domain, uint32_t max,
                      void (*each)(void *context, const struct deliver_item *item), void *context);

/* Everything about one message. The content may have to be read from disk first, so the answer
 * comes later, or at once. */
struct deliver_show {
    struct spool_load load; /* private */
    struct deliver *deliver;
    bool loading;
    uint64_t id;
    /* found false: no such message here; then nothing else is set. envelope.reverse_path.data is
     * NULL when the content could not be read. Valid during the call. */
    void (*on_shown)(struct deliver_show *show, bool found, const struct queue_message *message,
                     const struct smtp_envelope *envelope);
};
void deliver_show(struct deliver *deliver, uint64_t id, struct deliver_show *show);
/* For on_shown: all its entries and recipients in turn. status: enum queue_status. */
void deliver_show_entries(struct deliver *deliver, const struct queue_message *message,
                          const struct smtp_envelope *envelope,
                          void (*entry)(void *context, const struct deliver_item *item),
                          void (*recipient)(void *context, const struct smtp_recipient *recipient,
                                            uint8_t status),
                          void *context);

/* What retry and delete are about: id, else domain, else all. */
struct deliver_target {
    uint64_t id; /* 0 = none */
    struct bytes domain;
};
/* Due now; hosts that were left alone are tried again. Returns how many entries. */
uint32_t deliver_retry(struct deliver *deliver, const struct deliver_target *target);
/* Recipients are given up without a DSN, with an AdminBounce record each. What is in flight is
 * deleted when it comes back undelivered. Returns how many entries. Neither id nor domain: none. */
uint32_t deliver_delete(struct deliver *deliver, const struct deliver_target *target);
/* Hosts that were left alone are tried again: on the workers that own nothing of the message. */
void deliver_hosts_forget(struct deliver *deliver);
