/* SPDX-License-Identifier: Apache-2.0
 *
 * recover_index - what is known of each queue id while the logs are read
 *
 * Open addressing in one array, growing geometrically: a million messages without an allocation
 * for each. States wait in an arena until their message is met.
 */
#include "recover.h"

enum { ARENA_BLOCK = 1 << 20 };

struct arena_block {
    struct arena_block *next;
    char data[];
};

char *arena_copy(struct arena *arena, struct bytes bytes)
{
    const size_t len = (bytes.len + 7) & ~(size_t)7;
    if (arena->blocks == NULL || arena->cap - arena->used < len) {
        arena->cap = MAX(len, (size_t)ARENA_BLOCK);
        struct arena_block *block = base_alloc(sizeof(*block) + arena->cap);
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
    }
    char *at = arena->blocks->data + arena->used;
    arena->used += len;
    if (bytes.len > 0) memcpy(at, bytes.data, bytes.len);
    return at;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        base_free(block);
    }
    *arena = (struct arena){0};
}

static struct id_entry *place_of(const struct id_index *index, uint64_t id)
{
    const uint32_t mask = index->cap - 1;
    uint32_t i = (uint32_t)hash_u64(id) & mask;
    while (index->entries[i].kind != ID_NONE && index->entries[i].id != id)
        i = (i + 1) & mask;
    return &index->entries[i];
}

struct id_entry *id_find(const struct id_index *index, uint64_t id)
{
    if (index->cap == 0) return NULL;
    struct id_entry *entry = place_of(index, id);
    return entry->kind == ID_NONE ? NULL : entry;
}

struct id_entry *id_get(struct id_index *index, uint64_t id)
{
    if ((uint64_t)index->count * 3 >= (uint64_t)index->cap * 2) {
        struct id_index old = *index;
        index->cap = MAX(1024, old.cap * 2);
        index->entries = base_alloc((size_t)index->cap * sizeof(*index->entries));
        for (uint32_t i = 0; i < old.cap; i++) {
            if (old.entries[i].kind == ID_NONE) continue;
            *place_of(index, old.entries[i].id) = old.entries[i];
        }
        base_free(old.entries);
    }
    struct id_entry *entry = place_of(index, id);
    if (entry->kind == ID_NONE) {
        *entry = (struct id_entry){.id = id, .kind = ID_STATE};
        index->count += 1;
    }
    return entry;
}
