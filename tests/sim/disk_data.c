/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_data - octets, sizes and space of one file, now and after a power cut
 */
#include "disk_internal.h"
#include <errno.h>
#include <stdlib.h>

/* ---- telling what became durable ------------------------------------------------------------ */

static void tell(struct disk *disk)
{
    const struct disk_file *file = disk->piece.file;
    if (file != NULL && disk->piece.len > 0) {
        disk->seen(disk->context, file->path, disk->piece.offset, disk->piece.data,
                   disk->piece.len);
    }
    disk->piece.file = NULL;
    disk->piece.len = 0;
}

/* Gathers neighbours, so that what was synced in one piece is told in one piece. */
static void became_durable(struct disk_file *file, uint64_t offset, const char *data, size_t len)
{
    struct disk *disk = file->disk;
    if (disk->seen == NULL || offset >= file->durable_size) return;
    len = MIN(len, file->durable_size - offset);
    if (disk->piece.file != file || disk->piece.offset + disk->piece.len != offset) {
        tell(disk);
        disk->piece.file = file;
        disk->piece.offset = offset;
    }
    if (disk->piece.len + len > disk->piece.cap) {
        disk->piece.cap = MAX(2 * disk->piece.cap, disk->piece.len + len);
        disk->piece.data = base_realloc(disk->piece.data, disk->piece.cap);
    }
    memcpy(disk->piece.data + disk->piece.len, data, len);
    disk->piece.len += len;
}

/* ---- pages ---------------------------------------------------------------------------------- */

static const char zeros[DISK_PAGE];

static uint8_t sectors(size_t from, size_t end) /* those that octets [from, end) touch */
{
    const size_t last = (end + DISK_SECTOR - 1) / DISK_SECTOR;
    return (uint8_t)((0xffu << (from / DISK_SECTOR)) & (0xffu >> (8 - last)));
}

static void image_put(struct disk *disk, char *image)
{
    if (image != NULL) pool_put(&disk->pages, image);
}

static void reach_page(struct disk_file *file, uint64_t index)
{
    if (index < file->page_count) return;
    const uint32_t count = (uint32_t)MAX(2 * (uint64_t)file->page_count, index + 1);
    file->pages = base_realloc(file->pages, count * sizeof(*file->pages));
    memset(file->pages + file->page_count, 0, (count - file->page_count) * sizeof(*file->pages));
    file->page_count = count;
}

/* False: the disk is full. */
static bool allocate_page(struct disk_file *file, uint32_t index)
{
    struct disk *disk = file->disk;
    if (file->pages[index].allocated) return true;
    if (disk_free_space(disk) < DISK_PAGE) return false;
    file->pages[index].allocated = true;
    file->allocated += 1;
    disk->used += 1;
    if (file->fresh == file->fresh_end) file->fresh = file->fresh_end = index;
    file->fresh = MIN(file->fresh, index);
    file->fresh_end = MAX(file->fresh_end, index + 1);
    return true;
}

/* Its current image, apart from the durable one. */
static char *own_page(struct disk_file *file, struct disk_page *page)
{
    if (page->now != NULL && page->now != page->durable) return page->now;
    char *own = pool_get(&file->disk->pages);
    if (page->now != NULL) memcpy(own, page->now, DISK_PAGE);
    page->now = own;
    return own;
}

static char *own_durable(struct disk_file *file, struct disk_page *page)
{
    if (page->durable == NULL) page->durable = pool_get(&file->disk->pages);
    return page->durable;
}

/* One piece of memory again, when nothing can differ any more. True: the images are equal. */
static bool settle_page(struct disk_file *file, uint32_t index)
{
    struct disk_page *page = &file->pages[index];
    if (page->now == page->durable) return true;
    if ((page->dirty | page->stale) != 0) return false;
    if ((uint64_t)(index + 1) * DISK_PAGE > file->cut_size) return false;
    image_put(file->disk, page->durable);
    page->durable = page->now;
    return true;
}

static void page_differs(struct disk_file *file, uint32_t index, uint8_t dirty)
{
    struct disk_page *page = &file->pages[index];
    page->dirty |= dirty;
    page->stale &= (uint8_t)~dirty;
    if (page->listed) return;
    page->listed = true;
    if (file->differing_count == file->differing_cap) {
        file->differing_cap = MAX(2 * file->differing_cap, 16);
        file->differing =
            base_realloc(file->differing, file->differing_cap * sizeof(*file->differing));
    }
    file->differing[file->differing_count++] = index;
}

/* Dirty sectors are written to the device. */
static void persist(struct disk_file *file, uint32_t index, uint8_t mask)
{
    struct disk_page *page = &file->pages[index];
    mask &= page->dirty;
    if (mask == 0) return;
    page->dirty &= (uint8_t)~mask;
    page->written = true;
    const bool equal = settle_page(file, index);
    const char *now = page->now != NULL ? page->now : zeros;
    for (size_t at = 0; at < DISK_PAGE; at += DISK_SECTOR) {
        if ((mask & sectors(at, at + DISK_SECTOR)) == 0) continue;
        if (!equal) memcpy(own_durable(file, page) + at, now + at, DISK_SECTOR);
        became_durable(file, (uint64_t)index * DISK_PAGE + at, now + at, DISK_SECTOR);
    }
}

/* ---- size, truncation and space: what a journal commits together ------------------------------
 */

static bool size_is_durable(const struct disk_file *file)
{
    return file->size == file->durable_size && file->cut_size == DISK_NO_CUT;
}

static void commit_cut(struct disk_file *file)
{
    const uint64_t cut = file->cut_size;
    file->cut_size = DISK_NO_CUT;
    for (uint32_t i = (uint32_t)(cut / DISK_PAGE); i < file->page_count; i++) {
        struct disk_page *page = &file->pages[i];
        const uint64_t begin = (uint64_t)i * DISK_PAGE;
        page->reserved &= page->allocated;
        if (begin >= cut) page->written = page->durable != NULL && page->durable == page->now;
        if (page->durable == page->now) continue; /* also after a torn write into a hole */
        if (begin < cut && page->durable != NULL) {
            memset(page->durable + (cut - begin), 0, DISK_PAGE - (cut - begin));
        } else {
            image_put(file->disk, page->durable);
            page->durable = NULL;
        }
        settle_page(file, i);
    }
}

static void commit_size(struct disk_file *file)
{
    if (file->cut_size != DISK_NO_CUT) commit_cut(file);
    file->durable_size = file->size;
    for (uint32_t i = file->fresh; i < file->fresh_end; i++)
        file->pages[i].reserved = file->pages[i].allocated;
    file->fresh = file->fresh_end = 0;
}

/* By the seed. Returns what a sector must end before, to be written: without the size nothing
 * behind the old end arrives, so nothing can become durable later without being told. */
static uint64_t commit_size_perhaps(struct disk_file *file)
{
    const bool same = size_is_durable(file);
    if (same && file->fresh == file->fresh_end) return UINT64_MAX;
    if (disk_toss(file->disk)) {
        commit_size(file);
        return UINT64_MAX;
    }
    return same ? UINT64_MAX : MIN(file->durable_size, file->cut_size);
}

/* Clears the page's current octets from keep on. */
static void clear_page(struct disk_file *file, uint32_t index, size_t keep)
{
    struct disk_page *page = &file->pages[index];
    const size_t whole = (keep + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
    if (whole < DISK_PAGE) {
        const uint8_t gone = sectors(whole, DISK_PAGE);
        page->dirty &= (uint8_t)~gone;
        page->stale &= (uint8_t)~gone;
    }
    if (keep > 0) {
        if (page->now != NULL) memset(own_page(file, page) + keep, 0, DISK_PAGE - keep);
        return;
    }
    if (page->now != page->durable) image_put(file->disk, page->now);
    page->now = NULL;
    if (!page->allocated) return;
    page->allocated = false;
    file->allocated -= 1;
    file->disk->used -= 1;
}

int disk_truncate(struct disk_file *file, uint64_t size)
{
    if (file->kind != DISK_FILE) return -EINVAL;
    if (size > DISK_FILE_MAX) return -EFBIG;
    if (size < file->size) {
        if (size < file->durable_size) file->cut_size = MIN(file->cut_size, size);
        for (uint64_t i = size / DISK_PAGE; i < file->page_count; i++)
            clear_page(file, (uint32_t)i, size > i * DISK_PAGE ? size - i * DISK_PAGE : 0);
    }
    file->size = size;
    return 0;
}

int disk_allocate(struct disk_file *file, uint64_t offset, uint64_t len)
{
    if (file->kind != DISK_FILE) return -ENODEV;
    if (len == 0) return -EINVAL;
    if (offset > DISK_FILE_MAX || len > DISK_FILE_MAX - offset) return -EFBIG;
    const uint64_t from = offset / DISK_PAGE, end = (offset + len + DISK_PAGE - 1) / DISK_PAGE;
    uint64_t wanted = 0;
    for (uint64_t i = from; i < end; i++)
        wanted += i >= file->page_count || !file->pages[i].allocated;
    if (wanted > disk_free_space(file->disk) / DISK_PAGE) return -ENOSPC;
    reach_page(file, end - 1);
    for (uint64_t i = from; i < end; i++) {
        if (!allocate_page(file, (uint32_t)i)) UNREACHABLE("disk: the space was counted");
    }
    file->size = MAX(file->size, offset + len);
    return 0;
}

int64_t disk_size(const struct disk_file *file)
{
    return (int64_t)file->size;
}

/* ---- octets --------------------------------------------------------------------------------- */

int64_t disk_read(struct disk_file *file, void *data, size_t len, uint64_t offset)
{
    if (file->kind != DISK_FILE) return -EISDIR;
    if (offset >= file->size) return 0;
    len = MIN(len, file->size - offset);
    for (size_t done = 0, part = 0; done < len; done += part) {
        const uint64_t index = (offset + done) / DISK_PAGE;
        const size_t at = (offset + done) % DISK_PAGE;
        const char *now = index < file->page_count ? file->pages[index].now : NULL;
        part = MIN(len - done, DISK_PAGE - at);
        if (now != NULL) memcpy((char *)data + done, now + at, part);
        if (now == NULL) memset((char *)data + done, 0, part);
    }
    return (int64_t)len;
}

int64_t disk_write(struct disk_file *file, const void *data, size_t len, uint64_t offset)
{
    ASSERT(file->kind == DISK_FILE); /* a folder is not opened for writing */
    if (len == 0) return 0;
    if (offset > DISK_FILE_MAX || len > DISK_FILE_MAX - offset) return -EFBIG;
    reach_page(file, (offset + len - 1) / DISK_PAGE);
    size_t done = 0;
    while (done < len) {
        const uint32_t index = (uint32_t)((offset + done) / DISK_PAGE);
        const size_t at = (offset + done) % DISK_PAGE;
        const size_t part = MIN(len - done, DISK_PAGE - at);
        struct disk_page *page = &file->pages[index];
        if (!allocate_page(file, index)) break;
        const char *octets = (const char *)data + done;
        if (page->now != NULL || memcmp(octets, zeros, part) != 0)
            memcpy(own_page(file, page) + at, octets, part);
        page_differs(file, index, sectors(at, at + part));
        done += part;
    }
    if (done == 0) return -ENOSPC;
    file->size = MAX(file->size, offset + done);
    return (int64_t)done;
}

/* ---- syncs ---------------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* In the order of the file: neighbours are told together. */
static void sort_differing(struct disk_file *file)
{
    if (file->differing_count < 2) return;
    qsort(file->differing, file->differing_count, sizeof(*file->differing), by_index);
}

/* Takes those out of the list that are equal again. */
static void shorten_differing(struct disk_file *file)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < file->differing_count; i++) {
        const uint32_t index = file->differing[i];
        struct disk_page *page = &file->pages[index];
        page->listed = (page->dirty | page->stale) != 0;
        if (page->listed) file->differing[count++] = index;
    }
    file->differing_count = count;
}

void disk_sync(struct disk_file *file)
{
    if (file->kind == DISK_FOLDER) disk_folder_commit(file, file->change_count);
    if (file->kind != DISK_FILE) return;
    commit_size(file);
    sort_differing(file);
    for (uint32_t i = 0; i < file->differing_count; i++)
        persist(file, file->differing[i], 0xff);
    shorten_differing(file);
    tell(file->disk);
    disk_name_sync(file);
}

void disk_sync_range(struct disk_file *file, uint64_t offset, uint64_t len)
{
    ASSERT(file->kind == DISK_FILE);
    commit_size(file);
    const uint64_t end = offset + MIN(len, UINT64_MAX - offset);
    for (uint64_t i = offset / DISK_PAGE; i < file->page_count && i * DISK_PAGE < end; i++) {
        const uint64_t begin = i * DISK_PAGE;
        const size_t from = offset > begin ? offset - begin : 0;
        persist(file, (uint32_t)i, sectors(from, MIN(DISK_PAGE, end - begin)));
    }
    tell(file->disk);
}

/* Each of the page's dirty sectors in mask, that ends before reach, is written or is not. */
static void persist_some(struct disk_file *file, uint32_t index, uint8_t mask, uint64_t reach)
{
    const uint64_t begin = (uint64_t)index * DISK_PAGE;
    uint8_t lucky = 0;
    for (size_t at = 0; at < DISK_PAGE; at += DISK_SECTOR) {
        const uint8_t bit = sectors(at, at + DISK_SECTOR);
        if ((file->pages[index].dirty & mask & bit) == 0 || begin + at + DISK_SECTOR > reach)
            continue;
        if (disk_toss(file->disk)) lucky |= bit;
    }
    persist(file, index, lucky);
}

void disk_sync_failed(struct disk_file *file, uint64_t offset, uint64_t len)
{
    if (file->kind != DISK_FILE) return;
    const uint64_t reach = commit_size_perhaps(file);
    const uint64_t from = len == 0 ? 0 : offset;
    const uint64_t end = len == 0 ? UINT64_MAX : offset + MIN(len, UINT64_MAX - offset);
    for (uint64_t i = from / DISK_PAGE; i < file->page_count && i * DISK_PAGE < end; i++) {
        struct disk_page *page = &file->pages[i];
        const uint64_t begin = i * DISK_PAGE;
        const uint8_t mask = sectors(from > begin ? from - begin : 0, MIN(DISK_PAGE, end - begin));
        if ((page->dirty & mask) == 0) continue;
        persist_some(file, (uint32_t)i, mask, reach);
        page->stale |= page->dirty & mask;
        page->dirty &= (uint8_t)~mask;
    }
    tell(file->disk);
}

/* ---- the power cut -------------------------------------------------------------------------- */

void disk_write_torn(struct disk_file *file, const void *data, size_t len, uint64_t offset)
{
    ASSERT(file->kind == DISK_FILE);
    if (len == 0 || offset > DISK_FILE_MAX || len > DISK_FILE_MAX - offset) return;
    reach_page(file, (offset + len - 1) / DISK_PAGE);
    file->size = MAX(file->size, offset + len);
    const uint64_t reach = commit_size_perhaps(file);
    for (size_t done = 0, part = 0; done < len; done += part) {
        const uint64_t place = offset + done;
        const uint32_t index = (uint32_t)(place / DISK_PAGE);
        const size_t at = place % DISK_PAGE, sector = at / DISK_SECTOR * DISK_SECTOR;
        struct disk_page *page = &file->pages[index];
        part = MIN(len - done, sector + DISK_SECTOR - at);
        if (place - at + sector + DISK_SECTOR > reach || !disk_toss(file->disk)) continue;
        if (!allocate_page(file, index)) continue;
        const bool shared = page->now == page->durable;
        const bool cached = ((page->dirty | page->stale) & sectors(at, at + part)) != 0;
        memcpy(own_durable(file, page) + at, (const char *)data + done, part);
        page->written = true;
        if (shared) page->now = page->durable;
        if (!shared && !cached) memcpy(page->now + at, (const char *)data + done, part);
        became_durable(file, place - at + sector, page->durable + sector, DISK_SECTOR);
    }
    tell(file->disk);
}

void disk_data_cut(struct disk_file *file)
{
    const uint64_t reach = commit_size_perhaps(file);
    sort_differing(file);
    for (uint32_t i = 0; i < file->differing_count; i++)
        persist_some(file, file->differing[i], 0xff, reach);
    tell(file->disk);
    file->allocated = 0;
    for (uint32_t i = 0; i < file->page_count; i++) {
        struct disk_page *page = &file->pages[i];
        if (page->now != page->durable) image_put(file->disk, page->now);
        page->now = page->durable;
        page->dirty = page->stale = 0;
        page->listed = false;
        page->reserved |= page->written;
        page->allocated = page->reserved;
        file->allocated += page->allocated;
    }
    file->size = file->durable_size;
    file->cut_size = DISK_NO_CUT;
    file->fresh = file->fresh_end = 0;
    file->differing_count = 0;
}

void disk_data_free(struct disk_file *file)
{
    for (uint32_t i = 0; i < file->page_count; i++) {
        struct disk_page *page = &file->pages[i];
        if (page->now != page->durable) image_put(file->disk, page->now);
        image_put(file->disk, page->durable);
    }
    base_free(file->pages);
    base_free(file->differing);
}
