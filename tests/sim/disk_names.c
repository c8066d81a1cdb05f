/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_names - paths, and folders: the names of now, those that are durable, the changes between
 */
#include "disk_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* ---- sorted names --------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    const size_t size = strlen(text) + 1;
    return memcpy(base_alloc(size), text, size);
}

/* Where the name is, or where it would go. */
static uint32_t names_place(const struct disk_names *names, const char *name, bool *there)
{
    uint32_t low = 0, high = names->count;
    *there = false;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const int order = strcmp(names->entries[middle].name, name);
        *there |= order == 0;
        if (order < 0) low = middle + 1;
        if (order >= 0) high = middle;
    }
    return low;
}

static struct disk_file *names_get(const struct disk_names *names, const char *name)
{
    bool there = false;
    const uint32_t place = names_place(names, name, &there);
    return there ? names->entries[place].file : NULL;
}

/* Returns what had the name, with its reference. */
static struct disk_file *names_set(struct disk_names *names, const char *name,
                                   struct disk_file *file)
{
    bool there = false;
    const uint32_t place = names_place(names, name, &there);
    struct disk_file *old = NULL;
    disk_file_ref(file);
    if (there) {
        old = names->entries[place].file;
        names->entries[place].file = file;
        return old;
    }
    if (names->count == names->cap) {
        names->cap = MAX(2 * names->cap, 8);
        names->entries = base_realloc(names->entries, names->cap * sizeof(*names->entries));
    }
    memmove(names->entries + place + 1, names->entries + place,
            (names->count - place) * sizeof(*names->entries));
    names->entries[place] = (struct disk_entry){.name = copy_text(name), .file = file};
    names->count += 1;
    return NULL;
}

static struct disk_file *names_remove(struct disk_names *names, const char *name)
{
    bool there = false;
    const uint32_t place = names_place(names, name, &there);
    if (!there) return NULL;
    struct disk_file *old = names->entries[place].file;
    base_free(names->entries[place].name);
    names->count -= 1;
    memmove(names->entries + place, names->entries + place + 1,
            (names->count - place) * sizeof(*names->entries));
    return old;
}

static void names_clear(struct disk_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        base_free(names->entries[i].name);
        disk_file_unref(names->entries[i].file);
    }
    base_free(names->entries);
    *names = (struct disk_names){0};
}

/* ---- changes of a folder -------------------------------------------------------------------- */

/* Any of the three may be NULL. */
static void change_add(struct disk_file *folder, const char *name, struct disk_file *file,
                       const char *gone)
{
    if (folder->change_count == folder->change_cap) {
        folder->change_cap = MAX(2 * folder->change_cap, 8);
        folder->changes =
            base_realloc(folder->changes, folder->change_cap * sizeof(*folder->changes));
    }
    if (file != NULL) disk_file_ref(file);
    folder->changes[folder->change_count++] = (struct disk_change){
        .name = name != NULL ? copy_text(name) : NULL,
        .gone = gone != NULL ? copy_text(gone) : NULL,
        .file = file,
    };
}

/* The newest changes of both become one step. */
static void changes_join(struct disk_file *source, struct disk_file *target)
{
    struct disk_change *left = &source->changes[source->change_count - 1];
    struct disk_change *arrived = &target->changes[target->change_count - 1];
    left->move = arrived->move = ++source->disk->moves;
    disk_file_ref(left->partner = target);
    disk_file_ref(arrived->partner = source);
}

static void change_free(struct disk_change *change)
{
    if (change->partner != NULL) disk_file_unref(change->partner);
    base_free(change->name);
    base_free(change->gone);
    if (change->file != NULL) disk_file_unref(change->file);
}

/* The index of the change that is part of the move; change_count when it is settled. */
static uint32_t find_move(const struct disk_file *folder, uint64_t move)
{
    uint32_t i = 0;
    while (i < folder->change_count && folder->changes[i].move != move)
        i += 1;
    return i;
}

/* The other halves of moves, and with them what was changed there before. */
static void commit_partner(struct disk_file *partner, uint64_t move)
{
    const uint32_t i = find_move(partner, move);
    if (i < partner->change_count) disk_folder_commit(partner, i + 1);
}

void disk_folder_commit(struct disk_file *folder, uint32_t count)
{
    ASSERT(count <= folder->change_count);
    struct disk_change *joined = base_alloc((count + 1) * sizeof(*joined));
    uint32_t joined_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct disk_change *change = &folder->changes[i];
        if (change->partner != NULL) {
            joined[joined_count++] = *change;
            disk_file_ref(change->partner);
        }
        struct disk_file *old = NULL;
        if (change->name != NULL) old = names_set(&folder->durable, change->name, change->file);
        if (old != NULL) disk_file_unref(old);
        old = change->gone != NULL ? names_remove(&folder->durable, change->gone) : NULL;
        if (old != NULL) disk_file_unref(old);
        change_free(change);
    }
    folder->change_count -= count;
    if (folder->change_count > 0) {
        memmove(folder->changes, folder->changes + count,
                folder->change_count * sizeof(*folder->changes));
    }
    for (uint32_t i = 0; i < joined_count; i++) {
        commit_partner(joined[i].partner, joined[i].move);
        disk_file_unref(joined[i].partner);
    }
    base_free(joined);
}

/* These changes and all after them never happened. */
static void lose_changes(struct disk_file *folder, uint32_t from)
{
    while (folder->change_count > from) {
        struct disk_change last = folder->changes[--folder->change_count];
        if (last.partner != NULL) {
            const uint32_t i = find_move(last.partner, last.move);
            if (i < last.partner->change_count) lose_changes(last.partner, i);
        }
        change_free(&last);
    }
}

void disk_folder_cut(struct disk_file *folder)
{
    if (folder->change_count > 0) {
        disk_folder_commit(folder,
                           (uint32_t)random_below(&folder->disk->random, folder->change_count + 1));
        lose_changes(folder, 0);
    }
}

/* When all folders were cut: one may have lost a change with another's. */
void disk_folder_reload(struct disk_file *folder)
{
    names_clear(&folder->now);
    for (uint32_t i = 0; i < folder->durable.count; i++) {
        const struct disk_entry *entry = &folder->durable.entries[i];
        (void)names_set(&folder->now, entry->name, entry->file);
    }
}

void disk_folder_free(struct disk_file *folder)
{
    for (uint32_t i = 0; i < folder->change_count; i++)
        change_free(&folder->changes[i]);
    folder->change_count = 0;
    names_clear(&folder->now);
    names_clear(&folder->durable);
    base_free(folder->changes);
    folder->changes = NULL;
}

/* A journal commits in order: what was changed before goes along. */
void disk_name_sync(struct disk_file *file)
{
    struct disk_file *folder = file->parent;
    if (folder == NULL) return;
    for (uint32_t i = folder->change_count; i-- > 0;) {
        if (folder->changes[i].file != file) continue;
        if (disk_toss(file->disk)) disk_folder_commit(folder, i + 1);
        return;
    }
}

/* ---- who has which name --------------------------------------------------------------------- */

static void set_path(struct disk_file *file, struct disk_file *folder, const char *name)
{
    const size_t size = strlen(folder->path) + strlen(name) + 2;
    char *path = base_alloc(size);
    const bool top = folder == folder->disk->root;
    (void)snprintf(path, size, "%s/%s", top ? "" : folder->path, name);
    base_free(file->path);
    file->path = path;
    file->parent = folder;
}

static void name_children(struct disk_file *folder)
{
    for (uint32_t i = 0; i < folder->now.count; i++) {
        struct disk_file *file = folder->now.entries[i].file;
        set_path(file, folder, folder->now.entries[i].name);
        file->names += 1;
        if (file->kind == DISK_FOLDER) name_children(file);
    }
}

void disk_name_all(struct disk *disk)
{
    LIST_FOR_EACH(node, &disk->files)
    {
        struct disk_file *file = CONTAINER_OF(node, struct disk_file, link);
        file->names = 0;
        file->parent = NULL;
    }
    if (disk->root->path == NULL) disk->root->path = copy_text("/");
    name_children(disk->root);
}

/* A name of now ends: the file may have another one (after a cut within a rename), or be open. */
static void drop_name(struct disk_file *file)
{
    ASSERT(file->names > 0);
    file->names -= 1;
    if (file->names > 0) disk_name_all(file->disk);
    if (file->names == 0) file->parent = NULL;
    disk_file_unused(file);
    disk_file_unref(file);
}

/* ---- paths ---------------------------------------------------------------------------------- */

static bool is_nothing(const char *path) /* a slash, or "." */
{
    return path[0] == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0'));
}

/* Takes the first component off. 0 when there is none. */
static int next_component(const char **path, char *name)
{
    while (is_nothing(*path))
        *path += 1;
    const size_t len = strcspn(*path, "/");
    if (len > DISK_NAME_MAX) return -ENAMETOOLONG;
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    return (int)len;
}

/* The folder that the path's last name is in, and that name, which is "" for the root. */
static int find_parent(struct disk *disk, const char *path, struct disk_file **folder, char *name)
{
    if (path[0] == '\0') return -ENOENT;
    *folder = disk->root;
    int len = next_component(&path, name);
    while (len > 0) {
        char next[DISK_NAME_MAX + 1];
        if (strcmp(name, "..") == 0) return -EINVAL;
        len = next_component(&path, next);
        if (len <= 0) break;
        struct disk_file *file = names_get(&(*folder)->now, name);
        if (file == NULL) return -ENOENT;
        if (file->kind != DISK_FOLDER) return -ENOTDIR;
        *folder = file;
        memcpy(name, next, sizeof(next));
    }
    return MIN(len, 0);
}

int disk_find(struct disk *disk, const char *path, struct disk_file **file)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *folder = NULL;
    const int error = find_parent(disk, path, &folder, name);
    if (error != 0) return error;
    *file = name[0] == '\0' ? folder : names_get(&folder->now, name);
    return *file != NULL ? 0 : -ENOENT;
}

/* A new inode under a name that is free. */
static struct disk_file *make(struct disk_file *folder, const char *name, enum disk_kind kind)
{
    struct disk_file *file = disk_file_new(folder->disk, kind);
    if (names_set(&folder->now, name, file) != NULL) UNREACHABLE("disk: the name was free");
    file->names = 1;
    set_path(file, folder, name);
    change_add(folder, name, file, NULL);
    return file;
}

static int make_at(struct disk *disk, const char *path, enum disk_kind kind, int there)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *folder = NULL;
    const int error = find_parent(disk, path, &folder, name);
    if (error != 0) return error;
    if (name[0] == '\0' || names_get(&folder->now, name) != NULL) return there;
    (void)make(folder, name, kind);
    return 0;
}

int disk_make_folder(struct disk *disk, const char *path)
{
    return make_at(disk, path, DISK_FOLDER, -EEXIST);
}

int disk_make_socket(struct disk *disk, const char *path)
{
    return make_at(disk, path, DISK_SOCKET, -EADDRINUSE);
}

int disk_status(struct disk *disk, const char *path, struct disk_status *status)
{
    struct disk_file *file = NULL;
    const int error = disk_find(disk, path, &file);
    if (error != 0) return error;
    *status = (struct disk_status){
        .folder = file->kind == DISK_FOLDER,
        .socket = file->kind == DISK_SOCKET,
        .size = file->size,
        .inode = file->inode,
    };
    return 0;
}

int disk_list(struct disk *disk, const char *path, bool (*each)(const char *name, void *context),
              void *context)
{
    struct disk_file *file = NULL;
    const int error = disk_find(disk, path, &file);
    if (error != 0) return error;
    if (file->kind != DISK_FOLDER) return -ENOTDIR;
    for (uint32_t i = 0; i < file->now.count && each(file->now.entries[i].name, context);)
        i += 1;
    return 0;
}

int disk_sync_folder(struct disk *disk, const char *path)
{
    struct disk_file *file = NULL;
    const int error = disk_find(disk, path, &file);
    if (error != 0) return error;
    if (file->kind != DISK_FOLDER) return -ENOTDIR;
    disk_folder_commit(file, file->change_count);
    return 0;
}

int disk_remove(struct disk *disk, const char *path)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *folder = NULL;
    const int error = find_parent(disk, path, &folder, name);
    if (error != 0) return error;
    if (name[0] == '\0') return -EBUSY;
    struct disk_file *file = names_get(&folder->now, name);
    if (file == NULL) return -ENOENT;
    if (file->now.count > 0) return -ENOTEMPTY;
    (void)names_remove(&folder->now, name);
    change_add(folder, NULL, NULL, name);
    drop_name(file);
    return 0;
}

/* ---- rename --------------------------------------------------------------------------------- */

/* What rename(2) says of these two, the second of which may be NULL. */
static int may_replace(const struct disk_file *file, const struct disk_file *old)
{
    if (old == NULL || old == file) return 0;
    if (file->kind == DISK_FOLDER && old->kind != DISK_FOLDER) return -ENOTDIR;
    if (file->kind != DISK_FOLDER && old->kind == DISK_FOLDER) return -EISDIR;
    return old->now.count > 0 ? -ENOTEMPTY : 0;
}

int disk_rename(struct disk *disk, const char *from, const char *to)
{
    char old_name[DISK_NAME_MAX + 1], new_name[DISK_NAME_MAX + 1];
    struct disk_file *source = NULL, *target = NULL;
    int error = find_parent(disk, from, &source, old_name);
    if (error == 0) error = find_parent(disk, to, &target, new_name);
    if (error != 0) return error;
    if (old_name[0] == '\0' || new_name[0] == '\0') return -EBUSY;
    struct disk_file *file = names_get(&source->now, old_name);
    if (file == NULL) return -ENOENT;
    struct disk_file *replaced = names_get(&target->now, new_name);
    if (file == replaced) return 0;
    for (const struct disk_file *above = target; above != NULL; above = above->parent) {
        if (above == file) return -EINVAL;
    }
    error = may_replace(file, replaced);
    if (error != 0) return error;

    change_add(target, new_name, file, source == target ? old_name : NULL);
    if (source != target) change_add(source, NULL, NULL, old_name);
    if (source != target && file->kind == DISK_FOLDER) changes_join(source, target);
    (void)names_set(&target->now, new_name, file);
    (void)names_remove(&source->now, old_name);
    disk_file_unref(file); /* the old name's; the new one has its own */
    if (replaced != NULL) drop_name(replaced);
    set_path(file, target, new_name);
    if (file->kind == DISK_FOLDER) disk_name_all(disk);
    return 0;
}

/* ---- open ----------------------------------------------------------------------------------- */

static int may_open(const struct disk_file *file, int flags)
{
    const bool create = (flags & O_CREAT) != 0;
    if (create && (flags & O_EXCL) != 0) return -EEXIST;
    if (file->kind == DISK_SOCKET) return -ENXIO;
    if (file->kind == DISK_FILE) return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : 0;
    return create || (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : 0;
}

int disk_open(struct disk *disk, const char *path, int flags, struct disk_file **file)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *folder = NULL;
    if ((flags & O_CREAT) != 0 && (flags & O_DIRECTORY) == O_DIRECTORY) return -EINVAL;
    const int error = find_parent(disk, path, &folder, name);
    if (error != 0) return error;
    struct disk_file *found = name[0] == '\0' ? folder : names_get(&folder->now, name);
    if (found == NULL && (flags & O_CREAT) == 0) return -ENOENT;
    const int refused = found != NULL ? may_open(found, flags) : 0;
    if (refused != 0) return refused;
    if (found == NULL) found = make(folder, name, DISK_FILE);
    if ((flags & O_TRUNC) != 0 && found->size > 0 && disk_truncate(found, 0) != 0)
        UNREACHABLE("disk: files get shorter");
    found->opens += 1;
    disk_file_ref(found);
    *file = found;
    return 0;
}

void disk_close(struct disk_file *file)
{
    ASSERT(file->opens > 0);
    file->opens -= 1;
    if (file->opens == 0) file->locked = false;
    disk_file_unused(file);
    disk_file_unref(file);
}

bool disk_lock(struct disk_file *file)
{
    ASSERT(file->opens > 0);
    if (file->locked) return false;
    file->locked = true;
    return true;
}

void disk_unlock(struct disk_file *file)
{
    file->locked = false;
}

const char *disk_path(const struct disk_file *file)
{
    return file->path;
}
