/* SPDX-License-Identifier: Apache-2.0
 *
 * command_queue, command_stats - what the operator asks the running server
 */
#include "command.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static wall_ms wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (wall_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void print_json(const struct reply *reply)
{
    for (size_t i = 0; i < reply->count; i++) {
        json_dumpf(reply->rows[i], stdout, JSON_COMPACT);
        putchar('\n');
    }
}

/* ---- queue ----------------------------------------------------------------------------------- */

static const char *set_limit(const char *text, struct control_request *request)
{
    uint64_t limit;
    if (text == NULL) return NULL;
    if (!bytes_to_u64(bytes_of(text), CONTROL_LIMIT_MAX, &limit) || limit == 0) {
        return "--limit is a number over 0";
    }
    request->limit = (uint32_t)limit;
    return NULL;
}

static const char *set_domain(const char *text, struct control_request *request)
{
    if (text == NULL) return NULL;
    const size_t len = strlen(text);
    if (len == 0 || len > CONTROL_DOMAIN_MAX) return "--domain is too long or empty";
    memcpy(request->domain, text, len + 1);
    return NULL;
}

static const char *set_by(const char *text, struct control_request *request)
{
    if (text == NULL) return NULL;
    if (strcmp(text, "site") != 0 && strcmp(text, "domain") != 0) {
        return "--by is site or domain";
    }
    request->by_site = strcmp(text, "site") == 0;
    return NULL;
}

static const char *set_verb(const char *verb, struct control_request *request)
{
    static const struct {
        const char *name;
        uint8_t command;
    } verbs[] = {
        {"summary", CONTROL_SUMMARY}, {"list", CONTROL_LIST},     {"show", CONTROL_SHOW},
        {"retry", CONTROL_RETRY},     {"delete", CONTROL_DELETE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, verb) == 0) return request->command = verbs[i].command, NULL;
    }
    return "that is none of summary, list, show, retry, delete";
}

/* The same rules as in the server: what is about mail names it, and once. */
static bool check_request(const struct control_request *request, struct text *why)
{
    char line[1024];
    struct text text;
    struct control_request again;
    text_init(&text, line, sizeof(line));
    if (control_request_print(request, &text)) {
        return control_request_parse((struct bytes){line, text.len - 1}, &again, why);
    }
    text_put(why, BYTES("that is not text"));
    return false;
}

/* *rest: the first of more ids, or argc. */
static const char *make_request(const struct options *options, int argc, char **argv,
                                struct control_request *request, int *rest)
{
    int at = options->first;
    *request = (struct control_request){.command = CONTROL_SUMMARY, .limit = 100, .by_site = true};
    const char *wrong = at < argc ? set_verb(argv[at++], request) : NULL;
    if (wrong == NULL && at < argc) {
        const bool wants_id = request->command >= CONTROL_SHOW;
        if (!wants_id) return "more was said than is understood";
        if (!event_id_parse(bytes_of(argv[at]), &request->id) || request->id == 0) {
            return "that is not the id of a message";
        }
        at += 1;
    }
    *rest = at;
    if (at < argc && request->command != CONTROL_RETRY && request->command != CONTROL_DELETE) {
        return "more was said than is understood";
    }
    for (uint64_t id; at < argc; at++) { /* before anything is done about the first */
        if (!event_id_parse(bytes_of(argv[at]), &id) || id == 0)
            return "not all are ids of messages";
    }
    if (wrong == NULL) wrong = set_domain(options->domain, request);
    if (wrong == NULL) wrong = set_limit(options->limit, request);
    if (wrong == NULL) wrong = set_by(options->by, request);
    request->all = options->all;
    return wrong;
}

static void print_count(const struct reply *reply, const struct options *options, const char *what)
{
    const json_t *entries = json_object_get(reply->last, "entries");
    if (options->json) {
        printf("{\"entries\":%lld}\n", (long long)json_integer_value(entries));
    } else {
        printf("%lld %s\n", (long long)json_integer_value(entries), what);
    }
}

static int show_result(const struct control_request *request, const struct options *options,
                       const struct reply *reply)
{
    const wall_ms now = wall_now();
    const json_int_t entries = json_integer_value(json_object_get(reply->last, "entries"));
    const bool found = json_is_true(json_object_get(reply->last, "found"));
    const bool rows_only = request->command <= CONTROL_SHOW && options->json;
    if (rows_only) print_json(reply);
    switch ((enum control_command)request->command) {
    case CONTROL_SUMMARY:
        if (!rows_only) render_summary(reply, request->by_site, request->limit, now);
        return EXIT_GOOD;
    case CONTROL_LIST:
        if (!rows_only) render_list(reply, request->limit, now);
        return EXIT_GOOD;
    case CONTROL_SHOW:
        if (!found) fputs("ringpost: there is no such message in the queue\n", stderr);
        if (found && !rows_only) render_show(reply, now);
        return found ? EXIT_GOOD : EXIT_BAD;
    case CONTROL_RETRY:
        print_count(reply, options, "due now");
        return entries > 0 || request->all ? EXIT_GOOD : EXIT_BAD;
    case CONTROL_DELETE:
        print_count(reply, options, "deleted");
        return entries > 0 ? EXIT_GOOD : EXIT_BAD;
    case CONTROL_STATS:
    case CONTROL_COMMAND_COUNT:
        break;
    }
    UNREACHABLE("queue: a command of another kind");
}

/* The same about another message; the reply's count grows. */
static int ask_more(const struct options *options, struct control_request *request, const char *id,
                    struct reply *reply)
{
    struct reply more = {0};
    const bool is_id = event_id_parse(bytes_of(id), &request->id);
    ASSERT(is_id); /* make_request() has looked */
    const int status = client_ask(options, request, &more);
    if (status == EXIT_GOOD) {
        const json_int_t sum = json_integer_value(json_object_get(reply->last, "entries")) +
                               json_integer_value(json_object_get(more.last, "entries"));
        json_object_set_new(reply->last, "entries", json_integer(sum));
    }
    reply_deinit(&more);
    return status;
}

static int run_queue(const struct command *command, int argc, char **argv)
{
    static const char *const allowed[] = {"config", "control", "domain", "limit",
                                          "by",     "all",     "json",   NULL};
    struct options options;
    struct control_request request;
    struct reply reply = {0};
    char words[200];
    struct text why;
    text_init(&why, words, sizeof(words));
    int status = options_parse(command, argc, argv, allowed, &options);
    if (status >= 0) return status;
    int rest = argc;
    const char *wrong = make_request(&options, argc, argv, &request, &rest);
    if (wrong == NULL && !check_request(&request, &why)) wrong = words;
    if (wrong != NULL) return command_misused(command, "%s", wrong);
    status = client_ask(&options, &request, &reply);
    while (status == EXIT_GOOD && rest < argc) {
        status = ask_more(&options, &request, argv[rest++], &reply);
    }
    if (status == EXIT_GOOD) status = show_result(&request, &options, &reply);
    reply_deinit(&reply);
    return status;
}

const struct command command_queue = {
    .name = "queue",
    .summary = "show what is queued; retry or delete it",
    .help = "usage: ringpost queue [options]                    a summary by site\n"
            "       ringpost queue list [options]               messages, one line a domain\n"
            "       ringpost queue show ID                      all about one message\n"
            "       ringpost queue retry (ID ... | --domain D | --all)\n"
            "                                                   due now; also hosts left alone\n"
            "       ringpost queue delete (ID ... | --domain D) without telling the sender\n\n"
            "  -c, --config FILE    default: /etc/ringpost/ringpost.conf\n"
            "      --control PATH   the server's socket, instead of that in the configuration\n"
            "      --domain D       only mail to this domain\n"
            "      --limit N        lines at the most (100)\n"
            "      --by WHAT        summary by site (default) or by domain\n"
            "      --json           rows as the server sends them\n",
    .run = run_queue,
};

/* ---- stats ----------------------------------------------------------------------------------- */

static int run_stats(const struct command *command, int argc, char **argv)
{
    static const char *const allowed[] = {"config", "control", "json", NULL};
    const struct control_request request = {.command = CONTROL_STATS, .limit = 1, .by_site = true};
    struct options options;
    struct reply reply = {0};
    int status = options_parse(command, argc, argv, allowed, &options);
    if (status >= 0) return status;
    if (options.first < argc) return command_misused(command, "what is %s?", argv[options.first]);
    status = client_ask(&options, &request, &reply);
    for (size_t i = 0; i < reply.count; i++) {
        json_dumpf(reply.rows[i], stdout, JSON_INDENT(2));
        putchar('\n');
    }
    reply_deinit(&reply);
    return status;
}

const struct command command_stats = {
    .name = "stats",
    .summary = "counters, gauges and latencies of the server, as JSON",
    .help = "usage: ringpost stats [options]\n\n"
            "Prints one JSON object: counters since the start, gauges, and histograms in\n"
            "microseconds.\n\n"
            "  -c, --config FILE    default: /etc/ringpost/ringpost.conf\n"
            "      --control PATH   the server's socket, instead of that in the configuration\n",
    .run = run_stats,
};
