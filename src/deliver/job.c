/* SPDX-License-Identifier: Apache-2.0
 *
 * job - one transaction to try, on its way from home to the owner and back
 *
 * Memory of a job belongs to home's core. Between job_send() and job_return() nobody but the owner
 * touches it; what it points to is pinned by the attempt.
 */
#include "internal.h"

static size_t size_of(uint32_t recipients)
{
    return sizeof(struct deliver_job) +
           recipients * (sizeof(struct smtp_transaction_recipient) + sizeof(uint32_t));
}

/* One recipient: from the pool, its index in the slab as well. More: one piece from the heap. */
static struct deliver_job *job_get(struct deliver *deliver, uint32_t recipients)
{
    if (recipients == 1) {
        struct deliver_job *job = pool_get(&deliver->jobs);
        job->transaction.recipients = &job->first;
        job->indexes = (uint32_t *)(job + 1);
        return job;
    }
    struct deliver_job *job = base_alloc(size_of(recipients));
    job->transaction.recipients = (struct smtp_transaction_recipient *)(job + 1);
    job->indexes = (uint32_t *)(job->transaction.recipients + recipients);
    return job;
}

void job_free(struct deliver_job *job)
{
    if (job->transaction.recipients == &job->first)
        pool_put(&job->attempt->deliver->jobs, job);
    else
        base_free(job);
}

static uint32_t count_pending(struct queue_entry *entry, uint32_t from, uint32_t most)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < entry->count && count < most; i++)
        count += queue_is_pending(*queue_status_of(entry, i));
    return count;
}

struct deliver_job *job_make(struct deliver_attempt *attempt, uint32_t *from, uint32_t most)
{
    struct queue_entry *entry = attempt->entry;
    const uint32_t count = count_pending(entry, *from, most);
    if (count == 0) return NULL;
    struct deliver *deliver = attempt->deliver;
    struct deliver_job *job = job_get(deliver, count);
    const struct smtp_envelope *envelope = &attempt->envelope;
    const struct spool_message *message = &entry->message->spool;
    job->attempt = attempt;
    job->home = deliver->worker->index;
    job->owner = deliver->all[attempt->gate->owner];
    job->plan = attempt->plan;
    job->pieces = attempt->view.pieces;
    job->piece_count = attempt->view.piece_count;
    job->connect_ms = job->transaction_ms = -1;
    list_init(&job->link);
    list_init(&job->queue.link);
    job->queue.expires = queue_entry_patience(&deliver->queue, entry, deliver_now(deliver));
    struct smtp_transaction *transaction = &job->transaction;
    transaction->reverse_path = envelope->reverse_path;
    transaction->envid = envelope->envid;
    transaction->size = message->content_size;
    transaction->content_flags = message->content_flags;
    transaction->body = envelope->body;
    transaction->ret = envelope->ret;
    transaction->smtputf8 = envelope->smtputf8;
    transaction->user = job;
    for (uint32_t i = *from; transaction->recipient_count < count; i++) {
        *from = i + 1;
        if (!queue_is_pending(*queue_status_of(entry, i))) continue;
        const uint32_t at = transaction->recipient_count++;
        job->indexes[at] = i;
        /* The envelope was checked when it was loaded. */
        ASSERT(queue_entry_recipient(entry, envelope, i, &transaction->recipients[at].to));
    }
    return job;
}

static void on_arrival(struct inbox_node *node, void *context)
{
    (void)context;
    struct deliver_job *job = CONTAINER_OF(node, struct deliver_job, node);
    owner_take(job->owner, job);
}

static void on_return(struct inbox_node *node, void *context)
{
    (void)context;
    outcome_job(CONTAINER_OF(node, struct deliver_job, node));
}

void job_send(struct deliver_job *job)
{
    struct deliver *deliver = job->attempt->deliver;
    job->attempt->jobs_out += 1;
    if (job->owner == deliver) {
        owner_take(deliver, job);
        return;
    }
    job->node.on_arrival = on_arrival;
    worker_post(deliver->worker, job->owner->worker->index, &job->node);
}

void job_return(struct deliver_job *job)
{
    struct deliver *owner = job->owner;
    if (job->home == owner->worker->index) {
        outcome_job(job);
        return;
    }
    job->node.on_arrival = on_return;
    worker_post(owner->worker, job->home, &job->node);
}
