/* SPDX-License-Identifier: Apache-2.0
 *
 * command_passwd - `ringpost passwd`: who may authenticate, in the users file
 */
#include "command.h"
#include "passwd.h"
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

static const char FILE_DEFAULT[] = "/etc/ringpost/users";

enum option_code {
    FILE_OPTION = 'f',
    HELP = 'h',
    SCRAM = 256,
    BOTH,
    ITERATIONS,
    DOMAINS,
    DELETE,
    LIST_OPTION,
    CHECK
};

struct job {
    const char *path, *domains;
    struct bytes name;
    uint32_t iterations;
    bool hash, scram;
    char secret[1024]; /* as in the file */
    enum { JOB_SET, JOB_DELETE, JOB_LIST, JOB_CHECK } what;
};

static bool complain(const char *format, ...) PRINTF_LIKE(1, 2);
static bool complain(const char *format, ...)
{
    va_list args;
    fputs("ringpost passwd: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

static void print_message(void *context, bool error, const char *text)
{
    const bool *warnings = context;
    if (error || *warnings) fprintf(stderr, "%s\n", text);
}

static struct auth_users *load(const char *path, bool warnings)
{
    return auth_users_load(path, &(struct auth_report){print_message, &warnings});
}

/* ---- set, delete -------------------------------------------------------------------------------
 */

static bool make_secret(const struct job *job, struct bytes password, struct text *out)
{
    uint8_t random[2][AUTH_RANDOM_LEN];
    struct auth_secret secret = {0};
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return complain("no random octets: %s", strerror(errno));
    if (job->hash && !auth_secret_hash(password, random[0], &secret))
        return complain("the system's crypt(3) has no yescrypt");
    if (job->scram) auth_secret_scram(password, random[1], job->iterations, &secret);
    auth_secret_print(&secret, out);
    explicit_bzero(&secret, sizeof(secret));
    return true;
}

static bool is_ascii(const char *password, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)password[i] >= 0x80) return false;
    }
    return true;
}

static bool read_secret(struct job *job)
{
    char password[AUTH_PASSWORD_MAX];
    size_t len;
    struct text text;
    text_init(&text, job->secret, sizeof(job->secret));
    const bool good =
        passwd_read(true, password, &len) && make_secret(job, (struct bytes){password, len}, &text);
    ASSERT(!text.cut);
    if (good && !is_ascii(password, len))
        complain("warning: the password is not ASCII: clients must send the very same octets");
    explicit_bzero(password, sizeof(password));
    return good;
}

/* What follows the last ':'. */
static struct bytes paths_of(struct bytes line)
{
    const char *last = memrchr(line.data, ':', line.len);
    return bytes_skip(line, (size_t)(last - line.data) + 1);
}

/* The name's line: what was given, and what it had. */
static bool set_user(const struct job *job, struct passwd_file *file)
{
    const struct bytes old = passwd_file_find(file, job->name);
    const struct bytes paths = job->domains != NULL ? bytes_of(job->domains)
                               : old.len > 0        ? paths_of(old)
                                                    : BYTES("*");
    const size_t size = job->name.len + strlen(job->secret) + paths.len + 3;
    char *line = base_alloc(size);
    struct text whole;
    text_init(&whole, line, size);
    text_put(&whole, job->name);
    text_put(&whole, BYTES(":"));
    text_put(&whole, bytes_of(job->secret));
    text_put(&whole, BYTES(":"));
    text_put(&whole, paths);
    ASSERT(!whole.cut);
    const bool good = passwd_file_replace(file, job->name, text_bytes(&whole));
    base_free_secret(line, size);
    return good;
}

static bool delete_user(const struct job *job, struct passwd_file *file)
{
    if (passwd_file_find(file, job->name).len > 0)
        return passwd_file_replace(file, job->name, (struct bytes){0});
    return complain("%s: no user \"%.*s\"", job->path, BYTES_FMT(job->name));
}

/* A file that the server would not take is not made worse. */
static bool is_good(const struct job *job, const struct passwd_file *file)
{
    bool warnings = false;
    const struct auth_report report = {print_message, &warnings};
    struct auth_users *users =
        auth_users_parse((struct bytes){file->text, file->len}, job->path, &report);
    const bool good = users != NULL;
    auth_users_free(&users);
    return good;
}

/* The password comes first: nobody waits for the file while somebody types. */
static bool edit(struct job *job)
{
    struct passwd_file file;
    if (job->what == JOB_SET && !read_secret(job)) return false;
    const bool setting = job->what == JOB_SET;
    const bool good = passwd_file_open(&file, job->path, setting) && is_good(job, &file) &&
                      (setting ? set_user(job, &file) : delete_user(job, &file));
    passwd_file_close(&file);
    explicit_bzero(job->secret, sizeof(job->secret));
    return good;
}

/* ---- list, check -------------------------------------------------------------------------------
 */

static void add_row(struct table_text *table, const struct auth_user_view *user)
{
    char scram[32] = "";
    if (user->iterations > 0) {
        snprintf(scram, sizeof(scram), "%sSCRAM-SHA-256 (%u)", user->method != NULL ? ", " : "",
                 user->iterations);
    }
    table_text_add(table, "%.*s", BYTES_FMT(user->name));
    table_text_add(table, "%s%s", user->method != NULL ? user->method : "", scram);
    table_text_add(table, "%.*s", BYTES_FMT(user->paths));
}

static bool list(const struct job *job)
{
    struct table_text table = {.titles = {"USER", "SECRET", "MAY SEND AS"}, .columns = 3};
    struct auth_users *users = load(job->path, true);
    if (users == NULL) return false;
    for (size_t i = 0; i < auth_users_count(users); i++) {
        const struct auth_user_view user = auth_users_view(users, i);
        add_row(&table, &user);
    }
    table_text_print(&table);
    table_text_deinit(&table);
    auth_users_free(&users);
    return true;
}

static bool verify(const struct auth_user *user)
{
    struct auth_secret secret;
    char password[AUTH_PASSWORD_MAX];
    size_t len;
    if (!passwd_read(false, password, &len)) return false;
    auth_user_secret(user, &secret);
    const bool good = auth_secret_verify(&secret, (struct bytes){password, len});
    explicit_bzero(password, sizeof(password));
    explicit_bzero(&secret, sizeof(secret));
    return good || complain("not the password");
}

static bool check(const struct job *job)
{
    struct auth_users *users = load(job->path, true);
    if (users == NULL) return false;
    const struct auth_user *user = auth_users_find(users, job->name);
    const bool good = user != NULL
                          ? verify(user)
                          : complain("%s: no user \"%.*s\"", job->path, BYTES_FMT(job->name));
    auth_users_free(&users);
    return good;
}

/* ---- the command line --------------------------------------------------------------------------
 */

static int take_name(const struct command *command, int argc, char **argv, struct job *job)
{
    const bool wanted = job->what != JOB_LIST;
    if (argc - optind < wanted) return command_misused(command, "which user?");
    if (argc - optind > wanted)
        return command_misused(command, "what is %s?", argv[optind + wanted]);
    if (!wanted) return -1;
    job->name = bytes_of(argv[optind]);
    const char *wrong = auth_name_check(job->name);
    return wrong == NULL ? -1 : command_misused(command, "%s", wrong);
}

static int take_option(const struct command *command, int code, struct job *job)
{
    uint64_t iterations;
    const char *wrong;
    switch ((enum option_code)code) {
    case FILE_OPTION:
        job->path = optarg;
        break;
    case SCRAM:
    case BOTH:
        job->scram = true;
        job->hash = code == BOTH;
        break;
    case ITERATIONS:
        if (!bytes_to_u64(bytes_of(optarg), AUTH_ITERATIONS_MAX, &iterations) ||
            iterations < AUTH_ITERATIONS_MIN) {
            return command_misused(command, "--iterations is a number from %d to %d",
                                   AUTH_ITERATIONS_MIN, AUTH_ITERATIONS_MAX);
        }
        job->iterations = (uint32_t)iterations;
        break;
    case DOMAINS:
        wrong = auth_paths_check(bytes_of(optarg));
        if (wrong != NULL) return command_misused(command, "--domains: %s", wrong);
        job->domains = optarg;
        break;
    case DELETE:
        job->what = JOB_DELETE;
        break;
    case LIST_OPTION:
        job->what = JOB_LIST;
        break;
    case CHECK:
        job->what = JOB_CHECK;
        break;
    case HELP:
        fputs(command->help, stdout);
        return EXIT_GOOD;
    }
    return -1;
}

/* -1: go on. */
static int parse(const struct command *command, int argc, char **argv, struct job *job)
{
    static const struct option known[] = {
        {"file", required_argument, NULL, FILE_OPTION},
        {"scram", no_argument, NULL, SCRAM},
        {"both", no_argument, NULL, BOTH},
        {"iterations", required_argument, NULL, ITERATIONS},
        {"domains", required_argument, NULL, DOMAINS},
        {"delete", no_argument, NULL, DELETE},
        {"list", no_argument, NULL, LIST_OPTION},
        {"check", no_argument, NULL, CHECK},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":f:h", known, NULL)) != -1;) {
        if (c == ':') return command_misused(command, "%s needs a value", argv[optind - 1]);
        if (c == '?') return command_misused(command, "unknown option %s", argv[optind - 1]);
        const int status = take_option(command, c, job);
        if (status >= 0) return status;
    }
    return take_name(command, argc, argv, job);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct job job = {.path = FILE_DEFAULT, .iterations = AUTH_ITERATIONS_DEFAULT, .hash = true};
    const int status = parse(command, argc, argv, &job);
    if (status >= 0) return status;
    switch (job.what) {
    case JOB_SET:
    case JOB_DELETE:
        return edit(&job) ? EXIT_GOOD : EXIT_BAD;
    case JOB_LIST:
        return list(&job) ? EXIT_GOOD : EXIT_BAD;
    case JOB_CHECK:
        return check(&job) ? EXIT_GOOD : EXIT_BAD;
    }
    UNREACHABLE("passwd: no such job");
}

const struct command command_passwd = {
    .name = "passwd",
    .summary = "who may authenticate: the users file",
    .help =
        "usage: ringpost passwd [options] NAME\n"
        "       ringpost passwd [-f FILE] --check|--delete NAME\n"
        "       ringpost passwd [-f FILE] --list\n\n"
        "Adds the user to the file, or gives it another password. The password is asked for on a\n"
        "terminal, else it is the first line of standard input.\n\n"
        "  -f, --file FILE   the users file (/etc/ringpost/users); it is made if there is none\n"
        "  --domains LIST    what the user may send as, with commas: \"example.org\" a domain,\n"
        "                    \".example.org\" domains below it, \"news@example.org\" an address,\n"
        "                    \"<>\" the null reverse-path, \"*\" everything (of new users the "
        "default;\n"
        "                    others keep what they have)\n"
        "  --scram           store a verifier for SCRAM-SHA-256 instead of a yescrypt hash\n"
        "  --both            store both, so that PLAIN, LOGIN and SCRAM are checked by the best\n"
        "  --iterations N    of the verifier (10000)\n"
        "  --check           is it the user's password? Exit status 0 if so\n"
        "  --delete          take the user out\n"
        "  --list            show all users\n\n"
        "The server takes the changed file over when it reloads (SIGHUP).\n",
    .run = run,
};
