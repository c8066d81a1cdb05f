/* SPDX-License-Identifier: Apache-2.0
 *
 * source - ringpost-source: sends mail over SMTP as fast as a relay can take it, or at a given rate
 */
#include "source.h"

#include <getopt.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: ringpost-source [options] host:port\n"
    "Sends generated mail over SMTP and prints a JSON summary. Exit status 0: every message had\n"
    "a final reply; 1: some had none; 2: wrong use.\n"
    "\n"
    "How much\n"
    "  -s, --connections N     connections at a time (1)\n"
    "  -m, --messages N        messages in all (1)\n"
    "  -l, --size N            octets of a message, header and CRLF counted (1024); never less\n"
    "                          than its header of some 300\n"
    "  -r, --recipients N      recipients of a message (1); from 2 on numbered: b0@, b1@ ...\n"
    "      --per-connection N  QUIT and connect again after N messages (0: never)\n"
    "      --rate R            R messages a second at fixed times, whatever the replies (open\n"
    "                          loop); without it each connection sends when it can\n"
    "      --max-seconds S     stop after S seconds in any case\n"
    "\n"
    "How\n"
    "      --mode lockstep     one command, one reply (default)\n"
    "      --mode pipelining   MAIL, RCPT, DATA leave with the final dot of the message before\n"
    "      --mode chunking     MAIL, RCPT, BDAT LAST of up to --window messages under way\n"
    "      --mode connect      no mail: each message is a connection, its greeting, its QUIT\n"
    "      --window N          of chunking (8)\n"
    "      --timeout S         give a connection up after S seconds without a reply (300)\n"
    "\n"
    "      --tls               STARTTLS; certificates are not verified\n"
    "      --tls-on-connect    TLS from the first octet\n"
    "      --tls-name NAME     ask for this host (SNI)\n"
    "      --tls-version V     1.2 or 1.3 only\n"
    "      --no-tls-reuse      a full handshake for each connection: resume no session\n"
    "      --auth USER:PASSWORD  AUTH PLAIN on each connection\n"
    "\n"
    "What\n"
    "  -f, --from ADDRESS      reverse-path (a@source.test)\n"
    "  -t, --to LOCAL@DOMAIN   recipient (b@dest.test)\n"
    "      --domains N         message n goes to domain n modulo N of the pattern\n"
    "      --domain-pattern P  with one %u (d%u.test)\n"
    "      --mixed             each recipient of a message in the next domain\n"
    "      --ehlo NAME         (client.test)\n"
    "      --run TEXT          first part of each X-Bench-Id: TEXT-number (a random one)\n"
    "\n"
    "Each message has an X-Bench-Id and an X-Bench-Time field (ns since 1970, written when its\n"
    "content leaves), which ringpost-sink reads. The summary's latency runs from the end of the\n"
    "content to its 250.\n";

enum option_id {
    OPT_PER_CONNECTION = 0x100,
    OPT_RATE,
    OPT_MAX_SECONDS,
    OPT_MODE,
    OPT_WINDOW,
    OPT_TIMEOUT,
    OPT_DOMAINS,
    OPT_DOMAIN_PATTERN,
    OPT_MIXED,
    OPT_EHLO,
    OPT_RUN,
    OPT_TLS,
    OPT_TLS_ON_CONNECT,
    OPT_TLS_NAME,
    OPT_TLS_VERSION,
    OPT_NO_TLS_REUSE,
    OPT_AUTH,
};

static const struct option long_options[] = {
    {"connections", required_argument, NULL, 's'},
    {"messages", required_argument, NULL, 'm'},
    {"size", required_argument, NULL, 'l'},
    {"recipients", required_argument, NULL, 'r'},
    {"from", required_argument, NULL, 'f'},
    {"to", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {"per-connection", required_argument, NULL, OPT_PER_CONNECTION},
    {"rate", required_argument, NULL, OPT_RATE},
    {"max-seconds", required_argument, NULL, OPT_MAX_SECONDS},
    {"mode", required_argument, NULL, OPT_MODE},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"domains", required_argument, NULL, OPT_DOMAINS},
    {"domain-pattern", required_argument, NULL, OPT_DOMAIN_PATTERN},
    {"mixed", no_argument, NULL, OPT_MIXED},
    {"ehlo", required_argument, NULL, OPT_EHLO},
    {"run", required_argument, NULL, OPT_RUN},
    {"tls", no_argument, NULL, OPT_TLS},
    {"tls-on-connect", no_argument, NULL, OPT_TLS_ON_CONNECT},
    {"tls-name", required_argument, NULL, OPT_TLS_NAME},
    {"tls-version", required_argument, NULL, OPT_TLS_VERSION},
    {"no-tls-reuse", no_argument, NULL, OPT_NO_TLS_REUSE},
    {"auth", required_argument, NULL, OPT_AUTH},
    {NULL, 0, NULL, 0},
};

static const char *const mode_names[] = {
    [SOURCE_LOCKSTEP] = "lockstep",
    [SOURCE_PIPELINING] = "pipelining",
    [SOURCE_CHUNKING] = "chunking",
    [SOURCE_CONNECT] = "connect",
};

static enum source_mode mode_parse(const char *text)
{
    for (unsigned i = 0; i < sizeof mode_names / sizeof mode_names[0]; i++) {
        if (strcmp(mode_names[i], text) == 0) return (enum source_mode)i;
    }
    tool_die("--mode %s: one of lockstep, pipelining, chunking, connect", text);
}

static uint64_t span_ns(const char *name, const char *text)
{
    return (uint64_t)(tool_decimal(name, text, 0, 1e6) * (double)TOOL_NS_PER_S);
}

static const char *line_text(const char *name, const char *text)
{
    if (strlen(text) >= SOURCE_ADDRESS_MAX || strpbrk(text, "\r\n") != NULL) {
        tool_die("%s: too long, or a line end in it", name);
    }
    return text;
}

/* "USER:PASSWORD" → the command with its initial response (RFC 4954, RFC 4616) */
static const char *auth_parse(const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || strlen(text) > 400) tool_die("--auth USER:PASSWORD, at most 400 octets");
    unsigned char plain[404] = {0};
    const size_t length = strlen(text) + 1;
    memcpy(plain + 1, text, length - 1);
    plain[1 + (colon - text)] = 0;
    static char command[640];
    const size_t used = (size_t)snprintf(command, sizeof command, "AUTH PLAIN ");
    const int encoded = EVP_EncodeBlock((unsigned char *)command + used, plain, (int)length);
    memcpy(command + used + (size_t)encoded, "\r\n", 3);
    return command;
}

/* false: it is none about TLS and AUTH */
static bool tls_option_take(struct source_options *options, int id, const char *value)
{
    switch (id) {
    case OPT_TLS:
        options->tls = SOURCE_TLS_STARTTLS;
        return true;
    case OPT_TLS_ON_CONNECT:
        options->tls = SOURCE_TLS_ON_CONNECT;
        return true;
    case OPT_TLS_NAME:
        options->tls_name = value;
        return true;
    case OPT_TLS_VERSION:
        options->tls_version = tool_tls_version("--tls-version", value);
        return true;
    case OPT_NO_TLS_REUSE:
        options->tls_no_reuse = true;
        return true;
    case OPT_AUTH:
        options->auth = auth_parse(value);
        return true;
    default:
        return false;
    }
}

static void option_take(struct source_options *options, int id, const char *value)
{
    if (tls_option_take(options, id, value)) return;
    switch (id) {
    case 's':
        options->connections = (unsigned)tool_number("-s", value, 1, 100000);
        break;
    case 'm':
        options->messages = tool_number("-m", value, 1, UINT64_MAX);
        break;
    case 'l':
        options->size = tool_number("-l", value, 1, 1u << 30);
        break;
    case 'r':
        options->recipients = (unsigned)tool_number("-r", value, 1, 10000);
        break;
    case 'f':
        options->from = line_text("-f", value);
        break;
    case 't':
        options->to = line_text("-t", value);
        break;
    case OPT_PER_CONNECTION:
        options->per_connection = tool_number("--per-connection", value, 0, UINT64_MAX);
        break;
    case OPT_RATE:
        options->rate = tool_decimal("--rate", value, 0.001, 1e8);
        break;
    case OPT_MAX_SECONDS:
        options->run_ns = span_ns("--max-seconds", value);
        break;
    case OPT_MODE:
        options->mode = mode_parse(value);
        break;
    case OPT_WINDOW:
        options->window = (unsigned)tool_number("--window", value, 1, 400);
        break;
    case OPT_TIMEOUT:
        options->timeout_ns = span_ns("--timeout", value);
        break;
    case OPT_DOMAINS:
        options->domains = tool_number("--domains", value, 1, UINT32_MAX);
        break;
    case OPT_DOMAIN_PATTERN:
        options->domain_pattern = line_text("--domain-pattern", value);
        break;
    case OPT_MIXED:
        options->mixed = true;
        break;
    case OPT_EHLO:
        options->ehlo = line_text("--ehlo", value);
        break;
    case OPT_RUN:
        options->run = line_text("--run", value);
        break;
    case 'h':
        fputs(help, stdout);
        exit(0);
    default:
        fputs("Try 'ringpost-source --help'.\n", stderr);
        exit(2);
    }
}

/* The most that one gathering can produce, so that no buffer ever grows or moves. */
static void sizes_set(struct source *source)
{
    const struct source_options *options = &source->options;
    const unsigned window = options->mode == SOURCE_CHUNKING ? options->window : 2;
    const size_t recipient = 16 + 128 + 10 + 256;
    source->flight_size = window;
    source->expect_size = window * 4 + 4;
    source->text_size =
        512 + window * (4096 + SOURCE_ADDRESS_MAX + options->recipients * recipient);
    source->iov_size = window * 2 + 2; /* at most 802: below IOV_MAX */
}

static int summary(const struct source *source)
{
    const struct source_options *options = &source->options;
    const struct source_stats *stats = &source->stats;
    const double seconds = (double)(stats->last_ns - stats->first_ns) / (double)TOOL_NS_PER_S;
    const uint64_t answered = stats->accepted + stats->refused;
    printf("{\"run\": \"%s\", \"mode\": \"%s\", \"connections\": %u, \"messages\": %llu, "
           "\"size\": %zu, ",
           options->run, mode_names[options->mode], options->connections,
           (unsigned long long)options->messages, options->size);
    printf("\"sent\": %llu, \"accepted\": %llu, \"unanswered\": %llu, \"refused\": {",
           (unsigned long long)stats->sent, (unsigned long long)stats->accepted,
           (unsigned long long)stats->unanswered);
    const char *comma = "";
    for (unsigned code = 0; code < SOURCE_CODES; code++) {
        if (stats->codes[code] == 0) continue;
        printf("%s\"%u\": %llu", comma, code, (unsigned long long)stats->codes[code]);
        comma = ", ";
    }
    printf("}, \"recipients_accepted\": %llu, \"recipients_refused\": %llu, \"bytes\": %llu, ",
           (unsigned long long)stats->recipients_accepted,
           (unsigned long long)stats->recipients_refused, (unsigned long long)stats->bytes);
    printf("\"connections_opened\": %llu, \"connect_failed\": %llu, \"seconds\": %.6f, "
           "\"rate\": %.1f, \"first_ns\": %llu, \"last_ns\": %llu, ",
           (unsigned long long)stats->connections, (unsigned long long)stats->connect_failed,
           seconds, seconds > 0 ? (double)stats->accepted / seconds : 0.0,
           (unsigned long long)stats->first_ns, (unsigned long long)stats->last_ns);
    if (source->tls != NULL) {
        tool_tls_json(stdout, source->tls);
        printf(", ");
    }
    tool_histogram_json(stdout, "latency_ms", &stats->latency);
    printf(", ");
    tool_cpu_json(stdout);
    printf("}\n");
    return answered == options->messages ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct source source = {
        .options =
            {
                .mode = SOURCE_LOCKSTEP,
                .connections = 1,
                .messages = 1,
                .size = 1024,
                .recipients = 1,
                .domain_pattern = "d%u.test",
                .from = "a@source.test",
                .to = "b@dest.test",
                .ehlo = "client.test",
                .window = 8,
                .timeout_ns = 300 * TOOL_NS_PER_S,
            },
    };
    tool_name_set("ringpost-source");
    for (;;) {
        const int id = getopt_long(argc, argv, "s:m:l:r:f:t:h", long_options, NULL);
        if (id == -1) break;
        option_take(&source.options, id, optarg);
    }
    if (optind != argc - 1) {
        fputs(help, stderr);
        return 2;
    }
    tool_address_parse(&source.options.target, argv[optind]);

    char run[24];
    if (source.options.run == NULL) {
        snprintf(run, sizeof run, "%llx",
                 (unsigned long long)(tool_wall_ns() / 1000 ^ (uint64_t)getpid() << 44));
        source.options.run = run;
    }
    if (source.options.connections > source.options.messages) {
        source.options.connections = (unsigned)source.options.messages;
    }
    tool_files_raise();
    sizes_set(&source);
    source_message_init(&source);
    source_tls_open(&source);
    source_engine_run(&source);
    return summary(&source);
}
