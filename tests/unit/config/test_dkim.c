/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dkim - blocks "dkim": several of one domain, their keys, and every fault with its line
 */
#include "ringpost/config.h"
#include "ringpost/dkim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* after those above, as it wants */
#include <cmocka.h>

#define MINIMAL "spool { path = /s }\nlistener \"127.0.0.1:2525\" { }\n"

static char ed25519[] = "/tmp/test_dkim_ed.XXXXXX", weak[] = "/tmp/test_dkim_weak.XXXXXX";
static char messages[4096];

static void on_message(void *context, bool error, const char *text)
{
    const size_t len = strlen(messages);
    (void)context, (void)error;
    snprintf(messages + len, sizeof(messages) - len, "%s\n", text);
}

/* "@E" and "@W" in the text are the paths of the keys. */
static struct config *load(const char *format)
{
    char text[4096];
    struct text out;
    const struct config_report report = {on_message, NULL};
    text_init(&out, text, sizeof(text));
    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '@') {
            text_printf(&out, "%s", at[1] == 'E' ? ed25519 : weak);
            at += 1;
        } else {
            text_put(&out, (struct bytes){at, 1});
        }
    }
    messages[0] = '\0';
    struct config *config = config_parse(text_bytes(&out), "f.conf", "mail.example.com", &report);
    if (config != NULL && !config_read_files(config, NULL, 1000, &report)) config_free(&config);
    return config;
}

static void expect(const char *format, const char *message, bool good)
{
    struct config *config = load(format);
    assert_int_equal(config != NULL, good);
    if (strstr(messages, message) == NULL) fail_msg("%s does not say %s", messages, message);
    config_free(&config);
}

static bool write_key(char *path, enum dkim_algorithm algorithm)
{
    char why[200], room[4096];
    struct text pem;
    const int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    struct dkim_key *key = dkim_key_generate(algorithm, 1024, why, sizeof(why));
    text_init(&pem, room, sizeof(room));
    bool good = file != NULL && key != NULL && dkim_key_write(key, &pem);
    good = good && fwrite(pem.data, 1, pem.len, file) == pem.len && fclose(file) == 0;
    dkim_key_unref(key);
    return good;
}

static int setup(void **state)
{
    (void)state;
    return write_key(ed25519, DKIM_ED25519_SHA256) && write_key(weak, DKIM_RSA_SHA256) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(ed25519) | unlink(weak);
}

static void several_of_one_domain(void **state)
{
    (void)state;
    struct config *config = load(MINIMAL "dkim \"Example.com.\" { selector = \"A\" key = \"@E\" }\n"
                                         "dkim 'example.com' { # a comment, dkim \"x\"\n"
                                         "  selector = b key = \"@E\" expire = 7d }\n"
                                         "dkim \"b\xc3\xbc"
                                         "cher.example\" { key = \"@E\" selector = c\n"
                                         "  canonicalization = simple/relaxed all = yes\n"
                                         "  subdomains = no headers = {X-One} oversign = {} }");
    assert_string_equal(messages, "");
    const struct dkim_signers *signers = config->receive.signers;
    assert_int_equal(dkim_signers_count(signers), 3);
    const struct dkim_signer *first = dkim_signers_at(signers, 0);
    assert_string_equal(first->domain.data, "example.com");
    assert_string_equal(first->selector.data, "a");
    assert_int_equal(first->header_mode, CODEC_DKIM_RELAXED);
    assert_int_equal(first->body_mode, CODEC_DKIM_RELAXED);
    assert_true(first->subdomains && !first->all);
    assert_int_equal(first->expire_s, 0);
    assert_int_equal(first->header_count, dkim_headers_default_count);
    assert_int_equal(first->oversign_count, dkim_oversign_default_count);
    const struct dkim_signer *second = dkim_signers_at(signers, 1);
    assert_string_equal(second->domain.data, "example.com");
    assert_int_equal(second->expire_s, 7 * 86400);
    const struct dkim_signer *third = dkim_signers_at(signers, 2);
    assert_string_equal(third->domain.data, "xn--bcher-kva.example");
    assert_int_equal(third->header_mode, CODEC_DKIM_SIMPLE);
    assert_int_equal(third->body_mode, CODEC_DKIM_RELAXED);
    assert_true(!third->subdomains && third->all);
    assert_int_equal(third->header_count, 4); /* and From, and the pair of RFC 8058 */
    assert_int_equal(third->oversign_count, 3);
    config_free(&config);
}

static void faults_have_a_line(void **state)
{
    (void)state;
    expect(MINIMAL "dkim \"a.b\" { selector = s }", "f.conf:3: dkim \"a.b\": key is missing",
           false);
    expect(MINIMAL "dkim \"a.b\" {\n key = \"@E\" }", "f.conf:4: dkim \"a.b\": selector is missing",
           false);
    expect(MINIMAL "dkim \"a.b\" {\n selector = s\n key = /no/such }",
           "f.conf:5: key: /no/such: No such file", false);
    expect(MINIMAL "dkim \"a.b\" {\n selector = s\n key = /tmp }", "f.conf:5: key: /tmp", false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = /dev/null }", "holds no private key", false);
    expect(MINIMAL "dkim \"a b\" { selector = s key = \"@E\" }",
           "f.conf:3: dkim \"a b\": not a domain", false);
    expect(MINIMAL "dkim \"\" { selector = s key = \"@E\" }", "not a domain", false);
    expect(MINIMAL "dkim \"[127.0.0.1]\" { selector = s key = \"@E\" }", "not a domain", false);
    expect(MINIMAL "dkim \"a.b\" { selector = \"a b\" key = \"@E\" }", "not a name for a selector",
           false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = \"@E\" headers = {Received} }",
           "f.conf:3: headers: \"Received\" is a field that changes", false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = \"@E\" oversign = {\"a b\"} }",
           "f.conf:3: oversign: \"a b\" is no name of a header field", false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = \"@E\" canonicalization = loose }",
           "is none of simple/simple", false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = \"@E\" }\n\n"
                   "dkim \"A.b\" { selector = S key = \"@E\" }",
           "f.conf:5: dkim \"a.b\": there is another one with selector \"s\"", false);
    expect(MINIMAL "dkim \"a.b\" { selector = s key = \"@E\" all = 1x }", "f.conf:3: all:", false);
}

static void too_many_on_one_message(void **state)
{
    (void)state;
    expect(MINIMAL "dkim \"a.b\" { selector = a key = \"@E\" all = yes }\n"
                   "dkim \"c.d\" { selector = b key = \"@E\" }\n"
                   "dkim \"c.d\" { selector = c key = \"@E\" }\n"
                   "dkim \"c.d\" { selector = d key = \"@E\" }\n",
           "", true);
    expect(MINIMAL "dkim \"a.b\" { selector = a key = \"@E\" all = yes }\n"
                   "dkim \"c.d\" { selector = b key = \"@E\" }\n"
                   "dkim \"c.d\" { selector = c key = \"@E\" }\n"
                   "dkim \"c.d\" { selector = d key = \"@E\" }\n"
                   "dkim \"c.d\" { selector = e key = \"@E\" }\n",
           "f.conf:7: dkim \"c.d\": more than 4 signatures on one message", false);
}

static void a_weak_key_is_a_warning(void **state)
{
    (void)state;
    expect(MINIMAL "dkim \"a.b\" { selector = a\nkey = \"@W\" }", "f.conf:4: warning: key: ", true);
    assert_non_null(strstr(messages, "only 1024 bits: receivers want 2048 at least"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_of_one_domain),
        cmocka_unit_test(faults_have_a_line),
        cmocka_unit_test(too_many_on_one_message),
        cmocka_unit_test(a_weak_key_is_a_warning),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
