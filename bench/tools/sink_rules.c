/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_rules - when ringpost-sink says no: STAGE:CODE[:PERCENT][:PATTERN]
 */
#include "sink.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *const stage_names[] = {
    [SINK_CONNECT] = "connect", [SINK_MAIL] = "mail", [SINK_RCPT] = "rcpt",
    [SINK_DATA] = "data",       [SINK_DOT] = "dot",
};

const char *sink_stage_name(enum sink_stage stage)
{
    return stage_names[stage];
}

static enum sink_stage stage_parse(const char *text, size_t length)
{
    for (unsigned i = 0; i < SINK_STAGE_COUNT; i++) {
        if (strlen(stage_names[i]) == length && memcmp(stage_names[i], text, length) == 0) {
            return (enum sink_stage)i;
        }
    }
    tool_die("--refuse %s: the stage is one of connect, mail, rcpt, data, dot", text);
}

static unsigned code_parse(const char *rule, const char *text, const char **after)
{
    if (strncmp(text, "drop", 4) == 0) {
        *after = text + 4;
        return 0;
    }
    char *end = NULL;
    const unsigned long code = strtoul(text, &end, 10);
    *after = end;
    if (code < 400 || code > 599) tool_die("--refuse %s: the code is 400 to 599, or drop", rule);
    return (unsigned)code;
}

void sink_rule_parse(struct sink_options *options, const char *text)
{
    if (options->rule_count == SINK_RULES_MAX) tool_die("more than %d rules", SINK_RULES_MAX);
    const char *colon = strchr(text, ':');
    if (colon == NULL) tool_die("--refuse %s: STAGE:CODE[:PERCENT][:PATTERN]", text);

    struct sink_rule *rule = &options->rules[options->rule_count++];
    *rule = (struct sink_rule){.percent = 100};
    rule->stage = stage_parse(text, (size_t)(colon - text));
    const char *rest = colon + 1;
    rule->code = code_parse(text, rest, &rest);

    if (*rest == ':' && isdigit((unsigned char)rest[1])) {
        char *end = NULL;
        rule->percent = (unsigned)strtoul(rest + 1, &end, 10);
        if (rule->percent > 100) tool_die("--refuse %s: more than 100 percent", text);
        rest = end;
    }
    if (*rest == ':') {
        rule->pattern = rest + 1;
    } else if (*rest != 0) {
        tool_die("--refuse %s: '%s' is neither a percentage nor a pattern", text, rest);
    }
}

/* xorshift64*: good enough for a percentage, and the same run from the same seed. */
static unsigned draw_percent(struct sink *sink)
{
    sink->random ^= sink->random >> 12;
    sink->random ^= sink->random << 25;
    sink->random ^= sink->random >> 27;
    return (unsigned)(((sink->random * 0x2545F4914F6CDD1Dull) >> 33) % 100);
}

const struct sink_rule *sink_rule_find(struct sink *sink, enum sink_stage stage,
                                       const char *subject)
{
    for (unsigned i = 0; i < sink->options.rule_count; i++) {
        const struct sink_rule *rule = &sink->options.rules[i];
        if (rule->stage != stage) continue;
        if (rule->pattern != NULL && fnmatch(rule->pattern, subject, FNM_CASEFOLD) != 0) continue;
        if (rule->percent < 100 && draw_percent(sink) >= rule->percent) continue;
        return rule;
    }
    return NULL;
}
