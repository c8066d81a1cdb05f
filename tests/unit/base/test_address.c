/* SPDX-License-Identifier: Apache-2.0
 *
 * test_address - parse, print, compare, networks
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static struct address ip(const char *text)
{
    struct address address;
    assert_true(address_parse_ip(bytes_of(text), &address));
    return address;
}

static struct address network(const char *text)
{
    struct address address;
    assert_true(address_parse_network(bytes_of(text), &address));
    return address;
}

static void addresses_survive_parse_and_print(void **state)
{
    static const struct {
        const char *text, *printed;
        uint8_t family;
        uint16_t port;
    } good[] = {
        {"192.0.2.1", "192.0.2.1:25", 4, 25},
        {"192.0.2.1:2525", "192.0.2.1:2525", 4, 2525},
        {"192.0.2.1:0", "192.0.2.1:0", 4, 0},
        {"0.0.0.0", "0.0.0.0:25", 4, 25},
        {"255.100.99.10:1", "255.100.99.10:1", 4, 1},
        {"2001:DB8::1", "[2001:db8::1]:25", 6, 25},
        {"[2001:db8::1]", "[2001:db8::1]:25", 6, 25},
        {"[2001:db8::1]:65535", "[2001:db8::1]:65535", 6, 65535},
        {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", 6, 1},
        {"[192.0.2.1]:26", "192.0.2.1:26", 4, 26},
    };
    char printed[ADDRESS_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct address address, again;
        assert_true(address_parse(bytes_of(good[i].text), 25, &address));
        assert_int_equal(address.family, good[i].family);
        assert_int_equal(address.port, good[i].port);
        assert_string_equal(address_print(&address, printed), good[i].printed);
        assert_true(address_parse(bytes_of(printed), 0, &again));
        assert_true(address_equal(&address, &again));
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "192.0.2",
                                        "192.0.2.256",
                                        "192.0.2.1:",
                                        "192.0.2.1:65536",
                                        "192.0.2.1:x",
                                        "192.0.2.1:25 ",
                                        " 192.0.2.1",
                                        "[2001:db8::1",
                                        "[2001:db8::1]25",
                                        "[2001:db8::1]:",
                                        "[]",
                                        "[]:25",
                                        ":25",
                                        ":",
                                        "2001:db8::g",
                                        "2001:db8:::1",
                                        "host.example.com",
                                        "host.example.com:25"};
    struct address address;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_false(address_parse(bytes_of(wrong[i]), 25, &address));
    }
    char zeros[200];
    memset(zeros, '0', sizeof(zeros));
    assert_false(address_parse((struct bytes){zeros, sizeof(zeros)}, 25, &address));
    assert_false(address_parse((struct bytes){0}, 25, &address));
    assert_false(address_parse(BYTES("1.2.3.4\0.5"), 25, &address));
    assert_false(address_parse(BYTES("1.2.3.4"), 0, &address)); /* no port, no default */
    assert_false(address_parse_ip(BYTES("1.2.3.4:25"), &address));
    assert_false(address_parse_ip(BYTES("[::1]"), &address));
}

static void networks_hold_what_is_in_them(void **state)
{
    static const struct {
        const char *network, *address;
        bool in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"10.0.0.0/8", "::a00:1", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1/32", "192.0.2.0", false},
        {"0.0.0.0/0", "203.0.113.7", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"::/0", "::ffff:192.0.2.1", true}, /* it is an IPv6 address as well */
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1/128", "::1", true},
        {"::1", "::2", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct address net = network(cases[i].network), address = ip(cases[i].address);
        assert_int_equal(address_in_network(&address, &net), cases[i].in);
    }
}

static void every_prefix_cuts_at_its_bit(void **state)
{
    (void)state;
    for (unsigned prefix = 1; prefix <= 128; prefix++) {
        struct address net = {.family = 6, .prefix = (uint8_t)prefix}, address = net;
        assert_true(address_in_network(&address, &net));
        address.ip[(prefix - 1) / 8] = (uint8_t)(0x80u >> (prefix - 1) % 8);
        assert_false(address_in_network(&address, &net));
        address = net;
        if (prefix == 128) break;
        address.ip[prefix / 8] = (uint8_t)(0x80u >> prefix % 8);
        assert_true(address_in_network(&address, &net));
    }
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.1/8",
                                        "::1/129",
                                        "2001:db8::1/32",
                                        "10.0.0.0/-1",
                                        "10/8",
                                        "10.0.0.0/8 ",
                                        "x/8",
                                        "10.0.0.0/8/8"};
    struct address address;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(address_parse_network(bytes_of(wrong[i]), &address));
}

static void special_addresses_are_known(void **state)
{
    static const struct {
        const char *text;
        bool loopback, unspecified;
    } cases[] = {
        {"127.0.0.1", true, false},
        {"127.255.255.255", true, false},
        {"128.0.0.1", false, false},
        {"::1", true, false},
        {"::ffff:127.0.0.1", true, false},
        {"::2", false, false},
        {"0.0.0.0", false, true},
        {"0.1.2.3", false, true},
        {"::", false, true},
        {"::ffff:0.0.0.0", false, true},
        {"2001:db8::", false, false},
        {"1.0.0.0", false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct address address = ip(cases[i].text);
        assert_int_equal(address_is_loopback(&address), cases[i].loopback);
        assert_int_equal(address_is_unspecified(&address), cases[i].unspecified);
    }
}

static void hashes_follow_the_ip_alone(void **state)
{
    struct address a = ip("192.0.2.1"), b = a;
    const struct address c = ip("192.0.2.2"), six = ip("c000:201::");
    (void)state;
    b.port = 99;
    assert_true(address_hash_ip(&a) == address_hash_ip(&b));
    assert_true(address_same_ip(&a, &b));
    assert_false(address_equal(&a, &b));
    assert_true(address_hash_ip(&a) != address_hash_ip(&c));
    assert_true(address_hash_ip(&a) != address_hash_ip(&six)); /* the same octets, another family */
    assert_false(address_same_ip(&a, &six));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_survive_parse_and_print),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(networks_hold_what_is_in_them),
        cmocka_unit_test(every_prefix_cuts_at_its_bit),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(special_addresses_are_known),
        cmocka_unit_test(hashes_follow_the_ip_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
