/* SPDX-License-Identifier: Apache-2.0
 *
 * injector - applications that hand mail in: in lock step, pipelined, by chunks; some badly
 *
 * Each message is handed in once. What its end was answered is what the model holds the product to.
 */
#include "model.h"
#include "peers.h"
#include "settings.h"
#include <errno.h>
#include <stdlib.h>

enum { INJECTORS_MAX = 64, EXPECTED_MAX = 256 };
static const duration PATIENCE = DURATION_S(700);

enum expected { /* what the next reply answers */
                GREETING,
                HELLO,
                START_TLS,
                AUTH_NAME,
                AUTH_PASSWORD,
                AUTH,
                MAIL,
                RECIPIENT,
                DATA,
                CHUNK,
                END,
                OTHER,
};
enum mode { LOCK_STEP, PIPELINED, CHUNKED, MODE_COUNT };

struct injector {
    struct net_end *end;
    struct sim_event next; /* a pause is over */
    struct sim_event patience;
    struct sim_event ears; /* it reads again */
    struct outbox out;
    struct tls *tls;
    struct outbox wire; /* with TLS: what out has become */
    char line[4096];
    size_t line_len;
    uint8_t expected[EXPECTED_MAX];
    uint32_t expected_first, expected_count;
    uint8_t mode;
    bool hostile, leaving, old; /* old: knows no extensions */
    instant deaf_until;         /* reads nothing before */
    uint32_t number;            /* UINT32_MAX: no transaction */
    uint32_t recipient;
    uint32_t next_recipient; /* to be answered */
    uint32_t left;           /* messages in this session */
    uint32_t life;           /* of the process it talks to */
    bool end_sent;
    bool offered; /* STARTTLS */
    bool secure;  /* TLS from the first octet on */
    bool auth;    /* AUTH is offered, and was not tried yet */
    bool right;   /* the password that it brings */
    bool few;     /* as a user who may send from few addresses */
    bool user;    /* authenticated */
};

static struct injector injectors[INJECTORS_MAX];
static bool no_more;
static uint32_t busy_count;

bool injectors_done(void)
{
    return no_more && busy_count == 0;
}

static bool fault(uint32_t of)
{
    return sim_fault(SIM_FAULT_INJECTOR, SIM_INJECTOR, of);
}

static void expect(struct injector *injector, enum expected what)
{
    ASSERT(injector->expected_count < EXPECTED_MAX);
    injector->expected[(injector->expected_first + injector->expected_count++) % EXPECTED_MAX] =
        (uint8_t)what;
}

/* ---- the end of a session -----------------------------------------------------------------------
 */

static void come_back(struct injector *injector)
{
    if (no_more) return;
    sim_after(&injector->next, DURATION_MS(1 + sim_skewed(SIM_INJECTOR, 0, 2000)));
}

static void end_session(struct injector *injector)
{
    if (injector->number != UINT32_MAX) {
        /* Without its end it cannot have been taken: as good as refused. */
        model_answered(injector->number, injector->end_sent ? 0 : 421, false);
        injector->number = UINT32_MAX;
    }
    if (injector->end != NULL) net_close(injector->end);
    injector->end = NULL;
    busy_count -= 1;
    sim_cancel(&injector->patience);
    sim_cancel(&injector->ears);
    outbox_deinit(&injector->out);
    outbox_deinit(&injector->wire);
    tls_free(&injector->tls);
    injector->expected_count = 0;
    come_back(injector);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static void put_content(struct injector *injector)
{
    const struct bytes text = model_text(injector->number, true);
    const char *at = text.data, *end = text.data + text.len;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        if (*at == '.') outbox_put(&injector->out, ".", 1);
        outbox_put(&injector->out, at, (size_t)(line + 1 - at));
        at = line + 1;
    }
    outbox_put(&injector->out, ".\r\n", 3);
}

static void put_chunks(struct injector *injector)
{
    const struct bytes text = model_text(injector->number, true);
    size_t done = 0;
    while (text.len - done > 0 && injector->expected_count < EXPECTED_MAX - 10 &&
           sim_below(SIM_INJECTOR, 3) > 0) {
        const size_t size = sim_below(SIM_INJECTOR, text.len - done + 1);
        outbox_printf(&injector->out, "BDAT %zu\r\n", size);
        outbox_put(&injector->out, text.data + done, size);
        expect(injector, CHUNK);
        done += size;
    }
    outbox_printf(&injector->out, "BDAT %zu LAST\r\n", text.len - done);
    outbox_put(&injector->out, text.data + done, text.len - done);
    expect(injector, END);
}

static void put_mail(struct injector *injector)
{
    char sender[64];
    model_sender(injector->number, sender);
    if (injector->user) model_from_user(injector->number, injector->few);
    const struct model_message *message = model_message(injector->number);
    const bool binary = injector->mode == CHUNKED && !message->forbidden && message->size % 7 == 0;
    outbox_printf(&injector->out, "MAIL FROM:<%s>%s%s\r\n", sender,
                  injector->old            ? ""
                  : binary                 ? " BODY=BINARYMIME"
                  : message->size % 3 == 0 ? " BODY=8BITMIME"
                                           : "",
                  injector->old            ? ""
                  : message->size % 5 == 0 ? " RET=HDRS ENVID=a+2Bb"
                  : message->size % 5 == 1 ? " RET=FULL SMTPUTF8"
                  : message->size % 5 == 2 ? " SIZE=300"
                                           : "");
    expect(injector, MAIL);
}

static void put_recipient(struct injector *injector)
{
    char address[64];
    struct model_recipient *one = &model_message(injector->number)->recipients[injector->recipient];
    model_address(injector->number, injector->recipient, address);
    const bool never = sim_below(SIM_INJECTOR, 12) == 0 && !injector->old;
    if (never) one->dsn_wanted = false;
    outbox_printf(
        &injector->out, "RCPT TO:<%s>%s%s\r\n", address,
        sim_below(SIM_INJECTOR, 10) == 0 && !injector->old ? " ORCPT=rfc822;first+40x.test" : "",
        never                                                ? " NOTIFY=NEVER"
        : !injector->old && sim_below(SIM_INJECTOR, 12) == 0 ? " NOTIFY=SUCCESS,FAILURE,DELAY"
                                                             : "");
    expect(injector, RECIPIENT);
    injector->recipient += 1;
}

static void hang_up(struct injector *injector)
{
    outbox_printf(&injector->out, "QUIT\r\n");
    expect(injector, OTHER);
    injector->leaving = true;
}

static void next_message(struct injector *injector)
{
    injector->number = UINT32_MAX;
    if (injector->left-- > 0) injector->number = model_next();
    if (injector->number == UINT32_MAX) {
        no_more |= model_count() == sim.options.messages;
        hang_up(injector);
        return;
    }
    injector->recipient = injector->next_recipient = 0;
    injector->end_sent = false;
    if (sim_below(SIM_INJECTOR, 20) == 0) {
        outbox_printf(&injector->out, "%s\r\n", sim_below(SIM_INJECTOR, 2) ? "RSET" : "NOOP");
        expect(injector, OTHER);
    }
    put_mail(injector);
    if (injector->mode == LOCK_STEP) return;
    while (injector->recipient < model_message(injector->number)->recipient_count)
        put_recipient(injector);
    if (injector->mode == CHUNKED) {
        put_chunks(injector);
        injector->end_sent = true;
    } else {
        outbox_printf(&injector->out, "DATA\r\n");
        expect(injector, DATA);
    }
}

/* Too many mistakes, too long a command, more hops than a message has, a long line. */
static void put_too_much(struct injector *injector)
{
    static const struct {
        const char *begin, *again, *end;
    } kinds[] = {
        {"RSET\r\n", "x\r\n", ""},
        {"MAIL FROM:<xa@s.test>", " 0123456789", "\r\n"},
        {"EHLO a\r\nMAIL FROM:<xa@s.test>\r\nRCPT TO:<x1@d0.test>\r\nDATA\r\n", "Received: x\r\n",
         "\r\nx\r\n.\r\n"},
        {"EHLO a\r\nMAIL FROM:<xa@s.test>\r\nRCPT TO:<x1@d0.test>\r\nDATA\r\nA: b\r\n\r\n",
         "0123456789", "\r\n.\r\n"},
    };
    const uint64_t kind = sim_below(SIM_SETTINGS, ARRAY_COUNT(kinds));
    outbox_put(&injector->out, kinds[kind].begin, strlen(kinds[kind].begin));
    for (int i = 0; i < 250; i++)
        outbox_put(&injector->out, kinds[kind].again, strlen(kinds[kind].again));
    outbox_put(&injector->out, kinds[kind].end, strlen(kinds[kind].end));
}

/* Faults of syntax and of order, now and then with what makes them matter. */
static void put_odd_lines(struct injector *injector)
{
    static const char *const lines[] = {
        "MAIL\r\nRCPT\r\nDATA now\r\nRSET now\r\n",
        "EHLO [IPv6:2001:db8::1]\r\nMAIL FROM:<xa@s.test> SMTPUTF8 BODY=8BITMIME\r\n"
        "RCPT TO:<x\xc3\xa4@d0.test>\r\nRCPT TO:<x5@d1.test>\r\n"
        "RCPT TO:<x6@d2.test>\r\nDATA\r\nSubject: \xc3\xa4\r\n\r\nx\r\n.\r\n",
        "EHLO a\r\nMAIL FROM:<x\xc3\xa4@s.test> SMTPUTF8\r\nRCPT TO:<x4@d3.test>\r\n"
        "RCPT TO:<x7@d4.test>\r\nDATA\r\nA: b\r\n\r\nx\r\n.\r\n",
        "EHLO a\r\nMAIL FROM:<xa@s.test>\r\nRCPT TO:<\"x\\\"8\"@d1.test>\r\nRCPT "
        "TO:<Postmaster>\r\n"
        "RCPT TO: <x9@d0.test>\r\nDATA\r\nno header, and a line behind it\r\n.\r\n",
        "EHLO a\r\nMAIL FROM:<xa@s.test> BODY=BINARYMIME\r\nRCPT TO:<x2@d0.test>\r\nDATA\r\n",
        "RSET\r\nMAIL FROM:<x\xc3\xa4@s.test>\r\nMAIL FROM:<xa@s.test\r\n",
        "RSET\r\nMAIL FROM:<xa@s.test> SIZE=99999999\r\nMAIL FROM: <xa@s.test>\r\n"
        "RCPT TO:<x\xc3\xa4@d0.test>\r\nRCPT TO:<x1@d0.test> ORCPT=utf-8;a\r\nRCPT TO:x1\r\n",
        "HELO a\r\nMAIL FROM:<xa@s.test> SIZE=1\r\nMAIL FROM:<xa@s.test>\r\n"
        "RCPT TO:<x1@d0.test> NOTIFY=NEVER\r\n",
        "MAIL FROM:<xa@s.test> FOO=1\r\nMAIL FROM:<xa@s.test> BODY=9BIT\r\nEXPN x\r\n",
        "EHLO a\r\nAUTH PLAIN !\r\nAUTH X-1\r\nAUTH\r\nNOOP\n",
        "EHLO a\r\nAUTH LOGIN YXBw\r\n!\r\nAUTH LOGIN YXBw\r\n*\r\n",
        "EHLO a\r\nSTARTTLS now\r\nSTARTTLS\r\nNOOP\r\n",
        "EHLO a\r\nMAIL FROM:<xa@s.test>\r\nRCPT TO:<x1@d0.test>\r\nDATA\r\n"
        "A: b\r\n c\r\nReturn-Path:<a>\r\nReturn-Path: b\r\n c\r\n: d\r\n\r\nx\r\n.\r\n",
        "EHLO a\r\nMAIL FROM:<xa@s.test>\r\nRCPT TO:<x1@d0.test>\r\nBDAT 3\r\na\rb"
        "BDAT 4 LAST\r\nc\r\n\r",
    };
    const char *line = lines[sim_below(SIM_SETTINGS, ARRAY_COUNT(lines))];
    outbox_put(&injector->out, line, strlen(line));
    if (sim_below(SIM_SETTINGS, 8) == 0) put_too_much(injector);
}

/* Octets that nobody should send. Nothing of it is in the model. */
static void be_hostile(struct injector *injector)
{
    static const char *const lines[] = {
        "MAIL FROM:<xa@s.test>\r\n",
        "RCPT TO:<x1@d0.test>\r\n",
        "BDAT 100\r\nshort",
        "BDAT 5 LAST\r\nmuch more than five\r\n",
        "BDAT 99999999999999999999\r\n",
        "DATA\r\n",
        "\r\n.\r\n",
        "\n.\n",
        ".\r\n",
        "\r.\r\n",
        "GET / HTTP/1.1\r\n",
        "RSET\r\n",
        "EHLO \xff\r\n",
        "EHLO a\r\n",
        "MAIL FROM:<>\r\n",
        "RCPT TO:<@a,@b:x2@d1.test>\r\n",
        "VRFY x\r\n",
        "STARTTLS\r\n",
        "AUTH PLAIN =\r\n",
        "AUTH PLAIN AGFwcABwZW5jaWxz\r\n",
        "AUTH LOGIN\r\n",
        "YXBw\r\n",
        "*\r\n",
        "HELP\r\n",
        "X-Other: 1\r\n\r\nbody\r\n",
        "QUIT\r\n",
        "\0\0\r\n",
    };
    for (uint64_t i = sim_below(SIM_INJECTOR, 40); i > 0; i--) {
        const char *line = lines[sim_below(SIM_INJECTOR, ARRAY_COUNT(lines))];
        if (sim_below(SIM_INJECTOR, 8) == 0) {
            char noise[200];
            const size_t len = 1 + sim_below(SIM_INJECTOR, sizeof(noise));
            for (size_t j = 0; j < len; j++)
                noise[j] = (char)sim_below(SIM_INJECTOR, 256);
            outbox_put(&injector->out, noise, len);
        }
        outbox_put(&injector->out, line, MAX(strlen(line), (size_t)1));
        if (settings_are_odd() && sim_below(SIM_SETTINGS, 4) == 0) put_odd_lines(injector);
    }
}

static bool flush(struct injector *injector)
{
    if (fault(400)) { /* gone in the middle */
        net_reset(injector->end);
        return false;
    }
    if (injector->tls == NULL) return outbox_flush(&injector->out, injector->end);
    if (tls_status(injector->tls) != TLS_HANDSHAKE) {
        const struct outbox *out = &injector->out;
        const struct bytes piece = {out->data + out->first, out->len - out->first};
        if (piece.len > 0) tls_write(injector->tls, &piece, 1, SIZE_MAX);
        outbox_deinit(&injector->out);
    }
    outbox_put_tls(&injector->wire, injector->tls);
    return outbox_flush(&injector->wire, injector->end);
}

/* ---- replies -----------------------------------------------------------------------------------
 */

static void say_hello(struct injector *injector)
{
    outbox_printf(&injector->out, "%s client.test\r\n", injector->old ? "HELO" : "EHLO");
    expect(injector, HELLO);
}

static void begin_tls(struct injector *injector)
{
    static struct tls_client *client;
    char why[64];
    if (client == NULL)
        client = tls_client_create(&(struct tls_client_options){0}, why, sizeof(why));
    injector->tls = tls_connect(client, &(struct tls_connect_options){.now = peers_wall()});
    tls_handshake(injector->tls);
}

/* PLAIN at once, or LOGIN step by step; some go without waiting for the answer. */
static void begin_auth(struct injector *injector)
{
    injector->auth = false;
    injector->right = sim_below(SIM_AUTH, 4) > 0;
    injector->few = settings_are_odd() && sim_below(SIM_SETTINGS, 3) == 0;
    if (sim_below(SIM_AUTH, 2) == 0) {
        outbox_printf(&injector->out, "AUTH LOGIN\r\n");
        expect(injector, AUTH_NAME);
        return;
    }
    const char *right = injector->few ? "AGZldwBwZW5jaWw=" : "AGFwcABwZW5jaWw=";
    outbox_printf(&injector->out, "AUTH PLAIN %s\r\n",
                  injector->right ? right : "AGFwcABwZW5jaWxz");
    expect(injector, AUTH);
    if (sim_below(SIM_AUTH, 6) == 0) hang_up(injector);
}

/* What ends the exchange, and is not a failed one. */
static const char *spoil_login(struct injector *injector)
{
    static char overlong[12500];
    injector->right = false;
    memset(overlong, 'A', sizeof(overlong) - 1);
    const uint64_t dice = sim_below(SIM_SETTINGS, 3);
    return dice == 0 ? "*" : dice == 1 ? "no base64!" : overlong;
}

static void auth_answered(struct injector *injector, enum expected what, uint32_t code)
{
    if (what != AUTH && code == 334) {
        const char *password = injector->right ? "cGVuY2ls" : "cGVuY2lscw==";
        const char *name = injector->few ? "ZmV3" : "YXBw";
        if (what == AUTH_PASSWORD && injector->right && settings_are_odd() &&
            sim_below(SIM_SETTINGS, 8) == 0)
            password = spoil_login(injector);
        const char *line = what == AUTH_NAME ? name : password;
        outbox_put(&injector->out, line, strlen(line));
        outbox_put(&injector->out, "\r\n", 2);
        expect(injector, what == AUTH_NAME ? AUTH_PASSWORD : AUTH);
        return;
    }
    injector->user = code == 235;
    if (code == 535 && settings_users_were_missing()) injector->right = false;
    if (code == (injector->right ? 535u : 235u))
        sim_fail(SIM_CHECK_OUTCOME, "a %s password was answered %u",
                 injector->right ? "right" : "wrong", code);
    if (!injector->leaving) next_message(injector); /* the network may relay without it */
}

static void content_allowed(struct injector *injector, uint32_t code)
{
    if (code == 354) {
        put_content(injector);
        injector->end_sent = true;
        expect(injector, END);
        return;
    }
    model_answered(injector->number, code, injector->life != sim.life);
    next_message(injector);
}

static void recipient_answered(struct injector *injector, uint32_t code)
{
    struct model_message *message = model_message(injector->number);
    message->recipients[injector->next_recipient++].taken = code == 250;
    if (injector->mode != LOCK_STEP) return;
    if (injector->recipient < message->recipient_count) {
        put_recipient(injector);
    } else {
        outbox_printf(&injector->out, "DATA\r\n");
        expect(injector, DATA);
    }
}

static void answered(struct injector *injector, uint32_t code)
{
    const enum expected what = injector->expected[injector->expected_first];
    if (injector->expected_count == 0) {
        if (code != 421) sim_fail(SIM_CHECK_OUTCOME, "a reply %u that nobody asked for", code);
        return;
    }
    injector->expected_first = (injector->expected_first + 1) % EXPECTED_MAX;
    injector->expected_count -= 1;
    switch (what) {
    case GREETING:
        if (code != 220) return;
        say_hello(injector);
        return;
    case HELLO:
        if (injector->offered && injector->tls == NULL && sim_below(SIM_TLS, 2) == 0) {
            outbox_printf(&injector->out, "STARTTLS\r\n");
            expect(injector, START_TLS);
            return;
        }
        if (injector->auth && sim_below(SIM_AUTH, 3) == 0)
            begin_auth(injector);
        else
            next_message(injector);
        return;
    case START_TLS:
        if (code != 220) {
            next_message(injector);
            return;
        }
        begin_tls(injector);
        say_hello(injector); /* leaves when the handshake is done */
        return;
    case AUTH_NAME:
    case AUTH_PASSWORD:
    case AUTH:
        auth_answered(injector, what, code);
        return;
    case MAIL:
        if (injector->mode != LOCK_STEP) return;
        if (code == 250) {
            put_recipient(injector);
        } else {
            model_answered(injector->number, code, injector->life != sim.life);
            next_message(injector);
        }
        return;
    case RECIPIENT:
        recipient_answered(injector, code);
        return;
    case DATA:
        content_allowed(injector, code);
        return;
    case END:
        model_answered(injector->number, code, injector->life != sim.life);
        next_message(injector);
        return;
    case CHUNK:
    case OTHER:
        return;
    }
}

static void on_line(struct injector *injector)
{
    const char *line = injector->line;
    const size_t len = injector->line_len;
    if (len < 5 || line[len - 2] != '\r')
        sim_fail(SIM_CHECK_OCTETS, "a reply that is none: %.*s", (int)len, line);
    if (injector->hostile) return;
    injector->offered |= len > 12 && memcmp(line + 4, "STARTTLS", 8) == 0;
    injector->auth |= len > 9 && memcmp(line + 4, "AUTH ", 5) == 0;
    if (line[3] == '-') return;
    answered(injector, (uint32_t)strtoul(line, NULL, 10));
}

static void take_replies(struct injector *injector, struct bytes replies)
{
    for (size_t i = 0; i < replies.len; i++) {
        if (injector->line_len == sizeof(injector->line))
            sim_fail(SIM_CHECK_LIMITS, "a reply line without end");
        injector->line[injector->line_len++] = replies.data[i];
        if (replies.data[i] != '\n') continue;
        on_line(injector);
        injector->line_len = 0;
    }
}

static void take_secure(struct injector *injector, struct bytes octets)
{
    char plain[4096];
    tls_feed(injector->tls, octets);
    tls_handshake(injector->tls);
    for (size_t len; (len = tls_read(injector->tls, plain, sizeof(plain))) > 0;)
        take_replies(injector, (struct bytes){plain, len});
}

static void on_change(struct net_end *end)
{
    struct injector *injector = end->owner;
    char data[4096];
    sim_after(&injector->patience, PATIENCE);
    if (fault(200))
        injector->deaf_until = sim.now + DURATION_MS(sim_skewed(SIM_INJECTOR, 1, 90000));
    if (sim.now < injector->deaf_until && end->error == 0) {
        sim_at(&injector->ears, injector->deaf_until);
        return;
    }
    for (size_t got; (got = net_read(end, data, sizeof(data))) > 0;) {
        if (injector->tls == NULL)
            take_replies(injector, (struct bytes){data, got});
        else
            take_secure(injector, (struct bytes){data, got});
    }
    if (injector->tls != NULL && tls_status(injector->tls) == TLS_FAILED) {
        (void)flush(injector); /* an alert */
        end_session(injector);
        return;
    }
    const bool over =
        net_at_end(end) || end->error != 0 || (injector->leaving && injector->expected_count == 0);
    if (over || !flush(injector)) {
        end_session(injector);
        return;
    }
    /* Half-closed: it still reads what is answered. */
    if (injector->leaving && outbox_is_empty(&injector->out) && outbox_is_empty(&injector->wire) &&
        fault(4))
        net_shutdown(end);
}

/* ---- beginning ---------------------------------------------------------------------------------
 */

static void on_connected(struct net_end *end, int error)
{
    struct injector *injector = end->owner;
    if (error != 0) {
        end_session(injector);
        return;
    }
    /* Hostile ones bring clear text there, too. */
    if (injector->secure && !(injector->hostile && sim_below(SIM_TLS, 2) == 0)) begin_tls(injector);
    if (injector->hostile) be_hostile(injector);
    (void)flush(injector);
}

static const struct net_events injector_events = {on_connected, on_change};

static void hears_again(struct sim_event *event)
{
    struct injector *injector = CONTAINER_OF(event, struct injector, ears);
    if (injector->end != NULL) on_change(injector->end);
}

static void out_of_patience(struct sim_event *event)
{
    end_session(CONTAINER_OF(event, struct injector, patience));
}

static void begin(struct sim_event *event)
{
    struct injector *injector = CONTAINER_OF(event, struct injector, next);
    struct address address = {
        .family = 4, .prefix = 32, .port = INJECTION_PORT, .ip = {127, 0, 0, 1}};
    if (no_more) return;
    injector->secure = injectors_know_tls() && sim_below(SIM_TLS, 5) == 0;
    if (injector->secure) address.port = SECURE_PORT;
    injector->hostile = fault(12);
    injector->leaving = injector->offered = injector->auth = injector->user = false;
    injector->life = sim.life;
    injector->line_len = injector->expected_first = 0;
    injector->mode = (uint8_t)sim_below(SIM_INJECTOR, MODE_COUNT);
    injector->old = sim_below(SIM_INJECTOR, 12) == 0;
    if (injector->old) injector->mode = LOCK_STEP;
    injector->deaf_until = 0;
    injector->left = 1 + (uint32_t)sim_skewed(SIM_INJECTOR, 0, 30);
    injector->number = UINT32_MAX;
    busy_count += 1;
    expect(injector, GREETING);
    sim_after(&injector->patience, injector->hostile ? DURATION_S(20) : PATIENCE);
    injector->end = net_connect(&address, NULL, &injector_events, injector);
}

void injectors_start(void)
{
    for (uint32_t i = 0; i < MIN(sim.options.injectors, (uint32_t)INJECTORS_MAX); i++) {
        injectors[i].next.happen = begin;
        injectors[i].patience.happen = out_of_patience;
        injectors[i].ears.happen = hears_again;
        sim_after(&injectors[i].next, DURATION_MS(1 + sim_below(SIM_INJECTOR, 200)));
    }
}
