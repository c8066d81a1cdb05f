/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_engine - sockets and time of ringpost-sink: bytes in, replies out when they are due
 *
 * One receive and one send at most are in flight for a session. It is freed when it is done and
 * nothing of it is in the ring any more; shutdown(2) makes that happen soon.
 */
#include "sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum op { OP_ACCEPT = 0, OP_RECV, OP_SEND, OP_SIGNAL, OP_MASK = 7 };

struct engine {
    struct sink *sink;
    struct io_uring ring;
    int listener;
    int signals;
    bool accept_armed;
    bool stopped;
    uint64_t stop_ns;
    struct io_uring_buf_ring *buffers;
    char *buffer_memory;
    struct tool_link active; /* all sessions, the longest silent first */
    struct sink_session **heap;
    size_t heap_used;
    size_t heap_size;
    struct signalfd_siginfo signal;
};

/* ---- sessions that wait for a due time: a binary heap, 1-based ------------------------------ */

static uint64_t heap_key(const struct sink_session *session)
{
    return session->due[0].at_ns;
}

static void heap_place(struct engine *engine, size_t index, struct sink_session *session)
{
    engine->heap[index] = session;
    session->heap_index = index;
}

static void heap_sift(struct engine *engine, size_t index, struct sink_session *session)
{
    while (index > 1 && heap_key(session) < heap_key(engine->heap[index / 2])) {
        heap_place(engine, index, engine->heap[index / 2]);
        index /= 2;
    }
    for (;;) {
        size_t child = index * 2;
        if (child > engine->heap_used) break;
        if (child < engine->heap_used &&
            heap_key(engine->heap[child + 1]) < heap_key(engine->heap[child])) {
            child += 1;
        }
        if (heap_key(session) <= heap_key(engine->heap[child])) break;
        heap_place(engine, index, engine->heap[child]);
        index = child;
    }
    heap_place(engine, index, session);
}

static void heap_remove(struct engine *engine, struct sink_session *session)
{
    const size_t index = session->heap_index;
    if (index == 0) return;
    session->heap_index = 0;
    struct sink_session *last = engine->heap[engine->heap_used--];
    if (last != session) heap_sift(engine, index, last);
}

/* Files the session under its first due time, or takes it out when it waits for none. */
static void heap_update(struct engine *engine, struct sink_session *session)
{
    heap_remove(engine, session);
    if (session->due_used == 0 || session->state == SINK_DROPPED) return;
    if (!sink_tls_may_send(session)) return; /* the handshake comes first */
    if (engine->heap_used + 2 > engine->heap_size) {
        engine->heap_size = engine->heap_size * 2 + 64;
        engine->heap = tool_grow(engine->heap, engine->heap_size * sizeof *engine->heap);
    }
    engine->heap_used += 1;
    heap_sift(engine, engine->heap_used, session);
}

/* ---- operations ----------------------------------------------------------------------------- */

static uint64_t op_data(const struct sink_session *session, enum op op)
{
    return (uintptr_t)session | op; /* sessions are 16-byte aligned: the low bits are free */
}

static void accept_arm(struct engine *engine)
{
    struct io_uring_sqe *sqe = tool_ring_sqe(&engine->ring);
    io_uring_prep_multishot_accept(sqe, engine->listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, op_data(NULL, OP_ACCEPT));
    engine->accept_armed = true;
}

static void signal_arm(struct engine *engine)
{
    struct io_uring_sqe *sqe = tool_ring_sqe(&engine->ring);
    io_uring_prep_read(sqe, engine->signals, &engine->signal, sizeof engine->signal, 0);
    io_uring_sqe_set_data64(sqe, op_data(NULL, OP_SIGNAL));
}

static void recv_arm(struct engine *engine, struct sink_session *session)
{
    struct io_uring_sqe *sqe = tool_ring_sqe(&engine->ring);
    io_uring_prep_recv(sqe, session->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, op_data(session, OP_RECV));
    session->recv_armed = true;
    session->in_flight += 1;
}

static void send_arm(struct engine *engine, struct sink_session *session)
{
    struct io_uring_sqe *sqe = tool_ring_sqe(&engine->ring);
    io_uring_prep_send(sqe, session->fd, session->sending + session->sending_done,
                       session->sending_used - session->sending_done, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, op_data(session, OP_SEND));
    session->send_armed = true;
    session->in_flight += 1;
}

static void buffer_return(struct engine *engine, unsigned id)
{
    io_uring_buf_ring_add(engine->buffers, engine->buffer_memory + (size_t)id * SINK_RECV_SIZE,
                          SINK_RECV_SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(SINK_RECV_COUNT), 0);
    io_uring_buf_ring_advance(engine->buffers, 1);
}

/* ---- a session's way out -------------------------------------------------------------------- */

static void session_free(struct engine *engine, struct sink_session *session)
{
    heap_remove(engine, session);
    tool_list_remove(&session->link);
    close(session->fd);
    engine->sink->stats.connections_open -= 1;
    free(session->out);
    free(session->sending);
    free(session->due);
    free(session->envelope);
    tool_tls_close(session->tls);
    free(session);
}

/* How many octets of out may leave now; their due marks are taken off. */
static size_t due_take(struct sink_session *session, uint64_t now_ns)
{
    if (session->due_used == 0) return session->out_used;
    size_t marks = 0;
    size_t octets = 0;
    while (marks < session->due_used && session->due[marks].at_ns <= now_ns) {
        octets = session->due[marks++].end;
    }
    session->due_used -= marks;
    memmove(session->due, session->due + marks, session->due_used * sizeof *session->due);
    for (size_t i = 0; i < session->due_used; i++)
        session->due[i].end -= octets;
    return octets;
}

static void out_send_sealed(struct engine *engine, struct sink_session *session)
{
    const size_t octets = sink_tls_may_send(session) ? due_take(session, engine->sink->now_ns) : 0;
    if (octets == session->out_used && session->state == SINK_CLOSING && !session->tls_notified) {
        session->tls_notified = true;
        tool_tls_write(session->tls, session->out, octets);
        tool_tls_notify(session->tls);
        session->out_used = 0;
        if (sink_tls_output(session, 0)) send_arm(engine, session);
        return;
    }
    const bool has_output = sink_tls_output(session, octets);
    session->out_used -= octets;
    memmove(session->out, session->out + octets, session->out_used);
    if (has_output) send_arm(engine, session);
}

static void out_send(struct engine *engine, struct sink_session *session)
{
    if (session->tls != NULL && session->out_clear == 0) {
        out_send_sealed(engine, session);
        return;
    }
    const size_t octets = due_take(session, engine->sink->now_ns);
    if (octets == 0) return;
    if (octets == session->out_used) {
        char *swap = session->sending;
        const size_t size = session->sending_size;
        session->sending = session->out;
        session->sending_size = session->out_size;
        session->out = swap;
        session->out_size = size;
    } else {
        if (session->sending_size < octets) {
            session->sending = tool_grow(session->sending, octets);
            session->sending_size = octets;
        }
        memcpy(session->sending, session->out, octets);
        memmove(session->out, session->out + octets, session->out_used - octets);
    }
    session->out_used -= octets;
    if (session->out_clear > 0) session->out_clear -= octets; /* nothing else is in out */
    session->sending_used = octets;
    session->sending_done = 0;
    send_arm(engine, session);
}

/* Brings ring operations in line with the session's state; may free the session. */
static void session_settle(struct engine *engine, struct sink_session *session)
{
    if (session->state != SINK_DROPPED) {
        if (!session->send_armed) out_send(engine, session);
        heap_update(engine, session);
        const bool quiet = session->out_used == 0 && !session->send_armed;
        if (session->state == SINK_CLOSING && quiet) {
            if (session->ended) {
                session->state = SINK_DROPPED;
            } else if (!session->is_shut) {
                /* closing with unread input would reset the connection and lose our last reply */
                shutdown(session->fd, SHUT_WR);
                session->is_shut = true;
            }
        }
    }
    if (session->state == SINK_DROPPED) {
        heap_remove(engine, session);
        if (session->in_flight == 0) {
            session_free(engine, session);
        } else {
            shutdown(session->fd, SHUT_RDWR);
        }
        return;
    }
    if (!session->recv_armed && !session->ended && session->out_used < SINK_OUT_LIMIT) {
        recv_arm(engine, session);
    }
}

/* ---- completions ---------------------------------------------------------------------------- */

static void peer_describe(struct sink_session *session)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(session->fd, (struct sockaddr *)&peer, &length) != 0) return;
    const void *address = &((struct sockaddr_in *)&peer)->sin_addr;
    if (peer.ss_family == AF_INET6) address = &((struct sockaddr_in6 *)&peer)->sin6_addr;
    inet_ntop(peer.ss_family, address, session->sender, sizeof session->sender);
}

static void on_accept(struct engine *engine, const struct io_uring_cqe *cqe)
{
    struct sink_stats *stats = &engine->sink->stats;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) engine->accept_armed = false;
    if (cqe->res < 0) return;

    struct sink_session *session = malloc(sizeof *session);
    if (session == NULL) {
        close(cqe->res);
        return;
    }
    memset(session, 0, offsetof(struct sink_session, line)); /* the buffers need no clearing */
    session->fd = cqe->res;
    session->active_ns = engine->sink->now_ns;
    tool_list_append(&engine->active, &session->link);
    stats->connections += 1;
    stats->connections_open += 1;
    if (stats->connections_open > stats->connections_peak) {
        stats->connections_peak = stats->connections_open;
    }
    if (engine->sink->options.rule_count > 0) peer_describe(session);
    sink_session_start(engine->sink, session);
    session_settle(engine, session);
}

static void on_recv(struct engine *engine, struct sink_session *session,
                    const struct io_uring_cqe *cqe)
{
    session->recv_armed = false;
    session->in_flight -= 1;
    if (cqe->res > 0) {
        const unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        session->active_ns = engine->sink->now_ns;
        tool_list_remove(&session->link);
        tool_list_append(&engine->active, &session->link);
        const char *data = engine->buffer_memory + (size_t)id * SINK_RECV_SIZE;
        if (session->tls != NULL) {
            sink_tls_input(engine->sink, session, data, (size_t)cqe->res);
        } else {
            sink_session_input(engine->sink, session, data, (size_t)cqe->res);
        }
        buffer_return(engine, id);
    } else if (cqe->res == 0) {
        session->ended = true;
        if (session->state != SINK_DROPPED) session->state = SINK_CLOSING;
    } else if (cqe->res != -ENOBUFS && cqe->res != -EINTR) {
        sink_session_drop(session);
    }
    session_settle(engine, session);
}

static void on_send(struct engine *engine, struct sink_session *session,
                    const struct io_uring_cqe *cqe)
{
    session->send_armed = false;
    session->in_flight -= 1;
    if (cqe->res <= 0) {
        sink_session_drop(session);
    } else {
        session->sending_done += (size_t)cqe->res;
        if (session->state != SINK_DROPPED && session->sending_done < session->sending_used) {
            send_arm(engine, session);
        }
    }
    session_settle(engine, session);
}

static void on_signal(struct engine *engine)
{
    if (engine->signal.ssi_signo == SIGUSR1) {
        sink_report_summary(engine->sink);
    } else {
        engine->stopped = true;
    }
    signal_arm(engine);
}

static void dispatch(struct engine *engine, const struct io_uring_cqe *cqe)
{
    const uintptr_t data = (uintptr_t)cqe->user_data;
    struct sink_session *session = (struct sink_session *)(data & ~(uintptr_t)OP_MASK);
    switch ((enum op)(data & OP_MASK)) {
    case OP_ACCEPT:
        on_accept(engine, cqe);
        break;
    case OP_RECV:
        on_recv(engine, session, cqe);
        break;
    case OP_SEND:
        on_send(engine, session, cqe);
        break;
    case OP_SIGNAL:
        on_signal(engine);
        break;
    case OP_MASK:
        break;
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0) return b;
    return b == 0 || a < b ? a : b;
}

static uint64_t next_deadline(const struct engine *engine)
{
    uint64_t deadline = engine->stop_ns;
    if (engine->heap_used > 0) deadline = earlier(deadline, heap_key(engine->heap[1]));
    if (engine->active.next != &engine->active) {
        const struct sink_session *oldest = (const struct sink_session *)engine->active.next;
        deadline = earlier(deadline, oldest->active_ns + engine->sink->options.idle_ns);
    }
    return deadline;
}

static void expire(struct engine *engine)
{
    const uint64_t now = engine->sink->now_ns;
    while (engine->heap_used > 0 && heap_key(engine->heap[1]) <= now) {
        struct sink_session *session = engine->heap[1];
        if (session->send_armed) {
            heap_remove(engine, session); /* the end of that send looks at what is due */
        } else {
            session_settle(engine, session);
        }
    }
    while (engine->active.next != &engine->active) {
        struct sink_session *session = (struct sink_session *)engine->active.next;
        if (session->active_ns + engine->sink->options.idle_ns > now) break;
        engine->sink->stats.timeouts += 1;
        session->active_ns = now;
        tool_list_remove(&session->link);
        tool_list_append(&engine->active, &session->link);
        if (session->state == SINK_CLOSING) {
            sink_session_drop(session);
        } else {
            sink_reply(engine->sink, session, 421, "4.4.2", "timeout");
            session->state = SINK_CLOSING;
        }
        session_settle(engine, session);
    }
    const struct sink_options *options = &engine->sink->options;
    if (options->count != 0 && engine->sink->stats.messages >= options->count) {
        engine->stop_ns =
            earlier(engine->stop_ns, engine->sink->stats.last_ns + options->linger_ns);
    }
    if (engine->stop_ns != 0 && now >= engine->stop_ns) engine->stopped = true;
}

/* ---- start ---------------------------------------------------------------------------------- */

static void listener_open(struct engine *engine)
{
    const struct tool_address *address = &engine->sink->options.listen;
    const int on = 1;
    engine->listener = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (engine->listener < 0) tool_die("socket: %s", strerror(errno));
    setsockopt(engine->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(engine->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* is inherited */
    if (bind(engine->listener, (const struct sockaddr *)&address->storage, address->length) != 0 ||
        listen(engine->listener, 4096) != 0) {
        tool_die("listen: %s", strerror(errno));
    }
}

static void buffers_open(struct engine *engine)
{
    const size_t ring_size = SINK_RECV_COUNT * sizeof(struct io_uring_buf);
    const size_t memory = (size_t)SINK_RECV_COUNT * SINK_RECV_SIZE;
    engine->buffers =
        mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    engine->buffer_memory =
        mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (engine->buffers == MAP_FAILED || engine->buffer_memory == MAP_FAILED) {
        tool_die("mmap: %s", strerror(errno));
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)engine->buffers,
        .ring_entries = SINK_RECV_COUNT,
        .bgid = 0,
    };
    const int rc = io_uring_register_buf_ring(&engine->ring, &reg, 0);
    if (rc != 0) tool_die("provided buffer ring (Linux 5.19): %s", strerror(-rc));
    io_uring_buf_ring_init(engine->buffers);
    for (unsigned i = 0; i < SINK_RECV_COUNT; i++)
        buffer_return(engine, i);
}

static void signals_open(struct engine *engine)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    engine->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (engine->signals < 0) tool_die("signalfd: %s", strerror(errno));
    signal_arm(engine);
}

void sink_engine_run(struct sink *sink)
{
    static struct engine engine; /* one a process; what is left in it ends with the process */
    engine.sink = sink;
    tool_list_init(&engine.active);
    tool_ring_open(&engine.ring, 1024);
    buffers_open(&engine);
    signals_open(&engine);
    listener_open(&engine);
    if (sink->options.run_ns != 0) engine.stop_ns = tool_now_ns() + sink->options.run_ns;

    while (!engine.stopped) {
        if (!engine.accept_armed) accept_arm(&engine);
        tool_ring_wait(&engine.ring, next_deadline(&engine));
        sink->now_ns = tool_now_ns();

        struct io_uring_cqe *cqe;
        while (io_uring_peek_cqe(&engine.ring, &cqe) == 0) {
            const struct io_uring_cqe copy = *cqe; /* its slot is free before the handler runs */
            io_uring_cqe_seen(&engine.ring, cqe);
            dispatch(&engine, &copy);
        }
        expire(&engine);
    }
    /* The ring is taken down after the process is gone; only this frees the port at once. */
    shutdown(engine.listener, SHUT_RDWR);
}
