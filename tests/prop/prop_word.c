/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_word - encoded-words and parameters: what is written comes back, and keeps to the limits
 *
 * Texts are random characters of all planes and random octets; what becomes of octets that are no
 * UTF-8 is said by a model that asks for each start whether any character begins so.
 */
#include "prop.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/codec/word.h"
#include "ringpost/scan.h"
#include <stdio.h>

enum { LEN_MAX = 300, ROOM = 3 * LEN_MAX + 1 };

/* ---- texts ------------------------------------------------------------------------------------
 */

static size_t put_code_point(uint32_t code, char *dst)
{
    if (code < 0x80) return dst[0] = (char)code, 1;
    if (code < 0x800) {
        dst[0] = (char)(0xc0 | code >> 6);
        return dst[1] = (char)(0x80 | (code & 63)), 2;
    }
    if (code < 0x10000) {
        dst[0] = (char)(0xe0 | code >> 12);
        dst[1] = (char)(0x80 | (code >> 6 & 63));
        return dst[2] = (char)(0x80 | (code & 63)), 3;
    }
    dst[0] = (char)(0xf0 | code >> 18);
    dst[1] = (char)(0x80 | (code >> 12 & 63));
    dst[2] = (char)(0x80 | (code >> 6 & 63));
    return dst[3] = (char)(0x80 | (code & 63)), 4;
}

static size_t random_characters(struct random *random, char *dst, size_t len)
{
    static const uint32_t ends[] = {0x7f, 0x7f, 0x7ff, 0xffff, 0x10ffff};
    static const char marks[] = " =?_\"\\()%'*;\r\n\t";
    size_t written = 0;
    while (written + 4 <= len) {
        const uint32_t end = ends[random_below(random, ARRAY_COUNT(ends))];
        uint32_t code = (uint32_t)random_below(random, end + 1);
        if (end == 0x7f && random_below(random, 3) == 0) {
            code = (unsigned char)marks[random_below(random, sizeof(marks) - 1)];
        }
        if (code >= 0xd800 && code < 0xe000) continue;
        written += put_code_point(code, dst + written);
    }
    return written;
}

/* Octets at which characters begin, go on and break off. */
static size_t random_garbage(struct random *random, char *dst, size_t len)
{
    static const unsigned char octets[] = {0x00, 'a',  0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0,
                                           0xf1, 0xf3, 0xf4, 0xf5, 0xff, '=',  '?',  ' '};
    for (size_t i = 0; i < len; i++)
        dst[i] = (char)octets[random_below(random, ARRAY_COUNT(octets))];
    return len;
}

/* ---- the model of U+FFFD ------------------------------------------------------------------------
 */

static bool is_one_character(const char *text, size_t len)
{
    if (!scan_utf8_is_valid(text, len)) return false;
    size_t starts = 0;
    for (size_t i = 0; i < len; i++)
        starts += (text[i] & 0xc0) != 0x80;
    return starts == 1;
}

/* Is there a character that begins with these octets and has more? */
static bool begins_character(const char *text, size_t len)
{
    static const char ends[] = {'\x80', '\x8f', '\x90', '\x9f', '\xa0', '\xbf'};
    char all[4];
    if (len > 3) return false;
    memcpy(all, text, len);
    for (size_t i = 0; i < 6; i++) {
        all[len] = ends[i];
        memset(all + len + 1, 0x80, 3 - len);
        for (size_t n = len + 1; n <= 4; n++) {
            if (is_one_character(all, n)) return true;
        }
    }
    return false;
}

static size_t model_clean(const char *text, size_t len, char *dst)
{
    size_t written = 0;
    for (size_t at = 0; at < len;) {
        size_t n = MIN(len - at, (size_t)4);
        while (n > 0 && !is_one_character(text + at, n))
            n -= 1;
        if (n > 0) {
            memcpy(dst + written, text + at, n);
            written += n;
        } else {
            n = MIN(len - at, (size_t)3);
            while (n > 1 && !begins_character(text + at, n))
                n -= 1;
            memcpy(dst + written, "\xef\xbf\xbd", 3);
            written += 3;
        }
        at += n;
    }
    return written;
}

/* ---- encoded-words ------------------------------------------------------------------------------
 */

static void check_lines(const char *text, size_t len, size_t column)
{
    for (size_t at = 0; at < len; at++, column++) {
        if (text[at] == '\r') {
            CHECK(at + 2 < len && text[at + 1] == '\n' && text[at + 2] == ' ');
            at += 2;
            column = 0;
        }
        CHECK(column < 76);
        CHECK(text[at] >= ' ' && text[at] < 127);
    }
}

static void check_words(const char *text, size_t len, enum codec_word_place place)
{
    struct codec_word_reader reader;
    struct codec_word word;
    codec_word_reader_init(&reader, text, len);
    for (bool first = true; codec_word_next(&reader, &word); first = false) {
        char octets[CODEC_WORD_MAX], back[3 * CODEC_WORD_MAX];
        if (!word.encoded) { /* a fold before the first word */
            CHECK(first && word.text_len == 3 && memcmp(word.text, "\r\n ", 3) == 0);
            continue;
        }
        const char *start = word.charset - 2, *end = word.text + word.text_len + 2;
        CHECK(end - start <= CODEC_WORD_MAX);
        CHECK(word.charset_len == 5 && memcmp(word.charset, "UTF-8", 5) == 0);
        const size_t n = codec_word_octets(&word, octets);
        CHECK(n > 0 && n <= word.text_len && scan_utf8_is_valid(octets, n));
        CHECK_EQUAL(codec_word_decode(start, (size_t)(end - start), back, sizeof(back)), n);
        CHECK_SAME(back, octets, n);
        for (size_t i = 0; i < word.text_len && word.encoding == 'Q'; i++) {
            const char c = word.text[i];
            CHECK(c > ' ' && c < 127 && c != '?');
            if (place != CODEC_WORD_TEXT) CHECK(strchr("()\\\"", c) == NULL);
            if (place == CODEC_WORD_PHRASE) CHECK(strchr(".,;:<>@[]'#$%&^`{|}~", c) == NULL);
        }
    }
}

static void check_word(struct random *random, const char *text, size_t len)
{
    char wanted[ROOM], back[ROOM];
    const size_t wanted_len = model_clean(text, len, wanted);
    const size_t column = random_below(random, 4) ? random_below(random, 78) : 0;
    const enum codec_word_place place = (enum codec_word_place)random_below(random, 3);
    size_t lens[3];
    for (int encoding = CODEC_WORD_AUTO; encoding <= CODEC_WORD_Q; encoding++) {
        char *dst = prop_guarded_end(1, codec_word_encoded_max(len));
        const size_t n =
            codec_word_encode(text, len, dst, column, place, (enum codec_word_encoding)encoding);
        CHECK(n <= codec_word_encoded_max(len));
        CHECK((n == 0) == (len == 0));
        lens[encoding] = n;
        if (n > 3 && dst[0] == '\r')
            check_lines(dst, n, column);
        else
            check_lines(dst, n, MIN(column, (size_t)76));
        check_words(dst, n, place);
        CHECK_EQUAL(codec_word_decode(dst + (n > 0 && dst[0] == '\r' ? 3 : 0),
                                      n - (n > 0 && dst[0] == '\r' ? 3 : 0), back, sizeof(back)),
                    wanted_len);
        CHECK_SAME(back, wanted, wanted_len);
        prop_guarded_check(1);
    }
    CHECK(lens[CODEC_WORD_AUTO] == lens[CODEC_WORD_B] ||
          lens[CODEC_WORD_AUTO] == lens[CODEC_WORD_Q]);
}

static void test_round_trip(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 1);
    for (unsigned round = 0; round < 12000; round++) {
        char text[LEN_MAX];
        const size_t limit = random_below(&random, round % 2 ? 20 : LEN_MAX + 1);
        const size_t len = round % 3 ? random_characters(&random, text, limit)
                                     : random_garbage(&random, text, limit);
        char *src = prop_guarded_end(0, len);
        memcpy(src, text, len);
        check_word(&random, src, len);
    }
}

/* The worst cases for the room: 9 characters for each octet, and words that cannot be filled. */
static void test_room(enum simd_level level)
{
    (void)level;
    static char text[4000];
    struct random random;
    random_init(&random, 2);
    memset(text, 0xff, sizeof(text));
    for (size_t len = 0; len <= sizeof(text); len += len < 100 ? 1 : 97) {
        for (size_t column = 0; column < 80; column += 7) {
            char *dst = prop_guarded_end(1, codec_word_encoded_max(len));
            codec_word_encode(text, len, dst, column, CODEC_WORD_TEXT, CODEC_WORD_Q);
            prop_guarded_check(1);
        }
        const size_t room = codec_parameter_encoded_max(len);
        if (room > PROP_GUARDED_MAX) continue;
        char *dst = prop_guarded_end(1, room);
        codec_parameter_encode("a-name-of-thirty-two-characters-", text, len, dst);
        prop_guarded_check(1);
    }
}

/* ---- decoding what nobody has encoded
 * ------------------------------------------------------------ */

static size_t random_soup(struct random *random, char *dst, size_t cap)
{
    static const char *const parts[] = {
        "=?utf-8?q?",
        "=?UTF-8*en?B?",
        "=?iso-8859-1?Q?",
        "=?windows-1252?b?",
        "=?x?q?",
        "?=",
        "=",
        "?",
        " ",
        "\r\n ",
        "\r\n",
        "\t",
        "4oKs",
        "=E2=82",
        "=AC",
        "_",
        "abc",
        "\xff",
        "\xe2\x82\xac",
        "; n*0*=",
        "; n*1=",
        "utf-8''",
        "%e2%82",
        "%ac",
        "\"",
        "\\",
        "(",
        ")",
        ";",
        "; m=",
    };
    size_t written = 0;
    for (uint64_t count = random_below(random, 40); count > 0; count--) {
        const char *part = parts[random_below(random, ARRAY_COUNT(parts))];
        if (strlen(part) > cap - written) break;
        memcpy(dst + written, part, strlen(part));
        written += strlen(part);
    }
    return written;
}

/* Whatever the room: the same length, the same octets, cut at a character, and nothing beyond. */
static void check_cut(const char *all, size_t total, const char *cut, size_t cap, size_t got_total)
{
    size_t kept = MIN(total, cap);
    while (kept < total && (all[kept] & 0xc0) == 0x80)
        kept -= 1;
    CHECK_EQUAL(got_total, total);
    CHECK_SAME(cut, all, kept);
    for (size_t i = kept; i < cap && total > cap; i++)
        CHECK(cut[i] == '\0');
}

static void check_parameters(struct random *random, const char *text, size_t len)
{
    struct codec_parameter_reader reader, again;
    struct codec_parameter parameter, same;
    codec_parameter_reader_init(&reader, text, len);
    again = reader;
    char value[ROOM];
    while (codec_parameter_next(&reader, &parameter, value, sizeof(value))) {
        CHECK(parameter.value_len <= sizeof(value));
        CHECK(scan_utf8_is_valid(value, parameter.value_len));
        CHECK(parameter.name >= text && parameter.name + parameter.name_len <= text + len);
        const size_t cap = random_below(random, parameter.value_len + 2);
        char *dst = prop_guarded_end(1, cap);
        CHECK(codec_parameter_next(&again, &same, dst, cap));
        check_cut(value, parameter.value_len, dst, cap, same.value_len);
        prop_guarded_check(1);
    }
    CHECK(!codec_parameter_next(&again, &same, value, sizeof(value)));
}

static void test_soup(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 3);
    for (unsigned round = 0; round < 60000; round++) {
        char text[LEN_MAX], all[ROOM];
        const size_t len = random_soup(&random, text, sizeof(text));
        char *src = prop_guarded_end(0, len);
        memcpy(src, text, len);
        const size_t total = codec_word_decode(src, len, all, sizeof(all));
        CHECK(total <= sizeof(all) && scan_utf8_is_valid(all, total));
        const size_t cap = random_below(&random, total + 2);
        char *dst = prop_guarded_end(1, cap);
        check_cut(all, total, dst, cap, codec_word_decode(src, len, dst, cap));
        prop_guarded_check(1);
        check_parameters(&random, src, len);
    }
}

/* Any octets as adjacent words, split anywhere: what was split is whole again. */
static void test_split(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 5);
    for (unsigned round = 0; round < 20000; round++) {
        char text[LEN_MAX], words[20 * LEN_MAX], wanted[ROOM], back[ROOM];
        const size_t limit = random_below(&random, 60);
        const size_t len = round % 2 ? random_characters(&random, text, limit)
                                     : random_garbage(&random, text, limit);
        size_t written = 0;
        for (size_t i = 0; i < len; i++) {
            const bool first = i == 0 || random_below(&random, 3) == 0;
            if (first && i > 0) written += (size_t)sprintf(words + written, "?=\r\n ");
            if (first) written += (size_t)sprintf(words + written, "=?utf-8?q?");
            written += (size_t)sprintf(words + written, "=%02x", (unsigned char)text[i]);
        }
        if (len > 0) written += (size_t)sprintf(words + written, "?=");
        const size_t wanted_len = model_clean(text, len, wanted);
        CHECK_EQUAL(codec_word_decode(words, written, back, sizeof(back)), wanted_len);
        CHECK_SAME(back, wanted, wanted_len);
    }
}

/* ---- parameters
 * ----------------------------------------------------------------------------------- */

static void check_parameter(struct random *random, const char *text, size_t len)
{
    char name[CODEC_PARAMETER_NAME_MAX + 1] = "", wanted[ROOM], back[ROOM];
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    memset(name, 'n', 1 + random_below(random, CODEC_PARAMETER_NAME_MAX));
    const size_t wanted_len = model_clean(text, len, wanted);
    char *dst = prop_guarded_end(1, codec_parameter_encoded_max(len));
    const size_t n = codec_parameter_encode(name, text, len, dst);
    CHECK(n <= codec_parameter_encoded_max(len));
    check_lines(dst, n, 75);
    const char *last = memrchr(dst, '\n', n);
    CHECK(last != NULL && dst + n - last - 1 < 76); /* room for the next ";" */
    prop_guarded_check(1);

    codec_parameter_reader_init(&reader, dst, n);
    CHECK(codec_parameter_next(&reader, &parameter, back, sizeof(back)));
    CHECK_EQUAL(parameter.name_len, strlen(name));
    CHECK_SAME(parameter.name, name, parameter.name_len);
    CHECK_EQUAL(parameter.value_len, wanted_len);
    CHECK_SAME(back, wanted, wanted_len);
    CHECK(!codec_parameter_next(&reader, &parameter, back, sizeof(back)));
}

static void test_parameter(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 4);
    for (unsigned round = 0; round < 12000; round++) {
        char text[LEN_MAX];
        const size_t limit = random_below(&random, round % 2 ? 20 : LEN_MAX + 1);
        size_t len = limit;
        if (round % 3 == 0)
            len = random_garbage(&random, text, limit);
        else if (round % 3 == 1)
            len = random_characters(&random, text, limit);
        else
            for (size_t i = 0; i < len; i++)
                text[i] = (char)(' ' + random_below(&random, 95));
        char *src = prop_guarded_end(0, len);
        memcpy(src, text, len);
        check_parameter(&random, src, len);
    }
}

static const struct prop_test tests[] = {
    {"round_trip", test_round_trip, .once = true},
    {"room", test_room, .once = true},
    {"soup", test_soup, .once = true},
    {"split", test_split, .once = true},
    {"parameter", test_parameter, .once = true},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
