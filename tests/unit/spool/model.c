/* SPDX-License-Identifier: Apache-2.0
 *
 * model - what must survive, and the checks
 */
#include "model.h"
#include <stdio.h>
#include <stdlib.h>

enum { PATTERN = 4093 };
static char pattern[2 * PATTERN];

/* A check that stays on and says where. */
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "seed %llu, start %u: %s (%s:%d)\n", (unsigned long long)model->seed,  \
                    model->starts, #x, __FILE__, __LINE__);                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static bool id_equals(const void *item, const void *key)
{
    return ((const struct item *)item)->envelope.id == *(const uint64_t *)key;
}
struct item *model_find(const struct model *model, uint64_t id)
{
    return table_find(&model->by_id, hash_u64(id), id_equals, &id);
}

static const char *content_at(uint32_t seed, uint64_t offset)
{
    return pattern + (seed * 7919u + offset) % PATTERN; /* at least PATTERN octets */
}

/* ---- checking content ---------------------------------------------------------------------------
 */

/* Source offset of the next octet that was not cut out, at or behind `at`; how many follow. */
static uint64_t next_kept(const struct envelope *envelope, uint64_t at, uint64_t *len)
{
    *len = envelope->size - at;
    for (uint32_t i = 0; i < envelope->cut_count; i++) {
        const uint64_t from = envelope->cuts[i][0], end = from + envelope->cuts[i][1];
        if (at >= end) continue;
        if (at < from) {
            *len = from - at;
            break;
        }
        at = end;
        *len = envelope->size - at;
    }
    return at;
}

static void check_view(struct model *model, const struct item *item)
{
    const struct spool_view view = spool_message_view(&item->handle);
    const struct envelope *envelope = &item->envelope;
    uint64_t at = 0, total = 0;
    CHECK(view.envelope.len == sizeof(*envelope) + envelope->filler);
    CHECK(memcmp(view.envelope.data, envelope, sizeof(*envelope)) == 0);
    uint32_t piece = 0;
    CHECK(view.prefix_pieces == (envelope->prefix > 0));
    if (envelope->prefix > 0) {
        CHECK(view.pieces[0].len == envelope->prefix);
        CHECK(memcmp(view.pieces[0].data, content_at(envelope->seed + 1, 0), envelope->prefix) ==
              0);
        total = view.pieces[0].len;
        piece = 1;
    }
    for (; piece < view.piece_count; piece++) {
        struct bytes rest = view.pieces[piece];
        CHECK(rest.len > 0);
        total += rest.len;
        while (rest.len > 0) {
            uint64_t len;
            at = next_kept(envelope, at, &len);
            const size_t part = MIN(MIN(rest.len, len), (size_t)PATTERN);
            CHECK(part > 0);
            CHECK(memcmp(rest.data, content_at(envelope->seed, at), part) == 0);
            rest = bytes_skip(rest, part);
            at += part;
        }
    }
    uint64_t left;
    next_kept(envelope, at, &left);
    CHECK(left == 0);
    CHECK(total == item->handle.content_size);
}

/* ---- callbacks of the spool ---------------------------------------------------------------------
 */

struct state {
    uint64_t id, version;
};

static void describe(void *context, const struct spool_message *message, struct text *out)
{
    struct model *model = context;
    const struct item *item = model_find(model, message->id);
    CHECK(item != NULL && &item->handle == message);
    const struct state state = {message->id, item->version};
    text_put(out, (struct bytes){(const char *)&state, sizeof(state)});
    for (uint32_t left = model->state_filler; left > 0;) {
        const uint32_t len = MIN(left, (uint32_t)PATTERN);
        text_put(out, (struct bytes){pattern, len});
        left -= len;
    }
}

static struct item *item_new(struct model *model)
{
    struct item *item = base_alloc(sizeof(*item));
    item->model = model;
    list_push_back(&model->items, &item->link);
    return item;
}

static struct spool_message *recovered(void *context, uint64_t id, struct bytes envelope,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s)
{
    struct model *model = context;
    struct item *item = model_find(model, id);
    (void)content_size;
    if (model->collect && item == NULL) {
        item = item_new(model);
        CHECK(envelope.len >= sizeof(item->envelope));
        memcpy(&item->envelope, envelope.data, sizeof(item->envelope));
        item->state = ITEM_LIVE;
        item->version = UINT64_MAX;
        table_add(&model->by_id, hash_u64(id), item);
    }
    CHECK(item != NULL);
    CHECK(!item->recovered);
    CHECK(envelope.len == sizeof(item->envelope) + item->envelope.filler);
    CHECK(memcmp(envelope.data, &item->envelope, sizeof(item->envelope)) == 0);
    CHECK(content_flags == (uint8_t)item->envelope.seed && created_s == 1700000000);
    if (getenv("MODEL_TRACE"))
        fprintf(stderr, "found %llx state %u settled %u vague %u size %u\n", (unsigned long long)id,
                item->state, item->settled, item->vague, item->envelope.size);
    CHECK(item->state == ITEM_LIVE || item->state == ITEM_COMMITTING || item->vague ||
          (item->state == ITEM_DONE && !item->settled) || model->tolerant);
    uint64_t version = 0;
    if (state.len > 0) {
        struct state found;
        CHECK(state.len >= sizeof(found));
        memcpy(&found, state.data, sizeof(found));
        CHECK(found.id == id);
        version = found.version;
    }
    CHECK(version <= item->version);
    if (getenv("MODEL_TRACE") && version < item->settled_version)
        fprintf(stderr, "id %llx version %llu settled %llu now %llu\n", (unsigned long long)id,
                (unsigned long long)version, (unsigned long long)item->settled_version,
                (unsigned long long)item->version);
    CHECK(version >= item->settled_version || model->tolerant);
    item->version = version;
    item->recovered = true;
    model->recovered += 1;
    if (model->drop_recovered) return NULL;
    item->state = ITEM_LIVE;
    item->vague = false;
    item->durable = true;
    return &item->handle;
}

static void note_found(void *context, struct bytes key, struct bytes value)
{
    struct model *model = context;
    CHECK(key.len == 5 && value.len == sizeof(uint32_t));
    const uint32_t index = (uint32_t)(key.data[4] - '0');
    CHECK(index < MODEL_NOTES);
    uint32_t found;
    memcpy(&found, value.data, sizeof(found));
    model->note_found[index] = MAX(model->note_found[index], found);
}

static void damaged(void *context, struct spool_message *message)
{
    struct model *model = context;
    struct item *item = CONTAINER_OF(message, struct item, handle);
    CHECK(!item->damaged);
    item->damaged = true;
    model->damaged += 1;
}

static const struct spool_callbacks callbacks = {describe, recovered, note_found, damaged};

/* ---- messages -----------------------------------------------------------------------------------
 */

struct item *model_begin(struct model *model, struct spool *spool, uint32_t size)
{
    struct item *item = item_new(model);
    item->spool = spool;
    spool_draft_begin(&item->draft, spool);
    CHECK(model_find(model, item->draft.id) == NULL);
    item->envelope = (struct envelope){
        .id = item->draft.id,
        .seed = (uint32_t)random_u64(&model->random),
        .size = size,
        .filler = (uint32_t)random_below(&model->random, 200),
        .prefix = (uint32_t)random_below(&model->random, 3) * 150,
    };
    table_add(&model->by_id, hash_u64(item->envelope.id), item);
    return item;
}

/* The draft shows what was put into it, from the offset on. */
static uint64_t read_draft(struct item *item, struct spool_cursor *cursor, uint64_t at)
{
    struct model *model = item->model;
    while (at < item->filled) {
        struct bytes some = spool_draft_read(&item->draft, cursor, at);
        if (some.len == 0) {
            CHECK(item->draft.result != SPOOL_OK);
            break;
        }
        CHECK(some.len <= item->filled - at);
        while (some.len > 0) {
            const size_t part = MIN(some.len, (size_t)PATTERN);
            CHECK(memcmp(some.data, content_at(item->envelope.seed, at), part) == 0);
            some = bytes_skip(some, part);
            at += part;
        }
    }
    return at;
}

void model_fill(struct item *item, uint32_t len)
{
    struct model *model = item->model;
    len = MIN(len, item->envelope.size - item->filled);
    while (len > 0) {
        size_t room;
        char *to = spool_draft_room(&item->draft, &room);
        CHECK(room > 0);
        uint32_t part = (uint32_t)MIN(MIN(room, len), (size_t)PATTERN);
        memcpy(to, content_at(item->envelope.seed, item->filled), part);
        spool_draft_add(&item->draft, part);
        item->filled += part;
        len -= part;
        /* A reader that follows, at times from within what was staged, is not led astray. */
        if (item->filled % 5 < 3) item->read = read_draft(item, &item->cursor, item->read);
    }
}

void model_fill_all(struct item *item)
{
    model_fill(item, item->envelope.size - item->filled);
}

void model_cut_out(struct item *item, uint32_t from, uint32_t len)
{
    struct envelope *envelope = &item->envelope;
    if (envelope->cut_count == MODEL_CUTS_MAX) return;
    spool_draft_cut(&item->draft, from, len);
    envelope->cuts[envelope->cut_count][0] = from;
    envelope->cuts[envelope->cut_count][1] = len;
    envelope->cut_count += 1;
}

static void on_committed(struct spool_draft *draft, enum spool_result result)
{
    struct item *item = CONTAINER_OF(draft, struct item, draft);
    struct model *model = item->model;
    CHECK(item->state == ITEM_COMMITTING);
    if (result == SPOOL_OK) {
        check_view(model, item);
        spool_message_unpin(item->spool, &item->handle);
        if (model->dead) { /* the answer never left */
            spool_message_release(item->spool, &item->handle);
            return;
        }
        item->state = ITEM_LIVE;
        item->durable = model->options.durability == SPOOL_COMMIT;
        return;
    }
    if (model->dead) return;
    item->state = ITEM_REFUSED;
    item->vague = true; /* until the spool has come to rest */
    model->refused += 1;
}

void model_commit(struct item *item)
{
    struct model *model = item->model;
    char envelope[sizeof(item->envelope) + 256];
    memcpy(envelope, &item->envelope, sizeof(item->envelope));
    memcpy(envelope + sizeof(item->envelope), pattern, item->envelope.filler);
    CHECK(item->filled == item->envelope.size);
    CHECK(item->draft.content_size == item->filled);
    struct spool_cursor cursor = {0};
    read_draft(item, &item->cursor, item->read);
    read_draft(item, &cursor, 0);
    read_draft(item, &item->cursor, 0); /* back to the beginning */
    item->state = ITEM_COMMITTING;
    spool_draft_commit(
        &item->draft, &item->handle,
        (struct bytes){envelope, sizeof(item->envelope) + item->envelope.filler},
        (struct bytes){content_at(item->envelope.seed + 1, 0), item->envelope.prefix},
        (uint8_t)item->envelope.seed, 1700000000123, on_committed);
}

void model_abort(struct item *item)
{
    spool_draft_abort(&item->draft);
    item->state = ITEM_REFUSED;
}

struct item *model_accept(struct model *model, uint32_t worker, uint32_t size)
{
    struct item *item = model_begin(model, model->spools[worker], size);
    model_fill_all(item);
    model_commit(item);
    return item;
}

void model_change(struct item *item)
{
    item->version += 1;
    spool_message_changed(item->spool, &item->handle);
}

void model_done(struct item *item)
{
    item->state = ITEM_DONE;
    item->loading = false;
    spool_message_done(item->spool, &item->handle);
}

static void on_loaded(struct spool_load *load, enum spool_result result)
{
    struct item *item = CONTAINER_OF(load, struct item, load);
    struct model *model = item->model;
    item->loading = false;
    if (result != SPOOL_OK) {
        CHECK(item->damaged || model->tolerant || model->dead);
        model->loads_failed += 1;
        return;
    }
    check_view(model, item);
    item->checked = true;
    spool_message_unpin(item->spool, &item->handle);
}

void model_load(struct item *item)
{
    if (item->loading) return;
    item->load = (struct spool_load){.on_loaded = on_loaded};
    item->loading = true;
    if (spool_message_load(item->spool, &item->handle, &item->load)) {
        on_loaded(&item->load, SPOOL_OK);
    }
}

void model_note(struct model *model, uint32_t key, uint32_t value)
{
    char name[8];
    struct bytes bytes = {(const char *)&value, value == 0 ? 0 : sizeof(value)};
    snprintf(name, sizeof(name), "note%u", key);
    model->notes[key].value = value;
    model->notes[key].last = MAX(model->notes[key].last, value);
    model->notes[key].forgotten |= value == 0;
    spool_note(model->spools[0], bytes_of(name), bytes);
}

struct item *model_pick(struct model *model, enum item_state state)
{
    struct item *picked = NULL;
    uint32_t count = 0;
    LIST_FOR_EACH(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        if (item->state != state) continue;
        if (random_below(&model->random, ++count) == 0) picked = item;
    }
    return picked;
}

void model_drop(struct item *item)
{
    table_remove(&item->model->by_id, hash_u64(item->envelope.id), item);
    list_remove(&item->link);
    base_free(item);
}

/* ---- the run ------------------------------------------------------------------------------------
 */

void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.seed = seed};
    random_init(&model->random, seed);
    struct random fixed;
    random_init(&fixed, 1);
    for (size_t i = 0; i < PATTERN; i++)
        pattern[i] = pattern[i + PATTERN] = (char)random_u64(&fixed);
    list_init(&model->items);
    table_init(&model->by_id);
    model->disk = fake_disk_new();
    const struct event_options options = {.level = EVENT_DEBUG, .buffers_max = 64};
    event_sink_init(&model->events, &options);
    model->options = (struct spool_options){
        .path = "/spool",
        .durability = SPOOL_COMMIT,
        .segment_size = 1 << 20,
        .memory_max = 4 << 20,
        .message_size_max = 50 << 20,
    };
}

void model_look(struct model *look, struct model *from, struct fake_disk *copy)
{
    model_init(look, from->seed);
    fake_disk_free(&look->disk);
    look->disk = copy;
    look->options = from->options;
    look->collect = look->tolerant = true;
}

void model_deinit(struct model *model)
{
    while (!list_is_empty(&model->items))
        model_drop(CONTAINER_OF(model->items.next, struct item, link));
    table_deinit(&model->by_id);
    event_sink_deinit(&model->events);
    fake_disk_free(&model->disk);
}

/* What recovery found against what must, may and must not be there. */
static void check_found(struct model *model)
{
    model->live = 0;
    LIST_FOR_EACH_SAFE(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        if (item->recovered) {
            item->settled_version = item->version;
            item->recovered = item->checked = item->loading = item->damaged = false;
            item->settled = false;
            if (model->drop_recovered) item->state = ITEM_DONE;
            model->live += !model->drop_recovered;
            continue;
        }
        if (item->state == ITEM_LIVE && item->durable && !model->drop_recovered) {
            if (!model->tolerant) {
                fprintf(stderr, "lost: id %llx size %u\n", (unsigned long long)item->envelope.id,
                        item->envelope.size);
            }
            CHECK(model->tolerant);
            model->missing += 1;
        }
        model_drop(item);
    }
    for (uint32_t i = 0; i < MODEL_NOTES; i++) {
        struct model_note *note = &model->notes[i];
        const uint32_t found = model->note_found[i];
        if (!model->tolerant) {
            const bool written_since = found > note->settled && found <= note->last;
            CHECK(found == note->settled || written_since || (found == 0 && note->forgotten));
        }
        note->value = note->settled = note->last = found;
        note->forgotten = false;
    }
}

bool model_start(struct model *model, uint32_t workers)
{
    char why[2048];
    model->starts += 1;
    model->dead = false;
    model->recovered = 0;
    memset(model->note_found, 0, sizeof(model->note_found));
    model->ring = fake_ring_new(model->disk, random_u64(&model->random));
    model->workers = workers;
    LIST_FOR_EACH(node, &model->items)
    {
        CONTAINER_OF(node, struct item, link)->spool = NULL;
    }
    for (uint32_t i = 0; i < workers; i++) {
        const uint32_t before = model->recovered;
        model->spools[i] = spool_create(model->ring, i, workers, &model->options, &callbacks, model,
                                        &model->events, &model->metrics, why, sizeof(why));
        if (model->spools[i] == NULL) {
            fprintf(stderr, "spool_create: %s\n", why);
            return false;
        }
        if (before == model->recovered) continue;
        LIST_FOR_EACH(node, &model->items)
        {
            struct item *item = CONTAINER_OF(node, struct item, link);
            if (item->recovered && item->spool == NULL) item->spool = model->spools[i];
        }
    }
    check_found(model);
    return true;
}

static void settle_marks(struct model *model)
{
    for (uint32_t i = 0; i < model->workers; i++) {
        if (!spool_is_idle(model->spools[i])) return;
    }
    LIST_FOR_EACH_SAFE(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        item->settled_version = item->version;
        if (item->state == ITEM_DONE) item->settled = true;
        if (item->state == ITEM_LIVE) item->durable = true;
        item->vague = false;
    }
    for (uint32_t i = 0; i < MODEL_NOTES; i++) {
        model->notes[i].settled = model->notes[i].last = model->notes[i].value;
        model->notes[i].forgotten = false;
    }
}

void model_turn(struct model *model)
{
    fake_ring_run(model->ring);
    event_set_time(&model->events, ring_wall(model->ring));
    for (uint32_t i = 0; i < model->workers; i++)
        spool_flush(model->spools[i]);
    settle_marks(model);
}

void model_settle(struct model *model)
{
    for (uint32_t turn = 0; turn < 100000; turn++) {
        bool idle = true;
        model_turn(model);
        for (uint32_t i = 0; i < model->workers; i++)
            idle &= spool_is_idle(model->spools[i]);
        if (idle) return;
    }
    CHECK(!"the spool does not come to rest");
}

void model_check_contents(struct model *model)
{
    model_settle(model); /* what is being committed becomes live now */
    LIST_FOR_EACH(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        if (item->state == ITEM_LIVE && !item->checked) model_load(item);
    }
    model_settle(model);
    LIST_FOR_EACH(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        if (item->state == ITEM_LIVE) CHECK(item->checked || item->damaged || model->tolerant);
    }
}

void model_stop(struct model *model, bool cut)
{
    if (cut) {
        model->dead = true;
        fake_ring_cut(model->ring);
    } else {
        *fake_ring_faults(model->ring) = (struct fake_faults){.space = -1};
    }
    LIST_FOR_EACH(node, &model->items)
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        if (item->state == ITEM_LIVE) {
            spool_message_release(item->spool, &item->handle);
            item->loading = false;
        }
        if (item->state == ITEM_DRAFT) {
            spool_draft_abort(&item->draft);
            item->state = ITEM_REFUSED;
        }
    }
    model->dead = true; /* answers that come now are not heard */
    for (uint32_t i = 0; i < model->workers; i++)
        spool_destroy(&model->spools[i]);
    if (!cut) { /* all was written */
        LIST_FOR_EACH(node, &model->items)
        {
            struct item *item = CONTAINER_OF(node, struct item, link);
            item->settled_version = item->version;
            if (item->state == ITEM_DONE) item->settled = true;
            item->durable |= item->state == ITEM_LIVE && model->options.durability == SPOOL_COMMIT;
        }
        for (uint32_t i = 0; i < MODEL_NOTES; i++)
            model->notes[i].settled = model->notes[i].last = model->notes[i].value;
        fake_ring_cut(model->ring); /* and now nothing that is not durable stays */
    }
    for (uint32_t i = 0; i < 100; i++)
        ring_turn(model->ring, ring_now(model->ring), 64);
    fake_ring_free(&model->ring);
}

char *model_log(struct model *model)
{
    struct event_buffer *buffer;
    size_t len = 0;
    char *all = base_alloc(1);
    while ((buffer = event_take(&model->events, EVENT_LOG, true)) != NULL) {
        while (buffer != NULL) {
            struct inbox_node *next = buffer->node.next;
            all = base_realloc(all, len + buffer->len + 1);
            memcpy(all + len, buffer->data, buffer->len);
            len += buffer->len;
            event_return(&model->events, buffer);
            buffer = next == NULL ? NULL : CONTAINER_OF(next, struct event_buffer, node);
        }
    }
    all[len] = '\0';
    return all;
}
