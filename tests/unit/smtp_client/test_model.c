/* SPDX-License-Identifier: Apache-2.0
 *
 * test_model - every reply at every step: exhaustively for small cases, at random for larger ones
 */
#include "receiver.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct outcome outcome;

static void check_that(bool holds, const char *what)
{
    if (holds) return;
    print_error("%s\n", outcome.transcript);
    fail_msg("%s", what);
}
#define CHECK(x) check_that((x), #x)

/* ---- an honest receiver: our books must agree with his -----------------------------------------
 */

static void check_honest_recipient(const struct play *play, unsigned t, unsigned r)
{
    const struct smtp_verdict *verdict = &outcome.verdicts[t][r];
    const struct fate *fate = &outcome.fates[t][r];
    CHECK(fate->taken <= 1);
    switch ((enum smtp_outcome)verdict->outcome) {
    case SMTP_OUTCOME_DELIVERED:
        CHECK(fate->taken == 1 && outcome.end_code[t] == 250);
        break;
    case SMTP_OUTCOME_POSSIBLY_DELIVERED:
        CHECK(outcome.lost && outcome.content_sent[t] && outcome.end_code[t] == 0);
        CHECK(fate->rcpt_code == 0 || fate->rcpt_code == 250);
        break;
    case SMTP_OUTCOME_REFUSED:
    case SMTP_OUTCOME_DEFERRED:
        CHECK(fate->taken == 0);
        CHECK(verdict->local ? outcome.lost : verdict->code >= 400);
        break;
    case SMTP_OUTCOME_NOT_TRIED:
        CHECK(fate->taken == 0);
        /* Behind accepted ones; or not even tried, since that taught the receiver's limit. */
        CHECK(outcome.lost ||
              ((fate->rcpt_code == 452 || fate->rcpt_code == 0) && play->recipients > 1));
        break;
    case SMTP_OUTCOME_NONE:
        CHECK(!"settled");
    }
}

static void check_honest(const struct play *play)
{
    for (unsigned t = 0; t < play->transactions; t++) {
        if (!outcome.offered[t]) {
            CHECK(outcome.lost);
            continue;
        }
        for (unsigned r = 0; r < play->recipients; r++)
            check_honest_recipient(play, t, r);
    }
    if (outcome.lost) return;
    CHECK(!outcome.misbehaved);
    CHECK(outcome.end == SMTP_CLIENT_END_QUIT);
}

/* ---- a liar: nothing is believed that he did not say -------------------------------------------
 */

static void check_liar_recipient(unsigned t, unsigned r)
{
    const struct smtp_verdict *verdict = &outcome.verdicts[t][r];
    const struct fate *fate = &outcome.fates[t][r];
    const bool mail_ok = outcome.mail_code[t] / 100 == 2;
    switch ((enum smtp_outcome)verdict->outcome) {
    case SMTP_OUTCOME_DELIVERED:
        CHECK(outcome.end_code[t] / 100 == 2 && mail_ok && fate->accepted);
        break;
    case SMTP_OUTCOME_POSSIBLY_DELIVERED: /* never taken for a refusal that would bounce it */
        CHECK(outcome.content_sent[t]);
        CHECK(fate->rcpt_code == 0 || fate->accepted || fate->rcpt_code / 100 == 3);
        break;
    case SMTP_OUTCOME_REFUSED: /* his own 5yz to a command of this very transaction */
        CHECK(verdict->code / 100 == 5 && !verdict->local);
        CHECK(outcome.mail_code[t] == verdict->code || fate->rcpt_code == verdict->code ||
              outcome.go_code[t] == verdict->code || outcome.end_code[t] == verdict->code);
        break;
    case SMTP_OUTCOME_DEFERRED:
        CHECK(verdict->code / 100 == 4 || verdict->code == 552);
        break;
    case SMTP_OUTCOME_NOT_TRIED:
        CHECK(outcome.end_code[t] / 100 != 2 || !fate->accepted || !mail_ok);
        break;
    case SMTP_OUTCOME_NONE:
        CHECK(!"settled");
    }
}

static void check_liar(const struct play *play)
{
    for (unsigned t = 0; t < play->transactions; t++) {
        if (!outcome.offered[t]) continue;
        for (unsigned r = 0; r < play->recipients; r++)
            check_liar_recipient(t, r);
    }
    if (outcome.desynced) CHECK(outcome.misbehaved && outcome.end == SMTP_CLIENT_END_BROKEN);
}

static void check(const struct play *play)
{
    if (play->manner == MANNER_HONEST) check_honest(play);
    if (play->manner == MANNER_LIAR) check_liar(play);
}

/* ---- walking -----------------------------------------------------------------------------------
 */

static uint64_t walk_all(struct play play)
{
    struct chooser chooser = {.known = 0};
    uint64_t runs = 0;
    do {
        receiver_play(&play, &chooser, &outcome);
        check(&play);
        runs += 1;
    } while (chooser_next(&chooser));
    return runs;
}

static const uint16_t all_replies[] = {250, 354, 450,     452,  503,   550,
                                       552, 421, GARBAGE, LOST, 0xffff};
static const uint16_t few_replies[] = {250, 354, 450, 550, LOST, 0xffff};

struct mode {
    const char *name;
    bool pipelining, chunking;
    unsigned window;
};
static const struct mode modes[] = {
    {"lock step", false, false, 1},
    {"pipelining", true, false, 1},
    {"chunking, window 1", true, true, 1},
    {"chunking, window 3", true, true, 3},
    {"chunking without pipelining", false, true, 3},
};

static void walk_modes(struct play play)
{
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        play.pipelining = modes[i].pipelining;
        play.chunking = modes[i].chunking;
        play.window = modes[i].window;
        for (unsigned variant = 0; variant < 4; variant++) {
            play.batched = variant & 1;
            play.by_octet = variant & 2;
            const uint64_t runs = walk_all(play);
            if (variant == 0) {
                print_message("  %u x %u, %s: %llu runs\n", play.transactions, play.recipients,
                              modes[i].name, (unsigned long long)runs);
            }
        }
    }
}

static void test_honest(void **state)
{
    (void)state;
    walk_modes((struct play){.manner = MANNER_HONEST, .transactions = 1, .recipients = 1});
    walk_modes((struct play){.manner = MANNER_HONEST, .transactions = 1, .recipients = 3});
    walk_modes((struct play){.manner = MANNER_HONEST, .transactions = 2, .recipients = 2});
    walk_modes((struct play){.manner = MANNER_HONEST, .transactions = 3, .recipients = 1});
}

static void test_honest_but_unreliable(void **state)
{
    (void)state;
    struct play play = {.manner = MANNER_HONEST, .may_lose = true};
    play.transactions = 1, play.recipients = 2;
    walk_modes(play);
    play.transactions = 2, play.recipients = 1;
    walk_modes(play);
}

static void test_liar(void **state)
{
    (void)state;
    struct play play = {.manner = MANNER_LIAR, .lies = all_replies};
    play.transactions = 1, play.recipients = 1;
    walk_modes(play);
    play.transactions = 1, play.recipients = 2;
    walk_modes(play);
    play.lies = few_replies;
    play.transactions = 2, play.recipients = 1;
    walk_modes(play);
}

/* Larger than can be walked: 4 transactions of 4 recipients, all replies, all modes. */
static void test_at_random(void **state)
{
    (void)state;
    struct random random;
    struct chooser chooser = {.random = &random};
    random_init(&random, 20261121);
    for (unsigned run = 0; run < 60000; run++) {
        const struct mode *mode = &modes[random_below(&random, ARRAY_COUNT(modes))];
        const bool honest = random_below(&random, 2);
        const struct play play = {
            .manner = honest ? MANNER_HONEST : MANNER_LIAR,
            .pipelining = mode->pipelining,
            .chunking = mode->chunking,
            .window = mode->window,
            .by_octet = random_below(&random, 2),
            .batched = random_below(&random, 2),
            .transactions = 1 + (unsigned)random_below(&random, TRANSACTIONS_MAX),
            .recipients = 1 + (unsigned)random_below(&random, RECIPIENTS_MAX),
            .lies = all_replies,
        };
        receiver_play(&play, &chooser, &outcome);
        check(&play);
    }
}

/* The same replies in any split give the same commands and the same verdicts. */
static void test_any_split(void **state)
{
    (void)state;
    static struct outcome whole;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        struct random random;
        struct chooser chooser = {.random = &random};
        struct play play = {.manner = seed % 3 ? MANNER_HONEST : MANNER_LIAR,
                            .pipelining = seed & 1,
                            .chunking = seed & 2,
                            .window = 1 + seed % 4,
                            .batched = seed & 4,
                            .transactions = 3,
                            .recipients = 2,
                            .lies = all_replies};
        random_init(&random, seed);
        receiver_play(&play, &chooser, &whole);
        play.by_octet = true;
        random_init(&random, seed);
        receiver_play(&play, &chooser, &outcome);
        assert_string_equal(whole.transcript, outcome.transcript);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest),    cmocka_unit_test(test_honest_but_unreliable),
        cmocka_unit_test(test_liar),      cmocka_unit_test(test_at_random),
        cmocka_unit_test(test_any_split),
    };
    return cmocka_run_group_tests_name("smtp_client model", tests, NULL, NULL);
}
