/* SPDX-License-Identifier: Apache-2.0
 *
 * archive - names of complete files, and which of them to delete
 *
 * A name holds the time at which the file was begun (account) or ended (log), in UTC, so that
 * names sort by age. Files of any other name are somebody else's and are never touched.
 */
#include "logfile_private.h"
#include <errno.h>
#include <stdlib.h>

enum {
    STAMP_LEN = 18,        /* 20260131T120000123 */
    FILES_MAX = 64 * 1024, /* looked at in one folder */
};
static const struct bytes ACCOUNT_PREFIX = {"account-", 8}, ACCOUNT_SUFFIX = {".jsonl", 6};

/* "2026-01-31T12:00:00.123Z" without its punctuation. */
static void put_stamp(struct text *out, wall_ms when)
{
    char time[EVENT_TIME_TEXT_MAX];
    event_time_print(when, time);
    for (const char *c = time; *c != '\0'; c++) {
        if (*c == 'T' || (*c >= '0' && *c <= '9')) text_put(out, (struct bytes){c, 1});
    }
}

static bool is_stamp(struct bytes text)
{
    if (text.len != STAMP_LEN || text.data[8] != 'T') return false;
    for (size_t i = 0; i < text.len; i++) {
        if (i != 8 && (text.data[i] < '0' || text.data[i] > '9')) return false;
    }
    return true;
}

/* The log's path: folder and name. */
static void split_path(const char *path, struct bytes *folder, struct bytes *name)
{
    const char *slash = strrchr(path, '/');
    *name = bytes_of(slash == NULL ? path : slash + 1);
    *folder = slash == NULL ? BYTES(".") : (struct bytes){path, (size_t)(slash - path)};
    if (folder->len == 0) *folder = BYTES("/");
}

void logfile_name(const struct logfile *logfile, char *out)
{
    struct text text;
    text_init(&text, out, LOGFILE_NAME_MAX);
    text_put(&text, bytes_of(logfile->options.path));
    if (!logfile->options.folder) return;
    text_put(&text, BYTES("/"));
    text_put(&text, ACCOUNT_PREFIX);
    put_stamp(&text, ring_wall(logfile->ring));
    text_put(&text, ACCOUNT_SUFFIX);
}

bool logfile_rename_old(struct logfile *logfile)
{
    char to[LOGFILE_NAME_MAX];
    struct text text;
    text_init(&text, to, sizeof(to));
    text_put(&text, bytes_of(logfile->path));
    text_put(&text, BYTES("."));
    put_stamp(&text, ring_wall(logfile->ring));
    const int error = ring_path_rename(logfile->ring, logfile->path, to);
    if (error < 0) logfile_say(logfile, EVENT_WARNING, "renaming", logfile->path, error);
    return error == 0 || error == -ENOENT; /* somebody else has taken it away */
}

/* ---- what is there --------------------------------------------------------------------------- */

struct archive {
    const struct logfile *logfile;
    char folder[LOGFILE_NAME_MAX];
    struct bytes prefix, suffix;
    struct archived {
        char stamp[STAMP_LEN + 1];
    } * files;
    size_t count, cap;
};

static const char *path_of(const struct archive *archive, const struct archived *file, char *out)
{
    struct text text;
    text_init(&text, out, LOGFILE_NAME_MAX);
    text_put(&text, bytes_of(archive->folder));
    text_put(&text, BYTES("/"));
    text_put(&text, archive->prefix);
    text_put(&text, bytes_of(file->stamp));
    text_put(&text, archive->suffix);
    return out;
}

static bool add_name(const char *name, void *context)
{
    struct archive *archive = context;
    const struct bytes text = bytes_of(name);
    const size_t around = archive->prefix.len + archive->suffix.len;
    if (text.len != around + STAMP_LEN) return true;
    const struct bytes prefix = {text.data, archive->prefix.len};
    const struct bytes stamp = {text.data + prefix.len, STAMP_LEN};
    const struct bytes suffix = bytes_skip(text, prefix.len + STAMP_LEN);
    if (!bytes_equal(prefix, archive->prefix) || !bytes_equal(suffix, archive->suffix) ||
        !is_stamp(stamp)) {
        return true;
    }
    if (archive->count == archive->cap) {
        archive->cap = archive->cap ? 2 * archive->cap : 64;
        archive->files = base_realloc(archive->files, archive->cap * sizeof(*archive->files));
    }
    struct archived *file = &archive->files[archive->count++];
    memcpy(file->stamp, stamp.data, STAMP_LEN);
    file->stamp[STAMP_LEN] = '\0';
    return archive->count < FILES_MAX;
}

static int by_stamp(const void *a, const void *b)
{
    return strcmp(((const struct archived *)a)->stamp, ((const struct archived *)b)->stamp);
}

static void find_files(struct logfile *logfile, struct archive *archive, char *prefix)
{
    struct text text;
    struct bytes folder = bytes_of(logfile->options.path), name;
    *archive =
        (struct archive){.logfile = logfile, .prefix = ACCOUNT_PREFIX, .suffix = ACCOUNT_SUFFIX};
    if (!logfile->options.folder) {
        split_path(logfile->options.path, &folder, &name);
        text_init(&text, prefix, LOGFILE_NAME_MAX);
        text_put(&text, name);
        text_put(&text, BYTES("."));
        archive->prefix = text_bytes(&text);
        archive->suffix = (struct bytes){"", 0};
    }
    text_init(&text, archive->folder, sizeof(archive->folder));
    text_put(&text, folder);
    (void)ring_path_list(logfile->ring, archive->folder, add_name, archive);
    if (archive->count > 1) {
        qsort(archive->files, archive->count, sizeof(*archive->files), by_stamp);
    }
}

/* ---- what is too much ------------------------------------------------------------------------ */

/* A stamp as old as keep_age allows: what sorts before it is too old. */
static void oldest_stamp(const struct logfile *logfile, char *out, size_t size)
{
    struct text text;
    const wall_ms age = (wall_ms)(logfile->options.keep_age / DURATION_MS(1));
    const wall_ms now = ring_wall(logfile->ring);
    text_init(&text, out, size);
    put_stamp(&text, now > age ? now - age : 0);
}

/* How many of the oldest are to go. */
static size_t count_surplus(const struct logfile *logfile, const struct archive *archive)
{
    const struct logfile_options *options = &logfile->options;
    char oldest[STAMP_LEN + 1], path[LOGFILE_NAME_MAX];
    size_t kept = 0;
    uint64_t size = 0;
    oldest_stamp(logfile, oldest, sizeof(oldest));
    for (size_t i = archive->count; i-- > 0; kept++) { /* the newest first */
        const struct archived *file = &archive->files[i];
        if (options->keep > 0 && kept >= options->keep) return i + 1;
        if (options->keep_age > 0 && strcmp(file->stamp, oldest) < 0) return i + 1;
        if (options->keep_size == 0) continue;
        const int64_t octets = ring_path_size(logfile->ring, path_of(archive, file, path));
        size += octets > 0 ? (uint64_t)octets : 0;
        if (size > options->keep_size) return i + 1;
    }
    return 0;
}

void logfile_clean(struct logfile *logfile)
{
    struct archive archive;
    char prefix[LOGFILE_NAME_MAX], path[LOGFILE_NAME_MAX];
    if (logfile_is_stderr(&logfile->options)) return;
    find_files(logfile, &archive, prefix);
    /* The file being written is the newest of the account's and is not complete. */
    if (logfile->options.folder && logfile->file != NULL && archive.count > 0) archive.count -= 1;
    const size_t surplus = count_surplus(logfile, &archive);
    for (size_t i = 0; i < surplus; i++) {
        path_of(&archive, &archive.files[i], path);
        const int error = ring_path_remove(logfile->ring, path);
        if (error < 0) logfile_say(logfile, EVENT_WARNING, "deleting", path, error);
    }
    base_free(archive.files);
}

void logfile_prepare(struct logfile *logfile)
{
    if (logfile->options.folder) {
        const int error = ring_path_make_folder(logfile->ring, logfile->options.path);
        if (error < 0) {
            logfile_say(logfile, EVENT_ERROR, "making the folder", logfile->options.path, error);
        }
    }
    logfile_clean(logfile);
}
