/* SPDX-License-Identifier: Apache-2.0
 *
 * test_offload - real threads: every task is worked on once, elsewhere, and comes home
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/worker.h"

enum { PEERS = 4, TASKS = 24, ROUNDS = 200, MANY = 2 * WORKER_TASKS_MAX };

struct job {
    struct worker_task task;
    uint64_t input, output; /* written here, read there: ThreadSanitizer watches */
    uint32_t rounds;
    uint32_t owner;
};
static struct side {
    _Alignas(64) struct job jobs[TASKS];
    struct inbox_node start, stop;
    uint32_t out;
} sides[PEERS];
static uint32_t sides_left; /* worker 0 only */
static struct inbox_node reports[PEERS];

static struct worker *make(uint32_t workers)
{
    char why[256];
    const struct worker_options options = {.workers = workers, .events = {.buffers_max = 1}};
    struct worker *all = workers_create(&options, why, sizeof(why));
    if (all == NULL) fail_msg("%s", why);
    return all;
}

static void stop_arrived(struct inbox_node *node, void *context)
{
    (void)node;
    worker_stop(context);
}

static void report_arrived(struct inbox_node *node, void *context)
{
    struct worker *worker = context;
    (void)node;
    if (--sides_left > 0) return;
    for (uint32_t i = 0; i < worker->count; i++) {
        sides[i].stop.on_arrival = stop_arrived;
        worker_post(worker, i, &sides[i].stop);
    }
}

static void square(struct worker_task *task)
{
    struct job *job = CONTAINER_OF(task, struct job, task);
    job->output = job->input * job->input;
}

static void squared(struct worker_task *task, struct worker *worker);

static void offload(struct worker *worker, struct job *job)
{
    job->task.work = square;
    job->task.done = squared;
    job->input = random_below(&worker->random, 1000);
    job->output = UINT64_MAX;
    if (!worker_offload(worker, &job->task)) fail_msg("refused, though there is room for all");
}

static void squared(struct worker_task *task, struct worker *worker)
{
    struct job *job = CONTAINER_OF(task, struct job, task);
    struct side *side = &sides[worker->index];
    assert_int_equal(job->owner, worker->index);
    assert_int_equal(job->output, job->input * job->input);
    if (--job->rounds > 0) {
        offload(worker, job);
        return;
    }
    if (--side->out > 0) return;
    reports[worker->index].on_arrival = report_arrived;
    worker_post(worker, 0, &reports[worker->index]);
}

static void start_arrived(struct inbox_node *node, void *context)
{
    struct worker *worker = context;
    struct side *side = CONTAINER_OF(node, struct side, start);
    for (uint32_t i = 0; i < TASKS; i++) {
        side->jobs[i] = (struct job){.rounds = ROUNDS, .owner = worker->index};
        offload(worker, &side->jobs[i]);
    }
}

static void tasks_come_home(void **state)
{
    static_assert(PEERS * TASKS <= WORKER_TASKS_MAX, "none is refused");
    (void)state;
    for (uint32_t workers = 1; workers <= PEERS; workers *= 2) {
        struct worker *all = make(workers);
        memset(sides, 0, sizeof(sides));
        sides_left = workers;
        for (uint32_t i = 0; i < workers; i++) {
            sides[i].out = TASKS;
            sides[i].start.on_arrival = start_arrived;
            worker_post(&all[0], i, &sides[i].start);
        }
        workers_run(all);
        assert_int_equal(sides_left, 0);
        workers_destroy(&all);
    }
}

/* ---- the bound, and leaving with tasks out ----------------------------------------------------
 */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static struct job many[MANY];
static bool was_taken[MANY]; /* not simply the first: a thread may begin late, and make room then */
static uint32_t came_home;

static void pass_gate(struct worker_task *task)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    square(task);
}

static void passed(struct worker_task *task, struct worker *worker)
{
    (void)task, (void)worker;
    came_home += 1;
}

static uint32_t offload_many(struct worker *worker)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = (struct job){.task = {.work = pass_gate, .done = passed}, .input = 3};
        was_taken[i] = worker_offload(worker, &many[i].task);
        taken += was_taken[i];
    }
    return taken;
}

static void the_queue_is_bounded(void **state)
{
    struct worker *all = make(1);
    (void)state;
    ring_enter_thread(all->ring);
    came_home = 0;
    pthread_mutex_lock(&gate);
    const uint32_t taken = offload_many(all);
    pthread_mutex_unlock(&gate);
    assert_in_range(taken, WORKER_TASKS_MAX, WORKER_TASKS_MAX + WORKER_BACKGROUND_MAX);
    while (came_home < taken)
        worker_turn(all);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(many[i].output, was_taken[i] ? 9 : 0); /* refused: left alone */
    assert_true(worker_offload(all, &many[0].task));
    while (came_home == taken)
        worker_turn(all);
    workers_destroy(&all);
}

static void who_waits_at_the_end_is_dropped(void **state)
{
    struct worker *all = make(2);
    (void)state;
    ring_enter_thread(all->ring);
    came_home = 0;
    pthread_mutex_lock(&gate);
    const uint32_t taken = offload_many(all);
    assert_in_range(taken, WORKER_TASKS_MAX, MANY - 1);
    pthread_mutex_unlock(&gate);
    workers_destroy(&all); /* returns; memory of the tasks is nobody's concern any more */
    assert_int_equal(came_home, 0);
    memset(many, 0, sizeof(many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_come_home),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(who_waits_at_the_end_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
