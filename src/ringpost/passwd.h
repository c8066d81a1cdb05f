/* SPDX-License-Identifier: Apache-2.0
 *
 * passwd - what the files of `ringpost passwd` share
 */
#pragma once
#include "ringpost/auth.h"

/* Passwords are read from a terminal without showing them, twice if `twice`; else the first line of
 * standard input. Room for AUTH_PASSWORD_MAX octets; false: what was wrong has been said. */
bool passwd_read(bool twice, char *password, size_t *len);

/* The users file while it is edited: whoever has it open is the only one. */
struct passwd_file {
    char *path;     /* the file itself, behind symbolic links */
    char *new_path; /* what will replace it; locked */
    int new_fd;
    char *text; /* the present content; no file: empty */
    size_t len;
    bool is_new;
};
/* missing_ok: a file that is to be made. false: what was wrong has been said. */
bool passwd_file_open(struct passwd_file *file, const char *path, bool missing_ok);
/* The line of that user, without its end; empty when there is none. */
struct bytes passwd_file_find(const struct passwd_file *file, struct bytes name);
/* Takes the place of the line, or comes last; an empty one: the line goes. Whatever happens, the
 * file is whole: either as it was or as it shall be. */
bool passwd_file_replace(struct passwd_file *file, struct bytes name, struct bytes line);
void passwd_file_close(struct passwd_file *file);
