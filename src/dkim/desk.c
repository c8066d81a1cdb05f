/* SPDX-License-Identifier: Apache-2.0
 *
 * desk - operations with keys, a few a turn, on the core that has time for them
 *
 * Each worker shows how many microseconds of them wait for it (backlog_us). A job that is lent
 * leaves at the end of the turn, with its hashes only, and comes back by the inbox.
 */
#include "ringpost/dkim/desk.h"
#include "internal.h"

enum {
    BUDGET_US = 2000,   /* of one turn */
    LEND_GAIN_US = 100, /* what it costs to send a job away and to get it back */
    LENT_MAX_US = 2000, /* others are not sent more than that, for it is done in one turn */
};

struct dkim_desk {
    struct worker *worker;
    struct list ready; /* jobs to be done here, oldest first */
    uint32_t out;      /* jobs that are not done: here, and lent */
    uint32_t spent_us; /* in this turn */
    bool lent;         /* in this turn */
};

struct job { /* the node travels to who signs it, and back */
    struct inbox_node node;
    struct list link; /* of the desk's ready */
    struct dkim_desk *desk;
    void (*done)(void *context, struct bytes text, bool good);
    void *context;
    uint32_t cost_us;
    uint32_t count, len;
    bool failed;
    char *text;
    struct dkim_field fields[];
};

static struct job *job_make(const struct dkim_field *fields, uint32_t count, struct bytes text)
{
    const size_t fields_size = count * sizeof(fields[0]);
    struct job *job = base_alloc(sizeof(*job) + fields_size + text.len);
    job->count = count;
    job->len = (uint32_t)text.len;
    job->text = (char *)job->fields + fields_size;
    memcpy(job->fields, fields, fields_size);
    memcpy(job->text, text.data, text.len);
    for (uint32_t i = 0; i < count; i++)
        job->cost_us += dkim_key_cost_us(fields[i].key);
    return job;
}

static void job_done(struct job *job)
{
    for (uint32_t i = 0; i < job->count && !job->failed; i++)
        dkim_field_finish(&job->fields[i], job->text);
    job->desk->out -= 1;
    job->done(job->context, (struct bytes){job->text, job->len}, !job->failed);
    base_free(job);
}

/* On the core of that worker, with its own copies of the keys. */
static void job_sign(struct job *job, struct worker *worker)
{
    for (uint32_t i = 0; i < job->count && !job->failed; i++)
        job->failed = !dkim_field_sign(&job->fields[i], worker->index);
    atomic_fetch_sub_explicit(&worker->backlog_us, job->cost_us, memory_order_relaxed);
}

/* ---- lending ------------------------------------------------------------------------------------
 */

static void backlog_add(struct worker *worker, uint32_t us)
{
    atomic_fetch_add_explicit(&worker->backlog_us, us, memory_order_relaxed);
}

static uint32_t backlog_of(const struct worker *worker)
{
    return atomic_load_explicit(&worker->backlog_us, memory_order_relaxed);
}

struct worker *desk_helper(const struct worker *worker, uint32_t cost_us)
{
    struct worker *best = NULL;
    uint32_t least = LENT_MAX_US;
    for (uint32_t i = 0; i < worker->count; i++) {
        const uint32_t backlog = backlog_of(&worker->all[i]);
        if (i == worker->index || backlog >= least) continue;
        least = backlog;
        best = &worker->all[i];
    }
    return best != NULL && least + cost_us + LEND_GAIN_US <= backlog_of(worker) ? best : NULL;
}

static void job_returned(struct inbox_node *node, void *worker)
{
    (void)worker;
    job_done(CONTAINER_OF(node, struct job, node));
}

static void job_lent(struct inbox_node *node, void *context)
{
    struct job *job = CONTAINER_OF(node, struct job, node);
    struct worker *worker = context;
    job_sign(job, worker);
    job->node.on_arrival = job_returned;
    worker_post(worker, job->desk->worker->index, &job->node);
}

static bool job_lend(struct job *job, struct worker *worker)
{
    struct worker *best = desk_helper(worker, job->cost_us);
    if (best == NULL) return false;
    backlog_add(best, job->cost_us);
    metrics_add(&worker->metrics, METRICS_DKIM_LENT, 1);
    job->node.on_arrival = job_lent;
    worker_post(worker, best->index, &job->node);
    return true;
}

/* ---- the turn -----------------------------------------------------------------------------------
 */

static void work(struct dkim_desk *desk)
{
    while (!list_is_empty(&desk->ready) && desk->spent_us < BUDGET_US) {
        struct job *job = CONTAINER_OF(list_pop_front(&desk->ready), struct job, link);
        desk->spent_us += job->cost_us;
        job_sign(job, desk->worker);
        job_done(job);
    }
}

static void on_decide(void *context)
{
    work(context);
}

/* What was lent leaves at the end of the turn: then the others begin at once, and we do our own
 * share in the next turn. */
static void on_flush(void *context)
{
    struct dkim_desk *desk = context;
    if (!desk->lent) work(desk);
    if (!list_is_empty(&desk->ready)) worker_keep_busy(desk->worker);
    desk->spent_us = 0;
    desk->lent = false;
}

/* ---- contract -----------------------------------------------------------------------------------
 */

struct dkim_desk *dkim_desk_create(struct worker *worker)
{
    struct dkim_desk *desk = base_alloc(sizeof(*desk));
    desk->worker = worker;
    list_init(&desk->ready);
    worker_add_hook(worker, WORKER_DECIDE, on_decide, desk);
    worker_add_hook(worker, WORKER_FLUSH, on_flush, desk);
    return desk;
}

void dkim_desk_destroy(struct dkim_desk **slot)
{
    struct dkim_desk *desk = *slot;
    *slot = NULL;
    ASSERT(desk->out == 0);
    worker_remove_hooks(desk->worker, desk);
    base_free(desk);
}

void dkim_desk_sign(struct dkim_desk *desk, const struct dkim_field *fields, uint32_t count,
                    struct bytes text, void (*done)(void *context, struct bytes text, bool good),
                    void *context)
{
    struct job *job = job_make(fields, count, text);
    job->desk = desk;
    job->done = done;
    job->context = context;
    desk->out += 1;
    if (job_lend(job, desk->worker)) {
        desk->lent = true;
        return;
    }
    backlog_add(desk->worker, job->cost_us);
    list_push_back(&desk->ready, &job->link);
}
