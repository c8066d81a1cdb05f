/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scan - known answers, the same from each kernel that this CPU has
 *
 * The comparison of kernels with each other and with a model is tests/prop/prop_scan.c.
 */
#include "ringpost/base.h"
#include "ringpost/scan.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOR_EACH_KERNEL                                                                            \
    for (int level_ = 0; level_ < SIMD_LEVEL_COUNT; level_++)                                      \
        if (simd_select((enum simd_level)level_))

static void test_crc32c(void **state)
{
    (void)state;
    char zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        up[i] = (char)i;
        down[i] = (char)(31 - i);
    }
    FOR_EACH_KERNEL
    { /* RFC 3720 appendix B.4; there the octets of the CRC are listed, lowest first */
        assert_int_equal(scan_crc32c(0, zeros, 32), 0x8a9136aa);
        assert_int_equal(scan_crc32c(0, ones, 32), 0x62a8ab43);
        assert_int_equal(scan_crc32c(0, up, 32), 0x46dd794e);
        assert_int_equal(scan_crc32c(0, down, 32), 0x113fdb5c);
        assert_int_equal(scan_crc32c(0, "123456789", 9), 0xe3069283);
        assert_int_equal(scan_crc32c(0, "", 0), 0);
        assert_int_equal(scan_crc32c(scan_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    }
}

static void test_find_crlf(void **state)
{
    (void)state;
    FOR_EACH_KERNEL
    {
        assert_int_equal(scan_find_crlf("", 0), 0);
        assert_int_equal(scan_find_crlf("\r", 1), 1);
        assert_int_equal(scan_find_crlf("\n\r", 2), 2);
        assert_int_equal(scan_find_crlf("\r\n", 2), 0);
        assert_int_equal(scan_find_crlf("ab\r\r\ncd\r\n", 9), 3);
        assert_int_equal(scan_find_crlf("ab\r\n", 3), 3); /* the LF is beyond */
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        bool valid;
    } cases[] = {
        {{"", 0}, true},
        {{"abc", 3}, true},
        {{"\0", 1}, true},
        {{"\xc3\xa4", 2}, true},
        {{"\xe2\x82\xac", 3}, true},
        {{"\xf0\x9f\x93\xa7", 4}, true},
        {{"\xf4\x8f\xbf\xbf", 4}, true},
        {{"\xef\xbf\xbf", 3}, true},
        {{"\xee\x80\x80", 3}, true},
        {{"\xed\x9f\xbf", 3}, true},
        {{"\x80", 1}, false},             /* continuation alone */
        {{"\xc3", 1}, false},             /* cut */
        {{"\xe2\x82", 2}, false},         /* cut */
        {{"\xc3\x28", 2}, false},         /* no continuation */
        {{"\xc0\x80", 2}, false},         /* overlong */
        {{"\xc1\xbf", 2}, false},         /* overlong */
        {{"\xe0\x9f\xbf", 3}, false},     /* overlong */
        {{"\xf0\x8f\xbf\xbf", 4}, false}, /* overlong */
        {{"\xed\xa0\x80", 3}, false},     /* surrogate */
        {{"\xf4\x90\x80\x80", 4}, false}, /* over U+10FFFF */
        {{"\xf5\x80\x80\x80", 4}, false},
        {{"\xff", 1}, false},
        {{"a\xc3\xa4\xa4", 4}, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(scan_utf8_is_valid(cases[i].text.data, cases[i].text.len), cases[i].valid);
}

static void test_utf8_place(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        size_t valid, cut; /* octets before the fault; octets of a character that is cut off */
    } cases[] = {
        {{"", 0}, 0, 0},
        {{"a\xc3\xa4", 3}, 3, 0},
        {{"a\xc3\xa4\xf0\x9f\xa5", 6}, 3, 3},
        {{"a\xc3\xa4\xf0\x9f\xa5!", 7}, 3, 0},
        {{"\xed\xa0\x80", 3}, 0, 0},
        {{"ab\xe2\x82", 4}, 2, 2},
        {{"ab\xe2", 3}, 2, 1},
        {{"ab\x80", 3}, 2, 0},
    };
    FOR_EACH_KERNEL
    {
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            const struct bytes text = cases[i].text;
            struct scan_utf8 utf8;
            bool good = true;
            assert_int_equal(scan_utf8_valid_len(text.data, text.len), cases[i].valid);
            scan_utf8_init(&utf8);
            for (size_t at = 0; at < text.len; at++)
                good = scan_utf8_feed(&utf8, text.data + at, 1);
            assert_int_equal(utf8.valid, cases[i].valid);
            assert_int_equal(good, cases[i].valid + cases[i].cut == text.len);
            assert_int_equal(scan_utf8_finish(&utf8), cases[i].valid == text.len);
        }
    }
}

/* DATA: what comes out, and what is left behind the end. */
static void test_read_data(void **state)
{
    (void)state;
    static const struct {
        const char *input, *output, *left;
        unsigned classes;
        uint64_t longest;
    } cases[] = {
        {".\r\nQUIT\r\n", "", "QUIT\r\n", 0, 0},
        {"a\r\n.\r\n", "a\r\n", "", 0, 1},
        {"..\r\n...\r\n.a\r\n.\r\nX", ".\r\n..\r\na\r\n", "X", SCAN_LEADING_DOT, 2},
        {"a.\r\n.\r\n", "a.\r\n", "", 0, 2},
        {"a\n.\n\r\n.\r\n", "a\n.\n\r\n", "", SCAN_BARE_LF, 4},
        {"a\n.\r\n.\r\n", "a\n.\r\n", "", SCAN_BARE_LF, 3},
        {"a\r\n.\n\r\n.\r\n", "a\r\n\n\r\n", "", SCAN_BARE_LF, 1},
        {"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", SCAN_BARE_CR, 2},
        {"a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", "", SCAN_BARE_CR, 1},
        {"a\r\r\n.\r\n", "a\r\r\n", "", SCAN_BARE_CR, 2},
        {"\xff\r\n.\r\n.\r\n", "\xff\r\n", ".\r\n", SCAN_8BIT, 1},
    };
    FOR_EACH_KERNEL
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct scan_reader reader;
        char output[64];
        const size_t len = strlen(cases[i].input);
        scan_reader_init(&reader, true);
        const struct scan_progress done =
            scan_read(&reader, cases[i].input, len, output, sizeof(output));
        assert_int_equal(reader.state, SCAN_END);
        scan_reader_finish(&reader);
        output[done.written] = '\0';
        assert_string_equal(output, cases[i].output);
        assert_string_equal(cases[i].input + done.taken, cases[i].left);
        assert_int_equal(reader.classes, cases[i].classes);
        assert_int_equal(scan_reader_longest(&reader), cases[i].longest);
        assert_int_equal(reader.octets, done.written);
    }
}

/* The CR that may be the end of a line does not make the line longer. */
static void test_longest_before_lf(void **state)
{
    (void)state;
    FOR_EACH_KERNEL
    {
        struct scan_reader reader;
        char output[16];
        scan_reader_init(&reader, false);
        scan_read(&reader, "abc\r", 4, output, sizeof(output));
        assert_int_equal(scan_reader_longest(&reader), 3);
        scan_read(&reader, "x", 1, output, sizeof(output));
        assert_int_equal(scan_reader_longest(&reader), 5);
        scan_reader_finish(&reader);
        assert_int_equal(reader.classes, SCAN_BARE_CR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),    cmocka_unit_test(test_find_crlf),
        cmocka_unit_test(test_utf8),      cmocka_unit_test(test_utf8_place),
        cmocka_unit_test(test_read_data), cmocka_unit_test(test_longest_before_lf),
    };
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
