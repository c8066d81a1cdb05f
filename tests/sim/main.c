/* SPDX-License-Identifier: Apache-2.0
 *
 * main - ringpost-sim: the command line
 */
#include "runner.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64, WORDS_MAX = 40 };

struct command {
    struct sim_options given;
    uint32_t set; /* bit per option of a run that was given */
    uint64_t first, count;
    double minutes;
    uint32_t jobs;
    int expected; /* enum sim_checker; 0: none is expected to fail */
    const char *file;
    bool shrink, repeat;
};
enum set {
    SET_MESSAGES = 1 << 0,
    SET_INJECTORS = 1 << 1,
    SET_WORKERS = 1 << 2,
    SET_FAULTS = 1 << 3,
    SET_CUTS = 1 << 4,
    SET_DOMAINS = 1 << 5,
    SET_STEPS = 1 << 6,
};

static const char usage[] =
    "Usage: ringpost-sim [options]\n"
    "Runs Ringpost's own object code in a simulated world; everything follows from the seed.\n"
    "\n"
    "  --seed N          the first seed (default: a fresh one, which is printed)\n"
    "  --count N         so many seeds, one after another (default 1)\n"
    "  --minutes M       fresh seeds for so long\n"
    "  --jobs N          side by side (default 1)\n"
    "  --file FILE       one run for each line, which has options of a run (# begins a comment)\n"
    "  --trace           print what happens\n"
    "  --shrink          when a run fails, look for a smaller one that fails alike\n"
    "  --repeat          every run twice: both must be the same, event by event\n"
    "  --expect CHECKER  succeed when that checker (1 to 11, see sim.h) has failed a run\n"
    "Options of a run, instead of what follows from the seed:\n"
    "  --messages N  --injectors N  --workers N  --domains N  --ends N  --steps N\n"
    "  --faults MASK     see enum sim_fault in sim.h\n"
    "  --canary N        a deliberate bug of the world, see enum sim_canary in sim.h\n"
    "Exit status: 0 all was well, 1 a run failed, 2 wrong usage.\n";

static void options_of(const struct command *command, uint64_t seed, struct sim_options *options)
{
    sim_options_default(options, seed);
    const struct sim_options *given = &command->given;
    if (command->set & SET_MESSAGES) options->messages = given->messages;
    if (command->set & SET_INJECTORS) options->injectors = given->injectors;
    if (command->set & SET_WORKERS) options->workers = given->workers;
    if (command->set & SET_FAULTS) options->faults = given->faults;
    if (command->set & SET_CUTS) options->cuts = given->cuts;
    if (command->set & SET_DOMAINS) options->domains = given->domains;
    if (command->set & SET_STEPS) options->steps = given->steps;
    options->canary = given->canary;
    options->trace = given->trace;
}

/* jemalloc reads it: a run is a process, and gives nothing back before its end. */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always,metadata_thp:always,"
                          "oversize_threshold:0";

/* Of a sanitizer: what a process has in memory when it is killed is nobody's to free. What is freed
 * is kept from use for so long as fits the caches: 256 MB, the default, are new pages for each run.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=4";
}

/* ---- many runs ------------------------------------------------------------------------------- */

struct tally {
    uint64_t runs, messages, failed, as_expected;
};

struct job {
    pid_t pid;
    struct sim_options options;
};

static void failed(const struct command *command, const struct sim_options *options, int checker,
                   int status)
{
    if (WIFSIGNALED(status))
        printf("FAILED (signal %d), seed %llu\n", WTERMSIG(status),
               (unsigned long long)options->seed);
    runner_print(options);
    if (command->shrink) runner_shrink(*options, checker);
    fflush(stdout);
}

static void finish_one(const struct command *command, struct job *jobs, uint32_t *running,
                       struct tally *tally)
{
    int status;
    const pid_t pid = waitpid(-1, &status, 0);
    for (uint32_t i = 0; i < *running; i++) {
        if (jobs[i].pid != pid) continue;
        const struct sim_options options = jobs[i].options;
        const int checker = runner_result(status);
        jobs[i] = jobs[--*running];
        if (checker == 0) return;
        tally->failed += 1;
        tally->as_expected += checker == command->expected;
        if (command->expected == 0) failed(command, &options, checker, status);
        return;
    }
}

/* Twice: everything that happened must be the same. */
static void run_twice(const struct sim_options *options, struct tally *tally)
{
    struct runner_report *one = runner_report_new(), *two = runner_report_new();
    const int first = runner_run(options, false, one), second = runner_run(options, true, two);
    const bool same = first == second && memcmp(one, two, sizeof(*one)) == 0;
    if (first == 0 && same) {
        printf("seed %llu: %llu events, %.1f simulated seconds, hash %016llx\n",
               (unsigned long long)options->seed, (unsigned long long)one->events, one->seconds,
               (unsigned long long)one->hash);
        return;
    }
    if (!same)
        printf("FAILED: two runs of one seed differ: %llu and %llu events\n",
               (unsigned long long)one->events, (unsigned long long)two->events);
    runner_print(options);
    tally->failed += 1;
}

static void run_seeds(const struct command *command, struct tally *tally)
{
    struct job jobs[JOBS_MAX];
    uint32_t running = 0;
    const time_t end = time(NULL) + (time_t)(command->minutes * 60);
    for (uint64_t started = 0;;) {
        const bool more = command->minutes > 0 ? time(NULL) < end : started < command->count;
        if (!more && running == 0) return;
        if (!more || running == command->jobs) {
            finish_one(command, jobs, &running, tally);
            continue;
        }
        struct job *job = &jobs[running];
        options_of(command, command->first + started++, &job->options);
        tally->runs += 1;
        tally->messages += job->options.messages;
        if (command->repeat) {
            run_twice(&job->options, tally);
            continue;
        }
        job->pid = runner_begin(&job->options, command->expected != 0, NULL);
        if (job->pid < 0) exit(2);
        running += 1;
    }
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct option long_options[] = {
    {"seed", required_argument, NULL, 's'},
    {"count", required_argument, NULL, 'n'},
    {"minutes", required_argument, NULL, 'm'},
    {"jobs", required_argument, NULL, 'j'},
    {"file", required_argument, NULL, 'f'},
    {"expect", required_argument, NULL, 'x'},
    {"trace", no_argument, NULL, 't'},
    {"shrink", no_argument, NULL, 'k'},
    {"repeat", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {"messages", required_argument, NULL, 'M'},
    {"injectors", required_argument, NULL, 'I'},
    {"workers", required_argument, NULL, 'W'},
    {"domains", required_argument, NULL, 'D'},
    {"ends", required_argument, NULL, 'E'},
    {"steps", required_argument, NULL, 'S'},
    {"faults", required_argument, NULL, 'F'},
    {"canary", required_argument, NULL, 'C'},
    {NULL, 0, NULL, 0},
};

/* Of a run. */
static bool take_run_option(struct command *command, int option, uint64_t value)
{
    struct sim_options *given = &command->given;
    const struct {
        int option;
        uint32_t *field;
        uint32_t set;
    } numbers[] = {
        {'M', &given->messages, SET_MESSAGES},
        {'I', &given->injectors, SET_INJECTORS},
        {'W', &given->workers, SET_WORKERS},
        {'D', &given->domains, SET_DOMAINS},
        {'E', &given->cuts, SET_CUTS},
        {'F', &given->faults, SET_FAULTS},
        {'C', &given->canary, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (numbers[i].option != option) continue;
        *numbers[i].field = (uint32_t)value;
        command->set |= numbers[i].set;
        return true;
    }
    if (option == 'S') given->steps = value, command->set |= SET_STEPS;
    if (option == 's') command->first = value;
    return option == 'S' || option == 's';
}

/* False: wrong usage. */
static bool parse(struct command *command, int count, char **words)
{
    optind = 0; /* from the beginning, also the second time */
    for (int option; (option = getopt_long(count, words, "", long_options, NULL)) != -1;) {
        char *end = NULL;
        const uint64_t value = optarg == NULL ? 0 : strtoull(optarg, &end, 0);
        const bool number = optarg == NULL || (end != optarg && *end == '\0');
        if (option == '?' || (!number && option != 'm' && option != 'f')) return false;
        if (take_run_option(command, option, value)) continue;
        if (option == 'n') command->count = value;
        if (option == 'm') command->minutes = strtod(optarg, NULL);
        if (option == 'j') command->jobs = (uint32_t)MIN(MAX(value, 1u), (uint64_t)JOBS_MAX);
        if (option == 'f') command->file = optarg;
        if (option == 'x') command->expected = (int)value;
        if (option == 't') command->given.trace = true;
        if (option == 'k') command->shrink = true;
        if (option == 'r') command->repeat = true;
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
    }
    return optind == count && (command->set & SET_DOMAINS ? command->given.domains > 0 : true);
}

static bool run_line(const struct command *from, char *line, struct tally *tally)
{
    struct command command = *from;
    char name[] = "ringpost-sim", *words[WORDS_MAX] = {name}, *rest = NULL;
    int count = 1;
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t", &rest); word != NULL && count < WORDS_MAX - 1;
         word = strtok_r(NULL, " \t", &rest))
        words[count++] = word;
    if (count == 1) return true;
    if (!parse(&command, count, words)) return false;
    run_seeds(&command, tally);
    return true;
}

/* Read whole before the first run: a child that ends moves the place in a file it shares with us.
 */
static bool run_file(const struct command *command, struct tally *tally)
{
    static char text[256 * 1024];
    char *rest = NULL;
    if (freopen(command->file, "r", stdin) == NULL) { /* fopen() is the simulated one's */
        perror(command->file);
        return false;
    }
    text[fread(text, 1, sizeof(text) - 1, stdin)] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (!run_line(command, line, tally)) return false;
    }
    return true;
}

int main(int count, char **words)
{
    struct timespec now;
    struct tally tally = {0};
    struct command command = {.count = 1, .jobs = 1};
    timespec_get(&now, TIME_UTC);
    command.first = hash_u64((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30) % 1000000000;
    if (!parse(&command, count, words)) {
        fputs(usage, stderr);
        return 2;
    }
    if (command.file == NULL) {
        run_seeds(&command, &tally);
    } else if (!run_file(&command, &tally)) {
        return 2;
    }
    printf("%llu runs", (unsigned long long)tally.runs);
    if (command.file == NULL) printf(" from seed %llu", (unsigned long long)command.first);
    printf(", %llu messages: %llu failed\n", (unsigned long long)tally.messages,
           (unsigned long long)tally.failed);
    if (command.expected != 0) return tally.as_expected > 0 ? 0 : 1;
    return tally.failed == 0 ? 0 : 1;
}
