/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mime_convert - any octets, made into 8-bit or 7-bit lines
 *
 * The first two octets choose the form and how the message is split; whatever they are, the result
 * is that of the message in one piece. It is what was asked for: lines, and no 8-bit octets where
 * the headers had none. What has been converted needs no conversion: doing it again changes
 * nothing.
 */
#include "ringpost/mime/convert.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 64, ROOM = 2000, PIECES = 8, SIZE_MAX_ = 20000, TEXT_ROOM = 1 << 16 };

static struct mime_parser parser;
static struct mime_part parts[PARTS];
static struct mime_edit edits[PARTS * 12 + 1 + 3 * MIME_CONVERT_FIELDS];
static char text[TEXT_ROOM];

/* NULL: it cannot be converted. The caller frees it. */
static char *convert(enum mime_convert_form form, const struct bytes *pieces, uint32_t count,
                     size_t step, struct mime_conversion *conversion,
                     enum mime_convert_result *result)
{
    char *room = malloc(ROOM); /* of the exact size: a sanitizer sees what is beyond it */
    const struct mime_convert_memory memory = {
        .parser = &parser,
        .header_room = room,
        .header_cap = ROOM,
        .parts = parts,
        .part_cap = PARTS,
        .edits = edits,
        .text = text,
        .text_cap = TEXT_ROOM,
    };
    *result = mime_convert_plan(conversion, form, pieces, count, &memory);
    free(room);
    if (*result != MIME_CONVERT_OK) return NULL;

    char *out = malloc(conversion->len + 1);
    struct mime_converter converter;
    uint64_t at = 0;
    mime_converter_init(&converter, conversion);
    for (;;) {
        char *piece = malloc(step);
        const size_t len = mime_convert_next(&converter, piece, step);
        ASSERT(len <= step && at + len <= conversion->len);
        memcpy(out + at, piece, len);
        free(piece);
        if (len == 0) break;
        at += len;
    }
    ASSERT(at == conversion->len);
    return out;
}

static void check_result(enum mime_convert_form form, struct bytes message, struct bytes result,
                         const struct mime_conversion *conversion)
{
    size_t line = 0, high = 0, high_before = 0;
    bool start = true, dot = false;
    for (size_t i = 0; i < result.len; i++) {
        const char c = result.data[i];
        ASSERT(c != '\0');
        ASSERT((c == '\n') == (i > 0 && result.data[i - 1] == '\r'));
        dot |= start && c == '.';
        start = c == '\n';
        line = start ? 0 : line + 1;
        ASSERT(line <= 999); /* 998 and the CR */
        high += (unsigned char)c > 127;
    }
    ASSERT(result.len == 0 || result.data[result.len - 1] != '\r');
    for (size_t i = 0; i < message.len; i++)
        high_before += (unsigned char)message.data[i] > 127;
    ASSERT(high <= high_before && conversion->has_8bit == (high > 0));
    ASSERT(conversion->leading_dot == dot && conversion->no_last_crlf == !start);
    (void)form;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > SIZE_MAX_) return 0;
    const enum mime_convert_form form = data[0] & 1 ? MIME_CONVERT_7BIT : MIME_CONVERT_8BIT;
    const struct bytes message = {(const char *)data + 2, size - 2};
    struct bytes pieces[PIECES];
    struct mime_conversion whole, split, again;
    enum mime_convert_result result, other;
    struct bytes rest = message;
    for (uint32_t i = 0; i < PIECES; i++) {
        const size_t len = i == PIECES - 1 ? rest.len : MIN(rest.len, (size_t)data[1] * i);
        pieces[i] = (struct bytes){rest.data, len};
        rest = bytes_skip(rest, len);
    }
    char *out = convert(form, &message, 1, 1 << 16, &whole, &result);
    char *out_split = convert(form, pieces, PIECES, MIME_CONVERT_ROOM_MIN, &split, &other);
    ASSERT(result == other);
    if (out != NULL && out_split != NULL) {
        const struct bytes once = {out, (size_t)whole.len};
        ASSERT(whole.len == split.len && memcmp(out, out_split, once.len) == 0);
        check_result(form, message, once, &whole);
        char *twice = convert(form, &once, 1, 1 << 16, &again, &other);
        /* A field for which there was no room the first time may have some now. */
        if (twice != NULL && !whole.has_8bit) {
            ASSERT(again.len == once.len && memcmp(out, twice, once.len) == 0);
        }
        free(twice);
    }
    free(out);
    free(out_split);
    return 0;
}
