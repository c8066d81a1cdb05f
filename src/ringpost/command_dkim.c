/* SPDX-License-Identifier: Apache-2.0
 *
 * command_dkim - `ringpost dkim`: makes a key, and compares keys with what DNS has
 */
#include "command.h"
#include "ringpost/dkim.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STRING_MAX = 255, BITS_DEFAULT = 2048, NAME_ROOM = 2 * DNS_NAME_MAX + 32 };

struct dkim_options {
    const char *config, *domain, *selector, *out;
    enum dkim_algorithm algorithm;
    uint32_t bits;
};

/* ---- the command line ---------------------------------------------------------------------------
 */

static bool parse_type(const char *word, struct dkim_options *options)
{
    if (strcmp(word, "rsa") == 0) return options->algorithm = DKIM_RSA_SHA256, true;
    if (strcmp(word, "ed25519") == 0) return options->algorithm = DKIM_ED25519_SHA256, true;
    return false;
}

static bool parse_bits(const char *word, struct dkim_options *options)
{
    uint64_t bits;
    if (!bytes_to_u64(bytes_of(word), DKIM_RSA_BITS_MAX, &bits) || bits < DKIM_RSA_BITS_MIN)
        return false;
    options->bits = (uint32_t)bits;
    return true;
}

/* -1: go on. */
static int parse(const struct command *command, int argc, char **argv, bool keygen,
                 struct dkim_options *options)
{
    static const struct option for_keygen[] = {
        {"type", required_argument, NULL, 't'},
        {"bits", required_argument, NULL, 'b'},
        {"domain", required_argument, NULL, 'd'},
        {"selector", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct option for_check[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const struct option *known = keygen ? for_keygen : for_check;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, keygen ? ":h" : ":c:h", known, NULL)) != -1;) {
        if (c == 'h') return fputs(command->help, stdout), EXIT_GOOD;
        if (c == ':') return command_misused(command, "%s needs a value", argv[optind - 1]);
        if (c == '?') return command_misused(command, "unknown option %s", argv[optind - 1]);
        if (c == 'c') options->config = optarg;
        if (c == 'd') options->domain = optarg;
        if (c == 's') options->selector = optarg;
        if (c == 'o') options->out = optarg;
        if (c == 't' && !parse_type(optarg, options))
            return command_misused(command, "--type is rsa or ed25519");
        if (c == 'b' && !parse_bits(optarg, options))
            return command_misused(command, "--bits is a number from %d to %d", DKIM_RSA_BITS_MIN,
                                   DKIM_RSA_BITS_MAX);
    }
    return -1;
}

/* ---- keygen -------------------------------------------------------------------------------------
 */

/* For its owner only from the first moment on; never over another key. */
static bool write_file(const char *path, struct bytes pem)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        fprintf(stderr, "ringpost dkim: %s: %s\n", path, strerror(errno));
        return false;
    }
    const bool whole = write(fd, pem.data, pem.len) == (ssize_t)pem.len && fsync(fd) == 0;
    const int cause = errno;
    if ((close(fd) == 0) & whole) return true;
    fprintf(stderr, "ringpost dkim: %s: %s\n", path, strerror(cause));
    unlink(path);
    return false;
}

/* As a zone file has it: strings of up to 255 octets (RFC 6376 section 3.6.2.2). */
static void print_record(const struct dkim_key *key, const char *selector, const char *domain)
{
    char room[DKIM_RECORD_MAX];
    struct text record;
    text_init(&record, room, sizeof(room));
    dkim_record_print(key, &record);
    printf("%s._domainkey.%s. IN TXT (", selector, domain);
    struct bytes rest = text_bytes(&record);
    for (; rest.len > 0; rest = bytes_skip(rest, STRING_MAX))
        printf("\n    \"%.*s\"", (int)MIN(rest.len, (size_t)STRING_MAX), rest.data);
    puts(" )");
}

static bool normalise(const char *what, const char *given, char *room)
{
    struct text name;
    text_init(&name, room, DNS_NAME_MAX + 3);
    if (given[0] != '[' && dns_name_normalise(bytes_of(given), &name)) return true;
    fprintf(stderr, "ringpost dkim: \"%s\" is no %s\n", given, what);
    return false;
}

static int make_key(const struct dkim_options *options)
{
    char domain[DNS_NAME_MAX + 3], selector[DNS_NAME_MAX + 3], path[NAME_ROOM], pem_room[8192];
    char why[200];
    struct text pem;
    if (!normalise("domain", options->domain, domain) ||
        !normalise("name for a selector", options->selector, selector))
        return EXIT_BAD;
    snprintf(path, sizeof(path), "%s.%s.pem", selector, domain);
    const char *out = options->out != NULL ? options->out : path;
    struct dkim_key *key = dkim_key_generate(options->algorithm, options->bits, why, sizeof(why));
    if (key == NULL) {
        fprintf(stderr, "ringpost dkim: the key %s\n", why);
        return EXIT_BAD;
    }
    text_init(&pem, pem_room, sizeof(pem_room));
    const bool good = dkim_key_write(key, &pem) && write_file(out, text_bytes(&pem));
    explicit_bzero(pem_room, sizeof(pem_room));
    if (good) {
        printf("; The key is in %s: readable for its owner only, who has to be `user` of the\n"
               "; configuration. It goes there as\n"
               ";     dkim \"%s\" { selector = \"%s\" key = \"%s\" }\n"
               "; and this into DNS:\n",
               out, domain, selector, out);
        print_record(key, selector, domain);
    }
    dkim_key_unref(key);
    return good ? EXIT_GOOD : EXIT_BAD;
}

static int run_keygen(const struct command *command, int argc, char **argv)
{
    struct dkim_options options = {.algorithm = DKIM_RSA_SHA256, .bits = BITS_DEFAULT};
    const int status = parse(command, argc, argv, true, &options);
    if (status >= 0) return status;
    if (optind < argc) return command_misused(command, "what is %s?", argv[optind]);
    if (options.domain == NULL || options.selector == NULL)
        return command_misused(command, "keygen needs --domain and --selector");
    return make_key(&options);
}

/* ---- check --------------------------------------------------------------------------------------
 */

struct lookup {
    struct dns_backend_query query;
    const char *name;
    bool done;
    enum dns_error error;
    uint32_t count; /* records */
    struct text text;
    char room[4096];
};

static void on_answer(struct dns_backend_query *query, enum dns_error error, struct bytes answer)
{
    struct lookup *lookup = CONTAINER_OF(query, struct lookup, query);
    lookup->done = true;
    lookup->error = error;
    if (error == DNS_ERROR_NONE)
        lookup->error = dns_txt_read(answer, bytes_of(lookup->name), &lookup->text, &lookup->count);
}

static const char *judge(const struct dkim_signer *signer, const struct lookup *lookup)
{
    if (lookup->error != DNS_ERROR_NONE) return dns_error_phrase(lookup->error);
    if (lookup->count == 0) return "is not in DNS";
    if (lookup->count > 1) return "has several TXT records: verifiers take any of them";
    if (lookup->text.cut) return "is too long";
    return dkim_record_compare(signer->key, text_bytes(&lookup->text));
}

/* Says what is to be said about one key; true: all is well. */
static bool check_signer(const struct dkim_signer *signer, struct worker *worker,
                         struct dns_backend *backend)
{
    char name[NAME_ROOM];
    struct lookup lookup = {.query.on_answer = on_answer, .name = name};
    text_init(&lookup.text, lookup.room, sizeof(lookup.room));
    snprintf(name, sizeof(name), "%.*s._domainkey.%.*s", BYTES_FMT(signer->selector),
             BYTES_FMT(signer->domain));
    const char *fault = "is too long a name";
    if (strlen(name) <= DNS_NAME_MAX) {
        dns_backend_ask(backend, &lookup.query, name, DNS_TYPE_TXT);
        while (!lookup.done)
            worker_turn(worker);
        fault = judge(signer, &lookup);
    }
    const bool rsa = dkim_key_algorithm(signer->key) == DKIM_RSA_SHA256;
    printf("%s %s", name, fault != NULL ? fault : "is the key's");
    if (fault == NULL) printf(rsa ? " (RSA, %u bits)" : " (Ed25519)", dkim_key_bits(signer->key));
    puts("");
    return fault == NULL;
}

static int check_all(const struct config *config, const char *domain, struct worker *worker,
                     struct dns_backend *backend)
{
    const struct dkim_signers *signers = config->receive.signers;
    const size_t count = signers != NULL ? dkim_signers_count(signers) : 0;
    size_t asked = 0, good = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dkim_signer *signer = dkim_signers_at(signers, i);
        if (domain != NULL && !bytes_equal(signer->domain, bytes_of(domain))) continue;
        asked += 1;
        good += check_signer(signer, worker, backend);
    }
    if (asked == 0) {
        fprintf(stderr, "ringpost dkim: the configuration has no block \"dkim\"%s%s\n",
                domain != NULL ? " for " : "", domain != NULL ? domain : "");
    }
    return asked > 0 && good == asked ? EXIT_GOOD : EXIT_BAD;
}

static int check_with(const struct config *config, const char *domain)
{
    char why[200];
    const struct worker_options one = {.workers = 1};
    const struct dns_backend_options options = {
        .servers = config->dns.servers,
        .server_count = config->dns.server_count,
        .timeout = config->dns.timeout,
        .tries = config->dns.tries,
    };
    struct worker *worker = workers_create(&one, why, sizeof(why));
    struct dns_backend *backend = NULL;
    int status = EXIT_BAD;
    if (worker != NULL) {
        ring_enter_thread(worker->ring);
        backend = dns_backend_create(worker->ring, &options, why, sizeof(why));
    }
    if (backend != NULL)
        status = check_all(config, domain, worker, backend);
    else
        fprintf(stderr, "ringpost dkim: %s\n", why);
    dns_backend_destroy(&backend);
    for (int turn = 0; worker != NULL && turn < 1000 && ring_in_flight(worker->ring) > 0; turn++) {
        worker_keep_busy(worker); /* what was polled is being let go: no waiting for anything */
        worker_turn(worker);
    }
    if (worker != NULL) workers_destroy(&worker);
    return status;
}

static int run_check(const struct command *command, int argc, char **argv)
{
    struct dkim_options options = {.config = command_config_default};
    char domain[DNS_NAME_MAX + 3];
    const int status = parse(command, argc, argv, false, &options);
    if (status >= 0) return status;
    if (optind < argc) options.domain = argv[optind++];
    if (optind < argc) return command_misused(command, "what is %s?", argv[optind]);
    if (options.domain != NULL && !normalise("domain", options.domain, domain)) return EXIT_BAD;
    struct config *config = command_config(options.config, true);
    if (config == NULL) return EXIT_BAD;
    const char *asked = options.domain != NULL ? domain : NULL;
    const int result = command_read_files(config) ? check_with(config, asked) : EXIT_BAD;
    config_free(&config);
    return result;
}

static int run_dkim(const struct command *command, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "keygen") == 0) return run_keygen(command, argc - 1, argv + 1);
    if (strcmp(what, "check") == 0) return run_check(command, argc - 1, argv + 1);
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)
        return fputs(command->help, stdout), EXIT_GOOD;
    return command_misused(command, what[0] != '\0' ? "what is %s?" : "keygen or check?", what);
}

const struct command command_dkim = {
    .name = "dkim",
    .summary = "make a key for DKIM; compare keys with DNS",
    .help =
        "usage: ringpost dkim keygen --domain DOMAIN --selector NAME [options]\n"
        "       ringpost dkim check [-c FILE] [DOMAIN]\n\n"
        "keygen makes a key, writes it into a file that only its owner may read, and prints the\n"
        "record for DNS.\n\n"
        "      --domain DOMAIN      whose mail is to be signed\n"
        "      --selector NAME      the record will be at NAME._domainkey.DOMAIN\n"
        "      --type TYPE          rsa (default) or ed25519\n"
        "      --bits N             of an RSA key: 1024 to 4096 (default: 2048)\n"
        "      --out FILE           default: NAME.DOMAIN.pem; never overwritten\n\n"
        "check looks up the record of each key of the configuration, or of those of a domain, and\n"
        "says whether it is the key's. Status 0 when all are, 1 when not.\n\n"
        "  -c, --config FILE        default: /etc/ringpost/ringpost.conf\n",
    .run = run_dkim,
};
