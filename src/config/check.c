/* SPDX-License-Identifier: Apache-2.0
 *
 * check - how the settings fit together
 *
 * Errors are what cannot work; warnings are what works but is hardly meant. Runs only when every
 * single value was good.
 */
#include "config_private.h"

static void check_top(struct loader *loader, const struct parsed *top)
{
    const struct config *config = loader->config;
    const uint32_t line = parsed_line_of(top, "hostname");
    if (strchr(config->hostname, '.') == NULL) {
        config_warn(loader, line,
                    "hostname is \"%s\", which is not a full name: receivers will mistrust it",
                    config->hostname);
    }
    if (config->user[0] == '\0' && config->group[0] != '\0') {
        config_error(loader, parsed_line_of(top, "group"), "group is set without user");
    }
}

static void check_spool(struct loader *loader, const struct parsed *top)
{
    const struct parsed *block = parsed_block(top, BLOCK_SPOOL, 0);
    const struct spool_options *spool = &loader->config->spool;
    if (spool->path[0] == '\0') {
        config_error(loader, parsed_line_of(block, "path"),
                     "spool.path is missing: spool { path = \"/var/spool/ringpost\" }");
    }
    if (spool->segment_size % (1 << 20) != 0) {
        config_error(loader, parsed_line_of(block, "segment_size"),
                     "segment_size must be whole megabytes");
    }
    if (spool->disk_max > 0 && spool->disk_max < 4 * spool->segment_size) {
        config_error(loader, parsed_line_of(block, "disk"),
                     "disk is smaller than four segments of segment_size");
    }
    if (spool->disk_max > 0 && spool->reserve > spool->disk_max &&
        parsed_line_of(block, "reserve") > 0) {
        config_warn(loader, parsed_line_of(block, "reserve"),
                    "reserve (left free) is larger than disk (what may be used)");
    }
    if (spool->message_size_max > spool->memory_max / 2) {
        config_warn(loader, parsed_line_of(block, "memory"),
                    "memory does not hold two messages of max_message_size");
    }
    if (spool->durability == SPOOL_RELAXED) {
        config_warn(loader, parsed_line_of(block, "durability"),
                    "durability = relaxed: a crash loses mail that was accepted");
    }
}

static void check_logs(struct loader *loader, const struct parsed *top)
{
    const struct config *config = loader->config;
    const struct parsed *account = parsed_block(top, BLOCK_ACCOUNT, 0);
    const uint32_t line = parsed_line_of(account, "path");
    if (line == 0) return;
    if (strcmp(config->account.path, config->log.path) == 0 && config->log.path[0] != '\0') {
        config_error(loader, line,
                     "account.path is the log's file; it must be a folder of its own");
    }
    if (strcmp(config->account.path, config->spool.path) == 0) {
        config_error(loader, line, "account.path is the spool; it must be a folder of its own");
    }
    const struct logfile_options *options = &config->account;
    if (options->keep_size > 0 && options->keep_size < options->rotate_size) {
        config_error(loader, parsed_line(account),
                     "keep_size is smaller than one file (rotate_size)");
    }
}

static void check_relay(struct loader *loader, const struct parsed *block,
                        const struct receive_listener_options *listener)
{
    for (size_t i = 0; i < listener->relay_from_count; i++) {
        const struct address *network = &listener->relay_from[i];
        char text[ADDRESS_TEXT_MAX];
        const uint8_t wide = network->family == 4 ? 7 : 15;
        if (network->prefix > wide) continue;
        config_warn(loader, parsed_line_of(block, "relay_from"),
                    "relay_from %s/%u: everybody there may send mail through this server%s",
                    address_print_ip(network, text), network->prefix,
                    network->prefix == 0 ? " (an open relay)" : "");
    }
}

static void check_tls(struct loader *loader, const struct parsed *block,
                      const struct receive_listener_options *listener,
                      const struct config_listener_files *files)
{
    const bool tls = listener->tls_implicit || (listener->smtp.extensions & SMTP_EXT_STARTTLS);
    const uint32_t line = parsed_line_of(block, "tls");
    if (tls && files->tls.certificate_count == 0) {
        config_error(loader, line, "tls: needs a certificate: certificate = \"/etc/ssl/mail.pem\"");
    }
    if (!tls && files->certificate_line > 0) {
        config_warn(loader, files->certificate_line,
                    "certificate: of no use without tls = starttls or tls = implicit");
    }
    if (!tls && listener->smtp.require_tls) {
        config_error(loader, parsed_line_of(block, "require_tls"),
                     "require_tls: needs tls = starttls or tls = implicit");
    }
    if (listener->smtp.auth == 0) return;
    if (loader->config->users[0] == '\0') {
        config_error(loader, files->auth_line,
                     "auth: needs users: users = \"/etc/ringpost/users\" at the top level");
    }
    if (!tls && !listener->smtp.auth_clear) {
        config_error(loader, files->auth_line,
                     "auth: needs tls = starttls or tls = implicit, or auth_clear = true");
    }
}

static void check_listeners(struct loader *loader, const struct parsed *top)
{
    const struct receive_options *receive = &loader->config->receive;
    if (receive->listener_count == 0) {
        config_error(loader, 0, "there is no listener: listener \"127.0.0.1:2525\" { }");
    }
    for (size_t i = 0; i < receive->listener_count; i++) {
        const struct receive_listener_options *listener = &receive->listeners[i];
        const struct parsed *block = parsed_block(top, BLOCK_LISTENER, i);
        if (!config_is_host(listener->smtp.hostname)) {
            config_error(loader, parsed_line_of(block, "hostname"), "hostname: not a host name");
        }
        if (listener->smtp.banner.len > SMTP_SERVER_BANNER_MAX) {
            config_error(loader, parsed_line_of(block, "banner"), "banner: longer than %d",
                         SMTP_SERVER_BANNER_MAX);
        }
        if (listener->smtp.max_recipients < 100) {
            config_warn(loader, parsed_line_of(block, "max_recipients"),
                        "max_recipients is below the 100 of RFC 5321");
        }
        check_relay(loader, block, listener);
        check_tls(loader, block, listener, &loader->config->files->listeners[i]);
        for (size_t k = 0; k < i; k++) {
            if (listener->address.port == 0) break; /* any free port: never the same */
            if (!address_equal(&listener->address, &receive->listeners[k].address)) continue;
            config_error(loader, parsed_line(block), "listener \"%s\": there is another one on it",
                         parsed_title(block).data);
        }
    }
}

static void check_site(struct loader *loader, const struct parsed *block,
                       const struct queue_site_options *options)
{
    const uint32_t line = parsed_line_of(block, "retry");
    for (uint32_t i = 1; i < options->retry_count; i++) {
        if (options->retry_s[i] >= options->retry_s[i - 1]) continue;
        config_warn(loader, line, "retry: a pause is shorter than the one before it");
        break;
    }
    if (options->retry_s[0] >= options->expiry_s) {
        config_warn(loader, MAX(line, parsed_line_of(block, "expiry")),
                    "mail expires before its first retry");
    }
}

static void check_sites(struct loader *loader, const struct parsed *top)
{
    const struct queue_options *queue = &loader->config->queue;
    const size_t count = parsed_count(top, BLOCK_SITE);
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        const struct parsed *block = parsed_block(top, BLOCK_SITE, i);
        if (bytes_equal(parsed_title(block), BYTES("default"))) {
            check_site(loader, block, &queue->defaults);
            continue;
        }
        const struct queue_site *site = &queue->sites[index++];
        check_site(loader, block, &site->options);
        for (size_t k = 0; k + 1 < index; k++) {
            if (strcmp(site->name, queue->sites[k].name) != 0) continue;
            config_error(loader, parsed_line(block),
                         "site \"%s\": there is another one of that name", site->name);
        }
    }
}

static void check_routes(struct loader *loader, const struct parsed *top)
{
    const struct queue_options *queue = &loader->config->queue;
    for (size_t i = 0; i < queue->route_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(queue->routes[i].domain, queue->routes[k].domain) != 0) continue;
            config_error(
                loader, parsed_line(parsed_block(top, BLOCK_ROUTE, i)),
                "route \"%s\": there is another one for it; list several hosts in one `to`",
                queue->routes[i].domain);
        }
    }
}

void config_check(struct loader *loader, const struct parsed *top)
{
    check_top(loader, top);
    check_spool(loader, top);
    check_logs(loader, top);
    check_listeners(loader, top);
    check_sites(loader, top);
    check_routes(loader, top);
}
