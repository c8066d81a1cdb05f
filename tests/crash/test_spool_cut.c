/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool_cut - the log is cut at every record boundary and at random octets
 *
 * Each operation is made durable before the next one begins, and the disk is copied after each. So
 * for every operation all disks that a power cut during its write can leave may be built: what is
 * behind the cut is what was there before (a recycled segment's old records), zeros, or nothing (a
 * shorter file). Whatever is left, all operations before are in effect, and this one is or is not.
 */
#include "format.h"
#include "internal.h"
#include "model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

enum { OPERATIONS = 90, RANDOM_CUTS = 4 };
enum rest { REST_OLD, REST_ZERO, REST_SHORT, REST_COUNT };

struct known { /* of one message, before and after the operation under test */
    uint64_t id;
    bool alive_before, alive_after;
    uint64_t version_before, version_after;
};
struct history {
    struct known *known;
    uint32_t count;
};

static struct known *known_of(struct history *history, uint64_t id)
{
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->known[i].id == id) return &history->known[i];
    }
    history->known = base_realloc(history->known, (history->count + 1) * sizeof(*history->known));
    history->known[history->count] = (struct known){.id = id};
    return &history->known[history->count++];
}

static void remember(struct history *history, struct model *model)
{
    for (uint32_t i = 0; i < history->count; i++) {
        history->known[i].alive_before = history->known[i].alive_after;
        history->known[i].version_before = history->known[i].version_after;
    }
    LIST_FOR_EACH(node, &model->items)
    {
        const struct item *item = CONTAINER_OF(node, struct item, link);
        struct known *known = known_of(history, item->envelope.id);
        known->alive_after = item->state == ITEM_LIVE;
        known->version_after = item->version;
    }
}

/* Starts from the disk and compares; the disk is used up. */
static void check_disk(struct model *model, const struct history *history, struct fake_disk *disk,
                       bool contents)
{
    struct model look;
    model_look(&look, model, disk);
    assert_true(model_start(&look, 1));
    for (uint32_t i = 0; i < history->count; i++) {
        const struct known *known = &history->known[i];
        const struct item *item = model_find(&look, known->id);
        if (item == NULL) {
            assert_false(known->alive_before && known->alive_after);
            continue;
        }
        assert_true(known->alive_before || known->alive_after);
        assert_true(item->version == known->version_before ||
                    item->version == known->version_after);
    }
    if (contents) {
        model_check_contents(&look);
        assert_int_equal(look.damaged, 0);
    }
    char *log = model_log(&look);
    assert_null(strstr(log, "damage"));
    base_free(log);
    model_stop(&look, true);
    model_deinit(&look);
}

/* The file as it is when only its first `cut` octets of what changed were written. */
static void cut_file(struct model *model, const struct history *history,
                     const struct fake_disk *before, const char *path, const char *new, size_t len,
                     size_t cut, size_t end, enum rest rest)
{
    struct fake_disk *disk = fake_disk_copy(before);
    size_t old_len = 0;
    const char *old = fake_disk_file(disk, path, &old_len);
    char *data = base_alloc(len);
    if (old != NULL) memcpy(data, old, MIN(old_len, len));
    memcpy(data, new, cut);
    if (rest == REST_ZERO) memset(data + cut, 0, end - cut);
    fake_disk_put(disk, path, data, len);
    if (rest == REST_SHORT) fake_disk_shorten(disk, path, (cut + 511) / 512 * 512);
    base_free(data);
    check_disk(model, history, disk, cut % 8 == 0 && rest == REST_OLD);
}

/* All cuts within one file that the operation changed. */
static void cut_everywhere(struct model *model, const struct history *history,
                           struct fake_disk *before, struct fake_disk *after, const char *path,
                           const struct record_key *key)
{
    size_t len = 0, old_len = 0;
    const char *new = fake_disk_file(after, path, &len);
    const char *old = fake_disk_file(before, path, &old_len);
    size_t from = 0, end = len;
    if (old != NULL && old_len == len) {
        while (from < len && old[from] == new[from])
            from += 1;
        while (end > from && old[end - 1] == new[end - 1])
            end -= 1;
    }
    if (len == 0 || from == end) return;
    from = from / 4096 * 4096;
    for (size_t at = from; at < end; at += 8) { /* every record boundary of the change */
        uint32_t magic;
        memcpy(&magic, new + at, sizeof(magic));
        if (magic != key->magic && at != from) continue;
        cut_file(model, history, before, path, new, len, at, end, REST_OLD);
        cut_file(model, history, before, path, new, len, at, end, REST_ZERO);
    }
    for (int i = 0; i < RANDOM_CUTS; i++) {
        const size_t cut = from + random_below(&model->random, end - from + 1);
        for (int rest = 0; rest < REST_COUNT; rest++)
            cut_file(model, history, before, path, new, len, cut, end, (enum rest)rest);
    }
}

/* In the order of the log: before a segment's header is written, all of the one before it is. */
static void cut_all(struct model *model, const struct history *history,
                    const struct fake_disk *before, struct fake_disk *after,
                    const struct record_key *key)
{
    struct fake_disk *done = fake_disk_copy(before);
    for (uint64_t last = 0;;) {
        const char *next = NULL;
        uint64_t generation = UINT64_MAX;
        size_t len;
        for (size_t n = 0; fake_disk_name(after, ".seg", n) != NULL; n++) {
            const char *path = fake_disk_name(after, ".seg", n);
            struct disk_header header;
            const char *file = fake_disk_file(after, path, &len);
            if (len < FORMAT_PAGE) continue; /* being made */
            if (!header_read(file, &header) || header.generation <= last) continue;
            if (header.generation >= generation) continue;
            generation = header.generation;
            next = path;
        }
        if (next == NULL) break;
        cut_everywhere(model, history, done, after, next, key);
        const char *file = fake_disk_file(after, next, &len);
        fake_disk_put(done, next, file, len);
        last = generation;
    }
    fake_disk_free(&done);
}

static void operate(struct model *model, uint32_t i)
{
    static const uint32_t sizes[] = {100, 3000, 0, 9000, 700, 40000};
    struct item *item = model_pick(model, ITEM_LIVE);
    switch (i % 5) {
    case 0:
    case 1:
        model_accept(model, 0, i == 45 ? 1200000 : sizes[i % ARRAY_COUNT(sizes)]);
        break;
    case 2:
        if (item != NULL) model_change(item);
        break;
    case 3:
        if (item != NULL && i > 10) model_done(item);
        break;
    default: /* several in one commit */
        model_accept(model, 0, 2000);
        model_accept(model, 0, 60);
        model_note(model, 0, i);
        break;
    }
    model_settle(model);
}

static void live_and_cut(uint64_t seed, uint32_t laps)
{
    struct model model;
    struct history history = {0};
    model_init(&model, seed);
    assert_true(model_start(&model, 1));
    /* Laps before: then segments are recycled ones, and behind each cut lie old records. */
    for (uint32_t i = 0; i < laps; i++) {
        model_accept(&model, 0, 40000);
        model_turn(&model);
        struct item *item = model_pick(&model, ITEM_LIVE);
        if (item != NULL && i % 10) model_done(item);
    }
    model_settle(&model);
    remember(&history, &model);
    struct fake_disk *before = fake_disk_copy(model.disk);
    const struct record_key key = model.spools[0]->own->key;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        operate(&model, i);
        remember(&history, &model);
        struct fake_disk *after = fake_disk_copy(model.disk);
        cut_all(&model, &history, before, after, &key);
        fake_disk_free(&before);
        before = after;
    }
    fake_disk_free(&before);
    base_free(history.known);
    model_stop(&model, true);
    model_deinit(&model);
}

static void cut_in_fresh_segments(void **state)
{
    (void)state;
    live_and_cut(3, 0);
}
static void cut_in_recycled_segments(void **state)
{
    (void)state;
    live_and_cut(4, 150);
}

/* One bit turned, anywhere in a log at rest: at most the record with it is lost, all other messages
 * are whole, and where mail was lost the log says so. */
static void any_bit_turned(void **state)
{
    struct model model;
    (void)state;
    model_init(&model, 5);
    assert_true(model_start(&model, 1));
    for (uint32_t i = 0; i < 60; i++) {
        model_accept(&model, 0, i % 9 == 0 ? 20000 : 1500);
        model_settle(&model);
        if (i % 4 == 3) model_change(model_pick(&model, ITEM_LIVE));
    }
    const uint32_t live = 60;
    model_settle(&model);
    const uint32_t tail = model.spools[0]->current->tail;
    struct fake_disk *disk = fake_disk_copy(model.disk);
    model_stop(&model, false); /* the copy is from before: as after a crash */
    for (uint32_t i = 0; i < 600; i++) {
        struct model look;
        struct fake_disk *copy = fake_disk_copy(disk);
        size_t len;
        char *file = fake_disk_file(copy, "/spool/w00/0000000001.seg", &len);
        const uint32_t at = (uint32_t)random_below(&model.random, tail - 8192); /* not the last */
        file[at] ^= (char)(1 << (i % 8));
        fake_disk_put(copy, "/spool/w00/0000000001.seg", file, len);
        model_look(&look, &model, copy);
        assert_true(model_start(&look, 1));
        assert_true(look.live >= live - 1);
        model_check_contents(&look);
        assert_true(look.live - look.damaged >= live - 1);
        char *log = model_log(&look);
        if (look.live - look.damaged < live) assert_non_null(strstr(log, "damaged"));
        base_free(log);
        model_stop(&look, true);
        model_deinit(&look);
    }
    fake_disk_free(&disk);
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_in_fresh_segments),
        cmocka_unit_test(cut_in_recycled_segments),
        cmocka_unit_test(any_bit_turned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
