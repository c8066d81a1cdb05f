/* SPDX-License-Identifier: Apache-2.0
 *
 * source_message - the text of ringpost-source's messages, commands and addresses
 *
 * Written by hand instead of by printf: at 5 µs a message, three printf calls would be a fifth.
 */
#include "source.h"

#include <assert.h>
#include <string.h>

#define ADD(out, used, literal) add(out, used, literal, sizeof(literal) - 1)

static size_t add(char *out, size_t used, const char *text, size_t length)
{
    memcpy(out + used, text, length);
    return used + length;
}

static size_t add_text(char *out, size_t used, const char *text)
{
    return add(out, used, text, strlen(text));
}

size_t source_write_number(char *out, uint64_t value)
{
    char digits[20];
    size_t used = 0;
    do {
        digits[used++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < used; i++)
        out[i] = digits[used - 1 - i];
    return used;
}

static void target_init(struct source *source)
{
    const struct source_options *options = &source->options;
    const char *at = strrchr(options->to, '@');
    if (at == NULL || (size_t)(at - options->to) >= sizeof source->to_local ||
        strlen(at + 1) >= sizeof source->to_domain) {
        tool_die("--to %s: local@domain", options->to);
    }
    memcpy(source->to_local, options->to, (size_t)(at - options->to));
    strcpy(source->to_domain, at + 1);
    if (options->domains == 0) return;

    const char *percent = strchr(options->domain_pattern, '%');
    if (percent == NULL || (percent[1] != 'u' && percent[1] != 'd') ||
        strchr(percent + 1, '%') != NULL || strlen(options->domain_pattern) > 200) {
        tool_die("--domain-pattern %s: one %%u, at most 200 octets", options->domain_pattern);
    }
    source->address_prefix = (size_t)(percent - options->domain_pattern);
    source->domain_suffix = percent + 2;
}

/* Text that no line of which starts with a dot; the numbers make lines differ. */
static void body_init(struct source *source)
{
    static const char words[] =
        " The quick brown fox jumps over the lazy dog and mails a postcard to itself.";
    static_assert(sizeof words - 1 >= SOURCE_LINE - 3, "a digit and words fill a line");
    const size_t lines = source->options.size / SOURCE_LINE + 1;
    source->body = tool_alloc(lines * SOURCE_LINE);
    for (size_t i = 0; i < lines; i++) {
        char *line = source->body + i * SOURCE_LINE;
        const size_t used = source_write_number(line, i);
        memcpy(line + used, words, SOURCE_LINE - 2 - used);
        memcpy(line + SOURCE_LINE - 2, "\r\n", 2);
    }
}

void source_message_init(struct source *source)
{
    if (strlen(source->options.from) >= SOURCE_ADDRESS_MAX) tool_die("--from is too long");
    if (strlen(source->options.run) > 32) tool_die("--run: at most 32 octets");
    target_init(source);
    body_init(source);
}

static size_t add_recipient(const struct source *source, char *out, size_t used, uint64_t number,
                            unsigned index)
{
    const struct source_options *options = &source->options;
    used = add_text(out, used, source->to_local);
    if (options->recipients > 1) used += source_write_number(out + used, index);
    used = ADD(out, used, "@");
    if (options->domains == 0) return add_text(out, used, source->to_domain);

    const uint64_t turn = options->mixed ? number * options->recipients + index : number;
    used = add(out, used, options->domain_pattern, source->address_prefix);
    used += source_write_number(out + used, turn % options->domains);
    return add_text(out, used, source->domain_suffix);
}

size_t source_write_mail(const struct source *source, char *out)
{
    size_t used = ADD(out, 0, "MAIL FROM:<");
    used = add_text(out, used, source->options.from);
    return ADD(out, used, ">\r\n");
}

size_t source_write_rcpt(const struct source *source, char *out, uint64_t number, unsigned index)
{
    size_t used = ADD(out, 0, "RCPT TO:<");
    used = add_recipient(source, out, used, number, index);
    return ADD(out, used, ">\r\n");
}

static void date_refresh(struct source *source, uint64_t wall_ns)
{
    const uint64_t seconds = wall_ns / TOOL_NS_PER_S;
    if (seconds == source->date_s) return;
    const time_t time = (time_t)seconds;
    struct tm parts;
    gmtime_r(&time, &parts);
    strftime(source->date, sizeof source->date, "%a, %d %b %Y %H:%M:%S +0000", &parts);
    source->date_s = seconds;
}

size_t source_write_head(struct source *source, char *out, uint64_t number, size_t *body)
{
    const struct source_options *options = &source->options;
    const uint64_t wall_ns = tool_wall_ns();
    date_refresh(source, wall_ns);

    size_t used = ADD(out, 0, "X-Bench-Id: ");
    used = add_text(out, used, options->run);
    used = ADD(out, used, "-");
    used += source_write_number(out + used, number);
    used = ADD(out, used, "\r\nX-Bench-Time: ");
    used += source_write_number(out + used, wall_ns);
    used = ADD(out, used, "\r\nDate: ");
    used = add_text(out, used, source->date);
    used = ADD(out, used, "\r\nFrom: <");
    used = add_text(out, used, options->from[0] != 0 ? options->from : "bench@source.test");
    used = ADD(out, used, ">\r\nTo: <");
    used = add_recipient(source, out, used, number, 0);
    used = ADD(out, used, ">\r\nMessage-ID: <");
    used = add_text(out, used, options->run);
    used = ADD(out, used, "-");
    used += source_write_number(out + used, number);
    used = ADD(out, used, "@bench.source.test>\r\nSubject: Ringpost bench message ");
    used += source_write_number(out + used, number);
    used = ADD(out, used, "\r\n\r\n");

    /* whole body lines, and one line before them of whatever octets are left: 2 to 79 with CRLF */
    *body = 0;
    if (options->size < used + 2) return used;
    const size_t rest = options->size - used;
    size_t pad = rest % SOURCE_LINE;
    if (pad == 1) pad += rest > SOURCE_LINE ? SOURCE_LINE : 0;
    *body = rest - pad;
    if (pad >= 2) {
        memset(out + used, '-', pad - 2);
        memcpy(out + used + pad - 2, "\r\n", 2);
        used += pad;
    }
    return used;
}
