/* SPDX-License-Identifier: Apache-2.0
 *
 * report - a DSN becomes a message of its own; only then its recipients are done
 *
 * The original's bytes are read while they are pinned, so a report needs nothing of it later. Its
 * content waits in an open draft for the signatures, which the worker's desk makes in its turn. If
 * it cannot be stored, the recipients stay as they are and are tried again in a minute.
 */
#include "internal.h"
#include "ringpost/dkim/desk.h"

enum { STORE_AGAIN_S = 60 };

static void finish_entry(struct deliver *deliver, const struct deliver_report_part *part)
{
    struct queue_entry *entry = part->entry;
    struct queue_message *message = entry->message;
    for (uint32_t i = 0; i < part->count; i++) {
        const struct deliver_finding *finding = &part->findings[i];
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
    if (entry->left > 0 && part->again) {
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
    if (result == SPOOL_OK) {
        deliver_count(deliver, METRICS_DSN_SENT, 1);
        account_reception(deliver, report->message);
        for (uint32_t i = 0; i < report->part_count; i++) {
            if (report->parts[i].entry != NULL) finish_entry(deliver, &report->parts[i]);
        }
        deliver_accept(deliver, report->message);
    } else {
        event_log(&deliver->worker->events, EVENT_ERROR, "deliver",
                  "a delivery status notification could not be stored; trying again in %d s",
                  STORE_AGAIN_S);
        queue_message_free(&deliver->queue, report->message);
        const instant again = deliver_now(deliver) + DURATION_S(STORE_AGAIN_S);
        for (uint32_t i = 0; i < report->part_count; i++) {
            if (report->parts[i].entry == NULL) continue;
            queue_entry_wait(&deliver->queue, report->parts[i].entry, again);
        }
    }
    base_free(report->envelope);
    base_free(report);
    home_arm(deliver);
}

static void commit(struct deliver_report *report, struct bytes on_top)
{
    spool_draft_commit(&report->draft, &report->message->spool,
                       (struct bytes){report->envelope, report->envelope_len}, on_top,
                       report->content_flags, report->now, on_committed);
}

static void on_signed(void *context, struct bytes signatures, bool good)
{
    struct deliver_report *report = context;
    struct deliver *deliver = report->deliver;
    char id[EVENT_ID_TEXT_MAX];
    if (good) {
        deliver_count(deliver, METRICS_DKIM_SIGNATURES, report->signature_count);
    } else {
        event_log(
            &deliver->worker->events, EVENT_ERROR, "deliver",
            "message %s, a delivery status notification, is not signed: OpenSSL failed to use "
            "the key",
            event_id_print(report->draft.id, id));
        deliver_count(deliver, METRICS_DKIM_UNSIGNED, 1);
    }
    dkim_signers_unref(report->signers);
    commit(report, good ? signatures : (struct bytes){0});
    deliver->signing -= 1;
    if (!list_is_empty(&deliver->telling)) worker_keep_busy(deliver->worker);
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
static void keep_envelope(struct deliver_report *report, const struct dsn *dsn)
{
    const struct smtp_envelope envelope = {
        .recipient_count = 1,
        .body = report->content_flags & SMTP_CONTENT_8BIT ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT,
        .protocol = SMTP_PROTOCOL_LOCAL,
        .smtputf8 = dsn_needs_smtputf8(dsn),
    };
    const struct smtp_recipient recipient = {.address = dsn->sender, .notify = SMTP_NOTIFY_NEVER};
    char stored[SMTP_ENVELOPE_HEAD_MAX + SMTP_ENVELOPE_RECIPIENT_MAX];
    const size_t head = smtp_envelope_store_head(&envelope, stored, sizeof(stored));
    const size_t tail =
        smtp_envelope_store_recipient(&recipient, stored + head, sizeof(stored) - head);
    ASSERT(head > 0 && tail > 0); /* a path has a maximal length */
    report->envelope_len = (uint32_t)(head + tail);
    report->envelope = base_alloc(head + tail);
    memcpy(report->envelope, stored, head + tail);
}

static struct deliver_attempt *attempt_of(struct list *node)
{
    return CONTAINER_OF(node, struct deliver_attempt, tell_link);
}

/* One piece of memory: the report, its parts, their findings. */
static struct deliver_report *report_make(struct deliver *deliver, const struct list *attempts,
                                          uint32_t *recipient_count)
{
    uint32_t parts = 0, count = 0;
    LIST_FOR_EACH(node, attempts)
    {
        parts += 1;
        count += attempt_of(node)->findings.count;
    }
    struct deliver_report *report = base_alloc(sizeof(*report) + parts * sizeof(report->parts[0]) +
                                               count * sizeof(struct deliver_finding));
    struct deliver_finding *findings = (struct deliver_finding *)&report->parts[parts];
    report->deliver = deliver;
    LIST_FOR_EACH(node, attempts)
    {
        const struct deliver_attempt *attempt = attempt_of(node);
        report->parts[report->part_count++] = (struct deliver_report_part){
            .entry = report_is_waited_for(attempt) ? attempt->entry : NULL,
            .findings = findings,
            .count = attempt->findings.count,
            .again = !attempt->deferred,
        };
        memcpy(findings, attempt->findings.items, attempt->findings.count * sizeof(*findings));
        findings += attempt->findings.count;
    }
    *recipient_count = count;
    return report;
}

static struct dsn_recipient *collect_recipients(const struct list *attempts, uint32_t count)
{
    struct dsn_recipient *recipients = base_alloc(count * sizeof(*recipients));
    uint32_t at = 0;
    LIST_FOR_EACH(node, attempts)
    {
        const struct deliver_findings *findings = &attempt_of(node)->findings;
        memcpy(&recipients[at], findings->recipients, findings->count * sizeof(*recipients));
        at += findings->count;
    }
    return recipients;
}

/* Its signature fields, to be signed; how many. */
static uint32_t write_content(struct deliver_report *report, const struct dsn *dsn,
                              struct text *signatures, struct dkim_field *fields)
{
    const struct deliver *deliver = report->deliver;
    const size_t size = dsn_measure(dsn);
    char *space = base_alloc(size + 1);
    struct text content;
    uint32_t count = 0;
    text_init(&content, space, size + 1);
    report->content_flags = dsn_write(dsn, &content);
    fill(&report->draft, text_bytes(&content));
    if (deliver->signers != NULL && report->draft.result == SPOOL_OK)
        count = dkim_whole_write(deliver->signers, text_bytes(&content), (uint64_t)dsn->now / 1000,
                                 signatures, fields);
    base_free(space);
    return count;
}

/* To the disk, by way of the signature if there is to be one. */
static void send_off(struct deliver_report *report, const struct dsn *dsn)
{
    struct deliver *deliver = report->deliver;
    struct dkim_field fields[DKIM_SIGNATURES_MAX];
    char room[DKIM_SIGNATURES_MAX * DKIM_FIELD_MAX + 1];
    struct text signatures;
    text_init(&signatures, room, sizeof(room));
    report->signature_count = write_content(report, dsn, &signatures, fields);
    keep_envelope(report, dsn);
    if (report->signature_count == 0) {
        commit(report, (struct bytes){0});
        return;
    }
    report->signers = dkim_signers_ref(deliver->signers);
    deliver->signing += 1;
    dkim_desk_sign(deliver->desk, fields, report->signature_count, text_bytes(&signatures),
                   on_signed, report);
}

void report_send(struct deliver *deliver, const struct list *attempts)
{
    const struct deliver_attempt *attempt = attempt_of(attempts->next); /* any: one message */
    uint32_t count;
    struct deliver_report *report = report_make(deliver, attempts, &count);
    struct dsn_recipient *recipients = collect_recipients(attempts, count);
    report->message = queue_message_new(&deliver->queue);
    spool_draft_begin(&report->draft, deliver->spool);
    report->draft.notice = true;

    char id[EVENT_ID_TEXT_MAX];
    const struct dsn dsn = {
        .reporting_mta = bytes_of(deliver->queue.options->hostname),
        .sender = attempt->envelope.reverse_path,
        .id = bytes_of(event_id_print(report->draft.id, id)),
        .now = ring_wall(deliver->ring),
        .arrival = account_created(deliver, attempt->entry->message),
        .envid = attempt->envelope.envid,
        .ret = attempt->envelope.ret,
        .recipients = recipients,
        .recipient_count = count,
        .original = attempt->view.pieces,
        .original_count = attempt->view.piece_count,
        .original_complete = true,
    };
    report->now = dsn.now;
    send_off(report, &dsn);
    base_free(recipients);
}
