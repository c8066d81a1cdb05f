/* SPDX-License-Identifier: Apache-2.0
 *
 * listener - accepts connections; polls of foreign descriptors
 */
#include "address.h"
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const duration PAUSE_AFTER_ERROR = DURATION_MS(100); /* out of descriptors: do not spin */

static void arm_accept(struct ring_listener *listener)
{
    struct io_uring_sqe *sqe = ring_sqe(listener->handle.ring);
    io_uring_prep_multishot_accept(sqe, listener->handle.fd, NULL, NULL, SOCK_CLOEXEC);
    ring_op_start(listener->handle.ring, &listener->accept_op, sqe);
}

static void accepted(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_listener *listener = CONTAINER_OF(op, struct ring_listener, accept_op);
    struct ring *ring = listener->handle.ring;
    const bool open = listener->handle.state == RING_OPEN;
    bool pause = false;
    (void)flags;
    if (result >= 0 && !open) {
        close(result);
    } else if (result >= 0) {
        struct sockaddr_storage storage = {0};
        socklen_t len = sizeof(storage);
        struct address peer = {0};
        if (!listener->local && getpeername(result, (struct sockaddr *)&storage, &len) == 0) {
            ring_address_from_system(&storage, &peer);
        }
        if (!listener->local && peer.family == 0) {
            close(result); /* gone again already */
        } else {
            listener->on_accepted(listener, result, &peer);
        }
    } else if (result != -ECANCELED && open) {
        pause = result != -ECONNABORTED && result != -EINTR && result != -EAGAIN;
        if (pause && listener->on_error != NULL) listener->on_error(listener, result);
    }
    if (!op->in_flight && listener->handle.state == RING_OPEN && listener->wanted) {
        if (pause) {
            ring_timer_arm(ring, &listener->pause, ring_now(ring) + PAUSE_AFTER_ERROR);
        } else {
            arm_accept(listener);
        }
    }
    ring_handle_settle(&listener->handle);
}

static void pause_over(struct ring_timer *timer)
{
    struct ring_listener *listener = CONTAINER_OF(timer, struct ring_listener, pause);
    if (listener->wanted && !listener->accept_op.in_flight) arm_accept(listener);
}

static void listener_closed(struct ring_handle *handle)
{
    struct ring_listener *listener = CONTAINER_OF(handle, struct ring_listener, handle);
    if (listener->on_closed != NULL) listener->on_closed(listener);
}

static void init(struct ring_listener *listener, struct ring *ring, int fd, bool local)
{
    ring_handle_init(&listener->handle, ring, fd, listener_closed);
    listener->accept_op = (struct ring_op){.handle = &listener->handle, .done = accepted};
    listener->local = local;
    listener->wanted = false;
    ring_timer_init(&listener->pause, pause_over);
}

static int fail(int fd)
{
    const int error = -errno;
    if (fd >= 0) close(fd);
    return error;
}

/* A bound socket, or -errno. */
static int bind_address(const struct address *address, bool share)
{
    struct sockaddr_storage storage;
    const socklen_t len = ring_address_to_system(address, &storage);
    const int on = 1;
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(fd);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (address->family == 6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&storage, len) < 0) return fail(fd);
    return fd;
}

int ring_listen_probe(struct ring *ring, const struct address *address)
{
    (void)ring;
    const int fd = bind_address(address, false);
    if (fd < 0) return fd;
    const int error = listen(fd, 1) < 0 ? -errno : 0;
    close(fd);
    return error;
}

int ring_listen(struct ring_listener *listener, struct ring *ring, struct address *address,
                int backlog)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    const int on = 1;
    const int fd = bind_address(address, true);
    if (fd < 0) return fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
    if (listen(fd, backlog) < 0) return fail(fd);
    if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0) return fail(fd);
    ring_address_from_system(&storage, address);
    init(listener, ring, fd, false);
    return 0;
}

/* A local socket's name has room for 107 octets (unix(7)). A longer path is reached by way of its
 * folder, which is to be closed afterwards; -1: there was no need. */
static int name_local(struct sockaddr_un *name, const char *path, int *folder)
{
    char text[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    *folder = -1;
    if (strlen(path) < sizeof(name->sun_path)) {
        memcpy(name->sun_path, path, strlen(path));
        return 0;
    }
    if (slash == NULL || strlen(path) >= sizeof(text)) return -ENAMETOOLONG;
    memcpy(text, path, (size_t)(slash - path));
    text[slash - path] = '\0';
    *folder = open(text, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) return -errno;
    const int len =
        snprintf(name->sun_path, sizeof(name->sun_path), "/proc/self/fd/%d/%s", *folder, slash + 1);
    if (len >= 0 && (size_t)len < sizeof(name->sun_path)) return 0;
    close(*folder);
    return -ENAMETOOLONG;
}

/* A socket that is bound to the path, or connected to who listens there; or -errno. */
static int open_local(const char *path, bool to_listen)
{
    struct sockaddr_un name;
    const struct sockaddr *address = (const struct sockaddr *)&name;
    int folder;
    const int error = name_local(&name, path, &folder);
    if (error < 0) return error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fd = -errno;
    if (fd >= 0) {
        const int result =
            to_listen ? bind(fd, address, sizeof(name)) : connect(fd, address, sizeof(name));
        if (result < 0) fd = fail(fd);
    }
    if (folder >= 0) close(folder);
    return fd;
}

int ring_listen_path(struct ring_listener *listener, struct ring *ring, const char *path,
                     unsigned mode)
{
    struct stat status;
    /* A stale one: the spool's lock says that no other process lives. A file of another kind got
     * here by a slip, and may be somebody's. */
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) unlink(path);
    const int fd = open_local(path, true);
    if (fd < 0) return fd;
    if (chmod(path, mode) < 0 || listen(fd, 16) < 0) return fail(fd);
    init(listener, ring, fd, true);
    return 0;
}

int ring_connect_path(const char *path)
{
    return open_local(path, false);
}

void ring_accept_start(struct ring_listener *listener)
{
    ASSERT(listener->handle.state == RING_OPEN);
    listener->wanted = true;
    if (!listener->accept_op.in_flight) arm_accept(listener);
}

void ring_accept_stop(struct ring_listener *listener)
{
    listener->wanted = false;
    ring_timer_disarm(listener->handle.ring, &listener->pause);
    ring_op_cancel(listener->handle.ring, &listener->accept_op);
}

void ring_listener_close(struct ring_listener *listener)
{
    if (!ring_handle_begin_close(&listener->handle)) return;
    ring_accept_stop(listener);
    ring_handle_settle(&listener->handle);
}

void ring_fd_refuse(struct ring *ring, int fd, struct bytes text)
{
    (void)ring;
    if (text.len > 0) {
        const ssize_t sent = send(fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* a courtesy */
    }
    close(fd);
}

/* ---- polls: the descriptor is not ours to close ------------------------------------------------
 */

static void poll_done(struct ring_op *op, int32_t result, uint32_t flags)
{
    struct ring_poll *poll = CONTAINER_OF(op, struct ring_poll, poll_op);
    (void)flags;
    if (poll->handle.state == RING_OPEN && result != -ECANCELED) {
        poll->on_ready(poll, result < 0 ? poll->events : (uint32_t)result);
    }
    ring_handle_settle(&poll->handle);
}

static void poll_closed(struct ring_handle *handle)
{
    struct ring_poll *poll = CONTAINER_OF(handle, struct ring_poll, handle);
    if (poll->on_closed != NULL) poll->on_closed(poll);
}

void ring_poll_start(struct ring_poll *poll, struct ring *ring, int fd, uint32_t events)
{
    if (poll->handle.state == RING_CLOSED) {
        ring_handle_init(&poll->handle, ring, -1, poll_closed);
        poll->poll_op = (struct ring_op){.handle = &poll->handle, .done = poll_done};
    }
    ASSERT(poll->handle.state == RING_OPEN && !poll->poll_op.in_flight);
    poll->events = events;
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_poll_add(sqe, fd, events);
    ring_op_start(ring, &poll->poll_op, sqe);
}

void ring_poll_stop(struct ring_poll *poll)
{
    if (!ring_handle_begin_close(&poll->handle)) return;
    ring_op_cancel(poll->handle.ring, &poll->poll_op);
    /* The caller may close the descriptor now: the poll must have left it before its number can
     * mean another file. */
    io_uring_submit(&poll->handle.ring->uring);
    ring_handle_settle(&poll->handle);
}
