/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dns - what becomes of a domain: RFC 5321 section 5, and the order of trial
 */
#include "fake.h"

/* Sites are asserted together with the order of hosts: "a.x b.x". */
static void assert_hosts(const char *domain, const char *site, const char *expected)
{
    char data[400];
    struct text hosts;
    struct dns_route *route = resolve(domain);
    text_init(&hosts, data, sizeof(data));
    for (uint8_t i = 0; i < route->host_count; i++) {
        if (i > 0) text_put(&hosts, BYTES(" "));
        text_put(&hosts, dns_host_name(route->hosts[i].host));
    }
    assert_int_equal(route->status, DNS_OK);
    assert_string_equal(data, expected);
    assert_bytes(dns_route_site(route), site);
    dns_route_put(&route);
}

/* ---- RFC 5321 section 5 -----------------------------------------------------------------------
 */

static void hosts_by_preference(void **state)
{
    (void)state;
    open_dns(usual_zone);
    assert_hosts("d.x", "(a|b).mx.x", "a.mx.x b.mx.x");
    assert_hosts("E.X.", "(a|b).mx.x", "b.mx.x a.mx.x");
    assert_hosts("lone.x", "lone.x", "lone.x");
    assert_hosts("six.x", "six.x", "six.x");
    assert_hosts("alias.x", "(a|b).mx.x", "a.mx.x b.mx.x");
    assert_hosts("aliasmx.x", "www.x", "www.x");
    assert_hosts("half.x", "(a|gone).mx.x", "gone.mx.x a.mx.x");
    assert_hosts("late2.x", "(b|late).mx.x", "late.mx.x b.mx.x");
    close_dns();
}

static void what_dns_says(void **state)
{
    (void)state;
    open_dns(usual_zone);
    assert_status("null.x", DNS_NULL_MX);
    assert_status("no.x", DNS_NXDOMAIN);
    assert_status("fail.x", DNS_TEMPFAIL);
    assert_status("deadmx.x", DNS_NO_ADDRESS);
    assert_status("dot.x", DNS_NO_ADDRESS);
    assert_status("nothing.x", DNS_NO_ADDRESS);
    assert_status("late.x", DNS_TEMPFAIL);
    assert_status("loop.x", DNS_TEMPFAIL);
    assert_status("not a name", DNS_BAD_NAME);
    assert_status("", DNS_BAD_NAME);
    close_dns();
}

static void verdicts(void **state)
{
    (void)state;
    char data[600];
    struct text words;
    open_dns(usual_zone);
    struct dns_route *route = resolve("null.x");
    const struct dns_verdict *verdict = dns_verdict(route->status);
    assert_true(verdict->permanent);
    assert_int_equal(verdict->code, 556);
    assert_int_equal(verdict->enhanced.detail, 10);
    text_init(&words, data, sizeof(data));
    dns_route_explain(route, &words);
    assert_string_equal(data, "null.x: the domain accepts no mail (null MX)");
    dns_route_put(&route);

    route = resolve("fail.x");
    assert_false(dns_verdict(route->status)->permanent);
    text_init(&words, data, sizeof(data));
    dns_route_explain(route, &words);
    assert_string_equal(data, "fail.x: the mail hosts are not known for now (name server failure)");
    dns_route_put(&route);

    route = resolve("evil\r\n\x80.x");
    text_init(&words, data, sizeof(data));
    dns_route_explain(route, &words);
    assert_string_equal(data, "evil???.x: not a domain name");
    dns_route_put(&route);
    close_dns();
}

static void mail_loops(void **state)
{
    (void)state;
    static const struct record loops[] = {
        {"best.x", DNS_TYPE_MX, "10 relay.us", 300, 0},
        {"best.x", DNS_TYPE_MX, "20 a.x", 300, 0},
        {"equal.x", DNS_TYPE_MX, "10 a.x", 300, 0},
        {"equal.x", DNS_TYPE_MX, "10 MAIL.us", 300, 0},
        {"backup.x", DNS_TYPE_MX, "10 a.x", 300, 0},
        {"backup.x", DNS_TYPE_MX, "20 relay.us", 300, 0},
        {"backup.x", DNS_TYPE_MX, "20 b.x", 300, 0},
        {"backup.x", DNS_TYPE_MX, "30 c.x", 300, 0},
        {"hidden.x", DNS_TYPE_MX, "10 a.x", 300, 0},
        {"hidden.x", DNS_TYPE_MX, "20 us-again.x", 300, 0},
        {"hidden2.x", DNS_TYPE_MX, "20 us-again.x", 300, 0},
        {"us-again.x", DNS_TYPE_A, "203.0.113.9", 300, 0},
        {"relay.us", DNS_TYPE_A, "203.0.113.9", 300, 0},
        {"a.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {"b.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {"c.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {NULL, 0, NULL, 0, 0},
    };
    open_dns(loops);
    assert_status("best.x", DNS_LOOP);
    assert_status("equal.x", DNS_LOOP);
    assert_status("hidden2.x", DNS_LOOP);
    assert_status("relay.us", DNS_LOOP);
    assert_status("[203.0.113.9]", DNS_LOOP);
    assert_hosts("backup.x", "a.x", "a.x");
    assert_hosts("hidden.x", "a.x", "a.x");
    struct dns_route *route = resolve_kind(DNS_BY_HOST, "relay.us");
    assert_int_equal(route->status, DNS_OK);
    dns_route_put(&route);
    close_dns();
}

static void addresses_of_our_own_are_refused(void **state)
{
    (void)state;
    static const struct record traps[] = {
        {"local.x", DNS_TYPE_MX, "10 trap.x", 300, 0},
        {"trap.x", DNS_TYPE_A, "127.0.0.1", 300, 0},
        {"trap.x", DNS_TYPE_AAAA, "::ffff:127.0.0.1", 300, 0},
        {"mixed.x", DNS_TYPE_A, "127.0.0.1", 300, 0},
        {"mixed.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {"half.x", DNS_TYPE_A, "127.0.0.1", 300, 0},
        {"half.x", DNS_TYPE_AAAA, NULL, 0, DNS_ERROR_TIMEOUT},
        {NULL, 0, NULL, 0, 0},
    };
    struct random random;
    struct dns_target targets[DNS_TARGETS_MAX];
    random_init(&random, 1);
    open_dns(traps);
    assert_status("local.x", DNS_REFUSED);
    assert_status("half.x", DNS_TEMPFAIL);
    assert_status("[127.0.0.1]", DNS_REFUSED);
    assert_status("[IPv6:::1]", DNS_REFUSED);
    struct dns_route *route = resolve("mixed.x");
    assert_int_equal(route->status, DNS_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(dns_route_targets(route, &random, false, targets), 1);
        assert_int_equal(dns_target_address(route, targets[0], 25).ip[0], 192);
    }
    dns_route_put(&route);
    route = resolve_kind(DNS_BY_HOST, "mixed.x"); /* the operator may mean it */
    assert_int_equal(dns_route_targets(route, &random, false, targets), 2);
    dns_route_put(&route);
    close_dns();

    struct dns_options lenient = options();
    lenient.allow_loopback = true;
    open_with(lenient, traps);
    assert_status("local.x", DNS_OK);
    assert_status("[127.0.0.1]", DNS_OK);
    close_dns();
}

static void next_hops_of_the_operator(void **state)
{
    (void)state;
    open_dns(usual_zone);
    struct dns_route *route = resolve_kind(DNS_BY_HOST, "d.x"); /* its MX do not matter */
    assert_int_equal(route->status, DNS_TEMPFAIL);
    assert_int_equal(route->error, DNS_ERROR_NO_HOST);
    dns_route_put(&route);
    route = resolve_kind(DNS_BY_HOST, "a.mx.x");
    assert_int_equal(route->status, DNS_OK);
    assert_bytes(dns_route_site(route), "a.mx.x");
    dns_route_put(&route);
    route = resolve_kind(DNS_BY_HOST, "127.0.0.1");
    assert_int_equal(route->status, DNS_OK);
    assert_bytes(dns_route_site(route), "[127.0.0.1]");
    dns_route_put(&route);
    route = resolve_kind(DNS_BY_HOST, "::1");
    assert_bytes(dns_route_domain(route), "[IPv6:::1]");
    dns_route_put(&route);
    route = resolve_kind(DNS_BY_HOST, "no name");
    assert_int_equal(route->status, DNS_TEMPFAIL);
    dns_route_put(&route);
    close_dns();
}

/* ---- the order of trial ------------------------------------------------------------------------
 */

static void equals_are_shuffled_others_not(void **state)
{
    (void)state;
    static const struct record many[] = {
        {"d.x", DNS_TYPE_MX, "20 c.x", 300, 0},
        {"d.x", DNS_TYPE_MX, "10 a.x", 300, 0},
        {"d.x", DNS_TYPE_MX, "10 b.x", 300, 0},
        {"a.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {"b.x", DNS_TYPE_A, "192.0.2.2", 300, 0},
        {"c.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
        {NULL, 0, NULL, 0, 0},
    };
    struct dns_target targets[DNS_TARGETS_MAX];
    struct random random;
    unsigned first[4] = {0};
    random_init(&random, 7);
    open_dns(many);
    struct dns_route *route = resolve("d.x");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(dns_route_targets(route, &random, false, targets), 3);
        const struct address last = dns_target_address(route, targets[2], 25);
        assert_int_equal(last.ip[3], 3);
        assert_int_equal(last.port, 25);
        first[dns_target_address(route, targets[0], 25).ip[3]] += 1;
    }
    assert_true(first[1] > 400 && first[2] > 400);
    dns_route_put(&route);
    close_dns();
}

static void families_take_turns(void **state)
{
    (void)state;
    static const struct record both[] = {
        {"d.x", DNS_TYPE_A, "192.0.2.1", 300, 0},
        {"d.x", DNS_TYPE_A, "192.0.2.2", 300, 0},
        {"d.x", DNS_TYPE_A, "192.0.2.3", 300, 0},
        {"d.x", DNS_TYPE_AAAA, "2001:db8::1", 300, 0},
        {"d.x", DNS_TYPE_AAAA, "2001:db8::2", 300, 0},
        {NULL, 0, NULL, 0, 0},
    };
    static const uint8_t expected[2][5] = {{6, 4, 6, 4, 4}, {4, 6, 4, 6, 4}};
    struct dns_target targets[DNS_TARGETS_MAX];
    struct random random;
    random_init(&random, 7);
    open_dns(both);
    struct dns_route *route = resolve("d.x");
    for (int round = 0; round < 100; round++) {
        const bool ipv4_first = round % 2;
        uint32_t seen = 0;
        assert_int_equal(dns_route_targets(route, &random, ipv4_first, targets), 5);
        for (int i = 0; i < 5; i++) {
            const struct address address = dns_target_address(route, targets[i], 25);
            assert_int_equal(address.family, expected[ipv4_first][i]);
            seen |= 1u << targets[i].address;
        }
        assert_int_equal(seen, 0x1f);
    }
    dns_route_put(&route);
    close_dns();
}

static void every_host_gets_its_turn(void **state)
{
    (void)state;
    static struct record crowd[DNS_MX_MAX * 21 + 1];
    static char texts[DNS_MX_MAX * 21][32];
    size_t n = 0;
    for (unsigned h = 0; h < DNS_MX_MAX; h++) {
        snprintf(texts[n], 32, "%u h%u.x", h, h);
        crowd[n] = (struct record){"d.x", DNS_TYPE_MX, texts[n], 300, 0};
        const char *name = strchr(texts[n++], ' ') + 1;
        for (unsigned a = 0; a < 20; a++) {
            snprintf(texts[n], 32, "192.0.%u.%u", h, a + 1);
            crowd[n] = (struct record){name, DNS_TYPE_A, texts[n], 300, 0};
            n++;
        }
    }
    crowd[n] = (struct record){0};
    struct dns_target targets[DNS_TARGETS_MAX];
    struct random random;
    uint32_t seen = 0;
    random_init(&random, 7);
    open_dns(crowd);
    struct dns_route *route = resolve("d.x");
    const size_t count = dns_route_targets(route, &random, false, targets);
    assert_true(count > 40 && count <= DNS_TARGETS_MAX);
    for (size_t i = 0; i < count; i++) {
        seen |= 1u << targets[i].host;
        assert_true(i == 0 || targets[i].host >= targets[i - 1].host);
    }
    assert_int_equal(seen, (1u << DNS_MX_MAX) - 1);
    dns_route_put(&route);
    close_dns();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_by_preference),
        cmocka_unit_test(what_dns_says),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(mail_loops),
        cmocka_unit_test(addresses_of_our_own_are_refused),
        cmocka_unit_test(next_hops_of_the_operator),
        cmocka_unit_test(equals_are_shuffled_others_not),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(every_host_gets_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
