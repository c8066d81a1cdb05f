/* SPDX-License-Identifier: Apache-2.0
 *
 * account - one record for each attempt of a recipient
 */
#include "internal.h"

struct outcome_words words_of_verdict(const struct deliver_job *job,
                                      const struct smtp_verdict *verdict)
{
    return (struct outcome_words){
        .code = verdict->code,
        .enhanced = verdict->enhanced,
        .text = smtp_verdict_text(verdict),
        .peer_name = job_peer_name(job),
        .local = verdict->local,
    };
}

struct outcome_words words_of_error(const struct queue_error *error)
{
    return (struct outcome_words){
        .code = error->code,
        .enhanced = error->enhanced,
        .text = queue_error_text(error),
        .peer_name = queue_error_peer(error),
        .local = !error->reply,
    };
}

wall_ms account_created(const struct deliver *deliver, const struct queue_message *message)
{
    (void)deliver;
    return (wall_ms)message->spool.created_s * 1000;
}

/* For people: what ends otherwise than well, and - in detail - what is put off. */
static void log_line(const struct deliver *deliver, const struct queue_entry *entry,
                     enum event_type type, const struct smtp_recipient *recipient,
                     const struct outcome_words *words)
{
    static const char *const what[EVENT_TYPE_COUNT] = {
        [EVENT_TRANSIENT_FAILURE] = "put off",
        [EVENT_BOUNCE] = "refused",
        [EVENT_EXPIRATION] = "given up",
        [EVENT_ADMIN_BOUNCE] = "deleted",
    };
    struct event_sink *sink = &deliver->worker->events;
    const enum event_level level = type == EVENT_TRANSIENT_FAILURE ? EVENT_DEBUG : EVENT_INFO;
    if (what[type] == NULL || sink->options.level < level) return;
    char id[EVENT_ID_TEXT_MAX];
    event_log(sink, level, "deliver", "%s: <%.*s> %s: %u %.*s",
              event_id_print(entry->message->spool.id, id), BYTES_FMT(recipient->address),
              what[type], words->code, BYTES_FMT(words->text));
}

void account_recipient(struct deliver_attempt *attempt, enum event_type type,
                       const struct smtp_recipient *recipient, const struct outcome_words *words,
                       const struct deliver_job *job)
{
    struct deliver *deliver = attempt->deliver;
    const struct queue_entry *entry = attempt->entry;
    const struct queue_message *message = entry->message;
    const struct smtp_envelope *envelope = &attempt->envelope;
    log_line(deliver, entry, type, recipient, words);
    if (!deliver->worker->events.options.account) return;

    const instant now = deliver_now(deliver);
    struct event_record record = {
        .type = (uint8_t)type,
        .id = message->spool.id,
        .sender = envelope->reverse_path,
        .recipient = recipient->address,
        .queue = queue_domain_name(entry->domain),
        .reception_protocol = bytes_of(smtp_protocol_name(envelope->protocol)),
        .session_id = envelope->session_id,
        .size = message->spool.content_size,
        .code = words->code,
        .enhanced_class = words->enhanced.class,
        .enhanced_subject = words->enhanced.subject,
        .enhanced_detail = words->enhanced.detail,
        .content = words->text,
        .peer_name = words->peer_name,
        .created = account_created(deliver, message),
        .num_attempts = (uint16_t)MIN(entry->attempts + 1u, (uint32_t)UINT16_MAX),
        .queued_ms = (int64_t)(queue_message_age(&deliver->queue, message, now) / DURATION_MS(1)),
        .dns_ms = entry->dns_ms > 0 ? entry->dns_ms : -1,
        .connect_ms = job != NULL ? job->connect_ms : -1,
        .transaction_ms = job != NULL ? job->transaction_ms : -1,
    };
    /* To the millisecond as long as the low half of the instant is unambiguous (71 minutes). */
    if (message->accepted_us != 0 && record.queued_ms < 3600 * 1000) {
        const uint32_t now_us = (uint32_t)(now / DURATION_US(1));
        record.queued_ms = (now_us - message->accepted_us) / 1000;
    }
    if (entry->domain->site != NULL) record.site = queue_site_text(entry->domain->site);
    if (attempt->plan != NULL) {
        record.site = queue_plan_site(attempt->plan);
        record.egress_source = queue_plan_source(attempt->plan);
    }
    if (job != NULL && job->peer.family != 0) record.peer = &job->peer;
    if (job != NULL && job->transaction_ms >= 0) {
        record.delivery_protocol = bytes_of(job->protocol);
        record.tls_version = tls_text_version(&job->tls);
        record.tls_cipher = tls_text_cipher(&job->tls);
        record.tls_peer_name = tls_text_peer(&job->tls);
        record.tls_verified = job->tls.verified;
    }
    event_account(&deliver->worker->events, &record);
}
