/* SPDX-License-Identifier: Apache-2.0
 *
 * command - what the subcommands share: options, the configuration, the control socket, tables
 */
#pragma once
#include "control.h"
#include "ringpost/config.h"
#include <jansson.h>

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2 };

struct command {
    const char *name, *summary;
    const char *help;
    int (*run)(const struct command *command, int argc, char **argv); /* argv[0]: its name */
};
extern const struct command command_serve, command_check, command_queue, command_stats;
extern const struct command command_send, command_mime, command_codec;
extern const struct command command_passwd, command_dkim;

/* ---- options --------------------------------------------------------------------------------- */

struct options {
    const char *config;  /* -c, --config */
    const char *control; /* --control; NULL = as the configuration says */
    const char *domain, *limit, *by;
    bool all, json;
    int first; /* argument that is no option, in argv */
};
/* allowed: of "config", "control", "domain", ..., ended by NULL. Returns -1 to go on, else the exit
 * status: help was asked for, or something is wrong and was said. */
int options_parse(const struct command *command, int argc, char **argv, const char *const *allowed,
                  struct options *options);
int command_misused(const struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- configuration --------------------------------------------------------------------------- */

extern const char command_config_default[];
/* Messages go to stderr, warnings only when wanted. */
struct config *command_config(const char *path, bool warnings);
/* And the files that it names: users, keys, certificates. */
MUST_USE bool command_read_files(struct config *config);

/* ---- asking the server ----------------------------------------------------------------------- */

struct reply {
    json_t **rows;
    size_t count, cap;
    json_t *last; /* the line that ends it */
};
/* Sends the request and reads the reply. The exit status; what went wrong was said to stderr. */
int client_ask(const struct options *options, const struct control_request *request,
               struct reply *reply);
void reply_deinit(struct reply *reply);

/* ---- tables for people ------------------------------------------------------------------------
 */

enum { TABLE_COLUMNS_MAX = 10 };
struct table_text {
    const char *titles[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX]; /* numbers */
    size_t columns;
    char **cells; /* row by row */
    size_t count, cap;
};
void table_text_add(struct table_text *table, const char *format, ...) PRINTF_LIKE(2, 3);
void table_text_print(const struct table_text *table);
void table_text_deinit(struct table_text *table);

enum { SPAN_TEXT_MAX = 32 };
const char *span_print(int64_t ms, char *out);   /* "5s", "12m", "3h", "2d" */
const char *octets_print(uint64_t n, char *out); /* "512", "4.0K", "1.2M" */
/* ASCII and UTF-8 as they are, controls as '?': a terminal must not be steered by a stranger. */
void print_clean(const char *text);

/* The replies of `queue`. now: wall clock. */
void render_summary(const struct reply *reply, bool by_site, size_t limit, wall_ms now);
void render_list(const struct reply *reply, size_t limit, wall_ms now);
void render_show(const struct reply *reply, wall_ms now);
