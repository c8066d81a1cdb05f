/* SPDX-License-Identifier: Apache-2.0
 *
 * format - the layout of segments and records on disk
 *
 *   segment   | header | batch | batch | ... | never written, or of an earlier use |
 *               4096     each begins at a multiple of 4096 and is padded to one
 *   batch     | BATCH record | records ... | padding |     each batch is one write, so is the
 * header record    | struct record_head (40) | payload | 0..7 octets of padding |
 *
 * The payload has a checksum of its own in the head, and the head one over itself: a record of
 * which only the end grows (content that still arrives) is never summed twice. Magic and seed of
 * the heads come from the log's random id, so that mail which contains something like a record is
 * never taken for one where a damaged log is searched for the next good record. The generation of
 * the segment is in every head: what an earlier use left behind never looks new.
 *
 * Numbers are in the machine's byte order; the header says which.
 */
#pragma once
#include "ringpost/base.h"

enum {
    FORMAT_PAGE = 4096,              /* of alignment of batches: the unit of direct writes */
    FORMAT_HEADER_COPY = 2048,       /* the header is there twice, in different sectors */
    FORMAT_CONTENT_MAX = 256 * 1024, /* payload of a CONTENT record */
    FORMAT_VERSION = 1,
    FORMAT_BYTE_ORDER = 0x01020304,
};

struct disk_header {
    char magic[8];
    uint32_t crc; /* of what follows */
    uint32_t version;
    uint32_t byte_order;
    uint32_t number; /* of the segment: its file name */
    uint64_t log_id;
    uint64_t generation;
    uint64_t size;    /* of the file */
    uint64_t batch;   /* number of its first batch */
    uint64_t next_id; /* queue ids below may be in use */
};
static_assert(sizeof(struct disk_header) == 64, "layout on disk");

enum record_type {
    RECORD_BATCH = 1, /* struct disk_batch: begins each batch */
    RECORD_CONTENT,   /* a piece of some draft's content; found through the table of extents */
    RECORD_MESSAGE,   /* struct disk_message, extents, envelope, prefix, state */
    RECORD_OUTCOME,   /* id, state: replaces what was said before of that message */
    RECORD_DONE,      /* ids: all MESSAGE records with them, older than this one, are dead */
    RECORD_LIVE,      /* struct disk_live, offsets: all other MESSAGE records there are dead */
    RECORD_NOTE,      /* struct disk_note, key, value; an empty value: forgotten */
    RECORD_SEAL,      /* the last record of a segment; no payload */
};
struct record_head {
    uint32_t magic;
    uint32_t head_crc;    /* of what follows up to the payload */
    uint32_t payload_crc; /* of the payload, seed 0 */
    uint32_t length;      /* of the payload, without padding */
    uint64_t sequence;
    uint64_t generation;
    uint8_t type; /* enum record_type */
    uint8_t zero[7];
};
static_assert(sizeof(struct record_head) == 40, "layout on disk");

struct disk_batch {
    uint64_t number;
    uint64_t durable; /* batches up to this one were durable when this one was written */
    uint32_t used;    /* octets of records, this one included */
    uint32_t size;    /* with padding */
};
struct disk_extent { /* a part of the payload of one CONTENT record */
    uint64_t generation;
    uint32_t segment; /* its number */
    uint32_t offset;  /* of the record */
    uint32_t length;  /* of the record's payload */
    uint32_t from;    /* the part */
    uint32_t len;
    uint32_t zero;
};
struct disk_message {
    uint64_t id;
    int64_t created_ms;
    uint32_t extent_count;
    uint32_t envelope_len;
    uint32_t prefix_len;
    uint32_t content_len; /* of prefix and all extents */
    uint32_t state_len; /* of a copy: its state when it was made; older OUTCOME records are void */
    uint8_t content_flags;
    uint8_t zero[3];
};
struct disk_live {
    uint64_t log_id;
    uint64_t generation;
    uint32_t segment;
    uint32_t count; /* of uint32_t offsets, ascending, of MESSAGE records */
};
struct disk_note {
    uint16_t key_len;
    uint16_t value_len;
    uint32_t zero;
};

/* What tells the records of one log from anything else. */
struct record_key {
    uint64_t log_id;
    uint32_t magic, seed;
};
struct record_key record_key_of(uint64_t log_id);

static inline uint32_t record_pad(uint32_t length)
{
    return (length + 7) & ~7u;
}
/* Octets of the log that a record takes. */
static inline uint32_t record_size(uint32_t payload)
{
    return (uint32_t)sizeof(struct record_head) + record_pad(payload);
}
static inline uint32_t page_up(uint32_t offset)
{
    return (offset + FORMAT_PAGE - 1) & ~(uint32_t)(FORMAT_PAGE - 1);
}
static inline uint32_t page_down(uint32_t offset)
{
    return offset & ~(uint32_t)(FORMAT_PAGE - 1);
}

/* Sums the head, whose other fields are set. */
void record_close(const struct record_key *key, struct record_head *head);
/* A good head of that generation whose payload lies within room octets? Fills *head. The payload
 * is not looked at. */
MUST_USE bool record_head_read(const struct record_key *key, uint64_t generation, const char *at,
                               size_t room, struct record_head *head);
MUST_USE bool record_payload_is_ok(const struct record_head *head, const char *at);

void header_write(char *page, const struct disk_header *header); /* sums it; the whole page */
/* Either copy; false when neither is good. Version and byte order are the caller's to judge. */
MUST_USE bool header_read(const char *page, struct disk_header *header);

struct message_parts {
    struct disk_message fixed;
    const char *extents; /* fixed.extent_count times struct disk_extent */
    struct bytes envelope, prefix, state;
};
static inline uint64_t message_payload_len(const struct disk_message *fixed)
{
    return sizeof(*fixed) + (uint64_t)fixed->extent_count * sizeof(struct disk_extent) +
           fixed->envelope_len + fixed->prefix_len + fixed->state_len;
}
/* Writes the payload; extents may be NULL when there are none. Returns where the envelope is. */
char *message_write(char *payload, const struct disk_message *fixed,
                    const struct disk_extent *extents, struct bytes envelope, struct bytes prefix,
                    struct bytes state);
/* False: lengths that contradict each other. */
MUST_USE bool message_parse(struct bytes payload, struct message_parts *parts);
static inline struct disk_extent message_extent(const struct message_parts *parts, uint32_t index)
{
    struct disk_extent extent;
    memcpy(&extent, parts->extents + (size_t)index * sizeof(extent), sizeof(extent));
    return extent;
}
