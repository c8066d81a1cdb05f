/* SPDX-License-Identifier: Apache-2.0
 *
 * path - the file system; every call blocks
 */
#include "internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int ring_path_make_folder(struct ring *ring, const char *path)
{
    struct stat status;
    (void)ring;
    if (mkdir(path, 0750) == 0) return 0;
    if (errno != EEXIST) return -errno;
    if (stat(path, &status) < 0) return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int ring_path_list(struct ring *ring, const char *path,
                   bool (*each)(const char *name, void *context), void *context)
{
    (void)ring;
    DIR *folder = opendir(path);
    if (folder == NULL) return -errno;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!each(entry->d_name, context)) break;
    }
    closedir(folder);
    return 0;
}

int ring_path_sync_folder(struct ring *ring, const char *path)
{
    (void)ring;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    const int result = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return result;
}

int ring_path_remove(struct ring *ring, const char *path)
{
    (void)ring;
    return remove(path) < 0 ? -errno : 0;
}

int ring_path_rename(struct ring *ring, const char *from, const char *to)
{
    (void)ring;
    return rename(from, to) < 0 ? -errno : 0;
}

int64_t ring_path_size(struct ring *ring, const char *path)
{
    struct stat status;
    (void)ring;
    if (lstat(path, &status) < 0) return -errno;
    return S_ISREG(status.st_mode) ? (int64_t)status.st_size : -EINVAL;
}

int64_t ring_path_free_space(struct ring *ring, const char *path)
{
    struct statvfs status;
    (void)ring;
    if (statvfs(path, &status) < 0) return -errno;
    return (int64_t)(status.f_bavail * status.f_frsize);
}
