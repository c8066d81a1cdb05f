/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_parameter - any octets as the parameters of a field, and as a value to be written
 *
 * Values are UTF-8 and bounded together; what was written comes back.
 */
#include "ringpost/base.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/scan.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GROWTH = 8, SIZE_MAX_HERE = 1 << 16 };

static void check_decode(const char *text, size_t len)
{
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    const size_t cap = GROWTH * len + 8;
    size_t all = 0, count = 0;
    char *value = malloc(cap);
    ASSERT(value != NULL);
    codec_parameter_reader_init(&reader, text, len);
    while (codec_parameter_next(&reader, &parameter, value, cap)) {
        ASSERT(parameter.name_len > 0 && parameter.name >= text);
        ASSERT(parameter.name + parameter.name_len <= text + len);
        ASSERT(parameter.value_len <= cap && scan_utf8_is_valid(value, parameter.value_len));
        all += parameter.value_len;
        count += 1;
    }
    ASSERT(all <= cap && count <= CODEC_PARAMETER_SECTIONS_MAX);
    free(value);
}

static void check_encode(const char *name, const char *text, size_t len)
{
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    const size_t cap = codec_parameter_encoded_max(len);
    char *written = malloc(cap), *back = malloc(3 * len + 1);
    ASSERT(written != NULL && back != NULL);
    const size_t n = codec_parameter_encode(name, text, len, written);
    ASSERT(n <= cap && !scan_has_8bit(written, n));
    codec_parameter_reader_init(&reader, written, n);
    ASSERT(codec_parameter_next(&reader, &parameter, back, 3 * len + 1));
    ASSERT(parameter.name_len == strlen(name));
    ASSERT(parameter.value_len <= 3 * len && scan_utf8_is_valid(back, parameter.value_len));
    if (scan_utf8_is_valid(text, len) && reader.count < CODEC_PARAMETER_SECTIONS_MAX) {
        ASSERT(parameter.value_len == len && (len == 0 || memcmp(back, text, len) == 0));
    }
    free(written);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    if (size > SIZE_MAX_HERE) return 0;
    check_decode(text, size);
    check_encode("n", text, size);
    check_encode("a-name-of-thirty-two-characters-", text, size);
    return 0;
}
