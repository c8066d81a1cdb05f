/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_model - see disk_model.h
 */
#include "disk_model.h"

/* ---- sets of contents ----------------------------------------------------------------------- */

static bool variants_have(const struct model_variants *variants, const char *data, size_t len)
{
    for (uint32_t i = 0; i < variants->count; i++) {
        if (memcmp(variants->data[i], data, len) == 0) return true;
    }
    return variants->any;
}

static void variants_add(struct model_variants *variants, const char *data)
{
    if (variants_have(variants, data, MODEL_SECTOR)) return;
    variants->any = variants->count == MODEL_VARIANTS;
    if (!variants->any) memcpy(variants->data[variants->count++], data, MODEL_SECTOR);
}

static void variants_add_all(struct model_variants *to, const struct model_variants *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        variants_add(to, from->data[i]);
    to->any |= from->any;
}

static void variants_set(struct model_variants *variants, const char *data)
{
    variants->count = 0;
    variants->any = false;
    variants_add(variants, data);
}

/* ---- files ---------------------------------------------------------------------------------- */

struct model_file *model_file_new(uint64_t inode)
{
    static const char zeros[MODEL_FILE_MAX];
    struct model_file *file = base_alloc(sizeof(*file));
    file->inode = inode;
    model_is(file, zeros, 0);
    return file;
}

void model_is(struct model_file *file, const char *data, uint64_t size)
{
    memcpy(file->now, data, MODEL_FILE_MAX);
    memcpy(file->told, data, MODEL_FILE_MAX);
    file->size = file->sizes[0] = size;
    file->size_count = 1;
    file->cut = MODEL_NO_CUT;
    file->unsure = file->truncated = false;
    for (uint32_t i = 0; i < MODEL_SECTORS; i++) {
        file->dirty[i] = false;
        variants_set(&file->lost[i], data + (size_t)i * MODEL_SECTOR);
        variants_set(&file->kept[i], data + (size_t)i * MODEL_SECTOR);
    }
}

void model_write(struct model_file *file, const char *data, size_t len, uint64_t offset)
{
    memcpy(file->now + offset, data, len);
    file->size = MAX(file->size, offset + len);
    for (uint64_t i = offset / MODEL_SECTOR; i * MODEL_SECTOR < offset + len; i++)
        file->dirty[i] = true;
}

static uint64_t largest_size(const struct model_file *file)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < file->size_count; i++)
        largest = MAX(largest, file->sizes[i]);
    return largest;
}

static bool size_is_listed(const struct model_file *file, uint64_t size)
{
    for (uint32_t i = 0; i < file->size_count; i++) {
        if (file->sizes[i] == size) return true;
    }
    return false;
}

static bool size_is_pending(const struct model_file *file)
{
    return file->size_count > 1 || file->sizes[0] != file->size || file->cut != MODEL_NO_CUT;
}

void model_truncate(struct model_file *file, uint64_t size)
{
    if (size < file->size) {
        memset(file->now + size, 0, MODEL_FILE_MAX - size);
        if (size < largest_size(file)) file->cut = MIN(file->cut, size);
        file->truncated = true;
    }
    for (uint64_t i = 0; i < MODEL_SECTORS && size < file->size; i++) {
        const uint64_t begin = i * MODEL_SECTOR;
        if (begin + MODEL_SECTOR <= size) continue;
        const size_t keep = size > begin ? size - begin : 0;
        struct model_variants old = file->kept[i];
        file->kept[i].count = 0;
        file->kept[i].any &= keep > 0;
        for (uint32_t k = 0; k < old.count; k++) {
            memset(old.data[k] + keep, 0, MODEL_SECTOR - keep);
            variants_add(&file->kept[i], old.data[k]);
        }
        if (keep == 0) variants_set(&file->kept[i], file->now + begin);
        if (keep == 0) file->dirty[i] = false;
    }
    for (uint32_t i = 0; i < MODEL_PAGES && size < file->size; i++)
        file->allocated[i] &= (uint64_t)i * MODEL_PAGE < size;
    file->size = size;
}

static bool touches(uint64_t sector, uint64_t from, uint64_t end)
{
    return sector * MODEL_SECTOR < end && (sector + 1) * MODEL_SECTOR > from;
}

void model_sync(struct model_file *file, uint64_t from, uint64_t end)
{
    file->sizes[0] = file->size;
    file->size_count = 1;
    file->cut = MODEL_NO_CUT;
    file->unsure = false;
    for (uint64_t i = 0; i < MODEL_SECTORS; i++) {
        if (file->dirty[i] && touches(i, from, end)) {
            variants_set(&file->kept[i], file->now + i * MODEL_SECTOR);
            file->dirty[i] = false;
        }
        file->lost[i] = file->kept[i];
    }
}

/* Without its size a file keeps only what ends before this. */
static uint64_t reach_of(const struct model_file *file)
{
    return size_is_pending(file) ? MIN(largest_size(file), file->cut) : UINT64_MAX;
}

void model_sync_failed(struct model_file *file, uint64_t from, uint64_t end)
{
    const uint64_t reach = reach_of(file);
    const bool pending = size_is_pending(file);
    for (uint64_t i = 0; i < MODEL_SECTORS; i++) {
        const char *now = file->now + i * MODEL_SECTOR;
        const bool hit = file->dirty[i] && touches(i, from, end);
        if (hit) variants_add(&file->kept[i], now);
        if (hit && (i + 1) * MODEL_SECTOR <= reach) variants_add(&file->lost[i], now);
        if (hit) file->dirty[i] = false;
        if (pending) variants_add_all(&file->lost[i], &file->kept[i]);
    }
    if (!pending) return;
    file->unsure = true;
    if (size_is_listed(file, file->size)) return;
    if (file->size_count < MODEL_VARIANTS) file->sizes[file->size_count++] = file->size;
}

static void tear(struct model_variants *variants, const char *data, size_t len, size_t at)
{
    const struct model_variants old = *variants;
    for (uint32_t i = 0; i < old.count; i++) {
        char torn[MODEL_SECTOR];
        memcpy(torn, old.data[i], MODEL_SECTOR);
        memcpy(torn + at, data, len);
        variants_add(variants, torn);
    }
}

void model_torn(struct model_file *file, const char *data, size_t len, uint64_t offset)
{
    file->size = MAX(file->size, offset + len);
    const uint64_t reach = reach_of(file);
    for (size_t done = 0, part = 0; done < len; done += part) {
        const uint64_t i = (offset + done) / MODEL_SECTOR;
        const size_t at = (offset + done) % MODEL_SECTOR;
        part = MIN(len - done, MODEL_SECTOR - at);
        tear(&file->kept[i], data + done, part, at);
        if (file->unsure || (i + 1) * MODEL_SECTOR <= reach)
            tear(&file->lost[i], data + done, part, at);
    }
}

bool model_may_be(const struct model_file *file, const char *data, uint64_t size)
{
    const uint64_t reach = file->unsure ? UINT64_MAX : reach_of(file);
    bool kept = size == file->size;
    bool lost = size_is_listed(file, size);
    bool either = file->unsure && (kept || lost);
    for (uint64_t i = 0; i * MODEL_SECTOR < size; i++) {
        const uint64_t begin = i * MODEL_SECTOR;
        const size_t len = MIN(MODEL_SECTOR, size - begin);
        const bool written = file->dirty[i] && memcmp(file->now + begin, data + begin, len) == 0;
        const bool in_kept = written || variants_have(&file->kept[i], data + begin, len);
        const bool in_lost = (written && begin + MODEL_SECTOR <= reach) ||
                             variants_have(&file->lost[i], data + begin, len);
        kept &= in_kept;
        lost &= in_lost;
        either &= in_kept || in_lost;
    }
    return kept || lost || either;
}

/* ---- folders -------------------------------------------------------------------------------- */

static void apply(uint64_t *names, const struct model_change *change)
{
    if (change->name >= 0) names[change->name] = change->inode;
    if (change->gone >= 0) names[change->gone] = 0;
}

void model_change(struct model_folder *folder, int name, uint64_t inode, int gone)
{
    if (folder->change_count == folder->change_cap) {
        folder->change_cap = MAX(2 * folder->change_cap, 16);
        folder->changes =
            base_realloc(folder->changes, folder->change_cap * sizeof(*folder->changes));
    }
    struct model_change *change = &folder->changes[folder->change_count++];
    *change = (struct model_change){.name = name, .gone = gone, .inode = inode};
    apply(folder->now, change);
}

void model_folder_sync(struct model_folder *folder)
{
    memcpy(folder->durable, folder->now, sizeof(folder->now));
    folder->change_count = 0;
}

bool model_names_may_be(const struct model_folder *folder, const uint64_t *names)
{
    uint64_t prefix[MODEL_NAMES];
    memcpy(prefix, folder->durable, sizeof(prefix));
    for (uint32_t i = 0; i < folder->change_count; i++) {
        if (memcmp(prefix, names, sizeof(prefix)) == 0) return true;
        apply(prefix, &folder->changes[i]);
    }
    return memcmp(prefix, names, sizeof(prefix)) == 0;
}

void model_names_are(struct model_folder *folder, const uint64_t *names)
{
    memcpy(folder->now, names, sizeof(folder->now));
    model_folder_sync(folder);
}
