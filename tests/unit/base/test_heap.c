/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap - the first key is always the least of those that are in
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { ITEMS = 300 };

struct item {
    uint64_t key;
    bool in;
    struct heap_node node;
};

static void check(const struct heap *heap, const struct item *items)
{
    uint64_t least = UINT64_MAX;
    uint32_t count = 0;
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(items[i].node.place != 0, items[i].in);
        if (!items[i].in) continue;
        count += 1;
        least = MIN(least, items[i].key);
        const struct heap_slot *slot = &heap->slots[items[i].node.place - 1];
        assert_ptr_equal(slot->node, &items[i].node);
        assert_true(slot->key == items[i].key);
    }
    assert_int_equal(heap->count, count);
    assert_true(heap_first_key(heap) == least);
    if (count == 0) assert_null(heap_first(heap));
    if (count > 0) assert_true(CONTAINER_OF(heap_first(heap), struct item, node)->key == least);
}

static void random_use_matches_a_plain_search(void **state)
{
    static struct item items[ITEMS];
    struct random random;
    struct heap heap;
    (void)state;
    random_init(&random, 9);
    heap_init(&heap);
    for (int step = 0; step < 20000; step++) {
        struct item *item = &items[random_below(&random, ITEMS)];
        const uint64_t what = random_below(&random, 10);
        if (what < 6) { /* in, or moved */
            item->key = random_below(&random, what < 3 ? 20 : UINT64_MAX);
            item->in = true;
            heap_put(&heap, &item->node, item->key);
        } else if (what < 9) { /* out, also when it is not in */
            item->in = false;
            heap_remove(&heap, &item->node);
        } else if (heap.count > 0) {
            item = CONTAINER_OF(heap_first(&heap), struct item, node);
            item->in = false;
            heap_remove(&heap, &item->node);
        }
        if (step % 17 == 0) check(&heap, items);
    }
    check(&heap, items);
    heap_deinit(&heap);
    assert_int_equal(heap.count, 0);
}

static void it_sorts(void **state)
{
    static struct item items[ITEMS];
    struct random random;
    struct heap heap;
    uint64_t last = 0;
    (void)state;
    random_init(&random, 10);
    heap_init(&heap);
    for (int i = 0; i < ITEMS; i++)
        heap_put(&heap, &items[i].node, random_u64(&random));
    for (int i = 0; i < ITEMS; i++) {
        assert_true(heap_first_key(&heap) >= last);
        last = heap_first_key(&heap);
        heap_remove(&heap, heap_first(&heap));
    }
    assert_null(heap_first(&heap));
    heap_deinit(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_matches_a_plain_search),
        cmocka_unit_test(it_sorts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
