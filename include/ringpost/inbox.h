/* SPDX-License-Identifier: Apache-2.0
 *
 * inbox - lock-free queue into one core (DESIGN section 5)
 *
 * Many producers, one consumer. One atomic word holds everything:
 *
 *     NULL        empty, the consumer is awake
 *     SLEEPING    empty, the consumer sleeps (or is about to): who pushes next must wake it
 *     node        newest node of a list linked by ->next to the oldest; the consumer is awake or
 *                 has been woken
 *
 * Because "empty" and "sleeping" live in one word, a push cannot fall between the consumer's last
 * look and its sleep. tests/unit/inbox proves it: exhaustively by a model of all interleavings,
 * and with real threads under ThreadSanitizer.
 *
 * Owner   a message embeds the node; it belongs to the inbox from push until drain returns it.
 */
#pragma once
#include "ringpost/base.h"
#include <stdatomic.h>

struct inbox_node {
    struct inbox_node *next;
    /* Called on the consumer's core; context is the consumer (a struct worker). */
    void (*on_arrival)(struct inbox_node *node, void *context);
};
struct inbox {
    _Alignas(64) _Atomic(struct inbox_node *) head;
};

void inbox_init(struct inbox *inbox);
/* Pushes a chain built by the producer: newest is linked by ->next down to oldest (they may be the
 * same node). Returns true when the consumer slept: the caller must wake it. Any thread. */
MUST_USE bool inbox_push(struct inbox *inbox, struct inbox_node *newest, struct inbox_node *oldest);
/* Takes everything, in arrival order, linked by ->next; NULL when empty. Consumer only. */
struct inbox_node *inbox_drain(struct inbox *inbox);
/* Consumer only: true = marked SLEEPING, the next push wakes; false = something is there. After
 * the sleep, however it ended, call inbox_drain() before the next inbox_sleep(). */
MUST_USE bool inbox_sleep(struct inbox *inbox);
