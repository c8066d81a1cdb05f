/* SPDX-License-Identifier: Apache-2.0
 *
 * reload - a new configuration, order by order
 *
 * Worker 0 reads the file and looks whether all of it can be had; if not, nothing changes. Then
 * every part adopts it and reports, and when all have reported the old one is given back. What only
 * a restart can change keeps its value, and the log says so.
 */
#include "serve.h"
#include <errno.h>

static struct part *part_of(void *worker)
{
    return ((struct worker *)worker)->user;
}

/* ---- may it be had? -------------------------------------------------------------------------- */

/* The value that is in force goes over into the new configuration, and its name into the list. */
static void keep(void *next, const void *running, size_t size, const char *name, struct text *names)
{
    if (memcmp(next, running, size) == 0) return;
    memcpy(next, running, size);
    text_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
}

static void keep_what_needs_a_restart(struct server *server, struct config *next)
{
    const struct config *running = server->config;
    char words[200];
    struct text names;
    text_init(&names, words, sizeof(words));
#define KEEP(field, name) keep(&next->field, &running->field, sizeof(next->field), name, &names)
    KEEP(workers.workers, "workers");
    KEEP(workers.pin, "pin_workers");
    KEEP(user, "user");
    KEEP(group, "group");
    KEEP(control, "control");
    KEEP(spool.path, "spool.path");
    KEEP(spool.segment_size, "spool.segment_size");
#undef KEEP
    if (names.len == 0) return;
    event_log(&server->workers[0].events, EVENT_WARNING, "serve", "%s: changes with a restart only",
              words);
}

static bool has_listener(const struct server *server, const struct address *address)
{
    const struct receive_options *receive = &server->config->receive;
    for (size_t i = 0; i < receive->listener_count; i++) {
        if (address_equal(&receive->listeners[i].address, address)) return true;
    }
    return false;
}

/* Is it just one of our own listeners that is in the way? The ports are shared among those. */
static bool is_our_port(const struct server *server, const struct address *address)
{
    const struct receive_options *receive = &server->config->receive;
    for (size_t i = 0; i < receive->listener_count; i++) {
        if (receive->listeners[i].address.port == address->port) return true;
    }
    return false;
}

static bool can_listen(struct server *server, const struct config *next)
{
    struct event_sink *events = &server->workers[0].events;
    for (size_t i = 0; i < next->receive.listener_count; i++) {
        const struct address *address = &next->receive.listeners[i].address;
        char text[ADDRESS_TEXT_MAX];
        if (has_listener(server, address)) continue;
        const int error = ring_listen_probe(server->workers[0].ring, address);
        if (error == 0 || (error == -EADDRINUSE && is_our_port(server, address))) continue;
        event_log(events, EVENT_ERROR, "serve", "cannot listen on %s: %s%s",
                  address_print(address, text), strerror(-error),
                  error == -EACCES ? " (such a port needs a restart as root)" : "");
        return false;
    }
    return true;
}

static void report_to_log(void *context, bool error, const char *text)
{
    struct server *server = context;
    event_log(&server->workers[0].events, error ? EVENT_ERROR : EVENT_WARNING, "config", "%s",
              text);
}

/* NULL: the log knows why. */
static struct config *load_next(struct server *server)
{
    const struct config_report report = {report_to_log, server};
    struct config *next = config_load(server->config_path, server->hostname, &report);
    if (next != NULL && !can_listen(server, next)) config_free(&next);
    if (next != NULL &&
        !config_read_files(next, server->tickets, ring_wall(server->workers[0].ring), &report)) {
        config_free(&next);
    }
    if (next == NULL) {
        event_log(&server->workers[0].events, EVENT_ERROR, "serve",
                  "%s has errors: the old configuration stays", server->config_path);
        return NULL;
    }
    keep_what_needs_a_restart(server, next);
    interfaces_add(next);
    serve_divide(next, server->count);
    ASSERT(serve_share_files(server, next)); /* enough to start was enough for this */
    return next;
}

/* ---- orders and reports ---------------------------------------------------------------------- */

static void all_reloaded(struct server *server)
{
    struct config *old = server->config;
    server->config = server->next_config;
    server->next_config = NULL;
    config_free(&old);
    logfile_configure(server->log, &server->config->log);
    /* Switched off, its file stays with what is still on its way there. */
    if (server->account != NULL && server->config->account.path[0] != '\0') {
        logfile_configure(server->account, &server->config->account);
    }
    event_log(&server->workers[0].events, EVENT_INFO, "serve", "reloaded %s", server->config_path);
    if (server->reload_again) {
        server->reload_again = false;
        reload_begin(server);
    }
}

static void reload_reported(struct inbox_node *node, void *context)
{
    struct server *server = part_of(context)->server;
    (void)node;
    if (--server->reload_reports == 0) all_reloaded(server);
}

static void reload_ordered(struct inbox_node *node, void *context)
{
    struct part *part = part_of(context);
    struct server *server = part->server;
    const struct config *config = server->next_config;
    struct event_sink *events = &part->worker->events;
    char why[256];
    (void)node;
    events->options.level = config->workers.events.level;
    events->options.account = config->workers.events.account;
    spool_set_limits(part->spool, &config->spool);
    deliver_set_options(part->deliver, &config->queue);
    deliver_set_signers(part->deliver, config->receive.signers);
    if (!dns_configure(part->dns, &config->dns, why, sizeof(why))) {
        event_log(events, EVENT_ERROR, "serve", "dns: %s; the old servers stay", why);
    }
    if (part->state == PART_RUNNING &&
        !receive_configure(part->receive, &config->receive, why, sizeof(why))) {
        event_log(events, EVENT_ERROR, "serve", "%s", why);
    }
    part->reload_report.on_arrival = reload_reported;
    worker_post(part->worker, 0, &part->reload_report);
}

void reload_begin(struct server *server)
{
    if (server->closing) return;
    if (server->next_config != NULL) {
        server->reload_again = true; /* one at a time; the file is read anew then */
        return;
    }
    logfile_reopen(server->log);
    struct config *next = load_next(server);
    if (next == NULL) return;
    server->next_config = next;
    if (server->account == NULL) journal_open_account(server, &next->account);
    server->reload_reports = server->count;
    for (uint32_t i = 0; i < server->count; i++) {
        server->parts[i].reload_order.on_arrival = reload_ordered;
        worker_post(&server->workers[0], i, &server->parts[i].reload_order);
    }
}
