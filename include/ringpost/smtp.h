/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp - the grammar that server and client share (RFC 5321, 2034, 3461, 6531)
 *
 * Job     parse and print replies, paths, parameters, enhanced codes; the envelope and its
 *         stored form. Pure functions over bytes: no I/O, clock or allocation.
 * Owner   every parsed struct bytes points into the input; it lives as long as the input does.
 * Errors  a malformed input is an enum smtp_syntax or a NULL, never an ASSERT.
 */
#pragma once
#include "ringpost/base.h"

/* ---- limits, octets without CRLF unless said (RFC 5321 section 4.5.3.1) ------------------------
 */
enum {
    SMTP_LOCAL_PART_MAX = 64,
    SMTP_DOMAIN_MAX = 255,
    SMTP_PATH_MAX = 254,        /* the address inside <>: local part, "@", domain */
    SMTP_ENVID_MAX = 100,       /* RFC 3461 section 4.4, xtext form */
    SMTP_ORCPT_MAX = 500,       /* RFC 3461 section 4.2, xtext form with type */
    SMTP_REPLY_LINE_MAX = 2048, /* we accept more than the 512 of the RFC, but not without end */
    SMTP_REPLY_LINES_MAX = 256,
    SMTP_REPLY_TEXT_MAX = 1000, /* kept of one reply, lines joined by a space */
    SMTP_PORT = 25,
};

/* ---- enhanced status codes (RFC 3463)
 * ------------------------------------------------------------ */
struct smtp_enhanced {
    uint8_t class;            /* 2, 4, 5; 0 = none given */
    uint16_t subject, detail; /* 0..999 each */
};
/* Reads "5.7.1" at the start of text; *rest is what follows it and one space. If there is none,
 * *code is zero and *rest is the text. */
bool smtp_enhanced_parse(struct bytes text, struct smtp_enhanced *code, struct bytes *rest);

/* ---- replies (RFC 5321 section 4.2)
 * --------------------------------------------------------------- */

/* One whole reply. Control characters in the text are replaced by '?', so that the text may go
 * into logs and reports (CVE-2020-8794: reply text is data of a stranger). */
struct smtp_reply {
    uint16_t code; /* 200..599 */
    struct smtp_enhanced enhanced;
    uint16_t text_len;
    char text[SMTP_REPLY_TEXT_MAX]; /* without code and enhanced code; lines joined by ' ' */
};

enum smtp_reply_status {
    SMTP_REPLY_MORE = 0,  /* no whole line left in the input */
    SMTP_REPLY_LINE,      /* one line of a multi-line reply: see ->line (EHLO needs each) */
    SMTP_REPLY_DONE,      /* ->reply is whole; ->line is its last line */
    SMTP_REPLY_MALFORMED, /* not a reply, too long, too many lines, codes that differ */
};
struct smtp_reply_parser {
    struct smtp_reply reply;
    struct bytes line; /* text behind "250-", in the input or in ->partial */
    uint16_t lines;
    uint16_t partial_len;
    bool done; /* the next octet begins a new reply */
    char partial[SMTP_REPLY_LINE_MAX];
};
void smtp_reply_parser_init(struct smtp_reply_parser *parser);
/* Takes octets from the front of *input up to the end of one line. Call again until MORE. Any
 * split of the same octets gives the same results. A bare LF ends a line too: receivers do that. */
enum smtp_reply_status smtp_reply_parse(struct smtp_reply_parser *parser, struct bytes *input);
static inline struct bytes smtp_reply_text(const struct smtp_reply *reply)
{
    return (struct bytes){reply->text, reply->text_len};
}

/* ---- extensions (service keywords of EHLO)
 * --------------------------------------------------------- */
enum smtp_extension {
    SMTP_EXT_PIPELINING = 1 << 0,          /* RFC 2920 */
    SMTP_EXT_SIZE = 1 << 1,                /* RFC 1870 */
    SMTP_EXT_8BITMIME = 1 << 2,            /* RFC 6152 */
    SMTP_EXT_SMTPUTF8 = 1 << 3,            /* RFC 6531 */
    SMTP_EXT_ENHANCEDSTATUSCODES = 1 << 4, /* RFC 2034 */
    SMTP_EXT_CHUNKING = 1 << 5,            /* RFC 3030 */
    SMTP_EXT_DSN = 1 << 6,                 /* RFC 3461 */
    SMTP_EXT_STARTTLS = 1 << 7,            /* RFC 3207 */
    SMTP_EXT_BINARYMIME = 1 << 8,          /* RFC 3030 */
    SMTP_EXT_LIMITS = 1 << 9,              /* RFC 9422 */
    SMTP_EXT_AUTH = 1 << 10,               /* RFC 4954 */
};
/* One line of an EHLO reply, e.g. "SIZE 1000": the bit, or 0 if unknown; *args is what follows. */
uint32_t smtp_extension_parse(struct bytes line, struct bytes *args);

/* ---- SASL mechanisms of AUTH (RFC 4954); bits, so that a set is a word
 * --------------------------------------------------------- */
enum smtp_mechanism {
    SMTP_MECHANISM_PLAIN = 1 << 0,         /* RFC 4616 */
    SMTP_MECHANISM_LOGIN = 1 << 1,         /* never standardised, but spoken everywhere */
    SMTP_MECHANISM_SCRAM_SHA_256 = 1 << 2, /* RFC 5802, 7677 */
};
/* Case does not matter (RFC 4422 section 3.1 has upper case only): the bit, or 0 if unknown. */
uint32_t smtp_mechanism_parse(struct bytes name);
const char *smtp_mechanism_name(enum smtp_mechanism mechanism); /* "SCRAM-SHA-256" */
enum { SMTP_AUTH_LINE_MAX = 12288 }; /* octets with CRLF, RFC 4954 section 3 */

/* ---- paths and parameters
 * ---------------------------------------------------------------------------- */
enum smtp_syntax {
    SMTP_SYNTAX_OK = 0,
    SMTP_SYNTAX_BAD,         /* 501 5.1.3 / 5.1.7 / 5.5.4 */
    SMTP_SYNTAX_TOO_LONG,    /* 501 5.1.3 / 5.1.7: over 4.5.3.1 */
    SMTP_SYNTAX_NEEDS_UTF8,  /* 553 5.6.7: 8-bit without SMTPUTF8 */
    SMTP_SYNTAX_UNKNOWN,     /* 555 5.5.4: parameter not known */
    SMTP_SYNTAX_UNSUPPORTED, /* 504 5.5.4: known, value not implemented */
};

/* An address: source route and <> stripped, case and quoting of the local part as given. */
struct smtp_path {
    struct bytes address; /* local@domain, or "Postmaster"; empty = the null reverse-path */
    struct bytes local, domain;
    bool utf8; /* has octets over 127 */
};
/* Reads "<...>" at the front of *input and skips it. Forward: "<>" is refused, "<Postmaster>" is
 * allowed. No control characters whatever the quoting; UTF-8 must be valid (RFC 3629). */
enum smtp_syntax smtp_path_parse(struct bytes *input, bool reverse, bool utf8_allowed,
                                 struct smtp_path *path);
/* A domain name (RFC 5321 Domain) or address literal "[...]". */
bool smtp_domain_is_valid(struct bytes domain, bool utf8_allowed);
bool smtp_address_literal_is_valid(struct bytes literal);

enum smtp_body { SMTP_BODY_7BIT = 0, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_UNSET = 0, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify {
    SMTP_NOTIFY_UNSET = 0, /* as if FAILURE */
    SMTP_NOTIFY_NEVER = 1,
    SMTP_NOTIFY_SUCCESS = 2,
    SMTP_NOTIFY_FAILURE = 4,
    SMTP_NOTIFY_DELAY = 8,
};

struct smtp_mail_params {
    uint64_t size;      /* SIZE=; 0 = not given */
    struct bytes envid; /* xtext, as given */
    struct bytes auth;  /* AUTH=, RFC 4954 section 5: xtext or "<>", as given; empty = not given */
    uint8_t body;       /* enum smtp_body */
    uint8_t ret;        /* enum smtp_ret */
    bool smtputf8;
};
struct smtp_rcpt_params {
    struct bytes orcpt; /* "rfc822;xtext", as given */
    uint8_t notify;     /* bits of enum smtp_notify */
};
/* input: what follows the path, " SIZE=... BODY=...". A parameter given twice is BAD. */
enum smtp_syntax smtp_mail_params_parse(struct bytes input, struct smtp_mail_params *params);
enum smtp_syntax smtp_rcpt_params_parse(struct bytes input, struct smtp_rcpt_params *params);

/* ---- xtext (RFC 3461 section 4)
 * ------------------------------------------------------------------------ */
bool smtp_xtext_is_valid(struct bytes xtext);
/* Both write at most out->cap - 1 octets and set out->cut when there was more. */
void smtp_xtext_encode(struct bytes plain, struct text *out);
bool smtp_xtext_decode(struct bytes xtext, struct text *out);

/* ---- the envelope and its stored form
 * -------------------------------------------------------------------- */

enum smtp_content_flag {
    SMTP_CONTENT_8BIT = 1 << 0,          /* some octet over 127 in the body or header */
    SMTP_CONTENT_LEADING_DOT = 1 << 1,   /* some line begins with "." */
    SMTP_CONTENT_NO_FINAL_CRLF = 1 << 2, /* does not end in CRLF (BDAT only) */
    SMTP_CONTENT_UTF8_HEADER = 1 << 3,   /* octet over 127 in the header: needs SMTPUTF8 onward */
};

struct smtp_recipient {
    struct bytes address; /* local@domain, or Postmaster */
    struct bytes orcpt;   /* as given, or empty */
    uint8_t notify;       /* bits of enum smtp_notify */
};
struct smtp_envelope {
    struct bytes reverse_path; /* empty = null */
    struct bytes envid;        /* xtext, or empty */
    struct bytes client;       /* for the account: address of the injector */
    struct bytes session_id;
    uint32_t recipient_count;
    uint8_t body;     /* enum smtp_body */
    uint8_t ret;      /* enum smtp_ret */
    uint8_t protocol; /* enum smtp_protocol: how it came in */
    bool smtputf8;
    struct bytes recipients; /* stored form: walk it with smtp_recipient_next() */
};
enum smtp_protocol {
    SMTP_PROTOCOL_LOCAL = 0,
    SMTP_PROTOCOL_SMTP,
    SMTP_PROTOCOL_ESMTP,
    SMTP_PROTOCOL_UTF8SMTP,
    SMTP_PROTOCOL_ESMTPS, /* S: through TLS, A: authenticated (RFC 3848, RFC 6531 section 4.3) */
    SMTP_PROTOCOL_ESMTPA,
    SMTP_PROTOCOL_ESMTPSA,
    SMTP_PROTOCOL_UTF8SMTPS,
    SMTP_PROTOCOL_UTF8SMTPA,
    SMTP_PROTOCOL_UTF8SMTPSA,
    SMTP_PROTOCOL_COUNT,
};
const char *smtp_protocol_name(uint8_t protocol); /* "ESMTP", for Received and account */

/* Stored form, little-endian, every string with its length before it, so that no text can end up as
 * another field: version u8, flags, reverse-path, envid, client, session, recipients. The writer
 * needs space for the strings + 32 octets, and for each recipient its strings + 8; 0 = no room. */
enum { SMTP_ENVELOPE_HEAD_MAX = 4096, SMTP_ENVELOPE_RECIPIENT_MAX = 1024 };
size_t smtp_envelope_store_head(const struct smtp_envelope *envelope, char *out, size_t cap);
size_t smtp_envelope_store_recipient(const struct smtp_recipient *recipient, char *out, size_t cap);
/* The count is written by the head; patch it when recipients were added afterwards. */
void smtp_envelope_patch_count(char *stored, uint32_t recipient_count);
/* false: damaged (never trusts a length beyond the input). */
MUST_USE bool smtp_envelope_load(struct bytes stored, struct smtp_envelope *envelope);
/* false at the end, or where damaged. *cursor starts at envelope->recipients. */
bool smtp_recipient_next(struct bytes *cursor, struct smtp_recipient *recipient);
struct bytes smtp_domain_of(struct bytes address); /* behind the last '@'; empty if none */

/* ---- dates ------------------------------------------------------------------------------------
 */

enum { SMTP_DATE_MAX = 40 }; /* room for a date with its NUL */
/* "Sat, 21 Nov 2026 07:05:39 +0000" (RFC 5322 section 3.3), always in UTC. A time outside the years
 * 1970 to 9999 is taken as the nearest within. */
void smtp_date_format(wall_ms time, struct text *out);
