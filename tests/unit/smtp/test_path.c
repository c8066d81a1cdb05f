/* SPDX-License-Identifier: Apache-2.0
 *
 * test_path - paths, domains, parameters and xtext
 */
#include "ringpost/smtp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FORWARD = 0, REVERSE = 1, UTF8 = 2 };

static const struct path_case {
    struct bytes input;
    int how;
    enum smtp_syntax syntax;
    const char *address, *local, *domain;
} path_cases[] = {
#define CASE(input, ...)                                                                           \
    {                                                                                              \
        {input, sizeof(input) - 1}, __VA_ARGS__                                                    \
    }
    CASE("<a@b.example>", FORWARD, SMTP_SYNTAX_OK, "a@b.example", "a", "b.example"),
    CASE("<>", REVERSE, SMTP_SYNTAX_OK, "", "", ""),
    CASE("<>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<Postmaster>", FORWARD, SMTP_SYNTAX_OK, "Postmaster", "Postmaster", ""),
    CASE("<postMASTER>", FORWARD, SMTP_SYNTAX_OK, "postMASTER", "postMASTER", ""),
    CASE("<Postmaster>", REVERSE, SMTP_SYNTAX_BAD),
    CASE("<postmastr>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"postmaster\">", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<A.b+c=d@E.F>", FORWARD, SMTP_SYNTAX_OK, "A.b+c=d@E.F", "A.b+c=d", "E.F"),
    CASE("<!#$%&'*+-/=?^_`{|}~@b>", FORWARD, SMTP_SYNTAX_OK, "!#$%&'*+-/=?^_`{|}~@b",
         "!#$%&'*+-/=?^_`{|}~", "b"),
    CASE("<\"\"@b>", FORWARD, SMTP_SYNTAX_OK, "\"\"@b", "\"\"", "b"),
    CASE("<\"a@b>c\\\"\\\\ \"@d>", FORWARD, SMTP_SYNTAX_OK, "\"a@b>c\\\"\\\\ \"@d",
         "\"a@b>c\\\"\\\\ \"", "d"),
    CASE("<@x:a@b>", FORWARD, SMTP_SYNTAX_OK, "a@b", "a", "b"),
    CASE("<@x,@y.z,@[1.2.3.4]:a@b>", REVERSE, SMTP_SYNTAX_OK, "a@b", "a", "b"),
    CASE("<@x:Postmaster>", FORWARD, SMTP_SYNTAX_OK, "Postmaster", "Postmaster", ""),
    CASE("<@x,y:a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@x:>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@:a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@x a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@x\0:a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[192.0.2.1]>", FORWARD, SMTP_SYNTAX_OK, "a@[192.0.2.1]", "a", "[192.0.2.1]"),
    CASE("<a@[IPv6:2001:db8::1]>", FORWARD, SMTP_SYNTAX_OK, "a@[IPv6:2001:db8::1]", "a",
         "[IPv6:2001:db8::1]"),
    CASE("<a@[2001:db8::1]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[IPv6:192.0.2.1]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[300.0.2.1]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[x:y]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@[>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@192.0.2.1]>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("a@b", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b", FORWARD, SMTP_SYNTAX_BAD),
    CASE("", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<@>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b@c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a b@c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<.a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a.@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a..b@c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a(c)@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@.b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b.>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b..c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@-b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b->", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b_c>", FORWARD, SMTP_SYNTAX_OK, "a@b_c", "a", "b_c"),
    CASE("<a@b!c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a@b\0>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a\0@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\r\n\"@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\\\n\"@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\0\"@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\x7f\"@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\\", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\"a\"b@c>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<a\r\nRCPT@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\xc3\xa4@b>", FORWARD, SMTP_SYNTAX_NEEDS_UTF8),
    CASE("<a@\xc3\xa4>", REVERSE, SMTP_SYNTAX_NEEDS_UTF8),
    CASE("<\xc3\xa4@\xc3\xb6.de>", FORWARD | UTF8, SMTP_SYNTAX_OK, "\xc3\xa4@\xc3\xb6.de",
         "\xc3\xa4", "\xc3\xb6.de"),
    CASE("<\"\xc3\xa4\"@b>", FORWARD | UTF8, SMTP_SYNTAX_OK, "\"\xc3\xa4\"@b", "\"\xc3\xa4\"", "b"),
    CASE("<\xc3@b>", FORWARD | UTF8, SMTP_SYNTAX_BAD),
    CASE("<\xff@b>", FORWARD, SMTP_SYNTAX_BAD),
    CASE("<\xc2\x85@b>", FORWARD | UTF8, SMTP_SYNTAX_BAD), /* U+0085, next line */
    CASE("<\"\\\xc3\xa4\"@b>", FORWARD | UTF8, SMTP_SYNTAX_BAD),
};

static void assert_text(struct bytes got, const char *wanted)
{
    if (!bytes_equal(got, bytes_of(wanted))) fail_msg("%.*s is not %s", BYTES_FMT(got), wanted);
}

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(path_cases); i++) {
        const struct path_case *wanted = &path_cases[i];
        char *exact = malloc(MAX(wanted->input.len, 1u)); /* so that over-reads are seen */
        assert_non_null(exact);
        memcpy(exact, wanted->input.data, wanted->input.len);
        struct bytes input = {exact, wanted->input.len};
        struct smtp_path path;
        const enum smtp_syntax syntax =
            smtp_path_parse(&input, wanted->how & REVERSE, wanted->how & UTF8, &path);
        if (syntax != wanted->syntax) fail_msg("%s gives %d", wanted->input.data, syntax);
        if (syntax == SMTP_SYNTAX_OK) {
            assert_int_equal(input.len, 0);
            assert_text(path.address, wanted->address);
            assert_text(path.local, wanted->local);
            assert_text(path.domain, wanted->domain);
            assert_int_equal(path.utf8, wanted->how & UTF8 ? 1 : 0);
        } else {
            assert_ptr_equal(input.data, exact);
        }
        free(exact);
    }
}

static enum smtp_syntax parse_lengths(size_t local, size_t domain)
{
    char data[1024];
    struct text text;
    struct smtp_path path;
    text_init(&text, data, sizeof(data));
    text_put(&text, BYTES("<"));
    for (size_t i = 0; i < local; i++)
        text_put(&text, BYTES("l"));
    text_put(&text, BYTES("@"));
    for (size_t i = 0; i < domain; i++)
        text_put(&text, i % 50 == 49 && i + 1 < domain ? BYTES(".") : BYTES("d"));
    text_put(&text, BYTES("> X"));
    struct bytes input = text_bytes(&text);
    const enum smtp_syntax syntax = smtp_path_parse(&input, false, false, &path);
    if (syntax == SMTP_SYNTAX_OK) assert_text(input, " X");
    return syntax;
}

static void test_path_lengths(void **state)
{
    (void)state;
    assert_int_equal(parse_lengths(64, 10), SMTP_SYNTAX_OK);
    assert_int_equal(parse_lengths(65, 10), SMTP_SYNTAX_TOO_LONG);
    assert_int_equal(parse_lengths(64, 189), SMTP_SYNTAX_OK);
    assert_int_equal(parse_lengths(64, 190), SMTP_SYNTAX_TOO_LONG);
    assert_int_equal(parse_lengths(1, 252), SMTP_SYNTAX_OK);
    assert_int_equal(parse_lengths(1, 253), SMTP_SYNTAX_TOO_LONG);
    assert_int_equal(parse_lengths(1, 300), SMTP_SYNTAX_TOO_LONG);
}

static void test_domains(void **state)
{
    (void)state;
    char label[80];
    memset(label, 'a', sizeof(label));
    assert_true(smtp_domain_is_valid((struct bytes){label, 63}, false));
    assert_false(smtp_domain_is_valid((struct bytes){label, 64}, false));
    assert_true(smtp_domain_is_valid(BYTES("localhost"), false));
    assert_true(smtp_domain_is_valid(BYTES("1.2.3.com"), false));
    assert_true(smtp_domain_is_valid(BYTES("xn--4ca.example"), false));
    assert_false(smtp_domain_is_valid(BYTES(""), false));
    assert_false(smtp_domain_is_valid(BYTES("."), false));
    assert_false(smtp_domain_is_valid(BYTES("\xc3\xa4.de"), false));
    assert_true(smtp_domain_is_valid(BYTES("\xc3\xa4.de"), true));
    assert_true(smtp_address_literal_is_valid(BYTES("[ipv6:::1]")));
    assert_false(smtp_address_literal_is_valid(BYTES("[")));
    assert_text(smtp_domain_of(BYTES("a@b@c")), "c");
    assert_text(smtp_domain_of(BYTES("Postmaster")), "");
    assert_text(smtp_domain_of((struct bytes){NULL, 0}), "");
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static enum smtp_syntax mail(const char *text, struct smtp_mail_params *params)
{
    return smtp_mail_params_parse(bytes_of(text), params);
}

static void test_mail_params(void **state)
{
    (void)state;
    struct smtp_mail_params params;
    assert_int_equal(mail("", &params), SMTP_SYNTAX_OK);
    assert_int_equal(mail("  ", &params), SMTP_SYNTAX_OK);
    assert_int_equal(mail(" size=5  body=8bitmime RET=full ENVID=x+2B SMTPUTF8 ", &params),
                     SMTP_SYNTAX_OK);
    assert_int_equal(params.size, 5);
    assert_int_equal(params.body, SMTP_BODY_8BITMIME);
    assert_int_equal(params.ret, SMTP_RET_FULL);
    assert_true(params.smtputf8);
    assert_text(params.envid, "x+2B");
    assert_int_equal(mail(" BODY=BINARYMIME", &params), SMTP_SYNTAX_OK);
    assert_int_equal(params.body, SMTP_BODY_BINARYMIME);
    assert_int_equal(mail(" SIZE=18446744073709551615", &params), SMTP_SYNTAX_OK);
    assert_true(params.size == UINT64_MAX);
    assert_int_equal(mail(" SIZE=18446744073709551616", &params), SMTP_SYNTAX_OK);
    assert_true(params.size == UINT64_MAX);
    assert_int_equal(mail(" SIZE=00000000000000000007", &params), SMTP_SYNTAX_OK);
    assert_int_equal(params.size, 7);

    const char *const bad[] = {
        "x",
        " SIZE",
        " SIZE=",
        " SIZE=-1",
        " SIZE=1x",
        " SIZE=1 SIZE=2",
        " BODY=x",
        " BODY",
        " RET=x",
        " ENVID=",
        " ENVID=a=b",
        " ENVID=+",
        " ENVID=+0D",
        " ENVID=+2b",
        " ENVID=\xc3\xa4",
        " SMTPUTF8=1",
        " SMTPUTF8 SMTPUTF8",
        " =x",
        " SIZE=1\tRET=FULL",
        " SIZE=000000000000000000001",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (mail(bad[i], &params) != SMTP_SYNTAX_BAD) fail_msg("%s is not BAD", bad[i]);
    }
    assert_int_equal(mail(" FOO", &params), SMTP_SYNTAX_UNKNOWN);
    assert_int_equal(mail(" FOO=1", &params), SMTP_SYNTAX_UNKNOWN);
    assert_int_equal(mail(" SIZES=1", &params), SMTP_SYNTAX_UNKNOWN);
    assert_int_equal(mail(" NOTIFY=NEVER", &params), SMTP_SYNTAX_UNKNOWN);

    char envid[128] = " ENVID=";
    memset(envid + 7, 'e', SMTP_ENVID_MAX);
    assert_int_equal(mail(envid, &params), SMTP_SYNTAX_OK);
    strcat(envid, "e");
    assert_int_equal(mail(envid, &params), SMTP_SYNTAX_BAD);
}

static enum smtp_syntax rcpt(const char *text, struct smtp_rcpt_params *params)
{
    return smtp_rcpt_params_parse(bytes_of(text), params);
}

static void test_rcpt_params(void **state)
{
    (void)state;
    struct smtp_rcpt_params params;
    assert_int_equal(rcpt(" notify=success,Failure,DELAY orcpt=rfc822;a+2Bb", &params),
                     SMTP_SYNTAX_OK);
    assert_int_equal(params.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY);
    assert_text(params.orcpt, "rfc822;a+2Bb");
    assert_int_equal(rcpt(" NOTIFY=NEVER", &params), SMTP_SYNTAX_OK);
    assert_int_equal(params.notify, SMTP_NOTIFY_NEVER);
    assert_int_equal(params.orcpt.len, 0);
    assert_int_equal(rcpt(" ORCPT=utf-8;\xc3\xa4@b", &params), SMTP_SYNTAX_OK);
    assert_int_equal(rcpt("", &params), SMTP_SYNTAX_OK);
    const char *const bad[] = {
        " NOTIFY",
        " NOTIFY=",
        " NOTIFY=x",
        " NOTIFY=NEVER,DELAY",
        " NOTIFY=DELAY,",
        " NOTIFY=,DELAY",
        " NOTIFY=DELAY NOTIFY=DELAY",
        " ORCPT=x",
        " ORCPT=;x",
        " ORCPT=rfc822;",
        " ORCPT=rfc822;+0A",
        " ORCPT=rfc822;\xc3\xa4",
        " ORCPT=utf-8;\xc3",
        " ORCPT=utf-8;\xc2\x85",
        " ORCPT=r c;x",
        " ORCPT=rfc822;a ORCPT=rfc822;a",
        " ORCPT=r:c;x",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        const enum smtp_syntax syntax = rcpt(bad[i], &params);
        if (syntax == SMTP_SYNTAX_OK) fail_msg("%s is OK", bad[i]);
    }
    assert_int_equal(rcpt(" SIZE=1", &params), SMTP_SYNTAX_UNKNOWN);
}

/* ---- xtext ------------------------------------------------------------------------------------
 */

static void test_xtext(void **state)
{
    (void)state;
    char data[64];
    struct text out;
    text_init(&out, data, sizeof(data));
    smtp_xtext_encode(BYTES("a+b=c d\xc3"), &out);
    assert_string_equal(data, "a+2Bb+3Dc+20d+C3");
    assert_false(out.cut);

    text_init(&out, data, sizeof(data));
    assert_true(smtp_xtext_decode(BYTES("a+2Bb+3Dc+20d"), &out));
    assert_string_equal(data, "a+b=c d");
    assert_true(smtp_xtext_is_valid(BYTES("")));
    const char *const bad[] = {"+", "+2", "+2b", "+0D", "+0A", "+00", "+7F", "+80", "a=b", "a b"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        text_init(&out, data, sizeof(data));
        assert_false(smtp_xtext_is_valid(bytes_of(bad[i])));
        assert_false(smtp_xtext_decode(bytes_of(bad[i]), &out));
    }
    text_init(&out, data, 6);
    smtp_xtext_encode(BYTES("abc++"), &out); /* "abc+2B" has six octets, room is for five */
    assert_string_equal(data, "abc");
    assert_true(out.cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_path_lengths),
        cmocka_unit_test(test_domains),     cmocka_unit_test(test_mail_params),
        cmocka_unit_test(test_rcpt_params), cmocka_unit_test(test_xtext),
    };
    return cmocka_run_group_tests_name("smtp paths and parameters", tests, NULL, NULL);
}
