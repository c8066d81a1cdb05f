/* SPDX-License-Identifier: Apache-2.0
 *
 * send_input - the words of the command line become mailboxes, fields and parts
 */
#include "send.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int send_complain(int status, const char *format, ...)
{
    va_list args;
    fputs("ringpost send: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

int send_explain(enum mime_build_result result, struct bytes culprit)
{
    enum { SHOWN_MAX = 80 };
    char shown[SHOWN_MAX + 1];
    const size_t len = MIN(culprit.len, SHOWN_MAX);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)culprit.data[i];
        shown[i] = c < 32 || c == 127 ? '?' : (char)c;
    }
    shown[len] = '\0';
    if (len == 0) return send_complain(EX_DATAERR, "%s", mime_build_explain(result));
    return send_complain(EX_DATAERR, "%s: %s", shown, mime_build_explain(result));
}

void *send_list_add(struct send_list *list, size_t size)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 8;
        list->items = base_realloc(list->items, list->cap * size);
    }
    void *item = (char *)list->items + list->count++ * size;
    memset(item, 0, size);
    return item;
}

/* Freed with the input. */
static void *own(struct send_input *input, void *memory)
{
    void **slot = send_list_add(&input->owned, sizeof(*slot));
    return *slot = memory;
}

void send_input_deinit(struct send_input *input)
{
    struct send_list *const lists[] = {&input->from,     &input->to,    &input->cc,
                                       &input->bcc,      &input->extra, &input->images,
                                       &input->reply_to, &input->owned, &input->attachments};
    void *const *owned = input->owned.items;
    for (size_t i = 0; i < input->owned.count; i++)
        base_free(owned[i]);
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        base_free(lists[i]->items);
    *input = (struct send_input){0};
}

/* ---- mailboxes and fields -------------------------------------------------------------------- */

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 32 || *text == 127) return true;
    }
    return false;
}

static void keep_mailbox(struct send_input *input, struct send_list *list,
                         const struct mime_address *address)
{
    struct mime_mailbox *mailbox = send_list_add(list, sizeof(*mailbox));
    char *name = own(input, base_alloc(MIME_NAME_MAX));
    const size_t cap = address->whole.len + 4; /* the quotes that may be missing */
    struct text spec;
    text_init(&spec, own(input, base_alloc(cap)), cap);
    mime_address_spec(address, &spec);
    mailbox->name = (struct bytes){name, mime_address_name(address, name, MIME_NAME_MAX)};
    mailbox->address = text_bytes(&spec);
}

/* The builder looks at the addresses once more, as stricter SMTP has them. */
int send_add_mailboxes(struct send_input *input, struct send_list *list, const char *text)
{
    struct mime_address_reader reader;
    struct mime_address address;
    const size_t before = list->count;
    if (has_control(text)) return send_complain(EX_DATAERR, "an address has control characters");
    mime_address_reader_init(&reader, bytes_of(text));
    while (mime_address_next(&reader, &address)) {
        if (address.kind != MIME_ADDRESS_MAILBOX) {
            return send_complain(EX_DATAERR, "%s: not an address", text);
        }
        keep_mailbox(input, list, &address);
    }
    if (list->count > before) return EX_OK;
    return send_complain(EX_DATAERR, "an address is empty");
}

int send_add_header(struct send_input *input, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL) return send_complain(EX_USAGE, "--header is \"Name: value\"");
    struct mime_extra *extra = send_list_add(&input->extra, sizeof(*extra));
    extra->name = (struct bytes){text, (size_t)(colon - text)};
    extra->body = bytes_of(colon + 1);
    while (extra->body.len > 0 && (extra->body.data[0] == ' ' || extra->body.data[0] == '\t'))
        extra->body = bytes_skip(extra->body, 1);
    return EX_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int read_all(struct send_input *input, int fd, const char *path, size_t size_hint,
                    struct bytes *content)
{
    size_t cap = size_hint + 4096, len = 0;
    char *data = base_realloc(NULL, cap);
    ssize_t n;
    while ((n = read(fd, data + len, cap - len)) != 0) {
        if (n < 0 && errno != EINTR) break;
        len += (size_t)MAX(n, 0);
        if (len < cap) continue;
        cap *= 2;
        data = base_realloc(data, cap);
    }
    *content = (struct bytes){own(input, data), len};
    if (n == 0) return EX_OK;
    return send_complain(EX_NOINPUT, "%s: %s", path, strerror(errno));
}

int send_read_file(struct send_input *input, const char *path, struct bytes *content)
{
    struct stat stat;
    if (strcmp(path, "-") == 0) {
        if (input->stdin_used) return send_complain(EX_USAGE, "standard input is used twice");
        input->stdin_used = true;
        return read_all(input, STDIN_FILENO, "standard input", 0, content);
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        return send_complain(EX_NOINPUT, "%s: %s", path, strerror(errno));
    }
    const size_t hint = S_ISREG(stat.st_mode) ? (size_t)stat.st_size : 0;
    const int status = read_all(input, fd, path, hint, content);
    close(fd);
    return status;
}

static struct bytes type_of_name(struct bytes name)
{
    static const struct {
        const char *extension, *type;
    } rows[] = {
        {"7z", "application/x-7z-compressed"},
        {"avif", "image/avif"},
        {"bmp", "image/bmp"},
        {"bz2", "application/x-bzip2"},
        {"c", "text/x-c"},
        {"css", "text/css"},
        {"csv", "text/csv"},
        {"doc", "application/msword"},
        {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {"eml", "message/rfc822"},
        {"epub", "application/epub+zip"},
        {"flac", "audio/flac"},
        {"gif", "image/gif"},
        {"gz", "application/gzip"},
        {"htm", "text/html"},
        {"html", "text/html"},
        {"ics", "text/calendar"},
        {"jpeg", "image/jpeg"},
        {"jpg", "image/jpeg"},
        {"js", "text/javascript"},
        {"json", "application/json"},
        {"log", "text/plain"},
        {"md", "text/markdown"},
        {"mov", "video/quicktime"},
        {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},
        {"odp", "application/vnd.oasis.opendocument.presentation"},
        {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
        {"odt", "application/vnd.oasis.opendocument.text"},
        {"ogg", "audio/ogg"},
        {"patch", "text/x-diff"},
        {"pdf", "application/pdf"},
        {"png", "image/png"},
        {"ppt", "application/vnd.ms-powerpoint"},
        {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
        {"ps", "application/postscript"},
        {"rtf", "application/rtf"},
        {"svg", "image/svg+xml"},
        {"tar", "application/x-tar"},
        {"tif", "image/tiff"},
        {"tiff", "image/tiff"},
        {"txt", "text/plain"},
        {"vcf", "text/vcard"},
        {"wav", "audio/wav"},
        {"webm", "video/webm"},
        {"webp", "image/webp"},
        {"xls", "application/vnd.ms-excel"},
        {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {"xml", "application/xml"},
        {"xz", "application/x-xz"},
        {"zip", "application/zip"},
        {"zst", "application/zstd"},
    };
    const char *dot = memrchr(name.data, '.', name.len);
    if (dot == NULL) return (struct bytes){"", 0}; /* the builder's default */
    const struct bytes extension = bytes_skip(name, (size_t)(dot + 1 - name.data));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (bytes_equal_nocase(extension, bytes_of(rows[i].extension))) {
            return bytes_of(rows[i].type);
        }
    }
    return (struct bytes){"", 0};
}

/* FILE, or FILE:TYPE when there is no file of the whole name. */
static int read_part(struct send_input *input, const char *text, struct mime_build_part *part)
{
    const char *colon = strrchr(text, ':');
    const size_t len = strlen(text);
    char *path = own(input, base_alloc(len + 1));
    memcpy(path, text, len + 1);
    if (colon != NULL && access(text, F_OK) != 0) {
        path[colon - text] = '\0';
        part->type = bytes_of(colon + 1);
        if (part->type.len == 0) return send_complain(EX_USAGE, "%s: the type is missing", text);
    }
    const char *slash = strrchr(path, '/');
    if (strcmp(path, "-") != 0) part->name = bytes_of(slash != NULL ? slash + 1 : path);
    if (part->type.len == 0 && part->name.len > 0) part->type = type_of_name(part->name);
    return send_read_file(input, path, &part->content);
}

int send_add_attachment(struct send_input *input, const char *text)
{
    struct mime_build_part *part = send_list_add(&input->attachments, sizeof(*part));
    return read_part(input, text, part);
}

int send_add_image(struct send_input *input, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL) return send_complain(EX_USAGE, "--inline is CID=FILE");
    struct mime_build_part *part = send_list_add(&input->images, sizeof(*part));
    part->id = (struct bytes){text, (size_t)(equals - text)};
    return read_part(input, equals + 1, part);
}

/* ---- together -------------------------------------------------------------------------------- */

static struct mime_mailboxes mailboxes_of(const struct send_list *list)
{
    return (struct mime_mailboxes){list->items, list->count};
}

void send_input_message(struct send_input *input)
{
    struct mime_message *message = &input->message;
    message->from = mailboxes_of(&input->from);
    message->to = mailboxes_of(&input->to);
    message->cc = mailboxes_of(&input->cc);
    message->reply_to = mailboxes_of(&input->reply_to);
    message->extra = input->extra.items;
    message->extra_count = input->extra.count;
    message->images = input->images.items;
    message->image_count = input->images.count;
    message->attachments = input->attachments.items;
    message->attachment_count = input->attachments.count;
    message->eight_bit = input->eight_bit;
    message->utf8 = true;
}

void send_refresh(struct mime_message *message)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    message->date = (wall_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    for (size_t done = 0; done < sizeof(message->random);) {
        const ssize_t n =
            getrandom((char *)message->random + done, sizeof(message->random) - done, 0);
        if (n > 0) done += (size_t)n;
    }
}
