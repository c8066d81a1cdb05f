/* SPDX-License-Identifier: Apache-2.0
 *
 * test_event - lines, JSON, buffers, losses
 */
#include "ringpost/event.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
/* after the four above, as it wants */
#include <cmocka.h>

static const wall_ms NOW = 1769860800123; /* 2026-01-31T12:00:00.123Z */

static struct event_sink *new_sink(uint32_t buffers_max)
{
    static struct event_sink sink;
    event_sink_init(&sink, &(struct event_options){
                               .level = EVENT_INFO, .account = true, .buffers_max = buffers_max});
    event_set_time(&sink, NOW);
    return &sink;
}

/* All octets of a stream so far, terminated; the buffers go back. */
static const char *drain(struct event_sink *sink, enum event_stream stream)
{
    static char text[2 * 1024 * 1024];
    size_t len = 0;
    struct event_buffer *buffer = event_take(sink, stream, true);
    while (buffer != NULL) {
        struct inbox_node *next = buffer->node.next;
        assert_true(len + buffer->len < sizeof(text));
        memcpy(text + len, buffer->data, buffer->len);
        len += buffer->len;
        event_return(sink, buffer);
        buffer = next == NULL ? NULL : CONTAINER_OF(next, struct event_buffer, node);
    }
    text[len] = '\0';
    return text;
}

/* ---- times and ids --------------------------------------------------------------------------- */

static void times_are_those_of_the_c_library(void **state)
{
    static const int64_t seconds[] = {0,          1,           86399,       86400,
                                      951782399,  951782400,   951868800,   1078012800,
                                      1709164799, 1709164800,  1709251200,  2147483648,
                                      4107542399, 13569465600, 253402300799};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(seconds); i++) {
        char wanted[64], got[EVENT_TIME_TEXT_MAX];
        const time_t when = (time_t)seconds[i];
        struct tm parts;
        gmtime_r(&when, &parts);
        strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S.007Z", &parts);
        assert_string_equal(event_time_print(seconds[i] * 1000 + 7, got), wanted);
    }
    for (int64_t day = 0; day < 200 * 366; day++) {
        char wanted[64], got[EVENT_TIME_TEXT_MAX];
        const time_t when = (time_t)(day * 86400);
        struct tm parts;
        gmtime_r(&when, &parts);
        strftime(wanted, sizeof(wanted), "%Y-%m-%dT00:00:00.000Z", &parts);
        assert_string_equal(event_time_print(day * 86400000, got), wanted);
    }
}

static void odd_times_stay_in_the_calendar(void **state)
{
    char got[EVENT_TIME_TEXT_MAX];
    (void)state;
    assert_string_equal(event_time_print(-1, got), "1970-01-01T00:00:00.000Z");
    assert_string_equal(event_time_print(INT64_MAX, got), "9999-12-31T23:59:59.999Z");
}

static void ids_survive_print_and_parse(void **state)
{
    struct random random;
    char text[EVENT_ID_TEXT_MAX], last[EVENT_ID_TEXT_MAX] = "";
    uint64_t got;
    (void)state;
    random_init(&random, 1);
    for (int i = 0; i < 10000; i++) {
        const uint64_t id = random_u64(&random) >> random_below(&random, 64);
        assert_int_equal(strlen(event_id_print(id, text)), 13);
        assert_true(event_id_parse(bytes_of(text), &got));
        assert_true(got == id);
    }
    for (int bit = 0; bit < 64; bit++) { /* order as text is order as numbers */
        event_id_print(1ull << bit, text);
        assert_true(strcmp(last, text) < 0);
        strcpy(last, text);
    }
    assert_true(event_id_parse(BYTES("FVVVVVVVVVVVV"), &got));
    assert_true(got == UINT64_MAX);
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "000000000000",
                                        "00000000000000",
                                        "g000000000000",
                                        "000000000000w",
                                        "00000000000 0",
                                        "-000000000000"};
    uint64_t id;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_false(event_id_parse(bytes_of(wrong[i]), &id));
    }
}

/* ---- the log --------------------------------------------------------------------------------- */

static void log_lines_look_as_documented(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    event_log(sink, EVENT_INFO, "deliver", "%d of %s", 3, "them");
    event_log(sink, EVENT_ERROR, "spool", "broken");
    event_log(sink, EVENT_DEBUG, "dns", "not kept at this level");
    assert_string_equal(drain(sink, EVENT_LOG), "2026-01-31T12:00:00.123Z info deliver: 3 of them\n"
                                                "2026-01-31T12:00:00.123Z error spool: broken\n");
    event_sink_deinit(sink);
}

static void text_from_outside_cannot_forge_log_lines(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    event_log(sink, EVENT_INFO, "m", "%s", "a\r\nb\tc\x1b[2Jd\x7f");
    event_log(sink, EVENT_INFO, "m", "%s",
              "gr\xc3\xbc\xc3\x9f \xc2\x9b \xff\xfe \xed\xa0\x80 \xe2\x82");
    assert_string_equal(drain(sink, EVENT_LOG),
                        "2026-01-31T12:00:00.123Z info m: a??b?c?[2Jd?\n"
                        "2026-01-31T12:00:00.123Z info m: gr\xc3\xbc\xc3\x9f ?? ?? ??? ??\n");
    event_sink_deinit(sink);
}

static void overlong_log_lines_are_cut(void **state)
{
    struct event_sink *sink = new_sink(4);
    static char text[3 * EVENT_LINE_MAX];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    event_log(sink, EVENT_INFO, "m", "%s", text);
    event_log(sink, EVENT_INFO, "m", "next");
    const char *got = drain(sink, EVENT_LOG);
    const size_t first = strcspn(got, "\n");
    assert_in_range(first, EVENT_LINE_MAX - 8, EVENT_LINE_MAX - 1);
    assert_string_equal(got + first + 1, "2026-01-31T12:00:00.123Z info m: next\n");
    event_sink_deinit(sink);
}

/* ---- the account ----------------------------------------------------------------------------- */

static json_t *record_of(struct event_sink *sink)
{
    const char *text = drain(sink, EVENT_ACCOUNT);
    json_error_t error;
    assert_non_null(strchr(text, '\n'));
    assert_string_equal(strchr(text, '\n'), "\n"); /* just one line */
    json_t *record = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (record == NULL) print_error("%s\n%s\n", error.text, text);
    assert_non_null(record);
    return record;
}

static const char *text_at(const json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

static int64_t number_at(const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void a_full_record_has_every_field(void **state)
{
    struct event_sink *sink = new_sink(4);
    struct address peer;
    (void)state;
    assert_true(address_parse(BYTES("[2001:db8::1]:25"), 0, &peer));
    event_account(sink, &(struct event_record){
                            .type = EVENT_TRANSIENT_FAILURE,
                            .id = 42,
                            .sender = BYTES("a@x.test"),
                            .recipient = BYTES("b@y.test"),
                            .queue = BYTES("y.test"),
                            .site = BYTES("mx.y.test"),
                            .egress_source = BYTES("default"),
                            .peer_name = BYTES("mx1.y.test"),
                            .peer = &peer,
                            .reception_protocol = BYTES("ESMTP"),
                            .delivery_protocol = BYTES("ESMTPS"),
                            .session_id = BYTES("s1"),
                            .authn_id = BYTES("ann"),
                            .tls_version = BYTES("TLSv1.3"),
                            .tls_cipher = BYTES("TLS_AES_256_GCM_SHA384"),
                            .tls_peer_name = BYTES("mx1.\"y\".test"),
                            .tls_verified = true,
                            .size = UINT64_MAX / 2,
                            .code = 450,
                            .enhanced_class = 4,
                            .enhanced_subject = 2,
                            .enhanced_detail = 1,
                            .content = BYTES("say \"later\"\\"),
                            .created = NOW - 61000,
                            .num_attempts = 3,
                            .queued_ms = 61000,
                            .dns_ms = 0,
                            .connect_ms = 5,
                            .transaction_ms = 12,
                        });
    json_t *record = record_of(sink);
    assert_string_equal(text_at(record, "type"), "TransientFailure");
    assert_string_equal(text_at(record, "id"), "000000000001a");
    assert_string_equal(text_at(record, "sender"), "a@x.test");
    assert_string_equal(text_at(record, "recipient"), "b@y.test");
    assert_string_equal(text_at(record, "queue"), "y.test");
    assert_string_equal(text_at(record, "site"), "mx.y.test");
    assert_string_equal(text_at(record, "egress_source"), "default");
    assert_string_equal(text_at(record, "reception_protocol"), "ESMTP");
    assert_string_equal(text_at(record, "delivery_protocol"), "ESMTPS");
    assert_string_equal(text_at(record, "session_id"), "s1");
    assert_string_equal(text_at(record, "authn_id"), "ann");
    assert_string_equal(text_at(record, "tls_protocol_version"), "TLSv1.3");
    assert_string_equal(text_at(record, "tls_cipher"), "TLS_AES_256_GCM_SHA384");
    const json_t *subject = json_object_get(record, "tls_peer_subject_name");
    assert_int_equal(json_array_size(subject), 1);
    assert_string_equal(json_string_value(json_array_get(subject, 0)), "mx1.\"y\".test");
    assert_true(json_is_true(json_object_get(record, "tls_verified")));
    assert_true(number_at(record, "size") == INT64_MAX);
    assert_int_equal(number_at(record, "timestamp"), NOW / 1000);
    assert_int_equal(number_at(record, "created"), NOW / 1000 - 61);
    assert_int_equal(number_at(record, "num_attempts"), 3);
    const json_t *response = json_object_get(record, "response");
    const json_t *enhanced = json_object_get(response, "enhanced_code");
    assert_int_equal(number_at(response, "code"), 450);
    assert_string_equal(text_at(response, "content"), "say \"later\"\\");
    assert_int_equal(number_at(enhanced, "class"), 4);
    assert_int_equal(number_at(enhanced, "subject"), 2);
    assert_int_equal(number_at(enhanced, "detail"), 1);
    assert_string_equal(text_at(json_object_get(record, "peer_address"), "name"), "mx1.y.test");
    assert_string_equal(text_at(json_object_get(record, "peer_address"), "addr"), "2001:db8::1");
    const json_t *timings = json_object_get(record, "timings_ms");
    assert_int_equal(number_at(timings, "queued"), 61000);
    assert_int_equal(number_at(timings, "dns"), 0);
    assert_int_equal(number_at(timings, "connect"), 5);
    assert_int_equal(number_at(timings, "transaction"), 12);
    json_decref(record);
    event_sink_deinit(sink);
}

static void what_says_nothing_is_left_out(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    for (uint8_t type = 0; type < EVENT_TYPE_COUNT; type++) {
        event_account(sink, &(struct event_record){.type = type,
                                                   .queued_ms = -1,
                                                   .dns_ms = -1,
                                                   .connect_ms = -1,
                                                   .transaction_ms = -1});
        json_t *record = record_of(sink);
        assert_string_equal(text_at(record, "sender"), ""); /* the null reverse-path */
        assert_int_equal(json_object_size(record), 7);
        json_decref(record);
    }
    event_sink_deinit(sink);
}

static void account_can_be_off(void **state)
{
    struct event_sink sink;
    (void)state;
    event_sink_init(&sink, &(struct event_options){.level = EVENT_INFO});
    event_account(&sink, &(struct event_record){0});
    assert_null(event_take(&sink, EVENT_ACCOUNT, true));
    event_sink_deinit(&sink);
}

/* Octets of a stranger, of any length: each line stays one valid JSON object within EVENT_LINE_MAX.
 */
static void any_octets_give_valid_json(void **state)
{
    static char noise[5000];
    struct event_sink *sink = new_sink(4);
    struct random random;
    (void)state;
    random_init(&random, 7);
    for (int round = 0; round < 2000; round++) {
        const unsigned kind = (unsigned)random_below(&random, 4);
        for (size_t i = 0; i < sizeof(noise); i++) {
            const uint64_t r = random_u64(&random);
            noise[i] = (char)(kind == 0 ? r : kind == 1 ? r % 32 : kind == 2 ? 0xc0 + r % 64 : '"');
        }
        struct event_record record = {.type = EVENT_BOUNCE, .code = 550};
        struct bytes *fields[] = {&record.sender,        &record.recipient,
                                  &record.queue,         &record.site,
                                  &record.egress_source, &record.peer_name,
                                  &record.content,       &record.reception_protocol,
                                  &record.session_id,    &record.delivery_protocol,
                                  &record.authn_id,      &record.tls_version,
                                  &record.tls_cipher,    &record.tls_peer_name};
        for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
            *fields[i] = (struct bytes){noise, random_below(&random, sizeof(noise))};
        }
        event_account(sink, &record);
        json_decref(record_of(sink));
    }
    event_sink_deinit(sink);
}

/* Strings are looked at eight octets at a time: every octet at every place comes back. */
static void every_octet_at_every_place(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    for (int octet = 1; octet < 128; octet++) {
        for (size_t place = 0; place < 19; place++) {
            char text[20] = "0123456789abcdefghi";
            text[place] = (char)octet;
            event_account(sink, &(struct event_record){.sender = {text, 19}});
            json_t *record = record_of(sink);
            assert_string_equal(text_at(record, "sender"), text);
            json_decref(record);
        }
    }
    event_sink_deinit(sink);
}

static void good_utf8_is_kept_and_bad_replaced(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    event_account(sink, &(struct event_record){.sender = BYTES("\xc3\xbc@\xf0\x9f\x93\xa8.test"),
                                               .recipient = BYTES("a\xc3(\xe2\x82\xc0\xaf"
                                                                  "b")});
    json_t *record = record_of(sink);
    assert_string_equal(text_at(record, "sender"), "\xc3\xbc@\xf0\x9f\x93\xa8.test");
    assert_string_equal(text_at(record, "recipient"),
                        "a\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "b");
    json_decref(record);
    event_sink_deinit(sink);
}

/* Well-formed, but some readers end a line there, and terminals obey them. */
static void unicode_controls_are_escaped(void **state)
{
    struct event_sink *sink = new_sink(4);
    (void)state;
    event_account(sink, &(struct event_record){.content = BYTES("a\xc2\x85\xc2\x9b\xe2\x80\xa8"
                                                                "b\xc2\xa0")});
    const char *text = drain(sink, EVENT_ACCOUNT);
    assert_non_null(strstr(text, "a\\u0085\\u009b\\u2028b\xc2\xa0"));
    event_sink_deinit(sink);
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void fill(struct event_sink *sink, int lines)
{
    for (int i = 0; i < lines; i++) {
        event_log(sink, EVENT_INFO, "m", "%d %.*s", i, 1000,
                  "................................................................"
                  "................................................................");
    }
}

static void lines_come_out_in_order_over_many_buffers(void **state)
{
    struct event_sink *sink = new_sink(8);
    (void)state;
    for (int round = 0; round < 3; round++) {
        fill(sink, 1500);
        const char *at = drain(sink, EVENT_LOG);
        for (int i = 0; i < 1500; i++) {
            assert_int_equal(atoi(strstr(at, " m: ") + 4), i);
            at = strchr(at, '\n') + 1;
        }
        assert_string_equal(at, "");
    }
    assert_int_equal(event_lost(sink, EVENT_LOG), 0);
    assert_true(sink->streams[EVENT_LOG].buffers <= 8);
    event_sink_deinit(sink);
}

static void losses_are_counted_and_told_once(void **state)
{
    struct event_sink *sink = new_sink(2);
    (void)state;
    fill(sink, 3000);
    const uint64_t lost = event_lost(sink, EVENT_LOG);
    assert_true(lost > 0);
    assert_int_equal(sink->streams[EVENT_LOG].buffers, 2);
    drain(sink, EVENT_LOG);
    event_log(sink, EVENT_INFO, "m", "room again");
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "%llu log lines were lost", (unsigned long long)lost);
    const char *got = drain(sink, EVENT_LOG);
    assert_non_null(strstr(got, wanted));
    assert_non_null(strstr(got, "room again"));
    event_log(sink, EVENT_INFO, "m", "later");
    assert_null(strstr(drain(sink, EVENT_LOG), "lost"));
    assert_true(event_lost(sink, EVENT_LOG) == lost);
    event_sink_deinit(sink);
}

static void lost_records_of_the_account_are_told_in_the_log(void **state)
{
    struct event_sink *sink = new_sink(1);
    (void)state;
    for (int i = 0; i < 1000; i++)
        event_account(sink, &(struct event_record){0});
    assert_true(event_lost(sink, EVENT_ACCOUNT) > 0);
    drain(sink, EVENT_ACCOUNT);
    event_account(sink, &(struct event_record){0});
    assert_non_null(strstr(drain(sink, EVENT_LOG), "account records were lost"));
    drain(sink, EVENT_ACCOUNT);
    event_sink_deinit(sink);
}

static void a_lowered_limit_frees_buffers(void **state)
{
    struct event_sink *sink = new_sink(8);
    (void)state;
    fill(sink, 2000);
    event_set_options(sink, &(struct event_options){.level = EVENT_INFO, .buffers_max = 2});
    drain(sink, EVENT_LOG);
    assert_int_equal(sink->streams[EVENT_LOG].buffers, 2);
    event_sink_deinit(sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_those_of_the_c_library),
        cmocka_unit_test(odd_times_stay_in_the_calendar),
        cmocka_unit_test(ids_survive_print_and_parse),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(log_lines_look_as_documented),
        cmocka_unit_test(text_from_outside_cannot_forge_log_lines),
        cmocka_unit_test(overlong_log_lines_are_cut),
        cmocka_unit_test(a_full_record_has_every_field),
        cmocka_unit_test(what_says_nothing_is_left_out),
        cmocka_unit_test(account_can_be_off),
        cmocka_unit_test(any_octets_give_valid_json),
        cmocka_unit_test(every_octet_at_every_place),
        cmocka_unit_test(good_utf8_is_kept_and_bad_replaced),
        cmocka_unit_test(unicode_controls_are_escaped),
        cmocka_unit_test(lines_come_out_in_order_over_many_buffers),
        cmocka_unit_test(losses_are_counted_and_told_once),
        cmocka_unit_test(lost_records_of_the_account_are_told_in_the_log),
        cmocka_unit_test(a_lowered_limit_frees_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
