/* SPDX-License-Identifier: Apache-2.0
 *
 * message - splitting a message's recipients by domain, and letting go of it
 *
 * Entries stand in the order in which their domains first appear, recipients of one in envelope
 * order: the state on disk relies on that.
 */
#include "internal.h"

struct queue_message *queue_message_new(struct queue *queue)
{
    return pool_get(&queue->messages);
}

static size_t split_size(uint32_t entries, uint32_t recipients)
{
    return sizeof(struct queue_split) + entries * sizeof(struct queue_entry) +
           recipients * (sizeof(uint32_t) + sizeof(uint8_t));
}

void queue_message_free(struct queue *queue, struct queue_message *message)
{
    ASSERT(message->entries_left == 0);
    if (message->admitted) queue->message_count -= 1;
    if (message->split != NULL) {
        queue->split_bytes -=
            split_size(message->split->entry_count, message->split->recipient_count);
        base_free(message->split);
    }
    pool_put(&queue->messages, message);
}

/* RFC 5321 section 4.5.1: a bare <Postmaster> is ours. */
static struct queue_domain *domain_of(struct queue *queue, const struct smtp_recipient *recipient)
{
    struct bytes name = smtp_domain_of(recipient->address);
    if (name.len == 0) name = bytes_of(queue->options->hostname);
    return domain_get(queue, name);
}

static void entry_init(struct queue *queue, struct queue_message *message,
                       struct queue_entry *entry, struct queue_domain *domain)
{
    list_init(&entry->domain_link);
    list_init(&entry->wait_link);
    entry->message = message;
    domain_add_entry(domain, entry, queue);
}

static void admit_one(struct queue *queue, struct queue_message *message,
                      const struct smtp_recipient *recipient)
{
    message->entry.count = message->entry.left = 1;
    entry_init(queue, message, &message->entry, domain_of(queue, recipient));
}

/* Which entry each recipient belongs to. Domains remember it in ->mark until the end. A domain may
 * have no entry yet: it stays, since idle ones are dropped only when one more becomes idle. */
static uint32_t number_by_domain(struct queue *queue, const struct smtp_envelope *envelope,
                                 struct queue_domain **domains, uint32_t *numbers)
{
    uint32_t entries = 0;
    struct bytes cursor = envelope->recipients;
    struct smtp_recipient recipient;
    for (uint32_t i = 0; i < envelope->recipient_count; i++) {
        ASSERT(smtp_recipient_next(&cursor, &recipient)); /* counted by smtp_envelope_load() */
        struct queue_domain *domain = domain_of(queue, &recipient);
        if (domain->mark == 0) {
            domains[entries++] = domain;
            domain->mark = entries;
        }
        numbers[i] = domain->mark - 1;
    }
    for (uint32_t e = 0; e < entries; e++)
        domains[e]->mark = 0;
    return entries;
}

static void admit_many(struct queue *queue, struct queue_message *message,
                       const struct smtp_envelope *envelope)
{
    const uint32_t count = envelope->recipient_count;
    struct queue_domain **domains = base_alloc(count * sizeof(struct queue_domain *));
    uint32_t *numbers = base_alloc(count * sizeof(uint32_t));
    const uint32_t entries = number_by_domain(queue, envelope, domains, numbers);

    struct queue_split *split = base_alloc(split_size(entries, count));
    split->entries = (struct queue_entry *)(split + 1);
    split->offsets = (uint32_t *)(split->entries + entries);
    split->statuses = (uint8_t *)(split->offsets + count);
    message->split = split;
    split->entry_count = entries;
    split->recipient_count = count;
    queue->split_bytes += split_size(entries, count);

    for (uint32_t i = 0; i < count; i++)
        split->entries[numbers[i]].count += 1;
    uint32_t first = 0;
    for (uint32_t e = 0; e < entries; e++) {
        struct queue_entry *entry = &split->entries[e];
        entry->first = first;
        first += entry->count;
        entry_init(queue, message, entry, domains[e]);
    }
    struct bytes cursor = envelope->recipients;
    struct smtp_recipient recipient;
    for (uint32_t i = 0; i < count; i++) {
        struct queue_entry *entry = &split->entries[numbers[i]];
        split->offsets[entry->first + entry->left] =
            (uint32_t)(cursor.data - envelope->recipients.data);
        entry->left += 1;
        ASSERT(smtp_recipient_next(&cursor, &recipient));
    }
    base_free(numbers);
    base_free(domains);
}

bool queue_message_admit(struct queue *queue, struct queue_message *message,
                         const struct smtp_envelope *envelope, instant now, duration age)
{
    ASSERT(!message->admitted);
    const uint32_t count = envelope->recipient_count;
    if (count == 0) return false;
    message->admitted = true;
    /* Rounded up: never given up before its time. */
    const int64_t born = (int64_t)now - (int64_t)MIN(age, DURATION_S(INT32_MAX));
    const int64_t second = (int64_t)DURATION_S(1);
    message->born_s = (int32_t)((born + second - 1) / second - queue->epoch_s);
    if (count == 1) {
        struct smtp_recipient recipient;
        struct bytes cursor = envelope->recipients;
        ASSERT(smtp_recipient_next(&cursor, &recipient)); /* counted by smtp_envelope_load() */
        admit_one(queue, message, &recipient);
    } else {
        admit_many(queue, message, envelope);
    }
    message->entries_left = queue_message_entries(message);
    queue->message_count += 1;
    queue->recipient_count += count;
    return true;
}

void queue_message_forget(struct queue *queue, struct queue_message *message)
{
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        if (entry->state == QUEUE_ENTRY_DONE) continue;
        entry_leave(queue, entry);
        queue->recipient_count -= entry->left;
        entry->left = 0;
        entry_become(entry, QUEUE_ENTRY_DONE);
        error_put(queue, &entry->error);
        domain_remove_entry(queue, entry);
    }
    message->entries_left = 0;
}

bool queue_entry_recipient(const struct queue_entry *entry, const struct smtp_envelope *envelope,
                           uint32_t index, struct smtp_recipient *recipient)
{
    ASSERT(index < entry->count);
    const struct queue_split *split = entry->message->split;
    struct bytes cursor = envelope->recipients;
    if (split != NULL) cursor = bytes_skip(cursor, split->offsets[entry->first + index]);
    return smtp_recipient_next(&cursor, recipient);
}
