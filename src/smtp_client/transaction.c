/* SPDX-License-Identifier: Apache-2.0
 *
 * transaction - from MAIL to the final reply; the pipelining window (RFC 5321 3.3, 2920, 3030)
 *
 * Sending and being answered run apart: the phase says what was sent, the verdicts and the queue of
 * replies owed say what was answered. A transaction is finished with its last reply, never before,
 * so that a reply always finds what it answers.
 */
#include "internal.h"

#define TO(phase) (1u << PHASE_##phase)

static const uint32_t successors[] = {
    [PHASE_OFFERED] = TO(RCPT) | TO(DONE),
    [PHASE_RCPT] = TO(GO) | TO(DONE),
    [PHASE_GO] = TO(AWAIT_GO) | TO(CONTENT) | TO(DONE),
    [PHASE_AWAIT_GO] = TO(CONTENT) | TO(LONE_DOT) | TO(DONE),
    [PHASE_CONTENT] = TO(END) | TO(SENT) | TO(DONE),
    [PHASE_END] = TO(SENT) | TO(DONE),
    [PHASE_LONE_DOT] = TO(SENT) | TO(DONE),
    [PHASE_SENT] = TO(DONE),
    [PHASE_DONE] = 0,
};
static_assert(ARRAY_COUNT(successors) == PHASE_COUNT, "one row for each phase");

void transaction_become(struct smtp_transaction *transaction, enum smtp_client_phase next)
{
    ASSERT(successors[transaction->phase] & (1u << next));
    transaction->phase = (uint8_t)next;
}

/* ->current is the first that is not wholly sent; those behind it are not begun. */
static void current_is_through(struct smtp_client *client)
{
    struct list *next = client->current->link.next;
    client->current =
        next == &client->transactions ? NULL : CONTAINER_OF(next, struct smtp_transaction, link);
}

void transaction_finish(struct smtp_client *client, struct smtp_transaction *transaction)
{
    for (uint32_t i = 0; i < transaction->recipient_count; i++) {
        struct smtp_verdict *verdict = &transaction->recipients[i].verdict;
        if (verdict->outcome != SMTP_OUTCOME_NONE) continue;
        ASSERT(transaction->verdict.outcome != SMTP_OUTCOME_NONE);
        verdict_copy(verdict, &transaction->verdict);
    }
    if (client->current == transaction) current_is_through(client);
    if (transaction->number > 0) client->in_flight -= 1;
    transaction_become(transaction, PHASE_DONE);
    list_remove(&transaction->link);
    client->transaction_count -= 1;
    list_push_back(&client->done, &transaction->link);
}

/* ---- the window --------------------------------------------------------------------------------
 */

static bool may_begin(const struct smtp_client *client, const struct smtp_transaction *transaction)
{
    if (!client_has_window(client)) return true; /* the 354 of the one before has come: RFC 2920 */
    if (client->in_flight == 0) return true;
    return client->in_flight < client->window &&
           client->octets + transaction->size <= client->window_octets;
}

/* As TCP's slow start: doubled with each round trip that goes well, from little on. */
static void window_grow(struct smtp_client *client, uint64_t size)
{
    const struct smtp_client_options *options = &client->options;
    client->window = MIN(client->window + 1, options->window_max);
    client->window_octets = (uint32_t)MIN(
        client->window_octets + MIN(size, options->window_octets_max), options->window_octets_max);
}

/* What is in flight behind a refusal was sent in vain, or makes it worse. */
static void window_shrink(struct smtp_client *client)
{
    const uint32_t octets_min =
        MIN(client->options.window_octets_start, client->options.window_octets_max);
    client->window = MAX(client->window / 2, 1u);
    client->window_octets = MAX(client->window_octets / 2, octets_min);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static void send_mail(struct smtp_client *client, struct smtp_transaction *transaction,
                      struct text *out)
{
    client_command_mail(client, transaction, out);
    client_expect(client, SMTP_STAGE_MAIL, transaction);
    client->begun += 1;
    client->in_flight += 1;
    transaction->number = client->begun;
    transaction_become(transaction, PHASE_RCPT);
}

static void skip_settled(struct smtp_transaction *transaction)
{
    while (transaction->next_rcpt < transaction->recipient_count &&
           transaction->recipients[transaction->next_rcpt].verdict.outcome != SMTP_OUTCOME_NONE) {
        transaction->next_rcpt += 1;
    }
}

static void send_rcpt(struct smtp_client *client, struct smtp_transaction *transaction,
                      struct text *out)
{
    skip_settled(transaction);
    struct smtp_transaction_recipient *recipient =
        &transaction->recipients[transaction->next_rcpt]; /* there is one: offer_check() */
    client_command_rcpt(client, transaction, &recipient->to, out);
    client_expect(client, SMTP_STAGE_RCPT, transaction);
    recipient->sent = true;
    transaction->next_rcpt += 1;
    skip_settled(transaction);
    if (transaction->next_rcpt == transaction->recipient_count) {
        transaction_become(transaction, PHASE_GO);
    }
}

static void send_go(struct smtp_client *client, struct smtp_transaction *transaction,
                    struct text *out)
{
    if (client_chunks(client)) {
        client_command_bdat(transaction->size, out);
        client->dirty = true; /* until its reply says that it ended well */
        transaction_become(transaction, PHASE_CONTENT);
    } else {
        text_put(out, BYTES("DATA\r\n"));
        client_expect(client, SMTP_STAGE_DATA, transaction);
        transaction_become(transaction, PHASE_AWAIT_GO);
    }
}

static void send_end(struct smtp_client *client, struct smtp_transaction *transaction,
                     struct text *out)
{
    const bool open_line = transaction->phase == PHASE_END &&
                           (transaction->content_flags & SMTP_CONTENT_NO_FINAL_CRLF);
    if (open_line) text_put(out, BYTES("\r\n"));
    text_put(out, BYTES(".\r\n"));
    client_expect(client, SMTP_STAGE_CONTENT, transaction);
    transaction_become(transaction, PHASE_SENT);
    current_is_through(client);
}

/* Content goes out between two texts; which end it has depends on how it was announced. */
static enum smtp_client_action send_content(struct smtp_client *client,
                                            struct smtp_transaction *transaction)
{
    client->octets += transaction->size;
    if (!client_chunks(client)) {
        transaction_become(transaction, PHASE_END);
        return SMTP_CLIENT_SEND_DATA;
    }
    client_expect(client, SMTP_STAGE_CONTENT, transaction);
    transaction_become(transaction, PHASE_SENT);
    current_is_through(client);
    return SMTP_CLIENT_SEND_BDAT;
}

/* One command, at most; false: nothing may follow now. */
static bool send_command(struct smtp_client *client, struct smtp_transaction *transaction,
                         struct text *out)
{
    /* Lock step. The end of content has no reply before it: it is not a command. */
    const bool in_turn = client_pipelines(client) || client->expected_count == 0;

    switch ((enum smtp_client_phase)transaction->phase) {
    case PHASE_OFFERED:
        if (!in_turn || !may_begin(client, transaction)) return false;
        if (client->dirty) {
            /* A receiver that kept the last transaction open would refuse this MAIL as nested, and
             * then take the RCPT behind it into that one: under a wrong sender. */
            text_put(out, BYTES("RSET\r\n"));
            client_expect(client, SMTP_STAGE_RSET, NULL);
            client->dirty = false;
        } else {
            send_mail(client, transaction, out);
        }
        return true;
    case PHASE_RCPT:
        if (in_turn) send_rcpt(client, transaction, out);
        return in_turn;
    case PHASE_GO:
        if (in_turn) send_go(client, transaction, out);
        return in_turn;
    case PHASE_END:
    case PHASE_LONE_DOT:
        send_end(client, transaction, out);
        return true;
    case PHASE_AWAIT_GO:
    case PHASE_CONTENT:
        return false;
    case PHASE_SENT:
    case PHASE_DONE:
    case PHASE_COUNT:
        break;
    }
    UNREACHABLE("smtp_client: nothing to send in that phase");
}

enum smtp_client_action transaction_next(struct smtp_client *client, struct text *out,
                                         struct smtp_transaction **content)
{
    const size_t len_before = out->len;
    while (client->current != NULL && out->cap - out->len > SMTP_CLIENT_COMMAND_MAX) {
        if (!send_command(client, client->current, out)) break;
    }
    ASSERT(!out->cut);
    if (out->len > len_before) return SMTP_CLIENT_SEND_TEXT;
    if (client->current == NULL || client->current->phase != PHASE_CONTENT) {
        return SMTP_CLIENT_WAIT;
    }
    *content = client->current;
    return send_content(client, client->current);
}

/* ---- being answered ----------------------------------------------------------------------------
 */

/* The verdict of a reply that decides about all recipients that have none of their own. */
static void decide(struct smtp_client *client, struct smtp_transaction *transaction,
                   enum smtp_stage stage, const struct smtp_reply *reply, bool blames_order)
{
    verdict_of_reply(&transaction->verdict, stage, reply);
    if (!blames_order) return;
    client_misbehaved(client, &transaction->verdict);
    verdict_not_tried(&transaction->verdict, stage);
}

/* In lock step nothing more will be sent for it, so no reply to wait for. */
static bool finish_if_hopeless(struct smtp_client *client, struct smtp_transaction *transaction)
{
    if (client_pipelines(client)) return false;
    transaction_finish(client, transaction);
    return true;
}

static void on_mail(struct smtp_client *client, struct smtp_transaction *transaction,
                    const struct smtp_reply *reply)
{
    if (reply->code < 300) return;
    decide(client, transaction, SMTP_STAGE_MAIL, reply,
           client_pipelines(client) && verdict_blames_order(reply));
    window_shrink(client);
    finish_if_hopeless(client, transaction);
}

static struct smtp_transaction_recipient *next_answered(struct smtp_transaction *transaction)
{
    while (!transaction->recipients[transaction->answered_rcpt].sent) {
        transaction->answered_rcpt += 1;
        ASSERT(transaction->answered_rcpt < transaction->recipient_count);
    }
    return &transaction->recipients[transaction->answered_rcpt++];
}

static void on_rcpt(struct smtp_client *client, struct smtp_transaction *transaction,
                    const struct smtp_reply *reply)
{
    struct smtp_transaction_recipient *recipient = next_answered(transaction);
    if (reply->code < 300) {
        recipient->accepted = true;
        transaction->accepted += 1;
    } else if (transaction_stands(transaction)) {
        struct smtp_verdict *verdict = &recipient->verdict;
        verdict_of_rcpt(verdict, reply, transaction->accepted);
        if (verdict_is_too_many(verdict)) {
            transaction->many = true;
            client->limits.rcpt_max = transaction->accepted;
        } else if (client_pipelines(client) && verdict_blames_order(reply)) {
            client_misbehaved(client, verdict);
            verdict_not_tried(verdict, SMTP_STAGE_RCPT);
        }
    }
    if (transaction->accepted > 0 || transaction->phase != PHASE_GO) return;
    /* All refused. In lock step DATA is not sent then; the sender still stands there. */
    if (finish_if_hopeless(client, transaction)) client->dirty = true;
}

static void on_data(struct smtp_client *client, struct smtp_client_expected owed,
                    const struct smtp_reply *reply)
{
    struct smtp_transaction *transaction = owed.transaction;
    const bool stands = transaction_stands(transaction);
    if (reply->code < 300) {
        client_lost_sync(client, owed, "unexpected reply");
    } else if (reply->code >= 400) {
        if (stands && transaction->accepted > 0) {
            decide(client, transaction, SMTP_STAGE_DATA, reply,
                   client_pipelines(client) && verdict_blames_order(reply));
        }
        client->dirty |= stands;
        transaction_finish(client, transaction);
    } else if (transaction->accepted == 0) {
        transaction_become(transaction, PHASE_LONE_DOT); /* RFC 2920 section 3.1 */
    } else if (stands) {
        transaction_become(transaction, PHASE_CONTENT);
    } else {
        /* The sender was refused, a recipient was not: with a lone dot he would get an empty
         * message. Leaving without it makes the receiver forget (RFC 5321 section 4.1.1.10). */
        client_lost_sync(client, owed, "go-ahead without a sender");
    }
}

static void accepted_without_sender(struct smtp_transaction *transaction)
{
    struct smtp_verdict why;
    verdict_copy(&why, &transaction->verdict);
    if (why.outcome == SMTP_OUTCOME_NOT_TRIED) { /* blamed on the order: that one says nothing */
        verdict_local(&why, SMTP_OUTCOME_NONE, SMTP_STAGE_CONTENT, 451,
                      (struct smtp_enhanced){4, 5, 0},
                      "content was accepted although the sender was refused");
    }
    why.outcome = SMTP_OUTCOME_POSSIBLY_DELIVERED;
    for (uint32_t i = 0; i < transaction->recipient_count; i++) {
        struct smtp_transaction_recipient *recipient = &transaction->recipients[i];
        if (recipient->accepted) verdict_copy(&recipient->verdict, &why);
    }
}

static void on_content(struct smtp_client *client, struct smtp_client_expected owed,
                       const struct smtp_reply *reply)
{
    struct smtp_transaction *transaction = owed.transaction;
    const bool chunked = client_chunks(client);
    const bool stands = transaction_stands(transaction);
    const bool for_somebody = transaction->accepted > 0;
    ASSERT(client->octets >= (for_somebody || chunked ? transaction->size : 0));
    if (for_somebody || chunked) client->octets -= transaction->size;

    if (reply->code >= 400) {
        if (stands && for_somebody) {
            decide(client, transaction, SMTP_STAGE_CONTENT, reply,
                   client_has_window(client) && verdict_blames_order(reply));
        }
        window_shrink(client);
    } else if (stands && for_somebody) {
        verdict_of_reply(&transaction->verdict, SMTP_STAGE_CONTENT, reply);
        client->delivered += 1;
        if (transaction->number == client->begun) client->dirty = false;
        window_grow(client, transaction->size);
    } else if (for_somebody) {
        /* MAIL refused, yet the content taken: for some sender or other, or for none. */
        client_misbehaved(client, &transaction->verdict);
        accepted_without_sender(transaction);
    }
    transaction_finish(client, transaction);
}

void transaction_on_reply(struct smtp_client *client, struct smtp_client_expected owed,
                          const struct smtp_reply *reply)
{
    const bool intermediate = reply->code / 100 == 3;
    if (intermediate && owed.stage != SMTP_STAGE_DATA) {
        /* The reply to the content counts as none: the content may have been taken or not. */
        client_lost_sync(client, owed, "unexpected reply");
        return;
    }
    if (owed.stage == SMTP_STAGE_MAIL) on_mail(client, owed.transaction, reply);
    if (owed.stage == SMTP_STAGE_RCPT) on_rcpt(client, owed.transaction, reply);
    if (owed.stage == SMTP_STAGE_DATA) on_data(client, owed, reply);
    if (owed.stage == SMTP_STAGE_CONTENT) on_content(client, owed, reply);
}
