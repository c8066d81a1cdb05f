/* SPDX-License-Identifier: Apache-2.0
 *
 * passwd_input - a password from the terminal or from standard input
 */
#include "passwd.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static bool complain(const char *what)
{
    fprintf(stderr, "ringpost passwd: %s\n", what);
    return false;
}

static volatile sig_atomic_t caught; /* the signal that came while nothing was shown */

static void on_signal(int signal)
{
    caught = signal;
}

/* Signals come here only: one between a look at `caught` and the read would not end the read. */
static void wait_for_input(const sigset_t *signals)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    (void)ppoll(&input, 1, NULL, signals);
}

/* Octet by octet, so that what follows the line stays for whoever reads on. signals: what is
 * blocked while we wait; NULL: no signal is of interest. */
static bool read_line(char *line, size_t *len, const sigset_t *signals)
{
    *len = 0;
    for (;;) {
        char c;
        if (signals != NULL) wait_for_input(signals);
        if (caught != 0) return false;
        const ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return complain(strerror(errno));
        if (n == 0 || c == '\n') return true;
        if (c == '\0') return complain("a NUL cannot be in a password");
        if (*len == AUTH_PASSWORD_MAX) return complain("the password is too long (511 octets)");
        line[(*len)++] = c;
    }
}

/* What ends us may do so only when the terminal is as it was. */
static bool ask(const char *prompt, char *line, size_t *len)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};
    const struct sigaction ours = {.sa_handler = on_signal};
    struct sigaction theirs[ARRAY_COUNT(signals)];
    sigset_t blocked, before_us;
    struct termios before, quiet;
    if (tcgetattr(STDIN_FILENO, &before) != 0) return complain(strerror(errno));
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    sigemptyset(&blocked);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaddset(&blocked, signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &before_us);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i], &ours, &theirs[i]);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    fputs(prompt, stderr); /* only now: who sees it may type */
    const bool good = read_line(line, len, &before_us);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i], &theirs[i], NULL);
    sigprocmask(SIG_SETMASK, &before_us, NULL);
    if (caught != 0) raise(caught);
    return good;
}

static bool ask_again(const char *password, size_t len)
{
    char again[AUTH_PASSWORD_MAX];
    size_t again_len;
    const bool good = ask("Once more: ", again, &again_len);
    const bool same = good && again_len == len && memcmp(again, password, len) == 0;
    explicit_bzero(again, sizeof(again));
    return !good || same ? same : complain("they differ");
}

bool passwd_read(bool twice, char *password, size_t *len)
{
    if (!isatty(STDIN_FILENO)) {
        if (!read_line(password, len, NULL)) return false;
        if (*len > 0 && password[*len - 1] == '\r') *len -= 1;
    } else if (!ask("Password: ", password, len)) {
        return false;
    }
    if (*len == 0) return complain("an empty password");
    return !twice || !isatty(STDIN_FILENO) || ask_again(password, *len);
}
