/* SPDX-License-Identifier: Apache-2.0
 *
 * home - from an accepted or due message to its jobs
 *
 * Nothing here waits in a loop: each step starts as much as its budget allows, and says whether
 * there is more.
 */
#include "internal.h"

/* Contents on their way from disk, and senders who are to be told, have memory pinned. */
static bool may_begin(const struct deliver *deliver)
{
    return deliver->loads < LOADS_MAX && deliver->telling_count < TELLING_MAX;
}

void home_arm(struct deliver *deliver)
{
    const instant next = queue_next_due(&deliver->queue);
    /* With many that were begun, the next one that is over arms it. */
    if (next == INSTANT_FOREVER || !deliver->running || !may_begin(deliver)) return;
    struct ring_timer *timer = &deliver->due_timer;
    /* One that fires too early does no harm, so it is moved only to the front. */
    if (ring_timer_is_armed(timer) && timer->at <= next) return;
    ring_timer_arm(deliver->ring, timer, next);
}

void home_on_due(struct ring_timer *timer)
{
    (void)timer; /* the decisions of this turn come after the timers */
}

void home_start(struct deliver *deliver, struct queue_entry *entry)
{
    if (!deliver->running) { /* the next process does it */
        queue_entry_wait(&deliver->queue, entry, deliver_now(deliver));
        return;
    }
    if (entry->deleted) {
        queue_entry_activate(entry);
        home_attempt(deliver, entry, NULL, ATTEMPT_DELETE);
        return;
    }
    entry->dns_ms = 0;
    const enum queue_start start = queue_start(&deliver->queue, entry, deliver_now(deliver));
    if (start == QUEUE_START_LOOKUP) route_look_up(deliver, entry->domain);
}

void home_message_done(struct deliver *deliver, struct queue_message *message)
{
    ASSERT(message->entries_left == 0);
    spool_message_done(deliver->spool, &message->spool);
    queue_message_free(&deliver->queue, message);
}

/* ---- attempts ----------------------------------------------------------------------------------
 */

static void make_jobs(struct deliver_attempt *attempt)
{
    const uint32_t most = queue_gate_recipients(attempt->gate);
    uint32_t from = 0;
    struct deliver_job *job;
    attempt->jobs_out += 1; /* results may come while jobs are still being made */
    while ((job = job_make(attempt, &from, most)) != NULL)
        job_send(job);
    attempt->jobs_out -= 1;
    if (attempt->jobs_out == 0) outcome_end(attempt);
}

/* Content is in memory. */
static void attempt_go(struct deliver_attempt *attempt)
{
    struct spool_message *message = &attempt->entry->message->spool;
    attempt->pinned = true;
    attempt->view = spool_message_view(message);
    if (!smtp_envelope_load(attempt->view.envelope, &attempt->envelope)) {
        outcome_unreadable(attempt);
        return;
    }
    if (attempt->kind == ATTEMPT_JOBS && attempt->deliver->running)
        make_jobs(attempt);
    else
        outcome_end(attempt);
}

static void on_loaded(struct spool_load *load, enum spool_result result)
{
    struct deliver_attempt *attempt = CONTAINER_OF(load, struct deliver_attempt, load);
    attempt->deliver->loads -= 1;
    worker_keep_busy(attempt->deliver->worker); /* it may come behind this turn's decisions */
    if (result == SPOOL_OK)
        attempt_go(attempt);
    else
        outcome_unreadable(attempt);
}

/* A failure that is only put off needs neither sender nor recipients when nobody keeps account. */
static bool needs_content(const struct deliver_attempt *attempt)
{
    const struct deliver *deliver = attempt->deliver;
    const struct queue_entry *entry = attempt->entry;
    if (attempt->kind != ATTEMPT_FAILURE || entry->error == NULL || entry->error->permanent) {
        return true;
    }
    if (deliver->worker->events.options.account) return true;
    const struct queue_site_options *options = queue_entry_options(&deliver->queue, entry);
    const instant now = deliver_now(deliver);
    const duration age = queue_message_age(&deliver->queue, entry->message, now);
    return queue_entry_expiry(&deliver->queue, entry) <= now ||
           (options->delay_notice_s > 0 && age >= DURATION_S(options->delay_notice_s));
}

void home_attempt(struct deliver *deliver, struct queue_entry *entry, struct queue_gate *gate,
                  enum attempt_kind kind)
{
    struct deliver_attempt *attempt = pool_get(&deliver->attempts);
    attempt->deliver = deliver;
    attempt->entry = entry;
    attempt->gate = gate;
    attempt->kind = (uint8_t)kind;
    attempt->tried = kind == ATTEMPT_FAILURE;
    attempt->started = deliver_now(deliver);
    list_init(&attempt->jobs);
    list_init(&attempt->tell_link);
    if (gate != NULL) {
        attempt->plan = gate->plan;
        attempt->plan->refs += 1;
    }
    deliver->attempts_out += 1;
    if (!needs_content(attempt)) {
        outcome_end(attempt);
        return;
    }
    attempt->load.on_loaded = on_loaded;
    deliver->loads += 1;
    if (!spool_message_load(deliver->spool, &entry->message->spool, &attempt->load)) return;
    deliver->loads -= 1;
    attempt_go(attempt);
}

/* ---- each turn ---------------------------------------------------------------------------------
 */

void home_release(struct deliver *deliver)
{
    struct queue_gate *gate;
    struct queue_entry *entry = NULL;
    for (uint32_t i = 0; i < RELEASE_BUDGET; i++) {
        entry = queue_release(&deliver->queue, &gate);
        if (entry == NULL) break;
        home_attempt(deliver, entry, gate, ATTEMPT_JOBS);
    }
    job_flush(deliver);
    if (entry != NULL) worker_keep_busy(deliver->worker);
}

static bool start_due(struct deliver *deliver)
{
    bool stuck;
    for (uint32_t i = 0; i < DUE_BUDGET && may_begin(deliver); i++) {
        struct queue_entry *entry = queue_due(&deliver->queue, deliver_now(deliver), &stuck);
        if (entry == NULL) return false;
        if (stuck) {
            queue_entry_activate(entry);
            home_attempt(deliver, entry, NULL, ATTEMPT_EXPIRY);
        } else {
            home_start(deliver, entry);
        }
    }
    return may_begin(deliver) && queue_next_due(&deliver->queue) <= deliver_now(deliver);
}

static bool end_failing(struct deliver *deliver)
{
    for (uint32_t i = 0; i < FAILING_BUDGET && may_begin(deliver); i++) {
        struct queue_entry *entry = queue_failing(&deliver->queue);
        if (entry == NULL) return false;
        home_attempt(deliver, entry, NULL, ATTEMPT_FAILURE);
    }
    return may_begin(deliver) && !list_is_empty(&deliver->queue.failing);
}

static void set_gauge(struct metrics *metrics, enum metrics_gauge id, uint64_t value)
{
    const int64_t change = (int64_t)value - metrics->gauges[id];
    if (change != 0) metrics_gauge(metrics, id, change);
}

void home_gauges(struct deliver *deliver)
{
    struct metrics *metrics = &deliver->worker->metrics;
    set_gauge(metrics, METRICS_QUEUE_MESSAGES, deliver->queue.message_count);
    set_gauge(metrics, METRICS_QUEUE_RECIPIENTS, deliver->queue.recipient_count);
    set_gauge(metrics, METRICS_QUEUE_INDEX_BYTES, queue_index_bytes(&deliver->queue));
}

bool home_decide(struct deliver *deliver)
{
    if (!deliver->running) return false;
    bool more = start_due(deliver);
    more |= end_failing(deliver);
    home_release(deliver);
    return more;
}
