/* SPDX-License-Identifier: Apache-2.0
 *
 * prepare - making and removing segment files
 *
 * A sync is cheap only where blocks have been written before (LIMITS.md): new segments are filled
 * with zeros in the background, one ahead. If there is no time for that, one is used as it is.
 */
#include "internal.h"
#include <errno.h>
#include <stdio.h>

_Alignas(FORMAT_PAGE) char spool_zeros[SPOOL_ZEROS_SIZE]; /* never written to */

struct spool_segment *spool_segment_create(struct spool *spool, char *why, size_t why_size)
{
    struct spool_segment *segment =
        spool_segment_add(spool, spool->own, spool->own->number_last + 1);
    char path[SPOOL_PATH_MAX + 64];
    spool_segment_path(segment, path, sizeof(path));
    segment->size = spool->options.segment_size;
    int result =
        ring_file_open(&segment->file, spool->ring, path, RING_FILE_CREATE | RING_FILE_DIRECT);
    if (result == 0) {
        spool->open_files += 1;
        result = ring_path_sync_folder(spool->ring, spool->own->path);
    }
    if (result == 0) return segment;
    snprintf(why, why_size, "%s: %s", path, strerror(-result));
    if (result == -ENOSPC || result == -EDQUOT) {
        spool_disk_full(spool);
    } else {
        spool_failure_count(spool, "creation of a segment", result);
    }
    spool_segment_become(segment, SEGMENT_REMOVED);
    ring_path_remove(spool->ring, path);
    spool_segment_dispose(segment, false);
    return NULL;
}

int spool_segment_prewrite(struct spool_segment *segment)
{
    for (uint64_t at = 0; at < segment->size; at += SPOOL_ZEROS_SIZE) {
        const size_t len = MIN(segment->size - at, (uint64_t)SPOOL_ZEROS_SIZE);
        const bool last = at + len == segment->size; /* it makes the file's length durable too */
        const int64_t result = ring_file_write_now(&segment->file, spool_zeros, len, at, last);
        if (result < 0) return (int)result;
    }
    segment->zeroed = segment->size;
    return 0;
}

/* ---- in the background -------------------------------------------------------------------------
 */

static void prepare_failed(struct spool_segment *segment, int error)
{
    struct spool *spool = segment->spool;
    if (error == -ENOSPC || error == -EDQUOT) {
        spool_disk_full(spool);
    } else {
        event_log(spool->events, EVENT_ERROR, "spool", "%s/%010u.seg: preparing it failed: %s",
                  segment->log->path, segment->number, strerror(-error));
        metrics_add(spool->metrics, METRICS_SPOOL_ERRORS, 1);
    }
    spool->preparing = NULL;
    spool->grow_after = ring_now(spool->ring) + DURATION_S(1);
    spool_segment_unlink(segment);
    spool->tend = true;
}

static void prepared(struct spool_segment *segment)
{
    struct spool *spool = segment->spool;
    const int result = ring_path_sync_folder(spool->ring, segment->log->path);
    if (result < 0) {
        prepare_failed(segment, result);
        return;
    }
    spool->preparing = NULL;
    spool_segment_become(segment, SEGMENT_FREE);
    list_push_back(&spool->free, &segment->link);
    spool->free_count += 1;
}

static void prepare_step(struct ring_file_op *op, int64_t result)
{
    struct spool_segment *segment = CONTAINER_OF(op, struct spool_segment, prepare);
    segment->ops -= 1;
    segment->zeroing = false;
    if (segment->state != SEGMENT_PREPARING) return; /* taken as it is; commits may go on */
    if (segment->spool->closing) return;
    if (result < 0 && !(segment->zeroed == 0 && result == -EOPNOTSUPP)) {
        prepare_failed(segment, (int)result);
        return;
    }
    if (segment->zeroed > segment->size) { /* was the sync */
        prepared(segment);
        return;
    }
    segment->zeroed += (uint64_t)MAX(result, 0); /* of the allocation: 0 */
    segment->ops += 1;
    segment->zeroing = true;
    if (segment->zeroed < segment->size) {
        const size_t len = MIN(segment->size - segment->zeroed, (uint64_t)SPOOL_ZEROS_SIZE);
        ring_file_write(&segment->file, op, spool_zeros, len, segment->zeroed, false);
    } else {
        segment->zeroed = segment->size + 1;
        ring_file_sync(&segment->file, op);
    }
}

void spool_segment_prepare(struct spool *spool)
{
    char why[128];
    if (spool->preparing != NULL || spool->failing || spool->closing) return;
    spool_space_check(spool, true);
    if (spool_space_segments(spool, SPOOL_FOR_MAIL) == 0) return;
    struct spool_segment *segment = spool_segment_create(spool, why, sizeof(why));
    if (segment == NULL) return;
    spool->preparing = segment;
    segment->prepare.on_done = prepare_step;
    segment->ops += 1;
    segment->zeroing = true;
    ring_file_allocate(&segment->file, &segment->prepare, 0, segment->size);
}

/* ---- removing ----------------------------------------------------------------------------------
 */

void spool_segment_unlink(struct spool_segment *segment)
{
    char path[SPOOL_PATH_MAX + 64];
    struct spool *spool = segment->spool;
    spool_segment_path(segment, path, sizeof(path));
    const int result = ring_path_remove(spool->ring, path);
    if (result < 0 && result != -ENOENT) return; /* it stays what it is; tried again */
    if (segment->state == SEGMENT_FREE) {
        list_remove(&segment->link);
        spool->free_count -= 1;
    }
    spool_segment_become(segment, SEGMENT_REMOVED);
}

void spool_segments_forget_unlinked(struct spool *spool)
{
    if (ring_path_sync_folder(spool->ring, spool->own->path) < 0) {
        spool->tend = true;
        return;
    }
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment == NULL || segment->state != SEGMENT_REMOVED || segment->ops > 0) continue;
        spool_segments_clear_bit(spool, spool_bit(segment), NULL);
        spool_segments_clear_bit(spool, spool_bit_former(segment), NULL);
        spool_segment_dispose(segment, false);
    }
}
