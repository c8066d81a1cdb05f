/* SPDX-License-Identifier: Apache-2.0
 *
 * word_decode - encoded-words back to text, RFC 2047 sections 2, 4 and 6
 *
 * Linear in the text: a candidate for a word has four "?", so that any octet is looked at for at
 * most four candidates.
 */
#include "word.h"

/* ---- finding words ------------------------------------------------------------------------------
 */

/* Length of the charset (and language) at the start of text: up to the first "?". */
static size_t charset_token(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] > ' ' && text[n] < 127 && text[n] != '?')
        n += 1;
    return n;
}

static size_t encoded_text(const char *text, size_t len, bool q)
{
    size_t n = 0;
    while (n < len && text[n] != '?' &&
           ((text[n] > ' ' && text[n] < 127) || (q && (text[n] == ' ' || text[n] == '\t'))))
        n += 1;
    return n;
}

/* Is there an encoded-word at the start of text? Returns its length, or 0. */
static size_t word_at(const char *text, size_t len, struct codec_word *word)
{
    if (len < 7 || text[0] != '=' || text[1] != '?') return 0;
    const size_t name = charset_token(text + 2, len - 2);
    size_t at = 2 + name;
    if (name == 0 || len - at < 3 || text[at] != '?' || text[at + 2] != '?') return 0;
    const char encoding = (char)(text[at + 1] & ~0x20);
    if (encoding != 'B' && encoding != 'Q') return 0;
    at += 3;
    const size_t n = encoded_text(text + at, len - at, encoding == 'Q');
    if (len - at - n < 2 || text[at + n] != '?' || text[at + n + 1] != '=') return 0;

    const char *star = memchr(text + 2, '*', name); /* RFC 2231 section 5 */
    *word = (struct codec_word){
        .encoded = true,
        .encoding = encoding,
        .charset = text + 2,
        .charset_len = star == NULL ? name : (size_t)(star - text) - 2,
        .language = star == NULL ? text + 2 + name : star + 1,
        .language_len = star == NULL ? 0 : (size_t)(text + 2 + name - star) - 1,
        .text = text + at,
        .text_len = n,
    };
    return at + n + 2;
}

/* Offset of the next encoded-word; len if there is none. */
static size_t find_word(const char *text, size_t len)
{
    struct codec_word word;
    for (size_t at = 0; at < len;) {
        const char *mark = memmem(text + at, len - at, "=?", 2);
        if (mark == NULL) break;
        at = (size_t)(mark - text);
        if (word_at(text + at, len - at, &word) > 0) return at;
        at += 1;
    }
    return len;
}

void codec_word_reader_init(struct codec_word_reader *reader, const char *text, size_t len)
{
    *reader = (struct codec_word_reader){.text = text, .len = len};
}

bool codec_word_next(struct codec_word_reader *reader, struct codec_word *word)
{
    size_t skip = reader->at;
    while (reader->after_word && skip < reader->len && is_blank(reader->text[skip]))
        skip += 1;
    const size_t n = word_at(reader->text + skip, reader->len - skip, word);
    if (n > 0) {
        reader->at = skip + n;
        reader->after_word = true;
        return true;
    }
    if (reader->at == reader->len) return false;
    const char *text = reader->text + reader->at;
    const size_t plain = find_word(text, reader->len - reader->at);
    *word = (struct codec_word){.text = text, .text_len = plain};
    reader->at += plain;
    reader->after_word = false;
    return true;
}

/* ---- the octets of a word -----------------------------------------------------------------------
 */

/* They are taken out in pieces: nothing is as long as a word may be. */
struct octets {
    const char *text;
    size_t len, at;
    bool base64;
    uint32_t bits; /* base64: of characters that have not made an octet yet */
    unsigned bit_count;
};

/* 64: not in the alphabet. What is encoded has no octet over 127. */
enum { NO_BASE64 = 64 };
static const uint8_t base64_values[128] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62,
    64, 64, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 64, 64, 64, 64, 64, 64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64};

static unsigned base64_value(char c)
{
    return base64_values[c & 127];
}

/* Whole quanta, as long as nothing is odd. */
static size_t next_quanta(struct octets *octets, char *dst, size_t cap)
{
    size_t written = 0;
    for (; octets->len - octets->at >= 4 && cap - written >= 3; octets->at += 4, written += 3) {
        const char *at = octets->text + octets->at;
        const unsigned a = base64_value(at[0]), b = base64_value(at[1]);
        const unsigned c = base64_value(at[2]), d = base64_value(at[3]);
        const unsigned bits = a << 18 | b << 12 | c << 6 | d;
        if ((a | b | c | d) & NO_BASE64) break;
        dst[written] = (char)(bits >> 16);
        dst[written + 1] = (char)(bits >> 8);
        dst[written + 2] = (char)bits;
    }
    return written;
}

static size_t next_base64(struct octets *octets, char *dst, size_t cap)
{
    size_t written = octets->bit_count == 0 ? next_quanta(octets, dst, cap) : 0;
    for (; octets->at < octets->len && written < cap; octets->at++) {
        const unsigned value = base64_value(octets->text[octets->at]);
        if (octets->text[octets->at] == '=') { /* padding ends it */
            octets->len = octets->at;
            break;
        }
        if (value == NO_BASE64) continue;
        octets->bits = octets->bits << 6 | value;
        octets->bit_count += 6;
        if (octets->bit_count < 8) continue;
        octets->bit_count -= 8;
        dst[written++] = (char)(octets->bits >> octets->bit_count);
    }
    return written;
}

static size_t next_q(struct octets *octets, char *dst, size_t cap)
{
    size_t written = 0, at = octets->at;
    for (; at < octets->len && written < cap; at++) {
        const char *text = octets->text + at;
        char octet = text[0] == '_' ? ' ' : text[0];
        if (octet == '=' && octets->len - at > 2) {
            const int value = hex_value(text[1]) * 16 + hex_value(text[2]);
            if (hex_value(text[1]) >= 0 && hex_value(text[2]) >= 0) {
                octet = (char)value;
                at += 2;
            }
        }
        dst[written++] = octet;
    }
    octets->at = at;
    return written;
}

static struct octets octets_of(const struct codec_word *word)
{
    return (struct octets){
        .text = word->text, .len = word->text_len, .base64 = word->encoding == 'B'};
}

static size_t octets_next(struct octets *octets, char *dst, size_t cap)
{
    return octets->base64 ? next_base64(octets, dst, cap) : next_q(octets, dst, cap);
}

size_t codec_word_octets(const struct codec_word *word, char *dst)
{
    struct octets octets = octets_of(word);
    return octets_next(&octets, dst, word->text_len);
}

/* ---- the whole body
 * ------------------------------------------------------------------------------ */

struct decoder {
    struct codec_sink *sink;
    struct charset_pool *pool;
    struct conversion conversion;
    const struct charset *open; /* that of the words so far, which the next one may go on with */
    const char *end;            /* of the word before, where white space may be that counts */
    bool stayed;                /* the word before stays as it was written */
};

static void close_words(struct decoder *decoder)
{
    if (decoder->open != NULL) conversion_close(&decoder->conversion);
    decoder->open = NULL;
}

/* Is there a line end before white space at text? Returns its length. */
static size_t fold_at(const char *text, size_t len)
{
    const size_t n = text[0] == '\n' ? 1 : len > 1 && text[0] == '\r' && text[1] == '\n' ? 2 : 0;
    return n > 0 && n < len && (text[n] == ' ' || text[n] == '\t') ? n : 0;
}

static void put_plain(struct decoder *decoder, const char *text, size_t len)
{
    size_t from = 0;
    for (size_t at = 0; at < len;) {
        const size_t fold = fold_at(text + at, len - at);
        if (fold > 0) {
            codec_sink_put_utf8(decoder->sink, text + from, at - from);
            from = at + fold;
        }
        at += fold > 0 ? fold : 1;
    }
    codec_sink_put_utf8(decoder->sink, text + from, len - from);
}

/* Makes the conversion for the word's charset the open one; false if there is none. */
static bool open_for(struct decoder *decoder, const struct codec_word *word)
{
    const struct charset *charset = charset_find(word->charset, word->charset_len);
    if (charset != NULL && charset == decoder->open) return true;
    close_words(decoder);
    if (charset == NULL ||
        !conversion_open(&decoder->conversion, charset, decoder->sink, decoder->pool)) {
        return false;
    }
    decoder->open = charset;
    return true;
}

static void put_word(struct decoder *decoder, const struct codec_word *word)
{
    const char *start = word->charset - 2, *end = word->text + word->text_len + 2;
    const char *gap = decoder->end != NULL ? decoder->end : start;
    const bool known = open_for(decoder, word);
    if (!known || decoder->stayed) put_plain(decoder, gap, (size_t)(start - gap));
    if (!known) codec_sink_put_text(decoder->sink, start, (size_t)(end - start));
    struct octets octets = octets_of(word);
    while (known) {
        char piece[192];
        const size_t n = octets_next(&octets, piece, sizeof(piece));
        if (n == 0) break;
        conversion_feed(&decoder->conversion, piece, n);
    }
    decoder->end = end;
    decoder->stayed = !known;
}

void word_decode(const char *text, size_t len, struct codec_sink *sink, struct charset_pool *pool)
{
    struct decoder decoder = {.sink = sink, .pool = pool};
    struct codec_word_reader reader;
    struct codec_word word;
    codec_word_reader_init(&reader, text, len);
    while (codec_word_next(&reader, &word)) {
        if (word.encoded) {
            put_word(&decoder, &word);
            continue;
        }
        close_words(&decoder);
        put_plain(&decoder, word.text, word.text_len);
        decoder.end = NULL;
        decoder.stayed = false;
    }
    close_words(&decoder);
}

size_t codec_word_decode(const char *text, size_t len, char *dst, size_t cap)
{
    struct codec_sink sink = {.data = dst, .cap = cap};
    struct charset_pool pool;
    charset_pool_init(&pool, CHARSET_OPEN_MAX);
    word_decode(text, len, &sink, &pool);
    charset_pool_deinit(&pool);
    codec_sink_close(&sink);
    return sink.total;
}
