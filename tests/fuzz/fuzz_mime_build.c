/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mime_build - any parts, names, fields and flags: a correct message or a refusal
 *
 * Line ends are CRLF, no line is over 998, no octet over 127 where none is allowed, every boundary
 * occurs as often as there are parts, and the length is the one that was announced; whatever
 * buffers the caller has.
 */
#include "choices.h"
#include "ringpost/mime/body.h"
#include "ringpost/mime/build.h"
#include "ringpost/mime/part.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PEOPLE_MAX = 5, EXTRA_MAX = 3, PARTS_MAX = 4, TEXT_MAX = 255, REPEAT_MAX = 64 };

struct world {
    struct choices choices;
    struct mime_mailbox people[PEOPLE_MAX];
    struct mime_extra extra[EXTRA_MAX];
    struct mime_build_part images[PARTS_MAX], attachments[PARTS_MAX];
    struct mime_message message;
    char *contents[2 * PARTS_MAX + 2];
    size_t content_count;
};

static struct bytes some_text(struct choices *choices)
{
    return choose_text(choices, choose_octet(choices));
}

/* What the fuzzer has, or something that gets through. */
static struct bytes text_or(struct choices *choices, const char *good)
{
    return choose_one_in(choices, 2) ? some_text(choices) : bytes_of(good);
}

/* A text many times over: long lines, many lines, contents of more than one chunk. */
static struct bytes some_content(struct world *world)
{
    const size_t repeat = 1 + choose_below(&world->choices, REPEAT_MAX);
    const struct bytes text = some_text(&world->choices);
    char *content = malloc(text.len * repeat + 1);
    if (content == NULL) abort();
    for (size_t i = 0; i < repeat; i++)
        memcpy(content + i * text.len, text.data, text.len);
    world->contents[world->content_count++] = content;
    return (struct bytes){content, text.len * repeat};
}

static void choose_part(struct world *world, struct mime_build_part *part)
{
    static const char *const types[] = {"",          "image/png",      "text/plain",
                                        "TEXT/html", "message/rfc822", "application/pdf"};
    struct choices *choices = &world->choices;
    part->content = some_content(world);
    part->type =
        choose_one_in(choices, 8) ? some_text(choices) : bytes_of(CHOOSE_FROM(choices, types));
    part->name = some_text(choices);
    part->id = text_or(choices, "id@a.example");
}

static struct mime_mailboxes some_people(struct world *world)
{
    return (struct mime_mailboxes){world->people, choose_below(&world->choices, PEOPLE_MAX)};
}

static void choose_header(struct world *world)
{
    struct choices *choices = &world->choices;
    struct mime_message *message = &world->message;
    for (size_t i = 0; i < PEOPLE_MAX; i++) {
        world->people[i].name = some_text(choices);
        world->people[i].address = text_or(choices, i % 2 ? "\xc3\xa9@b.example" : "a@b.example");
    }
    for (size_t i = 0; i < EXTRA_MAX; i++) {
        world->extra[i].name = text_or(choices, "X-Name");
        world->extra[i].body = some_text(choices);
    }
    message->from = (struct mime_mailboxes){world->people, 1 + choose_below(choices, 2)};
    message->sender = world->people[0];
    message->to = some_people(world);
    message->cc = some_people(world);
    message->reply_to = some_people(world);
    message->subject = some_text(choices);
    message->message_id = choose_one_in(choices, 2) ? some_text(choices) : (struct bytes){"", 0};
    message->random[0] = choose_octet(choices);
    message->extra = world->extra;
    message->extra_count = choose_below(choices, EXTRA_MAX + 1);
    message->eight_bit = choose_one_in(choices, 2);
    message->utf8 = choose_one_in(choices, 2);
}

static void choose_body(struct world *world)
{
    struct choices *choices = &world->choices;
    struct mime_message *message = &world->message;
    if (choose_one_in(choices, 2)) message->text = some_content(world);
    if (choose_one_in(choices, 2)) message->html = some_content(world);
    message->images = world->images;
    message->image_count = choose_below(choices, PARTS_MAX);
    message->attachments = world->attachments;
    message->attachment_count = choose_below(choices, PARTS_MAX);
    for (size_t i = 0; i < message->image_count; i++)
        choose_part(world, &world->images[i]);
    for (size_t i = 0; i < message->attachment_count; i++)
        choose_part(world, &world->attachments[i]);
}

/* ---- what came out --------------------------------------------------------------------------- */

static void check_lines(struct bytes text)
{
    size_t line = 0;
    ASSERT(text.len >= 2 && memcmp(text.data + text.len - 2, "\r\n", 2) == 0);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.data[i];
        line = c == '\n' ? 0 : line + 1;
        ASSERT(c != '\0');
        ASSERT(c != '\n' || text.data[i - 1] == '\r');
        ASSERT(c != '\r' || text.data[i + 1] == '\n');
        ASSERT(line <= MIME_BUILD_LINE_MAX + 1); /* the CR is in it */
    }
}

static bool has_8bit(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > 127) return true;
    }
    return false;
}

static size_t count_of(struct bytes text, const char *what)
{
    size_t count = 0;
    const size_t len = strlen(what);
    for (const char *at; (at = memmem(text.data, text.len, what, len)) != NULL; count++)
        text = bytes_skip(text, (size_t)(at - text.data) + len);
    return count;
}

static void check_level(const struct mime_builder *builder, struct bytes body, char level,
                        size_t parts)
{
    char line[MIME_BUILD_BOUNDARY + 16];
    const int len = snprintf(line, sizeof(line), "\r\n--%s%c", builder->boundary, level);
    ASSERT(count_of(body, line) == (parts > 0 ? parts + 1 : 0));
    memcpy(line + len, "--\r\n", 5);
    ASSERT(count_of(body, line) == (parts > 0));
}

static void check_message(const struct mime_builder *builder, struct bytes text)
{
    const struct mime_message *m = builder->message;
    const char *end = memmem(text.data, text.len, "\r\n\r\n", 4);
    ASSERT(end != NULL);
    const size_t header_len = (size_t)(end - text.data) + 2;
    const struct bytes header = {text.data, header_len}, body = bytes_skip(text, header_len);
    check_lines(text);
    ASSERT(has_8bit(header) == mime_build_is_utf8(builder));
    ASSERT(has_8bit(body) == mime_build_is_8bit(builder));
    ASSERT(m->eight_bit || !mime_build_is_8bit(builder));
    ASSERT(m->utf8 || !mime_build_is_utf8(builder));
    ASSERT(count_of(header, "\r\nMIME-Version: 1.0\r\n") == 1);
    check_level(builder, body, 'm',
                m->attachment_count > 0
                    ? m->attachment_count + (m->text.data != NULL || m->html.data != NULL)
                    : 0);
    check_level(builder, body, 'r', m->image_count > 0 ? m->image_count + 1 : 0);
    check_level(builder, body, 'a', m->text.data != NULL && m->html.data != NULL ? 2 : 0);
}

/* ---- as our own reader reads it -------------------------------------------------------------- */

/* The specification of normalising, octet by octet. */
static struct bytes with_crlf(struct bytes content, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < content.len; i++) {
        const char c = content.data[i];
        if (c == '\n' && (i == 0 || content.data[i - 1] != '\r')) out[len++] = '\r';
        out[len++] = c;
    }
    if (content.len > 0 && content.data[content.len - 1] != '\n') {
        memcpy(out + len, "\r\n", 2);
        len += 2;
    }
    return (struct bytes){out, len};
}

static struct bytes decoded(struct bytes body, enum mime_encoding encoding, char *out, size_t cap)
{
    struct mime_body decoder;
    mime_body_init(&decoder, encoding);
    const struct codec_progress progress =
        mime_body_feed(&decoder, body.data, body.len, out, cap - CODEC_ROOM_MIN);
    ASSERT(progress.taken == body.len);
    return (struct bytes){out,
                          progress.written + mime_body_finish(&decoder, out + progress.written)};
}

static void check_part(struct bytes message, const struct mime_part *part,
                       const struct mime_build_part *wanted)
{
    const size_t cap = 3 * (message.len + wanted->content.len) + 2 * CODEC_ROOM_MIN;
    char *plain = malloc(cap), *given = malloc(cap);
    if (plain == NULL || given == NULL) abort();
    const struct bytes content =
        wanted->normalise ? with_crlf(wanted->content, given) : wanted->content;
    const struct bytes body = mime_range_of(message, part->body);
    /* Of a message without a body the boundary's line end may be taken for the empty line. */
    const bool vague = part->kind == MIME_MESSAGE && count_of(content, "\r\n\r\n") == 0;
    ASSERT(vague || (part->encoding == wanted->encoding && body.len == wanted->len));
    ASSERT(vague || bytes_equal(decoded(body, wanted->encoding, plain, cap), content));
    free(plain);
    free(given);
}

/* The parts that the builder has made, in their order; inside of a message they are not ours. */
static void check_tree(const struct mime_builder *builder, struct bytes message)
{
    enum { PARTS = 200, ROOM = 1 << 20 };
    static struct mime_parser parser;
    static struct mime_part parts[PARTS];
    static char room[ROOM];
    const struct mime_message *m = builder->message;
    const struct mime_build_part *wanted[2 + 2 * PARTS_MAX];
    size_t count = 0, seen = 0;
    struct mime_tree tree;
    if (m->text.data != NULL || (m->html.data == NULL && m->attachment_count == 0)) {
        wanted[count++] = &builder->text;
    }
    if (m->html.data != NULL) wanted[count++] = &builder->html;
    for (size_t i = 0; i < m->image_count; i++)
        wanted[count++] = &m->images[i];
    for (size_t i = 0; i < m->attachment_count; i++)
        wanted[count++] = &m->attachments[i];
    mime_tree_init(&tree, parts, PARTS);
    mime_tree_read(&tree, &parser, message, room, ROOM);
    uint64_t behind = 0; /* octets of the last message inside */
    for (uint32_t i = 0; i < tree.count; i++) {
        const struct mime_part *part = &parts[i];
        if (part->header.begin < behind || part->kind == MIME_MULTIPART) continue;
        ASSERT(part->flags == 0 && seen < count);
        check_part(message, part, wanted[seen++]);
        if (part->kind == MIME_MESSAGE) behind = part->body.end;
    }
    ASSERT(seen == count || tree.cut);
}

static void read_and_check(struct mime_builder *builder, struct choices *choices)
{
    const size_t len = (size_t)mime_build_len(builder);
    char *out = malloc(len + 1), *again = malloc(len + 1);
    if (out == NULL || again == NULL) abort();
    ASSERT(mime_build_next(builder, out, len + 1) == len);
    ASSERT(mime_build_next(builder, again, 1) == 0);
    mime_build_rewind(builder);
    size_t done = 0;
    for (size_t n = 1; n > 0; done += n)
        n = mime_build_next(builder, again + done,
                            MIN(1 + (size_t)choose_octet(choices) * 3, len - done));
    ASSERT(done == len && memcmp(out, again, len) == 0);
    check_message(builder, (struct bytes){out, len});
    check_tree(builder, (struct bytes){out, len});
    free(out);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mime_builder builder;
    struct world world = {.choices = {data, size}};
    choose_body(&world);
    choose_header(&world);
    if (mime_build_init(&builder, &world.message) == MIME_BUILD_OK) {
        read_and_check(&builder, &world.choices);
    }
    for (size_t i = 0; i < world.content_count; i++)
        free(world.contents[i]);
    return 0;
}
