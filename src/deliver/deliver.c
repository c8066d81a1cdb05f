/* SPDX-License-Identifier: Apache-2.0
 *
 * deliver - start, stop, the turn, and what spool asks for
 */
#include "internal.h"
#include "ringpost/dkim.h"

/* ---- the turn ----------------------------------------------------------------------------------
 */

static void on_decide(void *context)
{
    struct deliver *deliver = context;
    bool more = home_decide(deliver);
    /* Results of the owner's half let gates release more, and the other way round. */
    for (uint32_t i = 0; i < DECIDE_ROUNDS; i++) {
        const bool again = owner_decide(deliver);
        if (deliver->running) home_release(deliver);
        if (!again && list_is_empty(&deliver->dirty)) break;
    }
    outcome_tell(deliver);
    more |= !list_is_empty(&deliver->dirty) || !list_is_empty(&deliver->hosts.woken);
    if (more) worker_keep_busy(deliver->worker);
    home_arm(deliver);
    home_gauges(deliver);
}

/* ---- start -------------------------------------------------------------------------------------
 */

static void on_drain_timer(struct ring_timer *timer);

struct deliver *deliver_create(struct worker *worker, struct dkim_desk *desk,
                               const struct queue_options *options)
{
    struct deliver *deliver = base_alloc(sizeof(*deliver));
    deliver->worker = worker;
    deliver->ring = worker->ring;
    deliver->desk = desk;
    const uint64_t seed = ring_seed(deliver->ring);
    queue_init(&deliver->queue, options, worker->index, worker->count, ring_clock(deliver->ring),
               seed);
    ring_timer_init(&deliver->due_timer, home_on_due);
    ring_timer_init(&deliver->drain_timer, on_drain_timer);
    pool_init(&deliver->attempts, sizeof(struct deliver_attempt), ATTEMPTS_PER_SLAB);
    pool_init(&deliver->jobs, sizeof(struct deliver_job) + sizeof(uint32_t), JOBS_PER_SLAB);
    pool_init(&deliver->connection_pool, sizeof(struct deliver_connection), CONNECTIONS_PER_SLAB);
    queue_hosts_init(&deliver->hosts, HOSTS_MAX, options->connections_max);
    queue_clear_init(&deliver->clear, CLEAR_MAX);
    sessions_init(&deliver->sessions);
    table_init(&deliver->readies);
    list_init(&deliver->telling);
    list_init(&deliver->readies_idle);
    list_init(&deliver->dirty);
    list_init(&deliver->connections);
    stream_group_init(&deliver->streams, deliver->ring);
    worker_add_hook(worker, WORKER_DECIDE, on_decide, deliver);
    worker_add_hook(worker, WORKER_FLUSH, stream_group_flush, &deliver->streams);
    return deliver;
}

void deliver_link(struct deliver **delivers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct deliver *deliver = delivers[i];
        ASSERT(deliver->worker->index == i && deliver->all == NULL);
        deliver->all = base_alloc(count * sizeof(struct deliver *));
        memcpy(deliver->all, delivers, count * sizeof(struct deliver *));
        deliver->count = count;
        /* All must agree on who owns what. */
        deliver->queue.key_seed = delivers[0]->queue.seed;
    }
}

void deliver_start(struct deliver *deliver, struct spool *spool, struct dns *dns)
{
    ASSERT(deliver->count > 0);
    deliver->spool = spool;
    deliver->dns = dns;
    deliver->running = true;
    home_arm(deliver);
}

/* What waits at gates goes by the new options too: its domains are routed anew now, all others when
 * they are next needed. */
static void route_waiting(struct deliver *deliver)
{
    struct queue *queue = &deliver->queue;
    struct queue_domain **domains =
        base_alloc((queue->domains.count + (size_t)1) * sizeof(struct queue_domain *));
    uint32_t cursor = 0, count = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue->domains, &cursor)) != NULL) {
        if (domain->active == 0 || domain->lookup != NULL || domain->gate == NULL) continue;
        if (domain->gate->waiting_count > 0) domains[count++] = domain;
    }
    /* They have entries, so none of them goes away meanwhile. */
    for (uint32_t i = 0; i < count; i++)
        route_look_up(deliver, domains[i]);
    base_free(domains);
}

void deliver_set_signers(struct deliver *deliver, struct dkim_signers *signers)
{
    dkim_signers_unref(deliver->signers);
    deliver->signers = signers != NULL ? dkim_signers_ref(signers) : NULL;
}

void deliver_set_options(struct deliver *deliver, const struct queue_options *options)
{
    queue_set_options(&deliver->queue, options);
    deliver->hosts.connections_max = options->connections_max;
    sessions_drop(&deliver->sessions); /* they were verified by the old settings */
    if (deliver->running) route_waiting(deliver);
    worker_keep_busy(deliver->worker);
}

/* ---- stop --------------------------------------------------------------------------------------
 */

void deliver_look_drained(struct deliver *deliver)
{
    if (!deliver->draining || deliver->on_drained == NULL) return;
    if (deliver->connection_count > 0 || deliver->attempts_out > 0 || deliver->lookups > 0) return;
    if (deliver->signing > 0) return; /* what has gone to the spool is the spool's to finish */
    void (*on_drained)(struct deliver *, void *) = deliver->on_drained;
    deliver->on_drained = NULL;
    ring_timer_disarm(deliver->ring, &deliver->drain_timer);
    on_drained(deliver, deliver->drained_context);
}

static void cancel_lookups(struct deliver *deliver)
{
    uint32_t cursor = 0;
    while (deliver->lookups > 0) {
        struct queue_domain *domain = table_next(&deliver->queue.domains, &cursor);
        if (domain != NULL)
            route_cancel(deliver, domain);
        else
            cursor = 0; /* the table moved under the walk: once more */
    }
}

static void on_drain_timer(struct ring_timer *timer)
{
    struct deliver *deliver = CONTAINER_OF(timer, struct deliver, drain_timer);
    LIST_FOR_EACH_SAFE(node, &deliver->connections)
    {
        connection_abort(CONTAINER_OF(node, struct deliver_connection, link));
    }
}

void deliver_drain(struct deliver *deliver, instant until,
                   void (*on_drained)(struct deliver *deliver, void *context), void *context)
{
    ASSERT(!deliver->draining);
    job_flush(deliver); /* to be taken back like all others */
    deliver->draining = true;
    deliver->running = false;
    deliver->on_drained = on_drained;
    deliver->drained_context = context;
    cancel_lookups(deliver);
    owner_drain(deliver);
    ring_timer_disarm(deliver->ring, &deliver->due_timer);
    ring_timer_arm(deliver->ring, &deliver->drain_timer, until);
    worker_keep_busy(deliver->worker);
    deliver_look_drained(deliver);
}

/* The disk keeps them; here each entry is taken out wherever it waits. */
static void let_go(struct deliver *deliver)
{
    struct queue *queue = &deliver->queue;
    uint32_t cursor = 0;
    while (queue->message_count > 0) {
        struct queue_domain *domain = table_next(&queue->domains, &cursor);
        if (domain == NULL) { /* the table moved under the walk: once more */
            cursor = 0;
            continue;
        }
        /* With its last entry the domain may go as well: count before. */
        for (uint32_t left = domain->entry_count; left > 0; left--) {
            struct queue_entry *entry =
                CONTAINER_OF(domain->entries.next, struct queue_entry, domain_link);
            struct queue_message *message = entry->message;
            queue_message_forget(queue, message);
            spool_message_release(deliver->spool, &message->spool);
            queue_message_free(queue, message);
        }
    }
}

void deliver_destroy(struct deliver **slot)
{
    struct deliver *deliver = *slot;
    *slot = NULL;
    if (deliver == NULL) return;
    ASSERT(deliver->connection_count == 0 && deliver->attempts_out == 0);
    ASSERT(deliver->signing == 0 && deliver->telling_count == 0);
    worker_remove_hooks(deliver->worker, deliver);
    worker_remove_hooks(deliver->worker, &deliver->streams);
    let_go(deliver);
    home_gauges(deliver);
    owner_free_readies(deliver);
    queue_hosts_deinit(&deliver->hosts);
    queue_clear_deinit(&deliver->clear);
    sessions_deinit(&deliver->sessions);
    dkim_signers_unref(deliver->signers);
    queue_deinit(&deliver->queue);
    ring_timer_disarm(deliver->ring, &deliver->due_timer);
    ring_timer_disarm(deliver->ring, &deliver->drain_timer);
    table_deinit(&deliver->readies);
    pool_deinit(&deliver->attempts);
    pool_deinit(&deliver->jobs);
    pool_deinit(&deliver->connection_pool);
    base_free(deliver->all);
    base_free(deliver);
}

/* ---- accepting ---------------------------------------------------------------------------------
 */

struct queue_message *deliver_message_new(struct deliver *deliver)
{
    return queue_message_new(&deliver->queue);
}

void deliver_message_free(struct deliver *deliver, struct queue_message *message)
{
    queue_message_free(&deliver->queue, message);
}

void deliver_accept(struct deliver *deliver, struct queue_message *message)
{
    const instant now = deliver_now(deliver);
    const struct spool_view view = spool_message_view(&message->spool);
    struct smtp_envelope envelope;
    ASSERT(smtp_envelope_load(view.envelope, &envelope)); /* written by us, and not yet read back */
    ASSERT(queue_message_admit(&deliver->queue, message, &envelope, now, 0));
    /* 0 = by an earlier process. Never later than now: ages are differences. */
    const uint32_t now_us = (uint32_t)(now / DURATION_US(1));
    message->accepted_us = now_us != 0 ? now_us : UINT32_MAX;
    message->fresh = true;
    for (uint32_t e = 0; e < queue_message_entries(message); e++)
        home_start(deliver, queue_message_entry(message, e));
    /* Now, while the content is in memory whatever the budget says. Nothing can be over and done
     * with already: results come from decisions, later in the turn. */
    if (deliver->running) home_release(deliver);
    spool_message_unpin(deliver->spool, &message->spool);
}

/* ---- what spool asks for ------------------------------------------------------------------------
 */

static void describe(void *context, const struct spool_message *message, struct text *out)
{
    struct deliver *deliver = context;
    queue_message_describe(&deliver->queue, queue_message_of(message), deliver_now(deliver),
                           ring_wall(deliver->ring), out);
}

static struct spool_message *recovered(void *context, uint64_t id, struct bytes stored,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s)
{
    struct deliver *deliver = context;
    struct queue *queue = &deliver->queue;
    struct smtp_envelope envelope;
    char text[EVENT_ID_TEXT_MAX];
    (void)content_size;
    (void)content_flags;
    if (!smtp_envelope_load(stored, &envelope) || envelope.recipient_count == 0) {
        event_log(&deliver->worker->events, EVENT_ERROR, "deliver",
                  "%s: the envelope is damaged; the message is dropped", event_id_print(id, text));
        return NULL;
    }
    const instant now = deliver_now(deliver);
    const wall_ms wall = ring_wall(deliver->ring);
    const int64_t age_ms = wall - (wall_ms)created_s * 1000;
    struct queue_message *message = queue_message_new(queue);
    ASSERT(queue_message_admit(queue, message, &envelope, now,
                               age_ms > 0 ? DURATION_MS((duration)age_ms) : 0));
    queue_message_restore(queue, message, state, now, wall);
    if (message->entries_left > 0) return &message->spool;
    queue_message_free(queue, message);
    return NULL;
}

static void note(void *context, struct bytes key, struct bytes value)
{
    (void)context; /* suspensions and the like come with the admin API */
    (void)key;
    (void)value;
}

static void damaged(void *context, struct spool_message *message)
{
    struct deliver *deliver = context;
    char id[EVENT_ID_TEXT_MAX];
    queue_message_of(message)->failed = true;
    event_log(&deliver->worker->events, EVENT_ERROR, "deliver",
              "%s: the content is damaged on disk and cannot be delivered",
              event_id_print(message->id, id));
}

const struct spool_callbacks *deliver_spool_callbacks(void)
{
    static const struct spool_callbacks callbacks = {
        .describe = describe,
        .recovered = recovered,
        .note = note,
        .damaged = damaged,
    };
    return &callbacks;
}
