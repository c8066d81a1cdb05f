/* SPDX-License-Identifier: Apache-2.0
 *
 * convert_plan - decides what becomes of each part of a message that has to be converted
 *
 *     octets of the message   edits
 *     header of a part        COPY; its Content-Transfer-Encoding fields DROP; SAY what holds now;
 *                             fields with octets over 127 DROP, and SAY in 7 bit
 *     body of a leaf          COPY, or QP, BASE64
 *     preamble, epilogue      COPY, or DROP if they could not go as they are: nobody reads them
 *
 * Parts come in the order of their octets, but an epilogue lies behind all parts within: the
 * multiparts around the present part are on a stack, and leave it when the next part is outside.
 * In the end the result is written once, to nowhere: that gives its length, and proves that it is
 * what was asked for.
 */
#include "convert_private.h"
#include "ringpost/mime/convert.h"

enum { LINE_MAX_OCTETS = 998, SCRATCH = 16 * 1024 };

static const char say_qp[] = "Content-Transfer-Encoding: quoted-printable\r\n";
static const char say_base64[] = "Content-Transfer-Encoding: base64\r\n";
static const char say_8bit[] = "Content-Transfer-Encoding: 8bit\r\n";
static const char say_mime[] = "MIME-Version: 1.0\r\n";
static const char say_text[] = "Content-Type: text/plain; charset=unknown-8bit\r\n"; /* RFC 1428 */
static const char say_utf8[] = "Content-Type: text/plain; charset=utf-8\r\n";
static const char say_nothing[] = "\r\n";

struct plan {
    struct mime_conversion *conversion;
    enum mime_convert_form form;
    const struct mime_convert_memory *memory;
    const struct mime_part *parts;
    uint32_t part_count;
    struct mime_edit *edits;
    uint32_t edit_count, edit_cap;
    uint64_t at; /* the edits so far cover the content up to here */
    size_t text_len;
    uint32_t fields; /* written anew */
    enum mime_convert_result result;
    struct { /* containers around the present part */
        uint32_t part;
        bool sealed; /* what is in it must not be changed */
    } stack[MIME_DEPTH_MAX + 1];
    uint32_t stack_count;
};

static void fail(struct plan *plan, enum mime_convert_result result)
{
    if (plan->result == MIME_CONVERT_OK) plan->result = result;
}

/* ---- octets of the content ----------------------------------------------------------------------
 */

/* Calls visit for the pieces of a range. */
static void visit_range(const struct mime_conversion *conversion, struct mime_range range,
                        void (*visit)(void *context, struct bytes octets), void *context)
{
    uint64_t begin = 0;
    for (uint32_t i = 0; i < conversion->piece_count && begin < range.end; i++) {
        const struct bytes piece = conversion->pieces[i];
        const uint64_t end = begin + piece.len;
        if (end > range.begin) {
            const uint64_t from = MAX(begin, range.begin), to = MIN(end, range.end);
            visit(context, (struct bytes){piece.data + (from - begin), (size_t)(to - from)});
        }
        begin = end;
    }
}

static void append(void *context, struct bytes octets)
{
    char **to = context;
    memcpy(*to, octets.data, octets.len);
    *to += octets.len;
}

/* The header of a part in one piece; it fits: a tree with a longer one is cut. */
static struct bytes copy_header(const struct plan *plan, const struct mime_part *part)
{
    const size_t len = (size_t)(part->header.end - part->header.begin);
    char *to = plan->memory->header_room;
    ASSERT(len <= plan->memory->header_cap);
    visit_range(plan->conversion, part->header, append, &to);
    return (struct bytes){plan->memory->header_room, len};
}

static void count_high(void *context, struct bytes octets)
{
    uint64_t high = 0;
    for (size_t i = 0; i < octets.len; i++)
        high += (unsigned char)octets.data[i] >> 7;
    *(uint64_t *)context += high;
}

/* ---- edits --------------------------------------------------------------------------------------
 */

static void put(struct plan *plan, enum mime_edit_what what, uint64_t len, const char *say)
{
    ASSERT(plan->edit_count < plan->edit_cap);
    plan->edits[plan->edit_count++] =
        (struct mime_edit){.len = len, .say = say, .what = (uint8_t)what};
    plan->at += len;
}

/* From where the edits end up to there. */
static void put_until(struct plan *plan, enum mime_edit_what what, uint64_t end)
{
    ASSERT(end >= plan->at);
    if (end > plan->at) put(plan, what, end - plan->at, NULL);
}

static void put_say(struct plan *plan, const char *say)
{
    put(plan, MIME_EDIT_SAY, 0, say);
}

/* ---- decisions ----------------------------------------------------------------------------------
 */

static bool is_odd(uint8_t classes, uint64_t line_max)
{
    return classes & (SCAN_NUL | SCAN_BARE_CR | SCAN_BARE_LF) || line_max > LINE_MAX_OCTETS;
}

/* Its octets cannot go as they are. */
static bool must_change(const struct plan *plan, const struct mime_part *part)
{
    return is_odd(part->classes, part->line_max) ||
           (plan->form == MIME_CONVERT_7BIT && part->classes & SCAN_8BIT);
}

/* What is told about octets that are lines of 8-bit or 7-bit text now. */
static bool must_be_renamed(const struct plan *plan, const struct mime_part *part)
{
    return part->encoding == MIME_BINARY ||
           (part->encoding == MIME_8BIT && plan->form == MIME_CONVERT_7BIT);
}

static bool is_sealed(const struct plan *plan, const struct mime_part *part)
{
    return part->flags & MIME_PART_IN_SIGNED ||
           (plan->stack_count > 0 && plan->stack[plan->stack_count - 1].sealed);
}

/* May stand in an encoded leaf (RFC 2045 section 6.4: no multipart and no message may). */
static bool may_be_encoded(const struct mime_part *part)
{
    switch ((enum mime_type_class)part->type) {
    case MIME_TYPE_TEXT:
    case MIME_TYPE_OTHER:
        return true;
    case MIME_TYPE_MESSAGE: /* a leaf only if it is encoded already: then that is done anew */
        return part->encoding == MIME_QUOTED_PRINTABLE || part->encoding == MIME_BASE64;
    case MIME_TYPE_MULTIPART:
    case MIME_TYPE_MULTIPART_SIGNED:
    case MIME_TYPE_MULTIPART_ENCRYPTED:
    case MIME_TYPE_MESSAGE_OTHER:
    case MIME_TYPE_PKCS7:
        return false;
    }
    UNREACHABLE("mime: no such type");
}

static enum mime_edit_what choose_encoding(const struct plan *plan, const struct mime_part *part)
{
    const uint64_t len = part->body.end - part->body.begin;
    uint64_t high = 0;
    if (part->encoding == MIME_QUOTED_PRINTABLE) return MIME_EDIT_QP_AGAIN;
    if (part->encoding == MIME_BASE64) return MIME_EDIT_BASE64_AGAIN;
    if (part->type != MIME_TYPE_TEXT && is_odd(part->classes, 0)) return MIME_EDIT_BASE64;
    /* An escape makes three octets of one, base64 four of three: equal at one in six. */
    visit_range(plan->conversion, part->body, count_high, &high);
    return high > len / 6 ? MIME_EDIT_BASE64 : MIME_EDIT_QP;
}

static const char *say_of(enum mime_edit_what what)
{
    return what == MIME_EDIT_QP || what == MIME_EDIT_QP_AGAIN ? say_qp : say_base64;
}

/* ---- headers ------------------------------------------------------------------------------------
 */

struct rename {
    bool wanted;          /* the fields that tell the encoding go */
    const char *encoding; /* the one that tells it now; NULL: none is needed (7bit) */
    bool encoded;         /* the body has been: then it must be MIME */
};

/* A header that begins a message, and not just a part of one. */
static bool begins_message(const struct plan *plan, const struct mime_part *part)
{
    return part->parent == MIME_NO_PARENT || plan->parts[part->parent].kind == MIME_MESSAGE;
}

static void check_utf8(void *context, struct bytes octets)
{
    scan_utf8_feed(context, octets.data, octets.len);
}

/* The type of text that was never told to be any. */
static const char *say_type(const struct plan *plan, const struct mime_part *part)
{
    struct scan_utf8 utf8;
    scan_utf8_init(&utf8);
    visit_range(plan->conversion, part->body, check_utf8, &utf8);
    return scan_utf8_finish(&utf8) ? say_utf8 : say_text;
}

static void drop_field(struct plan *plan, uint64_t at, size_t len)
{
    put_until(plan, MIME_EDIT_COPY, at);
    put(plan, MIME_EDIT_DROP, len, NULL);
}

static void tell_in_7bit(struct plan *plan, const struct mime_field *field, uint64_t at)
{
    const struct mime_convert_memory *memory = plan->memory;
    struct text text;
    if (plan->fields == MIME_CONVERT_FIELDS || memory->text_cap - plan->text_len < 2) return;
    text_init(&text, memory->text + plan->text_len, memory->text_cap - plan->text_len);
    if (!convert_field(field, &text)) return;
    text.data[text.len] = '\0';
    drop_field(plan, at, field->whole.len);
    put_say(plan, text.data);
    plan->text_len += text.len + 1;
    plan->fields += 1;
}

/* What stands behind the last field. */
static void end_header(struct plan *plan, const struct mime_part *part, struct rename rename,
                       bool mime, bool typed)
{
    put_until(plan, MIME_EDIT_COPY, part->header.end);
    if (rename.encoded && begins_message(plan, part)) {
        if (!mime) put_say(plan, say_mime);
        if (!typed) put_say(plan, say_type(plan, part));
    }
    if (rename.encoding == NULL) return;
    put_say(plan, rename.encoding);
    if (part->flags & MIME_PART_NO_EMPTY_LINE) put_say(plan, say_nothing);
}

static void plan_header(struct plan *plan, const struct mime_part *part, struct rename rename)
{
    const bool tell = plan->form == MIME_CONVERT_7BIT && part->header_classes & SCAN_8BIT;
    struct mime_field field;
    bool mime = false, typed = false;
    uint32_t dropped = 0;
    if (!rename.wanted && !tell) return;
    const struct bytes header = copy_header(plan, part);
    for (struct bytes rest = header; mime_field_next(&rest, &field);) {
        const uint64_t at = part->header.begin + (uint64_t)(field.whole.data - header.data);
        mime |= bytes_equal_nocase(field.name, BYTES("MIME-Version"));
        typed |= bytes_equal_nocase(field.name, BYTES("Content-Type"));
        if (bytes_equal_nocase(field.name, BYTES("Content-Transfer-Encoding"))) {
            if (!rename.wanted) continue;
            /* Two are somebody's mistake; more are an attack on the plan's bound. */
            if (++dropped > 2) {
                fail(plan, MIME_CONVERT_HOPELESS);
                return;
            }
            drop_field(plan, at, field.whole.len);
        } else if (tell && scan_has_8bit(field.whole.data, field.whole.len)) {
            tell_in_7bit(plan, &field, at);
        }
    }
    end_header(plan, part, rename, mime, typed);
}

/* ---- parts --------------------------------------------------------------------------------------
 */

static void plan_leaf(struct plan *plan, const struct mime_part *part)
{
    const bool sealed = is_sealed(plan, part);
    struct rename rename = {.wanted = must_be_renamed(plan, part)};
    if (!must_change(plan, part)) {
        if (rename.wanted && part->classes & SCAN_8BIT) rename.encoding = say_8bit;
        if (!sealed) plan_header(plan, part, rename);
        return;
    }
    if (sealed || !may_be_encoded(part) || part->encoding == MIME_UUENCODE ||
        part->encoding == MIME_ENCODING_UNKNOWN) {
        fail(plan, MIME_CONVERT_FIXED);
        return;
    }
    const enum mime_edit_what what = choose_encoding(plan, part);
    rename = (struct rename){.wanted = true, .encoding = say_of(what), .encoded = true};
    plan_header(plan, part, rename);
    if (plan->result != MIME_CONVERT_OK) return;
    put_until(plan, MIME_EDIT_COPY, part->body.begin);
    put_until(plan, what, part->body.end);
}

/* Octets that nobody reads, but that may be covered by a signature. */
static void plan_filling(struct plan *plan, const struct mime_part *part, struct mime_range range)
{
    if (!must_change(plan, part) || range.begin == range.end) return;
    put_until(plan, MIME_EDIT_COPY, range.begin);
    put_until(plan, MIME_EDIT_DROP, range.end);
}

static void plan_container(struct plan *plan, const struct mime_part *part)
{
    const bool sealed = is_sealed(plan, part);
    if (sealed && part->kind == MIME_MULTIPART && must_change(plan, part)) {
        fail(plan, MIME_CONVERT_FIXED);
        return;
    }
    if (!sealed) {
        struct rename rename = {.wanted = must_be_renamed(plan, part)};
        if (rename.wanted && plan->form == MIME_CONVERT_8BIT) rename.encoding = say_8bit;
        plan_header(plan, part, rename);
    }
    if (plan->result != MIME_CONVERT_OK) return;
    if (part->kind == MIME_MULTIPART) plan_filling(plan, part, part->preamble);
    ASSERT(plan->stack_count < ARRAY_COUNT(plan->stack));
    plan->stack[plan->stack_count].part = part->index;
    plan->stack[plan->stack_count].sealed = sealed || part->type == MIME_TYPE_MULTIPART_SIGNED ||
                                            part->type == MIME_TYPE_MULTIPART_ENCRYPTED;
    plan->stack_count += 1;
}

/* Takes containers off the stack until that one is on top. */
static void leave_until(struct plan *plan, uint32_t container)
{
    while (plan->stack_count > 0 && plan->stack[plan->stack_count - 1].part != container) {
        const struct mime_part *part = &plan->parts[plan->stack[plan->stack_count - 1].part];
        if (part->kind == MIME_MULTIPART) plan_filling(plan, part, part->epilogue);
        plan->stack_count -= 1;
    }
}

static void plan_parts(struct plan *plan, uint64_t content_len)
{
    for (uint32_t i = 0; i < plan->part_count && plan->result == MIME_CONVERT_OK; i++) {
        const struct mime_part *part = &plan->parts[i];
        leave_until(plan, part->parent);
        if (part->header_classes & (SCAN_NUL | SCAN_BARE_CR | SCAN_BARE_LF)) {
            fail(plan, MIME_CONVERT_HOPELESS);
        } else if (part->kind == MIME_LEAF) {
            plan_leaf(plan, part);
        } else {
            plan_container(plan, part);
        }
    }
    if (plan->result != MIME_CONVERT_OK) return;
    leave_until(plan, MIME_NO_PARENT);
    put_until(plan, MIME_EDIT_COPY, content_len);
}

/* ---- all together
 * -------------------------------------------------------------------------------- */

static enum mime_convert_result read_tree(struct plan *plan, uint64_t *content_len)
{
    const struct mime_convert_memory *memory = plan->memory;
    const struct mime_conversion *conversion = plan->conversion;
    struct mime_tree tree;
    mime_tree_init(&tree, memory->parts, memory->part_cap);
    mime_parser_init(memory->parser, memory->header_room, memory->header_cap, NULL);
    *content_len = 0;
    for (uint32_t i = 0; i < conversion->piece_count; i++) {
        mime_tree_feed(&tree, memory->parser, conversion->pieces[i], false);
        *content_len += conversion->pieces[i].len;
    }
    mime_tree_feed(&tree, memory->parser, (struct bytes){"", 0}, true);
    plan->parts = tree.parts;
    plan->part_count = tree.count;
    if (!tree.cut) return MIME_CONVERT_OK;
    /* Otherwise it is a limit of the parser: more memory would not help. */
    return tree.count == memory->part_cap ? MIME_CONVERT_CROWDED : MIME_CONVERT_HOPELESS;
}

/* Writes the result to nowhere. */
static enum mime_convert_result measure(struct mime_conversion *conversion)
{
    struct mime_converter converter;
    struct scan_reader reader;
    char written[SCRATCH], read[SCRATCH];
    mime_converter_init(&converter, conversion);
    scan_reader_init(&reader, false);
    for (size_t len; (len = mime_convert_next(&converter, written, sizeof(written))) > 0;)
        (void)scan_read(&reader, written, len, read, sizeof(read));
    scan_reader_finish(&reader);
    conversion->len = reader.octets;
    conversion->has_8bit = reader.classes & SCAN_8BIT;
    conversion->leading_dot = reader.classes & SCAN_LEADING_DOT;
    conversion->no_last_crlf = reader.state == SCAN_IN_LINE;
    return is_odd(reader.classes, reader.line_max) ? MIME_CONVERT_HOPELESS : MIME_CONVERT_OK;
}

enum mime_convert_result mime_convert_plan(struct mime_conversion *conversion,
                                           enum mime_convert_form form, const struct bytes *pieces,
                                           uint32_t piece_count,
                                           const struct mime_convert_memory *memory)
{
    uint64_t content_len;
    *conversion = (struct mime_conversion){.pieces = pieces, .piece_count = piece_count};
    struct plan plan = {
        .conversion = conversion,
        .form = form,
        .memory = memory,
        .edits = memory->edits,
        .edit_cap = mime_convert_edits_max(memory->part_cap),
    };
    plan.result = read_tree(&plan, &content_len);
    if (plan.result == MIME_CONVERT_OK) plan_parts(&plan, content_len);
    if (plan.result != MIME_CONVERT_OK) return plan.result;
    conversion->edits = plan.edits;
    conversion->edit_count = plan.edit_count;
    return measure(conversion);
}
