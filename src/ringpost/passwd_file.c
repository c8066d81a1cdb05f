/* SPDX-License-Identifier: Apache-2.0
 *
 * passwd_file - the users file replaced as a whole: written beside it, synced, renamed
 *
 * The new file's name is the lock: two of us at a time would lose one's change. Comments and the
 * other lines stay as they are; owner and mode, too.
 */
#include "passwd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "ringpost passwd: %s: %s\n", path, what);
    return false;
}

static char *join(const char *a, const char *b)
{
    const size_t size = strlen(a) + strlen(b) + 1;
    char *whole = base_alloc(size);
    snprintf(whole, size, "%s%s", a, b);
    return whole;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static bool same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

/* Waits for another. Then we may hold what that one has renamed or removed: again. */
static bool lock(struct passwd_file *file)
{
    for (;;) {
        file->new_fd =
            open(file->new_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        if (file->new_fd < 0) return complain(file->new_path, strerror(errno));
        if (flock(file->new_fd, LOCK_EX) != 0) return complain(file->new_path, strerror(errno));
        if (same_file(file->new_fd, file->new_path)) return true;
        close(file->new_fd);
        file->new_fd = -1;
    }
}

static bool read_all(struct passwd_file *file, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return complain(file->path, strerror(errno));
    if (!S_ISREG(status.st_mode)) return complain(file->path, "not a file");
    if (status.st_size > AUTH_USERS_FILE_MAX) return complain(file->path, "too large");
    file->text = base_alloc((size_t)status.st_size + 1);
    while (file->len < (size_t)status.st_size) {
        const ssize_t n = read(fd, file->text + file->len, (size_t)status.st_size - file->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return complain(file->path, strerror(errno));
        if (n == 0) break;
        file->len += (size_t)n;
    }
    return true;
}

bool passwd_file_open(struct passwd_file *file, const char *path, bool missing_ok)
{
    *file = (struct passwd_file){.new_fd = -1};
    file->path = realpath(path, NULL);
    if (file->path == NULL && !(errno == ENOENT && missing_ok))
        return complain(path, strerror(errno));
    file->is_new = file->path == NULL;
    if (file->is_new) file->path = join(path, "");
    file->new_path = join(file->path, ".new");
    if (!lock(file)) return false;
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && !(errno == ENOENT && file->is_new)) return complain(path, strerror(errno));
    if (fd < 0) {
        file->text = base_alloc(1);
        return true;
    }
    const bool good = read_all(file, fd);
    close(fd);
    return good;
}

void passwd_file_close(struct passwd_file *file)
{
    if (file->new_fd >= 0) {
        if (same_file(file->new_fd, file->new_path)) unlink(file->new_path);
        close(file->new_fd);
    }
    base_free_secret(file->text, file->len);
    base_free(file->new_path);
    free(file->path);
}

/* ---- replacing ---------------------------------------------------------------------------------
 */

static struct bytes next_line(struct bytes *rest)
{
    const char *end = memchr(rest->data, '\n', rest->len);
    const struct bytes line = {rest->data, end == NULL ? rest->len : (size_t)(end - rest->data)};
    *rest = bytes_skip(*rest, line.len + 1);
    return line;
}

static bool is_of(struct bytes line, struct bytes name)
{
    return line.len > name.len && line.data[name.len] == ':' &&
           memcmp(line.data, name.data, name.len) == 0;
}

struct bytes passwd_file_find(const struct passwd_file *file, struct bytes name)
{
    struct bytes rest = {file->text, file->len};
    while (rest.len > 0) {
        const struct bytes line = next_line(&rest);
        if (is_of(line, name)) return line;
    }
    return (struct bytes){0};
}

static bool write_all(const struct passwd_file *file, struct bytes octets)
{
    while (octets.len > 0) {
        const ssize_t n = write(file->new_fd, octets.data, octets.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return complain(file->new_path, strerror(errno));
        octets = bytes_skip(octets, (size_t)n);
    }
    return true;
}

static bool write_line(const struct passwd_file *file, struct bytes line)
{
    return line.len == 0 || (write_all(file, line) && write_all(file, BYTES("\n")));
}

static bool write_lines(const struct passwd_file *file, struct bytes name, struct bytes line)
{
    struct bytes rest = {file->text, file->len};
    bool replaced = false;
    while (rest.len > 0) {
        const struct bytes old = next_line(&rest);
        const bool own = is_of(old, name);
        const bool good =
            own ? write_line(file, line) : write_all(file, old) && write_all(file, BYTES("\n"));
        if (!good) return false;
        replaced |= own;
    }
    return replaced || write_line(file, line);
}

/* Owner and mode of the old one: the server must be able to read it on. */
static bool take_over(const struct passwd_file *file)
{
    struct stat status;
    if (file->is_new) return true;
    if (stat(file->path, &status) == 0 && fchmod(file->new_fd, status.st_mode & 07777) == 0 &&
        fchown(file->new_fd, status.st_uid, status.st_gid) == 0)
        return true;
    return complain(file->new_path, strerror(errno));
}

static bool sync_folder(const struct passwd_file *file)
{
    char *folder = join(file->path, "");
    char *slash = strrchr(folder, '/');
    if (slash != NULL) slash[slash == folder] = '\0';
    const int fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) close(fd);
    base_free(folder);
    return good || complain(file->path, strerror(error));
}

bool passwd_file_replace(struct passwd_file *file, struct bytes name, struct bytes line)
{
    if (ftruncate(file->new_fd, 0) != 0) return complain(file->new_path, strerror(errno));
    if (!write_lines(file, name, line) || !take_over(file)) return false;
    if (fsync(file->new_fd) != 0 || rename(file->new_path, file->path) != 0)
        return complain(file->new_path, strerror(errno));
    return sync_folder(file);
}
