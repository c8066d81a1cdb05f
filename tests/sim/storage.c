/* SPDX-License-Identifier: Apache-2.0
 *
 * storage - the product's reads, writes and syncs through its rings, with what can go wrong
 *
 * A write takes effect at an instant between submission and completion; a durable one is on the
 * device when it completes. Until it takes effect its octets are still the product's memory: a
 * power cut tears it.
 */
#include "kernel.h"
#include "model.h"
#include <errno.h>
#include <linux/fs.h>

enum { OPEN_OPS_MAX = 4096 };

static struct kernel_op *writes[OPEN_OPS_MAX]; /* in flight: what a power cut finds */
static uint32_t write_count;

static instant broken_until;

void kernel_storage_break(instant until)
{
    SIM_TRACE("disk: every sync fails for %lld s", (long long)((until - sim.now) / DURATION_S(1)));
    broken_until = until;
    model_trouble(until + DURATION_S(5));
}

bool kernel_storage_is_broken(void)
{
    return sim.now < broken_until && !sim.calm;
}

static void forget_write(const struct kernel_op *op)
{
    for (uint32_t i = 0; i < write_count; i++) {
        if (writes[i] == op) writes[i] = writes[--write_count];
    }
}

static duration device_time(size_t len, bool durable)
{
    duration time = DURATION_US(10 + sim_skewed(SIM_DISK, 0, 50)) + len / 2;
    if (durable) time += DURATION_US(100 + sim_skewed(SIM_DISK, 0, 2000));
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 300)) {
        time += DURATION_MS(sim_skewed(SIM_DISK, 1, 30000));
        model_trouble(sim.now + time);
    }
    return time;
}

/* What the product says is shown when it says so: a power cut may take it off the disk. */
static void show_log(const struct kernel_file *file, const char *data, size_t len)
{
    const bool log = strncmp(file->path, "/log/", 5) == 0;
    if (!sim.options.trace || (!log && strncmp(file->path, "/account/", 9) != 0)) return;
    printf("%s written at %.6f:\n%.*s", file->path, (double)sim.now / 1e9, (int)len, data);
}

/* The canary's broken device: it has said that these octets are durable, and they are not. */
static void forget(struct disk_file *file, const char *data, size_t len, uint64_t offset)
{
    char *zeros = base_alloc(len);
    (void)disk_write(file, zeros, len, offset);
    disk_sync_range(file, offset, len);
    (void)disk_write(file, data, len, offset);
    base_free(zeros);
}

/* Of a transfer that ends early: at least one octet, or page. */
static size_t shorten(const struct kernel_file *file, size_t len)
{
    const size_t unit = file->direct ? 4096 : 1;
    const size_t units = (size_t)sim_below(SIM_DISK, len + 1) / unit;
    return MAX(units, (size_t)1) * unit;
}

static int32_t do_write(struct kernel_op *op, struct kernel_file *file)
{
    const bool durable = op->sqe.rw_flags & RWF_DSYNC;
    const char *data = (const char *)(uintptr_t)op->sqe.addr;
    const uint64_t offset =
        file->append || op->sqe.off == UINT64_MAX ? (uint64_t)disk_size(file->file) : op->sqe.off;
    size_t len = op->sqe.len;
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 200)) return -EIO; /* nothing of it was taken */
    if (sim_fault(SIM_FAULT_RING, SIM_DISK, 100)) return -EINTR;
    if (sim_fault(SIM_FAULT_RING, SIM_DISK, 30)) {
        len = shorten(file, len);
    }
    if (sim.options.canary == SIM_CANARY_ACCOUNT_GAP && strstr(file->path, "account") != NULL &&
        sim_below(SIM_DISK, 2) == 0)
        return (int32_t)len;
    const int64_t written = disk_write(file->file, data, len, offset);
    if (written > 0) show_log(file, data, (size_t)written);
    if (written <= 0 || !durable) return (int32_t)written;
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 150) || kernel_storage_is_broken()) {
        disk_sync_failed(file->file, offset, (uint64_t)written);
        return -EIO;
    }
    if (sim.options.canary == SIM_CANARY_EARLY_COMPLETION && sim_below(SIM_DISK, 3) == 0)
        return (int32_t)written;
    disk_sync_range(file->file, offset, (uint64_t)written);
    if (sim.options.canary == SIM_CANARY_LOST_RECORD && strstr(file->path, "/spool/") != NULL &&
        sim_below(SIM_DISK, 10) == 0)
        forget(file->file, data, (size_t)written, offset);
    return (int32_t)written;
}

static int32_t execute(struct kernel_op *op, struct kernel_file *file)
{
    switch (op->sqe.opcode) {
    case IORING_OP_READ: {
        size_t len = op->sqe.len;
        if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 400)) return -EIO;
        if (sim_fault(SIM_FAULT_RING, SIM_DISK, 30)) {
            len = shorten(file, len);
        }
        return (int32_t)disk_read(file->file, (void *)(uintptr_t)op->sqe.addr,
                                  MIN(len, (size_t)op->sqe.len), op->sqe.off);
    }
    case IORING_OP_WRITE:
        return do_write(op, file);
    case IORING_OP_FSYNC:
        if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 100) || kernel_storage_is_broken()) {
            disk_sync_failed(file->file, 0, 0);
            return -EIO;
        }
        disk_sync(file->file);
        return 0;
    default: /* IORING_OP_FALLOCATE: off and addr are offset and length */
        if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 100)) return -ENOSPC;
        return disk_allocate(file->file, op->sqe.off, op->sqe.addr);
    }
}

static void happen(struct sim_event *event)
{
    struct kernel_op *op = CONTAINER_OF(event, struct kernel_op, event);
    struct kernel_file *file = kernel_file(op->sqe.fd);
    const int32_t result = execute(op, file);
    /* It is tried again after some seconds. */
    if (result < 0 && result != -EINTR) model_trouble(sim.now + DURATION_S(5));
    forget_write(op);
    SIM_TRACE("disk: operation %u on %s, %u octets at %llu%s: %d", op->sqe.opcode, file->path,
              op->sqe.len, (unsigned long long)op->sqe.off,
              op->sqe.rw_flags & RWF_DSYNC ? ", durable" : "", result);
    kernel_op_finish(op, result);
}

void kernel_storage_op(struct kernel_op *op, struct kernel_file *file)
{
    if (file->kind != KERNEL_FILE)
        sim_fail(SIM_CHECK_KERNEL, "operation %u on a file of kind %u", op->sqe.opcode, file->kind);
    const bool write = op->sqe.opcode == IORING_OP_WRITE;
    const bool transfer = write || op->sqe.opcode == IORING_OP_READ;
    if (file->direct && transfer && (op->sqe.addr | op->sqe.len | op->sqe.off) % 512 != 0) {
        kernel_op_finish(op, -EINVAL);
        return;
    }
    ASSERT(write_count < OPEN_OPS_MAX);
    if (write) writes[write_count++] = op;
    op->event.happen = happen;
    sim_after(&op->event, device_time(transfer ? op->sqe.len : 0,
                                      op->sqe.opcode == IORING_OP_FSYNC ||
                                          (write && (op->sqe.rw_flags & RWF_DSYNC))));
}

void kernel_storage_cut(void)
{
    for (uint32_t i = 0; i < write_count; i++) {
        const struct kernel_op *op = writes[i];
        const struct kernel_file *file = kernel_file(op->sqe.fd);
        if (file == NULL || file->append) continue;
        disk_write_torn(file->file, (const void *)(uintptr_t)op->sqe.addr, op->sqe.len,
                        op->sqe.off);
    }
    write_count = 0;
}

void kernel_storage_killed(void)
{
    for (uint32_t i = 0; i < write_count; i++) {
        struct kernel_op *op = writes[i];
        struct kernel_file *file = kernel_file(op->sqe.fd);
        if (file != NULL && sim_below(SIM_DISK, 2) == 0) (void)do_write(op, file);
    }
    write_count = 0;
}
