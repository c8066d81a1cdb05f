/* SPDX-License-Identifier: Apache-2.0
 *
 * test_simd - what is in force is what was asked for, if the CPU has it; else the best it has
 */
#include "ringpost/base.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static enum simd_level best(void)
{
    enum simd_level level = SIMD_LEVEL_COUNT - 1;
    while (!simd_available(level))
        level -= 1;
    return level;
}

static void test_environment(void **state)
{
    (void)state;
    const char *wanted = getenv("RINGPOST_SIMD");
    enum simd_level expected = best();
    for (enum simd_level level = SIMD_SCALAR; level < SIMD_LEVEL_COUNT; level++) {
        if (wanted != NULL && strcmp(wanted, simd_name(level)) == 0 && simd_available(level))
            expected = level;
    }
    assert_int_equal(simd_level(), expected);
}

static void test_select(void **state)
{
    (void)state;
    for (enum simd_level level = SIMD_SCALAR; level < SIMD_LEVEL_COUNT; level++) {
        assert_true(simd_select(SIMD_SCALAR));
        assert_int_equal(simd_select(level), simd_available(level));
        assert_int_equal(simd_level(), simd_available(level) ? level : SIMD_SCALAR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_select),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
