/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limits - failures counted over all workers, and the cache of successes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include "ringpost/ring.h"
#include <pthread.h>
#include <stdio.h>

static const struct auth_options options = {
    .failures_per_client_max = 10,
    .failures_per_user_max = 20,
    .failure_window = DURATION_S(600), /* a failure of a client is forgotten after 60 s */
};
static struct ring *ring;
static struct auth_shared *shared;

static struct address client(const char *text)
{
    struct address address;
    if (!address_parse_ip(bytes_of(text), &address)) fail_msg("%s", text);
    return address;
}
static uint32_t fail_once(const char *user, const char *from, uint64_t second)
{
    const struct address address = client(from);
    uint32_t by_user;
    return auth_count_failure(shared, &options, bytes_of(user), &address, DURATION_S(second),
                              &by_user);
}
static bool client_is_limited(const char *from, uint64_t second)
{
    const struct address address = client(from);
    return auth_client_is_limited(shared, &options, &address, DURATION_S(second));
}
static bool user_is_limited(const char *user, const char *from, uint64_t second)
{
    const struct address address = client(from);
    return auth_user_is_limited(shared, &options, bytes_of(user), &address, DURATION_S(second));
}

static void failures_add_up_and_leak(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 10; i++) {
        assert_false(client_is_limited("192.0.2.1", 1000));
        assert_int_equal(fail_once("", "192.0.2.1", 1000), i);
    }
    assert_true(client_is_limited("192.0.2.1", 1000));
    assert_true(client_is_limited("192.0.2.1", 1059));
    assert_false(client_is_limited("192.0.2.1", 1060));
    assert_int_equal(fail_once("", "192.0.2.1", 1060), 10);
    assert_true(
        client_is_limited("192.0.2.1", 1119)); /* the leak goes on, it does not start anew */
    assert_false(client_is_limited("192.0.2.1", 1120));
    assert_int_equal(fail_once("", "192.0.2.1", 1120 + 600), 1);
    assert_false(client_is_limited("192.0.2.2", 1000));
}

static void clients_of_a_network_are_one(void **state)
{
    (void)state;
    fail_once("", "2001:db8::1", 1000);
    assert_int_equal(fail_once("", "2001:db8::ffff:1", 1000), 2);
    assert_int_equal(fail_once("", "2001:db8:0:1::1", 1000), 1);
    assert_int_equal(fail_once("", "32.1.13.184", 1000), 1); /* the same octets of IPv4 */
}

/* Strangers cannot lock out a user where it is known. */
static void users_are_limited_for_strangers(void **state)
{
    const struct address home = client("192.0.2.80");
    (void)state;
    auth_note_success(shared, BYTES("anna"), &home, DURATION_S(1000));
    for (int i = 0; i < 20; i++) {
        char from[32];
        snprintf(from, sizeof(from), "198.51.100.%d", i);
        assert_false(user_is_limited("anna", "203.0.113.1", 1000));
        fail_once("anna", from, 1000);
    }
    assert_true(user_is_limited("anna", "203.0.113.1", 1000));
    assert_false(user_is_limited("anna", "192.0.2.80", 1000));
    assert_false(user_is_limited("bert", "203.0.113.1", 1000));
    assert_false(user_is_limited("anna", "203.0.113.1", 1030));
    for (int i = 0; i < 5000; i++) /* far more than a day leaks */
        fail_once("anna", "203.0.113.9", 1000 + 24 * 3600);
    assert_false(user_is_limited("anna", "192.0.2.80", 1000 + 24 * 3600 - 1));
    assert_true(user_is_limited("anna", "192.0.2.80", 1000 + 24 * 3600));
}

static void another_clock_may_be_ahead(void **state)
{
    (void)state;
    assert_int_equal(fail_once("", "192.0.2.7", 5000), 1);
    assert_int_equal(fail_once("", "192.0.2.7", 4999), 2);
    assert_int_equal(fail_once("", "192.0.2.7", 5059), 3);
    assert_int_equal(fail_once("", "192.0.2.7", 5060), 3);
}

/* More clients than there is room for: nobody is taken for another who failed often. */
static void a_flood_of_clients(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        struct address address = {.family = 4, .prefix = 32};
        uint32_t by_user;
        memcpy(address.ip, &i, sizeof(i));
        assert_in_range(
            auth_count_failure(shared, &options, BYTES(""), &address, DURATION_S(9000), &by_user),
            1, 2);
    }
    for (uint32_t i = 1; i <= 10; i++)
        fail_once("", "192.0.2.99", 9000);
    assert_true(client_is_limited("192.0.2.99", 9000));
}

/* All workers count together: none of their failures is lost, each sees one count of its own. */
enum { THREADS = 4, FAILURES = 900, GUESSERS = 3 };
struct counter {
    pthread_t thread;
    bool seen[THREADS * FAILURES + 1]; /* of the first guesser */
};

static void *count_failures(void *argument)
{
    struct counter *counter = argument;
    for (uint32_t i = 0; i < FAILURES * GUESSERS; i++) {
        char from[32];
        snprintf(from, sizeof(from), "198.51.100.%u", i % GUESSERS);
        const uint32_t count = fail_once("anna", from, 1000);
        if (i % GUESSERS == 0) counter->seen[count] = true;
    }
    return NULL;
}

static void workers_count_together(void **state)
{
    static struct counter counters[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&counters[i].thread, NULL, count_failures, &counters[i]),
                         0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(counters[i].thread, NULL);
    for (uint32_t count = 1; count <= THREADS * FAILURES; count++) {
        unsigned times = 0;
        for (int i = 0; i < THREADS; i++)
            times += counters[i].seen[count];
        assert_int_equal(times, 1);
    }
}

static void the_cache_remembers_for_a_while(void **state)
{
    struct auth_cache cache = {0};
    const uint8_t key[AUTH_KEY_LEN] = {1, 2, 3}, other[AUTH_KEY_LEN] = {1, 2, 3, 4};
    (void)state;
    assert_false(auth_cache_has(&cache, key, 100));
    auth_cache_put(&cache, key, 100, 100); /* kept for no time at all */
    assert_null(cache.entries);
    auth_cache_put(&cache, key, 100, 200);
    assert_true(auth_cache_has(&cache, key, 199));
    assert_false(auth_cache_has(&cache, key, 200));
    assert_false(auth_cache_has(&cache, other, 199));
    auth_cache_put(&cache, key, 150, 250);
    assert_true(auth_cache_has(&cache, key, 249));
    auth_cache_clear(&cache);
    assert_false(auth_cache_has(&cache, key, 100));
}

static void the_cache_is_bounded(void **state)
{
    struct auth_cache cache = {0};
    (void)state;
    for (uint8_t i = 0; i < 8; i++) { /* all of one set, which holds four */
        const uint8_t key[AUTH_KEY_LEN] = {7, 0, 0, 0, i};
        auth_cache_put(&cache, key, 1, 100 + i);
    }
    for (uint8_t i = 0; i < 8; i++) {
        const uint8_t key[AUTH_KEY_LEN] = {7, 0, 0, 0, i};
        assert_int_equal(auth_cache_has(&cache, key, 50), i >= 4);
    }
    auth_cache_clear(&cache);
}

static int make(void **state)
{
    char why[256];
    const struct ring_options ring_options = {.entries = 64};
    (void)state;
    ring = ring_create(&ring_options, why, sizeof(why));
    if (ring == NULL) return 1;
    shared = auth_shared_create(ring);
    return 0;
}
static int give_back(void **state)
{
    (void)state;
    auth_shared_destroy(&shared);
    ring_destroy(&ring);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failures_add_up_and_leak, make, give_back),
        cmocka_unit_test_setup_teardown(clients_of_a_network_are_one, make, give_back),
        cmocka_unit_test_setup_teardown(users_are_limited_for_strangers, make, give_back),
        cmocka_unit_test_setup_teardown(another_clock_may_be_ahead, make, give_back),
        cmocka_unit_test_setup_teardown(a_flood_of_clients, make, give_back),
        cmocka_unit_test_setup_teardown(workers_count_together, make, give_back),
        cmocka_unit_test(the_cache_remembers_for_a_while),
        cmocka_unit_test(the_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
