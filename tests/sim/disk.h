/* SPDX-License-Identifier: Apache-2.0
 *
 * disk - the file system below the simulated kernel: what a power cut leaves is a matter of the
 * seed
 *
 * Job     files, folders and names with two images of everything: the current one, which programs
 *         see, and the durable one, which survives a power cut. Nothing else decides what is lost
 *         than the seed, so that a run can be repeated.
 * Drive   by one thread, by calls; no clock and no real file.
 * Owner   whoever creates it. A file is an inode: it lives while it has a name or is open, and each
 *         disk_open() wants one disk_close(), unless the process died or the power was cut.
 * Errors  0, octets or -errno as the system call has it. Misuse by the kernel above is an ASSERT.
 *
 * Promises
 *   data     A sector (512 octets) reaches the device as a whole or not at all. What a sync covered
 *            stays; every other sector written since does or does not, each by itself. Without its
 *            new size a file keeps nothing of what was written behind the old one.
 *   size     The size, a truncation and newly allocated space are durable with the next sync of
 *            the file, or by luck, all together.
 *   names    Changes of a folder are durable when it was synced; of the others a prefix survives.
 *            A rename between two folders is a change in each, so a cut may leave both names, or
 *            none (a folder is in one of them). A sync of a file may bring its own name, and all
 * changes before, as on ext4. space    Pages of 4096 octets count once when they are written or
 * allocated, until truncation or the end of the last name and the last open file. A cut can bring
 * back more than the disk holds; then there is no free space.
 *
 * Paths begin at the root, with or without a slash; there is no "..", no link and no permission.
 */
#pragma once
#include "ringpost/base.h"

struct disk;      /* the whole file system */
struct disk_file; /* an inode: file, folder or name of a local socket */

struct disk *disk_create(uint64_t seed, uint64_t capacity); /* octets of data that it can hold */
void disk_destroy(struct disk **disk);
void disk_set_capacity(struct disk *disk, uint64_t capacity); /* less than is used: it is full */
uint64_t disk_free_space(const struct disk *disk);

/* ---- files: open(2) to close(2) ------------------------------------------------------------- */

/* O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY and the access mode are honoured. */
MUST_USE int disk_open(struct disk *disk, const char *path, int flags, struct disk_file **file);
void disk_close(struct disk_file *file);
/* Octets; 0 at the end. -EISDIR for a folder. */
int64_t disk_read(struct disk_file *file, void *data, size_t len, uint64_t offset);
/* Into the cache: all, or fewer when the disk becomes full on the way; -ENOSPC, -EFBIG. */
int64_t disk_write(struct disk_file *file, const void *data, size_t len, uint64_t offset);
/* fallocate(2), mode 0: later writes inside find their space. All of it or -ENOSPC. */
MUST_USE int disk_allocate(struct disk_file *file, uint64_t offset, uint64_t len);
MUST_USE int disk_truncate(struct disk_file *file, uint64_t size);
int64_t disk_size(const struct disk_file *file);
/* One of its names; the last one it had, when it has none now. */
const char *disk_path(const struct disk_file *file);
/* flock(2) with LOCK_EX | LOCK_NB: false when held. Gone with disk_unlock(), which the kernel above
 * calls when the holder's descriptor closes, with the last close, and with the process. */
MUST_USE bool disk_lock(struct disk_file *file);
void disk_unlock(struct disk_file *file);

void disk_sync(struct disk_file *file); /* fdatasync(2): all dirty octets, size; a folder's names */
/* What RWF_DSYNC of that write promises: the sectors of these octets, and the size. */
void disk_sync_range(struct disk_file *file, uint64_t offset, uint64_t len);
/* A sync that fails, of these octets or (len 0) of the file. As on Linux the pages count as clean
 * although they did not reach the device: each dirty sector arrived or not, no later sync writes
 * it, and programs see the new octets until a power cut. The size arrived, or stays for another
 * sync. */
void disk_sync_failed(struct disk_file *file, uint64_t offset, uint64_t len);

/* ---- names ---------------------------------------------------------------------------------- */

struct disk_status {
    bool folder;
    bool socket;
    uint64_t size;
    uint64_t inode; /* never used again; the same for two names of one file */
};
MUST_USE int disk_status(struct disk *disk, const char *path, struct disk_status *status);
MUST_USE int disk_make_folder(struct disk *disk, const char *path);
/* The name of a local socket, bind(2) of AF_UNIX: -EADDRINUSE when there is anything already. */
MUST_USE int disk_make_socket(struct disk *disk, const char *path);
MUST_USE int disk_remove(struct disk *disk, const char *path); /* a file or an empty folder */
/* Replaces what was there, as rename(2). A folder that goes to another parent is in one of them
 * after a cut, never in both or none. A folder does not go into itself: -EINVAL. */
MUST_USE int disk_rename(struct disk *disk, const char *from, const char *to);
/* In name order, until each() returns false. It must not change the folder. */
MUST_USE int disk_list(struct disk *disk, const char *path,
                       bool (*each)(const char *name, void *context), void *context);
MUST_USE int disk_sync_folder(struct disk *disk, const char *path);

/* ---- disasters ------------------------------------------------------------------------------ */

/* A write in flight at the power cut that follows: each of its sectors is in the durable image or
 * not, straight, whatever the cache says. */
void disk_write_torn(struct disk_file *file, const void *data, size_t len, uint64_t offset);
/* SIGKILL: open files are closed, locks are gone, everything in the cache stays. */
void disk_process_died(struct disk *disk);
void disk_power_cut(struct disk *disk); /* the same, and what is not durable is kept or lost */
/* Flips one bit of a clean, written page of a file below folder; false: there is none. *file is
 * not opened. */
bool disk_rot(struct disk *disk, const char *folder, struct disk_file **file, uint64_t *offset);

/* Called with every piece, contiguous within one file, that became durable just now, also in a
 * power cut. The name need not be durable. It must not call the disk. */
void disk_on_durable(struct disk *disk,
                     void (*seen)(void *context, const char *path, uint64_t offset,
                                  const char *data, size_t len),
                     void *context);
