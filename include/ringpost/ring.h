/* SPDX-License-Identifier: Apache-2.0
 *
 * ring - sockets, files, timers and the clock of one worker (a seam)
 *
 * Job     the only module that knows io_uring. The simulator links another implementation of this
 *         header; nothing else in the product may reach the outside world (main excepted).
 * Drive   the worker calls ring_turn(), then ring_timers_run(); completions and timers call back.
 *         Callbacks may start operations and close handles, also their own.
 * Owner   every object below is embedded in its user. An operation in the ring owns its buffer and
 *         pins its object, so ONE rule holds for all: ring_*_close() cancels what is in flight,
 *         and only on_closed - called exactly once, never from inside ring_*_close() - gives the
 *         object back. Between the two no other callback of the object is called.
 * Errors  results are 0 / a count, or -errno. "Cannot submit" does not exist: the submission queue
 *         is flushed when full.
 * Threads one thread a ring; only ring_wake() reaches another ring.
 */
#pragma once
#include "ringpost/base.h"
#include <sys/uio.h>

struct ring;

struct ring_options {
    uint32_t entries;           /* submission queue, power of two; completions: 4 x */
    uint32_t recv_buffer_size;  /* octets of one provided buffer; 0 = choose by kernel features */
    uint32_t recv_buffer_count; /* power of two; 0 = choose */
};
/* NULL: not possible on this machine; why then says the reason and what to do, in words. */
struct ring *ring_create(const struct ring_options *options, char *why, size_t why_size);
void ring_destroy(struct ring **ring); /* ASSERTs that nothing is in flight */

/* Binds the ring to the calling thread; before its first use there (create is done by main, so
 * that failure is an ordinary message at start). */
void ring_enter_thread(struct ring *ring);

/* Submits what was queued, waits for at least one completion until the instant (0 = do not wait),
 * then calls back for up to `budget` completions. Returns how many. One system call at most, as a
 * rule. The clock stands still during a turn: it moves here. */
uint32_t ring_turn(struct ring *ring, instant wait_until, uint32_t budget);
instant ring_now(const struct ring *ring);
wall_ms ring_wall(const struct ring *ring);
instant ring_clock(
    struct ring *ring); /* reads and moves the clock now: for measuring inside a turn */
uint64_t ring_seed(struct ring *ring); /* unpredictable bits (in the simulator: from its seed) */

/* Makes a sleeping ring_turn() of target return: with the next turn of `from`, the calling thread's
 * own ring; at once if from is NULL (by a system call of its own). */
void ring_wake(struct ring *from, struct ring *target);

uint64_t ring_in_flight(const struct ring *ring); /* operations, for tests and metrics */
struct ring_stats {
    uint64_t enters, submitted, completed, recv_buffers_dry, overflows;
};
const struct ring_stats *ring_stats(const struct ring *ring);
const char *ring_features(const struct ring *ring); /* for the log: what was probed and is used */

/* ---- timers: O(1), 1 ms steps, never early --------------------------------------------------- */

struct ring_timer {
    struct list link;
    instant at; /* 0 = not armed */
    void (*on_fire)(struct ring_timer *timer);
};
void ring_timer_init(struct ring_timer *timer, void (*on_fire)(struct ring_timer *timer));
void ring_timer_arm(struct ring *ring, struct ring_timer *timer, instant at); /* or move it */
void ring_timer_disarm(struct ring *ring, struct ring_timer *timer); /* no-op when not armed */
static inline bool ring_timer_is_armed(const struct ring_timer *timer)
{
    return timer->at != 0;
}
uint32_t ring_timers_run(struct ring *ring, uint32_t budget); /* returns how many fired */
instant ring_timers_next(
    const struct ring *ring); /* not after the first; INSTANT_FOREVER if none */

/* ---- operations ------------------------------------------------------------------------------ */

/* One operation in flight. Embedded; reused when done was called. The ring's own. */
struct ring_op {
    struct ring_handle *handle; /* pinned while in flight; may be NULL */
    void (*done)(struct ring_op *op, int32_t result, uint32_t flags);
    bool in_flight;
    bool multishot;
};
/* What sockets, listeners, files and polls have in common. */
struct ring_handle {
    struct ring *ring;
    int32_t fd;
    uint16_t in_flight;
    uint8_t state; /* RING_CLOSED, RING_OPEN, RING_CLOSING */
    struct ring_op close_op;
    void (*closed)(struct ring_handle *handle);
};
enum ring_handle_state { RING_CLOSED = 0, RING_OPEN, RING_CLOSING };

/* ---- sockets: one byte stream ------------------------------------------------------------------
 */

struct ring_socket;
struct ring_socket_events {
    /* Of ring_socket_connect(): 0 or -errno. After an error: close it. */
    void (*on_connected)(struct ring_socket *socket, int error);
    /* data lives until the callback returns. Empty data: end of stream (error 0) or an error; no
     * more comes then. After ring_recv_stop() what was on its way may still arrive. */
    void (*on_received)(struct ring_socket *socket, struct bytes data, int error);
    /* Of ring_send(): all octets (never less) or -errno. */
    void (*on_sent)(struct ring_socket *socket, int64_t result);
    void (*on_closed)(struct ring_socket *socket);
};
enum { RING_SEND_PIECES_MAX = 32 };
struct ring_socket {
    struct ring_handle handle;
    const struct ring_socket_events *events;
    struct ring_op recv_op, send_op, connect_op;
    bool recv_wanted;                          /* between start and stop */
    bool recv_ended;                           /* end of stream or error was reported */
    struct iovec pieces[RING_SEND_PIECES_MAX]; /* of the send in flight */
    uint32_t piece_count;
    int32_t open_error; /* why there is no descriptor to connect */
    size_t send_len, send_done;
    uint64_t address_storage[16]; /* struct sockaddr_storage, while connecting */
    uint64_t message_storage[7];  /* struct msghdr, while sending */
};
/* For one accepted descriptor (see listeners). */
void ring_socket_adopt(struct ring_socket *socket, struct ring *ring, int fd,
                       const struct ring_socket_events *events);
/* Opens a TCP socket (or a local one, see ring_socket_connect_path) and connects it; source may be
 * NULL or has port 0. Failures of socket() and bind() are reported through on_connected too. */
void ring_socket_connect(struct ring_socket *socket, struct ring *ring, const struct address *peer,
                         const struct address *source, const struct ring_socket_events *events);
void ring_recv_start(struct ring_socket *socket);
void ring_recv_stop(struct ring_socket *socket);
/* One send in flight at a time; at most RING_SEND_PIECES_MAX pieces, not 0 octets. The octets (not
 * the array) must stay until on_sent. */
void ring_send(struct ring_socket *socket, const struct bytes *pieces, size_t count);
static inline bool ring_is_sending(const struct ring_socket *socket)
{
    return socket->send_op.in_flight;
}
void ring_socket_close(struct ring_socket *socket);    /* idempotent */
void ring_socket_shutdown(struct ring_socket *socket); /* no more will be sent (half-close) */
/* Ends both directions: what has arrived is still received, then the end of the stream. */
void ring_socket_break(struct ring_socket *socket);
/* Octets that the peer's system has acknowledged since the connection began; 0 when unknown (no
 * TCP). A send completes as a whole, so this is how to see that a slow one moves. A system call. */
uint64_t ring_socket_acked(const struct ring_socket *socket);
/* Own address of a connected socket; family 0 when unknown. */
struct address ring_socket_local(const struct ring_socket *socket);

/* ---- listeners ----------------------------------------------------------------------------------
 */

struct ring_listener {
    struct ring_handle handle;
    struct ring_op accept_op;
    struct ring_timer pause; /* after an error */
    bool local;              /* a path, not an address */
    bool wanted;             /* between start and stop */
    /* Own it from here: adopt or ring_fd_refuse(). */
    void (*on_accepted)(struct ring_listener *listener, int fd, const struct address *peer);
    void (*on_error)(struct ring_listener *listener, int error); /* may be NULL; accept goes on */
    void (*on_closed)(struct ring_listener *listener);           /* may be NULL */
};
/* Binds and listens with SO_REUSEPORT; 0 or -errno. port 0: *address is filled in. Nothing is
 * accepted before ring_accept_start(). */
int ring_listen(struct ring_listener *listener, struct ring *ring, struct address *address,
                int backlog);
/* 0 when nobody listens there, -EADDRINUSE when somebody does: SO_REUSEPORT would not tell. */
int ring_listen_probe(struct ring *ring, const struct address *address);
/* A local (AF_UNIX) listener with the given file mode; a stale socket file is replaced. */
int ring_listen_path(struct ring_listener *listener, struct ring *ring, const char *path,
                     unsigned mode);
int ring_connect_path(const char *path); /* to such a one, of any length; blocks; a descriptor */
void ring_accept_start(struct ring_listener *listener);
void ring_accept_stop(struct ring_listener *listener); /* what was on its way may still arrive */
void ring_listener_close(struct ring_listener *listener);
/* Closes an accepted descriptor at once after sending text (may be empty) without waiting. */
void ring_fd_refuse(struct ring *ring, int fd, struct bytes text);

/* ---- polls: descriptors of a foreign library (c-ares) or of main (signals)
 * ------------------------ */

struct ring_poll {
    struct ring_handle handle;
    struct ring_op poll_op;
    uint32_t events; /* POLLIN | POLLOUT */
    /* One-shot: call ring_poll_start() again if wanted. */
    void (*on_ready)(struct ring_poll *poll, uint32_t events);
    void (*on_closed)(struct ring_poll *poll); /* may be NULL */
};
void ring_poll_start(struct ring_poll *poll, struct ring *ring, int fd, uint32_t events);
/* Stops; the descriptor stays open and is the caller's, who may close it right after this call. */
void ring_poll_stop(struct ring_poll *poll);

/* ---- files
 * ---------------------------------------------------------------------------------------- */

/* Direct: no page cache; address, length and offset of every transfer are multiples of
 * RING_DIRECT_ALIGNMENT. Falls back to the page cache where the file system cannot (tmpfs). */
enum ring_file_flag {
    RING_FILE_CREATE = 1 << 0,
    RING_FILE_DIRECT = 1 << 1,
    RING_FILE_APPEND = 1 << 2,
    RING_FILE_READ_ONLY = 1 << 3,
};
enum { RING_DIRECT_ALIGNMENT = 4096 };

struct ring_file {
    struct ring_handle handle;
    bool direct;
    bool stream;                               /* of ring_file_copy(): writes have no offset */
    void (*on_closed)(struct ring_file *file); /* may be NULL */
};
struct ring_file_op {
    struct ring_op op;
    struct iovec piece;
    uint64_t offset;
    size_t done_len;
    uint8_t kind;
    bool durable;
    /* Octets transferred (a write: all or an error; a read: may end early at the end of the file),
     * 0 for the others, or -errno. The op may be reused inside. */
    void (*on_done)(struct ring_file_op *op, int64_t result);
};
/* These block: at start, at shutdown, and where an operation is rare and known to be short. */
int ring_file_open(struct ring_file *file, struct ring *ring, const char *path, uint32_t flags);
/* A copy of an open descriptor (standard error: file, pipe or terminal) to write to; offsets are
 * ignored. 0 or -errno. */
int ring_file_copy(struct ring_file *file, struct ring *ring, int fd);
int64_t ring_file_size(const struct ring_file *file);
int ring_file_cut(struct ring_file *file, uint64_t size); /* to that size; blocks */
int64_t ring_file_read_now(struct ring_file *file, void *data, size_t len, uint64_t offset);
int64_t ring_file_write_now(struct ring_file *file, const void *data, size_t len, uint64_t offset,
                            bool durable);
void ring_file_close_now(struct ring_file *file); /* nothing was ever started on it */
int ring_file_lock(struct ring_file *file); /* exclusive, not waiting: -EWOULDBLOCK when held */
/* These go through the ring. The file and the op stay put until on_done. */
void ring_file_read(struct ring_file *file, struct ring_file_op *op, void *data, size_t len,
                    uint64_t offset);
/* durable: on_done comes when data is on stable storage (RWF_DSYNC). A failed durable write must
 * not be repeated on the same place (REQUIREMENTS section 1.2). Append files ignore offset. */
void ring_file_write(struct ring_file *file, struct ring_file_op *op, const void *data, size_t len,
                     uint64_t offset, bool durable);
void ring_file_sync(struct ring_file *file, struct ring_file_op *op);
/* Reserves space (fallocate), so that later writes inside do not fail for lack of it. */
void ring_file_allocate(struct ring_file *file, struct ring_file_op *op, uint64_t offset,
                        uint64_t len);
void ring_file_close(struct ring_file *file);

/* ---- the file system; all of these block
 * ------------------------------------------------------------- */

int ring_path_make_folder(struct ring *ring, const char *path); /* 0 also when it is there */
/* Names without "." and ".."; stops when each returns false. */
int ring_path_list(struct ring *ring, const char *path,
                   bool (*each)(const char *name, void *context), void *context);
int ring_path_sync_folder(struct ring *ring, const char *path);
int ring_path_remove(struct ring *ring, const char *path); /* a file or an empty folder */
int ring_path_rename(struct ring *ring, const char *from, const char *to);
int64_t ring_path_size(struct ring *ring, const char *path); /* octets of a file, or -errno */
/* Octets free for us on the file system of path; negative errno on failure. */
int64_t ring_path_free_space(struct ring *ring, const char *path);
