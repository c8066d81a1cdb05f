/* SPDX-License-Identifier: Apache-2.0
 *
 * uuencode - POSIX uuencode's historical algorithm: encoder, finding "begin", decoder
 *
 * The kernels do full lines; the steps here do everything that is unusual, octet by octet.
 */
#include "uuencode_ops.h"

static const struct uuencode_ops *const by_level[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = &uuencode_ops_scalar,
#ifdef __x86_64__
    [SIMD_NEON] = &uuencode_ops_scalar,
    [SIMD_AVX2] = &uuencode_ops_avx2,
    [SIMD_AVX512] = &uuencode_ops_avx512,
#elif defined(__aarch64__)
    [SIMD_NEON] = &uuencode_ops_neon,
#endif
};
#define ops (by_level[simd_in_force])

/* ---- encode ---------------------------------------------------------------------------------- */

size_t codec_uu_encode(const void *src, size_t len, char *dst)
{
    const unsigned char *octets = src;
    const size_t lines = len / CODEC_UU_LINE, left = len % CODEC_UU_LINE;
    size_t written = lines * UU_LINE_ENCODED;
    ops->encode_lines(octets, lines, dst);
    if (left > 0) written += uu_encode_line(octets + len - left, left, dst + written);
    return written + uu_encode_line(NULL, 0, dst + written);
}

void codec_uu_encoder_init(struct codec_uu_encoder *encoder)
{
    encoder->held_count = 0;
}

struct codec_progress codec_uu_encoder_feed(struct codec_uu_encoder *encoder, const void *src,
                                            size_t len, char *dst, size_t cap)
{
    const unsigned char *octets = src;
    struct codec_progress done = {0, 0};
    if (encoder->held_count > 0) {
        const size_t n = MIN(len, (size_t)(CODEC_UU_LINE - encoder->held_count));
        const bool full = encoder->held_count + n == CODEC_UU_LINE;
        if (full && cap < UU_LINE_ENCODED) return done;
        if (n > 0) memcpy(encoder->held + encoder->held_count, octets, n);
        encoder->held_count = (uint8_t)(encoder->held_count + n);
        done.taken = n;
        if (!full) return done;
        done.written = uu_encode_line(encoder->held, CODEC_UU_LINE, dst);
        encoder->held_count = 0;
    }
    const size_t lines =
        MIN((len - done.taken) / CODEC_UU_LINE, (cap - done.written) / UU_LINE_ENCODED);
    if (lines > 0) ops->encode_lines(octets + done.taken, lines, dst + done.written);
    done.taken += lines * CODEC_UU_LINE;
    done.written += lines * UU_LINE_ENCODED;
    const size_t left = len - done.taken;
    if (left > 0 && left < CODEC_UU_LINE) {
        memcpy(encoder->held, octets + done.taken, left);
        encoder->held_count = (uint8_t)left;
        done.taken = len;
    }
    return done;
}

size_t codec_uu_encoder_finish(struct codec_uu_encoder *encoder, char *dst)
{
    size_t written = 0;
    if (encoder->held_count > 0) written = uu_encode_line(encoder->held, encoder->held_count, dst);
    encoder->held_count = 0;
    return written + uu_encode_line(NULL, 0, dst + written);
}

/* ---- "begin" --------------------------------------------------------------------------------- */

enum { MODE_DIGITS_MIN = 3, MODE_DIGITS_MAX = 5 };

/* Is line "begin MODE NAME"? */
static bool parse_begin(const char *line, size_t len, struct codec_uu_begin *begin)
{
    static const char word[] = "begin ";
    size_t at = sizeof(word) - 1, digits = 0;
    if (len < at || memcmp(line, word, at) != 0) return false;
    begin->mode = 0;
    for (; at < len && line[at] >= '0' && line[at] <= '7' && digits <= MODE_DIGITS_MAX; at++) {
        begin->mode = begin->mode << 3 | (unsigned)(line[at] - '0');
        digits += 1;
    }
    if (digits < MODE_DIGITS_MIN || digits > MODE_DIGITS_MAX) return false;
    if (at == len || line[at] != ' ') return false;
    const struct bytes name = bytes_trim((struct bytes){line + at, len - at});
    begin->name = name.data;
    begin->name_len = name.len;
    return name.len > 0;
}

struct codec_uu_begin codec_uu_find(const char *text, size_t len)
{
    struct codec_uu_begin begin = {.offset = len, .data = len};
    for (size_t at = 0; at < len;) {
        const char *lf = memchr(text + at, '\n', len - at);
        const size_t end = lf != NULL ? (size_t)(lf - text) : len;
        if (parse_begin(text + at, end - at, &begin)) {
            begin.offset = at;
            begin.data = lf != NULL ? end + 1 : len;
            return begin;
        }
        at = end + 1;
    }
    return (struct codec_uu_begin){.offset = len, .data = len};
}

/* ---- decode ---------------------------------------------------------------------------------- */

enum state {
    LINE_START = 0,
    IN_LINE,
    AFTER_CR,
    IN_END, /* "e", "en", "end" and white space */
    ENDED,
    WRONG,
};

void codec_uu_decoder_init(struct codec_uu_decoder *decoder)
{
    *decoder = (struct codec_uu_decoder){.state = LINE_START, .error = CODEC_NO_ERROR};
}

static size_t fail(struct codec_uu_decoder *decoder, uint64_t offset)
{
    decoder->state = WRONG;
    decoder->error = offset;
    return 0;
}

static bool is_character(char c)
{
    return c >= ' ' && c <= '`';
}

/* A line has ended with the octet at ->offset. */
static size_t step_line_end(struct codec_uu_decoder *decoder, unsigned char *dst)
{
    const size_t missing = decoder->left;
    if (decoder->written + missing > decoder->offset + 1) return fail(decoder, decoder->offset);
    if (missing > 0) { /* the bits of a quantum that was cut short, then nothing */
        memset(dst, 0, missing);
        dst[0] = decoder->bits;
    }
    decoder->held = decoder->bits = decoder->left = 0;
    decoder->state = LINE_START;
    decoder->line = decoder->end = decoder->offset + 1;
    return missing;
}

static size_t step_line_start(struct codec_uu_decoder *decoder, char c, unsigned char *dst)
{
    if (c == 'e') {
        decoder->state = IN_END;
        decoder->matched = 1;
        return 0;
    }
    if (decoder->closed) {
        decoder->state = ENDED;
        return 0;
    }
    if (c == '\r' || c == '\n') {
        decoder->closed = true;
        decoder->state = AFTER_CR;
        return c == '\n' ? step_line_end(decoder, dst) : 0;
    }
    if (!is_character(c)) return fail(decoder, decoder->offset);
    decoder->left = (uint8_t)((c - ' ') & 63);
    decoder->closed = decoder->left == 0;
    decoder->state = IN_LINE;
    return 0;
}

static size_t step_in_line(struct codec_uu_decoder *decoder, char c, unsigned char *dst)
{
    if (c == '\n') return step_line_end(decoder, dst);
    if (c == '\r') {
        decoder->state = AFTER_CR;
        return 0;
    }
    if (!is_character(c)) return fail(decoder, decoder->offset);
    if (decoder->left == 0) return 0;
    const unsigned value = (unsigned)(c - ' ') & 63;
    const unsigned held = decoder->held; /* 0: 0 bits are open, 1: 6, 2: 4, 3: 2 */
    decoder->held = (uint8_t)((held + 1) & 3);
    if (held == 0) {
        decoder->bits = (uint8_t)(value << 2);
        return 0;
    }
    dst[0] = (unsigned char)(decoder->bits | value >> (6 - 2 * held));
    decoder->bits = (uint8_t)(value << (2 + 2 * held));
    decoder->left -= 1;
    return 1;
}

static size_t step_end(struct codec_uu_decoder *decoder, char c)
{
    static const char word[] = "end";
    if (decoder->matched < 3 && c == word[decoder->matched]) {
        decoder->matched += 1;
    } else if (decoder->matched == 3 && c == '\n') {
        decoder->state = ENDED;
        decoder->end = decoder->offset + 1;
    } else if (decoder->matched < 3 || (c != ' ' && c != '\t' && c != '\r')) {
        if (!decoder->closed) return fail(decoder, decoder->line);
        decoder->state = ENDED; /* somebody else's line */
    }
    return 0;
}

/* One octet of the text; returns what was written, at most ->left or 1. */
static size_t step(struct codec_uu_decoder *decoder, char c, unsigned char *dst)
{
    switch ((enum state)decoder->state) {
    case LINE_START:
        return step_line_start(decoder, c, dst);
    case IN_LINE:
        return step_in_line(decoder, c, dst);
    case AFTER_CR:
        if (c == '\n') return step_line_end(decoder, dst);
        return fail(decoder, decoder->offset - 1);
    case IN_END:
        return step_end(decoder, c);
    case ENDED:
    case WRONG:
        break;
    }
    UNREACHABLE("uuencode: an octet behind the end");
}

/* Full lines and perhaps a shorter one; only from a line start. */
static struct codec_progress decode_lines(struct codec_uu_decoder *decoder, const char *src,
                                          size_t len, unsigned char *dst, size_t room)
{
    struct codec_progress done = {0, 0};
    size_t n;
    if (len > UU_CHARACTERS) {
        done.written = ops->decode_lines(src, len, dst, room, &done.taken) * CODEC_UU_LINE;
    }
    done.taken += uu_decode_line(src + done.taken, len - done.taken, dst + done.written,
                                 room - done.written, &n);
    done.written += n;
    decoder->offset += done.taken;
    decoder->written += done.written;
    decoder->line = decoder->end = decoder->offset;
    return done;
}

struct codec_progress codec_uu_decoder_feed(struct codec_uu_decoder *decoder, const char *src,
                                            size_t len, void *dst, size_t cap)
{
    unsigned char *octets = dst;
    struct codec_progress done = {0, 0};
    while (done.taken < len) {
        if (decoder->state == LINE_START && !decoder->closed) {
            const struct codec_progress lines =
                decode_lines(decoder, src + done.taken, len - done.taken, octets + done.written,
                             cap - done.written);
            done.taken += lines.taken;
            done.written += lines.written;
            if (done.taken == len) break;
        }
        if (decoder->state >= ENDED) {
            decoder->offset += len - done.taken;
            done.taken = len;
            break;
        }
        const char c = src[done.taken];
        const size_t need = c == '\n' ? decoder->left : 1;
        if (cap - done.written < need) break;
        const size_t n = step(decoder, c, octets + done.written);
        decoder->written += n;
        decoder->offset += 1;
        done.taken += 1;
        done.written += n;
    }
    return done;
}

bool codec_uu_decoder_ended(const struct codec_uu_decoder *decoder)
{
    return decoder->state == ENDED;
}

void codec_uu_decoder_finish(struct codec_uu_decoder *decoder)
{
    if (decoder->state >= ENDED) return;
    if (decoder->state == IN_END && decoder->matched == 3)
        decoder->end = decoder->offset;
    else if (!decoder->closed) {
        fail(decoder, decoder->offset);
        return;
    } else if (decoder->state != IN_END)
        decoder->end = decoder->offset;
    decoder->state = ENDED;
}

struct codec_result codec_uu_decode(const char *src, size_t len, void *dst, size_t *taken)
{
    struct codec_uu_decoder decoder;
    codec_uu_decoder_init(&decoder);
    /* It never writes more than it has read, so the room never is what ends it. */
    const struct codec_progress done = codec_uu_decoder_feed(&decoder, src, len, dst, len);
    codec_uu_decoder_finish(&decoder);
    if (taken != NULL) *taken = (size_t)decoder.end;
    return (struct codec_result){.written = done.written, .error = decoder.error};
}
