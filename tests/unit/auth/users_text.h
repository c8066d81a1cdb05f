/* SPDX-License-Identifier: Apache-2.0
 *
 * users_text - users of the tests, and where their messages go
 *
 * Hashes are cheap ones of "pencil"; the verifier is that of RFC 7677 section 3, user "user",
 * password "pencil".
 */
#pragma once
#include "ringpost/auth.h"
#include <stdio.h>

/* crypt(3) of "pencil", made by another implementation's user (Python's crypt module) */
#define BCRYPT_HASH   "$2b$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2"
#define YESCRYPT_HASH "$y$j75$saltsaltsaltsalt$NqEh491kiRv92sczGxs7PABorTQKeT3095HgoXgjRI6"
#define GOST_HASH     "$gy$j75$saltsaltsalt$VqUQkwMTyf0ThamjWv8v3BE4Iq2MJDBOkYpMt7oGy/3"
#define SHA256_HASH   "$5$saltsalt$hl9BvcGsj7AkON13nbqeQHDgRpHyFxt7WDzLoS.OCQ/"
#define SHA512_HASH                                                                                \
    "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/"                                            \
    "XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0"
#define RFC_VERIFIER                                                                               \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static char messages[4096];
static unsigned errors, warnings;

static inline void keep_message(void *context, bool error, const char *text)
{
    const size_t len = strlen(messages);
    (void)context;
    snprintf(messages + len, sizeof(messages) - len, "%s\n", text);
    errors += error;
    warnings += !error;
}
static inline struct auth_users *parse_users(const char *text)
{
    const struct auth_report report = {.message = keep_message};
    messages[0] = '\0';
    errors = warnings = 0;
    return auth_users_parse(bytes_of(text), "users", &report);
}
