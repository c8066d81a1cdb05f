/* SPDX-License-Identifier: Apache-2.0
 *
 * connection - one connection to a receiver: stream and smtp_client joined
 *
 * After every event pump() brings the three sides into line: results go home, queue learns how the
 * connection stands, and what smtp_client wants to say is queued. The sends themselves leave at the
 * end of the turn.
 */
#include "internal.h"

enum {
    LOCK_STEP_S = 86400, /* a receiver that was seen to mix up pipelined commands */
    SUSPICION_S = 600,   /* one that may have hung up because of them */
    /* A large content is on its way for long; a deadline that comes meanwhile is put off as long as
     * at least so much of it arrives in its time. With 180 s that is 182 octets a second. */
    BACKLOG = 128 * 1024,
    BACKLOG_STEP = 32 * 1024,
};
static const struct stream_events events;

static struct deliver *deliver_of(const struct deliver_connection *connection)
{
    return connection->ready->deliver;
}

static uint64_t ms_since(const struct deliver_connection *connection, instant then)
{
    const instant now = deliver_now(deliver_of(connection));
    return now > then ? (now - then) / DURATION_MS(1) : 0;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

void connection_open(struct deliver_ready *ready, const struct queue_target *target)
{
    struct deliver *deliver = ready->deliver;
    const struct queue_plan *plan = ready->queue.plan;
    struct deliver_connection *connection = pool_get(&deliver->connection_pool);
    connection->ready = ready;
    connection->began = deliver_now(deliver);
    list_init(&connection->held);
    list_push_back(&deliver->connections, &connection->link);
    deliver->connection_count += 1;

    const struct bytes name = queue_target_name(plan, target);
    connection->name_len = (uint8_t)MIN(name.len, (size_t)QUEUE_NAME_MAX);
    memcpy(connection->name, name.data, connection->name_len);
    const char *ehlo = plan->source.ehlo;
    if (ehlo[0] == '\0') ehlo = deliver->queue.options->hostname;
    memcpy(connection->ehlo, ehlo, MIN(strlen(ehlo), (size_t)QUEUE_NAME_MAX));

    queue_connection_opening(&ready->queue, &deliver->hosts, &connection->queue, &target->address);
    deliver_count(deliver, METRICS_CONNECTIONS_OUT, 1);
    metrics_gauge(&deliver->worker->metrics, METRICS_SESSIONS_OUT, 1);
    const struct address *source =
        target->address.family == 6 ? &plan->source.address6 : &plan->source.address4;
    stream_connect(&connection->stream, &deliver->streams, &connection->queue.peer,
                   source->family != 0 ? source : NULL, &events);
    stream_set_deadline(&connection->stream, connection->began + plan->options.connect_timeout);
}

void connection_log(const struct deliver_connection *connection, struct bytes words)
{
    char peer[ADDRESS_TEXT_MAX];
    event_log(&deliver_of(connection)->worker->events, EVENT_INFO, "deliver", "%.*s at %s: %.*s",
              (int)connection->name_len, connection->name,
              address_print(&connection->queue.peer, peer), BYTES_FMT(words));
}

/* It is of no use, and the host is to blame. */
static void host_failed(struct deliver_connection *connection, const struct queue_error_view *why)
{
    struct deliver *deliver = deliver_of(connection);
    connection->told = true;
    deliver_count(deliver, METRICS_CONNECTIONS_OUT_FAILED, 1);
    connection_log(connection, why->text);
    queue_connection_failed(&connection->ready->queue, &deliver->hosts, &connection->queue, why,
                            deliver_now(deliver));
    owner_dirty(connection->ready);
}

static void connect_failed(struct deliver_connection *connection, const char *reason)
{
    char peer[ADDRESS_TEXT_MAX], space[QUEUE_ERROR_TEXT_MAX];
    struct text words;
    text_init(&words, space, sizeof(space));
    text_printf(&words, "connect to %s: %s", address_print(&connection->queue.peer, peer), reason);
    const struct queue_error_view why = {
        .enhanced = {4, 4, 1}, /* RFC 3463: no answer from host */
        .text = text_bytes(&words),
    };
    host_failed(connection, &why);
    stream_close(&connection->stream);
}

static struct smtp_client_options client_options(struct deliver_connection *connection)
{
    const struct queue_ready *ready = &connection->ready->queue;
    const struct queue_site_options *options = &ready->plan->options;
    struct smtp_client_options client = smtp_client_options_default(bytes_of(connection->ehlo));
    const bool lock_step = deliver_now(deliver_of(connection)) < ready->lock_step_until;
    client.pipelining = options->pipelining && !lock_step;
    client.chunking = options->chunking && !lock_step;
    client.eight_bit = options->eight_bit;
    client.window_start = ready->window;
    client.window_max = options->window_max;
    client.window_octets_start = ready->window_octets;
    client.timeouts = options->timeouts;
    secure_options(connection, &client);
    return client;
}

/* ---- results -----------------------------------------------------------------------------------
 */

static bool is_untried(const struct deliver_job *job)
{
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++) {
        if (job->transaction.recipients[i].verdict.outcome != SMTP_OUTCOME_NOT_TRIED) return false;
    }
    return true;
}

/* 421, lost or silent before an answer about the message itself. */
static bool was_cut_short(const struct deliver_job *job)
{
    bool cut = false;
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++) {
        const struct smtp_verdict *verdict = &job->transaction.recipients[i].verdict;
        if (verdict->outcome == SMTP_OUTCOME_NOT_TRIED) continue;
        if (verdict->outcome != SMTP_OUTCOME_DEFERRED || verdict->code != 421) return false;
        cut = true;
    }
    return cut;
}

/* Is it worth another try now? A connection that worked before may have come to its end by a rule
 * of the receiver ("too many messages"): again on another one. One that never did makes its host
 * count as failed, and the others are there to be tried (RFC 5321 section 5.1). */
static bool may_go_elsewhere(struct deliver_connection *connection, struct deliver_job *job)
{
    if (!was_cut_short(job) || connection->suspect) return false;
    job->retried |= connection->useful > 0;
    return true;
}

/* As it was before it was offered. */
static void reset(struct deliver_job *job)
{
    struct smtp_transaction *transaction = &job->transaction;
    const struct smtp_transaction old = *transaction;
    job->connect_ms = job->transaction_ms = -1;
    *transaction = (struct smtp_transaction){
        .reverse_path = old.reverse_path,
        .envid = old.envid,
        .size = old.size,
        .content_flags = old.content_flags,
        .body = old.body,
        .ret = old.ret,
        .smtputf8 = old.smtputf8,
        .recipient_count = old.recipient_count,
        .recipients = old.recipients,
        .user = old.user,
    };
    for (uint32_t i = 0; i < old.recipient_count; i++) {
        const struct smtp_recipient to = old.recipients[i].to;
        old.recipients[i] = (struct smtp_transaction_recipient){.to = to};
    }
}

/* It was put back too often: what the connections died of is its outcome. */
static void give_up(const struct deliver_connection *connection, struct deliver_job *job)
{
    struct smtp_verdict verdict = connection->client.end_verdict;
    if (verdict.code == 0) {
        static const char words[] = "lost the connection";
        verdict = (struct smtp_verdict){.local = true, .code = 451, .enhanced = {4, 4, 2}};
        verdict.text_len = sizeof(words) - 1;
        memcpy(verdict.text, words, sizeof(words) - 1);
    }
    verdict.outcome = SMTP_OUTCOME_DEFERRED;
    if (verdict.enhanced.class == 5) verdict.enhanced.class = 4;
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++)
        job_recipient(job, i)->verdict = verdict;
}

/* In their order, to the front. */
static void put_back(struct deliver_connection *connection, struct list *jobs)
{
    struct queue_ready *ready = &connection->ready->queue;
    while (!list_is_empty(jobs)) {
        struct deliver_job *job = CONTAINER_OF(jobs->prev, struct deliver_job, link);
        list_remove(&job->link);
        /* Behind transactions that were decided about nobody waits for ever. */
        const bool counts = connection->useful == 0 || was_cut_short(job);
        if (queue_ready_put_back(ready, &job->queue, counts)) {
            reset(job);
            owner_dirty(connection->ready);
            continue;
        }
        if (is_untried(job)) give_up(connection, job);
        job_return(job);
    }
}

/* Nobody looks at the content of these any more. */
static void release_sent(struct deliver_connection *connection, uint64_t sent)
{
    const bool draining = deliver_of(connection)->draining;
    struct list again;
    list_init(&again);
    LIST_FOR_EACH_SAFE(node, &connection->held)
    {
        struct deliver_job *job = CONTAINER_OF(node, struct deliver_job, link);
        if (job->transaction.content_end > sent) continue;
        list_remove(&job->link);
        convert_end(job);
        if (!draining && (is_untried(job) || may_go_elsewhere(connection, job)))
            list_push_back(&again, &job->link);
        else
            job_return(job);
    }
    put_back(connection, &again);
}

static bool was_decided(const struct deliver_job *job)
{
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++) {
        const struct smtp_verdict *verdict = &job->transaction.recipients[i].verdict;
        /* 421 is about the connection, whatever it is the answer to (RFC 5321 section 3.8). */
        if (verdict->outcome == SMTP_OUTCOME_NOT_TRIED || verdict->code == 421) continue;
        if (!verdict->local) return true;
    }
    return false;
}

/* As RFC 3848 has it for the other side. */
static const char *protocol_of(const struct smtp_client *client)
{
    static const char *const names[] = {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"};
    if (client->extensions == 0 && !client->secured) return "SMTP";
    return names[2 * client->secured + client->authenticated];
}

static void settle(struct deliver_connection *connection, struct deliver_job *job)
{
    struct deliver *deliver = deliver_of(connection);
    connection->useful += was_decided(job);
    connection->suspect |= connection->useful == 0 && job->retried && was_cut_short(job);
    job->peer = connection->queue.peer;
    job->peer_name_len = connection->name_len;
    memcpy(job->peer_name, connection->name, connection->name_len);
    job->protocol = protocol_of(&connection->client);
    job_set_tls(job, &connection->tls);
    job->transaction_ms = (int32_t)MIN(ms_since(connection, job->queue.given), INT32_MAX);
    job->connect_ms = -1;
    if (!connection->first_job) {
        connection->first_job = true;
        job->connect_ms =
            (int32_t)MIN((connection->connected - connection->began) / DURATION_MS(1), INT32_MAX);
    }
    if (job->transaction.many) job->recipients_max = connection->client.limits.rcpt_max;
    queue_connection_settled(&connection->ready->queue, &connection->queue, &job->queue,
                             deliver_now(deliver));
    owner_dirty(connection->ready);
    /* A receiver may answer before it has read everything: until then the socket reads it. */
    list_push_back(&connection->held, &job->link);
}

/* ---- how it stands ------------------------------------------------------------------------------
 */

static bool host_is_to_blame(const struct deliver_connection *connection)
{
    const struct smtp_client *client = &connection->client;
    switch (client->end) {
    case SMTP_CLIENT_END_NONE:
    case SMTP_CLIENT_END_QUIT:
    case SMTP_CLIENT_END_SHUTDOWN:
        return false;
    case SMTP_CLIENT_END_TEMP:
    case SMTP_CLIENT_END_REFUSED:
    case SMTP_CLIENT_END_TLS:
        return true;
    case SMTP_CLIENT_END_CLOSED:
    case SMTP_CLIENT_END_BROKEN:
    case SMTP_CLIENT_END_LOST:
    case SMTP_CLIENT_END_TIMEOUT:
        break;
    }
    if (connection->queue.state == QUEUE_CONNECTION_OPENING) return true;
    /* Taken up, given something to do, and gone without deciding anything: no better than one that
     * does not answer. One that was confused by pipelining gets another chance without; and a job
     * that ends one connection after the other is the more likely cause. */
    return connection->useful == 0 && connection->queue.given > 0 && !client->misbehaved &&
           !connection->suspect;
}

/* It may be that batches of commands are what it does not like, whatever it announced. */
static bool died_pipelining(const struct deliver_connection *connection)
{
    return connection->queue.state == QUEUE_CONNECTION_OPEN &&
           connection->client.options.pipelining &&
           (connection->client.extensions & SMTP_EXT_PIPELINING);
}

static void lock_step(struct deliver_connection *connection, duration time, const char *why)
{
    struct queue_ready *ready = &connection->ready->queue;
    const instant now = deliver_now(deliver_of(connection));
    if (ready->lock_step_until <= now) connection_log(connection, bytes_of(why));
    ready->lock_step_until = MAX(ready->lock_step_until, now + time);
}

static void tell_end(struct deliver_connection *connection)
{
    struct deliver_ready *ready = connection->ready;
    const struct smtp_client *client = &connection->client;
    if (client->misbehaved) {
        lock_step(connection, DURATION_S(LOCK_STEP_S), "does not cope with pipelining: lock step");
    }
    if (connection->told || connection->queue.state >= QUEUE_CONNECTION_CLOSING) return;
    if (client->end == SMTP_CLIENT_END_TLS && secure_goes_on(connection)) {
        connection->told = true;
        return;
    }
    if (host_is_to_blame(connection)) {
        if (died_pipelining(connection)) {
            lock_step(connection, DURATION_S(SUSPICION_S),
                      "hung up on pipelined commands: lock step for a while");
        }
        const struct smtp_verdict *verdict = &client->end_verdict;
        const struct queue_error_view why = {
            .code = verdict->code,
            .enhanced = verdict->enhanced,
            .reply = !verdict->local,
            .text = smtp_verdict_text(verdict),
        };
        host_failed(connection, &why);
        return;
    }
    connection->told = true;
    if (connection->queue.state == QUEUE_CONNECTION_OPEN) {
        queue_connection_closing(&ready->queue, &connection->queue);
        owner_dirty(ready);
    }
}

static void tell_queue(struct deliver_connection *connection)
{
    struct deliver *deliver = deliver_of(connection);
    struct deliver_ready *ready = connection->ready;
    struct smtp_client *client = &connection->client;
    if (client->end != SMTP_CLIENT_END_NONE || client->state >= SMTP_CLIENT_CLOSING) {
        tell_end(connection);
        return;
    }
    if (client->state != SMTP_CLIENT_OPEN) return;
    const bool room = smtp_client_wants(client);
    if (connection->queue.state == QUEUE_CONNECTION_OPENING) {
        secure_proved(connection);
        queue_connection_opened(&ready->queue, &deliver->hosts, &connection->queue, room,
                                deliver_now(deliver));
        owner_dirty(ready);
        return;
    }
    if (connection->queue.state == QUEUE_CONNECTION_OPEN && room != connection->queue.room) {
        queue_connection_room(&ready->queue, &connection->queue, room);
        if (room && ready->queue.waiting > 0) owner_dirty(ready);
    }
}

/* ---- talking ------------------------------------------------------------------------------------
 */

static void arm_deadline(struct deliver_connection *connection)
{
    struct stream *stream = &connection->stream;
    const struct smtp_client_deadline deadline =
        smtp_client_deadline(&connection->client, stream_unsent(stream) > 0);
    const instant now = deliver_now(deliver_of(connection));
    stream_set_deadline(stream, deadline.seconds == 0 ? INSTANT_FOREVER
                                                      : now + DURATION_S(deadline.seconds));
}

static bool has_backlog(const struct deliver_connection *connection)
{
    return connection->stream.queued > connection->acked_seen + BACKLOG;
}

/* The receiver's system takes in what was sent, slowly. */
static bool backlog_moves(struct deliver_connection *connection)
{
    if (!connection->backlog) return false;
    const uint64_t acked = stream_acked(&connection->stream);
    if (acked < connection->acked_seen + BACKLOG_STEP) return false;
    connection->acked_seen = acked;
    return true;
}

static void set_deadline(struct deliver_connection *connection)
{
    struct smtp_client *client = &connection->client;
    struct stream *stream = &connection->stream;
    const bool owed = smtp_client_stage(client) != SMTP_STAGE_IDLE || stream_unsent(stream) > 0;
    const bool restart = client->progress != connection->progress_seen ||
                         stream->sent != connection->sent_seen ||
                         (owed && !connection->owed_seen) || (!owed && connection->owed_seen);
    connection->progress_seen = client->progress;
    connection->sent_seen = stream->sent;
    connection->owed_seen = owed;
    if (!restart) return;
    if (has_backlog(connection)) connection->acked_seen = stream_acked(stream);
    connection->backlog = has_backlog(connection);
    arm_deadline(connection);
}

static void flush_text(struct deliver_connection *connection, struct text *text)
{
    if (text->len == 0) return;
    if (connection->login != NULL) {
        stream_send_secret(&connection->stream, text_bytes(text));
        explicit_bzero(text->data, text->len);
    } else {
        stream_send_text(&connection->stream, text_bytes(text));
    }
    text->len = 0;
}

/* Queues all that can be said now; true: the connection is to be closed. */
static bool talk(struct deliver_connection *connection)
{
    char space[4 * SMTP_CLIENT_COMMAND_MAX];
    struct text text;
    struct smtp_transaction *transaction;
    text_init(&text, space, sizeof(space));
    while (connection->sending == NULL) {
        if (sizeof(space) - text.len <= SMTP_CLIENT_COMMAND_MAX + 1) flush_text(connection, &text);
        const enum smtp_client_action action =
            smtp_client_next(&connection->client, &text, &transaction);
        switch (action) {
        case SMTP_CLIENT_SEND_TEXT:
            break;
        case SMTP_CLIENT_SEND_DATA:
        case SMTP_CLIENT_SEND_BDAT:
            flush_text(connection, &text);
            (void)content_begin(connection, transaction->user, action == SMTP_CLIENT_SEND_DATA);
            break;
        case SMTP_CLIENT_START_TLS:
            flush_text(connection, &text);
            secure_start(connection);
            break;
        case SMTP_CLIENT_WAIT:
        case SMTP_CLIENT_CLOSE:
            flush_text(connection, &text);
            return action == SMTP_CLIENT_CLOSE;
        }
    }
    return false;
}

static void take_results(struct deliver_connection *connection)
{
    struct smtp_transaction *done;
    while ((done = smtp_client_take_done(&connection->client)) != NULL)
        settle(connection, done->user);
    tell_queue(connection);
}

static void pump(struct deliver_connection *connection)
{
    take_results(connection);
    /* Refused half-way: the rest is of no use to anybody. */
    if (connection->client.state == SMTP_CLIENT_ENDED) connection->sending = NULL;
    const bool close = talk(connection);
    take_results(connection);
    release_sent(connection, connection->stream.sent);
    if (close && !connection->stream.finishing)
        stream_close(&connection->stream);
    else if (!close)
        set_deadline(connection);
}

void connection_give(struct deliver_connection *connection, struct deliver_job *job)
{
    deliver_count(deliver_of(connection), METRICS_TRANSACTIONS_OUT, 1);
    convert_begin(connection, job);
    smtp_client_offer(&connection->client, &job->transaction);
    pump(connection);
}

void connection_quit(struct deliver_connection *connection)
{
    connection->told = true;
    smtp_client_quit(&connection->client);
    pump(connection);
}

void connection_abort(struct deliver_connection *connection)
{
    if (connection->stream.closing) return;
    connection->told = true;
    if (connection->speaking) {
        smtp_client_lost(&connection->client, SMTP_CLIENT_END_SHUTDOWN, connection->stream.sent);
        if (connection->queue.state == QUEUE_CONNECTION_OPEN) {
            queue_connection_closing(&connection->ready->queue, &connection->queue);
        }
        pump(connection);
    }
    stream_close(&connection->stream);
}

/* ---- events of the stream
 * ------------------------------------------------------------------------ */

static struct deliver_connection *of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct deliver_connection, stream);
}

static void on_open(struct stream *stream, int error)
{
    struct deliver_connection *connection = of_stream(stream);
    struct deliver *deliver = deliver_of(connection);
    if (error != 0) {
        connect_failed(connection, strerrordesc_np(-error));
        return;
    }
    connection->connected = deliver_now(deliver);
    metrics_observe(&deliver->worker->metrics, METRICS_CONNECT_US,
                    (connection->connected - connection->began) / DURATION_US(1));
    const struct smtp_client_options options = client_options(connection);
    smtp_client_init(&connection->client, &options);
    connection->speaking = true;
    pump(connection);
}

static size_t on_input(struct stream *stream, struct bytes input)
{
    struct deliver_connection *connection = of_stream(stream);
    struct bytes rest = input;
    smtp_client_input(&connection->client, &rest);
    pump(connection);
    return input.len;
}

static void on_secure(struct stream *stream, const char *error)
{
    struct deliver_connection *connection = of_stream(stream);
    secure_done(connection, error);
    pump(connection);
}

static void on_drained(struct stream *stream)
{
    struct deliver_connection *connection = of_stream(stream);
    if (!connection->speaking) return;
    if (connection->sending != NULL && !content_continue(connection)) {
        set_deadline(connection);
        return;
    }
    pump(connection);
}

static void lost(struct deliver_connection *connection, enum smtp_client_end end)
{
    if (connection->client.state != SMTP_CLIENT_ENDED) {
        smtp_client_lost(&connection->client, end, connection->stream.sent);
    }
    connection->sending = NULL;
    pump(connection);
    stream_close(&connection->stream);
}

static void on_end(struct stream *stream, enum stream_end end, int error)
{
    (void)end;
    (void)error;
    struct deliver_connection *connection = of_stream(stream);
    if (connection->speaking)
        lost(connection, SMTP_CLIENT_END_LOST);
    else
        connect_failed(connection, "connection lost");
}

static void on_deadline(struct stream *stream)
{
    struct deliver_connection *connection = of_stream(stream);
    if (!connection->speaking) {
        connect_failed(connection, "connection timed out");
    } else if (stream->sent != connection->sent_seen) {
        set_deadline(connection); /* parts of a large content have left meanwhile */
    } else if (backlog_moves(connection)) {
        arm_deadline(connection);
    } else {
        lost(connection, SMTP_CLIENT_END_TIMEOUT);
    }
}

static void on_closed(struct stream *stream)
{
    struct deliver_connection *connection = of_stream(stream);
    struct deliver *deliver = deliver_of(connection);
    struct deliver_ready *ready = connection->ready;
    release_sent(connection, UINT64_MAX);
    ASSERT(list_is_empty(&connection->held));
    if (connection->speaking && connection->client.delivered > 0) {
        ready->queue.window = (uint8_t)MIN(connection->client.window, UINT8_MAX);
        ready->queue.window_octets = connection->client.window_octets;
    }
    secure_end(connection);
    queue_connection_closed(&ready->queue, &deliver->hosts, &connection->queue);
    metrics_gauge(&deliver->worker->metrics, METRICS_SESSIONS_OUT, -1);
    list_remove(&connection->link);
    deliver->connection_count -= 1;
    pool_put(&deliver->connection_pool, connection);
    owner_dirty(ready);
    deliver_look_drained(deliver);
}

static const struct stream_events events = {
    .on_open = on_open,
    .on_input = on_input,
    .on_secure = on_secure,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};
