/* SPDX-License-Identifier: Apache-2.0
 *
 * render - replies of `queue` as tables for people
 */
#include "command.h"
#include <inttypes.h>
#include <stdio.h>

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text == NULL ? "" : text;
}

static int64_t number_of(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

/* Times are seconds, with a fraction. */
static wall_ms time_of(const json_t *row, const char *name)
{
    return (wall_ms)(json_number_value(json_object_get(row, name)) * 1000);
}

/* "450 try later (mx.example.com)" */
static void add_error(struct table_text *table, const json_t *row)
{
    char words[256];
    struct text text;
    text_init(&text, words, sizeof(words));
    if (number_of(row, "code") > 0) text_printf(&text, "%" PRId64 " ", number_of(row, "code"));
    text_put(&text, bytes_of(text_of(row, "error")));
    if (text_of(row, "peer")[0] != '\0') text_printf(&text, " (%s)", text_of(row, "peer"));
    table_text_add(table, "%s", words);
}

static void add_due(struct table_text *table, wall_ms due, wall_ms now)
{
    char span[SPAN_TEXT_MAX];
    if (due == 0) {
        table_text_add(table, "-");
    } else if (due <= now) {
        table_text_add(table, "now");
    } else {
        table_text_add(table, "in %s", span_print(due - now, span));
    }
}

/* ---- summary --------------------------------------------------------------------------------- */

void render_summary(const struct reply *reply, bool by_site, size_t limit, wall_ms now)
{
    struct table_text table = {
        .titles = {by_site ? "SITE" : "DOMAIN", "QUEUED", "ACTIVE",
                   by_site ? "CONNECTIONS" : "SITE", "NEXT", "LAST ERROR"},
        .right = {[1] = true, [2] = true, [3] = by_site},
        .columns = 6,
    };
    printf("%" PRId64 " messages queued for %" PRId64 " recipients\n",
           number_of(reply->last, "messages"), number_of(reply->last, "recipients"));
    for (size_t i = 0; i < reply->count; i++) {
        const json_t *row = reply->rows[i];
        const char *name = text_of(row, "name");
        table_text_add(&table, "%s", name[0] != '\0' ? name : "(not routed yet)");
        table_text_add(&table, "%" PRId64, number_of(row, "entries"));
        table_text_add(&table, "%" PRId64, number_of(row, "active"));
        if (by_site) {
            table_text_add(&table, "%" PRId64, number_of(row, "connections"));
        } else {
            table_text_add(&table, "%s", text_of(row, "site"));
        }
        add_due(&table, time_of(row, "next_due"), now);
        add_error(&table, row);
    }
    table_text_print(&table);
    if (reply->count >= limit) puts("... and more, perhaps (--limit)");
    table_text_deinit(&table);
}

/* ---- list ------------------------------------------------------------------------------------ */

static const struct table_text item_table = {
    .titles = {"ID", "AGE", "SIZE", "DOMAIN", "RCPTS", "TRIES", "STATE", "NEXT", "LAST ERROR"},
    .right = {[1] = true, [2] = true, [4] = true, [5] = true},
    .columns = 9,
};

static void add_item(struct table_text *table, const json_t *row, wall_ms now)
{
    char text[SPAN_TEXT_MAX];
    table_text_add(table, "%s", text_of(row, "id"));
    table_text_add(table, "%s", span_print(now - time_of(row, "created"), text));
    table_text_add(table, "%s", octets_print((uint64_t)number_of(row, "size"), text));
    table_text_add(table, "%s", text_of(row, "domain"));
    table_text_add(table, "%" PRId64, number_of(row, "recipients"));
    table_text_add(table, "%" PRId64, number_of(row, "attempts"));
    table_text_add(table, "%s", text_of(row, "state"));
    add_due(table, time_of(row, "due"), now);
    add_error(table, row);
}

void render_list(const struct reply *reply, size_t limit, wall_ms now)
{
    struct table_text table = item_table;
    for (size_t i = 0; i < reply->count; i++)
        add_item(&table, reply->rows[i], now);
    table_text_print(&table);
    if (reply->count == 0) puts("nothing is queued");
    if (reply->count >= limit) puts("... and more, perhaps (--limit)");
    table_text_deinit(&table);
}

/* ---- show ------------------------------------------------------------------------------------ */

static void print_field(const char *name, const char *value)
{
    printf("%-12s", name);
    print_clean(value);
    putchar('\n');
}

static void print_message(const json_t *row, wall_ms now)
{
    static const char *const optional[] = {"client", "session"};
    char text[64], span[SPAN_TEXT_MAX];
    const json_t *sender = json_object_get(row, "sender");
    print_field("id", text_of(row, "id"));
    if (sender == NULL) {
        print_field("content", "cannot be read");
    } else {
        print_field("sender", text_of(row, "sender")[0] == '\0' ? "<>" : text_of(row, "sender"));
    }
    print_field("size", octets_print((uint64_t)number_of(row, "size"), span));
    snprintf(text, sizeof(text), "%s ago", span_print(now - time_of(row, "created"), span));
    print_field("accepted", text);
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        const char *value = text_of(row, optional[i]);
        if (value[0] != '\0') print_field(optional[i], value);
    }
}

void render_show(const struct reply *reply, wall_ms now)
{
    struct table_text items = item_table;
    struct table_text recipients = {.titles = {"RECIPIENT", "STATUS"}, .columns = 2};
    for (size_t i = 0; i < reply->count; i++) {
        const json_t *row = reply->rows[i];
        if (json_object_get(row, "recipient") != NULL) {
            table_text_add(&recipients, "%s", text_of(row, "recipient"));
            table_text_add(&recipients, "%s", text_of(row, "status"));
        } else if (json_is_true(json_object_get(row, "entry"))) {
            add_item(&items, row, now);
        } else {
            print_message(row, now);
        }
    }
    if (recipients.count > 0) putchar('\n');
    table_text_print(&recipients);
    if (items.count > 0) putchar('\n');
    table_text_print(&items);
    table_text_deinit(&recipients);
    table_text_deinit(&items);
}
