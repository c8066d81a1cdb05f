/* SPDX-License-Identifier: Apache-2.0
 *
 * secure - STARTTLS (RFC 3207) and AUTH (RFC 4954, 4616), between EHLO and the first transaction
 *
 *     EHLO ─┬─ STARTTLS ── handshake ── EHLO ─┬─ AUTH ── open
 *           └──────── in clear, if it may ────┘
 *
 * What TLS and AUTH cannot do is never the mail's fault: it is put off, and the operator reads why.
 */
#include "internal.h"
#include "ringpost/codec/base64.h"

enum {
    COMMAND_LINE_MAX = 512, /* RFC 5321 section 4.5.3.1.4; RFC 4954 section 4 holds AUTH to it */
    PLAIN_MAX = 2 * SMTP_CLIENT_LOGIN_MAX + 2,
};

#define ENHANCED(c, s, d) ((struct smtp_enhanced){c, s, d})

/* By a reply; whether it is for good or for now, the mail is not to blame. */
static void refused(struct smtp_client *client, enum smtp_stage stage,
                    struct smtp_enhanced enhanced, const struct smtp_reply *reply, const char *what)
{
    char words[SMTP_CLIENT_TEXT_MAX];
    struct text text;
    struct smtp_verdict why;
    text_init(&text, words, sizeof(words));
    text_printf(&text, "%s: %u %.*s", what, reply->code, BYTES_FMT(smtp_reply_text(reply)));
    if (reply->code != 421) {
        client_give_up(client, stage, stage == SMTP_STAGE_AUTH ? 454 : 451, enhanced, words);
        return;
    }
    verdict_local(&why, SMTP_OUTCOME_DEFERRED, stage, 421, enhanced, words);
    client_break(client, SMTP_CLIENT_END_TEMP, &why); /* it is gone */
}

/* ---- TLS ---------------------------------------------------------------------------------------
 */

static void begin_auth(struct smtp_client *client);

void secure_next(struct smtp_client *client)
{
    const bool offered = client->extensions & SMTP_EXT_STARTTLS && !client->starttls_refused;
    if (!client->secured && client->options.tls != SMTP_TLS_NONE) {
        if (offered) {
            client_become(client, SMTP_CLIENT_STARTTLS);
            return;
        }
        if (client_tls_is_needed(client)) {
            client_give_up(client, SMTP_STAGE_EHLO, 451, ENHANCED(4, 7, 5),
                           "TLS is required, but the receiver does not offer STARTTLS");
            return;
        }
    }
    if (client->options.user.len > 0)
        begin_auth(client);
    else
        client_become(client, SMTP_CLIENT_OPEN);
}

void secure_on_starttls(struct smtp_client *client, const struct smtp_reply *reply)
{
    if (reply->code < 300) {
        client_become(client, SMTP_CLIENT_HANDSHAKE);
        client_expect(client, SMTP_STAGE_HANDSHAKE, NULL);
        return;
    }
    if (reply->code != 421 && !client_tls_is_needed(client)) {
        client->starttls_refused = true;
        secure_next(client);
        return;
    }
    refused(client, SMTP_STAGE_STARTTLS, ENHANCED(4, 7, 5), reply,
            client_tls_is_needed(client) ? "TLS is required, but STARTTLS was refused"
                                         : "STARTTLS was refused");
}

void smtp_client_secured(struct smtp_client *client)
{
    ASSERT(client->state == SMTP_CLIENT_HANDSHAKE && client->tls_given_out);
    (void)client_take_expected(client);
    client->secured = true;
    client->progress += 1;
    /* Whatever was heard in clear may have come from anybody. */
    client->extensions = 0;
    client->limits = (struct smtp_client_limits){0};
    client->ehlo_lines = 0;
    client->mechanisms = 0;
    if (client->options.tls_implicit) {
        client_become(client, SMTP_CLIENT_GREETING);
        client_expect(client, SMTP_STAGE_GREETING, NULL);
    } else {
        client_become(client, SMTP_CLIENT_EHLO);
    }
}

void smtp_client_insecure(struct smtp_client *client, const char *why)
{
    char words[SMTP_CLIENT_TEXT_MAX];
    struct text text;
    struct smtp_verdict verdict;
    ASSERT(client->state == SMTP_CLIENT_HANDSHAKE);
    text_init(&text, words, sizeof(words));
    text_printf(&text, "TLS handshake: %s", why);
    verdict_local(&verdict, SMTP_OUTCOME_DEFERRED, SMTP_STAGE_HANDSHAKE, 451, ENHANCED(4, 7, 5),
                  words);
    client_break(client, SMTP_CLIENT_END_TLS, &verdict);
}

void secure_on_intruder(struct smtp_client *client)
{
    struct smtp_verdict verdict;
    verdict_local(&verdict, SMTP_OUTCOME_DEFERRED, SMTP_STAGE_STARTTLS, 451, ENHANCED(4, 7, 5),
                  "octets in clear behind the reply to STARTTLS");
    client_break(client, SMTP_CLIENT_END_BROKEN, &verdict);
}

/* A lost connection there is how many receivers say that their TLS does not work; and with TLS 1.3
 * they look at our last flight, and at our certificate, when we believe the handshake done. */
bool client_tls_is_unproved(const struct smtp_client *client)
{
    if (client->options.tls_implicit) return client->state == SMTP_CLIENT_HANDSHAKE;
    return client->state == SMTP_CLIENT_STARTTLS || client->state == SMTP_CLIENT_HANDSHAKE ||
           (client->state == SMTP_CLIENT_EHLO && client->secured);
}

/* ---- AUTH --------------------------------------------------------------------------------------
 */

void secure_on_auth_line(struct smtp_client *client, struct bytes mechanisms)
{
    while (mechanisms.len > 0) {
        const char *space = memchr(mechanisms.data, ' ', mechanisms.len);
        const struct bytes word = {mechanisms.data,
                                   space ? (size_t)(space - mechanisms.data) : mechanisms.len};
        mechanisms = bytes_skip(mechanisms, word.len + 1);
        client->mechanisms |= (uint8_t)smtp_mechanism_parse(word);
    }
}

static void begin_auth(struct smtp_client *client)
{
    if (!client->secured && !client->options.auth_clear) {
        client_give_up(client, SMTP_STAGE_AUTH, 454, ENHANCED(4, 7, 11),
                       "the password is not sent in clear, and TLS could not be had");
        return;
    }
    if (!(client->mechanisms & (SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN))) {
        client_give_up(client, SMTP_STAGE_AUTH, 454, ENHANCED(4, 7, 0),
                       client->extensions & SMTP_EXT_AUTH
                           ? "the receiver offers AUTH neither with PLAIN nor with LOGIN"
                           : "the receiver does not offer AUTH");
        return;
    }
    client->auth_step = client->mechanisms & SMTP_MECHANISM_PLAIN ? AUTH_PLAIN : AUTH_LOGIN;
    client_become(client, SMTP_CLIENT_AUTH);
}

static void put_base64(struct text *out, struct bytes octets)
{
    char encoded[(PLAIN_MAX + 2) / 3 * 4];
    text_put(out, (struct bytes){encoded, codec_base64_encode(octets.data, octets.len, encoded)});
    explicit_bzero(encoded, sizeof(encoded));
}

static void say_plain(struct smtp_client *client, struct text *out)
{
    const struct smtp_client_options *options = &client->options;
    char space[PLAIN_MAX + 1];
    struct text message; /* NUL user NUL password: no other identity than the user's (RFC 4616) */
    text_init(&message, space, sizeof(space));
    text_put(&message, (struct bytes){"", 1});
    text_put(&message, options->user);
    text_put(&message, (struct bytes){"", 1});
    text_put(&message, options->password);
    const size_t line = strlen("AUTH PLAIN \r\n") + codec_base64_encoded_len(message.len, 0);
    const bool alone = client->auth_step == AUTH_PLAIN_RESPONSE;
    if (!alone) text_put(out, BYTES("AUTH PLAIN"));
    if (!alone && line > COMMAND_LINE_MAX) {
        client->auth_step = AUTH_PLAIN_RESPONSE; /* the receiver asks for it */
    } else {
        if (!alone) text_put(out, BYTES(" "));
        put_base64(out, text_bytes(&message));
        client->auth_step = AUTH_ALL_SAID;
    }
    explicit_bzero(space, sizeof(space));
}

void secure_say_auth(struct smtp_client *client, struct text *out)
{
    switch ((enum client_auth_step)client->auth_step) {
    case AUTH_PLAIN:
    case AUTH_PLAIN_RESPONSE:
        say_plain(client, out);
        break;
    case AUTH_LOGIN:
        text_put(out, BYTES("AUTH LOGIN"));
        client->auth_step = AUTH_LOGIN_USER;
        break;
    case AUTH_LOGIN_USER: /* whatever the challenge says: it is always "Username:" */
        put_base64(out, client->options.user);
        client->auth_step = AUTH_LOGIN_PASSWORD;
        break;
    case AUTH_LOGIN_PASSWORD:
        put_base64(out, client->options.password);
        client->auth_step = AUTH_ALL_SAID;
        break;
    case AUTH_ALL_SAID:
        UNREACHABLE("smtp_client: nothing to be said in AUTH");
    }
    text_put(out, BYTES("\r\n"));
    client_expect(client, SMTP_STAGE_AUTH, NULL);
}

void secure_on_auth(struct smtp_client *client, const struct smtp_reply *reply)
{
    char words[SMTP_CLIENT_LOGIN_MAX + 32];
    struct text text;
    if (reply->code == 334 && client->auth_step != AUTH_ALL_SAID) return; /* go on */
    if (reply->code / 100 == 3) {
        client_lost_sync(client, (struct smtp_client_expected){.stage = SMTP_STAGE_AUTH},
                         "unexpected reply");
        return;
    }
    if (reply->code < 300 && client->auth_step == AUTH_ALL_SAID) {
        client->authenticated = true;
        client_become(client, SMTP_CLIENT_OPEN);
        return;
    }
    text_init(&text, words, sizeof(words));
    text_printf(&text, "cannot authenticate as %.*s", BYTES_FMT(client->options.user));
    refused(client, SMTP_STAGE_AUTH, ENHANCED(4, 7, 0), reply, words);
}
