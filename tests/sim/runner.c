/* SPDX-License-Identifier: Apache-2.0
 *
 * runner - one run, in a child; and ever smaller ones, while they fail alike
 */
#include "runner.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_SECONDS_MAX = 900 /* an endless loop inside one event */, RESERVED = 256 << 20 };

struct runner_report *runner_report_new(void)
{
    void *memory = mmap(NULL, sizeof(struct runner_report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(memory != MAP_FAILED);
    return memory;
}

/* Of jemalloc; NULL without it. */
int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

/* An arena of its own, for what the parent's has must be copied page by page; and in one piece:
 * what jemalloc would take bit by bit is half of it small pages. */
static void reserve_memory(void)
{
    unsigned arena;
    size_t len = sizeof(arena);
    char purge[32];
    if (mallctl == NULL || mallctl("arenas.create", &arena, &len, NULL, 0) != 0) return;
    mallctl("thread.arena", NULL, NULL, &arena, sizeof(arena));
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    base_free(malloc(RESERVED));
    snprintf(purge, sizeof(purge), "arena.%u.purge", arena);
    mallctl(purge, NULL, NULL, NULL, 0); /* so that it is zeros, and known to be */
}

pid_t runner_begin(const struct sim_options *options, bool quiet, struct runner_report *report)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid != 0) return pid;
    if (quiet && freopen("/dev/null", "w", stdout) == NULL) _Exit(2);
    if (!options->trace) stderr = fopen("/dev/null", "w"); /* complaints of starts that fail */
    alarm(RUN_SECONDS_MAX);
    reserve_memory();
    sim_run(options);
    if (report != NULL)
        *report = (struct runner_report){sim.happened, sim.hash, (double)sim.now / 1e9};
    fflush(stdout);
    exit(0); /* not _Exit(): a build that measures coverage writes its counts now */
}

int runner_result(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) > SIM_EXIT_FAILED &&
        WEXITSTATUS(status) < SIM_EXIT_FAILED + SIM_CHECK_COUNT)
        return WEXITSTATUS(status) - SIM_EXIT_FAILED;
    return SIM_CHECK_ASSERT; /* a signal, a sanitizer */
}

int runner_run(const struct sim_options *options, bool quiet, struct runner_report *report)
{
    int status;
    const pid_t pid = runner_begin(options, quiet, report);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) exit(2);
    return runner_result(status);
}

void runner_print(const struct sim_options *options)
{
    printf("ringpost-sim --seed %llu --messages %u --injectors %u --workers %u --domains %u "
           "--ends %u --faults 0x%x",
           (unsigned long long)options->seed, options->messages, options->injectors,
           options->workers, options->domains, options->cuts, options->faults);
    if (options->canary != 0) printf(" --canary %u", options->canary);
    printf("\n");
}

/* ---- shrinking ------------------------------------------------------------------------------- */

static bool try_smaller(struct sim_options *best, struct sim_options candidate, int checker)
{
    if (memcmp(best, &candidate, sizeof(candidate)) == 0) return false;
    if (runner_run(&candidate, true, NULL) != checker) return false;
    *best = candidate;
    return true;
}

/* By halves, then by one. */
static void shrink_number(struct sim_options *best, size_t offset, uint32_t least, int checker)
{
    for (;;) {
        struct sim_options candidate = *best;
        uint32_t *value = (uint32_t *)(void *)((char *)&candidate + offset);
        const uint32_t now = *value;
        if (now <= least) return;
        *value = MAX(now / 2, least);
        if (try_smaller(best, candidate, checker)) continue;
        *value = now - 1;
        if (!try_smaller(best, candidate, checker)) return;
    }
}

void runner_shrink(struct sim_options options, int checker)
{
    static const struct {
        size_t offset;
        uint32_t least;
    } numbers[] = {
        {offsetof(struct sim_options, cuts), 0},      {offsetof(struct sim_options, messages), 1},
        {offsetof(struct sim_options, injectors), 1}, {offsetof(struct sim_options, workers), 1},
        {offsetof(struct sim_options, domains), 1},
    };
    options.trace = false;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
            struct sim_options candidate = options;
            candidate.faults &= ~(1u << i);
            (void)try_smaller(&options, candidate, checker);
        }
        for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
            shrink_number(&options, numbers[i].offset, numbers[i].least, checker);
    }
    printf("the smallest that fails alike (see it with --trace): ");
    runner_print(&options);
}
