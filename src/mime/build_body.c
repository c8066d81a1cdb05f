/* SPDX-License-Identifier: Apache-2.0
 *
 * build_body - which encoding a body needs, and its octets through that encoder
 *
 * Text has CRLF line ends before it is encoded (RFC 2049 section 4 step 2); what has others passes
 * through body->chunk. Everything else goes from the caller's memory into the caller's buffer.
 */
#include "build_private.h"
#include "ringpost/scan.h"

enum { QP_FLAGS = CODEC_QP_ESCAPE_FROM | CODEC_QP_ESCAPE_DOT };

/* ---- the source ------------------------------------------------------------------------------ */

/* The next octets of the content with CRLF line ends: at most CHUNK, none at the end only. */
static size_t normalise(struct mime_build_body *body, char *out)
{
    const struct bytes content = body->part->content;
    size_t done = 0;
    while (body->at < content.len && done + 2 < MIME_BUILD_CHUNK) {
        const char *from = content.data + body->at;
        const size_t reach = MIN(content.len - body->at, MIME_BUILD_CHUNK - 2 - done);
        const char *lf = memchr(from, '\n', reach);
        const size_t run = lf != NULL ? (size_t)(lf - from) : reach;
        memcpy(out + done, from, run);
        done += run;
        body->at += run;
        if (lf == NULL) continue;
        if (body->at == 0 || content.data[body->at - 1] != '\r') out[done++] = '\r';
        out[done++] = '\n';
        body->at += 1;
    }
    if (body->at == content.len && !body->settled && done + 2 <= MIME_BUILD_CHUNK) {
        body->settled = true;
        if (content.len > 0 && content.data[content.len - 1] != '\n') {
            memcpy(out + done, "\r\n", 2);
            done += 2;
        }
    }
    return done;
}

static struct bytes peek(struct mime_build_body *body)
{
    if (!body->part->normalise) return bytes_skip(body->part->content, body->at);
    if (body->chunk_at == body->chunk_len) {
        body->chunk_at = 0;
        body->chunk_len = normalise(body, body->chunk);
    }
    return (struct bytes){body->chunk + body->chunk_at, body->chunk_len - body->chunk_at};
}

static void take(struct mime_build_body *body, size_t n)
{
    if (body->part->normalise) {
        body->chunk_at += n;
    } else {
        body->at += n;
    }
}

/* ---- through the encoder --------------------------------------------------------------------- */

void mime_build_body_open(struct mime_build_body *body, const struct mime_build_part *part)
{
    body->part = part;
    body->active = true;
    body->settled = false;
    body->at = body->chunk_at = body->chunk_len = 0;
    if (part->encoding == MIME_BASE64) {
        codec_base64_encoder_init(&body->base64, CODEC_BASE64_LINE);
    }
    if (part->encoding == MIME_QUOTED_PRINTABLE) codec_qp_encoder_init(&body->qp, QP_FLAGS);
}

static struct codec_progress feed(struct mime_build_body *body, struct bytes source, char *dst,
                                  size_t cap)
{
    if (body->part->encoding == MIME_BASE64) {
        return codec_base64_encoder_feed(&body->base64, source.data, source.len, dst, cap);
    }
    if (body->part->encoding == MIME_QUOTED_PRINTABLE) {
        return codec_qp_encoder_feed(&body->qp, source.data, source.len, dst, cap);
    }
    const size_t n = MIN(source.len, cap);
    memcpy(dst, source.data, n);
    return (struct codec_progress){n, n};
}

static size_t finish(struct mime_build_body *body, char *dst)
{
    body->active = false;
    if (body->part->encoding == MIME_BASE64) return codec_base64_encoder_finish(&body->base64, dst);
    if (body->part->encoding == MIME_QUOTED_PRINTABLE) {
        return codec_qp_encoder_finish(&body->qp, dst);
    }
    return 0;
}

size_t mime_build_body_fill(struct mime_build_body *body, char *dst, size_t cap)
{
    size_t done = 0;
    ASSERT(cap >= CODEC_ROOM_MIN);
    while (body->active && cap - done >= CODEC_ROOM_MIN) {
        const struct bytes source = peek(body);
        if (source.len == 0) {
            done += finish(body, dst + done);
            break;
        }
        const struct codec_progress progress = feed(body, source, dst + done, cap - done);
        ASSERT(progress.taken > 0 || progress.written > 0); /* codec/common.h: always with room */
        take(body, progress.taken);
        done += progress.written;
    }
    return done;
}

/* ---- what is in it --------------------------------------------------------------------------- */

struct profile {
    uint64_t len;   /* with CRLF line ends, if it is to be normalised */
    uint64_t high;  /* octets over 127 */
    uint64_t line;  /* the longest */
    uint32_t class; /* enum scan_class */
};

static size_t count_high(struct bytes text)
{
    size_t high = 0;
    for (size_t i = 0; i < text.len; i++)
        high += (unsigned char)text.data[i] >> 7;
    return high;
}

/* One pass; piece takes the copy that nobody wants. */
static struct profile profile_of(struct mime_builder *builder, const struct mime_build_part *part)
{
    struct mime_build_body *body = &builder->body;
    struct profile profile = {0};
    struct scan_reader reader;
    scan_reader_init(&reader, false);
    mime_build_body_open(body, part);
    for (struct bytes source; (source = peek(body)).len > 0;) {
        source.len = MIN(source.len, MIME_BUILD_PIECE / 2);
        profile.high += count_high(source);
        const struct scan_progress progress =
            scan_read(&reader, source.data, source.len, builder->piece, MIME_BUILD_PIECE);
        ASSERT(progress.taken == source.len);
        take(body, source.len);
    }
    body->active = false;
    scan_reader_finish(&reader);
    profile.len = reader.octets;
    profile.line = scan_reader_longest(&reader);
    profile.class = reader.classes;
    return profile;
}

static bool has_delimiter(const struct mime_builder *builder, struct bytes content)
{
    char delimiter[MIME_BUILD_DELIMITER];
    const size_t len = mime_build_delimiter(builder, delimiter);
    return content.len > 0 && memmem(content.data, content.len, delimiter, len) != NULL;
}

/* 7bit or 8bit if it can go as it is; false if it cannot. */
static bool choose_none(struct mime_builder *builder, struct mime_build_part *part,
                        const struct profile *profile)
{
    if (profile->class & (SCAN_NUL | SCAN_BARE_CR | SCAN_BARE_LF)) return false;
    if (profile->line > MIME_BUILD_LINE_MAX) return false;
    if (profile->high > 0 && !builder->message->eight_bit) return false;
    if (has_delimiter(builder, part->content)) return false;
    part->encoding = profile->high > 0 ? MIME_8BIT : MIME_7BIT;
    part->len = profile->len;
    builder->eight_bit |= profile->high > 0;
    return true;
}

static void choose_base64(struct mime_build_part *part, uint64_t len)
{
    part->encoding = MIME_BASE64;
    part->len = codec_base64_encoded_len(len, CODEC_BASE64_LINE);
}

static void choose_qp(struct mime_builder *builder, struct mime_build_part *part)
{
    part->encoding = MIME_QUOTED_PRINTABLE;
    part->len = 0;
    mime_build_body_open(&builder->body, part);
    while (builder->body.active)
        part->len += mime_build_body_fill(&builder->body, builder->piece, MIME_BUILD_PIECE);
}

/* QP makes 3 octets of 1 where base64 makes 4 of 3: with a sixth over 127 they are equal. */
static void choose_encoding(struct mime_builder *builder, struct mime_build_part *part,
                            const struct profile *profile)
{
    if (choose_none(builder, part, profile)) return;
    if (profile->high * 6 > profile->len) {
        choose_base64(part, profile->len);
    } else {
        choose_qp(builder, part);
    }
}

static const char *charset_of(struct bytes content, const struct profile *profile)
{
    if (profile->high == 0) return "us-ascii";
    return scan_utf8_is_valid(content.data, content.len) ? "utf-8" : NULL;
}

/* Normalising only adds octets: where it added none, the content goes as it is, not through chunk.
 */
static struct profile profile_of_lines(struct mime_builder *builder, struct mime_build_part *part)
{
    part->normalise = true;
    const struct profile profile = profile_of(builder, part);
    part->normalise = profile.len != part->content.len;
    return profile;
}

void mime_build_plan_text(struct mime_builder *builder, struct mime_build_part *part)
{
    if (part->content.data == NULL) part->content = (struct bytes){"", 0};
    const struct profile profile = profile_of_lines(builder, part);
    part->charset = profile.high > 0 ? "utf-8" : "us-ascii"; /* build_check.c has looked */
    choose_encoding(builder, part, &profile);
}

/* Text that is attached stays as it is: QP and no encoding only if its line ends are CRLF. */
static void plan_attached_text(struct mime_builder *builder, struct mime_build_part *part)
{
    const struct profile profile = profile_of(builder, part);
    part->charset = charset_of(part->content, &profile);
    if (profile.class & (SCAN_NUL | SCAN_BARE_CR | SCAN_BARE_LF)) {
        choose_base64(part, part->content.len);
    } else {
        choose_encoding(builder, part, &profile);
    }
}

/* RFC 2046 section 5.2.1: no encoding but 7bit and 8bit. */
static void plan_message(struct mime_builder *builder, struct mime_build_part *part)
{
    const struct profile profile = profile_of_lines(builder, part);
    if (choose_none(builder, part, &profile)) return;
    part->normalise = false;
    part->opaque = true;
    choose_base64(part, part->content.len);
}

void mime_build_plan_part(struct mime_builder *builder, struct mime_build_part *part)
{
    part->encoding = MIME_7BIT;
    part->normalise = part->opaque = false;
    part->charset = NULL;
    if (bytes_starts_with_nocase(part->type, BYTES("text/"))) {
        plan_attached_text(builder, part);
    } else if (bytes_starts_with_nocase(part->type, BYTES("message/"))) {
        plan_message(builder, part);
    } else {
        choose_base64(part, part->content.len);
    }
}
