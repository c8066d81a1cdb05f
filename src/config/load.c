/* SPDX-License-Identifier: Apache-2.0
 *
 * load - the file through libconfuse
 *
 * To libconfuse every setting is a string or a list of strings; what they mean is decided behind
 * it by our tables, so that every message has the same form and the line of the very value. Each
 * value is kept as "line text". The parser has global state: one load at a time.
 */
#include "config_private.h"
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- messages -------------------------------------------------------------------------------- */

static void report(struct loader *loader, bool error, uint32_t line, const char *message)
{
    char text[CONFIG_PATH_MAX + 1024];
    const char *kind = error ? "" : "warning: ";
    if (line > 0) {
        snprintf(text, sizeof(text), "%s:%u: %s%s", loader->file, line, kind, message);
    } else {
        snprintf(text, sizeof(text), "%s: %s%s", loader->file, kind, message);
    }
    loader->errors += error;
    loader->report->message(loader->report->context, error, text);
}

void config_error(struct loader *loader, uint32_t line, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    report(loader, true, line, message);
}

void config_warn(struct loader *loader, uint32_t line, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    report(loader, false, line, message);
}

/* ---- misspelt names -------------------------------------------------------------------------- */

static const struct block *find_block(const char *name)
{
    for (size_t i = 1; i < BLOCK_COUNT; i++) {
        if (strcmp(config_blocks[i].name, name) == 0) return &config_blocks[i];
    }
    return &config_blocks[BLOCK_TOP]; /* the parser calls it "root" */
}

static const char *nearest(const struct block *block, struct bytes typed)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX, distance;
    for (size_t i = 0; i < block->count; i++) {
        const char *name = block->settings[i].name;
        if (!config_is_near(typed, bytes_of(name), &distance) || distance >= best_distance)
            continue;
        best_distance = distance;
        best = name;
    }
    for (size_t i = 1; block->name == NULL && i < BLOCK_COUNT; i++) {
        const char *name = config_blocks[i].name;
        if (!config_is_near(typed, bytes_of(name), &distance) || distance >= best_distance)
            continue;
        best_distance = distance;
        best = name;
    }
    return best;
}

/* The block where a setting of just this name belongs. */
static const char *home_of(const char *name)
{
    for (size_t i = 0; i < BLOCK_COUNT; i++) {
        for (size_t k = 0; k < config_blocks[i].count; k++) {
            if (strcmp(config_blocks[i].settings[k].name, name) != 0) continue;
            return i == BLOCK_TOP ? "the top level" : config_blocks[i].name;
        }
    }
    return NULL;
}

static void unknown_name(struct loader *loader, uint32_t line, const char *block_name,
                         const char *name)
{
    const struct block *block = find_block(block_name);
    const char *near = nearest(block, bytes_of(name)), *home = home_of(name);
    const char *where = block->name == NULL ? "at the top level" : block->name;
    const char *in = block->name == NULL ? "" : "in ";
    if (near != NULL) {
        config_error(loader, line, "unknown setting \"%.100s\" %s%s: did you mean \"%s\"?", name,
                     in, where, near);
    } else if (home != NULL) {
        config_error(loader, line, "unknown setting \"%.100s\" %s%s: it belongs to %s", name, in,
                     where, home);
    } else {
        config_error(loader, line, "unknown setting \"%.100s\" %s%s", name, in, where);
    }
}

/* ---- callbacks of the parser ----------------------------------------------------------------- */

static _Thread_local struct loader *parsing; /* the callbacks have no context of their own */

static void PRINTF_LIKE(2, 0) on_parser_error(cfg_t *cfg, const char *format, va_list args)
{
    char message[512];
    const uint32_t line = (uint32_t)cfg->line;
    if (strcmp(format, "no such option '%s'") == 0) {
        unknown_name(parsing, line, cfg->name, va_arg(args, const char *));
        return;
    }
    vsnprintf(message, sizeof(message), format, args);
    config_error(parsing, line, "%s", message);
}

/* The line of the first value lies in a field of the option that strings do not use. */
static uint32_t line_of(const cfg_opt_t *option)
{
    return (uint32_t)option->def.number;
}

static _Thread_local char value_kept[CONFIG_WORD_MAX + 16]; /* the parser copies it */

static int on_value(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    const bool again = line_of(option) != 0 && cfg_opt_size(option) == 1;
    if (again) {
        config_error(parsing, (uint32_t)cfg->line, "%s is set twice (first in line %u)",
                     option->name, line_of(option));
    }
    if (strlen(value) > CONFIG_WORD_MAX) {
        config_error(parsing, (uint32_t)cfg->line, "%s: the value is too long", option->name);
        value = "";
    }
    if (cfg_opt_size(option) == CONFIG_WORDS_MAX) {
        config_error(parsing, (uint32_t)cfg->line, "%s: too many values", option->name);
        return -1;
    }
    if (line_of(option) == 0) option->def.number = cfg->line;
    snprintf(value_kept, sizeof(value_kept), "%d %s", cfg->line, value);
    *(const char **)result = value_kept;
    return 0;
}

/* ---- tables for the parser ------------------------------------------------------------------- */

static bool is_list(const struct setting *setting)
{
    return setting->kind >= SETTING_ADDRESSES;
}

static cfg_opt_t *make_options(const struct block *block, size_t extra)
{
    cfg_opt_t *options = base_alloc((block->count + extra + 1) * sizeof(*options));
    for (size_t i = 0; i < block->count; i++) {
        const struct setting *setting = &block->settings[i];
        const cfg_flag_t flags = CFGF_NODEFAULT | (is_list(setting) ? CFGF_LIST : CFGF_NONE);
        options[i] = (cfg_opt_t)CFG_STR_CB(setting->name, NULL, flags, on_value);
    }
    options[block->count + extra] = (cfg_opt_t)CFG_END();
    return options;
}

static cfg_t *make_parser(cfg_opt_t *lists[BLOCK_COUNT])
{
    const struct block *top = &config_blocks[BLOCK_TOP];
    for (size_t i = 1; i < BLOCK_COUNT; i++) {
        lists[i] = make_options(&config_blocks[i], 0);
    }
    lists[BLOCK_TOP] = make_options(top, BLOCK_COUNT - 1);
    for (size_t i = 1; i < BLOCK_COUNT; i++) {
        const cfg_flag_t titled = CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES;
        lists[BLOCK_TOP][top->count + i - 1] = (cfg_opt_t)CFG_SEC(
            config_blocks[i].name, lists[i], config_blocks[i].title ? titled : CFGF_NONE);
    }
    cfg_t *parser = cfg_init(lists[BLOCK_TOP], CFGF_NONE);
    ASSERT(parser != NULL);
    cfg_set_error_function(parser, on_parser_error);
    return parser;
}

/* ---- the parsed file ------------------------------------------------------------------------- */

/* struct parsed is defined nowhere: it is the parser's cfg_t under our name. */
static cfg_t *cfg_of(const struct parsed *block)
{
    return (cfg_t *)(uintptr_t)block; /* the parser's getters take no const */
}

size_t parsed_count(const struct parsed *top, enum block_id id)
{
    return cfg_size(cfg_of(top), config_blocks[id].name);
}

const struct parsed *parsed_block(const struct parsed *top, enum block_id id, size_t index)
{
    return (const struct parsed *)cfg_getnsec(cfg_of(top), config_blocks[id].name, (unsigned)index);
}

struct bytes parsed_title(const struct parsed *block)
{
    const char *title = cfg_title(cfg_of(block));
    const char *end = strrchr(title, CONFIG_TITLE_END);
    return (struct bytes){title, end ? (size_t)(end - title) : strlen(title)};
}

uint32_t parsed_line_of(const struct parsed *block, const char *setting)
{
    const cfg_opt_t *option = cfg_getopt(cfg_of(block), setting);
    ASSERT(option != NULL);
    return line_of(option);
}

uint32_t parsed_line(const struct parsed *block)
{
    const cfg_opt_t *options = cfg_of(block)->opts;
    uint32_t first = (uint32_t)cfg_of(block)->line; /* of its closing brace */
    for (size_t i = 0; options[i].name != NULL; i++) {
        if (line_of(&options[i]) > 0) first = MIN(first, line_of(&options[i]));
    }
    return first;
}

static struct config_word split_word(const char *kept)
{
    char *end;
    const unsigned long line = strtoul(kept, &end, 10);
    return (struct config_word){(uint32_t)line, bytes_of(end + 1)};
}

void parsed_store(struct loader *loader, const struct parsed *block, enum block_id id, void *target)
{
    for (size_t i = 0; i < config_blocks[id].count; i++) {
        const struct setting *setting = &config_blocks[id].settings[i];
        cfg_opt_t *option = cfg_getopt(cfg_of(block), setting->name);
        const size_t count = cfg_opt_size(option);
        if ((option->flags & CFGF_MODIFIED) == 0) continue;
        struct config_word *words = base_alloc((count + 1) * sizeof(*words));
        words[0].line = parsed_line(block); /* for an empty list */
        for (size_t k = 0; k < count; k++) {
            words[k] = split_word(cfg_opt_getnstr(option, (unsigned)k));
        }
        if (count > 0 || is_list(setting)) config_store(loader, setting, words, count, target);
        base_free(words);
    }
}

/* ---- passwords ---------------------------------------------------------------------------------
 *
 * The parser's own copies of values are wiped here. What its scanner has put together is beyond our
 * reach: who wants no trace of a password in memory keeps it in a file of its own.
 */

static void wipe_values(cfg_opt_t *option)
{
    for (unsigned i = 0; i < cfg_opt_size(option); i++) {
        char *value = cfg_opt_getnstr(option, i);
        if (value != NULL) explicit_bzero(value, strlen(value));
    }
}

static void wipe_passwords(cfg_t *parser)
{
    const char *block = config_blocks[BLOCK_ROUTE].name;
    for (unsigned i = 0; i < cfg_size(parser, block); i++)
        wipe_values(cfg_getopt(cfg_getnsec(parser, block, i), "password"));
    explicit_bzero(value_kept, sizeof(value_kept));
}

/* ---- the way through it all ------------------------------------------------------------------ */

static void load_clean(struct loader *loader, const char *text)
{
    cfg_opt_t *lists[BLOCK_COUNT];
    cfg_t *parser = make_parser(lists);
    parsing = loader;
    const int result = cfg_parse_buf(parser, text);
    parsing = NULL;
    if (result != CFG_SUCCESS && loader->errors == 0) {
        config_error(loader, (uint32_t)parser->line, "syntax error");
    }
    /* Also after an error: what stands before it may have more of them. */
    config_build(loader, (const struct parsed *)parser);
    if (loader->errors == 0) config_check(loader, (const struct parsed *)parser);
    wipe_passwords(parser);
    cfg_free(parser);
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        base_free(lists[i]);
}

struct config *config_parse(struct bytes text, const char *name, const char *hostname,
                            const struct config_report *report)
{
    struct config *config = base_alloc(sizeof(*config));
    struct loader loader = {
        .config = config, .file = name, .report = report, .system_hostname = hostname};
    struct config_source_error error;
    char *copy = base_alloc(text.len + 1);
    if (text.len > 0) memcpy(copy, text.data, text.len);
    if (config_source_clean(copy, text.len, &error)) {
        char *numbered = config_source_number(copy);
        load_clean(&loader, numbered);
        base_free_secret(numbered, strlen(numbered));
    } else {
        config_error(&loader, error.line, "%s", error.message);
    }
    base_free_secret(copy, text.len);
    if (loader.errors > 0) config_free(&config);
    return config;
}

/* All of the file, or more than it may have. Passwords may be in it: what is outgrown is wiped. */
static char *read_text(FILE *file, size_t *len)
{
    size_t cap = 64 * 1024;
    char *text = base_alloc(cap);
    *len = 0;
    for (size_t got; *len <= CONFIG_FILE_MAX; *len += got) {
        if (*len == cap) {
            char *larger = base_alloc(2 * cap);
            memcpy(larger, text, *len);
            base_free_secret(text, *len);
            text = larger;
            cap *= 2;
        }
        got = fread(text + *len, 1, cap - *len, file);
        if (got == 0) break;
    }
    return text;
}

struct config *config_load(const char *path, const char *hostname,
                           const struct config_report *report)
{
    struct loader loader = {.file = path, .report = report};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        config_error(&loader, 0, "%s", strerror(errno));
        return NULL;
    }
    setvbuf(file, NULL, _IONBF, 0); /* passwords may be in it */
    size_t len;
    char *text = read_text(file, &len);
    const bool failed = ferror(file) != 0;
    const int cause = errno;
    fclose(file);
    struct config *config = NULL;
    if (failed) {
        config_error(&loader, 0, "%s", strerror(cause));
    } else if (len > CONFIG_FILE_MAX) {
        config_error(&loader, 0, "larger than 16M: this is no configuration file");
    } else {
        config = config_parse((struct bytes){text, len}, path, hostname, report);
    }
    base_free_secret(text, len);
    return config;
}
