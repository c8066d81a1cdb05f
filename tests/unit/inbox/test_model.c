/* SPDX-License-Identifier: Apache-2.0
 *
 * test_model - the inbox's algorithm in every interleaving
 *
 * A model of src/inbox/inbox.c in which one step is one access to shared memory: producers push
 * chains of nodes, the consumer drains, goes to sleep, is woken by a producer or by something else
 * (a timer, a socket). All states that any order of these steps can reach are visited; in each one:
 *
 *   no lost wake-up   asleep, nobody about to wake it, nothing more to come: then nothing is left
 *   no lost node      at the end each node was drained once, none twice
 *   order             nodes of one producer arrive in the order of its pushes
 *
 * The algorithm can be broken in several ways (enum mutant): each time the checker must find it.
 * Memory is sequentially consistent here; what release and acquire promise is for test_threads.c.
 */
#include "ringpost/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum {
    PRODUCERS_MAX = 3,
    PUSHES_MAX = 3,
    NODES_MAX = 10,
    NONE = 0,       /* the word's NULL; nodes are 1, 2, ... */
    SLEEPING = 255, /* the word's mark */
};

enum mutant {
    CORRECT = 0,
    NO_WAKE,          /* push forgets to say that the consumer slept */
    WAKE_ALWAYS,      /* correct, but wakes too often: counted below */
    STORE_HEAD,       /* push stores the head instead of compare-and-swap */
    SLEEP_BY_STORE,   /* sleep looks first and stores then */
    NO_REVERSE,       /* drain gives out the newest first */
    DRAIN_BY_STORE,   /* drain looks first and stores then */
    LINK_STALE_HEAD,  /* push links its chain behind the first head it saw, also after a retry */
    CHAIN_NOT_LINKED, /* push forgets what was there */
};

enum producer_step { LOAD = 0, SWAP, WAKE, FINISHED };
enum consumer_step { LOOK = 0, TAKE, STORE_NONE, TRY_SLEEP, STORE_SLEEP, ASLEEP };

struct state {
    uint8_t head;
    uint8_t next[NODES_MAX + 1];
    struct {
        uint8_t step, push, seen, first_seen;
    } producers[PRODUCERS_MAX];
    uint8_t consumer;               /* enum consumer_step */
    uint8_t taken;                  /* what the consumer saw, while DRAIN_BY_STORE */
    uint8_t wakes;                  /* sent and not yet seen */
    uint8_t drained[PRODUCERS_MAX]; /* nodes, of each */
    uint8_t times[NODES_MAX + 1];   /* that a node was drained */
};

struct plan {
    uint8_t producers;
    uint8_t chains[PRODUCERS_MAX][PUSHES_MAX]; /* nodes of each push; 0 ends */
};

struct checker {
    const struct plan *plan;
    enum mutant mutant;
    uint8_t first_node[PRODUCERS_MAX][PUSHES_MAX];
    uint8_t owner[NODES_MAX + 1], number[NODES_MAX + 1]; /* number: among the owner's */
    uint8_t nodes;
    struct table seen;
    struct pool states;
    struct state **stack;
    size_t depth, cap;
    size_t count, wakes;
    const char *wrong; /* the first violation */
};

/* ---- the set of states ----------------------------------------------------------------------- */

static bool same_state(const void *item, const void *key)
{
    return memcmp(item, key, sizeof(struct state)) == 0;
}

static void visit(struct checker *checker, const struct state *state)
{
    const uint64_t hash = hash_bytes(1, (struct bytes){(const char *)state, sizeof(*state)});
    if (table_find(&checker->seen, hash, same_state, state) != NULL) return;
    struct state *copy = pool_get(&checker->states);
    *copy = *state;
    table_add(&checker->seen, hash, copy);
    checker->count += 1;
    if (checker->depth == checker->cap) {
        checker->cap = checker->cap ? 2 * checker->cap : 1024;
        checker->stack = base_realloc(checker->stack, checker->cap * sizeof(*checker->stack));
    }
    checker->stack[checker->depth++] = copy;
}

/* ---- a producer: inbox_push() ---------------------------------------------------------------- */

static void end_push(const struct checker *checker, struct state *state, uint8_t p)
{
    const uint8_t push = ++state->producers[p].push;
    state->producers[p].seen = state->producers[p].first_seen = NONE;
    const bool more = push < PUSHES_MAX && checker->plan->chains[p][push] > 0;
    state->producers[p].step = more ? LOAD : FINISHED;
}

static void swap(struct checker *checker, struct state *state, uint8_t p)
{
    const uint8_t push = state->producers[p].push, seen = state->producers[p].seen;
    const uint8_t oldest = checker->first_node[p][push];
    const uint8_t newest = (uint8_t)(oldest + checker->plan->chains[p][push] - 1);
    const uint8_t linked =
        checker->mutant == LINK_STALE_HEAD ? state->producers[p].first_seen : seen;
    state->next[oldest] = linked == SLEEPING ? NONE : linked;
    if (checker->mutant == CHAIN_NOT_LINKED) state->next[oldest] = NONE;
    for (uint8_t node = newest; node > oldest; node--) /* the chain came linked */
        state->next[node] = (uint8_t)(node - 1);
    if (state->head != seen && checker->mutant != STORE_HEAD) {
        state->producers[p].seen = state->head; /* the swap failed and says what is there */
        return;
    }
    state->head = newest;
    const bool slept = seen == SLEEPING && checker->mutant != NO_WAKE;
    if (slept || checker->mutant == WAKE_ALWAYS) {
        state->producers[p].step = WAKE;
    } else {
        end_push(checker, state, p);
    }
}

static bool step_producer(struct checker *checker, struct state *state, uint8_t p)
{
    switch ((enum producer_step)state->producers[p].step) {
    case LOAD:
        state->producers[p].seen = state->producers[p].first_seen = state->head;
        state->producers[p].step = SWAP;
        return true;
    case SWAP:
        swap(checker, state, p);
        return true;
    case WAKE:
        state->wakes += 1;
        checker->wakes += 1;
        end_push(checker, state, p);
        return true;
    case FINISHED:
        return false;
    }
    return false;
}

/* ---- the consumer: inbox_drain(), inbox_sleep() ---------------------------------------------- */

static void receive(struct checker *checker, struct state *state, uint8_t node)
{
    const uint8_t owner = checker->owner[node];
    if (++state->times[node] > 1) {
        checker->wrong = "a node was drained twice";
    } else if (checker->number[node] != state->drained[owner]++) {
        checker->wrong = "nodes of one producer came in another order, or one is missing";
    }
}

static void take(struct checker *checker, struct state *state, uint8_t node)
{
    uint8_t order[NODES_MAX + 1], count = 0;
    state->head = NONE;
    if (node == SLEEPING) return;
    while (node != NONE) {
        if (count == checker->nodes) {
            checker->wrong = "the list is a circle";
            return;
        }
        order[count++] = node;
        const uint8_t next = state->next[node];
        state->next[node] = NONE; /* of no importance any more: fewer states */
        node = next;
    }
    for (uint8_t i = 0; i < count; i++) {
        const bool reversed = checker->mutant != NO_REVERSE;
        receive(checker, state, order[reversed ? count - 1 - i : i]);
        if (checker->wrong != NULL) return;
    }
}

static bool step_consumer(struct checker *checker, struct state *state)
{
    switch ((enum consumer_step)state->consumer) {
    case LOOK:
        state->consumer = state->head == NONE ? TRY_SLEEP : TAKE;
        return true;
    case TAKE:
        if (checker->mutant == DRAIN_BY_STORE) {
            state->taken = state->head;
            state->consumer = STORE_NONE;
            return true;
        }
        take(checker, state, state->head);
        state->consumer = TRY_SLEEP;
        return true;
    case STORE_NONE:
        take(checker, state, state->taken);
        state->taken = NONE;
        state->consumer = TRY_SLEEP;
        return true;
    case TRY_SLEEP:
        if (state->head != NONE) {
            state->consumer = LOOK; /* the next turn */
        } else if (checker->mutant == SLEEP_BY_STORE) {
            state->consumer = STORE_SLEEP;
        } else {
            state->head = SLEEPING;
            state->consumer = ASLEEP;
        }
        return true;
    case STORE_SLEEP:
        state->head = SLEEPING;
        state->consumer = ASLEEP;
        return true;
    case ASLEEP: /* a wake lasts until it is seen, as a completion in the ring does */
        if (state->wakes == 0) return false;
        state->wakes = 0;
        state->consumer = LOOK;
        return true;
    }
    return false;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void check_rest(struct checker *checker, const struct state *state)
{
    if (state->consumer != ASLEEP || state->wakes > 0) return;
    for (uint8_t p = 0; p < checker->plan->producers; p++) {
        if (state->producers[p].step != FINISHED) return;
    }
    for (uint8_t node = 1; node <= checker->nodes; node++) {
        if (state->times[node] == 0) checker->wrong = "asleep for ever with a node left or lost";
    }
}

static void expand(struct checker *checker, const struct state *state)
{
    struct state next;
    for (uint8_t p = 0; p < checker->plan->producers && checker->wrong == NULL; p++) {
        next = *state;
        if (step_producer(checker, &next, p)) visit(checker, &next);
    }
    next = *state;
    if (checker->wrong == NULL && step_consumer(checker, &next)) visit(checker, &next);
    if (state->consumer == ASLEEP) { /* something else ends the sleep at any time */
        next = *state;
        next.consumer = LOOK;
        visit(checker, &next);
    }
    if (checker->wrong == NULL) check_rest(checker, state);
}

static void number_nodes(struct checker *checker)
{
    for (uint8_t p = 0; p < checker->plan->producers; p++) {
        uint8_t number = 0;
        for (uint8_t push = 0; push < PUSHES_MAX; push++) {
            checker->first_node[p][push] = (uint8_t)(checker->nodes + 1);
            for (uint8_t i = 0; i < checker->plan->chains[p][push]; i++) {
                const uint8_t node = ++checker->nodes;
                assert_true(node <= NODES_MAX);
                checker->owner[node] = p;
                checker->number[node] = number++;
            }
        }
    }
}

/* NULL, or what is wrong in some interleaving. */
static const char *check(const struct plan *plan, enum mutant mutant, size_t *states, size_t *wakes)
{
    struct checker checker = {.plan = plan, .mutant = mutant};
    struct state start;
    memset(&start, 0, sizeof(start));
    table_init(&checker.seen);
    pool_init(&checker.states, sizeof(struct state), 4096);
    number_nodes(&checker);
    for (uint8_t p = 0; p < PRODUCERS_MAX; p++) {
        start.producers[p].step = p < plan->producers ? LOAD : FINISHED;
    }
    visit(&checker, &start);
    while (checker.depth > 0 && checker.wrong == NULL)
        expand(&checker, checker.stack[--checker.depth]);
    *states = checker.count;
    *wakes = checker.wakes;

    uint32_t cursor = 0;
    for (void *state; (state = table_next(&checker.seen, &cursor)) != NULL;)
        pool_put(&checker.states, state);
    table_deinit(&checker.seen);
    pool_deinit(&checker.states);
    base_free(checker.stack);
    return checker.wrong;
}

static const struct plan plans[] = {
    {1, {{1}}},
    {1, {{1, 1, 1}}},
    {1, {{2, 3, 1}}},
    {2, {{1, 1}, {1, 1}}},
    {2, {{1, 1, 1}, {1, 1, 1}}},
    {2, {{2, 1}, {1, 2}}},
    {2, {{3, 1, 1}, {1, 2}}},
    {3, {{1}, {1}, {1}}},
    {3, {{1, 1}, {1}, {1}}},
};

static void the_algorithm_holds_in_every_interleaving(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(plans); i++) {
        size_t states, wakes;
        const char *wrong = check(&plans[i], CORRECT, &states, &wakes);
        if (wrong != NULL) print_error("plan %zu: %s\n", i, wrong);
        assert_null(wrong);
        print_message("plan %zu: %zu states\n", i, states);
        assert_true(states > 10);
    }
}

/* A checker that finds nothing in broken code has proved nothing about the good one. */
static void every_mutant_is_caught(void **state)
{
    (void)state;
    for (enum mutant mutant = NO_WAKE; mutant <= CHAIN_NOT_LINKED; mutant++) {
        if (mutant == WAKE_ALWAYS) continue;
        const char *wrong = NULL;
        for (size_t i = 0; i < ARRAY_COUNT(plans) && wrong == NULL; i++) {
            size_t states, wakes;
            wrong = check(&plans[i], mutant, &states, &wakes);
        }
        if (wrong == NULL) print_error("mutant %d was not caught\n", (int)mutant);
        assert_non_null(wrong);
        print_message("mutant %d: %s\n", (int)mutant, wrong);
    }
}

static void it_wakes_only_who_sleeps(void **state)
{
    size_t states, wakes, wakes_always;
    (void)state;
    assert_null(check(&plans[4], CORRECT, &states, &wakes));
    assert_null(check(&plans[4], WAKE_ALWAYS, &states, &wakes_always));
    assert_true(wakes < wakes_always);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_algorithm_holds_in_every_interleaving),
        cmocka_unit_test(every_mutant_is_caught),
        cmocka_unit_test(it_wakes_only_who_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
