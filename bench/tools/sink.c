/* SPDX-License-Identifier: Apache-2.0
 *
 * sink - ringpost-sink: takes mail over SMTP at a few µs a message, refuses and delays by rule
 */
#include "sink.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: ringpost-sink [options] host:port\n"
    "Takes mail over SMTP, counts it and throws it away. Prints a JSON summary at the end and on\n"
    "SIGUSR1.\n"
    "\n"
    "What it offers\n"
    "  --hostname NAME         name in the greeting (sink.test)\n"
    "  --no-pipelining, --no-chunking, --no-8bitmime, --no-smtputf8, --no-size, --no-dsn,\n"
    "  --no-enhanced           do not offer this extension\n"
    "  --size N                largest message in octets, announced and enforced (104857600)\n"
    "  --tls                   STARTTLS\n"
    "  --tls-on-connect        TLS from the first octet\n"
    "  --tls-cert FILE, --tls-key FILE\n"
    "                          PEM; without them a throw-away certificate is made\n"
    "  --tls-version V         1.2 or 1.3 only\n"
    "  --no-tls-reuse          give no session tickets\n"
    "\n"
    "How it behaves\n"
    "  --delay-ms N            each reply leaves N ms later than it could; one after the other\n"
    "  --dot-delay-ms N        the reply to a whole message, in addition\n"
    "  --throttle RATE         messages a second over all connections: replies wait for their "
    "turn\n"
    "  --refuse STAGE:CODE[:PERCENT][:PATTERN]\n"
    "                          refuse at connect, mail, rcpt, data (first BDAT too) or dot (end "
    "of\n"
    "                          the message) with a code of 400 to 599, or 'drop' the connection;\n"
    "                          PATTERN is a shell pattern on the recipient (rcpt), the client's\n"
    "                          address (connect) or the sender. May be given up to 32 times: the\n"
    "                          first that holds counts. 421 closes the connection\n"
    "  --seed N                seed of the percentages (1)\n"
    "  --limit-rcpt N          452 after N recipients of one transaction\n"
    "  --max-connections N     421 to further connections\n"
    "  --close-after N         421 after N messages on one connection\n"
    "  --timeout S             421 after S seconds of silence (300)\n"
    "\n"
    "What it reports\n"
    "  --count N               end when N messages are in\n"
    "  --linger-ms N           ... but stay N ms longer, for replies and duplicates (100)\n"
    "  --max-seconds S         end after S seconds in any case\n"
    "  --record FILE           one line a message: X-Bench-Id, time in ns, octets, sender,\n"
    "                          recipients\n"
    "\n"
    "The summary's latency runs from the X-Bench-Time field of ringpost-source to the last "
    "octet.\n";

enum option_id {
    OPT_EXTENSION = 0x100, /* + the bit's number */
    OPT_HOSTNAME = 0x200,
    OPT_SIZE,
    OPT_DELAY,
    OPT_DOT_DELAY,
    OPT_THROTTLE,
    OPT_REFUSE,
    OPT_SEED,
    OPT_LIMIT_RCPT,
    OPT_MAX_CONNECTIONS,
    OPT_CLOSE_AFTER,
    OPT_TIMEOUT,
    OPT_COUNT,
    OPT_LINGER,
    OPT_MAX_SECONDS,
    OPT_RECORD,
    OPT_TLS,
    OPT_TLS_ON_CONNECT,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_VERSION,
    OPT_NO_TLS_REUSE,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"no-pipelining", no_argument, NULL, OPT_EXTENSION + 0},
    {"no-chunking", no_argument, NULL, OPT_EXTENSION + 1},
    {"no-8bitmime", no_argument, NULL, OPT_EXTENSION + 2},
    {"no-smtputf8", no_argument, NULL, OPT_EXTENSION + 3},
    {"no-size", no_argument, NULL, OPT_EXTENSION + 4},
    {"no-dsn", no_argument, NULL, OPT_EXTENSION + 5},
    {"no-enhanced", no_argument, NULL, OPT_EXTENSION + 6},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"size", required_argument, NULL, OPT_SIZE},
    {"delay-ms", required_argument, NULL, OPT_DELAY},
    {"dot-delay-ms", required_argument, NULL, OPT_DOT_DELAY},
    {"throttle", required_argument, NULL, OPT_THROTTLE},
    {"refuse", required_argument, NULL, OPT_REFUSE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"limit-rcpt", required_argument, NULL, OPT_LIMIT_RCPT},
    {"max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS},
    {"close-after", required_argument, NULL, OPT_CLOSE_AFTER},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"count", required_argument, NULL, OPT_COUNT},
    {"linger-ms", required_argument, NULL, OPT_LINGER},
    {"max-seconds", required_argument, NULL, OPT_MAX_SECONDS},
    {"record", required_argument, NULL, OPT_RECORD},
    {"tls", no_argument, NULL, OPT_TLS},
    {"tls-on-connect", no_argument, NULL, OPT_TLS_ON_CONNECT},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"tls-version", required_argument, NULL, OPT_TLS_VERSION},
    {"no-tls-reuse", no_argument, NULL, OPT_NO_TLS_REUSE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static uint64_t span_ns(const char *name, const char *text, uint64_t unit_ns)
{
    return (uint64_t)(tool_decimal(name, text, 0, 1e6) * (double)unit_ns);
}

/* false: it is none about TLS */
static bool tls_option_take(struct sink_options *options, int id, const char *name,
                            const char *value)
{
    switch (id) {
    case OPT_TLS:
        options->tls = SINK_TLS_STARTTLS;
        return true;
    case OPT_TLS_ON_CONNECT:
        options->tls = SINK_TLS_ON_CONNECT;
        return true;
    case OPT_TLS_CERT:
        options->tls_certificate = value;
        return true;
    case OPT_TLS_KEY:
        options->tls_key = value;
        return true;
    case OPT_TLS_VERSION:
        options->tls_version = tool_tls_version(name, value);
        return true;
    case OPT_NO_TLS_REUSE:
        options->tls_no_reuse = true;
        return true;
    default:
        return false;
    }
}

static void option_take(struct sink_options *options, int id, const char *name, const char *value)
{
    if (tls_option_take(options, id, name, value)) return;
    switch (id) {
    case OPT_HOSTNAME:
        if (strlen(value) > 255) tool_die("--hostname: longer than 255 octets");
        options->hostname = value;
        break;
    case OPT_SIZE:
        options->size_limit = tool_number(name, value, 1, UINT64_MAX);
        break;
    case OPT_DELAY:
        options->reply_delay_ns = span_ns(name, value, TOOL_NS_PER_MS);
        break;
    case OPT_DOT_DELAY:
        options->dot_delay_ns = span_ns(name, value, TOOL_NS_PER_MS);
        break;
    case OPT_THROTTLE:
        options->interval_ns =
            (uint64_t)((double)TOOL_NS_PER_S / tool_decimal(name, value, 0.001, 1e9));
        break;
    case OPT_REFUSE:
        sink_rule_parse(options, value);
        break;
    case OPT_SEED:
        options->seed = tool_number(name, value, 1, UINT64_MAX);
        break;
    case OPT_LIMIT_RCPT:
        options->rcpt_limit = tool_number(name, value, 1, UINT32_MAX);
        break;
    case OPT_MAX_CONNECTIONS:
        options->connection_limit = tool_number(name, value, 1, UINT32_MAX);
        break;
    case OPT_CLOSE_AFTER:
        options->close_after = tool_number(name, value, 1, UINT32_MAX);
        break;
    case OPT_TIMEOUT:
        options->idle_ns = span_ns(name, value, TOOL_NS_PER_S);
        break;
    case OPT_COUNT:
        options->count = tool_number(name, value, 1, UINT64_MAX);
        break;
    case OPT_LINGER:
        options->linger_ns = span_ns(name, value, TOOL_NS_PER_MS);
        break;
    case OPT_MAX_SECONDS:
        options->run_ns = span_ns(name, value, TOOL_NS_PER_S);
        break;
    case OPT_RECORD:
        options->record = value;
        break;
    case OPT_HELP:
        fputs(help, stdout);
        exit(0);
    default:
        fputs("Try 'ringpost-sink --help'.\n", stderr);
        exit(2);
    }
}

static void options_parse(struct sink_options *options, int argc, char **argv)
{
    int index = 0;
    for (;;) {
        const int id = getopt_long(argc, argv, "h", long_options, &index);
        if (id == -1) break;
        if (id >= OPT_EXTENSION && id < OPT_HOSTNAME) {
            options->extensions &= ~(1u << (id - OPT_EXTENSION));
        } else {
            option_take(options, id == 'h' ? OPT_HELP : id, long_options[index].name, optarg);
        }
    }
    if (optind != argc - 1) {
        fputs(help, stderr);
        exit(2);
    }
    tool_address_parse(&options->listen, argv[optind]);
}

int main(int argc, char **argv)
{
    static struct sink sink = {
        .options =
            {
                .hostname = "sink.test",
                .extensions = SINK_PIPELINING | SINK_CHUNKING | SINK_8BITMIME | SINK_SMTPUTF8 |
                              SINK_SIZE | SINK_DSN | SINK_ENHANCED,
                .seed = 1,
                .size_limit = 104857600,
                .linger_ns = 100 * TOOL_NS_PER_MS,
                .idle_ns = 300 * TOOL_NS_PER_S,
            },
    };
    tool_name_set("ringpost-sink");
    options_parse(&sink.options, argc, argv);
    tool_files_raise();
    sink.random = sink.options.seed * 0x9E3779B97F4A7C15ull | 1;
    sink_report_open(&sink);
    sink_tls_open(&sink);
    sink_engine_run(&sink);
    sink_report_summary(&sink);
    return 0;
}
