/* SPDX-License-Identifier: Apache-2.0
 *
 * test_threads - the real code with real threads; run it under ThreadSanitizer too
 *
 * Producers write plain (not atomic) fields of a message before they push it, and the consumer
 * reads them after the drain: only the inbox orders the two. The consumer sleeps on a semaphore
 * whenever the inbox lets it, so a lost wake-up hangs the test.
 */
#include "ringpost/inbox.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { PRODUCERS = 4, MESSAGES = 20000, CHAIN_MAX = 5 };

struct message {
    struct inbox_node node;
    uint32_t producer, number;
    uint64_t check;
};
struct setup {
    struct inbox inbox;
    sem_t wake;
    struct producer {
        struct setup *setup;
        uint32_t index;
        struct message *messages;
        uint64_t wakes;
    } producers[PRODUCERS];
};

static void *produce(void *context)
{
    struct producer *producer = context;
    struct random random;
    random_init(&random, producer->index);
    for (uint32_t at = 0; at < MESSAGES;) {
        const uint32_t count = (uint32_t)MIN(1 + random_below(&random, CHAIN_MAX), MESSAGES - at);
        for (uint32_t i = 0; i < count; i++) {
            struct message *message = &producer->messages[at + i];
            message->producer = producer->index;
            message->number = at + i;
            message->check = hash_u64(at + i);
            message->node.next = i == 0 ? NULL : &producer->messages[at + i - 1].node;
        }
        struct message *oldest = &producer->messages[at];
        at += count;
        if (inbox_push(&producer->setup->inbox, &producer->messages[at - 1].node, &oldest->node)) {
            producer->wakes += 1;
            sem_post(&producer->setup->wake);
        }
        if (random_below(&random, 64) == 0) sched_yield();
    }
    return NULL;
}

/* Returns how many sleeps there were. */
static uint64_t consume(struct setup *setup)
{
    uint32_t wanted[PRODUCERS] = {0}, total = 0;
    uint64_t sleeps = 0;
    while (total < PRODUCERS * MESSAGES) {
        struct inbox_node *node = inbox_drain(&setup->inbox);
        while (node != NULL) {
            struct inbox_node *next = node->next;
            struct message *message = CONTAINER_OF(node, struct message, node);
            assert_int_equal(message->number, wanted[message->producer]);
            assert_true(message->check == hash_u64(message->number));
            message->check = 0; /* it is ours now */
            wanted[message->producer] += 1;
            total += 1;
            node = next;
        }
        if (total < PRODUCERS * MESSAGES && inbox_sleep(&setup->inbox)) {
            sleeps += 1;
            while (sem_wait(&setup->wake) != 0)
                continue;
        }
    }
    return sleeps;
}

static void nothing_is_lost_or_reordered(void **state)
{
    static struct setup setup;
    pthread_t threads[PRODUCERS];
    uint64_t wakes = 0;
    (void)state;
    inbox_init(&setup.inbox);
    assert_int_equal(sem_init(&setup.wake, 0, 0), 0);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        setup.producers[i] = (struct producer){
            .setup = &setup,
            .index = i,
            .messages = base_alloc(MESSAGES * sizeof(struct message)),
        };
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &setup.producers[i]), 0);
    }
    const uint64_t sleeps = consume(&setup);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        wakes += setup.producers[i].wakes;
        base_free(setup.producers[i].messages);
    }
    /* Each sleep was ended by just one push. */
    assert_true(wakes == sleeps);
    assert_null(inbox_drain(&setup.inbox));
    sem_destroy(&setup.wake);
}

static void one_thread_sees_what_the_contract_says(void **state)
{
    struct inbox inbox;
    struct inbox_node nodes[4];
    (void)state;
    inbox_init(&inbox);
    assert_null(inbox_drain(&inbox));
    assert_false(inbox_push(&inbox, &nodes[0], &nodes[0]));
    nodes[2].next = &nodes[1];
    assert_false(inbox_push(&inbox, &nodes[2], &nodes[1]));
    assert_false(inbox_sleep(&inbox)); /* something is there */
    struct inbox_node *node = inbox_drain(&inbox);
    for (int i = 0; i < 3; i++, node = node->next)
        assert_ptr_equal(node, &nodes[i]);
    assert_null(node);
    assert_true(inbox_sleep(&inbox));
    assert_true(inbox_push(&inbox, &nodes[3], &nodes[3]));  /* the first one wakes ... */
    assert_false(inbox_push(&inbox, &nodes[0], &nodes[0])); /* ... the second one need not */
    assert_ptr_equal(inbox_drain(&inbox), &nodes[3]);
    assert_true(inbox_sleep(&inbox));
    assert_null(inbox_drain(&inbox)); /* it woke by itself: the mark is gone */
    assert_false(inbox_push(&inbox, &nodes[0], &nodes[0]));
    assert_ptr_equal(inbox_drain(&inbox), &nodes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_sees_what_the_contract_says),
        cmocka_unit_test(nothing_is_lost_or_reordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
