/* SPDX-License-Identifier: Apache-2.0
 *
 * session - greeting, EHLO with its extensions, HELO, QUIT (RFC 5321 sections 3.1, 3.2, 4.1.1.1)
 */
#include "internal.h"

static void read_size(struct smtp_client *client, struct bytes args)
{
    /* "SIZE" alone and "SIZE 0" announce no limit; more digits than we count to mean none too. */
    uint64_t size;
    client->limits.size = bytes_to_u64(args, UINT64_MAX, &size) ? size : 0;
}

/* "RCPTMAX=20 MAILMAX=5": unknown and senseless ones are ignored (RFC 9422 section 3). */
static void read_limits(struct smtp_client *client, struct bytes args)
{
    const struct {
        struct bytes prefix;
        uint32_t *limit;
    } known[] = {
        {{"MAILMAX=", 8}, &client->limits.mail_max},
        {{"RCPTMAX=", 8}, &client->limits.rcpt_max},
        {{"RCPTDOMAINMAX=", 14}, &client->limits.rcpt_domain_max},
    };
    while (args.len > 0) {
        const char *space = memchr(args.data, ' ', args.len);
        const struct bytes word = {args.data, space ? (size_t)(space - args.data) : args.len};
        args = bytes_skip(args, word.len + 1);
        for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
            uint64_t value;
            if (!bytes_starts_with_nocase(word, known[i].prefix)) continue;
            if (!bytes_to_u64(bytes_skip(word, known[i].prefix.len), UINT32_MAX, &value)) continue;
            *known[i].limit = (uint32_t)value; /* 0 would forbid all: it counts as not said */
        }
    }
}

void session_on_ehlo_line(struct smtp_client *client, struct bytes line)
{
    client->ehlo_lines += 1;
    if (client->ehlo_lines == 1) return; /* the domain and a greeting */

    struct bytes args;
    const uint32_t extension = smtp_extension_parse(line, &args);
    client->extensions |= extension;
    if (extension == SMTP_EXT_SIZE) read_size(client, args);
    if (extension == SMTP_EXT_LIMITS) read_limits(client, args);
    if (extension == SMTP_EXT_AUTH) secure_on_auth_line(client, args);
}

static void forget_extensions(struct smtp_client *client)
{
    client->extensions = 0;
    client->mechanisms = 0;
    client->limits = (struct smtp_client_limits){0};
}

static void give_up(struct smtp_client *client, enum smtp_stage stage,
                    const struct smtp_reply *reply)
{
    struct smtp_verdict why;
    verdict_of_reply(&why, stage, reply);
    client_set_end(client, reply->code < 500 ? SMTP_CLIENT_END_TEMP : SMTP_CLIENT_END_REFUSED,
                   &why);
    /* Behind 421 it is gone. Behind others, 554 too, QUIT is the proper end (section 3.1). */
    client_become(client, reply->code == 421 ? SMTP_CLIENT_ENDED : SMTP_CLIENT_QUIT);
}

void session_on_reply(struct smtp_client *client, enum smtp_stage stage,
                      const struct smtp_reply *reply)
{
    const unsigned class = reply->code / 100;
    if (stage == SMTP_STAGE_AUTH) {
        secure_on_auth(client, reply);
        return;
    }
    if (class == 3) {
        client_lost_sync(client, (struct smtp_client_expected){.stage = (uint8_t)stage},
                         "unexpected reply");
        return;
    }
    if (stage == SMTP_STAGE_GREETING) {
        if (class == 2) client_become(client, SMTP_CLIENT_EHLO);
        if (class != 2) give_up(client, stage, reply);
        return;
    }
    if (stage == SMTP_STAGE_STARTTLS) {
        secure_on_starttls(client, reply);
        return;
    }
    if (class == 2) {
        secure_next(client);
        return;
    }
    forget_extensions(client); /* lines of a refusal announce nothing */
    if (stage == SMTP_STAGE_EHLO && class == 5) {
        client_become(client, SMTP_CLIENT_HELO); /* section 3.2 */
        return;
    }
    give_up(client, stage, reply);
}
