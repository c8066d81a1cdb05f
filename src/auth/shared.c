/* SPDX-License-Identifier: Apache-2.0
 *
 * shared - failures by client and by user, over all workers, without locks; the process's key
 *
 * Who guesses spreads over the workers, so they count together. A table is fixed; a slot is one
 * 64-bit word that is replaced as a whole:
 *
 *     28 bits of the key's hash | count, 12 bits | second of the last leak, 24 bits
 *
 * A count goes down by one each `period`; at zero its slot is free for anybody. Where PROBES slots
 * are all taken by others, the one with the lowest count gives way: an attacker with more addresses
 * than slots loses some of his counts, and each of his addresses has to fail anew to be noticed.
 */
#include "internal.h"
#include "ringpost/ring.h"
#include <stdatomic.h>

enum { SLOTS = 1 << 14, PROBES = 8, COUNT_BITS = 12, TIME_BITS = 24 };
static const uint64_t TIME_MASK = (1u << TIME_BITS) - 1, COUNT_MAX = (1u << COUNT_BITS) - 1;
static const uint64_t KNOWN_FOR_S = 24 * 3600;

struct tally {
    _Atomic uint64_t slots[SLOTS];
};
struct auth_shared {
    uint8_t key[DIGEST_SHA256_LEN];
    uint64_t seed;
    struct tally clients, users;
    struct tally known; /* pairs of user and client; 1 = it has authenticated from there */
};

struct auth_shared *auth_shared_create(struct ring *ring)
{
    struct auth_shared *shared = base_alloc(sizeof(*shared));
    for (size_t i = 0; i < sizeof(shared->key); i += sizeof(uint64_t)) {
        const uint64_t octets = ring_seed(ring);
        memcpy(shared->key + i, &octets, sizeof(octets));
    }
    shared->seed = ring_seed(ring);
    return shared;
}

void auth_shared_destroy(struct auth_shared **shared)
{
    explicit_bzero(*shared, sizeof((*shared)->key));
    base_free(*shared);
    *shared = NULL;
}

void auth_shared_mac(const struct auth_shared *shared, struct bytes text,
                     uint8_t mac[DIGEST_SHA256_LEN])
{
    digest_hmac_sha256((struct bytes){(const char *)shared->key, sizeof(shared->key)}, text, mac);
}

/* ---- a slot
 * ---------------------------------------------------------------------------------------
 */

static uint64_t tag_of(uint64_t hash)
{
    return hash >> (COUNT_BITS + TIME_BITS);
}

static uint64_t word_of(uint64_t tag, uint64_t count, uint64_t second)
{
    return tag << (COUNT_BITS + TIME_BITS) | count << TIME_BITS | (second & TIME_MASK);
}

/* What has not leaked by now; *second: of the last whole leak. Another worker's clock may be a
 * little ahead of ours: half of the circle is the past, the other the future. */
static uint64_t count_now(uint64_t word, uint64_t period, uint64_t now, uint64_t *second)
{
    const uint64_t count = word >> TIME_BITS & COUNT_MAX, then = word & TIME_MASK;
    uint64_t past = (now - then) & TIME_MASK;
    if (past > TIME_MASK / 2) past = 0;
    const uint64_t leaked = past / period;
    *second = then + leaked * period;
    if (leaked < count) return count - leaked;
    *second = now;
    return 0;
}

static _Atomic uint64_t *slot_at(struct tally *tally, uint64_t hash, uint32_t probe)
{
    return &tally->slots[(hash + probe) % SLOTS];
}

static uint64_t tally_read(struct tally *tally, uint64_t hash, uint64_t period, uint64_t now)
{
    uint64_t second;
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        const uint64_t word = atomic_load(slot_at(tally, hash, probe));
        if (tag_of(word) != tag_of(hash)) continue;
        const uint64_t count = count_now(word, period, now, &second);
        if (count > 0) return count;
    }
    return 0;
}

/* Where that hash has its count, else where it may have one. */
static _Atomic uint64_t *find_slot(struct tally *tally, uint64_t hash, uint64_t period,
                                   uint64_t now, uint64_t *word)
{
    _Atomic uint64_t *lowest = NULL;
    uint64_t lowest_count = UINT64_MAX, second;
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        _Atomic uint64_t *slot = slot_at(tally, hash, probe);
        const uint64_t found = atomic_load(slot);
        const uint64_t count = count_now(found, period, now, &second);
        const bool own = tag_of(found) == tag_of(hash) && count > 0;
        if (!own && count >= lowest_count) continue;
        lowest = slot;
        lowest_count = count;
        *word = found;
        if (own) break;
    }
    return lowest;
}

/* Adds one, or sets it to one afresh; returns the count. */
static uint64_t tally_add(struct tally *tally, uint64_t hash, uint64_t period, uint64_t now,
                          bool afresh)
{
    for (;;) {
        uint64_t word = 0, second = now, count = 0;
        _Atomic uint64_t *slot = find_slot(tally, hash, period, now, &word);
        if (tag_of(word) == tag_of(hash) && !afresh) count = count_now(word, period, now, &second);
        count = MIN(count + 1, COUNT_MAX);
        if (atomic_compare_exchange_weak(slot, &word, word_of(tag_of(hash), count, second)))
            return count;
    }
}

/* ---- whose
 * ----------------------------------------------------------------------------------------
 */

/* A client of IPv6 has a /64 at the least, so that is what is counted. */
static uint64_t client_hash(const struct auth_shared *shared, const struct address *client)
{
    const size_t len = client->family == 6 ? 8 : 4;
    return hash_bytes(shared->seed + client->family, (struct bytes){(const char *)client->ip, len});
}

static uint64_t user_hash(const struct auth_shared *shared, struct bytes user)
{
    return hash_bytes(shared->seed, user);
}

static uint64_t pair_hash(const struct auth_shared *shared, struct bytes user,
                          const struct address *client)
{
    return hash_u64(user_hash(shared, user) ^ hash_u64(client_hash(shared, client)));
}

static uint64_t second_of(instant now)
{
    return now / DURATION_S(1);
}

static uint64_t period_of(const struct auth_options *options, uint32_t max)
{
    return MAX(options->failure_window / DURATION_S(1) / max, 1u);
}

bool auth_client_is_limited(struct auth_shared *shared, const struct auth_options *options,
                            const struct address *client, instant now)
{
    const uint32_t max = options->failures_per_client_max;
    return tally_read(&shared->clients, client_hash(shared, client), period_of(options, max),
                      second_of(now)) >= max;
}

bool auth_user_is_limited(struct auth_shared *shared, const struct auth_options *options,
                          struct bytes user, const struct address *client, instant now)
{
    const uint32_t max = options->failures_per_user_max;
    if (tally_read(&shared->users, user_hash(shared, user), period_of(options, max),
                   second_of(now)) < max)
        return false;
    return tally_read(&shared->known, pair_hash(shared, user, client), KNOWN_FOR_S,
                      second_of(now)) == 0;
}

uint32_t auth_count_failure(struct auth_shared *shared, const struct auth_options *options,
                            struct bytes user, const struct address *client, instant now,
                            uint32_t *user_count)
{
    const uint64_t second = second_of(now);
    *user_count = 0;
    if (user.len > 0) {
        *user_count =
            (uint32_t)tally_add(&shared->users, user_hash(shared, user),
                                period_of(options, options->failures_per_user_max), second, false);
    }
    return (uint32_t)tally_add(&shared->clients, client_hash(shared, client),
                               period_of(options, options->failures_per_client_max), second, false);
}

void auth_note_success(struct auth_shared *shared, struct bytes user, const struct address *client,
                       instant now)
{
    tally_add(&shared->known, pair_hash(shared, user, client), KNOWN_FOR_S, second_of(now), true);
}
