/* SPDX-License-Identifier: Apache-2.0
 *
 * logfile - one write at a time, from a queue of buffers
 *
 *     CLOSED ──open──▶ OPEN ──write──▶ WRITING ──done──▶ OPEN ──rotate──▶ CLOSED
 *        ▲               └────error, full disk: lines are lost, tried again later ──┐
 *        └──────────────────────────────────────────────────────────────────────────┘
 *
 * While the log's file cannot be written, standard error stands in for it: a log that is lost
 * without a word would hide its own reason.
 *
 * Opening, renaming and deleting block; they are rare and short. Everything happens in advance(),
 * which does as much as it can and is called whenever something may have changed.
 */
#include "logfile_private.h"
#include <errno.h>

static const duration RETRY_AFTER = DURATION_S(5); /* a failed disk */
static const duration CLEAN_EVERY = DURATION_S(3600);
static const duration END_WITHIN = DURATION_S(5); /* a disk that hangs */

static void advance(struct logfile *logfile, bool may_call_back);

/* ---- the file -------------------------------------------------------------------------------- */

static void file_closed(struct ring_file *ring_file)
{
    struct open_file *file = CONTAINER_OF(ring_file, struct open_file, ring_file);
    file->logfile->closing -= 1;
    base_free(file);
}

static void close_file(struct logfile *logfile)
{
    if (logfile->file == NULL) return;
    logfile->closing += 1;
    ring_file_close(&logfile->file->ring_file);
    logfile->file = NULL;
    logfile->stand_in = false;
}

void logfile_say(struct logfile *logfile, enum event_level level, const char *doing,
                 const char *path, int64_t error)
{
    if (logfile->events == NULL) return;
    event_log(logfile->events, level, "logfile", "%s %s: %s", doing, path, strerror((int)-error));
}

static bool is_standard_error(const struct logfile *logfile)
{
    return logfile->stand_in || logfile_is_stderr(&logfile->options);
}

static void disk_failed(struct logfile *logfile, const char *doing, int64_t error)
{
    if (!logfile->failing) {
        logfile_say(logfile, EVENT_ERROR, doing, logfile->options.path, error);
    }
    logfile->failing = true;
    logfile->retry_at = ring_now(logfile->ring) + RETRY_AFTER;
    close_file(logfile);
}

static int open_named(struct logfile *logfile, struct open_file *file)
{
    const uint32_t flags = RING_FILE_CREATE | RING_FILE_APPEND;
    logfile_name(logfile, logfile->path);
    int error = ring_file_open(&file->ring_file, logfile->ring, logfile->path, flags);
    if (error == -ENOENT && logfile->options.folder) { /* somebody has tidied up, or unmounted it */
        (void)ring_path_make_folder(logfile->ring, logfile->options.path);
        error = ring_file_open(&file->ring_file, logfile->ring, logfile->path, flags);
    }
    return error;
}

/* The file itself, when it may be tried now; else standard error stands in for the log. */
static int open_any(struct logfile *logfile, struct open_file *file)
{
    const struct logfile_options *options = &logfile->options;
    int error = -EAGAIN;
    if (!logfile_is_stderr(options) && ring_now(logfile->ring) >= logfile->retry_at) {
        error = open_named(logfile, file);
        if (error == 0) return 0;
        disk_failed(logfile, options->folder ? "lines are lost: opening" : "opening", error);
    }
    if (options->folder) return error;
    logfile->stand_in = !logfile_is_stderr(options);
    return ring_file_copy(&file->ring_file, logfile->ring, 2);
}

static bool open_file(struct logfile *logfile)
{
    struct open_file *file = base_alloc(sizeof(*file));
    file->logfile = logfile;
    if (open_any(logfile, file) < 0) {
        base_free(file);
        return false;
    }
    file->ring_file.on_closed = file_closed;
    const int64_t size = is_standard_error(logfile) ? 0 : ring_file_size(&file->ring_file);
    logfile->file = file;
    logfile->file_size = size > 0 ? (uint64_t)size : 0;
    logfile->size_rotated = 0;
    logfile->opened_at = ring_now(logfile->ring);
    return true;
}

static bool is_full(const struct logfile *logfile)
{
    const struct logfile_options *options = &logfile->options;
    if (logfile->file == NULL || logfile->file_size == 0 || is_standard_error(logfile)) {
        return false;
    }
    const uint64_t size = logfile->file_size - logfile->size_rotated;
    if (options->rotate_size > 0 && size >= options->rotate_size) return true;
    return options->rotate_age > 0 &&
           ring_now(logfile->ring) - logfile->opened_at >= options->rotate_age;
}

static void rotate(struct logfile *logfile)
{
    logfile->size_rotated =
        logfile->file_size; /* what cannot be renamed is not tried at each line */
    if (!logfile->options.folder && !logfile_rename_old(logfile)) return;
    close_file(logfile);
    logfile_clean(logfile);
    logfile->clean_at = ring_now(logfile->ring) + CLEAN_EVERY;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static struct event_buffer *pop(struct logfile *logfile)
{
    struct event_buffer *buffer = CONTAINER_OF(logfile->first, struct event_buffer, node);
    logfile->first = buffer->node.next;
    if (logfile->first == NULL) logfile->last = NULL;
    buffer->node.next = NULL;
    return buffer;
}

static void lose(struct logfile *logfile, struct event_buffer *buffer)
{
    logfile->lines_lost += buffer->lines;
    logfile->on_written(logfile->context, buffer);
}

/* A disk that became full took a part: no half line may stay for what comes next to join. */
static void cut_off_rest(struct logfile *logfile)
{
    struct ring_file *file = &logfile->file->ring_file;
    if (is_standard_error(logfile)) return;
    if (ring_file_size(file) > (int64_t)logfile->file_size) {
        (void)ring_file_cut(file, logfile->file_size);
    }
}

static void wrote(struct logfile *logfile, uint64_t octets)
{
    logfile->file_size += octets;
    if (logfile->stand_in || !logfile->failing) return;
    logfile->failing = false;
    if (logfile->events == NULL) return;
    event_log(logfile->events, EVENT_WARNING, "logfile",
              "%s can be written again; %llu lines were lost", logfile->options.path,
              (unsigned long long)logfile->lines_lost);
}

static void write_done(struct ring_file_op *op, int64_t result)
{
    struct logfile *logfile = CONTAINER_OF(op, struct logfile, op);
    struct event_buffer *buffer = logfile->writing;
    logfile->writing = NULL;
    if (result < 0) {
        cut_off_rest(logfile);
        disk_failed(logfile, "lines are lost: writing", result);
        lose(logfile, buffer);
    } else {
        wrote(logfile, (uint64_t)result);
        logfile->on_written(logfile->context, buffer);
    }
    advance(logfile, true);
}

static void apply_changes(struct logfile *logfile)
{
    if (logfile->reopen) close_file(logfile);
    if (logfile->stand_in && ring_now(logfile->ring) >= logfile->retry_at) close_file(logfile);
    logfile->reopen = false;
    if (logfile->next == NULL) return;
    if (strcmp(logfile->options.path, logfile->next->path) != 0) close_file(logfile);
    logfile->options = *logfile->next;
    base_free(logfile->next);
    logfile->next = NULL;
    logfile->retry_at = 0;
    logfile_prepare(logfile);
}

static void advance(struct logfile *logfile, bool may_call_back)
{
    while (logfile->writing == NULL) {
        apply_changes(logfile);
        if (logfile->first == NULL) return;
        if (is_full(logfile)) rotate(logfile); /* now, so that there is always a newest one */
        if (logfile->file != NULL || open_file(logfile)) {
            logfile->writing = pop(logfile);
            ring_file_write(&logfile->file->ring_file, &logfile->op, logfile->writing->data,
                            logfile->writing->len, 0, false);
        } else if (may_call_back) {
            lose(logfile, pop(logfile));
        } else { /* on_written may not be called from inside logfile_write() */
            ring_timer_arm(logfile->ring, &logfile->losing, ring_now(logfile->ring) + 1);
            return;
        }
    }
}

static void losing_fired(struct ring_timer *timer)
{
    advance(CONTAINER_OF(timer, struct logfile, losing), true);
}

/* ---- the contract ---------------------------------------------------------------------------- */

struct logfile *logfile_create(struct ring *ring, const struct logfile_options *options,
                               void (*on_written)(void *context, struct event_buffer *buffer),
                               void *context, struct event_sink *events)
{
    struct logfile *logfile = base_alloc(sizeof(*logfile));
    logfile->ring = ring;
    logfile->options = *options;
    logfile->events = events;
    logfile->on_written = on_written;
    logfile->context = context;
    logfile->op.on_done = write_done;
    ring_timer_init(&logfile->losing, losing_fired);
    logfile->clean_at = ring_now(ring) + CLEAN_EVERY;
    logfile_prepare(logfile);
    /* The account's first file waits for its first record: a start leaves no empty files. */
    if (!options->folder) (void)open_file(logfile);
    return logfile;
}

void logfile_write(struct logfile *logfile, struct event_buffer *buffer)
{
    ASSERT(buffer->len > 0);
    buffer->node.next = NULL;
    if (logfile->last == NULL) {
        logfile->first = &buffer->node;
    } else {
        logfile->last->next = &buffer->node;
    }
    logfile->last = &buffer->node;
    advance(logfile, false);
}

void logfile_tick(struct logfile *logfile)
{
    const instant now = ring_now(logfile->ring);
    if (logfile->options.keep_age > 0 && now >= logfile->clean_at) {
        logfile_clean(logfile);
        logfile->clean_at = now + CLEAN_EVERY;
    }
    advance(logfile, true);
}

void logfile_reopen(struct logfile *logfile)
{
    logfile->reopen = true;
    advance(logfile, false);
}

void logfile_configure(struct logfile *logfile, const struct logfile_options *options)
{
    if (logfile->next == NULL) logfile->next = base_alloc(sizeof(*logfile->next));
    *logfile->next = *options;
    advance(logfile, false);
}

bool logfile_is_idle(const struct logfile *logfile)
{
    return logfile->first == NULL && logfile->writing == NULL;
}

uint64_t logfile_lines_lost(const struct logfile *logfile)
{
    return logfile->lines_lost;
}

/* Turns the ring until nothing is under way, or the time is over. */
static bool finish(struct logfile *logfile)
{
    struct ring *ring = logfile->ring;
    const instant end = ring_clock(ring) + END_WITHIN;
    while (!logfile_is_idle(logfile) || logfile->file != NULL || logfile->closing > 0) {
        if (ring_now(ring) >= end) return false;
        if (logfile_is_idle(logfile)) close_file(logfile);
        ring_turn(ring, MIN(end, ring_timers_next(ring)), 64);
        ring_timers_run(ring, 64);
    }
    return true;
}

bool logfile_destroy(struct logfile **logfile)
{
    struct logfile *gone = *logfile;
    *logfile = NULL;
    if (gone == NULL) return true;
    if (!finish(gone)) return false; /* the kernel still reads from it: never to be freed */
    ring_timer_disarm(gone->ring, &gone->losing);
    base_free(gone->next);
    base_free(gone);
    return true;
}
