/* SPDX-License-Identifier: Apache-2.0
 *
 * dialog - one AUTH command: the exchange, its limits, and the words of its answers
 *
 * Whatever fails gets the same 535 after a delay that doubles, so that neither words nor time tell
 * what was wrong. The log says it.
 */
#include "dialog.h"
#include <stdarg.h>
#include <stdio.h>

enum { DELAY_DOUBLINGS_MAX = 4 };
static const duration DELAY_FIRST = DURATION_S(1);

#define TO(state) (1u << DIALOG_##state)
static const uint32_t successors[] = {
    [DIALOG_TALKING] = TO(TALKING) | TO(CHECKING) | TO(DELAYED) | TO(ANSWERED),
    [DIALOG_CHECKING] = TO(DELAYED) | TO(ANSWERED),
    [DIALOG_DELAYED] = TO(ANSWERED),
    [DIALOG_ANSWERED] = 0,
};
#undef TO
static_assert(ARRAY_COUNT(successors) == DIALOG_STATE_COUNT, "one row for each state");

static enum auth_verdict become(struct auth_dialog *dialog, enum dialog_state next,
                                enum auth_verdict verdict)
{
    ASSERT(successors[dialog->state] & (1u << next));
    dialog->state = (uint8_t)next;
    return verdict;
}

static instant now_of(const struct auth_dialog *dialog)
{
    return ring_now(dialog->auth->worker->ring);
}

static void count(struct auth_dialog *dialog, enum metrics_counter counter)
{
    metrics_add(&dialog->auth->worker->metrics, counter, 1);
}

static void PRINTF_LIKE(3, 4)
    tell(const struct auth_dialog *dialog, enum event_level level, const char *format, ...)
{
    char client[ADDRESS_TEXT_MAX], words[256];
    const struct auth_exchange *exchange = &dialog->exchange;
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    event_log(&dialog->auth->worker->events, level, "auth", "%s: %s as \"%.*s\": %s",
              address_print_ip(&dialog->client, client), smtp_mechanism_name(exchange->mechanism),
              (int)exchange->name_len, exchange->name, words);
}

/* ---- the end
 * -------------------------------------------------------------------------------------- */

static enum auth_verdict refuse(struct auth_dialog *dialog, const char *reply,
                                struct auth_answer *answer)
{
    *answer =
        (struct auth_answer){.text = bytes_of(reply), .close = reply[0] == '4' && reply[1] == '2'};
    return become(dialog, DIALOG_ANSWERED, AUTH_REFUSED);
}

static enum auth_verdict accept(struct auth_dialog *dialog, struct auth_answer *answer)
{
    const struct bytes name = auth_exchange_name(&dialog->exchange);
    auth_note_success(dialog->auth->shared, name, &dialog->client, now_of(dialog));
    count(dialog, METRICS_AUTH_ACCEPTED);
    tell(dialog, EVENT_DEBUG, "accepted");
    *answer = (struct auth_answer){.text = name};
    return become(dialog, DIALOG_ANSWERED, AUTH_ACCEPTED);
}

static void on_delay_over(struct ring_timer *timer)
{
    struct auth_dialog *dialog = CONTAINER_OF(timer, struct auth_dialog, timer);
    struct auth_answer answer;
    refuse(dialog, "535 5.7.8 Authentication credentials invalid", &answer);
    dialog->on_answer(dialog->context, AUTH_REFUSED, &answer);
}

static enum auth_verdict fail(struct auth_dialog *dialog)
{
    struct auth *auth = dialog->auth;
    uint32_t by_user;
    const uint32_t by_client =
        auth_count_failure(auth->shared, &auth->options, auth_exchange_name(&dialog->exchange),
                           &dialog->client, now_of(dialog), &by_user);
    const uint32_t doublings = MIN(by_client - 1, (uint32_t)DELAY_DOUBLINGS_MAX);
    count(dialog, METRICS_AUTH_FAILED);
    tell(dialog, EVENT_WARNING, "failed: %s%s%s", dialog->exchange.failure,
         by_client == auth->options.failures_per_client_max
             ? "; no more attempts from there for a while"
             : "",
         by_user == auth->options.failures_per_user_max ? "; no more for this user for a while"
                                                        : "");
    ring_timer_arm(auth->worker->ring, &dialog->timer, now_of(dialog) + (DELAY_FIRST << doublings));
    return become(dialog, DIALOG_DELAYED, AUTH_WAIT);
}

/* ---- the way there
 * --------------------------------------------------------------------------------
 */

/* Before anything is compared: who is at the limit learns nothing, not even from a right password.
 */
static bool user_is_limited(struct auth_dialog *dialog)
{
    struct auth *auth = dialog->auth;
    const struct bytes name = auth_exchange_name(&dialog->exchange);
    return auth_user_is_limited(auth->shared, &auth->options, name, &dialog->client,
                                now_of(dialog));
}

static enum auth_verdict refuse_limited(struct auth_dialog *dialog, struct auth_answer *answer)
{
    count(dialog, METRICS_AUTH_LIMITED);
    tell(dialog, EVENT_DEBUG, "not looked at: too many failures of this user");
    return refuse(dialog, "454 4.7.0 Too many failed authentications, try again later", answer);
}

static enum auth_verdict check(struct auth_dialog *dialog, struct auth_answer *answer)
{
    if (auth_check_is_cached(dialog)) {
        count(dialog, METRICS_AUTH_CACHED);
        auth_exchange_checked(&dialog->exchange, true);
        return accept(dialog, answer);
    }
    if (auth_check_begin(dialog)) return become(dialog, DIALOG_CHECKING, AUTH_WAIT);
    count(dialog, METRICS_AUTH_LIMITED);
    tell(dialog, EVENT_WARNING, "too many passwords wait to be checked");
    return refuse(dialog, "454 4.7.0 Too busy to authenticate, try again later", answer);
}

void auth_dialog_checked(struct auth_dialog *dialog, bool matches)
{
    struct auth_answer answer;
    if (auth_exchange_checked(&dialog->exchange, matches) == AUTH_OK) {
        accept(dialog, &answer);
        dialog->on_answer(dialog->context, AUTH_ACCEPTED, &answer);
    } else {
        fail(dialog);
    }
}

static enum auth_verdict say(struct auth_dialog *dialog, struct bytes challenge,
                             struct auth_answer *answer)
{
    *answer = (struct auth_answer){.text = challenge};
    return become(dialog, DIALOG_TALKING, AUTH_SAY);
}

static bool client_is_limited(struct auth_dialog *dialog)
{
    struct auth *auth = dialog->auth;
    if (!auth_client_is_limited(auth->shared, &auth->options, &dialog->client, now_of(dialog)))
        return false;
    count(dialog, METRICS_AUTH_LIMITED);
    tell(dialog, EVENT_DEBUG, "not looked at: too many failures of this client");
    return true;
}

static const char LIMITED_CLIENT[] = "421 4.7.0 Too many failed authentications from your address";

enum auth_verdict auth_dialog_ask(struct auth_dialog *dialog, struct auth_answer *answer)
{
    struct bytes challenge;
    if (client_is_limited(dialog)) return refuse(dialog, LIMITED_CLIENT, answer);
    auth_exchange_ask(&dialog->exchange, &challenge);
    return say(dialog, challenge, answer);
}

enum auth_verdict auth_dialog_feed(struct auth_dialog *dialog, struct bytes response,
                                   struct auth_answer *answer)
{
    struct bytes challenge;
    ASSERT(dialog->state == DIALOG_TALKING);
    if (client_is_limited(dialog)) return refuse(dialog, LIMITED_CLIENT, answer);
    const enum auth_step step =
        auth_exchange_feed(&dialog->exchange, dialog->auth->options.users, response, &challenge);
    const bool named = dialog->exchange.name_len > 0;
    if (step != AUTH_MALFORMED && named && user_is_limited(dialog))
        return refuse_limited(dialog, answer);
    switch (step) {
    case AUTH_CHALLENGE:
        return say(dialog, challenge, answer);
    case AUTH_CHECK:
        return check(dialog, answer);
    case AUTH_OK:
        return accept(dialog, answer);
    case AUTH_FAILED:
        return fail(dialog);
    case AUTH_MALFORMED:
        tell(dialog, EVENT_INFO, "malformed response: %s", dialog->exchange.failure);
        return refuse(dialog, "501 5.5.2 Malformed authentication response", answer);
    }
    UNREACHABLE("auth: no such step");
}

/* ---- begin and end
 * --------------------------------------------------------------------------------
 */

static void make_nonce(struct auth *auth, uint8_t nonce[DIGEST_SHA256_LEN])
{
    char text[64];
    struct text out;
    text_init(&out, text, sizeof(text));
    text_printf(&out, "nonce %u %llu", auth->worker->index, (unsigned long long)auth->nonces++);
    auth_shared_mac(auth->shared, text_bytes(&out), nonce);
}

struct auth_dialog *auth_dialog_begin(struct auth *auth, enum smtp_mechanism mechanism,
                                      const struct address *client,
                                      void (*on_answer)(void *context, enum auth_verdict verdict,
                                                        const struct auth_answer *answer),
                                      void *context)
{
    uint8_t nonce[DIGEST_SHA256_LEN];
    struct auth_dialog *dialog = base_alloc(sizeof(*dialog));
    static_assert(sizeof(nonce) >= AUTH_NONCE_LEN, "one HMAC is enough");
    dialog->auth = auth;
    dialog->client = *client;
    dialog->on_answer = on_answer;
    dialog->context = context;
    list_init(&dialog->link);
    ring_timer_init(&dialog->timer, on_delay_over);
    make_nonce(auth, nonce);
    auth_exchange_init(&dialog->exchange, mechanism, nonce);
    auth->dialogs += 1;
    return dialog;
}

void auth_dialog_end(struct auth_dialog **dialog)
{
    struct auth *auth = (*dialog)->auth;
    list_remove(&(*dialog)->link); /* the check goes on without it */
    ring_timer_disarm(auth->worker->ring, &(*dialog)->timer);
    auth->dialogs -= 1;
    base_free_secret(*dialog, sizeof(**dialog));
    *dialog = NULL;
}
