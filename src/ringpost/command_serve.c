/* SPDX-License-Identifier: Apache-2.0
 *
 * command_serve, command_check - run the server; look at a configuration
 */
#include "command.h"
#include "serve.h"
#include <stdio.h>

static const char *const allowed[] = {"config", NULL};

static int run_serve(const struct command *command, int argc, char **argv)
{
    struct options options;
    const int status = options_parse(command, argc, argv, allowed, &options);
    if (status >= 0) return status;
    if (options.first < argc) return command_misused(command, "what is %s?", argv[options.first]);
    struct config *config = command_config(options.config, true);
    return config == NULL ? EXIT_BAD : serve_run(config, options.config);
}

const struct command command_serve = {
    .name = "serve",
    .summary = "relay mail until SIGTERM",
    .help = "usage: ringpost serve [-c FILE]\n\n"
            "Relays mail until SIGTERM or SIGINT: then it stops accepting, finishes what is in\n"
            "flight (at most shutdown_timeout) and ends with status 0; a second one ends it at\n"
            "once. SIGHUP reads the configuration again; a file with errors changes nothing.\n\n"
            "  -c, --config FILE    default: /etc/ringpost/ringpost.conf\n",
    .run = run_serve,
};

static int run_check(const struct command *command, int argc, char **argv)
{
    struct options options;
    const int status = options_parse(command, argc, argv, allowed, &options);
    if (status >= 0) return status;
    if (options.first < argc) options.config = argv[options.first++];
    if (options.first < argc) return command_misused(command, "what is %s?", argv[options.first]);
    struct config *config = command_config(options.config, true);
    if (config == NULL) return EXIT_BAD;
    if (!command_read_files(config)) {
        config_free(&config);
        return EXIT_BAD;
    }
    char words[200];
    struct text why;
    text_init(&why, words, sizeof(words));
    /* Not an error: the file may be meant for another machine. */
    if (!identity_exists(config, &why)) fprintf(stderr, "%s: warning: %s\n", options.config, words);
    printf("%s: configuration is valid\n", options.config);
    config_free(&config);
    return EXIT_GOOD;
}

const struct command command_check = {
    .name = "check",
    .summary = "look for errors in a configuration",
    .help = "usage: ringpost check [-c] FILE\n\n"
            "Says whether the configuration is valid; errors and warnings come as FILE:LINE:\n"
            "message. Status 0 when it is valid, 1 when not.\n\n"
            "  -c, --config FILE    default: /etc/ringpost/ringpost.conf\n",
    .run = run_check,
};
