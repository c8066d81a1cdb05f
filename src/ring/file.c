/* SPDX-License-Identifier: Apache-2.0
 *
 * file - reads, writes and syncs through the ring
 *
 * A durable write is one submission with RWF_DSYNC: nothing to order against a separate fsync. On a
 * direct descriptor, into blocks written before, it is the cheapest commit there is (LIMITS.md).
 */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum file_op_kind { FILE_READ, FILE_WRITE, FILE_SYNC, FILE_ALLOCATE };

static void file_closed(struct ring_handle *handle)
{
    struct ring_file *file = CONTAINER_OF(handle, struct ring_file, handle);
    if (file->on_closed != NULL) file->on_closed(file);
}

int ring_file_open(struct ring_file *file, struct ring *ring, const char *path, uint32_t flags)
{
    int mode = flags & RING_FILE_READ_ONLY ? O_RDONLY : O_RDWR;
    mode |= O_CLOEXEC;
    if (flags & RING_FILE_CREATE) mode |= O_CREAT;
    if (flags & RING_FILE_APPEND) mode |= O_APPEND;
    bool direct = flags & RING_FILE_DIRECT;
    int fd = open(path, direct ? mode | O_DIRECT : mode, 0640);
    if (fd < 0 && errno == EINVAL && direct) { /* tmpfs and others have no direct transfer */
        direct = false;
        fd = open(path, mode, 0640);
    }
    if (fd < 0) return -errno;
    ring_handle_init(&file->handle, ring, fd, file_closed);
    file->direct = direct;
    file->stream = false;
    return 0;
}

int ring_file_copy(struct ring_file *file, struct ring *ring, int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return -errno;
    ring_handle_init(&file->handle, ring, copy, file_closed);
    file->direct = false;
    file->stream = true;
    return 0;
}

int64_t ring_file_size(const struct ring_file *file)
{
    struct stat status;
    return fstat(file->handle.fd, &status) < 0 ? -errno : (int64_t)status.st_size;
}

int ring_file_cut(struct ring_file *file, uint64_t size)
{
    return ftruncate(file->handle.fd, (off_t)size) < 0 ? -errno : 0;
}

int64_t ring_file_read_now(struct ring_file *file, void *data, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t got =
            pread(file->handle.fd, (char *)data + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

int64_t ring_file_write_now(struct ring_file *file, const void *data, size_t len, uint64_t offset,
                            bool durable)
{
    size_t done = 0;
    while (done < len) {
        const struct iovec piece = {(char *)(uintptr_t)data + done, len - done};
        const ssize_t written =
            pwritev2(file->handle.fd, &piece, 1, (off_t)(offset + done), durable ? RWF_DSYNC : 0);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -errno;
        if (written == 0) return -EIO;
        done += (size_t)written;
    }
    return (int64_t)done;
}

void ring_file_close_now(struct ring_file *file)
{
    ASSERT(file->handle.state == RING_OPEN && file->handle.in_flight == 0);
    close(file->handle.fd);
    file->handle.fd = -1;
    file->handle.state = RING_CLOSED;
}

int ring_file_lock(struct ring_file *file)
{
    return flock(file->handle.fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

/* ---- through the ring ---------------------------------------------------------------------------
 */

static void submit(struct ring_file *file, struct ring_file_op *op)
{
    struct ring *ring = file->handle.ring;
    struct io_uring_sqe *sqe = ring_sqe(ring);
    const int fd = file->handle.fd;
    char *data = (char *)op->piece.iov_base + op->done_len;
    const unsigned len = (unsigned)MIN(op->piece.iov_len - op->done_len, (size_t)1 << 30);
    switch ((enum file_op_kind)op->kind) {
    case FILE_READ:
        io_uring_prep_read(sqe, fd, data, len, op->offset + op->done_len);
        break;
    case FILE_WRITE:
        io_uring_prep_write(sqe, fd, data, len,
                            file->stream ? UINT64_MAX : op->offset + op->done_len);
        if (op->durable) sqe->rw_flags = RWF_DSYNC;
        break;
    case FILE_SYNC:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    case FILE_ALLOCATE:
        io_uring_prep_fallocate(sqe, fd, 0, (off_t)op->offset, (off_t)op->piece.iov_len);
        break;
    }
    ring_op_start(ring, &op->op, sqe);
}

static bool is_transfer(const struct ring_file_op *op)
{
    return op->kind == FILE_READ || op->kind == FILE_WRITE;
}

static void file_op_done(struct ring_op *ring_op, int32_t result, uint32_t flags)
{
    struct ring_file_op *op = CONTAINER_OF(ring_op, struct ring_file_op, op);
    struct ring_file *file = CONTAINER_OF(ring_op->handle, struct ring_file, handle);
    (void)flags;
    int64_t report = result;
    if (result == -EINTR || result == -EAGAIN) {
        submit(file, op);
        return;
    }
    if (result >= 0 && is_transfer(op)) {
        op->done_len += (size_t)result;
        const bool whole = op->done_len == op->piece.iov_len;
        const bool aligned = !file->direct || op->done_len % RING_DIRECT_ALIGNMENT == 0;
        if (!whole && result > 0 && aligned) { /* short: the rest, with the same promise */
            submit(file, op);
            return;
        }
        report = (int64_t)op->done_len;
        if (!whole && op->kind == FILE_WRITE) report = -EIO;
    }
    op->on_done(op, report);
    ring_handle_settle(&file->handle);
}

static void start(struct ring_file *file, struct ring_file_op *op, enum file_op_kind kind,
                  void *data, size_t len, uint64_t offset)
{
    ASSERT(file->handle.state == RING_OPEN && op->on_done != NULL && !op->op.in_flight);
    op->op = (struct ring_op){.handle = &file->handle, .done = file_op_done};
    op->kind = (uint8_t)kind;
    op->piece = (struct iovec){data, len};
    op->offset = offset;
    op->done_len = 0;
    op->durable = false;
}

void ring_file_read(struct ring_file *file, struct ring_file_op *op, void *data, size_t len,
                    uint64_t offset)
{
    start(file, op, FILE_READ, data, len, offset);
    submit(file, op);
}

void ring_file_write(struct ring_file *file, struct ring_file_op *op, const void *data, size_t len,
                     uint64_t offset, bool durable)
{
    ASSERT(!file->direct || ((uintptr_t)data | len | offset) % RING_DIRECT_ALIGNMENT == 0);
    start(file, op, FILE_WRITE, (char *)(uintptr_t)data, len, offset);
    op->durable = durable;
    submit(file, op);
}

void ring_file_sync(struct ring_file *file, struct ring_file_op *op)
{
    start(file, op, FILE_SYNC, NULL, 0, 0);
    submit(file, op);
}

void ring_file_allocate(struct ring_file *file, struct ring_file_op *op, uint64_t offset,
                        uint64_t len)
{
    start(file, op, FILE_ALLOCATE, NULL, len, offset);
    submit(file, op);
}

void ring_file_close(struct ring_file *file)
{
    if (ring_handle_begin_close(&file->handle)) ring_handle_settle(&file->handle);
}
