/* SPDX-License-Identifier: Apache-2.0
 *
 * timers - one hierarchical wheel, 1 ms steps
 *
 * A timer lies on the level of the highest base-64 digit in which its tick differs from the
 * wheel's, in the slot of that digit. So a slot on level n > 0 is due exactly when the wheel's tick
 * reaches the slot's first tick, and then its timers move down:
 *
 *     level 0   64 slots of 1 ms      this 64 ms
 *     level 1   64 slots of 64 ms     this 4 s
 *     ...
 *     level 7                         all that 64 bits of nanoseconds can name
 */
#include "internal.h"

static_assert(LEVELS * SLOT_BITS >= 45, "every instant has a slot: 2^64 ns < 2^45 ms");

static uint64_t tick_of(instant at)
{
    return at / DURATION_MS(1);
}

void ring_wheel_init(struct wheel *wheel, instant now)
{
    wheel->tick = tick_of(now);
    list_init(&wheel->due);
    for (int level = 0; level < LEVELS; level++) {
        for (int slot = 0; slot < SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void ring_timer_init(struct ring_timer *timer, void (*on_fire)(struct ring_timer *timer))
{
    *timer = (struct ring_timer){.on_fire = on_fire};
    list_init(&timer->link);
}

static void insert(struct wheel *wheel, struct ring_timer *timer)
{
    uint64_t tick = tick_of(timer->at + DURATION_MS(1) - 1); /* up: never early */
    if (tick <= wheel->tick) {
        list_push_back(&wheel->due, &timer->link);
        return;
    }
    const int level = (63 - __builtin_clzll(tick ^ wheel->tick)) / SLOT_BITS;
    const uint64_t slot = (tick >> (level * SLOT_BITS)) & (SLOTS - 1);
    list_push_back(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= 1ull << slot;
}

void ring_timer_arm(struct ring *ring, struct ring_timer *timer, instant at)
{
    ASSERT(timer->on_fire != NULL);
    if (at > INSTANT_FOREVER - DURATION_S(1)) at = INSTANT_FOREVER - DURATION_S(1);
    list_remove(&timer->link);
    timer->at = MAX(at, 1);
    insert(&ring->wheel, timer);
}

void ring_timer_disarm(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    if (timer->at == 0) return;
    timer->at = 0;
    list_remove(&timer->link);
}

/* First tick after the wheel's at which something is due or moves down; UINT64_MAX if none. */
static uint64_t next_tick(const struct wheel *wheel)
{
    for (int level = 0; level < LEVELS; level++) {
        const int shift = level * SLOT_BITS;
        const uint64_t digit = (wheel->tick >> shift) & (SLOTS - 1);
        /* Slots behind the wheel's own digit; what lies before it has passed. */
        const uint64_t later = digit == SLOTS - 1 ? 0 : wheel->occupied[level] >> (digit + 1);
        if (later == 0) continue;
        const uint64_t slot = digit + 1 + (uint64_t)__builtin_ctzll(later);
        const uint64_t above = wheel->tick >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        return above | slot << shift;
    }
    return UINT64_MAX;
}

static void reach(struct wheel *wheel, uint64_t tick)
{
    struct list moving;
    wheel->tick = tick;
    for (int level = LEVELS - 1; level >= 0; level--) {
        const uint64_t slot = (tick >> (level * SLOT_BITS)) & (SLOTS - 1);
        if (!(wheel->occupied[level] & 1ull << slot)) continue;
        wheel->occupied[level] &= ~(1ull << slot);
        list_init(&moving);
        list_append_all(&moving, &wheel->slots[level][slot]);
        struct list *node;
        while ((node = list_pop_front(&moving)) != NULL)
            insert(wheel, CONTAINER_OF(node, struct ring_timer, link));
    }
}

uint32_t ring_timers_run(struct ring *ring, uint32_t budget)
{
    struct wheel *wheel = &ring->wheel;
    const uint64_t now = tick_of(ring->now);
    uint64_t next;
    while ((next = next_tick(wheel)) <= now)
        reach(wheel, next);
    if (now > wheel->tick) wheel->tick = now; /* nothing lies between */

    uint32_t fired = 0;
    struct list *node;
    while (fired < budget && (node = list_pop_front(&wheel->due)) != NULL) {
        struct ring_timer *timer = CONTAINER_OF(node, struct ring_timer, link);
        timer->at = 0;
        fired += 1;
        timer->on_fire(timer);
    }
    return fired;
}

instant ring_timers_next(const struct ring *ring)
{
    const struct wheel *wheel = &ring->wheel;
    if (!list_is_empty(&wheel->due)) return 1;
    const uint64_t tick = next_tick(wheel);
    return tick == UINT64_MAX ? INSTANT_FOREVER : tick * DURATION_MS(1);
}
