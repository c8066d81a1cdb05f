/* SPDX-License-Identifier: Apache-2.0
 *
 * source_engine - sockets and time of ringpost-source: connects, sends, receives, paces
 *
 * At most one connect, one receive and one send of a session are in the ring; a session whose
 * connection ends closes its socket only when all of them have completed.
 */
#include "source.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_NS   (200 * TOOL_NS_PER_MS)
#define FAILURES_MAX 50u /* connections in a row without a greeting: 10 s */

enum op { OP_CONNECT = 1, OP_RECV, OP_SEND, OP_MASK = 7 };

struct engine {
    struct source *source;
    struct io_uring ring;
    struct source_session *sessions;
    unsigned ended;
    struct tool_link active;  /* connected sessions, the longest silent first */
    struct tool_link backoff; /* all wait equally long: in order of their end */
};

static volatile sig_atomic_t stop_asked;

static void on_stop_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

uint64_t source_due_ns(const struct source *source, uint64_t number)
{
    return source->start_ns +
           (uint64_t)((double)number * (double)TOOL_NS_PER_S / source->options.rate);
}

static struct io_uring_sqe *session_sqe(struct engine *engine, struct source_session *session)
{
    session->in_flight += 1;
    return tool_ring_sqe(&engine->ring);
}

static void session_connect(struct engine *engine, struct source_session *session)
{
    const struct tool_address *target = &engine->source->options.target;
    const int on = 1;
    session->fd = socket(target->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->fd < 0) tool_die("socket: %s", strerror(errno));
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session->state = SOURCE_CONNECTING;
    session->failures += 1; /* taken back by a good greeting */
    session->active_ns = engine->source->now_ns;
    tool_list_remove(&session->link);
    tool_list_append(&engine->active, &session->link);
    engine->source->stats.connections += 1;

    struct io_uring_sqe *sqe = session_sqe(engine, session);
    io_uring_prep_connect(sqe, session->fd, (const struct sockaddr *)&target->storage,
                          target->length);
    io_uring_sqe_set_data64(sqe, (uintptr_t)session | OP_CONNECT);
}

static void recv_arm(struct engine *engine, struct source_session *session)
{
    struct io_uring_sqe *sqe = session_sqe(engine, session);
    char *room = session->in + session->in_used;
    size_t size = sizeof session->in - session->in_used;
    if (session->tls != NULL) room = source_tls_room(session, &size);
    io_uring_prep_recv(sqe, session->fd, room, size, 0);
    io_uring_sqe_set_data64(sqe, (uintptr_t)session | OP_RECV);
    session->recv_armed = true;
}

static void send_arm(struct engine *engine, struct source_session *session)
{
    session->header.msg_iov = session->iov + session->iov_done;
    session->header.msg_iovlen = session->iov_used - session->iov_done;
    struct io_uring_sqe *sqe = session_sqe(engine, session);
    io_uring_prep_sendmsg(sqe, session->fd, &session->header, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, (uintptr_t)session | OP_SEND);
    session->send_armed = true;
}

static void session_end(struct engine *engine, struct source_session *session)
{
    session->state = SOURCE_ENDED;
    tool_list_remove(&session->link);
    engine->ended += 1;
}

/* A broken connection with nothing left in the ring: close it, and connect again if mail is left.
 */
static void session_close(struct engine *engine, struct source_session *session)
{
    struct source *source = engine->source;
    source_session_lost(source, session);
    source_tls_end(session);
    close(session->fd);
    session->fd = -1;
    if (session->failures > 0) source->stats.connect_failed += 1;
    if (source_session_is_spent(source, session) || session->failures >= FAILURES_MAX) {
        session_end(engine, session);
    } else if (session->failures > 0 || session->must_close) {
        session->state = SOURCE_BACKOFF;
        session->active_ns = source->now_ns + BACKOFF_NS;
        tool_list_remove(&session->link);
        tool_list_append(&engine->backoff, &session->link);
    } else {
        session_connect(engine, session);
    }
}

/* Brings ring operations in line with the session's state. */
static void session_settle(struct engine *engine, struct source_session *session)
{
    if (session->state == SOURCE_BROKEN) {
        if (session->in_flight == 0) {
            session_close(engine, session);
        } else {
            shutdown(session->fd, SHUT_RDWR);
        }
        return;
    }
    if (!session->send_armed) {
        source_session_gather(engine->source, session);
        if (session->tls != NULL) source_tls_output(session);
        if (session->iov_used > 0) send_arm(engine, session);
    }
    if (!session->recv_armed) recv_arm(engine, session);
}

static void on_connect(struct engine *engine, struct source_session *session, int result)
{
    if (session->state == SOURCE_BROKEN) return; /* timed out meanwhile */
    if (result < 0) {
        session->state = SOURCE_BROKEN;
    } else {
        source_session_connected(engine->source, session);
    }
}

static void on_recv(struct engine *engine, struct source_session *session, int result)
{
    session->recv_armed = false;
    if (session->state == SOURCE_BROKEN || result == -EINTR) return;
    if (result <= 0) {
        session->state = SOURCE_BROKEN;
        return;
    }
    session->active_ns = engine->source->now_ns;
    tool_list_remove(&session->link);
    tool_list_append(&engine->active, &session->link);
    if (session->tls != NULL) {
        source_tls_input(engine->source, session, (size_t)result);
        return;
    }
    session->in_used += (size_t)result;
    source_session_replies(engine->source, session);
}

static void on_send(struct engine *engine, struct source_session *session, int result)
{
    session->send_armed = false;
    if (session->state == SOURCE_BROKEN) return;
    if (result <= 0) {
        session->state = SOURCE_BROKEN;
        return;
    }
    size_t sent = (size_t)result;
    while (session->iov_done < session->iov_used) {
        struct iovec *part = &session->iov[session->iov_done];
        if (sent < part->iov_len) {
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= sent;
            send_arm(engine, session);
            return;
        }
        sent -= part->iov_len;
        session->iov_done += 1;
    }
}

static void dispatch(struct engine *engine, const struct io_uring_cqe *cqe)
{
    const uintptr_t data = (uintptr_t)cqe->user_data;
    struct source_session *session = (struct source_session *)(data & ~(uintptr_t)OP_MASK);
    session->in_flight -= 1;
    switch ((enum op)(data & OP_MASK)) {
    case OP_CONNECT:
        on_connect(engine, session, cqe->res);
        break;
    case OP_RECV:
        on_recv(engine, session, cqe->res);
        break;
    case OP_SEND:
        on_send(engine, session, cqe->res);
        break;
    case OP_MASK:
        break;
    }
    session_settle(engine, session);
}

/* ---- time ----------------------------------------------------------------------------------- */

static struct source_session *first_of(struct tool_link *head)
{
    return head->next == head ? NULL : (struct source_session *)head->next;
}

static void pace(struct engine *engine)
{
    struct source *source = engine->source;
    while (source->waiting.next != &source->waiting) {
        const bool is_over = source->claimed == source->options.messages;
        if (!is_over && source_due_ns(source, source->claimed) > source->now_ns) return;
        struct tool_link *link = source->waiting.next;
        tool_list_remove(link);
        session_settle(engine, (struct source_session *)((char *)link -
                                                         offsetof(struct source_session, wait)));
    }
}

static void expire(struct engine *engine)
{
    const uint64_t now = engine->source->now_ns;
    struct source_session *session;
    while ((session = first_of(&engine->backoff)) != NULL && session->active_ns <= now) {
        if (source_session_is_spent(engine->source, session)) {
            session_end(engine, session);
        } else {
            session_connect(engine, session);
        }
    }
    while ((session = first_of(&engine->active)) != NULL &&
           session->active_ns + engine->source->options.timeout_ns <= now) {
        session->active_ns = now;
        tool_list_remove(&session->link);
        tool_list_append(&engine->active, &session->link);
        if (session->state != SOURCE_CONNECTING && session->expect_count == 0) continue;
        session->state = SOURCE_BROKEN;
        session_settle(engine, session);
    }
}

/* Also the longest time for which a stop signal can go unnoticed. */
static uint64_t next_deadline(struct engine *engine)
{
    const struct source *source = engine->source;
    uint64_t deadline = source->now_ns + TOOL_NS_PER_S / 2;
    if (source->waiting.next != &source->waiting) {
        const uint64_t due = source_due_ns(source, source->claimed);
        if (due < deadline) deadline = due;
    }
    const struct source_session *session = first_of(&engine->backoff);
    if (session != NULL && session->active_ns < deadline) deadline = session->active_ns;
    return deadline;
}

static void signals_open(void)
{
    struct sigaction action = {.sa_handler = on_stop_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void source_engine_run(struct source *source)
{
    const unsigned count = source->options.connections;
    static struct engine engine; /* one a process; what is left in it ends with the process */
    engine.source = source;
    tool_list_init(&engine.active);
    tool_list_init(&engine.backoff);
    tool_list_init(&source->waiting);
    tool_ring_open(&engine.ring, 1024);
    signals_open();
    engine.sessions = tool_alloc(count * sizeof *engine.sessions);

    source->now_ns = tool_now_ns();
    source->start_ns = source->now_ns;
    for (unsigned i = 0; i < count; i++) {
        source_session_init(source, &engine.sessions[i]);
        session_connect(&engine, &engine.sessions[i]);
    }
    while (engine.ended < count && stop_asked == 0) {
        tool_ring_wait(&engine.ring, next_deadline(&engine));
        source->now_ns = tool_now_ns();

        struct io_uring_cqe *cqe;
        while (io_uring_peek_cqe(&engine.ring, &cqe) == 0) {
            const struct io_uring_cqe copy = *cqe; /* its slot is free before the handler runs */
            io_uring_cqe_seen(&engine.ring, cqe);
            dispatch(&engine, &copy);
        }
        pace(&engine);
        expire(&engine);
        const uint64_t run_ns = source->options.run_ns;
        if (run_ns != 0 && source->now_ns - source->start_ns >= run_ns) break;
    }
}
