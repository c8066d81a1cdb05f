/* SPDX-License-Identifier: Apache-2.0
 *
 * ours - what is measured of Ringpost, in words that C++ understands
 */
#include "ours.h"
#include "ringpost/codec.h"
#include "ringpost/digest.h"

#define PIECE 8192u /* canonical octets at a time: they are still in the cache when hashed */

void ours_sha256(const char *data, size_t size, uint8_t out[32])
{
    digest_sha256_once((struct bytes){data, size}, out);
}

void ours_sha256_many(const char *data, size_t size, size_t count, uint8_t out[32])
{
    struct digest_sha256 states[DIGEST_LANES];
    struct digest_job jobs[DIGEST_LANES];
    for (size_t i = 0; i < count; i++) {
        digest_sha256_init(&states[i]);
        jobs[i] = (struct digest_job){&states[i], {data + i * size, size}};
    }
    digest_sha256_add_many(jobs, count);
    for (size_t i = 0; i < count; i++)
        digest_sha256_end(&states[i], out);
}

struct body {
    struct codec_dkim_body canonical;
    struct digest_sha256 digest;
    struct bytes left;
    bool ended;
    char piece[PIECE];
};

static void body_init(struct body *body, const char *data, size_t size)
{
    codec_dkim_body_init(&body->canonical, CODEC_DKIM_RELAXED);
    digest_sha256_init(&body->digest);
    body->left = (struct bytes){data, size};
    body->ended = false;
}

/* The next canonical octets; none: that was all. */
static struct bytes body_next(struct body *body)
{
    size_t used = 0;
    if (body->left.len > 0) {
        const struct codec_progress progress = codec_dkim_body_feed(
            &body->canonical, body->left.data, body->left.len, body->piece, PIECE);
        body->left = bytes_skip(body->left, progress.taken);
        used = progress.written;
    }
    if (used == 0 && body->left.len == 0)
        used = codec_dkim_body_finish(&body->canonical, body->piece);
    return (struct bytes){body->piece, used};
}

void ours_body(const char *data, size_t size, uint8_t out[32])
{
    struct body body;
    body_init(&body, data, size);
    for (struct bytes piece = body_next(&body); piece.len > 0; piece = body_next(&body))
        digest_sha256_add(&body.digest, piece);
    digest_sha256_end(&body.digest, out);
}

void ours_body_many(const char *data, size_t size, size_t count, uint8_t out[32])
{
    static struct body bodies[DIGEST_LANES];
    struct digest_job jobs[DIGEST_LANES];
    for (size_t i = 0; i < count; i++)
        body_init(&bodies[i], data + i * size, size);
    size_t pieces = 0;
    do {
        pieces = 0;
        for (size_t i = 0; i < count; i++) {
            const struct bytes piece = body_next(&bodies[i]);
            if (piece.len > 0) jobs[pieces++] = (struct digest_job){&bodies[i].digest, piece};
        }
        digest_sha256_add_many(jobs, pieces);
    } while (pieces > 0);
    for (size_t i = 0; i < count; i++)
        digest_sha256_end(&bodies[i].digest, out);
}
