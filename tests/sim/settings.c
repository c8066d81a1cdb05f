/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - the text of the configuration, the users, the keys
 */
#include "settings.h"
#include "directory.h"
#include "model.h"
#include "peers.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 8032 section 7.1, test 1: nothing about it depends on chance. */
static const char dkim_key[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                               "-----END PRIVATE KEY-----\n";
static int config_fd = -1, users_fd = -1, key_fd = -1;
static uint32_t running_workers;

static struct changes {
    bool mistake;    /* a line that is none: nothing may change */
    bool wrong;      /* the password of the next hops */
    bool all_routed; /* route "*" */
    bool nowhere;    /* a next hop that DNS does not know */
    bool no_users;   /* of ours */
    bool spare;      /* one listener more */
    bool strict;     /* require_tls */
    bool ipv6_only;  /* a source that reaches few hosts */
    bool slow;       /* a rate */
    bool small;      /* little disk for the spool */
    bool loud;       /* log level */
} now;
static bool was_wrong, were_missing;

bool settings_are_odd(void)
{
    return sim.options.faults & SIM_FAULT_SETTINGS;
}

const char *settings_user(void)
{
    /* So long that AUTH PLAIN does not fit into one line. */
    static const char long_name[] = "relay-relay-relay-relay-relay-relay-relay-relay-relay-relay-"
                                    "relay-relay-relay-relay-relay-relay-relay-relay-relay-relay-"
                                    "relay-relay-relay-relay-relay-relay-relay-relay-relay-relay-"
                                    "relay-relay-relay-relay-relay-relay-relay-relay-relay-relay";
    return sim.options.seed % 4 == 2 ? long_name : "relay";
}

const char *settings_password(void)
{
    static const char long_word[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    return sim.options.seed % 4 == 2 ? long_word : "secret";
}

bool settings_password_in_clear(void)
{
    return sim.options.seed % 5 == 1;
}

bool settings_password_was_wrong(void)
{
    return was_wrong;
}

bool settings_users_were_missing(void)
{
    return were_missing;
}

const char *settings_path(void)
{
    static char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", config_fd);
    return path;
}

/* ---- the files ----------------------------------------------------------------------------------
 */

int __real_ftruncate64(int fd, off_t size); /* these files are real ones */

static void fill(int fd, const char *text, size_t len)
{
    ASSERT(__real_ftruncate64(fd, 0) == 0 && pwrite(fd, text, len, 0) == (ssize_t)len);
}

/* One hash for all, which is as cheap as can be. */
static void write_users(void)
{
#define SECRET "$2b$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2"
    static const char app[] = "app:" SECRET ":*\n", few[] = "few:" SECRET ":<>,few.test\n",
                      other[] = "other:" SECRET ":*\n";
#undef SECRET
    char text[400];
    const int len = snprintf(text, sizeof(text), "%s%s", now.no_users ? other : app,
                             settings_are_odd() && !now.no_users ? few : "");
    if (users_fd < 0) users_fd = memfd_create("users", 0);
    fill(users_fd, text, (size_t)len);
    ASSERT(fchmod(users_fd, 0600) == 0);
}

static void write_key(void)
{
    if (key_fd >= 0 || !model_is_signed()) return;
    key_fd = memfd_create("key", 0);
    fill(key_fd, dkim_key, sizeof(dkim_key) - 1);
}

/* ---- the configuration --------------------------------------------------------------------------
 */

static void put_listeners(struct text *out)
{
    const bool few = sim.options.seed % 9 == 2;
    text_printf(out,
                "listener \"127.0.0.1:%d\" { max_message_size = \"%d\" max_text_line = 998 "
                "relay_from = {\"127.0.0.0/8\"} auth = {\"plain\", \"login\"} auth_clear = true "
                "max_connections = %u max_connections_per_client = %u %s%s}\n",
                INJECTION_PORT, MESSAGE_SIZE_MAX, few ? 6u : 10000u, few ? 4u : 1000u,
                injectors_know_tls() ? "tls = starttls certificate = {\"/relay.test\"} " : "",
                now.strict && injectors_know_tls() ? "require_tls = true " : "");
    if (injectors_know_tls()) {
        text_printf(out,
                    "listener \"127.0.0.1:%d\" { max_message_size = \"%d\" max_text_line = 998 "
                    "tls = implicit certificate = {\"/relay.test\"} "
                    "relay_from = {\"127.0.0.0/8\"} }\n",
                    SECURE_PORT, MESSAGE_SIZE_MAX);
    }
    if (now.spare) text_put(out, BYTES("listener \"127.0.0.1:2527\" { }\n"));
}

static void put_signers(struct text *out)
{
    if (!model_is_signed()) return;
    text_printf(out,
                "dkim \"s.test\" { selector = a key = \"/proc/self/fd/%d\" }\n"
                "dkim \"s.test\" { selector = b key = \"/proc/self/fd/%d\" "
                "canonicalization = simple/simple }\n"
                "dkim \"relay.test\" { selector = a key = \"/proc/self/fd/%d\" }\n",
                key_fd, key_fd, key_fd);
}

static void put_sites(struct text *out)
{
    text_printf(out,
                "site \"d2.test\" { messages_per_second = 20 burst = 3 tls = %s }\n"
                "site \"default\" { connections = %d  retry = {\"1m\", \"3m\", \"10m\"}  "
                "expiry = \"%s\" delay_notice = \"1h\" recipients_per_transaction = %u "
                "messages_per_connection = %u }\n",
                model_tls_policy(), SITE_CONNECTIONS_MAX, model_is_short_lived() ? "20m" : "2d",
                sim.options.seed % 2 ? 100u : 3u, sim.options.seed % 5 ? 1000u : 2u);
    if (!settings_are_odd()) return;
    text_printf(out,
                "source \"six\" { address6 = \"fd53::ff\" ehlo = \"six.test\" }\n"
                "site \"d5.test\" { source = %s pipelining = false window = 1 }\n"
                "site \"d6.test\" { chunking = false %s }\n",
                now.ipv6_only ? "six" : "default",
                now.slow ? "messages_per_second = 0.2" : "tls_fail_memory = \"1m\"");
}

/* To the next hops that ask for a login. */
static void put_login_route(struct text *out, const char *domain, const char *hops,
                            const char *more)
{
    text_printf(out, "route \"%s\" { to = {%s} user = \"%s\" password = \"%s%s\" %s%s}\n", domain,
                hops, settings_user(), settings_password(), now.wrong ? "x" : "",
                settings_password_in_clear() ? "auth_clear = true " : "", more);
}

static void put_routes(struct text *out)
{
    if (directory_has_route())
        text_put(out, BYTES("route \"d1.test\" { to = {\"h2.mx.test:25\", \"10.0.3.1:25\"} }\n"));
    if (!settings_are_odd()) return;
    put_login_route(out, "d0.test", "\"h66.mx.test:587\", \"10.0.66.1:587\"", "");
    put_login_route(out, "d3.test", "\"h67.mx.test:465\"", "tls = implicit ");
    put_login_route(out, "d4.test", now.nowhere ? "\"nowhere.test:587\"" : "\"h66.mx.test:587\"",
                    "");
    if (now.all_routed) put_login_route(out, "*", "\"h66.mx.test:587\"", "");
}

static void write_config(void)
{
    char space[8192], disk[32] = "";
    const unsigned segment_mb = 1 + (unsigned)(sim.options.seed % 3);
    struct text text;
    if (now.small) snprintf(disk, sizeof(disk), "disk = \"%uM\" ", 5 * segment_mb);
    text_init(&text, space, sizeof(space));
    text_printf(&text,
                "users = \"/proc/self/fd/%d\"\nhostname = \"relay.test\"\nworkers = %u\n"
                "pin_workers = false\ncontrol = \"/control.sock\"\nresolver = {\"127.0.0.1:53\"}\n"
                "shutdown_timeout = \"20s\"\nlog { path = \"/log/log\"  level = %s }\n"
                "account { path = \"/account\" rotate_size = \"256M\" rotate_age = \"1d\" "
                "keep_age = \"99d\" }\n"
                "spool { path = \"/spool\" segment_size = \"%uM\" memory = \"%uM\" "
                "reserve = \"4M\" durability = %s %s}\n",
                users_fd, running_workers, sim.options.seed % 3 && !now.loud ? "info" : "debug",
                segment_mb, model_is_heavy() ? 16u : 16 + (unsigned)(sim.options.seed % 5) * 16,
                model_is_relaxed() ? "relaxed" : "commit", disk);
    put_listeners(&text);
    put_sites(&text);
    put_routes(&text);
    put_signers(&text);
    if (now.mistake) text_put(&text, BYTES("route \"d1.test\" { to = {} color = red }\n"));
    ASSERT(!text.cut);
    fill(config_fd, text.data, text.len);
    if (sim.options.trace) printf("%.*s", BYTES_FMT(text_bytes(&text)));
}

static void write_all(void)
{
    if (config_fd < 0) return; /* the first life has not begun */
    write_users();
    write_key();
    write_config();
}

void settings_write(void)
{
    const uint32_t lives = sim.options.workers > 1 ? sim.life - 1 : 0;
    running_workers = 1 + (sim.options.workers - 1 + lives) % 4;
    now.mistake = false;
    config_fd = memfd_create("config", 0); /* a real one; the old one may still be looked at */
    write_all();
}

/* ---- changes ------------------------------------------------------------------------------------
 */

static bool one_in(uint32_t of)
{
    return sim_below(SIM_SETTINGS, of) == 0;
}

void settings_change(void)
{
    now = (struct changes){
        .mistake = one_in(8),
        .wrong = one_in(4),
        .all_routed = one_in(4),
        .nowhere = one_in(3),
        .no_users = one_in(6),
        .spare = one_in(2),
        .strict = one_in(4),
        .ipv6_only = one_in(3),
        .slow = one_in(3),
        .small = one_in(4),
        .loud = one_in(4),
    };
    was_wrong |= now.wrong;
    were_missing |= now.no_users;
    write_all();
}

void settings_mend(void)
{
    now = (struct changes){0};
    write_all();
}
