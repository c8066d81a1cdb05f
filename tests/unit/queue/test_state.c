/* SPDX-License-Identifier: Apache-2.0
 *
 * test_state - what survives a restart comes back the same; what is damaged counts as nothing
 */
#include "fixture.h"

static struct queue_options options;
static struct queue queue;
static struct random rnd;
static struct stored stored;
static const wall_ms WALL = 1700000000000;

static void open_queue(instant now)
{
    queue_options_default(&options);
    queue_init(&queue, &options, 0, 1, now, 5);
}

static struct queue_message *admit(uint32_t recipients, uint32_t domains, instant now, duration age)
{
    stored_begin(&stored);
    for (uint32_t i = 0; i < recipients; i++) {
        char address[64];
        snprintf(address, sizeof(address), "%u@d%u.example", i, i * 7 % domains);
        stored_add(&stored, address);
    }
    stored_end(&stored);
    struct queue_message *message = queue_message_new(&queue);
    assert_true(queue_message_admit(&queue, message, &stored.envelope, now, age));
    return message;
}

static void drop(struct queue_message *message)
{
    queue_message_forget(&queue, message);
    queue_message_free(&queue, message);
}

static void comes_back(uint32_t recipients, uint32_t domains, size_t room)
{
    static char space[SPOOL_STATE_MAX + 1];
    const instant now = DURATION_S(500);
    open_queue(now);
    struct queue_message *message = admit(recipients, domains, now, 0);
    uint8_t expected[4096];
    uint16_t attempts[4096];
    wall_ms due[4096];
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        queue_entry_activate(entry);
        entry->attempts = attempts[e] = (uint16_t)(1 + random_below(&rnd, 50));
        for (uint32_t i = 0; i < entry->count; i++) {
            if (random_below(&rnd, 2)) *queue_status_of(entry, i) |= QUEUE_DELAY_TOLD;
            if (random_below(&rnd, 3) == 0) {
                queue_recipient_settled(&queue, entry, i, QUEUE_DELIVERED);
            }
            expected[entry->first + i] = *queue_status_of(entry, i);
        }
        if (entry->left == 0) continue;
        char text[64];
        const int len = snprintf(text, sizeof(text), "mailbox %u is full", e);
        const struct queue_error_view error = {.code = 452,
                                               .enhanced = {4, 2, 2},
                                               .reply = true,
                                               .text = {text, (size_t)len},
                                               .peer = BYTES("mx.example")};
        queue_entry_set_error(&queue, entry, &error);
        const duration wait = DURATION_MS(random_below(&rnd, 3600 * 1000));
        due[e] = WALL + (wall_ms)(wait / DURATION_MS(1));
        queue_entry_wait(&queue, entry, now + wait);
    }
    struct text state;
    text_init(&state, space, room);
    queue_message_describe(&queue, message, now, WALL, &state);
    assert_false(state.cut);
    drop(message);
    queue_deinit(&queue);

    /* Another process, ten seconds later, its clock somewhere else. */
    const instant later = DURATION_S(7);
    open_queue(later);
    message = admit(recipients, domains, later, DURATION_S(10));
    queue_message_restore(&queue, message, text_bytes(&state), later, WALL + 10000);
    for (uint32_t e = 0; e < queue_message_entries(message); e++) {
        struct queue_entry *entry = queue_message_entry(message, e);
        uint32_t pending = 0;
        for (uint32_t i = 0; i < entry->count; i++) {
            assert_int_equal(*queue_status_of(entry, i), expected[entry->first + i]);
            pending += queue_is_pending(expected[entry->first + i]);
        }
        assert_int_equal(entry->left, pending);
        if (pending == 0) {
            assert_int_equal(entry->state, QUEUE_ENTRY_DONE);
            continue;
        }
        if (space[0] != 1) continue; /* compact: the least of all */
        assert_int_equal(entry->attempts, attempts[e]);
        const int64_t wait_ms = due[e] - (WALL + 10000);
        const instant expected_due = wait_ms > 0 ? later + DURATION_MS((uint64_t)wait_ms) : later;
        assert_in_range(queue_entry_due(&queue, entry), expected_due - DURATION_MS(1),
                        expected_due + DURATION_MS(1));
        assert_int_equal(entry->error->code, 452);
        assert_true(entry->error->reply && !entry->error->permanent);
        assert_in_range(queue_message_age(&queue, message, later), DURATION_S(9), DURATION_S(10));
    }
    drop(message);
    queue_deinit(&queue);
}

static void states_come_back(void **state)
{
    (void)state;
    random_init(&rnd, 3);
    for (int i = 0; i < 50; i++)
        comes_back(1, 1, SPOOL_STATE_MAX);
    for (int i = 0; i < 200; i++) {
        const uint32_t recipients = 1 + (uint32_t)random_below(&rnd, 300);
        comes_back(recipients, 1 + (uint32_t)random_below(&rnd, recipients), SPOOL_STATE_MAX);
    }
    comes_back(1000, 1000, SPOOL_STATE_MAX);
    comes_back(1000, 1000, 8192); /* compact */
}

/* Any octets: no crash, and always a message that will be tried. */
static void damage_is_as_nothing(void **state)
{
    (void)state;
    static char space[8192];
    random_init(&rnd, 4);
    open_queue(DURATION_S(5));
    for (int round = 0; round < 3000; round++) {
        const uint32_t recipients = 1 + (uint32_t)random_below(&rnd, 6);
        struct queue_message *message = admit(recipients, 3, DURATION_S(5), 0);
        for (uint32_t e = 0; e < queue_message_entries(message); e++)
            queue_entry_wait(&queue, queue_message_entry(message, e), DURATION_S(9));
        struct text out;
        text_init(&out, space, sizeof(space));
        queue_message_describe(&queue, message, DURATION_S(5), WALL, &out);
        drop(message);
        struct bytes bytes = text_bytes(&out);
        if (random_below(&rnd, 2)) bytes.len = random_below(&rnd, bytes.len + 1);
        for (uint64_t flips = random_below(&rnd, 5); flips > 0 && bytes.len > 0; flips--)
            space[random_below(&rnd, bytes.len)] ^= (char)(1 << random_below(&rnd, 8));
        char *exact = malloc(bytes.len + 1); /* for the sanitizer */
        memcpy(exact, bytes.data, bytes.len);
        message = admit(recipients, 3, DURATION_S(5), 0);
        queue_message_restore(&queue, message, (struct bytes){exact, bytes.len}, DURATION_S(5),
                              WALL);
        for (uint32_t e = 0; e < queue_message_entries(message); e++) {
            const struct queue_entry *entry = queue_message_entry(message, e);
            assert_true(entry->state == QUEUE_ENTRY_WAITING || entry->state == QUEUE_ENTRY_DONE);
            /* However wrong the clock was: not later than the longest pause. */
            if (entry->state == QUEUE_ENTRY_DONE) continue;
            assert_true(queue_entry_due(&queue, entry) <= DURATION_S(5 + 14400 * 11 / 10));
        }
        drop(message);
        free(exact);
    }
    queue_deinit(&queue);
}

static void errors_are_shared_and_bounded(void **state)
{
    (void)state;
    open_queue(DURATION_S(5));
    options.error_bytes_max = 2000;
    struct queue_message *messages[100];
    for (uint32_t i = 0; i < 100; i++) {
        messages[i] = admit(1, 1, DURATION_S(5), 0);
        const struct queue_error_view same = {.code = 451, .text = BYTES("the same words")};
        queue_entry_set_error(&queue, &messages[i]->entry, &same);
        queue_entry_wait(&queue, &messages[i]->entry, DURATION_S(6));
    }
    assert_int_equal(queue.errors.count, 1);
    for (uint32_t i = 0; i < 100; i++) {
        char text[400];
        const int len = snprintf(text, sizeof(text), "%0300u", i);
        const struct queue_error_view own = {.code = 451, .text = {text, (size_t)len}};
        queue_entry_set_error(&queue, &messages[i]->entry, &own);
    }
    assert_true(queue.error_bytes < 2000 + 400);
    assert_int_equal(messages[99]->entry.error->code, 451);
    assert_int_equal(messages[99]->entry.error->text_len, 0);
    for (uint32_t i = 0; i < 100; i++)
        drop(messages[i]);
    queue_deinit(&queue); /* asserts that no error is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_come_back),
        cmocka_unit_test(damage_is_as_nothing),
        cmocka_unit_test(errors_are_shared_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
