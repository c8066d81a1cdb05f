/* SPDX-License-Identifier: Apache-2.0
 *
 * block - aligned pieces of memory, pinned by the messages that lie in them
 */
#include "ringpost/buf.h"
#include <stdio.h>
#include <stdlib.h>

void buf_pool_init(struct buf_pool *pool, uint32_t block_size, uint32_t free_max)
{
    ASSERT(block_size > 0 && block_size % BUF_ALIGNMENT == 0);
    *pool = (struct buf_pool){.block_size = block_size, .free_max = free_max};
    list_init(&pool->free);
}

static void release(struct buf_block *block)
{
    free(block->data);
    base_free(block);
}

void buf_pool_deinit(struct buf_pool *pool)
{
    ASSERT(pool->bytes == 0);
    struct list *node;
    while ((node = list_pop_front(&pool->free)) != NULL)
        release(CONTAINER_OF(node, struct buf_block, link));
    pool->free_count = 0;
}

struct buf_block *buf_block_get(struct buf_pool *pool, uint32_t size)
{
    struct buf_block *block;
    struct list *node = size <= pool->block_size ? list_pop_front(&pool->free) : NULL;
    if (node != NULL) {
        block = CONTAINER_OF(node, struct buf_block, link);
        pool->free_count -= 1;
    } else {
        block = base_alloc(sizeof(*block));
        size = MAX(size, pool->block_size);
        size = (size + BUF_ALIGNMENT - 1) / BUF_ALIGNMENT * BUF_ALIGNMENT;
        block->data = aligned_alloc(BUF_ALIGNMENT, size);
        if (block->data == NULL) {
            fprintf(stderr, "ringpost: out of memory (a block of %u bytes)\n", size);
            abort();
        }
        block->size = size;
        block->pool = pool;
        list_init(&block->link);
    }
    block->pins = 1;
    pool->bytes += block->size;
    return block;
}

void buf_block_unpin(struct buf_block *block)
{
    struct buf_pool *pool = block->pool;
    ASSERT(block->pins > 0);
    if (--block->pins > 0) return;
    ASSERT(list_is_empty(&block->link)); /* still in a list of its owner: pinned too few times */
    pool->bytes -= block->size;
    if (block->size != pool->block_size || pool->free_count >= pool->free_max) {
        release(block);
        return;
    }
    list_push_front(&pool->free, &block->link);
    pool->free_count += 1;
}
