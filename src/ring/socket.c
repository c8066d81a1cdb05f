/* SPDX-License-Identifier: Apache-2.0
 *
 * socket - one byte stream: connect, receive, send, close
 */
#include "address.h"
#include "internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(sizeof(struct sockaddr_storage) <= sizeof((struct ring_socket){0}.address_storage),
              "room for any address");
static_assert(sizeof(struct msghdr) <= sizeof((struct ring_socket){0}.message_storage),
              "room for a message header");

static void socket_closed(struct ring_handle *handle)
{
    struct ring_socket *socket = CONTAINER_OF(handle, struct ring_socket, handle);
    socket->events->on_closed(socket);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void arm_recv(struct ring_socket *socket)
{
    struct io_uring_sqe *sqe = ring_sqe(socket->handle.ring);
    io_uring_prep_recv_multishot(sqe, socket->handle.fd, NULL, 0, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    sqe->buf_group = 0;
    ring_op_start(socket->handle.ring, &socket->recv_op, sqe);
}

static void received(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_socket *socket = CONTAINER_OF(op, struct ring_socket, recv_op);
    struct ring *ring = socket->handle.ring;
    const bool open = socket->handle.state == RING_OPEN;

    if (result > 0) {
        const struct bytes data = ring_buffers_data(ring, result, flags);
        if (open) socket->events->on_received(socket, data, 0);
        ring_buffers_done(ring, flags);
    } else {
        if (flags & IORING_CQE_F_BUFFER) ring_buffers_done(ring, flags);
        if (result == -ENOBUFS) {
            ring->stats.recv_buffers_dry += 1; /* they are back by the time we ask again */
        } else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN && open) {
            socket->recv_ended = true;
            socket->events->on_received(socket, (struct bytes){0}, result);
        }
    }
    /* A multishot receive may end at any completion: without this the socket would go deaf. */
    if (!op->in_flight && socket->handle.state == RING_OPEN && socket->recv_wanted &&
        !socket->recv_ended) {
        arm_recv(socket);
    }
    ring_handle_settle(&socket->handle);
}

void ring_recv_start(struct ring_socket *socket)
{
    ASSERT(socket->handle.state == RING_OPEN);
    socket->recv_wanted = true;
    if (!socket->recv_op.in_flight && !socket->recv_ended) arm_recv(socket);
}

void ring_recv_stop(struct ring_socket *socket)
{
    socket->recv_wanted = false;
    ring_op_cancel(socket->handle.ring, &socket->recv_op);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void submit_send(struct ring_socket *socket)
{
    struct ring *ring = socket->handle.ring;
    struct io_uring_sqe *sqe = ring_sqe(ring);
    const int flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (socket->piece_count == 1) {
        io_uring_prep_send(sqe, socket->handle.fd, socket->pieces[0].iov_base,
                           socket->pieces[0].iov_len, flags);
    } else {
        struct msghdr *message = (struct msghdr *)socket->message_storage;
        *message = (struct msghdr){
            .msg_iov = socket->pieces,
            .msg_iovlen = socket->piece_count,
        };
        io_uring_prep_sendmsg(sqe, socket->handle.fd, message, (unsigned)flags);
    }
    ring_op_start(ring, &socket->send_op, sqe);
}

/* Takes len sent octets off the front of the pieces. */
static void skip_sent(struct ring_socket *socket, size_t len)
{
    uint32_t first = 0;
    while (len > 0 && len >= socket->pieces[first].iov_len)
        len -= socket->pieces[first++].iov_len;
    socket->piece_count -= first;
    memmove(socket->pieces, socket->pieces + first, socket->piece_count * sizeof(struct iovec));
    socket->pieces[0].iov_base = (char *)socket->pieces[0].iov_base + len;
    socket->pieces[0].iov_len -= len;
}

static void sent(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_socket *socket = CONTAINER_OF(op, struct ring_socket, send_op);
    (void)flags;
    if (socket->handle.state == RING_OPEN) {
        int64_t report = result;
        if (result == -EINTR || result == -EAGAIN) result = 0;
        if (result >= 0) {
            socket->send_done += (size_t)result;
            if (socket->send_done < socket->send_len) {
                skip_sent(socket, (size_t)result);
                submit_send(socket);
                return;
            }
            report = (int64_t)socket->send_len;
        }
        socket->events->on_sent(socket, report);
    }
    ring_handle_settle(&socket->handle);
}

void ring_send(struct ring_socket *socket, const struct bytes *pieces, size_t count)
{
    ASSERT(socket->handle.state == RING_OPEN && !socket->send_op.in_flight);
    ASSERT(count > 0 && count <= RING_SEND_PIECES_MAX);
    socket->send_len = socket->send_done = 0;
    socket->piece_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len == 0) continue;
        union {
            const char *read;
            char *write;
        } data = {.read = pieces[i].data}; /* iovec has no const; a send does not write */
        socket->pieces[socket->piece_count++] = (struct iovec){data.write, pieces[i].len};
        socket->send_len += pieces[i].len;
    }
    ASSERT(socket->send_len > 0);
    submit_send(socket);
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static void connected(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_socket *socket = CONTAINER_OF(op, struct ring_socket, connect_op);
    (void)flags;
    if (socket->open_error != 0) result = socket->open_error; /* of the nop in its place */
    if (socket->handle.state == RING_OPEN) socket->events->on_connected(socket, result);
    ring_handle_settle(&socket->handle);
}

static void init(struct ring_socket *socket, struct ring *ring, int fd,
                 const struct ring_socket_events *events)
{
    *socket = (struct ring_socket){.events = events};
    ring_handle_init(&socket->handle, ring, fd, socket_closed);
    socket->recv_op = (struct ring_op){.handle = &socket->handle, .done = received};
    socket->send_op = (struct ring_op){.handle = &socket->handle, .done = sent};
    socket->connect_op = (struct ring_op){.handle = &socket->handle, .done = connected};
}

void ring_socket_adopt(struct ring_socket *socket, struct ring *ring, int fd,
                       const struct ring_socket_events *events)
{
    init(socket, ring, fd, events);
}

/* A descriptor ready to connect, or -errno. Not O_NONBLOCK: io_uring would then report -EAGAIN
 * instead of waiting. */
static int open_socket(const struct address *peer, const struct address *source)
{
    const int on = 1;
    const int fd = socket(peer->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (source == NULL || source->family == 0) return fd;

    struct sockaddr_storage storage;
    const socklen_t len = ring_address_to_system(source, &storage);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&storage, len) == 0) return fd;
    const int error = -errno;
    close(fd);
    return error;
}

void ring_socket_connect(struct ring_socket *socket, struct ring *ring, const struct address *peer,
                         const struct address *source, const struct ring_socket_events *events)
{
    const int fd = open_socket(peer, source);
    init(socket, ring, fd < 0 ? -1 : fd, events);
    struct io_uring_sqe *sqe = ring_sqe(ring);
    if (fd < 0) {
        socket->open_error = fd;
        io_uring_prep_nop(sqe); /* the failure comes from the loop like any other */
    } else {
        struct sockaddr_storage *storage = (struct sockaddr_storage *)socket->address_storage;
        const socklen_t len = ring_address_to_system(peer, storage);
        io_uring_prep_connect(sqe, fd, (struct sockaddr *)storage, len);
    }
    ring_op_start(ring, &socket->connect_op, sqe);
}

void ring_socket_close(struct ring_socket *socket)
{
    struct ring *ring = socket->handle.ring;
    if (!ring_handle_begin_close(&socket->handle)) return;
    ring_op_cancel(ring, &socket->connect_op);
    ring_op_cancel(ring, &socket->recv_op);
    ring_op_cancel(ring, &socket->send_op);
    ring_handle_settle(&socket->handle);
}

void ring_socket_shutdown(struct ring_socket *socket)
{
    if (socket->handle.state == RING_OPEN) shutdown(socket->handle.fd, SHUT_WR);
}

void ring_socket_break(struct ring_socket *socket)
{
    if (socket->handle.state == RING_OPEN) shutdown(socket->handle.fd, SHUT_RDWR);
}

struct address ring_socket_local(const struct ring_socket *socket)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    struct address address = {0};
    if (getsockname(socket->handle.fd, (struct sockaddr *)&storage, &len) == 0) {
        ring_address_from_system(&storage, &address);
    }
    return address;
}
