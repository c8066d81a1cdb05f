/* SPDX-License-Identifier: Apache-2.0
 *
 * command_send - `ringpost send`: a message from files, handed in or printed
 */
#include "command.h"
#include "ringpost/smtp.h"
#include "send.h"
#include <getopt.h>
#include <stdio.h>

enum { COUNT_MAX = 1000000000, TIMEOUT_MAX_S = 86400, TIMEOUT_S = 300 };

/* Said; the others' status for it is not that of sysexits.h. */
#define MISUSED(...) (command_misused(__VA_ARGS__), EX_USAGE)

static int set_number(const char *option, const char *text, uint64_t max, uint64_t *number)
{
    if (bytes_to_u64(bytes_of(text), max, number) && *number > 0) return EX_OK;
    return send_complain(EX_USAGE, "%s is a number over 0", option);
}

enum option_code {
    FROM = 256,
    TO,
    CC,
    BCC,
    REPLY_TO,
    SUBJECT,
    TEXT,
    HTML,
    INLINE,
    ATTACH,
    HEADER,
    VIA,
    COUNT,
    TIMEOUT,
    DUMP,
    EIGHT_BIT,
};
static const struct option known[] = {
    {"from", required_argument, NULL, FROM},
    {"to", required_argument, NULL, TO},
    {"cc", required_argument, NULL, CC},
    {"bcc", required_argument, NULL, BCC},
    {"reply-to", required_argument, NULL, REPLY_TO},
    {"subject", required_argument, NULL, SUBJECT},
    {"text", required_argument, NULL, TEXT},
    {"html", required_argument, NULL, HTML},
    {"inline", required_argument, NULL, INLINE},
    {"attach", required_argument, NULL, ATTACH},
    {"header", required_argument, NULL, HEADER},
    {"via", required_argument, NULL, VIA},
    {"count", required_argument, NULL, COUNT},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"dump", no_argument, NULL, DUMP},
    {"8bit", no_argument, NULL, EIGHT_BIT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int set_option(struct send_input *input, int code, const char *value)
{
    uint64_t number = 0;
    int status;
    switch (code) {
    case FROM:
        return send_add_mailboxes(input, &input->from, value);
    case TO:
        return send_add_mailboxes(input, &input->to, value);
    case CC:
        return send_add_mailboxes(input, &input->cc, value);
    case BCC:
        return send_add_mailboxes(input, &input->bcc, value);
    case REPLY_TO:
        return send_add_mailboxes(input, &input->reply_to, value);
    case SUBJECT:
        input->message.subject = bytes_of(value);
        return EX_OK;
    case TEXT:
        return send_read_file(input, value, &input->message.text);
    case HTML:
        return send_read_file(input, value, &input->message.html);
    case INLINE:
        return send_add_image(input, value);
    case ATTACH:
        return send_add_attachment(input, value);
    case HEADER:
        return send_add_header(input, value);
    case VIA:
        input->via = value;
        return EX_OK;
    case COUNT:
        return set_number("--count", value, COUNT_MAX, &input->count);
    case TIMEOUT:
        status = set_number("--timeout", value, TIMEOUT_MAX_S, &number);
        input->timeout_s = (unsigned)number;
        return status;
    case DUMP:
        input->dump = true;
        return EX_OK;
    default:
        input->eight_bit = true;
        return EX_OK;
    }
}

/* -1 to go on, else the exit status. */
static int read_options(const struct command *command, int argc, char **argv,
                        struct send_input *input)
{
    *input = (struct send_input){.via = "127.0.0.1:2525", .count = 1, .timeout_s = TIMEOUT_S};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (c == 'h') {
            fputs(command->help, stdout);
            return EX_OK;
        }
        if (c == ':') return MISUSED(command, "%s needs a value", argv[optind - 1]);
        if (c == '?') return MISUSED(command, "unknown option %s", argv[optind - 1]);
        const int status = set_option(input, c, optarg);
        if (status != EX_OK) return status;
    }
    if (optind < argc) return MISUSED(command, "what is %s?", argv[optind]);
    if (input->from.count != 1) return MISUSED(command, "%s is one address", "--from");
    if (!input->dump && input->to.count + input->cc.count + input->bcc.count == 0) {
        return MISUSED(command, "%s is missing", "--to");
    }
    return -1;
}

/* Bcc is in no header, so the builder does not see it. */
static int check_bcc(const struct send_input *input, struct mime_builder *builder)
{
    const struct mime_message envelope = {
        .from = input->message.from, .to = {input->bcc.items, input->bcc.count}, .utf8 = true};
    const enum mime_build_result result = mime_build_init(builder, &envelope);
    return result == MIME_BUILD_OK ? EX_OK : send_explain(result, builder->culprit);
}

/* What is wrong with the message is found before anybody is asked to take it. */
static int check(struct send_input *input, struct mime_builder *builder)
{
    send_input_message(input);
    send_refresh(&input->message);
    const int status = check_bcc(input, builder);
    if (status != EX_OK) return status;
    const enum mime_build_result result = mime_build_init(builder, &input->message);
    return result == MIME_BUILD_OK ? EX_OK : send_explain(result, builder->culprit);
}

static int dump(struct mime_builder *builder)
{
    static char content[64 * 1024];
    for (size_t n; (n = mime_build_next(builder, content, sizeof(content))) > 0;) {
        if (fwrite(content, 1, n, stdout) != n) break; /* main() says it */
    }
    return EX_OK;
}

static int run_send(const struct command *command, int argc, char **argv)
{
    static struct mime_builder builder;
    struct send_input input;
    int status = read_options(command, argc, argv, &input);
    if (status < 0) status = check(&input, &builder);
    if (status == EX_OK && input.message.from.count > 0) { /* else help was asked for */
        status = input.dump ? dump(&builder) : send_over_smtp(&input);
    }
    send_input_deinit(&input);
    return status;
}

const struct command command_send = {
    .name = "send",
    .summary = "build a message from files and hand it in",
    .help =
        "usage: ringpost send --from ADDRESS --to ADDRESS [options]\n\n"
        "      --from, --to, --cc, --bcc, --reply-to ADDRESS\n"
        "                       local@domain, or \"Name <local@domain>\"; all but the first may\n"
        "                       be lists, and be given several times\n"
        "      --subject TEXT   UTF-8, like names\n"
        "      --text FILE      UTF-8; \"-\" reads standard input\n"
        "      --html FILE      the same as HTML; with --text the receiver chooses\n"
        "      --inline CID=FILE[:TYPE]\n"
        "                       an image, which the HTML shows as <img src=\"cid:CID\">\n"
        "      --attach FILE[:TYPE]\n"
        "                       TYPE: image/png; without it by the end of the name\n"
        "      --header \"NAME: VALUE\"\n"
        "      --8bit           text as it is, where the server offers 8BITMIME\n"
        "      --via HOST:PORT  where to (127.0.0.1:2525)\n"
        "      --count N        that many messages over one connection, each with its own ids\n"
        "      --timeout S      seconds to wait for the server (300)\n"
        "      --dump           print the message instead\n\n"
        "Exit status, that of sysexits.h: 0 accepted for all recipients; 64 the command line\n"
        "and 65 the message or an address is wrong; 66 a file cannot be read; 68 no such host;\n"
        "69 refused for good, for one recipient at least; 75 not now: try again; 76 not SMTP.\n"
        "What the server said is on standard error, that it accepted on standard output.\n",
    .run = run_send,
};
