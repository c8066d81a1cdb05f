/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver - a simulated receiver, and the driver between it and the client under test
 */
#include "receiver.h"
#include <stdio.h>
#include <stdlib.h>

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __LINE__))

static struct outcome *checking; /* for the message */

_Noreturn static void check_failed(const char *what, int line)
{
    fprintf(stderr, "%s:%d: %s\n%s\n", __FILE__, line, what, checking ? checking->transcript : "");
    abort();
}

unsigned choose(struct chooser *chooser, unsigned bound)
{
    if (chooser->random != NULL) return (unsigned)random_below(chooser->random, bound);
    ASSERT(chooser->depth < CHOICES_MAX);
    if (chooser->depth == chooser->known) {
        chooser->taken[chooser->known] = 0;
        chooser->known += 1;
    }
    chooser->bound[chooser->depth] = (uint8_t)bound;
    return chooser->taken[chooser->depth++];
}

bool chooser_next(struct chooser *chooser)
{
    chooser->known = chooser->depth;
    chooser->depth = 0;
    while (chooser->known > 0) {
        uint8_t *last = &chooser->taken[chooser->known - 1];
        *last += 1;
        if (*last < chooser->bound[chooser->known - 1]) return true;
        chooser->known -= 1;
    }
    return false;
}

/* ---- the receiver ------------------------------------------------------------------------------
 */

enum verb { EHLO, MAIL, RCPT, DATA, CONTENT, LONE, BDAT, RSET, QUIT };
struct pending {
    enum verb verb;
    unsigned transaction, recipient;
};
struct receiver {
    const struct play *play;
    struct chooser *chooser;
    struct outcome *outcome;
    struct text transcript;
    struct pending pending[PENDING_MAX]; /* not answered */
    unsigned first, count;
    unsigned current;  /* transaction of the last MAIL read */
    bool awaits_go;    /* DATA was read: nothing may follow */
    bool awaits_end;   /* content of DATA was read: the dot must follow */
    bool go;           /* 354 was said and nothing was read since */
    bool awaits_chunk; /* BDAT was read: its octets must follow */
    bool open;         /* replied 2yz to a MAIL that has not ended */
    unsigned sender;   /* of the open transaction */
    unsigned standing; /* recipients accepted for it */
    bool generous;     /* takes what it can: the first of its replies */
    bool stands[TRANSACTIONS_MAX][RECIPIENTS_MAX];
};

static void owe(struct receiver *receiver, enum verb verb, unsigned recipient)
{
    CHECK(receiver->count < PENDING_MAX);
    /* Without PIPELINING one command at a time; BDAT too. */
    if (!receiver->play->pipelining) CHECK(receiver->count == 0);
    receiver->pending[(receiver->first + receiver->count) % PENDING_MAX] =
        (struct pending){verb, receiver->current, recipient};
    receiver->count += 1;
    receiver->outcome->commands += 1;
}

static void read_command(struct receiver *receiver, const char *line)
{
    unsigned transaction, recipient;
    unsigned long long size;
    text_printf(&receiver->transcript, "C: %s\n", line);
    CHECK(!receiver->awaits_go && !receiver->awaits_chunk);

    if (receiver->awaits_end || receiver->go) {
        CHECK(strcmp(line, ".") == 0);
        owe(receiver, receiver->awaits_end ? CONTENT : LONE, 0);
        if (receiver->awaits_end) receiver->outcome->content_sent[receiver->current] = true;
        receiver->awaits_end = receiver->go = false;
    } else if (strncmp(line, "EHLO ", 5) == 0) {
        owe(receiver, EHLO, 0);
    } else if (sscanf(line, "MAIL FROM:<s%u@a.example>", &transaction) == 1) {
        CHECK(transaction < receiver->play->transactions);
        receiver->current = transaction;
        owe(receiver, MAIL, 0);
    } else if (sscanf(line, "RCPT TO:<r%u.%u@b.example>", &transaction, &recipient) == 2) {
        CHECK(transaction == receiver->current && recipient < receiver->play->recipients);
        owe(receiver, RCPT, recipient);
    } else if (strcmp(line, "DATA") == 0) {
        owe(receiver, DATA, 0);
        receiver->awaits_go = true;
    } else if (sscanf(line, "BDAT %llu LAST", &size) == 1) {
        CHECK(receiver->play->chunking);
        CHECK(size == 1000 + receiver->current);
        receiver->awaits_chunk = true;
    } else if (strcmp(line, "RSET") == 0) {
        owe(receiver, RSET, 0);
    } else if (strcmp(line, "QUIT") == 0) {
        CHECK(receiver->count == 0);
        owe(receiver, QUIT, 0);
    } else {
        CHECK(!"a command that nobody knows");
    }
}

static void read_text(struct receiver *receiver, const char *text)
{
    while (*text != '\0') {
        char line[SMTP_CLIENT_COMMAND_MAX];
        const char *end = strstr(text, "\r\n");
        CHECK(end != NULL && (size_t)(end - text) < sizeof(line));
        memcpy(line, text, (size_t)(end - text));
        line[end - text] = '\0';
        read_command(receiver, line);
        text = end + 2;
    }
}

static void read_content(struct receiver *receiver, unsigned transaction, bool chunk)
{
    text_printf(&receiver->transcript, "C: (content %u)\n", transaction);
    CHECK(transaction == receiver->current);
    if (chunk) {
        CHECK(receiver->awaits_chunk);
        receiver->awaits_chunk = false;
        receiver->outcome->content_sent[transaction] = true;
        owe(receiver, BDAT, 0);
    } else {
        CHECK(receiver->go);
        CHECK(receiver->play->manner == MANNER_LIAR || receiver->standing > 0);
        receiver->go = false;
        receiver->awaits_end = true;
    }
}

static void close_transaction(struct receiver *receiver)
{
    receiver->open = false;
    receiver->standing = 0;
    memset(receiver->stands, 0, sizeof(receiver->stands));
}

/* The content is taken, for all that stand, under the sender that stands. */
static void take_content(struct receiver *receiver, unsigned transaction)
{
    CHECK(receiver->sender == transaction);
    for (unsigned i = 0; i < receiver->play->recipients; i++) {
        receiver->outcome->fates[transaction][i].taken += receiver->stands[transaction][i];
    }
}

static uint16_t pick(struct receiver *receiver, const uint16_t *codes, unsigned count)
{
    return codes[receiver->generous ? 0 : choose(receiver->chooser, count)];
}
#define PICK(...)                                                                                  \
    pick(receiver, (const uint16_t[]){__VA_ARGS__},                                                \
         sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

static uint16_t honest_end(struct receiver *receiver, struct pending command)
{
    uint16_t code;
    if (!receiver->open || receiver->standing == 0) {
        code = command.verb == BDAT ? PICK(503, 554) : PICK(554, 250);
    } else {
        code = PICK(250, 452, 554);
        if (code == 250) take_content(receiver, command.transaction);
    }
    /* RFC 3030 leaves open what a failed BDAT leaves behind. */
    const bool stays = command.verb == BDAT && code != 250 && PICK(0, 1);
    if (!stays) close_transaction(receiver);
    return code;
}

static uint16_t honest_reply(struct receiver *receiver, struct pending command)
{
    uint16_t code;
    switch (command.verb) {
    case EHLO:
        return 250;
    case MAIL:
        CHECK(!receiver->open); /* nested: the client lost track of us */
        code = PICK(250, 450, 550);
        receiver->open = code == 250;
        receiver->sender = command.transaction;
        return code;
    case RCPT:
        if (!receiver->open) return 503;
        code = PICK(250, 450, 550, 452);
        receiver->standing += code == 250;
        receiver->stands[command.transaction][command.recipient] = code == 250;
        return code;
    case DATA:
        if (receiver->standing > 0) return PICK(354, 451);
        return PICK(354, 503, 554);
    case CONTENT:
    case LONE:
    case BDAT:
        return honest_end(receiver, command);
    case RSET:
        close_transaction(receiver);
        return 250;
    case QUIT:
        return 221;
    }
    abort();
}

static uint16_t lie(struct receiver *receiver, struct pending command)
{
    unsigned count = 0;
    if (command.verb == EHLO) return 250;
    while (receiver->play->lies[count] != 0xffff)
        count += 1;
    return pick(receiver, receiver->play->lies, count);
}

static void note(struct outcome *outcome, struct pending command, uint16_t code)
{
    struct fate *fate = &outcome->fates[command.transaction][command.recipient];
    if (command.verb == MAIL) outcome->mail_code[command.transaction] = code;
    if (command.verb == RCPT) fate->rcpt_code = code;
    if (command.verb == RCPT) fate->accepted = code / 100 == 2;
    if (command.verb == DATA) outcome->go_code[command.transaction] = code;
    if (command.verb == CONTENT || command.verb == BDAT) {
        outcome->end_code[command.transaction] = code;
    }
}

static void feed(struct smtp_client *client, const char *text, bool by_octet)
{
    for (size_t i = 0, len = strlen(text); i < len;) {
        struct bytes piece = {text + i, by_octet ? 1 : len};
        i += piece.len;
        smtp_client_input(client, &piece);
        CHECK(piece.len == 0);
    }
}

/* Appends the reply to what is owed first; false: the connection is lost instead. *last: what
 * comes behind this reply would not be read any more. */
static bool reply_one(struct receiver *receiver, struct text *out, bool *last)
{
    const struct play *play = receiver->play;
    const struct pending command = receiver->pending[receiver->first];
    const bool lost_before = play->may_lose && command.verb != EHLO && PICK(0, 1);
    if (lost_before) return false;
    const uint16_t code =
        play->manner == MANNER_HONEST ? honest_reply(receiver, command) : lie(receiver, command);
    if (code == LOST || code == SILENT) return false;
    if (play->may_lose && play->manner == MANNER_HONEST && command.verb != EHLO && PICK(0, 1)) {
        /* It was done, and all behind it, but the replies are lost. */
        receiver->generous = true;
        for (unsigned i = 1; i < receiver->count; i++)
            honest_reply(receiver, receiver->pending[(receiver->first + i) % PENDING_MAX]);
        return false;
    }
    receiver->first = (receiver->first + 1) % PENDING_MAX;
    receiver->count -= 1;
    if (command.verb == DATA) {
        receiver->awaits_go = false;
        receiver->go = code / 100 == 3;
    }
    text_printf(&receiver->transcript, "S: %u\n", code);
    *last = code == 421 || code == GARBAGE || code / 100 == 3;
    if (code == GARBAGE) {
        receiver->outcome->desynced = command.verb != QUIT;
        text_put(out, BYTES("<html>\r\n"));
        return true;
    }
    note(receiver->outcome, command, code);
    if (command.verb == EHLO) {
        text_printf(out, "250-b.example hello\r\n%s%s250 SIZE 100000\r\n",
                    play->pipelining ? "250-PIPELINING\r\n" : "",
                    play->chunking ? "250-CHUNKING\r\n" : "");
    } else {
        text_printf(out, "%u-some\r\n%u text\r\n", code, code);
    }
    return true;
}

/* ---- the driver --------------------------------------------------------------------------------
 */

struct driver {
    struct smtp_client client;
    struct receiver receiver;
    struct smtp_transaction transactions[TRANSACTIONS_MAX];
    struct smtp_transaction_recipient recipients[TRANSACTIONS_MAX][RECIPIENTS_MAX];
    char senders[TRANSACTIONS_MAX][32];
    char addresses[TRANSACTIONS_MAX][RECIPIENTS_MAX][32];
    unsigned next_offer;
};

static void take_results(struct driver *driver)
{
    struct outcome *outcome = driver->receiver.outcome;
    struct smtp_transaction *transaction;
    while ((transaction = smtp_client_take_done(&driver->client)) != NULL) {
        const unsigned index = (unsigned)(transaction - driver->transactions);
        CHECK(index < driver->next_offer && !outcome->done[index]);
        outcome->done[index] = true;
        for (unsigned i = 0; i < transaction->recipient_count; i++) {
            CHECK(transaction->recipients[i].verdict.outcome != SMTP_OUTCOME_NONE);
            outcome->verdicts[index][i] = transaction->recipients[i].verdict;
            text_printf(&driver->receiver.transcript, "=> %u.%u outcome %u code %u\n", index, i,
                        transaction->recipients[i].verdict.outcome,
                        transaction->recipients[i].verdict.code);
        }
        memset(transaction->recipients, 0xee, sizeof(driver->recipients[index])); /* ours again */
        memset(transaction, 0xee, sizeof(*transaction));
    }
}

static void offer_next(struct driver *driver)
{
    const struct play *play = driver->receiver.play;
    while (driver->next_offer < play->transactions && smtp_client_wants(&driver->client)) {
        const unsigned index = driver->next_offer++;
        struct smtp_transaction *transaction = &driver->transactions[index];
        for (unsigned i = 0; i < play->recipients; i++) {
            snprintf(driver->addresses[index][i], 32, "r%u.%u@b.example", index, i);
            driver->recipients[index][i].to.address = bytes_of(driver->addresses[index][i]);
        }
        snprintf(driver->senders[index], 32, "s%u@a.example", index);
        transaction->reverse_path = bytes_of(driver->senders[index]);
        transaction->size = 1000 + index;
        transaction->recipient_count = play->recipients;
        transaction->recipients = driver->recipients[index];
        driver->receiver.outcome->offered[index] = true;
        smtp_client_offer(&driver->client, transaction);
    }
}

/* Sends all that may be sent; false: the client closed. */
static bool pump(struct driver *driver)
{
    for (;;) {
        char buffer[SMTP_CLIENT_COMMAND_MAX + 200]; /* so small that it must come in parts */
        struct text out;
        struct smtp_transaction *content;
        text_init(&out, buffer, sizeof(buffer));
        switch (smtp_client_next(&driver->client, &out, &content)) {
        case SMTP_CLIENT_WAIT:
            return true;
        case SMTP_CLIENT_SEND_TEXT:
            CHECK(out.len > 0);
            read_text(&driver->receiver, buffer);
            break;
        case SMTP_CLIENT_SEND_DATA:
            read_content(&driver->receiver, (unsigned)(content - driver->transactions), false);
            break;
        case SMTP_CLIENT_SEND_BDAT:
            read_content(&driver->receiver, (unsigned)(content - driver->transactions), true);
            break;
        case SMTP_CLIENT_START_TLS:
            UNREACHABLE("nobody offered it");
        case SMTP_CLIENT_CLOSE:
            return false;
        }
    }
}

static bool all_done(const struct driver *driver)
{
    for (unsigned i = 0; i < driver->receiver.play->transactions; i++) {
        if (!driver->receiver.outcome->done[i]) return false;
    }
    return true;
}

void receiver_play(const struct play *play, struct chooser *chooser, struct outcome *outcome)
{
    static struct driver driver;
    struct smtp_client_options options = smtp_client_options_default(BYTES("relay.example"));
    memset(&driver, 0, sizeof(driver));
    memset(outcome, 0, offsetof(struct outcome, transcript));
    driver.receiver = (struct receiver){.play = play, .chooser = chooser, .outcome = outcome};
    text_init(&driver.receiver.transcript, outcome->transcript, sizeof(outcome->transcript));
    checking = outcome;

    options.window_start = (uint8_t)play->window;
    options.window_max = (uint8_t)play->window;
    smtp_client_init(&driver.client, &options);
    feed(&driver.client, "220 b.example\r\n", play->by_octet);
    for (;;) {
        char buffer[8192];
        struct text replies;
        text_init(&replies, buffer, sizeof(buffer));
        take_results(&driver);
        offer_next(&driver);
        take_results(&driver);
        if (all_done(&driver)) smtp_client_quit(&driver.client);
        if (!pump(&driver)) break;
        CHECK(driver.receiver.count > 0); /* else both would wait for ever */
        bool lost = false, last = false;
        do {
            lost = !reply_one(&driver.receiver, &replies, &last);
        } while (!lost && !last && play->batched && driver.receiver.count > 0);
        feed(&driver.client, buffer, play->by_octet);
        if (lost) {
            outcome->lost = true;
            text_printf(&driver.receiver.transcript, "S: (lost)\n");
            smtp_client_lost(&driver.client, SMTP_CLIENT_END_LOST, UINT64_MAX);
        }
    }
    take_results(&driver);
    for (unsigned i = 0; i < play->transactions; i++)
        CHECK(outcome->offered[i] == outcome->done[i]);
    CHECK(driver.client.transaction_count == 0 && driver.client.in_flight == 0);
    outcome->misbehaved = driver.client.misbehaved;
    outcome->end = driver.client.end;
}
