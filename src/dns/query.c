/* SPDX-License-Identifier: Apache-2.0
 *
 * query - one question, its aliases followed, and the bound on questions in flight
 *
 *     IDLE ──start──▶ WAITING ──pump──▶ ASKED ──answer──▶ IDLE, on_done
 *                        ▲                │
 *                        └── next alias ──┘   (a server that knows only the alias; bounded)
 */
#include "private.h"

/* So many silent queries in a row are the resolver's fault, not that of one domain's servers. */
enum { SILENT_WARNING = 20 };

duration dns_ttl(const struct dns_options *options, const struct dns_answer *answer)
{
    const duration ttl = DURATION_S(answer->ttl);
    duration max = options->ttl_max;
    if (answer->seen == 0) max = answer->has_soa ? options->negative_ttl : options->failure_ttl;
    return MAX(MIN(ttl, max), DURATION_S(1));
}

/* ---- the resolver's health, for the log ------------------------------------------------------ */

static void note_silence(struct dns *dns, enum dns_error error)
{
    dns->silent += 1;
    if (dns->silent != SILENT_WARNING) return;
    event_log(dns->events, EVENT_WARNING, "dns",
              "no answer to %d queries in a row: %s; mail waits meanwhile", SILENT_WARNING,
              dns_error_phrase(error));
}

static void note_answer(struct dns *dns)
{
    if (dns->silent >= SILENT_WARNING) {
        event_log(dns->events, EVENT_INFO, "dns", "the name servers answer again");
    }
    dns->silent = 0;
}

static void note_result(struct dns *dns, enum dns_error error)
{
    if (error == DNS_ERROR_TIMEOUT || error == DNS_ERROR_UNREACHABLE) {
        note_silence(dns, error);
    } else {
        note_answer(dns);
    }
}

/* ---- the life of a query --------------------------------------------------------------------- */

static void wait_in_line(struct query *query)
{
    ASSERT(query->state == QUERY_IDLE);
    query->state = QUERY_WAITING;
    list_push_back(&query->dns->waiting, &query->link);
    query->dns->waiting_count += 1;
}

static void leave(struct query *query)
{
    if (query->state == QUERY_WAITING) query->dns->waiting_count -= 1;
    if (query->state == QUERY_ASKED) query->dns->asked_count -= 1;
    if (query->state != QUERY_IDLE) list_remove(&query->link);
    query->state = QUERY_IDLE;
}

static void finish(struct query *query, enum dns_error error, const struct dns_answer *answer)
{
    base_free(query->alias);
    query->alias = NULL;
    query->on_done(query, error, answer);
}

/* The answer ended in an alias, and its server said nothing of what is behind (RFC 1034 section
 * 3.6.2 lets an authoritative server do so): ask for that name. */
static bool leads_on(const struct dns_answer *answer)
{
    return answer->exists && answer->alias_count > 0 && answer->seen == 0 && !answer->has_soa;
}

static void follow(struct query *query, const struct dns_answer *answer)
{
    const size_t len = strlen(answer->name);
    char *alias = base_alloc(len + 1);
    memcpy(alias, answer->name, len);
    base_free(query->alias);
    query->alias = alias;
    wait_in_line(query);
}

static void on_answer(struct dns_backend_query *backend_query, enum dns_error error,
                      struct bytes message)
{
    struct query *query = CONTAINER_OF(backend_query, struct query, backend);
    struct dns *dns = query->dns;
    const char *name = query->alias != NULL ? query->alias : query->name;
    struct dns_answer answer = {0};
    leave(query);
    if (error == DNS_ERROR_NONE) {
        error = dns_answer_parse(message, bytes_of(name), query->type, &answer);
    }
    note_result(dns, error);
    if (error == DNS_ERROR_NONE) {
        query->alias_count += answer.alias_count;
        if (query->alias_count > DNS_CNAME_MAX) error = DNS_ERROR_CNAME_LOOP;
        query->ttl = answer.ttl = MIN(answer.ttl, query->ttl);
    }
    if (error == DNS_ERROR_NONE && leads_on(&answer)) {
        follow(query, &answer);
    } else {
        finish(query, error, &answer);
    }
    dns_query_pump(dns);
}

void dns_query_start(struct dns *dns, struct query *query, const char *name, enum dns_type type)
{
    ASSERT(query->state == QUERY_IDLE && query->alias == NULL);
    query->dns = dns;
    query->backend.on_answer = on_answer;
    query->name = name;
    query->type = (uint8_t)type;
    query->alias_count = 0;
    query->ttl = INT32_MAX;
    wait_in_line(query);
}

void dns_query_pump(struct dns *dns)
{
    while (dns->asked_count < dns->options.queries_max && !list_is_empty(&dns->waiting)) {
        struct query *query = CONTAINER_OF(dns->waiting.next, struct query, link);
        const char *name = query->alias != NULL ? query->alias : query->name;
        leave(query);
        query->state = QUERY_ASKED;
        list_push_back(&dns->asked, &query->link);
        dns->asked_count += 1;
        metrics_add(dns->metrics, METRICS_DNS_QUERIES, 1);
        dns_backend_ask(dns->backend, &query->backend, name, query->type);
    }
}

void dns_query_requeue(struct dns *dns)
{
    LIST_FOR_EACH(node, &dns->asked)
    {
        CONTAINER_OF(node, struct query, link)->state = QUERY_WAITING;
    }
    dns->waiting_count += dns->asked_count;
    dns->asked_count = 0;
    list_append_all(&dns->asked, &dns->waiting);
    list_append_all(&dns->waiting, &dns->asked);
}

void dns_query_forget(struct query *query)
{
    leave(query);
    base_free(query->alias);
    query->alias = NULL;
}
