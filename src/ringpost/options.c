/* SPDX-License-Identifier: Apache-2.0
 *
 * options - command lines of the subcommands
 */
#include "command.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

const char command_config_default[] = "/etc/ringpost/ringpost.conf";

int command_misused(const struct command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "ringpost %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry `ringpost %s --help`.\n", command->name);
    return EXIT_USAGE;
}

static bool is_allowed(const char *name, const char *const *allowed)
{
    for (; *allowed != NULL; allowed++) {
        if (strcmp(name, *allowed) == 0) return true;
    }
    return false;
}

int options_parse(const struct command *command, int argc, char **argv, const char *const *allowed,
                  struct options *options)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"control", required_argument, NULL, 's'},
        {"domain", required_argument, NULL, 'd'}, {"limit", required_argument, NULL, 'n'},
        {"by", required_argument, NULL, 'b'},     {"all", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
    };
    *options = (struct options){.config = command_config_default};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:hV", known, NULL)) != -1;) {
        const struct option *option = known;
        while (option->name != NULL && option->val != c)
            option++;
        if (c == 'h') {
            fputs(command->help, stdout);
            return EXIT_GOOD;
        }
        if (c == 'V') {
            puts("ringpost " RINGPOST_VERSION);
            return EXIT_GOOD;
        }
        if (c == ':') return command_misused(command, "%s needs a value", argv[optind - 1]);
        if (option->name == NULL) {
            return command_misused(command, "unknown option %s", argv[optind - 1]);
        }
        if (!is_allowed(option->name, allowed)) {
            return command_misused(command, "--%s makes no sense here", option->name);
        }
        if (c == 'c') options->config = optarg;
        if (c == 's') options->control = optarg;
        if (c == 'd') options->domain = optarg;
        if (c == 'n') options->limit = optarg;
        if (c == 'b') options->by = optarg;
        options->all |= c == 'a';
        options->json |= c == 'j';
    }
    options->first = optind;
    return -1;
}

/* ---- configuration --------------------------------------------------------------------------- */

static void print_message(void *context, bool error, const char *text)
{
    const bool *warnings = context;
    if (error || *warnings) fprintf(stderr, "%s\n", text);
}

struct config *command_config(const char *path, bool warnings)
{
    char hostname[CONFIG_NAME_MAX] = "";
    if (gethostname(hostname, sizeof(hostname) - 1) != 0) hostname[0] = '\0';
    return config_load(path, hostname, &(struct config_report){print_message, &warnings});
}

bool command_read_files(struct config *config)
{
    bool warnings = true;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return config_read_files(config, NULL, (wall_ms)now.tv_sec * 1000,
                             &(struct config_report){print_message, &warnings});
}
