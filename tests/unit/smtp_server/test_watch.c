/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watch - the observer of the header section, whole and in every split
 */
#include "ringpost/smtp_server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct watch_case {
    const char *content;
    uint32_t received, cut_count;
    bool date, id, from, high, none;
    const char *without_cuts; /* NULL = as content */
} cases[] = {
    {"", 0, 0, false, false, false, false, false, NULL},
    {"\r\n", 0, 0, false, false, false, false, false, NULL},
    {"\r\nDate: x\r\n", 0, 0, false, false, false, false, false, NULL},
    {"Date: x\r\n\r\nFrom: y\r\n", 0, 0, true, false, false, false, false, NULL},
    {"Date: x\r\n", 0, 0, true, false, false, false, false, NULL},
    {"DATE:\r\nmEsSaGe-Id :\r\nFrom\t:\r\n\r\n", 0, 0, true, true, true, false, false, NULL},
    {"Dates: x\r\nDat: x\r\nMessage-IDs: x\r\nXFrom: x\r\n\r\n", 0, 0, false, false, false, false,
     false, NULL},
    {"Received: a\r\n\tb\r\nReceived: c\r\nX: Received: d\r\n Received: e\r\n\r\n", 2, 0, false,
     false, false, false, false, NULL},
    {"Return-Path: <a>\r\nX: y\r\n\r\nReturn-Path: <b>\r\n", 0, 1, false, false, false, false,
     false, "X: y\r\n\r\nReturn-Path: <b>\r\n"},
    {"X: y\r\nreturn-path:\r\n <a>\r\n\t<b>\r\nRETURN-PATH : c\r\nZ: 1\r\n\r\n", 0, 2, false, false,
     false, false, false, "X: y\r\nZ: 1\r\n\r\n"},
    {"Return-Path: <a>", 0, 1, false, false, false, false, false, ""},
    {"Return-Path: <a>\r\n", 0, 1, false, false, false, false, false, ""},
    {"Return-Path: <a>\r\n\r\n", 0, 1, false, false, false, false, false, "\r\n"},
    {"Return-Pathology: <a>\r\nReturn-Pat: x\r\n\r\n", 0, 0, false, false, false, false, false,
     NULL},
    {"Return-Path\r\nX: y\r\n\r\n", 0, 0, false, false, false, false, true, NULL},
    {"hello\r\nDate: x\r\n\r\n", 0, 0, false, false, false, false, true, NULL},
    {" Date: x\r\nFrom: y\r\n\r\n", 0, 0, false, false, false, false, true, NULL},
    {": x\r\nFrom y: x\r\n\r\n", 0, 0, false, false, false, false, true, NULL},
    {"X: \xc3\xa4\r\n\r\n", 0, 0, false, false, false, true, false, NULL},
    {"X: y\r\n\r\n\xc3\xa4\r\n", 0, 0, false, false, false, false, false, NULL},
    {"\xc3\xa4: y\r\n\r\n", 0, 0, false, false, false, false, true, NULL},
    {"Fran\xc3\xa7"
     "ais: y\r\n\r\n",
     0, 0, false, false, false, false, true, NULL},
    {"hello\r\nReturn-Path: x\r\nReceived: x\r\n", 0, 0, false, false, false, false, true, NULL},
    {"hello", 0, 0, false, false, false, false, true, NULL},
    {"Date ", 0, 0, false, false, false, false, true, NULL},
    {"__proto__: x\r\nconstructor: y\r\n\r\n", 0, 0, false, false, false, false, false, NULL},
};

/* Up to the empty line, which may be the first. */
static size_t header_len(const struct watch_case *wanted)
{
    const char *content = wanted->content;
    const char *empty = strstr(content, "\r\n\r\n");
    if (wanted->none || strncmp(content, "\r\n", 2) == 0) return 0;
    return empty ? (size_t)(empty - content) + 2 : strlen(content);
}

static void check(const struct watch_case *wanted, const struct smtp_server_watch *watch)
{
    const struct smtp_server_header *header = &watch->header;
    char rest[512];
    size_t rest_len = 0, from = 0;
    assert_int_equal(header->len, header_len(wanted));
    assert_int_equal(header->received, wanted->received);
    assert_int_equal(header->cut_count, wanted->cut_count);
    assert_int_equal(header->has_date, wanted->date);
    assert_int_equal(header->has_message_id, wanted->id);
    assert_int_equal(header->has_from, wanted->from);
    assert_int_equal(header->has_8bit, wanted->high);
    assert_int_equal(header->no_header, wanted->none);
    for (uint32_t i = 0; i < header->cut_count; i++) {
        const size_t len = header->cuts[i].offset - from;
        memcpy(rest + rest_len, wanted->content + from, len);
        rest_len += len;
        from = header->cuts[i].offset + header->cuts[i].len;
    }
    strcpy(rest + rest_len, wanted->content + from);
    assert_string_equal(rest, wanted->without_cuts ? wanted->without_cuts : wanted->content);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *content = cases[i].content;
        const size_t len = strlen(content);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                struct smtp_server_watch watch;
                smtp_server_watch_init(&watch);
                smtp_server_watch_feed(&watch, content, a);
                smtp_server_watch_feed(&watch, content + a, b - a);
                smtp_server_watch_feed(&watch, content + b, len - b);
                smtp_server_watch_finish(&watch);
                check(&cases[i], &watch);
            }
        }
    }
}

static void test_octet_by_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct smtp_server_watch watch;
        smtp_server_watch_init(&watch);
        for (const char *c = cases[i].content; *c != '\0'; c++)
            smtp_server_watch_feed(&watch, c, 1);
        smtp_server_watch_finish(&watch);
        check(&cases[i], &watch);
    }
}

/* The end of the header is told with its very last octet, never before. */
static void test_end_is_told_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct smtp_server_watch watch;
        const char *content = cases[i].content;
        const size_t header = header_len(&cases[i]), len = strlen(content);
        smtp_server_watch_init(&watch);
        for (size_t at = 0; at < len; at++) {
            smtp_server_watch_feed(&watch, content + at, 1);
            if (!cases[i].none) assert_int_equal(watch.header.ended, at + 1 >= header + 2);
        }
        smtp_server_watch_finish(&watch);
        assert_true(watch.header.ended);
        assert_int_equal(watch.header.len, header);
    }
}

/* A header of any length costs no memory, and its counts are right. */
static void test_long_header(void **state)
{
    (void)state;
    const struct bytes fields = BYTES("Received: x\r\nX-Some-Very-Long-Name-Of-A-Field: y\r\n");
    struct smtp_server_watch watch;
    smtp_server_watch_init(&watch);
    for (int i = 0; i < 10000; i++)
        smtp_server_watch_feed(&watch, fields.data, fields.len);
    smtp_server_watch_finish(&watch);
    assert_int_equal(watch.header.received, 10000);
    assert_int_equal(watch.header.len, 10000 * fields.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_octet_by_octet),
        cmocka_unit_test(test_end_is_told_at_once),
        cmocka_unit_test(test_long_header),
    };
    return cmocka_run_group_tests_name("smtp_server watch", tests, NULL, NULL);
}
