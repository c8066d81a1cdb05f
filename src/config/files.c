/* SPDX-License-Identifier: Apache-2.0
 *
 * files - reads what the configuration names: users, certificates and their keys, passwords
 *
 * Apart from the parsing, since only a server needs them and may read them. All that is wrong is
 * told at once.
 */
#include "config_private.h"

static const wall_ms DAY_MS = 86400 * 1000;
enum { EXPIRY_WARNING_DAYS = 14 };

static void read_users(struct loader *loader)
{
    struct config *config = loader->config;
    const struct auth_report report = {loader->report->message, loader->report->context};
    if (config->users[0] == '\0') return;
    config->files->users = auth_users_load(config->users, &report);
    config->receive.auth.users = config->files->users;
    if (config->files->users == NULL) {
        config_error(loader, config->files->users_line, "users: %s cannot be used", config->users);
    }
}

/* A mechanism is offered only where somebody can use it. */
static void fit_mechanisms(struct loader *loader, const struct config_listener_files *files)
{
    uint32_t *offered = &files->options->smtp.auth;
    if (loader->config->files->users == NULL) return;
    const uint32_t possible = auth_users_mechanisms(loader->config->files->users);
    for (uint32_t bit = 1; bit <= *offered; bit <<= 1) {
        if (!(*offered & bit) || (possible & bit)) continue;
        config_warn(loader, files->auth_line,
                    "auth: no user has a secret for %s, so it is not offered",
                    smtp_mechanism_name((enum smtp_mechanism)bit));
    }
    *offered &= possible;
}

void config_warn_dates(struct loader *loader, uint32_t line,
                       const struct tls_certificate_info *info, wall_ms now)
{
    char date[EVENT_TIME_TEXT_MAX];
    if (now < info->starts) {
        config_warn(loader, line, "%s: not valid before %s", info->path,
                    event_time_print(info->starts, date));
    } else if (now >= info->expires) {
        config_warn(loader, line, "%s: expired at %s", info->path,
                    event_time_print(info->expires, date));
    } else if (info->expires - now < EXPIRY_WARNING_DAYS * DAY_MS) {
        config_warn(loader, line, "%s: expires soon, at %s", info->path,
                    event_time_print(info->expires, date));
    }
}

static void check_dates(struct loader *loader, const struct config_listener_files *files,
                        wall_ms now)
{
    const struct tls_server *server = files->options->tls;
    for (size_t i = 0; i < tls_server_certificates(server); i++)
        config_warn_dates(loader, files->certificate_line, tls_server_certificate(server, i), now);
}

static uint32_t line_of(const struct config_listener_files *files, const char *setting)
{
    if (strcmp(setting, "client_trust") == 0) return files->client_trust_line;
    if (strcmp(setting, "ciphers") == 0) return files->ciphers_line;
    if (strcmp(setting, "ciphersuites") == 0) return files->ciphersuites_line;
    return files->certificate_line;
}

static void read_certificates(struct loader *loader, struct config_listener_files *files,
                              struct tls_tickets *tickets, wall_ms now)
{
    const char *option;
    char why[512];
    if (files->tls.certificate_count == 0) return;
    files->tls.tickets = tickets;
    files->options->tls = tls_server_create(&files->tls, &option, why, sizeof(why));
    if (files->options->tls == NULL) {
        config_error(loader, line_of(files, option), "%s: %s", option, why);
    } else {
        check_dates(loader, files, now);
    }
}

bool config_read_files(struct config *config, struct tls_tickets *tickets, wall_ms now,
                       const struct config_report *report)
{
    struct loader loader = {.config = config, .file = config->files->name, .report = report};
    read_users(&loader);
    for (size_t i = 0; i < config->receive.listener_count; i++) {
        read_certificates(&loader, &config->files->listeners[i], tickets, now);
        fit_mechanisms(&loader, &config->files->listeners[i]);
    }
    config_read_peer_files(&loader, now);
    config_read_keys(&loader);
    return loader.errors == 0;
}

void config_free_files(struct config *config)
{
    if (config->files == NULL) return;
    for (size_t i = 0; i < config->receive.listener_count; i++) {
        tls_server_free(&config->files->listeners[i].options->tls);
    }
    auth_users_free(&config->files->users);
    config_free_clients(config);
}
