/* SPDX-License-Identifier: Apache-2.0
 *
 * cache - passwords that were right lately, by a keyed hash of name and password
 *
 * A fixed table of sets of WAYS entries; in a full set the one that ends first gives way. Nothing
 * in it helps who reads it without the process's key.
 */
#include "internal.h"

enum { SETS = 1024, WAYS = 4 };

struct auth_cache_entry {
    uint8_t key[AUTH_KEY_LEN];
    instant until; /* 0: empty */
};

static struct auth_cache_entry *set_of(const struct auth_cache *cache,
                                       const uint8_t key[AUTH_KEY_LEN])
{
    uint32_t number;
    memcpy(&number, key, sizeof(number));
    return &cache->entries[number % SETS * WAYS];
}

bool auth_cache_has(const struct auth_cache *cache, const uint8_t key[AUTH_KEY_LEN], instant now)
{
    if (cache->entries == NULL) return false;
    const struct auth_cache_entry *set = set_of(cache, key);
    bool found = false;
    for (size_t i = 0; i < WAYS; i++)
        found |= set[i].until > now && digest_equal(set[i].key, key, AUTH_KEY_LEN);
    return found;
}

void auth_cache_put(struct auth_cache *cache, const uint8_t key[AUTH_KEY_LEN], instant now,
                    instant until)
{
    if (until <= now) return;
    if (cache->entries == NULL) cache->entries = base_alloc(sizeof(*cache->entries) * SETS * WAYS);
    struct auth_cache_entry *set = set_of(cache, key), *place = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].until < place->until) place = &set[i];
    }
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].key, key, AUTH_KEY_LEN) == 0) place = &set[i];
    }
    memcpy(place->key, key, AUTH_KEY_LEN);
    place->until = until;
}

void auth_cache_clear(struct auth_cache *cache)
{
    base_free(cache->entries);
    cache->entries = NULL;
}
