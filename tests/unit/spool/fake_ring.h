/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_ring - the file part of ring.h over a disk in memory that can be cut off, torn and broken
 *
 * Linked in place of the real ring. A disk outlives its ring: cut the power, make a new ring over
 * the same disk, recover. Model of the disk:
 *   - a sector (512 octets) is written as a whole or not at all;
 *   - what a durable write or a sync covered stays; each other sector written since may or may not;
 *   - a write in flight may have reached any subset of its sectors;
 *   - of names created, removed and renamed since the folder's last sync, some prefix stays.
 */
#pragma once
#include "ringpost/ring.h"

struct fake_disk;
struct fake_disk *fake_disk_new(void);
void fake_disk_free(struct fake_disk **disk);
struct fake_disk *fake_disk_copy(const struct fake_disk *disk); /* what is durable */
/* Octets of a file, to be spoiled by the test; NULL: not there. */
char *fake_disk_file(struct fake_disk *disk, const char *path, size_t *len);
void fake_disk_put(struct fake_disk *disk, const char *path, const void *data, size_t len);
void fake_disk_shorten(struct fake_disk *disk, const char *path, size_t len);
/* The n-th file whose name ends so, in order of paths; NULL: no more. */
const char *fake_disk_name(struct fake_disk *disk, const char *ending, size_t n);

struct fake_faults {
    uint32_t fail_writes;                   /* so many of the coming durable writes fail */
    int fail_error;                         /* with this; 0: EIO */
    uint32_t fail_share;                    /* of 1000 writes fail */
    uint32_t fail_reads;                    /* so many of the coming reads fail */
    bool fail_folders;                      /* creation, removal and sync of names fail */
    int64_t space;                          /* octets left for new files; -1: no limit */
    bool hold_writes;                       /* nothing of the kind completes */
    duration write_time;                    /* of a durable write; 0: some microseconds */
    uint64_t writes, durable_writes, reads; /* counted */
    uint64_t octets_written;                /* durable */
};

struct ring *fake_ring_new(struct fake_disk *disk, uint64_t seed);
void fake_ring_free(struct ring **ring); /* asserts that nothing is in flight and all is closed */
struct fake_faults *fake_ring_faults(struct ring *ring);
void fake_ring_cut(struct ring *ring); /* from here on nothing reaches the disk any more */
void fake_ring_sleep(struct ring *ring, duration time);
uint32_t fake_ring_pending(const struct ring *ring);
/* One turn as the worker does it: completions, timers. */
void fake_ring_run(struct ring *ring);
