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

/* All but the transaction. */
static void job_init(struct deliver_job *job, struct deliver_attempt *attempt)
{
    const struct deliver *deliver = attempt->deliver;
    job->attempt = attempt;
    job->home = deliver->worker->index;
    job->owner = deliver->all[attempt->gate->owner];
    job->plan = attempt->plan;
    job->pieces = attempt->view.pieces;
    job->piece_count = attempt->view.piece_count;
    job->connect_ms = job->transaction_ms = -1;
    list_init(&job->link);
    list_init(&job->queue.link);
    list_init(&job->members);
    job->queue.expires =
        queue_entry_patience(&deliver->queue, attempt->entry, deliver_now(deliver));
}

struct deliver_job *job_make(struct deliver_attempt *attempt, uint32_t *from, uint32_t most)
{
    struct queue_entry *entry = attempt->entry;
    const uint32_t count = count_pending(entry, *from, most);
    if (count == 0) return NULL;
    struct deliver_job *job = job_get(attempt->deliver, count);
    const struct smtp_envelope *envelope = &attempt->envelope;
    const struct spool_message *message = &entry->message->spool;
    job_init(job, attempt);
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

/* ---- recipients of several domains in one transaction -------------------------------------------
 *
 * Members keep their place and their memory; the carrier has copies of their recipients, and brings
 * back what became of them.
 */

static struct deliver_job *carrier_make(struct deliver_bundle *bundle)
{
    struct deliver_job *first = CONTAINER_OF(bundle->jobs.next, struct deliver_job, link);
    struct deliver_job *carrier = job_get(first->attempt->deliver, bundle->recipients);
    struct smtp_transaction *transaction = &carrier->transaction;
    struct smtp_transaction_recipient *recipients = transaction->recipients;
    *transaction = first->transaction; /* nothing in it is linked or begun */
    transaction->recipients = recipients;
    transaction->recipient_count = 0;
    transaction->user = carrier;
    job_init(carrier, first->attempt);
    list_append_all(&carrier->members, &bundle->jobs);
    LIST_FOR_EACH(node, &carrier->members)
    {
        const struct deliver_job *job = CONTAINER_OF(node, struct deliver_job, link);
        for (uint32_t i = 0; i < job->transaction.recipient_count; i++)
            recipients[transaction->recipient_count++].to = job->transaction.recipients[i].to;
    }
    return carrier;
}

static void copy_results(struct deliver_job *job, const struct deliver_job *carrier, uint32_t from)
{
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++)
        job_recipient(job, i)->verdict = carrier->transaction.recipients[from + i].verdict;
    job->transaction.next_hop_dsn = carrier->transaction.next_hop_dsn;
    job->overdue = carrier->overdue;
    job->blocked = carrier->blocked;
    job->blocked_for = carrier->blocked_for;
    job->protocol = carrier->protocol;
    job_set_tls(job, &carrier->tls);
    job->recipients_max = carrier->recipients_max;
    job->peer = carrier->peer;
    job->peer_name_len = carrier->peer_name_len;
    memcpy(job->peer_name, carrier->peer_name, carrier->peer_name_len);
    job->connect_ms = carrier->connect_ms;
    job->transaction_ms = carrier->transaction_ms;
}

/* Back at home. */
static void come_home(struct deliver_job *job)
{
    if (list_is_empty(&job->members)) {
        outcome_job(job);
        return;
    }
    struct list members, *node;
    uint32_t from = 0;
    list_init(&members);
    list_append_all(&members, &job->members);
    LIST_FOR_EACH(member, &members)
    {
        struct deliver_job *of = CONTAINER_OF(member, struct deliver_job, link);
        copy_results(of, job, from);
        from += of->transaction.recipient_count;
    }
    job_free(job);
    while ((node = list_pop_front(&members)) != NULL)
        outcome_job(CONTAINER_OF(node, struct deliver_job, link));
}

/* ---- on the way ---------------------------------------------------------------------------------
 */

static void on_arrival(struct inbox_node *node, void *context)
{
    (void)context;
    struct deliver_job *job = CONTAINER_OF(node, struct deliver_job, node);
    owner_take(job->owner, job);
}

static void on_return(struct inbox_node *node, void *context)
{
    (void)context;
    come_home(CONTAINER_OF(node, struct deliver_job, node));
}

static void dispatch(struct deliver *deliver, struct deliver_job *job)
{
    if (job->owner == deliver) {
        owner_take(deliver, job);
        return;
    }
    job->node.on_arrival = on_arrival;
    worker_post(deliver->worker, job->owner->worker->index, &job->node);
}

static void bundle_send(struct deliver *deliver, struct deliver_bundle *bundle)
{
    if (bundle->message == NULL) return;
    bundle->message = NULL;
    struct deliver_job *job = CONTAINER_OF(bundle->jobs.next, struct deliver_job, link);
    if (bundle->jobs.prev == &job->link)
        list_remove(&job->link);
    else
        job = carrier_make(bundle);
    dispatch(deliver, job);
}

static struct deliver_bundle *bundle_for(struct deliver *deliver, const struct deliver_job *job)
{
    const struct deliver_attempt *attempt = job->attempt;
    const struct queue_message *message = attempt->entry->message;
    const uint32_t count = job->transaction.recipient_count;
    struct deliver_bundle *bundle;
    for (uint32_t i = 0; i < BUNDLES_MAX; i++) {
        bundle = &deliver->bundles[i];
        if (bundle->message != message || bundle->gate != attempt->gate) continue;
        if (bundle->recipients + count > queue_gate_recipients(attempt->gate)) continue;
        return bundle;
    }
    bundle = &deliver->bundles[deliver->bundle_next++ % BUNDLES_MAX];
    bundle_send(deliver, bundle);
    bundle->message = message;
    bundle->gate = attempt->gate;
    bundle->recipients = 0;
    list_init(&bundle->jobs);
    return bundle;
}

void job_send(struct deliver_job *job)
{
    struct deliver *deliver = job->attempt->deliver;
    job->attempt->jobs_out += 1;
    if (LIKELY(job->attempt->entry->message->entries_left == 1)) {
        dispatch(deliver, job);
        return;
    }
    struct deliver_bundle *bundle = bundle_for(deliver, job);
    list_push_back(&bundle->jobs, &job->link);
    bundle->recipients += job->transaction.recipient_count;
}

void job_flush(struct deliver *deliver)
{
    if (deliver->bundle_next == 0) return;
    for (uint32_t i = 0; i < BUNDLES_MAX; i++) /* the oldest first */
        bundle_send(deliver, &deliver->bundles[(deliver->bundle_next + i) % BUNDLES_MAX]);
    deliver->bundle_next = 0;
}

void job_return(struct deliver_job *job)
{
    struct deliver *owner = job->owner;
    if (job->home == owner->worker->index) {
        come_home(job);
        return;
    }
    job->node.on_arrival = on_return;
    worker_post(owner->worker, job->home, &job->node);
}
