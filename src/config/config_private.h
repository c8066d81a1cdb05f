/* SPDX-License-Identifier: Apache-2.0
 *
 * config_private - what the files of config share
 */
#pragma once
#include "ringpost/config.h"
#include "ringpost/dkim.h"

/* ---- source: comments, strings and braces ---------------------------------------------------- */

struct config_source_error {
    uint32_t line;
    const char *message;
};
/* Blanks comments in place; false when a string, comment or block is left open. */
MUST_USE bool config_source_clean(char *text, size_t len, struct config_source_error *error);

/* Blocks "dkim" may have equal titles, which the parser cannot keep apart: each gets a number at
 * the end of its title, behind CONFIG_TITLE_END. The copy is to be freed. */
enum { CONFIG_TITLE_END = 1 };
char *config_source_number(const char *text);

/* ---- values: NULL, or what is wrong ("is not a size: ...") ----------------------------------- */

const char *config_parse_size(struct bytes text, uint64_t *size);
const char *config_parse_duration(struct bytes text, duration *span);
const char *config_parse_bool(struct bytes text, bool *value);
const char *config_parse_milli(struct bytes text, uint64_t *milli);
void config_print_size(uint64_t size, struct text *out);
void config_print_duration(duration span, struct text *out);
/* Could typed be a slip of the pen for name? */
bool config_is_near(struct bytes typed, struct bytes name, size_t *distance);

/* ---- settings: the tables -------------------------------------------------------------------- */

enum setting_kind {
    SETTING_TEXT = 0,  /* char[size] */
    SETTING_HOST,      /* char[size]: a host name */
    SETTING_BYTES,     /* struct bytes, kept in the configuration's memory */
    SETTING_BOOL,      /* bool */
    SETTING_COUNT,     /* unsigned integer of `size` octets, like the next ones */
    SETTING_SIZE,      /* octets */
    SETTING_DURATION,  /* in `unit` nanoseconds */
    SETTING_RATE,      /* so many a second; stored as the duration between two, 0 = no limit */
    SETTING_WORD,      /* index in words */
    SETTING_IPV4,      /* struct address */
    SETTING_IPV6,      /* struct address */
    SETTING_ADDRESSES, /* list of struct address with port (unit = the default port) */
    SETTING_NETWORKS,  /* list of struct address */
    SETTING_NAMES,     /* list of struct bytes */
    SETTING_DURATIONS, /* list of unsigned integers within the struct, in `unit` nanoseconds */
};
struct setting {
    const char *name;
    uint8_t kind;             /* enum setting_kind */
    uint16_t offset, size;    /* of the field; of an item where it is a list */
    uint16_t count_offset;    /* of the list's length ... */
    uint16_t count_size;      /* ... an unsigned integer */
    uint16_t items_max;       /* of a list within the struct */
    uint64_t unit;            /* nanoseconds, or a port */
    uint64_t min, max;        /* in what the field holds; max 0 = whatever fits */
    const char *const *words; /* NULL at the end */
};
struct block {
    const char *name;  /* NULL: top level */
    const char *title; /* what the title is, in words; NULL: no title, at most one such block */
    const struct setting *settings;
    size_t count;
};
enum block_id {
    BLOCK_TOP = 0,
    BLOCK_LOG,
    BLOCK_ACCOUNT,
    BLOCK_SPOOL,
    BLOCK_DNS,
    BLOCK_AUTH,
    BLOCK_DELIVERY, /* the last one without a title */
    BLOCK_LISTENER,
    BLOCK_SOURCE,
    BLOCK_SITE,
    BLOCK_ROUTE,
    BLOCK_DKIM,
    BLOCK_COUNT,
};
extern const struct block config_blocks[BLOCK_COUNT];

/* Blocks whose settings need a word more before they become options (see build.c). */
struct config_site {
    struct queue_site_options options;
    uint32_t command_timeout_s;
    char source[QUEUE_LABEL_MAX + 1];
    struct queue_tls tls;
    const struct bytes *tls_names;
    uint32_t tls_name_count;
    struct config_tls_files { /* what sites have to agree in to share a client */
        struct bytes trust, certificate, key, ciphers, ciphersuites;
        uint8_t min_version;
    } tls_files;
};
enum config_tls { CONFIG_TLS_NONE = 0, CONFIG_TLS_STARTTLS, CONFIG_TLS_IMPLICIT };
struct config_listener {
    struct receive_listener_options options;
    uint8_t tls; /* enum config_tls */
    uint8_t min_version;
    const struct bytes *certificates, *keys, *auth;
    uint32_t certificate_count, key_count, auth_count;
    struct bytes ciphers, ciphersuites, client_trust;
};
struct config_route {
    const struct bytes *to;
    uint32_t to_count;
    uint8_t tls; /* 1: implicit */
    bool auth_clear;
    struct bytes user, password, password_file;
};

struct config_dkim {
    char selector[CONFIG_NAME_MAX];
    char key[CONFIG_PATH_MAX];
    uint8_t canonicalization; /* of the header, times two, and of the body */
    const struct bytes *headers, *oversign;
    size_t header_count, oversign_count;
    uint32_t expire_s;
    bool all, subdomains;
};
struct loader;
/* ---- the files that the configuration names (files.c) -----------------------------------------
 */

struct config_files {
    const char *name; /* of the configuration, in messages */
    uint32_t users_line;
    struct auth_users *users;
    struct config_listener_files { /* as in receive_options */
        struct receive_listener_options *options;
        uint32_t certificate_line, client_trust_line, ciphers_line, ciphersuites_line, auth_line;
        struct tls_server_options tls; /* no certificates: no TLS */
    } * listeners;
    struct config_client { /* TLS with receivers; one for all sites that agree in its files */
        struct config_client *next;
        struct config_client_user *users;
        struct config_tls_files files;
        uint32_t line;
        struct tls_client *tls;
    } * clients;
    struct config_password { /* of a route */
        struct config_password *next;
        struct queue_route *route;
        struct bytes path;
        uint32_t line;
    } * passwords;
    struct config_signer {         /* of a block "dkim" */
        struct dkim_signer signer; /* without its key */
        const char *path;
        uint32_t line; /* of the setting "key" */
    } * signers;
    size_t signer_count;
};
void config_free_files(struct config *config); /* what was read */
void config_read_keys(struct loader *loader);  /* dkim.c: DKIM's */

/* ---- loading --------------------------------------------------------------------------------- */

struct loader {
    struct config *config;
    const char *file;
    const struct config_report *report;
    const char *system_hostname;
    uint32_t errors;
};
void config_error(struct loader *loader, uint32_t line, const char *format, ...) PRINTF_LIKE(3, 4);
void config_warn(struct loader *loader, uint32_t line, const char *format, ...) PRINTF_LIKE(3, 4);
/* Zeroed memory that lives as long as the configuration. */
void *config_keep(struct config *config, size_t size);
struct bytes config_keep_bytes(struct config *config, struct bytes bytes);

/* One value of a setting as it stands in the file. */
struct config_word {
    uint32_t line;
    struct bytes text;
};
enum { CONFIG_WORD_MAX = 4096, CONFIG_WORDS_MAX = 4096 };
/* Stores a setting into the struct at target; count is 1 unless the kind is a list, which may be
 * empty (words[0] then has a line only). */
void config_store(struct loader *loader, const struct setting *setting,
                  const struct config_word *words, size_t count, void *target);
MUST_USE bool config_is_host(struct bytes name); /* letters, digits, '-', '.'; or a literal */

/* ---- the parsed file (load.c, the only file that knows the parser) --------------------------- */

struct parsed; /* one block */
size_t parsed_count(const struct parsed *top, enum block_id id);
const struct parsed *parsed_block(const struct parsed *top, enum block_id id, size_t index);
struct bytes parsed_title(const struct parsed *block);
uint32_t parsed_line(const struct parsed *block); /* where it begins or, if empty, ends */
/* Line of a setting; 0 when it was not set. */
uint32_t parsed_line_of(const struct parsed *block, const char *setting);
/* Stores all settings that were set. */
void parsed_store(struct loader *loader, const struct parsed *block, enum block_id id,
                  void *target);

/* ---- with other servers: build_peer.c -------------------------------------------------------- */

/* From the words of a site to its TLS; block: NULL when there is none. */
void config_build_tls(struct loader *loader, const struct parsed *block, struct config_site *site);
/* The client is to be put there when the files are read. */
void config_want_client(struct loader *loader, const struct parsed *block,
                        const struct config_tls_files *files, struct queue_tls *tls);
void config_build_login(struct loader *loader, const struct parsed *block,
                        const struct config_route *words, struct queue_route *route);
/* With files.c. */
void config_warn_dates(struct loader *loader, uint32_t line,
                       const struct tls_certificate_info *info, wall_ms now);
void config_read_peer_files(struct loader *loader, wall_ms now);
void config_free_clients(struct config *config);

/* ---- from the parsed file to the snapshot ---------------------------------------------------- */

void config_build(struct loader *loader, const struct parsed *top);      /* build.c */
void config_build_dkim(struct loader *loader, const struct parsed *top); /* dkim.c */
void config_check(struct loader *loader, const struct parsed *top);      /* check.c */
