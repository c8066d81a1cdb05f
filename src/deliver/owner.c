/* SPDX-License-Identifier: Apache-2.0
 *
 * owner - the ready queues of this worker: jobs in, decisions carried out
 *
 * A ready queue is looked at when something happened to it, in the decisions of the same turn; or
 * when its timer says so.
 */
#include "internal.h"

static bool equal_key(const void *item, const void *key)
{
    const struct deliver_ready *ready = item;
    return bytes_equal(queue_plan_key(ready->queue.plan), *(const struct bytes *)key);
}

void owner_dirty(struct deliver_ready *ready)
{
    if (!list_is_empty(&ready->queue.dirty_link)) return;
    list_push_back(&ready->deliver->dirty, &ready->queue.dirty_link);
}

static void on_timer(struct ring_timer *timer)
{
    owner_dirty(CONTAINER_OF(timer, struct deliver_ready, timer));
}

static struct deliver_ready *ready_get(struct deliver *deliver, const struct queue_plan *plan)
{
    const struct bytes key = queue_plan_key(plan);
    struct deliver_ready *ready = table_find(&deliver->readies, plan->hash, equal_key, &key);
    if (ready != NULL) {
        if (!list_is_empty(&ready->queue.idle_link)) {
            list_remove(&ready->queue.idle_link);
            deliver->readies_idle_count -= 1;
        }
        return ready;
    }
    ready = base_alloc(sizeof(*ready));
    queue_ready_init(&ready->queue);
    ready->deliver = deliver;
    ring_timer_init(&ready->timer, on_timer);
    table_add(&deliver->readies, plan->hash, ready);
    return ready;
}

static void ready_free(struct deliver *deliver, struct deliver_ready *ready)
{
    ring_timer_disarm(deliver->ring, &ready->timer);
    table_remove(&deliver->readies, ready->queue.hash, ready);
    list_remove(&ready->queue.dirty_link);
    list_remove(&ready->queue.idle_link);
    queue_ready_deinit(&ready->queue);
    base_free(ready);
}

/* Those that have nothing to do stay a while with what they learned; the oldest go first, but not
 * while a rate still holds mail back. */
static void drop_idle(struct deliver *deliver, uint32_t keep, bool all)
{
    while (deliver->readies_idle_count > keep) {
        struct list *node = deliver->readies_idle.next;
        struct deliver_ready *ready = CONTAINER_OF(node, struct deliver_ready, queue.idle_link);
        if (!all && ready->queue.rate.next > deliver_now(deliver)) return;
        deliver->readies_idle_count -= 1;
        ready_free(deliver, ready);
    }
}

void owner_free_readies(struct deliver *deliver)
{
    drop_idle(deliver, 0, true);
    ASSERT(deliver->readies.count == 0);
}

static void look_idle(struct deliver_ready *ready)
{
    struct deliver *deliver = ready->deliver;
    if (!queue_ready_is_idle(&ready->queue) || !list_is_empty(&ready->queue.idle_link)) return;
    list_push_back(&deliver->readies_idle, &ready->queue.idle_link);
    deliver->readies_idle_count += 1;
    drop_idle(deliver, IDLE_READIES_MAX, false);
}

/* Back to its home as if it had never left. */
static void return_untried(struct deliver_job *job)
{
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++)
        job_recipient(job, i)->verdict.outcome = SMTP_OUTCOME_NOT_TRIED;
    job_return(job);
}

void owner_take(struct deliver *deliver, struct deliver_job *job)
{
    if (deliver->draining) {
        return_untried(job);
        return;
    }
    struct deliver_ready *ready = ready_get(deliver, job->plan);
    queue_ready_plan(&ready->queue, job->plan, job->home);
    queue_ready_add(&ready->queue, &job->queue);
    owner_dirty(ready);
}

/* ---- decisions ----------------------------------------------------------------------------------
 */

static void set_text(struct smtp_verdict *verdict, struct bytes text)
{
    verdict->text_len = (uint16_t)MIN(text.len, sizeof(verdict->text));
    if (verdict->text_len > 0) memcpy(verdict->text, text.data, verdict->text_len);
}

/* No host answers until decision->at. */
static void fail(struct deliver_ready *ready, const struct queue_decision *decision)
{
    struct deliver_job *job = CONTAINER_OF(decision->job, struct deliver_job, queue);
    const struct queue_host *host = decision->host;
    const instant now = deliver_now(ready->deliver);
    struct smtp_verdict *first = &job_recipient(job, 0)->verdict;
    first->outcome = SMTP_OUTCOME_DEFERRED;
    first->local = host == NULL || !host->reply;
    first->code = host != NULL && host->code != 0 ? host->code : 451;
    first->enhanced = (struct smtp_enhanced){4, 4, 1};
    if (host == NULL) {
        set_text(first, BYTES("the source address cannot reach any of the hosts"));
    } else {
        if (host->enhanced.class != 0) first->enhanced = host->enhanced;
        set_text(first, (struct bytes){host->text, host->text_len});
    }
    /* A refusal at the greeting is not about a message: whatever was said, it is tried again. */
    if (first->enhanced.class == 5) first->enhanced.class = 4;
    for (uint32_t i = 1; i < job->transaction.recipient_count; i++)
        job_recipient(job, i)->verdict = *first;
    if (decision->target != NULL) {
        const struct bytes name = queue_target_name(ready->queue.plan, decision->target);
        job->peer_name_len = (uint8_t)MIN(name.len, sizeof(job->peer_name));
        memcpy(job->peer_name, name.data, job->peer_name_len);
        job->peer = decision->target->address;
    }
    job->blocked = true;
    job->blocked_for = decision->at > now ? decision->at - now : 0;
    job_return(job);
}

static void decide(struct deliver_ready *ready)
{
    struct deliver *deliver = ready->deliver;
    const instant now = deliver_now(deliver);
    for (;;) {
        const struct queue_decision decision =
            queue_ready_decide(&ready->queue, &deliver->hosts, &deliver->worker->random, now);
        switch (decision.step) {
        case QUEUE_STEP_WAIT:
            /* Earlier than needed does no harm: the timer is only ever moved to the front. */
            if (decision.at != INSTANT_FOREVER &&
                !(ring_timer_is_armed(&ready->timer) && ready->timer.at <= decision.at)) {
                ring_timer_arm(deliver->ring, &ready->timer, MAX(decision.at, now + 1));
            }
            look_idle(ready);
            return;
        case QUEUE_STEP_OPEN:
            connection_open(ready, decision.target);
            break;
        case QUEUE_STEP_GIVE:
            connection_give(connection_of(decision.connection),
                            CONTAINER_OF(decision.job, struct deliver_job, queue));
            break;
        case QUEUE_STEP_CLOSE:
            connection_quit(connection_of(decision.connection));
            break;
        case QUEUE_STEP_FAIL:
            fail(ready, &decision);
            break;
        case QUEUE_STEP_EXPIRE: {
            struct deliver_job *job = CONTAINER_OF(decision.job, struct deliver_job, queue);
            job->overdue = true;
            return_untried(job);
            break;
        }
        }
    }
}

bool owner_decide(struct deliver *deliver)
{
    struct queue_ready *woken;
    while ((woken = queue_hosts_woken(&deliver->hosts)) != NULL)
        owner_dirty(CONTAINER_OF(woken, struct deliver_ready, queue));
    /* Only those that are dirty now: what they cause comes in the next round. */
    struct list now;
    list_init(&now);
    list_append_all(&now, &deliver->dirty);
    struct list *node;
    while ((node = list_pop_front(&now)) != NULL)
        decide(CONTAINER_OF(node, struct deliver_ready, queue.dirty_link));
    return !list_is_empty(&deliver->dirty) || !list_is_empty(&deliver->hosts.woken);
}

void owner_drain(struct deliver *deliver)
{
    uint32_t cursor = 0;
    struct deliver_ready *ready;
    while ((ready = table_next(&deliver->readies, &cursor)) != NULL) {
        ready->queue.draining = true;
        owner_dirty(ready);
    }
    /* Returning a job may free what waits for it at home, but no ready queue. */
    cursor = 0;
    while ((ready = table_next(&deliver->readies, &cursor)) != NULL) {
        struct queue_job *job;
        while ((job = queue_ready_take(&ready->queue)) != NULL)
            return_untried(CONTAINER_OF(job, struct deliver_job, queue));
    }
    LIST_FOR_EACH_SAFE(node, &deliver->connections)
    {
        struct deliver_connection *connection = CONTAINER_OF(node, struct deliver_connection, link);
        /* One that is not open yet has nothing to finish. */
        if (connection->queue.state == QUEUE_CONNECTION_OPENING) connection_abort(connection);
    }
}
