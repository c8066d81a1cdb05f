/* SPDX-License-Identifier: Apache-2.0
 *
 * heap - smallest key first, four children a node
 *
 * Four children instead of two: half the levels, and the children of a node share a cache line.
 */
#include "ringpost/base.h"

enum { CHILDREN = 4 };

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_deinit(struct heap *heap)
{
    base_free(heap->slots);
    heap_init(heap);
}

static void place(struct heap *heap, uint32_t index, struct heap_slot slot)
{
    heap->slots[index] = slot;
    slot.node->place = index + 1;
}

static uint32_t sift_up(struct heap *heap, uint32_t index, struct heap_slot slot)
{
    while (index > 0) {
        const uint32_t parent = (index - 1) / CHILDREN;
        if (heap->slots[parent].key <= slot.key) break;
        place(heap, index, heap->slots[parent]);
        index = parent;
    }
    place(heap, index, slot);
    return index;
}

static void sift_down(struct heap *heap, uint32_t index, struct heap_slot slot)
{
    for (;;) {
        const uint64_t first = (uint64_t)index * CHILDREN + 1;
        if (first >= heap->count) break;
        const uint32_t end = (uint32_t)MIN(first + CHILDREN, heap->count);
        uint32_t least = (uint32_t)first;
        for (uint32_t child = least + 1; child < end; child++) {
            if (heap->slots[child].key < heap->slots[least].key) least = child;
        }
        if (heap->slots[least].key >= slot.key) break;
        place(heap, index, heap->slots[least]);
        index = least;
    }
    place(heap, index, slot);
}

void heap_put(struct heap *heap, struct heap_node *node, uint64_t key)
{
    heap_remove(heap, node);
    if (heap->count == heap->cap) {
        heap->cap = heap->cap ? heap->cap * 2 : 64;
        heap->slots = base_realloc(heap->slots, heap->cap * sizeof(*heap->slots));
    }
    sift_up(heap, heap->count++, (struct heap_slot){key, node});
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0) return;
    const uint32_t index = node->place - 1;
    ASSERT(index < heap->count && heap->slots[index].node == node);
    node->place = 0;
    const struct heap_slot last = heap->slots[--heap->count];
    if (index == heap->count) return;
    if (sift_up(heap, index, last) == index) sift_down(heap, index, last);
}
