/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool_model - random lives of a queue: operations, failures, power cuts, other numbers of
 * workers; after each start everything is compared with what must, may and must not be there
 *
 * Arguments: first and last seed. A failure names its seed: it repeats exactly.
 */
#include "internal.h"
#include "model.h"
#include <stdio.h>
#include <stdlib.h>

enum { STARTS = 5, STEPS = 500, LIVE_MAX = 150 };

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)random_below(&model->random, bound);
}

static uint32_t any_size(struct model *model)
{
    switch (below(model, 20)) {
    case 0:
        return 0;
    case 1:
        return below(model, 1600000); /* more than a segment */
    case 2:
    case 3:
    case 4:
        return below(model, 100000);
    default:
        return below(model, 6000);
    }
}

static void live_step(struct model *model)
{
    struct item *item = model_pick(model, ITEM_LIVE);
    if (item == NULL) return;
    switch (below(model, 5)) {
    case 0:
    case 1:
        model_change(item);
        break;
    case 2:
        model_load(item);
        break;
    default:
        model_done(item);
    }
}

static void draft_step(struct model *model)
{
    struct item *item = model_pick(model, ITEM_DRAFT);
    if (item == NULL) {
        model_begin(model, model->spools[below(model, model->workers)], any_size(model));
        return;
    }
    if (below(model, 20) == 0) {
        model_abort(item);
    } else if (item->filled == item->envelope.size) {
        model_commit(item);
    } else {
        const uint32_t before = item->filled;
        model_fill(item, below(model, 2) ? below(model, 700) : below(model, 100000));
        if (below(model, 4) == 0 && item->filled > before) {
            const uint32_t from = before + below(model, item->filled - before);
            model_cut_out(item, from, below(model, item->filled - from + 1));
        }
    }
}

static void step(struct model *model, bool faults)
{
    uint32_t live = 0;
    switch (below(model, 16)) {
    case 0:
    case 1:
    case 2:
        LIST_FOR_EACH(node, &model->items)
        {
            live += CONTAINER_OF(node, struct item, link)->state == ITEM_LIVE;
        }
        if (live < LIVE_MAX) model_accept(model, below(model, model->workers), any_size(model));
        break;
    case 3:
    case 4:
    case 5:
        draft_step(model);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        live_step(model);
        break;
    case 10:
        model_note(model, below(model, MODEL_NOTES), below(model, 3) ? ++model->note_value : 0);
        break;
    case 11:
        if (below(model, 10) == 0) fake_ring_sleep(model->ring, DURATION_MS(below(model, 2000)));
        if (faults && below(model, 10) == 0) {
            fake_ring_faults(model->ring)->fail_writes = 1 + below(model, 2) * below(model, 4);
        }
        break;
    default:
        model_turn(model);
    }
}

/* Moments at which a power cut is worth more than at others. */
enum moment { ANY_MOMENT, HEADER_IN_FLIGHT, AFTER_A_FAILURE, WHILE_COPYING, MOMENT_COUNT };

static bool is_moment(const struct model *model, enum moment moment)
{
    for (uint32_t i = 0; i < model->workers; i++) {
        const struct spool *spool = model->spools[i];
        switch (moment) {
        case HEADER_IN_FLIGHT:
            if (spool->header_in_flight) return true;
            break;
        case AFTER_A_FAILURE:
            if (spool->unsettled || !list_is_empty(&spool->voided)) return true;
            break;
        case WHILE_COPYING:
            if (spool->relocation_count > 0 && spool->in_flight > 0) return true;
            break;
        case ANY_MOMENT:
        case MOMENT_COUNT:
            return true;
        }
    }
    return false;
}

static void await_moment(struct model *model, enum moment moment, bool faults)
{
    if (moment == AFTER_A_FAILURE && !faults) return;
    for (uint32_t i = 0; i < STEPS && !is_moment(model, moment); i++) {
        step(model, faults);
        if (moment == AFTER_A_FAILURE && i % 50 == 0)
            fake_ring_faults(model->ring)->fail_writes = 1;
        if (i % 2) model_turn(model);
    }
    /* Right then, or a few turns behind it. */
    for (uint32_t i = below(model, 4) * below(model, 3); i > 0; i--)
        model_turn(model);
}

/* Power cuts and failed writes are no damage: an operator must not be told so. */
static void check_log(struct model *model)
{
    char *log = model_log(model);
    /* Relaxed durability loses what was acknowledged and not written: that is said. */
    if (model->options.durability == SPOOL_COMMIT && strstr(log, "damage") != NULL) {
        fprintf(stderr, "seed %llu: %s", (unsigned long long)model->seed, log);
        abort();
    }
    base_free(log);
}

static void live_a_life(uint64_t seed)
{
    struct model model;
    model_init(&model, seed);
    const bool faults = below(&model, 3) == 0;
    model.options.memory_max = (uint64_t)(2 + below(&model, 8)) << 20;
    model.state_filler = below(&model, 4) == 0 ? below(&model, 5000) : 0;
    if (!faults && below(&model, 4) == 0) model.options.disk_max = 8 << 20;
    if (model.options.disk_max == 0 && below(&model, 8) == 0) {
        model.options.durability = SPOOL_RELAXED;
    }
    for (int start = 0; start < STARTS; start++) {
        if (!model_start(&model, 1 + below(&model, 3))) abort();
        check_log(&model);
        if (below(&model, 2) == 0) {
            fake_ring_faults(model.ring)->write_time = DURATION_MS(1 + below(&model, 6));
        }
        const uint32_t steps = below(&model, STEPS);
        for (uint32_t i = 0; i < steps; i++)
            step(&model, faults);
        if (below(&model, 3) == 0) model_check_contents(&model);
        const bool cut = below(&model, 4) != 0;
        if (cut) await_moment(&model, (enum moment)below(&model, MOMENT_COUNT), faults);
        if (getenv("MODEL_TRACE")) {
            char *log = model_log(&model);
            fprintf(stderr, "%s--- stop cut=%d durability %d\n", log, cut,
                    model.options.durability);
            base_free(log);
            for (uint32_t w = 0; w < model.workers; w++) {
                struct spool *sp = model.spools[w];
                for (uint32_t i = 0; i < sp->slot_count; i++) {
                    struct spool_segment *g = sp->slots[i];
                    if (!g) continue;
                    fprintf(stderr,
                            "  w%u slot %u own %d no %u gen %lu former %lu turn %u state %u live "
                            "%lu tail %u batches %u unf %u fa %lu (completed %lu) lw %u lwr %u "
                            "held %u tombs %lx copies %lx\n",
                            w, i, g->log == sp->own, g->number, g->generation, g->former_generation,
                            g->turn, g->state, g->live, g->tail, g->batches, g->unfinished,
                            g->free_after, sp->completed, g->live_wanted, g->live_written, g->held,
                            g->tombs.count ? g->tombs.words[0] : 0,
                            g->copies.count ? g->copies.words[0] : 0);
                }
                fprintf(stderr,
                        "w%u in flight %u header %u dones %u dirty %d reloc %u unsettled %u hold "
                        "%u pinned %u failing %u full %u\n",
                        w, sp->in_flight, sp->header_in_flight, sp->dones.count,
                        !list_is_empty(&sp->dirty), sp->relocation_count, sp->unsettled, sp->hold,
                        sp->dead_pinned, sp->failing, sp->full);
            }
        }
        model_stop(&model, cut);
    }
    if (!model_start(&model, 1)) abort();
    model_check_contents(&model);
    model_stop(&model, false);
    model_deinit(&model);
}

int main(int argc, char **argv)
{
    const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const uint64_t last = argc > 2 ? strtoull(argv[2], NULL, 10) : first;
    for (uint64_t seed = first; seed <= last; seed++)
        live_a_life(seed);
    printf("%llu lives\n", (unsigned long long)(last - first + 1));
    return 0;
}
