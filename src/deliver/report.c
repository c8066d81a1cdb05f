/* SPDX-License-Identifier: Apache-2.0
 *
 * report - a DSN becomes a message of its own; only then its recipients are done
 *
 * The original's bytes are read while they are pinned, so a report needs nothing of it later. If it
 * cannot be stored, the recipients stay as they are and are tried again in a minute.
 */
#include "internal.h"

enum { STORE_AGAIN_S = 60 };

static void finish_entry(struct deliver_report *report)
{
    struct deliver *deliver = report->deliver;
    struct queue_entry *entry = report->entry;
    struct queue_message *message = entry->message;
    for (uint32_t i = 0; i < report->count; i++) {
        const struct deliver_finding *finding = &report->findings[i];
        if (finding->action == DSN_FAILED) {
            queue_recipient_settled(&deliver->queue, entry, finding->index, QUEUE_FAILED);
        } else if (finding->action == DSN_DELAYED) {
            *queue_status_of(entry, finding->index) |= QUEUE_DELAY_TOLD;
        }
    }
    if (entry->left > 0 && entry->deleted) {
        spool_message_changed(deliver->spool, &message->spool);
        queue_entry_renew(entry);
        home_start(deliver, entry);
        return;
    }
    if (entry->left > 0 && report->again) {
        queue_entry_renew(entry);
        home_start(deliver, entry);
    } else if (entry->left > 0) {
        const struct queue_site_options *options = queue_entry_options(&deliver->queue, entry);
        const instant now = deliver_now(deliver);
        const instant expiry = queue_entry_expiry(&deliver->queue, entry);
        instant due =
            now + queue_retry_pause(options, MAX(entry->attempts, 1u), &deliver->worker->random);
        if (due > expiry) due = MAX(expiry, now + DURATION_S(1));
        queue_entry_wait(&deliver->queue, entry, due);
    }
    if (message->entries_left == 0)
        home_message_done(deliver, message);
    else
        spool_message_changed(deliver->spool, &message->spool);
}

static void account_reception(struct deliver *deliver, const struct queue_message *message)
{
    struct smtp_envelope envelope;
    struct smtp_recipient to = {0};
    if (!deliver->worker->events.options.account) return;
    const struct spool_view view = spool_message_view(&message->spool);
    if (!smtp_envelope_load(view.envelope, &envelope)) return;
    struct bytes cursor = envelope.recipients;
    if (!smtp_recipient_next(&cursor, &to)) return;
    const struct event_record record = {
        .type = EVENT_RECEPTION,
        .id = message->spool.id,
        .recipient = to.address,
        .queue = smtp_domain_of(to.address),
        .reception_protocol = bytes_of(smtp_protocol_name(envelope.protocol)),
        .size = message->spool.content_size,
        .created = account_created(deliver, message),
        .queued_ms = -1,
        .dns_ms = -1,
        .connect_ms = -1,
        .transaction_ms = -1,
    };
    event_account(&deliver->worker->events, &record);
}

static void on_committed(struct spool_draft *draft, enum spool_result result)
{
    struct deliver_report *report = CONTAINER_OF(draft, struct deliver_report, draft);
    struct deliver *deliver = report->deliver;
    struct queue_entry *entry = report->entry;
    deliver->reports -= 1;
    if (result == SPOOL_OK) {
        deliver_count(deliver, METRICS_DSN_SENT, 1);
        account_reception(deliver, report->message);
        if (entry != NULL) finish_entry(report);
        deliver_accept(deliver, report->message);
    } else {
        event_log(&deliver->worker->events, EVENT_ERROR, "deliver",
                  "a delivery status notification could not be stored; trying again in %d s",
                  STORE_AGAIN_S);
        queue_message_free(&deliver->queue, report->message);
        if (entry != NULL) {
            queue_entry_wait(&deliver->queue, entry,
                             deliver_now(deliver) + DURATION_S(STORE_AGAIN_S));
        }
    }
    base_free(report);
    home_arm(deliver);
    deliver_look_drained(deliver);
}

static void fill(struct spool_draft *draft, struct bytes octets)
{
    while (octets.len > 0) {
        size_t room;
        char *place = spool_draft_room(draft, &room);
        const size_t part = MIN(room, octets.len);
        memcpy(place, octets.data, part);
        spool_draft_add(draft, part);
        octets = bytes_skip(octets, part);
    }
}

/* RFC 3461 section 5.2: from the null reverse-path, NOTIFY=NEVER, so that no DSN begets another. */
static struct bytes make_envelope(const struct dsn *dsn, bool eight_bit, char *out, size_t cap)
{
    const struct smtp_envelope envelope = {
        .recipient_count = 1,
        .body = eight_bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT,
        .protocol = SMTP_PROTOCOL_LOCAL,
        .smtputf8 = dsn_needs_smtputf8(dsn),
    };
    const struct smtp_recipient recipient = {.address = dsn->sender, .notify = SMTP_NOTIFY_NEVER};
    const size_t head = smtp_envelope_store_head(&envelope, out, cap);
    const size_t tail = smtp_envelope_store_recipient(&recipient, out + head, cap - head);
    ASSERT(head > 0 && tail > 0); /* a path has a maximal length */
    return (struct bytes){out, head + tail};
}

bool report_send(struct deliver_attempt *attempt, const struct deliver_finding *findings,
                 const struct dsn_recipient *recipients, uint32_t count, bool wait)
{
    struct deliver *deliver = attempt->deliver;
    const struct queue_message *original = attempt->entry->message;
    struct deliver_report *report =
        base_alloc(sizeof(*report) + count * sizeof(report->findings[0]));
    report->deliver = deliver;
    report->entry = wait ? attempt->entry : NULL;
    report->again = !attempt->deferred;
    report->count = count;
    memcpy(report->findings, findings, count * sizeof(*findings));
    report->message = queue_message_new(&deliver->queue);
    spool_draft_begin(&report->draft, deliver->spool);

    char id[EVENT_ID_TEXT_MAX];
    const struct dsn dsn = {
        .reporting_mta = bytes_of(deliver->queue.options->hostname),
        .sender = attempt->envelope.reverse_path,
        .id = bytes_of(event_id_print(report->draft.id, id)),
        .now = ring_wall(deliver->ring),
        .arrival = account_created(deliver, original),
        .envid = attempt->envelope.envid,
        .ret = attempt->envelope.ret,
        .recipients = recipients,
        .recipient_count = count,
        .original = attempt->view.pieces,
        .original_count = attempt->view.piece_count,
        .original_complete = true,
    };
    const size_t size = dsn_measure(&dsn);
    char *space = base_alloc(size + 1);
    struct text content;
    text_init(&content, space, size + 1);
    const uint8_t flags = dsn_write(&dsn, &content);
    fill(&report->draft, text_bytes(&content));
    base_free(space);

    char stored[SMTP_ENVELOPE_HEAD_MAX + SMTP_ENVELOPE_RECIPIENT_MAX];
    const struct bytes envelope =
        make_envelope(&dsn, flags & SMTP_CONTENT_8BIT, stored, sizeof(stored));
    deliver->reports += 1;
    spool_draft_commit(&report->draft, &report->message->spool, envelope, BYTES(""), flags, dsn.now,
                       on_committed);
    return wait;
}
