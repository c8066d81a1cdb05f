/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hash - folding, seeds, lengths, spread
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static void letters_fold_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            /* At each place of a word of eight, and behind it. */
            char left[11] = "0123456789", right[11] = "0123456789";
            const unsigned at = (a + b) % 10;
            left[at] = (char)a;
            right[at] = (char)b;
            const struct bytes x = {left, 10}, y = {right, 10};
            const bool same = bytes_equal_nocase(x, y);
            assert_int_equal(hash_bytes_nocase(1, x) == hash_bytes_nocase(1, y), same);
            assert_int_equal(hash_bytes(1, x) == hash_bytes(1, y), a == b);
        }
    }
}

static void every_octet_the_length_and_the_seed_count(void **state)
{
    char text[64] = {0};
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        const struct bytes bytes = {text, len};
        const uint64_t plain = hash_bytes(1, bytes);
        assert_true(plain == hash_bytes(1, bytes));
        assert_true(plain != hash_bytes(2, bytes));
        assert_true(plain != hash_bytes(1, (struct bytes){text, len + 1}) ||
                    len + 1 == sizeof(text));
        for (size_t i = 0; i < len; i++) {
            text[i] = 1;
            assert_true(plain != hash_bytes(1, bytes));
            text[i] = 0;
        }
    }
}

/* Names as they come, in as many slots: about 1/e of the slots stay empty when chance rules. */
static void like_names_spread(void **state)
{
    enum { SLOTS = 1 << 16 };
    static uint8_t used[2][SLOTS];
    size_t empty[2] = {0};
    (void)state;
    memset(used, 0, sizeof(used));
    for (uint32_t i = 0; i < SLOTS; i++) {
        char name[40];
        struct text text;
        text_init(&text, name, sizeof(name));
        text_printf(&text, "mx%u.example.com", i);
        used[0][hash_bytes(7, text_bytes(&text)) % SLOTS] = 1;
        used[1][hash_u64(i) % SLOTS] = 1;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        empty[0] += !used[0][i];
        empty[1] += !used[1][i];
    }
    for (int kind = 0; kind < 2; kind++)
        assert_true(empty[kind] < SLOTS * 40 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_fold_and_nothing_else),
        cmocka_unit_test(every_octet_the_length_and_the_seed_count),
        cmocka_unit_test(like_names_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
