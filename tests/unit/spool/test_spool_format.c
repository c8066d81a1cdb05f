/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool_format - headers and records: every octet counts
 */
#include "format.h"
#include "ringpost/scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static void either_header_copy_is_enough(void **state)
{
    char page[FORMAT_PAGE];
    struct disk_header found;
    const struct disk_header header = {.number = 3, .log_id = 4, .generation = 5, .size = 6};
    (void)state;
    header_write(page, &header);
    assert_true(header_read(page, &found));
    assert_int_equal(found.generation, 5);
    for (size_t i = 0; i < sizeof(header); i++) {
        page[i] ^= 1;
        assert_true(header_read(page, &found));
        page[FORMAT_HEADER_COPY + i] ^= 1;
        assert_false(header_read(page, &found));
        page[i] ^= 1;
        assert_true(header_read(page, &found));
        page[FORMAT_HEADER_COPY + i] ^= 1;
    }
    memset(page, 0, sizeof(page));
    assert_false(header_read(page, &found));
}

static void make_record(char *at, const struct record_key *key, uint64_t generation, uint32_t len)
{
    struct record_head head = {.length = len, .generation = generation, .type = RECORD_NOTE};
    for (uint32_t i = 0; i < len; i++)
        at[sizeof(head) + i] = (char)i;
    head.payload_crc = scan_crc32c(0, at + sizeof(head), len);
    record_close(key, &head);
    memcpy(at, &head, sizeof(head));
}

static bool is_good(const struct record_key *key, uint64_t generation, const char *at, size_t room)
{
    struct record_head head;
    return record_head_read(key, generation, at, room, &head) && record_payload_is_ok(&head, at);
}

static void every_bit_of_a_record_counts(void **state)
{
    _Alignas(8) char record[sizeof(struct record_head) + 50];
    const struct record_key key = record_key_of(123);
    (void)state;
    make_record(record, &key, 7, 50);
    assert_true(is_good(&key, 7, record, sizeof(record)));
    for (size_t bit = 0; bit < sizeof(record) * 8; bit++) {
        record[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(is_good(&key, 7, record, sizeof(record)));
        record[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t room = 0; room < sizeof(record); room++)
        assert_false(is_good(&key, 7, record, room));
}

/* What an earlier use of a segment, another log, or a clever sender left there is no record. */
static void only_this_log_and_generation(void **state)
{
    _Alignas(8) char record[sizeof(struct record_head) + 8];
    const struct record_key key = record_key_of(123);
    (void)state;
    make_record(record, &key, 7, 8);
    assert_false(is_good(&key, 6, record, sizeof(record)));
    assert_false(is_good(&key, 8, record, sizeof(record)));
    for (uint64_t id = 0; id < 1000; id++) {
        const struct record_key other = record_key_of(id);
        assert_int_not_equal(other.magic, 0);
        if (id != 123) assert_false(is_good(&other, 7, record, sizeof(record)));
    }
}

static void message_lengths_must_agree(void **state)
{
    char payload[512];
    struct message_parts parts;
    const struct disk_extent extents[2] = {{.length = 10, .from = 2, .len = 8},
                                           {.length = 5, .len = 5}};
    struct disk_message fixed = {
        .id = 1,
        .extent_count = 2,
        .envelope_len = 3,
        .prefix_len = 4,
        .content_len = 4 + 8 + 5,
        .state_len = 2,
    };
    (void)state;
    message_write(payload, &fixed, extents, BYTES("env"), BYTES("pref"), BYTES("st"));
    const size_t len = (size_t)message_payload_len(&fixed);
    assert_true(message_parse((struct bytes){payload, len}, &parts));
    assert_true(bytes_equal(parts.envelope, BYTES("env")));
    assert_true(bytes_equal(parts.prefix, BYTES("pref")));
    assert_true(bytes_equal(parts.state, BYTES("st")));
    assert_int_equal(message_extent(&parts, 1).len, 5);
    for (size_t wrong = 0; wrong < len; wrong++)
        assert_false(message_parse((struct bytes){payload, wrong}, &parts));
    assert_false(message_parse((struct bytes){payload, len + 1}, &parts));

    fixed.content_len += 1;
    message_write(payload, &fixed, extents, BYTES("env"), BYTES("pref"), BYTES("st"));
    assert_false(message_parse((struct bytes){payload, len}, &parts));
    fixed.content_len -= 1;
    fixed.extent_count = UINT32_MAX;
    memcpy(payload, &fixed, sizeof(fixed));
    assert_false(message_parse((struct bytes){payload, len}, &parts));
}

static void extents_stay_in_their_record(void **state)
{
    char payload[512];
    struct message_parts parts;
    static const struct disk_extent wrong[] = {
        {.length = 10, .from = 0, .len = 11},          {.length = 10, .from = 11, .len = 0},
        {.length = 10, .from = 5, .len = 6},           {.length = 10, .from = 0, .len = 0},
        {.length = 10, .from = UINT32_MAX, .len = 11}, {.length = FORMAT_CONTENT_MAX + 1, .len = 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct disk_message fixed = {.extent_count = 1, .content_len = wrong[i].len};
        message_write(payload, &fixed, &wrong[i], BYTES(""), BYTES(""), BYTES(""));
        const size_t len = (size_t)message_payload_len(&fixed);
        assert_false(message_parse((struct bytes){payload, len}, &parts));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_header_copy_is_enough),
        cmocka_unit_test(every_bit_of_a_record_counts),
        cmocka_unit_test(only_this_log_and_generation),
        cmocka_unit_test(message_lengths_must_agree),
        cmocka_unit_test(extents_stay_in_their_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
