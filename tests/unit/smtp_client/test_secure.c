/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secure - STARTTLS, TLS from the first octet, AUTH: what is said when, and what is not
 */
#include "ringpost/smtp_client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct smtp_client client;
static struct smtp_client_options options;
static struct smtp_transaction_recipient rcpt;
static struct smtp_transaction message;

static void reply(const char *text)
{
    struct bytes input = bytes_of(text);
    smtp_client_input(&client, &input);
    assert_int_equal(input.len, 0);
}

/* All that is sent until the client waits; the beginning of TLS as "{tls}", close as "#". */
static const char *sent(void)
{
    static char all[8192];
    struct text text;
    struct smtp_transaction *content;
    text_init(&text, all, sizeof(all));
    for (;;) {
        switch (smtp_client_next(&client, &text, &content)) {
        case SMTP_CLIENT_WAIT:
            return all;
        case SMTP_CLIENT_SEND_TEXT:
            break;
        case SMTP_CLIENT_START_TLS:
            text_put(&text, BYTES("{tls}"));
            break;
        case SMTP_CLIENT_SEND_DATA:
        case SMTP_CLIENT_SEND_BDAT:
            fail();
            break;
        case SMTP_CLIENT_CLOSE:
            text_put(&text, BYTES("#"));
            return all;
        }
    }
}
#define SENT(text) assert_string_equal(sent(), text)

static void greet(const char *ehlo_reply)
{
    smtp_client_init(&client, &options);
    SENT("");
    reply("220 y ESMTP\r\n");
    SENT("EHLO relay.example\r\n");
    reply(ehlo_reply);
}

static void start_tls(void)
{
    greet("250-y\r\n250-SIZE 5\r\n250-AUTH LOGIN\r\n250-CHUNKING\r\n250 STARTTLS\r\n");
    SENT("STARTTLS\r\n");
    reply("220 go\r\n");
    SENT("{tls}");
    SENT("");
}

static void ends(enum smtp_client_end end, enum smtp_stage stage, unsigned detail, const char *text)
{
    const struct smtp_verdict *why = &client.end_verdict;
    char is[SMTP_CLIENT_TEXT_MAX + 1];
    snprintf(is, sizeof(is), "%.*s", why->text_len, why->text);
    assert_int_equal(client.end, end);
    assert_int_equal(why->stage, stage);
    assert_string_equal(is, text);
    assert_int_equal(why->outcome, SMTP_OUTCOME_DEFERRED);
    assert_true(why->local && why->code / 100 == 4);
    assert_int_equal(why->enhanced.class, 4);
    assert_int_equal(why->enhanced.subject, 7);
    assert_int_equal(why->enhanced.detail, detail);
    assert_false(client.misbehaved);
    assert_false(smtp_client_wants(&client));
}

static int setup(void **state)
{
    (void)state;
    options = smtp_client_options_default(BYTES("relay.example"));
    options.tls = SMTP_TLS_MAY;
    return 0;
}

/* ---- TLS ---------------------------------------------------------------------------------------
 */

static void what_was_offered_before_tls_is_forgotten(void **state)
{
    (void)state;
    start_tls();
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 30);
    assert_string_equal(smtp_client_phrase(&client), "negotiating TLS");
    smtp_client_secured(&client);
    assert_int_equal(client.extensions, 0);
    assert_int_equal(client.limits.size, 0);
    SENT("EHLO relay.example\r\n");
    reply("250-y\r\n250-STARTTLS\r\n250 PIPELINING\r\n"); /* once more is once too often */
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    assert_int_equal(client.extensions, SMTP_EXT_STARTTLS | SMTP_EXT_PIPELINING);
    assert_true(client.secured);

    message = (struct smtp_transaction){
        .reverse_path = BYTES("a@x"), .size = 100, .recipients = &rcpt, .recipient_count = 1};
    rcpt = (struct smtp_transaction_recipient){.to.address = BYTES("b@y")};
    smtp_client_offer(&client, &message);
    SENT("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    reply("250 ok\r\n250 ok\r\n451 later\r\n");
    smtp_client_quit(&client);
    assert_ptr_equal(smtp_client_take_done(&client), &message);
    SENT("QUIT\r\n");
}

static void without_an_offer_it_goes_in_clear_if_it_may(void **state)
{
    (void)state;
    greet("250 y\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    options.tls = SMTP_TLS_NONE;
    greet("250-y\r\n250 STARTTLS\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
}

static void or_not_at_all(void **state)
{
    static const char *const refusals[] = {"250 y\r\n", "250-y\r\n250 STARTTLSX\r\n"};
    (void)state;
    options.tls = SMTP_TLS_ENCRYPT;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        greet(refusals[i]);
        ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_EHLO, 5,
             "TLS is required, but the receiver does not offer STARTTLS");
        SENT("QUIT\r\n");
    }
    greet("502 what?\r\n");
    SENT("HELO relay.example\r\n");
    reply("250 y\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_EHLO, 5,
         "TLS is required, but the receiver does not offer STARTTLS");
    SENT("QUIT\r\n");
}

static void a_refused_starttls_is_no_more_than_that(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *refusal = i == 0 ? "454 4.7.0 no TLS now\r\n" : "554 5.7.3 no\r\n";
        options.tls = SMTP_TLS_MAY;
        greet("250-y\r\n250 STARTTLS\r\n");
        SENT("STARTTLS\r\n");
        reply(refusal);
        assert_int_equal(client.state, SMTP_CLIENT_OPEN);
        assert_false(client.secured);

        options.tls = SMTP_TLS_VERIFY;
        greet("250-y\r\n250 STARTTLS\r\n");
        SENT("STARTTLS\r\n");
        reply(refusal);
        ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_STARTTLS, 5,
             i == 0 ? "TLS is required, but STARTTLS was refused: 454 no TLS now"
                    : "TLS is required, but STARTTLS was refused: 554 no");
        SENT("QUIT\r\n");
    }
}

static void a_receiver_that_goes_is_not_talked_to(void **state)
{
    (void)state;
    greet("250-y\r\n250 STARTTLS\r\n");
    SENT("STARTTLS\r\n");
    reply("421 4.3.2 going down\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_STARTTLS, 5, "STARTTLS was refused: 421 going down");
    SENT("#");
}

/* Whoever can put octets into the clear part must not get them into the encrypted one. */
static void octets_behind_the_go_ahead_end_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        greet("250-y\r\n250 STARTTLS\r\n");
        SENT("STARTTLS\r\n");
        if (i == 0) reply("220 go\r\n250-y\r\n250 SIZE 1\r\n");
        if (i == 1) reply("220 go\r\n2");
        if (i == 2) {
            reply("220 go\r\n");
            reply("\x16"); /* the driver is late with START_TLS: the same */
        }
        ends(SMTP_CLIENT_END_BROKEN, SMTP_STAGE_STARTTLS, 5,
             "octets in clear behind the reply to STARTTLS");
        SENT("#");
    }
}

static void a_failed_handshake_is_told_apart(void **state)
{
    (void)state;
    start_tls();
    smtp_client_insecure(&client, "certificate has expired");
    ends(SMTP_CLIENT_END_TLS, SMTP_STAGE_HANDSHAKE, 5, "TLS handshake: certificate has expired");
    SENT("#");

    start_tls();
    smtp_client_lost(&client, SMTP_CLIENT_END_TIMEOUT, 0);
    ends(SMTP_CLIENT_END_TLS, SMTP_STAGE_HANDSHAKE, 5, "timed out while negotiating TLS");

    greet("250-y\r\n250 STARTTLS\r\n");
    SENT("STARTTLS\r\n");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 0);
    ends(SMTP_CLIENT_END_TLS, SMTP_STAGE_STARTTLS, 5,
         "lost connection while waiting for the reply to STARTTLS");

    start_tls(); /* TLS 1.3: the receiver says no to what we said last */
    smtp_client_secured(&client);
    SENT("EHLO relay.example\r\n");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 0);
    ends(SMTP_CLIENT_END_TLS, SMTP_STAGE_EHLO, 5,
         "lost connection while waiting for the reply to EHLO through TLS");

    start_tls(); /* our own end is nobody's fault */
    smtp_client_lost(&client, SMTP_CLIENT_END_SHUTDOWN, 0);
    assert_int_equal(client.end, SMTP_CLIENT_END_SHUTDOWN);
}

static void a_reply_through_tls_proves_it(void **state)
{
    (void)state;
    start_tls();
    smtp_client_secured(&client);
    SENT("EHLO relay.example\r\n");
    reply("250 y\r\n");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 0);
    assert_int_equal(client.end, SMTP_CLIENT_END_LOST);
    greet("250 y\r\n"); /* nor is it to blame where there was none */
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 0);
    assert_int_equal(client.end, SMTP_CLIENT_END_LOST);
}

static void tls_from_the_first_octet(void **state)
{
    (void)state;
    options.tls = SMTP_TLS_ENCRYPT;
    options.tls_implicit = true;
    smtp_client_init(&client, &options);
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 30);
    SENT("{tls}");
    smtp_client_secured(&client);
    SENT("");
    assert_int_equal(smtp_client_deadline(&client, false).seconds, 300);
    reply("220 y\r\n");
    SENT("EHLO relay.example\r\n");
    reply("250 y\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);

    smtp_client_init(&client, &options);
    reply("220 y ESMTP in clear\r\n");
    ends(SMTP_CLIENT_END_BROKEN, SMTP_STAGE_STARTTLS, 5,
         "octets in clear behind the reply to STARTTLS");
    smtp_client_init(&client, &options);
    SENT("{tls}");
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, 0);
    ends(SMTP_CLIENT_END_TLS, SMTP_STAGE_HANDSHAKE, 5, "lost connection while negotiating TLS");
}

static void quit_at_any_time(void **state)
{
    (void)state;
    greet("250-y\r\n250 STARTTLS\r\n");
    SENT("STARTTLS\r\n");
    smtp_client_quit(&client);
    SENT("#");
    start_tls();
    smtp_client_quit(&client);
    SENT("#");
}

/* ---- AUTH --------------------------------------------------------------------------------------
 */

static void log_in(const char *offer)
{
    options.user = BYTES("tim");
    options.password = BYTES("tanstaaftanstaaf");
    options.auth_clear = true;
    greet(offer);
}

static void plain_in_one_step(void **state)
{
    (void)state;
    log_in("250-y\r\n250-PIPELINING\r\n250 AUTH LOGIN CRAM-MD5 plain\r\n");
    SENT("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"); /* RFC 4616 section 4, without authzid */
    assert_int_equal(client.state, SMTP_CLIENT_AUTH);
    assert_false(smtp_client_wants(&client));
    reply("235 2.7.0 ok\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    assert_true(client.authenticated && smtp_client_wants(&client));
}

static void a_long_login_waits_to_be_asked(void **state)
{
    static char password[SMTP_CLIENT_LOGIN_MAX + 1], user[SMTP_CLIENT_LOGIN_MAX + 1];
    (void)state;
    memset(password, 'p', SMTP_CLIENT_LOGIN_MAX);
    memset(user, 'u', SMTP_CLIENT_LOGIN_MAX);
    log_in("250-y\r\n250 SIZE\r\n");
    options.user = bytes_of(user);
    options.password = bytes_of(password);
    greet("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN\r\n");
    reply("334 \r\n");
    const char *line = sent();
    assert_int_equal(strlen(line), (2 * SMTP_CLIENT_LOGIN_MAX + 2 + 2) / 3 * 4 + 2);
    assert_memory_equal(line, "AHV1dXV1", 8);
    reply("235 ok\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    /* The longest that still fits into a command line of 512 octets, and one octet more. */
    options.user.len = 200;
    options.password.len = 170;
    greet("250-y\r\n250 AUTH PLAIN\r\n");
    assert_int_equal(strlen(sent()), 509);
    options.password.len = 171;
    greet("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN\r\n");
}

static void login_in_three(void **state)
{
    (void)state;
    log_in("250-y\r\n250 AUTH LOGIN\r\n");
    SENT("AUTH LOGIN\r\n");
    reply("334 VXNlcm5hbWU6\r\n");
    SENT("dGlt\r\n");
    reply("334-UGFz\r\n334 c3dvcmQ6\r\n");
    SENT("dGFuc3RhYWZ0YW5zdGFhZg==\r\n");
    reply("235 2.7.0 ok\r\n");
    assert_int_equal(client.state, SMTP_CLIENT_OPEN);
    options.password = BYTES("");
    greet("250-y\r\n250 AUTH LOGIN\r\n");
    SENT("AUTH LOGIN\r\n");
    reply("334 x\r\n");
    SENT("dGlt\r\n");
    reply("334 x\r\n");
    SENT("\r\n");
}

static void a_password_does_not_travel_in_clear(void **state)
{
    (void)state;
    log_in("250-y\r\n250 AUTH PLAIN\r\n");
    options.auth_clear = false;
    greet("250-y\r\n250 AUTH PLAIN\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 11,
         "the password is not sent in clear, and TLS could not be had");
    SENT("QUIT\r\n");

    start_tls(); /* where LOGIN is offered before TLS, and PLAIN behind it */
    smtp_client_secured(&client);
    SENT("EHLO relay.example\r\n");
    reply("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    start_tls(); /* offered in clear only: not at all */
    smtp_client_secured(&client);
    SENT("EHLO relay.example\r\n");
    reply("250 y\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0, "the receiver does not offer AUTH");
}

static void auth_that_fails_puts_mail_off(void **state)
{
    (void)state;
    log_in("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    reply("535 5.7.8 wrong password\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0,
         "cannot authenticate as tim: 535 wrong password");
    SENT("QUIT\r\n");
    log_in("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    reply("421 4.7.0 too many of these\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0,
         "cannot authenticate as tim: 421 too many of these");
    SENT("#");

    log_in("250-y\r\n250 AUTH LOGIN\r\n");
    SENT("AUTH LOGIN\r\n");
    reply("504 5.5.4 unknown\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0, "cannot authenticate as tim: 504 unknown");
    log_in("250-y\r\n250 AUTH LOGIN\r\n");
    SENT("AUTH LOGIN\r\n");
    reply("235 already?\r\n"); /* nobody has heard a password yet */
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0, "cannot authenticate as tim: 235 already?");

    log_in("250-y\r\n250 AUTH CRAM-MD5 GSSAPI PLAIN-X XPLAIN\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0,
         "the receiver offers AUTH neither with PLAIN nor with LOGIN");
    log_in("502 what?\r\n");
    SENT("HELO relay.example\r\n");
    reply("250 y\r\n");
    ends(SMTP_CLIENT_END_TEMP, SMTP_STAGE_AUTH, 0, "the receiver does not offer AUTH");
}

static void a_question_too_many_is_not_answered(void **state)
{
    (void)state;
    log_in("250-y\r\n250 AUTH PLAIN\r\n");
    SENT("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n");
    reply("334 and your mother's name?\r\n");
    assert_int_equal(client.end, SMTP_CLIENT_END_BROKEN);
    SENT("#");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(what_was_offered_before_tls_is_forgotten),
        TEST(without_an_offer_it_goes_in_clear_if_it_may),
        TEST(or_not_at_all),
        TEST(a_refused_starttls_is_no_more_than_that),
        TEST(a_receiver_that_goes_is_not_talked_to),
        TEST(octets_behind_the_go_ahead_end_it),
        TEST(a_failed_handshake_is_told_apart),
        TEST(a_reply_through_tls_proves_it),
        TEST(tls_from_the_first_octet),
        TEST(quit_at_any_time),
        TEST(plain_in_one_step),
        TEST(a_long_login_waits_to_be_asked),
        TEST(login_in_three),
        TEST(a_password_does_not_travel_in_clear),
        TEST(auth_that_fails_puts_mail_off),
        TEST(a_question_too_many_is_not_answered),
    };
    return cmocka_run_group_tests_name("smtp_client secure", tests, NULL, NULL);
}
