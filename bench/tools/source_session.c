/* SPDX-License-Identifier: Apache-2.0
 *
 * source_session - one connection of ringpost-source: replies in, the next commands out
 *
 *   lockstep    one command, one reply
 *   pipelining  MAIL, RCPT, DATA of the next message leave together with the final dot of this one:
 *               one round trip a message (RFC 2920; DATA is the last of its group)
 *   chunking    MAIL, RCPT, BDAT LAST and content of up to `window` messages under way (RFC 3030)
 *   connect     a connection and QUIT: what connections, and their handshakes, cost
 *
 * Replies come in the order of commands: a queue of expectations names each, and the head of the
 * queue of flights is the message that it is about.
 */
#include "source.h"

#include <stdlib.h>
#include <string.h>

void source_session_init(struct source *source, struct source_session *session)
{
    session->fd = -1;
    session->expects = tool_alloc(source->expect_size * sizeof *session->expects);
    session->flights = tool_alloc(source->flight_size * sizeof *session->flights);
    session->text = tool_alloc(source->text_size);
    session->iov = tool_alloc(source->iov_size * sizeof *session->iov);
}

/* ---- the two queues ------------------------------------------------------------------------- */

static void expect(const struct source *source, struct source_session *session,
                   enum source_expect_kind kind, unsigned count)
{
    if (count == 0 || session->expect_count == source->expect_size) abort(); /* sized to suffice */
    const unsigned index = (session->expect_head + session->expect_count) % source->expect_size;
    session->expects[index] = (struct source_expect){.kind = kind, .count = count};
    session->expect_count += 1;
}

static struct source_flight *flight_head(struct source_session *session)
{
    if (session->flight_count == 0) abort(); /* an expectation about a message implies a flight */
    return &session->flights[session->flight_head];
}

enum claim { CLAIM_DONE, CLAIM_NOT_YET, CLAIM_TAKEN };

/* Takes the next message of the run for this session, if there is one, and it is due. */
static enum claim flight_claim(struct source *source, struct source_session *session)
{
    const struct source_options *options = &source->options;
    if (session->must_close || source->claimed == options->messages) return CLAIM_DONE;
    if (options->per_connection != 0 && session->connection_messages == options->per_connection) {
        return CLAIM_DONE;
    }
    if (options->rate > 0 && source_due_ns(source, source->claimed) > source->now_ns) {
        if (session->wait.next == NULL) tool_list_append(&source->waiting, &session->wait);
        return CLAIM_NOT_YET;
    }
    if (source->stats.first_ns == 0) source->stats.first_ns = source->now_ns;
    const unsigned index = (session->flight_head + session->flight_count) % source->flight_size;
    session->flights[index] = (struct source_flight){.number = source->claimed++};
    session->flight_count += 1;
    session->connection_messages += 1;
    return CLAIM_TAKEN;
}

static struct source_flight *flight_newest(const struct source *source,
                                           struct source_session *session)
{
    return &session
                ->flights[(session->flight_head + session->flight_count - 1) % source->flight_size];
}

/* The head flight has its last reply. */
static void flight_end(struct source *source, struct source_session *session, unsigned code)
{
    struct source_flight *flight = flight_head(session);
    struct source_stats *stats = &source->stats;
    const unsigned refusal = flight->code != 0 ? flight->code : code;
    stats->last_ns = source->now_ns;
    if (code < 300) {
        stats->accepted += 1;
        stats->recipients_accepted += flight->rcpt_accepted;
        tool_histogram_add(&stats->latency, (source->now_ns - flight->end_ns) / 1000);
    } else {
        stats->refused += 1;
        stats->codes[refusal] += 1;
        session->careful = true;
    }
    session->flight_head = (session->flight_head + 1) % source->flight_size;
    session->flight_count -= 1;
}

/* ---- output --------------------------------------------------------------------------------- */

static char *text_end(struct source_session *session)
{
    return session->text + session->text_used;
}

static void text_add(struct source_session *session, const char *text)
{
    const size_t length = strlen(text);
    memcpy(text_end(session), text, length);
    session->text_used += length;
}

static void iov_add(struct source_session *session, char *base, size_t length)
{
    if (length == 0) return;
    session->iov[session->iov_used++] = (struct iovec){.iov_base = base, .iov_len = length};
}

static void text_close(struct source_session *session)
{
    iov_add(session, session->text + session->text_closed,
            session->text_used - session->text_closed);
    session->text_closed = session->text_used;
}

static void content_add(struct source *source, struct source_session *session,
                        struct source_flight *flight, bool chunk)
{
    char head[4096];
    size_t body = 0;
    const size_t length = source_write_head(source, head, flight->number, &body);
    if (chunk) {
        text_add(session, "BDAT ");
        session->text_used += source_write_number(text_end(session), length + body);
        text_add(session, " LAST\r\n");
    }
    memcpy(text_end(session), head, length);
    session->text_used += length;
    text_close(session);
    iov_add(session, source->body, body);
    if (!chunk) text_add(session, ".\r\n");
    source->stats.sent += 1;
    source->stats.bytes += length + body;
    flight->end_ns = source->now_ns;
    expect(source, session, SOURCE_EXPECT_END, 1);
}

static void mail_add(struct source *source, struct source_session *session)
{
    if (session->careful) {
        text_add(session, "RSET\r\n");
        expect(source, session, SOURCE_EXPECT_RSET, 1);
    }
    session->text_used += source_write_mail(source, text_end(session));
    expect(source, session, SOURCE_EXPECT_MAIL, 1);
}

static void rcpt_add(struct source *source, struct source_session *session, uint64_t number,
                     unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        session->text_used += source_write_rcpt(source, text_end(session), number, i);
    }
    expect(source, session, SOURCE_EXPECT_RCPT, count);
}

static void data_add(struct source *source, struct source_session *session)
{
    text_add(session, "DATA\r\n");
    expect(source, session, SOURCE_EXPECT_DATA, 1);
}

/* The answer to 354. Without a recipient there is nothing to send: RFC 2920 section 3.1 wants a
 * lone dot then. */
static void answer_go_on(struct source *source, struct source_session *session)
{
    struct source_flight *flight = flight_head(session);
    if (flight->rcpt_accepted > 0) {
        content_add(source, session, flight, false);
    } else {
        text_add(session, ".\r\n");
        flight->end_ns = source->now_ns;
        expect(source, session, SOURCE_EXPECT_END, 1);
    }
}

static enum claim gather_lockstep(struct source *source, struct source_session *session)
{
    const enum source_next next = session->next;
    session->next = SOURCE_NEXT_WAIT;
    switch (next) {
    case SOURCE_NEXT_WAIT:
        return CLAIM_NOT_YET;
    case SOURCE_NEXT_MESSAGE: {
        if (session->careful) { /* alone: in lock step even RSET waits for its reply */
            text_add(session, "RSET\r\n");
            expect(source, session, SOURCE_EXPECT_RSET, 1);
            session->careful = false;
            return CLAIM_TAKEN;
        }
        const enum claim claim = flight_claim(source, session);
        if (claim == CLAIM_TAKEN) mail_add(source, session);
        if (claim == CLAIM_NOT_YET) session->next = SOURCE_NEXT_MESSAGE;
        session->rcpt_next = 0;
        return claim;
    }
    case SOURCE_NEXT_RCPT:
        rcpt_add(source, session, flight_head(session)->number, session->rcpt_next++, 1);
        return CLAIM_TAKEN;
    case SOURCE_NEXT_DATA:
        data_add(source, session);
        return CLAIM_TAKEN;
    case SOURCE_NEXT_CONTENT:
        answer_go_on(source, session);
        return CLAIM_TAKEN;
    }
    abort();
}

static enum claim gather_pipelining(struct source *source, struct source_session *session)
{
    const bool answers = session->next == SOURCE_NEXT_CONTENT;
    session->next = SOURCE_NEXT_WAIT;
    if (answers) answer_go_on(source, session);
    /* a group waits for its 354: until then no further one may follow its DATA */
    if (session->flight_count > (answers ? 1u : 0u)) return CLAIM_NOT_YET;
    const enum claim claim = flight_claim(source, session);
    if (claim != CLAIM_TAKEN) return answers ? CLAIM_NOT_YET : claim;
    mail_add(source, session);
    rcpt_add(source, session, flight_newest(source, session)->number, 0,
             source->options.recipients);
    data_add(source, session);
    return CLAIM_TAKEN;
}

static enum claim gather_chunking(struct source *source, struct source_session *session)
{
    enum claim claim = CLAIM_NOT_YET;
    while (session->flight_count < source->options.window) {
        claim = flight_claim(source, session);
        if (claim != CLAIM_TAKEN) break;
        struct source_flight *flight = flight_newest(source, session);
        mail_add(source, session);
        rcpt_add(source, session, flight->number, 0, source->options.recipients);
        content_add(source, session, flight, true);
    }
    return session->flight_count > 0 ? CLAIM_TAKEN : claim;
}

/* A connection counts as a message of which QUIT is all. */
static enum claim gather_connect(struct source *source, struct source_session *session)
{
    const enum claim claim = flight_claim(source, session);
    if (claim != CLAIM_TAKEN) return claim;
    flight_newest(source, session)->end_ns = session->connected_ns;
    source->stats.sent += 1;
    return CLAIM_DONE;
}

static void gather_ready(struct source *source, struct source_session *session)
{
    enum claim claim = CLAIM_NOT_YET;
    switch (source->options.mode) {
    case SOURCE_LOCKSTEP:
        claim = gather_lockstep(source, session);
        break;
    case SOURCE_PIPELINING:
        claim = gather_pipelining(source, session);
        break;
    case SOURCE_CHUNKING:
        claim = gather_chunking(source, session);
        break;
    case SOURCE_CONNECT:
        claim = gather_connect(source, session);
        break;
    }
    if (claim != CLAIM_DONE || session->expect_count > 0) return;
    text_add(session, "QUIT\r\n");
    expect(source, session, SOURCE_EXPECT_QUIT, 1);
    session->state = SOURCE_QUITTING;
}

/* What comes before the first transaction, in lock step. */
static void gather_opening(struct source *source, struct source_session *session)
{
    if (session->state == SOURCE_HELLO) {
        text_add(session, "EHLO ");
        text_add(session, source->options.ehlo);
        text_add(session, "\r\n");
        expect(source, session, SOURCE_EXPECT_HELLO, 1);
    } else if (session->state == SOURCE_STARTTLS) {
        text_add(session, "STARTTLS\r\n");
        expect(source, session, SOURCE_EXPECT_STARTTLS, 1);
    } else if (session->state == SOURCE_AUTH) {
        text_add(session, source->options.auth);
        expect(source, session, SOURCE_EXPECT_AUTH, 1);
    }
}

void source_session_gather(struct source *source, struct source_session *session)
{
    session->text_used = 0;
    session->text_closed = 0;
    session->iov_used = 0;
    session->iov_done = 0;
    if (session->state == SOURCE_READY) {
        gather_ready(source, session);
    } else if (session->expect_count == 0) {
        gather_opening(source, session);
    }
    text_close(session);
}

/* ---- replies -------------------------------------------------------------------------------- */

static void refuse_flight(struct source_session *session, unsigned code)
{
    struct source_flight *flight = flight_head(session);
    if (flight->code == 0) flight->code = code;
}

static void session_ready(struct source_session *session)
{
    session->failures = 0;
    session->state = SOURCE_READY;
    session->next = SOURCE_NEXT_MESSAGE;
}

static void on_greeting(const struct source *source, struct source_session *session, unsigned code)
{
    session->state = code < 300 ? SOURCE_HELLO : SOURCE_BROKEN;
    if (code < 300 && source->options.mode == SOURCE_CONNECT &&
        source->options.tls != SOURCE_TLS_STARTTLS) {
        session_ready(session);
    }
}

static void on_hello(struct source *source, struct source_session *session, unsigned code)
{
    const enum source_mode mode = source->options.mode;
    if (code >= 300) {
        session->state = SOURCE_BROKEN;
        return;
    }
    if (source->options.tls == SOURCE_TLS_STARTTLS && session->tls == NULL) {
        if (!session->starttls) tool_die("the target does not offer STARTTLS");
        session->state = SOURCE_STARTTLS;
        return;
    }
    if ((mode == SOURCE_PIPELINING || mode == SOURCE_CHUNKING) && !session->pipelining) {
        tool_die("the target does not offer PIPELINING; use --mode lockstep");
    }
    if (mode == SOURCE_CHUNKING && !session->chunking) {
        tool_die("the target does not offer CHUNKING; use another --mode");
    }
    session_ready(session);
    if (source->options.auth != NULL) session->state = SOURCE_AUTH;
}

static void on_auth(struct source_session *session, unsigned code)
{
    if (code >= 300) tool_die("AUTH was answered with %u", code);
    session->state = SOURCE_READY;
}

void source_session_secured(struct source *source, struct source_session *session)
{
    if (source->options.tls == SOURCE_TLS_ON_CONNECT) {
        session->state = SOURCE_GREETING;
    } else if (source->options.mode == SOURCE_CONNECT) {
        session_ready(session);
    } else {
        session->state = SOURCE_HELLO; /* what was offered in clear is forgotten: RFC 3207 */
        session->pipelining = false;
        session->chunking = false;
    }
}

static void on_rcpt(struct source *source, struct source_session *session, unsigned code)
{
    if (code < 300) {
        flight_head(session)->rcpt_accepted += 1;
    } else {
        source->stats.recipients_refused += 1;
        session->careful = true;
        if (flight_head(session)->rcpt_accepted == 0) refuse_flight(session, code);
    }
    if (source->options.mode != SOURCE_LOCKSTEP) return;
    if (session->rcpt_next < source->options.recipients) {
        session->next = SOURCE_NEXT_RCPT;
    } else if (flight_head(session)->rcpt_accepted > 0) {
        session->next = SOURCE_NEXT_DATA;
    } else {
        flight_end(source, session, code);
        session->next = SOURCE_NEXT_MESSAGE;
    }
}

static void on_mail(struct source *source, struct source_session *session, unsigned code)
{
    const bool lockstep = source->options.mode == SOURCE_LOCKSTEP;
    if (code >= 300) refuse_flight(session, code);
    if (!lockstep) return;
    session->next = code < 300 ? SOURCE_NEXT_RCPT : SOURCE_NEXT_MESSAGE;
    if (code >= 300) flight_end(source, session, code);
}

static void on_reply(struct source *source, struct source_session *session, unsigned code)
{
    if (code == 421 || session->expect_count == 0) session->must_close = true;
    if (session->expect_count == 0) {
        session->state = SOURCE_BROKEN;
        return;
    }
    struct source_expect *head = &session->expects[session->expect_head];
    const enum source_expect_kind kind = head->kind;
    head->count -= 1;
    if (head->count == 0) {
        session->expect_head = (session->expect_head + 1) % source->expect_size;
        session->expect_count -= 1;
    }
    switch (kind) {
    case SOURCE_EXPECT_GREETING:
        on_greeting(source, session, code);
        break;
    case SOURCE_EXPECT_HELLO:
        on_hello(source, session, code);
        break;
    case SOURCE_EXPECT_STARTTLS:
        session->state = SOURCE_BROKEN;
        if (code < 300) source_tls_start(source, session);
        break;
    case SOURCE_EXPECT_AUTH:
        on_auth(session, code);
        break;
    case SOURCE_EXPECT_RSET:
        if (source->options.mode == SOURCE_LOCKSTEP) session->next = SOURCE_NEXT_MESSAGE;
        break;
    case SOURCE_EXPECT_MAIL:
        on_mail(source, session, code);
        break;
    case SOURCE_EXPECT_RCPT:
        on_rcpt(source, session, code);
        break;
    case SOURCE_EXPECT_DATA:
        session->next = code == 354 ? SOURCE_NEXT_CONTENT : SOURCE_NEXT_MESSAGE;
        if (code != 354) flight_end(source, session, code < 400 ? 500 : code);
        break;
    case SOURCE_EXPECT_END:
        flight_end(source, session, code);
        if (session->flight_count == 0) session->next = SOURCE_NEXT_MESSAGE;
        break;
    case SOURCE_EXPECT_QUIT:
        if (session->flight_count > 0) flight_end(source, session, code);
        session->state = SOURCE_BROKEN;
        break;
    }
    if (session->must_close && session->state != SOURCE_QUITTING) session->state = SOURCE_BROKEN;
}

static void keyword_note(struct source_session *session, const char *line, size_t length)
{
    if (length >= 14 && strncasecmp(line + 4, "PIPELINING", 10) == 0) session->pipelining = true;
    if (length >= 12 && strncasecmp(line + 4, "CHUNKING", 8) == 0) session->chunking = true;
    if (length >= 12 && strncasecmp(line + 4, "STARTTLS", 8) == 0) session->starttls = true;
}

void source_session_replies(struct source *source, struct source_session *session)
{
    char *line = session->in;
    char *end = session->in + session->in_used;
    while (session->state != SOURCE_BROKEN && session->state != SOURCE_HANDSHAKE) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL) break;
        const size_t length = (size_t)(newline - line);
        const unsigned code = length < 4 ? 0 : (unsigned)atoi(line);
        if (code < 200 || code >= SOURCE_CODES ||
            (line[3] != ' ' && line[3] != '-' && line[3] != '\r')) {
            session->state = SOURCE_BROKEN;
            break;
        }
        if (session->state == SOURCE_HELLO) keyword_note(session, line, length);
        if (line[3] != '-') on_reply(source, session, code);
        line = newline + 1;
    }
    session->in_used = (size_t)(end - line);
    if (session->state == SOURCE_HANDSHAKE && session->in_used > 0) {
        session->state = SOURCE_BROKEN; /* in clear behind the 220: what only an attacker sends */
        return;
    }
    memmove(session->in, line, session->in_used);
    if (session->in_used == sizeof session->in) session->state = SOURCE_BROKEN; /* endless line */
}

/* ---- begin and end of a connection ---------------------------------------------------------- */

void source_session_connected(struct source *source, struct source_session *session)
{
    session->state = SOURCE_GREETING;
    session->next = SOURCE_NEXT_WAIT;
    session->expects[0] = (struct source_expect){.kind = SOURCE_EXPECT_GREETING, .count = 1};
    session->expect_head = 0;
    session->expect_count = 1;
    session->flight_head = 0;
    session->flight_count = 0;
    session->connection_messages = 0;
    session->in_used = 0;
    session->pipelining = false;
    session->chunking = false;
    session->starttls = false;
    session->must_close = false;
    session->careful = false;
    session->connected_ns = source->now_ns;
    if (source->options.tls == SOURCE_TLS_ON_CONNECT) source_tls_start(source, session);
}

void source_session_lost(struct source *source, struct source_session *session)
{
    if (session->flight_count > 0) source->stats.last_ns = source->now_ns;
    source->stats.unanswered += session->flight_count;
    session->flight_count = 0;
    session->expect_count = 0;
    tool_list_remove(&session->wait);
}

bool source_session_is_spent(const struct source *source, const struct source_session *session)
{
    return source->claimed == source->options.messages && session->flight_count == 0;
}
