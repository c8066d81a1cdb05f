/* SPDX-License-Identifier: Apache-2.0
 *
 * run - the lives of the process in one run, from the first start to the empty queue
 *
 *     lives with faults, each ended by a power cut, SIGKILL or SIGTERM
 *     a last life: faults go on for a while, then the world is calm; the queue must drain;
 *                  SIGTERM; everything must have been given back
 *     one more     finds nothing to deliver
 */
#include "account.h"
#include "kernel.h"
#include "model.h"
#include "peers.h"
#include "ringpost/config.h"
#include "serve.h"
#include "settings.h"
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

enum ending { ENDING_CUT, ENDING_KILL, ENDING_TERM };

static struct sim_event end_of_life, watch, mischief;
static uint8_t ending;
static bool last_life, asked_to_end, empty_life;
static instant calm_since;
static const char *const fault_words[] = {
    "disk",     "full",  "cut",      "kill", "ring", "net",      "dns",  "receiver",
    "injector", "clock", "operator", "rot",  "tls",  "settings", "keys", "early"};
static_assert(ARRAY_COUNT(fault_words) == SIM_FAULT_COUNT, "a word for each");

/* ---- options -----------------------------------------------------------------------------------
 */

void sim_options_default(struct sim_options *options, uint64_t seed)
{
    struct random random;
    random_init(&random, seed);
    *options = (struct sim_options){.seed = seed, .steps = 30 * 1000 * 1000};
    options->messages = 20 + (uint32_t)random_below(&random, 400);
    options->injectors = 1 + (uint32_t)random_below(&random, 20);
    options->workers = 1 + (uint32_t)random_below(&random, 4);
    options->domains = 1 + (uint32_t)random_below(&random, 40);
    options->cuts = (uint32_t)random_below(&random, 6);
    /* One run in eight without faults: the strictest checks apply there. */
    const uint64_t kind = random_below(&random, 8);
    options->faults = (uint32_t)random_u64(&random);
    if (kind == 0) options->faults = 0;
    if (kind == 1) options->faults &= (uint32_t)random_u64(&random);
    if (random_below(&random, 6) != 0) options->faults &= ~(uint32_t)SIM_FAULT_ROT;
    options->faults &= (1u << SIM_FAULT_COUNT) - 1;
}

/* ---- the server ---------------------------------------------------------------------------------
 */

static void to_stdout(void *context, bool error, const char *text)
{
    (void)context;
    if (error) printf("configuration: %s\n", text);
}

static int serve(void *argument)
{
    const struct config_report report = {to_stdout, NULL};
    (void)argument;
    settings_write();
    struct config *config = config_load(settings_path(), "relay.test", &report);
    if (config == NULL) sim_fail(SIM_CHECK_ASSERT, "the configuration has errors");
    return serve_run(config, settings_path());
}

/* ---- mischief with the disk's size and the clock ------------------------------------------------
 */

enum { CAPACITY = 512 << 20 };

static void pause_all(duration length)
{
    threads_pause(length);
    model_trouble(sim.now + length);
}

static void make_mischief(struct sim_event *event)
{
    static bool full;
    if (full || sim_fault(SIM_FAULT_FULL, SIM_DISK, 8)) {
        full = !full;
        const uint64_t used = CAPACITY - MIN(disk_free_space(sim.disk), (uint64_t)CAPACITY);
        disk_set_capacity(sim.disk, full ? used + sim_skewed(SIM_DISK, 0, 6 << 20) : CAPACITY);
        SIM_TRACE("disk: %s", full ? "nearly full" : "has room again");
    }
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 15))
        kernel_storage_break(sim.now + DURATION_MS(sim_skewed(SIM_DISK, 1, 60000)));
    if (sim_fault(SIM_FAULT_CLOCK, SIM_SCHEDULE, 20))
        sim.wall_offset += (int64_t)sim_below(SIM_SCHEDULE, 7200000) - 3600000;
    if (sim_fault(SIM_FAULT_CLOCK, SIM_SCHEDULE, 20))
        pause_all(DURATION_MS(sim_skewed(SIM_SCHEDULE, 1, 30000)));
    if (full) model_trouble(sim.now + DURATION_S(30)); /* the next look comes earlier */
    if (sim.calm) {
        disk_set_capacity(sim.disk, CAPACITY);
        return;
    }
    sim_after(event, DURATION_MS(sim_skewed(SIM_SCHEDULE, 100, 20000)));
}

/* ---- the end of a life --------------------------------------------------------------------------
 */

static void life_ends(struct sim_event *event)
{
    (void)event;
    SIM_TRACE("life %u ends by %s", sim.life,
              ending == ENDING_CUT    ? "a power cut"
              : ending == ENDING_KILL ? "SIGKILL"
                                      : "SIGTERM");
    if (ending == ENDING_TERM && asked_to_end) {
        /* Twenty seconds are configured, and pauses are the world's. */
        if (!(sim.options.faults & SIM_FAULT_CLOCK))
            sim_fail(SIM_CHECK_IDLE, "two minutes after SIGTERM it has not ended");
        ending = ENDING_KILL;
    }
    asked_to_end = true;
    if (ending == ENDING_TERM) {
        kernel_signal(SIGTERM);
        sim_after(event, DURATION_S(120));
        return;
    }
    threads_end_life();
}

void run_may_end_here(void)
{
    if (last_life || asked_to_end || ending == ENDING_TERM || threads_current() == NULL) return;
    SIM_TRACE("life %u ends in the middle of a turn", sim.life);
    asked_to_end = true;
    threads_end_life_here();
}

static void plan_end(void)
{
    const uint64_t dice = sim_below(SIM_SCHEDULE, 3);
    const bool cut = sim.options.faults & SIM_FAULT_CUT, kill = sim.options.faults & SIM_FAULT_KILL;
    ending = ENDING_TERM;
    if (cut && dice != 1) ending = ENDING_CUT;
    if (kill && dice == 1) ending = ENDING_KILL;
    asked_to_end = false;
    if (last_life) return;
    sim_after(&end_of_life, sim_below(SIM_SCHEDULE, 2)
                                ? DURATION_US(sim_skewed(SIM_SCHEDULE, 100, 3000000))
                                : DURATION_MS(sim_skewed(SIM_SCHEDULE, 100, 120000)));
}

/* A bit: what is damaged is the record, which may begin in the page before and end in the next. */
static void rot(void)
{
    enum { PAGE = 4096 };
    struct disk_file *file;
    uint64_t offset;
    char pages[3 * PAGE];
    if (!disk_rot(sim.disk, "/spool", &file, &offset)) return;
    const uint64_t page = offset / PAGE, first = page > 0 ? page - 1 : 0;
    const int64_t len = disk_read(file, pages, (page + 2 - first) * PAGE, first * PAGE);
    SIM_TRACE("disk: a bit flips at %llu", (unsigned long long)offset);
    if (len > 0) model_rot(pages, (size_t)len);
}

static void clear_away(void)
{
    sim_cancel(&end_of_life);
    operator_stop();
    if (ending == ENDING_CUT && asked_to_end) {
        kernel_storage_cut();
        kernel_process_died();
        disk_power_cut(sim.disk);
        if (sim_fault(SIM_FAULT_ROT, SIM_DISK, 2)) rot();
    } else {
        kernel_storage_killed();
        kernel_process_died();
        disk_process_died(sim.disk);
    }
    model_process_died();
}

/* ---- the last life ------------------------------------------------------------------------------
 */

static void check_limits(void)
{
    const struct mallinfo2 memory = mallinfo2();
    if (sim.life == 1 && memory.uordblks > (size_t)900 << 20)
        sim_fail(SIM_CHECK_LIMITS, "%zu octets of memory in use", memory.uordblks);
    if (kernel_in_flight_max() > 20000)
        sim_fail(SIM_CHECK_LIMITS, "%llu operations in flight",
                 (unsigned long long)kernel_in_flight_max());
}

static void calm_down(void)
{
    SIM_TRACE("the world is calm now");
    sim.calm = true;
    calm_since = sim.now;
    if (!settings_are_odd()) return;
    settings_mend();
    kernel_signal(SIGHUP);
}

/* Everything has an outcome, and the server says that it has nothing left. */
static void watched(struct sim_event *event)
{
    static const duration BOUND = DURATION_S(3 * 24 * 3600);
    char what[200] = "";
    check_limits();
    sim_after(event, DURATION_S(10));
    if (!last_life || asked_to_end) return;
    if (!sim.calm) {
        if (injectors_done() || sim.now > DURATION_S(3 * 3600)) calm_down();
        return;
    }
    const bool settled = model_all_settled(what, sizeof(what));
    const int64_t count = operator_count();
    if (sim.now > calm_since + BOUND)
        sim_fail(SIM_CHECK_DRAIN,
                 "three days after the last fault: %s (%lld messages in the queue)",
                 settled ? "all is settled" : what, (long long)count);
    if (!injectors_done()) return;
    if (count == 0 && !settled)
        sim_fail(SIM_CHECK_OUTCOME, "the queue is empty, but %s has no outcome", what);
    if (count != 0 || sim.now < calm_since + DURATION_S(empty_life ? 30 : 60)) return;
    asked_to_end = true;
    kernel_signal(SIGTERM);
}

/* What is still open when the process has ended by itself. */
static void check_idle(void)
{
    if (kernel_open_files() > 0) {
        for (int fd = 0; fd < KERNEL_FILES_MAX; fd++) {
            const struct kernel_file *file = kernel_file(fd);
            if (file == NULL || file->kind == KERNEL_FOLDER) continue;
            if (file->kind == KERNEL_FILE && strcmp(file->path, "/spool/lock") == 0) continue;
            sim_fail(SIM_CHECK_IDLE, "descriptor %d of kind %u (%s) is open at the end", fd,
                     file->kind, file->path);
        }
    }
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static void time_is_up(struct sim_event *event)
{
    (void)event;
}

/* The world goes on without the process. */
static void wait_for(duration length)
{
    struct sim_event end = {.happen = time_is_up};
    sim_after(&end, length);
    while (sim_is_due(&end))
        (void)sim_step();
}

static void live(void)
{
    int status = 0;
    bool returned = false;
    sim.life += 1;
    plan_end();
    operator_begin();
    SIM_TRACE("life %u begins", sim.life);
    threads_live(serve, NULL, &status, &returned);
    SIM_TRACE("life %u is over: %s %d", sim.life, returned ? "returned" : "ended", status);
    if (returned && status != 0 &&
        !(sim.options.faults & (SIM_FAULT_DISK | SIM_FAULT_FULL | SIM_FAULT_RING)))
        sim_fail(SIM_CHECK_ASSERT, "the server did not start");
    /* With operations that hang on the disk, or when it was paused too long, it just ends. */
    if (returned && status == 0 && asked_to_end &&
        (last_life || !(sim.options.faults & (SIM_FAULT_DISK | SIM_FAULT_CLOCK))))
        check_idle();
    if (returned && ending == ENDING_CUT) ending = ENDING_KILL;
    clear_away();
    if (returned && status != 0) wait_for(DURATION_S(1 + sim_below(SIM_SCHEDULE, 10)));
}

static void prepare(void)
{
    static const char *const folders[] = {"/spool", "/account", "/log"};
    sim.disk = disk_create(sim.options.seed, CAPACITY);
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        ASSERT(disk_make_folder(sim.disk, folders[i]) == 0);
    ASSERT(disk_sync_folder(sim.disk, "/") == 0);
    disk_on_durable(sim.disk, model_on_durable, NULL);
    sim.now = DURATION_S(1);
    sim.wall_offset = 1767225600000; /* 2026-01-01 */
    for (uint64_t i = 0; i < SIM_STREAM_COUNT; i++)
        random_init(&sim.random[i], hash_u64(sim.options.seed) + i);
    heap_init(&sim.events);
    end_of_life.happen = life_ends;
    watch.happen = watched;
    mischief.happen = make_mischief;
}

static void trace_options(void)
{
    const struct sim_options *options = &sim.options;
    printf("seed %llu: %u messages, %u injectors, %u workers, %u domains, %u ends; faults:",
           (unsigned long long)options->seed, options->messages, options->injectors,
           options->workers, options->domains, options->cuts);
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        if (options->faults & 1u << i) printf(" %s", fault_words[i]);
    }
    printf("\n");
}

void sim_run(const struct sim_options *options)
{
    sim = (struct sim){.options = *options};
    setenv("TZ", "UTC", 1);
    prepare();
    if (options->trace) trace_options();
    model_init();
    receivers_start();
    injectors_start();
    sim_after(&watch, DURATION_S(10));
    sim_after(&mischief, DURATION_S(1));
    for (uint32_t i = 0; i < options->cuts; i++)
        live();
    last_life = true;
    asked_to_end = false;
    enum { TRIES = 100 }; /* some seconds apart: no disk is broken for so long */
    for (int tries = 0; !asked_to_end && tries < TRIES; tries++)
        live();
    if (!asked_to_end) sim_fail(SIM_CHECK_DRAIN, "the server does not start any more");
    model_check_end();
    account_check(sim.life == 1 && !(options->faults & (SIM_FAULT_DISK | SIM_FAULT_FULL)));
    empty_life = true;
    calm_since = sim.now;
    live();
    model_check_end();
    sim_note(model_count());
}
