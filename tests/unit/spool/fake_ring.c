/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_ring - files in memory, completions when the test says so
 */
#include "fake_ring.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECTOR = 512, PATH_MAX_LEN = 1024, FILES_MAX = 512, CHANGES_MAX = 256 };

struct fake_file {
    char path[PATH_MAX_LEN];
    bool folder;
    bool gone;
    char *data, *stable; /* what is read, what survives */
    size_t len, stable_len, cap;
    uint32_t opens;
};
enum change_kind { CHANGE_CREATE, CHANGE_REMOVE, CHANGE_RENAME };
struct change {
    enum change_kind kind;
    struct fake_file *file;
    char from[PATH_MAX_LEN], to[PATH_MAX_LEN];
};
struct fake_disk {
    struct fake_file *files[FILES_MAX];
    uint32_t count;
    struct change *changes;
    uint32_t change_count;
};
struct pending {
    struct list link;
    struct ring_file *file;
    struct ring_file_op *op;
    instant ready;
};
enum { OP_READ, OP_WRITE, OP_SYNC, OP_ALLOCATE };
struct ring {
    struct fake_disk *disk;
    struct random random;
    instant now;
    wall_ms wall;
    struct list pending, closing, timers;
    struct fake_faults faults;
    struct fake_file *open[FILES_MAX];
    bool dead;
    uint32_t files_open;
};
struct closing {
    struct list link;
    struct ring_file *file;
};

/* ---- the disk -----------------------------------------------------------------------------------
 */

struct fake_disk *fake_disk_new(void)
{
    struct fake_disk *disk = base_alloc(sizeof(*disk));
    disk->changes = base_alloc(CHANGES_MAX * sizeof(*disk->changes));
    return disk;
}

static void file_free(struct fake_file *file)
{
    free(file->data);
    free(file->stable);
    base_free(file);
}

void fake_disk_free(struct fake_disk **disk)
{
    for (uint32_t i = 0; i < (*disk)->count; i++)
        file_free((*disk)->files[i]);
    base_free((*disk)->changes);
    base_free(*disk);
    *disk = NULL;
}

static void file_reserve(struct fake_file *file, size_t len)
{
    len = (len + 4095) / 4096 * 4096;
    if (len <= file->cap) return;
    file->data = base_realloc(file->data, len);
    file->stable = base_realloc(file->stable, len);
    memset(file->data + file->cap, 0, len - file->cap);
    memset(file->stable + file->cap, 0, len - file->cap);
    file->cap = len;
}

static struct fake_file *find(struct fake_disk *disk, const char *path)
{
    for (uint32_t i = 0; i < disk->count; i++) {
        if (!disk->files[i]->gone && strcmp(disk->files[i]->path, path) == 0) {
            return disk->files[i];
        }
    }
    return NULL;
}

/* Forgets files that are gone for good. */
static void sweep(struct fake_disk *disk)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk->count; i++) {
        struct fake_file *file = disk->files[i];
        bool needed = !file->gone || file->opens > 0;
        for (uint32_t j = 0; j < disk->change_count; j++)
            needed |= disk->changes[j].file == file;
        if (needed) {
            disk->files[kept++] = file;
        } else {
            file_free(file);
        }
    }
    disk->count = kept;
}

static struct fake_file *add(struct fake_disk *disk, const char *path)
{
    if (disk->count == FILES_MAX) sweep(disk);
    ASSERT(disk->count < FILES_MAX);
    struct fake_file *file = base_alloc(sizeof(*file));
    snprintf(file->path, sizeof(file->path), "%s", path);
    disk->files[disk->count++] = file;
    return file;
}

static struct change *add_change(struct fake_disk *disk, enum change_kind kind,
                                 struct fake_file *file)
{
    if (disk->change_count == CHANGES_MAX) { /* the oldest is on disk by now */
        memmove(disk->changes, disk->changes + 1, (CHANGES_MAX - 1) * sizeof(*disk->changes));
        disk->change_count -= 1;
    }
    struct change *change = &disk->changes[disk->change_count++];
    change->kind = kind;
    change->file = file;
    change->from[0] = change->to[0] = '\0';
    return change;
}

static bool is_within(const char *path, const char *folder)
{
    const size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static void rename_all(struct fake_disk *disk, const char *from, const char *to)
{
    for (uint32_t i = 0; i < disk->count; i++) {
        struct fake_file *file = disk->files[i];
        char path[2 * PATH_MAX_LEN];
        if (strcmp(file->path, from) != 0 && !is_within(file->path, from)) continue;
        snprintf(path, sizeof(path), "%s%s", to, file->path + strlen(from));
        ASSERT(strlen(path) < PATH_MAX_LEN);
        memcpy(file->path, path, strlen(path) + 1);
    }
}

static void undo(struct fake_disk *disk, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        change->file->gone = true;
        break;
    case CHANGE_REMOVE:
        change->file->gone = false;
        break;
    case CHANGE_RENAME:
        rename_all(disk, change->to, change->from);
        break;
    }
}

struct fake_disk *fake_disk_copy(const struct fake_disk *disk)
{
    struct fake_disk *copy = fake_disk_new();
    for (uint32_t i = 0; i < disk->count; i++) {
        const struct fake_file *file = disk->files[i];
        if (file->gone) continue;
        struct fake_file *to = add(copy, file->path);
        to->folder = file->folder;
        if (file->stable_len > 0) fake_disk_put(copy, file->path, file->stable, file->stable_len);
    }
    return copy;
}

char *fake_disk_file(struct fake_disk *disk, const char *path, size_t *len)
{
    struct fake_file *file = find(disk, path);
    if (file == NULL) return NULL;
    if (file->cap > 0) memcpy(file->data, file->stable, file->cap); /* at rest both are the same */
    *len = file->stable_len;
    return file->data;
}

void fake_disk_put(struct fake_disk *disk, const char *path, const void *data, size_t len)
{
    struct fake_file *file = find(disk, path);
    if (file == NULL) file = add(disk, path);
    file_reserve(file, len);
    if (file->data != data && len > 0) memmove(file->data, data, len);
    if (len > 0) memcpy(file->stable, file->data, len);
    file->len = file->stable_len = len;
}

void fake_disk_shorten(struct fake_disk *disk, const char *path, size_t len)
{
    struct fake_file *file = find(disk, path);
    ASSERT(file != NULL && len <= file->len);
    memset(file->data + len, 0, file->cap - len);
    memset(file->stable + len, 0, file->cap - len);
    file->len = file->stable_len = len;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *fake_disk_name(struct fake_disk *disk, const char *ending, size_t n)
{
    const char *names[FILES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < disk->count; i++) {
        const struct fake_file *file = disk->files[i];
        const size_t len = strlen(file->path), tail = strlen(ending);
        if (file->gone || file->folder || len < tail) continue;
        if (strcmp(file->path + len - tail, ending) == 0) names[count++] = file->path;
    }
    qsort(names, count, sizeof(names[0]), compare_names);
    return n < count ? names[n] : NULL;
}

/* ---- the ring -----------------------------------------------------------------------------------
 */

struct ring *fake_ring_new(struct fake_disk *disk, uint64_t seed)
{
    struct ring *ring = base_alloc(sizeof(*ring));
    ring->disk = disk;
    random_init(&ring->random, seed);
    ring->now = DURATION_S(1000) + random_below(&ring->random, DURATION_S(1));
    ring->wall = 1700000000000 + (wall_ms)random_below(&ring->random, 1000000);
    ring->faults.space = -1;
    list_init(&ring->pending);
    list_init(&ring->closing);
    list_init(&ring->timers);
    return ring;
}

void fake_ring_free(struct ring **ring)
{
    ASSERT(list_is_empty(&(*ring)->pending) && list_is_empty(&(*ring)->closing));
    ASSERT((*ring)->files_open == 0);
    base_free(*ring);
    *ring = NULL;
}

struct fake_faults *fake_ring_faults(struct ring *ring)
{
    return &ring->faults;
}

void fake_ring_sleep(struct ring *ring, duration time)
{
    ring->now += time;
    ring->wall += (wall_ms)(time / 1000000);
}

uint32_t fake_ring_pending(const struct ring *ring)
{
    uint32_t count = 0;
    LIST_FOR_EACH(node, &ring->pending)
    {
        count += 1;
    }
    return count;
}

instant ring_now(const struct ring *ring)
{
    return ring->now;
}
instant ring_clock(struct ring *ring)
{
    return ring->now;
}
wall_ms ring_wall(const struct ring *ring)
{
    return ring->wall;
}
uint64_t ring_seed(struct ring *ring)
{
    return random_u64(&ring->random);
}

/* ---- timers -------------------------------------------------------------------------------------
 */

void ring_timer_init(struct ring_timer *timer, void (*on_fire)(struct ring_timer *))
{
    *timer = (struct ring_timer){.on_fire = on_fire};
    list_init(&timer->link);
}
void ring_timer_arm(struct ring *ring, struct ring_timer *timer, instant at)
{
    list_remove(&timer->link);
    timer->at = at;
    list_push_back(&ring->timers, &timer->link);
}
void ring_timer_disarm(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    list_remove(&timer->link);
    timer->at = 0;
}
instant ring_timers_next(const struct ring *ring)
{
    instant next = INSTANT_FOREVER;
    LIST_FOR_EACH(node, &ring->timers)
    {
        next = MIN(next, CONTAINER_OF(node, struct ring_timer, link)->at);
    }
    return next;
}
uint32_t ring_timers_run(struct ring *ring, uint32_t budget)
{
    uint32_t fired = 0;
    while (fired < budget) {
        struct ring_timer *due = NULL;
        LIST_FOR_EACH(node, &ring->timers)
        {
            struct ring_timer *timer = CONTAINER_OF(node, struct ring_timer, link);
            if (timer->at <= ring->now) due = timer;
        }
        if (due == NULL) break;
        list_remove(&due->link);
        due->at = 0;
        due->on_fire(due);
        fired += 1;
    }
    return fired;
}

/* ---- transfers ----------------------------------------------------------------------------------
 */

static struct fake_file *file_of(const struct ring_file *file)
{
    return file->handle.ring->open[file->handle.fd];
}

/* Copies into data, and (durable) into what survives; a share of 1000 of the sectors only. */
static void apply(struct ring *ring, struct fake_file *file, const char *data, size_t len,
                  uint64_t offset, bool durable, uint32_t share)
{
    file_reserve(file, offset + len);
    for (size_t at = 0; at < len; at += SECTOR) {
        const size_t part = MIN(len - at, (size_t)SECTOR);
        if (share < 1000 && random_below(&ring->random, 1000) >= share) continue;
        memcpy(file->data + offset + at, data + at, part);
        if (durable) memcpy(file->stable + offset + at, data + at, part);
    }
    file->len = MAX(file->len, offset + len);
    if (durable) file->stable_len = MAX(file->stable_len, file->len);
}

/* space is what is left beyond what files hold now. */
static bool take_space(struct ring *ring, const struct fake_file *file, uint64_t end)
{
    if (ring->faults.space < 0 || end <= file->len) return true;
    const int64_t more = (int64_t)(end - file->len);
    if (more > ring->faults.space) return false;
    ring->faults.space -= more;
    return true;
}

static bool should_fail(struct ring *ring)
{
    if (ring->faults.fail_writes > 0) {
        ring->faults.fail_writes -= 1;
        return true;
    }
    return random_below(&ring->random, 1000) < ring->faults.fail_share;
}

static int64_t do_write(struct ring *ring, struct fake_file *file, const void *data, size_t len,
                        uint64_t offset, bool durable)
{
    if (ring->dead) return -EIO;
    ASSERT(((uintptr_t)data | len | offset) % RING_DIRECT_ALIGNMENT == 0);
    ring->faults.writes += 1;
    if (durable) ring->faults.octets_written += len;
    ring->faults.durable_writes += durable;
    if (durable && should_fail(ring)) { /* some of it may be on disk all the same */
        apply(ring, file, data, len, offset, true, (uint32_t)random_below(&ring->random, 1001));
        return ring->faults.fail_error != 0 ? ring->faults.fail_error : -EIO;
    }
    if (!take_space(ring, file, offset + len)) return -ENOSPC;
    apply(ring, file, data, len, offset, durable, 1000);
    return (int64_t)len;
}

static int64_t do_read(struct ring *ring, struct fake_file *file, void *data, size_t len,
                       uint64_t offset)
{
    ring->faults.reads += 1;
    if (ring->dead) return -EIO;
    if (ring->faults.fail_reads > 0) {
        ring->faults.fail_reads -= 1;
        return -EIO;
    }
    if (offset >= file->len) return 0;
    const size_t got = MIN(len, file->len - offset);
    memcpy(data, file->data + offset, got);
    return (int64_t)got;
}

static int64_t do_sync(struct ring *ring, struct fake_file *file)
{
    if (ring->dead) return -EIO;
    file_reserve(file, file->len);
    if (file->cap > 0) memcpy(file->stable, file->data, file->cap);
    file->stable_len = file->len;
    return 0;
}

static int64_t do_allocate(struct ring *ring, struct fake_file *file, uint64_t end)
{
    if (ring->dead) return -EIO;
    if (!take_space(ring, file, end)) return -ENOSPC;
    file_reserve(file, end);
    file->len = MAX(file->len, end);
    return 0;
}

static void submit(struct ring_file *file, struct ring_file_op *op, uint8_t kind, void *data,
                   size_t len, uint64_t offset)
{
    struct ring *ring = file->handle.ring;
    struct pending *pending = base_alloc(sizeof(*pending));
    ASSERT(file->handle.state == RING_OPEN && op->on_done != NULL && !op->op.in_flight);
    op->kind = kind;
    op->piece = (struct iovec){data, len};
    op->offset = offset;
    op->op.in_flight = true;
    pending->file = file;
    pending->op = op;
    pending->ready = ring->now;
    if (kind == OP_WRITE && op->durable) {
        pending->ready += ring->faults.write_time > 0 ? ring->faults.write_time : DURATION_US(70);
    }
    file->handle.in_flight += 1;
    list_push_back(&ring->pending, &pending->link);
}

void ring_file_read(struct ring_file *file, struct ring_file_op *op, void *data, size_t len,
                    uint64_t offset)
{
    ASSERT(((uintptr_t)data | len | offset) % RING_DIRECT_ALIGNMENT == 0);
    op->durable = false;
    submit(file, op, OP_READ, data, len, offset);
}
void ring_file_write(struct ring_file *file, struct ring_file_op *op, const void *data, size_t len,
                     uint64_t offset, bool durable)
{
    op->durable = durable;
    submit(file, op, OP_WRITE, (char *)(uintptr_t)data, len, offset);
}
void ring_file_sync(struct ring_file *file, struct ring_file_op *op)
{
    op->durable = false;
    submit(file, op, OP_SYNC, NULL, 0, 0);
}
void ring_file_allocate(struct ring_file *file, struct ring_file_op *op, uint64_t offset,
                        uint64_t len)
{
    op->durable = false;
    submit(file, op, OP_ALLOCATE, NULL, len, offset);
}

static void complete(struct ring *ring, struct pending *pending)
{
    struct ring_file_op *op = pending->op;
    struct ring_file *file = pending->file;
    struct fake_file *to = file_of(file);
    int64_t result = 0;
    list_remove(&pending->link);
    base_free(pending);
    switch (op->kind) {
    case OP_READ:
        result = do_read(ring, to, op->piece.iov_base, op->piece.iov_len, op->offset);
        break;
    case OP_WRITE:
        result = do_write(ring, to, op->piece.iov_base, op->piece.iov_len, op->offset, op->durable);
        break;
    case OP_SYNC:
        result = do_sync(ring, to);
        break;
    case OP_ALLOCATE:
        result = do_allocate(ring, to, op->offset + op->piece.iov_len);
        break;
    default:
        UNREACHABLE("fake_ring");
    }
    op->op.in_flight = false;
    file->handle.in_flight -= 1;
    op->on_done(op, result);
}

static struct pending *pick(struct ring *ring)
{
    struct pending *ready[64];
    uint32_t count = 0;
    LIST_FOR_EACH(node, &ring->pending)
    {
        struct pending *pending = CONTAINER_OF(node, struct pending, link);
        if (ring->faults.hold_writes && pending->op->kind == OP_WRITE && !ring->dead) continue;
        if (pending->ready <= ring->now && count < 64) ready[count++] = pending;
    }
    return count == 0 ? NULL : ready[random_below(&ring->random, count)];
}

static instant next_ready(const struct ring *ring)
{
    instant next = INSTANT_FOREVER;
    LIST_FOR_EACH(node, &ring->pending)
    {
        const struct pending *pending = CONTAINER_OF(node, struct pending, link);
        if (ring->faults.hold_writes && pending->op->kind == OP_WRITE && !ring->dead) continue;
        next = MIN(next, pending->ready);
    }
    return next;
}

uint32_t ring_turn(struct ring *ring, instant wait_until, uint32_t budget)
{
    uint32_t done = 0;
    struct pending *pending;
    struct list *node;
    while ((node = list_pop_front(&ring->closing)) != NULL) {
        struct closing *closing = CONTAINER_OF(node, struct closing, link);
        struct ring_file *file = closing->file;
        base_free(closing);
        file->handle.state = RING_CLOSED;
        if (file->on_closed != NULL) file->on_closed(file);
        done += 1;
    }
    if (done == 0 && pick(ring) == NULL) {
        const instant until = MIN(next_ready(ring), wait_until);
        if (until != INSTANT_FOREVER && until > ring->now) {
            fake_ring_sleep(ring, until - ring->now);
        }
    } else {
        fake_ring_sleep(ring, DURATION_US(1 + random_below(&ring->random, 20)));
    }
    while (done < budget && (pending = pick(ring)) != NULL) {
        complete(ring, pending);
        done += 1;
    }
    return done;
}

void fake_ring_run(struct ring *ring)
{
    const instant timer = ring_timers_next(ring);
    ring_turn(ring, MIN(timer, ring->now + DURATION_MS(5)), 16);
    ring_timers_run(ring, 64);
}

void fake_ring_cut(struct ring *ring)
{
    struct fake_disk *disk = ring->disk;
    LIST_FOR_EACH(node, &ring->pending)
    {
        const struct pending *pending = CONTAINER_OF(node, struct pending, link);
        const struct ring_file_op *op = pending->op;
        if (op->kind != OP_WRITE) continue;
        if (!take_space(ring, file_of(pending->file), op->offset + op->piece.iov_len)) continue;
        apply(ring, file_of(pending->file), op->piece.iov_base, op->piece.iov_len, op->offset,
              false, (uint32_t)random_below(&ring->random, 1001));
    }
    for (uint32_t i = 0; i < disk->count; i++) {
        struct fake_file *file = disk->files[i];
        if (random_below(&ring->random, 2) == 0)
            file->len = MAX(file->stable_len, file->len);
        else
            file->len = file->stable_len;
        for (size_t at = 0; at < file->cap; at += SECTOR) {
            if (memcmp(file->data + at, file->stable + at, SECTOR) == 0) continue;
            const bool keep = at < file->len && random_below(&ring->random, 2) == 0;
            memcpy((keep ? file->stable : file->data) + at, (keep ? file->data : file->stable) + at,
                   SECTOR);
        }
        file->stable_len = file->len;
    }
    const uint32_t keep = (uint32_t)random_below(&ring->random, disk->change_count + 1);
    for (uint32_t i = disk->change_count; i-- > keep;)
        undo(disk, &disk->changes[i]);
    disk->change_count = 0;
    ring->dead = true;
}

/* ---- open and close -----------------------------------------------------------------------------
 */

int ring_file_open(struct ring_file *file, struct ring *ring, const char *path, uint32_t flags)
{
    struct fake_file *found = find(ring->disk, path);
    if (ring->dead) return -EIO;
    if (found == NULL && !(flags & RING_FILE_CREATE)) return -ENOENT;
    if (found == NULL) {
        if (ring->faults.fail_folders) return -EIO;
        found = add(ring->disk, path);
        add_change(ring->disk, CHANGE_CREATE, found);
    }
    int fd = 0;
    while (ring->open[fd] != NULL)
        fd += 1;
    ASSERT(fd < FILES_MAX);
    ring->open[fd] = found;
    found->opens += 1;
    ring->files_open += 1;
    void (*on_closed)(struct ring_file *) = file->on_closed;
    *file = (struct ring_file){.direct = true, .on_closed = on_closed};
    file->handle = (struct ring_handle){.ring = ring, .fd = fd, .state = RING_OPEN};
    return 0;
}

void ring_file_close(struct ring_file *file)
{
    struct ring *ring = file->handle.ring;
    if (file->handle.state != RING_OPEN) return;
    ASSERT(file->handle.in_flight == 0); /* the spool never closes with operations in flight */
    file->handle.state = RING_CLOSING;
    ring->open[file->handle.fd]->opens -= 1;
    ring->open[file->handle.fd] = NULL;
    ring->files_open -= 1;
    struct closing *closing = base_alloc(sizeof(*closing));
    closing->file = file;
    list_push_back(&ring->closing, &closing->link);
}

void ring_file_close_now(struct ring_file *file)
{
    struct ring *ring = file->handle.ring;
    ASSERT(file->handle.state == RING_OPEN);
    file->handle.state = RING_CLOSED;
    ring->open[file->handle.fd]->opens -= 1;
    ring->open[file->handle.fd] = NULL;
    ring->files_open -= 1;
}

int64_t ring_file_size(const struct ring_file *file)
{
    return (int64_t)file_of(file)->len;
}
int64_t ring_file_read_now(struct ring_file *file, void *data, size_t len, uint64_t offset)
{
    return do_read(file->handle.ring, file_of(file), data, len, offset);
}
int64_t ring_file_write_now(struct ring_file *file, const void *data, size_t len, uint64_t offset,
                            bool durable)
{
    struct ring *ring = file->handle.ring;
    const int64_t result = do_write(ring, file_of(file), data, len, offset, durable);
    if (result > 0 && durable) do_sync(ring, file_of(file)); /* kept simple: all of the file */
    return result;
}
int ring_file_lock(struct ring_file *file)
{
    return file_of(file)->opens > 1 ? -EWOULDBLOCK : 0;
}

/* ---- paths --------------------------------------------------------------------------------------
 */

int ring_path_make_folder(struct ring *ring, const char *path)
{
    if (ring->dead) return -EIO;
    if (find(ring->disk, path) != NULL) return 0;
    struct fake_file *file = add(ring->disk, path);
    file->folder = true;
    add_change(ring->disk, CHANGE_CREATE, file);
    return 0;
}

int ring_path_list(struct ring *ring, const char *path,
                   bool (*each)(const char *name, void *context), void *context)
{
    if (ring->dead) return -EIO;
    if (find(ring->disk, path) == NULL) return -ENOENT;
    for (uint32_t i = 0; i < ring->disk->count; i++) {
        const struct fake_file *file = ring->disk->files[i];
        if (file->gone || !is_within(file->path, path)) continue;
        const char *name = file->path + strlen(path) + 1;
        if (strchr(name, '/') != NULL) continue;
        if (!each(name, context)) break;
    }
    return 0;
}

static bool touches(const struct change *change, const char *folder)
{
    const char *paths[] = {change->file == NULL ? change->from : change->file->path, change->to};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        if (is_within(paths[i], folder) && strchr(paths[i] + strlen(folder) + 1, '/') == NULL) {
            return true;
        }
    }
    return false;
}

int ring_path_sync_folder(struct ring *ring, const char *path)
{
    struct fake_disk *disk = ring->disk;
    uint32_t last = 0;
    if (ring->dead || ring->faults.fail_folders) return -EIO;
    for (uint32_t i = 0; i < disk->change_count; i++) {
        if (touches(&disk->changes[i], path)) last = i + 1;
    }
    /* A prefix stays: what came before has to be there too. */
    disk->change_count -= last;
    memmove(disk->changes, disk->changes + last, disk->change_count * sizeof(*disk->changes));
    return 0;
}

int ring_path_remove(struct ring *ring, const char *path)
{
    struct fake_file *file = find(ring->disk, path);
    if (ring->dead || ring->faults.fail_folders) return -EIO;
    if (file == NULL) return -ENOENT;
    if (file->folder) {
        for (uint32_t i = 0; i < ring->disk->count; i++) {
            if (!ring->disk->files[i]->gone && is_within(ring->disk->files[i]->path, path)) {
                return -ENOTEMPTY;
            }
        }
    }
    file->gone = true;
    if (ring->faults.space >= 0) ring->faults.space += (int64_t)file->len;
    add_change(ring->disk, CHANGE_REMOVE, file);
    return 0;
}

int ring_path_rename(struct ring *ring, const char *from, const char *to)
{
    if (ring->dead || ring->faults.fail_folders) return -EIO;
    if (find(ring->disk, from) == NULL) return -ENOENT;
    ASSERT(find(ring->disk, to) == NULL);
    rename_all(ring->disk, from, to);
    struct change *change = add_change(ring->disk, CHANGE_RENAME, NULL);
    snprintf(change->from, sizeof(change->from), "%s", from);
    snprintf(change->to, sizeof(change->to), "%s", to);
    return 0;
}

int64_t ring_path_free_space(struct ring *ring, const char *path)
{
    (void)path;
    return ring->faults.space < 0 ? (int64_t)1 << 40 : ring->faults.space;
}
