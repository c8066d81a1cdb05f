/* SPDX-License-Identifier: Apache-2.0
 *
 * session - one injection connection: smtp_server between a stream and a spool draft
 *
 * Content goes from the receive buffer into the spool's write buffer in one pass. At the end of a
 * message the session stops reading until the commit has answered, so replies are in order by
 * themselves; what the client sent meanwhile waits in the stream.
 */
#include "internal.h"
#include <stdio.h>

enum {
    UNSENT_MAX = 64 * 1024, /* replies a client has not read: stop reading its commands */
    ENVELOPE_KEPT = 4096,   /* a larger buffer is not kept between transactions */
    KEPT_MAX = 64 << 20,    /* unread commands of all sessions of a worker */
};

/* How long a client that was told to go may take to notice. */
static const duration LINGER = DURATION_S(2), LINGER_AT_END = DURATION_MS(500);

static void drive(struct session *session, struct bytes *input);

/* ---- envelope
 * -------------------------------------------------------------------------------------- */

static void envelope_reserve(struct session *session, uint32_t more)
{
    const uint32_t wanted = session->envelope_len + more;
    if (wanted <= session->envelope_cap) return;
    uint32_t cap = session->envelope_cap ? session->envelope_cap : 1024;
    while (cap < wanted)
        cap *= 2;
    session->envelope = base_realloc(session->envelope, cap);
    session->envelope_cap = cap;
}

static void envelope_drop(struct session *session)
{
    if (session->envelope_cap > ENVELOPE_KEPT) {
        base_free(session->envelope);
        session->envelope = NULL;
        session->envelope_cap = 0;
    }
    session->envelope_len = 0;
    session->recipients = 0;
}

static void answer_mail(struct session *session, bool null_mx)
{
    if (null_mx) {
        envelope_drop(session);
        smtp_server_refuse(&session->smtp,
                           "550 5.7.27 The sender's domain accepts no mail (null MX)");
    } else {
        smtp_server_accept(&session->smtp, (struct bytes){0});
    }
}

static void on_mail(struct session *session, const struct smtp_server_out *out)
{
    switch (spool_admit(session->receive->spool, out->mail.size)) {
    case SPOOL_FULL:
        smtp_server_refuse(&session->smtp, "452 4.3.1 Insufficient system storage");
        return;
    case SPOOL_FAILED:
        smtp_server_refuse(&session->smtp, "452 4.3.0 Mail storage is failing, try again later");
        return;
    case SPOOL_OK:
        break;
    }
    const char *fault = session_sender_fault(session, out->path.address);
    if (fault != NULL) {
        smtp_server_refuse(&session->smtp, fault);
        return;
    }
    const struct smtp_envelope head = {
        .reverse_path = out->path.address,
        .envid = out->mail.envid,
        .client = bytes_of(session->client_text),
        .session_id = bytes_of(session->id_text),
        .body = out->mail.body,
        .ret = out->mail.ret,
        .protocol = smtp_server_protocol(&session->smtp),
        .smtputf8 = out->mail.smtputf8,
    };
    envelope_drop(session);
    envelope_reserve(session, SMTP_ENVELOPE_HEAD_MAX);
    session->envelope_len =
        (uint32_t)smtp_envelope_store_head(&head, session->envelope, session->envelope_cap);
    ASSERT(session->envelope_len > 0);
    const enum sender_verdict verdict = sender_check(session, out->path.domain);
    if (verdict != SENDER_ASKING) answer_mail(session, verdict == SENDER_NULL_MX);
}

void session_sender_known(struct session *session, bool null_mx)
{
    answer_mail(session, null_mx);
    session_go_on(session);
}

static void on_rcpt(struct session *session, const struct smtp_server_out *out)
{
    char address[SMTP_PATH_MAX + SMTP_DOMAIN_MAX + 2];
    struct text whole;
    text_init(&whole, address, sizeof(address));
    text_put(&whole, out->path.address);
    if (out->path.domain.len == 0) { /* Postmaster: ours (RFC 5321 section 4.5.1) */
        text_put(&whole, BYTES("@"));
        text_put(&whole, session->terms->options.smtp.hostname);
    }
    const struct smtp_recipient recipient = {
        .address = text_bytes(&whole),
        .orcpt = out->rcpt.orcpt,
        .notify = out->rcpt.notify,
    };
    envelope_reserve(session, SMTP_ENVELOPE_RECIPIENT_MAX);
    const size_t len =
        smtp_envelope_store_recipient(&recipient, session->envelope + session->envelope_len,
                                      session->envelope_cap - session->envelope_len);
    ASSERT(len > 0);
    session->envelope_len += (uint32_t)len;
    session->recipients += 1;
    if (session->recipients == 1 && out->path.address.len <= sizeof(session->first_recipient)) {
        session->first_recipient_len = (uint16_t)out->path.address.len;
        memcpy(session->first_recipient, out->path.address.data, out->path.address.len);
    }
    smtp_server_accept(&session->smtp, (struct bytes){0});
}

/* ---- content and commit
 * -------------------------------------------------------------------------------- */

static void on_begin(struct session *session)
{
    spool_draft_begin(&session->draft, session->receive->spool);
    session->drafting = true;
    sign_begin(session);
    smtp_server_accept(&session->smtp, (struct bytes){0});
}

static void on_content(struct session *session, struct bytes *input)
{
    size_t room;
    char *dst = spool_draft_room(&session->draft, &room);
    const size_t written = smtp_server_content(&session->smtp, input, dst, room);
    spool_draft_add(&session->draft, written);
    sign_content(session);
}

static void drop_draft(struct session *session)
{
    if (!session->drafting) return;
    session->drafting = false;
    sign_drop(session);
    spool_draft_abort(&session->draft);
}

/* One record for each recipient, so that each can be followed by itself. */
static void account_reception(struct session *session, const struct spool_message *message)
{
    struct receive *receive = session->receive;
    struct smtp_envelope envelope;
    struct smtp_recipient recipient;
    const struct bytes stored = {session->envelope, session->envelope_len};
    if (!receive->worker->events.options.account) return;
    if (!smtp_envelope_load(stored, &envelope)) return;
    struct event_record record = {
        .type = EVENT_RECEPTION,
        .id = message->id,
        .sender = envelope.reverse_path,
        .peer_name = smtp_server_helo(&session->smtp),
        .peer = &session->client,
        .reception_protocol = bytes_of(smtp_protocol_name(envelope.protocol)),
        .session_id = envelope.session_id,
        .authn_id = bytes_of(session->user != NULL ? session->user : ""),
        .size = message->content_size,
        .code = 250,
        .enhanced_class = 2,
        .content = BYTES("queued"),
        .created = (wall_ms)message->created_s * 1000,
        .queued_ms = -1,
        .dns_ms = -1,
        .connect_ms = -1,
        .transaction_ms =
            (int64_t)((ring_now(receive->worker->ring) - session->end_of_data) / DURATION_MS(1)),
    };
    if (stream_tls(&session->stream) != NULL) {
        struct tls_info info;
        tls_get_info(stream_tls(&session->stream), &info);
        record.tls_version = bytes_of(info.version);
        record.tls_cipher = bytes_of(info.cipher);
        record.tls_peer_name = bytes_of(info.peer_name);
        record.tls_verified = info.verified;
    }
    struct bytes cursor = envelope.recipients;
    while (smtp_recipient_next(&cursor, &recipient)) {
        record.recipient = recipient.address;
        record.queue = smtp_domain_of(recipient.address);
        event_account(&receive->worker->events, &record);
    }
}

static void count_reception(struct session *session, const struct spool_message *message)
{
    struct metrics *metrics = &session->receive->worker->metrics;
    const instant now = ring_now(session->receive->worker->ring);
    metrics_add(metrics, METRICS_MESSAGES_RECEIVED, 1);
    metrics_add(metrics, METRICS_RECIPIENTS_RECEIVED, session->recipients);
    metrics_add(metrics, METRICS_BYTES_RECEIVED, message->content_size);
    metrics_observe(metrics, METRICS_ACCEPT_US, (now - session->end_of_data) / 1000);
}

static void free_session(struct session *session)
{
    struct receive *receive = session->receive;
    base_free(session->envelope);
    session_forget_user(session);
    list_remove(&session->link);
    limits_leave(receive->limits, session->client_slot);
    listener_terms_unref(session->terms);
    metrics_gauge(&receive->worker->metrics, METRICS_SESSIONS_IN, -1);
    pool_put(&receive->session_pool, session);
}

/* The client, if it is still there, has been answered. */
static void message_over(struct session *session)
{
    struct bytes nothing = {0};
    envelope_drop(session);
    if (session->closed) {
        free_session(session);
        return;
    }
    if (session->receive->shutting_down) smtp_server_shut_down(&session->smtp);
    drive(session, &nothing);
    stream_resume(&session->stream);
}

static void on_committed(struct spool_draft *draft, enum spool_result result)
{
    struct session *session = CONTAINER_OF(draft, struct session, draft);
    struct receive *receive = session->receive;
    struct spool_message *message = draft->message;
    char id[EVENT_ID_TEXT_MAX];
    session->committing = false;
    if (result == SPOOL_OK) {
        count_reception(session, message);
        account_reception(session, message);
        event_id_print(message->id, id);
        if (!session->closed) smtp_server_accept(&session->smtp, bytes_of(id));
        receive->callbacks.accepted(receive->context, message);
    } else {
        metrics_add(&receive->worker->metrics, METRICS_MESSAGES_REFUSED, 1);
        receive->callbacks.message_free(receive->context, message);
        if (!session->closed) {
            smtp_server_refuse(&session->smtp,
                               result == SPOOL_FULL
                                   ? "452 4.3.1 Insufficient system storage"
                                   : "451 4.3.0 Mail storage failed, try again later");
        }
    }
    message_over(session);
}

void session_refuse_content(struct session *session, const char *reply)
{
    session->committing = false;
    spool_draft_abort(&session->draft);
    metrics_add(&session->receive->worker->metrics, METRICS_MESSAGES_REFUSED, 1);
    if (!session->closed) smtp_server_refuse(&session->smtp, reply);
    message_over(session);
}

void session_commit(struct session *session, struct bytes prefix, wall_ms now)
{
    struct receive *receive = session->receive;
    spool_draft_commit(&session->draft, receive->callbacks.message_new(receive->context),
                       (struct bytes){session->envelope, session->envelope_len}, prefix,
                       smtp_server_content_flags(&session->smtp), now, on_committed);
}

void session_commit_plain(struct session *session)
{
    const wall_ms now = ring_wall(session->receive->worker->ring);
    char prefix[TRACE_MAX];
    struct text trace;
    text_init(&trace, prefix, sizeof(prefix));
    trace_write(session, session->draft.id, now, &trace);
    session_commit(session, text_bytes(&trace), now);
}

static void on_end_of_data(struct session *session)
{
    const struct smtp_server_header *header = smtp_server_header(&session->smtp);
    for (uint32_t i = 0; i < header->cut_count; i++)
        spool_draft_cut(&session->draft, header->cuts[i].offset, header->cuts[i].len);

    smtp_envelope_patch_count(session->envelope, session->recipients);
    session->drafting = false;
    session->committing = true;
    session->end_of_data = ring_now(session->receive->worker->ring);
    if (!sign_end(session)) session_commit_plain(session);
}

/* ---- the loop
 * -------------------------------------------------------------------------------------------- */

static void set_deadline(struct session *session)
{
    const uint32_t seconds = smtp_server_deadline_s(&session->smtp);
    if (seconds == 0) {
        stream_set_deadline(&session->stream,
                            session->asking_dns ? session->ask_until : INSTANT_FOREVER);
        session->progress = session->smtp.progress - 1; /* the next state arms it anew */
    } else if (session->progress != session->smtp.progress) {
        session->progress = session->smtp.progress;
        stream_set_deadline(&session->stream,
                            ring_now(session->receive->worker->ring) + DURATION_S(seconds));
    }
}

void session_part_by(struct session *session, duration within)
{
    stream_set_deadline(&session->stream, ring_now(session->receive->worker->ring) + within);
}

/* The client does not read our replies: until on_drained its commands are left alone. When too many
 * clients do that at a time, the next one goes. */
static void wait_for_reader(struct session *session, size_t unread)
{
    struct receive *receive = session->receive;
    if (receive->streams.kept + unread > KEPT_MAX) {
        event_log(
            &receive->worker->events, EVENT_INFO, "receive",
            "%s: session %s closed: it does not read its replies, and there are too many such",
            session->client_text, session->id_text);
        stream_close(&session->stream);
        return;
    }
    stream_pause(&session->stream);
    set_deadline(session);
}

/* After QUIT nothing more comes. Who gets 421 may be in the middle of sending, and is to read it
 * all the same; only one that did nothing when we shut down does not keep us. */
static void part(struct session *session)
{
    const bool last = session->receive->shutting_down;
    if (last) session_part_by(session, LINGER_AT_END);
    if (session->thanked || (last && session->idle))
        stream_finish(&session->stream);
    else
        stream_finish_reading(&session->stream, last ? LINGER_AT_END : LINGER);
}

/* For people: what a client was refused. Whoever makes many mistakes does not get to fill the log:
 * after the first of a session they are details. */
static void log_refusal(struct session *session, struct bytes reply)
{
    if (reply.data[0] != '4' && reply.data[0] != '5') return;
    const char *end = memchr(reply.data, '\r', reply.len);
    const struct bytes line = {reply.data, end ? (size_t)(end - reply.data) : reply.len};
    event_log(&session->receive->worker->events, session->refused ? EVENT_DEBUG : EVENT_INFO,
              "receive", "%s: session %s: refused: %.*s", session->client_text, session->id_text,
              BYTES_FMT(line));
    session->refused = true;
}

/* Lets the machine run until it needs something from outside. */
static void drive(struct session *session, struct bytes *input)
{
    struct smtp_server_out out;
    struct metrics *metrics = &session->receive->worker->metrics;
    for (;;) {
        switch (smtp_server_next(&session->smtp, input, &out)) {
        case SMTP_SERVER_NEED_INPUT:
            set_deadline(session);
            return;
        case SMTP_SERVER_WAIT:
            if (!smtp_server_in_handshake(&session->smtp)) stream_pause(&session->stream);
            set_deadline(session);
            return;
        case SMTP_SERVER_REPLY:
            session->thanked = out.reply.data[0] == '2';
            stream_send_text(&session->stream, out.reply);
            log_refusal(session, out.reply);
            if (stream_unsent(&session->stream) > UNSENT_MAX) {
                wait_for_reader(session, input->len);
                return;
            }
            break;
        case SMTP_SERVER_MAIL:
            on_mail(session, &out);
            break;
        case SMTP_SERVER_RCPT:
            on_rcpt(session, &out);
            break;
        case SMTP_SERVER_BEGIN:
            on_begin(session);
            break;
        case SMTP_SERVER_CONTENT:
            on_content(session, input);
            break;
        case SMTP_SERVER_END:
            on_end_of_data(session);
            break;
        case SMTP_SERVER_STARTTLS:
            session_start_tls(session);
            break;
        case SMTP_SERVER_AUTH:
            session_auth(session, &out);
            break;
        case SMTP_SERVER_AUTH_OVER:
            session_auth_over(session);
            break;
        case SMTP_SERVER_ABORT:
            if (session->drafting) metrics_add(metrics, METRICS_MESSAGES_REFUSED, 1);
            drop_draft(session);
            envelope_drop(session);
            break;
        case SMTP_SERVER_CLOSE:
            part(session);
            return;
        }
    }
}

void session_go_on(struct session *session)
{
    struct bytes nothing = {0};
    drive(session, &nothing);
    stream_resume(&session->stream);
    if (session->receive->shutting_down) session_shut_down(session);
}

static size_t on_input(struct stream *stream, struct bytes input)
{
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    const size_t len = input.len;
    drive(session, &input);
    if (session->receive->shutting_down) session_shut_down(session);
    return len - input.len;
}

/* For an answer to what the machine has asked. */
static bool is_waiting(const struct session *session)
{
    return session->committing || session->asking_dns || session->asking_auth;
}

static void on_drained(struct stream *stream)
{
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    if (!stream->paused || is_waiting(session)) return;
    struct bytes nothing = {0};
    drive(session, &nothing); /* what the machine still had to say comes first */
    if (!is_waiting(session) && stream_unsent(stream) <= UNSENT_MAX) stream_resume(stream);
}

static void on_end(struct stream *stream, enum stream_end end, int error)
{
    (void)end, (void)error; /* a client may leave at any time; what was not 250 is not ours */
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    sender_cancel(session);
    session_auth_over(session);
    if (smtp_server_in_handshake(&session->smtp)) {
        session_handshake_failed(session, "the client has left");
    }
    stream_finish(stream);
}

static void on_deadline(struct stream *stream)
{
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    struct bytes nothing = {0};
    if (session->asking_dns) {
        sender_is_late(session);
        return;
    }
    if (smtp_server_in_handshake(&session->smtp)) { /* nothing can be said before TLS is there */
        if (!stream->finishing) session_handshake_failed(session, "no end of it in time");
        stream_close(stream);
        return;
    }
    event_log(&session->receive->worker->events, EVENT_INFO, "receive",
              "%s: session %s timed out while %s", session->client_text, session->id_text,
              smtp_server_doing(&session->smtp));
    if (stream->finishing || stream_unsent(stream) > 0) { /* it does not even read */
        stream_close(stream);
        return;
    }
    session->refused = true; /* the 421 needs no line of its own */
    smtp_server_timed_out(&session->smtp);
    drive(session, &nothing);
    session_part_by(session, LINGER);
}

static void on_closed(struct stream *stream)
{
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    drop_draft(session);
    sender_cancel(session);
    session_auth_over(session);
    session->closed = true;
    if (!session->committing) free_session(session);
}

static const struct stream_events events = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_secure = session_on_secure,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

/* ---- begin and end
 * ------------------------------------------------------------------------------------------ */

static bool may_relay(const struct receive_listener_options *options, const struct address *client)
{
    for (size_t i = 0; i < options->relay_from_count; i++) {
        if (address_in_network(client, &options->relay_from[i])) return true;
    }
    return false;
}

void session_start(struct receive *receive, struct listener_terms *terms, int fd,
                   const struct address *client, uint32_t client_slot)
{
    struct session *session = pool_get(&receive->session_pool);
    struct bytes nothing = {0};
    session->receive = receive;
    session->terms = terms;
    terms->refs += 1;
    session->client = *client;
    session->client_slot = client_slot;
    address_print_ip(client, session->client_text);
    snprintf(session->id_text, sizeof(session->id_text), "%016llx",
             (unsigned long long)random_u64(&receive->worker->random));
    list_push_back(&receive->sessions, &session->link);
    metrics_gauge(&receive->worker->metrics, METRICS_SESSIONS_IN, 1);
    smtp_server_init(&session->smtp, &terms->options.smtp, may_relay(&terms->options, client));
    session->progress = session->smtp.progress - 1;
    stream_accept(&session->stream, &receive->streams, fd, &events);
    if (terms->options.tls_implicit) {
        smtp_server_init_secured(&session->smtp);
        session_start_tls(session);
    }
    drive(session, &nothing);
}

void session_shut_down(struct session *session)
{
    struct bytes nothing = {0};
    if (session->stream.closing || session->stream.finishing) return;
    if (smtp_server_in_transaction(&session->smtp))
        return; /* on_committed and on_input ask again */
    smtp_server_shut_down(&session->smtp);
    drive(session, &nothing);
}

void session_abort(struct session *session)
{
    struct stream *stream = &session->stream;
    struct bytes nothing = {0};
    if (stream->closing || session->committing || session->aborted) return;
    session->aborted = true;
    if (session->asking_dns) sender_is_late(session);
    if (session->asking_auth) session_auth_late(session);
    if (!stream->finishing && stream_unsent(stream) > UNSENT_MAX) { /* it does not read */
        stream_close(stream);
        return;
    }
    if (!stream->finishing) {
        smtp_server_shut_down(&session->smtp);
        drive(session, &nothing);
    }
    session_part_by(session, LINGER_AT_END);
}
