/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets - the product's sockets: operations of its rings, and the system calls around them
 */
#include "kernel.h"
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct kernel_file *owner_of(const struct net_end *end)
{
    return end->owner;
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void end_recv(struct kernel_file *file, int32_t result)
{
    struct kernel_op *op = file->recv;
    file->recv = NULL;
    (void)kernel_op_more(op, result, 0);
}

static void pump_recv(struct kernel_file *file)
{
    struct net_end *end = file->end;
    while (file->recv != NULL) {
        uint32_t flags;
        if (net_readable(end) == 0) {
            if (end->error == 0 && !net_at_end(end)) return;
            end_recv(file, end->error);
            return;
        }
        int32_t got = end->error; /* a reset may overtake what has arrived, or not */
        if (got == 0 || sim_below(SIM_NET, 2) == 0)
            got = kernel_fill_buffer(file->recv, end, &flags);
        if (got < 0) {
            end_recv(file, got);
            return;
        }
        if (!kernel_op_more(file->recv, got, flags)) file->recv = NULL;
    }
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static size_t pieces_of(const struct kernel_op *op, struct iovec *single, struct iovec **pieces)
{
    if (op->sqe.opcode == IORING_OP_SENDMSG) {
        const struct msghdr *message = (const void *)(uintptr_t)op->sqe.addr;
        *pieces = message->msg_iov;
        return message->msg_iovlen;
    }
    *single = (struct iovec){(void *)(uintptr_t)op->sqe.addr, op->sqe.len};
    *pieces = single;
    return 1;
}

/* The deliberate bugs that lie on the way to a receiver. */
static const char *spoil(const struct net_end *end, const char *data, size_t len)
{
    static char changed[4096], kept[4096];
    static size_t kept_len;
    static const struct net_end *kept_from;
    const bool change = sim.options.canary == SIM_CANARY_CHANGED_OCTET,
               cross = sim.options.canary == SIM_CANARY_CROSSED_SESSIONS;
    if ((!change && !cross) || end->side != 0 || len < 300 || len > sizeof(changed)) return data;
    if (change && sim_below(SIM_NET, 20) == 0) {
        memcpy(changed, data, len);
        changed[len - 50] ^= 1;
        return changed;
    }
    if (cross && kept_from != NULL && kept_from != end && kept_len == len) return kept;
    if (cross) memcpy(kept, data, kept_len = len), kept_from = end;
    return data;
}

static void end_send(struct kernel_file *file, int64_t result)
{
    struct kernel_op *op = file->send;
    file->send = NULL;
    kernel_op_finish(op, (int32_t)(op->done > 0 ? (int64_t)op->done : result));
}

static void pump_send(struct kernel_file *file)
{
    struct kernel_op *op = file->send;
    if (op == NULL) return;
    struct iovec single, *pieces;
    const size_t count = pieces_of(op, &single, &pieces);
    size_t before = 0;
    for (size_t i = 0; i < count; before += pieces[i++].iov_len) {
        if (op->done >= before + pieces[i].iov_len) continue;
        const size_t skip = op->done - before;
        size_t len = pieces[i].iov_len - skip;
        const bool cut = sim_fault(SIM_FAULT_RING, SIM_RING, 30);
        if (cut) len = 1 + sim_skewed(SIM_RING, 0, len - 1);
        const char *data = (const char *)pieces[i].iov_base + skip;
        const int64_t put = net_write(file->end, spoil(file->end, data, len), len);
        if (put > 0) op->done += (size_t)put;
        if (put < 0 || (cut && put > 0)) { /* broken, or short */
            end_send(file, put);
            return;
        }
        if ((size_t)put < len) return;
    }
    end_send(file, 0);
}

static void on_change(struct net_end *end)
{
    struct kernel_file *file = owner_of(end);
    pump_recv(file);
    pump_send(file);
}

static void on_connected(struct net_end *end, int error)
{
    struct kernel_file *file = owner_of(end);
    struct kernel_op *op = file->connect;
    if (op == NULL) return;
    file->connect = NULL;
    kernel_op_finish(op, error);
}

static const struct net_events socket_events = {on_connected, on_change};

/* ---- accepting ---------------------------------------------------------------------------------
 */

static void pump_accept(struct kernel_file *file)
{
    while (file->accept != NULL && file->backlog_count > 0) {
        struct kernel_op *op = file->accept;
        if (sim_fault(SIM_FAULT_RING, SIM_RING, 60)) {
            file->accept = NULL;
            (void)kernel_op_more(op, sim_below(SIM_RING, 2) ? -EMFILE : -ECONNABORTED, 0);
            return;
        }
        const int fd = kernel_fd_new(KERNEL_SOCKET);
        struct kernel_file *accepted = kernel_file(fd);
        accepted->end = file->backlog[0];
        accepted->end->owner = accepted;
        accepted->end->events = &socket_events;
        file->backlog_count -= 1;
        memmove(file->backlog, file->backlog + 1, file->backlog_count * sizeof(file->backlog[0]));
        if (!kernel_op_more(op, fd, 0)) file->accept = NULL;
    }
}

static void on_incoming(struct net_listener *listener, struct net_end *end)
{
    struct kernel_file *file = listener->owner;
    if (file->backlog_count == ARRAY_COUNT(file->backlog)) {
        net_reset(end);
        net_close(end);
        return;
    }
    file->backlog[file->backlog_count++] = end;
    pump_accept(file);
}

static void listener_made(struct kernel_file *file)
{
    file->listener->owner = file;
    file->listener->on_incoming = on_incoming;
    file->listener->delay = DURATION_US(30);
    net_listen(file->listener);
}

/* ---- operations --------------------------------------------------------------------------------
 */

static void from_system(const struct sockaddr_storage *system, struct address *address)
{
    *address = (struct address){0};
    if (system->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)system;
        *address = (struct address){.family = 4, .prefix = 32, .port = ntohs(v4->sin_port)};
        memcpy(address->ip, &v4->sin_addr, 4);
    } else if (system->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)system;
        *address = (struct address){.family = 6, .prefix = 128, .port = ntohs(v6->sin6_port)};
        memcpy(address->ip, &v6->sin6_addr, 16);
    }
}

static socklen_t to_system(const struct address *address, struct sockaddr_storage *system)
{
    *system = (struct sockaddr_storage){.ss_family = AF_UNIX};
    if (address->family == 4) {
        struct sockaddr_in *v4 = (void *)system;
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&v4->sin_addr, address->ip, 4);
        return sizeof(*v4);
    }
    if (address->family == 6) {
        struct sockaddr_in6 *v6 = (void *)system;
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&v6->sin6_addr, address->ip, 16);
        return sizeof(*v6);
    }
    return sizeof(sa_family_t);
}

static void start_connect(struct kernel_op *op, struct kernel_file *file)
{
    struct address peer;
    from_system((const void *)(uintptr_t)op->sqe.addr, &peer);
    file->connect = op;
    file->end = net_connect(&peer, NULL, &socket_events, file);
    if (sim.options.canary == SIM_CANARY_EXTRA_CONNECTION)
        for (int i = 0; i < 3; i++)
            (void)net_connect(&peer, NULL, NULL, NULL);
}

void kernel_socket_op(struct kernel_op *op, struct kernel_file *file)
{
    const uint8_t code = op->sqe.opcode;
    const bool right = code == IORING_OP_ACCEPT ? file->kind == KERNEL_LISTENER
                       : code == IORING_OP_CONNECT
                           ? file->kind == KERNEL_SOCKET && file->end == NULL
                           : file->kind == KERNEL_SOCKET && file->end != NULL;
    if (!right) sim_fail(SIM_CHECK_KERNEL, "operation %u on a file of kind %u", code, file->kind);
    if (code == IORING_OP_CONNECT) {
        start_connect(op, file);
    } else if (code == IORING_OP_ACCEPT) {
        if (file->accept != NULL) sim_fail(SIM_CHECK_KERNEL, "two accepts at a time");
        file->accept = op;
        pump_accept(file);
    } else if (code == IORING_OP_RECV) {
        if (file->recv != NULL) sim_fail(SIM_CHECK_KERNEL, "two receives at a time");
        file->recv = op;
        pump_recv(file);
    } else {
        if (file->send != NULL) sim_fail(SIM_CHECK_KERNEL, "two sends at a time");
        file->send = op;
        pump_send(file);
    }
}

bool kernel_socket_cancel(struct kernel_op *op)
{
    struct kernel_file *file = op->sqe.fd >= 0 ? kernel_file(op->sqe.fd) : NULL;
    if (file == NULL) return false;
    struct kernel_op **places[] = {&file->recv, &file->send, &file->connect, &file->accept,
                                   &file->poll};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        if (*places[i] != op) continue;
        *places[i] = NULL;
        return true;
    }
    return false;
}

/* ---- system calls ------------------------------------------------------------------------------
 */

int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_listen(int fd, int backlog);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_shutdown(int fd, int how);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

static int fail(int error)
{
    errno = error;
    return -1;
}

int __wrap_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    if (sim_fault(SIM_FAULT_RING, SIM_RING, 200)) return fail(EMFILE);
    return kernel_fd_new(KERNEL_SOCKET);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd, (void)address, (void)len;
    sim_fail(SIM_CHECK_KERNEL, "a connect that blocks");
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct kernel_file *file = kernel_file(fd);
    (void)value, (void)len;
    if (file == NULL) return fail(EBADF);
    if (level == SOL_SOCKET && name == SO_REUSEPORT) file->reuse_port = true;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->end == NULL) return fail(EBADF);
    if (level == IPPROTO_TCP && name == TCP_INFO && *len >= sizeof(struct tcp_info)) {
        struct tcp_info *info = value;
        *info = (struct tcp_info){.tcpi_bytes_acked = file->end->acked};
        return 0;
    }
    return fail(ENOPROTOOPT);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct kernel_file *file = kernel_file(fd);
    if (file == NULL) return fail(EBADF);
    (void)len;
    if (address->sa_family == AF_UNIX) {
        const struct sockaddr_un *name = (const void *)address;
        const int error = disk_make_socket(sim.disk, name->sun_path);
        if (error < 0) return fail(-error);
        snprintf(file->path, sizeof(file->path), "%s", name->sun_path);
        return 0;
    }
    from_system((const void *)address, &file->source);
    if (file->source.port != 0 && !file->reuse_port && net_is_taken(&file->source))
        return fail(EADDRINUSE);
    return 0;
}

int __wrap_listen(int fd, int backlog)
{
    struct kernel_file *file = kernel_file(fd);
    (void)backlog;
    if (file == NULL || file->kind != KERNEL_SOCKET) return fail(EBADF);
    if (!file->reuse_port && file->path[0] == '\0') {
        file->kind = KERNEL_PROBE;
        return 0;
    }
    file->kind = KERNEL_LISTENER;
    file->listener = base_alloc(sizeof(*file->listener));
    list_init(&file->listener->link);
    file->listener->address = file->source;
    snprintf(file->listener->path, sizeof(file->listener->path), "%.127s", file->path);
    listener_made(file);
    return 0;
}

static int give_address(const struct address *from, struct sockaddr *address, socklen_t *len)
{
    struct sockaddr_storage storage;
    const socklen_t full = to_system(from, &storage);
    memcpy(address, &storage, MIN(*len, full));
    *len = full;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL) return fail(EBADF);
    return give_address(file->end != NULL ? &file->end->local : &file->source, address, len);
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL) return fail(EBADF);
    if (file->end == NULL || file->end->error != 0) return fail(ENOTCONN);
    return give_address(&file->end->peer, address, len);
}

int __wrap_shutdown(int fd, int how)
{
    struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->end == NULL) return fail(ENOTCONN);
    net_shutdown(file->end);
    if (how == SHUT_RDWR && file->recv != NULL && net_readable(file->end) == 0) end_recv(file, 0);
    return 0;
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
    struct kernel_file *file = kernel_file(fd);
    (void)flags;
    if (file == NULL || file->end == NULL) return fail(ENOTCONN);
    const int64_t sent = net_write(file->end, data, len);
    if (sent < 0) return fail((int)-sent);
    return sent == 0 && len > 0 ? fail(EAGAIN) : (ssize_t)sent;
}
