/* SPDX-License-Identifier: Apache-2.0
 *
 * dkim - blocks "dkim" to the set of signers; their keys are read with the other files
 */
#include "config_private.h"
#include "ringpost/dns.h"
#include <errno.h>
#include <stdio.h>

enum { KEY_FILE_MAX = 64 * 1024 };

/* ---- keys ---------------------------------------------------------------------------------------
 */

static struct dkim_key *parse_key(struct loader *loader, struct dkim_key_reader *reader,
                                  uint32_t line, const char *path, struct bytes pem)
{
    char why[256];
    struct dkim_key *key = dkim_key_read(reader, pem, why, sizeof(why));
    if (key == NULL) {
        config_error(loader, line, "key: %s %s", path, why);
    } else if (dkim_key_algorithm(key) == DKIM_RSA_SHA256 &&
               dkim_key_bits(key) < DKIM_RSA_BITS_RECOMMENDED) {
        config_warn(loader, line,
                    "key: %s is an RSA key of only %u bits: receivers want %d at least", path,
                    dkim_key_bits(key), DKIM_RSA_BITS_RECOMMENDED);
    }
    return key;
}

static struct dkim_key *read_key(struct loader *loader, struct dkim_key_reader *reader,
                                 uint32_t line, const char *path)
{
    char pem[KEY_FILE_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        config_error(loader, line, "key: %s: %s", path, strerror(errno));
        return NULL;
    }
    setvbuf(file, NULL, _IONBF, 0); /* no further copy of a secret */
    const size_t len = fread(pem, 1, sizeof(pem), file);
    const int cause = ferror(file) ? errno : 0;
    fclose(file);
    struct dkim_key *key = NULL;
    if (cause != 0)
        config_error(loader, line, "key: %s: %s", path, strerror(cause));
    else if (len == sizeof(pem))
        config_error(loader, line, "key: %s is larger than 64K: this is no key", path);
    else
        key = parse_key(loader, reader, line, path, (struct bytes){pem, len});
    explicit_bzero(pem, len);
    return key;
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

static void check_names(struct loader *loader, uint32_t line, const char *setting,
                        const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *fault = dkim_header_fault(names[i]);
        if (fault == NULL) continue;
        config_error(loader, line, "%s: \"%.*s\" %s", setting, (int)MIN(names[i].len, 100u),
                     names[i].data, fault);
    }
}

/* Into the configuration's memory; empty: that was an error. */
static struct bytes keep_name(struct loader *loader, uint32_t line, struct bytes given,
                              const char *what)
{
    char room[DNS_NAME_MAX + 3];
    struct text name;
    text_init(&name, room, sizeof(room));
    if (given.len > 0 && given.data[0] != '[' && dns_name_normalise(given, &name))
        return config_keep_bytes(loader->config, text_bytes(&name));
    config_error(loader, line, "dkim \"%.*s\": not a %s", (int)MIN(given.len, 100u), given.data,
                 what);
    return (struct bytes){0};
}

static bool build_signer(struct loader *loader, const struct parsed *block,
                         struct config_signer *built)
{
    struct dkim_signer *signer = &built->signer;
    struct config_dkim words = {
        .canonicalization = 3,
        .headers = dkim_headers_default,
        .header_count = dkim_headers_default_count,
        .oversign = dkim_oversign_default,
        .oversign_count = dkim_oversign_default_count,
        .subdomains = true,
    };
    const uint32_t errors = loader->errors, line = parsed_line(block);
    const struct bytes title = parsed_title(block);
    parsed_store(loader, block, BLOCK_DKIM, &words);
    check_names(loader, parsed_line_of(block, "headers"), "headers", words.headers,
                words.header_count);
    check_names(loader, parsed_line_of(block, "oversign"), "oversign", words.oversign,
                words.oversign_count);
    *signer = (struct dkim_signer){
        .domain = keep_name(loader, line, title, "domain"),
        .header_mode = words.canonicalization >> 1,
        .body_mode = words.canonicalization & 1,
        .all = words.all,
        .subdomains = words.subdomains,
        .headers = words.headers,
        .header_count = words.header_count,
        .oversign = words.oversign,
        .oversign_count = words.oversign_count,
        .expire_s = words.expire_s,
    };
    if (words.selector[0] == '\0' || words.key[0] == '\0') {
        config_error(loader, line, "dkim \"%.*s\": %s is missing", (int)MIN(title.len, 100u),
                     title.data, words.selector[0] == '\0' ? "selector" : "key");
    } else {
        signer->selector = keep_name(loader, parsed_line_of(block, "selector"),
                                     bytes_of(words.selector), "name for a selector");
        built->path = config_keep_bytes(loader->config, bytes_of(words.key)).data;
        built->line = parsed_line_of(block, "key");
    }
    return loader->errors == errors;
}

/* Two signatures with one name could have one key only; and there is an end to how many there are
 * on a message. */
static void check_set(struct loader *loader, const struct parsed *top)
{
    const struct config_signer *built = loader->config->files->signers;
    for (size_t i = 0; i < loader->config->files->signer_count; i++) {
        const struct dkim_signer *signer = &built[i].signer;
        const uint32_t line = parsed_line(parsed_block(top, BLOCK_DKIM, i));
        uint32_t together = 0;
        for (size_t k = 0; k <= i; k++) {
            const struct dkim_signer *other = &built[k].signer;
            const bool same = bytes_equal(signer->domain, other->domain);
            together += same || other->all;
            if (k == i || !same || !bytes_equal(signer->selector, other->selector)) continue;
            config_error(loader, line, "dkim \"%s\": there is another one with selector \"%s\"",
                         signer->domain.data, signer->selector.data);
        }
        if (together != DKIM_SIGNATURES_MAX + 1) continue;
        config_error(loader, line, "dkim \"%s\": more than %d signatures on one message",
                     signer->domain.data, DKIM_SIGNATURES_MAX);
    }
}

void config_build_dkim(struct loader *loader, const struct parsed *top)
{
    const size_t count = parsed_count(top, BLOCK_DKIM);
    struct config_files *files = loader->config->files;
    bool good = true;
    files->signers = config_keep(loader->config, (count + 1) * sizeof(*files->signers));
    files->signer_count = count;
    for (size_t i = 0; i < count; i++)
        good &= build_signer(loader, parsed_block(top, BLOCK_DKIM, i), &files->signers[i]);
    if (good) check_set(loader, top);
}

void config_read_keys(struct loader *loader)
{
    const struct config_files *files = loader->config->files;
    const size_t count = files->signer_count;
    struct dkim_signer *signers = base_alloc((count + 1) * sizeof(*signers));
    struct dkim_key_reader *reader = dkim_key_reader_create();
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        signers[i] = files->signers[i].signer;
        signers[i].key = read_key(loader, reader, files->signers[i].line, files->signers[i].path);
        good &= signers[i].key != NULL;
    }
    dkim_key_reader_free(&reader);
    if (good && count > 0) loader->config->receive.signers = dkim_signers_create(signers, count);
    for (size_t i = 0; i < count; i++) {
        if (signers[i].key != NULL) dkim_key_unref(signers[i].key);
    }
    base_free(signers);
}
