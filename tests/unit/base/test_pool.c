/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pool - objects do not overlap, come back zeroed, and are used again
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static void objects_are_apart_and_aligned(void **state)
{
    enum { OBJECTS = 1000, SIZE = 37 };
    unsigned char *objects[OBJECTS];
    struct pool pool;
    (void)state;
    pool_init(&pool, SIZE, 16);
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = pool_get(&pool);
        assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
        memset(objects[i], i % 251, SIZE);
    }
    assert_int_equal(pool.in_use, OBJECTS);
    for (int i = 0; i < OBJECTS; i++) {
        for (int k = 0; k < SIZE; k++)
            assert_int_equal(objects[i][k], i % 251);
    }
    for (int i = 0; i < OBJECTS; i++)
        pool_put(&pool, objects[i]);
    assert_int_equal(pool.in_use, 0);
    pool_deinit(&pool);
}

static void objects_come_back_zeroed(void **state)
{
    struct pool pool;
    (void)state;
    pool_init(&pool, 64, 2);
    for (int i = 0; i < 10; i++) {
        unsigned char *object = pool_get(&pool);
        for (int k = 0; k < 64; k++)
            assert_int_equal(object[k], 0);
        memset(object, 0xff, 64);
        pool_put(&pool, object);
    }
    pool_deinit(&pool);
}

static void memory_is_used_again(void **state)
{
    struct pool pool;
    void *first[8];
    (void)state;
    pool_init(&pool, 1, 8); /* smaller than a pointer */
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++)
            first[i] = pool_get(&pool);
        for (int i = 0; i < 8; i++)
            pool_put(&pool, first[i]);
    }
    const struct pool_slab *slab = pool.slabs;
    assert_non_null(slab);
    assert_null(*(void *const *)(const void *)slab); /* no second slab behind it */
    pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_apart_and_aligned),
        cmocka_unit_test(objects_come_back_zeroed),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
