/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_model - what the simulated disk may do, said naively: whole files as arrays
 *
 * The model of a file keeps, of each sector, all contents that may be durable: in one set for the
 * case that its pending size and truncation are lost in a power cut, in one for the case that they
 * are kept. The model of a folder keeps its durable names and the changes since. Nothing here is
 * clever: it is the other opinion.
 */
#pragma once
#include "disk.h"

enum {
    MODEL_SECTOR = 512,
    MODEL_PAGE = 4096,
    MODEL_PAGES = 4,
    MODEL_FILE_MAX = MODEL_PAGE * MODEL_PAGES,
    MODEL_SECTORS = MODEL_FILE_MAX / MODEL_SECTOR,
    MODEL_VARIANTS = 8,
    MODEL_NAMES = 4,
};
#define MODEL_NO_CUT UINT64_MAX

struct model_variants { /* of one sector */
    uint32_t count;
    bool any; /* too many to tell */
    char data[MODEL_VARIANTS][MODEL_SECTOR];
};
struct model_file {
    uint64_t inode;
    uint32_t names, opens;
    char now[MODEL_FILE_MAX]; /* zeros behind the size */
    uint64_t size;
    bool dirty[MODEL_SECTORS];
    struct model_variants lost[MODEL_SECTORS], kept[MODEL_SECTORS];
    uint64_t sizes[MODEL_VARIANTS]; /* that may be durable, when the pending one is lost */
    uint32_t size_count;
    uint64_t cut;                /* the smallest size since the size was durable */
    bool unsure;                 /* a failed sync: the size may have become durable */
    bool allocated[MODEL_PAGES]; /* until the first cut; then nobody knows */
    char told[MODEL_FILE_MAX];   /* what disk_on_durable() said */
    bool truncated;              /* so that it did not say all */
};

struct model_file *model_file_new(uint64_t inode);
void model_write(struct model_file *file, const char *data, size_t len, uint64_t offset);
void model_truncate(struct model_file *file, uint64_t size);
void model_sync(struct model_file *file, uint64_t from, uint64_t end); /* and the size */
void model_sync_failed(struct model_file *file, uint64_t from, uint64_t end);
void model_torn(struct model_file *file, const char *data, size_t len, uint64_t offset);
/* May this be what is there after a cut? data has MODEL_FILE_MAX octets. */
bool model_may_be(const struct model_file *file, const char *data, uint64_t size);
void model_is(struct model_file *file, const char *data, uint64_t size); /* it is, and durable */

struct model_folder {
    uint64_t now[MODEL_NAMES], durable[MODEL_NAMES]; /* inodes; 0: no such name */
    struct model_change {
        int name, gone; /* -1: none */
        uint64_t inode;
    } * changes;
    uint32_t change_count, change_cap;
};
/* name is inode's and gone is nobody's, in one step; either may be -1. */
void model_change(struct model_folder *folder, int name, uint64_t inode, int gone);
void model_folder_sync(struct model_folder *folder);
bool model_names_may_be(const struct model_folder *folder, const uint64_t *names);
void model_names_are(struct model_folder *folder, const uint64_t *names);
