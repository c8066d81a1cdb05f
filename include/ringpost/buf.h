/* SPDX-License-Identifier: Apache-2.0
 *
 * buf - message bytes: blocks that are shared by pins, and chains of small chunks
 *
 * A block is one aligned piece of memory that many messages lie in (the spool's write buffer). It
 * is pinned once for each message with bytes in it and goes back to its pool when the last pin
 * goes. Pins belong to one core: who gets pointers into a block on another core relies on the
 * home core's pin (DESIGN section 2).
 *
 * A chain is a queue of octets: text waiting to be sent, input waiting to be read.
 */
#pragma once
#include "ringpost/base.h"

enum { BUF_ALIGNMENT = 4096, BUF_CHUNK_SIZE = 4096 };

struct buf_block {
    struct list link; /* for the owner's lists */
    uint32_t pins;
    uint32_t size; /* octets at data, a multiple of BUF_ALIGNMENT */
    char *data;    /* aligned to BUF_ALIGNMENT */
    struct buf_pool *pool;
};
struct buf_pool {
    struct list free; /* blocks of block_size, newest use first: warm in the cache */
    uint32_t block_size;
    uint32_t free_count, free_max; /* beyond free_max memory goes back to the system */
    uint64_t bytes;                /* in blocks that are in use */
};
void buf_pool_init(struct buf_pool *pool, uint32_t block_size, uint32_t free_max);
void buf_pool_deinit(struct buf_pool *pool); /* ASSERTs that no block is in use */
/* A block with one pin and at least size octets; larger than block_size when size is. The memory
 * is not zeroed. */
struct buf_block *buf_block_get(struct buf_pool *pool, uint32_t size);
static inline void buf_block_pin(struct buf_block *block)
{
    block->pins += 1;
}
void buf_block_unpin(struct buf_block *block); /* the last one frees it */

struct buf_chunk;
struct buf_chain {
    struct buf_chunk *first, *last;
    uint32_t chunks;
    size_t len; /* octets in all */
};
void buf_chain_init(struct buf_chain *chain);
void buf_chain_deinit(struct buf_chain *chain);
void buf_chain_append(struct buf_chain *chain, struct bytes bytes); /* copies */
/* Room behind the last octet, to be filled in place; it never moves until consumed. */
char *buf_chain_room(struct buf_chain *chain, size_t *room); /* at least 1 */
void buf_chain_add(struct buf_chain *chain, size_t len);     /* len <= room were filled in */
/* The same; their memory is wiped before it is freed. */
void buf_chain_add_secret(struct buf_chain *chain, size_t len);
/* The first piece that lies in one place; empty when the chain is. */
struct bytes buf_chain_front(const struct buf_chain *chain);
/* Up to max pieces from the front, for one gathered send; returns how many. */
size_t buf_chain_pieces(const struct buf_chain *chain, struct bytes *pieces, size_t max);
void buf_chain_consume(struct buf_chain *chain, size_t len); /* len <= chain->len */
