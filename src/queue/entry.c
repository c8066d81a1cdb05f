/* SPDX-License-Identifier: Apache-2.0
 *
 * entry - the life of an entry: the recipients of one message in one domain
 *
 * All times are monotonic instants, so a jump of the wall clock neither expires nor delays what is
 * queued. Wall time is used only in the state on disk.
 */
#include "internal.h"

#define TO(state) (1u << QUEUE_ENTRY_##state)

static const struct {
    const char *name;
    uint32_t successors;
} states[] = {
    [QUEUE_ENTRY_NEW] = {"starting", TO(WAITING) | TO(ROUTING) | TO(GATED) | TO(FAILING) |
                                         TO(ACTIVE) | TO(DONE)},
    [QUEUE_ENTRY_WAITING] = {"waiting", TO(NEW)},
    [QUEUE_ENTRY_ROUTING] = {"looking up the route", TO(NEW)},
    [QUEUE_ENTRY_GATED] = {"waiting for its turn", TO(NEW) | TO(ACTIVE) | TO(FAILING)},
    [QUEUE_ENTRY_FAILING] = {"failing", TO(NEW) | TO(ACTIVE)},
    [QUEUE_ENTRY_ACTIVE] = {"being delivered", TO(NEW) | TO(WAITING) | TO(REPORTING) | TO(DONE)},
    [QUEUE_ENTRY_REPORTING] = {"being reported to its sender", TO(NEW) | TO(WAITING) | TO(DONE)},
    [QUEUE_ENTRY_DONE] = {"done", 0},
};
static_assert(ARRAY_COUNT(states) == QUEUE_ENTRY_STATE_COUNT, "one row for each state");

const char *queue_entry_state_name(uint8_t state)
{
    ASSERT(state < QUEUE_ENTRY_STATE_COUNT);
    return states[state].name;
}

void entry_become(struct queue_entry *entry, enum queue_entry_state next)
{
    ASSERT(states[entry->state].successors & (1u << next));
    entry->state = (uint8_t)next;
}

instant queue_entry_due(const struct queue *queue, const struct queue_entry *entry)
{
    if (entry->state != QUEUE_ENTRY_WAITING) return 0;
    ASSERT(entry->timer.place > 0);
    return queue->schedule.slots[entry->timer.place - 1].key;
}

void entry_leave(struct queue *queue, struct queue_entry *entry)
{
    switch ((enum queue_entry_state)entry->state) {
    case QUEUE_ENTRY_WAITING:
        domain_waiting_less(entry->domain, queue_entry_due(queue, entry));
        break;
    case QUEUE_ENTRY_GATED:
        gate_remove_entry(queue, entry->domain->gate, entry);
        break;
    case QUEUE_ENTRY_ROUTING:
    case QUEUE_ENTRY_FAILING:
        list_remove(&entry->wait_link);
        break;
    case QUEUE_ENTRY_NEW:
    case QUEUE_ENTRY_ACTIVE:
    case QUEUE_ENTRY_REPORTING:
        break;
    case QUEUE_ENTRY_DONE:
    case QUEUE_ENTRY_STATE_COUNT:
        UNREACHABLE("queue: an entry without recipients");
    }
    heap_remove(&queue->schedule, &entry->timer);
    if (entry->state != QUEUE_ENTRY_NEW) entry_become(entry, QUEUE_ENTRY_NEW);
}

bool queue_entry_interrupt(struct queue *queue, struct queue_entry *entry)
{
    if (entry->state == QUEUE_ENTRY_ACTIVE || entry->state == QUEUE_ENTRY_REPORTING) return false;
    entry_leave(queue, entry);
    return true;
}

struct queue_entry *queue_due(struct queue *queue, instant now, bool *stuck)
{
    if (queue_next_due(queue) > now) return NULL;
    struct queue_entry *entry =
        CONTAINER_OF(heap_first(&queue->schedule), struct queue_entry, timer);
    *stuck = entry->state != QUEUE_ENTRY_WAITING;
    entry_leave(queue, entry);
    return entry;
}

enum queue_start queue_start(struct queue *queue, struct queue_entry *entry, instant now)
{
    ASSERT(entry->state == QUEUE_ENTRY_NEW && entry->left > 0);
    struct queue_domain *domain = entry->domain;
    const bool fresh = domain->gate != NULL && now < domain->route_until &&
                       domain->generation == queue->generation;
    if (LIKELY(fresh && domain->lookup == NULL)) {
        gate_add_entry(queue, domain->gate, entry, now);
        return entry->state == QUEUE_ENTRY_GATED ? QUEUE_START_GATED : QUEUE_START_FAILING;
    }
    entry_become(entry, QUEUE_ENTRY_ROUTING);
    list_push_back(&domain->waiting, &entry->wait_link);
    heap_put(&queue->schedule, &entry->timer, queue_entry_patience(queue, entry, now));
    return domain->lookup == NULL ? QUEUE_START_LOOKUP : QUEUE_START_ROUTING;
}

/* Takes over a reference. */
static void set_error(struct queue *queue, struct queue_entry *entry, struct queue_error *error)
{
    error_put(queue, &entry->error);
    entry->error = error;
    if (entry->domain->error == error) return;
    error_put(queue, &entry->domain->error);
    entry->domain->error = error_pin(error);
}

void entry_fail(struct queue *queue, struct queue_entry *entry, struct queue_error *error)
{
    entry_become(entry, QUEUE_ENTRY_FAILING);
    set_error(queue, entry, error_pin(error));
    list_push_back(&queue->failing, &entry->wait_link);
}

struct queue_entry *queue_failing(struct queue *queue)
{
    struct list *node = list_pop_front(&queue->failing);
    if (node == NULL) return NULL;
    struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, wait_link);
    entry_become(entry, QUEUE_ENTRY_ACTIVE);
    return entry;
}

void queue_domain_unrouted(struct queue *queue, struct queue_domain *domain,
                           const struct queue_error_view *why)
{
    struct queue_error *error = error_get(queue, why);
    while (!list_is_empty(&domain->waiting)) {
        struct queue_entry *entry =
            CONTAINER_OF(domain->waiting.next, struct queue_entry, wait_link);
        entry_leave(queue, entry);
        entry_fail(queue, entry, error);
    }
    error_put(queue, &error);
}

void queue_entry_wait(struct queue *queue, struct queue_entry *entry, instant due)
{
    entry_become(entry, QUEUE_ENTRY_WAITING);
    due = MAX(due, 1u); /* 0 means "none" */
    domain_waiting_more(entry->domain, due);
    heap_put(&queue->schedule, &entry->timer, due);
}

void queue_entry_report(struct queue_entry *entry)
{
    entry_become(entry, QUEUE_ENTRY_REPORTING);
}

void queue_entry_activate(struct queue_entry *entry)
{
    entry_become(entry, QUEUE_ENTRY_ACTIVE);
}

void queue_entry_renew(struct queue_entry *entry)
{
    entry_become(entry, QUEUE_ENTRY_NEW);
}

bool queue_recipient_settled(struct queue *queue, struct queue_entry *entry, uint32_t index,
                             enum queue_status status)
{
    uint8_t *slot = queue_status_of(entry, index);
    ASSERT(index < entry->count && entry->left > 0 && queue_is_pending(*slot));
    ASSERT(!queue_is_pending((uint8_t)status));
    *slot = (uint8_t)((*slot & ~QUEUE_STATUS_MASK) | status);
    entry->left -= 1;
    queue->recipient_count -= 1;
    if (entry->left > 0) return false;
    entry_become(entry, QUEUE_ENTRY_DONE);
    error_put(queue, &entry->error);
    domain_remove_entry(queue, entry);
    entry->message->entries_left -= 1;
    return true;
}

void queue_entry_set_error(struct queue *queue, struct queue_entry *entry,
                           const struct queue_error_view *view)
{
    set_error(queue, entry, error_get(queue, view));
}

const struct queue_site_options *queue_entry_options(const struct queue *queue,
                                                     const struct queue_entry *entry)
{
    const struct queue_domain *domain = entry->domain;
    if (domain->gate != NULL && domain->generation == queue->generation) {
        return &domain->gate->plan->options;
    }
    struct bytes profile;
    const struct bytes site = domain->site != NULL ? queue_site_text(domain->site) : BYTES("");
    return queue_options_site(queue->options, queue_domain_name(domain), site, site, &profile);
}

static int64_t born(const struct queue *queue, const struct queue_message *message)
{
    return (queue->epoch_s + message->born_s) * (int64_t)DURATION_S(1);
}

duration queue_message_age(const struct queue *queue, const struct queue_message *message,
                           instant now)
{
    const int64_t age = (int64_t)now - born(queue, message);
    return age > 0 ? (duration)age : 0;
}

instant queue_entry_expiry(const struct queue *queue, const struct queue_entry *entry)
{
    const uint32_t expiry_s = queue_entry_options(queue, entry)->expiry_s;
    const int64_t at = born(queue, entry->message) + (int64_t)DURATION_S(expiry_s);
    return at > 0 ? (instant)at : 0;
}

/* What is over its time already - the machine was down - gets a minute for a last attempt. */
instant queue_entry_patience(const struct queue *queue, const struct queue_entry *entry,
                             instant now)
{
    const instant expiry = queue_entry_expiry(queue, entry);
    return expiry > now ? expiry : now + DURATION_S(60);
}
