/* SPDX-License-Identifier: Apache-2.0
 *
 * operator - list, show, retry, delete: about the messages of this worker
 *
 * What changes many entries only makes them due; the turn's budgets do the rest.
 */
#include "internal.h"

wall_ms operator_wall(const struct deliver *deliver, instant at)
{
    if (at == 0) return 0;
    const instant now = deliver_now(deliver);
    const wall_ms wall = ring_wall(deliver->ring);
    return at > now ? wall + (wall_ms)((at - now) / DURATION_MS(1)) : wall;
}

static void fill_item(const struct deliver *deliver, const struct queue_entry *entry,
                      struct deliver_item *item)
{
    const struct queue_message *message = entry->message;
    *item = (struct deliver_item){
        .id = message->spool.id,
        .recipients_left = entry->left,
        .size = message->spool.content_size,
        .created = account_created(deliver, message),
        .due = operator_wall(deliver, queue_entry_due(&deliver->queue, entry)),
        .attempts = entry->attempts,
        .state = queue_entry_state_name(entry->state),
    };
    if (entry->domain != NULL) item->domain = queue_domain_name(entry->domain);
    if (entry->error == NULL) return;
    item->error = queue_error_text(entry->error);
    item->peer = queue_error_peer(entry->error);
    item->code = entry->error->code;
    item->enhanced = entry->error->enhanced;
}

static uint32_t list_domain(struct deliver *deliver, const struct queue_domain *domain,
                            uint32_t max,
                            void (*each)(void *context, const struct deliver_item *item),
                            void *context)
{
    uint32_t told = 0;
    LIST_FOR_EACH(node, &domain->entries)
    {
        struct deliver_item item;
        if (told == max) break;
        fill_item(deliver, CONTAINER_OF(node, struct queue_entry, domain_link), &item);
        each(context, &item);
        told += 1;
    }
    return told;
}

uint32_t deliver_list(struct deliver *deliver, struct bytes name, uint32_t max,
                      void (*each)(void *context, const struct deliver_item *item), void *context)
{
    struct queue_domain *domain;
    if (name.len > 0) {
        domain = queue_domain_find(&deliver->queue, name);
        return domain == NULL ? 0 : list_domain(deliver, domain, max, each, context);
    }
    uint32_t cursor = 0, told = 0;
    while (told < max && (domain = table_next(&deliver->queue.domains, &cursor)) != NULL)
        told += list_domain(deliver, domain, max - told, each, context);
    return told;
}

/* ---- show ---------------------------------------------------------------------------------------
 */

static void show_loaded(struct deliver_show *show, struct queue_message *message, bool readable)
{
    struct smtp_envelope envelope = {0};
    struct deliver *deliver = show->deliver;
    show->loading = false;
    if (readable && !smtp_envelope_load(spool_message_view(&message->spool).envelope, &envelope)) {
        envelope = (struct smtp_envelope){0};
    }
    show->on_shown(show, true, message, &envelope);
    if (!readable) return;
    spool_message_unpin(deliver->spool, &message->spool);
}

static void on_show_loaded(struct spool_load *load, enum spool_result result)
{
    struct deliver_show *show = CONTAINER_OF(load, struct deliver_show, load);
    show_loaded(show, queue_message_of(load->message), result == SPOOL_OK);
}

void deliver_show(struct deliver *deliver, uint64_t id, struct deliver_show *show)
{
    struct queue_message *message = queue_find(&deliver->queue, id);
    show->deliver = deliver;
    show->id = id;
    if (message == NULL) {
        show->on_shown(show, false, NULL, NULL);
        return;
    }
    show->loading = true;
    show->load.on_loaded = on_show_loaded;
    if (!spool_message_load(deliver->spool, &message->spool, &show->load)) return;
    show_loaded(show, message, true);
}

void deliver_show_entries(struct deliver *deliver, const struct queue_message *given,
                          const struct smtp_envelope *envelope,
                          void (*on_entry)(void *context, const struct deliver_item *item),
                          void (*on_recipient)(void *context,
                                               const struct smtp_recipient *recipient,
                                               uint8_t status),
                          void *context)
{
    struct queue_message *message = (struct queue_message *)(uintptr_t)given; /* only read */
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        struct deliver_item item;
        fill_item(deliver, entry, &item);
        on_entry(context, &item);
        for (uint32_t i = 0; i < entry->count; i++) {
            struct smtp_recipient recipient;
            if (!queue_entry_recipient(entry, envelope, i, &recipient)) break;
            on_recipient(context, &recipient, *queue_status_of(entry, i));
        }
    }
}

/* ---- retry and delete ---------------------------------------------------------------------------
 */

void deliver_hosts_forget(struct deliver *deliver)
{
    queue_hosts_forget(&deliver->hosts);
    queue_clear_forget(&deliver->clear);
    queue_gates_unblock(&deliver->queue);
    worker_keep_busy(deliver->worker);
}

static uint32_t retry_entry(struct deliver *deliver, struct queue_entry *entry)
{
    if (entry->state != QUEUE_ENTRY_WAITING) return 0;
    ASSERT(queue_entry_interrupt(&deliver->queue, entry)); /* WAITING */
    queue_entry_wait(&deliver->queue, entry, deliver_now(deliver));
    return 1;
}

static uint32_t delete_entry(struct deliver *deliver, struct queue_entry *entry)
{
    if (entry->state == QUEUE_ENTRY_DONE || entry->deleted) return 0;
    entry->deleted = true;
    if (queue_entry_interrupt(&deliver->queue, entry)) {
        queue_entry_wait(&deliver->queue, entry, deliver_now(deliver));
    }
    return 1;
}

static uint32_t act_on_domain(struct deliver *deliver, struct queue_domain *domain,
                              uint32_t (*act)(struct deliver *, struct queue_entry *))
{
    uint32_t count = 0;
    domain->route_until = 0; /* whatever was known, ask again */
    LIST_FOR_EACH(node, &domain->entries)
    {
        count += act(deliver, CONTAINER_OF(node, struct queue_entry, domain_link));
    }
    return count;
}

static uint32_t act(struct deliver *deliver, const struct deliver_target *target, bool all,
                    uint32_t (*on_entry)(struct deliver *, struct queue_entry *))
{
    uint32_t count = 0, cursor = 0;
    struct queue_domain *domain;
    if (target->id != 0) {
        struct queue_message *message = queue_find(&deliver->queue, target->id);
        for (uint32_t e = 0; message != NULL && e < queue_message_entries(message); e++)
            count += on_entry(deliver, queue_message_entry(message, e));
    } else if (target->domain.len > 0) {
        domain = queue_domain_find(&deliver->queue, target->domain);
        if (domain != NULL) count = act_on_domain(deliver, domain, on_entry);
    } else if (all) {
        while ((domain = table_next(&deliver->queue.domains, &cursor)) != NULL)
            count += act_on_domain(deliver, domain, on_entry);
    }
    home_arm(deliver);
    worker_keep_busy(deliver->worker);
    return count;
}

uint32_t deliver_retry(struct deliver *deliver, const struct deliver_target *target)
{
    deliver_hosts_forget(deliver);
    if (deliver->dns != NULL) dns_flush(deliver->dns);
    return act(deliver, target, true, retry_entry);
}

uint32_t deliver_delete(struct deliver *deliver, const struct deliver_target *target)
{
    return act(deliver, target, false, delete_entry);
}
