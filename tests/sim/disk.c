/* SPDX-License-Identifier: Apache-2.0
 *
 * disk - the disk as a whole: lives of inodes, death of the process, power cuts, rot
 */
#include "disk_internal.h"

enum { PAGES_PER_SLAB = 64 };

/* ---- lives of inodes ------------------------------------------------------------------------ */

struct disk_file *disk_file_new(struct disk *disk, enum disk_kind kind)
{
    struct disk_file *file = base_alloc(sizeof(*file));
    file->disk = disk;
    file->kind = kind;
    file->inode = ++disk->inodes;
    file->counted = true;
    file->cut_size = DISK_NO_CUT;
    list_push_back(&disk->files, &file->link);
    return file;
}

void disk_file_ref(struct disk_file *file)
{
    file->refs += 1;
}

void disk_file_unref(struct disk_file *file)
{
    ASSERT(file->refs > 0);
    file->refs -= 1;
    if (file->refs > 0) return;
    ASSERT(file->opens == 0 && file->names == 0);
    list_remove(&file->link);
    disk_data_free(file);
    disk_folder_free(file);
    base_free(file->path);
    base_free(file);
}

/* The durable image may still need the inode, but nobody can reach it: its space is free. */
void disk_file_unused(struct disk_file *file)
{
    if (file->opens > 0 || file->names > 0 || !file->counted) return;
    ASSERT(file->disk->used >= file->allocated);
    file->counted = false;
    file->disk->used -= file->allocated;
}

/* ---- the disk ------------------------------------------------------------------------------- */

struct disk *disk_create(uint64_t seed, uint64_t capacity)
{
    struct disk *disk = base_alloc(sizeof(*disk));
    random_init(&disk->random, seed);
    pool_init(&disk->pages, DISK_PAGE, PAGES_PER_SLAB);
    list_init(&disk->files);
    disk->capacity = capacity;
    disk->root = disk_file_new(disk, DISK_FOLDER);
    disk_file_ref(disk->root);
    disk_name_all(disk);
    return disk;
}

void disk_set_capacity(struct disk *disk, uint64_t capacity)
{
    disk->capacity = capacity;
}

uint64_t disk_free_space(const struct disk *disk)
{
    const uint64_t used = disk->used * DISK_PAGE;
    return used < disk->capacity ? (disk->capacity - used) / DISK_PAGE * DISK_PAGE : 0;
}

void disk_on_durable(struct disk *disk,
                     void (*seen)(void *context, const char *path, uint64_t offset,
                                  const char *data, size_t len),
                     void *context)
{
    disk->seen = seen;
    disk->context = context;
}

/* ---- disasters ------------------------------------------------------------------------------ */

/* Freeing one inode can free others, so nobody may go through the list meanwhile: all are held, by
 * an array of which *count is set. */
static struct disk_file **hold_all(struct disk *disk, uint32_t *count)
{
    struct disk_file **held = NULL;
    uint32_t cap = 0;
    *count = 0;
    LIST_FOR_EACH(node, &disk->files)
    {
        if (*count == cap) {
            cap = MAX(2 * cap, 64);
            held = base_realloc(held, cap * sizeof(struct disk_file *));
        }
        held[*count] = CONTAINER_OF(node, struct disk_file, link);
        disk_file_ref(held[*count]);
        *count += 1;
    }
    return held;
}

static void release_all(struct disk_file **held, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        disk_file_unref(held[i]);
    base_free(held);
}

void disk_process_died(struct disk *disk)
{
    uint32_t count = 0;
    struct disk_file **held = hold_all(disk, &count);
    for (uint32_t i = 0; i < count; i++) {
        held[i]->locked = false;
        held[i]->refs -= held[i]->opens;
        held[i]->opens = 0;
        disk_file_unused(held[i]);
    }
    release_all(held, count);
}

/* Names first: what has none afterwards is gone, whatever became of its octets. */
void disk_power_cut(struct disk *disk)
{
    uint32_t count = 0;
    disk_process_died(disk);
    struct disk_file **held = hold_all(disk, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (held[i]->kind == DISK_FOLDER) disk_folder_cut(held[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (held[i]->kind == DISK_FOLDER) disk_folder_reload(held[i]);
    }
    disk_name_all(disk);
    release_all(held, count);
    disk->used = 0;
    LIST_FOR_EACH(node, &disk->files)
    {
        struct disk_file *file = CONTAINER_OF(node, struct disk_file, link);
        if (file->kind == DISK_FILE) disk_data_cut(file);
        file->counted = true;
        disk->used += file->allocated;
    }
}

void disk_destroy(struct disk **disk)
{
    uint32_t count = 0;
    struct disk *gone = *disk;
    if (gone == NULL) return;
    disk_process_died(gone);
    struct disk_file **held = hold_all(gone, &count);
    for (uint32_t i = 0; i < count; i++) {
        held[i]->names = 0;
        disk_folder_free(held[i]);
    }
    disk_file_unref(gone->root);
    release_all(held, count);
    ASSERT(list_is_empty(&gone->files));
    pool_deinit(&gone->pages);
    base_free(gone->piece.data);
    base_free(gone);
    *disk = NULL;
}

/* ---- rot ------------------------------------------------------------------------------------ */

/* The wanted one, in the order of the tree, of the pages that a bit could flip in; wanted counts
 * down on the way. Pages that differ are in the cache, where a flip would show at random. */
static bool find_clean_page(struct disk_file *folder, uint64_t *wanted, struct disk_file **file,
                            uint32_t *index)
{
    for (uint32_t i = 0; i < folder->now.count; i++) {
        struct disk_file *child = folder->now.entries[i].file;
        if (child->kind == DISK_FOLDER && find_clean_page(child, wanted, file, index)) return true;
        for (uint32_t k = 0; k < child->page_count; k++) {
            const struct disk_page *page = &child->pages[k];
            const bool clean = (page->dirty | page->stale) == 0 && page->durable == page->now;
            if (!page->written || !clean) continue;
            if (*wanted == 0) {
                *file = child;
                *index = k;
                return true;
            }
            *wanted -= 1;
        }
    }
    return false;
}

bool disk_rot(struct disk *disk, const char *folder, struct disk_file **file, uint64_t *offset)
{
    struct disk_file *top = NULL;
    uint32_t index = 0;
    if (disk_find(disk, folder, &top) != 0 || top->kind != DISK_FOLDER) return false;
    uint64_t wanted = UINT64_MAX;
    (void)find_clean_page(top, &wanted, file, &index);
    if (wanted == UINT64_MAX) return false;
    wanted = random_below(&disk->random, UINT64_MAX - wanted);
    if (!find_clean_page(top, &wanted, file, &index)) UNREACHABLE("disk: it was counted");

    const uint64_t begin = (uint64_t)index * DISK_PAGE;
    ASSERT((*file)->size > begin);
    *offset = begin + random_below(&disk->random, MIN(DISK_PAGE, (*file)->size - begin));
    struct disk_page *page = &(*file)->pages[index];
    if (page->durable == NULL) page->durable = page->now = pool_get(&disk->pages);
    page->durable[*offset - begin] ^= (char)(1u << random_below(&disk->random, 8));
    return true;
}
