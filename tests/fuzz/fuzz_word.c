/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_word - any octets as the body of a field with encoded-words, and as text to be encoded
 *
 * What comes out of decoding is UTF-8 and bounded by what came in; what was encoded comes back.
 */
#include "ringpost/base.h"
#include "ringpost/codec/word.h"
#include "ringpost/scan.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* iconv(3) makes of one octet at most two characters of four octets each; 4 of B are 3. */
enum { GROWTH = 8, SIZE_MAX_HERE = 1 << 16 };

static size_t check_pieces(const char *text, size_t len)
{
    struct codec_word_reader reader;
    struct codec_word word;
    const char *end = text;
    size_t pieces = 0;
    codec_word_reader_init(&reader, text, len);
    while (codec_word_next(&reader, &word)) {
        ASSERT(word.text >= end && word.text + word.text_len <= text + len);
        ASSERT(word.encoded || word.text_len > 0);
        end = word.text + word.text_len;
        pieces += 1;
        if (!word.encoded) continue;
        char *octets = malloc(word.text_len + 1);
        ASSERT(octets != NULL && codec_word_octets(&word, octets) <= word.text_len);
        free(octets);
    }
    return pieces;
}

static void check_decode(const char *text, size_t len)
{
    const size_t cap = GROWTH * len + 8;
    char *whole = malloc(cap), *cut = malloc(cap);
    ASSERT(whole != NULL && cut != NULL);
    const size_t total = codec_word_decode(text, len, whole, cap);
    ASSERT(total <= cap && scan_utf8_is_valid(whole, total));
    const size_t half = total / 2;
    char *exact = realloc(cut, half ? half : 1);
    ASSERT(exact != NULL && codec_word_decode(text, len, exact, half) == total);
    ASSERT(half < 4 || memcmp(exact, whole, half - 3) == 0);
    free(exact);
    free(whole);
}

static void check_encode(const char *text, size_t len, size_t column)
{
    const size_t cap = codec_word_encoded_max(len);
    for (int place = CODEC_WORD_TEXT; place <= CODEC_WORD_COMMENT; place++) {
        char *words = malloc(cap), *back = malloc(3 * len + 1);
        ASSERT(words != NULL && back != NULL);
        const size_t n = codec_word_encode(text, len, words, column, (enum codec_word_place)place,
                                           (enum codec_word_encoding)(column % 3));
        ASSERT(n <= cap && !scan_has_8bit(words, n));
        const size_t fold = n > 0 && words[0] == '\r' ? 3 : 0;
        const size_t total = codec_word_decode(words + fold, n - fold, back, 3 * len + 1);
        ASSERT(total <= 3 * len && scan_utf8_is_valid(back, total));
        if (scan_utf8_is_valid(text, len)) {
            ASSERT(total == len && (len == 0 || memcmp(back, text, len) == 0));
        }
        free(words);
        free(back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    if (size > SIZE_MAX_HERE) return 0;
    ASSERT(check_pieces(text, size) <= size);
    check_decode(text, size);
    check_encode(text, size, size > 0 ? data[0] : 0);
    return 0;
}
