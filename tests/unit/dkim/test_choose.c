/* SPDX-License-Identifier: Apache-2.0
 *
 * test_choose - which signatures a message gets
 */
#include "keys.h"
#include "ringpost/dkim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static struct dkim_signers *signers;

static int setup(void **state)
{
    struct dkim_key *key = read_alone(rfc8463_ed25519);
    const struct dkim_signer all[] = {
        {.domain = BYTES("example.com"), .selector = BYTES("a"), .subdomains = true},
        {.domain = BYTES("example.com"), .selector = BYTES("b")},
        {.domain = BYTES("news.example.com"), .selector = BYTES("c"), .body_mode = 1},
        {.domain = BYTES("platform.example"), .selector = BYTES("p"), .all = true},
        {.domain = BYTES("xn--bcher-kva.example"), .selector = BYTES("i")},
    };
    struct dkim_signer given[ARRAY_COUNT(all)];
    (void)state;
    if (key == NULL) return -1;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        given[i] = all[i];
        given[i].key = key;
    }
    signers = dkim_signers_create(given, ARRAY_COUNT(given));
    dkim_key_unref(key);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dkim_signers_unref(signers);
    return 0;
}

/* The selectors of the choice, in order; *why as it says. */
static const char *chosen(const char *header_text, const char **why)
{
    static char selectors[DKIM_SIGNATURES_MAX + 1];
    struct dkim_header header = {0};
    struct dkim_choice choice;
    dkim_header_clear(&header);
    dkim_header_add(&header, bytes_of(header_text));
    dkim_choose(signers, &header, &choice);
    for (uint32_t i = 0; i < choice.count; i++)
        selectors[i] = choice.signers[i]->selector.data[0];
    selectors[choice.count] = '\0';
    *why = choice.why;
    dkim_header_deinit(&header);
    return selectors;
}

static void check(const char *header, const char *wanted)
{
    const char *why;
    assert_string_equal(chosen(header, &why), wanted);
    assert_null(why);
}

static void check_not(const char *header, const char *wanted, const char *wanted_why)
{
    const char *why;
    assert_string_equal(chosen(header, &why), wanted);
    assert_non_null(why);
    if (strstr(why, wanted_why) == NULL) fail_msg("\"%s\" does not say \"%s\"", why, wanted_why);
}

static void by_the_domain_of_from(void **state)
{
    (void)state;
    check("From: a@example.com\r\n", "abp");
    check("from : \"x, y\" <a@EXAMPLE.COM> (c@d)\r\n", "abp");
    check("Sender: a@other.example\r\nFrom:\r\n A <a@example.com>\r\n", "abp");
    check("From: a@other.example\r\n", "p");
    check("From: a@com\r\n", "p");
    check("From: a@b\xc3\xbc"
          "cher.example\r\n",
          "ip");
    check("From: a@platform.example\r\n", "p"); /* once */
}

static void by_a_domain_above_it(void **state)
{
    (void)state;
    check("From: a@news.example.com\r\n", "cp"); /* its own, not that of the one above */
    check("From: a@x.example.com\r\n", "ap");    /* b is for the domain alone */
    check("From: a@x.y.example.com\r\n", "ap");
    check("From: a@x.news.example.com\r\n", "ap"); /* c is for its domain alone */
    check("From: a@badexample.com\r\n", "p");
}

static void several_addresses(void **state)
{
    (void)state;
    check("From: a@example.com, b@Example.com\r\n", "abp");
    check_not("From: a@example.com, b@other.example\r\n", "p", "several domains");
}

/* RFC 6376 section 8.15 and what cannot be read alike by all. */
static void what_is_not_signed(void **state)
{
    (void)state;
    check_not("From: a@example.com\r\nFROM : b@example.com\r\n", "", "several From");
    check_not("To: a@example.com\r\n", "", "no From");
    check_not("", "", "no From");
    check_not("From: nobody\r\n", "", "cannot be read");
    check_not("From: \r\n", "", "cannot be read");
    check_not("From: undisclosed:;\r\n", "", "cannot be read");
    check_not("From: a@example.com\r\nno field\r\n", "", "no field");
}

static void body_modes_are_those_of_the_chosen(void **state)
{
    struct dkim_header header = {0};
    struct dkim_choice choice;
    (void)state;
    dkim_header_add(&header, BYTES("From: a@example.com\r\n"));
    dkim_choose(signers, &header, &choice);
    assert_int_equal(choice.body_modes, 1 << CODEC_DKIM_SIMPLE);
    dkim_header_clear(&header);
    dkim_header_add(&header, BYTES("From: a@news.example.com\r\n"));
    dkim_choose(signers, &header, &choice);
    assert_int_equal(choice.body_modes, 1 << CODEC_DKIM_SIMPLE | 1 << CODEC_DKIM_RELAXED);
    dkim_header_deinit(&header);
}

static void names_of_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < dkim_headers_default_count; i++)
        assert_null(dkim_header_fault(dkim_headers_default[i]));
    assert_null(dkim_header_fault(BYTES("X-Anything")));
    assert_non_null(dkim_header_fault(BYTES("received")));
    assert_non_null(dkim_header_fault(BYTES("DKIM-Signature")));
    assert_non_null(dkim_header_fault(BYTES("")));
    assert_non_null(dkim_header_fault(BYTES("a:b")));
    assert_non_null(dkim_header_fault(BYTES("a b")));
}

/* A header with very many fields is refused, and the memory is bounded. */
static void many_fields(void **state)
{
    struct dkim_header header = {0};
    (void)state;
    for (int i = 0; i <= DKIM_FIELDS_MAX; i++) {
        assert_null(header.why);
        dkim_header_add(&header, BYTES("To: a@example.com\r\n"));
    }
    assert_non_null(header.why);
    dkim_header_deinit(&header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_domain_of_from),
        cmocka_unit_test(by_a_domain_above_it),
        cmocka_unit_test(several_addresses),
        cmocka_unit_test(what_is_not_signed),
        cmocka_unit_test(body_modes_are_those_of_the_chosen),
        cmocka_unit_test(names_of_fields),
        cmocka_unit_test(many_fields),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
