/* SPDX-License-Identifier: Apache-2.0
 *
 * main - the subcommands of the one binary
 */
#include "command.h"
#include <fcntl.h>
#include <stdio.h>

/* jemalloc reads it: what a flood of clients or a long queue took goes back to the system within
 * seconds, also when nothing is allocated any more that would make it look. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true";

static const struct command *const commands[] = {&command_serve, &command_check,  &command_queue,
                                                 &command_stats, &command_send,   &command_mime,
                                                 &command_codec, &command_passwd, &command_dkim};

static int help(FILE *out, int status)
{
    fputs("ringpost " RINGPOST_VERSION ": an outbound relay for mail\n\n"
          "usage: ringpost COMMAND [options]\n\n",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\n`ringpost COMMAND --help` says more; `ringpost --version` says which one this is.\n",
          out);
    return status;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("ringpost " RINGPOST_VERSION);
        return EXIT_GOOD;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        return help(stdout, EXIT_GOOD);
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(name, commands[i]->name) == 0) {
            return commands[i]->run(commands[i], argc - 1, argv + 1);
        }
    }
    if (name[0] != '\0') fprintf(stderr, "ringpost: unknown command \"%s\"\n\n", name);
    return help(stderr, EXIT_USAGE);
}

/* Somebody may have closed them; then a file or a connection would get what is meant for people. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
    }
}

/* A full disk behind a pipe or a redirection must not look like an answer that was short. */
int main(int argc, char **argv)
{
    open_standard_streams();
    const int status = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    perror("ringpost: standard output");
    return EXIT_BAD;
}
