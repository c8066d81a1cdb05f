/* SPDX-License-Identifier: Apache-2.0
 *
 * test_random - the same seed gives the same numbers; bounds hold; bits are even
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static void a_seed_is_a_sequence(void **state)
{
    struct random a, b, c;
    unsigned same = 0;
    (void)state;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = random_u64(&a);
        assert_true(value == random_u64(&b));
        same += value == random_u64(&c);
    }
    assert_int_equal(same, 0);
}

static void the_sequence_is_that_of_the_published_generator(void **state)
{
    /* xoshiro256** from the state {1, 2, 3, 4}: reference values of its authors' code. */
    static const uint64_t wanted[] = {11520, 0, 1509978240, 1215971899390074240};
    struct random random = {{1, 2, 3, 4}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        assert_true(random_u64(&random) == wanted[i]);
}

static void seed_zero_works(void **state)
{
    struct random random;
    uint64_t bits = 0;
    (void)state;
    random_init(&random, 0);
    for (int i = 0; i < 100; i++)
        bits |= random_u64(&random);
    assert_true(bits == UINT64_MAX);
}

static void bounds_hold_and_all_values_come(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 1);
    for (uint64_t bound = 1; bound < 40; bound++) {
        unsigned seen[40] = {0};
        for (unsigned i = 0; i < 400 * bound; i++) {
            const uint64_t value = random_below(&random, bound);
            assert_true(value < bound);
            seen[value] += 1;
        }
        for (uint64_t value = 0; value < bound; value++)
            assert_in_range(seen[value], 250, 550); /* 400 wanted; 7 standard deviations */
    }
    for (int i = 0; i < 1000; i++)
        assert_true(random_below(&random, (1ull << 63) + 1) <= 1ull << 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_sequence),
        cmocka_unit_test(the_sequence_is_that_of_the_published_generator),
        cmocka_unit_test(seed_zero_works),
        cmocka_unit_test(bounds_hold_and_all_values_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
