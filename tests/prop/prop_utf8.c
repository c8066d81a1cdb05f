/* SPDX-License-Identifier: Apache-2.0
 *
 * prop_utf8 - well-formed UTF-8: the plain code against a model that decodes and encodes again,
 * each kernel against the plain code
 */
#include "prop.h"
#include "ringpost/scan.h"

enum { LEN_MAX = 700 };

/* ---- the model: a number that gives the same octets back --------------------------------------
 */

static size_t encode(uint32_t number, unsigned char *out)
{
    if (number < 0x80) {
        out[0] = (unsigned char)number;
        return 1;
    }
    const size_t len = number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, number >>= 6)
        out[i] = (unsigned char)(0x80 | (number & 0x3f));
    out[0] = (unsigned char)((0xf00 >> len & 0xff) | number);
    return len;
}

/* Decodes without asking whether this is allowed, then asks. */
static size_t model_char(const unsigned char *octets, size_t len)
{
    const size_t wanted = octets[0] < 0x80 ? 1 : octets[0] < 0xe0 ? 2 : octets[0] < 0xf0 ? 3 : 4;
    unsigned char again[4];
    if (wanted > len) return 0;
    uint32_t number = wanted == 1 ? octets[0] : octets[0] & (0x7fu >> wanted);
    for (size_t i = 1; i < wanted; i++)
        number = number << 6 | (octets[i] & 0x3f);
    if (number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) return 0;
    const size_t n = encode(number, again);
    return n == wanted && memcmp(again, octets, n) == 0 ? n : 0;
}

static size_t model_len(const char *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const size_t n = model_char((const unsigned char *)data + at, len - at);
        if (n == 0) break;
        at += n;
    }
    return at;
}

/* Octets at and beside each bound of RFC 3629 section 4. */
static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                      0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                      0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff};
enum { EDGES = ARRAY_COUNT(edges), EDGES4 = EDGES * EDGES * EDGES * EDGES };

static void edge_sequence(unsigned number, char *out)
{
    for (unsigned i = 0; i < 4; i++, number /= EDGES)
        out[i] = (char)edges[number % EDGES];
}

static void test_model(enum simd_level level)
{
    (void)level;
    char data[5] = "";
    for (unsigned number = 0; number < EDGES4; number++) {
        edge_sequence(number, data);
        for (size_t len = 1; len <= 4; len++)
            CHECK_EQUAL(scan_utf8_valid_len(data, len), model_len(data, len));
    }
    for (unsigned number = 0; number < 1 << 16; number++) { /* all pairs, and a third octet */
        data[0] = (char)(number >> 8);
        data[1] = (char)number;
        for (size_t i = 0; i < EDGES; i++) {
            data[2] = (char)edges[i];
            CHECK_EQUAL(scan_utf8_valid_len(data, 3), model_len(data, 3));
        }
    }
}

/* ---- kernels ----------------------------------------------------------------------------------
 */

static void check(const char *src, size_t len, size_t wanted)
{
    CHECK_EQUAL(scan_utf8_valid_len(src, len), wanted);
    CHECK_EQUAL(scan_utf8_is_valid(src, len), wanted == len);
}

/* Every edge sequence somewhere in a block, in ASCII; its place wanders. */
static void test_sequences(enum simd_level level)
{
    char data[200];
    CHECK(simd_select(level));
    memset(data, 'a', sizeof(data));
    for (unsigned number = 0; number < EDGES4; number++) {
        const size_t at = 60 + number % 67;
        edge_sequence(number, data + at);
        check(data, sizeof(data), at + model_len(data + at, sizeof(data) - at));
        memset(data + at, 'a', 4);
    }
}

/* Characters of all lengths, mostly of one. */
static size_t make(struct random *random, char *data, size_t len)
{
    static const uint32_t bounds[] = {0, 0x80, 0x800, 0x10000, 0x110000};
    const size_t usual = random_below(random, 4);
    size_t at = 0;
    while (at < len) {
        const size_t kind = random_below(random, 8) ? usual : random_below(random, 4);
        const uint32_t low = bounds[kind], high = bounds[kind + 1];
        uint32_t number = low + (uint32_t)random_below(random, high - low);
        if (number >= 0xd800 && number < 0xe000) number = 0xd7ff;
        unsigned char octets[4];
        const size_t n = encode(number, octets);
        memcpy(data + at, octets, MIN(n, len - at));
        at += n;
    }
    return model_len(data, len);
}

static const char *placed(const char *data, size_t len, bool at_end)
{
    char *src = at_end ? prop_guarded_end(0, len) : prop_guarded_start(0, len);
    memcpy(src, data, len);
    return src;
}

static void test_texts(enum simd_level level)
{
    struct random random;
    random_init(&random, 31);
    CHECK(simd_select(level));
    for (unsigned round = 0; round < 6000; round++) {
        char data[LEN_MAX];
        const size_t len = round < 1200 ? round / 4 : random_below(&random, LEN_MAX + 1);
        size_t wanted = make(&random, data, len);
        check(placed(data, len, round % 2), len, wanted);
        if (len == 0) continue;
        const size_t at = random_below(&random, len);
        data[at] = (char)edges[random_below(&random, EDGES)];
        wanted = model_len(data, len);
        check(placed(data, len, round % 2), len, wanted);
    }
}

/* Each kind of fault at each place, at each alignment. */
static void test_places(enum simd_level level)
{
    static const struct bytes faults[] = {
        {"\x80", 1},         {"\xc3", 1},     {"\xe2\x82", 2},     {"\xf0\x9f\x92", 3},
        {"\xed\xa0\x80", 3}, {"\xc1\xbf", 2}, {"\xe0\x9f\xbf", 3}, {"\xf4\x90\x80\x80", 4},
    };
    enum { LEN = 600 };
    static _Alignas(64) char data[LEN + 64];
    CHECK(simd_select(level));
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        for (size_t at = 0; at + faults[i].len <= LEN; at++) {
            const size_t from = at % 64;
            memset(data, 'a', sizeof(data));
            memcpy(data + from + at, faults[i].data, faults[i].len);
            check(data + from, LEN, at);
        }
    }
}

static void test_stream(enum simd_level level)
{
    struct random random;
    random_init(&random, 32);
    CHECK(simd_select(level));
    for (unsigned round = 0; round < 2000; round++) {
        char data[LEN_MAX];
        struct scan_utf8 utf8;
        const size_t len = random_below(&random, round % 4 ? 40 : LEN_MAX + 1);
        const size_t piece_max = round % 8 + 1 + (round % 3 ? 0 : 200);
        make(&random, data, len);
        if (round % 2 && len > 0) data[random_below(&random, len)] = (char)random_u64(&random);
        const size_t wanted = model_len(data, len);
        scan_utf8_init(&utf8);
        bool good = true;
        for (size_t at = 0; at < len;) {
            const size_t wish = random_below(&random, piece_max + 1);
            const size_t n = MIN(wish, len - at);
            good = scan_utf8_feed(&utf8, data + at, n);
            at += n;
            /* Never later than with the octet that is wrong. */
            CHECK(good || at > wanted);
            CHECK(!good || at < wanted + 4);
        }
        CHECK_EQUAL(utf8.valid, wanted);
        CHECK_EQUAL(scan_utf8_finish(&utf8), wanted == len);
    }
}

static const struct prop_test tests[] = {
    {"model", test_model, .once = true},
    {"sequences", test_sequences},
    {"texts", test_texts},
    {"places", test_places},
    {"stream", test_stream},
};

int main(int argc, char **argv)
{
    return prop_main(argc, argv, tests, ARRAY_COUNT(tests));
}
