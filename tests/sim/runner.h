/* SPDX-License-Identifier: Apache-2.0
 *
 * runner - runs, each in a process of its own
 */
#pragma once
#include "sim.h"
#include <sys/types.h>

struct runner_report { /* written by the run, read by who started it */
    uint64_t events, hash;
    double seconds; /* simulated */
};
/* A run in a child; quiet: it prints nothing. Returns the child, or -1. */
pid_t runner_begin(const struct sim_options *options, bool quiet, struct runner_report *report);
struct runner_report *runner_report_new(void); /* in memory shared with the children */
/* Of wait(2): 0 when all was well, else the checker that failed. */
int runner_result(int status);
/* Runs it and waits: as runner_result(). */
int runner_run(const struct sim_options *options, bool quiet, struct runner_report *report);
/* The command that repeats it. */
void runner_print(const struct sim_options *options);
/* Looks for the smallest run that fails by the same checker, and prints its command. */
void runner_shrink(struct sim_options options, int checker);
