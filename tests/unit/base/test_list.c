/* SPDX-License-Identifier: Apache-2.0
 *
 * test_list - against an array that does the same
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { ITEMS = 12, STEPS = 20000 };

struct item {
    int number;
    struct list link;
};
/* A list and what it should hold. */
struct pair {
    struct list list;
    int wanted[ITEMS];
    int count;
};

static void check(const struct pair *pair)
{
    int i = 0;
    LIST_FOR_EACH(node, &pair->list)
    {
        assert_true(i < pair->count);
        assert_int_equal(CONTAINER_OF(node, struct item, link)->number, pair->wanted[i]);
        assert_ptr_equal(node->next->prev, node);
        i++;
    }
    assert_int_equal(i, pair->count);
    assert_int_equal(list_is_empty(&pair->list), pair->count == 0);
}

static void forget(struct pair *pair, int number)
{
    for (int i = 0; i < pair->count; i++) {
        if (pair->wanted[i] != number) continue;
        memmove(&pair->wanted[i], &pair->wanted[i + 1],
                sizeof(int) * (size_t)(pair->count - i - 1));
        pair->count -= 1;
        return;
    }
}

static void random_use_of_two_lists_matches_two_arrays(void **state)
{
    struct random random;
    struct item items[ITEMS];
    struct pair pairs[2] = {0};
    (void)state;
    random_init(&random, 5);
    list_init(&pairs[0].list);
    list_init(&pairs[1].list);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
    for (int step = 0; step < STEPS; step++) {
        struct pair *pair = &pairs[random_below(&random, 2)];
        struct item *item = &items[random_below(&random, ITEMS)];
        switch (random_below(&random, 6)) {
        case 0:
        case 1:
            list_remove(&item->link); /* also when it is in none */
            forget(&pairs[0], item->number);
            forget(&pairs[1], item->number);
            list_push_back(&pair->list, &item->link);
            pair->wanted[pair->count++] = item->number;
            break;
        case 2:
            list_remove(&item->link);
            forget(&pairs[0], item->number);
            forget(&pairs[1], item->number);
            list_push_front(&pair->list, &item->link);
            memmove(&pair->wanted[1], &pair->wanted[0], sizeof(int) * (size_t)pair->count);
            pair->wanted[0] = item->number;
            pair->count += 1;
            break;
        case 3:
            list_remove(&item->link);
            forget(&pairs[0], item->number);
            forget(&pairs[1], item->number);
            break;
        case 4: {
            struct list *node = list_pop_front(&pair->list);
            if (pair->count == 0) {
                assert_null(node);
            } else {
                assert_int_equal(CONTAINER_OF(node, struct item, link)->number, pair->wanted[0]);
                forget(pair, pair->wanted[0]);
            }
            break;
        }
        default: {
            struct pair *other = &pairs[pair == &pairs[0]];
            list_append_all(&pair->list, &other->list);
            memcpy(&pair->wanted[pair->count], other->wanted, sizeof(int) * (size_t)other->count);
            pair->count += other->count;
            other->count = 0;
        }
        }
        check(&pairs[0]);
        check(&pairs[1]);
    }
}

static void a_node_may_be_removed_while_walking(void **state)
{
    struct list head;
    struct item *items[4];
    int seen = 0;
    (void)state;
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i] = base_alloc(sizeof(*items[i]));
        list_push_back(&head, &items[i]->link);
    }
    LIST_FOR_EACH_SAFE(node, &head)
    {
        list_remove(node);
        base_free(CONTAINER_OF(node, struct item, link));
        seen++;
    }
    assert_int_equal(seen, 4);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_of_two_lists_matches_two_arrays),
        cmocka_unit_test(a_node_may_be_removed_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
