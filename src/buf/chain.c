/* SPDX-License-Identifier: Apache-2.0
 *
 * chain - a queue of octets in chunks
 */
#include "ringpost/buf.h"

struct buf_chunk {
    struct buf_chunk *next;
    uint16_t begin, end;
    bool secret;
    char _reserved[3];
    char data[BUF_CHUNK_SIZE - 16];
};

void buf_chain_init(struct buf_chain *chain)
{
    *chain = (struct buf_chain){0};
}

void buf_chain_deinit(struct buf_chain *chain)
{
    buf_chain_consume(chain, chain->len);
}

static struct buf_chunk *add_chunk(struct buf_chain *chain)
{
    struct buf_chunk *chunk =
        base_realloc(NULL, sizeof(*chunk)); /* not zeroed: replies are short */
    chunk->next = NULL;
    chunk->begin = chunk->end = 0;
    chunk->secret = false;
    if (chain->last != NULL) {
        chain->last->next = chunk;
    } else {
        chain->first = chunk;
    }
    chain->last = chunk;
    chain->chunks += 1;
    return chunk;
}

char *buf_chain_room(struct buf_chain *chain, size_t *room)
{
    struct buf_chunk *chunk = chain->last;
    if (chunk == NULL || chunk->end == sizeof(chunk->data)) chunk = add_chunk(chain);
    *room = sizeof(chunk->data) - chunk->end;
    return chunk->data + chunk->end;
}

void buf_chain_add(struct buf_chain *chain, size_t len)
{
    struct buf_chunk *chunk = chain->last;
    ASSERT(chunk != NULL && len <= sizeof(chunk->data) - chunk->end);
    chunk->end += (uint16_t)len;
    chain->len += len;
}

void buf_chain_add_secret(struct buf_chain *chain, size_t len)
{
    buf_chain_add(chain, len);
    chain->last->secret = true;
}

void buf_chain_append(struct buf_chain *chain, struct bytes bytes)
{
    while (bytes.len > 0) {
        size_t len;
        char *room = buf_chain_room(chain, &len);
        len = MIN(len, bytes.len);
        memcpy(room, bytes.data, len);
        buf_chain_add(chain, len);
        bytes = bytes_skip(bytes, len);
    }
}

struct bytes buf_chain_front(const struct buf_chain *chain)
{
    const struct buf_chunk *chunk = chain->first;
    if (chunk == NULL) return (struct bytes){0};
    return (struct bytes){chunk->data + chunk->begin, chunk->end - chunk->begin};
}

size_t buf_chain_pieces(const struct buf_chain *chain, struct bytes *pieces, size_t max)
{
    size_t count = 0;
    for (const struct buf_chunk *chunk = chain->first; chunk != NULL && count < max;
         chunk = chunk->next) {
        pieces[count++] = (struct bytes){chunk->data + chunk->begin, chunk->end - chunk->begin};
    }
    return count;
}

void buf_chain_consume(struct buf_chain *chain, size_t len)
{
    ASSERT(len <= chain->len);
    chain->len -= len;
    while (chain->first != NULL) {
        struct buf_chunk *chunk = chain->first;
        const size_t here = MIN(len, (size_t)(chunk->end - chunk->begin));
        chunk->begin += (uint16_t)here;
        len -= here;
        if (chunk->begin < chunk->end) return;
        chain->first = chunk->next;
        chain->chunks -= 1;
        if (chain->first == NULL) chain->last = NULL;
        if (chunk->secret)
            base_free_secret(chunk, sizeof(*chunk));
        else
            base_free(chunk);
    }
}
