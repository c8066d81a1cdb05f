/* SPDX-License-Identifier: Apache-2.0
 *
 * test_desk - which worker is to make a signature, and how many of them in a turn
 */
#include "internal.h"
#include "keys.h"
#include "ringpost/dkim/desk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

enum { COUNT = 4, HERE = 1, COST = 280 };

static struct worker pictures[COUNT];

/* The index of the helper with these backlogs, -1 for none. */
static int helper(uint32_t count, const uint32_t backlogs[COUNT], uint32_t cost_us)
{
    for (uint32_t i = 0; i < count; i++) {
        pictures[i].index = i;
        pictures[i].count = count;
        pictures[i].all = pictures;
        atomic_store(&pictures[i].backlog_us, backlogs[i]);
    }
    const struct worker *found = desk_helper(&pictures[HERE], cost_us);
    return found == NULL ? -1 : (int)found->index;
}

static void who_has_little_to_do_keeps_it(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, 0, 0, 0}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, COST, 0, 0}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){900, 1000, 900, 900}, COST), -1);
}

static void the_least_busy_one_gets_it(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){0, 2 * COST, 5, 5}, COST), 0);
    assert_int_equal(helper(COUNT, (const uint32_t[]){300, 2000, 100, 200}, COST), 2);
    assert_int_equal(helper(COUNT, (const uint32_t[]){300, 2000, 200, 100}, COST), 3);
}

/* It must be back before we would begin: the crossing counts. */
static void it_has_to_be_worth_the_way(void **state)
{
    uint32_t least = 0;
    (void)state;
    while (helper(COUNT, (const uint32_t[]){100, least, 500, 500}, COST) < 0 && least < 5000)
        least += 1;
    assert_true(least > 100 + COST && least < 100 + 2 * COST);
}

static void nobody_is_flooded(void **state)
{
    (void)state;
    assert_int_equal(helper(COUNT, (const uint32_t[]){3000, 1000000, 2000, 2500}, COST), -1);
    assert_int_equal(helper(COUNT, (const uint32_t[]){3000, 1000000, 1999, 2500}, COST), 2);
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

enum { JOBS = 64, BUDGET_US = 2000 };

static struct dkim_signers *signers;
static struct worker *workers;
static struct dkim_desk *desks[2];
static struct order { /* in which they were done */
    uint32_t job;
    bool good;
    char *text;
} orders[JOBS];
static struct dkim_field all_fields[JOBS];
static char *all_texts[JOBS];
static uint32_t asked, done, to_ask;
static uint32_t calls, failing_call; /* of the operation; 0: none fails */

bool __real_dkim_key_sign(struct dkim_key *key, uint32_t slot,
                          const uint8_t hash[DIGEST_SHA256_LEN], uint8_t *out);
bool __wrap_dkim_key_sign(struct dkim_key *key, uint32_t slot,
                          const uint8_t hash[DIGEST_SHA256_LEN], uint8_t *out);
bool __wrap_dkim_key_sign(struct dkim_key *key, uint32_t slot,
                          const uint8_t hash[DIGEST_SHA256_LEN], uint8_t *out)
{
    calls += 1;
    return calls != failing_call && __real_dkim_key_sign(key, slot, hash, out);
}

static void end(void)
{
    for (uint32_t i = 0; i < workers[0].count; i++) {
        assert_int_equal(atomic_load(&workers[i].backlog_us), 0);
        dkim_desk_destroy(&desks[i]);
    }
    for (uint32_t i = 0; i < asked; i++) {
        base_free(all_texts[i]);
        if (i < done) base_free(orders[i].text);
    }
    workers_destroy(&workers);
    dkim_signers_unref(signers);
}

static char *keep(struct bytes text)
{
    char *kept = base_alloc(text.len + 1);
    memcpy(kept, text.data, text.len);
    return kept;
}

static void on_done(void *context, struct bytes text, bool good)
{
    const struct dkim_field *field = context;
    orders[done++] = (struct order){(uint32_t)(field - all_fields), good, keep(text)};
}

/* A hook, as with all who sign. Each message is another one. */
static void ask(void *context)
{
    const uint32_t before = done;
    (void)context;
    for (; to_ask > 0; to_ask--) {
        char message[100], room[DKIM_SIGNATURES_MAX * DKIM_FIELD_MAX + 1];
        struct dkim_field fields[DKIM_SIGNATURES_MAX];
        struct text text;
        const int len =
            snprintf(message, sizeof(message), "From: a@a.test\r\nSubject: %u\r\n\r\nx\r\n", asked);
        text_init(&text, room, sizeof(room));
        assert_int_equal(
            dkim_whole_write(signers, (struct bytes){message, (size_t)len}, 1, &text, fields), 1);
        all_fields[asked] = fields[0];
        all_texts[asked] = keep(text_bytes(&text));
        dkim_desk_sign(desks[0], fields, 1, text_bytes(&text), on_done, &all_fields[asked]);
        asked += 1;
    }
    assert_int_equal(done, before); /* never from inside */
}

static void begin(uint32_t count)
{
    char why[200];
    const struct worker_options options = {.workers = count, .events = {.buffers_max = 1}};
    struct dkim_key *key = dkim_key_generate(DKIM_RSA_SHA256, 2048, why, sizeof(why));
    assert_non_null(key);
    const struct dkim_signer signer = {
        .domain = BYTES("a.test"), .selector = BYTES("s"), .key = key};
    signers = dkim_signers_create(&signer, 1);
    dkim_key_unref(key);
    workers = workers_create(&options, why, sizeof(why));
    if (workers == NULL) fail_msg("%s", why);
    for (uint32_t i = 0; i < count; i++) {
        desks[i] = dkim_desk_create(&workers[i]);
        if (i == 0) worker_add_hook(&workers[0], WORKER_DECIDE, ask, &to_ask);
        ring_enter_thread(workers[i].ring); /* all are this one */
    }
    asked = done = to_ask = calls = failing_call = 0;
}

static void turn(uint32_t worker)
{
    worker_keep_busy(&workers[worker]);
    worker_turn(&workers[worker]);
}

/* What the desk says of it is what the operation gives. */
static void assert_signed(const struct order *order)
{
    struct dkim_field field = all_fields[order->job];
    char *text = keep(bytes_of(all_texts[order->job]));
    assert_true(order->good);
    assert_true(dkim_field_sign(&field, 0));
    dkim_field_finish(&field, text);
    assert_string_equal(order->text, text);
    assert_string_not_equal(order->text, all_texts[order->job]);
    base_free(text);
}

static void a_turn_has_its_share(void **state)
{
    (void)state;
    begin(1);
    const uint32_t cost = dkim_key_cost_us(dkim_signers_at(signers, 0)->key);
    const uint32_t share = (BUDGET_US + cost - 1) / cost;
    to_ask = 3 * share - 1;
    for (uint32_t i = 1; i <= 3; i++) {
        turn(0);
        assert_int_equal(done, MIN(i * share, asked));
        assert_int_equal(atomic_load(&workers[0].backlog_us), (asked - done) * cost);
        assert_int_equal(workers[0].busy, done < asked);
        assert_int_equal(calls, done);
    }
    for (uint32_t i = 0; i < done; i++) {
        assert_int_equal(orders[i].job, i);
        assert_signed(&orders[i]);
    }
    end();
}

/* One that comes while others wait does not get a second share out of that turn. */
static void what_waits_comes_first(void **state)
{
    (void)state;
    begin(1);
    const uint32_t cost = dkim_key_cost_us(dkim_signers_at(signers, 0)->key);
    const uint32_t share = (BUDGET_US + cost - 1) / cost;
    to_ask = share + 1;
    turn(0);
    assert_int_equal(done, share);
    to_ask = share;
    turn(0);
    assert_int_equal(done, 2 * share);
    turn(0);
    assert_int_equal(done, asked);
    for (uint32_t i = 0; i < done; i++)
        assert_int_equal(orders[i].job, i);
    end();
}

static void the_other_worker_helps(void **state)
{
    (void)state;
    begin(2);
    to_ask = 20;
    turn(0); /* what is lent leaves before the own share is done */
    const uint64_t lent = workers[0].metrics.counters[METRICS_DKIM_LENT];
    assert_true(lent >= 5 && lent <= 10); /* not more than a turn has room for */
    assert_int_equal(done, 0);
    turn(1);
    assert_int_equal(calls, lent);
    assert_int_equal(done, 0);
    for (uint32_t i = 0; done < asked && i < 9; i++)
        turn(0);
    assert_int_equal(done, asked);
    bool seen[JOBS] = {false};
    for (uint32_t i = 0; i < done; i++) {
        assert_false(seen[orders[i].job]);
        seen[orders[i].job] = true;
        assert_signed(&orders[i]);
    }
    end();
}

static void a_key_that_fails_is_told(void **state)
{
    (void)state;
    begin(1);
    failing_call = 2;
    to_ask = 3;
    turn(0);
    assert_int_equal(done, 3);
    assert_signed(&orders[0]);
    assert_false(orders[1].good);
    assert_signed(&orders[2]);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_little_to_do_keeps_it),
        cmocka_unit_test(the_least_busy_one_gets_it),
        cmocka_unit_test(it_has_to_be_worth_the_way),
        cmocka_unit_test(nobody_is_flooded),
        cmocka_unit_test(a_turn_has_its_share),
        cmocka_unit_test(what_waits_comes_first),
        cmocka_unit_test(the_other_worker_helps),
        cmocka_unit_test(a_key_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
