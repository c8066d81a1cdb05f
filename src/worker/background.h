/* SPDX-License-Identifier: Apache-2.0
 *
 * background - the threads behind worker_offload(), one set for all workers of a process
 */
#pragma once
#include "ringpost/worker.h"

/* No thread yet. threads_max: 1..WORKER_BACKGROUND_MAX. */
struct background *background_create(uint32_t threads_max);
/* Waits for the tasks that run, drops those that wait. Nothing is taken any more. */
void background_stop(struct background *background);
void background_destroy(struct background **background); /* stopped or never used */
