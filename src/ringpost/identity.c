/* SPDX-License-Identifier: Apache-2.0
 *
 * identity - from root to the configured user, and the folders that this user will need
 *
 * What the configuration names may not be there at the first start, and the user may have no right
 * to make it. So root makes it and gives it to the user. What is there already stays as it is; only
 * an empty spool or account folder of root's, made by an administrator for just this, is given away
 * too.
 */
#include "serve.h"
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct identity {
    bool change;
    uid_t uid;
    gid_t gid;
};

static bool find_identity(const struct config *config, struct identity *identity, struct text *why)
{
    *identity = (struct identity){.change = true};
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL) {
        text_printf(why, "user = \"%s\": no such user", config->user);
        return false;
    }
    identity->uid = user->pw_uid;
    identity->gid = user->pw_gid;
    if (config->group[0] == '\0') return true;
    const struct group *group = getgrnam(config->group);
    if (group == NULL) {
        text_printf(why, "group = \"%s\": no such group", config->group);
        return false;
    }
    identity->gid = group->gr_gid;
    return true;
}

bool identity_exists(const struct config *config, struct text *why)
{
    struct identity identity;
    return config->user[0] == '\0' || find_identity(config, &identity, why);
}

/* ---- folders --------------------------------------------------------------------------------- */

static bool is_empty_folder_of_root(const char *path)
{
    struct stat status;
    bool empty = true;
    if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != 0) return false;
    DIR *folder = opendir(path);
    if (folder == NULL) return false;
    for (const struct dirent *entry; empty && (entry = readdir(folder)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

/* Failures are told by whoever needs the folder. A missing parent is one: it may be a slip, or a
 * disk that is not mounted. */
static void make_folder(const char *path, const struct identity *identity)
{
    const bool made = mkdir(path, 0750) == 0;
    if (!identity->change || (!made && !is_empty_folder_of_root(path))) return;
    (void)!chown(path, identity->uid, identity->gid);
}

static void make_folder_of(const char *file, const struct identity *identity)
{
    char folder[CONFIG_PATH_MAX];
    const char *slash = strrchr(file, '/');
    if (slash == NULL || slash == file) return;
    memcpy(folder, file, (size_t)(slash - file));
    folder[slash - file] = '\0';
    if (access(folder, F_OK) != 0) make_folder(folder, identity);
}

/* ---- the change ------------------------------------------------------------------------------ */

bool identity_become(const struct config *config, struct text *why)
{
    struct identity identity = {0};
    const bool wanted = geteuid() == 0 && config->user[0] != '\0';
    if (wanted && !find_identity(config, &identity, why)) return false;
    make_folder_of(config->log.path, &identity); /* the account may be in it */
    make_folder_of(config->control, &identity);
    make_folder(config->spool.path, &identity);
    if (config->account.path[0] != '\0') make_folder(config->account.path, &identity);
    if (!identity.change) return true;
    if (initgroups(config->user, identity.gid) == 0 && setgid(identity.gid) == 0 &&
        setuid(identity.uid) == 0) {
        return true;
    }
    text_printf(why, "cannot become user %s: %s", config->user, strerror(errno));
    return false;
}
