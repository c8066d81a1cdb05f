/* SPDX-License-Identifier: Apache-2.0
 *
 * client - one request over the control socket, and all rows of the reply
 *
 * A server that has just been started takes a moment until it listens there; one that was killed
 * keeps its socket for as long as the kernel takes its ring apart, and then hangs up. So a silent
 * end is no answer, and what only looks is tried again for a second.
 */
#include "command.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 20, PAUSE_MS = 50 };

enum outcome {
    ANSWERED = 0,
    REFUSED, /* it said no, or something made no sense: that was said */
    ABSENT,  /* nobody listens */
    SILENT,  /* hung up without a word */
};

static enum outcome complain(const char *path, const char *text)
{
    fprintf(stderr, "ringpost: %s: %s\n", path, text);
    return REFUSED;
}

static enum outcome connect_to(const char *path, int *fd)
{
    *fd = ring_connect_path(path);
    if (*fd >= 0) return ANSWERED;
    if (*fd == -ENOENT || *fd == -ECONNREFUSED) return ABSENT;
    return complain(path, strerror(-*fd));
}

static bool send_request(int fd, const struct control_request *request)
{
    char line[1024];
    struct text text;
    text_init(&text, line, sizeof(line));
    if (!control_request_print(request, &text)) return false;
    for (size_t sent = 0; sent < text.len;) {
        const ssize_t n = send(fd, line + sent, text.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        sent += (size_t)n;
    }
    return true;
}

static void keep(struct reply *reply, json_t *row)
{
    if (reply->count == reply->cap) {
        reply->cap = reply->cap ? 2 * reply->cap : 64;
        reply->rows = base_realloc(reply->rows, reply->cap * sizeof(*reply->rows));
    }
    reply->rows[reply->count++] = row;
}

void reply_deinit(struct reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        json_decref(reply->rows[i]);
    base_free(reply->rows);
    json_decref(reply->last);
    *reply = (struct reply){0};
}

/* A row may have an "error" too, that of the last attempt; a refusal has nothing else. */
static const char *refusal(const json_t *line)
{
    const json_t *error = json_object_get(line, "error");
    return json_object_size(line) == 1 ? json_string_value(error) : NULL;
}

/* The last line says how it ended; without it the reply was cut off. */
static enum outcome read_reply(FILE *stream, const char *path, struct reply *reply)
{
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t len; reply->last == NULL && (len = getline(&line, &cap, stream)) > 0;) {
        json_t *row = json_loadb(line, (size_t)len, 0, NULL);
        if (row == NULL) break;
        if (json_is_true(json_object_get(row, "ok")) || refusal(row) != NULL) {
            reply->last = row;
        } else {
            keep(reply, row);
        }
    }
    free(line);
    if (reply->last == NULL && reply->count == 0) return SILENT;
    if (reply->last == NULL) return complain(path, "the server's answer was cut off");
    if (refusal(reply->last) == NULL) return ANSWERED;
    fprintf(stderr, "ringpost: %s\n", refusal(reply->last));
    return REFUSED;
}

static enum outcome ask_once(const char *path, const struct control_request *request,
                             struct reply *reply)
{
    int fd;
    enum outcome outcome = connect_to(path, &fd);
    if (outcome != ANSWERED) return outcome;
    FILE *stream = fdopen(fd, "r");
    if (stream == NULL) {
        close(fd);
        return complain(path, strerror(errno));
    }
    outcome = send_request(fd, request) ? read_reply(stream, path, reply) : SILENT;
    fclose(stream);
    return outcome;
}

static int ask(const char *path, const struct control_request *request, struct reply *reply)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    const bool only_looks = request->command != CONTROL_RETRY && request->command != CONTROL_DELETE;
    enum outcome outcome = ABSENT;
    for (int i = 0; i < TRIES; i++) {
        outcome = ask_once(path, request, reply);
        if (outcome != ABSENT && !(outcome == SILENT && only_looks)) break;
        nanosleep(&pause, NULL);
    }
    if (outcome == ABSENT) complain(path, "no server listens there; is it running?");
    if (outcome == SILENT) complain(path, "the server hung up without an answer");
    return outcome == ANSWERED ? EXIT_GOOD : EXIT_BAD;
}

int client_ask(const struct options *options, const struct control_request *request,
               struct reply *reply)
{
    if (options->control != NULL) return ask(options->control, request, reply);
    struct config *config = command_config(options->config, false);
    if (config == NULL) return EXIT_BAD;
    const int status = ask(config->control, request, reply);
    config_free(&config);
    return status;
}
