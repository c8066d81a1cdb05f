/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_dkim - canonical bodies: each kernel gives what the scalar one gives, at every split and in
 * every room, and that one what a naive model gives
 */
#include "prop.h"
#include "ringpost/codec/dkim.h"

enum { LEN_MAX = 1500, OUT_MAX = LEN_MAX + 2, ROUNDS = 1500 };

static const struct bytes alphabets[] = {
    {"\r\n", 2},         {"\r\n a", 4},
    {" \t\r\n", 4},      {" \tab", 4},
    {" a", 2},           {"\r\n\t aaaaaaaaaaaaaaaaaaaaaaa", 27},
    {" aaaaaaaaaa", 11}, {"\r\n \xff\n\r.", 7},
};
enum { ALPHABETS = 8, KINDS = ALPHABETS + 2 };

/* Kinds behind the alphabets: lines of text, and lines of text with some white space too much. */
static void fill(struct random *random, unsigned kind, char *data, size_t len)
{
    size_t left = 0;
    for (size_t i = 0; i < len; i++) {
        if (kind < ALPHABETS) {
            data[i] = alphabets[kind].data[random_below(random, alphabets[kind].len)];
            continue;
        }
        if (left == 0) left = random_below(random, 100) + 2;
        data[i] = left == 2 ? '\r' : left == 1 ? '\n' : i % 7 == 3 ? ' ' : 'x';
        if (kind > ALPHABETS && left > 2 && random_below(random, 40) == 0) {
            data[i] = random_below(random, 2) ? ' ' : '\t';
        }
        left -= 1;
    }
}

/* ---- the model: line after line ----------------------------------------------------------------
 */

static size_t model_line(const char *line, size_t len, char *out)
{
    size_t written = 0;
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len -= 1;
    for (size_t i = 0; i < len; i++) {
        const bool wsp = line[i] == ' ' || line[i] == '\t';
        if (wsp && written > 0 && out[written - 1] == ' ') continue;
        out[written++] = (char)(wsp ? ' ' : line[i]);
    }
    return written;
}

static size_t model(const char *src, size_t len, char *out, enum codec_dkim_mode mode)
{
    size_t written = 0, counted = 0; /* with, and without empty lines at the end */
    while (len > 0) {
        const char *end = memmem(src, len, "\r\n", 2);
        const size_t line = end != NULL ? (size_t)(end - src) : len;
        size_t n = line;
        if (mode == CODEC_DKIM_RELAXED) {
            n = model_line(src, line, out + written);
        } else {
            memcpy(out + written, src, line);
        }
        memcpy(out + written + n, "\r\n", 2);
        written += n + 2;
        if (n > 0) counted = written;
        src += line + (end != NULL ? 2 : 0);
        len -= line + (end != NULL ? 2 : 0);
    }
    if (counted > 0 || mode == CODEC_DKIM_RELAXED) return counted;
    memcpy(out, "\r\n", 2);
    return 2;
}

static void check_model(const char *src, size_t len)
{
    char wanted[OUT_MAX + 2], got[OUT_MAX];
    for (int mode = CODEC_DKIM_SIMPLE; mode <= CODEC_DKIM_RELAXED; mode++) {
        const size_t wanted_len = model(src, len, wanted, (enum codec_dkim_mode)mode);
        CHECK_EQUAL(codec_dkim_canonical(src, len, got, (enum codec_dkim_mode)mode), wanted_len);
        CHECK_SAME(got, wanted, wanted_len);
    }
}

static void test_model(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 21);
    for (unsigned round = 0; round < ROUNDS * KINDS; round++) {
        char src[LEN_MAX];
        const size_t len = random_below(&random, round % 3 ? 20 : LEN_MAX + 1);
        fill(&random, round % KINDS, src, len);
        check_model(src, len);
    }
}

/* All texts of up to 7 octets over the octets that matter. */
static void test_model_exhaustive(enum simd_level level)
{
    (void)level;
    static const char octets[] = {'\r', '\n', ' ', '\t', 'a'};
    for (unsigned len = 0, count = 1; len <= 7; len++, count *= 5) {
        for (unsigned number = 0; number < count; number++) {
            char src[8];
            for (unsigned i = 0, rest = number; i < len; i++, rest /= 5)
                src[i] = octets[rest % 5];
            check_model(src, len);
        }
    }
}

/* ---- kernels -----------------------------------------------------------------------------------
 */

/* What the scalar kernel gives is in slot 2, what this one gives in slot 1, between guards. */
static void check_whole(enum simd_level level, const char *data, size_t len, bool at_end)
{
    char *src = at_end ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
    char *dst = at_end ? prop_guarded_end(1, len + 2) : prop_guarded_start(1, len + 2);
    char wanted[OUT_MAX];
    memcpy(src, data, len);
    for (int mode = CODEC_DKIM_SIMPLE; mode <= CODEC_DKIM_RELAXED; mode++) {
        CHECK(simd_select(SIMD_SCALAR));
        const size_t wanted_len =
            codec_dkim_canonical(src, len, wanted, (enum codec_dkim_mode)mode);
        CHECK(simd_select(level));
        CHECK_EQUAL(codec_dkim_canonical(src, len, dst, (enum codec_dkim_mode)mode), wanted_len);
        CHECK_SAME(wanted, dst, wanted_len);
        prop_guarded_check(1);
    }
}

static void test_lengths(enum simd_level level)
{
    struct random random;
    random_init(&random, 22);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (size_t len = 0; len <= 300; len++) {
            char data[300];
            fill(&random, kind, data, len);
            check_whole(level, data, len, true);
            check_whole(level, data, len, false);
        }
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        char data[LEN_MAX];
        const size_t len = random_below(&random, LEN_MAX + 1);
        fill(&random, round % KINDS, data, len);
        check_whole(level, data, len, round % 2);
    }
}

/* White space of each kind at each place of a quiet text, at each alignment. */
static void test_places(enum simd_level level)
{
    static const struct bytes oddities[] = {
        {" ", 1}, {"\t", 1}, {"  ", 2}, {" \r\n", 3}, {"\t \r\n", 4}, {" \r", 2}, {" \n", 2},
    };
    enum { LEN = 600 };
    for (size_t at = 0; at < LEN - 4; at++) {
        char data[LEN];
        const struct bytes oddity = oddities[at % ARRAY_COUNT(oddities)];
        memset(data, 'x', LEN);
        memcpy(data + at, oddity.data, oddity.len);
        for (size_t from = 0; from < (at < 70 ? 64 : 1); from++)
            check_whole(level, data + from, LEN - from, at % 2);
    }
}

/* Quiet texts of all lengths, and with white space somewhere behind the first group of blocks, two
 * of it now and then. */
static void test_quiet(enum simd_level level)
{
    struct random random;
    random_init(&random, 24);
    for (size_t len = 250; len <= 800; len++) {
        char data[800];
        memset(data, 'x', len);
        for (size_t i = 9; i < len - 1; i += 10)
            data[i] = ' ';
        check_whole(level, data, len, len % 2);
        for (int round = 0; round < 8; round++) {
            char odd[800];
            memcpy(odd, data, len);
            for (int i = 0; i <= round % 3; i++)
                odd[len - 1 - random_below(&random, 250)] = random_below(&random, 2) ? ' ' : '\t';
            check_whole(level, odd, len, round % 2);
        }
    }
}

static size_t stream(const char *src, size_t len, const size_t *ends, size_t pieces, char *dst,
                     enum codec_dkim_mode mode, size_t cap)
{
    struct codec_dkim_body body;
    char room[CODEC_ROOM_MIN * 4];
    size_t written = 0, taken = 0;
    codec_dkim_body_init(&body, mode);
    for (size_t i = 0; i <= pieces; i++) {
        const size_t end = i < pieces ? ends[i] : len;
        while (taken < end) {
            const struct codec_progress done =
                codec_dkim_body_feed(&body, src + taken, end - taken, room, cap);
            CHECK(done.taken <= end - taken && done.written <= cap);
            CHECK(done.taken > 0 || done.written > 0);
            CHECK(done.taken == end - taken || cap - done.written < CODEC_ROOM_MIN);
            memcpy(dst + written, room, done.written);
            written += done.written;
            taken += done.taken;
        }
    }
    for (size_t n = 1; n > 0; written += n) {
        n = codec_dkim_body_finish(&body, room);
        CHECK(n <= CODEC_ROOM_MIN);
        memcpy(dst + written, room, n);
    }
    CHECK_EQUAL(body.written, written);
    return written;
}

static void test_splits(enum simd_level level)
{
    struct random random;
    random_init(&random, 23);
    for (unsigned round = 0; round < 10 * KINDS; round++) {
        char data[LEN_MAX], wanted[OUT_MAX], got[OUT_MAX];
        const size_t len = random_below(&random, round % 3 ? 80 : LEN_MAX + 1);
        const enum codec_dkim_mode mode = round % 2 ? CODEC_DKIM_RELAXED : CODEC_DKIM_SIMPLE;
        const size_t cap = CODEC_ROOM_MIN * (1 + round % 4);
        fill(&random, round / 2 % KINDS, data, len);
        CHECK(simd_select(SIMD_SCALAR));
        const size_t wanted_len = codec_dkim_canonical(data, len, wanted, mode);
        CHECK(simd_select(level));
        for (size_t at = 0; at <= len; at += len < 300 ? 1 : 13) {
            CHECK_EQUAL(stream(data, len, &at, 1, got, mode, cap), wanted_len);
            CHECK_SAME(wanted, got, wanted_len);
        }
        size_t ends[LEN_MAX];
        for (size_t i = 0; i < len; i++)
            ends[i] = i;
        CHECK_EQUAL(stream(data, len, ends, len, got, mode, cap), wanted_len);
        CHECK_SAME(wanted, got, wanted_len);
    }
}

/* About as many held line ends as fit into one room, and then something that makes them count. */
static void test_held(enum simd_level level)
{
    static const struct bytes lasts[] = {{"", 0}, {"\r", 1}, {"a", 1}, {" \r", 2}, {" ", 1}};
    (void)level;
    for (size_t line_ends = 120; line_ends < 400; line_ends += line_ends < 135 ? 1 : 51) {
        for (size_t i = 0; i < 2 * ARRAY_COUNT(lasts); i++) {
            const struct bytes last = lasts[i / 2];
            const enum codec_dkim_mode mode = i % 2 ? CODEC_DKIM_RELAXED : CODEC_DKIM_SIMPLE;
            const size_t len = 2 * line_ends + last.len;
            char data[LEN_MAX], wanted[OUT_MAX], got[OUT_MAX];
            CHECK(len <= sizeof(data));
            for (size_t at = 0; at < len; at++)
                data[at] = at % 2 ? '\n' : '\r';
            memcpy(data + 2 * line_ends, last.data, last.len);
            const size_t wanted_len = model(data, len, wanted, mode);
            CHECK_EQUAL(stream(data, len, NULL, 0, got, mode, CODEC_ROOM_MIN), wanted_len);
            CHECK_SAME(wanted, got, wanted_len);
        }
    }
}

static const struct prop_test tests[] = {
    {"model", test_model, .once = true},
    {"model_exhaustive", test_model_exhaustive, .once = true},
    {"lengths", test_lengths},
    {"places", test_places},
    {"quiet", test_quiet},
    {"splits", test_splits},
    {"held", test_held},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
