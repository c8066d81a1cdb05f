/* SPDX-License-Identifier: Apache-2.0
 *
 * base64 - passes the bulk on to the kernels in force, and does what begins or ends inside a
 * quantum or a line: padding, pieces of a stream, the exact place of an error
 */
#include "base64_ops.h"
#ifdef __x86_64__
#include <cpuid.h>
#endif

enum {
    CHUNK = 8192,  /* characters squeezed at a time: their values stay in the first-level cache */
    STEPS = 256,   /* the same, where something is wrong and octets have to be looked at */
    BULK_MIN = 16, /* fewer characters are not worth a kernel */
    REGULAR_FEW = 8,
    LOOK_BACK = 16, /* for padding at the end of a piece */
};

static const struct base64_ops *const by_level[SIMD_LEVEL_COUNT] = {
    [SIMD_SCALAR] = &base64_ops_scalar,
#ifdef __x86_64__
    [SIMD_AVX2] = &base64_ops_avx2,
    [SIMD_AVX512] = &base64_ops_avx512,
#endif
#ifdef __aarch64__
    [SIMD_NEON] = &base64_ops_neon,
#endif
};
#define ops (by_level[simd_in_force])

struct base64_cpu base64_cpu = {
    .near_max = 16128, /* of 32 KB, which is the least that there is */
    .far_min = 6 * 1024 * 1024,
};

#ifdef __x86_64__
/* Octets of the first-level data cache; 0 if the CPU does not say. */
static size_t first_level_cache(void)
{
    enum { DATA = 1, LEVEL_1 = 1 << 5 };
    unsigned a, b, c, d;
    /* AMD, in KB; on Intel there are zeros. */
    if (__get_cpuid(0x80000005, &a, &b, &c, &d) && c >> 24 > 0) return (size_t)(c >> 24) * 1024;
    if (!__get_cpuid_count(4, 0, &a, &b, &c, &d) || (a & 0xff) != (DATA | LEVEL_1)) return 0;
    const size_t ways = (b >> 22) + 1, partitions = (b >> 12 & 0x3ff) + 1, line = (b & 0xfff) + 1;
    return ways * partitions * line * ((size_t)c + 1);
}

static __attribute__((constructor)) void base64_cpu_init(void) /* before main() */
{
    const size_t cache = first_level_cache();
    if (cache >= 32768) base64_cpu.near_max = (cache - 4096) * 9 / 16;
    __builtin_cpu_init();
    base64_cpu.is_amd = __builtin_cpu_is("amd");
}
#endif

/* ---- encode ---------------------------------------------------------------------------------- */

/* The last quantum, of 1 or 2 octets (RFC 4648 section 4). */
static void encode_padded(const uint8_t *src, size_t len, char *dst)
{
    const uint8_t octets[3] = {src[0], len > 1 ? src[1] : 0, 0};
    base64_encode_quantum(octets, dst);
    dst[3] = '=';
    if (len == 1) dst[2] = '=';
}

size_t codec_base64_encode(const void *src, size_t len, char *dst)
{
    const size_t quanta = len / 3, rest = len - quanta * 3;
    const size_t written = (quanta + (rest > 0)) * 4;
    const uint8_t *octets = src;
    /* The end first: less has to be kept over the call. */
    if (rest > 0) encode_padded(octets + quanta * 3, rest, dst + quanta * 4);
    ops->encode(octets, quanta * 3, dst);
    return written;
}

static bool line_is_valid(size_t line)
{
    return line > 0 && line % 4 == 0 && line <= CODEC_BASE64_LINE_MAX;
}

static __attribute__((noinline)) size_t encode_lines(const uint8_t *src, size_t len, char *dst,
                                                     size_t line)
{
    ASSERT(line_is_valid(line));
    const size_t octets = line / 4 * 3;
    /* The usual one is a constant: no division. */
    const size_t count = line == CODEC_BASE64_LINE ? len / BASE64_LINE_OCTETS : len / octets;
    const size_t rest = len - count * octets;
    char *out = dst + count * (line + 2);
    if (rest > 0) {
        out += codec_base64_encode(src + len - rest, rest, out);
        *out++ = '\r';
        *out++ = '\n';
    }
    ops->encode_lines(src, count, dst, line);
    return (size_t)(out - dst);
}

size_t codec_base64_encode_lines(const void *src, size_t len, char *dst, size_t line)
{
    return line == 0 ? codec_base64_encode(src, len, dst) : encode_lines(src, len, dst, line);
}

void codec_base64_encoder_init(struct codec_base64_encoder *encoder, size_t line)
{
    ASSERT(line == 0 || line_is_valid(line));
    *encoder = (struct codec_base64_encoder){.line = (uint16_t)line};
}

/* What a call of feed() still has. */
struct input {
    const uint8_t *src;
    size_t left;
    uint8_t *dst;
    size_t room;
};

static void advance(struct input *in, size_t taken, size_t written)
{
    in->src += taken;
    in->left -= taken;
    in->dst += written;
    in->room -= written;
}

static void end_line(struct codec_base64_encoder *encoder, struct input *in)
{
    if (encoder->column < encoder->line) return;
    in->dst[0] = '\r';
    in->dst[1] = '\n';
    advance(in, 0, 2);
    encoder->column = 0;
}

/* Whole quanta, up to the end of the line at most; false if there is nothing to do, or no room. */
static bool encode_in_line(struct codec_base64_encoder *encoder, struct input *in)
{
    size_t quanta = MIN(in->left / 3, in->room / 4);
    if (encoder->line > 0) {
        if (in->room < 6) return false;
        quanta = MIN(MIN(in->left / 3, (in->room - 2) / 4),
                     (size_t)(encoder->line - encoder->column) / 4);
    }
    if (quanta == 0) return false;
    ops->encode(in->src, quanta * 3, (char *)in->dst);
    advance(in, quanta * 3, quanta * 4);
    if (encoder->line > 0) {
        encoder->column = (uint16_t)(encoder->column + quanta * 4);
        end_line(encoder, in);
    }
    return true;
}

/* Takes octets until none is held; false if that cannot be done. */
static bool encode_held(struct codec_base64_encoder *encoder, struct input *in)
{
    while (encoder->held_count > 0 && encoder->held_count < 3 && in->left > 0) {
        encoder->held[encoder->held_count++] = *in->src;
        advance(in, 1, 0);
    }
    if (encoder->held_count == 0) return true;
    if (encoder->held_count < 3 || in->room < 6) return false;
    struct input quantum = {encoder->held, 3, in->dst, in->room};
    (void)encode_in_line(encoder, &quantum);
    advance(in, 0, in->room - quantum.room);
    encoder->held_count = 0;
    return true;
}

struct codec_progress codec_base64_encoder_feed(struct codec_base64_encoder *encoder,
                                                const void *src, size_t len, char *dst, size_t cap)
{
    struct input in = {src, len, (uint8_t *)dst, cap};
    const size_t line = encoder->line, octets = line / 4 * 3;
    if (encode_held(encoder, &in)) {
        bool more = true;
        while (more) {
            const size_t count =
                line > 0 && encoder->column == 0 ? MIN(in.left / octets, in.room / (line + 2)) : 0;
            if (count > 0) {
                ops->encode_lines(in.src, count, (char *)in.dst, line);
                advance(&in, count * octets, count * (line + 2));
            }
            more = encode_in_line(encoder, &in);
        }
        while (in.left > 0 && in.left < 3) {
            encoder->held[encoder->held_count++] = *in.src;
            advance(&in, 1, 0);
        }
    }
    return (struct codec_progress){len - in.left, cap - in.room};
}

size_t codec_base64_encoder_finish(struct codec_base64_encoder *encoder, char *dst)
{
    char *out = dst;
    if (encoder->held_count == 3) { /* there was no room for them */
        base64_encode_quantum(encoder->held, out);
    } else if (encoder->held_count > 0) {
        encode_padded(encoder->held, encoder->held_count, out);
    }
    if (encoder->held_count > 0) {
        out += 4;
        encoder->column = (uint16_t)(encoder->column + 4);
    }
    if (encoder->line > 0 && encoder->column > 0) {
        *out++ = '\r';
        *out++ = '\n';
    }
    encoder->held_count = 0;
    encoder->column = 0;
    return (size_t)(out - dst);
}

/* ---- decode, character by character ---------------------------------------------------------- */

void codec_base64_decoder_init(struct codec_base64_decoder *decoder, enum codec_base64_mode mode)
{
    *decoder = (struct codec_base64_decoder){.mode = (uint8_t)mode, .error = CODEC_NO_ERROR};
}

/* Padding has come, and all that belongs to it. */
static bool is_closed(const struct codec_base64_decoder *decoder)
{
    return decoder->padding > 0 && decoder->held_count == 0;
}

/* What an unfinished quantum has of whole octets; it is over then. */
static size_t release(struct codec_base64_decoder *decoder, uint8_t *dst)
{
    const unsigned count = decoder->held_count;
    const uint32_t bits = decoder->held << 6 * (4 - count);
    decoder->held_count = 0;
    decoder->held = 0;
    if (count > 1) dst[0] = (uint8_t)(bits >> 16);
    if (count > 2) dst[1] = (uint8_t)(bits >> 8);
    return count > 1 ? count - 1 : 0;
}

/* Bits behind the last whole octet: the encoder left them zero (RFC 4648 section 3.5). */
static bool has_stray_bits(const struct codec_base64_decoder *decoder)
{
    return (decoder->held & (decoder->held_count == 2 ? 0xfu : 0x3u)) != 0;
}

/* "=": returns the octets written, BASE64_BAD if it is wrong here. */
static size_t take_padding(struct codec_base64_decoder *decoder, uint8_t *dst)
{
    const bool lenient = decoder->mode == CODEC_BASE64_LENIENT;
    if (!lenient && (is_closed(decoder) || decoder->held_count < 2 || has_stray_bits(decoder)))
        return BASE64_BAD;
    decoder->padding += 1;
    if (!lenient && decoder->held_count + decoder->padding < 4) return 0;
    return release(decoder, dst);
}

/* One character: the octets written, BASE64_BAD if it is wrong. */
static size_t take(struct codec_base64_decoder *decoder, uint8_t character, uint8_t *dst)
{
    const uint8_t value = base64_values[character];
    if ((value & BASE64_NOT_VALUE) == 0) {
        if (decoder->padding > 0) return BASE64_BAD;
        decoder->held = decoder->held << 6 | value;
        decoder->held_count += 1;
        if (decoder->held_count < 4) return 0;
        base64_pack_quantum(decoder->held, dst);
        decoder->held_count = 0;
        decoder->held = 0;
        return 3;
    }
    if (value == BASE64_PAD) return take_padding(decoder, dst);
    if (decoder->mode == CODEC_BASE64_LENIENT) return 0;
    return value == BASE64_SPACE && decoder->mode == CODEC_BASE64_STRICT ? 0 : BASE64_BAD;
}

/* Nothing more will come of this text. */
static bool is_over(const struct codec_base64_decoder *decoder)
{
    return decoder->error != CODEC_NO_ERROR ||
           (decoder->mode == CODEC_BASE64_LENIENT && is_closed(decoder));
}

static void decode_steps(struct codec_base64_decoder *decoder, struct input *in, size_t count)
{
    /* What a character can complete never has more octets than characters are held. */
    for (; count > 0 && in->room >= decoder->held_count; count--) {
        const size_t written = take(decoder, *in->src, in->dst);
        if (written == BASE64_BAD) decoder->error = decoder->offset;
        if (is_over(decoder) || written == BASE64_BAD) {
            advance(in, 0, written == BASE64_BAD ? 0 : written);
            return;
        }
        advance(in, 1, written);
        decoder->offset += 1;
    }
}

/* ---- decode, in bulk ------------------------------------------------------------------------- */

/* The length without the padding that may end the piece: a kernel would give up its last block. */
static size_t without_padding(const uint8_t *src, size_t len)
{
    size_t end = len, body = len;
    for (unsigned i = 0; i < LOOK_BACK && end > 0; i++) {
        const uint8_t value = base64_values[src[end - 1]];
        if (value != BASE64_PAD && value != BASE64_SPACE) break;
        end -= 1;
        if (value == BASE64_PAD) body = end;
    }
    return body;
}

static void taken_in_bulk(struct codec_base64_decoder *decoder, struct input *in, size_t taken,
                          size_t written)
{
    decoder->offset += taken;
    advance(in, taken, written);
}

static bool decode_chunk(struct codec_base64_decoder *decoder, struct input *in, size_t len)
{
    _Alignas(64) uint8_t values[4 + CHUNK + BASE64_SQUEEZE_SLACK];
    const unsigned before = decoder->held_count;
    for (unsigned i = 0; i < before; i++)
        values[i] = decoder->held >> 6 * (before - 1 - i) & 63;
    const size_t count =
        ops->squeeze(in->src, len, values + before, decoder->mode == CODEC_BASE64_LENIENT);
    if (count == BASE64_BAD) return false;

    const size_t total = before + count, whole = total / 4 * 4;
    ops->pack(values, whole, in->dst);
    decoder->held_count = (uint8_t)(total - whole);
    decoder->held = 0;
    for (size_t i = whole; i < total; i++)
        decoder->held = decoder->held << 6 | values[i];
    taken_in_bulk(decoder, in, len, whole / 4 * 3);
    return true;
}

/* Two lines of the same length begin here: perhaps all are like them. Returns how many could be
 * taken. */
static size_t decode_regular(struct codec_base64_decoder *decoder, struct input *in, size_t body)
{
    if (decoder->held_count > 0) return 0;
    const uint8_t *lf = memchr(in->src, '\n', MIN(body, (size_t)BASE64_REGULAR_MAX + 2));
    if (lf == NULL || lf == in->src) return 0;
    const size_t end = lf[-1] == '\r' ? 2 : 1, line = (size_t)(lf - in->src) + 1 - end;
    if (line % 4 != 0 || line < BASE64_REGULAR_MIN || line > BASE64_REGULAR_MAX) return 0;
    if (body < 2 * (line + end) || lf[line + end] != '\n') return 0;
    const size_t lines = ops->decode_lines(in->src, body, in->dst, in->room, line, end);
    taken_in_bulk(decoder, in, lines * (line + end), lines * (line / 4 * 3));
    return lines;
}

/* How much to squeeze: up to the end of a line, because regular lines may follow. */
static size_t chunk_len(const struct input *in, size_t most, bool first)
{
    most = MIN(most, in->room / 3 * 4 - 3);
    if (most < 1024) return most;
    const uint8_t *end = first ? memchr(in->src, '\n', most) : memrchr(in->src, '\n', most);
    return end != NULL ? (size_t)(end - in->src) + 1 : most;
}

/* Takes as much as the kernels can: up to STEPS characters before one that is wrong, or before
 * padding in the middle. */
static void decode_skipping(struct codec_base64_decoder *decoder, struct input *in)
{
    const uint8_t *end = in->src + without_padding(in->src, in->left);
    size_t chunk_max = CHUNK;
    bool first = true;
    while (end - in->src >= BULK_MIN && in->room >= CODEC_ROOM_MIN / 8) {
        const size_t lines = decode_regular(decoder, in, (size_t)(end - in->src));
        if (lines >= REGULAR_FEW) continue; /* else a look ahead costs more than it saves */
        if (end - in->src < BULK_MIN || in->room < CODEC_ROOM_MIN / 8) return;
        const size_t most = MIN((size_t)(end - in->src), chunk_max);
        const size_t len = chunk_len(in, most, first && lines == 0);
        if (!decode_chunk(decoder, in, len)) {
            if (len <= STEPS) return;
            chunk_max = STEPS;
        }
        first = false;
    }
}

static void decode_plain(struct codec_base64_decoder *decoder, struct input *in)
{
    if (decoder->held_count > 0) {
        decode_steps(decoder, in, MIN(in->left, (size_t)(4 - decoder->held_count)));
        if (decoder->held_count > 0 || decoder->padding > 0 || is_over(decoder)) return;
    }
    const size_t body = without_padding(in->src, in->left);
    const size_t taken = ops->decode(in->src, body, in->dst, in->room);
    taken_in_bulk(decoder, in, taken, taken / 4 * 3);
}

struct codec_progress codec_base64_decoder_feed(struct codec_base64_decoder *decoder,
                                                const char *src, size_t len, void *dst, size_t cap)
{
    struct input in = {(const uint8_t *)src, len, dst, cap};
    size_t before = len + 1;
    while (in.left > 0 && in.left < before && !is_over(decoder)) {
        before = in.left;
        if (decoder->padding == 0) {
            if (decoder->mode == CODEC_BASE64_PLAIN) {
                decode_plain(decoder, &in);
            } else {
                decode_skipping(decoder, &in);
            }
        }
        if (!is_over(decoder)) decode_steps(decoder, &in, MIN(in.left, (size_t)STEPS));
    }
    if (is_over(decoder)) {
        decoder->offset += in.left;
        in.left = 0;
    }
    return (struct codec_progress){len - in.left, cap - in.room};
}

size_t codec_base64_decoder_finish(struct codec_base64_decoder *decoder, void *dst)
{
    if (decoder->held_count == 0 || decoder->error != CODEC_NO_ERROR) return 0;
    if (decoder->mode == CODEC_BASE64_LENIENT) return release(decoder, dst);
    decoder->error = decoder->offset;
    return 0;
}

/* The quantum at the end, if "=" is in it and nothing is wrong with it: the octets, else 0. */
static size_t decode_padded(const uint8_t *src, uint8_t *dst)
{
    const uint32_t a = base64_values[src[0]], b = base64_values[src[1]];
    const uint32_t c = src[2] == '=' ? 0 : base64_values[src[2]];
    const uint32_t stray = src[2] == '=' ? b & 0xf : c & 3;
    if (src[3] != '=' || stray != 0 || ((a | b | c) & BASE64_NOT_VALUE) != 0) return 0;
    dst[0] = (uint8_t)(a << 2 | b >> 4);
    if (src[2] == '=') return 1;
    dst[1] = (uint8_t)(b << 4 | c >> 2);
    return 2;
}

/* In place there is room for what has been read, which is always more than is written. */
static size_t decode_cap(const void *src, size_t len, const void *dst)
{
    return src == dst ? len : codec_base64_decoded_max(len);
}

/* What is left when `taken` characters are done, `written` octets. */
static __attribute__((noinline)) struct codec_result decode_rest(const char *src, size_t len,
                                                                 uint8_t *dst, size_t taken,
                                                                 size_t written,
                                                                 enum codec_base64_mode mode)
{
    const size_t cap = decode_cap(src, len, dst);
    struct codec_base64_decoder decoder;
    codec_base64_decoder_init(&decoder, mode);
    decoder.offset = taken;
    written +=
        codec_base64_decoder_feed(&decoder, src + taken, len - taken, dst + written, cap - written)
            .written;
    written += codec_base64_decoder_finish(&decoder, dst + written);
    return (struct codec_result){written, decoder.error};
}

/* From `taken` to `end` there is nothing but characters and padding, as it seems, and behind it
 * nothing that counts: then no decoder is needed. */
static struct codec_result decode_end(const char *text, size_t len, uint8_t *dst, size_t taken,
                                      size_t written, size_t end, enum codec_base64_mode mode)
{
    const uint8_t *src = (const uint8_t *)text;
    const bool padded = end > taken && src[end - 1] == '=';
    const size_t body = (end - taken - padded) / 4 * 4;
    const size_t more =
        ops->decode(src + taken, body, dst + written, decode_cap(src, len, dst) - written);
    taken += more;
    written += more / 4 * 3;
    if (taken == end) return (struct codec_result){written, CODEC_NO_ERROR};
    if (taken + 4 == end) {
        const size_t last = decode_padded(src + taken, dst + written);
        if (last > 0) return (struct codec_result){written + last, CODEC_NO_ERROR};
    }
    return decode_rest(text, len, dst, taken, written, mode);
}

static bool begins_with_lines(const uint8_t *src, size_t len)
{
    return len >= 2 * BASE64_LINE_END && src[CODEC_BASE64_LINE] == '\r' &&
           src[CODEC_BASE64_LINE + 1] == '\n' && src[BASE64_LINE_END + CODEC_BASE64_LINE] == '\r';
}

/* As nearly all mail has it: lines of 76, and then a shorter one. */
static struct codec_result decode_as_lines(const char *text, size_t len, uint8_t *dst,
                                           enum codec_base64_mode mode)
{
    const uint8_t *src = (const uint8_t *)text;
    const size_t lines =
        ops->decode_lines(src, len, dst, decode_cap(src, len, dst), CODEC_BASE64_LINE, 2);
    const size_t taken = lines * BASE64_LINE_END, written = lines * BASE64_LINE_OCTETS;
    const bool ended = len - taken >= 2 && src[len - 2] == '\r' && src[len - 1] == '\n';
    const size_t end = ended ? len - 2 : len;
    if (end - taken > CODEC_BASE64_LINE) return decode_rest(text, len, dst, taken, written, mode);
    return decode_end(text, len, dst, taken, written, end, mode);
}

struct codec_result codec_base64_decode(const char *src, size_t len, void *dst,
                                        enum codec_base64_mode mode)
{
    if (mode == CODEC_BASE64_PLAIN) return decode_end(src, len, dst, 0, 0, len, mode);
    if (begins_with_lines((const uint8_t *)src, len)) return decode_as_lines(src, len, dst, mode);
    return decode_rest(src, len, dst, 0, 0, mode);
}
