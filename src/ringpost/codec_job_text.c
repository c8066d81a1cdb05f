/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_job_text - `ringpost codec words` and `utf8`
 */
#include "codec_job.h"
#include "ringpost/base.h"

/* ---- words: the body of a field, all at once
 * -------------------------------------------------------- */

bool codec_job_start_words(struct codec_job *job)
{
    job->u.words.text = base_alloc(CODEC_JOB_TEXT_MAX);
    return true;
}

struct codec_progress codec_job_feed_words(struct codec_job *job, const char *src, size_t len,
                                           char *dst, size_t cap)
{
    (void)dst;
    (void)cap;
    const size_t n = MIN(len, CODEC_JOB_TEXT_MAX - job->u.words.len);
    memcpy(job->u.words.text + job->u.words.len, src, n);
    job->u.words.len += n;
    if (n < len) {
        job->error = job->offset + n;
        job->why = "a field is not that long";
    }
    return (struct codec_progress){len, 0};
}

/* The line end behind the text is not part of it, and comes back behind the result. */
static void convert(struct codec_job *job)
{
    const char *text = job->u.words.text;
    size_t len = job->u.words.len;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len -= 1;
    if (job->options->decode) {
        const size_t cap = codec_word_decode(text, len, NULL, 0);
        job->u.words.out = base_alloc(cap + 2);
        job->u.words.out_len = codec_word_decode(text, len, job->u.words.out, cap);
        job->u.words.out[job->u.words.out_len++] = '\n';
        return;
    }
    job->u.words.out = base_alloc(codec_word_encoded_max(len) + 2);
    if (codec_word_needed(text, len)) {
        job->u.words.out_len =
            codec_word_encode(text, len, job->u.words.out, 0, CODEC_WORD_TEXT, CODEC_WORD_AUTO);
    } else {
        memcpy(job->u.words.out, text, len);
        job->u.words.out_len = len;
    }
    memcpy(job->u.words.out + job->u.words.out_len, "\r\n", 2);
    job->u.words.out_len += 2;
}

size_t codec_job_finish_words(struct codec_job *job, char *dst, size_t cap)
{
    if (job->u.words.out == NULL) convert(job);
    const size_t n = MIN(cap, job->u.words.out_len - job->u.words.at);
    memcpy(dst, job->u.words.out + job->u.words.at, n);
    job->u.words.at += n;
    job->more = job->u.words.at < job->u.words.out_len;
    if (job->more) return n;
    base_free(job->u.words.out);
    base_free(job->u.words.text);
    return n;
}

/* ---- utf8: nothing comes out
 * ------------------------------------------------------------------------- */

bool codec_job_start_utf8(struct codec_job *job)
{
    scan_utf8_init(&job->u.utf8);
    return true;
}

struct codec_progress codec_job_feed_utf8(struct codec_job *job, const char *src, size_t len,
                                          char *dst, size_t cap)
{
    (void)dst;
    (void)cap;
    if (!scan_utf8_feed(&job->u.utf8, src, len)) job->error = job->u.utf8.valid;
    return (struct codec_progress){len, 0};
}

size_t codec_job_finish_utf8(struct codec_job *job, char *dst, size_t cap)
{
    (void)dst;
    (void)cap;
    if (!scan_utf8_finish(&job->u.utf8)) job->error = job->u.utf8.valid;
    return 0;
}
