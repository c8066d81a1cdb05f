/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of ring share
 *
 * Every submission carries the address of a struct ring_op as its user data; two low values are
 * tags for operations that nobody waits for.
 */
#pragma once
#include "ringpost/ring.h"
#include <liburing.h>

enum { LEVELS = 8, SLOT_BITS = 6, SLOTS = 1 << SLOT_BITS };

struct wheel {
    uint64_t tick;             /* milliseconds; everything before has fired or lies in due */
    uint64_t occupied[LEVELS]; /* a bit may be stale (set, list empty), never missing */
    struct list slots[LEVELS][SLOTS];
    struct list due;
};

struct recv_buffers {
    struct io_uring_buf_ring *ring;
    char *memory;
    uint32_t *offsets; /* octets of each buffer that were filled (incremental rings) */
    uint32_t size, count;
    bool incremental;
};

struct ring {
    struct io_uring uring;
    struct wheel wheel;
    struct recv_buffers buffers;
    instant now;
    wall_ms wall;
    uint64_t in_flight;
    struct ring_stats stats;
    uint64_t recent_completions, recent_time; /* x 16, and ns: see gather_count() */
    unsigned enter_flags;
    bool gathers; /* the kernel knows least waits */
    int wake_fd;  /* eventfd: the way to wake a ring where MSG_RING fails */
    bool message_works;
    struct ring_op wake_op;
    uint64_t wake_count; /* read target */
    char features[160];
};

enum { TAG_IGNORE = 0, TAG_WOKEN = 1, TAG_WAKE_SENT = 2, TAG_MASK = 3 };

struct io_uring_sqe *ring_sqe(struct ring *ring);
int ring_restrict(struct ring *ring); /* before it is enabled; 0 or -errno */
/* Queues sqe as an operation of op (and of its handle, if any). */
void ring_op_start(struct ring *ring, struct ring_op *op, struct io_uring_sqe *sqe);
void ring_op_cancel(struct ring *ring, struct ring_op *op); /* no-op when not in flight */

void ring_handle_init(struct ring_handle *handle, struct ring *ring, int fd,
                      void (*closed)(struct ring_handle *handle));
/* To CLOSING; true when the caller has to cancel its operations (first call). */
bool ring_handle_begin_close(struct ring_handle *handle);
/* Call after every completion and at the end of closing: closes the descriptor at zero. */
void ring_handle_settle(struct ring_handle *handle);

bool ring_buffers_create(struct ring *ring, const struct ring_options *options);
void ring_buffers_destroy(struct ring *ring);
/* The octets of a completion with a buffer; give it back with ring_buffers_done(). */
struct bytes ring_buffers_data(struct ring *ring, int32_t result, uint32_t flags);
void ring_buffers_done(struct ring *ring, uint32_t flags);

void ring_wheel_init(struct wheel *wheel, instant now);
