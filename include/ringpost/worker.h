/* SPDX-License-Identifier: Apache-2.0
 *
 * worker - a thread a core: pin, ring, inbox, metrics; worker_turn() is one turn
 *
 * A turn is always: completions, timers, inbox, decisions, flush, messages to other cores. Each
 * step has a budget, so that no source starves another. Higher modules take part through hooks and
 * through the callbacks of what they started. Nothing here takes a lock.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/event.h"
#include "ringpost/inbox.h"
#include "ringpost/metrics.h"
#include "ringpost/ring.h"
#include <stdatomic.h>

enum { WORKERS_MAX = 64, WORKER_HOOKS_MAX = 8 };

/* When a hook runs: DECIDE after the inbox, FLUSH last (what must leave in this turn). */
enum worker_phase { WORKER_DECIDE = 0, WORKER_FLUSH, WORKER_PHASE_COUNT };

struct worker_hook {
    void (*run)(void *context);
    void *context;
};
struct worker {
    uint32_t index, count; /* of the workers of this process */
    struct worker *all;    /* array of count */
    struct ring *ring;
    struct inbox inbox;
    struct event_sink events;
    struct metrics metrics;
    struct random random;
    struct worker_outbox { /* pushed at the end of the turn, one push a target */
        struct inbox_node *newest, *oldest;
    } outboxes[WORKERS_MAX];
    uint64_t outboxes_used; /* bit per target */
    struct worker_hook hooks[WORKER_PHASE_COUNT][WORKER_HOOKS_MAX];
    uint32_t hook_count[WORKER_PHASE_COUNT];
    struct inbox_node *unread; /* taken from the inbox, beyond a turn's budget */
    bool pin;
    bool busy;                     /* more to do at once: do not sleep in the next turn */
    bool stopped;                  /* leaves the loop after this turn */
    uint64_t thread;               /* pthread_t */
    struct background *background; /* of the process */
    void *user;                    /* of the highest module, set before the worker runs */
    /* Microseconds of computing that waits for this worker though any of them could do it. Any
     * thread reads it, and adds what it sends here. */
    _Alignas(64) atomic_uint backlog_us;
};
struct worker_options {
    uint32_t workers; /* 0 = one for each processor the process may use */
    bool pin;         /* each thread to one processor */
    struct event_options events;
};

/* Makes all workers and their rings; nothing runs yet. NULL: why says the reason in words. */
struct worker *workers_create(const struct worker_options *options, char *why, size_t why_size);
void workers_destroy(struct worker **workers); /* all stopped */
void worker_add_hook(struct worker *worker, enum worker_phase phase, void (*run)(void *context),
                     void *context);
/* Takes out every hook with that context: before it is destroyed. Not from inside a hook. */
void worker_remove_hooks(struct worker *worker, const void *context);
/* Starts a thread for every worker but the first, runs the first on the caller's thread, and
 * returns when all have stopped. */
void workers_run(struct worker *workers);
void worker_stop(struct worker *worker); /* own core only */
/* When workers_run() has returned: messages that came after the last turn, linked by ->next, for
 * who knows what they are; call until NULL. */
struct inbox_node *worker_take_unread(struct worker *worker);

/* One turn; sleeps at the most until there is something to do. The simulator calls it too. */
void worker_turn(struct worker *worker);
/* Node goes to that worker's inbox at the end of this turn (its own worker: in its next turn).
 * node->on_arrival(node, target worker) is called there. */
void worker_post(struct worker *from, uint32_t target, struct inbox_node *node);
/* A hook has work left over: the next turn does not sleep. */
static inline void worker_keep_busy(struct worker *worker)
{
    worker->busy = true;
}

/* ---- work that would hold a worker up ----------------------------------------------------------
 *
 * A few background threads, shared by all workers and started when first needed, for computing that
 * takes longer than a turn may (hashing a password). Not for the path of a message: here is a lock.
 * When the workers have stopped, tasks that run are awaited and those that wait are dropped; done
 * is called for neither. Who offloads stops its worker only when it has all tasks back.
 */
enum { WORKER_TASKS_MAX = 256, WORKER_BACKGROUND_MAX = 4 };
struct worker_task {
    struct inbox_node node;                 /* private */
    void (*work)(struct worker_task *task); /* on a background thread; touches only the task's
                                               own memory and what never changes */
    void (*done)(struct worker_task *task, struct worker *worker); /* on the worker's own core */
    struct worker *worker;                                         /* private */
};
/* Own core only. The task stays put until done was called, which is never from inside. false: so
 * many wait already that one more is refused; nothing will be called. */
MUST_USE bool worker_offload(struct worker *worker, struct worker_task *task);
