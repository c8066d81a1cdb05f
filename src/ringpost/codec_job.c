/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_job - the operations of `ringpost codec` that are streams: thin shells around the library
 */
#include "codec_job.h"
#include "ringpost/base.h"
#include <stdio.h>

/* ---- base64 -------------------------------------------------------------------------------------
 */

static bool start_base64(struct codec_job *job)
{
    const struct codec_options *options = job->options;
    const size_t line = options->given & CODEC_OPTION_WRAP ? options->wrap : CODEC_BASE64_LINE;
    if (line % 4 != 0 || line > CODEC_BASE64_LINE_MAX) return false;
    codec_base64_encoder_init(&job->u.base64_encoder, line);
    return true;
}

static struct codec_progress feed_base64(struct codec_job *job, const char *src, size_t len,
                                         char *dst, size_t cap)
{
    return codec_base64_encoder_feed(&job->u.base64_encoder, src, len, dst, cap);
}

static size_t finish_base64(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    return codec_base64_encoder_finish(&job->u.base64_encoder, dst);
}

static bool start_unbase64(struct codec_job *job)
{
    const bool lenient = job->options->given & CODEC_OPTION_LENIENT;
    codec_base64_decoder_init(&job->u.base64_decoder,
                              lenient ? CODEC_BASE64_LENIENT : CODEC_BASE64_STRICT);
    return true;
}

static struct codec_progress feed_unbase64(struct codec_job *job, const char *src, size_t len,
                                           char *dst, size_t cap)
{
    const struct codec_progress done =
        codec_base64_decoder_feed(&job->u.base64_decoder, src, len, dst, cap);
    job->error = job->u.base64_decoder.error;
    return done;
}

static size_t finish_unbase64(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    const size_t written = codec_base64_decoder_finish(&job->u.base64_decoder, dst);
    job->error = job->u.base64_decoder.error;
    return written;
}

/* ---- quoted-printable
 * ------------------------------------------------------------------------------ */

static bool start_qp(struct codec_job *job)
{
    const unsigned given = job->options->given;
    codec_qp_encoder_init(&job->u.qp_encoder,
                          (given & CODEC_OPTION_BINARY ? CODEC_QP_BINARY : 0u) |
                              (given & CODEC_OPTION_FROM ? CODEC_QP_ESCAPE_FROM : 0u) |
                              (given & CODEC_OPTION_DOT ? CODEC_QP_ESCAPE_DOT : 0u));
    return true;
}

static struct codec_progress feed_qp(struct codec_job *job, const char *src, size_t len, char *dst,
                                     size_t cap)
{
    return codec_qp_encoder_feed(&job->u.qp_encoder, src, len, dst, cap);
}

static size_t finish_qp(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    return codec_qp_encoder_finish(&job->u.qp_encoder, dst);
}

static bool start_unqp(struct codec_job *job)
{
    const bool strict = job->options->given & CODEC_OPTION_STRICT;
    codec_qp_decoder_init(&job->u.qp_decoder, strict ? CODEC_QP_STRICT : CODEC_QP_LENIENT);
    return true;
}

static struct codec_progress feed_unqp(struct codec_job *job, const char *src, size_t len,
                                       char *dst, size_t cap)
{
    const struct codec_progress done =
        codec_qp_decoder_feed(&job->u.qp_decoder, src, len, dst, cap);
    job->error = job->u.qp_decoder.error;
    return done;
}

static size_t finish_unqp(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    const size_t written = codec_qp_decoder_finish(&job->u.qp_decoder, dst);
    job->error = job->u.qp_decoder.error;
    return written;
}

/* ---- uuencode
 * -------------------------------------------------------------------------------------- */

static bool start_uu(struct codec_job *job)
{
    const char *name = job->options->argument;
    codec_uu_encoder_init(&job->u.uu.encoder);
    return name[0] != '\0' && strlen(name) < 200 && strpbrk(name, "\r\n") == NULL;
}

static size_t put_begin(struct codec_job *job, char *dst, size_t cap)
{
    if (job->u.uu.begun) return 0;
    job->u.uu.begun = true;
    return (size_t)snprintf(dst, cap, "begin 644 %s\r\n", job->options->argument);
}

static struct codec_progress feed_uu(struct codec_job *job, const char *src, size_t len, char *dst,
                                     size_t cap)
{
    const size_t begin = put_begin(job, dst, cap);
    struct codec_progress done =
        codec_uu_encoder_feed(&job->u.uu.encoder, src, len, dst + begin, cap - begin);
    done.written += begin;
    return done;
}

static size_t finish_uu(struct codec_job *job, char *dst, size_t cap)
{
    size_t written = put_begin(job, dst, cap);
    written += codec_uu_encoder_finish(&job->u.uu.encoder, dst + written);
    memcpy(dst + written, "end\r\n", 5);
    return written + 5;
}

static bool start_unuu(struct codec_job *job)
{
    codec_uu_decoder_init(&job->u.uud.decoder);
    return true;
}

/* Takes lines up to "begin". One that is too long for it is cut: it does not begin so. */
static size_t look_for_begin(struct codec_job *job, const char *src, size_t len)
{
    char *line = job->u.uud.line;
    size_t taken = 0;
    while (taken < len && !job->u.uud.begun) {
        const char *lf = memchr(src + taken, '\n', len - taken);
        const size_t n = lf != NULL ? (size_t)(lf - src) + 1 - taken : len - taken;
        const size_t kept = MIN(n, sizeof(job->u.uud.line) - job->u.uud.line_len);
        memcpy(line + job->u.uud.line_len, src + taken, kept);
        job->u.uud.line_len += kept;
        taken += n;
        if (lf == NULL) continue;
        job->u.uud.begun = codec_uu_find(line, job->u.uud.line_len).offset == 0;
        job->u.uud.line_len = 0;
    }
    job->u.uud.data = job->offset + taken;
    return taken;
}

static void set_uu_error(struct codec_job *job)
{
    const struct codec_uu_decoder *decoder = &job->u.uud.decoder;
    if (decoder->error != CODEC_NO_ERROR) job->error = job->u.uud.data + decoder->error;
}

static struct codec_progress feed_unuu(struct codec_job *job, const char *src, size_t len,
                                       char *dst, size_t cap)
{
    const size_t skipped = job->u.uud.begun ? 0 : look_for_begin(job, src, len);
    struct codec_progress done =
        codec_uu_decoder_feed(&job->u.uud.decoder, src + skipped, len - skipped, dst, cap);
    done.taken += skipped;
    set_uu_error(job);
    return done;
}

static size_t finish_unuu(struct codec_job *job, char *dst, size_t cap)
{
    (void)dst;
    (void)cap;
    codec_uu_decoder_finish(&job->u.uud.decoder);
    set_uu_error(job);
    if (!job->u.uud.begun) job->why = "no line \"begin MODE NAME\"";
    return 0;
}

/* ---- dots
 * ------------------------------------------------------------------------------------------- */

static bool start_stuff(struct codec_job *job)
{
    scan_stuffer_init(&job->u.stuffer);
    return true;
}

static struct codec_progress feed_stuff(struct codec_job *job, const char *src, size_t len,
                                        char *dst, size_t cap)
{
    const size_t taken = MIN(len, cap / 2);
    return (struct codec_progress){taken, scan_stuff(&job->u.stuffer, src, taken, dst)};
}

static size_t finish_stuff(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    const char *end = scan_stuffer_at_line_start(&job->u.stuffer) ? ".\r\n" : "\r\n.\r\n";
    const size_t len = strlen(end);
    memcpy(dst, end, len);
    return len;
}

static bool start_unstuff(struct codec_job *job)
{
    scan_reader_init(&job->u.reader, true);
    return true;
}

static struct codec_progress feed_unstuff(struct codec_job *job, const char *src, size_t len,
                                          char *dst, size_t cap)
{
    const struct scan_progress done = scan_read(&job->u.reader, src, len, dst, cap);
    if (job->u.reader.state == SCAN_END && done.taken < len) {
        job->error = job->offset + done.taken;
        job->why = "more behind the end of the data";
    }
    return (struct codec_progress){done.taken, done.written};
}

static size_t finish_unstuff(struct codec_job *job, char *dst, size_t cap)
{
    (void)dst;
    (void)cap;
    if (job->u.reader.state != SCAN_END) job->error = job->offset;
    return 0;
}

/* ---- DKIM
 * -------------------------------------------------------------------------------------------- */

static bool start_dkim(struct codec_job *job)
{
    const bool relaxed = strcmp(job->options->argument, "relaxed") == 0;
    codec_dkim_body_init(&job->u.dkim, relaxed ? CODEC_DKIM_RELAXED : CODEC_DKIM_SIMPLE);
    return relaxed || strcmp(job->options->argument, "simple") == 0;
}

static struct codec_progress feed_dkim(struct codec_job *job, const char *src, size_t len,
                                       char *dst, size_t cap)
{
    return codec_dkim_body_feed(&job->u.dkim, src, len, dst, cap);
}

static size_t finish_dkim(struct codec_job *job, char *dst, size_t cap)
{
    (void)cap;
    const size_t written = codec_dkim_body_finish(&job->u.dkim, dst);
    job->more = written > 0; /* held line ends may be many */
    return written;
}

/* ---- the table
 * ---------------------------------------------------------------------------------------- */

enum { STRICTNESS = CODEC_OPTION_LENIENT | CODEC_OPTION_STRICT };

const struct codec_operation codec_operations[] = {
    {.name = "base64",
     .allowed = CODEC_OPTION_WRAP,
     .start = start_base64,
     .feed = feed_base64,
     .finish = finish_base64},
    {.name = "base64",
     .decode = true,
     .allowed = STRICTNESS,
     .start = start_unbase64,
     .feed = feed_unbase64,
     .finish = finish_unbase64},
    {.name = "qp",
     .allowed = CODEC_OPTION_BINARY | CODEC_OPTION_FROM | CODEC_OPTION_DOT,
     .start = start_qp,
     .feed = feed_qp,
     .finish = finish_qp},
    {.name = "qp",
     .decode = true,
     .allowed = STRICTNESS,
     .start = start_unqp,
     .feed = feed_unqp,
     .finish = finish_unqp},
    {.name = "uuencode",
     .argument = "NAME",
     .start = start_uu,
     .feed = feed_uu,
     .finish = finish_uu},
    {.name = "uuencode",
     .decode = true,
     .start = start_unuu,
     .feed = feed_unuu,
     .finish = finish_unuu},
    {.name = "stuff", .start = start_stuff, .feed = feed_stuff, .finish = finish_stuff},
    {.name = "unstuff", .start = start_unstuff, .feed = feed_unstuff, .finish = finish_unstuff},
    {.name = "dkim",
     .argument = "simple or relaxed",
     .start = start_dkim,
     .feed = feed_dkim,
     .finish = finish_dkim},
    {.name = "words",
     .start = codec_job_start_words,
     .feed = codec_job_feed_words,
     .finish = codec_job_finish_words},
    {.name = "words",
     .decode = true,
     .start = codec_job_start_words,
     .feed = codec_job_feed_words,
     .finish = codec_job_finish_words},
    {.name = "utf8",
     .start = codec_job_start_utf8,
     .feed = codec_job_feed_utf8,
     .finish = codec_job_finish_utf8},
};
const size_t codec_operation_count = ARRAY_COUNT(codec_operations);
