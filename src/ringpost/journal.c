/* SPDX-License-Identifier: Apache-2.0
 *
 * journal - event buffers travel from every worker to worker 0, which writes the files, and back
 *
 * A full buffer leaves at the end of the turn, one partly filled after FLUSH_AFTER. So the log and
 * the account are at most that far behind, and a message costs no write of its own.
 */
#include "serve.h"

static const duration FLUSH_AFTER = DURATION_MS(100);

static struct worker *owner_of(const struct event_buffer *buffer)
{
    return CONTAINER_OF(buffer->sink, struct worker, events);
}

static void write_buffer(struct server *server, struct event_buffer *buffer)
{
    struct logfile *file = buffer->stream == EVENT_LOG ? server->log : server->account;
    if (file == NULL) {
        event_return(buffer->sink, buffer);
    } else {
        logfile_write(file, buffer);
    }
}

static struct event_buffer *buffer_of(struct inbox_node *node)
{
    return CONTAINER_OF(node, struct event_buffer, node);
}

static void buffer_arrived(struct inbox_node *node, void *context)
{
    const struct worker *worker = context;
    const struct part *part = worker->user;
    write_buffer(part->server, buffer_of(node));
}

static void buffer_came_back(struct inbox_node *node, void *context)
{
    (void)context;
    event_return(buffer_of(node)->sink, buffer_of(node));
}

static void on_written(void *context, struct event_buffer *buffer)
{
    struct server *server = context;
    struct worker *owner = owner_of(buffer);
    const struct part *part = owner->user;
    if (owner->index == 0 || part->gone) {
        event_return(buffer->sink, buffer); /* a worker that is gone does not look any more */
        return;
    }
    buffer->node.on_arrival = buffer_came_back;
    worker_post(&server->workers[0], owner->index, &buffer->node);
}

static void take(struct part *part, bool partly)
{
    for (unsigned stream = 0; stream < EVENT_STREAM_COUNT; stream++) {
        struct event_buffer *buffer =
            event_take(&part->worker->events, (enum event_stream)stream, partly);
        while (buffer != NULL) {
            struct inbox_node *next = buffer->node.next;
            if (part->worker->index == 0) {
                write_buffer(part->server, buffer);
            } else {
                buffer->node.on_arrival = buffer_arrived;
                worker_post(part->worker, 0, &buffer->node);
            }
            buffer = next == NULL ? NULL : buffer_of(next);
        }
    }
}

static void event_timer_fired(struct ring_timer *timer)
{
    take(CONTAINER_OF(timer, struct part, event_timer), true);
}

void journal_hook(void *context)
{
    struct part *part = context;
    bool waiting = false;
    take(part, part->state >= PART_STOPPING);
    for (unsigned stream = 0; stream < EVENT_STREAM_COUNT; stream++) {
        const struct event_buffer *filling = part->worker->events.streams[stream].filling;
        waiting |= filling != NULL && filling->len > 0;
    }
    if (waiting && !ring_timer_is_armed(&part->event_timer)) {
        ring_timer_arm(part->worker->ring, &part->event_timer,
                       ring_now(part->worker->ring) + FLUSH_AFTER);
    }
}

void journal_start(struct part *part)
{
    ring_timer_init(&part->event_timer, event_timer_fired);
    worker_add_hook(part->worker, WORKER_FLUSH, journal_hook, part);
}

void journal_open_account(struct server *server, const struct logfile_options *options)
{
    struct worker *worker = &server->workers[0];
    if (options->path[0] == '\0') return;
    server->account = logfile_create(worker->ring, options, on_written, server, &worker->events);
}

bool journal_open(struct server *server)
{
    struct worker *worker = &server->workers[0];
    server->log =
        logfile_create(worker->ring, &server->config->log, on_written, server, &worker->events);
    journal_open_account(server, &server->config->account);
    return server->log != NULL;
}

/* What worker 0 sent back to a worker after its last turn, before word of its end had come. */
static void collect(struct worker *worker)
{
    struct inbox_node *node;
    while ((node = worker_take_unread(worker)) != NULL) {
        while (node != NULL) {
            struct inbox_node *next = node->next;
            if (node->on_arrival == buffer_came_back) buffer_came_back(node, worker);
            node = next;
        }
    }
}

void journal_close(struct server *server)
{
    for (uint32_t i = 1; i < server->count; i++)
        collect(&server->workers[i]);
    if (server->log != NULL) logfile_destroy(&server->log);
    if (server->account != NULL) logfile_destroy(&server->account);
}
