/* SPDX-License-Identifier: Apache-2.0
 *
 * sender - which reverse-paths a user may give
 */
#include "internal.h"
#include "ringpost/smtp.h"

static struct bytes next_path(struct bytes *paths)
{
    const char *comma = paths->len > 0 ? memchr(paths->data, ',', paths->len) : NULL;
    const struct bytes path = {paths->data,
                               comma == NULL ? paths->len : (size_t)(comma - paths->data)};
    *paths = bytes_skip(*paths, path.len + 1);
    return path;
}

/* Splits at the last '@': a quoted local part may hold others. Without any all is domain. */
static struct bytes domain_of(struct bytes path, struct bytes *local)
{
    const char *at = path.len > 0 ? memrchr(path.data, '@', path.len) : NULL;
    *local = (struct bytes){path.data, at == NULL ? 0 : (size_t)(at - path.data)};
    return at == NULL ? path : bytes_skip(path, local->len + 1);
}

static bool is_address(struct bytes entry)
{
    return memchr(entry.data, '@', entry.len) != NULL;
}

static const char *check_entry(struct bytes entry)
{
    char whole[SMTP_PATH_MAX + 3];
    struct smtp_path path;
    if (entry.len == 0) return "an empty reverse-path";
    if (bytes_equal(entry, BYTES("*")) || bytes_equal(entry, BYTES("<>"))) return NULL;
    if (is_address(entry)) {
        struct text text;
        text_init(&text, whole, sizeof(whole));
        text_printf(&text, "<%.*s>", BYTES_FMT(entry));
        struct bytes rest = text_bytes(&text);
        if (text.cut || smtp_path_parse(&rest, true, true, &path) != SMTP_SYNTAX_OK || rest.len > 0)
            return "a reverse-path that is no address";
        return bytes_equal(path.address, entry) ? NULL : "a reverse-path that is no address";
    }
    if (entry.data[0] == '.') entry = bytes_skip(entry, 1);
    return smtp_domain_is_valid(entry, true) ? NULL : "a reverse-path that is no domain";
}

const char *auth_paths_check(struct bytes paths)
{
    const char *wrong;
    if (paths.len == 0) return "no reverse-path (\"*\" stands for all)";
    if (paths.data[paths.len - 1] == ',') return "an empty reverse-path";
    do {
        wrong = check_entry(next_path(&paths));
    } while (wrong == NULL && paths.len > 0);
    return wrong;
}

static bool ends_with_nocase(struct bytes text, struct bytes end)
{
    return text.len > end.len && bytes_equal_nocase(bytes_skip(text, text.len - end.len), end);
}

static bool permits(struct bytes entry, struct bytes path)
{
    struct bytes local, entry_local;
    if (bytes_equal(entry, BYTES("*"))) return true;
    if (path.len == 0) return bytes_equal(entry, BYTES("<>"));
    const struct bytes domain = domain_of(path, &local);
    if (entry.data[0] == '.') return ends_with_nocase(domain, entry);
    const struct bytes entry_domain = domain_of(entry, &entry_local);
    if (!bytes_equal_nocase(domain, entry_domain)) return false;
    return !is_address(entry) || bytes_equal(local, entry_local);
}

bool auth_user_may_send(const struct auth_user *user, struct bytes reverse_path)
{
    struct bytes paths = user->paths;
    while (paths.len > 0) {
        if (permits(next_path(&paths), reverse_path)) return true;
    }
    return false;
}
