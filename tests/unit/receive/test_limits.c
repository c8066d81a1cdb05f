/* SPDX-License-Identifier: Apache-2.0
 *
 * test_limits - connection limits are exact, also when many cores count at once
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include <pthread.h>

static struct receive_limits *limits;
static struct address listener;

static struct address client(uint32_t number)
{
    struct address address = {.family = 4, .prefix = 32, .ip = {10}};
    address.ip[1] = (uint8_t)(number >> 16);
    address.ip[2] = (uint8_t)(number >> 8);
    address.ip[3] = (uint8_t)number;
    return address;
}

static int set_up(void **state)
{
    (void)state;
    limits = receive_limits_create();
    return address_parse(BYTES("127.0.0.1:25"), 0, &listener) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    receive_limits_destroy(&limits);
    return 0;
}

static enum limit_verdict enter(uint32_t who, uint32_t total, uint32_t each, uint32_t *slot)
{
    const struct receive_listener_options options = {.connections_max = total,
                                                     .connections_per_client_max = each};
    const struct address address = client(who);
    return limits_enter(limits, &listener, &address, 10, &options, slot);
}

static void both_limits_hold_and_free_up(void **state)
{
    uint32_t slots[100];
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(1, 8, 5, &slots[i]), LIMIT_OK);
    assert_int_equal(enter(1, 8, 5, &slots[5]), LIMIT_CLIENT);
    for (int i = 5; i < 8; i++)
        assert_int_equal(enter(2, 8, 5, &slots[i]), LIMIT_OK);
    assert_int_equal(enter(3, 8, 5, &slots[8]), LIMIT_TOTAL);
    limits_leave(limits, slots[0]);
    assert_int_equal(enter(1, 8, 5, &slots[0]), LIMIT_OK);
    assert_int_equal(enter(1, 100, 5, &slots[8]), LIMIT_CLIENT);
    for (int i = 0; i < 8; i++)
        limits_leave(limits, slots[i]);
    assert_int_equal(enter(1, 1, 1, &slots[0]), LIMIT_OK); /* a refusal counts nowhere */
}

static void open_files_bound_all_listeners(void **state)
{
    uint32_t slots[4];
    (void)state;
    receive_limits_set(limits, 3, 11);
    assert_int_equal(enter(1, 8, 8, &slots[0]), LIMIT_OK);
    assert_int_equal(enter(2, 8, 8, &slots[1]), LIMIT_OK);
    listener.port += 1;
    assert_int_equal(enter(1, 1, 8, &slots[2]), LIMIT_OK);
    assert_int_equal(enter(1, 8, 8, &slots[3]), LIMIT_FILES);
    limits_leave(limits, slots[0]);
    assert_int_equal(enter(1, 1, 8, &slots[3]), LIMIT_TOTAL);
    listener.port -= 1;
    assert_int_equal(enter(1, 8, 8, &slots[0]), LIMIT_OK); /* a refusal counts nowhere */
    receive_limits_set(limits, 100, 10);
    assert_int_equal(enter(1, 8, 8, &slots[3]), LIMIT_FILES);
}

static void many_clients_are_kept_apart(void **state)
{
    static uint32_t slots[20000];
    (void)state;
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(enter(i, 30000, 1, &slots[i]), LIMIT_OK);
    for (uint32_t i = 0; i < 20000; i++)
        limits_leave(limits, slots[i]);
    for (uint32_t i = 100000; i < 120000; i++) /* all words are free for others again */
        assert_int_equal(enter(i, 30000, 1, &slots[i - 100000]), LIMIT_OK);
}

enum { THREADS = 4, ROUNDS = 20000, EACH_MAX = 3 };
static _Atomic uint32_t inside[4], most[4];

static void *come_and_go(void *argument)
{
    struct random random;
    random_init(&random, (uint64_t)(uintptr_t)argument);
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t who = (uint32_t)random_below(&random, 4);
        uint32_t slot;
        if (enter(who, 1000, EACH_MAX, &slot) != LIMIT_OK) continue;
        const uint32_t now = atomic_fetch_add(&inside[who], 1) + 1;
        if (now > atomic_load(&most[who])) atomic_store(&most[who], now);
        atomic_fetch_sub(&inside[who], 1);
        limits_leave(limits, slot);
    }
    return NULL;
}

static void cores_count_together(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t who = 0; who < 4; who++) {
        uint32_t slot;
        assert_true(atomic_load(&most[who]) <= EACH_MAX);
        for (int i = 0; i < EACH_MAX; i++) /* nothing was left behind */
            assert_int_equal(enter(who, 1000, EACH_MAX, &slot), LIMIT_OK);
        assert_int_equal(enter(who, 1000, EACH_MAX, &slot), LIMIT_CLIENT);
    }
}

int main(void)
{
#define LIMITS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LIMITS_TEST(both_limits_hold_and_free_up),
        LIMITS_TEST(open_files_bound_all_listeners),
        LIMITS_TEST(many_clients_are_kept_apart),
        LIMITS_TEST(cores_count_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
