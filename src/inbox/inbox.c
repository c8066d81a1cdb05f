/* SPDX-License-Identifier: Apache-2.0
 *
 * inbox - lock-free queue into one core
 *
 * Nodes are taken all at once, so the compare-and-swap of push has no ABA problem: whatever the
 * head is, it is only ever linked behind the new nodes.
 */
#include "ringpost/inbox.h"

static struct inbox_node sleeping;

void inbox_init(struct inbox *inbox)
{
    atomic_init(&inbox->head, NULL);
}

bool inbox_push(struct inbox *inbox, struct inbox_node *newest, struct inbox_node *oldest)
{
    struct inbox_node *head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    do {
        oldest->next = head == &sleeping ? NULL : head;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->head, &head, newest,
                                                    memory_order_release, memory_order_relaxed));
    return head == &sleeping;
}

struct inbox_node *inbox_drain(struct inbox *inbox)
{
    if (atomic_load_explicit(&inbox->head, memory_order_relaxed) == NULL) return NULL;
    struct inbox_node *node = atomic_exchange_explicit(&inbox->head, NULL, memory_order_acquire);
    if (node == &sleeping) return NULL;
    struct inbox_node *oldest_first = NULL;
    while (node != NULL) {
        struct inbox_node *next = node->next;
        node->next = oldest_first;
        oldest_first = node;
        node = next;
    }
    return oldest_first;
}

bool inbox_sleep(struct inbox *inbox)
{
    struct inbox_node *empty = NULL;
    return atomic_compare_exchange_strong_explicit(&inbox->head, &empty, &sleeping,
                                                   memory_order_relaxed, memory_order_relaxed);
}
