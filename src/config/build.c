/* SPDX-License-Identifier: Apache-2.0
 *
 * build - from the parsed file to the snapshot: defaults, inheritance, titles, names to numbers
 *
 * Defaults come from the options' owners where they have them. A site begins as a copy of the site
 * "default", wherever in the file that one stands.
 */
#include "config_private.h"

/* ---- memory ---------------------------------------------------------------------------------- */

struct config_memory {
    struct config_memory *next;
    size_t size; /* of data */
    max_align_t data[];
};

void *config_keep(struct config *config, size_t size)
{
    struct config_memory *memory = base_alloc(sizeof(*memory) + size);
    memory->next = config->memory;
    memory->size = size;
    config->memory = memory;
    return memory->data;
}

struct bytes config_keep_bytes(struct config *config, struct bytes bytes)
{
    char *copy = config_keep(config, bytes.len + 1);
    memcpy(copy, bytes.data, bytes.len);
    return (struct bytes){copy, bytes.len};
}

void config_free(struct config **config)
{
    if (*config == NULL) return;
    dkim_signers_unref((*config)->receive.signers);
    config_free_files(*config);
    while ((*config)->memory != NULL) {
        struct config_memory *memory = (*config)->memory;
        (*config)->memory = memory->next;
        base_free_secret(memory, sizeof(*memory) + memory->size); /* passwords are among it */
    }
    base_free(*config);
    *config = NULL;
}

/* ---- blocks without a title ------------------------------------------------------------------ */

static void set_defaults(struct loader *loader)
{
    struct config *config = loader->config;
    config->workers = (struct worker_options){.pin = true, .events = {.level = EVENT_INFO}};
    config->shutdown_timeout = DURATION_S(30);
    config->log = (struct logfile_options){.rotate_size = 100 << 20, .keep = 10};
    config->account = (struct logfile_options){
        .folder = true,
        .rotate_size = 256 << 20,
        .rotate_age = DURATION_S(3600),
        .keep_size = 10ull << 30,
        .keep_age = DURATION_S(14 * 86400),
    };
    config->spool = (struct spool_options){
        .durability = SPOOL_COMMIT,
        .segment_size = 64 << 20,
        .memory_max = 512 << 20,
        .reserve = 1 << 30,
    };
    config->dns = dns_options_default;
    config->receive.auth = auth_options_default();
    queue_options_default(&config->queue);

    const struct bytes name = bytes_of(loader->system_hostname);
    if (config_is_host(name) && name.len < sizeof(config->hostname)) {
        memcpy(config->hostname, name.data, name.len);
    } else {
        memcpy(config->hostname, "localhost", sizeof("localhost"));
    }
}

static void build_untitled(struct loader *loader, const struct parsed *top)
{
    struct config *config = loader->config;
    parsed_store(loader, top, BLOCK_TOP, config);
    for (enum block_id id = BLOCK_LOG; id <= BLOCK_DELIVERY; id++) {
        parsed_store(loader, parsed_block(top, id, 0), id, config);
    }
    config->workers.events.account = config->account.path[0] != '\0';
    if (config->control[0] == '\0' && config->spool.path[0] != '\0') {
        struct text text;
        text_init(&text, config->control, sizeof(config->control));
        text_printf(&text, "%s/control.sock", config->spool.path);
        if (text.cut) {
            config_error(loader, parsed_line_of(parsed_block(top, BLOCK_SPOOL, 0), "path"),
                         "spool.path is too long");
        }
    }
    memcpy(config->queue.hostname, config->hostname, sizeof(config->hostname));
    config->queue.ipv4_first = config->dns.ipv4_first;
}

/* ---- listeners ------------------------------------------------------------------------------- */

static const struct address loopback_networks[] = {
    {.family = 4, .prefix = 8, .ip = {127}},
    {.family = 6, .prefix = 128, .ip = {[15] = 1}},
};

/* What the certificates are to be, for config_read_files(). */
static void build_certificates(struct loader *loader, const struct parsed *block,
                               const struct config_listener *listener,
                               struct config_listener_files *files)
{
    struct tls_certificate *certificates =
        config_keep(loader->config, (listener->certificate_count + 1) * sizeof(*certificates));
    if (listener->key_count > 0 && listener->key_count != listener->certificate_count) {
        config_error(loader, parsed_line_of(block, "key"),
                     "key: as many as there are certificates, or none at all");
    }
    for (uint32_t i = 0; i < listener->certificate_count; i++) {
        certificates[i].certificate = listener->certificates[i].data;
        if (i < listener->key_count) certificates[i].key = listener->keys[i].data;
    }
    files->tls = (struct tls_server_options){
        .certificates = certificates,
        .certificate_count = listener->tls == CONFIG_TLS_NONE ? 0 : listener->certificate_count,
        .min_version = listener->min_version,
        .ciphers = listener->ciphers.len > 0 ? listener->ciphers.data : NULL,
        .ciphersuites = listener->ciphersuites.len > 0 ? listener->ciphersuites.data : NULL,
        .client_trust = listener->client_trust.len > 0 ? listener->client_trust.data : NULL,
    };
}

static void build_mechanisms(struct loader *loader, const struct parsed *block,
                             struct config_listener *listener)
{
    for (uint32_t i = 0; i < listener->auth_count; i++) {
        const uint32_t mechanism = smtp_mechanism_parse(listener->auth[i]);
        listener->options.smtp.auth |= mechanism;
        if (mechanism != 0) continue;
        config_error(loader, parsed_line_of(block, "auth"),
                     "auth: \"%.*s\" is none of plain, login, scram-sha-256",
                     BYTES_FMT(listener->auth[i]));
    }
}

static void build_listener(struct loader *loader, const struct parsed *block,
                           struct receive_listener_options *options,
                           struct config_listener_files *files)
{
    struct config_listener listener = {0};
    listener.options = (struct receive_listener_options){
        .smtp = smtp_server_options_default(),
        .relay_from = loopback_networks,
        .relay_from_count = ARRAY_COUNT(loopback_networks),
        .connections_max = 10000,
        .connections_per_client_max = 1000,
        .add_date = true,
        .add_message_id = true,
        .refuse_null_mx = true,
        .dkim = true,
    };
    listener.options.smtp.hostname = bytes_of(loader->config->hostname);
    parsed_store(loader, block, BLOCK_LISTENER, &listener);
    listener.options.tls_implicit = listener.tls == CONFIG_TLS_IMPLICIT;
    if (listener.tls == CONFIG_TLS_STARTTLS) {
        listener.options.smtp.extensions |= SMTP_EXT_STARTTLS;
    }
    build_mechanisms(loader, block, &listener);
    build_certificates(loader, block, &listener, files);
    files->options = options;
    files->certificate_line = parsed_line_of(block, "certificate");
    files->client_trust_line = parsed_line_of(block, "client_trust");
    files->ciphers_line = parsed_line_of(block, "ciphers");
    files->ciphersuites_line = parsed_line_of(block, "ciphersuites");
    files->auth_line = parsed_line_of(block, "auth");
    *options = listener.options;
    if (!address_parse(parsed_title(block), 0, &options->address)) {
        config_error(loader, parsed_line(block),
                     "listener \"%.100s\": not an address like 192.0.2.1:25 or [2001:db8::1]:25",
                     parsed_title(block).data);
    }
}

static void build_listeners(struct loader *loader, const struct parsed *top)
{
    const size_t count = parsed_count(top, BLOCK_LISTENER);
    struct config *config = loader->config;
    struct receive_listener_options *listeners =
        config_keep(config, (count + 1) * sizeof(*listeners));
    config->files->listeners = config_keep(config, (count + 1) * sizeof(*config->files->listeners));
    for (size_t i = 0; i < count; i++) {
        build_listener(loader, parsed_block(top, BLOCK_LISTENER, i), &listeners[i],
                       &config->files->listeners[i]);
        config->spool.message_size_max =
            MAX(config->spool.message_size_max, listeners[i].smtp.max_message_size);
    }
    config->receive.listeners = listeners;
    config->receive.listener_count = count;
}

/* ---- sources --------------------------------------------------------------------------------- */

static bool is_default(const struct parsed *block)
{
    return bytes_equal(parsed_title(block), BYTES("default"));
}

static void build_source(struct loader *loader, const struct parsed *block,
                         struct queue_source *source)
{
    const struct bytes title = parsed_title(block);
    if (title.len == 0 || title.len > QUEUE_LABEL_MAX || !config_is_host(title)) {
        config_error(loader, parsed_line(block),
                     "source \"%.100s\": a name is up to %d letters, digits, '-' and '.'",
                     title.data, QUEUE_LABEL_MAX);
        return;
    }
    memcpy(source->name, title.data, title.len);
    parsed_store(loader, block, BLOCK_SOURCE, source);
}

static void build_sources(struct loader *loader, const struct parsed *top)
{
    const size_t count = parsed_count(top, BLOCK_SOURCE);
    struct queue_source *sources = config_keep(loader->config, (count + 1) * sizeof(*sources));
    size_t used = 1;
    memcpy(sources[0].name, "default", sizeof("default"));
    for (size_t i = 0; i < count; i++) {
        const struct parsed *block = parsed_block(top, BLOCK_SOURCE, i);
        build_source(loader, block, is_default(block) ? &sources[0] : &sources[used++]);
    }
    loader->config->queue.sources = sources;
    loader->config->queue.source_count = used;
}

/* ---- sites ----------------------------------------------------------------------------------- */

static bool find_source(const struct config *config, const char *name, uint16_t *index)
{
    for (size_t i = 0; i < config->queue.source_count; i++) {
        if (strcmp(config->queue.sources[i].name, name) == 0) return *index = (uint16_t)i, true;
    }
    return false;
}

/* site: what it begins from. */
static void build_site(struct loader *loader, const struct parsed *block, struct config_site *site)
{
    struct queue_site_options *options = &site->options;
    parsed_store(loader, block, BLOCK_SITE, site);
    config_build_tls(loader, block, site);
    if (parsed_line_of(block, "command_timeout") > 0) {
        options->timeouts.ehlo = site->command_timeout_s;
        options->timeouts.mail = site->command_timeout_s;
        options->timeouts.rcpt = site->command_timeout_s;
    }
    if (parsed_line_of(block, "source") > 0 &&
        !find_source(loader->config, site->source, &options->source)) {
        config_error(loader, parsed_line_of(block, "source"), "there is no source \"%s\"",
                     site->source);
    }
    /* A host is never left alone for longer than its mail waits (see queue.h). */
    if (options->retry_count > 0) {
        options->host_pause_s = MIN(options->host_pause_s, options->retry_s[0]);
        options->host_pause_max_s =
            MIN(options->host_pause_max_s, options->retry_s[options->retry_count - 1]);
    }
}

/* Names of sites have signs of their own: "(a|b).example.com", "~example.com", "10.0.0.5:25". */
static bool is_site_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~') return false;
    }
    return name.len > 0;
}

static void name_site(struct loader *loader, const struct parsed *block, char *name)
{
    const struct bytes title = parsed_title(block);
    const uint32_t line = parsed_line(block);
    struct text text;
    text_init(&text, name, QUEUE_NAME_MAX + 1);
    if (title.len == 0 || title.len > QUEUE_NAME_MAX) {
        config_error(loader, line, "site: its name is empty or longer than %d", QUEUE_NAME_MAX);
        return;
    }
    if (bytes_equal(title, BYTES("*"))) {
        config_error(loader, line, "site \"*\": the one for all is called \"default\"");
        return;
    }
    if (dns_name_normalise(title, &text)) return;
    if (!is_site_name(title)) {
        config_error(loader, line, "site \"%.100s\": not a domain, a mail host or a site",
                     title.data);
        return;
    }
    for (size_t i = 0; i < title.len; i++)
        name[i] = ascii_lower(title.data[i]);
}

static void build_sites(struct loader *loader, const struct parsed *top)
{
    const size_t count = parsed_count(top, BLOCK_SITE);
    struct queue_options *queue = &loader->config->queue;
    struct queue_site *sites = config_keep(loader->config, (count + 1) * sizeof(*sites));
    struct config_site start = {.options = queue->defaults, .tls = queue->default_tls};
    const struct parsed *defaults = NULL;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_default(parsed_block(top, BLOCK_SITE, i))) {
            defaults = parsed_block(top, BLOCK_SITE, i);
        }
    }
    if (defaults != NULL)
        build_site(loader, defaults, &start);
    else
        config_build_tls(loader, NULL, &start);
    queue->defaults = start.options;
    queue->default_tls = start.tls;
    config_want_client(loader, defaults, &start.tls_files, &queue->default_tls);
    for (size_t i = 0; i < count; i++) {
        const struct parsed *block = parsed_block(top, BLOCK_SITE, i);
        struct config_site site = start;
        if (is_default(block)) continue;
        build_site(loader, block, &site);
        sites[used].options = site.options;
        sites[used].tls = site.tls;
        config_want_client(loader, block, &site.tls_files, &sites[used].tls);
        name_site(loader, block, sites[used].name);
        used += 1;
    }
    queue->sites = sites;
    queue->site_count = used;
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* "10.0.0.5:25", "[2001:db8::1]:25", "relay.example.com:587", each also without a port. */
static bool build_hop(struct bytes text, struct queue_hop *hop)
{
    char printed[ADDRESS_TEXT_MAX];
    struct address address;
    uint64_t port = 0;
    struct bytes host = text;
    if (text.len == 0) return false;
    const bool has_port = address_parse(text, 0, &address);
    if (has_port || address_parse(text, SMTP_PORT, &address)) {
        if (has_port && address.port == 0) return false;
        hop->port = has_port ? address.port : 0;
        host = bytes_of(address_print_ip(&address, printed));
        memcpy(hop->host, host.data, host.len);
        return true;
    }
    const char *colon = memchr(text.data, ':', text.len);
    if (colon != NULL) {
        host.len = (size_t)(colon - text.data);
        if (!bytes_to_u64(bytes_skip(text, host.len + 1), UINT16_MAX, &port) || port == 0) {
            return false;
        }
    }
    if (!config_is_host(host) || host.data[0] == '[') return false;
    memcpy(hop->host, host.data, host.len);
    hop->port = (uint16_t)port;
    return true;
}

static void build_route(struct loader *loader, const struct parsed *block,
                        struct queue_route *route)
{
    struct config_route words = {0};
    struct text domain;
    const struct bytes title = parsed_title(block);
    const uint32_t line = parsed_line(block);
    text_init(&domain, route->domain, sizeof(route->domain));
    if (bytes_equal(title, BYTES("*"))) {
        text_put(&domain, title);
    } else if (title.len == 0 || !dns_name_normalise(title, &domain)) {
        config_error(loader, line, "route \"%.100s\": not a domain", title.data);
    }
    parsed_store(loader, block, BLOCK_ROUTE, &words);
    if (words.to_count == 0 || words.to_count > QUEUE_HOPS_MAX) {
        config_error(loader, line,
                     "route \"%.100s\": `to` names 1 to %d hosts, like \"10.0.0.5:25\"", title.data,
                     QUEUE_HOPS_MAX);
        return;
    }
    for (uint32_t i = 0; i < words.to_count; i++) {
        if (build_hop(words.to[i], &route->hops[i])) continue;
        config_error(loader, line,
                     "to: \"%.*s\" is neither a host name nor an address, with or without a port",
                     BYTES_FMT(words.to[i]));
    }
    route->hop_count = words.to_count;
    config_build_login(loader, block, &words, route);
}

static void build_routes(struct loader *loader, const struct parsed *top)
{
    const size_t count = parsed_count(top, BLOCK_ROUTE);
    struct queue_route *routes = config_keep(loader->config, (count + 1) * sizeof(*routes));
    for (size_t i = 0; i < count; i++) {
        build_route(loader, parsed_block(top, BLOCK_ROUTE, i), &routes[i]);
    }
    loader->config->queue.routes = routes;
    loader->config->queue.route_count = count;
}

/* ---- our own names and addresses, for the loop rule of DNS ----------------------------------- */

static void add_name(struct dns_options *dns, struct bytes *names, struct bytes name)
{
    for (size_t i = 0; i < dns->name_count; i++) {
        if (bytes_equal_nocase(names[i], name)) return;
    }
    if (name.len > 0) names[dns->name_count++] = name;
}

static void build_names(struct loader *loader)
{
    struct config *config = loader->config;
    const size_t most = 1 + config->receive.listener_count + config->queue.source_count;
    struct bytes *names = config_keep(config, most * sizeof(*names));
    config->dns.names = names;
    add_name(&config->dns, names, bytes_of(config->hostname));
    for (size_t i = 0; i < config->receive.listener_count; i++) {
        add_name(&config->dns, names, config->receive.listeners[i].smtp.hostname);
    }
    for (size_t i = 0; i < config->queue.source_count; i++) {
        add_name(&config->dns, names, bytes_of(config->queue.sources[i].ehlo));
    }
}

/* Is it a port that mail hosts are spoken to on? */
static bool is_for_mail_hosts(const struct config *config, const struct address *address)
{
    return address->port == SMTP_PORT || address->port == config->queue.defaults.port;
}

/* Where others reach us on the port of mail exchange: an MX of such an address is ourselves. One to
 * the loopback is refused anyway, for another reason, unless tests allow it. */
static void build_addresses(struct loader *loader)
{
    struct config *config = loader->config;
    const struct receive_options *receive = &config->receive;
    struct address *own = config_keep(config, (receive->listener_count + 1) * sizeof(*own));
    size_t count = 0;
    for (size_t i = 0; i < receive->listener_count; i++) {
        const struct address *address = &receive->listeners[i].address;
        if (!is_for_mail_hosts(config, address) || address_is_unspecified(address)) continue;
        if (address_is_loopback(address) && !config->dns.allow_loopback) continue;
        own[count++] = *address;
    }
    config->dns.addresses = own;
    config->dns.address_count = count;
}

static bool listens_on_all(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->receive.listener_count; i++) {
        const struct address *address = &config->receive.listeners[i].address;
        if (address->family != family || !is_for_mail_hosts(config, address)) continue;
        if (address_is_unspecified(address)) return true;
    }
    return false;
}

void config_add_own_addresses(struct config *config, const struct address *addresses, size_t count)
{
    const struct dns_options *dns = &config->dns;
    struct address *own = config_keep(config, (dns->address_count + count + 1) * sizeof(*own));
    size_t used = dns->address_count;
    if (used > 0) memcpy(own, dns->addresses, used * sizeof(*own));
    for (size_t i = 0; i < count; i++) {
        if (address_is_loopback(&addresses[i])) continue;
        if (listens_on_all(config, addresses[i].family)) own[used++] = addresses[i];
    }
    config->dns.addresses = own;
    config->dns.address_count = used;
}

void config_build(struct loader *loader, const struct parsed *top)
{
    struct config *config = loader->config;
    config->files = config_keep(config, sizeof(*config->files));
    config->files->name = config_keep_bytes(config, bytes_of(loader->file)).data;
    config->files->users_line = parsed_line_of(top, "users");
    set_defaults(loader);
    build_untitled(loader, top);
    build_listeners(loader, top);
    build_sources(loader, top);
    build_sites(loader, top);
    build_routes(loader, top);
    config_build_dkim(loader, top);
    build_names(loader);
    build_addresses(loader);
}
