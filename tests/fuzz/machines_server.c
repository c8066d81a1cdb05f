/* SPDX-License-Identifier: Apache-2.0
 *
 * machines_server - a client that knows the grammar, and when to break it, against smtp_server
 *
 * Command by command: each gets exactly one reply, and that is a yes or a no as the RFCs and the
 * limits say, by a model here that knows only what a client can know. What is accepted has the
 * octets that were meant. At the end the same octets go to another session in one piece, which must
 * do the same.
 */
#include "../unit/smtp_server/toy_driver.h"
#include "machines.h"

enum { STREAM_MAX = 1 << 15, SAY_MAX = 1 << 13, CONTENT_MAX = 2048, COMMANDS_MAX = 100 };

enum want { NO, YES, EITHER };
enum chunks { CHUNKS_NONE, CHUNKS_BEGUN, CHUNKS_FAILED };

/* What a client knows of the session. */
struct dialogue {
    struct choices *choices;
    struct toy_driver *toy;
    const struct smtp_server_options *options;
    bool relay_allowed;
    bool secured, authenticated;
    bool greeted, extended;
    bool sender;         /* MAIL was accepted, its transaction has not ended */
    bool full, broken;   /* it will fail at the beginning, at the end */
    bool binary;         /* BODY=BINARYMIME */
    unsigned recipients; /* accepted */
    enum chunks chunks;
    struct text content; /* of the chunks so far */
    unsigned messages;
    struct text stream; /* all that was said */
    char content_data[CONTENT_MAX * 8];
    char stream_data[STREAM_MAX];
};

static void forget(struct dialogue *dialogue)
{
    dialogue->sender = dialogue->full = dialogue->broken = dialogue->binary = false;
    dialogue->recipients = 0;
    dialogue->chunks = CHUNKS_NONE;
    text_init(&dialogue->content, dialogue->content_data, sizeof(dialogue->content_data));
}

static struct machines_limits limits_of(const struct smtp_server_options *options)
{
    return (struct machines_limits){
        .size = options->max_message_size,
        .text_line = options->max_text_line,
        .received = options->max_received,
        .cuts = SMTP_SERVER_CUTS_MAX,
    };
}

/* ---- saying something --------------------------------------------------------------------------
 */

static void say(struct dialogue *dialogue, struct bytes text)
{
    ASSERT(dialogue->stream.cap - dialogue->stream.len > text.len);
    text_put(&dialogue->stream, text);
    if (!dialogue->toy->closed) toy_run(dialogue->toy, text);
}

/* A whole command, with whatever belongs to it: one reply, or two that the command ends with. */
static bool ask(struct dialogue *dialogue, struct bytes text, enum want want)
{
    struct toy_driver *toy = dialogue->toy;
    const uint32_t replies = toy->replies;
    ASSERT(!toy->closed);
    say(dialogue, text);
    ASSERT(toy->replies == replies + 1);
    const bool yes = toy->last_code < 400;
    if (want != EITHER && yes != (want == YES)) {
        fprintf(stderr, "%.*s%s", BYTES_FMT(text), toy->log.data);
        UNREACHABLE("a yes that must be a no, or the other way round");
    }
    if (toy->last_code == 421) ASSERT(toy->closed);
    return yes;
}

static bool ask_line(struct dialogue *dialogue, struct text *line, enum want want)
{
    text_put(line, BYTES("\r\n"));
    ASSERT(!line->cut);
    return ask(dialogue, text_bytes(line), want);
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static void hello(struct dialogue *dialogue, struct text *line)
{
    static const char *const names[] = {"c.example", "[192.0.2.1]", "a",    "",
                                        "a b",       "(a)",         "\xff", "[a"};
    const unsigned name = choose_below(dialogue->choices, ARRAY_COUNT(names));
    const bool extended = !choose_one_in(dialogue->choices, 4);
    const enum want want = name < 3 ? YES : NO;
    text_printf(line, "%s %s", extended ? "EHLO" : "helo", names[name]);
    if (!ask_line(dialogue, line, want)) return;
    forget(dialogue);
    dialogue->greeted = true;
    dialogue->extended = extended;
}

/* Parameters of MAIL, and whether they are right, when all extensions are offered. */
struct parameter {
    const char *text;
    uint32_t needs; /* extensions; 0: wrong anyway */
};
static const struct parameter mail_parameters[] = {
    {" SIZE=10", SMTP_EXT_SIZE},
    {" BODY=8BITMIME", SMTP_EXT_8BITMIME},
    {" body=7bit", SMTP_EXT_SIZE}, /* says nothing, and is taken from anyone who says EHLO */
    {" SMTPUTF8", SMTP_EXT_SMTPUTF8},
    {" RET=HDRS", SMTP_EXT_DSN},
    {" ENVID=a+2Bb", SMTP_EXT_DSN},
    {" SIZE=", 0},
    {" SIZE=-1", 0},
    {" SIZE=99999999999999999999999", 0},
    {" BODY=BINARYMIME", SMTP_EXT_BINARYMIME},
    {" RET=ALL", 0},
    {" ENVID=+2b", 0},
    {" AUTH=<>", SMTP_EXT_AUTH},
    {" NOTIFY=NEVER", 0},
    {" =", 0},
    {" SIZE", 0},
};
static const struct parameter rcpt_parameters[] = {
    {" NOTIFY=NEVER", SMTP_EXT_DSN},
    {" NOTIFY=SUCCESS,delay", SMTP_EXT_DSN},
    {" ORCPT=rfc822;a+40b", SMTP_EXT_DSN},
    {" NOTIFY=NEVER,DELAY", 0},
    {" NOTIFY=", 0},
    {" ORCPT=rfc822", 0},
    {" ORCPT=rfc822;+4", 0},
    {" SIZE=1", 0},
    {" SMTPUTF8", 0},
};

static struct bytes keyword_of(const char *parameter)
{
    return (struct bytes){parameter, strcspn(parameter, "=")};
}

/* want becomes NO when one of them is not right, or stands there twice. */
static void put_parameters(struct dialogue *dialogue, const struct parameter *all, unsigned count,
                           struct text *line, enum want *want)
{
    bool used[16] = {false};
    ASSERT(count <= ARRAY_COUNT(used));
    for (unsigned i = choose_below(dialogue->choices, 2 * count); i < count;
         i = choose_below(dialogue->choices, 2 * count)) {
        const bool offered = dialogue->extended && dialogue->options->extensions & all[i].needs;
        if (line->len > 400) return;
        text_put(line, bytes_of(all[i].text));
        if (!offered) *want = NO;
        for (unsigned other = 0; other < count; other++) {
            const bool same =
                bytes_equal_nocase(keyword_of(all[other].text), keyword_of(all[i].text));
            if (used[other] && same) *want = NO;
        }
        used[i] = true;
        if (!choices_left(dialogue->choices)) return;
    }
}

static enum want both(enum want a, enum want b)
{
    if (a == NO || b == NO) return NO;
    return a == EITHER || b == EITHER ? EITHER : YES;
}

static bool may_relay(const struct dialogue *dialogue)
{
    return dialogue->relay_allowed || dialogue->authenticated;
}

static void mail(struct dialogue *dialogue, struct text *line)
{
    static const char *const paths[] = {
        "FROM:<s@a.example>", "from:<>", "FROM:<full@a.example>", "FROM:<broken@a.example>",
        "FROM: <s@a.example>", "FROM:<@r.example:s@a.example>", "FROM:<\"s s\"@a.example>",
        /* refused */
        "FROM:<busy@a.example>", "FROM:<gone@a.example>", "FROM:s@a.example", "FROM:<s@a.example",
        "FROM:<s s@a.example>", "FROM", "", "TO:<s@a.example>", "FROM:<s@a..example>",
        "FROM:<\xc3\xa4@a.example>", "FROM:<\xff@a.example> SMTPUTF8"};
    enum { GOOD = 7 };
    const unsigned path = choose_below(dialogue->choices, ARRAY_COUNT(paths));
    enum want parameters = YES, want = path < GOOD ? YES : NO;
    if (!dialogue->greeted || dialogue->sender) want = NO;
    text_printf(line, "MAIL %s", paths[path]);
    put_parameters(dialogue, mail_parameters, ARRAY_COUNT(mail_parameters), line, &parameters);
    if (strstr(line->data, "\xc3\xa4") != NULL) want = EITHER; /* SMTPUTF8 makes it right */
    if (want == EITHER && (!dialogue->greeted || dialogue->sender)) want = NO;
    if (dialogue->options->auth != 0 && !may_relay(dialogue)) want = NO;
    if (!ask_line(dialogue, line, both(want, parameters))) return;
    forget(dialogue);
    dialogue->sender = true;
    dialogue->full = strstr(paths[path], "full@") != NULL;
    dialogue->broken = strstr(paths[path], "broken@") != NULL;
    dialogue->binary = strstr(line->data, "BINARYMIME") != NULL;
}

static void rcpt(struct dialogue *dialogue, struct text *line)
{
    static const char *const paths[] = {
        "TO:<r@b.example>", "to:<Postmaster>", "TO: <r@[192.0.2.9]>",
        /* refused */
        "TO:<nobody@b.example>", "TO:<busy@b.example>", "TO:<gone@b.example>", "TO:<>",
        "TO:r@b.example", "TO:<r@b.example>x", "TO:<r@b.example> ", "FROM:<r@b.example>", "",
        "TO:<\"r@b.example>"};
    enum { GOOD = 3, TRAILING_SPACE = 9 };
    const unsigned path = choose_below(dialogue->choices, ARRAY_COUNT(paths));
    enum want parameters = YES, want = path < GOOD ? YES : path == TRAILING_SPACE ? EITHER : NO;
    if (!dialogue->sender || dialogue->chunks != CHUNKS_NONE || !may_relay(dialogue) ||
        dialogue->recipients == dialogue->options->max_recipients) {
        want = NO;
    }
    text_printf(line, "RCPT %s", paths[path]);
    put_parameters(dialogue, rcpt_parameters, ARRAY_COUNT(rcpt_parameters), line, &parameters);
    dialogue->recipients += ask_line(dialogue, line, both(want, parameters));
}

/* ---- content -----------------------------------------------------------------------------------
 */

static enum want want_of(const struct dialogue *dialogue, struct bytes content, bool whole)
{
    const struct machines_limits limits = limits_of(dialogue->options);
    switch (machines_judge(content, whole, &limits)) {
    case CONTENT_GOOD:
        return whole && dialogue->broken ? NO : YES;
    case CONTENT_BAD:
        return dialogue->binary ? EITHER : NO; /* lines are not looked at in a binary body */
    case CONTENT_UNSURE:
        return whole && dialogue->broken ? NO : EITHER;
    }
    UNREACHABLE("no such judgement");
}

/* The server took it, or not: no message without a yes, and then with these octets. */
static void check_message(struct dialogue *dialogue, bool yes, struct bytes content)
{
    const struct toy_driver *toy = dialogue->toy;
    dialogue->messages += yes;
    ASSERT(toy->messages == dialogue->messages);
    if (yes) ASSERT(toy->message_len == content.len);
    if (yes && content.len > 0) ASSERT(memcmp(toy->content, content.data, content.len) == 0);
}

static void data(struct dialogue *dialogue, struct text *line)
{
    char content_data[CONTENT_MAX + 4], stuffed_data[2 * CONTENT_MAX];
    struct text content, stuffed;
    const bool argument = choose_one_in(dialogue->choices, 8);
    const bool legal = dialogue->sender && dialogue->recipients > 0 &&
                       dialogue->chunks == CHUNKS_NONE && !dialogue->binary;
    text_put(line, argument ? BYTES("DATA x") : BYTES("DATA"));
    const bool go = ask_line(dialogue, line, legal && !argument && !dialogue->full ? YES : NO);
    if (legal && !argument && dialogue->full) forget(dialogue);
    if (!go) return;
    ASSERT(dialogue->toy->last_code == 354);

    text_init(&content, content_data, CONTENT_MAX);
    text_init(&stuffed, stuffed_data, sizeof(stuffed_data));
    machines_put_content(dialogue->choices, &content);
    machines_stuff(text_bytes(&content), choose_one_in(dialogue->choices, 4), &stuffed);
    content.cap = sizeof(content_data);
    if (!machines_ends_line(text_bytes(&content))) text_put(&content, BYTES("\r\n"));
    ASSERT(!content.cut && !stuffed.cut);
    const enum want want = want_of(dialogue, text_bytes(&content), true);
    check_message(dialogue, ask(dialogue, text_bytes(&stuffed), want), text_bytes(&content));
    forget(dialogue);
}

static void bdat_syntax(struct dialogue *dialogue, struct text *line)
{
    static const char *const lies[] = {
        "", "-1", "1 LAST LAST", "x", "1 FIRST", "99999999999999999999 LAST", "1\tLAST"};
    text_printf(line, "BDAT %s", CHOOSE_FROM(dialogue->choices, lies));
    const bool lost_track = strchr(line->data, '\t') == NULL;
    ask_line(dialogue, line, NO);
    if (lost_track) ASSERT(dialogue->toy->closed);
}

static void bdat(struct dialogue *dialogue, struct text *line)
{
    char chunk_data[CONTENT_MAX];
    struct text chunk;
    const bool last = choose_below(dialogue->choices, 2) == 0;
    const bool offered = dialogue->options->extensions & SMTP_EXT_CHUNKING && dialogue->extended;
    const bool legal = offered && dialogue->sender && dialogue->recipients > 0 &&
                       dialogue->chunks != CHUNKS_FAILED;
    text_init(&chunk, chunk_data, sizeof(chunk_data));
    machines_put_content(dialogue->choices, &chunk);
    text_printf(line, "BDAT %zu%s\r\n", chunk.len, last ? " LAST" : "");
    text_put(line, text_bytes(&chunk));
    ASSERT(!line->cut);

    struct text *content = &dialogue->content;
    if (legal && content->cap - content->len <= chunk.len) return;
    if (legal) text_put(content, text_bytes(&chunk));
    enum want want = legal ? want_of(dialogue, text_bytes(content), last) : NO;
    if (dialogue->full && dialogue->chunks == CHUNKS_NONE) want = NO;
    const bool yes = ask(dialogue, text_bytes(line), want);
    if (last) check_message(dialogue, yes, text_bytes(content));
    if (!legal && dialogue->chunks == CHUNKS_NONE) return; /* it changes nothing */
    if (last)
        forget(dialogue);
    else if (offered)
        dialogue->chunks = yes ? CHUNKS_BEGUN : CHUNKS_FAILED;
}

/* ---- TLS and AUTH ------------------------------------------------------------------------------
 */

static void starttls(struct dialogue *dialogue, struct text *line)
{
    const bool legal = (dialogue->options->extensions & SMTP_EXT_STARTTLS) && !dialogue->secured &&
                       !dialogue->sender;
    text_put(line, choose_one_in(dialogue->choices, 4) ? BYTES("starttls \t") : BYTES("STARTTLS"));
    if (!ask_line(dialogue, line, legal ? YES : NO)) return;
    forget(dialogue);
    dialogue->greeted = dialogue->extended = dialogue->authenticated = false;
    dialogue->secured = true;
}

/* An exchange to its end: what the toy's user says, or something else. */
static void auth(struct dialogue *dialogue, struct text *line)
{
    static const struct {
        const char *first, *second; /* second: after a 334 */
        bool good;
    } exchanges[] = {
        {"PLAIN AHVzZXIAcGFzcw==", NULL, true},
        {"plain", "AHVzZXIAcGFzcw==", true},
        {"LOGIN dXNlcg==", "cGFzcw==", true},
        {"PLAIN YQ==", NULL, false},
        {"PLAIN YnVzeQ==", NULL, false},
        {"LOGIN dXNlcg==", "YnVzeQ==", false},
        {"SCRAM-SHA-256 YQ==", "bm8=", false},
        {"PLAIN", "*", false},
        {"PLAIN", "!", false},
        {"PLAIN !", NULL, false},
        {"GSSAPI", NULL, false},
        {"", NULL, false},
    };
    const unsigned row = choose_below(dialogue->choices, ARRAY_COUNT(exchanges));
    const struct smtp_server_options *options = dialogue->options;
    const bool usable = options->auth != 0 &&
                        (dialogue->secured || (options->auth_clear && dialogue->relay_allowed));
    const bool legal =
        usable && dialogue->extended && !dialogue->sender && !dialogue->authenticated;
    const bool more = exchanges[row].second != NULL;
    text_printf(line, "AUTH %s", exchanges[row].first);
    if (!ask_line(dialogue, line, legal && (more || exchanges[row].good) ? YES : NO)) return;
    if (more) {
        ASSERT(dialogue->toy->last_code == 334);
        text_init(line, line->data, SAY_MAX);
        text_put(line, bytes_of(exchanges[row].second));
        if (!ask_line(dialogue, line, exchanges[row].good ? YES : NO)) return;
    }
    ASSERT(dialogue->toy->last_code == 235);
    dialogue->authenticated = true;
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static void rset(struct dialogue *dialogue, struct text *line)
{
    text_put(line, BYTES("RSET"));
    ask_line(dialogue, line, YES);
    forget(dialogue);
}

static void harmless(struct dialogue *dialogue, struct text *line)
{
    static const char *const commands[] = {"NOOP", "noop x", "VRFY a", "HELP", "HELP me"};
    text_put(line, bytes_of(CHOOSE_FROM(dialogue->choices, commands)));
    ask_line(dialogue, line, YES);
}

static void wrong(struct dialogue *dialogue, struct text *line)
{
    static const struct bytes commands[] = {{"EXPN a", 6},
                                            {"AUTH PLAIN\n", 11},
                                            {"STARTTLS x", 10},
                                            {"XYZZY", 5},
                                            {"", 0},
                                            {"RSET x", 6},
                                            {"QUIT x", 6},
                                            {"VRFY", 4},
                                            {"NO\0OP", 5},
                                            {".", 1},
                                            {"NOOP\nNOOP", 9},
                                            {"NOOP\rNOOP", 9},
                                            {" NOOP", 5},
                                            {"GET / HTTP/1.1", 14},
                                            {"MAIL\tFROM:<>", 12},
                                            {"NOOP\r", 5}};
    text_put(line, CHOOSE_FROM(dialogue->choices, commands));
    ask_line(dialogue, line, NO);
}

static void overlong(struct dialogue *dialogue, struct text *line)
{
    text_put(line, BYTES("NOOP "));
    while (line->len + 2 <= dialogue->options->max_command_line)
        text_put(line, BYTES("x"));
    ask_line(dialogue, line, NO);
}

static void quit(struct dialogue *dialogue, struct text *line)
{
    text_put(line, BYTES("QUIT"));
    ask_line(dialogue, line, YES);
    ASSERT(dialogue->toy->closed && dialogue->toy->last_code == 221);
}

/* ---- the play ----------------------------------------------------------------------------------
 */

static void make_options(struct smtp_server_options *options, unsigned bits, unsigned more)
{
    *options = smtp_server_options_default();
    if (bits & 1) options->max_message_size = 100;
    if (bits & 2) options->max_recipients = 2;
    if (bits & 4) options->max_text_line = 30;
    if (bits & 8) options->max_bad_commands = 2;
    if (bits & 16) options->max_received = 1;
    if (bits & 32) {
        options->extensions &=
            ~(uint32_t)(SMTP_EXT_CHUNKING | SMTP_EXT_BINARYMIME | SMTP_EXT_SMTPUTF8);
    }
    if (bits & 64) options->extensions &= ~(uint32_t)(SMTP_EXT_8BITMIME | SMTP_EXT_DSN);
    if (bits & 128) options->max_command_line = 512;
    if (more & 32) options->extensions |= SMTP_EXT_STARTTLS;
    if (more & 64) {
        options->extensions |= SMTP_EXT_AUTH; /* only for the model: see mail_parameters */
        options->auth = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN | SMTP_MECHANISM_SCRAM_SHA_256;
    }
    options->auth_clear = more & 128;
}

static void converse(struct dialogue *dialogue)
{
    static void (*const commands[])(struct dialogue *, struct text *) = {
        rset, hello, mail, rcpt,     data,  bdat,     rcpt,        bdat, hello,    mail,
        rcpt, data,  bdat, harmless, wrong, overlong, bdat_syntax, quit, starttls, auth};
    for (unsigned i = 0; i < COMMANDS_MAX && choices_left(dialogue->choices); i++) {
        char line_data[SAY_MAX];
        struct text line;
        if (dialogue->toy->closed || dialogue->stream.cap - dialogue->stream.len < SAY_MAX) return;
        text_init(&line, line_data, sizeof(line_data));
        CHOOSE_FROM(dialogue->choices, commands)(dialogue, &line);
    }
}

/* Neither is a command of the client: it may come in any state. */
static void end(struct toy_driver *toy, unsigned how)
{
    if (how == 0 || toy->closed) return;
    if (how == 1) smtp_server_timed_out(&toy->session);
    if (how == 2) smtp_server_shut_down(&toy->session);
    ASSERT(!toy_run_piece(toy, (struct bytes){"", 0}));
    ASSERT(toy->last_code == 421);
}

void machines_server(struct choices *choices)
{
    static struct toy_driver split, whole;
    static struct dialogue dialogue;
    struct smtp_server_options options;
    const unsigned bits = choose_octet(choices);
    const unsigned ending = choose_below(choices, 3);
    const uint64_t seed = choose_octet(choices);
    make_options(&options, bits, (unsigned)seed);
    const size_t piece_max = choose_octet(choices), room_max = choose_octet(choices);

    dialogue.choices = choices;
    dialogue.toy = &split;
    dialogue.options = &options;
    dialogue.relay_allowed = !choose_one_in(choices, 8);
    dialogue.greeted = dialogue.extended = dialogue.secured = dialogue.authenticated = false;
    dialogue.messages = 0;
    text_init(&dialogue.stream, dialogue.stream_data, sizeof(dialogue.stream_data));
    forget(&dialogue);
    toy_init(&split, &options, dialogue.relay_allowed, seed, piece_max, room_max);
    toy_run(&split, (struct bytes){"", 0});
    converse(&dialogue);

    toy_init(&whole, &options, dialogue.relay_allowed, 0, 0, 0);
    toy_run(&whole, text_bytes(&dialogue.stream));
    end(&split, ending);
    end(&whole, ending);
    ASSERT(bytes_equal(text_bytes(&split.log), text_bytes(&whole.log)));
    ASSERT(whole.messages == dialogue.messages);
    toy_deinit(&split);
    toy_deinit(&whole);
}
