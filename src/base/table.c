/* SPDX-License-Identifier: Apache-2.0
 *
 * table - pointers by hash
 *
 * Linear probing, at most 3/4 full, a power of two. Removal closes the gap by moving later items
 * of the run back, so there are no tombstones and a long-lived table does not decay.
 */
#include "ringpost/base.h"

void table_init(struct table *table)
{
    *table = (struct table){0};
}

void table_deinit(struct table *table)
{
    base_free(table->slots);
    table_init(table);
}

void *table_find(const struct table *table, uint64_t hash,
                 bool (*equal)(const void *item, const void *key), const void *key)
{
    if (table->cap == 0) return NULL;
    const uint32_t mask = table->cap - 1;
    for (uint32_t i = (uint32_t)hash & mask; table->slots[i].item != NULL; i = (i + 1) & mask) {
        if (table->slots[i].hash == hash && equal(table->slots[i].item, key)) {
            return table->slots[i].item;
        }
    }
    return NULL;
}

static void insert(struct table *table, uint64_t hash, void *item)
{
    const uint32_t mask = table->cap - 1;
    uint32_t i = (uint32_t)hash & mask;
    while (table->slots[i].item != NULL)
        i = (i + 1) & mask;
    table->slots[i] = (struct table_slot){hash, item};
}

static void resize(struct table *table, uint32_t cap)
{
    struct table old = *table;
    table->cap = cap;
    table->slots = base_alloc(cap * sizeof(*table->slots));
    for (uint32_t i = 0; i < old.cap; i++) {
        if (old.slots[i].item != NULL) insert(table, old.slots[i].hash, old.slots[i].item);
    }
    base_free(old.slots);
}

void table_add(struct table *table, uint64_t hash, void *item)
{
    ASSERT(item != NULL);
    if (4 * ((uint64_t)table->count + 1) > 3 * (uint64_t)table->cap) {
        resize(table, table->cap ? table->cap * 2 : 16);
    }
    insert(table, hash, item);
    table->count += 1;
}

void table_remove(struct table *table, uint64_t hash, const void *item)
{
    ASSERT(table->cap > 0);
    const uint32_t mask = table->cap - 1;
    uint32_t hole = (uint32_t)hash & mask;
    while (table->slots[hole].item != item) {
        ASSERT(table->slots[hole].item != NULL);
        hole = (hole + 1) & mask;
    }
    for (uint32_t i = (hole + 1) & mask; table->slots[i].item != NULL; i = (i + 1) & mask) {
        const uint32_t home = (uint32_t)table->slots[i].hash & mask;
        /* An item may move into the hole unless its home lies behind the hole on its way here. */
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        table->slots[hole] = table->slots[i];
        hole = i;
    }
    table->slots[hole] = (struct table_slot){0};
    table->count -= 1;
}

void *table_next(const struct table *table, uint32_t *cursor)
{
    while (*cursor < table->cap) {
        void *item = table->slots[(*cursor)++].item;
        if (item != NULL) return item;
    }
    return NULL;
}
