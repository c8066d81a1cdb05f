/* SPDX-License-Identifier: Apache-2.0
 *
 * pool - equal objects from slabs
 */
#include "ringpost/base.h"

struct pool_slab {
    struct pool_slab *next;
    max_align_t objects[];
};

void pool_init(struct pool *pool, size_t object_size, uint32_t objects_per_slab)
{
    const size_t align = sizeof(max_align_t);
    ASSERT(objects_per_slab > 0);
    object_size = MAX(object_size, sizeof(void *));
    *pool = (struct pool){
        .object_size = (object_size + align - 1) / align * align,
        .objects_per_slab = objects_per_slab,
    };
}

void pool_deinit(struct pool *pool)
{
    ASSERT(pool->in_use == 0);
    while (pool->slabs != NULL) {
        struct pool_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        base_free(slab);
    }
    pool->free = NULL;
}

static void add_slab(struct pool *pool)
{
    struct pool_slab *slab = base_alloc(sizeof(*slab) + pool->object_size * pool->objects_per_slab);
    slab->next = pool->slabs;
    pool->slabs = slab;
    for (uint32_t i = pool->objects_per_slab; i-- > 0;) {
        void **object = (void **)((char *)slab->objects + i * pool->object_size);
        *object = pool->free;
        pool->free = object;
    }
}

void *pool_get(struct pool *pool)
{
    if (UNLIKELY(pool->free == NULL)) add_slab(pool);
    void **object = pool->free;
    pool->free = *object;
    pool->in_use += 1;
    memset(object, 0, pool->object_size);
    return object;
}

void pool_put(struct pool *pool, void *object)
{
    ASSERT(object != NULL && pool->in_use > 0);
    *(void **)object = pool->free;
    pool->free = object;
    pool->in_use -= 1;
}
