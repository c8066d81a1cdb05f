/* SPDX-License-Identifier: Apache-2.0
 *
 * files - descriptors, and the system calls that are about files, signals, time and the process
 */
#include "kernel.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static struct kernel_file *files[KERNEL_FILES_MAX];
static uint32_t open_count;
static int signal_descriptor = -1;

enum { FD_FIRST = 3, REAL_FIRST = 1 << 20 };

/* ---- descriptors -------------------------------------------------------------------------------
 */

int kernel_fd_new(enum kernel_kind kind)
{
    for (int fd = FD_FIRST; fd < KERNEL_FILES_MAX; fd++) {
        if (files[fd] != NULL) continue;
        files[fd] = base_alloc(sizeof(*files[fd]));
        files[fd]->kind = (uint8_t)kind;
        open_count += 1;
        return fd;
    }
    sim_fail(SIM_CHECK_LIMITS, "%d descriptors are open", KERNEL_FILES_MAX);
}

struct kernel_file *kernel_file(int fd)
{
    return fd >= 0 && fd < KERNEL_FILES_MAX ? files[fd] : NULL;
}

uint32_t kernel_open_files(void)
{
    return open_count;
}

static void let_go(struct kernel_file *file)
{
    if (file->file != NULL) {
        if (file->locked) disk_unlock(file->file);
        disk_close(file->file);
    }
    if (file->end != NULL) net_close(file->end);
    for (uint32_t i = 0; i < file->backlog_count; i++) {
        net_reset(file->backlog[i]);
        net_close(file->backlog[i]);
    }
    if (file->listener != NULL) {
        net_unlisten(file->listener);
        base_free(file->listener);
    }
    base_free(file);
    open_count -= 1;
}

int kernel_fd_close(int fd)
{
    struct kernel_file *file = kernel_file(fd);
    if (file == NULL) return -EBADF;
    if (sim.options.canary == SIM_CANARY_LEAK && file->kind == KERNEL_SOCKET &&
        sim_below(SIM_RING, 10) == 0) {
        net_close(file->end);
        return 0;
    }
    files[fd] = NULL;
    if (fd == signal_descriptor) signal_descriptor = -1;
    let_go(file);
    return 0;
}

void kernel_process_died(void)
{
    kernel_rings_gone();
    kernel_memory_gone();
    for (int fd = 0; fd < KERNEL_FILES_MAX; fd++) {
        struct kernel_file *file = files[fd];
        if (file == NULL) continue;
        files[fd] = NULL;
        file->file = NULL; /* the disk closes its files itself */
        if (file->end != NULL) net_reset(file->end);
        let_go(file);
    }
    signal_descriptor = -1;
}

/* ---- polls of counters and signals --------------------------------------------------------------
 */

void kernel_poll_check(struct kernel_file *file)
{
    if (file->poll == NULL || file->count == 0) return;
    struct kernel_op *op = file->poll;
    file->poll = NULL;
    kernel_op_finish(op, POLLIN);
}

void kernel_poll_op(struct kernel_op *op, struct kernel_file *file)
{
    if (file->kind != KERNEL_COUNTER && file->kind != KERNEL_SIGNALS)
        sim_fail(SIM_CHECK_KERNEL, "a poll of a file of kind %u", file->kind);
    file->poll = op;
    kernel_poll_check(file);
}

void kernel_signal(uint32_t number)
{
    struct kernel_file *file = kernel_file(signal_descriptor);
    if (file == NULL || file->count == ARRAY_COUNT(file->signals)) return;
    file->signals[file->count++] = number;
    kernel_poll_check(file);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int answer(int result)
{
    return result < 0 ? fail(-result) : result;
}

int __wrap_eventfd(unsigned initial, int flags);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags);
ssize_t __wrap_read(int fd, void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_close(int fd);
int __wrap_fcntl64(int fd, int command, ...);

int __wrap_eventfd(unsigned initial, int flags)
{
    (void)initial, (void)flags;
    return kernel_fd_new(KERNEL_COUNTER);
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
    (void)fd, (void)mask, (void)flags;
    return signal_descriptor = kernel_fd_new(KERNEL_SIGNALS);
}

ssize_t __wrap_read(int fd, void *data, size_t len)
{
    struct kernel_file *file = kernel_file(fd);
    if (file == NULL) return fail(EBADF);
    if (file->count == 0) return fail(EAGAIN);
    if (file->kind == KERNEL_COUNTER) {
        memcpy(data, &file->count, sizeof(file->count));
        file->count = 0;
        return sizeof(file->count);
    }
    if (file->kind != KERNEL_SIGNALS) return fail(EINVAL);
    struct signalfd_siginfo info = {.ssi_signo = file->signals[0]};
    memmove(file->signals, file->signals + 1, sizeof(file->signals) - sizeof(file->signals[0]));
    file->count -= 1;
    memcpy(data, &info, MIN(len, sizeof(info)));
    return sizeof(info);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    struct kernel_file *file = kernel_file(fd);
    (void)data;
    if (file == NULL || file->kind != KERNEL_COUNTER) return fail(EBADF);
    file->count += 1;
    kernel_poll_check(file);
    return (ssize_t)len;
}

int __wrap_close(int fd)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file != NULL && file->in_flight > 0)
        sim_fail(SIM_CHECK_KERNEL, "descriptor %d is closed with %u operations in flight", fd,
                 file->in_flight);
    return answer(kernel_fd_close(fd));
}

int __wrap_fcntl64(int fd, int command, ...)
{
    const struct kernel_file *file = kernel_file(fd);
    if (command != F_DUPFD_CLOEXEC || file == NULL) return fail(EBADF);
    return kernel_fd_new(KERNEL_PROBE);
}

/* ---- files and folders --------------------------------------------------------------------------
 */

int __wrap_open64(const char *path, int flags, ...);
int __wrap_fstat64(int fd, struct stat *status);
int __wrap_lstat64(const char *path, struct stat *status);
int __wrap_stat64(const char *path, struct stat *status);
int __wrap_ftruncate64(int fd, off_t size);
ssize_t __wrap_pread64(int fd, void *data, size_t len, off_t offset);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags);
int __wrap_flock(int fd, int how);
int __wrap_fsync(int fd);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_remove(const char *path);
int __wrap_unlink(const char *path);
int __wrap_rename(const char *from, const char *to);
int __wrap_chmod(const char *path, mode_t mode);
int __wrap_access(const char *path, int mode);
int __wrap_statvfs64(const char *path, struct statvfs *status);
DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir64(DIR *folder);
int __wrap_closedir(DIR *folder);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
int __wrap_fileno(FILE *file);
int __real_fileno(FILE *file);
int __real_fstat64(int fd, struct stat *status);

/* Calls that change what is on disk: the process may end right before one, in the middle of a turn.
 */
static void step(void)
{
    if (sim_below(SIM_SCHEDULE, 400) == 0) run_may_end_here();
}

int __wrap_open64(const char *path, int flags, ...)
{
    struct disk_file *file;
    const bool folder = flags & O_DIRECTORY;
    if (flags & O_CREAT) step();
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 300)) return fail(EIO);
    const int error = disk_open(sim.disk, path, flags, &file);
    if (error < 0) return fail(-error);
    const int fd = kernel_fd_new(folder ? KERNEL_FOLDER : KERNEL_FILE);
    struct kernel_file *kernel = files[fd];
    kernel->file = file;
    kernel->direct = flags & O_DIRECT;
    kernel->append = flags & O_APPEND;
    snprintf(kernel->path, sizeof(kernel->path), "%s", path);
    return fd;
}

static int give_status(const struct disk_status *from, struct stat *status)
{
    *status = (struct stat){
        .st_mode = from->folder   ? S_IFDIR | 0750
                   : from->socket ? S_IFSOCK | 0600
                                  : S_IFREG | 0640,
        .st_size = (off_t)from->size,
    };
    return 0;
}

int __wrap_fstat64(int fd, struct stat *status)
{
    if (fd >= REAL_FIRST) return __real_fstat64(fd - REAL_FIRST, status);
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->file == NULL) return fail(EBADF);
    const struct disk_status own = {.folder = file->kind == KERNEL_FOLDER,
                                    .size = (uint64_t)disk_size(file->file)};
    return give_status(&own, status);
}

int __wrap_lstat64(const char *path, struct stat *status)
{
    struct disk_status found;
    const int error = disk_status(sim.disk, path, &found);
    return error < 0 ? fail(-error) : give_status(&found, status);
}

int __wrap_stat64(const char *path, struct stat *status)
{
    return __wrap_lstat64(path, status);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->file == NULL) return fail(EBADF);
    return answer(disk_truncate(file->file, (uint64_t)size));
}

ssize_t __wrap_pread64(int fd, void *data, size_t len, off_t offset)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->file == NULL) return fail(EBADF);
    if (sim_fault(SIM_FAULT_RING, SIM_DISK, 50)) len = MIN(len, (size_t)4096);
    return (ssize_t)disk_read(file->file, data, len, (uint64_t)offset);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->file == NULL || count != 1) return fail(EBADF);
    step();
    const uint64_t at = file->append ? (uint64_t)disk_size(file->file) : (uint64_t)offset;
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 100)) return fail(EIO);
    const int64_t written = disk_write(file->file, pieces->iov_base, pieces->iov_len, at);
    if (written < 0) return fail((int)-written);
    if (flags & RWF_DSYNC) disk_sync_range(file->file, at, (uint64_t)written);
    return (ssize_t)written;
}

int __wrap_flock(int fd, int how)
{
    struct kernel_file *file = kernel_file(fd);
    (void)how;
    if (file == NULL || file->file == NULL) return fail(EBADF);
    if (file->locked) return 0;
    file->locked = disk_lock(file->file);
    return file->locked ? 0 : fail(EWOULDBLOCK);
}

int __wrap_fsync(int fd)
{
    step();
    const struct kernel_file *file = kernel_file(fd);
    if (file == NULL || file->file == NULL) return fail(EBADF);
    if (sim_fault(SIM_FAULT_DISK, SIM_DISK, 60) || kernel_storage_is_broken()) {
        if (file->kind == KERNEL_FILE) disk_sync_failed(file->file, 0, 0);
        return fail(EIO);
    }
    if (file->kind == KERNEL_FILE) disk_sync(file->file);
    if (file->kind == KERNEL_FOLDER) return answer(disk_sync_folder(sim.disk, file->path));
    return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    (void)mode;
    step();
    return answer(disk_make_folder(sim.disk, path));
}

int __wrap_remove(const char *path)
{
    step();
    return answer(disk_remove(sim.disk, path));
}

int __wrap_unlink(const char *path)
{
    return answer(disk_remove(sim.disk, path));
}

int __wrap_rename(const char *from, const char *to)
{
    step();
    return answer(disk_rename(sim.disk, from, to));
}

int __wrap_chmod(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return 0;
}

int __wrap_access(const char *path, int mode)
{
    struct disk_status status;
    (void)mode;
    return answer(disk_status(sim.disk, path, &status));
}

int __wrap_statvfs64(const char *path, struct statvfs *status)
{
    (void)path;
    *status = (struct statvfs){.f_frsize = 4096, .f_bsize = 4096};
    status->f_bavail = disk_free_space(sim.disk) / 4096;
    return 0;
}

/* Folders are read whole when they are opened. */
struct listing {
    uint32_t count, next;
    struct dirent entries[512];
};

static bool add_name(const char *name, void *context)
{
    struct listing *listing = context;
    if (listing->count == ARRAY_COUNT(listing->entries)) return false;
    snprintf(listing->entries[listing->count++].d_name, sizeof(listing->entries[0].d_name), "%s",
             name);
    return true;
}

DIR *__wrap_opendir(const char *path)
{
    struct listing *listing = base_alloc(sizeof(*listing));
    const int error = disk_list(sim.disk, path, add_name, listing);
    if (error == 0) return (DIR *)(void *)listing;
    base_free(listing);
    errno = -error;
    return NULL;
}

struct dirent *__wrap_readdir64(DIR *folder)
{
    struct listing *listing = (void *)folder;
    return listing->next < listing->count ? &listing->entries[listing->next++] : NULL;
}

int __wrap_closedir(DIR *folder)
{
    base_free(folder);
    return 0;
}

/* The configuration is a real file in memory; the lock's holder is only asked for its name. */
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    if (strncmp(path, "/proc/self/fd/", 14) == 0 || strcmp(path, "/dev/null") == 0)
        return __real_fopen64(path, mode);
    errno = ENOENT;
    return NULL;
}

/* Descriptors of real files would be taken for simulated ones. */
int __wrap_fileno(FILE *file)
{
    return REAL_FIRST + __real_fileno(file);
}

/* ---- time, chance, the process ------------------------------------------------------------------
 */

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);
pid_t __wrap_getpid(void);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_getrlimit64(int what, struct rlimit *limit);
int __wrap_setrlimit64(int what, const struct rlimit *limit);
int __wrap_gethostname(char *name, size_t size);
int __wrap_getifaddrs(struct ifaddrs **all);
void __wrap_freeifaddrs(struct ifaddrs *all);
uid_t __wrap_geteuid(void);
void __wrap__exit(int status);
void __wrap_base_assert_failed(const char *expression, const char *file, int line);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    const uint64_t ns = sim.now;
    if (clock == CLOCK_REALTIME) {
        const int64_t ms = (int64_t)(ns / 1000000) + sim.wall_offset;
        *time = (struct timespec){ms / 1000, ms % 1000 * 1000000};
    } else {
        *time = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    }
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
    (void)rest;
    threads_sleep(sim.now + DURATION_S((uint64_t)time->tv_sec) + (uint64_t)time->tv_nsec);
    return 0;
}

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags)
{
    (void)flags;
    char *out = data;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)sim_below(SIM_SEED, 256);
    return (ssize_t)len;
}

pid_t __wrap_getpid(void)
{
    return 1000 + (pid_t)sim.life;
}

int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how, (void)set, (void)old;
    return 0;
}

int __wrap_getrlimit64(int what, struct rlimit *limit)
{
    (void)what;
    *limit = (struct rlimit){KERNEL_FILES_MAX - 8, KERNEL_FILES_MAX - 8};
    return 0;
}

int __wrap_setrlimit64(int what, const struct rlimit *limit)
{
    (void)what, (void)limit;
    return 0;
}

int __wrap_gethostname(char *name, size_t size)
{
    snprintf(name, size, "relay.test");
    return 0;
}

int __wrap_getifaddrs(struct ifaddrs **all)
{
    *all = NULL;
    return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *all)
{
    (void)all;
}

uid_t __wrap_geteuid(void)
{
    return 1000;
}

void __wrap__exit(int status)
{
    threads_exit(status);
}

void __wrap_base_assert_failed(const char *expression, const char *file, int line)
{
    sim_fail(SIM_CHECK_ASSERT, "%s:%d: %s", file, line, expression);
}
