/* SPDX-License-Identifier: Apache-2.0
 *
 * config - file to checked, immutable snapshot of every module's options
 *
 * Job     reads the configuration file (blocks as in nginx), fills in defaults, checks values and
 *         how they fit together, and says what is wrong as "file:line: message", all of it at once
 *         where that is possible.
 * Owner   the snapshot owns everything it points to until config_free(). It is never changed: a
 *         reload makes a new one, and the old one stays as long as somebody looks into it.
 * Errors  one callback a message; no configuration comes out when there was an error.
 * Files   config_load() reads the configuration and no other file; what that names (certificates,
 *         users) is read by config_read_files(), which only a server and `check` need.
 * Threads one load at a time in the process (the parser behind it has global state).
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/dns.h"
#include "ringpost/event.h"
#include "ringpost/logfile.h"
#include "ringpost/queue.h"
#include "ringpost/receive.h"
#include "ringpost/spool.h"
#include "ringpost/tls.h"
#include "ringpost/worker.h"

enum {
    CONFIG_NAME_MAX = 256,     /* a host name and its NUL */
    CONFIG_PATH_MAX = 1024,    /* a path and its NUL */
    CONFIG_FILE_MAX = 16 << 20 /* octets of a configuration file */
};

struct config {
    char hostname[CONFIG_NAME_MAX];
    char user[64];  /* to become when started as root; empty = stay */
    char group[64]; /* empty = the user's own */
    char control[CONFIG_PATH_MAX];
    char users[CONFIG_PATH_MAX]; /* file of those who may authenticate; empty = none */
    duration shutdown_timeout;
    struct worker_options workers; /* with the events' options */
    struct logfile_options log, account;
    struct spool_options spool; /* of the whole process: limits are to be divided by the workers */
    struct dns_options dns;     /* our own names and addresses with it */
    struct receive_options receive; /* listeners; users and certificates once the files are read */
    struct queue_options queue;     /* sites, routes, sources; sources[0] is always "default". TLS
                                     * clients and passwords once the files are read */
    struct config_files *files;     /* private: what config_read_files() is to read */
    struct config_memory *memory;   /* private */
};

/* Called for each message: "file:line: text"; a warning's text begins with "warning: ". */
struct config_report {
    void (*message)(void *context, bool error, const char *text);
    void *context;
};

/* hostname: the system's name, the default of `hostname`. NULL: there were errors. */
struct config *config_load(const char *path, const char *hostname,
                           const struct config_report *report);
/* The same from memory; name stands in the messages. */
struct config *config_parse(struct bytes text, const char *name, const char *hostname,
                            const struct config_report *report);
/* Reads the files that the configuration names and completes the options with them. Before anybody
 * else sees the snapshot, once. false: something is wrong with them, all of it reported with the
 * line of the setting; the snapshot is of no use then. now: for certificates that have expired.
 * tickets: shared by all snapshots of the process; NULL: no session is ever resumed. */
MUST_USE bool config_read_files(struct config *config, struct tls_tickets *tickets, wall_ms now,
                                const struct config_report *report);
/* The addresses of the machine: those that a listener for all of them makes ours join the others,
 * for the rule against mail loops. Before anybody else sees the snapshot. */
void config_add_own_addresses(struct config *config, const struct address *addresses, size_t count);
void config_free(struct config **config);
