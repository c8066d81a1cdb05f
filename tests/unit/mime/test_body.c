/* SPDX-License-Identifier: Apache-2.0
 *
 * test_body - bodies of leaves decoded, in pieces of every size
 */
#include "ringpost/mime/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    enum mime_encoding encoding;
    struct bytes body, plain;
} cases[] = {
#define CASE(encoding, body, plain)                                                                \
    {                                                                                              \
        MIME_##encoding, {body, sizeof(body) - 1}, {plain, sizeof(plain) - 1},                     \
    }
    CASE(7BIT, "", ""),
    CASE(7BIT, "a=3D\r\n", "a=3D\r\n"),
    CASE(8BIT, "\xff\r\n", "\xff\r\n"),
    CASE(BINARY, "\0\r", "\0\r"),
    CASE(ENCODING_UNKNOWN, "YWJj", "YWJj"),
    CASE(BASE64, "YWJj\r\nZGVm\r\n", "abcdef"),
    CASE(BASE64, "YWJ", "ab"),
    CASE(BASE64, "Y W\nJ*j\r\nZA==\r\n", "abcd"),
    CASE(QUOTED_PRINTABLE, "a=3D=\r\nb \r\nc", "a=b\r\nc"),
    CASE(UUENCODE, "hello\r\nbegin 644 x\r\n#86)C\r\n#9&5F\r\n`\r\nend\r\nmore\r\n", "abcdef"),
    CASE(UUENCODE, "begin 644 x\n#86)C\nend\nbegin 644 y\n#9&5F\n`\nend\n", "abc"),
    CASE(UUENCODE, "begin 644 x\n#86)C", "abc"),
    CASE(UUENCODE, "#86)C\n", ""),
    CASE(UUENCODE, "", ""),
};

static void assert_decoded(size_t number, size_t first, size_t step)
{
    char out[2 * CODEC_ROOM_MIN];
    struct mime_body body;
    struct bytes rest = cases[number].body;
    size_t len = 0;
    mime_body_init(&body, cases[number].encoding);
    for (size_t n = first;; n = step) {
        n = MIN(n, rest.len);
        const struct codec_progress progress =
            mime_body_feed(&body, rest.data, n, out + len, sizeof(out) - len);
        assert_int_equal(progress.taken, n);
        rest = bytes_skip(rest, n);
        len += progress.written;
        if (rest.len == 0) break;
    }
    len += mime_body_finish(&body, out + len);
    assert_int_equal(len, cases[number].plain.len);
    if (len > 0) assert_memory_equal(out, cases[number].plain.data, len);
}

static void test_bodies(void **context)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t first = 0; first <= cases[i].body.len; first++) {
            for (size_t step = 1; step < 9; step++)
                assert_decoded(i, first, step);
        }
    }
}

/* Lines beyond the room for one, and a destination that is always nearly full. */
static void test_uuencode_bounds(void **context)
{
    (void)context;
    static char text[20000];
    static char out[CODEC_ROOM_MIN];
    struct text body;
    text_init(&body, text, sizeof(text));
    text_put(&body, BYTES("begin 644 "));
    for (int i = 0; i < 3000; i++)
        text_put(&body, BYTES("n"));
    text_put(&body, BYTES("\n"));
    for (int i = 0; i < 100; i++)
        text_put(&body, BYTES("#86)C\n"));
    text_put(&body, BYTES("`\nend\n"));
    struct mime_body decoder;
    struct bytes rest = text_bytes(&body);
    size_t total = 0;
    mime_body_init(&decoder, MIME_UUENCODE);
    while (rest.len > 0) {
        const struct codec_progress progress =
            mime_body_feed(&decoder, rest.data, rest.len, out, sizeof(out));
        assert_true(progress.taken > 0 && progress.written <= sizeof(out));
        for (size_t i = 0; i < progress.written; i++)
            assert_int_equal(out[i], "abc"[(total + i) % 3]);
        total += progress.written;
        rest = bytes_skip(rest, progress.taken);
    }
    assert_int_equal(mime_body_finish(&decoder, out), 0);
    assert_int_equal(total, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_uuencode_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
