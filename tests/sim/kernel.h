/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel - descriptors, io_uring and the system calls of one life of the process
 */
#pragma once
#include "disk.h"
#include "net.h"
#include "sim.h"
#include <liburing.h>

/* ---- descriptors (files.c) ---------------------------------------------------------------------
 */

enum kernel_kind {
    KERNEL_FREE = 0,
    KERNEL_FILE,
    KERNEL_FOLDER,
    KERNEL_SOCKET, /* a byte stream, or one to become a stream or a listener */
    KERNEL_LISTENER,
    KERNEL_COUNTER, /* eventfd */
    KERNEL_SIGNALS, /* signalfd */
    KERNEL_RING,
    KERNEL_PROBE, /* a socket that was bound only to see whether it could be */
};

struct kernel_file {
    uint8_t kind;
    uint32_t in_flight; /* operations: the number may not mean another file before they are done */
    /* KERNEL_FILE, KERNEL_FOLDER */
    struct disk_file *file;
    char path[160];
    bool direct, append, locked;
    /* KERNEL_SOCKET */
    struct net_end *end;
    struct kernel_op *recv, *send, *connect;
    bool reuse_port;
    struct address source; /* bound to */
    /* KERNEL_LISTENER */
    struct net_listener *listener;
    struct kernel_op *accept;
    struct net_end *backlog[64];
    uint32_t backlog_count;
    /* KERNEL_COUNTER, KERNEL_SIGNALS */
    uint64_t count;
    uint32_t signals[8];
    struct kernel_op *poll;
    /* KERNEL_RING */
    struct kernel_ring *ring;
};

enum { KERNEL_FILES_MAX = 4096 };
int kernel_fd_new(enum kernel_kind kind);
struct kernel_file *kernel_file(int fd); /* NULL: not open */
int kernel_fd_close(int fd);             /* 0 or -errno */
uint32_t kernel_open_files(void);
void kernel_signal(uint32_t number); /* to the process */
void kernel_process_died(void);      /* everything of this life goes */
void kernel_memory_gone(void);       /* all that is mapped (memory.c) */

/* ---- io_uring (uring.c) ------------------------------------------------------------------------
 */

struct kernel_op {    /* a submission in flight */
    struct list link; /* of its ring */
    struct kernel_ring *ring;
    struct io_uring_sqe sqe;
    struct sim_event event;
    size_t done; /* octets of a send */
    int32_t result;
    bool ready; /* the event completes it */
    bool cancelled;
    instant since;
};
/* The last completion of op: in a moment. */
void kernel_op_finish(struct kernel_op *op, int32_t result);
/* One completion of several; false: op has ended with it. */
bool kernel_op_more(struct kernel_op *op, int32_t result, uint32_t flags);
/* A provided buffer, filled with up to max octets by read(); result < 0: there is none. */
int32_t kernel_fill_buffer(struct kernel_op *op, struct net_end *end, uint32_t *flags);
uint64_t kernel_in_flight(void);     /* over all rings */
uint64_t kernel_in_flight_max(void); /* ever, of one ring */
void kernel_rings_gone(void);

/* Operations on sockets (sockets.c) and files (storage.c): called on submission and cancellation.
 */
void kernel_socket_op(struct kernel_op *op, struct kernel_file *file);
bool kernel_socket_cancel(struct kernel_op *op); /* false: it has to end by itself */
void kernel_storage_op(struct kernel_op *op, struct kernel_file *file);
/* Every durable write and every sync fails until then. */
void kernel_storage_break(instant until);
bool kernel_storage_is_broken(void);
void kernel_storage_cut(void);    /* a power cut: writes in flight are torn */
void kernel_storage_killed(void); /* SIGKILL: each is done or not */
void kernel_poll_op(struct kernel_op *op, struct kernel_file *file);
void kernel_poll_check(struct kernel_file *file);
