/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_auth_exchange - PLAIN, LOGIN and SCRAM-SHA-256 with clients of any kind
 *
 * Some clients of SCRAM are honest and know the password; what they send may be changed in one
 * octet. Only who brings the right password, or an honest proof as it was, gets in.
 */
#include "choices.h"
#include "ringpost/auth.h"
#include "ringpost/codec/base64.h"
#include "ringpost/digest.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char USERS[] =
    "anna:$2b$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2:*\n"
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=:*\n";

struct talk {
    struct choices choices;
    struct auth_exchange exchange;
    struct bytes challenge;
    char first[AUTH_MESSAGE_MAX]; /* of the client */
    size_t first_len;
    bool honest; /* the last message proves that the client knows the password */
};

static void no_message(void *context, bool error, const char *text)
{
    (void)context, (void)error, (void)text;
    ASSERT(!"the users are good");
}

static const struct auth_users *some_users(void)
{
    static struct auth_users *users;
    if (users == NULL)
        users = auth_users_parse(bytes_of(USERS), "users", &(struct auth_report){no_message, NULL});
    return users;
}

/* Client Key of "pencil" */
static struct bytes client_key(void)
{
    static uint8_t key[32];
    static bool made;
    static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    uint8_t salted[32];
    if (!made) {
        digest_pbkdf2_sha256(BYTES("pencil"), (struct bytes){(const char *)salt, 16}, 4096, salted);
        digest_hmac_sha256((struct bytes){(const char *)salted, 32}, BYTES("Client Key"), key);
        made = true;
    }
    return (struct bytes){(const char *)key, 32};
}

/* ---- what the client says
 * ------------------------------------------------------------------------
 */

static struct bytes say_any(struct talk *talk)
{
    return choose_text(&talk->choices, choose_octet(&talk->choices) * 9u);
}

static struct bytes say_first(struct talk *talk)
{
    static const char *const begins[] = {
        "n,,n=user,r=", "y,,n=user,r=", "n,a=user,n=user,r=", "n,,n=anna,r=", "p=x,,n=user,r=", ""};
    struct text text;
    text_init(&text, talk->first, sizeof(talk->first));
    text_put(&text, bytes_of(CHOOSE_FROM(&talk->choices, begins)));
    text_put(&text, say_any(talk));
    talk->first_len = text.len;
    return text_bytes(&text);
}

/* The header that ends behind the second comma. */
static size_t header_len(const struct talk *talk)
{
    size_t len = 0, commas = 0;
    while (len < talk->first_len && commas < 2)
        commas += talk->first[len++] == ',';
    return len;
}

static void put_proof(const struct talk *talk, struct bytes challenge, struct text *final)
{
    static char message[3 * AUTH_MESSAGE_MAX];
    uint8_t signature[32], stored_key[32], proof[32];
    char coded[44];
    struct text signed_text;
    const struct bytes first = {talk->first, talk->first_len};
    text_init(&signed_text, message, sizeof(message));
    text_put(&signed_text, bytes_skip(first, header_len(talk)));
    text_put(&signed_text, BYTES(","));
    text_put(&signed_text, challenge);
    text_put(&signed_text, BYTES(","));
    text_put(&signed_text, text_bytes(final));
    digest_sha256_once(client_key(), stored_key);
    digest_hmac_sha256((struct bytes){(const char *)stored_key, 32}, text_bytes(&signed_text),
                       signature);
    for (size_t i = 0; i < 32; i++)
        proof[i] = signature[i] ^ (uint8_t)client_key().data[i];
    text_put(final, BYTES(",p="));
    text_put(final, (struct bytes){coded, codec_base64_encode(proof, 32, coded)});
}

/* talk->challenge is server-first. */
static struct bytes say_final(struct talk *talk, char *room, size_t size)
{
    char header[(AUTH_MESSAGE_MAX + 2) / 3 * 4];
    struct text final;
    const char *comma = memchr(talk->challenge.data, ',', talk->challenge.len);
    ASSERT(comma != NULL);
    text_init(&final, room, size);
    text_put(&final, BYTES("c="));
    text_put(&final,
             (struct bytes){header, codec_base64_encode(talk->first, header_len(talk), header)});
    text_put(&final, BYTES(","));
    text_put(&final, (struct bytes){talk->challenge.data, (size_t)(comma - talk->challenge.data)});
    if (choose_one_in(&talk->choices, 4)) {
        text_put(&final, BYTES(",x="));
        text_put(&final, say_any(talk));
    }
    put_proof(talk, talk->challenge, &final);
    talk->honest = !final.cut;
    if (choose_one_in(&talk->choices, 2)) {
        const unsigned at = choose_octet(&talk->choices) | choose_octet(&talk->choices) << 8;
        room[at % final.len] ^= (char)(1u << choose_below(&talk->choices, 8));
        talk->honest = false;
    }
    return text_bytes(&final);
}

static struct bytes say(struct talk *talk, unsigned round, char *room, size_t size)
{
    const bool scram = talk->exchange.mechanism == SMTP_MECHANISM_SCRAM_SHA_256;
    const bool any = choose_one_in(&talk->choices, 8);
    if (any || !scram) {
        if (!any && round == 0 && choose_one_in(&talk->choices, 2)) return BYTES("\0anna\0pencil");
        if (!any && round > 0 && choose_one_in(&talk->choices, 2)) return BYTES("pencil");
        const struct bytes text = say_any(talk);
        if (round == 0) {
            talk->first_len = text.len;
            if (text.len > 0) memcpy(talk->first, text.data, MIN(text.len, sizeof(talk->first)));
            talk->first_len = MIN(text.len, sizeof(talk->first));
        }
        return text;
    }
    if (round == 0) return say_first(talk);
    if (round == 1) return say_final(talk, room, size);
    return BYTES("");
}

/* ---- the exchange -----------------------------------------------------------------------------
 */

static bool is_user(struct bytes name)
{
    return bytes_equal(name, BYTES("anna")) || bytes_equal(name, BYTES("user"));
}

static void check_end(const struct talk *talk, enum auth_step step, bool password)
{
    const struct auth_exchange *exchange = &talk->exchange;
    if (step != AUTH_OK) {
        ASSERT(exchange->failure != NULL);
        return;
    }
    ASSERT(is_user(auth_exchange_name(exchange)));
    ASSERT(password || bytes_equal(auth_exchange_name(exchange), BYTES("user")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum smtp_mechanism mechanisms[] = {SMTP_MECHANISM_SCRAM_SHA_256,
                                                     SMTP_MECHANISM_PLAIN, SMTP_MECHANISM_LOGIN};
    static const uint8_t random[AUTH_NONCE_LEN] = "eighteen random o";
    static struct talk talk;
    talk = (struct talk){.choices = {data, size}};
    auth_exchange_init(&talk.exchange, CHOOSE_FROM(&talk.choices, mechanisms), random);
    if (choose_one_in(&talk.choices, 2)) auth_exchange_ask(&talk.exchange, &talk.challenge);
    for (unsigned round = 0;; round++) {
        char room[3 * AUTH_MESSAGE_MAX];
        const struct bytes response = say(&talk, round, room, sizeof(room));
        char *exact = malloc(response.len + 1); /* a sanitizer sees an over-read */
        ASSERT(exact != NULL);
        if (response.len > 0) memcpy(exact, response.data, response.len);
        const enum auth_step step = auth_exchange_feed(
            &talk.exchange, some_users(), (struct bytes){exact, response.len}, &talk.challenge);
        free(exact);
        ASSERT(talk.challenge.len <= AUTH_CHALLENGE_MAX && round < 3);
        if (step == AUTH_CHALLENGE && round == 1) ASSERT(talk.honest);
        if (step == AUTH_CHALLENGE) continue;
        if (step != AUTH_CHECK) {
            check_end(&talk, step, false);
            return 0;
        }
        const bool right = strcmp(talk.exchange.password, "pencil") == 0;
        check_end(&talk, auth_exchange_checked(&talk.exchange, right), right);
        return 0;
    }
}
