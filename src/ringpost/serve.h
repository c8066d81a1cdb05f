/* SPDX-License-Identifier: Apache-2.0
 *
 * serve - what the files of the running server share
 *
 * One struct server for the process, in the hands of worker 0; one struct part a worker, in the
 * hands of that worker. They talk by messages only: orders go out to every part, each reports back.
 */
#pragma once
#include "ringpost/config.h"
#include "ringpost/deliver.h"
#include "ringpost/dkim/desk.h"
#include "ringpost/dns.h"
#include "ringpost/logfile.h"
#include "ringpost/receive.h"
#include "ringpost/spool.h"
#include "ringpost/worker.h"

enum part_state {
    PART_RUNNING = 0,
    PART_CLOSING,  /* injection sessions finish */
    PART_DRAINING, /* deliveries in flight finish */
    PART_SYNCING,  /* the spool writes what is left */
    PART_DRAINED,  /* reported; waits for the others */
    PART_STOPPING, /* everything is given back; the ring runs dry */
    PART_GONE,
    PART_STATE_COUNT,
};

struct part {
    struct server *server;
    struct worker *worker;
    struct dkim_desk *desk;
    struct deliver *deliver;
    struct spool *spool;
    struct dns *dns;
    struct receive *receive;
    enum part_state state;
    bool gone;          /* in the hands of worker 0: it has left its loop */
    bool delivered;     /* deliver_drain() has called back */
    bool stuck;         /* the disk did not take the rest in time: nothing is given back */
    instant closing_by; /* sessions and deliveries are cut off then */
    instant dry_by;
    struct ring_timer event_timer; /* a partly filled event buffer waits no longer */
    struct ring_timer check_timer; /* looks at what is to become idle */
    struct inbox_node reload_order, reload_report, close_order, close_report, stop_order,
        stop_report;
};

struct server {
    const char *config_path;
    char hostname[CONFIG_NAME_MAX]; /* the system's */
    struct config *config;
    struct config *next_config; /* being adopted by the parts; NULL = no reload under way */
    struct worker *workers;
    struct part *parts;
    uint32_t count;
    struct receive_limits *limits;
    struct auth_shared *auth;
    struct tls_tickets *tickets; /* of all snapshots: sessions are resumed across reloads */
    struct ring_file lock;
    struct logfile *log, *account;
    uint32_t reports;               /* still to come of the order to close, then to stop */
    uint32_t reload_reports;        /* likewise of the reload under way */
    uint64_t files_max, files_used; /* RLIMIT_NOFILE; how many were open before any connection */
    bool closing, reload_again;
    instant started;
    /* worker 0 only */
    struct ring_poll signals;
    int signal_fd;
    struct ring_timer second;
    struct desk *desk;
};

/* main calls it with a checked configuration, which it takes over; returns the exit status. */
int serve_run(struct config *config, const char *config_path);

/* A fresh snapshot's limits of the whole process become those of one of `workers`. Content that is
 * being delivered cannot leave memory, so it gets no more than half of the spool's budget: the rest
 * is for mail that comes in. Before anybody else sees the snapshot. */
void serve_divide(struct config *config, uint32_t workers);

/* Shares the open files out: caps the snapshot's connections, and sets the limits of clients.
 * false: there are too few to run. Before anybody else sees the snapshot's connections. */
MUST_USE bool serve_share_files(struct server *server, struct config *config);
/* Tells a fresh snapshot which addresses this machine has. */
void interfaces_add(struct config *config);

/* Makes the folders that the configuration names, and becomes its user, when that is asked for.
 * false: why says the reason. */
bool identity_become(const struct config *config, struct text *why);
/* Does this system know the configured user and group? */
bool identity_exists(const struct config *config, struct text *why);

/* Event buffers on their way to the files and back. */
void journal_hook(void *part); /* WORKER_FLUSH */
void journal_start(struct part *part);
bool journal_open(struct server *server);
void journal_open_account(struct server *server, const struct logfile_options *options);
void journal_close(struct server *server); /* writes what is left */

/* Orders to all parts, from worker 0. */
void reload_begin(struct server *server);
void close_begin(struct server *server);

struct json_t *stats_object(const struct metrics *sum); /* counters by name; the caller's */

/* The control socket, on worker 0. */
bool operator_open(struct server *server, char *why, size_t why_size);
void operator_start(struct server *server);
void operator_close(struct server *server); /* no new questions; answers on their way arrive */
void operator_end(struct server *server);   /* whoever is still connected is not any more */
