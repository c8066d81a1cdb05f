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

static const struct digest_ops *best = &digest_ops_lanes; /* of this CPU */

#ifdef __x86_64__
/* A feature of their own: no level of simd has these instructions. */
bool digest_has_shani(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

static __attribute__((constructor)) void choose(void) /* before main() */
{
    if (digest_has_shani()) best = &digest_ops_shani;
}
#endif

/* RINGPOST_SIMD=scalar is obeyed here, too. */
static const struct digest_ops *ops(void)
{
    return simd_in_force == SIMD_SCALAR ? &digest_ops_scalar : best;
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

void digest_sha256_add(struct digest_sha256 *digest, struct bytes octets)
{
    struct stream stream = {.digest = digest, .rest = octets};
    while (stream_next(&stream)) {
        const struct digest_lane lane = {digest->state, stream.data};
        ops()->blocks(&lane, 1, stream.blocks);
    }
}

void digest_sha256_add_many(struct digest_job *jobs, size_t count)
{
    struct stream streams[DIGEST_LANES];
    struct digest_lane lanes[DIGEST_LANES];
    size_t running = 0, next = 0;
    for (;;) {
        while (running < DIGEST_LANES && next < count) {
            streams[running] =
                (struct stream){.digest = jobs[next].state, .rest = jobs[next].octets};
            next += 1;
            running += stream_next(&streams[running]);
        }
        if (running == 0) return;
        size_t blocks = SIZE_MAX;
        for (size_t i = 0; i < running; i++) {
            lanes[i] = (struct digest_lane){streams[i].digest->state, streams[i].data};
            blocks = MIN(blocks, streams[i].blocks);
        }
        ops()->blocks(lanes, running, blocks);
        for (size_t i = 0; i < running;) {
            struct stream *stream = &streams[i];
            stream->data += blocks * DIGEST_SHA256_BLOCK;
            stream->blocks -= blocks;
            if (stream->blocks > 0 || stream_next(stream))
                i += 1;
            else
                *stream = streams[--running];
        }
    }
}

/* ---- end ----------------------------------------------------------------------------------------
 */

static void store_be(uint8_t *octets, uint64_t value, int len)
{
    for (int i = len - 1; i >= 0; i--, value >>= 8)
        octets[i] = (uint8_t)value;
}

/* FIPS 180-4 section 5.1.1: a bit, zeros, the length in bits in the last eight octets. */
void digest_sha256_end(struct digest_sha256 *digest, uint8_t out[DIGEST_SHA256_LEN])
{
    enum { LENGTH_AT = DIGEST_SHA256_BLOCK - 8 };
    uint8_t last[2 * DIGEST_SHA256_BLOCK] = {0};
    const size_t kept = kept_len(digest), blocks = kept < LENGTH_AT ? 1 : 2;
    memcpy(last, digest->kept, kept);
    last[kept] = 0x80;
    store_be(last + blocks * DIGEST_SHA256_BLOCK - 8, digest->len * 8, 8);
    const struct digest_lane lane = {digest->state, last};
    ops()->blocks(&lane, 1, blocks);
    for (int i = 0; i < 8; i++)
        store_be(out + 4 * i, digest->state[i], 4);
}

void digest_sha256_once(struct bytes octets, uint8_t out[DIGEST_SHA256_LEN])
{
    struct digest_sha256 digest;
    digest_sha256_init(&digest);
    digest_sha256_add(&digest, octets);
    digest_sha256_end(&digest, out);
}
