/* SPDX-License-Identifier: Apache-2.0
 *
 * test_answer - reading DNS messages, whole ones and broken ones
 */
#include "answer.h"
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>

static struct wire wire;
static struct dns_answer answer;

/* From memory of exactly that size, so that a sanitizer sees one octet read too far. */
static enum dns_error parse_octets(const uint8_t *data, size_t len, const char *name,
                                   enum dns_type type)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, data, len);
    const enum dns_error error =
        dns_answer_parse((struct bytes){(char *)exact, len}, bytes_of(name), type, &answer);
    free(exact);
    return error;
}

static enum dns_error parse(const char *name, enum dns_type type)
{
    return parse_octets(wire.data, wire.len, name, type);
}

static void assert_mx(unsigned at, unsigned preference, const char *name)
{
    assert_true(at < answer.mx_count);
    assert_int_equal(answer.mx[at].preference, preference);
    assert_string_equal(answer.mx[at].name, name);
    assert_int_equal(answer.mx[at].name_len, strlen(name));
}

static void mx_come_in_order(void **state)
{
    (void)state;
    wire_begin(&wire, "example.com", DNS_TYPE_MX, 0);
    wire_mx(&wire, "example.com", 300, 20, "B.example.com");
    wire_mx(&wire, "EXAMPLE.com", 200, 10, "a.example.com");
    wire_mx(&wire, "example.com", 400, 20, "c.example.com");
    wire_mx(&wire, "other.com", 1, 0, "evil.example.com");
    assert_int_equal(parse("example.com", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_true(answer.exists);
    assert_int_equal(answer.mx_count, 3);
    assert_mx(0, 10, "a.example.com");
    assert_mx(1, 20, "b.example.com");
    assert_mx(2, 20, "c.example.com");
    assert_int_equal(answer.ttl, 200);
    assert_false(answer.null_mx);
}

static void a_host_counts_once(void **state)
{
    (void)state;
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire_mx(&wire, "d.x", 9, 30, "a.x");
    wire_mx(&wire, "d.x", 9, 20, "b.x");
    wire_mx(&wire, "d.x", 9, 10, "A.x");
    wire_mx(&wire, "d.x", 9, 40, "b.x");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_int_equal(answer.mx_count, 2);
    assert_mx(0, 10, "a.x");
    assert_mx(1, 20, "b.x");
}

static void the_most_preferred_are_kept(void **state)
{
    (void)state;
    char name[32];
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    enum { COUNT = 2500 }; /* about what a message can hold */
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "h%u.x", i);
        wire_mx(&wire, "d.x", 9, 3000 - i, name);
    }
    assert_true(wire.len < 65536);
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_int_equal(answer.mx_count, DNS_MX_MAX);
    assert_int_equal(answer.seen, COUNT);
    for (unsigned i = 0; i < DNS_MX_MAX; i++) {
        snprintf(name, sizeof(name), "h%u.x", COUNT - 1 - i);
        assert_mx(i, 3000 - COUNT + 1 + i, name);
    }
}

static void null_mx_only_when_alone(void **state)
{
    (void)state;
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire_mx(&wire, "d.x", 9, 0, ".");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_true(answer.null_mx);
    assert_int_equal(answer.mx_count, 0);

    wire_mx(&wire, "d.x", 9, 10, "mx.x");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_false(answer.null_mx);
    assert_int_equal(answer.mx_count, 1);

    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire_mx(&wire, "d.x", 9, 10, ".");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_false(answer.null_mx);
    assert_int_equal(answer.seen, 1);
}

static void addresses_are_no_host_names(void **state)
{
    (void)state;
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire_mx(&wire, "d.x", 9, 0, "192.0.2.1");
    wire_mx(&wire, "d.x", 9, 10, "1.mx2");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_int_equal(answer.seen, 2);
    assert_int_equal(answer.mx_count, 1);
    assert_mx(0, 10, "1.mx2");
}

static void aliases_in_any_order(void **state)
{
    (void)state;
    wire_begin(&wire, "a.x", DNS_TYPE_A, 0);
    wire_address(&wire, "c.x", 500, "192.0.2.1");
    wire_cname(&wire, "b.x", 50, "c.x");
    wire_cname(&wire, "a.x", 70, "b.x");
    wire_address(&wire, "a.x", 5, "192.0.2.9"); /* beside an alias: not ours */
    assert_int_equal(parse("a.x", DNS_TYPE_A), DNS_ERROR_NONE);
    assert_int_equal(answer.alias_count, 2);
    assert_string_equal(answer.name, "c.x");
    assert_int_equal(answer.address_count, 1);
    assert_int_equal(answer.addresses[0].ip[3], 1);
    assert_int_equal(answer.ttl, 50);
}

static void alias_chains_end(void **state)
{
    (void)state;
    char from[16], to[16];
    wire_begin(&wire, "n0.x", DNS_TYPE_A, 0);
    for (unsigned i = 0; i < DNS_CNAME_MAX; i++) {
        snprintf(from, sizeof(from), "n%u.x", i);
        snprintf(to, sizeof(to), "n%u.x", i + 1);
        wire_cname(&wire, from, 9, to);
    }
    assert_int_equal(parse("n0.x", DNS_TYPE_A), DNS_ERROR_NONE);
    assert_int_equal(answer.alias_count, DNS_CNAME_MAX);
    wire_cname(&wire, to, 9, "last.x");
    assert_int_equal(parse("n0.x", DNS_TYPE_A), DNS_ERROR_CNAME_LOOP);

    wire_begin(&wire, "a.x", DNS_TYPE_A, 0);
    wire_cname(&wire, "a.x", 9, "b.x");
    wire_cname(&wire, "b.x", 9, "a.x");
    assert_int_equal(parse("a.x", DNS_TYPE_A), DNS_ERROR_CNAME_LOOP);

    wire_begin(&wire, "a.x", DNS_TYPE_A, 0);
    wire_cname(&wire, "a.x", 9, "no host.x");
    assert_int_equal(parse("a.x", DNS_TYPE_A), DNS_ERROR_BAD_NAME);
}

static void negative_answers(void **state)
{
    (void)state;
    wire_begin(&wire, "no.x", DNS_TYPE_MX, 3);
    wire_soa(&wire, "x", 600, 120);
    assert_int_equal(parse("no.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_false(answer.exists);
    assert_true(answer.has_soa);
    assert_int_equal(answer.ttl, 120);

    wire_begin(&wire, "no.x", DNS_TYPE_MX, 0);
    wire_cname(&wire, "no.x", 9, "alias.x");
    wire_soa(&wire, "x", 60, 120);
    assert_int_equal(parse("no.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_true(answer.exists);
    assert_true(answer.has_soa);
    assert_int_equal(answer.ttl, 9);

    wire_begin(&wire, "alias.x", DNS_TYPE_MX, 3); /* NXDOMAIN behind an alias */
    wire_cname(&wire, "alias.x", 900, "gone.x");
    wire_soa(&wire, "x", 600, 30);
    assert_int_equal(parse("alias.x", DNS_TYPE_MX), DNS_ERROR_NONE);
    assert_false(answer.exists);
    assert_int_equal(answer.ttl, 30);
}

static void server_errors(void **state)
{
    (void)state;
    static const struct {
        unsigned rcode;
        enum dns_error error;
    } cases[] = {{1, DNS_ERROR_SERVFAIL}, {2, DNS_ERROR_SERVFAIL}, {4, DNS_ERROR_SERVFAIL},
                 {5, DNS_ERROR_REFUSED},  {9, DNS_ERROR_SERVFAIL}, {15, DNS_ERROR_SERVFAIL}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        wire_begin(&wire, "d.x", DNS_TYPE_MX, cases[i].rcode);
        assert_int_equal(parse("d.x", DNS_TYPE_MX), cases[i].error);
    }
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0x200); /* TC */
    wire_mx(&wire, "d.x", 9, 10, "a.x");
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire.data[2] = 0; /* not a response */
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
    wire_begin(&wire, "e.x", DNS_TYPE_MX, 0); /* another question */
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
    wire_begin(&wire, "d.x", DNS_TYPE_A, 0);
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire.data[5] = 2; /* two questions */
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
}

static void ttl_with_the_high_bit_is_zero(void **state)
{
    (void)state;
    wire_begin(&wire, "d.x", DNS_TYPE_A, 0);
    wire_address(&wire, "d.x", 0x80000001, "192.0.2.1");
    assert_int_equal(parse("d.x", DNS_TYPE_A), DNS_ERROR_NONE);
    assert_int_equal(answer.ttl, 0);
}

/* Every length of RDATA from 0 on, of every type that is read. */
static void odd_rdata_is_skipped(void **state)
{
    (void)state;
    static const unsigned types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_MX, DNS_TYPE_CNAME,
                                     DNS_TYPE_SOA};
    for (size_t t = 0; t < ARRAY_COUNT(types); t++) {
        for (unsigned len = 0; len < 40; len++) {
            for (unsigned fill = 0; fill < 3; fill++) {
                for (int last = 0; last < 2; last++) {
                    wire_begin(&wire, "d.x", types[t], 0);
                    const size_t start =
                        wire_record(&wire, types[t] == DNS_TYPE_SOA ? WIRE_AUTHORITY : WIRE_ANSWER,
                                    "d.x", types[t], 9);
                    for (unsigned i = 0; i < len; i++)
                        wire_u8(&wire, fill == 0 ? 0 : fill == 1 ? 0xff : 5);
                    wire_end(&wire, start);
                    if (!last) wire_address(&wire, "d.x", 9, "192.0.2.7");
                    assert_int_not_equal(parse("d.x", types[t]), DNS_ERROR_BAD_ANSWER);
                    assert_true(answer.address_count <= 2);
                }
            }
        }
    }
    wire_begin(&wire, "d.x", DNS_TYPE_A, 0);
    const size_t start = wire_record(&wire, WIRE_ANSWER, "d.x", DNS_TYPE_A, 9);
    wire_u16(&wire, 1);
    wire_end(&wire, start);
    wire_address(&wire, "d.x", 9, "192.0.2.7");
    assert_int_equal(parse("d.x", DNS_TYPE_A), DNS_ERROR_NONE);
    assert_int_equal(answer.address_count, 1);
    assert_int_equal(answer.seen, 2);
}

/* ---- TXT ---------------------------------------------------------------------------------------
 */

static void add_txt(const char *owner, const char *first, const char *second)
{
    const char *const strings[] = {first, second};
    const size_t start = wire_record(&wire, WIRE_ANSWER, owner, DNS_TYPE_TXT, 60);
    for (size_t i = 0; i < 2; i++) {
        const size_t len = strlen(strings[i]);
        wire_u8(&wire, (unsigned)len);
        for (size_t k = 0; k < len; k++)
            wire_u8(&wire, (uint8_t)strings[i][k]);
    }
    wire_end(&wire, start);
}

static enum dns_error read_txt(size_t len, char *out, size_t cap, uint32_t *count)
{
    struct text text;
    text_init(&text, out, cap);
    return dns_txt_read((struct bytes){(char *)wire.data, len}, BYTES("s._domainkey.x"), &text,
                        count);
}

static void strings_of_a_record_are_put_together(void **state)
{
    char out[100];
    uint32_t count;
    (void)state;
    wire_begin(&wire, "s._domainkey.x", DNS_TYPE_TXT, 0);
    wire_cname(&wire, "s._domainkey.x", 60, "s.y");
    add_txt("z", "not", "ours");
    add_txt("s.y", "v=DKIM1; ", "p=abc");
    add_txt("s.y", "other", "");
    assert_int_equal(read_txt(wire.len, out, sizeof(out), &count), DNS_ERROR_NONE);
    assert_int_equal(count, 2);
    assert_string_equal(out, "v=DKIM1; p=abc");
    for (size_t len = 0; len < wire.len; len++)
        assert_int_not_equal(read_txt(len, out, sizeof(out), &count), DNS_ERROR_NONE);

    wire_begin(&wire, "s._domainkey.x", DNS_TYPE_TXT, 3);
    assert_int_equal(read_txt(wire.len, out, sizeof(out), &count), DNS_ERROR_NONE);
    assert_int_equal(count, 0);
}

static void a_string_that_runs_out_of_its_record_ends_it(void **state)
{
    char out[100];
    uint32_t count;
    (void)state;
    wire_begin(&wire, "s._domainkey.x", DNS_TYPE_TXT, 0);
    const size_t start = wire_record(&wire, WIRE_ANSWER, "s._domainkey.x", DNS_TYPE_TXT, 60);
    wire_u8(&wire, 2);
    wire_u16(&wire, 'a' << 8 | 'b');
    wire_u8(&wire, 200);
    wire_u8(&wire, 'c');
    wire_end(&wire, start);
    assert_int_equal(read_txt(wire.len, out, sizeof(out), &count), DNS_ERROR_NONE);
    assert_int_equal(count, 1);
    assert_string_equal(out, "ab");
}

static void every_cut_is_survived(void **state)
{
    (void)state;
    wire_begin(&wire, "d.x", DNS_TYPE_MX, 0);
    wire_cname(&wire, "d.x", 9, "e.x");
    wire_mx(&wire, "e.x", 9, 10, "mail.e.x");
    const size_t len = wire.len;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(parse_octets(wire.data, cut, "d.x", DNS_TYPE_MX), DNS_ERROR_BAD_ANSWER);
    assert_int_equal(parse("d.x", DNS_TYPE_MX), DNS_ERROR_NONE);
}

static enum answer_name name_at(const uint8_t *data, size_t len, size_t offset, char *out,
                                size_t *end)
{
    struct text text;
    uint8_t *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, data, len);
    text_init(&text, out, DNS_NAME_MAX + 1);
    *end = offset;
    const enum answer_name result = dns_answer_name((struct bytes){(char *)exact, len}, end, &text);
    free(exact);
    return result;
}

static void pointers_go_back_only(void **state)
{
    (void)state;
    char out[DNS_NAME_MAX + 1];
    size_t end;
    static const uint8_t good[] = {1, 'x', 0, 2, 'M', 'x', 0xc0, 0, 9};
    assert_int_equal(name_at(good, sizeof(good), 3, out, &end), ANSWER_NAME_OK);
    assert_string_equal(out, "mx.x");
    assert_int_equal(end, 8);

    static const uint8_t to_itself[] = {0xc0, 0};
    static const uint8_t forward[] = {0xc0, 2, 0};
    static const uint8_t circle[] = {1, 'a', 0xc0, 4, 1, 'b', 0xc0, 0};
    static const uint8_t into_own_labels[] = {1, 'a', 1, 'b', 0xc0, 2};
    static const uint8_t reserved[] = {0x40, 0};
    static const uint8_t no_end[] = {1, 'a'};
    static const uint8_t half_pointer[] = {0, 0xc0};
    assert_int_equal(name_at(to_itself, 2, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(forward, 3, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(circle, 8, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(circle, 8, 4, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(into_own_labels, 6, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(reserved, 2, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(no_end, 2, 0, out, &end), ANSWER_NAME_BAD);
    assert_int_equal(name_at(half_pointer, 2, 1, out, &end), ANSWER_NAME_BAD);
}

static void names_are_clean_and_short(void **state)
{
    (void)state;
    char out[DNS_NAME_MAX + 1];
    size_t end;
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t label[] = {1, (uint8_t)c, 0};
        const bool clean = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_';
        assert_int_equal(name_at(label, 3, 0, out, &end), clean ? ANSWER_NAME_OK : ANSWER_NAME_ODD);
        assert_int_equal(end, 3);
    }
    /* 253 characters are the most: 3 labels of 63 and one of 61. */
    uint8_t wide[300];
    memset(wide, 'a', sizeof(wide));
    for (unsigned last = 60; last <= 63; last++) {
        wide[0] = wide[64] = wide[128] = 63;
        wide[192] = (uint8_t)last;
        wide[193 + last] = 0;
        assert_int_equal(name_at(wide, 194 + last, 0, out, &end),
                         last <= 61 ? ANSWER_NAME_OK : ANSWER_NAME_BAD);
        wide[193 + last] = 'a';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mx_come_in_order),
        cmocka_unit_test(a_host_counts_once),
        cmocka_unit_test(the_most_preferred_are_kept),
        cmocka_unit_test(null_mx_only_when_alone),
        cmocka_unit_test(addresses_are_no_host_names),
        cmocka_unit_test(aliases_in_any_order),
        cmocka_unit_test(alias_chains_end),
        cmocka_unit_test(negative_answers),
        cmocka_unit_test(server_errors),
        cmocka_unit_test(ttl_with_the_high_bit_is_zero),
        cmocka_unit_test(odd_rdata_is_skipped),
        cmocka_unit_test(strings_of_a_record_are_put_together),
        cmocka_unit_test(a_string_that_runs_out_of_its_record_ends_it),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(pointers_go_back_only),
        cmocka_unit_test(names_are_clean_and_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
