/* SPDX-License-Identifier: Apache-2.0
 *
 * summary - the queue in a few lines, by domain or by site
 *
 * From counts that domains keep: no message is looked at, except for the next due time of a domain
 * whose first entry has just left (its own entries, once).
 */
#include "internal.h"
#include <stdlib.h>

void deliver_totals(struct deliver *deliver, struct deliver_totals *totals)
{
    *totals = (struct deliver_totals){
        .messages = deliver->queue.message_count,
        .recipients = deliver->queue.recipient_count,
        .index_bytes = queue_index_bytes(&deliver->queue),
        .connections = deliver->connection_count,
        .ready_queues = deliver->readies.count,
        .hosts_paused = queue_hosts_paused(&deliver->hosts, deliver_now(deliver)),
    };
    uint32_t cursor = 0;
    const struct queue_domain *domain;
    while ((domain = table_next(&deliver->queue.domains, &cursor)) != NULL)
        totals->active += domain->active;
}

static void fill_error(struct deliver_group *group, const struct queue_error *error)
{
    if (error == NULL) return;
    group->error = queue_error_text(error);
    group->peer = queue_error_peer(error);
    group->code = error->code;
    group->enhanced = error->enhanced;
}

static int by_entries(const void *left, const void *right)
{
    const struct queue_domain *a = *(struct queue_domain *const *)left;
    const struct queue_domain *b = *(struct queue_domain *const *)right;
    if (a->entry_count != b->entry_count) return a->entry_count > b->entry_count ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int by_site_entries(const void *left, const void *right)
{
    const struct queue_site_name *a = *(struct queue_site_name *const *)left;
    const struct queue_site_name *b = *(struct queue_site_name *const *)right;
    if (a->entries != b->entries) return a->entries > b->entries ? -1 : 1;
    return a < b ? -1 : a > b;
}

static uint32_t summary_by_domain(struct deliver *deliver, uint32_t max,
                                  void (*each)(void *, const struct deliver_group *), void *context)
{
    struct queue *queue = &deliver->queue;
    struct queue_domain **domains =
        base_alloc((queue->domains.count + (size_t)1) * sizeof(*domains));
    uint32_t cursor = 0, count = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue->domains, &cursor)) != NULL) {
        if (domain->entry_count > 0) domains[count++] = domain;
    }
    qsort(domains, count, sizeof(*domains), by_entries);
    for (uint32_t i = 0; i < MIN(count, max); i++) {
        struct deliver_group group = {
            .name = queue_domain_name(domains[i]),
            .entries = domains[i]->entry_count,
            .active = domains[i]->active,
            .next_due = operator_wall(deliver, queue_domain_next_due(queue, domains[i])),
        };
        if (domains[i]->site != NULL) group.site = queue_site_text(domains[i]->site);
        fill_error(&group, domains[i]->error);
        each(context, &group);
    }
    base_free(domains);
    return count;
}

/* Sums of the domains, kept in the site names for the time of one summary; returns how many sites
 * there are, in *sites. Domains that were never routed count as one site without a name. */
static uint32_t sum_sites(struct deliver *deliver, struct queue_site_name **sites,
                          struct queue_site_name *unknown)
{
    struct queue *queue = &deliver->queue;
    uint32_t cursor = 0, count = 0;
    struct queue_site_name *site;
    while ((site = table_next(&queue->site_names, &cursor)) != NULL) {
        site->domains = site->entries = site->active = 0;
        site->next_due = 0;
        site->error = NULL;
    }
    cursor = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue->domains, &cursor)) != NULL) {
        if (domain->entry_count == 0) continue;
        site = domain->site != NULL ? domain->site : unknown;
        if (site->entries == 0) sites[count++] = site;
        site->domains += 1;
        site->entries += domain->entry_count;
        site->active += domain->active;
        const instant due = queue_domain_next_due(queue, domain);
        if (due != 0 && (site->next_due == 0 || due < site->next_due)) site->next_due = due;
        if (domain->error != NULL) site->error = domain->error;
    }
    return count;
}

static uint32_t connections_of_site(const struct deliver *deliver, struct bytes site)
{
    uint32_t cursor = 0, count = 0;
    const struct deliver_ready *ready;
    while ((ready = table_next(&deliver->readies, &cursor)) != NULL) {
        if (!bytes_equal(queue_plan_site(ready->queue.plan), site)) continue;
        count += ready->queue.open + ready->queue.opening + ready->queue.closing;
    }
    return count;
}

static uint32_t summary_by_site(struct deliver *deliver, uint32_t max,
                                void (*each)(void *, const struct deliver_group *), void *context)
{
    struct queue_site_name unknown = {0};
    const size_t room = deliver->queue.site_names.count + (size_t)1;
    struct queue_site_name **sites = base_alloc(room * sizeof(*sites));
    const uint32_t count = sum_sites(deliver, sites, &unknown);
    qsort(sites, count, sizeof(*sites), by_site_entries);
    for (uint32_t i = 0; i < MIN(count, max); i++) {
        struct deliver_group group = {
            .name = queue_site_text(sites[i]),
            .site = queue_site_text(sites[i]),
            .entries = sites[i]->entries,
            .active = sites[i]->active,
            .next_due = operator_wall(deliver, sites[i]->next_due),
            .connections = connections_of_site(deliver, queue_site_text(sites[i])),
        };
        fill_error(&group, sites[i]->error);
        each(context, &group);
    }
    base_free(sites);
    return count;
}

uint32_t deliver_summary(struct deliver *deliver, bool by_site, uint32_t max,
                         void (*each)(void *context, const struct deliver_group *group),
                         void *context)
{
    return by_site ? summary_by_site(deliver, max, each, context)
                   : summary_by_domain(deliver, max, each, context);
}
