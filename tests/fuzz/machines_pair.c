/* SPDX-License-Identifier: Apache-2.0
 *
 * machines_pair - smtp_client and smtp_server with each other, over two wires that hold octets back
 *
 * The server's driver says no for reasons that stand in the addresses, late when it likes; the
 * connection may break, the server may be shut down. Two sets of books must agree: what the client
 * calls delivered was taken, once, under its own sender, with the octets that were given; what was
 * taken is never called anything from which it would be sent again without a word.
 *
 * Both may wish for TLS, which is nothing on the wires but a pause until both have begun it, and
 * the client may log in, rightly or wrongly: no mail passes one that insists.
 *
 * Job 2 is from X@m2.example to Y@r0.m2.example, Y@r1.m2.example and so on.
 */
#include "machines.h"
#include "ringpost/smtp_client.h"
#include "ringpost/smtp_server.h"
#include <stdio.h>

enum {
    JOBS_MAX = 5,
    RECIPIENTS_MAX = 4,
    CONTENT_MAX = 500,
    WIRE_MAX = 1 << 16,
    ROUNDS_MAX = 20000,
    PASSES_MAX = 4000,
};

struct job {
    struct smtp_transaction transaction;
    struct smtp_transaction_recipient recipients[RECIPIENTS_MAX];
    char sender[48], addresses[RECIPIENTS_MAX][48];
    char content_data[CONTENT_MAX];
    struct text content;
    unsigned outcomes[RECIPIENTS_MAX];
    unsigned taken[RECIPIENTS_MAX]; /* by the server */
    unsigned messages;              /* taken by the server */
    bool offered, done;
};
struct wire {
    char data[WIRE_MAX];
    size_t written, read;
};
struct pair {
    struct choices *choices;
    struct job jobs[JOBS_MAX];
    unsigned job_count, recipient_count, offered;
    bool lost; /* the connection broke */

    bool client_begins, server_begins; /* TLS */
    bool secured;
    bool right_password;

    struct smtp_client client;
    const struct job *sending; /* its content is being queued, stuffed */
    bool sending_chunk;
    size_t sent; /* octets of it that are queued */
    bool client_closed;

    struct smtp_server_options options;
    struct smtp_server server;
    enum smtp_server_step question; /* not answered yet; NEED_INPUT: none */
    bool server_closed;
    int auth_step;
    int job;                     /* of the open transaction; -1: none */
    bool stands[RECIPIENTS_MAX]; /* accepted in it */
    char stored_data[CONTENT_MAX + 8];
    struct text stored;
    char path[300]; /* of the question */

    struct wire to_server, to_client;
};
static struct pair pair;

/* ---- the wires ---------------------------------------------------------------------------------
 */

static void write_wire(struct wire *wire, struct bytes text)
{
    ASSERT(wire->written + text.len <= sizeof(wire->data));
    if (text.len > 0) memcpy(wire->data + wire->written, text.data, text.len);
    wire->written += text.len;
}

/* Some of what is under way; all of it when the choices have run out. */
static struct bytes read_wire(struct wire *wire)
{
    const size_t wish = choose_octet(pair.choices), left = wire->written - wire->read;
    return (struct bytes){wire->data + wire->read, wish == 0 ? left : MIN(wish, left)};
}

/* ---- the server's driver -----------------------------------------------------------------------
 */

static int number_behind(const char *address, const char *mark)
{
    const char *at = strstr(address, mark);
    return at == NULL ? -1 : at[strlen(mark)] - '0';
}

static bool local_is(const char *local)
{
    return strncmp(pair.path, local, strlen(local)) == 0;
}

static void drop(void)
{
    pair.job = -1;
    memset(pair.stands, 0, sizeof(pair.stands));
    text_init(&pair.stored, pair.stored_data, sizeof(pair.stored_data));
}

static void answer_mail(void)
{
    ASSERT(pair.job == -1);
    if (local_is("busy@")) {
        smtp_server_refuse(&pair.server, "452 4.3.1 Insufficient system storage");
    } else if (local_is("never@")) {
        smtp_server_refuse(&pair.server, "550 5.7.1 Not from you");
    } else {
        pair.job = number_behind(pair.path, "@m");
        ASSERT(pair.job >= 0 && pair.job < (int)pair.offered);
        smtp_server_accept(&pair.server, BYTES(""));
    }
}

static void answer_rcpt(void)
{
    const int recipient = number_behind(pair.path, "@r");
    ASSERT(recipient >= 0 && recipient < (int)pair.recipient_count);
    ASSERT(number_behind(pair.path, ".m") == pair.job); /* never under another's sender */
    if (local_is("busy@")) {
        smtp_server_refuse(&pair.server, "452 4.2.1 Busy");
    } else if (local_is("nobody@")) {
        smtp_server_refuse(&pair.server, "550 5.1.1 Nobody of that name");
    } else if (local_is("gone@")) {
        smtp_server_refuse(&pair.server, "421 4.3.2 Going");
    } else {
        ASSERT(!pair.stands[recipient]);
        pair.stands[recipient] = true;
        smtp_server_accept(&pair.server, BYTES(""));
    }
}

static void answer_begin(void)
{
    if (strncmp(pair.jobs[pair.job].sender, "full@", 5) == 0) {
        drop();
        smtp_server_refuse(&pair.server, "452 4.3.1 Insufficient system storage");
    } else {
        smtp_server_accept(&pair.server, BYTES(""));
    }
}

/* As it was given, but for the end of the last line, which DATA cannot do without. */
static bool is_content_of(const struct job *job)
{
    const struct bytes given = text_bytes(&job->content);
    struct bytes stored = text_bytes(&pair.stored);
    if (bytes_equal(stored, given)) return true;
    if (machines_ends_line(given) || stored.len != given.len + 2) return false;
    stored.len -= 2;
    return bytes_equal(stored, given) && memcmp(stored.data + stored.len, "\r\n", 2) == 0;
}

static void answer_end(void)
{
    struct job *job = &pair.jobs[pair.job];
    unsigned standing = 0;
    ASSERT(!pair.stored.cut);
    if (pair.client.options.tls >= SMTP_TLS_ENCRYPT) ASSERT(pair.secured);
    if (pair.client.options.user.len > 0) ASSERT(pair.server.authenticated);
    if (strncmp(job->sender, "broken@", 7) == 0) {
        drop();
        smtp_server_refuse(&pair.server, "451 4.3.0 Write error");
        return;
    }
    ASSERT(is_content_of(job));
    for (unsigned i = 0; i < pair.recipient_count; i++) {
        job->taken[i] += pair.stands[i];
        standing += pair.stands[i];
    }
    job->messages += 1;
    ASSERT(standing > 0 && job->messages == 1);
    drop();
    smtp_server_accept(&pair.server, BYTES("1"));
}

/* As `auth` would, for the one user there is. */
static void answer_auth(const struct smtp_server_out *out)
{
    const bool login = out->auth.mechanism == SMTP_MECHANISM_LOGIN;
    ASSERT(pair.secured || pair.client.options.auth_clear);
    if (out->auth.first) pair.auth_step = 0;
    if (!out->auth.has_response) {
        smtp_server_challenge(&pair.server, login ? BYTES("Username:") : BYTES(""));
        return;
    }
    if (login && pair.auth_step == 0) {
        ASSERT(bytes_equal(out->auth.response, pair.client.options.user));
        pair.auth_step = 1;
        smtp_server_challenge(&pair.server, BYTES("Password:"));
        return;
    }
    const struct bytes wanted = login ? BYTES("secret") : BYTES("\0user\0secret");
    ASSERT(bytes_equal(out->auth.response, wanted) == pair.right_password);
    if (pair.right_password)
        smtp_server_authenticated(&pair.server);
    else
        smtp_server_refuse(&pair.server, "535 5.7.8 Authentication credentials invalid");
}

static void answer(void)
{
    const enum smtp_server_step question = pair.question;
    pair.question = SMTP_SERVER_NEED_INPUT;
    if (question == SMTP_SERVER_MAIL) answer_mail();
    if (question == SMTP_SERVER_RCPT) answer_rcpt();
    if (question == SMTP_SERVER_BEGIN) answer_begin();
    if (question == SMTP_SERVER_END) answer_end();
}

static void store_content(struct bytes *input)
{
    char room[64];
    const size_t cap = 1 + choose_below(pair.choices, sizeof(room));
    const size_t len = smtp_server_content(&pair.server, input, room, cap);
    ASSERT(len <= cap);
    text_put(&pair.stored, (struct bytes){room, len});
}

static void ask(enum smtp_server_step question, const struct smtp_server_out *out)
{
    pair.question = question;
    if (question != SMTP_SERVER_MAIL && question != SMTP_SERVER_RCPT) return;
    snprintf(pair.path, sizeof(pair.path), "%.*s", BYTES_FMT(out->path.address));
}

/* One step, of which there is a bounded number for each octet; false: nothing more to do now. */
static bool step_server(struct bytes *input)
{
    struct smtp_server_out out;
    const enum smtp_server_step step = smtp_server_next(&pair.server, input, &out);
    switch (step) {
    case SMTP_SERVER_NEED_INPUT:
        if (pair.options.auth == 0) ASSERT(input->len == 0); /* a line of AUTH is left there */
        return false;
    case SMTP_SERVER_WAIT:
        ASSERT(pair.question != SMTP_SERVER_NEED_INPUT);
        return false;
    case SMTP_SERVER_CLOSE:
        ASSERT(pair.job == -1);
        pair.server_closed = true;
        return false;
    case SMTP_SERVER_REPLY:
        write_wire(&pair.to_client, out.reply);
        return true;
    case SMTP_SERVER_CONTENT:
        store_content(input);
        return true;
    case SMTP_SERVER_ABORT:
        ASSERT(pair.job >= 0);
        drop();
        return true;
    case SMTP_SERVER_STARTTLS:
        pair.server_begins = true;
        return false;
    case SMTP_SERVER_AUTH:
        answer_auth(&out);
        return true;
    case SMTP_SERVER_AUTH_OVER:
        UNREACHABLE("the client never gives up an exchange");
    case SMTP_SERVER_MAIL:
    case SMTP_SERVER_RCPT:
    case SMTP_SERVER_BEGIN:
    case SMTP_SERVER_END:
        ask(step, &out);
        if (!choose_one_in(pair.choices, 4)) answer();
        return true;
    }
    UNREACHABLE("no such step");
}

/* Each has begun, and nothing in clear is under way: neither may have sent more. */
static void try_to_secure(void)
{
    if (!pair.client_begins || !pair.server_begins) return;
    ASSERT(pair.to_client.read == pair.to_client.written);
    ASSERT(pair.to_server.read == pair.to_server.written);
    pair.client_begins = pair.server_begins = false;
    pair.secured = true;
    smtp_server_secured(&pair.server);
    smtp_client_secured(&pair.client);
}

static void run_server(void)
{
    if (pair.server_closed || pair.server_begins) return;
    if (pair.question != SMTP_SERVER_NEED_INPUT) answer();
    const struct bytes piece = read_wire(&pair.to_server);
    struct bytes input = piece;
    for (unsigned i = 0; step_server(&input); i++)
        ASSERT(i < PASSES_MAX);
    pair.to_server.read += piece.len - input.len;
    try_to_secure();
}

/* ---- the client's driver -----------------------------------------------------------------------
 */

static void take_done(void)
{
    struct smtp_transaction *transaction;
    while ((transaction = smtp_client_take_done(&pair.client)) != NULL) {
        struct job *job = CONTAINER_OF(transaction, struct job, transaction);
        ASSERT(job->offered && !job->done);
        job->done = true;
        for (unsigned i = 0; i < pair.recipient_count; i++)
            job->outcomes[i] = job->recipients[i].verdict.outcome;
        memset(&job->transaction, 0xee, sizeof(job->transaction)); /* ours: any use of it shows */
        memset(job->recipients, 0xee, sizeof(job->recipients));
        if (pair.sending == job && pair.client.state == SMTP_CLIENT_ENDED) pair.sending = NULL;
    }
}

static void offer(void)
{
    while (pair.offered < pair.job_count && smtp_client_wants(&pair.client)) {
        struct job *job = &pair.jobs[pair.offered++];
        job->offered = true;
        smtp_client_offer(&pair.client, &job->transaction);
    }
}

/* Queues a part of the content, dots doubled; true: that was all of it. Meanwhile the client must
 * not be asked what is next, but it hears replies. */
static bool send_content(void)
{
    struct job *job = &pair.jobs[pair.sending - pair.jobs];
    const struct bytes content = text_bytes(&job->content);
    const size_t wish = choose_octet(pair.choices);
    for (size_t i = 0; pair.sent < content.len && (wish == 0 || i < wish); i++) {
        const bool begins = pair.sent == 0 || content.data[pair.sent - 1] == '\n';
        const bool dot = content.data[pair.sent] == '.';
        if (begins && dot && !pair.sending_chunk) write_wire(&pair.to_server, BYTES("."));
        write_wire(&pair.to_server, (struct bytes){content.data + pair.sent, 1});
        pair.sent += 1;
    }
    if (pair.sent < content.len) return false;
    if (!job->done) job->transaction.content_end = pair.to_server.written;
    pair.sending = NULL;
    return true;
}

static void begin_content(const struct smtp_transaction *transaction, bool chunk)
{
    pair.sending = &pair.jobs[CONTAINER_OF(transaction, struct job, transaction) - pair.jobs];
    pair.sending_chunk = chunk;
    pair.sent = 0;
    pair.jobs[pair.sending - pair.jobs].transaction.content_end = UINT64_MAX;
}

static bool step_client(void)
{
    char buffer[SMTP_CLIENT_COMMAND_MAX + 200];
    struct text out;
    struct smtp_transaction *transaction;
    if (pair.sending != NULL && !send_content()) return false;
    text_init(&out, buffer, sizeof(buffer));
    switch (smtp_client_next(&pair.client, &out, &transaction)) {
    case SMTP_CLIENT_WAIT:
        return false;
    case SMTP_CLIENT_SEND_TEXT:
        write_wire(&pair.to_server, text_bytes(&out));
        return true;
    case SMTP_CLIENT_SEND_DATA:
        begin_content(transaction, false);
        return true;
    case SMTP_CLIENT_SEND_BDAT:
        begin_content(transaction, true);
        return true;
    case SMTP_CLIENT_START_TLS:
        pair.client_begins = true;
        return false;
    case SMTP_CLIENT_CLOSE:
        pair.client_closed = true;
        return false;
    }
    UNREACHABLE("no such action");
}

static void run_client(void)
{
    if (pair.client_closed || pair.client_begins) return;
    struct bytes piece = read_wire(&pair.to_client);
    pair.to_client.read += piece.len;
    smtp_client_input(&pair.client, &piece);
    ASSERT(piece.len == 0);
    take_done();
    offer();
    take_done();
    for (unsigned i = 0; step_client(); i++)
        ASSERT(i < PASSES_MAX);
    try_to_secure();
}

/* The connection breaks: of what is under way some has left, and the server may still read it. */
static void lose(bool timeout)
{
    struct wire *wire = &pair.to_server;
    const size_t stays = 4 * choose_octet(pair.choices);
    wire->written -= MIN(wire->written - wire->read, stays);
    pair.lost = true;
    smtp_client_lost(&pair.client, timeout ? SMTP_CLIENT_END_TIMEOUT : SMTP_CLIENT_END_LOST,
                     wire->written);
    pair.sending = NULL;
    pair.client_closed = true;
}

/* ---- what must hold ----------------------------------------------------------------------------
 */

static void check_recipient(const struct job *job, unsigned recipient)
{
    const bool taken = job->taken[recipient] > 0;
    ASSERT(job->taken[recipient] <= 1);
    switch ((enum smtp_outcome)job->outcomes[recipient]) {
    case SMTP_OUTCOME_DELIVERED:
        ASSERT(taken);
        break;
    case SMTP_OUTCOME_POSSIBLY_DELIVERED: /* only because nobody heard the reply */
        ASSERT(pair.lost);
        break;
    case SMTP_OUTCOME_REFUSED:
    case SMTP_OUTCOME_DEFERRED:
    case SMTP_OUTCOME_NOT_TRIED:
        ASSERT(!taken);
        break;
    case SMTP_OUTCOME_NONE:
        UNREACHABLE("no verdict");
    }
}

static void check_end(void)
{
    ASSERT(pair.client.state == SMTP_CLIENT_ENDED && pair.client.transaction_count == 0);
    for (unsigned i = 0; i < pair.job_count; i++) {
        const struct job *job = &pair.jobs[i];
        ASSERT(job->offered == job->done);
        for (unsigned r = 0; job->offered && r < pair.recipient_count; r++)
            check_recipient(job, r);
        if (!job->offered) ASSERT(job->messages == 0);
    }
    /* Both are ours and keep the rules: neither may think badly of the other. */
    ASSERT(!pair.client.misbehaved || pair.lost);
    ASSERT(pair.client.end != SMTP_CLIENT_END_BROKEN);
}

/* ---- the play ----------------------------------------------------------------------------------
 */

static void prepare_job(struct job *job, unsigned index)
{
    static const char *const senders[] = {"s",      "s",    "s",     "full",
                                          "broken", "busy", "never", "\xc3\xa4"};
    static const char *const locals[] = {
        "r", "r", "r", "r", "nobody", "busy", "gone", "\xc3\xa4", "\"a \\\" b\"", "bad address"};
    struct choices *choices = pair.choices;
    text_init(&job->content, job->content_data, sizeof(job->content_data));
    machines_put_content(choices, &job->content);
    snprintf(job->sender, sizeof(job->sender), "%s@m%u.example", CHOOSE_FROM(choices, senders),
             index);
    for (unsigned i = 0; i < pair.recipient_count; i++) {
        snprintf(job->addresses[i], sizeof(job->addresses[i]), "%s@r%u.m%u.example",
                 CHOOSE_FROM(choices, locals), i, index);
        job->recipients[i].to.address = bytes_of(job->addresses[i]);
        job->recipients[i].to.notify = (uint8_t)choose_below(choices, 16);
        job->recipients[i].to.orcpt = BYTES("rfc822;a@b");
    }
    const bool open_line = !machines_ends_line(text_bytes(&job->content));
    job->transaction = (struct smtp_transaction){
        .reverse_path = bytes_of(job->sender),
        .envid = BYTES("e+20x"),
        .size = job->content.len,
        .content_flags = (uint8_t)(SMTP_CONTENT_8BIT | SMTP_CONTENT_LEADING_DOT |
                                   (open_line ? SMTP_CONTENT_NO_FINAL_CRLF : 0)),
        .recipient_count = pair.recipient_count,
        .recipients = job->recipients,
    };
}

static void prepare_security(struct smtp_client_options *client, unsigned wishes, unsigned offers)
{
    const bool logs_in = wishes & 128 && offers & 128;
    pair.options = smtp_server_options_default();
    if (offers & 64) pair.options.extensions |= SMTP_EXT_STARTTLS;
    if (offers & 128) pair.options.auth = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN;
    if (logs_in && offers & 1) pair.options.auth = SMTP_MECHANISM_LOGIN;
    pair.options.auth_clear = wishes & 1;
    pair.options.require_tls = (offers & 66) == 66;
    if (wishes & 64) client->tls = wishes & 2 ? SMTP_TLS_MAY : SMTP_TLS_ENCRYPT;
    if (!logs_in) return;
    pair.right_password = !(offers & 4);
    client->user = BYTES("user");
    client->password = pair.right_password ? BYTES("secret") : BYTES("guess");
    client->auth_clear = wishes & 4;
}

static void prepare(struct choices *choices)
{
    struct smtp_client_options options = smtp_client_options_default(BYTES("c.example"));
    const unsigned client = choose_octet(choices), server = choose_octet(choices);
    const unsigned counts = choose_octet(choices);
    memset(&pair, 0, offsetof(struct pair, to_server));
    pair.to_server.written = pair.to_server.read = 0;
    pair.to_client.written = pair.to_client.read = 0;
    pair.choices = choices;
    options.pipelining = !(client & 1);
    options.chunking = !(client & 2);
    options.window_start = client >> 2 & 7;
    if (client & 32) options.window_octets_start = options.window_octets_max = 100;

    prepare_security(&options, client, server);
    if (server & 1) pair.options.max_message_size = 100;
    if (server & 2) pair.options.max_recipients = 2;
    if (server & 4) pair.options.extensions &= ~(uint32_t)SMTP_EXT_CHUNKING;
    if (server & 8) pair.options.extensions &= ~(uint32_t)SMTP_EXT_PIPELINING;
    if (server & 16) pair.options.extensions &= ~(uint32_t)(SMTP_EXT_SMTPUTF8 | SMTP_EXT_DSN);
    if (server & 32) pair.options.max_text_line = 30;
    pair.job_count = 1 + counts % JOBS_MAX;
    pair.recipient_count = 1 + counts / JOBS_MAX % RECIPIENTS_MAX;
    for (unsigned i = 0; i < pair.job_count; i++)
        prepare_job(&pair.jobs[i], i);
    drop();
    smtp_client_init(&pair.client, &options);
    smtp_server_init(&pair.server, &pair.options, true);
}

static void act(void)
{
    switch (choose_below(pair.choices, 32)) {
    case 29:
        lose(choose_below(pair.choices, 2));
        break;
    case 30:
        smtp_server_shut_down(&pair.server);
        break;
    case 31:
        smtp_client_quit(&pair.client);
        break;
    default:
        if (choose_below(pair.choices, 2)) {
            run_server();
        } else {
            run_client();
        }
    }
}

/* No more choices: all that is under way arrives, and it must come to an end. */
static void finish(void)
{
    for (unsigned i = 0; i < ROUNDS_MAX && !pair.client_closed; i++) {
        const size_t moved = pair.to_server.read + pair.to_client.read + pair.to_server.written;
        const unsigned offered = pair.offered;
        run_server();
        run_client();
        if (pair.offered == pair.job_count) smtp_client_quit(&pair.client);
        run_client();
        const bool stuck =
            moved == pair.to_server.read + pair.to_client.read + pair.to_server.written &&
            offered == pair.offered && pair.question == SMTP_SERVER_NEED_INPUT;
        ASSERT(!stuck || pair.client_closed);
    }
    ASSERT(pair.client_closed);
}

static bool server_is_through(void)
{
    return pair.server_closed || (pair.to_server.read == pair.to_server.written &&
                                  pair.question == SMTP_SERVER_NEED_INPUT);
}

void machines_pair(struct choices *choices)
{
    prepare(choices);
    while (choices_left(choices) && !pair.client_closed)
        act();
    if (pair.lost) {
        for (unsigned i = 0; i < ROUNDS_MAX && !server_is_through(); i++)
            run_server();
        ASSERT(server_is_through());
    } else {
        finish();
    }
    take_done();
    check_end();
}
