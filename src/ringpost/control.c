/* SPDX-License-Identifier: Apache-2.0
 *
 * control - requests of the control socket: JSON to struct and back
 */
#include "control.h"
#include "ringpost/event.h"
#include <jansson.h>
#include <stdlib.h>

static const char *const names[] = {
    [CONTROL_SUMMARY] = "summary", [CONTROL_LIST] = "list",     [CONTROL_SHOW] = "show",
    [CONTROL_RETRY] = "retry",     [CONTROL_DELETE] = "delete", [CONTROL_STATS] = "stats",
};

static bool find_command(const char *name, uint8_t *command)
{
    for (uint8_t i = 0; name != NULL && i < CONTROL_COMMAND_COUNT; i++) {
        if (strcmp(names[i], name) == 0) return *command = i, true;
    }
    return false;
}

static const char *read_id(const json_t *value, struct control_request *request)
{
    if (value == NULL) return NULL;
    const char *text = json_string_value(value);
    if (text == NULL || !event_id_parse(bytes_of(text), &request->id) || request->id == 0) {
        return "that is not the id of a message";
    }
    return NULL;
}

static const char *read_domain(const json_t *value, struct control_request *request)
{
    if (value == NULL) return NULL;
    const char *text = json_string_value(value);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len > 1 && text[len - 1] == '.') len -= 1; /* as DNS tools print it */
    if (len == 0 || len > CONTROL_DOMAIN_MAX || text[len - 1] == '.') {
        return "that is not a domain";
    }
    memcpy(request->domain, text, len);
    return NULL;
}

static const char *read_limit(const json_t *value, struct control_request *request)
{
    if (value == NULL) return NULL;
    const json_int_t limit = json_integer_value(value);
    if (!json_is_integer(value) || limit < 1) return "limit is not a number over 0";
    request->limit = (uint32_t)MIN(limit, CONTROL_LIMIT_MAX);
    return NULL;
}

static const char *read_by(const json_t *value, struct control_request *request)
{
    if (value == NULL) return NULL;
    const char *text = json_string_value(value);
    if (text == NULL || (strcmp(text, "site") != 0 && strcmp(text, "domain") != 0)) {
        return "a summary is by site or by domain";
    }
    request->by_site = text[0] == 's';
    return NULL;
}

/* What a command is about must be said, and said once: a slip must not delete the wrong mail. */
static const char *check_target(const struct control_request *request)
{
    const int said = (request->id != 0) + (request->domain[0] != '\0') + request->all;
    switch ((enum control_command)request->command) {
    case CONTROL_SHOW:
        return request->id != 0 && said == 1 ? NULL : "show needs the id of a message";
    case CONTROL_RETRY:
        return said == 1 ? NULL : "retry needs just one of: an id, a domain, all";
    case CONTROL_DELETE:
        return said == 1 && !request->all ? NULL : "delete needs just one of: an id, a domain";
    case CONTROL_SUMMARY:
        return said == request->all ? NULL : "a summary is of all mail; list takes a domain";
    case CONTROL_LIST:
    case CONTROL_STATS:
    case CONTROL_COMMAND_COUNT:
        break;
    }
    return NULL;
}

static const char *read_request(const json_t *object, struct control_request *request)
{
    if (!json_is_object(object)) return "a request is a JSON object";
    if (!find_command(json_string_value(json_object_get(object, "command")), &request->command)) {
        return "unknown command";
    }
    const char *wrong = read_id(json_object_get(object, "id"), request);
    if (wrong == NULL) wrong = read_domain(json_object_get(object, "domain"), request);
    if (wrong == NULL) wrong = read_limit(json_object_get(object, "limit"), request);
    if (wrong == NULL) wrong = read_by(json_object_get(object, "by"), request);
    request->all = json_is_true(json_object_get(object, "all"));
    return wrong == NULL ? check_target(request) : wrong;
}

bool control_request_parse(struct bytes line, struct control_request *request, struct text *why)
{
    enum { LIMIT_DEFAULT = 100 };
    const char *wrong = NULL;
    json_t *object = NULL;
    *request = (struct control_request){.limit = LIMIT_DEFAULT, .by_site = true};
    if (line.len > CONTROL_REQUEST_MAX) {
        wrong = "the request is too long";
    } else {
        object = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
        wrong = object == NULL ? "the request is not JSON" : read_request(object, request);
    }
    json_decref(object);
    if (wrong != NULL) text_put(why, bytes_of(wrong));
    return wrong == NULL;
}

static json_t *request_object(const struct control_request *request)
{
    char id[EVENT_ID_TEXT_MAX];
    ASSERT(request->command < CONTROL_COMMAND_COUNT);
    json_t *object = json_object();
    bool good = json_object_set_new(object, "command", json_string(names[request->command])) == 0;
    if (request->id != 0) {
        event_id_print(request->id, id);
        good = good && json_object_set_new(object, "id", json_string(id)) == 0;
    }
    if (request->domain[0] != '\0') { /* fails when it is not UTF-8 */
        good = good && json_object_set_new(object, "domain", json_string(request->domain)) == 0;
    }
    if (request->all) good = good && json_object_set_new(object, "all", json_true()) == 0;
    if (!request->by_site) {
        good = good && json_object_set_new(object, "by", json_string("domain")) == 0;
    }
    good = good && json_object_set_new(object, "limit", json_integer(request->limit)) == 0;
    if (good) return object;
    json_decref(object);
    return NULL;
}

bool control_request_print(const struct control_request *request, struct text *out)
{
    json_t *object = request_object(request);
    if (object == NULL) return false;
    char *line = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (line == NULL) return false;
    text_put(out, bytes_of(line));
    text_put(out, BYTES("\n"));
    free(line);
    return !out->cut;
}
