/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_auth_users - any octets as a users file
 *
 * What is taken can be found, listed, and written again; a message names a line of the file.
 */
#include "ringpost/auth.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    size_t lines;
    unsigned errors;
};

static void on_message(void *context, bool error, const char *text)
{
    struct heard *heard = context;
    char *end;
    ASSERT(strncmp(text, "users:", 6) == 0);
    const unsigned long line = strtoul(text + 6, &end, 10);
    ASSERT(*end == ':' && line >= 1 && line <= heard->lines);
    heard->errors += error;
}

static void check_secret(const struct auth_user *user, const struct auth_user_view *view)
{
    struct auth_secret secret, again;
    char text[2 * AUTH_HASH_MAX + 256], line[sizeof(text) + 16];
    struct text printed, whole;
    auth_user_secret(user, &secret);
    ASSERT((view->method != NULL) == (secret.hash[0] != '\0'));
    ASSERT(view->iterations == secret.iterations);
    text_init(&printed, text, sizeof(text));
    auth_secret_print(&secret, &printed);
    ASSERT(!printed.cut && printed.len > 0);
    text_init(&whole, line, sizeof(line));
    text_printf(&whole, "x:%s:*", text);
    struct heard heard = {.lines = 1};
    struct auth_users *users =
        auth_users_parse(text_bytes(&whole), "users", &(struct auth_report){on_message, &heard});
    ASSERT(users != NULL && auth_users_count(users) == 1);
    auth_user_secret(auth_users_find(users, BYTES("x")), &again);
    ASSERT(memcmp(&secret, &again, sizeof(secret)) == 0);
    auth_users_free(&users);
}

static void check_paths(const struct auth_user *user, struct bytes paths)
{
    ASSERT(auth_paths_check(paths) == NULL);
    (void)auth_user_may_send(user, paths); /* whatever it says */
    if (bytes_equal(paths, BYTES("*"))) ASSERT(auth_user_may_send(user, BYTES("a@b.example")));
    if (memchr(paths.data, ',', paths.len) == NULL && memchr(paths.data, '@', paths.len) != NULL)
        ASSERT(auth_user_may_send(user, paths));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes text = {(const char *)data, size};
    struct heard heard = {.lines = 1};
    for (size_t i = 0; i < size; i++)
        heard.lines += data[i] == '\n';
    struct auth_users *users =
        auth_users_parse(text, "users", &(struct auth_report){on_message, &heard});
    ASSERT((users == NULL) == (heard.errors > 0));
    if (users == NULL) return 0;
    for (size_t i = 0; i < auth_users_count(users); i++) {
        const struct auth_user_view view = auth_users_view(users, i);
        const struct auth_user *user = auth_users_find(users, view.name);
        ASSERT(user != NULL && auth_name_check(view.name) == NULL);
        check_secret(user, &view);
        check_paths(user, view.paths);
    }
    auth_users_free(&users);
    return 0;
}
