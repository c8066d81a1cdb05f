/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_internal - what the files of the simulated disk share: inodes, pages and lists of names
 *
 *   disk.c         the disk as a whole: inodes' lives, power cuts, rot
 *   disk_data.c    octets, sizes and space of one file
 *   disk_names.c   paths and folders
 *
 * Where the two images of a page may differ: in sectors that are dirty (a sync will write them) or
 * stale (a failed sync lost them), and behind cut_size while a truncation is not durable. Nowhere
 * else; so a page without any of these has one piece of memory for both.
 */
#pragma once
#include "disk.h"

enum {
    DISK_PAGE = 4096,
    DISK_SECTOR = 512,
    DISK_NAME_MAX = 255,
};
#define DISK_FILE_MAX (UINT64_C(1) << 32) /* pages are an array by index */
#define DISK_NO_CUT   UINT64_MAX

enum disk_kind { DISK_FILE, DISK_FOLDER, DISK_SOCKET };

struct disk_page {
    char *now, *durable;  /* the same memory when they are equal; NULL: zeros */
    uint8_t dirty, stale; /* one bit a sector */
    bool written;         /* something has become durable since it is part of the file */
    bool allocated;       /* counts for space */
    bool reserved;        /* and will after a power cut */
    bool listed;          /* in the file's list of pages that may differ */
};

struct disk_entry {
    char *name;
    struct disk_file *file;
};
struct disk_names { /* sorted */
    struct disk_entry *entries;
    uint32_t count, cap;
};
/* One atomic step of a folder: name is file's now, and gone is nobody's. Either may be NULL. A
 * folder that moves to another parent is one step of both: neither becomes durable alone. */
struct disk_change {
    char *name, *gone;
    struct disk_file *file;
    struct disk_file *partner; /* the other parent, held; NULL: a step of one folder */
    uint64_t move;             /* the same number in both */
};

struct disk_file {
    struct disk *disk;
    struct list link; /* all inodes, in the order of their creation */
    enum disk_kind kind;
    uint64_t inode;
    bool locked;
    bool counted;              /* its pages count: it has a name or is open */
    uint32_t refs;             /* by names in either image, by changes, by opens */
    uint32_t opens, names;     /* names of now */
    struct disk_file *parent;  /* of the name in path; NULL without a name */
    char *path;                /* one of its names, or the last one */
    struct disk_page *pages;   /* DISK_FILE: these */
    uint32_t page_count;       /* of the array; behind it is nothing */
    uint32_t allocated;        /* pages that are */
    uint32_t fresh, fresh_end; /* allocations that are not durable are between these pages */
    uint64_t size, durable_size;
    uint64_t cut_size; /* the smallest size since the size was durable, if below that */
    uint32_t *differing, differing_count, differing_cap;
    struct disk_names now, durable; /* DISK_FOLDER: these; durable + changes = now */
    struct disk_change *changes;
    uint32_t change_count, change_cap;
};

struct disk {
    struct random random;
    struct pool pages;
    struct list files;
    struct disk_file *root;
    uint64_t inodes; /* made so far */
    uint64_t moves;  /* of folders to another parent */
    uint64_t capacity;
    uint64_t used; /* pages */
    void (*seen)(void *context, const char *path, uint64_t offset, const char *data, size_t len);
    void *context;
    struct { /* what became durable and was not told yet */
        struct disk_file *file;
        char *data;
        uint64_t offset;
        size_t len, cap;
    } piece;
};

static inline bool disk_toss(struct disk *disk)
{
    return random_below(&disk->random, 2) == 0;
}

/* disk.c */
struct disk_file *disk_file_new(struct disk *disk, enum disk_kind kind);
void disk_file_ref(struct disk_file *file);
void disk_file_unref(struct disk_file *file);
void disk_file_unused(
    struct disk_file *file); /* a name or an open is gone: perhaps the space too */

/* disk_data.c */
void disk_data_cut(struct disk_file *file);  /* the power is cut: the durable image is all */
void disk_data_free(struct disk_file *file); /* all pages */

/* disk_names.c */
MUST_USE int disk_find(struct disk *disk, const char *path, struct disk_file **file);
void disk_folder_commit(struct disk_file *folder, uint32_t count); /* the first count changes */
void disk_folder_cut(struct disk_file *folder);                    /* which changes survive */
void disk_folder_reload(struct disk_file *folder); /* then: the durable names are all */
void disk_folder_free(struct disk_file *folder);
void disk_name_sync(struct disk_file *file); /* its own name becomes durable, by the seed */
void disk_name_all(struct disk *disk);       /* names, parent and path of each, from the tree */
