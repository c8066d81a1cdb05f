/* SPDX-License-Identifier: Apache-2.0
 *
 * test_home - the index under thousands of random steps, against a model of what must be there
 *
 * After each step: every pending recipient is in exactly one place that will bring it out again;
 * credits and budgets hold; the counts of domains and of the queue agree with a recount.
 */
#include "fixture.h"

enum { MESSAGES = 200, DOMAINS = 12 };

static struct queue queue;
static struct queue_options options;
static struct random rnd;
static instant now;
static struct stored envelopes[MESSAGES];

static struct model {
    struct queue_message *message;
    uint32_t recipients, settled;
} model[MESSAGES];

struct out {
    struct queue_entry *entry;
    struct queue_gate *gate;
};
static struct out outs[4096];
static uint32_t out_count;
static int dummy_lookup;

static void start(void)
{
    random_init(&rnd, 7);
    queue_options_default(&options);
    options.gate_jobs_max = 6;
    options.jobs_max = 20;
    options.defaults.retry_s[0] = 10;
    options.defaults.retry_s[1] = 60;
    options.defaults.retry_count = 2;
    options.defaults.expiry_s = 600;
    now = DURATION_S(1000);
    out_count = 0;
    memset(model, 0, sizeof(model));
    queue_init(&queue, &options, 0, 1, now, 99);
}

static void stop(void)
{
    for (uint32_t i = 0; i < out_count; i++)
        queue_back(&queue, outs[i].gate, outs[i].entry);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (model[i].message == NULL) continue;
        queue_message_forget(&queue, model[i].message);
        queue_message_free(&queue, model[i].message);
    }
    uint32_t cursor = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue.domains, &cursor)) != NULL)
        domain->lookup = NULL;
    assert_int_equal(queue.recipient_count, 0);
    /* Domains whose lookup never ended are not idle yet. */
    cursor = 0;
    while ((domain = table_next(&queue.domains, &cursor)) != NULL)
        queue_domain_look(&queue, domain);
    queue_deinit(&queue);
}

static void go(struct queue_entry *entry)
{
    if (queue_start(&queue, entry, now) == QUEUE_START_LOOKUP)
        entry->domain->lookup = &dummy_lookup;
}

static void accept_one(void)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct model *slot = &model[i];
        if (slot->message != NULL) continue;
        slot->recipients = random_below(&rnd, 3) ? 1 : 1 + (uint32_t)random_below(&rnd, 12);
        slot->settled = 0;
        stored_begin(&envelopes[i]);
        for (uint32_t r = 0; r < slot->recipients; r++) {
            char address[64];
            snprintf(address, sizeof(address), "u%u@D%u.example", r,
                     (unsigned)random_below(&rnd, DOMAINS));
            stored_add(&envelopes[i], address);
        }
        stored_end(&envelopes[i]);
        slot->message = queue_message_new(&queue);
        slot->message->spool.id = i + 1;
        slot->message->spool.content_size = 4096;
        assert_true(queue_message_admit(&queue, slot->message, &envelopes[i].envelope, now, 0));
        for (uint32_t e = 0; e < queue_message_entries(slot->message); e++)
            go(queue_message_entry(slot->message, e));
        return;
    }
}

static struct model *model_of(const struct queue_message *message)
{
    return &model[message->spool.id - 1];
}

static void settle(struct queue_entry *entry, uint32_t index, enum queue_status status)
{
    struct queue_message *message = entry->message;
    struct model *slot = model_of(message);
    slot->settled += 1;
    queue_recipient_settled(&queue, entry, index, status);
    if (message->entries_left > 0) return;
    assert_int_equal(slot->settled, slot->recipients);
    queue_message_free(&queue, message);
    slot->message = NULL;
}

/* What is left of the entry after an attempt; the entry may be gone afterwards. */
static void end_attempt(struct queue_entry *entry, bool fail)
{
    const uint32_t left = entry->left;
    uint32_t todo = fail ? 0 : (uint32_t)random_below(&rnd, left + 1);
    const bool all = todo == left;
    for (uint32_t i = 0; todo > 0; i++) {
        if (!queue_is_pending(*queue_status_of(entry, i))) continue;
        todo -= 1;
        settle(entry, i, random_below(&rnd, 2) ? QUEUE_DELIVERED : QUEUE_FAILED);
    }
    if (all) return;
    entry->attempts += 1;
    const struct queue_error_view error = {
        .code = 450, .text = BYTES("try again"), .peer = BYTES("mx.example")};
    queue_entry_set_error(&queue, entry, &error);
    if (random_below(&rnd, 5) == 0) {
        queue_entry_report(entry);
        queue_entry_renew(entry);
        go(entry);
        return;
    }
    queue_entry_wait(&queue, entry,
                     now + queue_retry_pause(&options.defaults, entry->attempts, &rnd));
}

static void release_some(void)
{
    struct queue_gate *gate;
    struct queue_entry *entry;
    uint64_t left = random_below(&rnd, 30);
    while (left-- > 0 && (entry = queue_release(&queue, &gate)) != NULL) {
        assert_true(gate->out <= gate->credit);
        assert_int_equal(entry->state, QUEUE_ENTRY_ACTIVE);
        outs[out_count++] = (struct out){entry, gate};
    }
}

static void bring_back(void)
{
    if (out_count == 0) return;
    const uint32_t pick = (uint32_t)random_below(&rnd, out_count);
    const struct out out = outs[pick];
    outs[pick] = outs[--out_count];
    if (random_below(&rnd, 30) == 0) {
        const struct queue_error_view why = {.text = BYTES("connection refused")};
        queue_gate_block(&queue, out.gate, now + DURATION_S(5), &why);
        assert_int_equal(out.gate->waiting_count, 0);
    }
    queue_back(&queue, out.gate, out.entry);
    end_attempt(out.entry, false);
}

static void answer_dns(void)
{
    uint32_t cursor = (uint32_t)random_below(&rnd, queue.domains.cap + 1u);
    struct queue_domain *domain;
    while ((domain = table_next(&queue.domains, &cursor)) != NULL) {
        if (domain->lookup == NULL) continue;
        domain->lookup = NULL;
        if (random_below(&rnd, 10) == 0) {
            const struct queue_error_view why = {.code = 451, .text = BYTES("no answer")};
            queue_domain_unrouted(&queue, domain, &why);
        } else {
            /* Several domains at one site; sometimes they move. */
            char site[32];
            snprintf(site, sizeof(site), "site%u", (unsigned)random_below(&rnd, 4));
            const struct queue_plan_input input =
                plan_of(&options, site, now + DURATION_S(1 + random_below(&rnd, 300)));
            queue_domain_routed(&queue, domain, &input, now);
        }
        queue_domain_look(&queue, domain);
        return;
    }
}

static void pass_time(void)
{
    now += random_below(&rnd, DURATION_S(20));
    bool stuck;
    struct queue_entry *entry;
    while ((entry = queue_due(&queue, now, &stuck)) != NULL) {
        if (!stuck) {
            go(entry);
            continue;
        }
        assert_true(queue_entry_expiry(&queue, entry) <= now ||
                    queue_message_age(&queue, entry->message, now) > 0);
        queue_entry_activate(entry);
        const uint32_t left = entry->left;
        for (uint32_t i = 0, done = 0; done < left; i++) {
            if (!queue_is_pending(*queue_status_of(entry, i))) continue;
            done += 1;
            settle(entry, i, QUEUE_FAILED);
        }
    }
    while ((entry = queue_failing(&queue)) != NULL) {
        assert_non_null(entry->error);
        end_attempt(entry, true);
    }
}

static void interrupt_one(void)
{
    const struct model *slot = &model[random_below(&rnd, MESSAGES)];
    if (slot->message == NULL) return;
    struct queue_entry *entry = queue_message_entry(
        slot->message, (uint32_t)random_below(&rnd, queue_message_entries(slot->message)));
    if (entry->state == QUEUE_ENTRY_DONE) return;
    if (queue_entry_interrupt(&queue, entry)) queue_entry_wait(&queue, entry, now);
}

static uint32_t length(const struct list *head)
{
    uint32_t count = 0;
    LIST_FOR_EACH(node, head)
    {
        count += 1;
    }
    return count;
}

static void check(void)
{
    uint64_t recipients = 0, messages = 0;
    uint32_t by_state[QUEUE_ENTRY_STATE_COUNT] = {0}, timers = 0;
    for (uint32_t m = 0; m < MESSAGES; m++) {
        struct queue_message *message = model[m].message;
        if (message == NULL) continue;
        messages += 1;
        uint32_t pending = 0;
        for (uint32_t e = 0; e < queue_message_entries(message); e++) {
            const struct queue_entry *entry = queue_message_entry(message, e);
            by_state[entry->state] += 1;
            pending += entry->left;
            timers += entry->timer.place > 0;
            assert_int_equal(entry->left == 0, entry->state == QUEUE_ENTRY_DONE);
            if (entry->state == QUEUE_ENTRY_WAITING) {
                assert_true(queue_entry_due(&queue, entry) > 0);
            }
            assert_int_not_equal(entry->state, QUEUE_ENTRY_NEW);
        }
        assert_int_equal(pending, model[m].recipients - model[m].settled);
        recipients += pending;
    }
    assert_int_equal(recipients, queue.recipient_count);
    assert_int_equal(messages, queue.message_count);
    assert_int_equal(timers, queue.schedule.count);
    assert_int_equal(by_state[QUEUE_ENTRY_ACTIVE], out_count);
    assert_int_equal(by_state[QUEUE_ENTRY_FAILING], length(&queue.failing));
    assert_int_equal(out_count, queue.out);
    assert_true(queue.out <= options.jobs_max);

    uint32_t cursor = 0, gated = 0, routing = 0, entries = 0;
    struct queue_domain *domain;
    while ((domain = table_next(&queue.domains, &cursor)) != NULL) {
        const uint32_t waiting = length(&domain->waiting);
        assert_true(waiting == 0 || domain->lookup != NULL);
        routing += waiting;
        entries += domain->entry_count;
        uint32_t active = 0;
        instant first = 0;
        LIST_FOR_EACH(node, &domain->entries)
        {
            struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, domain_link);
            active += entry->state != QUEUE_ENTRY_WAITING;
            const instant due = queue_entry_due(&queue, entry);
            if (due != 0 && (first == 0 || due < first)) first = due;
        }
        assert_int_equal(active, domain->active);
        assert_int_equal(first, queue_domain_next_due(&queue, domain));
    }
    cursor = 0;
    struct queue_gate *gate;
    while ((gate = table_next(&queue.gates, &cursor)) != NULL) {
        assert_int_equal(length(&gate->waiting), gate->waiting_count);
        assert_true(gate->out <= gate->credit);
        const bool ready = gate->waiting_count > 0 && gate->out < gate->credit;
        assert_int_equal(ready, gate->place == QUEUE_GATE_READY);
        gated += gate->waiting_count;
    }
    uint32_t live = 0;
    for (uint32_t state = 0; state < QUEUE_ENTRY_DONE; state++)
        live += by_state[state];
    assert_int_equal(entries, live);
    assert_int_equal(gated, by_state[QUEUE_ENTRY_GATED]);
    assert_int_equal(routing, by_state[QUEUE_ENTRY_ROUTING]);
    assert_int_equal(length(&queue.gates_idle), queue.gates_idle_count);
    assert_int_equal(length(&queue.domains_idle), queue.domains_idle_count);
}

static void random_steps_lose_nothing(void **state)
{
    (void)state;
    start();
    for (uint32_t step = 0; step < 30000; step++) {
        switch (random_below(&rnd, 9)) {
        case 0:
        case 1:
            accept_one();
            break;
        case 2:
            release_some();
            break;
        case 3:
        case 4:
            bring_back();
            break;
        case 5:
        case 6:
            answer_dns();
            break;
        case 7:
            if (random_below(&rnd, 4) == 0) pass_time();
            break;
        case 8:
            if (random_below(&rnd, 100) == 0)
                queue_set_options(&queue, &options);
            else
                interrupt_one();
            break;
        }
        if (step % 7 == 0) check();
    }
    check();
    stop();
}

/* Nothing new comes: everything left must come out by itself. */
static void everything_comes_out(void **state)
{
    (void)state;
    start();
    for (uint32_t i = 0; i < MESSAGES; i++)
        accept_one();
    for (uint32_t step = 0; step < 200000 && queue.recipient_count > 0; step++) {
        answer_dns();
        release_some();
        bring_back();
        if (step % 10 == 0) pass_time();
    }
    assert_int_equal(queue.recipient_count, 0);
    stop();
}

static void first_come_first_served(void **state)
{
    (void)state;
    start();
    for (uint32_t i = 0; i < 50; i++) {
        stored_begin(&envelopes[i]);
        stored_add(&envelopes[i], "user@one.example");
        stored_end(&envelopes[i]);
        model[i] = (struct model){queue_message_new(&queue), 1, 0};
        model[i].message->spool.id = i + 1;
        assert_true(queue_message_admit(&queue, model[i].message, &envelopes[i].envelope, now, 0));
        go(&model[i].message->entry);
    }
    answer_dns();
    uint64_t next = 1;
    struct queue_gate *gate;
    struct queue_entry *entry;
    while (queue.message_count > 0) {
        entry = queue_release(&queue, &gate);
        if (entry == NULL) { /* the route failed by chance: then all are failing, in order */
            while ((entry = queue_failing(&queue)) != NULL) {
                assert_int_equal(entry->message->spool.id, next++);
                settle(entry, 0, QUEUE_FAILED);
            }
            break;
        }
        assert_int_equal(entry->message->spool.id, next++);
        queue_back(&queue, gate, entry);
        settle(entry, 0, QUEUE_DELIVERED);
    }
    assert_int_equal(next, 51);
    stop();
}

static void gates_take_turns(void **state)
{
    (void)state;
    start();
    options.jobs_max = 4;
    struct queue_gate *gates[2] = {0};
    for (uint32_t i = 0; i < 40; i++) {
        stored_begin(&envelopes[i]);
        stored_add(&envelopes[i], i < 20 ? "user@one.example" : "user@two.example");
        stored_end(&envelopes[i]);
        model[i] = (struct model){queue_message_new(&queue), 1, 0};
        model[i].message->spool.id = i + 1;
        assert_true(queue_message_admit(&queue, model[i].message, &envelopes[i].envelope, now, 0));
        struct queue_domain *domain = model[i].message->entry.domain;
        go(&model[i].message->entry);
        if (domain->lookup == NULL) continue;
        domain->lookup = NULL;
        const struct queue_plan_input input =
            plan_of(&options, i < 20 ? "one" : "two", now + DURATION_S(100));
        gates[i / 20] = queue_domain_routed(&queue, domain, &input, now);
    }
    uint32_t served[2] = {0};
    for (uint32_t i = 0; i < 20; i++) {
        struct queue_gate *gate;
        struct queue_entry *entry = queue_release(&queue, &gate);
        assert_non_null(entry);
        served[gate == gates[1]] += 1;
        queue_back(&queue, gate, entry);
        settle(entry, 0, QUEUE_DELIVERED);
    }
    assert_int_equal(served[0], 10);
    assert_int_equal(served[1], 10);
    stop();
}

/* The bar: a million messages over a hundred thousand domains in 256 octets each. */
static void index_is_small(void **state)
{
    (void)state;
    queue_options_default(&options);
    queue_init(&queue, &options, 0, 1, DURATION_S(1), 1);
    enum { COUNT = 200000 };
    struct queue_message **messages = calloc(COUNT, sizeof(struct queue_message *));
    const struct queue_error_view why = {.text = BYTES("connect to 192.0.2.1:25: refused")};
    static struct stored stored;
    for (uint32_t i = 0; i < COUNT; i++) {
        char address[64];
        snprintf(address, sizeof(address), "user%u@domain%u.example", i, i % (COUNT / 10));
        stored_begin(&stored);
        stored_add(&stored, address);
        stored_end(&stored);
        messages[i] = queue_message_new(&queue);
        assert_true(queue_message_admit(&queue, messages[i], &stored.envelope, DURATION_S(1), 0));
        queue_entry_set_error(&queue, &messages[i]->entry, &why);
        queue_entry_wait(&queue, &messages[i]->entry, DURATION_S(1 + i));
    }
    assert_true(queue_index_bytes(&queue) / COUNT <= 256);
    for (uint32_t i = 0; i < COUNT; i++) {
        queue_message_forget(&queue, messages[i]);
        queue_message_free(&queue, messages[i]);
    }
    free(messages);
    queue_deinit(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_lose_nothing),
        cmocka_unit_test(everything_comes_out),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(gates_take_turns),
        cmocka_unit_test(index_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
