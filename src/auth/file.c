/* SPDX-License-Identifier: Apache-2.0
 *
 * file - a users file from disk
 */
#include "internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

static void PRINTF_LIKE(3, 4)
    complain(const struct auth_report *report, bool error, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    report->message(report->context, error, text);
}

/* NULL: errno says why. */
static char *read_all(FILE *file, size_t size, size_t *len)
{
    char *text = base_alloc(size + 1);
    errno = 0;
    *len = fread(text, 1, size + 1, file);
    if (!ferror(file) && *len <= size) return text;
    if (!ferror(file)) errno = EAGAIN; /* it has grown meanwhile */
    base_free_secret(text, *len);
    return NULL;
}

static struct auth_users *read_users(FILE *file, const char *path, const struct auth_report *report)
{
    struct stat status;
    size_t len;
    if (fstat(fileno(file), &status) != 0) return NULL;
    if (!S_ISREG(status.st_mode) || status.st_size > AUTH_USERS_FILE_MAX) {
        errno = S_ISREG(status.st_mode) ? EFBIG : EINVAL;
        return NULL;
    }
    if (status.st_mode & S_IRWXO)
        complain(report, false, "%s: warning: others may read or write it: chmod o= would help",
                 path);
    char *text = read_all(file, (size_t)status.st_size, &len);
    if (text == NULL) return NULL;
    struct auth_users *users = auth_users_parse((struct bytes){text, len}, path, report);
    base_free_secret(text, len);
    errno = 0; /* what was wrong has been said */
    return users;
}

struct auth_users *auth_users_load(const char *path, const struct auth_report *report)
{
    FILE *file = fopen(path, "rbe");
    if (file != NULL) setvbuf(file, NULL, _IONBF, 0); /* no further copy of secrets */
    struct auth_users *users = file == NULL ? NULL : read_users(file, path, report);
    if (users == NULL && errno != 0) complain(report, true, "%s: %s", path, strerror(errno));
    if (file != NULL) fclose(file);
    return users;
}
