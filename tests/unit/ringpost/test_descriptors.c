/* SPDX-License-Identifier: Apache-2.0
 *
 * test_descriptors - shares of the open files: everybody gets some, nobody gets all
 */
#include "descriptors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static void enough_is_enough(void **state)
{
    const struct descriptor_wants wants = {524288, 20, 2, 10000, 8000};
    struct descriptor_shares shares;
    (void)state;
    assert_true(descriptors_share(&wants, &shares));
    assert_true(shares.enough);
    assert_int_equal(shares.clients, 10000);
    assert_int_equal(shares.deliveries, 8000);
}

static void few_are_shared_and_some_kept(void **state)
{
    (void)state;
    for (uint64_t limit = 1; limit < 5000; limit++) {
        for (uint64_t workers = 1; workers <= 64; workers *= 4) {
            const struct descriptor_wants wants = {limit, 10 + 4 * workers, workers, 10000,
                                                   4000 * workers};
            struct descriptor_shares shares;
            if (!descriptors_share(&wants, &shares)) {
                assert_true(limit < wants.used + 16);
                continue;
            }
            assert_false(shares.enough);
            assert_true(shares.clients > 0 && shares.deliveries > 0 && shares.spare > 0);
            assert_true(shares.clients + shares.deliveries + shares.spare + wants.used <= limit);
        }
    }
}

static void a_modest_configuration_keeps_what_it_wants(void **state)
{
    const struct descriptor_wants wants = {1024, 20, 2, 5000, 10};
    struct descriptor_shares shares;
    (void)state;
    assert_true(descriptors_share(&wants, &shares));
    assert_false(shares.enough);
    assert_int_equal(shares.deliveries, 10);
    assert_int_equal(shares.clients + shares.deliveries + shares.spare + wants.used, wants.limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_is_enough),
        cmocka_unit_test(few_are_shared_and_some_kept),
        cmocka_unit_test(a_modest_configuration_keeps_what_it_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
