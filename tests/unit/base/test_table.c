/* SPDX-License-Identifier: Apache-2.0
 *
 * test_table - against a plain array, with hashes that collide as badly as can be
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { ITEMS = 400 };

struct item {
    int number;
    bool in;
};
static struct item items[ITEMS];

static bool equal(const void *item, const void *key)
{
    return ((const struct item *)item)->number == *(const int *)key;
}

/* kind 0: all the same; 1: eight values; 2: homes at the wrap-around; 3: well mixed. */
static uint64_t hash_of(int number, int kind)
{
    switch (kind) {
    case 0:
        return 7;
    case 1:
        return (uint64_t)number % 8;
    case 2:
        return UINT64_MAX - (uint64_t)number % 5;
    default:
        return hash_u64((uint64_t)number);
    }
}

static void check(const struct table *table, int kind)
{
    uint32_t count = 0, cursor = 0;
    for (int i = 0; i < ITEMS; i++) {
        const struct item *found = table_find(table, hash_of(i, kind), equal, &i);
        assert_ptr_equal(found, items[i].in ? &items[i] : NULL);
        count += items[i].in;
    }
    assert_int_equal(table->count, count);
    while (table_next(table, &cursor) != NULL)
        count -= 1;
    assert_int_equal(count, 0);
}

static void random_use(int kind)
{
    struct random random;
    struct table table;
    random_init(&random, (uint64_t)kind);
    table_init(&table);
    memset(items, 0, sizeof(items));
    for (int i = 0; i < ITEMS; i++)
        items[i].number = i;
    check(&table, kind);
    for (int step = 0; step < 20000; step++) {
        /* Fills up, then thins out, and so on. */
        const bool filling = step / 1000 % 2 == 0;
        struct item *item = &items[random_below(&random, ITEMS)];
        if (!item->in && (filling || random_below(&random, 4) == 0)) {
            table_add(&table, hash_of(item->number, kind), item);
            item->in = true;
        } else if (item->in && (!filling || random_below(&random, 4) == 0)) {
            table_remove(&table, hash_of(item->number, kind), item);
            item->in = false;
        }
        if (step % 499 == 0) check(&table, kind);
    }
    check(&table, kind);
    table_deinit(&table);
    assert_null(table_find(&table, 1, equal, &(int){1}));
}

static void one_hash_for_all(void **state)
{
    (void)state;
    random_use(0);
}
static void eight_hashes(void **state)
{
    (void)state;
    random_use(1);
}
static void runs_that_wrap_around(void **state)
{
    (void)state;
    random_use(2);
}
static void mixed_hashes(void **state)
{
    (void)state;
    random_use(3);
}

/* Without tombstones a table that lives long stays as large as its contents ask for. */
static void it_does_not_grow_by_being_used(void **state)
{
    struct table table;
    struct item one[16];
    (void)state;
    table_init(&table);
    for (int i = 0; i < 100000; i++) {
        struct item *item = &one[i % 8];
        if (i >= 8) table_remove(&table, hash_u64((uint64_t)i - 8), item);
        table_add(&table, hash_u64((uint64_t)i), item);
    }
    assert_int_equal(table.cap, 16);
    table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_hash_for_all),
        cmocka_unit_test(eight_hashes),
        cmocka_unit_test(runs_that_wrap_around),
        cmocka_unit_test(mixed_hashes),
        cmocka_unit_test(it_does_not_grow_by_being_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
