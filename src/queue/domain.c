/* SPDX-License-Identifier: Apache-2.0
 *
 * domain - the recipients' domains that have entries, and the names of their sites
 *
 * A domain without entries stays a while with its route, least recently used first to go: on the
 * busy path a message finds its gate with one look-up.
 */
#include "internal.h"

static bool equal_domain(const void *item, const void *key)
{
    return bytes_equal_nocase(queue_domain_name(item), *(const struct bytes *)key);
}

static bool equal_site(const void *item, const void *key)
{
    return bytes_equal(queue_site_text(item), *(const struct bytes *)key);
}

struct queue_domain *queue_domain_find(const struct queue *queue, struct bytes name)
{
    const uint64_t hash = hash_bytes_nocase(queue->seed, name);
    return table_find(&queue->domains, hash, equal_domain, &name);
}

struct queue_domain *domain_get(struct queue *queue, struct bytes name)
{
    ASSERT(name.len <= UINT16_MAX);
    const uint64_t hash = hash_bytes_nocase(queue->seed, name);
    struct queue_domain *domain = table_find(&queue->domains, hash, equal_domain, &name);
    if (domain != NULL) return domain;

    domain = base_alloc(sizeof(*domain) + name.len);
    domain->hash = hash;
    domain->name_len = (uint16_t)name.len;
    for (size_t i = 0; i < name.len; i++)
        domain->name[i] = ascii_lower(name.data[i]);
    list_init(&domain->entries);
    list_init(&domain->waiting);
    list_init(&domain->gate_link);
    list_init(&domain->idle_link);
    table_add(&queue->domains, hash, domain);
    queue->domain_bytes += sizeof(*domain) + name.len;
    return domain;
}

static void put_site(struct queue *queue, struct queue_domain *domain)
{
    struct queue_site_name *site = domain->site;
    domain->site = NULL;
    if (site == NULL || --site->refs > 0) return;
    table_remove(&queue->site_names, site->hash, site);
    queue->site_bytes -= sizeof(*site) + site->len;
    base_free(site);
}

void domain_set_site(struct queue *queue, struct queue_domain *domain, struct bytes name)
{
    if (domain->site != NULL && bytes_equal(queue_site_text(domain->site), name)) return;
    put_site(queue, domain);
    const uint64_t hash = hash_bytes(queue->seed, name);
    struct queue_site_name *site = table_find(&queue->site_names, hash, equal_site, &name);
    if (site == NULL) {
        site = base_alloc(sizeof(*site) + name.len);
        site->hash = hash;
        site->len = (uint16_t)name.len;
        if (name.len > 0) memcpy(site->name, name.data, name.len);
        table_add(&queue->site_names, hash, site);
        queue->site_bytes += sizeof(*site) + name.len;
    }
    site->refs += 1;
    domain->site = site;
}

void domain_detach(struct queue_domain *domain)
{
    list_remove(&domain->gate_link);
    domain->gate = NULL;
}

static void domain_free(struct queue *queue, struct queue_domain *domain)
{
    ASSERT(domain->entry_count == 0 && domain->active == 0 && domain->lookup == NULL);
    domain_detach(domain);
    put_site(queue, domain);
    error_put(queue, &domain->error);
    table_remove(&queue->domains, domain->hash, domain);
    queue->domain_bytes -= sizeof(*domain) + domain->name_len;
    base_free(domain);
}

void domains_drop_idle(struct queue *queue, uint32_t keep)
{
    while (queue->domains_idle_count > keep) {
        struct list *node = list_pop_front(&queue->domains_idle);
        queue->domains_idle_count -= 1;
        domain_free(queue, CONTAINER_OF(node, struct queue_domain, idle_link));
    }
}

static bool is_idle(const struct queue_domain *domain)
{
    return !list_is_empty(&domain->idle_link);
}

void queue_domain_look(struct queue *queue, struct queue_domain *domain)
{
    const bool idle = domain->entry_count == 0 && domain->lookup == NULL;
    if (idle == is_idle(domain)) return;
    if (!idle) {
        list_remove(&domain->idle_link);
        queue->domains_idle_count -= 1;
        return;
    }
    list_push_back(&queue->domains_idle, &domain->idle_link);
    queue->domains_idle_count += 1;
    domains_drop_idle(queue, IDLE_DOMAINS_MAX);
}

void domain_add_entry(struct queue_domain *domain, struct queue_entry *entry, struct queue *queue)
{
    entry->domain = domain;
    list_push_back(&domain->entries, &entry->domain_link);
    domain->entry_count += 1;
    domain->active += 1;
    queue_domain_look(queue, domain);
}

void domain_remove_entry(struct queue *queue, struct queue_entry *entry)
{
    struct queue_domain *domain = entry->domain;
    ASSERT(domain->entry_count > 0 && domain->active > 0);
    list_remove(&entry->domain_link);
    domain->entry_count -= 1;
    domain->active -= 1;
    entry->domain = NULL;
    queue_domain_look(queue, domain);
}

void domain_waiting_more(struct queue_domain *domain, instant due)
{
    ASSERT(domain->active > 0);
    const bool alone = domain->entry_count == domain->active;
    domain->active -= 1;
    if (alone)
        domain->next_due = due;
    else if (domain->next_due != 0)
        domain->next_due = MIN(domain->next_due, due);
}

void domain_waiting_less(struct queue_domain *domain, instant due)
{
    domain->active += 1;
    ASSERT(domain->active <= domain->entry_count);
    if (domain->next_due == due) domain->next_due = 0;
}

instant queue_domain_next_due(const struct queue *queue, struct queue_domain *domain)
{
    if (domain->entry_count == domain->active) return 0;
    if (domain->next_due != 0) return domain->next_due;
    instant first = INSTANT_FOREVER;
    LIST_FOR_EACH(node, &domain->entries)
    {
        const struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, domain_link);
        if (entry->state == QUEUE_ENTRY_WAITING) first = MIN(first, queue_entry_due(queue, entry));
    }
    domain->next_due = first;
    return first;
}
