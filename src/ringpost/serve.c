/* SPDX-License-Identifier: Apache-2.0
 *
 * serve - puts the server together, runs it, takes it apart
 *
 * Order of the start: what needs root (ports), then the drop to the configured user, then what must
 * belong to that user (spool, logs). Nothing is accepted before the spool has been recovered.
 */
#include "serve.h"
#include "descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const duration TICK = DURATION_S(1);

static bool complain(const char *text)
{
    fprintf(stderr, "ringpost: %s\n", text);
    return false;
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static void on_signal(struct ring_poll *poll, uint32_t events)
{
    struct server *server = CONTAINER_OF(poll, struct server, signals);
    struct event_sink *log = &server->workers[0].events;
    struct signalfd_siginfo info;
    (void)events;
    while (read(server->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload_begin(server);
        } else if (server->closing) {
            _exit(0); /* asked twice: at once. What was answered 250 is on disk */
        } else {
            event_log(log, EVENT_INFO, "serve", "signal %u: shutting down", info.ssi_signo);
            close_begin(server);
        }
    }
    ring_poll_start(poll, server->workers[0].ring, server->signal_fd, POLLIN);
}

static bool block_signals(struct server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
    signal(SIGPIPE, SIG_IGN);
    server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signal_fd >= 0 || complain("signalfd failed");
}

static void on_second(struct ring_timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, second);
    struct ring *ring = server->workers[0].ring;
    logfile_tick(server->log);
    if (server->account != NULL) logfile_tick(server->account);
    ring_timer_arm(ring, timer, ring_now(ring) + TICK);
}

/* ---- privileges
 * ---------------------------------------------------------------------------------- */

static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT32_MAX;
    const struct rlimit most = {limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &most) == 0) limit = most;
    return MIN((uint64_t)limit.rlim_cur, (uint64_t)INT32_MAX);
}

/* The lowest free number: all below are in use. */
static uint64_t count_open_files(const struct server *server)
{
    const int next = fcntl(server->signal_fd, F_DUPFD_CLOEXEC, 0);
    if (next < 0) return server->files_max;
    close(next);
    return (uint64_t)next;
}

bool serve_share_files(struct server *server, struct config *config)
{
    struct descriptor_shares shares;
    struct descriptor_wants wants = {
        .limit = server->files_max,
        .used = server->files_used,
        .workers = server->count,
        .deliveries = (uint64_t)config->queue.connections_max * server->count,
    };
    for (size_t i = 0; i < config->receive.listener_count; i++)
        wants.clients += config->receive.listeners[i].connections_max;
    if (!descriptors_share(&wants, &shares)) return false;
    receive_limits_set(server->limits, (uint32_t)MIN(shares.clients, (uint64_t)UINT32_MAX),
                       (uint32_t)(server->files_max - shares.spare));
    if (shares.enough) return true;
    config->queue.connections_max = (uint32_t)MAX(shares.deliveries / server->count, 1u);
    event_log(&server->workers[0].events, EVENT_WARNING, "serve",
              "the system allows %llu open files (RLIMIT_NOFILE; for systemd: LimitNOFILE=): at "
              "most %llu clients and %llu deliveries can be connected at a time, fewer than the "
              "configuration allows (%llu and %llu)",
              (unsigned long long)wants.limit, (unsigned long long)shares.clients,
              (unsigned long long)shares.deliveries, (unsigned long long)wants.clients,
              (unsigned long long)wants.deliveries);
    return true;
}

static bool drop_privileges(const struct config *config)
{
    char words[256];
    struct text why;
    text_init(&why, words, sizeof(words));
    return identity_become(config, &why) || complain(words);
}

/* ---- putting together
 * ------------------------------------------------------------------------------ */

static struct spool_message *message_new(void *context)
{
    const struct part *part = context;
    return &deliver_message_new(part->deliver)->spool;
}

static void message_free(void *context, struct spool_message *message)
{
    const struct part *part = context;
    deliver_message_free(part->deliver, CONTAINER_OF(message, struct queue_message, spool));
}

static void message_accepted(void *context, struct spool_message *message)
{
    const struct part *part = context;
    deliver_accept(part->deliver, CONTAINER_OF(message, struct queue_message, spool));
}

static struct dns *sender_dns(void *context, struct bytes domain)
{
    const struct part *part = context;
    return deliver_is_routed(part->deliver, domain) ? NULL : part->dns;
}

/* A process that was killed may hold its ports and its lock for a moment longer. */
static int try_for_a_while(int (*attempt)(struct server *server, const void *what),
                           struct server *server, const void *what)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    int error = attempt(server, what);
    for (int i = 0; i < 60 && (error == -EADDRINUSE || error == -EWOULDBLOCK); i++) {
        nanosleep(&pause, NULL);
        error = attempt(server, what);
    }
    return error;
}

static int probe(struct server *server, const void *what)
{
    const struct receive_listener_options *listener = what;
    return ring_listen_probe(server->workers[0].ring, &listener->address);
}

/* Listeners share their ports among the workers; so a second server on a port would not be refused
 * by the system, but take half of the connections. */
static bool ports_are_free(struct server *server)
{
    const struct receive_options *receive = &server->config->receive;
    for (size_t i = 0; i < receive->listener_count; i++) {
        const int error = try_for_a_while(probe, server, &receive->listeners[i]);
        if (error == 0) continue;
        char address[ADDRESS_TEXT_MAX], text[200];
        snprintf(text, sizeof(text), "cannot listen on %s: %s",
                 address_print(&receive->listeners[i].address, address), strerror(-error));
        return complain(text);
    }
    return true;
}

static void print_message(void *context, bool error, const char *text)
{
    (void)context;
    (void)error;
    fprintf(stderr, "%s\n", text);
}

/* As root, if that is who we are: keys are not everybody's to read. */
static bool read_files(struct server *server)
{
    const struct config_report report = {print_message, NULL};
    struct ring *ring = server->workers[0].ring;
    uint64_t seed[TLS_TICKETS_SEED_LEN / sizeof(uint64_t)];
    for (size_t i = 0; i < ARRAY_COUNT(seed); i++)
        seed[i] = ring_seed(ring);
    server->tickets = tls_tickets_create((const uint8_t *)seed, ring_wall(ring));
    explicit_bzero(seed, sizeof(seed));
    return config_read_files(server->config, server->tickets, ring_wall(ring), &report);
}

static bool open_listeners(struct server *server)
{
    static const struct receive_callbacks callbacks = {message_new, message_free, message_accepted,
                                                       sender_dns};
    char why[256];
    server->limits = receive_limits_create();
    server->auth = auth_shared_create(server->workers[0].ring);
    for (uint32_t i = 0; i < server->count; i++) {
        struct part *part = &server->parts[i];
        part->receive =
            receive_create(part->worker, server->limits, server->auth, part->desk,
                           &server->config->receive, &callbacks, part, why, sizeof(why));
        if (part->receive == NULL) return complain(why);
    }
    return true;
}

static int lock(struct server *server, const void *path)
{
    return spool_lock(&server->lock, server->workers[0].ring, path);
}

/* The lock says who holds it: for `kill`, and for whoever wants to be the second. */
static void sign_lock(struct server *server)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    (void)ring_file_cut(&server->lock, 0);
    (void)ring_file_write_now(&server->lock, text, (size_t)len, 0, false); /* a courtesy */
}

static long holder_of_lock(const char *path)
{
    char name[CONFIG_PATH_MAX + 8];
    long pid = 0;
    snprintf(name, sizeof(name), "%s/lock", path);
    FILE *file = fopen(name, "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld", &pid) != 1) pid = 0;
    fclose(file);
    return pid;
}

static bool lock_spool(struct server *server)
{
    const char *path = server->config->spool.path;
    char text[1400];
    int error = ring_path_make_folder(server->workers[0].ring, path);
    if (error == 0) error = try_for_a_while(lock, server, path);
    if (error == 0) {
        sign_lock(server);
        return true;
    }
    if (error == -EWOULDBLOCK) {
        snprintf(text, sizeof(text), "%s: another process uses this spool (pid %ld)", path,
                 holder_of_lock(path));
    } else if (error == -EACCES && server->config->user[0] != '\0') {
        snprintf(text, sizeof(text), "spool %s: %s (as user %s: does it own this folder?)", path,
                 strerror(-error), server->config->user);
    } else {
        snprintf(text, sizeof(text), "spool %s: %s", path, strerror(-error));
    }
    return complain(text);
}

void serve_divide(struct config *config, uint32_t workers)
{
    config->spool.memory_max /= workers;
    config->spool.disk_max /= workers;
    config->queue.job_bytes_max =
        MIN(config->queue.job_bytes_max, MAX(config->spool.memory_max / 2, (uint64_t)1 << 20));
}

/* One part after the other: only worker 0 may complain to the terminal, and reading the segments is
 * bound by the disk. */
static bool open_spools(struct server *server)
{
    char why[512];
    for (uint32_t i = 0; i < server->count; i++) {
        struct part *part = &server->parts[i];
        part->spool = spool_create(part->worker->ring, i, server->count, &server->config->spool,
                                   deliver_spool_callbacks(), part->deliver, &part->worker->events,
                                   &part->worker->metrics, why, sizeof(why));
        if (part->spool == NULL) return complain(why);
    }
    return true;
}

static bool open_dns(struct server *server)
{
    char why[256];
    for (uint32_t i = 0; i < server->count; i++) {
        struct part *part = &server->parts[i];
        part->dns =
            dns_create(part->worker->ring, &server->config->dns, &part->worker->metrics,
                       &part->worker->events, ring_seed(part->worker->ring), why, sizeof(why));
        if (part->dns == NULL) return complain(why);
    }
    return true;
}

static bool make_parts(struct server *server)
{
    char why[512];
    struct deliver *delivers[WORKERS_MAX];
    server->workers = workers_create(&server->config->workers, why, sizeof(why));
    if (server->workers == NULL) return complain(why);
    server->count = server->workers[0].count;
    serve_divide(server->config, server->count);
    server->parts = base_alloc(server->count * sizeof(*server->parts));
    for (uint32_t i = 0; i < server->count; i++) {
        struct part *part = &server->parts[i];
        *part = (struct part){.server = server, .worker = &server->workers[i]};
        part->worker->user = part;
        part->desk = dkim_desk_create(part->worker);
        part->deliver = deliver_create(part->worker, part->desk, &server->config->queue);
        delivers[i] = part->deliver;
    }
    deliver_link(delivers, server->count);
    return true;
}

static void flush_spool(void *part)
{
    struct spool *spool = ((struct part *)part)->spool;
    if (spool != NULL) spool_flush(spool);
}

static void start_parts(struct server *server)
{
    struct ring *ring = server->workers[0].ring;
    for (uint32_t i = 0; i < server->count; i++) {
        struct part *part = &server->parts[i];
        worker_add_hook(part->worker, WORKER_FLUSH, flush_spool, part);
        journal_start(part); /* its hook comes last: lines of this turn leave in this turn */
        deliver_set_signers(part->deliver, server->config->receive.signers);
        deliver_start(part->deliver, part->spool, part->dns);
        receive_start(part->receive, part->spool);
    }
    server->signals.on_ready = on_signal;
    ring_poll_start(&server->signals, ring, server->signal_fd, POLLIN);
    ring_timer_init(&server->second, on_second);
    ring_timer_arm(ring, &server->second, ring_now(ring) + TICK);
    operator_start(server);
}

/* Every connection is an open file. */
static void compare_descriptor_limit(const struct server *server)
{
    const struct receive_options *receive = &server->config->receive;
    uint64_t wanted = (uint64_t)server->count * server->config->queue.connections_max;
    struct rlimit limit;
    for (size_t i = 0; i < receive->listener_count; i++)
        wanted += receive->listeners[i].connections_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    event_log(&server->workers[0].events, EVENT_WARNING, "serve",
              "only %llu files may be open, and so many connections: less than the %llu that "
              "max_connections and delivery.connections allow (ulimit -Hn, LimitNOFILE)",
              (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

static void say_ready(const struct server *server)
{
    struct event_sink *log = &server->workers[0].events;
    char address[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < server->config->receive.listener_count; i++) {
        event_log(log, EVENT_INFO, "serve", "listening on %s",
                  address_print(&server->config->receive.listeners[i].address, address));
    }
    event_log(log, EVENT_INFO, "serve",
              "ringpost " RINGPOST_VERSION " ready: %u workers, spool %s; io_uring: %s",
              server->count, server->config->spool.path, ring_features(server->workers[0].ring));
    compare_descriptor_limit(server);
    if (geteuid() == 0) {
        event_log(log, EVENT_WARNING, "serve", "running as root: set `user` to somebody with less");
    }
    if (server->config->spool.durability == SPOOL_RELAXED) {
        event_log(log, EVENT_WARNING, "serve",
                  "durability = relaxed: a crash loses mail that was answered 250");
    }
}

static bool share_files(struct server *server)
{
    char text[200];
    server->files_used = count_open_files(server);
    if (!serve_share_files(server, server->config)) {
        snprintf(text, sizeof(text),
                 "the system allows only %llu open files (RLIMIT_NOFILE; ulimit -n; for systemd: "
                 "LimitNOFILE=): too few; 1024 are a modest number",
                 (unsigned long long)server->files_max);
        return complain(text);
    }
    for (uint32_t i = 0; i < server->count; i++)
        deliver_set_options(server->parts[i].deliver, &server->config->queue);
    return true;
}

/* ---- running
 * ------------------------------------------------------------------------------------------ */

static bool put_together(struct server *server)
{
    char why[256];
    return block_signals(server) && make_parts(server) && read_files(server) &&
           ports_are_free(server) && open_listeners(server) && drop_privileges(server->config) &&
           lock_spool(server) && journal_open(server) && open_spools(server) && open_dns(server) &&
           (operator_open(server, why, sizeof(why)) || complain(why)) && share_files(server);
}

static void take_apart(struct server *server)
{
    journal_close(server);
    (void)ring_file_cut(&server->lock, 0); /* nobody holds it */
    for (uint32_t i = 0; i < server->count; i++) {
        /* A disk that hangs: just end. */
        if (server->parts[i].stuck || ring_in_flight(server->workers[i].ring) > 0) return;
    }
    receive_limits_destroy(&server->limits);
    auth_shared_destroy(&server->auth);
    workers_destroy(&server->workers);
    base_free(server->parts);
    config_free(&server->config);
    tls_tickets_free(&server->tickets);
    close(server->signal_fd);
}

int serve_run(struct config *config, const char *config_path)
{
    static struct server server; /* reachable to the end, whatever way the end comes */
    server = (struct server){.config = config, .config_path = config_path};
    if (gethostname(server.hostname, sizeof(server.hostname) - 1) != 0) server.hostname[0] = '\0';
    server.files_max = raise_descriptor_limit();
    interfaces_add(config);
    if (!put_together(&server)) return EXIT_FAILURE;
    server.started = ring_now(server.workers[0].ring);
    start_parts(&server);
    say_ready(&server);
    workers_run(server.workers);
    take_apart(&server);
    return EXIT_SUCCESS;
}
