/* SPDX-License-Identifier: Apache-2.0
 *
 * test_part - the part tree: known answers, limits, and the same result for every split
 *
 * What a message is parsed to is written down as text, a line a part, and compared with what is
 * expected: "kind depth end: body", flags behind it.
 */
#include "ringpost/mime/part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { PARTS = 200, ROOM = 4096 };
static struct mime_parser parser;
static char room[ROOM];

/* Bodies of leaves as they came, joined. */
static char bodies[1 << 16];
static size_t bodies_len;
static struct mime_part parts[PARTS];
static uint32_t part_count;

/* Two pieces, the rest behind the first cut octet by octet if single is set. */
static void parse(struct bytes message, size_t cut, size_t step,
                  const struct mime_parser_options *options)
{
    size_t at = 0;
    mime_parser_init(&parser, room, sizeof(room), options);
    bodies_len = part_count = 0;
    uint32_t open = 0;
    for (;;) {
        const size_t len = MIN(at == 0 ? cut : step, message.len - at);
        struct bytes piece = {message.data + at, len};
        at += len;
        for (;;) {
            const enum mime_event event = mime_parser_next(&parser, &piece, at == message.len);
            if (event == MIME_MORE) break;
            if (event == MIME_DONE) {
                assert_int_equal(open, 0);
                assert_int_equal(piece.len, 0);
                return;
            }
            if (event == MIME_PART_BODY) {
                const struct mime_part *part = parser.part;
                assert_int_equal(part->kind, MIME_LEAF);
                assert_true(parser.data.len > 0 && bodies_len + parser.data.len <= sizeof(bodies));
                memcpy(bodies + bodies_len, parser.data.data, parser.data.len);
                bodies_len += parser.data.len;
            }
            if (event == MIME_PART_BEGIN) {
                assert_int_equal(parser.part->index, part_count);
                part_count += 1;
                open += 1;
            }
            if (event == MIME_PART_END) {
                parts[parser.part->index] = *parser.part;
                open -= 1;
            }
        }
        assert_int_equal(piece.len, 0);
        assert_true(at < message.len || cut == 0);
        if (at == 0) cut = step;
    }
}

/* Ranges make sense, and the octets of the leaves are those that came as events. */
static void check(struct bytes message)
{
    size_t at = 0;
    for (uint32_t i = 0; i < part_count; i++) {
        const struct mime_part *part = &parts[i];
        assert_true(part->header.begin <= part->header.end);
        assert_true(part->header.end <= part->body.begin && part->body.begin <= part->body.end);
        assert_true(part->body.end <= message.len);
        assert_int_not_equal(part->end, MIME_END_NONE);
        if (i == 0) {
            assert_int_equal(part->parent, MIME_NO_PARENT);
            assert_int_equal(part->body.end, message.len);
        } else {
            const struct mime_part *parent = &parts[part->parent];
            assert_true(part->parent < i && part->depth == parent->depth + 1);
            assert_true(parent->body.begin <= part->header.begin);
            assert_true(part->body.end <= parent->body.end);
        }
        if (part->kind == MIME_MULTIPART) {
            assert_int_equal(part->preamble.begin, part->body.begin);
            assert_true(part->preamble.end <= part->body.end);
            assert_true(part->epilogue.begin <= part->epilogue.end);
            assert_true(part->epilogue.end <= part->body.end);
        }
        if (part->kind != MIME_LEAF) continue;
        const struct bytes body = mime_range_of(message, part->body);
        assert_true(at + body.len <= bodies_len);
        if (body.len > 0) assert_memory_equal(bodies + at, body.data, body.len);
        at += body.len;
    }
    assert_int_equal(at, bodies_len);
}

static const char *print(struct bytes message)
{
    static char out[1 << 16];
    static const char *const kinds[] = {"leaf", "multipart", "message"};
    static const char *const ends[] = {"?", "boundary", "closing", "outer", "message"};
    static const char *const flags[] = {"cut",        "no-empty-line", "no-boundary", "no-parts",
                                        "not-closed", "too-deep",      "too-many",    "encoded",
                                        "repeated",   "in-signed",     "mbox"};
    struct text text;
    text_init(&text, out, sizeof(out));
    for (uint32_t i = 0; i < part_count; i++) {
        const struct mime_part *part = &parts[i];
        text_printf(&text, "%u.%u %s %s", part->depth, part->number, kinds[part->kind],
                    ends[part->end]);
        for (unsigned bit = 0; bit < ARRAY_COUNT(flags); bit++) {
            if (part->flags & 1u << bit) text_printf(&text, " %s", flags[bit]);
        }
        if (part->kind == MIME_LEAF) {
            text_put(&text, BYTES(" <"));
            text_put(&text, mime_range_of(message, part->body));
            text_put(&text, BYTES(">"));
        } else if (part->kind == MIME_MULTIPART) {
            text_put(&text, BYTES(" <"));
            text_put(&text, mime_range_of(message, part->preamble));
            text_put(&text, BYTES("|"));
            text_put(&text, mime_range_of(message, part->epilogue));
            text_put(&text, BYTES(">"));
        }
        text_put(&text, BYTES("\n"));
    }
    assert_false(text.cut);
    return out;
}

static void assert_parsed_with(const char *message_text, const char *expected,
                               const struct mime_parser_options *options)
{
    static struct mime_part first[PARTS];
    const struct bytes message = bytes_of(message_text);
    parse(message, message.len, 1, options);
    check(message);
    assert_string_equal(print(message), expected);
    const uint32_t count = part_count;
    memcpy(first, parts, count * sizeof(*first));
    for (size_t cut = 0; cut <= message.len; cut++) {
        static const size_t steps[] = {1, 2, 3, 7, 100000};
        for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
            parse(message, cut, steps[i], options);
            check(message);
            assert_int_equal(part_count, count);
            assert_memory_equal(parts, first, count * sizeof(*first));
        }
    }
}

static void assert_parsed(const char *message, const char *expected)
{
    assert_parsed_with(message, expected, NULL);
}

#define MIXED(boundary) "Content-Type: multipart/mixed; boundary=\"" boundary "\"\r\n"
#define RFC822          "Content-Type: message/rfc822\r\n"

static void test_simple(void **context)
{
    (void)context;
    assert_parsed("", "0.1 leaf message no-empty-line <>\n");
    assert_parsed("\r\n", "0.1 leaf message <>\n");
    assert_parsed("\n", "0.1 leaf message <>\n");
    assert_parsed("a: b\r\n\r\nhi\r\n", "0.1 leaf message <hi\r\n>\n");
    assert_parsed("a: b\r\n\r\n\r\nhi", "0.1 leaf message <\r\nhi>\n");
    assert_parsed("a: b\n c\n\nhi\r", "0.1 leaf message <hi\r>\n");
    assert_parsed("a: b\r\nhi\r\n", "0.1 leaf message no-empty-line <hi\r\n>\n");
    assert_parsed(" a: b\r\n\r\n", "0.1 leaf message no-empty-line < a: b\r\n\r\n>\n");
    assert_parsed("a: b", "0.1 leaf message no-empty-line <>\n");
    assert_parsed("From x\r\na: b\r\n\r\nc", "0.1 leaf message mbox <c>\n");
    assert_parsed("From x\r\nFrom x\r\n", "0.1 leaf message no-empty-line mbox <From x\r\n>\n");
    assert_parsed("From x", "0.1 leaf message no-empty-line <From x>\n");
}

static void test_multiparts(void **context)
{
    (void)context;
    assert_parsed(
        MIXED("b") "\r\npre\r\n--b\r\n\r\none\r\n--b\r\nx: y\r\n\r\ntwo\r\n\r\n--b--\r\nepi\r\n",
        "0.1 multipart message <pre|epi\r\n>\n"
        "1.1 leaf boundary <one>\n"
        "1.2 leaf closing <two\r\n>\n");
    assert_parsed(MIXED("b") "\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b--", "0.1 multipart message <|>\n"
                                                                    "1.1 leaf boundary <>\n"
                                                                    "1.2 leaf closing <>\n");
    /* LF only, and padding behind the boundary */
    assert_parsed(MIXED("b") "\n--b \t \n\none\n--b-- \nepi", "0.1 multipart message <|epi>\n"
                                                              "1.1 leaf closing <one>\n");
    /* nested; one delimiter directly behind the other */
    assert_parsed(MIXED("b") "\r\n--b\r\n" MIXED(
                      "c") "\r\n--c\r\n\r\none\r\n--c--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 multipart boundary <|>\n"
                  "2.1 leaf closing <one>\n"
                  "1.2 leaf closing <two>\n");
    /* behind its closing delimiter a boundary is nothing special */
    assert_parsed(MIXED("b") "\r\n--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nno\r\n",
                  "0.1 multipart message <|--b\r\n\r\nno\r\n>\n"
                  "1.1 leaf closing <one>\n");
    /* no delimiter: almost one, not at the start of a line, behind a bare CR */
    assert_parsed(
        MIXED("b") "\r\n--b\r\n\r\n--bc\r\n--b-\r\n -–b\r\n--B\r\nx--b\r\n--b "
                   "x\r\n--\r\n-\r\n\r--b\r\n--b--\r\n",
        "0.1 multipart message <|>\n"
        "1.1 leaf closing <--bc\r\n--b-\r\n -–b\r\n--B\r\nx--b\r\n--b x\r\n--\r\n-\r\n\r--b>\n");
}

static void test_boundaries_that_lie(void **context)
{
    (void)context;
    assert_parsed("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\none\r\n",
                  "0.1 leaf message no-boundary <--b\r\n\r\none\r\n>\n");
    assert_parsed(MIXED("b") "\r\ntext\r\n--c\r\n\r\none\r\n",
                  "0.1 multipart message no-parts not-closed <text\r\n--c\r\n\r\none\r\n|>\n");
    assert_parsed(MIXED("b") "\r\npre\r\n--b--\r\nepi",
                  "0.1 multipart message no-parts <pre|epi>\n");
    assert_parsed(MIXED("b") "\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n",
                  "0.1 multipart message not-closed <|>\n"
                  "1.1 leaf boundary <one>\n"
                  "1.2 leaf message <two\r\n>\n");
    /* an outer delimiter ends the inner multipart */
    assert_parsed(
        MIXED("b") "\r\n--b\r\n" MIXED("c") "\r\n--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        "0.1 multipart message <|>\n"
        "1.1 multipart boundary not-closed <|>\n"
        "2.1 leaf outer <one>\n"
        "1.2 leaf closing <two>\n");
    /* boundaries that begin like another one */
    assert_parsed(MIXED("b") "\r\n--b\r\n" MIXED("bb") "\r\n--bb\r\n\r\none\r\n--bb--\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 multipart closing <|>\n"
                  "2.1 leaf closing <one>\n");
    assert_parsed(MIXED("bb") "\r\n--bb\r\n" MIXED("b") "\r\n--b\r\n\r\none\r\n--bb--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 multipart closing not-closed <|>\n"
                  "2.1 leaf outer <one>\n");
    /* one boundary for two: the inner multipart has it */
    assert_parsed(MIXED("b") "\r\n--b\r\n" MIXED(
                      "b") "\r\n--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 multipart boundary <|>\n"
                  "2.1 leaf closing <one>\n"
                  "1.2 leaf closing <two>\n");
    /* a boundary that looks like a closing one */
    assert_parsed(MIXED("b--") "\r\n--b--\r\n\r\none\r\n--b----\r\n", "0.1 multipart message <|>\n"
                                                                      "1.1 leaf closing <one>\n");
}

static void test_headers_of_parts(void **context)
{
    (void)context;
    /* without an empty line; without anything */
    assert_parsed(MIXED("b") "\r\n--b\r\nx: y\r\n--b\r\nno field\r\n--b\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 leaf boundary no-empty-line <>\n"
                  "1.2 leaf boundary no-empty-line <no field>\n"
                  "1.3 leaf closing no-empty-line <>\n");
    assert_parsed("Content-Type: text/plain\r\n" MIXED("b") "\r\n--b\r\n\r\none\r\n",
                  "0.1 leaf message repeated <--b\r\n\r\none\r\n>\n");
    assert_parsed(MIXED("b") "Content-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\none\r\n--b--",
                  "0.1 multipart message encoded <|>\n"
                  "1.1 leaf closing <one>\n");
}

static void test_messages(void **context)
{
    (void)context;
    assert_parsed(RFC822 "\r\nSubject: x\r\n\r\nhi\r\n", "0.1 message message\n"
                                                         "1.1 leaf message <hi\r\n>\n");
    assert_parsed(MIXED("b") "\r\n--b\r\n" RFC822 "\r\n" MIXED(
                      "c") "\r\n--c\r\n\r\none\r\n--b\r\n" RFC822
                           "\r\n--b\r\nContent-Type: message/global\r\n\r\n\r\nz\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 message boundary\n"
                  "2.1 multipart boundary not-closed <|>\n"
                  "3.1 leaf outer <one>\n"
                  "1.2 message boundary\n"
                  "2.1 leaf boundary no-empty-line <>\n"
                  "1.3 message closing\n"
                  "2.1 leaf closing <z>\n");
    /* other kinds are leaves, and so is one that is encoded */
    assert_parsed("Content-Type: message/partial\r\n\r\na: b\r\n\r\n",
                  "0.1 leaf message <a: b\r\n\r\n>\n");
    assert_parsed(RFC822 "Content-Transfer-Encoding: base64\r\n\r\nYTogYg==\r\n",
                  "0.1 leaf message encoded <YTogYg==\r\n>\n");
    /* digest: another default */
    assert_parsed("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nx: y\r\n\r\none\r\n"
                  "--b\r\nContent-Type: text/plain\r\n\r\nx: y\r\n--b--\r\n",
                  "0.1 multipart message <|>\n"
                  "1.1 message boundary\n"
                  "2.1 leaf boundary <one>\n"
                  "1.2 leaf closing <x: y>\n");
    assert_parsed("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" MIXED(
                      "c") "\r\n--c\r\n\r\none\r\n--c--\r\n--b--",
                  "0.1 multipart message <|>\n"
                  "1.1 multipart closing in-signed <|>\n"
                  "2.1 leaf closing in-signed <one>\n");
}

static void test_limits(void **context)
{
    (void)context;
    const struct mime_parser_options shallow = {.depth_max = 1}, few = {.parts_max = 3};
    assert_parsed_with(MIXED("b") "\r\n--b\r\n" MIXED(
                           "c") "\r\n--c\r\n\r\none\r\n--c--\r\n--b\r\n" RFC822 "\r\n\r\n--b--",
                       "0.1 multipart message <|>\n"
                       "1.1 leaf boundary too-deep <--c\r\n\r\none\r\n--c-->\n"
                       "1.2 leaf closing too-deep <>\n",
                       &shallow);
    assert_parsed_with(
        MIXED("b") "\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--\r\nepi",
        "0.1 multipart message <|epi>\n"
        "1.1 leaf boundary <1>\n"
        "1.2 leaf closing too-many <2\r\n--b\r\n\r\n3>\n",
        &few);
    assert_parsed_with(MIXED("b") "\r\n--b\r\n\r\n1\r\n--b\r\n" RFC822
                                  "\r\na: b\r\n\r\n--b--\r\nepi",
                       "0.1 multipart message <|epi>\n"
                       "1.1 leaf boundary <1>\n"
                       "1.2 leaf closing too-many <a: b\r\n>\n",
                       &few);
}

/* Multiparts in multiparts: 64 levels are read, what is deeper is a leaf. */
static void test_depth(void **context)
{
    (void)context;
    static char message[100 * 100];
    struct text text;
    text_init(&text, message, sizeof(message));
    for (int i = 0; i < 80; i++) {
        if (i > 0) text_printf(&text, "--b%d\r\n", i - 1);
        text_printf(&text, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n", i);
    }
    parse(text_bytes(&text), 10, 11, NULL);
    check(text_bytes(&text));
    assert_int_equal(part_count, MIME_DEPTH_MAX + 1);
    for (uint32_t i = 0; i < MIME_DEPTH_MAX; i++)
        assert_int_equal(parts[i].flags, MIME_PART_NOT_CLOSED);
    assert_int_equal(parts[MIME_DEPTH_MAX].flags, MIME_PART_TOO_DEEP);
    assert_int_equal(parts[MIME_DEPTH_MAX].depth, MIME_DEPTH_MAX);
    assert_int_equal(parts[MIME_DEPTH_MAX].kind, MIME_LEAF);
}

/* The field that does not fit is not seen, what stands before it is. */
static void test_long_header(void **context)
{
    (void)context;
    static char message[3 * ROOM];
    for (size_t long_len = ROOM - 200; long_len < ROOM + 200; long_len++) {
        struct text text;
        text_init(&text, message, sizeof(message));
        text_printf(&text,
                    "Content-Type: text/html\r\nX:%0*d\r\n y\r\nContent-Transfer-Encoding: "
                    "8bit\r\n\r\nbody\r\n",
                    (int)long_len, 0);
        const struct bytes all = text_bytes(&text);
        const bool cut = all.len - strlen("\r\nbody\r\n") > ROOM;
        parse(all, long_len % 900, long_len % 1100 + 1, NULL);
        check(all);
        assert_int_equal(part_count, 1);
        assert_int_equal(parts[0].flags, cut ? MIME_PART_HEADER_CUT : 0);
        assert_int_equal(parts[0].encoding, cut ? MIME_7BIT : MIME_8BIT);
        assert_int_equal(parts[0].content_type.end, 25);
        assert_int_equal(parts[0].header.end, all.len - strlen("\r\nbody\r\n"));
        assert_int_equal(bodies_len, 6);
    }
}

/* A field of which only the first line fits is not seen at all: it might say something else. */
static void test_field_cut_in_two(void **context)
{
    (void)context;
    static char message[2 * ROOM];
    for (int len = ROOM - 100; len < ROOM; len++) {
        struct text text;
        text_init(&text, message, sizeof(message));
        text_printf(&text, "X:%0*d\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n", len, 0);
        const struct bytes all = text_bytes(&text);
        const bool cut = all.len - strlen("\r\n") > ROOM;
        parse(all, 100, 101, NULL);
        check(all);
        assert_int_equal(parts[0].flags, cut ? MIME_PART_HEADER_CUT : 0);
        assert_int_equal(parts[0].content_type.end, cut ? 0 : all.len - 2);
    }
}

/* The line end behind a closing delimiter belongs to the outer delimiter that follows. */
static void test_delimiter_behind_delimiter(void **context)
{
    (void)context;
    const struct bytes message = BYTES(MIXED("b") "\r\n--b\r\n" MIXED("c") "\r\n--c--\r\n--b--");
    parse(message, 3, 5, NULL);
    check(message);
    const struct bytes inner = mime_range_of(message, parts[1].body);
    assert_int_equal(inner.len, strlen("--c--"));
    assert_memory_equal(inner.data, "--c--", inner.len);
}

/* A delimiter with padding up to 1000 octets with its line end is one, a longer one is not. */
static void test_long_lines(void **context)
{
    (void)context;
    static char message[8000];
    for (int padding = 990; padding < 1000; padding++) {
        struct text text;
        text_init(&text, message, sizeof(message));
        text_printf(&text, MIXED("b") "\r\n--b%*s\r\n\r\none\r\n--b--\r\n", padding, "");
        const struct bytes all = text_bytes(&text);
        for (size_t cut = 0; cut < all.len; cut += 7) {
            parse(all, cut, 333, NULL);
            check(all);
            assert_int_equal(part_count, padding + 5 <= 1000 ? 2 : 1);
        }
    }
}

static void test_what_is_known_of_a_part(void **context)
{
    (void)context;
    const struct bytes message = BYTES("Subject: \xc3\xa4\r\n" MIXED(
        "b") "\r\n\xff\r\n--b\r\n"
             "content-transfer-encoding: BASE64\r\nContent-Disposition: inline\r\n\r\nab\xff\0\r\n"
             ".x\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\na\rb\nc\n\r\n--b\r\n\r\nlonger line"
             "\r\n--b--\r\n..\r\n");
    for (size_t step = 1; step < message.len; step++) {
        parse(message, step, step, NULL);
        check(message);
        assert_int_equal(part_count, 4);
        assert_int_equal(parts[0].header_classes, SCAN_8BIT);
        assert_int_equal(parts[0].classes, SCAN_8BIT | SCAN_LEADING_DOT);
        assert_int_equal(parts[0].type, MIME_TYPE_MULTIPART);
        assert_int_equal(parts[1].classes, SCAN_8BIT | SCAN_NUL | SCAN_LEADING_DOT);
        assert_int_equal(parts[1].encoding, MIME_BASE64);
        assert_int_equal(parts[1].line_end, MIME_CRLF);
        assert_int_equal(parts[1].line_max, 4);
        assert_int_equal(parts[2].classes, SCAN_BARE_CR | SCAN_BARE_LF);
        assert_int_equal(parts[2].line_end, MIME_LF);
        assert_int_equal(parts[2].type, MIME_TYPE_OTHER);
        assert_int_equal(parts[3].classes, 0);
        assert_int_equal(parts[3].line_max, 11);
        assert_int_equal(parts[3].line_end, MIME_NO_LINE_END);
        const struct bytes field = mime_range_of(message, parts[1].disposition);
        assert_int_equal(field.len, strlen("Content-Disposition: inline\r\n"));
        assert_memory_equal(field.data, "Content-Disposition: inline\r\n", field.len);
        assert_int_equal(parts[1].transfer_encoding.begin, parts[1].header.begin);
    }
}

static void test_tree(void **context)
{
    (void)context;
    const struct bytes message =
        BYTES(MIXED("b") "\r\n--b\r\n\r\n1\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n"
                         "\r\n--c\r\n\r\n2\r\n--c--\r\n--b--\r\n");
    struct mime_tree tree;
    struct mime_part kept[4];
    mime_tree_init(&tree, kept, ARRAY_COUNT(kept));
    mime_tree_read(&tree, &parser, message, room, sizeof(room));
    assert_int_equal(tree.count, 4);
    assert_false(tree.cut);
    assert_true(mime_tree_is_sealed(&tree));
    assert_int_equal(kept[0].children, 2);
    assert_int_equal(kept[3].parent, 2);
    assert_int_equal(kept[3].end, MIME_END_CLOSING);
    mime_tree_init(&tree, kept, 2);
    mime_tree_read(&tree, &parser, message, room, sizeof(room));
    assert_int_equal(tree.count, 2);
    assert_true(tree.cut);
    assert_false(mime_tree_is_sealed(&tree));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_multiparts),
        cmocka_unit_test(test_boundaries_that_lie),
        cmocka_unit_test(test_headers_of_parts),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_long_header),
        cmocka_unit_test(test_field_cut_in_two),
        cmocka_unit_test(test_delimiter_behind_delimiter),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_what_is_known_of_a_part),
        cmocka_unit_test(test_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
