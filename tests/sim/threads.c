/* SPDX-License-Identifier: Apache-2.0
 *
 * threads - the threads of the product as coroutines
 *
 * A thread runs until it sleeps (in io_uring_enter, nanosleep, pthread_join or pthread_cond_wait);
 * then the world goes on. So a mutex that is not held over a sleep is always free. The end of a
 * life is not seen by its threads: they are just never resumed, as with SIGKILL.
 *
 * A context only begins a thread: to go on with one, swapcontext() would ask the kernel for a
 * signal mask that nobody changes, twice a switch, which was a third of a run.
 */
#undef _FORTIFY_SOURCE /* its longjmp() does not leave a stack for another one */
#include "sim.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define FIBERS 1
#endif
#endif

enum { STACK_SIZE = 512 * 1024, THREADS_MAX = 70 };

struct sim_thread {
    ucontext_t beginning;
    jmp_buf rest;
    struct sim_event resume;
    void *(*main)(void *argument);
    void *argument, *result;
    struct sim_thread *joiner;
    const void *condition; /* waits for it; NULL = for none, or it came */
    char *stack;
    bool begun, sleeping, woken, done;
};

static struct sim_thread threads[THREADS_MAX];
static uint32_t thread_count;
static struct sim_thread *current;
static jmp_buf world;
static instant paused_until;
static int exit_status;
static bool has_exited;

#ifdef FIBERS
static const void *world_stack;
static size_t world_stack_size;
static void *world_fake;
static void leave_world(struct sim_thread *to)
{
    __sanitizer_start_switch_fiber(&world_fake, to->stack, STACK_SIZE);
}
static void back_in_world(void)
{
    __sanitizer_finish_switch_fiber(world_fake, NULL, NULL);
}
static void leave_thread(void **fake)
{
    __sanitizer_start_switch_fiber(fake, world_stack, world_stack_size);
}
static void back_in_thread(void *fake)
{
    __sanitizer_finish_switch_fiber(fake, &world_stack, &world_stack_size);
}
#else
static void leave_world(struct sim_thread *to)
{
    (void)to;
}
static void back_in_world(void) {}
static void leave_thread(void **fake)
{
    (void)fake;
}
static void back_in_thread(void *fake)
{
    (void)fake;
}
#endif

struct sim_thread *threads_current(void)
{
    return current;
}

static void to_world(struct sim_thread *thread)
{
    void *fake = NULL;
    leave_thread(thread->done ? NULL : &fake);
    if (_setjmp(thread->rest) == 0) _longjmp(world, 1);
    back_in_thread(fake);
}

static void run(struct sim_thread *thread)
{
    current = thread;
    leave_world(thread);
    if (_setjmp(world) == 0) {
        if (thread->begun) _longjmp(thread->rest, 1);
        thread->begun = true;
        setcontext(&thread->beginning);
    }
    back_in_world();
    current = NULL;
}

static void resumed(struct sim_event *event)
{
    struct sim_thread *thread = CONTAINER_OF(event, struct sim_thread, resume);
    if (sim.now < paused_until) {
        sim_at(event, paused_until);
        return;
    }
    thread->sleeping = thread->woken = false;
    run(thread);
}

static void entry(void)
{
    struct sim_thread *thread = current;
    back_in_thread(NULL);
    thread->result = thread->main(thread->argument);
    thread->done = true;
    if (thread->joiner != NULL) threads_wake(thread->joiner);
    to_world(thread);
    abort(); /* nobody resumes it */
}

static struct sim_thread *start(void *(*main)(void *argument), void *argument)
{
    ASSERT(thread_count < THREADS_MAX);
    struct sim_thread *thread = &threads[thread_count++];
    char *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(stack != MAP_FAILED);
    *thread = (struct sim_thread){.main = main, .argument = argument, .stack = stack};
    thread->resume.happen = resumed;
    getcontext(&thread->beginning);
    thread->beginning.uc_stack.ss_sp = stack;
    thread->beginning.uc_stack.ss_size = STACK_SIZE;
    makecontext(&thread->beginning, entry, 0);
    return thread;
}

/* How long it takes to run again: the system is busy with others too. */
static duration soon(void)
{
    return DURATION_US(1 + sim_skewed(SIM_SCHEDULE, 0, 60));
}

void threads_sleep(instant until)
{
    struct sim_thread *thread = current;
    ASSERT(thread != NULL);
    thread->sleeping = true;
    if (until != INSTANT_FOREVER) sim_at(&thread->resume, MAX(until, sim.now + soon()));
    to_world(thread);
}

void threads_wake(struct sim_thread *thread)
{
    if (!thread->sleeping || thread->woken) return;
    thread->woken = true;
    sim_at(&thread->resume, sim.now + soon());
}

void threads_pause(duration length)
{
    paused_until = sim.now + length;
}

void threads_exit(int status)
{
    exit_status = status;
    has_exited = true;
    sim.cut = true;
    to_world(current);
    abort();
}

void threads_end_life(void)
{
    sim.cut = true;
}

void threads_end_life_here(void)
{
    sim.cut = true;
    to_world(current);
}

struct main_call {
    int (*main)(void *argument);
    void *argument;
};

static void *first(void *argument)
{
    const struct main_call *call = argument;
    exit_status = call->main(call->argument);
    has_exited = true;
    return NULL;
}

void threads_live(int (*main)(void *argument), void *argument, int *status, bool *returned)
{
    struct main_call call = {main, argument};
    thread_count = 0;
    has_exited = false;
    sim.cut = false;
    struct sim_thread *thread = start(first, &call);
    sim_after(&thread->resume, 0);
    while (!sim.cut && !thread->done) {
        if (!sim_step()) sim_fail(SIM_CHECK_DRAIN, "everything sleeps for ever");
    }
    for (uint32_t i = 0; i < thread_count; i++) {
        sim_cancel(&threads[i].resume);
        munmap(threads[i].stack, STACK_SIZE);
    }
    thread_count = 0;
    *returned = has_exited;
    *status = exit_status;
}

/* ---- pthread -----------------------------------------------------------------------------------
 */

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes,
                          void *(*main)(void *argument), void *argument);
int __wrap_pthread_join(pthread_t id, void **result);
int __wrap_pthread_setname_np(pthread_t id, const char *name);
int __wrap_pthread_setaffinity_np(pthread_t id, size_t size, const void *set);

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attributes,
                          void *(*main)(void *argument), void *argument)
{
    (void)attributes;
    struct sim_thread *thread = start(main, argument);
    sim_after(&thread->resume, soon());
    *id = (pthread_t)thread;
    return 0;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
    struct sim_thread *thread = (struct sim_thread *)id;
    thread->joiner = current;
    while (!thread->done)
        threads_sleep(INSTANT_FOREVER);
    if (result != NULL) *result = thread->result;
    return 0;
}

int __wrap_pthread_setname_np(pthread_t id, const char *name)
{
    (void)id, (void)name;
    return 0;
}

int __wrap_pthread_setaffinity_np(pthread_t id, size_t size, const void *set)
{
    (void)id, (void)size, (void)set;
    return 0;
}

/* ---- conditions: of several waiters the one that comes first in the table is woken -------------
 */

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_setpriority(int which, id_t who, int priority);

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    struct sim_thread *thread = current;
    thread->condition = condition;
    pthread_mutex_unlock(mutex);
    while (thread->condition != NULL)
        threads_sleep(INSTANT_FOREVER);
    pthread_mutex_lock(mutex);
    return 0;
}

static int wake_waiters(const pthread_cond_t *condition, uint32_t most)
{
    for (uint32_t i = 0; i < thread_count && most > 0; i++) {
        if (threads[i].condition != condition) continue;
        threads[i].condition = NULL;
        threads_wake(&threads[i]);
        most -= 1;
    }
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    return wake_waiters(condition, 1);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    return wake_waiters(condition, UINT32_MAX);
}

/* Takes its time, as hashing does: until then sessions end, users are replaced, the power fails. */

int __wrap_setpriority(int which, id_t who, int priority)
{
    (void)which, (void)who, (void)priority;
    return 0;
}
