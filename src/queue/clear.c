/* SPDX-License-Identifier: Apache-2.0
 *
 * clear - hosts whose TLS handshakes fail, of one worker: for a while they are spoken to in clear
 *
 * Each one is kept for its time at the least, unless there are too many; those whose time is over
 * go when room is needed or they fail again.
 */
#include "ringpost/queue.h"

enum { HOSTS_PER_SLAB = 64 };

struct clear_host {
    struct list link;
    uint64_t hash;
    struct address address;
    instant until;
};

void queue_clear_init(struct queue_clear *clear, uint32_t count_max)
{
    *clear = (struct queue_clear){.count_max = count_max};
    table_init(&clear->table);
    list_init(&clear->list);
    pool_init(&clear->pool, sizeof(struct clear_host), HOSTS_PER_SLAB);
}

static uint64_t hash_of(const struct address *address)
{
    return hash_u64(address_hash_ip(address) + address->port);
}

static bool equal(const void *item, const void *key)
{
    return address_equal(&((const struct clear_host *)item)->address, key);
}

static void forget(struct queue_clear *clear, struct clear_host *host)
{
    list_remove(&host->link);
    table_remove(&clear->table, host->hash, host);
    pool_put(&clear->pool, host);
}

void queue_clear_forget(struct queue_clear *clear)
{
    LIST_FOR_EACH_SAFE(node, &clear->list)
    {
        forget(clear, CONTAINER_OF(node, struct clear_host, link));
    }
}

void queue_clear_deinit(struct queue_clear *clear)
{
    queue_clear_forget(clear);
    table_deinit(&clear->table);
    pool_deinit(&clear->pool);
}

void queue_clear_add(struct queue_clear *clear, const struct address *address, instant until)
{
    const uint64_t hash = hash_of(address);
    struct clear_host *host = table_find(&clear->table, hash, equal, address);
    if (host != NULL) forget(clear, host);
    if (clear->table.count >= clear->count_max) {
        forget(clear, CONTAINER_OF(clear->list.next, struct clear_host, link));
    }
    host = pool_get(&clear->pool);
    host->address = *address;
    host->hash = hash;
    host->until = until;
    list_push_back(&clear->list, &host->link);
    table_add(&clear->table, hash, host);
}

bool queue_clear_has(const struct queue_clear *clear, const struct address *address, instant now)
{
    if (clear->table.count == 0) return false;
    const struct clear_host *host = table_find(&clear->table, hash_of(address), equal, address);
    return host != NULL && now < host->until;
}
