/* SPDX-License-Identifier: Apache-2.0
 *
 * test_worker - real threads: every message arrives once and in order, sleepers are woken
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/worker.h"

enum { PEERS = 4, BALLS = 16, BOUNCES = 1000 };

/* A ball bounces between workers that choose the next one at random; with few balls in the air the
 * workers sleep most of the time, with many they never do. */
struct ball {
    struct inbox_node node;
    uint32_t bounces_left;
    struct court *court;
    char padding[64];
};
static struct court {
    struct player {
        _Alignas(64) struct worker *worker;
        uint64_t caught;
        struct inbox_node stop;
        uint32_t stops;
    } players[PEERS];
    struct ball balls[BALLS];
    uint32_t in_air; /* worker 0 only */
} court;

static void stop_arrived(struct inbox_node *node, void *context)
{
    (void)node;
    worker_stop(context);
}

static void last_arrived(struct inbox_node *node, void *context)
{
    struct worker *worker = context;
    const struct ball *ball = CONTAINER_OF(node, struct ball, node);
    assert_int_equal(worker->index, 0);
    if (--ball->court->in_air > 0) return;
    for (uint32_t i = 0; i < worker->count; i++) {
        struct player *player = &ball->court->players[i];
        player->stop.on_arrival = stop_arrived;
        worker_post(worker, i, &player->stop);
    }
}

static void ball_arrived(struct inbox_node *node, void *context)
{
    struct worker *worker = context;
    struct ball *ball = CONTAINER_OF(node, struct ball, node);
    struct player *player = &ball->court->players[worker->index];
    assert_ptr_equal(player->worker, worker);
    player->caught += 1;
    if (--ball->bounces_left == 0) {
        node->on_arrival = last_arrived;
        worker_post(worker, 0, node);
        return;
    }
    worker_post(worker, (uint32_t)random_below(&worker->random, worker->count), node);
}

static void play(uint32_t workers, uint32_t balls)
{
    char why[256];
    const struct worker_options options = {.workers = workers, .events = {.buffers_max = 1}};
    struct worker *all = workers_create(&options, why, sizeof(why));
    if (all == NULL) fail_msg("%s", why);
    memset(&court, 0, sizeof(court));
    court.in_air = balls;
    for (uint32_t i = 0; i < workers; i++)
        court.players[i].worker = &all[i];
    for (uint32_t i = 0; i < balls; i++) {
        court.balls[i] = (struct ball){
            .node.on_arrival = ball_arrived, .bounces_left = BOUNCES, .court = &court};
        worker_post(&all[0], i % workers, &court.balls[i].node);
    }
    workers_run(all);
    uint64_t caught = 0;
    for (uint32_t i = 0; i < workers; i++)
        caught += court.players[i].caught;
    assert_int_equal(caught, (uint64_t)balls * BOUNCES);
    workers_destroy(&all);
}

static void no_message_is_lost(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= PEERS; workers *= 2) {
        play(workers, 1); /* everybody sleeps between two bounces */
        play(workers, BALLS);
    }
}

/* Each worker but the first leaves with a message; the first has no timer, so it would sleep for
 * ever if the last words of a worker did not wake it. */
static struct leaver {
    struct inbox_node order, report;
} leavers[PEERS];
static uint32_t staying; /* worker 0 only */

static void report_arrived(struct inbox_node *node, void *context)
{
    (void)node;
    if (--staying == 0) worker_stop(context);
}

static void order_arrived(struct inbox_node *node, void *context)
{
    struct leaver *leaver = CONTAINER_OF(node, struct leaver, order);
    leaver->report.on_arrival = report_arrived;
    worker_post(context, 0, &leaver->report);
    worker_stop(context);
}

static void last_words_arrive(void **state)
{
    (void)state;
    for (uint32_t workers = 2; workers <= PEERS; workers *= 2) {
        char why[256];
        const struct worker_options options = {.workers = workers, .events = {.buffers_max = 1}};
        struct worker *all = workers_create(&options, why, sizeof(why));
        if (all == NULL) fail_msg("%s", why);
        staying = workers - 1;
        for (uint32_t i = 1; i < workers; i++) {
            leavers[i].order.on_arrival = order_arrived;
            worker_post(&all[0], i, &leavers[i].order);
        }
        workers_run(all);
        assert_int_equal(staying, 0);
        workers_destroy(&all);
    }
}

/* ---- the turn -----------------------------------------------------------------------------------
 */

static char order[32];
static struct worker *turning;

static void mark(char what)
{
    order[strlen(order)] = what;
}
static void on_timer(struct ring_timer *timer)
{
    (void)timer;
    mark('t');
}
static void on_message(struct inbox_node *node, void *context)
{
    (void)node;
    assert_ptr_equal(context, turning);
    mark('m');
}
static void decide(void *context)
{
    (void)context;
    mark('d');
}
static void flush(void *context)
{
    (void)context;
    mark('f');
}

static void a_turn_has_one_order(void **state)
{
    char why[256];
    const struct worker_options options = {.workers = 1, .events = {.buffers_max = 1}};
    struct worker *all = workers_create(&options, why, sizeof(why));
    struct ring_timer timer;
    struct inbox_node node = {.on_arrival = on_message};
    (void)state;
    if (all == NULL) fail_msg("%s", why);
    turning = all;
    ring_enter_thread(all->ring);
    worker_add_hook(all, WORKER_FLUSH, flush, NULL);
    worker_add_hook(all, WORKER_DECIDE, decide, NULL);
    ring_timer_init(&timer, on_timer);
    ring_timer_arm(all->ring, &timer, 1); /* long past: due at once */
    worker_post(all, 0, &node);
    worker_turn(all);                     /* the message is posted at its end */
    ring_timer_arm(all->ring, &timer, 1); /* long past: due at once */
    worker_turn(all);
    assert_string_equal(order, "tdftmdf");
    workers_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_message_is_lost),
        cmocka_unit_test(last_words_arrive),
        cmocka_unit_test(a_turn_has_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
