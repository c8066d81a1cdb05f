/* SPDX-License-Identifier: Apache-2.0
 *
 * model - a small mail queue over spools on the fake disk, that knows what must survive
 *
 * Every message describes itself in its envelope, so that whatever recovery finds can be checked
 * octet by octet. The rules that are checked after each start:
 *   - answered OK and not finished: it is there, whole, with a state not older than the last one
 *     that had settled;
 *   - finished, and the spool idle since: it is not there;
 *   - answered FAILED or FULL, or never committed: it is not there;
 *   - not answered: it may be there, but whole.
 */
#pragma once
#include "fake_ring.h"
#include "ringpost/spool.h"

enum { MODEL_CUTS_MAX = 4, MODEL_WORKERS_MAX = 4, MODEL_NOTES = 8 };
enum item_state { ITEM_DRAFT = 0, ITEM_COMMITTING, ITEM_LIVE, ITEM_DONE, ITEM_REFUSED };
struct envelope {
    uint64_t id;
    uint32_t seed, size, filler, prefix;
    uint32_t cut_count;
    uint32_t cuts[MODEL_CUTS_MAX][2];
};
struct item {
    struct list link;
    struct spool_message handle;
    struct spool_draft draft;
    struct spool_load load;
    struct model *model;
    struct spool *spool;
    struct envelope envelope;
    uint32_t filled;
    struct spool_cursor cursor; /* of a reader of the draft */
    uint64_t read;
    uint64_t version, settled_version;
    uint8_t state; /* enum item_state */
    bool settled;  /* DONE: can not come back */
    bool durable;  /* LIVE: must not be lost */
    bool vague;    /* REFUSED: a failed write may have put it on disk, and its end is not there */
    bool loading, checked, recovered, damaged;
};
struct model_note {
    uint32_t value, settled, last; /* now, at the last rest, the largest since; 0: none */
    bool forgotten;                /* since the last rest */
};
struct model {
    struct fake_disk *disk;
    struct ring *ring;
    struct spool_options options;
    struct event_sink events;
    struct metrics metrics;
    struct random random;
    struct spool *spools[MODEL_WORKERS_MAX];
    uint32_t workers;
    struct list items;
    struct table by_id;
    struct model_note notes[MODEL_NOTES];
    uint32_t note_found[MODEL_NOTES];
    uint64_t seed;
    uint32_t starts, note_value;
    uint32_t live, damaged, recovered, refused, loads_failed;
    uint32_t state_filler; /* octets more in each state */
    bool dead;
    bool drop_recovered; /* the queue refuses what is found */
    bool collect;        /* only looks: takes whatever is found */
    bool tolerant;       /* damage is expected: missing messages are counted, not refused */
    uint32_t missing;
};
void model_init(struct model *model, uint64_t seed);
void model_deinit(struct model *model);
/* A model that looks what is found on a copy of another's disk; the copy is its own then. */
void model_look(struct model *look, struct model *from, struct fake_disk *copy);
struct item *model_find(const struct model *model, uint64_t id);
bool model_start(struct model *model, uint32_t workers); /* and checks what was found */
void model_stop(struct model *model, bool cut);          /* cut: the power fails now */
void model_turn(struct model *model);
void model_settle(struct model *model);         /* turns until all spools are idle */
void model_check_contents(struct model *model); /* loads every live message */

struct item *model_begin(struct model *model, struct spool *spool, uint32_t size);
void model_fill(struct item *item, uint32_t len); /* so many octets more */
void model_fill_all(struct item *item);
void model_cut_out(struct item *item, uint32_t from, uint32_t len);
void model_commit(struct item *item);
void model_abort(struct item *item);
struct item *model_accept(struct model *model, uint32_t worker, uint32_t size); /* all of it */
void model_change(struct item *item);
void model_done(struct item *item);
void model_load(struct item *item);
void model_note(struct model *model, uint32_t key, uint32_t value);
struct item *model_pick(struct model *model, enum item_state state); /* any; NULL: none */
void model_drop(struct item *item);                                  /* from the model only */
/* The lines of the log so far, NUL terminated; to be freed. */
char *model_log(struct model *model);
