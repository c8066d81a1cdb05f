/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_scan - every kernel gives what the scalar one gives, and that one what a naive model gives
 *
 * All lengths 0..300 (blocks of 64 octets and what is left of them), all alignments, alphabets in
 * which CR, LF, dots and NUL are dense, every split of source and destination.
 */
#include "ringpost/scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LEN_MAX = 300, GUARD = 64, ROUNDS = 6 };

static const char *const kernels[] = {"avx2", "avx512"};
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
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->classes, b->classes);
    assert_int_equal(a->octets, b->octets);
    assert_int_equal(a->line, b->line);
    assert_int_equal(a->line_max, b->line_max);
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
            assert_int_equal(room[cap + i], 0x5a);
        assert_true(done.taken <= piece && done.written <= cap);
        assert_true(done.taken == piece || done.written == cap || reader->state == SCAN_END);
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
    assert_int_equal(reader.state == SCAN_END, model.ended);
    assert_int_equal(done.taken, model.taken);
    if (dots && !model.ended) return; /* what is held back has no place in the model */
    assert_int_equal(done.written, model.len);
    assert_memory_equal(dst, model.out, model.len);
    scan_reader_finish(&reader);
    assert_int_equal(reader.classes, model.classes);
    assert_int_equal(reader.line_max, model.line_max);
    assert_int_equal(reader.octets, model.len);
}

static void check_kernel_whole(const char *kernel, const char *src, size_t len, bool dots)
{
    struct scan_reader wanted, got;
    char wanted_dst[LEN_MAX + GUARD], got_dst[LEN_MAX + GUARD];
    for (size_t cap = 1; cap <= len + 1; cap += len < 80 ? 1 : 37) {
        assert_true(scan_select("scalar"));
        scan_reader_init(&wanted, dots);
        const struct scan_progress a = scan_read(&wanted, src, len, wanted_dst, cap);
        assert_true(scan_select(kernel));
        scan_reader_init(&got, dots);
        memset(got_dst, 0x5a, sizeof(got_dst));
        const struct scan_progress b = scan_read(&got, src, len, got_dst, cap);
        assert_int_equal(a.taken, b.taken);
        assert_int_equal(a.written, b.written);
        assert_memory_equal(wanted_dst, got_dst, a.written);
        for (size_t i = cap; i < sizeof(got_dst); i++)
            assert_int_equal(got_dst[i], 0x5a);
        assert_same_reader(&wanted, &got);
    }
}

static void check_kernel_split(const char *kernel, const char *src, size_t len, bool dots)
{
    struct scan_reader whole, split;
    char whole_dst[LEN_MAX + GUARD], split_dst[LEN_MAX + GUARD];
    assert_true(scan_select("scalar"));
    scan_reader_init(&whole, dots);
    const struct scan_progress a = scan_read(&whole, src, len, whole_dst, sizeof(whole_dst));
    assert_true(scan_select(kernel));
    for (size_t at = 0; at <= len; at++) {
        scan_reader_init(&split, dots);
        struct scan_progress b = scan_read(&split, src, at, split_dst, sizeof(split_dst));
        if (split.state != SCAN_END) {
            const struct scan_progress rest = scan_read(
                &split, src + at, len - at, split_dst + b.written, sizeof(split_dst) - b.written);
            b.taken += rest.taken;
            b.written += rest.written;
        }
        assert_int_equal(a.taken, b.taken);
        assert_int_equal(a.written, b.written);
        assert_memory_equal(whole_dst, split_dst, a.written);
        assert_same_reader(&whole, &split);
    }
}

static void check_kernel_pieces(const char *kernel, const char *src, size_t len, bool dots,
                                struct random *random)
{
    struct scan_reader whole, split;
    char whole_dst[LEN_MAX + GUARD], split_dst[LEN_MAX + GUARD];
    size_t taken;
    assert_true(scan_select("scalar"));
    scan_reader_init(&whole, dots);
    const struct scan_progress a = scan_read(&whole, src, len, whole_dst, sizeof(whole_dst));
    assert_true(scan_select(kernel));
    for (size_t piece_max = 1; piece_max < 200; piece_max = piece_max * 3 + 1) {
        scan_reader_init(&split, dots);
        const size_t written = read_pieces(&split, src, len, split_dst, random, piece_max, &taken);
        assert_int_equal(a.taken, taken);
        assert_int_equal(a.written, written);
        assert_memory_equal(whole_dst, split_dst, written);
        assert_same_reader(&whole, &split);
    }
}

static void check_stuff(const char *kernel, const char *src, size_t len, size_t split)
{
    struct scan_stuffer wanted, got;
    char wanted_dst[2 * LEN_MAX + 1], got_dst[2 * LEN_MAX + 1 + GUARD];
    assert_true(scan_select("scalar"));
    scan_stuffer_init(&wanted);
    const size_t wanted_len = scan_stuff(&wanted, src, len, wanted_dst);
    assert_true(scan_select(kernel));
    scan_stuffer_init(&got);
    memset(got_dst, 0x5a, sizeof(got_dst));
    size_t got_len = scan_stuff(&got, src, split, got_dst);
    assert_true(got_len <= 2 * split);
    got_len += scan_stuff(&got, src + split, len - split, got_dst + got_len);
    assert_int_equal(wanted_len, got_len);
    assert_memory_equal(wanted_dst, got_dst, got_len);
    assert_int_equal(wanted.state, got.state);
    for (size_t i = 2 * len; i < sizeof(got_dst); i++)
        assert_int_equal(got_dst[i], 0x5a);

    /* What was stuffed and ended comes back as it was. */
    struct scan_reader reader;
    char back[2 * LEN_MAX + 8];
    if (!scan_stuffer_at_line_start(&got)) return;
    memcpy(got_dst + got_len, ".\r\n", 3);
    scan_reader_init(&reader, true);
    const struct scan_progress done = scan_read(&reader, got_dst, got_len + 3, back, sizeof(back));
    assert_int_equal(reader.state, SCAN_END);
    assert_int_equal(done.taken, got_len + 3);
    assert_int_equal(done.written, len);
    assert_memory_equal(back, src, len);
}

/* Octets in memory of exactly that length, so that a sanitizer sees an over-read. */
static char *exact_copy(const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    return copy;
}

static void test_model(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    assert_true(scan_select("scalar"));
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
static void test_model_exhaustive(void **state)
{
    (void)state;
    static const char octets[] = {'\r', '\n', '.', 'a'};
    assert_true(scan_select("scalar"));
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

static void test_reader(void **state)
{
    const char *kernel = *state;
    struct random random;
    random_init(&random, 2);
    if (!scan_select(kernel)) skip();
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            char data[LEN_MAX];
            fill(&random, kind, data, len);
            char *src = exact_copy(data, len);
            for (int dots = 0; dots < 2; dots++) {
                check_kernel_whole(kernel, src, len, dots);
                check_kernel_split(kernel, src, len, dots);
                check_kernel_pieces(kernel, src, len, dots, &random);
            }
            free(src);
        }
    }
}

static void test_alignment(void **state)
{
    const char *kernel = *state;
    struct random random;
    static _Alignas(64) char src[LEN_MAX + 64], dst[LEN_MAX + 128];
    random_init(&random, 3);
    if (!scan_select(kernel)) skip();
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t from = 0; from < 64; from++) {
            const size_t to = random_below(&random, 64), len = random_below(&random, LEN_MAX + 1);
            struct scan_reader wanted, got;
            char plain[LEN_MAX + 8];
            fill(&random, kind, src + from, len);
            assert_true(scan_select("scalar"));
            scan_reader_init(&wanted, true);
            const struct scan_progress a =
                scan_read(&wanted, src + from, len, plain, sizeof(plain));
            const size_t crlf = scan_find_crlf(src + from, len);
            const uint32_t crc = scan_crc32c(7, src + from, len);
            assert_true(scan_select(kernel));
            scan_reader_init(&got, true);
            const struct scan_progress b = scan_read(&got, src + from, len, dst + to, LEN_MAX);
            assert_int_equal(a.written, b.written);
            assert_memory_equal(plain, dst + to, a.written);
            assert_same_reader(&wanted, &got);
            assert_int_equal(scan_find_crlf(src + from, len), crlf);
            assert_int_equal(scan_crc32c(7, src + from, len), crc);
        }
    }
}

static void test_stuff(void **state)
{
    const char *kernel = *state;
    struct random random;
    random_init(&random, 4);
    if (!scan_select(kernel)) skip();
    for (unsigned kind = 0; kind < ALPHABETS; kind++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            char data[LEN_MAX];
            fill(&random, kind, data, len);
            char *src = exact_copy(data, len);
            for (unsigned round = 0; round < ROUNDS; round++)
                check_stuff(kernel, src, len, random_below(&random, len + 1));
            free(src);
        }
    }
}

static void test_search(void **state)
{
    const char *kernel = *state;
    struct random random;
    random_init(&random, 5);
    if (!scan_select(kernel)) skip();
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
                assert_true(scan_select("scalar"));
                const size_t crlf = scan_find_crlf(src, len);
                const bool high = scan_has_8bit(src, len);
                assert_true(scan_select(kernel));
                assert_int_equal(scan_find_crlf(src, len), crlf);
                assert_int_equal(scan_has_8bit(src, len), high);
                free(src);
            }
        }
    }
}

static void test_crc32c(void **state)
{
    const char *kernel = *state;
    static char data[20000];
    struct random random;
    random_init(&random, 6);
    if (!scan_select(kernel)) skip();
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)random_u64(&random);
    for (size_t len = 0; len <= sizeof(data); len += len < 1200 ? 1 : random_below(&random, 97)) {
        const uint32_t seed = (uint32_t)random_u64(&random);
        const size_t split = random_below(&random, len + 1);
        assert_true(scan_select("scalar"));
        const uint32_t wanted = scan_crc32c(seed, data, len);
        assert_true(scan_select(kernel));
        assert_int_equal(scan_crc32c(seed, data, len), wanted);
        const uint32_t first = scan_crc32c(seed, data, split);
        assert_int_equal(scan_crc32c(first, data + split, len - split), wanted);
    }
}

int main(void)
{
    int failed = 0;
    const struct CMUnitTest model_tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_model_exhaustive),
    };
    failed += cmocka_run_group_tests_name("scan scalar", model_tests, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(kernels); i++) {
        char *kernel = strdup(kernels[i]);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_reader, kernel),
            cmocka_unit_test_prestate(test_alignment, kernel),
            cmocka_unit_test_prestate(test_stuff, kernel),
            cmocka_unit_test_prestate(test_search, kernel),
            cmocka_unit_test_prestate(test_crc32c, kernel),
        };
        failed += cmocka_run_group_tests_name(kernel, tests, NULL, NULL);
        free(kernel);
    }
    return failed;
}
