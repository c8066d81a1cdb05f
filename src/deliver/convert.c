/* SPDX-License-Identifier: Apache-2.0
 *
 * convert - content for receivers that do not take it as it is: without 8BITMIME or BINARYMIME
 *
 * The content in home's memory stays as it came. A job that is given to such a receiver gets a plan
 * of what to change, and for so long tells the size and kind of the result; the result itself is
 * written while it is sent. When the job leaves the connection, all is as before: the next receiver
 * may take more.
 */
#include "internal.h"

static const uint32_t part_caps[] = {64, 1024, MIME_PARTS_MAX};

static enum mime_convert_result plan_with(struct deliver_job *job, enum mime_convert_form form,
                                          uint32_t parts, struct mime_parser *parser, char *room)
{
    const struct mime_convert_memory memory = {
        .parser = parser,
        .header_room = room,
        .header_cap = MIME_HEADER_MAX,
        .parts = base_alloc(parts * sizeof(struct mime_part)),
        .part_cap = parts,
        .edits = base_alloc(mime_convert_edits_max(parts) * sizeof(struct mime_edit)),
        .text = job->conversion->text,
        .text_cap = MIME_HEADER_MAX,
    };
    struct deliver_conversion *conversion = job->conversion;
    conversion->edits = memory.edits;
    const enum mime_convert_result result =
        mime_convert_plan(&conversion->plan, form, job->pieces, job->piece_count, &memory);
    base_free(memory.parts);
    return result;
}

/* Few messages have more than some parts: more memory is taken only when it turns out to be needed.
 */
static enum mime_convert_result plan(struct deliver_job *job, enum mime_convert_form form)
{
    struct mime_parser *parser = base_alloc(sizeof(*parser));
    char *room = base_alloc(MIME_HEADER_MAX);
    enum mime_convert_result result = MIME_CONVERT_CROWDED;
    for (size_t i = 0; i < ARRAY_COUNT(part_caps) && result == MIME_CONVERT_CROWDED; i++) {
        base_free(job->conversion->edits);
        result = plan_with(job, form, part_caps[i], parser, room);
    }
    base_free(room);
    base_free(parser);
    return result;
}

void convert_begin(struct deliver_connection *connection, struct deliver_job *job)
{
    struct smtp_transaction *transaction = &job->transaction;
    const enum smtp_form form = smtp_client_form(&connection->client, transaction);
    if (form == SMTP_FORM_AS_IS) return;

    struct deliver_conversion *conversion = base_alloc(sizeof(*conversion));
    *conversion = (struct deliver_conversion){
        .size = transaction->size,
        .content_flags = transaction->content_flags,
        .body = transaction->body,
        .text = base_alloc(MIME_HEADER_MAX),
    };
    job->conversion = conversion;
    if (plan(job, form == SMTP_FORM_7BIT ? MIME_CONVERT_7BIT : MIME_CONVERT_8BIT) !=
        MIME_CONVERT_OK) {
        transaction->unconvertible = true;
        return;
    }
    const struct mime_conversion *made = &conversion->plan;
    const uint8_t kept = SMTP_CONTENT_UTF8_HEADER;
    transaction->size = made->len;
    transaction->body = made->has_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    transaction->content_flags =
        (uint8_t)((transaction->content_flags & kept) | (made->has_8bit ? SMTP_CONTENT_8BIT : 0) |
                  (made->leading_dot ? SMTP_CONTENT_LEADING_DOT : 0) |
                  (made->no_last_crlf ? SMTP_CONTENT_NO_FINAL_CRLF : 0));
    deliver_count(connection->ready->deliver, METRICS_CONVERTED, 1);
}

void convert_send_begin(struct deliver_job *job, bool stuffed)
{
    struct deliver_conversion *conversion = job->conversion;
    conversion->stuffed = stuffed;
    mime_converter_init(&conversion->converter, &conversion->plan);
    scan_stuffer_init(&conversion->stuffer);
}

bool convert_send(struct deliver_job *job, struct stream *stream)
{
    struct deliver_conversion *conversion = job->conversion;
    char octets[CONVERTED_STEP], stuffed[2 * CONVERTED_STEP];
    while (stream_unsent(stream) < UNSENT_MAX) {
        const size_t len = mime_convert_next(&conversion->converter, octets, sizeof(octets));
        if (len == 0) return true;
        if (conversion->stuffed) {
            const size_t more = scan_stuff(&conversion->stuffer, octets, len, stuffed);
            stream_send_text(stream, (struct bytes){stuffed, more});
        } else {
            stream_send_text(stream, (struct bytes){octets, len});
        }
    }
    return false;
}

void convert_end(struct deliver_job *job)
{
    struct deliver_conversion *conversion = job->conversion;
    if (conversion == NULL) return;
    job->transaction.size = conversion->size;
    job->transaction.content_flags = conversion->content_flags;
    job->transaction.body = conversion->body;
    base_free(conversion->text);
    base_free(conversion->edits);
    base_free(conversion);
    job->conversion = NULL;
}
