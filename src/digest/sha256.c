/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256 - streams in pieces: whole blocks go to the kernel, many streams' at a time
 */
#include "internal.h"
#include "ringpost/simd.h"
#ifdef __x86_64__
#include <cpuid.h>
#endif

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

struct digest_choice digest_choice = {.few = &digest_ops_lanes};

#ifdef __x86_64__
/* A feature of their own: no level of simd has these instructions. */
bool digest_has_shani(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* From how many streams sixteen lanes of AVX-512 are faster than the SHA instructions: see the
 * README. SIZE_MAX: never. */
static size_t worth_many(void)
{
    enum { FAMILY_ZEN5 = 0x1a, ZEN5 = 9, OTHERS = 12 };
    unsigned a, b, c, d;
    if (!digest_has_shani()) return 2; /* else there are four lanes, or plain C */
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx) return OTHERS;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return OTHERS;
    const unsigned family = (a >> 8 & 15) + (a >> 20 & 255);
    return family >= FAMILY_ZEN5 ? ZEN5 : SIZE_MAX;
}

static __attribute__((constructor)) void choose(void) /* before main() */
{
    if (digest_has_shani()) digest_choice.few = &digest_ops_shani;
    if (simd_available(SIMD_AVX512)) {
        digest_choice.many = &digest_ops_avx512;
        digest_choice.many_from = worth_many();
    }
}
#endif

/* For so many streams at hand. RINGPOST_SIMD is obeyed here, too. */
static const struct digest_ops *ops_for(size_t streams)
{
    const struct digest_choice *choice = &digest_choice;
    if (simd_in_force == SIMD_SCALAR) return &digest_ops_scalar;
    if (choice->many == NULL || streams < choice->many_from) return choice->few;
    return simd_in_force == SIMD_AVX512 ? choice->many : choice->few;
}

void digest_sha256_init(struct digest_sha256 *digest)
{
    memcpy(digest->state, initial, sizeof(initial));
    digest->len = 0;
}

static size_t kept_len(const struct digest_sha256 *digest)
{
    return digest->len % DIGEST_SHA256_BLOCK;
}

/* ---- one after the other and side by side -------------------------------------------------------
 */

/* A stream's octets, cut into what was kept with as much as makes it a block, whole blocks, and a
 * rest that is kept. */
struct stream {
    struct digest_sha256 *digest;
    const uint8_t *data; /* of the blocks at hand */
    size_t blocks;
    struct bytes rest; /* behind them */
};

static void keep(struct digest_sha256 *digest, struct bytes octets)
{
    if (octets.len > 0) memcpy(digest->kept + kept_len(digest), octets.data, octets.len);
    digest->len += octets.len;
}

/* The next blocks of the stream; false: there is none any more, and the rest is kept. */
static bool stream_next(struct stream *stream)
{
    struct digest_sha256 *digest = stream->digest;
    const size_t kept = kept_len(digest), missing = DIGEST_SHA256_BLOCK - kept;
    struct bytes rest = stream->rest;
    if (rest.len < missing) {
        keep(digest, rest);
        return false;
    }
    if (kept > 0) {
        keep(digest, (struct bytes){rest.data, missing});
        stream->data = digest->kept;
        stream->blocks = 1;
        stream->rest = bytes_skip(rest, missing);
    } else {
        stream->data = (const uint8_t *)rest.data;
        stream->blocks = rest.len / DIGEST_SHA256_BLOCK;
        stream->rest = bytes_skip(rest, stream->blocks * DIGEST_SHA256_BLOCK);
        digest->len += stream->blocks * DIGEST_SHA256_BLOCK;
    }
    return true;
}

static void add_blocks(struct digest_sha256 *digest, const void *data, size_t blocks)
{
    const struct digest_lane lane = {digest->state, data};
    ops_for(1)->blocks(&lane, 1, blocks);
}

/* Without the stream: for a small message that would be a good part of the work. */
void digest_sha256_add(struct digest_sha256 *digest, struct bytes octets)
{
    const size_t kept = kept_len(digest), missing = DIGEST_SHA256_BLOCK - kept;
    if (kept > 0 && octets.len >= missing) {
        keep(digest, (struct bytes){octets.data, missing});
        add_blocks(digest, digest->kept, 1);
        octets = bytes_skip(octets, missing);
    }
    if (octets.len >= DIGEST_SHA256_BLOCK) {
        const size_t blocks = octets.len / DIGEST_SHA256_BLOCK;
        add_blocks(digest, octets.data, blocks);
        digest->len += blocks * DIGEST_SHA256_BLOCK;
        octets = bytes_skip(octets, blocks * DIGEST_SHA256_BLOCK);
    }
    keep(digest, octets);
}

/* As many blocks of each of the first streams as all of them have; those that are done go. Returns
 * how many are left. */
static size_t advance(struct stream *streams, size_t running)
{
    struct digest_lane lanes[DIGEST_LANES];
    const struct digest_ops *ops = ops_for(running);
    const size_t used = MIN(running, ops->lanes);
    size_t blocks = SIZE_MAX, lane = 0;
    do {
        lanes[lane] = (struct digest_lane){streams[lane].digest->state, streams[lane].data};
        blocks = MIN(blocks, streams[lane].blocks);
    } while (++lane < used);
    ops->blocks(lanes, used, blocks);
    for (size_t i = used; i-- > 0;) { /* from the end: what takes its place has been here */
        struct stream *stream = &streams[i];
        stream->data += blocks * DIGEST_SHA256_BLOCK;
        stream->blocks -= blocks;
        if (stream->blocks == 0 && !stream_next(stream)) *stream = streams[--running];
    }
    return running;
}

void digest_sha256_add_many(struct digest_job *jobs, size_t count)
{
    struct stream streams[DIGEST_LANES];
    size_t running = 0, next = 0;
    for (;;) {
        while (running < DIGEST_LANES && next < count) {
            streams[running] =
                (struct stream){.digest = jobs[next].state, .rest = jobs[next].octets};
            next += 1;
            running += stream_next(&streams[running]);
        }
        if (running == 0) return;
        running = advance(streams, running);
    }
}

/* ---- end ----------------------------------------------------------------------------------------
 */

static void store_be32(uint8_t *octets, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        octets[i] = (uint8_t)value;
}

static void write_out(const struct digest_sha256 *digest, uint8_t out[DIGEST_SHA256_LEN])
{
    for (int i = 0; i < 8; i++)
        store_be32(out + 4 * i, digest->state[i]);
}

/* What was kept, the last octets, at most a block of them, and FIPS 180-4 section 5.1.1: a bit,
 * zeros, the length in bits in the last eight octets. */
enum { LAST_BLOCKS = 3, LENGTH_LEN = 8 };
struct last {
    uint8_t octets[LAST_BLOCKS * DIGEST_SHA256_BLOCK];
};

static size_t pad(const struct digest_sha256 *digest, struct bytes octets, struct last *last)
{
    const size_t kept = kept_len(digest), at = kept + octets.len;
    const size_t blocks = (at + 1 + LENGTH_LEN + DIGEST_SHA256_BLOCK - 1) / DIGEST_SHA256_BLOCK;
    uint8_t *end = last->octets + blocks * DIGEST_SHA256_BLOCK;
    memcpy(last->octets, digest->kept, DIGEST_SHA256_BLOCK); /* all: that is one move */
    if (octets.len > 0) memcpy(last->octets + kept, octets.data, octets.len);
    memset(last->octets + at, 0, (size_t)(end - last->octets) - at);
    last->octets[at] = 0x80;
    const uint64_t bits = (digest->len + octets.len) * 8;
    store_be32(end - 8, (uint32_t)(bits >> 32));
    store_be32(end - 4, (uint32_t)bits);
    return blocks;
}

/* The octets, at most a block of them, with the padding: one run of blocks less. */
static void end_with(struct digest_sha256 *digest, struct bytes octets,
                     uint8_t out[DIGEST_SHA256_LEN])
{
    struct last last;
    add_blocks(digest, last.octets, pad(digest, octets, &last));
    write_out(digest, out);
}

void digest_sha256_end(struct digest_sha256 *digest, uint8_t out[DIGEST_SHA256_LEN])
{
    end_with(digest, (struct bytes){0}, out);
}

void digest_sha256_end_many(const struct digest_end *ends, size_t count)
{
    struct last last[DIGEST_LANES];
    if (count == 1 && ends->octets.len <= DIGEST_SHA256_BLOCK) {
        end_with(ends->state, ends->octets, ends->out);
        return;
    }
    for (size_t at = 0; at < count; at += DIGEST_LANES) {
        struct stream streams[DIGEST_LANES];
        const size_t some = MIN(count - at, (size_t)DIGEST_LANES);
        for (size_t i = 0; i < some; i++) {
            const struct digest_end *end = &ends[at + i];
            struct bytes octets = end->octets;
            if (octets.len > DIGEST_SHA256_BLOCK) {
                digest_sha256_add(end->state, octets);
                octets = (struct bytes){0};
            }
            const size_t blocks = pad(end->state, octets, &last[i]);
            end->state->len = 0; /* nothing is kept: there is nothing behind these blocks */
            streams[i] = (struct stream){end->state, last[i].octets, blocks, {0}};
        }
        for (size_t running = some; running > 0;)
            running = advance(streams, running);
        for (size_t i = 0; i < some; i++)
            write_out(ends[at + i].state, ends[at + i].out);
    }
}

void digest_sha256_once(struct bytes octets, uint8_t out[DIGEST_SHA256_LEN])
{
    struct digest_sha256 digest;
    digest_sha256_init(&digest);
    digest_sha256_add(&digest, octets);
    digest_sha256_end(&digest, out);
}
