/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver - the mail hosts of the world: they take mail, and now and then do what hosts do
 *
 * They stall, refuse, greylist, answer with garbage, hang up at any step, take mail and lose the
 * reply. What they accepted goes to the model, with the reply's place in the stream: was it not
 * acknowledged when the connection ends, the sender need not know of it.
 */
#include "directory.h"
#include "model.h"
#include "peers.h"
#include "ringpost/codec/base64.h"
#include "ringpost/scan.h"
#include "settings.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

enum { RECIPIENTS_MAX = 120, ARRIVALS_MAX = 400 };

struct host {
    struct net_listener listener, listener6;
    uint32_t site, number;
    bool pipelining, chunking, binary, eight_bit, dsn, utf8, limits;
    bool old;                              /* knows no EHLO */
    bool login, implicit;                  /* asks for one; TLS from the first octet on */
    struct tls_server *tls;                /* NULL: knows no STARTTLS */
    uint32_t recipients_max, messages_max; /* of a transaction, of a connection */
};

struct arrival {
    struct model_arrival arrival;
    uint64_t reply_end; /* octet of the stream that ends the reply; 0: no reply was sent */
    instant at;
};

enum login_step { /* what the next line is, if not a command */
                  LOGIN_NONE = 0,
                  LOGIN_PLAIN,
                  LOGIN_USER,
                  LOGIN_PASSWORD,
};

struct session {
    struct net_end *end;
    struct host *host;
    struct tls *tls;
    struct outbox out;
    uint64_t written; /* octets put into out, ever */
    char *in;
    size_t in_len, in_cap;
    struct sim_event next; /* goes on with the input */
    struct sim_event idle; /* gives up on a client that says nothing */
    bool greeted, ending, in_mail, in_data, chunks;
    bool logged_in, right_user;
    uint8_t login_step;
    uint32_t messages; /* begun */
    bool mute;         /* answers no more */
    bool impatient;    /* says so before it gives up */
    bool liar;         /* its replies are out of step */
    bool early;        /* they come before what they answer */
    struct list link;
    uint32_t life; /* of the process that connected */
    char sender[64];
    char recipients[RECIPIENTS_MAX][64];
    size_t recipient_count;
    char refused[RECIPIENTS_MAX][64]; /* in this transaction */
    size_t refused_count;
    char *content;
    size_t content_len, content_cap;
    uint64_t chunk_left;
    bool chunk_last, chunk_bad;
    bool binary; /* BODY=BINARYMIME */
    struct arrival arrivals[ARRIVALS_MAX];
    size_t arrival_count;
};

static struct host hosts[HOSTS_MAX];
static struct list sessions = {&sessions, &sessions};
static uint32_t site_sessions[LOGIN_SITE + 1];

/* ---- out ---------------------------------------------------------------------------------------
 */

void outbox_put(struct outbox *outbox, const char *data, size_t len)
{
    if (outbox->len + len > outbox->cap) {
        if (outbox->len > outbox->first)
            memmove(outbox->data, outbox->data + outbox->first, outbox->len - outbox->first);
        outbox->len -= outbox->first;
        outbox->first = 0;
        while (outbox->len + len > outbox->cap)
            outbox->cap = MAX(outbox->cap * 2, (size_t)1024);
        outbox->data = base_realloc(outbox->data, outbox->cap);
    }
    memcpy(outbox->data + outbox->len, data, len);
    outbox->len += len;
}

void outbox_printf(struct outbox *outbox, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    outbox_put(outbox, text, (size_t)MIN(len, (int)sizeof(text) - 1));
}

bool outbox_flush(struct outbox *outbox, struct net_end *end)
{
    while (outbox->first < outbox->len) {
        const int64_t put =
            net_write(end, outbox->data + outbox->first, outbox->len - outbox->first);
        if (put < 0) return false;
        if (put == 0) break;
        outbox->first += (size_t)put;
    }
    return true;
}

void outbox_deinit(struct outbox *outbox)
{
    base_free(outbox->data);
    *outbox = (struct outbox){0};
}

size_t outbox_put_tls(struct outbox *outbox, struct tls *tls)
{
    struct bytes piece;
    size_t len = 0;
    while (tls_output(tls, &piece, 1) > 0) {
        outbox_put(outbox, piece.data, piece.len);
        len += piece.len;
        tls_output_sent(tls, piece.len);
    }
    return len;
}

wall_ms peers_wall(void)
{
    return (wall_ms)(sim.now / DURATION_MS(1)) + sim.wall_offset;
}

static void reply(struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);
static void reply(struct session *session, const char *format, ...)
{
    char text[512];
    va_list arguments;
    if (session->mute) return;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (session->tls != NULL) {
        const struct bytes piece = {text, (size_t)len};
        tls_write(session->tls, &piece, 1, SIZE_MAX);
        session->written += outbox_put_tls(&session->out, session->tls);
        return;
    }
    outbox_put(&session->out, text, (size_t)len);
    session->written += (size_t)len;
}

/* ---- the end of a session -----------------------------------------------------------------------
 */

static void excuse(struct session *session)
{
    const bool broken = session->end->error != 0 || session->mute;
    for (size_t i = 0; i < session->arrival_count; i++) {
        const struct arrival *arrival = &session->arrivals[i];
        /* What has arrived in the other's system may still be thrown away there by a reset. */
        const bool lately = arrival->at + DURATION_S(60) > sim.now;
        if (arrival->reply_end == 0 || arrival->reply_end > session->end->acked ||
            (broken && lately))
            model_excuse(&arrival->arrival, "the reply was lost");
    }
}

void receivers_excuse(void)
{
    LIST_FOR_EACH(node, &sessions)
    {
        struct session *session = CONTAINER_OF(node, struct session, link);
        size_t kept = 0;
        for (size_t i = 0; i < session->arrival_count; i++) {
            const struct arrival *arrival = &session->arrivals[i];
            const bool lost = net_peer_is_closed(session->end) &&
                              arrival->at + DURATION_S(2) > net_peer_closed_at(session->end);
            if (arrival->reply_end > session->end->acked || lost) {
                model_excuse(&arrival->arrival, "the reply has not arrived");
            } else {
                session->arrivals[kept++] = *arrival;
            }
        }
        session->arrival_count = kept;
    }
}

/* The other side may only act on a refusal when the whole transaction is over. */
static void refusals_end(struct session *session)
{
    for (size_t i = 0; i < session->refused_count; i++)
        model_refused(session->refused[i]);
    session->refused_count = 0;
}

/* What its host was said to have answered may have been for any message that goes there. */
static void excuse_site(const struct session *session)
{
    if (!session->early) return;
    for (uint32_t domain = 0; domain < sim.options.domains; domain++) {
        if (directory_site(domain) == session->host->site) model_unreliable(domain);
    }
}

static void finish(struct session *session)
{
    excuse(session);
    excuse_site(session);
    refusals_end(session);
    list_remove(&session->link);
    sim_cancel(&session->next);
    sim_cancel(&session->idle);
    net_close(session->end);
    site_sessions[session->host->site] -= 1;
    tls_free(&session->tls);
    outbox_deinit(&session->out);
    base_free(session->in);
    base_free(session->content);
    base_free(session);
}

/* Hangs up once everything has been sent, and the other has had time to read it. */
static void hang_up(struct session *session)
{
    session->ending = true;
    if (session->tls == NULL) return;
    tls_close(session->tls);
    session->written += outbox_put_tls(&session->out, session->tls);
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static bool fault(uint32_t of)
{
    return sim_fault(SIM_FAULT_RECEIVER, SIM_RECEIVER, of);
}

static void reset(struct session *session)
{
    refusals_end(session);
    session->in_mail = session->chunks = session->chunk_bad = false;
    session->recipient_count = 0;
    session->content_len = 0;
    session->sender[0] = '\0';
}

static void get_path(const char *line, char out[64])
{
    const char *from = strchr(line, '<'), *to = from == NULL ? NULL : strchr(from, '>');
    size_t len = to == NULL ? 0 : (size_t)(to - from - 1);
    if (len > 63) len = 63;
    if (len > 0) memcpy(out, from + 1, len);
    out[len] = '\0';
}

/* Nobody who is in the transaction will hear of it otherwise. */
static void refused_all(const struct session *session)
{
    for (size_t i = 0; i < session->recipient_count; i++)
        model_refused(session->recipients[i]);
}

/* From here on its replies are out of step: no client can tell what they mean. */
static void lie(struct session *session)
{
    session->liar = true;
    for (size_t i = 0; i < session->recipient_count; i++)
        model_lied_to(session->recipients[i]);
    for (size_t i = 0; i < session->arrival_count; i++)
        model_excuse(&session->arrivals[i].arrival, "the receiver's replies are out of step");
    session->arrival_count = 0;
}

static const char *login_offer(const struct session *session)
{
    static const char *const odd[] = {"", "250-AUTH CRAM-MD5\r\n"};
    if (!session->host->login) return "";
    if (fault(30)) return odd[sim_below(SIM_SETTINGS, ARRAY_COUNT(odd))];
    return sim_below(SIM_SETTINGS, 2) ? "250-AUTH PLAIN LOGIN\r\n" : "250-AUTH LOGIN GSSAPI\r\n";
}

static void say_hello(struct session *session)
{
    const struct host *host = session->host;
    session->logged_in = false;
    if (fault(60)) {
        reply(session, "250 h%u.mx.test\r\n", host->number);
        return;
    }
    reply(session,
          "250-h%u.mx.test\r\n%s%s%s%s%s%s%s%s%s250-ENHANCEDSTATUSCODES\r\n250 SIZE 1000000\r\n",
          host->number, login_offer(session),
          host->tls != NULL && session->tls == NULL ? "250-STARTTLS\r\n" : "",
          host->limits ? "250-LIMITS MAILMAX=7 RCPTMAX=2 RCPTDOMAINMAX=1\r\n" : "", /* RFC 9422 */
          host->pipelining ? "250-PIPELINING\r\n" : "", host->chunking ? "250-CHUNKING\r\n" : "",
          host->binary ? "250-BINARYMIME\r\n" : "", host->eight_bit ? "250-8BITMIME\r\n" : "",
          host->dsn ? "250-DSN\r\n" : "", host->utf8 ? "250-SMTPUTF8\r\n" : "");
}

static void on_starttls(struct session *session)
{
    if (session->host->tls == NULL || session->tls != NULL)
        sim_fail(SIM_CHECK_OCTETS, "STARTTLS to a host that did not offer it");
    if (session->in_len > 0) sim_fail(SIM_CHECK_OCTETS, "octets in clear behind STARTTLS");
    if (fault(40)) {
        reply(session, "454 4.7.0 TLS not available\r\n");
        return;
    }
    reset(session);
    if (fault(40)) { /* somebody in between answers what will be asked: it must not be believed */
        reply(session, "220 go\r\n250-evil.test\r\n250 PIPELINING\r\n250 sender\r\n");
        hang_up(session);
        return;
    }
    reply(session, "220 2.0.0 go\r\n");
    session->tls = tls_accept(session->host->tls, peers_wall());
}

/* ---- a login -----------------------------------------------------------------------------------
 */

static bool is_encoded(const char *text, const char *expected, size_t len)
{
    char encoded[1024];
    const size_t encoded_len = codec_base64_encode(expected, len, encoded);
    return strlen(text) == encoded_len && memcmp(text, encoded, encoded_len) == 0;
}

static bool is_plain(const char *text)
{
    char expected[600];
    const size_t user_len = strlen(settings_user()), password_len = strlen(settings_password());
    memcpy(expected + 1, settings_user(), user_len + 1);
    memcpy(expected + user_len + 2, settings_password(), password_len);
    expected[0] = '\0';
    return is_encoded(text, expected, user_len + password_len + 2);
}

static void login_ends(struct session *session, bool right)
{
    session->login_step = LOGIN_NONE;
    if (!right && !settings_password_was_wrong())
        sim_fail(SIM_CHECK_OCTETS, "a login that is nobody's");
    if (fault(20)) {
        reply(session, "454 4.7.0 not now\r\n");
    } else if (fault(30)) {
        reply(session, "334 bW9yZQ==\r\n");
    } else if (right) {
        session->logged_in = true;
        reply(session, "235 2.7.0 welcome\r\n");
    } else {
        reply(session, "535 5.7.8 nobody we know\r\n");
    }
}

static void ask_login(struct session *session, enum login_step step, const char *challenge)
{
    session->login_step = (uint8_t)step;
    reply(session, "334 %s\r\n", challenge);
}

static void on_login_line(struct session *session, const char *line)
{
    const char *user = settings_user(), *password = settings_password();
    switch ((enum login_step)session->login_step) {
    case LOGIN_PLAIN:
        login_ends(session, is_plain(line));
        break;
    case LOGIN_USER:
        session->right_user = is_encoded(line, user, strlen(user));
        ask_login(session, LOGIN_PASSWORD, "UGFzc3dvcmQ6");
        break;
    case LOGIN_PASSWORD:
        login_ends(session, session->right_user && is_encoded(line, password, strlen(password)));
        break;
    case LOGIN_NONE:
        break;
    }
}

static void on_auth(struct session *session, const char *line)
{
    if (!session->host->login) sim_fail(SIM_CHECK_OCTETS, "AUTH to a host that did not offer it");
    if (session->tls == NULL && !settings_password_in_clear())
        sim_fail(SIM_CHECK_OCTETS, "a login in clear, without auth_clear");
    if (strncasecmp(line, "AUTH PLAIN ", 11) == 0)
        login_ends(session, is_plain(line + 11));
    else if (strcasecmp(line, "AUTH PLAIN") == 0)
        ask_login(session, LOGIN_PLAIN, "");
    else
        ask_login(session, LOGIN_USER, "VXNlcm5hbWU6");
}

static void on_mail(struct session *session, const char *line)
{
    if (session->host->login && !session->logged_in && !session->liar)
        sim_fail(SIM_CHECK_OUTCOME, "MAIL without the login that the route has");
    reset(session);
    get_path(line, session->sender);
    session->binary = strstr(line, " BODY=BINARYMIME") != NULL;
    if (fault(80)) {
        reply(session, "451 4.3.0 not now\r\n");
        return;
    }
    if (session->messages++ == session->host->messages_max) {
        reply(session, "421 4.7.0 enough for one connection\r\n");
        hang_up(session);
        return;
    }
    session->in_mail = true;
    reply(session, "250 2.1.0 ok\r\n");
}

static void on_rcpt(struct session *session, const char *line)
{
    char address[64];
    get_path(line, address);
    if (session->liar) model_lied_to(address);
    if (!session->in_mail) {
        reply(session, "503 5.5.1 MAIL first\r\n");
        model_refused(address);
    } else if (session->recipient_count >= session->host->recipients_max) {
        reply(session, "452 4.5.3 too many recipients\r\n");
    } else if (fault(15)) {
        reply(session, "450 4.2.0 greylisted, come back\r\n");
    } else if (fault(30)) {
        reply(session, "550 5.1.1 no such user\r\n");
        model_refused(address);
        if (session->refused_count < RECIPIENTS_MAX)
            memcpy(session->refused[session->refused_count++], address, sizeof(address));
    } else {
        memcpy(session->recipients[session->recipient_count++], address, sizeof(address));
        reply(session, "250 2.1.5 ok\r\n");
    }
}

static void keep_content(struct session *session, const char *data, size_t len)
{
    if (len == 0) return;
    if (session->content_len + len > session->content_cap) {
        session->content_cap = MAX(session->content_cap * 2, session->content_len + len);
        session->content = base_realloc(session->content, session->content_cap);
    }
    memcpy(session->content + session->content_len, data, len);
    session->content_len += len;
}

/* One of five has a certificate of another name. */
static bool has_right_name(const struct host *host)
{
    return host->number % 5 != 4;
}

/* Takes it, whatever becomes of the reply. */
static void accept_mail(struct session *session, bool with_reply)
{
    struct model_arrival arrivals[RECIPIENTS_MAX];
    const struct bytes content = {session->content, session->content_len};
    const bool takes_8bit = session->host->eight_bit || session->host->utf8 || session->binary;
    if (!takes_8bit && scan_has_8bit(content.data, content.len))
        sim_fail(SIM_CHECK_OCTETS, "8-bit content to a receiver without 8BITMIME");
    size_t count = model_arrived(session->sender, session->recipients, session->recipient_count,
                                 content, arrivals, ARRAY_COUNT(arrivals));
    if (sim.options.canary == SIM_CANARY_DUPLICATE && sim_below(SIM_RECEIVER, 10) == 0)
        count = model_arrived(session->sender, session->recipients, session->recipient_count,
                              content, arrivals, ARRAY_COUNT(arrivals));
    for (size_t i = 0; i < session->recipient_count; i++)
        model_came_by(session->recipients[i], session->tls != NULL, has_right_name(session->host));
    if (with_reply) reply(session, "250 2.0.0 taken\r\n");
    for (size_t i = 0; i < count; i++) {
        if (!with_reply || session->mute) {
            model_excuse(&arrivals[i], "the receiver says nothing");
            continue;
        }
        if (session->arrival_count == ARRIVALS_MAX) { /* the oldest are known by now */
            session->arrival_count = ARRIVALS_MAX / 2;
            memmove(session->arrivals, session->arrivals + ARRIVALS_MAX / 2,
                    sizeof(session->arrivals) / 2);
        }
        session->arrivals[session->arrival_count++] =
            (struct arrival){arrivals[i], session->written, sim.now};
    }
}

static void content_complete(struct session *session)
{
    if (session->recipient_count == 0) {
        reply(session, "554 5.5.1 no valid recipients\r\n");
    } else if (fault(30)) {
        reply(session, "451 4.3.0 try again later\r\n");
    } else if (fault(60)) {
        reply(session, "554 5.7.1 we do not like it\r\n");
        refused_all(session);
    } else if (fault(60)) { /* taken, and the reply is lost */
        accept_mail(session, false);
        hang_up(session);
    } else if (fault(60)) { /* not taken, and the line goes dead */
        session->mute = true;
    } else {
        accept_mail(session, true);
    }
    reset(session);
}

static void on_bdat(struct session *session, const char *line)
{
    unsigned long long size;
    char last[8] = "";
    if (sscanf(line + 4, "%llu %7s", &size, last) < 1) {
        reply(session, "501 5.5.4 how much?\r\n");
        hang_up(session);
        return;
    }
    session->chunk_left = size;
    session->chunk_last = strcasecmp(last, "LAST") == 0;
    session->chunk_bad = session->recipient_count == 0;
    session->chunks = true;
}

static void chunk_complete(struct session *session)
{
    session->chunks = false;
    if (session->chunk_bad) {
        reply(session, "503 5.5.1 no valid recipients\r\n");
        reset(session);
    } else if (session->chunk_last) {
        content_complete(session);
    } else {
        reply(session, "250 2.0.0 chunk\r\n");
    }
}

static void on_command(struct session *session, const char *line)
{
    if (fault(200)) { /* what no client can take for an answer */
        static const char *const noise[] = {
            "garbage", "2x0 what", "999 beyond", "250-one\r\n550 two", "", "25", "1000 more"};
        reply(session, "%s\r\n", noise[sim_below(SIM_RECEIVER, ARRAY_COUNT(noise))]);
        lie(session);
    }
    if (fault(150)) { /* a stall: the client has to give up by itself */
        session->mute = true;
        return;
    }
    if (fault(120)) {
        reply(session, "421 4.3.2 going down\r\n");
        hang_up(session);
        return;
    }
    if (fault(200)) {
        hang_up(session);
        session->mute = true;
        return;
    }
    if (session->login_step != LOGIN_NONE) {
        on_login_line(session, line);
    } else if (strncasecmp(line, "EHLO", 4) == 0 && !session->host->old) {
        reset(session);
        say_hello(session);
    } else if (strncasecmp(line, "HELO", 4) == 0) {
        reset(session);
        reply(session, "250 hello\r\n");
    } else if (strcasecmp(line, "STARTTLS") == 0) {
        on_starttls(session);
    } else if (strncasecmp(line, "AUTH ", 5) == 0) {
        on_auth(session, line);
    } else if (strncasecmp(line, "MAIL FROM:", 10) == 0) {
        on_mail(session, line);
    } else if (strncasecmp(line, "RCPT TO:", 8) == 0) {
        on_rcpt(session, line);
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        if (session->binary) sim_fail(SIM_CHECK_OCTETS, "binary content by DATA");
        if (session->recipient_count == 0 && session->host->number % 2 == 0) {
            reply(session, "554 5.5.1 no valid recipients\r\n");
        } else if (fault(60)) {
            reply(session, "451 4.3.0 no data now\r\n");
        } else {
            reply(session, "354 go on\r\n");
            session->in_data = true;
        }
    } else if (strncasecmp(line, "BDAT ", 5) == 0) {
        on_bdat(session, line);
    } else if (strncasecmp(line, "RSET", 4) == 0) {
        reset(session);
        reply(session, "250 2.0.0 ok\r\n");
    } else if (strncasecmp(line, "NOOP", 4) == 0) {
        reply(session, "250 2.0.0 ok\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        reply(session, "221 2.0.0 bye\r\n");
        hang_up(session);
    } else {
        reply(session, "500 5.5.2 what?\r\n");
    }
}

/* ---- input -------------------------------------------------------------------------------------
 */

static void drop_input(struct session *session, size_t len)
{
    if (len == 0) return;
    session->in_len -= len;
    memmove(session->in, session->in + len, session->in_len);
}

/* Lines up to the final dot, without stuffing. Returns false when it needs more. */
static bool take_data(struct session *session)
{
    size_t used = 0;
    bool complete = false;
    while (!complete) {
        const char *line = session->in + used;
        const char *end =
            used == session->in_len ? NULL : memchr(line, '\n', session->in_len - used);
        if (end == NULL) break;
        size_t len = (size_t)(end - line) + 1;
        used += len;
        if (len == 3 && memcmp(line, ".\r\n", 3) == 0) {
            complete = true;
        } else {
            const size_t dot = line[0] == '.';
            keep_content(session, line + dot, len - dot);
        }
        if (!complete && fault(5000)) { /* it has seen enough */
            reply(session, "554 5.3.4 we take no more of this\r\n");
            refused_all(session);
            reset(session);
            hang_up(session);
            break;
        }
    }
    drop_input(session, used);
    if (!complete) return false;
    session->in_data = false;
    content_complete(session);
    return true;
}

static bool take_chunk(struct session *session)
{
    const size_t len = (size_t)MIN((uint64_t)session->in_len, session->chunk_left);
    if (!session->chunk_bad) keep_content(session, session->in, len);
    drop_input(session, len);
    session->chunk_left -= len;
    if (session->chunk_left > 0) return false;
    chunk_complete(session);
    return true;
}

static bool take_line(struct session *session)
{
    char line[2200];
    const char *end = session->in_len == 0 ? NULL : memchr(session->in, '\n', session->in_len);
    if (end == NULL) return false;
    const size_t len = (size_t)(end - session->in) + 1;
    const bool is_command = len >= 2 && len < sizeof(line) && session->in[len - 2] == '\r';
    if (!is_command && session->liar) { /* who was told 354 may send content */
        hang_up(session);
        return false;
    }
    if (!is_command)
        sim_fail(SIM_CHECK_OCTETS, "a command line that does not end in CRLF, or of %zu octets",
                 len);
    memcpy(line, session->in, len - 2);
    line[len - 2] = '\0';
    drop_input(session, len);
    on_command(session, line);
    return true;
}

/* A reply to nothing: from here on each one comes before its command. Not where mail of all domains
 * may go. */
static void answer_early(struct session *session)
{
    static const char *const replies[] = {"250 2.0.0 yes", "250 2.0.0 yes\r\n250 2.0.0 yes",
                                          "220 2.0.0 go",  "354 go on",
                                          "235 2.7.0 yes", "450 4.2.0 later",
                                          "550 5.7.1 no",  "421 4.3.2 bye"};
    if (session->host->site >= SITES_MAX || settings_are_odd() || directory_has_route()) return;
    if (!sim_fault(SIM_FAULT_EARLY, SIM_EARLY, 2000)) return;
    session->early = true;
    lie(session);
    reply(session, "%s\r\n", replies[sim_below(SIM_EARLY, ARRAY_COUNT(replies))]);
}

static void go_on(struct sim_event *event)
{
    struct session *session = CONTAINER_OF(event, struct session, next);
    const bool shaking = session->tls != NULL && tls_status(session->tls) == TLS_HANDSHAKE;
    bool more = true;
    if (!session->greeted && !shaking) {
        session->greeted = true;
        if (fault(60)) {
            reply(session, "%s\r\n",
                  sim_below(SIM_RECEIVER, 2) ? "421 4.3.2 busy" : "554 5.3.2 no");
            hang_up(session);
        } else {
            reply(session, "220 h%u.mx.test ESMTP\r\n", session->host->number);
        }
    }
    if (session->greeted && !session->ending && !shaking) answer_early(session);
    excuse_site(session);
    for (int i = 0; more && !session->ending && i < 50; i++) {
        more = session->in_data  ? take_data(session)
               : session->chunks ? take_chunk(session)
                                 : take_line(session);
        if (more && sim_below(SIM_RECEIVER, 6) == 0) break; /* takes its time */
    }
    if (session->mute) outbox_deinit(&session->out);
    if (!outbox_flush(&session->out, session->end) ||
        (session->ending && outbox_is_empty(&session->out))) {
        if (session->end->error == 0 && !session->mute) {
            net_shutdown(session->end);
            sim_after(&session->idle, DURATION_S(2));
            return;
        }
        finish(session);
        return;
    }
    if (more && !session->ending)
        sim_after(&session->next, DURATION_US(20 + sim_skewed(SIM_RECEIVER, 0, 3000)));
}

static void on_idle(struct sim_event *event)
{
    struct session *session = CONTAINER_OF(event, struct session, idle);
    if (session->impatient && session->greeted && !session->ending && !session->mute) {
        reply(session, "421 4.4.2 idle for too long\r\n");
        hang_up(session);
        go_on(&session->next);
        return;
    }
    finish(session);
}

static void wait_for_client(struct session *session)
{
    session->impatient = settings_are_odd() && sim_fault(SIM_FAULT_RECEIVER, SIM_SETTINGS, 40);
    sim_after(&session->idle, session->impatient ? DURATION_MS(sim_skewed(SIM_SETTINGS, 1, 5000))
                                                 : DURATION_S(1200));
}

static char *room(struct session *session, size_t len)
{
    if (session->in_len + len > session->in_cap) {
        session->in_cap = MAX(session->in_cap * 2, session->in_len + len);
        session->in = base_realloc(session->in, session->in_cap);
    }
    return session->in + session->in_len;
}

static void take_secure(struct session *session, struct bytes octets)
{
    enum { READ_SIZE = 4096 };
    tls_feed(session->tls, octets);
    tls_handshake(session->tls);
    for (size_t len; (len = tls_read(session->tls, room(session, READ_SIZE), READ_SIZE)) > 0;)
        session->in_len += len;
    session->written += outbox_put_tls(&session->out, session->tls);
    if (tls_status(session->tls) == TLS_FAILED) hang_up(session);
}

static void on_change(struct net_end *end)
{
    struct session *session = end->owner;
    for (size_t readable; (readable = net_readable(end)) > 0;) {
        if (session->tls == NULL) {
            session->in_len += net_read(end, room(session, readable), readable);
        } else {
            char octets[4096];
            const size_t len = net_read(end, octets, sizeof(octets));
            take_secure(session, (struct bytes){octets, len});
        }
    }
    if (end->error != 0 || (net_at_end(end) && (session->ending || session->in_len == 0))) {
        finish(session);
        return;
    }
    if (session->ending && outbox_is_empty(&session->out)) return;
    wait_for_client(session);
    if (!sim_is_due(&session->next))
        sim_after(&session->next, DURATION_US(5 + sim_skewed(SIM_RECEIVER, 0, 500)));
}

static const struct net_events session_events = {NULL, on_change};

/* Those that the other side has closed do not count: it cannot know when we notice. */
static void check_site(uint32_t site)
{
    uint32_t count = 0;
    /* Where DNS has lied, domains of one site may look like several. */
    if (site_sessions[site] <= SITE_CONNECTIONS_MAX || directory_has_lied()) return;
    /* A static route, or settings for one domain, make two ready queues of one site. */
    if (site == 1 || site == directory_site(2) || site == LOGIN_SITE) return;
    if (settings_are_odd() && (site == directory_site(5) || site == directory_site(6))) return;
    LIST_FOR_EACH(node, &sessions)
    {
        const struct session *session = CONTAINER_OF(node, struct session, link);
        count += session->host->site == site && session->life == sim.life &&
                 !net_peer_is_closed(session->end);
    }
    if (count > SITE_CONNECTIONS_MAX)
        sim_fail(SIM_CHECK_LIMITS, "%u connections to site %u, which takes %d", count, site,
                 SITE_CONNECTIONS_MAX);
}

static void on_incoming(struct net_listener *listener, struct net_end *end)
{
    struct host *host = listener->owner;
    struct session *session = base_alloc(sizeof(*session));
    session->end = end;
    session->host = host;
    session->life = sim.life;
    session->next.happen = go_on;
    session->idle.happen = on_idle;
    if (host->implicit) session->tls = tls_accept(host->tls, peers_wall());
    end->owner = session;
    end->events = &session_events;
    list_push_back(&sessions, &session->link);
    site_sessions[host->site] += 1;
    check_site(host->site);
    sim_after(&session->idle, DURATION_S(1200));
    sim_after(&session->next, DURATION_US(50 + sim_skewed(SIM_RECEIVER, 0, 5000)));
}

/* ---- hosts -------------------------------------------------------------------------------------
 */

/* Whose sessions can be resumed. */
static struct tls_tickets *make_tickets(uint32_t number)
{
    const uint8_t seed[TLS_TICKETS_SEED_LEN] = {(uint8_t)number};
    return settings_are_odd() && number % 3 > 0 ? tls_tickets_create(seed, peers_wall()) : NULL;
}

/* Three of four know TLS. */
static struct tls_server *make_tls(const struct host *host)
{
    const uint32_t number = host->number;
    char name[32], why[64];
    const char *option;
    const struct tls_certificate certificate = {name, NULL};
    struct tls_server_options options = {.certificates = &certificate, .certificate_count = 1};
    if (hash_u64(sim.options.seed * 77 + number) % 4 == 0 && !host->login) return NULL;
    options.tickets = make_tickets(number);
    snprintf(name, sizeof(name), has_right_name(host) ? "h%u.mx.test" : "other%u.test", number);
    return tls_server_create(&options, &option, why, sizeof(why));
}

static void add_host(uint32_t number, uint32_t site)
{
    struct host *host = &hosts[number];
    *host = (struct host){
        .site = site,
        .number = number,
        .pipelining = sim_below(SIM_RECEIVER, 4) > 0,
        .chunking = sim_below(SIM_RECEIVER, 2) > 0,
        .eight_bit = sim_below(SIM_RECEIVER, 4) > 0,
        .dsn = sim_below(SIM_RECEIVER, 2) > 0,
        .utf8 = sim_below(SIM_RECEIVER, 2) > 0,
        .limits = sim_below(SIM_RECEIVER, 4) == 0,
        .old = sim_below(SIM_RECEIVER, 12) == 0,
        .messages_max = sim_below(SIM_RECEIVER, 4) == 0 ? 3 : UINT32_MAX,
        .recipients_max = sim_below(SIM_RECEIVER, 3) == 0 ? 2 : 100,
    };
    host->binary = host->chunking && number % 3 == 0;
    host->listener.address = directory_address(number);
    if (site == LOGIN_SITE) {
        host->login = true;
        host->implicit = number % 2;
        host->old = false;
        host->listener.address.port = host->implicit ? 465 : 587;
    }
    host->tls = make_tls(host);
    host->listener.on_incoming = on_incoming;
    host->listener.delay = sim_below(SIM_RECEIVER, 10) == 0
                               ? DURATION_MS(50)
                               : DURATION_US(50 + sim_skewed(SIM_RECEIVER, 0, 20000));
    host->listener.owner = host;
    list_init(&host->listener.link);
    net_listen(&host->listener);
    host->listener6 = host->listener;
    host->listener6.address = directory_address6(number);
    host->listener6.address.port = host->listener.address.port;
    list_init(&host->listener6.link);
    if (host->listener6.address.family != 0) net_listen(&host->listener6);
}

static struct sim_event weather;

/* Hosts go away and come back. */
static void weather_changes(struct sim_event *event)
{
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        if (hosts[i].listener.on_incoming == NULL) continue;
        hosts[i].listener.silent = hosts[i].listener6.silent = fault(12);
    }
    if (!sim.calm) sim_after(event, DURATION_S(60 + sim_below(SIM_RECEIVER, 600)));
}

void receivers_start(void)
{
    for (uint32_t site = 0; site < directory_sites(); site++) {
        add_host(2 * site, site);
        add_host(2 * site + 1, site);
    }
    add_host(2 * SENDER_SITE, SENDER_SITE);
    add_host(2 * SENDER_SITE + 1, SENDER_SITE);
    if (settings_are_odd()) {
        add_host(2 * LOGIN_SITE, LOGIN_SITE);
        add_host(2 * LOGIN_SITE + 1, LOGIN_SITE);
    }
    weather.happen = weather_changes;
    sim_after(&weather, DURATION_S(20));
}
