/* SPDX-License-Identifier: Apache-2.0
 *
 * operator - the server's side of the control socket
 *
 * Worker 0 reads the request, sends it to every part, gathers what they answer, and writes the
 * rows. A query lives until all parts have answered, also when its client has gone meanwhile.
 */
#include "control.h"
#include "ringpost/stream.h"
#include "serve.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS_MAX = 32 };
static const duration PATIENCE = DURATION_S(30);

struct desk {
    struct ring_listener listener;
    struct stream_group streams;
    struct server *server;
    struct list clients;
    uint32_t client_count;
};

struct client {
    struct stream stream;
    struct list link;
    struct desk *desk;
    struct query *query; /* NULL: none under way */
};

/* A part's answer travels in here and back. */
struct query {
    struct server *server;
    struct client *client; /* NULL: it has gone */
    struct control_request request;
    uint32_t answers;
    json_t *total; /* of worker 0: sums and flags of the last line */
    struct query_part {
        struct inbox_node node;
        struct query *query;
        struct deliver_show show;
        json_t *rows; /* array, made by the part, taken by worker 0 */
        uint64_t count, messages, recipients;
        bool found;
    } parts[];
};

/* ---- on every worker: asking the modules
 * --------------------------------------------------------- */

/* What is not UTF-8 in it becomes U+FFFD, octet for octet: receivers answer in any character set.
 */
static json_t *json_text(struct bytes text)
{
    json_t *value = json_stringn(text.data, text.len);
    if (value != NULL) return value;
    char *clean = base_alloc(3 * text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        const size_t good = utf8_char_len(text.data + i, text.len - i);
        if (good > 0) memcpy(clean + len, text.data + i, good);
        if (good == 0) memcpy(clean + len, "\xef\xbf\xbd", 3);
        len += good > 0 ? good : 3;
        i += MAX(good, (size_t)1);
    }
    value = json_stringn(clean, len);
    base_free(clean);
    return value;
}

static void set_text(json_t *row, const char *key, struct bytes text)
{
    if (text.len > 0) json_object_set_new(row, key, json_text(text));
}

static void set_time(json_t *row, const char *key, wall_ms time)
{
    if (time != 0) json_object_set_new(row, key, json_real((double)time / 1000));
}

static void set_error(json_t *row, uint16_t code, struct bytes error, struct bytes peer)
{
    if (code != 0) json_object_set_new(row, "code", json_integer(code));
    set_text(row, "error", error);
    set_text(row, "peer", peer);
}

static void add_group(void *context, const struct deliver_group *group)
{
    json_t *row = json_object();
    set_text(row, "name", group->name);
    set_text(row, "site", group->site);
    json_object_set_new(row, "entries", json_integer(group->entries));
    json_object_set_new(row, "active", json_integer(group->active));
    json_object_set_new(row, "connections", json_integer(group->connections));
    set_time(row, "next_due", group->next_due);
    set_error(row, group->code, group->error, group->peer);
    json_array_append_new(context, row);
}

static json_t *item_row(const struct deliver_item *item)
{
    char id[EVENT_ID_TEXT_MAX];
    json_t *row = json_object();
    json_object_set_new(row, "id", json_string(event_id_print(item->id, id)));
    set_text(row, "domain", item->domain);
    json_object_set_new(row, "recipients", json_integer(item->recipients_left));
    json_object_set_new(row, "size", json_integer((json_int_t)item->size));
    json_object_set_new(row, "attempts", json_integer(item->attempts));
    json_object_set_new(row, "state", json_string(item->state));
    set_time(row, "created", item->created);
    set_time(row, "due", item->due);
    set_error(row, item->code, item->error, item->peer);
    return row;
}

static void add_item(void *context, const struct deliver_item *item)
{
    json_array_append_new(context, item_row(item));
}

static void add_entry(void *context, const struct deliver_item *item)
{
    json_t *row = item_row(item);
    json_object_set_new(row, "entry", json_true());
    json_array_append_new(context, row);
}

static const char *status_name(uint8_t status)
{
    switch ((enum queue_status)(status & QUEUE_STATUS_MASK)) {
    case QUEUE_PENDING:
        return status & QUEUE_DELAY_TOLD ? "queued, sender told of the delay" : "queued";
    case QUEUE_DELIVERED:
        return "delivered";
    case QUEUE_FAILED:
        return "failed";
    case QUEUE_DELETED:
        return "deleted";
    case QUEUE_STATUS_MASK:
    case QUEUE_DELAY_TOLD:
        break;
    }
    return "unknown";
}

static void add_recipient(void *context, const struct smtp_recipient *recipient, uint8_t status)
{
    json_t *row = json_object();
    set_text(row, "recipient", recipient->address);
    json_object_set_new(row, "status", json_string(status_name(status)));
    json_array_append_new(context, row);
}

static void answer_arrived(struct inbox_node *node, void *context);

static void answer(struct query_part *query_part, struct worker *worker)
{
    query_part->node.on_arrival = answer_arrived;
    worker_post(worker, 0, &query_part->node);
}

static void on_shown(struct deliver_show *show, bool found, const struct queue_message *message,
                     const struct smtp_envelope *envelope)
{
    struct query_part *query_part = CONTAINER_OF(show, struct query_part, show);
    struct query *query = query_part->query;
    struct worker *worker = &query->server->workers[query_part - query->parts];
    query_part->found = found;
    if (found) {
        char id[EVENT_ID_TEXT_MAX];
        json_t *row = json_object();
        json_object_set_new(row, "id", json_string(event_id_print(message->spool.id, id)));
        json_object_set_new(row, "size", json_integer(message->spool.content_size));
        set_time(row, "created", (wall_ms)message->spool.created_s * 1000);
        if (envelope->reverse_path.data != NULL) {
            json_object_set_new(row, "sender", json_text(envelope->reverse_path));
            set_text(row, "client", envelope->client);
            set_text(row, "session", envelope->session_id);
        }
        json_array_append_new(query_part->rows, row);
        deliver_show_entries(show->deliver, message, envelope, add_entry, add_recipient,
                             query_part->rows);
    }
    answer(query_part, worker);
}

static void gauge_set(struct metrics *metrics, enum metrics_gauge id, uint64_t value)
{
    metrics_gauge(metrics, id, (int64_t)value - metrics->gauges[id]);
}

static void counter_set(struct metrics *metrics, enum metrics_counter id, uint64_t value)
{
    metrics_add(metrics, id, value - metrics->counters[id]);
}

/* Lines are lost before they reach worker 0, which owns the files, or by the disk there. */
static void refresh_losses(struct part *part)
{
    struct metrics *metrics = &part->worker->metrics;
    const struct server *server = part->server;
    const struct event_stream_state *streams = part->worker->events.streams;
    const bool owner = part->worker->index == 0;
    uint64_t log = streams[EVENT_LOG].lost, account = streams[EVENT_ACCOUNT].lost;
    if (owner) log += logfile_lines_lost(server->log);
    if (owner && server->account != NULL) account += logfile_lines_lost(server->account);
    counter_set(metrics, METRICS_LOG_LINES_LOST, log);
    counter_set(metrics, METRICS_ACCOUNT_LINES_LOST, account);
}

static void refresh_gauges(struct part *part)
{
    struct metrics *metrics = &part->worker->metrics;
    struct deliver_totals totals;
    deliver_totals(part->deliver, &totals);
    const struct spool_stats spool = spool_stats(part->spool);
    gauge_set(metrics, METRICS_SESSIONS_OUT, totals.connections);
    gauge_set(metrics, METRICS_MESSAGE_BYTES, spool.memory_bytes);
    gauge_set(metrics, METRICS_SPOOL_SEGMENTS, spool.segments);
    gauge_set(metrics, METRICS_SPOOL_LIVE_BYTES, spool.live_bytes);
}

static void query_arrived(struct inbox_node *node, void *context)
{
    struct worker *worker = context;
    struct part *part = worker->user;
    struct query_part *query_part = CONTAINER_OF(node, struct query_part, node);
    const struct control_request *request = &query_part->query->request;
    const struct deliver_target target = {.id = request->id, .domain = bytes_of(request->domain)};
    struct deliver_totals totals;
    query_part->rows = json_array();
    if (part->deliver == NULL) { /* shutting down */
        answer(query_part, worker);
        return;
    }
    switch (request->command) {
    case CONTROL_SUMMARY:
        query_part->count = deliver_summary(part->deliver, request->by_site, request->limit,
                                            add_group, query_part->rows);
        deliver_totals(part->deliver, &totals);
        query_part->messages = totals.messages;
        query_part->recipients = totals.recipients;
        break;
    case CONTROL_LIST:
        query_part->count =
            deliver_list(part->deliver, target.domain, request->limit, add_item, query_part->rows);
        break;
    case CONTROL_SHOW:
        query_part->show.on_shown = on_shown;
        deliver_show(part->deliver, request->id, &query_part->show);
        return; /* on_shown answers */
    case CONTROL_RETRY:
        query_part->count = deliver_retry(part->deliver, &target);
        deliver_hosts_forget(part->deliver);
        break;
    case CONTROL_DELETE:
        query_part->count = deliver_delete(part->deliver, &target);
        break;
    case CONTROL_STATS:
        refresh_gauges(part);
        refresh_losses(part);
        break;
    case CONTROL_COMMAND_COUNT:
        UNREACHABLE("operator: no such command");
    }
    answer(query_part, worker);
}

/* ---- on worker 0: putting the answer together
 * ------------------------------------------------------ */

static void send_line(struct client *client, const json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    if (line == NULL) return;
    stream_send_text(&client->stream, bytes_of(line));
    stream_send_text(&client->stream, BYTES("\n"));
    free(line);
}

static void add_number(json_t *into, const json_t *from, const char *key)
{
    const json_int_t sum = json_integer_value(json_object_get(into, key)) +
                           json_integer_value(json_object_get(from, key));
    json_object_set_new(into, key, json_integer(sum));
}

/* Groups of the same name on several workers are one row: numbers add up, the soonest due counts.
 */
static json_t *merge_groups(struct query *query)
{
    json_t *by_name = json_object();
    for (uint32_t i = 0; i < query->server->count; i++) {
        size_t index;
        json_t *row;
        json_array_foreach(query->parts[i].rows, index, row)
        {
            const char *name = json_string_value(json_object_get(row, "name"));
            json_t *merged = json_object_get(by_name, name ? name : "");
            if (merged == NULL) {
                json_object_set(by_name, name ? name : "", row);
                continue;
            }
            add_number(merged, row, "entries");
            add_number(merged, row, "active");
            add_number(merged, row, "connections");
            const json_t *due = json_object_get(row, "next_due");
            const json_t *other = json_object_get(merged, "next_due");
            if (due != NULL &&
                (other == NULL || json_number_value(due) < json_number_value(other))) {
                json_object_set_new(merged, "next_due", json_real(json_number_value(due)));
            }
            json_object_update_missing(merged, row);
        }
    }
    return by_name;
}

static int by_entries(const void *a, const void *b)
{
    const json_t *const *left = a, *const *right = b;
    const json_int_t difference = json_integer_value(json_object_get(*right, "entries")) -
                                  json_integer_value(json_object_get(*left, "entries"));
    return difference < 0 ? -1 : difference > 0;
}

static void send_groups(struct query *query)
{
    json_t *groups = merge_groups(query);
    const size_t count = json_object_size(groups);
    json_t **sorted = base_alloc(count * sizeof(json_t *));
    size_t filled = 0;
    const char *name;
    json_t *row;
    json_object_foreach(groups, name, row)
    {
        sorted[filled++] = row;
    }
    qsort(sorted, count, sizeof(json_t *), by_entries);
    for (size_t i = 0; i < count && i < query->request.limit; i++)
        send_line(query->client, sorted[i]);
    base_free(sorted);
    json_decref(groups);
}

static void send_rows(struct query *query)
{
    uint32_t left = query->request.command == CONTROL_LIST ? query->request.limit : UINT32_MAX;
    for (uint32_t i = 0; i < query->server->count; i++) {
        size_t index;
        json_t *row;
        json_array_foreach(query->parts[i].rows, index, row)
        {
            if (left-- == 0) return;
            send_line(query->client, row);
        }
    }
}

static void send_stats(struct query *query)
{
    struct metrics *sum = aligned_alloc(64, sizeof(*sum));
    if (sum == NULL) return;
    memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < query->server->count; i++)
        metrics_collect(sum, &query->server->workers[i].metrics);
    json_t *object = stats_object(sum);
    const struct worker *worker = &query->server->workers[0];
    json_object_set_new(object, "workers", json_integer(query->server->count));
    json_object_set_new(object, "uptime_s",
                        json_real((double)(ring_now(worker->ring) - query->server->started) / 1e9));
    send_line(query->client, object);
    json_decref(object);
    free(sum);
}

static void send_total(struct query *query)
{
    uint64_t count = 0, messages = 0, recipients = 0;
    bool found = false;
    for (uint32_t i = 0; i < query->server->count; i++) {
        count += query->parts[i].count;
        messages += query->parts[i].messages;
        recipients += query->parts[i].recipients;
        found |= query->parts[i].found;
    }
    json_t *total = json_object();
    json_object_set_new(total, "ok", json_true());
    switch (query->request.command) {
    case CONTROL_SUMMARY:
        json_object_set_new(total, "groups", json_integer((json_int_t)count));
        json_object_set_new(total, "messages", json_integer((json_int_t)messages));
        json_object_set_new(total, "recipients", json_integer((json_int_t)recipients));
        break;
    case CONTROL_LIST:
        json_object_set_new(total, "rows",
                            json_integer((json_int_t)MIN(count, query->request.limit)));
        break;
    case CONTROL_SHOW:
        json_object_set_new(total, "found", json_boolean(found));
        break;
    case CONTROL_RETRY:
    case CONTROL_DELETE:
        json_object_set_new(total, "entries", json_integer((json_int_t)count));
        break;
    case CONTROL_STATS:
    case CONTROL_COMMAND_COUNT:
        break;
    }
    send_line(query->client, total);
    json_decref(total);
}

static void complete(struct query *query)
{
    struct client *client = query->client;
    if (client != NULL) {
        if (query->request.command == CONTROL_SUMMARY) {
            send_groups(query);
        } else if (query->request.command == CONTROL_STATS) {
            send_stats(query);
        } else {
            send_rows(query);
        }
        send_total(query);
        client->query = NULL;
        stream_finish(&client->stream);
    }
    for (uint32_t i = 0; i < query->server->count; i++)
        json_decref(query->parts[i].rows);
    base_free(query);
}

static void answer_arrived(struct inbox_node *node, void *context)
{
    struct query *query = CONTAINER_OF(node, struct query_part, node)->query;
    (void)context;
    if (++query->answers == query->server->count) complete(query);
}

/* ---- clients
 * ------------------------------------------------------------------------------------------ */

static void refuse(struct client *client, const char *why)
{
    json_t *object = json_object();
    json_object_set_new(object, "error", json_string(why));
    send_line(client, object);
    json_decref(object);
    stream_finish_reading(&client->stream, DURATION_S(1)); /* it may not be done with asking */
}

static void ask_parts(struct client *client, const struct control_request *request)
{
    struct server *server = client->desk->server;
    struct query *query = base_alloc(sizeof(*query) + server->count * sizeof(struct query_part));
    query->server = server;
    query->client = client;
    query->request = *request;
    client->query = query;
    for (uint32_t i = 0; i < server->count; i++) {
        query->parts[i].query = query;
        query->parts[i].node.on_arrival = query_arrived;
        worker_post(&server->workers[0], i, &query->parts[i].node);
    }
}

static size_t on_input(struct stream *stream, struct bytes input)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    const char *end = memchr(input.data, '\n', input.len);
    struct control_request request;
    char words[200];
    struct text why;
    text_init(&why, words, sizeof(words));
    if (client->query != NULL) return input.len; /* one request a connection */
    if (end == NULL) {
        if (input.len > CONTROL_REQUEST_MAX) refuse(client, "the request is too long");
        return input.len > CONTROL_REQUEST_MAX ? input.len : 0;
    }
    const struct bytes line = {input.data, (size_t)(end - input.data)};
    if (control_request_parse(line, &request, &why)) {
        ask_parts(client, &request);
    } else {
        refuse(client, words);
    }
    return input.len;
}

static void on_end(struct stream *stream, enum stream_end end, int error)
{
    const struct client *client = CONTAINER_OF(stream, struct client, stream);
    (void)error;
    if (end == STREAM_END_PEER && client->query != NULL) return; /* half-closed: it still reads */
    stream_close(stream);
}

static void on_deadline(struct stream *stream)
{
    stream_close(stream);
}

static void on_closed(struct stream *stream)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (client->query != NULL) client->query->client = NULL;
    list_remove(&client->link);
    client->desk->client_count -= 1;
    base_free(client);
}

static const struct stream_events client_events = {
    .on_input = on_input, .on_end = on_end, .on_deadline = on_deadline, .on_closed = on_closed};

static void on_accepted(struct ring_listener *listener, int fd, const struct address *peer)
{
    struct desk *desk = CONTAINER_OF(listener, struct desk, listener);
    struct ring *ring = desk->server->workers[0].ring;
    (void)peer;
    if (desk->client_count >= CLIENTS_MAX) {
        ring_fd_refuse(ring, fd, BYTES("{\"error\":\"too many connections\"}\n"));
        return;
    }
    struct client *client = base_alloc(sizeof(*client));
    client->desk = desk;
    list_push_back(&desk->clients, &client->link);
    desk->client_count += 1;
    stream_accept(&client->stream, &desk->streams, fd, &client_events);
    stream_set_deadline(&client->stream, ring_now(ring) + PATIENCE);
}

/* ---- open and close
 * --------------------------------------------------------------------------------------- */

bool operator_open(struct server *server, char *why, size_t why_size)
{
    static struct desk desk; /* of the process, like the server */
    struct ring *ring = server->workers[0].ring;
    desk = (struct desk){.server = server};
    list_init(&desk.clients);
    const int error = ring_listen_path(&desk.listener, ring, server->config->control, 0660);
    if (error < 0) {
        snprintf(why, why_size, "control socket %s: %s", server->config->control, strerror(-error));
        return false;
    }
    desk.listener.on_accepted = on_accepted;
    server->desk = &desk;
    return true;
}

void operator_start(struct server *server)
{
    struct desk *desk = server->desk;
    stream_group_init(&desk->streams, server->workers[0].ring);
    worker_add_hook(&server->workers[0], WORKER_FLUSH, stream_group_flush, &desk->streams);
    ring_accept_start(&desk->listener);
}

void operator_close(struct server *server)
{
    ring_path_remove(server->workers[0].ring, server->config->control);
    ring_listener_close(&server->desk->listener);
    LIST_FOR_EACH_SAFE(node, &server->desk->clients)
    {
        struct client *client = CONTAINER_OF(node, struct client, link);
        if (client->query == NULL) stream_close(&client->stream); /* or is being answered already */
    }
}

void operator_end(struct server *server)
{
    LIST_FOR_EACH_SAFE(node, &server->desk->clients)
    {
        stream_close(&CONTAINER_OF(node, struct client, link)->stream);
    }
}
