/* SPDX-License-Identifier: Apache-2.0
 *
 * test_block - pins, alignment, reuse and accounting of blocks
 */
#include "ringpost/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

enum { BLOCK = 64 * 1024 };

static void is_aligned_and_large_enough(void **state)
{
    static const uint32_t sizes[] = {0, 1, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5};
    struct buf_pool pool;
    (void)state;
    buf_pool_init(&pool, BLOCK, 2);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf_block *block = buf_block_get(&pool, sizes[i]);
        assert_true(block->size >= sizes[i] && block->size >= BLOCK);
        assert_int_equal(block->size % BUF_ALIGNMENT, 0);
        assert_int_equal((uintptr_t)block->data % BUF_ALIGNMENT, 0);
        assert_int_equal(block->pins, 1);
        assert_int_equal(pool.bytes, block->size);
        memset(block->data, 0xa5, block->size); /* all of it is ours */
        buf_block_unpin(block);
        assert_int_equal(pool.bytes, 0);
    }
    buf_pool_deinit(&pool);
}

static void last_pin_frees(void **state)
{
    struct buf_pool pool;
    (void)state;
    buf_pool_init(&pool, BLOCK, 2);
    struct buf_block *block = buf_block_get(&pool, BLOCK);
    buf_block_pin(block);
    buf_block_pin(block);
    buf_block_unpin(block);
    buf_block_unpin(block);
    assert_int_equal(pool.bytes, BLOCK);
    assert_int_equal(pool.free_count, 0);
    buf_block_unpin(block);
    assert_int_equal(pool.bytes, 0);
    assert_int_equal(pool.free_count, 1);
    buf_pool_deinit(&pool);
}

static void newest_is_used_again_first(void **state)
{
    struct buf_pool pool;
    (void)state;
    buf_pool_init(&pool, BLOCK, 8);
    struct buf_block *first = buf_block_get(&pool, BLOCK), *second = buf_block_get(&pool, BLOCK);
    buf_block_unpin(first);
    buf_block_unpin(second);
    assert_ptr_equal(buf_block_get(&pool, 1), second);
    assert_ptr_equal(buf_block_get(&pool, BLOCK), first);
    buf_block_unpin(first);
    buf_block_unpin(second);
    buf_pool_deinit(&pool);
}

static void free_blocks_are_bounded(void **state)
{
    struct buf_pool pool;
    struct buf_block *blocks[10];
    (void)state;
    buf_pool_init(&pool, BLOCK, 3);
    for (int i = 0; i < 10; i++)
        blocks[i] = buf_block_get(&pool, BLOCK);
    assert_int_equal(pool.bytes, 10 * BLOCK);
    for (int i = 0; i < 10; i++)
        buf_block_unpin(blocks[i]);
    assert_int_equal(pool.free_count, 3);
    assert_int_equal(pool.bytes, 0);
    buf_pool_deinit(&pool);
}

/* A large block is not kept: the next small one would carry its size. */
static void large_blocks_go_back_at_once(void **state)
{
    struct buf_pool pool;
    (void)state;
    buf_pool_init(&pool, BLOCK, 3);
    buf_block_unpin(buf_block_get(&pool, 2 * BLOCK));
    assert_int_equal(pool.free_count, 0);
    struct buf_block *block = buf_block_get(&pool, BLOCK);
    assert_int_equal(block->size, BLOCK);
    buf_block_unpin(block);
    buf_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_aligned_and_large_enough),  cmocka_unit_test(last_pin_frees),
        cmocka_unit_test(newest_is_used_again_first),   cmocka_unit_test(free_blocks_are_bounded),
        cmocka_unit_test(large_blocks_go_back_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
