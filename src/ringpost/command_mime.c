/* SPDX-License-Identifier: Apache-2.0
 *
 * command_mime - `ringpost mime show`: the parts of a message for people, one of them for programs
 *
 * The message is read whole: what an operator looks at is one file.
 */
#include "command.h"
#include "ringpost/codec/word.h"
#include "ringpost/mime/address.h"
#include "ringpost/mime/body.h"
#include "ringpost/mime/date.h"
#include "ringpost/mime/part.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

enum {
    VALUE_MAX = 1000, /* octets of a decoded field or parameter that are shown */
    ADDRESSES_MAX = 20,
    CHUNK = 64 * 1024,
};

struct view {
    char *data; /* the message */
    size_t len;
    struct mime_tree tree;
};

/* ---- reading the file -------------------------------------------------------------------------
 */

static int complain(const char *path, const char *what)
{
    fprintf(stderr, "ringpost mime: %s: %s\n", path, what);
    return EXIT_BAD;
}

static bool read_all(FILE *file, struct view *view)
{
    size_t cap = CHUNK;
    view->data = base_alloc(cap);
    for (size_t n; (n = fread(view->data + view->len, 1, cap - view->len, file)) > 0;) {
        view->len += n;
        if (view->len == cap) view->data = base_realloc(view->data, cap *= 2);
    }
    return !ferror(file);
}

static int read_file(const char *path, struct view *view)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL) return complain(path, strerror(errno));
    errno = 0;
    const bool good = read_all(file, view);
    const int error = errno;
    if (!standard) fclose(file);
    return good ? EXIT_GOOD : complain(path, strerror(error));
}

static void read_parts(struct view *view)
{
    struct mime_parser *parser = base_alloc(sizeof(*parser));
    char *room = base_alloc(MIME_HEADER_MAX);
    struct mime_part *parts = base_alloc(MIME_PARTS_MAX * sizeof(*parts));
    mime_tree_init(&view->tree, parts, MIME_PARTS_MAX);
    mime_tree_read(&view->tree, parser, (struct bytes){view->data, view->len}, room,
                   MIME_HEADER_MAX);
    base_free(room);
    base_free(parser);
}

static struct bytes range_of(const struct view *view, struct mime_range range)
{
    return mime_range_of((struct bytes){view->data, view->len}, range);
}

/* ---- showing ----------------------------------------------------------------------------------
 */

static bool is_message(const struct view *view, const struct mime_part *part)
{
    return part->index == 0 || view->tree.parts[part->parent].kind == MIME_MESSAGE;
}

static void print_text(const char *text, size_t len)
{
    char line[VALUE_MAX + 1];
    len = MIN(len, (size_t)VALUE_MAX);
    for (size_t i = 0; i < len; i++)
        line[i] = text[i] == '\0' ? '?' : text[i];
    line[len] = '\0';
    print_clean(line);
}

static void indent(uint32_t depth)
{
    printf("%*s", (int)depth * 2, "");
}

static void show_subject(struct bytes body, uint32_t depth)
{
    char value[VALUE_MAX];
    body = bytes_trim(body);
    const size_t len = codec_word_decode(body.data, body.len, value, sizeof(value));
    indent(depth);
    fputs("    Subject: ", stdout);
    print_text(value, MIN(len, sizeof(value)));
    putchar('\n');
}

static void show_address(const struct mime_address *address)
{
    char name[MIME_NAME_MAX], spec[VALUE_MAX];
    struct text text;
    const size_t len = mime_address_name(address, name, sizeof(name));
    text_init(&text, spec, sizeof(spec));
    switch (address->kind) {
    case MIME_ADDRESS_MAILBOX:
        print_text(name, len);
        mime_address_spec(address, &text);
        fputs(len > 0 ? " <" : "", stdout);
        print_text(text.data, text.len);
        fputs(len > 0 ? ">" : "", stdout);
        return;
    case MIME_ADDRESS_GROUP_BEGIN:
        print_text(name, len);
        putchar(':');
        return;
    case MIME_ADDRESS_GROUP_END:
        putchar(';');
        return;
    case MIME_ADDRESS_INVALID:
        print_text(address->whole.data, address->whole.len);
        return;
    }
}

static void show_addresses(const char *title, struct bytes body, uint32_t depth)
{
    struct mime_address_reader reader;
    struct mime_address address;
    bool comma = false;
    indent(depth);
    printf("    %s:", title);
    mime_address_reader_init(&reader, body);
    for (int i = 0; mime_address_next(&reader, &address); i++) {
        if (i == ADDRESSES_MAX) {
            fputs(", ...", stdout);
            break;
        }
        if (address.kind != MIME_ADDRESS_GROUP_END) fputs(comma ? ", " : " ", stdout);
        show_address(&address);
        comma = address.kind != MIME_ADDRESS_GROUP_BEGIN;
    }
    putchar('\n');
}

/* Of a message, the outermost or one inside. */
static void show_header(const struct view *view, const struct mime_part *part)
{
    const struct bytes header = range_of(view, part->header);
    struct mime_field field;
    if (mime_field_find(header, BYTES("Subject"), &field)) show_subject(field.body, part->depth);
    if (mime_field_find(header, BYTES("From"), &field)) {
        show_addresses("From", field.body, part->depth);
    }
    if (mime_field_find(header, BYTES("To"), &field)) {
        show_addresses("To", field.body, part->depth);
    }
}

static struct bytes body_of(struct bytes field)
{
    struct mime_field read;
    return mime_field_next(&field, &read) ? read.body : (struct bytes){NULL, 0};
}

static void show_parameter(const char *before, struct bytes parameters, const char *name)
{
    char value[VALUE_MAX];
    size_t len;
    if (!mime_parameter(parameters, name, value, sizeof(value), &len)) return;
    fputs(before, stdout);
    print_text(value, len);
    if (before[strlen(before) - 1] == '"') putchar('"');
}

static void read_type(const struct view *view, const struct mime_part *part,
                      struct mime_content_type *type)
{
    mime_content_type_read(body_of(range_of(view, part->content_type)), type);
    if (type->given || part->type != MIME_TYPE_MESSAGE) return;
    type->type = BYTES("message"); /* in a digest */
    type->subtype = BYTES("rfc822");
}

static void show_type(const struct view *view, const struct mime_part *part)
{
    struct mime_content_type type;
    struct bytes parameters;
    const struct bytes disposition =
        mime_disposition_read(body_of(range_of(view, part->disposition)), &parameters);
    read_type(view, part, &type);
    print_text(type.type.data, type.type.len);
    putchar('/');
    print_text(type.subtype.data, type.subtype.len);
    if (part->type == MIME_TYPE_TEXT) show_parameter(" ", type.parameters, "charset");
    printf(", %s, %llu octets", mime_encoding_name((enum mime_encoding)part->encoding),
           (unsigned long long)(part->body.end - part->body.begin));
    if (disposition.len > 0) {
        fputs(", ", stdout);
        print_text(disposition.data, disposition.len);
    }
    char name[VALUE_MAX];
    size_t len;
    const bool named = mime_parameter(parameters, "filename", name, sizeof(name), &len);
    show_parameter(" \"", named ? parameters : type.parameters, named ? "filename" : "name");
}

static const struct {
    unsigned flag;
    const char *text;
} phrases[] = {
    {MIME_PART_MBOX_LINE, "\"From \" line before the header"},
    {MIME_PART_HEADER_CUT, "header too long, read in part"},
    {MIME_PART_NO_EMPTY_LINE, "no empty line behind the header"},
    {MIME_PART_REPEATED, "Content field repeated"},
    {MIME_PART_NO_BOUNDARY, "no boundary"},
    {MIME_PART_NO_PARTS, "boundary never comes"},
    {MIME_PART_NOT_CLOSED, "not closed"},
    {MIME_PART_TOO_DEEP, "too deep, not looked into"},
    {MIME_PART_TOO_MANY, "too many parts, not looked into"},
    {MIME_PART_ENCODED, "encoding not allowed for its type"},
    {MIME_PART_IN_SIGNED, "signed"},
};

static void show_flags(const struct mime_part *part)
{
    static const struct {
        unsigned bit;
        const char *text;
    } classes[] = {
        {SCAN_8BIT, "8-bit octets"},
        {SCAN_NUL, "NUL octets"},
        {SCAN_BARE_CR, "bare CR"},
        {SCAN_BARE_LF, "bare LF"},
    };
    const char *before = " [";
    for (size_t i = 0; i < ARRAY_COUNT(phrases); i++) {
        if (!(part->flags & phrases[i].flag)) continue;
        printf("%s%s", before, phrases[i].text);
        before = "; ";
    }
    for (size_t i = 0; i < ARRAY_COUNT(classes); i++) {
        if (!(part->classes & classes[i].bit)) continue;
        printf("%s%s", before, classes[i].text);
        before = "; ";
    }
    if (before[0] == ';') putchar(']');
}

static int show_tree(const struct view *view)
{
    const struct mime_tree *tree = &view->tree;
    for (uint32_t i = 0; i < tree->count; i++) {
        const struct mime_part *part = &tree->parts[i];
        indent(part->depth);
        printf("%u ", i + 1);
        show_type(view, part);
        show_flags(part);
        putchar('\n');
        if (is_message(view, part)) show_header(view, part);
    }
    if (tree->cut) fputs("The message goes beyond a limit: not all of it is shown.\n", stdout);
    return EXIT_GOOD;
}

/* ---- the same for programs --------------------------------------------------------------------
 */

static void set_text(json_t *row, const char *key, struct bytes text)
{
    json_t *value = json_stringn(text.data, text.len);
    if (value != NULL) json_object_set_new(row, key, value);
}

static void set_range(json_t *row, const char *key, struct mime_range range)
{
    json_object_set_new(row, key,
                        json_pack("[II]", (json_int_t)range.begin, (json_int_t)range.end));
}

static void set_parameter(json_t *row, const char *key, struct bytes parameters, const char *name)
{
    char value[VALUE_MAX];
    size_t len;
    if (!mime_parameter(parameters, name, value, sizeof(value), &len)) return;
    set_text(row, key, (struct bytes){value, len});
}

/* Addresses of a group are those of its members, which have its name. */
static json_t *addresses_of(struct bytes body)
{
    json_t *rows = json_array();
    char name[MIME_NAME_MAX], group[MIME_NAME_MAX], spec[VALUE_MAX];
    struct mime_address_reader reader;
    struct mime_address address;
    struct bytes group_name = {NULL, 0};
    mime_address_reader_init(&reader, body);
    while (mime_address_next(&reader, &address)) {
        if (address.kind == MIME_ADDRESS_GROUP_BEGIN) {
            group_name = (struct bytes){group, mime_address_name(&address, group, sizeof(group))};
        } else if (address.kind == MIME_ADDRESS_GROUP_END) {
            group_name = (struct bytes){NULL, 0};
        } else {
            json_t *row = json_object();
            struct text text;
            const struct bytes plain = {name, mime_address_name(&address, name, sizeof(name))};
            const bool valid = address.kind == MIME_ADDRESS_MAILBOX;
            text_init(&text, spec, sizeof(spec));
            if (valid) mime_address_spec(&address, &text);
            if (valid && plain.len > 0) set_text(row, "name", plain);
            set_text(row, valid ? "address" : "invalid", valid ? text_bytes(&text) : address.whole);
            if (group_name.len > 0) set_text(row, "group", group_name);
            json_array_append_new(rows, row);
        }
    }
    return rows;
}

static void set_header(json_t *row, struct bytes header)
{
    static const struct {
        const char *field, *key;
    } lists[] = {{"From", "from"}, {"To", "to"}, {"Cc", "cc"}};
    struct mime_field field;
    char value[VALUE_MAX];
    if (mime_field_find(header, BYTES("Subject"), &field)) {
        const struct bytes body = bytes_trim(field.body);
        const size_t len = codec_word_decode(body.data, body.len, value, sizeof(value));
        set_text(row, "subject", (struct bytes){value, MIN(len, sizeof(value))});
    }
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (!mime_field_find(header, bytes_of(lists[i].field), &field)) continue;
        json_object_set_new(row, lists[i].key, addresses_of(field.body));
    }
    struct mime_date date;
    if (mime_field_find(header, BYTES("Date"), &field) && mime_date_read(field.body, &date)) {
        json_object_set_new(row, "date", json_integer(date.time / 1000));
        json_object_set_new(row, "zone", json_integer(date.zone));
    }
}

static json_t *row_of(const struct view *view, const struct mime_part *part)
{
    struct mime_content_type type;
    struct bytes parameters;
    char name[2 * MIME_TOKEN_MAX + 2];
    struct text text;
    const struct bytes disposition =
        mime_disposition_read(body_of(range_of(view, part->disposition)), &parameters);
    read_type(view, part, &type);
    text_init(&text, name, sizeof(name));
    text_put(&text, type.type);
    text_put(&text, BYTES("/"));
    text_put(&text, type.subtype);
    json_t *row = json_pack("{si,si}", "number", (int)part->index + 1, "depth", (int)part->depth);
    if (part->parent != MIME_NO_PARENT) {
        json_object_set_new(row, "parent", json_integer((json_int_t)part->parent + 1));
    }
    set_text(row, "type", text_bytes(&text));
    set_text(row, "encoding", bytes_of(mime_encoding_name((enum mime_encoding)part->encoding)));
    set_parameter(row, "charset", type.parameters, "charset");
    if (disposition.len > 0) set_text(row, "disposition", disposition);
    set_parameter(row, "filename", parameters, "filename");
    set_parameter(row, "name", type.parameters, "name");
    set_range(row, "header", part->header);
    set_range(row, "body", part->body);
    if (is_message(view, part)) set_header(row, range_of(view, part->header));
    return row;
}

static int show_json(const struct view *view)
{
    for (uint32_t i = 0; i < view->tree.count; i++) {
        const struct mime_part *part = &view->tree.parts[i];
        json_t *row = row_of(view, part), *flags = json_array();
        for (size_t f = 0; f < ARRAY_COUNT(phrases); f++) {
            if (part->flags & phrases[f].flag) {
                json_array_append_new(flags, json_string(phrases[f].text));
            }
        }
        json_object_set_new(row, "flags", flags);
        json_dumpf(row, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(row);
    }
    return EXIT_GOOD;
}

/* ---- one part ---------------------------------------------------------------------------------
 */

static int write_part(const struct view *view, uint64_t number)
{
    char out[CHUNK];
    struct mime_body body;
    const struct mime_part *part = &view->tree.parts[number - 1];
    struct bytes rest = range_of(view, part->body);
    const uint8_t encoding = part->kind == MIME_LEAF ? part->encoding : (uint8_t)MIME_BINARY;
    mime_body_init(&body, (enum mime_encoding)encoding);
    while (rest.len > 0) {
        const struct codec_progress progress =
            mime_body_feed(&body, rest.data, rest.len, out, sizeof(out));
        rest = bytes_skip(rest, progress.taken);
        fwrite(out, 1, progress.written, stdout);
    }
    fwrite(out, 1, mime_body_finish(&body, out), stdout);
    return EXIT_GOOD;
}

/* ---- the command ------------------------------------------------------------------------------
 */

static int show(const char *path, uint64_t number, bool json)
{
    struct view view = {0};
    int status = read_file(path, &view);
    if (status == EXIT_GOOD) {
        read_parts(&view);
        if (number > view.tree.count) {
            status = complain(path, "it has no part of that number");
        } else {
            status = number > 0 ? write_part(&view, number)
                     : json     ? show_json(&view)
                                : show_tree(&view);
        }
    }
    base_free(view.tree.parts);
    base_free(view.data);
    return status;
}

static int run_mime(const struct command *command, int argc, char **argv)
{
    static const struct option known[] = {
        {"part", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t number = 0;
    bool json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        switch (c) {
        case 'h':
            fputs(command->help, stdout);
            return EXIT_GOOD;
        case 'p':
            if (!bytes_to_u64(bytes_of(optarg), MIME_PARTS_MAX, &number) || number == 0) {
                return command_misused(command, "--part is the number of a part");
            }
            break;
        case 'j':
            json = true;
            break;
        case ':':
            return command_misused(command, "%s needs a value", argv[optind - 1]);
        default:
            return command_misused(command, "unknown option %s", argv[optind - 1]);
        }
    }
    if (argc - optind != 2 || strcmp(argv[optind], "show") != 0) {
        return command_misused(command, "say: show FILE");
    }
    return show(argv[optind + 1], number, json);
}

const struct command command_mime = {
    .name = "mime",
    .summary = "shows what a message is made of",
    .help = "usage: ringpost mime show [--json] FILE    the parts of a message\n"
            "       ringpost mime show --part N FILE    the decoded body of part N\n\n"
            "FILE is a message as it is sent or stored; \"-\" is standard input. Parts are\n"
            "numbered in the order in which they begin; 1 is the message itself.\n",
    .run = run_mime,
};
