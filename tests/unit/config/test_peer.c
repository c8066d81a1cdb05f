/* SPDX-License-Identifier: Apache-2.0
 *
 * test_peer - TLS with receivers, logins at next hops: settings, inheritance, files
 */
#include "ringpost/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static char messages[64 * 1024];
static unsigned errors;

static void keep_message(void *context, bool error, const char *text)
{
    (void)context;
    const size_t len = strlen(messages);
    snprintf(messages + len, sizeof(messages) - len, "%s\n", text);
    errors += error;
}
static const struct config_report report = {keep_message, NULL};

#define MINIMAL "spool { path = /s }\nlistener \"127.0.0.1:2525\" { }\n"

/* With the files that it names; NULL: something is wrong. */
static struct config *load(const char *text)
{
    messages[0] = '\0';
    errors = 0;
    struct config *config = config_parse(bytes_of(text), "f.conf", "host.example.com", &report);
    if (config != NULL && !config_read_files(config, NULL, 1000, &report)) config_free(&config);
    return config;
}

static struct config *load_good(const char *text)
{
    struct config *config = load(text);
    if (config == NULL) print_error("%s", messages);
    assert_non_null(config);
    return config;
}

/* This one message, behind "f.conf:", or what it begins with. */
static void expect_error(const char *text, const char *message)
{
    struct config *config = load(text);
    assert_null(config);
    assert_int_equal(errors, 1);
    if (strncmp(messages + 7, message, strlen(message)) != 0) print_error("%s", messages);
    assert_memory_equal(messages, "f.conf:", 7);
    assert_memory_equal(messages + 7, message, strlen(message));
}

static void tls_of_sites(void **state)
{
    (void)state;
    struct config *config = load_good(MINIMAL "site a.example { tls = verify tls_names = "
                                              "{\"mx.a.example\", \"*.b.example\"} }\n"
                                              "site default { tls = encrypt tls_timeout = 7s "
                                              "tls_fail_memory = 2h }\n"
                                              "site b.example { tls = none }\n"
                                              "site c.example { tls_version = \"1.3\" }\n");
    const struct queue_options *queue = &config->queue;
    const struct queue_tls *defaults = &queue->default_tls;
    assert_int_equal(defaults->policy, SMTP_TLS_ENCRYPT);
    assert_int_equal(defaults->fail_memory_s, 7200);
    assert_int_equal(queue->defaults.timeouts.tls, 7);
    assert_non_null(defaults->client);
    const struct queue_tls *a = queue_options_tls(queue, BYTES("a.example"));
    assert_int_equal(a->policy, SMTP_TLS_VERIFY);
    assert_int_equal(a->fail_memory_s, 7200);
    assert_int_equal(a->name_count, 2);
    assert_string_equal(a->names[0], "mx.a.example");
    assert_string_equal(a->names[1], "*.b.example");
    assert_ptr_equal(a->client, defaults->client); /* one trust store for both */
    assert_int_equal(queue_options_tls(queue, BYTES("b.example"))->policy, SMTP_TLS_NONE);
    assert_int_equal(queue_options_tls(queue, BYTES("b.example"))->name_count, 0);
    assert_ptr_not_equal(queue_options_tls(queue, BYTES("c.example"))->client, defaults->client);
    config_free(&config);

    config = load_good(MINIMAL); /* without any block */
    assert_int_equal(config->queue.default_tls.policy, SMTP_TLS_MAY);
    assert_non_null(config->queue.default_tls.client);
    config_free(&config);
}

static void bad_tls_of_sites(void **state)
{
    (void)state;
    expect_error(MINIMAL "site a.example {\n tls = maybe\n}",
                 "4: tls: \"maybe\" is none of none, may, encrypt, verify");
    expect_error(MINIMAL "site a.example {\n tls = may\n tls_names = {\"a b\"}\n}",
                 "5: tls_names: \"a b\" is not a name");
    expect_error(MINIMAL "site a.example {\n tls_key = \"/k\"\n}",
                 "4: tls_key is set without tls_certificate");
    expect_error(MINIMAL "site a.example {\n tls_version = \"1.1\"\n}",
                 "4: tls_version: \"1.1\" is none of default, 1.2, 1.3");
    /* Two sites with the same file, which is not there: told once. */
    expect_error(MINIMAL "site a.example {\n tls_trust = \"/nowhere/ca.pem\"\n}\n"
                         "site b.example {\n tls_trust = \"/nowhere/ca.pem\"\n}",
                 "4: TLS with receivers: /nowhere/ca.pem: ");
    expect_error(MINIMAL "site a.example {\n tls = may\n tls_ciphers = NONSENSE\n}",
                 "5: TLS with receivers: TLS ciphers");
    expect_error(MINIMAL "site a.example {\n tls = may\n tls_ciphersuites = NONSENSE\n}",
                 "5: TLS with receivers: TLS ciphersuites");
    expect_error(MINIMAL "site a.example {\n tls_certificate = \"/nowhere/c.pem\"\n}",
                 "4: TLS with receivers: /nowhere/c.pem: ");
}

static void logins_of_routes(void **state)
{
    char path[] = "/tmp/test_config.XXXXXX", text[512];
    (void)state;
    const int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("from a file\r\nnot this\n", file);
    fclose(file);
    snprintf(text, sizeof(text),
             MINIMAL "route a.example { to = {\"10.0.0.5\"} user = ann password = \"a \\\"word\" "
                     "auth_clear = yes }\n"
                     "route b.example { to = {\"h:587\", h2} tls = implicit user = \"b@x\" "
                     "password_file = \"%s\" }\n"
                     "route c.example { to = {h} }\n",
             path);
    struct config *config = load_good(text);
    const struct queue_route *routes = config->queue.routes;
    assert_true(bytes_equal(routes[0].user, BYTES("ann")));
    assert_true(bytes_equal(routes[0].password, BYTES("a \"word")));
    assert_true(routes[0].auth_clear && !routes[0].tls_implicit);
    assert_true(bytes_equal(routes[1].user, BYTES("b@x")));
    assert_true(bytes_equal(routes[1].password, BYTES("from a file")));
    assert_true(routes[1].tls_implicit && !routes[1].auth_clear);
    assert_int_equal(routes[0].hops[0].port, 0);
    assert_int_equal(routes[1].hops[0].port, 587);
    assert_int_equal(routes[1].hops[1].port, 465);
    assert_int_equal(routes[2].user.len, 0);
    config_free(&config);
    remove(path);
}

static void bad_logins_of_routes(void **state)
{
#define ROUTE(words) MINIMAL "route a.example {\n to = {h}\n" words "}"
    char long_one[600];
    (void)state;
    expect_error(ROUTE("password = p\n"), "4: there is a password, but no user");
    expect_error(ROUTE("user = u\n"), "5: there is a user, but no password");
    expect_error(ROUTE("user = u\n password = p\n password_file = \"/f\"\n"),
                 "5: password and password_file: one of them is enough");
    expect_error(ROUTE("user = u\n password_file = \"/nowhere/f\"\n"),
                 "6: password_file: /nowhere/f: No such file or directory");
    expect_error(ROUTE("user = u\n password_file = \"/dev/null\"\n"),
                 "6: password_file: /dev/null: there is no password in it");
    snprintf(long_one, sizeof(long_one), ROUTE("user = u\n password = %0256d\n"), 7);
    expect_error(long_one, "5: user or password: longer than 255");
}

/* Who only asks a running server needs no secrets, and may not be able to read them. */
static void files_are_left_alone_until_they_are_wanted(void **state)
{
    (void)state;
    const char *text =
        ROUTE("user = u\n password_file = \"/nowhere/f\"\n") "site default { tls_trust = "
                                                             "\"/nowhere/ca.pem\" }\n";
    messages[0] = '\0';
    struct config *config = config_parse(bytes_of(text), "f.conf", "host.example.com", &report);
    assert_non_null(config);
    assert_null(config->queue.default_tls.client);
    assert_string_equal(messages, "");
    assert_false(config_read_files(config, NULL, 1000, &report)); /* all of it at once */
    assert_non_null(strstr(messages, "f.conf:6: password_file: "));
    assert_non_null(strstr(messages, "f.conf:7: TLS with receivers: "));
    config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_of_sites),
        cmocka_unit_test(bad_tls_of_sites),
        cmocka_unit_test(logins_of_routes),
        cmocka_unit_test(bad_logins_of_routes),
        cmocka_unit_test(files_are_left_alone_until_they_are_wanted),
    };
    return cmocka_run_group_tests_name("config peer", tests, NULL, NULL);
}
