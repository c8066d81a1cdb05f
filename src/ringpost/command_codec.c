/* SPDX-License-Identifier: Apache-2.0
 *
 * command_codec - `ringpost codec`: one operation from standard input to standard output
 */
#include "codec_job.h"
#include "command.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

enum { INPUT = 1 << 16, OUTPUT = 1 << 18 };

/* ---- the command line --------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned bit;
} option_names[] = {
    {"lenient", CODEC_OPTION_LENIENT},  {"strict", CODEC_OPTION_STRICT},
    {"wrap", CODEC_OPTION_WRAP},        {"binary", CODEC_OPTION_BINARY},
    {"escape-from", CODEC_OPTION_FROM}, {"escape-dot", CODEC_OPTION_DOT},
};

/* -1: go on. */
static int parse(const struct command *command, int argc, char **argv,
                 struct codec_options *options)
{
    static const struct option known[] = {
        {"decode", no_argument, NULL, 'd'},
        {"wrap", required_argument, NULL, 'w'},
        {"lenient", no_argument, NULL, 256 + CODEC_OPTION_LENIENT},
        {"strict", no_argument, NULL, 256 + CODEC_OPTION_STRICT},
        {"binary", no_argument, NULL, 256 + CODEC_OPTION_BINARY},
        {"escape-from", no_argument, NULL, 256 + CODEC_OPTION_FROM},
        {"escape-dot", no_argument, NULL, 256 + CODEC_OPTION_DOT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t wrap;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":dhw:", known, NULL)) != -1;) {
        if (c == 'h') {
            fputs(command->help, stdout);
            return EXIT_GOOD;
        }
        if (c == ':') return command_misused(command, "%s needs a value", argv[optind - 1]);
        if (c == '?') return command_misused(command, "unknown option %s", argv[optind - 1]);
        if (c == 'd') options->decode = true;
        if (c >= 256) options->given |= (unsigned)c - 256;
        if (c != 'w') continue;
        if (!bytes_to_u64(bytes_of(optarg), CODEC_BASE64_LINE_MAX, &wrap)) {
            return command_misused(command, "--wrap takes a number up to %d",
                                   CODEC_BASE64_LINE_MAX);
        }
        options->given |= CODEC_OPTION_WRAP;
        options->wrap = (size_t)wrap;
    }
    return -1;
}

static const struct codec_operation *find(const char *name, bool decode, bool *named)
{
    *named = false;
    for (size_t i = 0; i < codec_operation_count; i++) {
        if (strcmp(codec_operations[i].name, name) != 0) continue;
        *named = true;
        if (codec_operations[i].decode == decode) return &codec_operations[i];
    }
    return NULL;
}

/* NULL: what was wrong has been said, and is *status. */
static const struct codec_operation *choose(const struct command *command, int argc, char **argv,
                                            struct codec_options *options, int *status)
{
    bool named;
    *status = EXIT_USAGE;
    if (optind == argc) {
        command_misused(command, "which operation?");
        return NULL;
    }
    const char *name = argv[optind];
    const struct codec_operation *operation = find(name, options->decode, &named);
    if (operation == NULL) {
        if (named)
            command_misused(command, "%s has no --decode", name);
        else
            command_misused(command, "unknown operation %s", name);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_COUNT(option_names); i++) {
        if (!(options->given & option_names[i].bit & ~operation->allowed)) continue;
        command_misused(command, "%s%s takes no --%s", name, options->decode ? " --decode" : "",
                        option_names[i].name);
        return NULL;
    }
    const unsigned both = CODEC_OPTION_LENIENT | CODEC_OPTION_STRICT;
    if ((options->given & both) == both) {
        command_misused(command, "--lenient or --strict?");
        return NULL;
    }
    const int wanted = operation->argument != NULL;
    if (argc - optind - 1 < wanted) {
        command_misused(command, "%s needs %s", name, operation->argument);
        return NULL;
    }
    if (argc - optind - 1 > wanted) {
        command_misused(command, "what is %s?", argv[optind + 1 + wanted]);
        return NULL;
    }
    options->argument = wanted ? argv[optind + 1] : NULL;
    return operation;
}

/* ---- from standard input to standard output
 * -------------------------------------------------------- */

static bool write_all(const char *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            perror("ringpost: standard output");
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool feed_all(const struct codec_operation *operation, struct codec_job *job,
                     const char *src, size_t len)
{
    static char out[OUTPUT];
    while (len > 0 && job->error == CODEC_NO_ERROR) {
        const struct codec_progress done = operation->feed(job, src, len, out, sizeof(out));
        if (!write_all(out, done.written)) return false;
        ASSERT(done.taken > 0 || done.written > 0 || job->error != CODEC_NO_ERROR);
        job->offset += done.taken;
        src += done.taken;
        len -= done.taken;
    }
    return true;
}

static bool finish(const struct codec_operation *operation, struct codec_job *job)
{
    static char out[OUTPUT];
    do {
        job->more = false;
        const size_t n = operation->finish(job, out, sizeof(out));
        if (!write_all(out, n)) return false;
    } while (job->more);
    return true;
}

static int report(const struct codec_operation *operation, const struct codec_job *job)
{
    if (job->error == CODEC_NO_ERROR && job->why == NULL) return EXIT_GOOD;
    const uint64_t offset = job->error == CODEC_NO_ERROR ? job->offset : job->error;
    const char *why = job->why;
    if (why == NULL) why = offset < job->offset ? "wrong octet" : "ends too early";
    fprintf(stderr, "ringpost codec %s: %s at offset %llu\n", operation->name, why,
            (unsigned long long)offset);
    return EXIT_BAD;
}

static int run_operation(const struct codec_operation *operation, struct codec_job *job)
{
    static char in[INPUT];
    while (job->error == CODEC_NO_ERROR) {
        const ssize_t n = read(STDIN_FILENO, in, sizeof(in));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            perror("ringpost: standard input");
            return EXIT_BAD;
        }
        if (n == 0) {
            if (!finish(operation, job)) return EXIT_BAD;
            break;
        }
        if (!feed_all(operation, job, in, (size_t)n)) return EXIT_BAD;
    }
    return report(operation, job);
}

static int run_codec(const struct command *command, int argc, char **argv)
{
    struct codec_options options = {0};
    static struct codec_job job;
    int status = parse(command, argc, argv, &options);
    if (status >= 0) return status;
    const struct codec_operation *operation = choose(command, argc, argv, &options, &status);
    if (operation == NULL) return status;
    job.error = CODEC_NO_ERROR;
    job.options = &options;
    if (!operation->start(&job)) {
        if (options.given & CODEC_OPTION_WRAP) {
            return command_misused(command, "--wrap takes a multiple of 4");
        }
        return command_misused(command, "%s needs %s, not \"%s\"", operation->name,
                               operation->argument, options.argument);
    }
    return run_operation(operation, &job);
}

const struct command command_codec = {
    .name = "codec",
    .summary = "encode or decode standard input",
    .help =
        "usage: ringpost codec OPERATION [options] <IN >OUT\n\n"
        "  base64               lines of 76 characters that CRLF ends (RFC 2045)\n"
        "    -w, --wrap N       lines of N characters, a multiple of 4; 0: one run (RFC 4648)\n"
        "  base64 --decode      white space and line ends are skipped\n"
        "    --lenient          so is everything else outside the alphabet\n"
        "    --strict           the default\n"
        "  qp                   quoted-printable (RFC 2045) of text with CRLF line ends\n"
        "    --binary           line ends are data\n"
        "    --escape-from      \"From \" at the start of a line, too\n"
        "    --escape-dot       \".\" at the start of a line, too\n"
        "  qp --decode          --lenient is the default; --strict: no errors\n"
        "  uuencode NAME        with the lines \"begin 644 NAME\" and \"end\"\n"
        "  uuencode --decode    the first file in the text\n"
        "  stuff                as DATA wants it: leading dots doubled, \".\" at the end (RFC "
        "5321)\n"
        "  unstuff              back again\n"
        "  dkim simple|relaxed  a message's body in canonical form (RFC 6376)\n"
        "  words                one text as encoded-words, if it needs them (RFC 2047)\n"
        "  words --decode       the body of a field as UTF-8\n"
        "  utf8                 nothing is written: is it well-formed?\n\n"
        "  -d, --decode\n\n"
        "What is wrong with the input is said on standard error, with the offset of the first\n"
        "wrong octet; what was decoded before it has been written. Exit status 1 then, 2 if the\n"
        "command line was not understood.\n",
    .run = run_codec,
};
