/* SPDX-License-Identifier: Apache-2.0
 *
 * background - computing that takes longer than a turn may
 *
 * One bounded queue under one lock, which no worker holds for longer than it takes to link a node.
 * A thread is started when a task finds none idle, so that who never offloads has no threads. They
 * are nicer than the workers: a flood of work for them does not slow mail down.
 */
#include "background.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

enum { NICENESS = 5 };

struct background {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a task came, or stopping */
    struct inbox_node *oldest, *newest;
    uint32_t waiting, idle; /* tasks; threads that wait for one */
    uint32_t threads, threads_max;
    bool stopping;
    cpu_set_t processors; /* a thread inherits those of the worker that starts it, maybe only one */
    pthread_t ids[WORKER_BACKGROUND_MAX];
};

struct background *background_create(uint32_t threads_max)
{
    struct background *background = base_alloc(sizeof(*background));
    ASSERT(threads_max > 0 && threads_max <= WORKER_BACKGROUND_MAX);
    pthread_mutex_init(&background->lock, NULL);
    pthread_cond_init(&background->changed, NULL);
    if (sched_getaffinity(0, sizeof(background->processors), &background->processors) != 0)
        memset(&background->processors, 0xff, sizeof(background->processors));
    background->threads_max = threads_max;
    return background;
}

void background_destroy(struct background **background)
{
    ASSERT((*background)->threads == 0);
    pthread_cond_destroy(&(*background)->changed);
    pthread_mutex_destroy(&(*background)->lock);
    base_free(*background);
    *background = NULL;
}

/* ---- a thread ---------------------------------------------------------------------------------
 */

/* Under the lock, like the next ones. NULL: time to go. */
static struct worker_task *wait_for_task(struct background *background)
{
    while (background->oldest == NULL && !background->stopping) {
        background->idle += 1;
        pthread_cond_wait(&background->changed, &background->lock);
        background->idle -= 1;
    }
    if (background->stopping) return NULL;
    struct inbox_node *node = background->oldest;
    background->oldest = node->next;
    background->waiting -= 1;
    return CONTAINER_OF(node, struct worker_task, node);
}

static void task_arrived(struct inbox_node *node, void *context)
{
    struct worker_task *task = CONTAINER_OF(node, struct worker_task, node);
    task->done(task, context);
}

/* The worker may free the task as soon as it is pushed; its ring outlives this thread. */
static void send_back(struct worker_task *task)
{
    struct worker *worker = task->worker;
    task->node.on_arrival = task_arrived;
    if (inbox_push(&worker->inbox, &task->node, &task->node)) ring_wake(NULL, worker->ring);
}

static void *background_main(void *argument)
{
    struct background *background = argument;
    struct worker_task *task;
    pthread_setname_np(pthread_self(), "ringpost/bg");
    pthread_setaffinity_np(pthread_self(), sizeof(background->processors), &background->processors);
    setpriority(PRIO_PROCESS, 0, NICENESS); /* Linux: of this thread */
    pthread_mutex_lock(&background->lock);
    while ((task = wait_for_task(background)) != NULL) {
        pthread_mutex_unlock(&background->lock);
        task->work(task);
        send_back(task);
        pthread_mutex_lock(&background->lock);
    }
    pthread_mutex_unlock(&background->lock);
    return NULL;
}

/* One that cannot be started is no harm while there is another. */
static bool have_thread(struct background *background)
{
    if (background->idle > background->waiting || background->threads == background->threads_max)
        return true;
    pthread_t *id = &background->ids[background->threads];
    if (pthread_create(id, NULL, background_main, background) == 0) background->threads += 1;
    return background->threads > 0;
}

/* ---- from the workers -------------------------------------------------------------------------
 */

static bool put(struct background *background, struct worker_task *task)
{
    if (background->stopping || background->waiting == WORKER_TASKS_MAX) return false;
    if (!have_thread(background)) return false;
    task->node.next = NULL;
    if (background->oldest == NULL)
        background->oldest = &task->node;
    else
        background->newest->next = &task->node;
    background->newest = &task->node;
    background->waiting += 1;
    pthread_cond_signal(&background->changed);
    return true;
}

bool worker_offload(struct worker *worker, struct worker_task *task)
{
    struct background *background = worker->background;
    task->worker = worker;
    pthread_mutex_lock(&background->lock);
    const bool taken = put(background, task);
    pthread_mutex_unlock(&background->lock);
    return taken;
}

void background_stop(struct background *background)
{
    pthread_mutex_lock(&background->lock);
    background->stopping = true;
    pthread_cond_broadcast(&background->changed);
    pthread_mutex_unlock(&background->lock);
    for (uint32_t i = 0; i < background->threads; i++) /* only put() starts some */
        pthread_join(background->ids[i], NULL);
    background->threads = 0;
}
