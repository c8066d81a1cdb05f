/* SPDX-License-Identifier: Apache-2.0
 *
 * source - the text of a configuration file before the parser sees it
 *
 * libconfuse takes a file that ends inside a block or a comment for whole, so a file that was cut
 * while it was written would pass; and its code for comments writes past its buffer. So comments
 * are blanked here (line numbers stay), and what is left open is an error at the line where it
 * was opened.
 */
#include "config_private.h"

enum { DEPTH_MAX = 8 };

struct scanner {
    char *text;
    size_t len, at;
    uint32_t line;
    uint32_t depth, opened[DEPTH_MAX]; /* lines */
    struct config_source_error *error;
};

static bool fail(struct scanner *scanner, uint32_t line, const char *message)
{
    scanner->error->line = line;
    scanner->error->message = message;
    return false;
}

static bool starts(const struct scanner *scanner, const char *what)
{
    const size_t len = strlen(what);
    return scanner->len - scanner->at >= len && memcmp(scanner->text + scanner->at, what, len) == 0;
}

static void blank(struct scanner *scanner)
{
    if (scanner->text[scanner->at] == '\n') {
        scanner->line += 1;
    } else {
        scanner->text[scanner->at] = ' ';
    }
    scanner->at += 1;
}

static void blank_line(struct scanner *scanner)
{
    while (scanner->at < scanner->len && scanner->text[scanner->at] != '\n')
        blank(scanner);
}

static bool blank_comment(struct scanner *scanner)
{
    const uint32_t opened = scanner->line;
    blank(scanner);
    blank(scanner);
    while (!starts(scanner, "*/")) {
        if (scanner->at == scanner->len) return fail(scanner, opened, "this comment has no end");
        blank(scanner);
    }
    blank(scanner);
    blank(scanner);
    return true;
}

/* "${NAME}", an environment variable: it ends before the quote and the line do. */
static bool skip_variable(struct scanner *scanner)
{
    while (scanner->at < scanner->len && scanner->text[scanner->at] != '}') {
        const char c = scanner->text[scanner->at];
        if (c == '"' || c == '\'' || c == '\n') break;
        scanner->at += 1;
    }
    if (scanner->at == scanner->len || scanner->text[scanner->at] != '}') {
        return fail(scanner, scanner->line, "'${' without a '}'");
    }
    scanner->at += 1;
    return true;
}

static bool skip_string(struct scanner *scanner)
{
    const uint32_t opened = scanner->line;
    const char quote = scanner->text[scanner->at++];
    while (scanner->at < scanner->len && scanner->text[scanner->at] != quote) {
        if (quote == '"' && starts(scanner, "${")) {
            if (!skip_variable(scanner)) return false;
            continue;
        }
        if (scanner->text[scanner->at] == '\\') scanner->at += 1;
        if (scanner->at < scanner->len && scanner->text[scanner->at] == '\n') {
            return fail(scanner, opened, "this string has no closing quote on its line");
        }
        scanner->at += 1;
    }
    if (scanner->at >= scanner->len) return fail(scanner, opened, "this string has no end");
    scanner->at += 1;
    return true;
}

static bool step(struct scanner *scanner)
{
    const char c = scanner->text[scanner->at];
    if (c == '"' || c == '\'') return skip_string(scanner);
    if (starts(scanner, "${")) return skip_variable(scanner);
    if (starts(scanner, "/*")) return blank_comment(scanner);
    if (c == ';') return blank(scanner), true; /* who comes from nginx writes them */
    if (c == '#' || starts(scanner, "//")) return blank_line(scanner), true;
    if (c == '{') {
        if (scanner->depth == DEPTH_MAX) return fail(scanner, scanner->line, "too many braces");
        scanner->opened[scanner->depth++] = scanner->line;
    } else if (c == '}') {
        if (scanner->depth == 0) return fail(scanner, scanner->line, "'}' without a '{' before it");
        scanner->depth -= 1;
    } else if (c == '(' || c == ')' || c == '|') {
        return fail(scanner, scanner->line, "put values with (, ) or | into quotes");
    } else if (c == '\n') {
        scanner->line += 1;
    }
    scanner->at += 1;
    return true;
}

bool config_source_clean(char *text, size_t len, struct config_source_error *error)
{
    struct scanner scanner = {.text = text, .len = len, .line = 1, .error = error};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) memset(text, ' ', 3); /* from Windows */
    if (memchr(text, 0, len) != NULL) return fail(&scanner, 1, "there are NUL octets in this file");
    while (scanner.at < len) {
        if (!step(&scanner)) return false;
    }
    if (scanner.depth > 0) {
        return fail(&scanner, scanner.opened[scanner.depth - 1], "this '{' is never closed");
    }
    return true;
}

/* ---- titles that may be the same --------------------------------------------------------------
 */

/* Behind a word at the top level: the octets up to and with the opening quote of its title. */
static size_t title_start(const char *text)
{
    const size_t blanks = strspn(text, " \t\r\n");
    return text[blanks] == '"' || text[blanks] == '\'' ? blanks + 1 : 0;
}

char *config_source_number(const char *text)
{
    enum { NUMBER_MAX = 12 };
    const size_t len = strlen(text);
    size_t most = 0;
    for (const char *at = text; (at = strstr(at, "dkim")) != NULL; at += 4)
        most += 1;
    char *numbered = base_alloc(len + most * NUMBER_MAX + 1);
    struct text out;
    struct scanner scanner = {.text = (char *)(uintptr_t)text, .len = len};
    struct config_source_error error;
    unsigned count = 0;
    text_init(&out, numbered, len + most * NUMBER_MAX + 1);
    scanner.error = &error;
    while (scanner.at < len) {
        const size_t from = scanner.at;
        const bool word = scanner.depth == 0 && starts(&scanner, "dkim") &&
                          (from == 0 || strchr(" \t\r\n}", text[from - 1]) != NULL);
        const size_t start = word ? title_start(text + from + 4) : 0;
        scanner.at += start > 0 ? 4 + start - 1 : 0;
        if (!step(&scanner)) break;
        text_put(&out, (struct bytes){text + from, scanner.at - from - (start > 0)});
        if (start == 0) continue;
        text_printf(&out, "%c%u", CONFIG_TITLE_END, count++);
        text_put(&out, (struct bytes){text + scanner.at - 1, 1});
    }
    ASSERT(!out.cut);
    return numbered;
}
