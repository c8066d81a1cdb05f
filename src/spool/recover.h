/* SPDX-License-Identifier: Apache-2.0
 *
 * recover - what the files of recovery share
 *
 * Segments are read newest first, each once and whole, and the records of each are applied last
 * one first: whatever could make a MESSAGE record dead (DONE, LIVE, a newer copy) or belongs to it
 * (the newest OUTCOME) has been seen before it is met. So a record is decided when it is met, out
 * of the buffer it was read into. Only messages whose content lies elsewhere, or is damaged, wait
 * for the end.
 */
#pragma once
#include "internal.h"

/* ---- recover_index.c ----------------------------------------------------------------------------
 */

struct arena {
    struct arena_block *blocks;
    size_t used, cap;
};
char *arena_copy(struct arena *arena, struct bytes bytes);
void arena_free(struct arena *arena);

enum id_kind { ID_NONE = 0, ID_STATE, ID_PENDING, ID_ACCEPTED, ID_DONE };
struct id_entry {
    uint64_t id;
    const char *state; /* in the arena */
    uint32_t state_len;
    uint32_t state_slot, state_size; /* size 0: no state seen */
    uint32_t slot;                   /* of the accepted record, or of the tombstone */
    uint8_t kind;                    /* enum id_kind; ID_NONE: an empty place of the index */
};
struct id_index {
    struct id_entry *entries;
    uint32_t count, cap;
};
struct id_entry *id_find(const struct id_index *index, uint64_t id);
/* The entry, made (as ID_STATE) if there was none. Pointers to others are invalid afterwards. */
struct id_entry *id_get(struct id_index *index, uint64_t id);

/* ---- recover_scan.c -----------------------------------------------------------------------------
 */

struct scan_range {
    uint32_t from, to;
    uint64_t after_batch; /* the last batch that was seen before it */
    bool tail;            /* nothing good follows in the segment */
};
struct scan_record {
    uint32_t offset;
    uint8_t type;
    uint64_t batch;
};
struct scan_result { /* of one segment */
    struct scan_range *bad;
    uint32_t bad_count, bad_cap;
    bool sealed;
};
struct scan { /* reused from segment to segment */
    char *data;
    size_t len, cap;
    struct scan_record *records; /* without BATCH and CONTENT, in their order */
    uint32_t count, record_cap;
    uint64_t first_batch; /* last batch before the segment */
    uint64_t sequence_max, batch_max;
};
/* Reads the segment's file whole; unreadable parts count as zeros. */
void scan_load(struct scan *scan, struct spool_segment *segment);
/* Finds its records. */
void scan_records(struct scan *scan, struct spool_segment *segment, struct scan_result *result);
/* For a segment without a readable header: the newest generation of a record in it; 0: none. */
uint64_t scan_generation(const struct scan *scan, const struct record_key *key);
bool scan_is_good(const struct scan_result *result, uint32_t from, uint32_t to);

/* ---- recover.c ----------------------------------------------------------------------------------
 */

struct live_list {
    uint64_t log_id, generation;
    uint32_t segment; /* its number */
    uint32_t keeper;  /* slot of the segment with the LIVE record */
    uint32_t count, found;
    bool scanned;
    uint32_t *offsets;
};
struct candidate { /* a MESSAGE record that is decided at the end */
    uint64_t id, batch;
    uint32_t slot, offset, size;
    const char *payload; /* in the arena */
    uint32_t payload_len;
    struct id_entry state; /* what was known of its state when it was met */
    bool taken;
};
struct recovery {
    struct spool *spool;
    struct id_index ids;
    struct arena arena;
    struct scan scan;
    struct scan_result *results; /* by slot */
    uint32_t result_count;
    struct live_list *lives;
    uint32_t live; /* of the segment being read; UINT32_MAX: none */
    uint32_t live_count, live_cap;
    struct candidate *candidates;
    uint32_t candidate_count, candidate_cap;
    struct disk_extent *extents; /* of the message being decided */
    uint32_t *extent_slots;
    uint32_t extent_cap;
    uint32_t damaged, damage_lines;
    uint64_t octets;
    uint64_t id_max; /* of our own worker */
};
struct live_list *recover_live_find(const struct recovery *recovery,
                                    const struct spool_segment *segment);
static inline struct live_list *recover_live_now(const struct recovery *recovery)
{
    return recovery->live == UINT32_MAX ? NULL : &recovery->lives[recovery->live];
}
void recover_live_add(struct recovery *recovery, const struct live_list *list);

/* ---- recover_message.c --------------------------------------------------------------------------
 */

void recover_message(struct recovery *recovery, struct spool_segment *segment,
                     const struct scan_record *record);
void recover_candidates(struct recovery *recovery); /* at the end */

/* ---- recover_folder.c ---------------------------------------------------------------------------
 */

/* Takes over folders of workers that are no more, and opens all segments of all our logs. */
bool recover_open(struct recovery *recovery, uint32_t workers, char *why, size_t why_size);
