/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secret - what is freed as a secret is wiped first
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/base.h"

static char *watched;
static char seen[16]; /* what lay there when it was freed */

void __real_free(void *ptr);
void __wrap_free(void *ptr);
void __wrap_free(void *ptr)
{
    if (ptr != NULL && ptr == watched) memcpy(seen, watched, sizeof(seen));
    __real_free(ptr);
}

static char *allocate(void)
{
    watched = base_alloc(sizeof(seen));
    memcpy(watched, "a pass word, yes", sizeof(seen));
    return watched;
}

static void a_secret_is_wiped(void **state)
{
    static const char nothing[sizeof(seen)];
    (void)state;
    base_free(allocate());
    assert_memory_equal(seen, "a pass word, yes", sizeof(seen));
    base_free_secret(allocate(), sizeof(seen));
    assert_memory_equal(seen, nothing, sizeof(seen));
}

static void nothing_is_fine(void **state)
{
    (void)state;
    base_free_secret(NULL, 0);
    base_free_secret(NULL, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_wiped),
        cmocka_unit_test(nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
