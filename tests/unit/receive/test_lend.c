/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lend - which worker is to make a signature
 */
#include "internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { COUNT = 4, HERE = 1, COST = 280 };

static struct worker workers[COUNT];

/* The index of the helper with these backlogs, -1 for none. */
static int helper(uint32_t count, const uint32_t backlogs[COUNT], uint32_t cost_us)
{
    for (uint32_t i = 0; i < count; i++) {
        workers[i].index = i;
        workers[i].count = count;
        workers[i].all = workers;
        atomic_store(&workers[i].backlog_us, backlogs[i]);
    }
    const struct worker *found = sign_helper(&workers[HERE], cost_us);
    return found == NULL ? -1 : (int)found->index;
}

static void who_has_little_to_do_keeps_it(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, 0, 0, 0}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, COST, 0, 0}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){900, 1000, 900, 900}, COST), -1);
}

static void the_least_busy_one_gets_it(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, 2 * COST, 5, 5}, COST), 0);
    assert_int_equal(helper(COUNT, (const uint32_t[]){300, 2000, 100, 200}, COST), 2);
    assert_int_equal(helper(COUNT, (const uint32_t[]){300, 2000, 200, 100}, COST), 3);
}

/* It must be back before we would begin: the crossing counts. */
static void it_has_to_be_worth_the_way(void **state)
{
    uint32_t least = 0;
    (void)state;
    while (helper(COUNT, (const uint32_t[]){100, least, 500, 500}, COST) < 0 && least < 5000)
        least += 1;
    assert_true(least > 100 + COST && least < 100 + 2 * COST);
}

static void nobody_is_flooded(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){3000, 1000000, 2000, 2500}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){3000, 1000000, 1999, 2500}, COST), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_little_to_do_keeps_it),
        cmocka_unit_test(the_least_busy_one_gets_it),
        cmocka_unit_test(it_has_to_be_worth_the_way),
        cmocka_unit_test(nobody_is_flooded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
