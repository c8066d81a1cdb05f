/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dialogue - single dialogues: what is sent octet for octet, and what the replies come to
 */
#include "ringpost/smtp_client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGES = 8, RCPTS = 4 };

static struct smtp_client client;
static struct smtp_client_options options;
static struct smtp_transaction messages[MESSAGES];
static struct smtp_transaction_recipient rcpts[MESSAGES][RCPTS];

/* A message of 100 octets from "a@x" to "b@y", c@y, d@y, e@y. */
static struct smtp_transaction *message(unsigned index, unsigned recipients)
{
    static const char *const names[RCPTS] = {"b@y", "c@y", "d@y", "e@y"};
    struct smtp_transaction *transaction = &messages[index];
    memset(transaction, 0, sizeof(*transaction));
    memset(rcpts[index], 0, sizeof(rcpts[index]));
    for (unsigned i = 0; i < RCPTS; i++)
        rcpts[index][i].to.address = bytes_of(names[i]);
    transaction->reverse_path = BYTES("a@x");
    transaction->size = 100;
    transaction->recipients = rcpts[index];
    transaction->recipient_count = recipients;
    return transaction;
}

static void reply(const char *text)
{
    struct bytes input = bytes_of(text);
    smtp_client_input(&client, &input);
    assert_int_equal(input.len, 0);
}

/* All that is sent until the client waits: content as "{100}" or "{bdat 100}", close as "#". */
static const char *sent(void)
{
    static char all[32768];
    struct text text;
    text_init(&text, all, sizeof(all));
    for (;;) {
        struct smtp_transaction *content;
        switch (smtp_client_next(&client, &text, &content)) {
        case SMTP_CLIENT_WAIT:
            return all;
        case SMTP_CLIENT_SEND_TEXT:
            break;
        case SMTP_CLIENT_SEND_DATA:
            text_printf(&text, "{%u}", (unsigned)content->size);
            break;
        case SMTP_CLIENT_SEND_BDAT:
            text_printf(&text, "{bdat %u}", (unsigned)content->size);
            break;
        case SMTP_CLIENT_START_TLS:
            fail();
            break;
        case SMTP_CLIENT_CLOSE:
            text_put(&text, BYTES("#"));
            return all;
        }
    }
}
#define SENT(text)   assert_string_equal(sent(), text)
#define NOTHING_SENT SENT("")

static void greet(const char *ehlo_reply)
{
    smtp_client_init(&client, &options);
    NOTHING_SENT;
    reply("220 y ESMTP\r\n");
    SENT("EHLO relay.example\r\n");
    reply(ehlo_reply);
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
}

static void offer(struct smtp_transaction *transaction)
{
    assert_true(smtp_client_wants(&client));
    smtp_client_offer(&client, transaction);
}

static void done(struct smtp_transaction *transaction)
{
    assert_ptr_equal(smtp_client_take_done(&client), transaction);
}

static void verdict(unsigned index, unsigned recipient, enum smtp_outcome outcome, unsigned code,
                    const char *text)
{
    const struct smtp_verdict *is = &rcpts[index][recipient].verdict;
    char is_text[SMTP_CLIENT_TEXT_MAX + 1];
    snprintf(is_text, sizeof(is_text), "%.*s", is->text_len, is->text);
    assert_int_equal(is->outcome, outcome);
    assert_int_equal(is->code, code);
    if (text != NULL) assert_string_equal(is_text, text);
}

static void enhanced(unsigned index, unsigned recipient, unsigned class, unsigned subject,
                     unsigned detail)
{
    const struct smtp_enhanced code = rcpts[index][recipient].verdict.enhanced;
    assert_int_equal(code.class, class);
    assert_int_equal(code.subject, subject);
    assert_int_equal(code.detail, detail);
}

static int setup(void **state)
{
    (void)state;
    options = smtp_client_options_default(BYTES("relay.example"));
    return 0;
}

/* ---- the session -------------------------------------------------------------------------------
 */

static void test_lock_step(void **state)
{
    (void)state;
    greet("250 y\r\n");
    offer(message(0, 2));
    assert_false(smtp_client_wants(&client));
    SENT("MAIL FROM:<a@x>\r\n");
    NOTHING_SENT;
    reply("250 ok\r\n");
    SENT("RCPT TO:<b@y>\r\n");
    reply("251 2.1.5 forwards\r\n");
    SENT("RCPT TO:<c@y>\r\n");
    reply("550-5.1.1 no\r\n550 5.1.1 such user\r\n");
    SENT("DATA\r\n");
    reply("354 go\r\n");
    SENT("{100}.\r\n");
    reply("250 2.0.0 queued as 1\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DELIVERED, 250, "queued as 1");
    verdict(0, 1, SMTP_OUTCOME_REFUSED, 550, "no such user");
    enhanced(0, 1, 5, 1, 1);
    assert_int_equal(rcpts[0][1].verdict.stage, SMTP_STAGE_RCPT);
    assert_int_equal(rcpts[0][0].verdict.stage, SMTP_STAGE_CONTENT);
    smtp_client_quit(&client);
    SENT("QUIT\r\n");
    reply("221 bye\r\n250 whatever\r\n<html>");
    SENT("#");
    assert_int_equal(client.end, SMTP_CLIENT_END_QUIT);
    assert_false(client.misbehaved);
}

static void test_greetings(void **state)
{
    (void)state;
    static const struct {
        const char *greeting;
        enum smtp_client_end end;
        bool polite, misbehaved;
    } cases[] = {
        {"554 5.3.2 no mail here\r\n", SMTP_CLIENT_END_REFUSED, true, false},
        {"521 none\r\n", SMTP_CLIENT_END_REFUSED, true, false},
        {"450 busy\r\n", SMTP_CLIENT_END_TEMP, true, false},
        {"421 too busy\r\n", SMTP_CLIENT_END_TEMP, false, false},
        {"354 what\r\n", SMTP_CLIENT_END_BROKEN, false, true},
        {"SSH-2.0-OpenSSH_9.2\r\n", SMTP_CLIENT_END_BROKEN, false, true},
        {"100 old\r\n", SMTP_CLIENT_END_BROKEN, false, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        smtp_client_init(&client, &options);
        reply(cases[i].greeting);
        assert_false(smtp_client_wants(&client));
        assert_int_equal(client.end, cases[i].end);
        assert_int_equal(client.misbehaved, cases[i].misbehaved);
        SENT(cases[i].polite ? "QUIT\r\n" : "#");
        if (!cases[i].polite) continue;
        reply("221 bye\r\n");
        SENT("#");
        assert_int_equal(client.end, cases[i].end);
    }
    assert_int_equal(client.end_verdict.stage, SMTP_STAGE_GREETING);
}

static void test_helo(void **state)
{
    (void)state;
    smtp_client_init(&client, &options);
    reply("220 y\r\n");
    SENT("EHLO relay.example\r\n");
    reply("502-SIZE 5\r\n502-PIPELINING\r\n502 what\r\n");
    SENT("HELO relay.example\r\n");
    reply("250-y\r\n250 PIPELINING\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    assert_int_equal(client.extensions, 0);
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\n");

    smtp_client_init(&client, &options);
    reply("220 y\r\n");
    SENT("EHLO relay.example\r\n");
    reply("550 what\r\n");
    SENT("HELO relay.example\r\n");
    reply("550 no\r\n");
    SENT("QUIT\r\n");
    assert_int_equal(client.end, SMTP_CLIENT_END_REFUSED);
    assert_int_equal(client.end_verdict.stage, SMTP_STAGE_HELO);

    smtp_client_init(&client, &options);
    reply("220 y\r\n");
    SENT("EHLO relay.example\r\n");
    reply("451 later\r\n");
    SENT("QUIT\r\n");
    assert_int_equal(client.end, SMTP_CLIENT_END_TEMP);
}

static void test_extensions(void **state)
{
    (void)state;
    greet("250-PIPELINING is not my name\r\n250-size 5000\r\n250-LIMITS RCPTMAX=20 MAILMAX=0 FOO "
          "RCPTDOMAINMAX=1 MAILMAX=7\r\n250 XYZ\r\n");
    assert_int_equal(client.extensions, SMTP_EXT_SIZE | SMTP_EXT_LIMITS);
    assert_int_equal(client.limits.size, 5000);
    assert_int_equal(client.limits.rcpt_max, 20);
    assert_int_equal(client.limits.mail_max, 7);
    assert_int_equal(client.limits.rcpt_domain_max, 1);
    greet("250-y\r\n250-SIZE 99999999999999999999999\r\n250 LIMITS RCPTMAX=99999999999 "
          "MAILMAX=x\r\n");
    assert_int_equal(client.limits.size, 0);
    assert_int_equal(client.limits.rcpt_max, 0);
    assert_int_equal(client.limits.mail_max, 0);
}

static void test_a_second_greeting_is_too_much(void **state)
{
    (void)state;
    smtp_client_init(&client, &options);
    reply("220 y\r\n250 y\r\n");
    SENT("#");
    assert_true(client.misbehaved);
}

/* ---- parameters --------------------------------------------------------------------------------
 */

static void test_parameters(void **state)
{
    (void)state;
    greet("250-y\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n250 DSN\r\n");
    struct smtp_transaction *t = message(0, 4);
    t->envid = BYTES("a+2Bb");
    t->ret = SMTP_RET_HDRS;
    t->smtputf8 = true;
    t->content_flags = SMTP_CONTENT_8BIT | SMTP_CONTENT_UTF8_HEADER;
    rcpts[0][0].to.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY;
    rcpts[0][0].to.orcpt = BYTES("rfc822;q+40z");
    rcpts[0][1].to.notify = SMTP_NOTIFY_NEVER;
    rcpts[0][1].to.orcpt = BYTES("rfc822;\r\nDATA"); /* cannot be sent: left out */
    rcpts[0][2].to.address = BYTES("Postmaster");
    rcpts[0][2].to.notify = SMTP_NOTIFY_FAILURE;
    rcpts[0][3].to.address = BYTES("\"a > \\\"b\"@[192.0.2.1]");
    offer(t);
    SENT("MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n"
         "RCPT TO:<b@y> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;q+40z\r\n"
         "RCPT TO:<c@y> NOTIFY=NEVER\r\n"
         "RCPT TO:<Postmaster> NOTIFY=FAILURE\r\n"
         "RCPT TO:<\"a > \\\"b\"@[192.0.2.1]>\r\n"
         "DATA\r\n");
    assert_true(t->next_hop_dsn);

    greet("250 y\r\n");
    t = message(0, 1);
    t->envid = BYTES("a");
    t->ret = SMTP_RET_FULL;
    t->reverse_path = BYTES("");
    t->content_flags = SMTP_CONTENT_8BIT; /* as is, by the default policy */
    rcpts[0][0].to.notify = SMTP_NOTIFY_NEVER;
    offer(t);
    SENT("MAIL FROM:<>\r\n");
    assert_false(t->next_hop_dsn);
}

static void test_not_sendable(void **state)
{
    (void)state;
    options.eight_bit = SMTP_EIGHT_BIT_BOUNCE;
    greet("250-y\r\n250 SIZE 99\r\n");
    offer(message(0, 2));
    done(&messages[0]);
    verdict(0, 1, SMTP_OUTCOME_REFUSED, 552, NULL);
    enhanced(0, 1, 5, 3, 4);
    assert_true(rcpts[0][1].verdict.local);

    messages[1] = *message(1, 1);
    messages[1].size = 10;
    messages[1].content_flags = SMTP_CONTENT_8BIT;
    offer(&messages[1]);
    done(&messages[1]);
    enhanced(1, 0, 5, 6, 3);

    message(2, 1)->size = 10;
    messages[2].body = SMTP_BODY_BINARYMIME;
    offer(&messages[2]);
    done(&messages[2]);
    enhanced(2, 0, 5, 6, 3);

    message(3, 1)->size = 10;
    messages[3].reverse_path = BYTES("\xc3\xa4@x");
    offer(&messages[3]);
    done(&messages[3]);
    enhanced(3, 0, 5, 6, 7);

    message(5, 1)->size = 10;
    messages[5].unconvertible = true;
    offer(&messages[5]);
    done(&messages[5]);
    enhanced(5, 0, 5, 6, 1);

    /* One recipient that needs SMTPUTF8 does not cost the other his mail. */
    message(4, 2)->size = 10;
    messages[4].smtputf8 = true;
    rcpts[4][0].to.address = BYTES("\xc3\xa4@y");
    offer(&messages[4]);
    SENT("MAIL FROM:<a@x> SIZE=10\r\n");
    reply("250 ok\r\n");
    SENT("RCPT TO:<c@y>\r\n");
    reply("250 ok\r\n");
    SENT("DATA\r\n");
    reply("354 go\r\n");
    SENT("{10}.\r\n");
    reply("250 ok\r\n");
    done(&messages[4]);
    enhanced(4, 0, 5, 6, 7);
    verdict(4, 1, SMTP_OUTCOME_DELIVERED, 250, "ok");
    NOTHING_SENT;
}

static void test_nothing_ends_a_command(void **state)
{
    (void)state;
    static const struct bytes evil[] = {
        {"a\r\nDATA\r\n@y", 11},
        {"a\n@y", 4},
        {"a\0b@y", 5},
        {"a>\r\n", 4},
        {"a@y> X=1", 8},
        {"\"a\r\"@y", 6},
        {"\"a\\\n\"@y", 7},
        {"\"a@y", 4},
        {"\"a\\", 3},
        {"<a@y", 4},
        {"a b@y", 5},
        {"", 0},
        {"a\x7f@y", 4},
    };
    greet("250-y\r\n250-DSN\r\n250 PIPELINING\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(evil); i++) {
        message(0, 1);
        rcpts[0][0].to.address = evil[i];
        offer(&messages[0]);
        done(&messages[0]);
        verdict(0, 0, SMTP_OUTCOME_REFUSED, 553, NULL);
        enhanced(0, 0, 5, 1, 3);
        if (evil[i].len == 0) continue; /* as a sender that is right */
        message(0, 1)->reverse_path = evil[i];
        offer(&messages[0]);
        done(&messages[0]);
        enhanced(0, 0, 5, 1, 7);
    }
    message(0, 1)->envid = BYTES("a\r\nRSET");
    offer(&messages[0]);
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
}

/* ---- pipelining --------------------------------------------------------------------------------
 */

static void test_one_round_trip_a_message(void **state)
{
    (void)state;
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    offer(message(1, 2));
    assert_false(smtp_client_wants(&client));
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    reply("250 ok\r\n250 ok\r\n354 go\r\n");
    SENT("{100}.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
    reply("250 first\r\n250 ok\r\n250 ok\r\n450 busy\r\n354 go\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DELIVERED, 250, "first");
    message(2, 1)->content_flags = SMTP_CONTENT_NO_FINAL_CRLF;
    offer(&messages[2]);
    SENT("{100}.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    reply("250 second\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    done(&messages[1]);
    verdict(1, 0, SMTP_OUTCOME_DELIVERED, 250, "second");
    verdict(1, 1, SMTP_OUTCOME_DEFERRED, 450, "busy");
    SENT("{100}\r\n.\r\n");
}

/* It does not read to the end: what it says is about the message, and the connection is over. */
static void test_refused_while_content_is_sent(void **state)
{
    char space[SMTP_CLIENT_COMMAND_MAX + 64];
    struct text text;
    struct smtp_transaction *content;
    (void)state;
    greet("250 y\r\n");
    offer(message(0, 2));
    SENT("MAIL FROM:<a@x>\r\n");
    reply("250 ok\r\n");
    SENT("RCPT TO:<b@y>\r\n");
    reply("250 ok\r\n");
    SENT("RCPT TO:<c@y>\r\n");
    reply("250 ok\r\n");
    SENT("DATA\r\n");
    reply("354 go\r\n");
    text_init(&text, space, sizeof(space));
    assert_int_equal(smtp_client_next(&client, &text, &content), SMTP_CLIENT_SEND_DATA);
    reply("552 5.3.4 enough\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_REFUSED, 552, "enough");
    verdict(0, 1, SMTP_OUTCOME_REFUSED, 552, "enough");
    assert_int_equal(client.end, SMTP_CLIENT_END_CLOSED);
    SENT("#");
}

static void test_stages_have_words(void **state)
{
    (void)state;
    assert_string_equal(smtp_stage_doing(SMTP_STAGE_MAIL), "waiting for the reply to MAIL FROM");
}

static void test_nobody_accepted(void **state)
{
    (void)state;
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    offer(message(1, 1));
    reply("250 ok\r\n550 no\r\n354 go\r\n");
    SENT(".\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"); /* a lone dot */
    reply("250 I do not care\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_REFUSED, 550, "no");
    offer(message(2, 1));
    reply("250 ok\r\n550 no\r\n503 no recipients\r\n");
    done(&messages[1]);
    verdict(1, 0, SMTP_OUTCOME_REFUSED, 550, "no");
    /* The sender of the last one may still stand there. */
    SENT("RSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    assert_false(client.misbehaved);

    greet("250 y\r\n");
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\n");
    reply("250 ok\r\n");
    SENT("RCPT TO:<b@y>\r\n");
    reply("450 no\r\n");
    done(&messages[0]);
    offer(message(1, 1));
    SENT("RSET\r\n");
    reply("250 ok\r\n");
    SENT("MAIL FROM:<a@x>\r\n");
}

/* With a lone dot the recipient would get an empty message. */
static void test_no_dot_without_sender(void **state)
{
    (void)state;
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    (void)sent();
    reply("550 no\r\n250 ok\r\n354 go\r\n");
    SENT("#");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_REFUSED, 550, "no");
    assert_true(client.misbehaved);
}

/* With a chunk it may have got one: tried again, but never without a code and a reason. */
static void test_chunk_without_sender(void **state)
{
    (void)state;
    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    offer(message(0, 2));
    (void)sent();
    reply("550 no\r\n250 ok\r\n550 nobody\r\n250 ok\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_POSSIBLY_DELIVERED, 550, "no");
    verdict(0, 1, SMTP_OUTCOME_REFUSED, 550, "no");
    assert_true(client.misbehaved);

    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    offer(message(0, 2));
    (void)sent();
    reply("503 lost\r\n250 ok\r\n550 nobody\r\n250 ok\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_POSSIBLY_DELIVERED, 451,
            "content was accepted although the sender was refused");
    enhanced(0, 0, 4, 5, 0);
    verdict(0, 1, SMTP_OUTCOME_NOT_TRIED, 0, "");
}

static void test_too_many_recipients(void **state)
{
    (void)state;
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 4));
    (void)sent();
    reply("250 ok\r\n250 ok\r\n552 too many\r\n452 4.5.3 too many\r\n452 4.2.2 full\r\n354 go\r\n");
    SENT("{100}.\r\n");
    reply("250 ok\r\n");
    done(&messages[0]);
    assert_true(messages[0].many);
    assert_int_equal(client.limits.rcpt_max, 1);
    verdict(0, 0, SMTP_OUTCOME_DELIVERED, 250, "ok");
    verdict(0, 1, SMTP_OUTCOME_NOT_TRIED, 552, "too many");
    verdict(0, 2, SMTP_OUTCOME_NOT_TRIED, 452, "too many");
    verdict(0, 3, SMTP_OUTCOME_DEFERRED, 452, "full");

    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 2));
    (void)sent();
    reply("250 ok\r\n552 no space\r\n552 5.2.2 mailbox full\r\n503 no\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DEFERRED, 552, "no space"); /* RFC 5321 section 4.5.3.1.10 */
    verdict(0, 1, SMTP_OUTCOME_REFUSED, 552, "mailbox full");
}

static void test_limits(void **state)
{
    (void)state;
    greet("250-y\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2 RCPTMAX=2 RCPTDOMAINMAX=1\r\n");
    message(0, 4);
    rcpts[0][1].to.address = BYTES("c@other");
    offer(&messages[0]);
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<d@y>\r\nDATA\r\n");
    offer(message(1, 1));
    assert_false(smtp_client_wants(&client)); /* MAILMAX */
    reply("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    SENT("{100}.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    reply("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DELIVERED, 250, "ok");
    verdict(0, 1, SMTP_OUTCOME_NOT_TRIED, 0, "");
    verdict(0, 2, SMTP_OUTCOME_DELIVERED, 250, "ok");
    verdict(0, 3, SMTP_OUTCOME_NOT_TRIED, 0, "");
    SENT("{100}.\r\n");
    reply("250 ok\r\n");
    done(&messages[1]);
    SENT("QUIT\r\n");
    assert_int_equal(client.end, SMTP_CLIENT_END_QUIT);
}

/* ---- the window --------------------------------------------------------------------------------
 */

#define CHUNK(rset) rset "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 100 LAST\r\n{bdat 100}"

static void test_window(void **state)
{
    (void)state;
    options.window_max = 3;
    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    offer(message(0, 1));
    assert_false(smtp_client_wants(&client)); /* one at first */
    SENT(CHUNK(""));
    reply("250 ok\r\n250 ok\r\n250 first\r\n");
    done(&messages[0]);
    assert_int_equal(client.window, 2);
    offer(message(1, 1));
    offer(message(2, 1));
    assert_false(smtp_client_wants(&client));
    SENT(CHUNK("") CHUNK("RSET\r\n"));
    reply("250 ok\r\n250 ok\r\n250 second\r\n");
    assert_int_equal(client.window, 3);
    done(&messages[1]);
    offer(message(3, 1));
    offer(message(4, 1));
    assert_false(smtp_client_wants(&client));
    SENT(CHUNK("RSET\r\n") CHUNK("RSET\r\n"));
    /* The third is refused, its recipient already; the others go on. */
    reply("250 reset\r\n250 ok\r\n550 no\r\n503 no recipient\r\n");
    done(&messages[2]);
    verdict(2, 0, SMTP_OUTCOME_REFUSED, 550, "no");
    assert_int_equal(client.window, 1);
    reply("250 reset\r\n250 ok\r\n250 ok\r\n250 fourth\r\n250 reset\r\n250 ok\r\n250 ok\r\n"
          "451 4.3.0 later\r\n");
    done(&messages[3]);
    done(&messages[4]);
    verdict(3, 0, SMTP_OUTCOME_DELIVERED, 250, "fourth");
    verdict(4, 0, SMTP_OUTCOME_DEFERRED, 451, "later");
    offer(message(5, 1));
    SENT(CHUNK("RSET\r\n")); /* what the refused chunk left behind is not defined */
    reply("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
    done(&messages[5]);
    offer(message(6, 1));
    SENT(CHUNK(""));
    assert_false(client.misbehaved);
}

static void test_window_octets(void **state)
{
    (void)state;
    options.window_start = 8;
    options.window_octets_start = 250;
    options.window_octets_max = 1000;
    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    for (unsigned i = 0; i < 3; i++)
        offer(message(i, 1));
    SENT(CHUNK("") CHUNK("RSET\r\n")); /* 300 octets would be too many */
    reply("250 ok\r\n250 ok\r\n250 ok\r\n");
    assert_int_equal(client.window_octets, 350);
    SENT(CHUNK("RSET\r\n"));
    message(3, 1)->size = 100000; /* over the window: goes alone */
    offer(&messages[3]);
    NOTHING_SENT;
    reply("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
    NOTHING_SENT;
    reply("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 100000 LAST\r\n{bdat 100000}");
    assert_false(smtp_client_wants(&client));
}

static void test_binary(void **state)
{
    (void)state;
    greet("250-y\r\n250-PIPELINING\r\n250-BINARYMIME\r\n250 CHUNKING\r\n");
    message(0, 1)->body = SMTP_BODY_BINARYMIME;
    offer(&messages[0]);
    SENT("MAIL FROM:<a@x> BODY=BINARYMIME\r\nRCPT TO:<b@y>\r\nBDAT 100 LAST\r\n{bdat 100}");
}

/* ---- misbehaviour ------------------------------------------------------------------------------
 */

static void test_orders_confused(void **state)
{
    (void)state;
    /* Pipelined commands were lost on the way: no bounce, but lock step next time. */
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    offer(message(1, 1));
    reply("250 ok\r\n503 5.5.1 bad sequence\r\n");
    assert_true(client.misbehaved);
    done(&messages[1]);
    verdict(1, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    reply("503 5.5.1 bad sequence\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    SENT("QUIT\r\n");
    assert_int_equal(client.end, SMTP_CLIENT_END_BROKEN);

    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    (void)sent();
    reply("554 5.5.0 Error: improper command pipelining\r\n503 x\r\n503 x\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    assert_true(client.misbehaved);

    /* In lock step the same is believed. */
    greet("250 y\r\n");
    offer(message(0, 1));
    (void)sent();
    reply("503 5.5.1 authenticate first\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_REFUSED, 503, "authenticate first");
    assert_false(client.misbehaved);
}

static void test_sync_lost(void **state)
{
    (void)state;
    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    client.window = 2;
    offer(message(0, 1));
    offer(message(1, 1));
    (void)sent();
    reply("250 ok\r\n354 what\r\n250 ok\r\n");
    SENT("#");
    done(&messages[0]);
    done(&messages[1]);
    /* The content of both is there, who knows what he did with it. */
    verdict(0, 0, SMTP_OUTCOME_POSSIBLY_DELIVERED, 421,
            "unexpected reply while waiting for the reply to RCPT TO");
    verdict(1, 0, SMTP_OUTCOME_POSSIBLY_DELIVERED, 421, NULL);
    assert_true(client.misbehaved);

    greet("250 y\r\n");
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\n");
    reply("250 ok\r\n250 ok\r\n"); /* one too many */
    SENT("#");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DEFERRED, 451, "reply to nothing while idle");

    greet("250 y\r\n");
    offer(message(0, 1));
    SENT("MAIL FROM:<a@x>\r\n");
    reply("oops\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DEFERRED, 451,
            "malformed reply while waiting for the reply to MAIL FROM");
}

static void test_closed_by_421(void **state)
{
    (void)state;
    greet("250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    client.window = 3;
    for (unsigned i = 0; i < 3; i++)
        offer(message(i, 2));
    (void)sent();
    reply("250 ok\r\n250 ok\r\n250 ok\r\n250 first\r\n"
          "250 reset\r\n250 ok\r\n550 no\r\n421 4.7.0 slow down\r\n250 ok\r\n");
    for (unsigned i = 0; i < 3; i++)
        done(&messages[i]);
    verdict(0, 1, SMTP_OUTCOME_DELIVERED, 250, "first");
    verdict(1, 0, SMTP_OUTCOME_REFUSED, 550, "no");
    verdict(1, 1, SMTP_OUTCOME_DEFERRED, 421, "slow down");
    verdict(2, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    SENT("#");
    assert_int_equal(client.end, SMTP_CLIENT_END_CLOSED);
    assert_false(client.misbehaved);

    greet("250 y\r\n"); /* idle for too long */
    reply("421 4.4.2 timeout\r\n");
    SENT("#");
    assert_int_equal(client.end, SMTP_CLIENT_END_CLOSED);
    assert_false(client.misbehaved);
}

/* ---- the driver's ends -------------------------------------------------------------------------
 */

static void test_lost(void **state)
{
    (void)state;
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    offer(message(1, 1));
    (void)sent();
    reply("250 ok\r\n250 ok\r\n354 go\r\n");
    messages[0].content_end = 500;
    (void)sent();
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 500);
    done(&messages[0]);
    done(&messages[1]);
    verdict(0, 0, SMTP_OUTCOME_POSSIBLY_DELIVERED, 421,
            "lost connection while waiting for acceptance of the message");
    verdict(1, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 500); /* once more does no harm */
    SENT("#");

    /* Not all of the content had left: nobody can have it. */
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    (void)sent();
    reply("250 ok\r\n250 ok\r\n354 go\r\n");
    (void)sent();
    messages[0].content_end = 500;
    smtp_client_lost(&client, SMTP_CLIENT_END_TIMEOUT, 499);
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DEFERRED, 421, "timed out while sending the message");
    enhanced(0, 0, 4, 4, 2);

    /* It reads one command and drops the rest. */
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    (void)sent();
    reply("250 ok\r\n");
    smtp_client_lost(&client, SMTP_CLIENT_END_TIMEOUT, UINT64_MAX);
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DEFERRED, 421, "timed out while waiting for the reply to RCPT TO");
    assert_true(client.misbehaved);

    greet("250 y\r\n");
    offer(message(0, 1));
    (void)sent();
    smtp_client_lost(&client, SMTP_CLIENT_END_SHUTDOWN, UINT64_MAX);
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_NOT_TRIED, 0, "");
    assert_false(client.misbehaved);

    smtp_client_init(&client, &options);
    smtp_client_lost(&client, SMTP_CLIENT_END_TIMEOUT, 0);
    assert_string_equal(client.end_verdict.text_len ? "text" : "", "text");
    assert_int_equal(client.end, SMTP_CLIENT_END_TIMEOUT);
}

static void test_deadlines(void **state)
{
    (void)state;
    options.timeouts.rcpt = 7;
    smtp_client_init(&client, &options);
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 300);
    assert_string_equal(smtp_client_deadline(&client, false).doing, "waiting for the greeting");
    greet("250 y\r\n");
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 0);
    offer(message(0, 1));
    (void)sent();
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 300);
    const uint32_t progress = client.progress;
    reply("250-slow");
    reply("ly\r\n250");
    assert_int_equal(client.progress, progress);
    reply(" ok\r\n");
    assert_int_not_equal(client.progress, progress);
    (void)sent();
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 7);
    reply("250 ok\r\n");
    (void)sent();
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 120);
    reply("354 ok\r\n");
    (void)sent();
    assert_int_equal(smtp_client_deadline(&client, true).seconds, 180);
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 600);
    assert_string_equal(smtp_client_deadline(&client, false).doing,
                        "waiting for acceptance of the message");
    assert_string_equal(smtp_client_phrase(&client), "open");
}

static void test_quit_early(void **state)
{
    (void)state;
    smtp_client_init(&client, &options);
    smtp_client_quit(&client);
    SENT("#");
    greet("250-y\r\n250 PIPELINING\r\n");
    offer(message(0, 1));
    smtp_client_quit(&client); /* what is offered is still tried */
    assert_false(smtp_client_wants(&client));
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    reply("250 ok\r\n250 ok\r\n354 go\r\n");
    SENT("{100}.\r\n");
    reply("250 ok\r\n");
    done(&messages[0]);
    verdict(0, 0, SMTP_OUTCOME_DELIVERED, 250, "ok");
    SENT("QUIT\r\n");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, UINT64_MAX);
    assert_int_equal(client.end, SMTP_CLIENT_END_QUIT);
}

/* Many long recipients: the commands come in parts that fit the buffer. */
static void test_long_commands(void **state)
{
    (void)state;
    char address[SMTP_PATH_MAX], orcpt[SMTP_ORCPT_MAX], envid[SMTP_ENVID_MAX];
    memset(address, 'a', sizeof(address));
    address[60] = '@';
    memset(orcpt, 'o', sizeof(orcpt));
    memset(envid, 'e', sizeof(envid));
    greet("250-y\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 PIPELINING\r\n");
    struct smtp_transaction *t = message(0, RCPTS);
    t->reverse_path = (struct bytes){address, sizeof(address)};
    t->envid = (struct bytes){envid, sizeof(envid)};
    t->ret = SMTP_RET_FULL;
    t->size = UINT64_MAX;
    t->smtputf8 = true;
    t->content_flags = SMTP_CONTENT_8BIT | SMTP_CONTENT_UTF8_HEADER;
    for (unsigned i = 0; i < RCPTS; i++) {
        rcpts[0][i].to.address = t->reverse_path;
        rcpts[0][i].to.orcpt = (struct bytes){orcpt, sizeof(orcpt)};
        rcpts[0][i].to.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
    }
    offer(t);
    size_t total = 0;
    for (;;) {
        char buffer[SMTP_CLIENT_COMMAND_MAX + 1];
        struct text out;
        struct smtp_transaction *content;
        text_init(&out, buffer, sizeof(buffer));
        if (smtp_client_next(&client, &out, &content) == SMTP_CLIENT_WAIT) break;
        assert_false(out.cut);
        assert_memory_equal(out.data + out.len - 2, "\r\n", 2);
        total += out.len;
    }
    assert_true(total > RCPTS * (sizeof(address) + sizeof(orcpt)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_lock_step),
        TEST(test_greetings),
        TEST(test_helo),
        TEST(test_extensions),
        TEST(test_a_second_greeting_is_too_much),
        TEST(test_parameters),
        TEST(test_not_sendable),
        TEST(test_nothing_ends_a_command),
        TEST(test_one_round_trip_a_message),
        TEST(test_refused_while_content_is_sent),
        TEST(test_stages_have_words),
        TEST(test_nobody_accepted),
        TEST(test_no_dot_without_sender),
        TEST(test_chunk_without_sender),
        TEST(test_too_many_recipients),
        TEST(test_limits),
        TEST(test_window),
        TEST(test_window_octets),
        TEST(test_binary),
        TEST(test_orders_confused),
        TEST(test_sync_lost),
        TEST(test_closed_by_421),
        TEST(test_lost),
        TEST(test_deadlines),
        TEST(test_quit_early),
        TEST(test_long_commands),
    };
    return cmocka_run_group_tests_name("smtp_client dialogue", tests, NULL, NULL);
}
