/* SPDX-License-Identifier: Apache-2.0
 *
 * ring - create, submit, wait, complete
 *
 * SINGLE_ISSUER and DEFER_TASKRUN: completions are made on the worker's own time, inside the one
 * io_uring_enter of a turn. SQPOLL was measured at twice the CPU and is not used (LIMITS.md).
 */
#include "internal.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FEAT_MIN_TIMEOUT = 1 << 15 }; /* Linux 6.12 */
enum { GATHER_WAIT_US = 100, GATHER_FROM = 8, GATHER_MAX = 32 };

static void read_clocks(struct ring *ring)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    ring->now = DURATION_S((uint64_t)mono.tv_sec) + (uint64_t)mono.tv_nsec;
    ring->wall = (wall_ms)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
}

static void explain(int error, char *why, size_t why_size)
{
    switch (error) {
    case ENOSYS:
        snprintf(why, why_size,
                 "io_uring is not available: the kernel lacks it or a seccomp filter (as in many "
                 "containers) hides it. Use Linux 6.1 or later and a seccomp profile that allows "
                 "io_uring_setup, io_uring_enter and io_uring_register");
        break;
    case EPERM:
    case EACCES:
        snprintf(
            why, why_size,
            "io_uring is forbidden here. Look at sysctl kernel.io_uring_disabled (0 allows it, "
            "1 only to kernel.io_uring_group, 2 to nobody) and at the container's seccomp "
            "profile");
        break;
    case EINVAL:
        snprintf(why, why_size,
                 "this kernel's io_uring is too old: Linux 6.1 or later is needed "
                 "(SINGLE_ISSUER and DEFER_TASKRUN)");
        break;
    case ENOMEM:
        snprintf(why, why_size,
                 "io_uring got no memory: raise the limit of locked memory (ulimit -l, systemd "
                 "LimitMEMLOCK=)");
        break;
    default:
        snprintf(why, why_size, "io_uring cannot be set up: %s", strerror(error));
    }
}

static void wake_polled(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring *ring = CONTAINER_OF(op, struct ring, wake_op);
    (void)flags;
    if (result == -ECANCELED) return;
    ssize_t got = read(ring->wake_fd, &ring->wake_count, sizeof(ring->wake_count));
    (void)got; /* the number does not matter, nor whether another turn read it */
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_poll_add(sqe, ring->wake_fd, POLLIN);
    ring_op_start(ring, op, sqe);
}

static bool has_opcode(struct ring *ring, int opcode)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring->uring);
    if (probe == NULL) return false;
    const bool has = io_uring_opcode_supported(probe, opcode);
    io_uring_free_probe(probe);
    return has;
}

struct ring *ring_create(const struct ring_options *options, char *why, size_t why_size)
{
    struct ring *ring = base_alloc(sizeof(*ring));
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = options->entries * 4,
    };
    const int error = io_uring_queue_init_params(options->entries, &ring->uring, &params);
    if (error < 0) {
        explain(-error, why, why_size);
        base_free(ring);
        return NULL;
    }
    const uint32_t needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    ring->message_works = has_opcode(ring, IORING_OP_MSG_RING);
    ring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ring->wake_fd < 0) {
        explain(errno, why, why_size);
    } else if ((params.features & needed) != needed) {
        explain(EINVAL, why, why_size);
    } else if (!ring_buffers_create(ring, options)) {
        explain(errno == ENOMEM ? ENOMEM : EINVAL, why, why_size);
    } else if (ring_restrict(ring) < 0) {
        explain(EINVAL, why, why_size);
    } else {
        ring->gathers = params.features & FEAT_MIN_TIMEOUT;
        read_clocks(ring);
        ring_wheel_init(&ring->wheel, ring->now);
        ring->wake_op.done = wake_polled;
        snprintf(ring->features, sizeof(ring->features),
                 "%u entries, receive buffers %u x %u KiB%s, %s%s", options->entries,
                 ring->buffers.count, ring->buffers.size / 1024,
                 ring->buffers.incremental ? " incremental" : "",
                 ring->message_works ? "MSG_RING" : "eventfd wake",
                 ring->gathers ? ", least waits" : "");
        return ring;
    }
    io_uring_queue_exit(&ring->uring);
    if (ring->wake_fd >= 0) close(ring->wake_fd);
    base_free(ring);
    return NULL;
}

void ring_enter_thread(struct ring *ring)
{
    /* Not by liburing: Debian 12's shared library forgot to export io_uring_enable_rings(). */
    const long error =
        syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ASSERT(error == 0);
    /* Saves a descriptor look-up a turn; may fail. */
    if (io_uring_register_ring_fd(&ring->uring) == 1) {
        ring->enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_poll_add(sqe, ring->wake_fd, POLLIN);
    ring_op_start(ring, &ring->wake_op, sqe);
}

void ring_destroy(struct ring **ring_pointer)
{
    struct ring *ring = *ring_pointer;
    ASSERT(ring->in_flight == (ring->wake_op.in_flight ? 1 : 0));
    io_uring_queue_exit(&ring->uring);
    ring_buffers_destroy(ring);
    close(ring->wake_fd);
    base_free(ring);
    *ring_pointer = NULL;
}

/* ---- submitting ------------------------------------------------------------------------------ */

struct io_uring_sqe *ring_sqe(struct ring *ring)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring->uring)) == NULL) {
        /* Full: what is queued goes first. -EBUSY: completions overflow and must be taken in. */
        const int submitted = io_uring_submit(&ring->uring);
        ring->stats.enters += 1;
        if (submitted == -EBUSY || submitted == -EAGAIN) {
            io_uring_get_events(&ring->uring);
        } else {
            ASSERT(submitted >= 0 || submitted == -EINTR);
        }
    }
    ring->stats.submitted += 1;
    return sqe;
}

void ring_op_start(struct ring *ring, struct ring_op *op, struct io_uring_sqe *sqe)
{
    ASSERT(!op->in_flight && op->done != NULL);
    op->in_flight = true;
    ring->in_flight += 1;
    if (op->handle != NULL) {
        ASSERT(op->handle->in_flight < UINT16_MAX);
        op->handle->in_flight += 1;
    }
    io_uring_sqe_set_data(sqe, op);
}

void ring_op_cancel(struct ring *ring, struct ring_op *op)
{
    if (!op->in_flight) return;
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, TAG_IGNORE);
}

/* ---- the turn -------------------------------------------------------------------------------- */

/* What liburing 2.3 does before it enters; done here so that one enter can also carry a least wait,
 * which it does not know yet. */
static unsigned flush_queue(struct io_uring_sq *sq)
{
    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

/* Waits for `count` completions for at most GATHER_WAIT, then for one until the instant. */
static int enter_and_wait(struct ring *ring, uint32_t count, instant wait_until)
{
    const duration wait = wait_until > ring->now ? wait_until - ring->now : 0;
    const struct __kernel_timespec timeout = {
        .tv_sec = (long long)(wait / DURATION_S(1)),
        .tv_nsec = (long long)(wait % DURATION_S(1)),
    };
    const struct io_uring_getevents_arg argument = {
        .ts = wait_until == INSTANT_FOREVER ? 0 : (uint64_t)(uintptr_t)&timeout,
        .pad = count > 1 ? GATHER_WAIT_US : 0, /* "min_wait_usec" since 6.12 */
    };
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | ring->enter_flags;
    const long result =
        syscall(__NR_io_uring_enter, ring->uring.enter_ring_fd, flush_queue(&ring->uring.sq),
                wait > 0 ? count : 0, flags, &argument, sizeof(argument));
    return result < 0 ? -errno : (int)result;
}

/* How many completions are worth a short wait. Many busy sessions: what arrives within GATHER_WAIT
 * is taken in one turn, which saves a fifth of the CPU (LIMITS.md). Few: nothing is gained, and
 * each would pay with latency. Both sums fade by 1/16 a turn. */
static uint32_t gather_count(const struct ring *ring, instant wait_until)
{
    if (!ring->gathers || wait_until < ring->now + DURATION_US(2 * GATHER_WAIT_US)) return 1;
    const uint64_t expected = ring->recent_completions * DURATION_US(GATHER_WAIT_US) /
                              MAX(ring->recent_time, DURATION_US(1));
    return expected < GATHER_FROM ? 1 : (uint32_t)MIN(expected, GATHER_MAX);
}

static void note_pace(struct ring *ring, instant before, uint32_t completions)
{
    ring->recent_time += (ring->now - before) * 16 - ring->recent_time / 16;
    ring->recent_completions += (uint64_t)completions * 16 - ring->recent_completions / 16;
}

static void enter(struct ring *ring, instant wait_until)
{
    ring->stats.enters += 1;
    if (io_uring_cq_ready(&ring->uring) > 0) wait_until = 0;
    const int result = enter_and_wait(ring, gather_count(ring, wait_until), wait_until);
    /* -EBUSY and -EAGAIN: the kernel wants completions taken in first, which comes next. */
    ASSERT(result >= 0 || result == -EINTR || result == -ETIME || result == -EBUSY ||
           result == -EAGAIN);
    if (io_uring_cq_has_overflow(&ring->uring)) ring->stats.overflows += 1;
}

static void wake_by_eventfd(struct ring *target)
{
    const uint64_t one = 1;
    const ssize_t written = write(target->wake_fd, &one, sizeof(one));
    (void)written; /* EAGAIN: the counter is full, the target is being woken anyway */
}

static void complete(struct ring *ring, uint64_t data, int32_t result, uint32_t flags)
{
    ring->stats.completed += 1;
    if (data == TAG_IGNORE || data == TAG_WOKEN) return;
    if ((data & TAG_MASK) == TAG_WAKE_SENT) { /* only failures complete */
        struct ring *target = (struct ring *)(uintptr_t)(data & ~(uint64_t)TAG_MASK);
        ring->message_works = false;
        wake_by_eventfd(target);
        return;
    }
    struct ring_op *op = (struct ring_op *)(uintptr_t)data;
    ASSERT(op->in_flight);
    if (!(flags & IORING_CQE_F_MORE)) {
        op->in_flight = false;
        ring->in_flight -= 1;
        if (op->handle != NULL) op->handle->in_flight -= 1;
    }
    op->done(op, result, flags);
}

uint32_t ring_turn(struct ring *ring, instant wait_until, uint32_t budget)
{
    uint32_t count = 0;
    const instant before = ring->now;
    enter(ring, wait_until);
    read_clocks(ring);
    struct io_uring_cqe *cqe;
    while (count < budget && io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
        const uint64_t data = cqe->user_data;
        const int32_t result = cqe->res;
        const uint32_t flags = cqe->flags;
        io_uring_cqe_seen(&ring->uring, cqe);
        complete(ring, data, result, flags);
        count += 1;
    }
    note_pace(ring, before, count);
    return count;
}

void ring_wake(struct ring *from, struct ring *target)
{
    if (from == NULL || !from->message_works) {
        wake_by_eventfd(target);
        return;
    }
    struct io_uring_sqe *sqe = ring_sqe(from);
    io_uring_prep_msg_ring(sqe, target->uring.ring_fd, 0, TAG_WOKEN, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)target | TAG_WAKE_SENT);
}

/* ---- handles: the one place where a descriptor is closed ---------------------------------------
 */

static void handle_closed(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_handle *handle = CONTAINER_OF(op, struct ring_handle, close_op);
    (void)result, (void)flags; /* whatever close says, the descriptor is gone */
    handle->state = RING_CLOSED;
    handle->fd = -1;
    handle->closed(handle);
}

void ring_handle_init(struct ring_handle *handle, struct ring *ring, int fd,
                      void (*closed)(struct ring_handle *handle))
{
    *handle = (struct ring_handle){
        .ring = ring,
        .fd = fd,
        .state = RING_OPEN,
        .closed = closed,
        .close_op = {.done = handle_closed},
    };
}

bool ring_handle_begin_close(struct ring_handle *handle)
{
    if (handle->state != RING_OPEN) return false;
    handle->state = RING_CLOSING;
    return true;
}

void ring_handle_settle(struct ring_handle *handle)
{
    if (handle->state != RING_CLOSING || handle->in_flight > 0) return;
    if (handle->close_op.in_flight) return;
    struct io_uring_sqe *sqe = ring_sqe(handle->ring);
    if (handle->fd >= 0) {
        io_uring_prep_close(sqe, handle->fd);
    } else {
        io_uring_prep_nop(sqe); /* nothing to close, but the news still comes from the loop */
    }
    ring_op_start(handle->ring, &handle->close_op, sqe);
}

/* ---- clock and facts
 * ------------------------------------------------------------------------------ */

instant ring_now(const struct ring *ring)
{
    return ring->now;
}

wall_ms ring_wall(const struct ring *ring)
{
    return ring->wall;
}

instant ring_clock(struct ring *ring)
{
    read_clocks(ring);
    return ring->now;
}

uint64_t ring_seed(struct ring *ring)
{
    uint64_t seed = 0;
    (void)ring;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed = hash_u64((uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 32);
    }
    return seed;
}

uint64_t ring_in_flight(const struct ring *ring)
{
    return ring->in_flight - (ring->wake_op.in_flight ? 1 : 0);
}

const struct ring_stats *ring_stats(const struct ring *ring)
{
    return &ring->stats;
}

const char *ring_features(const struct ring *ring)
{
    return ring->features;
}
