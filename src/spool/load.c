/* SPDX-License-Identifier: Apache-2.0
 *
 * load - content that is not in memory is read back through the ring
 *
 * One read covers the MESSAGE record and, as a rule, the content that lies right before it; more
 * follow for the rest. Every record's sum is checked, and the content is copied into blocks of its
 * own: what was read carries other mail around it.
 *
 * Memory bounds how many reads are under way. One may always go on, so that a queue larger than
 * the memory moves.
 */
#include "internal.h"
#include <errno.h>

enum { READ_MAX = 1 << 20, GUESS_MAX = 256 * 1024 };

static void read_on(struct spool *spool, struct spool_read *read);

/* ---- the end of a read --------------------------------------------------------------------------
 */

/* A read under way counts as content that is pinned. */
static void read_discharge(struct spool *spool, struct spool_read *read)
{
    spool->pinned -= read->charged;
    read->charged = 0;
}

static void read_free(struct spool *spool, struct spool_read *read)
{
    read_discharge(spool, read);
    list_remove(&read->link);
    if (read->block != NULL) buf_block_unpin(read->block);
    if (read->body != NULL) spool_body_free(spool, read->body);
    base_free(read->extents);
    base_free(read);
}

/* Everybody who waits is told; callbacks may finish or release the message, which empties the
 * list. */
static void read_end(struct spool *spool, struct spool_read *read, enum spool_result result)
{
    struct spool_message *message = read->message;
    struct list waiters, *node;
    uint32_t count = 0;
    list_init(&waiters);
    message->flags &= (uint8_t)~MESSAGE_READING;
    list_append_all(&waiters, &read->waiters);
    LIST_FOR_EACH(waiter, &waiters)
    {
        count += 1;
    }
    if (result == SPOOL_OK) {
        if (read->body != NULL) message->body = read->body;
        read->body = NULL;
        spool_message_pin(spool, message, count);
    }
    read_discharge(spool, read);
    read->message = NULL;
    read_free(spool, read);
    spool->loads_ending = &waiters;
    while ((node = list_pop_front(&waiters)) != NULL) {
        struct spool_load *load = CONTAINER_OF(node, struct spool_load, link);
        load->on_loaded(load, result);
    }
    spool->loads_ending = NULL;
}

static void read_damaged(struct spool *spool, struct spool_read *read, const char *what)
{
    struct spool_message *message = read->message;
    const struct spool_segment *segment = spool_slot(spool, message->segment);
    char id[EVENT_ID_TEXT_MAX];
    event_log(spool->events, EVENT_ERROR, "spool",
              "%s/%010u.seg: message %s at %u cannot be read back: %s", segment->log->path,
              segment->number, event_id_print(message->id, id), message->offset, what);
    metrics_add(spool->metrics, METRICS_SPOOL_ERRORS, 1);
    const bool told = message->flags & MESSAGE_DAMAGED;
    message->flags |= MESSAGE_DAMAGED;
    /* The message may go away inside, and with it those who wait. */
    if (!told) spool->callbacks.damaged(spool->context, message);
    if (read->message == NULL) {
        read_free(spool, read);
    } else {
        read_end(spool, read, SPOOL_FAILED);
    }
}

static struct spool_read *read_find(const struct list *list, const struct spool_message *message)
{
    LIST_FOR_EACH(node, list)
    {
        struct spool_read *read = CONTAINER_OF(node, struct spool_read, link);
        if (read->message == message) return read;
    }
    return NULL;
}

/* The message goes away: nobody who waits for it is told. */
void spool_read_forget(struct spool *spool, struct spool_message *message)
{
    if (spool->loads_ending != NULL) {
        LIST_FOR_EACH_SAFE(node, spool->loads_ending)
        {
            const struct spool_load *load = CONTAINER_OF(node, struct spool_load, link);
            if (load->message == message) list_remove(node);
        }
    }
    if (!(message->flags & MESSAGE_READING)) return;
    struct spool_read *read = read_find(&spool->reads, message);
    const bool waiting = read == NULL;
    if (waiting) read = read_find(&spool->reads_waiting, message);
    while (list_pop_front(&read->waiters) != NULL)
        continue;
    read->message = NULL; /* under way: the completion frees it */
    if (waiting) read_free(spool, read);
}

/* ---- what was read ------------------------------------------------------------------------------
 */

static const char *in_block(const struct spool_read *read, uint32_t offset, uint32_t len)
{
    if (offset < read->from || (uint64_t)offset + len > (uint64_t)read->from + read->len) {
        return NULL;
    }
    return read->block->data + (offset - read->from);
}

/* Copies into the body's own blocks; adjoining octets make one piece. */
static void body_fill(struct spool *spool, struct spool_read *read, struct bytes from, bool joins)
{
    struct spool_body *body = read->body;
    while (from.len > 0) {
        if (read->to == NULL || read->to_at == read->to->size) {
            const uint64_t rest = MIN(read->memory, (uint64_t)SPOOL_BLOCK_SIZE);
            read->to = buf_block_get(&spool->read_blocks, (uint32_t)MAX(rest, from.len));
            read->to_at = 0;
            spool_body_pin_block(body, read->to);
            buf_block_unpin(read->to); /* the body's pin holds it */
            read->memory -= MIN(read->memory, read->to->size);
            joins = false;
        }
        const size_t len = MIN(from.len, read->to->size - read->to_at);
        char *to = read->to->data + read->to_at;
        memcpy(to, from.data, len);
        read->to_at += (uint32_t)len;
        if (joins && body->count > 0) {
            body->pieces[body->count].len += len;
        } else {
            const struct disk_extent none = {0};
            spool_body_add(body, (struct bytes){to, len}, &none, 0);
        }
        from = bytes_skip(from, len);
    }
}

/* Envelope and prefix; the table of extents is kept for what follows. NULL or what is wrong. */
static const char *take_head(struct spool *spool, struct spool_read *read)
{
    const struct spool_message *message = read->message;
    const struct spool_segment *segment = spool_slot(spool, message->segment);
    const char *at = in_block(read, message->offset, message->record_size);
    struct record_head head;
    struct message_parts parts;
    if (at == NULL) return "the file is too short";
    if (!record_head_read(&segment->log->key, segment->generation, at, message->record_size,
                          &head) ||
        head.type != RECORD_MESSAGE || !record_payload_is_ok(&head, at)) {
        return "the record of the message is damaged";
    }
    if (!message_parse((struct bytes){at + sizeof(head), head.length}, &parts) ||
        parts.fixed.id != message->id) {
        return "the record is of another message";
    }
    read->body = spool_body_new(spool);
    read->body->message = read->message;
    read->body->stored = true;
    read->count = parts.fixed.extent_count;
    read->extents = base_alloc(read->count * sizeof(*read->extents));
    memcpy(read->extents, parts.extents, read->count * sizeof(*read->extents));
    read->memory = (uint64_t)parts.fixed.content_len + parts.envelope.len;

    /* Envelope and prefix lie side by side and come into one block, which is made for them. */
    struct spool_body *body = read->body;
    const size_t both = parts.envelope.len + parts.prefix.len;
    body_fill(spool, read, (struct bytes){parts.envelope.data, both}, false);
    if (both > 0) {
        body->envelope = (struct bytes){body->pieces[1].data, parts.envelope.len};
        body->pieces[0] = bytes_skip(body->pieces[1], parts.envelope.len);
    }
    body->count = 0;
    read->head_done = true;
    return NULL;
}

static struct spool_segment *extent_segment(const struct spool *spool,
                                            const struct spool_segment *near,
                                            const struct disk_extent *extent)
{
    if (near->number == extent->segment && near->generation == extent->generation) {
        return spool_slot(spool, near->slot);
    }
    for (uint32_t slot = 0; slot < spool->slot_count; slot++) {
        struct spool_segment *segment = spool->slots[slot];
        if (segment != NULL && segment->log == near->log && segment->number == extent->segment &&
            segment->generation == extent->generation) {
            return segment;
        }
    }
    return NULL;
}

/* Takes what extents lie in the block that was read. NULL or what is wrong. */
static const char *take_content(struct spool *spool, struct spool_read *read)
{
    for (; read->next < read->count; read->next++) {
        const struct disk_extent *extent = &read->extents[read->next];
        const struct spool_segment *segment = read->segment;
        if (extent->segment != segment->number || extent->generation != segment->generation) {
            return NULL;
        }
        const char *at = in_block(read, extent->offset, record_size(extent->length));
        if (at == NULL) return NULL;
        const bool checked =
            read->checked_slot == segment->slot && read->checked_offset == extent->offset;
        struct record_head head;
        if (!checked && (!record_head_read(&segment->log->key, segment->generation, at,
                                           record_size(extent->length), &head) ||
                         head.type != RECORD_CONTENT || head.length != extent->length ||
                         !record_payload_is_ok(&head, at))) {
            return "its content is damaged";
        }
        read->checked_slot = segment->slot;
        read->checked_offset = extent->offset;
        const struct bytes part = {at + sizeof(head) + extent->from, extent->len};
        body_fill(spool, read, part, read->body->count > 0);
    }
    return NULL;
}

static void block_read(struct ring_file_op *op, int64_t result)
{
    struct spool_read *read = CONTAINER_OF(op, struct spool_read, op);
    struct spool *spool = read->spool;
    const char *wrong = NULL;
    read->segment->ops -= 1;
    spool->reads_in_flight -= 1;
    if (read->segment->live == 0) spool->tend = true;
    if (read->message == NULL) {
        read_free(spool, read);
        return;
    }
    if (result < 0) {
        event_log(spool->events, EVENT_ERROR, "spool", "%s/%010u.seg: reading at %u failed: %s",
                  read->segment->log->path, read->segment->number, read->from,
                  strerror((int)-result));
        metrics_add(spool->metrics, METRICS_SPOOL_ERRORS, 1);
        read_end(spool, read, SPOOL_FAILED);
        return;
    }
    read->len = (uint32_t)MIN((uint64_t)result, (uint64_t)read->len);
    const uint32_t before = read->next;
    const bool had_head = read->head_done;
    if (!had_head) wrong = take_head(spool, read);
    if (wrong == NULL) wrong = take_content(spool, read);
    /* Each further read is made for at least one extent. */
    if (wrong == NULL && had_head && read->next == before) wrong = "the file is too short";
    buf_block_unpin(read->block);
    read->block = NULL;
    if (wrong != NULL) {
        read_damaged(spool, read, wrong);
    } else if (read->next < read->count) {
        read_on(spool, read);
    } else {
        metrics_add(spool->metrics, METRICS_SPOOL_READ_BACK, 1);
        read_end(spool, read, SPOOL_OK);
    }
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static void submit(struct spool *spool, struct spool_read *read, struct spool_segment *segment,
                   uint32_t begin, uint32_t end)
{
    read->segment = segment;
    read->from = page_down(begin);
    read->len = page_up(end) - read->from;
    read->block = buf_block_get(&spool->read_blocks, read->len);
    read->op.on_done = block_read;
    segment->ops += 1;
    spool->reads_in_flight += 1;
    ring_file_read(&segment->file, &read->op, read->block->data, read->len, read->from);
}

/* The next extents that lie close together in one segment. */
static void read_on(struct spool *spool, struct spool_read *read)
{
    const struct spool_segment *near = spool_slot(spool, read->message->segment);
    const struct disk_extent *first = &read->extents[read->next];
    struct spool_segment *segment = extent_segment(spool, near, first);
    uint64_t end = (uint64_t)first->offset + record_size(first->length);
    if (segment == NULL || end > segment->size) {
        read_damaged(spool, read, "a segment with its content is missing");
        return;
    }
    for (uint32_t i = read->next + 1; i < read->count; i++) {
        const struct disk_extent *extent = &read->extents[i];
        const uint64_t extent_end = (uint64_t)extent->offset + record_size(extent->length);
        if (extent->segment != first->segment || extent->generation != first->generation ||
            extent->offset < first->offset || extent_end > segment->size ||
            extent_end - first->offset > READ_MAX) {
            break;
        }
        end = MAX(end, extent_end);
    }
    submit(spool, read, segment, first->offset, (uint32_t)end);
}

static void read_begin(struct spool *spool, struct spool_read *read)
{
    const struct spool_message *message = read->message;
    struct spool_segment *segment = spool_slot(spool, message->segment);
    const uint32_t before = message->disk_size - message->record_size;
    uint32_t begin = message->offset;
    if (before <= GUESS_MAX) begin -= MIN(before, begin - FORMAT_PAGE);
    list_push_back(&spool->reads, &read->link);
    submit(spool, read, segment, begin, message->offset + message->record_size);
}

/* Content in use by deliveries leaves half of the memory to new mail. One may always go on. */
static bool may_pin(const struct spool *spool, const struct spool_message *message)
{
    return message->pins > 0 || spool->pinned == 0 ||
           spool->pinned + message->content_size <= spool->options.memory_max / 2;
}

void spool_reads_start(struct spool *spool)
{
    while (!list_is_empty(&spool->reads_waiting) && spool->reads_in_flight < SPOOL_READS_MAX) {
        struct spool_read *read = CONTAINER_OF(spool->reads_waiting.next, struct spool_read, link);
        if (read->message->body != NULL || !may_pin(spool, read->message)) return;
        const bool room = spool_body_evict(spool, read->memory);
        if (!room && !list_is_empty(&spool->reads)) return;
        list_remove(&read->link);
        read->charged = read->message->content_size;
        spool->pinned += read->charged;
        read_begin(spool, read);
    }
}

/* The first of those that wait may be in memory still: then it only waited for its turn. */
void spool_loads_tell(struct spool *spool)
{
    while (!list_is_empty(&spool->reads_waiting)) {
        struct spool_read *read = CONTAINER_OF(spool->reads_waiting.next, struct spool_read, link);
        if (read->message->body == NULL || !may_pin(spool, read->message)) break;
        read_end(spool, read, SPOOL_OK);
    }
    spool_reads_start(spool);
}

bool spool_message_load(struct spool *spool, struct spool_message *message, struct spool_load *load)
{
    ASSERT(message->flags & MESSAGE_ATTACHED);
    struct spool_read *read = NULL;
    if (message->body != NULL && !(message->flags & MESSAGE_READING) && may_pin(spool, message)) {
        spool_message_pin(spool, message, 1);
        return true;
    }
    load->message = message;
    list_init(&load->link);
    if (message->flags & MESSAGE_READING) {
        read = read_find(&spool->reads, message);
        if (read == NULL) read = read_find(&spool->reads_waiting, message);
    } else {
        read = base_alloc(sizeof(*read));
        read->spool = spool;
        read->message = message;
        list_init(&read->waiters);
        list_init(&read->link);
        read->checked_slot = UINT32_MAX;
        read->memory = (uint64_t)message->content_size + message->record_size;
        message->flags |= MESSAGE_READING;
        list_push_back(&spool->reads_waiting, &read->link);
    }
    list_push_back(&read->waiters, &load->link);
    spool_reads_start(spool);
    return false;
}
