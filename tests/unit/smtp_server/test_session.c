/* SPDX-License-Identifier: Apache-2.0
 *
 * test_session - limits at their edges, deadlines, the ends of sessions, misuse by the driver
 */
#include "toy_driver.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ENVELOPE "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"

static struct toy_driver toy;
static char input_data[1 << 20];

static void put_repeated(struct text *text, char octet, size_t count)
{
    while (count-- > 0)
        text_put(text, (struct bytes){&octet, 1});
}

/* Runs the input whole and in pieces; both records must be equal. The last one stays in toy. */
static void run(struct bytes input, const struct smtp_server_options *options)
{
    static char whole[TOY_LOG_MAX];
    toy_init(&toy, options, true, 0, 0, 0);
    toy_run(&toy, input);
    toy_deinit(&toy);
    strcpy(whole, toy.log_data);
    for (uint64_t seed = 1; seed < 6; seed++) {
        toy_init(&toy, options, true, seed, seed == 1 ? 1 : seed * 300, seed % 2 ? 0 : 100 * seed);
        toy_run(&toy, input);
        toy_deinit(&toy);
        assert_string_equal(toy.log_data, whole);
    }
}

static bool recorded(const char *text)
{
    return strstr(toy.log_data, text) != NULL;
}

static void test_command_line(void **state)
{
    (void)state;
    struct smtp_server_options options = smtp_server_options_default();
    for (uint32_t limit = 512; limit <= SMTP_SERVER_LINE_MAX; limit += 1536) {
        options.max_command_line = limit;
        for (size_t len = limit - 3; len <= limit + 3; len++) { /* with CRLF */
            struct text input;
            text_init(&input, input_data, sizeof(input_data));
            text_put(&input, BYTES("NOOP "));
            put_repeated(&input, 'x', len - 7);
            text_put(&input, BYTES("\r\nHELP\r\n"));
            run(text_bytes(&input), &options);
            assert_int_equal(recorded("S: 500 5.5.2 Line too long"), len > limit);
            assert_int_equal(recorded("S: 250 2.0.0"), len <= limit);
            assert_true(recorded("S: 214")); /* in step */
        }
    }
}

static void test_endless_command_line(void **state)
{
    (void)state;
    const struct smtp_server_options options = smtp_server_options_default();
    struct text input;
    text_init(&input, input_data, sizeof(input_data));
    for (int i = 0; i < 200; i++) {
        put_repeated(&input, 'x', 3000);
        text_put(&input, i % 2 ? BYTES("\n") : BYTES("\r"));
    }
    text_put(&input, BYTES("\r\nNOOP\r\n"));
    run(text_bytes(&input), &options);
    assert_true(recorded("S: 500 5.5.2 Line too long\r\nS: 250 2.0.0"));
}

static void run_text_line(size_t len, bool chunk, uint32_t max_text_line)
{
    struct smtp_server_options options = smtp_server_options_default();
    struct text input;
    options.max_text_line = max_text_line;
    text_init(&input, input_data, sizeof(input_data));
    text_put(&input, BYTES(ENVELOPE));
    if (chunk) {
        text_printf(&input, "BDAT %zu LAST\r\n", len + 5);
    } else {
        text_put(&input, BYTES("DATA\r\n."));
    }
    put_repeated(&input, '.', len);
    text_put(&input, BYTES("\r\nx\r\n"));
    text_put(&input, chunk ? BYTES("QUIT\r\n") : BYTES(".\r\nQUIT\r\n"));
    run(text_bytes(&input), &options);
    assert_true(recorded("S: 221"));
}

/* EHLO was said to one who offers TLS and AUTH, the latter in clear when `clear`. */
static void begin_auth(bool clear, size_t piece_max)
{
    static struct smtp_server_options options;
    options = smtp_server_options_default();
    options.extensions |= SMTP_EXT_STARTTLS;
    options.auth = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN | SMTP_MECHANISM_SCRAM_SHA_256;
    options.auth_clear = clear;
    toy_deinit(&toy);
    toy_init(&toy, &options, true, 0, piece_max, 0);
    toy_run(&toy, BYTES("EHLO c\r\n"));
}

/* A line of AUTH of so many octets with CRLF, at every kind of split: the code of its reply. */
static void auth_line(const char *begin, size_t len, uint32_t code)
{
    static const size_t pieces[] = {0, 1, 97, 3000};
    static char line[SMTP_AUTH_LINE_MAX + 100];
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        begin_auth(true, pieces[i]);
        if (begin[0] == '\0') toy_run(&toy, BYTES("AUTH PLAIN\r\n"));
        memset(line, 'A', len - 2);
        memcpy(line, begin, strlen(begin));
        memcpy(line + len - 2, "\r\n", 2);
        const uint32_t replies = toy.replies;
        toy_run(&toy, (struct bytes){line, len});
        assert_int_equal(toy.last_code, code);
        assert_int_equal(toy.replies, replies + 1);
        toy_run(&toy, BYTES("NOOP\r\n"));
        assert_int_equal(toy.last_code, 250);
    }
}

static void test_auth_line(void **state)
{
    (void)state;
    /* "AUTH PLAIN " is 11 octets: what follows must be a multiple of 4. */
    auth_line("AUTH PLAIN ", 11 + 12272 + 2, 535);
    auth_line("AUTH PLAIN ", SMTP_AUTH_LINE_MAX, 501);
    auth_line("AUTH PLAIN ", SMTP_AUTH_LINE_MAX + 1, 500);
    auth_line("AUTH PLAIN ", SMTP_AUTH_LINE_MAX + 2, 500);
    auth_line("", 12284 + 2, 535);
    auth_line("", SMTP_AUTH_LINE_MAX, 501);
    auth_line("", SMTP_AUTH_LINE_MAX + 1, 500);
    auth_line("", SMTP_AUTH_LINE_MAX + 99, 500);
}

static void test_ehlo_of_tls_and_auth(void **state)
{
    (void)state;
    begin_auth(false, 0);
    assert_non_null(strstr(toy.log_data, "250-STARTTLS\r\n"));
    assert_null(strstr(toy.log_data, "250-AUTH"));
    text_init(&toy.log, toy.log_data, sizeof(toy.log_data));
    toy_run(&toy, BYTES("STARTTLS\r\nEHLO c\r\n"));
    assert_null(strstr(toy.log_data, "250-STARTTLS"));
    assert_non_null(strstr(toy.log_data, "250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n"));
    text_init(&toy.log, toy.log_data, sizeof(toy.log_data));
    toy_run(&toy, BYTES("AUTH PLAIN AHVzZXIAcGFzcw==\r\nEHLO c\r\n"));
    assert_null(strstr(toy.log_data, "250-AUTH"));
}

/* Whatever came in clear behind STARTTLS is thrown away, and ends the session: also when it comes
 * while the driver is still busy with the reply. */
static void test_injection(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct smtp_server_out out;
        struct bytes input = BYTES("STARTTLS\r\nMAIL FROM:<evil@x>\r\n");
        const struct bytes whole = input;
        begin_auth(false, 0);
        toy.cut_behind_starttls = false;
        if (late) input.len = 10;
        assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
        assert_int_equal(input.len, 0);
        assert_memory_equal(out.reply.data, late ? "220" : "421", 3);
        if (late) {
            input = bytes_skip(whole, 10);
            assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
            assert_memory_equal(out.reply.data, "421 4.7.0", 9);
            assert_int_equal(input.len, 0);
        }
        assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_CLOSE);
    }
}

static void test_tls_from_the_first_octet(void **state)
{
    (void)state;
    const struct smtp_server_options options = smtp_server_options_default();
    struct smtp_server_out out;
    struct bytes input = {0};
    smtp_server_init(&toy.session, &options, true);
    smtp_server_init_secured(&toy.session);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_WAIT);
    assert_int_equal(smtp_server_deadline_s(&toy.session), 30);
    smtp_server_secured(&toy.session);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
    assert_memory_equal(out.reply.data, "220 ", 4);
    assert_true(toy.session.secured);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_NEED_INPUT);
}

/* In the middle of a handshake nobody can be told anything. */
static void test_end_in_the_handshake(void **state)
{
    (void)state;
    void (*const ends[])(struct smtp_server *) = {smtp_server_timed_out, smtp_server_shut_down};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        struct smtp_server_out out;
        struct bytes input = BYTES("STARTTLS\r\n");
        begin_auth(false, 0);
        assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
        assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_STARTTLS);
        assert_false(smtp_server_in_transaction(&toy.session));
        ends[i](&toy.session);
        assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_CLOSE);
    }
}

static void test_wipe(void **state)
{
    (void)state;
    struct smtp_server_out out;
    struct bytes input = BYTES("EHLO c\r\nAUTH PLAIN AHVzZXIAcGFzcw==\r\n");
    begin_auth(false, 0);
    toy.session.secured = true;
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_AUTH);
    assert_int_equal(out.auth.response.len, 10);
    smtp_server_wipe(&out);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(out.auth.memory[i], 0);
}

static void test_text_line(void **state)
{
    (void)state;
    for (int chunk = 0; chunk < 2; chunk++) {
        for (size_t len = 990; len < 1010; len++) {
            run_text_line(len, chunk, 998); /* the stuffed dot does not count */
            assert_int_equal(recorded("S: 550 5.6.0"), len > 998);
            assert_int_equal(recorded("END "), len <= 998);
        }
        run_text_line(100000, chunk, 0);
        assert_true(recorded("END "));
    }
}

static void test_message_size(void **state)
{
    (void)state;
    struct smtp_server_options options = smtp_server_options_default();
    for (size_t len = 198; len < 203; len++) {
        for (int chunk = 0; chunk < 2; chunk++) {
            struct text input;
            options.max_message_size = 200;
            text_init(&input, input_data, sizeof(input_data));
            text_put(&input, BYTES(ENVELOPE));
            if (chunk) {
                text_printf(&input, "BDAT 100\r\n");
                put_repeated(&input, 'x', 100);
                text_printf(&input, "BDAT %zu LAST\r\n", len - 100);
                put_repeated(&input, 'x', len - 100);
            } else {
                text_put(&input, BYTES("DATA\r\n"));
                put_repeated(&input, 'x', len - 2);
                text_put(&input, BYTES("\r\n.\r\n"));
            }
            text_put(&input, BYTES("QUIT\r\n"));
            run(text_bytes(&input), &options);
            assert_int_equal(recorded("S: 552 5.3.4"), len > 200);
            assert_int_equal(recorded("END size="), len <= 200);
            assert_true(recorded("S: 221"));
        }
    }
}

static void test_recipients(void **state)
{
    (void)state;
    const struct smtp_server_options options = smtp_server_options_default();
    struct text input;
    text_init(&input, input_data, sizeof(input_data));
    text_put(&input, BYTES("EHLO c\r\nMAIL FROM:<a@b>\r\n"));
    for (int i = 0; i < 1003; i++)
        text_printf(&input, "RCPT TO:<r%d@d>\r\n", i);
    text_put(&input, BYTES("DATA\r\n.\r\n"));
    run(text_bytes(&input), &options);
    assert_true(recorded("RCPT r999@d"));
    assert_false(recorded("RCPT r1000@d"));
    assert_true(recorded("S: 452 4.5.3 Too many recipients\r\nS: 452 4.5.3 Too many recipients\r\n"
                         "S: 452 4.5.3 Too many recipients\r\nBEGIN"));
    assert_true(recorded("queued as"));
}

/* ---- deadlines and endings --------------------------------------------------------------------
 */

static void begin(bool relay_allowed)
{
    static struct smtp_server_options options;
    options = smtp_server_options_default();
    toy_init(&toy, &options, relay_allowed, 0, 0, 0);
    assert_int_equal(smtp_server_deadline_s(&toy.session), 0);
    assert_true(toy_run_piece(&toy, (struct bytes){NULL, 0}));
}

static bool feed(const char *text)
{
    return toy_run_piece(&toy, bytes_of(text));
}

static void test_deadlines(void **state)
{
    (void)state;
    begin(true);
    assert_int_equal(smtp_server_deadline_s(&toy.session), 300);
    assert_string_equal(smtp_server_doing(&toy.session), "waiting for EHLO");
    uint32_t progress = toy.session.progress;
    assert_true(feed("EHL"));
    assert_int_equal(toy.session.progress, progress); /* a drip gains no time */
    assert_true(feed("O c\r\n"));
    assert_int_not_equal(toy.session.progress, progress);
    assert_false(smtp_server_in_transaction(&toy.session));
    assert_true(feed("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"));
    assert_true(smtp_server_in_transaction(&toy.session));
    assert_int_equal(smtp_server_deadline_s(&toy.session), 180);
    progress = toy.session.progress;
    memset(input_data, 'x', 900);
    memcpy(input_data + 900, "\r\n", 3);
    for (int i = 0; i < 36; i++) /* 36 * 902 < 32768 */
        assert_true(feed(input_data));
    assert_int_equal(toy.session.progress, progress);
    assert_true(feed(input_data));
    assert_int_not_equal(toy.session.progress, progress);
    toy_deinit(&toy);
}

static void test_timed_out(void **state)
{
    (void)state;
    begin(true);
    smtp_server_timed_out(&toy.session);
    assert_false(feed(""));
    assert_true(recorded("S: 421 4.4.2"));

    begin(true);
    assert_true(feed(ENVELOPE "DATA\r\nabc"));
    smtp_server_timed_out(&toy.session);
    assert_false(feed("def"));
    assert_true(recorded("BEGIN\nS: 354 End data with <CR><LF>.<CR><LF>\r\nABORT\nS: 421 4.4.2"));
    toy_deinit(&toy);

    begin(true);
    assert_true(feed("BDAT 100\r\nabc")); /* a reply is waiting behind the chunk */
    smtp_server_timed_out(&toy.session);
    assert_false(feed("def"));
    assert_true(recorded("S: 421 4.4.2"));
    assert_false(recorded("S: 503"));
}

static void test_shut_down_waits_for_the_answer(void **state)
{
    (void)state;
    struct smtp_server_out out;
    struct bytes input = BYTES(".\r\nNOOP\r\n");
    char dst[64];
    begin(true);
    assert_true(feed(ENVELOPE "DATA\r\n"));
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_CONTENT);
    assert_int_equal(smtp_server_content(&toy.session, &input, dst, sizeof(dst)), 0);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_END);
    smtp_server_shut_down(&toy.session);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_WAIT);
    smtp_server_accept(&toy.session, BYTES("1"));
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
    assert_memory_equal(out.reply.data, "250 2.0.0 Ok: queued as 1\r\n", 27);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_REPLY);
    assert_memory_equal(out.reply.data, "421 4.3.2 ", 10);
    assert_int_equal(smtp_server_next(&toy.session, &input, &out), SMTP_SERVER_CLOSE);
    assert_int_equal(input.len, 6); /* the NOOP */
}

static void test_helo_name(void **state)
{
    (void)state;
    begin(true);
    assert_true(feed("EHLO Client.Example\r\nNOOP\r\n"));
    assert_true(bytes_equal(smtp_server_helo(&toy.session), BYTES("Client.Example")));
    assert_true(feed("HELO [192.0.2.1]\r\n"));
    assert_true(bytes_equal(smtp_server_helo(&toy.session), BYTES("[192.0.2.1]")));
}

static void test_reply_fits(void **state)
{
    (void)state;
    static char name[SMTP_SERVER_HOSTNAME_MAX], banner[SMTP_SERVER_BANNER_MAX];
    struct smtp_server_options options = smtp_server_options_default();
    memset(name, 'n', sizeof(name));
    memset(banner, 'b', sizeof(banner));
    options.hostname = (struct bytes){name, sizeof(name)};
    options.banner = (struct bytes){banner, sizeof(banner)};
    options.max_message_size = UINT64_MAX;
    run(BYTES("EHLO x\r\nHELO x\r\nQUIT\r\n"), &options);
    assert_true(recorded("SIZE 18446744073709551615\r\n250 HELP\r\n"));
}

/* ---- misuse -----------------------------------------------------------------------------------
 */

static void accept_nothing(void)
{
    smtp_server_accept(&toy.session, BYTES(""));
}
static void refuse_nothing(void)
{
    smtp_server_refuse(&toy.session, "452 4.3.1 x");
}
static void content_without_data(void)
{
    struct bytes input = BYTES("x");
    char dst[8];
    assert_int_equal(smtp_server_content(&toy.session, &input, dst, sizeof(dst)), 0);
}
static void flags_without_end(void)
{
    (void)smtp_server_content_flags(&toy.session);
}
static void answer_mail(void (*answer)(void))
{
    struct smtp_server_out out;
    struct bytes input = BYTES("EHLO c\r\nMAIL FROM:<a@b>\r\n");
    while (smtp_server_next(&toy.session, &input, &out) != SMTP_SERVER_MAIL)
        ;
    answer();
}
static void accept_mail_with_id(void)
{
    smtp_server_accept(&toy.session, BYTES("id"));
}
static void refuse_with_250(void)
{
    smtp_server_refuse(&toy.session, "250 2.0.0 Ok");
}
static void mail_with_id(void)
{
    answer_mail(accept_mail_with_id);
}
static void mail_refused_with_250(void)
{
    answer_mail(refuse_with_250);
}
static void mail_answered_twice(void)
{
    answer_mail(accept_nothing);
    accept_nothing();
}
static void no_hostname(void)
{
    struct smtp_server_options options = smtp_server_options_default();
    options.hostname = BYTES("");
    smtp_server_init(&toy.session, &options, true);
}
static void line_limit_too_high(void)
{
    struct smtp_server_options options = smtp_server_options_default();
    options.max_command_line = SMTP_SERVER_LINE_MAX + 1;
    smtp_server_init(&toy.session, &options, true);
}

static void test_misuse_dies(void **state)
{
    (void)state;
    void (*const misuses[])(void) = {
        accept_nothing,      refuse_nothing, content_without_data,
        flags_without_end,   mail_with_id,   mail_refused_with_250,
        mail_answered_twice, no_hostname,    line_limit_too_high,
    };
    for (size_t i = 0; i < ARRAY_COUNT(misuses); i++) {
        int status;
        begin(true);
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
            signal(SIGABRT, SIG_DFL); /* cmocka's handler would report a failure */
            misuses[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) fail_msg("misuse %zu lives", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_endless_command_line),
        cmocka_unit_test(test_text_line),
        cmocka_unit_test(test_message_size),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_timed_out),
        cmocka_unit_test(test_shut_down_waits_for_the_answer),
        cmocka_unit_test(test_helo_name),
        cmocka_unit_test(test_reply_fits),
        cmocka_unit_test(test_misuse_dies),
        cmocka_unit_test(test_auth_line),
        cmocka_unit_test(test_ehlo_of_tls_and_auth),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_tls_from_the_first_octet),
        cmocka_unit_test(test_end_in_the_handshake),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests_name("smtp_server session", tests, NULL, NULL);
}
