/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_uuencode - every kernel gives what the scalar one gives, and that one what a naive model
 * gives
 *
 * Texts are what the encoder writes, with either line end, with spaces for "`", with trailing
 * spaces lost, cut, and with single octets changed; whole, in place, and in pieces of any size.
 */
#include "prop.h"
#include "ringpost/codec/uuencode.h"

enum { LEN_MAX = 600, TEXT_MAX = 1200, KINDS = 5 };

/* ---- the model: bits, and whole lines at once
 * ---------------------------------------------------- */

static size_t model_encode(const unsigned char *src, size_t len, char *dst)
{
    size_t written = 0;
    for (size_t at = 0; at <= len; at += 45) {
        const size_t n = MIN(len - at, (size_t)45);
        if (n == 0) break;
        dst[written++] = (char)(32 + n);
        for (size_t bit = 0; bit < (n + 2) / 3 * 24; bit += 6) {
            unsigned value = 0;
            for (size_t i = bit; i < bit + 6; i++)
                value = value << 1 | (i < 8 * n && src[at + i / 8] >> (7 - i % 8) & 1);
            dst[written++] = value == 0 ? '`' : (char)(32 + value);
        }
        memcpy(dst + written, "\r\n", 2);
        written += 2;
    }
    memcpy(dst + written, "`\r\n", 3);
    return written + 3;
}

struct model {
    unsigned char out[TEXT_MAX];
    size_t written, taken;
    uint64_t error;
};

static bool is_end_line(const char *line, size_t len)
{
    size_t at = 3;
    while (at < len && strchr(" \t\r", line[at]) != NULL && line[at] != '\0')
        at += 1;
    return len >= 3 && memcmp(line, "end", 3) == 0 && at == len;
}

/* Octets of a line with len characters behind its length, of which n are wanted. */
static void model_line(struct model *model, const char *characters, size_t len, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned value = 0;
        for (size_t bit = 8 * i; bit < 8 * i + 8; bit++) {
            const unsigned c = bit / 6 < len ? (unsigned)(characters[bit / 6] - ' ') & 63 : 0;
            value = value << 1 | (c >> (5 - bit % 6) & 1);
        }
        model->out[model->written++] = (unsigned char)value;
    }
}

/* The first octet of a line, len long with its line end, that may not be there; len: none. */
static size_t model_wrong(const char *line, size_t len, bool whole)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)line[i];
        if (c == '\n' && i + 1 == len) continue;
        if (c == '\r' && i + 2 == len && whole) continue;
        if (c == '\r' && i + 1 == len && !whole) continue; /* its LF may have been cut off */
        if (c < 32 || c > 96) return i;
    }
    return len;
}

static void model_decode(struct model *model, const char *src, size_t len)
{
    *model = (struct model){.error = CODEC_NO_ERROR};
    size_t at = 0;
    for (bool closed = false;;) {
        const char *lf = at < len ? memchr(src + at, '\n', len - at) : NULL;
        const size_t next = lf != NULL ? (size_t)(lf - src) + 1 : len;
        const size_t content = next - at - (lf != NULL);
        const bool is_end = is_end_line(src + at, content);
        if (is_end) model->taken = next;
        if (closed || is_end) return;
        model->error = len;
        if (at == len) return;
        if (src[at] == 'e' &&
            (lf != NULL || content > 3 || memcmp(src + at, "end", content) != 0)) {
            model->error = at;
            return;
        }
        if (src[at] == 'e') return;
        const size_t wrong = model_wrong(src + at, next - at, lf != NULL);
        const bool length = src[at] != '\r' && src[at] != '\n';
        const size_t n = length ? (size_t)(src[at] - ' ') & 63 : 0;
        size_t characters = MIN(wrong, content - (length || content > 0));
        if (length && wrong > 0) characters = MIN(wrong, content) - 1;
        if (length && characters > 0 && src[at + characters] == '\r') characters -= 1;
        const bool bad = wrong < next - at, cut = lf == NULL;
        if (n > 0 && !bad && !cut && model->written + n > next) { /* more than was read */
            model_line(model, src + at + 1, characters, MIN(n, characters * 6 / 8));
            model->error = next - 1;
            return;
        }
        if (wrong > 0 && n > 0) {
            model_line(model, src + at + 1, characters,
                       bad || cut ? MIN(n, characters * 6 / 8) : n);
        }
        if (bad) {
            model->error = at + wrong;
            return;
        }
        closed = n == 0;
        if (cut && !closed) return;
        model->error = CODEC_NO_ERROR;
        model->taken = at = next;
    }
}

/* ---- texts
 * ---------------------------------------------------------------------------------------- */

static void random_octets(struct random *random, unsigned char *dst, size_t len)
{
    const bool zeros = random_below(random, 3) == 0;
    for (size_t i = 0; i < len; i++)
        dst[i] = zeros && random_below(random, 8) ? 0 : (unsigned char)random_u64(random);
}

/* LF for CRLF; space for "`"; trailing spaces lost. */
static size_t rewrite(struct random *random, const char *src, size_t len, char *dst)
{
    const bool lf = random_below(random, 2), spaces = random_below(random, 2);
    const bool lost = spaces && random_below(random, 2), mixed = random_below(random, 4) == 0;
    size_t written = 0;
    for (size_t i = 0; i < len; i++) {
        if (src[i] == '\r' && lost) {
            while (written > 0 && dst[written - 1] == ' ')
                written -= 1;
        }
        if (src[i] == '\r' && (mixed ? random_below(random, 2) : lf)) continue;
        dst[written++] = src[i] == '`' && spaces ? ' ' : src[i];
    }
    return written;
}

static size_t random_text(struct random *random, unsigned kind, char *dst)
{
    static const char octets[] = "\r\n `M#!_end\ta\x1f\x7f\xff";
    unsigned char plain[LEN_MAX];
    char encoded[TEXT_MAX];
    if (kind == 0) { /* nothing like it */
        const size_t len = random_below(random, 200);
        for (size_t i = 0; i < len; i++)
            dst[i] = octets[random_below(random, sizeof(octets))];
        return len;
    }
    const size_t len = random_below(random, LEN_MAX);
    random_octets(random, plain, len);
    size_t n = rewrite(random, encoded, codec_uu_encode(plain, len, encoded), dst);
    if (kind == 2) n = random_below(random, n + 1);
    if (kind >= 2 && random_below(random, 2)) {
        const size_t tail = n;
        n += rewrite(random, "end\r\n", 5, dst + n);
        if (random_below(random, 4) == 0) dst[tail + random_below(random, 3)] = 'x';
    }
    for (unsigned change = 0; kind >= 3 && change < kind - 2 && n > 0; change++) {
        const size_t at = random_below(random, n);
        dst[at] = random_below(random, 2) ? (char)random_u64(random)
                                          : octets[random_below(random, sizeof(octets))];
    }
    return n;
}

/* ---- tests
 * ------------------------------------------------------------------------------------------ */

static void check_model(const char *text, size_t len)
{
    static struct model model;
    unsigned char out[TEXT_MAX];
    size_t taken;
    model_decode(&model, text, len);
    const struct codec_result got = codec_uu_decode(text, len, out, &taken);
    CHECK_EQUAL(got.written, model.written);
    CHECK_SAME(out, model.out, got.written);
    CHECK_EQUAL(got.error, model.error);
    CHECK_EQUAL(taken, model.taken);
}

static void test_model(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 1);
    for (unsigned round = 0; round < 20000; round++) {
        char text[TEXT_MAX];
        check_model(text, random_text(&random, round % KINDS, text));
    }
    for (size_t len = 0; len <= LEN_MAX; len++) {
        unsigned char plain[LEN_MAX];
        char wanted[TEXT_MAX], got[TEXT_MAX];
        random_octets(&random, plain, len);
        const size_t n = codec_uu_encode(plain, len, got);
        CHECK_EQUAL(n, model_encode(plain, len, wanted));
        CHECK(n <= codec_uu_encoded_max(len));
        CHECK_SAME(got, wanted, n);
    }
}

/* All texts of up to 6 of the octets that matter. */
static void test_model_exhaustive(enum simd_level level)
{
    (void)level;
    static const char octets[] = {'\r', '\n', ' ', '`', '#', 'e', 'n', 'd'};
    for (unsigned len = 0; len <= 6; len++) {
        for (unsigned number = 0; number < 1u << (3 * len); number++) {
            char text[6];
            for (unsigned i = 0; i < len; i++)
                text[i] = octets[number >> (3 * i) & 7];
            check_model(text, len);
        }
    }
}

static size_t feed_encoder(struct codec_uu_encoder *encoder, const unsigned char *src, size_t len,
                           char *dst, struct random *random)
{
    size_t taken = 0, written = 0;
    while (taken < len) {
        const size_t cap = random_below(random, 2 * CODEC_ROOM_MIN);
        char *room = prop_guarded_end(2, cap);
        const struct codec_progress done =
            codec_uu_encoder_feed(encoder, src + taken, len - taken, room, cap);
        CHECK(done.taken <= len - taken && done.written <= cap);
        CHECK(taken + done.taken == len || cap - done.written < CODEC_ROOM_MIN);
        CHECK(done.taken > 0 || cap < CODEC_ROOM_MIN);
        memcpy(dst + written, room, done.written);
        prop_guarded_check(2);
        taken += done.taken;
        written += done.written;
    }
    return written;
}

static void check_encode_pieces(const unsigned char *src, size_t len, size_t split,
                                const char *wanted, size_t wanted_len, struct random *random)
{
    char got[TEXT_MAX];
    struct codec_uu_encoder encoder;
    codec_uu_encoder_init(&encoder);
    size_t n = feed_encoder(&encoder, src, split, got, random);
    n += feed_encoder(&encoder, src + split, len - split, got + n, random);
    char *room = prop_guarded_end(2, CODEC_ROOM_MIN);
    const size_t last = codec_uu_encoder_finish(&encoder, room);
    memcpy(got + n, room, last);
    CHECK_EQUAL(n + last, wanted_len);
    CHECK_SAME(got, wanted, wanted_len);
}

static void test_encode(enum simd_level level)
{
    struct random random;
    random_init(&random, 2);
    for (size_t len = 0; len <= LEN_MAX; len++) {
        unsigned char plain[LEN_MAX];
        char wanted[TEXT_MAX];
        random_octets(&random, plain, len);
        CHECK(simd_select(SIMD_SCALAR));
        const size_t n = codec_uu_encode(plain, len, wanted);
        CHECK(simd_select(level));
        for (int at_end = 0; at_end < 2; at_end++) {
            char *src = at_end ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
            char *dst = at_end ? prop_guarded_end(1, n) : prop_guarded_start(1, n);
            memcpy(src, plain, len);
            CHECK_EQUAL(codec_uu_encode(src, len, dst), n);
            CHECK_SAME(dst, wanted, n);
            prop_guarded_check(1);
        }
        for (size_t split = 0; split <= len && len <= 300; split++)
            check_encode_pieces(plain, len, split, wanted, n, &random);
    }
}

struct outcome {
    unsigned char out[TEXT_MAX];
    struct codec_result result;
    size_t taken;
};

static void check_decode_whole(const char *text, size_t len, const struct outcome *wanted)
{
    for (int how = 0; how < 4; how++) {
        const bool at_end = how & 1, in_place = how & 2;
        char *src = at_end ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
        char *dst = src;
        if (!in_place) dst = at_end ? prop_guarded_end(1, len) : prop_guarded_start(1, len);
        memcpy(src, text, len);
        size_t taken;
        const struct codec_result got = codec_uu_decode(src, len, dst, &taken);
        CHECK_EQUAL(got.written, wanted->result.written);
        CHECK_SAME(dst, wanted->out, got.written);
        CHECK_EQUAL(got.error, wanted->result.error);
        CHECK_EQUAL(taken, wanted->taken);
        if (!in_place) CHECK_SAME(src, text, len);
        prop_guarded_check(in_place ? 0 : 1);
    }
}

static void check_decode_pieces(const char *text, size_t len, size_t split, size_t piece_max,
                                const struct outcome *wanted, struct random *random)
{
    unsigned char out[TEXT_MAX];
    struct codec_uu_decoder decoder;
    size_t taken = 0, written = 0;
    codec_uu_decoder_init(&decoder);
    while (taken < len) {
        const size_t wish = random_below(random, piece_max) + 1;
        const size_t piece = MIN((taken < split ? split : len) - taken, wish);
        const size_t cap = random_below(random, 2 * CODEC_ROOM_MIN);
        char *src = prop_guarded_end(0, piece), *dst = prop_guarded_end(2, cap);
        memcpy(src, text + taken, piece);
        const struct codec_progress done = codec_uu_decoder_feed(&decoder, src, piece, dst, cap);
        CHECK(done.taken == piece || cap - done.written < CODEC_ROOM_MIN);
        CHECK(done.taken > 0 || cap < CODEC_ROOM_MIN);
        prop_guarded_check(2);
        memcpy(out + written, dst, done.written);
        taken += done.taken;
        written += done.written;
    }
    codec_uu_decoder_finish(&decoder);
    CHECK_EQUAL(decoder.error, wanted->result.error);
    CHECK_EQUAL(codec_uu_decoder_ended(&decoder), wanted->result.error == CODEC_NO_ERROR);
    CHECK_EQUAL(decoder.end, wanted->taken);
    CHECK_EQUAL(decoder.offset, len);
    CHECK_EQUAL(written, wanted->result.written);
    CHECK_SAME(out, wanted->out, written);
}

static void test_decode(enum simd_level level)
{
    struct random random;
    static struct outcome wanted;
    random_init(&random, 3);
    for (unsigned round = 0; round < 1500; round++) {
        char text[TEXT_MAX];
        const size_t len = random_text(&random, round % KINDS, text);
        CHECK(simd_select(SIMD_SCALAR));
        wanted.result = codec_uu_decode(text, len, wanted.out, &wanted.taken);
        CHECK(simd_select(level));
        check_decode_whole(text, len, &wanted);
        for (unsigned pieces = 0; pieces < 3; pieces++) {
            const size_t piece_max = 1 + random_below(&random, pieces % 2 ? 8 : TEXT_MAX);
            check_decode_pieces(text, len, random_below(&random, len + 1), piece_max, &wanted,
                                &random);
        }
    }
}

/* Every split in two, of a text with some full lines. */
static void test_split(enum simd_level level)
{
    struct random random;
    static struct outcome wanted;
    random_init(&random, 4);
    for (unsigned round = 0; round < 16; round++) {
        char text[TEXT_MAX];
        const size_t len = random_text(&random, 1 + round % (KINDS - 1), text);
        CHECK(simd_select(SIMD_SCALAR));
        wanted.result = codec_uu_decode(text, len, wanted.out, &wanted.taken);
        CHECK(simd_select(level));
        for (size_t split = 0; split <= len; split++)
            check_decode_pieces(text, len, split, len + 1, &wanted, &random);
    }
}

/* One octet of a text of ten full lines is anything: each place, each value. */
static void test_each_octet(enum simd_level level)
{
    struct random random;
    static struct outcome wanted;
    random_init(&random, 5);
    for (int lf = 0; lf < 2; lf++) {
        unsigned char plain[450];
        char crlf[TEXT_MAX], text[TEXT_MAX];
        size_t len = 0;
        random_octets(&random, plain, sizeof(plain));
        const size_t n = codec_uu_encode(plain, sizeof(plain), crlf);
        for (size_t i = 0; i < n; i++) {
            if (!lf || crlf[i] != '\r') text[len++] = crlf[i];
        }
        for (size_t at = 0; at < 5 * 63; at++) {
            const char was = text[at];
            for (unsigned value = 0; value < 256; value += value % 32 == 0 || value > 94 ? 1 : 7) {
                unsigned char got[TEXT_MAX];
                size_t taken;
                text[at] = (char)value;
                CHECK(simd_select(SIMD_SCALAR));
                wanted.result = codec_uu_decode(text, len, wanted.out, &wanted.taken);
                CHECK(simd_select(level));
                const struct codec_result result = codec_uu_decode(text, len, got, &taken);
                CHECK_EQUAL(result.error, wanted.result.error);
                CHECK_EQUAL(result.written, wanted.result.written);
                CHECK_EQUAL(taken, wanted.taken);
                CHECK_SAME(got, wanted.out, result.written);
            }
            text[at] = was;
        }
    }
}

static void test_alignment(enum simd_level level)
{
    struct random random;
    static _Alignas(64) unsigned char plain[LEN_MAX + 64], back[TEXT_MAX + 64];
    static _Alignas(64) char text[TEXT_MAX + 64], wanted[TEXT_MAX];
    random_init(&random, 6);
    for (size_t from = 0; from < 64; from++) {
        for (size_t to = 0; to < 64; to++) {
            const size_t len = random_below(&random, LEN_MAX + 1);
            random_octets(&random, plain + from, len);
            CHECK(simd_select(SIMD_SCALAR));
            const size_t n = codec_uu_encode(plain + from, len, wanted);
            CHECK(simd_select(level));
            CHECK_EQUAL(codec_uu_encode(plain + from, len, text + to), n);
            CHECK_SAME(text + to, wanted, n);
            size_t taken;
            const struct codec_result result = codec_uu_decode(text + to, n, back + from, &taken);
            CHECK_EQUAL(result.error, CODEC_NO_ERROR);
            CHECK_EQUAL(result.written, len);
            CHECK_EQUAL(taken, n);
            CHECK_SAME(back + from, plain + from, len);
        }
    }
}

static const struct prop_test tests[] = {
    {"model", test_model, .once = true},
    {"model_exhaustive", test_model_exhaustive, .once = true},
    {"encode", test_encode},
    {"decode", test_decode},
    {"split", test_split},
    {"each_octet", test_each_octet},
    {"alignment", test_alignment},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
