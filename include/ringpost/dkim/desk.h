/* SPDX-License-Identifier: Apache-2.0
 *
 * desk - where a worker has its signatures made: so many in a turn, the rest lent to other workers
 *
 * Job     the operations with keys of one message. One of them takes longer than all else about it.
 *         So a worker does 2 ms of them in a turn; and what would have to wait goes to the worker
 *         that has the least of them, if it comes back sooner from there.
 * Drive   by hooks of the worker: what is left of the turns before comes first among its decisions,
 *         what is new before anything is flushed. So `done` may still use this turn's commit.
 * Owner   one desk a worker. What is handed in is copied; keys must stay until `done`.
 */
#pragma once
#include "ringpost/dkim.h"
#include "ringpost/worker.h"

struct dkim_desk;

/* Adds its hooks: create it before those who use it, so that what it finishes comes before theirs.
 */
struct dkim_desk *dkim_desk_create(struct worker *worker);
void dkim_desk_destroy(struct dkim_desk **desk); /* nothing is being signed */

/* Text with fields that dkim_field_write() has written into it. `done` is called once, on this
 * core, never from inside: good - all holes are filled; else OpenSSL failed with one of the keys.
 * The text is valid during the call. */
void dkim_desk_sign(struct dkim_desk *desk, const struct dkim_field *fields, uint32_t count,
                    struct bytes text, void (*done)(void *context, struct bytes text, bool good),
                    void *context);
