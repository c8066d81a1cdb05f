/* SPDX-License-Identifier: Apache-2.0
 *
 * test_uuencode - known answers, and what mail does to such lines
 *
 * The comparison of kernels with each other and with a model is tests/prop/prop_uuencode.c.
 */
#include "ringpost/base.h"
#include "ringpost/codec/uuencode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_encode(void **state)
{
    (void)state;
    char dst[400], zeros[90] = {0};
    size_t len = codec_uu_encode("Cat", 3, dst);
    assert_int_equal(len, 7 + 3);
    assert_memory_equal(dst, "#0V%T\r\n`\r\n", len);
    assert_int_equal(codec_uu_encode("", 0, dst), 3);
    assert_memory_equal(dst, "`\r\n", 3);
    len = codec_uu_encode("\xff\xff\xff\xff", 4, dst);
    assert_memory_equal(dst, "$_____P``\r\n`\r\n", len);
    len = codec_uu_encode(zeros, 46, dst);
    assert_int_equal(len, codec_uu_encoded_max(1) - 64 + 63 + 7);
    assert_memory_equal(dst, "M````", 5);
    assert_memory_equal(dst + 61, "\r\n!````\r\n`\r\n", 12);
}

static void assert_decoded(const char *text, const char *wanted, size_t wanted_len, uint64_t error,
                           size_t wanted_taken)
{
    char dst[400];
    size_t taken;
    const struct codec_result result = codec_uu_decode(text, strlen(text), dst, &taken);
    assert_int_equal(result.written, wanted_len);
    assert_memory_equal(dst, wanted, wanted_len);
    assert_true(result.error == error);
    assert_int_equal(taken, wanted_taken);
}

#define GOOD(text, wanted, taken)                                                                  \
    assert_decoded(text, wanted, sizeof(wanted) - 1, CODEC_NO_ERROR, taken)
#define WRONG(text, wanted, error, taken)                                                          \
    assert_decoded(text, wanted, sizeof(wanted) - 1, error, taken)

static void test_decode(void **state)
{
    (void)state;
    GOOD("#0V%T\r\n`\r\nend\r\n", "Cat", 15);
    GOOD("#0V%T\n`\nend\nmore", "Cat", 12);
    GOOD("#0V%T\n \nend", "Cat", 11);
    GOOD("#0V%T\n\nend\n", "Cat", 11); /* the space of the last line was lost */
    GOOD("#0V%T\nend  \r\n", "Cat", 13);
    GOOD("#0V%T\n`\nmore", "Cat", 8);
    GOOD("#0V%T\n`\nenough", "Cat", 8);
    GOOD("#0V%T\n`", "Cat", 7);
    GOOD("#0V%TX\n`\n", "Cat", 9); /* some add a check sum */
    GOOD("!0P\n`\n", "C", 6);      /* some write no more characters than it takes */
    GOOD("`\n", "", 2);
    GOOD("end\n", "", 4);
}

static void test_lost_spaces(void **state)
{
    (void)state;
    GOOD("#0V%T\n#0R\n`\n", "CatC \0", 12);
    GOOD("#0V%T\n#0P\n`\n", "CatC\0\0", 12);
    WRONG("#\n`\n", "", 1, 0); /* three octets from two: more than was read */
    GOOD("$    \n$\n`\n", "\0\0\0\0\0\0\0\0", 10);
}

static void test_wrong(void **state)
{
    (void)state;
    WRONG("", "", 0, 0);
    WRONG("#0V%T", "Cat", 5, 0);
    WRONG("#0V%T\r\n", "Cat", 7, 7);
    WRONG("#0V%T\nen", "Cat", 8, 6);
    WRONG("#0V%T\nenx", "Cat", 6, 6);
    WRONG("#0V%T\nend x\n", "Cat", 6, 6);
    WRONG("#0V\x7fT\n`\n", "C", 3, 0);
    WRONG("#0V%T\n\x1f\n`\n", "Cat", 6, 6);
    WRONG("#0V%T\n#0V\r%T\n`\n", "CatC", 9, 6); /* a bare CR */
    WRONG("a\n", "", 0, 0);
}

static void assert_found(const char *text, size_t offset, unsigned mode, const char *name)
{
    const struct codec_uu_begin begin = codec_uu_find(text, strlen(text));
    assert_int_equal(begin.offset, offset);
    if (offset == strlen(text)) return;
    assert_int_equal(begin.mode, mode);
    assert_int_equal(begin.name_len, strlen(name));
    assert_memory_equal(begin.name, name, begin.name_len);
    const char *lf = strchr(text + offset, '\n');
    assert_int_equal(begin.data, lf == NULL ? strlen(text) : (size_t)(lf - text) + 1);
}

static void test_find(void **state)
{
    (void)state;
    assert_found("begin 644 cat.txt\r\n#0V%T\r\n", 0, 0644, "cat.txt");
    assert_found("text\r\n\nbegin 0755 a b \n", 7, 0755, "a b");
    assert_found("begin 644 x", 0, 0644, "x");
    assert_found("text begin 644 x\nbegin 100644 x\nbegin 64 x\nbegin 684 x\nbegin 644x\n", 66, 0,
                 "");
    assert_found("begin 644 \nbegin  644 x\nBegin 644 x\n", 36, 0, "");
    assert_found("", 0, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),      cmocka_unit_test(test_decode),
        cmocka_unit_test(test_lost_spaces), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests_name("codec uuencode", tests, NULL, NULL);
}
