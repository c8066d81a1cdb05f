/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_base64 - every kernel gives what the scalar one gives, and that one what a naive model gives
 *
 * All lengths 0..300 and some longer, so that the loops over several registers and lines run too;
 * memory that ends or begins at a guard page; every alignment; every split and every error.
 */
#include "../../src/codec/base64_ops.h"
#include "prop.h"
#include <stdlib.h>

enum { LEN_MAX = 300, LONG_MAX = 9000, TEXT_MAX = 16000, HUGE_MAX = 30000 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const size_t lines[] = {0, 76, 4, 8, 12, 36, 40, 60, 64, 68, 72, 80, 124, 128, 132, 996};
static const enum codec_base64_mode modes[] = {CODEC_BASE64_PLAIN, CODEC_BASE64_STRICT,
                                               CODEC_BASE64_LENIENT};

static void fill_octets(struct random *random, char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (char)random_u64(random);
}

/* ---- the model: bits as a row of zeros and ones -----------------------------------------------
 */

static size_t model_encode(const char *src, size_t len, char *dst, size_t line)
{
    static char bits[LONG_MAX * 8 + 24];
    size_t count = 0, out = 0;
    for (size_t i = 0; i < len; i++) {
        for (int bit = 7; bit >= 0; bit--)
            bits[count++] = (char)((unsigned char)src[i] >> bit & 1);
    }
    const size_t characters = (len + 2) / 3 * 4;
    memset(bits + count, 0, 24);
    for (size_t i = 0; i < characters; i++) {
        unsigned value = 0;
        for (size_t bit = 0; bit < 6; bit++)
            value = value * 2 + (unsigned)bits[i * 6 + bit];
        dst[out++] = i * 6 < count ? alphabet[value] : '=';
        if (line > 0 && ((i + 1) % line == 0 || i + 1 == characters)) {
            dst[out++] = '\r';
            dst[out++] = '\n';
        }
    }
    return out;
}

/* What counts in a text, and where it was. */
struct sign {
    char character;
    size_t offset;
};

static bool is_space(char c)
{
    return c == '\r' || c == '\n' || c == ' ' || c == '\t';
}
static bool is_letter(char c)
{
    return c != 0 && strchr(alphabet, c) != NULL;
}
static unsigned value_of(char c)
{
    return (unsigned)(strchr(alphabet, c) - alphabet);
}

static size_t model_signs(const char *src, size_t len, enum codec_base64_mode mode,
                          struct sign *signs)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        const bool skip = (mode == CODEC_BASE64_STRICT && is_space(src[i])) ||
                          (mode == CODEC_BASE64_LENIENT && !is_letter(src[i]) && src[i] != '=');
        if (!skip) signs[count++] = (struct sign){src[i], i};
    }
    return count;
}

/* How many signs of the quantum are right; bits are the values of the letters. */
static size_t model_quantum(const struct sign *signs, size_t count, uint32_t *bits, size_t *letters)
{
    size_t i = 0;
    *bits = 0;
    while (i < 4 && i < count && is_letter(signs[i].character))
        *bits = *bits << 6 | value_of(signs[i++].character);
    *letters = i;
    if (i < 2 || i == 4 || i == count) return i;
    if ((i == 2 && *bits % 16 != 0) || (i == 3 && *bits % 4 != 0)) return i;
    while (i < 4 && i < count && signs[i].character == '=')
        i++;
    return i;
}

static struct codec_result model_decode(const char *src, size_t len, char *dst,
                                        enum codec_base64_mode mode)
{
    static struct sign signs[TEXT_MAX];
    struct codec_result result = {0, CODEC_NO_ERROR};
    const bool lenient = mode == CODEC_BASE64_LENIENT;
    const size_t count = model_signs(src, len, mode, signs);
    bool padded = false;
    for (size_t at = 0; at < count; at += 4) {
        uint32_t bits;
        size_t letters;
        const size_t right = model_quantum(signs + at, count - at, &bits, &letters);
        if (!lenient && (padded || right < 4)) {
            const size_t wrong = padded ? at : at + right;
            result.error = wrong < count ? signs[wrong].offset : len;
            return result;
        }
        bits <<= 6 * (4 - letters);
        for (size_t i = 0; i + 1 < letters; i++)
            dst[result.written++] = (char)(bits >> (16 - 8 * i));
        padded = letters < 4;
        if (lenient && padded) break;
    }
    return result;
}

static void check_decode_model(const char *src, size_t len)
{
    char got[LEN_MAX + 8], wanted[LEN_MAX + 8];
    for (unsigned i = 0; i < ARRAY_COUNT(modes); i++) {
        const struct codec_result a = model_decode(src, len, wanted, modes[i]);
        const struct codec_result b = codec_base64_decode(src, len, got, modes[i]);
        CHECK_EQUAL(a.written, b.written);
        CHECK_EQUAL(a.error, b.error);
        CHECK_SAME(wanted, got, a.written);
    }
}

static void test_model_encode(enum simd_level level)
{
    static char src[LONG_MAX], wanted[2 * LONG_MAX], got[2 * LONG_MAX];
    struct random random;
    (void)level;
    random_init(&random, 1);
    for (size_t len = 0; len <= LONG_MAX; len += len < LEN_MAX ? 1 : random_below(&random, 900)) {
        fill_octets(&random, src, len);
        for (unsigned i = 0; i < ARRAY_COUNT(lines); i++) {
            const size_t written = model_encode(src, len, wanted, lines[i]);
            CHECK_EQUAL(codec_base64_encoded_len(len, lines[i]), written);
            CHECK_EQUAL(codec_base64_encode_lines(src, len, got, lines[i]), written);
            CHECK_SAME(wanted, got, written);
        }
    }
}

/* Texts in which what is odd is dense, and all short texts of characters that matter. */
static void test_model_decode(enum simd_level level)
{
    static const char *const kinds[] = {"AZaz09+/", "AQ=", "AAAAAQ=\r\n", "Q=*",
                                        "AB \t=\r\n-_\x80"};
    static const char few[] = {'A', 'B', '=', '\n', '*'};
    struct random random;
    char src[LEN_MAX];
    (void)level;
    random_init(&random, 2);
    for (unsigned round = 0; round < 40000; round++) {
        const char *kind = kinds[round % ARRAY_COUNT(kinds)];
        const size_t len = random_below(&random, round % 3 == 0 ? LEN_MAX : 14);
        for (size_t i = 0; i < len; i++)
            src[i] = kind[random_below(&random, strlen(kind))];
        check_decode_model(src, len);
    }
    for (size_t len = 0; len <= 7; len++) {
        size_t number = 0, total = 1;
        for (size_t i = 0; i < len; i++)
            total *= sizeof(few);
        for (; number < total; number++) {
            size_t rest = number;
            for (size_t i = 0; i < len; i++, rest /= sizeof(few))
                src[i] = few[rest % sizeof(few)];
            check_decode_model(src, len);
        }
    }
}

/* ---- texts to decode ---------------------------------------------------------------------------
 */

enum {
    PLAIN,
    USUAL,
    LINES_64,
    LINES_76_LF,
    LINES_72,
    LINES_40,
    LINES_128,
    IRREGULAR,
    DENSE,
    SPACES,
    JUNK,
    LAYOUTS
};

/* Takes white space and junk into a plain text; returns the new length. */
static size_t lay_out(struct random *random, unsigned layout, const char *plain, size_t len,
                      char *text)
{
    static const struct {
        size_t line;
        const char *end;
    } regular[LAYOUTS] = {
        [USUAL] = {76, "\r\n"},    [LINES_64] = {64, "\r\n"}, [LINES_76_LF] = {76, "\n"},
        [LINES_72] = {72, "\r\n"}, [LINES_40] = {40, "\n"},   [LINES_128] = {128, "\n"}};
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        text[out++] = plain[i];
        const char *insert = "";
        const size_t line = regular[layout].line;
        if (line > 0 && ((i + 1) % line == 0 || i + 1 == len)) insert = regular[layout].end;
        if (layout == IRREGULAR && random_below(random, 40) == 0) insert = "\r\n";
        if (layout == DENSE && random_below(random, 3) == 0) insert = " \t";
        if (layout == SPACES && random_below(random, 200) == 0)
            insert = "                                                                          ";
        if (layout == JUNK && random_below(random, 20) == 0) insert = "\x80-\xff(\r\n";
        if (out + strlen(insert) + len - i > TEXT_MAX) continue;
        memcpy(text + out, insert, strlen(insert));
        out += strlen(insert);
    }
    return out;
}

/* A text of about len characters. */
static size_t make_text(struct random *random, unsigned layout, size_t len, char *text)
{
    static char octets[LONG_MAX], plain[2 * LONG_MAX];
    const size_t count = MIN(len / 4 * 3 + len % 4, (size_t)LONG_MAX);
    fill_octets(random, octets, count);
    const size_t written = codec_base64_encode(octets, count, plain);
    return lay_out(random, layout, plain, written, text);
}

/* Each time another CPU, of those for which kernels go different ways: so all are tested on all. */
static void select_kernels(enum simd_level level)
{
    static size_t near_max = 0;
    static unsigned times = 0;
    if (near_max == 0) near_max = base64_cpu.near_max;
    times += 1;
    base64_cpu = (struct base64_cpu){
        .is_amd = times % 3 > 0,
        .near_max = times % 4 == 0 ? 0 : near_max,
        .far_min = times % 3 == 1 ? 5000 : SIZE_MAX,
    };
    CHECK(simd_select(level));
}

/* ---- kernels against scalar -------------------------------------------------------------------
 */

static char *guarded(unsigned slot, size_t len, bool end)
{
    return end ? prop_guarded_end(slot, len) : prop_guarded_start(slot, len);
}

static void check_encode(enum simd_level level, const char *data, size_t len, size_t line)
{
    static char wanted[2 * HUGE_MAX];
    const size_t room = codec_base64_encoded_len(len, line);
    CHECK(simd_select(SIMD_SCALAR));
    CHECK_EQUAL(codec_base64_encode_lines(data, len, wanted, line), room);
    select_kernels(level);
    for (int how = 0; how < 2; how++) {
        char *src = guarded(0, len, how == 0), *dst = guarded(1, room, how == 0);
        memcpy(src, data, len);
        CHECK_EQUAL(codec_base64_encode_lines(src, len, dst, line), room);
        CHECK_SAME(wanted, dst, room);
        prop_guarded_check(1);
        prop_guarded_check(0);
    }
}

static void test_encode(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    random_init(&random, 3);
    for (unsigned i = 0; i < ARRAY_COUNT(lines); i++) {
        for (size_t len = 0; len <= LONG_MAX;
             len += len < LEN_MAX ? 1 : 1 + random_below(&random, 700)) {
            fill_octets(&random, data, len);
            check_encode(level, data, len, lines[i]);
        }
    }
}

/* So long that kernels ask for memory before they need it. */
static void test_encode_long(enum simd_level level)
{
    static const size_t few[] = {0, 76, 64, 68};
    static char data[HUGE_MAX];
    struct random random;
    random_init(&random, 10);
    fill_octets(&random, data, sizeof(data));
    for (unsigned round = 0; round < 200; round++) {
        const size_t len = HUGE_MAX - random_below(&random, HUGE_MAX / 2);
        check_encode(level, data + HUGE_MAX - len, len, few[round % ARRAY_COUNT(few)]);
    }
}

static void check_decode(enum simd_level level, const char *text, size_t len,
                         enum codec_base64_mode mode)
{
    static char wanted[TEXT_MAX];
    const size_t room = codec_base64_decoded_max(len);
    CHECK(simd_select(SIMD_SCALAR));
    const struct codec_result a = codec_base64_decode(text, len, wanted, mode);
    select_kernels(level);
    for (int how = 0; how < 4; how++) {
        const bool in_place = how >= 2;
        char *src = guarded(0, len, how % 2 == 0);
        char *dst = in_place ? src : guarded(1, room, how % 2 == 0);
        memcpy(src, text, len);
        const struct codec_result b = codec_base64_decode(src, len, dst, mode);
        CHECK_EQUAL(a.written, b.written);
        CHECK_EQUAL(a.error, b.error);
        CHECK_SAME(wanted, dst, a.written);
        prop_guarded_check(0);
        if (!in_place) prop_guarded_check(1);
        if (!in_place) CHECK_SAME(text, src, len);
    }
}

/* A stream decodes in place, too, as long as it holds nothing of an earlier piece. */
static void check_decode_piece(enum simd_level level, const char *text, size_t len,
                               enum codec_base64_mode mode)
{
    static char wanted[TEXT_MAX];
    struct codec_base64_decoder decoder;
    char last[CODEC_ROOM_MIN];
    CHECK(simd_select(SIMD_SCALAR));
    const struct codec_result a = codec_base64_decode(text, len, wanted, mode);
    select_kernels(level);
    char *src = guarded(0, len, true);
    memcpy(src, text, len);
    codec_base64_decoder_init(&decoder, mode);
    const struct codec_progress done = codec_base64_decoder_feed(&decoder, src, len, src, len);
    CHECK_EQUAL(done.taken, len);
    const size_t rest = codec_base64_decoder_finish(&decoder, last);
    CHECK_EQUAL(done.written + rest, a.written);
    CHECK_EQUAL(decoder.error, a.error);
    CHECK_SAME(wanted, src, done.written);
    CHECK_SAME(wanted + done.written, last, rest);
}

static void test_decode(enum simd_level level)
{
    static char text[TEXT_MAX];
    struct random random;
    random_init(&random, 4);
    for (unsigned layout = 0; layout < LAYOUTS; layout++) {
        for (size_t size = 0; size <= LONG_MAX;
             size += size < LEN_MAX ? 1 : 1 + random_below(&random, 900)) {
            const size_t len = make_text(&random, layout, size, text);
            for (unsigned i = 0; i < ARRAY_COUNT(modes); i++) {
                check_decode(level, text, len, modes[i]);
                check_decode(level, text, random_below(&random, len + 1), modes[i]);
                check_decode_piece(level, text, random_below(&random, len + 1), modes[i]);
            }
        }
    }
}

/* One octet is another one: at each place of a short text, at some of a long one. */
static void test_errors(enum simd_level level)
{
    static char text[TEXT_MAX];
    struct random random;
    random_init(&random, 5);
    for (unsigned layout = 0; layout < LAYOUTS; layout++) {
        for (size_t size = 90; size < 7000; size = size * 2 + 13) {
            const size_t len = make_text(&random, layout, size, text);
            for (size_t at = 0; at < len; at += size < 1000 ? 1 : 1 + random_below(&random, 40)) {
                const char before = text[at];
                text[at] = random_below(&random, 4) == 0 ? '=' : (char)random_u64(&random);
                check_decode(level, text, len, modes[at % ARRAY_COUNT(modes)]);
                text[at] = before;
            }
        }
    }
}

/* Each octet, at each place of a register. */
static void test_all_octets(enum simd_level level)
{
    static char text[TEXT_MAX];
    struct random random;
    random_init(&random, 6);
    const size_t len = make_text(&random, PLAIN, 5 * 64, text);
    for (unsigned octet = 0; octet < 256; octet++) {
        for (size_t at = 64 + octet % 5; at < 128; at += 5) {
            const char before = text[at];
            text[at] = (char)octet;
            for (unsigned i = 0; i < ARRAY_COUNT(modes); i++)
                check_decode(level, text, len, modes[i]);
            text[at] = before;
        }
    }
}

static void test_alignment(enum simd_level level)
{
    static _Alignas(64) char src[TEXT_MAX + 64], dst[TEXT_MAX + 256];
    static char data[LONG_MAX], wanted[TEXT_MAX];
    struct random random;
    random_init(&random, 7);
    for (size_t from = 0; from < 64; from++) {
        for (size_t to = 0; to < 64; to += from % 8 == 0 ? 1 : 13) {
            const size_t len = to % 2 == 0 ? random_below(&random, LEN_MAX) : 7000 - to;
            const size_t line = lines[to % 2], room = codec_base64_encoded_len(len, line);
            fill_octets(&random, data, len);
            CHECK(simd_select(SIMD_SCALAR));
            (void)codec_base64_encode_lines(data, len, wanted, line);
            select_kernels(level);
            memcpy(src + from, data, len);
            memset(dst, 0x5a, sizeof(dst));
            CHECK_EQUAL(codec_base64_encode_lines(src + from, len, dst + to, line), room);
            CHECK_SAME(wanted, dst + to, room);
            for (size_t i = 0; i < 64; i++)
                CHECK_EQUAL(dst[i < to ? i : to + room + i], 0x5a);
            memcpy(src + from, wanted, room);
            const struct codec_result back = codec_base64_decode(
                src + from, room, dst + to, line == 0 ? CODEC_BASE64_PLAIN : CODEC_BASE64_STRICT);
            CHECK_EQUAL(back.error, CODEC_NO_ERROR);
            CHECK_EQUAL(back.written, len);
            CHECK_SAME(data, dst + to, len);
        }
    }
}

/* ---- streams ----------------------------------------------------------------------------------
 */

/* Kernels choose the way by the distance of text and data: each, with and without an error in any
 * line, and in lines that are not like the others. */
static void test_distances(enum simd_level level)
{
    enum { DATA_MAX = 14500, LINE = CODEC_BASE64_LINE };
    static _Alignas(4096) char src[3 * 8192], dst[3 * 8192];
    static char data[DATA_MAX], text[3 * 8192], wanted[DATA_MAX + 8];
    struct random random;
    random_init(&random, 11);
    fill_octets(&random, data, sizeof(data));
    for (size_t to = 0; to < 4096; to += 64 + random_below(&random, 20)) {
        const size_t len = DATA_MAX - random_below(&random, to % 3 == 0 ? DATA_MAX : 2000);
        const size_t text_len = codec_base64_encoded_len(len, LINE);
        CHECK(simd_select(SIMD_SCALAR));
        (void)codec_base64_encode_lines(data, len, text, LINE);
        select_kernels(level);
        memcpy(src, data, len);
        memset(dst, 0x5a, sizeof(dst));
        (void)codec_base64_encode_lines(src, len, dst + to, LINE);
        CHECK_SAME(text, dst + to, text_len);
        for (size_t i = 0; i < 64; i++)
            CHECK_EQUAL(dst[i < to ? i : to + text_len + i], 0x5a);
        for (int wrong = 0; wrong < 20; wrong++) {
            memcpy(src, text, text_len);
            if (wrong > 0)
                src[random_below(&random, text_len)] = "\n= \r!A"[random_below(&random, 6)];
            CHECK(simd_select(SIMD_SCALAR));
            const struct codec_result a =
                codec_base64_decode(src, text_len, wanted, modes[1 + wrong % 2]);
            select_kernels(level);
            const struct codec_result b =
                codec_base64_decode(src, text_len, dst + to, modes[1 + wrong % 2]);
            CHECK_EQUAL(a.written, b.written);
            CHECK_EQUAL(a.error, b.error);
            CHECK_SAME(wanted, dst + to, a.written);
        }
    }
}

/* Sizes of pieces: at most max, 0: one split at `split` and room for all. */
struct pieces {
    struct random *random;
    size_t split, max;
};

static size_t piece_of(const struct pieces *pieces, size_t at, size_t left)
{
    if (pieces->max == 0) return at < pieces->split ? pieces->split - at : left;
    const size_t wish = random_below(pieces->random, pieces->max + 1);
    return MIN(wish, left);
}
static size_t room_of(const struct pieces *pieces, size_t most)
{
    if (pieces->max == 0) return most;
    return CODEC_ROOM_MIN + random_below(pieces->random, pieces->max + 1);
}

static size_t encode_pieces(const struct pieces *pieces, const char *src, size_t len, char *dst,
                            size_t line)
{
    struct codec_base64_encoder encoder;
    size_t taken = 0, written = 0;
    codec_base64_encoder_init(&encoder, line);
    while (taken < len) {
        const size_t piece = piece_of(pieces, taken, len - taken);
        const size_t cap = room_of(pieces, codec_base64_encoded_len(len, line) + 8);
        char *from = prop_guarded_end(2, piece), *to = prop_guarded_end(3, cap);
        memcpy(from, src + taken, piece);
        const struct codec_progress done =
            codec_base64_encoder_feed(&encoder, from, piece, to, cap);
        CHECK(done.taken <= piece && done.written <= cap);
        CHECK(done.taken == piece || cap - done.written < CODEC_ROOM_MIN);
        prop_guarded_check(3);
        memcpy(dst + written, to, done.written);
        taken += done.taken;
        written += done.written;
    }
    char last[CODEC_ROOM_MIN];
    const size_t rest = codec_base64_encoder_finish(&encoder, last);
    memcpy(dst + written, last, rest);
    return written + rest;
}

static struct codec_result decode_pieces(const struct pieces *pieces, const char *src, size_t len,
                                         char *dst, enum codec_base64_mode mode)
{
    struct codec_base64_decoder decoder;
    size_t taken = 0, written = 0;
    codec_base64_decoder_init(&decoder, mode);
    while (taken < len) {
        const size_t piece = piece_of(pieces, taken, len - taken);
        const size_t cap = room_of(pieces, codec_base64_decoded_max(len));
        char *from = prop_guarded_end(2, piece), *to = prop_guarded_end(3, cap);
        memcpy(from, src + taken, piece);
        const struct codec_progress done =
            codec_base64_decoder_feed(&decoder, from, piece, to, cap);
        CHECK(done.taken <= piece && done.written <= cap);
        CHECK(done.taken == piece || cap - done.written < CODEC_ROOM_MIN);
        prop_guarded_check(3);
        memcpy(dst + written, to, done.written);
        taken += done.taken;
        written += done.written;
    }
    CHECK_EQUAL(decoder.offset, len);
    char last[CODEC_ROOM_MIN];
    const size_t rest = codec_base64_decoder_finish(&decoder, last);
    memcpy(dst + written, last, rest);
    return (struct codec_result){written + rest, decoder.error};
}

static void check_encode_stream(enum simd_level level, const struct pieces *pieces,
                                const char *data, size_t len, size_t line)
{
    static char wanted[2 * LONG_MAX], got[2 * LONG_MAX];
    CHECK(simd_select(SIMD_SCALAR));
    const size_t room = codec_base64_encode_lines(data, len, wanted, line);
    select_kernels(level);
    CHECK_EQUAL(encode_pieces(pieces, data, len, got, line), room);
    CHECK_SAME(wanted, got, room);
}

static void check_decode_stream(enum simd_level level, const struct pieces *pieces,
                                const char *text, size_t len, enum codec_base64_mode mode)
{
    static char wanted[TEXT_MAX], got[TEXT_MAX];
    CHECK(simd_select(SIMD_SCALAR));
    const struct codec_result a = codec_base64_decode(text, len, wanted, mode);
    select_kernels(level);
    const struct codec_result b = decode_pieces(pieces, text, len, got, mode);
    CHECK_EQUAL(a.written, b.written);
    CHECK_EQUAL(a.error, b.error);
    CHECK_SAME(wanted, got, a.written);
}

static void test_encode_streams(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    random_init(&random, 8);
    for (unsigned i = 0; i < ARRAY_COUNT(lines); i++) {
        fill_octets(&random, data, sizeof(data));
        for (size_t len = 0; len <= LEN_MAX; len += 1 + random_below(&random, 60)) {
            for (size_t split = 0; split <= len; split++) {
                const struct pieces pieces = {&random, split, 0};
                check_encode_stream(level, &pieces, data, len, lines[i]);
            }
        }
        for (size_t max = 1; max < 3000; max = max * 3 + 1) {
            const struct pieces pieces = {&random, 0, max};
            check_encode_stream(level, &pieces, data, MIN(max * 40, sizeof(data)), lines[i]);
        }
    }
}

static void test_decode_streams(enum simd_level level)
{
    static char text[TEXT_MAX];
    struct random random;
    random_init(&random, 9);
    for (unsigned layout = 0; layout < LAYOUTS; layout++) {
        for (unsigned round = 0; round < 12; round++) {
            const enum codec_base64_mode mode = modes[round % ARRAY_COUNT(modes)];
            size_t len = make_text(&random, layout, random_below(&random, LEN_MAX), text);
            if (round > 8 && len > 0) text[random_below(&random, len)] = "=*\n"[round % 3];
            for (size_t split = 0; split <= len; split++) {
                const struct pieces pieces = {&random, split, 0};
                check_decode_stream(level, &pieces, text, len, mode);
            }
            for (size_t max = 1; max < 3000; max = max * 3 + 1) {
                const struct pieces pieces = {&random, 0, max};
                len = make_text(&random, layout, MIN(max * 40, (size_t)LONG_MAX), text);
                check_decode_stream(level, &pieces, text, len, mode);
            }
        }
    }
}

/* Lines of 76 of which each twentieth has a space in it: tests/cross/test_base64_linear.py counts
 * the instructions, with AVX-512 emulated. */
static void decode_broken_lines(enum simd_level level, size_t count)
{
    enum { LINE = CODEC_BASE64_LINE + 2, COUNT_MAX = 1600 };
    static char text[COUNT_MAX * LINE], octets[COUNT_MAX * LINE];
    CHECK(count <= COUNT_MAX && simd_select(level));
    memset(text, 'A', count * LINE);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * LINE + CODEC_BASE64_LINE, "\r\n", 2);
        if (i % 20 == 7) memset(text + i * LINE + 30, ' ', 4);
    }
    const struct codec_result result =
        codec_base64_decode(text, count * LINE, octets, CODEC_BASE64_STRICT);
    CHECK_EQUAL(result.error, CODEC_NO_ERROR);
    CHECK_EQUAL(result.written, count * 57 - (count + 12) / 20 * 3);
}
static void test_broken_lines(enum simd_level level)
{
    decode_broken_lines(level, 800);
}
static void test_twice_the_broken_lines(enum simd_level level)
{
    decode_broken_lines(level, 1600);
}

static const struct prop_test tests[] = {
    {"model_encode", test_model_encode, .once = true},
    {"model_decode", test_model_decode, .once = true},
    {"encode", test_encode},
    {"encode_long", test_encode_long},
    {"decode", test_decode},
    {"errors", test_errors},
    {"all_octets", test_all_octets},
    {"alignment", test_alignment},
    {"distances", test_distances},
    {"encode_streams", test_encode_streams},
    {"decode_streams", test_decode_streams},
    {"broken_lines", test_broken_lines},
    {"twice_the_broken_lines", test_twice_the_broken_lines},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
