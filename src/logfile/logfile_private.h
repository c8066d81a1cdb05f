/* SPDX-License-Identifier: Apache-2.0
 *
 * logfile_private - what the files of logfile share
 */
#pragma once
#include "ringpost/logfile.h"

enum { LOGFILE_NAME_MAX = LOGFILE_PATH_MAX + 64 };

struct open_file { /* outlives its use by the time that closing takes */
    struct ring_file ring_file;
    struct logfile *logfile;
};
struct logfile {
    struct ring *ring;
    struct logfile_options options;
    struct logfile_options *next; /* a change that waits for the write in flight; or NULL */
    struct event_sink *events;
    void (*on_written)(void *context, struct event_buffer *buffer);
    void *context;

    struct open_file *file;           /* NULL: not open */
    char path[LOGFILE_NAME_MAX];      /* of the file, when it is open and has one */
    uint64_t file_size, size_rotated; /* now; when it last became full, and stayed */
    instant opened_at, clean_at;
    instant retry_at; /* not to be opened before */
    bool failing;     /* and the log was told */
    bool stand_in;    /* ->file is standard error, since the log's own cannot be had now */
    bool reopen;
    uint32_t closing; /* files */

    struct inbox_node *first, *last; /* buffers that wait */
    struct event_buffer *writing;    /* in flight */
    struct ring_file_op op;
    struct ring_timer losing; /* buffers that wait in vain go back outside logfile_write() */
    uint64_t lines_lost;
};

static inline bool logfile_is_stderr(const struct logfile_options *options)
{
    return !options->folder && options->path[0] == '\0';
}
/* Makes the account's folder; cleans up what earlier runs left. */
void logfile_prepare(struct logfile *logfile);
/* Path of the file to begin now; out has LOGFILE_NAME_MAX octets. */
void logfile_name(const struct logfile *logfile, char *out);
/* The log's file gets its name for the archive. false: it is still where it was. */
bool logfile_rename_old(struct logfile *logfile);
/* Deletes complete files beyond the limits, the oldest first. */
void logfile_clean(struct logfile *logfile);
/* For people, if there is somebody to tell. */
void logfile_say(struct logfile *logfile, enum event_level level, const char *doing,
                 const char *path, int64_t error);
