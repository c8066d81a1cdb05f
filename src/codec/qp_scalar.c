/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_scalar - quoted-printable octet by octet (RFC 2045 section 6.7): the specification
 */
#include "qp_ops.h"

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* Stands for itself at every place of a line. */
static bool is_literal(unsigned char c)
{
    return c >= 33 && c <= 126 && c != '=';
}

/* ---- decode ------------------------------------------------------------------------------------
 *
 * A step looks at one octet. It either takes it or settles something that was held back, and then
 * the octet is looked at again: so what is written never exceeds what was taken, which is what
 * decoding in place needs.
 */

enum { RELEASE_MAX = 64, STEP_ROOM = RELEASE_MAX };

struct out {
    char *at;
};
static void put(struct out *out, unsigned char c)
{
    *out->at++ = (char)c;
}

/* The oldest octet of the white space. */
static void release_one(struct codec_qp_decoder *decoder, struct out *out)
{
    const unsigned at = decoder->space_from;
    put(out, decoder->space_tabs[at / 64] >> (at % 64) & 1 ? '\t' : ' ');
    decoder->space_from = (uint16_t)((at + 1) % CODEC_QP_SPACE_MAX);
    decoder->space_count -= 1;
}

static void release(struct codec_qp_decoder *decoder, struct out *out)
{
    for (unsigned i = 0; i < RELEASE_MAX && decoder->space_count > 0; i++)
        release_one(decoder, out);
}

static void hold(struct codec_qp_decoder *decoder, unsigned char c)
{
    const unsigned at = (decoder->space_from + decoder->space_count) % CODEC_QP_SPACE_MAX;
    const uint64_t bit = (uint64_t)1 << (at % 64);
    if (c == '\t') {
        decoder->space_tabs[at / 64] |= bit;
    } else {
        decoder->space_tabs[at / 64] &= ~bit;
    }
    decoder->space_count += 1;
}

/* The value of a digit; -1 if it is none. */
static int digit(unsigned char c, bool strict)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (!strict && c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

enum step { STEP_TAKEN, STEP_AGAIN, STEP_WRONG };

/* A strict line has room for one more character. */
static bool fits_line(const struct codec_qp_decoder *decoder)
{
    return decoder->mode != CODEC_QP_STRICT || decoder->column < CODEC_QP_LINE;
}

static enum step end_line(struct codec_qp_decoder *decoder)
{
    decoder->state = QP_TEXT;
    decoder->column = 0;
    return STEP_TAKEN;
}

static enum step step_text(struct codec_qp_decoder *decoder, unsigned char c, struct out *out)
{
    const bool strict = decoder->mode == CODEC_QP_STRICT;
    if (is_space(c)) {
        if (!fits_line(decoder)) return STEP_WRONG;
        if (decoder->space_count == CODEC_QP_SPACE_MAX) release_one(decoder, out);
        hold(decoder, c);
        return STEP_TAKEN;
    }
    if (c == '\r' || c == '\n') {
        if (strict && (decoder->space_count > 0 || c == '\n')) return STEP_WRONG;
        decoder->space_count = 0;
        if (strict) decoder->state = QP_CR;
        put(out, c);
        return STEP_TAKEN;
    }
    if (decoder->space_count > 0) { /* it does not end the line */
        release(decoder, out);
        return STEP_AGAIN;
    }
    if (!fits_line(decoder) || (strict && !is_literal(c) && c != '=')) return STEP_WRONG;
    if (c == '=') {
        decoder->state = QP_EQUALS;
    } else {
        put(out, c);
    }
    return STEP_TAKEN;
}

static enum step step_equals(struct codec_qp_decoder *decoder, unsigned char c, struct out *out)
{
    const bool strict = decoder->mode == CODEC_QP_STRICT;
    if (c != '\r' && !fits_line(decoder)) return STEP_WRONG;
    if (is_space(c) && decoder->space_count < CODEC_QP_SPACE_MAX) {
        hold(decoder, c); /* padding by a transport, if the line ends behind it */
        return STEP_TAKEN;
    }
    if (c == '\r' || (c == '\n' && !strict)) {
        decoder->space_count = 0;
        if (c == '\n') return end_line(decoder);
        decoder->state = QP_EQUALS_CR;
        return STEP_TAKEN;
    }
    if (decoder->space_count == 0 && digit(c, strict) >= 0) {
        decoder->first = c;
        decoder->state = QP_DIGIT;
        return STEP_TAKEN;
    }
    if (strict) return STEP_WRONG;
    put(out, '='); /* note 2: as it stands */
    decoder->state = QP_TEXT;
    return STEP_AGAIN;
}

static enum step step_digit(struct codec_qp_decoder *decoder, unsigned char c, struct out *out)
{
    const bool strict = decoder->mode == CODEC_QP_STRICT;
    const int high = digit(decoder->first, strict), low = digit(c, strict);
    if (strict && (low < 0 || !fits_line(decoder))) return STEP_WRONG;
    decoder->state = QP_TEXT;
    if (low < 0) {
        put(out, '=');
        put(out, decoder->first);
        return STEP_AGAIN;
    }
    put(out, (unsigned char)(high << 4 | low));
    return STEP_TAKEN;
}

static enum step step(struct codec_qp_decoder *decoder, unsigned char c, struct out *out)
{
    const bool strict = decoder->mode == CODEC_QP_STRICT;
    switch ((enum qp_state)decoder->state) {
    case QP_TEXT:
        return step_text(decoder, c, out);
    case QP_EQUALS:
        return step_equals(decoder, c, out);
    case QP_DIGIT:
        return step_digit(decoder, c, out);
    case QP_EQUALS_CR:
        if (c == '\n') return end_line(decoder);
        if (strict) return STEP_WRONG;
        put(out, '=');
        put(out, '\r');
        decoder->state = QP_TEXT;
        return STEP_AGAIN;
    case QP_CR:
        if (c != '\n') return STEP_WRONG;
        put(out, c);
        return end_line(decoder);
    }
    UNREACHABLE("qp: no such state");
}

/* Octets that were taken and may yet be written. */
static size_t held(const struct codec_qp_decoder *decoder)
{
    static const uint8_t by_state[] = {
        [QP_TEXT] = 0, [QP_EQUALS] = 1, [QP_DIGIT] = 2, [QP_EQUALS_CR] = 2, [QP_CR] = 0,
    };
    return decoder->space_count + (size_t)by_state[decoder->state];
}

/* Octets that stand for themselves, the white space between them and whole escapes, as far as the
 * step machine would do the same and hold nothing back: only because it is faster. */
static size_t decode_run(struct codec_qp_decoder *decoder, const char *src, size_t len,
                         struct out *out)
{
    const bool strict = decoder->mode == CODEC_QP_STRICT;
    const size_t max = strict ? MIN(len, (size_t)CODEC_QP_LINE - decoder->column) : len;
    size_t at = 0;
    for (; at < max; at++) {
        const unsigned char c = (unsigned char)src[at];
        if (is_literal(c) ||
            (is_space(c) && at + 1 < max && is_literal((unsigned char)src[at + 1]))) {
            put(out, c);
            continue;
        }
        if (c != '=' || max - at < 3) break;
        const int high = digit((unsigned char)src[at + 1], strict);
        const int low = digit((unsigned char)src[at + 2], strict);
        if (high < 0 || low < 0) break;
        put(out, (unsigned char)(high << 4 | low));
        at += 2;
    }
    decoder->column += (uint32_t)at;
    return at;
}

struct codec_progress qp_decode_steps(struct codec_qp_decoder *decoder, const char *src, size_t len,
                                      char *dst, size_t cap, size_t at_least)
{
    struct out out = {dst};
    size_t taken = 0;
    while (taken < len) {
        const size_t room = cap - (size_t)(out.at - dst);
        /* Decoding at once has as much room as there are octets to come: that is enough too. */
        if (room < STEP_ROOM && room < len - taken + held(decoder)) break;
        if (taken >= at_least && decoder->state == QP_TEXT && decoder->space_count == 0) break;

        if (decoder->state == QP_TEXT && decoder->space_count == 0) {
            const size_t run = decode_run(decoder, src + taken,
                                          MIN(at_least - taken, MIN(len - taken, room)), &out);
            taken += run;
            if (run > 0) continue;
        }
        const unsigned char c = (unsigned char)src[taken];
        const enum step made = step(decoder, c, &out);
        if (made == STEP_WRONG) {
            decoder->error = decoder->offset + taken;
            break;
        }
        if (made == STEP_AGAIN) continue;
        taken += 1;
        if (c != '\r' && c != '\n') decoder->column += 1;
    }
    decoder->offset += taken;
    return (struct codec_progress){taken, (size_t)(out.at - dst)};
}

static struct codec_progress decode(struct codec_qp_decoder *decoder, const char *src, size_t len,
                                    char *dst, size_t cap)
{
    return qp_decode_steps(decoder, src, len, dst, cap, SIZE_MAX);
}

/* ---- encode ------------------------------------------------------------------------------------
 */

/* A line of the source ends here, or all of it. */
static bool is_end(const char *src, size_t len, bool text)
{
    return len == 0 || (text && len >= 2 && src[0] == '\r' && src[1] == '\n');
}

/* How many characters the octet at src takes: 1 or 3. */
static unsigned width(const struct codec_qp_encoder *encoder, const char *src, size_t len,
                      unsigned column)
{
    const unsigned char c = (unsigned char)src[0];
    const unsigned flags = encoder->flags;
    if (is_space(c)) return is_end(src + 1, len - 1, !(flags & CODEC_QP_BINARY)) ? 3 : 1;
    if (!is_literal(c)) return 3;
    if (column > 0) return 1;
    if ((flags & CODEC_QP_ESCAPE_DOT) && c == '.') return 3;
    if ((flags & CODEC_QP_ESCAPE_FROM) && len >= 5 && memcmp(src, "From ", 5) == 0) return 3;
    return 1;
}

enum { TOKEN_MAX = 6 }; /* a soft break and "=XX" */

static struct codec_progress encode(struct codec_qp_encoder *encoder, const char *src, size_t len,
                                    bool last, char *dst, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    const bool text = !(encoder->flags & CODEC_QP_BINARY);
    const size_t stop = last ? len : len - MIN(len, (size_t)QP_LOOKAHEAD);
    unsigned column = encoder->column;
    struct out out = {dst};
    size_t at = 0;
    while (at < stop && cap - (size_t)(out.at - dst) >= TOKEN_MAX) {
        const char *from = src + at;
        const size_t left = len - at;
        if (is_end(from, left, text)) {
            put(&out, '\r');
            put(&out, '\n');
            column = 0;
            at += 2;
            continue;
        }
        if (column > 0 && column < CODEC_QP_LINE - 1 && is_literal((unsigned char)*from)) {
            put(&out, (unsigned char)*from); /* the most frequent case, and the simplest */
            column += 1;
            at += 1;
            continue;
        }
        unsigned chars = width(encoder, from, left, column);
        if (column + chars + !is_end(from + 1, left - 1, text) > CODEC_QP_LINE) {
            put(&out, '=');
            put(&out, '\r');
            put(&out, '\n');
            column = 0;
            chars = width(encoder, from, left, column);
        }
        const unsigned char c = (unsigned char)*from;
        put(&out, chars == 3 ? '=' : c);
        if (chars == 3) {
            put(&out, (unsigned char)digits[c >> 4]);
            put(&out, (unsigned char)digits[c & 15]);
        }
        column += chars;
        at += 1;
    }
    encoder->column = (uint8_t)column;
    return (struct codec_progress){at, (size_t)(out.at - dst)};
}

const struct qp_ops qp_ops_scalar = {.decode = decode, .encode = encode};
