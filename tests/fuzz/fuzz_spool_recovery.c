/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_spool_recovery - arbitrary octets as segments of a log
 *
 * First octet: 0 - the rest is the file as it is; 1 - a good header, the rest behind it; 2 - the
 * rest is a list of records {type, length (2), payload}, which are framed and summed here, so that
 * payloads get past the checks. Type 0 begins a batch at the next page (its payload is that of the
 * BATCH record), 100 begins another segment with generation payload[0], 101 is garbage.
 *
 * The log is recovered, every message loaded, some ended, and recovered once more.
 */
#include "fake_ring.h"
#include "format.h"
#include "ringpost/scan.h"
#include "ringpost/spool.h"
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT = 1 << 20, LOG_ID = 77, MESSAGES_MAX = 500, CONTENT_MAX = 4 << 20, TURNS = 300 };

/* ---- the disk -----------------------------------------------------------------------------------
 */

struct builder {
    struct fake_disk *disk;
    char *file;
    size_t at;
    uint32_t number;
    uint64_t generation, sequence;
};

static void begin_file(struct builder *builder, uint64_t generation)
{
    const struct disk_header header = {
        .number = ++builder->number,
        .log_id = LOG_ID,
        .generation = generation,
        .size = SEGMENT,
        .batch = 1,
        .next_id = 5,
    };
    builder->generation = generation;
    memset(builder->file, 0, SEGMENT);
    header_write(builder->file, &header);
    builder->at = FORMAT_PAGE;
}

static void end_file(struct builder *builder)
{
    char path[64];
    snprintf(path, sizeof(path), "/spool/w00/%010u.seg", builder->number);
    fake_disk_put(builder->disk, path, builder->file, SEGMENT);
}

static void put_record(struct builder *builder, uint8_t type, const uint8_t *payload, size_t len)
{
    const struct record_key key = record_key_of(LOG_ID);
    struct record_head head = {
        .payload_crc = scan_crc32c(0, payload, len),
        .length = (uint32_t)len,
        .sequence = ++builder->sequence,
        .generation = builder->generation,
        .type = type,
    };
    if (builder->at + record_size((uint32_t)len) > SEGMENT) return;
    record_close(&key, &head);
    memcpy(builder->file + builder->at, &head, sizeof(head));
    if (len > 0) memcpy(builder->file + builder->at + sizeof(head), payload, len);
    builder->at += record_size((uint32_t)len);
}

static void put_records(struct builder *builder, const uint8_t *data, size_t size)
{
    begin_file(builder, 1);
    while (size >= 3 && builder->number < 6) {
        const uint8_t type = data[0];
        const size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
        data += 3;
        if (type == 100) {
            end_file(builder);
            begin_file(builder, len > 0 ? data[0] : 1);
        } else if (type == 101) {
            if (len > 0 && builder->at + len + 8 < SEGMENT) {
                memcpy(builder->file + builder->at, data, len);
                builder->at += record_pad((uint32_t)len);
            }
        } else if (type == 0) {
            builder->at = MIN((size_t)page_up((uint32_t)builder->at), (size_t)SEGMENT);
            put_record(builder, RECORD_BATCH, data, len);
        } else {
            put_record(builder, type, data, len);
        }
        data += len;
        size -= 3 + len;
    }
    end_file(builder);
}

/* ---- the queue over it --------------------------------------------------------------------------
 */

struct message {
    struct spool_message handle;
    struct spool_load load;
    bool alive;
};
struct queue {
    struct spool *spool;
    struct message messages[MESSAGES_MAX];
    uint32_t count;
};

static void describe(void *context, const struct spool_message *message, struct text *out)
{
    (void)context;
    text_printf(out, "%llx", (unsigned long long)message->id);
}
static struct spool_message *recovered(void *context, uint64_t id, struct bytes envelope,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s)
{
    struct queue *queue = context;
    uint64_t sum = hash_bytes(0, envelope) ^ hash_bytes(0, state); /* every octet is readable */
    sum += content_size + content_flags + created_s;
    if (queue->count == MESSAGES_MAX || (id & 7) == 3) return NULL;
    struct message *message = &queue->messages[queue->count++];
    *message = (struct message){.alive = sum != 1};
    return &message->handle;
}
static void note(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    if (hash_bytes(0, key) == 1 && hash_bytes(0, value) == 1) printf("rare\n");
}
static void damaged(void *context, struct spool_message *message)
{
    struct queue *queue = context;
    struct message *mine = CONTAINER_OF(message, struct message, handle);
    if (message->id & 1) return;
    mine->alive = false; /* some end it at once */
    spool_message_done(queue->spool, message);
}
static struct queue *loading; /* loads do not carry a context */
static void on_loaded(struct spool_load *load, enum spool_result result)
{
    struct message *message = CONTAINER_OF(load, struct message, load);
    if (result != SPOOL_OK) return;
    const struct spool_view view = spool_message_view(&message->handle);
    uint64_t total = 0;
    for (uint32_t i = 0; i < view.piece_count; i++)
        total += view.pieces[i].len + (hash_bytes(1, view.pieces[i]) == 1);
    ASSERT(total >= message->handle.content_size);
    spool_message_unpin(loading->spool, &message->handle);
}

static void run(struct ring *ring, struct queue *queue)
{
    for (uint32_t i = 0; i < TURNS && !spool_is_idle(queue->spool); i++) {
        spool_flush(queue->spool);
        fake_ring_run(ring);
    }
}

static void live_once(struct fake_disk *disk, uint64_t seed)
{
    static struct queue queue;
    static struct metrics metrics;
    static const struct spool_callbacks callbacks = {describe, recovered, note, damaged};
    const struct spool_options options = {
        .path = "/spool", .segment_size = SEGMENT, .memory_max = 4 << 20};
    const struct event_options event_options = {.level = EVENT_ERROR, .buffers_max = 2};
    struct event_sink events;
    char why[256];
    struct ring *ring = fake_ring_new(disk, seed);
    event_sink_init(&events, &event_options);
    queue.count = 0;
    loading = &queue;
    queue.spool =
        spool_create(ring, 0, 1, &options, &callbacks, &queue, &events, &metrics, why, sizeof(why));
    if (queue.spool != NULL) {
        for (uint32_t i = 0; i < queue.count; i++) {
            struct message *message = &queue.messages[i];
            message->load.on_loaded = on_loaded;
            if (!message->alive || message->handle.content_size > CONTENT_MAX) continue;
            if (spool_message_load(queue.spool, &message->handle, &message->load)) {
                on_loaded(&message->load, SPOOL_OK);
            }
        }
        run(ring, &queue);
        for (uint32_t i = 0; i < queue.count; i++) {
            struct message *message = &queue.messages[i];
            if (!message->alive) continue;
            if (i % 3 == 0) spool_message_changed(queue.spool, &message->handle);
            if (i % 3 != 1) continue;
            message->alive = false;
            spool_message_done(queue.spool, &message->handle);
        }
        run(ring, &queue);
        for (uint32_t i = 0; i < queue.count; i++) {
            if (queue.messages[i].alive) {
                spool_message_release(queue.spool, &queue.messages[i].handle);
            }
        }
        spool_destroy(&queue.spool);
    }
    for (int i = 0; i < 4; i++)
        ring_turn(ring, ring_now(ring), 64);
    fake_ring_free(&ring);
    event_sink_deinit(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char file[SEGMENT];
    if (size == 0) return 0;
    struct builder builder = {.disk = fake_disk_new(), .file = file};
    const uint8_t mode = data[0];
    data += 1;
    size = MIN(size - 1, (size_t)SEGMENT - FORMAT_PAGE);
    if (mode % 3 == 2) {
        put_records(&builder, data, size);
    } else {
        begin_file(&builder, 1);
        if (size > 0) memcpy(file + (mode % 3 == 1 ? FORMAT_PAGE : 0), data, size);
        end_file(&builder);
    }
    live_once(builder.disk, 1);
    live_once(builder.disk, 2);
    fake_disk_free(&builder.disk);
    return 0;
}
