/* SPDX-License-Identifier: Apache-2.0
 *
 * recover_folder - which folders and files belong to this worker
 *
 *   path/w00                     one folder a worker
 *   path/w00/0000000001.seg      its segments
 *   path/w00/from-w03-<hex>      folder of a worker that is no more: taken over in one rename, so
 *                                that its messages and their tombstones never part
 *   path/w00/from-...-dead       emptied; what is left of it is removed
 */
#include "recover.h"
#include <errno.h>
#include <stdio.h>

enum { HEAD_SIZE = 64 * 1024, NAME_MAX_LEN = 128, NESTED_MAX = 16, FOLDERS_MAX = 256 };

struct names {
    char (*items)[NAME_MAX_LEN];
    uint32_t count, cap;
};

static bool collect(const char *name, void *context)
{
    struct names *names = context;
    if (strlen(name) >= NAME_MAX_LEN) return true;
    if (names->count == names->cap) {
        names->cap = MAX(16, names->cap * 2);
        names->items = base_realloc(names->items, (size_t)names->cap * NAME_MAX_LEN);
    }
    snprintf(names->items[names->count++], NAME_MAX_LEN, "%s", name);
    return true;
}

static bool failed(char *why, size_t why_size, const char *path, int error)
{
    snprintf(why, why_size, "%s: %s", path, strerror(-error));
    return false;
}

/* ---- folders ------------------------------------------------------------------------------------
 */

/* "w00" .. "w255" of another worker; false if the name is something else. */
static bool worker_of(const char *name, uint32_t *index)
{
    uint64_t value;
    if (name[0] != 'w' || strlen(name) < 3) return false;
    if (!bytes_to_u64(bytes_of(name + 1), 255, &value)) return false;
    *index = (uint32_t)value;
    return true;
}

static bool adopt(struct spool *spool, const char *name, char *why, size_t why_size)
{
    char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX + 2 * NAME_MAX_LEN];
    const uint64_t id = ring_seed(spool->ring);
    snprintf(from, sizeof(from), "%s/%s", spool->options.path, name);
    snprintf(to, sizeof(to), "%s/from-%s-%016llx", spool->own->path, name, (unsigned long long)id);
    int result = ring_path_rename(spool->ring, from, to);
    if (result == 0) result = ring_path_sync_folder(spool->ring, spool->own->path);
    if (result == 0) result = ring_path_sync_folder(spool->ring, spool->options.path);
    if (result < 0) return failed(why, why_size, from, result);
    event_log(spool->events, EVENT_INFO, "spool", "%s: taken over from a worker that is no more",
              to);
    return true;
}

static bool adopt_all(struct spool *spool, uint32_t workers, char *why, size_t why_size)
{
    struct names names = {0};
    const int result = ring_path_list(spool->ring, spool->options.path, collect, &names);
    bool good = result == 0 || failed(why, why_size, spool->options.path, result);
    for (uint32_t i = 0; i < names.count && good; i++) {
        uint32_t index;
        if (!worker_of(names.items[i], &index)) continue;
        if (index < workers || index % workers != spool->index) continue;
        good = adopt(spool, names.items[i], why, why_size);
    }
    base_free(names.items);
    return good;
}

void spool_folder_remove(struct spool *spool, const char *path)
{
    struct names names = {0};
    ring_path_list(spool->ring, path, collect, &names);
    for (uint32_t i = 0; i < names.count; i++) {
        char file[SPOOL_PATH_MAX + NAME_MAX_LEN];
        const int len = snprintf(file, sizeof(file), "%s/%s", path, names.items[i]);
        if (len < (int)sizeof(file)) ring_path_remove(spool->ring, file);
    }
    ring_path_remove(spool->ring, path);
    base_free(names.items);
}

static struct spool_log *log_add(struct spool *spool, struct spool_log *parent, const char *path)
{
    struct spool_log *log = base_alloc(sizeof(*log));
    snprintf(log->path, sizeof(log->path), "%s", path);
    log->parent = parent;
    if (parent != NULL) parent->children += 1;
    list_push_back(&spool->logs, &log->link);
    return log;
}

/* ---- segments -----------------------------------------------------------------------------------
 */

struct opened { /* of one log, while it is being opened */
    struct spool_segment **segments;
    struct disk_header *headers; /* generation 0: not readable */
    bool *unused;
    uint32_t count;
};

static bool is_zero(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != 0) return false;
    }
    return true;
}

static bool open_segment(struct recovery *recovery, struct spool_log *log, const char *name,
                         struct opened *opened, char *why, size_t why_size)
{
    struct spool *spool = recovery->spool;
    static const struct disk_header no_header;
    uint64_t number;
    char path[SPOOL_PATH_MAX + NAME_MAX_LEN];
    if (strlen(name) != 14 || strcmp(name + 10, ".seg") != 0) return true;
    if (!bytes_to_u64((struct bytes){name, 10}, UINT32_MAX, &number)) return true;
    snprintf(path, sizeof(path), "%s/%s", log->path, name);
    struct spool_segment *segment = spool_segment_add(spool, log, (uint32_t)number);
    const uint32_t access = log == spool->own ? 0 : RING_FILE_READ_ONLY;
    const int result = ring_file_open(&segment->file, spool->ring, path, RING_FILE_DIRECT | access);
    if (result < 0) return failed(why, why_size, path, result);
    spool->open_files += 1;

    struct scan *scan = &recovery->scan;
    segment->size = HEAD_SIZE;
    scan_load(scan, segment);
    struct disk_header *header = &opened->headers[opened->count];
    *header = no_header;
    opened->unused[opened->count] = is_zero(scan->data, scan->len);
    if (scan->len >= FORMAT_PAGE && header_read(scan->data, header)) {
        if (header->version != FORMAT_VERSION || header->byte_order != FORMAT_BYTE_ORDER) {
            snprintf(why, why_size, "%s: written by another version of this program", path);
            return false;
        }
    } else {
        *header = no_header;
    }
    opened->segments[opened->count++] = segment;
    return true;
}

/* Without a readable header the records tell the generation. */
static void guess_header(struct recovery *recovery, struct spool_log *log,
                         struct spool_segment *segment, struct disk_header *header)
{
    scan_load(&recovery->scan, segment);
    header->generation = scan_generation(&recovery->scan, &log->key);
    header->log_id = log->key.log_id;
    event_log(recovery->spool->events, EVENT_ERROR, "spool",
              "%s/%010u.seg: the header is damaged: %s", log->path, segment->number,
              header->generation > 0 ? "its records are used" : "no record was found in it");
    recovery->damaged += 1;
}

static void take_unused(struct spool *spool, struct spool_segment *segment, int64_t file_size)
{
    if (segment->log == spool->own && file_size == (int64_t)spool->options.segment_size) {
        spool_segment_become(segment, SEGMENT_FREE);
        list_push_back(&spool->free, &segment->link);
        spool->free_count += 1;
    } else if (segment->log == spool->own) {
        spool_segment_unlink(segment); /* half made */
    } else {
        spool_segment_become(segment, SEGMENT_REMOVED);
        spool_segment_dispose(segment, false);
    }
}

static void take_used(struct spool *spool, struct spool_segment *segment,
                      const struct disk_header *header)
{
    segment->generation = header->generation;
    segment->state = SEGMENT_SEALED;
    segment->first_batch = header->batch;
    if (segment->log != spool->own) return;
    spool->generation = MAX(spool->generation, header->generation);
    if (header->next_id >> 56 == spool->index) {
        spool->next_id = MAX(spool->next_id, header->next_id);
    }
}

/* The log's id is that of its newest header. */
static void know_log(struct spool *spool, struct spool_log *log, const struct opened *opened)
{
    uint64_t newest = 0, id = 0;
    for (uint32_t i = 0; i < opened->count; i++) {
        const struct disk_header *header = &opened->headers[i];
        if (header->generation <= newest) continue;
        newest = header->generation;
        id = header->log_id;
    }
    if (newest == 0) id = ring_seed(spool->ring);
    log->key = record_key_of(id);
}

static void sort_out(struct recovery *recovery, struct spool_log *log, struct opened *opened)
{
    struct spool *spool = recovery->spool;
    know_log(spool, log, opened);
    for (uint32_t i = 0; i < opened->count; i++) {
        struct spool_segment *segment = opened->segments[i];
        struct disk_header *header = &opened->headers[i];
        const int64_t file_size = ring_file_size(&segment->file);
        const uint64_t most = SPOOL_SEGMENT_SIZE_MAX;
        segment->size = MIN((uint64_t)MAX(file_size, 0), most);
        if (header->generation == 0 && opened->unused[i]) {
            take_unused(spool, segment, file_size);
            continue;
        }
        if (header->generation == 0) guess_header(recovery, log, segment, header);
        const uint64_t size = header->size;
        if (size % FORMAT_PAGE == 0 && size >= SPOOL_SEGMENT_SIZE_MIN && size <= most) {
            segment->size = size; /* the file may have been cut */
        }
        if (header->log_id != log->key.log_id || header->generation == 0) {
            /* Not ours: left alone, and its number is not used again. */
            event_log(spool->events, EVENT_ERROR, "spool", "%s/%010u.seg: not of this log, ignored",
                      log->path, segment->number);
            segment->state = SEGMENT_REMOVED;
            spool_segment_dispose(segment, true);
            spool->open_files -= 1;
            continue;
        }
        take_used(spool, segment, header);
    }
}

static bool open_log(struct recovery *recovery, struct spool_log *log, uint32_t depth, char *why,
                     size_t why_size)
{
    struct spool *spool = recovery->spool;
    struct names names = {0};
    const int result = ring_path_list(spool->ring, log->path, collect, &names);
    bool good = result == 0 || failed(why, why_size, log->path, result);
    struct opened opened = {
        .segments = base_alloc(names.count * sizeof(struct spool_segment *)),
        .headers = base_alloc(names.count * sizeof(struct disk_header)),
        .unused = base_alloc(names.count * sizeof(bool)),
    };
    for (uint32_t i = 0; i < names.count && good; i++)
        good = open_segment(recovery, log, names.items[i], &opened, why, why_size);
    if (good) sort_out(recovery, log, &opened);
    base_free(opened.segments);
    base_free(opened.headers);
    base_free(opened.unused);
    for (uint32_t i = 0; i < names.count && good; i++) {
        const char *name = names.items[i];
        char path[SPOOL_PATH_MAX + NAME_MAX_LEN];
        const size_t len = strlen(name);
        if (strncmp(name, "from-", 5) != 0) continue;
        snprintf(path, sizeof(path), "%s/%s", log->path, name);
        if (len > 5 && strcmp(name + len - 5, "-dead") == 0) {
            spool_folder_remove(spool, path);
        } else if (depth >= NESTED_MAX || strlen(path) + 64 > SPOOL_PATH_MAX) {
            good = failed(why, why_size, path, -ENAMETOOLONG);
        } else {
            good = open_log(recovery, log_add(spool, log, path), depth + 1, why, why_size);
        }
    }
    base_free(names.items);
    return good;
}

bool recover_open(struct recovery *recovery, uint32_t workers, char *why, size_t why_size)
{
    struct spool *spool = recovery->spool;
    char path[SPOOL_PATH_MAX];
    snprintf(path, sizeof(path), "%s/w%02u", spool->options.path, spool->index);
    spool->own = log_add(spool, NULL, path);
    int result = ring_path_make_folder(spool->ring, spool->options.path);
    if (result < 0) return failed(why, why_size, spool->options.path, result);
    result = ring_path_make_folder(spool->ring, path);
    if (result == 0) result = ring_path_sync_folder(spool->ring, spool->options.path);
    if (result < 0) return failed(why, why_size, path, result);
    return adopt_all(spool, workers, why, why_size) &&
           open_log(recovery, spool->own, 0, why, why_size);
}
