/* SPDX-License-Identifier: Apache-2.0
 *
 * test_name - spelling of names, refused addresses, names of sites
 */
#include "private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_normal(const char *name, const char *expected)
{
    char data[DNS_NAME_MAX + 3];
    struct text out;
    text_init(&out, data, sizeof(data));
    const bool ok = dns_name_normalise(bytes_of(name), &out);
    assert_int_equal(ok, expected != NULL);
    if (ok) assert_string_equal(data, expected);
}

static void names(void **state)
{
    (void)state;
    assert_normal("Example.COM", "example.com");
    assert_normal("example.com.", "example.com");
    assert_normal("a", "a");
    assert_normal("_dmarc.x-y.example", "_dmarc.x-y.example");
    assert_normal("", NULL);
    assert_normal(".", NULL);
    assert_normal("a..b", NULL);
    assert_normal(".a", NULL);
    assert_normal("a..", NULL);
    assert_normal("a b.example", NULL);
    assert_normal("a\r\nb.example", NULL);
    assert_normal("a\\.b", NULL);
    assert_normal("a/b", NULL);
    assert_normal("user@example.com", NULL);
    assert_normal("192.0.2.1", NULL);
    assert_normal("1", NULL);
    assert_normal("a.1.", NULL);
    assert_normal("1.a1", "1.a1");
    assert_normal("[192.0.2.1]", "[192.0.2.1]");
    assert_normal("[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]");
    assert_normal("[2001:db8::1]", NULL);
    assert_normal("[IPv6:192.0.2.1]", NULL);
    assert_normal("[192.0.2.256]", NULL);
    assert_normal("[192.0.2.1", NULL);
    assert_normal("[]", NULL);
    assert_normal("[", NULL);
    assert_normal("[tag:x]", NULL);
}

static void lengths(void **state)
{
    (void)state;
    char name[400], data[DNS_NAME_MAX + 3];
    struct text out;
    for (size_t len = 1; len < sizeof(name); len++) {
        for (size_t i = 0; i < len; i++)
            name[i] = i % 50 == 49 && i + 1 < len ? '.' : 'a';
        text_init(&out, data, sizeof(data));
        assert_int_equal(dns_name_normalise((struct bytes){name, len}, &out), len <= 253);
        name[len - 1] = 'a';
    }
    memset(name, 'a', sizeof(name));
    text_init(&out, data, sizeof(data));
    assert_true(dns_name_normalise((struct bytes){name, 63}, &out));
    text_init(&out, data, sizeof(data));
    assert_false(dns_name_normalise((struct bytes){name, 64}, &out));
    text_init(&out, data, sizeof(data));
    assert_false(dns_name_normalise((struct bytes){"a\0b", 3}, &out));
}

static void u_labels(void **state)
{
    (void)state;
    assert_normal("b\xc3\xbc"
                  "cher.example",
                  "xn--bcher-kva.example");
    assert_normal("B\xc3\x9c"
                  "CHER.example.",
                  "xn--bcher-kva.example");
    assert_normal("\xe4\xbe\x8b\xe5\xad\x90.example", "xn--fsqu00a.example");
    assert_normal("fa\xc3\x9f.example", "xn--fa-hia.example"); /* not transitional */
    assert_normal("\xff\xfe.example", NULL);
    assert_normal("\xc3", NULL);
    assert_normal("a\xe2\x80\x8b.example\x01", NULL);
    assert_normal("\xe3\x80\x82", NULL); /* an ideographic full stop alone */
}

static bool refused(const char *text, struct dns_options options)
{
    struct address address;
    assert_true(address_parse_ip(bytes_of(text), &address));
    return dns_address_is_refused(&address, &options);
}

static void refused_addresses(void **state)
{
    (void)state;
    static const char *const always[] = {
        "169.254.1.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",          "255.255.255.255",
        "fe80::1",     "febf::1",   "ff02::1",         "::ffff:169.254.0.1", "::ffff:224.0.0.1"};
    static const char *const own[] = {
        "127.0.0.1", "127.255.0.9", "0.0.0.0",          "0.1.2.3",
        "::",        "::1",         "::ffff:127.0.0.1", "::ffff:0.0.0.0"};
    static const char *const private_use[] = {"10.0.0.1",    "172.16.0.1",     "172.31.255.1",
                                              "192.168.1.1", "100.64.0.1",     "fd00::1",
                                              "fc00::1",     "::ffff:10.0.0.1"};
    static const char *const never[] = {"192.0.2.1", "172.32.0.1", "100.128.0.1",  "2001:db8::1",
                                        "8.8.8.8",   "1.0.0.1",    "223.255.255.1"};
    const struct dns_options plain = {0}, loopback = {.allow_loopback = true},
                             strict = {.refuse_private = true};
    for (size_t i = 0; i < ARRAY_COUNT(always); i++) {
        assert_true(refused(always[i], plain));
        assert_true(refused(always[i], loopback));
    }
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        assert_true(refused(own[i], plain));
        assert_true(refused(own[i], strict));
        assert_false(refused(own[i], loopback));
    }
    for (size_t i = 0; i < ARRAY_COUNT(private_use); i++) {
        assert_false(refused(private_use[i], plain));
        assert_true(refused(private_use[i], strict));
    }
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        assert_false(refused(never[i], plain));
        assert_false(refused(never[i], strict));
    }
}

#define assert_site(expected, ...)                                                                 \
    do {                                                                                           \
        const char *const hosts_[] = {__VA_ARGS__};                                                \
        assert_site_of(expected, hosts_, ARRAY_COUNT(hosts_));                                     \
    } while (0)

static void assert_site_of(const char *expected, const char *const *hosts, size_t count)
{
    struct bytes sorted[DNS_MX_MAX];
    char data[DNS_SITE_MAX + 1];
    struct text out;
    for (size_t rotation = 0; rotation < count; rotation++) { /* any order, one name */
        for (size_t i = 0; i < count; i++)
            sorted[i] = bytes_of(hosts[(i + rotation) % count]);
        text_init(&out, data, sizeof(data));
        dns_site_name(sorted, count, BYTES("the.domain"), &out);
        assert_string_equal(data, expected);
    }
}

static void sites(void **state)
{
    (void)state;
    assert_site("mx.example.com", "mx.example.com");
    assert_site("(alt1.aspmx|alt2.aspmx|aspmx).l.google.com", "aspmx.l.google.com",
                "alt1.aspmx.l.google.com", "alt2.aspmx.l.google.com");
    assert_site("(amx|bmx).example.com", "amx.example.com", "bmx.example.com");
    assert_site("(a.example.com|b.example.net)", "a.example.com", "b.example.net");
    assert_site("(example|mx.example).com", "example.com", "mx.example.com");
    assert_site("(a|a.a|b)", "a", "a.a", "b");
    assert_site("(a|b).x.y", "a.x.y", "b.x.y");
}

static void long_sets_stand_alone(void **state)
{
    (void)state;
    char names[DNS_MX_MAX][64];
    const char *hosts[DNS_MX_MAX];
    for (size_t i = 0; i < DNS_MX_MAX; i++) {
        memset(names[i], 'a' + (char)i, 20);
        strcpy(names[i] + 20, ".example.com");
        hosts[i] = names[i];
    }
    assert_site_of("~the.domain", hosts, DNS_MX_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),    cmocka_unit_test(lengths),
        cmocka_unit_test(u_labels), cmocka_unit_test(refused_addresses),
        cmocka_unit_test(sites),    cmocka_unit_test(long_sets_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
