/* SPDX-License-Identifier: Apache-2.0
 *
 * test_word - the examples of RFC 2047 and RFC 2231, charsets, and what is met in mail
 */
#include "ringpost/base.h"
#include "ringpost/codec/word.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_decoded(const char *text, const char *wanted)
{
    char dst[400];
    const size_t len = codec_word_decode(text, strlen(text), dst, sizeof(dst));
    assert_true(len < sizeof(dst));
    dst[len] = '\0';
    assert_string_equal(dst, wanted);
}

/* Section 8. */
static void test_rfc2047_examples(void **state)
{
    (void)state;
    assert_decoded("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
                   "Keith Moore <moore@cs.utk.edu>");
    assert_decoded("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>",
                   "Keld J\u00f8rn Simonsen <keld@dkuug.dk>");
    assert_decoded("=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>",
                   "Andr\u00e9 Pirard <PIRARD@vm1.ulg.ac.be>");
    assert_decoded("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
                   " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                   "If you can read this you understand the example.");
    assert_decoded("=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=",
                   "\u05dd\u05d5\u05dc\u05e9 \u05df\u05d1 \u05d9\u05dc\u05d8\u05e4\u05e0");
    assert_decoded("(=?ISO-8859-1?Q?a?=)", "(a)");
    assert_decoded("(=?ISO-8859-1?Q?a?= b)", "(a b)");
    assert_decoded("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
    assert_decoded("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)");
    assert_decoded("(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)");
    assert_decoded("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
    assert_decoded(" =?ISO-8859-1?Q?a?= ", " a ");
    assert_decoded("x =?ISO-8859-1?Q?a?=\ty", "x a\ty");
    assert_decoded("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
    assert_decoded("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"); /* RFC 2231 section 5 */
}

static void test_pieces(void **state)
{
    (void)state;
    static const char text[] = "Re: =?utf-8*de?q?a?= \t =?Koi8-R?B?8A==?= x";
    struct codec_word_reader reader;
    struct codec_word word;
    char octets[8];
    codec_word_reader_init(&reader, text, sizeof(text) - 1);
    assert_true(codec_word_next(&reader, &word) && !word.encoded);
    assert_true(word.text == text && word.text_len == 4);
    assert_true(codec_word_next(&reader, &word) && word.encoded);
    assert_memory_equal(word.charset, "utf-8", word.charset_len);
    assert_int_equal(word.charset_len, 5);
    assert_memory_equal(word.language, "de", 2);
    assert_int_equal(word.language_len, 2);
    assert_int_equal(word.encoding, 'Q');
    assert_true(codec_word_next(&reader, &word) && word.encoded);
    assert_int_equal(word.encoding, 'B');
    assert_int_equal(word.language_len, 0);
    assert_int_equal(codec_word_octets(&word, octets), 1);
    assert_int_equal((unsigned char)octets[0], 0xf0);
    assert_true(codec_word_next(&reader, &word) && !word.encoded);
    assert_int_equal(word.text_len, 2);
    assert_false(codec_word_next(&reader, &word));
}

static void test_not_words(void **state)
{
    (void)state;
    static const char *const same[] = {
        "",
        "=?",
        "=?a",
        "=?a?q",
        "=?a?q?b",
        "=?a?q?b?",
        "=?=",
        "=??q?a?=",
        "=?a?x?b?=",
        "=?a b?q?c?=",
        "=?a?b?YQ ?=",
        "=?a?qq?b?=",
        "a =? b",
        "?= =?a?q?b",
        "=?utf-8?q?\r\n?=",
    };
    for (size_t i = 0; i < ARRAY_COUNT(same); i++)
        assert_decoded(same[i], same[i]);
    assert_decoded("a\r\n b\n\tc", "a b\tc"); /* only folding goes */
    assert_decoded("a\r\nb", "a\r\nb");
    assert_decoded("=?=?utf-8?q?a?=", "=?a");
    assert_decoded("=?x?q?=?utf-8?q?a?=", "=?x?q?a");
}

static void test_leniency(void **state)
{
    (void)state;
    assert_decoded("a=?utf-8?q?b?=c", "abc"); /* no white space around */
    assert_decoded("=?utf-8?q?b?==?utf-8?q?c?=", "bc");
    assert_decoded("=?utf-8?q?b c?=", "b c");
    assert_decoded("=?utf-8?q?\?=", "");
    assert_decoded("=?utf-8?q?=4=zz=?=", "=4=zz=");
    assert_decoded("=?utf-8?q?=c3=a9?=", "\u00e9");
    assert_decoded("=?utf-8?b?w6k?=", "\u00e9"); /* no padding */
    assert_decoded("=?utf-8?b?w6k==garbage?=", "\u00e9");
    assert_decoded("=?utf-8?b?w-6*k?=", "\u00e9"); /* outside the alphabet */
}

static void test_charsets(void **state)
{
    (void)state;
    assert_decoded("=?UTF8?Q?=E2=82=AC?=", "\u20ac");
    assert_decoded("=?us-ascii?Q?=E2=82=AC?=", "\u20ac");
    assert_decoded("=?iso-8859-1?Q?=80=A4=FF?=", "\xc2\x80\u00a4\u00ff");
    assert_decoded("=?windows-1252?Q?=80=81=9F=FF?=", "\u20ac\ufffd\u0178\u00ff");
    assert_decoded("=?ISO_8859-15?Q?=A4?=", "\u20ac");
    assert_decoded("=?koi8-r?B?8NLJ18XU?=", "\u041f\u0440\u0438\u0432\u0435\u0442");
    assert_decoded("=?windows-1251?Q?=CF=F0=E8?=", "\u041f\u0440\u0438");
    assert_decoded("=?Shift_JIS?B?k/qWew==?=", "\u65e5\u672c");
    assert_decoded("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= x", "\u65e5\u672c x");
    assert_decoded("=?gb2312?B?1tDOxA==?=", "\u4e2d\u6587");
    /* What is left of a word (shift state, order of octets) means nothing behind other text. */
    assert_decoded("=?iso-2022-jp?B?GyRCRnxLXA==?= x =?iso-2022-jp?q?abc?=", "\u65e5\u672c x abc");
    assert_decoded("=?utf-16?b?/v8AYQ==?= x =?utf-16?b?//5hAA==?=", "a x a");
    assert_decoded("=?ks_c_5601-1987?B?x9Gx2w==?=", "\ud55c\uae00");
    assert_decoded("=?big5?B?pKSk5Q==?=", "\u4e2d\u6587");
    assert_decoded("=?utf-8?q?=ff=c3?=", "\ufffd\ufffd");
    assert_decoded("=?utf-8?q?=e2=82x?=", "\ufffdx"); /* the longest start counts once */
    assert_decoded("=?big5?q?=a4?=", "\ufffd");
    assert_decoded("=?euc-jp?q?=ffa?=", "\ufffda");
    assert_decoded("\xff raw \xc3\xa9", "\ufffd raw \u00e9");
}

static void test_unknown_charsets(void **state)
{
    (void)state;
    assert_decoded("a =?x-nobody?q?b?= c", "a =?x-nobody?q?b?= c");
    assert_decoded("=?x-nobody?q?b?= \r\n =?x-nobody?q?c?=", "=?x-nobody?q?b?=  =?x-nobody?q?c?=");
    assert_decoded("=?utf-8?q?b?= =?x-nobody?q?c?= =?utf-8?q?d?=", "b =?x-nobody?q?c?= d");
    assert_decoded("=?char?q?b?=", "=?char?q?b?="); /* names that iconv(3) takes as more */
    assert_decoded("=?utf-8//ignore?q?b?=", "=?utf-8//ignore?q?b?=");
    assert_decoded("=?../../tmp/x?q?b?=", "=?../../tmp/x?q?b?=");
}

/* The 16 charsets that iconv(3) is opened for, and one more. */
static void test_many_charsets(void **state)
{
    (void)state;
    static const char *const names[] = {
        "iso-8859-2",  "iso-8859-3",   "iso-8859-4",  "iso-8859-5", "iso-8859-6",  "iso-8859-7",
        "iso-8859-8",  "iso-8859-9",   "iso-8859-10", "koi8-r",     "iso-8859-13", "iso-8859-14",
        "iso-8859-15", "windows-1250", "cp1251",      "koi8-u",     "windows-1253"};
    char text[2000], wanted[200];
    struct text out, result;
    text_init(&out, text, sizeof(text));
    text_init(&result, wanted, sizeof(wanted));
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < 16; i++) {
            text_printf(&out, " =?%s?q?a?=", names[i]);
            text_put(&result, out.len < 30 ? BYTES(" a") : BYTES("a"));
        }
    }
    assert_decoded(text, wanted);
    text_printf(&out, " =?%s?q?a?= =?utf-8?q?b?=", names[16]);
    text_printf(&result, " =?%s?q?a?= b", names[16]);
    assert_decoded(text, wanted);
}

/* Others split characters between words; in one charset they are whole again. */
static void test_split_characters(void **state)
{
    (void)state;
    assert_decoded("=?utf-8?q?=e2=82?= =?UTF-8?b?rA==?=", "\u20ac");
    assert_decoded("=?utf-8?q?=e2?=\r\n\t=?utf-8?q?=82?= =?utf-8?q?=ac?=", "\u20ac");
    assert_decoded("=?big5?q?=a4?= =?big5?q?=a4?=", "\u4e2d");
    assert_decoded("=?utf-8?q?=e2=82?= =?iso-8859-1?q?=ac?=", "\ufffd\u00ac");
    assert_decoded("=?utf-8?q?=e2=82?= x =?utf-8?q?=ac?=", "\ufffd x \ufffd");
}

static void test_cut(void **state)
{
    (void)state;
    static const char text[] = "=?utf-8?q?a=E2=82=ACbc?=";
    for (size_t cap = 0; cap <= 8; cap++) {
        char dst[9];
        memset(dst, '#', sizeof(dst));
        assert_int_equal(codec_word_decode(text, sizeof(text) - 1, dst, cap), 6);
        const size_t kept = cap == 0 ? 0 : cap < 4 ? 1 : MIN(cap, (size_t)6);
        assert_memory_equal(dst, "a\u20acbc", kept);
        for (size_t i = kept; i < cap && cap < 6; i++)
            assert_int_equal(dst[i], '\0');
        for (size_t i = MAX(cap < 6 ? cap : 0, kept); i < sizeof(dst); i++)
            assert_int_equal(dst[i], '#');
    }
}

static void assert_encoded(const char *text, size_t column, enum codec_word_place place,
                           enum codec_word_encoding encoding, const char *wanted)
{
    char dst[2000];
    const size_t len = codec_word_encode(text, strlen(text), dst, column, place, encoding);
    assert_true(len <= codec_word_encoded_max(strlen(text)) && len < sizeof(dst));
    dst[len] = '\0';
    assert_string_equal(dst, wanted);
}

static void test_encode(void **state)
{
    (void)state;
    assert_encoded("", 0, CODEC_WORD_TEXT, CODEC_WORD_AUTO, "");
    assert_encoded("Andr\u00e9 Pirard", 9, CODEC_WORD_TEXT, CODEC_WORD_AUTO,
                   "=?UTF-8?Q?Andr=C3=A9_Pirard?=");
    assert_encoded("\u041f\u0440\u0438", 9, CODEC_WORD_TEXT, CODEC_WORD_AUTO,
                   "=?UTF-8?B?0J/RgNC4?=");
    assert_encoded("a.b,c(d)\"=?_\t", 0, CODEC_WORD_TEXT, CODEC_WORD_Q,
                   "=?UTF-8?Q?a.b,c(d)\"=3D=3F=5F=09?=");
    assert_encoded("a.b-c(d)!*+-/'", 0, CODEC_WORD_PHRASE, CODEC_WORD_Q,
                   "=?UTF-8?Q?a=2Eb-c=28d=29!*+-/=27?=");
    assert_encoded("a.b(c)\\\"", 0, CODEC_WORD_COMMENT, CODEC_WORD_Q,
                   "=?UTF-8?Q?a.b=28c=29=5C=22?=");
    assert_encoded("\xff\xe2\x82", 0, CODEC_WORD_TEXT, CODEC_WORD_Q,
                   "=?UTF-8?Q?=EF=BF=BD=EF=BF=BD?=");
}

static void test_encode_folds(void **state)
{
    (void)state;
    char text[200] = "";
    memset(text, 'a', 130);
    /* 76 characters: 63 of them text, and the first line has 9 before it */
    assert_encoded(
        text, 9, CODEC_WORD_TEXT, CODEC_WORD_Q,
        "=?UTF-8?Q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=\r\n "
        "=?UTF-8?Q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=\r\n "
        "=?UTF-8?Q?aaaaaaaaaaaa?=");
    assert_encoded("a", 63, CODEC_WORD_TEXT, CODEC_WORD_Q, "=?UTF-8?Q?a?=");
    assert_encoded("a", 64, CODEC_WORD_TEXT, CODEC_WORD_Q, "\r\n =?UTF-8?Q?a?=");
    assert_encoded("a", 64, CODEC_WORD_TEXT, CODEC_WORD_B, "\r\n =?UTF-8?B?YQ==?=");
    assert_encoded("a", 500, CODEC_WORD_TEXT, CODEC_WORD_Q, "\r\n =?UTF-8?Q?a?=");
    assert_encoded("\u20ac\u20ac", 50, CODEC_WORD_TEXT, CODEC_WORD_Q,
                   "=?UTF-8?Q?=E2=82=AC?=\r\n =?UTF-8?Q?=E2=82=AC?=");
}

static void test_needed(void **state)
{
    (void)state;
    assert_false(codec_word_needed("", 0));
    assert_false(codec_word_needed("plain = text?\t", 14));
    assert_true(codec_word_needed("a=?", 3));
    assert_false(codec_word_needed("a=?", 2));
    assert_true(codec_word_needed("\u00e9", 2));
    assert_true(codec_word_needed("a\r\n", 3));
    assert_true(codec_word_needed("\x7f", 1));
    assert_true(codec_word_needed("", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc2047_examples), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_not_words),        cmocka_unit_test(test_leniency),
        cmocka_unit_test(test_charsets),         cmocka_unit_test(test_unknown_charsets),
        cmocka_unit_test(test_split_characters), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_encode),           cmocka_unit_test(test_encode_folds),
        cmocka_unit_test(test_needed),           cmocka_unit_test(test_many_charsets),
    };
    return cmocka_run_group_tests_name("codec word", tests, NULL, NULL);
}
