/* SPDX-License-Identifier: Apache-2.0
 *
 * test_timers - the wheel against a sorted model: never early, none lost, none after disarm
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

enum { TIMERS = 500 };

static struct ring ring; /* only its clock and its wheel are used */
static struct timer_case {
    struct ring_timer timer;
    instant expected; /* 0 = not armed */
    unsigned fired;
} cases[TIMERS];
static instant last_run; /* the run before: what was due then must have fired */

static void fired(struct ring_timer *timer)
{
    struct timer_case *which = CONTAINER_OF(timer, struct timer_case, timer);
    assert_true(which->expected != 0);
    assert_true(which->expected <= ring.now);
    assert_true(which->expected + DURATION_MS(1) > last_run);
    which->expected = 0;
    which->fired += 1;
}

static duration random_delay(struct random *random)
{
    const unsigned shift = (unsigned)random_below(random, 45); /* up to 9 hours */
    return random_below(random, (1ull << shift) + 1);
}

static void check_next(void)
{
    instant first = INSTANT_FOREVER;
    for (int i = 0; i < TIMERS; i++) {
        if (cases[i].expected) first = MIN(first, cases[i].expected);
    }
    assert_true(first == INSTANT_FOREVER || ring_timers_next(&ring) <= first + DURATION_MS(1));
}

static void run_model(uint64_t seed)
{
    struct random random;
    random_init(&random, seed);
    ring.now = random_below(&random, DURATION_S(1000000)) + 1;
    last_run = ring.now;
    ring_wheel_init(&ring.wheel, ring.now);
    for (int i = 0; i < TIMERS; i++) {
        ring_timer_init(&cases[i].timer, fired);
        cases[i].expected = 0;
    }
    for (int step = 0; step < 3000; step++) {
        struct timer_case *which = &cases[random_below(&random, TIMERS)];
        switch (random_below(&random, 4)) {
        case 0:
            ring_timer_disarm(&ring, &which->timer);
            which->expected = 0;
            break;
        case 1:
            last_run = ring.now;
            ring.now += random_delay(&random);
            while (ring_timers_run(&ring, 7) == 7)
                continue;
            break;
        default:
            which->expected = ring.now + random_delay(&random);
            ring_timer_arm(&ring, &which->timer, which->expected);
        }
        check_next();
    }
    ring.now += DURATION_S(86400);
    last_run = 0;
    while (ring_timers_run(&ring, UINT32_MAX) > 0)
        continue;
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(cases[i].expected, 0);
    assert_true(ring_timers_next(&ring) == INSTANT_FOREVER);
}

static void wheel_follows_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_model(seed);
}

static void far_timers_wait(void **state)
{
    (void)state;
    ring.now = DURATION_S(5);
    ring_wheel_init(&ring.wheel, ring.now);
    ring_timer_init(&cases[0].timer, fired);
    cases[0].expected = ring.now + DURATION_S(86400ull * 365 * 4);
    ring_timer_arm(&ring, &cases[0].timer, cases[0].expected);
    for (int day = 0; day < 365 * 4 - 1; day++) {
        last_run = ring.now;
        ring.now += DURATION_S(86400);
        assert_int_equal(ring_timers_run(&ring, 10), 0);
    }
    last_run = ring.now;
    ring.now += DURATION_S(2 * 86400);
    assert_int_equal(ring_timers_run(&ring, 10), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wheel_follows_the_model),
        cmocka_unit_test(far_timers_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
