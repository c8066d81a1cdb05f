/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of this module share
 *
 *   draft.c    accepting: content into records, the MESSAGE record
 *   body.c     content in memory: pins of blocks, residency, eviction
 *   gather.c   the write buffer: room for records, batches, segments following each other
 *   commit.c   writes: issue, completion, answers
 *   failure.c  a write failed: who is told, what is written again, the failing state
 *   state.c, note.c   OUTCOME, DONE, LIVE and NOTE records on their way into a batch
 *   segment.c, prepare.c   segments: what is alive in them, reuse, making, removing
 *   message.c  handles: attached to segments, changed, done, released
 *   load.c     content read back
 *   compact.c  live records appended again
 *   recover.c, recover_scan.c, recover_index.c, recover_folder.c   start
 *   space.c    limits of disk and memory
 *   spool.c    create, flush, destroy
 */
#pragma once
#include "format.h"
#include "ringpost/spool.h"

enum {
    SPOOL_BLOCK_SIZE = 256 * 1024, /* the write buffer; a larger record gets a larger one */
    SPOOL_READ_BLOCK = 8 * 1024,   /* smallest block that holds content read back */
    SPOOL_STAGE_SIZE = 4096,       /* dribbled content is gathered up to this */
    SPOOL_SMALL = 512,             /* a piece below it is dribbled */
    SPOOL_CUTS_MAX = 1024,
    SPOOL_IN_FLIGHT_MAX = 4,
    SPOOL_SPARE_SEGMENTS = 8, /* free ones beyond it are removed */
    SPOOL_FAILURES_MAX = 3,   /* in a row; then no more mail until a probe succeeds */
    SPOOL_STATE_DELAY_MS = 5,
    SPOOL_RETRY_MS = 3000,
    SPOOL_DONE_CHUNK = 4096,   /* ids in one DONE record */
    SPOOL_STATES_CHUNK = 4096, /* states written by one commit */
    SPOOL_READS_MAX = 64,
    SPOOL_RELOCATIONS_MAX = 8,
    SPOOL_SEGMENT_SIZE_MIN = 1 << 20,
    SPOOL_SEGMENT_SIZE_MAX = 1 << 30,
    SPOOL_PATH_MAX = 2048,
    SPOOL_ZEROS_SIZE = 256 * 1024,
};
extern char spool_zeros[SPOOL_ZEROS_SIZE];
/* What a batch needs besides its records, and a segment besides its batches. */
enum {
    BATCH_HEAD = sizeof(struct record_head) + sizeof(struct disk_batch),
    SEAL_SIZE = sizeof(struct record_head),
};
static_assert(BATCH_HEAD % 8 == 0 && SEAL_SIZE % 8 == 0, "records are aligned");
static_assert(BATCH_HEAD + SEAL_SIZE <= FORMAT_PAGE, "a seal fits into the page kept for it");

/* ---- sets of segments ------------------------------------------------------------------------ */

struct spool_bits {
    uint64_t *words;
    uint32_t count; /* words */
};
void spool_bits_set(struct spool_bits *bits, uint32_t bit);
void spool_bits_clear(struct spool_bits *bits, uint32_t bit);
bool spool_bits_test(const struct spool_bits *bits, uint32_t bit);
void spool_bits_add(struct spool_bits *to, const struct spool_bits *from);
bool spool_bits_is_empty(const struct spool_bits *bits);
void spool_bits_free(struct spool_bits *bits);

/* ---- logs and segments ----------------------------------------------------------------------- */

struct spool_log { /* a folder: our own, or that of a worker that no longer exists */
    struct list link;
    struct spool_log *parent; /* the folder lies in that one's */
    struct record_key key;
    uint64_t durable; /* recovery: batches up to this one were durable for sure */
    uint32_t children;
    uint32_t segments;
    uint32_t number_last;
    char path[SPOOL_PATH_MAX];
};

enum spool_segment_state {
    SEGMENT_PREPARING = 0, /* zeros are being written */
    SEGMENT_FREE,          /* nothing in it counts, on no other record's account either */
    SEGMENT_OPEN,          /* batches are appended */
    SEGMENT_SEALED,        /* full, or found at start */
    SEGMENT_ABANDONED,     /* a write to it failed: nothing is written to it any more */
    SEGMENT_REMOVED,       /* the file is going */
    SEGMENT_STATE_COUNT,
};
struct spool_segment {
    struct list link; /* of spool->free */
    struct spool *spool;
    struct spool_log *log;
    struct ring_file file;
    uint32_t slot;       /* index in spool->slots; the segment of handles */
    uint32_t number;     /* file name */
    uint64_t generation; /* of its header, or of the one that is to be written */
    uint64_t former_generation;
    uint64_t size;
    uint64_t live;       /* octets of records that are still needed */
    uint64_t free_after; /* batch that must be durable before it may be used again */
    uint32_t tail;       /* where the next batch goes */
    uint32_t batches;    /* gathering, waiting or being written */
    uint32_t unfinished; /* drafts and copies under way that have content in it */
    uint32_t ops;        /* reads and preparing writes in flight */
    uint8_t state;
    bool turn;         /* flips with each use: tells the sets below old content from new */
    bool live_wanted;  /* a LIVE record about it must become durable before it may be used again */
    bool live_written; /* ... and is in a batch */
    bool zeroing;      /* a write of `prepare` is in flight */
    bool held;         /* ... and spool->hold counts it */
    bool await_dones;  /* content of ended messages is in it whose DONE records are not written */
    bool stuck;        /* compaction cannot empty it now: damaged messages */
    struct list messages, states, notes, parts;
    /* Which segments' dead MESSAGE records would come alive without our DONE and LIVE records
     * (tombs) or without our newer copies (copies). See README.md: the tombstone rule. */
    struct spool_bits tombs, copies;
    struct ring_file_op prepare;
    uint64_t zeroed;
    uint64_t first_batch; /* by the header that was found at start */
};
/* The records of the segment's present and of its former use, in those sets. */
static inline uint32_t spool_bit(const struct spool_segment *segment)
{
    return segment->slot * 2 + segment->turn;
}
static inline uint32_t spool_bit_former(const struct spool_segment *segment)
{
    return segment->slot * 2 + !segment->turn;
}

/* What a record is for. Mail leaves two segments to the others, copies by compaction and notices
 * one, so that a full disk drains: states and tombstones find room, and room can be made. */
enum spool_purpose { SPOOL_FOR_MAIL, SPOOL_FOR_COPY, SPOOL_FOR_NOTICE, SPOOL_FOR_STATE };

/* ---- memory of a message ----------------------------------------------------------------------
 */

struct spool_cut {
    uint64_t from, len;
};
enum { BODY_INLINE = 4 };
struct spool_body {
    struct list link;       /* of spool->resident while it may be evicted */
    struct list batch_link; /* of the batch with the MESSAGE record, until that is written */
    struct spool_message *message;
    struct spool_draft *draft; /* waits for the commit; NULL once answered */
    struct bytes envelope;
    struct bytes *pieces; /* [0] is the prefix, also when there is none */
    struct disk_extent *extents;
    uint32_t *slots; /* segment slots of the extents */
    struct buf_block **blocks;
    uint32_t *segments; /* slots of those that must stay for its content until it is attached */
    uint32_t segment_count, segment_cap;
    uint32_t count, cap; /* pieces of content; extents[i] belongs to pieces[i + 1] */
    uint32_t block_count, block_cap;
    struct buf_block *stage;
    uint32_t staged;
    uint32_t cut_count;
    struct spool_cut *cuts;
    bool stored;  /* all of it is on disk */
    bool rewrite; /* acknowledged (relaxed), but a part of it could not be written */
    struct bytes pieces_inline[BODY_INLINE + 1];
    struct disk_extent extents_inline[BODY_INLINE];
    uint32_t slots_inline[BODY_INLINE];
    struct buf_block *blocks_inline[BODY_INLINE];
    uint32_t segments_inline[BODY_INLINE];
};

/* ---- messages whose content lies in other segments than their MESSAGE record ------------------
 */

struct spool_part {
    struct list link; /* of segment->parts */
    struct spool_span *span;
    uint32_t slot, octets;
};
struct spool_span {
    struct spool_message *message;
    uint32_t count;
    struct spool_part parts[];
};

/* ---- batches ----------------------------------------------------------------------------------
 */

enum spool_batch_state {
    BATCH_GATHERING = 0,
    BATCH_READY,
    BATCH_WRITING,
    BATCH_WRITTEN,
    BATCH_FAILED,
};
struct spool_done {
    uint64_t id;
    uint64_t generations[2]; /* of the segments with MESSAGE records of it */
    uint32_t slots[2];       /* the second is one of a copy under way; UINT32_MAX: none */
};
struct spool_dones {
    struct spool_done *items;
    uint32_t count, cap;
};
struct spool_batch {
    struct list link; /* of spool->batches, by number */
    struct spool *spool;
    uint64_t number;
    struct spool_segment *segment;
    struct buf_block *block;
    uint32_t from;   /* in the block: of the BATCH record, or of the header */
    uint32_t end;    /* in the block: behind the last record */
    uint32_t offset; /* in the segment: of `from` */
    uint8_t state;
    bool is_header; /* the segment's header, nothing else */
    bool urgent;    /* somebody waits for it */
    bool full_disk;
    instant started;
    struct ring_file_op op;
    struct list bodies; /* whose MESSAGE record is in it */
    struct list states; /* messages whose newest OUTCOME is in it */
    struct list notes;
    struct list relocations; /* whose new MESSAGE record is in it */
    struct list voided;      /* drafts that failed before: told when this one is through */
    struct spool_dones dones;
    uint32_t void_holds;
    struct spool_live *lives;
    uint32_t live_count, live_cap;
};
struct spool_live { /* a LIVE record in a batch */
    uint32_t slot;
    uint64_t generation; /* of the segment's use it is about */
};

/* ---- copies under way -------------------------------------------------------------------------
 */

enum spool_relocation_state { RELOCATION_LOADING = 0, RELOCATION_COPYING, RELOCATION_COMMITTING };
struct spool_relocation {
    struct list link;       /* of spool->relocations */
    struct list batch_link; /* of the batch with the copy of the MESSAGE record */
    struct spool *spool;
    struct spool_message *message; /* NULL: done meanwhile */
    struct spool_load load;
    uint8_t state;
    bool failed;
    uint32_t piece;
    size_t piece_at;
    struct disk_extent *extents;
    uint32_t *slots;
    uint32_t count, cap;
    uint32_t slot, offset, record_size; /* of the copy */
    uint64_t generation;
};

struct spool_read {
    struct list link; /* of spool->reads or spool->reads_waiting */
    struct spool *spool;
    struct spool_message *message; /* NULL: done meanwhile */
    struct list waiters;
    struct ring_file_op op;
    struct spool_segment *segment; /* of the read in flight */
    struct buf_block *block;       /* what is being read */
    uint64_t memory;               /* octets that it will take */
    uint32_t charged;              /* octets of spool->pinned for it */
    uint32_t from;                 /* offset in the segment of the block */
    uint32_t len;
    bool head_done; /* the MESSAGE record was read */
    struct spool_body *body;
    struct disk_extent *extents;
    uint32_t count, next;
    uint32_t checked_slot, checked_offset; /* CONTENT record whose sum was found good last */
    struct buf_block *to;                  /* block of the body that is being filled */
    uint32_t to_at;
};

struct spool_note_entry {
    struct list link; /* dirty, of a batch, or of a segment */
    uint64_t hash;
    uint64_t forgotten; /* newest generation when it was forgotten */
    uint32_t slot;      /* of its newest record; UINT32_MAX: none */
    uint32_t size;      /* of that record */
    uint16_t key_len, value_len;
    bool written; /* that record is durable and has this value */
    char data[];
};

/* ---- the spool --------------------------------------------------------------------------------
 */

enum spool_room_kind { ROOM_NONE = 0, ROOM_NEW, ROOM_EXTEND, ROOM_STAGE, ROOM_SCRATCH };

struct spool {
    struct ring *ring;
    struct event_sink *events;
    struct metrics *metrics;
    struct spool_callbacks callbacks;
    void *context;
    struct spool_options options;
    uint32_t index;

    /* segments */
    struct list logs; /* our own first */
    struct spool_log *own;
    struct spool_segment **slots;
    uint32_t slot_count;
    uint32_t own_segments;
    uint32_t had_segments; /* at start, or when the limit was set */
    uint32_t abandoned;
    struct list free; /* in the order they became free */
    uint32_t free_count;
    struct spool_segment *current, *preparing;
    uint64_t generation; /* newest in use */
    uint64_t live_bytes;
    uint64_t tend_at;   /* batch whose completion may free a segment */
    bool tend;          /* a look at all segments may free some */
    bool compact_check; /* the same for compaction */
    bool reserved_only; /* the open segment was taken for states only */
    instant next_removal;
    uint32_t dead_pinned; /* dead segments that are kept for their tombstones */

    /* gathering */
    struct buf_pool blocks, read_blocks, stages;
    struct buf_block *block; /* NULL exactly when current is */
    uint32_t block_at;       /* where the next batch begins */
    uint32_t block_limit;    /* end of what records may use */
    uint32_t block_base;     /* offset in the segment of the block's first octet */
    struct spool_batch *gathering;
    struct list batches;
    uint32_t batch_count; /* in that list */
    struct pool batch_pool, body_pool;
    uint64_t sequence, batch_last, completed;
    uint64_t durable_held; /* what batches say is durable, while hold is set */
    uint32_t hold;         /* LIVE and DONE records that must be durable before more is said */
    uint32_t void_holds;   /* of these: DONE records about refused drafts, not in a batch yet */
    uint32_t in_flight, in_flight_max;
    bool header_in_flight;
    uint64_t commit_ns; /* smoothed time of a durable write */

    /* drafts */
    uint64_t next_id;
    struct list drafts;  /* open ones */
    struct list relaxed; /* answered at the next flush, before they are on disk */
    struct list voided;  /* failed: a DONE record for them comes first */
    struct list answers; /* to be told at the next flush: result is set */
    struct {
        struct spool_draft *draft;
        char *data;
        size_t len;
        uint8_t kind; /* enum spool_room_kind */
    } room;
    struct buf_block *scratch;
    struct { /* the CONTENT record at the end of the gathering batch, as long as it may grow */
        struct spool_body *body;
        struct spool_batch *batch;
        uint32_t at; /* in the block */
    } last;

    /* bodies */
    struct list resident; /* may be evicted, oldest first */
    uint64_t pinned;      /* octets of content that may not: messages with pins, reads under way */

    /* states */
    struct list dirty; /* messages */
    struct list dirty_notes;
    struct spool_dones dones;
    bool await_dones; /* some segment does */
    struct table notes;
    uint32_t forgotten_notes;
    uint32_t lives_wanted; /* segments with live_wanted that are not in a batch */
    bool states_due;
    bool unsettled; /* states of a failed batch are not written again yet */
    char *state_buffer;
    struct ring_timer state_timer;

    /* messages */
    uint64_t messages;
    struct table spans; /* by id */

    /* reading and copying */
    struct list reads, reads_waiting;
    uint32_t reads_in_flight;
    struct list *loads_ending; /* waiters that are being told */
    struct list relocations;
    uint32_t relocation_count;
    instant next_compact_check;
    instant rewrite_after;
    struct list rewrites; /* relaxed: acknowledged bodies whose write failed */
    struct spool_segment *victim;
    struct ring_timer work_timer;

    /* limits */
    instant space_checked;
    instant grow_after;       /* no new segment before */
    instant grow_state_after; /* nor for states: a crash forgets what waits for them */
    int64_t space;
    bool full, memory_full_told, failing;
    uint32_t committing;  /* drafts whose answer is still to come */
    uint32_t failures;    /* in a row */
    uint32_t states_lost; /* of messages let go at the end */
    struct ring_timer retry_timer;
    struct ring_file probe_file;
    struct ring_file_op probe_op;
    bool probing;
    int64_t memory_told; /* to the metrics */
    bool closing;        /* handles were released: nothing may be declared dead any more */
    uint32_t open_files; /* segments and probes whose file is not closed */
};

/* ---- gather.c ---------------------------------------------------------------------------------
 */

struct spool_place { /* of a record that is being built */
    struct spool_batch *batch;
    struct record_head *head;
    char *payload;
    uint32_t offset; /* in the segment, of the head */
};
/* Room for a record of exactly that payload; false: no segment can be had. */
MUST_USE bool spool_reserve(struct spool *spool, enum record_type type, uint32_t payload,
                            enum spool_purpose purpose, struct spool_place *place);
/* Room for a CONTENT record of any payload from min on: the most there is, at place->payload. */
MUST_USE bool spool_reserve_content(struct spool *spool, uint32_t min, enum spool_purpose purpose,
                                    struct spool_place *place, uint32_t *room);
/* Ends the record: the payload is complete. */
void spool_close_record(struct spool *spool, struct spool_place *place, uint32_t payload);
void spool_batch_seal(struct spool *spool); /* the gathering one */
/* A message record fits into an empty segment? */
bool spool_record_fits(const struct spool *spool, uint64_t payload);
void spool_block_drop(struct spool *spool);
void spool_batch_free(struct spool_batch *batch);
void spool_seal_log(struct spool *spool); /* at the end */

/* ---- commit.c ---------------------------------------------------------------------------------
 */

void spool_commit_pump(struct spool *spool);
bool spool_commit_wanted(const struct spool *spool);
void spool_commit_settle(struct spool *spool);
void spool_answer_later(struct spool *spool, struct spool_draft *draft, enum spool_result result);
void spool_answer(struct spool *spool); /* calls back those of spool->answers */
void spool_answer_relaxed(struct spool *spool);

/* ---- failure.c --------------------------------------------------------------------------------
 */

void spool_write_failed(struct spool *spool, struct spool_batch *batch, int error);
void spool_batch_fail(struct spool *spool, struct spool_batch *batch);
/* The draft is answered when a DONE record for what may be on disk of it was written. */
void spool_draft_void(struct spool *spool, struct spool_draft *draft);
void spool_failure_count(struct spool *spool, const char *what, int error);
void spool_failures_end(struct spool *spool);
void spool_retry_fired(struct ring_timer *timer);

/* ---- state.c ----------------------------------------------------------------------------------
 */

void spool_states_append(struct spool *spool);
bool spool_states_pending(const struct spool *spool);
void spool_states_later(struct spool *spool); /* within the delay */
/* Appends the message's state now; false: no room on disk. */
bool spool_state_append(struct spool *spool, struct spool_message *message);
void spool_done_add(struct spool_dones *dones, const struct spool_done *done);
void spool_state_forget(struct spool *spool, struct spool_message *message); /* accounting */
void spool_want_live(struct spool *spool, struct spool_segment *segment);
/* From recovery: an entry as it was found. */
struct spool_note_entry *spool_note_find(const struct spool *spool, struct bytes key);
struct spool_note_entry *spool_note_add(struct spool *spool, struct bytes key, struct bytes value);
void spool_note_place(struct spool *spool, struct spool_note_entry *note, uint32_t slot,
                      uint32_t size);
bool spool_notes_append(struct spool *spool);
void spool_notes_tend(struct spool *spool);
void spool_notes_free(struct spool *spool);

/* ---- segment.c, prepare.c -----------------------------------------------------------------------
 */

struct spool_segment *spool_segment_add(struct spool *spool, struct spool_log *log,
                                        uint32_t number);
void spool_segment_become(struct spool_segment *segment, enum spool_segment_state state);
void spool_segment_path(const struct spool_segment *segment, char *path, size_t size);
struct spool_segment *spool_segment_take(struct spool *spool, enum spool_purpose purpose);
void spool_segment_opened(struct spool *spool, struct spool_segment *segment);
void spool_segment_live(struct spool *spool, struct spool_segment *segment, int64_t change);
/* Segments older than `than` (NULL: all) need not be kept for those records any more. */
void spool_segments_clear_bit(struct spool *spool, uint32_t bit, const struct spool_segment *than);
void spool_segments_tend(struct spool *spool);
struct spool_segment *spool_segment_create(struct spool *spool, char *why, size_t why_size);
int spool_segment_prewrite(struct spool_segment *segment); /* blocks */
void spool_segment_prepare(struct spool *spool);           /* one in the background */
void spool_segment_unlink(struct spool_segment *segment);  /* gone for good only after ... */
void spool_segments_forget_unlinked(struct spool *spool);  /* ... this succeeded with each */
/* The struct; its file is closed by the ring. orphan: the spool goes at once, too. */
void spool_segment_dispose(struct spool_segment *segment, bool orphan);
static inline struct spool_segment *spool_slot(const struct spool *spool, uint32_t slot)
{
    return slot < spool->slot_count ? spool->slots[slot] : NULL;
}

/* ---- body.c ------------------------------------------------------------------------------------
 */

struct spool_body *spool_body_new(struct spool *spool);
void spool_body_free(struct spool *spool, struct spool_body *body);
void spool_body_pin_block(struct spool_body *body, struct buf_block *block);
void spool_body_add(struct spool_body *body, struct bytes piece, const struct disk_extent *extent,
                    uint32_t slot);
void spool_body_keep_segment(struct spool_body *body, struct spool_segment *segment);
/* Its content counts as alive now, or is garbage. */
void spool_body_let_segments_go(struct spool *spool, struct spool_body *body);
void spool_body_drop_content(struct spool *spool, struct spool_body *body);
void spool_body_apply_cuts(struct spool_body *body);
void spool_body_settle(struct spool *spool, struct spool_body *body); /* evictable? */
/* The only writers of ->pins: they keep spool->pinned. */
void spool_message_pin(struct spool *spool, struct spool_message *message, uint32_t count);
void spool_message_unpin_all(struct spool *spool, struct spool_message *message);
/* Frees memory until `more` octets fit into the limit; false: not possible. */
bool spool_body_evict(struct spool *spool, uint64_t more);
uint64_t spool_memory(const struct spool *spool);

/* ---- message.c ---------------------------------------------------------------------------------
 */

enum spool_message_flag {
    MESSAGE_ATTACHED = 1 << 0,
    MESSAGE_DIRTY = 1 << 1,
    MESSAGE_RELOCATING = 1 << 2,
    MESSAGE_READING = 1 << 3,
    MESSAGE_SPANNING = 1 << 4,
    MESSAGE_DAMAGED = 1 << 5,
    MESSAGE_UNSTORED = 1 << 6, /* relaxed: acknowledged, not on disk yet */
    MESSAGE_STATEFUL = 1 << 7, /* its state was described once */
};
/* From now on its records count as alive. */
void spool_message_attach(struct spool *spool, struct spool_message *message,
                          const struct disk_extent *extents, const uint32_t *slots, uint32_t count);
/* Out of the lists and (if so said) the accounts of its segments: a copy replaces it. */
void spool_message_unplace(struct spool *spool, struct spool_message *message, bool account);
struct spool_span *spool_span_find(const struct spool *spool, uint64_t id);

/* ---- load.c, compact.c -------------------------------------------------------------------------
 */

void spool_reads_start(struct spool *spool);
void spool_loads_tell(struct spool *spool); /* those that waited for others to unpin theirs */
void spool_read_forget(struct spool *spool, struct spool_message *message);
void spool_compact(struct spool *spool);
void spool_relocation_done(struct spool *spool, struct spool_relocation *relocation, bool ok);
/* The message goes away; a copy of its MESSAGE record may be under way: where (slot, generation,
 * both untouched if not). */
void spool_relocation_forget(struct spool *spool, struct spool_message *message, uint32_t *slot,
                             uint64_t *generation);

/* ---- space.c -----------------------------------------------------------------------------------
 */

void spool_space_check(struct spool *spool, bool now);
/* Segments that may be made. */
uint64_t spool_space_segments(const struct spool *spool, enum spool_purpose purpose);
/* A segment may be taken for that. */
bool spool_space_allows(const struct spool *spool, enum spool_purpose purpose);
void spool_disk_full(struct spool *spool); /* a write or allocation said ENOSPC */
/* Why there is no place for a draft: where the disk has failed, and no segment could be made ready
 * since, the client is not to hear of lacking space. */
enum spool_result spool_lack_of_room(const struct spool *spool);

/* ---- recover*.c --------------------------------------------------------------------------------
 */

void spool_folder_remove(struct spool *spool, const char *path); /* with the files in it */
bool spool_recover(struct spool *spool, uint32_t workers, char *why, size_t why_size);
