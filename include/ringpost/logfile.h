/* SPDX-License-Identifier: Apache-2.0
 *
 * logfile - where full event buffers go: the log's file, the account's folder
 *
 * Job     appends buffers in the order given, through the ring; begins a new file by size and age;
 *         deletes old ones by number, age and size of all. A disk that fails or is full costs
 *         lines, which are counted, never mail: buffers always come back, the disk is tried again
 *         every few seconds.
 * Drive   logfile_write() for each buffer; logfile_tick() about every second (age, cleaning).
 * Owner   one writer a stream in the process, on one core. A buffer belongs to the writer from
 *         logfile_write() until on_written() gives it back. How many can wait is bounded by the
 *         sinks, which have only so many.
 * Naming  a log "path" is renamed to path.20260131T120000123 when it is full, and opened anew by
 *         logfile_reopen() (SIGHUP) for the sake of logrotate. An account "path" is a folder of
 *         files account-20260131T120000123.jsonl, named after when they were begun; the last one
 *         is being written, the others are complete and never touched again but to be deleted.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/event.h"
#include "ringpost/ring.h"

enum { LOGFILE_PATH_MAX = 1024 };

struct logfile_options {
    char path[LOGFILE_PATH_MAX]; /* log: a file, empty = standard error; account: a folder */
    bool folder;                 /* the account's form */
    uint64_t rotate_size;        /* octets; 0 = never */
    duration rotate_age;         /* 0 = never */
    uint32_t keep;               /* complete files; 0 = no limit */
    uint64_t keep_size;          /* octets of complete files; 0 = no limit */
    duration keep_age;           /* 0 = for ever */
};

struct logfile;
/* Opens the file (the account's folder: makes it; blocks). Never fails: if the disk does, events
 * gets a line, and it is tried again later; the log's lines go to standard error meanwhile. events:
 * for our own words, of the same core; NULL: nobody to tell. */
struct logfile *logfile_create(struct ring *ring, const struct logfile_options *options,
                               void (*on_written)(void *context, struct event_buffer *buffer),
                               void *context, struct event_sink *events);
/* on_written comes later, never from inside, also when the lines were lost. */
void logfile_write(struct logfile *logfile, struct event_buffer *buffer);
void logfile_tick(struct logfile *logfile);
/* Others may have renamed the file: opens it again. The account begins a new file. */
void logfile_reopen(struct logfile *logfile);
/* New limits; a new path is opened once what is being written is out. */
void logfile_configure(struct logfile *logfile, const struct logfile_options *options);
bool logfile_is_idle(const struct logfile *logfile); /* nothing waits, nothing is in flight */
uint64_t logfile_lines_lost(const struct logfile *logfile);
/* At the end of the process, outside a turn: turns the ring until all is written and closed, and
 * the buffers are back. A disk that hangs for 5 seconds is given up: then false, the buffers and
 * the ring's operation are lost for good, the ring must not be destroyed. */
bool logfile_destroy(struct logfile **logfile);
