/* SPDX-License-Identifier: Apache-2.0
 *
 * recover_scan - the records of one segment
 *
 * Records follow each other within a batch, batches at pages. Where a record is not good, the next
 * good head is searched for at every multiple of 8: magic and seed are secrets of the log, so no
 * content can pose as a record. Each octet is looked at once for heads and summed at most once.
 */
#include "recover.h"
#include <stdlib.h>

enum { READ_CHUNK = 4 << 20, READ_RETRY = 64 * 1024 };

/* ---- reading ------------------------------------------------------------------------------------
 */

static void read_chunk(struct scan *scan, struct spool_segment *segment, size_t at, size_t len)
{
    const int64_t got = ring_file_read_now(&segment->file, scan->data + at, len, at);
    if (got == (int64_t)len) return;
    if (got >= 0 || len <= READ_RETRY) { /* the end of the file, or what cannot be read */
        const size_t good = got < 0 ? 0 : (size_t)got;
        memset(scan->data + at + good, 0, len - good);
        if (got < 0) metrics_add(segment->spool->metrics, METRICS_SPOOL_ERRORS, 1);
        return;
    }
    for (size_t done = 0; done < len; done += READ_RETRY)
        read_chunk(scan, segment, at + done, MIN(len - done, (size_t)READ_RETRY));
}

void scan_load(struct scan *scan, struct spool_segment *segment)
{
    const int64_t file = ring_file_size(&segment->file);
    const uint64_t size = MIN((uint64_t)MAX(file, 0), segment->size) & ~(uint64_t)(FORMAT_PAGE - 1);
    if (scan->cap < size) {
        free(scan->data);
        scan->cap = size;
        scan->data = aligned_alloc(FORMAT_PAGE, scan->cap);
        ASSERT(scan->data != NULL);
    }
    scan->len = size;
    for (size_t at = 0; at < size; at += READ_CHUNK)
        read_chunk(scan, segment, at, MIN(size - at, (size_t)READ_CHUNK));
}

/* ---- records ------------------------------------------------------------------------------------
 */

static void add_record(struct scan *scan, uint32_t offset, uint8_t type, uint64_t batch)
{
    if (scan->count == scan->record_cap) {
        scan->record_cap = MAX(1024, scan->record_cap * 2);
        scan->records =
            base_realloc(scan->records, (size_t)scan->record_cap * sizeof(*scan->records));
    }
    scan->records[scan->count++] = (struct scan_record){offset, type, batch};
}

static void add_bad(struct scan_result *result, uint32_t from, uint32_t to, uint64_t batch)
{
    if (from >= to) return;
    if (result->bad_count > 0) {
        struct scan_range *last = &result->bad[result->bad_count - 1];
        if (last->to == from) {
            last->to = to;
            return;
        }
    }
    if (result->bad_count == result->bad_cap) {
        result->bad_cap = MAX(4, result->bad_cap * 2);
        result->bad = base_realloc(result->bad, result->bad_cap * sizeof(*result->bad));
    }
    result->bad[result->bad_count++] = (struct scan_range){from, to, batch, false};
}

/* The next good head at or behind `at`; len if there is none. */
static size_t next_head(const struct scan *scan, const struct spool_segment *segment, size_t at)
{
    const struct record_key *key = &segment->log->key;
    struct record_head head;
    for (; at + sizeof(head) <= scan->len; at += 8) {
        uint32_t magic;
        memcpy(&magic, scan->data + at, sizeof(magic));
        if (LIKELY(magic != key->magic)) continue;
        if (record_head_read(key, segment->generation, scan->data + at, scan->len - at, &head)) {
            return at;
        }
    }
    return scan->len;
}

struct walk {
    size_t at;
    size_t used_end; /* of the records of the batch we are in; 0: not known */
    size_t batch_end;
    uint64_t batch;  /* the last one whose BATCH record was seen */
    uint64_t within; /* that of the records that follow: a later one, when its BATCH is lost */
};

static void take_batch(struct scan *scan, struct spool_segment *segment, struct walk *walk,
                       const struct record_head *head)
{
    struct disk_batch batch;
    if (head->length != sizeof(batch) || walk->at % FORMAT_PAGE != 0) return;
    memcpy(&batch, scan->data + walk->at + sizeof(*head), sizeof(batch));
    walk->batch = walk->within = batch.number;
    scan->batch_max = MAX(scan->batch_max, batch.number);
    segment->log->durable = MAX(segment->log->durable, batch.durable);
    walk->used_end = 0;
    const bool sane = batch.used <= batch.size && batch.size <= scan->len - walk->at &&
                      batch.size % FORMAT_PAGE == 0 && batch.used % 8 == 0 &&
                      batch.used >= BATCH_HEAD;
    if (!sane) return;
    walk->used_end = walk->at + batch.used;
    walk->batch_end = walk->at + batch.size;
}

void scan_records(struct scan *scan, struct spool_segment *segment, struct scan_result *result)
{
    struct walk walk = {.at = FORMAT_PAGE, .batch = scan->first_batch, .within = scan->first_batch};
    struct record_head head;
    scan->count = 0;
    while (walk.at < scan->len && !result->sealed) {
        if (walk.at == walk.used_end) {
            walk.at = walk.batch_end;
            walk.used_end = 0;
            continue;
        }
        const char *at = scan->data + walk.at;
        if (!record_head_read(&segment->log->key, segment->generation, at, scan->len - walk.at,
                              &head)) {
            if (walk.used_end <= walk.at) walk.within = walk.batch + 1;
            size_t next = next_head(scan, segment, walk.at + 8);
            /* The padding of a batch is nothing that was lost. */
            if (walk.used_end > walk.at && walk.used_end < next) next = walk.used_end;
            add_bad(result, (uint32_t)walk.at, (uint32_t)next, walk.batch);
            if (next == scan->len) result->bad[result->bad_count - 1].tail = true;
            walk.at = next;
            continue;
        }
        const uint32_t size = record_size(head.length);
        scan->sequence_max = MAX(scan->sequence_max, head.sequence);
        if (!record_payload_is_ok(&head, at)) {
            if (head.type == RECORD_BATCH) walk.within = walk.batch + 1;
            add_bad(result, (uint32_t)walk.at, (uint32_t)walk.at + size, walk.batch);
        } else if (head.type == RECORD_BATCH) {
            take_batch(scan, segment, &walk, &head);
        } else if (head.type != RECORD_CONTENT) {
            add_record(scan, (uint32_t)walk.at, head.type, walk.within);
            result->sealed = head.type == RECORD_SEAL;
        }
        walk.at += size;
    }
}

uint64_t scan_generation(const struct scan *scan, const struct record_key *key)
{
    uint64_t newest = 0;
    for (size_t at = FORMAT_PAGE; at + sizeof(struct record_head) <= scan->len; at += 8) {
        struct record_head head;
        memcpy(&head, scan->data + at, sizeof(head));
        if (LIKELY(head.magic != key->magic)) continue;
        if (!record_head_read(key, head.generation, scan->data + at, scan->len - at, &head)) {
            continue;
        }
        newest = MAX(newest, head.generation);
    }
    return newest;
}

bool scan_is_good(const struct scan_result *result, uint32_t from, uint32_t to)
{
    uint32_t low = 0, high = result->bad_count; /* the first range that ends behind from */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (result->bad[middle].to > from) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low == result->bad_count || result->bad[low].from >= to;
}
