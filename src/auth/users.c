/* SPDX-License-Identifier: Apache-2.0
 *
 * users - from the lines of a users file to a snapshot, and names to users
 *
 * Every secret is read at load, so that what is wrong is said then; it is read once more by the
 * exchange that needs it. So a user costs little more than the line.
 */
#include "users.h"
#include <stdarg.h>
#include <stdio.h>

enum { ERRORS_SHOWN = 20 };

/* Not against collisions: the file is the operator's. */
static const uint64_t NAME_SEED = 0x72696e67706f7374u;

struct reader {
    struct auth_users *users;
    const char *file;
    const struct auth_report *report;
    uint32_t line, errors;
};

static void PRINTF_LIKE(3, 4) complain(struct reader *reader, bool error, const char *format, ...)
{
    char text[1024];
    reader->errors += error;
    if (reader->errors > ERRORS_SHOWN) return;
    const int len = snprintf(text, sizeof(text) / 2, "%s:%u: %s", reader->file, reader->line,
                             error ? "" : "warning: ");
    const size_t used = MIN((size_t)len, sizeof(text) / 2 - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, sizeof(text) - used, format, args);
    va_end(args);
    reader->report->message(reader->report->context, error, text);
}

/* ---- names
 * ---------------------------------------------------------------------------------------- */

const char *auth_name_check(struct bytes name)
{
    if (name.len == 0) return "an empty name";
    if (name.len > AUTH_NAME_MAX) return "a name that is too long";
    if (name.data[0] == '#') return "a name that looks like a comment";
    while (name.len > 0) {
        const size_t len = utf8_char_len(name.data, name.len);
        if (len == 0) return "a name that is no UTF-8";
        const uint32_t value = utf8_char_value(name.data, len);
        if (value <= ' ' || (value >= 0x7f && value < 0xa0) || value == ':' || value == ',')
            return "a name with white space, a control character, a colon or a comma";
        name = bytes_skip(name, len);
    }
    return NULL;
}

static bool has_name(const void *item, const void *key)
{
    return bytes_equal(((const struct auth_user *)item)->name, *(const struct bytes *)key);
}

const struct auth_user *auth_users_find(const struct auth_users *users, struct bytes name)
{
    return table_find(&users->by_name, hash_bytes(NAME_SEED, name), has_name, &name);
}

/* ---- a line
 * --------------------------------------------------------------------------------------- */

/* A SCRAM verifier has a ':' inside, so the outer ones are the first and the last. */
static bool split(struct bytes line, struct auth_user *user)
{
    const char *first = memchr(line.data, ':', line.len);
    const char *last = memrchr(line.data, ':', line.len);
    if (first == NULL || first == last) return false;
    user->name = (struct bytes){line.data, (size_t)(first - line.data)};
    user->secrets = (struct bytes){first + 1, (size_t)(last - first) - 1};
    user->paths = bytes_skip(line, (size_t)(last - line.data) + 1);
    return true;
}

/* Names are not shown before they are known to be harmless, secrets never. */
static const char *check(struct reader *reader, const struct auth_user *user, bool *scram)
{
    struct auth_secret secret;
    const char *weak;
    const char *wrong = auth_name_check(user->name);
    if (wrong != NULL) return wrong;
    wrong = auth_secret_parse(user->secrets, &secret, &weak);
    if (wrong == NULL && weak != NULL) complain(reader, false, "%s", weak);
    *scram = secret.iterations != 0;
    explicit_bzero(&secret, sizeof(secret));
    return wrong != NULL ? wrong : auth_paths_check(user->paths);
}

static void add(struct auth_users *users, const struct auth_user *user, bool scram)
{
    if (users->count == users->cap) {
        users->cap = users->cap ? 2 * users->cap : 16;
        users->all = base_realloc(users->all, users->cap * sizeof(*users->all));
        users->scram = base_realloc(users->scram, users->cap * sizeof(*users->scram));
    }
    if (scram) users->scram[users->scram_count++] = users->count;
    users->all[users->count++] = *user;
}

static void read_line(struct reader *reader, struct bytes line)
{
    struct auth_user user = {.line = reader->line};
    bool scram;
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len -= 1;
    if (line.len == 0 || line.data[0] == '#') return;
    if (!split(line, &user)) {
        complain(reader, true, "not name:secret:reverse-paths");
        return;
    }
    const char *wrong = check(reader, &user, &scram);
    if (wrong != NULL)
        complain(reader, true, "%s", wrong);
    else
        add(reader->users, &user, scram);
}

/* ---- the file
 * -------------------------------------------------------------------------------------- */

static void index_names(struct reader *reader)
{
    struct auth_users *users = reader->users;
    for (uint32_t i = 0; i < users->count; i++) {
        struct auth_user *user = &users->all[i];
        const struct auth_user *other = auth_users_find(users, user->name);
        if (other == NULL) {
            table_add(&users->by_name, hash_bytes(NAME_SEED, user->name), user);
            continue;
        }
        reader->line = user->line;
        complain(reader, true, "user \"%.*s\" once more, after line %u", BYTES_FMT(user->name),
                 other->line);
    }
}

static void make_stranger_key(struct auth_users *users)
{
    const struct bytes secret = users->count > 0 ? users->all[0].secrets : (struct bytes){0};
    digest_hmac_sha256(secret, BYTES("ringpost: the key for strangers"), users->stranger_key);
}

struct auth_users *auth_users_parse(struct bytes text, const char *name,
                                    const struct auth_report *report)
{
    struct auth_users *users = base_alloc(sizeof(*users));
    struct reader reader = {.users = users, .file = name, .report = report};
    users->text = base_alloc(text.len + 1);
    users->text_len = text.len;
    if (text.len > 0) memcpy(users->text, text.data, text.len);
    table_init(&users->by_name);
    struct bytes rest = {users->text, text.len};
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        const struct bytes line = {rest.data, end == NULL ? rest.len : (size_t)(end - rest.data)};
        reader.line += 1;
        read_line(&reader, line);
        rest = bytes_skip(rest, line.len + 1);
    }
    index_names(&reader);
    make_stranger_key(users);
    if (reader.errors > 0) auth_users_free(&users);
    return users;
}

void auth_users_free(struct auth_users **users)
{
    if (*users == NULL) return;
    table_deinit(&(*users)->by_name);
    base_free((*users)->all);
    base_free((*users)->scram);
    base_free_secret((*users)->text, (*users)->text_len);
    base_free_secret(*users, sizeof(**users));
    *users = NULL;
}

size_t auth_users_count(const struct auth_users *users)
{
    return users->count;
}

uint32_t auth_users_mechanisms(const struct auth_users *users)
{
    if (users->count == 0) return 0;
    const uint32_t passwords = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN;
    return passwords | (users->scram_count > 0 ? SMTP_MECHANISM_SCRAM_SHA_256 : 0u);
}

void auth_user_secret(const struct auth_user *user, struct auth_secret *secret)
{
    const char *weak, *wrong = auth_secret_parse(user->secrets, secret, &weak);
    ASSERT(wrong == NULL); /* it was read at load */
}

struct auth_user_view auth_users_view(const struct auth_users *users, size_t index)
{
    ASSERT(index < users->count);
    const struct auth_user *user = &users->all[index];
    struct auth_secret secret;
    auth_user_secret(user, &secret);
    const struct auth_user_view view = {
        .name = user->name,
        .paths = user->paths,
        .method = auth_secret_method(&secret),
        .iterations = secret.iterations,
    };
    explicit_bzero(&secret, sizeof(secret));
    return view;
}
