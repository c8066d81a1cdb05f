/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text - bytes, numbers, and printing into a fixed buffer
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static void bytes_compare(void **state)
{
    (void)state;
    assert_true(bytes_equal(BYTES("abc"), bytes_of("abc")));
    assert_false(bytes_equal(BYTES("abc"), BYTES("abC")));
    assert_false(bytes_equal(BYTES("abc"), BYTES("ab")));
    assert_true(bytes_equal((struct bytes){0}, BYTES("")));
    assert_true(bytes_equal_nocase(BYTES("aBc-1@[`{"), BYTES("AbC-1@[`{")));
    assert_false(
        bytes_equal_nocase(BYTES("@"), BYTES("`"))); /* they differ by 0x20, as letters do */
    assert_false(bytes_equal_nocase(BYTES("["), BYTES("{")));
    assert_false(bytes_equal_nocase(BYTES("\xc4"), BYTES("\xe4"))); /* no Latin-1 */
    assert_true(bytes_starts_with_nocase(BYTES("Mail FROM:"), BYTES("MAIL ")));
    assert_false(bytes_starts_with_nocase(BYTES("MAI"), BYTES("MAIL")));
    assert_true(bytes_starts_with_nocase(BYTES("x"), BYTES("")));
}

static void bytes_are_trimmed_and_skipped(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_trim(BYTES(" \t a b\r\n")), BYTES("a b")));
    assert_int_equal(bytes_trim(BYTES(" \t\r\n")).len, 0);
    assert_int_equal(bytes_trim(BYTES("")).len, 0);
    assert_true(bytes_equal(bytes_skip(BYTES("abc"), 2), BYTES("c")));
    assert_int_equal(bytes_skip(BYTES("abc"), 9).len, 0);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1a", "18446744073709551616", "99999999999999999999999"};
    uint64_t value;
    (void)state;
    assert_true(bytes_to_u64(BYTES("0"), 0, &value));
    assert_true(value == 0);
    assert_true(bytes_to_u64(BYTES("000123"), 123, &value));
    assert_true(value == 123);
    assert_false(bytes_to_u64(BYTES("124"), 123, &value));
    assert_true(bytes_to_u64(BYTES("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(bytes_to_u64(bytes_of(wrong[i]), UINT64_MAX, &value));
}

static void text_is_cut_at_its_room(void **state)
{
    char room[8];
    struct text text;
    (void)state;
    text_init(&text, room, sizeof(room));
    text_put(&text, BYTES("abc"));
    text_printf(&text, "%d", 12);
    assert_false(text.cut);
    assert_string_equal(room, "abc12");
    text_put(&text, BYTES("de"));
    assert_false(text.cut);
    assert_true(bytes_equal(text_bytes(&text), BYTES("abc12de")));
    text_put(&text, BYTES(""));
    assert_false(text.cut);
    text_put(&text, BYTES("f"));
    assert_true(text.cut);
    text_printf(&text, "%s", "more");
    assert_string_equal(room, "abc12de");
}

static void printing_over_the_end_is_cut_too(void **state)
{
    char room[8];
    struct text text;
    (void)state;
    text_init(&text, room, sizeof(room));
    text_printf(&text, "%s", "1234567");
    assert_false(text.cut);
    text_init(&text, room, sizeof(room));
    text_printf(&text, "%s", "12345678");
    assert_true(text.cut);
    assert_int_equal(text.len, 7);
    assert_string_equal(room, "1234567");
    text_init(&text, room, 1);
    text_printf(&text, "%d", 5);
    assert_true(text.cut);
    assert_string_equal(room, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_compare),
        cmocka_unit_test(bytes_are_trimmed_and_skipped),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(text_is_cut_at_its_room),
        cmocka_unit_test(printing_over_the_end_is_cut_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
