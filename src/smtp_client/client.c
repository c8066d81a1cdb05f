/* SPDX-License-Identifier: Apache-2.0
 *
 * client - the connection: states, replies owed, deadlines, and every way it can end
 *
 * The replies owed to us form a queue; a reply answers its front, whatever it says. Its length is
 * bounded by the window, since equal ones (RCPT) share an entry.
 */
#include "internal.h"

#define TO(state) (1u << SMTP_CLIENT_##state)

static const struct {
    const char *phrase;  /* for people */
    uint32_t successors; /* TO() of every legal next state */
} states[] = {
    [SMTP_CLIENT_GREETING] = {"connected", TO(EHLO) | TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_EHLO] = {"greeted",
                          TO(HELO) | TO(STARTTLS) | TO(AUTH) | TO(OPEN) | TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_HELO] = {"without extensions", TO(OPEN) | TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_STARTTLS] = {"asking for TLS",
                              TO(HANDSHAKE) | TO(AUTH) | TO(OPEN) | TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_HANDSHAKE] = {"negotiating TLS", TO(GREETING) | TO(EHLO) | TO(ENDED)},
    [SMTP_CLIENT_AUTH] = {"authenticating", TO(OPEN) | TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_OPEN] = {"open", TO(CLOSING) | TO(ENDED)},
    [SMTP_CLIENT_CLOSING] = {"finishing", TO(QUIT) | TO(ENDED)},
    [SMTP_CLIENT_QUIT] = {"saying goodbye", TO(ENDED)},
    [SMTP_CLIENT_ENDED] = {"ended", 0},
};
static_assert(ARRAY_COUNT(states) == SMTP_CLIENT_STATE_COUNT, "one row for each state");

#define TIMEOUT(name, seconds) offsetof(struct smtp_client_timeouts, name), seconds

static const struct {
    const char *name;   /* what decided: "said ... in reply to NAME" */
    const char *doing;  /* ends "timed out while ..." */
    size_t option;      /* in struct smtp_client_timeouts */
    uint32_t timeout_s; /* RFC 5321 section 4.5.3.2 */
} stages[] = {
    [SMTP_STAGE_GREETING] = {"greeting", "waiting for the greeting", TIMEOUT(greeting, 300)},
    [SMTP_STAGE_EHLO] = {"EHLO", "waiting for the reply to EHLO", TIMEOUT(ehlo, 300)},
    [SMTP_STAGE_HELO] = {"HELO", "waiting for the reply to HELO", TIMEOUT(ehlo, 300)},
    [SMTP_STAGE_STARTTLS] = {"STARTTLS", "waiting for the reply to STARTTLS", TIMEOUT(ehlo, 300)},
    [SMTP_STAGE_HANDSHAKE] = {"TLS", "negotiating TLS", TIMEOUT(tls, 30)},
    [SMTP_STAGE_AUTH] = {"AUTH", "waiting for the reply to AUTH", TIMEOUT(ehlo, 300)},
    [SMTP_STAGE_MAIL] = {"MAIL FROM", "waiting for the reply to MAIL FROM", TIMEOUT(mail, 300)},
    [SMTP_STAGE_RCPT] = {"RCPT TO", "waiting for the reply to RCPT TO", TIMEOUT(rcpt, 300)},
    [SMTP_STAGE_DATA] = {"DATA", "waiting for the reply to DATA", TIMEOUT(data, 120)},
    [SMTP_STAGE_CONTENT] = {"end of content", "waiting for acceptance of the message",
                            TIMEOUT(content, 600)},
    [SMTP_STAGE_RSET] = {"RSET", "waiting for the reply to RSET", TIMEOUT(mail, 300)},
    [SMTP_STAGE_QUIT] = {"QUIT", "waiting for the reply to QUIT", TIMEOUT(quit, 10)},
    [SMTP_STAGE_IDLE] = {"idle", "idle", TIMEOUT(block, 180)},
};
static_assert(ARRAY_COUNT(stages) == SMTP_STAGE_COUNT, "one row for each stage");

static const char doing_sending[] = "sending the message";

const char *smtp_stage_name(enum smtp_stage stage)
{
    return stages[stage].name;
}

const char *smtp_stage_doing(enum smtp_stage stage)
{
    return stages[stage].doing;
}

const char *smtp_client_phrase(const struct smtp_client *client)
{
    return states[client->state].phrase;
}

static uint32_t timeout_of(const struct smtp_client *client, enum smtp_stage stage)
{
    uint32_t seconds;
    memcpy(&seconds, (const char *)&client->options.timeouts + stages[stage].option,
           sizeof(seconds));
    return seconds > 0 ? seconds : stages[stage].timeout_s;
}

/* The only writer of ->state. */
void client_become(struct smtp_client *client, enum smtp_client_state next)
{
    ASSERT(states[client->state].successors & (1u << next));
    client->state = next;
    /* Nothing is ever left behind without a verdict. */
    ASSERT(next != SMTP_CLIENT_ENDED || client->transaction_count == 0);
}

void client_set_end(struct smtp_client *client, enum smtp_client_end end,
                    const struct smtp_verdict *why)
{
    if (client->end != SMTP_CLIENT_END_NONE) return;
    client->end = end;
    verdict_copy(&client->end_verdict, why);
}

/* ---- replies owed ------------------------------------------------------------------------------
 */

static struct smtp_client_expected *expected_at(struct smtp_client *client, unsigned place)
{
    return &client->expected[(client->expected_first + place) % SMTP_CLIENT_EXPECTED_MAX];
}

void client_expect(struct smtp_client *client, enum smtp_stage stage,
                   struct smtp_transaction *transaction)
{
    if (client->expected_count > 0) {
        struct smtp_client_expected *last = expected_at(client, client->expected_count - 1u);
        if (last->stage == stage && last->transaction == transaction) {
            last->count += 1;
            return;
        }
    }
    ASSERT(client->expected_count < SMTP_CLIENT_EXPECTED_MAX);
    *expected_at(client, client->expected_count) =
        (struct smtp_client_expected){transaction, 1, (uint8_t)stage};
    client->expected_count += 1;
}

struct smtp_client_expected client_take_expected(struct smtp_client *client)
{
    struct smtp_client_expected *front = expected_at(client, 0);
    const struct smtp_client_expected taken = *front;
    front->count -= 1;
    if (front->count == 0) {
        client->expected_first = (client->expected_first + 1) % SMTP_CLIENT_EXPECTED_MAX;
        client->expected_count -= 1;
    }
    return taken;
}

enum smtp_stage smtp_client_stage(const struct smtp_client *client)
{
    if (client->expected_count == 0) return SMTP_STAGE_IDLE;
    return (enum smtp_stage)client->expected[client->expected_first].stage;
}

struct smtp_client_deadline smtp_client_deadline(const struct smtp_client *client, bool sending)
{
    const enum smtp_stage stage = smtp_client_stage(client);
    /* A receiver that reads nothing is caught by the block's time, whatever reply it owes. */
    if (sending) {
        return (struct smtp_client_deadline){timeout_of(client, SMTP_STAGE_IDLE), doing_sending};
    }
    if (stage == SMTP_STAGE_IDLE) return (struct smtp_client_deadline){0, stages[stage].doing};
    return (struct smtp_client_deadline){timeout_of(client, stage), stages[stage].doing};
}

/* ---- the ends ----------------------------------------------------------------------------------
 */

/* Whose turn it was: it bears the blame, those behind it are put back as they were. */
static struct smtp_transaction *transaction_in_turn(struct smtp_client *client)
{
    if (client->expected_count > 0) return expected_at(client, 0)->transaction;
    if (list_is_empty(&client->transactions)) return NULL;
    struct smtp_transaction *first =
        CONTAINER_OF(client->transactions.next, struct smtp_transaction, link);
    return first->phase == PHASE_OFFERED ? NULL : first;
}

struct settling {
    const struct smtp_verdict *turn; /* for the transaction whose turn it was */
    struct smtp_transaction *in_turn;
    uint64_t sent;   /* octets that have left */
    bool in_order;   /* the last reply said that nothing behind it was done */
    const char *why; /* text of a possible delivery */
};

static void settle(struct smtp_client *client, struct smtp_transaction *transaction,
                   const struct settling *how)
{
    struct smtp_verdict *verdict = &transaction->verdict;
    if (transaction_stands(transaction)) {
        if (transaction->phase == PHASE_SENT && !how->in_order &&
            transaction->content_end <= how->sent) {
            verdict_local(verdict, SMTP_OUTCOME_POSSIBLY_DELIVERED, SMTP_STAGE_CONTENT, 421,
                          (struct smtp_enhanced){4, 4, 2}, how->why);
        } else if (transaction == how->in_turn) {
            verdict_copy(verdict, how->turn);
        } else {
            verdict_not_tried(verdict, SMTP_STAGE_IDLE);
        }
    }
    transaction_finish(client, transaction);
}

static void settle_all(struct smtp_client *client, const struct settling *how)
{
    LIST_FOR_EACH_SAFE(node, &client->transactions)
    {
        settle(client, CONTAINER_OF(node, struct smtp_transaction, link), how);
    }
    client_become(client, SMTP_CLIENT_ENDED);
}

void client_break(struct smtp_client *client, enum smtp_client_end end,
                  const struct smtp_verdict *why)
{
    ASSERT(client->transaction_count == 0); /* there are none before OPEN */
    client_set_end(client, end, why);
    client_become(client, SMTP_CLIENT_ENDED);
}

void client_give_up(struct smtp_client *client, enum smtp_stage stage, uint16_t code,
                    struct smtp_enhanced enhanced, const char *words)
{
    struct smtp_verdict why;
    verdict_local(&why, SMTP_OUTCOME_DEFERRED, stage, code, enhanced, words);
    client_set_end(client, SMTP_CLIENT_END_TEMP, &why);
    client_become(client, SMTP_CLIENT_QUIT);
}

/* 421: it answers the command in turn, so that nothing behind that one was done. */
static void closed_by_peer(struct smtp_client *client, struct smtp_client_expected owed,
                           const struct smtp_reply *reply)
{
    struct smtp_verdict why;
    verdict_of_reply(&why, (enum smtp_stage)owed.stage, reply);
    client_set_end(client,
                   client->state < SMTP_CLIENT_OPEN ? SMTP_CLIENT_END_TEMP : SMTP_CLIENT_END_CLOSED,
                   &why);
    settle_all(client, &(struct settling){&why, owed.transaction, UINT64_MAX, true, ""});
}

/* A refusal while the content is still on its way: it will not be read to its end, and nothing can
 * follow it on this connection. */
static void refused_in_content(struct smtp_client *client, struct smtp_transaction *transaction,
                               const struct smtp_reply *reply)
{
    struct smtp_verdict why;
    verdict_of_reply(&why, SMTP_STAGE_CONTENT, reply);
    client_set_end(client, SMTP_CLIENT_END_CLOSED, &why);
    settle_all(client, &(struct settling){&why, transaction, UINT64_MAX, true, ""});
}

void client_lost_sync(struct smtp_client *client, struct smtp_client_expected owed, const char *why)
{
    char words[128];
    struct text text;
    struct smtp_verdict verdict;
    text_init(&text, words, sizeof(words));
    text_printf(&text, "%s while %s", why, stages[owed.stage].doing);

    client->misbehaved = true;
    verdict_local(&verdict, SMTP_OUTCOME_DEFERRED, (enum smtp_stage)owed.stage, 451,
                  (struct smtp_enhanced){4, 5, 0}, words);
    client_set_end(client, SMTP_CLIENT_END_BROKEN, &verdict);
    /* Under pipelining that may well be our doing: it is tried again at once, in lock step. In lock
     * step it must cost an attempt, or we would try for ever. */
    if (client_pipelines(client)) verdict_not_tried(&verdict, (enum smtp_stage)owed.stage);
    settle_all(client, &(struct settling){&verdict, owed.transaction, UINT64_MAX, false, words});
}

/* Not begun: as if never offered. */
static void put_back_the_rest(struct smtp_client *client)
{
    LIST_FOR_EACH_SAFE(node, &client->transactions)
    {
        struct smtp_transaction *transaction = CONTAINER_OF(node, struct smtp_transaction, link);
        if (transaction->phase != PHASE_OFFERED) continue;
        verdict_not_tried(&transaction->verdict, SMTP_STAGE_IDLE);
        transaction_finish(client, transaction);
    }
}

void client_misbehaved(struct smtp_client *client, const struct smtp_verdict *why)
{
    client->misbehaved = true;
    if (client->state == SMTP_CLIENT_OPEN) {
        client_set_end(client, SMTP_CLIENT_END_BROKEN, why);
        client_become(client, SMTP_CLIENT_CLOSING);
    }
    put_back_the_rest(client);
}

void smtp_client_quit(struct smtp_client *client)
{
    struct smtp_verdict why;
    verdict_not_tried(&why, SMTP_STAGE_QUIT);
    switch (client->state) {
    case SMTP_CLIENT_GREETING:
    case SMTP_CLIENT_EHLO:
    case SMTP_CLIENT_HELO: /* a reply is owed: no polite word is in order now */
    case SMTP_CLIENT_STARTTLS:
    case SMTP_CLIENT_HANDSHAKE:
    case SMTP_CLIENT_AUTH:
        client_set_end(client, SMTP_CLIENT_END_QUIT, &why);
        client_become(client, SMTP_CLIENT_ENDED);
        return;
    case SMTP_CLIENT_OPEN:
        client_set_end(client, SMTP_CLIENT_END_QUIT, &why);
        client_become(client, SMTP_CLIENT_CLOSING);
        return;
    case SMTP_CLIENT_CLOSING:
    case SMTP_CLIENT_QUIT:
    case SMTP_CLIENT_ENDED:
        return;
    case SMTP_CLIENT_STATE_COUNT:
        break;
    }
    UNREACHABLE("smtp_client: no such state");
}

/* Lost or silent with a group of commands half answered: this is how receivers fail that claim
 * PIPELINING but read one command and drop the rest. Messages that got through on this connection
 * speak against it, unless it stopped answering altogether. */
static bool looks_like_dropped_commands(struct smtp_client *client, enum smtp_client_end end)
{
    if (!client_pipelines(client) || client->expected_count == 0) return false;
    const struct smtp_client_expected *front = expected_at(client, 0);
    if (front->transaction == NULL || front->stage == SMTP_STAGE_CONTENT) return false;
    if (client->expected_count == 1 && front->count == 1) return false; /* no group */
    return end == SMTP_CLIENT_END_TIMEOUT ||
           (end == SMTP_CLIENT_END_LOST && client->delivered == 0);
}

void smtp_client_lost(struct smtp_client *client, enum smtp_client_end end, uint64_t sent)
{
    ASSERT(end == SMTP_CLIENT_END_LOST || end == SMTP_CLIENT_END_TIMEOUT ||
           end == SMTP_CLIENT_END_SHUTDOWN);
    if (client->state == SMTP_CLIENT_ENDED) return;

    struct smtp_transaction *in_turn = transaction_in_turn(client);
    const enum smtp_stage stage = smtp_client_stage(client);
    const bool sending = in_turn != NULL && in_turn->content_end > sent;
    const bool tls = end != SMTP_CLIENT_END_SHUTDOWN && client_tls_is_unproved(client);
    char words[128];
    struct text text;
    struct smtp_verdict verdict;
    text_init(&text, words, sizeof(words));
    text_printf(&text, "%s while %s%s",
                end == SMTP_CLIENT_END_TIMEOUT ? "timed out"
                : end == SMTP_CLIENT_END_LOST  ? "lost connection"
                                               : "stopped",
                sending ? doing_sending : stages[stage].doing,
                tls && client->secured ? " through TLS" : "");
    verdict_local(&verdict, SMTP_OUTCOME_DEFERRED, stage, tls ? 451 : 421,
                  tls ? (struct smtp_enhanced){4, 7, 5} : (struct smtp_enhanced){4, 4, 2}, words);
    if (tls) end = SMTP_CLIENT_END_TLS;

    if (looks_like_dropped_commands(client, end)) client->misbehaved = true;
    client_set_end(client, end, &verdict);
    if (end == SMTP_CLIENT_END_SHUTDOWN) verdict_not_tried(&verdict, stage);
    settle_all(client, &(struct settling){&verdict, in_turn, sent, false, words});
}

/* ---- driving -----------------------------------------------------------------------------------
 */

static void on_reply(struct smtp_client *client)
{
    const struct smtp_reply *reply = &client->parser.reply;
    client->progress += 1;
    if (client->expected_count == 0) {
        const struct smtp_client_expected idle = {transaction_in_turn(client), 0, SMTP_STAGE_IDLE};
        if (idle.transaction != NULL && idle.transaction->phase == PHASE_END &&
            reply->code >= 400) {
            refused_in_content(client, idle.transaction, reply);
            return;
        }
        if (reply->code == 421 || client->state == SMTP_CLIENT_QUIT) {
            closed_by_peer(client, idle, reply);
        } else {
            client_lost_sync(client, idle, "reply to nothing");
        }
        return;
    }
    const struct smtp_client_expected owed = client_take_expected(client);
    const enum smtp_stage stage = (enum smtp_stage)owed.stage;
    switch (stage) {
    case SMTP_STAGE_GREETING:
    case SMTP_STAGE_EHLO:
    case SMTP_STAGE_HELO:
        if (stage == SMTP_STAGE_EHLO) session_on_ehlo_line(client, client->parser.line);
        session_on_reply(client, stage, reply);
        return;
    case SMTP_STAGE_STARTTLS:
    case SMTP_STAGE_AUTH:
        session_on_reply(client, stage, reply);
        return;
    case SMTP_STAGE_QUIT: /* whatever it says */
        client_become(client, SMTP_CLIENT_ENDED);
        return;
    case SMTP_STAGE_RSET: /* a refusal of it shows in the MAIL behind it */
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_DATA:
    case SMTP_STAGE_CONTENT:
        if (reply->code == 421) {
            closed_by_peer(client, owed, reply);
        } else if (stage != SMTP_STAGE_RSET) {
            transaction_on_reply(client, owed, reply);
        } else if (reply->code / 100 == 3) {
            client_lost_sync(client, owed, "unexpected reply");
        }
        return;
    case SMTP_STAGE_HANDSHAKE: /* input is not looked at then */
    case SMTP_STAGE_IDLE:
    case SMTP_STAGE_COUNT:
        break;
    }
    UNREACHABLE("smtp_client: nothing can be owed for that");
}

void smtp_client_input(struct smtp_client *client, struct bytes *input)
{
    while (client->state != SMTP_CLIENT_ENDED) {
        if (client->state == SMTP_CLIENT_HANDSHAKE) {
            if (input->len == 0) return;
            secure_on_intruder(client);
            break;
        }
        switch (smtp_reply_parse(&client->parser, input)) {
        case SMTP_REPLY_MORE:
            return;
        case SMTP_REPLY_LINE:
            if (smtp_client_stage(client) == SMTP_STAGE_EHLO) {
                session_on_ehlo_line(client, client->parser.line);
            }
            break;
        case SMTP_REPLY_DONE:
            on_reply(client);
            break;
        case SMTP_REPLY_MALFORMED: {
            const struct smtp_client_expected owed = {transaction_in_turn(client), 0,
                                                      (uint8_t)smtp_client_stage(client)};
            client_lost_sync(client, owed, "malformed reply");
            break;
        }
        }
    }
    *input = bytes_skip(*input, input->len); /* nobody listens any more */
}

struct smtp_transaction *smtp_client_take_done(struct smtp_client *client)
{
    struct list *node = list_pop_front(&client->done);
    return node == NULL ? NULL : CONTAINER_OF(node, struct smtp_transaction, link);
}

bool smtp_client_wants(const struct smtp_client *client)
{
    if (client->state != SMTP_CLIENT_OPEN) return false;
    if (client->limits.mail_max > 0 && client->offered >= client->limits.mail_max) return false;
    if (client_has_window(client)) {
        return client->transaction_count < client->window &&
               (client->octets == 0 || client->octets < client->window_octets);
    }
    return client->transaction_count < (client_pipelines(client) ? 2 : 1);
}

void smtp_client_offer(struct smtp_client *client, struct smtp_transaction *transaction)
{
    ASSERT(smtp_client_wants(client));
    ASSERT(transaction->recipient_count > 0 && transaction->phase == PHASE_OFFERED);
    ASSERT(transaction_stands(transaction));
    transaction->next_hop_dsn = (client->extensions & SMTP_EXT_DSN) != 0;
    list_push_back(&client->transactions, &transaction->link);
    client->transaction_count += 1;
    if (!offer_check(client, transaction)) {
        transaction_finish(client, transaction);
        return;
    }
    client->offered += 1;
    if (client->current == NULL) client->current = transaction;
}

/* Sends the one command of a state that speaks first and then waits. */
static enum smtp_client_action say_once(struct smtp_client *client, enum smtp_stage stage,
                                        struct text *out)
{
    if (client->expected_count > 0) return SMTP_CLIENT_WAIT;
    if (stage == SMTP_STAGE_QUIT) {
        text_put(out, BYTES("QUIT\r\n"));
    } else if (stage == SMTP_STAGE_STARTTLS) {
        text_put(out, BYTES("STARTTLS\r\n"));
    } else {
        client_command_hello(client, smtp_stage_name(stage), out);
    }
    client_expect(client, stage, NULL);
    return SMTP_CLIENT_SEND_TEXT;
}

enum smtp_client_action smtp_client_next(struct smtp_client *client, struct text *out,
                                         struct smtp_transaction **transaction)
{
    ASSERT(out->cap - out->len > SMTP_CLIENT_COMMAND_MAX);
    *transaction = NULL;
    if (client->limits.mail_max > 0 && client->state == SMTP_CLIENT_OPEN &&
        client->begun >= client->limits.mail_max) {
        smtp_client_quit(client);
    }
    if (client->state == SMTP_CLIENT_CLOSING && client->transaction_count == 0 &&
        client->expected_count == 0) {
        client_become(client, SMTP_CLIENT_QUIT);
    }
    switch (client->state) {
    case SMTP_CLIENT_GREETING:
        return SMTP_CLIENT_WAIT;
    case SMTP_CLIENT_EHLO:
        return say_once(client, SMTP_STAGE_EHLO, out);
    case SMTP_CLIENT_HELO:
        return say_once(client, SMTP_STAGE_HELO, out);
    case SMTP_CLIENT_STARTTLS:
        return say_once(client, SMTP_STAGE_STARTTLS, out);
    case SMTP_CLIENT_HANDSHAKE:
        if (client->tls_given_out) return SMTP_CLIENT_WAIT;
        client->tls_given_out = true;
        return SMTP_CLIENT_START_TLS;
    case SMTP_CLIENT_AUTH:
        if (client->expected_count > 0) return SMTP_CLIENT_WAIT;
        secure_say_auth(client, out);
        return SMTP_CLIENT_SEND_TEXT;
    case SMTP_CLIENT_OPEN:
    case SMTP_CLIENT_CLOSING:
        return transaction_next(client, out, transaction);
    case SMTP_CLIENT_QUIT:
        return say_once(client, SMTP_STAGE_QUIT, out);
    case SMTP_CLIENT_ENDED:
        return SMTP_CLIENT_CLOSE;
    case SMTP_CLIENT_STATE_COUNT:
        break;
    }
    UNREACHABLE("smtp_client: no such state");
}

struct smtp_client_options smtp_client_options_default(struct bytes ehlo_name)
{
    return (struct smtp_client_options){
        .ehlo_name = ehlo_name, .pipelining = true, .chunking = true};
}

void smtp_client_init(struct smtp_client *client, const struct smtp_client_options *options)
{
    ASSERT(options->ehlo_name.len > 0 && options->ehlo_name.len <= SMTP_DOMAIN_MAX);
    /* Not the whole struct: the queue and the parser's buffers are large and need no zeros. */
    memset(client, 0, offsetof(struct smtp_client, expected));
    smtp_reply_parser_init(&client->parser);
    list_init(&client->transactions);
    list_init(&client->done);

    client->options = *options;
    struct smtp_client_options *own = &client->options;
    if (own->window_max == 0 || own->window_max > SMTP_CLIENT_WINDOW_MAX) {
        own->window_max = SMTP_CLIENT_WINDOW_MAX;
    }
    if (own->window_octets_max == 0) own->window_octets_max = 4 * 1024 * 1024;
    if (own->window_octets_start == 0) own->window_octets_start = 64 * 1024;
    client->window = MIN(MAX(own->window_start, 1u), own->window_max);
    client->window_octets = MIN(own->window_octets_start, own->window_octets_max);
    ASSERT(own->user.len <= SMTP_CLIENT_LOGIN_MAX && own->password.len <= SMTP_CLIENT_LOGIN_MAX);
    if (own->tls_implicit) client->state = SMTP_CLIENT_HANDSHAKE;
    client_expect(client, own->tls_implicit ? SMTP_STAGE_HANDSHAKE : SMTP_STAGE_GREETING, NULL);
}
