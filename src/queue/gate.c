/* SPDX-License-Identifier: Apache-2.0
 *
 * gate - home's side of a ready queue: who may go to its owner now
 *
 * A gate lets through a credit of entries, so that a million messages for one slow site wait here
 * as index entries, and only a credit of them has content in memory. Gates with something to let
 * through take turns: none starves.
 */
#include "internal.h"

static bool equal_key(const void *item, const void *key)
{
    const struct queue_gate *gate = item;
    return bytes_equal(queue_plan_key(gate->plan), *(const struct bytes *)key);
}

bool gate_is_blocked(const struct queue_gate *gate, instant now)
{
    return now < gate->blocked_until;
}

static uint32_t credit_of(const struct queue *queue, const struct queue_site_options *options)
{
    uint64_t credit = queue->options->gate_jobs_max;
    /* What a rate lets pass in half a minute: the owner cannot expire what waits there. */
    if (options->message_interval > 0) {
        credit = MIN(credit, DURATION_S(30) / options->message_interval);
    }
    return (uint32_t)MAX(credit / queue->workers, 1u);
}

/* The only writer of ->place. */
void gate_look(struct queue *queue, struct queue_gate *gate)
{
    uint8_t place = QUEUE_GATE_ALONE;
    if (gate->waiting_count > 0) {
        if (gate->out < gate->credit) place = QUEUE_GATE_READY;
    } else if (gate->out == 0) {
        place = QUEUE_GATE_IDLE;
    }
    if (place == gate->place) return;
    if (gate->place == QUEUE_GATE_IDLE) queue->gates_idle_count -= 1;
    list_remove(&gate->link);
    gate->place = place;
    if (place == QUEUE_GATE_READY) list_push_back(&queue->gates_ready, &gate->link);
    if (place == QUEUE_GATE_IDLE) {
        list_push_back(&queue->gates_idle, &gate->link);
        queue->gates_idle_count += 1;
        gates_drop_idle(queue, IDLE_GATES_MAX);
    }
}

static void gate_free(struct queue *queue, struct queue_gate *gate)
{
    ASSERT(gate->out == 0 && gate->waiting_count == 0);
    LIST_FOR_EACH_SAFE(node, &gate->domains)
    {
        domain_detach(CONTAINER_OF(node, struct queue_domain, gate_link));
    }
    table_remove(&queue->gates, gate->plan->hash, gate);
    error_put(queue, &gate->blocked_error);
    queue_plan_put(&gate->plan);
    base_free(gate);
}

void gates_drop_idle(struct queue *queue, uint32_t keep)
{
    while (queue->gates_idle_count > keep) {
        struct list *node = list_pop_front(&queue->gates_idle);
        queue->gates_idle_count -= 1;
        gate_free(queue, CONTAINER_OF(node, struct queue_gate, link));
    }
}

static struct queue_gate *gate_make(struct queue *queue, struct queue_plan *plan)
{
    struct queue_gate *gate = base_alloc(sizeof(*gate));
    list_init(&gate->link);
    list_init(&gate->domains);
    list_init(&gate->waiting);
    gate->plan = plan;
    gate->owner = (uint32_t)((plan->hash >> 32) % queue->workers);
    table_add(&queue->gates, plan->hash, gate);
    return gate;
}

static void gate_renew(struct queue_gate *gate, struct queue_plan *plan)
{
    /* Other hosts: what was said of the old ones does not count. */
    if (!plan_same_targets(gate->plan, plan)) gate->blocked_until = 0;
    queue_plan_put(&gate->plan);
    gate->plan = plan;
}

/* Site, profile and source in one text: mail that shares a key shares connections and limits. */
static struct bytes print_key(const struct queue_plan_input *input, char *out, size_t cap)
{
    struct text key;
    text_init(&key, out, cap);
    text_put(&key, input->site);
    text_put(&key, (struct bytes){"", 1});
    text_put(&key, input->profile);
    text_put(&key, (struct bytes){"", 1});
    text_put(&key, bytes_of(input->source->name));
    ASSERT(!key.cut);
    return text_bytes(&key);
}

/* No longer idle, so that it is not dropped meanwhile; gate_look() puts it where it belongs. */
static void gate_hold(struct queue *queue, struct queue_gate *gate)
{
    if (gate->place != QUEUE_GATE_IDLE) return;
    list_remove(&gate->link);
    gate->place = QUEUE_GATE_ALONE;
    queue->gates_idle_count -= 1;
}

/* What waited at the old gate of the domain goes with it. */
static void change_gate(struct queue *queue, struct queue_domain *domain, struct queue_gate *gate)
{
    if (domain->gate == gate) return;
    if (domain->gate != NULL && domain->gate->waiting_count > 0) {
        LIST_FOR_EACH(node, &domain->entries)
        {
            struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, domain_link);
            if (entry->state != QUEUE_ENTRY_GATED) continue;
            entry_leave(queue, entry);
            entry_become(entry, QUEUE_ENTRY_ROUTING);
            list_push_back(&domain->waiting, &entry->wait_link);
        }
    }
    domain_detach(domain);
    domain->gate = gate;
    list_push_back(&gate->domains, &domain->gate_link);
}

struct queue_gate *queue_domain_routed(struct queue *queue, struct queue_domain *domain,
                                       const struct queue_plan_input *input, instant now)
{
    char space[2 * QUEUE_NAME_MAX + QUEUE_LABEL_MAX + 8];
    const struct bytes key = print_key(input, space, sizeof(space));
    const uint64_t hash = hash_bytes(queue->key_seed, key);
    struct queue_gate *gate = table_find(&queue->gates, hash, equal_key, &key);
    if (gate != NULL) gate_hold(queue, gate);
    if (gate == NULL) {
        gate = gate_make(queue, plan_make(queue, input, hash, key));
    } else if (gate->plan->fresh_until <= now || gate->plan->generation != queue->generation) {
        gate_renew(gate, plan_make(queue, input, hash, key));
    }
    gate->credit = credit_of(queue, &gate->plan->options);
    change_gate(queue, domain, gate);
    domain->route_until = input->fresh_until;
    domain->generation = queue->generation;
    domain_set_site(queue, domain, input->site);

    while (!list_is_empty(&domain->waiting)) {
        struct queue_entry *entry =
            CONTAINER_OF(domain->waiting.next, struct queue_entry, wait_link);
        entry_leave(queue, entry);
        gate_add_entry(queue, gate, entry, now);
    }
    gate_look(queue, gate);
    return gate;
}

void gate_add_entry(struct queue *queue, struct queue_gate *gate, struct queue_entry *entry,
                    instant now)
{
    if (gate_is_blocked(gate, now)) {
        entry_fail(queue, entry, gate->blocked_error);
        return;
    }
    /* Who will be let through in this turn needs no place in the schedule. */
    const bool through = gate->out + gate->waiting_count < gate->credit &&
                         queue->out < queue->options->jobs_max &&
                         queue->out_bytes < queue->options->job_bytes_max;
    if (!through)
        heap_put(&queue->schedule, &entry->timer, queue_entry_patience(queue, entry, now));
    entry_become(entry, QUEUE_ENTRY_GATED);
    list_push_back(&gate->waiting, &entry->wait_link);
    gate->waiting_count += 1;
    gate_look(queue, gate);
}

void gate_remove_entry(struct queue *queue, struct queue_gate *gate, struct queue_entry *entry)
{
    ASSERT(gate->waiting_count > 0);
    list_remove(&entry->wait_link);
    gate->waiting_count -= 1;
    gate_look(queue, gate);
}

/* Memory that an entry takes while it is out. */
static uint64_t bytes_of_entry(const struct queue_entry *entry)
{
    return entry->message->spool.content_size +
           (uint64_t)entry->count * sizeof(struct smtp_transaction_recipient);
}

struct queue_entry *queue_release(struct queue *queue, struct queue_gate **out)
{
    if (list_is_empty(&queue->gates_ready)) return NULL;
    const bool full =
        queue->out >= queue->options->jobs_max || queue->out_bytes >= queue->options->job_bytes_max;
    if (full && queue->out > 0) return NULL;

    struct queue_gate *gate = CONTAINER_OF(queue->gates_ready.next, struct queue_gate, link);
    ASSERT(gate->waiting_count > 0 && gate->out < gate->credit);
    struct queue_entry *entry = CONTAINER_OF(gate->waiting.next, struct queue_entry, wait_link);
    gate->out += 1;
    queue->out += 1;
    queue->out_bytes += bytes_of_entry(entry);
    heap_remove(&queue->schedule, &entry->timer);
    gate_remove_entry(queue, gate, entry);
    entry_become(entry, QUEUE_ENTRY_ACTIVE);
    if (gate->place == QUEUE_GATE_READY) { /* to the back: the others come first now */
        list_remove(&gate->link);
        list_push_back(&queue->gates_ready, &gate->link);
    }
    *out = gate;
    return entry;
}

void queue_back(struct queue *queue, struct queue_gate *gate, const struct queue_entry *entry)
{
    ASSERT(gate->out > 0 && queue->out > 0);
    gate->out -= 1;
    queue->out -= 1;
    queue->out_bytes -= bytes_of_entry(entry);
    gate_look(queue, gate);
}

uint32_t queue_gate_recipients(const struct queue_gate *gate)
{
    uint32_t most = MAX(gate->plan->options.recipients_per_transaction, 1u);
    most = MIN(most, (uint32_t)QUEUE_RECIPIENTS_MAX);
    return gate->recipients_max > 0 ? MIN(most, gate->recipients_max) : most;
}

void queue_gate_block(struct queue *queue, struct queue_gate *gate, instant until,
                      const struct queue_error_view *why)
{
    struct queue_error *error = error_get(queue, why);
    error_put(queue, &gate->blocked_error);
    gate->blocked_error = error;
    gate->blocked_until = until;
    while (!list_is_empty(&gate->waiting)) {
        struct queue_entry *entry = CONTAINER_OF(gate->waiting.next, struct queue_entry, wait_link);
        heap_remove(&queue->schedule, &entry->timer);
        list_remove(&entry->wait_link);
        gate->waiting_count -= 1;
        entry_fail(queue, entry, gate->blocked_error);
    }
    gate_look(queue, gate);
}

void queue_gates_unblock(struct queue *queue)
{
    uint32_t cursor = 0;
    struct queue_gate *gate;
    while ((gate = table_next(&queue->gates, &cursor)) != NULL)
        gate->blocked_until = 0;
}
