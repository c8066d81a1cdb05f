/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_job - one operation of `ringpost codec` on a stream of octets
 *
 * The driver (command_codec.c) reads and writes; a job turns pieces of the one into pieces of the
 * other, whatever their size.
 */
#pragma once
#include "ringpost/codec.h"
#include "ringpost/scan.h"

enum codec_option { /* bits */
                    CODEC_OPTION_LENIENT = 1 << 0,
                    CODEC_OPTION_STRICT = 1 << 1,
                    CODEC_OPTION_WRAP = 1 << 2,
                    CODEC_OPTION_BINARY = 1 << 3,
                    CODEC_OPTION_FROM = 1 << 4,
                    CODEC_OPTION_DOT = 1 << 5,
};
struct codec_options {
    bool decode;
    unsigned given; /* enum codec_option */
    size_t wrap;
    const char *argument;
};

enum { CODEC_JOB_LINE_MAX = 1024, CODEC_JOB_TEXT_MAX = 1 << 20 };
struct codec_job {
    uint64_t offset; /* octets taken */
    uint64_t error;  /* offset of the first wrong octet; CODEC_NO_ERROR */
    const char *why; /* what is wrong, if "wrong octet" says too little */
    bool more;       /* finish() has not written all yet */
    const struct codec_options *options;
    union {
        struct codec_base64_encoder base64_encoder;
        struct codec_base64_decoder base64_decoder;
        struct codec_qp_encoder qp_encoder;
        struct codec_qp_decoder qp_decoder;
        struct codec_dkim_body dkim;
        struct scan_stuffer stuffer;
        struct scan_reader reader;
        struct {
            struct codec_uu_encoder encoder;
            bool begun;
        } uu;
        struct {
            struct codec_uu_decoder decoder;
            bool begun;
            uint64_t data; /* offset of what is behind the line "begin" */
            size_t line_len;
            char line[CODEC_JOB_LINE_MAX]; /* that may be it */
        } uud;
        struct scan_utf8 utf8;
        struct {
            size_t len, at;
            char *text; /* all there is: a field is no stream */
            char *out;
            size_t out_len;
        } words;
    } u;
};

struct codec_operation {
    const char *name;
    bool decode;
    unsigned allowed;     /* enum codec_option */
    const char *argument; /* what it must be given; NULL: nothing */
    /* False: the argument or an option makes no sense. */
    bool (*start)(struct codec_job *job);
    /* All of dst up to cap may be written, cap at least CODEC_ROOM_MIN. */
    struct codec_progress (*feed)(struct codec_job *job, const char *src, size_t len, char *dst,
                                  size_t cap);
    /* Called again as long as it sets ->more. */
    size_t (*finish)(struct codec_job *job, char *dst, size_t cap);
};
extern const struct codec_operation codec_operations[];
extern const size_t codec_operation_count;

/* codec_job_text.c */
bool codec_job_start_words(struct codec_job *job);
struct codec_progress codec_job_feed_words(struct codec_job *job, const char *src, size_t len,
                                           char *dst, size_t cap);
size_t codec_job_finish_words(struct codec_job *job, char *dst, size_t cap);
bool codec_job_start_utf8(struct codec_job *job);
struct codec_progress codec_job_feed_utf8(struct codec_job *job, const char *src, size_t len,
                                          char *dst, size_t cap);
size_t codec_job_finish_utf8(struct codec_job *job, char *dst, size_t cap);
