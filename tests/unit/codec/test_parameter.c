/* SPDX-License-Identifier: Apache-2.0
 *
 * test_parameter - the examples of RFC 2045 and RFC 2231, and what is met in mail
 */
#include "ringpost/base.h"
#include "ringpost/codec/parameter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* All parameters as "name[*]=value|". */
static void assert_read_octets(const char *text, size_t len, const char *wanted)
{
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    char value[300], all[2000];
    struct text out;
    text_init(&out, all, sizeof(all));
    codec_parameter_reader_init(&reader, text, len);
    while (codec_parameter_next(&reader, &parameter, value, sizeof(value))) {
        assert_true(parameter.value_len <= sizeof(value));
        text_printf(&out, "%.*s%s=", (int)parameter.name_len, parameter.name,
                    parameter.extended ? "*" : "");
        text_put(&out, (struct bytes){value, parameter.value_len});
        text_put(&out, BYTES("|"));
    }
    assert_string_equal(all, wanted);
}

static void assert_read(const char *text, const char *wanted)
{
    assert_read_octets(text, strlen(text), wanted);
}

static void test_rfc_examples(void **state)
{
    (void)state;
    assert_read("text/plain; charset=us-ascii (Plain text)", "charset=us-ascii|");
    assert_read("text/plain; charset=\"us-ascii\"", "charset=us-ascii|");
    assert_read("message/external-body; access-type=URL;\r\n"
                " URL*0=\"ftp://\";\r\n"
                " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
                "access-type=URL|URL*=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar|");
    assert_read("application/x-stuff;\r\n"
                " title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "title*=This is ***fun***|");
    assert_read("application/x-stuff;\r\n"
                " title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
                " title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n"
                " title*2=\"isn't it!\"",
                "title*=This is even more ***fun*** isn't it!|");
}

static void test_syntax(void **state)
{
    (void)state;
    assert_read("", "");
    assert_read(";", "");
    assert_read("; ;; a", "");
    assert_read("a=b", ""); /* before the first ";": the type */
    assert_read(";a=b", "a=b|");
    assert_read("; a = b ; c=\" d \" (e;f=g) ;h=(i)j", "a=b|c= d |h=j|");
    assert_read("text/plain (a;b=\"c\\)\"(d)); e=f", "e=f|");
    assert_read("\"x;a=b\"; c=d", "c=d|");
    assert_read("; a=\"b\\\"c\\\\d\"; e=f", "a=b\"c\\d|e=f|");
    assert_read("; a=\"b\r\n c\"", "a=b c|");
    assert_read("; a=\"no end; b=c", "a=no end; b=c|");
    assert_read("; a=\"end\\", "a=end|");
    assert_read("; a=b (no end; c=d", "a=b|");
    assert_read("; a=\"b\"garbage; c=d", "a=b|c=d|");
    assert_read("; filename=my file.txt ; c=d", "filename=my file.txt|c=d|");
    assert_read("; =b; a=; c=d", "a=|c=d|");
    assert_read("; a=b; A=c", "a=b|A=c|");
    assert_read_octets(";a=b", 4, "a=b|");
    assert_read_octets(";a=b", 3, "a=|");
}

static void test_sections(void **state)
{
    (void)state;
    assert_read("; n*1=b; n*2=c; n*0=a", "n*=abc|");
    assert_read("; n*0=a; N*1=b; n*3=d", "n*=ab|"); /* 2 is missing: it ends there */
    assert_read("; n*1=b", "");
    assert_read("; n*0=a; n*0=x; n*1=b", "n*=ab|"); /* each section counts once */
    assert_read("; n*00=a; n*01=b", "n*00=a|n*01=b|");
    assert_read("; n*=a; n=b; *=c; *0=d", "n*=a|n=b|*=c|*0=d|");
    assert_read("; n*0*=utf-8''%e2; n*1*=%82; n*2*=%ac", "n*=\u20ac|");
    assert_read("; n*0*=utf-8''%e2; n*1=x", "n*=\ufffdx|");
    assert_read("; n*0=\"%41\"; n*1*=%41", "n*=%41A|");
    assert_read("; n*0=a; m*0=c; n*1=b; m*1=d", "n*=ab|m*=cd|");
}

static void test_charsets(void **state)
{
    (void)state;
    assert_read("; n*=iso-8859-1'en'%A3%20rates", "n*=\u00a3 rates|");
    assert_read("; n*=UTF-8''%c2%a3%20and%20%e2%82%ac%20rates", "n*=\u00a3 and \u20ac rates|");
    assert_read("; n*=''%C3%A9", "n*=\u00e9|");
    assert_read("; n*=koi8-r''%F0", "n*=\u041f|");
    assert_read("; n*=x-nobody''%41%FF", "n*=A\ufffd|");
    assert_read("; n*=no-quotes%41", "n*=no-quotesA|");
    assert_read("; n*=utf-8''100%;m=%41", "n*=100%|m=%41|");
    assert_read("; n*=\"utf-8''%C3%A9\"", "n*=\u00e9|");
    assert_read("; n=\"\xc3\xa9\xff\"", "n=\u00e9\ufffd|");
}

static void test_encoded_words(void **state)
{
    (void)state;
    assert_read("; n=\"=?utf-8?q?=C3=A9.txt?=\"", "n=\u00e9.txt|");
    assert_read("; n==?utf-8?b?w6k=?=", "n=\u00e9|");
    assert_read("; n=\"=?utf-8?q?a?=\r\n =?utf-8?q?b?=\"", "n=ab|");
    assert_read("; n=\"\\a=?utf-8?q?b?=\"", "n=ab|");
    assert_read("; n=\"=?x?q?b?\"", "n==?x?q?b?|");
}

static void test_limits(void **state)
{
    (void)state;
    char text[8000], value[16];
    struct text out;
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    text_init(&out, text, sizeof(text));
    for (unsigned i = 0; i < 300; i++)
        text_printf(&out, "; n*%u=x", i);
    codec_parameter_reader_init(&reader, text, out.len);
    assert_true(codec_parameter_next(&reader, &parameter, value, sizeof(value)));
    assert_int_equal(parameter.value_len, CODEC_PARAMETER_SECTIONS_MAX);
    assert_memory_equal(value, "xxxxxxxxxxxxxxxx", 16);
    assert_false(codec_parameter_next(&reader, &parameter, value, sizeof(value)));

    codec_parameter_reader_init(&reader, "; n=\"a\u20acb\"", 10);
    memset(value, '#', sizeof(value));
    assert_true(codec_parameter_next(&reader, &parameter, value, 3));
    assert_int_equal(parameter.value_len, 5);
    assert_memory_equal(value, "a\0\0#", 4);
}

static void assert_written(const char *name, const char *value, const char *wanted)
{
    char dst[4000];
    const size_t len = codec_parameter_encode(name, value, strlen(value), dst);
    assert_true(len <= codec_parameter_encoded_max(strlen(value)) && len < sizeof(dst));
    dst[len] = '\0';
    assert_string_equal(dst, wanted);
}

static void test_encode(void **state)
{
    (void)state;
    assert_written("charset", "utf-8", ";\r\n charset=utf-8");
    assert_written("n", "", ";\r\n n=\"\"");
    assert_written("filename", "a b.txt", ";\r\n filename=\"a b.txt\"");
    assert_written("filename", "a\"b\\c", ";\r\n filename=\"a\\\"b\\\\c\"");
    assert_written("filename", "\u20ac *'%.txt",
                   ";\r\n filename*=UTF-8''%E2%82%AC%20%2A%27%25.txt");
    assert_written("n", "a\r\nb", ";\r\n n*=UTF-8''a%0D%0Ab");
    assert_written("n", "=?a?=", ";\r\n n*=UTF-8''%3D%3Fa%3F%3D");
    assert_written("n", "\xff", ";\r\n n*=UTF-8''%EF%BF%BD");
}

static void test_encode_folds(void **state)
{
    (void)state;
    char value[100] = "";
    memset(value, 'a', 72);
    assert_written(
        "n", value,
        ";\r\n n=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    value[72] = 'a';
    assert_written("n", value,
                   ";\r\n n*0*=UTF-8''aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aa;\r\n n*1*=aaaaaaaaaaa");
    /* Three characters of 12 have room in a section, and no part of a fourth. */
    assert_written("a-name-of-thirty-two-characters-", "\U0001f600\U0001f600\U0001f600\U0001f600",
                   ";\r\n a-name-of-thirty-two-characters-*0*=UTF-8''%F0%9F%98%80%F0%9F%98%80"
                   ";\r\n a-name-of-thirty-two-characters-*1*=%F0%9F%98%80%F0%9F%98%80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_examples),  cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_sections),      cmocka_unit_test(test_charsets),
        cmocka_unit_test(test_encoded_words), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_encode),        cmocka_unit_test(test_encode_folds),
    };
    return cmocka_run_group_tests_name("codec parameter", tests, NULL, NULL);
}
