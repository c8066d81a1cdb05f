/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cares - the whole module on the real ring, against a real name server (nsd) on loopback
 *
 * nsd is authoritative: it leaves aliases to other zones open and refuses what it does not serve,
 * which a cache in front of it would hide. Without nsd the tests are skipped.
 */
#include "ringpost/dns.h"
#include "ringpost/event.h"
#include "ringpost/metrics.h"
#include "ringpost/ring.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- nsd --------------------------------------------------------------------------------------
 */

static const char zone_text[] = "$ORIGIN test.\n"
                                "$TTL 300\n"
                                "@ IN SOA ns hostmaster 1 3600 600 86400 60\n"
                                "@ IN NS ns\n"
                                "ns IN A 127.0.0.1\n"
                                "two IN MX 20 mx2\n"
                                "two IN MX 10 mx1\n"
                                "equal IN MX 10 mx1\n"
                                "equal IN MX 10 mx2\n"
                                "null IN MX 0 .\n"
                                "lone IN A 192.0.2.7\n"
                                "six IN MX 10 mx6\n"
                                "mx1 IN A 192.0.2.1\n"
                                "mx1 IN AAAA 2001:db8::1\n"
                                "mx2 60 IN A 192.0.2.2\n"
                                "mx6 IN AAAA 2001:db8::6\n"
                                "alias IN CNAME two\n"
                                "far IN CNAME there.other.\n"
                                "aliasmx IN MX 10 www\n"
                                "www IN CNAME mx1\n"
                                "dead IN MX 10 nothing\n"
                                "dead IN A 192.0.2.9\n"
                                "servfail IN MX 10 mx.broken.\n"
                                "odd IN MX 10 bad\\032name\n"
                                "*.wild IN MX 10 mx1\n";
static const char other_text[] = "$ORIGIN other.\n"
                                 "$TTL 300\n"
                                 "@ IN SOA ns.test. hostmaster 1 3600 600 86400 60\n"
                                 "@ IN NS ns.test.\n"
                                 "there IN MX 5 mx2.test.\n";

static char folder[] = "/tmp/ringpost-dns-XXXXXX";
static pid_t nsd_pid;
static struct address server;

static void write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* More than a datagram holds: 20 MX of long names. */
static void write_zone(void)
{
    char text[20000];
    struct text zone;
    text_init(&zone, text, sizeof(text));
    text_put(&zone, bytes_of(zone_text));
    for (int i = 0; i < 30; i++)
        text_printf(&zone, "big IN MX %d mail-exchange-with-a-rather-long-name-%02d.host-%02d\n", i,
                    i, i);
    for (int i = 0; i < 30; i++)
        text_printf(&zone, "mail-exchange-with-a-rather-long-name-%02d.host-%02d IN A 192.0.2.%d\n",
                    i, i, i + 1);
    assert_false(zone.cut);
    write_file("test.zone", text);
}

static int udp_socket(struct address *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    assert_true(address_parse_ip(BYTES("127.0.0.1"), address));
    address->port = ntohs(name.sin_port);
    return fd;
}

static void start_nsd(void)
{
    char text[2000], path[200];
    assert_non_null(mkdtemp(folder));
    close(udp_socket(&server)); /* a port that was free a moment ago */
    write_zone();
    write_file("other.zone", other_text);
    snprintf(text, sizeof(text),
             "server:\n  ip-address: 127.0.0.1@%u\n  port: %u\n  username: \"\"\n  chroot: \"\"\n"
             "  zonesdir: \"%s\"\n  database: \"\"\n  pidfile: \"\"\n  logfile: \"%s/log\"\n"
             "  xfrdfile: \"%s/xfrd\"\n  zonelistfile: \"%s/list\"\n  xfrdir: \"%s\"\n"
             "  server-count: 1\n  rrl-ratelimit: 0\n"
             "remote-control:\n  control-enable: no\n"
             "zone:\n  name: test\n  zonefile: test.zone\n"
             "zone:\n  name: other\n  zonefile: other.zone\n"
             "zone:\n  name: broken\n  zonefile: missing.zone\n",
             server.port, server.port, folder, folder, folder, folder, folder);
    write_file("nsd.conf", text);
    snprintf(path, sizeof(path), "%s/nsd.conf", folder);
    nsd_pid = fork();
    assert_true(nsd_pid >= 0);
    if (nsd_pid == 0) {
        execlp("nsd", "nsd", "-d", "-c", path, (char *)NULL);
        execl("/usr/sbin/nsd", "nsd", "-d", "-c", path, (char *)NULL);
        _exit(77);
    }
}

static void stop_nsd(void)
{
    char command[200];
    int status;
    kill(nsd_pid, SIGTERM);
    waitpid(nsd_pid, &status, 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0) perror(command);
}

/* ---- a ring with nothing but dns on it ---------------------------------------------------------
 */

static struct ring *ring;
static struct metrics metrics;
static struct event_sink events;
static struct dns *dns;
static struct dns_options options;
static duration timeout = DURATION_S(5);

static void turn(duration most)
{
    const instant until = ring_now(ring) + most;
    ring_turn(ring, MIN(until, ring_timers_next(ring)), 64);
    ring_timers_run(ring, 64);
}

static void open_dns(const struct address *servers, size_t count)
{
    char why[100];
    options = dns_options_default;
    options.servers = servers;
    options.server_count = count;
    options.timeout = timeout;
    options.failure_ttl = DURATION_S(1);
    event_sink_init(&events, &(struct event_options){.level = EVENT_DEBUG, .buffers_max = 4});
    memset(&metrics, 0, sizeof(metrics));
    dns = dns_create(ring, &options, &metrics, &events, 1, why, sizeof(why));
    assert_non_null(dns);
}

static uint64_t idle_operations;

static void close_dns(void)
{
    dns_destroy(&dns);
    while (ring_in_flight(ring) > idle_operations)
        turn(DURATION_MS(10));
    event_sink_deinit(&events);
}

struct asker {
    struct dns_request request;
    struct dns_route *route;
};

static void on_route(struct dns_request *request, struct dns_route *route)
{
    CONTAINER_OF(request, struct asker, request)->route = route;
}

static void ask(struct asker *asker, const char *domain)
{
    *asker = (struct asker){.request.on_route = on_route};
    asker->route = dns_route_get(dns, DNS_BY_MX, bytes_of(domain), &asker->request);
}

static struct dns_route *resolve(const char *domain)
{
    struct asker asker;
    ask(&asker, domain);
    while (asker.route == NULL)
        turn(DURATION_S(1));
    return asker.route;
}

static void assert_found(const char *domain, const char *site)
{
    struct dns_route *route = resolve(domain);
    char name[DNS_SITE_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", BYTES_FMT(dns_route_site(route)));
    assert_int_equal(route->status, DNS_OK);
    assert_string_equal(name, site);
    dns_route_put(&route);
}

static void assert_status(const char *domain, enum dns_status status, enum dns_error error)
{
    struct dns_route *route = resolve(domain);
    assert_int_equal(route->status, status);
    assert_int_equal(route->error, error);
    dns_route_put(&route);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void answers_of_a_real_server(void **state)
{
    (void)state;
    open_dns(&server, 1);
    assert_found("two.test", "(mx1|mx2).test");
    assert_found("equal.test", "(mx1|mx2).test");
    assert_found("lone.test", "lone.test");
    assert_found("six.test", "mx6.test");
    assert_found("alias.test", "(mx1|mx2).test");
    assert_found("far.test", "mx2.test"); /* the alias ends in another zone */
    assert_found("aliasmx.test", "www.test");
    assert_found("any.name.wild.test", "mx1.test");
    assert_status("null.test", DNS_NULL_MX, DNS_ERROR_NONE);
    assert_status("no.test", DNS_NXDOMAIN, DNS_ERROR_NONE);
    assert_status("dead.test", DNS_NO_ADDRESS, DNS_ERROR_NONE);
    assert_status("odd.test", DNS_NO_ADDRESS, DNS_ERROR_BAD_NAME);
    assert_status("servfail.test", DNS_TEMPFAIL, DNS_ERROR_SERVFAIL);
    assert_status("broken", DNS_TEMPFAIL, DNS_ERROR_SERVFAIL);
    assert_status("elsewhere", DNS_TEMPFAIL, DNS_ERROR_REFUSED);
    close_dns();
}

static void ttls_and_addresses(void **state)
{
    (void)state;
    open_dns(&server, 1);
    struct dns_route *route = resolve("two.test");
    assert_int_equal(route->host_count, 2);
    assert_int_equal(route->hosts[0].preference, 10);
    assert_int_equal(route->hosts[0].host->address_count, 2);
    assert_int_equal(route->hosts[1].host->address_count, 1);
    assert_true(route->expires <= ring_now(ring) + DURATION_S(60));
    assert_true(route->expires > ring_now(ring) + DURATION_S(50));
    dns_route_put(&route);
    close_dns();
}

static void large_answers_come_by_tcp(void **state)
{
    (void)state;
    open_dns(&server, 1);
    struct dns_route *route = resolve("big.test");
    assert_int_equal(route->status, DNS_OK);
    assert_int_equal(route->host_count, DNS_MX_MAX);
    for (uint8_t i = 0; i < DNS_MX_MAX; i++)
        assert_int_equal(route->hosts[i].preference, i);
    dns_route_put(&route);
    close_dns();
}

/* More than one channel's questions, all at once; then again from the cache. */
static void many_at_once(void **state)
{
    (void)state;
    enum { ASKERS = 2000 };
    static struct asker askers[ASKERS];
    char name[40];
    open_dns(&server, 1);
    for (int round = 0; round < 2; round++) {
        size_t waiting = 0;
        for (int i = 0; i < ASKERS; i++) {
            snprintf(name, sizeof(name), "d%d.wild.test", i);
            ask(&askers[i], name);
            waiting += askers[i].route == NULL;
        }
        assert_int_equal(waiting, round == 0 ? ASKERS : 0);
        for (int i = 0; i < ASKERS; i++) {
            while (askers[i].route == NULL)
                turn(DURATION_S(1));
            assert_int_equal(askers[i].route->status, DNS_OK);
            dns_route_put(&askers[i].route);
        }
    }
    assert_int_equal(metrics.counters[METRICS_DNS_QUERIES], ASKERS + 2);
    assert_int_equal(metrics.counters[METRICS_DNS_CACHE_HITS], ASKERS);
    close_dns();
}

static void a_silent_server_is_a_timeout(void **state)
{
    (void)state;
    struct address silent;
    const int fd = udp_socket(&silent);
    timeout = DURATION_MS(100);
    open_dns(&silent, 1);
    timeout = DURATION_S(5);
    const instant start = ring_clock(ring);
    assert_status("two.test", DNS_TEMPFAIL, DNS_ERROR_TIMEOUT);
    assert_true(ring_clock(ring) - start >= DURATION_MS(300));
    close_dns();
    close(fd);
}

static void a_dead_server_is_passed_over(void **state)
{
    (void)state;
    struct address servers[2];
    close(udp_socket(&servers[0]));
    servers[1] = server;
    timeout = DURATION_MS(500); /* a second send on a socket eats the error that the first caused */
    open_dns(servers, 2);
    assert_found("two.test", "(mx1|mx2).test");
    close_dns();
    open_dns(servers, 1);
    timeout = DURATION_S(5);
    assert_status("two.test", DNS_TEMPFAIL, DNS_ERROR_UNREACHABLE);
    close_dns();
}

/* The kernel has no way there at all: c-ares reports that from inside the question. */
static void a_server_without_a_way_to_it(void **state)
{
    (void)state;
    struct address nowhere;
    assert_true(address_parse(BYTES("255.255.255.255:53"), 0, &nowhere));
    open_dns(&nowhere, 1);
    assert_status("two.test", DNS_TEMPFAIL, DNS_ERROR_UNREACHABLE);
    assert_status("lone.test", DNS_TEMPFAIL, DNS_ERROR_UNREACHABLE);
    close_dns();
}

/* Something that sends rubbish instead of answers. */
static void rubbish_is_not_an_answer(void **state)
{
    (void)state;
    struct address liar;
    const int fd = udp_socket(&liar);
    open_dns(&liar, 1);
    struct asker asker;
    ask(&asker, "two.test");
    while (asker.route == NULL) {
        char query[600];
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        turn(DURATION_MS(20));
        const ssize_t got =
            recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (got < 12) continue;
        query[2] |= (char)0x80; /* a response, with more records than octets */
        query[3] = 0;
        query[7] = 9;
        sendto(fd, query, (size_t)got, 0, (struct sockaddr *)&from, len);
    }
    assert_int_equal(asker.route->status, DNS_TEMPFAIL);
    dns_route_put(&asker.route);
    close_dns();
    close(fd);
}

static void destroyed_and_reconfigured_in_flight(void **state)
{
    (void)state;
    static struct asker askers[300];
    struct address silent;
    char name[40], why[100];
    const int fd = udp_socket(&silent);
    open_dns(&silent, 1);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "d%d.wild.test", i);
        ask(&askers[i], name);
    }
    turn(DURATION_MS(1));
    static struct dns_options other;
    other = options;
    other.servers = &server;
    assert_true(dns_configure(dns, &other, why, sizeof(why)));
    for (int i = 0; i < 300; i++) {
        while (askers[i].route == NULL)
            turn(DURATION_S(1));
        assert_int_equal(askers[i].route->status, DNS_OK);
        dns_route_put(&askers[i].route);
    }
    other.servers = &silent;
    assert_true(dns_configure(dns, &other, why, sizeof(why)));
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "e%d.wild.test", i);
        ask(&askers[i], name);
    }
    turn(DURATION_MS(1));
    close_dns();
    close(fd);
}

static int start_all(void **state)
{
    char why[400];
    (void)state;
    ring = ring_create(&(struct ring_options){.entries = 256}, why, sizeof(why));
    if (ring == NULL) fprintf(stderr, "%s\n", why);
    if (ring == NULL) return -1;
    ring_enter_thread(ring);
    ring_turn(ring, 0, 1);
    idle_operations = ring_in_flight(ring);
    open_dns(&server, 1);
    for (int i = 0; i < 100; i++) { /* nsd takes a moment */
        struct dns_route *route = resolve("lone.test");
        const bool ready = route->status == DNS_OK;
        dns_route_put(&route);
        if (ready) break;
        dns_flush(dns);
        turn(DURATION_MS(50));
    }
    close_dns();
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    ring_destroy(&ring);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_a_real_server),
        cmocka_unit_test(ttls_and_addresses),
        cmocka_unit_test(large_answers_come_by_tcp),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(a_silent_server_is_a_timeout),
        cmocka_unit_test(a_dead_server_is_passed_over),
        cmocka_unit_test(a_server_without_a_way_to_it),
        cmocka_unit_test(rubbish_is_not_an_answer),
        cmocka_unit_test(destroyed_and_reconfigured_in_flight),
    };
    int status;
    start_nsd();
    usleep(100000);
    if (waitpid(nsd_pid, &status, WNOHANG) == nsd_pid) {
        fprintf(stderr, "nsd is not there: skipped\n");
        return 77;
    }
    const int failures = cmocka_run_group_tests(tests, start_all, stop_all);
    stop_nsd();
    return failures;
}
