/* SPDX-License-Identifier: Apache-2.0
 *
 * queue - the index of one worker as a whole: making, options, size, finding
 */
#include "internal.h"

enum { MESSAGES_PER_SLAB = 256 };

void queue_init(struct queue *queue, const struct queue_options *options, uint32_t worker,
                uint32_t workers, instant now, uint64_t seed)
{
    ASSERT(workers > 0 && worker < workers);
    *queue = (struct queue){
        .options = options,
        .generation = 1,
        .worker = worker,
        .workers = workers,
        .seed = seed,
        .epoch_s = (int64_t)(now / DURATION_S(1)),
    };
    random_init(&queue->random, seed);
    heap_init(&queue->schedule);
    pool_init(&queue->messages, sizeof(struct queue_message), MESSAGES_PER_SLAB);
    table_init(&queue->domains);
    table_init(&queue->gates);
    table_init(&queue->errors);
    table_init(&queue->site_names);
    list_init(&queue->domains_idle);
    list_init(&queue->gates_ready);
    list_init(&queue->gates_idle);
    list_init(&queue->failing);
}

void queue_deinit(struct queue *queue)
{
    ASSERT(queue->message_count == 0 && queue->out == 0);
    domains_drop_idle(queue, 0);
    gates_drop_idle(queue, 0);
    ASSERT(queue->domains.count == 0 && queue->gates.count == 0 && queue->errors.count == 0);
    table_deinit(&queue->domains);
    table_deinit(&queue->gates);
    table_deinit(&queue->errors);
    table_deinit(&queue->site_names);
    heap_deinit(&queue->schedule);
    pool_deinit(&queue->messages);
}

void queue_set_options(struct queue *queue, const struct queue_options *options)
{
    queue->options = options;
    queue->generation += 1; /* each domain is routed anew when it is next needed */
}

uint64_t queue_index_bytes(const struct queue *queue)
{
    const uint64_t slots =
        (uint64_t)queue->domains.cap + queue->gates.cap + queue->errors.cap + queue->site_names.cap;
    return queue->messages.in_use * queue->messages.object_size + queue->split_bytes +
           queue->schedule.cap * sizeof(struct heap_slot) + slots * sizeof(struct table_slot) +
           queue->domain_bytes + queue->site_bytes + queue->error_bytes;
}

struct queue_message *queue_find(const struct queue *queue, uint64_t id)
{
    uint32_t cursor = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue->domains, &cursor)) != NULL) {
        LIST_FOR_EACH(node, &domain->entries)
        {
            struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, domain_link);
            if (entry->message->spool.id == id) return entry->message;
        }
    }
    return NULL;
}
