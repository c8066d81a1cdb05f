/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_smtp_reply - replies of a hostile server: any split of the octets gives the same results
 *
 * The first octet seeds the split.
 */
#include "ringpost/smtp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    uint64_t hash;
    uint32_t lines, replies;
    bool malformed;
};

static void check_reply(const struct smtp_reply *reply)
{
    ASSERT(reply->code >= 200 && reply->code <= 599);
    ASSERT(reply->text_len <= SMTP_REPLY_TEXT_MAX);
    ASSERT(reply->enhanced.class == 0 || reply->enhanced.class == reply->code / 100);
    ASSERT(reply->enhanced.subject <= 999 && reply->enhanced.detail <= 999);
    for (size_t i = 0; i < reply->text_len; i++) {
        const unsigned char c = (unsigned char)reply->text[i];
        ASSERT(c >= 32 && c != 127);
    }
}

static void take(struct smtp_reply_parser *parser, struct bytes piece, struct result *result)
{
    while (!result->malformed) {
        const enum smtp_reply_status status = smtp_reply_parse(parser, &piece);
        if (status == SMTP_REPLY_MORE) {
            ASSERT(piece.len == 0);
            return;
        }
        result->hash = hash_u64(result->hash + (uint64_t)status);
        if (status == SMTP_REPLY_MALFORMED) {
            result->malformed = true;
            return;
        }
        result->hash = hash_bytes(result->hash, parser->line);
        result->lines += 1;
        if (status == SMTP_REPLY_DONE) {
            check_reply(&parser->reply);
            result->hash =
                hash_bytes(result->hash + parser->reply.code, smtp_reply_text(&parser->reply));
            result->replies += 1;
        }
    }
}

static struct result run(struct bytes input, uint64_t seed)
{
    static struct smtp_reply_parser parser;
    struct random random;
    struct result result = {0};
    random_init(&random, seed);
    smtp_reply_parser_init(&parser);
    while (input.len > 0) {
        const size_t wish = seed == 0 ? input.len : random_below(&random, seed) + 1;
        const size_t len = MIN(wish, input.len);
        char *piece = malloc(len);
        ASSERT(piece != NULL);
        memcpy(piece, input.data, len);
        take(&parser, (struct bytes){piece, len}, &result);
        free(piece);
        input = bytes_skip(input, len);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const struct bytes input = {(const char *)data + 1, size - 1};
    const struct result whole = run(input, 0);
    const struct result split = run(input, 1 + data[0]);
    ASSERT(whole.malformed == split.malformed && whole.hash == split.hash);
    ASSERT(whole.lines == split.lines && whole.replies == split.replies);
    return 0;
}
