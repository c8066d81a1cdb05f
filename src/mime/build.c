/* SPDX-License-Identifier: Apache-2.0
 *
 * build - the order in which a message comes out, and the octets of it into the caller's buffers
 *
 * A table has one row for each kind of thing that a message can be made of, in order; a row says
 * how many there are and how to write one into builder->piece. Behind a part's header its body
 * follows, which is encoded straight into the caller's buffer. mime_build_init() goes through the
 * same table once without the bodies, whose lengths it knows, and so has the length of the whole.
 */
#include "build_private.h"
#include <sys/uio.h>

/* ---- what there is --------------------------------------------------------------------------- */

static bool has_text(const struct mime_message *m)
{
    return m->text.data != NULL ||
           (m->html.data == NULL && m->attachment_count == 0); /* a message has a body */
}
static size_t count_one(const struct mime_message *m)
{
    (void)m;
    return 1;
}
static size_t count_from(const struct mime_message *m)
{
    return m->from.count;
}
static size_t count_sender(const struct mime_message *m)
{
    return m->sender.address.len > 0;
}
static size_t count_reply_to(const struct mime_message *m)
{
    return m->reply_to.count;
}
static size_t count_to(const struct mime_message *m)
{
    return m->to.count;
}
static size_t count_cc(const struct mime_message *m)
{
    return m->cc.count;
}
static size_t count_subject(const struct mime_message *m)
{
    return m->subject.data != NULL;
}
static size_t count_extra(const struct mime_message *m)
{
    return m->extra_count;
}
static size_t count_mixed(const struct mime_message *m)
{
    return m->attachment_count > 0;
}
static size_t count_related(const struct mime_message *m)
{
    return m->image_count > 0;
}
static size_t count_alternative(const struct mime_message *m)
{
    return m->text.data != NULL && m->html.data != NULL;
}
static size_t count_text(const struct mime_message *m)
{
    return has_text(m);
}
static size_t count_html(const struct mime_message *m)
{
    return m->html.data != NULL;
}
static size_t count_images(const struct mime_message *m)
{
    return m->image_count;
}
static size_t count_attachments(const struct mime_message *m)
{
    return m->attachment_count;
}

/* ---- how to write it ------------------------------------------------------------------------- */

static void put_date(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_date(out, b->message->date);
}
static void put_from(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_mailbox(b, out, "From", &b->message->from, index);
}
static void put_sender(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_mailbox(b, out, "Sender", &(struct mime_mailboxes){&b->message->sender, 1}, index);
}
static void put_reply_to(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_mailbox(b, out, "Reply-To", &b->message->reply_to, index);
}
static void put_to(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_mailbox(b, out, "To", &b->message->to, index);
}
static void put_cc(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_mailbox(b, out, "Cc", &b->message->cc, index);
}
static void put_subject(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_unstructured(out, BYTES("Subject"), b->message->subject, true);
}
static void put_message_id(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_message_id(out, b->message);
}
static void put_extra(struct mime_builder *b, size_t index, struct text *out)
{
    const struct mime_extra *extra = &b->message->extra[index];
    mime_build_unstructured(out, extra->name, extra->body, false);
}
static void put_version(struct mime_builder *b, size_t index, struct text *out)
{
    (void)b, (void)index;
    mime_build_field(out, "MIME-Version", BYTES("1.0"));
}
static void open_mixed(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_open(b, out, 'm');
}
static void open_related(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_open(b, out, 'r');
}
static void open_alternative(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_open(b, out, 'a');
}
static void close_innermost(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_close(b, out);
}
static void put_text(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_text_head(b, out, &b->text);
    mime_build_body_open(&b->body, &b->text);
}
static void put_html(struct mime_builder *b, size_t index, struct text *out)
{
    (void)index;
    mime_build_text_head(b, out, &b->html);
    mime_build_body_open(&b->body, &b->html);
}
static void put_image(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_part_head(b, out, &b->message->images[index], "inline");
    mime_build_body_open(&b->body, &b->message->images[index]);
}
static void put_attachment(struct mime_builder *b, size_t index, struct text *out)
{
    mime_build_part_head(b, out, &b->message->attachments[index], "attachment");
    mime_build_body_open(&b->body, &b->message->attachments[index]);
}

static const struct {
    size_t (*count)(const struct mime_message *message);
    void (*put)(struct mime_builder *builder, size_t index, struct text *out);
} steps[] = {
    {count_one, put_date},
    {count_from, put_from},
    {count_sender, put_sender},
    {count_reply_to, put_reply_to},
    {count_to, put_to},
    {count_cc, put_cc},
    {count_subject, put_subject},
    {count_one, put_message_id},
    {count_extra, put_extra},
    {count_one, put_version},
    {count_mixed, open_mixed},
    {count_related, open_related},
    {count_alternative, open_alternative},
    {count_text, put_text},
    {count_html, put_html},
    {count_alternative, close_innermost},
    {count_images, put_image},
    {count_related, close_innermost},
    {count_attachments, put_attachment},
    {count_mixed, close_innermost},
};

/* ---- the stream ------------------------------------------------------------------------------ */

/* Writes the next thing into piece; false at the end. */
static bool next_piece(struct mime_builder *builder)
{
    for (; builder->step < ARRAY_COUNT(steps); builder->step++, builder->index = 0) {
        if (builder->index == steps[builder->step].count(builder->message)) continue;
        struct text out;
        text_init(&out, builder->piece, sizeof(builder->piece));
        steps[builder->step].put(builder, builder->index++, &out);
        ASSERT(!out.cut); /* the limits of build.h see to it */
        builder->piece_at = 0;
        builder->piece_len = out.len;
        return true;
    }
    return false;
}

void mime_build_rewind(struct mime_builder *builder)
{
    builder->step = 0;
    builder->index = 0;
    builder->depth = 0;
    builder->fresh = false;
    builder->piece_at = builder->piece_len = 0;
    builder->body.active = false;
}

static size_t copy_piece(struct mime_builder *builder, char *dst, size_t cap)
{
    const size_t n = MIN(cap, builder->piece_len - builder->piece_at);
    memcpy(dst, builder->piece + builder->piece_at, n);
    builder->piece_at += n;
    return n;
}

size_t mime_build_next(struct mime_builder *builder, char *dst, size_t cap)
{
    size_t done = 0;
    while (done < cap) {
        if (builder->piece_at < builder->piece_len) {
            done += copy_piece(builder, dst + done, cap - done);
        } else if (builder->body.active && cap - done >= CODEC_ROOM_MIN) {
            done += mime_build_body_fill(&builder->body, dst + done, cap - done);
        } else if (builder->body.active) { /* too little room for a codec: through piece */
            builder->piece_at = 0;
            builder->piece_len =
                mime_build_body_fill(&builder->body, builder->piece, CODEC_ROOM_MIN);
        } else if (!next_piece(builder)) {
            break;
        }
    }
    return done;
}

size_t mime_build_iovec(struct mime_builder *builder, const struct iovec *iov, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t n = mime_build_next(builder, iov[i].iov_base, iov[i].iov_len);
        done += n;
        if (n < iov[i].iov_len) break;
    }
    return done;
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void plan(struct mime_builder *builder)
{
    const struct mime_message *message = builder->message;
    if (has_text(message)) mime_build_plan_text(builder, &builder->text);
    if (message->html.data != NULL) mime_build_plan_text(builder, &builder->html);
    for (size_t i = 0; i < message->image_count; i++)
        mime_build_plan_part(builder, &message->images[i]);
    for (size_t i = 0; i < message->attachment_count; i++)
        mime_build_plan_part(builder, &message->attachments[i]);
}

static uint64_t measure(struct mime_builder *builder)
{
    uint64_t len = 0;
    mime_build_rewind(builder);
    while (next_piece(builder)) {
        len += builder->piece_len;
        if (builder->body.active) len += builder->body.part->len;
        builder->body.active = false;
    }
    mime_build_rewind(builder);
    return len;
}

enum mime_build_result mime_build_init(struct mime_builder *builder,
                                       const struct mime_message *message)
{
    builder->message = message;
    builder->culprit = (struct bytes){"", 0};
    builder->eight_bit = builder->utf8 = false;
    builder->text = (struct mime_build_part){.content = message->text, .type = BYTES("text/plain")};
    builder->html = (struct mime_build_part){.content = message->html, .type = BYTES("text/html")};
    const enum mime_build_result result = mime_build_check(builder);
    if (result != MIME_BUILD_OK) return result;
    mime_build_choose_boundary(builder);
    plan(builder);
    builder->len = measure(builder);
    return MIME_BUILD_OK;
}
