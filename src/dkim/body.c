/* SPDX-License-Identifier: Apache-2.0
 *
 * body - hashes of canonical bodies, several at a time
 *
 * Each body and way of canonicalisation is a stream. As many streams as SHA-256 takes side by side
 * have a lane: a round makes the next octets of each canonical in its lane, and hashes the lanes
 * together while they are in a near cache. A stream that is done leaves its lane to the next.
 */
#include "internal.h"

enum {
    LANE_SIZE = 6144, /* sixteen and what they are made from fit the second cache, four the first */
    PART_SIZE = 1536, /* of a lane: while it is hashed as much can come from far */
    CACHE_LINE = 64,
    ENDS_MAX = 32, /* streams that end together */
};

void dkim_body_init(struct dkim_body *body, uint8_t modes)
{
    body->modes = modes;
    for (int mode = 0; mode < 2; mode++) {
        if (!(modes >> mode & 1)) continue;
        codec_dkim_body_init(&body->codecs[mode], (enum codec_dkim_mode)mode);
        digest_sha256_init(&body->digests[mode]);
    }
}

struct stream {
    struct codec_dkim_body *codec;
    struct digest_sha256 *digest;
    struct bytes rest;
};

/* The streams of all pieces, one after the other. */
struct streams {
    const struct dkim_piece *pieces;
    size_t count, piece;
    int mode;
};

static bool streams_next(struct streams *streams, struct stream *stream)
{
    for (; streams->piece < streams->count; streams->piece++, streams->mode = 0) {
        const struct dkim_piece *piece = &streams->pieces[streams->piece];
        for (; streams->mode < 2; streams->mode++) {
            const int mode = streams->mode;
            if (!(piece->body->modes >> mode & 1) || piece->octets.len == 0) continue;
            streams->mode += 1;
            *stream = (struct stream){&piece->body->codecs[mode], &piece->body->digests[mode],
                                      piece->octets};
            return true;
        }
    }
    return false;
}

enum { NOT_ALONE = -1 };

/* Of a single body with one mode: that mode. Then there is nothing to choose from, which for a
 * small body is half of what comes on top of the hash. */
static int lonely_mode(const struct dkim_body *body, size_t bodies)
{
    if (bodies != 1) return NOT_ALONE;
    if (body->modes == 1 << CODEC_DKIM_SIMPLE) return CODEC_DKIM_SIMPLE;
    return body->modes == 1 << CODEC_DKIM_RELAXED ? CODEC_DKIM_RELAXED : NOT_ALONE;
}

/* Whole blocks of the lane; returns their length. Meanwhile what comes next is fetched, a part at a
 * time: the codec reads it all at once, faster than it would come from a far cache. Not inline, for
 * small bodies do without. */
static __attribute__((noinline)) size_t hash_lane(struct digest_sha256 *digest, struct bytes lane,
                                                  struct bytes next)
{
    size_t hashed = 0;
    for (;;) {
        const size_t into_block = digest->len % DIGEST_SHA256_BLOCK, left = lane.len - hashed;
        size_t part = MIN(left, PART_SIZE - into_block);
        part -= MIN(part, (into_block + part) % DIGEST_SHA256_BLOCK);
        if (part == 0) return hashed;
        for (size_t at = 0; at < MIN(next.len, (size_t)PART_SIZE); at += CACHE_LINE)
            __builtin_prefetch(next.data + at);
        next = bytes_skip(next, MIN(next.len, (size_t)PART_SIZE));
        digest_sha256_add(digest, (struct bytes){lane.data + hashed, part});
        hashed += part;
    }
}

static void add_alone(struct dkim_body *body, int mode, struct bytes rest)
{
    struct digest_sha256 *digest = &body->digests[mode];
    _Alignas(CACHE_LINE) char lane[LANE_SIZE];
    size_t made = 0;
    while (rest.len > 0) {
        const struct codec_progress done = codec_dkim_body_feed(
            &body->codecs[mode], rest.data, rest.len, lane + made, LANE_SIZE - made);
        made += done.written;
        rest = bytes_skip(rest, done.taken);
        if (rest.len == 0) break;
        const size_t hashed = hash_lane(digest, (struct bytes){lane, made}, rest);
        made -= hashed;
        memmove(lane, lane + hashed, made); /* less than a block */
    }
    digest_sha256_add(digest, (struct bytes){lane, made});
}

static void add_together(struct dkim_piece *pieces, size_t count)
{
    _Alignas(CACHE_LINE) char lanes[DIGEST_LANES][LANE_SIZE];
    struct stream running[DIGEST_LANES];
    struct streams streams = {.pieces = pieces, .count = count};
    size_t used = 0;
    for (;;) {
        while (used < DIGEST_LANES && streams_next(&streams, &running[used]))
            used += 1;
        if (used == 0) return;
        struct digest_job jobs[DIGEST_LANES];
        for (size_t i = 0; i < used; i++) {
            struct stream *stream = &running[i];
            const struct codec_progress done = codec_dkim_body_feed(
                stream->codec, stream->rest.data, stream->rest.len, lanes[i], LANE_SIZE);
            stream->rest = bytes_skip(stream->rest, done.taken);
            jobs[i] = (struct digest_job){stream->digest, {lanes[i], done.written}};
        }
        digest_sha256_add_many(jobs, used);
        for (size_t i = 0; i < used;) {
            if (running[i].rest.len > 0)
                i += 1;
            else
                running[i] = running[--used];
        }
    }
}

void dkim_bodies_add(struct dkim_piece *pieces, size_t count)
{
    const int mode = count > 0 ? lonely_mode(pieces->body, count) : NOT_ALONE;
    if (mode == NOT_ALONE)
        add_together(pieces, count);
    else
        add_alone(pieces->body, mode, pieces->octets);
}

/* Most often one CRLF. Of more than fits the room all but the last of it is hashed. */
static struct bytes last_octets(struct codec_dkim_body *codec, struct digest_sha256 *digest,
                                char room[CODEC_ROOM_MIN])
{
    size_t len = codec_dkim_body_finish(codec, room);
    char more[CODEC_ROOM_MIN];
    for (size_t next; (next = codec_dkim_body_finish(codec, more)) > 0; len = next) {
        digest_sha256_add(digest, (struct bytes){room, len});
        memcpy(room, more, next);
    }
    return (struct bytes){room, len};
}

static void end_alone(struct dkim_body *body, int mode, struct dkim_hashes *hashes)
{
    char room[CODEC_ROOM_MIN];
    struct digest_sha256 *digest = &body->digests[mode];
    const struct bytes last = last_octets(&body->codecs[mode], digest, room);
    digest_sha256_end_many(&(struct digest_end){digest, last, hashes->of[mode]}, 1);
}

static void end_some(const struct dkim_end *ends, size_t count)
{
    char rooms[ENDS_MAX][CODEC_ROOM_MIN];
    struct digest_end streams[ENDS_MAX];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct dkim_body *body = ends[i].body;
        for (int mode = 0; mode < 2; mode++) {
            if (!(body->modes >> mode & 1)) continue;
            struct digest_sha256 *digest = &body->digests[mode];
            streams[used] =
                (struct digest_end){digest, last_octets(&body->codecs[mode], digest, rooms[used]),
                                    ends[i].hashes->of[mode]};
            used += 1;
        }
    }
    digest_sha256_end_many(streams, used);
}

void dkim_bodies_end(const struct dkim_end *ends, size_t count)
{
    const int mode = count > 0 ? lonely_mode(ends->body, count) : NOT_ALONE;
    if (mode != NOT_ALONE) {
        end_alone(ends->body, mode, ends->hashes);
        return;
    }
    for (size_t at = 0; at < count; at += ENDS_MAX / 2)
        end_some(ends + at, MIN(count - at, (size_t)ENDS_MAX / 2));
}

void dkim_body_end(struct dkim_body *body, struct dkim_hashes *hashes)
{
    dkim_bodies_end(&(struct dkim_end){body, hashes}, 1);
}
