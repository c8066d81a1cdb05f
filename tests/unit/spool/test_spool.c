/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool - one behaviour a test, over the fake disk
 */
#include "model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the four above */
#include <cmocka.h>

static int setup(void **state)
{
    struct model *model = base_alloc(sizeof(*model));
    model_init(model, 42);
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

static void accepts_and_recovers(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    static const uint32_t sizes[] = {0, 1, 100, 511, 512, 4096, 5000, 262144, 300000, 3000000};
    struct item *items[ARRAY_COUNT(sizes)];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        items[i] = model_accept(model, 0, sizes[i]);
    model_settle(model);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_int_equal(items[i]->state, ITEM_LIVE);
    restart(model, true);
    assert_int_equal(model->live, ARRAY_COUNT(sizes));
    model_check_contents(model);
    restart(model, false);
    assert_int_equal(model->live, ARRAY_COUNT(sizes));
    model_check_contents(model);
    model_stop(model, false);
}

static void handle_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct spool_message) <= 88);
}

static void one_sync_covers_what_gathered(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    model_settle(model);
    struct fake_faults *faults = fake_ring_faults(model->ring);
    model_accept(model, 0, 1000);
    model_turn(model); /* issued; now 20 more gather */
    for (int i = 0; i < 20; i++)
        model_accept(model, 0, 1000);
    const uint64_t before = faults->durable_writes;
    model_settle(model);
    assert_true(faults->durable_writes - before <= 2);
    model_stop(model, true);
}

static void nothing_is_answered_before_its_write(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->hold_writes = true;
    struct item *item = model_accept(model, 0, 1000);
    for (int i = 0; i < 50; i++)
        model_turn(model);
    assert_int_equal(item->state, ITEM_COMMITTING);
    fake_ring_faults(model->ring)->hold_writes = false;
    model_settle(model);
    assert_int_equal(item->state, ITEM_LIVE);
    model_stop(model, true);
}

static void relaxed_answers_at_once(void **state)
{
    struct model *model = *state;
    model->options.durability = SPOOL_RELAXED;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->hold_writes = true;
    struct item *item = model_accept(model, 0, 1000), *gone = model_accept(model, 0, 1000);
    model_turn(model);
    assert_int_equal(item->state, ITEM_LIVE);
    model_done(gone);
    model_change(item);
    fake_ring_faults(model->ring)->hold_writes = false;
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->live, 1);
    model_check_contents(model);
    model_stop(model, true);
}

/* The content and the states of acknowledged mail survive a failed write in relaxed mode too. */
static void relaxed_writes_again_after_a_failure(void **state)
{
    struct model *model = *state;
    model->options.durability = SPOOL_RELAXED;
    assert_true(model_start(model, 1));
    fake_ring_faults(model->ring)->fail_writes = 1;
    for (int i = 0; i < 5; i++)
        model_accept(model, 0, 1000);
    model_accept(model, 0, 600000);
    for (int i = 0; i < 100; i++)
        model_turn(model);
    model_settle(model);
    assert_int_equal(model->refused, 0);
    restart(model, true);
    assert_int_equal(model->live, 6);
    model_check_contents(model);
    model_stop(model, true);
}

static void dribbled_content_does_not_blow_up_the_log(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    model_settle(model);
    struct fake_faults *faults = fake_ring_faults(model->ring);
    const uint64_t before = faults->octets_written;
    struct item *items[10];
    for (int i = 0; i < 10; i++)
        items[i] = model_begin(model, model->spools[0], 20000);
    for (int octet = 0; octet < 20000; octet += 10) { /* in turns: none can extend its record */
        for (int i = 0; i < 10; i++)
            model_fill(items[i], 10);
    }
    for (int i = 0; i < 10; i++)
        model_commit(items[i]);
    model_settle(model);
    /* A spare segment may have been filled with zeros meanwhile. */
    assert_true(faults->octets_written - before < 10 * 20000 * 5 / 4 + model->options.segment_size);
    restart(model, true);
    assert_int_equal(model->live, 10);
    model_check_contents(model);
    model_stop(model, true);
}

/* A sender takes his time while the log turns over several times: segments that hold nothing but a
 * part of his message must not be used again. */
static void slow_senders_keep_their_octets(void **state)
{
    struct model *model = *state;
    model->options.memory_max = 32 << 20;
    assert_true(model_start(model, 1));
    struct item *slow = model_begin(model, model->spools[0], 3000000);
    while (slow->filled < slow->envelope.size) {
        model_fill(slow, 150000);
        for (int i = 0; i < 100; i++) {
            struct item *item = model_accept(model, 0, 8000);
            model_settle(model);
            model_done(item);
        }
    }
    model_commit(slow);
    model_settle(model);
    assert_int_equal(slow->state, ITEM_LIVE);
    restart(model, true);
    assert_int_equal(model->live, 1);
    model_check_contents(model);
    model_stop(model, true);
}

static void cuts_leave_octets_out(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *item = model_begin(model, model->spools[0], 9000);
    model_fill(item, 3000);
    model_cut_out(item, 0, 10);
    model_cut_out(item, 10, 5); /* joins the one before */
    model_cut_out(item, 2990, 10);
    model_fill_all(item);
    model_cut_out(item, 8999, 1);
    model_commit(item);
    struct item *all = model_begin(model, model->spools[0], 50);
    model_fill_all(all);
    model_cut_out(all, 0, 50);
    model_commit(all);
    model_settle(model);
    assert_int_equal(item->handle.content_size, 9000 - 26 + item->envelope.prefix);
    restart(model, true);
    assert_int_equal(model->live, 2);
    model_check_contents(model);
    model_stop(model, true);
}

static void states_and_ends_survive(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *item = model_accept(model, 0, 1000), *gone = model_accept(model, 0, 1000);
    model_settle(model);
    model_change(item);
    model_change(item);
    model_done(gone);
    model_settle(model);
    assert_true(gone->settled && item->settled_version == 2);
    restart(model, true);
    assert_int_equal(model->live, 1);
    assert_int_equal(item->version, 2);
    model_change(item);
    model_stop(model, false); /* an orderly end writes what is left */
    assert_true(model_start(model, 1));
    assert_int_equal(item->version, 3);
    model_stop(model, true);
}

/* States alone go out after a short delay, all that gathered in one write. */
static void states_ride_or_go_alone(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 50; i++)
        model_accept(model, 0, 100);
    model_settle(model);
    struct fake_faults *faults = fake_ring_faults(model->ring);
    const uint64_t before = faults->durable_writes;
    const instant start = ring_now(model->ring);
    LIST_FOR_EACH(node, &model->items)
    {
        model_change(CONTAINER_OF(node, struct item, link));
    }
    model_settle(model);
    assert_int_equal(faults->durable_writes - before, 1);
    assert_true(ring_now(model->ring) - start <= DURATION_MS(22));
    model_stop(model, true);
}

static void notes_survive_and_are_forgotten(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    model_note(model, 0, 7);
    model_note(model, 1, 8);
    model_settle(model);
    model_note(model, 0, 9);
    model_note(model, 1, 0);
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->notes[0].value, 9);
    assert_int_equal(model->notes[1].value, 0);
    restart(model, false);
    assert_int_equal(model->notes[0].value, 9);
    model_stop(model, true);
}

static void ids_grow_across_restarts(void **state)
{
    struct model *model = *state;
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        assert_true(model_start(model, 1));
        for (int j = 0; j < 3; j++) {
            struct item *item = model_accept(model, 0, 10);
            assert_true(item->envelope.id > last);
            last = item->envelope.id;
        }
        model_settle(model);
        LIST_FOR_EACH_SAFE(node, &model->items)
        {
            struct item *item = CONTAINER_OF(node, struct item, link);
            if (item->state == ITEM_LIVE) model_done(item);
        }
        model_settle(model);
        model_stop(model, i % 2);
    }
}

static void aborted_drafts_vanish(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    struct item *item = model_begin(model, model->spools[0], 100000);
    model_fill(item, 50000);
    model_abort(item);
    struct item *half = model_begin(model, model->spools[0], 100000);
    model_fill(half, 50000);
    model_accept(model, 0, 10);
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->live, 1);
    model_stop(model, true);
}

static void unwanted_messages_are_forgotten(void **state)
{
    struct model *model = *state;
    assert_true(model_start(model, 1));
    for (int i = 0; i < 3; i++)
        model_accept(model, 0, 1000);
    model_settle(model);
    model->drop_recovered = true;
    restart(model, true);
    assert_int_equal(model->recovered, 3);
    model_settle(model);
    restart(model, true);
    assert_int_equal(model->recovered, 0);
    model_stop(model, true);
}

static void lock_is_exclusive(void **state)
{
    struct model *model = *state;
    struct ring *ring = fake_ring_new(model->disk, 1);
    struct ring_file first = {0}, second = {0};
    assert_int_equal(spool_lock(&first, ring, "/spool"), 0);
    assert_true(spool_lock(&second, ring, "/spool") < 0);
    ring_file_close(&first);
    ring_turn(ring, ring_now(ring), 8);
    assert_int_equal(spool_lock(&second, ring, "/spool"), 0);
    ring_file_close(&second);
    ring_turn(ring, ring_now(ring), 8);
    fake_ring_free(&ring);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(accepts_and_recovers),
        TEST(handle_is_small),
        TEST(one_sync_covers_what_gathered),
        TEST(nothing_is_answered_before_its_write),
        TEST(relaxed_answers_at_once),
        TEST(relaxed_writes_again_after_a_failure),
        TEST(dribbled_content_does_not_blow_up_the_log),
        TEST(slow_senders_keep_their_octets),
        TEST(cuts_leave_octets_out),
        TEST(states_and_ends_survive),
        TEST(states_ride_or_go_alone),
        TEST(notes_survive_and_are_forgotten),
        TEST(ids_grow_across_restarts),
        TEST(aborted_drafts_vanish),
        TEST(unwanted_messages_are_forgotten),
        TEST(lock_is_exclusive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
