/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dsn - when a notification is due, statuses, what of the original comes back, dates
 */
#include "ringpost/dsn.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static struct dsn_recipient recipient;
static struct bytes original;
static struct dsn dsn;
static char written[512 * 1024];
static uint8_t flags;

static int setup(void **state)
{
    (void)state;
    original = BYTES("Subject: x\r\n\r\nbody\r\n");
    recipient = (struct dsn_recipient){.address = BYTES("b@y"), .action = DSN_FAILED};
    dsn = (struct dsn){.reporting_mta = BYTES("r"),
                       .sender = BYTES("a@x"),
                       .id = BYTES("1"),
                       .recipients = &recipient,
                       .recipient_count = 1,
                       .original = &original,
                       .original_count = 1,
                       .original_complete = true,
                       .ret = SMTP_RET_FULL};
    return 0;
}

static void write_it(void)
{
    struct text out;
    const size_t size = dsn_measure(&dsn);
    assert_true(size < sizeof(written));
    text_init(&out, written, size + 1); /* no octet more than was measured */
    flags = dsn_write(&dsn, &out);
    assert_int_equal(out.len, size);
    assert_false(out.cut);
}

static bool holds(const char *text)
{
    return strstr(written, text) != NULL;
}

static void test_is_due(void **state)
{
    (void)state;
    const struct bytes sender = BYTES("a@x"), null = BYTES("");
    static const struct {
        uint8_t notify;
        bool failed, delayed, relayed;
    } cases[] = {
        {SMTP_NOTIFY_UNSET, true, false, false},
        {SMTP_NOTIFY_NEVER, false, false, false},
        {SMTP_NOTIFY_SUCCESS, false, false, true},
        {SMTP_NOTIFY_FAILURE, true, false, false},
        {SMTP_NOTIFY_DELAY, false, true, false},
        {SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, true, true, true},
        {SMTP_NOTIFY_NEVER | SMTP_NOTIFY_FAILURE, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const uint8_t notify = cases[i].notify;
        assert_int_equal(dsn_is_due(DSN_FAILED, notify, sender), cases[i].failed);
        assert_int_equal(dsn_is_due(DSN_DELAYED, notify, sender), cases[i].delayed);
        assert_int_equal(dsn_is_due(DSN_DELIVERED, notify, sender), cases[i].relayed);
        assert_int_equal(dsn_relayed_is_due(notify, sender, false), cases[i].relayed);
        assert_false(dsn_relayed_is_due(notify, sender, true)); /* the next hop reports */
        assert_false(dsn_is_due(DSN_FAILED, notify, null));
        assert_false(dsn_is_due(DSN_DELAYED, notify, null));
        assert_false(dsn_is_due(DSN_RELAYED, notify, null));
    }
}

static void test_status(void **state)
{
    (void)state;
    static const struct {
        enum dsn_action action;
        bool expired;
        uint16_t code;
        struct smtp_enhanced given;
        const char *status;
    } cases[] = {
        {DSN_FAILED, false, 550, {5, 1, 1}, "Status: 5.1.1\r\n"},
        {DSN_FAILED, false, 550, {0, 0, 0}, "Status: 5.0.0\r\n"},
        {DSN_FAILED, false, 0, {0, 0, 0}, "Status: 5.0.0\r\n"},
        {DSN_FAILED, false, 450, {4, 2, 1}, "Status: 5.2.1\r\n"},
        {DSN_FAILED, true, 450, {4, 2, 1}, "Status: 4.2.1\r\n"},
        {DSN_FAILED, true, 552, {5, 3, 1}, "Status: 5.3.1\r\n"},
        {DSN_FAILED, true, 451, {0, 0, 0}, "Status: 4.0.0\r\n"},
        {DSN_FAILED, true, 0, {0, 0, 0}, "Status: 4.4.7\r\n"},
        {DSN_DELAYED, false, 452, {4, 3, 1}, "Status: 4.3.1\r\n"},
        {DSN_DELAYED, false, 552, {5, 3, 1}, "Status: 4.3.1\r\n"},
        {DSN_DELAYED, false, 0, {0, 0, 0}, "Status: 4.0.0\r\n"},
        {DSN_RELAYED, false, 250, {2, 1, 5}, "Status: 2.1.5\r\n"},
        {DSN_RELAYED, false, 250, {0, 0, 0}, "Status: 2.0.0\r\n"},
        {DSN_RELAYED, false, 250, {5, 0, 0}, "Status: 2.0.0\r\n"},
        {DSN_FAILED, false, 550, {2, 0, 0}, "Status: 5.0.0\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        recipient.action = (uint8_t)cases[i].action;
        recipient.expired = cases[i].expired;
        recipient.code = cases[i].code;
        recipient.status = cases[i].given;
        write_it();
        if (!holds(cases[i].status)) fail_msg("%zu: %s", i, written);
    }
}

static void test_actions(void **state)
{
    (void)state;
    recipient.action = DSN_RELAYED;
    recipient.code = 250;
    recipient.will_retry_until = 1;
    write_it();
    assert_true(holds("Action: relayed\r\n"));
    assert_true(holds("Diagnostic-Code: smtp; 250 "));
    assert_true(holds("text/rfc822-headers")); /* RET=FULL is for failures */
    assert_false(holds("Will-Retry-Until"));
    assert_false(holds("Arrival-Date"));
    assert_false(holds("Remote-MTA"));
    assert_false(holds("Original-Recipient"));
    assert_false(holds("Original-Envelope-Id"));
    recipient.action = DSN_DELAYED;
    write_it();
    assert_true(holds("Will-Retry-Until: Thu, 1 Jan 1970 00:00:00 +0000\r\n"));
}

static void test_what_comes_back(void **state)
{
    (void)state;
    write_it();
    assert_true(holds("Content-Type: message/rfc822\r\n"));
    assert_true(holds("\r\n\r\nSubject: x\r\n\r\nbody\r\n\r\n--"));
    assert_int_equal(flags, 0);

    dsn.original_complete = false;
    write_it();
    assert_true(holds("text/rfc822-headers") && !holds("body\r\n"));
    dsn.original_complete = true;
    dsn.full_max = (uint32_t)original.len - 1;
    write_it();
    assert_true(holds("text/rfc822-headers") && !holds("body\r\n"));
    dsn.full_max += 1;
    write_it();
    assert_true(holds("message/rfc822"));

    original = BYTES("Subject: x\r\n\r\n.\xff\r\n");
    dsn.full_max = 0;
    write_it();
    assert_true(holds("Content-Transfer-Encoding: 8bit\r\n\r\nThis is a report"));
    assert_int_equal(flags, SMTP_CONTENT_8BIT | SMTP_CONTENT_LEADING_DOT);

    /* Never a bare CR or LF, or a NUL, wherever it came from. */
    static const struct bytes odd[] = {{"A: b\r\n\r\nx\ny\r\n", 14},
                                       {"A: b\r\n\r\nx\ry\r\n", 14},
                                       {"A: b\r\n\r\nx\r", 11},
                                       {"A: b\r\n\r\nx\0\r\n", 12}};
    for (size_t i = 0; i < ARRAY_COUNT(odd); i++) {
        original = odd[i];
        write_it();
        assert_true(holds("text/rfc822-headers") && holds("\r\nA: b\r\n\r\n--"));
    }
    original = BYTES("A: b\nc\rd\r\n\r\n");
    write_it();
    assert_true(holds("A: b=0Ac=0Dd\r\n"));
}

static void test_odd_originals(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\r\n", "\r\nbody\r\n", "A: b", "A: b\r\n", "\r"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (unsigned ret = 0; ret <= SMTP_RET_HDRS; ret++) {
            original = bytes_of(texts[i]);
            dsn.ret = (uint8_t)ret;
            write_it();
            assert_true(holds("=_1_0--\r\n"));
        }
    }
    dsn.original_count = 0;
    write_it();

    /* A header without end is cut at a line. */
    static char endless[DSN_HEADER_MAX * 2];
    for (size_t i = 0; i < sizeof(endless); i++)
        endless[i] = "X: y\r\n"[i % 6];
    original = (struct bytes){endless, sizeof(endless)};
    dsn.original_count = 1;
    write_it();
    assert_true(dsn_measure(&dsn) < DSN_HEADER_MAX + 4096);
    assert_true(holds("X: y\r\n\r\n--"));
}

static void test_boundary(void **state)
{
    (void)state;
    original = BYTES("A: b\r\n\r\n--=_1_0\r\n=_1_1=_1_2\r\n");
    write_it();
    assert_true(holds("boundary=\"=_1_3\"\r\n"));
    struct bytes cut[] = {BYTES("A: b\r\n\r\n--=_"), BYTES(""), BYTES("1_0\r\n")};
    dsn.original = cut;
    dsn.original_count = 3;
    write_it();
    assert_true(holds("boundary=\"=_1_1\"\r\n"));
}

static const char *date_of(wall_ms time)
{
    static char date[SMTP_DATE_MAX];
    struct text text;
    text_init(&text, date, sizeof(date));
    smtp_date_format(time, &text);
    assert_false(text.cut);
    return date;
}

static void test_dates(void **state)
{
    (void)state;
    assert_string_equal(date_of(0), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_string_equal(date_of(-5), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_string_equal(date_of(951827696999), "Tue, 29 Feb 2000 12:34:56 +0000");
    assert_string_equal(date_of(4107542400000), "Mon, 1 Mar 2100 00:00:00 +0000");
    assert_string_equal(date_of(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 +0000");
    assert_string_equal(date_of(INT64_MIN), "Thu, 1 Jan 1970 00:00:00 +0000");
    /* Against the C library: every day for 700 years, some second of it. */
    for (int64_t day = 0; day < 256000; day++) {
        const time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
        struct tm tm;
        char weekday[8], rest[40], expected[64];
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(weekday, sizeof(weekday), "%a", &tm) > 0);
        assert_true(strftime(rest, sizeof(rest), "%b %Y %H:%M:%S +0000", &tm) > 0);
        snprintf(expected, sizeof(expected), "%s, %d %s", weekday, tm.tm_mday, rest);
        assert_string_equal(date_of((wall_ms)seconds * 1000 + 999), expected);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_is_due),          TEST(test_status),        TEST(test_actions),
        TEST(test_what_comes_back), TEST(test_odd_originals), TEST(test_boundary),
        TEST(test_dates),
    };
    return cmocka_run_group_tests_name("dsn", tests, NULL, NULL);
}
