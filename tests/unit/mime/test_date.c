/* SPDX-License-Identifier: Apache-2.0
 *
 * test_date - dates read and printed
 */
#include "ringpost/mime/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S *INT64_C(1000)

static const struct {
    const char *body;
    wall_ms time;
    int zone;
    bool known;
} dates[] = {
    {"Thu, 1 Jan 1970 00:00:00 +0000", 0, 0, true},
    {" Sat, 21 Nov 2026 08:05:39 +0100", 1795244739 S, 60, true},
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706 S, -360, true},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557 S, 120, true},
    {"Thu, 13 Feb 1969 23:32:00 -0330", -27723480 S, -210, true},
    {"Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)", -27723480 S, -210,
     true},
    {"21 Nov 97 09:55:06 GMT", 880106106 S, 0, true},
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706 S, -360, true},
    {"1 Jan 49 0:0 UT", 2493072000 S, 0, true},
    {"1 Jan 50 0:0 UT", -631152000 S, 0, true},
    {"1 Jan 100 0:0 UT", 946684800 S, 0, true},
    {"29 Feb 2000 12:00:00 EST", 951843600 S, -300, true},
    {"29 Feb 2024 12:00:00 pdt", 1709233200 S, -420, true},
    {"1 Jan 1970 00:00:00 -0000", 0, 0, false},
    {"1 Jan 1970 00:00:00 A", 0, 0, false},
    {"1 Jan 1970 00:00:00", 0, 0, false},
    {"1 Jan 1970 00:00:00 XYZ", 0, 0, false},
    {"31 Dec 2016 23:59:60 +0000", 1483228800 S, 0, true},
    {"Mo, 21-Nov-1997 09:55:06 +0000", 880106106 S, 0, true},
    {"21 November 1997 09:55:06 +0000", 880106106 S, 0, true},
    {"31 Dec 9999 23:59:59 +0000", 253402300799 S, 0, true},
};

static void test_read(void **context)
{
    (void)context;
    struct mime_date date;
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
        assert_true(mime_date_read(bytes_of(dates[i].body), &date));
        assert_int_equal(date.time, dates[i].time);
        assert_int_equal(date.zone, dates[i].zone);
        assert_int_equal(date.zone_known, dates[i].known);
    }
}

static void test_what_is_no_date(void **context)
{
    (void)context;
    static const char *const wrong[] = {
        "",
        "Thu",
        "Thu, ",
        "0 Jan 1970 00:00:00 +0000",
        "32 Jan 1970 00:00:00 +0000",
        "30 Feb 2000 00:00:00 +0000",
        "29 Feb 2100 00:00:00 +0000",
        "29 Feb 2023 00:00:00 +0000",
        "1 Foo 1970 00:00:00 +0000",
        "1 Ja 1970 00:00:00 +0000",
        "1 Jan 19700 00:00:00 +0000",
        "1 Jan 1899 00:00:00 +0000",
        "1 Jan 1 00:00:00 +0000",
        "1 Jan 1970",
        "1 Jan 1970 00",
        "1 Jan 1970 24:00:00 +0000",
        "1 Jan 1970 00:60:00 +0000",
        "1 Jan 1970 00:00:61 +0000",
        "1 Jan 1970 00:00: +0000",
        "1 Jan 1970 00:00:00 +000",
        "1 Jan 1970 00:00:00 +00000",
        "1 Jan 1970 00:00:00 +0060",
        "1 Jan 1970 00:00:00 +2400",
        "111 Jan 1970 00:00:00 +0000",
        "99999999999999999999 Jan 1970 00:00:00 +0000",
        "(1 Jan 1970 00:00:00 +0000",
    };
    struct mime_date date;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(mime_date_read(bytes_of(wrong[i]), &date));
}

/* What is printed reads back, on every day of a century in every zone that is in use. */
static void test_round_trip(void **context)
{
    (void)context;
    for (int64_t day = 0; day < 40000; day++) {
        const struct mime_date date = {
            .time = (day * 86400 + day * 7919 % 86400) * 1000,
            .zone = (int16_t)(day % 105 * 15 - 12 * 60),
            .zone_known = true,
        };
        char line[SMTP_DATE_MAX];
        struct text text;
        struct mime_date again;
        text_init(&text, line, sizeof(line));
        mime_date_print(&date, &text);
        assert_false(text.cut);
        if (date.time + (int64_t)date.zone * 60000 < 0) continue; /* before 1970: not printed */
        assert_true(mime_date_read(text_bytes(&text), &again));
        assert_int_equal(again.time, date.time);
        assert_int_equal(again.zone, date.zone);
        assert_true(again.zone_known);
    }
}

static void test_print(void **context)
{
    (void)context;
    char line[SMTP_DATE_MAX];
    struct text text;
    text_init(&text, line, sizeof(line));
    mime_date_print(&(struct mime_date){1795244739 S, 60, true}, &text);
    assert_string_equal(line, "Sat, 21 Nov 2026 08:05:39 +0100");
    text_init(&text, line, sizeof(line));
    mime_date_print(&(struct mime_date){0, 0, false}, &text);
    assert_string_equal(line, "Thu, 1 Jan 1970 00:00:00 -0000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_what_is_no_date),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
