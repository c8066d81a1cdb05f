/* SPDX-License-Identifier: Apache-2.0
 *
 * restrictions - what a ring can be used for at all (IORING_REGISTER_RESTRICTIONS)
 *
 * System-call filters and audit do not see what a ring does. So that hostile octets that found a
 * way into the process gain nothing by that, each ring is told before it is enabled which
 * operations the other files of this module use; the kernel refuses all others with EACCES. No
 * ring can open, rename or remove a file.
 */
#include "internal.h"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint8_t operations[] = {
    IORING_OP_ACCEPT,    IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,    IORING_OP_CONNECT,
    IORING_OP_FALLOCATE, IORING_OP_FSYNC,        IORING_OP_MSG_RING, IORING_OP_NOP,
    IORING_OP_POLL_ADD,  IORING_OP_READ,         IORING_OP_RECV,     IORING_OP_SEND,
    IORING_OP_SENDMSG,   IORING_OP_WRITE,
};
static const uint8_t registrations[] = {
    IORING_REGISTER_RING_FDS, IORING_UNREGISTER_RING_FDS, /* of the ring's own descriptor */
};
enum { FLAGS = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS };

int ring_restrict(struct ring *ring)
{
    struct io_uring_restriction all[ARRAY_COUNT(operations) + ARRAY_COUNT(registrations) + 1] = {0};
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        all[count].opcode = IORING_RESTRICTION_SQE_OP;
        all[count++].sqe_op = operations[i];
    }
    for (size_t i = 0; i < ARRAY_COUNT(registrations); i++) {
        all[count].opcode = IORING_RESTRICTION_REGISTER_OP;
        all[count++].register_op = registrations[i];
    }
    all[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    all[count++].sqe_flags = FLAGS;
    /* Not by liburing: Debian 12's shared library does not export the call. */
    const long result = syscall(__NR_io_uring_register, ring->uring.ring_fd,
                                IORING_REGISTER_RESTRICTIONS, all, count);
    return result < 0 ? -errno : 0;
}
