/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_scan - every kernel gives what the scalar one gives, and that one what a naive model gives
 *
 * All lengths 0..300 (blocks of 64 octets and what is left of them), all alignments, alphabets in
 * which CR, LF, dots and NUL are dense, every split of source and destination.
 */
#include "prop.h"
#include "ringpost/scan.h"
#include <stdlib.h>

enum { LEN_MAX = 300, GUARD = 64, ROUNDS = 6 };

static const struct bytes alphabets[] = {
    {"\r\n.", 3},    {"\r\n.a", 4},    {"\r\n.aaaaaaaaaaaaaaaa", 19}, {"\r\n", 2}, {".\n", 2},
    {"\r\n.\0b", 5}, {"\r\nx\xff", 4},
};
enum { ALPHABETS = 7 + 3 };

/* Kinds behind the alphabets: any octets, lines of text, lines of text with leading dots. */
static void fill(struct random *random, unsigned kind, char *data, size_t len)
{
    size_t line_left = 0;
    for (size_t i = 0; i < len; i++) {
        if (kind < ARRAY_COUNT(alphabets)) {
            data[i] = alphabets[kind].data[random_below(random, alphabets[kind].len)];
        } else if (kind == ARRAY_COUNT(alphabets)) {
            data[i] = (char)random_u64(random);
        } else if (line_left > 0) {
            data[i] = line_left == 2 ? '\r' : line_left == 1 ? '\n' : (char)('a' + i % 26);
            line_left -= 1;
        } else {
            line_left = random_below(random, 90) + 2;
            data[i] = kind == ARRAY_COUNT(alphabets) + 1 ? '-' : '.';
        }
    }
}

static void assert_same_reader(const struct scan_reader *a, const struct scan_reader *b)
{
    CHECK_EQUAL(a->state, b->state);
    CHECK_EQUAL(a->classes, b->classes);
    CHECK_EQUAL(a->octets, b->octets);
    CHECK_EQUAL(a->line, b->line);
    CHECK_EQUAL(a->line_max, b->line_max);
}

/* Reads src in pieces, each into its own room; returns what was written in all. */
static size_t read_pieces(struct scan_reader *reader, const char *src, size_t len, char *dst,
                          struct random *random, size_t piece_max, size_t *taken)
{
    size_t written = 0;
    *taken = 0;
    while (*taken < len && reader->state != SCAN_END) {
        const size_t wish = random_below(random, piece_max) + 1; /* MIN evaluates twice */
        const size_t piece = MIN(len - *taken, wish);
        const size_t cap = random_below(random, piece_max) + 1;
        char room[LEN_MAX + GUARD];
        memset(room + cap, 0x5a, GUARD);
        const struct scan_progress done = scan_read(reader, src + *taken, piece, room, cap);
        for (size_t i = 0; i < GUARD; i++)
            CHECK_EQUAL(room[cap + i], 0x5a);
        CHECK(done.taken <= piece && done.written <= cap);
        CHECK(done.taken == piece || done.written == cap || reader->state == SCAN_END);
        memcpy(dst + written, room, done.written);
        written += done.written;
        *taken += done.taken;
    }
    return written;
}

/* The naive model: looks at the whole text at once. */
struct model {
    char out[LEN_MAX + 8];
    size_t len, taken;
    unsigned classes;
    size_t line_max;
    bool ended;
};

static void model_run(struct model *model, const char *src, size_t len, bool dots)
{
    char text[LEN_MAX + 16] = "\r\n";
    memcpy(text + 2, src, len);
    const char *end = dots ? memmem(text, len + 2, "\r\n.\r\n", 5) : NULL;
    const size_t stop = end ? (size_t)(end - text) + 2 : len + 2;
    size_t line_start = 0;

    *model = (struct model){.ended = end != NULL, .taken = end ? stop + 3 - 2 : len};
    for (size_t i = 2; i < stop; i++) {
        if (dots && text[i] == '.' && memcmp(text + i - 2, "\r\n", 2) == 0) continue;
        model->out[model->len++] = text[i];
    }
    for (size_t i = 0; i < model->len; i++) {
        const unsigned char c = (unsigned char)model->out[i];
        const char before = i > 0 ? model->out[i - 1] : 0;
        const bool last = i + 1 == model->len;
        if (c > 127) model->classes |= SCAN_8BIT;
        if (c == 0) model->classes |= SCAN_NUL;
        if (c == '\n' && before != '\r') model->classes |= SCAN_BARE_LF;
        if (c == '\r' && (last || model->out[i + 1] != '\n')) model->classes |= SCAN_BARE_CR;
        if (c == '.' && i == line_start) model->classes |= SCAN_LEADING_DOT;
        if (c == '\n' && before == '\r') {
            model->line_max = MAX(model->line_max, i - 1 - line_start);
            line_start = i + 1;
        }
    }
    model->line_max = MAX(model->line_max, model->len - line_start);
}

static void check_against_model(const char *src, size_t len, bool dots)
{
    struct model model;
    struct scan_reader reader;
    char dst[LEN_MAX + 8];
    model_run(&model, src, len, dots);
    scan_reader_init(&reader, dots);
    const struct scan_progress done = scan_read(&reader, src, len, dst, sizeof(dst));
    CHECK_EQUAL(reader.state == SCAN_END, model.ended);
    CHECK_EQUAL(done.taken, model.taken);
    if (dots && !model.ended) return; /* what is held back has no place in the model */
    CHECK_EQUAL(done.written, model.len);
    CHECK_SAME(dst, model.out, model.len);
    scan_reader_finish(&reader);
    CHECK_EQUAL(reader.classes, model.classes);
    CHECK_EQUAL(reader.line_max, model.line_max);
    CHECK_EQUAL(reader.octets, model.len);
}

static void check_kernel_whole(enum simd_level level, const char *src, size_t len, bool dots)
{
    struct scan_reader wanted, got;
    char wanted_dst[LEN_MAX + GUARD], got_dst[LEN_MAX + GUARD];
    for (size_t cap = 1; cap <= len + 1; cap += len < 80 ? 1 : 37) {
        CHECK(simd_select(SIMD_SCALAR));
        scan_reader_init(&wanted, dots);
        const struct scan_progress a = scan_read(&wanted, src, len, wanted_dst, cap);
        CHECK(simd_select(level));
        scan_reader_init(&got, dots);
        memset(got_dst, 0x5a, sizeof(got_dst));
        const struct scan_progress b = scan_read(&got, src, len, got_dst, cap);
        CHECK_EQUAL(a.taken, b.taken);
        CHECK_EQUAL(a.written, b.written);
        CHECK_SAME(wanted_dst, got_dst, a.written);
        for (size_t i = cap; i < sizeof(got_dst); i++)
            CHECK_EQUAL(got_dst[i], 0x5a);
        assert_same_reader(&wanted, &got);
    }
}

static void check_kernel_split(enum simd_level level, const char *src, size_t len, bool dots)
{
    struct scan_reader whole, split;
    char whole_dst[LEN_MAX + GUARD], split_dst[LEN_MAX + GUARD];
    CHECK(simd_select(SIMD_SCALAR));
    scan_reader_init(&whole, dots);
    const struct scan_progress a = scan_read(&whole, src, len, whole_dst, sizeof(whole_dst));
    CHECK(simd_select(level));
    for (size_t at = 0; at <= len; at++) {
        scan_reader_init(&split, dots);
        struct scan_progress b = scan_read(&split, src, at, split_dst, sizeof(split_dst));
        if (split.state != SCAN_END) {
            const struct scan_progress rest = scan_read(
                &split, src + at, len - at, split_dst + b.written, sizeof(split_dst) - b.written);
            b.taken += rest.taken;
            b.written += rest.written;
        }
        CHECK_EQUAL(a.taken, b.taken);
        CHECK_EQUAL(a.written, b.written);
        CHECK_SAME(whole_dst, split_dst, a.written);
        assert_same_reader(&whole, &split);
    }
}

static void check_kernel_pieces(enum simd_level level, const char *src, size_t len, bool dots,
                                struct random *random)
{
    struct scan_reader whole, split;
    char whole_dst[LEN_MAX + GUARD], split_dst[LEN_MAX + GUARD];
    size_t taken;
    CHECK(simd_select(SIMD_SCALAR));
    scan_reader_init(&whole, dots);
    const struct scan_progress a = scan_read(&whole, src, len, whole_dst, sizeof(whole_dst));
    CHECK(simd_select(level));
    for (size_t piece_max = 1; piece_max < 200; piece_max = piece_max * 3 + 1) {
        scan_reader_init(&split, dots);
        const size_t written = read_pieces(&split, src, len, split_dst, random, piece_max, &taken);
        CHECK_EQUAL(a.taken, taken);
        CHECK_EQUAL(a.written, written);
        CHECK_SAME(whole_dst, split_dst, written);
        assert_same_reader(&whole, &split);
    }
}

static void check_stuff(enum simd_level level, const char *src, size_t len, size_t split)
{
    struct scan_stuffer wanted, got;
    char wanted_dst[2 * LEN_MAX + 1], got_dst[2 * LEN_MAX + 1 + GUARD];
    CHECK(simd_select(SIMD_SCALAR));
    scan_stuffer_init(&wanted);
    const size_t wanted_len = scan_stuff(&wanted, src, len, wanted_dst);
    CHECK(simd_select(level));
    scan_stuffer_init(&got);
    memset(got_dst, 0x5a, sizeof(got_dst));
    size_t got_len = scan_stuff(&got, src, split, got_dst);
    CHECK(got_len <= 2 * split);
    got_len += scan_stuff(&got, src + split, len - split, got_dst + got_len);
    CHECK_EQUAL(wanted_len, got_len);
    CHECK_SAME(wanted_dst, got_dst, got_len);
    CHECK_EQUAL(wanted.state, got.state);
    for (size_t i = 2 * len; i < sizeof(got_dst); i++)
        CHECK_EQUAL(got_dst[i], 0x5a);

    /* What was stuffed and ended comes back as it was. */
    struct scan_reader reader;
    char back[2 * LEN_MAX + 8];
    if (!scan_stuffer_at_line_start(&got)) return;
    memcpy(got_dst + got_len, ".\r\n", 3);
    scan_reader_init(&reader, true);
    const struct scan_progress done = scan_read(&reader, got_dst, got_len + 3, back, sizeof(back));
    CHECK_EQUAL(reader.state, SCAN_END);
    CHECK_EQUAL(done.taken, got_len + 3);
    CHECK_EQUAL(done.written, len);
    CHECK_SAME(back, src, len);
}

/* Octets in memory of exactly that length, so that a sanitizer sees an over-read. */
static char *exact_copy(const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);
    CHECK(copy != NULL);
    memcpy(copy, data, len);
    return copy;
}

static void test_model(enum simd_level level)
{
    (void)level;
    struct random random;
    random_init(&random, 1);
    CHECK(simd_select(SIMD_SCALAR));
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (unsigned round = 0; round < 4000; round++) {
            char data[LEN_MAX];
            const size_t len = random_below(&random, round % 2 ? 12 : LEN_MAX);
            fill(&random, kind, data, len);
            check_against_model(data, len, true);
            check_against_model(data, len, false);
        }
    }
}

/* All texts of up to 7 octets over the octets that matter. */
static void test_model_exhaustive(enum simd_level level)
{
    (void)level;
    static const char octets[] = {'\r', '\n', '.', 'a'};
    CHECK(simd_select(SIMD_SCALAR));
    for (unsigned len = 0; len <= 7; len++) {
        for (unsigned number = 0; number < 1u << (2 * len); number++) {
            char data[8];
            for (unsigned i = 0; i < len; i++)
                data[i] = octets[number >> (2 * i) & 3];
            check_against_model(data, len, true);
            check_against_model(data, len, false);
        }
    }
}

static void test_reader(enum simd_level level)
{
    struct random random;
    random_init(&random, 2);
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            char data[LEN_MAX];
            fill(&random, kind, data, len);
            char *src = exact_copy(data, len);
            for (int dots = 0; dots < 2; dots++) {
                check_kernel_whole(level, src, len, dots);
                check_kernel_split(level, src, len, dots);
                check_kernel_pieces(level, src, len, dots, &random);
            }
            free(src);
        }
    }
}

static void test_alignment(enum simd_level level)
{
    struct random random;
    static _Alignas(64) char src[LEN_MAX + 64], dst[LEN_MAX + 128];
    random_init(&random, 3);
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t from = 0; from < 64; from++) {
            const size_t to = random_below(&random, 64), len = random_below(&random, LEN_MAX + 1);
            struct scan_reader wanted, got;
            char plain[LEN_MAX + 8];
            fill(&random, kind, src + from, len);
            CHECK(simd_select(SIMD_SCALAR));
            scan_reader_init(&wanted, true);
            const struct scan_progress a =
                scan_read(&wanted, src + from, len, plain, sizeof(plain));
            const size_t crlf = scan_find_crlf(src + from, len);
            const uint32_t crc = scan_crc32c(7, src + from, len);
            CHECK(simd_select(level));
            scan_reader_init(&got, true);
            const struct scan_progress b = scan_read(&got, src + from, len, dst + to, LEN_MAX);
            CHECK_EQUAL(a.written, b.written);
            CHECK_SAME(plain, dst + to, a.written);
            assert_same_reader(&wanted, &got);
            CHECK_EQUAL(scan_find_crlf(src + from, len), crlf);
            CHECK_EQUAL(scan_crc32c(7, src + from, len), crc);
        }
    }
}

static void test_stuff(enum simd_level level)
{
    struct random random;
    random_init(&random, 4);
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            char data[LEN_MAX];
            fill(&random, kind, data, len);
            char *src = exact_copy(data, len);
            for (unsigned round = 0; round < ROUNDS; round++)
                check_stuff(level, src, len, random_below(&random, len + 1));
            free(src);
        }
    }
}

static void test_search(enum simd_level level)
{
    struct random random;
    random_init(&random, 5);
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (unsigned round = 0; round < ROUNDS; round++) {
                char data[LEN_MAX];
                fill(&random, kind, data, len);
                if (round == 1) memset(data, 'x', len); /* one CRLF or 8-bit octet, or none */
                if (round == 1 && len > 3) memcpy(data + random_below(&random, len - 1), "\r\n", 2);
                if (round == 2) memset(data, 'x', len);
                if (round == 2 && len > 3) data[random_below(&random, len)] = (char)0x80;
                char *src = exact_copy(data, len);
                CHECK(simd_select(SIMD_SCALAR));
                const size_t crlf = scan_find_crlf(src, len);
                const bool high = scan_has_8bit(src, len);
                CHECK(simd_select(level));
                CHECK_EQUAL(scan_find_crlf(src, len), crlf);
                CHECK_EQUAL(scan_has_8bit(src, len), high);
                free(src);
            }
        }
    }
}

static void test_crc32c(enum simd_level level)
{
    static char data[20000];
    struct random random;
    random_init(&random, 6);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)random_u64(&random);
    for (size_t len = 0; len <= sizeof(data); len += len < 1200 ? 1 : random_below(&random, 97)) {
        const uint32_t seed = (uint32_t)random_u64(&random);
        const size_t split = random_below(&random, len + 1);
        CHECK(simd_select(SIMD_SCALAR));
        const uint32_t wanted = scan_crc32c(seed, data, len);
        CHECK(simd_select(level));
        CHECK_EQUAL(scan_crc32c(seed, data, len), wanted);
        const uint32_t first = scan_crc32c(seed, data, split);
        CHECK_EQUAL(scan_crc32c(first, data + split, len - split), wanted);
    }
}

static const struct prop_test tests[] = {
    {"model", test_model, .once = true},
    {"model_exhaustive", test_model_exhaustive, .once = true},
    {"reader", test_reader},
    {"alignment", test_alignment},
    {"stuff", test_stuff},
    {"search", test_search},
    {"crc32c", test_crc32c},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
