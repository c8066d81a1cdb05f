/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_spool_recovery - arbitrary octets as segments of a log
 *
 * First octet: 0 - the rest is the file as it is; 1 - a good header, the rest behind it; 2 - the
 * rest is a list of records {type, length (2), payload}, which are framed and summed here, so that
 * payloads get past the checks. Type 0 begins a batch at the next page (its payload is that of the
 * BATCH record), 100 begins another segment with generation payload[0], 101 is garbage, 102 begins
 * a segment with generation payload[1] in folder payload[0], of this worker, of one that is no
 * more, or taken over before, 103 flips bits payload[1] of octet payload[0] of the segment's
 * header.
 *
 * The log is recovered, every message loaded, some ended, and recovered once more: then exactly
 * those must be there that were left. Bit 6 of the first octet: first as one of two workers. Bit 7:
 * the same octets are recovered from our own folder, then from one that is to be adopted, and must
 * hold the same messages.
 */
#include "fake_ring.h"
#include "format.h"
#include "ringpost/scan.h"
#include "ringpost/spool.h"
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SEGMENT = 1 << 20,
    LOG_ID = 77,
    MESSAGES_MAX = 500,
    CONTENT_MAX = 4 << 20,
    TURNS = 300,
    SEGMENTS_MAX = 6
};

/* ---- the disk -----------------------------------------------------------------------------------
 */

/* The first is our own; 1 and 2 are adopted, the others stand where an adoption left them. */
static const char *const folders[] = {"w00",
                                      "w01",
                                      "w02",
                                      "w00/from-w03-0000000000000001",
                                      "w00/from-w04-0000000000000002/from-w05-0000000000000003",
                                      "w00/from-w06-0000000000000004-dead"};

struct builder {
    struct fake_disk *disk;
    unsigned folder;
    bool one_folder; /* whatever the input says */
    char *file;
    size_t at;
    uint32_t number;
    uint64_t generation, sequence;
};

static void begin_file(struct builder *builder, uint64_t generation)
{
    const struct disk_header header = {
        .number = ++builder->number,
        .log_id = LOG_ID + builder->folder,
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

/* All folders of a path, which recovery finds by their names. */
static void make_folders(struct fake_disk *disk, const char *path)
{
    struct ring *ring = fake_ring_new(disk, 1);
    char folder[128];
    for (const char *slash = path; slash != NULL;) {
        slash = strchr(slash + 1, '/');
        const size_t len = slash == NULL ? strlen(path) : (size_t)(slash - path);
        snprintf(folder, sizeof(folder), "%.*s", (int)len, path);
        ASSERT(ring_path_make_folder(ring, folder) == 0);
    }
    fake_ring_free(&ring);
}

static void end_file(struct builder *builder)
{
    char path[128];
    snprintf(path, sizeof(path), "/spool/%s", folders[builder->folder]);
    make_folders(builder->disk, path);
    const size_t len = strlen(path);
    snprintf(path + len, sizeof(path) - len, "/%010u.seg", builder->number);
    fake_disk_put(builder->disk, path, builder->file, SEGMENT);
}

static void put_record(struct builder *builder, uint8_t type, const uint8_t *payload, size_t len)
{
    const struct record_key key = record_key_of(LOG_ID + builder->folder);
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

static void put_item(struct builder *builder, uint8_t type, const uint8_t *payload, size_t len)
{
    switch (type) {
    case 0:
        builder->at = MIN((size_t)page_up((uint32_t)builder->at), (size_t)SEGMENT);
        put_record(builder, RECORD_BATCH, payload, len);
        return;
    case 100:
        end_file(builder);
        begin_file(builder, len > 0 ? payload[0] : 1);
        return;
    case 101:
        if (len == 0 || builder->at + len + 8 >= SEGMENT) return;
        memcpy(builder->file + builder->at, payload, len);
        builder->at += record_pad((uint32_t)len);
        return;
    case 102:
        end_file(builder);
        if (!builder->one_folder) {
            builder->folder = len > 0 ? payload[0] % ARRAY_COUNT(folders) : 1;
        }
        begin_file(builder, len > 1 ? payload[1] : 1);
        return;
    case 103:
        if (len < 2) return;
        builder->file[payload[0]] ^= (char)payload[1];
        if (payload[0] & 1) builder->file[FORMAT_HEADER_COPY + payload[0]] ^= (char)payload[1];
        return;
    default:
        put_record(builder, type, payload, len);
    }
}

static void put_records(struct builder *builder, const uint8_t *data, size_t size)
{
    begin_file(builder, 1);
    while (size >= 3 && builder->number < SEGMENTS_MAX) {
        const uint8_t type = data[0];
        const size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
        data += 3;
        put_item(builder, type, data, len);
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
    uint64_t envelope_hash;
    bool alive;
};
struct queue {
    struct spool *spool;
    bool looks; /* takes all that is found, and changes nothing */
    struct message messages[MESSAGES_MAX];
    uint32_t count;
};
struct left { /* after a life: what the next one must find */
    uint64_t id, envelope_hash;
    bool found;
};
static struct left left[MESSAGES_MAX];
static uint32_t left_count;
static bool left_known; /* false: the first life, anything goes */

static void expect(uint64_t id, uint64_t envelope_hash)
{
    if (!left_known) return;
    for (uint32_t i = 0; i < left_count; i++) {
        if (left[i].id != id) continue;
        ASSERT(!left[i].found && left[i].envelope_hash == envelope_hash);
        left[i].found = true;
        return;
    }
    UNREACHABLE("a message that was ended is there again");
}

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
    expect(id, hash_bytes(2, envelope));
    if (queue->count == MESSAGES_MAX || (!queue->looks && (id & 7) == 3)) return NULL;
    struct message *message = &queue->messages[queue->count++];
    *message = (struct message){.envelope_hash = hash_bytes(2, envelope), .alive = sum != 1};
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

static void load_all(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        struct message *message = &queue->messages[i];
        message->load.on_loaded = on_loaded;
        if (!message->alive || message->handle.content_size > CONTENT_MAX) continue;
        if (spool_message_load(queue->spool, &message->handle, &message->load)) {
            on_loaded(&message->load, SPOOL_OK);
        }
    }
}

static void end_some(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        struct message *message = &queue->messages[i];
        if (!message->alive) continue;
        if (i % 3 == 0) spool_message_changed(queue->spool, &message->handle);
        if (i % 3 != 1) continue;
        message->alive = false;
        spool_message_done(queue->spool, &message->handle);
    }
}

static void release_all(struct queue *queue)
{
    for (uint32_t i = 0; left_known && i < left_count; i++)
        ASSERT(left[i].found);
    left_count = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        struct message *message = &queue->messages[i];
        if (!message->alive) continue;
        left[left_count++] = (struct left){message->handle.id, message->envelope_hash, false};
        spool_message_release(queue->spool, &message->handle);
    }
    left_known = true;
}

/* workers: with one, all other folders are adopted by us. */
static void live_once(struct fake_disk *disk, uint64_t seed, uint32_t workers, bool looks)
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
    queue.looks = looks;
    loading = &queue;
    queue.spool = spool_create(ring, 0, workers, &options, &callbacks, &queue, &events, &metrics,
                               why, sizeof(why));
    if (queue.spool != NULL) {
        if (!looks) load_all(&queue);
        run(ring, &queue);
        if (!looks) end_some(&queue);
        run(ring, &queue);
        release_all(&queue);
        spool_destroy(&queue.spool);
    } else {
        ASSERT(why[0] != '\0');
    }
    for (int i = 0; i < 4; i++)
        ring_turn(ring, ring_now(ring), 64);
    fake_ring_free(&ring);
    event_sink_deinit(&events);
}

static struct fake_disk *build(unsigned mode, const uint8_t *data, size_t size, bool one_folder,
                               unsigned folder)
{
    static char file[SEGMENT];
    struct builder builder = {
        .disk = fake_disk_new(), .folder = folder, .one_folder = one_folder, .file = file};
    if (mode % 3 == 2) {
        put_records(&builder, data, size);
    } else {
        begin_file(&builder, 1);
        if (size > 0) memcpy(file + (mode % 3 == 1 ? FORMAT_PAGE : 0), data, size);
        end_file(&builder);
    }
    return builder.disk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { OWN, ADOPTED };
    if (size == 0) return 0;
    const uint8_t mode = data[0];
    const bool twice = mode & 128, two_workers = mode & 64;
    data += 1;
    size = MIN(size - 1, (size_t)SEGMENT - FORMAT_PAGE);
    left_known = false;
    left_count = 0;
    if (twice) {
        struct fake_disk *own = build(mode, data, size, true, OWN);
        live_once(own, 4, 1, true);
        fake_disk_free(&own);
    }
    struct fake_disk *disk = build(mode, data, size, twice, twice ? ADOPTED : OWN);
    live_once(disk, 1, two_workers && !twice ? 2 : 1, false);
    if (two_workers) left_known = false; /* now the other worker's are ours as well */
    live_once(disk, 2, 1, false);
    live_once(disk, 3, 1, false);
    fake_disk_free(&disk);
    return 0;
}
