/* SPDX-License-Identifier: Apache-2.0
 *
 * client - one request over the control socket, and all rows of the reply
 */
#include "command.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int complain(const char *path, const char *text)
{
    fprintf(stderr, "ringpost: %s: %s\n", path, text);
    return -1;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) return complain(path, "the path is too long");
    memcpy(address.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return complain(path, strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    const bool absent = errno == ENOENT || errno == ECONNREFUSED;
    complain(path, absent ? "no server listens there; is it running?" : strerror(errno));
    close(fd);
    return -1;
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
static int read_reply(FILE *stream, const char *path, struct reply *reply)
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
    if (reply->last == NULL) {
        complain(path, "the server's answer was cut off");
        return EXIT_BAD;
    }
    if (refusal(reply->last) == NULL) return EXIT_GOOD;
    fprintf(stderr, "ringpost: %s\n", refusal(reply->last));
    return EXIT_BAD;
}

static int ask(const char *path, const struct control_request *request, struct reply *reply)
{
    const int fd = connect_to(path);
    if (fd < 0) return EXIT_BAD;
    FILE *stream = send_request(fd, request) ? fdopen(fd, "r") : NULL;
    if (stream == NULL) {
        complain(path, strerror(errno));
        close(fd);
        return EXIT_BAD;
    }
    const int status = read_reply(stream, path, reply);
    fclose(stream);
    return status;
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
