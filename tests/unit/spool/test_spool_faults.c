/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool_faults - failing and full disks, damage, limits, compaction, other numbers of workers
 */
#include "model.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

static int setup(void **state)
{
    struct model *model = base_alloc(sizeof(*model));
    model_init(model, 7);
    *state = model;
    return 0;
}
static int teardown(void **state)
{
    struct model *model = *state;
    model_deinit(model);
    base_free(model);
    return 0;
}

static void restart(struct model *model, bool cut)
{
    model_stop(model, cut);
    assert_true(model_start(model, model->workers));
}

static uint32_t count(const struct model *model, enum item_state state)
{
    uint32_t found = 0;
    LIST_FOR_EACH(node, &model->items)
    {
        found += CONTAINER_OF(node, struct item, link)->state == state;
    }
    return found;
}

static void turns(struct model *model, int n)
{
    for (int i = 0; i < n; i++)
        model_turn(model);
}

static bool log_says(struct model *model, const char *text)
{
    char *log = model_log(model);
    const bool says = strstr(log, text) != NULL;
    base_free(log);
    return says;
}

/* ---- failed writes ------------------------------------------------------------------------------
 */

static void failed_write_costs_only_its_own_drafts(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *before = model_accept(model, 0, 1000);
    model_settle(model);
    model_change(before);
    struct item *streaming = model_begin(model, model->spools[0], 400000);
    model_fill(streaming, 20000); /* lies in the write that fails */
    fake_ring_faults(model->ring)->fail_writes = 1;
    struct item *lost = model_accept(model, 0, 1000);
    model_turn(model);
    struct item *later = model_accept(model, 0, 1000);
    model_settle(model);
    assert_int_equal(lost->state, ITEM_REFUSED);
    assert_int_equal(before->state, ITEM_LIVE);
    (void)later; /* refused too if it had gathered in the same segment: either is right */
    model_fill_all(streaming);
    model_commit(streaming);
    struct item *after = model_accept(model, 0, 1000);
    model_settle(model);
    assert_int_equal(streaming->state, ITEM_REFUSED);
    assert_int_equal(after->state, ITEM_LIVE);
    restart(model, true); /* nothing refused comes back; the state was written again */
    assert_int_equal(before->version, 1);
    model_check_contents(model);
    model_stop(model, true);
}

static void repeated_failure_stops_accepting_and_ends_by_itself(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *kept = model_accept(model, 0, 1000);
    model_settle(model);
    struct fake_faults *faults = fake_ring_faults(model->ring);
    faults->fail_share = 1000;
    for (int i = 0; i < 10 && spool_admit(model->spools[0], 0) == SPOOL_OK; i++) {
        model_accept(model, 0, 1000);
        turns(model, 20);
    }
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_FAILED);
    assert_true(spool_stats(model->spools[0]).failing);
    assert_int_equal(count(model, ITEM_COMMITTING), 0); /* everybody was told */
    model_change(kept);
    turns(model, 10000); /* probes go on and fail; nothing grows */
    assert_true(spool_stats(model->spools[0]).segments < 12);
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_FAILED);
    faults->fail_share = 0;
    fake_ring_sleep(model->ring, DURATION_S(4));
    turns(model, 50);
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_OK);
    model_accept(model, 0, 1000);
    model_settle(model);
    assert_true(log_says(model, "no mail is accepted"));
    restart(model, true);
    assert_int_equal(model->live, 2);
    assert_int_equal(kept->version, 1);
    model_stop(model, true);
}

/* The same lives with each single write failing, one after the other. */
static void any_write_may_fail(void **state)
{
    (void)state;
    for (uint32_t failing = 0; failing < 40; failing++) {
        struct model model;
        model_init(&model, 1000 + failing);
        assert_true(model_start(&model, 1));
        struct fake_faults *faults = fake_ring_faults(model.ring);
        bool failed = false;
        for (uint32_t i = 0; i < 40; i++) {
            model_accept(&model, 0, i % 7 == 0 ? 300000 : 2000);
            struct item *item = model_pick(&model, ITEM_LIVE);
            if (item != NULL && i % 3 == 0) model_done(item);
            if (item != NULL && i % 3 == 1) model_change(item);
            turns(&model, 3);
            if (faults->durable_writes >= failing && !failed) {
                faults->fail_writes = 1;
                failed = true;
            }
        }
        model_settle(&model);
        model_stop(&model, true);
        assert_true(model_start(&model, 1));
        model_check_contents(&model);
        model_stop(&model, true);
        model_deinit(&model);
    }
}

static void parallel_writes_on_a_slow_disk(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->write_time = DURATION_MS(3);
    uint32_t most = 0;
    for (int i = 0; i < 2000; i++) {
        model_accept(model, 0, 500);
        model_turn(model);
        most = MAX(most, fake_ring_pending(model->ring));
        struct item *item = model_pick(model, ITEM_LIVE);
        if (item != NULL && i % 2) model_done(item);
    }
    assert_true(most >= 2);
    restart(model, true);
    model_check_contents(model);
    model_stop(model, true);
}

/* ---- full disks ---------------------------------------------------------------------------------
 */

static void full_disk_refuses_drains_and_accepts_again(void **state)
{
    struct model *model = *state;
    model->options.disk_max = 10 << 20;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 3000 && spool_admit(model->spools[0], 20000) == SPOOL_OK; i++) {
        model_accept(model, 0, 20000);
        turns(model, 3);
    }
    model_settle(model);
    assert_int_equal(spool_admit(model->spools[0], 20000), SPOOL_FULL);
    assert_true(count(model, ITEM_LIVE) > 250);
    assert_true(spool_stats(model->spools[0]).segments <= 12);
    LIST_FOR_EACH(node, &model->items) /* several tries of everything: states go on */
    {
        struct item *item = CONTAINER_OF(node, struct item, link);
        for (int i = 0; i < 3 && item->state == ITEM_LIVE; i++) {
            model_change(item);
            model_turn(model);
        }
    }
    model_settle(model);
    restart(model, true);
    turns(model, 100);
    assert_int_equal(spool_admit(model->spools[0], 20000), SPOOL_FULL);
    for (int i = 0; i < 100; i++) {
        model_done(model_pick(model, ITEM_LIVE));
        turns(model, 5);
    }
    model_settle(model);
    fake_ring_sleep(model->ring, DURATION_S(2));
    turns(model, 200);
    assert_int_equal(spool_admit(model->spools[0], 20000), SPOOL_OK);
    model_accept(model, 0, 20000);
    model_settle(model);
    restart(model, true);
    model_check_contents(model);
    model_stop(model, true);
}

/* Mail is refused then, but what becomes of the mail that is there must find room: else all of it
 * is delivered a second time after the next start. */
static void a_limit_below_what_there_is_leaves_room_for_states(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    while (spool_stats(model->spools[0]).segments < 20) {
        model_accept(model, 0, 20000);
        turns(model, 3);
    }
    model_settle(model);
    model->options.disk_max = 5 << 20;
    spool_set_limits(model->spools[0], &model->options);
    fake_ring_sleep(model->ring, DURATION_S(2));
    for (int i = 0; i < 200 && spool_admit(model->spools[0], 20000) == SPOOL_OK; i++) {
        model_accept(model, 0, 20000); /* into the segment that is open */
        turns(model, 3);
    }
    assert_int_equal(spool_admit(model->spools[0], 20000), SPOOL_FULL);
    model->state_filler = 500;
    for (int i = 0; i < 4; i++) {
        fake_ring_faults(model->ring)->fail_writes = i % 2; /* a segment is abandoned */
        LIST_FOR_EACH(node, &model->items)
        {
            model_change(CONTAINER_OF(node, struct item, link));
            model_turn(model);
        }
    }
    model_settle(model); /* fails when a state is not on disk in the end */
    assert_true(spool_stats(model->spools[0]).segments <= 20 + 2 + 2);
    restart(model, true);
    model_check_contents(model);
    while (count(model, ITEM_LIVE) > 0) {
        model_done(model_pick(model, ITEM_LIVE));
        turns(model, 3);
    }
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->live, 0);
    model_stop(model, true);
}

/* Until a state is on disk a crash forgets it: mail can wait. */
static void after_no_space_states_wait_less_than_mail(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *item = model_accept(model, 0, 1000);
    model_settle(model);
    struct fake_faults *faults = fake_ring_faults(model->ring);
    faults->fail_writes = 2; /* in the open segment, and in the spare one */
    faults->fail_error = -ENOSPC;
    const instant begin = ring_now(model->ring);
    model_change(item);
    model_settle(model);
    assert_int_equal(faults->fail_writes, 0);
    assert_in_range(ring_now(model->ring) - begin, DURATION_MS(500), DURATION_MS(1500));
    assert_int_equal(spool_admit(model->spools[0], 1000), SPOOL_FULL);
    fake_ring_sleep(model->ring, DURATION_S(5));
    assert_int_equal(spool_admit(model->spools[0], 1000), SPOOL_OK);
    restart(model, true);
    model_check_contents(model);
    model_stop(model, true);
}

static void no_space_is_full_not_failed(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->space = 3 << 20;
    uint32_t refused = 0;
    for (int i = 0; i < 1000 && refused == 0; i++) {
        if (spool_admit(model->spools[0], 100000) != SPOOL_OK) {
            refused += 1;
            break;
        }
        model_accept(model, 0, 100000);
        turns(model, 3);
    }
    assert_int_equal(spool_admit(model->spools[0], 100000), SPOOL_FULL);
    assert_false(spool_stats(model->spools[0]).failing);
    while (count(model, ITEM_LIVE) > 0) {
        model_done(model_pick(model, ITEM_LIVE));
        turns(model, 3);
    }
    model_settle(model);
    fake_ring_sleep(model->ring, DURATION_S(6));
    turns(model, 100);
    assert_int_equal(spool_admit(model->spools[0], 100000), SPOOL_OK);
    restart(model, true);
    assert_int_equal(model->live, 0);
    model_stop(model, true);
}

static void reserve_of_the_disk_is_kept(void **state)
{
    struct model *model = *state;
    model->options.reserve = 100 << 20;
    assert_true(model_start(model, 1));
    struct fake_faults *faults = fake_ring_faults(model->ring);
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_OK);
    faults->space = 99 << 20;
    fake_ring_sleep(model->ring, DURATION_S(2));
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_FULL);
    faults->space = 101 << 20; /* not enough more to change its mind */
    fake_ring_sleep(model->ring, DURATION_S(2));
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_FULL);
    faults->space = 120 << 20;
    fake_ring_sleep(model->ring, DURATION_S(2));
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_OK);
    model_stop(model, true);
}

/* Mail that bounces can only leave a full disk when its notice finds room there. */
static void notices_find_room_on_a_full_disk(void **state)
{
    struct model *model = *state;
    model->options.reserve = 8 << 20;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->space = 18 << 20;
    struct item *item;
    uint32_t accepted = 0;
    do {
        item = model_accept(model, 0, 100000);
        turns(model, 10);
        accepted += item->state == ITEM_LIVE;
    } while (item->state != ITEM_REFUSED);
    assert_true(accepted > 10);
    for (int i = 0; i < 10; i++) {
        item = model_begin(model, model->spools[0], 200000);
        item->draft.notice = true;
        model_fill_all(item);
        model_commit(item);
        model_settle(model);
        assert_int_equal(item->state, ITEM_LIVE);
        model_done(model_pick(model, ITEM_LIVE));
    }
    model_settle(model);
    model_check_contents(model);
    model_stop(model, true);
}

/* Segments that are kept for reuse are given back where the disk is short. */
static void spare_segments_do_not_keep_a_disk_full(void **state)
{
    struct model *model = *state;
    model->options.reserve = 8 << 20;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->space = 18 << 20;
    for (int i = 0; i < 1000 && spool_admit(model->spools[0], 100000) == SPOOL_OK; i++) {
        model_accept(model, 0, 100000);
        turns(model, 10);
        fake_ring_sleep(model->ring, DURATION_MS(200));
    }
    assert_int_equal(spool_admit(model->spools[0], 100000), SPOOL_FULL);
    while (count(model, ITEM_LIVE) > 0)
        model_done(model_pick(model, ITEM_LIVE));
    for (int i = 0; i < 50; i++) {
        fake_ring_sleep(model->ring, DURATION_MS(100));
        turns(model, 5);
    }
    assert_int_equal(spool_admit(model->spools[0], 100000), SPOOL_OK);
    model_stop(model, true);
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static void memory_is_bounded_and_content_read_back(void **state)
{
    struct model *model = *state;
    model->options.memory_max = 3 << 20;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 500; i++) {
        model_accept(model, 0, 30000);
        model_settle(model);
        assert_true(spool_stats(model->spools[0]).memory_bytes <= 3 << 20);
    }
    for (int round = 0; round < 2; round++) {
        LIST_FOR_EACH(node, &model->items)
        {
            struct item *item = CONTAINER_OF(node, struct item, link);
            item->checked = false;
            model_load(item); /* all at once: reads wait for memory */
        }
        for (int i = 0; i < 5000; i++) {
            model_turn(model);
            assert_true(spool_stats(model->spools[0]).memory_bytes <= 4 << 20);
        }
        model_check_contents(model);
    }
    assert_true(fake_ring_faults(model->ring)->reads > 500);
    model_stop(model, true);
}

/* Receivers that stall hold what is being sent to them: the others wait, new mail is accepted. */
static uint32_t holding;
static void hold_it(struct spool_load *load, enum spool_result result)
{
    (void)load;
    assert_int_equal(result, SPOOL_OK);
    holding += 1;
}

static void stalled_deliveries_leave_room_for_mail(void **state)
{
    struct model *model = *state;
    model->options.memory_max = 8 << 20;
    assert_true(model_start(model, 1));
    holding = 0;
    uint32_t count_all = 0;
    struct item *held[100];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(spool_admit(model->spools[0], 100000), SPOOL_OK);
        struct item *item = model_accept(model, 0, 300000);
        turns(model, 10);
        assert_int_equal(item->state, ITEM_LIVE);
        item->load = (struct spool_load){.on_loaded = hold_it};
        held[count_all++] = item;
        if (spool_message_load(model->spools[0], &item->handle, &item->load)) holding += 1;
        turns(model, 5);
    }
    assert_true(holding >= 10 && holding <= 14); /* half of the memory */
    assert_true(spool_stats(model->spools[0]).memory_bytes <= 9 << 20);
    for (uint32_t i = 0; i < count_all; i++) { /* in their order, as room comes back */
        if (held[i]->handle.pins == 0) turns(model, 20);
        assert_int_equal(held[i]->handle.pins, 1);
        spool_message_unpin(model->spools[0], &held[i]->handle);
    }
    assert_int_equal(holding, 100);
    model_check_contents(model);
    model_stop(model, true);
}

static void memory_in_use_refuses_mail(void **state)
{
    struct model *model = *state;
    model->options.memory_max = 3 << 20;
    assert_true(model_start(model, 1));
    struct item *open[8];
    for (int i = 0; i < 8; i++) { /* eight senders that never come to an end */
        open[i] = model_begin(model, model->spools[0], 4 << 20);
        for (int piece = 0; piece < 16; piece++) {
            model_fill(open[i], 64 << 10);
            turns(model, 3);
        }
        assert_true(spool_stats(model->spools[0]).memory_bytes < 5 << 20);
    }
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_FULL);
    uint32_t refused = 0;
    for (int i = 0; i < 8; i++) {
        model_fill_all(open[i]);
        model_commit(open[i]);
    }
    model_settle(model);
    refused = count(model, ITEM_REFUSED);
    assert_true(refused >= 7); /* beyond the limit */
    assert_int_equal(spool_admit(model->spools[0], 0), SPOOL_OK);
    model_stop(model, true);
}

/* ---- damage -------------------------------------------------------------------------------------
 */

static void unreadable_is_not_damaged(void **state)
{
    struct model *model = *state;
    model->tolerant = true;
    assert_true(model_start(model, 1));
    struct item *item = model_accept(model, 0, 5000);
    model_settle(model);
    restart(model, true);
    fake_ring_faults(model->ring)->fail_reads = 1;
    model_load(item);
    model_settle(model);
    assert_int_equal(model->loads_failed, 1);
    assert_int_equal(model->damaged, 0);
    assert_int_equal(item->handle.pins, 0);
    model_load(item);
    model_settle(model);
    assert_true(item->checked);
    model_stop(model, true);
}

/* Octets of one message's content are spoiled: only that message suffers, and it is told once. */
static void damaged_content_is_told_once(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *item = model_accept(model, 0, 5000), *other = model_accept(model, 0, 5000);
    model_settle(model);
    model_accept(model, 0, 100);
    model_settle(model);
    restart(model, true);
    size_t len;
    char *file = fake_disk_file(model->disk, "/spool/w00/0000000001.seg", &len);
    file[item->handle.offset - 100] ^= 1;
    for (int i = 0; i < 2; i++) {
        model_load(item);
        model_settle(model);
        assert_int_equal(model->damaged, 1);
        assert_int_equal(item->handle.pins, 0);
    }
    assert_true(log_says(model, "cannot be read back"));
    model_load(other);
    model_settle(model);
    assert_true(other->checked);
    model_done(item);
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->live, 2);
    model_stop(model, true);
}

/* Found at start: what was durable is kept, to bounce when it is due; the rest is whole. */
static void damage_in_the_middle_keeps_the_rest(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *items[30];
    uint32_t offsets[30];
    for (int i = 0; i < 30; i++) {
        items[i] = model_accept(model, 0, 5000);
        model_settle(model);
        offsets[i] = items[i]->handle.offset;
    }
    model_stop(model, true);
    model->tolerant = true;
    size_t len;
    char *file = fake_disk_file(model->disk, "/spool/w00/0000000001.seg", &len);
    file[offsets[5] - 100] ^= 1;  /* content of one */
    file[offsets[10] + 100] ^= 1; /* the record of another */
    file[offsets[15] + 10] ^= 1;  /* the head of a third */
    fake_disk_put(model->disk, "/spool/w00/0000000001.seg", file, len);
    base_free(model_log(model));
    assert_true(model_start(model, 1));
    assert_int_equal(model->live, 28);
    assert_int_equal(model->missing, 2);
    char *log = model_log(model);
    assert_non_null(strstr(log, "/spool/w00/0000000001.seg: damaged from offset"));
    assert_non_null(strstr(log, "content of message"));
    assert_non_null(strstr(log, " error spool:"));
    base_free(log);
    model_check_contents(model);
    assert_int_equal(model->damaged, 1);
    assert_true(items[5]->damaged);
    model_done(items[5]);
    model_settle(model);
    model->tolerant = false;
    restart(model, true);
    assert_int_equal(model->live, 27);
    model_check_contents(model);
    model_stop(model, true);
}

static void a_lost_header_loses_nothing(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 300; i++) {
        model_accept(model, 0, 7000);
        turns(model, 3);
    }
    model_settle(model);
    model_stop(model, true);
    size_t len;
    char *file = fake_disk_file(model->disk, "/spool/w00/0000000001.seg", &len);
    memset(file, 0xa5, 4096);
    fake_disk_put(model->disk, "/spool/w00/0000000001.seg", file, len);
    assert_true(model_start(model, 1));
    assert_int_equal(model->live, 300);
    assert_true(log_says(model, "the header is damaged"));
    model_check_contents(model);
    model_stop(model, true);
}

static void power_cuts_are_no_damage(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 30; i++) {
            model_accept(model, 0, 3000);
            if (i % 4 == 0) model_turn(model);
            struct item *item = model_pick(model, ITEM_LIVE);
            if (item != NULL) model_done(item);
        }
        model_stop(model, true);
        base_free(model_log(model)); /* our own disk went away: that is in the log */
        assert_true(model_start(model, 1));
        char *log = model_log(model);
        assert_null(strstr(log, "damage"));
        assert_null(strstr(log, " error "));
        base_free(log);
    }
    model_stop(model, true);
}

/* Two wait for it; the first one told ends it. */
static struct item *ended;
static int told;
static void end_it(struct spool_load *load, enum spool_result result)
{
    (void)load;
    assert_int_equal(result, SPOOL_OK);
    told += 1;
    model_done(ended);
}

static void ending_a_message_while_others_wait_for_it(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    ended = model_accept(model, 0, 5000);
    struct item *other = model_accept(model, 0, 5000);
    model_settle(model);
    restart(model, true);
    struct spool_load first = {.on_loaded = end_it}, second = {.on_loaded = end_it};
    told = 0;
    assert_false(spool_message_load(model->spools[0], &ended->handle, &first));
    assert_false(spool_message_load(model->spools[0], &ended->handle, &second));
    model_settle(model);
    assert_int_equal(told, 1);
    assert_false(spool_message_load(model->spools[0], &other->handle, &first));
    model_done(other); /* while the read is under way: nobody is told */
    model_settle(model);
    assert_int_equal(told, 1);
    model_stop(model, true);
}

/* ---- compaction and tombstones ------------------------------------------------------------------
 */

/* Most mail goes at once, some stays: the log stays in proportion to what is alive. */
static void compaction_bounds_the_log(void **state)
{
    struct model *model = *state;
    model->options.memory_max = 3 << 20;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 6000; i++) {
        struct item *item = model_accept(model, 0, 5000);
        if (i % 3 == 0) turns(model, 2);
        if (item->state == ITEM_LIVE && i % 20) model_done(item);
        while (count(model, ITEM_LIVE) > 200 && i % 5 == 0)
            model_done(model_pick(model, ITEM_LIVE));
        if (i % 1000 == 999) {
            turns(model, 200);
            const struct spool_stats stats = spool_stats(model->spools[0]);
            assert_true(stats.segments <= 2 * stats.live_bytes / (1 << 20) + 20);
            assert_true(stats.memory_bytes <= 4 << 20);
        }
    }
    assert_true(model->metrics.counters[METRICS_SPOOL_COMPACTED] > 0);
    model_settle(model);
    restart(model, true);
    model_check_contents(model);
    model_stop(model, true);
}

/* A segment that stays full of live mail of which now and then one ends pins each segment with a
 * tombstone for it. The log must not grow for that, and no ended message may come back. */
static void old_mail_does_not_pin_the_log(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 200; i++)
        model_accept(model, 0, 20000); /* four segments */
    model_settle(model);
    struct item *old[200];
    uint32_t olds = 0;
    LIST_FOR_EACH(node, &model->items)
    {
        old[olds++] = CONTAINER_OF(node, struct item, link);
    }
    uint64_t most = 0;
    for (uint32_t i = 0; i < 60; i++) {
        model_done(old[i]);
        for (int j = 0; j < 30; j++) { /* most of a segment of other mail */
            struct item *item = model_accept(model, 0, 30000);
            turns(model, 4);
            if (item->state == ITEM_LIVE) model_done(item);
        }
        model_settle(model);
        LIST_FOR_EACH_SAFE(node, &model->items)
        {
            struct item *item = CONTAINER_OF(node, struct item, link);
            bool is_old = false;
            for (uint32_t j = 0; j < olds; j++)
                is_old |= old[j] == item;
            if (item->state == ITEM_LIVE && !is_old) model_done(item);
        }
        most = MAX(most, spool_stats(model->spools[0]).segments);
    }
    model_settle(model);
    assert_true(most <= 24);
    restart(model, true);
    assert_int_equal(model->live, 140);
    model_stop(model, true);
}

/* ---- workers ------------------------------------------------------------------------------------
 */

static void other_numbers_of_workers(void **state)
{
    struct model *model = *state;
    static const uint32_t workers[] = {4, 1, 3, 2, 4, 1, 1};
    uint32_t expected = 0;
    for (size_t i = 0; i < ARRAY_COUNT(workers); i++) {
        assert_true(model_start(model, workers[i]));
        assert_int_equal(model->live, expected);
        for (uint32_t j = 0; j < 20; j++)
            model_accept(model, j % workers[i], 1000 + 10000 * (j % 3));
        model_settle(model);
        for (uint32_t j = 0; j < 5; j++)
            model_done(model_pick(model, ITEM_LIVE));
        model_check_contents(model);
        expected += 15;
        model_stop(model, i % 2);
    }
    assert_true(model_start(model, 1));
    for (int i = 0; i < 3000; i++) {
        fake_ring_sleep(model->ring, DURATION_MS(5));
        model_turn(model);
    }
    /* What was taken over has been moved, and its folders are gone. */
    for (size_t n = 0; fake_disk_name(model->disk, ".seg", n) != NULL; n++)
        assert_null(strstr(fake_disk_name(model->disk, ".seg", n), "from-"));
    model_check_contents(model);
    restart(model, true);
    assert_int_equal(model->live, expected);
    model_stop(model, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(failed_write_costs_only_its_own_drafts),
        TEST(repeated_failure_stops_accepting_and_ends_by_itself),
        TEST(any_write_may_fail),
        TEST(parallel_writes_on_a_slow_disk),
        TEST(full_disk_refuses_drains_and_accepts_again),
        TEST(a_limit_below_what_there_is_leaves_room_for_states),
        TEST(after_no_space_states_wait_less_than_mail),
        TEST(no_space_is_full_not_failed),
        TEST(reserve_of_the_disk_is_kept),
        TEST(notices_find_room_on_a_full_disk),
        TEST(spare_segments_do_not_keep_a_disk_full),
        TEST(memory_is_bounded_and_content_read_back),
        TEST(stalled_deliveries_leave_room_for_mail),
        TEST(memory_in_use_refuses_mail),
        TEST(unreadable_is_not_damaged),
        TEST(damaged_content_is_told_once),
        TEST(damage_in_the_middle_keeps_the_rest),
        TEST(a_lost_header_loses_nothing),
        TEST(power_cuts_are_no_damage),
        TEST(ending_a_message_while_others_wait_for_it),
        TEST(compaction_bounds_the_log),
        TEST(old_mail_does_not_pin_the_log),
        TEST(other_numbers_of_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
