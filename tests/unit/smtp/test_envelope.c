/* SPDX-License-Identifier: Apache-2.0
 *
 * test_envelope - the stored form: there and back, cut short, damaged
 */
#include "ringpost/smtp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct smtp_envelope sample = {
    .reverse_path = {"a@example.org", 13},
    .envid = {"e+2B", 4},
    .client = {"192.0.2.1", 9},
    .session_id = {"s-1", 3},
    .body = SMTP_BODY_8BITMIME,
    .ret = SMTP_RET_HDRS,
    .protocol = SMTP_PROTOCOL_UTF8SMTP,
    .smtputf8 = true,
};
static const struct smtp_recipient recipients[] = {
    {.address = {"b@example.net", 13}, .orcpt = {"rfc822;b", 8}, .notify = SMTP_NOTIFY_DELAY},
    {.address = {"Postmaster", 10}},
    {.address = {"\"x\"@[::1]", 9}, .notify = SMTP_NOTIFY_NEVER},
};

static size_t store(char *out, size_t cap)
{
    size_t len = smtp_envelope_store_head(&sample, out, cap);
    for (size_t i = 0; i < ARRAY_COUNT(recipients); i++)
        len += smtp_envelope_store_recipient(&recipients[i], out + len, cap - len);
    smtp_envelope_patch_count(out, ARRAY_COUNT(recipients));
    return len;
}

static void test_there_and_back(void **state)
{
    (void)state;
    char data[512];
    struct smtp_envelope got;
    struct smtp_recipient recipient;
    const size_t len = store(data, sizeof(data));
    assert_true(smtp_envelope_load((struct bytes){data, len}, &got));
    assert_true(bytes_equal(got.reverse_path, sample.reverse_path));
    assert_true(bytes_equal(got.envid, sample.envid));
    assert_true(bytes_equal(got.client, sample.client));
    assert_true(bytes_equal(got.session_id, sample.session_id));
    assert_int_equal(got.body, sample.body);
    assert_int_equal(got.ret, sample.ret);
    assert_int_equal(got.protocol, sample.protocol);
    assert_true(got.smtputf8);
    assert_int_equal(got.recipient_count, ARRAY_COUNT(recipients));
    struct bytes cursor = got.recipients;
    for (size_t i = 0; i < ARRAY_COUNT(recipients); i++) {
        assert_true(smtp_recipient_next(&cursor, &recipient));
        assert_true(bytes_equal(recipient.address, recipients[i].address));
        assert_true(bytes_equal(recipient.orcpt, recipients[i].orcpt));
        assert_int_equal(recipient.notify, recipients[i].notify);
    }
    assert_false(smtp_recipient_next(&cursor, &recipient));
}

static void test_room(void **state)
{
    (void)state;
    char data[512];
    const size_t strings = 13 + 4 + 9 + 3;
    const size_t len = smtp_envelope_store_head(&sample, data, sizeof(data));
    assert_true(len <= strings + 32);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(smtp_envelope_store_head(&sample, data, cap), 0);
    assert_int_equal(smtp_envelope_store_head(&sample, data, len), len);
    const size_t rcpt = smtp_envelope_store_recipient(&recipients[0], data, sizeof(data));
    assert_true(rcpt <= 13 + 8 + 8);
    assert_int_equal(smtp_envelope_store_recipient(&recipients[0], data, rcpt - 1), 0);
}

static void test_cut_short(void **state)
{
    (void)state;
    char data[512];
    const size_t len = store(data, sizeof(data));
    for (size_t cut = 0; cut < len; cut++) {
        struct smtp_envelope got;
        char *exact = malloc(MAX(cut, 1u));
        assert_non_null(exact);
        memcpy(exact, data, cut);
        assert_false(smtp_envelope_load((struct bytes){exact, cut}, &got));
        free(exact);
    }
    struct smtp_envelope got;
    data[len] = 0;
    assert_false(smtp_envelope_load((struct bytes){data, len + 1}, &got)); /* something behind */
}

/* Whatever is damaged, nothing is read beyond the input, and the walk ends. */
static void test_damaged(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    for (int round = 0; round < 20000; round++) {
        char data[512];
        const size_t len = store(data, sizeof(data));
        for (uint64_t n = random_below(&random, 4) + 1; n > 0; n--)
            data[random_below(&random, len)] = (char)random_u64(&random);
        char *exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, data, len);
        struct smtp_envelope got;
        if (smtp_envelope_load((struct bytes){exact, len}, &got)) {
            struct smtp_recipient recipient;
            struct bytes cursor = got.recipients;
            uint32_t count = 0;
            while (smtp_recipient_next(&cursor, &recipient))
                count += 1;
            assert_int_equal(count, got.recipient_count);
        }
        free(exact);
    }
}

static void test_protocol_names(void **state)
{
    (void)state;
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_SMTP), "SMTP");
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_ESMTP), "ESMTP");
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_UTF8SMTP), "UTF8SMTP");
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_LOCAL), "local");
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_ESMTPSA), "ESMTPSA");
    assert_string_equal(smtp_protocol_name(SMTP_PROTOCOL_UTF8SMTPS), "UTF8SMTPS");
    for (uint8_t i = 0; i < SMTP_PROTOCOL_COUNT; i++)
        assert_non_null(smtp_protocol_name(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_room),
        cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_protocol_names),
    };
    return cmocka_run_group_tests_name("smtp envelope", tests, NULL, NULL);
}
