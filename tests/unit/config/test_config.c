/* SPDX-License-Identifier: Apache-2.0
 *
 * test_config - values, defaults, inheritance, and every message with its file and line
 */
#include "ringpost/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* after those above, as it wants */
#include <cmocka.h>

/* ---- loading with the messages kept ---------------------------------------------------------- */

static char messages[64 * 1024];
static unsigned errors, warnings;

static void keep_message(void *context, bool error, const char *text)
{
    (void)context;
    const size_t len = strlen(messages);
    snprintf(messages + len, sizeof(messages) - len, "%s\n", text);
    *(error ? &errors : &warnings) += 1;
}

static struct config *load(const char *text)
{
    const struct config_report report = {keep_message, NULL};
    messages[0] = '\0';
    errors = warnings = 0;
    return config_parse(bytes_of(text), "f.conf", "host.example.com", &report);
}

#define MINIMAL "spool { path = /s }\nlistener \"127.0.0.1:2525\" { }\n"

static struct config *load_good(const char *text)
{
    struct config *config = load(text);
    if (config == NULL) print_error("%s", messages);
    assert_non_null(config);
    assert_int_equal(errors, 0);
    return config;
}

/* Exactly this one message, behind "f.conf:". */
static void expect_error(const char *text, const char *message)
{
    char wanted[1024];
    struct config *config = load(text);
    snprintf(wanted, sizeof(wanted), "f.conf:%s\n", message);
    assert_null(config);
    assert_string_equal(messages, wanted);
}

/* ---- good files ------------------------------------------------------------------------------ */

static void a_minimal_file_gets_all_defaults(void **state)
{
    (void)state;
    struct config *config = load_good("\xef\xbb\xbf" MINIMAL); /* as some editors write it */
    assert_int_equal(warnings, 0);
    assert_string_equal(config->hostname, "host.example.com");
    assert_string_equal(config->control, "/s/control.sock");
    assert_string_equal(config->user, "");
    assert_true(config->shutdown_timeout == DURATION_S(30));
    assert_int_equal(config->workers.workers, 0);
    assert_true(config->workers.pin);
    assert_int_equal(config->workers.events.level, EVENT_INFO);
    assert_false(config->workers.events.account);
    assert_int_equal(config->spool.durability, SPOOL_COMMIT);
    assert_true(config->spool.segment_size == 64 << 20);
    assert_true(config->spool.message_size_max == 50 << 20);
    assert_int_equal(config->dns.server_count, 0);
    assert_int_equal(config->dns.name_count, 1);
    assert_false(config->dns.allow_loopback);

    assert_int_equal(config->receive.listener_count, 1);
    const struct receive_listener_options *listener = &config->receive.listeners[0];
    char address[ADDRESS_TEXT_MAX];
    assert_string_equal(address_print(&listener->address, address), "127.0.0.1:2525");
    assert_true(bytes_equal(listener->smtp.hostname, BYTES("host.example.com")));
    assert_int_equal(listener->smtp.max_recipients, 1000);
    assert_int_equal(listener->relay_from_count, 2);
    assert_int_equal(listener->connections_max, 10000);
    assert_int_equal(listener->connections_per_client_max, 1000);
    assert_true(listener->add_date && listener->add_message_id);

    assert_string_equal(config->queue.hostname, "host.example.com");
    assert_int_equal(config->queue.source_count, 1);
    assert_string_equal(config->queue.sources[0].name, "default");
    assert_int_equal(config->queue.site_count, 0);
    assert_int_equal(config->queue.route_count, 0);
    config_free(&config);
    assert_null(config);
}

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    struct config *config = load_good(
        "hostname = 'mx.example.org' workers = 4 user = ringpost group = mail\n"
        "control = /run/c.sock; resolver = {\"127.0.0.1:5353\", \"[::1]:53\", 192.0.2.9}\n"
        "allow_loopback_delivery = yes shutdown_timeout = 1h30m\n"
        "log { path = /l level = debug rotate_size = 1G keep = 3 }\n"
        "account { path = /a rotate_age = 10m keep_age = 2w keep_size = 1T rotate_size = 1K }\n"
        "spool { path = \"/var/spool x\" durability = RELAXED memory = 64m reserve = 0 }\n"
        "dns { timeout = 250ms tries = 1 cache = 5000 ignore_ipv6 = on }\n"
        "delivery { connections = 7 memory = 2M error_memory = 0 }\n"
        "listener \"[2001:db8::1]:25\" { relay_from = {10.0.0.0/8 , \"2001:db8::/32\"}\n"
        "  max_text_line = 0 banner = \"Hello\" hostname = in.example.org command_timeout = 90 }\n"
        "listener 192.0.2.1:25 { max_message_size = 1M relay_from = {} }\n"
        "source \"default\" { ehlo = out.example.org }\n"
        "source \"two\" { address = 192.0.2.7 address6 = \"2001:db8::7\" }\n"
        "route \"Example.ORG.\" { to = {\"10.0.0.5:26\", \"[::1]:2525\", \"::1\", 10.1.1.1,"
        " \"relay.example.net:587\", relay.example.net, \"10.1.1.1:65535\"} }\n"
        "route \"*\" { to = smart.example.net }\n");
    assert_string_equal(config->hostname, "mx.example.org");
    assert_int_equal(config->workers.workers, 4);
    assert_string_equal(config->user, "ringpost");
    assert_string_equal(config->group, "mail");
    assert_string_equal(config->control, "/run/c.sock");
    assert_int_equal(config->dns.server_count, 3);
    assert_int_equal(config->dns.servers[0].port, 5353);
    assert_int_equal(config->dns.servers[1].family, 6);
    assert_int_equal(config->dns.servers[2].port, 53);
    assert_true(config->dns.allow_loopback);
    assert_true(config->shutdown_timeout == DURATION_S(5400));
    assert_string_equal(config->log.path, "/l");
    assert_false(config->log.folder);
    assert_int_equal(config->workers.events.level, EVENT_DEBUG);
    assert_true(config->log.rotate_size == 1 << 30);
    assert_int_equal(config->log.keep, 3);
    assert_true(config->account.folder && config->workers.events.account);
    assert_true(config->account.rotate_age == DURATION_S(600));
    assert_true(config->account.keep_age == DURATION_S(14 * 86400));
    assert_true(config->account.keep_size == 1ull << 40);
    assert_string_equal(config->spool.path, "/var/spool x");
    assert_int_equal(config->spool.durability, SPOOL_RELAXED);
    assert_true(config->spool.memory_max == 64 << 20);
    assert_true(config->spool.reserve == 0);
    assert_true(config->dns.timeout == DURATION_MS(250));
    assert_int_equal(config->dns.cache_entries, 5000);
    assert_true(config->dns.ignore_ipv6);
    assert_int_equal(config->queue.connections_max, 7);
    assert_true(config->queue.job_bytes_max == 2 << 20);
    assert_int_equal(config->receive.listener_count, 2);
    const struct receive_listener_options *listener = &config->receive.listeners[0];
    assert_int_equal(listener->relay_from_count, 2);
    assert_int_equal(listener->relay_from[1].prefix, 32);
    assert_int_equal(listener->smtp.max_text_line, 0);
    assert_int_equal(listener->smtp.command_timeout_s, 90);
    assert_true(bytes_equal(listener->smtp.banner, BYTES("Hello")));
    assert_true(bytes_equal(listener->smtp.hostname, BYTES("in.example.org")));
    assert_int_equal(config->receive.listeners[1].address.port, 25);
    assert_int_equal(config->receive.listeners[1].relay_from_count, 0); /* nobody */
    assert_int_equal(config->dns.name_count, 3);
    assert_int_equal(config->queue.source_count, 2);
    assert_string_equal(config->queue.sources[0].ehlo, "out.example.org");
    assert_string_equal(config->queue.sources[1].name, "two");
    assert_int_equal(config->queue.sources[1].address6.family, 6);

    const struct queue_route *route = &config->queue.routes[0];
    static const struct queue_hop hops[] = {{"10.0.0.5", 26},
                                            {"::1", 2525},
                                            {"::1", 0},
                                            {"10.1.1.1", 0},
                                            {"relay.example.net", 587},
                                            {"relay.example.net", 0},
                                            {"10.1.1.1", 65535}};
    assert_int_equal(config->queue.route_count, 2);
    assert_string_equal(route->domain, "example.org");
    assert_int_equal(route->hop_count, ARRAY_COUNT(hops));
    for (size_t i = 0; i < ARRAY_COUNT(hops); i++) {
        assert_string_equal(route->hops[i].host, hops[i].host);
        assert_int_equal(route->hops[i].port, hops[i].port);
    }
    assert_string_equal(config->queue.routes[1].domain, "*");
    config_free(&config);
}

static void addresses_of_the_machine_are_ours_where_all_are_listened_on(void **state)
{
    const struct address addresses[] = {
        {.family = 4, .prefix = 32, .ip = {127, 0, 0, 1}},
        {.family = 4, .prefix = 32, .ip = {192, 0, 2, 1}},
        {.family = 6, .prefix = 128, .ip = {0x20, 0x01, 0x0d, 0xb8}},
    };
    (void)state;
    struct config *config = load_good(MINIMAL "listener \"0.0.0.0:25\" { }");
    assert_int_equal(config->dns.address_count, 0);
    config_add_own_addresses(config, addresses, ARRAY_COUNT(addresses));
    assert_int_equal(config->dns.address_count, 1); /* loopback is refused anyway */
    assert_true(address_same_ip(&config->dns.addresses[0], &addresses[1]));
    config_free(&config);
    config = load_good(MINIMAL "listener \"[::]:25\" { }\nlistener \"192.0.2.7:25\" { }");
    config_add_own_addresses(config, addresses, ARRAY_COUNT(addresses));
    assert_int_equal(config->dns.address_count, 2);
    assert_true(address_same_ip(&config->dns.addresses[1], &addresses[2]));
    config_free(&config);
    config = load_good(MINIMAL "listener \"0.0.0.0:587\" { }"); /* not where mail exchanges meet */
    config_add_own_addresses(config, addresses, ARRAY_COUNT(addresses));
    assert_int_equal(config->dns.address_count, 0);
    config_free(&config);
}

static void sites_inherit_from_default_wherever_it_stands(void **state)
{
    (void)state;
    struct config *config = load_good(
        MINIMAL
        "source \"two\" { }\n"
        "site \"Example.COM.\" { messages_per_second = 0.5 retry = {\"1m\"} source = two }\n"
        "site \"default\" { connections = 5 port = 2525 command_timeout = 7s\n"
        "  retry = {1m, 5m, 1h} eight_bit = bounce pipelining = false expiry = 2d }\n"
        "site \"(a|b).test\" { connections = 1 port = 25 }\n"
        "site \"B\xc3\xbc"
        "cher.example\" { }\nsite \"10.0.0.5:25\" { }\n");
    const struct queue_site_options *options = &config->queue.defaults;
    assert_int_equal(options->connections_max, 5);
    assert_int_equal(options->timeouts.mail, 7);
    assert_int_equal(options->timeouts.rcpt, 7);
    assert_int_equal(options->timeouts.ehlo, 7);
    assert_int_equal(options->retry_count, 3);
    assert_int_equal(options->retry_s[2], 3600);
    assert_true(options->eight_bit == SMTP_EIGHT_BIT_BOUNCE);
    assert_int_equal(options->message_interval, 0);
    assert_int_equal(config->queue.site_count, 4);
    assert_string_equal(config->queue.sites[2].name, "xn--bcher-kva.example");
    assert_string_equal(config->queue.sites[3].name, "10.0.0.5:25");
    assert_string_equal(config->queue.sites[0].name, "example.com");
    options = &config->queue.sites[0].options;
    assert_int_equal(options->connections_max, 5);
    assert_int_equal(options->port, 2525);
    assert_int_equal(options->timeouts.mail, 7);
    assert_true(options->eight_bit == SMTP_EIGHT_BIT_BOUNCE && !options->pipelining &&
                options->chunking);
    assert_int_equal(options->expiry_s, 2 * 86400);
    assert_int_equal(options->retry_count, 1);
    assert_int_equal(options->retry_s[0], 60);
    assert_int_equal(options->source, 1);
    assert_true(options->message_interval == DURATION_S(2));
    options = &config->queue.sites[1].options;
    assert_int_equal(options->connections_max, 1);
    assert_int_equal(options->port, 25);
    assert_int_equal(options->retry_count, 3);
    assert_int_equal(options->source, 0);
    config_free(&config);
}

static void hosts_are_not_paused_for_longer_than_their_mail(void **state)
{
    (void)state;
    struct config *config = load_good(MINIMAL "site \"default\" { retry = {1s, 2s} }");
    assert_int_equal(config->queue.defaults.host_pause_s, 1);
    assert_int_equal(config->queue.defaults.host_pause_max_s, 2);
    config_free(&config);
}

static void comments_and_odd_layout_are_fine(void **state)
{
    (void)state;
    struct config *config =
        load_good("#\n# one\n// two\n/* three \" { \n four */\r\n"
                  "spool{path='/s#x//y' # at the end\n}listener\"127.0.0.1:1\"{}"
                  "\nhostname\n=\n\"a.b\"\n################################\n#");
    assert_string_equal(config->spool.path, "/s#x//y");
    assert_string_equal(config->hostname, "a.b");
    config_free(&config);
}

static void environment_variables_are_put_in(void **state)
{
    (void)state;
    setenv("RINGPOST_TEST_NAME", "env.example.net", 1);
    struct config *config = load_good(MINIMAL "hostname = \"${RINGPOST_TEST_NAME}\"\n"
                                              "user = \"${RINGPOST_TEST_NONE:-nobody}\"");
    assert_string_equal(config->hostname, "env.example.net");
    assert_string_equal(config->user, "nobody");
    config_free(&config);
}

static void a_good_file_loads_after_a_broken_one(void **state)
{
    static const char *const broken[] = {
        "log { path = \"abc",  "log { path = ", "site {", "x y z",
        "log { level = { } }", "/* ",           "= = =",  "site \"a\" \"b\""};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        assert_null(load(broken[i]));
        assert_true(errors > 0);
        struct config *config = load_good(MINIMAL);
        config_free(&config);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void bad_values_are_named_with_their_line(void **state)
{
    (void)state;
    expect_error(MINIMAL "workers = many", "3: workers: \"many\" is not a whole number");
    expect_error(MINIMAL "workers = 65", "3: workers: \"65\" is not between 0 and 64");
    expect_error(MINIMAL "workers = -1", "3: workers: \"-1\" is not a whole number");
    expect_error(MINIMAL "shutdown_timeout = 5x",
                 "3: shutdown_timeout: \"5x\" is not a duration: write it like 500ms, 30s, 5m, "
                 "1h30m or 5d");
    expect_error(MINIMAL "site \"default\" { expiry = 1500ms }",
                 "3: expiry: \"1500ms\" must be in whole seconds");
    expect_error(MINIMAL "\n\nspool { memory = 12Q }",
                 "5: memory: \"12Q\" is not a size: write it like 64K, 50M or 10G");
    expect_error(MINIMAL "spool { memory = 1K }", "3: memory: \"1K\" is less than 16M");
    expect_error(MINIMAL "site \"*\" { }", "3: site \"*\": the one for all is called \"default\"");
    expect_error(MINIMAL "site \"a b\" { }",
                 "3: site \"a b\": not a domain, a mail host or a site");
    expect_error(MINIMAL "log { level = loud }",
                 "3: level: \"loud\" is none of error, warning, info, debug");
    expect_error(MINIMAL "pin_workers = perhaps",
                 "3: pin_workers: \"perhaps\" is neither true nor false");
    expect_error(MINIMAL "hostname = \"a b\"", "3: hostname: \"a b\" is not a host name");
    expect_error(MINIMAL "hostname = \"a..b\"", "3: hostname: \"a..b\" is not a host name");
    expect_error(MINIMAL "resolver = {\n\"127.0.0.1:53\",\n\"dns.example.com\"}",
                 "5: resolver: \"dns.example.com\" is not an address like 127.0.0.1:53 or [::1]");
    expect_error(MINIMAL "source \"a\" { address = ::1 }",
                 "3: address: \"::1\" is not an IPv4 address");
    expect_error(MINIMAL "source \"a\" { address6 = 127.0.0.1 }",
                 "3: address6: \"127.0.0.1\" is not an IPv6 address");
    expect_error(MINIMAL "site \"a\" { messages_per_second = fast }",
                 "3: messages_per_second: \"fast\" is not a number: write it like 20 or 0.5");
    expect_error(MINIMAL "user = \"a\\nb\"", "3: user: there are control characters in it");
    expect_error(MINIMAL "\nsite \"a\" { retry = {} }", "4: retry: a list of 1 to 32 durations");
    expect_error(MINIMAL "listener \"127.0.0.1\" { }",
                 "3: listener \"127.0.0.1\": not an address like 192.0.2.1:25 or "
                 "[2001:db8::1]:25");
    expect_error(MINIMAL "site \"a\" { port = 65536 }",
                 "3: port: \"65536\" is not between 1 and 65535");
    expect_error("listener \"127.0.0.1:1\" { relay_from = {10.0.0.1/8} }\nspool { path = /s }",
                 "1: relay_from: \"10.0.0.1/8\" is not a network like 192.0.2.0/24 (no bits set "
                 "behind the prefix)");
}

static void unknown_names_get_a_suggestion(void **state)
{
    (void)state;
    expect_error(MINIMAL "site \"a\" {\n conections = 3 }",
                 "4: unknown setting \"conections\" in site: did you mean \"connections\"?");
    expect_error(MINIMAL "hostnmae = x.y",
                 "3: unknown setting \"hostnmae\" at the top level: did you mean \"hostname\"?");
    expect_error(MINIMAL "lisener \"1.2.3.4:5\" {}",
                 "3: unknown setting \"lisener\" at the top level: did you mean \"listener\"?");
    expect_error(MINIMAL "max_recipients = 5", "3: unknown setting \"max_recipients\" at the top "
                                               "level: it belongs to listener");
    expect_error(MINIMAL "log { frobnicate = 5 }", "3: unknown setting \"frobnicate\" in log");
}

static void several_errors_come_in_one_go(void **state)
{
    (void)state;
    assert_null(load("workers = a\npin_workers = b\nspool { memory = c }\n"
                     "listener \"nowhere\" { }\nsite \"x\" { source = none }\n"
                     "route \"r\" { to = \"a b\" }\nroute \"q\" { }"));
    assert_string_equal(
        messages,
        "f.conf:1: workers: \"a\" is not a whole number\n"
        "f.conf:2: pin_workers: \"b\" is neither true nor false\n"
        "f.conf:3: memory: \"c\" is not a size: write it like 64K, 50M or 10G\n"
        "f.conf:4: listener \"nowhere\": not an address like 192.0.2.1:25 or [2001:db8::1]:25\n"
        "f.conf:5: there is no source \"none\"\n"
        "f.conf:6: to: \"a b\" is neither a host name nor an address, with or without a port\n"
        "f.conf:7: route \"q\": `to` names 1 to 16 hosts, like \"10.0.0.5:25\"\n");
}

static void what_is_left_open_is_found(void **state)
{
    (void)state;
    expect_error("spool {\n path = /s\n\nlistener \"127.0.0.1:1\" { }\n",
                 "1: this '{' is never closed");
    expect_error(MINIMAL "user = \"abc\nhostname = \"x.y\"",
                 "3: this string has no closing quote on its line");
    expect_error(MINIMAL "user = \"abc", "3: this string has no end");
    expect_error(MINIMAL "/* comment\n", "3: this comment has no end");
    expect_error(MINIMAL "}\n", "3: '}' without a '{' before it");
    expect_error(MINIMAL "user = \"${HOME\"\n", "3: '${' without a '}'");
    expect_error("include(\"x\")", "1: put values with (, ) or | into quotes");
}

static void syntax_errors_have_a_line(void **state)
{
    (void)state;
    assert_null(load(MINIMAL "workers 4\nuser = x"));
    assert_memory_equal(messages, "f.conf:3: ", 10);
    assert_null(load(MINIMAL "\nsite { connections = 1 }"));
    assert_memory_equal(messages, "f.conf:4: ", 10);
    assert_null(load(MINIMAL "hostname = { }"));
    assert_memory_equal(messages, "f.conf:3: ", 10);
}

static void things_said_twice_are_errors(void **state)
{
    (void)state;
    expect_error(MINIMAL "workers = 1\nworkers = 2", "4: workers is set twice (first in line 3)");
    expect_error(MINIMAL "site \"a\" { retry = {1m}\n retry = {2m} }",
                 "4: retry is set twice (first in line 3)");
    expect_error(MINIMAL "site \"a\" { }\nsite \"a\" { }", "4: found duplicate title 'a'");
    expect_error(MINIMAL "site \"a\" { port = 1 }\nsite \"A\" { port = 2 }",
                 "4: site \"a\": there is another one of that name");
    expect_error(MINIMAL "listener \"127.0.0.1:02525\" { max_received = 3 }",
                 "3: listener \"127.0.0.1:02525\": there is another one on it");
    expect_error(MINIMAL "route \"x.y\" { to = a }\nroute \"X.y\" { to = b }",
                 "4: route \"x.y\": there is another one for it; list several hosts in one `to`");
}

static void what_does_not_fit_together_is_an_error(void **state)
{
    (void)state;
    expect_error("listener \"127.0.0.1:1\" { }", " spool.path is missing: spool { path = "
                                                 "\"/var/spool/ringpost\" }");
    expect_error("spool { path = /s }", " there is no listener: listener \"127.0.0.1:2525\" { }");
    expect_error(MINIMAL "group = root", "3: group is set without user");
    expect_error(MINIMAL "resolver = {1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6,"
                         "1.1.1.7, 1.1.1.8, 1.1.1.9, 1.1.1.10, 1.1.1.11, 1.1.1.12, 1.1.1.13,"
                         "1.1.1.14, 1.1.1.15, 1.1.1.16,\n1.1.1.17}",
                 "4: resolver: more than 16");
    expect_error(MINIMAL "resolver = {127.0.0.1:0}",
                 "3: resolver: \"127.0.0.1:0\" is not an address like 127.0.0.1:53 or [::1]");
    expect_error(MINIMAL "route \"x.y\" { to = \"127.0.0.1:0\" }",
                 "3: to: \"127.0.0.1:0\" is neither a host name nor "
                 "an address, with or without a port");
    expect_error(MINIMAL "account { path = /s }",
                 "3: account.path is the spool; it must be a folder of its own");
    expect_error(MINIMAL "account { path = /a\n rotate_size = 2M keep_size = 1M }",
                 "3: keep_size is smaller than one file (rotate_size)");
    expect_error(MINIMAL "spool { disk = 100M }",
                 "3: disk is smaller than four segments of segment_size");
    expect_error(MINIMAL "spool { segment_size = 1500K }",
                 "3: segment_size must be whole megabytes");
}

static void what_is_hardly_meant_is_a_warning(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {MINIMAL "hostname = localhost", "f.conf:3: warning: hostname is \"localhost\", which is "
                                         "not a full name: receivers will mistrust it\n"},
        {"spool { path = /s }\nlistener \"127.0.0.1:1\" {\nrelay_from = {0.0.0.0/0} }",
         "f.conf:3: warning: relay_from 0.0.0.0/0: everybody there may send mail through this "
         "server (an open relay)\n"},
        {"spool { path = /s }\nlistener \"127.0.0.1:1\" {\nrelay_from = {\"::/0\"} }",
         "f.conf:3: warning: relay_from ::/0: everybody there may send mail through this server "
         "(an open relay)\n"},
        {MINIMAL "spool { durability = relaxed }",
         "f.conf:3: warning: durability = relaxed: a crash loses mail that was accepted\n"},
        {MINIMAL "spool { disk = 1G reserve = 2G }",
         "f.conf:3: warning: reserve (left free) is larger than disk (what may be used)\n"},
        {MINIMAL "spool { memory = 20M }",
         "f.conf:3: warning: memory does not hold two messages of max_message_size\n"},
        {MINIMAL "site \"default\" { retry = {1h, 5m} }",
         "f.conf:3: warning: retry: a pause is shorter than the one before it\n"},
        {MINIMAL "site \"default\" { expiry = 1m }",
         "f.conf:3: warning: mail expires before its first retry\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct config *config = load_good(cases[i].text);
        assert_string_equal(messages, cases[i].message);
        config_free(&config);
    }
}

static void strange_octets_are_refused(void **state)
{
    const struct config_report report = {keep_message, NULL};
    (void)state;
    messages[0] = '\0';
    assert_null(config_parse((struct bytes){"a\0b", 3}, "f.conf", "h.x", &report));
    assert_string_equal(messages, "f.conf:1: there are NUL octets in this file\n");
    static char many[20000];
    memset(many, '{', sizeof(many) - 1);
    expect_error(many, "1: too many braces");
    memset(many, 'x', sizeof(many) - 1);
    memcpy(many, "user = ", 7);
    assert_null(load(many));
    assert_string_equal(messages, "f.conf:1: user: the value is too long\n");
}

static void a_missing_file_is_an_error(void **state)
{
    const struct config_report report = {keep_message, NULL};
    (void)state;
    messages[0] = '\0';
    assert_null(config_load("/nonexistent/f.conf", "h.x", &report));
    assert_string_equal(messages, "/nonexistent/f.conf: No such file or directory\n");
}

/* A file of so many octets: comments before the settings. */
static struct config *load_long(size_t size)
{
    char path[] = "/tmp/test_config_long.XXXXXX";
    const int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    for (size_t left = size - strlen(MINIMAL), line; left > 0; left -= line) {
        line = MIN(left, (size_t)64);
        fprintf(file, "%.*s\n", (int)line - 1,
                "################################################################");
    }
    fputs(MINIMAL, file);
    assert_int_equal(ftell(file), size);
    assert_int_equal(fclose(file), 0);
    const struct config_report report = {keep_message, NULL};
    messages[0] = '\0';
    struct config *config = config_load(path, "h.x", &report);
    assert_int_equal(unlink(path), 0);
    return config;
}

static void a_file_is_read_as_far_as_it_may_go(void **state)
{
    const size_t sizes[] = {65535, 65536, 65537, 300000, CONFIG_FILE_MAX};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct config *config = load_long(sizes[i]);
        assert_non_null(config);
        config_free(&config);
    }
    assert_null(load_long(CONFIG_FILE_MAX + 1));
    assert_non_null(strstr(messages, ": larger than 16M: this is no configuration file\n"));
}

/* ---- the documented file --------------------------------------------------------------------- */

/* ---- TLS and AUTH ---------------------------------------------------------------------------- */

#define SECURE(settings) "spool { path = /s }\nlistener \"127.0.0.1:25\" {\n" settings "\n}\n"

static void tls_and_auth_are_read(void **state)
{
    (void)state;
    struct config *config =
        load_good("users = /etc/users\nauth { failures_per_client = 5 cache = 0 }\n" SECURE(
            "tls = starttls certificate = /c.pem key = /k.pem require_tls = yes tls_timeout = 5s\n"
            "client_trust = /ca.pem "
            "auth = {PLAIN, scram-sha-256} max_auth_failures = 7") "listener \"127.0.0.1:465\" { "
                                                                   "tls = implicit certificate = "
                                                                   "{/c.pem, /d.pem} }");
    const struct receive_listener_options *listeners = config->receive.listeners;
    assert_string_equal(config->users, "/etc/users");
    assert_int_equal(config->receive.auth.failures_per_client_max, 5);
    assert_true(config->receive.auth.cache_time == 0);
    assert_true(listeners[0].smtp.extensions & SMTP_EXT_STARTTLS);
    assert_false(listeners[0].tls_implicit);
    assert_true(listeners[0].smtp.require_tls);
    assert_int_equal(listeners[0].smtp.tls_timeout_s, 5);
    assert_int_equal(listeners[0].smtp.auth, SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_SCRAM_SHA_256);
    assert_int_equal(listeners[0].smtp.max_auth_failures, 7);
    assert_false(listeners[1].smtp.extensions & SMTP_EXT_STARTTLS);
    assert_true(listeners[1].tls_implicit);
    assert_int_equal(listeners[1].smtp.auth, 0);
    config_free(&config);
}

static void tls_and_auth_that_cannot_work(void **state)
{
    (void)state;
    expect_error(SECURE("tls = yes"), "3: tls: \"yes\" is none of none, starttls, implicit");
    expect_error(SECURE("tls = starttls"),
                 "3: tls: needs a certificate: certificate = \"/etc/ssl/mail.pem\"");
    expect_error(SECURE("\n\ntls = implicit\ncertificate = {}"),
                 "5: tls: needs a certificate: certificate = \"/etc/ssl/mail.pem\"");
    expect_error(SECURE("tls = starttls certificate = {a, b}\nkey = a"),
                 "4: key: as many as there are certificates, or none at all");
    expect_error(SECURE("require_tls = true"),
                 "3: require_tls: needs tls = starttls or tls = implicit");
    expect_error(SECURE("tls = starttls certificate = a\nauth = {plain, cram-md5}"),
                 "4: auth: \"cram-md5\" is none of plain, login, scram-sha-256");
    expect_error(SECURE("tls = starttls certificate = a\nauth = plain"),
                 "4: auth: needs users: users = \"/etc/ringpost/users\" at the top level");
    expect_error("users = /u\n" SECURE("auth = plain"),
                 "4: auth: needs tls = starttls or tls = implicit, or auth_clear = true");
    struct config *config = load_good("users = /u\n" SECURE("auth = plain auth_clear = true"));
    assert_true(config->receive.listeners[0].smtp.auth_clear);
    config_free(&config);
    config = load_good(SECURE("\ncertificate = a"));
    assert_int_equal(warnings, 1);
    assert_string_equal(messages,
                        "f.conf:4: warning: certificate: of no use without tls = starttls "
                        "or tls = implicit\n");
    config_free(&config);
}

/* ---- files: what is wrong with them is told all at once, with the line of the setting ---------
 */

static char folder[] = "/tmp/test_config.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static bool read_files(const char *text, wall_ms now)
{
    const struct config_report report = {keep_message, NULL};
    struct config *config = load_good(text);
    messages[0] = '\0';
    errors = warnings = 0;
    const bool good = config_read_files(config, NULL, now, &report);
    config_free(&config);
    return good;
}

static void files_that_are_bad(void **state)
{
    (void)state;
    char text[2048];
    assert_non_null(mkdtemp(folder));
    write_file("users", "joe:nonsense:*\n");
    write_file("bad.pem", "no certificate");
    snprintf(
        text, sizeof(text),
        "users = %s/users\n" SECURE(
            "tls = starttls\ncertificate = %s/bad.pem\nauth = plain") "listener 127.0.0.1:465 { "
                                                                      "tls = implicit\ncertificate "
                                                                      "= %s/none.pem }",
        folder, folder, folder);
    assert_false(read_files(text, 1));
    assert_int_equal(errors, 4);
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "%s/users:1: ", folder);
    assert_non_null(strstr(messages, wanted));
    assert_non_null(strstr(messages, "f.conf:1: users: "));
    assert_non_null(strstr(messages, "f.conf:5: certificate: "));
    snprintf(wanted, sizeof(wanted), "f.conf:9: certificate: %s/none.pem: ", folder);
    assert_non_null(strstr(messages, wanted));
    write_file("users", "");
    snprintf(text, sizeof(text), "users = %s/users\n" SECURE("auth_clear = on\nauth = plain"),
             folder);
    assert_true(read_files(text, 1));
    assert_non_null(strstr(messages, "f.conf:5: warning: auth: no user has a secret for PLAIN"));
    remove_file("users");
    remove_file("bad.pem");
    assert_int_equal(rmdir(folder), 0);
}

static char *read_documented(void)
{
    static char text[64 * 1024];
    FILE *file = fopen(DOCUMENTED, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void the_documented_file_is_valid(void **state)
{
    (void)state;
    struct config *config = load_good(read_documented());
    assert_int_equal(warnings, 0);
    config_free(&config);
}

/* "#name = value" shows a default: with all of them in force nothing changes. */
static void the_documented_defaults_are_the_defaults(void **state)
{
    (void)state;
    char *text = read_documented();
    struct config *plain = load_good(text);
    bool in_sample = false; /* a block that is no default */
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n ");
        if (strncmp(line, "#site", 5) == 0 || strncmp(line, "#listener", 9) == 0) in_sample = true;
        const bool setting = !in_sample && line[0] == '#' && line[1] != ' ' && line[1] != '\n' &&
                             strncmp(line, "#route", 6) != 0;
        if (strncmp(line, "#}", 2) == 0) in_sample = false;
        /* Samples of addresses and names are no defaults. */
        const char *end = strchr(line, '\n');
        char *sample = strstr(line, "example.com\"");
        if (sample == NULL || (end != NULL && sample > end)) sample = strstr(line, "192.0.2.1");
        if (sample == NULL || (end != NULL && sample > end)) sample = strstr(line, "2001:db8");
        if (sample == NULL || (end != NULL && sample > end)) sample = strstr(line, "127.0.0.1:53");
        if (setting && (sample == NULL || (end != NULL && sample > end))) line[0] = ' ';
    }
    struct config *full = load_good(text);
    assert_memory_equal(&plain->workers, &full->workers, sizeof(plain->workers));
    assert_memory_equal(&plain->log, &full->log, sizeof(plain->log));
    assert_memory_equal(&plain->account, &full->account, sizeof(plain->account));
    assert_memory_equal(&plain->spool, &full->spool, sizeof(plain->spool));
    assert_string_equal(plain->control, full->control);
    assert_true(plain->shutdown_timeout == full->shutdown_timeout);
    assert_int_equal(plain->dns.tries, full->dns.tries);
    assert_true(plain->dns.timeout == full->dns.timeout);
    assert_true(plain->dns.ttl_max == full->dns.ttl_max);
    assert_true(plain->dns.negative_ttl == full->dns.negative_ttl);
    assert_true(plain->dns.failure_ttl == full->dns.failure_ttl);
    assert_int_equal(plain->dns.cache_entries, full->dns.cache_entries);
    assert_int_equal(plain->dns.queries_max, full->dns.queries_max);
    assert_int_equal(plain->queue.connections_max, full->queue.connections_max);
    assert_true(plain->queue.job_bytes_max == full->queue.job_bytes_max);
    assert_true(plain->queue.error_bytes_max == full->queue.error_bytes_max);
    assert_memory_equal(&plain->receive.auth, &full->receive.auth, sizeof(plain->receive.auth));
    assert_string_equal(plain->users, full->users);
    assert_false(full->receive.listeners[0].tls_implicit);
    assert_memory_equal(&plain->receive.listeners[0].smtp.max_message_size,
                        &full->receive.listeners[0].smtp.max_message_size,
                        sizeof(struct smtp_server_options) -
                            offsetof(struct smtp_server_options, max_message_size));
    assert_int_equal(plain->receive.listeners[0].relay_from_count,
                     full->receive.listeners[0].relay_from_count);

    struct queue_site_options *options = &plain->queue.defaults;
    /* Zero means the client's defaults, those of RFC 5321. */
    assert_int_equal(options->timeouts.mail, 0);
    options->timeouts = (struct smtp_client_timeouts){.greeting = 300,
                                                      .ehlo = 300,
                                                      .mail = 300,
                                                      .rcpt = 300,
                                                      .data = 120,
                                                      .block = 180,
                                                      .content = 600,
                                                      .tls = 30};
    assert_memory_equal(options, &full->queue.defaults, sizeof(*options));
    const struct queue_tls *tls = &plain->queue.default_tls, *full_tls = &full->queue.default_tls;
    assert_int_equal(tls->policy, full_tls->policy);
    assert_int_equal(tls->fail_memory_s, full_tls->fail_memory_s);
    assert_int_equal(tls->name_count, full_tls->name_count);
    config_free(&plain);
    config_free(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minimal_file_gets_all_defaults),
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(addresses_of_the_machine_are_ours_where_all_are_listened_on),
        cmocka_unit_test(sites_inherit_from_default_wherever_it_stands),
        cmocka_unit_test(hosts_are_not_paused_for_longer_than_their_mail),
        cmocka_unit_test(comments_and_odd_layout_are_fine),
        cmocka_unit_test(environment_variables_are_put_in),
        cmocka_unit_test(a_good_file_loads_after_a_broken_one),
        cmocka_unit_test(bad_values_are_named_with_their_line),
        cmocka_unit_test(unknown_names_get_a_suggestion),
        cmocka_unit_test(several_errors_come_in_one_go),
        cmocka_unit_test(what_is_left_open_is_found),
        cmocka_unit_test(syntax_errors_have_a_line),
        cmocka_unit_test(things_said_twice_are_errors),
        cmocka_unit_test(what_does_not_fit_together_is_an_error),
        cmocka_unit_test(what_is_hardly_meant_is_a_warning),
        cmocka_unit_test(strange_octets_are_refused),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(a_file_is_read_as_far_as_it_may_go),
        cmocka_unit_test(tls_and_auth_are_read),
        cmocka_unit_test(tls_and_auth_that_cannot_work),
        cmocka_unit_test(files_that_are_bad),
        cmocka_unit_test(the_documented_file_is_valid),
        cmocka_unit_test(the_documented_defaults_are_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
