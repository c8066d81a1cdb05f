/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange - one SASL conversation (RFC 4422): its states, PLAIN and LOGIN
 */
#include "internal.h"
#include "ringpost/codec/base64.h"

enum state {
    FIRST = 0,      /* the first response is to come */
    LOGIN_PASSWORD, /* the name is there */
    SCRAM_PROOF,    /* server-first-message is out */
    SCRAM_END,      /* server-final-message is out; the client has only to say that it took it */
    CHECKING,       /* somebody compares the password with the secret */
    OVER,
    STATE_COUNT,
};

#define TO(state) (1u << (state))
static const uint32_t successors[] = {
    [FIRST] = TO(LOGIN_PASSWORD) | TO(SCRAM_PROOF) | TO(CHECKING) | TO(OVER),
    [LOGIN_PASSWORD] = TO(CHECKING) | TO(OVER),
    [SCRAM_PROOF] = TO(SCRAM_END) | TO(OVER),
    [SCRAM_END] = TO(OVER),
    [CHECKING] = TO(OVER),
    [OVER] = 0,
};
static_assert(ARRAY_COUNT(successors) == STATE_COUNT, "one row for each state");

static void become(struct auth_exchange *exchange, enum state next)
{
    ASSERT(successors[exchange->state] & TO(next));
    exchange->state = (uint8_t)next;
}

enum auth_step auth_exchange_end(struct auth_exchange *exchange, enum auth_step step,
                                 const char *why)
{
    exchange->failure = why;
    return step;
}

void auth_exchange_init(struct auth_exchange *exchange, enum smtp_mechanism mechanism,
                        const uint8_t random[AUTH_NONCE_LEN])
{
    memset(exchange, 0, sizeof(*exchange));
    exchange->mechanism = mechanism;
    codec_base64_encode(random, AUTH_NONCE_LEN, exchange->nonce);
}

void auth_exchange_wipe(struct auth_exchange *exchange)
{
    explicit_bzero(exchange, sizeof(*exchange));
}

bool auth_exchange_identify(struct auth_exchange *exchange, const struct auth_users *users,
                            struct bytes name)
{
    const bool scram = exchange->mechanism == SMTP_MECHANISM_SCRAM_SHA_256;
    if (auth_name_check(name) != NULL) return false;
    memcpy(exchange->name, name.data, name.len);
    exchange->name_len = (uint16_t)name.len;
    const struct auth_user *user = users == NULL ? NULL : auth_users_find(users, name);
    if (user == NULL) {
        exchange->failure = "no such user";
    } else {
        auth_user_secret(user, &exchange->secret);
        exchange->known = !scram || exchange->secret.iterations != 0;
        exchange->failure = exchange->known ? "wrong password" : "this user has no SCRAM verifier";
    }
    if (!exchange->known) auth_stranger_secret(users, name, scram, &exchange->secret);
    return true;
}

/* ---- passwords in clear
 * ---------------------------------------------------------------------------
 */

static enum auth_step check_password(struct auth_exchange *exchange, struct bytes password)
{
    if (password.len == 0 || password.len > AUTH_PASSWORD_MAX ||
        memchr(password.data, '\0', password.len) != NULL)
        return auth_exchange_end(exchange, AUTH_MALFORMED, "a password that is none");
    memcpy(exchange->password, password.data, password.len);
    exchange->password_len = (uint16_t)password.len;
    return AUTH_CHECK;
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 section 2) */
static enum auth_step plain(struct auth_exchange *exchange, const struct auth_users *users,
                            struct bytes response)
{
    const char *first = response.len > 0 ? memchr(response.data, '\0', response.len) : NULL;
    if (first == NULL) return auth_exchange_end(exchange, AUTH_MALFORMED, "no name");
    const struct bytes other = {response.data, (size_t)(first - response.data)};
    const struct bytes rest = bytes_skip(response, other.len + 1);
    const char *second = rest.len > 0 ? memchr(rest.data, '\0', rest.len) : NULL;
    if (second == NULL) return auth_exchange_end(exchange, AUTH_MALFORMED, "no password");
    const struct bytes name = {rest.data, (size_t)(second - rest.data)};
    if (!auth_exchange_identify(exchange, users, name))
        return auth_exchange_end(exchange, AUTH_MALFORMED, "a name that is none");
    if (other.len > 0 && !bytes_equal(other, name))
        return auth_exchange_end(exchange, AUTH_FAILED, "wants to act for another user");
    return check_password(exchange, bytes_skip(rest, name.len + 1));
}

static enum auth_step login_name(struct auth_exchange *exchange, const struct auth_users *users,
                                 struct bytes response, struct bytes *challenge)
{
    if (!auth_exchange_identify(exchange, users, response))
        return auth_exchange_end(exchange, AUTH_MALFORMED, "a name that is none");
    *challenge = BYTES("Password:");
    return AUTH_CHALLENGE;
}

enum auth_step auth_exchange_checked(struct auth_exchange *exchange, bool matches)
{
    ASSERT(exchange->state == CHECKING);
    become(exchange, OVER);
    explicit_bzero(exchange->password, sizeof(exchange->password));
    return matches && exchange->known ? AUTH_OK : AUTH_FAILED;
}

/* ---- the conversation
 * ------------------------------------------------------------------------------
 */

void auth_exchange_ask(struct auth_exchange *exchange, struct bytes *challenge)
{
    ASSERT(exchange->state == FIRST);
    *challenge = exchange->mechanism == SMTP_MECHANISM_LOGIN ? BYTES("Username:") : BYTES("");
}

static enum auth_step run(struct auth_exchange *exchange, const struct auth_users *users,
                          struct bytes response, struct bytes *challenge)
{
    switch ((enum state)exchange->state) {
    case FIRST:
        switch (exchange->mechanism) {
        case SMTP_MECHANISM_PLAIN:
            return plain(exchange, users, response);
        case SMTP_MECHANISM_LOGIN:
            return login_name(exchange, users, response, challenge);
        case SMTP_MECHANISM_SCRAM_SHA_256:
            return scram_first(exchange, users, response, challenge);
        }
        break;
    case LOGIN_PASSWORD:
        return check_password(exchange, response);
    case SCRAM_PROOF:
        return scram_final(exchange, response, challenge);
    case SCRAM_END:
        if (response.len == 0) return AUTH_OK;
        return auth_exchange_end(exchange, AUTH_MALFORMED, "more after the proof");
    case CHECKING:
    case OVER:
    case STATE_COUNT:
        break;
    }
    UNREACHABLE("auth: a response nobody asked for");
}

static enum state state_after(const struct auth_exchange *exchange, enum auth_step step)
{
    if (step == AUTH_CHECK) return CHECKING;
    if (step != AUTH_CHALLENGE) return OVER;
    if (exchange->state == SCRAM_PROOF) return SCRAM_END;
    return exchange->mechanism == SMTP_MECHANISM_LOGIN ? LOGIN_PASSWORD : SCRAM_PROOF;
}

enum auth_step auth_exchange_feed(struct auth_exchange *exchange, const struct auth_users *users,
                                  struct bytes response, struct bytes *challenge)
{
    enum auth_step step = AUTH_MALFORMED;
    *challenge = (struct bytes){0};
    if (response.len > AUTH_MESSAGE_MAX) {
        ASSERT(exchange->state < CHECKING);
        exchange->failure = "a response that is too long";
    } else {
        step = run(exchange, users, response, challenge);
    }
    become(exchange, state_after(exchange, step));
    return step;
}
