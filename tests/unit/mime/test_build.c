/* SPDX-License-Identifier: Apache-2.0
 *
 * test_build - messages that the builder makes, octet for octet; what it refuses
 *
 * tests/system/test_send.py reads its messages with Python's email package and Perl's MIME::Parser.
 */
#include "ringpost/codec/word.h"
#include "ringpost/mime/address.h"
#include "ringpost/mime/build.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <cmocka.h>

enum { OUT_MAX = 1 << 20 };
static struct mime_builder builder;
static char out[OUT_MAX], again[OUT_MAX];

static const struct mime_mailbox ann = {{"Ann", 3}, {"ann@a.example", 13}};
static const struct mime_mailbox bob = {{"", 0}, {"bob@b.example", 13}};

static struct mime_message simple_message(void)
{
    return (struct mime_message){
        .from = {&ann, 1},
        .to = {&bob, 1},
        .subject = BYTES("Hello"),
        .message_id = BYTES("1@a.example"),
        .date = INT64_C(1795244739000),
        .random = {1, 2},
    };
}

static struct bytes build(const struct mime_message *message)
{
    const enum mime_build_result result = mime_build_init(&builder, message);
    if (result != MIME_BUILD_OK) {
        fail_msg("%s: %.*s", mime_build_explain(result), BYTES_FMT(builder.culprit));
    }
    const size_t len = mime_build_next(&builder, out, sizeof(out));
    assert_int_equal(len, mime_build_len(&builder));
    assert_int_equal(mime_build_next(&builder, out + len, sizeof(out) - len), 0);
    return (struct bytes){out, len};
}

/* Boundaries are random: "B" stands for what they share. */
static void assert_message(const struct mime_message *message, const char *expected)
{
    static char shown[OUT_MAX];
    const struct bytes got = build(message);
    size_t len = 0;
    for (size_t i = 0; i < got.len;) {
        if (got.len - i > MIME_BUILD_BOUNDARY &&
            memcmp(got.data + i, builder.boundary, MIME_BUILD_BOUNDARY) == 0) {
            shown[len++] = 'B';
            i += MIME_BUILD_BOUNDARY;
        } else {
            shown[len++] = got.data[i++];
        }
    }
    shown[len] = '\0';
    assert_string_equal(shown, expected);
}

static bool contains(struct bytes text, const char *what)
{
    return memmem(text.data, text.len, what, strlen(what)) != NULL;
}

#define HEAD                                                                                       \
    "Date: Sat, 21 Nov 2026 07:05:39 +0000\r\n"                                                    \
    "From: Ann <ann@a.example>\r\n"                                                                \
    "To: bob@b.example\r\n"                                                                        \
    "Subject: Hello\r\n"                                                                           \
    "Message-ID: <1@a.example>\r\n"                                                                \
    "MIME-Version: 1.0\r\n"

static void test_text(void **state)
{
    (void)state;
    struct mime_message m = simple_message();
    m.text = BYTES("one\ntwo\r\nthree");
    assert_message(&m, HEAD "Content-Type: text/plain; charset=us-ascii\r\n"
                            "Content-Transfer-Encoding: 7bit\r\n\r\n"
                            "one\r\ntwo\r\nthree\r\n");
    m.text = (struct bytes){NULL, 0};
    assert_message(&m, HEAD "Content-Type: text/plain; charset=us-ascii\r\n"
                            "Content-Transfer-Encoding: 7bit\r\n\r\n");
    m.text = BYTES("mostly ASCII, but caf\xc3\xa9\n.dot\nFrom here\n");
    assert_message(&m, HEAD "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                            "mostly ASCII, but caf=C3=A9\r\n=2Edot\r\n=46rom here\r\n");
    assert_false(mime_build_is_8bit(&builder));
    m.eight_bit = true;
    assert_message(&m, HEAD "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Transfer-Encoding: 8bit\r\n\r\n"
                            "mostly ASCII, but caf\xc3\xa9\r\n.dot\r\nFrom here\r\n");
    assert_true(mime_build_is_8bit(&builder));
    assert_false(mime_build_is_utf8(&builder));
    m.eight_bit = false;
    m.text = BYTES("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\n");
    assert_message(&m, HEAD "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Transfer-Encoding: base64\r\n\r\n"
                            "0J/RgNC40LLQtdGCDQo=\r\n");
}

static void test_whole_structure(void **state)
{
    (void)state;
    struct mime_build_part image = {BYTES("\x89PNG"), BYTES("image/png"), BYTES(""), BYTES("logo")};
    struct mime_build_part attachments[] = {
        {BYTES("\0\1\2"), BYTES(""), BYTES("a.bin"), BYTES("")},
        {BYTES("a,b\r\n"), BYTES("text/csv"), BYTES("a b.csv"), BYTES("")},
    };
    struct mime_message m = simple_message();
    m.text = BYTES("text\n");
    m.html = BYTES("<img src='cid:logo'>\n");
    m.images = &image, m.image_count = 1;
    m.attachments = attachments, m.attachment_count = 2;
    assert_message(&m,
                   HEAD "Content-Type: multipart/mixed;\r\n boundary=\"Bm\"\r\n\r\n"
                        "--Bm\r\n"
                        "Content-Type: multipart/related;\r\n type=\"multipart/alternative\";\r\n"
                        " boundary=\"Br\"\r\n\r\n"
                        "--Br\r\n"
                        "Content-Type: multipart/alternative;\r\n boundary=\"Ba\"\r\n\r\n"
                        "--Ba\r\n"
                        "Content-Type: text/plain; charset=us-ascii\r\n"
                        "Content-Transfer-Encoding: 7bit\r\n\r\n"
                        "text\r\n"
                        "\r\n--Ba\r\n"
                        "Content-Type: text/html; charset=us-ascii\r\n"
                        "Content-Transfer-Encoding: 7bit\r\n\r\n"
                        "<img src='cid:logo'>\r\n"
                        "\r\n--Ba--\r\n"
                        "\r\n--Br\r\n"
                        "Content-Type: image/png\r\n"
                        "Content-Transfer-Encoding: base64\r\n"
                        "Content-ID: <logo>\r\n"
                        "Content-Disposition: inline\r\n\r\n"
                        "iVBORw==\r\n"
                        "\r\n--Br--\r\n"
                        "\r\n--Bm\r\n"
                        "Content-Type: application/octet-stream\r\n"
                        "Content-Transfer-Encoding: base64\r\n"
                        "Content-Disposition: attachment;\r\n filename=a.bin\r\n\r\n"
                        "AAEC\r\n"
                        "\r\n--Bm\r\n"
                        "Content-Type: text/csv; charset=us-ascii\r\n"
                        "Content-Transfer-Encoding: 7bit\r\n"
                        "Content-Disposition: attachment;\r\n filename=\"a b.csv\"\r\n\r\n"
                        "a,b\r\n"
                        "\r\n--Bm--\r\n");
}

static void test_people_and_fields(void **state)
{
    (void)state;
    const struct mime_mailbox two[] = {
        {BYTES("Smith, \"J\""), BYTES("j@a.example")},
        {BYTES("J\xc3\xbcrgen"), BYTES("\"j r\"@a.example")},
    };
    const struct mime_extra extra[] = {
        {BYTES("List-Unsubscribe"), BYTES("<https://a.example/u?t=1>, <mailto:u@a.example>")},
        {BYTES("List-Unsubscribe-Post"), BYTES("List-Unsubscribe=One-Click")},
        {BYTES("X-Empty"), BYTES("")},
        {BYTES("X-Note"), BYTES("caf\xc3\xa9")},
    };
    struct mime_message m = simple_message();
    m.from = (struct mime_mailboxes){two, 2};
    m.sender = ann;
    m.reply_to = m.cc = (struct mime_mailboxes){&bob, 1};
    m.message_id = (struct bytes){NULL, 0};
    m.extra = extra, m.extra_count = ARRAY_COUNT(extra);
    const struct bytes got = build(&m);
    assert_true(contains(got, "\r\nFrom: \"Smith, \\\"J\\\"\" <j@a.example>, =?"));
    assert_true(contains(got, "?=\r\n <\"j r\"@a.example>\r\nSender: Ann <ann@a.example>\r\n"
                              "Reply-To: bob@b.example\r\nTo: bob@b.example\r\n"
                              "Cc: bob@b.example\r\nSubject: Hello\r\n"
                              "Message-ID: <1a1fcecc9b8.0000000000000001@a.example>\r\n"));
    assert_true(contains(got, "\r\nList-Unsubscribe: <https://a.example/u?t=1>, "
                              "<mailto:u@a.example>\r\n"
                              "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
                              "X-Empty:\r\nX-Note: =?"));
}

/* Every line of the header within the limit, and the same text after unfolding. */
static void assert_folded(struct bytes header, size_t line_max)
{
    for (const char *line = header.data, *end = header.data + header.len; line < end;) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        assert_non_null(lf);
        assert_int_equal(lf[-1], '\r');
        assert_true((size_t)(lf - 1 - line) <= line_max);
        assert_true(lf - 1 > line && strspn(line, " \t") < (size_t)(lf - 1 - line));
        line = lf + 1;
    }
}

static struct bytes header_of(struct bytes message)
{
    const char *end = memmem(message.data, message.len, "\r\n\r\n", 4);
    assert_non_null(end);
    return (struct bytes){message.data, (size_t)(end - message.data) + 2};
}

static void test_folding(void **state)
{
    (void)state;
    static char text[MIME_BUILD_TEXT_MAX], body[MIME_BUILD_BODY_MAX];
    static struct mime_mailbox many[300];
    struct mime_message m = simple_message();
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = i % 3 == 0 ? ann : bob;
    many[7].name = (struct bytes){text, MIME_NAME_MAX};
    m.to = m.cc = (struct mime_mailboxes){many, ARRAY_COUNT(many)};
    const struct mime_extra extra = {BYTES("References"), {body, sizeof(body)}};
    m.extra = &extra, m.extra_count = 1;
    for (size_t word = 1; word < 70; word++) {
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = i % (word + 1) == word ? ' ' : 'x';
        for (size_t i = 0; i < sizeof(body); i++)
            body[i] = i % (word + 1) == word ? ' ' : 'y';
        text[sizeof(text) - 1] = body[sizeof(body) - 1] = 'z';
        for (size_t len = sizeof(text); len > 0; len /= 2) {
            m.subject = (struct bytes){text, len};
            if (text[len - 1] == ' ') m.subject.len -= 1;
            assert_folded(header_of(build(&m)), MIME_BUILD_LINE);
        }
    }
    memset(body, 'y', sizeof(body));
    body[MIME_BUILD_WORD_MAX] = ' ';
    m.extra = &(struct mime_extra){BYTES("X"), {body, MIME_BUILD_WORD_MAX + 5}};
    assert_folded(header_of(build(&m)), MIME_BUILD_LINE_MAX);
}

/* Repeats of a text: as a reader finds them again in the file's name, the subject, a person's name.
 */
static void assert_read_again(const char *text, size_t repeats)
{
    static char name[MIME_BUILD_TEXT_MAX], got[MIME_BUILD_TEXT_MAX];
    const size_t one = strlen(text), len = one * repeats;
    for (size_t i = 0; i < len; i++)
        name[i] = text[i % one];
    const struct mime_mailbox person = {{name, MIN(repeats, MIME_NAME_MAX / one) * one},
                                        BYTES("a@b.example")};
    struct mime_build_part part = {.name = {name, len}};
    struct mime_message m = simple_message();
    m.from = (struct mime_mailboxes){&person, 1};
    m.subject = part.name;
    m.attachments = &part, m.attachment_count = 1;

    const struct bytes header = header_of(build(&m));
    assert_folded(header, MIME_BUILD_LINE);
    struct mime_field field;
    assert_true(mime_field_find(header, BYTES("Subject"), &field));
    const struct bytes subject = bytes_skip(field.body, 1);
    assert_int_equal(codec_word_decode(subject.data, subject.len, got, sizeof(got)), len);
    assert_memory_equal(got, name, len);

    struct mime_address_reader reader;
    struct mime_address address;
    assert_true(mime_field_find(header, BYTES("From"), &field));
    mime_address_reader_init(&reader, field.body);
    assert_true(mime_address_next(&reader, &address));
    assert_int_equal(mime_address_name(&address, got, sizeof(got)), person.name.len);
    assert_memory_equal(got, name, person.name.len);

    const char *attached = memmem(out, sizeof(out), "attachment;", 11);
    assert_non_null(attached);
    size_t got_len;
    const char *end = strstr(attached, "\r\n\r\n");
    assert_non_null(end);
    assert_true(mime_parameter((struct bytes){attached, (size_t)(end - attached)}, "filename", got,
                               sizeof(got), &got_len));
    assert_int_equal(got_len, len);
    assert_memory_equal(got, name, len);
}

static void test_names_read_again(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xd0\xb6",
                                        "x",
                                        "a\xd0\xb6",
                                        "\"\\ q",
                                        "a b \xc3\xa9 c",
                                        "%20'*",
                                        "\xe6\x97\xa5\xe6\x9c\xac ."};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (size_t repeats = 1; repeats < 40; repeats++)
            assert_read_again(texts[i], repeats);
    }
    assert_read_again("\xd0\xb6", 300 / 2);
    assert_read_again("\xe6\x97\xa5", 300);
    assert_read_again("x", 300);
}

static void test_largest_header(void **state)
{
    (void)state;
    static char text[MIME_BUILD_BODY_MAX];
    memset(text, '\xe9', sizeof(text)); /* not UTF-8 either */
    const struct bytes name = {text, MIME_BUILD_TEXT_MAX};
    const struct mime_mailbox long_name = {{text, MIME_NAME_MAX}, BYTES("a@b.example")};
    const struct mime_extra extra = {BYTES("X"), {text, sizeof(text)}};
    struct mime_build_part part = {.name = name};
    struct mime_message m = simple_message();
    m.from = (struct mime_mailboxes){&long_name, 1};
    m.subject = name;
    m.extra = &extra, m.extra_count = 1;
    m.attachments = &part, m.attachment_count = 1;
    assert_folded(header_of(build(&m)), MIME_BUILD_LINE);
}

/* Any buffers, also of one octet, also as an iovec: the same message. */
static void test_any_buffers(void **state)
{
    (void)state;
    static char content[10000];
    struct mime_message m = simple_message();
    struct mime_build_part part = {.content = {content, sizeof(content)}};
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)(i * 7 + i / 256);
    m.attachments = &part, m.attachment_count = 1;
    m.text = BYTES("caf\xc3\xa9 au lait, bien s\xc3\xbbr, et encore un peu de texte ASCII\n");
    m.html = BYTES("\xd0\xbf\xd1\x80\xd0\xb8\n");
    const struct bytes whole = build(&m);
    for (size_t cap = 1; cap < 2000; cap += cap < 20 ? 1 : 37) {
        size_t len = 0, n;
        mime_build_rewind(&builder);
        while ((n = mime_build_next(&builder, again + len, cap)) == cap)
            len += n;
        assert_int_equal(len + n, whole.len);
        assert_memory_equal(again, whole.data, whole.len);
    }
    const struct iovec iov[] = {{again, 1},
                                {again + 1, 300},
                                {again + 301, 0},
                                {again + 301, 255},
                                {again + 556, sizeof(again) - 556}};
    memset(again, 0, sizeof(again));
    mime_build_rewind(&builder);
    assert_int_equal(mime_build_iovec(&builder, iov, 2), 301);
    assert_int_equal(mime_build_iovec(&builder, iov + 2, 3), whole.len - 301);
    assert_memory_equal(again, whole.data, whole.len);
}

static void test_encodings(void **state)
{
    (void)state;
    static char line[2000];
    const struct {
        struct bytes content, type;
        bool eight_bit;
        enum mime_encoding encoding;
        uint64_t len;
    } rows[] = {
        {BYTES(""), BYTES(""), false, MIME_BASE64, 0},
        {BYTES("a"), BYTES("image/gif"), true, MIME_BASE64, 6},
        {BYTES("a\r\nb"), BYTES("text/plain"), false, MIME_7BIT, 4},
        {BYTES("a\nb"), BYTES("text/plain"), false, MIME_BASE64, 6},
        {BYTES("a\rb"), BYTES("TEXT/Plain"), false, MIME_BASE64, 6},
        {BYTES("a\0b"), BYTES("text/plain"), false, MIME_BASE64, 6},
        {BYTES("caf\xc3\xa9, caf\xe9, cafe noir"), BYTES("text/plain"), false,
         MIME_QUOTED_PRINTABLE, 28},
        {BYTES("caf\xc3\xa9"), BYTES("text/plain"), true, MIME_8BIT, 5},
        {BYTES("A: b\n\nc"), BYTES("message/rfc822"), false, MIME_7BIT, 11},
        {BYTES("A: b\n\n\xc3\xa9"), BYTES("message/rfc822"), false, MIME_BASE64, 14},
        {BYTES("A: b\n\n\xc3\xa9"), BYTES("message/rfc822"), true, MIME_8BIT, 12},
        {BYTES("A: b\0\n\n"), BYTES("message/rfc822"), true, MIME_BASE64, 14},
    };
    struct mime_message m = simple_message();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct mime_build_part part = {.content = rows[i].content, .type = rows[i].type};
        m.attachments = &part, m.attachment_count = 1;
        m.eight_bit = rows[i].eight_bit;
        build(&m);
        assert_int_equal(part.encoding, rows[i].encoding);
        assert_int_equal(part.len, rows[i].len);
    }
    memset(line, 'x', sizeof(line));
    for (size_t len = 990; len < 1010; len++) {
        struct mime_message text = simple_message();
        text.text = (struct bytes){line, len};
        const bool plain = contains(build(&text), "Content-Transfer-Encoding: 7bit\r\n");
        assert_int_equal(plain, len <= MIME_BUILD_LINE_MAX);
    }
}

/* A text that holds the message's own boundary is encoded, so that the boundary is in no body. */
static void test_boundary_in_content(void **state)
{
    (void)state;
    char text[200];
    struct mime_build_part part = {.content = BYTES("x")};
    struct mime_message m = simple_message();
    m.attachments = &part, m.attachment_count = 1;
    build(&m);
    const int len = snprintf(text, sizeof(text), "a\r\n--%sm--\r\nb\r\n", builder.boundary);
    m.text = (struct bytes){text, (size_t)len};
    assert_true(contains(build(&m), "\r\nContent-Transfer-Encoding: quoted-printable\r\n"));
    struct mime_build_part forwarded = {.content = m.text, .type = BYTES("message/rfc822")};
    m.attachments = &forwarded;
    build(&m);
    assert_int_equal(forwarded.encoding, MIME_BASE64);
    m.text = BYTES("--=_ looks like one, and is none\n");
    assert_true(contains(build(&m), "\r\nContent-Transfer-Encoding: 7bit\r\n"));
}

static void assert_refused(const struct mime_message *m, enum mime_build_result result)
{
    assert_int_equal(mime_build_init(&builder, m), result);
    assert_true(strlen(mime_build_explain(result)) > 0);
}

static void test_bad_addresses(void **state)
{
    (void)state;
    const struct mime_mailbox bad[] = {
        {BYTES(""), BYTES("")},           {BYTES(""), BYTES("a")},
        {BYTES(""), BYTES("postmaster")}, {BYTES(""), BYTES("a@b>\r\nX: y")},
        {BYTES(""), BYTES("a@b>x")},      {BYTES(""), BYTES("@x:a@b")},
        {BYTES(""), BYTES("a@b, c@d")},
    };
    struct mime_message m = simple_message();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        m.to.list = &bad[i];
        assert_refused(&m, MIME_BUILD_BAD_ADDRESS);
    }
    const struct mime_mailbox injected = {BYTES("Ann\r\nBcc: x@y.example"), BYTES("a@b.example")};
    m.to.list = &injected;
    assert_refused(&m, MIME_BUILD_CONTROL);
    const struct mime_mailbox wide = {BYTES(""), BYTES("\xc3\xa9@b.example")};
    m.to.list = &wide;
    assert_refused(&m, MIME_BUILD_NEEDS_UTF8);
    m.utf8 = true;
    build(&m);
    assert_true(mime_build_is_utf8(&builder));
    m.from.count = 0;
    assert_refused(&m, MIME_BUILD_NO_FROM);
    const struct mime_mailbox two[] = {ann, bob};
    m.from = (struct mime_mailboxes){two, 2};
    assert_refused(&m, MIME_BUILD_NO_SENDER);
}

static void test_bad_fields(void **state)
{
    (void)state;
    static char text[MIME_BUILD_BODY_MAX + 1];
    static const char *const names[] = {"",        "A B", "A:",          "\xc3\xa9", "Bcc",
                                        "sUBJECT", "To",  "Content-MD5", "A\r\nB",   "Received"};
    struct mime_message m = simple_message();
    memset(text, 'x', sizeof(text));
    m.extra_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct mime_extra extra = {bytes_of(names[i]), BYTES("b")};
        m.extra = &extra;
        assert_refused(&m, MIME_BUILD_BAD_FIELD);
    }
    const struct mime_extra extras[] = {
        {BYTES("A"), BYTES("b\nBcc: c")},
        {BYTES("A"), BYTES("b\rc")},
        {BYTES("A"), BYTES("b\0c")},
    };
    for (size_t i = 0; i < ARRAY_COUNT(extras); i++) {
        m.extra = &extras[i];
        assert_refused(&m, MIME_BUILD_CONTROL);
    }
    m.extra = &(struct mime_extra){BYTES("A"), {text, MIME_BUILD_WORD_MAX + 1}};
    assert_refused(&m, MIME_BUILD_TOO_LONG);
    text[500] = text[1000] = text[1500] = text[2000] = text[2500] = text[3000] = text[3500] = ' ';
    m.extra = &(struct mime_extra){BYTES("A"), {text, sizeof(text)}};
    assert_refused(&m, MIME_BUILD_TOO_LONG);
    m.extra = &(struct mime_extra){{text, MIME_BUILD_NAME_MAX + 1}, BYTES("b")};
    assert_refused(&m, MIME_BUILD_TOO_LONG);
    m.extra_count = 0;
    m.subject = BYTES("a\nb");
    assert_refused(&m, MIME_BUILD_CONTROL);
    m.subject = (struct bytes){text, MIME_BUILD_TEXT_MAX + 1};
    assert_refused(&m, MIME_BUILD_TOO_LONG);
    m.subject = BYTES("a");
    m.message_id = BYTES("no-at");
    assert_refused(&m, MIME_BUILD_BAD_ID);
    m.message_id = BYTES("a@b>\r\nX: y");
    assert_refused(&m, MIME_BUILD_BAD_ID);
}

static void test_bad_parts(void **state)
{
    (void)state;
    static const char *const types[] = {"text",   "/",         "a/",   "a/b/c", "multipart/mixed",
                                        "a/b; c", "a/b\r\nX:", "a b/c"};
    struct mime_build_part part = {.content = BYTES("x")};
    struct mime_message m = simple_message();
    m.attachments = &part, m.attachment_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        part.type = bytes_of(types[i]);
        assert_refused(&m, MIME_BUILD_BAD_TYPE);
    }
    part.type = BYTES("");
    part.name = BYTES("a\r\nb");
    assert_refused(&m, MIME_BUILD_CONTROL);
    part.name = BYTES("");
    m.attachment_count = 0;
    m.images = &part, m.image_count = 1;
    assert_refused(&m, MIME_BUILD_NO_HTML);
    m.html = BYTES("<p>");
    assert_refused(&m, MIME_BUILD_BAD_ID);
    part.id = BYTES("a b");
    assert_refused(&m, MIME_BUILD_BAD_ID);
    part.id = BYTES("a");
    build(&m);
    m.html = BYTES("caf\xe9");
    assert_refused(&m, MIME_BUILD_NOT_UTF8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_whole_structure),
        cmocka_unit_test(test_people_and_fields),
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_names_read_again),
        cmocka_unit_test(test_largest_header),
        cmocka_unit_test(test_any_buffers),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_boundary_in_content),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_bad_fields),
        cmocka_unit_test(test_bad_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
