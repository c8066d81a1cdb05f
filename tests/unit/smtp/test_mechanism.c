/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mechanism - names of SASL mechanisms, there and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/smtp.h"

static void names_go_there_and_back(void **state)
{
    const enum smtp_mechanism all[] = {SMTP_MECHANISM_PLAIN, SMTP_MECHANISM_LOGIN,
                                       SMTP_MECHANISM_SCRAM_SHA_256};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        assert_int_equal(smtp_mechanism_parse(bytes_of(smtp_mechanism_name(all[i]))), all[i]);
    assert_int_equal(smtp_mechanism_parse(BYTES("plain")), SMTP_MECHANISM_PLAIN);
}

static void other_names_are_unknown(void **state)
{
    const char *const names[] = {"",           "PLAI", "PLAIN ", "CRAM-MD5", "SCRAM-SHA-256-PLUS",
                                 "SCRAM-SHA-1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(smtp_mechanism_parse(bytes_of(names[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(other_names_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
