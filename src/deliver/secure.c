/* SPDX-License-Identifier: Apache-2.0
 *
 * secure - TLS and AUTH of a connection: what is asked for, the handshake, what follows from it
 *
 * When a handshake fails that went by an old session, the next one is a full one. When that fails
 * too and the policy is may, the host is spoken to in clear for a while, beginning at once; with
 * any other policy it counts as a host that failed.
 */
#include "internal.h"

enum { KEY_MAX = 3 * QUEUE_NAME_MAX + ADDRESS_TEXT_MAX + 8, ALERT_S = 5 };

static struct deliver *deliver_of(const struct deliver_connection *connection)
{
    return connection->ready->deliver;
}

static struct bytes profile_of(const struct deliver_connection *connection)
{
    return queue_plan_profile(connection->ready->queue.plan);
}

/* In the snapshot of the day, which may be newer than the connection. */
static const struct queue_tls *settings_of(const struct deliver_connection *connection)
{
    return queue_options_tls(deliver_of(connection)->queue.options, profile_of(connection));
}

/* A session is for the host that gave it, and for settings that it was verified by. */
static struct bytes print_key(const struct deliver_connection *connection, char *space)
{
    char address[ADDRESS_TEXT_MAX];
    struct text key;
    text_init(&key, space, KEY_MAX);
    text_printf(&key, "%s %.*s %.*s", address_print(&connection->queue.peer, address),
                (int)connection->name_len, connection->name, BYTES_FMT(profile_of(connection)));
    ASSERT(!key.cut);
    return text_bytes(&key);
}

/* ---- what is asked for ------------------------------------------------------------------------
 */

static uint8_t policy_of(const struct deliver_connection *connection)
{
    const struct deliver *deliver = deliver_of(connection);
    const struct queue_tls *settings = settings_of(connection);
    if (connection->ready->queue.plan->tls_implicit) return MAX(settings->policy, SMTP_TLS_ENCRYPT);
    if (settings->policy != SMTP_TLS_MAY) return settings->policy;
    if (settings->client == NULL) return SMTP_TLS_NONE;
    if (!queue_clear_has(&deliver->clear, &connection->queue.peer, deliver_now(deliver))) {
        return SMTP_TLS_MAY;
    }
    return SMTP_TLS_NONE;
}

void secure_options(struct deliver_connection *connection, struct smtp_client_options *options)
{
    const struct queue_plan *plan = connection->ready->queue.plan;
    const struct bytes user = queue_plan_user(plan), password = queue_plan_password(plan);
    connection->tls_policy = policy_of(connection);
    connection->tls_generation = deliver_of(connection)->queue.generation;
    options->tls = connection->tls_policy;
    options->tls_implicit = plan->tls_implicit;
    if (user.len == 0) return;
    connection->login_len = (uint32_t)(user.len + password.len);
    connection->login = base_alloc(connection->login_len); /* the plan may be replaced */
    memcpy(connection->login, user.data, user.len);
    memcpy(connection->login + user.len, password.data, password.len);
    options->user = (struct bytes){connection->login, user.len};
    options->password = (struct bytes){connection->login + user.len, password.len};
    options->auth_clear = plan->auth_clear;
}

/* ---- the handshake ----------------------------------------------------------------------------
 */

void secure_start(struct deliver_connection *connection)
{
    struct deliver *deliver = deliver_of(connection);
    const struct queue_tls *settings = settings_of(connection);
    const char *const name = connection->name;
    char space[KEY_MAX];
    if (settings->client == NULL) {
        smtp_client_insecure(&connection->client, "it is not set up");
        return;
    }
    const struct tls_connect_options options = {
        .sni = name,
        .names = settings->name_count > 0 ? settings->names : &name,
        .name_count = settings->name_count > 0 ? settings->name_count : 1,
        .verify = connection->tls_policy == SMTP_TLS_VERIFY,
        .session = sessions_find(&deliver->sessions, print_key(connection, space)),
        .now = ring_wall(deliver->ring),
    };
    connection->resuming = options.session != NULL;
    stream_start_tls(&connection->stream, tls_connect(settings->client, &options));
}

static uint8_t put(struct text *text, const char *word)
{
    const size_t before = text->len;
    text_put(text, bytes_of(word));
    return (uint8_t)(text->len - before);
}

void secure_done(struct deliver_connection *connection, const char *error)
{
    struct deliver *deliver = deliver_of(connection);
    struct deliver_tls *tls = &connection->tls;
    struct tls_info info;
    struct text text;
    if (error != NULL) {
        smtp_client_insecure(&connection->client, error);
        return;
    }
    smtp_client_secured(&connection->client);
    tls_get_info(stream_tls(&connection->stream), &info);
    text_init(&text, tls->text, sizeof(tls->text));
    tls->version_len = put(&text, info.version);
    tls->cipher_len = put(&text, info.cipher);
    tls->peer_len = put(&text, info.peer_name);
    tls->verified = info.verified;
    deliver_count(deliver, METRICS_TLS_OUT, 1);
    if (info.resumed) deliver_count(deliver, METRICS_TLS_OUT_RESUMED, 1);
}

bool secure_goes_on(struct deliver_connection *connection)
{
    struct deliver *deliver = deliver_of(connection);
    const struct queue_tls *settings = settings_of(connection);
    const struct bytes why = smtp_verdict_text(&connection->client.end_verdict);
    char space[KEY_MAX], words[SMTP_CLIENT_TEXT_MAX + 64];
    struct text text;
    deliver_count(deliver, METRICS_TLS_OUT_FAILED, 1);
    /* What it has to say about its end may leave; nothing is waited for. */
    stream_finish(&connection->stream);
    stream_set_deadline(&connection->stream, deliver_now(deliver) + DURATION_S(ALERT_S));
    if (connection->resuming) {
        sessions_forget(&deliver->sessions, print_key(connection, space));
        return true;
    }
    if (connection->tls_policy != SMTP_TLS_MAY) return false;
    text_init(&text, words, sizeof(words));
    text_printf(&text, "%.*s: in clear for %u s", BYTES_FMT(why), settings->fail_memory_s);
    connection_log(connection, text_bytes(&text));
    queue_clear_add(&deliver->clear, &connection->queue.peer,
                    deliver_now(deliver) + DURATION_S(settings->fail_memory_s));
    deliver_count(deliver, METRICS_TLS_OUT_CLEAR, 1);
    return true;
}

void secure_proved(struct deliver_connection *connection)
{
    struct deliver *deliver = deliver_of(connection);
    struct tls *tls = stream_tls(&connection->stream);
    char space[KEY_MAX];
    if (tls == NULL || connection->tls_generation != deliver->queue.generation) return;
    struct tls_session *session = tls_session_take(tls);
    if (session == NULL) return;
    sessions_keep(&deliver->sessions, print_key(connection, space), session);
}

void secure_end(struct deliver_connection *connection)
{
    base_free_secret(connection->login, connection->login_len);
    connection->login = NULL;
}
