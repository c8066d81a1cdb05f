/* SPDX-License-Identifier: Apache-2.0
 *
 * build_peer - what receivers are spoken to with: TLS of sites, logins of routes
 *
 * Sites that agree in all that a TLS client is made of share one: it holds a trust store.
 */
#include "config_private.h"
#include "ringpost/tls.h"
#include <errno.h>
#include <stdio.h>

enum { WHY_MAX = 512, SUBMISSIONS_PORT = 465 /* RFC 8314 section 3.3 */ };

struct config_client_user {
    struct config_client_user *next;
    struct queue_tls *tls;
};

void config_free_clients(struct config *config)
{
    for (struct config_client *client = config->files->clients; client != NULL;
         client = client->next) {
        tls_client_free(&client->tls);
    }
}

/* ---- sites ----------------------------------------------------------------------------------- */

static bool same_files(const struct config_tls_files *a, const struct config_tls_files *b)
{
    return bytes_equal(a->trust, b->trust) && bytes_equal(a->certificate, b->certificate) &&
           bytes_equal(a->key, b->key) && a->min_version == b->min_version &&
           bytes_equal(a->ciphers, b->ciphers) && bytes_equal(a->ciphersuites, b->ciphersuites);
}

/* Settings are kept with a NUL behind them. */
static const char *text_of(struct bytes setting)
{
    return setting.len > 0 ? setting.data : NULL;
}

/* Of the setting; else of the block. */
static uint32_t line_of(const struct parsed *block, const char *setting)
{
    if (block == NULL) return 0;
    const uint32_t line = parsed_line_of(block, setting);
    return line > 0 ? line : parsed_line(block);
}

/* What is most likely to be to blame when no client can be made of them. */
static uint32_t line_of_files(const struct parsed *block, const struct config_tls_files *files)
{
    if (files->certificate.len > 0) return line_of(block, "tls_certificate");
    if (files->trust.len > 0) return line_of(block, "tls_trust");
    return line_of(block, files->ciphers.len > 0 ? "tls_ciphers" : "tls_ciphersuites");
}

void config_want_client(struct loader *loader, const struct parsed *block,
                        const struct config_tls_files *files, struct queue_tls *tls)
{
    struct config *config = loader->config;
    struct config_client *client = config->files->clients;
    while (client != NULL && !same_files(&client->files, files))
        client = client->next;
    if (client == NULL) {
        client = config_keep(config, sizeof(*client));
        client->files = *files;
        client->line = line_of_files(block, files);
        client->next = config->files->clients;
        config->files->clients = client;
    }
    struct config_client_user *user = config_keep(config, sizeof(*user));
    *user = (struct config_client_user){client->users, tls};
    client->users = user;
}

static void make_client(struct loader *loader, struct config_client *client, wall_ms now)
{
    const struct config_tls_files *files = &client->files;
    const bool folder = files->trust.len > 0 && files->trust.data[files->trust.len - 1] == '/';
    const struct tls_client_options options = {
        .trust_file = folder ? NULL : text_of(files->trust),
        .trust_folder = folder ? text_of(files->trust) : NULL,
        .certificate = text_of(files->certificate),
        .key = text_of(files->key),
        .min_version = (enum tls_version)files->min_version,
        .ciphers = text_of(files->ciphers),
        .ciphersuites = text_of(files->ciphersuites),
    };
    char why[WHY_MAX];
    client->tls = tls_client_create(&options, why, sizeof(why));
    if (client->tls == NULL) config_error(loader, client->line, "TLS with receivers: %s", why);
    for (struct config_client_user *user = client->users; user != NULL; user = user->next)
        user->tls->client = client->tls;
    if (client->tls == NULL) return;
    const struct tls_certificate_info *own = tls_client_certificate(client->tls);
    if (own != NULL) config_warn_dates(loader, client->line, own, now);
}

static void build_names(struct loader *loader, const struct parsed *block, struct config_site *site)
{
    const char **names = config_keep(loader->config, (site->tls_name_count + 1) * sizeof(*names));
    for (uint32_t i = 0; i < site->tls_name_count; i++) {
        const struct bytes name = site->tls_names[i];
        const struct bytes host =
            bytes_starts_with_nocase(name, BYTES("*.")) ? bytes_skip(name, 2) : name;
        if (!config_is_host(host)) {
            config_error(loader, line_of(block, "tls_names"), "tls_names: \"%.*s\" is not a name",
                         BYTES_FMT(name));
        }
        names[i] = name.data;
    }
    site->tls.names = names;
    site->tls.name_count = site->tls_name_count;
}

void config_build_tls(struct loader *loader, const struct parsed *block, struct config_site *site)
{
    if (site->tls_files.key.len > 0 && site->tls_files.certificate.len == 0) {
        config_error(loader, line_of(block, "tls_key"), "tls_key is set without tls_certificate");
        return;
    }
    build_names(loader, block, site);
}

/* ---- routes ---------------------------------------------------------------------------------- */

void config_build_login(struct loader *loader, const struct parsed *block,
                        const struct config_route *words, struct queue_route *route)
{
    const uint32_t line = line_of(block, "user");
    const bool by_file = words->password_file.len > 0;
    route->tls_implicit = words->tls == 1;
    for (uint32_t i = 0; route->tls_implicit && i < route->hop_count; i++) {
        if (route->hops[i].port == 0) route->hops[i].port = SUBMISSIONS_PORT;
    }
    route->auth_clear = words->auth_clear;
    if (words->user.len == 0) {
        if (words->password.len == 0 && !by_file) return;
        config_error(loader, line, "there is a password, but no user");
        return;
    }
    route->user = words->user;
    route->password = words->password;
    if (by_file && words->password.len > 0) {
        config_error(loader, line, "password and password_file: one of them is enough");
        return;
    }
    if (by_file) {
        struct config_password *password = config_keep(loader->config, sizeof(*password));
        struct config_files *files = loader->config->files;
        *password = (struct config_password){
            .next = files->passwords,
            .route = route,
            .path = words->password_file,
            .line = line_of(block, "password_file"),
        };
        files->passwords = password;
    } else if (route->password.len == 0) {
        config_error(loader, line, "there is a user, but no password");
    }
    if (route->user.len > SMTP_CLIENT_LOGIN_MAX || route->password.len > SMTP_CLIENT_LOGIN_MAX) {
        config_error(loader, line, "user or password: longer than %d", SMTP_CLIENT_LOGIN_MAX);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The first line of the file. */
static void read_password(struct loader *loader, const struct config_password *password)
{
    char text[SMTP_CLIENT_LOGIN_MAX + 3];
    FILE *file = fopen(password->path.data, "re");
    if (file != NULL) setvbuf(file, NULL, _IONBF, 0); /* no further copy of a secret */
    const char *got = file != NULL ? fgets(text, sizeof(text), file) : NULL;
    const int cause = errno;
    const bool opened = file != NULL;
    if (opened) fclose(file);
    size_t len = got != NULL ? strcspn(text, "\r\n") : 0;
    if (len == 0) {
        config_error(loader, password->line, "password_file: %s: %s", password->path.data,
                     opened ? "there is no password in it" : strerror(cause));
    } else if (len > SMTP_CLIENT_LOGIN_MAX) {
        config_error(loader, password->line, "password_file: %s: longer than %d",
                     password->path.data, SMTP_CLIENT_LOGIN_MAX);
    } else {
        password->route->password = config_keep_bytes(loader->config, (struct bytes){text, len});
    }
    explicit_bzero(text, sizeof(text));
}

void config_read_peer_files(struct loader *loader, wall_ms now)
{
    const struct config_files *files = loader->config->files;
    for (struct config_client *client = files->clients; client != NULL; client = client->next)
        make_client(loader, client, now);
    for (const struct config_password *password = files->passwords; password != NULL;
         password = password->next) {
        read_password(loader, password);
    }
}
