/* SPDX-License-Identifier: Apache-2.0
 *
 * machines_client - a receiver that answers smtp_client rightly, wrongly, early, late or never
 *
 * It reads what the client says and holds it to the grammar: no command out of order, none before
 * the reply it has to wait for, content only when asked for and with the announced size. It keeps
 * books of what it replied to which command, against which the verdicts are checked. When the input
 * is used up it is honest, and the session must come to its end.
 */
#include "machines.h"
#include "ringpost/smtp_client.h"
#include <stdio.h>
#include <stdlib.h>

enum { JOBS_MAX = 5, RECIPIENTS_MAX = 4, OWED_MAX = 256, ROUNDS_MAX = 2000, SIZE = 100 };

/* ---- books -------------------------------------------------------------------------------------
 */

enum verb { GREETING, EHLO, HELO, MAIL, RCPT, DATA, CONTENT, LONE_DOT, BDAT, RSET, QUIT };

struct owed {
    enum verb verb;
    unsigned job, recipient;
};
struct job {
    struct smtp_transaction transaction;
    struct smtp_transaction_recipient recipients[RECIPIENTS_MAX];
    char sender[32], addresses[RECIPIENTS_MAX][32];
    bool offered, done, sent; /* sent: its content, with its end */
    unsigned mail_code, rcpt_codes[RECIPIENTS_MAX], go_code, end_code;
};
struct play {
    struct choices *choices;
    struct smtp_client client;
    struct job jobs[JOBS_MAX];
    unsigned job_count, recipient_count, offered;
    unsigned announced; /* bits of enum smtp_extension, in the reply to EHLO */
    struct owed owed[OWED_MAX];
    unsigned first, count;
    unsigned current;  /* job of the last MAIL */
    bool awaits_go;    /* DATA was read: nothing may follow */
    bool go;           /* 354 was said, nothing was read since */
    bool awaits_end;   /* content was read: the dot follows */
    bool awaits_chunk; /* BDAT was read: its content follows */
    bool garbled;      /* nothing said from now on is a reply to anything */
    bool ended;
    struct text transcript;
    char transcript_data[1 << 13];
};
static struct play play;

static void check_that(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s\n%s\n", play.transcript.data, what);
    abort();
}
#define CHECK(x) check_that((x), #x)

static void owe(enum verb verb, unsigned recipient)
{
    const bool groups = play.announced & SMTP_EXT_PIPELINING && play.client.options.pipelining;
    ASSERT(play.count < OWED_MAX);
    if (!groups) ASSERT(play.count == 0);
    play.owed[(play.first + play.count) % OWED_MAX] = (struct owed){verb, play.current, recipient};
    play.count += 1;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool is_word(struct bytes *line, const char *word)
{
    if (!bytes_starts_with_nocase(*line, bytes_of(word))) return false;
    *line = bytes_skip(*line, strlen(word));
    return true;
}

static void read_rcpt(struct bytes line)
{
    const struct job *job = &play.jobs[play.current];
    for (unsigned i = 0; i < play.recipient_count; i++) {
        const struct bytes address = bytes_of(job->addresses[i]);
        if (!bytes_starts_with_nocase(line, address) || line.data[address.len] != '>') continue;
        owe(RCPT, i);
        return;
    }
    UNREACHABLE("a recipient that is not of this job");
}

static void read_mail(struct bytes line)
{
    for (unsigned i = 0; i < play.offered; i++) {
        const struct bytes sender = bytes_of(play.jobs[i].sender);
        if (!bytes_starts_with_nocase(line, sender)) continue;
        ASSERT(!play.jobs[i].done);
        play.current = i;
        owe(MAIL, 0);
        return;
    }
    UNREACHABLE("a sender of no job");
}

static void read_bdat(struct bytes line)
{
    uint64_t size;
    const struct bytes digits = {line.data, line.len - strlen(" LAST")};
    ASSERT(play.announced & SMTP_EXT_CHUNKING && play.client.options.chunking);
    ASSERT(bytes_to_u64(digits, UINT64_MAX, &size) && size == SIZE + play.current);
    play.awaits_chunk = true;
}

static void read_line(struct bytes line)
{
    text_printf(&play.transcript, "C: %.*s\n", BYTES_FMT(line));
    ASSERT(!play.awaits_go && !play.awaits_chunk);
    for (size_t i = 0; i < line.len; i++)
        ASSERT((unsigned char)line.data[i] >= 32 && line.data[i] != 127);
    if (play.awaits_end && line.len == 0) { /* ends the last line of the content */
        const struct smtp_transaction *transaction = &play.jobs[play.current].transaction;
        ASSERT(transaction->content_flags & SMTP_CONTENT_NO_FINAL_CRLF);
    } else if (play.awaits_end || play.go) {
        ASSERT(bytes_equal(line, BYTES(".")));
        if (play.awaits_end) play.jobs[play.current].sent = true;
        owe(play.awaits_end ? CONTENT : LONE_DOT, 0);
        play.awaits_end = play.go = false;
    } else if (is_word(&line, "MAIL FROM:<")) {
        read_mail(line);
    } else if (is_word(&line, "RCPT TO:<")) {
        read_rcpt(line);
    } else if (is_word(&line, "BDAT ")) {
        read_bdat(line);
    } else if (is_word(&line, "DATA")) {
        owe(DATA, 0);
        play.awaits_go = true;
    } else if (is_word(&line, "RSET")) {
        owe(RSET, 0);
    } else if (is_word(&line, "EHLO ")) {
        owe(EHLO, 0);
    } else if (is_word(&line, "HELO ")) {
        owe(HELO, 0);
    } else {
        ASSERT(bytes_equal(line, BYTES("QUIT")) && play.count == 0);
        owe(QUIT, 0);
    }
}

static void read_text(struct bytes text)
{
    while (text.len > 0) {
        const char *end = memmem(text.data, text.len, "\r\n", 2);
        ASSERT(end != NULL);
        const struct bytes line = {text.data, (size_t)(end - text.data)};
        read_line(line);
        text = bytes_skip(text, line.len + 2);
    }
}

static void read_content(const struct smtp_transaction *transaction, bool chunk)
{
    struct job *job = &play.jobs[play.current];
    text_printf(&play.transcript, "C: (content %u)\n", play.current);
    ASSERT(transaction == &job->transaction);
    if (chunk) {
        ASSERT(play.awaits_chunk);
        play.awaits_chunk = false;
        job->sent = true;
        owe(BDAT, 0);
        return;
    }
    bool accepted = false; /* the client's own books: somebody must want it */
    for (unsigned i = 0; i < play.recipient_count; i++)
        accepted |= job->rcpt_codes[i] / 100 == 2;
    ASSERT(play.go && accepted && job->mail_code / 100 == 2);
    play.go = false;
    play.awaits_end = true;
}

/* ---- driving the client ------------------------------------------------------------------------
 */

static void offer(void)
{
    while (play.offered < play.job_count && smtp_client_wants(&play.client)) {
        struct job *job = &play.jobs[play.offered++];
        job->offered = true;
        smtp_client_offer(&play.client, &job->transaction);
    }
}

static void check_verdict(const struct job *job, unsigned recipient);

static void take_done(void)
{
    struct smtp_transaction *transaction;
    while ((transaction = smtp_client_take_done(&play.client)) != NULL) {
        struct job *job = CONTAINER_OF(transaction, struct job, transaction);
        ASSERT(job->offered && !job->done); /* each comes back once */
        job->done = true;
        for (unsigned i = 0; i < play.recipient_count; i++)
            check_verdict(job, i);
        memset(&job->transaction, 0xee, sizeof(job->transaction)); /* ours: any use of it shows */
        memset(job->recipients, 0xee, sizeof(job->recipients));
    }
}

static void pump(void)
{
    take_done();
    offer();
    take_done();
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        char buffer[SMTP_CLIENT_COMMAND_MAX + 300]; /* so small that it comes in parts */
        struct text out;
        struct smtp_transaction *transaction;
        text_init(&out, buffer, sizeof(buffer));
        switch (smtp_client_next(&play.client, &out, &transaction)) {
        case SMTP_CLIENT_WAIT:
            if (play.count > 0) ASSERT(smtp_client_deadline(&play.client, false).seconds > 0);
            return;
        case SMTP_CLIENT_SEND_TEXT:
            ASSERT(out.len > 0);
            read_text(text_bytes(&out));
            break;
        case SMTP_CLIENT_SEND_DATA:
            read_content(transaction, false);
            if (choose_one_in(play.choices, 4)) return; /* its last octet is not queued yet */
            break;
        case SMTP_CLIENT_SEND_BDAT:
            read_content(transaction, true);
            break;
        case SMTP_CLIENT_START_TLS:
            UNREACHABLE("nobody offered it");
        case SMTP_CLIENT_CLOSE:
            play.ended = true;
            return;
        }
    }
    UNREACHABLE("the client never waits");
}

static void feed(struct bytes text)
{
    text_printf(&play.transcript, "S: %.*s|\n", BYTES_FMT(text));
    const bool pumped = choose_one_in(play.choices, 8); /* late: the rest comes after more turns */
    size_t piece_max = choose_below(play.choices, 20);
    if (piece_max == 0) piece_max = text.len;
    while (text.len > 0) {
        struct bytes piece = {text.data, MIN(piece_max, text.len)};
        text = bytes_skip(text, piece.len);
        smtp_client_input(&play.client, &piece);
        ASSERT(piece.len == 0);
        if (pumped && text.len > 0 && !play.ended) pump();
    }
}

/* ---- replying ----------------------------------------------------------------------------------
 */

static void note(struct owed owed, unsigned code)
{
    struct job *job = &play.jobs[owed.job];
    if (owed.verb == DATA) play.awaits_go = false;
    if (owed.verb == DATA) play.go = code / 100 == 3;
    if (owed.verb == MAIL) job->mail_code = code;
    if (owed.verb == RCPT) job->rcpt_codes[owed.recipient] = code;
    if (owed.verb == DATA) job->go_code = code;
    if (owed.verb == CONTENT || owed.verb == BDAT) job->end_code = code;
}

static void put_ehlo(struct text *out)
{
    static const char *const odd[] = {"250-SIZE 50\r\n",
                                      "250-LIMITS RCPTMAX=2 MAILMAX=3\r\n",
                                      "250-LIMITS RCPTDOMAINMAX=1 RCPTMAX=0\r\n",
                                      "250-\r\n",
                                      "250-SIZE\r\n",
                                      "250-8BITMIME\r\n250-DSN\r\n"};
    text_printf(out, "250-b.example\r\n%s%s",
                play.announced & SMTP_EXT_PIPELINING ? "250-PIPELINING\r\n" : "",
                play.announced & SMTP_EXT_CHUNKING ? "250-CHUNKING\r\n" : "");
    if (choose_one_in(play.choices, 3)) text_put(out, bytes_of(CHOOSE_FROM(play.choices, odd)));
    text_put(out, BYTES("250 SMTPUTF8\r\n"));
}

static void put_reply(unsigned code, struct text *out)
{
    static const char *const texts[] = {
        "", " Ok", " 2.1.0 Ok", " 4.2.2 full", " 5.7.1 no", " no pipelining", " 5.5.1 x\tx"};
    const char *text = CHOOSE_FROM(play.choices, texts);
    for (unsigned lines = choose_below(play.choices, 8); lines > 5; lines--)
        text_printf(out, "%u-line\r\n", code);
    text_printf(out, "%u%s%s", code, text, choose_one_in(play.choices, 8) ? "\n" : "\r\n");
}

/* The reply to what is owed first, or to nothing when nothing is owed: too early. */
static void reply(unsigned code)
{
    char buffer[1024];
    struct text out;
    const bool ehlo = play.count > 0 && play.owed[play.first].verb == EHLO;
    text_init(&out, buffer, sizeof(buffer));
    if (ehlo && code == 250) {
        put_ehlo(&out);
    } else {
        put_reply(code, &out);
    }
    /* Its last octet makes it a reply: what it answers is settled then, not before. */
    feed((struct bytes){buffer, out.len - 1});
    if (play.client.state == SMTP_CLIENT_ENDED) return; /* nobody listens */
    if (play.count == 0 && play.awaits_end && code >= 400) {
        play.jobs[play.current].end_code = code; /* in the middle of the content */
    } else if (play.count > 0 && !play.garbled) {
        note(play.owed[play.first], code);
        play.first = (play.first + 1) % OWED_MAX;
        play.count -= 1;
    }
    feed((struct bytes){buffer + out.len - 1, 1});
}

static void reply_honestly(void)
{
    static const unsigned right[] = {
        [GREETING] = 220, [EHLO] = 250,     [HELO] = 250, [MAIL] = 250, [RCPT] = 250, [DATA] = 354,
        [CONTENT] = 250,  [LONE_DOT] = 554, [BDAT] = 250, [RSET] = 250, [QUIT] = 221};
    ASSERT(play.count > 0); /* else both wait for ever */
    const struct owed owed = play.owed[play.first];
    unsigned code = right[owed.verb], standing = 0;
    const struct job *job = &play.jobs[owed.job];
    for (unsigned i = 0; i < play.recipient_count; i++)
        standing += job->rcpt_codes[i] / 100 == 2;
    if (owed.verb == RCPT && job->mail_code / 100 != 2) code = 503;
    const bool content = owed.verb == DATA || owed.verb == CONTENT || owed.verb == BDAT;
    if (content && (standing == 0 || job->mail_code / 100 != 2)) code = 554;
    reply(code);
}

static void garbage(void)
{
    static const struct bytes all[] = {{"<html>\r\n", 8}, {"250-a\r\n550 b\r\n", 14}, {"25\r\n", 4},
                                       {"199 x\r\n", 7},  {"600 x\r\n", 7},           {"\r\n", 2},
                                       {"2x", 2},         {"\0\0\0\0\r\n", 6}};
    feed(CHOOSE_FROM(play.choices, all));
    play.garbled = true;
}

static void lose(void)
{
    static const enum smtp_client_end ends[] = {SMTP_CLIENT_END_LOST, SMTP_CLIENT_END_TIMEOUT,
                                                SMTP_CLIENT_END_SHUTDOWN};
    smtp_client_lost(&play.client, CHOOSE_FROM(play.choices, ends), UINT64_MAX);
}

/* ---- what must hold ----------------------------------------------------------------------------
 */

static void check_verdict(const struct job *job, unsigned recipient)
{
    const struct smtp_verdict *verdict = &job->recipients[recipient].verdict;
    const unsigned rcpt_code = job->rcpt_codes[recipient];
    text_printf(&play.transcript, "=> %s r%u: outcome %u code %u\n", job->sender, recipient,
                verdict->outcome, verdict->code);
    const bool taken =
        job->mail_code / 100 == 2 && rcpt_code / 100 == 2 && job->end_code / 100 == 2;
    CHECK(verdict->text_len <= SMTP_CLIENT_TEXT_MAX);
    for (size_t i = 0; i < verdict->text_len; i++)
        CHECK((unsigned char)verdict->text[i] >= 32 && verdict->text[i] != 127);
    /* Neither lost nor sent again: both ways. */
    CHECK((verdict->outcome == SMTP_OUTCOME_DELIVERED) == taken);
    if (verdict->outcome != SMTP_OUTCOME_NOT_TRIED) CHECK(verdict->code != 0);
    switch ((enum smtp_outcome)verdict->outcome) {
    case SMTP_OUTCOME_DELIVERED:
        CHECK(job->sent && !verdict->local);
        break;
    case SMTP_OUTCOME_REFUSED: /* bounces: he must have said so himself, about this very job */
        CHECK(verdict->code / 100 == 5);
        if (verdict->local) break; /* by what EHLO announces */
        CHECK(verdict->code == job->mail_code || verdict->code == rcpt_code ||
              verdict->code == job->go_code || verdict->code == job->end_code);
        break;
    case SMTP_OUTCOME_DEFERRED:
        CHECK(verdict->code / 100 == 4 || verdict->code == 552);
        break;
    case SMTP_OUTCOME_POSSIBLY_DELIVERED:
        CHECK(job->sent && rcpt_code < 400);
        break;
    case SMTP_OUTCOME_NOT_TRIED:
        break;
    case SMTP_OUTCOME_NONE:
        UNREACHABLE("no verdict");
    }
}

static void check_end(void)
{
    ASSERT(play.client.state == SMTP_CLIENT_ENDED && play.client.transaction_count == 0);
    ASSERT(play.client.in_flight == 0 && play.client.end != SMTP_CLIENT_END_NONE);
    for (unsigned i = 0; i < play.job_count; i++)
        ASSERT(play.jobs[i].offered == play.jobs[i].done);
}

/* ---- the play ----------------------------------------------------------------------------------
 */

static void prepare_job(struct job *job, unsigned index)
{
    struct text text;
    text_init(&text, job->sender, sizeof(job->sender));
    text_printf(&text, "s%u@a.example", index);
    for (unsigned i = 0; i < play.recipient_count; i++) {
        const char *domain = i == 3 ? "c.example" : "b.example";
        text_init(&text, job->addresses[i], sizeof(job->addresses[i]));
        text_printf(&text, "%s%u.%u@%s", index == 2 && i == 1 ? "\xc3\xa4" : "r", index, i, domain);
        job->recipients[i].to.address = bytes_of(job->addresses[i]);
        job->recipients[i].to.notify = (uint8_t)choose_below(play.choices, 16);
    }
    job->transaction = (struct smtp_transaction){
        .reverse_path = bytes_of(job->sender),
        .size = SIZE + index,
        .content_flags = (uint8_t)choose_below(play.choices, 16),
        .smtputf8 = index == 2,
        .recipient_count = play.recipient_count,
        .recipients = job->recipients,
    };
}

static void prepare(struct choices *choices)
{
    struct smtp_client_options options = smtp_client_options_default(BYTES("c.example"));
    const unsigned bits = choose_octet(choices), counts = choose_octet(choices);
    memset(&play, 0, offsetof(struct play, transcript_data));
    text_init(&play.transcript, play.transcript_data, sizeof(play.transcript_data));
    play.choices = choices;
    play.announced = (bits & 1 ? 0 : SMTP_EXT_PIPELINING) | (bits & 2 ? 0 : SMTP_EXT_CHUNKING);
    options.pipelining = !(bits & 4);
    options.chunking = !(bits & 8);
    options.eight_bit = bits & 16 ? SMTP_EIGHT_BIT_BOUNCE : SMTP_EIGHT_BIT_SEND;
    options.window_start = (uint8_t)(bits >> 5);
    play.job_count = 1 + counts % JOBS_MAX;
    play.recipient_count = 1 + counts / JOBS_MAX % RECIPIENTS_MAX;
    for (unsigned i = 0; i < play.job_count; i++)
        prepare_job(&play.jobs[i], i);
    smtp_client_init(&play.client, &options);
    owe(GREETING, 0);
}

static void act(void)
{
    static const unsigned codes[] = {250, 354, 450, 452, 503, 550, 552, 421, 200, 399, 221, 554};
    switch (choose_below(play.choices, 16)) {
    case 10:
        garbage();
        break;
    case 11:
        smtp_client_quit(&play.client);
        break;
    case 12:
        lose();
        break;
    case 13: /* two before the client can do anything */
        if (play.count > 0) reply(CHOOSE_FROM(play.choices, codes));
        if (play.count > 0) reply(CHOOSE_FROM(play.choices, codes));
        break;
    case 14:
    case 15:
        reply(CHOOSE_FROM(play.choices, codes)); /* even to nothing */
        break;
    case 7:
    case 8:
    case 9:
        if (play.count > 0) reply(CHOOSE_FROM(play.choices, codes));
        break;
    default:
        if (play.count > 0) reply_honestly();
    }
}

void machines_client(struct choices *choices)
{
    prepare(choices);
    pump();
    for (unsigned i = 0; i < ROUNDS_MAX && !play.ended; i++) {
        if (choices_left(choices)) {
            act();
        } else {
            if (play.offered == play.job_count) smtp_client_quit(&play.client);
            pump();
            if (!play.ended) reply_honestly();
        }
        pump();
    }
    take_done();
    ASSERT(play.ended);
    check_end();
}
