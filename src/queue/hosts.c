/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts - addresses that failed, and those that are being tried, of one worker
 *
 * An address is here while it is paused after a failure or connections to it are being opened. A
 * host of which nothing is known is asked by few connections at a time, one that failed by a single
 * one; ready queues that would like to are woken when the answer is known.
 */
#include "hosts.h"

enum { HOSTS_PER_SLAB = 32, WAKE_AT_ONCE = 16 };

void queue_hosts_init(struct queue_hosts *hosts, uint32_t host_count_max, uint32_t connections_max)
{
    *hosts = (struct queue_hosts){
        .host_count_max = host_count_max,
        .connections_max = connections_max,
    };
    table_init(&hosts->table);
    list_init(&hosts->list);
    list_init(&hosts->woken);
    list_init(&hosts->waiters);
    pool_init(&hosts->pool, sizeof(struct queue_host), HOSTS_PER_SLAB);
}

static void host_free(struct queue_hosts *hosts, struct queue_host *host)
{
    ASSERT(host->opening == 0);
    list_append_all(&hosts->woken, &host->waiters);
    list_remove(&host->link);
    table_remove(&hosts->table, host->hash, host);
    pool_put(&hosts->pool, host);
}

void queue_hosts_deinit(struct queue_hosts *hosts)
{
    ASSERT(hosts->connections == 0);
    LIST_FOR_EACH_SAFE(node, &hosts->list)
    {
        host_free(hosts, CONTAINER_OF(node, struct queue_host, link));
    }
    table_deinit(&hosts->table);
    pool_deinit(&hosts->pool);
}

static uint64_t settings_of(const struct queue_plan *plan)
{
    const struct bytes profile = queue_plan_profile(plan), user = queue_plan_user(plan);
    return profile.len + user.len == 0 ? 0 : hash_bytes(hash_bytes(1, profile), user);
}

static uint64_t hash_of(const struct address *address, uint64_t settings)
{
    return hash_u64((address_hash_ip(address) + address->port) ^ settings);
}

struct key {
    const struct address *address;
    uint64_t settings;
};

static bool equal(const void *item, const void *looked_for)
{
    const struct queue_host *host = item;
    const struct key *key = looked_for;
    return host->settings == key->settings && address_equal(&host->address, key->address);
}

struct queue_host *queue_hosts_find(const struct queue_hosts *hosts, const struct queue_plan *plan,
                                    const struct address *address)
{
    const struct key key = {address, settings_of(plan)};
    return table_find(&hosts->table, hash_of(address, key.settings), equal, &key);
}

/* Over the limit the oldest one that only remembers is forgotten. */
static void make_room(struct queue_hosts *hosts)
{
    if (hosts->table.count < hosts->host_count_max) return;
    LIST_FOR_EACH(node, &hosts->list)
    {
        struct queue_host *host = CONTAINER_OF(node, struct queue_host, link);
        if (host->opening > 0) continue;
        host_free(hosts, host);
        return;
    }
}

struct queue_host *hosts_get(struct queue_hosts *hosts, const struct queue_plan *plan,
                             const struct address *address)
{
    struct queue_host *host = queue_hosts_find(hosts, plan, address);
    if (host != NULL) return host;
    make_room(hosts);
    host = pool_get(&hosts->pool);
    host->address = *address;
    host->settings = settings_of(plan);
    host->hash = hash_of(address, host->settings);
    list_init(&host->waiters);
    list_push_back(&hosts->list, &host->link);
    table_add(&hosts->table, host->hash, host);
    return host;
}

void hosts_look(struct queue_hosts *hosts, struct queue_host *host)
{
    if (host->opening == 0 && host->failures == 0) host_free(hosts, host);
}

bool host_is_paused(const struct queue_host *host, instant now)
{
    return host->failures > 0 && now < host->until;
}

bool host_is_busy(const struct queue_host *host)
{
    const uint32_t most = host->failures > 0 ? 1 : QUEUE_HOST_OPENING_MAX;
    return host->opening >= most;
}

/* A few of the waiters; each one that opens a connection wakes more when it is done. */
void hosts_wake(struct queue_hosts *hosts, struct list *waiters, bool all)
{
    for (uint32_t i = 0; all || i < WAKE_AT_ONCE; i++) {
        struct list *node = list_pop_front(waiters);
        if (node == NULL) return;
        list_push_back(&hosts->woken, node);
    }
}

void queue_hosts_forget(struct queue_hosts *hosts)
{
    LIST_FOR_EACH_SAFE(node, &hosts->list)
    {
        struct queue_host *host = CONTAINER_OF(node, struct queue_host, link);
        host->failures = 0;
        hosts_wake(hosts, &host->waiters, true);
        hosts_look(hosts, host);
    }
}

uint32_t queue_hosts_paused(const struct queue_hosts *hosts, instant now)
{
    uint32_t count = 0;
    LIST_FOR_EACH(node, &hosts->list)
    {
        count += host_is_paused(CONTAINER_OF(node, struct queue_host, link), now);
    }
    return count;
}

struct queue_ready *queue_hosts_woken(struct queue_hosts *hosts)
{
    struct list *node = list_pop_front(&hosts->woken);
    return node == NULL ? NULL : CONTAINER_OF(node, struct queue_ready, wake_link);
}
