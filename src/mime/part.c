/* SPDX-License-Identifier: Apache-2.0
 *
 * part - the parser of the part tree: one event a call
 *
 * A stack of open parts, the message itself below. Octets belong to one region at a time: the
 * header of the part on top, its body, its preamble or its epilogue. A line that may be a delimiter
 * waits until it is decided, and so does the line end before it, which would belong to it.
 */
#include "part_private.h"

enum parser_state {
    PARSER_BEGIN = 0, /* a part begins here */
    PARSER_HEADER,
    PARSER_BODY, /* or preamble, or epilogue */
    PARSER_POP,  /* parts end, down to ->keep */
    PARSER_DONE,
};

void mime_parser_init(struct mime_parser *parser, char *header_room, size_t cap,
                      const struct mime_parser_options *options)
{
    const struct mime_parser_options wanted =
        options != NULL ? *options : (struct mime_parser_options){0};
    const uint32_t depth = wanted.depth_max;
    /* Not all of it: the stack is large and every level is set when it is opened. */
    memset(parser, 0, offsetof(struct mime_parser, line));
    parser->header_room = header_room;
    parser->header_cap = cap;
    parser->depth_max = depth == 0 || depth > MIME_DEPTH_MAX ? MIME_DEPTH_MAX : depth;
    parser->parts_max = wanted.parts_max == 0 ? MIME_PARTS_MAX : wanted.parts_max;
}

/* ---- octets ---------------------------------------------------------------------------------- */

/* scan_read copies what it looks at; here the copy goes nowhere. */
static void classify(struct mime_parser *parser, struct bytes data)
{
    char copy[4096];
    while (data.len > 0) {
        const size_t len = MIN(data.len, sizeof(copy));
        scan_read(&parser->reader, data.data, len, copy, sizeof(copy));
        data = bytes_skip(data, len);
    }
}

static void begin_region(struct mime_parser *parser)
{
    scan_reader_init(&parser->reader, false);
    parser->line_start = true;
    parser->line_end_len = 0;
    parser->region_at = parser->offset;
    parser->last[0] = parser->last[1] = '\0';
}

/* The line at the front, for as much of it as decides what it is. It stays where it is until it is
 * used. False: more octets are needed, those that there were wait in ->line. */
static bool look_at_line(struct mime_parser *parser, struct bytes *input, bool last,
                         struct bytes *line)
{
    struct bytes front = {input->data, MIN(input->len, (size_t)MIME_LINE_MAX - parser->line_len)};
    if (parser->line_len == 0) {
        *line = (struct bytes){front.data, mime_line_len(front)};
        if (last || front.len == MIME_LINE_MAX) return true;
        if (line->len > 0 && line->data[line->len - 1] == '\n') return true;
    } else if (parser->line[parser->line_len - 1] == '\n') {
        front.len = 0;
    }
    const size_t len = mime_line_len(front);
    if (len > 0) memcpy(parser->line + parser->line_len, front.data, len);
    parser->line_len += (uint16_t)len;
    *input = bytes_skip(*input, len);
    *line = (struct bytes){parser->line, parser->line_len};
    if (parser->line_len == 0) return false;
    return last || line->len == MIME_LINE_MAX || line->data[line->len - 1] == '\n';
}

static void use_line(struct mime_parser *parser, struct bytes *input, size_t len)
{
    if (parser->line_len > 0) {
        ASSERT(len == parser->line_len);
        parser->line_len = 0;
    } else {
        *input = bytes_skip(*input, len);
    }
    parser->offset += len;
}

/* ---- the header -------------------------------------------------------------------------------
 */

static enum mime_event begin_part(struct mime_parser *parser)
{
    struct mime_level *level = &parser->stack[parser->levels];
    const bool root = parser->levels == 0;
    ASSERT(parser->levels <= parser->depth_max && parser->part_count < parser->parts_max);
    level->boundary_len = 0;
    level->digest = false;
    level->part = (struct mime_part){
        .index = parser->part_count++,
        .parent = root ? MIME_NO_PARENT : level[-1].part.index,
        .depth = parser->levels,
        .number = root ? 1 : ++level[-1].part.children,
        .header = {parser->offset, parser->offset},
    };
    if (!root) {
        level->part.flags = level[-1].part.flags & MIME_PART_IN_SIGNED;
        if (level[-1].part.type == MIME_TYPE_MULTIPART_SIGNED) {
            level->part.flags = MIME_PART_IN_SIGNED;
        }
    }
    parser->levels += 1;
    parser->header_len = parser->field_start = 0;
    begin_region(parser);
    parser->state = PARSER_HEADER;
    parser->part = &level->part;
    return MIME_PART_BEGIN;
}

/* When the room is used up, the field that does not fit goes as a whole: half a field might say
 * something else. */
static void keep_header(struct mime_parser *parser, struct bytes octets)
{
    struct mime_part *part = &mime_top(parser)->part;
    classify(parser, octets);
    part->header.end += octets.len;
    parser->line_start = octets.data[octets.len - 1] == '\n';
    if (part->flags & MIME_PART_HEADER_CUT) return;
    if (octets.len > parser->header_cap - parser->header_len) {
        part->flags |= MIME_PART_HEADER_CUT;
        parser->header_len = parser->field_start;
        return;
    }
    memcpy(parser->header_room + parser->header_len, octets.data, octets.len);
    parser->header_len += octets.len;
}

static enum mime_event end_header(struct mime_parser *parser, bool empty_line)
{
    struct mime_part *part = &mime_top(parser)->part;
    scan_reader_finish(&parser->reader);
    part->header_classes = parser->reader.classes;
    if (!empty_line) part->flags |= MIME_PART_NO_EMPTY_LINE;
    part->body = (struct mime_range){parser->offset, parser->offset};
    parser->floor = parser->offset;
    begin_region(parser);
    mime_part_read_header(parser);
    if (part->kind == MIME_MULTIPART) part->preamble = part->body;
    parser->state = part->kind == MIME_MESSAGE ? PARSER_BEGIN : PARSER_BODY;
    parser->part = part;
    return MIME_PART_HEADER;
}

static bool is_mbox_line(const struct mime_parser *parser, struct bytes line)
{
    const struct mime_part *part = &parser->stack[0].part;
    return parser->levels == 1 && parser->offset == 0 && part->flags == 0 && line.len > 5 &&
           memcmp(line.data, "From ", 5) == 0 && line.data[line.len - 1] == '\n';
}

enum header_line { HEADER_GOES_ON, HEADER_ENDS, HEADER_ENDED_BEFORE };

static enum header_line read_header_line(struct mime_parser *parser, struct bytes line)
{
    struct mime_part *part = &mime_top(parser)->part;
    bool closing;
    if (mime_delimiter_find(parser, line, &closing) < parser->levels) return HEADER_ENDED_BEFORE;
    switch (mime_line_of_header(line)) {
    case MIME_LINE_FIELD:
        parser->field_start = parser->header_len;
        keep_header(parser, line);
        return HEADER_GOES_ON;
    case MIME_LINE_CONTINUATION:
        if (part->header.end == part->header.begin) return HEADER_ENDED_BEFORE;
        keep_header(parser, line);
        return HEADER_GOES_ON;
    case MIME_LINE_EMPTY:
        return HEADER_ENDS;
    case MIME_LINE_OTHER:
        if (!is_mbox_line(parser, line)) return HEADER_ENDED_BEFORE;
        part->flags |= MIME_PART_MBOX_LINE;
        part->header.begin = part->header.end = line.len;
        return HEADER_GOES_ON;
    }
    UNREACHABLE("mime: a line of no kind");
}

static enum mime_event read_header(struct mime_parser *parser, struct bytes *input, bool last)
{
    for (;;) {
        struct bytes line;
        if (!parser->line_start && input->len > 0) { /* the rest of a long line */
            line = (struct bytes){input->data, mime_line_len(*input)};
            keep_header(parser, line);
            use_line(parser, input, line.len);
            continue;
        }
        if (!look_at_line(parser, input, last, &line)) return MIME_MORE;
        if (line.len == 0) return end_header(parser, false);
        const enum header_line what = read_header_line(parser, line);
        if (what == HEADER_ENDED_BEFORE) return end_header(parser, false);
        use_line(parser, input, line.len);
        if (what == HEADER_ENDS) return end_header(parser, true);
    }
}

/* ---- body, preamble, epilogue -----------------------------------------------------------------
 */

/* Of a leaf: an event. What stands around the parts of a multipart is only looked at. */
static enum mime_event give(struct mime_parser *parser, struct bytes data)
{
    const struct mime_level *top = mime_top(parser);
    classify(parser, data);
    if (data.len >= 2) parser->last[0] = data.data[data.len - 2];
    if (data.len == 1) parser->last[0] = parser->last[1];
    parser->last[1] = data.data[data.len - 1];
    if (top->part.kind != MIME_LEAF) return MIME_MORE;
    parser->part = &top->part;
    parser->data = data;
    parser->data_offset = parser->region_at;
    parser->region_at += data.len;
    return MIME_PART_BODY;
}

static void hold_line_end(struct mime_parser *parser, bool cr, bool lf)
{
    size_t len = 0;
    if (cr) parser->line_end[len++] = '\r';
    if (lf) parser->line_end[len++] = '\n';
    parser->line_end_len = (uint8_t)len;
    parser->line_start = lf;
    if (lf) parser->line_end_last = (uint8_t)len;
}

/* True also when the octets are not enough to know. */
static bool may_be_delimiter(struct mime_parser *parser, struct bytes rest)
{
    bool closing;
    if (rest.len == 0) return true;
    if (rest.data[0] != '-') return false;
    if (rest.len == 1) return true;
    if (rest.data[1] != '-') return false;
    rest.len = MIN(rest.len, (size_t)MIME_LINE_MAX);
    const struct bytes line = {rest.data, mime_line_len(rest)};
    if (line.data[line.len - 1] != '\n') return line.len < MIME_LINE_MAX;
    return mime_delimiter_find(parser, line, &closing) < parser->levels;
}

/* From the middle of a line through the last line end behind which no delimiter can be. Returns the
 * octets that certainly belong to the region; *taken: with the line end that is held back. */
static size_t take_lines(struct mime_parser *parser, struct bytes src, size_t *taken)
{
    for (size_t at = 0, next; at < src.len; at = next) {
        const char *lf = memchr(src.data + at, '\n', src.len - at);
        if (lf == NULL) break;
        const size_t end = (size_t)(lf - src.data);
        next = end + 1;
        if (!may_be_delimiter(parser, bytes_skip(src, next))) continue;
        const bool cr = end > 0 && src.data[end - 1] == '\r';
        hold_line_end(parser, cr, true);
        *taken = next;
        return end - cr;
    }
    *taken = src.len;
    ASSERT(src.data[src.len - 1] != '\n'); /* behind it there may be one */
    const bool cr = src.data[src.len - 1] == '\r';
    hold_line_end(parser, cr, false);
    return src.len - cr;
}

static void end_region(struct mime_parser *parser, uint64_t end)
{
    struct mime_level *top = mime_top(parser);
    struct mime_part *part = &top->part;
    end = MAX(end, parser->floor);
    scan_reader_finish(&parser->reader);
    part->classes |= parser->reader.classes;
    part->line_max = MAX(part->line_max, parser->reader.line_max);
    if (part->kind == MIME_LEAF && parser->last[1] == '\n') {
        part->line_end = parser->last[0] == '\r' ? MIME_CRLF : MIME_LF;
    }
    if (part->kind == MIME_MULTIPART && top->boundary_len > 0 && part->children == 0) {
        part->preamble.end = end;
    }
    if (part->kind == MIME_MULTIPART && top->boundary_len == 0) {
        part->epilogue.end = end;
        part->epilogue.begin = MIN(part->epilogue.begin, end);
    }
    parser->region_end = end;
    parser->state = PARSER_POP;
}

/* A line that may be a delimiter. False: more octets are needed. */
static bool read_line_start(struct mime_parser *parser, struct bytes *input, bool last)
{
    struct bytes line;
    if (parser->line_len == 0 && input->len > 0 && input->data[0] != '-') {
        parser->line_start = false;
        return true;
    }
    if (!look_at_line(parser, input, last, &line)) return false;
    const uint32_t level = mime_delimiter_find(parser, line, &parser->closing);
    if (level == parser->levels) {
        parser->line_start = false;
        return true;
    }
    end_region(parser, parser->offset - MIN(parser->offset, parser->line_end_last));
    parser->keep = level + 1;
    use_line(parser, input, line.len);
    size_t end_len = line.data[line.len - 1] == '\n';
    end_len += end_len == 1 && line.data[line.len - 2] == '\r';
    parser->line_end_last = (uint8_t)end_len;
    return true;
}

static enum mime_event end_message(struct mime_parser *parser)
{
    if (parser->line_end_len > 0) {
        const struct bytes held = {parser->line_end, parser->line_end_len};
        parser->line_end_len = 0;
        return give(parser, held);
    }
    end_region(parser, parser->offset);
    parser->keep = 0;
    return MIME_MORE;
}

/* A CR at the end of the last piece: is it that of a line end? */
static enum mime_event settle_cr(struct mime_parser *parser, struct bytes *input)
{
    if (input->data[0] == '\n') {
        hold_line_end(parser, true, true);
        *input = bytes_skip(*input, 1);
        parser->offset += 1;
        return MIME_MORE;
    }
    parser->line_end_len = 0;
    return give(parser, BYTES("\r"));
}

/* One step in a region; MIME_MORE: no event yet. *wait: octets are needed. */
static enum mime_event read_body(struct mime_parser *parser, struct bytes *input, bool last,
                                 bool *wait)
{
    if (parser->line_len == 0 && input->len == 0) {
        *wait = !last;
        return last ? end_message(parser) : MIME_MORE;
    }
    if (parser->open == 0) { /* no delimiters, so nothing to look for */
        const struct bytes all =
            parser->line_len > 0 ? (struct bytes){parser->line, parser->line_len} : *input;
        parser->line_start = false;
        use_line(parser, input, all.len);
        return give(parser, all);
    }
    if (parser->line_start) {
        *wait = !read_line_start(parser, input, last);
        return MIME_MORE;
    }
    if (parser->line_end_len == 1 && parser->line_end[0] == '\r') return settle_cr(parser, input);
    if (parser->line_end_len > 0) {
        const struct bytes held = {parser->line_end, parser->line_end_len};
        parser->line_end_len = 0;
        return give(parser, held);
    }
    const struct bytes src =
        parser->line_len > 0 ? (struct bytes){parser->line, parser->line_len} : *input;
    size_t taken;
    const struct bytes data = {src.data, take_lines(parser, src, &taken)};
    use_line(parser, input, taken);
    return data.len > 0 ? give(parser, data) : MIME_MORE;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static enum mime_part_end reason_of(const struct mime_parser *parser, uint32_t level)
{
    if (parser->keep == 0) return MIME_END_MESSAGE;
    uint32_t multipart = level - 1;
    while (parser->stack[multipart].part.kind != MIME_MULTIPART)
        multipart -= 1; /* ends at the one that the delimiter belongs to, at the latest */
    if (multipart + 1 != parser->keep) return MIME_END_OUTER;
    return parser->closing ? MIME_END_CLOSING : MIME_END_BOUNDARY;
}

static enum mime_event pop(struct mime_parser *parser)
{
    struct mime_level *level = mime_top(parser);
    struct mime_part *part = &level->part;
    part->end = reason_of(parser, parser->levels - 1);
    part->body.end = parser->region_end;
    if (level->boundary_len > 0) {
        part->flags |= MIME_PART_NOT_CLOSED;
        parser->open -= 1;
    }
    if (part->kind == MIME_MULTIPART && part->children == 0) part->flags |= MIME_PART_NO_PARTS;
    parser->levels -= 1;
    parser->part = part;
    return MIME_PART_END;
}

/* All that a delimiter ended has ended: what comes behind it? */
static void go_on_behind_delimiter(struct mime_parser *parser)
{
    struct mime_level *top = mime_top(parser);
    if (!parser->closing) {
        parser->state = PARSER_BEGIN;
        return;
    }
    top->boundary_len = 0;
    parser->open -= 1;
    top->part.epilogue = (struct mime_range){parser->offset, parser->offset};
    parser->floor = parser->offset - parser->line_end_last;
    begin_region(parser);
    parser->state = PARSER_BODY;
}

enum mime_event mime_parser_next(struct mime_parser *parser, struct bytes *input, bool last)
{
    for (;;) {
        enum mime_event event = MIME_MORE;
        bool wait = false;
        switch ((enum parser_state)parser->state) {
        case PARSER_BEGIN:
            return begin_part(parser);
        case PARSER_HEADER:
            return read_header(parser, input, last);
        case PARSER_BODY:
            event = read_body(parser, input, last, &wait);
            if (event != MIME_MORE || wait) return event;
            break;
        case PARSER_POP:
            if (parser->levels > parser->keep) return pop(parser);
            if (parser->keep == 0) {
                parser->state = PARSER_DONE;
            } else {
                go_on_behind_delimiter(parser);
            }
            break;
        case PARSER_DONE:
            return MIME_DONE;
        }
    }
}
