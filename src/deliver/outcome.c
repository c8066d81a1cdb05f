/* SPDX-License-Identifier: Apache-2.0
 *
 * outcome - what came of an attempt: state, account, retry time, and what the sender is told
 *
 * A job that comes back is recorded at once: what was delivered must not be delivered again because
 * another transaction of the same entry still hangs. What is to be reported waits for the end of
 * the attempt and of the turn, so that the sender gets one DSN for all of it.
 */
#include "internal.h"

enum { TELL_TOGETHER_MAX = 1024 }; /* attempts that are looked through for others of the message */

static wall_ms now_wall(const struct deliver *deliver)
{
    return ring_wall(deliver->ring);
}

static void find(struct deliver_attempt *attempt, uint32_t index,
                 const struct smtp_recipient *recipient, const struct outcome_words *words,
                 enum dsn_action action, bool expired)
{
    struct deliver_findings *findings = &attempt->findings;
    if (findings->items == NULL) {
        const uint32_t most = attempt->entry->count;
        findings->items = base_alloc(most * sizeof(*findings->items));
        findings->recipients = base_alloc(most * sizeof(*findings->recipients));
    }
    ASSERT(findings->count < attempt->entry->count);
    const wall_ms now = now_wall(attempt->deliver);
    findings->items[findings->count] =
        (struct deliver_finding){.index = index, .action = (uint8_t)action};
    struct dsn_recipient *told = &findings->recipients[findings->count++];
    *told = (struct dsn_recipient){
        .address = recipient->address,
        .orcpt = recipient->orcpt,
        .action = (uint8_t)action,
        .expired = expired,
        .local = words->local,
        .code = words->code,
        .text = words->text,
        .remote = words->local ? BYTES("") : words->peer_name,
        .status = words->enhanced,
        .last_attempt = now,
    };
    if (action == DSN_DELAYED) {
        const struct queue_site_options *options =
            queue_entry_options(&attempt->deliver->queue, attempt->entry);
        told->will_retry_until =
            (wall_ms)attempt->entry->message->spool.created_s * 1000 + options->expiry_s * 1000ll;
    }
    findings->wait |= action != DSN_RELAYED;
}

static void settle(struct deliver_attempt *attempt, uint32_t index, enum queue_status status)
{
    queue_recipient_settled(&attempt->deliver->queue, attempt->entry, index, status);
    attempt->changed = true;
}

static void keep_error(struct deliver_attempt *attempt, const struct outcome_words *words,
                       bool permanent)
{
    const struct queue_error_view view = {
        .code = words->code,
        .enhanced = words->enhanced,
        .reply = !words->local,
        .permanent = permanent,
        .text = words->text,
        .peer = words->peer_name,
    };
    queue_entry_set_error(&attempt->deliver->queue, attempt->entry, &view);
}

/* ---- a job is back -----------------------------------------------------------------------------
 */

static void delivered(struct deliver_attempt *attempt, struct deliver_job *job, uint32_t i)
{
    struct deliver *deliver = attempt->deliver;
    const struct queue_message *message = attempt->entry->message;
    const struct outcome_words words = words_of_verdict(job, &job_recipient(job, i)->verdict);
    deliver_count(deliver, METRICS_DELIVERED, 1);
    if (message->fresh) {
        const uint32_t now_us = (uint32_t)(deliver_now(deliver) / DURATION_US(1));
        metrics_observe(&deliver->worker->metrics, METRICS_DELIVERY_US,
                        now_us - message->accepted_us);
    }
    account_recipient(attempt, EVENT_DELIVERY, &job_recipient(job, i)->to, &words, job);
    settle(attempt, job->indexes[i], QUEUE_DELIVERED);
}

static void refused(struct deliver_attempt *attempt, struct deliver_job *job, uint32_t i)
{
    struct deliver *deliver = attempt->deliver;
    const struct smtp_recipient *to = &job_recipient(job, i)->to;
    const struct outcome_words words = words_of_verdict(job, &job_recipient(job, i)->verdict);
    attempt->tried = true;
    deliver_count(deliver, METRICS_BOUNCED, 1);
    account_recipient(attempt, EVENT_BOUNCE, to, &words, job);
    keep_error(attempt, &words, true);
    if (!dsn_is_due(DSN_FAILED, to->notify, attempt->envelope.reverse_path)) {
        settle(attempt, job->indexes[i], QUEUE_FAILED);
    }
}

static void deferred(struct deliver_attempt *attempt, struct deliver_job *job, uint32_t i)
{
    struct deliver *deliver = attempt->deliver;
    const struct smtp_verdict *verdict = &job_recipient(job, i)->verdict;
    const struct outcome_words words = words_of_verdict(job, verdict);
    attempt->tried = attempt->deferred = true;
    deliver_count(deliver, METRICS_TRANSIENT_FAILURES, 1);
    if (verdict->outcome == SMTP_OUTCOME_POSSIBLY_DELIVERED) {
        deliver_count(deliver, METRICS_POSSIBLY_DOUBLED, 1);
    }
    account_recipient(attempt, EVENT_TRANSIENT_FAILURE, &job_recipient(job, i)->to, &words, job);
    keep_error(attempt, &words, false);
}

/* true: something of it is left for the end of the attempt. */
static bool record(struct deliver_attempt *attempt, struct deliver_job *job, uint32_t i)
{
    const struct smtp_transaction_recipient *recipient = job_recipient(job, i);
    switch ((enum smtp_outcome)recipient->verdict.outcome) {
    case SMTP_OUTCOME_DELIVERED:
        delivered(attempt, job, i);
        return dsn_relayed_is_due(recipient->to.notify, attempt->envelope.reverse_path,
                                  job->transaction.next_hop_dsn);
    case SMTP_OUTCOME_REFUSED:
        refused(attempt, job, i);
        return true;
    case SMTP_OUTCOME_DEFERRED:
    case SMTP_OUTCOME_POSSIBLY_DELIVERED:
        deferred(attempt, job, i);
        return true;
    case SMTP_OUTCOME_NONE:
    case SMTP_OUTCOME_NOT_TRIED:
        return job->overdue;
    }
    UNREACHABLE("deliver: a verdict that is none");
}

static void learn(struct deliver_attempt *attempt, const struct deliver_job *job)
{
    struct queue_gate *gate = attempt->gate;
    if (job->recipients_max > 0) gate->recipients_max = job->recipients_max;
    if (!job->blocked) return;
    const struct outcome_words words =
        words_of_verdict(job, &job->transaction.recipients[0].verdict);
    const struct queue_error_view why = {
        .code = words.code,
        .enhanced = words.enhanced,
        .reply = !words.local,
        .text = words.text,
        .peer = words.peer_name,
    };
    struct deliver *deliver = attempt->deliver;
    queue_gate_block(&deliver->queue, gate, deliver_now(deliver) + job->blocked_for, &why);
}

void outcome_job(struct deliver_job *job)
{
    struct deliver_attempt *attempt = job->attempt;
    ASSERT(attempt->jobs_out > 0);
    attempt->jobs_out -= 1;
    learn(attempt, job);
    bool keep = false;
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++)
        keep |= record(attempt, job, i);
    if (keep)
        list_push_back(&attempt->jobs, &job->link);
    else
        job_free(job);
    if (attempt->jobs_out == 0) {
        outcome_end(attempt);
    } else if (attempt->changed && attempt->entry->message->entries_left > 0) {
        spool_message_changed(attempt->deliver->spool, &attempt->entry->message->spool);
        attempt->changed = false;
    }
}

/* ---- the end of an attempt ----------------------------------------------------------------------
 */

struct judgement { /* of the whole attempt */
    bool expired, delayed, deleted;
};

static struct judgement judge(const struct deliver_attempt *attempt)
{
    const struct deliver *deliver = attempt->deliver;
    const struct queue_entry *entry = attempt->entry;
    const struct queue_site_options *options = queue_entry_options(&deliver->queue, entry);
    const instant now = deliver_now(deliver);
    const duration age = queue_message_age(&deliver->queue, entry->message, now);
    return (struct judgement){
        .deleted = attempt->kind == ATTEMPT_DELETE || entry->deleted,
        .expired = attempt->kind == ATTEMPT_EXPIRY ||
                   (attempt->tried && queue_entry_expiry(&deliver->queue, entry) <= now),
        .delayed = options->delay_notice_s > 0 && age >= DURATION_S(options->delay_notice_s),
    };
}

/* A recipient that is still pending after a failure that may pass. */
static void pending(struct deliver_attempt *attempt, const struct judgement *judgement,
                    uint32_t index, const struct smtp_recipient *to,
                    const struct outcome_words *words, const struct deliver_job *job)
{
    const struct bytes sender = attempt->envelope.reverse_path;
    if (judgement->deleted) {
        account_recipient(attempt, EVENT_ADMIN_BOUNCE, to, words, job);
        settle(attempt, index, QUEUE_DELETED);
    } else if (judgement->expired) {
        deliver_count(attempt->deliver, METRICS_EXPIRED, 1);
        account_recipient(attempt, EVENT_EXPIRATION, to, words, job);
        if (dsn_is_due(DSN_FAILED, to->notify, sender)) {
            find(attempt, index, to, words, DSN_FAILED, true);
        } else {
            settle(attempt, index, QUEUE_FAILED);
        }
    } else if (judgement->delayed &&
               !(*queue_status_of(attempt->entry, index) & QUEUE_DELAY_TOLD) &&
               dsn_is_due(DSN_DELAYED, to->notify, sender)) {
        find(attempt, index, to, words, DSN_DELAYED, false);
    }
}

/* Of an entry that did not get to be tried; the error of the last time says more. */
static struct outcome_words words_of_waiting(const struct queue_entry *entry)
{
    if (entry->error != NULL) return words_of_error(entry->error);
    return (struct outcome_words){
        .enhanced = {4, 4, 7},
        .text = BYTES("could not be tried before its time ran out"),
        .local = true,
    };
}

/* It waited at its ready queue until its time was over. The settings may have changed meanwhile. */
static void overdue(struct deliver_attempt *attempt, struct judgement judgement, uint32_t index,
                    const struct smtp_recipient *to)
{
    const struct deliver *deliver = attempt->deliver;
    const struct outcome_words words = words_of_waiting(attempt->entry);
    judgement.expired = queue_entry_expiry(&deliver->queue, attempt->entry) <= deliver_now(deliver);
    pending(attempt, &judgement, index, to, &words, NULL);
}

static void end_of_job(struct deliver_attempt *attempt, struct deliver_job *job,
                       const struct judgement *judgement)
{
    for (uint32_t i = 0; i < job->transaction.recipient_count; i++) {
        const struct smtp_transaction_recipient *recipient = job_recipient(job, i);
        const struct smtp_recipient *to = &recipient->to;
        const uint32_t index = job->indexes[i];
        const struct outcome_words words = words_of_verdict(job, &recipient->verdict);
        switch ((enum smtp_outcome)recipient->verdict.outcome) {
        case SMTP_OUTCOME_DELIVERED:
            if (dsn_relayed_is_due(to->notify, attempt->envelope.reverse_path,
                                   job->transaction.next_hop_dsn)) {
                find(attempt, index, to, &words, DSN_RELAYED, false);
            }
            break;
        case SMTP_OUTCOME_REFUSED:
            if (queue_is_pending(*queue_status_of(attempt->entry, index))) {
                find(attempt, index, to, &words, DSN_FAILED, false);
            }
            break;
        case SMTP_OUTCOME_DEFERRED:
        case SMTP_OUTCOME_POSSIBLY_DELIVERED:
            pending(attempt, judgement, index, to, &words, job);
            break;
        case SMTP_OUTCOME_NONE:
        case SMTP_OUTCOME_NOT_TRIED:
            if (job->overdue) overdue(attempt, *judgement, index, to);
            break;
        }
    }
}

/* All pending recipients have the same fate: no jobs were made. */
static void end_without_jobs(struct deliver_attempt *attempt, const struct judgement *judgement)
{
    struct deliver *deliver = attempt->deliver;
    struct queue_entry *entry = attempt->entry;
    const struct queue_error *error = entry->error;
    struct outcome_words words = words_of_waiting(entry);
    if (attempt->kind == ATTEMPT_DELETE) {
        words = (struct outcome_words){.local = true, .text = BYTES("deleted by the operator")};
    }
    const bool permanent = attempt->kind == ATTEMPT_FAILURE && error != NULL && error->permanent;
    for (uint32_t i = 0; i < entry->count && entry->left > 0; i++) {
        struct smtp_recipient to;
        if (!queue_is_pending(*queue_status_of(entry, i))) continue;
        ASSERT(queue_entry_recipient(entry, &attempt->envelope, i, &to)); /* it was checked */
        if (permanent && !judgement->deleted) {
            deliver_count(deliver, METRICS_BOUNCED, 1);
            account_recipient(attempt, EVENT_BOUNCE, &to, &words, NULL);
            if (dsn_is_due(DSN_FAILED, to.notify, attempt->envelope.reverse_path)) {
                find(attempt, i, &to, &words, DSN_FAILED, false);
            } else {
                settle(attempt, i, QUEUE_FAILED);
            }
            continue;
        }
        if (attempt->kind == ATTEMPT_FAILURE) {
            deliver_count(deliver, METRICS_TRANSIENT_FAILURES, 1);
            account_recipient(attempt, EVENT_TRANSIENT_FAILURE, &to, &words, NULL);
        }
        pending(attempt, judgement, i, &to, &words, NULL);
    }
}

/* Deleted by the operator while it was out: what was put back untried goes as well. */
static void delete_rest(struct deliver_attempt *attempt)
{
    struct queue_entry *entry = attempt->entry;
    const struct outcome_words words = {.local = true, .text = BYTES("deleted by the operator")};
    struct smtp_recipient to;
    for (uint32_t i = 0; i < entry->count && entry->left > 0; i++) {
        if (!queue_is_pending(*queue_status_of(entry, i))) continue;
        if (attempt->pinned && queue_entry_recipient(entry, &attempt->envelope, i, &to)) {
            account_recipient(attempt, EVENT_ADMIN_BOUNCE, &to, &words, NULL);
        }
        settle(attempt, i, QUEUE_DELETED);
    }
}

/* When it is tried again. */
static void schedule(struct deliver_attempt *attempt)
{
    struct deliver *deliver = attempt->deliver;
    struct queue_entry *entry = attempt->entry;
    const instant now = deliver_now(deliver);
    if (!attempt->deferred || entry->deleted) {
        /* Nobody has decided about the rest: at once, or by the next process. So it is with what
         * the operator has deleted while the sender was still to be told. */
        queue_entry_renew(entry);
        home_start(deliver, entry);
        return;
    }
    const struct queue_site_options *options = queue_entry_options(&deliver->queue, entry);
    if (entry->attempts < UINT16_MAX) entry->attempts += 1;
    instant due = now + queue_retry_pause(options, entry->attempts, &deliver->worker->random);
    /* The last try comes at the end of its time, not before and not after. */
    const instant expiry = queue_entry_expiry(&deliver->queue, entry);
    if (due > expiry) due = MAX(expiry, now + DURATION_S(1));
    queue_entry_wait(&deliver->queue, entry, due);
    attempt->changed = true;
}

static void attempt_free(struct deliver_attempt *attempt)
{
    struct deliver *deliver = attempt->deliver;
    struct queue_message *message = attempt->entry->message;
    while (!list_is_empty(&attempt->jobs))
        job_free(CONTAINER_OF(list_pop_front(&attempt->jobs), struct deliver_job, link));
    base_free(attempt->findings.items);
    base_free(attempt->findings.recipients);
    if (attempt->gate != NULL) queue_back(&deliver->queue, attempt->gate, attempt->entry);
    queue_plan_put(&attempt->plan);
    if (attempt->pinned) spool_message_unpin(deliver->spool, &message->spool);
    if (message->entries_left == 0)
        home_message_done(deliver, message);
    else if (attempt->changed)
        spool_message_changed(deliver->spool, &message->spool);
    pool_put(&deliver->attempts, attempt);
    deliver->attempts_out -= 1;
    home_arm(deliver);
    deliver_look_drained(deliver);
}

/* What is left of the entry goes on: by its DSN when that is durable, else by the schedule. */
static void go_on(struct deliver_attempt *attempt)
{
    struct queue_entry *entry = attempt->entry;
    if (entry->left > 0) {
        entry->message->fresh = false;
        if (report_is_waited_for(attempt)) {
            queue_entry_report(entry); /* the rest follows in report.c */
            if (attempt->deferred && entry->attempts < UINT16_MAX) entry->attempts += 1;
        } else {
            /* A deleted entry may end right in there, and the message with it. */
            entry->message->entries_left += 1;
            schedule(attempt);
            entry->message->entries_left -= 1;
        }
    }
    attempt_free(attempt);
}

/* Attempts of one message that end in one turn get one DSN. */
static void tell_later(struct deliver_attempt *attempt)
{
    struct deliver *deliver = attempt->deliver;
    attempt->entry->message->entries_left += 1; /* stays until then, whatever else ends */
    list_push_back(&deliver->telling, &attempt->tell_link);
    deliver->telling_count += 1;
    worker_keep_busy(deliver->worker);
}

static void take_same_message(struct deliver *deliver, struct list *group)
{
    struct deliver_attempt *first =
        CONTAINER_OF(list_pop_front(&deliver->telling), struct deliver_attempt, tell_link);
    uint32_t looked_at = 0;
    list_push_back(group, &first->tell_link);
    if (queue_message_entries(first->entry->message) == 1) return;
    LIST_FOR_EACH_SAFE(node, &deliver->telling)
    {
        struct deliver_attempt *other = CONTAINER_OF(node, struct deliver_attempt, tell_link);
        if (looked_at++ == TELL_TOGETHER_MAX) return;
        if (other->entry->message != first->entry->message) continue;
        list_remove(node);
        list_push_back(group, node);
    }
}

void outcome_tell(struct deliver *deliver)
{
    struct list group, *node;
    for (uint32_t i = 0; !list_is_empty(&deliver->telling); i++) {
        if (deliver->signing >= SIGNING_MAX) return; /* the next one that is signed calls us */
        if (i == REPORT_BUDGET) break;
        list_init(&group);
        take_same_message(deliver, &group);
        report_send(deliver, &group);
        while ((node = list_pop_front(&group)) != NULL) {
            struct deliver_attempt *attempt = CONTAINER_OF(node, struct deliver_attempt, tell_link);
            deliver->telling_count -= 1;
            attempt->entry->message->entries_left -= 1;
            go_on(attempt);
        }
        worker_keep_busy(deliver->worker);
    }
}

void outcome_end(struct deliver_attempt *attempt)
{
    struct deliver *deliver = attempt->deliver;
    struct queue_entry *entry = attempt->entry;
    struct judgement judgement = {0};
    if (entry->left > 0) judgement = judge(attempt);
    LIST_FOR_EACH(node, &attempt->jobs)
    {
        end_of_job(attempt, CONTAINER_OF(node, struct deliver_job, link), &judgement);
    }
    if (attempt->kind != ATTEMPT_JOBS) {
        attempt->deferred = true;
        if (attempt->pinned)
            end_without_jobs(attempt, &judgement);
        else
            deliver_count(deliver, METRICS_TRANSIENT_FAILURES, entry->left);
    }
    if (judgement.deleted && entry->left > 0 && attempt->findings.count == 0) delete_rest(attempt);

    if (attempt->findings.count == 0)
        go_on(attempt);
    else
        tell_later(attempt);
}

/* Content or envelope cannot be read: nobody can be told. It is tried again like any failure (a
 * disk may come back), and given up with an error in the log when its time is over. */
void outcome_unreadable(struct deliver_attempt *attempt)
{
    struct deliver *deliver = attempt->deliver;
    struct queue_entry *entry = attempt->entry;
    static const struct outcome_words words = {
        .enhanced = {4, 3, 0},
        .text = {"the message cannot be read from the spool", 41},
        .local = true,
    };
    char id[EVENT_ID_TEXT_MAX];
    keep_error(attempt, &words, false);
    entry->message->failed = true;
    attempt->tried = true;
    const struct judgement judgement = judge(attempt);
    event_log(&deliver->worker->events, EVENT_ERROR, "deliver",
              "%s: the message cannot be read from the spool%s",
              event_id_print(entry->message->spool.id, id),
              judgement.expired || judgement.deleted ? "; given up" : "");
    for (uint32_t i = 0; i < entry->count && (judgement.expired || judgement.deleted); i++) {
        if (!queue_is_pending(*queue_status_of(entry, i))) continue;
        settle(attempt, i, judgement.deleted ? QUEUE_DELETED : QUEUE_FAILED);
    }
    if (entry->left > 0) {
        attempt->deferred = true;
        schedule(attempt);
    }
    attempt_free(attempt);
}
