/* SPDX-License-Identifier: Apache-2.0
 *
 * uring - the kernel's side of io_uring, in the memory that liburing looks at
 *
 * Only what ring uses is there, and anything else it would ask for is a failure of the run. What
 * the kernel may do and rarely does happens often here: completions in any order, receives that
 * end, buffers that run out, a completion queue that overflows, waits that are interrupted.
 */
#include "kernel.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PBUF_RING_INCREMENTAL = 2, CQE_F_BUF_MORE = 1 << 4, FEAT_MIN_TIMEOUT = 1 << 15 };
enum { RINGS_MAX = 66 };

struct completion {
    struct list link;
    uint64_t data;
    int32_t result;
    uint32_t flags;
};

struct kernel_ring {
    struct io_uring *user;
    struct sim_thread *thread; /* the one that waits, or waited */
    int fd;
    unsigned sq_head, sq_tail, sq_flags, sq_dropped, cq_head, cq_tail, cq_flags, cq_overflow;
    unsigned *array;
    struct list in_flight; /* of kernel_op */
    struct list ready;     /* of completion: what the next enter posts */
    struct list overflow;  /* of completion: there was no room */
    struct io_uring_buf_ring *buffers;
    uint32_t buffer_mask, buffer_head, buffer_used;
    bool incremental, enabled, waiting;
    uint64_t count;
};

static struct kernel_ring *rings[RINGS_MAX];
static uint32_t ring_count;
static uint64_t most_in_flight;
static bool has_message, has_incremental, has_least_waits;

/* ---- completions -------------------------------------------------------------------------------
 */

static void post(struct kernel_ring *ring, uint64_t data, int32_t result, uint32_t flags)
{
    struct completion *completion = base_alloc(sizeof(*completion));
    *completion = (struct completion){.data = data, .result = result, .flags = flags};
    list_push_back(&ring->ready, &completion->link);
    if (ring->waiting) threads_wake(ring->thread);
}

static uint32_t cq_room(struct kernel_ring *ring)
{
    const uint32_t used = ring->cq_tail - ring->cq_head;
    uint32_t size = ring->user->cq.ring_entries;
    return size - used;
}

static void move_to_queue(struct kernel_ring *ring)
{
    uint32_t room = cq_room(ring);
    /* As if it were a small one: what does not fit waits as an overflow. */
    if (sim_fault(SIM_FAULT_RING, SIM_RING, 50)) room = MIN(room, 2u);
    list_append_all(&ring->overflow, &ring->ready);
    while (room-- > 0 && !list_is_empty(&ring->overflow)) {
        struct completion *first =
            CONTAINER_OF(list_pop_front(&ring->overflow), struct completion, link);
        struct io_uring_cqe *cqe = &ring->user->cq.cqes[ring->cq_tail & ring->user->cq.ring_mask];
        cqe->user_data = first->data;
        cqe->res = first->result;
        cqe->flags = first->flags;
        ring->cq_tail += 1;
        sim_note((uint64_t)(uint32_t)first->result);
        base_free(first);
    }
    ring->sq_flags = list_is_empty(&ring->overflow) ? 0 : IORING_SQ_CQ_OVERFLOW;
}

static void end_op(struct kernel_op *op, int32_t result, uint32_t flags)
{
    struct kernel_ring *ring = op->ring;
    const bool quiet = (op->sqe.flags & IOSQE_CQE_SKIP_SUCCESS) && result >= 0;
    struct kernel_file *file = op->sqe.fd >= 0 ? kernel_file(op->sqe.fd) : NULL;
    if (file != NULL && file->in_flight > 0) file->in_flight -= 1;
    if (!quiet) post(ring, op->sqe.user_data, result, flags);
    list_remove(&op->link);
    ring->count -= 1;
    base_free(op);
}

static void op_event(struct sim_event *event)
{
    struct kernel_op *op = CONTAINER_OF(event, struct kernel_op, event);
    end_op(op, op->result, 0);
}

static duration moment(void)
{
    return DURATION_US(1 + sim_skewed(SIM_RING, 0, 30));
}

void kernel_op_finish(struct kernel_op *op, int32_t result)
{
    ASSERT(!op->ready);
    op->ready = true;
    op->result = result;
    op->event.happen = op_event;
    sim_after(&op->event, moment());
}

bool kernel_op_more(struct kernel_op *op, int32_t result, uint32_t flags)
{
    if (result > 0 || (op->sqe.opcode == IORING_OP_ACCEPT && result == 0)) {
        if (!sim_fault(SIM_FAULT_RING, SIM_RING, 20)) {
            post(op->ring, op->sqe.user_data, result, flags | IORING_CQE_F_MORE);
            return true;
        }
    }
    end_op(op, result, flags);
    return false;
}

int32_t kernel_fill_buffer(struct kernel_op *op, struct net_end *end, uint32_t *flags)
{
    struct kernel_ring *ring = op->ring;
    const uint16_t tail = ring->buffers->tail;
    *flags = 0;
    if ((uint16_t)ring->buffer_head == tail || sim_fault(SIM_FAULT_RING, SIM_RING, 60))
        return -ENOBUFS;
    struct io_uring_buf *buffer = &ring->buffers->bufs[ring->buffer_head & ring->buffer_mask];
    char *data = (char *)(uintptr_t)buffer->addr + ring->buffer_used;
    size_t room = buffer->len - ring->buffer_used;
    if (sim_fault(SIM_FAULT_RING, SIM_RING, 10)) room = 1 + sim_skewed(SIM_RING, 0, room - 1);
    const size_t got = net_read(end, data, room);
    *flags = IORING_CQE_F_BUFFER | (uint32_t)buffer->bid << IORING_CQE_BUFFER_SHIFT;
    if (ring->incremental && ring->buffer_used + got < buffer->len) {
        ring->buffer_used += (uint32_t)got;
        *flags |= CQE_F_BUF_MORE;
    } else {
        ring->buffer_head += 1;
        ring->buffer_used = 0;
    }
    return (int32_t)got;
}

/* ---- submissions -------------------------------------------------------------------------------
 */

static struct kernel_op *find_op(struct kernel_ring *ring, uint64_t data)
{
    LIST_FOR_EACH(node, &ring->in_flight)
    {
        struct kernel_op *op = CONTAINER_OF(node, struct kernel_op, link);
        if (op->sqe.user_data == data && !op->ready && op->sqe.opcode != IORING_OP_ASYNC_CANCEL)
            return op;
    }
    return NULL;
}

static int32_t cancel(struct kernel_ring *ring, uint64_t data)
{
    struct kernel_op *op = find_op(ring, data);
    if (op == NULL) return -ENOENT;
    if (op->cancelled || !kernel_socket_cancel(op)) return -EALREADY;
    op->cancelled = true;
    kernel_op_finish(op, -ECANCELED);
    return 0;
}

static int32_t message(struct kernel_op *op)
{
    const struct kernel_file *file = kernel_file(op->sqe.fd);
    if (!has_message || file == NULL || file->kind != KERNEL_RING) return -EBADFD;
    post(file->ring, op->sqe.off, (int32_t)op->sqe.len, 0);
    return 0;
}

static void submit(struct kernel_ring *ring, const struct io_uring_sqe *sqe)
{
    struct kernel_op *op = base_alloc(sizeof(*op));
    struct kernel_file *file = sqe->fd >= 0 ? kernel_file(sqe->fd) : NULL;
    op->ring = ring;
    op->sqe = *sqe;
    op->since = sim.now;
    op->event.happen = op_event;
    list_push_back(&ring->in_flight, &op->link);
    ring->count += 1;
    most_in_flight = MAX(most_in_flight, ring->count);
    switch (sqe->opcode) {
    case IORING_OP_NOP:
        op->sqe.fd = -1;
        kernel_op_finish(op, 0);
        return;
    case IORING_OP_ASYNC_CANCEL:
        op->sqe.fd = -1;
        op->ready = true;
        end_op(op, cancel(ring, sqe->addr), 0);
        return;
    case IORING_OP_MSG_RING: {
        const int32_t result = message(op);
        op->sqe.fd = -1;
        op->ready = true;
        end_op(op, result, 0);
        return;
    }
    case IORING_OP_CLOSE:
        if (file == NULL || file->in_flight > 0) {
            sim_fail(SIM_CHECK_KERNEL, "descriptor %d is closed with %u operations in flight",
                     sqe->fd, file == NULL ? 0 : file->in_flight);
        }
        op->sqe.fd = -1;
        /* Some ends of files complain; the descriptor is gone all the same. */
        kernel_op_finish(op, sim_fault(SIM_FAULT_RING, SIM_RING, 40)
                                 ? (kernel_fd_close(sqe->fd), -EIO)
                                 : kernel_fd_close(sqe->fd));
        return;
    default:
        break;
    }
    if (file == NULL) {
        sim_fail(SIM_CHECK_KERNEL, "operation %u on descriptor %d, which is not open", sqe->opcode,
                 sqe->fd);
    }
    file->in_flight += 1;
    if (sqe->opcode != IORING_OP_CONNECT && sqe->opcode != IORING_OP_POLL_ADD &&
        sim_fault(SIM_FAULT_RING, SIM_RING,
                  250)) { /* nothing was done; the asker has to ask again */
        kernel_op_finish(op, sim_below(SIM_RING, 2) ? -EINTR : -EAGAIN);
        return;
    }
    switch (sqe->opcode) {
    case IORING_OP_RECV:
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_ACCEPT:
    case IORING_OP_CONNECT:
        kernel_socket_op(op, file);
        return;
    case IORING_OP_POLL_ADD:
        kernel_poll_op(op, file);
        return;
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_FSYNC:
    case IORING_OP_FALLOCATE:
        kernel_storage_op(op, file);
        return;
    default:
        sim_fail(SIM_CHECK_KERNEL, "operation %u is not known here", sqe->opcode);
    }
}

static uint32_t submit_all(struct kernel_ring *ring)
{
    uint32_t count = 0;
    while (ring->sq_head != ring->sq_tail) {
        const struct io_uring_sqe sqe =
            ring->user->sq.sqes[ring->sq_head & ring->user->sq.ring_mask];
        ring->sq_head += 1;
        submit(ring, &sqe);
        count += 1;
    }
    return count;
}

static bool has_news(struct kernel_ring *ring)
{
    return !list_is_empty(&ring->ready) || !list_is_empty(&ring->overflow) ||
           ring->cq_tail != ring->cq_head;
}

/* The wait of io_uring_enter; a chance for the other threads in any case. */
static int wait(struct kernel_ring *ring, instant until)
{
    ring->thread = threads_current();
    ring->waiting = true;
    if (has_news(ring) || until <= sim.now || sim_fault(SIM_FAULT_RING, SIM_RING, 200)) {
        threads_sleep(sim.now);
    } else if (sim.options.canary == SIM_CANARY_DEAF && sim_below(SIM_RING, 300) == 0) {
        ring->waiting = false;
        threads_sleep(INSTANT_FOREVER);
    } else {
        threads_sleep(until);
    }
    ring->waiting = false;
    if (has_news(ring)) return 0;
    return sim.now >= until ? -ETIME : -EINTR;
}

static long enter(unsigned fd, unsigned to_submit, unsigned count, unsigned flags,
                  const struct io_uring_getevents_arg *argument)
{
    const struct kernel_file *file = kernel_file((int)fd);
    if (file == NULL || file->kind != KERNEL_RING || !file->ring->enabled)
        sim_fail(SIM_CHECK_KERNEL, "io_uring_enter of what is no enabled ring");
    struct kernel_ring *ring = file->ring;
    (void)to_submit;
    if (sim_fault(SIM_FAULT_RING, SIM_RING, 400)) return -EBUSY;
    const uint32_t submitted = submit_all(ring);
    instant until = sim.now;
    if ((flags & IORING_ENTER_GETEVENTS) && count > 0) {
        const struct __kernel_timespec *limit = (const void *)(uintptr_t)argument->ts;
        until = limit == NULL
                    ? INSTANT_FOREVER
                    : sim.now + DURATION_S((uint64_t)limit->tv_sec) + (uint64_t)limit->tv_nsec;
    }
    const int waited = wait(ring, until);
    if (flags & IORING_ENTER_GETEVENTS) move_to_queue(ring);
    if (submitted > 0) return submitted;
    return count > 0 ? waited : 0;
}

/* ---- liburing ----------------------------------------------------------------------------------
 */

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *user,
                                      struct io_uring_params *params);
void __wrap_io_uring_queue_exit(struct io_uring *user);
int __wrap_io_uring_submit(struct io_uring *user);
int __wrap_io_uring_get_events(struct io_uring *user);
int __wrap___io_uring_get_cqe(struct io_uring *user, struct io_uring_cqe **cqe, unsigned submit,
                              unsigned wait_nr, sigset_t *mask);
int __wrap_io_uring_register_buf_ring(struct io_uring *user, struct io_uring_buf_reg *registration,
                                      unsigned flags);
int __wrap_io_uring_register_ring_fd(struct io_uring *user);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *user);
void __wrap_io_uring_free_probe(struct io_uring_probe *probe);
long __wrap_syscall(long number, ...);

static struct kernel_ring *ring_of(const struct io_uring *user)
{
    const struct kernel_file *file = kernel_file(user->ring_fd);
    ASSERT(file != NULL && file->kind == KERNEL_RING);
    return file->ring;
}

/* Every life may have another kernel below it. */
static void choose_kernel(void)
{
    has_message = sim_below(SIM_RING, 4) > 0;
    has_incremental = sim_below(SIM_RING, 2) == 0;
    has_least_waits = sim_below(SIM_RING, 2) == 0;
}

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *user,
                                      struct io_uring_params *params)
{
    if (ring_count == 0) choose_kernel();
    ASSERT(ring_count < RINGS_MAX);
    const int fd = kernel_fd_new(KERNEL_RING);
    struct kernel_ring *ring = base_alloc(sizeof(*ring));
    *user = (struct io_uring){.ring_fd = fd, .enter_ring_fd = fd, .flags = params->flags};
    ring->user = user;
    ring->fd = fd;
    ring->array = base_alloc(entries * sizeof(*ring->array));
    list_init(&ring->in_flight);
    list_init(&ring->ready);
    list_init(&ring->overflow);
    user->sq = (struct io_uring_sq){
        .khead = &ring->sq_head,
        .ktail = &ring->sq_tail,
        .kflags = &ring->sq_flags,
        .kdropped = &ring->sq_dropped,
        .array = ring->array,
        .sqes = base_alloc(entries * sizeof(struct io_uring_sqe)),
        .ring_mask = entries - 1,
        .ring_entries = entries,
    };
    user->cq = (struct io_uring_cq){
        .khead = &ring->cq_head,
        .ktail = &ring->cq_tail,
        .kflags = &ring->cq_flags,
        .koverflow = &ring->cq_overflow,
        .cqes = base_alloc(params->cq_entries * sizeof(struct io_uring_cqe)),
        .ring_mask = params->cq_entries - 1,
        .ring_entries = params->cq_entries,
    };
    params->features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP |
                       (has_least_waits ? FEAT_MIN_TIMEOUT : 0u);
    user->features = params->features;
    kernel_file(fd)->ring = ring;
    rings[ring_count++] = ring;
    return 0;
}

void __wrap_io_uring_queue_exit(struct io_uring *user)
{
    struct kernel_ring *ring = ring_of(user);
    /* The kernel ends what is in flight by itself; only the poll of the wake-up may be left. */
    struct list *node;
    while ((node = list_pop_front(&ring->in_flight)) != NULL) {
        struct kernel_op *op = CONTAINER_OF(node, struct kernel_op, link);
        if (op->sqe.opcode != IORING_OP_POLL_ADD && !op->ready)
            sim_fail(SIM_CHECK_IDLE, "a ring is closed with operation %u in flight",
                     op->sqe.opcode);
        struct kernel_file *file = op->sqe.fd >= 0 ? kernel_file(op->sqe.fd) : NULL;
        if (file != NULL) file->in_flight -= 1;
        if (file != NULL) file->poll = NULL;
        sim_cancel(&op->event);
        base_free(op);
    }
    list_append_all(&ring->ready, &ring->overflow);
    while ((node = list_pop_front(&ring->ready)) != NULL)
        base_free(CONTAINER_OF(node, struct completion, link));
    const uint16_t provided = (uint16_t)(ring->buffers->tail - (uint16_t)ring->buffer_head);
    if (provided != ring->buffer_mask + 1)
        sim_fail(SIM_CHECK_IDLE, "of %u receive buffers %u are with the kernel at the end",
                 ring->buffer_mask + 1, provided);
    base_free(ring->array);
    base_free(user->sq.sqes);
    base_free(user->cq.cqes);
    for (uint32_t i = 0; i < ring_count; i++) {
        if (rings[i] == ring) rings[i] = rings[--ring_count];
    }
    (void)kernel_fd_close(ring->fd);
    base_free(ring);
}

static unsigned flush(struct io_uring *user)
{
    user->sq.sqe_head = user->sq.sqe_tail;
    *user->sq.ktail = user->sq.sqe_tail;
    return user->sq.sqe_tail - *user->sq.khead;
}

int __wrap_io_uring_submit(struct io_uring *user)
{
    struct kernel_ring *ring = ring_of(user);
    flush(user);
    if (sim_fault(SIM_FAULT_RING, SIM_RING, 20)) return -EBUSY;
    return (int)submit_all(ring);
}

int __wrap_io_uring_get_events(struct io_uring *user)
{
    move_to_queue(ring_of(user));
    return 0;
}

int __wrap___io_uring_get_cqe(struct io_uring *user, struct io_uring_cqe **cqe, unsigned submit,
                              unsigned wait_nr, sigset_t *mask)
{
    struct kernel_ring *ring = ring_of(user);
    (void)mask;
    ASSERT(submit == 0 && wait_nr == 0);
    if (ring->cq_head == ring->cq_tail && ring->sq_flags != 0) move_to_queue(ring);
    *cqe = NULL;
    if (ring->cq_head == ring->cq_tail) return -EAGAIN;
    *cqe = &user->cq.cqes[ring->cq_head & user->cq.ring_mask];
    return 0;
}

int __wrap_io_uring_register_buf_ring(struct io_uring *user, struct io_uring_buf_reg *registration,
                                      unsigned flags)
{
    struct kernel_ring *ring = ring_of(user);
    (void)flags;
    const bool incremental = registration->pad & PBUF_RING_INCREMENTAL;
    if (incremental && !has_incremental) return -EINVAL;
    ring->buffers = (struct io_uring_buf_ring *)(uintptr_t)registration->ring_addr;
    ring->buffer_mask = registration->ring_entries - 1;
    ring->incremental = incremental;
    return 0;
}

int __wrap_io_uring_register_ring_fd(struct io_uring *user)
{
    (void)user;
    return sim_below(SIM_RING, 2) == 0 ? 1 : -EINVAL;
}

struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *user)
{
    (void)user;
    struct io_uring_probe *probe =
        base_alloc(sizeof(*probe) + 256 * sizeof(struct io_uring_probe_op));
    probe->last_op = 255;
    for (unsigned i = 0; i < 256; i++) {
        probe->ops[i].op = (uint8_t)i;
        probe->ops[i].flags = i == IORING_OP_MSG_RING && !has_message ? 0 : IO_URING_OP_SUPPORTED;
    }
    return probe;
}

void __wrap_io_uring_free_probe(struct io_uring_probe *probe)
{
    base_free(probe);
}

static long register_call(va_list arguments)
{
    const int fd = va_arg(arguments, int), what = va_arg(arguments, int);
    struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->kind != KERNEL_RING)
        sim_fail(SIM_CHECK_KERNEL, "io_uring_register of what is no ring");
    if (what == IORING_REGISTER_ENABLE_RINGS) file->ring->enabled = true;
    return 0;
}

static long fail_with(long result)
{
    if (result >= 0) return result;
    errno = (int)-result;
    return -1;
}

long __wrap_syscall(long number, ...)
{
    long result = -ENOSYS;
    va_list arguments;
    va_start(arguments, number);
    if (number == __NR_io_uring_enter) {
        const unsigned fd = va_arg(arguments, unsigned), to_submit = va_arg(arguments, unsigned),
                       count = va_arg(arguments, unsigned), flags = va_arg(arguments, unsigned);
        result = enter(fd, to_submit, count, flags, va_arg(arguments, const void *));
    } else if (number == __NR_io_uring_register) {
        result = register_call(arguments);
    }
    va_end(arguments);
    return fail_with(result);
}

/* ---- the world's view --------------------------------------------------------------------------
 */

uint64_t kernel_in_flight(void)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < ring_count; i++)
        count += rings[i]->count;
    return count;
}

uint64_t kernel_in_flight_max(void)
{
    return most_in_flight;
}

void kernel_rings_gone(void)
{
    for (uint32_t i = 0; i < ring_count; i++) {
        LIST_FOR_EACH(node, &rings[i]->in_flight)
        sim_cancel(&CONTAINER_OF(node, struct kernel_op, link)->event);
    }
    ring_count = 0;
}
