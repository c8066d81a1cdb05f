/* SPDX-License-Identifier: Apache-2.0
 *
 * hash - 64 seeded bits for tables
 *
 * Eight octets a step through a full 64x64 -> 128 bit multiplication, whose halves are folded.
 * The seed is secret to the process, so that a sender cannot choose names that all collide.
 */
#include "ringpost/base.h"

static const uint64_t K0 = 0x9e3779b97f4a7c15, K1 = 0xd6e8feb86659fd93;

__extension__ typedef unsigned __int128 u128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    const u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Adds 0x20 to each octet that is an ASCII capital. */
static uint64_t lower8(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    const uint64_t seven = word & ~high;
    const uint64_t from_a = seven + ones * (128 - 'A');
    const uint64_t after_z = seven + ones * (127 - 'Z');
    return word + (((from_a & ~after_z & ~word & high)) >> 2);
}

static uint64_t load(const char *data, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, data, len);
    return word;
}

static uint64_t hash(uint64_t seed, struct bytes bytes, bool nocase)
{
    uint64_t state = seed ^ K0;
    size_t at = 0;
    for (; at + 8 <= bytes.len; at += 8) {
        const uint64_t word = load(bytes.data + at, 8);
        state = fold(state ^ (nocase ? lower8(word) : word), K1);
    }
    if (at < bytes.len) {
        const uint64_t word = load(bytes.data + at, bytes.len - at);
        state = fold(state ^ (nocase ? lower8(word) : word), K1);
    }
    return fold(state ^ bytes.len, seed ^ K1);
}

uint64_t hash_bytes(uint64_t seed, struct bytes bytes)
{
    return hash(seed, bytes, false);
}

uint64_t hash_bytes_nocase(uint64_t seed, struct bytes bytes)
{
    return hash(seed, bytes, true);
}

uint64_t hash_u64(uint64_t value)
{
    return fold(value ^ K0, K1);
}
