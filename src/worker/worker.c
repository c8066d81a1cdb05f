/* SPDX-License-Identifier: Apache-2.0
 *
 * worker - a thread a core and its turn
 *
 * Sleeping: a worker marks its inbox SLEEPING before it waits; a push that finds the mark wakes it
 * (see inbox). So the wait may be as long as the next timer, and a push to a busy worker costs no
 * system call.
 */
#include "background.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RING_ENTRIES = 1024,
    COMPLETION_BUDGET = 512, /* of one turn; what is left comes in the next, without sleeping */
    TIMER_BUDGET = 256,
    INBOX_BUDGET = 1024,
};

static_assert(WORKERS_MAX <= 64, "outboxes_used has a bit per worker");

static uint32_t usable_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
    const int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (uint32_t)MIN(count, WORKERS_MAX);
}

struct worker *workers_create(const struct worker_options *options, char *why, size_t why_size)
{
    const uint32_t count = options->workers ? options->workers : usable_processors();
    const struct ring_options ring_options = {.entries = RING_ENTRIES};
    if (count > WORKERS_MAX) {
        snprintf(why, why_size, "workers = %u: at most %d are possible", count, WORKERS_MAX);
        return NULL;
    }
    struct worker *all = aligned_alloc(64, sizeof(*all) * count);
    if (all == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    memset(all, 0, sizeof(*all) * count);
    struct background *background = background_create(MIN(count, (uint32_t)WORKER_BACKGROUND_MAX));
    for (uint32_t i = 0; i < count; i++) {
        struct worker *worker = &all[i];
        worker->index = i;
        worker->count = i + 1; /* what workers_destroy() finds if this one fails */
        worker->all = all;
        worker->pin = options->pin;
        worker->background = background;
        worker->ring = ring_create(&ring_options, why, why_size);
        if (worker->ring == NULL) {
            all->count = i;
            workers_destroy(&all);
            return NULL;
        }
        inbox_init(&worker->inbox);
        event_sink_init(&worker->events, &options->events);
        event_set_time(&worker->events, ring_wall(worker->ring));
        random_init(&worker->random, ring_seed(worker->ring));
    }
    for (uint32_t i = 0; i < count; i++)
        all[i].count = count;
    return all;
}

void workers_destroy(struct worker **workers)
{
    struct worker *all = *workers;
    background_stop(all->background);
    background_destroy(&all->background);
    for (uint32_t i = 0, count = all->count; i < count; i++) {
        event_sink_deinit(&all[i].events);
        ring_destroy(&all[i].ring);
    }
    base_free(all);
    *workers = NULL;
}

void worker_add_hook(struct worker *worker, enum worker_phase phase, void (*run)(void *context),
                     void *context)
{
    ASSERT(worker->hook_count[phase] < WORKER_HOOKS_MAX);
    worker->hooks[phase][worker->hook_count[phase]++] = (struct worker_hook){run, context};
}

void worker_remove_hooks(struct worker *worker, const void *context)
{
    for (unsigned phase = 0; phase < WORKER_PHASE_COUNT; phase++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < worker->hook_count[phase]; i++) {
            const struct worker_hook hook = worker->hooks[phase][i];
            if (hook.context != context) worker->hooks[phase][kept++] = hook;
        }
        worker->hook_count[phase] = kept;
    }
}

/* ---- messages ----------------------------------------------------------------------------------
 */

void worker_post(struct worker *from, uint32_t target, struct inbox_node *node)
{
    ASSERT(target < from->count);
    struct worker_outbox *outbox = &from->outboxes[target];
    node->next = outbox->newest;
    if (outbox->newest == NULL) outbox->oldest = node;
    outbox->newest = node;
    from->outboxes_used |= 1ull << target;
}

static void push_outboxes(struct worker *worker)
{
    while (worker->outboxes_used != 0) {
        const uint32_t target = (uint32_t)__builtin_ctzll(worker->outboxes_used);
        struct worker_outbox *outbox = &worker->outboxes[target];
        struct worker *other = &worker->all[target];
        worker->outboxes_used &= worker->outboxes_used - 1;
        if (inbox_push(&other->inbox, outbox->newest, outbox->oldest)) {
            ASSERT(other != worker); /* we are awake */
            metrics_add(&worker->metrics, METRICS_WAKES, 1);
            /* One that leaves has no turn left in which its ring would submit anything. */
            ring_wake(worker->stopped ? NULL : worker->ring, other->ring);
        }
        *outbox = (struct worker_outbox){0};
    }
}

static void read_inbox(struct worker *worker)
{
    if (worker->unread == NULL) worker->unread = inbox_drain(&worker->inbox);
    for (uint32_t count = 0; worker->unread != NULL && count < INBOX_BUDGET; count++) {
        struct inbox_node *node = worker->unread;
        worker->unread = node->next;
        node->next = NULL;
        metrics_add(&worker->metrics, METRICS_INBOX_MESSAGES, 1);
        node->on_arrival(node, worker);
    }
    if (worker->unread != NULL) worker->busy = true;
}

struct inbox_node *worker_take_unread(struct worker *worker)
{
    struct inbox_node *oldest =
        worker->unread != NULL ? worker->unread : inbox_drain(&worker->inbox);
    worker->unread = NULL;
    return oldest;
}

/* ---- the turn
 * ------------------------------------------------------------------------------------ */

static void run_hooks(struct worker *worker, enum worker_phase phase)
{
    for (uint32_t i = 0; i < worker->hook_count[phase]; i++)
        worker->hooks[phase][i].run(worker->hooks[phase][i].context);
}

void worker_turn(struct worker *worker)
{
    instant wait_until = 0;
    const bool posted = worker->outboxes_used != 0; /* before the first turn */
    if (!worker->busy && !posted && inbox_sleep(&worker->inbox))
        wait_until = ring_timers_next(worker->ring);
    worker->busy = false;

    const uint32_t completions = ring_turn(worker->ring, wait_until, COMPLETION_BUDGET);
    event_set_time(&worker->events, ring_wall(worker->ring));
    metrics_add(&worker->metrics, METRICS_TURNS, 1);
    if (completions == COMPLETION_BUDGET) worker->busy = true;
    if (ring_timers_run(worker->ring, TIMER_BUDGET) == TIMER_BUDGET) worker->busy = true;
    read_inbox(worker);
    run_hooks(worker, WORKER_DECIDE);
    run_hooks(worker, WORKER_FLUSH);
    push_outboxes(worker);
}

/* ---- threads
 * --------------------------------------------------------------------------------------- */

/* The index-th of the processors this process may use, so that cpusets are respected. */
static void pin_thread(uint32_t index)
{
    cpu_set_t usable, one;
    if (sched_getaffinity(0, sizeof(usable), &usable) != 0) return;
    uint32_t skip = index % (uint32_t)CPU_COUNT(&usable);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &usable) || skip-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        return;
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    char name[16];
    snprintf(name, sizeof(name), "ringpost/%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    if (worker->pin) pin_thread(worker->index);
    ring_enter_thread(worker->ring);
    while (!worker->stopped)
        worker_turn(worker);
    return NULL;
}

void workers_run(struct worker *workers)
{
    for (uint32_t i = 1; i < workers->count; i++) {
        pthread_t thread;
        const int error = pthread_create(&thread, NULL, worker_main, &workers[i]);
        if (error != 0) { /* others run already; what they have begun is as safe as in a crash */
            fprintf(stderr,
                    "ringpost: cannot start the thread of worker %u of %u: %s (see the limits of "
                    "processes: ulimit -u, for systemd TasksMax=; or set workers)\n",
                    i, workers->count, strerror(error));
            _exit(EXIT_FAILURE);
        }
        workers[i].thread = (uint64_t)thread;
    }
    worker_main(&workers[0]);
    for (uint32_t i = 1; i < workers->count; i++)
        pthread_join((pthread_t)workers[i].thread, NULL);
    background_stop(workers->background);
}

void worker_stop(struct worker *worker)
{
    worker->stopped = true;
}
