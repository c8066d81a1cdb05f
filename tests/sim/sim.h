/* SPDX-License-Identifier: Apache-2.0
 *
 * sim - a world for the product to live in: one process, one seed, one thread
 *
 * Job     the product's object files are linked unchanged, from serve_run() down to the io_uring
 *         code of ring. What they call of the system is replaced by the linker (--wrap), DNS by
 *         the backend seam of dns.h. So everything above the system calls is the real thing.
 * Drive   a heap of events in simulated time. Threads are coroutines that run from one
 *         io_uring_enter to the next.
 * Owner   one struct sim a process: a run forks, so nothing has to be undone.
 * Chance  every kind of decision has a generator of its own, so that taking one kind of fault away
 *         leaves the other decisions as they were (shrinking depends on that).
 */
#pragma once
#include "ringpost/base.h"
#include <stdio.h>

/* ---- options: what makes a run; all of it follows from the seed unless it is said otherwise ----
 */

enum sim_fault {                          /* bits of options.faults */
                 SIM_FAULT_DISK = 1 << 0, /* EIO of writes and syncs, slow syncs */
                 SIM_FAULT_FULL = 1 << 1, /* the disk is full for a while */
                 SIM_FAULT_CUT = 1 << 2,  /* power cuts */
                 SIM_FAULT_KILL = 1 << 3, /* SIGKILL */
                 SIM_FAULT_RING = 1 << 4, /* short transfers, EINTR, ended multishots, overflow */
                 SIM_FAULT_NET = 1 << 5,  /* resets, black holes, octet by octet */
                 SIM_FAULT_DNS = 1 << 6,  /* late, wrong, truncated, SERVFAIL */
                 SIM_FAULT_RECEIVER = 1 << 7,  /* stalls, refusals, garbage, lost replies */
                 SIM_FAULT_INJECTOR = 1 << 8,  /* abandoned sessions, lies, hostile octets */
                 SIM_FAULT_CLOCK = 1 << 9,     /* jumps of the wall clock, long pauses */
                 SIM_FAULT_OPERATOR = 1 << 10, /* reload, queue commands, restart by SIGTERM */
                 SIM_FAULT_ROT = 1 << 11,      /* a flipped bit in the spool, found at a restart */
                 SIM_FAULT_TLS = 1 << 12,      /* handshakes that fail */
                 SIM_FAULT_SETTINGS = 1
                                      << 13, /* next hops with a login, other settings at reloads */
                 SIM_FAULT_KEYS = 1 << 14,   /* signing keys that fail when they are used */
                 SIM_FAULT_EARLY = 1 << 15,  /* receivers that answer before they are asked */
                 SIM_FAULT_COUNT = 16,
};

/* Deliberate bugs of the world, one for each checker: each must be caught. */
enum sim_canary {
    SIM_CANARY_NONE = 0,
    SIM_CANARY_EARLY_COMPLETION, /* a durable write completes before it is durable */
    SIM_CANARY_LOST_RECORD,      /* the disk forgets what it said was durable */
    SIM_CANARY_REFUSED_KEPT,     /* a refusal reaches the injector for what was accepted */
    SIM_CANARY_CHANGED_OCTET,    /* on the way to the receiver */
    SIM_CANARY_CROSSED_SESSIONS, /* octets of one receiver's connection in another */
    SIM_CANARY_EXTRA_CONNECTION, /* more connections than the limit */
    SIM_CANARY_DEAF,             /* a wake-up that never comes */
    SIM_CANARY_LEAK,             /* a descriptor that stays open */
    SIM_CANARY_ACCOUNT_GAP,      /* lines of the account that never reach the file */
    SIM_CANARY_DUPLICATE,        /* the receiver gets an accepted message twice */
    SIM_CANARY_COUNT,
};

struct sim_options {
    uint64_t seed;
    uint32_t messages;
    uint32_t injectors; /* sessions at a time */
    uint32_t workers;
    uint32_t faults; /* enum sim_fault */
    uint32_t cuts;   /* ends of the process by cut, kill or SIGTERM, at the most */
    uint32_t domains;
    uint32_t canary; /* enum sim_canary */
    uint64_t steps;  /* events at the most; more is a failure */
    bool trace;
};

/* ---- chance ------------------------------------------------------------------------------------
 */

enum sim_stream {
    SIM_SCHEDULE = 0, /* order and lengths of turns */
    SIM_RING,
    SIM_DISK,
    SIM_NET,
    SIM_DNS,
    SIM_INJECTOR,
    SIM_RECEIVER,
    SIM_OPERATOR,
    SIM_SEED, /* what the product asks for */
    SIM_TLS,
    SIM_AUTH,
    SIM_SETTINGS,
    SIM_KEYS,
    SIM_EARLY,
    SIM_STREAM_COUNT,
};

/* ---- events ------------------------------------------------------------------------------------
 */

struct sim_event { /* embedded in its owner */
    struct heap_node node;
    void (*happen)(struct sim_event *event);
};

struct sim {
    struct sim_options options;
    instant now;
    int64_t wall_offset; /* ms from now to the wall clock */
    struct heap events;
    struct random random[SIM_STREAM_COUNT];
    bool calm; /* the time of faults is over */
    bool over; /* leave the loop */
    uint64_t happened;
    uint64_t hash; /* of everything that happened: equal for equal runs */
    struct disk *disk;
    uint32_t life; /* of the process, from 1 */
    bool cut;      /* this life has ended: leave it */
};
extern struct sim sim;

void sim_at(struct sim_event *event, instant at); /* or move it */
void sim_cancel(struct sim_event *event);
static inline bool sim_is_due(const struct sim_event *event)
{
    return event->node.place != 0;
}
static inline void sim_after(struct sim_event *event, duration delay)
{
    sim_at(event, sim.now + delay);
}
/* Mixes a fact into the hash of the run. */
static inline void sim_note(uint64_t what)
{
    sim.hash = hash_u64(sim.hash ^ what ^ sim.now);
}
static inline uint64_t sim_below(enum sim_stream stream, uint64_t bound)
{
    return random_below(&sim.random[stream], bound);
}
/* Between low and high, small values more often. */
static inline uint64_t sim_skewed(enum sim_stream stream, uint64_t low, uint64_t high)
{
    const uint64_t a = sim_below(stream, high - low + 1), b = sim_below(stream, high - low + 1),
                   c = sim_below(stream, high - low + 1);
    return low + MIN(a, MIN(b, c));
}
/* True once in `of` times; never when that kind of fault is off or the time of faults is over. The
 * die is thrown in any case. */
bool sim_fault(enum sim_fault fault, enum sim_stream stream, uint32_t of);

void sim_trace(const char *format, ...) PRINTF_LIKE(1, 2); /* only printed with --trace */
#define SIM_TRACE(...) (sim.options.trace ? sim_trace(__VA_ARGS__) : (void)0)

/* ---- failures ----------------------------------------------------------------------------------
 */

enum sim_checker {
    SIM_CHECK_DURABLE = 1, /* no 250 before a completed sync covers the message */
    SIM_CHECK_OUTCOME,     /* delivered, in one DSN, or queued; duplicates explained */
    SIM_CHECK_REFUSED,     /* what was refused is never delivered */
    SIM_CHECK_OCTETS,      /* octets at the receiver = at the injector */
    SIM_CHECK_MIXED,       /* no octet of one message in another */
    SIM_CHECK_LIMITS,      /* connections, memory, operations */
    SIM_CHECK_DRAIN,       /* the queue drains when faults have stopped */
    SIM_CHECK_IDLE,        /* at idle all is given back */
    SIM_CHECK_ACCOUNT,     /* the account agrees with the model */
    SIM_CHECK_ASSERT,      /* the product's own assertions, and crashes */
    SIM_CHECK_KERNEL,      /* the product asked the kernel for what makes no sense */
    SIM_CHECK_COUNT,
};
const char *sim_checker_name(enum sim_checker checker);
enum { SIM_EXIT_FAILED = 64 }; /* + checker: exit status of a run */
/* Says what happened in words, and ends the run. */
NORETURN void sim_fail(enum sim_checker checker, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- the run (world.c) -------------------------------------------------------------------------
 */

/* The next event happens; false: there is none. */
bool sim_step(void);
void sim_options_default(struct sim_options *options, uint64_t seed);
void sim_run(const struct sim_options *options); /* returns when all was well */
/* From a system call: ends this life right here, if it is to end at all. */
void run_may_end_here(void);

/* ---- threads (threads.c): coroutines ------------------------------------------------------------
 */

struct sim_thread;
/* Runs main as the first thread of a life until it returns or the life ends. */
void threads_live(int (*main)(void *argument), void *argument, int *status, bool *returned);
struct sim_thread *threads_current(void); /* NULL: the world itself */
/* Sleeps until woken or the instant; INSTANT_FOREVER is allowed. */
void threads_sleep(instant until);
void threads_wake(struct sim_thread *thread); /* soon; no-op when it does not sleep */
NORETURN void threads_exit(int status);       /* exit(2) of the process */
void threads_end_life(void);                  /* from the world: SIGKILL */
void threads_end_life_here(void);             /* from a thread, which is not resumed */
void threads_pause(duration length);          /* nothing runs for a while (SIGSTOP) */
