/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spool_kill - a process with a real spool on a real disk is killed at random moments
 *
 * The child tells the parent through a pipe what was promised (committed) and what was asked to be
 * forgotten and had settled. After each SIGKILL the next child finds all of the first and none of
 * the second, with their content.
 */
#include "ringpost/spool.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the standard headers */
#include <cmocka.h>

enum { ROUNDS = 12, IN_WORK = 20, IDS_MAX = 1 << 20 };
enum word_kind { WORD_PROMISED, WORD_ENDING, WORD_FORGOTTEN, WORD_FOUND, WORD_BAD };
struct word { /* of the child to the parent */
    uint64_t id;
    uint32_t kind;
    uint32_t size;
};

struct message {
    struct spool_message handle;
    struct spool_draft draft;
    struct spool_load load;
    struct list link;
    uint32_t size;
};
struct child {
    struct ring *ring;
    struct spool *spool;
    struct list live, done;
    uint32_t live_count, in_work, loading;
    int pipe;
    struct random random;
};
static struct child child;

static char octet_at(uint64_t id, uint64_t offset)
{
    return (char)(id * 31 + offset * 7);
}

static void tell(enum word_kind kind, uint64_t id, uint32_t size)
{
    const struct word word = {id, kind, size};
    if (write(child.pipe, &word, sizeof(word)) != sizeof(word)) _exit(2);
}

static void describe(void *context, const struct spool_message *message, struct text *out)
{
    (void)context;
    (void)message;
    text_put(out, BYTES("tried"));
}
static struct spool_message *recovered(void *context, uint64_t id, struct bytes envelope,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s)
{
    struct message *message = base_alloc(sizeof(*message));
    (void)context;
    (void)state;
    (void)content_flags;
    (void)created_s;
    message->size = content_size;
    if (envelope.len != 8 || memcmp(envelope.data, &id, 8) != 0) tell(WORD_BAD, id, 0);
    list_push_back(&child.live, &message->link);
    child.live_count += 1;
    return &message->handle;
}
static void note(void *context, struct bytes key, struct bytes value)
{
    (void)context;
    (void)key;
    (void)value;
}
static void damaged(void *context, struct spool_message *message)
{
    (void)context;
    tell(WORD_BAD, message->id, 0);
}

static void check(struct message *message)
{
    const struct spool_view view = spool_message_view(&message->handle);
    uint64_t at = 0;
    for (uint32_t i = 0; i < view.piece_count; i++) {
        for (size_t j = 0; j < view.pieces[i].len; j++, at++) {
            if (view.pieces[i].data[j] != octet_at(message->handle.id, at)) {
                tell(WORD_BAD, message->handle.id, (uint32_t)at);
                return;
            }
        }
    }
    tell(at == message->size ? WORD_FOUND : WORD_BAD, message->handle.id, message->size);
}
static void on_loaded(struct spool_load *load, enum spool_result result)
{
    struct message *message = CONTAINER_OF(load, struct message, load);
    child.loading -= 1;
    if (result != SPOOL_OK) {
        tell(WORD_BAD, message->handle.id, 0);
        return;
    }
    check(message);
    spool_message_unpin(child.spool, &message->handle);
}

static void on_committed(struct spool_draft *draft, enum spool_result result)
{
    struct message *message = CONTAINER_OF(draft, struct message, draft);
    child.in_work -= 1;
    if (result != SPOOL_OK) _exit(3);
    tell(WORD_PROMISED, message->handle.id, message->size);
    spool_message_unpin(child.spool, &message->handle);
    list_push_back(&child.live, &message->link);
    child.live_count += 1;
}

static void accept_one(void)
{
    struct message *message = base_alloc(sizeof(*message));
    message->size =
        (uint32_t)random_below(&child.random, random_below(&child.random, 20) == 0 ? 300000 : 5000);
    spool_draft_begin(&message->draft, child.spool);
    const uint64_t id = message->draft.id;
    for (uint32_t at = 0; at < message->size;) {
        size_t room;
        char *to = spool_draft_room(&message->draft, &room);
        const uint32_t len = (uint32_t)MIN(room, message->size - at);
        for (uint32_t i = 0; i < len; i++)
            to[i] = octet_at(id, at + i);
        spool_draft_add(&message->draft, len);
        at += len;
    }
    child.in_work += 1;
    spool_draft_commit(&message->draft, &message->handle, (struct bytes){(const char *)&id, 8},
                       (struct bytes){0}, 0, ring_wall(child.ring), on_committed);
}

static void turn(void)
{
    spool_flush(child.spool);
    const instant timer = ring_timers_next(child.ring);
    ring_turn(child.ring, MIN(timer, ring_now(child.ring) + DURATION_MS(20)), 64);
    ring_timers_run(child.ring, 64);
}

static void load_all(void)
{
    LIST_FOR_EACH(node, &child.live)
    {
        struct message *message = CONTAINER_OF(node, struct message, link);
        message->load = (struct spool_load){.on_loaded = on_loaded};
        child.loading += 1;
        if (spool_message_load(child.spool, &message->handle, &message->load)) {
            on_loaded(&message->load, SPOOL_OK);
        }
    }
    while (child.loading > 0)
        turn();
}

/* Some of the oldest end; once the spool is at rest the parent hears of it. */
static void end_some(void)
{
    while (child.live_count > 300) {
        struct message *message = CONTAINER_OF(list_pop_front(&child.live), struct message, link);
        child.live_count -= 1;
        list_push_back(&child.done, &message->link);
        tell(WORD_ENDING, message->handle.id, 0);
        spool_message_done(child.spool, &message->handle);
    }
    for (int i = 0; i < 500 && (!spool_is_idle(child.spool) || child.in_work > 0); i++)
        turn();
    if (!spool_is_idle(child.spool)) return;
    struct list *node;
    while ((node = list_pop_front(&child.done)) != NULL) {
        struct message *message = CONTAINER_OF(node, struct message, link);
        tell(WORD_FORGOTTEN, message->handle.id, 0);
        base_free(message);
    }
}

static void child_main(const char *path, int pipe, uint64_t seed)
{
    char why[1024];
    const struct ring_options ring_options = {.entries = 64};
    const struct spool_callbacks callbacks = {describe, recovered, note, damaged};
    struct spool_options options = {.segment_size = 2 << 20, .memory_max = 4 << 20};
    struct event_sink events;
    static struct metrics metrics;
    const struct event_options event_options = {.level = EVENT_ERROR, .buffers_max = 4};
    snprintf(options.path, sizeof(options.path), "%s", path);
    child.pipe = pipe;
    list_init(&child.live);
    list_init(&child.done);
    random_init(&child.random, seed);
    event_sink_init(&events, &event_options);
    child.ring = ring_create(&ring_options, why, sizeof(why));
    if (child.ring == NULL) _exit(77);
    ring_enter_thread(child.ring);
    child.spool = spool_create(child.ring, 0, 1, &options, &callbacks, NULL, &events, &metrics, why,
                               sizeof(why));
    if (child.spool == NULL) _exit(4);
    load_all();
    tell(WORD_FOUND, 0, 0); /* all told: the work begins */
    for (;;) {
        for (int i = 0; i < 200; i++) {
            while (child.in_work < IN_WORK)
                accept_one();
            turn();
        }
        end_some();
    }
}

/* ---- the parent ---------------------------------------------------------------------------------
 */

static uint64_t promised[IDS_MAX];
static uint32_t promised_count;

static uint32_t index_of(uint64_t id)
{
    for (uint32_t i = promised_count; i-- > 0;) {
        if (promised[i] == id) return i;
    }
    return UINT32_MAX;
}
static uint64_t gone[IDS_MAX];
static uint32_t gone_count;

static void hear(const struct word *word)
{
    const uint32_t index = index_of(word->id);
    assert_int_not_equal(word->kind, WORD_BAD);
    assert_true(promised_count < IDS_MAX && gone_count < IDS_MAX);
    if (word->kind == WORD_PROMISED) promised[promised_count++] = word->id;
    if (word->kind == WORD_ENDING && index != UINT32_MAX) {
        promised[index] = promised[--promised_count]; /* from here on it may be gone */
    }
    if (word->kind == WORD_FORGOTTEN) gone[gone_count++] = word->id;
}

static bool read_word(int pipe, struct word *word)
{
    size_t got = 0;
    while (got < sizeof(*word)) {
        const ssize_t part = read(pipe, (char *)word + got, sizeof(*word) - got);
        if (part <= 0) return false;
        got += (size_t)part;
    }
    return true;
}

/* False: no io_uring here. */
static bool one_round(const char *path, uint32_t round, struct random *random)
{
    int ends[2];
    struct word word;
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_main(path, ends[1], round);
    }
    close(ends[1]);
    bool *found = calloc(promised_count + 1, sizeof(bool));
    assert_non_null(found);
    while (read_word(ends[0], &word) && word.id != 0) {
        assert_int_equal(word.kind, WORD_FOUND); /* whole, and as it was */
        const uint32_t index = index_of(word.id);
        if (index != UINT32_MAX) found[index] = true;
        for (uint32_t i = 0; i < gone_count; i++)
            assert_true(gone[i] != word.id);
    }
    for (uint32_t i = 0; i < promised_count; i++)
        assert_true(found[i]); /* nothing that was promised is lost */
    free(found);
    const uint64_t words = random_below(random, 3000);
    for (uint64_t i = 0; i < words && read_word(ends[0], &word); i++)
        hear(&word);
    kill(pid, SIGKILL);
    while (read_word(ends[0], &word)) /* what it said before it died counts as well */
        hear(&word);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

static void killed_at_any_moment(void **state)
{
    char path[] = "/var/tmp/ringpost-spool-XXXXXX";
    char command[128];
    struct random random;
    (void)state;
    random_init(&random, 99);
    if (mkdtemp(path) == NULL) skip();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (one_round(path, round, &random)) continue;
        skip();
    }
    snprintf(command, sizeof(command), "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
