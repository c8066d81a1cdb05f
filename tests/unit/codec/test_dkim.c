/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dkim - canonical bodies: known answers, the same from each kernel that this CPU has
 *
 * The comparison of kernels with each other and with a model is tests/prop/prop_dkim.c.
 */
#include "ringpost/base.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOR_EACH_KERNEL                                                                            \
    for (int level_ = 0; level_ < SIMD_LEVEL_COUNT; level_++)                                      \
        if (simd_select((enum simd_level)level_))

static void check(const char *body, enum codec_dkim_mode mode, const char *wanted)
{
    char out[512];
    const size_t len = codec_dkim_canonical(body, strlen(body), out, mode);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(out, wanted, len);
}

/* RFC 6376 section 3.4.5, and sections 3.4.3 and 3.4.4 for what is empty. */
static void test_examples(void **state)
{
    (void)state;
    static const struct {
        const char *body, *simple, *relaxed;
    } cases[] = {
        {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
        {"", "\r\n", ""},
        {"\r\n", "\r\n", ""},
        {"\r\n\r\n\r\n", "\r\n", ""},
        {" \t\r\n \r\n", " \t\r\n \r\n", ""},
        {" ", " \r\n", ""},
        {"a", "a\r\n", "a\r\n"},
        {"a \t", "a \t\r\n", "a\r\n"},
        {"a\r\n\r\n \r\nb\r\n \r\n", "a\r\n\r\n \r\nb\r\n \r\n", "a\r\n\r\n\r\nb\r\n"},
        {"a\tb", "a\tb\r\n", "a b\r\n"},
        /* What is no CRLF ends no line. */
        {"a \n b \r c\r\n", "a \n b \r c\r\n", "a \n b \r c\r\n"},
        {"a  \r\r\n", "a  \r\r\n", "a \r\r\n"},
        {"a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
        {"\n\r\n", "\n\r\n", "\n\r\n"},
    };
    FOR_EACH_KERNEL
    {
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            check(cases[i].body, CODEC_DKIM_SIMPLE, cases[i].simple);
            check(cases[i].body, CODEC_DKIM_RELAXED, cases[i].relaxed);
        }
    }
}

/* The hash input of a body must not depend on how its octets came. */
static void test_pieces(void **state)
{
    (void)state;
    static const char body[] = "One  \r\n\r\n\t two\t\t\r\nthree \r\n\r\n";
    static const char wanted[] = "One\r\n\r\n two\r\nthree\r\n";
    FOR_EACH_KERNEL
    {
        struct codec_dkim_body stream;
        char out[CODEC_ROOM_MIN + sizeof(body)];
        size_t len = 0;
        codec_dkim_body_init(&stream, CODEC_DKIM_RELAXED);
        for (size_t i = 0; i + 1 < sizeof(body); i++) {
            const struct codec_progress done =
                codec_dkim_body_feed(&stream, body + i, 1, out + len, sizeof(out) - len);
            assert_int_equal(done.taken, 1);
            len += done.written;
        }
        len += codec_dkim_body_finish(&stream, out + len);
        assert_int_equal(codec_dkim_body_finish(&stream, out + len), 0);
        assert_int_equal(len, strlen(wanted));
        assert_memory_equal(out, wanted, len);
        assert_int_equal(stream.written, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
