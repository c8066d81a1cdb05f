/* SPDX-License-Identifier: Apache-2.0
 *
 * limits - connections in all and by client address, over all workers, without locks
 *
 * `everyone` counts over all listeners, for the share of open files that clients may take.
 *
 * A fixed table of counters found by hash of (listener, client). A slot is one 64-bit word: 40 bits
 * of the hash and a count of 24. A word with count 0 is free for anybody, so nothing is ever
 * removed and an address that comes back finds either its word or a free one. Where a run of PROBES
 * slots is taken by others (the table has room for many more clients than connections are allowed),
 * the connection is counted in no slot and let in: the total still holds.
 */
#include "internal.h"

enum { SLOTS_COUNT = 1 << 16, PROBES = 16, COUNT_BITS = 24, TOTALS = 64 };
static const uint64_t COUNT_MASK = (1u << COUNT_BITS) - 1;
static const uint32_t NO_SLOT = 0xffff;

struct receive_limits {
    _Atomic uint64_t slots[SLOTS_COUNT];
    _Atomic uint32_t everyone, everyone_max, descriptor_max;
    _Atomic uint32_t
        totals[TOTALS]; /* by listener; two listeners may share one: a stricter limit */
};

struct receive_limits *receive_limits_create(void)
{
    struct receive_limits *limits = base_alloc(sizeof(*limits));
    receive_limits_set(limits, UINT32_MAX, UINT32_MAX);
    return limits;
}

void receive_limits_set(struct receive_limits *limits, uint32_t clients_max,
                        uint32_t descriptor_max)
{
    atomic_store(&limits->everyone_max, clients_max);
    atomic_store(&limits->descriptor_max, descriptor_max);
}

void receive_limits_destroy(struct receive_limits **limits)
{
    base_free(*limits);
    *limits = NULL;
}

static bool enter_total(_Atomic uint32_t *total, uint32_t max)
{
    if (atomic_fetch_add(total, 1) < max) return true;
    atomic_fetch_sub(total, 1);
    return false;
}

/* Adds one to the word of that hash: false when it has reached max. */
static bool enter_slot(struct receive_limits *limits, uint64_t hash, uint32_t max, uint32_t *slot)
{
    const uint64_t tag = hash >> COUNT_BITS << COUNT_BITS;
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        const uint32_t index = (uint32_t)(hash + probe) % (SLOTS_COUNT - 1); /* never NO_SLOT */
        uint64_t word = atomic_load(&limits->slots[index]);
        for (;;) {
            const uint64_t count = word & COUNT_MASK;
            if (count != 0 && (word & ~COUNT_MASK) != tag) break; /* somebody else's */
            if (count >= max) return false;
            if (atomic_compare_exchange_weak(&limits->slots[index], &word, tag | (count + 1))) {
                *slot = index;
                return true;
            }
        }
    }
    *slot = NO_SLOT;
    return true;
}

/* slot: the total in the upper half, the client's word in the lower one. */
static enum limit_verdict enter_listener(struct receive_limits *limits,
                                         const struct address *listener,
                                         const struct address *client,
                                         const struct receive_listener_options *options,
                                         uint32_t *slot)
{
    const uint64_t listener_hash = hash_u64(address_hash_ip(listener) + listener->port);
    const uint32_t total = (uint32_t)(listener_hash % TOTALS);
    uint32_t client_slot;
    if (!enter_total(&limits->totals[total], options->connections_max)) return LIMIT_TOTAL;
    if (!enter_slot(limits, hash_u64(address_hash_ip(client) ^ listener_hash),
                    options->connections_per_client_max, &client_slot)) {
        atomic_fetch_sub(&limits->totals[total], 1);
        return LIMIT_CLIENT;
    }
    *slot = total << 16 | client_slot;
    return LIMIT_OK;
}

enum limit_verdict limits_enter(struct receive_limits *limits, const struct address *listener,
                                const struct address *client, int descriptor,
                                const struct receive_listener_options *options, uint32_t *slot)
{
    if ((uint32_t)descriptor >= atomic_load(&limits->descriptor_max)) return LIMIT_FILES;
    if (!enter_total(&limits->everyone, atomic_load(&limits->everyone_max))) return LIMIT_FILES;
    const enum limit_verdict verdict = enter_listener(limits, listener, client, options, slot);
    if (verdict != LIMIT_OK) atomic_fetch_sub(&limits->everyone, 1);
    return verdict;
}

void limits_leave(struct receive_limits *limits, uint32_t slot)
{
    atomic_fetch_sub(&limits->everyone, 1);
    atomic_fetch_sub(&limits->totals[slot >> 16], 1);
    if ((slot & 0xffff) != NO_SLOT) atomic_fetch_sub(&limits->slots[slot & 0xffff], 1);
}
