/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_qp - quoted-printable: every kernel against scalar, scalar against models written apart
 */
#include "prop.h"
#include "ringpost/codec/quoted_printable.h"
#include <stdio.h>
#include <stdlib.h>

enum { LEN_MAX = 300, LONG_MAX = 3000, OUT_MAX = LONG_MAX * 4 + 1024, FLAGS = 8, KINDS = 9 };

/* ---- inputs ------------------------------------------------------------------------------------
 */

static char pick(struct random *random, const char *octets, size_t count)
{
    return octets[random_below(random, count)];
}

static char fill_one(struct random *random, unsigned kind, size_t at)
{
    switch (kind) {
    case 0: /* anything */
        return (char)random_u64(random);
    case 1: /* what matters, dense */
        return pick(random, "= \t\r\n4Fa.F\x80", 11);
    case 2: /* prose, with ends of lines */
        if (at % 61 == 59) return '\r';
        if (at % 61 == 60) return '\n';
        return pick(random, "etaoinshrdlu From.", 18);
    case 3: /* Latin: few escapes */
        return random_below(random, 12) ? pick(random, "abc d", 5) : (char)(0xc3 + at % 2);
    case 4: /* Cyrillic: mostly escapes */
        return random_below(random, 6) ? (char)(0xd0 + at % 7) : ' ';
    case 5: /* no line ends at all */
        return 'x';
    case 6: /* lines end anyhow */
        return random_below(random, 20) ? 'x' : pick(random, "\r\n\r\n \t=", 7);
    case 7: /* white space */
        return random_below(random, 40) ? pick(random, " \t", 2) : pick(random, "\r\n=x", 4);
    default: /* "From " and dots wherever a line may begin */
        return "From .From F..From"[(at + random_below(random, 50) / 49) % 18];
    }
}

static void fill(struct random *random, unsigned kind, char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = fill_one(random, kind, i);
    if (kind == 6) { /* CRLF more often than by chance */
        for (size_t i = 0; i + 1 < len; i++) {
            if (data[i] == '\r' && random_below(random, 8)) data[i + 1] = '\n';
        }
    }
}

/* Lines about as long as a strict one may be, with whatever at their ends. */
static void fill_lines(struct random *random, char *data, size_t len)
{
    static const char *const ends[] = {"\r\n",    "\r\n",     "=\r\n", "=\r\n",
                                       "=41\r\n", "=41=\r\n", " \r\n", "\n"};
    size_t column = 0, width = 70;
    for (size_t at = 0; at < len;) {
        const char *piece = random_below(random, 6) ? "x" : random_below(random, 8) ? "=4A" : " x";
        if (column >= width) piece = ends[random_below(random, random_below(random, 4) ? 4 : 8)];
        const size_t n = MIN(strlen(piece), len - at);
        memcpy(data + at, piece, n);
        at += n;
        column += n;
        if (piece[n - 1] != '\n') continue;
        column = 0;
        width = 68 + random_below(random, 9) + (random_below(random, 20) == 0) * 3;
    }
}

/* Mostly well-formed text of at most len octets; returns its length. */
static size_t fill_encoded(struct random *random, unsigned kind, char *data, size_t len)
{
    static char plain[LONG_MAX], encoded[OUT_MAX];
    const unsigned flags = (unsigned)random_below(random, FLAGS);
    if (kind == 5) {
        fill_lines(random, data, len);
        return len;
    }
    fill(random, kind, plain, len);
    const size_t cut = MIN(codec_qp_encode(plain, len, encoded, flags), len);
    memcpy(data, encoded, cut);
    for (uint64_t n = random_below(random, 4); n > 0 && cut > 0; n--)
        data[random_below(random, cut)] = pick(random, "= \t\r\n4Fa\x80~\x7f", 11);
    return cut;
}

/* ---- models ------------------------------------------------------------------------------------
 */

struct model {
    size_t len;
    uint64_t error;
    char out[OUT_MAX];
};
static void model_put(struct model *model, const char *octets, size_t count)
{
    CHECK(model->len + count <= OUT_MAX);
    memcpy(model->out + model->len, octets, count);
    model->len += count;
}

static bool model_is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* A line of the source, without its end: a form an octet, then lines as long as they can be. */
static void model_encode_line(struct model *model, const char *line, size_t len, unsigned flags)
{
    size_t column = 0;
    for (size_t i = 0; i < len; i++) {
        char form[4], escaped[4];
        const unsigned char c = (unsigned char)line[i];
        const bool last = i + 1 == len;
        snprintf(escaped, sizeof(escaped), "=%02X", c);
        for (int again = 0; again < 2; again++) {
            const bool from = column == 0 && flags & CODEC_QP_ESCAPE_FROM && len - i >= 5 &&
                              memcmp(line + i, "From ", 5) == 0;
            const bool dot = column == 0 && flags & CODEC_QP_ESCAPE_DOT && c == '.';
            const bool space = c == ' ' || c == '\t';
            const bool plain = space ? !last : c > 32 && c < 127 && c != '=' && !from && !dot;
            snprintf(form, sizeof(form), "%.*s", plain ? 0 : 3, escaped);
            if (plain) form[0] = (char)c, form[1] = '\0';
            if (column + strlen(form) <= (last ? 76 : 75)) break;
            model_put(model, "=\r\n", 3);
            column = 0;
        }
        model_put(model, form, strlen(form));
        column += strlen(form);
    }
}

static void model_encode(struct model *model, const char *src, size_t len, unsigned flags)
{
    size_t from = 0;
    model->len = 0;
    for (size_t i = 0; i + 1 < len && !(flags & CODEC_QP_BINARY); i++) {
        if (src[i] != '\r' || src[i + 1] != '\n') continue;
        model_encode_line(model, src + from, i - from, flags);
        model_put(model, "\r\n", 2);
        from = i + 2;
        i += 1;
    }
    model_encode_line(model, src + from, len - from, flags);
}

static int model_digit(char c, bool strict)
{
    const char *all = strict ? "0123456789ABCDEF" : "0123456789ABCDEFabcdef";
    const char *at = c != '\0' ? strchr(all, c) : NULL;
    return at == NULL ? -1 : (int)(at - all) - (at - all > 15 ? 6 : 0);
}

/* Escapes of a line from which white space at its end was taken; "=" at its end stays. */
static void model_decode_line(struct model *model, const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = line[i];
        if (c == '=' && i + 2 < len && model_digit(line[i + 1], false) >= 0 &&
            model_digit(line[i + 2], false) >= 0) {
            c = (char)(model_digit(line[i + 1], false) * 16 + model_digit(line[i + 2], false));
            i += 2;
        }
        model_put(model, &c, 1);
    }
}

static void model_lenient(struct model *model, const char *src, size_t len)
{
    model->len = 0;
    model->error = CODEC_NO_ERROR;
    for (size_t from = 0; from <= len;) {
        size_t to = from;
        while (to < len && src[to] != '\r' && src[to] != '\n')
            to += 1;
        size_t end = to;
        while (end > from && model_is_space(src[end - 1]) && to - end < CODEC_QP_SPACE_MAX)
            end -= 1;
        const size_t ending = to == len                                                ? 0
                              : src[to] == '\r' && to + 1 < len && src[to + 1] == '\n' ? 2
                                                                                       : 1;
        const bool soft =
            end > from && src[end - 1] == '=' && to < len && (ending == 2 || src[to] == '\n');
        model_decode_line(model, src + from, end - from - soft);
        if (!soft) model_put(model, src + to, ending);
        if (to == len) return;
        from = to + ending;
    }
}

/* Where the token begins that the line's first n octets (valid so far) leave open; n if none. */
static size_t model_open(const char *line, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t to = at + 1;
        if (line[at] == '=' && n - at >= 3 && model_digit(line[at + 1], true) >= 0) {
            to = at + 3;
        } else if (line[at] == '=') {
            return at;
        } else if (model_is_space(line[at])) {
            while (to < n && model_is_space(line[to]))
                to += 1;
            if (to == n) return at;
        }
        at = to;
    }
    return n;
}

static bool model_may_follow(const char *line, size_t n, char c)
{
    const size_t open = model_open(line, n);
    const bool after_equals = open < n && line[open] == '=';
    if (c == '\n') return n > 0 && line[n - 1] == '\r';
    if (n > 0 && line[n - 1] == '\r') return false;
    if (after_equals && n - open == 2 && !model_is_space(line[n - 1])) /* "=4" */
        return n < 76 && model_digit(c, true) >= 0;
    if (c == '\r') return open == n || after_equals;
    if (n >= 76) return false;
    if (after_equals && n - open == 1) return model_is_space(c) || model_digit(c, true) >= 0;
    if (after_equals) return model_is_space(c);
    return (c >= 32 && c <= 126) || c == '\t';
}

static void model_strict(struct model *model, const char *src, size_t len)
{
    size_t from = 0, at = 0;
    model->error = CODEC_NO_ERROR;
    for (; at < len && model_may_follow(src + from, at - from, src[at]); at++) {
        if (src[at] == '\n') from = at + 1;
    }
    size_t settled = from + model_open(src + from, at - from);
    if (at < len || settled < at || (at > 0 && src[at - 1] == '\r')) model->error = at;
    const uint64_t error = model->error;
    /* White space before a wrong octet does not end the line. */
    if (at < len && model_is_space(src[settled]) && !model_is_space(src[at]) && src[at] != '\r' &&
        src[at] != '\n') {
        settled = at;
    }
    /* What is valid means the same to a lenient decoder, if more of the line follows. */
    static char prefix[OUT_MAX];
    memcpy(prefix, src, settled);
    prefix[settled] = 'x';
    model_lenient(model, prefix, settled + 1);
    model->len -= 1;
    model->error = error;
}

static void check_decode_model(const char *src, size_t len)
{
    static struct model model;
    static char dst[OUT_MAX];
    for (int mode = CODEC_QP_STRICT; mode <= CODEC_QP_LENIENT; mode++) {
        if (mode == CODEC_QP_STRICT) model_strict(&model, src, len);
        if (mode == CODEC_QP_LENIENT) model_lenient(&model, src, len);
        const struct codec_result got = codec_qp_decode(src, len, dst, (enum codec_qp_mode)mode);
        CHECK_EQUAL(got.error, model.error);
        CHECK_EQUAL(got.written, model.len);
        CHECK_SAME(dst, model.out, model.len);
    }
}

static void check_encode_model(const char *src, size_t len)
{
    static struct model model;
    static char dst[OUT_MAX], back[OUT_MAX];
    for (unsigned flags = 0; flags < FLAGS; flags++) {
        model_encode(&model, src, len, flags);
        const size_t got = codec_qp_encode(src, len, dst, flags);
        CHECK_EQUAL(got, model.len);
        CHECK_SAME(dst, model.out, got);
        CHECK(got + CODEC_ROOM_MIN <= codec_qp_encoded_max(len));
        const struct codec_result result = codec_qp_decode(dst, got, back, CODEC_QP_STRICT);
        CHECK_EQUAL(result.error, CODEC_NO_ERROR);
        CHECK_EQUAL(result.written, len);
        CHECK_SAME(back, src, len);
    }
}

static void test_model(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    (void)level;
    random_init(&random, 1);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned round = 0; round < 600; round++) {
            const size_t len = random_below(&random, round % 2 ? 12 : LEN_MAX);
            fill(&random, kind, data, len);
            check_encode_model(data, len);
            check_decode_model(data, len);
            check_decode_model(data, fill_encoded(&random, kind, data, len));
        }
    }
}

/* All texts of up to 5 octets over those that matter. */
static void test_model_exhaustive(enum simd_level level)
{
    static const char octets[] = {'\r', '\n', '=', ' ', '4', 'a', 'x', '.'};
    (void)level;
    for (unsigned len = 0; len <= 5; len++) {
        for (unsigned number = 0; number < 1u << (3 * len); number++) {
            char data[8];
            for (unsigned i = 0; i < len; i++)
                data[i] = octets[number >> (3 * i) & 7];
            check_decode_model(data, len);
            if (len < 5) check_encode_model(data, len);
        }
    }
}

/* White space up to and beyond what is remembered. */
static void test_model_space(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    (void)level;
    random_init(&random, 2);
    for (size_t run = 1000; run < 1050; run++) {
        static const char *const behind[] = {"\r\n", "\n", "", "x", "=41", "\rx", "=\r\n"};
        for (size_t i = 0; i < 2 * ARRAY_COUNT(behind); i++) {
            const size_t end = strlen(behind[i / 2]);
            data[0] = i % 2 ? '=' : 'a';
            fill(&random, 7, data + 1, run);
            for (size_t at = 1; at <= run; at++)
                if (!model_is_space(data[at])) data[at] = '\t';
            memcpy(data + 1 + run, behind[i / 2], end);
            check_decode_model(data, 1 + run + end);
        }
    }
}

/* ---- kernels -----------------------------------------------------------------------------------
 */

/* Pieces of both sides; returns what was written. */
static size_t decode_pieces(const char *src, size_t len, char *dst, enum codec_qp_mode mode,
                            size_t first, size_t piece, size_t cap, uint64_t *error)
{
    struct codec_qp_decoder decoder;
    size_t taken = 0, written = 0;
    codec_qp_decoder_init(&decoder, mode);
    for (size_t next = first; taken < len; next = piece) {
        char *out = prop_guarded_end(2, cap);
        const size_t end = MIN(len - taken, next);
        const struct codec_progress done =
            codec_qp_decoder_feed(&decoder, src + taken, end, out, cap);
        CHECK(done.taken <= end && done.written <= cap);
        CHECK(done.taken == end || cap - done.written < CODEC_ROOM_MIN);
        memcpy(dst + written, out, done.written);
        taken += done.taken;
        written += done.written;
        CHECK_EQUAL(decoder.error != CODEC_NO_ERROR ? taken : decoder.offset, taken);
    }
    char *out = prop_guarded_end(2, CODEC_ROOM_MIN);
    const size_t last = codec_qp_decoder_finish(&decoder, out);
    memcpy(dst + written, out, last);
    *error = decoder.error;
    return written + last;
}

static void check_decode(enum simd_level level, const char *data, size_t len, struct random *random)
{
    static char wanted[OUT_MAX], got[OUT_MAX];
    for (int number = CODEC_QP_STRICT; number <= CODEC_QP_LENIENT; number++) {
        const enum codec_qp_mode mode = (enum codec_qp_mode)number;
        CHECK(simd_select(SIMD_SCALAR));
        const struct codec_result a = codec_qp_decode(data, len, wanted, mode);
        CHECK(simd_select(level));
        for (int side = 0; side < 4; side++) { /* guards at both ends, of both; in place */
            char *src = side & 1 ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
            char *dst = side & 1 ? prop_guarded_start(1, len) : prop_guarded_end(1, len);
            if (side & 2) dst = src;
            memcpy(src, data, len);
            const struct codec_result b = codec_qp_decode(src, len, dst, mode);
            CHECK_EQUAL(a.error, b.error);
            CHECK_EQUAL(a.written, b.written);
            CHECK_SAME(wanted, dst, a.written);
            prop_guarded_check(0);
            prop_guarded_check(1);
        }
        for (int round = 0; round < 3; round++) {
            const size_t first = random_below(random, len + 1);
            const size_t piece = round == 0 ? len + 1 : 1 + random_below(random, round * 100u);
            const size_t cap = CODEC_ROOM_MIN + random_below(random, 300);
            uint64_t error;
            const size_t written = decode_pieces(data, len, got, mode, first, piece, cap, &error);
            CHECK_EQUAL(a.error, error);
            CHECK_EQUAL(a.written, written);
            CHECK_SAME(wanted, got, written);
        }
    }
}

static size_t encode_pieces(const char *src, size_t len, char *dst, unsigned flags, size_t first,
                            size_t piece, size_t cap)
{
    struct codec_qp_encoder encoder;
    size_t taken = 0, written = 0;
    codec_qp_encoder_init(&encoder, flags);
    for (size_t next = first; taken < len; next = piece) {
        char *out = prop_guarded_end(2, cap);
        const size_t end = MIN(len - taken, next);
        const struct codec_progress done =
            codec_qp_encoder_feed(&encoder, src + taken, end, out, cap);
        CHECK(done.taken <= end && done.written <= cap);
        CHECK(done.taken == end || cap - done.written < CODEC_ROOM_MIN);
        memcpy(dst + written, out, done.written);
        taken += done.taken;
        written += done.written;
    }
    char *out = prop_guarded_end(2, CODEC_ROOM_MIN);
    const size_t last = codec_qp_encoder_finish(&encoder, out);
    memcpy(dst + written, out, last);
    return written + last;
}

static void check_encode(enum simd_level level, const char *data, size_t len, struct random *random)
{
    static char wanted[OUT_MAX], got[OUT_MAX];
    for (unsigned flags = 0; flags < FLAGS; flags++) {
        CHECK(simd_select(SIMD_SCALAR));
        const size_t a = codec_qp_encode(data, len, wanted, flags);
        CHECK(simd_select(level));
        for (int side = 0; side < 2; side++) {
            char *src = side ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
            char *dst = side ? prop_guarded_start(1, codec_qp_encoded_max(len))
                             : prop_guarded_end(1, codec_qp_encoded_max(len));
            memcpy(src, data, len);
            CHECK_EQUAL(codec_qp_encode(src, len, dst, flags), a);
            CHECK_SAME(wanted, dst, a);
            prop_guarded_check(1);
        }
        const size_t first = random_below(random, len + 1);
        const size_t piece = 1 + random_below(random, flags % 2 ? 20 : len + 1);
        const size_t cap = CODEC_ROOM_MIN + random_below(random, 600);
        CHECK_EQUAL(encode_pieces(data, len, got, flags, first, piece, cap), a);
        CHECK_SAME(wanted, got, a);
    }
}

static void test_lengths(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    random_init(&random, 3);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            fill(&random, kind, data, len);
            check_encode(level, data, len, &random);
            check_decode(level, data, len, &random);
            check_decode(level, data, fill_encoded(&random, kind, data, len), &random);
        }
    }
}

static void test_long(enum simd_level level)
{
    static char data[LONG_MAX];
    struct random random;
    random_init(&random, 4);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned round = 0; round < 60; round++) {
            const size_t len = random_below(&random, LONG_MAX + 1);
            fill(&random, kind, data, len);
            check_encode(level, data, len, &random);
            check_decode(level, data, fill_encoded(&random, kind, data, len), &random);
        }
    }
}

/* Every place where the source may be cut in two. */
static void test_splits(enum simd_level level)
{
    static char data[LONG_MAX], wanted[OUT_MAX], got[OUT_MAX];
    struct random random;
    random_init(&random, 5);
    for (unsigned round = 0; round < 2 * KINDS; round++) {
        const unsigned flags = (unsigned)random_below(&random, FLAGS);
        fill(&random, round % KINDS, data, LEN_MAX);
        CHECK(simd_select(SIMD_SCALAR));
        const size_t encoded = codec_qp_encode(data, LEN_MAX, wanted, flags);
        CHECK(simd_select(level));
        for (size_t at = 0; at <= LEN_MAX; at++) {
            const size_t len = encode_pieces(data, LEN_MAX, got, flags, at, LEN_MAX, OUT_MAX);
            CHECK_EQUAL(len, encoded);
            CHECK_SAME(wanted, got, len);
        }
        const enum codec_qp_mode mode = round % 2 ? CODEC_QP_LENIENT : CODEC_QP_STRICT;
        const size_t text = fill_encoded(&random, round % KINDS, data, LEN_MAX);
        CHECK(simd_select(SIMD_SCALAR));
        const struct codec_result result = codec_qp_decode(data, text, wanted, mode);
        CHECK(simd_select(level));
        for (size_t at = 0; at <= text; at++) {
            uint64_t error;
            const size_t len = decode_pieces(data, text, got, mode, at, text + 1, OUT_MAX, &error);
            CHECK_EQUAL(error, result.error);
            CHECK_EQUAL(len, result.written);
            CHECK_SAME(wanted, got, len);
        }
    }
}

static void test_alignment(enum simd_level level)
{
    static _Alignas(64) char src[LONG_MAX + 64], dst[OUT_MAX + 64];
    static char wanted[OUT_MAX];
    struct random random;
    random_init(&random, 6);
    for (unsigned from = 0; from < 64; from++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            const size_t to = random_below(&random, 64), len = random_below(&random, 600);
            const size_t text = fill_encoded(&random, kind, src + from, len);
            CHECK(simd_select(SIMD_SCALAR));
            const struct codec_result a =
                codec_qp_decode(src + from, text, wanted, CODEC_QP_LENIENT);
            CHECK(simd_select(level));
            const struct codec_result b =
                codec_qp_decode(src + from, text, dst + to, CODEC_QP_LENIENT);
            CHECK_EQUAL(a.written, b.written);
            CHECK_SAME(wanted, dst + to, a.written);
            fill(&random, kind, src + from, len);
            CHECK(simd_select(SIMD_SCALAR));
            const size_t encoded = codec_qp_encode(src + from, len, wanted, kind % FLAGS);
            CHECK(simd_select(level));
            CHECK_EQUAL(codec_qp_encode(src + from, len, dst + to, kind % FLAGS), encoded);
            CHECK_SAME(wanted, dst + to, encoded);
        }
    }
}

static const struct prop_test tests[] = {
    {"model", test_model, .once = true},
    {"model_exhaustive", test_model_exhaustive, .once = true},
    {"model_space", test_model_space, .once = true},
    {"lengths", test_lengths},
    {"long", test_long},
    {"splits", test_splits},
    {"alignment", test_alignment},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
