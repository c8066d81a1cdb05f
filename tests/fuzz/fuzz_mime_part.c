/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mime_part - the part tree and the decoding of bodies
 *
 * The first two octets choose limits and how the message is split; whatever they are, the parts and
 * their octets are those of the message in one piece. Ranges lie within each other.
 */
#include "ringpost/mime/body.h"
#include "ringpost/mime/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 1000, ROOM = 1000 };

static struct mime_parser parser;
static char *room; /* on the heap, of the exact size: a sanitizer sees what is beyond it */

struct parsed {
    struct mime_part parts[PARTS];
    uint32_t count;
    uint64_t octets; /* of leaves */
    uint64_t headers;
};

static void check_event(enum mime_event event, struct bytes message, struct parsed *parsed)
{
    const struct mime_part *part = parser.part;
    static uint64_t at;
    switch (event) {
    case MIME_PART_BEGIN:
        ASSERT(part->index == parsed->count && part->index < PARTS);
        parsed->count += 1;
        at = UINT64_MAX;
        break;
    case MIME_PART_HEADER:
        ASSERT(parser.header.len <= ROOM);
        if (parser.header.len > 0) {
            ASSERT(memcmp(parser.header.data, message.data + part->header.begin,
                          parser.header.len) == 0);
        }
        parsed->headers += hash_bytes(part->index, parser.header);
        at = part->body.begin;
        break;
    case MIME_PART_BODY:
        ASSERT(part->kind == MIME_LEAF && parser.data.len > 0);
        ASSERT(parser.data_offset == at);
        ASSERT(memcmp(parser.data.data, message.data + at, parser.data.len) == 0);
        at += parser.data.len;
        parsed->octets += parser.data.len;
        break;
    case MIME_PART_END:
        if (part->kind == MIME_LEAF) ASSERT(at == part->body.end);
        parsed->parts[part->index] = *part;
        break;
    case MIME_MORE:
    case MIME_DONE:
        break;
    }
}

static void parse(struct bytes message, size_t step, const struct mime_parser_options *options,
                  struct parsed *parsed)
{
    struct bytes rest = message;
    memset(parsed, 0, sizeof(*parsed));
    mime_parser_init(&parser, room, ROOM, options);
    for (bool done = false; !done;) {
        struct bytes piece = {rest.data, MIN(step, rest.len)};
        rest = bytes_skip(rest, piece.len);
        const bool last = rest.len == 0;
        enum mime_event event;
        while ((event = mime_parser_next(&parser, &piece, last)) != MIME_MORE && event != MIME_DONE)
            check_event(event, message, parsed);
        ASSERT(piece.len == 0 && (event == MIME_DONE) == last);
        done = last;
    }
}

static bool contains(struct mime_range outer, struct mime_range inner)
{
    return outer.begin <= inner.begin && inner.begin <= inner.end && inner.end <= outer.end;
}

static void check_tree(const struct parsed *parsed, struct bytes message)
{
    for (uint32_t i = 0; i < parsed->count; i++) {
        const struct mime_part *part = &parsed->parts[i];
        const struct mime_range header = part->header, all = {0, message.len};
        ASSERT(part->index == i && part->end != MIME_END_NONE);
        ASSERT(contains(all, header) && contains(all, part->body));
        ASSERT(header.end <= part->body.begin);
        if (part->content_type.end > 0) ASSERT(contains(header, part->content_type));
        if (part->transfer_encoding.end > 0) ASSERT(contains(header, part->transfer_encoding));
        if (part->disposition.end > 0) ASSERT(contains(header, part->disposition));
        if (part->kind == MIME_MULTIPART) ASSERT(contains(part->body, part->preamble));
        if (part->epilogue.end > 0) ASSERT(contains(part->body, part->epilogue));
        if (part->kind == MIME_LEAF) ASSERT(part->children == 0);
        if (i == 0) continue;
        ASSERT(part->parent < i && contains(parsed->parts[part->parent].body, part->body));
        ASSERT(part->depth == parsed->parts[part->parent].depth + 1);
    }
}

/* A stream and one-shot, whatever the encoding. */
static void decode(struct bytes body, enum mime_encoding encoding, size_t step)
{
    static char out[2][1 << 16];
    size_t len[2] = {0, 0};
    for (int round = 0; round < 2; round++) {
        struct mime_body decoder;
        struct bytes rest = body;
        mime_body_init(&decoder, encoding);
        while (rest.len > 0) {
            const size_t n = round == 0 ? rest.len : MIN(step, rest.len);
            const struct codec_progress progress = mime_body_feed(
                &decoder, rest.data, n, out[round] + len[round], sizeof(out[round]) - len[round]);
            ASSERT(progress.taken > 0 && progress.taken <= n);
            rest = bytes_skip(rest, progress.taken);
            len[round] += progress.written;
        }
        len[round] += mime_body_finish(&decoder, out[round] + len[round]);
    }
    ASSERT(len[0] == len[1] && memcmp(out[0], out[1], len[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parsed whole, split;
    if (size < 2 || size > 1 << 14) return 0;
    const struct mime_parser_options options = {
        .depth_max = data[0] % 8,
        .parts_max = data[0] >= 128 ? data[0] - 127u : PARTS,
    };
    const size_t step = data[1] % 64 + 1u;
    const struct bytes message = {(const char *)data + 2, size - 2};
    room = base_alloc(ROOM);
    parse(message, SIZE_MAX, &options, &whole);
    check_tree(&whole, message);
    parse(message, step, &options, &split);
    ASSERT(memcmp(&whole, &split, sizeof(whole)) == 0);
    for (uint32_t i = 0; i < whole.count; i++) {
        if (whole.parts[i].kind != MIME_LEAF) continue;
        decode(mime_range_of(message, whole.parts[i].body),
               (enum mime_encoding)whole.parts[i].encoding, step);
    }
    base_free(room);
    return 0;
}
