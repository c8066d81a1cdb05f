/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_scan_long - texts long enough for the kernels' groups of blocks, between guard pages
 *
 * Mostly calm text, that is lines that end in CRLF and do not begin with a dot, with a few of the
 * things that are not calm at any place: each must be seen wherever it stands in a group, beside
 * the group's end, beside another. All against the scalar kernels.
 */
#include "prop.h"
#include "ringpost/scan.h"

enum { LEN_MAX = 1500, ROUNDS = 6000 };

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct bytes oddities[] = {
    TEXT("\r"),          TEXT("\n"),         TEXT("."),        TEXT("\r\n."),
    TEXT("\r\n.."),      TEXT("\r\n.\r"),    TEXT("\n."),      TEXT("\r\r\n"),
    TEXT("\r\n.\r\n.a"), TEXT("\r\n.x\r\n"), TEXT("\r\n\r\n"), TEXT("\r\n.\n"),
    TEXT("\0"),          TEXT("\x80"),       TEXT("\xff"),     TEXT("\r\n.\r\r\n"),
};

struct texts {
    struct random random;
    char plain[LEN_MAX];
};

/* Lines of up to line_max octets, all of one length or not, and some oddities. */
static size_t make(struct texts *texts)
{
    static const size_t line_maxes[] = {3, 12, 40, 64, 76, 200, 1000};
    struct random *random = &texts->random;
    const size_t len = random_below(random, LEN_MAX + 1);
    const size_t line_max = line_maxes[random_below(random, ARRAY_COUNT(line_maxes))];
    const bool equal = random_below(random, 2), dotted = random_below(random, 4) == 0;
    size_t left = random_below(random, line_max + 1) + 2, fresh = 1;
    for (size_t i = 0; i < len; i++) {
        const char begin = dotted && random_below(random, 3) ? '.' : 'b';
        texts->plain[i] = left == 2   ? '\r'
                          : left == 1 ? '\n'
                          : fresh     ? begin
                                      : (char)('a' + i % 26);
        fresh = left == 1;
        left = left > 1 ? left - 1 : (equal ? line_max : random_below(random, line_max + 1)) + 2;
    }
    for (size_t count = random_below(random, 4); count > 0; count--) {
        const struct bytes oddity = oddities[random_below(random, ARRAY_COUNT(oddities))];
        if (len < oddity.len) continue;
        memcpy(texts->plain + random_below(random, len - oddity.len + 1), oddity.data, oddity.len);
    }
    return len;
}

/* In guarded memory: its end is the guard, or its beginning. */
static char *placed(unsigned slot, const char *data, size_t len, bool at_end)
{
    char *memory = at_end ? prop_guarded_end(slot, len) : prop_guarded_start(slot, len);
    if (data != NULL) memcpy(memory, data, len);
    return memory;
}

struct reading {
    struct scan_reader reader;
    struct scan_progress done;
};

/* The first octets apart, then the rest, in a room of cap octets. */
static struct reading read_in_two(const char *src, size_t first, size_t len, bool dots, char *dst,
                                  size_t cap)
{
    struct reading reading;
    scan_reader_init(&reading.reader, dots);
    reading.done = scan_read(&reading.reader, src, first, dst, cap);
    if (reading.done.taken == first && reading.reader.state != SCAN_END) {
        const struct scan_progress rest =
            scan_read(&reading.reader, src + first, len - first, dst + reading.done.written,
                      cap - reading.done.written);
        reading.done.taken += rest.taken;
        reading.done.written += rest.written;
    }
    return reading;
}

static void check_same(const struct reading *wanted, const struct reading *got)
{
    CHECK_EQUAL(wanted->done.taken, got->done.taken);
    CHECK_EQUAL(wanted->done.written, got->done.written);
    CHECK_EQUAL(wanted->reader.state, got->reader.state);
    CHECK_EQUAL(wanted->reader.classes, got->reader.classes);
    CHECK_EQUAL(wanted->reader.octets, got->reader.octets);
    CHECK_EQUAL(wanted->reader.line, got->reader.line);
    CHECK_EQUAL(wanted->reader.line_max, got->reader.line_max);
}

static void test_read(enum simd_level level)
{
    static struct texts texts;
    static char wanted_dst[LEN_MAX];
    random_init(&texts.random, 11);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t len = make(&texts), first = random_below(&texts.random, len + 1);
        const size_t cap = round % 3 ? len : random_below(&texts.random, len + 1);
        const bool dots = round % 4 != 0, at_end = round % 2;
        CHECK(simd_select(SIMD_SCALAR));
        const struct reading wanted = read_in_two(texts.plain, first, len, dots, wanted_dst, cap);
        CHECK(simd_select(level));
        const char *src = placed(0, texts.plain, len, at_end);
        char *dst = placed(1, NULL, cap, at_end);
        const struct reading got = read_in_two(src, first, len, dots, dst, cap);
        check_same(&wanted, &got);
        CHECK_SAME(wanted_dst, dst, wanted.done.written);
        prop_guarded_check(1);
    }
}

static void test_stuff(enum simd_level level)
{
    static struct texts texts;
    static char wanted_dst[2 * LEN_MAX];
    random_init(&texts.random, 12);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t len = make(&texts), first = random_below(&texts.random, len + 1);
        struct scan_stuffer wanted, got;
        CHECK(simd_select(SIMD_SCALAR));
        scan_stuffer_init(&wanted);
        const size_t wanted_len = scan_stuff(&wanted, texts.plain, len, wanted_dst);
        CHECK(simd_select(level));
        const char *src = placed(0, texts.plain, len, round % 2);
        /* Each piece into its own room, as large as promised and no larger. */
        char *dst = placed(1, NULL, 2 * first, round % 2);
        scan_stuffer_init(&got);
        size_t got_len = scan_stuff(&got, src, first, dst);
        CHECK(got_len <= wanted_len);
        CHECK_SAME(wanted_dst, dst, got_len);
        prop_guarded_check(1);
        dst = placed(1, NULL, 2 * (len - first), round % 2);
        const size_t rest = scan_stuff(&got, src + first, len - first, dst);
        CHECK_EQUAL(got_len + rest, wanted_len);
        CHECK_SAME(wanted_dst + got_len, dst, rest);
        CHECK_EQUAL(wanted.state, got.state);
        prop_guarded_check(1);
    }
}

/* Each oddity at each place of a text that is calm otherwise. */
static void test_places(enum simd_level level)
{
    enum { LEN = 700 };
    char plain[LEN], wanted_dst[2 * LEN], dst[2 * LEN];
    for (size_t kind = 0; kind < ARRAY_COUNT(oddities); kind++) {
        for (size_t at = 0; at + oddities[kind].len <= LEN; at++) {
            for (size_t i = 0; i < LEN; i++)
                plain[i] = (char)(i % 150 < 148 ? 'a' : i % 150 == 148 ? '\r' : '\n');
            memcpy(plain + at, oddities[kind].data, oddities[kind].len);
            CHECK(simd_select(SIMD_SCALAR));
            const struct reading wanted = read_in_two(plain, 0, LEN, true, wanted_dst, LEN);
            CHECK(simd_select(level));
            const struct reading got = read_in_two(plain, 0, LEN, true, dst, LEN);
            check_same(&wanted, &got);
            CHECK_SAME(wanted_dst, dst, wanted.done.written);

            struct scan_stuffer stuffer;
            CHECK(simd_select(SIMD_SCALAR));
            scan_stuffer_init(&stuffer);
            const size_t wanted_len = scan_stuff(&stuffer, plain, LEN, wanted_dst);
            CHECK(simd_select(level));
            scan_stuffer_init(&stuffer);
            CHECK_EQUAL(scan_stuff(&stuffer, plain, LEN, dst), wanted_len);
            CHECK_SAME(wanted_dst, dst, wanted_len);
        }
    }
}

/* One thing to be found at each place of a text that has nothing like it. */
static void test_search(enum simd_level level)
{
    static char plain[LEN_MAX];
    for (size_t len = 0; len < 700; len += len < 300 ? 37 : 1) {
        for (size_t at = 0; at < len; at += len < 300 ? 1 : 41) {
            memset(plain, at % 2 ? '\r' : '\n', len);
            plain[at] = at % 2 ? '\n' : '\r';
            const char *src = placed(0, plain, len, len % 2);
            CHECK(simd_select(SIMD_SCALAR));
            const size_t crlf = scan_find_crlf(plain, len);
            CHECK(simd_select(level));
            CHECK_EQUAL(scan_find_crlf(src, len), crlf);
            CHECK(!scan_has_8bit(src, len));
            plain[at] = (char)0x80;
            CHECK(scan_has_8bit(placed(0, plain, len, len % 2), len));
            CHECK_EQUAL(scan_find_crlf(plain, len), len);
        }
    }
}

static const struct prop_test tests[] = {
    {"read", test_read},
    {"stuff", test_stuff},
    {"places", test_places},
    {"search", test_search},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
