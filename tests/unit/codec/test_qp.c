/* SPDX-License-Identifier: Apache-2.0
 *
 * test_qp - quoted-printable, known answers of RFC 2045 section 6.7, the same from each kernel that
 * this CPU has
 *
 * The comparison of kernels with each other and with models is tests/prop/prop_qp.c. So that the
 * kernels see the cases at all, each comes once more behind some lines of plain text.
 */
#include "ringpost/base.h"
#include "ringpost/codec/quoted_printable.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOR_EACH_KERNEL                                                                            \
    for (int level_ = 0; level_ < SIMD_LEVEL_COUNT; level_++)                                      \
        if (simd_select((enum simd_level)level_))

#define TEN       "0123456789"
#define SIXTY     TEN TEN TEN TEN TEN TEN
#define PLAIN     SIXTY "\r\n" SIXTY "\r\n" SIXTY "\r\n" SIXTY "\r\n"
#define PLAIN_LEN (sizeof(PLAIN) - 1)
#define TEXT(x)   x, sizeof(x) - 1

enum { ROOM = 4096 };

static void assert_encoded(const char *src, size_t len, unsigned flags, const char *wanted)
{
    char joined[ROOM], out[ROOM];
    const size_t wanted_len = strlen(wanted);
    memcpy(joined, PLAIN, PLAIN_LEN);
    memcpy(joined + PLAIN_LEN, src, len);
    FOR_EACH_KERNEL
    {
        assert_int_equal(codec_qp_encode(src, len, out, flags), wanted_len);
        assert_memory_equal(out, wanted, wanted_len);
        if (flags & CODEC_QP_BINARY) continue; /* there PLAIN would be other lines */
        assert_int_equal(codec_qp_encode(joined, PLAIN_LEN + len, out, flags),
                         PLAIN_LEN + wanted_len);
        assert_memory_equal(out, PLAIN, PLAIN_LEN);
        assert_memory_equal(out + PLAIN_LEN, wanted, wanted_len);
    }
}

static void test_encode(void **state)
{
    (void)state;
    assert_encoded(TEXT(""), 0, "");
    assert_encoded(TEXT("a = b"), 0, "a =3D b");
    assert_encoded(TEXT("\x0c\xe4~\x7f"), 0, "=0C=E4~=7F");
    assert_encoded(TEXT("a \r\nb\t\r\n \r\n"), 0, "a=20\r\nb=09\r\n=20\r\n");
    assert_encoded(TEXT("a  \r\n"), 0, "a =20\r\n");
    assert_encoded(TEXT("a "), 0, "a=20");
    assert_encoded(TEXT("a\r\n"), CODEC_QP_BINARY, "a=0D=0A");
    assert_encoded(TEXT("a \r\n\t"), CODEC_QP_BINARY, "a =0D=0A=09");
    assert_encoded(TEXT("a\rb\nc\n\r\r\n\r"), 0, "a=0Db=0Ac=0A=0D\r\n=0D");
}

/* A line takes 75 characters and "=", or 76 that end a line of the source. */
static void test_encode_lines(void **state)
{
    (void)state;
    assert_encoded(TEXT(SIXTY TEN "123456"), 0, SIXTY TEN "123456");
    assert_encoded(TEXT(SIXTY TEN "123456\r\n"), 0, SIXTY TEN "123456\r\n");
    assert_encoded(TEXT(SIXTY TEN "1234567"), 0, SIXTY TEN "12345=\r\n67");
    assert_encoded(TEXT(SIXTY TEN "123456\r"), 0, SIXTY TEN "12345=\r\n6=0D");
    assert_encoded(TEXT(SIXTY TEN "123\xff"), 0, SIXTY TEN "123=FF");
    assert_encoded(TEXT(SIXTY TEN "123\xff\r\n"), 0, SIXTY TEN "123=FF\r\n");
    assert_encoded(TEXT(SIXTY TEN "123\xff."), 0, SIXTY TEN "123=\r\n=FF.");
    assert_encoded(TEXT(SIXTY TEN "1234\xff"), 0, SIXTY TEN "1234=\r\n=FF");
    assert_encoded(TEXT(SIXTY TEN "12345 7"), 0, SIXTY TEN "12345=\r\n 7");
    assert_encoded(TEXT(SIXTY TEN "1234 67"), 0, SIXTY TEN "1234 =\r\n67");
    assert_encoded(TEXT(SIXTY TEN "12345 \r\n"), 0, SIXTY TEN "12345=\r\n=20\r\n");
}

static void test_encode_line_starts(void **state)
{
    (void)state;
    const unsigned both = CODEC_QP_ESCAPE_FROM | CODEC_QP_ESCAPE_DOT;
    assert_encoded(TEXT("From a\r\nFrom\r\nfrom a\r\n"), both, "=46rom a\r\nFrom\r\nfrom a\r\n");
    assert_encoded(TEXT("From a\r\n"), CODEC_QP_ESCAPE_DOT, "From a\r\n");
    assert_encoded(TEXT(" From a, From b"), both, " From a, From b");
    assert_encoded(TEXT("\r\n..a\r\n.\r\n"), both, "\r\n=2E.a\r\n=2E\r\n");
    assert_encoded(TEXT(".\r\n"), CODEC_QP_ESCAPE_FROM, ".\r\n");
    assert_encoded(TEXT(SIXTY TEN "12345.."), both, SIXTY TEN "12345=\r\n=2E.");
    assert_encoded(TEXT(SIXTY TEN "1234 From b"), both, SIXTY TEN "1234 =\r\n=46rom b");
    assert_encoded(TEXT("\n.\n"), both | CODEC_QP_BINARY, "=0A.=0A");
}

static void assert_decoded(const char *src, size_t len, enum codec_qp_mode mode, const char *wanted,
                           uint64_t error)
{
    char joined[ROOM], out[ROOM];
    const size_t wanted_len = strlen(wanted);
    memcpy(joined, PLAIN, PLAIN_LEN);
    memcpy(joined + PLAIN_LEN, src, len);
    FOR_EACH_KERNEL
    {
        struct codec_result result = codec_qp_decode(src, len, out, mode);
        assert_int_equal(result.error, error);
        assert_int_equal(result.written, wanted_len);
        assert_memory_equal(out, wanted, wanted_len);
        result = codec_qp_decode(joined, PLAIN_LEN + len, out, mode);
        assert_int_equal(result.error, error + (error != CODEC_NO_ERROR ? PLAIN_LEN : 0));
        assert_int_equal(result.written, PLAIN_LEN + wanted_len);
        assert_memory_equal(out + PLAIN_LEN, wanted, wanted_len);
        result = codec_qp_decode(joined, PLAIN_LEN + len, joined, mode); /* in place */
        assert_int_equal(result.written, PLAIN_LEN + wanted_len);
        assert_memory_equal(joined + PLAIN_LEN, wanted, wanted_len);
        memcpy(joined, PLAIN, PLAIN_LEN);
        memcpy(joined + PLAIN_LEN, src, len);
    }
}

static void test_decode_both(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
         "Now's the time for all folk to come to the aid of their country."}, /* section 6.7 (5) */
        {"a=3Db=0D=0Ac", "a=b\r\nc"},
        {"=C3=A4", "\xc3\xa4"},
        {"a=20\r\nb=09\r\n", "a \r\nb\t\r\n"},
        {"a= \t \r\nb", "ab"}, /* padding by a transport */
        {"a =\r\n\tb", "a \tb"},
        {"=\r\n=\r\na", "a"},
        {"\r\n\r\n", "\r\n\r\n"},
        {SIXTY TEN "123456\r\n" SIXTY TEN "12345=\r\n" SIXTY TEN "123=3D\r\n",
         SIXTY TEN "123456\r\n" SIXTY TEN "12345" SIXTY TEN "123=\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (int mode = CODEC_QP_STRICT; mode <= CODEC_QP_LENIENT; mode++) {
            assert_decoded(cases[i].text, strlen(cases[i].text), (enum codec_qp_mode)mode,
                           cases[i].wanted, CODEC_NO_ERROR);
        }
    }
}

/* What a strict decoder says, and what a lenient one makes of it. */
static void test_decode_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t error;
        const char *before, *lenient;
    } cases[] = {
        {"a=e4b", 2, "a",
         "a\xe4"
         "b"},                      /* note 1 */
        {"a=4gb", 3, "a", "a=4gb"}, /* note 2 */
        {"a==41", 2, "a", "a=A"},
        {"a=4=41", 3, "a", "a=4A"},
        {"a= b", 3, "a", "a= b"},
        {"a=", 2, "a", "a="}, /* note 3 */
        {"a=4", 3, "a", "a=4"},
        {"a=\r", 3, "a", "a=\r"},
        {"a= ", 3, "a", "a="},
        {"a=\rb", 3, "a", "a=\rb"},
        {"a\x80z", 1, "a", "a\x80z"}, /* note 4 */
        {"a\x7fz", 1, "a", "a\x7fz"},
        {"a\x1bz", 1, "a", "a\x1bz"},
        {SIXTY TEN "1234567\r\n", 76, SIXTY TEN "123456", SIXTY TEN "1234567\r\n"}, /* note 5 */
        {SIXTY TEN "1234=41\r\n", 76, SIXTY TEN "1234", SIXTY TEN "1234A\r\n"},
        {SIXTY TEN "123456=\r\n", 76, SIXTY TEN "123456", SIXTY TEN "123456"},
        {"a \t \r\nb", 4, "a", "a\r\nb"}, /* rule 3 */
        {"a \t ", 4, "a", "a"},
        {"a \nb", 2, "a", "a\nb"},
        {"a=\nb", 2, "a", "ab"},
        {"a\nb", 1, "a", "a\nb"},
        {"a\rb", 2, "a\r", "a\rb"},
        {"a\r", 2, "a\r", "a\r"},
        {"a \rb", 2, "a", "a\rb"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const size_t len = strlen(cases[i].text);
        assert_decoded(cases[i].text, len, CODEC_QP_STRICT, cases[i].before, cases[i].error);
        assert_decoded(cases[i].text, len, CODEC_QP_LENIENT, cases[i].lenient, CODEC_NO_ERROR);
    }
}

/* White space at a line's end goes, also when it comes octet by octet. */
static void test_decode_long_space(void **state)
{
    (void)state;
    char out[CODEC_ROOM_MIN + 1];
    FOR_EACH_KERNEL
    for (unsigned run = CODEC_QP_SPACE_MAX - 1; run <= CODEC_QP_SPACE_MAX + 1; run++) {
        struct codec_qp_decoder decoder;
        size_t written = 0;
        codec_qp_decoder_init(&decoder, CODEC_QP_LENIENT);
        for (unsigned i = 0; i < run; i++)
            written += codec_qp_decoder_feed(&decoder, " ", 1, out, sizeof(out)).written;
        written += codec_qp_decoder_feed(&decoder, "\r\nx", 3, out, sizeof(out)).written;
        written += codec_qp_decoder_finish(&decoder, out);
        assert_int_equal(written, 3 + (run > CODEC_QP_SPACE_MAX));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_lines),
        cmocka_unit_test(test_encode_line_starts),
        cmocka_unit_test(test_decode_both),
        cmocka_unit_test(test_decode_errors),
        cmocka_unit_test(test_decode_long_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
