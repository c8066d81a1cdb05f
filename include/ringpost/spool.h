/* SPDX-License-Identifier: Apache-2.0
 *
 * spool - append-only log of messages and outcomes, one log a worker (DESIGN section 6)
 *
 * Job     makes messages durable (group commit), gives their bytes back, forgets them when they are
 *         done, and finds them again after any crash.
 * Drive   spool_flush() once a turn starts the next commit when none is in flight. Everything else
 *         happens in callbacks from the ring.
 * Owner   queue embeds struct spool_message in its own message; receive embeds struct spool_draft
 *         in its session. Content lies in blocks that are the write buffer as well: the pages that
 *         are written to disk are sent to the receiver.
 * Errors  a failed write or sync never costs an acknowledged message: drafts are answered FAILED,
 *         the segment is abandoned, states are written again elsewhere (src/spool/README.md).
 * Cores   a spool belongs to one worker. Other cores only read content that home has pinned.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/buf.h"
#include "ringpost/event.h"
#include "ringpost/metrics.h"
#include "ringpost/ring.h"

struct spool;
struct spool_body; /* content and envelope in memory */

enum spool_durability {
    SPOOL_COMMIT = 0, /* 250 after a completed sync */
    SPOOL_RELAXED,    /* 250 at once, written soon: a crash loses acknowledged mail */
};
struct spool_options {
    char path[1024];
    uint8_t durability;        /* enum spool_durability */
    uint64_t segment_size;     /* octets, multiple of 1 MiB; default 64 MiB */
    uint64_t memory_max;       /* octets of content kept in memory, of this worker */
    uint64_t reserve;          /* octets of disk to leave free: below it new mail gets FULL */
    uint64_t disk_max;         /* octets of all segments of this worker; 0 = no limit */
    uint64_t message_size_max; /* content octets */
};

enum spool_result {
    SPOOL_OK = 0,
    SPOOL_FULL,   /* 452 4.3.1: disk or memory limit; deliveries go on */
    SPOOL_FAILED, /* 451 4.3.0: the disk failed under this message */
};

/* ---- a stored message ------------------------------------------------------------------------ */

struct spool_message { /* embedded in the queue's message; 88 octets or less */
    uint64_t id;
    struct list record_link;  /* with the other messages whose first octet lies in that segment */
    struct list state_link;   /* dirty list, or the segment of the newest state record */
    struct spool_body *body;  /* NULL: not in memory */
    uint32_t segment, offset; /* of the MESSAGE record */
    uint32_t record_size;     /* of the MESSAGE record: envelope, prefix, table of extents */
    uint32_t state_segment;   /* of the newest OUTCOME record */
    uint32_t state_size;      /* of that record; 0: none */
    uint32_t disk_size;       /* octets of all its records in `segment` */
    uint32_t content_size;    /* octets sent to receivers: prefix + content */
    uint16_t pins;
    uint8_t flags;         /* the spool's own */
    uint8_t content_flags; /* enum smtp_content_flag, kept for the caller */
    uint32_t created_s;    /* wall clock, seconds since 1970 */
};

/* What lies in memory of a loaded message; valid while it is pinned. */
struct spool_view {
    struct bytes envelope;      /* as given to spool_draft_commit() */
    const struct bytes *pieces; /* prefix, then content: what is sent, in order */
    uint32_t piece_count;
    uint32_t prefix_pieces; /* of these; 0 or 1 */
};

struct spool_callbacks {
    /* The state of a message in octets that `recovered` understands (attempts, due, results).
     * Called when a state is written: after spool_message_changed(), by compaction, and from inside
     * spool_message_release() when the last change is not written yet. */
    void (*describe)(void *context, const struct spool_message *message, struct text *out);
    /* One live message found at start, in no order. state: what `describe` wrote last, empty if
     * never. Returns the handle to fill and keep, or NULL to drop the message (it is then forgotten
     * on disk). */
    struct spool_message *(*recovered)(void *context, uint64_t id, struct bytes envelope,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s);
    /* A NOTE found at start; the newest of each key only, after all messages. */
    void (*note)(void *context, struct bytes key, struct bytes value);
    /* Content of a message is damaged on disk: told once, when it was to be read back. It may be
     * ended or released inside. */
    void (*damaged)(void *context, struct spool_message *message);
};
enum { SPOOL_STATE_MAX = 64 * 1024 }; /* octets that describe may write */

/* ---- start and stop -----------------------------------------------------------------------------
 */

/* One process only: takes path/lock. 0, -EWOULDBLOCK when another process holds it, or -errno. */
int spool_lock(struct ring_file *lock, struct ring *ring, const char *path);

/* Opens the log of worker `index` of `workers`, recovers it and those of workers that no longer
 * exist (index i is adopted by i % workers). Blocks; its time is that of reading the live segments
 * once. NULL: why says the reason. */
struct spool *spool_create(struct ring *ring, uint32_t index, uint32_t workers,
                           const struct spool_options *options,
                           const struct spool_callbacks *callbacks, void *context,
                           struct event_sink *events, struct metrics *metrics, char *why,
                           size_t why_size);
/* Writes and syncs what is left (turns the ring until that is done), then frees everything.
 * Messages must be let go before with spool_message_release(). Drafts that still wait are answered
 * inside: who cannot take that any more looks at spool_is_committing() first. */
void spool_destroy(struct spool **spool);
void spool_flush(struct spool *spool);               /* once a turn */
bool spool_is_idle(const struct spool *spool);       /* nothing to write, nothing in flight */
bool spool_is_committing(const struct spool *spool); /* drafts wait for their answer */
void spool_set_limits(struct spool *spool, const struct spool_options *options); /* reload */

/* ---- accepting ---------------------------------------------------------------------------------
 */

/* May a message of that size (0 = unknown) begin? OK or FULL (or FAILED: the disk is broken). */
enum spool_result spool_admit(struct spool *spool, uint64_t size);

struct spool_draft {
    struct spool *spool; /* NULL: no draft */
    uint64_t id;         /* the queue id, known from begin */
    uint64_t content_size;
    struct spool_body *body;
    struct list link;
    struct spool_message *message;
    void (*on_committed)(struct spool_draft *draft, enum spool_result result);
    /* Not OK once a part of it could not be written (FAILED), or found no room on disk or in memory
     * (FULL): its octets are discarded from then on, and on_committed says so. */
    uint8_t result;
    /* Set behind begin: a message of our own (DSN) that lets another one go. It may use what mail
     * leaves free of disk and memory, so that a full disk drains. */
    bool notice;
};
void spool_draft_begin(struct spool_draft *draft, struct spool *spool);
/* Room for the next octets of content, to be filled in place at once (before any other call of the
 * spool): at least 1, as a rule thousands. */
char *spool_draft_room(struct spool_draft *draft, size_t *room);
void spool_draft_add(struct spool_draft *draft, size_t len); /* len <= room octets were filled in */
/* Leaves octets [from, from + len) of the content so far out of the message; ascending ranges, at
 * most 1024 that do not touch each other (then the draft becomes FAILED). */
void spool_draft_cut(struct spool_draft *draft, uint64_t from, uint64_t len);
/* What came so far, where it lies: octets from the offset on that lie together, cuts not applied;
 * empty when there are no more yet, or the draft is not OK any more. Valid until the next call
 * about this draft. Before the commit only. The cursor (at first zeros) makes going forward cheap.
 */
struct spool_cursor {
    uint32_t piece;
    uint64_t start;
};
struct bytes spool_draft_read(const struct spool_draft *draft, struct spool_cursor *cursor,
                              uint64_t offset);
/* Ends the draft: message (zeroed by the caller) becomes its handle. on_committed is called once,
 * never from inside: OK - durable, and the message is loaded and pinned once for the caller;
 * otherwise the message was forgotten (also on disk), the handle is the caller's to free. */
void spool_draft_commit(struct spool_draft *draft, struct spool_message *message,
                        struct bytes envelope, struct bytes prefix, uint8_t content_flags,
                        wall_ms created,
                        void (*on_committed)(struct spool_draft *, enum spool_result));
/* Forgets it. Also between commit and on_committed (the session died): the message is then
 * completed or forgotten as the disk decides; on_committed is still called. */
void spool_draft_abort(struct spool_draft *draft);

/* ---- using
 * ----------------------------------------------------------------------------------------- */

struct spool_load { /* a wait for content; embedded by the caller */
    struct list link;
    struct spool_message *message;
    void (*on_loaded)(struct spool_load *load, enum spool_result result);
};
/* Pins the message. True: it is in memory. False: on_loaded comes later (FAILED: not readable, not
 * pinned then; the damaged callback was called when it is for good). It never comes for a message
 * that was ended or released meanwhile. A load
 * waits while others have half of the memory pinned (memory_max); one may always go on. */
MUST_USE bool spool_message_load(struct spool *spool, struct spool_message *message,
                                 struct spool_load *load);
struct spool_view spool_message_view(const struct spool_message *message); /* pinned only */
void spool_message_unpin(struct spool *spool, struct spool_message *message);
/* Its state changed: written with the next commit (describe is called then). */
void spool_message_changed(struct spool *spool, struct spool_message *message);
/* All recipients are done: forgotten on disk with the next commit; the handle is free at once. */
void spool_message_done(struct spool *spool, struct spool_message *message);
/* At shutdown, of all messages one after the other: lets go of the handle; the message stays on
 * disk. No draft may begin afterwards. */
void spool_message_release(struct spool *spool, struct spool_message *message);

/* State that must survive (suspensions, rates in force). An empty value forgets the key. */
enum { SPOOL_NOTE_KEY_MAX = 512, SPOOL_NOTE_VALUE_MAX = 4096 };
void spool_note(struct spool *spool, struct bytes key, struct bytes value);

struct spool_stats {
    uint64_t segments, free_segments, live_bytes, memory_bytes, messages;
    bool full, failing;
};
struct spool_stats spool_stats(const struct spool *spool);
