/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reply - replies of strangers, whole and in every split
 */
#include "ringpost/smtp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Takes all replies out of the pieces [0, at) and [at, len); prints what came into out. */
static void record(struct bytes input, size_t at, struct text *out)
{
    static struct smtp_reply_parser parser;
    memset(&parser, 0xa5, sizeof(parser));
    smtp_reply_parser_init(&parser);
    struct bytes pieces[2] = {{input.data, at}, bytes_skip(input, at)};
    for (int i = 0; i < 2; i++) {
        char *exact = malloc(MAX(pieces[i].len, 1u));
        assert_non_null(exact);
        memcpy(exact, pieces[i].data, pieces[i].len);
        struct bytes piece = {exact, pieces[i].len};
        for (bool more = true; more;) {
            switch (smtp_reply_parse(&parser, &piece)) {
            case SMTP_REPLY_MORE:
                more = false;
                break;
            case SMTP_REPLY_LINE:
                text_printf(out, "[%.*s]", BYTES_FMT(parser.line));
                break;
            case SMTP_REPLY_DONE: {
                const struct smtp_reply *reply = &parser.reply;
                text_printf(out, "[%.*s]%d %d.%d.%d '%.*s';", BYTES_FMT(parser.line), reply->code,
                            reply->enhanced.class, reply->enhanced.subject, reply->enhanced.detail,
                            BYTES_FMT(smtp_reply_text(reply)));
                break;
            }
            case SMTP_REPLY_MALFORMED:
                text_printf(out, "malformed;");
                free(exact);
                return;
            }
        }
        assert_int_equal(piece.len, 0);
        free(exact);
    }
}

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        struct bytes input;
        const char *wanted;
    } cases[] = {
#define CASE(input, wanted) {{input, sizeof(input) - 1}, wanted}
        CASE("250 2.1.0 Ok\r\n", "[2.1.0 Ok]250 2.1.0 'Ok';"),
        CASE("250\r\n", "[]250 0.0.0 '';"),
        CASE("250 \r\n", "[]250 0.0.0 '';"),
        CASE("220 mx ESMTP\n354 go\n", "[mx ESMTP]220 0.0.0 'mx ESMTP';[go]354 0.0.0 'go';"),
        CASE("250-mx\r\n250-SIZE 10\r\n250 HELP\r\n",
             "[mx][SIZE 10][HELP]250 0.0.0 'mx SIZE 10 HELP';"),
        CASE("550-5.1.1 No\r\n550 5.1.1 such user\r\n",
             "[5.1.1 No][5.1.1 such user]550 5.1.1 'No such user';"),
        CASE("550-no\r\n550 5.1.1 user\r\n", "[no][5.1.1 user]550 5.1.1 'no user';"),
        CASE("550 2.0.0 x\r\n", "[2.0.0 x]550 0.0.0 'x';"), /* of another class: not taken */
        CASE("450 4.999.999\r\n", "[4.999.999]450 4.999.999 '';"),
        CASE("450 4.1000.1 x\r\n", "[4.1000.1 x]450 0.0.0 '4.1000.1 x';"),
        CASE("450 4.7 x\r\n", "[4.7 x]450 0.0.0 '4.7 x';"),
        CASE("450 4.7.1x\r\n", "[4.7.1x]450 0.0.0 '4.7.1x';"),
        CASE("599 x\r\n200 y\r\n", "[x]599 0.0.0 'x';[y]200 0.0.0 'y';"),
        CASE("199 x\r\n", "malformed;"),
        CASE("600 x\r\n", "malformed;"),
        CASE("25 x\r\n", "malformed;"),
        CASE("2500 x\r\n", "malformed;"),
        CASE("250x\r\n", "malformed;"),
        CASE("250_x\r\n", "malformed;"),
        CASE("\r\n", "malformed;"),
        CASE("\n", "malformed;"),
        CASE(" 250 x\r\n", "malformed;"),
        CASE("250-a\r\n251 b\r\n", "[a]malformed;"),
        CASE("250-a\r\nfoo\r\n", "[a]malformed;"),
        CASE("250-a\r\n250-b", "[a]"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t at = 0; at <= cases[i].input.len; at++) {
            char data[1000];
            struct text out;
            text_init(&out, data, sizeof(data));
            record(cases[i].input, at, &out);
            if (strcmp(data, cases[i].wanted) != 0) {
                fail_msg("%s: wanted %s, got %s", cases[i].input.data, cases[i].wanted, data);
            }
        }
    }
}

static void test_control_characters(void **state)
{
    (void)state;
    static struct smtp_reply_parser parser;
    struct bytes input = BYTES("550 5.1.1 a\rb\x01\x7f\0c\t\xc3\xa4\r\n");
    smtp_reply_parser_init(&parser);
    assert_int_equal(smtp_reply_parse(&parser, &input), SMTP_REPLY_DONE);
    assert_true(bytes_equal(smtp_reply_text(&parser.reply), BYTES("a?b???c?\xc3\xa4")));
}

static void test_limits(void **state)
{
    (void)state;
    static struct smtp_reply_parser parser;
    static char data[SMTP_REPLY_LINE_MAX + 16];

    /* A line of the limit, CRLF included, passes; one more octet does not. */
    for (size_t len = SMTP_REPLY_LINE_MAX - 1; len <= SMTP_REPLY_LINE_MAX + 1; len++) {
        for (size_t piece = 1; piece <= len; piece = piece * 7 + 3) {
            enum smtp_reply_status status = SMTP_REPLY_MORE;
            memset(data, 'x', len);
            memcpy(data, "250 ", 4);
            memcpy(data + len - 2, "\r\n", 2);
            smtp_reply_parser_init(&parser);
            for (size_t at = 0; at < len && status == SMTP_REPLY_MORE; at += piece) {
                struct bytes input = {data + at, MIN(piece, len - at)};
                status = smtp_reply_parse(&parser, &input);
            }
            assert_int_equal(status,
                             len <= SMTP_REPLY_LINE_MAX ? SMTP_REPLY_DONE : SMTP_REPLY_MALFORMED);
            if (status == SMTP_REPLY_DONE) {
                assert_int_equal(parser.reply.text_len, SMTP_REPLY_TEXT_MAX);
            }
        }
    }
    smtp_reply_parser_init(&parser);
    for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++) {
        struct bytes input = BYTES("250-a\r\n");
        assert_int_equal(smtp_reply_parse(&parser, &input), SMTP_REPLY_LINE);
    }
    struct bytes input = BYTES("250 a\r\n");
    assert_int_equal(smtp_reply_parse(&parser, &input), SMTP_REPLY_MALFORMED);
}

static void test_enhanced(void **state)
{
    (void)state;
    struct smtp_enhanced code;
    struct bytes rest;
    assert_true(smtp_enhanced_parse(BYTES("5.7.1 No"), &code, &rest));
    assert_int_equal(code.class, 5);
    assert_int_equal(code.subject, 7);
    assert_int_equal(code.detail, 1);
    assert_true(bytes_equal(rest, BYTES("No")));
    assert_true(smtp_enhanced_parse(BYTES("2.0.0"), &code, &rest));
    assert_int_equal(rest.len, 0);
    const char *const bad[] = {"",       "5",    "5.",       "5.7",   "5.7.",   "3.1.1", "55.1.1",
                               "5.1.1.", "5..1", "5.1111.1", "x.1.1", "5.1.1x", " 5.1.1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(smtp_enhanced_parse(bytes_of(bad[i]), &code, &rest));
        assert_int_equal(code.class, 0);
        assert_true(bytes_equal(rest, bytes_of(bad[i])));
    }
}

static void test_extensions(void **state)
{
    (void)state;
    struct bytes args;
    assert_int_equal(smtp_extension_parse(BYTES("SIZE 1000"), &args), SMTP_EXT_SIZE);
    assert_true(bytes_equal(args, BYTES("1000")));
    assert_int_equal(smtp_extension_parse(BYTES("pipelining"), &args), SMTP_EXT_PIPELINING);
    assert_int_equal(args.len, 0);
    assert_int_equal(smtp_extension_parse(BYTES("PIPELININGX"), &args), 0);
    assert_int_equal(smtp_extension_parse(BYTES("AUTH PLAIN LOGIN"), &args), SMTP_EXT_AUTH);
    assert_true(bytes_equal(args, BYTES("PLAIN LOGIN")));
    assert_int_equal(smtp_extension_parse(BYTES(""), &args), 0);
    assert_int_equal(smtp_extension_parse((struct bytes){NULL, 0}, &args), 0);
    assert_int_equal(smtp_extension_parse(BYTES("LIMITS RCPTMAX=5"), &args), SMTP_EXT_LIMITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),    cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_enhanced),
        cmocka_unit_test(test_extensions),
    };
    return cmocka_run_group_tests_name("smtp replies", tests, NULL, NULL);
}
