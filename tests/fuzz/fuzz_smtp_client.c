/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_smtp_client - any octets as the receiver, in any pieces
 *
 * Input: one octet of options, one that seeds the splits and says what of TLS and AUTH is wished,
 * then what the receiver says. Whatever it is, each transaction must come back once with a verdict
 * for each recipient, no command may hold a bare CR or LF, "delivered" needs a 2yz, and nothing
 * that needs TLS is said without.
 */
#include "ringpost/smtp_client.h"

enum { MESSAGES = 6, RECIPIENTS = 3, ROUNDS_MAX = 4096 };

static struct smtp_client client;
static struct smtp_transaction messages[MESSAGES];
static struct smtp_transaction_recipient recipients[MESSAGES][RECIPIENTS];
static unsigned offered, done;
static bool tls_fails;

/* Only TLS shows who we are, or whose mail it is, when that is the wish. */
static void check_secrets(const char *text)
{
    if (client.secured) return;
    if (strncmp(text, "MAIL", 4) == 0) ASSERT(client.options.tls < SMTP_TLS_ENCRYPT);
    if (strncmp(text, "AUTH", 4) == 0) ASSERT(client.options.auth_clear);
    ASSERT(strncmp(text, "AUTH", 4) == 0 || !client.options.tls_implicit);
}

static void check_text(const char *text, size_t len)
{
    check_secrets(text);
    ASSERT(len >= 2 && text[len - 1] == '\n');
    for (size_t i = 0; i < len; i++) {
        ASSERT(text[i] != '\0');
        if (text[i] == '\r') ASSERT(i + 1 < len && text[i + 1] == '\n');
        if (text[i] == '\n') ASSERT(i > 0 && text[i - 1] == '\r');
    }
}

static void offer_all(void)
{
    while (offered < MESSAGES && smtp_client_wants(&client)) {
        struct smtp_transaction *message = &messages[offered];
        *message = (struct smtp_transaction){.reverse_path = BYTES("a@x"),
                                             .size = 10 * offered,
                                             .content_flags = offered & 3,
                                             .smtputf8 = offered & 1,
                                             .recipient_count = RECIPIENTS,
                                             .recipients = recipients[offered]};
        for (unsigned i = 0; i < RECIPIENTS; i++) {
            recipients[offered][i] = (struct smtp_transaction_recipient){
                .to.address = i == 1 ? BYTES("\xc3\xa4@y") : BYTES("b@y")};
        }
        offered += 1;
        smtp_client_offer(&client, message);
    }
}

static void take_all(void)
{
    struct smtp_transaction *message;
    while ((message = smtp_client_take_done(&client)) != NULL) {
        for (unsigned i = 0; i < RECIPIENTS; i++) {
            const struct smtp_verdict *verdict = &message->recipients[i].verdict;
            ASSERT(verdict->outcome != SMTP_OUTCOME_NONE);
            ASSERT(verdict->text_len <= SMTP_CLIENT_TEXT_MAX);
            if (verdict->outcome == SMTP_OUTCOME_DELIVERED) ASSERT(verdict->code / 100 == 2);
            if (verdict->outcome == SMTP_OUTCOME_REFUSED) ASSERT(verdict->code / 100 == 5);
        }
        memset(message, 0xee, sizeof(*message)); /* ours again: any use of it now shows */
        done += 1;
    }
}

/* false: the session is over. */
static bool pump(void)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        char buffer[SMTP_CLIENT_COMMAND_MAX + 50];
        struct text text;
        struct smtp_transaction *content;
        text_init(&text, buffer, sizeof(buffer));
        switch (smtp_client_next(&client, &text, &content)) {
        case SMTP_CLIENT_WAIT:
            return true;
        case SMTP_CLIENT_SEND_TEXT:
            check_text(text.data, text.len);
            break;
        case SMTP_CLIENT_START_TLS:
            ASSERT(!client.secured);
            if (tls_fails)
                smtp_client_insecure(&client, "wrong version number");
            else
                smtp_client_secured(&client);
            break;
        case SMTP_CLIENT_SEND_DATA:
        case SMTP_CLIENT_SEND_BDAT:
            ASSERT(content >= messages && content < messages + offered);
            break;
        case SMTP_CLIENT_CLOSE:
            return false;
        }
    }
    UNREACHABLE("the client never waits");
}

/* Mostly a line: a receiver that is heard before it was asked does not get far. */
static size_t piece_len(struct random *random, struct bytes input)
{
    const char *end = memchr(input.data, '\n', input.len);
    const size_t any = 1 + random_below(random, 60);
    if (random_below(random, 4) == 0) return MIN(any, input.len);
    return end == NULL ? input.len : (size_t)(end - input.data) + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct smtp_client_options options = smtp_client_options_default(BYTES("relay.example"));
    options.pipelining = !(data[0] & 1);
    options.chunking = !(data[0] & 2);
    options.eight_bit = data[0] & 4 ? SMTP_EIGHT_BIT_BOUNCE : SMTP_EIGHT_BIT_SEND;
    options.window_start = (data[0] >> 3) & 7;
    options.tls = data[1] & 3;
    options.tls_implicit = (data[1] & 0x1c) == 0x1c;
    options.user = data[1] & 32 ? BYTES("user") : BYTES("");
    options.password = BYTES("a password");
    options.auth_clear = data[1] & 64;
    tls_fails = data[1] & 128;
    const bool by_whole = data[0] & 64;
    struct random random;
    random_init(&random, data[1]);
    struct bytes input = {(const char *)data + 2, size - 2};

    offered = done = 0;
    smtp_client_init(&client, &options);
    bool open = pump();
    while (open && input.len > 0) {
        struct bytes piece = {input.data, by_whole ? input.len : piece_len(&random, input)};
        input = bytes_skip(input, piece.len);
        smtp_client_input(&client, &piece);
        ASSERT(piece.len == 0);
        take_all();
        offer_all();
        take_all();
        (void)smtp_client_deadline(&client, false);
        open = pump();
    }
    if (data[0] & 128) smtp_client_quit(&client);
    smtp_client_lost(&client, SMTP_CLIENT_END_LOST, UINT64_MAX);
    take_all();
    ASSERT(done == offered && client.state == SMTP_CLIENT_ENDED);
    return 0;
}
