/* SPDX-License-Identifier: Apache-2.0
 *
 * test_control - requests of the control socket: what is understood, what is refused
 */
#include "control.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static struct control_request request;
static char why[200];

static bool parse(const char *line)
{
    struct text text;
    text_init(&text, why, sizeof(why));
    return control_request_parse(bytes_of(line), &request, &text);
}

static void good_requests_are_understood(void **state)
{
    (void)state;
    assert_true(parse("{\"command\":\"summary\"}"));
    assert_int_equal(request.command, CONTROL_SUMMARY);
    assert_true(request.by_site);
    assert_int_equal(request.limit, 100);
    assert_true(parse("{\"command\":\"summary\",\"by\":\"domain\",\"limit\":7}"));
    assert_false(request.by_site);
    assert_int_equal(request.limit, 7);
    assert_true(parse(" {\"command\" : \"list\", \"domain\":\"x.test\", \"limit\":99999999999} "));
    assert_string_equal(request.domain, "x.test");
    assert_int_equal(request.limit, CONTROL_LIMIT_MAX);
    assert_true(parse("{\"command\":\"show\",\"id\":\"000000000001a\"}"));
    assert_true(request.id == 42);
    assert_true(parse("{\"command\":\"retry\",\"all\":true}"));
    assert_true(request.all);
    assert_true(parse("{\"command\":\"stats\",\"of\":\"a later version\"}"));
}

static void bad_requests_get_a_reason(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "1",
        "{}",
        "{\"command\":\"drop\"}",
        "{\"command\":7}",
        "{\"command\":\"stats\",\"command\":\"stats\"}",
        "{\"command\":\"stats\"} x",
        "{\"command\":\"list\",\"limit\":0}",
        "{\"command\":\"list\",\"limit\":\"7\"}",
        "{\"command\":\"list\",\"domain\":\"\"}",
        "{\"command\":\"list\",\"domain\":[]}",
        "{\"command\":\"list\",\"domain\":\"x.test..\"}",
        "{\"command\":\"list\",\"domain\":\".\"}",
        "{\"command\":\"list\",\"domain\":\"a\\u0000b\"}",
        "{\"command\":\"summary\",\"by\":\"size\"}",
        "{\"command\":\"show\"}",
        "{\"command\":\"show\",\"id\":\"zzzzzzzzzzzzz\"}",
        "{\"command\":\"show\",\"id\":\"0000000000000\"}",
        "{\"command\":\"show\",\"id\":12}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(parse(bad[i]));
        assert_true(strlen(why) > 0);
    }
}

/* A slip of the pen must not delete, or hurry, the wrong mail. */
static void what_changes_mail_names_it_once(void **state)
{
    (void)state;
    assert_false(parse("{\"command\":\"delete\"}"));
    assert_false(parse("{\"command\":\"delete\",\"all\":true}"));
    assert_false(parse("{\"command\":\"delete\",\"id\":\"000000000001a\",\"domain\":\"x\"}"));
    assert_true(parse("{\"command\":\"delete\",\"domain\":\"x\"}"));
    assert_false(parse("{\"command\":\"retry\"}"));
    assert_false(parse("{\"command\":\"retry\",\"all\":true,\"domain\":\"x\"}"));
    assert_false(parse("{\"command\":\"show\",\"domain\":\"x\"}"));
}

static void a_request_is_bounded(void **state)
{
    static char line[CONTROL_REQUEST_MAX + 64];
    struct text text;
    (void)state;
    memset(line, '[', sizeof(line) - 1);
    assert_false(parse(line));
    assert_string_equal(why, "the request is too long");
    line[CONTROL_REQUEST_MAX] = '\0'; /* nested deeply: refused, not followed */
    assert_false(parse(line));
    char domain[CONTROL_DOMAIN_MAX + 40];
    text_init(&text, domain, sizeof(domain));
    text_put(&text, BYTES("{\"command\":\"list\",\"domain\":\""));
    for (int i = 0; i < CONTROL_DOMAIN_MAX + 1; i++)
        text_put(&text, BYTES("x"));
    assert_false(parse(domain));
}

static void what_is_no_text_is_not_sent(void **state)
{
    char line[4096];
    struct text text;
    (void)state;
    text_init(&text, line, sizeof(line));
    request = (struct control_request){
        .command = CONTROL_DELETE, .limit = 1, .by_site = true, .domain = "\xff\xfe"};
    assert_false(control_request_print(&request, &text));
    memcpy(request.domain, "x.test", sizeof("x.test"));
    assert_true(control_request_print(&request, &text));
    assert_string_equal(line, "{\"command\":\"delete\",\"domain\":\"x.test\",\"limit\":1}\n");
    text_init(&text, line, 20);
    assert_false(control_request_print(&request, &text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_understood),
        cmocka_unit_test(bad_requests_get_a_reason),
        cmocka_unit_test(what_changes_mail_names_it_once),
        cmocka_unit_test(a_request_is_bounded),
        cmocka_unit_test(what_is_no_text_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
