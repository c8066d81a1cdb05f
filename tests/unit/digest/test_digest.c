/* SPDX-License-Identifier: Apache-2.0
 *
 * test_digest - published vectors, and every kernel against the scalar one in all ways of feeding
 */
#include "internal.h"
#include "ringpost/digest.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { LEN_MAX = 300, STREAMS_MAX = 64 };

static enum simd_level at_start;
static struct digest_choice best; /* of this CPU */

static void select_scalar(bool scalar)
{
    assert_true(simd_select(scalar ? SIMD_SCALAR : at_start));
}

/* All ways of hashing that this CPU has: for few streams and for many. False: there is no such one.
 */
static bool force(size_t way)
{
    struct digest_choice choices[8] = {best, {.few = &digest_ops_lanes}};
    size_t count = 2;
    select_scalar(true);
    if (way == 0) return true;
#ifdef __x86_64__
    const bool wide = simd_available(SIMD_AVX512), sha = digest_has_shani();
    if (sha) choices[count++] = (struct digest_choice){.few = &digest_ops_shani};
    if (wide) {
        choices[count++] = (struct digest_choice){&digest_ops_lanes, &digest_ops_avx512, 1};
        choices[count++] = (struct digest_choice){&digest_ops_lanes, &digest_ops_avx512, 5};
    }
    if (wide && sha)
        choices[count++] = (struct digest_choice){&digest_ops_shani, &digest_ops_avx512, 9};
#endif
    for (int level = SIMD_LEVEL_COUNT - 1; !simd_select((enum simd_level)level);)
        level -= 1;
    if (way > count) return false;
    digest_choice = choices[way - 1];
    return true;
}

static void assert_hex(const uint8_t *got, const char *wanted)
{
    char text[2 * DIGEST_SHA256_LEN + 1];
    struct text out;
    text_init(&out, text, sizeof(text));
    for (size_t i = 0; i < DIGEST_SHA256_LEN; i++)
        text_printf(&out, "%02x", got[i]);
    assert_string_equal(text, wanted);
}

static struct bytes repeated(char *room, char octet, size_t len)
{
    memset(room, octet, len);
    return (struct bytes){room, len};
}

/* ---- vectors ------------------------------------------------------------------------------------
 */

/* FIPS 180-4's examples (NIST, "SHA256.pdf"), and a million times 'a'. */
static void test_nist(void **context)
{
    static const struct {
        struct bytes text;
        const char *digest;
    } vectors[] = {
        {{NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {{"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56},
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
          "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          112},
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    uint8_t out[DIGEST_SHA256_LEN];
    (void)context;
    for (int scalar = 0; scalar < 2; scalar++) {
        select_scalar(scalar);
        for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
            digest_sha256_once(vectors[i].text, out);
            assert_hex(out, vectors[i].digest);
        }
        char thousand[1000];
        struct digest_sha256 digest;
        digest_sha256_init(&digest);
        for (int i = 0; i < 1000; i++)
            digest_sha256_add(&digest, repeated(thousand, 'a', sizeof(thousand)));
        digest_sha256_end(&digest, out);
        assert_hex(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void test_hmac_rfc4231(void **context)
{
    char key[131], text[152];
    uint8_t out[DIGEST_SHA256_LEN];
    (void)context;
    digest_hmac_sha256(repeated(key, 0x0b, 20), BYTES("Hi There"), out);
    assert_hex(out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_hmac_sha256(BYTES("Jefe"), BYTES("what do ya want for nothing?"), out);
    assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac_sha256(repeated(key, (char)0xaa, 20), repeated(text, (char)0xdd, 50), out);
    assert_hex(out, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    digest_hmac_sha256(repeated(key, (char)0xaa, 131),
                       BYTES("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_hmac_sha256(repeated(key, (char)0xaa, 131),
                       BYTES("This is a test using a larger than block-size key and a larger than "
                             "block-size data. The key needs to be hashed before being used by the "
                             "HMAC algorithm."),
                       out);
    assert_hex(out, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void test_pbkdf2_rfc7914(void **context)
{
    uint8_t out[DIGEST_SHA256_LEN];
    (void)context;
    digest_pbkdf2_sha256(BYTES("passwd"), BYTES("salt"), 1, out);
    assert_hex(out, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    digest_pbkdf2_sha256(BYTES("Password"), BYTES("NaCl"), 80000, out);
    assert_hex(out, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void test_equal(void **context)
{
    char a[64], b[64];
    (void)context;
    repeated(a, 'x', sizeof(a));
    repeated(b, 'x', sizeof(b));
    assert_true(digest_equal(a, b, sizeof(a)));
    assert_true(digest_equal(a, "y", 0));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] ^= 0x40;
        assert_false(digest_equal(a, b, sizeof(a)));
        b[i] ^= 0x40;
    }
}

/* ---- kernels and ways of feeding ----------------------------------------------------------------
 */

static void fill(struct random *random, char *octets, size_t len)
{
    for (size_t i = 0; i < len; i++)
        octets[i] = (char)random_u64(random);
}

/* The hash of the hashes of all beginnings of a text, as Python's hashlib says. */
static void test_beginnings(void **context)
{
    static const char wanted[] = "789cf88dbc56727b177657f3c9426679da46cda1cb423952b04829beb6523c11";
    char text[LEN_MAX];
    uint8_t out[DIGEST_SHA256_LEN];
    (void)context;
    for (size_t i = 0; i < LEN_MAX; i++)
        text[i] = (char)(i * 7 + (i >> 8) + 3);
    for (size_t way = 0; force(way); way++) {
        struct digest_sha256 all;
        digest_sha256_init(&all);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            digest_sha256_once((struct bytes){text, len}, out);
            digest_sha256_add(&all, (struct bytes){(const char *)out, sizeof(out)});
        }
        digest_sha256_end(&all, out);
        assert_hex(out, wanted);
    }
}

/* Stream i is the text from its octet i on. */
static char text[LEN_MAX + STREAMS_MAX];
static uint8_t hashes[STREAMS_MAX][LEN_MAX + 1][DIGEST_SHA256_LEN]; /* by the scalar kernel */

static void hash_text(void)
{
    struct random random;
    random_init(&random, 4);
    fill(&random, text, sizeof(text));
    select_scalar(true);
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        for (size_t len = 0; len <= LEN_MAX; len++)
            digest_sha256_once((struct bytes){text + i, len}, hashes[i][len]);
    }
}

struct part { /* of stream i: a cut length of it */
    size_t len, cut;
};

/* What is before the cut and, if so, what is behind it is added; the end has the rest. */
static void check_streams(const struct part *parts, size_t count, bool added)
{
    struct digest_sha256 digests[STREAMS_MAX];
    struct digest_job jobs[STREAMS_MAX];
    struct digest_end ends[STREAMS_MAX];
    uint8_t out[STREAMS_MAX][DIGEST_SHA256_LEN];
    for (size_t i = 0; i < count; i++) {
        digest_sha256_init(&digests[i]);
        jobs[i] = (struct digest_job){&digests[i], {text + i, parts[i].cut}};
    }
    digest_sha256_add_many(jobs, count);
    for (size_t i = 0; i < count; i++) {
        const struct bytes rest = {text + i + parts[i].cut, parts[i].len - parts[i].cut};
        jobs[i] = (struct digest_job){&digests[i], rest};
        ends[i] = (struct digest_end){&digests[i], added ? (struct bytes){0} : rest, out[i]};
    }
    if (added) digest_sha256_add_many(jobs, count);
    digest_sha256_end_many(ends, count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(out[i], hashes[i][parts[i].len], sizeof(out[i]));
}

/* Every number of streams, all as long and of many lengths. */
static void test_numbers(void **context)
{
    (void)context;
    hash_text();
    for (size_t way = 0; force(way); way++) {
        for (size_t count = 0; count <= STREAMS_MAX; count++) {
            for (size_t round = 0; round < 6; round++) {
                struct part parts[STREAMS_MAX];
                for (size_t i = 0; i < count; i++) {
                    parts[i].len =
                        (count * 5 + round * 53 + (round % 3 ? i * 37 : 0)) % (LEN_MAX + 1);
                    parts[i].cut = parts[i].len - parts[i].len / (round + 1);
                }
                check_streams(parts, count, round & 1);
            }
        }
    }
}

/* Every length and every cut of it in two, of many streams at once. */
static void test_many_cuts(void **context)
{
    (void)context;
    hash_text();
    for (size_t way = 0; force(way); way++) {
        struct part parts[STREAMS_MAX];
        size_t count = 0;
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (size_t cut = 0; cut <= len; cut++) {
                parts[count++] = (struct part){len, cut};
                if (count < STREAMS_MAX && (len < LEN_MAX || cut < len)) continue;
                check_streams(parts, count, false);
                check_streams(parts, count, true);
                count = 0;
            }
        }
    }
}

/* Every length, and every cut of it in two. */
static void test_lengths_and_cuts(void **context)
{
    char octets[LEN_MAX];
    struct random random;
    (void)context;
    random_init(&random, 1);
    fill(&random, octets, sizeof(octets));
    for (size_t len = 0; len <= LEN_MAX; len++) {
        uint8_t wanted[DIGEST_SHA256_LEN], got[DIGEST_SHA256_LEN];
        select_scalar(true);
        digest_sha256_once((struct bytes){octets, len}, wanted);
        select_scalar(false);
        for (size_t cut = 0; cut <= len; cut++) {
            struct digest_sha256 digest;
            digest_sha256_init(&digest);
            digest_sha256_add(&digest, (struct bytes){octets, cut});
            digest_sha256_add(&digest, (struct bytes){octets + cut, len - cut});
            digest_sha256_end(&digest, got);
            assert_memory_equal(got, wanted, sizeof(got));
        }
    }
}

/* Any number of streams of any lengths in pieces of any size, some streams absent in a round. */
static void test_many(void **context)
{
    enum { STREAMS = 40, STREAM_MAX = 3000 };
    static char octets[STREAMS][STREAM_MAX];
    struct random random;
    (void)context;
    random_init(&random, 2);
    for (size_t i = 0; i < STREAMS; i++)
        fill(&random, octets[i], STREAM_MAX);
    for (int round = 0; round < 1000; round++) {
        const size_t count = random_below(&random, STREAMS + 1);
        struct digest_sha256 digests[STREAMS];
        size_t len[STREAMS], at[STREAMS] = {0}, left = 0;
        for (size_t i = 0; i < count; i++) {
            digest_sha256_init(&digests[i]);
            len[i] = random_below(&random, random_below(&random, 2) ? STREAM_MAX : 200);
            left += len[i];
        }
        select_scalar(false);
        while (left > 0) {
            struct digest_job jobs[STREAMS];
            size_t used = 0;
            for (size_t i = 0; i < count; i++) {
                const size_t most = random_below(&random, 1000);
                const size_t piece = MIN(len[i] - at[i], most);
                if (piece == 0 && random_below(&random, 2)) continue;
                jobs[used++] = (struct digest_job){&digests[i], {octets[i] + at[i], piece}};
                at[i] += piece;
                left -= piece;
            }
            digest_sha256_add_many(jobs, used);
        }
        for (size_t i = 0; i < count; i++) {
            uint8_t wanted[DIGEST_SHA256_LEN], got[DIGEST_SHA256_LEN];
            select_scalar(false);
            digest_sha256_end(&digests[i], got);
            select_scalar(true);
            digest_sha256_once((struct bytes){octets[i], len[i]}, wanted);
            assert_memory_equal(got, wanted, sizeof(got));
        }
    }
}

/* Those this CPU has, chosen or not: any number of lanes and blocks, against the scalar one. */
static void test_kernels(void **context)
{
    enum { BLOCKS = 5 };
    const struct digest_ops *kernels[3] = {&digest_ops_lanes};
    size_t kernel_count = 1;
#ifdef __x86_64__
    if (digest_has_shani()) kernels[kernel_count++] = &digest_ops_shani;
    if (simd_available(SIMD_AVX512)) kernels[kernel_count++] = &digest_ops_avx512;
#endif
    char octets[DIGEST_LANES][BLOCKS * DIGEST_SHA256_BLOCK];
    struct random random;
    (void)context;
    random_init(&random, 3);
    for (size_t kernel = 0; kernel < kernel_count; kernel++) {
        for (int round = 0; round < 200; round++) {
            const size_t count = 1 + random_below(&random, kernels[kernel]->lanes);
            const size_t blocks = random_below(&random, BLOCKS + 1);
            uint32_t wanted[DIGEST_LANES][8], got[DIGEST_LANES][8];
            struct digest_lane wanted_lanes[DIGEST_LANES], got_lanes[DIGEST_LANES];
            for (size_t i = 0; i < count; i++) {
                fill(&random, octets[i], sizeof(octets[i]));
                fill(&random, (char *)wanted[i], sizeof(wanted[i]));
                memcpy(got[i], wanted[i], sizeof(got[i]));
                wanted_lanes[i] = (struct digest_lane){wanted[i], (const uint8_t *)octets[i]};
                got_lanes[i] = (struct digest_lane){got[i], (const uint8_t *)octets[i]};
            }
            digest_ops_scalar.blocks(wanted_lanes, count, blocks);
            kernels[kernel]->blocks(got_lanes, count, blocks);
            assert_memory_equal(got, wanted, count * sizeof(got[0]));
        }
    }
}

static int restore(void **context)
{
    (void)context;
    digest_choice = best;
    select_scalar(false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nist, restore),
        cmocka_unit_test(test_hmac_rfc4231),
        cmocka_unit_test(test_pbkdf2_rfc7914),
        cmocka_unit_test(test_equal),
        cmocka_unit_test_teardown(test_lengths_and_cuts, restore),
        cmocka_unit_test_teardown(test_many, restore),
        cmocka_unit_test_teardown(test_beginnings, restore),
        cmocka_unit_test_teardown(test_numbers, restore),
        cmocka_unit_test_teardown(test_many_cuts, restore),
        cmocka_unit_test(test_kernels),
    };
    at_start = simd_level();
    best = digest_choice;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
