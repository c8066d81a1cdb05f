/* SPDX-License-Identifier: Apache-2.0
 *
 * space - limits of disk and memory: when new mail is refused, and when it is accepted again
 *
 * Only mail is refused. States, tombstones and notices may use the reserve and segments kept for
 * them, so that a full disk drains.
 */
#include "internal.h"

static bool may_use_reserve(enum spool_purpose purpose)
{
    return purpose == SPOOL_FOR_STATE || purpose == SPOOL_FOR_NOTICE;
}

static uint64_t segments_max(const struct spool *spool, enum spool_purpose purpose)
{
    const uint64_t size = spool->options.segment_size;
    if (spool->options.disk_max == 0) return UINT64_MAX;
    /* Fewer than five cannot turn: one open, two kept, one being emptied into another. */
    const uint64_t count = MAX(spool->options.disk_max / size, (uint64_t)5);
    if (!may_use_reserve(purpose)) return count;
    /* Every start and every failed write needs a fresh segment: several of them on a full disk must
     * not end in a standstill. Nor must a limit that is set below what there is. */
    return MAX(count, (uint64_t)spool->had_segments) + spool->abandoned + 2;
}

uint64_t spool_space_segments(const struct spool *spool, enum spool_purpose purpose)
{
    const uint64_t reserve = may_use_reserve(purpose) ? 0 : spool->options.reserve;
    const uint64_t max = segments_max(spool, purpose);
    const instant after = may_use_reserve(purpose) ? spool->grow_state_after : spool->grow_after;
    if (ring_now(spool->ring) < after || spool->own_segments >= max) return 0;
    if (spool->space < 0 || (uint64_t)spool->space <= reserve) return 0;
    const uint64_t space = ((uint64_t)spool->space - reserve) / spool->options.segment_size;
    return MIN(space, max - spool->own_segments);
}

bool spool_space_allows(const struct spool *spool, enum spool_purpose purpose)
{
    const uint64_t have = spool->free_count + (spool->preparing != NULL);
    switch (purpose) {
    case SPOOL_FOR_MAIL:
        return have + spool_space_segments(spool, SPOOL_FOR_MAIL) > 2;
    case SPOOL_FOR_COPY:
        return have + spool_space_segments(spool, SPOOL_FOR_COPY) > 1;
    case SPOOL_FOR_NOTICE:
        return have + spool_space_segments(spool, SPOOL_FOR_NOTICE) > 1;
    case SPOOL_FOR_STATE:
        return have + spool_space_segments(spool, SPOOL_FOR_STATE) > 0;
    }
    UNREACHABLE("spool: purpose");
}

static void become_full(struct spool *spool, const char *why)
{
    if (spool->full) return;
    spool->full = true;
    spool->tend = spool->compact_check = true;
    event_log(spool->events, EVENT_WARNING, "spool",
              "%s: %s: new mail is refused (452), deliveries go on", spool->own->path, why);
}

void spool_disk_full(struct spool *spool)
{
    spool->grow_after = ring_now(spool->ring) + DURATION_S(5);
    spool->grow_state_after = ring_now(spool->ring) + DURATION_MS(500);
    spool->space_checked = 0;
    become_full(spool, "no space left on the disk");
}

void spool_space_check(struct spool *spool, bool at_once)
{
    const instant now = ring_now(spool->ring);
    const uint64_t reserve = spool->options.reserve;
    const duration age = at_once ? DURATION_MS(50) : DURATION_S(1);
    if (spool->space_checked != 0 && now - spool->space_checked < age) return;
    spool->space_checked = MAX(now, 1);
    const int64_t space = ring_path_free_space(spool->ring, spool->own->path);
    spool->space = space < 0 ? INT64_MAX : space; /* unknown: a failed write will tell */

    const bool open = spool->current != NULL && !spool->reserved_only &&
                      spool->current->tail < spool->current->size / 4 * 3;
    if (!spool->full) {
        if ((uint64_t)spool->space < reserve) {
            become_full(spool, "less space left on the disk than is to be kept free");
        } else if (!open && !spool_space_allows(spool, SPOOL_FOR_MAIL)) {
            become_full(spool, "the space for the queue is used up");
        }
    } else if ((uint64_t)spool->space >= reserve + reserve / 8 &&
               spool_space_allows(spool, SPOOL_FOR_MAIL)) {
        spool->full = false;
        event_log(spool->events, EVENT_WARNING, "spool", "%s: space again: mail is accepted",
                  spool->own->path);
    }
}

/* Octets of mail for which segments exist or may be made. */
static uint64_t disk_room(const struct spool *spool)
{
    const uint64_t size = spool->options.segment_size;
    const uint64_t have = spool->free_count + (spool->preparing != NULL);
    const uint64_t segments = have + spool_space_segments(spool, SPOOL_FOR_MAIL);
    uint64_t room =
        segments > 2 ? MIN(segments - 2, (uint64_t)1 << 20) * (size - 4 * FORMAT_PAGE) : 0;
    if (spool->current != NULL) room += spool->current->size - spool->current->tail;
    return room;
}

enum spool_result spool_lack_of_room(const struct spool *spool)
{
    const bool broken = spool->failures > 0 && !spool->full;
    return spool->failing || broken ? SPOOL_FAILED : SPOOL_FULL;
}

enum spool_result spool_admit(struct spool *spool, uint64_t size)
{
    if (spool->failing) return SPOOL_FAILED;
    spool_space_check(spool, false);
    if (spool->full || size > disk_room(spool)) return spool_lack_of_room(spool);
    const bool room = spool_body_evict(spool, MIN(size, spool->options.memory_max / 8));
    if (!room && !spool->memory_full_told) {
        event_log(spool->events, EVENT_WARNING, "spool",
                  "%s: the memory for content is in use: new mail is refused (452)",
                  spool->own->path);
    }
    spool->memory_full_told = !room;
    return room ? SPOOL_OK : SPOOL_FULL;
}

struct spool_stats spool_stats(const struct spool *spool)
{
    return (struct spool_stats){
        .segments = spool->own_segments,
        .free_segments = spool->free_count,
        .live_bytes = spool->live_bytes,
        .memory_bytes = spool_memory(spool),
        .messages = spool->messages,
        .full = spool->full,
        .failing = spool->failing,
    };
}
