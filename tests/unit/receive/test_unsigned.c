/* SPDX-License-Identifier: Apache-2.0
 *
 * test_unsigned - a session, a spool and a key that fails (the linker puts it before OpenSSL's)
 */
#include "internal.h"
#include "ringpost/dkim/desk.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
/* after those above, as it wants */
#include <cmocka.h>

static char folder[] = "/tmp/test_unsigned.XXXXXX";
static struct worker *worker;
static struct dkim_desk *desk;
static struct receive_limits *limits;
static struct auth_shared *auth;
static struct receive *receive;
static struct spool *spool;
static struct address address;
static int client = -1;
static bool key_fails;
static uint32_t handles, accepted;
static char prefix[8192]; /* of the message that was accepted last */

bool __real_dkim_field_sign(struct dkim_field *field, uint32_t slot);
bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot);
bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot)
{
    return !key_fails && __real_dkim_field_sign(field, slot);
}

/* ---- what is done with messages -----------------------------------------------------------------
 */

static struct spool_message *message_new(void *context)
{
    (void)context;
    handles += 1;
    return base_alloc(sizeof(struct spool_message));
}

static void message_free(void *context, struct spool_message *message)
{
    (void)context;
    handles -= 1;
    base_free(message);
}

static void message_accepted(void *context, struct spool_message *message)
{
    const struct spool_view view = spool_message_view(message);
    snprintf(prefix, sizeof(prefix), "%.*s", BYTES_FMT(view.pieces[0]));
    accepted += 1;
    spool_message_unpin(spool, message);
    spool_message_done(spool, message);
    message_free(context, message);
}

static struct dns *sender_dns(void *context, struct bytes domain)
{
    (void)context, (void)domain;
    return NULL;
}

static void describe(void *context, const struct spool_message *message, struct text *out)
{
    (void)context, (void)message, (void)out;
}

static struct spool_message *recovered(void *context, uint64_t id, struct bytes envelope,
                                       struct bytes state, uint32_t content_size,
                                       uint8_t content_flags, uint32_t created_s)
{
    (void)context, (void)id, (void)envelope, (void)state;
    (void)content_size, (void)content_flags, (void)created_s;
    return NULL;
}

/* ---- begin and end ------------------------------------------------------------------------------
 */

static uint16_t free_port(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof(name);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    close(fd);
    return ntohs(name.sin_port);
}

static void open_receive(void)
{
    static const struct receive_callbacks callbacks = {message_new, message_free, message_accepted,
                                                       sender_dns};
    char why[200];
    struct dkim_key *key = dkim_key_generate(DKIM_ED25519_SHA256, 0, why, sizeof(why));
    const struct dkim_signer signer = {
        .domain = BYTES("a.test"), .selector = BYTES("s"), .key = key};
    struct dkim_signers *signers = dkim_signers_create(&signer, 1);
    const struct receive_listener_options listener = {
        .address = address,
        .smtp = smtp_server_options_default(),
        .relay_from = &address,
        .relay_from_count = 1,
        .connections_max = 10,
        .connections_per_client_max = 10,
        .dkim = true,
    };
    const struct receive_options options = {
        .listeners = &listener, .listener_count = 1, .signers = signers};
    limits = receive_limits_create();
    auth = auth_shared_create(worker->ring);
    receive =
        receive_create(worker, limits, auth, desk, &options, &callbacks, NULL, why, sizeof(why));
    if (receive == NULL) fail_msg("%s", why);
    dkim_signers_unref(signers);
    dkim_key_unref(key);
}

static void flush(void *context)
{
    (void)context;
    spool_flush(spool);
}

static void connect_client(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(address.port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
}

static int begin(void **state)
{
    static const struct spool_callbacks callbacks = {.describe = describe, .recovered = recovered};
    const struct worker_options options = {.workers = 1, .events = {.buffers_max = 1}};
    struct spool_options spool_options = {
        .segment_size = 1 << 20, .memory_max = 1 << 20, .message_size_max = 1 << 20};
    char why[200], text[32];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(spool_options.path, sizeof(spool_options.path), "%s", folder);
    snprintf(text, sizeof(text), "127.0.0.1:%u", free_port());
    assert_true(address_parse(bytes_of(text), 0, &address));
    worker = workers_create(&options, why, sizeof(why));
    if (worker == NULL) fail_msg("%s", why);
    ring_enter_thread(worker->ring);
    desk = dkim_desk_create(worker);
    open_receive();
    spool = spool_create(worker->ring, 0, 1, &spool_options, &callbacks, NULL, &worker->events,
                         &worker->metrics, why, sizeof(why));
    if (spool == NULL) fail_msg("%s", why);
    worker_add_hook(worker, WORKER_FLUSH, flush, &spool);
    receive_start(receive, spool);
    connect_client();
    return 0;
}

static int end(void **state)
{
    char command[100];
    (void)state;
    close(client);
    receive_shut_down(receive);
    while (!receive_is_closed(receive))
        worker_turn(worker);
    receive_destroy(&receive);
    dkim_desk_destroy(&desk);
    worker_remove_hooks(worker, &spool);
    spool_destroy(&spool);
    workers_destroy(&worker);
    receive_limits_destroy(&limits);
    auth_shared_destroy(&auth);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

/* ---- a client -----------------------------------------------------------------------------------
 */

/* The server's next words; as long as there are none it has something to do. */
static const char *listen_to(void)
{
    static char reply[2048];
    ssize_t len;
    while ((len = recv(client, reply, sizeof(reply) - 1, MSG_DONTWAIT)) < 0)
        worker_turn(worker);
    reply[len] = '\0';
    return reply;
}

static const char *say(const char *text)
{
    assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
    return listen_to();
}

static void expect(const char *reply, const char *wanted)
{
    if (strncmp(reply, wanted, strlen(wanted)) != 0) fail_msg("%s instead of %s", reply, wanted);
}

static const char *send_message(const char *from)
{
    char content[200];
    expect(say("MAIL FROM:<x@a.test>\r\n"), "250 ");
    expect(say("RCPT TO:<y@b.test>\r\n"), "250 ");
    expect(say("DATA\r\n"), "354 ");
    snprintf(content, sizeof(content), "From: %s\r\nSubject: x\r\n\r\nx\r\n.\r\n", from);
    return say(content);
}

static void a_key_that_fails_refuses_the_message(void **state)
{
    const uint64_t *counters = worker->metrics.counters;
    (void)state;
    expect(listen_to(), "220 ");
    expect(say("EHLO c.test\r\n"), "250-");

    expect(send_message("x@a.test"), "250 ");
    assert_int_equal(accepted, 1);
    expect(prefix, "DKIM-Signature: ");

    key_fails = true;
    assert_string_equal(send_message("x@a.test"),
                        "451 4.3.0 The message could not be signed, try again later\r\n");
    assert_int_equal(accepted, 1);
    assert_int_equal(handles, 0);
    assert_int_equal(counters[METRICS_MESSAGES_REFUSED], 1);
    assert_int_equal(counters[METRICS_DKIM_UNSIGNED], 1);
    assert_int_equal(counters[METRICS_DKIM_SIGNATURES], 1);

    expect(send_message("x@other.test"), "250 "); /* of nobody who signs */
    assert_int_equal(accepted, 2);
    expect(prefix, "Received: ");

    key_fails = false;
    expect(send_message("x@a.test"), "250 "); /* the client comes again */
    assert_int_equal(accepted, 3);
    expect(prefix, "DKIM-Signature: ");
    assert_int_equal(counters[METRICS_MESSAGES_RECEIVED], 3);
}

/* Nothing of the session is left behind either. */
static void the_client_may_be_gone_by_then(void **state)
{
    (void)state;
    const uint64_t refused = worker->metrics.counters[METRICS_MESSAGES_REFUSED];
    key_fails = true;
    expect(say("MAIL FROM:<x@a.test>\r\n"), "250 ");
    expect(say("RCPT TO:<y@b.test>\r\n"), "250 ");
    expect(say("DATA\r\n"), "354 ");
    static const char content[] = "From: x@a.test\r\n\r\nx\r\n.\r\n";
    assert_int_equal(send(client, content, strlen(content), 0), strlen(content));
    const struct linger reset = {1, 0};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(client);
    client = -1;
    while (receive_sessions(receive) > 0)
        worker_turn(worker);
    assert_int_equal(handles, 0);
    assert_in_range(worker->metrics.counters[METRICS_MESSAGES_REFUSED], refused, refused + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_fails_refuses_the_message),
        cmocka_unit_test(the_client_may_be_gone_by_then),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
