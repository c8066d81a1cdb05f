/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_session - the commands of one connection to ringpost-sink
 *
 * Pipelined input is taken in order and answered in order; a refusal never loses what follows it. A
 * delay does not stop the reading: it moves the time at which a reply and all later ones leave.
 */
#include "sink.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void out_append(struct sink_session *session, const char *text, size_t length)
{
    if (session->out_used + length > session->out_size) {
        session->out_size = (session->out_used + length) * 2 + 1024;
        session->out = tool_grow(session->out, session->out_size);
    }
    memcpy(session->out + session->out_used, text, length);
    session->out_used += length;
}

static void due_append(struct sink_session *session, uint64_t at_ns, size_t end)
{
    if (session->due_used > 0 && session->due[session->due_used - 1].at_ns == at_ns) {
        session->due[session->due_used - 1].end = end;
        return;
    }
    if (session->due_used == session->due_size) {
        session->due_size = session->due_size * 2 + 16;
        session->due = tool_grow(session->due, session->due_size * sizeof *session->due);
    }
    session->due[session->due_used++] = (struct sink_due){.at_ns = at_ns, .end = end};
}

static void reply_after(struct sink *sink, struct sink_session *session, uint64_t due_ns,
                        unsigned code, const char *enhanced, const char *text)
{
    const size_t start = session->out_used;
    const char digits[4] = {(char)('0' + code / 100), (char)('0' + code / 10 % 10),
                            (char)('0' + code % 10), ' '};
    out_append(session, digits, sizeof digits);
    if (enhanced != NULL && (sink->options.extensions & SINK_ENHANCED) != 0) {
        out_append(session, enhanced, strlen(enhanced));
        out_append(session, " ", 1);
    }
    out_append(session, text, strlen(text));
    out_append(session, "\r\n", 2);
    if (session->due_used == 0 && due_ns <= sink->now_ns) return; /* the common case: no delay */
    /* what was gathered without a delay must not wait for this one */
    if (session->due_used == 0 && start > 0) due_append(session, sink->now_ns, start);
    due_append(session, due_ns, session->out_used);
    session->ready_ns = due_ns;
}

static uint64_t reply_due(const struct sink *sink, const struct sink_session *session)
{
    const uint64_t start = session->ready_ns > sink->now_ns ? session->ready_ns : sink->now_ns;
    return start + sink->options.reply_delay_ns;
}

void sink_reply(struct sink *sink, struct sink_session *session, unsigned code,
                const char *enhanced, const char *text)
{
    reply_after(sink, session, reply_due(sink, session), code, enhanced, text);
}

void sink_session_drop(struct sink_session *session)
{
    session->state = SINK_DROPPED;
    session->out_used = 0;
    session->due_used = 0;
}

/* Says what the rules say at this stage; false: nothing refused. */
static bool refuse(struct sink *sink, struct sink_session *session, enum sink_stage stage,
                   const char *subject)
{
    if (sink->options.rule_count == 0) return false;
    const struct sink_rule *rule = sink_rule_find(sink, stage, subject);
    if (rule == NULL) return false;
    sink->stats.refused[stage] += 1;
    if (rule->code == 0) {
        sink->stats.dropped += 1;
        sink_session_drop(session);
        return true;
    }
    sink_reply(sink, session, rule->code, rule->code < 500 ? "4.0.0" : "5.0.0", "refused by rule");
    if (stage == SINK_CONNECT || rule->code == 421) session->state = SINK_CLOSING;
    return true;
}

void sink_transaction_reset(struct sink_session *session)
{
    session->has_sender = false;
    session->chunked = false;
    session->chunk_bad = false;
    session->recipients = 0;
    session->envelope_used = 0;
    session->content_size = 0;
    session->head_used = 0;
}

void sink_message_end(struct sink *sink, struct sink_session *session)
{
    session->state = SINK_COMMAND;
    if (refuse(sink, session, SINK_DOT, session->sender)) {
        sink_transaction_reset(session);
        return;
    }
    uint64_t due = reply_due(sink, session) + sink->options.dot_delay_ns;
    if (sink->options.interval_ns != 0) {
        uint64_t *slot = &sink->throttle_ns;
        if (*slot < sink->now_ns) *slot = sink->now_ns;
        *slot += sink->options.interval_ns;
        if (due < *slot) due = *slot;
    }
    if (session->content_size > sink->options.size_limit) {
        sink->stats.refused[SINK_DOT] += 1;
        reply_after(sink, session, due, 552, "5.3.4", "message too big");
    } else {
        sink_report_message(sink, session);
        session->connection_messages += 1;
        reply_after(sink, session, due, 250, "2.0.0", "ok");
    }
    sink_transaction_reset(session);
}

/* ---- MAIL and RCPT ------------------------------------------------------------------------- */

/* Copies the path after "FROM:" or "TO:" without its angle brackets; returns what follows it, or
 * NULL when there is no path. A '>' within a quoted local part does not end it. */
static const char *path_parse(const char *text, char *path, size_t size)
{
    while (*text == ' ')
        text += 1;
    if (*text != '<') return NULL;
    bool quoted = false;
    size_t used = 0;
    for (text += 1; *text != 0; text += 1) {
        if (!quoted && *text == '>') {
            path[used] = 0;
            return text + 1;
        }
        if (*text == '"') quoted = !quoted;
        if (used + 2 < size) path[used++] = *text;
        if (*text == '\\' && text[1] != 0) {
            text += 1;
            if (used + 2 < size) path[used++] = *text;
        }
    }
    return NULL;
}

static const struct {
    const char *name;
    enum sink_stage stage;
    unsigned extension;
} parameters[] = {
    {"SIZE", SINK_MAIL, SINK_SIZE}, {"BODY", SINK_MAIL, SINK_8BITMIME},
    {"RET", SINK_MAIL, SINK_DSN},   {"SMTPUTF8", SINK_MAIL, SINK_SMTPUTF8},
    {"ENVID", SINK_MAIL, SINK_DSN}, {"NOTIFY", SINK_RCPT, SINK_DSN},
    {"ORCPT", SINK_RCPT, SINK_DSN},
};

/* A parameter of an extension that was not announced is the client's mistake: 555. */
static bool parameters_legal(const struct sink *sink, enum sink_stage stage, const char *text,
                             uint64_t *size)
{
    while (*text == ' ')
        text += 1;
    while (*text != 0) {
        const size_t length = strcspn(text, " ");
        const size_t name = strcspn(text, "= ");
        bool known = false;
        for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
            known |= parameters[i].stage == stage &&
                     (sink->options.extensions & parameters[i].extension) != 0 &&
                     strlen(parameters[i].name) == name &&
                     strncasecmp(parameters[i].name, text, name) == 0;
        }
        if (!known) return false;
        if (strncasecmp(text, "SIZE=", 5) == 0) *size = strtoull(text + 5, NULL, 10);
        text += length;
        while (*text == ' ')
            text += 1;
    }
    return true;
}

static void on_mail(struct sink *sink, struct sink_session *session, const char *argument)
{
    uint64_t size = 0;
    if (session->has_sender) {
        sink_reply(sink, session, 503, "5.5.1", "nested MAIL");
        return;
    }
    const char *rest = NULL;
    if (strncasecmp(argument, "FROM:", 5) == 0) {
        rest = path_parse(argument + 5, session->sender, sizeof session->sender);
    }
    if (rest == NULL) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 501, "5.5.4", "MAIL FROM:<path>");
    } else if (!parameters_legal(sink, SINK_MAIL, rest, &size)) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 555, "5.5.4", "parameter not offered");
    } else if (size > sink->options.size_limit) {
        sink->stats.refused[SINK_MAIL] += 1;
        sink_reply(sink, session, 552, "5.3.4", "message too big");
    } else if (!refuse(sink, session, SINK_MAIL, session->sender)) {
        sink_transaction_reset(session);
        session->has_sender = true;
        sink->stats.transactions += 1;
        sink_reply(sink, session, 250, "2.1.0", "ok");
    }
}

static void envelope_append(struct sink_session *session, const char *path)
{
    const size_t length = strlen(path);
    if (session->envelope_used + length + 1 > session->envelope_size) {
        session->envelope_size = (session->envelope_used + length) * 2 + 256;
        session->envelope = tool_grow(session->envelope, session->envelope_size);
    }
    if (session->envelope_used > 0) session->envelope[session->envelope_used++] = ',';
    memcpy(session->envelope + session->envelope_used, path, length);
    session->envelope_used += length;
}

static void on_rcpt(struct sink *sink, struct sink_session *session, const char *argument)
{
    char path[512];
    uint64_t size = 0;
    const char *rest = NULL;
    if (strncasecmp(argument, "TO:", 3) == 0) rest = path_parse(argument + 3, path, sizeof path);
    if (!session->has_sender) {
        sink_reply(sink, session, 503, "5.5.1", "MAIL first");
    } else if (rest == NULL) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 501, "5.5.4", "RCPT TO:<path>");
    } else if (!parameters_legal(sink, SINK_RCPT, rest, &size)) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 555, "5.5.4", "parameter not offered");
    } else if (sink->options.rcpt_limit != 0 && session->recipients >= sink->options.rcpt_limit) {
        sink->stats.refused[SINK_RCPT] += 1;
        sink_reply(sink, session, 452, "4.5.3", "too many recipients");
    } else if (!refuse(sink, session, SINK_RCPT, path)) {
        session->recipients += 1;
        if (sink->record != NULL) envelope_append(session, path);
        sink_reply(sink, session, 250, "2.1.5", "ok");
    }
}

/* ---- DATA and BDAT ------------------------------------------------------------------------- */

static void on_data(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    if (session->recipients == 0 || session->chunked) {
        sink_reply(sink, session, 503, "5.5.1", "no valid recipients, or BDAT before");
    } else if (!refuse(sink, session, SINK_DATA, session->sender)) {
        sink_reply(sink, session, 354, NULL, "go on");
        sink_content_start(session);
        session->state = SINK_CONTENT_DATA;
    }
}

static void chunk_end(struct sink *sink, struct sink_session *session)
{
    session->state = SINK_COMMAND;
    if (session->chunk_swallow) {
        if (session->chunk_code == 503) {
            sink_reply(sink, session, 503, "5.5.1", "no transaction for BDAT");
        } else {
            sink_reply(sink, session, session->chunk_code,
                       session->chunk_code < 500 ? "4.0.0" : "5.0.0", "refused by rule");
        }
        if (session->has_sender) session->chunk_bad = true;
    } else if (session->chunk_last) {
        sink_message_end(sink, session);
    } else {
        sink_reply(sink, session, 250, "2.0.0", "chunk ok");
    }
}

/* A rule for DATA holds for the first BDAT too, but its octets come all the same. */
static void chunk_first(struct sink *sink, struct sink_session *session)
{
    const struct sink_rule *rule = sink_rule_find(sink, SINK_DATA, session->sender);
    session->chunked = true;
    sink_content_start(session);
    if (rule == NULL) return;
    sink->stats.refused[SINK_DATA] += 1;
    session->chunk_swallow = true;
    session->chunk_code = rule->code;
    if (rule->code == 0) {
        sink->stats.dropped += 1;
        sink_session_drop(session);
    }
}

static void on_bdat(struct sink *sink, struct sink_session *session, const char *argument)
{
    char *end = NULL;
    const unsigned long long length = strtoull(argument, &end, 10);
    const bool last = strcasecmp(end, " LAST") == 0;
    if ((sink->options.extensions & SINK_CHUNKING) == 0) {
        sink_reply(sink, session, 502, "5.5.1", "BDAT not offered");
        return;
    }
    if (!isdigit((unsigned char)*argument) || (*end != 0 && !last) || length > (1ull << 40)) {
        /* how much content follows is unknown: nothing sensible can come after this */
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 501, "5.5.4", "BDAT size [LAST]");
        session->state = SINK_CLOSING;
        return;
    }
    session->chunk_swallow = session->recipients == 0 || session->chunk_bad;
    session->chunk_code = 503;
    if (!session->chunk_swallow && !session->chunked) chunk_first(sink, session);
    if (session->state == SINK_DROPPED) return;
    session->chunk_last = last;
    session->content_left = length;
    session->state = SINK_CONTENT_BDAT;
    if (length == 0) chunk_end(sink, session);
}

/* ---- the rest of the commands -------------------------------------------------------------- */

static void on_ehlo(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    static const struct {
        unsigned extension;
        const char *line;
    } lines[] = {
        {SINK_PIPELINING, "PIPELINING"},
        {SINK_CHUNKING, "CHUNKING"},
        {SINK_8BITMIME, "8BITMIME"},
        {SINK_SMTPUTF8, "SMTPUTF8"},
        {SINK_DSN, "DSN"},
        {SINK_ENHANCED, "ENHANCEDSTATUSCODES"},
    };
    char text[256];
    sink_transaction_reset(session);
    session->greeted = true;
    out_append(session, "250-", 4);
    out_append(session, sink->options.hostname, strlen(sink->options.hostname));
    out_append(session, "\r\n", 2);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if ((sink->options.extensions & lines[i].extension) == 0) continue;
        const int length = snprintf(text, sizeof text, "250-%s\r\n", lines[i].line);
        out_append(session, text, (size_t)length);
    }
    if (sink->options.tls == SINK_TLS_STARTTLS && session->tls == NULL) {
        out_append(session, "250-STARTTLS\r\n", 14);
    }
    if ((sink->options.extensions & SINK_SIZE) != 0) {
        const int length = snprintf(text, sizeof text, "250-SIZE %llu\r\n",
                                    (unsigned long long)sink->options.size_limit);
        out_append(session, text, (size_t)length);
    }
    sink_reply(sink, session, 250, NULL, "HELP");
}

static void on_starttls(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    if (sink->options.tls != SINK_TLS_STARTTLS || session->tls != NULL) {
        sink_reply(sink, session, 503, "5.5.1", "STARTTLS is not offered");
        return;
    }
    sink_reply(sink, session, 220, "2.0.0", "go ahead");
    sink_transaction_reset(session);
    session->greeted = false;
    session->state = SINK_STARTTLS;
    sink_tls_start(sink, session);
}

static void on_helo(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    sink_transaction_reset(session);
    session->greeted = true;
    sink_reply(sink, session, 250, NULL, sink->options.hostname);
}

static void on_rset(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    sink_transaction_reset(session);
    sink_reply(sink, session, 250, "2.0.0", "ok");
}

static void on_noop(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    sink_reply(sink, session, 250, "2.0.0", "ok");
}

static void on_vrfy(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    sink_reply(sink, session, 252, "2.1.5", "try RCPT");
}

static void on_quit(struct sink *sink, struct sink_session *session, const char *argument)
{
    (void)argument;
    sink_reply(sink, session, 221, "2.0.0", "bye");
    session->state = SINK_CLOSING;
}

static const struct {
    char verb[9];
    bool needs_greeting;
    void (*act)(struct sink *sink, struct sink_session *session, const char *argument);
} commands[] = {
    {"MAIL", true, on_mail},  {"RCPT", true, on_rcpt},  {"DATA", true, on_data},
    {"BDAT", true, on_bdat},  {"EHLO", false, on_ehlo}, {"HELO", false, on_helo},
    {"RSET", false, on_rset}, {"NOOP", false, on_noop}, {"VRFY", false, on_vrfy},
    {"QUIT", false, on_quit}, {"HELP", false, on_noop}, {"STARTTLS", false, on_starttls},
};

/* line is NUL-terminated, without its CRLF */
static void run_command(struct sink *sink, struct sink_session *session, char *line)
{
    const uint64_t limit = sink->options.close_after;
    if (limit != 0 && session->connection_messages >= limit && strncasecmp(line, "QUIT", 4) != 0) {
        sink_reply(sink, session, 421, "4.7.0", "enough messages on this connection");
        session->state = SINK_CLOSING;
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const size_t length = strlen(commands[i].verb);
        if (strncasecmp(line, commands[i].verb, length) != 0 ||
            (line[length] != 0 && line[length] != ' ')) {
            continue;
        }
        if (commands[i].needs_greeting && !session->greeted) {
            sink_reply(sink, session, 503, "5.5.1", "EHLO first");
            return;
        }
        const char *argument = line + length;
        while (*argument == ' ')
            argument += 1;
        commands[i].act(sink, session, argument);
        return;
    }
    sink->stats.syntax_errors += 1;
    sink_reply(sink, session, 502, "5.5.1", "command not known");
}

/* Takes one command line, or the start of one, off data; returns how much was taken. */
static size_t take_line(struct sink *sink, struct sink_session *session, const char *data,
                        size_t length)
{
    const char *newline = memchr(data, '\n', length);
    const size_t take = newline == NULL ? length : (size_t)(newline - data) + 1;
    if (session->line_used + take >= SINK_LINE_MAX) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 500, "5.5.2", "line too long");
        session->state = SINK_CLOSING;
        return length;
    }
    memcpy(session->line + session->line_used, data, take);
    session->line_used += take;
    if (newline == NULL) return take;

    char *line = session->line;
    const size_t used = session->line_used;
    session->line_used = 0;
    if (used < 2 || line[used - 2] != '\r' || memchr(line, 0, used) != NULL) {
        sink->stats.syntax_errors += 1;
        sink_reply(sink, session, 500, "5.5.2", "only CRLF ends a line");
        return take;
    }
    line[used - 2] = 0;
    run_command(sink, session, line);
    return take;
}

void sink_session_input(struct sink *sink, struct sink_session *session, const char *data,
                        size_t length)
{
    while (length > 0) {
        size_t used = 0;
        switch (session->state) {
        case SINK_COMMAND:
            used = take_line(sink, session, data, length);
            break;
        case SINK_CONTENT_DATA:
            used = sink_content_data(sink, session, data, length);
            break;
        case SINK_CONTENT_BDAT:
            used = sink_content_bdat(session, data, length);
            if (session->content_left == 0) chunk_end(sink, session);
            break;
        case SINK_STARTTLS: /* in clear behind STARTTLS: what only an attacker sends */
            sink->stats.syntax_errors += 1;
            sink_session_drop(session);
            return;
        case SINK_CLOSING:
        case SINK_DROPPED:
            return;
        }
        data += used;
        length -= used;
    }
}

void sink_session_start(struct sink *sink, struct sink_session *session)
{
    const uint64_t limit = sink->options.connection_limit;
    session->state = SINK_COMMAND;
    if (sink->options.tls == SINK_TLS_ON_CONNECT) sink_tls_start(sink, session);
    if (limit != 0 && sink->stats.connections_open > limit) {
        sink->stats.refused[SINK_CONNECT] += 1;
        sink_reply(sink, session, 421, "4.7.0", "too many connections");
        session->state = SINK_CLOSING;
        return;
    }
    if (refuse(sink, session, SINK_CONNECT, session->sender)) return;
    char text[300];
    snprintf(text, sizeof text, "%s ESMTP ringpost-sink", sink->options.hostname);
    sink_reply(sink, session, 220, NULL, text);
}
