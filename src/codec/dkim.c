/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim - canonical bodies (RFC 6376 section 3.4), streaming
 *
 * Held back is what may turn out not to count: CRLFs (the end of the body may follow), a CR (is it
 * one of a CRLF?) and, if relaxed, white space (a line's end may follow). Up to the last octet of a
 * piece that certainly counts nothing needs to be held: that much goes through the kernels, or is
 * just copied. The rest of the piece, most often one CRLF, goes octet by octet.
 */
#include "dkim_ops.h"

enum {
    HELD_SPACE = 1 << 0, /* a run of white space, before HELD_CR */
    HELD_CR = 1 << 1,
    FINISHED = 1 << 2,
};

static const struct dkim_ops *const by_level[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = &dkim_ops_scalar,
#ifdef __aarch64__
    [SIMD_NEON] = &dkim_ops_neon,
#endif
#ifdef __x86_64__
    [SIMD_AVX2] = &dkim_ops_avx2,
    [SIMD_AVX512] = &dkim_ops_avx512,
#endif
};

uint8_t dkim_places[256][8];

/* Before main(), so that no thread ever sees it half made. */
static __attribute__((constructor)) void places_init(void)
{
    for (unsigned mask = 0; mask < 256; mask++) {
        size_t count = 0;
        for (uint8_t place = 0; place < 8; place++) {
            if (mask >> place & 1) dkim_places[mask][count++] = place;
        }
    }
}

/* ---- octet by octet ---------------------------------------------------------------------------
 */

struct room {
    char *dst;
    size_t written, cap;
};

/* False: no room, and none of the octets is written; held line ends may be. */
static bool put(struct codec_dkim_body *body, struct room *room, const char *octets, size_t n)
{
    for (; body->line_ends > 0; body->line_ends--) {
        if (room->cap - room->written < 2) return false;
        memcpy(room->dst + room->written, "\r\n", 2);
        room->written += 2;
        body->any = true;
    }
    if (room->cap - room->written < n) return false;
    memcpy(room->dst + room->written, octets, n);
    room->written += n;
    body->any = true;
    return true;
}

/* The CR that was held is one like other octets. */
static bool put_cr(struct codec_dkim_body *body, struct room *room)
{
    const bool space = body->state & HELD_SPACE;
    if (!put(body, room, space ? " \r" : "\r", space ? 2 : 1)) return false;
    body->state = 0;
    return true;
}

/* False: no room, and the octet is not taken. */
static bool step(struct codec_dkim_body *body, char octet, struct room *room)
{
    if (body->state & HELD_CR) {
        if (octet == '\n') {
            body->state = 0;
            body->line_ends += 1;
            return true;
        }
        if (!put_cr(body, room)) return false;
    }
    if (octet == '\r') {
        body->state |= HELD_CR;
        return true;
    }
    if (body->mode == CODEC_DKIM_RELAXED && (octet == ' ' || octet == '\t')) {
        body->state |= HELD_SPACE;
        return true;
    }
    const char octets[2] = {' ', octet};
    const bool space = body->state & HELD_SPACE;
    if (!put(body, room, space ? octets : octets + 1, space ? 2 : 1)) return false;
    body->state = 0;
    return true;
}

/* ---- in bulk ----------------------------------------------------------------------------------
 */

/* Length of the text up to the last octet that certainly counts. A CR at the end does not. */
static size_t certain_len(const struct codec_dkim_body *body, const char *src, size_t len)
{
    const bool relaxed = body->mode == CODEC_DKIM_RELAXED;
    if (len > 0 && src[len - 1] == '\r') len -= 1;
    while (len > 0) {
        if (relaxed && (src[len - 1] == ' ' || src[len - 1] == '\t')) {
            len -= 1;
        } else if (len > 1 && src[len - 2] == '\r' && src[len - 1] == '\n') {
            len -= 2;
        } else {
            break;
        }
    }
    return len;
}

static size_t copy(const struct codec_dkim_body *body, const char *src, size_t len, char *dst)
{
    if (body->mode == CODEC_DKIM_RELAXED) return by_level[simd_in_force]->relax(src, len, dst);
    memcpy(dst, src, len);
    return len;
}

/* Looks at as much of the source as there is room for, and at each octet once: however little room
 * there is, white space at the end of a long piece is not looked through again and again. */
static struct codec_progress feed(struct codec_dkim_body *body, const char *src, size_t len,
                                  char *dst, size_t cap)
{
    struct room room = {dst, 0, cap};
    size_t taken = 0, seen = 0, certain = 0; /* offsets: certain <= seen */
    while (taken < len) {
        if (taken == seen) {
            seen += MIN(len - taken, room.cap - room.written);
            certain = taken + certain_len(body, src + taken, seen - taken);
        }
        if (body->state != 0 || body->line_ends > 0 || taken >= certain) {
            if (!step(body, src[taken], &room)) break;
            taken += 1;
            seen = MAX(seen, taken);
        } else if (certain - taken <= room.cap - room.written) {
            room.written += copy(body, src + taken, certain - taken, room.dst + room.written);
            body->any = true;
            taken = certain;
        } else { /* what was held has taken some of the room */
            seen = taken;
        }
    }
    body->written += room.written;
    return (struct codec_progress){taken, room.written};
}

static size_t finish(struct codec_dkim_body *body, char *dst, size_t cap)
{
    struct room room = {dst, 0, cap};
    bool fits = !(body->state & HELD_CR) || put_cr(body, &room);
    if (fits && !(body->state & FINISHED)) {
        body->line_ends = 0;
        /* What has been written ends in an octet of a line, for CRLFs were held back. */
        const bool last = body->any || body->mode == CODEC_DKIM_SIMPLE;
        fits = !last || put(body, &room, "\r\n", 2);
        body->state = fits ? FINISHED : 0;
    }
    body->written += room.written;
    return room.written;
}

/* ---- contract ---------------------------------------------------------------------------------
 */

void codec_dkim_body_init(struct codec_dkim_body *body, enum codec_dkim_mode mode)
{
    *body = (struct codec_dkim_body){.mode = (uint8_t)mode};
}

/* Most often nothing is held, there is room for all, and what comes ends in one CRLF. */
struct codec_progress codec_dkim_body_feed(struct codec_dkim_body *body, const char *src,
                                           size_t len, char *dst, size_t cap)
{
    const bool plain = (body->state | body->line_ends) == 0 && len <= cap && len > 3;
    if (!plain || memcmp(src + len - 2, "\r\n", 2) != 0 || (unsigned char)src[len - 3] <= ' ')
        return feed(body, src, len, dst, cap);
    const size_t written = copy(body, src, len - 2, dst);
    body->any = true;
    body->line_ends = 1;
    body->written += written;
    return (struct codec_progress){len, written};
}

size_t codec_dkim_body_finish(struct codec_dkim_body *body, char *dst)
{
    return finish(body, dst, CODEC_ROOM_MIN);
}

/* Room: nothing is written but what came, in place of as many octets or more, and the last CRLF. */
size_t codec_dkim_canonical(const char *src, size_t len, char *dst, enum codec_dkim_mode mode)
{
    struct codec_dkim_body body;
    codec_dkim_body_init(&body, mode);
    const struct codec_progress done = feed(&body, src, len, dst, len + 2);
    ASSERT(done.taken == len);
    return done.written + finish(&body, dst + done.written, len + 2 - done.written);
}
